/* quality: table: each check with passing, failing and odd data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/cases.h"
#include "tests/lib/opjob.h"

static struct opjob o;

static int setup(void **state)
{
	(void)state;
	if (opjob_init(&o) < 0)
		return -1;
	opjob_sql(&o,
		"CREATE TABLE t (id INTEGER, day TEXT, product TEXT, revenue, code TEXT,"
		" weir_partition TEXT);"
		"INSERT INTO t VALUES"
		" (1, '2026-11-18', 'Apple', 10.5, 'DE1', '2026-11-18T00:00:00Z'),"
		" (2, '2026-11-19', 'Apple', '7', 'DE2', '2026-11-19T00:00:00Z'),"
		" (3, '2026-11-19', 'Pear', -1, 'fr', '2026-11-19T00:00:00Z'),"
		" (3, '2026-11-19', NULL, NULL, NULL, '2026-11-19T00:00:00Z');"
		"CREATE TABLE empty (a, b);"
		"CREATE TABLE products (name TEXT); INSERT INTO products VALUES ('Apple'), (NULL);"
		"CREATE TABLE hundred (n INTEGER, m INTEGER);"
		"WITH RECURSIVE x (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM x LIMIT 100)"
		" INSERT INTO hundred SELECT i, nullif(i, 100) FROM x");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	opjob_release(&o);
	return 0;
}

static int run_with(const char *rest, const char *checks)
{
	char text[4096];

	snprintf(text, sizeof text, "{%s, \"checks\": [%s]}", rest, checks);
	/* The cases are written with ' for ". */
	for (char *p = text; *p; p++)
		if (*p == '\'')
			*p = '"';
	for (char *p = text; *p; p++)
		if (*p == '~')
			*p = '\'';
	return opjob_run(&o, operator_find(TASK_QUALITY, "table"), text);
}

static const char *result(size_t i, const char *key)
{
	const char *s = json_string_value(json_object_get(json_array_get(o.job.checks, i), key));

	return s ? s : "(none)";
}

static size_t sample_size(size_t i)
{
	return json_array_size(json_object_get(json_array_get(o.job.checks, i), "sample"));
}

