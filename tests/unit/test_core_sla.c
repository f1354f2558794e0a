/* SLAs: deadlines on days of every kind, verdicts, medians, and what is expected of a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/civil.h"
#include "base/err.h"
#include "base/units.h"
#include "core/foresight.h"
#include "core/model.h"
#include "core/sla.h"
#include "core/sla_clock.h"
#include "core/timetable.h"
#include "tests/lib/times.h"

#define M US_PER_MINUTE
#define H US_PER_HOUR

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int s;
	} rows[] = { { "00:00", 0 }, { "06:30", 23400 }, { "23:59", 86340 }, { "23:59:59", 86399 },
		{ "24:00", -1 }, { "6:30", -1 }, { "06:60", -1 }, { "06:30:60", -1 }, { "", -1 },
		{ "06-30", -1 }, { "06:3x", -1 }, { "06:30:", -1 }, { "06:30Z", -1 } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (sla_parse_time(rows[i].text) != rows[i].s)
			fail_msg("\"%s\": %d, not %d", rows[i].text, sla_parse_time(rows[i].text),
				rows[i].s);
}

static void test_names(void **state)
{
	(void)state;
	for (int k = 0; k < SLA_KIND_MAX; k++)
		assert_int_equal(sla_kind_by_name(sla_kind_name((enum sla_kind)k)), k);
	assert_int_equal(sla_kind_by_name("finish"), -1);
	assert_string_equal(sla_kind_name(SLA_KIND_MAX), "?");
}

/* ---- deadlines ------------------------------------------------------------------------ */

/* finish_by of one interval, by the instant it was due. `weekdays`: the calendar's; 0: all. */
static const struct finish_row {
	const char *zone, *due;
	int hour, min;
	uint8_t weekdays;
	const char *deadline;
} finish_rows[] = {
	{ "Europe/Berlin", "2026-11-19T02:00:00+01:00", 6, 30, 0, "2026-11-19T06:30:00+01:00" },
	/* due later on the day: the next day's */
	{ "Europe/Berlin", "2026-11-19T07:00:00+01:00", 6, 30, 0, "2026-11-20T06:30:00+01:00" },
	/* due at that very time: it cannot be done by then */
	{ "Europe/Berlin", "2026-11-19T06:30:00+01:00", 6, 30, 0, "2026-11-20T06:30:00+01:00" },
	/* the nights the clock goes forward and back: a fixed time is a fixed time */
	{ "Europe/Berlin", "2026-03-29T01:00:00+01:00", 6, 30, 0, "2026-03-29T06:30:00+02:00" },
	{ "Europe/Berlin", "2026-10-25T01:00:00+02:00", 6, 30, 0, "2026-10-25T06:30:00+01:00" },
	/* a time that does not exist: the end of the gap */
	{ "Europe/Berlin", "2026-03-29T00:00:00+01:00", 2, 30, 0, "2026-03-29T03:00:00+02:00" },
	/* one that comes twice: the first */
	{ "Europe/Berlin", "2026-10-25T00:00:00+02:00", 2, 30, 0, "2026-10-25T02:30:00+02:00" },
	/* due between the two: the day's deadline is over */
	{ "Europe/Berlin", "2026-10-25T02:45:00+02:00", 2, 30, 0, "2026-10-26T02:30:00+01:00" },
	/* on business days: due on Friday evening, wanted on Monday morning */
	{ "Europe/Berlin", "2026-11-20T22:00:00+01:00", 6, 30, 0x3e, "2026-11-23T06:30:00+01:00" },
	{ "Europe/Berlin", "2026-11-19T22:00:00+01:00", 6, 30, 0x3e, "2026-11-20T06:30:00+01:00" },
	{ "America/New_York", "2026-11-19T02:00:00-05:00", 6, 0, 0, "2026-11-19T06:00:00-05:00" },
	/* the day that Samoa left out */
	{ "Pacific/Apia", "2011-12-29T12:00:00-10:00", 6, 0, 0, "2011-12-31T00:00:00+14:00" },
};

