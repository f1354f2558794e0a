#include "core/sla.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/civil.h"
#include "core/timetable.h"
#include "core/zone.h"

/* Days that are looked at for one the calendar allows. */
enum { DAYS_MAX = 366 * 3 };

static const struct {
	const char *name;
	bool of_interval;
} kinds[] = {
	[SLA_FINISH_BY] = { "finish_by", true },
	[SLA_FINISH_WITHIN] = { "finish_within", true },
	[SLA_START_WITHIN] = { "start_within", true },
	[SLA_RUNS_AT_MOST] = { "runs_at_most", false },
	[SLA_SLOWER_THAN] = { "slower_than", false },
	[SLA_AT_RISK] = { "at_risk", true },
	[SLA_FRESH_WITHIN] = { "fresh_within", false },
};
static_assert(sizeof kinds / sizeof *kinds == SLA_KIND_MAX, "a row for each kind");

const char *const sla_act_names[] = {
	[SLA_ALERT] = "alert", [SLA_CANCEL] = "cancel", [SLA_SKIP] = "skip", [SLA_ACT_MAX] = NULL
};
static_assert(sizeof sla_act_names / sizeof *sla_act_names == SLA_ACT_MAX + 1, "a name for each");

const char *sla_kind_name(enum sla_kind kind)
{
	return (unsigned)kind < SLA_KIND_MAX ? kinds[kind].name : "?";
}

