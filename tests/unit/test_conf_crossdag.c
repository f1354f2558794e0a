/* The graph over DAGs: what does not exist, and circles of all kinds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/crossdag.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "tests/lib/dagops.h"

/* ---- a graph of files ------------------------------------------------------------------ */

static struct dag *load(const char *text)
{
	const struct dagfile_env env = { .operators = &dagops_known };
	struct diags d;

	diags_init(&d);
	struct dag *dag = dagfile_load_text("x.yaml", "/tmp", text, &env, &d);
	if (!dag)
		fail_msg("%s\n%s", text, d.list[0].message);
	diags_release(&d);
	return dag;
}

static void put(struct crossdag *x, const char *text)
{
	struct dag *dag = load(text);

	assert_int_equal(crossdag_put(x, dag), 0);
	/* Nothing of it is needed any more. */
	dag_unref(dag);
}

/* "3:28 message", one a line. */
static const char *errors(struct crossdag *x, const char *dag)
{
	static char text[4096];
	struct diags d;
	size_t len = 0;

	diags_init(&d);
	*text = '\0';
	size_t n = crossdag_check(x, dag, "dags", &d);
	crossdag_check_produced(x, dag, &d);
	assert_int_equal(n, d.nerrors);
	for (size_t i = 0; i < d.n; i++) {
		assert_string_equal(d.list[i].file, "x.yaml");
		assert_non_null(d.list[i].excerpt);
		len += (size_t)snprintf(text + len, sizeof text - len, "%d:%d %s\n", d.list[i].line,
			d.list[i].col, d.list[i].message);
	}
	diags_release(&d);
	return text;
}

#define A(need) "dag: a\ntasks:\n  x: { run: 'true' }\n  y: { run: 'true', needs: [x, " need "] }\n"
#define B(need) "dag: b\ntasks:\n  u: { run: 'true' }\n  v: { run: 'true', needs: [u, " need "] }\n"

/* ---- cases ------------------------------------------------------------------------------ */

