/* conf/template.h: parsing, names, filters and the check, by tables. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/node.h"
#include "base/zonefile.h"
#include "conf/diag.h"
#include "conf/template.h"
#include "conf/template_impl.h"
#include "core/zone.h"
#include "tests/lib/times.h"

static struct zone *berlin; /* +01:00, as far as November is concerned */
static json_t *params, *outputs;

static const char *fake_getenv(const char *name)
{
	return strcmp(name, "REGION") == 0 ? "eu" : strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static struct template_context context(void)
{
	return (struct template_context){
		.dag = "sales",
		.task = "orders",
		.run_id = "r-1",
		.interval_start_us = times_us("2026-11-19T00:00:00+01:00"),
		.interval_end_us = times_us("2026-11-20T00:00:00+01:00"),
		.zone = berlin,
		.params = params,
		.outputs = outputs,
		.task_try = 1,
		.map_index = -1,
		.token = 42,
		.now_us = times_us("2026-11-20T02:00:00.5+01:00"),
		.getenv = fake_getenv,
	};
}

static int set_up(void **state)
{
	(void)state;
	if (zone_fixed("Europe/Berlin", 3600, &berlin, NULL) < 0)
		return -1;
	params = json_loads(
		"{\"region\": \"eu\", \"n\": 3, \"f\": 1.5, \"yes\": true, \"nothing\": null,"
		"\"list\": [\"a\", \"b'c\", 3], \"empty\": [], \"day\": \"2026-03-01\","
		"\"map\": {\"inner\": {\"x\": 7}}, \"nul\": \"a\\u0000b\","
		"\"lists\": [[1], [2]], \"text\": \"a b\"}",
		JSON_ALLOW_NUL, NULL);
	outputs = json_loads(
		"{\"load\": {\"rows\": 120, \"deep\": {\"k\": \"v\"}}, \"a-b\": {\"x-y\": 1}}", 0,
		NULL);
	return params && outputs ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	zone_free(berlin);
	json_decref(params);
	json_decref(outputs);
	return 0;
}

/* Expected: the text, or after "!" a part of the error. */
static void check_render(const char *text, const char *expected)
{
	struct template_context ctx = context();
	struct err err = { 0 };
	struct buf out;

	buf_init(&out, BUF_MAX_TEXT);
	int rc = template_text(text, &ctx, &out, &err);
	const char *got = rc < 0 ? err.msg : out.data;
	bool good = *expected == '!' ? rc < 0 && strstr(err.msg, expected + 1)
				     : rc == 0 && strcmp(out.data, expected) == 0;
	if (!good)
		fail_msg("%s\n  gave     %s%s\n  expected %s", text, rc < 0 ? "!" : "", got,
			expected);
	buf_release(&out);
}

struct pair {
	const char *text, *expected;
};

static void check_pairs(const struct pair *pairs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_render(pairs[i].text, pairs[i].expected);
}

#define CHECK_PAIRS(pairs) check_pairs(pairs, sizeof(pairs) / sizeof *(pairs))

static void test_names(void **state)
{
	static const struct pair pairs[] = {
		{ "{{ ds }}", "2026-11-19" },
		{ "{{ds}}", "2026-11-19" },
		{ "{{\n\tds\r\n}}", "2026-11-19" },
		{ "{{ ds_nodash }}", "20261119" },
		{ "{{ data_interval_start }}", "2026-11-19T00:00:00+01:00" },
		{ "{{ data_interval_end }}", "2026-11-20T00:00:00+01:00" },
		{ "{{ logical_date }}", "2026-11-19T00:00:00+01:00" },
		{ "{{ now }}", "2026-11-20T02:00:00.500000+01:00" },
		{ "{{ run.id }} {{ dag.name }} {{ task.name }}", "r-1 sales orders" },
		{ "{{ task.try }} {{ task.token }}", "1 42" },
		{ "{{ task.map_index }}", "!it has no value here" },
		{ "{{ task.map_index | default(0) }}", "0" },
		{ "{{ params.region }}", "eu" },
		{ "{{ params.n }} {{ params.f }} {{ params.yes }}", "3 1.5 true" },
		{ "{{ params.map.inner.x }}", "7" },
		{ "{{ params.map.inner }}", "!{{ params.map.inner }}: it is a mapping" },
		{ "{{ params.nothing }}", "!it is null" },
		{ "{{ params.region.deeper }}", "!no value" },
		{ "{{ params.list }}",
			"!it is a list; choose one value, or use | join(\",\") or | json" },
		{ "{{ params.nul }}", "!NUL byte" },
		{ "{{ env.REGION }}", "eu" },
		{ "<{{ env.EMPTY }}>", "<>" },
		{ "{{ env.NO }}", "!{{ env.NO }}: it has no value here; set it" },
		{ "{{ env.NO | upper | trim }}", "!it has no value here" },
		{ "{{ env.NO | upper | default(\"x\") }}", "x" },
		{ "{{ tasks.load.outputs.rows }}", "120" },
		{ "{{ tasks.load.outputs.deep.k }}", "v" },
		{ "{{ tasks.a-b.outputs.x-y }}", "1" },
		{ "{{ tasks.load.outputs.no }}", "!no value" },
		{ "{{ tasks.no.outputs.no | default(7) }}", "7" },
		{ "{{ tasks.load.rows }}", "!write tasks.TASK.outputs.NAME" },
		{ "{{ nope }}", "!{{ nope }}: unknown name \"nope\"" },
		{ "{{ ds | nope }}", "!nope: unknown filter" },
	};

	(void)state;
	CHECK_PAIRS(pairs);
}

/* The item of a mapped task. */
static void test_item(void **state)
{
	struct template_context ctx = context();
	struct buf out;
	struct err err;

	(void)state;
	ctx.item = json_pack("{s:s, s:{s:i}}", "path", "in/a.csv", "size", "rows", 7);
	ctx.map_index = 3;
	buf_init(&out, 200);
	assert_int_equal(template_text("{{ item.path | basename }} {{ item.size.rows }} "
				       "{{ task.map_index }} {{ item.size | json }}",
				 &ctx, &out, &err),
		0);
	assert_string_equal(out.data, "a.csv 7 3 {\"rows\":7}");
	assert_int_equal(template_text("{{ item.none }}", &ctx, &out, &err), -1);
	assert_non_null(strstr(err.msg, "it has no value here"));
	assert_int_equal(template_text("{{ item }}", &ctx, &out, &err), -1);
	assert_non_null(strstr(err.msg, "it is a mapping"));
	json_decref(ctx.item);
	buf_clear(&out);
	ctx.item = json_string("eu");
	assert_int_equal(template_text("{{ item | upper }}", &ctx, &out, &err), 0);
	assert_string_equal(out.data, "EU");
	json_decref(ctx.item);
	ctx.item = NULL;
	assert_int_equal(template_text("{{ item }}", &ctx, &out, &err), -1);
	buf_release(&out);
}

static void test_list_filters(void **state)
{
	static const struct {
		const char *list, *compact, *sum;
	} rows[] = {
		{ "[]", "[]", "0" },
		{ "[null, 1, null, 2]", "[1,2]", "3" },
		{ "[1, 2.5]", "[1,2.5]", "3.5" },
		{ "[\"3\", \"0.5\", 1]", "[\"3\",\"0.5\",1]", "4.5" },
		{ "[1, \"x\"]", "[1,\"x\"]",
			"!item 2 of the list: the string \"x\" is not a number" },
		{ "[true]", "[true]",
			"!item 1 of the list: a sum needs numbers, got the boolean true" },
		{ "[9223372036854775807, 1]", "[9223372036854775807,1]", "!the sum is too large" },
		{ "[[1], null]", "[[1]]", "!a sum needs numbers, got a list" },
	};
	json_t *saved = params;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		params = json_pack("{s:o}", "l", json_loads(rows[i].list, 0, NULL));
		check_render("{{ params.l | compact | json }}", rows[i].compact);
		check_render("{{ params.l | sum }}", rows[i].sum);
		json_decref(params);
	}
	params = saved;
}

