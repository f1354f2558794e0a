/* render_with and render_any: the `with:` of a task to typed JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/err.h"
#include "conf/diag.h"
#include "conf/schema.h"
#include "conf/template.h"
#include "conf/yaml.h"
#include "core/zone.h"

static json_t *params;
static char dir[] = "/tmp/weir-test-render-XXXXXX";

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
		.interval_end_us = 1795132800000000,
		.map_index = -1,
		.getenv = no_env,
	};
}

static void write_file(const char *name, const char *text, size_t len)
{
	char path[200];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static const char *const file_names[] = { "q.sql", "bad.sql", "open.sql", "nul.sql" };

static int set_up(void **state)
{
	static const char *const texts[] = { "SELECT {{ params.n }} -- {{ x\n",
		"SELECT 1,\n  t_{{ params.n }}", "SELECT\n  {{ ds", "a\0b" };

	(void)state;
	params = json_loads(
		"{\"n\": 7, \"s\": \"it's\", \"cols\": [\"a\", \"b\"], \"mixed\": [\"5\", 5, null],"
		"\"d\": \"30m\", \"t\": true, \"null\": null, \"nul\": \"a\\u0000b\"}",
		JSON_ALLOW_NUL, NULL);
	if (!params || !mkdtemp(dir))
		return -1;
	for (size_t i = 0; i < 4; i++)
		write_file(file_names[i], texts[i], i == 3 ? 3 : strlen(texts[i]));
	return 0;
}

static int tear_down(void **state)
{
	char path[200];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, file_names[i]);
		unlink(path);
	}
	rmdir(dir);
	json_decref(params);
	return 0;
}

static const char *const modes[] = { "append", "replace", NULL };
static const struct field name_item = { .type = FIELD_NAME, .flags = FIELD_TEMPLATE };
static const struct field value_item = { .type = FIELD_VALUE, .flags = FIELD_TEMPLATE };
static const struct field range_fields[] = {
	{ .key = "column", .type = FIELD_STRING, .flags = FIELD_REQUIRED },
	{ .key = "min", .type = FIELD_VALUE, .flags = FIELD_TEMPLATE },
	{ .key = "at_least", .type = FIELD_PERCENT, .def = "100%" },
	{ 0 },
};
static const struct field check_fields[] = {
	{ .key = "not_null", .type = FIELD_LIST, .flags = FIELD_OR_ONE, .item = &name_item },
	{ .key = "range", .type = FIELD_OBJECT, .fields = range_fields },
	{ .key = "limit", .type = FIELD_INT, .def = "5" },
	{ 0 },
};
static const struct field check_item = {
	.type = FIELD_OBJECT, .flags = FIELD_ONE_KEY, .fields = check_fields
};
static const struct field fields[] = {
	{ .key = "path", .type = FIELD_PATH, .flags = FIELD_TEMPLATE },
	{ .key = "literal", .type = FIELD_STRING },
	{ .key = "name", .type = FIELD_NAME, .flags = FIELD_TEMPLATE },
	{ .key = "flag", .type = FIELD_BOOL, .flags = FIELD_TEMPLATE },
	{ .key = "limit", .type = FIELD_INT, .flags = FIELD_TEMPLATE, .has_max = true, .max = 100 },
	{ .key = "ratio", .type = FIELD_FLOAT, .flags = FIELD_TEMPLATE },
	{ .key = "wait", .type = FIELD_DURATION, .flags = FIELD_TEMPLATE },
	{ .key = "size", .type = FIELD_SIZE, .flags = FIELD_TEMPLATE },
	{ .key = "max_rejected", .type = FIELD_PERCENT, .flags = FIELD_TEMPLATE },
	{ .key = "mode", .type = FIELD_ENUM, .flags = FIELD_TEMPLATE, .values = modes },
	{ .key = "day", .type = FIELD_DATE, .flags = FIELD_TEMPLATE },
	{ .key = "into", .type = FIELD_TABLE, .flags = FIELD_TEMPLATE },
	{ .key = "query", .type = FIELD_SQL },
	{ .key = "file", .type = FIELD_SQL_FILE, .flags = FIELD_TEMPLATE },
	{ .key = "password", .type = FIELD_STRING, .flags = FIELD_SECRET | FIELD_TEMPLATE },
	{ .key = "value", .type = FIELD_VALUE, .flags = FIELD_TEMPLATE },
	{ .key = "any", .type = FIELD_ANY, .flags = FIELD_TEMPLATE },
	{ .key = "fixed", .type = FIELD_ANY },
	{ .key = "columns", .type = FIELD_LIST, .flags = FIELD_OR_ONE, .item = &name_item },
	{ .key = "values", .type = FIELD_LIST, .flags = FIELD_OR_ONE, .item = &value_item },
	{ .key = "few",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.item = &name_item,
		.has_max = true,
		.max = 1 },
	{ .key = "map", .type = FIELD_MAP, .item = &value_item },
	{ .key = "object", .type = FIELD_OBJECT, .fields = range_fields },
	{ .key = "checks", .type = FIELD_LIST, .item = &check_item },
	{ 0 },
};
static const struct field default_fields[] = {
	{ .key = "wait", .type = FIELD_DURATION, .def = "1h30m" },
	{ .key = "size", .type = FIELD_SIZE, .def = "10MiB" },
	{ .key = "max", .type = FIELD_PERCENT, .def = "1%" },
	{ .key = "flag", .type = FIELD_BOOL, .def = "true" },
	{ .key = "mode", .type = FIELD_ENUM, .values = modes, .def = "append" },
	{ .key = "path", .type = FIELD_PATH, .flags = FIELD_TEMPLATE, .def = "out/{{ ds }}.csv" },
	{ .key = "columns",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.item = &name_item,
		.def = "id" },
	{ .key = "none", .type = FIELD_INT },
	{ 0 },
};

/* The JSON of a YAML mapping, or NULL with err. */
static json_t *render(const char *yaml, const struct field *rows, struct err *err)
{
	struct template_context ctx = context();
	struct yaml_doc doc;
	struct diags diags;

	diags_init(&diags);
	if (yaml_parse(&doc, "dags/x.yaml", yaml, strlen(yaml), &diags) < 0)
		fail_msg("%s: %s", yaml, diags.list[0].message);
	json_t *json = rows ? render_with(doc.root, rows, &ctx, dir, err)
			    : render_any(doc.root, &ctx, err);
	yaml_release(&doc);
	diags_release(&diags);
	return json;
}

