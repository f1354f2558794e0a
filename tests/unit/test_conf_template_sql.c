/* conf/template.h in SQL: what is bound, what is quoted, what is refused; and that no value,
 * however hostile, gets out of its literal, as SQLite itself reads it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <sqlite3.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/template.h"
#include "conf/template_impl.h"
#include "core/zone.h"

static json_t *params;

static const char *no_env(const char *name)
{
	(void)name;
	return NULL;
}

static struct template_context context(void)
{
	return (struct template_context){
		.zone = zone_utc(),
		.params = params,
		.interval_start_us = 1795046400000000,
		.map_index = -1,
		.getenv = no_env,
	};
}

static int set_up(void **state)
{
	(void)state;
	params = json_pack(
		"{s:s, s:s, s:i, s:i, s:f, s:b, s:b, s:n, s:[s, i, s], s:[], s:[[]], s:{}}", "s",
		"it's", "q", "a\"b", "n", 5, "neg", -5, "f", 1.5, "t", 1, "no", 0, "null", "list",
		"a", 2, "c'd", "empty", "lists", "map");
	return params ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	json_decref(params);
	return 0;
}

/* NULL when rendering fails; err says why. Owned. */
static char *render(const char *text, json_t *binds, struct err *err)
{
	struct template_context ctx = context();
	struct template *t = template_parse_as(text, true, NULL, NULL, err);
	struct buf out;
	char *sql = NULL;

	buf_init(&out, BUF_MAX_TEXT);
	if (t && template_render_sql(t, &ctx, &out, binds, err) == 0)
		sql = buf_take(&out);
	buf_release(&out);
	template_free(t);
	return sql;
}

