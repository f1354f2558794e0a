/* The planner: which runs are due. Pure: (DAGs with their timetables, events, now) -> runs to
 * create.
 *
 *     p = planner_new();
 *     planner_set_dag(p, &row, now)            a DAG appeared, changed, or its switches changed
 *     loop:
 *             planner_tick(p, now)             what became due, as decisions, in order of time
 *             planner_decisions(p, &n)         in one transaction: carry them out, and keep
 *                                              planner_state() of every DAG they name; then
 *             planner_clear_decisions(p)
 *             planner_run_started / _ended     as runs of a DAG begin and end
 *             sleep until planner_wake_us(p)
 *
 * The state kept in the store comes back with planner_set_dag after a restart; a planner that goes
 * on from it decides as one that was never stopped: no interval is planned twice and none is
 * forgotten. When a commit fails, keep the decisions and commit them later with what has been added
 * since; or free the planner and load it again from the store. The cost of a tick follows what is
 * due (a heap of next ticks), never the number of DAGs.
 *
 * Each interval of a schedule is in the end created, or passed over with a reason. In order of
 * time, the intervals of a DAG are
 *
 *     decided | waiting: due, for them no slot was free | not due yet
 *             ^ last                                    ^ next
 *
 * What waits is kept as a range, whatever its length: its first and last interval, and the gaps in
 * it that were passed over meanwhile (PLANNER_GAPS_MAX; were there more, what would have been
 * passed over waits like the rest).
 *
 * Late or missed. An interval that is met at most PLANNER_OUTAGE_US after it was due is merely late
 * and is planned. When the oldest of those not met yet is older than that (an outage, a suspended
 * machine, a clock set forward), all that are due fall under the catchup rule, and so do intervals
 * that became due while the DAG was paused, and those behind `last` when its schedule changed:
 *
 *     none      they are passed over
 *     latest    the latest complete one is created, the others are passed over
 *     all       all of them are created, in order
 *
 * with what was due longer ago than the catchup window passed over. Intervals that waited already
 * are not asked again: a pause or an outage holds them up, no more. But what has waited for longer
 * than the catchup window (and PLANNER_OUTAGE_US) when its turn comes is passed over (MISSED).
 *
 * No slot is free, max_active_runs being active, when an interval comes due:
 *
 *     queue             it waits, and all that wait are created in order, whatever the catchup rule
 *     skip              it is passed over (OVERLAP). With catchup all, what is caught up on waits
 *     cancel_running    the oldest active run is cancelled and the interval created once a run has
 *                       ended. Only the newest waits: what waited before it is passed over
 *                       (OVERLAP). With catchup all nothing is passed over, and a run is cancelled
 *                       only for an interval that finds nothing waiting
 *
 * The clock may jump. Forward: see above. Backward: what was decided stays decided; nothing is
 * planned a second time, nor before its time.
 *
 * A new schedule (one whose ticks differ: planner_state.ticks) goes on from `last` as
 * timetable_catchup says, by the catchup rule; what waited is judged anew by its ticks. When it
 * became manual, nothing is decided until it has ticks again. A DAG that is seen for the first time
 * begins with the interval timetable_catchup gives without a `last`.
 */
#ifndef WEIR_CORE_PLANNER_H
#define WEIR_CORE_PLANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/timetable.h"

struct buf;
struct err;
struct planner;

#define PLANNER_OUTAGE_US (60 * INT64_C(1000000))

enum { PLANNER_GAPS_MAX = 16, PLANNER_COUNT_MAX = 2000 };

/* A run is due while max_active_runs of the DAG are active. */
enum planner_overlap {
	OVERLAP_QUEUE, /* the default */
	OVERLAP_SKIP,
	OVERLAP_CANCEL_RUNNING,
	OVERLAP_MAX
};
const char *planner_overlap_name(enum planner_overlap o); /* "queue", "skip", "cancel_running" */
extern const char *const planner_overlap_names[];         /* NULL-ended */

/* The interval of a tick. */
struct planner_span {
	int64_t start_us, end_us;
};

/* How far a DAG's schedule is decided: plain data, for the store to keep. All zero: nothing
 * is. */
struct planner_state {
	bool has_last;
	struct planner_span last; /* all up to and with this interval are decided on */
	bool waiting;             /* those behind `last` up to and with `tail` wait */
	struct planner_span tail;
	uint64_t ticks; /* a digest of the schedule's ticks */
	/* Behind `last`: intervals that were passed over while others before them wait,
	 * ascending. */
	int ngaps;
	struct planner_gap {
		int64_t from_us; /* start of the first */
		struct planner_span last;
	} gaps[PLANNER_GAPS_MAX];
};

