/* What is decided without a process: `if`, branches, short circuits. */
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
#include "base/io.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/control.h"
#include "run/job.h"
#include "tests/lib/dagops.h"

static char dir[] = "/tmp/weir-control-XXXXXX";
static char path[64];

struct world {
	struct dag *dag;
	struct job_context c;
	struct err err;
};

static void world_init(struct world *w, const char *tasks)
{
	const struct dagfile_env env = { .operators = &dagops_known };
	struct diags diags;
	char text[2048];

	snprintf(text, sizeof text, "dag: d\nparams: { mode: fast, full: false, n: 3 }\ntasks:\n%s",
		tasks);
	assert_int_equal(io_write_file(path, text, strlen(text), NULL), 0);
	diags_init(&diags);
	*w = (struct world){ .dag = dagfile_load(path, &env, &diags) };
	if (!w->dag)
		fail_msg("%s\n%s", tasks, diags.list[0].message);
	diags_release(&diags);
	w->c = (struct job_context){ .dag = w->dag,
		.home = "/home/weir",
		.run = "d@2026-11-19",
		.ds = "2026-11-19",
		.interval_start_us = INT64_C(1795046400000000),
		.interval_end_us = INT64_C(1795132800000000),
		.zone = zone_utc(),
		.params = json_pack("{s:s, s:b, s:i}", "mode", "fast", "full", 0, "n", 3),
		.outputs = json_pack("{s:{s:i}}", "a", "rows", 7) };
}

static void world_release(struct world *w)
{
	dag_unref(w->dag);
	json_decref(w->c.params);
	json_decref(w->c.outputs);
}

static struct job_attempt attempt(const struct world *w, const char *task)
{
	return (struct job_attempt){ .task = dag_find(w->dag, task), .try = 1, .token = 5 };
}

/* ---- if ------------------------------------------------------------------------------- */

