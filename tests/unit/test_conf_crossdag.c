/* The graph over DAGs: what does not exist, circles, and edges of others. */
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
			"3:35 dag: DAGs wait for each other in a circle: a.y -> dag:a -> a.y\n",
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

/* Edges that others add: b begins when a task of a is done. */
static void test_added(void **state)
{
	struct crossdag *x = crossdag_new();
	struct dag *b = load("dag: b\ntasks:\n  u: { run: 'true' }\n  v: { run: 'true' }\n");
	const struct crossdag_edge edge = {
		.dag = "b", .to_dag = "a", .to_task = "y", .key = "schedule", .at = b->tasks[0].run
	};

	(void)state;
	assert_int_equal(crossdag_add(x, &edge), -1);
	assert_int_equal(crossdag_put(x, b), 0);
	put(x, A("b.v"));
	assert_string_equal(errors(x, "a"), "");
	assert_int_equal(crossdag_add(x, &edge), 0);
	assert_string_equal(errors(x, "a"),
		"4:32 needs: DAGs wait for each other in a circle: a.y -> b.v -> b (its start) -> "
		"a.y\n");
	assert_string_equal(errors(x, "b"),
		"3:13 schedule: DAGs wait for each other in a circle: b (its start) -> a.y -> b.v "
		"-> b (its start)\n");
	dag_unref(b);
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
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_long),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
