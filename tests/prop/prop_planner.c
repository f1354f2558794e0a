/* The planner against a slow obvious model: the list of all intervals of a schedule and what
 * became of each. Random schedules, outages, pauses, runs, clock jumps and restarts, and a
 * simulated year of a dozen schedules.
 *
 * After every event each interval is, in both, not due yet, waiting, created, missed or passed over
 * for overlap; nothing is decided twice.
 *
 * WEIR_SEED replays a run, WEIR_ROUNDS makes it longer. */
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
#include "base/rng.h"
#include "base/zonefile.h"
#include "core/planner.h"
#include "core/zone.h"
#include "tests/lib/times.h"

enum { ROUNDS = 400, STEPS = 300, TICKS_MAX = 12000, AT_MAX = 40, DAYS_MAX = 60 };

static const int64_t second_us = CIVIL_US_PER_S;
static const int64_t minute_us = 60 * CIVIL_US_PER_S;
static const int64_t hour_us = 3600 * CIVIL_US_PER_S;
static const int64_t day_us = CIVIL_US_PER_DAY;

enum fate { AHEAD, WAITING, CREATED, MISSED, OVERLAPPED };
static const char *const fate_names[] = { "ahead", "waiting", "created", "missed", "overlapped" };

struct world {
	struct rng rng;
	struct schedule_spec spec;
	struct cron crons[3];
	int64_t at_us[AT_MAX], days[DAYS_MAX];
	struct zone *zone;

	struct planner *p;
	struct planner_dag dag;
	int64_t now_us;

	/* The model. */
	struct tick ticks[TICKS_MAX];
	enum fate fates[TICKS_MAX], seen[TICKS_MAX];
	int n, max;
	int active, cancelling, seen_cancels, cancels;
	struct planner_state kept;
	bool has_kept;
	char text[200];
	uint64_t seed;
	int step;
};

static int upto(struct world *w, int n)
{
	return (int)rng_below(&w->rng, (uint64_t)n + 1);
}

static bool chance(struct world *w, int percent)
{
	return upto(w, 99) < percent;
}

static void die(struct world *w, const char *what, int i)
{
	fail_msg("%s; interval %d (start %" PRId64 "): model %s, planner %s; now %" PRId64
		 ", step %d of seed %" PRIu64 ": %s",
		what, i, i >= 0 ? w->ticks[i].start_us : 0, i >= 0 ? fate_names[w->fates[i]] : "-",
		i >= 0 ? fate_names[w->seen[i]] : "-", w->now_us, w->step, w->seed, w->text);
}

/* The model. */

static bool model_free(const struct world *w)
{
	return w->active < w->dag.max_active_runs;
}

static bool model_all(const struct world *w)
{
	return w->spec.catchup == TIMETABLE_CATCHUP_ALL;
}

static int model_first(const struct world *w, enum fate fate)
{
	for (int i = 0; i < w->n; i++)
		if (w->fates[i] == fate)
			return i;
	return -1;
}

/* Too many gaps behind the first that waits: no more can be made. */
static bool model_full(const struct world *w, int i)
{
	int gaps = 0, first = model_first(w, WAITING);

	if (first < 0 || w->fates[i - 1] != WAITING)
		return false;
	for (int k = first; k < i; k++)
		if (w->fates[k] != WAITING && w->fates[k - 1] == WAITING)
			gaps++;
	return gaps >= PLANNER_GAPS_MAX;
}

static void model_wait(struct world *w, int from, int until)
{
	bool alone = model_first(w, WAITING) < 0;

	if (w->dag.overlap == OVERLAP_CANCEL_RUNNING && !model_all(w))
		for (int i = 0; i < from; i++)
			if (w->fates[i] == WAITING)
				w->fates[i] = OVERLAPPED;
	for (int i = from; i < until; i++)
		w->fates[i] = WAITING;
	if (w->dag.overlap == OVERLAP_CANCEL_RUNNING && (alone || !model_all(w)) &&
		!w->dag.paused && !model_free(w) && !w->cancelling) {
		w->cancelling++;
		w->cancels++;
	}
}

