/* Schema tables: checks and their messages, conversion, JSON Schema, and the printed references. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/schema.h"
#include "conf/yaml.h"

static const char *const modes[] = { "append", "replace", "merge", NULL };
static const char *const connections[] = { "warehouse", "crm", NULL };

static const struct field name_item = { .type = FIELD_NAME };
static const struct field any_item = { .type = FIELD_ANY };
static const struct field duration_item = { .type = FIELD_DURATION };
static const struct field text_item = { .type = FIELD_STRING, .flags = FIELD_TEMPLATE };

static const struct field range_fields[] = {
	{ .key = "column", .type = FIELD_NAME, .flags = FIELD_REQUIRED, .example = "price" },
	{ .key = "min", .type = FIELD_FLOAT },
	{ 0 },
};
static const struct field check_fields[] = {
	{ .key = "not_null", .type = FIELD_LIST, .flags = FIELD_OR_ONE, .item = &name_item },
	{ .key = "range", .type = FIELD_OBJECT, .fields = range_fields },
	{ 0 },
};
static const struct field check_item = {
	.type = FIELD_OBJECT,
	.flags = FIELD_ONE_KEY,
	.fields = check_fields,
};

static const struct field rows[] = {
	{ .key = "text", .type = FIELD_STRING, .help = "A text. It begins.", .def = "x" },
	{ .key = "name", .type = FIELD_NAME, .flags = FIELD_REQUIRED, .example = "nightly" },
	{ .key = "flag", .type = FIELD_BOOL, .def = "true" },
	{ .key = "retries",
		.type = FIELD_INT,
		.flags = FIELD_TEMPLATE,
		.has_min = true,
		.has_max = true,
		.max = 100,
		.def = "3" },
	{ .key = "ratio", .type = FIELD_FLOAT, .has_min = true },
	{ .key = "timeout",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = US_PER_SECOND,
		.help = ".Dangerous \\ text",
		.example = "30m" },
	{ .key = "size", .type = FIELD_SIZE, .has_max = true, .max = 1 << 30 },
	{ .key = "share", .type = FIELD_PERCENT },
	{ .key = "mode", .type = FIELD_ENUM, .flags = FIELD_TEMPLATE, .values = modes },
	{ .key = "day", .type = FIELD_DATE, .flags = FIELD_TEMPLATE },
	{ .key = "path", .type = FIELD_PATH, .flags = FIELD_TEMPLATE },
	{ .key = "file", .type = FIELD_FILE, .flags = FIELD_TEMPLATE },
	{ .key = "sql", .type = FIELD_SQL },
	{ .key = "sqlfile", .type = FIELD_SQL_FILE },
	{ .key = "conn", .type = FIELD_CONNECTION },
	{ .key = "table", .type = FIELD_TABLE },
	{ .key = "pattern", .type = FIELD_REGEX },
	{ .key = "value", .type = FIELD_VALUE },
	{ .key = "needs",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.item = &name_item,
		.has_min = true,
		.min = 1 },
	{ .key = "times", .type = FIELD_LIST, .item = &duration_item },
	{ .key = "checks", .type = FIELD_LIST, .item = &check_item },
	{ .key = "env", .type = FIELD_MAP, .item = &text_item },
	{ .key = "range", .type = FIELD_OBJECT, .fields = range_fields },
	{ .key = "password", .type = FIELD_STRING, .flags = FIELD_SECRET },
	{ .key = "extra", .type = FIELD_MAP, .item = &any_item },
	{ 0 },
};

/* A folder with a file and a SQL file. */
static char folder[] = "/tmp/weir-schema-XXXXXX";

static int make_folder(void **state)
{
	char path[200];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/orders.yaml", folder);
	assert_int_equal(io_write_file(path, "x", 1, NULL), 0);
	snprintf(path, sizeof path, "%s/daily.sql", folder);
	return io_write_file(path, "select {{ ds }}", 15, NULL);
}

static int remove_folder(void **state)
{
	char path[200];

	(void)state;
	snprintf(path, sizeof path, "%s/orders.yaml", folder);
	unlink(path);
	snprintf(path, sizeof path, "%s/daily.sql", folder);
	unlink(path);
	return rmdir(folder);
}