static void test_finish_by(void **state)
{
	(void)state;
	if (!times_have_zones())
		skip();
	for (size_t i = 0; i < sizeof finish_rows / sizeof *finish_rows; i++) {
		const struct finish_row *r = &finish_rows[i];
		struct zone *zone = times_zone(r->zone);
		const struct sla s = { .kinds = 1u << SLA_FINISH_BY,
			.finish_by_s = r->hour * 3600 + r->min * 60 };
		const struct schedule_spec spec = {
			.kind = TIMETABLE_CRON, .zone = zone, .calendar.only.weekdays = r->weekdays
		};
		const struct tick tick = { .run_after_us = times_us(r->due) };
		int64_t got = sla_deadline_us(&s, SLA_FINISH_BY, &spec, &tick);
		if (got != times_us(r->deadline))
			fail_msg("due %s: %s, not %s", r->due, times_show(got), r->deadline);
		zone_free(zone);
	}
}

static void test_within(void **state)
{
	const struct sla s = { .kinds = 1u << SLA_FINISH_WITHIN | 1u << SLA_START_WITHIN |
					1u << SLA_AT_RISK | 1u << SLA_FINISH_BY,
		.finish_by_s = 6 * 3600,
		.finish_within_us = 2 * H,
		.start_within_us = 10 * M,
		.warn_ahead_us = 30 * M };
	const struct schedule_spec spec = { .kind = TIMETABLE_CRON };
	const int64_t end = times_us("2026-11-19T02:00:00Z");
	const struct tick tick = { end, end - 24 * H, end, end, CRON_NOTE_NONE, false };

	(void)state;
	assert_int_equal(sla_deadline_us(&s, SLA_FINISH_WITHIN, &spec, &tick), end + 2 * H);
	assert_int_equal(sla_deadline_us(&s, SLA_START_WITHIN, &spec, &tick), end + 10 * M);
	/* the earlier of the two */
	assert_int_equal(sla_deadline_us(&s, SLA_AT_RISK, &spec, &tick), end + 2 * H);
	assert_int_equal(sla_judged_at_us(&s, SLA_AT_RISK, &spec, &tick), end + 90 * M);
	assert_int_equal(sla_judged_at_us(&s, SLA_FINISH_BY, &spec, &tick), end + 4 * H);
	assert_int_equal(sla_deadline_us(&s, SLA_RUNS_AT_MOST, &spec, &tick), INT64_MAX);
	const struct sla none = { .kinds = 0 };
	assert_int_equal(sla_deadline_us(&none, SLA_FINISH_BY, &spec, &tick), INT64_MAX);
	/* no day is allowed any more */
	const int64_t days[] = { 0 };
	const struct schedule_spec past = { .kind = TIMETABLE_CRON,
		.calendar.only = { .days = days, .n_days = 1 } };
	assert_int_equal(sla_deadline_us(&s, SLA_FINISH_BY, &past, &tick), INT64_MAX);
}

static void test_limits(void **state)
{
	const struct sla s = { .kinds = 1u << SLA_RUNS_AT_MOST | 1u << SLA_SLOWER_THAN,
		.runs_at_most_us = 20 * M,
		.slower_than = 1.5 };

	(void)state;
	assert_int_equal(sla_limit_us(&s, SLA_RUNS_AT_MOST, 0), 20 * M);
	assert_int_equal(sla_limit_us(&s, SLA_SLOWER_THAN, 10 * M), 15 * M);
	assert_int_equal(sla_limit_us(&s, SLA_SLOWER_THAN, 0), INT64_MAX);
	assert_int_equal(sla_limit_us(&s, SLA_SLOWER_THAN, INT64_MAX), INT64_MAX);
	assert_int_equal(sla_limit_us(&s, SLA_FINISH_BY, 1), INT64_MAX);
}

/* ---- verdicts ------------------------------------------------------------------------- */

