/* SQL scripts: splitting, binding, refusals, places of errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/sqlscript.h"

static sqlite3 *db;
static struct err err;

static int setup(void **state)
{
	(void)state;
	err_clear(&err);
	if (sqlite3_open(":memory:", &db) != SQLITE_OK)
		return -1;
	return sqlite3_exec(db,
		"CREATE TABLE t (a, b); CREATE TABLE weir_ledger (x); BEGIN IMMEDIATE", NULL, NULL,
		NULL);
}

static int teardown(void **state)
{
	(void)state;
	return sqlite3_close(db);
}

/* What the callback saw: "1@1:1 SELECT 1|2@..." */
struct seen {
	char text[2000];
	size_t used;
};

static int step(void *arg, const struct sqlscript_statement *s, struct err *e)
{
	struct seen *seen = arg;
	int rc;

	seen->used += (size_t)snprintf(seen->text + seen->used, sizeof seen->text - seen->used,
		"%s%zu@%d:%d %.*s", seen->used ? "|" : "", s->number, s->line, s->col, (int)s->len,
		s->text);
	while ((rc = sqlite3_step(s->stmt)) == SQLITE_ROW)
		if (sqlite3_column_type(s->stmt, 0) != SQLITE_NULL)
			seen->used += (size_t)snprintf(seen->text + seen->used,
				sizeof seen->text - seen->used, "=%s",
				(const char *)sqlite3_column_text(s->stmt, 0));
	return rc == SQLITE_DONE ? 0 : err_set(e, ERR_DATA, "%s", sqlite3_errmsg(db));
}

static int run(const char *text, const char *binds, const char *file, struct seen *seen)
{
	json_t *values = binds ? json_loads(binds, 0, NULL) : NULL;
	struct sqlscript s = { .text = text, .binds = values, .file = file };

	*seen = (struct seen){ 0 };
	err_clear(&err);
	int n = sqlscript_each(db, &s, step, seen, &err);
	json_decref(values);
	return n;
}

static const struct {
	const char *text, *binds, *seen;
} good[] = {
	{ "SELECT 1", NULL, "1@1:1 SELECT 1=1" },
	{ "SELECT 1;", NULL, "1@1:1 SELECT 1=1" },
	{ " ;; SELECT 1 ; ;\n\tSELECT 'a;b' ;", NULL, "1@1:5 SELECT 1=1|2@2:2 SELECT 'a;b'=a;b" },
	{ "-- one; two\nSELECT 1; /* ; */ SELECT 2 -- end", NULL,
		"1@2:1 SELECT 1=1|2@2:19 SELECT 2 -- end=2" },
	{ "SELECT '\u00e9'; SELECT 2", NULL, "1@1:1 SELECT '\u00e9'=\u00e9|2@1:13 SELECT 2=2" },
	{ "SELECT ?1; SELECT ?3; SELECT ?2", "[7, \"x'y\", 0.5]",
		"1@1:1 SELECT ?1=7|2@1:12 SELECT ?3=0.5|3@1:23 SELECT ?2=x'y" },
	{ "SELECT ?1 || ?1 || ?2", "[true, false]", "1@1:1 SELECT ?1 || ?1 || ?2=110" },
	{ "SELECT ?1", "[null]", "1@1:1 SELECT ?1" },
	{ "SELECT '?', \"a?\" FROM (SELECT 1 AS \"a?\") -- ?\n/* ? */", NULL,
		"1@1:1 SELECT '?', \"a?\" FROM (SELECT 1 AS \"a?\") -- ?\n/* ? */=?" },
	{ "CREATE TABLE u (a); INSERT INTO u VALUES (3); SELECT a FROM u", NULL,
		"1@1:1 CREATE TABLE u (a)|2@1:21 INSERT INTO u VALUES (3)|3@1:47 SELECT a FROM "
		"u=3" },
	{ "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET b = 1; DELETE FROM t; END; SELECT "
	  "9",
		NULL,
		"1@1:1 CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET b = 1; DELETE FROM t; "
		"END|2@1:82 SELECT 9=9" },
	{ "SAVEPOINT s; INSERT INTO t VALUES (1, 2); ROLLBACK TO s; RELEASE s; SELECT count(*) "
	  "FROM t",
		NULL,
		"1@1:1 SAVEPOINT s|2@1:14 INSERT INTO t VALUES (1, 2)|3@1:43 ROLLBACK TO s|4@1:58 "
		"RELEASE s|5@1:69 SELECT count(*) FROM t=0" },
	{ "PRAGMA user_version = 3; PRAGMA user_version", NULL,
		"1@1:1 PRAGMA user_version = 3|2@1:26 PRAGMA user_version=3" },
	{ "SELECT count(*) FROM weir_ledger", NULL, "1@1:1 SELECT count(*) FROM weir_ledger=0" },
	{ "SELECT 1 /* never closed", NULL, "1@1:1 SELECT 1 /* never closed=1" },
};

