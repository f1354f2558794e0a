/* Durations, sizes, percentages and counts, read and written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/units.h"

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
	} cases[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "90s", 90 * US_PER_SECOND },
		{ "1h30m", 90 * US_PER_MINUTE },
		{ "250ms", 250000 },
		{ "7us", 7 },
		{ "1d", US_PER_DAY },
		{ "2w", 14 * US_PER_DAY },
		{ "1w2d3h4m5s6ms7us", 788645006007 },
		{ "007s", 7 * US_PER_SECOND },
		{ "9223372036854775807us", INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		int64_t us = -1;
		if (units_parse_duration(cases[i].text, &us, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.msg);
		assert_int_equal(us, cases[i].us);
	}
}

static void test_bad_durations(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "", "is not a duration" },
		{ "30", "30 what? write 30s or 30m" },
		{ "1h30", "a unit is missing" },
		{ "-1s", "is not a duration" },
		{ "+1s", "is not a duration" },
		{ " 1s", "is not a duration" },
		{ "1s ", "expected a digit" },
		{ "1 s", "write 1s" },
		{ "30 minutes", "write 30m" },
		{ "30 moons", "a unit is missing" },
		{ "s", "is not a duration" },
		{ "1.5h", "no fractions" },
		{ "30m1h", "from large to small" },
		{ "1h1h", "from large to small" },
		{ "1H", "write \"h\"" },
		{ "5min", "write \"m\"" },
		{ "5 min", "write 5m" },
		{ "5parsec", "units are w, d, h, m, s, ms and us" },
		{ "9223372036854775808us", "too long" },
		{ "99999999999w", "too long" },
		{ "15250284w6d", "too long" },
		{ "1h\xc3\xa9", "expected a digit" },
		{ "00", "00 what?" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		int64_t us = -1;
		assert_int_equal(units_parse_duration(cases[i].text, &us, &err), -1);
		if (!strstr(err.msg, cases[i].message))
			fail_msg("%s: %s", cases[i].text, err.msg);
		assert_int_equal(us, -1);
		assert_int_equal(err.code, ERR_INVALID);
		assert_int_equal(units_parse_duration(cases[i].text, &us, NULL), -1);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: an error */
	} cases[] = {
		{ "0", 0 },
		{ "512", 512 },
		{ "512B", 512 },
		{ "10KiB", 10240 },
		{ "10MiB", 10485760 },
		{ "2GiB", 2147483648 },
		{ "1TiB", 1099511627776 },
		{ "10kB", 10000 },
		{ "10MB", 10000000 },
		{ "1GB", 1000000000 },
		{ "1TB", 1000000000000 },
		{ "1.5GiB", 1610612736 },
		{ "0.1kB", 100 },
		{ "0.000000001GB", 1 },
		{ "0.0000000019GB", 1 },
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775808", -1 },
		{ "8388608TiB", -1 },
		{ "1.5", -1 },
		{ "1.5B", -1 },
		{ "1.GiB", -1 },
		{ ".5GiB", -1 },
		{ "-1", -1 },
		{ "", -1 },
		{ "10M", -1 },
		{ "10K", -1 },
		{ "10kib", -1 },
		{ "10 MiB", -1 },
		{ "10MiB ", -1 },
		{ "1e3", -1 },
		{ "10MiBs", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		int64_t bytes = -1;
		int rc = units_parse_size(cases[i].text, &bytes, &err);
		if (rc != (cases[i].bytes < 0 ? -1 : 0) || bytes != cases[i].bytes)
			fail_msg("%s: %lld %s", cases[i].text, (long long)bytes, err.msg);
	}
}

