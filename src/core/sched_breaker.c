/* Tasks and their circuit breakers. */
#include "core/sched_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/units.h"
#include "core/retry.h"

enum { BREAKER_TEXT_MAX = 4096, HELD_SPARE = 64 };

/* It opens and closes by what checks say, and counts no failures. */
static const struct breaker_policy of_quality = { .window_us = US_PER_MINUTE,
	.open_us = US_PER_MINUTE,
	.max_open_us = US_PER_MINUTE,
	.factor = 1,
	.probes = 1,
	.ramp = 10 };

static struct live_breaker *new_breaker(struct sched *s, const char *name)
{
	struct live_breaker **grown =
		reallocarray(s->breaker_list, (size_t)s->nbreakers + 1, sizeof *grown);
	struct live_breaker *g = calloc(1, sizeof *g);

	if (grown)
		s->breaker_list = grown;
	if (!grown || !g || !(g->name = strdup(name))) {
		free(g);
		return NULL;
	}
	heap_init(&g->held);
	g->armed_us = INT64_MAX;
	g->known = strncmp(name, QUALITY_BREAKER, strlen(QUALITY_BREAKER)) == 0;
	if (g->known)
		g->policy = of_quality;
	HASH_ADD_KEYPTR(hh, s->breakers, g->name, strlen(g->name), g);
	if (!g->hh.tbl) {
		free(g->name);
		free(g);
		return NULL;
	}
	g->index = s->nbreakers;
	s->breaker_list[s->nbreakers++] = g;
	return g;
}

static struct live_breaker *find_breaker(struct sched *s, const char *name)
{
	struct live_breaker *g;

	HASH_FIND_STR(s->breakers, name, g);
	if (!g)
		g = new_breaker(s, name);
	if (!g)
		s->failed = true;
	return g;
}

void sched_free_breakers(struct sched *s)
{
	HASH_CLEAR(hh, s->breakers);
	for (int i = 0; i < s->nbreakers; i++) {
		heap_release(&s->breaker_list[i]->held);
		free(s->breaker_list[i]->name);
		free(s->breaker_list[i]);
	}
	free(s->breaker_list);
}

int sched_find_breakers(struct sched *s, struct live_run *r)
{
	size_t n = 0;

	for (int i = 0; i < r->dag->ntasks; i++)
		for (const char *const *name = r->dag->tasks[i].breakers; name && *name; name++)
			n += name[1] ? 1 : 2; /* and the NULL behind the last */
	if (n == 0)
		return 0;
	struct live_breaker **at = r->breakers = calloc(n, sizeof *at);
	if (!at)
		return -1;
	for (int i = 0; i < r->dag->ntasks; i++) {
		const char *const *name = r->dag->tasks[i].breakers;
		if (!name || !*name)
			continue;
		r->tasks[i].breakers = at;
		for (; *name; name++)
			if (!(*at++ = find_breaker(s, *name)))
				return -1;
		at++;
	}
	for (int i = r->dag->ntasks; i < r->nlive; i++)
		r->tasks[i].breakers = r->tasks[r->tasks[i].def].breakers;
	return 0;
}

/* ---- what is said --------------------------------------------------------------------- */

static const struct task *def_of_flight(const struct flight *f)
{
	return def_of(&(struct ref){ f->run, f->task });
}

/* What made it change. */
struct cause {
	enum reason why;
	enum breaker_state from;
	const struct flight *flight; /* whose end; NULL: no attempt's */
	const char *detail;
};

static void tell(struct sched *s, struct live_breaker *g, const struct cause *why, int64_t now_us)
{
	struct change *c = sched_add_change(s, CHANGE_BREAKER, why->why, NULL, now_us);
	struct buf text;

	if (!c)
		return;
	buf_init(&text, BREAKER_TEXT_MAX);
	breaker_add(&text, &g->breaker);
	if (text.failed)
		s->failed = true;
	c->breaker.name = g->name;
	c->breaker.text = sched_keep(s, text.data);
	g->told = sched_hash_of(text.data);
	c->breaker.from = why->from;
	c->breaker.to = g->breaker.state;
	c->breaker.since_us = g->breaker.since_us;
	c->detail = sched_keep(s, why->detail);
	if (why->flight) {
		c->breaker.run_id = why->flight->run->id;
		c->breaker.task = sched_keep(s, def_of_flight(why->flight)->name);
	}
	buf_release(&text);
	s->ntouched -= g->touched;
	g->touched = false;
	g->coming = g->coming && why->from == g->breaker.state;
}

