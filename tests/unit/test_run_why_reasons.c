/* Each reason that weir why explains: a task is driven into it, by the scheduler. A row of why_row
 * that no story here leads to fails the test, and so does a state that no row explains.
 *
 * A story is a DAG of a, b and c, and what happens, in words: "tick"; "later"; "ok=a", "fail=a",
 * "perm=a", "lost=a", "skip=a", "stop=a": an attempt ends; "choose=a": it succeeds and leaves out b
 * and c; "yes=a", "no=a": its `if`; "wait=a", "input=a", "late=a": what it waits for is not there;
 * "reject=a"; "list2=a", "list0=a", "nolist=a"; "other=a", "past=a", "met=a": other runs; "pause",
 * "freeze=a"; "retry=a", "clear=a", "mark=a", "drop=a", "end=a", "set=a": requests; "cancel";
 * "again": another scheduler takes the run up. "a0" is an instance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "core/breaker.h"
#include "core/condition.h"
#include "core/model.h"
#include "core/request.h"
#include "core/sched.h"
#include "run/why.h"

#define S US_PER_SECOND
enum { NTASKS = 3, LIVE_MAX = 16 };

static bool seen[TASK_STATE_MAX][REASON_MAX];
static const int need_a[] = { 0 }, need_ab[] = { 0, 1 };

/* ---- the world ------------------------------------------------------------------------ */

struct world {
	struct sched *s;
	struct dag *dag;
	int64_t now_us;
	int jobs;
	const char *story;
};

static const struct breaker_policy policy = { .failures = 1,
	.window_us = 60 * S,
	.open_us = 9999 * S,
	.max_open_us = 9999 * S,
	.factor = 2,
	.probes = 1,
	.ramp = 2,
	.counts = 1u << BREAKER_TRANSIENT };

static void new_sched(struct world *w, int64_t token)
{
	w->s = sched_new(&(struct sched_config){ .max_running = w->jobs, .seed = 1 });
	assert_non_null(w->s);
	sched_set_tokens(w->s, token, 100);
	assert_int_equal(sched_set_pool(w->s, "pg", 1), 0);
	assert_int_equal(sched_set_breaker(w->s, "api", &policy), 0);
}

/* Each state that a task comes to is explained. */
static void look(struct world *w)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	for (size_t i = 0; i < n; i++) {
		if (c[i].kind != CHANGE_TASK)
			continue;
		seen[c[i].state.to][c[i].reason] = true;
		if (!why_row(c[i].state.to, c[i].reason))
			fail_msg("%s: nothing explains %s by %s", w->story,
				task_state_name(c[i].state.to), reason_name(c[i].reason));
	}
	sched_clear_changes(w->s);
}

/* "a", "a0" */
static int live_of(const struct world *w, const char *name)
{
	return name[1] ? sched_find_task(w->s, 1, name[0] - 'a', name[1] - '0') : name[0] - 'a';
}

static void end(struct world *w, const char *name, const struct attempt_end *how)
{
	struct attempt_end e = *how;
	struct task_view v;

	assert_true(sched_task_view(w->s, 1, live_of(w, name), &v));
	e.token = v.token;
	if (!sched_attempt_ended(w->s, &e, w->now_us))
		fail_msg("%s: %s does not run but is %s", w->story, name, task_state_name(v.state));
}

static void wait_for(struct world *w, const char *name, bool input, int64_t deadline_us)
{
	const struct sched_wait wait = { .run_id = 1,
		.task = live_of(w, name),
		.input = input,
		.again_us = w->now_us + 100 * S,
		.deadline_us = deadline_us };

	sched_answer_wait(w->s, &wait, w->now_us);
}

static void outside(struct world *w, const char *name, bool cross, bool past)
{
	const struct sched_outside o = { .run_id = 1,
		.task = live_of(w, name),
		.counts = { .success = cross },
		.past = past,
		.again_us = w->now_us + S };

	sched_answer_outside(w->s, &o, w->now_us);
}

static void list(struct world *w, const char *name, int n)
{
	static const char *const items[] = { "1", "2", "3" };
	const struct sched_list l = {
		.run_id = 1, .task = live_of(w, name), .items = items, .n = n
	};

	sched_answer_list(w->s, &l, w->now_us);
}

