/* The scheduler under random DAGs, policies, ends of attempts, cancels and crashes.
 *
 * A mirror stands for the store: it is built from the committed changes and from nothing else, and
 * each change is judged on its way into it. After every step what the scheduler says is compared
 * with the mirror and with what a slow look over all tasks finds. A crash throws away the
 * scheduler, and now and then the changes of its last step; a new one is made from the mirror.
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

enum { RUNS_MAX = 3, NODES_MAX = 24, PAST_MAX = 64, STEPS_MAX = 4000, ROUNDS = 5000 };

/* An attempt in the world outside. */
struct flying {
	int64_t token;
	bool ended; /* its end was told, but not committed */
	enum outcome outcome;
	bool permanent;
};

/* A task, as the store has it. */
struct mtask {
	enum task_state state;
	int tries, failures, lost;
	int64_t due_us;
	struct flying flight; /* token 0: none */
	bool selected;
	/* Between the end of an attempt and the change of the task's state. */
	bool ending;
};

struct mrun {
	int64_t id;
	struct dag *dag;
	enum run_state state;
	struct mtask tasks[NODES_MAX];
	bool ignore_needs, cancelling;
	bool here; /* the scheduler knows of it */
};

struct world {
	struct rng rng;
	uint64_t seed;
	int round;
	struct sched *s;
	struct mrun runs[RUNS_MAX];
	int nruns, max_running;
	int64_t now_us;
	int64_t handed_out;     /* tokens below this were given to a scheduler once */
	int64_t newest;         /* the largest token of a committed attempt */
	int64_t past[PAST_MAX]; /* tokens that ended */
	size_t npast;
	bool adding;                /* a run is taken in: final states may be cleared */
	int crashes, starts, steps; /* told at the end */
};

static int below(struct world *w, int n)
{
	return (int)rng_below(&w->rng, (uint64_t)n);
}

static bool one_in(struct world *w, int n)
{
	return below(w, n) == 0;
}

