/* Who is next: tasks that may start, by priority and age, as the gates let them through. */
#include "core/sched_impl.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"

/* A point of priority is worth a minute of waiting: what waits gains a point a minute, so that
 * each task is once the first. The difference of two tasks that wait stays as it is, so that the
 * order on a shelf never changes by itself. */
#define POINT_US US_PER_MINUTE
/* Where backfills compete with the night's work, for a pool or in a DAG, they stand back. */
#define BACKFILL_POINTS 60

/* ---- gates ---------------------------------------------------------------------------- */

static struct named_gate *find_gate(
	struct sched *s, struct named_gate **table, enum gate_kind kind, const char *name)
{
	struct named_gate *g;

	HASH_FIND_STR(*table, name, g);
	if (g)
		return g;
	g = calloc(1, sizeof *g);
	if (g && !(g->name = strdup(name))) {
		free(g);
		g = NULL;
	}
	if (!g) {
		s->failed = true;
		return NULL;
	}
	/* A pool of which nobody has said how large it is must not stop a run for ever, nor let
	 * all of it at what it protects. */
	g->gate = (struct gate){ .kind = kind, .max = kind == GATE_POOL ? 1 : INT_MAX };
	HASH_ADD_KEYPTR(hh, *table, g->name, strlen(g->name), g);
	if (!g->hh.tbl) {
		free(g->name);
		free(g);
		s->failed = true;
		return NULL;
	}
	return g;
}

static void free_gate(struct named_gate **table, struct named_gate *g)
{
	HASH_DEL(*table, g);
	gate_release(&g->gate);
	free(g->name);
	free(g);
}

void sched_free_gates(struct sched *s)
{
	struct named_gate *g, *next;

	HASH_ITER (hh, s->pools, g, next)
		free_gate(&s->pools, g);
	HASH_ITER (hh, s->dags, g, next)
		free_gate(&s->dags, g);
	for (int i = 0; i < s->nlanes; i++) {
		gate_release(s->lanes[i]);
		free(s->lanes[i]);
	}
	free(s->lanes);
	shelf_heap_release(&s->open);
	free(s->fresh);
}

static void move(struct sched *s, struct shelf *shelf, struct shelf_heap *to, struct gate *at)
{
	if (shelf_move(shelf, to, at) < 0)
		s->failed = true;
}

/* Have the first of those it stops looked at again, if it has room. The others follow one by one:
 * whoever passes, or is stopped elsewhere, stirs it again. */
static void stir(struct sched *s, struct gate *g)
{
	struct shelf *first = g && gate_has_room(g) ? shelf_heap_first(&g->parked) : NULL;

	if (first)
		move(s, first, &s->open, NULL);
}

int sched_set_lane(struct sched *s, int lane, int max_running)
{
	if (lane >= s->nlanes) {
		struct gate **grown =
			reallocarray(s->lanes, (size_t)lane + 1, sizeof(struct gate *));
		if (!grown)
			return -1;
		s->lanes = grown;
	}
	for (; s->nlanes <= lane; s->nlanes++) {
		s->lanes[s->nlanes] = calloc(1, sizeof **s->lanes);
		if (!s->lanes[s->nlanes])
			return -1;
		s->lanes[s->nlanes]->kind = GATE_LANE;
	}
	s->lanes[lane]->max = max_running;
	stir(s, s->lanes[lane]);
	return 0;
}

int sched_set_pool(struct sched *s, const char *name, int slots)
{
	struct named_gate *g = find_gate(s, &s->pools, GATE_POOL, name);

	if (!g)
		return -1;
	g->gate.max = slots;
	stir(s, &g->gate);
	return 0;
}

static int by_name(const struct named_gate *a, const struct named_gate *b)
{
	return strcmp(a->name, b->name);
}

/* The named gate a shelf's pool is part of. */
static struct named_gate *named(struct gate *g)
{
	return (struct named_gate *)((char *)g - offsetof(struct named_gate, gate));
}

