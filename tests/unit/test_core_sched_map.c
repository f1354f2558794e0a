/* Mapped tasks: a list asked for once, an instance for each item, and what they make of the
 * whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "core/model.h"
#include "core/request.h"
#include "core/sched.h"

enum { BEFORE, MAPPED, BEHIND, NTASKS, RUN = 7, NO_SUCH = 99 };
#define SEC US_PER_SECOND

struct world {
	struct dag *dag;
	struct foreach foreach;
	struct sched *s;
	struct task_init init[NTASKS]; /* for the next scheduler */
	struct instance_init *instances;
	struct run_init run;
	int nitems; /* CHANGE_ITEM so far */
};

static void world_init(struct world *w)
{
	static const char *const names[] = { "before", "mapped", "behind" };
	int cycle[NTASKS + 1], len;

	*w = (struct world){ .dag = dag_new() };
	w->dag->name = "d";
	w->dag->tasks = arena_array(&w->dag->arena, NTASKS, sizeof *w->dag->tasks);
	for (int i = 0; i < NTASKS; i++) {
		int *needs = arena_array(&w->dag->arena, 1, sizeof *needs);
		needs[0] = i - 1;
		w->dag->tasks[i] = (struct task){
			.name = names[i], .index = i, .needs = needs, .nneeds = i > 0
		};
	}
	w->dag->tasks[MAPPED].foreach = &w->foreach;
	w->dag->ntasks = NTASKS;
	assert_int_equal(dag_seal(w->dag, cycle, &len, NULL), 0);
}

static void begin(struct world *w, int jobs)
{
	w->s = sched_new(&(struct sched_config){ .max_running = jobs, .seed = 1 });
	sched_set_tokens(w->s, 1, 100000);
}

static void world_release(struct world *w)
{
	sched_free(w->s);
	dag_unref(w->dag);
	free(w->instances);
}

static void add(struct world *w)
{
	const struct run_init init = { .run_id = RUN, .dag = w->dag };

	assert_int_equal(sched_add_run(w->s, &init, 0, NULL), 0);
}

static struct task_view view(const struct world *w, int task)
{
	struct task_view v;

	assert_true(sched_task_view(w->s, RUN, task, &v));
	return v;
}

static struct task_view instance(const struct world *w, int map_index)
{
	return view(w, sched_find_task(w->s, RUN, MAPPED, map_index));
}

static void tick(struct world *w, int64_t now_us)
{
	assert_int_equal(sched_tick(w->s, now_us, NULL), 0);
}

static void end_as(struct world *w, int task, enum outcome outcome)
{
	const struct attempt_end e = { .token = view(w, task).token,
		.outcome = outcome,
		.exit_status = outcome == OUTCOME_SUCCESS ? 0 : 1 };

	assert_true(sched_attempt_ended(w->s, &e, 0));
	tick(w, 0);
}

static void end_instance(struct world *w, int map_index, enum outcome outcome)
{
	end_as(w, sched_find_task(w->s, RUN, MAPPED, map_index), outcome);
}

/* The one question there is asks for the list. */
static void give(struct world *w, int n)
{
	char texts[100][8];
	const char *items[100];
	size_t nq;
	const struct sched_question *q = sched_questions(w->s, &nq);

	for (int i = 0; i < n; i++) {
		snprintf(texts[i], sizeof texts[i], "%d", i * 10);
		items[i] = texts[i];
	}
	assert_int_equal(nq, 1);
	assert_true(q->list);
	assert_int_equal(q->task, MAPPED);
	const struct sched_list list = { RUN, MAPPED, items, n };
	sched_answer_list(w->s, &list, 0);
	tick(w, 0);
}

/* Up to the list, which has n items. */
static void begin_with(struct world *w, int jobs, int n)
{
	begin(w, jobs);
	add(w);
	tick(w, 0);
	end_as(w, BEFORE, OUTCOME_SUCCESS);
	give(w, n);
}

static void expect(const struct world *w, int task, enum task_state state, enum reason reason)
{
	struct task_view v = view(w, task);

	if (v.state != state || v.reason != reason)
		fail_msg("task %d[%d] is %s, %s", v.task_index, v.map_index,
			task_state_name(v.state), reason_name(v.reason));
}

