#include "base/civil.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"

enum { DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400 };

/* Days from 0000-03-01 to 1970-01-01. Years that begin in March have the leap day at their end,
 * which makes the length of all earlier months a constant. */
enum { DAYS_TO_EPOCH = 719468 };

bool civil_is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int civil_days_in_month(int year, int month)
{
	static const int8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && civil_is_leap(year));
}

int64_t civil_day(int year, int month, int day)
{
	int64_t y = (int64_t)year - (month <= 2);
	int64_t era = civil_floor_div(y, YEARS_PER_ERA);
	int64_t of_era = y - era * YEARS_PER_ERA;
	int from_march = (month + 9) % 12;
	/* 153 days are five months of 31, 30, 31, 30, 31: March to July, August to December. */
	int64_t day_of_year = (153 * from_march + 2) / 5 + day - 1;

	return era * DAYS_PER_ERA + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year -
	       DAYS_TO_EPOCH;
}

void civil_from_day(int64_t day, struct civil *ret)
{
	int64_t since = day + DAYS_TO_EPOCH;
	int64_t era = civil_floor_div(since, DAYS_PER_ERA);
	uint32_t of_era = (uint32_t)(since - era * DAYS_PER_ERA);
	/* Take the leap days out (1,460 days to each, 36,524 to each that is left out), so
	 * that every year of the era has 365. */
	uint32_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	uint32_t of_year = of_era - (365 * year + year / 4 - year / 100);
	uint32_t from_march = (5 * of_year + 2) / 153;

	*ret = (struct civil){
		.year = (int)(era * YEARS_PER_ERA + year) + (from_march >= 10),
		.month = (int)(from_march < 10 ? from_march + 3 : from_march - 9),
		.day = (int)(of_year - (153 * from_march + 2) / 5 + 1),
	};
}

int civil_weekday(int64_t day)
{
	return (int)civil_floor_mod(day + 4, 7); /* 1970-01-01 was a Thursday */
}

int civil_day_of_year(const struct civil *c)
{
	return (int)(civil_day(c->year, c->month, c->day) - civil_day(c->year, 1, 1)) + 1;
}

void civil_iso_week(int64_t day, int *ret_year, int *ret_week)
{
	/* A week belongs to the year of its Thursday. */
	int64_t thursday = day - (civil_weekday(day) + 6) % 7 + 3;
	struct civil c;

	civil_from_day(thursday, &c);
	*ret_year = c.year;
	*ret_week = (int)(thursday - civil_day(c.year, 1, 1)) / 7 + 1;
}

void civil_add_months(struct civil *c, int months)
{
	int64_t n = (int64_t)c->year * 12 + (c->month - 1) + months;

	c->year = (int)civil_floor_div(n, 12);
	c->month = (int)civil_floor_mod(n, 12) + 1;
	int last = civil_days_in_month(c->year, c->month);
	if (c->day > last)
		c->day = last;
}

int64_t civil_to_us(const struct civil *c)
{
	int64_t s = civil_day(c->year, c->month, c->day) * CIVIL_S_PER_DAY + c->hour * 3600 +
		    c->min * 60 + c->sec;

	/* INT64_MIN microseconds lie within a second whose start does not fit. */
	int64_t us = 0;
	if (__builtin_mul_overflow(s, CIVIL_US_PER_S, &us))
		return s < 0 ? INT64_MIN : INT64_MAX;
	return __builtin_add_overflow(us, (int64_t)c->usec, &us) ? INT64_MAX : us;
}

void civil_from_us(int64_t us, struct civil *ret)
{
	int64_t day = civil_floor_div(us, CIVIL_US_PER_DAY);
	/* Not us - day * CIVIL_US_PER_DAY: the product can leave the type near INT64_MIN. */
	int64_t rest = civil_floor_mod(us, CIVIL_US_PER_DAY);
	int s = (int)(rest / CIVIL_US_PER_S);

	civil_from_day(day, ret);
	ret->hour = s / 3600;
	ret->min = s / 60 % 60;
	ret->sec = s % 60;
	ret->usec = (int)(rest % CIVIL_US_PER_S);
}

/* Reading: a cursor over the text, and the first complaint. */
struct scan {
	const char *text, *at;
	struct err *err;
};

static int wrong(const struct scan *s, const char *what)
{
	return err_set(s->err, ERR_INVALID,
		"\"%.40s\" is not a date or time: %s (write 2026-11-19, 2026-11-19T02:00 or "
		"2026-11-19T02:00:00+01:00)",
		s->text, what);
}

static int digits(struct scan *s, int n, int *ret)
{
	int value = 0;

	for (int i = 0; i < n; i++) {
		char c = s->at[i];
		if (c < '0' || c > '9')
			return -1;
		value = value * 10 + (c - '0');
	}
	s->at += n;
	*ret = value;
	return 0;
}

static bool accept(struct scan *s, char c)
{
	if (*s->at != c)
		return false;
	s->at++;
	return true;
}

static int in_range(const struct scan *s, const char *what, int value, int min, int max)
{
	char why[80];

	if (value >= min && value <= max)
		return 0;
	snprintf(why, sizeof why, "%s %02d is not in %02d to %02d", what, value, min, max);
	return wrong(s, why);
}

