#include "core/zone_tz.h"

#include <string.h>

#include "base/arena.h"
#include "base/civil.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool accept(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}

static int number(const char **p, int min, int max, int *ret)
{
	int n = 0, digits = 0;

	for (; is_digit(**p) && digits < 4; digits++)
		n = n * 10 + (*(*p)++ - '0');
	if (digits == 0 || n < min || n > max)
		return -1;
	*ret = n;
	return 0;
}

/* [+-]hh[:mm[:ss]] */
static int clock_time(const char **p, int max_hours, int *ret_s)
{
	int h = 0, m = 0, s = 0, sign = 1;

	if (accept(p, '-'))
		sign = -1;
	else
		accept(p, '+');
	if (number(p, 0, max_hours, &h) < 0)
		return -1;
	if (accept(p, ':')) {
		if (number(p, 0, 59, &m) < 0)
			return -1;
		if (accept(p, ':') && number(p, 0, 59, &s) < 0)
			return -1;
	}
	*ret_s = sign * (h * 3600 + m * 60 + s);
	return 0;
}

static int abbreviation(const char **p, struct arena *arena, const char **ret)
{
	const char *from = *p, *end;

	if (accept(p, '<')) {
		from++;
		end = strchr(from, '>');
		if (!end)
			return -1;
		*p = end + 1;
	} else {
		while (is_alpha(**p))
			(*p)++;
		end = *p;
	}
	if (end - from < 3)
		return -1;
	*ret = arena_strndup(arena, from, (size_t)(end - from));
	return *ret ? 0 : -1;
}

static int change(const char **p, struct zone_tz_change *ret)
{
	int bad;

	ret->time_s = 2 * 3600;
	if (accept(p, 'M')) {
		ret->kind = ZONE_TZ_MONTH_WEEK;
		bad = number(p, 1, 12, &ret->month) < 0 || !accept(p, '.') ||
		      number(p, 1, 5, &ret->week) < 0 || !accept(p, '.') ||
		      number(p, 0, 6, &ret->day) < 0;
	} else if (accept(p, 'J')) {
		ret->kind = ZONE_TZ_JULIAN;
		bad = number(p, 1, 365, &ret->day) < 0;
	} else {
		ret->kind = ZONE_TZ_DAY_OF_YEAR;
		bad = number(p, 0, 365, &ret->day) < 0;
	}
	if (bad)
		return -1;
	return accept(p, '/') ? clock_time(p, 167, &ret->time_s) : 0;
}

int zone_tz_parse(const char *text, struct arena *arena, struct zone_tz *ret)
{
	struct zone_tz tz = { .dst.abbrev = "" };
	const char *p = text;
	int west_s = 0;

	if (abbreviation(&p, arena, &tz.std.abbrev) < 0 || clock_time(&p, 24, &west_s) < 0)
		return -1;
	tz.std.offset_s = -west_s;
	if (*p) {
		tz.has_dst = true;
		if (abbreviation(&p, arena, &tz.dst.abbrev) < 0)
			return -1;
		west_s -= 3600;
		if (*p != ',' && clock_time(&p, 24, &west_s) < 0)
			return -1;
		tz.dst.offset_s = -west_s;
		if (!accept(&p, ',') || change(&p, &tz.begin) < 0 || !accept(&p, ',') ||
			change(&p, &tz.end) < 0)
			return -1;
	}
	if (*p)
		return -1;
	*ret = tz;
	return 0;
}

static int64_t change_day(const struct zone_tz_change *c, int year)
{
	if (c->kind != ZONE_TZ_MONTH_WEEK) {
		int64_t first = civil_day(year, 1, 1);
		bool after_february = c->kind == ZONE_TZ_JULIAN && c->day >= 60;
		return first + c->day - (c->kind == ZONE_TZ_JULIAN) +
		       (after_february && civil_is_leap(year));
	}
	int64_t first = civil_day(year, c->month, 1);
	int day = 1 + (c->day - civil_weekday(first) + 7) % 7 + (c->week - 1) * 7;
	if (day > civil_days_in_month(year, c->month))
		day -= 7;
	return first + day - 1;
}

void zone_tz_year(const struct zone_tz *tz, int year, int64_t *ret_begin_s, int64_t *ret_end_s)
{
	*ret_begin_s = change_day(&tz->begin, year) * CIVIL_S_PER_DAY + tz->begin.time_s -
		       tz->std.offset_s;
	*ret_end_s =
		change_day(&tz->end, year) * CIVIL_S_PER_DAY + tz->end.time_s - tz->dst.offset_s;
}