static void touch(struct sched *s, struct live_breaker *g)
{
	s->ntouched += !g->touched;
	g->touched = true;
}

void sched_flush_breakers(struct sched *s, int64_t now_us)
{
	for (int i = 0; s->ntouched > 0 && i < s->nbreakers; i++) {
		struct live_breaker *g = s->breaker_list[i];
		const struct cause counted = { .why = REASON_NONE, .from = g->breaker.state };
		if (g->touched)
			tell(s, g, &counted, now_us);
	}
}

/* ---- timers --------------------------------------------------------------------------- */

/* When it has to be looked at. */
static int64_t due_of(const struct live_breaker *g)
{
	const struct breaker *b = &g->breaker;

	if (g->nheld == 0)
		return INT64_MAX;
	if (!g->known)
		return g->next_us;
	if (b->state == BREAKER_OPEN)
		return b->until_us;
	if (b->state == BREAKER_HALF_OPEN && b->probing + b->passed >= g->policy.probes)
		return INT64_MAX;
	return b->ramp_us > g->next_us ? b->ramp_us : g->next_us;
}

static void set_timer(struct sched *s, struct live_breaker *g)
{
	int64_t due_us = due_of(g);

	if (due_us >= g->armed_us)
		return;
	if (heap_push(&s->timers, due_us,
		    (uint64_t)SCHED_BREAKER_SLOT << SCHED_SLOT_SHIFT | (uint32_t)g->index) < 0)
		s->failed = true;
	g->armed_us = due_us;
}

static void arm(struct sched *s, struct live_breaker *g)
{
	if (g->nheld == 0 && !g->coming && g->breaker.state == BREAKER_CLOSED &&
		g->breaker.ramp_us) {
		breaker_end_ramp(&g->breaker);
		touch(s, g);
	}
	set_timer(s, g);
}

void sched_heed_clock(struct sched *s, int64_t now_us)
{
	for (int i = 0; i < s->nbreakers; i++) {
		struct live_breaker *g = s->breaker_list[i];
		int64_t step_us = g->known ? breaker_ramp_step_us(&g->policy) : 0;
		if (g->next_us > now_us + step_us)
			g->next_us = now_us + step_us;
		if (g->known)
			breaker_heed_clock(&g->breaker, &g->policy, now_us);
		/* Timers of before are obsolete. */
		g->armed_us = INT64_MAX;
		arm(s, g);
	}
}

/* ---- those it holds ------------------------------------------------------------------- */

static uint64_t id_of(const struct ref *at)
{
	return (uint64_t)at->run->slot << SCHED_SLOT_SHIFT | (uint32_t)at->task;
}

/* The task of an entry, if it is still held by it. */
static bool is_held_by(const struct sched *s, const struct live_breaker *g,
	const struct heap_entry *e, struct ref *ret)
{
	size_t slot = e->id >> SCHED_SLOT_SHIFT;
	int task = (int)(uint32_t)e->id;

	if (slot >= s->nslots || !s->slots[slot] || task >= s->slots[slot]->nlive)
		return false;
	*ret = (struct ref){ s->slots[slot], task };
	return live(ret)->stopped == g && live(ret)->stopped_key == e->key;
}

/* Forget entries of tasks that were cancelled or dropped, when most are such. */
static void tidy(struct sched *s, struct live_breaker *g)
{
	size_t kept = 0;
	struct ref at;

	if (g->held.n <= 2 * (size_t)g->nheld + HELD_SPARE)
		return;
	struct heap all = g->held;
	heap_init(&g->held);
	for (size_t i = 0; i < all.n; i++)
		if (is_held_by(s, g, &all.entries[i], &at))
			kept += heap_push(&g->held, all.entries[i].key, all.entries[i].id) == 0;
	s->failed |= kept < (size_t)g->nheld;
	heap_release(&all);
}

