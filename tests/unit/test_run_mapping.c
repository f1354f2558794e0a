/* run/mapping.h: the lists of `foreach`, names of instances, and their outputs as one. */
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
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "conf/template.h"
#include "core/model.h"
#include "run/mapping.h"
#include "tests/lib/dagops.h"
#include "tests/lib/times.h"

/* A folder whose own name is a pattern. */
static char dir[] = "/tmp/weir-mapping[a]?-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[200];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void put_file(const char *name, const char *text)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[100];

	(void)state;
	chmod(path_of("closed"), 0700);
	snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

/* ---- lists ---------------------------------------------------------------------------- */

static struct dag *load(const char *foreach)
{
	struct dagfile_env env = { .operators = &dagops_known };
	struct diags diags;
	char text[1000];

	snprintf(text, sizeof text,
		"dag: d\nparams: { day: 2026-03-28, text: 'a,b' }\ntasks:\n"
		"  list: { run: ./list }\n"
		"  t:\n    needs: list\n    foreach: %s\n    run: ./work\n",
		foreach);
	diags_init(&diags);
	struct dag *dag = dagfile_load_text("d.yaml", dir, text, &env, &diags);
	if (!dag)
		fail_msg("%s: %s", foreach, diags.n ? diags.list[0].message : "not loaded");
	diags_release(&diags);
	return dag;
}

struct given {
	const char *zone;    /* NULL: Europe/Berlin */
	const char *outputs; /* of the task list */
	const char *start, *end;
};

static int make(const char *foreach, const struct given *g, struct mapping *ret, struct err *err)
{
	struct dag *dag = load(foreach);
	const struct task *t = dag_find(dag, "t");
	json_t *params = json_pack("{s:s, s:s}", "day", "2026-03-28", "text", "a,b");
	json_t *list = json_loads(g->outputs ? g->outputs : "{}", JSON_ALLOW_NUL, NULL);
	json_t *outputs = json_pack("{s:o}", "list", list);
	struct zone *zone = NULL;

	assert_int_equal(
		zone_open(g->zone ? g->zone : "Europe/Berlin", zonefile_read, &zone, NULL), 0);
	assert_non_null(outputs);
	const struct template_context tc = { .dag = "d",
		.task = "t",
		.model = dag,
		.run_id = "d@2026-03-28",
		.zone = zone,
		.interval_start_us = times_us(g->start ? g->start : "2026-03-28T00:00:00+01:00"),
		.interval_end_us = times_us(g->end ? g->end : "2026-03-29T00:00:00+01:00"),
		.params = params,
		.outputs = outputs,
		.map_index = -1 };
	int rc = mapping_make(t->foreach, &tc, dir, ret, err);
	json_decref(params);
	json_decref(outputs);
	zone_free(zone);
	dag_unref(dag);
	return rc;
}

/* The items with blanks between them; after "!" a part of the error. */
static void check_list(const char *foreach, const struct given *g, const char *expected)
{
	struct mapping m;
	struct err err;
	struct buf got;
	int rc = make(foreach, g, &m, &err);

	if (*expected == '!') {
		if (rc == 0)
			fail_msg("%s: no error", foreach);
		assert_int_equal(m.n, 0);
		assert_null(m.items);
		if (!strstr(err.msg, expected + 1))
			fail_msg("%s: %s\n  expected %s", foreach, err.msg, expected);
		assert_string_equal(err.file, "d.yaml");
		return;
	}
	if (rc < 0)
		fail_msg("%s: %s", foreach, err.msg);
	buf_init(&got, BUF_MAX_TEXT);
	for (int i = 0; i < m.n; i++)
		buf_addf(&got, "%s%s", i ? " " : "", m.items[i]);
	if (strcmp(got.data, expected) != 0)
		fail_msg("%s\n  gave %s\n  expected %s", foreach, got.data, expected);
	buf_release(&got);
	mapping_release(&m);
}

struct row {
	const char *foreach, *expected;
};

