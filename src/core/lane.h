/* A lane: tasks that may start, first come first served, and how many of them may run at once.
 *
 * The runs of schedules and people share one lane; a backfill has its own, so that it never takes a
 * place from the night's work. The queue is a ring; entries whose run was dropped stay in it with
 * `run` NULL.
 */
#ifndef WEIR_CORE_LANE_H
#define WEIR_CORE_LANE_H

#include <stdbool.h>
#include <stddef.h>

struct live_run;

/* A task of an active run. */
struct ref {
	struct live_run *run; /* NULL: the run was dropped */
	int task;
};

struct lane {
	struct ref *ring;
	size_t head, n, cap;
	size_t nfresh; /* the last ones: not told yet that they wait */
	int running, max;
};

int lane_push(struct lane *l, const struct ref *at); /* -1: out of memory */
bool lane_pop(struct lane *l, struct ref *ret);      /* false when empty */
struct ref *lane_at(const struct lane *l, size_t i); /* the i-th from the head */
void lane_release(struct lane *l);

#endif
