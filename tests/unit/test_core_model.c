/* The model: dependents, levels and order of a DAG, cycles, and finding tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/rng.h"
#include "core/model.h"

enum { MAX = 16 };

/* A DAG from rows "name need need ...". */
static struct dag *make(const char *const *rows)
{
	struct dag *dag = dag_new();
	int n = 0;

	while (rows[n])
		n++;
	dag->name = "d";
	dag->ntasks = n;
	dag->tasks = arena_array(&dag->arena, (size_t)n + 1, sizeof *dag->tasks);
	for (int i = 0; i < n; i++) {
		dag->tasks[i].name = arena_strndup(&dag->arena, rows[i], strcspn(rows[i], " "));
		dag->tasks[i].index = i;
	}
	for (int i = 0; i < n; i++) {
		int *needs = arena_array(&dag->arena, MAX, sizeof *needs);
		dag->tasks[i].needs = needs;
		for (const char *p = strchr(rows[i], ' '); p; p = strchr(p + 1, ' '))
			for (int j = 0; j < n; j++) {
				size_t len = strcspn(p + 1, " ");
				if (strlen(dag->tasks[j].name) == len &&
					strncmp(dag->tasks[j].name, p + 1, len) == 0)
					needs[dag->tasks[i].nneeds++] = j;
			}
	}
	return dag;
}

static int seal(struct dag *dag, char *ret_cycle, size_t size)
{
	int *cycle = calloc((size_t)dag->ntasks + 1, sizeof *cycle), len = -1;
	struct err err = { 0 };

	int rc = dag_seal(dag, cycle, &len, &err);
	assert_int_equal(rc<0, len> 0);
	assert_int_equal(rc < 0, err.code == ERR_INVALID);
	ret_cycle[0] = '\0';
	for (int i = 0; i < len; i++) {
		size_t used = strlen(ret_cycle);
		snprintf(ret_cycle + used, size - used, "%s%s", i ? " " : "",
			dag->tasks[cycle[i]].name);
	}
	free(cycle);
	return rc;
}

static const struct {
	const char *rows[MAX];
	const char *levels;
} good[] = {
	{ { "a" }, "0" },
	{ { "a", "b a", "c b" }, "0 1 2" },
	{ { "c b", "b a", "a" }, "2 1 0" },
	{ { "a", "b a", "c a", "d b c" }, "0 1 1 2" },
	{ { "a", "b", "c" }, "0 0 0" },
	/* The longest path counts, whichever is named first. */
	{ { "d a c", "a", "b a", "c b" }, "3 0 1 2" },
	{ { "d c a", "a", "b a", "c b" }, "3 0 1 2" },
	{ { "z y", "y", "x", "w x z" }, "1 0 0 2" },
};

static void check_sealed(const struct dag *dag)
{
	int *place = calloc((size_t)dag->ntasks + 1, sizeof *place);
	size_t nedges = 0, nback = 0;

	for (int i = 0; i < dag->ntasks; i++)
		place[i] = -1;
	for (int i = 0; i < dag->ntasks; i++) {
		assert_in_range(dag->order[i], 0, dag->ntasks - 1);
		assert_int_equal(place[dag->order[i]], -1);
		place[dag->order[i]] = i;
	}
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		int level = 0;
		nedges += (size_t)t->nneeds;
		nback += (size_t)t->ndependents;
		for (int j = 0; j < t->nneeds; j++) {
			const struct task *need = &dag->tasks[t->needs[j]];
			level = need->level + 1 > level ? need->level + 1 : level;
			assert_true(place[need->index] < place[i]);
		}
		assert_int_equal(t->level, level);
		for (int j = 0; j < t->ndependents; j++) {
			const struct task *d = &dag->tasks[t->dependents[j]];
			bool found = false;
			for (int k = 0; k < d->nneeds; k++)
				found |= d->needs[k] == i;
			assert_true(found);
			/* In file order, each once. */
			if (j)
				assert_true(t->dependents[j - 1] < t->dependents[j]);
		}
	}
	assert_int_equal(nedges, nback);
	free(place);
}

/* Is `to` reached from `from` along the dependents? */
static bool reaches(const struct dag *dag, int from, int to)
{
	bool found = from == to;

	for (int j = 0; j < dag->tasks[from].ndependents && !found; j++)
		found = reaches(dag, dag->tasks[from].dependents[j], to);
	return found;
}

/* Downstream weights against a slow look, over more than one word of tasks. */
static void test_weights(void **state)
{
	enum { N = 150 };
	struct rng rng;
	char cycle[256];

	(void)state;
	rng_init(&rng, 7);
	for (int round = 0; round < 20; round++) {
		struct dag *dag = dag_new();
		dag->ntasks = N;
		dag->priority_weight = round ? WEIGHT_DOWNSTREAM : WEIGHT_OWN;
		dag->tasks = arena_array(&dag->arena, N, sizeof *dag->tasks);
		for (int i = 0; i < N; i++) {
			int *needs = arena_array(&dag->arena, 2, sizeof *needs);
			dag->tasks[i] = (struct task){ .name = "t",
				.index = i,
				.needs = needs,
				.priority = (int)rng_below(&rng, 20) - 5 };
			/* Against the order of the file. */
			for (int k = 0; k < 2 && i < N - 4; k++)
				if (rng_below(&rng, 3) == 0)
					needs[dag->tasks[i].nneeds++] = i + 1 + 2 * k;
		}
		assert_int_equal(seal(dag, cycle, sizeof cycle), 0);
		for (int i = 0; i < N; i++) {
			int64_t sum = 0;
			for (int j = 0; j < N; j++)
				sum += reaches(dag, i, j) ? dag->tasks[j].priority : 0;
			assert_int_equal(
				dag->tasks[i].weight, round ? sum : dag->tasks[i].priority);
		}
		dag_unref(dag);
	}
}

