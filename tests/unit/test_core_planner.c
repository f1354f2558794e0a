/* The planner: each of its rules as a story, told in steps. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "core/planner.h"
#include "core/zone.h"
#include "tests/lib/times.h"

enum { STEPS = 16, MANY = 10000 };

/* "DD HH:MM:SS" of March 2026. */
static int64_t at(const char *when)
{
	char text[64];

	snprintf(text, sizeof text, "2026-03-%.2sT%sZ", when, when + 3);
	return times_us(text);
}

static void add_start(struct buf *out, const struct tick *tick)
{
	struct civil c;

	civil_from_us(tick->start_us, &c);
	buf_addf(out, "%02d %02d:%02d", c.day, c.hour, c.min);
}

/* "create due 09 10:00", "skip missed 09 11:00 x3", ...; keeps are not told. */
static void add_decision(struct buf *out, const struct planner_decision *d)
{
	if (d->action == PLANNER_KEEP)
		return;
	if (out->len)
		buf_addstr(out, "; ");
	buf_addf(out, "%s %s ", planner_action_name(d->action), planner_why_name(d->why));
	add_start(out, &d->tick);
	if (d->count != 1)
		buf_addf(out, " x%" PRId64, d->count);
}

/* A step: at a time, an event, and the decisions it leads to. Events: "" the clock; "end" a run
 * ended; "pause", "resume", "restart"; "start" a run was taken over; else a cron, which becomes
 * the schedule, or "manual". */
struct step {
	const char *when, *event, *told;
};

struct story {
	const char *name, *cron, *begins; /* the time the DAG is first seen */
	const char *zone;
	enum timetable_catchup catchup;
	enum planner_overlap overlap;
	enum timetable_interval interval;
	int max_active, window_h;
	struct step steps[STEPS];
};