static int scan_date(struct scan *s, struct civil *c)
{
	if (digits(s, 4, &c->year) < 0 || !accept(s, '-') || digits(s, 2, &c->month) < 0 ||
		!accept(s, '-') || digits(s, 2, &c->day) < 0)
		return wrong(s, "it does not begin with YYYY-MM-DD");
	if (in_range(s, "month", c->month, 1, 12) < 0)
		return -1;
	int last = civil_days_in_month(c->year, c->month);
	if (c->day >= 1 && c->day <= last)
		return 0;
	return err_set(s->err, ERR_INVALID,
		"\"%.40s\": there is no day %02d in %04d-%02d, which has %d days", s->text, c->day,
		c->year, c->month, last);
}

static int scan_fraction(struct scan *s, struct civil_text *t)
{
	int n = 0, usec = 0;

	for (; *s->at >= '0' && *s->at <= '9'; s->at++, n++)
		if (n < 6)
			usec = usec * 10 + (*s->at - '0');
	if (n < 1 || n > 9)
		return wrong(s, "a fraction of a second has one to nine digits");
	for (; n < 6; n++)
		usec *= 10;
	t->civil.usec = usec;
	t->parts |= CIVIL_HAS_FRACTION;
	return 0;
}

static int scan_time(struct scan *s, struct civil_text *t)
{
	struct civil *c = &t->civil;

	if (digits(s, 2, &c->hour) < 0 || !accept(s, ':') || digits(s, 2, &c->min) < 0)
		return wrong(s, "the time does not begin with hh:mm");
	t->parts |= CIVIL_HAS_TIME;
	if (in_range(s, "hour", c->hour, 0, 23) < 0 || in_range(s, "minute", c->min, 0, 59) < 0)
		return -1;
	if (!accept(s, ':'))
		return 0;
	if (digits(s, 2, &c->sec) < 0)
		return wrong(s, "the seconds are not two digits");
	t->parts |= CIVIL_HAS_SECONDS;
	if (c->sec == 60)
		return wrong(
			s, "second 60: leap seconds are not counted, write the second before it");
	if (in_range(s, "second", c->sec, 0, 59) < 0)
		return -1;
	return accept(s, '.') ? scan_fraction(s, t) : 0;
}

static int scan_offset(struct scan *s, struct civil_text *t)
{
	int hours, minutes = 0;

	if (accept(s, 'Z') || accept(s, 'z')) {
		t->parts |= CIVIL_HAS_OFFSET;
		return 0;
	}
	int sign = *s->at == '-' ? -1 : 1;
	if (!accept(s, '+') && !accept(s, '-'))
		return 0;
	if (digits(s, 2, &hours) < 0)
		return wrong(s, "the offset from UTC is not +hh:mm");
	bool colon = accept(s, ':');
	if (digits(s, 2, &minutes) < 0 && colon)
		return wrong(s, "the offset from UTC is not +hh:mm");
	if (in_range(s, "offset hour", hours, 0, 23) < 0 ||
		in_range(s, "offset minute", minutes, 0, 59) < 0)
		return -1;
	t->utc_offset_s = sign * (hours * 3600 + minutes * 60);
	t->parts |= CIVIL_HAS_OFFSET;
	return 0;
}

int civil_parse(const char *text, struct civil_text *ret, struct err *err)
{
	struct scan s = { .text = text, .at = text, .err = err };
	struct civil_text t = { 0 };

	if (scan_date(&s, &t.civil) < 0)
		return -1;
	if (accept(&s, 'T') || accept(&s, 't') || accept(&s, ' ')) {
		if (scan_time(&s, &t) < 0 || scan_offset(&s, &t) < 0)
			return -1;
	}
	if (*s.at)
		return wrong(&s, "there is more text behind it");
	*ret = t;
	return 0;
}

int64_t civil_text_us(const struct civil_text *t)
{
	return civil_to_us(&t->civil) - t->utc_offset_s * CIVIL_US_PER_S;
}

int civil_add_date(struct buf *out, const struct civil *c)
{
	return buf_addf(out, "%04d-%02d-%02d", c->year, c->month, c->day);
}

int civil_add_offset(struct buf *out, int utc_offset_s, bool colon)
{
	int abs = utc_offset_s < 0 ? -utc_offset_s : utc_offset_s;
	const char *sep = colon ? ":" : "";

	buf_addf(out, "%c%02d%s%02d", utc_offset_s < 0 ? '-' : '+', abs / 3600, sep, abs / 60 % 60);
	if (abs % 60)
		buf_addf(out, "%s%02d", sep, abs % 60);
	return out->failed ? -1 : 0;
}

int civil_add_rfc3339(struct buf *out, const struct civil *c, int utc_offset_s)
{
	civil_add_date(out, c);
	buf_addf(out, "T%02d:%02d:%02d", c->hour, c->min, c->sec);
	if (c->usec)
		buf_addf(out, ".%06d", c->usec);
	if (utc_offset_s == 0)
		return buf_addc(out, 'Z');
	return civil_add_offset(out, utc_offset_s, true);
}
