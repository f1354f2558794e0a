/* Looks: short tasks that find out whether what a task waits for is there. */
#include "core/sched_impl.h"

#include <stdlib.h>

static uint64_t id_of(const struct ref *at)
{
	return (uint64_t)at->run->slot << SCHED_SLOT_SHIFT | (uint32_t)at->task;
}

/* ---- who is next ---------------------------------------------------------------------- */

void sched_push_look(struct sched *s, const struct ref *at)
{
	struct live_task *t = live(at);

	if (t->look || t->look_key)
		return;
	t->look_key = (int64_t)++s->seq;
	if (heap_push(&s->lookers, t->look_key, id_of(at)) < 0)
		s->failed = true;
}

bool sched_may_look(struct sched *s, const struct ref *at, int64_t now_us)
{
	/* Where there is room nobody is left waiting by a tick: those that wait came since. */
	return (size_t)s->nlooks + s->lookers.n < (size_t)s->config.max_looks &&
	       sched_may_start(s) && !sched_is_at_breaker(s, at, now_us);
}

/* The task of an entry, if it is still to be looked for. */
static bool is_looker(const struct sched *s, const struct heap_entry *e, struct ref *ret)
{
	size_t slot = e->id >> SCHED_SLOT_SHIFT;
	int task = (int)(uint32_t)e->id;

	if (slot >= s->nslots || !s->slots[slot] || task >= s->slots[slot]->nlive)
		return false;
	*ret = (struct ref){ s->slots[slot], task };
	return live(ret)->look_key == e->key;
}

static void start_look(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct flight *f = calloc(1, sizeof *f);

	if (f) {
		*f = (struct flight){
			.token = s->next_token++, .run = at->run, .task = at->task, .look = true
		};
		HASH_ADD(hh, s->looks, token, sizeof f->token, f);
	}
	if (!f || !f->hh.tbl) {
		free(f);
		s->failed = true;
		return;
	}
	s->nlooks++;
	live(at)->look = f->token;
	sched_pass_breakers(s, f, false);
	struct change *c = sched_add_task_change(s, CHANGE_LOOK, REASON_WAITING, at, now_us);
	if (c) {
		c->attempt.token = f->token;
		c->attempt.try = live(at)->tries + 1;
	}
}

/* What is held by request is asked anew when it is no longer. */
void sched_start_looks(struct sched *s, int64_t now_us)
{
	struct heap_entry e;
	struct ref at;

	while (s->nlooks < s->config.max_looks && sched_may_start(s) && heap_pop(&s->lookers, &e)) {
		if (!is_looker(s, &e, &at))
			continue;
		struct live_task *t = live(&at);
		t->look_key = 0;
		if (!task_state_waits(t->state) || starts_no_more(&at) || is_held(&at) ||
			t->stopped || sched_stop_at_breaker(s, &at, s->now_us, now_us))
			continue;
		start_look(s, &at, now_us);
	}
	sched_spread_news(s, now_us);
}

/* ---- reading -------------------------------------------------------------------------- */

static struct flight *find_look(const struct sched *s, int64_t token)
{
	struct flight *f;

	HASH_FIND(hh, s->looks, &token, sizeof token, f);
	return f;
}

bool sched_look(const struct sched *s, int64_t token, int64_t *ret_run_id, int *ret_task)
{
	const struct flight *f = find_look(s, token);

	if (!f)
		return false;
	*ret_run_id = f->run ? f->run->id : 0;
	*ret_task = f->task;
	return true;
}

bool sched_look_awaited(const struct sched *s, int64_t token)
{
	const struct flight *f = find_look(s, token);

	return f && f->run && live(&(struct ref){ f->run, f->task })->look == token;
}

int sched_looking(const struct sched *s)
{
	return s->nlooks;
}

void sched_each_look(const struct sched *s, sched_flight_fn *fn, void *arg)
{
	for (const struct flight *f = s->looks; f; f = f->hh.next)
		fn(arg, f->token, f->run ? f->run->id : 0, f->task);
}

/* ---- their ends ----------------------------------------------------------------------- */

void sched_end_look(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);
	struct flight *f = t->look ? find_look(s, t->look) : NULL;

	t->look_key = 0;
	if (!f)
		return;
	t->look = 0;
	struct change *c = sched_add_task_change(s, CHANGE_STOP, REASON_WAITING, at, now_us);
	if (c) {
		c->attempt.token = f->token;
		c->attempt.hard = true;
	}
}

static void remove_look(struct sched *s, struct flight *f, const struct attempt_end *end)
{
	HASH_DEL(s->looks, f);
	s->nlooks--;
	if (f->run)
		sched_tell_breakers(s, f, end, s->now_us);
	free(f);
}

void sched_forget_look(struct sched *s, int64_t token)
{
	struct flight *f = find_look(s, token);

	if (f)
		remove_look(s, f, NULL);
}

void sched_forget_looks(struct sched *s, const struct live_run *r)
{
	for (struct flight *f = s->looks; f; f = f->hh.next) {
		if (f->run != r)
			continue;
		sched_tell_breakers(s, f, NULL, s->now_us);
		f->run = NULL;
		f->task = -1;
	}
}

void sched_free_looks(struct sched *s)
{
	struct flight *f, *next;

	HASH_ITER (hh, s->looks, f, next) {
		HASH_DEL(s->looks, f);
		free(f);
	}
	heap_release(&s->lookers);
}

/* Told only when it is something else than before: a wait of months is one row. */
void sched_tell_looked(struct sched *s, const struct ref *at, const char *said, int64_t now_us)
{
	struct live_task *t = live(at);
	uint64_t hash = said ? sched_hash_of(said) : t->said;

	if (hash == t->said)
		return;
	t->said = hash;
	struct change *c = sched_add_task_change(s, CHANGE_LOOKED, REASON_WAITING, at, now_us);
	if (c)
		c->detail = sched_keep(s, said);
}

static void look_on(
	struct sched *s, const struct ref *at, const struct sched_look_end *e, int64_t now_us)
{
	live(at)->look = 0;
	if (e->over) {
		sched_wait_no_more(s, at, now_us);
		return;
	}
	sched_tell_looked(s, at, e->said, now_us);
	sched_wait_more(s, at, &e->wait, now_us);
}

bool sched_look_ended(struct sched *s, const struct sched_look_end *e, int64_t now_us)
{
	struct flight *f = find_look(s, e->token);

	if (!f)
		return false;
	const struct ref at = { f->run, f->task };
	const struct attempt_end end = {
		.outcome = e->outcome, .exit_status = -1, .permanent = e->permanent
	};
	bool awaited = sched_look_awaited(s, e->token);
	sched_set_now(s, now_us);
	remove_look(s, f, awaited ? &end : NULL);
	if (awaited)
		look_on(s, &at, e, now_us);
	sched_spread_news(s, now_us);
	return true;
}
