/* Timetables: from a schedule to runs, each with the data interval it covers.
 *
 * A schedule names *ticks*: instants given by cron expressions, a fixed period or a list. From
 * ticks come intervals:
 *
 *     DATA    [tick, next tick), and the run is due when the interval is complete: at its end.
 *     POINT   [tick, tick], due at the tick.
 *
 * A list of instants (AT) always gives points. All instants are microseconds since the epoch,
 * UTC; a *day* is the day number (base/civil.h) of a local date in the schedule's zone.
 *
 * `start` and `end` limit where intervals may start: start <= interval start <= end. The first
 * interval of a schedule so begins at the first tick at or after its start, and its last may
 * be due after `end`. A date given by a user means: as `start`, the first instant of that
 * local day (zone_day_start_us); as `end`, the last microsecond of it.
 *
 * A calendar takes days away. A tick whose local date is not allowed is skipped, or moved to the
 * same local time of the next or previous allowed day (where several meet, they are one). The
 * intervals then reach from remaining tick to remaining tick: no data falls between two runs.
 *
 * Daylight saving time: core/cron.h. A period (EVERY) is elapsed time and knows none.
 *
 * Everything here is pure: a spec and an instant give an answer, which is the same for ever.
 */
#ifndef WEIR_CORE_TIMETABLE_H
#define WEIR_CORE_TIMETABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cron.h"

struct err;
struct zone;

#define TIMETABLE_CATCHUP_WINDOW_US (7 * INT64_C(86400000000)) /* 7 days, the default */
#define TIMETABLE_EVERY_MIN_US INT64_C(1000000)
#define TIMETABLE_EVERY_MAX_US (366 * 40 * INT64_C(86400000000))

enum timetable_kind {
	TIMETABLE_MANUAL, /* no ticks: people and programs start runs */
	TIMETABLE_CRON,
	TIMETABLE_EVERY,
	TIMETABLE_AT,
	TIMETABLE_KIND_MAX
};

enum timetable_interval { TIMETABLE_DATA, TIMETABLE_POINT, TIMETABLE_INTERVAL_MAX };

/* What to do about intervals that became complete while nothing ran. */
enum timetable_catchup {
	TIMETABLE_CATCHUP_LATEST, /* the default: one run, for the latest complete interval */
	TIMETABLE_CATCHUP_NONE,   /* wait for the next */
	TIMETABLE_CATCHUP_ALL,
	TIMETABLE_CATCHUP_MAX
};

enum timetable_action {
	TIMETABLE_SKIP, /* the default */
	TIMETABLE_MOVE_NEXT,
	TIMETABLE_MOVE_PREVIOUS,
	TIMETABLE_ACTION_MAX
};

/* Which days are allowed. A day is when `only` names it (or names nothing) and `exclude`
 * does not. All zero: every day is. */
struct timetable_days {
	uint8_t weekdays;    /* bit 0: Sunday ... bit 6: Saturday; business days are 0x3e */
	const int64_t *days; /* day numbers, ascending */
	size_t n_days;
};

struct timetable_calendar {
	struct timetable_days only, exclude;
	enum timetable_action action;
};

/* A schedule, as a DAG file says it. Plain data, whose arrays and zone its owner keeps alive.
 * All zero is a manual schedule in UTC with nothing limited, except that `catchup_window_us` 0
 * means no limit: set TIMETABLE_CATCHUP_WINDOW_US for the default. */
struct schedule_spec {
	enum timetable_kind kind;
	const struct zone *zone; /* NULL: UTC */

	const struct cron *crons; /* CRON: n_crons, one or more */
	size_t n_crons;
	/* EVERY: whole seconds or not, TIMETABLE_EVERY_MIN_US or more. Ticks are start_us + k *
	 * period_us; without a start, counted from the local midnight of 1970-01-01. */
	int64_t period_us;
	const int64_t *at_us; /* AT: n_at, ascending */
	size_t n_at;

	int64_t start_us, end_us; /* 0: none */
	enum timetable_interval interval;
	struct cron_dst dst;
	enum timetable_catchup catchup;
	int64_t catchup_window_us; /* intervals due longer ago are not caught up on; 0: no limit */
	struct timetable_calendar calendar;
};

