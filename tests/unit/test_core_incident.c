#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "core/alert.h"
#include "core/incident.h"
#include "core/zone.h"

static struct arena arena;

/* ---- what a change means ----------------------------------------------------------------- */

static struct change task_to(enum task_state to, enum reason why)
{
	struct change c = { .kind = CHANGE_TASK,
		.reason = why,
		.at_us = 5,
		.run_id = 3,
		.task = "t",
		.map_index = -1 };

	c.state.to = to;
	return c;
}

static struct change run_to(enum run_state to, enum reason why)
{
	struct change c = { .kind = CHANGE_RUN, .reason = why, .at_us = 5, .run_id = 3 };

	c.run.to = to;
	return c;
}

/* "opened task_failed error, ..." */
static void check_meaning(struct change c, int errors, int warnings, const char *want)
{
	const struct incident_checks checks = { errors, warnings };
	struct incident_put put[INCIDENTS_PER_CHANGE];
	size_t n = incident_of_change(&c, &checks, put);
	char got[512] = "";

	for (size_t i = 0; i < n; i++) {
		size_t used = strlen(got);
		snprintf(got + used, sizeof got - used, "%s %s %s, ",
			incident_what_name(put[i].what), incident_kind_name(put[i].kind),
			put[i].what == INCIDENT_OPENS ? severity_name(put[i].severity) : "");
		assert_int_equal(put[i].at_us, 5);
		assert_int_equal(put[i].run_id, 3);
	}
	assert_string_equal(got, want);
}

static void test_meaning(void **state)
{
	(void)state;
	check_meaning(
		task_to(TASK_FAILED, REASON_RETRIES_SPENT), 0, 0, "opened task_failed error, ");
	check_meaning(
		task_to(TASK_FAILED, REASON_LOST_TOO_OFTEN), 0, 0, "opened lost_too_often error, ");
	check_meaning(
		task_to(TASK_FAILED, REASON_NOT_RETRYABLE), 2, 1, "opened check_failed error, ");
	check_meaning(task_to(TASK_SUCCESS, REASON_SUCCEEDED), 0, 0,
		"resolved task_failed , resolved lost_too_often , resolved check_failed , ");
	check_meaning(task_to(TASK_SUCCESS, REASON_SUCCEEDED), 0, 1,
		"resolved task_failed , resolved lost_too_often , opened check_failed warning, ");
	/* It is tried again, a person ended it, or another one's failure did. */
	check_meaning(task_to(TASK_UP_FOR_RETRY, REASON_RETRY_WAIT), 1, 0, "");
	check_meaning(task_to(TASK_FAILED, REASON_MARKED), 0, 0, "");
	check_meaning(task_to(TASK_SKIPPED, REASON_SKIP_STATUS), 0, 0, "");
	check_meaning(task_to(TASK_SKIPPED, REASON_SKIPPED_BY_REQUEST), 0, 0,
		"resolved task_failed , resolved lost_too_often , resolved check_failed , ");
	check_meaning(task_to(TASK_CANCELLED, REASON_CANCELLED), 0, 0, "");
	check_meaning(task_to(TASK_UPSTREAM_FAILED, REASON_UPSTREAM_FAILED), 0, 0, "");
	check_meaning(run_to(RUN_FAILED, REASON_SOME_FAILED), 0, 0, "");
	check_meaning(run_to(RUN_FAILED, REASON_TIMED_OUT), 0, 0, "opened run_failed error, ");
	check_meaning(run_to(RUN_SUCCESS, REASON_ALL_DONE), 0, 0, "resolved run_failed , ");
}

static struct change instance_to(enum task_state to, enum reason why)
{
	struct change c = task_to(to, why);

	c.map_index = 3;
	return c;
}