static void seen_template(void *arg, const struct schema_template *t, struct diags *diags)
{
	struct buf *seen = arg;

	(void)diags;
	buf_addf(seen, "[%s%s%s]", t->file ? io_path_base(t->file) : "", t->file ? ": " : "",
		t->text);
}

/* Check the text by the rows; what is printed goes to out, templates seen to `seen`. */
static size_t check(const char *text, struct buf *out, struct buf *seen)
{
	struct schema_env env = { .dir = folder,
		.connections = connections,
		.check_template = seen_template,
		.arg = seen };
	struct yaml_doc doc;
	struct diags d;

	diags_init(&d);
	if (yaml_parse(&doc, "x.yaml", text, strlen(text), &d) < 0)
		fail_msg("not YAML: %s", text);
	size_t errors = schema_check(doc.root, rows, "the test", &env, &d);
	assert_int_equal(errors, d.nerrors);
	diags_print(&d, out, false);
	yaml_release(&doc);
	diags_release(&d);
	return errors;
}

static void test_valid(void **state)
{
	static const char *const texts[] = {
		"text: 12",
		"text: true",
		"text: ''",
		"flag: False",
		"retries: 0",
		"retries: 0x10",
		"retries: '{{ params.n }}'",
		"ratio: 1",
		"ratio: 1.5",
		"timeout: 1h30m",
		"size: 512",
		"size: 1.5MiB",
		"share: 1%",
		"share: 0.5",
		"share: 1",
		"mode: append",
		"mode: '{{ m }}'",
		"day: 2024-02-29",
		"day: '{{ ds }}'",
		"path: no/such/file",
		"file: orders.yaml",
		"file: './orders.yaml'",
		"file: '{{ ds }}.yaml'",
		"sql: select 1",
		"sqlfile: daily.sql",
		"conn: crm",
		"table: warehouse.raw_orders",
		"pattern: '^[a-z]+$'",
		"value: ~",
		"value: 1",
		"needs: a",
		"needs: [a, b]",
		"times: []",
		"times: [1s, 0]",
		"checks: [{not_null: a}, {not_null: [a, b]}, {range: {column: a}}]",
		"env: {A: 1, B: '{{ x }}'}",
		"env: {}",
		"password: {env: X}",
		"password: {file: secrets/x}",
		"extra: {a: [1, {b: ~}], c: ~}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct buf out, seen;
		char text[300];
		buf_init(&out, BUF_MAX_TEXT);
		buf_init(&seen, BUF_MAX_TEXT);
		snprintf(text, sizeof text, "name: x\n%s\n", texts[i]);
		if (check(text, &out, &seen) || out.len)
			fail_msg("%s: %s", texts[i], out.data);
		buf_release(&out);
		buf_release(&seen);
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "retrys: 3",
			"x.yaml:2:1: error: unknown key \"retrys\"; did you mean \"retries\"?" },
		{ "zzzzzzzzzz: 3", "error: unknown key \"zzzzzzzzzz\"\n" },
		{ "zzzzzzzzzz: 3", "allowed in the test: text, name, flag" },
		{ "text: [a]", "2:7: error: text: expected a string, found a list" },
		{ "text:", "text: expected a string, found nothing" },
		{ "text: ~", "text: expected a string, found null" },
		{ "flag: yes", "flag: expected true or false, found \"yes\"" },
		{ "flag: 'true'", "flag: expected true or false, found the string \"true\"" },
		{ "retries: '3'", "retries: expected an integer, found the string \"3\"" },
		{ "retries: '3'", "write it without quotes" },
		{ "retries: 1.5", "retries: expected an integer, found \"1.5\"" },
		{ "retries: -1", "retries: must be from 0 to 100" },
		{ "retries: 101", "retries: must be from 0 to 100" },
		{ "ratio: -0.5", "ratio: must be at least 0" },
		{ "ratio: .nan", "ratio: expected a number, found \".nan\"" },
		{ "ratio: abc", "ratio: expected a number" },
		{ "ratio: '{{ x }}'", "templates are not rendered here" },
		{ "timeout: 30", "timeout: 30 what? write 30s or 30m" },
		{ "timeout: [1s]", "timeout: expected a duration such as 30m, found a list" },
		{ "timeout: [1s]", "example: timeout: 30m" },
		{ "timeout: 1ms", "timeout: must be at least 1s" },
		{ "timeout: 0", "timeout: must be at least 1s" },
		{ "size: 2GiB", "size: must be at most 1 GiB" },
		{ "size: 10M", "write \"MiB\"" },
		{ "share: 5", "share: 5 what? write 5%" },
		{ "mode: apend", "is not one of append, replace, merge; did you mean \"append\"?" },
		{ "mode: {a: 1}", "mode: expected one of append, replace, merge, found a mapping" },
		{ "day: 2023-02-29",
			"day: expected a date such as 2026-11-19, found \"2023-02-29\"" },
		{ "day: 2023-2-9", "day: expected a date" },
		{ "path: ''", "path: must not be empty" },
		{ "file: order.yaml", "file: no such file: order.yaml (looked in " },
		{ "file: order.yaml", "did you mean \"orders.yaml\"?" },
		{ "file: sub/x.yaml", "there is no folder " },
		{ "file: .", "file: . is a folder, not a file" },
		{ "sqlfile: dayly.sql", "did you mean \"daily.sql\"?" },
		{ "conn: warehous",
			"conn: no connection \"warehous\"; did you mean \"warehouse\"?" },
		{ "conn: nothing_like_it", "connections of weir.yaml: warehouse, crm" },
		{ "table: orders", "table: expected connection.table, such as warehouse.orders" },
		{ "table: warehose.orders",
			"no connection \"warehose\"; did you mean \"warehouse\"?" },
		{ "table: warehouse.a b", "\"a b\" is not a table's name" },
		{ "pattern: 'a(b'",
			"x.yaml:2:14: error: pattern: not a regular expression: missing" },
		{ "value: [1]", "value: expected a single value, found a list" },
		{ "needs: []", "needs: the number of items must be at least 1" },
		{ "needs: [a, b c]", "x.yaml:2:12: error: needs: \"b c\" is not a name" },
		{ "needs:", "needs: expected a list, found nothing" },
		{ "times: 1s", "times: expected a list, found \"1s\"" },
		{ "times: [1s, x]", "x.yaml:2:13: error: times: \"x\" is not a duration" },
		{ "checks: [{not_null: a, range: {column: a}}]",
			"checks: expected exactly one key, found 2" },
		{ "checks: [{}]", "checks: expected exactly one key, found 0" },
		{ "checks: [row]", "checks: expected a mapping with one key, found row" },
		{ "checks: [row]", "one of: not_null, range" },
		{ "checks: [{not_nul: a}]", "did you mean \"not_null\"?" },
		{ "checks: [{range: {min: 1}}]",
			"x.yaml:2:18: error: range: \"column\" is missing" },
		{ "checks: [{range: {min: 1}}]", "add, for example, column: price" },
		{ "env: {A: [1]}", "A: expected a string, found a list" },
		{ "env: [A]", "env: expected a mapping, found a list" },
		{ "range: x", "range: expected a mapping, found \"x\"" },
		{ "password: {vault: X}", "unknown key \"vault\"" },
		{ "password: {env: X, file: Y}", "password: expected exactly one key, found 2" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out, seen;
		char text[300];
		buf_init(&out, BUF_MAX_TEXT);
		buf_init(&seen, BUF_MAX_TEXT);
		snprintf(text, sizeof text, "name: x\n%s\n", cases[i].text);
		size_t errors = check(text, &out, &seen);
		if (errors == 0 || !strstr(out.data, cases[i].message))
			fail_msg("%s\ngave\n%s\nnot\n%s", text, out.data, cases[i].message);
		buf_release(&out);
		buf_release(&seen);
	}
}