void sched_leave_breaker(struct sched *s, struct live_task *t)
{
	struct live_breaker *g = t->stopped;

	if (!g)
		return;
	t->stopped = NULL;
	g->nheld--;
	tidy(s, g);
	arm(s, g);
}

/* The first of them back into the queue, to ask again. */
static void let_one_go(struct sched *s, struct live_breaker *g)
{
	struct heap_entry e;
	struct ref at;

	while (heap_pop(&g->held, &e)) {
		if (!is_held_by(s, g, &e, &at))
			continue;
		sched_push_back(s, &at, e.key);
		return;
	}
}

/* An open one whose time is over becomes half-open. */
static bool ask(struct sched *s, struct live_breaker *g, int64_t now_us)
{
	const struct cause due = { .why = REASON_BREAKER_DUE, .from = g->breaker.state };
	int64_t again_us;
	bool yes = breaker_ask(&g->breaker, &g->policy, s->clock_us, &again_us);

	if (g->breaker.state != due.from) {
		/* Behind a count it is taken back with that. */
		g->by_run = g->by_run ? g->by_run : -1;
		tell(s, g, &due, now_us);
	}
	return yes;
}

void sched_fire_breaker(struct sched *s, int index, int64_t due_us, int64_t now_us)
{
	struct live_breaker *g = index < s->nbreakers ? s->breaker_list[index] : NULL;
	int n = 1;

	if (!g || g->armed_us != due_us)
		return;
	g->armed_us = INT64_MAX;
	if (g->known && !ask(s, g, now_us)) {
		arm(s, g);
		return;
	}
	if (g->breaker.state == BREAKER_HALF_OPEN)
		n = g->policy.probes - g->breaker.probing - g->breaker.passed;
	g->next_us = s->clock_us + (g->known ? breaker_ramp_step_us(&g->policy) : 0);
	for (; n > 0 && g->nheld > 0; n--)
		let_one_go(s, g);
	arm(s, g);
}

static struct live_breaker *stopping(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_breaker **g = live(at)->breakers;

	while (g && *g && (!(*g)->known || ask(s, *g, now_us)))
		g++;
	return g ? *g : NULL;
}

static void hold(struct sched *s, const struct ref *at, int64_t key, struct live_breaker *g)
{
	struct live_task *t = live(at);

	t->stopped = g;
	t->stopped_key = key;
	g->coming = false;
	g->nheld++;
	if (heap_push(&g->held, key, id_of(at)) < 0)
		s->failed = true;
	arm(s, g);
}

bool sched_stop_at_breaker(struct sched *s, const struct ref *at, int64_t key, int64_t now_us)
{
	static const enum task_state states[ON_OPEN_MAX] = { [ON_OPEN_HOLD] = TASK_HELD,
		[ON_OPEN_SKIP] = TASK_SKIPPED,
		[ON_OPEN_FAIL] = TASK_FAILED };
	struct live_breaker *g = stopping(s, at, now_us);
	struct live_task *t = live(at);

	if (!g)
		return false;
	/* Of one that is closed again each has its turn, if a little later. */
	enum task_state to =
		g->breaker.state == BREAKER_CLOSED ? TASK_HELD : states[def_of(at)->on_open];
	t->ready = false;
	/* What waits goes on waiting; only nobody looks. */
	if (t->state != to && !(to == TASK_HELD && task_state_waits(t->state))) {
		struct change *c = sched_set_task(s, at, to, REASON_BREAKER_OPEN, now_us);
		if (c)
			c->detail = g->name;
	}
	if (to == TASK_HELD)
		hold(s, at, key, g);
	return true;
}

bool sched_is_at_breaker(struct sched *s, const struct ref *at, int64_t now_us)
{
	return stopping(s, at, now_us) != NULL;
}

/* ---- attempts ------------------------------------------------------------------------- */

/* What steers uses nothing of what is shared: that it succeeds says nothing, and it is no probe.
 * Nor does the attempt of a task that waits, which only tells what a look has found: that one
 * counted. */
static bool counts(const struct flight *f)
{
	return f->look || (!def_of_flight(f)->chooses && !def_of_flight(f)->waits);
}