static void hold(struct world *w, int task, enum reason why)
{
	sched_hold(w->s, &(struct sched_hold){ .run_id = 1, .task = task, .on = true, .why = why });
}

static void ask(struct world *w, enum request_verb verb, const char *name)
{
	int task = name[0] - 'a', map_index = name[1] ? name[1] - '0' : -1;
	const struct request q = { .verb = verb,
		.tasks = &task,
		.map_indices = &map_index,
		.ntasks = 1,
		.mark = TASK_SUCCESS,
		.outputs = verb == REQUEST_SET_OUTPUT ? "{}" : NULL };
	struct err err = { 0 };

	if (sched_request(w->s, 1, &q, w->now_us, &err) < 0)
		fail_msg("%s: %s", w->story, err.msg);
}

/* What failed is tried again there. */
static void again(struct world *w)
{
	struct task_init tasks[NTASKS];
	struct instance_init instances[LIVE_MAX];
	struct sched *former = w->s;
	struct run_init run;

	assert_true(sched_snapshot(former, 1, &run, tasks, instances));
	run.state = RUN_QUEUED;
	new_sched(w, 1000);
	assert_int_equal(sched_add_run(w->s, &run, w->now_us, NULL), 0);
	sched_free(former);
}

/* ---- what happens --------------------------------------------------------------------- */

static bool ends(struct world *w, const char *verb, const char *name)
{
	static const int others[] = { 1, 2 };
	static const struct {
		const char *verb;
		struct attempt_end how;
	} rows[] = {
		{ "ok", { .outcome = OUTCOME_SUCCESS } },
		{ "fail", { .outcome = OUTCOME_FAILED, .exit_status = 1 } },
		{ "perm", { .outcome = OUTCOME_FAILED, .exit_status = -1, .permanent = true } },
		{ "lost", { .outcome = OUTCOME_LOST } },
		{ "skip", { .outcome = OUTCOME_SKIPPED } },
		{ "stop", { .outcome = OUTCOME_CANCELLED } },
		{ "choose", { .outcome = OUTCOME_SUCCESS, .skips = others, .nskips = 2 } },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].verb, verb) == 0) {
			end(w, name, &rows[i].how);
			return true;
		}
	return false;
}

static bool asks(struct world *w, const char *verb, const char *name)
{
	static const struct {
		const char *verb;
		enum request_verb is;
	} rows[] = { { "retry", REQUEST_RETRY }, { "clear", REQUEST_CLEAR },
		{ "mark", REQUEST_MARK }, { "drop", REQUEST_SKIP }, { "end", REQUEST_END_RETRIES },
		{ "set", REQUEST_SET_OUTPUT } };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strcmp(rows[i].verb, verb) == 0) {
			ask(w, rows[i].is, name);
			return true;
		}
	return false;
}

static bool answers(struct world *w, const char *verb, const char *name)
{
	int task = live_of(w, name);

	if (strcmp(verb, "yes") == 0 || strcmp(verb, "no") == 0)
		sched_answer(w->s, 1, task, *verb == 'y', w->now_us);
	else if (strcmp(verb, "reject") == 0)
		sched_answer_skip(w->s, 1, task, REASON_REJECTED, w->now_us);
	else if (strcmp(verb, "wait") == 0 || strcmp(verb, "input") == 0)
		wait_for(w, name, *verb == 'i', 0);
	else if (strcmp(verb, "late") == 0)
		wait_for(w, name, false, w->now_us + 10 * S);
	else if (strncmp(verb, "list", 4) == 0)
		list(w, name, verb[4] - '0');
	else if (strcmp(verb, "nolist") == 0)
		sched_answer_no_list(w->s, 1, task, "it is none", w->now_us);
	else if (strcmp(verb, "other") == 0 || strcmp(verb, "past") == 0)
		outside(w, name, *verb == 'p', false);
	else if (strcmp(verb, "met") == 0)
		outside(w, name, true, true);
	else
		return false;
	return true;
}