static void runs(void **state)
{
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (run(good[i].text, good[i].binds, "x.sql", &seen) < 0)
			fail_msg("case %zu: %s", i, err.msg);
		assert_string_equal(seen.text, good[i].seen);
		sqlite3_exec(
			db, "DROP TABLE IF EXISTS u; DROP TRIGGER IF EXISTS r", NULL, NULL, NULL);
	}
}

static const struct {
	const char *text, *binds;
	int line, col;
	enum err_code code;
	const char *message;
} bad[] = {
	{ "", NULL, 1, 1, ERR_SQL, "no statement" },
	{ " ; -- nothing\n", NULL, 1, 1, ERR_SQL, "no statement" },
	{ "SELECT 1;\nSELEC 2", NULL, 2, 1, ERR_SQL, "syntax error" },
	{ "SELECT 1;\n\n  SELECT a,\n    nope FROM t", NULL, 4, 5, ERR_SQL,
		"no such column: nope" },
	{ "SELECT '\u00e9\u00e9', nope FROM t", NULL, 1, 14, ERR_SQL, "no such column" },
	{ "SELECT * FROM missing", NULL, 1, 1, ERR_SQL, "no such table: missing" },
	{ "SELECT ?1", NULL, 1, 1, ERR_SQL, "?1 has no value" },
	{ "SELECT ?1, ?2", "[1]", 1, 1, ERR_SQL, "?2 has no value" },
	{ "SELECT 1,\n ?", "[1]", 2, 2, ERR_SQL, "a ? without a value" },
	{ "SELECT :name", "[1]", 1, 1, ERR_SQL, ":name has no value" },
	{ "SELECT @a, $b", "[1]", 1, 1, ERR_SQL, "@a has no value" },
	{ "SELECT ?1", "[[1]]", 1, 1, ERR_SQL, "cannot be bound" },
	{ "INSERT INTO t VALUES (1,2);\n COMMIT", NULL, 2, 2, ERR_SQL, "one transaction already" },
	{ "BEGIN", NULL, 1, 1, ERR_SQL, "one transaction already" },
	{ "ROLLBACK", NULL, 1, 1, ERR_SQL, "one transaction already" },
	{ "END", NULL, 1, 1, ERR_SQL, "one transaction already" },
	{ "ATTACH 'x.db' AS x", NULL, 1, 1, ERR_SQL, "one connection" },
	{ "DETACH x", NULL, 1, 1, ERR_SQL, "one connection" },
	{ "PRAGMA journal_mode = OFF", NULL, 1, 1, ERR_SQL, "PRAGMA journal_mode is not allowed" },
	{ "PRAGMA foreign_keys = 0", NULL, 1, 1, ERR_SQL, "not allowed" },
	{ "PRAGMA writable_schema = 1", NULL, 1, 1, ERR_SQL, "not allowed" },
	{ "PRAGMA wal_checkpoint", NULL, 1, 1, ERR_SQL, "not allowed" },
	{ "DELETE FROM weir_ledger", NULL, 1, 1, ERR_SQL, "belongs to Weir" },
	{ "INSERT INTO Weir_Ledger VALUES (1)", NULL, 1, 1, ERR_SQL, "belongs to Weir" },
	{ "DROP TABLE weir_ledger", NULL, 1, 1, ERR_SQL, "belongs to Weir" },
	{ "ALTER TABLE weir_ledger ADD COLUMN y", NULL, 1, 1, ERR_SQL, "belongs to Weir" },
	{ "CREATE UNIQUE INDEX i ON t (a); INSERT INTO t VALUES (1, 1);\nINSERT INTO t VALUES (1, "
	  "2)",
		NULL, 2, 1, ERR_DATA, "UNIQUE" },
};

