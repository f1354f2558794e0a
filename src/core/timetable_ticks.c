#include "core/timetable_ticks.h"

#include "base/civil.h"
#include "core/zone.h"

/* A schedule whose calendar leaves nothing of it is given up on after this time. */
static const int64_t horizon_us = CRON_HORIZON_YEARS * INT64_C(31557600000000);

/* When no allowed day comes before one, ticks are moved to it from no further away than this. */
enum { MOVE_DAYS_MAX = 366 };

const struct zone *timetable_ticks_zone(const struct schedule_spec *spec)
{
	return spec->zone ? spec->zone : zone_utc();
}

/* How many of the ascending numbers are below `value`. */
static size_t count_below(const int64_t *numbers, size_t n, int64_t value)
{
	size_t lo = 0;

	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;
		if (numbers[mid] < value)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

/* Ticks as the schedule says them, before the calendar. */

static void shown_at(const struct schedule_spec *spec, int64_t at_us, struct cron_fire *ret)
{
	struct zone_info info;

	zone_offset_at(timetable_ticks_zone(spec), at_us, &info);
	*ret = (struct cron_fire){ .at_us = at_us,
		.local_us = at_us + info.offset_s * CIVIL_US_PER_S };
}

static bool cron_ticks_next(
	const struct schedule_spec *spec, int64_t after_us, struct cron_fire *ret)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	struct cron_fire fire;
	bool found = false;

	for (size_t i = 0; i < spec->n_crons; i++)
		if (cron_next(&spec->crons[i], zone, spec->dst, after_us, &fire) &&
			(!found || fire.at_us < ret->at_us)) {
			*ret = fire;
			found = true;
		}
	return found;
}

static bool cron_ticks_prev(
	const struct schedule_spec *spec, int64_t before_us, struct cron_fire *ret)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	struct cron_fire fire;
	bool found = false;

	for (size_t i = 0; i < spec->n_crons; i++)
		if (cron_prev(&spec->crons[i], zone, spec->dst, before_us, &fire) &&
			(!found || fire.at_us > ret->at_us)) {
			*ret = fire;
			found = true;
		}
	return found;
}

/* The tick `more` periods after the last one at or before an instant. */
static bool every_tick(
	const struct schedule_spec *spec, int64_t at_us, int64_t more, struct cron_fire *ret)
{
	int64_t anchor_us = spec->start_us;
	int64_t since_us, tick_us;

	if (!anchor_us)
		anchor_us = zone_day_start_us(timetable_ticks_zone(spec), 0);
	if (__builtin_sub_overflow(at_us, anchor_us, &since_us))
		return false;
	int64_t k = civil_floor_div(since_us, spec->period_us) + more;
	if (__builtin_mul_overflow(k, spec->period_us, &tick_us) ||
		__builtin_add_overflow(tick_us, anchor_us, &tick_us) ||
		tick_us < INT64_MIN + horizon_us || tick_us > INT64_MAX - horizon_us)
		return false;
	shown_at(spec, tick_us, ret);
	return true;
}

static bool said_next(const struct schedule_spec *spec, int64_t after_us, struct cron_fire *ret)
{
	size_t i;

	switch (spec->kind) {
	case TIMETABLE_CRON:
		return cron_ticks_next(spec, after_us, ret);
	case TIMETABLE_EVERY:
		return every_tick(spec, after_us, 1, ret);
	case TIMETABLE_AT:
		if (after_us == INT64_MAX)
			return false;
		i = count_below(spec->at_us, spec->n_at, after_us + 1);
		if (i == spec->n_at)
			return false;
		shown_at(spec, spec->at_us[i], ret);
		return true;
	default:
		return false;
	}
}

static bool said_prev(const struct schedule_spec *spec, int64_t before_us, struct cron_fire *ret)
{
	size_t i;

	switch (spec->kind) {
	case TIMETABLE_CRON:
		return cron_ticks_prev(spec, before_us, ret);
	case TIMETABLE_EVERY:
		return before_us != INT64_MIN && every_tick(spec, before_us - 1, 0, ret);
	case TIMETABLE_AT:
		i = count_below(spec->at_us, spec->n_at, before_us);
		if (i == 0)
			return false;
		shown_at(spec, spec->at_us[i - 1], ret);
		return true;
	default:
		return false;
	}
}

/* The calendar. */

static bool days_hold(const struct timetable_days *d, int64_t day)
{
	size_t i = count_below(d->days, d->n_days, day);

	return (d->weekdays >> civil_weekday(day) & 1) || (i < d->n_days && d->days[i] == day);
}

