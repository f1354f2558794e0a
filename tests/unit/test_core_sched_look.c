/* Looks for what tasks wait for: their gate, their ends, deadlines, breakers, and what ends them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "base/node.h"
#include "base/units.h"
#include "core/breaker.h"
#include "core/model.h"
#include "core/sched.h"

enum { NWAITS = 5, B = NWAITS, NTASKS, RUN = 7 }; /* tasks that wait, and one behind the first */
#define SEC US_PER_SECOND
#define OPENED "v1 open 1 9223372036854775807 0 0"

static const struct breaker_policy policy = { .failures = 2,
	.window_us = 60 * SEC,
	.open_us = 10 * SEC,
	.max_open_us = 10 * SEC,
	.factor = 1,
	.probes = 1,
	.ramp = 10,
	.counts = 1 << BREAKER_TRANSIENT | 1 << BREAKER_TIMEOUT };

struct world {
	struct dag *dag;
	struct sched *s;
	struct task_init init[NTASKS];
	int64_t looks[16]; /* tokens, in their order */
	int nlooks, nstops, nsaid;
	bool skip; /* at the deadline */
	char said[64];
};

static const char *const api[] = { "api", NULL };

static void world_init(struct world *w, int max_looks)
{
	static const char *const names[] = { "w0", "w1", "w2", "w3", "w4", "b" };
	int cycle[NTASKS + 1], len;

	*w = (struct world){ .dag = dag_new() };
	w->dag->tasks = arena_array(&w->dag->arena, NTASKS, sizeof *w->dag->tasks);
	int *needs = arena_array(&w->dag->arena, 1, sizeof *needs);
	needs[0] = 0;
	for (int i = 0; i < NTASKS; i++)
		w->dag->tasks[i] =
			(struct task){ .name = names[i], .index = i, .waits = i < NWAITS };
	w->dag->tasks[B].needs = needs;
	w->dag->tasks[B].nneeds = 1;
	w->dag->ntasks = NTASKS;
	assert_int_equal(dag_seal(w->dag, cycle, &len, NULL), 0);
	const struct sched_config config = { .max_running = 1, .seed = 1, .max_looks = max_looks };
	w->s = sched_new(&config);
	sched_set_tokens(w->s, 1, 1000);
	sched_set_breaker(w->s, "api", &policy);
}

static void world_release(struct world *w)
{
	sched_free(w->s);
	dag_unref(w->dag);
}

/* Only the first `n` of them are there. */
static void add(struct world *w, int n)
{
	for (int i = 0; i < NTASKS; i++) {
		w->init[i].selected = true;
		w->init[i].state = i >= n && i < NWAITS ? TASK_SUCCESS : TASK_NONE;
	}
	const struct run_init init = { .run_id = RUN, .dag = w->dag, .tasks = w->init };
	assert_int_equal(sched_add_run(w->s, &init, 0, NULL), 0);
}

static struct task_view view(const struct world *w, int task)
{
	struct task_view v;

	assert_true(sched_task_view(w->s, RUN, task, &v));
	return v;
}

static enum task_state state_of(const struct world *w, int task)
{
	return view(w, task).state;
}

static void see_changes(struct world *w)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	for (size_t i = 0; i < n; i++) {
		if (c[i].kind == CHANGE_LOOK)
			w->looks[w->nlooks++] = c[i].attempt.token;
		w->nstops += c[i].kind == CHANGE_STOP;
		if (c[i].kind == CHANGE_LOOKED) {
			w->nsaid++;
			snprintf(w->said, sizeof w->said, "%s", c[i].detail);
		}
	}
	sched_clear_changes(w->s);
}

struct waiting {
	int64_t deadline_us;
	bool skip;
};

/* Ticks, and answers with looks, until nobody asks. What was asked of a breaker is told. */
static void go(struct world *w, int64_t now_us, struct waiting how)
{
	size_t n;
	const struct sched_question *q;

	do {
		assert_int_equal(sched_tick(w->s, now_us, NULL), 0);
		q = sched_questions(w->s, &n);
		struct sched_question asked[NTASKS];
		if (n > 0)
			memcpy(asked, q, n * sizeof *q);
		for (size_t i = 0; i < n; i++) {
			const struct sched_wait wait = { .run_id = RUN,
				.task = asked[i].task,
				.again_us = now_us + 10 * SEC,
				.deadline_us = how.deadline_us,
				.what = "it",
				.skip = how.skip };
			if (asked[i].stopped)
				sched_answer_wait(w->s, &wait, now_us);
			else
				sched_answer_look(w->s, &wait, now_us);
		}
	} while (n > 0);
	see_changes(w);
}

