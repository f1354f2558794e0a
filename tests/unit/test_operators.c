/* The operators as a whole: their rows, their examples, and the process that runs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/wait.h>

#include "base/node.h"
#include "conf/diag.h"
#include "conf/template.h"
#include "conf/yaml.h"
#include "core/zone.h"
#include "tests/lib/opjob.h"

static void registry(void **state)
{
	(void)state;
	for (size_t i = 0; operators[i]; i++) {
		const struct operator* op = operators[i];
		assert_ptr_equal(operator_find(op->kind, op->name), op);
		assert_true(op->kind < TASK_RUN);
		if (i)
			assert_true(operators[i - 1]->kind <= op->kind);
		for (size_t k = 0; k < i; k++)
			assert_false(operators[k]->kind == op->kind &&
				     strcmp(operators[k]->name, op->name) == 0);
		assert_true(strlen(op->summary) > 10 && !strchr(op->summary, '\n'));
		assert_true(strlen(op->doc) > 100);
		assert_true(op->run || op->in_loop);
	}
	assert_null(operator_find(TASK_INGEST, "nope"));
	assert_null(operator_find(TASK_RUN, "file"));
}

/* Every row, down into objects and lists, has a help text; defaults convert. */
static void check_fields_of(const struct field *fields, const char *where)
{
	for (const struct field *f = fields; f->key; f++) {
		char name[200];
		struct err err;
		snprintf(name, sizeof name, "%s.%s", where, f->key);
		if (!f->help || strlen(f->help) < 5 || f->help[strlen(f->help) - 1] != '.')
			fail_msg("%s: help \"%s\"", name, f->help ? f->help : "");
		if (f->type == FIELD_ENUM)
			assert_non_null(f->values);
		if (f->type == FIELD_LIST)
			assert_non_null(f->item);
		if (f->def) {
			json_t *v = schema_value_of_text(f, f->def, &err);
			if (!v)
				fail_msg("%s: default: %s", name, err.msg);
			json_decref(v);
		}
		if (f->fields)
			check_fields_of(f->fields, name);
		if (f->item && f->item->fields)
			check_fields_of(f->item->fields, name);
	}
}

static void rows(void **state)
{
	(void)state;
	for (size_t i = 0; operators[i]; i++) {
		const struct operator* op = operators[i];
		check_fields_of(op->params, op->name);
		for (const struct operator_output *out = op->outputs; out->name; out++)
			assert_true(strlen(out->help) > 5);
	}
}

/* ---- documents ----------------------------------------------------------------------- */

static struct yaml_doc doc;
static struct diags diags;

/* The `with` of the only task of a YAML text; NULL when the text is wrong. */
static const struct node *parse_task(const char *text, const struct node **ret_task)
{
	diags_init(&diags);
	if (yaml_parse(&doc, "x.yaml", text, strlen(text), &diags) < 0)
		return NULL;
	assert_int_equal(doc.root->n, 1);
	*ret_task = doc.root->items[0];
	return node_get(*ret_task, "with");
}

static void release(void)
{
	yaml_release(&doc);
	diags_release(&diags);
}

/* Check a `with` as a DAG's validation does. Returns the number of errors. */
static size_t validate(const struct operator* op, const struct node *with)
{
	static const char *const connections[] = { "warehouse", "mart", NULL };
	struct schema_env env = { .connections = connections };
	struct operator_check c = { .with = with, .diags = &diags };

	if (schema_check(with, op->params, op->name, &env, &diags) == 0 && op->check)
		op->check(&c);
	return diags.nerrors;
}

static void print_diags(const char *name)
{
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	diags_print(&diags, &text, false);
	print_message("# %s: %s\n", name, text.data);
	buf_release(&text);
}

static void examples(void **state)
{
	(void)state;
	for (size_t i = 0; operators[i]; i++) {
		const struct operator* op = operators[i];
		const struct node *task = NULL;
		const struct node *with = parse_task(op->example, &task);
		if (!with)
			print_diags(op->name);
		assert_non_null(with);
		assert_string_equal(node_text(node_get(task, task_kind_name(op->kind))), op->name);
		if (validate(op, with)) {
			print_diags(op->name);
			fail();
		}
		release();
	}
}