int sla_kind_by_name(const char *name)
{
	for (int i = 0; i < SLA_KIND_MAX; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return i;
	return -1;
}

bool sla_kind_is_of_interval(enum sla_kind kind)
{
	return (unsigned)kind < SLA_KIND_MAX && kinds[kind].of_interval;
}

/* Two digits below `max`, or -1. */
static int two_digits(const char *s, int max)
{
	if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
		return -1;
	int n = (s[0] - '0') * 10 + s[1] - '0';
	return n < max ? n : -1;
}

int sla_parse_time(const char *text)
{
	size_t len = strlen(text);

	if ((len != 5 && len != 8) || text[2] != ':' || (len == 8 && text[5] != ':'))
		return -1;
	int h = two_digits(text, 24), m = two_digits(text + 3, 60);
	int s = len == 8 ? two_digits(text + 6, 60) : 0;
	return h < 0 || m < 0 || s < 0 ? -1 : h * 3600 + m * 60 + s;
}

/* ---- finish_by ------------------------------------------------------------------------ */

static const struct zone *zone_of(const struct schedule_spec *spec)
{
	return spec->zone ? spec->zone : zone_utc();
}

/* When a day's clock shows the time. */
static int64_t on_day(const struct sla *s, const struct schedule_spec *spec, int64_t day)
{
	struct civil c = { 0 };
	struct zone_local local;

	civil_from_day(day, &c);
	c.hour = s->finish_by_s / 3600;
	c.min = s->finish_by_s / 60 % 60;
	c.sec = s->finish_by_s % 60;
	c.usec = 0;
	zone_local_to_utc(zone_of(spec), &c, &local);
	return local.first_us;
}

/* The first deadline after an instant. */
static int64_t clock_after(const struct sla *s, const struct schedule_spec *spec, int64_t after_us)
{
	int64_t day = zone_day_at(zone_of(spec), after_us) - 1;

	for (int i = 0; i < DAYS_MAX; i++, day++) {
		if (!timetable_day_allowed(&spec->calendar, day))
			continue;
		int64_t at = on_day(s, spec, day);
		if (at > after_us)
			return at;
	}
	return INT64_MAX;
}

/* The last one at or before an instant, or one that is long gone. */
static int64_t clock_before(const struct sla *s, const struct schedule_spec *spec, int64_t at_us)
{
	int64_t day = zone_day_at(zone_of(spec), at_us) + 1;

	for (int i = 0; i < DAYS_MAX; i++, day--) {
		if (!timetable_day_allowed(&spec->calendar, day))
			continue;
		int64_t at = on_day(s, spec, day);
		if (at <= at_us)
			return at;
	}
	return at_us - DAYS_MAX * CIVIL_US_PER_DAY;
}

/* ---- deadlines ------------------------------------------------------------------------ */

static int64_t plus(int64_t at_us, int64_t us)
{
	return us > 0 && at_us > INT64_MAX - us ? INT64_MAX : at_us + us;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t sla_deadline_us(const struct sla *s, enum sla_kind kind, const struct schedule_spec *spec,
	const struct tick *tick)
{
	if (!sla_has(s, kind))
		return INT64_MAX;
	switch (kind) {
	case SLA_FINISH_BY:
		return clock_after(s, spec, tick->run_after_us);
	case SLA_FINISH_WITHIN:
		return plus(tick->end_us, s->finish_within_us);
	case SLA_START_WITHIN:
		return plus(tick->run_after_us, s->start_within_us);
	case SLA_AT_RISK:
		return earlier(sla_deadline_us(s, SLA_FINISH_BY, spec, tick),
			sla_deadline_us(s, SLA_FINISH_WITHIN, spec, tick));
	default:
		return INT64_MAX;
	}
}

int64_t sla_judged_at_us(const struct sla *s, enum sla_kind kind, const struct schedule_spec *spec,
	const struct tick *tick)
{
	int64_t at = sla_deadline_us(s, kind, spec, tick);

	if (at == INT64_MAX || kind != SLA_AT_RISK)
		return at;
	at -= s->warn_ahead_us;
	return at > tick->run_after_us ? at : tick->run_after_us;
}

/* What is due after this instant has its deadline after `after_us`, what is due before has not. */
static int64_t due_after(
	const struct sla *s, enum sla_kind kind, const struct schedule_spec *spec, int64_t after_us)
{
	int64_t by = INT64_MIN, within = INT64_MIN, ahead;

	switch (kind) {
	case SLA_FINISH_BY:
		return clock_before(s, spec, after_us) - 1;
	case SLA_FINISH_WITHIN:
		return after_us - s->finish_within_us;
	case SLA_START_WITHIN:
		return after_us - s->start_within_us;
	default:
		ahead = plus(after_us, s->warn_ahead_us);
		if (sla_has(s, SLA_FINISH_BY))
			by = due_after(s, SLA_FINISH_BY, spec, ahead);
		if (sla_has(s, SLA_FINISH_WITHIN))
			within = due_after(s, SLA_FINISH_WITHIN, spec, ahead);
		return earlier(by > within ? by : within, after_us);
	}
}

int sla_first_after(const struct sla *s, enum sla_kind kind, const struct schedule_spec *spec,
	int64_t after_us, struct tick *ret)
{
	if (!spec || spec->kind == TIMETABLE_MANUAL || !sla_has(s, kind) ||
		!sla_kind_is_of_interval(kind))
		return 0;
	if (timetable_next(spec, due_after(s, kind, spec, after_us), ret) != 1)
		return 0;
	return sla_judged_at_us(s, kind, spec, ret) != INT64_MAX;
}

int64_t sla_limit_us(const struct sla *s, enum sla_kind kind, int64_t typical_us)
{
	if (!sla_has(s, kind))
		return INT64_MAX;
	if (kind == SLA_RUNS_AT_MOST)
		return s->runs_at_most_us;
	if (kind != SLA_SLOWER_THAN || typical_us <= 0)
		return INT64_MAX;
	double us = (double)typical_us * s->slower_than;
	return us < 9e18 ? (int64_t)llround(us) : INT64_MAX;
}

/* ---- verdicts ------------------------------------------------------------------------- */

int64_t sla_reached_us(enum sla_kind kind, const struct sla_facts *f)
{
	if (kind == SLA_START_WITHIN)
		return f->started_us;
	return f->done ? f->ended_us : 0;
}

enum sla_verdict sla_judge(
	enum sla_kind kind, int64_t deadline_us, const struct sla_facts *f, int64_t now_us)
{
	int64_t reached = sla_reached_us(kind, f);

	if (reached)
		return reached <= deadline_us ? SLA_MET : SLA_MISSED;
	if (f->passed_over)
		return SLA_VOID;
	return now_us < deadline_us ? SLA_OPEN : SLA_MISSED;
}

static int by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int64_t sla_median_us(int64_t *us, size_t n)
{
	if (n < SLA_HISTORY_LEAST)
		return 0;
	qsort(us, n, sizeof *us, by_size);
	int64_t low = us[(n - 1) / 2], high = us[n / 2];
	return low + (high - low) / 2;
}
