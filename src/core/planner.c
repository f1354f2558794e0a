#include "core/planner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/err.h"
#include "base/heap.h"
#include "core/planner_dag.h"

const char *const planner_overlap_names[] = { [OVERLAP_QUEUE] = "queue",
	[OVERLAP_SKIP] = "skip",
	[OVERLAP_CANCEL_RUNNING] = "cancel_running",
	[OVERLAP_MAX] = NULL };
static_assert(sizeof planner_overlap_names / sizeof *planner_overlap_names == OVERLAP_MAX + 1,
	"a name for each");

static const char *const action_names[] = { [PLANNER_CREATE] = "create",
	[PLANNER_SKIP] = "skip",
	[PLANNER_CANCEL] = "cancel",
	[PLANNER_KEEP] = "keep" };
static_assert(sizeof action_names / sizeof *action_names == PLANNER_ACTION_MAX, "a name for each");

static const char *const why_names[] = { [PLANNER_DUE] = "due",
	[PLANNER_CAUGHT_UP] = "caught_up",
	[PLANNER_WAITED] = "waited",
	[PLANNER_OVERLAP] = "overlap",
	[PLANNER_MISSED] = "missed",
	[PLANNER_WAITS] = "waits",
	[PLANNER_BEGINS] = "begins" };
static_assert(sizeof why_names / sizeof *why_names == PLANNER_WHY_MAX, "a name for each");

const char *planner_overlap_name(enum planner_overlap o)
{
	return planner_overlap_names[o];
}

const char *planner_action_name(enum planner_action action)
{
	return action_names[action];
}

const char *planner_why_name(enum planner_why w)
{
	return why_names[w];
}

struct entry {
	struct planned d;
	size_t slot;        /* index in planner->slots */
	int64_t queued_us;  /* the key of its valid timer; INT64_MAX: it has none */
	struct entry *gone; /* next of the removed ones */
	UT_hash_handle hh;
	char name[];
};

struct planner {
	struct entry *by_name;
	struct entry **slots; /* a small number for each DAG, for the timers' ids; NULL: free */
	size_t nslots, slots_cap;
	size_t *free_slots; /* slots_cap of room */
	size_t nfree;
	/* Timers: one is valid for each DAG at most; obsolete ones go when they come to the top,
	 * or when they have become too many. */
	struct heap timers;
	struct planner_out out;
	struct entry *gone; /* removed, but named by decisions */
};

struct planner *planner_new(void)
{
	struct planner *p = calloc(1, sizeof *p);

	if (p)
		heap_init(&p->timers);
	return p;
}

static void free_entry(struct entry *e)
{
	if (!e)
		return;
	planner_dag_release(&e->d);
	free(e);
}

static void free_gone(struct planner *p)
{
	while (p->gone) {
		struct entry *e = p->gone;
		p->gone = e->gone;
		free_entry(e);
	}
}

void planner_free(struct planner *p)
{
	struct entry *e, *next;

	if (!p)
		return;
	HASH_ITER (hh, p->by_name, e, next) {
		HASH_DEL(p->by_name, e);
		free_entry(e);
	}
	free_gone(p);
	heap_release(&p->timers);
	free(p->slots);
	free(p->free_slots);
	free(p->out.rows);
	free(p);
}

static struct entry *find(const struct planner *p, const char *name)
{
	struct entry *e = NULL;

	HASH_FIND_STR(p->by_name, name, e);
	return e;
}

/* Timers. */

static bool obsolete(const struct planner *p, const struct heap_entry *timer)
{
	const struct entry *e = p->slots[timer->id];

	return !e || e->queued_us != timer->key;
}

static void drop_obsolete(struct planner *p)
{
	const struct heap_entry *top;
	struct heap_entry gone;

	while ((top = heap_peek(&p->timers)) && obsolete(p, top))
		heap_pop(&p->timers, &gone);
}

static void rebuild_timers(struct planner *p)
{
	p->timers.n = 0;
	for (size_t i = 0; i < p->nslots; i++) {
		const struct entry *e = p->slots[i];
		if (e && e->queued_us != INT64_MAX && heap_push(&p->timers, e->queued_us, i) < 0)
			p->out.failed = true;
	}
}

static void set_timer(struct planner *p, struct entry *e)
{
	int64_t wake_us = planner_dag_wake_us(&e->d);

	if (wake_us != e->queued_us) {
		e->queued_us = wake_us;
		if (wake_us != INT64_MAX && heap_push(&p->timers, wake_us, e->slot) < 0)
			p->out.failed = true;
		if (p->timers.n > 2 * HASH_COUNT(p->by_name) + 64)
			rebuild_timers(p);
	}
	drop_obsolete(p);
}

int64_t planner_wake_us(const struct planner *p)
{
	const struct heap_entry *top = heap_peek(&p->timers);

	return top ? top->key : INT64_MAX;
}

/* DAGs. */

static bool take_slot(struct planner *p, struct entry *e)
{
	if (p->nfree) {
		e->slot = p->free_slots[--p->nfree];
	} else {
		if (p->nslots == p->slots_cap) {
			size_t cap = p->slots_cap ? p->slots_cap * 2 : 64;
			struct entry **slots = reallocarray(p->slots, cap, sizeof *slots);
			if (!slots)
				return false;
			p->slots = slots;
			size_t *free_slots = reallocarray(p->free_slots, cap, sizeof *free_slots);
			if (!free_slots)
				return false;
			p->free_slots = free_slots;
			p->slots_cap = cap;
		}
		e->slot = p->nslots++;
	}
	p->slots[e->slot] = e;
	return true;
}

