/* Cron expressions: five fields (minute, hour, day of month, month, day of week) that say
 * when to fire, as crontab(5) and POSIX crontab(1) do, with the usual extensions.
 *
 *     field          values              names
 *     minute         0-59
 *     hour           0-23
 *     day of month   1-31, L, L-n        L: the last day; L-3: the third before it
 *     month          1-12                jan-dec, january-december
 *     day of week    0-7 (0, 7: Sunday)  sun-sat, sunday-saturday
 *
 * A field is a list (`1,15`) of values, ranges (`9-17`, wrapping ones too: `22-2`, `fri-mon`), `*`,
 * and steps (`9-17/2`, and `*` with a step; `5/15` is from 5 to the end in steps of 15). `?` is `*`
 * in the two day fields. In the day of week, `5#2` is the second Friday, `L5` and `5L` the last one
 * (`5#L` too). Case does not matter. @yearly, @annually, @monthly, @weekly, @daily, @midnight and
 * @hourly stand for what they say.
 *
 * When both day fields are restricted (neither covers all of its values), a day that
 * matches either of them matches. An expression that matches no day of any year is an error.
 *
 * Daylight saving time. An expression with `*` in (or all values of) its minute or hour follows
 * real elapsed time: it fires at each instant whose local time matches, so nothing fires in a gap
 * and an overlap fires twice. Any other one names fixed times of day, to which the policy applies:
 * a time that falls into a gap fires at the first instant after the gap, or not at all; a time
 * that an overlap shows twice fires at the first, the second or both.
 *
 * Everything here is pure.
 */
#ifndef WEIR_CORE_CRON_H
#define WEIR_CORE_CRON_H

#include <stdbool.h>
#include <stdint.h>

struct civil;
struct err;
struct zone;

/* No fire further away than this is looked for; the longest wait of an expression that can fire
 * is 40 years (a fifth Friday in February, from 2188 to 2228). */
enum { CRON_HORIZON_YEARS = 41 };

/* Plain data, made by cron_parse: copy it freely. */
struct cron {
	uint64_t minutes; /* bit n: minute n, and so on */
	uint32_t hours;
	uint32_t months;
	/* The matching days of a month (bit 1 to 31) by its length less 28 and the weekday
	 * (0: Sunday) of its first day: both day fields and all their specials, worked out. */
	uint32_t days[4][7];
	bool elapsed;    /* follows real elapsed time: a wildcard minute or hour */
	bool either_day; /* both day fields are restricted: worth a remark to the user */
};

enum cron_gap {
	CRON_GAP_AFTER, /* the default: at the first instant after the gap */
	CRON_GAP_SKIP,
	CRON_GAP_MAX
};

enum cron_overlap {
	CRON_OVERLAP_FIRST, /* the default */
	CRON_OVERLAP_SECOND,
	CRON_OVERLAP_BOTH,
	CRON_OVERLAP_MAX
};

struct cron_dst {
	enum cron_gap gap;
	enum cron_overlap overlap;
};

/* What the policy did to a fire. */
enum cron_note { CRON_NOTE_NONE, CRON_NOTE_GAP, CRON_NOTE_OVERLAP, CRON_NOTE_MAX };

struct cron_fire {
	int64_t at_us;
	/* The local time that the expression names, as microseconds of the local clock
	 * (civil_from_us): differs from what the clock shows at at_us only for CRON_NOTE_GAP. */
	int64_t local_us;
	enum cron_note note;
};

/* "after", "first", "gap", ...; the names of DAG files and of --explain. */
const char *cron_gap_name(enum cron_gap gap);
const char *cron_overlap_name(enum cron_overlap overlap);
const char *cron_note_name(enum cron_note note); /* "none", "gap", "overlap" */

/* Parse. On failure err (ERR_INVALID) names the field, the value and what is allowed, and
 * *ret_col (unless NULL) is the byte offset in `text` of what is wrong. */
int cron_parse(const char *text, struct cron *ret, int *ret_col, struct err *err);
/* The wall clock shows a matching time: right minute, second 0. Knows no zone and no policy. */
bool cron_matches(const struct cron *cron, const struct civil *local);
/* The first fire strictly after, or the last strictly before, an instant: 1, or 0 when there is
 * none within CRON_HORIZON_YEARS. */
int cron_next(const struct cron *cron, const struct zone *zone, struct cron_dst dst,
	int64_t after_us, struct cron_fire *ret);
int cron_prev(const struct cron *cron, const struct zone *zone, struct cron_dst dst,
	int64_t before_us, struct cron_fire *ret);

#endif
