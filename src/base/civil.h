/* Civil time: dates and times of day as people write them, with no zone attached.
 *
 * The calendar is the proleptic Gregorian one (ISO 8601): 1582 is a year like any other, year 0
 * exists. A day has 86,400 seconds; leap seconds are not counted, as POSIX time does not.
 * A *day number* is the days since 1970-01-01, negative before it. Everything here is pure.
 *
 * Arithmetic works for the years CIVIL_YEAR_MIN to CIVIL_YEAR_MAX; text for 0000 to 9999.
 */
#ifndef WEIR_BASE_CIVIL_H
#define WEIR_BASE_CIVIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

#define CIVIL_YEAR_MIN (-400000)
#define CIVIL_YEAR_MAX 400000
#define CIVIL_US_PER_S INT64_C(1000000)
#define CIVIL_S_PER_DAY INT64_C(86400)
#define CIVIL_US_PER_DAY (CIVIL_S_PER_DAY * CIVIL_US_PER_S)

struct civil {
	int year;
	int month; /* 1 to 12 */
	int day;   /* 1 to 31 */
	int hour, min, sec;
	int usec; /* 0 to 999999 */
};

/* What a text said, for callers to whom `2026-11-19` and `2026-11-19T00:00` differ. */
enum civil_part {
	CIVIL_HAS_TIME = 1 << 0, /* hours and minutes */
	CIVIL_HAS_SECONDS = 1 << 1,
	CIVIL_HAS_FRACTION = 1 << 2,
	CIVIL_HAS_OFFSET = 1 << 3, /* `Z` or +hh:mm: the text names an instant */
};

struct civil_text {
	struct civil civil; /* absent parts are 0 */
	unsigned parts;     /* enum civil_part, or-ed */
	int utc_offset_s;   /* east of UTC is positive; 0 without CIVIL_HAS_OFFSET */
};

bool civil_is_leap(int year);
int civil_days_in_month(int year, int month); /* month 1 to 12 */
int64_t civil_day(int year, int month, int day);
/* Fill year, month and day; the time of day becomes 00:00. */
void civil_from_day(int64_t day, struct civil *ret);
int civil_weekday(int64_t day);               /* 0: Sunday ... 6: Saturday, as cron counts */
int civil_day_of_year(const struct civil *c); /* 1 to 366 */
/* The ISO 8601 week (1 to 53) and the year it belongs to, which can differ from the date's. */
void civil_iso_week(int64_t day, int *ret_year, int *ret_week);
/* Move by months; a day the month has not becomes its last: 31 January + 1 is 28 or 29 February. */
void civil_add_months(struct civil *c, int months);
/* Microseconds from 1970-01-01T00:00 to c, both on the same clock, and back. */
int64_t civil_to_us(const struct civil *c);
void civil_from_us(int64_t us, struct civil *ret);

/* a / b and a modulo b rounded towards minus infinity; b is positive. Inline, since b mostly
 * is a constant and a division by one is cheap. */
static inline int64_t civil_floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static inline int64_t civil_floor_mod(int64_t a, int64_t b)
{
	int64_t m = a % b;

	return m < 0 ? m + b : m;
}

/* Read a date or a date and time: RFC 3339, and of ISO 8601 the forms without zone, seconds or
 * time. `YYYY-MM-DD[(T| )hh:mm[:ss[.fraction]][Z|+hh:mm|+hhmm|+hh]]`. A fraction has up to nine
 * digits; what is finer than a microsecond is cut off. All of the text must be used; every
 * value is checked (2026-02-30, 24:00 and second 60 are errors that say so). ERR_INVALID. */
int civil_parse(const char *text, struct civil_text *ret, struct err *err);

/* The instant of a text that has an offset, in microseconds since the epoch, UTC. */
int64_t civil_text_us(const struct civil_text *t);

int civil_add_date(struct buf *out, const struct civil *c); /* 2026-11-19 */
/* 2026-11-19T02:00:00+01:00; a fraction (six digits) only where there is one; offset 0 is `Z`.
 * An offset with seconds (local mean times before 1900 or so) is written +hh:mm:ss. */
int civil_add_rfc3339(struct buf *out, const struct civil *c, int utc_offset_s);
int civil_add_offset(struct buf *out, int utc_offset_s, bool colon); /* +01:00 or +0100 */

/* Format as strftime(3) does in the C locale. Conversions: %Y %C %y %G %g %m %b %h %B %d %e %j %a
 * %A %u %w %U %W %V %H %I %k %l %M %S %p %f (microseconds, six digits) %F %D %T %R %z %:z %Z %s
 * %n %t %%. Flags between % and the letter: `-` no padding, `_` padded with spaces, `0` with
 * zeros, `^` upper case. An unknown conversion is ERR_INVALID and named. What was appended
 * before a failure stays in out. `abbrev` is what %Z prints; NULL: the offset. */
int civil_strftime(struct buf *out, const struct civil *c, int utc_offset_s, const char *abbrev,
	const char *fmt, struct err *err);

#endif
