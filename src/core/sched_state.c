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
		.run_id = r ? r->id : 0,
		.task_index = -1,
		.map_index = -1,
		.live = -1 };
	return c;
}

struct change *sched_add_task_change(struct sched *s, enum change_kind kind, enum reason why,
	const struct ref *at, int64_t now_us)
{
	struct change *c = sched_add_change(s, kind, why, at->run, now_us);

	if (c) {
		c->task = def_of(at)->name;
		c->task_index = live(at)->def;
		c->map_index = live(at)->map_index;
		c->live = at->task;
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
	if (!task_state_waits(to))
		sched_end_look(s, at, now_us);
	t->state = to;
	t->reason = why;
	if (from == TASK_RUNNING)
		t->cancelling = false;
	/* What is left of it in a queue means nothing. */
	if (to == TASK_NONE || task_state_is_final(to))
		t->ready = false;
	if (to != TASK_HELD)
		sched_leave_breaker(s, t);
	if (to != TASK_UP_FOR_RETRY && !task_state_waits(to))
		t->due_us = 0;
	if (to == TASK_NONE) {
		t->asked = false;
		sched_forget_outside(at);
		t->failures = t->lost = t->refused = 0;
		t->work = 0;
	}
	struct change *c = sched_add_task_change(s, CHANGE_TASK, why, at, now_us);
	if (c) {
		c->state.from = from;
		c->state.to = to;
		c->state.due_us = t->due_us;
		c->state.tries = t->tries;
		c->state.failures = t->failures;
		c->state.lost = t->lost;
		c->state.work = t->work;
		c->state.hash = def_of(at)->hash;
	}
	if (is_instance(at))
		sched_count_instance(at, from, to);
	else if (is_mapped(at) && to == TASK_NONE)
		sched_unlist(s, at, why, now_us);
	if (!t->selected)
		return c;
	if (!is_instance(at))
		at->run->nopen += task_state_is_final(from) - task_state_is_final(to);
	if ((task_state_is_final(from) || task_state_is_final(to)) &&
		sched_grow(s, &s->news, s->nnews, &s->news_cap, sizeof *s->news))
		s->news[s->nnews++] = *at;
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

enum verdict sched_verdict(const struct ref *at)
{
	const struct task *def = def_of(at);

	/* The needs are those of the whole, which met them. */
	if (is_instance(at))
		return VERDICT_RUN;
	if (def->when)
		return judge_condition(at, def->when);
	return trigger_judge(def->trigger, &live(at)->counts);
}

/* One that is to be done again waits for what its mapped task needs, as that one would: a setup
 * may be made anew for it. What other runs said stays: the list was made behind that. */
static enum verdict verdict_of(const struct ref *at)
{
	const struct ref whole = { at->run, live(at)->def };
	enum verdict v = sched_verdict(is_instance(at) ? &whole : at);

	return is_instance(at) && v == VERDICT_WAIT && sched_own_needs_done(&whole) ? VERDICT_RUN
										    : v;
}

static void judge_one(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);
	bool condition = def_of(at)->when;

	if (!t->selected || (t->state != TASK_NONE && !waits_outside(at)) ||
		(t->ready && !is_instance(at)) || starts_no_more(at) ||
		(at->run->cancelling && at->run->nwork > 0))
		return;
	enum verdict v = verdict_of(at);
	if (sched_needs_outside(s, at, v))
		return;
	/* What was asked was asked of other needs. */
	if (is_instance(at) && v != VERDICT_RUN)
		t->ready = t->asked = false;
	if (v == VERDICT_RUN) {
		if (t->state == TASK_DEFERRED)
			sched_set_task(s, at, TASK_SCHEDULED, REASON_NEEDS_MET, now_us);
		sched_push_ready(s, at);
	} else if (v != VERDICT_WAIT)
		sched_set_task(s, at, trigger_state(v),
			condition ? REASON_WHEN_FALSE : trigger_reason(v), now_us);
}

void sched_judge(struct sched *s, const struct ref *at, int64_t now_us)
{
	const struct live_mapping *m = is_mapped(at) ? mapping_of(at) : NULL;

	if (!m || live(at)->state != TASK_DEFERRED || !sched_is_listed(at)) {
		judge_one(s, at, now_us);
		return;
	}
	for (int i = 0; m->states[TASK_NONE] > 0 && i < m->n; i++)
		judge_one(s, &(struct ref){ at->run, m->list[i] }, now_us);
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

	/* A mapped task with a list has begun, as one that runs. */
	if (!t->selected || t->state == TASK_NONE || t->state == TASK_RUNNING ||
		task_state_is_final(t->state) || (is_mapped(at) && sched_is_listed(at)))
		return;
	enum verdict v = sched_verdict(at);
	/* All its own needs are done: what other runs say is waited for, or let it pass before it
	 * was taken in here. */
	if (v == VERDICT_RUN || (v == VERDICT_WAIT && sched_own_needs_done(at)))
		return;
	sched_set_task(s, at, TASK_NONE, REASON_CLEARED, now_us);
}

enum run_state sched_end_state(const struct live_run *r, enum reason *ret_why)
{
	int nfailed = 0, ncancelled = 0, nleft = 0;

	for (int i = 0; i < r->dag->ntasks; i++) {
		enum task_state state = r->tasks[i].state;
		bool forgiven = r->dag->tasks[i].forgiven;
		nfailed += !forgiven && (state == TASK_FAILED || state == TASK_UPSTREAM_FAILED);
		ncancelled += !forgiven && state == TASK_CANCELLED;
		nleft += !task_state_is_final(state);
	}
	*ret_why = REASON_CANCELLED;
	if (ncancelled && (r->cancelling || r->state == RUN_CANCELLED))
		return RUN_CANCELLED;
	*ret_why = REASON_SOME_FAILED;
	if (nfailed || ncancelled)
		return RUN_FAILED;
	*ret_why = nleft ? REASON_PARTIAL : REASON_ALL_DONE;
	return nleft ? RUN_QUEUED : RUN_SUCCESS;
}

void sched_finish_run(struct sched *s, struct live_run *r, int64_t now_us)
{
	enum reason why;

	if (r->settling)
		return;
	enum run_state to = sched_end_state(r, &why);
	sched_set_run(s, r, to, why, now_us);
}

/* A state that came of the task's needs alone does not hold when they say something else now. */
static void review(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	sched_hold_back(s, at, now_us);
	enum verdict v = sched_verdict(at);
	/* What was asked was asked of other needs. */
	if (t->state == TASK_NONE && v != VERDICT_RUN)
		t->ready = t->asked = false;
	if (!t->selected || !task_state_is_final(t->state) || !reason_is_derived(t->reason) ||
		trigger_state(v) == t->state)
		return;
	sched_set_task(s, at, TASK_NONE, REASON_NEEDS_CHANGED, now_us);
}

enum { JUDGE = 1 << 0, REVIEW = 1 << 1 };

/* What dependents have counted of a task is counted anew. News are of selected tasks only, which
 * count in every run. `todo` (may be NULL): what that asks for, by task. */
static void recount(const struct ref *at, unsigned char *todo)
{
	const struct task *def = def_of(at);
	struct live_task *t = live(at);
	const enum task_state told = t->told;

	t->told = task_state_is_final(t->state) ? t->state : TASK_NONE;
	for (int j = 0; told != t->told && j < def->ndependents; j++) {
		int d = def->dependents[j];
		struct trigger_counts *c = &at->run->tasks[d].counts;
		if (told != TASK_NONE)
			trigger_uncount(c, told);
		if (t->told != TASK_NONE)
			trigger_count(c, t->told);
		if (todo)
			todo[d] |= told != TASK_NONE ? JUDGE | REVIEW : JUDGE;
	}
}

/* Of an instance its mapped task knows; what follows for that one is told behind. */
static void tell_news(struct sched *s, const struct ref *at, unsigned char *todo, int64_t now_us)
{
	if (is_instance(at))
		sched_settle_mapping(s, &(struct ref){ at->run, live(at)->def }, now_us);
	else
		recount(at, todo);
}

/* Once all news are told: what one of them ends, another may have opened again. */
static void finish_runs(struct sched *s, int64_t now_us)
{
	for (size_t i = 0; i < s->nnews; i++) {
		struct live_run *r = s->news[i].run;
		if (r->state == RUN_RUNNING && r->nopen == 0 && r->nflight == 0)
			sched_finish_run(s, r, now_us);
	}
	s->nnews = 0;
}

/* A list instead of recursion, since a failure at the head of a long chain runs down all of it.
 * What became final together is counted before anything is judged, so that a verdict does not
 * depend on the order in the file. */
void sched_spread_news(struct sched *s, int64_t now_us)
{
	for (size_t first = 0, end; first < s->nnews; first = end) {
		end = s->nnews;
		for (size_t i = first; i < end; i++) {
			const struct ref at = s->news[i];
			tell_news(s, &at, NULL, now_us);
		}
		for (size_t i = first; i < end; i++) {
			struct ref at = s->news[i];
			const struct task *def = def_of(&at);
			for (int j = 0; !is_instance(&at) && j < def->ndependents; j++)
				sched_judge(s, &(struct ref){ at.run, def->dependents[j] }, now_us);
		}
	}
	finish_runs(s, now_us);
}

static size_t tell_all_news(struct sched *s, size_t told, unsigned char *todo, int64_t now_us)
{
	for (; told < s->nnews; told++) {
		const struct ref at = s->news[told];
		tell_news(s, &at, todo, now_us);
	}
	return told;
}

void sched_review_run(struct sched *s, struct live_run *r, const bool *chosen, int64_t now_us)
{
	unsigned char *todo = calloc((size_t)r->dag->ntasks + 1, sizeof *todo);
	size_t told = 0;

	if (!todo) {
		s->failed = true;
		return;
	}
	for (int i = 0; i < r->dag->ntasks; i++) {
		struct ref at = { r, r->dag->order[i] };
		told = tell_all_news(s, told, todo, now_us);
		if (todo[at.task] & REVIEW)
			review(s, &at, now_us);
		if (todo[at.task] || chosen[at.task])
			sched_judge(s, &at, now_us);
	}
	for (int i = r->dag->ntasks; i < r->nlive; i++)
		if (chosen[i] && r->tasks[r->tasks[i].def].state == TASK_DEFERRED)
			sched_judge(s, &(struct ref){ r, i }, now_us);
	tell_all_news(s, told, todo, now_us);
	free(todo);
	finish_runs(s, now_us);
}