static int in_state(const struct world *w, enum task_state state)
{
	const int *states = view(w, MAPPED).states;

	return states ? states[state] : 0;
}

static void request(struct world *w, enum request_verb verb, int map_index)
{
	const int task = MAPPED;
	const struct request q = { .verb = verb,
		.tasks = &task,
		.ntasks = 1,
		.map_indices = &map_index,
		.mark = TASK_SUCCESS,
		.detail = "by ann" };
	struct err err = { 0 };

	if (sched_request(w->s, RUN, &q, 0, &err) < 0)
		fail_msg("%s", err.msg);
	tick(w, 0);
}

static void refused(struct world *w, enum request_verb verb, int map_index, const char *says)
{
	const int task = MAPPED;
	const struct request q = { .verb = verb,
		.tasks = &task,
		.ntasks = 1,
		.map_indices = &map_index,
		.mark = TASK_SUCCESS };
	struct err err = { 0 };

	assert_int_equal(sched_request(w->s, RUN, &q, 0, &err), -1);
	assert_int_equal(err.code, map_index == NO_SUCH ? ERR_NOT_FOUND : ERR_REFUSED);
	if (!strstr(err.msg, says))
		fail_msg("%s", err.msg);
}

/* Another scheduler takes the run in, as a daemon does that was started again. */
static void restart(struct world *w, bool resume)
{
	size_t n = (size_t)sched_ninstances(w->s, RUN);

	free(w->instances);
	w->instances = calloc(n + 1, sizeof *w->instances);
	assert_true(sched_snapshot(w->s, RUN, &w->run, w->init, w->instances));
	for (size_t i = 0; i < n; i++)
		if (w->instances[i].item)
			w->instances[i].item = arena_strdup(&w->dag->arena, w->instances[i].item);
	sched_free(w->s);
	begin(w, 100);
	sched_set_tokens(w->s, 1000, 100000);
	w->run.resume = resume;
	w->run.cancelling = false;
	assert_int_equal(sched_add_run(w->s, &w->run, 0, NULL), 0);
	tick(w, 0);
}

static int count_changes(const struct world *w, enum change_kind kind)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);
	int found = 0;

	for (size_t i = 0; i < n; i++)
		found += c[i].kind == kind && c[i].map_index >= 0;
	return found;
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_success(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 2, 3);
	expect(&w, MAPPED, TASK_DEFERRED, REASON_MAPPED);
	assert_int_equal(view(&w, MAPPED).ninstances, 3);
	assert_int_equal(count_changes(&w, CHANGE_ITEM), 3);
	assert_int_equal(count_changes(&w, CHANGE_START), 2);
	assert_string_equal(instance(&w, 2).item, "20");
	assert_int_equal(instance(&w, 2).map_index, 2);
	assert_int_equal(instance(&w, 2).reason, REASON_SLOT_WAIT);
	end_instance(&w, 1, OUTCOME_SUCCESS);
	assert_int_equal(instance(&w, 2).state, TASK_RUNNING);
	end_instance(&w, 0, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_DEFERRED, REASON_MAPPED);
	assert_int_equal(view(&w, BEHIND).state, TASK_NONE);
	end_instance(&w, 2, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_SUCCESS, REASON_INSTANCES_DONE);
	assert_int_equal(view(&w, BEHIND).state, TASK_RUNNING);
	end_as(&w, BEHIND, OUTCOME_SUCCESS);
	assert_int_equal(sched_run_state(w.s, RUN), RUN_SUCCESS);
	assert_true(sched_run_idle(w.s, RUN));
	world_release(&w);
}

static void test_no_items(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 2, 0);
	expect(&w, MAPPED, TASK_SKIPPED, REASON_LIST_EMPTY);
	expect(&w, BEHIND, TASK_SKIPPED, REASON_UPSTREAM_SKIPPED);
	assert_int_equal(sched_run_state(w.s, RUN), RUN_SUCCESS);
	world_release(&w);
}

