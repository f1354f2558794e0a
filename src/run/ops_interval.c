/* Dates and instants that people give, and the data intervals they mean. */
#include <stdio.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "run/ops_impl.h"

enum { INSTANT_MAX = 64, TEXT_SHOWN = 100 };

const struct schedule_spec *ops_schedule(const struct dag *dag)
{
	static const struct schedule_spec manual = { 0 };

	return dag->schedule ? dag->schedule : &manual;
}

const struct zone *ops_zone(const struct dag *dag)
{
	const struct schedule_spec *spec = ops_schedule(dag);

	return spec->zone ? spec->zone : zone_utc();
}

void ops_ds(const struct dag *dag, int64_t start_us, char ret[32])
{
	struct civil c;

	zone_to_civil(ops_zone(dag), start_us, &c, NULL);
	snprintf(ret, 32, "%04d-%02d-%02d", c.year, c.month, c.day);
}

/* ---- one interval ---------------------------------------------------------------------- */

static int by_date(const struct schedule_spec *spec, const struct civil *date, struct tick *ret,
	struct err *err)
{
	int64_t day = civil_day(date->year, date->month, date->day);
	int n = timetable_interval_for_date(spec, day, ret);

	if (n <= 1)
		return 0;
	return err_set(err, ERR_USAGE,
		"--date: %d intervals start on that day; name one by its time, such as "
		"--date %04d-%02d-%02dT05:00",
		n, date->year, date->month, date->day);
}

/* The instant of a text; without an offset it is a local time, the first one where there are
 * two. */
static int64_t instant_of(const struct zone *zone, const struct civil_text *t)
{
	struct zone_local local;

	if (t->parts & CIVIL_HAS_OFFSET)
		return civil_text_us(t);
	zone_local_to_utc(zone, &t->civil, &local);
	return local.first_us;
}

static int parse(const char *option, const char *text, struct civil_text *ret, struct err *err)
{
	struct err why;

	if (civil_parse(text, ret, &why) == 0)
		return 0;
	return err_set(err, ERR_USAGE, "%s: %s", option, why.msg);
}

int ops_interval(
	const struct dag *dag, const char *date, int64_t now_us, struct tick *ret, struct err *err)
{
	const struct schedule_spec *spec = ops_schedule(dag);
	struct civil_text t;

	if (!date) {
		if (timetable_last_complete(spec, now_us, ret))
			return 0;
		return err_set(err, ERR_USAGE,
			"the schedule has no complete interval yet; name one with --date");
	}
	if (parse("--date", date, &t, err) < 0)
		return -1;
	if (!(t.parts & CIVIL_HAS_TIME))
		return by_date(spec, &t.civil, ret, err);
	if (timetable_interval_at(spec, instant_of(ops_zone(dag), &t), ret))
		return 0;
	return err_set(err, ERR_USAGE, "--date %.*s: the schedule has no interval there",
		TEXT_SHOWN, date);
}

/* ---- ranges ---------------------------------------------------------------------------- */

int ops_range_end(const struct zone *zone, const char *option, const char *text, bool last,
	int64_t *ret_us, struct err *err)
{
	struct civil_text t;

	if (parse(option, text, &t, err) < 0)
		return -1;
	if (t.parts & CIVIL_HAS_TIME) {
		*ret_us = instant_of(zone, &t);
		return 0;
	}
	int64_t day = civil_day(t.civil.year, t.civil.month, t.civil.day);
	*ret_us = last ? zone_day_start_us(zone, day + 1) - 1 : zone_day_start_us(zone, day);
	return 0;
}

json_t *ops_json_instant(const struct zone *zone, int64_t at_us)
{
	struct zone_info info;
	struct civil c;
	struct buf b;

	zone_to_civil(zone, at_us, &c, &info);
	buf_init(&b, INSTANT_MAX);
	civil_add_rfc3339(&b, &c, info.offset_s);
	json_t *ret = b.failed ? NULL : json_stringn(b.data, b.len);
	buf_release(&b);
	return ret;
}

json_t *ops_json_time(const struct zone *zone, int64_t at_us)
{
	return at_us ? ops_json_instant(zone, at_us) : json_null();
}

json_t *ops_json_range_end(const struct zone *zone, int64_t at_us, bool last)
{
	int64_t day = zone_day_at(zone, at_us);
	int64_t edge = last ? zone_day_start_us(zone, day + 1) - 1 : zone_day_start_us(zone, day);
	struct civil c;

	if (at_us != edge)
		return ops_json_instant(zone, at_us);
	civil_from_day(day, &c);
	return json_sprintf("%04d-%02d-%02d", c.year, c.month, c.day);
}
