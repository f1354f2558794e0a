/* Needs on other DAGs and on the run before, against a slow model.
 *
 * A task needs some tasks of its run and some of others. In random order they come to random final
 * states; what is of other runs is heard of by the time, by a call, or after the scheduler was made
 * anew from what it had. After each step the task is what the slow model of its rule says, whose
 * needs are all of them alike; and it never starts before the run before lets it.
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

#include "base/rng.h"
#include "base/units.h"
#include "core/model.h"
#include "core/sched.h"
#include "tests/lib/trigger_model.h"

enum { OWN_MAX = 4, CROSS_MAX = 4, RUN = 1, ROUNDS = 8000 };
#define SEC US_PER_SECOND
#define POLL (30 * SEC)

static struct rng rng;
static uint64_t seed;

static int below(int n)
{
	return (int)rng_below(&rng, (uint64_t)n);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- a world -------------------------------------------------------------------------- */

struct world {
	struct dag *dag;
	struct sched *s;
	int nown, ncross;
	enum task_state states[OWN_MAX + CROSS_MAX]; /* the own needs first, as they are known */
	enum task_state abroad[CROSS_MAX];           /* as it is elsewhere */
	bool past, past_abroad;
	int64_t now_us;
};

static struct cross_need *cross_of(struct world *w)
{
	struct cross_need *list = arena_array(&w->dag->arena, CROSS_MAX, sizeof *list);

	for (int i = 0; i < w->ncross; i++)
		list[i] = (struct cross_need){ .dag = "other", .task = "t" };
	return list;
}

static void begin(struct world *w, enum trigger_rule rule)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	int cycle[OWN_MAX + 2], len;

	*w = (struct world){ .dag = dag_new(),
		.nown = below(OWN_MAX + 1),
		.ncross = below(CROSS_MAX + 1),
		.now_us = SEC };
	int n = w->nown + 1;
	w->dag->tasks = arena_array(&w->dag->arena, (size_t)n, sizeof *w->dag->tasks);
	int *needs = arena_array(&w->dag->arena, OWN_MAX, sizeof *needs);
	for (int i = 0; i < n; i++)
		w->dag->tasks[i] = (struct task){ .name = names[i], .index = i };
	for (int i = 0; i < w->nown; i++)
		needs[i] = i;
	struct task *t = &w->dag->tasks[w->nown];
	t->needs = needs;
	t->nneeds = w->nown;
	t->trigger = rule;
	t->cross = cross_of(w);
	t->ncross = w->ncross;
	t->depends_on_past = below(2);
	w->dag->ntasks = n;
	assert_int_equal(dag_seal(w->dag, cycle, &len, NULL), 0);
}

static void make_sched(struct world *w, const struct task_init *tasks)
{
	const struct run_init init = {
		.run_id = RUN, .dag = w->dag, .tasks = tasks, .state = RUN_RUNNING, .resume = true
	};

	w->s = sched_new(&(struct sched_config){ .max_running = 100, .seed = 1 });
	sched_set_tokens(w->s, w->now_us, w->now_us + 1000);
	assert_int_equal(sched_add_run(w->s, &init, w->now_us, NULL), 0);
}

/* What was known of other runs is lost. */
static void restart(struct world *w)
{
	struct task_init tasks[OWN_MAX + 1];
	struct run_init run;

	assert_true(sched_snapshot(w->s, RUN, &run, tasks, NULL));
	sched_free(w->s);
	w->now_us += SEC;
	make_sched(w, tasks);
}

static void answer(struct world *w, const struct sched_question *q)
{
	struct sched_outside o = { .run_id = RUN,
		.task = q->task,
		.past = w->past_abroad,
		.again_us = w->now_us + POLL,
		.what = "what is missing" };

	assert_true(q->outside);
	for (int i = 0; i < w->ncross; i++) {
		w->states[w->nown + i] = w->abroad[i];
		if (w->abroad[i] != TASK_NONE)
			trigger_count(&o.counts, w->abroad[i]);
	}
	w->past = w->past_abroad;
	sched_answer_outside(w->s, &o, w->now_us);
}

static void settle(struct world *w)
{
	size_t n;

	for (int i = 0;; i++) {
		assert_true(i < 10);
		assert_int_equal(sched_tick(w->s, w->now_us, NULL), 0);
		const struct sched_question *q = sched_questions(w->s, &n);
		if (n == 0)
			break;
		const struct sched_question first = q[0];
		answer(w, &first);
	}
	sched_clear_changes(w->s);
}

static struct task_view view(const struct world *w)
{
	struct task_view v;

	assert_true(sched_task_view(w->s, RUN, w->nown, &v));
	return v;
}

/* ---- what should be ------------------------------------------------------------------- */

static bool own_done(const struct world *w)
{
	for (int i = 0; i < w->nown; i++)
		if (w->states[i] == TASK_NONE)
			return false;
	return true;
}