static void happen(struct world *w, char *word)
{
	char *name = strchr(word, '=');

	if (name)
		*name++ = '\0';
	if (name && (ends(w, word, name) || asks(w, word, name) || answers(w, word, name)))
		;
	else if (name && strcmp(word, "freeze") == 0)
		hold(w, name[0] - 'a', REASON_FROZEN);
	else if (strcmp(word, "pause") == 0)
		hold(w, -1, REASON_PAUSED);
	else if (strcmp(word, "later") == 0)
		w->now_us += 1000 * S;
	else if (strcmp(word, "cancel") == 0)
		sched_cancel_run(w->s, 1, false, w->now_us);
	else if (strcmp(word, "again") == 0)
		again(w);
	else if (strcmp(word, "tick") != 0)
		fail_msg("%s: \"%s\" is no word", w->story, word);
	look(w);
	assert_int_equal(sched_tick(w->s, w->now_us, NULL), 0);
	look(w);
}

/* ---- the stories ---------------------------------------------------------------------- */

static const struct node condition = { .type = NODE_BOOL };
static const struct foreach items = { .max_items = 9, .max_active = 1 };
static const char *const api[] = { "api", NULL };
static const struct cross_need cross = { .dag = "other", .task = "t" };

#define NEEDS(list) .needs = list, .nneeds = sizeof(list) / sizeof *(list)

static const struct story {
	const char *text;
	struct task tasks[NTASKS];
	const char *when;           /* of b */
	int max_active_tasks, jobs; /* jobs 0: enough */
} stories[] = {
	{ .text = "tick ok=a tick retry=a" },
	{ .text = "tick fail=a", .tasks = { { .retry = { .retries = 0 } } } },
	{ .text = "tick fail=a later perm=a", .tasks = { { .retry = { .retries = 3 } } } },
	{ .text = "tick lost=a" },
	{ .text = "tick skip=a", .tasks = { { .index = 0 }, { NEEDS(need_a) } } },
	{ .text = "tick fail=a again", .tasks = { { .index = 0 }, { NEEDS(need_a) } } },
	{ .text = "tick fail=a mark=a", .tasks = { { .index = 0 }, { NEEDS(need_a) } } },
	{ .text = "tick ok=a set=a clear=a" },
	{ .text = "tick fail=a end=a", .tasks = { { .retry = { .retries = 3 } } } },
	{ .text = "tick drop=b", .tasks = { { .index = 0 }, { NEEDS(need_a) } } },
	{ .text = "tick cancel stop=a", .tasks = { { .index = 0 }, { NEEDS(need_a) } } },
	{ .text = "pause tick" },
	{ .text = "freeze=a tick" },
	{ .text = "tick", .tasks = { { .pool = "pg" }, { .pool = "pg" } } },
	{ .text = "tick", .max_active_tasks = 1 },
	{ .text = "tick", .jobs = 1 },
	{ .text = "tick ok=a",
		.tasks = { { .index = 0 }, { NEEDS(need_a), .trigger = TRIGGER_ONE_FAILED } } },
	{ .text = "tick ok=a", .tasks = { { .index = 0 }, { NEEDS(need_a) } }, .when = "a.failed" },
	{ .text = "tick ok=a retry=a ok=a",
		.tasks = { { .index = 0 }, { NEEDS(need_a), .trigger = TRIGGER_ALL_DONE } } },
	{ .text = "tick no=a", .tasks = { { .only_if = &condition } } },
	{ .text = "tick choose=a",
		.tasks = { { .chooses = true }, { NEEDS(need_a) }, { NEEDS(need_a) } } },
	{ .text = "tick ok=a fail=b ok=c again",
		.tasks = { { .index = 0 }, { NEEDS(need_a) },
			{ NEEDS(need_ab), .trigger = TRIGGER_ALL_DONE, .teardown = true,
				.setups = need_a, .nsetups = 1 } } },
	{ .text = "tick fail=a ok=b again",
		.tasks = { { .index = 0 }, { NEEDS(need_a), .trigger = TRIGGER_ALL_DONE } } },
	{ .text = "tick wait=a", .tasks = { { .waits = true } } },
	{ .text = "tick input=a", .tasks = { { .waits = true } } },
	{ .text = "tick late=a later late=a", .tasks = { { .waits = true } } },
	{ .text = "tick input=a later reject=a", .tasks = { { .waits = true } } },
	{ .text = "tick fail=a later",
		.tasks = { { .breakers = api, .retry = { .retries = 1 } } } },
	{ .text = "tick fail=a tick",
		.tasks = { { .breakers = api },
			{ NEEDS(need_a), .trigger = TRIGGER_ALL_DONE, .breakers = api,
				.on_open = ON_OPEN_SKIP },
			{ NEEDS(need_a), .trigger = TRIGGER_ALL_DONE, .breakers = api,
				.on_open = ON_OPEN_FAIL } } },
	{ .text = "tick list2=a ok=a0 ok=a1", .tasks = { { .foreach = &items } } },
	{ .text = "tick list2=a fail=a0 ok=a1", .tasks = { { .foreach = &items } } },
	{ .text = "tick list2=a skip=a0 skip=a1", .tasks = { { .foreach = &items } } },
	{ .text = "tick list2=a ok=a0 ok=a1 clear=a list1=a", .tasks = { { .foreach = &items } } },
	{ .text = "tick list0=a", .tasks = { { .foreach = &items } } },
	{ .text = "tick nolist=a", .tasks = { { .foreach = &items } } },
	{ .text = "tick other=a met=a", .tasks = { { .cross = &cross, .ncross = 1 } } },
	{ .text = "tick other=a later past=a",
		.tasks = { { .cross = &cross, .ncross = 1, .depends_on_past = true } } },
	{ .text = "tick past=a", .tasks = { { .depends_on_past = true } } },
};