static void check_rows(const struct row *rows, size_t n, const struct given *g)
{
	for (size_t i = 0; i < n; i++)
		check_list(rows[i].foreach, g, rows[i].expected);
}
#define CHECK_ROWS(rows, g) check_rows(rows, sizeof(rows) / sizeof *(rows), g)

static void test_items(void **state)
{
	static const struct row rows[] = {
		{ "[eu, us]", "\"eu\" \"us\"" },
		{ "[1, 2.5, true, null, '7']", "1 2.5 true null \"7\"" },
		{ "[{ path: a, n: 1 }, [x, y]]", "{\"path\":\"a\",\"n\":1} [\"x\",\"y\"]" },
		{ "['{{ ds }}', { day: '{{ ds | add_days(1) }}' }]",
			"\"2026-03-28\" {\"day\":\"2026-03-29\"}" },
		{ "[]", "" },
		{ "\"{{ tasks.list.outputs.files }}\"", "\"a\" {\"p\":\"b\"} 3" },
		{ "{ items: '{{ tasks.list.outputs.files }}', max_items: 3 }",
			"\"a\" {\"p\":\"b\"} 3" },
		{ "\"{{ tasks.list.outputs.none }}\"", "" },
		{ "\"{{ params.text | split(',') }}\"", "\"a\" \"b\"" },
		{ "{ items: '{{ tasks.list.outputs.files }}', max_items: 2 }",
			"!foreach: the list has 3 items, more than max_items, 2; make it shorter, "
			"or raise max_items, up to 100000" },
		{ "\"{{ tasks.list.outputs.text }}\"",
			"!foreach: {{ tasks.list.outputs.text }} is no list: it is the text "
			"\"a,b\"; it has to be a JSON list, such as [\"a\",\"b\"]" },
		{ "\"{{ tasks.list.outputs.map }}\"", "!is no list: it is a mapping" },
		{ "\"{{ tasks.list.outputs.n }}\"", "!is no list: it is the number 3" },
		{ "\"{{ tasks.list.outputs.null }}\"", "!is no list: it is null" },
		{ "\"{{ tasks.list.outputs.absent }}\"", "!it has no value here" },
		{ "\"{{ tasks.list.outputs.nul }}\"", "!item 1 holds a NUL byte" },
	};
	const struct given g = {
		.outputs = "{\"files\": [\"a\", {\"p\": \"b\"}, 3], \"text\": \"a,b\", \"n\": 3,"
			   "\"map\": {}, \"none\": [], \"null\": null,"
			   "\"nul\": [\"a\", \"b\\u0000c\"]}"
	};

	(void)state;
	CHECK_ROWS(rows, &g);
}

static void test_item_size(void **state)
{
	struct given g = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, BUF_MAX_TEXT);
	buf_addstr(&out, "{\"files\": [\"");
	buf_addpad(&out, 'x', MAPPING_ITEM_MAX - 2);
	buf_addstr(&out, "\"]}");
	g.outputs = out.data;
	struct mapping m;
	struct err err;
	assert_int_equal(make("\"{{ tasks.list.outputs.files }}\"", &g, &m, &err), 0);
	assert_int_equal(m.bytes, MAPPING_ITEM_MAX);
	mapping_release(&m);
	buf_truncate(&out, out.len - 3);
	buf_addstr(&out, "x\"]}");
	g.outputs = out.data;
	check_list("\"{{ tasks.list.outputs.files }}\"", &g,
		"!foreach: item 0 is 65537 bytes long, and at most 65536 are allowed; hand over "
		"the path of a file instead");
	buf_release(&out);
}

static void test_bytes(void **state)
{
	struct given g = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 80 << 20);
	buf_addstr(&out, "{\"files\": [");
	for (int i = 0; i < 1025; i++) {
		buf_addstr(&out, i ? ",\"" : "\"");
		buf_addpad(&out, 'x', MAPPING_ITEM_MAX - 2);
		buf_addc(&out, '"');
	}
	buf_addstr(&out, "]}");
	assert_false(out.failed);
	g.outputs = out.data;
	check_list("\"{{ tasks.list.outputs.files }}\"", &g,
		"!foreach: the items are more than 64 MiB together");
	buf_release(&out);
}

