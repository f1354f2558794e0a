/* Which tasks a request selects, does again and keeps; names of runs; and --dry-run. */
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

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "conf/config.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/sched.h"
#include "core/zone.h"
#include "run/driver_impl.h"
#include "store/store.h"
#include "tests/lib/dagops.h"
#include "tests/lib/times.h"

enum { TASKS = 5, WORDS = 4 };

static char dir[] = "/tmp/weir-plan-XXXXXX";

static struct dag *load(const char *text)
{
	const struct dagfile_env env = { .operators = &dagops_none };
	struct diags diags;
	char path[64];

	snprintf(path, sizeof path, "%s/dag.yaml", dir);
	assert_int_equal(io_write_file(path, text, strlen(text), NULL), 0);
	diags_init(&diags);
	struct dag *dag = dagfile_load(path, &env, &diags);
	if (!dag)
		fail_msg("%s", diags.list[0].message);
	diags_release(&diags);
	return dag;
}

/* a -> b -> c, a -> d, e alone */
static const char shape[] = "dag: sales\n"
			    "tasks:\n"
			    "  c: { run: \"echo {{ tasks.b.outputs.n }}\", needs: b, retries: 2 }\n"
			    "  a: { run: \"echo {{ ds }}\" }\n"
			    "  b: { run: [echo, b], needs: a }\n"
			    "  d: { run: \"echo {{ tasks.a.outputs.n }}\", needs: a }\n"
			    "  e: { run: \"true\" }\n";

/* ---- selection ------------------------------------------------------------------------ */

/* States by task, "" for one that has no row. In the answer a task that is selected is upper
 * case, one that is done again has a "!", one that is kept a "=". */
static const struct {
	const char *name;
	const char *states; /* of a b c d e */
	const char *from[WORDS], *only[WORDS];
	bool force;
	const char *want;
} selections[] = {
	{ "a new run", "", { NULL }, { NULL }, false, "A B C D E" },
	{ "all was done", "success success success success success", { NULL }, { NULL }, false,
		"A= B= C= D= E=" },
	{ "a failure", "success failed upstream_failed success skipped", { NULL }, { NULL }, false,
		"A= B C D= E=" },
	{ "--force", "success failed none skipped success", { NULL }, { NULL }, true,
		"A! B! C! D! E!" },
	{ "--from b", "success success success success success", { "b" }, { NULL }, false,
		"A= B! C! D= E=" },
	{ "--from a", "success success success success success", { "a" }, { NULL }, false,
		"A! B! C! D! E=" },
	{ "--from c, e", "success success success success success", { "c", "e" }, { NULL }, false,
		"A= B= C! D= E!" },
	{ "--only b", "success success success success success", { NULL }, { "b" }, false,
		"a= B! c= d= e=" },
	{ "--only b, of a new run", "", { NULL }, { "b" }, false, "a B! c d e" },
	{ "--only b and d", "success failed upstream_failed failed success", { NULL }, { "b", "d" },
		false, "a= B! c D! e=" },
	{ "--only b --from a", "success success success success success", { "a" }, { "b" }, false,
		"a= B! c= d= e=" },
};

static int state_row(const char *name, const char *word, struct task_row *row)
{
	int state = task_state_by_name(word);

	if (state < 0)
		return 0;
	*row = (struct task_row){ .name = name, .map_index = -1, .state = (enum task_state)state };
	return 1;
}

static size_t fill_rows(const char *states, struct task_row *rows)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	char words[TASKS][32] = { "" };
	size_t n = 0;

	sscanf(states, "%31s %31s %31s %31s %31s", words[0], words[1], words[2], words[3],
		words[4]);
	for (int i = 0; i < TASKS; i++)
		n += (size_t)state_row(names[i], words[i], &rows[n]);
	/* A task that the DAG had once. */
	rows[n++] = (struct task_row){ .name = "gone", .map_index = -1, .state = TASK_FAILED };
	return n;
}

