/* Civil time: the calendar against the C library's, reading, and formatting. */
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

/* Each day of some centuries, and each 97th of the rest. */
static void test_calendar_as_libc(void **state)
{
	(void)state;
	for (int64_t day = -800000; day<3000000; day += day> - 30000 && day < 60000 ? 1 : 97) {
		time_t at = (time_t)(day * CIVIL_S_PER_DAY);
		struct tm tm;
		struct civil c;
		char week[8];
		int iso_year, iso_week;
		assert_non_null(gmtime_r(&at, &tm));
		civil_from_day(day, &c);
		if (c.year != tm.tm_year + 1900 || c.month != tm.tm_mon + 1 || c.day != tm.tm_mday)
			fail_msg("day %lld: %d-%d-%d", (long long)day, c.year, c.month, c.day);
		assert_true(civil_day(c.year, c.month, c.day) == day);
		assert_int_equal(civil_weekday(day), tm.tm_wday);
		assert_int_equal(civil_day_of_year(&c), tm.tm_yday + 1);
		civil_iso_week(day, &iso_year, &iso_week);
		strftime(week, sizeof week, "%V", &tm);
		assert_int_equal(iso_week, atoi(week));
	}
}

static void test_calendar_extremes(void **state)
{
	(void)state;
	static const int years[] = { CIVIL_YEAR_MIN, -401, -400, -1, 0, 1, 1582, 9999,
		CIVIL_YEAR_MAX };
	struct civil c;

	for (size_t i = 0; i < sizeof years / sizeof *years; i++) {
		civil_from_day(civil_day(years[i], 2, 28) + 1, &c);
		assert_int_equal(c.year, years[i]);
		assert_int_equal(c.month * 100 + c.day, civil_is_leap(years[i]) ? 229 : 301);
	}
	static const int64_t instants[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX };
	for (size_t i = 0; i < sizeof instants / sizeof *instants; i++) {
		civil_from_us(instants[i], &c);
		int64_t back = civil_to_us(&c);
		/* the first second of all cannot be reckoned from its start */
		assert_true(back == instants[i] || instants[i] <= INT64_MIN + 1);
	}
	civil_from_us(-1, &c);
	assert_int_equal(c.year * 10000 + c.month * 100 + c.day, 19691231);
	assert_int_equal(c.hour * 10000 + c.min * 100 + c.sec, 235959);
	assert_int_equal(c.usec, 999999);
}

static void test_add_months(void **state)
{
	(void)state;
	static const struct {
		int from[3], months, to[3];
	} cases[] = {
		{ { 2026, 1, 31 }, 1, { 2026, 2, 28 } },
		{ { 2028, 1, 31 }, 1, { 2028, 2, 29 } },
		{ { 2026, 1, 31 }, 0, { 2026, 1, 31 } },
		{ { 2026, 1, 15 }, -1, { 2025, 12, 15 } },
		{ { 2026, 12, 31 }, 2, { 2027, 2, 28 } },
		{ { 2026, 3, 31 }, -13, { 2025, 2, 28 } },
		{ { 2024, 2, 29 }, 12, { 2025, 2, 28 } },
		{ { 2024, 2, 29 }, 48, { 2028, 2, 29 } },
		{ { 1, 1, 1 }, -13, { -1, 12, 1 } },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct civil c = { cases[i].from[0], cases[i].from[1], cases[i].from[2], 1, 2, 3,
			4 };
		civil_add_months(&c, cases[i].months);
		assert_int_equal(c.year, cases[i].to[0]);
		assert_int_equal(c.month, cases[i].to[1]);
		assert_int_equal(c.day, cases[i].to[2]);
		assert_int_equal(c.usec, 4);
	}
}

