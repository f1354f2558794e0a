/* Cron expressions: the shared cases, the errors, daylight saving time, and what never fires. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "core/cron.h"
#include "core/zone.h"
#include "tests/lib/cases.h"
#include "tests/lib/times.h"

static const struct cron_dst by_default;

/* The shared cases, one function per kind. */

/* Cases whose outcome is Weir's own, and why. */
static const char *const weirs_own[] = {
	"croniter-0100", /* 31 February is well-formed, but can never fire: an error here */
};

static bool is_weirs_own(const char *id)
{
	for (size_t i = 0; i < sizeof weirs_own / sizeof *weirs_own; i++)
		if (strcmp(weirs_own[i], id) == 0)
			return true;
	return false;
}

struct shared {
	const char *id, *expr;
	const json_t *json;
	struct cron cron;
	struct zone *zone;
};

static const char *text_of(const struct shared *s, const char *key)
{
	const char *text = json_string_value(json_object_get(s->json, key));

	if (!text)
		fail_msg("%s: no %s", s->id, key);
	return text;
}

static void expect_fire(const struct shared *s, size_t i, int found, const struct cron_fire *fire)
{
	const json_t *next = json_object_get(s->json, "next");
	int64_t want = times_us(json_string_value(json_array_get(next, i)));

	if (!found || fire->at_us != want)
		fail_msg("%s: \"%s\" fire %zu: got %s, want %s", s->id, s->expr, i,
			found ? times_show(fire->at_us) : "none", times_show(want));
}

static void run_next(const struct shared *s)
{
	int64_t at = times_us(text_of(s, "start"));
	struct cron_fire fire;

	for (size_t i = 0; i < json_array_size(json_object_get(s->json, "next")); i++) {
		expect_fire(s, i, cron_next(&s->cron, s->zone, by_default, at, &fire), &fire);
		at = fire.at_us;
	}
}

static void run_prev(const struct shared *s)
{
	int64_t at = times_us(text_of(s, "start"));
	struct cron_fire fire;

	for (size_t i = 0; i < json_array_size(json_object_get(s->json, "next")); i++) {
		expect_fire(s, i, cron_prev(&s->cron, s->zone, by_default, at, &fire), &fire);
		at = fire.at_us;
	}
}

/* Both ends belong to the range. */
static void run_range(const struct shared *s)
{
	int64_t at = times_us(text_of(s, "start")) - 1, stop = times_us(text_of(s, "stop"));
	size_t listed = json_array_size(json_object_get(s->json, "next"));
	const json_t *count = json_object_get(s->json, "count");
	size_t want = count ? (size_t)json_integer_value(count) : listed, n = 0;
	struct cron_fire fire;

	while (cron_next(&s->cron, s->zone, by_default, at, &fire) && fire.at_us <= stop) {
		if (n < listed)
			expect_fire(s, n, 1, &fire);
		at = fire.at_us;
		n++;
	}
	if (n != want)
		fail_msg("%s: %zu fires, want %zu", s->id, n, want);
}

static void run_match(const struct shared *s)
{
	struct civil local;

	zone_to_civil(s->zone, times_us(text_of(s, "at")), &local, NULL);
	if (cron_matches(&s->cron, &local) != json_is_true(json_object_get(s->json, "match")))
		fail_msg("%s: \"%s\" matches wrongly", s->id, s->expr);
}

/* The range is one of minutes: the minute that `from` lies in belongs to it. */
static void run_match_range(const struct shared *s)
{
	int64_t from = times_us(text_of(s, "from"));
	struct cron_fire fire;

	from -= civil_floor_mod(from, 60 * CIVIL_US_PER_S);
	bool found = cron_next(&s->cron, s->zone, by_default, from - 1, &fire) &&
		     fire.at_us <= times_us(text_of(s, "to"));
	if (found != json_is_true(json_object_get(s->json, "match")))
		fail_msg("%s: \"%s\" matches wrongly", s->id, s->expr);
}

static void run_equivalent(const struct shared *s)
{
	struct cron same;
	struct err err;

	assert_int_equal(cron_parse(text_of(s, "same_as"), &same, NULL, &err), 0);
	assert_true(same.minutes == s->cron.minutes);
	assert_int_equal(same.hours, s->cron.hours);
	assert_int_equal(same.months, s->cron.months);
	assert_memory_equal(same.days, s->cron.days, sizeof same.days);
}

