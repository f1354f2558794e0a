#include "core/cron.h"

#include <assert.h>
#include <stddef.h>

#include "base/civil.h"
#include "core/zone.h"

enum { MINUTE_S = 60, NEVER = -1 };

/* No change of offset is larger, so no time further than this from one is affected by it. */
static const int64_t change_reach_s = 52 * 3600;
static const int64_t horizon_s = CRON_HORIZON_YEARS * INT64_C(31557600);
/* Instants beyond these are not looked at: local times and sums stay far inside their types. */
static const int64_t time_limit_s = INT64_MAX / CIVIL_US_PER_S - 200 * INT64_C(31557600);

static const char *const gap_names[] = { [CRON_GAP_AFTER] = "after", [CRON_GAP_SKIP] = "skip" };
static_assert(sizeof gap_names / sizeof *gap_names == CRON_GAP_MAX, "a name for each");

static const char *const overlap_names[] = { [CRON_OVERLAP_FIRST] = "first",
	[CRON_OVERLAP_SECOND] = "second",
	[CRON_OVERLAP_BOTH] = "both" };
static_assert(sizeof overlap_names / sizeof *overlap_names == CRON_OVERLAP_MAX, "a name for each");

static const char *const note_names[] = {
	[CRON_NOTE_NONE] = "none", [CRON_NOTE_GAP] = "gap", [CRON_NOTE_OVERLAP] = "overlap"
};
static_assert(sizeof note_names / sizeof *note_names == CRON_NOTE_MAX, "a name for each");

const char *cron_gap_name(enum cron_gap gap)
{
	return gap_names[gap];
}

const char *cron_overlap_name(enum cron_overlap overlap)
{
	return overlap_names[overlap];
}

const char *cron_note_name(enum cron_note note)
{
	return note_names[note];
}

/* A month, as the search walks through them. */
struct month {
	int year, month, length;
	int64_t first; /* day number of its first day */
};

static void month_set(struct month *m, int year, int month)
{
	m->year = year;
	m->month = month;
	m->length = civil_days_in_month(year, month);
	m->first = civil_day(year, month, 1);
}

/* Its matching days, bits 1 to 31. */
static uint32_t month_days(const struct cron *cron, const struct month *m)
{
	if (!(cron->months >> m->month & 1))
		return 0;
	return cron->days[m->length - 28][civil_weekday(m->first)];
}

/* The month a day lies in; returns which of its days it is. */
static int month_of(int64_t day, struct month *ret)
{
	struct civil c;

	civil_from_day(day, &c);
	*ret = (struct month){ c.year, c.month, civil_days_in_month(c.year, c.month),
		day - c.day + 1 };
	return c.day;
}

static void month_next(const struct cron *cron, struct month *m)
{
	uint32_t later = cron->months & ~((2u << m->month) - 1);

	if (later)
		month_set(m, m->year, __builtin_ctz(later));
	else
		month_set(m, m->year + 1, __builtin_ctz(cron->months));
}

static void month_prev(const struct cron *cron, struct month *m)
{
	uint32_t earlier = cron->months & ((1u << m->month) - 1);

	if (earlier)
		month_set(m, m->year, 31 - __builtin_clz(earlier));
	else
		month_set(m, m->year - 1, 31 - __builtin_clz(cron->months));
}

/* The first matching minute of a day at or after `minute`, the last at or before it; or NEVER. */
static int minute_from(const struct cron *cron, int minute)
{
	int h = minute / 60;
	uint64_t rest = cron->minutes >> minute % 60;

	if ((cron->hours >> h & 1) && rest)
		return minute + __builtin_ctzll(rest);
	uint32_t later = cron->hours & ~((2u << h) - 1);
	return later ? __builtin_ctz(later) * 60 + __builtin_ctzll(cron->minutes) : NEVER;
}

