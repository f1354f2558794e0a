/* Questions that the core cannot judge: the `if` of a task, and what a task waits for. */
#include "core/sched_impl.h"

#include <stdlib.h>

#include "base/units.h"

void sched_ask(struct sched *s, const struct ref *at)
{
	if (!sched_grow(s, &s->asking, s->nasking, &s->asking_cap, sizeof *s->asking))
		return;
	live(at)->ready = true;
	live(at)->asks_outside = false;
	live(at)->seq = ++s->seq; /* no entry of a shelf is this one's */
	s->asking[s->nasking++] = (struct asking){ *at, live(at)->seq };
}

/* Does the task still ask, by this entry? A request may have taken it away, or have it ask anew. */
static bool is_asking(const struct asking *a)
{
	return a->at.run && live(&a->at)->ready && live(&a->at)->seq == a->seq;
}

/* What waits goes on waiting while it is held; it is asked again when it is no longer. */
static bool stays_held(struct sched *s, const struct ref *at, int64_t now_us)
{
	/* It is not its turn yet: there is nothing to hold. */
	if (live(at)->asks_outside)
		return false;
	if (!task_state_waits(live(at)->state))
		return sched_hold_it(s, at, now_us);
	return is_held(at);
}

/* When it is asked again, at its deadline at the latest: what comes at the very last is not missed.
 * The timer for that is set once, however often it is looked for. */
static void ask_at(struct sched *s, const struct ref *at, int64_t at_us)
{
	struct live_task *t = live(at);

	t->ask_us = t->due_us && at_us > t->due_us ? t->due_us : at_us;
	if (t->ask_us == INT64_MAX || t->ask_us == t->late_us)
		return;
	if (t->ask_us == t->due_us)
		t->late_us = t->due_us;
	sched_arm(s, at);
}

static bool is_late(const struct live_task *t, int64_t now_us)
{
	return task_state_waits(t->state) && t->due_us && now_us >= t->due_us;
}

/* What its breaker stops is not looked for. Its `if` comes first, and its deadline stays. */
static bool is_stopped(struct sched *s, const struct ref *at, int64_t now_us)
{
	const struct task *def = def_of(at);
	struct live_task *t = live(at);

	if (!def->waits || t->asks_outside || (def->only_if && !t->asked) || t->look ||
		is_late(t, now_us) || !sched_stop_at_breaker(s, at, s->now_us, now_us))
		return false;
	if (task_state_waits(t->state))
		ask_at(s, at, INT64_MAX);
	return true;
}

void sched_tidy_asking(struct sched *s, int64_t now_us)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->nasking; i++) {
		const struct asking a = s->asking[i];
		if (!is_asking(&a))
			continue;
		if (!starts_no_more(&a.at) && !stays_held(s, &a.at, now_us) &&
			!is_stopped(s, &a.at, now_us))
			s->asking[kept++] = a;
		else
			live(&a.at)->ready = false;
	}
	s->nasking = kept;
	s->nanswered = 0;
	/* What an open breaker skipped or failed. */
	sched_spread_news(s, now_us);
}

const struct sched_question *sched_questions(struct sched *s, size_t *ret_n)
{
	*ret_n = 0;
	if (s->nasking > s->questions_cap) {
		struct sched_question *grown =
			reallocarray(s->questions, s->asking_cap, sizeof *grown);
		if (!grown) {
			s->failed = true;
			return NULL;
		}
		s->questions = grown;
		s->questions_cap = s->asking_cap;
	}
	for (size_t i = 0; i < s->nasking; i++) {
		const struct ref *at = &s->asking[i].at;
		if (!is_asking(&s->asking[i]))
			continue;
		const struct live_task *t = live(at);
		s->questions[(*ret_n)++] = (struct sched_question){ .run_id = at->run->id,
			.task = at->task,
			.task_index = t->def,
			.map_index = t->map_index,
			.item = t->item,
			.list = is_mapped(at),
			.tries = t->tries,
			.asked = t->asked,
			.waits = task_state_waits(t->state),
			.stopped = is_late(t, s->now_us) && sched_is_at_breaker(s, at, s->now_us),
			.outside = t->asks_outside,
			.deadline_us = task_state_waits(t->state) ? t->due_us : 0 };
	}
	return s->questions;
}

/* The answers come in the order of the questions: those at the front have theirs. */
static bool take_question(struct sched *s, const struct ref *at)
{
	while (s->nanswered < s->nasking && !is_asking(&s->asking[s->nanswered]))
		s->nanswered++;
	for (size_t i = s->nanswered; i < s->nasking; i++)
		if (is_asking(&s->asking[i]) && s->asking[i].at.run == at->run &&
			s->asking[i].at.task == at->task) {
			live(at)->ready = false;
			return true;
		}
	return false;
}

static void begin_to_wait(
	struct sched *s, const struct ref *at, const struct sched_wait *w, int64_t now_us)
{
	const enum task_state to = w->input ? TASK_AWAITING_INPUT : TASK_DEFERRED;