static bool days_empty(const struct timetable_days *d)
{
	return !d->weekdays && !d->n_days;
}

bool timetable_day_allowed(const struct timetable_calendar *calendar, int64_t day)
{
	return (days_empty(&calendar->only) || days_hold(&calendar->only, day)) &&
	       !days_hold(&calendar->exclude, day);
}

/* Walk over weekdays until one is allowed. Each week has one, unless it is listed as excluded. */
static bool weekday_towards(
	const struct timetable_calendar *calendar, int64_t day, int step, int64_t *ret_day)
{
	unsigned only = days_empty(&calendar->only) ? 0x7f : calendar->only.weekdays;

	if (!(only & ~calendar->exclude.weekdays & 0x7f))
		return false;
	size_t most = 7 * (calendar->exclude.n_days + 2);
	for (size_t i = 0; i < most; i++, day += step)
		if (timetable_day_allowed(calendar, day)) {
			*ret_day = day;
			return true;
		}
	return false;
}

bool timetable_ticks_day_from(
	const struct timetable_calendar *calendar, int64_t day, int64_t *ret_day)
{
	const struct timetable_days *only = &calendar->only;
	int64_t listed;
	bool found = weekday_towards(calendar, day, 1, ret_day);

	for (size_t i = count_below(only->days, only->n_days, day); i < only->n_days; i++) {
		listed = only->days[i];
		if (found && listed >= *ret_day)
			break;
		if (!days_hold(&calendar->exclude, listed)) {
			*ret_day = listed;
			return true;
		}
	}
	return found;
}

bool timetable_ticks_day_until(
	const struct timetable_calendar *calendar, int64_t day, int64_t *ret_day)
{
	const struct timetable_days *only = &calendar->only;
	int64_t listed;
	bool found = weekday_towards(calendar, day, -1, ret_day);

	for (size_t i = count_below(only->days, only->n_days, day + 1); i > 0; i--) {
		listed = only->days[i - 1];
		if (found && listed <= *ret_day)
			break;
		if (!days_hold(&calendar->exclude, listed)) {
			*ret_day = listed;
			return true;
		}
	}
	return found;
}

static bool has_calendar(const struct schedule_spec *spec)
{
	return !days_empty(&spec->calendar.only) || !days_empty(&spec->calendar.exclude);
}

static bool kept_next(const struct schedule_spec *spec, int64_t after_us, struct mark *ret)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	int64_t limit_us = after_us > INT64_MAX - horizon_us ? INT64_MAX : after_us + horizon_us;
	int64_t day;

	while (said_next(spec, after_us, &ret->fire) && ret->fire.at_us < limit_us) {
		int64_t on = zone_day_at(zone, ret->fire.at_us);
		if (timetable_day_allowed(&spec->calendar, on))
			return true;
		if (!timetable_ticks_day_from(&spec->calendar, on + 1, &day))
			return false;
		after_us = zone_day_start_us(zone, day) - 1;
	}
	return false;
}

static bool kept_prev(const struct schedule_spec *spec, int64_t before_us, struct mark *ret)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	int64_t limit_us = before_us < INT64_MIN + horizon_us ? INT64_MIN : before_us - horizon_us;
	int64_t day;

	while (said_prev(spec, before_us, &ret->fire) && ret->fire.at_us > limit_us) {
		int64_t on = zone_day_at(zone, ret->fire.at_us);
		if (timetable_day_allowed(&spec->calendar, on))
			return true;
		if (!timetable_ticks_day_until(&spec->calendar, on - 1, &day))
			return false;
		before_us = zone_day_start_us(zone, day + 1);
	}
	return false;
}

/* Moving. An allowed day gathers the ticks of a group of days: its own, and those of the days
 * before it (moved to the next) or behind it (to the previous) that are not allowed. Groups follow
 * each other in time as their allowed days do; within a group, times of day mix. */
struct group {
	int64_t day, first, last; /* the allowed day; the days whose ticks it gathers */
	bool has_prev;            /* there is an allowed day before it */
};

static void group_of(const struct timetable_calendar *calendar, int64_t day, struct group *ret)
{
	int64_t other;

	*ret = (struct group){ .day = day, .first = day, .last = day };
	ret->has_prev = timetable_ticks_day_until(calendar, day - 1, &other);
	if (calendar->action == TIMETABLE_MOVE_NEXT)
		ret->first = ret->has_prev ? other + 1 : day - MOVE_DAYS_MAX;
	else
		ret->last = timetable_ticks_day_from(calendar, day + 1, &other)
				    ? other - 1
				    : day + MOVE_DAYS_MAX;
}