static struct dag *make_dag(const struct story *story)
{
	static const char *const names[] = { "a", "b", "c" };
	struct dag *dag = dag_new();
	int cycle[NTASKS + 1], len;

	dag->name = "story";
	dag->max_active_tasks = story->max_active_tasks;
	dag->ntasks = NTASKS;
	dag->tasks = arena_array(&dag->arena, NTASKS, sizeof *dag->tasks);
	for (int i = 0; i < NTASKS; i++) {
		dag->tasks[i] = story->tasks[i];
		dag->tasks[i].name = names[i];
		dag->tasks[i].index = i;
		dag->tasks[i].slots = 1;
		dag->tasks[i].retry.initial_us = dag->tasks[i].retry.max_us = S;
		dag->tasks[i].retry.factor = 1;
	}
	if (story->when) {
		struct condition_fault fault;
		struct condition *c = condition_parse(&dag->arena, story->when, &fault);
		assert_non_null(c);
		c->terms[0].task = 0;
		dag->tasks[1].when = c;
	}
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

static void tell(const struct story *story)
{
	struct world w = { .now_us = S,
		.story = story->text,
		.dag = make_dag(story),
		.jobs = story->jobs ? story->jobs : LIVE_MAX };
	const struct run_init run = { .run_id = 1, .dag = w.dag };
	char *copy = strdup(story->text), *rest = NULL;

	new_sched(&w, 1);
	assert_int_equal(sched_add_run(w.s, &run, w.now_us, NULL), 0);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		happen(&w, word);
	free(copy);
	sched_free(w.s);
	dag_unref(w.dag);
}

/* A row is met when a task came to one of its states for its reason. */
static void test_each_row(void **state)
{
	(void)state;
	/* How a task begins, in the store and here. */
	seen[TASK_NONE][REASON_CREATED] = seen[TASK_NONE][REASON_NONE] = true;
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
		tell(&stories[i]);
	for (int r = 0; r < REASON_MAX; r++)
		for (int s = 0; s < TASK_STATE_MAX; s++) {
			const struct why_row *row = why_row((enum task_state)s, (enum reason)r);
			bool met = !row;
			for (int other = 0; row && other < TASK_STATE_MAX; other++)
				met = met || (row->states & 1u << other && seen[other][r]);
			if (!met)
				fail_msg("no task was driven to %s by %s",
					task_state_name((enum task_state)s),
					reason_name((enum reason)r));
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_row) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