void sched_each_pool(struct sched *s, void (*fn)(void *arg, const struct sched_pool *p), void *arg)
{
	HASH_SORT(s->pools, by_name);
	for (struct named_gate *g = s->pools; g; g = g->hh.next)
		g->nrunning = g->nwaiting = 0;
	for (const struct live_run *r = s->runs; r; r = r->hh.next)
		for (int i = 0; i < r->nlive; i++) {
			const struct live_task *t = &r->tasks[i];
			struct gate *pool = r->shelves[t->shelf].gates[GATE_POOL];
			if (!pool)
				continue;
			named(pool)->nrunning += t->state == TASK_RUNNING;
			named(pool)->nwaiting += t->ready;
		}
	for (const struct named_gate *g = s->pools; g; g = g->hh.next)
		fn(arg, &(struct sched_pool){ .name = g->name,
				.slots = g->gate.max,
				.used = g->gate.used,
				.running = g->nrunning,
				.waiting = g->nwaiting });
}

/* An entry of a task that waits still. */
static const struct waiting *entry_of(const struct shelf *shelf, const struct live_task *t)
{
	for (size_t i = 0; t->ready && i < shelf->n; i++)
		if (shelf->list[i].seq == t->seq)
			return &shelf->list[i];
	return NULL;
}

static int count_before(const struct shelf *shelf, const struct waiting *w)
{
	int n = 0;

	for (size_t i = 0; i < shelf->n; i++) {
		const struct waiting *other = &shelf->list[i];
		const struct live_task *t = &shelf->run->tasks[other->task];
		n += t->ready && t->seq == other->seq &&
		     (other->key < w->key || (other->key == w->key && other->seq < w->seq));
	}
	return n;
}

int sched_ahead(const struct sched *s, int64_t run_id, int task)
{
	const struct live_run *r = find_run(s, run_id);
	int n = 0;

	if (!r || task < 0 || task >= r->nlive)
		return -1;
	const struct shelf *shelf = &r->shelves[r->tasks[task].shelf];
	const struct waiting *w = entry_of(shelf, &r->tasks[task]);
	const struct gate *gate = shelf->at ? shelf->at : shelf->gates[GATE_LANE];
	if (!w)
		return -1;
	for (const struct live_run *other = s->runs; other; other = other->hh.next)
		for (int i = 0; i < other->nshelves; i++)
			if (other->shelves[i].gates[gate->kind] == gate)
				n += count_before(&other->shelves[i], w);
	return n;
}

/* ---- shelves -------------------------------------------------------------------------- */

/* The shelf of the run for tasks of a pool, or of none. */
static int shelf_of(struct sched *s, struct live_run *r, const char *pool)
{
	struct named_gate *g = pool ? find_gate(s, &s->pools, GATE_POOL, pool) : NULL;

	if (!g)
		return 0;
	if (g->run_id != r->id || g->shelf >= r->nshelves ||
		r->shelves[g->shelf].gates[GATE_POOL] != &g->gate) {
		g->run_id = r->id;
		g->shelf = r->nshelves;
		r->shelves[r->nshelves++] = (struct shelf){ .gates[GATE_POOL] = &g->gate };
	}
	return g->shelf;
}

/* One that bounds its instances has a shelf of its own for them. */
static int own_shelf(struct sched *s, struct live_run *r, int task)
{
	const char *pool = r->dag->tasks[task].pool;
	struct named_gate *g = pool ? find_gate(s, &s->pools, GATE_POOL, pool) : NULL;
	struct gate *own = &r->mappings[task].gate;

	own->kind = GATE_MAPPING;
	own->max = r->dag->tasks[task].foreach->max_active;
	r->shelves[r->nshelves] = (struct shelf){ .gates[GATE_POOL] = g ? &g->gate : NULL,
		.gates[GATE_MAPPING] = own };
	return r->nshelves++;
}