static void test_no_list(void **state)
{
	struct world w;
	size_t n;

	(void)state;
	world_init(&w);
	begin(&w, 2);
	add(&w);
	tick(&w, 0);
	end_as(&w, BEFORE, OUTCOME_SUCCESS);
	sched_answer_no_list(w.s, RUN, MAPPED, "this is no list", 0);
	const struct change *c = sched_changes(w.s, &n);
	while (n > 0 && c->reason != REASON_LIST_FAILED)
		c++, n--;
	assert_string_equal(c->detail, "this is no list");
	tick(&w, 0);
	expect(&w, MAPPED, TASK_FAILED, REASON_LIST_FAILED);
	expect(&w, BEHIND, TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED);
	assert_int_equal(sched_run_state(w.s, RUN), RUN_FAILED);
	/* It is asked for anew. */
	sched_drop_run(w.s, RUN);
	world_release(&w);
}

/* One that fails is tried again by itself; the whole fails when all are through. */
static void test_retries(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	w.dag->tasks[MAPPED].retry = (struct retry_policy){
		.retries = 1, .initial_us = 10 * SEC, .max_us = 10 * SEC, .factor = 1
	};
	begin_with(&w, 10, 2);
	end_instance(&w, 0, OUTCOME_FAILED);
	assert_int_equal(instance(&w, 0).state, TASK_UP_FOR_RETRY);
	assert_int_equal(sched_wake_us(w.s), 10 * SEC);
	tick(&w, 10 * SEC);
	assert_int_equal(instance(&w, 0).state, TASK_RUNNING);
	assert_int_equal(instance(&w, 0).tries, 2);
	end_instance(&w, 0, OUTCOME_FAILED);
	assert_int_equal(instance(&w, 0).state, TASK_FAILED);
	expect(&w, MAPPED, TASK_DEFERRED, REASON_MAPPED);
	end_instance(&w, 1, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_FAILED, REASON_INSTANCES_FAILED);
	expect(&w, BEHIND, TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED);
	world_release(&w);
}

static void test_all_skipped(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 10, 2);
	end_instance(&w, 0, OUTCOME_SKIPPED);
	end_instance(&w, 1, OUTCOME_SKIPPED);
	expect(&w, MAPPED, TASK_SKIPPED, REASON_INSTANCES_SKIPPED);
	world_release(&w);
}

/* The `if` is judged for each of them, with its item. */
static void test_if(void **state)
{
	static const struct node some_if = { .type = NODE_BOOL };
	struct world w;
	size_t n;

	(void)state;
	world_init(&w);
	w.dag->tasks[MAPPED].only_if = &some_if;
	begin_with(&w, 10, 3);
	const struct sched_question *q = sched_questions(w.s, &n);
	assert_int_equal(n, 3);
	for (size_t i = 0; i < n; i++) {
		const struct sched_question one = q[i];
		assert_false(one.list);
		assert_int_equal(one.task_index, MAPPED);
		assert_int_equal(one.map_index, i);
		assert_string_equal(one.item, i == 0 ? "0" : i == 1 ? "10" : "20");
		sched_answer(w.s, RUN, one.task, i != 1, 0);
	}
	tick(&w, 0);
	assert_int_equal(instance(&w, 1).reason, REASON_CONDITION_FALSE);
	assert_int_equal(in_state(&w, TASK_RUNNING), 2);
	world_release(&w);
}

static void test_max_active(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	w.foreach.max_active = 2;
	w.dag->tasks[MAPPED].pool = "pg";
	begin(&w, 10);
	assert_int_equal(sched_set_pool(w.s, "pg", 3), 0);
	add(&w);
	tick(&w, 0);
	end_as(&w, BEFORE, OUTCOME_SUCCESS);
	give(&w, 5);
	assert_int_equal(in_state(&w, TASK_RUNNING), 2);
	assert_int_equal(instance(&w, 4).reason, REASON_MAP_LIMIT);
	for (int i = 0; i < 5; i++) {
		end_instance(&w, i, OUTCOME_SUCCESS);
		assert_true(in_state(&w, TASK_RUNNING) <= 2);
	}
	expect(&w, MAPPED, TASK_SUCCESS, REASON_INSTANCES_DONE);
	world_release(&w);
}