/* One run that a schedule asks for. */
struct tick {
	int64_t run_after_us;     /* due at this instant */
	int64_t start_us, end_us; /* the interval: [start, end), or a point: start == end */
	int64_t local_us;         /* the local time the schedule names for run_after (cron_fire) */
	enum cron_note note;      /* what daylight saving time did to run_after */
	bool moved;               /* the calendar moved it here */
};

/* The names of DAG files: "manual", "cron"; "data", "point"; "latest", ...; "skip", "next", ... */
const char *timetable_kind_name(enum timetable_kind kind);
const char *timetable_interval_name(enum timetable_interval interval);
const char *timetable_catchup_name(enum timetable_catchup catchup);
const char *timetable_action_name(enum timetable_action action);

/* Is the spec sound? ERR_INVALID: no cron, a period out of range, lists not in order, an end before
 * the start, a calendar that allows no day. The other functions rely on it. */
int timetable_check(const struct schedule_spec *spec, struct err *err);
/* Does the calendar allow this day? */
bool timetable_day_allowed(const struct timetable_calendar *calendar, int64_t day);

/* The first run due strictly after an instant, and the last due strictly before one, within the
 * schedule's start and end. 1, or 0 when there is none. */
int timetable_next(const struct schedule_spec *spec, int64_t after_us, struct tick *ret);
int timetable_prev(const struct schedule_spec *spec, int64_t before_us, struct tick *ret);
/* The latest run whose interval is complete at `now`: due at it or before. What a manual run
 * gets that names no date. 1 or 0; a manual schedule gets the whole local day before now's, and 1.
 */
int timetable_last_complete(const struct schedule_spec *spec, int64_t now_us, struct tick *ret);

/* The interval that starts on a local date: what --date means. Returns how many start on that
 * day; *ret is the first. With 0 (the schedule has none on that day, or is manual) *ret is the
 * whole local day, from its first instant to the next day's. Neither start nor end limit it: a
 * person asked. */
int timetable_interval_for_date(const struct schedule_spec *spec, int64_t day, struct tick *ret);
/* The interval that starts exactly at an instant, or else the one that contains it; start and end
 * do not limit it. A point only exactly. Manual: the whole local day. 1 or 0. */
int timetable_interval_at(const struct schedule_spec *spec, int64_t at_us, struct tick *ret);

/* What to run next, after an outage or just now: the first interval behind `last`, the newest one
 * that has a run (NULL: there is none yet), that the catchup rule does not pass over. It can be due
 * already (run_after_us <= now) or in the future: the answer is to be kept until it is carried out,
 * and asked for again then, with it as `last`. 1 or 0.
 *
 * When the schedule has changed since, `last` may not lie on its ticks: the next interval then
 * begins at the last tick at or before the end of `last`, so that no data is left out. ALL, without
 * a start and without a `last`, begins as LATEST does. */
int timetable_catchup(const struct schedule_spec *spec, const struct tick *last, int64_t now_us,
	struct tick *ret);
/* How many intervals an outage skipped: those behind `last` and before `next`, at most `max`. */
int64_t timetable_skipped(const struct schedule_spec *spec, const struct tick *last,
	const struct tick *next, int64_t max);

/* All intervals that start in a span of time, for backfills: both ends included, ascending. `start`
 * and `end` of the spec do not limit it: the caller clips the range if it wants that.
 *
 *         struct timetable_range r;
 *         timetable_range_init(&r, spec, from_us, to_us);
 *         while (timetable_range_next(&r, &tick)) ...
 */
struct timetable_range {
	const struct schedule_spec *spec;
	int64_t to_us;
	struct tick ahead; /* a point: the tick at which the next interval starts */
	bool has_ahead;
	int64_t day; /* MANUAL: the next local day */
};

void timetable_range_init(struct timetable_range *r, const struct schedule_spec *spec,
	int64_t from_us, int64_t to_us);
/* 1 and the next interval of the range, 0 behind its last. */
int timetable_range_next(struct timetable_range *r, struct tick *ret);

#endif