static void run_valid(const struct shared *s)
{
	(void)s;
}

static const struct {
	const char *kind;
	void (*run)(const struct shared *s); /* NULL: must not parse */
} kinds[] = {
	{ "next", run_next },
	{ "prev", run_prev },
	{ "range", run_range },
	{ "match", run_match },
	{ "match_range", run_match_range },
	{ "equivalent", run_equivalent },
	{ "valid", run_valid },
	{ "invalid", NULL },
	{ "never", NULL },
};

static void run_shared(const json_t *json)
{
	struct shared s = { .json = json, .id = "?" };
	const char *tz = json_string_value(json_object_get(json, "tz"));
	struct err err = { 0 };
	int col = -1;
	size_t k = 0;

	s.id = text_of(&s, "id");
	s.expr = text_of(&s, "expr");
	const char *kind = text_of(&s, "kind");
	while (k < sizeof kinds / sizeof *kinds && strcmp(kinds[k].kind, kind) != 0)
		k++;
	if (k == sizeof kinds / sizeof *kinds)
		fail_msg("%s: unknown kind %s", s.id, kind);

	memset(&s.cron, 0, sizeof s.cron);
	bool parsed = cron_parse(s.expr, &s.cron, &col, &err) == 0;
	bool want = kinds[k].run && !is_weirs_own(s.id);
	if (parsed != want)
		fail_msg("%s: \"%s\" (%s): %s", s.id, s.expr, kind, parsed ? "parsed" : err.msg);
	if (!parsed) {
		assert_int_equal(err.code, ERR_INVALID);
		assert_in_range(col, 0, strlen(s.expr));
		if (strcmp(kind, "never") == 0)
			assert_non_null(strstr(err.msg, "can never fire"));
		return;
	}
	s.zone = times_zone(tz ? tz : "UTC");
	kinds[k].run(&s);
	zone_free(s.zone);
}

static void test_shared_cases(void **state)
{
	(void)state;
	FILE *f = times_have_zones() ? cases_open("cron/portable.jsonl") : NULL;
	char *line = NULL;
	size_t size = 0, n = 0;

	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		json_t *json = json_loads(line, 0, NULL);
		assert_non_null(json);
		run_shared(json);
		json_decref(json);
		n++;
	}
	free(line);
	fclose(f);
	assert_true(n >= 241);
}

