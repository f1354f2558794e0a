/* Deadlines against a slow obvious model that looks at the clock on the wall minute by minute.
 *
 * Random schedules, zones, calendars and SLAs; the clock of the SLAs is driven in random steps,
 * with restarts from what was kept. Each interval has to come once for each of its deadlines, at
 * the minute the model says, and none besides.
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

#include "base/civil.h"
#include "base/err.h"
#include "base/rng.h"
#include "base/zonefile.h"
#include "core/sla_clock.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "tests/lib/times.h"

enum { ROUNDS = 60, DAYS = 4, TICKS_MAX = 4000 };

static const int64_t minute_us = 60 * CIVIL_US_PER_S;

static const char *const zones[] = { "UTC", "Europe/Berlin", "America/New_York",
	"Australia/Lord_Howe", "America/St_Johns" };
/* Days around which the clocks of those are set, and one that is like others. */
static const char *const begins[] = { "2026-03-27T00:00:00Z", "2026-10-23T00:00:00Z",
	"2026-03-06T00:00:00Z", "2026-10-30T00:00:00Z", "2026-04-03T00:00:00Z",
	"2026-10-02T00:00:00Z", "2026-06-10T00:00:00Z" };
static const char *const crons[] = { "0 2 * * *", "30 2 * * *", "*/20 * * * *", "15 1,5,23 * * *",
	"0 22 * * 1-5", "45 */3 * * *" };

struct world {
	struct rng rng;
	struct zone *zone;
	struct cron cron;
	struct schedule_spec spec;
	struct sla_of of;
	int64_t begin_us, end_us;
	struct tick ticks[TICKS_MAX];
	int64_t by_us[TICKS_MAX]; /* finish_by, as the model sees it; 0: not within its days */
	bool seen[TICKS_MAX][SLA_KIND_MAX];
	int n;
	uint64_t seed;
};

static int upto(struct world *w, int n)
{
	return (int)rng_below(&w->rng, (uint64_t)n + 1);
}

static bool chance(struct world *w, int percent)
{
	return upto(w, 99) < percent;
}

static void make(struct world *w)
{
	struct sla *s = &w->of.sla;

	w->zone = times_zone(zones[upto(w, 4)]);
	assert_int_equal(cron_parse(crons[upto(w, 5)], &w->cron, NULL, NULL), 0);
	w->spec = (struct schedule_spec){ .kind = TIMETABLE_CRON,
		.zone = w->zone,
		.crons = &w->cron,
		.n_crons = 1,
		.interval = chance(w, 30) ? TIMETABLE_POINT : TIMETABLE_DATA };
	if (chance(w, 40))
		w->spec.calendar.only.weekdays = (uint8_t)(0x3e | (1 << upto(w, 6)));
	if (chance(w, 50))
		w->spec.calendar.action = (enum timetable_action)upto(w, 2);
	w->begin_us = times_us(begins[upto(w, 6)]) + upto(w, 1439) * minute_us;
	w->end_us = w->begin_us + DAYS * CIVIL_US_PER_DAY;
	s->kinds = (unsigned)upto(w, 7) | 1u << upto(w, 2);
	s->finish_by_s = (chance(w, 50) ? upto(w, 5) : upto(w, 23)) * 3600 + upto(w, 3) * 900;
	s->finish_within_us = (1 + upto(w, 3000)) * minute_us;
	s->start_within_us = (1 + upto(w, 200)) * minute_us;
	s->warn_ahead_us = (1 + upto(w, 600)) * minute_us;
	if (s->kinds & 3 && chance(w, 50))
		s->kinds |= 1u << SLA_AT_RISK;
}

/* The intervals whose deadlines can lie in the days that are looked at. */
static void list_ticks(struct world *w)
{
	int64_t at = w->begin_us - 6 * CIVIL_US_PER_DAY;

	for (w->n = 0; w->n < TICKS_MAX && timetable_next(&w->spec, at, &w->ticks[w->n]) == 1 &&
		       w->ticks[w->n].run_after_us < w->end_us + CIVIL_US_PER_DAY;
		w->n++)
		at = w->ticks[w->n].run_after_us;
}

/* Minute by minute: on each allowed day the first minute at which the clock shows the time or has
 * just passed it is the deadline of all that was due before and has none yet. */
static void watch_the_wall(struct world *w)
{
	int64_t day_done = INT64_MIN;
	int next = 0;

	memset(w->by_us, 0, sizeof w->by_us);
	for (int64_t at = w->begin_us - 7 * CIVIL_US_PER_DAY; at < w->end_us + 5 * CIVIL_US_PER_DAY;
		at += minute_us) {
		struct civil c;
		zone_to_civil(w->zone, at, &c, NULL);
		int64_t day = civil_day(c.year, c.month, c.day);
		bool passed = c.hour * 3600 + c.min * 60 >= w->of.sla.finish_by_s;
		if (!passed || day == day_done || day < day_done)
			continue;
		day_done = day;
		if (!timetable_day_allowed(&w->spec.calendar, day))
			continue;
		for (; next < w->n && w->ticks[next].run_after_us < at; next++)
			w->by_us[next] = at;
	}
}