static void test_days(void **state)
{
	static const struct row rows[] = {
		{ "{ dates: { from: 2026-02-27, to: 2026-03-01 } }",
			"\"2026-02-27\" \"2026-02-28\" \"2026-03-01\"" },
		{ "{ dates: { from: 2026-02-27, until: 2026-03-01 } }",
			"\"2026-02-27\" \"2026-02-28\"" },
		{ "{ dates: { from: '{{ ds }}', to: '{{ ds | add_days(2) }}' } }",
			"\"2026-03-28\" \"2026-03-29\" \"2026-03-30\"" },
		{ "{ dates: { from: '{{ data_interval_start }}', until: '{{ data_interval_end }}' "
		  "} }",
			"\"2026-03-28\"" },
		{ "{ dates: { from: 2026-01-01, to: 2026-01-20, step: 1w } }",
			"\"2026-01-01\" \"2026-01-08\" \"2026-01-15\"" },
		{ "{ dates: { from: 2026-01-01, to: 2026-01-05, step: 2d } }",
			"\"2026-01-01\" \"2026-01-03\" \"2026-01-05\"" },
		{ "{ dates: { from: 2026-01-31, to: 2026-04-30, step: 1mo } }",
			"\"2026-01-31\" \"2026-02-28\" \"2026-03-31\" \"2026-04-30\"" },
		{ "{ dates: { from: 2024-01-31, to: 2025-01-31, step: 6mo } }",
			"\"2024-01-31\" \"2024-07-31\" \"2025-01-31\"" },
		/* The day of the zone, not of the offset it is written with. */
		{ "{ dates: { from: '2026-01-01T23:30:00Z', to: '2026-01-02T23:30:00Z' } }",
			"\"2026-01-02\" \"2026-01-03\"" },
		/* A day belongs to it whose start does. */
		{ "{ dates: { from: 2026-01-01, until: 2026-01-02T00:01 } }",
			"\"2026-01-01\" \"2026-01-02\"" },
		{ "{ dates: { from: 2026-01-01, until: 2026-01-02T00:00 } }", "\"2026-01-01\"" },
		{ "{ dates: { from: '{{ params.day }}', to: 2026-01-01 } }", "" },
		{ "{ dates: { from: '{{ params.text }}', to: 2026-01-01 } }", "!foreach: from:" },
		{ "{ dates: { from: 2026-01-01, to: '{{ params.text }}' } }", "!foreach: to:" },
		{ "{ dates: { from: 2026-01-01, until: '{{ params.text }}' } }",
			"!foreach: until:" },
		{ "{ dates: { from: 2026-01-01, to: 2026-01-02, step: '{{ params.text }}' } }",
			"!foreach: step:" },
		{ "{ dates: { from: 2026-01-01, to: 2026-01-04 }, max_items: 3 }",
			"!more than max_items, 3" },
		{ "{ dates: { from: 9850-01-31, to: 9999-12-31, step: 1200mo } }",
			"\"9850-01-31\" \"9950-01-31\"" },
	};

	(void)state;
	CHECK_ROWS(rows, &(struct given){ 0 });
}