static void test_literals(void **state)
{
	static const struct pair pairs[] = {
		{ "", "" },
		{ "plain", "plain" },
		{ "a }} b { c } {", "a }} b { c } {" },
		{ "{\"a\":{\"b\":{{ params.n }}}}", "{\"a\":{\"b\":3}}" },
		{ "{{ \"{{\" }}", "{{" },
		{ "{{ '}}' }}", "}}" },
		{ "{{ \"a\\\"b\\\\c\\n\\t\\r\\'\" }}", "a\"b\\c\n\t\r'" },
		{ "{{ 'it\\'s' }}", "it's" },
		{ "{{ \"\" }}", "" },
		{ "{{ 'ünïcødé' }}", "ünïcødé" },
		{ "{{ 5 }} {{ -5 }} {{ 0 }} {{ -0 }}", "5 -5 0 0" },
		{ "{{ 9223372036854775807 }}", "9223372036854775807" },
		{ "{{ -9223372036854775808 }}", "-9223372036854775808" },
		{ "{{ 1.5 }} {{ 2.0 }} {{ 1e3 }} {{ 1e-7 }} {{ 0.1 }}",
			"1.5 2.0 1000.0 1e-07 0.1" },
		{ "{{ 1e300 }}", "1e+300" },
		{ "{{ true }} {{ false }}", "true false" },
		{ "{{ null | default(\"n\") }}", "n" },
		{ "{{ null }}", "!it is null" },
		{ "{{ 1 }}{{ 2 }}x{{ 3 }}", "12x3" },
		{ "{{ params.n | add( 1 ) | add(params.n)}}", "7" },
	};

	(void)state;
	CHECK_PAIRS(pairs);
}