static int minute_until(const struct cron *cron, int minute)
{
	int h = minute / 60;
	uint64_t rest = cron->minutes & ((UINT64_C(2) << minute % 60) - 1);

	if ((cron->hours >> h & 1) && rest)
		return h * 60 + 63 - __builtin_clzll(rest);
	uint32_t earlier = cron->hours & ((1u << h) - 1);
	if (!earlier)
		return NEVER;
	return (31 - __builtin_clz(earlier)) * 60 + 63 - __builtin_clzll(cron->minutes);
}

/* The first matching local time in [from, until), in seconds of the local clock; false: none. */
static bool local_next(const struct cron *cron, int64_t from_s, int64_t until_s, int64_t *ret_s)
{
	int64_t minute = civil_floor_div(from_s + MINUTE_S - 1, MINUTE_S);
	int64_t day = civil_floor_div(minute, 1440);
	struct month m;
	int in_month = month_of(day, &m);
	uint32_t days = month_days(cron, &m);

	if (days >> in_month & 1) {
		int found = minute_from(cron, (int)(minute - day * 1440));
		if (found != NEVER) {
			*ret_s = day * CIVIL_S_PER_DAY + found * MINUTE_S;
			return *ret_s < until_s;
		}
	}
	days &= ~(uint32_t)((UINT64_C(2) << in_month) - 1);
	while (!days) {
		if ((m.first + 28) * CIVIL_S_PER_DAY >= until_s)
			return false;
		month_next(cron, &m);
		days = month_days(cron, &m);
	}
	*ret_s = (m.first - 1 + __builtin_ctz(days)) * CIVIL_S_PER_DAY +
		 minute_from(cron, __builtin_ctz(cron->hours) * 60) * MINUTE_S;
	return *ret_s < until_s;
}

/* The last matching local time in [from, until]. */
static bool local_prev(const struct cron *cron, int64_t from_s, int64_t until_s, int64_t *ret_s)
{
	int64_t minute = civil_floor_div(until_s, MINUTE_S);
	int64_t day = civil_floor_div(minute, 1440);
	struct month m;
	int in_month = month_of(day, &m);
	uint32_t days = month_days(cron, &m);

	if (days >> in_month & 1) {
		int found = minute_until(cron, (int)(minute - day * 1440));
		if (found != NEVER) {
			*ret_s = day * CIVIL_S_PER_DAY + found * MINUTE_S;
			return *ret_s >= from_s;
		}
	}
	days &= (1u << in_month) - 1;
	while (!days) {
		if (m.first * CIVIL_S_PER_DAY <= from_s)
			return false;
		month_prev(cron, &m);
		days = month_days(cron, &m);
	}
	*ret_s = (m.first - 1 + 31 - __builtin_clz(days)) * CIVIL_S_PER_DAY +
		 minute_until(cron, 1439) * MINUTE_S;
	return *ret_s >= from_s;
}

/* A search through the spans of a zone. */
struct search {
	const struct cron *cron;
	const struct zone *zone;
	struct cron_dst dst;
	struct zone_span span;
};

static void fire_set(struct cron_fire *fire, int64_t at_s, int64_t local_s, enum cron_note note)
{
	fire->at_us = at_s * CIVIL_US_PER_S;
	fire->local_us = local_s * CIVIL_US_PER_S;
	fire->note = note;
}

/* A fixed time that was skipped when this span began fires at its first instant. */
static bool fire_after_gap(const struct search *s, struct cron_fire *ret)
{
	struct zone_span before;
	int64_t local_s;

	if (s->cron->elapsed || s->dst.gap != CRON_GAP_AFTER || s->span.from_s == INT64_MIN)
		return false;
	zone_span_at(s->zone, s->span.from_s - 1, &before);
	if (!local_next(s->cron, s->span.from_s + before.info.offset_s,
		    s->span.from_s + s->span.info.offset_s, &local_s))
		return false;
	fire_set(ret, s->span.from_s, local_s, CRON_NOTE_GAP);
	return true;
}

