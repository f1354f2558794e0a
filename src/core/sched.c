#include "core/sched.h"

#include <stdlib.h>

#include "base/err.h"
#include "core/sched_impl.h"

enum { STRINGS_MAX = 256 << 20 };

struct sched *sched_new(const struct sched_config *config)
{
	struct sched *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->config = *config;
	rng_init(&s->rng, config->seed);
	heap_init(&s->timers);
	heap_init(&s->lookers);
	if (s->config.max_looks <= 0)
		s->config.max_looks = SCHED_LOOKS;
	arena_init(&s->strings, STRINGS_MAX);
	if (sched_set_lane(s, 0, config->max_running) == 0)
		return s;
	sched_free(s);
	return NULL;
}

void sched_free(struct sched *s)
{
	struct live_run *r, *next_run;
	struct flight *f, *next_flight;

	if (!s)
		return;
	HASH_ITER (hh, s->flights, f, next_flight) {
		HASH_DEL(s->flights, f);
		free(f);
	}
	HASH_ITER (hh, s->runs, r, next_run) {
		HASH_DEL(s->runs, r);
		sched_drop_shelves(s, r);
		sched_free_run(r);
	}
	sched_free_looks(s);
	heap_release(&s->timers);
	arena_release(&s->strings);
	free(s->slots);
	sched_free_gates(s);
	sched_free_breakers(s);
	free(s->news);
	free(s->asking);
	free(s->questions);
	free(s->changes);
	free(s);
}

/* ---- time ---------------------------------------------------------------------------- */

/* The task a timer is for, if it still waits for this very moment. */
static bool timer_holds(const struct sched *s, const struct heap_entry *e, struct ref *ret)
{
	size_t slot = e->id >> SCHED_SLOT_SHIFT;
	int task = (int)(uint32_t)e->id;

	if (slot >= s->nslots || !s->slots[slot] || task >= s->slots[slot]->nlive)
		return false;
	*ret = (struct ref){ s->slots[slot], task };
	/* Its slot may have been another's, or this very run's before it was taken in anew. */
	struct live_task *t = live(ret);
	if (t->late_us == e->key)
		t->late_us = 0;
	if (!t->selected)
		return false;
	return task_state_waits(t->state) || t->state == TASK_NONE ? t->ask_us == e->key
	       : t->state == TASK_UP_FOR_RETRY                     ? t->due_us == e->key
								   : false;
}

static void fire_timers(struct sched *s, int64_t now_us)
{
	const struct heap_entry *first;
	struct heap_entry e;
	struct ref at;

	while ((first = heap_peek(&s->timers)) && first->key <= now_us) {
		heap_pop(&s->timers, &e);
		if (e.id >> SCHED_SLOT_SHIFT == SCHED_BREAKER_SLOT) {
			sched_fire_breaker(s, (int)(uint32_t)e.id, e.key, now_us);
			continue;
		}
		if (!timer_holds(s, &e, &at))
			continue;
		sched_hold_back(s, &at, now_us);
		if (live(&at)->state == TASK_NONE && live(&at)->ask_us == e.key)
			sched_ask_outside(s, &at);
		else if (live(&at)->state == TASK_NONE)
			sched_judge(s, &at, now_us);
		else
			sched_push_ready(s, &at);
	}
	sched_spread_news(s, now_us);
}

int sched_tick(struct sched *s, int64_t now_us, struct err *err)
{
	sched_set_now(s, now_us);
	fire_timers(s, now_us);
	sched_start_ready(s, now_us);
	sched_start_looks(s, now_us);
	sched_tidy_asking(s, now_us);
	sched_flush_breakers(s, now_us);
	return s->failed ? err_nomem(err) : 0;
}

void sched_halt(struct sched *s)
{
	s->halted = true;
}

