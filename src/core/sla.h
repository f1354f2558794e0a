/* SLAs: until when something has to be done, and whether it was.
 *
 * `sla:` of a DAG or of one of its tasks is a set of policies:
 *
 *     finish_by       the first time after the run was due that the clock in the schedule's zone
 *                     shows this time of day, on a day the calendar allows
 *     finish_within   this long after the end of the interval
 *     start_within    this long after the run was due
 *     runs_at_most    this long after the run, or the attempt of the task, began
 *     slower_than     so many times the median of the last successful ones, after it began
 *     fresh_within    this long after the last update of a dataset comes the next
 *
 * The first three are deadlines of an interval: they are known before there is a run, and hold
 * whether there is one or not (core/sla_clock.h says which comes next). The other two are limits of
 * what runs. A day has one deadline of finish_by: a time that does not exist on it (the clock goes
 * forward) is the end of the gap, of a time that comes twice it is the first.
 *
 * The last is of no run, but of datasets (core/dataset.h): those that a task produces; of a DAG
 * those that its schedule waits for, or else those that its tasks produce.
 *
 * An interval that will never run, because the schedule has passed it over (catchup, overlap), has
 * no deadlines. With `warn_ahead` a run that is not done so long before its deadline of finishing
 * is looked at (core/foresight.h): at risk.
 *
 * Pure.
 */
#ifndef WEIR_CORE_SLA_H
#define WEIR_CORE_SLA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct schedule_spec;
struct tick;

enum sla_kind {
	SLA_FINISH_BY,
	SLA_FINISH_WITHIN,
	SLA_START_WITHIN,
	SLA_RUNS_AT_MOST,
	SLA_SLOWER_THAN,
	SLA_AT_RISK, /* of warn_ahead: of the earlier of the two finish deadlines */
	SLA_FRESH_WITHIN,
	SLA_KIND_MAX
};
const char *sla_kind_name(enum sla_kind kind); /* "finish_by" */
int sla_kind_by_name(const char *name);        /* -1: none */
/* Is it a deadline of an interval, whether that runs or not? */
bool sla_kind_is_of_interval(enum sla_kind kind);

/* What to do about a miss. */
enum sla_act {
	SLA_ALERT,
	SLA_CANCEL, /* the run, or the task */
	SLA_SKIP,   /* what has not started yet */
	SLA_ACT_MAX
};
extern const char *const sla_act_names[]; /* NULL-ended, in the order of the enum */

enum { SLA_HISTORY = 20, SLA_HISTORY_LEAST = 3 }; /* runs that a median is taken of */

struct sla {
	unsigned kinds;  /* bit 1 << enum sla_kind: given; SLA_AT_RISK: with warn_ahead */
	int finish_by_s; /* seconds of the day */
	int64_t finish_within_us, start_within_us, runs_at_most_us, warn_ahead_us, fresh_within_us;
	double slower_than;
	unsigned on_miss; /* bit 1 << enum sla_act */
};
static inline bool sla_has(const struct sla *s, enum sla_kind kind)
{
	return s->kinds & 1u << kind;
}
static inline bool sla_does(const struct sla *s, enum sla_act act)
{
	return s->on_miss & 1u << act;
}
/* "06:30" or "23:59:59" to seconds of the day; -1: it is no time of day. */
int sla_parse_time(const char *text);

/* The instant until which the interval of `tick` has to have it, for the kinds of an interval;
 * SLA_AT_RISK: that of finishing. INT64_MAX: it has no such deadline. */
int64_t sla_deadline_us(const struct sla *s, enum sla_kind kind, const struct schedule_spec *spec,
	const struct tick *tick);
/* When that is judged: at the deadline, or warn_ahead before it, but not before the run is due. */
int64_t sla_judged_at_us(const struct sla *s, enum sla_kind kind, const struct schedule_spec *spec,
	const struct tick *tick);
/* The first interval that is judged after an instant, in the order of time. 1, or 0: none. */
int sla_first_after(const struct sla *s, enum sla_kind kind, const struct schedule_spec *spec,
	int64_t after_us, struct tick *ret);
/* How long it may run; `typical_us` is the median, 0: not known. INT64_MAX: no limit. */
int64_t sla_limit_us(const struct sla *s, enum sla_kind kind, int64_t typical_us);

/* What is known of the run, or the task, of an interval. */
struct sla_facts {
	bool passed_over;             /* there is no run, and will be none */
	bool done;                    /* success, or skipped by its own rules */
	int64_t started_us, ended_us; /* 0: not yet */
};
enum sla_verdict {
	SLA_OPEN, /* its time has not come */
	SLA_MET,
	SLA_MISSED,
	SLA_VOID, /* it will never run */
	SLA_VERDICT_MAX
};
enum sla_verdict sla_judge(
	enum sla_kind kind, int64_t deadline_us, const struct sla_facts *facts, int64_t now_us);
/* Has what was missed come at last? When; 0: not yet. */
int64_t sla_reached_us(enum sla_kind kind, const struct sla_facts *facts);

/* The median of `n` durations, which are sorted; 0 when there are fewer than SLA_HISTORY_LEAST. */
int64_t sla_median_us(int64_t *us, size_t n);

#endif
