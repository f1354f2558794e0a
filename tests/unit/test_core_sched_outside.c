/* Needs on other DAGs and on the run before, as the scheduler keeps them: deferred without a slot,
 * asked by the time and by a call, and then through the gates as any other task. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/units.h"
#include "core/model.h"
#include "core/request.h"
#include "core/sched.h"

enum { A, T, NTASKS, RUN = 7 }; /* T needs A, and another DAG's task */
#define SEC US_PER_SECOND

static const struct cross_need need = { .dag = "orders", .task = "load" };

struct world {
	struct dag *dag;
	struct sched *s;
};

static void world_init(struct world *w, bool cross, bool past)
{
	static const char *const names[] = { "a", "t" };
	int cycle[NTASKS + 1], len;

	*w = (struct world){ .dag = dag_new() };
	w->dag->tasks = arena_array(&w->dag->arena, NTASKS, sizeof *w->dag->tasks);
	int *needs = arena_array(&w->dag->arena, 1, sizeof *needs);
	for (int i = 0; i < NTASKS; i++)
		w->dag->tasks[i] = (struct task){ .name = names[i], .index = i };
	needs[0] = A;
	struct task *t = &w->dag->tasks[T];
	t->needs = needs;
	t->nneeds = 1;
	t->cross = &need;
	t->ncross = cross;
	t->depends_on_past = past;
	w->dag->ntasks = NTASKS;
	assert_int_equal(dag_seal(w->dag, cycle, &len, NULL), 0);
	w->s = sched_new(&(struct sched_config){ .max_running = 1, .seed = 1 });
	sched_set_tokens(w->s, 1, 100);
}

static void world_release(struct world *w)
{
	sched_free(w->s);
	dag_unref(w->dag);
}

static void add(struct world *w, const struct task_init *tasks, bool only)
{
	const struct run_init init = {
		.run_id = RUN, .dag = w->dag, .tasks = tasks, .resume = true, .ignore_needs = only
	};

	assert_int_equal(sched_add_run(w->s, &init, 0, NULL), 0);
}

static struct task_view view(const struct world *w, int task)
{
	struct task_view v;

	assert_true(sched_task_view(w->s, RUN, task, &v));
	return v;
}

static size_t tick(struct world *w, int64_t now_us)
{
	size_t n;

	assert_int_equal(sched_tick(w->s, now_us, NULL), 0);
	const struct sched_question *q = sched_questions(w->s, &n);
	for (size_t i = 0; i < n; i++)
		assert_true(q[i].outside && q[i].task == T);
	return n;
}

static void answer(struct world *w, int success, bool past, int64_t now_us)
{
	const struct sched_outside o = { .run_id = RUN,
		.task = T,
		.counts = { .success = success },
		.past = past,
		.again_us = now_us + 30 * SEC,
		.what = "orders.load" };

	sched_answer_outside(w->s, &o, now_us);
}

static void end_a(struct world *w, enum outcome o, int64_t now_us)
{
	const struct attempt_end e = { .token = view(w, A).token, .outcome = o, .permanent = true };

	assert_true(sched_attempt_ended(w->s, &e, now_us));
}

static void is(const struct world *w, enum task_state state, enum reason why)
{
	assert_string_equal(task_state_name(view(w, T).state), task_state_name(state));
	assert_string_equal(reason_name(view(w, T).reason), reason_name(why));
}

/* It is asked from the start on; deferred when nothing else is missing; and takes a slot only when
 * it starts. */
static void test_life(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	add(&w, NULL, false);
	assert_int_equal(tick(&w, 0), 1);
	answer(&w, 0, true, 0);
	is(&w, TASK_NONE, REASON_NONE);
	assert_int_equal(tick(&w, 1 * SEC), 0);
	assert_int_equal(sched_wake_us(w.s), 30 * SEC);
	/* Its time comes while its own need runs. */
	assert_int_equal(tick(&w, 30 * SEC), 1);
	answer(&w, 0, true, 30 * SEC);
	is(&w, TASK_NONE, REASON_NONE);
	end_a(&w, OUTCOME_SUCCESS, 31 * SEC);
	assert_int_equal(tick(&w, 31 * SEC), 1);
	sched_clear_changes(w.s);
	answer(&w, 0, true, 31 * SEC);
	is(&w, TASK_DEFERRED, REASON_OTHER_RUN);
	size_t n;
	const struct change *c = sched_changes(w.s, &n);
	assert_int_equal(n, 1);
	assert_string_equal(c->state.waits_for, "orders.load");
	assert_int_equal(sched_running(w.s), 0);
	/* Told of, it is asked at once. */
	assert_int_equal(tick(&w, 32 * SEC), 0);
	assert_true(sched_ask_again(w.s, RUN, T));
	assert_int_equal(tick(&w, 32 * SEC), 1);
	answer(&w, 1, true, 32 * SEC);
	is(&w, TASK_SCHEDULED, REASON_NEEDS_MET);
	assert_int_equal(tick(&w, 32 * SEC), 0);
	is(&w, TASK_RUNNING, REASON_STARTED);
	assert_int_equal(sched_running(w.s), 1);
	assert_false(sched_ask_again(w.s, RUN, T));
	world_release(&w);
}

/* When they are met it waits for pools, limits and breakers as any other. */
static void test_gates(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	w.dag->tasks[T].pool = "pg";
	sched_set_pool(w.s, "pg", 0);
	add(&w, NULL, false);
	tick(&w, 0);
	end_a(&w, OUTCOME_SUCCESS, 0);
	answer(&w, 1, true, 0);
	tick(&w, 0);
	is(&w, TASK_QUEUED, REASON_POOL_FULL);
	sched_set_pool(w.s, "pg", 1);
	tick(&w, SEC);
	is(&w, TASK_RUNNING, REASON_STARTED);
	world_release(&w);
}

