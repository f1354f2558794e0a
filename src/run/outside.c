#include "run/outside.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/units.h"
#include "core/model.h"

enum { NAMES_SHOWN = 3, WHAT_MAX = 1024, SPREAD = 10 };

/* ---- one task, one run ------------------------------------------------------------------ */

static bool is_good(enum task_state s)
{
	return s == TASK_SUCCESS || s == TASK_SKIPPED;
}

/* *ret_state: of the task; false in *ret_has: the run has none of it. */
static int task_state(struct store *s, int64_t run_id, const char *task, bool *ret_has,
	enum task_state *ret_state, struct err *err)
{
	struct store_result r;

	*ret_has = false;
	if (store_approval(s, run_id, task, &r, err) < 0)
		return -1;
	if (r.n > 0) {
		*ret_has = true;
		*ret_state = r.approvals[0].state;
	}
	store_result_release(&r);
	return 0;
}

/* What a run comes to as a need: a final state, or none. */
static enum task_state of_run(const struct run_row *run)
{
	static const enum task_state states[RUN_STATE_MAX] = {
		[RUN_QUEUED] = TASK_NONE,
		[RUN_RUNNING] = TASK_NONE,
		[RUN_SUCCESS] = TASK_SUCCESS,
		[RUN_FAILED] = TASK_FAILED,
		[RUN_CANCELLED] = TASK_CANCELLED,
	};

	return run->wanted ? TASK_NONE : states[run->state];
}

/* Of a run that is to be done once more, what did not succeed will be done again. */
static enum task_state of_task(const struct run_row *run, enum task_state s)
{
	bool again = run->wanted && run_state_is_final(run->state);

	return !task_state_is_final(s) || (again && !is_good(s)) ? TASK_NONE : s;
}

/* Look at one run of those that a need is about. */
static int look_at_run(const struct outside_from *from, const struct cross_need *need,
	struct outside_state *ret, struct err *err)
{
	ret->has_task = false;
	ret->task_state = TASK_NONE;
	if (!need->task) {
		ret->state = of_run(&ret->run);
		return 0;
	}
	if (task_state(from->store, ret->run.id, need->task, &ret->has_task, &ret->task_state,
		    err) < 0)
		return -1;
	ret->state = ret->has_task ? of_task(&ret->run, ret->task_state) : TASK_NONE;
	return 0;
}

/* ---- several runs ----------------------------------------------------------------------- */

/* The more it says of all, the larger. */
static int weight_of(enum task_state s)
{
	switch (s) {
	case TASK_FAILED:
	case TASK_CANCELLED:
		return 4;
	case TASK_UPSTREAM_FAILED:
		return 2;
	case TASK_SUCCESS:
		return 1;
	case TASK_SKIPPED:
		return 0;
	default:
		return 3;
	}
}

/* [*cursor, ...) is covered further by a run; the first gap is kept. Rows come by their start. */
static void cover(struct outside_state *all, int64_t *cursor, const struct run_row *run)
{
	if (!all->gap && run->interval_start_us > *cursor) {
		all->gap = true;
		all->gap_start_us = *cursor;
		all->gap_end_us = run->interval_start_us;
	}
	if (run->interval_end_us > *cursor)
		*cursor = run->interval_end_us;
}

static int look_at_all(const struct outside_from *from, const struct cross_need *need,
	struct outside_state *ret, struct err *err)
{
	int64_t cursor = from->interval_start_us, end = from->interval_end_us;

	for (size_t i = 0; i < ret->kept.n; i++) {
		struct outside_state one = { .run = ret->kept.runs[i], .has_run = true };
		if (one.run.interval_end_us > end)
			continue;
		cover(ret, &cursor, &one.run);
		if (look_at_run(from, need, &one, err) < 0)
			return -1;
		if (ret->has_run && weight_of(one.state) <= weight_of(ret->state))
			continue;
		ret->has_run = true;
		ret->run = one.run;
		ret->has_task = one.has_task;
		ret->task_state = one.task_state;
		ret->state = one.state;
	}
	if (!ret->gap && cursor < end) {
		ret->gap = true;
		ret->gap_start_us = cursor;
		ret->gap_end_us = end;
	}
	if (ret->gap && weight_of(ret->state) < weight_of(TASK_FAILED))
		ret->state = TASK_NONE;
	return 0;
}

int outside_cross(const struct outside_from *from, const struct cross_need *need,
	struct outside_state *ret, struct err *err)
{
	const struct run_key key = { need->dag, from->interval_start_us, from->interval_end_us };
	const struct run_filter within = { .dag = need->dag,
		.state = -1,
		.in_range = true,
		.from_us = key.interval_start_us,
		.to_us = key.interval_end_us - 1 };
	/* An instant can be covered by a run of that instant only. */
	bool many = need->covers && key.interval_end_us > key.interval_start_us;

	*ret = (struct outside_state){ .state = TASK_NONE };
	if ((many ? store_runs(from->store, &within, &ret->kept, err)
		  : store_run_by_key(from->store, &key, &ret->kept, err)) < 0) {
		ret->kept = (struct store_result){ 0 };
		return -1;
	}
	if (many)
		return look_at_all(from, need, ret, err);
	if (ret->kept.n == 0)
		return 0;
	ret->has_run = true;
	ret->run = ret->kept.runs[0];
	return look_at_run(from, need, ret, err);
}

