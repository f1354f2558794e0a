/* One DAG of the planner: its intervals, from due to decided. The rules are those of
 * core/planner.h.
 *
 * For core/planner.c; of the digest core/sla_clock.c makes use, too.
 */
#ifndef WEIR_CORE_PLANNER_DAG_H
#define WEIR_CORE_PLANNER_DAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/planner.h"

/* Decisions, in order. */
struct planner_out {
	struct planner_decision *rows;
	size_t n, cap;
	bool failed; /* out of memory */
};

struct planned {
	const char *name;
	const struct schedule_spec *spec; /* NULL: manual */
	enum planner_overlap overlap;
	int max_active, active, cancelling;
	bool paused;
	bool has_last, waiting, has_next;
	bool caught_up; /* what waits up to caught_us was brought back by the catchup rule */
	int ngaps;
	struct planner_gap *gaps; /* NULL, or room for PLANNER_GAPS_MAX */
	struct planner_span last; /* decided, up to and with it */
	struct planner_span tail; /* waiting: the last that waits */
	int64_t caught_us;
	uint64_t ticks;   /* digest of the spec's */
	struct tick head; /* waiting: the first that waits */
	struct tick next; /* has_next: the first that was not met yet */
};

/* A digest of all of a spec that ticks and intervals depend on. */
uint64_t planner_dag_ticks(const struct schedule_spec *spec);
/* Take over a stored state (NULL: none): sets what waits and what is next. */
void planner_dag_load(struct planned *d, const struct planner_state *state, int64_t now_us,
	struct planner_out *out);
void planner_dag_save(const struct planned *d, struct planner_state *ret);
/* The spec was exchanged for one with other ticks. */
void planner_dag_changed(struct planned *d, int64_t now_us, struct planner_out *out);
void planner_dag_pause(struct planned *d, int64_t now_us, struct planner_out *out);
void planner_dag_resume(struct planned *d, int64_t now_us, struct planner_out *out);
/* overlap cancel_running: ask for a slot if something waits for one. */
void planner_dag_claim(struct planned *d, struct planner_out *out);
/* Decide what comes first of that which can be decided at `now`. */
void planner_dag_step(struct planned *d, int64_t now_us, struct planner_out *out);
/* When planner_dag_step has something to do; INT64_MAX: only after an event. */
int64_t planner_dag_wake_us(const struct planned *d);
int planner_dag_waiting(const struct planned *d); /* at most PLANNER_COUNT_MAX */
void planner_dag_release(struct planned *d);

#endif