static void test_required(void **state)
{
	struct buf out, seen;

	(void)state;
	buf_init(&out, BUF_MAX_TEXT);
	buf_init(&seen, BUF_MAX_TEXT);
	assert_int_equal(check("text: x\n", &out, &seen), 1);
	assert_non_null(strstr(out.data, "the test: \"name\" is missing"));
	assert_non_null(strstr(out.data, "add, for example, name: nightly"));
	/* Misspelt is not also missing. */
	buf_clear(&out);
	assert_int_equal(check("nmae: x\n", &out, &seen), 1);
	assert_non_null(strstr(out.data, "did you mean \"name\"?"));
	/* An empty document lacks it, too. */
	buf_clear(&out);
	assert_int_equal(check("", &out, &seen), 1);
	buf_clear(&out);
	assert_int_equal(check("[a]", &out, &seen), 1);
	assert_non_null(strstr(out.data, "the test: expected a mapping, found a list"));
	buf_release(&out);
	buf_release(&seen);
}

static void test_templates(void **state)
{
	struct buf out, seen;

	(void)state;
	buf_init(&out, BUF_MAX_TEXT);
	buf_init(&seen, BUF_MAX_TEXT);
	size_t errors =
		check("name: x\nretries: '{{ a }}'\nsql: select {{ b }}\nsqlfile: daily.sql\n"
		      "path: x\nenv: {A: '{{ c }}'}\ntext: '{{ d }}'\n",
			&out, &seen);
	assert_int_equal(errors, 0);
	assert_string_equal(
		seen.data, "[{{ a }}][select {{ b }}][daily.sql: select {{ ds }}][{{ c }}]");
	assert_non_null(
		strstr(out.data, "x.yaml:7:7: warning: text: templates are not rendered here"));
	buf_release(&out);
	buf_release(&seen);
}

