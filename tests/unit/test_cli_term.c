/* Text that fits the terminal, tables, times. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "cli/grid.h"
#include "cli/term.h"
#include "cli/when.h"

#define DOTS "\xe2\x80\xa6"

static const struct {
	const char *text;
	int width;         /* given */
	const char *shown; /* in a UTF-8 locale */
	int columns;       /* used */
} add_cases[] = {
	{ "plain", -1, "plain", 5 },
	{ "plain", 5, "plain", 5 },
	{ "plain", 4, "pla" DOTS, 4 },
	{ "plain", 3, "pl" DOTS, 3 },
	{ "plain", 2, "pl", 2 },
	{ "plain", 0, "", 0 },
	{ "", 10, "", 0 },
	{ "a\tb\nc", -1, "a b c", 5 },
	{ "a\rb", -1, "ab", 2 },
	{ "bell\a", -1, "bell?", 5 },
	{ "\033[31mred\033[0m", -1, "red", 3 },
	{ "\033]0;title\atext", -1, "text", 4 },
	{ "\033]0;title\033\\text", -1, "text", 4 },
	{ "\033", -1, "", 0 },
	{ "\033[31", -1, "", 0 },
	{ "\033]0;never ends", -1, "", 0 },
	{ "\033(Bx", -1, "Bx", 2 },
	{ "caf\xc3\xa9", -1, "caf\xc3\xa9", 4 },
	{ "caf\xc3\xa9s", 4, "caf" DOTS, 4 },
	{ "\xe6\x97\xa5\xe6\x9c\xac", -1, "\xe6\x97\xa5\xe6\x9c\xac", 4 },
	{ "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4, "\xe6\x97\xa5" DOTS, 3 },
	{ "e\xcc\x81t\xc3\xa9", -1, "e\xcc\x81t\xc3\xa9", 3 },
	{ "bad \xff\xc0\x80 x", -1, "bad ??? x", 9 },
	{ "cut \xe6\x97", -1, "cut ??", 6 },
	{ "c1 \xc2\x9b"
	  "31m",
		-1, "c1 ?31m", 7 },
};

static void test_add(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_TEXT);
	for (size_t i = 0; i < sizeof add_cases / sizeof *add_cases; i++) {
		buf_clear(&b);
		int used = text_add(&b, add_cases[i].text, add_cases[i].width);
		assert_string_equal(b.data, add_cases[i].shown);
		assert_int_equal(used, add_cases[i].columns);
		if (add_cases[i].width < 0)
			assert_int_equal(text_width(add_cases[i].text), used);
	}
	buf_release(&b);
}

static void test_padded(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_TEXT);
	text_add_padded(&b, "ab", 4, false);
	text_add_padded(&b, "ab", 4, true);
	text_add_padded(&b, "abcdef", 4, false);
	assert_string_equal(b.data, "ab    ababc" DOTS);
	buf_release(&b);
}

static void test_wrap(void **state)
{
	static const struct {
		const char *text;
		int from, indent, width;
		const char *shown;
	} cases[] = {
		{ "a b c", 0, 0, 80, "a b c\n" },
		{ "aaa bbb ccc", 0, 2, 9, "  aaa bbb\n  ccc\n" },
		{ "aaa bbb ccc", 1, 2, 9, " aaa bbb\n  ccc\n" },
		{ "longerthanline x", 0, 0, 5, "longerthanline\nx\n" },
		{ "one\n\ntwo", 0, 0, 80, "one\n\ntwo\n" },
		{ "see:\n\n  $ x   y\n\nend", 0, 1, 80, " see:\n\n   $ x   y\n\n end\n" },
		{ "line one\nline two", 0, 0, 80, "line one line two\n" },
		{ "", 0, 0, 80, "" },
	};
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_TEXT);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		buf_clear(&b);
		text_wrap(&b, cases[i].text, cases[i].from, cases[i].indent, cases[i].width);
		assert_string_equal(b.data, cases[i].shown);
	}
	buf_release(&b);
}

static const struct grid_column columns[] = {
	{ "STATE", 0 },
	{ "NAME", GRID_FLEX },
	{ "ROWS", GRID_RIGHT },
	{ "EMPTY", 0 },
	{ "WHY", GRID_FLEX },
};