static bool is_bounded(const struct task *def)
{
	return def->foreach && def->foreach->max_active > 0;
}

static int count_shelves(const struct dag *dag)
{
	int n = 0;

	for (int i = 0; i < dag->ntasks; i++)
		n += dag->tasks[i].pool != NULL || is_bounded(&dag->tasks[i]);
	return n;
}

int sched_make_shelves(struct sched *s, struct live_run *r)
{
	int most = count_shelves(r->dag);

	/* The first is of those without a pool. */
	r->shelves = calloc((size_t)most + 1, sizeof *r->shelves);
	r->dag_gate = find_gate(s, &s->dags, GATE_DAG, r->dag->name ? r->dag->name : "");
	if (!r->shelves || !r->dag_gate)
		return -1;
	r->nshelves = 1;
	for (int i = 0; i < r->dag->ntasks; i++)
		r->tasks[i].shelf = is_bounded(&r->dag->tasks[i])
					    ? own_shelf(s, r, i)
					    : shelf_of(s, r, r->dag->tasks[i].pool);
	for (int i = r->dag->ntasks; i < r->nlive; i++)
		r->tasks[i].shelf = r->tasks[r->tasks[i].def].shelf;
	for (int i = 0; i < r->nshelves; i++) {
		r->shelves[i].run = r;
		r->shelves[i].gates[GATE_LANE] = s->lanes[r->lane];
		r->shelves[i].gates[GATE_DAG] = &r->dag_gate->gate;
	}
	r->dag_gate->nruns++;
	/* The version taken in last says how many. */
	r->dag_gate->gate.max = r->dag->max_active_tasks > 0 ? r->dag->max_active_tasks : INT_MAX;
	stir(s, &r->dag_gate->gate);
	return 0;
}

void sched_drop_shelves(struct sched *s, struct live_run *r)
{
	for (int i = 0; i < r->nshelves; i++)
		shelf_take_out(&r->shelves[i]);
	/* It may have been the one that was to be looked at, where others wait, too. */
	for (int i = 0; i < r->nshelves; i++)
		for (int k = 0; k < GATE_KIND_MAX; k++)
			stir(s, r->shelves[i].gates[k]);
	for (int i = 0; i < r->nshelves; i++)
		shelf_release(&r->shelves[i]);
	free(r->shelves);
	r->shelves = NULL;
	if (r->dag_gate && --r->dag_gate->nruns == 0)
		free_gate(&s->dags, r->dag_gate);
	r->dag_gate = NULL;
}

static struct shelf *shelf_at(const struct ref *at)
{
	return &at->run->shelves[live(at)->shelf];
}

static int slots_of(const struct ref *at)
{
	int slots = def_of(at)->slots;

	return slots > 1 ? slots : 1;
}

/* What waits takes no places: when it is there, its attempt only says so. */
static bool waits(const struct ref *at)
{
	return def_of(at)->waits;
}

void sched_enter_gates(const struct ref *at)
{
	const struct shelf *shelf = shelf_at(at);

	for (int k = 0; k < GATE_KIND_MAX && !waits(at); k++)
		if (shelf->gates[k])
			shelf->gates[k]->used += k == GATE_POOL ? slots_of(at) : 1;
}

void sched_leave_gates(struct sched *s, const struct ref *at)
{
	const struct shelf *shelf = shelf_at(at);

	for (int k = 0; k < GATE_KIND_MAX && !waits(at); k++) {
		if (!shelf->gates[k])
			continue;
		shelf->gates[k]->used -= k == GATE_POOL ? slots_of(at) : 1;
		stir(s, shelf->gates[k]);
	}
}

static int64_t key_of(const struct sched *s, const struct ref *at)
{
	int64_t points = def_of(at)->weight;

	if (at->run->lane > 0)
		points -= BACKFILL_POINTS;
	return s->now_us - points * POINT_US;
}