static const struct {
	enum task_kind kind;
	const char *op, *with, *message; /* NULL: valid */
} checks[] = {
	{ TASK_TRANSFORM, "sql", "{connection: warehouse}",
		"either \"file\" or \"sql\" is needed" },
	{ TASK_TRANSFORM, "sql", "{connection: warehouse, sql: SELECT 1, file: x.sql}", "exclude" },
	{ TASK_TRANSFORM, "sql", "{sql: SELECT 1}", "connection" },
	{ TASK_TRANSFORM, "sql", "{connection: warehouse, sql: SELECT 1}", NULL },
	{ TASK_QUALITY, "table", "{table: warehouse.t, checks: [{severity: warn}]}",
		"does not say what is checked" },
	{ TASK_QUALITY, "table", "{table: warehouse.t, checks: [{not_null: a, unique: a}]}",
		"\"not_null\" and \"unique\" are two checks" },
	{ TASK_QUALITY, "table", "{table: warehouse.t, checks: [{not_null: a, at_least: 99%}]}",
		NULL },
	{ TASK_QUALITY, "table",
		"{table: warehouse.t, checks: [{row_count: {min: 1}, at_least: 9%}]}", "at_least" },
	{ TASK_QUALITY, "table", "{table: warehouse.t, checks: [{range: {column: a}}]}",
		"\"range\" needs min or max" },
	{ TASK_QUALITY, "table", "{table: warehouse.t, checks: [{row_count: {}}]}",
		"needs min, max or equals" },
	{ TASK_QUALITY, "table", "{table: warehouse.t, checks: []}", "checks" },
	{ TASK_QUALITY, "table", "{table: warehouse.t, checks: [{not_nul: a}]}", "not_null" },
	{ TASK_QUALITY, "table",
		"{table: warehouse.t, checks: [{pattern: {column: a, regex: \"(\"}}]}", "" },
	{ TASK_QUALITY, "table", "{connection: warehouse, checks: [{not_null: a}]}", "" },
	{ TASK_QUALITY, "table",
		"{connection: warehouse, query: SELECT 1, checks: [{not_null: a}]}", NULL },
	{ TASK_PUBLISH, "file", "{table: warehouse.t, path: x.csv, delimiter: ab}",
		"a delimiter is" },
	{ TASK_PUBLISH, "file", "{table: warehouse.t, path: x.csv, delimiter: tab}", NULL },
	{ TASK_PUBLISH, "file", "{query: SELECT 1, path: x.csv}",
		"\"query\" needs \"connection\"" },
	{ TASK_PUBLISH, "table", "{from: warehouse.t, to: mart.t, mode: merge}", "needs \"key\"" },
	{ TASK_PUBLISH, "table", "{from: warehouse.t, to: mart.t, key: a}", "for mode merge" },
	{ TASK_PUBLISH, "table", "{from: warehouse.t, to: mart.t}", NULL },
};

static void own_checks(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
		const struct node *task;
		char text[400];
		snprintf(text, sizeof text, "t: {with: %s}", checks[i].with);
		const struct node *with = parse_task(text, &task);
		assert_non_null(with);
		size_t n = validate(operator_find(checks[i].kind, checks[i].op), with);
		if ((n == 0) != (checks[i].message == NULL) ||
			(n && !strstr(diags.list[0].message, checks[i].message) &&
				!(diags.list[0].hint &&
					strstr(diags.list[0].hint, checks[i].message)))) {
			print_diags(checks[i].with);
			fail_msg("case %zu", i);
		}
		release();
	}
}

/* ---- the process --------------------------------------------------------------------- */

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

/* Render `with` of YAML, pack the payload, run operator_main in a child, and return its exit
 * status. The report is left in *ret. */
static int run_payload(enum task_kind kind, const char *op, const char *yaml, json_t **ret)
{
	const struct task task = { .name = "t", .kind = kind, .op = op };
	struct template_context ctx = { .dag = "d",
		.task = "t",
		.run_id = "r",
		.zone = zone_utc(),
		.interval_start_us = INT64_C(1795046400000000),
		.interval_end_us = INT64_C(1795132800000000),
		.map_index = -1 };
	const struct node *node;
	char text[1000], report[160];
	struct err err;
	int status;

	snprintf(text, sizeof text, "t: {with: %s}", yaml);
	const struct node *with = parse_task(text, &node);
	assert_non_null(with);
	json_t *json = render_with(with, operator_find(kind, op)->params, &ctx, o.dir, &err);
	if (!json)
		fail_msg("%s", err.msg);
	snprintf(report, sizeof report, "%s/report.json", o.dir);
	struct operator_payload p = { .task = &task,
		.with = json,
		.connections = o.connections,
		.dir = o.dir,
		.run_id = "r",
		.ds = "2026-11-19",
		.report_path = report,
		.key = o.job.key,
		.try = 1 };
	char *payload = operator_payload_text(&p);
	assert_non_null(payload);
	json_decref(json);
	release();
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		status = operator_main(payload, strlen(payload));
		free(payload); /* so that a leak checker sees only the operator's leaks */
		_exit(status);
	}
	waitpid(pid, &status, 0);
	free(payload);
	*ret = json_load_file(report, 0, NULL);
	unlink(report);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *error_code(const json_t *report)
{
	const char *s =
		json_string_value(json_object_get(json_object_get(report, "error"), "code"));

	return s ? s : "(none)";
}