static void describe(const struct dag *dag, const struct task_init *init,
	const struct task_progress *p, struct buf *out)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };

	buf_truncate(out, 0);
	for (int k = 0; k < TASKS; k++) {
		int i = dag_find(dag, names[k])->index;
		assert_int_equal(init[i].selected, p[i].selected);
		buf_addf(out, "%s%c%s%s", k ? " " : "",
			init[i].selected ? names[k][0] - 'a' + 'A' : names[k][0],
			init[i].selected && init[i].clear ? "!" : "", p[i].kept ? "=" : "");
	}
}

static void test_selection(void **state)
{
	struct dag *dag = load(shape);
	struct buf text;

	(void)state;
	buf_init(&text, 4096);
	for (size_t i = 0; i < sizeof selections / sizeof *selections; i++) {
		const char *const *from = selections[i].from, *const *only = selections[i].only;
		const struct run_request req = { .dag = dag,
			.from = from[0] ? from : NULL,
			.only = only[0] ? only : NULL,
			.force = selections[i].force };
		struct task_row rows[TASKS + 1];
		const struct store_result r = { .n = fill_rows(selections[i].states, rows),
			.tasks = rows };
		struct task_init init[TASKS] = { 0 };
		struct task_progress p[TASKS] = { 0 };
		assert_int_equal(plan_select(&req, &r, init, p, NULL), 0);
		describe(dag, init, p, &text);
		if (strcmp(text.data, selections[i].want) != 0)
			fail_msg("%s: %s, not %s", selections[i].name, text.data,
				selections[i].want);
	}
	buf_release(&text);
	dag_unref(dag);
}

static void test_unknown_task(void **state)
{
	static const char *const names[] = { "cc", NULL }, *const far[] = { "something", NULL };
	struct dag *dag = load(shape);
	const struct store_result none = { .n = 0 };
	struct task_progress p[TASKS] = { 0 };
	struct task_init init[TASKS];
	struct err err = { 0 };

	(void)state;
	assert_int_equal(plan_select(&(struct run_request){ .dag = dag, .from = names }, &none,
				 init, p, &err),
		-1);
	assert_int_equal(err.code, ERR_USAGE);
	assert_non_null(strstr(err.msg, "--from: DAG sales has no task \"cc\""));
	assert_int_equal(
		plan_select(&(struct run_request){ .dag = dag, .only = far }, &none, init, p, &err),
		-1);
	assert_string_equal(err.msg, "--only: DAG sales has no task \"something\"");
	dag_unref(dag);
}

/* What the store knows of a task goes to the scheduler, all of it. */
static void test_restored(void **state)
{
	struct dag *dag = load(shape);
	int c = dag_find(dag, "c")->index;
	const struct task_row rows[] = { { .name = "c",
						 .map_index = -1,
						 .state = TASK_UP_FOR_RETRY,
						 .reason = REASON_RETRY_WAIT,
						 .tries = 4,
						 .failures = 2,
						 .lost = 1,
						 .due_us = 99,
						 .token = 7,
						 .hash = dag->tasks[c].hash },
		{ .name = "a",
			.map_index = -1,
			.state = TASK_SUCCESS,
			.changed_us = 55,
			.hash = "other",
			.outputs = "{\"n\":5}" } };
	const struct store_result r = { .n = 2, .tasks = rows };
	const struct run_request req = { .dag = dag };
	struct task_progress p[TASKS] = { 0 };
	struct task_init init[TASKS];

	(void)state;
	assert_int_equal(plan_select(&req, &r, init, p, NULL), 0);
	assert_int_equal(init[c].state, TASK_UP_FOR_RETRY);
	assert_int_equal(init[c].tries, 4);
	assert_int_equal(init[c].failures, 2);
	assert_int_equal(init[c].lost, 1);
	assert_int_equal(init[c].due_us, 99);
	assert_int_equal(init[c].token, 7);
	assert_int_equal(p[c].retries, 2);
	assert_int_equal(p[c].try, 4);
	assert_int_equal(p[c].ended_us, 0);
	assert_false(p[c].stale);
	int a = dag_find(dag, "a")->index;
	assert_true(p[a].stale);
	assert_true(p[a].kept);
	assert_int_equal(p[a].ended_us, 55);
	assert_int_equal(json_integer_value(json_object_get(p[a].outputs, "n")), 5);
	json_decref(p[a].outputs);
	dag_unref(dag);
}

/* ---- --dry-run ------------------------------------------------------------------------ */