	live(at)->due_us = w->deadline_us;
	live(at)->said = 0;
	struct change *c = sched_set_task(
		s, at, to, w->input ? REASON_AWAITING_INPUT : REASON_WAITING, now_us);
	if (c)
		c->state.waits_for = sched_keep(s, w->what);
}

static void time_out(
	struct sched *s, const struct ref *at, const struct sched_wait *w, int64_t now_us)
{
	sched_set_task(s, at, w->skip ? TASK_SKIPPED : TASK_FAILED, REASON_WAIT_TIMED_OUT, now_us);
}

void sched_wait_more(
	struct sched *s, const struct ref *at, const struct sched_wait *w, int64_t now_us)
{
	struct live_task *t = live(at);

	if (!task_state_waits(t->state)) {
		begin_to_wait(s, at, w, now_us);
	} else if (is_late(t, now_us) && !w->unseen) {
		time_out(s, at, w, now_us);
		return;
	}
	int64_t again_us = w->again_us > now_us ? w->again_us : now_us + 1;
	if (w->spread_us > 0)
		again_us += (int64_t)rng_below(&s->rng, (uint64_t)w->spread_us);
	ask_at(s, at, again_us);
	if (!w->unseen || t->ask_us >= now_us + US_PER_SECOND)
		return;
	t->ask_us = now_us + US_PER_SECOND;
	sched_arm(s, at);
}

void sched_wait_no_more(struct sched *s, const struct ref *at, int64_t now_us)
{
	if (sched_may_start(s))
		sched_start(s, at, now_us);
	else if (!s->halted)
		sched_push_ready(s, at); /* asked again, when there are tokens */
}

bool sched_find_asking(struct sched *s, int64_t run_id, int task, struct ref *ret)
{
	*ret = (struct ref){ find_run(s, run_id), task };
	return ret->run && take_question(s, ret) && !task_state_is_final(live(ret)->state) &&
	       !starts_no_more(ret);
}

void sched_answer_skip(struct sched *s, int64_t run_id, int task, enum reason why, int64_t now_us)
{
	struct ref at;

	if (!sched_find_asking(s, run_id, task, &at))
		return;
	sched_set_now(s, now_us);
	sched_set_task(s, &at, TASK_SKIPPED, why, now_us);
	sched_spread_news(s, now_us);
}

void sched_answer(struct sched *s, int64_t run_id, int task, bool yes, int64_t now_us)
{
	struct ref at;

	if (!yes) {
		sched_answer_skip(s, run_id, task, REASON_CONDITION_FALSE, now_us);
		return;
	}
	if (!sched_find_asking(s, run_id, task, &at))
		return;
	sched_set_now(s, now_us);
	live(&at)->asked = true;
	if (def_of(&at)->waits)
		sched_wait_no_more(s, &at, now_us);
	else
		sched_push_ready(s, &at);
}

void sched_answer_if(struct sched *s, int64_t run_id, int task, int64_t now_us)
{
	struct ref at;

	if (!sched_find_asking(s, run_id, task, &at))
		return;
	sched_set_now(s, now_us);
	live(&at)->asked = true;
	sched_push_ready(s, &at);
}

void sched_answer_wait(struct sched *s, const struct sched_wait *w, int64_t now_us)
{
	struct ref at;

	if (!sched_find_asking(s, w->run_id, w->task, &at))
		return;
	sched_set_now(s, now_us);
	live(&at)->asked = true;
	bool begins = !task_state_waits(live(&at)->state);
	bool says = w->said && (!w->gone || live(&at)->said);
	if (says && !begins)
		sched_tell_looked(s, &at, w->said, now_us);
	sched_wait_more(s, &at, w, now_us);
	if (w->said && !w->gone && begins && task_state_waits(live(&at)->state))
		sched_tell_looked(s, &at, w->said, now_us);
	sched_spread_news(s, now_us);
}

void sched_answer_look(struct sched *s, const struct sched_wait *w, int64_t now_us)
{
	struct ref at;

	if (!sched_find_asking(s, w->run_id, w->task, &at))
		return;
	struct live_task *t = live(&at);
	sched_set_now(s, now_us);
	t->asked = true;
	if (!task_state_waits(t->state))
		begin_to_wait(s, &at, w, now_us);
	/* At its deadline it is looked for once more, if that can be now; one that is being made
	 * ends soon. */
	if (is_late(t, now_us) && !t->look && !sched_may_look(s, &at, now_us)) {
		time_out(s, &at, w, now_us);
	} else {
		sched_push_look(s, &at);
		if (!is_late(t, now_us))
			ask_at(s, &at, INT64_MAX);
	}
	sched_spread_news(s, now_us);
}

bool sched_ask_again(struct sched *s, int64_t run_id, int task)
{
	struct ref at = { find_run(s, run_id), task };

	if (!at.run || task < 0 || task >= at.run->nlive || !live(&at)->selected)
		return false;
	if (task_state_waits(live(&at)->state)) {
		sched_push_ready(s, &at);
		return true;
	}
	if (live(&at)->state != TASK_NONE || !live(&at)->ask_us)
		return false;
	if (!live(&at)->ready)
		sched_ask_outside(s, &at);
	return true;
}
