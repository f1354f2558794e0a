#include "core/sla_clock.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/err.h"
#include "base/heap.h"
#include "core/planner_dag.h"

/* A policy on its way through the intervals. */
struct cursor {
	uint32_t slot;
	const struct sla_of *of;
	enum sla_kind kind;
	bool over; /* no interval is left */
	struct tick tick;
	int64_t at_us;
};

struct watched {
	char *name;
	const struct schedule_spec *spec;
	uint64_t digest;
	int64_t from_us; /* all up to it is judged */
	struct cursor *cursors;
	size_t n;
	UT_hash_handle hh;
};

/* A place in the heap's numbers. An entry of the heap holds while its generation is the slot's. */
struct slot {
	struct watched *dag;
	size_t cursor;
	uint32_t generation;
};

struct sla_clock {
	struct watched *dags;
	struct heap heap;
	struct slot *slots;
	uint32_t *unused; /* slots that are free */
	size_t nslots, nunused, cap;
};

struct sla_clock *sla_clock_new(void)
{
	struct sla_clock *c = calloc(1, sizeof *c);

	if (c)
		heap_init(&c->heap);
	return c;
}

/* ---- slots ---------------------------------------------------------------------------- */

static int grow(struct sla_clock *c)
{
	size_t cap = c->cap ? c->cap * 2 : 64;
	struct slot *slots = reallocarray(c->slots, cap, sizeof *slots);

	if (!slots)
		return -1;
	c->slots = slots;
	uint32_t *unused = reallocarray(c->unused, cap, sizeof *unused);
	if (!unused)
		return -1;
	c->unused = unused;
	c->cap = cap;
	return 0;
}

static int take_slot(struct sla_clock *c, struct watched *d, size_t cursor)
{
	uint32_t slot;

	if (c->nunused == 0 && c->nslots == c->cap && grow(c) < 0)
		return -1;
	if (c->nunused > 0) {
		slot = c->unused[--c->nunused];
	} else {
		slot = (uint32_t)c->nslots++;
		c->slots[slot].generation = 0;
	}
	c->slots[slot].dag = d;
	c->slots[slot].cursor = cursor;
	d->cursors[cursor].slot = slot;
	return 0;
}

static void give_slot(struct sla_clock *c, uint32_t slot)
{
	c->slots[slot].generation++;
	c->slots[slot].dag = NULL;
	c->unused[c->nunused++] = slot;
}

static int push(struct sla_clock *c, const struct cursor *k)
{
	uint64_t id = (uint64_t)c->slots[k->slot].generation << 32 | k->slot;

	return k->over ? 0 : heap_push(&c->heap, k->at_us, id);
}

/* The cursor whose turn is next. */
static struct cursor *peek(struct sla_clock *c)
{
	const struct heap_entry *e;

	while ((e = heap_peek(&c->heap))) {
		const struct slot *s = &c->slots[e->id & UINT32_MAX];
		if (s->dag && s->generation == e->id >> 32)
			return &s->dag->cursors[s->cursor];
		heap_pop(&c->heap, &(struct heap_entry){ 0 });
	}
	return NULL;
}

/* ---- DAGs ----------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t number)
{
	for (int i = 0; i < 8; i++, number >>= 8)
		h = (h ^ (number & 0xff)) * UINT64_C(0x100000001b3);
	return h;
}

static uint64_t digest_of(const struct sla_clock_dag *dag)
{
	uint64_t h = planner_dag_ticks(dag->spec);

	for (size_t i = 0; i < dag->nslas; i++) {
		const struct sla *s = &dag->slas[i].sla;
		for (const char *t = dag->slas[i].task; t && *t; t++)
			h = mix(h, (unsigned char)*t);
		h = mix(mix(h, s->kinds), (uint64_t)s->finish_by_s);
		h = mix(mix(h, (uint64_t)s->finish_within_us), (uint64_t)s->start_within_us);
		h = mix(h, (uint64_t)s->warn_ahead_us);
	}
	return h;
}

static void free_watched(struct watched *d)
{
	free(d->name);
	free(d->cursors);
	free(d);
}

static void drop(struct sla_clock *c, struct watched *d)
{
	for (size_t i = 0; i < d->n; i++)
		give_slot(c, d->cursors[i].slot);
	HASH_DEL(c->dags, d);
	free_watched(d);
}

static struct watched *find(const struct sla_clock *c, const char *name)
{
	struct watched *d;

	HASH_FIND_STR(c->dags, name, d);
	return d;
}

void sla_clock_remove(struct sla_clock *c, const char *dag)
{
	struct watched *d = find(c, dag);

	if (d)
		drop(c, d);
}

void sla_clock_free(struct sla_clock *c)
{
	struct watched *d, *next;

	if (!c)
		return;
	HASH_ITER (hh, c->dags, d, next) {
		HASH_DEL(c->dags, d);
		free_watched(d);
	}
	heap_release(&c->heap);
	free(c->slots);
	free(c->unused);
	free(c);
}

static void begin(struct watched *d, struct cursor *k)
{
	/* Who warns looks at it until the deadline, and forgets that with its process. */
	int64_t back = k->kind == SLA_AT_RISK ? k->of->sla.warn_ahead_us : 0;

	k->over = sla_first_after(&k->of->sla, k->kind, d->spec, d->from_us - back, &k->tick) != 1;
	k->at_us = k->over ? INT64_MAX : sla_judged_at_us(&k->of->sla, k->kind, d->spec, &k->tick);
}

