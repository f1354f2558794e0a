/* `schedule:` to a schedule_spec: each key, its defaults, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/civil.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/schedule.h"
#include "conf/yaml.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "tests/lib/times.h"

struct loaded {
	struct yaml_doc doc;
	struct arena arena;
	struct zone *zone;
	struct diags diags;
	const struct schedule_spec *spec;
};

static void load(struct loaded *l, const char *text, const char *dir)
{
	*l = (struct loaded){ 0 };
	diags_init(&l->diags);
	arena_init(&l->arena, 1 << 20);
	assert_int_equal(yaml_parse(&l->doc, "s.yaml", text, strlen(text), &l->diags), 0);
	const struct schedule_env env = { .dir = dir };
	l->spec = schedule_load(l->doc.root, &env, &l->arena, &l->zone, &l->diags);
	assert_int_equal(l->spec == NULL, l->diags.nerrors > 0);
}

static void release(struct loaded *l)
{
	zone_free(l->zone);
	arena_release(&l->arena);
	diags_release(&l->diags);
	yaml_release(&l->doc);
}

static void test_defaults(void **state)
{
	struct loaded l;

	(void)state;
	load(&l, "manual", NULL);
	assert_int_equal(l.spec->kind, TIMETABLE_MANUAL);
	assert_ptr_equal(l.spec->zone, zone_utc());
	assert_int_equal(l.spec->catchup_window_us, TIMETABLE_CATCHUP_WINDOW_US);
	release(&l);
	load(&l, "{ timezone: Europe/Berlin }", NULL);
	assert_int_equal(l.spec->kind, TIMETABLE_MANUAL);
	assert_string_equal(zone_name(l.spec->zone), "Europe/Berlin");
	release(&l);
	load(&l, "0 2 * * *", NULL);
	assert_int_equal(l.spec->kind, TIMETABLE_CRON);
	assert_int_equal(l.spec->n_crons, 1);
	assert_int_equal(l.spec->interval, TIMETABLE_DATA);
	assert_int_equal(l.spec->catchup, TIMETABLE_CATCHUP_LATEST);
	assert_int_equal(l.spec->dst.gap, CRON_GAP_AFTER);
	assert_int_equal(l.spec->dst.overlap, CRON_OVERLAP_FIRST);
	assert_int_equal(l.spec->calendar.action, TIMETABLE_SKIP);
	assert_int_equal(l.spec->start_us, 0);
	assert_int_equal(l.spec->end_us, 0);
	release(&l);
}

static void test_mapping(void **state)
{
	struct loaded l;

	(void)state;
	load(&l,
		"cron: [\"0 2 * * *\", \"30 14 * * mon\"]\n"
		"timezone: Europe/Berlin\n"
		"start: 2026-01-01\n"
		"end: 2026-12-31\n"
		"interval: point\n"
		"dst: { gap: skip, overlap: both }\n"
		"catchup: all\n"
		"catchup_window: 30d\n",
		NULL);
	assert_int_equal(l.spec->n_crons, 2);
	/* A date is local: from the first instant of that day to the last of this. */
	assert_int_equal(l.spec->start_us, times_us("2025-12-31T23:00:00Z"));
	assert_int_equal(l.spec->end_us, times_us("2026-12-31T23:00:00Z") - 1);
	assert_int_equal(l.spec->interval, TIMETABLE_POINT);
	assert_int_equal(l.spec->dst.gap, CRON_GAP_SKIP);
	assert_int_equal(l.spec->dst.overlap, CRON_OVERLAP_BOTH);
	assert_int_equal(l.spec->catchup, TIMETABLE_CATCHUP_ALL);
	assert_int_equal(l.spec->catchup_window_us, 30 * 24 * US_PER_HOUR);
	release(&l);
	load(&l, "{ every: 15m, start: 2026-06-01T12:00, timezone: Europe/Berlin }", NULL);
	assert_int_equal(l.spec->kind, TIMETABLE_EVERY);
	assert_int_equal(l.spec->period_us, 15 * US_PER_MINUTE);
	assert_int_equal(l.spec->start_us, times_us("2026-06-01T10:00:00Z"));
	release(&l);
	load(&l, "{ every: 1h, start: 2026-06-01T12:00:00+05:30, timezone: Europe/Berlin }", NULL);
	assert_int_equal(l.spec->start_us, times_us("2026-06-01T06:30:00Z"));
	release(&l);
}

static void test_at(void **state)
{
	struct loaded l;

	(void)state;
	load(&l,
		"{ at: [2026-12-31T22:00, 2026-03-01T00:00Z, 2026-12-31T22:00], timezone: "
		"Europe/Berlin }",
		NULL);
	assert_int_equal(l.spec->kind, TIMETABLE_AT);
	/* In order, and each once. */
	assert_int_equal(l.spec->n_at, 2);
	assert_int_equal(l.spec->at_us[0], times_us("2026-03-01T00:00:00Z"));
	assert_int_equal(l.spec->at_us[1], times_us("2026-12-31T21:00:00Z"));
	release(&l);
	load(&l, "{ at: 2026-12-31T22:00 }", NULL);
	assert_int_equal(l.spec->n_at, 1);
	release(&l);
}