static void test_places(void **state)
{
	static const struct {
		const char *text, *sql, *binds;
	} cases[] = {
		/* values */
		{ "SELECT {{ params.s }}", "SELECT ?1", "[\"it's\"]" },
		{ "{{ params.n }}", "?1", "[5]" },
		{ "SELECT {{ params.n }}, {{ params.f }},{{ params.t }},({{ params.no }})",
			"SELECT ?1, ?2,?3,(?4)", "[5,1.5,1,0]" },
		{ "SELECT {{ params.null }}, {{ null }}", "SELECT ?1, ?2", "[null,null]" },
		{ "SELECT {{ ds }};\nSELECT {{ ds }};", "SELECT ?1;\nSELECT ?2;",
			"[\"2026-11-19\",\"2026-11-19\"]" },
		{ "a={{ data_interval_start }}", "a=?1", "[\"2026-11-19T00:00:00Z\"]" },
		{ "x IN ({{ params.list }})", "x IN (?1, ?2, ?3)", "[\"a\",2,\"c'd\"]" },
		{ "x->>{{ params.s }}", "x->>?1", "[\"it's\"]" },
		{ "x={{ params.n }}::int", "x=?1::int", "[5]" },
		{ "x::numeric(3,1) = {{ params.n }}", "x::numeric(3,1) = ?1", "[5]" },
		{ "a - {{ params.neg }}", "a - ?1", "[-5]" },
		{ "SELECT {{ \"{{\" }}", "SELECT ?1", "[\"{{\"]" },
		/* inside literals */
		{ "'{{ params.s }}'", "'it''s'", "[]" },
		{ "'a {{ params.s }} b {{ params.q }}' {{ params.n }}", "'a it''s b a\"b' ?1",
			"[5]" },
		{ "'don''t {{ params.s }}'", "'don''t it''s'", "[]" },
		{ "'{{ params.s }}''{{ params.s }}'", "'it''s''it''s'", "[]" },
		{ "'-- {{ params.n }} /*' {{ params.n }}", "'-- 5 /*' ?1", "[5]" },
		{ "\"{{ params.q }}\"", "\"a\"\"b\"", "[]" },
		{ "\"x''{{ params.s }}\"", "\"x''it's\"", "[]" },
		{ "\"a\"\"{{ params.n }}\"", "\"a\"\"5\"", "[]" },
		{ "N'{{ params.s }}'", "N'it''s'", "[]" },
		{ "'{{ params.t }} {{ params.f }} {{ ds }}'", "'true 1.5 2026-11-19'", "[]" },
		/* comments */
		{ "-- {{ params.s }} it's\n{{ params.n }}", "-- {{ params.s }} it's\n?1", "[5]" },
		{ "/* {{ params.s }} ' \" -- */{{ params.n }}", "/* {{ params.s }} ' \" -- */?1",
			"[5]" },
		{ "/**/ {{ params.n }} /*/ {{ nope } */", "/**/ ?1 /*/ {{ nope } */", "[5]" },
		{ "a/*'*/{{ params.n }}--'", "a/*'*/?1--'", "[5]" },
		{ "-- {{ unclosed\n SELECT {{ params.n }}", "-- {{ unclosed\n SELECT ?1", "[5]" },
		{ "1 - - {{ params.n }} / {{ params.n }} * 2", "1 - - ?1 / ?2 * 2", "[5,5]" },
		{ "--\r\n{{ params.n }}", "--\r\n?1", "[5]" },
		/* filters that quote */
		{ "FROM {{ \"t\" | ident }}.{{ params.q | ident }}", "FROM \"t\".\"a\"\"b\"",
			"[]" },
		{ "({{ params.list | ident }})", "(\"a\", \"2\", \"c'd\")", "[]" },
		{ "SELECT {{ params.s | sql }}, {{ params.list | sql }}",
			"SELECT 'it''s', 'a', 2, 'c''d'", "[]" },
		{ "SELECT 1 -{{ params.neg | sql }}", "SELECT 1 -(-5)", "[]" },
		{ "ORDER BY {{ \"a DESC\" | raw }}", "ORDER BY a DESC", "[]" },
		{ "t_{{ \"x\" | raw }}_y", "t_x_y", "[]" },
		{ "{{ \"'a\" | raw }}{{ params.s }}'", "'ait''s'", "[]" },
		{ "{{ params.s | sql | upper }}", "?1", "[\"'IT''S'\"]" },
		/* brackets, back quotes and dollars that do not matter */
		{ "[a b] = {{ params.n }}", "[a b] = ?1", "[5]" },
		{ "`a b` = {{ params.n }}", "`a b` = ?1", "[5]" },
		{ "$$ a $$ || {{ params.n | sql }}", "$$ a $$ || 5", "[]" },
		{ "$x$ it's $x$ || ' {{ params.s | raw }}", "$x$ it's $x$ || ' it's", "[]" },
		{ "$a$ ' $$a$ || ' {{ params.n | raw }}", "$a$ ' $$a$ || ' 5", "[]" },
		{ "$a$ x $$a$ || {{ params.n | sql }}", "$a$ x $$a$ || 5", "[]" },
		{ "a$b$c = {{ params.n }}", "a$b$c = ?1", "[5]" },
		{ "j ->> '$.a[0]' = {{ params.n }}", "j ->> '$.a[0]' = ?1", "[5]" },
		{ "E'a\\nb', {{ params.n }}", "E'a\\nb', ?1", "[5]" },
		{ "e'a\\\\', {{ params.n }}", "e'a\\\\', ?1", "[5]" },
		{ "X'ab', {{ params.n }}", "X'ab', ?1", "[5]" },
		/* no expression: the text as it is */
		{ "SELECT [it's ?1 $$ /* 'x", "SELECT [it's ?1 $$ /* 'x", "[]" },
		{ "", "", "[]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		json_t *binds = json_array();
		char *sql = render(cases[i].text, binds, &err);
		char *bound = json_dumps(binds, JSON_COMPACT);
		if (!sql || strcmp(sql, cases[i].sql) != 0 || strcmp(bound, cases[i].binds) != 0)
			fail_msg("%s\n  gave %s %s %s", cases[i].text, sql ? sql : "(error)", bound,
				err.msg);
		free(sql);
		free(bound);
		json_decref(binds);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		/* glued to a word */
		{ "t_{{ params.n }}", "the text right before it belongs to the same word" },
		{ "{{ params.n }}_t", "the text right behind it belongs" },
		{ "{{ params.n }}5", "right behind" },
		{ "{{ params.n }}{{ params.n }}", "right behind" },
		{ "{{ params.n }}{{ \"5\" | raw }}", "right behind" },
		{ "s.{{ params.s }}", "right before" },
		{ "{{ params.s }}.t", "right behind" },
		{ "'a'{{ params.s | sql }}", "right before" },
		{ "{{ params.s | sql }}'a'", "right behind" },
		{ "E{{ params.s | sql }}", "right before" },
		{ "U&{{ params.s | sql }}", "right before" },
		{ "E'a'\n{{ params.s | sql }}", "right before" },
		{ "E'a' -- c\n  {{ params.s | sql }}", "right before" },
		{ ":{{ params.n | sql }}", "right before" },
		{ "$x{{ params.s }}", "right before" },
		{ "\"a\"{{ params.q | ident }}", "right before" },
		{ "\xc3\xa9{{ params.n }}", "right before" },
		/* quoted twice */
		{ "'{{ params.s | sql }}'",
			"the inside of a '...' literal, and the filter sql adds" },
		{ "'{{ params.s | ident }}'", "the filter ident adds quotes" },
		{ "\"{{ params.s | ident }}\"", "the filter ident adds quotes" },
		/* read differently */
		{ "E'{{ params.s }}'", "PostgreSQL as the inside of an E'...' literal" },
		{ "e'\\' {{ params.s }}", "no value can be put there safely" },
		{ "E'it\\'s', '{{ params.s }}'", "no value can be put there safely" },
		{ "E'a'\n'{{ params.s }}'", "PostgreSQL as the inside of an E'...' literal" },
		{ "E'a' --x\n '{{ params.s }}'", "E'...' literal" },
		{ "[{{ params.s }}]", "SQLite reads this place as the inside of a [...]" },
		{ "[it's], '{{ params.s }}'", "no value can be put there safely" },
		{ "[it's], {{ params.s }}", "no value can be put there safely" },
		{ "['{{ params.s }}']", "[...]" },
		{ "`{{ params.s }}`", "`...` identifier" },
		{ "`it's`, {{ params.s }}", "no value can be put" },
		{ "$$ {{ params.s }} $$", "PostgreSQL as the inside of a $$...$$ literal" },
		{ "$a$ '{{ params.s }}' $a$", "$$...$$" },
		{ "$a$ $b$ {{ params.s }} $a$", "$$...$$" },
		{ "$$ it's $$ {{ params.s }}", "no value can be put" },
		{ "/* /* */ {{ params.s }} */", "PostgreSQL as a comment" },
		{ "/* /* */ '{{ params.s }}' */", "PostgreSQL as a comment" },
		{ "-- a\r{{ params.s }}", "SQLite reads this place as a comment" },
		{ "X'{{ params.s }}'", "X'...', B'...' or U&'...'" },
		{ "B'{{ params.s }}'", "X'...', B'...' or U&'...'" },
		{ "U&'{{ params.s }}'", "X'...', B'...' or U&'...'" },
		{ "U&\"{{ params.s }}\"", "X'...', B'...' or U&'...'" },
		{ "@a('{{ params.s }}')", "$name(...)" },
		/* parameters of the statement's own */
		{ "? = {{ params.n }}", "the SQL has a parameter of its own" },
		{ "{{ params.n }} = ?1", "parameter of its own" },
		{ "a = :x AND b = {{ params.n }}", "parameter of its own" },
		{ "a = @x AND b = {{ params.n }}", "parameter of its own" },
		{ "a = $x AND b = {{ params.n }}", "parameter of its own" },
		/* values that SQL has none for */
		{ "{{ params.empty }}", "the list is empty" },
		{ "({{ params.lists }})", "item 1 of the list is no single value" },
		{ "{{ params.map }}", "it is a mapping" },
		{ "'{{ params.list }}'", "it is a list" },
		{ "'{{ params.null }}'", "it is null" },
		{ "{{ env.NO }}", "it has no value here" },
		{ "{{ params.nope }}", "it has no value here" },
		{ "{{ \"\" | ident }}", "an empty name" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		json_t *binds = json_array();
		char *sql = render(cases[i].text, binds, &err);
		if (sql || !strstr(err.msg, cases[i].message))
			fail_msg("%s\n  gave %s, %s\n  expected %s", cases[i].text,
				sql ? sql : "no text", err.msg, cases[i].message);
		json_decref(binds);
	}
}

static void test_numbers_go_on(void **state)
{
	struct template_context ctx = context();
	struct template *t = template_parse("a = {{ params.n }}", NULL, NULL, NULL);
	json_t *binds = json_pack("[s, s]", "x", "y");
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	buf_addstr(&out, "kept:");
	assert_int_equal(template_render_sql(t, &ctx, &out, binds, NULL), 0);
	assert_string_equal(out.data, "kept:a = ?3");
	assert_int_equal(json_array_size(binds), 3);
	buf_release(&out);
	buf_init(&out, 5);
	assert_int_equal(template_render_sql(t, &ctx, &out, binds, NULL), -1);
	buf_release(&out);
	json_decref(binds);
	template_free(t);
}

/* What each shape must select when SQLite runs it: the value itself. */
static const char *const shapes[] = {
	"SELECT {{ params.v }}",
	"SELECT '{{ params.v }}'",
	"SELECT {{ params.v | sql }}",
	"SELECT ({{ params.v }}) -- '{{ params.v }}\n",
	"SELECT /* {{ params.v }} ' */ '{{ params.v }}'",
	"SELECT x FROM (SELECT '{{ params.v }}' AS x, 'it''s' AS \"y\"\"z\")",
	"SELECT '{{ params.v }}' /* '{{ params.v }}' */ AS \"{{ params.v }}\"",
	"SELECT {{ params.v }} AS {{ params.v | ident }}",
	"SELECT substr('''{{ params.v }}''', 2, length('{{ params.v }}'))",
	"SELECT {{ params.v }} FROM (SELECT 1 AS [a b], 2 AS `c d`, 3 AS \"e f\")",
	"SELECT x FROM (SELECT {{ params.v }} AS x) WHERE x IN ({{ params.vs }})",
	"SELECT x FROM (SELECT {{ params.v }} AS x) WHERE x IN ({{ params.vs | sql }})",
};

static const char *const hostile[] = {
	"plain",
	"'",
	"''",
	"'''",
	"\"",
	"\"\"",
	"\\",
	"\\'",
	"'\\",
	"';",
	"'; DROP TABLE t; --",
	"--",
	"/*",
	"*/",
	"*/ '",
	"'/*",
	"$$",
	"$x$",
	"'||'",
	"' OR 1=1 --",
	"\n",
	"'\n--",
	"?",
	"?1",
	"?2",
	":v",
	"@v",
	"$v",
	"{{ ds }}",
	"{{",
	"}}",
	"[",
	"]",
	"`",
	"`'`",
	"E'",
	"X'",
	"x' AS y, '",
	"\xe2\x80\x98",
	"\xca\xbc",
	" ",
	"a'b\"c`d]e",
	"0",
	"-1",
	"'''''",
	"\"'\"'",
	"\r",
	"\r\n'",
};

/* Run it; the text of the only column of the only row must be `value`, and nothing must follow. */
static void check_in_sqlite(sqlite3 *db, const char *shape, const char *value)
{
	json_t *binds = json_array();
	struct err err = { 0 };
	sqlite3_stmt *stmt = NULL;
	const char *tail = NULL;

	json_object_set_new(params, "v", json_string(value));
	json_object_set_new(params, "vs", json_pack("[s, s]", value, "other"));
	char *sql = render(shape, binds, &err);
	if (!sql)
		fail_msg("%s with <%s>: %s", shape, value, err.msg);
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, &tail) != SQLITE_OK)
		fail_msg("%s with <%s>: %s: %s", shape, value, sql, sqlite3_errmsg(db));
	assert_int_equal(*tail, '\0');
	assert_int_equal(sqlite3_bind_parameter_count(stmt), json_array_size(binds));
	for (size_t i = 0; i < json_array_size(binds); i++)
		sqlite3_bind_text(stmt, (int)i + 1, json_string_value(json_array_get(binds, i)), -1,
			SQLITE_TRANSIENT);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_int_equal(sqlite3_column_count(stmt), 1);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0), value);
	assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
	sqlite3_finalize(stmt);
	free(sql);
	json_decref(binds);
}