/* Those from `from` to before `until` are due; the catchup rule speaks. */
static void model_late(struct world *w, int from, int until)
{
	int64_t window = w->spec.catchup_window_us, now = w->now_us;
	bool full = model_full(w, from);
	bool busy = model_first(w, WAITING) >= 0 || !model_free(w);
	int keep = from;

	for (keep = from; keep < until; keep++) {
		int64_t due = w->ticks[keep].run_after_us;
		if (w->spec.catchup == TIMETABLE_CATCHUP_NONE && due < now)
			continue;
		if (w->spec.catchup == TIMETABLE_CATCHUP_LATEST && keep < until - 1)
			continue;
		if (w->spec.catchup != TIMETABLE_CATCHUP_NONE && window && due < now - window)
			continue;
		break;
	}
	if (full)
		keep = from;
	for (int i = from; i < keep; i++)
		w->fates[i] = MISSED;
	if (keep == until)
		return;
	if (w->dag.overlap == OVERLAP_SKIP && !model_all(w) && !w->dag.paused && busy &&
		!model_full(w, keep)) {
		for (int i = keep; i < until; i++)
			w->fates[i] = OVERLAPPED;
		return;
	}
	model_wait(w, keep, until);
}

static void model_arrive(struct world *w, int i)
{
	if (w->now_us - w->ticks[i].run_after_us > PLANNER_OUTAGE_US) {
		int until = i;
		while (until < w->n && w->ticks[until].run_after_us <= w->now_us)
			until++;
		model_late(w, i, until);
	} else if (model_first(w, WAITING) < 0 && model_free(w) && !w->dag.paused) {
		w->fates[i] = CREATED;
		w->active++;
	} else if (w->dag.overlap == OVERLAP_SKIP && !w->dag.paused && !model_full(w, i)) {
		w->fates[i] = OVERLAPPED;
	} else {
		model_wait(w, i, i + 1);
	}
}

static void model_tick(struct world *w)
{
	int64_t window = w->spec.catchup_window_us;

	if (window && window < PLANNER_OUTAGE_US)
		window = PLANNER_OUTAGE_US;
	while (!w->dag.paused) {
		int i = model_first(w, WAITING);
		if (i >= 0 && model_free(w) && w->ticks[i].run_after_us <= w->now_us) {
			if (window && w->now_us - w->ticks[i].run_after_us > window) {
				w->fates[i] = MISSED;
				continue;
			}
			w->fates[i] = CREATED;
			w->active++;
			continue;
		}
		i = model_first(w, AHEAD);
		if (i < 0 || w->ticks[i].run_after_us > w->now_us)
			return;
		model_arrive(w, i);
	}
}

static void model_pause(struct world *w)
{
	int i;

	w->dag.paused = true;
	while ((i = model_first(w, AHEAD)) >= 0 && w->ticks[i].run_after_us <= w->now_us)
		model_arrive(w, i);
}

/* overlap: cancel_running, and something waits already when the DAG is set. */
static void model_claim(struct world *w)
{
	if (w->dag.overlap == OVERLAP_CANCEL_RUNNING && !model_all(w) && !w->dag.paused &&
		!model_free(w) && !w->cancelling && model_first(w, WAITING) >= 0) {
		w->cancelling++;
		w->cancels++;
	}
}

static void model_resume(struct world *w)
{
	int i = model_first(w, AHEAD), until = i;

	w->dag.paused = false;
	while (until >= 0 && until < w->n && w->ticks[until].run_after_us <= w->now_us)
		until++;
	if (i >= 0 && until > i)
		model_late(w, i, until);
}

