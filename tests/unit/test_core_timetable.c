/* Timetables: the shared cases, intervals and their limits, catchup, calendars, ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "tests/lib/cases.h"
#include "tests/lib/times.h"

/* The shared cases: Airflow's timetables. */

/* A schedule and what it points to. */
struct plan {
	struct schedule_spec spec;
	struct cron crons[4];
	int64_t at_us[16];
	struct zone *zone;
};

/* Kinds of timetable that Weir has no schedule for. */
static const char *const no_schedule[] = {
	"once", "continuous",           /* runs made by the program, not by a clock */
	"after_workday", "restriction", /* a plugin of its own; dates of single tasks */
};

/* Cases whose outcome is Weir's own. None of them is about daylight saving time: in the shared
 * cases Weir's rule and Airflow's agree. */
static const struct {
	const char *id, *why;
	const char *start, *end; /* Weir's interval; NULL: not run */
} weirs_own[] = {
	{ "airflow-tt-018", "a period of months is a cron in Weir", NULL, NULL },
	{ "airflow-tt-020", "a period of years is a cron in Weir", NULL, NULL },
	{ "airflow-tt-021", "a period of years is a cron in Weir", NULL, NULL },
	{ "airflow-tt-022", "a period of months is a cron in Weir", NULL, NULL },
	{ "airflow-tt-023", "a period of months is a cron in Weir", NULL, NULL },
	{ "airflow-tt-060", "a period is anchored to start, not to the last run",
		"2021-09-07T00:00:00Z", "2021-09-07T00:00:00Z" },
	{ "airflow-tt-061", "a period is anchored to start, not to the last run",
		"2021-09-07T00:00:00Z", "2021-09-07T00:00:00Z" },
};

static bool in_list(const char *const *list, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i], word) == 0)
			return true;
	return false;
}

static int find_own(const char *id)
{
	for (size_t i = 0; i < sizeof weirs_own / sizeof *weirs_own; i++)
		if (strcmp(weirs_own[i].id, id) == 0)
			return (int)i;
	return -1;
}

static const char *text_at(const json_t *json, const char *key)
{
	return json_string_value(json_object_get(json, key));
}

static int64_t time_at(const json_t *json, const char *key)
{
	const char *text = text_at(json, key);

	return text && strcmp(text, "any") != 0 ? times_us(text) : 0;
}

