/* Tasks that wait, in the engine: a store that cannot be read says nothing of what is waited for,
 * and costs the task neither its wait nor a try. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/sched.h"
#include "store/backend.h"
#include "tests/lib/engine_world.h"

/* A full disk, for those who read about approvals. */
static const struct store_ops *well;
static int nreads, first_ill, last_ill;

static int list(
	struct store *s, const struct list_query *q, struct store_result *ret, struct err *err)
{
	if (q->kind != LIST_APPROVAL)
		return well->list(s, q, ret, err);
	nreads++;
	return nreads >= first_ill && nreads <= last_ill
		       ? err_set(err, ERR_STORE, "the disk is gone")
		       : well->list(s, q, ret, err);
}

static void fall_ill(struct world *w, int first, int last)
{
	static struct store_ops ops;

	well = w->e.store->ops;
	ops = *well;
	ops.list = list;
	w->e.store->ops = &ops;
	nreads = 0;
	first_ill = first;
	last_ill = last;
}

static struct active_run *begin(struct world *w)
{
	static const char text[] =
		"dag: d\ntasks:\n  a: { control: approval, with: { prompt: ok? } }\n";
	struct run_init init = { 0 };
	struct dag *dag = world_dag(w, "d", text);
	struct active_run *r = world_take(w, dag);

	dag_unref(dag);
	assert_int_equal(engine_start(&w->e, r, &init, &w->err), 0);
	engine_step(&w->e);
	return r;
}

static struct task_view view(struct world *w, int64_t run_id)
{
	struct task_view v = { 0 };

	assert_true(sched_task_view(w->e.sched, run_id, 0, &v));
	return v;
}

static void approve(struct world *w, int64_t run_id)
{
	const struct approval_put put = { .run_id = run_id,
		.task = "a",
		.map_index = -1,
		.approved = true,
		.decision = "{\"approved\":true}",
		.now_us = clock_now_us() };

	assert_int_equal(store_decide(w->e.store, &put, &w->err), 0);
}

static void test_cannot_look(void **state)
{
	struct world *w = *state;
	int64_t run_id = begin(w)->id;

	assert_int_equal(view(w, run_id).state, TASK_AWAITING_INPUT);
	fall_ill(w, 1, 1);
	approve(w, run_id);
	assert_true(sched_ask_again(w->e.sched, run_id, 0));
	engine_step(&w->e);
	assert_int_equal(nreads, 1);
	assert_int_equal(view(w, run_id).state, TASK_AWAITING_INPUT);
	assert_int_equal(view(w, run_id).tries, 0);
	assert_true(sched_ask_again(w->e.sched, run_id, 0));
	engine_step(&w->e);
	assert_int_equal(w->nidle, 1);
	w->e.store->ops = well;
	engine_release(&w->e);
}

/* It was there, and the attempt that tells of it cannot look. */
static void test_attempt_cannot_look(void **state)
{
	struct world *w = *state;
	int64_t run_id = begin(w)->id;

	fall_ill(w, 2, 2);
	approve(w, run_id);
	assert_true(sched_ask_again(w->e.sched, run_id, 0));
	engine_step(&w->e);
	assert_int_equal(nreads, 2);
	assert_int_equal(view(w, run_id).state, TASK_UP_FOR_RETRY);
	assert_int_equal(view(w, run_id).failures + view(w, run_id).lost, 0);
	w->e.store->ops = well;
	engine_release(&w->e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cannot_look, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(
			test_attempt_cannot_look, world_setup, world_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