static void refuses(void **state)
{
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		sqlite3_exec(db, "SAVEPOINT c", NULL, NULL, NULL);
		assert_int_equal(run(bad[i].text, bad[i].binds, "sql/x.sql", &seen), -1);
		if (err.code != bad[i].code || !strstr(err.msg, bad[i].message))
			fail_msg("case %zu: %s", i, err.msg);
		assert_string_equal(err.file, "sql/x.sql");
		if (err.line != bad[i].line || err.col != bad[i].col)
			fail_msg("case %zu: %d:%d", i, err.line, err.col);
		assert_false(sqlite3_get_autocommit(db));
		sqlite3_exec(db, "ROLLBACK TO c; RELEASE c", NULL, NULL, NULL);
	}
}

/* Without a file the place stands in the message. */
static void places_without_file(void **state)
{
	struct seen seen;

	(void)state;
	assert_int_equal(run("SELECT 1;\n nope", NULL, NULL, &seen), -1);
	assert_non_null(strstr(err.msg, "line 2:2 of the SQL"));
	assert_int_equal(err.line, 0);
}

static const struct {
	const char *text;
	const char *message; /* NULL: good */
} queries[] = {
	{ "SELECT ?1", NULL },
	{ "-- c\nWITH x AS (SELECT 1) SELECT * FROM x; -- d\n;", NULL },
	{ "VALUES (1), (2)", NULL },
	{ "", "empty" },
	{ "-- only", "empty" },
	{ "SELECT 1; SELECT 2", "second statement" },
	{ "DELETE FROM t", "a query is needed" },
	{ "DELETE FROM t RETURNING a", "a query is needed" },
	{ "INSERT INTO t VALUES (1, 2)", "a query is needed" },
	{ "CREATE TABLE v (a)", "a query is needed" },
	{ "SELECT ?9", "?9 has no value" },
	{ "SELECT", "incomplete input" },
};

static void query(void **state)
{
	json_t *binds = json_pack("[i]", 5);
	sqlite3_stmt *stmt;

	(void)state;
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		struct sqlscript s = { .text = queries[i].text, .binds = binds };
		err_clear(&err);
		int rc = sqlscript_query(db, &s, &stmt, &err);
		if (rc < 0 && (!queries[i].message || !strstr(err.msg, queries[i].message)))
			fail_msg("case %zu: %s", i, err.msg);
		assert_int_equal(rc, queries[i].message ? -1 : 0);
		assert_true((stmt != NULL) == (rc == 0));
		if (stmt)
			assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
		sqlite3_finalize(stmt);
	}
	json_decref(binds);
}

static void from_json(void **state)
{
	json_t *v =
		json_pack("{s:s, s:[i], s:s}", "text", "SELECT ?1", "binds", 3, "file", "f.sql");
	struct sqlscript s;

	(void)state;
	assert_int_equal(sqlscript_of(v, &s, &err), 0);
	assert_string_equal(s.text, "SELECT ?1");
	assert_string_equal(s.file, "f.sql");
	assert_int_equal(json_array_size(s.binds), 1);
	json_decref(v);
	assert_int_equal(sqlscript_of(NULL, &s, &err), -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(runs),
		CASE(refuses),
		CASE(places_without_file),
		CASE(query),
		CASE(from_json),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
