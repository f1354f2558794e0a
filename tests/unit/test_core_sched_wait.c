/* Tasks that wait: asked again when it is time, without a slot, until a deadline that outlives the
 * scheduler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/units.h"
#include "core/model.h"
#include "core/sched.h"

enum { A, W, B, NTASKS, RUN = 7 }; /* tasks: one beside it, the one that waits, one behind it */
#define SEC US_PER_SECOND

struct world {
	struct dag *dag;
	struct sched *s;
	struct task_init init[NTASKS];
};

static void world_init(struct world *w, int jobs)
{
	static const char *const names[] = { "a", "w", "b" };
	int cycle[NTASKS + 1], len;

	*w = (struct world){ .dag = dag_new() };
	w->dag->tasks = arena_array(&w->dag->arena, NTASKS, sizeof *w->dag->tasks);
	for (int i = 0; i < NTASKS; i++)
		w->dag->tasks[i] = (struct task){ .name = names[i], .index = i };
	int *needs = arena_array(&w->dag->arena, 1, sizeof *needs);
	needs[0] = W;
	w->dag->tasks[W].waits = true;
	w->dag->tasks[B].needs = needs;
	w->dag->tasks[B].nneeds = 1;
	w->dag->ntasks = NTASKS;
	assert_int_equal(dag_seal(w->dag, cycle, &len, NULL), 0);
	w->s = sched_new(&(struct sched_config){ .max_running = jobs, .seed = 1 });
	sched_set_tokens(w->s, 1, 100);
}

static void add(struct world *w, const struct task_init *tasks, int64_t now_us)
{
	const struct run_init init = { .run_id = RUN, .dag = w->dag, .tasks = tasks };

	assert_int_equal(sched_add_run(w->s, &init, now_us, NULL), 0);
}

static void world_release(struct world *w)
{
	sched_free(w->s);
	dag_unref(w->dag);
}

static struct task_view view(const struct world *w, int task)
{
	struct task_view v;

	assert_true(sched_task_view(w->s, RUN, task, &v));
	return v;
}

/* How many ask after a tick; the first of them. */
static size_t tick(struct world *w, int64_t now_us, struct sched_question *ret)
{
	size_t n;

	assert_int_equal(sched_tick(w->s, now_us, NULL), 0);
	const struct sched_question *q = sched_questions(w->s, &n);
	*ret = n ? q[0] : (struct sched_question){ .task = -1 };
	return n;
}

static void not_yet(struct world *w, int64_t now_us, int64_t again_us, int64_t deadline_us)
{
	const struct sched_wait wait = {
		.run_id = RUN, .task = W, .again_us = again_us, .deadline_us = deadline_us
	};

	sched_answer_wait(w->s, &wait, now_us);
}

/* It takes no slot while it waits, nor when it goes on: the only one is another's. */
static void test_no_slot(void **state)
{
	struct sched_question q;
	struct world w;

	(void)state;
	world_init(&w, 1);
	add(&w, NULL, 0);
	assert_int_equal(tick(&w, 0, &q), 1);
	assert_int_equal(q.task, W);
	assert_false(q.asked);
	assert_int_equal(view(&w, A).state, TASK_RUNNING);
	not_yet(&w, 0, 10 * SEC, 100 * SEC);
	assert_int_equal(view(&w, W).state, TASK_DEFERRED);
	assert_int_equal(view(&w, W).reason, REASON_WAITING);
	assert_int_equal(view(&w, W).due_us, 100 * SEC);
	assert_int_equal(sched_wake_us(w.s), 10 * SEC);
	assert_int_equal(sched_running(w.s), 1);
	assert_int_equal(tick(&w, 9 * SEC, &q), 0);
	assert_int_equal(tick(&w, 10 * SEC, &q), 1);
	assert_true(q.asked);
	assert_int_equal(q.deadline_us, 100 * SEC);
	sched_answer(w.s, RUN, W, true, 10 * SEC);
	assert_int_equal(view(&w, W).state, TASK_RUNNING);
	assert_int_equal(view(&w, A).state, TASK_RUNNING);
	const struct attempt_end e = { .token = view(&w, W).token, .outcome = OUTCOME_SUCCESS };
	assert_true(sched_attempt_ended(w.s, &e, 10 * SEC));
	assert_int_equal(tick(&w, 10 * SEC, &q), 0);
	/* The slot is the other's still. */
	assert_int_equal(view(&w, B).state, TASK_QUEUED);
	assert_int_equal(view(&w, B).reason, REASON_SLOT_WAIT);
	world_release(&w);
}