static void test_only_if(void **state)
{
	static const struct {
		const char *condition;
		int truth; /* -1: an error */
	} cases[] = {
		{ "true", 1 },
		{ "false", 0 },
		{ "\"{{ params.full }}\"", 0 },
		{ "\"{{ not params.full }}\"", 1 },
		{ "\"{{ tasks.a.outputs.rows > params.n }}\"", 1 },
		{ "\"{{ ds == '2026-11-19' }}\"", 1 },
		{ "\"{{ ds | start_of_month == ds }}\"", 0 },
		{ "\"{{ task.try == 1 }}\"", 1 },
		{ "\"{{ params.n }}\"", -1 },
		{ "\"{{ tasks.a.outputs.rowz > 0 }}\"", -1 },
		{ "\"{{ tasks.a.outputs.rowz }}\"", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[300];
		struct world w;
		bool yes = false;
		snprintf(text, sizeof text, "  a: { run: x }\n  b: { run: x, needs: a, if: %s }\n",
			cases[i].condition);
		world_init(&w, text);
		struct job_attempt a = attempt(&w, "b");
		int rc = control_only_if(&w.c, &a, &yes, &w.err);
		if ((rc < 0 ? -1 : yes) != cases[i].truth)
			fail_msg("%s: %d %d %s", cases[i].condition, rc, yes, w.err.msg);
		if (rc < 0)
			assert_int_equal(w.err.line, 5);
		/* The attempt says the same. */
		struct job job;
		struct err err = { 0 };
		if (rc < 0) {
			assert_int_equal(job_build(&w.c, &a, &job, &err), -1);
			assert_string_equal(err.msg, w.err.msg);
		}
		a = attempt(&w, "a");
		assert_int_equal(control_only_if(&w.c, &a, &yes, NULL), 0);
		assert_true(yes);
		world_release(&w);
	}
}

/* ---- choices -------------------------------------------------------------------------- */

static const char behind[] = "  x: { run: x, needs: c }\n"
			     "  y: { run: x, needs: c }\n"
			     "  z: { run: x, needs: [x, y] }\n"
			     "  t: { run: x, needs: [c, z], teardown: true }\n"
			     "  a: { run: x }\n";

/* "x y" are skipped, or "!" and a part of the error. */
static void check_choice(const char *task, const char *outputs, const char *skips)
{
	char text[1500], got[200] = "";
	struct control_end end;
	struct world w;

	snprintf(text, sizeof text, "  c: { needs: a, %s }\n%s", task, behind);
	world_init(&w, text);
	const struct job_attempt a = attempt(&w, "c");
	assert_true(control_in_loop(a.task));
	assert_false(control_in_loop(dag_find(w.dag, "x")));
	int rc = control_run(&w.c, &a, &end, &w.err);
	for (size_t i = 0; rc == 0 && i < end.nskips; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? " " : "",
			w.dag->tasks[end.skips[i]].name);
	bool good = *skips == '!' ? rc < 0 && strstr(w.err.msg, skips + 1)
				  : rc == 0 && strcmp(got, skips) == 0;
	if (!good)
		fail_msg("%s\n got %s, %s\n want %s", task, got, w.err.msg, skips);
	if (rc == 0) {
		char *json = json_dumps(end.outputs, JSON_COMPACT);
		assert_string_equal(json, outputs);
		free(json);
		control_end_release(&end);
	}
	world_release(&w);
}

static void test_branch(void **state)
{
	(void)state;
	check_choice("control: branch, with: { choose: x }", "{\"chosen\":[\"x\"]}", "y");
	check_choice("control: branch, with: { choose: [x, y] }", "{\"chosen\":[\"x\",\"y\"]}", "");
	check_choice("control: branch, with: { choose: [] }", "{\"chosen\":[]}", "x y");
	check_choice("control: branch, with: { choose: \"{{ 'x,y' | split(',') }}\" }",
		"{\"chosen\":[\"x\",\"y\"]}", "");
	check_choice("control: branch, with: { choose: \"{{ params.mode }}\" }", "",
		"!\"fast\" cannot be chosen: no task of this name needs this one; there are: x, y, "
		"t");
	check_choice("control: branch, with: { choose: \"{{ 'z' }}\" }", "", "!\"z\" cannot");
	check_choice("control: branch, with: { cases: [ { if: \"{{ params.full }}\", then: x }, "
		     "{ if: \"{{ tasks.a.outputs.rows > 5 }}\", then: y } ] }",
		"{\"chosen\":[\"y\"]}", "x");
	check_choice("control: branch, with: { cases: { if: false, then: x }, else: [x, y] }",
		"{\"chosen\":[\"x\",\"y\"]}", "");
	check_choice("control: branch, with: { cases: { if: false, then: x } }", "{\"chosen\":[]}",
		"x y");
	check_choice("control: branch, with: { cases: { if: \"{{ params.n }}\", then: x } }", "",
		"!cases: item 1: if: neither true nor false, but the integer 3");
}

static void test_short_circuit(void **state)
{
	(void)state;
	check_choice("control: short_circuit, with: { if: true }", "{\"passed\":true}", "");
	check_choice("control: short_circuit, with: { if: \"{{ params.full }}\" }",
		"{\"passed\":false}", "x y z");
	check_choice("control: short_circuit, with: { if: false, ignore_rules: false }",
		"{\"passed\":false}", "x y");
	check_choice("control: short_circuit, with: { if: \"{{ params.mode }}\" }", "",
		"!if: neither true nor false, but the string \"fast\"");
	/* Its own `if`, which could not be judged before. */
	check_choice("control: short_circuit, if: \"{{ tasks.a.outputs.x }}\", with: { if: true }",
		"", "!if: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_if),
		cmocka_unit_test(test_branch),
		cmocka_unit_test(test_short_circuit),
	};

	if (!mkdtemp(dir))
		return 99;
	snprintf(path, sizeof path, "%s/dag.yaml", dir);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(dir);
	return rc;
}