void sched_hold(struct sched *s, const struct sched_hold *h)
{
	struct live_run *r = find_run(s, h->run_id);

	if (!r || h->task >= r->nlive)
		return;
	if (h->task < 0) {
		r->held = h->on;
		r->held_why = h->why;
	} else {
		r->tasks[h->task].held = h->on;
		r->tasks[h->task].held_why = h->why;
	}
	/* What is no longer held takes its turn; the tick finds out whether something else holds
	 * it. What is queued leaves the queue when its turn comes. */
	for (int i = 0; !h->on && i < r->nlive; i++) {
		struct ref at = { r, i };
		const struct live_task *t = live(&at);
		if (t->selected &&
			((t->state == TASK_HELD && !t->stopped) || task_state_waits(t->state)))
			sched_push_ready(s, &at);
	}
}

int64_t sched_wake_us(const struct sched *s)
{
	const struct heap_entry *first = heap_peek(&s->timers);

	return first ? first->key : INT64_MAX;
}

/* ---- reading ------------------------------------------------------------------------- */

const struct change *sched_changes(const struct sched *s, size_t *ret_n)
{
	*ret_n = s->nchanges;
	return s->changes;
}

void sched_forget_changes(struct sched *s, int64_t run_id)
{
	size_t kept = 0;

	sched_uncount(s, run_id);
	for (size_t i = 0; i < s->nchanges; i++)
		if (s->changes[i].run_id != run_id)
			s->changes[kept++] = s->changes[i];
		else if (s->changes[i].kind == CHANGE_LOOK)
			sched_forget_look(s, s->changes[i].attempt.token);
	s->nchanges = kept;
}

void sched_clear_changes(struct sched *s)
{
	s->nchanges = 0;
	sched_keep_counts(s);
	arena_release(&s->strings);
}

enum run_state sched_run_state(const struct sched *s, int64_t run_id)
{
	const struct live_run *r = find_run(s, run_id);

	return r ? r->state : RUN_QUEUED;
}

bool sched_run_idle(const struct sched *s, int64_t run_id)
{
	const struct live_run *r = find_run(s, run_id);

	return !r || (r->nopen == 0 && r->nflight == 0);
}

bool sched_task_view(const struct sched *s, int64_t run_id, int task, struct task_view *ret)
{
	const struct ref at = { find_run(s, run_id), task };

	if (!at.run || task < 0 || task >= at.run->nlive)
		return false;
	const struct live_task *t = live(&at);
	const struct live_mapping *m =
		is_mapped(&at) && sched_is_listed(&at) ? mapping_of(&at) : NULL;
	*ret = (struct task_view){ .state = t->state,
		.breaker = t->stopped ? t->stopped->name : NULL,
		.reason = t->stopped                            ? REASON_BREAKER_OPEN
			  : t->ready && t->state == TASK_QUEUED ? sched_wait_reason(&at)
								: t->reason,
		.tries = t->tries,
		.failures = t->failures,
		.lost = t->lost,
		.waiting = trigger_waiting(&t->counts),
		.ready = t->ready,
		.due_us = t->due_us,
		.token = t->token,
		.task_index = t->def,
		.map_index = t->map_index,
		.item = t->item,
		.ninstances = m ? m->nitems : 0,
		.states = m ? m->states : NULL };
	return true;
}

bool sched_flight(const struct sched *s, int64_t token, int64_t *ret_run_id, int *ret_task)
{
	struct flight *f;

	HASH_FIND(hh, s->flights, &token, sizeof token, f);
	if (!f)
		return false;
	*ret_run_id = f->run->id;
	*ret_task = f->task;
	return true;
}

void sched_each_flight(const struct sched *s, sched_flight_fn *fn, void *arg)
{
	for (const struct flight *f = s->flights; f; f = f->hh.next)
		fn(arg, f->token, f->run->id, f->task);
}

int sched_running(const struct sched *s)
{
	return s->running;
}

int64_t sched_tokens_left(const struct sched *s)
{
	return s->end_token - s->next_token;
}

void sched_set_tokens(struct sched *s, int64_t first, int64_t end)
{
	s->next_token = first;
	s->end_token = end;
}