void sched_push_ready(struct sched *s, const struct ref *at)
{
	sched_push_back(s, at, key_of(s, at));
}

void sched_push_back(struct sched *s, const struct ref *at, int64_t key)
{
	struct live_task *t = live(at);
	struct shelf *shelf = shelf_at(at);

	/* A mapped task never starts itself: it asks for its list. */
	if (t->ready || (is_mapped(at) && sched_is_listed(at)))
		return;
	sched_leave_breaker(s, t);
	if (waits_outside(at)) {
		sched_ask_outside(s, at);
		return;
	}
	if (is_mapped(at) || waits(at) || (def_of(at)->only_if && !t->asked)) {
		sched_ask(s, at);
		return;
	}
	const struct waiting w = {
		.key = key, .seq = ++s->seq, .task = at->task, .slots = slots_of(at)
	};
	if (shelf_push(shelf, &w) < 0 ||
		!sched_grow(s, &s->fresh, s->nfresh, &s->fresh_cap, sizeof *s->fresh)) {
		s->failed = true;
		return;
	}
	t->ready = true;
	t->seq = w.seq;
	s->fresh[s->nfresh++] = (struct fresh){ at->run->slot, at->task, w.seq };
	/* A new front may pass where the old one could not. */
	if (shelf_front(shelf)->seq == w.seq)
		move(s, shelf, &s->open, NULL);
}

/* ---- who may pass --------------------------------------------------------------------- */

bool sched_hold_it(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	if (!is_held(at))
		return false;
	if (t->state != TASK_HELD)
		sched_set_task(s, at, TASK_HELD, held_why(at), now_us);
	t->ready = false;
	return true;
}

/* Does the task still wait, by this entry? */
static bool is_waiting(struct sched *s, const struct ref *at, uint64_t seq, int64_t now_us)
{
	struct live_task *t = live(at);

	if (!t->ready || t->seq != seq)
		return false;
	if (task_state_is_final(t->state) || starts_no_more(at)) {
		t->ready = false;
		return false;
	}
	return !sched_hold_it(s, at, now_us);
}

/* Take away what no longer waits, or now waits with a breaker; false when nothing is left. */
static bool clean_front(struct sched *s, struct shelf *shelf, int64_t now_us)
{
	const struct waiting *w;

	while ((w = shelf_front(shelf))) {
		const struct ref at = { shelf->run, w->task };
		if (is_waiting(s, &at, w->seq, now_us) &&
			!sched_stop_at_breaker(s, &at, w->key, now_us))
			return true;
		shelf_pop(shelf);
	}
	return false;
}

/* The lane, DAG or mapping that stops all of the shelf. */
static struct gate *stopped_by(const struct shelf *shelf)
{
	for (int k = 0; k < GATE_POOL; k++)
		if (shelf->gates[k] && !gate_has_room(shelf->gates[k]))
			return shelf->gates[k];
	return NULL;
}

/* The first of those that a pool, and nothing else, stops. Places for a wide task are kept free for
 * it alone as long as it could use them. */
static struct shelf *front_of_pool(struct sched *s, struct gate *pool, int64_t now_us)
{
	struct shelf *first;

	while ((first = shelf_heap_first(&pool->parked)) && !s->failed) {
		struct gate *other;
		const struct waiting *was = shelf_front(first);
		uint64_t seq = was->seq;
		if (!clean_front(s, first, now_us) || shelf_front(first)->seq != seq)
			continue;
		other = stopped_by(first);
		if (!other)
			return first;
		move(s, first, &other->parked, other);
	}
	return NULL;
}

/* The gate that stops the front of the shelf; NULL: none does. */
static struct gate *find_stop(struct sched *s, struct shelf *shelf, int64_t now_us)
{
	struct gate *pool = shelf->gates[GATE_POOL], *stop = stopped_by(shelf);