static const struct story stories[] = {
	{ "new, latest", "0 * * * *", "09 10:30:00",
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 10:59:59", "end", "" },
			{ "09 11:00:00", "", "create due 09 10:00" } } },
	{ "new, none", "0 * * * *", "09 10:30:00", .catchup = TIMETABLE_CATCHUP_NONE,
		.steps = { { "09 10:30:00", "", "" },
			{ "09 11:00:00", "", "create due 09 10:00" } } },
	{ "outage, latest", "0 * * * *", "09 10:30:00", .max_active = 5,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 15:30:00", "", "skip missed 09 10:00 x4; create caught_up 09 14:00" },
			{ "09 16:00:00", "", "create due 09 15:00" } } },
	{ "outage, none", "0 * * * *", "09 10:30:00", .catchup = TIMETABLE_CATCHUP_NONE,
		.steps = { { "09 15:30:00", "", "skip missed 09 10:00 x5" },
			{ "09 16:00:00", "", "create due 09 15:00" } } },
	{ "outage, all", "0 * * * *", "09 10:30:00", .catchup = TIMETABLE_CATCHUP_ALL,
		.max_active = 2,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 13:30:00", "", "create caught_up 09 10:00" },
			{ "09 13:40:00", "end", "create caught_up 09 11:00" },
			{ "09 13:50:00", "end", "create caught_up 09 12:00" } } },
	{ "outage longer than the window, all", "0 * * * *", "09 10:30:00",
		.catchup = TIMETABLE_CATCHUP_ALL, .max_active = 9, .window_h = 2,
		.steps = { { "09 10:30:00", "",
				   "create caught_up 09 08:00; create caught_up 09 09:00" },
			{ "09 15:30:00", "",
				"skip missed 09 10:00 x3; create caught_up 09 13:00; "
				"create caught_up 09 14:00" } } },
	{ "outage, window shorter than the period, latest", "0 0 * * *", "09 10:00:00",
		.window_h = 1,
		.steps = { { "09 10:00:00", "", "" },
			{ "11 10:00:00", "", "skip missed 09 00:00 x2" },
			{ "12 00:00:00", "", "create due 11 00:00" } } },
	{ "late, not missed", "* * * * *", "09 10:00:00", .catchup = TIMETABLE_CATCHUP_NONE,
		.max_active = 9,
		.steps = { { "09 10:00:00", "", "create due 09 09:59" },
			{ "09 10:02:00", "", "create due 09 10:00; create due 09 10:01" },
			{ "09 10:04:01", "", "skip missed 09 10:02 x2" } } },
	{ "queue: nothing is lost, in order", "0 * * * *", "09 10:30:00",
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 11:00:00", "", "" }, { "09 12:00:00", "", "" },
			{ "09 13:00:00", "", "" }, { "09 13:30:00", "restart", "" },
			{ "09 13:40:00", "end", "create waited 09 10:00" },
			{ "09 13:50:00", "end", "create waited 09 11:00" },
			{ "09 14:00:00", "", "" },
			{ "09 14:01:00", "end", "create waited 09 12:00" },
			{ "09 14:02:00", "end", "create waited 09 13:00" },
			{ "09 14:03:00", "end", "" } } },
	{ "queue: what waits too long is missed", "0 * * * *", "09 10:30:00", .window_h = 3,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 11:00:00", "", "" }, { "09 12:00:00", "", "" },
			{ "09 13:00:00", "", "" }, { "09 14:00:00", "", "" },
			{ "09 15:00:00", "", "" },
			{ "09 15:30:00", "end",
				"skip missed 09 10:00 x2; create waited 09 12:00" } } },
	{ "queue with a gap in it", "0 * * * *", "09 10:30:00",
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 11:00:00", "", "" }, { "09 12:00:00", "", "" },
			{ "09 15:30:00", "", "skip missed 09 12:00 x2" },
			{ "09 15:40:00", "restart", "" }, { "09 16:00:00", "", "" },
			{ "09 16:10:00", "end", "create waited 09 10:00" },
			{ "09 16:20:00", "end", "create waited 09 11:00" },
			{ "09 16:25:00", "restart", "" },
			{ "09 16:30:00", "end", "create waited 09 14:00" },
			{ "09 16:40:00", "end", "create waited 09 15:00" },
			{ "09 16:50:00", "end", "" } } },
	{ "skip", "0 * * * *", "09 10:30:00", .overlap = OVERLAP_SKIP,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 11:00:00", "", "skip overlap 09 10:00" },
			{ "09 12:00:00", "", "skip overlap 09 11:00" },
			{ "09 12:30:00", "end", "" },
			{ "09 13:00:00", "", "create due 09 12:00" } } },
	{ "skip, after an outage", "0 * * * *", "09 10:30:00", .overlap = OVERLAP_SKIP,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 13:30:00", "", "skip missed 09 10:00 x2; skip overlap 09 12:00" },
			{ "09 13:31:00", "end", "" } } },
	{ "skip, catchup all: what is caught up on waits", "0 * * * *", "09 10:30:00",
		.overlap = OVERLAP_SKIP, .catchup = TIMETABLE_CATCHUP_ALL,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 12:30:00", "", "" }, { "09 13:00:00", "", "skip overlap 09 12:00" },
			{ "09 13:30:00", "end", "create caught_up 09 10:00" },
			{ "09 13:40:00", "end", "create caught_up 09 11:00" },
			{ "09 13:50:00", "end", "" },
			{ "09 14:00:00", "", "create due 09 13:00" } } },
	{ "cancel_running", "0 * * * *", "09 10:30:00", .overlap = OVERLAP_CANCEL_RUNNING,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 11:00:00", "", "cancel overlap 09 10:00" },
			{ "09 11:00:10", "restart", "" },
			{ "09 11:00:20", "end", "create waited 09 10:00" },
			{ "09 12:00:00", "", "cancel overlap 09 11:00" },
			{ "09 13:00:00", "", "skip overlap 09 11:00" },
			{ "09 13:00:20", "end", "create waited 09 12:00" } } },
	{ "pause and resume, latest", "0 * * * *", "09 10:30:00", .max_active = 2,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 10:40:00", "pause", "" }, { "09 12:00:00", "", "" },
			{ "09 13:00:00", "restart", "" },
			{ "09 14:00:05", "resume",
				"skip missed 09 10:00 x3; create caught_up 09 13:00" } } },
	{ "pause and resume, none", "0 * * * *", "09 10:30:00", .catchup = TIMETABLE_CATCHUP_NONE,
		.steps = { { "09 10:40:00", "pause", "" },
			{ "09 14:00:05", "resume", "skip missed 09 10:00 x4" },
			{ "09 15:00:00", "", "create due 09 14:00" } } },
	{ "what waits survives a pause", "0 * * * *", "09 10:30:00",
		.catchup = TIMETABLE_CATCHUP_NONE, .max_active = 1,
		.steps = { { "09 10:59:00", "start", "" }, { "09 11:00:00", "", "" },
			{ "09 11:10:00", "pause", "" }, { "09 11:20:00", "end", "" },
			{ "09 13:10:00", "resume",
				"skip missed 09 11:00 x2; create waited 09 10:00" } } },
	{ "a resume just before an interval is due", "0 * * * *", "09 10:30:00",
		.catchup = TIMETABLE_CATCHUP_NONE,
		.steps = { { "09 10:40:00", "pause", "" }, { "09 10:59:59", "resume", "" },
			{ "09 11:00:01", "", "create due 09 10:00" } } },
	{ "the clock jumps back", "0 * * * *", "09 10:30:00", .max_active = 9,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 11:00:00", "", "create due 09 10:00" }, { "09 09:30:00", "", "" },
			{ "09 10:00:00", "restart", "" }, { "09 11:00:00", "", "" },
			{ "09 12:00:00", "", "create due 09 11:00" } } },
	{ "the clock jumps forward and back", "0 * * * *", "09 10:30:00", .max_active = 9,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 14:30:00", "", "skip missed 09 10:00 x3; create caught_up 09 13:00" },
			{ "09 10:31:00", "", "" }, { "09 14:00:00", "", "" },
			{ "09 15:00:00", "", "create due 09 14:00" } } },
	{ "daylight saving time begins", "30 2 * * *", "28 12:00:00", .zone = "Europe/Berlin",
		.max_active = 9,
		.steps = { { "28 12:00:00", "", "create caught_up 27 01:30" },
			{ "29 00:59:59", "", "" }, { "29 01:00:00", "", "create due 28 01:30" },
			{ "29 01:30:00", "", "" }, { "30 00:30:00", "", "create due 29 01:00" } } },
	{ "points", "0 * * * *", "09 10:30:00", .interval = TIMETABLE_POINT, .max_active = 9,
		.steps = { { "09 10:30:00", "", "create caught_up 09 10:00" },
			{ "09 11:00:00", "", "create due 09 11:00" },
			{ "09 13:30:00", "",
				"skip missed 09 12:00; create caught_up 09 13:00" } } },
	{ "the schedule changes", "0 * * * *", "09 10:30:00", .max_active = 9,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 10:40:00", "*/20 * * * *",
				"skip missed 09 10:00; create caught_up 09 10:20" },
			{ "09 11:00:00", "", "create due 09 10:40" },
			{ "09 11:10:00", "manual", "" }, { "09 12:00:00", "", "" },
			{ "09 12:10:00", "0 * * * *", "create caught_up 09 11:00" } } },
	{ "a schedule changes while intervals wait", "0 * * * *", "09 10:30:00",
		.catchup = TIMETABLE_CATCHUP_ALL,
		.steps = { { "09 10:30:00", "", "create caught_up 09 09:00" },
			{ "09 11:00:00", "", "" }, { "09 12:00:00", "", "" },
			{ "09 12:10:00", "30 * * * *", "" },
			{ "09 12:20:00", "end", "create caught_up 09 09:30" },
			{ "09 12:21:00", "end", "create caught_up 09 10:30" },
			{ "09 12:22:00", "end", "" },
			{ "09 12:30:00", "", "create due 09 11:30" } } },
};