/* Each error with its offset and width. */
static void test_comparisons(void **state)
{
	static const struct pair pairs[] = {
		{ "{{ params.n == 3 }}", "true" },
		{ "{{ params.n == 3.0 }}", "true" },
		{ "{{ params.f < 1 }}", "false" },
		{ "{{ 1 != 2 }}{{ 1 <= 1 }}{{ 1 >= 2 }}{{ 2 > 1 }}", "truetruefalsetrue" },
		{ "{{ params.region == 'eu' }}", "true" },
		{ "{{ 'a' < 'b' }}", "true" },
		{ "{{ params.yes == true }}", "true" },
		{ "{{ params.yes < true }}", "!the boolean true cannot be compared with" },
		{ "{{ ds == '2026-11-19' }}", "true" },
		{ "{{ '2026-11-20' > ds }}", "true" },
		{ "{{ ds > 'soon' }}", "!\"soon\"" },
		{ "{{ now > data_interval_end }}", "true" },
		{ "{{ now > '2026-11-20T02:00:01+01:00' }}", "false" },
		{ "{{ ds == now }}", "!cannot be compared with" },
		{ "{{ now > '2026-11-20' }}", "!cannot be compared with" },
		{ "{{ params.n == '3' }}", "!the integer 3 cannot be compared with the string" },
		{ "{{ params.list == 1 }}", "!a list cannot be compared" },
		{ "{{ params.nothing == null }}", "true" },
		{ "{{ params.nothing != 3 }}", "true" },
		{ "{{ params.nothing < 3 }}", "!cannot be compared" },
		{ "{{ params.gone == null }}", "true" },
		{ "{{ params.gone == 3 }}", "!nothing (it has no value here)" },
		{ "{{ params.gone | default(3) == 3 }}", "true" },
		/* filters bind closest, then comparisons, not, and, or */
		{ "{{ ds | add_days(1) == '2026-11-20' and 'a' | upper == 'A' }}", "true" },
		{ "{{ not 1 == 2 }}", "true" },
		{ "{{ not not params.yes }}", "true" },
		{ "{{ not false and false }}", "false" },
		{ "{{ not (false and false) }}", "true" },
		{ "{{ true or false and false }}", "true" },
		{ "{{ (true or false) and false }}", "false" },
		{ "{{ (1 == 1) == true }}", "true" },
		{ "{{ (params.n | add(1)) == 4 }}", "true" },
		{ "{{ (1 == 2 or 'x' == 'x') | string | upper }}", "TRUE" },
		/* what is decided is not looked at */
		{ "{{ true or env.NO == 1 }}", "true" },
		{ "{{ false and env.NO == 1 }}", "false" },
		{ "{{ 'true' and not 'false' }}", "true" },
		{ "{{ params.nothing or true }}", "true" },
		{ "{{ params.region and true }}", "!params.region: neither true nor false" },
		{ "{{ 1 or true }}", "!1: neither true nor false, but the integer 1" },
		{ "{{ not env.NO }}", "!default(false)" },
		{ "{{ nothing_of_this == 1 }}", "!unknown name" },
		{ "{{ (((((((((((((((1))))))))))))))) }}", "1" },
		{ "{{ (((((((((((((((((1))))))))))))))))) }}", "!at most 16 deep" },
	};

	(void)state;
	CHECK_PAIRS(pairs);
}

static void test_truth(void **state)
{
	static const struct {
		const char *json;
		int truth; /* -1: neither */
	} cases[] = { { "true", 1 }, { "false", 0 }, { "null", 0 }, { "\"true\"", 1 },
		{ "\"false\"", 0 }, { "\"\"", -1 }, { "\"yes\"", -1 }, { "1", -1 }, { "0", -1 },
		{ "[]", -1 }, { "{}", -1 } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
		bool yes = false;
		int rc = template_truth(json, &yes, NULL);
		assert_int_equal(rc < 0 ? -1 : yes, cases[i].truth);
		json_decref(json);
	}
}