/* In the cases ' stands for " and ~ for '. */
static const struct {
	const char *table, *check, *status, *observed, *expected;
	size_t sample;
} cases[] = {
	/* not_null */
	{ "t", "{'not_null': ['id']}", "pass", "4 of 4 rows (100%)", "not NULL, all rows", 0 },
	{ "t", "{'not_null': ['product']}", "fail", "3 of 4 rows (75%)", "not NULL, all rows", 1 },
	{ "t", "{'not_null': ['product'], 'severity': 'warn'}", "warn", "3 of 4 rows (75%)", NULL,
		1 },
	{ "t", "{'not_null': ['product'], 'at_least': 0.75}", "pass", NULL,
		"not NULL, at least 75% of rows", 1 },
	{ "t", "{'not_null': ['product'], 'at_least': 0.7501}", "fail", NULL, NULL, 1 },
	{ "t", "{'not_null': ['product'], 'where': {'text': 'id < 3', 'binds': []}}", "pass",
		"2 of 2 rows (100%)", NULL, 0 },
	{ "t", "{'not_null': ['product'], 'where': {'text': 'id = ?1 -- c', 'binds': [3]}}", "fail",
		"1 of 2 rows (50%)", NULL, 1 },
	{ "t", "{'not_null': ['something']}", "error",
		"t has no column something; its columns: id, day, product, revenue, code, "
		"weir_partition",
		NULL, 0 },
	{ "t", "{'not_null': ['prodct']}", "error",
		"t has no column prodct (did you mean product?); its columns: id, day, product, "
		"revenue, "
		"code, weir_partition",
		NULL, 0 },
	{ "t", "{'not_null': ['PRODUCT'], 'where': {'text': 'nope = 1', 'binds': []}}", "error",
		NULL, NULL, 0 },
	{ "empty", "{'not_null': ['a']}", "pass", "no rows to judge (100%)", NULL, 0 },
	{ "hundred", "{'not_null': ['m'], 'at_least': 0.99}", "pass", "99 of 100 rows (99%)",
		"not NULL, at least 99% of rows", 1 },
	{ "hundred", "{'not_null': ['m'], 'at_least': 0.991}", "fail", NULL, NULL, 1 },
	{ "hundred", "{'not_null': ['m'], 'at_least': 1}", "fail", NULL, NULL, 1 },
	/* unique */
	{ "t", "{'unique': ['code']}", "pass", "3 of 3 rows (100%)", "unique, all rows", 0 },
	{ "t", "{'unique': ['id']}", "fail", "2 of 4 rows (50%)", NULL, 1 },
	{ "t", "{'unique': ['day', 'product']}", "pass", "3 of 3 rows (100%)", NULL, 0 },
	{ "t", "{'unique': ['day']}", "fail", "1 of 4 rows (25%)", NULL, 1 },
	{ "t", "{'unique': ['day'], 'at_least': 0.25}", "pass", NULL, NULL, 1 },
	{ "t", "{'unique': ['id', 'nope']}", "error", NULL, NULL, 0 },
	{ "empty", "{'unique': ['a', 'b']}", "pass", "no rows to judge (100%)", NULL, 0 },
	/* accepted_values */
	{ "t", "{'accepted_values': {'column': 'product', 'values': ['Apple', 'Pear']}}", "pass",
		"3 of 3 rows (100%)", "one of Apple, Pear, all rows", 0 },
	{ "t", "{'accepted_values': {'column': 'product', 'values': ['Apple']}}", "fail",
		"2 of 3 rows (66.66%)", NULL, 1 },
	{ "t", "{'accepted_values': {'column': 'revenue', 'values': [7, 10.5, -1]}}", "pass", NULL,
		NULL, 0 },
	{ "t", "{'accepted_values': {'column': 'id', 'values': ['1', 2, '3']}}", "pass", NULL, NULL,
		0 },
	{ "t", "{'accepted_values': {'column': 'product', 'values': ['x~) OR 1=1 --']}}", "fail",
		"0 of 3 rows (0%)", NULL, 3 },
	/* range */
	{ "t", "{'range': {'column': 'revenue', 'min': -1}}", "pass", "3 of 3 rows (100%)",
		">= -1, all rows", 0 },
	{ "t", "{'range': {'column': 'revenue', 'min': -1, 'min_exclusive': true}}", "fail", NULL,
		"> -1, all rows", 1 },
	{ "t", "{'range': {'column': 'revenue', 'min': 0, 'max': 10}}", "fail",
		"1 of 3 rows (33.33%)", ">= 0 and <= 10, all rows", 2 },
	{ "t", "{'range': {'column': 'revenue', 'max': 10.5}}", "pass", NULL, "<= 10.5, all rows",
		0 },
	{ "t", "{'range': {'column': 'revenue', 'max': 10.5, 'max_exclusive': true}}", "fail", NULL,
		"< 10.5, all rows", 1 },
	{ "t", "{'range': {'column': 'day', 'min': '2026-11-19'}}", "fail", "3 of 4 rows (75%)",
		">= 2026-11-19, all rows", 1 },
	{ "t", "{'range': {'column': 'product', 'min': 0}}", "fail", "0 of 3 rows (0%)", NULL, 3 },
	{ "t", "{'range': {'column': 'id'}}", "error", "range needs min or max", NULL, 0 },
	/* pattern */
	{ "t", "{'pattern': {'column': 'code', 'regex': '^[A-Z]{2}[0-9]$'}}", "fail",
		"2 of 3 rows (66.66%)", "matches ^[A-Z]{2}[0-9]$, all rows", 1 },
	{ "t", "{'pattern': {'column': 'code', 'regex': '(?i)^[a-z]+'}}", "pass", NULL, NULL, 0 },
	{ "t", "{'pattern': {'column': 'id', 'regex': '^[123]$'}}", "pass", "4 of 4 rows (100%)",
		NULL, 0 },
	{ "t", "{'pattern': {'column': 'code', 'regex': '('}}", "error", NULL, NULL, 0 },
	/* length */
	{ "t", "{'length': {'column': 'code', 'min': 2, 'max': 3}}", "pass", NULL,
		"2 to 3 characters, all rows", 0 },
	{ "t", "{'length': {'column': 'code', 'min': 3}}", "fail", NULL,
		"at least 3 characters, all rows", 1 },
	{ "t", "{'length': {'column': 'code', 'max': 2}}", "fail", NULL,
		"at most 2 characters, all rows", 2 },
	{ "t", "{'length': {'column': 'code', 'min': 3, 'max': 3}, 'at_least': 0.5}", "pass", NULL,
		"3 characters, at least 50% of rows", 1 },
	/* row_count */
	{ "t", "{'row_count': {'min': 4}}", "pass", "4 rows", "at least 4 rows", 0 },
	{ "t", "{'row_count': {'min': 5}}", "fail", "4 rows", "at least 5 rows", 0 },
	{ "t", "{'row_count': {'max': 3}}", "fail", "4 rows", "at most 3 rows", 0 },
	{ "t", "{'row_count': {'min': 1, 'max': 4}}", "pass", NULL, "1 to 4 rows", 0 },
	{ "t", "{'row_count': {'equals': 4}}", "pass", NULL, "exactly 4 rows", 0 },
	{ "empty", "{'row_count': {'equals': 0}}", "pass", NULL, NULL, 0 },
	{ "empty", "{'row_count': {'min': 1}}", "fail", "0 rows", NULL, 0 },
	{ "t", "{'row_count': {}}", "error", NULL, NULL, 0 },
	{ "t", "{'row_count': {'equals': 1}, 'where': {'text': 'id = 1', 'binds': []}}", "pass",
		NULL, NULL, 0 },
	/* sql */
	{ "t", "{'sql': {'query': {'text': 'SELECT * FROM t WHERE id > 5', 'binds': []}}}", "pass",
		"0 rows", "no rows", 0 },
	{ "t", "{'sql': {'query': {'text': 'SELECT * FROM t WHERE id > ?1;', 'binds': [1]}}}",
		"fail", "3 rows", "no rows", 3 },
	{ "t", "{'sql': {'query': {'text': 'SELECT count(*) FROM t', 'binds': []}, 'expect': 4}}",
		"pass", "4", "4", 0 },
	{ "t", "{'sql': {'query': {'text': 'SELECT count(*) FROM t', 'binds': []}, 'expect': 5}}",
		"fail", "4", "5", 1 },
	{ "t", "{'sql': {'query': {'text': 'SELECT ~x~', 'binds': []}, 'expect': 'x'}}", "pass",
		"x", "x", 0 },
	{ "t", "{'sql': {'query': {'text': 'SELECT 1.0', 'binds': []}, 'expect': 1}}", "pass", NULL,
		NULL, 0 },
	{ "t", "{'sql': {'query': {'text': 'SELECT 1 WHERE 0', 'binds': []}, 'expect': 1}}", "fail",
		"0 rows", "1", 0 },
	{ "t", "{'sql': {'query': {'text': 'SELECT id FROM t', 'binds': []}, 'expect': 1}}", "fail",
		"4 rows", "1", 4 },
	{ "t", "{'sql': {'query': {'text': 'DELETE FROM t', 'binds': []}}}", "error", NULL, NULL,
		0 },
	{ "t", "{'sql': {'query': {'text': 'SELEC', 'binds': []}}, 'severity': 'warn'}", "error",
		NULL, NULL, 0 },
	/* relationships */
	{ "t", "{'relationships': {'column': 'product', 'to': 'products', 'to_column': 'name'}}",
		"fail", "2 of 3 rows (66.66%)", "exists in products.name, all rows", 1 },
	{ "t", "{'relationships': {'column': 'id', 'to': 'hundred', 'to_column': 'n'}}", "pass",
		"4 of 4 rows (100%)", NULL, 0 },
	{ "t", "{'relationships': {'column': 'id', 'to': 'empty', 'to_column': 'a'}}", "fail",
		"0 of 4 rows (0%)", NULL, 4 },
	{ "t", "{'relationships': {'column': 'id', 'to': 'product', 'to_column': 'a'}}", "error",
		"there is no table product; did you mean products?", NULL, 0 },
	{ "t", "{'relationships': {'column': 'id', 'to': 'products'}}", "error",
		"products has no column id; its columns: name", NULL, 0 },
};