static void test_hold(void **state)
{
	struct sched_hold hold = {
		.run_id = RUN, .task = MAPPED, .on = true, .why = REASON_FROZEN
	};
	struct world w;
	size_t n;

	(void)state;
	world_init(&w);
	begin_with(&w, 1, 3);
	sched_hold(w.s, &hold);
	end_instance(&w, 0, OUTCOME_SUCCESS);
	assert_int_equal(in_state(&w, TASK_HELD), 2);
	assert_int_equal(instance(&w, 1).reason, REASON_FROZEN);
	hold.on = false;
	sched_hold(w.s, &hold);
	tick(&w, 0);
	sched_questions(w.s, &n);
	assert_int_equal(n, 0); /* not for another list */
	assert_int_equal(in_state(&w, TASK_RUNNING), 1);
	/* One alone. */
	hold = (struct sched_hold){ .run_id = RUN,
		.task = sched_find_task(w.s, RUN, MAPPED, 2),
		.on = true,
		.why = REASON_FROZEN };
	sched_hold(w.s, &hold);
	end_instance(&w, 1, OUTCOME_SUCCESS);
	assert_int_equal(instance(&w, 2).state, TASK_HELD);
	world_release(&w);
}

/* What was not selected stays held, a task and an instance alike. */
static void test_let_go_unselected(void **state)
{
	struct task_init tasks[NTASKS] = { { .state = TASK_HELD },
		{ .state = TASK_DEFERRED, .reason = REASON_MAPPED }, { .selected = true } };
	const struct instance_init held = { MAPPED, 0, "1", { .state = TASK_HELD } };
	const struct sched_hold off = { .run_id = RUN, .task = -1 };
	struct world w;

	(void)state;
	world_init(&w);
	begin(&w, 10);
	const struct run_init init = { .run_id = RUN,
		.dag = w.dag,
		.tasks = tasks,
		.instances = &held,
		.ninstances = 1,
		.ignore_needs = true };
	assert_int_equal(sched_add_run(w.s, &init, 0, NULL), 0);
	sched_hold(w.s, &off);
	tick(&w, 0);
	assert_int_equal(view(&w, BEFORE).state, TASK_HELD);
	assert_int_equal(instance(&w, 0).state, TASK_HELD);
	assert_int_equal(view(&w, BEHIND).state, TASK_RUNNING);
	world_release(&w);
}

static void test_held_before_list(void **state)
{
	struct sched_hold hold = {
		.run_id = RUN, .task = MAPPED, .on = true, .why = REASON_FROZEN
	};
	struct world w;
	size_t n;

	(void)state;
	world_init(&w);
	begin(&w, 10);
	add(&w);
	tick(&w, 0);
	sched_hold(w.s, &hold);
	end_as(&w, BEFORE, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_HELD, REASON_FROZEN);
	sched_questions(w.s, &n);
	assert_int_equal(n, 0);
	hold.on = false;
	sched_hold(w.s, &hold);
	tick(&w, 0);
	give(&w, 2);
	assert_int_equal(in_state(&w, TASK_RUNNING), 2);
	world_release(&w);
}

static const struct breaker_policy policy = { .failures = 2,
	.window_us = 60 * SEC,
	.open_us = 10 * SEC,
	.max_open_us = 60 * SEC,
	.factor = 1,
	.probes = 1,
	.ramp = 10,
	.counts = 1u << BREAKER_TRANSIENT };

/* One job at a time, until two of six have failed. */
static void open_breaker(struct world *w, enum on_open on_open)
{
	static const char *const api[] = { "api", NULL };

	world_init(w);
	w->dag->tasks[MAPPED].breakers = api;
	w->dag->tasks[MAPPED].on_open = on_open;
	begin(w, 1);
	assert_int_equal(sched_set_breaker(w->s, "api", &policy), 0);
	add(w);
	tick(w, 0);
	end_as(w, BEFORE, OUTCOME_SUCCESS);
	give(w, 6);
	end_instance(w, 0, OUTCOME_FAILED);
	end_instance(w, 1, OUTCOME_FAILED);
}