static void test_syntax_errors(void **state)
{
	static const struct {
		const char *text;
		size_t offset, width;
		const char *message;
	} cases[] = {
		{ "a {{ ds", 2, 2, "no \"}}\" closes this \"{{\"" },
		{ "a {{", 2, 2, "no \"}}\" closes" },
		{ "{{ ds }", 6, 1, "expected \"|\" or \"}}\", found \"}\"" },
		{ "{{ }}", 0, 5, "this expression is empty" },
		{ "{{}}", 0, 4, "empty" },
		{ "ok {{ ds ds }}", 9, 2, "found \"ds\"" },
		{ "{{ ds + 1 }}", 6, 1, "sums are made with a filter" },
		{ "{{ params['x'] }}", 9, 1, "joined with a dot" },
		{ "{{ params. }}", 10, 1, "expected a name behind the dot" },
		{ "{{ params.1 }}", 10, 1, "expected a name behind the dot" },
		{ "{{ ds | }}", 8, 1, "expected the name of a filter" },
		{ "{{ ds | | upper }}", 8, 1, "expected the name of a filter" },
		{ "{{ | upper }}", 3, 1, "expected a name or a literal" },
		{ "{{ ds | add_days( }}", 18, 1, "expected an argument" },
		{ "{{ ds | add_days(1 }}", 19, 1, "expected \",\" or \")\"" },
		{ "{{ ds | add_days(1,) }}", 19, 1, "expected an argument" },
		{ "{{ ds | replace(1,2,3,4,5) }}", 24, 1, "no filter takes more than 4" },
		{ "{{ \"abc }}", 3, 1, "no \" closes this string" },
		{ "{{ 'abc }}", 3, 1, "no ' closes this string" },
		{ "{{ \"a\\", 3, 1, "closes this string" },
		{ "{{ \"a\\q\" }}", 5, 2, "unknown escape \"\\q\"" },
		{ "{{ 007 }}", 3, 3, "no leading zero" },
		{ "{{ 1x }}", 3, 2, "\"1x\" is no number" },
		{ "{{ 1. }}", 3, 2, "is no number" },
		{ "{{ 1.2.3 }}", 3, 5, "is no number" },
		{ "{{ 1e }}", 3, 2, "is no number" },
		{ "{{ - }}", 3, 1, "expected a name or a literal" },
		{ "{{ 9223372036854775808 }}", 3, 19, "too large or too small" },
		{ "{{ 1e999 }}", 3, 5, "too large" },
		{ "{{ {{ ds }} }}", 3, 1, "expected a name or a literal, found \"{\"" },
		{ "{{- ds -}}", 2, 1, "expected a name or a literal" },
		{ "{{ d\xc3\xa9 }}", 4, 2, "expected \"|\"" },
		{ "{{ ds = 1 }}", 6, 1, "asked for with ==" },
		{ "{{ ds && 1 }}", 6, 1, "the words and, or, not" },
		{ "{{ !ds }}", 3, 1, "the words and, or, not" },
		{ "{{ ds and }}", 10, 1, "expected a name or a literal" },
		{ "{{ ds == }}", 9, 1, "expected a name or a literal" },
		{ "{{ 1 < 2 < 3 }}", 9, 1, "expected" },
		{ "{{ (ds }}", 7, 1, "a comparison or \")\"" },
		{ "{{ ds) }}", 5, 1, "expected" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct err err = { 0 };
		size_t offset = 999, width = 999;
		struct template *t = template_parse(cases[i].text, &offset, &width, &err);
		if (t || offset != cases[i].offset || width != cases[i].width ||
			!strstr(err.msg, cases[i].message))
			fail_msg("%s: %zu+%zu: %s", cases[i].text, offset, width, err.msg);
		assert_null(template_parse(cases[i].text, NULL, NULL, NULL));
	}
}

static void test_length_limit(void **state)
{
	char text[2 * TEMPLATE_EXPR_MAX];
	struct err err = { 0 };
	size_t offset;
	struct template *t;

	(void)state;
	for (int over = 0; over < 2; over++) {
		memset(text, ' ', sizeof text);
		memcpy(text, "{{ ds", 5);
		memcpy(text + TEMPLATE_EXPR_MAX - 2 + over, "}} tail", 8);
		t = template_parse(text, &offset, NULL, &err);
		assert_int_equal(!t, over);
		template_free(t);
	}
	assert_int_equal(offset, 0);
	assert_non_null(strstr(err.msg, "4096"));
}

static void test_filters_by_their_examples(void **state)
{
	size_t n;
	const struct template_filter *filters = template_filters(&n);
	char text[200];

	(void)state;
	assert_int_equal(n, 38);
	for (size_t i = 0; i < n; i++) {
		snprintf(text, sizeof text, "{{ %s }}", filters[i].example);
		check_render(text, filters[i].result);
		assert_non_null(strstr(filters[i].example, filters[i].name));
	}
}

static void test_time_filters(void **state)
{
	static const struct pair pairs[] = {
		{ "{{ ds | add_days(0) }}", "2026-11-19" },
		{ "{{ ds | add_days(12) }}", "2026-12-01" },
		{ "{{ ds | add_days(params.n) }}", "2026-11-22" },
		{ "{{ params.day | add_days(-1) }}", "2026-02-28" },
		{ "{{ \"2024-03-01\" | add_days(-1) }}", "2024-02-29" },
		{ "{{ now | add_days(1) }}", "2026-11-21T02:00:00.500000+01:00" },
		{ "{{ \"2026-11-19T10:00\" | add_hours(1) }}", "2026-11-19T11:00:00+01:00" },
		{ "{{ \"2026-11-19T10:00Z\" | add_hours(-1) }}", "2026-11-19T10:00:00+01:00" },
		{ "{{ ds | add_minutes(90) }}", "2026-11-19T01:30:00+01:00" },
		{ "{{ \"2026-03-31\" | add_months(-1) }}", "2026-02-28" },
		{ "{{ \"2024-02-29\" | add_months(12) }}", "2025-02-28" },
		{ "{{ now | add_months(3) }}", "2027-02-20T02:00:00.500000+01:00" },
		{ "{{ ds | start_of_day }}", "2026-11-19" },
		{ "{{ \"2026-11-15\" | start_of_week }}", "2026-11-09" },
		{ "{{ \"2026-11-16\" | start_of_week }}", "2026-11-16" },
		{ "{{ now | start_of_week }}", "2026-11-16T00:00:00+01:00" },
		{ "{{ now | start_of_month }}", "2026-11-01T00:00:00+01:00" },
		{ "{{ now | start_of_year }}", "2026-01-01T00:00:00+01:00" },
		{ "{{ \"2024-02-01\" | end_of_month }}", "2024-02-29" },
		{ "{{ now | end_of_month }}", "2026-11-30" },
		{ "{{ now | strftime(\"%Y-%m-%d %H:%M:%S %z\") }}", "2026-11-20 02:00:00 +0100" },
		{ "{{ ds | strftime(\"%j %a %H %s\") }}", "323 Thu 00 1795042800" },
		{ "{{ ds | strftime(\"\") }}", "" },
		{ "{{ now | utc }}", "2026-11-20T01:00:00.500000Z" },
		{ "{{ now | utc | start_of_day }}", "2026-11-20T00:00:00Z" },
		{ "{{ ds | utc }}", "2026-11-18T23:00:00Z" },
		{ "{{ ds | utc | date }}", "2026-11-18" },
		{ "{{ data_interval_start | in_zone(\"UTC\") | date }}", "2026-11-18" },
		{ "{{ now | utc | in_zone(\"Europe/Berlin\") }}",
			"2026-11-20T02:00:00.500000+01:00" },
		{ "{{ now | in_zone(\"-0300\") | strftime(\"%F %R\") }}", "2026-11-19 22:00" },
		{ "{{ ds | epoch }}", "1795042800" },
		{ "{{ \"1969-12-31T23:59:59.5Z\" | epoch }}", "-1" },
		/* Errors name the filter and what it got. */
		{ "{{ \"abc\" | strftime(\"%Y\") }}",
			"!{{ \"abc\" | strftime(\"%Y\") }}: strftime: needs a date, got the string "
			"\"abc\"" },
		{ "{{ \"2026-02-30\" | add_days(1) }}", "!add_days: needs a date, got the string" },
		{ "{{ 5 | date }}", "!date: needs a date, got the integer 5" },
		{ "{{ params.list | epoch }}", "!epoch: needs a date, got a list" },
		{ "{{ true | utc }}", "!got the boolean true" },
		{ "{{ ds | add_days(\"1\") }}",
			"!add_days: argument 1 must be an integer, got the string \"1\"" },
		{ "{{ ds | add_days(env.NO) }}", "!argument 1 must be an integer, got nothing" },
		{ "{{ ds | add_days(params.nothing) }}", "!got null" },
		{ "{{ ds | add_days }}",
			"!add_days: 0 arguments given; it is used as add_days(n)" },
		{ "{{ ds | add_days(1,2) }}", "!2 arguments given" },
		{ "{{ ds | utc(1) }}", "!1 arguments given" },
		{ "{{ ds | add_days(9223372036854775807) }}", "!out of the years 0 to 9999" },
		{ "{{ ds | add_days(3650000) }}", "!outside of the years 0 to 9999" },
		{ "{{ ds | add_days(-3650000) }}", "!outside of the years" },
		{ "{{ ds | add_hours(-9223372036854775807) }}", "!out of the years" },
		{ "{{ ds | add_hours(87000000) }}", "!outside of the years" },
		{ "{{ ds | add_minutes(9223372036854775807) }}", "!out of the years" },
		{ "{{ ds | add_months(2147483648) }}", "!out of the years" },
		{ "{{ ds | add_months(100000) }}", "!outside of the years" },
		{ "{{ ds | strftime(\"%Q\") }}", "!strftime: " },
		{ "{{ now | in_zone(\"../../etc/passwd\") }}", "!in_zone: " },
		{ "{{ now | in_zone(\"Europe/Atlantis\") }}", "!in_zone: " },
		{ "{{ now | in_zone(5) }}",
			"!in_zone: argument 1 must be a string, got the integer 5" },
	};

	(void)state;
	CHECK_PAIRS(pairs);
}

/* The zone of a real schedule, across its changes of the clock. */
static void test_daylight_saving(void **state)
{
	static const struct {
		const char *start, *text, *expected;
	} cases[] = {
		/* The clock goes from 02:00 to 03:00 on 2026-03-29, back from 03:00 on 2026-10-25.
		 */
		{ "2026-03-28T00:00:00+01:00", "{{ ds | add_days(1) }}", "2026-03-29" },
		{ "2026-03-28T12:00:00+01:00", "{{ data_interval_start | add_days(1) }}",
			"2026-03-29T12:00:00+02:00" },
		{ "2026-03-28T12:00:00+01:00", "{{ data_interval_start | add_hours(24) }}",
			"2026-03-29T13:00:00+02:00" },
		{ "2026-03-28T02:30:00+01:00", "{{ data_interval_start | add_days(1) }}",
			"2026-03-29T03:00:00+02:00" },
		{ "2026-10-24T02:30:00+02:00", "{{ data_interval_start | add_days(1) }}",
			"2026-10-25T02:30:00+02:00" },
		{ "2026-10-26T02:30:00+01:00", "{{ data_interval_start | add_days(-1) }}",
			"2026-10-25T02:30:00+01:00" },
		{ "2026-10-25T00:00:00+02:00", "{{ ds | add_hours(24) }}",
			"2026-10-25T23:00:00+01:00" },
		{ "2026-07-01T00:00:00+02:00", "{{ ds | utc }}", "2026-06-30T22:00:00Z" },
		{ "2026-07-01T12:00:00+02:00", "{{ data_interval_start | start_of_year }}",
			"2026-01-01T00:00:00+01:00" },
		{ "2026-07-01T12:00:00+02:00", "{{ data_interval_start | add_months(-6) }}",
			"2026-01-01T12:00:00+01:00" },
		{ "2026-07-01T12:00:00+02:00", "{{ ds | strftime(\"%Z %z\") }}", "CEST +0200" },
		{ "2026-07-01T00:00:00+02:00",
			"{{ data_interval_start | in_zone(\"America/New_York\") }}",
			"2026-06-30T18:00:00-04:00" },
		{ "2026-07-01T00:00:00+02:00",
			"{{ data_interval_start | in_zone(\"America/New_York\") | add_days(1) | "
			"utc }}",
			"2026-07-01T22:00:00Z" },
	};
	struct zone *zone;

	(void)state;
	if (zone_open("Europe/Berlin", zonefile_read, &zone, NULL) < 0) {
		print_message("# skipped: this machine has no time zones\n");
		skip();
	}
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct template_context ctx = context();
		struct buf out;
		struct err err = { 0 };
		ctx.zone = zone;
		ctx.interval_start_us = times_us(cases[i].start);
		buf_init(&out, 1000);
		template_text(cases[i].text, &ctx, &out, &err);
		if (strcmp(out.data, cases[i].expected) != 0)
			fail_msg("%s %s: %s%s", cases[i].start, cases[i].text, out.data, err.msg);
		buf_release(&out);
	}
	zone_free(zone);
}

