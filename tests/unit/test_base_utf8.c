/* UTF-8: what is well formed, counting, and cleaning for display. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/utf8.h"

static void test_char(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		uint32_t c;
	} cases[] = {
		{ "a", 1, 'a' },
		{ "\x7f", 1, 0x7f },
		{ "\xc2\x80", 2, 0x80 },
		{ "\xdf\xbf", 2, 0x7ff },
		{ "\xe0\xa0\x80", 3, 0x800 },
		{ "\xef\xbf\xbf", 3, 0xffff },
		{ "\xf0\x90\x80\x80", 4, 0x10000 },
		{ "\xf4\x8f\xbf\xbf", 4, 0x10ffff },
		{ "\xf4\x90\x80\x80", 0, 0 },
		{ "\xf5\x80\x80\x80", 0, 0 },
		{ "\xc0\xaf", 0, 0 },
		{ "\xc1\xbf", 0, 0 },
		{ "\xe0\x9f\xbf", 0, 0 },
		{ "\xf0\x8f\xbf\xbf", 0, 0 },
		{ "\xed\xa0\x80", 0, 0 },
		{ "\xed\xbf\xbf", 0, 0 },
		{ "\x80", 0, 0 },
		{ "\xc3", 0, 0 },
		{ "\xc3 ", 0, 0 },
		{ "\xe2\x82", 0, 0 },
		{ "\xff", 0, 0 },
		{ "", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t c = 0;
		assert_int_equal(utf8_char(cases[i].text, strlen(cases[i].text), &c), cases[i].n);
		assert_int_equal(c, cases[i].c);
		assert_int_equal(utf8_char(cases[i].text, strlen(cases[i].text), NULL), cases[i].n);
	}
	assert_int_equal(utf8_char("", 1, NULL), 1);
}

static void test_count(void **state)
{
	(void)state;
	assert_int_equal(utf8_count("", 0), 0);
	assert_int_equal(utf8_count("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10), 4);
	assert_int_equal(utf8_count("\xff\xfe\xc3", 3), 3);
}

static void test_clean(void **state)
{
	char text[] = "a\n\t\r\x1b[1m\x7f\xc2\x9b\xff\xc3\xa9\xe2\x82";

	(void)state;
	utf8_clean(text, sizeof text - 1);
	assert_string_equal(text, "a   ?[1m????\xc3\xa9??");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_char),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_clean),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
