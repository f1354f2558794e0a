/* Groups as one line: which tasks are of one, and the state that speaks for all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "cli/groupview.h"

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(groupview_prefix("orders"), 0);
	assert_int_equal(groupview_prefix("load.eu.orders"), 4);
	assert_true(groupview_same("load.eu.orders", "load.lines"));
	assert_false(groupview_same("load.orders", "loads.orders"));
	assert_false(groupview_same("loads.orders", "load.orders"));
	assert_false(groupview_same("orders", "orders"));
}

static const struct {
	enum task_state states[6];
	int n;
	enum task_state says;
	const char *counts;
} cases[] = {
	{ { TASK_SUCCESS, TASK_SUCCESS }, 2, TASK_SUCCESS, "2 success" },
	{ { TASK_SUCCESS, TASK_SKIPPED }, 2, TASK_SUCCESS, "1 success, 1 skipped" },
	{ { TASK_NONE, TASK_NONE }, 2, TASK_NONE, "2 waiting" },
	{ { TASK_SUCCESS, TASK_NONE }, 2, TASK_NONE, "1 waiting, 1 success" },
	{ { TASK_RUNNING, TASK_NONE, TASK_QUEUED }, 3, TASK_RUNNING,
		"1 waiting, 1 queued, 1 running" },
	{ { TASK_RUNNING, TASK_FAILED, TASK_SUCCESS }, 3, TASK_FAILED,
		"1 running, 1 success, 1 failed" },
	{ { TASK_UPSTREAM_FAILED, TASK_SUCCESS }, 2, TASK_UPSTREAM_FAILED,
		"1 success, 1 upstream_failed" },
};

static void test_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct group_tally g = { 0 };
		struct buf counts;
		for (int k = 0; k < cases[i].n; k++)
			groupview_count(&g, cases[i].states[k]);
		buf_init(&counts, BUF_MAX_TEXT);
		groupview_add_counts(&counts, &g);
		assert_int_equal(groupview_state(&g), cases[i].says);
		assert_string_equal(counts.data, cases[i].counts);
		buf_release(&counts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_states),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