static void add_cron(struct plan *p, const char *expr)
{
	struct err err = { 0 };

	if (cron_parse(expr, &p->crons[p->spec.n_crons++], NULL, &err) < 0)
		fail_msg("%s", err.msg);
	p->spec.crons = p->crons;
	p->spec.kind = TIMETABLE_CRON;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void add_period(struct plan *p, const json_t *schedule)
{
	static const struct {
		const char *unit;
		int64_t s;
	} units[] = { { "seconds", 1 }, { "minutes", 60 }, { "hours", 3600 }, { "days", 86400 } };

	p->spec.kind = TIMETABLE_EVERY;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		p->spec.period_us += json_integer_value(json_object_get(schedule, units[i].unit)) *
				     units[i].s * CIVIL_US_PER_S;
}

static void add_schedule(struct plan *p, const char *timetable, const json_t *schedule)
{
	if (json_is_string(schedule)) {
		add_cron(p, json_string_value(schedule));
	} else if (json_is_object(schedule)) {
		add_period(p, schedule);
	} else if (strcmp(timetable, "events") == 0) {
		p->spec.kind = TIMETABLE_AT;
		p->spec.at_us = p->at_us;
		for (size_t i = 0; i < json_array_size(schedule); i++)
			p->at_us[p->spec.n_at++] =
				times_us(json_string_value(json_array_get(schedule, i)));
		qsort(p->at_us, p->spec.n_at, sizeof *p->at_us, by_time);
	} else {
		for (size_t i = 0; i < json_array_size(schedule); i++)
			add_cron(p, json_string_value(json_array_get(schedule, i)));
	}
}

static void make_plan(const json_t *json, struct plan *p)
{
	const char *timetable = text_at(json, "timetable");
	const json_t *immediately = json_object_get(json, "run_immediately");

	*p = (struct plan){ .zone = times_zone(text_at(json, "tz")) };
	p->spec.zone = p->zone;
	add_schedule(p, timetable, json_object_get(json, "schedule"));
	p->spec.interval = strstr(timetable, "trigger") ? TIMETABLE_POINT : TIMETABLE_DATA;
	p->spec.start_us = time_at(json, "earliest");
	p->spec.end_us = time_at(json, "latest");
	if (json_is_true(json_object_get(json, "catchup")))
		p->spec.catchup = TIMETABLE_CATCHUP_ALL;
	else if (p->spec.kind == TIMETABLE_AT)
		p->spec.catchup = TIMETABLE_CATCHUP_NONE;
	/* "At once, if it was due at most so long ago" is our window. */
	if (json_is_object(immediately))
		p->spec.catchup_window_us =
			json_integer_value(json_object_get(immediately, "minutes")) * 60 *
			CIVIL_US_PER_S;
}

static void read_interval(const json_t *json, struct tick *ret)
{
	ret->start_us = times_us(json_string_value(json_array_get(json, 0)));
	ret->end_us = ret->run_after_us = times_us(json_string_value(json_array_get(json, 1)));
}

static void expect_tick(const char *id, const json_t *want, int found, const struct tick *got)
{
	const json_t *interval = json_object_get(want, "interval");
	const char *logical = text_at(want, "logical_date");
	struct tick tick = { 0 };

	if (json_is_null(want) || !found) {
		if (found || !json_is_null(want))
			fail_msg("%s: %s", id, found ? times_show(got->start_us) : "nothing");
		return;
	}
	if (interval) {
		read_interval(interval, &tick);
		tick.run_after_us = times_us(text_at(want, "run_after"));
	} else {
		tick = *got;
		tick.start_us = times_us(logical);
	}
	if (got->start_us != tick.start_us || got->end_us != tick.end_us ||
		got->run_after_us != tick.run_after_us)
		fail_msg("%s: got %s to %s, due %s; want %s", id, times_show(got->start_us),
			times_show(got->end_us), times_show(got->run_after_us),
			times_show(tick.start_us));
}

static void run_next(const json_t *json, const struct plan *p)
{
	const char *id = text_at(json, "id");
	const json_t *interval = json_object_get(json, "last_interval");
	int own = find_own(id);
	struct tick last, got;

	if (json_is_array(interval))
		read_interval(interval, &last);
	int found = timetable_catchup(
		&p->spec, json_is_array(interval) ? &last : NULL, time_at(json, "now"), &got);
	if (own < 0) {
		expect_tick(id, json_object_get(json, "expect"), found, &got);
		return;
	}
	assert_true(found);
	assert_true(got.start_us == times_us(weirs_own[own].start));
	assert_true(got.end_us == times_us(weirs_own[own].end));
}

static void run_sequence(const json_t *json, const struct plan *p)
{
	const json_t *expect = json_object_get(json, "expect");
	struct tick last, got;

	for (size_t i = 0; i < json_array_size(expect); i++) {
		int found =
			timetable_catchup(&p->spec, i ? &last : NULL, time_at(json, "now"), &got);
		expect_tick(text_at(json, "id"), json_array_get(expect, i), found, &got);
		last = got;
	}
}

static void run_sequence_logical(const json_t *json, const struct plan *p)
{
	const json_t *dates = json_object_get(json_object_get(json, "expect"), "logical_dates");
	struct tick last, got;

	for (size_t i = 0; i < json_array_size(dates); i++) {
		assert_int_equal(
			timetable_catchup(&p->spec, i ? &last : NULL, time_at(json, "now"), &got),
			1);
		assert_true(got.start_us == times_us(json_string_value(json_array_get(dates, i))));
		last = got;
	}
}

static void run_manual(const json_t *json, const struct plan *p)
{
	struct tick got;
	int found = timetable_last_complete(&p->spec, time_at(json, "run_after"), &got);

	expect_tick(text_at(json, "id"), json_object_get(json, "expect"), found, &got);
}

static void run_validate(const json_t *json, const struct plan *p)
{
	bool valid = json_is_true(json_object_get(json_object_get(json, "expect"), "valid"));
	struct err err;

	if ((timetable_check(&p->spec, &err) == 0) != valid)
		fail_msg("%s", text_at(json, "id"));
}

static void run_backfill(const json_t *json, const struct plan *p)
{
	const json_t *expect = json_object_get(json, "expect");
	struct timetable_range r;
	struct tick got;
	size_t n = 0;

	timetable_range_init(&r, &p->spec, p->spec.start_us, p->spec.end_us);
	while (timetable_range_next(&r, &got))
		expect_tick(text_at(json, "id"), json_array_get(expect, n++), 1, &got);
	assert_int_equal(n, json_array_size(expect));
}

static void run_skipped(const json_t *json, const struct plan *p)
{
	const json_t *skipped = json_object_get(json_object_get(json, "expect"), "skipped");
	struct tick last, next;

	read_interval(json_object_get(json, "prev_interval"), &last);
	read_interval(json_object_get(json, "new_interval"), &next);
	int64_t n = timetable_skipped(&p->spec, &last, &next, 1000);
	assert_int_equal(n > 0, json_is_array(skipped));
}

static void run_tick_next(const json_t *json, const struct plan *p)
{
	struct tick got;

	assert_int_equal(timetable_next(&p->spec, time_at(json, "at"), &got), 1);
	assert_true(got.run_after_us == time_at(json_object_get(json, "expect"), "tick"));
}

static void run_tick_prev(const json_t *json, const struct plan *p)
{
	struct tick got;

	assert_int_equal(timetable_prev(&p->spec, time_at(json, "at"), &got), 1);
	assert_true(got.run_after_us == time_at(json_object_get(json, "expect"), "tick"));
}

static const struct {
	const char *op;
	void (*run)(const json_t *json, const struct plan *p);
} ops[] = {
	{ "next", run_next },
	{ "sequence", run_sequence },
	{ "sequence_logical", run_sequence_logical },
	{ "manual_interval", run_manual },
	{ "validate", run_validate },
	{ "backfill", run_backfill },
	{ "skipped_range", run_skipped },
	{ "tick_next", run_tick_next },
	{ "tick_prev", run_tick_prev },
};

static bool run_shared(const json_t *json)
{
	const char *id = text_at(json, "id"), *op = text_at(json, "op");
	int own = find_own(id);
	struct plan p;
	size_t k = 0;

	if (in_list(no_schedule, sizeof no_schedule / sizeof *no_schedule,
		    text_at(json, "timetable")) ||
		(own >= 0 && !weirs_own[own].start))
		return false;
	while (k < sizeof ops / sizeof *ops && strcmp(ops[k].op, op) != 0)
		k++;
	if (k == sizeof ops / sizeof *ops)
		fail_msg("%s: unknown op %s", id, op);
	make_plan(json, &p);
	ops[k].run(json, &p);
	zone_free(p.zone);
	return true;
}

static void test_shared_cases(void **state)
{
	(void)state;
	FILE *f = times_have_zones() ? cases_open("timetables/timetables.jsonl") : NULL;
	char *line = NULL;
	size_t size = 0, n = 0, ran = 0;

	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		json_t *json = json_loads(line, 0, NULL);
		assert_non_null(json);
		ran += run_shared(json);
		json_decref(json);
		n++;
	}
	free(line);
	fclose(f);
	print_message("# %zu of %zu cases apply\n", ran, n);
	assert_true(ran >= 65);
}