static void ends(struct world *w, int64_t token, enum outcome outcome, int64_t now_us)
{
	struct sched_look_end e = { .token = token, .outcome = outcome, .said = "nothing" };
	int64_t run_id;

	assert_true(sched_look(w->s, token, &run_id, &e.wait.task));
	e.wait.run_id = run_id;
	e.wait.again_us = now_us + 10 * SEC;
	e.wait.skip = w->skip;
	assert_true(sched_look_ended(w->s, &e, now_us));
	assert_false(sched_look_ended(w->s, &e, now_us));
	see_changes(w);
}

static void found(struct world *w, int64_t token, int64_t now_us)
{
	const struct sched_look_end e = {
		.token = token, .outcome = OUTCOME_SUCCESS, .over = true
	};

	assert_true(sched_look_ended(w->s, &e, now_us));
	see_changes(w);
}

static const struct waiting for_ever;

/* So many at once, in the order in which they asked; no slot, no try, one row however long. */
static void test_gate(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 2);
	add(&w, NWAITS);
	go(&w, 0, for_ever);
	assert_int_equal(w.nlooks, 2);
	assert_int_equal(sched_looking(w.s), 2);
	assert_int_equal(sched_running(w.s), 0);
	for (int i = 0; i < NWAITS; i++)
		assert_int_equal(state_of(&w, i), TASK_DEFERRED);
	for (int i = 0; i < 5; i++) {
		ends(&w, w.looks[i], OUTCOME_SUCCESS, i);
		go(&w, i, for_ever);
	}
	assert_int_equal(w.nlooks, 5);
	assert_int_equal(sched_looking(w.s), 0);
	assert_int_equal(w.nsaid, 5);
	go(&w, 9 * SEC, for_ever);
	assert_int_equal(w.nlooks, 5);
	go(&w, 11 * SEC, for_ever);
	assert_int_equal(w.nlooks, 7);
	ends(&w, w.looks[5], OUTCOME_FAILED, 11 * SEC);
	assert_int_equal(w.nsaid, 5); /* it says the same */
	assert_int_equal(view(&w, 0).tries, 0);
	found(&w, w.looks[6], 11 * SEC);
	assert_int_equal(state_of(&w, 1), TASK_RUNNING);
	assert_int_equal(view(&w, 1).tries, 1);
	world_release(&w);
}

/* What waits for its look, or is looked for, is asked at its deadline. */
static void check_deadline(int nlooking, bool skip)
{
	const struct waiting how = { 15 * SEC, skip };
	const enum task_state want = skip ? TASK_SKIPPED : TASK_FAILED;
	struct world w;

	world_init(&w, 1);
	w.skip = skip;
	add(&w, 2);
	go(&w, 0, how);
	assert_int_equal(w.nlooks, 1);
	if (nlooking == 0) {
		/* The first at its deadline is looked for once more. */
		ends(&w, w.looks[0], OUTCOME_SUCCESS, 0);
		go(&w, 0, how);
		ends(&w, w.looks[1], OUTCOME_SUCCESS, 9 * SEC);
		go(&w, 10 * SEC, how);
		ends(&w, w.looks[2], OUTCOME_SUCCESS, 10 * SEC);
	}
	go(&w, 15 * SEC, how);
	if (nlooking == 0) {
		assert_int_equal(w.nlooks, 4);
		/* One of both has the only place: the other has waited as long as it may. */
		assert_int_equal((state_of(&w, 0) == want) + (state_of(&w, 1) == want), 1);
		ends(&w, w.looks[3], OUTCOME_SUCCESS, 16 * SEC);
	} else {
		assert_int_equal(state_of(&w, 0), TASK_DEFERRED);
		ends(&w, w.looks[0], OUTCOME_SUCCESS, 16 * SEC);
	}
	assert_int_equal(state_of(&w, 0), want);
	assert_int_equal(state_of(&w, 1), want);
	assert_int_equal(view(&w, 0).reason, REASON_WAIT_TIMED_OUT);
	go(&w, 17 * SEC, how);
	assert_int_equal(w.nlooks, nlooking ? 1 : 4);
	world_release(&w);
}

static void test_deadline(void **state)
{
	(void)state;
	check_deadline(1, false);
	check_deadline(1, true);
	check_deadline(0, false);
	check_deadline(0, true);
}