static const struct {
	enum sla_kind kind;
	struct sla_facts facts;
	int64_t now_us;
	enum sla_verdict verdict;
} verdicts[] = {
	/* the deadline is 100; no run */
	{ SLA_FINISH_BY, { 0 }, 99, SLA_OPEN },
	{ SLA_FINISH_BY, { 0 }, 100, SLA_MISSED },
	{ SLA_FINISH_BY, { .passed_over = true }, 200, SLA_VOID },
	/* running, failed, done in time, done too late */
	{ SLA_FINISH_BY, { .started_us = 10 }, 100, SLA_MISSED },
	{ SLA_FINISH_BY, { .started_us = 10, .ended_us = 20 }, 100, SLA_MISSED },
	{ SLA_FINISH_BY, { .done = true, .started_us = 10, .ended_us = 100 }, 200, SLA_MET },
	{ SLA_FINISH_BY, { .done = true, .started_us = 10, .ended_us = 101 }, 200, SLA_MISSED },
	{ SLA_START_WITHIN, { .started_us = 10 }, 100, SLA_MET },
	{ SLA_START_WITHIN, { .started_us = 101 }, 100, SLA_MISSED },
	{ SLA_START_WITHIN, { 0 }, 100, SLA_MISSED },
	{ SLA_START_WITHIN, { .passed_over = true }, 100, SLA_VOID },
};

static void test_verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++) {
		enum sla_verdict got =
			sla_judge(verdicts[i].kind, 100, &verdicts[i].facts, verdicts[i].now_us);
		if (got != verdicts[i].verdict)
			fail_msg("row %zu: %d, not %d", i, (int)got, (int)verdicts[i].verdict);
	}
}

static void test_median(void **state)
{
	int64_t us[] = { 50, 10, 40, 20 };

	(void)state;
	assert_int_equal(sla_median_us(us, 4), 30);
	assert_int_equal(sla_median_us(us, 3), 20); /* sorted now */
	assert_int_equal(sla_median_us(us, 2), 0);
	assert_int_equal(sla_median_us(us, 0), 0);
}

/* ---- foresight ------------------------------------------------------------------------ */

/* extract -> clean -> load; extract -> report */
static struct dag *small_dag(void)
{
	static const int of_extract[] = { 0 }, of_clean[] = { 1 };
	static const char *const names[] = { "extract", "clean", "load", "report" };
	struct dag *dag = dag_new();
	int cycle[8], len;

	assert_non_null(dag);
	dag->ntasks = 4;
	dag->tasks = arena_array(&dag->arena, 4, sizeof *dag->tasks);
	for (int i = 0; i < 4; i++) {
		dag->tasks[i].name = names[i];
		dag->tasks[i].index = i;
		dag->tasks[i].nneeds = i > 0;
		dag->tasks[i].needs = i == 2 ? of_clean : of_extract;
	}
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

static struct foresight look(const struct foresight_task *tasks, int target, int64_t now_us)
{
	struct dag *dag = small_dag();
	struct foresight f;