static void check(const char *yaml, const struct field *rows, const char *expected)
{
	struct err err = { 0 };
	json_t *json = render(yaml, rows, &err);
	char *got = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	if (!got || strcmp(got, expected) != 0)
		fail_msg("%s\n  gave     %s\n  expected %s", yaml, got ? got : err.msg, expected);
	free(got);
	json_decref(json);
}

static void test_types(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "", "{}" },
		{ "path: \"in/{{ ds }}/x.csv\"", "{\"path\":\"in/2026-11-19/x.csv\"}" },
		{ "path: in/x.csv", "{\"path\":\"in/x.csv\"}" },
		{ "path: '{{ ds }}'", "{\"path\":\"2026-11-19\"}" },
		{ "literal: '{{ ds }}'", "{\"literal\":\"{{ ds }}\"}" },
		{ "literal: 08", "{\"literal\":\"08\"}" },
		{ "literal: true", "{\"literal\":\"true\"}" },
		{ "flag: true", "{\"flag\":true}" },
		{ "flag: '{{ params.t }}'", "{\"flag\":true}" },
		{ "limit: 5", "{\"limit\":5}" },
		{ "limit: '{{ params.n }}'", "{\"limit\":7}" },
		{ "limit: '1{{ params.n }}'", "{\"limit\":17}" },
		{ "ratio: 0.5", "{\"ratio\":0.5}" },
		{ "ratio: '{{ params.n }}'", "{\"ratio\":7.0}" },
		{ "wait: 90s", "{\"wait\":90000000}" },
		{ "wait: '{{ params.d }}'", "{\"wait\":1800000000}" },
		{ "size: 10MiB", "{\"size\":10485760}" },
		{ "max_rejected: 50%", "{\"max_rejected\":0.5}" },
		{ "max_rejected: '{{ params.n }}5%'", "{\"max_rejected\":0.75}" },
		{ "mode: replace", "{\"mode\":\"replace\"}" },
		{ "day: '{{ ds | add_days(1) }}'", "{\"day\":\"2026-11-20\"}" },
		{ "into: 'warehouse.t_{{ ds_nodash }}'", "{\"into\":\"warehouse.t_20261119\"}" },
		{ "password: { env: PGPASSWORD }", "{\"password\":{\"env\":\"PGPASSWORD\"}}" },
		{ "password: { file: '{{ x' }", "{\"password\":{\"file\":\"{{ x\"}}" },
		{ "password: 'a{{ ds }}'", "{\"password\":\"a{{ ds }}\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check(cases[i].yaml, fields, cases[i].json);
}