#define CHECK(w, condition, ...)                                                       \
	do {                                                                           \
		if (!(condition)) {                                                    \
			fprintf(stderr, "WEIR_SEED=%" PRIu64 " round %d: ", (w)->seed, \
				(w)->round);                                           \
			fprintf(stderr, __VA_ARGS__);                                  \
			fprintf(stderr, "\n");                                         \
			fail_msg("%s", #condition);                                    \
		}                                                                      \
	} while (0)

/* ---- DAGs ----------------------------------------------------------------------------- */

enum shape { SHAPE_CHAIN, SHAPE_LAYERS, SHAPE_RANDOM, SHAPE_WIDE, SHAPE_MAX };

static bool has_edge(struct world *w, enum shape shape, int from, int to)
{
	switch (shape) {
	case SHAPE_CHAIN:
		return from == to - 1;
	case SHAPE_LAYERS:
		return from / 4 == to / 4 - 1 && !one_in(w, 3);
	case SHAPE_RANDOM:
		return one_in(w, 5);
	default: /* one root, many leaves, and sometimes an end that needs all */
		return from == 0 || (to == NODES_MAX - 1 && from > 0);
	}
}

static void random_policy(struct world *w, struct retry_policy *p)
{
	*p = (struct retry_policy){ .retries = below(w, 4),
		.lost_retries = below(w, 3),
		.initial_us = below(w, 20) * US_PER_SECOND,
		.max_us = 40 * US_PER_SECOND,
		.factor = 1 + below(w, 3),
		.jitter = (enum jitter)below(w, JITTER_MAX) };
}

/* File order is a random one, so that an index says nothing about an order. */
static struct dag *random_dag(struct world *w)
{
	struct dag *dag = dag_new();
	enum shape shape = (enum shape)below(w, SHAPE_MAX);
	int n = one_in(w, 8) ? NODES_MAX : 1 + below(w, NODES_MAX), place[NODES_MAX];
	int cycle[NODES_MAX + 1], len;

	dag->name = "p";
	dag->ntasks = n;
	dag->tasks = arena_array(&dag->arena, (size_t)n, sizeof *dag->tasks);
	for (int i = 0; i < n; i++)
		place[i] = i;
	for (int i = n - 1; i > 0; i--) {
		int j = below(w, i + 1), keep = place[i];
		place[i] = place[j];
		place[j] = keep;
	}
	for (int to = 0; to < n; to++) {
		struct task *t = &dag->tasks[place[to]];
		int *needs = arena_array(&dag->arena, NODES_MAX, sizeof *needs);
		t->name = arena_printf(&dag->arena, "t%d", place[to]);
		t->index = place[to];
		t->needs = needs;
		random_policy(w, &t->retry);
		for (int from = 0; from < to; from++)
			if (has_edge(w, shape, from, to))
				needs[t->nneeds++] = place[from];
	}
	CHECK(w, dag_seal(dag, cycle, &len, NULL) == 0, "a cycle");
	return dag;
}

/* ---- the slow view -------------------------------------------------------------------- */

struct look {
	int success, bad, skipped, open;
};

static struct look look_at_needs(const struct mrun *r, int task)
{
	const struct task *def = &r->dag->tasks[task];
	struct look l = { 0 };

	for (int j = 0; j < def->nneeds; j++) {
		const struct mtask *need = &r->tasks[def->needs[j]];
		if (need->state == TASK_SUCCESS || (r->ignore_needs && !need->selected))
			l.success++;
		else if (need->state == TASK_SKIPPED)
			l.skipped++;
		else if (task_state_is_final(need->state))
			l.bad++;
		else
			l.open++;
	}
	return l;
}

static bool needs_met(const struct mrun *r, int task)
{
	return look_at_needs(r, task).success == r->dag->tasks[task].nneeds;
}

static enum run_state slow_run_state(const struct mrun *r)
{
	int bad = 0, cancelled = 0, open = 0;

	for (int i = 0; i < r->dag->ntasks; i++) {
		enum task_state s = r->tasks[i].state;
		bad += s == TASK_FAILED || s == TASK_UPSTREAM_FAILED || s == TASK_CANCELLED;
		cancelled += s == TASK_CANCELLED;
		open += !task_state_is_final(s);
	}
	if (r->cancelling && cancelled)
		return RUN_CANCELLED;
	return bad ? RUN_FAILED : open ? RUN_QUEUED : RUN_SUCCESS;
}

static bool slow_idle(const struct mrun *r)
{
	for (int i = 0; i < r->dag->ntasks; i++)
		if (r->tasks[i].flight.token ||
			(r->tasks[i].selected && !task_state_is_final(r->tasks[i].state)))
			return false;
	return true;
}

static int slow_running(const struct world *w)
{
	int n = 0;

	for (int k = 0; k < w->nruns; k++)
		for (int i = 0; w->runs[k].here && i < w->runs[k].dag->ntasks; i++)
			n += w->runs[k].tasks[i].flight.token != 0;
	return n;
}

/* ---- committing: each change is judged ------------------------------------------------ */

static struct mrun *run_of(struct world *w, int64_t id)
{
	for (int k = 0; k < w->nruns; k++)
		if (w->runs[k].id == id)
			return &w->runs[k];
	CHECK(w, false, "no run %" PRId64, id);
	return NULL;
}

/* After an end: what must become of the task. */
static enum task_state after_end(
	const struct mrun *r, const struct mtask *t, const struct retry_policy *p)
{
	const struct flying *f = &t->flight;

	if (f->outcome == OUTCOME_SUCCESS)
		return TASK_SUCCESS;
	if (f->outcome == OUTCOME_SKIPPED)
		return TASK_SKIPPED;
	if (f->outcome == OUTCOME_CANCELLED || r->cancelling)
		return TASK_CANCELLED;
	if (f->outcome == OUTCOME_LOST)
		return t->lost + 1 > p->lost_retries ? TASK_FAILED : TASK_UP_FOR_RETRY;
	return f->permanent || t->failures + 1 > p->retries ? TASK_FAILED : TASK_UP_FOR_RETRY;
}

static void commit_ended(struct world *w, struct mrun *r, struct mtask *t, const struct change *c)
{
	const struct retry_policy *p = &r->dag->tasks[c->task_index].retry;
	bool lost = t->flight.outcome == OUTCOME_LOST;
	enum task_state want = after_end(r, t, p);

	CHECK(w, c->state.to == want, "%s: ended as %s: %s, not %s", c->task,
		outcome_name(t->flight.outcome), task_state_name(c->state.to),
		task_state_name(want));
	if (want == TASK_UP_FOR_RETRY) {
		int64_t least = w->now_us, most = least + p->max_us;
		if (lost && t->lost == 0)
			most = least;
		else if (lost)
			least = most = w->now_us +
				       (t->lost < 6 ? US_PER_SECOND << t->lost : US_PER_MINUTE);
		CHECK(w, c->state.due_us >= least && c->state.due_us <= most, "%s: due", c->task);
		CHECK(w, c->state.lost == t->lost + lost, "%s: lost", c->task);
		CHECK(w, c->state.failures == t->failures + !lost, "%s: failures", c->task);
	}
	if (w->npast < PAST_MAX)
		w->past[w->npast++] = t->flight.token;
	else
		w->past[below(w, PAST_MAX)] = t->flight.token;
	t->flight = (struct flying){ 0 };
	t->ending = false;
}

static void commit_task(struct world *w, struct mrun *r, const struct change *c)
{
	struct mtask *t = &r->tasks[c->task_index];
	struct look l = look_at_needs(r, c->task_index);

	CHECK(w, c->state.from == t->state, "%s: from %s, is %s", c->task,
		task_state_name(c->state.from), task_state_name(t->state));
	CHECK(w, w->adding || !task_state_is_final(t->state), "%s leaves %s", c->task,
		task_state_name(t->state));
	CHECK(w, t->selected, "%s is not selected, yet becomes %s", c->task,
		task_state_name(c->state.to));
	if (t->ending)
		commit_ended(w, r, t, c);
	else if (c->state.to == TASK_UPSTREAM_FAILED)
		CHECK(w, l.bad > 0, "%s: no need of it failed", c->task);
	else if (c->state.to == TASK_SKIPPED)
		CHECK(w, l.skipped > 0, "%s: no need of it was skipped", c->task);
	else if (c->state.to == TASK_CANCELLED)
		CHECK(w, r->cancelling, "%s: nobody cancelled", c->task);
	else
		CHECK(w,
			c->state.to == TASK_RUNNING || c->state.to == TASK_QUEUED ||
				(c->state.to == TASK_NONE &&
					(w->adding || !needs_met(r, c->task_index))),
			"%s: becomes %s of itself", c->task, task_state_name(c->state.to));
	CHECK(w, c->state.tries >= t->tries, "%s: tries go back", c->task);
	t->state = c->state.to;
	t->failures = c->state.failures;
	t->lost = c->state.lost;
	t->due_us = c->state.due_us;
	/* tries: with the start itself, below */
}

static enum outcome random_outcome(struct world *w)
{
	static const enum outcome outcomes[] = { OUTCOME_SUCCESS, OUTCOME_SUCCESS, OUTCOME_SUCCESS,
		OUTCOME_SUCCESS, OUTCOME_SUCCESS, OUTCOME_FAILED, OUTCOME_FAILED, OUTCOME_TIMEOUT,
		OUTCOME_SKIPPED, OUTCOME_LOST, OUTCOME_CANCELLED };

	return outcomes[below(w, sizeof outcomes / sizeof *outcomes)];
}

static void commit_start(struct world *w, struct mrun *r, const struct change *c)
{
	struct mtask *t = &r->tasks[c->task_index];

	CHECK(w, t->state == TASK_RUNNING, "%s starts, being %s", c->task,
		task_state_name(t->state));
	CHECK(w, t->flight.token == 0, "%s: a second live attempt", c->task);
	CHECK(w, c->attempt.token > w->newest, "%s: token %" PRId64 " after %" PRId64, c->task,
		c->attempt.token, w->newest);
	CHECK(w, c->attempt.try == t->tries + 1, "%s: try %d after %d", c->task, c->attempt.try,
		t->tries);
	CHECK(w, needs_met(r, c->task_index), "%s starts before its needs", c->task);
	CHECK(w, !r->cancelling, "%s starts in a cancelled run", c->task);
	w->newest = c->attempt.token;
	w->starts++;
	t->tries = c->attempt.try;
	t->flight = (struct flying){
		.token = c->attempt.token, .outcome = random_outcome(w), .permanent = one_in(w, 10)
	};
	CHECK(w, slow_running(w) <= w->max_running, "%d run, of %d", slow_running(w),
		w->max_running);
}

static void commit(struct world *w)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	for (size_t i = 0; i < n; i++, c++) {
		struct mrun *r = run_of(w, c->run_id);
		struct mtask *t = c->task_index >= 0 ? &r->tasks[c->task_index] : NULL;
		CHECK(w, c->at_us == w->now_us, "a change of another time");
		if (c->kind == CHANGE_RUN) {
			CHECK(w, c->run.from == r->state, "the run's state");
			r->state = c->run.to;
			CHECK(w, r->state == RUN_RUNNING || r->state == slow_run_state(r),
				"the run is %s, its tasks say %s", run_state_name(r->state),
				run_state_name(slow_run_state(r)));
		} else if (c->kind == CHANGE_TASK) {
			commit_task(w, r, c);
		} else if (c->kind == CHANGE_START) {
			commit_start(w, r, c);
		} else if (c->kind == CHANGE_END) {
			CHECK(w, t->flight.token == c->attempt.token && t->flight.ended,
				"%s: an end of nothing", c->task);
			CHECK(w, c->attempt.try == t->tries, "%s: the end of another try", c->task);
			t->ending = true;
		} else {
			CHECK(w, c->kind == CHANGE_STOP && t->flight.token == c->attempt.token,
				"%s: stops nothing", c->task);
		}
	}
	sched_clear_changes(w->s);
}