static size_t memory_used(void)
{
	const struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

/* A wait of months is looked for a million times: nothing is kept of each. */
static void test_many_looks(void **state)
{
	const struct waiting how = { .deadline_us = 1000000 * SEC };
	int64_t now_us = 0;
	struct world w;
	size_t before = 0;

	(void)state;
	world_init(&w, 1);
	sched_set_tokens(w.s, 1, 100000);
	add(&w, 1);
	for (int i = 0; i < 20000; i++, now_us += 10 * SEC) {
		w.nlooks = 0;
		go(&w, now_us, how);
		assert_int_equal(w.nlooks, 1);
		ends(&w, w.looks[0], OUTCOME_SUCCESS, now_us);
		before = i == 100 ? memory_used() : before;
	}
	assert_true(memory_used() < before + 10000);
	go(&w, how.deadline_us, how);
	ends(&w, w.looks[1], OUTCOME_SUCCESS, how.deadline_us);
	assert_int_equal(view(&w, 0).reason, REASON_WAIT_TIMED_OUT);
	world_release(&w);
}

/* A cancel, a drop: the look is stopped, and its place is free when it has ended, not before. */
static void test_ended_by_request(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 1);
	add(&w, 2);
	go(&w, 0, for_ever);
	sched_cancel_run(w.s, RUN, false, SEC);
	see_changes(&w);
	assert_int_equal(w.nstops, 1);
	assert_int_equal(state_of(&w, 0), TASK_CANCELLED);
	assert_int_equal(sched_run_state(w.s, RUN), RUN_CANCELLED);
	assert_int_equal(sched_looking(w.s), 1);
	found(&w, w.looks[0], SEC);
	assert_int_equal(state_of(&w, 0), TASK_CANCELLED);
	assert_int_equal(sched_looking(w.s), 0);
	go(&w, SEC, for_ever);
	assert_int_equal(w.nlooks, 1);
	world_release(&w);

	int64_t run_id;
	int task;
	world_init(&w, 1);
	add(&w, 2);
	go(&w, 0, for_ever);
	sched_drop_run(w.s, RUN);
	assert_true(sched_look(w.s, w.looks[0], &run_id, &task));
	assert_int_equal(run_id, 0);
	found(&w, w.looks[0], SEC);
	assert_int_equal(sched_looking(w.s), 0);
	assert_false(sched_look(w.s, w.looks[0], &run_id, &task));
	world_release(&w);
}

/* Held by request nobody looks; let go, it is looked for again. */
static void test_held(void **state)
{
	struct sched_hold hold = { RUN, -1, true, REASON_PAUSED };
	struct world w;

	(void)state;
	world_init(&w, 1);
	add(&w, 2);
	go(&w, 0, for_ever);
	sched_hold(w.s, &hold);
	ends(&w, w.looks[0], OUTCOME_SUCCESS, SEC);
	go(&w, 20 * SEC, for_ever);
	assert_int_equal(w.nlooks, 1);
	assert_int_equal(state_of(&w, 1), TASK_DEFERRED);
	hold.on = false;
	sched_hold(w.s, &hold);
	for (int i = 1; i < 3; i++) {
		go(&w, 20 * SEC, for_ever);
		assert_int_equal(w.nlooks, i + 1);
		ends(&w, w.looks[i], OUTCOME_SUCCESS, 20 * SEC);
	}
	world_release(&w);
}

static void use_breaker(struct world *w, enum on_open on_open)
{
	for (int i = 0; i < NWAITS; i++) {
		w->dag->tasks[i].breakers = api;
		w->dag->tasks[i].on_open = on_open;
	}
}

/* Looks that fail open it; it holds the others, then lets one probe, then all. */
static void test_breaker(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 2);
	use_breaker(&w, ON_OPEN_HOLD);
	add(&w, 3);
	go(&w, 0, for_ever);
	ends(&w, w.looks[0], OUTCOME_FAILED, SEC);
	ends(&w, w.looks[1], OUTCOME_TIMEOUT, SEC);
	go(&w, SEC, for_ever);
	assert_int_equal(w.nlooks, 2);
	go(&w, 10 * SEC, for_ever);
	assert_int_equal(w.nlooks, 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(state_of(&w, i), TASK_DEFERRED);
	assert_string_equal(view(&w, 2).breaker, "api");
	go(&w, 11 * SEC, for_ever);
	assert_int_equal(w.nlooks, 3);
	go(&w, 12 * SEC, for_ever);
	assert_int_equal(w.nlooks, 3);
	/* That it is not there yet is an answer. */
	ends(&w, w.looks[2], OUTCOME_SUCCESS, 12 * SEC);
	for (int i = 0; i < 10 && w.nlooks < 5; i++)
		go(&w, 12 * SEC + i * SEC, for_ever);
	assert_int_equal(w.nlooks, 5);
	found(&w, w.looks[3], 20 * SEC);
	world_release(&w);
}

