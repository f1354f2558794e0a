#include "core/sched_impl.h"

#include <stdlib.h>

#include "core/condition.h"

/* ---- changes ------------------------------------------------------------------------- */

bool sched_grow(struct sched *s, void *array, size_t n, size_t *cap, size_t size)
{
	void **p = array;

	if (n < *cap)
		return true;
	size_t more = *cap ? *cap * 2 : 64;
	void *grown = reallocarray(*p, more, size);
	if (!grown) {
		s->failed = true;
		return false;
	}
	*p = grown;
	*cap = more;
	return true;
}

struct change *sched_add_change(
	struct sched *s, enum change_kind kind, enum reason why, struct live_run *r, int64_t now_us)
{
	if (!sched_grow(s, &s->changes, s->nchanges, &s->changes_cap, sizeof *s->changes))
		return NULL;
	struct change *c = &s->changes[s->nchanges++];
	*c = (struct change){ .kind = kind,
		.reason = why,
		.at_us = now_us,
		.run_id = r->id,
		.task_index = -1,
		.map_index = -1 };
	return c;
}

struct change *sched_add_task_change(struct sched *s, enum change_kind kind, enum reason why,
	const struct ref *at, int64_t now_us)
{
	struct change *c = sched_add_change(s, kind, why, at->run, now_us);

	if (c) {
		c->task = at->run->dag->tasks[at->task].name;
		c->task_index = at->task;
	}
	return c;
}

const char *sched_keep(struct sched *s, const char *text)
{
	const char *copy = text ? arena_strdup(&s->strings, text) : NULL;

	if (text && !copy)
		s->failed = true;
	return copy;
}

void sched_set_run(
	struct sched *s, struct live_run *r, enum run_state to, enum reason why, int64_t now_us)
{
	if (r->state == to)
		return;
	if (!state_run_may(r->state, to))
		abort();
	struct change *c = sched_add_change(s, CHANGE_RUN, why, r, now_us);
	if (c) {
		c->run.from = r->state;
		c->run.to = to;
	}
	r->state = to;
}

struct change *sched_set_task(
	struct sched *s, const struct ref *at, enum task_state to, enum reason why, int64_t now_us)
{
	struct live_task *t = live(at);
	enum task_state from = t->state;

	if (!state_task_may(from, to, why))
		abort();
	t->state = to;
	t->reason = why;
	if (to != TASK_UP_FOR_RETRY)
		t->due_us = 0;
	if (to == TASK_NONE)
		t->asked = false;
	struct change *c = sched_add_task_change(s, CHANGE_TASK, why, at, now_us);
	if (c) {
		c->state.from = from;
		c->state.to = to;
		c->state.due_us = t->due_us;
		c->state.tries = t->tries;
		c->state.failures = t->failures;
		c->state.lost = t->lost;
		c->state.hash = at->run->dag->tasks[at->task].hash;
	}
	if (t->selected && !task_state_is_final(from) && task_state_is_final(to)) {
		at->run->nopen--;
		if (sched_grow(s, &s->news, s->nnews, &s->news_cap, sizeof *s->news))
			s->news[s->nnews++] = *at;
	} else if (t->selected && task_state_is_final(from)) {
		at->run->nopen++;
	}
	return c;
}

/* ---- readiness ----------------------------------------------------------------------- */

/* A state of a need, for its condition. One outside the selection is never known. */
static enum task_state need_state(void *arg, int task)
{
	const struct live_run *r = arg;
	const struct live_task *need = &r->tasks[task];

	return r->ignore_needs && !need->selected ? TASK_NONE : need->state;
}

static enum verdict judge_condition(const struct ref *at, const struct condition *when)
{
	switch (condition_judge(when, need_state, at->run)) {
	case TRUTH_YES:
		return VERDICT_RUN;
	case TRUTH_NO:
		return VERDICT_UNMET;
	default:
		/* What cannot be decided without the needs that do not count is taken as met. */
		return trigger_waiting(&live(at)->counts) ? VERDICT_WAIT : VERDICT_RUN;
	}
}