static void test_secret_warning(void **state)
{
	struct buf out, seen;

	(void)state;
	buf_init(&out, BUF_MAX_TEXT);
	buf_init(&seen, BUF_MAX_TEXT);
	assert_int_equal(check("name: x\npassword: hunter2\n", &out, &seen), 0);
	assert_non_null(strstr(out.data, "warning: password written in the file"));
	assert_non_null(strstr(out.data, "use {env: NAME} or {file: PATH}"));
	buf_release(&out);
	buf_release(&seen);
}

static void test_value_of_text(void **state)
{
	static const struct {
		const char *key, *text, *json; /* json NULL: an error */
	} cases[] = {
		{ "text", "12", "\"12\"" },
		{ "flag", "true", "true" },
		{ "flag", "1", NULL },
		{ "retries", "08", "8" },
		{ "retries", "101", NULL },
		{ "retries", " 8", NULL },
		{ "retries", "", NULL },
		{ "retries", "99999999999999999999", NULL },
		{ "ratio", "1.5", "1.5" },
		{ "ratio", ".inf", NULL },
		{ "timeout", "30m", "1800000000" },
		{ "timeout", "30", NULL },
		{ "size", "10KiB", "10240" },
		{ "share", "50%", "0.5" },
		{ "mode", "merge", "\"merge\"" },
		{ "mode", "x", NULL },
		{ "day", "2026-11-19", "\"2026-11-19\"" },
		{ "sql", "select 1", "{\"text\": \"select 1\", \"binds\": []}" },
		{ "sqlfile", "x.sql", "{\"file\": \"x.sql\"}" },
		{ "conn", "x", "\"x\"" },
		{ "table", "a.b", "\"a.b\"" },
		{ "table", "a", NULL },
		{ "pattern", "(", NULL },
		{ "value", "12", "12" },
		{ "value", "0.5", "0.5" },
		{ "value", "no", "\"no\"" },
		{ "value", "", "null" },
		{ "needs", "a", "[\"a\"]" },
		{ "needs", "a b", NULL },
		{ "times", "1s", NULL },
		{ "range", "x", NULL },
		{ "text", "\xff", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		json_t *got =
			schema_value_of_text(schema_find(rows, cases[i].key), cases[i].text, &err);
		json_t *want =
			cases[i].json ? json_loads(cases[i].json, JSON_DECODE_ANY, NULL) : NULL;
		if (!want != !got || (want && !json_equal(got, want)))
			fail_msg("%s of %s: %s", cases[i].text, cases[i].key, err.msg);
		assert_int_equal(!got, err.code != ERR_NONE);
		json_decref(got);
		json_decref(want);
	}
}

static json_t *path(json_t *json, const char *keys)
{
	char copy[200], *save;

	snprintf(copy, sizeof copy, "%s", keys);
	for (char *key = strtok_r(copy, "/", &save); key; key = strtok_r(NULL, "/", &save))
		json = json_is_array(json) ? json_array_get(json, (size_t)atoi(key))
					   : json_object_get(json, key);
	return json;
}

static void test_json_schema(void **state)
{
	static const struct {
		const char *path, *json;
	} cases[] = {
		{ "$schema", "\"https://json-schema.org/draft/2020-12/schema\"" },
		{ "description", "\"D\"" },
		{ "type", "\"object\"" },
		{ "additionalProperties", "false" },
		{ "required", "[\"name\"]" },
		{ "properties/text/default", "\"x\"" },
		{ "properties/text/description", "\"A text. It begins.\"" },
		{ "properties/name/examples", "[\"nightly\"]" },
		{ "properties/flag", "{\"type\": \"boolean\", \"default\": true}" },
		{ "properties/retries/anyOf/0",
			"{\"type\": \"integer\", \"minimum\": 0, \"maximum\": 100}" },
		{ "properties/retries/anyOf/1",
			"{\"type\": \"string\", \"pattern\": \"\\\\{\\\\{\"}" },
		{ "properties/retries/default", "3" },
		{ "properties/mode/anyOf/0/enum", "[\"append\", \"replace\", \"merge\"]" },
		{ "properties/needs/oneOf/1/minItems", "1" },
		{ "properties/needs/oneOf/1/type", "\"array\"" },
		{ "properties/checks/items/oneOf",
			"[{\"required\": [\"not_null\"]}, {\"required\": [\"range\"]}]" },
		{ "properties/checks/items/maxProperties", "1" },
		{ "properties/range/required", "[\"column\"]" },
		{ "properties/env/additionalProperties/type",
			"[\"string\", \"number\", \"boolean\"]" },
		{ "properties/password/oneOf/1/required", "[\"env\"]" },
		{ "properties/path", "{\"type\": \"string\", \"minLength\": 1}" },
	};
	json_t *schema = schema_json(rows, "D"), *part = schema_json_part(rows, NULL);

	(void)state;
	assert_non_null(schema);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *want = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
		assert_non_null(want);
		if (!json_equal(path(schema, cases[i].path), want))
			fail_msg("%s is not %s", cases[i].path, cases[i].json);
		json_decref(want);
	}
	assert_null(json_object_get(part, "$schema"));
	assert_null(json_object_get(part, "description"));
	json_decref(schema);
	json_decref(part);
}