static void print_grid(int width, bool colour, struct buf *out)
{
	struct term t = { .out = stdout, .width = width, .tty = width > 0, .colour = colour };
	struct grid g;

	grid_init(&g, columns, 5);
	grid_add(&g, STYLE_GOOD, "success");
	grid_add(&g, STYLE_NONE, "caf\xc3\xa9");
	grid_addf(&g, STYLE_NONE, "%d", 12);
	grid_add(&g, STYLE_NONE, NULL);
	grid_add(&g, STYLE_NONE, "");
	grid_add(&g, STYLE_BAD, "failed");
	grid_add(&g, STYLE_NONE, "a_long_name_of_a_task");
	grid_addf(&g, STYLE_NONE, "%d", 1234);
	grid_add(&g, STYLE_NONE, "");
	grid_add(&g, STYLE_NONE, "the source was not there on time");
	buf_clear(out);
	grid_print(&g, &t, 0, out);
	grid_release(&g);
}

static void test_grid(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_TEXT);
	print_grid(0, false, &b);
	assert_string_equal(b.data,
		"STATE    NAME                   ROWS  WHY\n"
		"success  caf\xc3\xa9                     12\n"
		"failed   a_long_name_of_a_task  1234  the source was not there on time\n");
	print_grid(50, false, &b);
	assert_string_equal(b.data,
		"STATE    NAME              ROWS  WHY\n"
		"success  caf\xc3\xa9                12\n"
		"failed   a_long_name_of_" DOTS "  1234  the source was n" DOTS "\n");
	/* Too narrow for all that does not give way: cut at the edge. */
	print_grid(30, false, &b);
	for (char *line = strtok(b.data, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(text_width(line) <= 30);
	print_grid(0, true, &b);
	assert_non_null(strstr(b.data, "\033[32msuccess\033[0m  caf"));
	buf_release(&b);
}

static void test_colour(void **state)
{
	struct term t;

	(void)state;
	/* Output to a pipe or file: no colours, nothing is cut. */
	FILE *file = tmpfile();
	assert_non_null(file);
	term_init(&t, file, NULL);
	assert_false(t.colour);
	assert_false(t.tty);
	assert_int_equal(t.width, 0);
	assert_string_equal(style_on(STYLE_BAD, false), "");
	assert_string_equal(style_off(STYLE_BAD, false), "");
	assert_string_equal(style_off(STYLE_NONE, true), "");
	fclose(file);
}

#define NOON INT64_C(1795089600000000) /* 2026-11-19T12:00:00Z */

static void test_when(void **state)
{
	static const struct {
		int64_t ago_us;
		const char *relative;
	} cases[] = {
		{ 0, "just now" },
		{ 999999, "just now" },
		{ 1000000, "1s ago" },
		{ 59999999, "59s ago" },
		{ 60000000, "1m ago" },
		{ INT64_C(3600000000), "1h ago" },
		{ INT64_C(86399000000), "23h ago" },
		{ INT64_C(86400000000) * 400, "400d ago" },
		{ -20000000, "in 20s" },
		{ -INT64_C(86400000000), "in 1d" },
	};
	char text[WHEN_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_string_equal(
			when_ago(NOON - cases[i].ago_us, NOON, text), cases[i].relative);
	setenv("TZ", "UTC0", 1);
	tzset();
	assert_string_equal(when_local(NOON, text), "2026-11-19 12:00:00");
	assert_string_equal(when_local(0, text), "-");
	assert_string_equal(when_utc(NOON, text), "2026-11-19T12:00:00Z");
	assert_string_equal(when_utc(NOON + 250000, text), "2026-11-19T12:00:00.250000Z");
	assert_string_equal(when_utc_seconds(NOON + 250000, text), "2026-11-19T12:00:00Z");
	assert_string_equal(when_utc(-1, text), "1969-12-31T23:59:59.999999Z");
	assert_string_equal(when_short(NOON, NOON + 5, text), "12:00:00");
	assert_string_equal(when_short(NOON, NOON + 86400000000, text), "Nov 19 12:00");
	assert_string_equal(when_short(NOON, NOON + 86400000000 * 300, text), "2026-11-19");
	setenv("TZ", "CET-1", 1);
	tzset();
	assert_string_equal(when_local(NOON, text), "2026-11-19 13:00:00");
}

static void test_first_line(void **state)
{
	char text[8];

	(void)state;
	assert_string_equal(text_first_line("\n  one\ntwo", text, sizeof text), "one");
	assert_string_equal(text_first_line("", text, sizeof text), "");
	assert_string_equal(text_first_line("123456789", text, sizeof text), "1234567");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_padded),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_grid),
		cmocka_unit_test(test_colour),
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_first_line),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8")) {
		print_message("1..0 # SKIP no UTF-8 locale\n");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
