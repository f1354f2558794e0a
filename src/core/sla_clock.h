/* The clock of the SLAs: which deadline comes next, of all DAGs.
 *
 *     c = sla_clock_new();
 *     sla_clock_set(c, &dag, now)            a DAG with SLAs appeared or changed
 *     loop:
 *             while (sla_clock_next(c, now, &due)) ...     judge it (sla_judge), keep what is
 * missed in the same transaction: keep sla_clock_judged_us() of each DAG of them sleep until
 * sla_clock_wake_us(c)
 *
 * For each policy of a DAG or task only the interval that is judged next is here, in one heap: what
 * is not due costs nothing, however much there is of it. Intervals come from the timetable, not
 * from runs: one that was never created is judged like any other.
 *
 * After a restart it goes on from the instant up to which all was judged, at most
 * SLA_CLOCK_LOOK_BACK_US ago: deadlines that passed while nothing ran are due at once. What is
 * judged twice, after a crash, is the same deadline again. A DAG that is seen for the first time,
 * or whose schedule or SLAs have changed, is judged from now on. Times of warning (SLA_AT_RISK)
 * come again, then and after each sla_clock_set, as long as their deadlines have not passed.
 *
 * Pure.
 */
#ifndef WEIR_CORE_SLA_CLOCK_H
#define WEIR_CORE_SLA_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sla.h"
#include "core/timetable.h"

struct err;
struct sla_clock;

#define SLA_CLOCK_LOOK_BACK_US (7 * INT64_C(86400000000))

/* An SLA, and whose it is. */
struct sla_of {
	const char *task; /* NULL: of the DAG */
	struct sla sla;
};

/* How far a DAG is judged: for the store to keep. */
struct sla_mark {
	int64_t judged_us; /* all that was due by then */
	uint64_t digest;   /* of its schedule and SLAs */
};

struct sla_clock_dag {
	const char *name; /* copied */
	/* Borrowed until the DAG is set anew or removed. NULL or manual: it has no deadlines. */
	const struct schedule_spec *spec;
	const struct sla_of *slas; /* likewise */
	size_t nslas;
	const struct sla_mark *mark; /* as it was kept; NULL: none. Read when it is new here */
};

struct sla_due {
	const char *dag,
		*task; /* borrowed until the DAG is set or removed; task NULL: of the DAG */
	const struct sla *sla;
	enum sla_kind kind;
	struct tick tick;
	int64_t deadline_us;
};

struct sla_clock *sla_clock_new(void); /* NULL: out of memory */
void sla_clock_free(struct sla_clock *c);
/* Add or replace a DAG. -1: out of memory; it is not here then. */
int sla_clock_set(
	struct sla_clock *c, const struct sla_clock_dag *dag, int64_t now_us, struct err *err);
void sla_clock_remove(struct sla_clock *c, const char *dag);
/* When something is judged next; INT64_MAX: nothing ever is. */
int64_t sla_clock_wake_us(struct sla_clock *c);
/* The next deadline that is to be judged by now, in the order of time; it stays the next. */
bool sla_clock_first(struct sla_clock *c, int64_t now_us, struct sla_due *ret);
/* The same, and take it: the interval behind it is the next. */
bool sla_clock_next(struct sla_clock *c, int64_t now_us, struct sla_due *ret);
/* False: it is not here. */
bool sla_clock_mark(
	const struct sla_clock *c, const char *dag, int64_t now_us, struct sla_mark *ret);

#endif