enum {
	TIME = CIVIL_HAS_TIME,
	SEC = TIME | CIVIL_HAS_SECONDS,
	FRAC = SEC | CIVIL_HAS_FRACTION,
	OFF = CIVIL_HAS_OFFSET
};

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		unsigned parts;
		int offset_s;
		const char *utc; /* the instant, read as UTC where there is no offset */
	} cases[] = {
		{ "2026-11-19", 0, 0, "2026-11-19T00:00:00Z" },
		{ "0000-01-01", 0, 0, "0000-01-01T00:00:00Z" },
		{ "9999-12-31T23:59:59.999999Z", FRAC | OFF, 0, "9999-12-31T23:59:59.999999Z" },
		{ "2026-11-19T02:00", TIME, 0, "2026-11-19T02:00:00Z" },
		{ "2026-11-19 02:00", TIME, 0, "2026-11-19T02:00:00Z" },
		{ "2026-11-19t02:00:09z", SEC | OFF, 0, "2026-11-19T02:00:09Z" },
		{ "2026-11-19T02:00Z", TIME | OFF, 0, "2026-11-19T02:00:00Z" },
		{ "2026-11-19T02:00:00+01:00", SEC | OFF, 3600, "2026-11-19T01:00:00Z" },
		{ "2026-11-19T02:00:00-0330", SEC | OFF, -12600, "2026-11-19T05:30:00Z" },
		{ "2026-11-19T02:00:00+14", SEC | OFF, 50400, "2026-11-18T12:00:00Z" },
		{ "2026-11-19T02:00:00-00:00", SEC | OFF, 0, "2026-11-19T02:00:00Z" },
		{ "2026-11-19T02:00:00.5", FRAC, 0, "2026-11-19T02:00:00.500000Z" },
		{ "2026-11-19T02:00:00.123456789Z", FRAC | OFF, 0, "2026-11-19T02:00:00.123456Z" },
		{ "2024-02-29", 0, 0, "2024-02-29T00:00:00Z" },
		{ "2000-02-29", 0, 0, "2000-02-29T00:00:00Z" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct civil_text t;
		struct civil c;
		struct err err = { 0 };
		struct buf b;
		if (civil_parse(cases[i].text, &t, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.msg);
		if (t.parts != cases[i].parts || t.utc_offset_s != cases[i].offset_s)
			fail_msg("%s: parts %u offset %d", cases[i].text, t.parts, t.utc_offset_s);
		buf_init(&b, 100);
		civil_from_us(civil_text_us(&t), &c);
		civil_add_rfc3339(&b, &c, 0);
		assert_string_equal(b.data, cases[i].utc);
		buf_release(&b);
	}
}

static void test_parse_errors(void **state)
{
	(void)state;
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "2026-02-30", "no day 30 in 2026-02, which has 28 days" },
		{ "2026-02-29", "no day 29" },
		{ "1900-02-29", "no day 29" },
		{ "2026-04-31", "which has 30 days" },
		{ "2026-11-00", "no day 00" },
		{ "2026-13-01", "month 13 is not in 01 to 12" },
		{ "2026-00-01", "month 00" },
		{ "2026-11-19T24:00", "hour 24 is not in 00 to 23" },
		{ "2026-11-19T02:60", "minute 60" },
		{ "2026-11-19T02:00:60Z", "leap seconds" },
		{ "2026-11-19T02:00:61Z", "second 61" },
		{ "2026-11-19T02:00:00+24:00", "offset hour 24" },
		{ "2026-11-19T02:00:00+01:60", "offset minute 60" },
		{ "2026-11-19T02:00:00+1", "offset from UTC" },
		{ "2026-11-19T02:00:00+01:", "offset from UTC" },
		{ "2026-11-19T02:00:00.Z", "fraction" },
		{ "2026-11-19T02:00:00.1234567890Z", "fraction" },
		{ "2026-11-19T2:00", "hh:mm" },
		{ "2026-11-19T02", "hh:mm" },
		{ "2026-11-19T", "hh:mm" },
		{ "2026-11-19T02:00:0", "seconds" },
		{ "2026-11-19Z", "more text" },
		{ "2026-11-19T02:00Z ", "more text" },
		{ " 2026-11-19", "YYYY-MM-DD" },
		{ "20261119", "YYYY-MM-DD" },
		{ "2026-1-19", "YYYY-MM-DD" },
		{ "26-11-19", "YYYY-MM-DD" },
		{ "+2026-11-19", "YYYY-MM-DD" },
		{ "19.11.2026", "YYYY-MM-DD" },
		{ "today", "YYYY-MM-DD" },
		{ "", "YYYY-MM-DD" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct civil_text t;
		struct err err = { 0 };
		if (civil_parse(cases[i].text, &t, &err) == 0)
			fail_msg("\"%s\" was taken", cases[i].text);
		assert_int_equal(err.code, ERR_INVALID);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("\"%s\": %s", cases[i].text, err.msg);
		assert_int_equal(civil_parse(cases[i].text, &t, NULL), -1);
	}
}

