#include "core/sched_impl.h"

#include <stdlib.h>

#include "base/units.h"
#include "core/retry.h"

#define LOST_DELAY_MAX_US (60 * US_PER_SECOND)
enum { LOST_SHIFT_MAX = 6 }; /* 1 s, 2 s, ... 32 s, then the most */

static struct flight *add_flight(struct sched *s, const struct ref *at, int64_t token)
{
	struct flight *f = calloc(1, sizeof *f);

	if (!f) {
		s->failed = true;
		return NULL;
	}
	*f = (struct flight){ .token = token, .run = at->run, .task = at->task };
	HASH_ADD(hh, s->flights, token, sizeof f->token, f);
	if (!f->hh.tbl) {
		free(f);
		s->failed = true;
		return NULL;
	}
	at->run->nflight++;
	at->run->nwork += !def_of(at)->teardown;
	s->running++;
	sched_enter_gates(at);
	return f;
}

void sched_add_flight(struct sched *s, const struct ref *at, int64_t token)
{
	struct flight *f = add_flight(s, at, token);

	if (f)
		sched_pass_breakers(s, f, true);
}

int sched_arm(struct sched *s, const struct ref *at)
{
	const struct live_task *t = live(at);
	uint64_t id = (uint64_t)at->run->slot << SCHED_SLOT_SHIFT | (uint32_t)at->task;

	if (heap_push(&s->timers, t->state == TASK_UP_FOR_RETRY ? t->due_us : t->ask_us, id) == 0)
		return 0;
	s->failed = true;
	return -1;
}

bool sched_may_start(const struct sched *s)
{
	return !s->halted && s->next_token < s->end_token && !s->failed;
}

void sched_start(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	t->tries++;
	t->token = s->next_token++;
	struct flight *f = add_flight(s, at, t->token);
	if (!f)
		return;
	if (!t->work)
		t->work = t->token;
	sched_pass_breakers(s, f, false);
	sched_set_task(s, at, TASK_RUNNING, REASON_STARTED, now_us);
	struct change *c = sched_add_task_change(s, CHANGE_START, REASON_STARTED, at, now_us);
	if (c) {
		c->attempt.try = t->tries;
		c->attempt.token = t->token;
		c->attempt.work = t->work;
	}
}

static enum reason reason_of(const struct attempt_end *e)
{
	switch (e->outcome) {
	case OUTCOME_SUCCESS:
		return REASON_SUCCEEDED;
	case OUTCOME_SKIPPED:
		return REASON_SKIP_STATUS;
	case OUTCOME_TIMEOUT:
		return REASON_TIMED_OUT;
	case OUTCOME_CANCELLED:
		return REASON_CANCELLED;
	case OUTCOME_LOST:
		return REASON_LOST;
	default:
		if (e->signal)
			return REASON_SIGNALLED;
		return e->permanent ? REASON_OPERATOR_ERROR : REASON_EXIT_STATUS;
	}
}

static void fill_end(struct sched *s, struct change *c, const struct attempt_end *e)
{
	c->attempt.token = e->token;
	c->attempt.outcome = e->outcome;
	c->attempt.exit_status = e->exit_status;
	c->attempt.signal = e->signal;
	c->attempt.started_us = e->started_us;
	c->attempt.ended_us = e->ended_us;
	c->attempt.error = sched_keep(s, e->error);
	c->attempt.result = sched_keep(s, e->result);
}

static void record_end(
	struct sched *s, const struct ref *at, const struct attempt_end *e, int64_t now_us)
{
	struct change *c = sched_add_task_change(s, CHANGE_END, reason_of(e), at, now_us);

	if (!c)
		return;
	fill_end(s, c, e);
	c->attempt.try = live(at)->tries;
}

/* What a crash took along is done again at once. Where the system is short of something, or crash
 * follows crash, waiting helps. */
static int64_t lost_delay_us(const struct attempt_end *e, const struct live_task *t)
{
	int n = e->refused ? t->refused : t->lost;

	if (n <= 1 && !e->refused)
		return 0;
	return n > LOST_SHIFT_MAX ? LOST_DELAY_MAX_US : US_PER_SECOND << (n - 1);
}

/* A failed, timed out or lost attempt: another try, or the end. */
static void retry_or_fail(
	struct sched *s, const struct ref *at, const struct attempt_end *e, int64_t now_us)
{
	struct live_task *t = live(at);
	const struct retry_policy *p = &def_of(at)->retry;
	bool lost = e->outcome == OUTCOME_LOST, refused = lost && e->refused;

	/* What never began cannot have done harm: a machine that is short of something for an hour
	 * spends nothing of a task, however often it is asked meanwhile. */
	t->refused = refused ? t->refused + 1 : 0;
	t->lost += lost && !refused;
	t->failures += !lost;
	struct retry_question q = { .outcome = e->outcome,
		.exit_status = e->exit_status,
		.signal = e->signal,
		.permanent = e->permanent,
		.failures = t->failures,
		.lost = t->lost };
	enum reason why = refused ? REASON_RETRY_WAIT : retry_decide(p, &q);
	if (why != REASON_RETRY_WAIT) {
		sched_set_task(s, at, TASK_FAILED, why, now_us);
		return;
	}
	t->due_us = now_us + (lost ? lost_delay_us(e, t) : retry_delay_us(p, t->failures, &s->rng));
	sched_set_task(s, at, TASK_UP_FOR_RETRY, REASON_RETRY_WAIT, now_us);
	sched_arm(s, at);
}