static void test_types_are_kept(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "value: 5", "{\"value\":5}" },
		{ "value: '5'", "{\"value\":\"5\"}" },
		{ "value: 5.0", "{\"value\":5.0}" },
		{ "value: true", "{\"value\":true}" },
		{ "value: null", "{\"value\":null}" },
		{ "value:", "{\"value\":null}" },
		{ "value: NO", "{\"value\":\"NO\"}" },
		{ "value: '{{ params.n }}'", "{\"value\":7}" },
		{ "value: '{{ params.n | string }}'", "{\"value\":\"7\"}" },
		{ "value: ' {{ params.n }}'", "{\"value\":\" 7\"}" },
		{ "value: '{{ params.t }}'", "{\"value\":true}" },
		{ "value: '{{ params.null }}'", "{\"value\":null}" },
		{ "value: '{{ ds }}'", "{\"value\":\"2026-11-19\"}" },
		{ "any: '{{ params.cols }}'", "{\"any\":[\"a\",\"b\"]}" },
		{ "any: [1, '{{ params.n }}', { k: 'x{{ params.n }}', l: ~ }, '{{ params.cols }}', "
		  ".inf]",
			"{\"any\":[1,7,{\"k\":\"x7\",\"l\":null},[\"a\",\"b\"],\".inf\"]}" },
		{ "any: { a: { b: [] }, c: {} }", "{\"any\":{\"a\":{\"b\":[]},\"c\":{}}}" },
		{ "fixed: ['{{ ds }}']", "{\"fixed\":[\"{{ ds }}\"]}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check(cases[i].yaml, fields, cases[i].json);
	check("['{{ params.n }}', 'a{{ ds }}', 1.5, null]", NULL, "[7,\"a2026-11-19\",1.5,null]");
	check("'{{ params.s }}'", NULL, "\"it's\"");
}