/* A schedule in words, for the tests below. */
struct said {
	const char *crons[3]; /* or a period, or times */
	int64_t every_s;
	const char *at[4];
	const char *zone, *start, *end;
	enum timetable_interval interval;
	enum timetable_catchup catchup;
	int64_t window_s;
};

static void plan_said(const struct said *said, struct plan *p)
{
	*p = (struct plan){ .zone = times_zone(said->zone ? said->zone : "UTC") };
	p->spec.zone = p->zone;
	for (int i = 0; i < 3 && said->crons[i]; i++)
		add_cron(p, said->crons[i]);
	if (said->every_s) {
		p->spec.kind = TIMETABLE_EVERY;
		p->spec.period_us = said->every_s * CIVIL_US_PER_S;
	}
	for (int i = 0; i < 4 && said->at[i]; i++) {
		p->spec.kind = TIMETABLE_AT;
		p->spec.at_us = p->at_us;
		p->at_us[p->spec.n_at++] = times_us(said->at[i]);
	}
	p->spec.start_us = said->start ? times_us(said->start) : 0;
	p->spec.end_us = said->end ? times_us(said->end) : 0;
	p->spec.interval = said->interval;
	p->spec.catchup = said->catchup;
	p->spec.catchup_window_us = said->window_s * CIVIL_US_PER_S;
	assert_int_equal(timetable_check(&p->spec, NULL), 0);
}

/* "start/end due" or "none". */
static const char *describe(int found, const struct tick *t)
{
	static char text[200];

	if (!found)
		return "none";
	snprintf(text, sizeof text, "%s/%s%s", times_show(t->start_us), times_show(t->end_us),
		t->run_after_us == t->end_us ? "" : " due at another time");
	return text;
}

static void expect_text(const char *what, size_t i, const char *got, const char *want)
{
	if (strcmp(got, want) != 0)
		fail_msg("%s, case %zu: %s, want %s", what, i, got, want);
}