static void test_text_filters(void **state)
{
	static const struct pair pairs[] = {
		{ "{{ \"aßZ1\" | upper }}", "AßZ1" },
		{ "{{ true | upper }}", "TRUE" },
		{ "{{ \" \\t\\n\" | trim }}", "" },
		{ "{{ \"aaa\" | replace(\"a\", \"bb\") }}", "bbbbbb" },
		{ "{{ \"aXbX\" | replace(\"X\", \"\") }}", "ab" },
		{ "{{ \"\" | replace(\"X\", \"y\") }}", "" },
		{ "{{ \"a\" | replace(\"\", \"y\") }}", "!replace: the text to replace is empty" },
		{ "{{ \"a,,b\" | split(\",\") | json }}", "[\"a\",\"\",\"b\"]" },
		{ "{{ \"\" | split(\",\") | json }}", "[\"\"]" },
		{ "{{ \"a\" | split(\"\") }}", "!split: the separator is empty" },
		{ "{{ params.list | join(\"-\") }}", "a-b'c-3" },
		{ "{{ params.empty | join(\"-\") }}", "" },
		{ "{{ params.lists | join(\"-\") }}", "!join: item 1 of the list: it is a list" },
		{ "{{ \"a\" | join(\",\") }}", "!join: needs a list, got the string \"a\"" },
		{ "{{ params.lists | first | last }}", "1" },
		{ "{{ params.empty | first }}", "!no value" },
		{ "{{ params.empty | last | default(\"-\") }}", "-" },
		{ "{{ \"äöü\" | length }} {{ params.list | length }} {{ params.map | length }}",
			"3 3 1" },
		{ "{{ 5 | length }}",
			"!length: needs a string or a list or a mapping, got the integer 5" },
		{ "{{ \" 7\" | int }}", "!int: the string \" 7\" is not an integer" },
		{ "{{ \"-7\" | int }} {{ 2.9 | int }} {{ -2.9 | int }} {{ true | int }}",
			"-7 2 -2 1" },
		{ "{{ \"9223372036854775808\" | int }}", "!is not an integer that fits" },
		{ "{{ 1e30 | int }}", "!is not an integer that fits" },
		{ "{{ \"\" | int }}", "!int: the string \"\" is not" },
		{ "{{ \"0x10\" | int }}", "!int" },
		{ "{{ \"1e3\" | float }} {{ 2 | float }}", "1000.0 2.0" },
		{ "{{ \"nan\" | float }}", "!float" },
		{ "{{ \"1e999\" | float }}", "!float" },
		{ "{{ \"0x1p3\" | float }}", "!float" },
		{ "{{ 1 | add(2.5) }}", "3.5" },
		{ "{{ 9223372036854775807 | add(1) }}", "!add: the sum is too large" },
		{ "{{ 1e308 | add(1e308) }}", "!add: the sum is too large" },
		{ "{{ \"1\" | add(1) }}", "!add: needs a number, got the string \"1\"" },
		{ "{{ params.map | json }}", "{\"inner\":{\"x\":7}}" },
		{ "{{ ds | json }} {{ null | json }} {{ 1.5 | json }}", "\"2026-11-19\" null 1.5" },
		{ "{{ env.NO | json }}", "!json: it has no value here" },
		{ "{{ \"a\\\"b\" | json }}", "\"a\\\"b\"" },
		{ "{{ \"\" | sh }} {{ \"a b\" | sh }} {{ params.list | sh }} {{ 5 | sh }}",
			"'' 'a b' 'a' 'b'\\''c' '3' '5'" },
		{ "{{ \"$(rm -rf /)`x`\\\\\" | sh }}", "'$(rm -rf /)`x`\\'" },
		{ "{{ \"'; drop\" | sql }}", "'''; drop'" },
		{ "{{ 5 | sql }} {{ -5 | sql }} {{ -1.5 | sql }} {{ true | sql }} {{ null | sql }}",
			"5 (-5) (-1.5) TRUE NULL" },
		{ "{{ params.list | sql }}", "'a', 'b''c', 3" },
		{ "{{ params.empty | sql }}", "!sql: the list is empty" },
		{ "{{ ds | sql }}", "'2026-11-19'" },
		{ "{{ \"a\\\"b\" | ident }}", "\"a\"\"b\"" },
		{ "{{ params.list | ident }}", "\"a\", \"b'c\", \"3\"" },
		{ "{{ \"\" | ident }}", "!ident: an empty name" },
		{ "{{ \"a'b\" | raw }}", "a'b" },
		{ "{{ \"/\" | basename }}|{{ \"\" | basename }}|{{ \"a/b//\" | basename }}",
			"/||b" },
		{ "{{ \"/\" | dirname }}|{{ \"a\" | dirname }}|{{ \"/a\" | dirname }}", "/|.|/" },
		{ "{{ \"a//b/\" | dirname }}|{{ \"a/b/c\" | dirname }}", "a|a/b" },
		{ "{{ \"ä/~\" | urlencode }}", "%C3%A4%2F~" },
		{ "{{ params.region | default(\"x\") }}", "eu" },
		{ "{{ env.NO | default(params.region) }}", "eu" },
		{ "{{ env.NO | default(null) }}", "!it is null" },
		{ "{{ env.NO | default(env.NO) }}", "!no value" },
		{ "{{ params.map | upper }}", "!upper: needs a single value, got a mapping" },
	};

	(void)state;
	CHECK_PAIRS(pairs);
}

