/* transform: sql on real databases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/opjob.h"

static struct opjob o;

static int setup(void **state)
{
	(void)state;
	return opjob_init(&o);
}

static int teardown(void **state)
{
	(void)state;
	opjob_release(&o);
	return 0;
}

/* `sql` may hold ?1, which is 2026-11-19. */
static int run(const char *sql)
{
	json_t *with = json_pack("{s:s, s:{s:s, s:[s]}}", "connection", "wh", "sql", "text", sql,
		"binds", "2026-11-19");
	char *text = json_dumps(with, 0);
	int rc = opjob_run(&o, operator_find(TASK_TRANSFORM, "sql"), text);

	free(text);
	json_decref(with);
	if (rc < 0)
		print_message("# %s\n", o.err.msg);
	return rc;
}

static void a_script(void **state)
{
	(void)state;
	assert_int_equal(
		run("CREATE TABLE t (day, n);\n"
		    "INSERT INTO t VALUES (?1, 1), (?1, 2), ('2020-01-01', 3);\n"
		    "DELETE FROM t WHERE day <> ?1;\n"
		    "SELECT count(*) AS n, max(day) AS day, 0.5 AS half, NULL AS none FROM t"),
		0);
	assert_string_equal(opjob_query(&o, "SELECT day || n FROM t"), "2026-11-191 2026-11-192");
	assert_string_equal(opjob_output(&o, "statements"), "4");
	assert_string_equal(opjob_output(&o, "rows_changed"), "4");
	assert_string_equal(opjob_output(&o, "n"), "2");
	assert_string_equal(opjob_output(&o, "day"), "\"2026-11-19\"");
	assert_string_equal(opjob_output(&o, "half"), "0.5");
	assert_string_equal(opjob_output(&o, "none"), "null");
	assert_non_null(strstr(o.log.data, "INSERT INTO t VALUES"));
	assert_non_null(strstr(o.log.data, "committed: 4 statements, 4 rows changed"));
}

/* Columns are outputs only of a last statement with exactly one row. */
static const struct {
	const char *sql, *x;
} output_cases[] = {
	{ "SELECT 1 AS x", "1" },
	{ "SELECT 1 AS x; CREATE TABLE IF NOT EXISTS u (a)", "(none)" },
	{ "SELECT 1 AS x WHERE 0", "(none)" },
	{ "SELECT 1 AS x UNION SELECT 2", "(none)" },
	{ "SELECT x'00ff' AS x", "\"00ff\"" },
	{ "SELECT 'y' AS x; SELECT 2 AS x", "2" },
};

static void outputs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof output_cases / sizeof *output_cases; i++) {
		assert_int_equal(run(output_cases[i].sql), 0);
		assert_string_equal(opjob_output(&o, "x"), output_cases[i].x);
	}
	/* The operator's own outputs keep their meaning. */
	assert_int_equal(run("SELECT 99 AS statements"), 0);
	assert_string_equal(opjob_output(&o, "statements"), "1");
}

static void rows_in_the_log(void **state)
{
	(void)state;
	assert_int_equal(
		run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 25) "
		    "SELECT i, 'line\nbreak' AS t FROM n"),
		0);
	assert_non_null(strstr(o.log.data, "20  line break"));
	assert_null(strstr(o.log.data, "21  line"));
	assert_non_null(strstr(o.log.data, "25 rows in all"));
	assert_int_equal(run("SELECT 1 WHERE 0"), 0);
	assert_non_null(strstr(o.log.data, "(no rows)"));
}

static void all_or_nothing(void **state)
{
	(void)state;
	opjob_sql(&o, "CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1)");
	assert_int_equal(
		run("DELETE FROM t; INSERT INTO t VALUES (2); INSERT INTO t VALUES (2)"), -1);
	assert_int_equal(o.err.code, ERR_DATA);
	assert_non_null(strstr(o.err.msg, "statement 3"));
	assert_string_equal(opjob_query(&o, "SELECT a FROM t"), "1");
	assert_int_equal(run("DELETE FROM t; SELEC"), -1);
	assert_int_equal(o.err.code, ERR_SQL);
	assert_string_equal(opjob_query(&o, "SELECT a FROM t"), "1");
	/* Even where the conflict clause rolls back by itself. */
	assert_int_equal(run("DELETE FROM t; INSERT INTO t VALUES (3);"
			     "INSERT OR ROLLBACK INTO t VALUES (3); INSERT INTO t VALUES (4)"),
		-1);
	assert_string_equal(opjob_query(&o, "SELECT a FROM t"), "1");
	assert_int_equal(run("INSERT INTO t VALUES (5); COMMIT"), -1);
	assert_non_null(strstr(o.err.msg, "one transaction already"));
	assert_string_equal(opjob_query(&o, "SELECT a FROM t"), "1");
}

static void fencing_and_busy(void **state)
{
	sqlite3 *other;

	(void)state;
	assert_int_equal(run("CREATE TABLE t (a)"), 0);
	o.job.key.token = 9;
	assert_int_equal(run("INSERT INTO t VALUES (1)"), -1);
	assert_int_equal(o.err.code, ERR_FENCED);
	o.job.key.token = 11;
	assert_int_equal(run("INSERT INTO t VALUES (2)"), 0);
	assert_string_equal(opjob_query(&o, "SELECT a FROM t"), "2");
	assert_int_equal(sqlite3_open(o.db, &other), SQLITE_OK);
	sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	assert_int_equal(run("INSERT INTO t VALUES (3)"), -1);
	assert_int_equal(o.err.code, ERR_BUSY);
	sqlite3_close(other);
}

static void a_file(void **state)
{
	const struct operator* op = operator_find(TASK_TRANSFORM, "sql");

	(void)state;
	assert_int_equal(opjob_run(&o, op,
				 "{\"connection\": \"wh\", \"file\": {\"text\": \"SELECT 1;\\n"
				 "SELECT nope\", \"binds\": [], \"file\": \"sql/a.sql\"}}"),
		-1);
	assert_string_equal(o.err.file, "sql/a.sql");
	assert_int_equal(o.err.line, 2);
	assert_int_equal(o.err.col, 8);
	assert_int_equal(
		opjob_run(&o, op, "{\"connection\": \"no\", \"sql\": {\"text\": \"x\"}}"), -1);
	assert_int_equal(o.err.code, ERR_NOT_FOUND);
	assert_int_equal(opjob_run(&o, op, "{\"connection\": \"wh\"}"), -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_script),
		CASE(outputs),
		CASE(rows_in_the_log),
		CASE(all_or_nothing),
		CASE(fencing_and_busy),
		CASE(a_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
