/* Needs of random groups in groups, beside their definition: what a group needs, exactly those of
 * its tasks need that need no other of it; a group that is needed stands for exactly those of its
 * tasks that no other of it needs.
 *
 * WEIR_SEED in the environment repeats a series, WEIR_ROUNDS prolongs it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/rng.h"
#include "conf/dagfile.h"
#include "conf/diag.h"

enum { ENTRIES = 40, REFS = 3, DEPTH = 4, ROUNDS = 3000 };

/* A task or group as written. */
struct entry {
	char name[60];
	bool group;
	int parent, end; /* end: index behind the last entry in it */
	int refs[REFS], nrefs;
};

struct file {
	struct rng rng;
	struct entry list[ENTRIES];
	int n;
	struct buf text;
};

static const struct field *no_params(enum task_kind kind, const char *name)
{
	(void)kind;
	(void)name;
	return NULL;
}

static const char *const *no_names(enum task_kind kind)
{
	static const char *const none[] = { NULL };

	(void)kind;
	return none;
}

/* ---- writing one ---------------------------------------------------------------------- */

static void add_needs(struct file *f, struct entry *e)
{
	int at = (int)(e - f->list);

	for (int k = 0; k < REFS && at > 0; k++) {
		int to = (int)rng_below(&f->rng, (uint64_t)at);
		bool again = false;
		for (int i = 0; i < e->nrefs; i++)
			again |= e->refs[i] == to;
		/* What is whole already: neither around it, nor twice. */
		if (rng_below(&f->rng, 2) || again || f->list[to].end == 0)
			continue;
		e->refs[e->nrefs++] = to;
	}
	buf_addstr(&f->text, "needs: [");
	for (int i = 0; i < e->nrefs; i++)
		buf_addf(&f->text, "%s%s", i ? ", " : "", f->list[e->refs[i]].name);
	buf_addstr(&f->text, "]");
}

static void add_entries(struct file *f, int parent, int depth)
{
	int n = 1 + (int)rng_below(&f->rng, 4);

	for (int k = 0; k < n && (k == 0 || f->n < ENTRIES - DEPTH); k++) {
		int at = f->n++;
		struct entry *e = &f->list[at];
		*e = (struct entry){ .parent = parent,
			.group = depth < DEPTH && f->n < ENTRIES - DEPTH && rng_below(&f->rng, 2) };
		const char *in = parent >= 0 ? f->list[parent].name : "";
		snprintf(e->name, sizeof e->name, "%.40s%s%c%d", in, *in ? "." : "",
			e->group ? 'g' : 't', at);
		buf_addf(&f->text, "%s%c%d: { ", k ? ", " : "", e->group ? 'g' : 't', at);
		add_needs(f, e);
		buf_addstr(&f->text, e->group ? ", group: { " : ", run: x }");
		if (e->group) {
			add_entries(f, at, depth + 1);
			buf_addstr(&f->text, " } }");
		}
		e->end = f->n;
	}
}

/* ---- the definition ------------------------------------------------------------------- */

static bool has_need(const struct task *t, const struct task *need)
{
	for (int i = 0; i < t->nneeds; i++)
		if (t->needs[i] == need->index)
			return true;
	return false;
}

/* Does it need, or is it needed by, a task of the group `g`? */
static bool is_tied(const struct dag *dag, const struct file *f, const struct entry *g,
	const struct task *t, bool up)
{
	for (int i = (int)(g - f->list); i < g->end; i++) {
		const struct task *o = f->list[i].group ? NULL : dag_find(dag, f->list[i].name);
		if (o && (up ? has_need(t, o) : has_need(o, t)))
			return true;
	}
	return false;
}

/* Is `need` what the reference stands for? */
static bool stands_for(
	const struct dag *dag, const struct file *f, int ref, int need, const struct task *t)
{
	const struct entry *e = &f->list[ref];

	if (!e->group)
		return ref == need;
	return need > ref && need < e->end && !is_tied(dag, f, e, t, false);
}

/* By the rule: should the entry `at`, a task, need the entry `need`, another one? */
static bool should_need(const struct dag *dag, const struct file *f, int at, int need)
{
	const struct task *t = dag_find(dag, f->list[at].name);
	const struct task *o = dag_find(dag, f->list[need].name);

	for (int e = at; e >= 0; e = f->list[e].parent) {
		if (e != at && is_tied(dag, f, &f->list[e], t, true))
			continue;
		for (int i = 0; i < f->list[e].nrefs; i++)
			if (stands_for(dag, f, f->list[e].refs[i], need, o))
				return true;
	}
	return false;
}

static void check(const struct dag *dag, const struct file *f)
{
	for (int i = 0; i < f->n; i++) {
		const struct task *t = dag_find(dag, f->list[i].name);
		assert_int_equal(t == NULL, f->list[i].group);
		for (int k = 0; t && k < f->n; k++) {
			const struct task *o = dag_find(dag, f->list[k].name);
			if (o && has_need(t, o) != should_need(dag, f, i, k))
				fail_msg("%s and %s:\n%s", t->name, o->name, f->text.data);
		}
	}
}

static void test_definition(void **state)
{
	static const struct dagfile_operators operators = { .params = no_params,
		.names = no_names };
	const struct dagfile_env env = { .operators = &operators };
	const char *seed = getenv("WEIR_SEED"), *rounds = getenv("WEIR_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	int n = rounds ? atoi(rounds) : ROUNDS, ngroups = 0;

	(void)state;
	printf("# WEIR_SEED=%" PRIu64 "\n", first);
	for (int i = 0; i < n; i++) {
		struct file f = { .n = 0 };
		struct diags diags;
		rng_init(&f.rng, first + (uint64_t)i);
		buf_init(&f.text, BUF_MAX_TEXT);
		diags_init(&diags);
		buf_addstr(&f.text, "dag: d\ntasks: { ");
		add_entries(&f, -1, 0);
		buf_addstr(&f.text, " }\n");
		struct dag *dag = dagfile_load_text("d.yaml", "/tmp", f.text.data, &env, &diags);
		if (!dag)
			fail_msg("%s\n%s", diags.n ? diags.list[0].message : "", f.text.data);
		check(dag, &f);
		ngroups += dag->ngroups;
		dag_unref(dag);
		diags_release(&diags);
		buf_release(&f.text);
	}
	printf("# %d files, %d groups\n", n, ngroups);
	assert_true(ngroups > n / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_definition),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