void sched_pass_breakers(struct sched *s, struct flight *f, bool begun)
{
	struct live_breaker **g = f->run->tasks[f->task].breakers;

	for (int i = 0; g && g[i] && i < TASK_BREAKERS_MAX; i++) {
		f->passes[i] = (struct breaker_pass){ .era = g[i]->breaker.era };
		if (!begun && g[i]->known && counts(f))
			f->passes[i] = breaker_pass(&g[i]->breaker, &g[i]->policy, s->clock_us);
	}
}

static enum breaker_class class_of(const struct retry_policy *p, const struct attempt_end *e)
{
	const struct retry_question q = { .outcome = e->outcome,
		.exit_status = e->exit_status,
		.signal = e->signal,
		.permanent = e->permanent };

	if (e->outcome == OUTCOME_TIMEOUT)
		return BREAKER_TIMEOUT;
	return retry_is_permanent(p, &q) ? BREAKER_PERMANENT : BREAKER_TRANSIENT;
}

static void note_count(struct live_breaker *g, int64_t run_id)
{
	if (g->by_run == 0) {
		g->by_run = run_id;
		g->before = g->breaker;
		g->told_before = g->told;
	} else if (g->by_run != run_id) {
		g->by_run = -1;
	}
}

static void tell_one(struct sched *s, struct live_breaker *g, const struct flight *f,
	const struct breaker_end *e, int64_t now_us)
{
	struct cause why = { .from = g->breaker.state, .flight = f };

	note_count(g, f->run->id);
	bool changed = breaker_ended(&g->breaker, &g->policy, e, s->clock_us);

	if (why.from != g->breaker.state) {
		why.why = g->breaker.state == BREAKER_CLOSED ? REASON_PROBES_PASSED
			  : why.from == BREAKER_CLOSED       ? REASON_BREAKER_TRIPPED
							     : REASON_PROBE_FAILED;
		tell(s, g, &why, now_us);
	} else if (changed) {
		touch(s, g);
	}
	arm(s, g);
}

/* The checks of an attempt open the breaker of their dataset, or close it. */
static void judge_quality(
	struct sched *s, const struct flight *f, const struct attempt_end *e, int64_t now_us)
{
	const struct task *def = def_of_flight(f);
	struct live_breaker *g = find_breaker(s, def->quality_breaker);
	char detail[80];

	if (!g)
		return;
	bool low = e->score < def->score_below;
	struct cause why = { low ? REASON_QUALITY_LOW : REASON_QUALITY_GOOD, g->breaker.state, f,
		detail };
	if (low == (why.from == BREAKER_OPEN))
		return;
	snprintf(detail, sizeof detail, "%.4g%%, wanted %.4g%%", 100 * e->score,
		100 * def->score_below);
	note_count(g, f->run->id);
	if (low)
		breaker_force_open(&g->breaker, s->clock_us);
	else
		breaker_force_closed(&g->breaker, s->clock_us);
	tell(s, g, &why, now_us);
	arm(s, g);
}

void sched_tell_breakers(
	struct sched *s, const struct flight *f, const struct attempt_end *e, int64_t now_us)
{
	const struct live_task *t = &f->run->tasks[f->task];
	bool failed = e && !f->run->cancelling &&
		      (e->outcome == OUTCOME_FAILED || e->outcome == OUTCOME_TIMEOUT);
	bool success = e && e->outcome == OUTCOME_SUCCESS;
	struct breaker_end end = { .success = success,
		.void_ = (!failed && !success) || !counts(f) };

	if (!end.void_ && e->has_score && def_of_flight(f)->quality_breaker)
		judge_quality(s, f, e, now_us);
	if (!t->breakers)
		return;
	if (failed)
		end.class = class_of(&def_of_flight(f)->retry, e);
	for (int i = 0; t->breakers[i] && i < TASK_BREAKERS_MAX; i++) {
		end.pass = f->passes[i];
		if (t->breakers[i]->known)
			tell_one(s, t->breakers[i], f, &end, now_us);
	}
}

/* ---- from outside --------------------------------------------------------------------- */