	assert_int_equal(foresight_of(dag, tasks, target, now_us, &f), 0);
	dag_unref(dag);
	return f;
}

static void test_foresight(void **state)
{
	const int64_t t0 = 100 * H;
	struct foresight_task tasks[] = { { .typical_us = 10 * M }, { .typical_us = 5 * M },
		{ .typical_us = 20 * M }, { .typical_us = 24 * M } };

	(void)state;
	/* nothing has started: extract, clean, load */
	struct foresight f = look(tasks, -1, t0);
	assert_int_equal(f.left_us, 35 * M);
	assert_int_equal(f.task, 2);
	assert_true(f.known);
	/* a task's own way, though the run takes longer */
	f = look(tasks, 1, t0);
	assert_int_equal(f.left_us, 15 * M);
	assert_int_equal(f.task, 0);
	/* extract runs for 4 of its 10 minutes */
	tasks[0].state = TASK_RUNNING;
	tasks[0].since_us = t0 - 4 * M;
	assert_int_equal(look(tasks, -1, t0).left_us, 31 * M);
	/* for 50: it costs it, whatever is left of it */
	tasks[0].since_us = t0 - 50 * M;
	f = look(tasks, -1, t0);
	assert_int_equal(f.left_us, 25 * M);
	assert_int_equal(f.task, 0);
	assert_int_equal(f.over_us, 40 * M);
	/* its next try is due in 7 minutes */
	tasks[0] = (struct foresight_task){
		.typical_us = 10 * M, .state = TASK_UP_FOR_RETRY, .due_us = t0 + 7 * M
	};
	assert_int_equal(look(tasks, -1, t0).left_us, 42 * M);
	/* done: only report is left, which is longer than the rest of load */
	tasks[0].state = tasks[1].state = TASK_SUCCESS;
	tasks[2].state = TASK_RUNNING;
	tasks[2].since_us = t0;
	f = look(tasks, -1, t0);
	assert_int_equal(f.left_us, 24 * M);
	assert_int_equal(f.task, 3);
	tasks[3].state = TASK_SKIPPED;
	f = look(tasks, -1, t0);
	assert_int_equal(f.left_us, 20 * M);
	assert_int_equal(look(tasks, 1, t0).left_us, 0);
	assert_int_equal(look(tasks, 1, t0).task, -1);
	/* nothing is known of what is left */
	tasks[2].typical_us = 0;
	f = look(tasks, -1, t0);
	assert_false(f.known);
	assert_int_equal(f.left_us, 0);
	assert_int_equal(f.over_us, 0);
	assert_int_equal(f.task, 2);
}

/* ---- the clock of many ---------------------------------------------------------------- */

static const struct sla_of daily_slas[] = {
	{ NULL, { .kinds = 1u << SLA_FINISH_BY | 1u << SLA_AT_RISK,
			.finish_by_s = 6 * 3600,
			.warn_ahead_us = 30 * M } },
	{ "load", { .kinds = 1u << SLA_START_WITHIN | 1u << SLA_RUNS_AT_MOST,
			  .start_within_us = 15 * M,
			  .runs_at_most_us = M } },
};

static struct sla_clock_dag daily(const char *name, const struct sla_mark *mark)
{
	static const struct schedule_spec spec = { .kind = TIMETABLE_EVERY,
		.period_us = US_PER_DAY };