/* It is asked once more at its deadline, which the first answer says. */
static void check_deadline(bool skip, enum task_state want)
{
	struct sched_wait wait = { .run_id = RUN,
		.task = W,
		.again_us = 60 * SEC,
		.deadline_us = 100 * SEC,
		.skip = skip };
	struct sched_question q;
	struct world w;

	world_init(&w, 4);
	add(&w, NULL, 0);
	tick(&w, 0, &q);
	sched_answer_wait(w.s, &wait, 0);
	tick(&w, 60 * SEC, &q);
	wait.again_us = 120 * SEC;
	wait.deadline_us = 160 * SEC;
	sched_answer_wait(w.s, &wait, 60 * SEC);
	assert_int_equal(sched_wake_us(w.s), 100 * SEC);
	assert_int_equal(tick(&w, 100 * SEC, &q), 1);
	sched_answer_wait(w.s, &wait, 100 * SEC);
	assert_int_equal(view(&w, W).state, want);
	assert_int_equal(view(&w, W).reason, REASON_WAIT_TIMED_OUT);
	assert_int_equal(view(&w, W).due_us, 0);
	assert_int_equal(view(&w, W).tries, 0);
	assert_int_equal(
		view(&w, B).state, want == TASK_FAILED ? TASK_UPSTREAM_FAILED : TASK_SKIPPED);
	world_release(&w);
}

static void test_deadline(void **state)
{
	(void)state;
	check_deadline(false, TASK_FAILED);
	check_deadline(true, TASK_SKIPPED);
}

/* Taken up again it is asked at once, and its deadline is the one it had. */
static void test_restored(void **state)
{
	struct sched_question q;
	struct world w;

	(void)state;
	for (int input = 0; input < 2; input++) {
		world_init(&w, 4);
		for (int i = 0; i < NTASKS; i++)
			w.init[i].selected = true;
		w.init[A].state = TASK_SUCCESS;
		w.init[W].state = input ? TASK_AWAITING_INPUT : TASK_DEFERRED;
		w.init[W].due_us = 100 * SEC;
		add(&w, w.init, 50 * SEC);
		assert_int_equal(tick(&w, 50 * SEC, &q), 1);
		assert_true(q.asked);
		assert_int_equal(q.deadline_us, 100 * SEC);
		sched_clear_changes(w.s);
		not_yet(&w, 50 * SEC, 200 * SEC, 500 * SEC);
		size_t n;
		sched_changes(w.s, &n);
		assert_int_equal(n, 0);
		assert_int_equal(sched_wake_us(w.s), 100 * SEC);
		world_release(&w);
	}
}

/* Held it goes on waiting, unasked; a cancel ends it; its answer comes too late then. */
static void test_held(void **state)
{
	struct sched_hold hold = { RUN, -1, true, REASON_PAUSED };
	struct sched_question q;
	struct world w;

	(void)state;
	world_init(&w, 4);
	add(&w, NULL, 0);
	tick(&w, 0, &q);
	not_yet(&w, 0, 10 * SEC, 20 * SEC);
	sched_hold(w.s, &hold);
	assert_int_equal(tick(&w, 30 * SEC, &q), 0);
	assert_int_equal(view(&w, W).state, TASK_DEFERRED);
	hold.on = false;
	sched_hold(w.s, &hold);
	assert_int_equal(tick(&w, 31 * SEC, &q), 1);
	sched_cancel_run(w.s, RUN, false, 31 * SEC);
	assert_int_equal(view(&w, W).state, TASK_CANCELLED);
	sched_answer(w.s, RUN, W, true, 31 * SEC);
	assert_int_equal(view(&w, W).state, TASK_CANCELLED);
	assert_false(sched_ask_again(w.s, RUN, W));
	world_release(&w);
}

/* Something came in: it is asked before it is time. Without a token it waits on. */
static void test_asked_again(void **state)
{
	struct sched_question q;
	struct world w;

	(void)state;
	world_init(&w, 4);
	add(&w, NULL, 0);
	tick(&w, 0, &q);
	const struct sched_wait wait = {
		.run_id = RUN, .task = W, .input = true, .again_us = 1000 * SEC
	};
	sched_answer_wait(w.s, &wait, 0);
	assert_int_equal(view(&w, W).state, TASK_AWAITING_INPUT);
	assert_int_equal(tick(&w, SEC, &q), 0);
	assert_false(sched_ask_again(w.s, RUN, A));
	assert_false(sched_ask_again(w.s, RUN, NTASKS));
	assert_false(sched_ask_again(w.s, RUN + 1, W));
	assert_true(sched_ask_again(w.s, RUN, W));
	assert_int_equal(tick(&w, SEC, &q), 1);
	sched_set_tokens(w.s, 100, 100);
	sched_answer(w.s, RUN, W, true, SEC);
	assert_int_equal(view(&w, W).state, TASK_AWAITING_INPUT);
	sched_set_tokens(w.s, 100, 200);
	assert_int_equal(tick(&w, 3 * SEC, &q), 1);
	sched_answer_skip(w.s, RUN, W, REASON_REJECTED, 3 * SEC);
	assert_int_equal(view(&w, W).state, TASK_SKIPPED);
	assert_int_equal(view(&w, W).reason, REASON_REJECTED);
	world_release(&w);
}

/* What is there and finds no token takes its turn with the next one, deadline or not; and the first
 * time it keeps the deadline that it was not told yet. */