/* Does a matching local time of this span fire, by the policy for overlaps? */
static bool fire_local(const struct search *s, int64_t local_s, struct cron_fire *ret)
{
	const struct zone_span *span = &s->span;
	int64_t at_s = local_s - span->info.offset_s;
	bool first = false, second = false;
	struct zone_span other;

	if (!s->cron->elapsed && span->until_s != INT64_MAX &&
		span->until_s - at_s <= change_reach_s) {
		zone_span_at(s->zone, span->until_s, &other);
		first = local_s >= span->until_s + other.info.offset_s;
	}
	if (!s->cron->elapsed && span->from_s != INT64_MIN &&
		at_s - span->from_s <= change_reach_s) {
		zone_span_at(s->zone, span->from_s - 1, &other);
		second = local_s < span->from_s + other.info.offset_s;
	}
	if ((second && s->dst.overlap == CRON_OVERLAP_FIRST) ||
		(first && s->dst.overlap == CRON_OVERLAP_SECOND))
		return false;
	fire_set(ret, at_s, local_s, first || second ? CRON_NOTE_OVERLAP : CRON_NOTE_NONE);
	return true;
}

int cron_next(const struct cron *cron, const struct zone *zone, struct cron_dst dst,
	int64_t after_us, struct cron_fire *ret)
{
	struct search s = { .cron = cron, .zone = zone, .dst = dst };
	int64_t at_s = civil_floor_div(after_us, CIVIL_US_PER_S) + 1;
	int64_t limit_s = at_s + horizon_s;

	if (at_s < -time_limit_s || at_s > time_limit_s)
		return 0;
	for (zone_span_at(zone, at_s, &s.span);; zone_span_at(zone, at_s, &s.span)) {
		if (at_s == s.span.from_s && fire_after_gap(&s, ret))
			return 1;
		int64_t end_s = s.span.until_s < limit_s ? s.span.until_s : limit_s;
		int64_t until_s = end_s + s.span.info.offset_s;
		int64_t local_s = at_s + s.span.info.offset_s;
		for (; local_next(cron, local_s, until_s, &local_s); local_s += MINUTE_S)
			if (fire_local(&s, local_s, ret))
				return 1;
		if (s.span.until_s >= limit_s)
			return 0;
		at_s = s.span.until_s;
	}
}

int cron_prev(const struct cron *cron, const struct zone *zone, struct cron_dst dst,
	int64_t before_us, struct cron_fire *ret)
{
	struct search s = { .cron = cron, .zone = zone, .dst = dst };
	int64_t at_s =
		-civil_floor_div(-(before_us + (before_us == INT64_MIN)), CIVIL_US_PER_S) - 1;
	int64_t limit_s = at_s - horizon_s;

	if (at_s < -time_limit_s || at_s > time_limit_s)
		return 0;
	for (zone_span_at(zone, at_s, &s.span);; zone_span_at(zone, at_s, &s.span)) {
		int64_t begin_s = s.span.from_s > limit_s ? s.span.from_s : limit_s;
		int64_t from_s = begin_s + s.span.info.offset_s;
		int64_t local_s = at_s + s.span.info.offset_s;
		for (; local_prev(cron, from_s, local_s, &local_s); local_s -= MINUTE_S) {
			/* Where a gap's fire falls on a matching time, both directions say gap. */
			if (local_s - s.span.info.offset_s == s.span.from_s &&
				fire_after_gap(&s, ret))
				return 1;
			if (fire_local(&s, local_s, ret))
				return 1;
		}
		if (s.span.from_s <= limit_s)
			return 0;
		if (fire_after_gap(&s, ret))
			return 1;
		at_s = s.span.from_s - 1;
	}
}

bool cron_matches(const struct cron *cron, const struct civil *local)
{
	struct month m;

	if (local->sec || local->usec)
		return false;
	month_set(&m, local->year, local->month);
	return (cron->minutes >> local->min & 1) && (cron->hours >> local->hour & 1) &&
	       (month_days(cron, &m) >> local->day & 1);
}