/* ---- after each step ------------------------------------------------------------------ */

static void check_task(struct world *w, const struct mrun *r, int i)
{
	const struct mtask *t = &r->tasks[i];
	struct look l = look_at_needs(r, i);
	struct task_view v;

	CHECK(w, sched_task_view(w->s, r->id, i, &v), "t%d: no view", i);
	CHECK(w,
		v.state == t->state && v.tries == t->tries && v.failures == t->failures &&
			v.lost == t->lost && v.due_us == t->due_us,
		"t%d: the scheduler has %s %d/%d/%d, the store %s %d/%d/%d", i,
		task_state_name(v.state), v.tries, v.failures, v.lost, task_state_name(t->state),
		t->tries, t->failures, t->lost);
	CHECK(w, (t->state == TASK_RUNNING) == (t->flight.token != 0), "t%d: %s, token %" PRId64, i,
		task_state_name(t->state), t->flight.token);
	CHECK(w, !t->ending, "t%d: ended without an end", i);
	CHECK(w, !t->flight.token || v.token == t->flight.token, "t%d: its token", i);
	if (!t->selected || task_state_is_final(t->state))
		return;
	CHECK(w, v.waiting == l.open, "t%d: waits for %d, not %d", i, l.open, v.waiting);
	CHECK(w, t->state != TASK_NONE || (l.bad == 0 && l.skipped == 0),
		"t%d waits for what will not be", i);
	/* An attempt that was taken over while it ran, and its retry until it is due, apart. */
	CHECK(w,
		t->state == TASK_NONE || t->state == TASK_RUNNING ||
			t->state == TASK_UP_FOR_RETRY || needs_met(r, i),
		"t%d is %s before its needs", i, task_state_name(t->state));
	if (t->state == TASK_UP_FOR_RETRY)
		CHECK(w, sched_wake_us(w->s) <= t->due_us || t->due_us <= w->now_us,
			"t%d: nobody wakes for it", i);
	CHECK(w, !r->cancelling || t->state == TASK_RUNNING, "t%d outlived the cancel", i);
}