int sched_set_breaker(struct sched *s, const char *name, const struct breaker_policy *p)
{
	struct live_breaker *g = find_breaker(s, name);

	if (!g)
		return -1;
	g->policy = *p;
	g->known = true;
	arm(s, g);
	return s->failed ? -1 : 0;
}

int sched_remove_breaker(struct sched *s, const char *name, int64_t now_us)
{
	struct live_breaker *g = find_breaker(s, name);

	if (!g)
		return -1;
	const struct cause gone = { .why = REASON_BREAKER_REMOVED, .from = g->breaker.state };
	sched_set_now(s, now_us);
	g->known = false;
	if (g->breaker.state != BREAKER_CLOSED) {
		breaker_force_closed(&g->breaker, s->clock_us);
		breaker_end_ramp(&g->breaker);
		tell(s, g, &gone, now_us);
	}
	g->next_us = s->clock_us;
	arm(s, g);
	return s->failed ? -1 : 0;
}

/* What was said of it and is not committed is of before. */
static void forget_changes(struct sched *s, struct live_breaker *g)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->nchanges; i++)
		if (s->changes[i].kind != CHANGE_BREAKER || s->changes[i].breaker.name != g->name)
			s->changes[kept++] = s->changes[i];
	s->nchanges = kept;
	s->ntouched -= g->touched;
	g->touched = false;
}

void sched_keep_counts(struct sched *s)
{
	for (int i = 0; i < s->nbreakers; i++)
		s->breaker_list[i]->by_run = 0;
}

/* Attempts in flight that probe it. */
static int count_probes(const struct sched *s, const struct live_breaker *g)
{
	int n = 0;

	for (const struct flight *f = s->flights; f; f = f->hh.next) {
		struct live_breaker **of = f->run->tasks[f->task].breakers;
		for (int i = 0; of && of[i] && i < TASK_BREAKERS_MAX; i++)
			n += of[i] == g && f->passes[i].probe && f->passes[i].era == g->breaker.era;
	}
	return n;
}

void sched_uncount(struct sched *s, int64_t run_id)
{
	for (int i = 0; i < s->nbreakers; i++) {
		struct live_breaker *g = s->breaker_list[i];
		if (g->by_run != run_id)
			continue;
		forget_changes(s, g);
		g->breaker = g->before;
		g->told = g->told_before;
		g->by_run = 0;
		/* A probe that has ended makes room all the same. */
		if (g->breaker.state == BREAKER_HALF_OPEN)
			g->breaker.probing = count_probes(s, g);
		set_timer(s, g);
	}
}

bool sched_has_breaker(const struct sched *s, const char *name, const char *text)
{
	struct live_breaker *g;

	HASH_FIND_STR(s->breakers, name, g);
	if (!g)
		return false;
	for (size_t i = 0; i < s->nchanges; i++)
		if (s->changes[i].kind == CHANGE_BREAKER && s->changes[i].breaker.name == g->name)
			return true;
	return g->touched || g->told == sched_hash_of(text);
}

int sched_load_breaker(struct sched *s, const char *name, const char *text, int64_t now_us)
{
	struct live_breaker *g = find_breaker(s, name);

	if (!g)
		return -1;
	unsigned era = g->breaker.era;
	sched_set_now(s, now_us);
	forget_changes(s, g);
	breaker_parse(text, &g->breaker);
	/* A restart: until one of them is held here, that none is says nothing. */
	g->coming = !g->told && g->breaker.ramp_us;
	g->told = sched_hash_of(text);
	g->breaker.era = era + 1;
	g->by_run = 0;
	set_timer(s, g);
	return s->failed ? -1 : 0;
}

static int by_name(const struct live_breaker *a, const struct live_breaker *b)
{
	return strcmp(a->name, b->name);
}

void sched_each_breaker(
	struct sched *s, void (*fn)(void *arg, const struct sched_breaker *b), void *arg)
{
	HASH_SORT(s->breakers, by_name);
	for (const struct live_breaker *g = s->breakers; g; g = g->hh.next)
		fn(arg, &(struct sched_breaker){ .name = g->name,
				.breaker = &g->breaker,
				.policy = g->known ? &g->policy : NULL,
				.held = g->nheld });
}