	return (struct sla_clock_dag){ name, &spec, daily_slas, 2, mark };
}

static void expect(struct sla_clock *c, int64_t now, enum sla_kind kind, const char *deadline)
{
	struct sla_due due;

	assert_true(sla_clock_next(c, now, &due));
	assert_string_equal(sla_kind_name(due.kind), sla_kind_name(kind));
	if (due.deadline_us != times_us(deadline))
		fail_msg("%s, not %s", times_show(due.deadline_us), deadline);
	assert_int_equal(due.task != NULL, kind == SLA_START_WITHIN);
}

static void test_clock(void **state)
{
	struct sla_clock *c = sla_clock_new();
	struct sla_clock_dag dag = daily("a", NULL);
	struct sla_due due;
	struct sla_mark mark;
	int64_t now = times_us("2026-11-19T03:00:00Z");

	(void)state;
	assert_int_equal(sla_clock_wake_us(c), INT64_MAX);
	assert_int_equal(sla_clock_set(c, &dag, now, NULL), 0);
	/* what has passed before it was first seen is not judged; today's is still to be done */
	assert_int_equal(sla_clock_wake_us(c), times_us("2026-11-19T05:30:00Z"));
	assert_false(sla_clock_next(c, now, &due));
	now = times_us("2026-11-20T00:15:00Z");
	expect(c, now, SLA_AT_RISK, "2026-11-19T06:00:00Z");
	expect(c, now, SLA_FINISH_BY, "2026-11-19T06:00:00Z");
	expect(c, now, SLA_START_WITHIN, "2026-11-20T00:15:00Z");
	assert_false(sla_clock_next(c, now, &due));
	/* set again, as when its switches change: nothing is lost, nothing comes twice */
	assert_int_equal(sla_clock_set(c, &dag, now, NULL), 0);
	assert_int_equal(sla_clock_wake_us(c), times_us("2026-11-20T05:30:00Z"));
	assert_true(sla_clock_mark(c, "a", now, &mark));
	assert_int_equal(mark.judged_us, now);
	/* what is due and was not taken is not marked as judged */
	now = times_us("2026-11-20T06:00:00Z");
	assert_true(sla_clock_mark(c, "a", now, &mark));
	assert_int_equal(mark.judged_us, now - 1);
	sla_clock_remove(c, "a");
	assert_int_equal(sla_clock_wake_us(c), INT64_MAX);
	assert_false(sla_clock_mark(c, "a", now, &mark));
	/* after a restart, two days later */
	dag = daily("a", &mark);
	now = times_us("2026-11-22T07:00:00Z");
	assert_int_equal(sla_clock_set(c, &dag, now, NULL), 0);
	expect(c, now, SLA_AT_RISK, "2026-11-20T06:00:00Z");
	expect(c, now, SLA_FINISH_BY, "2026-11-20T06:00:00Z");
	expect(c, now, SLA_START_WITHIN, "2026-11-21T00:15:00Z");
	sla_clock_free(c);
}

static void test_clock_begins_anew(void **state)
{
	struct sla_clock *c = sla_clock_new();
	const int64_t then = times_us("2026-10-01T12:00:00Z");
	const int64_t now = times_us("2026-11-19T12:00:00Z");
	struct sla_clock_dag dag = daily("a", NULL);
	struct sla_mark mark;

	(void)state;
	assert_int_equal(sla_clock_set(c, &dag, then, NULL), 0);
	assert_true(sla_clock_mark(c, "a", then, &mark));
	sla_clock_remove(c, "a");
	/* it was down for long: seven days are looked at */
	dag = daily("a", &mark);
	assert_int_equal(sla_clock_set(c, &dag, now, NULL), 0);
	expect(c, now, SLA_START_WITHIN, "2026-11-13T00:15:00Z");
	sla_clock_remove(c, "a");
	/* another SLA: from now on */
	struct sla_of other[2] = { daily_slas[0], daily_slas[1] };
	other[0].sla.finish_by_s = 11 * 3600;
	dag.slas = other;
	assert_int_equal(sla_clock_set(c, &dag, now, NULL), 0);
	assert_int_equal(sla_clock_wake_us(c), times_us("2026-11-20T00:15:00Z"));
	/* manual: nothing */
	const struct schedule_spec manual = { .kind = TIMETABLE_MANUAL };
	dag.spec = &manual;
	assert_int_equal(sla_clock_set(c, &dag, now, NULL), 0);
	assert_int_equal(sla_clock_wake_us(c), INT64_MAX);
	sla_clock_free(c);
}

/* Slots are used again, and what was removed is never heard of. */
static void test_clock_many(void **state)
{
	struct sla_clock *c = sla_clock_new();
	int64_t now = times_us("2026-11-19T12:00:00Z");
	char name[32];
	struct sla_due due;
	int n = 0;

	(void)state;
	for (int round = 0; round < 3; round++)
		for (int i = 0; i < 300; i++) {
			snprintf(name, sizeof name, "d%d", i);
			struct sla_clock_dag dag = daily(name, NULL);
			assert_int_equal(sla_clock_set(c, &dag, now, NULL), 0);
			if (i % 3 == 0)
				sla_clock_remove(c, name);
		}
	now += 24 * H;
	while (sla_clock_next(c, now, &due)) {
		assert_int_not_equal(atoi(due.dag + 1) % 3, 0);
		n++;
	}
	assert_int_equal(n, 200 * 3);
	sla_clock_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_finish_by),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_median),
		cmocka_unit_test(test_foresight),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_clock_begins_anew),
		cmocka_unit_test(test_clock_many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