static enum verdict verdict_of(const struct ref *at)
{
	const struct task *def = &at->run->dag->tasks[at->task];

	if (def->when)
		return judge_condition(at, def->when);
	return trigger_judge(def->trigger, &live(at)->counts);
}

void sched_judge(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);
	bool condition = at->run->dag->tasks[at->task].when;

	if (!t->selected || t->state != TASK_NONE || t->ready || starts_no_more(at) ||
		(at->run->cancelling && at->run->nwork > 0))
		return;
	enum verdict v = verdict_of(at);
	if (v == VERDICT_RUN)
		sched_push_ready(s, at);
	else if (v != VERDICT_WAIT)
		sched_set_task(s, at, trigger_state(v),
			condition ? REASON_WHEN_FALSE : trigger_reason(v), now_us);
}

void sched_judge_teardowns(struct sched *s, struct live_run *r, int64_t now_us)
{
	for (int i = 0; r->cancelling && r->nwork == 0 && i < r->dag->ntasks; i++)
		if (r->dag->tasks[i].teardown)
			sched_judge(s, &(struct ref){ r, i }, now_us);
}

void sched_hold_back(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	if (!t->selected || t->state == TASK_NONE || t->state == TASK_RUNNING ||
		task_state_is_final(t->state) || verdict_of(at) == VERDICT_RUN)
		return;
	t->failures = t->lost = 0;
	sched_set_task(s, at, TASK_NONE, REASON_CLEARED, now_us);
}

void sched_finish_run(struct sched *s, struct live_run *r, int64_t now_us)
{
	int nfailed = 0, ncancelled = 0, nleft = 0;

	if (r->settling)
		return;
	for (int i = 0; i < r->dag->ntasks; i++) {
		enum task_state state = r->tasks[i].state;
		bool forgiven = r->dag->tasks[i].forgiven;
		nfailed += !forgiven && (state == TASK_FAILED || state == TASK_UPSTREAM_FAILED);
		ncancelled += !forgiven && state == TASK_CANCELLED;
		nleft += !task_state_is_final(state);
	}
	if (r->cancelling && ncancelled)
		sched_set_run(s, r, RUN_CANCELLED, REASON_CANCELLED, now_us);
	else if (nfailed || ncancelled)
		sched_set_run(s, r, RUN_FAILED, REASON_SOME_FAILED, now_us);
	else if (nleft)
		sched_set_run(s, r, RUN_QUEUED, REASON_PARTIAL, now_us);
	else
		sched_set_run(s, r, RUN_SUCCESS, REASON_ALL_DONE, now_us);
}

/* The run of a task that became final may be through. */
static void finish_if_through(struct sched *s, struct live_run *r, int64_t now_us)
{
	if (r->state == RUN_RUNNING && r->nopen == 0 && r->nflight == 0)
		sched_finish_run(s, r, now_us);
}

/* Tell the dependents of tasks that became final; a list instead of recursion, since a failure at
 * the head of a long chain runs down all of it. What became final together is counted before
 * anything is judged, so that a verdict does not depend on the order in the file. */
void sched_spread_news(struct sched *s, int64_t now_us)
{
	for (size_t first = 0, end; first < s->nnews; first = end) {
		end = s->nnews;
		for (size_t i = first; i < end; i++) {
			struct ref at = s->news[i];
			const struct task *def = &at.run->dag->tasks[at.task];
			for (int j = 0; j < def->ndependents; j++)
				trigger_count(&at.run->tasks[def->dependents[j]].counts,
					live(&at)->state);
		}
		for (size_t i = first; i < end; i++) {
			struct ref at = s->news[i];
			const struct task *def = &at.run->dag->tasks[at.task];
			for (int j = 0; j < def->ndependents; j++)
				sched_judge(s, &(struct ref){ at.run, def->dependents[j] }, now_us);
			/* Once: many tasks of a run may become final together. */
			finish_if_through(s, at.run, now_us);
		}
	}
	s->nnews = 0;
}