static void test_times(void **state)
{
	static const struct row rows[] = {
		{ "{ dates: { from: 2026-03-28T22:00, to: 2026-03-29T04:00, step: 2h } }",
			"\"2026-03-28T22:00:00+01:00\" \"2026-03-29T00:00:00+01:00\" "
			"\"2026-03-29T03:00:00+02:00\"" },
		/* 23 hours. */
		{ "{ dates: { from: 2026-03-29, to: 2026-03-29, step: 6h } }",
			"\"2026-03-29T00:00:00+01:00\" \"2026-03-29T07:00:00+02:00\" "
			"\"2026-03-29T13:00:00+02:00\" \"2026-03-29T19:00:00+02:00\"" },
		/* 25 hours. */
		{ "{ dates: { from: 2026-10-25, to: 2026-10-25, step: 12h } }",
			"\"2026-10-25T00:00:00+02:00\" \"2026-10-25T11:00:00+01:00\" "
			"\"2026-10-25T23:00:00+01:00\"" },
		{ "{ dates: { from: '2026-01-01T00:00:00Z', until: '2026-01-01T01:00:00Z', step: "
		  "30m } }",
			"\"2026-01-01T01:00:00+01:00\" \"2026-01-01T01:30:00+01:00\"" },
		{ "{ dates: { from: '2026-01-01T00:00:00Z', to: '2026-01-01T01:00:00Z', step: 30m "
		  "} }",
			"\"2026-01-01T01:00:00+01:00\" \"2026-01-01T01:30:00+01:00\" "
			"\"2026-01-01T02:00:00+01:00\"" },
		{ "{ dates: { from: 2026-01-01, to: 2026-01-01, step: 106000000d1h } }",
			"\"2026-01-01T00:00:00+01:00\"" },
		{ "{ dates: { from: 2026-01-01, to: 9999-12-31, step: 1s } }",
			"!more than max_items, 10000" },
	};
	static const struct row utc[] = {
		{ "{ dates: { from: 2026-03-29, to: 2026-03-29, step: 12h } }",
			"\"2026-03-29T00:00:00Z\" \"2026-03-29T12:00:00Z\"" },
	};

	(void)state;
	CHECK_ROWS(rows, &(struct given){ 0 });
	CHECK_ROWS(utc, &(struct given){ .zone = "UTC" });
}

static void test_glob(void **state)
{
	static const char *const files[] = { "b.csv", "a.csv", "Z.csv", ".hidden.csv", "c.txt",
		"a b.csv", "\xc3\xa4.csv" };
	static const struct row rows[] = {
		{ "{ glob: 'in/*.csv' }", "\"in/Z.csv\" \"in/a b.csv\" \"in/a.csv\" \"in/b.csv\" "
					  "\"in/\xc3\xa4.csv\"" },
		{ "{ glob: 'in/[ab].csv' }", "\"in/a.csv\" \"in/b.csv\"" },
		{ "{ glob: '{{ \"in\" }}/?.txt' }", "\"in/c.txt\"" },
		{ "{ glob: 'in/c.txt' }", "\"in/c.txt\"" },
		{ "{ glob: 'out/*.csv' }", "" },
		{ "{ glob: 'in/c.txt/*.csv' }", "" },
		{ "{ glob: 'in/*.xls' }", "" },
		{ "{ glob: '*' }", "\"in\"" },
		{ "{ glob: '{{ tasks.list.outputs.empty }}' }", "!the pattern is empty" },
		{ "{ glob: '{{ tasks.list.outputs.gone }}' }", "!foreach: glob: " },
		{ "{ glob: 'in/*.csv', max_items: 4 }", "!more than max_items, 4" },
	};
	const struct given g = { .outputs = "{\"empty\": \"\"}" };

	(void)state;
	assert_int_equal(mkdir(path_of("in"), 0755), 0);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char name[64];
		snprintf(name, sizeof name, "in/%s", files[i]);
		put_file(name, "");
	}
	CHECK_ROWS(rows, &g);
	/* An absolute pattern gives absolute paths. */
	put_file("in/list", "x");
	check_list("{ glob: '/tmp/weir-mapping-none-*' }", &g, "");
	put_file("in/bad\xff.csv", "");
	check_list("{ glob: 'in/*.csv' }", &g, "!not valid UTF-8: \"in/bad?.csv\"");
}

static void test_glob_of_a_closed_folder(void **state)
{
	(void)state;
	if (geteuid() == 0)
		skip();
	assert_int_equal(mkdir(path_of("closed"), 0), 0);
	check_list("{ glob: 'closed/*.csv' }", &(struct given){ 0 },
		"!foreach: glob: a folder of closed/*.csv cannot be read: Permission denied");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_item_size),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_glob_of_a_closed_folder),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