static void test_size_hints(void **state)
{
	static const char *const cases[][2] = { { "10M", "write \"MiB\"" },
		{ "10K", "write \"KiB\"" }, { "10KB", "write \"kB\"" },
		{ "10mib", "write \"MiB\"" }, { "1x", "unknown unit \"x\"" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		int64_t bytes;
		assert_int_equal(units_parse_size(cases[i][0], &bytes, &err), -1);
		if (!strstr(err.msg, cases[i][1]))
			fail_msg("%s: %s", cases[i][0], err.msg);
	}
}

static void test_percents(void **state)
{
	static const struct {
		const char *text;
		double fraction; /* -1: an error */
	} cases[] = {
		{ "1%", 0.01 },
		{ "99.5%", 0.995 },
		{ "0%", 0 },
		{ "100%", 1 },
		{ "0.01", 0.01 },
		{ "0", 0 },
		{ "1", 1 },
		{ "1.0", 1 },
		{ "100.1%", -1 },
		{ "5", -1 },
		{ "1.1", -1 },
		{ "-1%", -1 },
		{ "%", -1 },
		{ "1 %", -1 },
		{ "1%%", -1 },
		{ "", -1 },
		{ "99999999999999999999%", -1 },
		{ ".5", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		double v = -1;
		int rc = units_parse_percent(cases[i].text, &v, &err);
		if (rc != (cases[i].fraction < 0 ? -1 : 0) || v != cases[i].fraction)
			fail_msg("%s: %g %s", cases[i].text, v, err.msg);
		if (rc < 0)
			continue;
		assert_int_equal(units_parse_share(cases[i].text, &v, &err), 0);
		assert_true(v == cases[i].fraction);
	}
}

/* A share may be more than all of one. */
static void test_shares(void **state)
{
	struct err err;
	double v;

	(void)state;
	assert_int_equal(units_parse_share("250%", &v, &err), 0);
	assert_true(v == 2.5);
	assert_int_equal(units_parse_share("100.1%", &v, &err), 0);
	assert_int_equal(units_parse_share("2.5", &v, &err), -1);
	assert_non_null(strstr(err.msg, "write 2.5%"));
	assert_int_equal(units_parse_share("-1%", &v, &err), -1);
	assert_int_equal(units_parse_share("99999999999999999999%", &v, &err), -1);
}

static void test_format_duration(void **state)
{
	static const struct {
		int64_t us;
		const char *text;
	} cases[] = {
		{ 0, "0s" },
		{ 1, "1us" },
		{ 1500, "1ms500us" },
		{ 90 * US_PER_SECOND, "1m30s" },
		{ 90 * US_PER_MINUTE, "1h30m" },
		{ 14 * US_PER_DAY, "14d" },
		{ -US_PER_SECOND, "-1s" },
		{ INT64_MAX, "106751991d4h54s775ms807us" },
		{ INT64_MIN, "-106751991d4h54s775ms808us" },
	};
	char buf[100];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t back;
		assert_string_equal(
			units_format_duration(cases[i].us, buf, sizeof buf), cases[i].text);
		if (cases[i].us < 0)
			continue;
		assert_int_equal(units_parse_duration(buf, &back, NULL), 0);
		assert_int_equal(back, cases[i].us);
	}
	assert_string_equal(units_format_duration(90 * US_PER_MINUTE, buf, 3), "1h");
}

static void test_format_others(void **state)
{
	static const struct {
		const char *(*format)(int64_t v, char *buf, size_t size);
		int64_t v;
		const char *text;
	} cases[] = {
		{ units_format_elapsed, 0, "0ms" },
		{ units_format_elapsed, 999999, "999ms" },
		{ units_format_elapsed, 1250000, "1.2s" },
		{ units_format_elapsed, 59999999, "59.9s" },
		{ units_format_elapsed, 60 * US_PER_SECOND, "1m00s" },
		{ units_format_elapsed, 185 * US_PER_SECOND, "3m05s" },
		{ units_format_elapsed, US_PER_HOUR - 1, "59m59s" },
		{ units_format_elapsed, 123 * US_PER_MINUTE, "2h03m" },
		{ units_format_elapsed, 26 * US_PER_HOUR, "1d02h" },
		{ units_format_elapsed, -1250000, "-1.2s" },
		{ units_format_size, 0, "0 B" },
		{ units_format_size, 1023, "1023 B" },
		{ units_format_size, 1024, "1 KiB" },
		{ units_format_size, 1610612736, "1.5 GiB" },
		{ units_format_size, 1048575, "1023.9 KiB" },
		{ units_format_size, INT64_MAX, "7.9 EiB" },
		{ units_format_size, INT64_MIN, "-8 EiB" },
		{ units_format_count, 0, "0" },
		{ units_format_count, 999, "999" },
		{ units_format_count, 1000, "1,000" },
		{ units_format_count, 1234567, "1,234,567" },
		{ units_format_count, -1234, "-1,234" },
		{ units_format_count, INT64_MIN, "-9,223,372,036,854,775,808" },
	};
	char buf[100];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(cases[i].format(cases[i].v, buf, sizeof buf), cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_bad_durations),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_size_hints),
		cmocka_unit_test(test_percents),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_format_duration),
		cmocka_unit_test(test_format_others),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
