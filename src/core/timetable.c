#include "core/timetable.h"

#include <assert.h>

#include "base/civil.h"
#include "base/err.h"
#include "core/timetable_ticks.h"
#include "core/zone.h"

static const char *const kind_names[] = { [TIMETABLE_MANUAL] = "manual",
	[TIMETABLE_CRON] = "cron",
	[TIMETABLE_EVERY] = "every",
	[TIMETABLE_AT] = "at" };
static_assert(sizeof kind_names / sizeof *kind_names == TIMETABLE_KIND_MAX, "a name for each");

static const char *const interval_names[] = {
	[TIMETABLE_DATA] = "data", [TIMETABLE_POINT] = "point"
};
static_assert(sizeof interval_names / sizeof *interval_names == TIMETABLE_INTERVAL_MAX,
	"a name for each");

static const char *const catchup_names[] = { [TIMETABLE_CATCHUP_LATEST] = "latest",
	[TIMETABLE_CATCHUP_NONE] = "none",
	[TIMETABLE_CATCHUP_ALL] = "all" };
static_assert(
	sizeof catchup_names / sizeof *catchup_names == TIMETABLE_CATCHUP_MAX, "a name for each");

static const char *const action_names[] = { [TIMETABLE_SKIP] = "skip",
	[TIMETABLE_MOVE_NEXT] = "next",
	[TIMETABLE_MOVE_PREVIOUS] = "previous" };
static_assert(
	sizeof action_names / sizeof *action_names == TIMETABLE_ACTION_MAX, "a name for each");

const char *timetable_kind_name(enum timetable_kind kind)
{
	return kind_names[kind];
}

const char *timetable_interval_name(enum timetable_interval interval)
{
	return interval_names[interval];
}

const char *timetable_catchup_name(enum timetable_catchup catchup)
{
	return catchup_names[catchup];
}

const char *timetable_action_name(enum timetable_action action)
{
	return action_names[action];
}

static bool ascending(const int64_t *numbers, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (numbers[i] < numbers[i - 1])
			return false;
	return true;
}

static int check_calendar(const struct timetable_calendar *calendar, struct err *err)
{
	int64_t day;

	if (!ascending(calendar->only.days, calendar->only.n_days) ||
		!ascending(calendar->exclude.days, calendar->exclude.n_days))
		return err_set(err, ERR_INVALID, "calendar: the days are not in ascending order");
	if (!timetable_ticks_day_from(calendar, civil_day(0, 1, 1), &day))
		return err_set(err, ERR_INVALID, "calendar: it allows no day at all");
	return 0;
}

int timetable_check(const struct schedule_spec *spec, struct err *err)
{
	if (spec->kind == TIMETABLE_CRON && spec->n_crons == 0)
		return err_set(err, ERR_INVALID, "schedule: no cron expression");
	if (spec->kind == TIMETABLE_EVERY && (spec->period_us < TIMETABLE_EVERY_MIN_US ||
						     spec->period_us > TIMETABLE_EVERY_MAX_US))
		return err_set(err, ERR_INVALID,
			"schedule: `every` is a period from 1 second to 40 years");
	if (spec->kind == TIMETABLE_AT && spec->n_at == 0)
		return err_set(err, ERR_INVALID, "schedule: `at` lists no time");
	if (spec->kind == TIMETABLE_AT && !ascending(spec->at_us, spec->n_at))
		return err_set(
			err, ERR_INVALID, "schedule: the times of `at` are not in ascending order");
	if (spec->start_us && spec->end_us && spec->end_us < spec->start_us)
		return err_set(err, ERR_INVALID, "schedule: `end` is before `start`");
	if (spec->catchup_window_us < 0)
		return err_set(err, ERR_INVALID, "schedule: the catchup window is negative");
	return check_calendar(&spec->calendar, err);
}

static bool is_point(const struct schedule_spec *spec)
{
	return spec->interval == TIMETABLE_POINT || spec->kind == TIMETABLE_AT;
}

static int64_t earliest(const struct schedule_spec *spec)
{
	return spec->start_us ? spec->start_us : INT64_MIN;
}

static int64_t latest(const struct schedule_spec *spec)
{
	return spec->end_us ? spec->end_us : INT64_MAX;
}

static int64_t before(int64_t us)
{
	return us == INT64_MIN ? us : us - 1;
}

static int64_t after(int64_t us)
{
	return us == INT64_MAX ? us : us + 1;
}