static void test_missing(void **state)
{
	static const struct {
		const char *need, *want;
	} cases[] = {
		{ "b.u", "" },
		{ "'dag:b'", "" },
		{ "'dag:b.u'", "" },
		{ "{ dag: b, task: u, interval: covers }", "" },
		{ "bb.u", "4:32 needs: there is no DAG \"bb\"; did you mean \"b\"?\n" },
		{ "nothing.like", "4:32 needs: there is no DAG \"nothing\"\n" },
		{ "b.uu", "4:32 needs: DAG b has no task \"uu\"; did you mean \"u\"?\n" },
		{ "b.elsewhere", "4:32 needs: DAG b has no task \"elsewhere\"\n" },
		{ "b.elsewhere, nothing.x", "4:32 needs: DAG b has no task \"elsewhere\"\n"
					    "4:45 needs: there is no DAG \"nothing\"\n" },
		{ "broken.whatever", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct crossdag *x = crossdag_new();
		char text[300];
		snprintf(text, sizeof text, A("%s"), cases[i].need);
		put(x, text);
		put(x, "dag: b\ntasks: { u: { run: 'true' } }\n");
		assert_int_equal(crossdag_put_unknown(x, "broken"), 0);
		assert_string_equal(errors(x, "a"), cases[i].want);
		assert_true(crossdag_has_edges(x, "a"));
		assert_false(crossdag_has_edges(x, "b"));
		crossdag_free(x);
	}
}

/* Runs of two DAGs may need each other; only what waits for itself is a circle. */
static void test_circles(void **state)
{
	static const struct {
		const char *a, *b, *of_a, *of_b;
	} cases[] = {
		{ A("b.u"), B("a.x"), "", "" },
		{ A("b.v"), B("a.x"), "", "" },
		{ A("b.v"), B("a.y"),
			"4:32 needs: DAGs wait for each other in a circle: a.y -> b.v -> a.y\n",
			"4:32 needs: DAGs wait for each other in a circle: b.v -> a.y -> b.v\n" },
		{ A("'dag:b'"), B("a.x"), "", "" },
		{ A("'dag:b'"), B("a.y"),
			"4:32 needs: DAGs wait for each other in a circle: a.y -> dag:b -> b.v -> "
			"a.y\n",
			"4:32 needs: DAGs wait for each other in a circle: b.v -> a.y -> dag:b -> "
			"b.v\n" },
		{ A("'dag:b'"), B("'dag:a'"),
			"4:32 needs: DAGs wait for each other in a circle: a.y -> dag:b -> b.v -> "
			"dag:a -> a.y\n",
			"4:32 needs: DAGs wait for each other in a circle: b.v -> dag:a -> a.y -> "
			"dag:b -> b.v\n" },
		/* Its run is made, and waited for. */
		{ "dag: a\ntasks:\n  y: { control: dag, with: { dag: b } }\n", B("a.y"),
			"3:35 dag: DAGs wait for each other in a circle: a.y -> dag:b -> b.v -> "
			"a.y\n",
			"4:32 needs: DAGs wait for each other in a circle: b.v -> a.y -> dag:b -> "
			"b.v\n" },
		{ "dag: a\ntasks:\n  y: { control: dag, with: { dag: a } }\n", B("u"),
			"3:35 dag: the DAG waits for itself in a circle: a.y -> dag:a -> a.y\n",
			"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct crossdag *x = crossdag_new();
		put(x, cases[i].a);
		put(x, cases[i].b);
		assert_string_equal(errors(x, "a"), cases[i].of_a);
		assert_string_equal(errors(x, "b"), cases[i].of_b);
		/* It is mended. */
		put(x, "dag: b\ntasks: { u: { run: 'true' }, v: { run: 'true' } }\n");
		if (!strstr(cases[i].a, "dag: a }"))
			assert_string_equal(errors(x, "a"), "");
		crossdag_remove(x, "b");
		crossdag_free(x);
	}
}

/* ---- of several kinds ------------------------------------------------------------------- */

#define T "{ run: 'true' }"
#define WAIT(what) "{ control: wait, with: { " what " } }"

/* What each DAG has to be told, in the order of their names; "" where nothing is wrong. */
static const struct {
	const char *what, *dags[3], *want[3];
} mixed[] = {
	{ "a run is waited for, and it needs what is behind the wait",
		{ "dag: a\ntasks:\n  t: " WAIT("run: b") "\n  u: { run: 'true', needs: t }\n",
			B("a.u") },
		{ "3:36 run: DAGs wait for each other in a circle: a.t -> dag:b -> b.v -> a.u -> "
		  "a.t\n",
			"4:32 needs: DAGs wait for each other in a circle: b.v -> a.u -> a.t -> "
			"dag:b -> "
			"b.v\n" } },
	{ "it needs what is before the wait",
		{ "dag: a\ntasks:\n  t: { control: wait, needs: u, with: { run: b } }\n  u: " T
		  "\n",
			B("a.u") },
		{ "", "" } },
	{ "a task is waited for, and it is before the need",
		{ "dag: a\ntasks:\n  t: " WAIT("run: b, task: u") "\n", B("a.t") }, { "", "" } },
	{ "the task with the need is waited for",
		{ "dag: a\ntasks:\n  t: " WAIT("run: b, task: v") "\n", B("a.t") },
		{ "3:36 run: DAGs wait for each other in a circle: a.t -> b.v -> a.t\n",
			"4:32 needs: DAGs wait for each other in a circle: b.v -> a.t -> b.v\n" } },
	{ "a template names the run",
		{ "dag: a\nparams: { p: b }\ntasks:\n  t: " WAIT("run: '{{ params.p }}'") "\n",
			B("a.t") },
		{ "", "" } },
	{ "a run that nobody has", { "dag: a\ntasks:\n  t: " WAIT("run: bb") "\n", B("a.t") },
		{ "3:36 run: there is no DAG \"bb\"; did you mean \"b\"?\n", "" } },
	{ "a dataset is produced behind the wait for it",
		{ "dag: a\ntasks:\n  t: " WAIT(
			"dataset: x") "\n  u: { run: 'true', needs: t, produces: x }\n" },
		{ "3:40 dataset: the DAG waits for itself in a circle: a.t -> dataset x -> a.u -> "
		  "a.t\n" } },
	{ "an earlier run's will do",
		{ "dag: a\ntasks:\n  t: " WAIT(
			"dataset: x, newer_than: 1d") "\n  u: { run: 'true', needs: t, produces: x "
						      "}\n" },
		{ "" } },
	{ "another produces it, too",
		{ "dag: a\ntasks:\n  t: " WAIT(
			  "dataset: x") "\n  u: { run: 'true', needs: t, produces: x }\n",
			"dag: b\ntasks:\n  t: { run: 'true', produces: x }\n" },
		{ "", "" } },
	{ "the other is behind it as well",
		{ "dag: a\ntasks:\n  t: " WAIT(
			  "dataset: x") "\n  u: { run: 'true', needs: t, produces: x }\n",
			"dag: b\ntasks:\n  t: { run: 'true', produces: x, needs: a.u }\n" },
		{ "3:40 dataset: the DAG waits for itself in a circle: a.t -> dataset x -> a.u -> "
		  "a.t\n",
			"3:41 needs: DAGs wait for each other in a circle: b.t -> a.u -> a.t -> "
			"dataset x -> b.t\n" } },
	{ "a run is waited for that begins by what is behind the wait",
		{ "dag: a\ntasks:\n  t: " WAIT(
			  "run: b") "\n  u: { run: 'true', needs: t, produces: x }\n",
			"dag: b\nschedule: { datasets: x }\ntasks:\n  t: " T "\n" },
		{ "3:36 run: DAGs wait for each other in a circle: a.t -> dag:b -> b.t -> b (its "
		  "start) "
		  "-> dataset x -> a.u -> a.t\n",
			"2:23 schedule: DAGs wait for each other in a circle: b (its start) -> "
			"dataset x "
			"-> a.u -> a.t -> dag:b -> b.t -> b (its start)\n" } },
	{ "of its datasets one is enough, and comes from elsewhere",
		{ "dag: a\ntasks:\n  t: " WAIT(
			  "run: b") "\n  u: { run: 'true', needs: t, produces: x }\n",
			"dag: b\nschedule: { datasets: [x, y], when: any }\ntasks:\n  t: " T "\n",
			"dag: c\ntasks:\n  t: { run: 'true', produces: y }\n" },
		{ "", "", "" } },
	{ "it is run by the task that waits for it",
		{ "dag: a\ntasks:\n  t: { control: dag, with: { dag: b } }\n"
		  "  u: { run: 'true', needs: t, produces: x }\n",
			"dag: b\nschedule: { datasets: x }\ntasks:\n  t: " T "\n" },
		{ "", "" } },
	{ "a schedule waits for what is produced by a DAG that its own runs",
		{ "dag: a\nschedule: { datasets: x }\ntasks:\n  t: { control: dag, with: { dag: b "
		  "} }\n",
			"dag: b\ntasks:\n  t: { run: 'true', produces: x }\n" },
		{ "2:23 schedule: the DAGs would start each other in a circle: a -> b -> a\n",
			"3:31 produces: the DAGs would start each other in a circle: a -> b -> "
			"a\n" } },
	{ "schedules in a circle, one of them with another way to begin",
		{ "dag: a\nschedule: { datasets: [z, y], when: any }\ntasks:\n  t: { run: 'true', "
		  "produces: x "
		  "}\n",
			"dag: b\nschedule: { datasets: x }\ntasks:\n  t: { run: 'true', produces: "
			"z }\n",
			"dag: c\ntasks:\n  t: { run: 'true', produces: y }\n" },
		{ "2:24 schedule: the DAGs would start each other in a circle: a -> b -> a\n",
			"2:23 schedule: the DAGs would start each other in a circle: b -> a -> b\n",
			"" } },
};

static void test_mixed(void **state)
{
	static const char *const names[] = { "a", "b", "c" };

	(void)state;
	for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++) {
		struct crossdag *x = crossdag_new();
		for (size_t k = 0; k < 3 && mixed[i].dags[k]; k++)
			put(x, mixed[i].dags[k]);
		for (size_t k = 0; k < 3 && mixed[i].dags[k]; k++) {
			const char *got = errors(x, names[k]);
			if (strcmp(got, mixed[i].want[k]) != 0)
				fail_msg("%s: %s: %s", mixed[i].what, names[k], got);
		}
		crossdag_free(x);
	}
}

/* What nobody produces is told, without being an error, until somebody does. */
static void test_produced(void **state)
{
	struct crossdag *x = crossdag_new();

	(void)state;
	put(x, "dag: a\nschedule: { datasets: x }\ntasks: { t: { control: wait, with: { dataset: y "
	       "} } }\n");
	assert_string_equal(errors(x, "a"), "2:23 schedule: no DAG here produces \"x\"\n"
					    "3:47 dataset: no DAG here produces \"y\"\n");
	put(x, "dag: b\ntasks: { t: { run: 'true', produces: [x, y] } }\n");
	assert_string_equal(errors(x, "a"), "");
	crossdag_remove(x, "b");
	assert_non_null(strstr(errors(x, "a"), "produces \"x\""));
	crossdag_free(x);
}

/* A ring of many: told once, and cut. */
static void test_long(void **state)
{
	struct crossdag *x = crossdag_new();
	char text[200];

	(void)state;
	for (int i = 0; i < 60; i++) {
		snprintf(text, sizeof text,
			"dag: d%d\ntasks: { t: { run: 'true', needs: d%d.t } }\n", i, (i + 1) % 60);
		put(x, text);
	}
	const char *got = errors(x, "d7");
	assert_non_null(strstr(got, "circle: d7.t -> d8.t -> d9.t -> "));
	assert_non_null(strstr(got, " more) -> d7.t\n"));
	put(x, "dag: d59\ntasks: { t: { run: 'true' } }\n");
	assert_string_equal(errors(x, "d7"), "");
	crossdag_free(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_circles),
		cmocka_unit_test(test_mixed),
		cmocka_unit_test(test_produced),
		cmocka_unit_test(test_long),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