/* When the model has tick `i` judged; 0: not of this kind, or not within its days. */
static int64_t judged_at(const struct world *w, int i, enum sla_kind kind)
{
	const struct sla *s = &w->of.sla;
	const struct tick *t = &w->ticks[i];
	int64_t within = t->end_us + s->finish_within_us, by = w->by_us[i];

	if (!sla_has(s, kind))
		return 0;
	if (kind == SLA_FINISH_BY)
		return by;
	if (kind == SLA_FINISH_WITHIN)
		return within;
	if (kind == SLA_START_WITHIN)
		return t->run_after_us + s->start_within_us;
	if (!sla_has(s, SLA_FINISH_WITHIN) || (sla_has(s, SLA_FINISH_BY) && by && by < within))
		within = by;
	if (!within)
		return 0;
	within -= s->warn_ahead_us;
	return within > t->run_after_us ? within : t->run_after_us;
}

/* Times of warning come again until their deadlines. */
static int64_t back(const struct world *w, int kind)
{
	return kind == SLA_AT_RISK ? w->of.sla.warn_ahead_us : 0;
}

static void take(struct world *w, const struct sla_due *due, int64_t from_us, int64_t now_us)
{
	int i = 0;

	while (i < w->n && w->ticks[i].run_after_us != due->tick.run_after_us)
		i++;
	int64_t at = i < w->n ? judged_at(w, i, due->kind) : 0;
	if (i == w->n || at == 0 || at <= from_us - back(w, due->kind) || at > now_us ||
		w->seen[i][due->kind])
		fail_msg("seed %" PRIu64 ": %s of the run due %s: %s; the model: %s%s", w->seed,
			sla_kind_name(due->kind), times_show(due->tick.run_after_us),
			times_show(due->deadline_us), times_show(at),
			i < w->n && w->seen[i][due->kind] ? ", again" : "");
	w->seen[i][due->kind] = true;
}

static void check_all_seen(struct world *w, int64_t from_us, int64_t now_us)
{
	for (int i = 0; i < w->n; i++)
		for (int k = 0; k < SLA_KIND_MAX; k++) {
			int64_t at = judged_at(w, i, (enum sla_kind)k);
			if (at > from_us && at <= now_us && !w->seen[i][k])
				fail_msg("seed %" PRIu64 ": %s of the run due %s never came, %s",
					w->seed, sla_kind_name((enum sla_kind)k),
					times_show(w->ticks[i].run_after_us), times_show(at));
		}
}

static struct sla_clock *begin(struct world *w, const struct sla_mark *mark, int64_t now_us)
{
	struct sla_clock *c = sla_clock_new();
	const struct sla_clock_dag dag = { "d", &w->spec, &w->of, 1, mark };

	assert_non_null(c);
	assert_int_equal(sla_clock_set(c, &dag, now_us, NULL), 0);
	return c;
}

static void play(struct world *w)
{
	int64_t now = w->begin_us;
	struct sla_clock *c = begin(w, NULL, now);
	struct sla_mark mark;
	struct sla_due due;

	memset(w->seen, 0, sizeof w->seen);
	while (now < w->end_us - minute_us) {
		now += (1 + (chance(w, 20) ? upto(w, 1500) : upto(w, 40))) * minute_us;
		if (now >= w->end_us)
			now = w->end_us - minute_us;
		int64_t last = 0;
		while (!chance(w, 2) && sla_clock_next(c, now, &due)) {
			int64_t at = sla_judged_at_us(due.sla, due.kind, &w->spec, &due.tick);
			assert_true(at >= last); /* in the order of time */
			last = at;
			take(w, &due, w->begin_us, now);
		}
		if (chance(w, 90))
			continue;
		assert_true(sla_clock_mark(c, "d", now, &mark));
		sla_clock_free(c);
		/* What shares its instant with one that was left comes again. */
		for (int i = 0; i < w->n; i++)
			for (int k = 0; k < SLA_KIND_MAX; k++)
				if (judged_at(w, i, (enum sla_kind)k) > mark.judged_us - back(w, k))
					w->seen[i][k] = false;
		c = begin(w, &mark, now);
	}
	while (sla_clock_next(c, now, &due))
		take(w, &due, w->begin_us, now);
	check_all_seen(w, w->begin_us, now);
	sla_clock_free(c);
}

static void test_model(void **state)
{
	const char *seed = getenv("WEIR_SEED"), *rounds = getenv("WEIR_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	int n = rounds ? atoi(rounds) : seed ? 1 : ROUNDS;
	struct world *w = calloc(1, sizeof *w);

	(void)state;
	if (!times_have_zones()) {
		free(w);
		skip();
	}
	print_message("# WEIR_SEED=%" PRIu64 ", %d rounds\n", first, n);
	for (int i = 0; i < n; i++) {
		memset(w, 0, sizeof *w);
		w->seed = first + (uint64_t)i;
		rng_init(&w->rng, w->seed);
		make(w);
		list_ticks(w);
		watch_the_wall(w);
		play(w);
		zone_free(w->zone);
	}
	free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