static void test_limits(void **state)
{
	(void)state;
	static const struct {
		struct said said;
		const char *after, *next, *before, *prev;
	} cases[] = {
		{ { .crons = { "0 2 * * *" }, .zone = "Europe/Berlin" }, "2026-11-19T01:00:00Z",
			"2026-11-19T01:00:00Z/2026-11-20T01:00:00Z", "2026-11-19T01:00:00Z",
			"2026-11-17T01:00:00Z/2026-11-18T01:00:00Z" },
		/* the first interval begins at the first tick from the start on */
		{ { .crons = { "0 2 * * *" }, .start = "2026-01-01T00:00Z" }, "2020-01-01T00:00Z",
			"2026-01-01T02:00:00Z/2026-01-02T02:00:00Z", "2026-01-02T02:00Z", "none" },
		{ { .crons = { "0 2 * * *" }, .start = "2026-01-01T02:00Z" }, "2026-01-01T02:00Z",
			"2026-01-01T02:00:00Z/2026-01-02T02:00:00Z", "2026-01-02T02:00:01Z",
			"2026-01-01T02:00:00Z/2026-01-02T02:00:00Z" },
		/* and the last at the last tick up to the end, which it may outlast */
		{ { .crons = { "0 2 * * *" }, .end = "2026-01-01T02:00Z" }, "2026-01-01T02:00Z",
			"2026-01-01T02:00:00Z/2026-01-02T02:00:00Z", "2030-01-01T00:00Z",
			"2026-01-01T02:00:00Z/2026-01-02T02:00:00Z" },
		{ { .crons = { "0 2 * * *" }, .end = "2026-01-01T02:00Z" }, "2026-01-02T02:00Z",
			"none", "2026-01-02T02:00Z", "2025-12-31T02:00:00Z/2026-01-01T02:00:00Z" },
		/* points */
		{ { .crons = { "0 2 * * *" },
			  .interval = TIMETABLE_POINT,
			  .start = "2026-01-01T02:00Z",
			  .end = "2026-01-02T02:00Z" },
			"2020-01-01T00:00Z", "2026-01-01T02:00:00Z/2026-01-01T02:00:00Z",
			"2030-01-01T00:00Z", "2026-01-02T02:00:00Z/2026-01-02T02:00:00Z" },
		{ { .at = { "2026-12-31T22:00Z", "2027-01-31T22:00Z" } }, "2026-12-31T22:00Z",
			"2027-01-31T22:00:00Z/2027-01-31T22:00:00Z", "2026-12-31T22:00Z", "none" },
		/* several crons are one schedule */
		{ { .crons = { "0 6 * * 1-5", "0 9 * * 6,0" } }, "2026-11-20T06:00Z",
			"2026-11-20T06:00:00Z/2026-11-21T09:00:00Z", "2026-11-23T06:00Z",
			"2026-11-21T09:00:00Z/2026-11-22T09:00:00Z" },
		/* a period counts from the start, elapsed, whatever the clocks show */
		{ { .every_s = 86400, .start = "2026-10-20T00:30Z", .zone = "Europe/Berlin" },
			"2026-10-25T12:00Z", "2026-10-25T00:30:00Z/2026-10-26T00:30:00Z",
			"2026-10-25T00:30Z", "2026-10-23T00:30:00Z/2026-10-24T00:30:00Z" },
		{ { .every_s = 900 }, "2026-10-25T12:07Z",
			"2026-10-25T12:00:00Z/2026-10-25T12:15:00Z", "2026-10-25T12:07Z",
			"2026-10-25T11:45:00Z/2026-10-25T12:00:00Z" },
		/* without a start from the local midnight of 1970-01-01 */
		{ { .every_s = 86400, .zone = "Asia/Kolkata" }, "2026-10-25T12:07Z",
			"2026-10-24T18:30:00Z/2026-10-25T18:30:00Z", "2026-10-25T12:07Z",
			"2026-10-23T18:30:00Z/2026-10-24T18:30:00Z" },
		{ { .start = "2026-01-01T00:00Z" }, "2026-01-01T00:00Z", "none",
			"2027-01-01T00:00Z", "none" },
	};

	if (!times_have_zones())
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct plan p;
		struct tick t;
		plan_said(&cases[i].said, &p);
		int found = timetable_next(&p.spec, times_us(cases[i].after), &t);
		expect_text("next", i, describe(found, &t), cases[i].next);
		found = timetable_prev(&p.spec, times_us(cases[i].before), &t);
		expect_text("prev", i, describe(found, &t), cases[i].prev);
		zone_free(p.zone);
	}
}

static void test_dates(void **state)
{
	(void)state;
	static const struct {
		struct said said;
		int day[3], count;
		const char *want;
	} cases[] = {
		{ { .crons = { "0 2 * * *" }, .zone = "Europe/Berlin" }, { 2026, 11, 19 }, 1,
			"2026-11-19T01:00:00Z/2026-11-20T01:00:00Z" },
		/* start and end do not limit what a person asks for */
		{ { .crons = { "0 2 * * *" }, .start = "2030-01-01T00:00Z" }, { 2026, 11, 19 }, 1,
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		{ { .crons = { "0 */6 * * *" } }, { 2026, 11, 19 }, 4,
			"2026-11-19T00:00:00Z/2026-11-19T06:00:00Z" },
		/* 23 and 25 hours */
		{ { .crons = { "0 * * * *" }, .zone = "Europe/Berlin" }, { 2026, 3, 29 }, 23,
			"2026-03-28T23:00:00Z/2026-03-29T00:00:00Z" },
		{ { .crons = { "0 * * * *" }, .zone = "Europe/Berlin" }, { 2026, 10, 25 }, 25,
			"2026-10-24T22:00:00Z/2026-10-24T23:00:00Z" },
		{ { .crons = { "0 2 * * *" }, .zone = "Europe/Berlin" }, { 2026, 3, 29 }, 1,
			"2026-03-29T01:00:00Z/2026-03-30T00:00:00Z" },
		/* none on that day: all of it */
		{ { .crons = { "0 2 * * 1" } }, { 2026, 11, 19 }, 0,
			"2026-11-19T00:00:00Z/2026-11-20T00:00:00Z" },
		{ { .zone = "Europe/Berlin" }, { 2026, 11, 19 }, 0,
			"2026-11-18T23:00:00Z/2026-11-19T23:00:00Z" },
		{ { .zone = "Europe/Berlin" }, { 2026, 10, 25 }, 0,
			"2026-10-24T22:00:00Z/2026-10-25T23:00:00Z" },
		{ { .zone = "America/Sao_Paulo" }, { 2018, 11, 4 }, 0,
			"2018-11-04T03:00:00Z/2018-11-05T02:00:00Z" },
		{ { .crons = { "0 2 * * *" }, .interval = TIMETABLE_POINT }, { 2026, 11, 19 }, 1,
			"2026-11-19T02:00:00Z/2026-11-19T02:00:00Z" },
		{ { .at = { "2026-11-19T22:00Z" } }, { 2026, 11, 19 }, 1,
			"2026-11-19T22:00:00Z/2026-11-19T22:00:00Z" },
		{ { .every_s = 900 }, { 2026, 11, 19 }, 96,
			"2026-11-19T00:00:00Z/2026-11-19T00:15:00Z" },
	};

	if (!times_have_zones())
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const int *d = cases[i].day;
		struct plan p;
		struct tick t;
		plan_said(&cases[i].said, &p);
		int count = timetable_interval_for_date(&p.spec, civil_day(d[0], d[1], d[2]), &t);
		if (count != cases[i].count)
			fail_msg("case %zu: %d intervals", i, count);
		expect_text("date", i, describe(1, &t), cases[i].want);
		zone_free(p.zone);
	}
}