static void check_run(struct world *w, const struct mrun *r)
{
	for (int i = 0; i < r->dag->ntasks; i++)
		check_task(w, r, i);
	CHECK(w, sched_run_state(w->s, r->id) == r->state, "the run's state");
	CHECK(w, sched_run_idle(w->s, r->id) == slow_idle(r), "idle");
	CHECK(w, (r->state == RUN_RUNNING) == !slow_idle(r), "%s, yet %s", run_state_name(r->state),
		slow_idle(r) ? "idle" : "busy");
}

static void check(struct world *w)
{
	CHECK(w, sched_running(w->s) == slow_running(w), "%d run, it says %d", slow_running(w),
		sched_running(w->s));
	for (int k = 0; k < w->nruns; k++)
		if (w->runs[k].here)
			check_run(w, &w->runs[k]);
}

/* Right after a tick: with a slot and a token to spare nobody is left waiting, and nobody who
 * waits for a slot is silent about it. */
static void check_not_stuck(struct world *w)
{
	bool room = slow_running(w) < w->max_running && sched_tokens_left(w->s) > 0;

	for (int k = 0; k < w->nruns; k++) {
		const struct mrun *r = &w->runs[k];
		bool waits = false;
		for (int i = 0; r->here && i < r->dag->ntasks; i++) {
			const struct mtask *t = &r->tasks[i];
			if (!t->selected || task_state_is_final(t->state))
				continue;
			bool due = t->state == TASK_UP_FOR_RETRY && t->due_us <= w->now_us;
			CHECK(w, !due, "t%d is due, and only waits", i);
			CHECK(w, t->state != TASK_NONE || !needs_met(r, i),
				"t%d could start, and is silent", i);
			CHECK(w, !room || t->state != TASK_QUEUED, "t%d could start", i);
			waits |= t->state == TASK_UP_FOR_RETRY || t->state == TASK_RUNNING ||
				 (t->state == TASK_QUEUED && !room);
		}
		CHECK(w, !r->here || slow_idle(r) || waits, "run %" PRId64 " is stuck", r->id);
	}
}