static void each_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char rest[64];
		snprintf(rest, sizeof rest, "'table': 'wh.%s'", cases[i].table);
		int rc = run_with(rest, cases[i].check);
		bool bad = strcmp(cases[i].status, "fail") == 0 ||
			   strcmp(cases[i].status, "error") == 0;
		if (strcmp(result(0, "status"), cases[i].status) != 0)
			fail_msg("case %zu: %s: %s: %s", i, result(0, "status"),
				result(0, "observed"), o.err.msg);
		assert_int_equal(rc, bad ? -1 : 0);
		assert_int_equal(o.err.code, bad ? ERR_CHECK : ERR_NONE);
		if (cases[i].observed)
			assert_string_equal(result(0, "observed"), cases[i].observed);
		if (cases[i].expected)
			assert_string_equal(result(0, "expected"), cases[i].expected);
		if (sample_size(0) != cases[i].sample)
			fail_msg("case %zu: sample of %zu", i, sample_size(0));
	}
}

static void samples(void **state)
{
	const json_t *row;

	(void)state;
	run_with("'table': 'wh.t'", "{'unique': ['id']}, {'not_null': ['product']}, "
				    "{'range': {'column': 'n', 'min': 0}}");
	row = json_array_get(json_object_get(json_array_get(o.job.checks, 0), "sample"), 0);
	assert_int_equal(json_integer_value(json_object_get(row, "id")), 3);
	assert_int_equal(json_integer_value(json_object_get(row, "count(*)")), 2);
	row = json_array_get(json_object_get(json_array_get(o.job.checks, 1), "sample"), 0);
	assert_string_equal(json_object_iter_key(json_object_iter((json_t *)row)), "product");
	assert_true(json_is_null(json_object_get(row, "product")));
	assert_int_equal(json_integer_value(json_object_get(row, "id")), 3);
	run_with("'table': 'wh.hundred'", "{'range': {'column': 'n', 'max': 0}}");
	assert_int_equal(sample_size(0), 5);
}