static void test_interval_at(void **state)
{
	(void)state;
	static const struct {
		struct said said;
		const char *at, *want, *complete;
	} cases[] = {
		{ { .crons = { "0 2 * * *" } }, "2026-11-19T02:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z" },
		{ { .crons = { "0 2 * * *" } }, "2026-11-19T01:59:59.999999Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z",
			"2026-11-17T02:00:00Z/2026-11-18T02:00:00Z" },
		{ { .crons = { "0 2 * * *" }, .interval = TIMETABLE_POINT }, "2026-11-19T02:00Z",
			"2026-11-19T02:00:00Z/2026-11-19T02:00:00Z",
			"2026-11-19T02:00:00Z/2026-11-19T02:00:00Z" },
		{ { .crons = { "0 2 * * *" }, .interval = TIMETABLE_POINT }, "2026-11-19T02:01Z",
			"none", "2026-11-19T02:00:00Z/2026-11-19T02:00:00Z" },
		{ { .at = { "2026-11-19T22:00Z" } }, "2026-11-19T02:01Z", "none", "none" },
		{ { .zone = "Europe/Berlin" }, "2026-11-19T23:00Z",
			"2026-11-19T23:00:00Z/2026-11-20T23:00:00Z",
			"2026-11-18T23:00:00Z/2026-11-19T23:00:00Z" },
	};

	if (!times_have_zones())
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct plan p;
		struct tick t;
		plan_said(&cases[i].said, &p);
		int found = timetable_interval_at(&p.spec, times_us(cases[i].at), &t);
		expect_text("at", i, describe(found, &t), cases[i].want);
		found = timetable_last_complete(&p.spec, times_us(cases[i].at), &t);
		expect_text("complete", i, describe(found, &t), cases[i].complete);
		zone_free(p.zone);
	}
}

#define LATEST TIMETABLE_CATCHUP_LATEST
#define NONE TIMETABLE_CATCHUP_NONE
#define ALL TIMETABLE_CATCHUP_ALL