static void test_levels(void **state)
{
	char cycle[256], text[256];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct dag *dag = make(good[i].rows);
		assert_int_equal(seal(dag, cycle, sizeof cycle), 0);
		check_sealed(dag);
		text[0] = '\0';
		for (int j = 0; j < dag->ntasks; j++)
			snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d",
				j ? " " : "", dag->tasks[j].level);
		assert_string_equal(text, good[i].levels);
		dag_unref(dag);
	}
}

static const struct {
	const char *rows[MAX];
	const char *cycle;
} bad[] = {
	{ { "a a" }, "a a" },
	{ { "a b", "b a" }, "a b a" },
	{ { "a", "b a c", "c b" }, "b c b" },
	{ { "a c", "b a", "c b" }, "a c b a" },
	/* What only hangs on a cycle, before or behind it, is not part of the path. */
	{ { "x a", "a b", "b c", "c a", "y" }, "a b c a" },
	{ { "x w", "w v", "v v2", "v2 v" }, "v v2 v" },
	{ { "root", "a root b", "b root c", "c root a", "leaf c" }, "a b c a" },
	{ { "p q", "q p", "r s", "s r" }, "p q p" }, /* the first of two */
	{ { "a b", "b b", "c" }, "b b" },
};

static void test_cycles(void **state)
{
	char cycle[256];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct dag *dag = make(bad[i].rows);
		assert_int_equal(seal(dag, cycle, sizeof cycle), -1);
		assert_string_equal(cycle, bad[i].cycle);
		dag_unref(dag);
	}
}

static void test_find(void **state)
{
	static const char *const rows[] = { "b", "B", "a", "aa", "_", "b-1", "b_1", NULL };
	static const char *const none[] = { "", "c", "A", "b-", "b-11", "zz", "aaa", "\x01" };
	struct dag *dag = make(rows);
	char cycle[64];

	(void)state;
	assert_int_equal(seal(dag, cycle, sizeof cycle), 0);
	for (int i = 0; rows[i]; i++)
		assert_ptr_equal(dag_find(dag, rows[i]), &dag->tasks[i]);
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_null(dag_find(dag, none[i]));
	dag_unref(dag);
	dag = dag_new();
	assert_int_equal(seal(dag, cycle, sizeof cycle), 0);
	assert_null(dag_find(dag, "a"));
	dag_unref(dag);
}

/* Long chains, in order and against it, open and closed: no recursion, and no square cost. */
static struct dag *make_chain(int n, bool backward, bool closed)
{
	struct dag *dag = dag_new();
	int *needs = arena_array(&dag->arena, (size_t)n, sizeof *needs);

	dag->ntasks = n;
	dag->tasks = arena_array(&dag->arena, (size_t)n + 1, sizeof *dag->tasks);
	for (int i = 0; i < n; i++) {
		struct task *t = &dag->tasks[i];
		int need = backward ? i + 1 : i - 1;
		t->name = arena_printf(&dag->arena, "t%d", i);
		t->index = i;
		t->needs = &needs[i];
		if (closed)
			need = (need + n) % n;
		t->nneeds = need >= 0 && need < n;
		needs[i] = need;
	}
	return dag;
}

static void test_long_chain(void **state)
{
	enum { N = 100000 };
	static int cycle[N + 1];
	int len;

	(void)state;
	for (int backward = 0; backward < 2; backward++) {
		struct dag *dag = make_chain(N, backward, false);
		assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
		check_sealed(dag);
		assert_int_equal(dag->tasks[backward ? 0 : N - 1].level, N - 1);
		assert_ptr_equal(dag_find(dag, "t77777"), &dag->tasks[77777]);
		assert_null(dag_find(dag, "t100000"));
		dag_unref(dag);
		dag = make_chain(N, backward, true);
		assert_int_equal(dag_seal(dag, cycle, &len, NULL), -1);
		assert_int_equal(len, N + 1);
		assert_int_equal(cycle[0], cycle[N]);
		for (int i = 0; i < N; i++)
			assert_int_equal(cycle[i + 1], dag->tasks[cycle[i]].needs[0]);
		dag_unref(dag);
	}
}

static void freed(void *arg)
{
	++*(int *)arg;
}

static void test_references(void **state)
{
	struct dag *dag = dag_new();
	int count = 0;

	(void)state;
	dag->on_free = freed;
	dag->on_free_arg = &count;
	assert_ptr_equal(dag_ref(dag), dag);
	dag_unref(dag);
	assert_int_equal(count, 0);
	dag_unref(dag);
	assert_int_equal(count, 1);
	dag_unref(NULL);
}

static void test_words(void **state)
{
	static const char *const kinds[] = { "ingest", "transform", "quality", "publish", "control",
		"run" };

	(void)state;
	for (int i = 0; i < TASK_KIND_MAX; i++) {
		assert_string_equal(task_kind_name((enum task_kind)i), kinds[i]);
		assert_int_equal(task_kind_by_name(kinds[i]), i);
	}
	assert_int_equal(task_kind_by_name("command"), -1);
	assert_int_equal(task_kind_by_name(""), -1);
	for (int i = 0; i < JITTER_MAX; i++)
		assert_ptr_equal(jitter_name((enum jitter)i), jitter_names[i]);
	assert_null(jitter_names[JITTER_MAX]);
	for (int i = 0; i < PARAM_TYPE_MAX; i++)
		assert_ptr_equal(param_type_name((enum param_type)i), param_type_names[i]);
	assert_null(param_type_names[PARAM_TYPE_MAX]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_cycles),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_long_chain),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_words),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
