/* Edit distance, and which suggestion is made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <limits.h>

#include <cmocka.h>

#include "base/near.h"

static void test_distance(void **state)
{
	static const struct {
		const char *a, *b;
		int distance;
	} cases[] = {
		{ "", "", 0 },
		{ "", "abc", 3 },
		{ "abc", "", 3 },
		{ "abc", "abc", 0 },
		{ "abc", "ABC", 0 },
		{ "abc", "acb", 1 },
		{ "abcd", "badc", 2 },
		{ "kitten", "sitting", 3 },
		{ "retrys", "retries", 2 },
		{ "ca", "abc", 3 },
	};
	char longest[66];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(near_distance(cases[i].a, cases[i].b), cases[i].distance);
		assert_int_equal(near_distance(cases[i].b, cases[i].a), cases[i].distance);
	}
	memset(longest, 'x', 65);
	longest[65] = '\0';
	assert_int_equal(near_distance(longest, "x"), INT_MAX);
	longest[64] = '\0';
	assert_int_equal(near_distance(longest, "x"), 63);
	assert_int_equal(near_distance(longest, longest), 0);
}

static void test_find(void **state)
{
	static const char *const names[] = { "retries", NULL, "timeout", "retry_on", "in" };
	static const struct {
		const char *word, *found;
	} cases[] = {
		{ "retrys", "retries" },
		{ "timeuot", "timeout" },
		{ "Timeout", "timeout" },
		{ "retryon", "retry_on" },
		{ "zzzzzz", NULL },
		{ "on", "in" },
		{ "ab", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *found = near_find(cases[i].word, names, 5);
		if (!found != !cases[i].found || (found && strcmp(found, cases[i].found) != 0))
			fail_msg("%s: %s", cases[i].word, found ? found : "nothing");
	}
	assert_null(near_find("retries", names, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_find),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