static void test_catchup(void **state)
{
	(void)state;
	static const struct {
		enum timetable_catchup catchup;
		int64_t window_s;
		const char *last[2], *now, *want;
	} cases[] = {
		/* daily at 02:00, start 2026-11-01; three days of outage */
		{ LATEST, 0, { "2026-11-15T02:00Z", "2026-11-16T02:00Z" }, "2026-11-19T12:00Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z" },
		{ ALL, 0, { "2026-11-15T02:00Z", "2026-11-16T02:00Z" }, "2026-11-19T12:00Z",
			"2026-11-16T02:00:00Z/2026-11-17T02:00:00Z" },
		{ NONE, 0, { "2026-11-15T02:00Z", "2026-11-16T02:00Z" }, "2026-11-19T12:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		/* nothing missed: all three wait for the same */
		{ LATEST, 0, { "2026-11-18T02:00Z", "2026-11-19T02:00Z" }, "2026-11-19T12:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		{ ALL, 0, { "2026-11-18T02:00Z", "2026-11-19T02:00Z" }, "2026-11-19T12:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		{ NONE, 0, { "2026-11-18T02:00Z", "2026-11-19T02:00Z" }, "2026-11-19T12:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		/* the first run of all */
		{ LATEST, 0, { NULL, NULL }, "2026-11-19T12:00Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z" },
		{ ALL, 0, { NULL, NULL }, "2026-11-19T12:00Z",
			"2026-11-01T02:00:00Z/2026-11-02T02:00:00Z" },
		{ NONE, 0, { NULL, NULL }, "2026-11-19T12:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		{ LATEST, 0, { NULL, NULL }, "2026-11-01T12:00Z",
			"2026-11-01T02:00:00Z/2026-11-02T02:00:00Z" },
		/* the window: due at most two days, or eleven hours, ago */
		{ ALL, 172800, { NULL, NULL }, "2026-11-19T12:00Z",
			"2026-11-17T02:00:00Z/2026-11-18T02:00:00Z" },
		{ ALL, 172800, { "2026-11-17T02:00Z", "2026-11-18T02:00Z" }, "2026-11-19T12:00Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z" },
		{ LATEST, 36000, { NULL, NULL }, "2026-11-19T12:00Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z" },
		{ LATEST, 35999, { NULL, NULL }, "2026-11-19T12:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		/* a clock set back: what is done is not done again */
		{ LATEST, 0, { "2026-11-18T02:00Z", "2026-11-19T02:00Z" }, "2026-11-10T00:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		{ NONE, 0, { "2026-11-18T02:00Z", "2026-11-19T02:00Z" }, "2026-11-10T00:00Z",
			"2026-11-19T02:00:00Z/2026-11-20T02:00:00Z" },
		/* the schedule was changed: no data is left out */
		{ ALL, 0, { "2026-11-18T10:00Z", "2026-11-18T11:00Z" }, "2026-11-19T12:00Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z" },
		/* at the very instant */
		{ LATEST, 0, { NULL, NULL }, "2026-11-19T02:00Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z" },
		{ NONE, 0, { NULL, NULL }, "2026-11-19T02:00Z",
			"2026-11-18T02:00:00Z/2026-11-19T02:00:00Z" },
		/* after the end, which is 2026-12-24T02:00 */
		{ LATEST, 0, { "2026-12-23T02:00Z", "2026-12-24T02:00Z" }, "2027-03-01T00:00Z",
			"2026-12-24T02:00:00Z/2026-12-25T02:00:00Z" },
		{ LATEST, 0, { "2026-12-24T02:00Z", "2026-12-25T02:00Z" }, "2027-03-01T00:00Z",
			"none" },
		{ NONE, 0, { "2026-12-20T02:00Z", "2026-12-21T02:00Z" }, "2027-03-01T00:00Z",
			"none" },
		{ ALL, 0, { "2026-12-24T02:00Z", "2026-12-25T02:00Z" }, "2027-03-01T00:00Z",
			"none" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct said said = { .crons = { "0 2 * * *" },
			.start = "2026-11-01T00:00Z",
			.end = "2026-12-24T02:00Z",
			.catchup = cases[i].catchup,
			.window_s = cases[i].window_s };
		struct plan p;
		struct tick t, last = { 0 };
		plan_said(&said, &p);
		if (cases[i].last[0]) {
			last.start_us = times_us(cases[i].last[0]);
			last.end_us = last.run_after_us = times_us(cases[i].last[1]);
		}
		int found = timetable_catchup(
			&p.spec, cases[i].last[0] ? &last : NULL, times_us(cases[i].now), &t);
		expect_text("catchup", i, describe(found, &t), cases[i].want);
		zone_free(p.zone);
	}
}

static void test_skipped(void **state)
{
	(void)state;
	struct said said = { .crons = { "0 2 * * *" } };
	struct plan p;
	struct tick a, b;

	plan_said(&said, &p);
	assert_int_equal(timetable_last_complete(&p.spec, times_us("2026-11-16T12:00Z"), &a), 1);
	assert_int_equal(timetable_last_complete(&p.spec, times_us("2026-11-19T12:00Z"), &b), 1);
	assert_int_equal(timetable_skipped(&p.spec, &a, &b, 100), 2);
	assert_int_equal(timetable_skipped(&p.spec, &a, &b, 1), 1);
	assert_int_equal(timetable_skipped(&p.spec, &a, &a, 100), 0);
	zone_free(p.zone);
}

static void test_ranges(void **state)
{
	(void)state;
	static const struct {
		struct said said;
		const char *from, *to;
		int count;
		const char *first, *last;
	} cases[] = {
		{ { .crons = { "0 2 * * *" }, .zone = "Europe/Berlin" }, "2026-01-01T00:00Z",
			"2026-03-31T23:59:59Z", 90, "2026-01-01T01:00:00Z/2026-01-02T01:00:00Z",
			"2026-03-31T00:00:00Z/2026-04-01T00:00:00Z" },
		{ { .crons = { "0 2 * * *" }, .interval = TIMETABLE_POINT }, "2026-01-01T02:00Z",
			"2026-01-03T02:00Z", 3, "2026-01-01T02:00:00Z/2026-01-01T02:00:00Z",
			"2026-01-03T02:00:00Z/2026-01-03T02:00:00Z" },
		{ { .zone = "Europe/Berlin" }, "2026-10-24T00:00Z", "2026-10-26T00:00Z", 2,
			"2026-10-24T22:00:00Z/2026-10-25T23:00:00Z",
			"2026-10-25T23:00:00Z/2026-10-26T23:00:00Z" },
		{ { .at = { "2026-01-01T00:00Z", "2026-02-01T00:00Z" } }, "2026-01-01T00:00Z",
			"2027-01-01T00:00Z", 2, "2026-01-01T00:00:00Z/2026-01-01T00:00:00Z",
			"2026-02-01T00:00:00Z/2026-02-01T00:00:00Z" },
		{ { .crons = { "0 2 * * *" } }, "1999-08-16T00:00Z", "2026-12-31T23:00Z", 10000,
			"1999-08-16T02:00:00Z/1999-08-17T02:00:00Z",
			"2026-12-31T02:00:00Z/2027-01-01T02:00:00Z" },
		{ { .crons = { "0 2 * * *" } }, "2026-01-02T00:00Z", "2026-01-01T00:00Z", 0, "",
			"" },
	};

	if (!times_have_zones())
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct plan p;
		struct tick t, was = { 0 };
		struct timetable_range r;
		int n = 0;
		plan_said(&cases[i].said, &p);
		timetable_range_init(&r, &p.spec, times_us(cases[i].from), times_us(cases[i].to));
		for (; timetable_range_next(&r, &t); n++, was = t) {
			if (n == 0)
				expect_text("range", i, describe(1, &t), cases[i].first);
			else
				assert_true(t.start_us > was.start_us && t.start_us >= was.end_us);
		}
		assert_int_equal(n, cases[i].count);
		if (n)
			expect_text("range end", i, describe(1, &was), cases[i].last);
		zone_free(p.zone);
	}
}

static void test_calendar(void **state)
{
	(void)state;
	/* 2026-11-19 is a Thursday; the 20th and the 23rd are holidays */
	const int64_t holidays[] = { civil_day(2026, 11, 20), civil_day(2026, 11, 23) };
	static const struct {
		enum timetable_action action;
		const char *cron, *after, *want;
		bool moved;
	} cases[] = {
		/* the interval before a gap of days is as long as the gap: nothing is left out */
		{ TIMETABLE_SKIP, "0 2 * * *", "2026-11-19T02:00Z",
			"2026-11-19T02:00:00Z/2026-11-24T02:00:00Z", false },
		{ TIMETABLE_MOVE_NEXT, "0 2 * * *", "2026-11-19T02:00Z",
			"2026-11-19T02:00:00Z/2026-11-24T02:00:00Z", false },
		{ TIMETABLE_MOVE_PREVIOUS, "0 2 * * *", "2026-11-19T02:00Z",
			"2026-11-19T02:00:00Z/2026-11-24T02:00:00Z", false },
		/* on Sundays only */
		{ TIMETABLE_SKIP, "0 2 * * 0", "2026-11-19T00:00Z", "none", false },
		{ TIMETABLE_MOVE_NEXT, "0 2 * * 0", "2026-11-18T00:00Z",
			"2026-11-16T02:00:00Z/2026-11-24T02:00:00Z", true },
		{ TIMETABLE_MOVE_NEXT, "0 2 * * 0", "2026-11-24T02:00Z",
			"2026-11-24T02:00:00Z/2026-11-30T02:00:00Z", true },
		{ TIMETABLE_MOVE_PREVIOUS, "0 2 * * 0", "2026-11-18T00:00Z",
			"2026-11-13T02:00:00Z/2026-11-19T02:00:00Z", true },
		{ TIMETABLE_MOVE_PREVIOUS, "0 2 * * 0", "2026-11-19T02:00Z",
			"2026-11-19T02:00:00Z/2026-11-27T02:00:00Z", true },
		/* times of day mix where days fall together */
		{ TIMETABLE_MOVE_NEXT, "0 6 20 * *", "2026-11-19T00:00Z",
			"2026-10-20T06:00:00Z/2026-11-24T06:00:00Z", true },
		{ TIMETABLE_MOVE_NEXT, "0 */12 * * 5-7", "2026-11-19T12:00Z",
			"2026-11-16T12:00:00Z/2026-11-24T00:00:00Z", true },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct said said = { .crons = { cases[i].cron } };
		struct plan p;
		struct tick t = { 0 };
		plan_said(&said, &p);
		p.spec.calendar = (struct timetable_calendar){ .only = { .weekdays = 0x3e },
			.exclude = { .days = holidays, .n_days = 2 },
			.action = cases[i].action };
		assert_int_equal(timetable_check(&p.spec, NULL), 0);
		int found = timetable_next(&p.spec, times_us(cases[i].after), &t);
		expect_text("calendar", i, describe(found, &t), cases[i].want);
		assert_int_equal(t.moved, cases[i].moved);
		zone_free(p.zone);
	}
}

/* Calendars against an obvious model: take all ticks of some months, drop or move each, sort. */

enum { MODEL_TICKS = 4096 };

static size_t model_ticks(const struct plan *p, int64_t from_us, int64_t to_us, int64_t *ticks)
{
	struct schedule_spec bare = p->spec;
	struct timetable_range r;
	struct tick t;
	size_t n = 0, unique = 0;

	bare.calendar = (struct timetable_calendar){ 0 };
	bare.interval = TIMETABLE_POINT;
	timetable_range_init(&r, &bare, from_us, to_us);
	while (n < MODEL_TICKS && timetable_range_next(&r, &t)) {
		int64_t day = zone_day_at(p->zone, t.start_us), to = day;
		int step = p->spec.calendar.action == TIMETABLE_MOVE_NEXT ? 1 : -1;
		if (!timetable_day_allowed(&p->spec.calendar, day) &&
			p->spec.calendar.action == TIMETABLE_SKIP)
			continue;
		while (!timetable_day_allowed(&p->spec.calendar, to))
			to += step;
		ticks[n++] = t.start_us + (to - day) * CIVIL_US_PER_DAY;
	}
	assert_true(n < MODEL_TICKS);
	qsort(ticks, n, sizeof *ticks, by_time);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || ticks[i] != ticks[unique - 1])
			ticks[unique++] = ticks[i];
	return unique;
}

static void test_calendar_model(void **state)
{
	(void)state;
	static const char *const crons[] = { "0 2 * * *", "30 5 1,15 * *", "0 9 * * 0",
		"0 */5 * * 5-1", "15 23 L * *", "0 0 * * 6#1,3L" };
	static const unsigned only[] = { 0x3e, 0x7f, 0x41, 0x08 };
	static int64_t ticks[MODEL_TICKS];
	int64_t from_us = times_us("2025-06-01T00:00Z"), to_us = times_us("2026-12-01T00:00Z");
	int64_t holidays[40];

	for (int k = 0; k < 40; k++)
		holidays[k] = civil_day(2025, 7, 1) + k * 13 + k % 3;
	for (int i = 0; i < 6 * 4 * TIMETABLE_ACTION_MAX; i++) {
		struct said said = { .crons = { crons[i % 6] }, .interval = TIMETABLE_POINT };
		struct plan p;
		struct tick t;
		plan_said(&said, &p);
		p.spec.calendar = (struct timetable_calendar){
			.only = { .weekdays = (uint8_t)only[i / 6 % 4] },
			.exclude = { .days = holidays, .n_days = 40 },
			.action = (enum timetable_action)(i / 24)
		};
		size_t n = model_ticks(&p, from_us, to_us, ticks);
		if (n == 0) { /* Sundays, of business days */
			assert_int_equal(p.spec.calendar.action, TIMETABLE_SKIP);
			assert_int_equal(timetable_next(&p.spec, from_us, &t), 0);
			assert_int_equal(timetable_prev(&p.spec, to_us, &t), 0);
		}
		/* away from the ends, where the model lacks neighbours */
		size_t k = 0;
		while (k < n && ticks[k] < times_us("2025-08-01T00:00Z"))
			k++;
		for (; k + 1 < n && ticks[k + 1] < times_us("2026-10-01T00:00Z"); k++) {
			if (!timetable_next(&p.spec, ticks[k], &t) || t.start_us != ticks[k + 1])
				fail_msg("round %d, next of %s: %s, want %s", i,
					times_show(ticks[k]), times_show(t.start_us),
					times_show(ticks[k + 1]));
			if (!timetable_prev(&p.spec, ticks[k + 1], &t) || t.start_us != ticks[k])
				fail_msg("round %d, prev of %s: %s, want %s", i,
					times_show(ticks[k + 1]), times_show(t.start_us),
					times_show(ticks[k]));
		}
		zone_free(p.zone);
	}
}

/* A calendar by list only, and what it leaves of a schedule. */
static void test_listed_days(void **state)
{
	(void)state;
	const int64_t days[] = { civil_day(2026, 3, 31), civil_day(2026, 6, 30),
		civil_day(2026, 9, 30) };
	struct said said = { .crons = { "0 8 * * *" }, .interval = TIMETABLE_POINT };
	struct plan p;
	struct tick t;

	plan_said(&said, &p);
	p.spec.calendar.only = (struct timetable_days){ .days = days, .n_days = 3 };
	int found = timetable_next(&p.spec, times_us("2026-04-01T00:00Z"), &t);
	expect_text("listed", 0, describe(found, &t), "2026-06-30T08:00:00Z/2026-06-30T08:00:00Z");
	found = timetable_prev(&p.spec, times_us("2026-06-01T00:00Z"), &t);
	expect_text("listed", 1, describe(found, &t), "2026-03-31T08:00:00Z/2026-03-31T08:00:00Z");
	assert_int_equal(timetable_next(&p.spec, times_us("2026-10-01T00:00Z"), &t), 0);
	assert_int_equal(timetable_prev(&p.spec, times_us("2026-03-01T00:00Z"), &t), 0);
	for (int action = TIMETABLE_MOVE_NEXT; action < TIMETABLE_ACTION_MAX; action++) {
		p.spec.calendar.action = (enum timetable_action)action;
		found = timetable_next(&p.spec, times_us("2026-04-01T00:00Z"), &t);
		expect_text("listed", 2, describe(found, &t),
			"2026-06-30T08:00:00Z/2026-06-30T08:00:00Z");
		assert_int_equal(timetable_next(&p.spec, times_us("2026-10-01T00:00Z"), &t), 0);
		assert_int_equal(timetable_prev(&p.spec, times_us("2026-03-01T00:00Z"), &t), 0);
	}
	zone_free(p.zone);
}

static void test_check(void **state)
{
	(void)state;
	const int64_t unsorted[] = { 5, 3 };
	struct schedule_spec good = { .kind = TIMETABLE_EVERY,
		.period_us = TIMETABLE_EVERY_MIN_US };
	struct schedule_spec bad[] = { good, good, good, good, good, good, good, good };
	static const char *const says[] = { "cron", "every", "every", "lists no time", "ascending",
		"before `start`", "ascending", "no day at all" };
	struct err err;

	bad[0].kind = TIMETABLE_CRON;
	bad[1].period_us = TIMETABLE_EVERY_MIN_US - 1;
	bad[2].period_us = INT64_MAX;
	bad[3].kind = TIMETABLE_AT;
	bad[4].kind = TIMETABLE_AT;
	bad[4].at_us = unsorted;
	bad[4].n_at = 2;
	bad[5].start_us = 2;
	bad[5].end_us = 1;
	bad[6].calendar.exclude = (struct timetable_days){ .days = unsorted, .n_days = 2 };
	bad[7].calendar.exclude.weekdays = 0x7f;
	assert_int_equal(timetable_check(&good, &err), 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(timetable_check(&bad[i], &err), -1);
		if (err.code != ERR_INVALID || !strstr(err.msg, says[i]))
			fail_msg("case %zu: %s", i, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared_cases),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_interval_at),
		cmocka_unit_test(test_catchup),
		cmocka_unit_test(test_skipped),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_calendar_model),
		cmocka_unit_test(test_listed_days),
		cmocka_unit_test(test_check),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