	if (stop || !pool)
		return stop;
	struct shelf *first = front_of_pool(s, pool, now_us);
	if (first && shelf_before(first, shelf))
		return pool;
	return gate_admits(pool, shelf_front(shelf)->slots) ? NULL : pool;
}

/* Pools with room, whose first is now stopped elsewhere: the next one's turn. */
static void look_at_pools(struct sched *s, int64_t now_us)
{
	for (struct named_gate *g = s->pools; g; g = g->hh.next) {
		if (!gate_has_room(&g->gate) || !shelf_heap_first(&g->gate.parked))
			continue;
		struct shelf *first = front_of_pool(s, &g->gate, now_us);
		if (first && gate_admits(&g->gate, shelf_front(first)->slots))
			move(s, first, &s->open, NULL);
	}
}

static void start_front(struct sched *s, struct shelf *shelf, int64_t now_us)
{
	const struct ref at = { shelf->run, shelf_front(shelf)->task };

	shelf_pop(shelf);
	live(&at)->ready = false;
	sched_start(s, &at, now_us);
	/* What keeps the places of a pool may be stopped by this. */
	if (stopped_by(shelf))
		look_at_pools(s, now_us);
}

/* Look at the best shelf: start its front, or park it. */
static void look_at_first(struct sched *s, int64_t now_us)
{
	struct shelf *shelf = shelf_heap_first(&s->open);
	struct gate *stop = NULL;

	if (clean_front(s, shelf, now_us)) {
		stop = find_stop(s, shelf, now_us);
		if (stop)
			move(s, shelf, &stop->parked, stop);
		else
			start_front(s, shelf, now_us);
	}
	for (int k = 0; k < GATE_KIND_MAX; k++)
		if (shelf->gates[k] != stop)
			stir(s, shelf->gates[k]);
}

enum reason sched_wait_reason(const struct ref *at)
{
	static const enum reason reasons[GATE_KIND_MAX] = {
		[GATE_LANE] = REASON_SLOT_WAIT,
		[GATE_DAG] = REASON_DAG_LIMIT,
		[GATE_MAPPING] = REASON_MAP_LIMIT,
		[GATE_POOL] = REASON_POOL_FULL,
	};
	const struct gate *gate = shelf_at(at)->at;

	return gate ? reasons[gate->kind] : REASON_SLOT_WAIT;
}

enum reason sched_waits_for(const struct sched *s, int64_t run_id, int task)
{
	struct live_run *r = find_run(s, run_id);

	if (!r || task < 0 || task >= r->nlive || !r->tasks[task].ready)
		return REASON_NONE;
	return sched_wait_reason(&(struct ref){ r, task });
}

/* Those that found no way through say so, once; those that are held leave the queue. */
static void tell_waiting(struct sched *s, int64_t now_us)
{
	for (size_t i = 0; i < s->nfresh; i++) {
		const struct fresh *f = &s->fresh[i];
		struct live_run *r = f->slot < s->nslots ? s->slots[f->slot] : NULL;
		const struct ref at = { r, f->task };
		if (!r || f->task >= r->nlive || !is_waiting(s, &at, f->seq, now_us))
			continue;
		enum task_state state = live(&at)->state;
		if (state == TASK_NONE || state == TASK_SCHEDULED || state == TASK_UP_FOR_RETRY ||
			state == TASK_HELD)
			sched_set_task(s, &at, TASK_QUEUED, sched_wait_reason(&at), now_us);
	}
	s->nfresh = 0;
}

void sched_start_ready(struct sched *s, int64_t now_us)
{
	if (sched_may_start(s))
		look_at_pools(s, now_us);
	do {
		while (shelf_heap_first(&s->open) && sched_may_start(s))
			look_at_first(s, now_us);
		/* What an open breaker skipped or failed may let others start. */
		sched_spread_news(s, now_us);
	} while (shelf_heap_first(&s->open) && sched_may_start(s));
	tell_waiting(s, now_us);
}