/* The state as one line of text without a line break, and back. _add is sticky as buf is; _parse:
 * ERR_INVALID, and then *ret is all zero: nothing is known. */
void planner_state_add(struct buf *out, const struct planner_state *state);
int planner_state_parse(const char *text, struct planner_state *ret, struct err *err);

struct planner_dag {
	const char *name; /* copied */
	/* Borrowed until planner_set_dag has set another or the DAG is removed; NULL or manual:
	 * never due. Sound (timetable_check). */
	const struct schedule_spec *spec;
	int max_active_runs; /* at least 1; less means 1 */
	enum planner_overlap overlap;
	bool paused; /* nothing is created */
	/* Read only when the DAG is new to the planner; later it knows better. */
	const struct planner_state *state; /* NULL: there is none. Not kept */
	int active;     /* runs of the schedule that are not final, as the store knows them */
	int cancelling; /* of these, how many are being cancelled */
};

enum planner_action {
	PLANNER_CREATE, /* create the run of `tick`; it counts as active from now on. Should the
			   run exist already: planner_run_ended, unless it is active */
	PLANNER_SKIP,   /* record that `count` intervals from `tick` on were passed over, and why */
	PLANNER_CANCEL, /* cancel the oldest active run of the DAG that is not being cancelled; to
			   make room for `tick` */
	PLANNER_KEEP,   /* nothing to do but to keep the state */
	PLANNER_ACTION_MAX
};
const char *planner_action_name(enum planner_action action); /* "create", "skip", ... */

enum planner_why {
	PLANNER_DUE,
	PLANNER_CAUGHT_UP, /* created late, by the catchup rule */
	PLANNER_WAITED,    /* created late, after an earlier run had ended or a pause */
	PLANNER_OVERLAP,   /* skipped, or cancelled: another run was active */
	PLANNER_MISSED,    /* skipped by the catchup rule or its window */
	PLANNER_WAITS,     /* keep: `tick` is due and waits */
	PLANNER_BEGINS,    /* keep: the schedule is new or has changed; `tick` is its next (or,
			      when it is over, its last) */
	PLANNER_WHY_MAX
};
const char *planner_why_name(enum planner_why w); /* "due", "caught_up", ... */

struct planner_decision {
	enum planner_action action;
	enum planner_why why;
	const char *dag; /* borrowed until planner_clear_decisions */
	struct tick tick;
	/* SKIP: from `tick` to the interval that starts at until_us, all of the schedule's
	 * (PLANNER_COUNT_MAX: or more). Else 1, and the start of `tick`. */
	int64_t count, until_us;
};

struct planner *planner_new(void); /* NULL: out of memory */
void planner_free(struct planner *p);
/* Add, or replace by name. Can leave decisions. -1: out of memory. */
int planner_set_dag(
	struct planner *p, const struct planner_dag *dag, int64_t now_us, struct err *err);
/* Decisions about it that were made stay. Unknown names are no error. */
void planner_remove_dag(struct planner *p, const char *name);
/* -1: out of memory, now or since the last call: what is here can no longer be trusted. */
int planner_tick(struct planner *p, int64_t now_us, struct err *err);
/* The same, until there are `max` decisions more, or a few above: what is left is due still. */
int planner_tick_some(struct planner *p, int64_t now_us, size_t max, struct err *err);
const struct planner_decision *planner_decisions(const struct planner *p, size_t *ret_n);
void planner_clear_decisions(struct planner *p);
/* What the store is to keep of a DAG. False: it is unknown, or there is nothing to keep. */
bool planner_state(const struct planner *p, const char *dag, struct planner_state *ret);
/* A run of the schedule became active by other means (taken over), or ended. Backfills and manual
 * runs do not count. */
void planner_run_started(struct planner *p, const char *dag);
void planner_run_ended(struct planner *p, const char *dag);
/* When planner_tick must be called at the latest; in the past: now. INT64_MAX: only after an event.
 * Clocks jump: sleep by the clock on the wall, and call it when that was set. */
int64_t planner_wake_us(const struct planner *p);

/* What a person is shown: when the DAG runs next, and what holds it up. */
struct planner_view {
	bool known, paused;
	bool has_next;
	struct tick next; /* the next interval to be created */
	int active;       /* runs */
	int waiting;      /* intervals that wait for a run to end; at most PLANNER_COUNT_MAX */
};
void planner_view(const struct planner *p, const char *dag, struct planner_view *ret);

#endif
