#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "conf/template_filters.h"
#include "core/zone.h"

#define UNUSED_ARGS (void)e, (void)args, (void)nargs, (void)err

/* Larger moves leave the years that have a text, from wherever they start. */
enum { DAYS_MAX = 10000 * 366, MONTHS_MAX = 10000 * 12 };

/* The local date and time a value shows. */
static void local_of(const struct value *v, struct civil *ret)
{
	if (v->type == VALUE_DATE)
		civil_from_day(v->i, ret);
	else
		zone_to_civil(v->zone, v->i, ret, NULL);
}

static int64_t day_of(const struct value *v)
{
	return v->type == VALUE_DATE ? v->i : zone_day_at(v->zone, v->i);
}

/* Only the years 0 to 9999 have a text (RFC 3339). A day less at either end leaves room for
 * offsets. */
static int check_range(const struct value *v, struct err *err)
{
	int64_t day = v->type == VALUE_DATE ? v->i : civil_floor_div(v->i, CIVIL_US_PER_DAY);

	if (day > civil_day(0, 1, 1) && day < civil_day(9999, 12, 31))
		return 0;
	return err_set(err, ERR_INVALID, "the result lies outside of the years 0 to 9999");
}

static int check_amount(int64_t n, int64_t most, struct err *err)
{
	if (n >= -most && n <= most)
		return 0;
	return err_set(err, ERR_INVALID, "%lld leads out of the years 0 to 9999", (long long)n);
}

/* Show `c` on the value's clock. A time that exists twice keeps the offset it had; one that does
 * not exist becomes the end of the gap. */
static int set_local(struct value *v, const struct civil *c, struct err *err)
{
	struct zone_local at;
	struct zone_info before, after;

	if (v->type == VALUE_DATE) {
		v->i = civil_day(c->year, c->month, c->day);
		return check_range(v, err);
	}
	zone_offset_at(v->zone, v->i, &before);
	zone_local_to_utc(v->zone, c, &at);
	zone_offset_at(v->zone, at.second_us, &after);
	v->i = after.offset_s == before.offset_s ? at.second_us : at.first_us;
	return check_range(v, err);
}

static int move_days(struct value *v, int64_t days, struct err *err)
{
	struct civil c, date;

	local_of(v, &c);
	civil_from_day(civil_day(c.year, c.month, c.day) + days, &date);
	c.year = date.year;
	c.month = date.month;
	c.day = date.day;
	return set_local(v, &c, err);
}

/* The start of a day: of a date the date itself, of an instant midnight on its clock. */
static int set_day(struct value *v, int64_t day, struct err *err)
{
	v->i = v->type == VALUE_DATE ? day : zone_day_start_us(v->zone, day);
	return check_range(v, err);
}

static void to_instant(const struct eval *e, struct value *v)
{
	if (v->type == VALUE_DATE)
		*v = template_value_instant(zone_day_start_us(e->ctx->zone, v->i), e->ctx->zone);
}

TEMPLATE_FILTER_FN(add_days)
{
	UNUSED_ARGS;
	return check_amount(args[0].i, DAYS_MAX, err) < 0 ? -1 : move_days(v, args[0].i, err);
}

TEMPLATE_FILTER_FN(add_months)
{
	struct civil c;

	UNUSED_ARGS;
	if (check_amount(args[0].i, MONTHS_MAX, err) < 0)
		return -1;
	local_of(v, &c);
	civil_add_months(&c, (int)args[0].i);
	return set_local(v, &c, err);
}

static int add_us(struct eval *e, struct value *v, int64_t n, int64_t unit, struct err *err)
{
	to_instant(e, v);
	if (check_amount(n, DAYS_MAX * CIVIL_US_PER_DAY / unit, err) < 0)
		return -1;
	v->i += n * unit;
	return check_range(v, err);
}

TEMPLATE_FILTER_FN(add_hours)
{
	UNUSED_ARGS;
	return add_us(e, v, args[0].i, 3600 * CIVIL_US_PER_S, err);
}

TEMPLATE_FILTER_FN(add_minutes)
{
	UNUSED_ARGS;
	return add_us(e, v, args[0].i, 60 * CIVIL_US_PER_S, err);
}