static void test_breaker(void **state)
{
	struct world w;

	(void)state;
	open_breaker(&w, ON_OPEN_HOLD);
	assert_int_equal(in_state(&w, TASK_HELD), 4);
	assert_int_equal(instance(&w, 2).reason, REASON_BREAKER_OPEN);
	assert_string_equal(instance(&w, 5).breaker, "api");
	expect(&w, MAPPED, TASK_DEFERRED, REASON_MAPPED);
	tick(&w, 10 * SEC);
	assert_int_equal(in_state(&w, TASK_RUNNING), 1); /* the probe */
	const struct attempt_end e = { .token = instance(&w, 2).token, .outcome = OUTCOME_SUCCESS };
	assert_true(sched_attempt_ended(w.s, &e, 11 * SEC));
	for (int64_t s = 11; s < 20; s++)
		tick(&w, s * SEC);
	assert_int_equal(in_state(&w, TASK_RUNNING), 1);
	world_release(&w);
}

static void test_breaker_skips(void **state)
{
	struct world w;

	(void)state;
	open_breaker(&w, ON_OPEN_SKIP);
	assert_int_equal(in_state(&w, TASK_SKIPPED), 4);
	expect(&w, MAPPED, TASK_FAILED, REASON_INSTANCES_FAILED);
	world_release(&w);
	open_breaker(&w, ON_OPEN_FAIL);
	assert_int_equal(in_state(&w, TASK_FAILED), 6);
	expect(&w, MAPPED, TASK_FAILED, REASON_INSTANCES_FAILED);
	world_release(&w);
}

static void test_cancel_run(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 1, 3);
	sched_cancel_run(w.s, RUN, false, 0);
	tick(&w, 0);
	assert_int_equal(count_changes(&w, CHANGE_STOP), 1);
	assert_int_equal(in_state(&w, TASK_CANCELLED), 2);
	expect(&w, MAPPED, TASK_DEFERRED, REASON_MAPPED);
	end_instance(&w, 0, OUTCOME_CANCELLED);
	expect(&w, MAPPED, TASK_CANCELLED, REASON_CANCELLED);
	assert_int_equal(sched_run_state(w.s, RUN), RUN_CANCELLED);
	assert_true(sched_run_idle(w.s, RUN));
	/* Only these are done again, with the list there is. */
	restart(&w, false);
	assert_int_equal(in_state(&w, TASK_RUNNING), 3);
	world_release(&w);
}

/* Killed in the middle: the same list, those in flight adopted, those that are done not again. */
static void test_restart(void **state)
{
	struct world w;
	size_t n;

	(void)state;
	world_init(&w);
	w.dag->tasks[MAPPED].retry = (struct retry_policy){
		.retries = 1, .initial_us = 10 * SEC, .max_us = 10 * SEC, .factor = 1
	};
	begin_with(&w, 3, 5);
	end_instance(&w, 0, OUTCOME_SUCCESS);
	end_instance(&w, 1, OUTCOME_FAILED);
	int64_t token = instance(&w, 2).token;
	restart(&w, true);
	sched_questions(w.s, &n);
	assert_int_equal(n, 0);
	expect(&w, MAPPED, TASK_DEFERRED, REASON_MAPPED);
	assert_int_equal(view(&w, MAPPED).ninstances, 5);
	assert_int_equal(instance(&w, 0).state, TASK_SUCCESS);
	assert_int_equal(instance(&w, 1).state, TASK_UP_FOR_RETRY);
	assert_int_equal(instance(&w, 2).token, token);
	assert_int_equal(instance(&w, 2).tries, 1);
	assert_int_equal(instance(&w, 4).tries, 1);
	assert_string_equal(instance(&w, 4).item, "40");
	tick(&w, 10 * SEC);
	assert_int_equal(instance(&w, 1).tries, 2);
	for (int i = 1; i < 5; i++)
		end_instance(&w, i, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_SUCCESS, REASON_INSTANCES_DONE);
	assert_int_equal(view(&w, BEHIND).state, TASK_RUNNING);
	world_release(&w);
}

