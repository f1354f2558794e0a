/* What tasks need of other runs: of other DAGs, and of the run of their own before. */
#include "core/sched_impl.h"

bool sched_counts_cross(const struct ref *at)
{
	return def_of(at)->ncross > 0 && !at->run->ignore_needs && !is_instance(at);
}

/* How many needs on other DAGs are not final, as far as is known. */
static int cross_open(const struct ref *at)
{
	struct trigger_counts c = live(at)->outside;

	if (!sched_counts_cross(at))
		return 0;
	c.needs = def_of(at)->ncross;
	return trigger_waiting(&c);
}

/* The run before is still to be asked. */
static bool past_open(const struct ref *at)
{
	return def_of(at)->depends_on_past && !at->run->ignore_needs && !is_instance(at) &&
	       !live(at)->past;
}

bool sched_own_needs_done(const struct ref *at)
{
	return trigger_waiting(&live(at)->counts) <= cross_open(at);
}

static void count_outside(struct live_task *t, const struct trigger_counts *now)
{
	struct trigger_counts *all = &t->counts, *was = &t->outside;

	all->success += now->success - was->success;
	all->failed += now->failed - was->failed;
	all->skipped += now->skipped - was->skipped;
	all->upstream_failed += now->upstream_failed - was->upstream_failed;
	*was = *now;
}

void sched_forget_outside(const struct ref *at)
{
	struct live_task *t = live(at);

	count_outside(t, &(struct trigger_counts){ 0 });
	t->past = false;
	t->ask_us = 0;
}

void sched_ask_outside(struct sched *s, const struct ref *at)
{
	if (live(at)->ready)
		return;
	sched_ask(s, at);
	live(at)->asks_outside = live(at)->ready;
}

bool sched_needs_outside(struct sched *s, const struct ref *at, enum verdict v)
{
	const struct live_task *t = live(at);

	if (!(v == VERDICT_RUN ? past_open(at) : v == VERDICT_WAIT && cross_open(at) > 0))
		return false;
	/* Once from the start on, and once more to be deferred. */
	if (!t->ask_us || (t->state == TASK_NONE && (v == VERDICT_RUN || sched_own_needs_done(at))))
		sched_ask_outside(s, at);
	return true;
}

/* Nothing but other runs is missing. It may have been deferred for the one, and wait for the other
 * now. */
static void defer(
	struct sched *s, const struct ref *at, enum reason why, const char *what, int64_t now_us)
{
	struct live_task *t = live(at);

	if (t->state == TASK_DEFERRED && t->reason == why)
		return;
	if (t->state == TASK_DEFERRED)
		sched_set_task(s, at, TASK_SCHEDULED, REASON_NEEDS_MET, now_us);
	struct change *c = sched_set_task(s, at, TASK_DEFERRED, why, now_us);
	if (c)
		c->state.waits_for = sched_keep(s, what);
}

void sched_answer_outside(struct sched *s, const struct sched_outside *o, int64_t now_us)
{
	struct ref at;

	if (!sched_find_asking(s, o->run_id, o->task, &at))
		return;
	struct live_task *t = live(&at);
	sched_set_now(s, now_us);
	if (sched_counts_cross(&at))
		count_outside(t, &o->counts);
	t->past = o->past;
	enum verdict v = sched_verdict(&at);
	bool past = v == VERDICT_RUN && past_open(&at);
	if (!past && (v != VERDICT_WAIT || cross_open(&at) == 0)) {
		t->ask_us = 0;
		sched_judge(s, &at, now_us);
	} else {
		if (past || sched_own_needs_done(&at))
			defer(s, &at, past ? REASON_PAST_RUN : REASON_OTHER_RUN, o->what, now_us);
		t->ask_us = o->again_us > now_us ? o->again_us : now_us + 1;
		if (o->spread_us > 0)
			t->ask_us += (int64_t)rng_below(&s->rng, (uint64_t)o->spread_us);
		sched_arm(s, &at);
	}
	sched_spread_news(s, now_us);
}
