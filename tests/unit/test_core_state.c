/* States: every change of a task and of a run against a table written apart from the code, and
 * names that come back as what they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/state.h"

/* A row is where a task comes from, a column where it goes, both in the order of the enum:
 * y always, c only when cleared by request, r by request, because it or a need of it is tried
 * again, or what came of its needs alone holds no more, . never. What only a request brings about
 * has a matrix of its own. */
static const char *const task_matrix[] = {
	/*                 none sched queue runng defer input retry held  succ fail skip upst canc
	 */
	/* none        */ "c    y     y     y     y     y     .     y     .    y    y    y    y",
	/* scheduled   */ "c    .     y     y     y     y     .     y     .    y    y    y    y",
	/* queued      */ "c    .     .     y     y     y     .     y     .    y    y    y    y",
	/* running     */ ".    .     .     .     y     y     y     .     y    y    y    .    y",
	/* deferred    */ "c    y     y     y     .     .     .     .     y    y    y    y    y",
	/* awaiting    */ "c    .     y     y     .     .     .     .     y    y    y    .    y",
	/* retry       */ "c    .     y     y     y     y     .     y     .    y    y    .    y",
	/* held        */ "c    y     y     y     y     y     .     .     .    y    y    .    y",
	/* success     */ "r    .     .     .     d     .     .     .     .    .    .    .    .",
	/* failed      */ "r    .     .     .     d     .     .     .     .    .    .    .    .",
	/* skipped     */ "r    .     .     .     d     .     .     .     .    .    .    .    .",
	/* upstream    */ "r    .     .     .     d     .     .     .     .    .    .    .    .",
	/* cancelled   */ "r    .     .     .     d     .     .     .     .    .    .    .    .",
};

/* m when marked, s when skipped by request, o when its outputs are set. */
static const char *const request_matrix[] = {
	/*                 none sched queue runng defer input retry held  succ fail skip upst canc
	 */
	/* none        */ ".    .     .     .     .     .     .     .     m    m    ms   .    .",
	/* scheduled   */ ".    .     .     .     .     .     .     .     m    m    ms   .    .",
	/* queued      */ ".    .     .     .     .     .     .     .     m    m    ms   .    .",
	/* running     */ ".    .     .     .     .     .     .     .     .    .    .    .    .",
	/* deferred    */ ".    .     .     .     .     .     .     .     m    m    ms   .    .",
	/* awaiting    */ ".    .     .     .     .     .     .     .     m    m    ms   .    .",
	/* retry       */ ".    .     .     .     .     .     .     .     m    m    ms   .    .",
	/* held        */ ".    .     .     .     .     .     .     .     m    m    ms   .    .",
	/* success     */ ".    .     .     .     .     .     .     .     o    m    m    .    .",
	/* failed      */ ".    .     .     .     .     .     .     .     m    .    m    .    .",
	/* skipped     */ ".    .     .     .     .     .     .     .     m    m    .    .    .",
	/* upstream    */ ".    .     .     .     .     .     .     .     m    m    m    .    .",
	/* cancelled   */ ".    .     .     .     .     .     .     .     m    m    m    .    .",
};

static const char *const run_matrix[] = {
	/*               queue runng succ fail canc */
	/* queued    */ ".     y     y    y    y",
	/* running   */ "y     .     y    y    y",
	/* success   */ "y     y     .    .    .",
	/* failed    */ "y     y     .    .    .",
	/* cancelled */ "y     y     .    .    .",
};

/* The nth word of a row. */
static const char *word(const char *row, int n)
{
	for (row += strspn(row, " "); n > 0; n--) {
		row += strcspn(row, " ");
		row += strspn(row, " ");
	}
	return row;
}

static char mark(const char *row, int n)
{
	return *word(row, n);
}

static bool expected_by_request(const char *m, enum reason why)
{
	const char letter = why == REASON_MARKED ? 'm' : why == REASON_OUTPUTS_SET ? 'o' : 's';

	return memchr(m, letter, strcspn(m, " ")) != NULL;
}

static bool is_request(enum reason why)
{
	return why == REASON_MARKED || why == REASON_OUTPUTS_SET ||
	       why == REASON_SKIPPED_BY_REQUEST;
}

static bool expected(char m, enum reason why)
{
	switch (m) {
	case 'y':
		return true;
	case 'c':
		return why == REASON_CLEARED;
	case 'r':
		return why == REASON_CLEARED || why == REASON_RERUN_FAILED ||
		       why == REASON_NEEDS_AGAIN || why == REASON_SET_UP_AGAIN ||
		       why == REASON_NEEDS_CHANGED;
	case 'd':
		return why == REASON_MAPPED;
	default:
		return false;
	}
}