static int add_cursor(
	struct sla_clock *c, struct watched *d, const struct sla_of *of, enum sla_kind kind)
{
	struct cursor *k = &d->cursors[d->n];

	*k = (struct cursor){ .of = of, .kind = kind };
	begin(d, k);
	if (take_slot(c, d, d->n) < 0)
		return -1;
	d->n++;
	return push(c, k);
}

static int add_cursors(struct sla_clock *c, struct watched *d, const struct sla_clock_dag *dag)
{
	size_t n = 0;

	for (size_t i = 0; i < dag->nslas; i++)
		n += (size_t)__builtin_popcount(dag->slas[i].sla.kinds);
	d->cursors = calloc(n + 1, sizeof *d->cursors);
	if (!d->cursors)
		return -1;
	for (size_t i = 0; i < dag->nslas; i++)
		for (int kind = 0; kind < SLA_KIND_MAX; kind++)
			if (sla_has(&dag->slas[i].sla, (enum sla_kind)kind) &&
				sla_kind_is_of_interval((enum sla_kind)kind) &&
				add_cursor(c, d, &dag->slas[i], (enum sla_kind)kind) < 0)
				return -1;
	return 0;
}

/* From where it is judged: from where it was, as long as it is the same thing. */
static int64_t from_us(
	const struct sla_clock *c, const struct sla_clock_dag *dag, uint64_t digest, int64_t now_us)
{
	struct sla_mark mark = { now_us, digest };

	if (!sla_clock_mark(c, dag->name, now_us, &mark) && dag->mark)
		mark = *dag->mark;
	if (mark.digest != digest || mark.judged_us > now_us)
		return now_us;
	return mark.judged_us > now_us - SLA_CLOCK_LOOK_BACK_US ? mark.judged_us
								: now_us - SLA_CLOCK_LOOK_BACK_US;
}

int sla_clock_set(
	struct sla_clock *c, const struct sla_clock_dag *dag, int64_t now_us, struct err *err)
{
	struct watched *d = calloc(1, sizeof *d);

	if (!d || !(d->name = strdup(dag->name))) {
		free(d);
		return err_nomem(err);
	}
	d->spec = dag->spec;
	d->digest = digest_of(dag);
	d->from_us = from_us(c, dag, d->digest, now_us);
	sla_clock_remove(c, dag->name);
	HASH_ADD_KEYPTR(hh, c->dags, d->name, strlen(d->name), d);
	if (!d->hh.tbl) {
		free_watched(d);
		return err_nomem(err);
	}
	if (add_cursors(c, d, dag) == 0)
		return 0;
	drop(c, d);
	return err_nomem(err);
}

/* ---- time ----------------------------------------------------------------------------- */

int64_t sla_clock_wake_us(struct sla_clock *c)
{
	const struct cursor *k = peek(c);

	return k ? k->at_us : INT64_MAX;
}

/* To the interval behind. Without memory for the heap's entry it would never be judged again: the
 * entry that was just popped has made room. */
static void advance(struct sla_clock *c, const struct watched *d, struct cursor *k)
{
	k->over = timetable_next(d->spec, k->tick.run_after_us, &k->tick) != 1;
	k->at_us = k->over ? INT64_MAX : sla_judged_at_us(&k->of->sla, k->kind, d->spec, &k->tick);
	k->over = k->at_us == INT64_MAX;
	push(c, k);
}

bool sla_clock_first(struct sla_clock *c, int64_t now_us, struct sla_due *ret)
{
	const struct cursor *k = peek(c);

	if (!k || k->at_us > now_us)
		return false;
	const struct watched *d = c->slots[k->slot].dag;
	*ret = (struct sla_due){ .dag = d->name,
		.task = k->of->task,
		.sla = &k->of->sla,
		.kind = k->kind,
		.tick = k->tick,
		.deadline_us = sla_deadline_us(&k->of->sla, k->kind, d->spec, &k->tick) };
	return true;
}

bool sla_clock_next(struct sla_clock *c, int64_t now_us, struct sla_due *ret)
{
	if (!sla_clock_first(c, now_us, ret))
		return false;
	struct cursor *k = peek(c);
	heap_pop(&c->heap, &(struct heap_entry){ 0 });
	advance(c, c->slots[k->slot].dag, k);
	return true;
}

bool sla_clock_mark(
	const struct sla_clock *c, const char *dag, int64_t now_us, struct sla_mark *ret)
{
	const struct watched *d = find(c, dag);

	if (!d)
		return false;
	*ret = (struct sla_mark){ now_us, d->digest };
	for (size_t i = 0; i < d->n; i++)
		if (d->cursors[i].at_us <= ret->judged_us && d->cursors[i].kind != SLA_AT_RISK)
			ret->judged_us = d->cursors[i].at_us - 1;
	return true;
}