/* All intervals, from the first that the catchup rule gives to a DAG it never saw. */
static void list_ticks(struct world *w)
{
	const struct schedule_spec *s = &w->spec;
	int64_t window = s->catchup_window_us, from = w->now_us - 1;
	struct tick t;

	if (s->catchup == TIMETABLE_CATCHUP_ALL && s->start_us)
		from = window ? w->now_us - window - 1 : s->start_us - 1;
	else if (s->catchup != TIMETABLE_CATCHUP_NONE &&
		 timetable_last_complete(s, w->now_us, &t) &&
		 (!window || t.run_after_us >= w->now_us - window))
		from = t.run_after_us - 1;
	w->n = 0;
	while (w->n < w->max && timetable_next(s, from, &t)) {
		w->ticks[w->n++] = t;
		from = t.run_after_us;
	}
	memset(w->fates, 0, sizeof w->fates);
	memset(w->seen, 0, sizeof w->seen);
}

/* The planner's decisions. */

static int find_tick(const struct world *w, int64_t start_us)
{
	int lo = 0, hi = w->n;

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;
		if (w->ticks[mid].start_us < start_us)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < w->n && w->ticks[lo].start_us == start_us ? lo : -1;
}

static void mark(struct world *w, const struct planner_decision *d)
{
	int from = find_tick(w, d->tick.start_us), until = find_tick(w, d->until_us);

	if (from < 0 || until < from)
		die(w, "a decision on no interval", from);
	if (d->tick.run_after_us != w->ticks[from].run_after_us ||
		d->tick.end_us != w->ticks[from].end_us)
		die(w, "another interval from the same start", from);
	if (d->count != until - from + 1 && d->count != PLANNER_COUNT_MAX)
		die(w, "miscounted", from);
	enum fate fate = d->action == PLANNER_CREATE ? CREATED
			 : d->why == PLANNER_MISSED  ? MISSED
						     : OVERLAPPED;
	for (int i = from; i <= until; i++) {
		if (w->seen[i] > WAITING)
			die(w, "decided twice", i);
		w->seen[i] = fate;
	}
}

static void take_decisions(struct world *w)
{
	size_t n;
	const struct planner_decision *d = planner_decisions(w->p, &n);

	for (size_t i = 0; i < n; i++) {
		if (d[i].action == PLANNER_CREATE || d[i].action == PLANNER_SKIP)
			mark(w, &d[i]);
		if (d[i].action == PLANNER_CANCEL)
			w->seen_cancels++;
		w->has_kept = planner_state(w->p, "dag", &w->kept);
	}
	planner_clear_decisions(w->p);
}

static void compare(struct world *w)
{
	struct planner_view view;
	int waiting = 0;
	struct tick *next = NULL;

	for (int i = 0; i < w->n; i++) {
		bool open = w->fates[i] <= WAITING;
		if (open ? w->seen[i] > WAITING : w->fates[i] != w->seen[i])
			die(w, "not the same fate", i);
		waiting += w->fates[i] == WAITING;
		if (open && !next)
			next = &w->ticks[i];
	}
	planner_view(w->p, "dag", &view);
	if (view.waiting != (waiting < PLANNER_COUNT_MAX ? waiting : PLANNER_COUNT_MAX) &&
		waiting < PLANNER_COUNT_MAX)
		die(w, "another number waits", model_first(w, WAITING));
	if (view.active != w->active)
		die(w, "another number is active", -1);
	if (w->cancels != w->seen_cancels)
		die(w, "cancelled another number of runs", -1);
	if (next && (!view.has_next || view.next.start_us != next->start_us))
		die(w, "another one is next", (int)(next - w->ticks));
	if (!next && w->n < w->max && view.has_next)
		die(w, "something is next after the last", -1);
}

/* Events. */

static void set_dag(struct world *w)
{
	w->dag.name = "dag";
	w->dag.spec = &w->spec;
	w->dag.active = w->active;
	w->dag.cancelling = w->cancelling;
	w->dag.state = w->has_kept ? &w->kept : NULL;
	if (planner_set_dag(w->p, &w->dag, w->now_us, NULL) < 0)
		die(w, "planner_set_dag", -1);
	model_claim(w);
	take_decisions(w);
}