/* A pause holds what could start, not what waits for others. */
static void test_held(void **state)
{
	struct sched_hold h = { RUN, -1, true, REASON_PAUSED };
	struct world w;

	(void)state;
	world_init(&w, true, false);
	add(&w, NULL, false);
	tick(&w, 0);
	end_a(&w, OUTCOME_SUCCESS, 0);
	answer(&w, 0, true, 0);
	tick(&w, 0);
	answer(&w, 0, true, 0);
	sched_hold(w.s, &h);
	assert_int_equal(tick(&w, 30 * SEC), 1);
	is(&w, TASK_DEFERRED, REASON_OTHER_RUN);
	answer(&w, 1, true, 30 * SEC);
	tick(&w, 30 * SEC);
	is(&w, TASK_HELD, REASON_PAUSED);
	h.on = false;
	sched_hold(w.s, &h);
	tick(&w, 31 * SEC);
	is(&w, TASK_RUNNING, REASON_STARTED);
	world_release(&w);
}

/* One need outside that failed is enough, while its own runs still. */
static void test_failed_abroad(void **state)
{
	const struct sched_outside o = { .run_id = RUN, .task = T, .counts = { .failed = 1 } };
	struct world w;

	(void)state;
	world_init(&w, true, false);
	add(&w, NULL, false);
	tick(&w, 0);
	sched_answer_outside(w.s, &o, 0);
	is(&w, TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED);
	end_a(&w, OUTCOME_SUCCESS, 0);
	assert_string_equal(run_state_name(sched_run_state(w.s, RUN)), "failed");
	/* Done again, it is asked anew. */
	const struct request q = { .verb = REQUEST_RETRY, .failed = true };
	assert_int_equal(sched_request(w.s, RUN, &q, SEC, NULL), 0);
	is(&w, TASK_NONE, REASON_CLEARED);
	assert_int_equal(tick(&w, SEC), 1);
	answer(&w, 1, true, SEC);
	tick(&w, SEC);
	is(&w, TASK_RUNNING, REASON_STARTED);
	world_release(&w);
}

/* The run before is asked only when the rule says run; from waiting for others it comes to waiting
 * for that. */
static void test_past(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, true);
	add(&w, NULL, false);
	tick(&w, 0);
	answer(&w, 0, false, 0);
	end_a(&w, OUTCOME_SUCCESS, 0);
	tick(&w, 0);
	answer(&w, 0, false, 0);
	is(&w, TASK_DEFERRED, REASON_OTHER_RUN);
	tick(&w, 30 * SEC);
	answer(&w, 1, false, 30 * SEC);
	is(&w, TASK_DEFERRED, REASON_PAST_RUN);
	tick(&w, 60 * SEC);
	answer(&w, 1, true, 60 * SEC);
	tick(&w, 60 * SEC);
	is(&w, TASK_RUNNING, REASON_STARTED);
	world_release(&w);

	/* Skipped by its rule, it asks nobody. */
	world_init(&w, false, true);
	add(&w, NULL, false);
	assert_int_equal(tick(&w, 0), 0);
	end_a(&w, OUTCOME_SKIPPED, 0);
	assert_int_equal(tick(&w, 0), 0);
	is(&w, TASK_SKIPPED, REASON_UPSTREAM_SKIPPED);
	world_release(&w);
}

/* --only asks for nothing outside the selection. */
static void test_only(void **state)
{
	struct task_init tasks[NTASKS] = { [T] = { .selected = true } };
	struct world w;

	(void)state;
	world_init(&w, true, true);
	add(&w, tasks, true);
	assert_int_equal(tick(&w, 0), 0);
	is(&w, TASK_RUNNING, REASON_STARTED);
	world_release(&w);
}

/* A new scheduler goes on: what waited asks at once, what was let through does not go back. */
static void test_restart(void **state)
{
	static const struct {
		enum task_state state;
		enum reason why;
		bool asks;
	} cases[] = {
		{ TASK_DEFERRED, REASON_OTHER_RUN, true },
		{ TASK_DEFERRED, REASON_PAST_RUN, true },
		{ TASK_SCHEDULED, REASON_NEEDS_MET, false },
		{ TASK_QUEUED, REASON_SLOT_WAIT, false },
		{ TASK_HELD, REASON_PAUSED, false },
		{ TASK_UP_FOR_RETRY, REASON_RETRY_WAIT, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct task_init tasks[NTASKS] = { [A] = { .state = TASK_SUCCESS,
							   .reason = REASON_SUCCEEDED,
							   .selected = true },
			[T] = { .state = cases[i].state,
				.reason = cases[i].why,
				.failures = 2,
				.selected = true } };
		struct world w;
		world_init(&w, true, true);
		w.dag->tasks[T].retry.retries = 5;
		add(&w, tasks, false);
		assert_int_equal(tick(&w, SEC), cases[i].asks);
		if (cases[i].asks) {
			answer(&w, 1, true, SEC);
			tick(&w, SEC);
		}
		is(&w, TASK_RUNNING, REASON_STARTED);
		assert_int_equal(view(&w, T).failures, 2);
		world_release(&w);
	}
}

/* A cancelled task asks no more, and an answer that comes too late changes nothing. */
static void test_cancelled(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, true, false);
	add(&w, NULL, false);
	assert_int_equal(tick(&w, 0), 1);
	sched_cancel_run(w.s, RUN, false, 0);
	answer(&w, 1, true, 0);
	is(&w, TASK_CANCELLED, REASON_CANCELLED);
	assert_int_equal(tick(&w, SEC), 0);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_life),
		cmocka_unit_test(test_gates),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_failed_abroad),
		cmocka_unit_test(test_past),
		cmocka_unit_test(test_only),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_cancelled),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