/* A deadline comes though a breaker holds the looks. */
static void test_breaker_deadline(void **state)
{
	const struct waiting how = { 15 * SEC, true };
	struct world w;

	(void)state;
	world_init(&w, 1);
	use_breaker(&w, ON_OPEN_HOLD);
	add(&w, 2);
	go(&w, 0, how);
	sched_load_breaker(w.s, "api", OPENED, SEC);
	ends(&w, w.looks[0], OUTCOME_SUCCESS, SEC);
	go(&w, SEC, how);
	go(&w, 14 * SEC, how);
	assert_int_equal(state_of(&w, 0), TASK_DEFERRED);
	assert_int_equal(state_of(&w, 1), TASK_DEFERRED);
	go(&w, 15 * SEC, how);
	assert_int_equal(state_of(&w, 0), TASK_SKIPPED);
	assert_int_equal(state_of(&w, 1), TASK_SKIPPED);
	assert_int_equal(w.nlooks, 1);
	world_release(&w);
}

/* Open from the start: as any other task. */
static void test_breaker_first(void **state)
{
	static const enum task_state states[ON_OPEN_MAX] = { [ON_OPEN_HOLD] = TASK_HELD,
		[ON_OPEN_SKIP] = TASK_SKIPPED,
		[ON_OPEN_FAIL] = TASK_FAILED };
	struct world w;

	(void)state;
	for (int on_open = 0; on_open < ON_OPEN_MAX; on_open++) {
		world_init(&w, 1);
		use_breaker(&w, (enum on_open)on_open);
		sched_load_breaker(w.s, "api", OPENED, 0);
		add(&w, 1);
		go(&w, 0, for_ever);
		assert_int_equal(state_of(&w, 0), states[on_open]);
		assert_int_equal(view(&w, 0).reason, REASON_BREAKER_OPEN);
		if (on_open == ON_OPEN_SKIP)
			assert_int_equal(state_of(&w, B), TASK_SKIPPED);
		sched_load_breaker(w.s, "api", "v1 closed 5 0 0 5", SEC);
		go(&w, SEC, for_ever);
		assert_int_equal(w.nlooks, on_open == ON_OPEN_HOLD);
		world_release(&w);
	}
}

/* Its `if` is asked before the breaker is, and before anybody looks. */
static void test_if(void **state)
{
	static const struct node only_if;
	const struct sched_question *q;
	struct world w;
	size_t n;

	(void)state;
	world_init(&w, 1);
	use_breaker(&w, ON_OPEN_HOLD);
	w.dag->tasks[0].only_if = &only_if;
	sched_load_breaker(w.s, "api", OPENED, 0);
	add(&w, 1);
	sched_tick(w.s, 0, NULL);
	q = sched_questions(w.s, &n);
	assert_int_equal(n, 1);
	assert_false(q->asked);
	sched_answer_if(w.s, RUN, 0, 0);
	sched_tick(w.s, 0, NULL);
	sched_questions(w.s, &n);
	assert_int_equal(n, 0);
	assert_int_equal(state_of(&w, 0), TASK_HELD);
	sched_load_breaker(w.s, "api", "v1 closed 5 0 0 5", SEC);
	sched_tick(w.s, SEC, NULL);
	q = sched_questions(w.s, &n);
	assert_int_equal(n, 1);
	assert_true(q->asked);
	assert_false(q->waits);
	world_release(&w);
}

/* Without a token nothing is begun; what was found is looked for again. */
static void test_no_token(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, 1);
	add(&w, 1);
	go(&w, 0, for_ever);
	sched_set_tokens(w.s, 1000, 1000);
	found(&w, w.looks[0], 0);
	assert_int_equal(state_of(&w, 0), TASK_DEFERRED);
	go(&w, 2 * SEC, for_ever);
	assert_int_equal(w.nlooks, 1);
	sched_set_tokens(w.s, 1000, 2000);
	go(&w, 3 * SEC, for_ever);
	assert_int_equal(w.nlooks, 2);
	found(&w, w.looks[1], 3 * SEC);
	assert_int_equal(state_of(&w, 0), TASK_RUNNING);
	sched_halt(w.s);
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_many_looks),
		cmocka_unit_test(test_ended_by_request),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_breaker_deadline),
		cmocka_unit_test(test_breaker_first),
		cmocka_unit_test(test_if),
		cmocka_unit_test(test_no_token),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