static void move_to_day(const struct schedule_spec *spec, int64_t day, struct mark *mark)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	struct zone_local at;
	struct civil date, c;

	if (zone_day_at(zone, mark->fire.at_us) == day)
		return;
	zone_to_civil(zone, mark->fire.at_us, &c, NULL);
	civil_from_day(day, &date);
	c.year = date.year;
	c.month = date.month;
	c.day = date.day;
	zone_local_to_utc(zone, &c, &at);
	bool second = spec->dst.overlap == CRON_OVERLAP_SECOND;
	mark->fire.at_us = second ? at.second_us : at.first_us;
	mark->fire.local_us = civil_to_us(&c);
	mark->fire.note = at.kind == ZONE_LOCAL_GAP       ? CRON_NOTE_GAP
			  : at.kind == ZONE_LOCAL_OVERLAP ? CRON_NOTE_OVERLAP
							  : CRON_NOTE_NONE;
	mark->moved = true;
}

/* The group's first tick after `after_us` or, if `last`, its last before `before_us`. */
static bool group_find(const struct schedule_spec *spec, const struct group *g, int64_t after_us,
	int64_t before_us, bool last, struct mark *ret)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	int64_t at_us = zone_day_start_us(zone, g->first) - 1;
	int64_t end_us = zone_day_start_us(zone, g->last + 1);
	bool found = false;
	struct mark mark;

	while (said_next(spec, at_us, &mark.fire) && mark.fire.at_us < end_us) {
		at_us = mark.fire.at_us;
		mark.moved = false;
		move_to_day(spec, g->day, &mark);
		int64_t to_us = mark.fire.at_us;
		if (to_us <= after_us || to_us >= before_us)
			continue;
		bool better = !found ||
			      (last ? to_us > ret->fire.at_us : to_us < ret->fire.at_us) ||
			      (to_us == ret->fire.at_us && !mark.moved);
		if (better)
			*ret = mark;
		found = true;
	}
	return found;
}

static bool moved_next(const struct schedule_spec *spec, int64_t after_us, struct mark *ret)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	const struct timetable_calendar *calendar = &spec->calendar;
	int64_t day = zone_day_at(zone, after_us), limit = day + CRON_HORIZON_YEARS * 366;
	struct group g;
	struct cron_fire fire;

	while (timetable_ticks_day_from(calendar, day, &day) && day < limit) {
		group_of(calendar, day, &g);
		if (!said_next(spec, zone_day_start_us(zone, g.first) - 1, &fire))
			return false;
		int64_t on = zone_day_at(zone, fire.at_us);
		if (on <= g.last && group_find(spec, &g, after_us, INT64_MAX, false, ret))
			return true;
		day++;
		/* Nothing is gathered before the group that the next tick belongs to. */
		if (on > g.last && calendar->action == TIMETABLE_MOVE_NEXT)
			day = on;
		else if (on > g.last &&
			 (!timetable_ticks_day_until(calendar, on, &day) || day <= g.day))
			return false;
	}
	return false;
}

static bool moved_prev(const struct schedule_spec *spec, int64_t before_us, struct mark *ret)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	const struct timetable_calendar *calendar = &spec->calendar;
	int64_t day = zone_day_at(zone, before_us), limit = day - CRON_HORIZON_YEARS * 366;
	struct group g;
	struct cron_fire fire;

	while (timetable_ticks_day_until(calendar, day, &day) && day > limit) {
		group_of(calendar, day, &g);
		if (group_find(spec, &g, INT64_MIN, before_us, true, ret))
			return true;
		if (!g.has_prev || !said_prev(spec, zone_day_start_us(zone, g.first), &fire))
			return false;
		day = zone_day_at(zone, fire.at_us);
		if (calendar->action == TIMETABLE_MOVE_NEXT &&
			!timetable_ticks_day_from(calendar, day, &day))
			return false;
	}
	return false;
}

bool timetable_ticks_next(const struct schedule_spec *spec, int64_t after_us, struct mark *ret)
{
	ret->moved = false;
	if (!has_calendar(spec))
		return said_next(spec, after_us, &ret->fire);
	if (spec->calendar.action == TIMETABLE_SKIP)
		return kept_next(spec, after_us, ret);
	return moved_next(spec, after_us, ret);
}

bool timetable_ticks_prev(const struct schedule_spec *spec, int64_t before_us, struct mark *ret)
{
	ret->moved = false;
	if (!has_calendar(spec))
		return said_prev(spec, before_us, &ret->fire);
	if (spec->calendar.action == TIMETABLE_SKIP)
		return kept_prev(spec, before_us, ret);
	return moved_prev(spec, before_us, ret);
}