/* All checks run; names, severities, counts, score and the message. */
static void many_checks(void **state)
{
	(void)state;
	assert_int_equal(
		run_with("'table': 'wh.t'",
			"{'not_null': ['id', 'product']}, {'unique': ['day', 'product']},"
			"{'range': {'column': 'revenue', 'min': 0}, 'severity': 'warn'},"
			"{'range': {'column': 'revenue', 'max': 100}, 'weight': 5},"
			"{'row_count': {'min': 1}, 'name': 'has rows'}, {'not_null': ['zzz']}"),
		-1);
	assert_int_equal(json_array_size(o.job.checks), 7);
	assert_string_equal(result(0, "name"), "not_null(id)");
	assert_string_equal(result(1, "name"), "not_null(product)");
	assert_string_equal(result(2, "name"), "unique(day, product)");
	assert_string_equal(result(3, "name"), "range(revenue)");
	assert_string_equal(result(3, "severity"), "warn");
	assert_string_equal(result(4, "name"), "range(revenue) #2");
	assert_string_equal(result(4, "severity"), "error");
	assert_string_equal(result(5, "name"), "has rows");
	assert_string_equal(opjob_output(&o, "checks"), "7");
	assert_string_equal(opjob_output(&o, "passed"), "4");
	assert_string_equal(opjob_output(&o, "warned"), "1");
	assert_string_equal(opjob_output(&o, "failed"), "2");
	assert_string_equal(opjob_output(&o, "rows"), "4");
	/* 8 of 11: 1 + 1 + 5 + 1 passed of 1 + 1 + 1 + 1 + 5 + 1 + 1. */
	assert_true(json_real_value(json_object_get(o.job.outputs, "score")) > 0.727);
	assert_true(json_real_value(json_object_get(o.job.outputs, "score")) < 0.728);
	assert_non_null(
		strstr(o.err.msg, "2 of 7 checks failed: not_null(product): 3 of 4 rows (75%); "
				  "not_null(zzz): t has no column zzz"));
	assert_null(strstr(o.err.msg, "range"));
	assert_false(err_info(o.err.code)->transient);
	assert_non_null(strstr(o.log.data, "FAIL    not_null(product)"));
	assert_non_null(strstr(o.log.data, "product=NULL"));
	assert_non_null(strstr(o.log.data, "4 passed, 1 warned, 1 failed, 1 could not be judged"));
}