struct stage {
	struct planner *p;
	struct planner_dag dag;
	struct schedule_spec specs[2];
	struct cron crons[2];
	int turn; /* of specs: the planner holds the other until it has this */
	struct planner_state kept;
	int active, cancelling;
};

static void set(struct stage *s, int64_t now_us)
{
	struct err err;

	s->dag.active = s->active;
	s->dag.cancelling = s->cancelling;
	if (planner_set_dag(s->p, &s->dag, now_us, &err) < 0)
		fail_msg("%s", err.msg);
}

static void set_schedule(struct stage *s, const char *cron)
{
	const struct schedule_spec *old = &s->specs[s->turn];

	s->turn = !s->turn;
	struct schedule_spec *spec = &s->specs[s->turn];
	*spec = *old;
	spec->kind = TIMETABLE_MANUAL;
	if (strcmp(cron, "manual") != 0) {
		assert_int_equal(cron_parse(cron, &s->crons[s->turn], NULL, NULL), 0);
		spec->kind = TIMETABLE_CRON;
		spec->crons = &s->crons[s->turn];
		spec->n_crons = 1;
	}
	s->dag.spec = spec;
}

static void restart(struct stage *s)
{
	struct buf text;

	buf_init(&text, 4096);
	planner_state_add(&text, &s->kept);
	assert_int_equal(planner_state_parse(text.data, &s->kept, NULL), 0);
	buf_release(&text);
	planner_free(s->p);
	s->p = planner_new();
	s->dag.state = &s->kept;
}