static void test_task_matrix(void **state)
{
	(void)state;
	for (int from = 0; from < TASK_STATE_MAX; from++)
		for (int to = 0; to < TASK_STATE_MAX; to++)
			for (int why = 0; why < REASON_MAX; why++) {
				bool want = is_request((enum reason)why)
						    ? expected_by_request(
							      word(request_matrix[from], to),
							      (enum reason)why)
						    : expected(mark(task_matrix[from], to),
							      (enum reason)why);
				bool got = state_task_may((enum task_state)from,
					(enum task_state)to, (enum reason)why);
				if (want != got)
					fail_msg("%s -> %s because %s: %d",
						task_state_name((enum task_state)from),
						task_state_name((enum task_state)to),
						reason_name((enum reason)why), got);
			}
}

static void test_run_matrix(void **state)
{
	(void)state;
	for (int from = 0; from < RUN_STATE_MAX; from++)
		for (int to = 0; to < RUN_STATE_MAX; to++) {
			bool got = state_run_may((enum run_state)from, (enum run_state)to);
			if (got != (mark(run_matrix[from], to) == 'y'))
				fail_msg("%s -> %s: %d", run_state_name((enum run_state)from),
					run_state_name((enum run_state)to), got);
		}
}

/* Nothing but a request leaves a final state, and something leaves each other one. */
static void test_finals(void **state)
{
	static const char *const finals = " success failed skipped upstream_failed cancelled ";
	char word[64];

	(void)state;
	for (int s = 0; s < TASK_STATE_MAX; s++) {
		bool leaves = false;
		snprintf(word, sizeof word, " %s ", task_state_name((enum task_state)s));
		assert_int_equal(
			task_state_is_final((enum task_state)s), strstr(finals, word) != NULL);
		for (int to = 0; to < TASK_STATE_MAX; to++)
			leaves |= state_task_may(
				(enum task_state)s, (enum task_state)to, REASON_STARTED);
		assert_int_equal(leaves, !task_state_is_final((enum task_state)s));
	}
	for (int s = 0; s < RUN_STATE_MAX; s++)
		assert_int_equal(run_state_is_final((enum run_state)s),
			s == RUN_SUCCESS || s == RUN_FAILED || s == RUN_CANCELLED);
}

/* The words that are stored and printed: changing one breaks the stores of users. */
static void test_words(void **state)
{
	static const char *const tasks[] = { "none", "scheduled", "queued", "running", "deferred",
		"awaiting_input", "up_for_retry", "held", "success", "failed", "skipped",
		"upstream_failed", "cancelled" };
	static const char *const runs[] = { "queued", "running", "success", "failed", "cancelled" };
	static const char *const outcomes[] = { "none", "success", "failed", "timeout", "skipped",
		"cancelled", "lost" };

	(void)state;
	assert_int_equal(sizeof tasks / sizeof *tasks, TASK_STATE_MAX);
	for (int i = 0; i < TASK_STATE_MAX; i++)
		assert_string_equal(task_state_name((enum task_state)i), tasks[i]);
	assert_int_equal(sizeof runs / sizeof *runs, RUN_STATE_MAX);
	for (int i = 0; i < RUN_STATE_MAX; i++)
		assert_string_equal(run_state_name((enum run_state)i), runs[i]);
	assert_int_equal(sizeof outcomes / sizeof *outcomes, OUTCOME_MAX);
	for (int i = 0; i < OUTCOME_MAX; i++)
		assert_string_equal(outcome_name((enum outcome)i), outcomes[i]);
}

static void test_round_trip(void **state)
{
	static const char *const strangers[] = { "", "Success", "success ", "succes",
		"up-for-retry" };

	(void)state;
	for (int i = 0; i < TASK_STATE_MAX; i++)
		assert_int_equal(task_state_by_name(task_state_name((enum task_state)i)), i);
	for (int i = 0; i < RUN_STATE_MAX; i++)
		assert_int_equal(run_state_by_name(run_state_name((enum run_state)i)), i);
	for (int i = 0; i < OUTCOME_MAX; i++)
		assert_int_equal(outcome_by_name(outcome_name((enum outcome)i)), i);
	for (int i = 0; i < REASON_MAX; i++) {
		assert_int_equal(reason_by_name(reason_name((enum reason)i)), i);
		/* Each says something, but for none. */
		assert_int_equal(reason_text((enum reason)i)[0] == '\0', i == REASON_NONE);
	}
	for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
		assert_int_equal(task_state_by_name(strangers[i]), -1);
		assert_int_equal(run_state_by_name(strangers[i]), -1);
		assert_int_equal(outcome_by_name(strangers[i]), -1);
		assert_int_equal(reason_by_name(strangers[i]), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_task_matrix),
		cmocka_unit_test(test_run_matrix),
		cmocka_unit_test(test_finals),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_round_trip),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