/* Of a mapped task there is one: instances open it, the whole resolves it. */
static void test_mapped(void **state)
{
	(void)state;
	check_meaning(
		instance_to(TASK_FAILED, REASON_RETRIES_SPENT), 0, 0, "opened task_failed error, ");
	check_meaning(instance_to(TASK_FAILED, REASON_MARKED), 0, 0, "");
	check_meaning(instance_to(TASK_SUCCESS, REASON_SUCCEEDED), 0, 0, "");
	check_meaning(
		instance_to(TASK_SUCCESS, REASON_SUCCEEDED), 0, 1, "opened check_failed warning, ");
	check_meaning(task_to(TASK_FAILED, REASON_INSTANCES_FAILED), 0, 0, "");
	check_meaning(task_to(TASK_FAILED, REASON_LIST_FAILED), 0, 0, "opened task_failed error, ");
	check_meaning(task_to(TASK_SUCCESS, REASON_INSTANCES_DONE), 0, 0,
		"resolved task_failed , resolved lost_too_often , resolved check_failed , ");
}

static void test_keeps_warning(void **state)
{
	struct incident warned = { .severity = SEVERITY_WARNING, .run_id = 7 }, next;
	struct incident_put put = { .what = INCIDENT_RESOLVES, .keeps_warning = true, .run_id = 7 };
	bool tell;

	(void)state;
	assert_false(incident_apply(&warned, &put, &arena, &next, &tell));
	put.run_id = 8; /* the next run has no warnings */
	assert_true(incident_apply(&warned, &put, &arena, &next, &tell));
	assert_int_equal(next.state, INCIDENT_RESOLVED);
	put.run_id = 7;
	warned.severity = SEVERITY_ERROR; /* which is mended */
	assert_true(incident_apply(&warned, &put, &arena, &next, &tell));
	warned.severity = SEVERITY_WARNING; /* a task that is not mapped says it of itself */
	put.keeps_warning = false;
	assert_true(incident_apply(&warned, &put, &arena, &next, &tell));
}

/* ---- what becomes of an incident ---------------------------------------------------------- */

static void test_worse(void **state)
{
	const struct incident_route route = { "r", 0 };
	struct incident_put put = { .what = INCIDENT_OPENS,
		.severity = SEVERITY_WARNING,
		.at_us = 1,
		.routes = &route,
		.nroutes = 1 };
	struct incident first, next;
	bool tell;

	(void)state;
	assert_true(incident_apply(NULL, &put, &arena, &first, &tell));
	assert_true(tell);
	put.severity = SEVERITY_ERROR;
	assert_true(incident_apply(&first, &put, &arena, &next, &tell));
	assert_true(tell); /* it got worse */
	assert_int_equal(next.severity, SEVERITY_ERROR);
	assert_int_equal(next.count, 2);
	put.severity = SEVERITY_INFO;
	assert_true(incident_apply(&next, &put, &arena, &first, &tell));
	assert_false(tell);
	assert_int_equal(first.severity, SEVERITY_ERROR);
	first.state = INCIDENT_ACKED;
	put.severity = SEVERITY_CRITICAL;
	assert_true(incident_apply(&first, &put, &arena, &next, &tell));
	assert_false(tell); /* somebody sees to it */
}

static void test_wakes(void **state)
{
	const struct incident snoozed = { .state = INCIDENT_SNOOZED, .until_us = 100 };
	struct incident_put put = { .what = INCIDENT_WAKES, .at_us = 99, .escalate_us = 500 };
	struct incident next;
	bool tell;

	(void)state;
	assert_false(incident_apply(&snoozed, &put, &arena, &next, &tell));
	put.at_us = 100;
	assert_true(incident_apply(&snoozed, &put, &arena, &next, &tell));
	assert_int_equal(next.state, INCIDENT_OPEN);
	assert_int_equal(next.until_us, 0);
	assert_int_equal(next.escalate_us, 500);
	assert_false(incident_apply(&next, &put, &arena, &next, &tell));
}