static void a_query(void **state)
{
	const char *q =
		"'connection': 'wh', 'query': {'text': "
		"'SELECT id, product FROM t WHERE day = ?1 -- the day', 'binds': ['2026-11-19']}";

	(void)state;
	assert_int_equal(run_with(q, "{'row_count': {'equals': 3}}, {'not_null': ['id']},"
				     "{'accepted_values': {'column': 'id', 'values': [2, 3]}}"),
		0);
	assert_string_equal(opjob_output(&o, "rows"), "3");
	assert_int_equal(run_with(q, "{'not_null': ['day']}"), -1);
	assert_non_null(strstr(o.err.msg, "the query has no column day; its columns: id, product"));
	assert_int_equal(
		run_with("'connection': 'wh', 'query': {'text': 'SELECT nope', 'binds': []}",
			"{'row_count': {'min': 0}}"),
		-1);
	assert_int_equal(o.err.code, ERR_SQL);
	assert_int_equal(
		run_with("'connection': 'wh', 'query': {'text': 'DELETE FROM t', 'binds': []}",
			"{'row_count': {'min': 0}}"),
		-1);
	assert_string_equal(opjob_query(&o, "SELECT count(*) FROM t"), "4");
}

static void interval_only(void **state)
{
	(void)state;
	assert_int_equal(
		run_with("'table': 'wh.t', 'only_interval': true", "{'row_count': {'equals': 3}}"),
		0);
	assert_string_equal(opjob_output(&o, "rows"), "3");
	assert_int_equal(
		run_with("'table': 'wh.t', 'only_interval': true, 'partition_column': 'day', "
			 "'partition_value': '2026-11-18'",
			"{'row_count': {'equals': 1}}, {'unique': ['day']},"
			"{'range': {'column': 'revenue', 'min': 10},"
			" 'where': {'text': 'id = ?1 OR id = ?2', 'binds': [1, 3]}}"),
		0);
	assert_int_equal(run_with("'table': 'wh.hundred', 'only_interval': true",
				 "{'row_count': {'min': 1}}"),
		-1);
	assert_int_equal(o.err.code, ERR_SQL);
	assert_non_null(strstr(o.err.msg, "no column weir_partition"));
}

static void what_is_missing(void **state)
{
	(void)state;
	assert_int_equal(run_with("'table': 'wh.hundert'", "{'row_count': {'min': 1}}"), -1);
	assert_int_equal(o.err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(o.err.msg, "did you mean hundred?"));
	assert_int_equal(run_with("'table': 'other.t'", "{'row_count': {'min': 1}}"), -1);
	assert_int_equal(o.err.code, ERR_NOT_FOUND);
	assert_int_equal(run_with("'table': 'wh.t'", "{'severity': 'warn'}"), -1);
	assert_int_equal(o.err.code, ERR_INVALID);
	/* Reading never makes a database. */
	unlink(o.db);
	assert_int_equal(run_with("'table': 'wh.t'", "{'row_count': {'min': 1}}"), -1);
	assert_int_equal(o.err.code, ERR_NOT_FOUND);
	assert_int_not_equal(access(o.db, F_OK), 0);
}