/* What failed for good stays so in a run that goes on, and is done again in one that is run anew:
 * alone, and what is behind it with it. */
static void test_rerun_failed(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 10, 3);
	end_instance(&w, 0, OUTCOME_SUCCESS);
	end_instance(&w, 1, OUTCOME_FAILED);
	restart(&w, true);
	assert_int_equal(instance(&w, 1).state, TASK_FAILED);
	end_instance(&w, 2, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_FAILED, REASON_INSTANCES_FAILED);
	restart(&w, true);
	expect(&w, MAPPED, TASK_FAILED, REASON_INSTANCES_FAILED);
	restart(&w, false);
	expect(&w, MAPPED, TASK_DEFERRED, REASON_MAPPED);
	expect(&w, BEHIND, TASK_NONE, REASON_RERUN_FAILED);
	assert_int_equal(instance(&w, 0).tries, 1);
	assert_int_equal(instance(&w, 1).tries, 2);
	end_instance(&w, 1, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_SUCCESS, REASON_INSTANCES_DONE);
	assert_int_equal(view(&w, BEHIND).state, TASK_RUNNING);
	world_release(&w);
}

static void test_request_whole(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 1, 4);
	refused(&w, REQUEST_CLEAR, -1, "task mapped is deferred");
	refused(&w, REQUEST_MARK, -1, "instances of task mapped are running (1)");
	end_instance(&w, 0, OUTCOME_FAILED);
	end_instance(&w, 1, OUTCOME_SUCCESS);
	request(&w, REQUEST_RETRY, -1); /* while others run */
	assert_int_equal(instance(&w, 0).reason, REASON_SLOT_WAIT);
	request(&w, REQUEST_SKIP, -1); /* what has not run */
	assert_int_equal(in_state(&w, TASK_SKIPPED), 2);
	end_instance(&w, 2, OUTCOME_FAILED);
	expect(&w, MAPPED, TASK_FAILED, REASON_INSTANCES_FAILED);
	expect(&w, BEHIND, TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED);
	assert_int_equal(sched_run_state(w.s, RUN), RUN_FAILED);
	world_release(&w);
}

static void test_request_one(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 10, 3);
	refused(&w, REQUEST_RETRY, NO_SUCH, "task mapped has no instance 99; it has 3");
	refused(&w, REQUEST_RETRY, 1, "task mapped[1] is running");
	end_instance(&w, 0, OUTCOME_SUCCESS);
	end_instance(&w, 1, OUTCOME_FAILED);
	request(&w, REQUEST_CANCEL, 2);
	end_instance(&w, 2, OUTCOME_CANCELLED);
	expect(&w, MAPPED, TASK_CANCELLED, REASON_CANCELLED);
	/* Two ways to mend it. */
	sched_drop_run(w.s, RUN);
	world_release(&w);
}

/* One that is marked, or done again, takes the whole along, and what is behind it. */
static void test_mark_one(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 10, 2);
	w.dag->tasks[BEHIND].trigger = TRIGGER_ALL_FAILED;
	end_instance(&w, 0, OUTCOME_SUCCESS);
	end_instance(&w, 1, OUTCOME_FAILED);
	expect(&w, MAPPED, TASK_FAILED, REASON_INSTANCES_FAILED);
	assert_int_equal(view(&w, BEHIND).state, TASK_RUNNING);
	request(&w, REQUEST_MARK, 1);
	expect(&w, MAPPED, TASK_SUCCESS, REASON_INSTANCES_DONE);
	assert_int_equal(view(&w, BEHIND).state, TASK_RUNNING);
	request(&w, REQUEST_CLEAR, 0);
	expect(&w, MAPPED, TASK_DEFERRED, REASON_MAPPED);
	assert_int_equal(instance(&w, 0).state, TASK_RUNNING);
	assert_int_equal(instance(&w, 0).tries, 2);
	end_instance(&w, 0, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_SUCCESS, REASON_INSTANCES_DONE);
	world_release(&w);
}

