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
		sched_free_run(r);
	}
	heap_release(&s->timers);
	arena_release(&s->strings);
	free(s->slots);
	for (int i = 0; i < s->nlanes; i++)
		lane_release(&s->lanes[i]);
	free(s->lanes);
	free(s->news);
	free(s->changes);
	free(s);
}

/* ---- time ---------------------------------------------------------------------------- */

/* A task that may start but for a request to hold it: it says so and leaves the queue. */
static bool hold(struct sched *s, const struct ref *at, int64_t now_us)
{
	const struct live_task *t = live(at);

	if (!t->held && !at->run->held)
		return false;
	if (t->state != TASK_HELD)
		sched_set_task(s, at, TASK_HELD, t->held ? t->held_why : at->run->held_why, now_us);
	return true;
}

/* The next task of a lane that still wants to start; entries that no longer hold are dropped. */
static bool pop_ready(struct sched *s, struct lane *lane, struct ref *ret, int64_t now_us)
{
	while (lane_pop(lane, ret)) {
		if (!ret->run)
			continue;
		live(ret)->ready = false;
		if (task_state_is_final(live(ret)->state) || ret->run->cancelling)
			continue;
		if (!hold(s, ret, now_us))
			return true;
	}
	return false;
}

/* The task a timer is for, if it still waits for this very moment. */
static bool timer_holds(const struct sched *s, const struct heap_entry *e, struct ref *ret)
{
	size_t slot = e->id >> SCHED_SLOT_SHIFT;
	int task = (int)(uint32_t)e->id;

	if (slot >= s->nslots || !s->slots[slot] || task >= s->slots[slot]->dag->ntasks)
		return false;
	*ret = (struct ref){ s->slots[slot], task };
	/* Its slot may have been another's, or this very run's before it was taken in anew. */
	return live(ret)->selected && live(ret)->state == TASK_UP_FOR_RETRY &&
	       live(ret)->due_us == e->key;
}

static void fire_timers(struct sched *s, int64_t now_us)
{
	const struct heap_entry *first;
	struct heap_entry e;
	struct ref at;

	while ((first = heap_peek(&s->timers)) && first->key <= now_us) {
		heap_pop(&s->timers, &e);
		if (!timer_holds(s, &e, &at))
			continue;
		sched_hold_back(s, &at, now_us);
		if (live(&at)->state == TASK_NONE)
			sched_judge(s, &at, now_us);
		else
			sched_push_ready(s, &at);
	}
	sched_spread_news(s, now_us);
}

/* Those that found no slot say so, once; those that are held leave the queue. */
static void tell_waiting(struct sched *s, struct lane *lane, int64_t now_us)
{
	for (size_t i = lane->n - lane->nfresh; i < lane->n; i++) {
		struct ref *at = lane_at(lane, i);
		if (!at->run)
			continue;
		enum task_state state = live(at)->state;
		if (hold(s, at, now_us)) {
			live(at)->ready = false;
			at->run = NULL;
		} else if (state == TASK_NONE || state == TASK_UP_FOR_RETRY || state == TASK_HELD) {
			sched_set_task(s, at, TASK_QUEUED, REASON_SLOT_WAIT, now_us);
		}
	}
	lane->nfresh = 0;
}

int sched_tick(struct sched *s, int64_t now_us, struct err *err)
{
	struct ref at;

	fire_timers(s, now_us);
	for (int i = 0; i < s->nlanes; i++) {
		struct lane *lane = &s->lanes[i];
		while (lane->running < lane->max && s->next_token < s->end_token &&
			pop_ready(s, lane, &at, now_us))
			sched_start(s, &at, now_us);
		tell_waiting(s, lane, now_us);
	}
	return s->failed ? err_nomem(err) : 0;
}

void sched_halt(struct sched *s)
{
	for (int i = 0; i < s->nlanes; i++)
		s->lanes[i].max = 0;
}

int sched_set_lane(struct sched *s, int lane, int max_running)
{
	if (lane >= s->nlanes) {
		struct lane *grown = reallocarray(s->lanes, (size_t)lane + 1, sizeof *grown);
		if (!grown)
			return -1;
		s->lanes = grown;
		for (; s->nlanes <= lane; s->nlanes++)
			s->lanes[s->nlanes] = (struct lane){ 0 };
	}
	s->lanes[lane].max = max_running;
	return 0;
}

void sched_hold(struct sched *s, const struct sched_hold *h)
{
	struct live_run *r = find_run(s, h->run_id);

	if (!r || h->task >= r->dag->ntasks)
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
	for (int i = 0; !h->on && i < r->dag->ntasks; i++) {
		struct ref at = { r, i };
		if (live(&at)->state == TASK_HELD)
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

	for (size_t i = 0; i < s->nchanges; i++)
		if (s->changes[i].run_id != run_id)
			s->changes[kept++] = s->changes[i];
	s->nchanges = kept;
}

void sched_clear_changes(struct sched *s)
{
	s->nchanges = 0;
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

bool sched_task_view(const struct sched *s, int64_t run_id, int task_index, struct task_view *ret)
{
	const struct live_run *r = find_run(s, run_id);

	if (!r || task_index < 0 || task_index >= r->dag->ntasks)
		return false;
	const struct live_task *t = &r->tasks[task_index];
	*ret = (struct task_view){ .state = t->state,
		.reason = t->reason,
		.tries = t->tries,
		.failures = t->failures,
		.lost = t->lost,
		.waiting =
			t->counts.needs - t->counts.success - t->counts.failed - t->counts.skipped,
		.due_us = t->due_us,
		.token = t->token };
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