/* What a choice leaves out is skipped; what runs already is not called back. */
static void skip_unchosen(
	struct sched *s, struct live_run *r, const struct attempt_end *e, int64_t now_us)
{
	for (size_t i = 0; i < e->nskips; i++) {
		struct ref at = { r, e->skips[i] };
		const struct live_task *t = live(&at);
		if (t->selected && (t->state == TASK_NONE || t->state == TASK_QUEUED ||
					   t->state == TASK_HELD || t->state == TASK_SCHEDULED))
			sched_set_task(s, &at, TASK_SKIPPED, REASON_NOT_CHOSEN, now_us);
	}
}

bool sched_attempt_ended(struct sched *s, const struct attempt_end *e, int64_t now_us)
{
	struct flight *f;

	HASH_FIND(hh, s->flights, &e->token, sizeof e->token, f);
	if (!f)
		return false;
	struct ref at = { f->run, f->task };
	sched_set_now(s, now_us);
	HASH_DEL(s->flights, f);
	at.run->nflight--;
	at.run->nwork -= !def_of(&at)->teardown;
	s->running--;
	sched_leave_gates(s, &at);
	record_end(s, &at, e, now_us);
	sched_tell_breakers(s, f, e, now_us);
	free(f);
	if (e->outcome == OUTCOME_SUCCESS) {
		struct change *c = sched_set_task(s, &at, TASK_SUCCESS, REASON_SUCCEEDED, now_us);
		if (c)
			c->state.outputs = sched_keep(s, e->outputs);
		skip_unchosen(s, at.run, e, now_us);
	} else if (e->outcome == OUTCOME_SKIPPED) {
		sched_set_task(s, &at, TASK_SKIPPED, REASON_SKIP_STATUS, now_us);
	} else if (e->outcome == OUTCOME_CANCELLED || starts_no_more(&at)) {
		sched_set_task(s, &at, TASK_CANCELLED, REASON_CANCELLED, now_us);
	} else {
		retry_or_fail(s, &at, e, now_us);
	}
	sched_spread_news(s, now_us);
	sched_judge_teardowns(s, at.run, now_us);
	return true;
}

void sched_orphan_ended(
	struct sched *s, const struct sched_orphan *o, const struct attempt_end *e, int64_t now_us)
{
	struct live_run *r = find_run(s, o->run_id);
	const enum task_state from = TASK_RUNNING, to = TASK_CANCELLED;

	if (!r)
		return;
	struct change *c = sched_add_change(s, CHANGE_END, reason_of(e), r, now_us);
	if (!c)
		return;
	c->task = o->task;
	c->map_index = o->map_index;
	fill_end(s, c, e);
	c->attempt.try = o->tries;
	if (!state_task_may(from, to, REASON_CANCELLED))
		abort();
	c = sched_add_change(s, CHANGE_TASK, REASON_CANCELLED, r, now_us);
	if (!c)
		return;
	c->task = o->task;
	c->map_index = o->map_index;
	c->state.from = from;
	c->state.to = to;
	c->state.tries = o->tries;
	c->state.failures = o->failures;
	c->state.lost = o->lost;
	c->state.hash = o->hash;
}

/* On a cancel a teardown is still to run when what it takes down was begun, or will be taken down
 * by another. */
static bool outlives_cancel(const struct ref *at)
{
	const struct task *def = def_of(at);
	const int *setups = def->nsetups ? def->setups : def->needs;
	int n = def->nsetups ? def->nsetups : def->nneeds;

	for (int j = 0; def->teardown && !at->run->killing && j < n; j++) {
		const struct ref setup = { at->run, setups[j] };
		const struct live_task *need = live(&setup);
		if (need->tries > 0 || sched_is_listed(&setup) ||
			(need->selected && !task_state_is_final(need->state)))
			return true;
	}
	return false;
}

void sched_stop(
	struct sched *s, const struct ref *at, bool hard, const char *detail, int64_t now_us)
{
	struct change *c = sched_add_task_change(s, CHANGE_STOP, REASON_CANCELLED, at, now_us);

	if (!c)
		return;
	c->detail = detail;
	c->attempt.token = live(at)->token;
	c->attempt.hard = hard;
}

/* One that has instances ends with them; those that have no list yet are no more than a plan. */
static void cancel_waiting(struct sched *s, const struct ref *at, int64_t now_us)
{
	const struct live_task *t = live(at);

	if (!t->selected || task_state_is_final(t->state) || t->state == TASK_RUNNING ||
		outlives_cancel(at))
		return;
	if (is_instance(at) ? !sched_is_listed(at) : is_mapped(at) && sched_is_listed(at))
		return;
	sched_set_task(s, at, TASK_CANCELLED, REASON_CANCELLED, now_us);
}

void sched_cancel_run(struct sched *s, int64_t run_id, bool hard, int64_t now_us)
{
	struct live_run *r = find_run(s, run_id);

	if (!r || run_state_is_final(r->state))
		return;
	if (!r->cancelling || (hard && !r->killing)) {
		struct change *c = sched_add_change(s, CHANGE_CANCEL, REASON_CANCELLED, r, now_us);
		if (c)
			c->attempt.hard = hard;
	}
	r->cancelling = true;
	r->killing = r->killing || hard;
	for (int i = 0; i < r->nlive; i++) {
		struct ref at = { r, i };
		if (live(&at)->state == TASK_RUNNING && (hard || !def_of(&at)->teardown))
			sched_stop(s, &at, hard, NULL, now_us);
	}
	for (int i = r->dag->ntasks; i < r->nlive; i++)
		cancel_waiting(s, &(struct ref){ r, i }, now_us);
	/* In this order a teardown finds its needs cancelled, or running. */
	for (int i = 0; i < r->dag->ntasks; i++)
		cancel_waiting(s, &(struct ref){ r, r->dag->order[i] }, now_us);
	sched_spread_news(s, now_us);
}