/* An interval from `start_us` to the mark, due at the mark. */
static void tick_set(struct tick *tick, int64_t start_us, const struct mark *due)
{
	*tick = (struct tick){
		.run_after_us = due->fire.at_us,
		.start_us = start_us,
		.end_us = due->fire.at_us,
		.local_us = due->fire.local_us,
		.note = due->fire.note,
		.moved = due->moved,
	};
}

/* A local day as a whole, for runs that no schedule asks for. */
static void tick_set_day(const struct schedule_spec *spec, int64_t day, struct tick *tick)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	int64_t end_us = zone_day_start_us(zone, day + 1);

	*tick = (struct tick){
		.run_after_us = end_us,
		.start_us = zone_day_start_us(zone, day),
		.end_us = end_us,
		.local_us = (day + 1) * CIVIL_US_PER_DAY,
	};
}

/* The interval that starts at a tick. */
static bool interval_of(
	const struct schedule_spec *spec, const struct mark *start, struct tick *ret)
{
	struct mark due = *start;

	if (!is_point(spec) && !timetable_ticks_next(spec, start->fire.at_us, &due))
		return false;
	tick_set(ret, start->fire.at_us, &due);
	return true;
}

/* The first interval that starts at or after an instant. */
static bool interval_from(const struct schedule_spec *spec, int64_t from_us, struct tick *ret)
{
	struct mark start;

	return timetable_ticks_next(spec, before(from_us), &start) &&
	       interval_of(spec, &start, ret);
}

/* The last that starts at or before an instant. */
static bool interval_until(const struct schedule_spec *spec, int64_t until_us, struct tick *ret)
{
	struct mark start;

	return timetable_ticks_prev(spec, after(until_us), &start) &&
	       interval_of(spec, &start, ret);
}

int timetable_next(const struct schedule_spec *spec, int64_t after_us, struct tick *ret)
{
	struct mark due, start;
	struct tick tick;

	if (!timetable_ticks_next(spec, after_us, &due))
		return 0;
	start = due;
	if (!is_point(spec) && !timetable_ticks_prev(spec, due.fire.at_us, &start)) {
		/* The very first tick ends no interval. */
		if (!interval_of(spec, &due, &tick))
			return 0;
	} else {
		tick_set(&tick, start.fire.at_us, &due);
	}
	if (tick.start_us < earliest(spec) && !interval_from(spec, spec->start_us, &tick))
		return 0;
	if (tick.start_us > latest(spec))
		return 0;
	*ret = tick;
	return 1;
}

int timetable_prev(const struct schedule_spec *spec, int64_t before_us, struct tick *ret)
{
	struct mark due, start;
	struct tick tick;

	if (!timetable_ticks_prev(spec, before_us, &due))
		return 0;
	start = due;
	if (!is_point(spec) && !timetable_ticks_prev(spec, due.fire.at_us, &start))
		return 0;
	tick_set(&tick, start.fire.at_us, &due);
	if (tick.start_us > latest(spec) && !interval_until(spec, spec->end_us, &tick))
		return 0;
	if (tick.start_us < earliest(spec))
		return 0;
	*ret = tick;
	return 1;
}

int timetable_last_complete(const struct schedule_spec *spec, int64_t now_us, struct tick *ret)
{
	if (spec->kind == TIMETABLE_MANUAL) {
		tick_set_day(spec, zone_day_at(timetable_ticks_zone(spec), now_us) - 1, ret);
		return 1;
	}
	return timetable_prev(spec, after(now_us), ret);
}

int timetable_interval_for_date(const struct schedule_spec *spec, int64_t day, struct tick *ret)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	int64_t from_us = zone_day_start_us(zone, day), end_us = zone_day_start_us(zone, day + 1);
	struct mark mark;
	int n = 0;

	tick_set_day(spec, day, ret);
	if (!timetable_ticks_next(spec, before(from_us), &mark) || mark.fire.at_us >= end_us ||
		!interval_of(spec, &mark, ret))
		return 0;
	do {
		n++;
	} while (timetable_ticks_next(spec, mark.fire.at_us, &mark) && mark.fire.at_us < end_us);
	return n;
}

int timetable_interval_at(const struct schedule_spec *spec, int64_t at_us, struct tick *ret)
{
	struct tick tick;

	if (spec->kind == TIMETABLE_MANUAL) {
		tick_set_day(spec, zone_day_at(timetable_ticks_zone(spec), at_us), ret);
		return 1;
	}
	if (!interval_until(spec, at_us, &tick) || (is_point(spec) && tick.start_us != at_us))
		return 0;
	*ret = tick;
	return 1;
}