void outside_state_release(struct outside_state *s)
{
	store_result_release(&s->kept);
	*s = (struct outside_state){ 0 };
}

/* ---- the run before --------------------------------------------------------------------- */

static int look_at_past(const struct outside_from *from, const struct task *t,
	struct outside_past *ret, struct err *err)
{
	int n = t->wait_for_downstream ? t->ndependents : 0;

	for (int i = -1; i < n; i++) {
		const struct task *at = i < 0 ? t : &from->dag->tasks[t->dependents[i]];
		enum task_state state;
		bool has;
		if (task_state(from->store, ret->run.id, at->name, &has, &state, err) < 0)
			return -1;
		if (!has || is_good(state))
			continue;
		ret->lets = false;
		ret->task = at->name;
		ret->task_state = state;
		return 0;
	}
	return 0;
}

int outside_past(const struct outside_from *from, const struct task *t, struct outside_past *ret,
	struct err *err)
{
	const struct run_filter before = { .dag = from->dag->name,
		.state = -1,
		.limit = 1,
		.in_range = true,
		.from_us = INT64_MIN,
		.to_us = from->interval_start_us - 1,
		.newest_first = true };

	*ret = (struct outside_past){ .lets = true };
	if (store_runs(from->store, &before, &ret->kept, err) < 0) {
		ret->kept = (struct store_result){ 0 };
		return -1;
	}
	if (ret->kept.n == 0)
		return 0;
	ret->has_run = true;
	ret->run = ret->kept.runs[0];
	return look_at_past(from, t, ret, err);
}

void outside_past_release(struct outside_past *p)
{
	store_result_release(&p->kept);
	*p = (struct outside_past){ 0 };
}

/* ---- all of a task's -------------------------------------------------------------------- */

void outside_add_name(const struct cross_need *need, struct buf *out)
{
	buf_addf(out, need->task ? "%s.%s" : "the run of %s", need->dag, need->task);
}

/* What is missing, in words. */
struct missing {
	struct buf text;
	int n;
	const struct outside_watch *watch;
};

static void begin_name(struct missing *m)
{
	if (m->n++ > 0 && m->n <= NAMES_SHOWN)
		buf_addstr(&m->text, ", ");
}

static void tell_watch(const struct missing *m, const struct run_key *span)
{
	if (m->watch)
		m->watch->fn(m->watch->arg, span);
}

static int look_at_cross(const struct outside_from *from, const struct task *t, struct missing *m,
	struct trigger_counts *counts, struct err *err)
{
	const struct run_key span = { NULL, from->interval_start_us, from->interval_end_us };

	for (int i = 0; i < t->ncross; i++) {
		struct outside_state s;
		int rc = outside_cross(from, &t->cross[i], &s, err);
		enum task_state state = s.state;
		outside_state_release(&s);
		if (rc < 0)
			return -1;
		if (state != TASK_NONE) {
			trigger_count(counts, state);
			continue;
		}
		struct run_key of = span;
		of.dag = t->cross[i].dag;
		tell_watch(m, &of);
		begin_name(m);
		if (m->n <= NAMES_SHOWN)
			outside_add_name(&t->cross[i], &m->text);
	}
	return 0;
}

static int look_back(const struct outside_from *from, const struct task *t, struct missing *m,
	bool *ret_lets, struct err *err)
{
	struct outside_past p;
	int rc = outside_past(from, t, &p, err);

	*ret_lets = rc == 0 && p.lets;
	if (rc == 0 && !p.lets) {
		const struct run_key span = { from->dag->name, p.run.interval_start_us,
			p.run.interval_end_us };
		tell_watch(m, &span);
		/* It is asked only when nothing else is missing. */
		if (m->n == 0)
			buf_addf(&m->text, "%s in the run before, %s", p.task, p.run.name);
	}
	outside_past_release(&p);
	return rc;
}

int outside_look(const struct outside_from *from, const struct task *t,
	const struct outside_watch *watch, struct sched_outside *ret, struct err *err)
{
	struct missing m = { .watch = watch };
	int rc;

	buf_init(&m.text, WHAT_MAX);
	ret->counts = (struct trigger_counts){ 0 };
	ret->past = true;
	ret->what = NULL;
	rc = look_at_cross(from, t, &m, &ret->counts, err);
	if (rc == 0 && t->depends_on_past)
		rc = look_back(from, t, &m, &ret->past, err);
	ret->spread_us = rc < 0 ? 0 : OUTSIDE_POLL_US / SPREAD;
	if (rc < 0) {
		ret->counts = (struct trigger_counts){ 0 };
		ret->past = false;
	} else if (m.n > NAMES_SHOWN) {
		buf_addf(&m.text, " and %d more", m.n - NAMES_SHOWN);
	}
	if (rc == 0 && m.text.len)
		ret->what = strdup(m.text.data);
	buf_release(&m.text);
	return rc;
}