static void test_rfc3339(void **state)
{
	(void)state;
	static const struct {
		struct civil c;
		int offset_s;
		const char *want;
	} cases[] = {
		{ { 2026, 11, 19, 2, 0, 0, 0 }, 0, "2026-11-19T02:00:00Z" },
		{ { 2026, 11, 19, 2, 0, 0, 0 }, 3600, "2026-11-19T02:00:00+01:00" },
		{ { 2026, 11, 19, 2, 0, 0, 1 }, -12600, "2026-11-19T02:00:00.000001-03:30" },
		{ { 1890, 1, 1, 12, 0, 0, 0 }, 3208, "1890-01-01T12:00:00+00:53:28" },
		{ { 7, 1, 1, 0, 0, 0, 0 }, 0, "0007-01-01T00:00:00Z" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf b;
		buf_init(&b, 100);
		assert_int_equal(civil_add_rfc3339(&b, &cases[i].c, cases[i].offset_s), 0);
		assert_string_equal(b.data, cases[i].want);
		buf_release(&b);
	}
	struct buf small;
	buf_init(&small, 12);
	assert_int_equal(civil_add_rfc3339(&small, &cases[0].c, 0), -1);
	buf_release(&small);
}

/* All conversions but %f, which the C library has not. */
#pragma GCC diagnostic ignored "-Wformat-y2k" /* %y is what is tested */
static void test_strftime_as_libc(void **state)
{
	(void)state;
	static const char fmt[] =
		"%Y %C %y %G %g %m %b %h %B %d %e %j %a %A %u %w %U %W %V %H %I %k %l "
		"%M %S %p %F %D %T %R %z %Z %s%n%t%% %-d %-m %-H %_m %^a %^B";
	char want[512];
	struct buf b;
	struct err err;

	setenv("TZ", "XYZ-5:30", 1);
	tzset();
	for (time_t at = -3000000000; at < 9000000000; at += 8712343) {
		struct tm tm;
		struct civil c;
		assert_non_null(localtime_r(&at, &tm));
		assert_true(strftime(want, sizeof want, fmt, &tm) > 0);
		civil_from_us(((int64_t)at + 19800) * CIVIL_US_PER_S, &c);
		buf_init(&b, 1000);
		assert_int_equal(civil_strftime(&b, &c, 19800, "XYZ", fmt, &err), 0);
		assert_string_equal(b.data, want);
		buf_release(&b);
	}
	unsetenv("TZ");
	tzset();
}

static void test_strftime(void **state)
{
	(void)state;
	static const struct {
		const char *fmt, *want;
	} cases[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "%Y/%m/%d", "2026/01/05" },
		{ "%-d.%-m.%Y", "5.1.2026" },
		{ "%f", "001234" },
		{ "%-f", "1234" },
		{ "%z %:z", "-0330 -03:30" },
		{ "%Z", "NST" },
		{ "%^Z %^b", "NST JAN" },
		{ "%0e", "05" },
		{ "100%%", "100%" },
		{ "%%Y", "%Y" },
		{ "%G-W%V-%u", "2026-W02-1" },
		{ "%s", "1767596827" },
		{ "\xc3\xa4%d\xc3\xb6", "\xc3\xa4"
					"05\xc3\xb6" },
	};
	static const struct civil c = { 2026, 1, 5, 3, 37, 7, 1234 };
	struct buf b;
	struct err err;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_init(&b, 100);
		assert_int_equal(civil_strftime(&b, &c, -12600, "NST", cases[i].fmt, &err), 0);
		assert_string_equal(b.data, cases[i].want);
		buf_release(&b);
	}
	buf_init(&b, 100);
	assert_int_equal(civil_strftime(&b, &c, 3600, NULL, "%Z", &err), 0);
	assert_string_equal(b.data, "+01:00");
	buf_release(&b);
}

static void test_strftime_errors(void **state)
{
	(void)state;
	static const struct {
		const char *fmt, *says;
	} cases[] = {
		{ "%Q", "unknown conversion %Q" },
		{ "%Y-%E", "unknown conversion %E" },
		{ "%-Q", "unknown conversion %-Q" },
		{ "%:Y", "unknown conversion %:" },
		{ "%5d", "unknown conversion %5" },
		{ "50%", "ends inside a conversion" },
		{ "%-", "ends inside a conversion" },
		{ "%\xff", "unknown conversion" },
	};
	static const struct civil c = { .year = 2026, .month = 1, .day = 5 };
	struct buf b;
	struct err err;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_init(&b, 100);
		assert_int_equal(civil_strftime(&b, &c, 0, NULL, cases[i].fmt, &err), -1);
		assert_int_equal(err.code, ERR_INVALID);
		if (!strstr(err.msg, cases[i].says))
			fail_msg("\"%s\": %s", cases[i].fmt, err.msg);
		buf_release(&b);
	}
	buf_init(&b, 5);
	assert_int_equal(civil_strftime(&b, &c, 0, NULL, "%Y-%m-%d", &err), -1);
	assert_int_equal(err.code, ERR_NOMEM);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calendar_as_libc),
		cmocka_unit_test(test_calendar_extremes),
		cmocka_unit_test(test_add_months),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_errors),
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_strftime_as_libc),
		cmocka_unit_test(test_strftime),
		cmocka_unit_test(test_strftime_errors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
