/* Gates and shelves: what bounds how much runs at once, and the tasks that wait for it.
 *
 * A gate lets through as long as what went through it and is not back leaves room: a lane (attempts
 * of the night's work, or of one backfill), a DAG (its tasks over all its runs), a mapping (of a
 * mapped task in a run), a pool (slots). A shelf holds the waiting tasks of one run that pass the
 * same gates, the first in front. A shelf whose front cannot pass stands parked at the gate that
 * stops it, and nobody looks at it, or at what waits behind it, before that gate has room. The
 * scheduler's rules are in core/sched_queue.c; here is only how they are kept in order: each step
 * takes O(log n).
 *
 * The order is that of `key`, then of `seq`: smaller ones first.
 */
#ifndef WEIR_CORE_GATE_H
#define WEIR_CORE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct live_run;
struct shelf;

struct shelf_heap {
	struct shelf **list;
	size_t n, cap;
};

enum gate_kind { GATE_LANE, GATE_DAG, GATE_MAPPING, GATE_POOL, GATE_KIND_MAX };

struct gate {
	enum gate_kind kind;
	int max, used;
	struct shelf_heap parked; /* shelves whose front it stops */
};

struct waiting {
	int64_t key;
	uint64_t seq; /* of all that ever waited; never 0 */
	int task;
	int slots; /* of the pool; at least 1 */
};

struct shelf {
	struct live_run *run;
	struct gate *gates[GATE_KIND_MAX]; /* GATE_MAPPING, GATE_POOL: NULL, when it has none */
	struct waiting *list;              /* a heap */
	size_t n, cap;
	struct shelf_heap *in; /* where it stands; NULL: nowhere */
	struct gate *at;       /* the gate it is parked at; NULL: none */
	size_t place;          /* in that heap */
};

/* Does it let `slots` more through? What is wider than the gate itself goes through alone. */
bool gate_admits(const struct gate *g, int slots);
bool gate_has_room(const struct gate *g);
void gate_release(struct gate *g);

/* Put a shelf with something on it into a heap, parked at `at` (or NULL), out of the one it was
 * in. -1: out of memory. */
int shelf_move(struct shelf *s, struct shelf_heap *to, struct gate *at);
void shelf_take_out(struct shelf *s); /* out of the heap it is in */
struct shelf *shelf_heap_first(const struct shelf_heap *h);
void shelf_heap_release(struct shelf_heap *h);

/* Both keep the shelf's place right. The new one may be the front then. -1: out of memory. */
int shelf_push(struct shelf *s, const struct waiting *w);
/* Take the front away; a shelf that is empty then leaves its heap. */
void shelf_pop(struct shelf *s);
const struct waiting *shelf_front(const struct shelf *s);        /* NULL: it is empty */
bool shelf_before(const struct shelf *a, const struct shelf *b); /* by their fronts */
void shelf_release(struct shelf *s);

#endif