TEMPLATE_FILTER_FN(start_of_day)
{
	UNUSED_ARGS;
	return set_day(v, day_of(v), err);
}

TEMPLATE_FILTER_FN(start_of_week)
{
	int64_t day = day_of(v);

	UNUSED_ARGS;
	return set_day(v, day - (civil_weekday(day) + 6) % 7, err);
}

TEMPLATE_FILTER_FN(start_of_month)
{
	struct civil c;

	UNUSED_ARGS;
	local_of(v, &c);
	return set_day(v, civil_day(c.year, c.month, 1), err);
}

TEMPLATE_FILTER_FN(start_of_year)
{
	struct civil c;

	UNUSED_ARGS;
	local_of(v, &c);
	return set_day(v, civil_day(c.year, 1, 1), err);
}

TEMPLATE_FILTER_FN(end_of_month)
{
	struct civil c;

	UNUSED_ARGS;
	local_of(v, &c);
	*v = template_value_date(civil_day(c.year, c.month, civil_days_in_month(c.year, c.month)));
	return check_range(v, err);
}

TEMPLATE_FILTER_FN(date)
{
	UNUSED_ARGS;
	*v = template_value_date(day_of(v));
	return 0;
}

TEMPLATE_FILTER_FN(epoch)
{
	UNUSED_ARGS;
	to_instant(e, v);
	*v = template_value_int(civil_floor_div(v->i, CIVIL_US_PER_S));
	return 0;
}

TEMPLATE_FILTER_FN(strftime)
{
	const struct zone *zone = v->type == VALUE_INSTANT ? v->zone : e->ctx->zone;
	struct value at = *v;
	struct zone_info info;
	struct civil c;
	struct buf out;

	UNUSED_ARGS;
	to_instant(e, &at);
	zone_offset_at(zone, at.i, &info);
	local_of(v, &c);
	buf_init(&out, BUF_MAX_TEXT);
	int rc = civil_strftime(&out, &c, info.offset_s, info.abbrev, args[0].s, err);
	if (rc == 0)
		rc = buf_ok(&out, "the formatted date", err);
	if (rc == 0)
		rc = template_value_copy(e, out.data, out.len, v, err);
	buf_release(&out);
	return rc;
}

TEMPLATE_FILTER_FN(utc)
{
	UNUSED_ARGS;
	to_instant(e, v);
	v->zone = zone_utc();
	return 0;
}

static int open_zone(struct eval *e, const char *name, const struct zone **ret, struct err *err)
{
	for (size_t i = 0; i < e->nzones; i++) {
		if (strcmp(zone_name(e->zones[i]), name) == 0) {
			*ret = e->zones[i];
			return 0;
		}
	}
	if (e->nzones == TEMPLATE_ZONES_MAX)
		return err_set(err, ERR_INVALID, "more than %d time zones in one template",
			TEMPLATE_ZONES_MAX);
	if (zone_open(name, zonefile_read, &e->zones[e->nzones], err) < 0)
		return -1;
	*ret = e->zones[e->nzones++];
	return 0;
}

TEMPLATE_FILTER_FN(in_zone)
{
	const struct zone *zone = e->ctx->zone;

	UNUSED_ARGS;
	if (strcmp(zone_name(zone), args[0].s) != 0 && open_zone(e, args[0].s, &zone, err) < 0)
		return -1;
	to_instant(e, v);
	v->zone = zone;
	return 0;
}

int template_filter_read_date(const struct eval *e, struct value *v, struct err *err)
{
	struct civil_text text;
	struct zone_local at;

	if (v->type != VALUE_STRING)
		return 0;
	if (civil_parse(v->s, &text, err) < 0)
		return -1;
	if (!(text.parts & CIVIL_HAS_TIME)) {
		*v = template_value_date(
			civil_day(text.civil.year, text.civil.month, text.civil.day));
	} else if (text.parts & CIVIL_HAS_OFFSET) {
		*v = template_value_instant(civil_text_us(&text), e->ctx->zone);
	} else {
		zone_local_to_utc(e->ctx->zone, &text.civil, &at);
		*v = template_value_instant(at.first_us, e->ctx->zone);
	}
	return check_range(v, err);
}