static void tick(struct world *w)
{
	if (planner_tick(w->p, w->now_us, NULL) < 0)
		die(w, "planner_tick", -1);
	model_tick(w);
	take_decisions(w);
	if (planner_wake_us(w->p) <= w->now_us)
		die(w, "nothing is left to do, but it wakes", -1);
}

/* What is known then has been in the store as text. */
static void restart(struct world *w)
{
	struct buf text;

	buf_init(&text, 4096);
	if (w->has_kept) {
		planner_state_add(&text, &w->kept);
		memset(&w->kept, 0xff, sizeof w->kept);
		if (text.failed || planner_state_parse(text.data, &w->kept, NULL) < 0)
			die(w, "the state cannot be read", -1);
	}
	buf_release(&text);
	planner_free(w->p);
	w->p = planner_new();
	assert_non_null(w->p);
	set_dag(w);
}

static void end_run(struct world *w)
{
	if (!w->active)
		return;
	w->active--;
	if (w->cancelling)
		w->cancelling--;
	planner_run_ended(w->p, "dag");
}

static void switch_pause(struct world *w)
{
	if (w->dag.paused)
		model_resume(w);
	else
		model_pause(w);
	set_dag(w);
}

static void change_rules(struct world *w)
{
	w->dag.overlap = (enum planner_overlap)upto(w, OVERLAP_MAX - 1);
	w->dag.max_active_runs = 1 + upto(w, 2);
	w->spec.catchup = (enum timetable_catchup)upto(w, TIMETABLE_CATCHUP_MAX - 1);
	set_dag(w);
}

/* Time goes on: to the planner's wish, a little, a lot, or back. */
static void move_clock(struct world *w, int64_t period_us)
{
	int64_t wake_us = planner_wake_us(w->p);
	int what = upto(w, 19);

	if (what < 13 && wake_us != INT64_MAX)
		w->now_us = wake_us + (chance(w, 50) ? 0 : upto(w, 70) * second_us);
	else if (what < 16)
		w->now_us += (int64_t)rng_below(&w->rng, (uint64_t)period_us);
	else if (what < 18)
		w->now_us += (int64_t)rng_below(&w->rng, (uint64_t)period_us * 12);
	else
		w->now_us -= (int64_t)rng_below(&w->rng, (uint64_t)period_us * 4);
}

static void one_event(struct world *w, int64_t period_us, int busy)
{
	int what = upto(w, 99);

	if (what < 50)
		move_clock(w, period_us);
	else if (what < 50 + busy)
		end_run(w);
	else if (what < 82)
		switch_pause(w);
	else if (what < 92)
		restart(w);
	else if (what < 94)
		change_rules(w);
	else if (what < 95) {
		planner_run_started(w->p, "dag");
		w->active++;
	}
	if (!chance(w, 10))
		tick(w);
	compare(w);
}

/* Schedules. */

static const char *const crons[] = { "30 2 * * *", "0 0 * * *", "*/15 * * * *", "0 * * * *",
	"15,45 1-4 * * *", "0 6 * * mon-fri", "0 0 1 * *", "0 12 * * sun", "* * * * *",
	"59 23 L * *", "30 1 * * *", "5/20 2,3 * * *" };
static const char *const zones[] = { "UTC", "Europe/Berlin", "America/New_York",
	"Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia" };
#define PICK(w, list) (list)[upto(w, (int)(sizeof(list) / sizeof *(list)) - 1)]

static int64_t instant(const char *text)
{
	struct civil_text t;

	if (civil_parse(text, &t, NULL) < 0)
		fail_msg("%s", text);
	return civil_text_us(&t);
}