/* No input makes a rendering larger than memory allows. */
static void test_bounds(void **state)
{
	struct template_context ctx = context();
	struct err err = { 0 };
	struct buf text, out;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_addstr(&text, "{{ \"a\"");
	while (text.len < 4000)
		buf_addstr(&text, "|replace(\"a\",\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\")");
	buf_addstr(&text, "}}");
	buf_init(&out, 100);
	assert_int_equal(template_text(text.data, &ctx, &out, &err), -1);
	assert_int_equal(err.code, ERR_NOMEM);
	buf_clear(&out);
	assert_int_equal(template_text("{{ \"0123456789\" }}{{ ds }}", &ctx, &out, &err), 0);
	buf_release(&out);
	buf_init(&out, 15);
	assert_int_equal(template_text("{{ \"0123456789\" }}{{ ds }}", &ctx, &out, &err), -1);
	assert_int_equal(err.code, ERR_NOMEM);
	buf_release(&out);
	buf_release(&text);
}

static const char *const scope_params[] = { "region", "n", NULL };
static const char *const scope_upstream[] = { "load", "clean_orders", NULL };
static const char *const scope_tasks[] = { "load", "clean_orders", "report", "orders", NULL };
static const struct template_scope full_scope = { scope_params, scope_upstream, scope_tasks, true,
	true, false, NULL, false, NULL, false, NULL, 0 };