static struct change breaker_to(enum breaker_state from, enum breaker_state to)
{
	struct change c = { .kind = CHANGE_BREAKER, .reason = REASON_BREAKER_TRIPPED, .at_us = 5 };

	c.breaker.name = "api";
	c.breaker.from = from;
	c.breaker.to = to;
	c.breaker.run_id = 3;
	return c;
}

static void test_breakers(void **state)
{
	(void)state;
	check_meaning(
		breaker_to(BREAKER_CLOSED, BREAKER_OPEN), 0, 0, "opened breaker_open error, ");
	check_meaning(
		breaker_to(BREAKER_HALF_OPEN, BREAKER_OPEN), 0, 0, "opened breaker_open error, ");
	check_meaning(
		breaker_to(BREAKER_HALF_OPEN, BREAKER_CLOSED), 0, 0, "resolved breaker_open , ");
	check_meaning(breaker_to(BREAKER_OPEN, BREAKER_CLOSED), 0, 0, "resolved breaker_open , ");
	check_meaning(breaker_to(BREAKER_OPEN, BREAKER_HALF_OPEN), 0, 0, "");
	check_meaning(breaker_to(BREAKER_CLOSED, BREAKER_CLOSED), 0, 0, "");
}

/* ---- intervals --------------------------------------------------------------------------- */

/* A day of an incident: "F3 S3 A2 W": the 3rd fails; succeeds; succeeds, and stands for itself
 * alone; somebody acknowledges it. Behind each, what it is then: state, what is undone, and "!"
 * when it is told. */
static void check_days(const char *days, const char *want)
{
	static const struct incident_route route = { "r", 0 };
	struct incident i, *present = NULL;
	char got[512] = "";

	for (const char *at = days; *at; at += 3) {
		int day = at[1] - '0';
		const struct incident_put put = { .what = at[0] == 'F'   ? INCIDENT_OPENS
							  : at[0] == 'W' ? INCIDENT_ACKS
									 : INCIDENT_RESOLVES,
			.id = at[0] == 'W',
			.severity = SEVERITY_ERROR,
			.at_us = at - days + 1,
			.start_us = at[0] == 'W' ? 0 : day,
			.end_us = at[0] == 'W' ? 0 : day + 1,
			.alone = at[0] == 'A',
			.routes = &route,
			.nroutes = 1 };
		struct incident next;
		bool tell = false;
		size_t used = strlen(got);
		if (incident_apply(present, &put, &arena, &next, &tell)) {
			i = next;
			present = &i;
		}
		snprintf(got + used, sizeof got - used, "%s%s %s; ", tell ? "!" : "",
			present ? incident_state_name(i.state) : "none",
			present && i.undone ? i.undone : "-");
		if (present && i.state == INCIDENT_RESOLVED)
			present = NULL;
		if (!at[2])
			break;
	}
	assert_string_equal(got, want);
}

static void test_intervals(void **state)
{
	(void)state;
	check_days("F1 S1", "!open 1-2 ; !resolved -; ");
	/* A later one makes good the earlier ones, and not the other way round. */
	check_days("F1 F2 S2", "!open 1-2 ; open 1-2 2-3 ; !resolved -; ");
	check_days("F1 S5", "!open 1-2 ; !resolved -; ");
	check_days("F2 S1 S2", "!open 2-3 ; open 2-3 ; !resolved -; ");
	check_days("F1 F3 S2 S3", "!open 1-2 ; open 1-2 3-4 ; open 3-4 ; !resolved -; ");
	/* The same fails again. */
	check_days("F1 F2 F1 S2", "!open 1-2 ; open 1-2 2-3 ; open 2-3 1-2 ; !resolved -; ");
	/* Each for itself. */
	check_days("F1 F2 A2 A1", "!open 1-2 ; open 1-2 2-3 ; open 1-2 ; !resolved -; ");
	check_days("F1 A2 F3 A3 A1",
		"!open 1-2 ; open 1-2 ; !open 1-2 3-4 ; open 1-2 ; !resolved -; ");
	/* What went well in between is told anew, also to who had seen to it. */
	check_days("F1 W0 F2 A2 F3",
		"!open 1-2 ; !acked 1-2 ; acked 1-2 2-3 ; acked 1-2 ; !open 1-2 3-4 ; ");
}

