/* run/name.h: what people call tasks and instances. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "run/name.h"

static void test_label(void **state)
{
	char label[RUN_LABEL_MAX];

	(void)state;
	assert_string_equal(run_task_label("fetch", 3, label), "fetch[3]");
	assert_string_equal(run_task_label("fetch", 0, label), "fetch[0]");
	assert_string_equal(run_task_label("fetch", -1, label), "fetch");
}

static void test_split(void **state)
{
	static const struct {
		const char *label;
		bool good;
		size_t len;
		int index;
	} rows[] = {
		{ "fetch", true, 5, -1 },
		{ "fetch[0]", true, 5, 0 },
		{ "load.eu[99999]", true, 7, 99999 },
		{ "f[007]", true, 1, 7 },
		{ "f[100000]", false, 0, 0 },
		{ "f[99999999999999999999]", false, 0, 0 },
		{ "f[]", false, 0, 0 },
		{ "f[-1]", false, 0, 0 },
		{ "f[1", false, 0, 0 },
		{ "f[1]x", false, 0, 0 },
		{ "f[1][2]", false, 0, 0 },
		{ "f[ 1]", false, 0, 0 },
		{ "f[1.0]", false, 0, 0 },
		{ "", true, 0, -1 },
	};
	size_t len;
	int index;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (run_split_label(rows[i].label, &len, &index) != rows[i].good)
			fail_msg("%s", rows[i].label);
		if (!rows[i].good)
			continue;
		assert_int_equal(len, rows[i].len);
		assert_int_equal(index, rows[i].index);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_label),
		cmocka_unit_test(test_split),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
