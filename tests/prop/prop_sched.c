/* The scheduler under random DAGs, policies, ends of attempts, cancels and crashes.
 *
 * A mirror stands for the store: it is built from the committed changes and from nothing else, and
 * each change is judged on its way into it. After every step what the scheduler says is compared
 * with the mirror and with what a slow look over all tasks finds. What people ask of a run is
 * planned first, with a copy, and then done: both must come to the same. A crash throws away the
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

#include "base/node.h"
#include "base/rng.h"
#include "base/units.h"
#include "core/condition.h"
#include "core/model.h"
#include "core/request.h"
#include "core/sched.h"
#include "tests/lib/trigger_model.h"

enum {
	RUNS_MAX = 3,
	NODES_MAX = 24,
	LOOKS_MAX = 4,
	PAST_MAX = 64,
	STEPS_MAX = 4000,
	ROUNDS = 5000
};

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
	enum reason reason;
	int tries, failures, lost;
	int64_t due_us;
	struct flying flight; /* token 0: none */
	bool selected;
	/* Between the end of an attempt and the change of the task's state. */
	bool ending;
	bool said_no;              /* its `if` was answered with no */
	bool said_wait, said_skip; /* what it waits for was answered with not yet */
	int64_t said_us;           /* the deadline that came with it */
	bool left_out;             /* a choice told so skips it */
	bool unchosen;             /* it was skipped so */
	bool fresh;    /* final since this commit only: others may not have heard of it */
	bool kept;     /* as it was when the run was taken in */
	bool stopping; /* by request: it is cancelled when it ends, unless it succeeds */
};

struct mrun {
	int64_t id;
	struct dag *dag;
	enum run_state state;
	struct mtask tasks[NODES_MAX];
	bool ignore_needs, cancelling, killing;
	bool here; /* the scheduler knows of it */
};

struct looking {
	int64_t token, run_id;
	int task;
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
	struct looking looks[LOOKS_MAX]; /* committed, and not ended */
	int nlooks, max_looks;
	bool adding;                /* a run is taken in: final states may be cleared */
	bool asking;                /* something was asked for */
	int asked, refused;         /* told at the end */
	int crashes, starts, steps; /* told at the end */
	int looked;                 /* likewise */
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

/* Rules for some, conditions for a few. */
static void random_trigger(struct world *w, struct dag *dag, struct task *t)
{
	static const char *const texts[] = { "t%d.success or not t%d.failed",
		"t%d.done and t%d.done", "not (t%d.success and t%d.success)",
		"t%d.skipped or t%d.upstream_failed or t%d.cancelled",
		"(t%d.success or t%d.skipped) and not t%d.failed" };
	struct condition_fault fault;

	static const struct node some_if = { .type = NODE_BOOL };

	if (one_in(w, 5))
		t->only_if = &some_if;
	t->chooses = one_in(w, 8);
	t->waits = one_in(w, 6);
	t->forgiven = one_in(w, 8);
	if (t->nneeds == 0 || one_in(w, 3))
		return;
	if (one_in(w, 6)) {
		int *setups = arena_array(&dag->arena, 1, sizeof *setups);
		t->teardown = true;
		t->trigger = TRIGGER_ALL_DONE;
		setups[0] = t->needs[below(w, t->nneeds)];
		t->setups = setups;
		t->nsetups = below(w, 2);
		return;
	}
	t->trigger = (enum trigger_rule)below(w, TRIGGER_MAX);
	if (!one_in(w, 4))
		return;
	const char *text = texts[below(w, sizeof texts / sizeof *texts)];
	int a = t->needs[below(w, t->nneeds)], b = t->needs[below(w, t->nneeds)],
	    c = t->needs[below(w, t->nneeds)];
	char *filled = arena_alloc(&dag->arena, 200);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(filled, 200, text, a, b, c);
#pragma GCC diagnostic pop
	struct condition *when = condition_parse(&dag->arena, filled, &fault);
	CHECK(w, when, "%s: %s", filled, fault.message);
	for (int i = 0; i < when->nterms; i++)
		when->terms[i].task = atoi(when->terms[i].name + 1);
	t->when = when;
}

/* File order is a random one, so that an index says nothing about an order. */
static struct dag *random_dag(struct world *w)
{
	struct dag *dag = dag_new();
	enum shape shape = (enum shape)below(w, SHAPE_MAX);
	int n = one_in(w, 8) ? NODES_MAX : 1 + below(w, NODES_MAX), place[NODES_MAX];
	int cycle[NODES_MAX + 1], len;
	bool rules = !one_in(w, 3);

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
		if (rules)
			random_trigger(w, dag, t);
	}
	CHECK(w, dag_seal(dag, cycle, &len, NULL) == 0, "a cycle");
	return dag;
}