/* ---- taking runs in ------------------------------------------------------------------- */

/* What a person may ask for: all, a part, again, again from a task on. */
static void random_request(struct world *w, struct mrun *r, struct task_init *init)
{
	int what = below(w, 8);
	const struct dag *dag = r->dag;

	for (int i = 0; i < dag->ntasks; i++) {
		init[i].selected = what != 0 || one_in(w, 3);
		init[i].clear =
			what == 1 || (what == 0 && init[i].selected) || (what == 2 && one_in(w, 4));
	}
	for (int k = 0; what == 2 && k < dag->ntasks; k++) {
		const struct task *t = &dag->tasks[dag->order[k]];
		for (int j = 0; j < t->nneeds; j++)
			init[t->index].clear |= init[t->needs[j]].clear;
	}
	r->ignore_needs = what == 0;
}

static void fill(const struct mrun *r, struct task_init *init)
{
	for (int i = 0; i < r->dag->ntasks; i++) {
		const struct mtask *t = &r->tasks[i];
		init[i].state = t->state;
		init[i].tries = t->tries;
		init[i].failures = t->failures;
		init[i].lost = t->lost;
		init[i].due_us = t->due_us;
		init[i].token = t->flight.token;
	}
}

static void take_in(struct world *w, struct mrun *r, const struct task_init *init)
{
	const struct run_init run = { .run_id = r->id,
		.dag = r->dag,
		.state = r->state,
		.tasks = init,
		.ignore_needs = r->ignore_needs };

	for (int i = 0; i < r->dag->ntasks; i++)
		r->tasks[i].selected = init[i].selected || init[i].state == TASK_RUNNING;
	r->here = true;
	r->cancelling = false;
	w->adding = true;
	CHECK(w, sched_add_run(w->s, &run, w->now_us, NULL) == 0, "add");
	commit(w);
	w->adding = false;
	check(w);
	for (int i = 0; i < r->dag->ntasks; i++) {
		enum task_state s = r->tasks[i].state;
		bool redo = init[i].selected && init[i].clear && init[i].state != TASK_RUNNING;
		CHECK(w, !redo || s != TASK_SUCCESS, "t%d was to be done again", i);
		CHECK(w, !init[i].selected || (s != TASK_FAILED && s != TASK_CANCELLED),
			"t%d is %s, and stays so", i, task_state_name(s));
		CHECK(w,
			!task_state_is_final(init[i].state) || s != TASK_NONE ||
				r->tasks[i].failures + r->tasks[i].lost == 0,
			"t%d: its retries are not its own", i);
		CHECK(w, redo || init[i].state != TASK_SUCCESS || s == TASK_SUCCESS, "t%d was done",
			i);
	}
}

static void take_in_new(struct world *w, struct mrun *r)
{
	struct task_init init[NODES_MAX] = { 0 };

	fill(r, init);
	random_request(w, r, init);
	take_in(w, r, init);
}