/* The earliest start of an interval that is not covered by `last`. */
static int64_t uncovered_from(const struct schedule_spec *spec, const struct tick *last)
{
	int64_t from_us = last->end_us;
	struct mark mark;

	if (is_point(spec))
		return after(from_us);
	if (timetable_ticks_prev(spec, after(last->end_us), &mark))
		from_us = mark.fire.at_us;
	/* A point at the start of an interval has its logical date already. */
	if (last->start_us == last->end_us && from_us <= last->start_us)
		from_us = after(last->start_us);
	return from_us;
}

/* The earliest instant at which a run that the catchup rule wants is due. */
static int64_t wanted_from(const struct schedule_spec *spec, bool has_from, int64_t now_us)
{
	int64_t oldest_us = INT64_MIN;
	struct tick tick;

	if (spec->catchup_window_us && now_us > INT64_MIN + spec->catchup_window_us)
		oldest_us = now_us - spec->catchup_window_us;
	if (spec->catchup == TIMETABLE_CATCHUP_NONE)
		return now_us;
	if (spec->catchup == TIMETABLE_CATCHUP_ALL && has_from)
		return oldest_us;
	if (timetable_last_complete(spec, now_us, &tick) && tick.run_after_us >= oldest_us)
		return tick.run_after_us;
	return now_us;
}

int timetable_catchup(
	const struct schedule_spec *spec, const struct tick *last, int64_t now_us, struct tick *ret)
{
	int64_t from_us = earliest(spec);
	struct tick tick;

	if (spec->kind == TIMETABLE_MANUAL)
		return 0;
	if (last) {
		int64_t uncovered_us = uncovered_from(spec, last);
		if (uncovered_us > from_us)
			from_us = uncovered_us;
	}
	bool has_from = from_us != INT64_MIN;
	int64_t wanted_us = wanted_from(spec, has_from, now_us);
	/* The later of the two is the first that is both uncovered and wanted. */
	if (wanted_us == INT64_MIN) {
		if (!interval_from(spec, from_us, &tick))
			return 0;
	} else if (!timetable_next(spec, before(wanted_us), &tick)) {
		return 0;
	}
	if (tick.start_us < from_us && !interval_from(spec, from_us, &tick))
		return 0;
	if (tick.start_us > latest(spec))
		return 0;
	*ret = tick;
	return 1;
}

int64_t timetable_skipped(const struct schedule_spec *spec, const struct tick *last,
	const struct tick *next, int64_t max)
{
	int64_t n = 0;
	struct mark mark;
	int64_t at_us = uncovered_from(spec, last);

	while (n < max && timetable_ticks_next(spec, before(at_us), &mark) &&
		mark.fire.at_us < next->start_us) {
		at_us = after(mark.fire.at_us);
		n++;
	}
	return n;
}

void timetable_range_init(
	struct timetable_range *r, const struct schedule_spec *spec, int64_t from_us, int64_t to_us)
{
	const struct zone *zone = timetable_ticks_zone(spec);
	struct mark mark;

	*r = (struct timetable_range){ .spec = spec, .to_us = to_us };
	if (spec->kind == TIMETABLE_MANUAL) {
		r->day = zone_day_at(zone, from_us);
		if (zone_day_start_us(zone, r->day) < from_us)
			r->day++;
		return;
	}
	r->has_ahead = timetable_ticks_next(spec, before(from_us), &mark);
	if (r->has_ahead)
		tick_set(&r->ahead, mark.fire.at_us, &mark);
}

int timetable_range_next(struct timetable_range *r, struct tick *ret)
{
	struct mark mark;
	struct tick here = r->ahead;

	if (r->spec->kind == TIMETABLE_MANUAL) {
		tick_set_day(r->spec, r->day, &here);
		if (here.start_us > r->to_us)
			return 0;
		r->day++;
		*ret = here;
		return 1;
	}
	if (!r->has_ahead || here.start_us > r->to_us)
		return 0;
	r->has_ahead = timetable_ticks_next(r->spec, here.start_us, &mark);
	if (r->has_ahead)
		tick_set(&r->ahead, mark.fire.at_us, &mark);
	else if (!is_point(r->spec))
		return 0;
	*ret = here;
	if (!is_point(r->spec)) {
		*ret = r->ahead;
		ret->start_us = here.start_us;
	}
	return 1;
}