static void payload_round_trip(void **state)
{
	json_t *report;

	(void)state;
	assert_int_equal(
		run_payload(TASK_TRANSFORM, "sql",
			"{connection: wh, sql: \"CREATE TABLE t AS SELECT {{ ds }} AS day, "
			"'{{ ds }}' AS quoted; SELECT * FROM t\"}",
			&report),
		0);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(report, "outputs"), "day")),
		"2026-11-19");
	assert_string_equal(error_code(report), "(none)");
	json_decref(report);
	assert_string_equal(opjob_query(&o, "SELECT dag || task || map_index || interval_start || "
					    "interval_end || token FROM weir_ledger"),
		"dt-12026-11-19T00:00:00Z2026-11-20T00:00:00Z10");

	/* A whole task of each other kind, from its YAML. */
	assert_int_equal(
		run_payload(TASK_QUALITY, "table",
			"{table: wh.t, checks: [{not_null: day}, {unique: [day, quoted]}, "
			"{accepted_values: {column: day, values: \"{{ ds }}\"}}, "
			"{range: {column: day, min: \"{{ ds }}\"}, where: \"day = {{ ds }}\"}, "
			"{length: {column: day, min: 10, max: 10}, at_least: 99%}, "
			"{sql: {query: \"SELECT count(*) FROM t WHERE day = {{ ds }}\", expect: "
			"1}}, "
			"{row_count: {min: 2}, severity: warn}]}",
			&report),
		0);
	assert_int_equal(json_array_size(json_object_get(report, "checks")), 7);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(report, "outputs"), "warned")),
		1);
	json_decref(report);
	assert_int_equal(run_payload(TASK_PUBLISH, "file",
				 "{table: wh.t, path: \"out/{{ ds }}.csv\"}", &report),
		0);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(report, "outputs"), "rows_out")),
		1);
	json_decref(report);
	assert_int_equal(run_payload(TASK_PUBLISH, "table",
				 "{from: wh.t, to: wh.u, mode: merge, key: day}", &report),
		0);
	json_decref(report);
	assert_string_equal(opjob_query(&o, "SELECT quoted FROM u"), "2026-11-19");
}

static void exit_statuses(void **state)
{
	sqlite3 *other;
	json_t *report;

	(void)state;
	opjob_sql(&o, "CREATE TABLE t (a)");
	assert_int_equal(run_payload(TASK_QUALITY, "table",
				 "{table: wh.t, checks: [{row_count: {min: 1}}]}", &report),
		OPERATOR_EXIT_PERMANENT);
	assert_string_equal(error_code(report), "check");
	assert_int_equal(json_array_size(json_object_get(report, "checks")), 1);
	json_decref(report);
	assert_int_equal(sqlite3_open(o.db, &other), SQLITE_OK);
	sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	assert_int_equal(
		run_payload(TASK_TRANSFORM, "sql", "{connection: wh, sql: SELECT 1}", &report),
		OPERATOR_EXIT_TRANSIENT);
	assert_string_equal(error_code(report), "busy");
	json_decref(report);
	sqlite3_close(other);
}

/* Hostile payloads end in an error. */
static void bad_payloads(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "1", "{}", "{\"kind\": \"ingest\"}",
		"{\"kind\": \"transform\", \"operator\": \"sql\"}",
		"{\"kind\": \"run\", \"operator\": \"command\", \"with\": {}}",
		"{\"kind\": 7, \"operator\": [], \"with\": 3, \"key\": 5}",
		("{\"kind\": \"publish\", \"operator\": \"file\", \"with\": {}, "
		 "\"key\": {\"dag\": \"d\", \"task\": \"t\"}}"),
		("{\"kind\": \"quality\", \"operator\": \"table\", "
		 "\"with\": {\"table\": \"nodot\", \"checks\": [1]}, "
		 "\"key\": {\"dag\": \"d\", \"task\": \"t\"}}") };

	(void)state;
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, STDERR_FILENO);
	close(null);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(
			operator_main(texts[i], strlen(texts[i])), OPERATOR_EXIT_PERMANENT);
	dup2(saved, STDERR_FILENO);
	close(saved);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registry),
		cmocka_unit_test(rows),
		cmocka_unit_test(examples),
		cmocka_unit_test(own_checks),
		CASE(payload_round_trip),
		CASE(exit_statuses),
		CASE(bad_payloads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