static void top_up(struct world *w)
{
	int n = 1 + below(w, 30);

	sched_set_tokens(w->s, w->handed_out, w->handed_out + n);
	w->handed_out += n;
}

static void new_sched(struct world *w)
{
	const struct sched_config config = { .max_running = w->max_running,
		.seed = rng_next(&w->rng) };

	w->s = sched_new(&config);
	top_up(w);
}

/* ---- steps ---------------------------------------------------------------------------- */

static void tell_end(struct world *w, struct flying *f, bool expected)
{
	const struct attempt_end e = { .token = f->token,
		.outcome = f->outcome,
		.exit_status = f->outcome == OUTCOME_FAILED ? 1 : -1,
		.permanent = f->permanent };

	f->ended = true;
	CHECK(w, sched_attempt_ended(w->s, &e, w->now_us) == expected, "token %" PRId64, f->token);
}

static struct flying *random_flight(struct world *w)
{
	struct flying *found = NULL;
	int n = 0;

	for (int k = 0; k < w->nruns; k++)
		for (int i = 0; w->runs[k].here && i < w->runs[k].dag->ntasks; i++)
			if (w->runs[k].tasks[i].flight.token && one_in(w, ++n))
				found = &w->runs[k].tasks[i].flight;
	return found;
}

static void step_end(struct world *w)
{
	struct flying *f = random_flight(w);

	if (!f)
		return;
	tell_end(w, f, true);
	if (one_in(w, 4))
		tell_end(w, f, false); /* the same again */
}

/* Late, repeated and unknown ends: nothing may come of them. */
static void step_stray_end(struct world *w)
{
	struct flying f = { .outcome = random_outcome(w) };
	size_t before, after;

	f.token = w->npast && !one_in(w, 4) ? w->past[below(w, (int)w->npast)]
					    : w->handed_out + below(w, 100);
	sched_changes(w->s, &before);
	tell_end(w, &f, false);
	sched_changes(w->s, &after);
	CHECK(w, before == after, "a stray end changed something");
}

static void step_cancel(struct world *w)
{
	struct mrun *r = &w->runs[below(w, w->nruns)];

	if (!r->here)
		return;
	bool final = run_state_is_final(r->state);
	sched_cancel_run(w->s, r->id, one_in(w, 2), w->now_us);
	r->cancelling |= !final;
	/* TERM makes most of them end soon. */
	for (int i = 0; i < r->dag->ntasks; i++)
		if (r->tasks[i].flight.token && !one_in(w, 4))
			r->tasks[i].flight.outcome = OUTCOME_CANCELLED;
}

static void step_tick(struct world *w)
{
	CHECK(w, sched_tick(w->s, w->now_us, NULL) == 0, "tick");
}

static void step_time(struct world *w)
{
	int64_t wake = sched_wake_us(w->s);

	if (wake != INT64_MAX && wake > w->now_us && one_in(w, 2))
		w->now_us = wake;
	else
		w->now_us += below(w, 5) * US_PER_SECOND + below(w, 1000);
	step_tick(w);
}

/* A run that is idle is let go, and asked for again: `weir run` a second time. */
static void again(struct world *w)
{
	struct mrun *r = &w->runs[below(w, w->nruns)];

	if (r->here && !slow_idle(r))
		return;
	if (r->here)
		sched_drop_run(w->s, r->id);
	take_in_new(w, r);
}

/* Settle what was in flight, as a scheduler that knows of nothing else. */
static void settle(struct world *w, struct mrun *r)
{
	struct task_init init[NODES_MAX] = { 0 };

	fill(r, init);
	r->ignore_needs = false;
	take_in(w, r, init);
	for (int i = 0; i < r->dag->ntasks; i++) {
		struct flying *f = &r->tasks[i].flight;
		if (!f->token)
			continue;
		/* Nobody knows, or the journal does. */
		if (one_in(w, 2))
			f->outcome = OUTCOME_LOST;
		tell_end(w, f, true);
		commit(w);
		check(w);
	}
	for (int i = 0; i < r->dag->ntasks; i++)
		CHECK(w, !r->tasks[i].flight.token, "t%d is not settled", i);
	sched_drop_run(w->s, r->id);
	r->here = false;
}