/* The first diagnostic of text as an SQL file: its line and column are exact. */
static void check_check(
	const struct template_scope *scope, const char *text, int col, const char *message)
{
	struct diags diags;
	struct node node = {
		.type = NODE_STRING, .text = text, .len = strlen(text), .line = 1, .col = 1
	};

	struct template_scope as_sql = *scope;
	as_sql.sql = true;
	diags_init(&diags);
	size_t n = template_check(text, &as_sql, &node, "q.sql", &diags);
	assert_int_equal(n, diags.nerrors);
	if (!message) {
		if (n)
			fail_msg("%s: %s", text, diags.list[0].message);
	} else if (n == 0 || diags.list[0].col != col || !strstr(diags.list[0].message, message)) {
		fail_msg("%s: %d: %s\n  expected %d: %s", text, n ? diags.list[0].col : 0,
			n ? diags.list[0].message : "(no error)", col, message);
	}
	diags_release(&diags);
}

static void test_check(void **state)
{
	static const struct {
		const char *text;
		int col;
		const char *message;
	} cases[] = {
		{ "no template }}", 0, NULL },
		{ "{{ ds | add_days(-7) | strftime(\"%Y/%m\") }}", 0, NULL },
		{ "{{ params.region }} {{ params.n | add(1) }} {{ env.X | default(\"\") }}", 0,
			NULL },
		{ "{{ tasks.load.outputs.rows }} {{ tasks.clean_orders.outputs.a.b }}", 0, NULL },
		{ "{{ params.regoin }}", 4, "unknown param \"regoin\"; did you mean \"region\"?" },
		{ "{{ params.zzzzzz }}", 4, "unknown param \"zzzzzz\"; there are: region, n" },
		{ "{{ params }}", 4, "\"params\" alone is no value; write params.NAME" },
		{ "{{ tasks }}", 4, "\"tasks\" alone is no value; write tasks.TASK.outputs.NAME" },
		{ "{{ param.region }}", 4, "did you mean \"params.NAME\"?" },
		{ "{{ task.load.outputs.rows }}", 4, "did you mean \"tasks.TASK.outputs.NAME\"?" },
		{ "{{ data_interval_strat }}", 4, "did you mean \"data_interval_start\"?" },
		{ "{{ run.idd }}", 4, "did you mean \"run.id\"?" },
		{ "{{ dss }}", 4, "did you mean \"ds\"?" },
		{ "{{ execution_date_of_airflow }}", 4,
			"unknown name \"execution_date_of_airflow\"; "
			"there are: ds, ds_nodash" },
		{ "{{ tasks.report.outputs.rows }}", 4,
			"report is not upstream of this task; add it to needs" },
		{ "{{ tasks.laod.outputs.rows }}", 4,
			"unknown task \"laod\"; did you mean \"load\"?" },
		{ "{{ tasks.load.rows }}", 4, "write tasks.load.outputs.rows" },
		{ "{{ tasks.load }}", 4, "write tasks.load.outputs.NAME" },
		{ "{{ ds | add_day(1) }}", 9,
			"unknown filter \"add_day\"; did you mean \"add_days\"?" },
		{ "{{ ds | qqqqqqqqq }}", 9, "unknown filter \"qqqqqqqqq\"; there are: add_days" },
		{ "{{ ds | add_days }}", 9,
			"add_days takes 1 argument, not 0; it is used as add_days(n)" },
		{ "{{ ds | replace(\"a\") }}", 9, "replace takes 2 arguments, not 1" },
		{ "{{ ds | utc(1) }}", 9, "utc takes 0 arguments, not 1" },
		{ "{{ ds | add_days(\"1\") }}", 18,
			"add_days: argument 1 must be an integer, got the string \"1\"" },
		{ "{{ ds | add_days(run.id) }}", 18,
			"argument 1 must be an integer, got a string" },
		{ "{{ ds | add_days(params.no) }}", 18, "unknown param \"no\"" },
		{ "{{ ds | add_days(nope) }}", 18, "unknown name \"nope\"" },
		{ "{{ ds | strftime(\"%Q\") }}", 18, "strftime: " },
		{ "{{ ds | in_zone(\"Nowhere\") }}", 17, "in_zone: " },
		{ "{{ task.try | add_days(1) }}", 15, "add_days: needs a date, got an integer" },
		{ "{{ ds | length }}", 9,
			"length: needs a string or a list or a mapping, got a date" },
		{ "{{ 5 | strftime(\"%Y\") }}", 8, "strftime: needs a date, got an integer" },
		{ "{{ ds", 1, "no \"}}\" closes" },
		{ "é {{ nope }}", 6, "unknown name" },
		{ "-- {{ nope }} {{ x", 0, NULL },
		{ "SELECT {{ ds }}, '{{ ds }}', \"{{ ds }}\", {{ ds | ident }}.x", 0, NULL },
		{ "SELECT t_{{ ds }}", 10, "belongs to the same word" },
		{ "SELECT E'{{ ds }}'", 10, "so no value can be put there safely" },
		{ "SELECT '{{ ds | sql }}'", 9, "the filter sql adds quotes" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		check_check(&full_scope, cases[i].text, cases[i].col, cases[i].message);
}

static void test_check_scopes(void **state)
{
	static const struct template_scope dag = { .has_interval = true }, bare = { 0 };

	(void)state;
	check_check(&dag, "{{ params.x }}", 4, "this DAG has no params");
	check_check(&dag, "{{ task.try }}", 4, "task.try exists only inside a task");
	check_check(&dag, "{{ tasks.x.outputs.y }}", 4, "exists only inside a task");
	check_check(&dag, "{{ ds }} {{ dag.name }} {{ run.id }}", 0, NULL);
	check_check(&bare, "{{ ds }}", 4, "ds exists only in a run");
	check_check(&bare, "{{ run.id }}", 4, "run.id exists only in a run");
	check_check(&bare, "{{ env.X }} {{ dag.name }} {{ now }}", 0, NULL);
	check_check(&full_scope, "{{ item }}", 4, "item exists only in a task with foreach");
	check_check(&full_scope, "{{ item.path }}", 4, "item exists only in a task with foreach");
	struct template_scope mapped = full_scope;
	mapped.has_item = true;
	check_check(&mapped, "{{ item }} {{ item.path }} {{ item | add_days(1) }}", 0, NULL);
}

static void test_can_be_list(void **state)
{
	static const struct {
		const char *text;
		bool can;
	} rows[] = {
		{ "{{ tasks.load.outputs.x }}", true },
		{ "{{ tasks.load.outputs.x | compact }}", true },
		{ "{{ params.region | split(',') }}", true },
		{ "{{ (tasks.load.outputs.x) }}", true },
		{ "{{ tasks.load.outputs.x | default('') }}", true },
		{ "{{ item.parts }}", true },
		{ "{{ params.region }}", false },
		{ "{{ env.X }}", false },
		{ "{{ ds }}", false },
		{ "{{ 'a' }}", false },
		{ "{{ ds == '2026' }}", false },
		{ "{{ (ds == '2026') }}", false },
		{ "{{ tasks.load.outputs.x | join(',') }}", false },
		{ "x{{ tasks.load.outputs.x }}", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct template *t = template_parse(rows[i].text, NULL, NULL, NULL);
		assert_non_null(t);
		if (template_can_be_list(t) != rows[i].can)
			fail_msg("%s", rows[i].text);
		template_free(t);
	}
}

/* All errors of a text, at their lines. */
static void test_check_reports_all(void **state)
{
	static const char text[] = "SELECT {{ nope }},\n  {{ ds | nada }},\n\n'{{ params.m }}'";
	static const int places[][2] = { { 1, 11 }, { 2, 11 }, { 4, 5 } };
	struct node node = { .type = NODE_STRING, .text = text, .len = strlen(text) };
	struct diags diags;

	(void)state;
	diags_init(&diags);
	assert_int_equal(template_check(text, &full_scope, &node, "q.sql", &diags), 3);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(diags.list[i].file, "q.sql");
		assert_int_equal(diags.list[i].line, places[i][0]);
		assert_int_equal(diags.list[i].col, places[i][1]);
	}
	diags_release(&diags);
}

/* Many errors in a large text: all counted, soon. */
static void test_check_of_a_large_text(void **state)
{
	struct node node = { .type = NODE_STRING };
	struct diags diags;
	struct buf text;

	(void)state;
	buf_init(&text, BUF_MAX_TEXT);
	for (int i = 0; i < 100000; i++)
		buf_addstr(&text, "{{ x }} ");
	for (int i = 0; i < 2; i++) {
		diags_init(&diags);
		node.text = text.data;
		node.len = text.len;
		assert_int_equal(
			template_check(text.data, &full_scope, &node, i ? "q.sql" : NULL, &diags),
			100000);
		assert_int_equal(diags.nerrors, 100000);
		assert_int_equal(diags.n, DIAG_MAX);
		diags_release(&diags);
	}
	buf_release(&text);
}

/* In a scalar of a DAG file, which diag_inside maps back. */
static void test_check_in_a_node(void **state)
{
	static const char yaml[] = "path: \"out/{{ dss }}/x\"\n";
	struct source source = { "dags/x.yaml", yaml, sizeof yaml - 1 };
	struct node node = { .type = NODE_STRING,
		.quoted = true,
		.line = 1,
		.col = 7,
		.source = &source,
		.text = "out/{{ dss }}/x",
		.len = 15 };
	struct diags diags;

	(void)state;
	diags_init(&diags);
	assert_int_equal(template_check(node.text, &full_scope, &node, NULL, &diags), 1);
	assert_string_equal(diags.list[0].file, "dags/x.yaml");
	assert_int_equal(diags.list[0].line, 1);
	assert_int_equal(diags.list[0].col, 15);
	assert_int_equal(diags.list[0].width, 3);
	diags_release(&diags);
}

static void test_reference(void **state)
{
	size_t n;
	const struct template_filter *filters = template_filters(&n);
	struct buf text, mdoc;

	(void)state;
	buf_init(&text, BUF_MAX_TEXT);
	buf_init(&mdoc, BUF_MAX_TEXT);
	template_print_text(&text);
	template_print_mdoc(&mdoc);
	for (size_t i = 0; i < n; i++) {
		assert_non_null(strstr(text.data, filters[i].usage));
		assert_non_null(strstr(mdoc.data, filters[i].usage));
	}
	assert_non_null(strstr(text.data, "tasks.TASK.outputs.NAME"));
	assert_non_null(strstr(mdoc.data, ".It Li \"tasks.TASK.outputs.NAME\"\n"));
	assert_null(strstr(mdoc.data, "\n\n"));
	for (const char *line = text.data; *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 100);
	buf_release(&text);
	buf_release(&mdoc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_item),
		cmocka_unit_test(test_list_filters),
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_comparisons),
		cmocka_unit_test(test_truth),
		cmocka_unit_test(test_syntax_errors),
		cmocka_unit_test(test_length_limit),
		cmocka_unit_test(test_filters_by_their_examples),
		cmocka_unit_test(test_time_filters),
		cmocka_unit_test(test_daylight_saving),
		cmocka_unit_test(test_text_filters),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_check_scopes),
		cmocka_unit_test(test_can_be_list),
		cmocka_unit_test(test_check_reports_all),
		cmocka_unit_test(test_check_in_a_node),
		cmocka_unit_test(test_check_of_a_large_text),
		cmocka_unit_test(test_reference),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