static void test_no_token(void **state)
{
	struct sched_question q;
	struct world w;

	(void)state;
	world_init(&w, 4);
	add(&w, NULL, 0);
	assert_int_equal(tick(&w, 0, &q), 1);
	sched_set_tokens(w.s, 100, 100);
	sched_answer(w.s, RUN, W, true, 0);
	assert_int_equal(view(&w, W).state, TASK_NONE);
	assert_int_equal(tick(&w, 0, &q), 1);
	assert_true(q.asked);
	assert_false(q.waits);
	not_yet(&w, 0, 5 * SEC, 10 * SEC);
	assert_int_equal(view(&w, W).due_us, 10 * SEC);
	assert_int_equal(tick(&w, 10 * SEC, &q), 1);
	assert_true(q.waits);
	sched_answer(w.s, RUN, W, true, 10 * SEC);
	assert_int_equal(view(&w, W).state, TASK_DEFERRED);
	sched_set_tokens(w.s, 100, 200);
	assert_int_equal(tick(&w, 11 * SEC, &q), 1);
	sched_answer(w.s, RUN, W, true, 11 * SEC);
	assert_int_equal(view(&w, W).state, TASK_RUNNING);
	world_release(&w);
}

/* What could not be looked at is asked again in a second, even past its deadline. */
static void test_unseen(void **state)
{
	struct sched_wait unseen = { .run_id = RUN,
		.task = W,
		.again_us = 5 * SEC,
		.deadline_us = 10 * SEC,
		.unseen = true };
	struct sched_question q;
	struct world w;

	(void)state;
	world_init(&w, 4);
	add(&w, NULL, 0);
	assert_int_equal(tick(&w, 0, &q), 1);
	sched_answer_wait(w.s, &unseen, 0);
	assert_int_equal(view(&w, W).state, TASK_DEFERRED);
	assert_int_equal(sched_wake_us(w.s), 5 * SEC);
	assert_int_equal(tick(&w, 10 * SEC, &q), 1);
	sched_answer_wait(w.s, &unseen, 10 * SEC);
	assert_int_equal(view(&w, W).state, TASK_DEFERRED);
	assert_int_equal(tick(&w, 11 * SEC - 1, &q), 0);
	assert_int_equal(tick(&w, 11 * SEC, &q), 1);
	not_yet(&w, 11 * SEC, 12 * SEC, 10 * SEC);
	assert_int_equal(view(&w, W).state, TASK_FAILED);
	world_release(&w);
}

/* Looks are spread, by no more than was said. */
static void test_spread(void **state)
{
	struct sched_question q;
	struct world w;
	bool differ = false;
	int64_t first = 0;

	(void)state;
	world_init(&w, 4);
	add(&w, NULL, 0);
	tick(&w, 0, &q);
	for (int64_t now = 0, i = 0; i < 20; i++) {
		const struct sched_wait wait = {
			.run_id = RUN, .task = W, .again_us = now + 10 * SEC, .spread_us = SEC
		};
		sched_answer_wait(w.s, &wait, now);
		int64_t late = sched_wake_us(w.s) - now - 10 * SEC;
		assert_in_range(late, 0, SEC);
		differ |= i > 0 && late != first;
		first = late;
		now = sched_wake_us(w.s);
		assert_int_equal(tick(&w, now, &q), 1);
	}
	assert_true(differ);
	world_release(&w);
}

/* The words of the changes that tell what was found, since this was asked last. */
static const char *told(struct world *w)
{
	static char text[200];
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	*text = '\0';
	for (size_t i = 0; i < n; i++)
		if (c[i].kind == CHANGE_LOOKED)
			snprintf(text + strlen(text), sizeof text - strlen(text), "%s;",
				c[i].detail);
	sched_clear_changes(w->s);
	return text;
}

static void say(struct world *w, const char *what, bool gone, int64_t now_us)
{
	const struct sched_wait wait = { .run_id = RUN,
		.task = W,
		.again_us = now_us + 10 * SEC,
		.deadline_us = 100 * SEC,
		.said = what,
		.gone = gone };
	struct sched_question q;

	tick(w, now_us, &q);
	sched_answer_wait(w->s, &wait, now_us);
}

/* What is there instead is told when it is another; that it is gone only when it was there. */
static void test_said(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 4);
	add(&w, NULL, 0);
	say(&w, "gone", true, 0);
	assert_string_equal(told(&w), "");
	say(&w, "gone", true, 10 * SEC);
	assert_string_equal(told(&w), "");
	say(&w, "small", false, 20 * SEC);
	assert_string_equal(told(&w), "small;");
	say(&w, "small", false, 30 * SEC);
	assert_string_equal(told(&w), "");
	say(&w, NULL, false, 40 * SEC);
	assert_string_equal(told(&w), "");
	say(&w, "gone", true, 50 * SEC);
	assert_string_equal(told(&w), "gone;");
	say(&w, "gone", true, 60 * SEC);
	assert_string_equal(told(&w), "");
	say(&w, "young", false, 100 * SEC);
	assert_string_equal(told(&w), "young;");
	assert_int_equal(view(&w, W).reason, REASON_WAIT_TIMED_OUT);
	world_release(&w);
	world_init(&w, 4);
	add(&w, NULL, 0);
	say(&w, "young", false, 0);
	assert_string_equal(told(&w), "young;");
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_slot),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_asked_again),
		cmocka_unit_test(test_no_token),
		cmocka_unit_test(test_unseen),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_said),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