/* ---- the slow view -------------------------------------------------------------------- */

/* States of the needs that count; `unheard`, a bit per need, are taken as open. */
struct look {
	enum task_state needs[NODES_MAX];
	int n, open, fresh;
};

static struct look look_at_needs(const struct mrun *r, int task, unsigned unheard)
{
	const struct task *def = &r->dag->tasks[task];
	struct look l = { 0 };

	for (int j = 0; j < def->nneeds; j++) {
		const struct mtask *need = &r->tasks[def->needs[j]];
		bool final = task_state_is_final(need->state) && !(unheard >> l.n & 1);
		if (r->ignore_needs && !need->selected)
			continue;
		l.open += !final;
		l.fresh |= (final && need->fresh) << l.n;
		l.needs[l.n++] = final ? need->state : TASK_NONE;
	}
	return l;
}

struct asked {
	const struct mrun *r;
	const struct task *def;
	const struct look *look;
};

static enum task_state asked_state(void *arg, int task)
{
	const struct asked *a = arg;

	for (int j = 0, n = 0; j < a->def->nneeds; j++) {
		const struct mtask *need = &a->r->tasks[a->def->needs[j]];
		if (a->r->ignore_needs && !need->selected)
			continue;
		if (a->def->needs[j] == task)
			return a->look->needs[n];
		n++;
	}
	return TASK_NONE;
}

/* What becomes of a task: TASK_NONE it waits, TASK_RUNNING it runs, or skipped, upstream_failed. */
static enum task_state verdict(const struct mrun *r, int task, unsigned unheard)
{
	const struct task *def = &r->dag->tasks[task];
	struct look l = look_at_needs(r, task, unheard);
	const struct model_needs m = { l.needs, l.n };
	struct asked a = { r, def, &l };

	if (!def->when)
		return model_verdict(def->trigger, &m);
	enum truth truth = condition_judge(def->when, asked_state, &a);
	if (truth == TRUTH_UNKNOWN)
		return l.open ? TASK_NONE : TASK_RUNNING;
	return truth == TRUTH_YES ? TASK_RUNNING : TASK_SKIPPED;
}

static bool needs_met(const struct mrun *r, int task)
{
	return verdict(r, task, 0) == TASK_RUNNING;
}

/* Is this the verdict, when some of what this commit holds was not heard of? */
static bool may_become(const struct mrun *r, int task, enum task_state state)
{
	unsigned fresh = (unsigned)look_at_needs(r, task, 0).fresh;

	for (unsigned unheard = fresh;; unheard = (unheard - 1) & fresh) {
		if (verdict(r, task, unheard) == state)
			return true;
		if (unheard == 0)
			return false;
	}
}

static enum run_state slow_run_state(const struct mrun *r)
{
	int bad = 0, cancelled = 0, open = 0;