/* Errors name the field, the value and what is allowed, and point at it. */
static void test_errors(void **state)
{
	(void)state;
	static const struct {
		const char *expr;
		int col;
		const char *says[3];
	} cases[] = {
		{ "60 * * * *", 0, { "minute", "\"60\"", "0-59" } },
		{ "0 25 * * *", 2, { "hour", "\"25\"", "0-23" } },
		{ "0 0 32 * *", 4, { "day of month", "\"32\"", "1-31" } },
		{ "0 0 0 * *", 4, { "day of month", "\"0\"", "1-31" } },
		{ "0 0 1 13 *", 6, { "month", "\"13\"", "1-12 or jan-dec" } },
		{ "0 0 1 0 *", 6, { "month", "\"0\"", "1-12" } },
		{ "0 0 * * 8", 8, { "day of week", "\"8\"", "sun-sat" } },
		{ "0 0 * * fryday", 8, { "day of week", "\"fryday\"", "sun-sat" } },
		{ "0 0 * * 1,2,xx", 12, { "day of week", "\"xx\"", "sun-sat" } },
		{ "  0   0-x * * *", 8, { "hour", "\"x\"", "0-23" } },
		{ "0 0 * * * *", 10, { "five fields", "every: 30s", "seconds" } },
		{ "0 0 * *", 7, { "4 of the five fields", "day of week", "" } },
		{ "", 0, { "0 of the five fields", "", "" } },
		{ "*/0 * * * *", 2, { "minute", "step \"0\"", "1-60" } },
		{ "*/61 * * * *", 2, { "minute", "step \"61\"", "1-60" } },
		{ "* */x * * *", 4, { "hour", "step \"x\"", "1-24" } },
		{ "1,,2 * * * *", 2, { "minute", "missing", "" } },
		{ "1, * * * *", 2, { "minute", "missing", "" } },
		{ "1-1_0 * * * *", 2, { "minute", "\"1_0\"", "0-59" } },
		{ "99999999999999999999 * * * *", 0, { "minute", "0-59", "" } },
		{ "? * * * *", 0, { "minute", "\"?\"", "0-59" } },
		{ "* * L-31 * *", 4, { "day of month", "1-30", "" } },
		{ "* * LW * *", 4, { "day of month", "L is the last day", "" } },
		{ "* * 15W * *", 6, { "day of month", "W (the nearest weekday)", "calendar" } },
		{ "* * * * L", 8, { "day of week", "L5 is the last Friday", "" } },
		{ "* * * * 5#6", 9, { "day of week", "1-5", "" } },
		{ "* * * * 5#0", 9, { "day of week", "1-5", "" } },
		{ "* * * * 1-5#2", 11, { "day of week", "\"#\"", "" } },
		{ "0 0 31 2 *", 4, { "can never fire", "", "" } },
		{ "0 0 31 4,6,9,11 *", 4, { "can never fire", "", "" } },
		{ "0 0 L-29 2 *", 4, { "can never fire", "", "" } },
		{ "@reboot", 0, { "@reboot", "@hourly", "every: 30s" } },
		{ "@every 5m", 0, { "@every 5m", "every: 30s", "" } },
		{ "\xc3\xa4 * * * *", 0, { "minute", "\xc3\xa4", "0-59" } },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct cron cron;
		struct err err = { 0 };
		int col = -1;
		if (cron_parse(cases[i].expr, &cron, &col, &err) == 0)
			fail_msg("\"%s\" was taken", cases[i].expr);
		assert_int_equal(err.code, ERR_INVALID);
		if (col != cases[i].col)
			fail_msg("\"%s\": col %d, want %d", cases[i].expr, col, cases[i].col);
		for (int k = 0; k < 3 && cases[i].says[k]; k++)
			if (!strstr(err.msg, cases[i].says[k]))
				fail_msg("\"%s\": \"%s\" lacks %s", cases[i].expr, err.msg,
					cases[i].says[k]);
		assert_int_equal(cron_parse(cases[i].expr, &cron, NULL, NULL), -1);
	}
}

/* Fires in a zone under a policy: "instant note" each. */
struct fires {
	const char *expr, *zone;
	struct cron_dst dst;
	const char *after;
	const char *want[8];
};