static void test_many_intervals(void **state)
{
	struct incident i, next;
	bool tell;

	(void)state;
	for (int k = 0; k < INCIDENT_UNDONE_MAX + 10; k++) {
		const struct incident_put put = {
			.what = INCIDENT_OPENS, .start_us = k, .end_us = k + 1, .at_us = k
		};
		assert_true(incident_apply(k ? &i : NULL, &put, &arena, &next, &tell));
		i = next;
	}
	const char *at = i.undone;
	int64_t start_us, end_us;
	int n = 0;
	while (incident_next_undone(&at, &start_us, &end_us))
		assert_int_equal(start_us, 10 + n++);
	assert_int_equal(n, INCIDENT_UNDONE_MAX);
	assert_int_equal(i.count, INCIDENT_UNDONE_MAX + 10);
}

/* Who is told that it is over: who was told that it is wrong. */
static void test_told(void **state)
{
	const struct incident_route day = { "day", 0 }, night = { "night", 0 },
				    boss = { "day/escalation", 0 };
	const struct incident_route both[] = { day, night, boss };
	struct incident_put put = {
		.what = INCIDENT_OPENS, .at_us = 1, .routes = &day, .nroutes = 1
	};
	struct incident i, next;
	bool tell;

	(void)state;
	assert_true(incident_apply(NULL, &put, &arena, &i, &tell));
	assert_string_equal(i.told_to, "day ");
	put = (struct incident_put){
		.what = INCIDENT_ACKS, .at_us = 2, .routes = both, .nroutes = 3
	};
	assert_true(incident_apply(&i, &put, &arena, &next, &tell));
	assert_true(tell);
	assert_true(incident_tells(&next, &put, &day));
	assert_false(incident_tells(&next, &put, &night));
	assert_false(incident_tells(&next, &put, &boss));
	/* It escalates from there to others. */
	i.escalate_us = 3;
	put.what = INCIDENT_ESCALATES;
	put.at_us = 3;
	assert_true(incident_apply(&i, &put, &arena, &next, &tell));
	assert_string_equal(next.told_to, "day day/escalation ");
	assert_false(incident_tells(&next, &put, &night));
	put.what = INCIDENT_RESOLVES;
	i = next;
	assert_true(incident_apply(&i, &put, &arena, &next, &tell));
	assert_true(incident_tells(&next, &put, &boss));
	/* Where nobody was told, nobody is; one of before this was kept is told to all. */
	i.told_to = "";
	assert_true(incident_apply(&i, &put, &arena, &next, &tell));
	assert_false(tell);
	i.told_to = NULL;
	assert_true(incident_apply(&i, &put, &arena, &next, &tell));
	assert_true(tell);
}

/* ---- routes and hours ---------------------------------------------------------------------- */

static void test_glob(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} rows[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "*", "", true },
		{ "sales_*", "sales_eu", true },
		{ "sales_*", "sales", false },
		{ "*_eu", "sales_eu", true },
		{ "*_eu", "sales_eu_eu", true },
		{ "s?les", "sales", true },
		{ "s?les", "sles", false },
		{ "a*b*c", "aXbYbZc", true },
		{ "a*b*c", "aXbYbZ", false },
		{ "*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (alert_glob(rows[i].pattern, rows[i].text) != rows[i].fits)
			fail_msg("%s, %s", rows[i].pattern, rows[i].text);
}