/* A view is checked like a table, and a lock of another is a transient error. */
static void views_and_locks(void **state)
{
	sqlite3 *other;

	(void)state;
	opjob_sql(&o, "CREATE VIEW v AS SELECT id AS x FROM t");
	assert_int_equal(
		run_with("'table': 'wh.v'", "{'not_null': ['x']}, {'row_count': {'equals': 4}}"),
		0);
	assert_int_equal(sqlite3_open(o.db, &other), SQLITE_OK);
	sqlite3_exec(other, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
	assert_int_equal(run_with("'table': 'wh.t'", "{'row_count': {'min': 1}}"), -1);
	assert_int_equal(o.err.code, ERR_BUSY);
	sqlite3_close(other);
}

/* A pattern that would run for ages on a value ends in an error of its check. */
static void slow_pattern(void **state)
{
	(void)state;
	opjob_sql(&o, "CREATE TABLE slow (a TEXT);"
		      "INSERT INTO slow VALUES (printf('%.*c!', 60, 'a'))");
	assert_int_equal(run_with("'table': 'wh.slow'", "{'pattern': {'column': 'a', 'regex': "
							"'^(a+)+$'}}, {'row_count': {'min': 1}}"),
		-1);
	assert_string_equal(result(0, "status"), "error");
	assert_non_null(strstr(result(0, "observed"), "too many steps"));
	assert_string_equal(result(1, "status"), "pass");
}

/* Load a CSV of three or four plain columns. */
static bool load(const char *name, const char *table)
{
	char path[512], line[512], sql[1200];
	sqlite3 *db;

	snprintf(path, sizeof path, "data/%s", name);
	FILE *f = fopen(cases_path(path), "re");
	if (!f)
		return false;
	assert_int_equal(sqlite3_open(o.db, &db), SQLITE_OK);
	for (int n = 0; fgets(line, sizeof line, f); n++) {
		line[strcspn(line, "\r\n")] = '\0';
		size_t used = (size_t)snprintf(sql, sizeof sql,
			n ? "INSERT INTO %s VALUES ('" : "CREATE TABLE %s (", table);
		for (char *p = line; *p && used < sizeof sql - 8; p++)
			used += (size_t)snprintf(sql + used, sizeof sql - used, "%s",
				*p != ',' ? (char[]){ *p, 0 }
				: n       ? "','"
					  : ",");
		snprintf(sql + used, sizeof sql - used, n ? "')" : ")");
		if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
			fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	}
	sqlite3_close(db);
	fclose(f);
	return true;
}

static void real_data(void **state)
{
	(void)state;
	if (!load("raw_customers.csv", "customers") || !load("raw_orders.csv", "orders") ||
		!load("raw_payments.csv", "payments")) {
		print_message("# skipped: the shared cases are not here (WEIR_CASES)\n");
		skip();
	}
	assert_int_equal(
		run_with("'table': 'wh.orders'",
			"{'unique': ['id']}, {'not_null': ['id', 'user_id', 'status']},"
			"{'relationships': {'column': 'user_id', 'to': 'customers', 'to_column': "
			"'id'}},"
			"{'accepted_values': {'column': 'status', 'values': "
			"['placed', 'shipped', 'completed', 'return_pending', 'returned']}},"
			"{'pattern': {'column': 'order_date', 'regex': "
			"'^2018-[0-9]{2}-[0-9]{2}$'}},"
			"{'row_count': {'equals': 99}}"),
		0);
	assert_int_equal(
		run_with("'table': 'wh.payments'", "{'relationships': {'column': 'order_id', 'to': "
						   "'orders', 'to_column': 'id'}},"
						   "{'range': {'column': 'amount', 'min': 0}}, "
						   "{'row_count': {'equals': 113}}"),
		0);
	/* 38 of the 100 customers have no order. */
	assert_int_equal(
		run_with("'table': 'wh.customers'", "{'relationships': {'column': 'id', 'to': "
						    "'orders', 'to_column': 'user_id'},"
						    " 'severity': 'warn', 'at_least': 0.9}"),
		0);
	assert_string_equal(result(0, "status"), "warn");
	assert_string_equal(result(0, "observed"), "62 of 100 rows (62%)");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(each_check),
		CASE(samples),
		CASE(many_checks),
		CASE(a_query),
		CASE(interval_only),
		CASE(what_is_missing),
		CASE(views_and_locks),
		CASE(slow_pattern),
		CASE(real_data),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