static void test_hostile_values(void **state)
{
	sqlite3 *db;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
		for (size_t j = 0; j < sizeof hostile / sizeof *hostile; j++)
			check_in_sqlite(db, shapes[i], hostile[j]);
	sqlite3_close(db);
}

/* Random texts of the bytes that mean something to SQL. */
static void test_random_values(void **state)
{
	static const char alphabet[] = "''\"\"\\;-*/$[]`?:@{}E1x \n";
	sqlite3 *db;
	char value[24];
	uint32_t seed = 20261119;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (int i = 0; i < 3000; i++) {
		size_t len = 1 + (seed >> 8) % (sizeof value - 1);
		for (size_t k = 0; k < len; k++) {
			seed = seed * 1664525 + 1013904223;
			value[k] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
		}
		value[len] = '\0';
		check_in_sqlite(db, shapes[(size_t)i % (sizeof shapes / sizeof *shapes)], value);
	}
	sqlite3_close(db);
}

/* A random statement text around two expressions: either it is refused, or its tokens as SQLite
 * counts them do not depend on the value. */
static int shape_of(sqlite3 *db, const char *text, const char *value, char *ret, size_t size)
{
	json_t *binds = json_array();
	sqlite3_stmt *stmt = NULL;
	const char *tail = NULL;

	json_object_set_new(params, "v", json_string(value));
	char *sql = render(text, binds, NULL);
	json_decref(binds);
	if (!sql)
		return -1;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, &tail);
	snprintf(ret, size, "%d %d %d %d", rc == SQLITE_OK, stmt ? sqlite3_column_count(stmt) : -1,
		stmt ? sqlite3_bind_parameter_count(stmt) : -1, rc == SQLITE_OK && *tail);
	sqlite3_finalize(stmt);
	free(sql);
	return 0;
}