	for (int i = 0; i < r->dag->ntasks; i++) {
		enum task_state s = r->tasks[i].state;
		bool counts = !r->dag->tasks[i].forgiven;
		bad += counts &&
		       (s == TASK_FAILED || s == TASK_UPSTREAM_FAILED || s == TASK_CANCELLED);
		cancelled += counts && s == TASK_CANCELLED;
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

/* What waits takes no slot when it goes on, either. */
static int slow_slots(const struct world *w)
{
	int n = slow_running(w);

	for (int k = 0; k < w->nruns; k++)
		for (int i = 0; w->runs[k].here && i < w->runs[k].dag->ntasks; i++)
			n -= w->runs[k].dag->tasks[i].waits && w->runs[k].tasks[i].flight.token;
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

/* A cancelled run starts nothing but its teardowns, and a killed one not even these. */
static bool stops(const struct mrun *r, const struct task *def)
{
	return r->killing || (r->cancelling && !def->teardown);
}

/* Was anything begun that this one takes down? */
static bool begun(const struct mrun *r, const struct task *def)
{
	const int *setups = def->nsetups ? def->setups : def->needs;

	for (int j = 0; j < (def->nsetups ? def->nsetups : def->nneeds); j++)
		if (r->tasks[setups[j]].tries > 0)
			return true;
	return false;
}

/* After an end: what must become of the task. */
static enum task_state after_end(
	const struct mrun *r, const struct mtask *t, const struct task *def)
{
	const struct retry_policy *p = &def->retry;
	const struct flying *f = &t->flight;

	if (f->outcome == OUTCOME_SUCCESS)
		return TASK_SUCCESS;
	if (f->outcome == OUTCOME_SKIPPED)
		return TASK_SKIPPED;
	if (f->outcome == OUTCOME_CANCELLED || t->stopping || stops(r, def))
		return TASK_CANCELLED;
	if (f->outcome == OUTCOME_LOST)
		return t->lost + 1 > p->lost_retries ? TASK_FAILED : TASK_UP_FOR_RETRY;
	return f->permanent || t->failures + 1 > p->retries ? TASK_FAILED : TASK_UP_FOR_RETRY;
}

static void commit_ended(struct world *w, struct mrun *r, struct mtask *t, const struct change *c)
{
	const struct retry_policy *p = &r->dag->tasks[c->task_index].retry;
	bool lost = t->flight.outcome == OUTCOME_LOST;
	enum task_state want = after_end(r, t, &r->dag->tasks[c->task_index]);

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

static bool is_again(enum reason r)
{
	return r == REASON_NEEDS_CHANGED || r == REASON_NEEDS_AGAIN || r == REASON_SET_UP_AGAIN;
}

static void commit_wait(struct world *w, struct mrun *r, const struct change *c)
{
	const struct mtask *t = &r->tasks[c->task_index];

	CHECK(w, r->dag->tasks[c->task_index].waits && t->said_wait && needs_met(r, c->task_index),
		"%s waits for nothing", c->task);
	if (c->reason != REASON_WAIT_TIMED_OUT) {
		CHECK(w, !task_state_waits(t->state), "%s waits twice", c->task);
		CHECK(w, c->state.due_us == t->said_us, "%s: its deadline", c->task);
		return;
	}
	CHECK(w, task_state_waits(t->state) && t->due_us && t->due_us <= w->now_us,
		"%s: not its deadline", c->task);
	CHECK(w, c->state.to == (t->said_skip ? TASK_SKIPPED : TASK_FAILED), "%s: %s", c->task,
		task_state_name(c->state.to));
}

static void commit_task(struct world *w, struct mrun *r, const struct change *c)
{
	struct mtask *t = &r->tasks[c->task_index];

	CHECK(w, c->state.from == t->state, "%s: from %s, is %s", c->task,
		task_state_name(c->state.from), task_state_name(t->state));
	CHECK(w, w->adding || w->asking || !task_state_is_final(t->state), "%s leaves %s", c->task,
		task_state_name(t->state));
	CHECK(w, state_task_may(c->state.from, c->state.to, c->reason), "%s: %s to %s: %s", c->task,
		task_state_name(c->state.from), task_state_name(c->state.to),
		reason_name(c->reason));
	CHECK(w, t->selected, "%s is not selected, yet becomes %s", c->task,
		task_state_name(c->state.to));
	if (t->ending)
		commit_ended(w, r, t, c);
	else if (w->asking && c->detail)
		CHECK(w, strcmp(c->detail, "by ann") == 0 && t->state != TASK_RUNNING,
			"%s: asked for, while it runs", c->task);
	else if (task_state_waits(c->state.to) || c->reason == REASON_WAIT_TIMED_OUT)
		commit_wait(w, r, c);
	else if (c->reason == REASON_CONDITION_FALSE)
		CHECK(w, t->said_no && needs_met(r, c->task_index), "%s: nobody said no", c->task);
	else if (c->reason == REASON_NOT_CHOSEN)
		CHECK(w, t->left_out, "%s: it was not left out", c->task);
	else if (c->state.to == TASK_UPSTREAM_FAILED || c->state.to == TASK_SKIPPED)
		CHECK(w, may_become(r, c->task_index, c->state.to), "%s: %s, not %s", c->task,
			task_state_name(c->state.to),
			task_state_name(verdict(r, c->task_index, 0)));
	else if (c->state.to == TASK_CANCELLED)
		CHECK(w,
			stops(r, &r->dag->tasks[c->task_index]) ||
				(r->cancelling && !begun(r, &r->dag->tasks[c->task_index])),
			"%s: nobody cancelled", c->task);
	else
		CHECK(w,
			c->state.to == TASK_RUNNING || c->state.to == TASK_QUEUED ||
				(c->state.to == TASK_NONE &&
					(w->adding || !needs_met(r, c->task_index) ||
						(w->asking && is_again(c->reason)))),
			"%s: becomes %s of itself", c->task, task_state_name(c->state.to));
	CHECK(w, c->state.tries >= t->tries, "%s: tries go back", c->task);
	t->state = c->state.to;
	t->fresh = task_state_is_final(t->state);
	t->unchosen = c->reason == REASON_NOT_CHOSEN;
	t->reason = c->reason;
	t->kept = false;
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
	CHECK(w, !stops(r, &r->dag->tasks[c->task_index]), "%s starts in a cancelled run", c->task);
	CHECK(w, !t->said_no || !r->dag->tasks[c->task_index].only_if, "%s: its if is false",
		c->task);
	w->newest = c->attempt.token;
	w->starts++;
	t->tries = c->attempt.try;
	t->stopping = false;
	t->flight = (struct flying){
		.token = c->attempt.token, .outcome = random_outcome(w), .permanent = one_in(w, 10)
	};
	CHECK(w, r->dag->tasks[c->task_index].waits || slow_slots(w) <= w->max_running,
		"%d run, of %d", slow_slots(w), w->max_running);
}

static struct looking *find_look(struct world *w, int64_t token)
{
	for (int i = 0; i < w->nlooks; i++)
		if (w->looks[i].token == token)
			return &w->looks[i];
	return NULL;
}

static void commit_look(struct world *w, const struct mrun *r, const struct change *c)
{
	const struct mtask *t = &r->tasks[c->task_index];

	CHECK(w, task_state_waits(t->state) && needs_met(r, c->task_index), "%s: a look in vain",
		c->task);
	CHECK(w, !stops(r, &r->dag->tasks[c->task_index]), "%s: a look in a cancelled run",
		c->task);
	CHECK(w, c->attempt.token > w->newest, "%s: token %" PRId64 " after %" PRId64, c->task,
		c->attempt.token, w->newest);
	CHECK(w, w->nlooks < w->max_looks, "%d looks at once", w->nlooks);
	w->newest = c->attempt.token;
	w->looks[w->nlooks++] = (struct looking){ c->attempt.token, r->id, c->task_index };
	w->looked++;
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
		} else if (c->kind == CHANGE_CANCEL) {
			CHECK(w, !c->task, "a task is not a run");
		} else if (c->kind == CHANGE_LOOK) {
			commit_look(w, r, c);
		} else if (c->kind == CHANGE_LOOKED) {
			CHECK(w, task_state_waits(t->state), "%s does not wait", c->task);
		} else if (c->kind == CHANGE_STOP && find_look(w, c->attempt.token)) {
			CHECK(w, !sched_look_awaited(w->s, c->attempt.token),
				"%s: its look is stopped, and awaited", c->task);
		} else {
			CHECK(w, c->kind == CHANGE_STOP && t->flight.token == c->attempt.token,
				"%s: stops nothing", c->task);
			CHECK(w,
				c->attempt.hard || t->stopping ||
					!r->dag->tasks[c->task_index].teardown,
				"%s: a teardown is stopped", c->task);
		}
	}
	sched_clear_changes(w->s);
	for (int k = 0; k < w->nruns; k++)
		for (int i = 0; i < NODES_MAX; i++) {
			struct mtask *t = &w->runs[k].tasks[i];
			CHECK(w,
				!t->left_out || !t->selected || !w->runs[k].here ||
					(t->state != TASK_NONE && t->state != TASK_QUEUED),
				"t%d was left out, and is %s", i, task_state_name(t->state));
			t->fresh = t->said_no = t->said_wait = t->left_out = false;
		}
}

/* ---- after each step ------------------------------------------------------------------ */

/* What came of the needs alone holds as long as some of them said so before the others were done.
 * With very many needs it is taken for granted. */
static bool still_holds(const struct mrun *r, int task)
{
	enum task_state state = r->tasks[task].state;
	int n = look_at_needs(r, task, 0).n;

	if (n > 12)
		return true;
	for (unsigned unheard = 0; unheard < 1u << n; unheard++)
		if (verdict(r, task, unheard) == state)
			return true;
	return false;
}

static void check_task(struct world *w, const struct mrun *r, int i)
{
	const struct mtask *t = &r->tasks[i];
	struct look l = look_at_needs(r, i, 0);
	enum task_state fate = verdict(r, i, 0);
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
	if (t->selected && !t->kept && reason_is_derived(t->reason))
		CHECK(w, still_holds(r, i), "t%d is %s (%s), and its needs no more so", i,
			task_state_name(t->state), reason_name(t->reason));
	if (!t->selected || task_state_is_final(t->state))
		return;
	CHECK(w, v.waiting == l.open, "t%d: waits for %d, not %d", i, l.open, v.waiting);
	CHECK(w, t->state != TASK_NONE || fate == TASK_NONE || fate == TASK_RUNNING,
		"t%d waits for what will not be", i);
	/* An attempt that was taken over while it ran, and its retry until it is due, apart. */
	CHECK(w,
		t->state == TASK_NONE || t->state == TASK_RUNNING ||
			t->state == TASK_UP_FOR_RETRY || needs_met(r, i),
		"t%d is %s before its needs", i, task_state_name(t->state));
	if (t->state == TASK_UP_FOR_RETRY)
		CHECK(w, sched_wake_us(w->s) <= t->due_us || t->due_us <= w->now_us,
			"t%d: nobody wakes for it", i);
	CHECK(w, !stops(r, &r->dag->tasks[i]) || t->state == TASK_RUNNING,
		"t%d outlived the cancel", i);
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
	CHECK(w, sched_looking(w->s) == w->nlooks, "%d looks, it says %d", w->nlooks,
		sched_looking(w->s));
	for (int k = 0; k < w->nruns; k++)
		if (w->runs[k].here)
			check_run(w, &w->runs[k]);
}

/* Right after a tick: with a slot and a token to spare nobody is left waiting, and nobody who
 * waits for a slot is silent about it. */
static bool works(const struct mrun *r)
{
	for (int i = 0; i < r->dag->ntasks; i++)
		if (r->tasks[i].flight.token && !r->dag->tasks[i].teardown)
			return true;
	return false;
}

/* A look for it is made, or would be with a token. */
static bool is_looked_for(const struct world *w, const struct mrun *r, int task)
{
	for (int i = 0; i < w->nlooks; i++)
		if (w->looks[i].run_id == r->id && w->looks[i].task == task)
			return true;
	return sched_tokens_left(w->s) == 0;
}

static void check_not_stuck(struct world *w)
{
	bool room = slow_slots(w) < w->max_running && sched_tokens_left(w->s) > 0;

	for (int k = 0; k < w->nruns; k++) {
		const struct mrun *r = &w->runs[k];
		bool waits = false;
		for (int i = 0; r->here && i < r->dag->ntasks; i++) {
			const struct mtask *t = &r->tasks[i];
			if (!t->selected || task_state_is_final(t->state))
				continue;
			bool due = t->state == TASK_UP_FOR_RETRY && t->due_us <= w->now_us;
			due |= task_state_waits(t->state) && t->due_us && t->due_us <= w->now_us &&
			       !is_looked_for(w, r, i);
			CHECK(w, !due, "t%d is due, and only waits", i);
			CHECK(w,
				!task_state_waits(t->state) || sched_wake_us(w->s) < INT64_MAX ||
					is_looked_for(w, r, i) || w->nlooks == w->max_looks,
				"t%d: nobody asks again", i);
			CHECK(w,
				t->state != TASK_NONE || !needs_met(r, i) ||
					(r->cancelling && works(r)),
				"t%d could start, and is silent", i);
			CHECK(w, !room || t->state != TASK_QUEUED, "t%d could start", i);
			waits |= t->state == TASK_UP_FOR_RETRY || t->state == TASK_RUNNING ||
				 task_state_waits(t->state) || (t->state == TASK_QUEUED && !room);
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
		init[i].reason = t->reason;
		init[i].tries = t->tries;
		init[i].failures = t->failures;
		init[i].lost = t->lost;
		init[i].due_us = t->due_us;
		init[i].token = t->flight.token;
		init[i].unchosen = t->unchosen;
	}
}

static bool is_setup(const struct mrun *r, int task)
{
	for (int i = 0; i < r->dag->ntasks; i++)
		for (int j = 0; j < r->dag->tasks[i].nsetups; j++)
			if (r->dag->tasks[i].setups[j] == task)
				return true;
	return false;
}

/* What was taken down, and is to be taken down again, is set up again. */
static void check_setups(struct world *w, const struct mrun *r, const struct task_init *init)
{
	for (int i = 0; i < r->dag->ntasks; i++) {
		const struct task *t = &r->dag->tasks[i];
		bool again = task_state_is_final(init[i].state) && init[i].tries > 0 &&
			     !task_state_is_final(r->tasks[i].state);
		for (int j = 0; again && j < t->nsetups; j++)
			CHECK(w,
				!init[t->setups[j]].selected ||
					r->tasks[t->setups[j]].state != TASK_SUCCESS,
				"t%d is to be taken down again, and not set up", t->setups[j]);
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
	for (int i = 0; i < r->dag->ntasks; i++) {
		r->tasks[i].stopping = false;
		r->tasks[i].kept = true;
	}
	r->here = true;
	r->cancelling = r->killing = false;
	w->adding = true;
	CHECK(w, sched_add_run(w->s, &run, w->now_us, NULL) == 0, "add");
	commit(w);
	w->adding = false;
	check_setups(w, r, init);
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
		bool set_up = is_setup(r, i);
		bool by_rule = set_up || r->dag->tasks[i].trigger != TRIGGER_ALL_SUCCESS ||
			       r->dag->tasks[i].when;
		CHECK(w, redo || by_rule || init[i].state != TASK_SUCCESS || s == TASK_SUCCESS,
			"t%d was done", i);
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
	const struct sched_config config = {
		.max_running = w->max_running, .max_looks = w->max_looks, .seed = rng_next(&w->rng)
	};

	w->s = sched_new(&config);
	top_up(w);
}

/* ---- steps ---------------------------------------------------------------------------- */

/* One that chooses leaves out some of those behind it. */
static size_t random_skips(struct world *w, const struct flying *f, int *ret)
{
	int64_t run_id;
	int task;
	size_t n = 0;

	if (!sched_flight(w->s, f->token, &run_id, &task))
		return 0;
	struct mrun *r = run_of(w, run_id);
	const struct task *def = &r->dag->tasks[task];
	for (int j = 0; def->chooses && f->outcome == OUTCOME_SUCCESS && j < def->ndependents;
		j++) {
		int d = def->dependents[j];
		if (r->dag->tasks[d].teardown || one_in(w, 2))
			continue;
		r->tasks[d].left_out = true;
		ret[n++] = d;
	}
	return n;
}

static void tell_end(struct world *w, struct flying *f, bool expected)
{
	int skips[NODES_MAX];
	const struct attempt_end e = { .token = f->token,
		.outcome = f->outcome,
		.exit_status = f->outcome == OUTCOME_FAILED ? 1 : -1,
		.permanent = f->permanent,
		.skips = skips,
		.nskips = random_skips(w, f, skips) };

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
	bool hard = one_in(w, 2);
	sched_cancel_run(w->s, r->id, hard, w->now_us);
	r->cancelling |= !final;
	r->killing |= !final && hard;
	/* TERM makes most of them end soon. */
	for (int i = 0; i < r->dag->ntasks; i++)
		if (r->tasks[i].flight.token && (hard || !r->dag->tasks[i].teardown) &&
			!one_in(w, 4))
			r->tasks[i].flight.outcome = OUTCOME_CANCELLED;
}

/* ---- requests ------------------------------------------------------------------------- */

static void random_ask(struct world *w, const struct mrun *r, struct request *q, int *tasks)
{
	static const enum task_state marks[] = { TASK_SUCCESS, TASK_FAILED, TASK_SKIPPED };

	*q = (struct request){ .verb = (enum request_verb)below(w, REQUEST_MAX),
		.tasks = tasks,
		.ntasks = 1 + below(w, one_in(w, 3) ? 4 : 1),
		.downstream = one_in(w, 3),
		.failed = one_in(w, 4),
		.hard = one_in(w, 2),
		.mark = marks[below(w, 3)],
		.outputs = one_in(w, 2) ? "{}" : NULL,
		.detail = "by ann" };
	if (q->verb == REQUEST_RETRY && one_in(w, 2))
		q->ntasks = 0;
	if (q->verb != REQUEST_RETRY && q->verb != REQUEST_CLEAR)
		q->downstream = false;
	q->failed &= q->verb == REQUEST_RETRY;
	for (int i = 0; i < q->ntasks; i++)
		tasks[i] = below(w, r->dag->ntasks);
}

static bool is_named(const struct request *q, int task)
{
	for (int i = 0; i < q->ntasks; i++)
		if (q->tasks[i] == task)
			return true;
	return false;
}

/* A slow look at what is to be done again. */
static void check_again(struct world *w, const struct mrun *r, const struct request *q)
{
	bool chosen[NODES_MAX] = { false };

	if ((q->verb != REQUEST_RETRY && q->verb != REQUEST_CLEAR) || q->failed)
		return;
	for (int i = 0; i < q->ntasks; i++)
		chosen[q->tasks[i]] = true;
	for (int pass = 0; q->downstream && pass < r->dag->ntasks; pass++)
		for (int i = 0; i < r->dag->ntasks; i++)
			for (int j = 0; j < r->dag->tasks[i].nneeds; j++)
				chosen[i] |= chosen[r->dag->tasks[i].needs[j]];
	for (int i = 0; i < r->dag->ntasks; i++)
		CHECK(w,
			!chosen[i] || !r->tasks[i].selected || r->tasks[i].state == TASK_NONE ||
				reason_is_derived(r->tasks[i].reason) ||
				!task_state_is_final(r->tasks[i].state) ||
				(r->tasks[i].reason == REASON_NOT_CHOSEN && !is_named(q, i)),
			"t%d was to be done again, and is %s", i,
			task_state_name(r->tasks[i].state));
}

static void commit_stops(struct world *w, struct mrun *r)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	for (size_t i = 0; i < n; i++, c++)
		if (c->kind == CHANGE_STOP && c->run_id == r->id)
			r->tasks[c->task_index].stopping = true;
}

/* The plan is made with a copy that is taken in aside; the deed comes to the same. */
static void step_ask(struct world *w)
{
	struct mrun *r = &w->runs[below(w, w->nruns)];
	struct task_init init[NODES_MAX] = { 0 };
	struct request_plan plan;
	struct run_init run;
	struct request q;
	int tasks[4];

	if (!r->here || !sched_snapshot(w->s, r->id, &run, init, NULL))
		return;
	if (run_state_is_final(r->state))
		return;
	random_ask(w, r, &q, tasks);
	int planned = request_plan(&plan, &run, &q, w->now_us, NULL);
	size_t before, after;
	sched_changes(w->s, &before);
	int done = sched_request(w->s, r->id, &q, w->now_us, NULL);
	sched_changes(w->s, &after);
	CHECK(w, planned == done, "%s: planned %d, done %d", request_name(q.verb), planned, done);
	w->asked++;
	w->refused += done < 0;
	CHECK(w, done == 0 || before == after, "a refused request has changed something");
	if (done < 0)
		return;
	commit_stops(w, r);
	w->asking = true;
	commit(w);
	w->asking = false;
	for (int i = 0; i < r->dag->ntasks; i++)
		CHECK(w, plan.tasks[i].to == r->tasks[i].state, "%s: t%d is %s, planned was %s",
			request_name(q.verb), i, task_state_name(r->tasks[i].state),
			task_state_name(plan.tasks[i].to));
	request_plan_release(&plan);
	check(w);
	check_again(w, r, &q);
	if (q.verb == REQUEST_RETRY || q.verb == REQUEST_CLEAR)
		check_setups(w, r, init);
}

static struct sched_wait random_wait(struct world *w, int64_t run_id, int task)
{
	return (struct sched_wait){ .run_id = run_id,
		.task = task,
		.input = one_in(w, 2),
		.again_us = w->now_us + below(w, 20) * US_PER_SECOND,
		.spread_us = below(w, 3) * US_PER_SECOND,
		.deadline_us = one_in(w, 3) ? 0 : w->now_us + (1 + below(w, 90)) * US_PER_SECOND,
		.skip = one_in(w, 2) };
}

/* Not yet; to be looked for; or there, but without a token to say so. */
static bool answer_wait(struct world *w, const struct sched_question *q, struct mtask *t)
{
	const struct sched_wait wait = random_wait(w, q->run_id, q->task);
	bool yes = one_in(w, 2);

	CHECK(w, q->deadline_us == (task_state_waits(t->state) ? t->due_us : 0), "its deadline");
	CHECK(w, q->waits == task_state_waits(t->state), "whether it waits");
	t->said_wait = !yes || sched_tokens_left(w->s) == 0;
	t->said_us = yes ? 0 : wait.deadline_us;
	t->said_skip = wait.skip && !yes;
	if (!yes && one_in(w, 2))
		sched_answer_look(w->s, &wait, w->now_us);
	else if (!yes)
		sched_answer_wait(w->s, &wait, w->now_us);
	return !yes;
}

/* A look ends, in any way; nobody may wait for it any more. */
static void step_look(struct world *w)
{
	if (w->nlooks == 0)
		return;
	struct looking *k = &w->looks[below(w, w->nlooks)], was = *k;
	struct sched_look_end e = { .token = was.token,
		.outcome = random_outcome(w),
		.permanent = one_in(w, 5),
		.over = one_in(w, 3),
		.said = one_in(w, 3)   ? NULL
			: one_in(w, 2) ? "no"
				       : "nothing",
		.wait = random_wait(w, was.run_id, was.task) };
	bool awaited = sched_look_awaited(w->s, was.token);
	struct mrun *r = run_of(w, was.run_id);

	CHECK(w, !awaited || r->here, "a look of a run that is gone is awaited");
	if (awaited) {
		struct mtask *t = &r->tasks[was.task];
		CHECK(w, task_state_waits(t->state), "t%d does not wait", was.task);
		t->said_wait = true;
		t->said_skip = e.wait.skip && !e.over;
	}
	*k = w->looks[--w->nlooks];
	CHECK(w, sched_look_ended(w->s, &e, w->now_us), "token %" PRId64, e.token);
	CHECK(w, !sched_look_ended(w->s, &e, w->now_us), "token %" PRId64 " again", e.token);
}

static bool answer(struct world *w)
{
	size_t n;
	const struct sched_question *q = sched_questions(w->s, &n);
	bool any = n > 0;
	struct task_view v;

	/* Those that ask may be cancelled, skipped, marked, or be asked again. */
	if (any && one_in(w, 6)) {
		commit(w);
		check(w);
		step_ask(w);
		q = sched_questions(w->s, &n);
	}
	for (size_t i = 0; i < n; i++) {
		struct mrun *r = run_of(w, q[i].run_id);
		bool yes = !one_in(w, 4);
		const struct task *def = &r->dag->tasks[q[i].task];
		CHECK(w, def->waits || (def->only_if && !q[i].asked),
			"t%d: there is nothing to ask", q[i].task);
		CHECK(w, !stops(r, &r->dag->tasks[q[i].task]), "t%d asks in vain", q[i].task);
		CHECK(w,
			sched_task_view(w->s, q[i].run_id, q[i].task, &v) &&
				!task_state_is_final(v.state),
			"t%d asks, being %s", q[i].task, task_state_name(v.state));
		yes |= !def->only_if || q[i].asked;
		r->tasks[q[i].task].said_no = !yes;
		if (yes && def->waits && answer_wait(w, &q[i], &r->tasks[q[i].task]))
			continue;
		sched_answer(w->s, q[i].run_id, q[i].task, yes, w->now_us);
	}
	return any;
}

static void step_tick(struct world *w)
{
	do
		CHECK(w, sched_tick(w->s, w->now_us, NULL) == 0, "tick");
	while (answer(w));
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
	w->nlooks = 0;
	sched_free(w->s);
	new_sched(w);
	for (int k = 0; k < w->nruns; k++) {
		struct mrun *r = &w->runs[k];
		r->here = false;
		for (int i = 0; i < r->dag->ntasks; i++)
			r->tasks[i].flight.ended = r->tasks[i].said_no = r->tasks[i].left_out =
				false;
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
		r->tasks[i].flight.ended = r->tasks[i].said_no = r->tasks[i].left_out = false;
}

static void (*const steps[])(struct world *) = { step_tick, step_tick, step_tick, step_end,
	step_end, step_end, step_end, step_stray_end, step_look, step_look, step_time, step_time };

static void one_step(struct world *w)
{
	void (*step)(struct world *) = steps[below(w, sizeof steps / sizeof *steps)];

	w->steps++;
	if (one_in(w, 150))
		step = step_cancel;
	if (one_in(w, 12))
		step = step_ask;
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
		step_look(w);
		commit(w);
		check(w);
	}
	CHECK(w, left > 0, "it never ends");
}

static void play(struct world *w)
{
	w->nruns = 1 + below(w, RUNS_MAX);
	w->max_running = 1 + below(w, 6);
	w->max_looks = 1 + below(w, LOOKS_MAX);
	w->nlooks = 0;
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
	printf("# %d rounds, %d steps, %d attempts, %d looks, %d crashes, %d requests, %d of them "
	       "refused\n",
		rounds, w.steps, w.starts, w.looked, w.crashes, w.asked, w.refused);
	assert_true(w.asked > w.refused);
	assert_true(w.starts > rounds);
	assert_true(w.looked > rounds / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_invariants) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