static void test_calendar(void **state)
{
	static const char days[] =
		"# holidays\n\n2026-12-25\r\n2026-12-26, second day\n 2026-01-01\n";
	char dir[] = "/tmp/weir-schedule-XXXXXX", path[64];
	struct loaded l;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/days", dir);
	FILE *f = fopen(path, "we");
	fputs(days, f);
	fclose(f);
	load(&l,
		"cron: 0 2 * * *\n"
		"calendar:\n"
		"  only: business_days\n"
		"  exclude: [days, 2026-12-25, Monday, weekends, TUE, 2026-05-01]\n"
		"  action: next\n",
		dir);
	assert_non_null(l.spec);
	assert_int_equal(l.spec->calendar.action, TIMETABLE_MOVE_NEXT);
	assert_int_equal(l.spec->calendar.only.weekdays, 0x3e);
	assert_int_equal(l.spec->calendar.exclude.weekdays, 0x47);
	assert_int_equal(l.spec->calendar.exclude.n_days, 4);
	assert_int_equal(l.spec->calendar.exclude.days[0], civil_day(2026, 1, 1));
	assert_int_equal(l.spec->calendar.exclude.days[1], civil_day(2026, 5, 1));
	assert_int_equal(l.spec->calendar.exclude.days[3], civil_day(2026, 12, 26));
	release(&l);
	/* Without a folder its file is not looked for. */
	load(&l, "{ cron: 0 2 * * *, calendar: { exclude: days } }", NULL);
	assert_non_null(l.spec);
	release(&l);
	f = fopen(path, "we");
	fputs("2026-12-25\nChristmas\n", f);
	fclose(f);
	load(&l, "{ cron: 0 2 * * *, calendar: { exclude: days } }", dir);
	assert_null(l.spec);
	assert_non_null(strstr(l.diags.list[0].message, "days:2: "));
	release(&l);
	unlink(path);
	rmdir(dir);
}

static const struct {
	const char *text, *message;
} refused[] = {
	{ "[a]", "found a list" },
	{ "weekly", "cron \"weekly\"" },
	{ "{ cron: [] }", "no cron expression" },
	{ "{ at: [] }", "lists no time" },
	{ "{ at: soon }", "\"soon\" is not a date or time" },
	{ "{ cron: 0 2 * * *, at: 2026-01-01 }", "only one of cron, every, at and datasets" },
	{ "{ every: 500ms }", "every" },
	{ "{ every: 41y }", "every" },
	{ "{ every: 1d, start: 2026-02-01, end: 2026-01-01 }", "`end` is before `start`" },
	{ "{ cron: 0 2 * * *, timezone: Nowhere/Else }", "no time zone \"Nowhere/Else\"" },
	{ "{ cron: 0 2 * * *, timezone: ../../etc/passwd }", "time zone" },
	{ "{ cron: 0 2 * * *, timezone: /etc/localtime }", "time zone" },
	{ "{ cron: 0 0 31 2 * }", "never fire" },
	{ "{ cron: 0 2 * * *, calendar: { only: sunday, exclude: weekends } }", "allows no day" },
	{ "{ cron: 0 2 * * *, catchup: maybe }", "catchup" },
	{ "{ corn: 0 2 * * * }", "did you mean \"cron\"" },
	{ "{ cron: { a: b } }", "cron" },
	{ "{ cron: [[a]] }", "cron" },
	{ "{ every: [1h] }", "every" },
	{ "{ cron: 0 2 * * *, start: [2026-01-01] }", "start" },
	{ "{ cron: 0 2 * * *, calendar: weekends }", "calendar" },
	{ "{ cron: 0 2 * * *, dst: skip }", "dst" },
};

static void test_refused(void **state)
{
	struct loaded l;

	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		load(&l, refused[i].text, NULL);
		if (l.spec || l.diags.n == 0)
			fail_msg("%s was accepted", refused[i].text);
		if (!strstr(l.diags.list[0].message, refused[i].message))
			fail_msg("%s: %s", refused[i].text, l.diags.list[0].message);
		release(&l);
	}
}

static void test_warning(void **state)
{
	struct loaded l;

	(void)state;
	load(&l, "{ cron: [0 2 1 * mon, 0 3 1 * tue] }", NULL);
	assert_non_null(l.spec);
	assert_int_equal(l.diags.nwarnings, 1);
	release(&l);
	load(&l, "{ cron: 0 2 1 * * }", NULL);
	assert_int_equal(l.diags.nwarnings, 0);
	release(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_mapping),
		cmocka_unit_test(test_at),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_warning),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