static void test_collections(void **state)
{
	static const struct {
		const char *yaml, *json;
	} cases[] = {
		{ "columns: a", "{\"columns\":[\"a\"]}" },
		{ "columns: [a, 'b{{ params.n }}']", "{\"columns\":[\"a\",\"b7\"]}" },
		{ "columns: '{{ params.cols }}'", "{\"columns\":[\"a\",\"b\"]}" },
		{ "columns: 'c{{ params.n }}'", "{\"columns\":[\"c7\"]}" },
		{ "columns: []", "{\"columns\":[]}" },
		{ "values: [1, '1', '{{ params.n }}', null]", "{\"values\":[1,\"1\",7,null]}" },
		{ "values: '{{ params.mixed }}'", "{\"values\":[\"5\",5,null]}" },
		{ "map: { a: 1, b: '{{ params.n }}' }", "{\"map\":{\"a\":1,\"b\":7}}" },
		{ "object: { column: x }", "{\"object\":{\"column\":\"x\",\"at_least\":1.0}}" },
		{ "object:", "{\"object\":{\"at_least\":1.0}}" },
		{ "checks: [not_null: [a, b], not_null: c, range: { column: x, min: 0 }]",
			"{\"checks\":[{\"not_null\":[\"a\",\"b\"]},{\"not_null\":[\"c\"]},"
			"{\"range\":{\"column\":\"x\",\"min\":0,\"at_least\":1.0}}]}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check(cases[i].yaml, fields, cases[i].json);
}

static void test_defaults(void **state)
{
	(void)state;
	check("{}", default_fields,
		"{\"wait\":5400000000,\"size\":10485760,\"max\":0.01,\"flag\":true,\"mode\":"
		"\"append\","
		"\"path\":\"out/2026-11-19.csv\",\"columns\":[\"id\"]}");
	check("{ wait: 1s, columns: [], none: 3, mode: ~ }", default_fields,
		"{\"wait\":1000000,\"size\":10485760,\"max\":0.01,\"flag\":true,\"mode\":"
		"\"append\","
		"\"path\":\"out/2026-11-19.csv\",\"columns\":[],\"none\":3}");
}

static void test_sql(void **state)
{
	char expected[300];

	(void)state;
	check("query: SELECT {{ params.s }}, '{{ params.s }}' -- {{ x", fields,
		"{\"query\":{\"text\":\"SELECT ?1, 'it''s' -- {{ x\",\"binds\":[\"it's\"]}}");
	check("query: SELECT 1", fields, "{\"query\":{\"text\":\"SELECT 1\",\"binds\":[]}}");
	snprintf(expected, sizeof expected,
		"{\"file\":{\"text\":\"SELECT ?1 -- {{ "
		"x\\n\",\"binds\":[7],\"file\":\"%s/q.sql\"}}",
		dir);
	check("file: q.sql", fields, expected);
	check("file: '{{ \"q\" }}.sql'", fields, expected);
}

static void test_errors(void **state)
{
	static const struct {
		const char *yaml;
		int line, col;
		const char *message;
	} cases[] = {
		{ "limit: 1\npath: '{{ nope }}'", 2, 7, "path: {{ nope }}: unknown name \"nope\"" },
		{ "path: '{{ env.X }}'", 1, 7, "path: {{ env.X }}: it has no value here" },
		{ "path: '{{ ds'", 1, 7, "path: no \"}}\" closes" },
		{ "value: '{{ env.X }}'", 1, 8, "value: {{ env.X }}: it has no value" },
		{ "value: '{{ ds | nope }}'", 1, 8,
			"value: {{ ds | nope }}: nope: unknown filter" },
		{ "limit: '{{ ds }}'", 1, 8, "limit: expected an integer, found \"2026-11-19\"" },
		{ "limit: '{{ params.n }}00'", 1, 8, "limit: must be at most 100" },
		{ "wait: '{{ params.s }}'", 1, 7, "wait: " },
		{ "mode: 'r{{ params.s }}'", 1, 7,
			"mode: \"rit's\" is not one of append, replace" },
		{ "path: '{{ params.nul }}'", 1, 7,
			"path: {{ params.nul }}: the text holds a NUL" },
		{ "columns: [a, '{{ ds }}']", 1, 14,
			"columns: item 2: \"2026-11-19\" is not a name" },
		{ "columns: '{{ params.mixed }}'", 1, 10, "columns: item 1: \"5\" is not a name" },
		{ "map: { a: 1, b: '{{ x }}' }", 1, 17, "map: b: {{ x }}: unknown name" },
		{ "any:\n  - k:\n    - '{{ x }}'", 3, 7, "any: k: {{ x }}: unknown name" },
		{ "checks:\n  - range: { column: a, min: '{{ x }}' }", 2, 30,
			"checks: item 1: range: min: {{ x }}: unknown name" },
		{ "query: t_{{ params.n }}", 1, 8,
			"query: {{ params.n }}: the text right before it" },
		{ "file: no.sql", 1, 7, "file: " },
		{ "few: '{{ params.cols }}'", 1, 6, "few: 2 items, at most 1 are allowed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		json_t *json = render(cases[i].yaml, fields, &err);
		if (json || err.line != cases[i].line || err.col != cases[i].col ||
			strcmp(err.file, "dags/x.yaml") != 0 || !strstr(err.msg, cases[i].message))
			fail_msg("%s: %s:%d:%d: %s", cases[i].yaml, err.file, err.line, err.col,
				err.msg);
		assert_null(render(cases[i].yaml, fields, NULL));
	}
}

/* Errors inside an SQL file are placed in that file. */
static void test_errors_in_sql_files(void **state)
{
	static const struct {
		const char *name;
		int line, col;
		const char *message;
	} cases[] = {
		{ "bad.sql", 2, 5, "file: {{ params.n }}: the text right before" },
		{ "open.sql", 2, 3, "file: no \"}}\" closes" },
	};
	char yaml[100], path[200];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		snprintf(yaml, sizeof yaml, "file: %s", cases[i].name);
		snprintf(path, sizeof path, "%s/%s", dir, cases[i].name);
		assert_null(render(yaml, fields, &err));
		assert_string_equal(err.file, path);
		assert_int_equal(err.line, cases[i].line);
		assert_int_equal(err.col, cases[i].col);
		assert_non_null(strstr(err.msg, cases[i].message));
	}
	struct err err = { 0 };
	assert_null(render("file: nul.sql", fields, &err));
	assert_non_null(strstr(err.msg, "NUL"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_types_are_kept),
		cmocka_unit_test(test_collections),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_sql),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_errors_in_sql_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