static void test_print(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, BUF_MAX_TEXT);
	schema_print_text(rows, &out, 2);
	assert_non_null(
		strstr(out.data, "  text (string)\n      A text. It begins. Default: x.\n"));
	assert_non_null(strstr(out.data, "  name (name, required)\n"));
	assert_non_null(strstr(out.data, "  mode (one of append, replace, merge)\n"));
	assert_non_null(strstr(out.data, "  needs (list of names, or one)\n"));
	assert_non_null(
		strstr(out.data, "  checks (list of mappings)\n      not_null (list of names"));
	buf_clear(&out);
	schema_print_mdoc(rows, &out);
	assert_non_null(
		strstr(out.data, ".It Cm text\nstring.\nA text.\nIt begins.\nDefault: x.\n"));
	assert_non_null(strstr(out.data, "\n\\&.Dangerous \\e text Example: 30m\n"));
	buf_release(&out);
}

static void test_names(void **state)
{
	(void)state;
	for (int i = 0; i < FIELD_TYPE_MAX; i++)
		assert_non_null(schema_type_name((enum field_type)i));
	assert_null(schema_find(rows, "none"));
	assert_null(schema_find(NULL, "none"));
	assert_ptr_equal(schema_find(rows, "text"), &rows[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_required),
		cmocka_unit_test(test_templates),
		cmocka_unit_test(test_secret_warning),
		cmocka_unit_test(test_value_of_text),
		cmocka_unit_test(test_json_schema),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
