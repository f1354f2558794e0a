/* Trigger rules: counts to a verdict, against the rule said in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/trigger.h"

static const struct {
	int needs, success, failed, skipped;
	enum verdict verdict;
} cases[] = {
	{ 0, 0, 0, 0, VERDICT_RUN }, /* a root */
	{ 1, 0, 0, 0, VERDICT_WAIT },
	{ 1, 1, 0, 0, VERDICT_RUN },
	{ 1, 0, 1, 0, VERDICT_UPSTREAM_FAILED },
	{ 1, 0, 0, 1, VERDICT_SKIP },
	{ 3, 2, 0, 0, VERDICT_WAIT },
	{ 3, 3, 0, 0, VERDICT_RUN },
	{ 3, 0, 1, 0, VERDICT_UPSTREAM_FAILED }, /* it need not wait for the others */
	{ 3, 2, 1, 0, VERDICT_UPSTREAM_FAILED },
	{ 3, 0, 0, 1, VERDICT_SKIP },
	{ 3, 2, 0, 1, VERDICT_SKIP },
	{ 3, 1, 1, 1, VERDICT_UPSTREAM_FAILED }, /* a failure weighs more than a skip */
	{ 3, 0, 0, 3, VERDICT_SKIP },
	{ 3, 0, 3, 0, VERDICT_UPSTREAM_FAILED },
};

static void test_verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct trigger_counts c = { .needs = cases[i].needs,
			.success = cases[i].success,
			.failed = cases[i].failed,
			.skipped = cases[i].skipped };
		if (trigger_all_success(&c) != cases[i].verdict)
			fail_msg("case %zu", i);
	}
}

static void test_counts(void **state)
{
	static const struct {
		enum task_state final;
		int success, failed, skipped;
	} rows[] = {
		{ TASK_SUCCESS, 1, 0, 0 },
		{ TASK_FAILED, 0, 1, 0 },
		{ TASK_UPSTREAM_FAILED, 0, 1, 0 },
		{ TASK_CANCELLED, 0, 1, 0 },
		{ TASK_SKIPPED, 0, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct trigger_counts c = { .needs = 4 };
		trigger_count(&c, rows[i].final);
		trigger_count(&c, rows[i].final);
		assert_int_equal(c.success, 2 * rows[i].success);
		assert_int_equal(c.failed, 2 * rows[i].failed);
		assert_int_equal(c.skipped, 2 * rows[i].skipped);
		assert_int_equal(c.needs, 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_counts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