static void event(struct stage *s, const char *what, int64_t now_us)
{
	if (!*what)
		return;
	if (strcmp(what, "end") == 0 || strcmp(what, "start") == 0) {
		bool end = *what == 'e';
		s->active += end ? -1 : 1;
		if (end && s->cancelling)
			s->cancelling--;
		if (end)
			planner_run_ended(s->p, "dag");
		else
			planner_run_started(s->p, "dag");
		return;
	}
	if (strcmp(what, "restart") == 0)
		restart(s);
	else if (strcmp(what, "pause") == 0)
		s->dag.paused = true;
	else if (strcmp(what, "resume") == 0)
		s->dag.paused = false;
	else
		set_schedule(s, what);
	set(s, now_us);
}

static void tell(struct stage *s, struct buf *out)
{
	size_t n;
	const struct planner_decision *d = planner_decisions(s->p, &n);

	for (size_t i = 0; i < n; i++) {
		add_decision(out, &d[i]);
		s->active += d[i].action == PLANNER_CREATE;
		s->cancelling += d[i].action == PLANNER_CANCEL;
		planner_state(s->p, "dag", &s->kept);
	}
	planner_clear_decisions(s->p);
}

static void play(const struct story *story)
{
	struct stage s = { .p = planner_new() };
	struct zone *zone = NULL;

	if (story->zone && zone_open(story->zone, zonefile_read, &zone, NULL) < 0) {
		print_message("# skipped for want of zones: %s\n", story->name);
		planner_free(s.p);
		return;
	}
	s.specs[0] = (struct schedule_spec){
		.zone = zone,
		.catchup = story->catchup,
		.interval = story->interval,
		.catchup_window_us = story->window_h ? story->window_h * INT64_C(3600000000)
						     : TIMETABLE_CATCHUP_WINDOW_US,
		.start_us = story->catchup == TIMETABLE_CATCHUP_ALL && !story->window_h
				    ? at("09 09:00:00")
				    : at("01 00:00:00"),
	};
	s.dag = (struct planner_dag){
		.name = "dag", .overlap = story->overlap, .max_active_runs = story->max_active
	};
	set_schedule(&s, story->cron);
	set(&s, at(story->begins));
	for (int i = 0; i < STEPS && story->steps[i].when; i++) {
		const struct step *step = &story->steps[i];
		struct buf told;
		buf_init(&told, 4096);
		event(&s, step->event, at(step->when));
		assert_int_equal(planner_tick(s.p, at(step->when), NULL), 0);
		tell(&s, &told);
		if (strcmp(told.data ? told.data : "", step->told) != 0)
			fail_msg("%s, %s %s: \"%s\", not \"%s\"", story->name, step->when,
				step->event, told.data ? told.data : "", step->told);
		buf_release(&told);
	}
	planner_free(s.p);
	zone_free(zone);
}

static void test_stories(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof stories / sizeof *stories; i++)
		play(&stories[i]);
}