static void test_random_statements(void **state)
{
	static const char *const pieces[] = { "'", "'", "\"", "`", "[", "]", "--", "\n", "/*", "*/",
		"$$", "$a$", "E'", "x'", "\\", ",", " ", "1", " 1 ", "a", "||", ";", "(", ")",
		"'{{ params.v }}'", "{{ params.v }}", "\"{{ params.v }}\"", "{{ params.v | sql }}",
		"{{ params.v | ident }}", "''", " AS ", ":", "U&" };
	static const char *const values[] = { "'", "\"", "a", "',1,'", "\",1,\"", "*/,1,/*",
		"\n,1--", "];1", "`,1,`", "\\',1,'", "$$,1,$$" };
	sqlite3 *db;
	uint32_t seed = 7;
	int rendered = 0, valid = 0;

	(void)state;
	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	for (int i = 0; i < 20000; i++) {
		char text[400] = "SELECT ", plain[64], got[64];
		for (int k = 0; k < 8; k++) {
			seed = seed * 1664525 + 1013904223;
			strcat(text, pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]);
		}
		if (!strstr(text, "{{") || shape_of(db, text, "zz", plain, sizeof plain) < 0)
			continue;
		rendered++;
		valid += *plain == '1';
		for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
			if (shape_of(db, text, values[k], got, sizeof got) == 0 &&
				strcmp(plain, got) != 0)
				fail_msg("%s: %s, with <%s>: %s", text, plain, values[k], got);
		}
	}
	assert_true(rendered > 1000 && valid > 100);
	sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_numbers_go_on),
		cmocka_unit_test(test_hostile_values),
		cmocka_unit_test(test_random_values),
		cmocka_unit_test(test_random_statements),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