static void test_dry_run(void **state)
{
	static const char *const only[] = { "a", "d", NULL };
	struct dag *dag = load(shape);
	struct config *config = config_empty();
	struct run_request req = { .dag = dag,
		.config = config,
		.home = dir,
		.interval_start_us = times_us("2026-11-19T00:00:00Z"),
		.interval_end_us = times_us("2026-11-20T00:00:00Z"),
		.ds = "2026-11-19",
		.zone = zone_utc(),
		.params = json_object() };
	struct plan plan;

	(void)state;
	assert_int_equal(driver_plan(&req, &plan, NULL), 0);
	assert_int_equal(plan.n, TASKS);
	assert_false(plan.exists);
	assert_string_equal(plan.run, "sales@2026-11-19");
	for (int i = 0; i < plan.n; i++) {
		const struct plan_task *t = &plan.tasks[i];
		const char *name = dag->tasks[t->task].name;
		assert_int_equal(t->action, PLAN_RUN);
		assert_int_equal(t->state, TASK_NONE);
		/* What needs another's outputs cannot be told yet, and says so. */
		assert_int_equal(t->command == NULL, name[0] == 'c' || name[0] == 'd');
		assert_int_equal(t->unknown == NULL, t->command != NULL);
		if (name[0] == 'a')
			assert_string_equal(t->command, "echo 2026-11-19");
		for (int j = 0; j < i; j++)
			assert_true(
				dag->tasks[plan.tasks[j].task].level <= dag->tasks[t->task].level);
	}
	plan_release(&plan);
	req.only = only;
	assert_int_equal(driver_plan(&req, &plan, NULL), 0);
	for (int i = 0; i < plan.n; i++) {
		char name = dag->tasks[plan.tasks[i].task].name[0];
		assert_int_equal(plan.tasks[i].action,
			name == 'a' || name == 'd' ? PLAN_RUN : PLAN_LEAVE_OUT);
	}
	plan_release(&plan);
	plan_release(NULL);
	json_decref(req.params);
	config_free(config);
	dag_unref(dag);
}

/* ---- names ---------------------------------------------------------------------------- */

static const struct {
	const char *start, *end, *ds;
	bool long_form;
	const char *want;
} names[] = {
	{ "2026-11-19T00:00Z", "2026-11-20T00:00Z", "2026-11-19", false, "sales@2026-11-19" },
	/* A day that begins in another zone, and one of 23 hours. */
	{ "2026-11-18T23:00Z", "2026-11-19T23:00Z", "2026-11-19", false, "sales@2026-11-19" },
	{ "2026-03-28T23:00Z", "2026-03-29T22:00Z", "2026-03-29", false, "sales@2026-03-29" },
	{ "2026-11-01T00:00Z", "2026-12-01T00:00Z", "2026-11-01", false, "sales@2026-11-01" },
	{ "2026-11-19T10:00Z", "2026-11-19T11:00Z", "2026-11-19", false,
		"sales@2026-11-19T10:00Z" },
	{ "2026-11-19T10:00:30Z", "2026-11-19T10:01Z", "2026-11-19", false,
		"sales@2026-11-19T10:00:30Z" },
	{ "2026-11-19T10:00Z", "2026-11-19T10:00Z", "2026-11-19", false,
		"sales@2026-11-19T10:00Z" },
	{ "2026-11-19T00:00Z", "2026-11-20T00:00Z", "2026-11-19", true,
		"sales@2026-11-19T00:00Z_2026-11-20T00:00Z" },
};

static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct run_key key = { "sales", times_us(names[i].start),
			times_us(names[i].end) };
		char *name = run_name(&key, names[i].ds, names[i].long_form);
		assert_string_equal(name, names[i].want);
		free(name);
	}
	assert_string_equal(plan_action_name(PLAN_RUN), "run");
	assert_string_equal(plan_action_name(PLAN_KEEP), "keep");
	assert_string_equal(plan_action_name(PLAN_LEAVE_OUT), "leave_out");
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof path, "%s/dag.yaml", dir);
	unlink(path);
	/* Fails if --dry-run left anything. */
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selection),
		cmocka_unit_test(test_unknown_task),
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