static void check_fires(const struct fires *c)
{
	struct zone *z = times_zone(c->zone);
	struct cron cron;
	struct cron_fire fire, back;
	struct err err = { 0 };
	int64_t at = times_us(c->after), first = at;
	char got[96];
	int n = 0;

	if (cron_parse(c->expr, &cron, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	for (; n < 8 && c->want[n]; n++) {
		assert_int_equal(cron_next(&cron, z, c->dst, at, &fire), 1);
		snprintf(got, sizeof got, "%s %s", times_show(fire.at_us),
			cron_note_name(fire.note));
		if (strcmp(got, c->want[n]) != 0)
			fail_msg("\"%s\" in %s, fire %d: %s, want %s", c->expr, c->zone, n, got,
				c->want[n]);
		at = fire.at_us;
	}
	/* and all the way back */
	for (at++; n-- > 0; at = back.at_us) {
		assert_int_equal(cron_prev(&cron, z, c->dst, at, &back), 1);
		snprintf(got, sizeof got, "%s %s", times_show(back.at_us),
			cron_note_name(back.note));
		if (strcmp(got, c->want[n]) != 0)
			fail_msg("\"%s\" in %s, back to fire %d: %s, want %s", c->expr, c->zone, n,
				got, c->want[n]);
	}
	assert_true(!cron_prev(&cron, z, c->dst, at, &back) || back.at_us <= first);
	zone_free(z);
}

#define SKIP                                      \
	{                                         \
		CRON_GAP_SKIP, CRON_OVERLAP_FIRST \
	}
#define SECOND                                      \
	{                                           \
		CRON_GAP_AFTER, CRON_OVERLAP_SECOND \
	}
#define BOTH                                      \
	{                                         \
		CRON_GAP_AFTER, CRON_OVERLAP_BOTH \
	}

static void test_daylight_saving(void **state)
{
	(void)state;
	static const struct fires cases[] = {
		/* Berlin, 2026-03-29: from 02:00 to 03:00 at 01:00Z. A fixed time in the gap. */
		{ "30 2 * * *", "Europe/Berlin", { 0 }, "2026-03-28T00:00:00Z",
			{ "2026-03-28T01:30:00Z none", "2026-03-29T01:00:00Z gap",
				"2026-03-30T00:30:00Z none" } },
		{ "0 2 * * *", "Europe/Berlin", { 0 }, "2026-03-28T12:00:00Z",
			{ "2026-03-29T01:00:00Z gap", "2026-03-30T00:00:00Z none" } },
		{ "30 2 * * *", "Europe/Berlin", SKIP, "2026-03-28T00:00:00Z",
			{ "2026-03-28T01:30:00Z none", "2026-03-30T00:30:00Z none" } },
		/* several fixed times in the gap, and one at its end, are one fire */
		{ "0,20,40 2,3 * * *", "Europe/Berlin", { 0 }, "2026-03-28T12:00:00Z",
			{ "2026-03-29T01:00:00Z gap", "2026-03-29T01:20:00Z none",
				"2026-03-29T01:40:00Z none", "2026-03-30T00:00:00Z none" } },
		{ "0 3 * * *", "Europe/Berlin", { 0 }, "2026-03-28T12:00:00Z",
			{ "2026-03-29T01:00:00Z none", "2026-03-30T01:00:00Z none" } },
		/* wildcards follow real time: nothing in the gap, nothing twice as often */
		{ "30 * * * *", "Europe/Berlin", { 0 }, "2026-03-29T00:00:00Z",
			{ "2026-03-29T00:30:00Z none", "2026-03-29T01:30:00Z none" } },
		{ "*/30 2 * * *", "Europe/Berlin", { 0 }, "2026-03-28T12:00:00Z",
			{ "2026-03-30T00:00:00Z none", "2026-03-30T00:30:00Z none" } },
		{ "15 */2 * * *", "Europe/Berlin", { 0 }, "2026-03-28T23:00:00Z",
			{ "2026-03-28T23:15:00Z none", "2026-03-29T02:15:00Z none" } },
		{ "*/5 * * * *", "Europe/Berlin", SKIP, "2026-03-29T00:54:00Z",
			{ "2026-03-29T00:55:00Z none", "2026-03-29T01:00:00Z none" } },
		/* Berlin, 2026-10-25: 02:00 to 03:00 twice, from 00:00Z and from 01:00Z. */
		{ "30 2 * * *", "Europe/Berlin", { 0 }, "2026-10-24T12:00:00Z",
			{ "2026-10-25T00:30:00Z overlap", "2026-10-26T01:30:00Z none" } },
		{ "0 2 * * *", "Europe/Berlin", { 0 }, "2026-10-24T12:00:00Z",
			{ "2026-10-25T00:00:00Z overlap", "2026-10-26T01:00:00Z none" } },
		{ "0 2 * * *", "Europe/Berlin", SECOND, "2026-10-24T12:00:00Z",
			{ "2026-10-25T01:00:00Z overlap", "2026-10-26T01:00:00Z none" } },
		{ "0,30 2 * * *", "Europe/Berlin", BOTH, "2026-10-24T12:00:00Z",
			{ "2026-10-25T00:00:00Z overlap", "2026-10-25T00:30:00Z overlap",
				"2026-10-25T01:00:00Z overlap", "2026-10-25T01:30:00Z overlap",
				"2026-10-26T01:00:00Z none" } },
		{ "0 3 * * *", "Europe/Berlin", BOTH, "2026-10-24T12:00:00Z",
			{ "2026-10-25T02:00:00Z none", "2026-10-26T02:00:00Z none" } },
		{ "59 1 * * *", "Europe/Berlin", BOTH, "2026-10-24T12:00:00Z",
			{ "2026-10-24T23:59:00Z none", "2026-10-26T00:59:00Z none" } },
		{ "0 * * * *", "Europe/Berlin", { 0 }, "2026-10-24T23:30:00Z",
			{ "2026-10-25T00:00:00Z none", "2026-10-25T01:00:00Z none",
				"2026-10-25T02:00:00Z none" } },
		{ "0,30 2 * * *", "Europe/Berlin", { 0 }, "2026-10-25T00:15:00Z",
			{ "2026-10-25T00:30:00Z overlap", "2026-10-26T01:00:00Z none" } },
		/* half an hour, midnight, a whole day, and a day that began twice */
		{ "15 2 * * *", "Australia/Lord_Howe", { 0 }, "2026-10-03T12:00:00Z",
			{ "2026-10-03T15:30:00Z gap", "2026-10-04T15:15:00Z none" } },
		{ "0 0 * * *", "America/Sao_Paulo", { 0 }, "2018-11-03T12:00:00Z",
			{ "2018-11-04T03:00:00Z gap", "2018-11-05T02:00:00Z none" } },
		{ "0 12 * * *", "Pacific/Apia", { 0 }, "2011-12-29T00:00:00Z",
			{ "2011-12-29T22:00:00Z none", "2011-12-30T10:00:00Z gap",
				"2011-12-30T22:00:00Z none" } },
		{ "30 23 * * *", "America/Sao_Paulo", { 0 }, "2018-02-17T00:00:00Z",
			{ "2018-02-17T01:30:00Z none", "2018-02-18T01:30:00Z overlap",
				"2018-02-19T02:30:00Z none" } },
		/* by the rule behind the table, years away */
		{ "30 2 28 3 *", "Europe/Berlin", { 0 }, "2500-01-01T00:00:00Z",
			{ "2500-03-28T01:00:00Z gap", "2501-03-28T00:30:00Z none" } },
		/* local mean time: minutes of the clock are no minutes of UTC */
		{ "0 12 * * *", "Europe/Berlin", { 0 }, "1890-01-01T00:00:00Z",
			{ "1890-01-01T11:06:32Z none" } },
		/* the zone changes between fires a long time apart */
		{ "0 0 29 2 *", "America/New_York", { 0 }, "2096-03-01T00:00:00Z",
			{ "2104-02-29T05:00:00Z none" } },
	};

	if (!times_have_zones())
		return;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_fires(&cases[i]);
}

static void test_special_days(void **state)
{
	(void)state;
	static const struct fires cases[] = {
		{ "0 0 L * *", "UTC", { 0 }, "2028-01-31T00:00:00Z",
			{ "2028-02-29T00:00:00Z none", "2028-03-31T00:00:00Z none" } },
		{ "0 0 L-3 * *", "UTC", { 0 }, "2026-02-01T00:00:00Z",
			{ "2026-02-25T00:00:00Z none", "2026-03-28T00:00:00Z none" } },
		{ "0 0 L-30 * *", "UTC", { 0 }, "2026-02-01T00:00:00Z",
			{ "2026-03-01T00:00:00Z none", "2026-05-01T00:00:00Z none" } },
		{ "0 0 1,L * *", "UTC", { 0 }, "2026-04-01T00:00:00Z",
			{ "2026-04-30T00:00:00Z none", "2026-05-01T00:00:00Z none" } },
		{ "0 0 * * L5", "UTC", { 0 }, "2026-11-01T00:00:00Z",
			{ "2026-11-27T00:00:00Z none", "2026-12-25T00:00:00Z none" } },
		{ "0 0 ? * 5L", "UTC", { 0 }, "2026-11-01T00:00:00Z",
			{ "2026-11-27T00:00:00Z none" } },
		{ "0 0 * * friL", "UTC", { 0 }, "2026-11-01T00:00:00Z",
			{ "2026-11-27T00:00:00Z none" } },
		{ "0 0 * * Lfri", "UTC", { 0 }, "2026-11-01T00:00:00Z",
			{ "2026-11-27T00:00:00Z none" } },
		{ "0 0 * * 5#L", "UTC", { 0 }, "2026-11-01T00:00:00Z",
			{ "2026-11-27T00:00:00Z none" } },
		{ "0 0 * * 5#2", "UTC", { 0 }, "2026-11-01T00:00:00Z",
			{ "2026-11-13T00:00:00Z none", "2026-12-11T00:00:00Z none" } },
		{ "0 0 * * mon#1,7#5", "UTC", { 0 }, "2026-11-01T00:00:00Z",
			{ "2026-11-02T00:00:00Z none", "2026-11-29T00:00:00Z none",
				"2026-12-07T00:00:00Z none" } },
		{ "0 22-2 * * *", "UTC", { 0 }, "2026-11-19T02:00:00Z",
			{ "2026-11-19T22:00:00Z none", "2026-11-19T23:00:00Z none",
				"2026-11-20T00:00:00Z none" } },
		{ "0 22-3/2 * * *", "UTC", { 0 }, "2026-11-19T02:30:00Z",
			{ "2026-11-19T22:00:00Z none", "2026-11-20T00:00:00Z none",
				"2026-11-20T02:00:00Z none" } },
		{ "0 0 * * fri-mon", "UTC", { 0 }, "2026-11-17T00:00:00Z",
			{ "2026-11-20T00:00:00Z none", "2026-11-21T00:00:00Z none",
				"2026-11-22T00:00:00Z none", "2026-11-23T00:00:00Z none",
				"2026-11-27T00:00:00Z none" } },
		{ "0 0 * * 5-7", "UTC", { 0 }, "2026-11-21T00:00:00Z",
			{ "2026-11-22T00:00:00Z none", "2026-11-27T00:00:00Z none" } },
		{ "0 0 * * 7-1", "UTC", { 0 }, "2026-11-21T00:00:00Z",
			{ "2026-11-22T00:00:00Z none", "2026-11-23T00:00:00Z none",
				"2026-11-29T00:00:00Z none" } },
		{ "5/15 0 * * *", "UTC", { 0 }, "2026-11-21T00:00:00Z",
			{ "2026-11-21T00:05:00Z none", "2026-11-21T00:20:00Z none",
				"2026-11-21T00:35:00Z none", "2026-11-21T00:50:00Z none",
				"2026-11-22T00:05:00Z none" } },
		/* either day field, when both are restricted; one that covers all is not */
		{ "0 0 13 * fri", "UTC", { 0 }, "2026-11-07T00:00:00Z",
			{ "2026-11-13T00:00:00Z none", "2026-11-20T00:00:00Z none" } },
		{ "0 0 1-31 * fri", "UTC", { 0 }, "2026-11-07T00:00:00Z",
			{ "2026-11-13T00:00:00Z none", "2026-11-20T00:00:00Z none" } },
		/* the longest wait of all */
		{ "0 0 * 2 5#5", "UTC", { 0 }, "2188-03-01T00:00:00Z",
			{ "2228-02-29T00:00:00Z none" } },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_fires(&cases[i]);
}

static void test_remarks(void **state)
{
	(void)state;
	struct cron cron;

	assert_int_equal(cron_parse("0 0 13 * fri", &cron, NULL, NULL), 0);
	assert_true(cron.either_day);
	assert_false(cron.elapsed);
	assert_int_equal(cron_parse("0 0 13 * *", &cron, NULL, NULL), 0);
	assert_false(cron.either_day);
	assert_int_equal(cron_parse("0-59 1 * * *", &cron, NULL, NULL), 0);
	assert_true(cron.elapsed);
}

/* A fixed time that is always skipped, and instants at the ends of time. */
static void test_no_fire(void **state)
{
	(void)state;
	struct cron cron;
	struct cron_fire fire;

	if (!times_have_zones())
		return;
	struct zone *z = times_zone("Europe/Berlin");
	assert_int_equal(cron_parse("30 2 * 3 L0", &cron, NULL, NULL), 0);
	assert_int_equal(
		cron_next(&cron, z, (struct cron_dst)SKIP, times_us("2026-01-01T00:00Z"), &fire),
		0);
	assert_int_equal(
		cron_prev(&cron, z, (struct cron_dst)SKIP, times_us("2100-01-01T00:00Z"), &fire),
		0);
	assert_int_equal(cron_next(&cron, z, by_default, times_us("2026-01-01T00:00Z"), &fire), 1);
	assert_int_equal(cron_next(&cron, z, by_default, INT64_MAX, &fire), 0);
	assert_int_equal(cron_next(&cron, z, by_default, INT64_MIN, &fire), 0);
	assert_int_equal(cron_prev(&cron, z, by_default, INT64_MAX, &fire), 0);
	assert_int_equal(cron_prev(&cron, z, by_default, INT64_MIN, &fire), 0);
	zone_free(z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shared_cases),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_daylight_saving),
		cmocka_unit_test(test_special_days),
		cmocka_unit_test(test_remarks),
		cmocka_unit_test(test_no_fire),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