static void add_cron(struct world *w, const char *text)
{
	struct err err;

	if (cron_parse(text, &w->crons[w->spec.n_crons], NULL, &err) < 0)
		fail_msg("%s", err.msg);
	w->spec.crons = w->crons;
	w->spec.kind = TIMETABLE_CRON;
	w->spec.n_crons++;
	strncat(w->text, text, sizeof w->text - strlen(w->text) - 1);
	strncat(w->text, "; ", sizeof w->text - strlen(w->text) - 1);
}

static void random_at(struct world *w)
{
	int64_t at_us = w->now_us - 3 * day_us;

	w->spec.kind = TIMETABLE_AT;
	w->spec.at_us = w->at_us;
	w->spec.n_at = 1 + (size_t)upto(w, AT_MAX - 1);
	for (size_t i = 0; i < w->spec.n_at; i++) {
		at_us += 1 + (int64_t)rng_below(
				     &w->rng, (uint64_t)(chance(w, 30) ? day_us : minute_us));
		w->at_us[i] = at_us;
	}
	strcat(w->text, "at");
}

static void random_calendar(struct world *w)
{
	struct timetable_calendar *c = &w->spec.calendar;
	int64_t day = w->now_us / day_us - 20;

	if (chance(w, 60))
		c->only.weekdays = 0x3e;
	for (c->exclude.n_days = 0; c->exclude.n_days < DAYS_MAX; c->exclude.n_days++) {
		day += 1 + upto(w, 8);
		w->days[c->exclude.n_days] = day;
	}
	c->exclude.days = w->days;
	c->action = (enum timetable_action)upto(w, TIMETABLE_ACTION_MAX - 1);
	/* Moving looks at all ticks of some days for each. */
	if (c->action != TIMETABLE_SKIP)
		w->max = 400;
	strcat(w->text, " calendar");
}

static void open_zone(struct world *w, const char *name)
{
	struct err err;

	if (zone_open(name, zonefile_read, &w->zone, &err) < 0)
		fail_msg("%s", err.msg);
	w->spec.zone = w->zone;
}

static void random_spec(struct world *w)
{
	static const int64_t windows[] = { 0, 7, 1, 30 };

	open_zone(w, PICK(w, zones));
	snprintf(w->text, sizeof w->text, "%s: ", zone_name(w->zone));
	if (chance(w, 15)) {
		w->spec.kind = TIMETABLE_EVERY;
		w->spec.period_us = (1 + upto(w, 4000)) * second_us;
		strcat(w->text, "every");
	} else if (chance(w, 8)) {
		random_at(w);
	} else {
		for (int n = 1 + (chance(w, 30) ? 1 + upto(w, 1) : 0); n > 0; n--)
			add_cron(w, PICK(w, crons));
	}
	if (!strstr(w->text, "* * * * *;") && chance(w, 25))
		random_calendar(w);
	if (chance(w, 25))
		w->spec.start_us =
			w->now_us + (upto(w, 40) - 20) * day_us + upto(w, 86399) * second_us;
	if (chance(w, 15))
		w->spec.end_us =
			(w->spec.start_us ? w->spec.start_us : w->now_us) + upto(w, 40) * day_us;
	w->spec.interval = chance(w, 30) ? TIMETABLE_POINT : TIMETABLE_DATA;
	w->spec.dst.gap = (enum cron_gap)upto(w, 1);
	w->spec.dst.overlap = (enum cron_overlap)upto(w, 2);
	w->spec.catchup = (enum timetable_catchup)upto(w, TIMETABLE_CATCHUP_MAX - 1);
	w->spec.catchup_window_us = PICK(w, windows) * day_us;
	if (chance(w, 5))
		w->spec.catchup_window_us = 5 * second_us;
	w->dag.max_active_runs = 1 + upto(w, 2);
	w->dag.overlap = (enum planner_overlap)upto(w, OVERLAP_MAX - 1);
	w->dag.paused = chance(w, 10);
}

static struct world *world_new(uint64_t seed)
{
	struct world *w = calloc(1, sizeof *w);

	assert_non_null(w);
	rng_init(&w->rng, seed);
	w->seed = seed;
	w->max = TICKS_MAX;
	w->p = planner_new();
	assert_non_null(w->p);
	return w;
}