static bool all_done(const struct world *w)
{
	for (int i = 0; i < w->nown + w->ncross; i++)
		if (w->states[i] == TASK_NONE)
			return false;
	return true;
}

/* The state by the slow model, of what was heard. */
static enum task_state wanted(const struct world *w)
{
	const struct task *t = &w->dag->tasks[w->nown];
	const struct model_needs m = { w->states, w->nown + w->ncross };
	enum task_state v = model_verdict(t->trigger, &m);

	if (v == TASK_RUNNING)
		return t->depends_on_past && !w->past ? TASK_DEFERRED : TASK_RUNNING;
	if (v != TASK_NONE)
		return v;
	return own_done(w) && !all_done(w) ? TASK_DEFERRED : TASK_NONE;
}

static void check(const struct world *w, const char *when)
{
	const struct task_view v = view(w);
	enum task_state want = wanted(w);

	if (v.state != want)
		fail_msg("WEIR_SEED=%" PRIu64 ": %s, %d own and %d other needs, %s: %s, not %s",
			seed, trigger_name(w->dag->tasks[w->nown].trigger), w->nown, w->ncross,
			when, task_state_name(v.state), task_state_name(want));
	if (v.state == TASK_DEFERRED)
		assert_true(reason_is_outside(v.reason));
}

/* ---- what happens --------------------------------------------------------------------- */

static void end_own(struct world *w)
{
	static const struct {
		enum outcome outcome;
		enum task_state state;
	} ends[] = { { OUTCOME_SUCCESS, TASK_SUCCESS }, { OUTCOME_FAILED, TASK_FAILED },
		{ OUTCOME_SKIPPED, TASK_SKIPPED } };
	int at = w->nown ? below(w->nown) : 0, how = below(4) % 3;
	struct task_view v;

	if (at >= w->nown || w->states[at] != TASK_NONE)
		return;
	assert_true(sched_task_view(w->s, RUN, at, &v));
	assert_int_equal(v.state, TASK_RUNNING);
	w->states[at] = ends[how].state;
	const struct attempt_end e = {
		.token = v.token, .outcome = ends[how].outcome, .permanent = true
	};
	assert_true(sched_attempt_ended(w->s, &e, w->now_us));
}

static void end_other(struct world *w)
{
	static const enum task_state finals[] = { TASK_SUCCESS, TASK_SUCCESS, TASK_FAILED,
		TASK_SKIPPED, TASK_UPSTREAM_FAILED, TASK_CANCELLED };
	int at = w->ncross ? below(w->ncross) : 0;

	if (at < w->ncross && w->abroad[at] == TASK_NONE)
		w->abroad[at] = finals[below(sizeof finals / sizeof *finals)];
	w->past_abroad = w->past_abroad || below(4) == 0;
	/* It is told of, or found by the time. */
	if (below(2))
		sched_ask_again(w->s, RUN, w->nown);
	else
		w->now_us += POLL + SEC;
}

/* Whoever waits for needs that are not final has heard of all that is there. */
static void check_heard(const struct world *w)
{
	bool waits = !task_state_is_final(view(w).state) && view(w).state != TASK_RUNNING;

	for (int i = 0; i < w->ncross && waits && wanted(w) != TASK_RUNNING; i++)
		if (w->states[w->nown + i] != w->abroad[i])
			fail_msg("WEIR_SEED=%" PRIu64 ": it has not heard of a need", seed);
}

static void play(enum trigger_rule rule)
{
	struct world w;

	begin(&w, rule);
	make_sched(&w, NULL);
	settle(&w);
	check(&w, "at first");
	for (int step = 0; step < 40; step++) {
		int what = below(10);
		enum task_state before = view(&w).state;
		if (task_state_is_final(before) || before == TASK_RUNNING)
			break;
		if (what < 4)
			end_own(&w);
		else if (what < 9)
			end_other(&w);
		else
			restart(&w);
		settle(&w);
		check(&w, what < 4 ? "own need" : what < 9 ? "other need" : "restart");
		if (what >= 4)
			check_heard(&w);
	}
	/* All that is left comes: it waits for nothing then. */
	for (int i = 0; i < 200 && !task_state_is_final(view(&w).state); i++) {
		if (view(&w).state == TASK_RUNNING)
			break;
		end_own(&w);
		settle(&w);
		end_other(&w);
		settle(&w);
		check(&w, "at last");
	}
	assert_true(task_state_is_final(view(&w).state) || view(&w).state == TASK_RUNNING);
	sched_free(w.s);
	dag_unref(w.dag);
}

static void test_rules(void **state)
{
	(void)state;
	seed = number_of("WEIR_SEED", (uint64_t)time(NULL));
	rng_init(&rng, seed);
	printf("# WEIR_SEED=%" PRIu64 "\n", seed);
	for (int rounds = (int)number_of("WEIR_ROUNDS", ROUNDS); rounds > 0; rounds--)
		play((enum trigger_rule)below(TRIGGER_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rules) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