static void leave_slot(struct planner *p, struct entry *e)
{
	p->slots[e->slot] = NULL;
	p->free_slots[p->nfree++] = e->slot;
}

static struct entry *add(struct planner *p, const char *name)
{
	size_t len = strlen(name);
	struct entry *e = calloc(1, sizeof *e + len + 1), *added;

	if (!e)
		return NULL;
	memcpy(e->name, name, len + 1);
	e->d.name = e->name;
	e->queued_us = INT64_MAX;
	if (!take_slot(p, e)) {
		free(e);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, p->by_name, e->name, len, e);
	HASH_FIND_STR(p->by_name, name, added);
	if (!added) {
		leave_slot(p, e);
		free(e);
	}
	return added;
}

static void set_rules(struct planned *d, const struct planner_dag *dag)
{
	d->spec = dag->spec;
	d->overlap = dag->overlap;
	d->max_active = dag->max_active_runs > 1 ? dag->max_active_runs : 1;
}

static void set_new(
	struct planned *d, const struct planner_dag *dag, int64_t now_us, struct planner_out *out)
{
	set_rules(d, dag);
	d->paused = dag->paused;
	d->active = dag->active;
	d->cancelling = dag->cancelling;
	d->ticks = planner_dag_ticks(dag->spec);
	planner_dag_load(d, dag->state, now_us, out);
}

static void set_again(
	struct planned *d, const struct planner_dag *dag, int64_t now_us, struct planner_out *out)
{
	uint64_t ticks = planner_dag_ticks(dag->spec);

	if (dag->paused && !d->paused)
		planner_dag_pause(d, now_us, out);
	set_rules(d, dag);
	if (ticks != d->ticks) {
		d->ticks = ticks;
		d->paused = dag->paused;
		planner_dag_changed(d, now_us, out);
	} else if (!dag->paused && d->paused) {
		planner_dag_resume(d, now_us, out);
	}
	planner_dag_claim(d, out);
}

int planner_set_dag(
	struct planner *p, const struct planner_dag *dag, int64_t now_us, struct err *err)
{
	struct entry *e = find(p, dag->name);

	if (e) {
		set_again(&e->d, dag, now_us, &p->out);
	} else {
		e = add(p, dag->name);
		if (!e)
			return err_nomem(err);
		set_new(&e->d, dag, now_us, &p->out);
	}
	set_timer(p, e);
	return p->out.failed ? err_nomem(err) : 0;
}

void planner_remove_dag(struct planner *p, const char *name)
{
	struct entry *e = find(p, name);

	if (!e)
		return;
	HASH_DEL(p->by_name, e);
	leave_slot(p, e);
	e->gone = p->gone;
	p->gone = e;
	if (!p->out.n)
		free_gone(p);
	drop_obsolete(p);
}

int planner_tick(struct planner *p, int64_t now_us, struct err *err)
{
	return planner_tick_some(p, now_us, SIZE_MAX, err);
}

int planner_tick_some(struct planner *p, int64_t now_us, size_t max, struct err *err)
{
	size_t before = p->out.n;

	while (!p->out.failed && p->out.n - before < max && planner_wake_us(p) <= now_us) {
		struct heap_entry timer;
		heap_pop(&p->timers, &timer);
		struct entry *e = p->slots[timer.id];
		e->queued_us = INT64_MAX;
		planner_dag_step(&e->d, now_us, &p->out);
		set_timer(p, e);
	}
	return p->out.failed ? err_nomem(err) : 0;
}

const struct planner_decision *planner_decisions(const struct planner *p, size_t *ret_n)
{
	*ret_n = p->out.n;
	return p->out.rows;
}

void planner_clear_decisions(struct planner *p)
{
	p->out.n = 0;
	free_gone(p);
}

bool planner_state(const struct planner *p, const char *dag, struct planner_state *ret)
{
	const struct entry *e = find(p, dag);

	if (!e || !e->d.has_last)
		return false;
	planner_dag_save(&e->d, ret);
	return true;
}

void planner_run_started(struct planner *p, const char *dag)
{
	struct entry *e = find(p, dag);

	if (!e)
		return;
	e->d.active++;
	set_timer(p, e);
}

void planner_run_ended(struct planner *p, const char *dag)
{
	struct entry *e = find(p, dag);

	if (!e)
		return;
	if (e->d.active > 0)
		e->d.active--;
	if (e->d.cancelling > 0)
		e->d.cancelling--;
	set_timer(p, e);
}

void planner_view(const struct planner *p, const char *dag, struct planner_view *ret)
{
	const struct entry *e = find(p, dag);

	*ret = (struct planner_view){ .known = e != NULL };
	if (!e)
		return;
	ret->paused = e->d.paused;
	ret->active = e->d.active;
	ret->waiting = planner_dag_waiting(&e->d);
	ret->has_next = e->d.waiting || e->d.has_next;
	if (ret->has_next)
		ret->next = e->d.waiting ? e->d.head : e->d.next;
}