/* All at once: one tick, in order, and a planner that sleeps afterwards. */
static void test_many(void **state)
{
	struct planner *p = planner_new();
	struct schedule_spec spec = {
		.kind = TIMETABLE_CRON, .n_crons = 1, .catchup = TIMETABLE_CATCHUP_NONE
	};
	struct cron cron;
	size_t n;
	char name[32];

	(void)state;
	assert_int_equal(cron_parse("0 * * * *", &cron, NULL, NULL), 0);
	spec.crons = &cron;
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "dag%d", i);
		struct planner_dag dag = { .name = name, .spec = &spec };
		assert_int_equal(planner_set_dag(p, &dag, at("09 10:30:00"), NULL), 0);
	}
	planner_clear_decisions(p);
	assert_int_equal(planner_wake_us(p), at("09 11:00:00"));
	/* In portions: what is left stays due. */
	for (size_t i = 1; i <= 2; i++) {
		assert_int_equal(planner_tick_some(p, at("09 11:00:00"), 100, NULL), 0);
		planner_decisions(p, &n);
		assert_int_equal(n, 100 * i);
		assert_int_equal(planner_wake_us(p), at("09 11:00:00"));
	}
	clock_t start = clock();
	assert_int_equal(planner_tick(p, at("09 11:00:00"), NULL), 0);
	print_message("# %d due at once: %.1f ms\n", MANY,
		1e3 * (double)(clock() - start) / CLOCKS_PER_SEC);
	const struct planner_decision *d = planner_decisions(p, &n);
	assert_int_equal(n, MANY);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(d[i].action, PLANNER_CREATE);
	assert_int_equal(planner_wake_us(p), at("09 12:00:00"));
	/* Names live until the decisions are cleared, whatever becomes of the DAG. */
	planner_remove_dag(p, "dag7");
	assert_string_equal(d[7].dag, "dag7");
	planner_clear_decisions(p);
	planner_free(p);
}

static void test_switches(void **state)
{
	struct planner *p = planner_new();
	struct schedule_spec spec = {
		.kind = TIMETABLE_EVERY, .period_us = 1000000, .catchup = TIMETABLE_CATCHUP_NONE
	};
	struct planner_dag dag = { .name = "dag", .spec = &spec };
	struct planner_view view;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		dag.paused = i % 2;
		assert_int_equal(planner_set_dag(p, &dag, at("09 10:30:00") + i * 100000, NULL), 0);
		planner_clear_decisions(p);
	}
	assert_int_equal(planner_wake_us(p), INT64_MAX);
	planner_view(p, "dag", &view);
	assert_true(view.known && view.paused && view.has_next);
	planner_remove_dag(p, "dag");
	planner_remove_dag(p, "dag");
	planner_view(p, "dag", &view);
	assert_false(view.known);
	planner_run_ended(p, "nobody");
	planner_run_started(p, "nobody");
	planner_free(p);
	planner_free(NULL);
}

static void test_state_text(void **state)
{
	static const char *const wrong[] = { "", "v1", "v1 ", "v2 0 1 2", "v1 zz", "v1 1 5",
		"v1 1 5 4", "v1 1 5 6 7", "v1 1 5 6 5 6", "v1 1 5 6 9 10 7", "v1 1 5 6 9 10 7 6 8",
		"v1 1 5 6 9 10 5 7 8", "v1 1 5x 6", "v1 1 99999999999999999999 6",
		"v1 1 5 6 99 99 10 11 11 11 12 12" };
	struct planner_state s;
	struct err err;
	struct buf text;

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		if (planner_state_parse(wrong[i], &s, &err) == 0)
			fail_msg("\"%s\" is taken", wrong[i]);
		assert_int_equal(err.code, ERR_INVALID);
		assert_false(s.has_last);
	}
	const char *right = "v1 00000000000000ff -5 6 99 100 10 11 12 20 21 21";
	assert_int_equal(planner_state_parse(right, &s, &err), 0);
	assert_int_equal(s.ngaps, 2);
	buf_init(&text, 4096);
	planner_state_add(&text, &s);
	assert_string_equal(text.data, right);
	buf_release(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_switches),
		cmocka_unit_test(test_state_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