/* Cleared, it has a new list: longer or shorter. */
static void test_new_list(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 10, 3);
	for (int i = 0; i < 3; i++)
		end_instance(&w, i, OUTCOME_SUCCESS);
	request(&w, REQUEST_CLEAR, -1);
	assert_int_equal(instance(&w, 2).state, TASK_NONE);
	refused(&w, REQUEST_MARK, 2, "waits for a new list");
	give(&w, 2);
	assert_int_equal(instance(&w, 1).tries, 2);
	assert_int_equal(instance(&w, 2).reason, REASON_ITEM_GONE);
	refused(&w, REQUEST_CLEAR, 2, "has no item any more");
	assert_int_equal(view(&w, MAPPED).ninstances, 2);
	for (int i = 0; i < 2; i++)
		end_instance(&w, i, OUTCOME_SUCCESS);
	expect(&w, MAPPED, TASK_SUCCESS, REASON_INSTANCES_DONE);
	end_as(&w, BEHIND, OUTCOME_FAILED);
	restart(&w, true);
	assert_int_equal(view(&w, MAPPED).ninstances, 2);
	world_release(&w);
}

/* What it needs is done again with it: it waits for that, and is done for if that fails. */
static void test_again_with_need(void **state)
{
	const int tasks[] = { BEFORE, MAPPED }, map_indices[] = { -1, 1 };
	const struct request q = {
		.verb = REQUEST_CLEAR, .tasks = tasks, .ntasks = 2, .map_indices = map_indices
	};
	const enum outcome ends[] = { OUTCOME_SUCCESS, OUTCOME_FAILED };
	struct world w;

	(void)state;
	world_init(&w);
	begin_with(&w, 10, 3);
	for (int i = 0; i < 3; i++)
		end_instance(&w, i, OUTCOME_SUCCESS);
	end_as(&w, BEHIND, OUTCOME_FAILED);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sched_request(w.s, RUN, &q, 0, NULL), 0);
		tick(&w, 0);
		restart(&w, true);
		assert_int_equal(view(&w, BEFORE).state, TASK_RUNNING);
		assert_int_equal(instance(&w, 1).state, TASK_NONE);
		end_as(&w, BEFORE, ends[i]);
		if (ends[i] != OUTCOME_SUCCESS)
			break;
		assert_int_equal(instance(&w, 1).state, TASK_RUNNING);
		end_instance(&w, 1, OUTCOME_SUCCESS);
		expect(&w, MAPPED, TASK_SUCCESS, REASON_INSTANCES_DONE);
	}
	assert_int_equal(instance(&w, 1).state, TASK_UPSTREAM_FAILED);
	expect(&w, MAPPED, TASK_FAILED, REASON_INSTANCES_FAILED);
	restart(&w, false);
	sched_set_tokens(w.s, 2000, 100000);
	tick(&w, 0);
	assert_int_equal(instance(&w, 1).state, TASK_NONE);
	end_as(&w, BEFORE, OUTCOME_SUCCESS);
	assert_int_equal(instance(&w, 1).state, TASK_RUNNING);
	assert_int_equal(instance(&w, 0).tries, 1);
	/* What other runs have to say was heard before the list was made. */
	end_instance(&w, 1, OUTCOME_FAILED);
	w.dag->tasks[MAPPED].ncross = 1;
	restart(&w, false);
	sched_set_tokens(w.s, 4000, 100000);
	tick(&w, 0);
	assert_int_equal(instance(&w, 1).state, TASK_RUNNING);
	w.dag->tasks[MAPPED].ncross = 0;
	world_release(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_no_items),
		cmocka_unit_test(test_no_list),
		cmocka_unit_test(test_retries),
		cmocka_unit_test(test_all_skipped),
		cmocka_unit_test(test_if),
		cmocka_unit_test(test_max_active),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_let_go_unselected),
		cmocka_unit_test(test_held_before_list),
		cmocka_unit_test(test_breaker),
		cmocka_unit_test(test_breaker_skips),
		cmocka_unit_test(test_cancel_run),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_rerun_failed),
		cmocka_unit_test(test_request_whole),
		cmocka_unit_test(test_request_one),
		cmocka_unit_test(test_mark_one),
		cmocka_unit_test(test_new_list),
		cmocka_unit_test(test_again_with_need),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