static void test_takes(void **state)
{
	static const char *const tags[] = { "finance", NULL }, *const owners[] = { "ann", NULL };
	static const char *const dags[] = { "s*", NULL }, *const kinds[] = { "task_failed", NULL };
	static const char *const has[] = { "x", "finance", NULL };
	const struct alert_route all = { 0 }, picky = {
		.tags = tags, .owners = owners, .dags = dags, .kinds = kinds
	};
	struct alert_subject s = { .dag = "sales", .owner = "ann", .tags = has };

	(void)state;
	assert_true(alert_route_takes(&all, &(struct alert_subject){ 0 }));
	assert_false(alert_route_takes(&picky, &(struct alert_subject){ 0 }));
	assert_true(alert_route_takes(&picky, &s));
	s.kind = INCIDENT_CHECK_FAILED;
	assert_false(alert_route_takes(&picky, &s));
	s.kind = INCIDENT_TASK_FAILED;
	s.owner = "bob";
	assert_false(alert_route_takes(&picky, &s));
	s.owner = "ann";
	s.dag = "xsales";
	assert_false(alert_route_takes(&picky, &s));
	s.dag = "sales";
	s.tags = NULL;
	assert_false(alert_route_takes(&picky, &s));
}

static int64_t at(const char *text)
{
	struct civil_text t;

	assert_int_equal(civil_parse(text, &t, NULL), 0);
	return civil_text_us(&t);
}

static void test_quiet_hours(void **state)
{
	struct zone *berlin;
	static const struct {
		const char *now, *due;
	} rows[] = {
		{ "2026-11-19T12:00:00Z", "2026-11-19T12:00:02Z" }, /* 13:00 there */
		{ "2026-11-19T20:59:59Z", "2026-11-19T21:00:01Z" }, /* 21:59:59 */
		{ "2026-11-19T21:00:00Z", "2026-11-20T06:00:00Z" }, /* 22:00 */
		{ "2026-11-20T02:00:00Z", "2026-11-20T06:00:00Z" },
		{ "2026-11-20T05:59:59Z", "2026-11-20T06:00:00Z" },
		{ "2026-11-20T06:00:00Z", "2026-11-20T06:00:02Z" },
		{ "2026-03-28T23:00:00Z", "2026-03-29T05:00:00Z" }, /* the night of the gap */
		{ "2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z" }, /* and of the overlap */
	};

	(void)state;
	assert_int_equal(zone_open("Europe/Berlin", zonefile_read, &berlin, NULL), 0);
	const struct alerts a = {
		.zone = berlin, .quiet = { true, 22 * 60, 7 * 60 }, .group_window_us = 2000000
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t now = at(rows[i].now);
		assert_int_equal(alert_due_us(&a, SEVERITY_ERROR, now), at(rows[i].due));
		assert_int_equal(alert_due_us(&a, SEVERITY_CRITICAL, now), now + 2000000);
	}
	zone_free(berlin);
}

static void test_retry(void **state)
{
	const struct alerts a = { .retry_us = 5000000 };

	(void)state;
	assert_int_equal(alert_retry_us(&a, 1, 0, 100), 5000100);
	assert_int_equal(alert_retry_us(&a, 2, 0, 100), 10000100);
	assert_int_equal(alert_retry_us(&a, 3, 0, 100), 20000100);
	assert_int_equal(alert_retry_us(&a, 1, 60000000, 100), 60000100);
	assert_int_equal(alert_retry_us(&a, 90, 0, 100), ALERT_RETRY_MAX_US + 100);
	assert_int_equal(alert_retry_us(&a, 1, INT64_MAX, 100), ALERT_RETRY_MAX_US + 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meaning),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_keeps_warning),
		cmocka_unit_test(test_breakers),
		cmocka_unit_test(test_intervals),
		cmocka_unit_test(test_many_intervals),
		cmocka_unit_test(test_told),
		cmocka_unit_test(test_worse),
		cmocka_unit_test(test_wakes),
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_takes),
		cmocka_unit_test(test_quiet_hours),
		cmocka_unit_test(test_retry),
	};

	arena_init(&arena, 1 << 20);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_release(&arena);
	return failed;
}