static void crash(struct world *w)
{
	bool settled = !one_in(w, 4);

	w->crashes++;
	sched_free(w->s);
	new_sched(w);
	for (int k = 0; k < w->nruns; k++) {
		struct mrun *r = &w->runs[k];
		r->here = false;
		for (int i = 0; i < r->dag->ntasks; i++)
			r->tasks[i].flight.ended = false;
	}
	for (int k = 0; k < w->nruns; k++) {
		if (settled)
			settle(w, &w->runs[k]);
		take_in_new(w, &w->runs[k]);
	}
}

/* Another has taken a run over: what was just decided about it is not committed, and what flies
 * goes on without us. It comes back to us later. */
static void lose(struct world *w)
{
	struct mrun *r = &w->runs[below(w, w->nruns)];

	if (!r->here)
		return;
	sched_forget_changes(w->s, r->id);
	sched_drop_run(w->s, r->id);
	r->here = false;
	for (int i = 0; i < r->dag->ntasks; i++)
		r->tasks[i].flight.ended = false;
}

static void (*const steps[])(struct world *) = { step_tick, step_tick, step_tick, step_end,
	step_end, step_end, step_end, step_stray_end, step_time, step_time };

static void one_step(struct world *w)
{
	void (*step)(struct world *) = steps[below(w, sizeof steps / sizeof *steps)];

	w->steps++;
	if (one_in(w, 150))
		step = step_cancel;
	step(w);
	/* Without the commit what was decided has not happened. */
	if (one_in(w, 100)) {
		crash(w);
		return;
	}
	bool lost = one_in(w, 80);
	if (lost)
		lose(w);
	commit(w);
	check(w);
	if (!lost && (step == step_tick || step == step_time))
		check_not_stuck(w);
	if (sched_tokens_left(w->s) == 0 && one_in(w, 2))
		top_up(w);
	if (one_in(w, 60))
		again(w);
}

static bool all_idle(const struct world *w)
{
	for (int k = 0; k < w->nruns; k++)
		if (w->runs[k].here && !slow_idle(&w->runs[k]))
			return false;
	return true;
}

/* No more trouble: it comes to its end, and soon. */
static void finish(struct world *w)
{
	int left = STEPS_MAX;

	for (; !all_idle(w) && left > 0; left--) {
		if (sched_tokens_left(w->s) == 0)
			top_up(w);
		int64_t wake = sched_wake_us(w->s);
		if (wake != INT64_MAX && wake > w->now_us)
			w->now_us = wake;
		step_tick(w);
		commit(w);
		check(w);
		check_not_stuck(w);
		step_end(w);
		commit(w);
		check(w);
	}
	CHECK(w, left > 0, "it never ends");
}

static void play(struct world *w)
{
	w->nruns = 1 + below(w, RUNS_MAX);
	w->max_running = 1 + below(w, 6);
	w->now_us = (1 + below(w, 1000)) * US_PER_SECOND;
	w->handed_out = 1;
	w->newest = 0;
	w->npast = 0;
	memset(w->runs, 0, sizeof w->runs);
	new_sched(w);
	for (int k = 0; k < w->nruns; k++) {
		w->runs[k] = (struct mrun){ .id = 10 + k, .dag = random_dag(w) };
		take_in_new(w, &w->runs[k]);
	}
	for (int n = below(w, 150); n > 0; n--)
		one_step(w);
	finish(w);
	sched_free(w->s);
	w->s = NULL;
	for (int k = 0; k < w->nruns; k++)
		dag_unref(w->runs[k].dag);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void test_invariants(void **state)
{
	static struct world w;

	(void)state;
	w.seed = number_of("WEIR_SEED", (uint64_t)time(NULL));
	int rounds = (int)number_of("WEIR_ROUNDS", ROUNDS);
	rng_init(&w.rng, w.seed);
	printf("# WEIR_SEED=%" PRIu64 "\n", w.seed);
	for (w.round = 1; w.round <= rounds; w.round++)
		play(&w);
	printf("# %d rounds, %d steps, %d attempts, %d crashes\n", rounds, w.steps, w.starts,
		w.crashes);
	assert_true(w.starts > rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_invariants) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