static void world_free(struct world *w)
{
	planner_free(w->p);
	zone_free(w->zone);
	free(w);
}

static int64_t mean_period(const struct world *w)
{
	int64_t period =
		w->n > 1 ? (w->ticks[w->n - 1].run_after_us - w->ticks[0].run_after_us) / (w->n - 1)
			 : day_us;

	return period < minute_us ? minute_us : period > 40 * day_us ? 40 * day_us : period;
}

static void one_round(uint64_t seed)
{
	struct world *w = world_new(seed);

	w->now_us = instant("2026-01-01T00:00:00Z") +
		    (int64_t)rng_below(&w->rng, (uint64_t)(365 * day_us));
	random_spec(w);
	struct err err;
	if (timetable_check(&w->spec, &err) < 0) {
		world_free(w);
		return;
	}
	list_ticks(w);
	int64_t period = mean_period(w);
	int busy = 5 + upto(w, 25);
	set_dag(w);
	for (w->step = 0; w->step < STEPS; w->step++) {
		if (w->n == w->max && w->now_us > w->ticks[w->n - 1].run_after_us - 100 * period)
			break;
		one_event(w, period, busy);
	}
	world_free(w);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* Rounds that failed once: a gap in more than PLANNER_COUNT_MAX waiting intervals. */
static void test_found(void **state)
{
	(void)state;
	if (!times_have_zones())
		skip();
	one_round(UINT64_C(1795168423311));
}

static void test_random(void **state)
{
	uint64_t seed = number_from("WEIR_SEED", (uint64_t)time(NULL) * 1000);
	uint64_t rounds = number_from("WEIR_ROUNDS", ROUNDS);

	(void)state;
	if (!times_have_zones())
		skip();
	print_message("# WEIR_SEED=%" PRIu64 " WEIR_ROUNDS=%" PRIu64 "\n", seed, rounds);
	for (uint64_t i = 0; i < rounds; i++)
		one_round(seed + i);
}

/* A year. */

static const struct {
	const char *zone, *cron, *cron2;
	int64_t every_s;
	enum timetable_interval interval;
	enum timetable_catchup catchup;
	enum planner_overlap overlap;
	int max_active;
	bool business_days;
	int run_minutes;
} year[] = {
	{ .zone = "Europe/Berlin", .cron = "30 2 * * *", .max_active = 1, .run_minutes = 90 },
	{ .zone = "America/New_York",
		.cron = "30 1 * * *",
		.catchup = TIMETABLE_CATCHUP_ALL,
		.max_active = 2,
		.run_minutes = 600 },
	{ .zone = "UTC",
		.cron = "0 * * * *",
		.catchup = TIMETABLE_CATCHUP_NONE,
		.max_active = 1,
		.run_minutes = 70 },
	{ .zone = "Europe/Berlin",
		.cron = "0 * * * *",
		.catchup = TIMETABLE_CATCHUP_ALL,
		.max_active = 3,
		.run_minutes = 30 },
	{ .zone = "Australia/Lord_Howe",
		.cron = "*/60 1-3 * * *",
		.overlap = OVERLAP_SKIP,
		.max_active = 1,
		.run_minutes = 100 },
	{ .zone = "America/Sao_Paulo",
		.cron = "0 0 * * *",
		.cron2 = "0 12 * * mon-fri",
		.overlap = OVERLAP_CANCEL_RUNNING,
		.max_active = 1,
		.run_minutes = 1000 },
	{ .zone = "Europe/Berlin",
		.cron = "0 7 * * *",
		.interval = TIMETABLE_POINT,
		.business_days = true,
		.max_active = 1,
		.run_minutes = 2000 },
	{ .zone = "UTC",
		.every_s = 5400,
		.overlap = OVERLAP_SKIP,
		.catchup = TIMETABLE_CATCHUP_ALL,
		.max_active = 1,
		.run_minutes = 80 },
	{ .zone = "Pacific/Apia", .cron = "0 0 1 * *", .max_active = 1, .run_minutes = 5 },
	{ .zone = "Europe/Dublin", .cron = "15 1 * * sun", .max_active = 1, .run_minutes = 15000 },
	{ .zone = "America/New_York",
		.cron = "0 2 * * *",
		.cron2 = "0 14 * * *",
		.overlap = OVERLAP_CANCEL_RUNNING,
		.catchup = TIMETABLE_CATCHUP_ALL,
		.max_active = 2,
		.run_minutes = 900 },
	{ .zone = "Africa/Casablanca",
		.every_s = 3601,
		.interval = TIMETABLE_POINT,
		.catchup = TIMETABLE_CATCHUP_NONE,
		.max_active = 1,
		.run_minutes = 300 },
};

static void year_spec(struct world *w, size_t i)
{
	open_zone(w, year[i].zone);
	snprintf(w->text, sizeof w->text, "year %zu, %s: ", i, year[i].zone);
	if (year[i].cron)
		add_cron(w, year[i].cron);
	if (year[i].cron2)
		add_cron(w, year[i].cron2);
	if (year[i].every_s) {
		w->spec.kind = TIMETABLE_EVERY;
		w->spec.period_us = year[i].every_s * second_us;
	}
	w->spec.interval = year[i].interval;
	w->spec.catchup = year[i].catchup;
	w->spec.catchup_window_us = TIMETABLE_CATCHUP_WINDOW_US;
	w->dag.overlap = year[i].overlap;
	w->dag.max_active_runs = year[i].max_active;
	if (year[i].business_days)
		w->spec.calendar.only.weekdays = 0x3e;
}

/* Sleep to the next event: the planner's, the end of a run, or a day's worth of trouble. */
static void year_step(struct world *w, int64_t run_us, int64_t *end_us)
{
	int64_t wake_us = planner_wake_us(w->p), trouble_us = w->now_us + 1 + upto(w, 72) * hour_us;

	if (!w->active)
		*end_us = INT64_MAX;
	else if (*end_us == INT64_MAX)
		*end_us = w->now_us + run_us;
	if (*end_us <= trouble_us && *end_us <= wake_us) {
		w->now_us = *end_us > w->now_us ? *end_us : w->now_us;
		*end_us = INT64_MAX;
		end_run(w);
	} else if (wake_us <= trouble_us) {
		w->now_us = wake_us > w->now_us ? wake_us : w->now_us;
	} else {
		w->now_us = trouble_us;
		int what = upto(w, 9);
		if (what < 4) /* an outage with a restart */
			w->now_us += upto(w, 60) * hour_us;
		else if (what < 6)
			w->now_us -= upto(w, 180) * minute_us;
		else if (what < 8)
			switch_pause(w);
		restart(w);
	}
}

static void test_year(void **state)
{
	uint64_t seed = number_from("WEIR_SEED", (uint64_t)time(NULL) * 1000);

	(void)state;
	if (!times_have_zones())
		skip();
	print_message("# WEIR_SEED=%" PRIu64 "\n", seed);
	for (size_t i = 0; i < sizeof year / sizeof *year; i++) {
		struct world *w = world_new(seed + i);
		int64_t end_us = INT64_MAX, until_us = instant("2027-01-01T00:00:00Z");
		int created = 0;
		w->now_us = instant("2026-01-01T00:00:00Z");
		year_spec(w, i);
		list_ticks(w);
		set_dag(w);
		for (w->step = 0; w->now_us < until_us; w->step++) {
			year_step(w, year[i].run_minutes * minute_us, &end_us);
			tick(w);
			if (w->step % 10 == 0)
				compare(w);
		}
		compare(w);
		for (int k = 0; k < w->n; k++)
			created += w->seen[k] == CREATED;
		print_message("# %s %d steps, %d runs\n", w->text, w->step, created);
		assert_true(created > 0);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_year),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
