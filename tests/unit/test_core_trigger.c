/* Trigger rules: each against its words, and against the verdicts that Airflow's own tests ask for
 * (the shared cases). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/trigger.h"
#include "tests/lib/cases.h"

#define W VERDICT_WAIT
#define R VERDICT_RUN
#define S VERDICT_SKIP
#define N VERDICT_UNMET
#define F VERDICT_UPSTREAM_FAILED

/* A row is a mix of needs in the order success, failed, upstream_failed, skipped, of so many; then
 * the verdicts in the order of the rules. */
static const struct {
	int needs, success, failed, upstream_failed, skipped;
	enum verdict verdict[TRIGGER_MAX];
} cases[] = {
	/*                a_s a_f a_d dm1 a_k o_s o_f o_d n_f nm1 n_k alw */
	{ 0, 0, 0, 0, 0, { R, R, R, R, R, R, R, R, R, R, R, R } }, /* a root */
	{ 1, 0, 0, 0, 0, { W, W, W, W, W, W, W, W, W, W, W, R } },
	{ 1, 1, 0, 0, 0, { R, N, R, R, N, R, N, R, R, R, R, R } },
	{ 1, 0, 1, 0, 0, { F, R, R, F, N, F, R, R, F, F, R, R } },
	{ 1, 0, 0, 1, 0, { F, R, R, F, N, F, R, N, F, F, R, R } },
	{ 1, 0, 0, 0, 1, { S, S, R, S, R, S, N, N, R, S, S, R } },
	/* not all are done: what is certain is said */
	{ 3, 1, 0, 0, 0, { W, N, W, W, N, R, W, R, W, W, W, R } },
	{ 3, 0, 1, 0, 0, { F, W, W, W, N, W, R, R, F, F, W, R } },
	{ 3, 0, 0, 1, 0, { F, W, W, W, N, W, R, W, F, F, W, R } },
	{ 3, 0, 0, 0, 1, { S, S, W, S, W, W, W, W, W, W, S, R } },
	{ 3, 0, 0, 0, 2, { S, S, W, S, W, W, W, W, W, W, S, R } },
	{ 3, 1, 1, 0, 0, { F, N, W, W, N, R, R, R, F, F, W, R } },
	{ 3, 1, 0, 0, 1, { S, N, W, S, N, R, W, R, W, W, S, R } },
	/* all are done */
	{ 3, 3, 0, 0, 0, { R, N, R, R, N, R, N, R, R, R, R, R } },
	{ 3, 0, 3, 0, 0, { F, R, R, F, N, F, R, R, F, F, R, R } },
	{ 3, 0, 0, 3, 0, { F, R, R, F, N, F, R, N, F, F, R, R } },
	{ 3, 0, 2, 1, 0, { F, R, R, F, N, F, R, R, F, F, R, R } },
	{ 3, 0, 0, 0, 3, { S, S, R, S, R, S, N, N, R, S, S, R } },
	{ 3, 1, 1, 0, 1, { F, N, R, S, N, R, R, R, F, F, S, R } },
	{ 3, 1, 0, 0, 2, { S, N, R, S, N, R, N, R, R, R, S, R } },
	{ 3, 0, 0, 1, 2, { F, S, R, S, N, F, R, N, F, F, S, R } },
	{ 3, 2, 0, 1, 0, { F, N, R, R, N, R, R, R, F, F, R, R } },
};

static void test_verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct trigger_counts c = { .needs = cases[i].needs,
			.success = cases[i].success,
			.failed = cases[i].failed,
			.upstream_failed = cases[i].upstream_failed,
			.skipped = cases[i].skipped };
		for (int rule = 0; rule < TRIGGER_MAX; rule++)
			if (trigger_judge((enum trigger_rule)rule, &c) != cases[i].verdict[rule])
				fail_msg("case %zu: %s says %d", i,
					trigger_name((enum trigger_rule)rule),
					trigger_judge((enum trigger_rule)rule, &c));
	}
}

static void test_counts(void **state)
{
	static const struct {
		enum task_state final;
		int success, failed, upstream_failed, skipped;
	} rows[] = {
		{ TASK_SUCCESS, 1, 0, 0, 0 },
		{ TASK_FAILED, 0, 1, 0, 0 },
		{ TASK_UPSTREAM_FAILED, 0, 0, 1, 0 },
		{ TASK_CANCELLED, 0, 1, 0, 0 },
		{ TASK_SKIPPED, 0, 0, 0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct trigger_counts c = { .needs = 4 };
		trigger_count(&c, rows[i].final);
		trigger_count(&c, rows[i].final);
		assert_int_equal(c.success, 2 * rows[i].success);
		assert_int_equal(c.failed, 2 * rows[i].failed);
		assert_int_equal(c.upstream_failed, 2 * rows[i].upstream_failed);
		assert_int_equal(c.skipped, 2 * rows[i].skipped);
		assert_int_equal(c.needs, 4);
		assert_int_equal(trigger_waiting(&c), 2);
	}
}

static void test_names(void **state)
{
	(void)state;
	for (int rule = 0; rule < TRIGGER_MAX; rule++) {
		const struct trigger_words *w = trigger_words((enum trigger_rule)rule);
		assert_string_equal(trigger_names[rule], w->name);
		assert_int_equal(trigger_by_name(w->name), rule);
		assert_non_null(w->runs);
	}
	assert_null(trigger_names[TRIGGER_MAX]);
	assert_int_equal(trigger_by_name("all_sucess"), -1);
}

/* ---- what may be ---------------------------------------------------------------------- */

#define BIT(state) (1u << (state))

static bool next_mix(struct trigger_counts *c, int n)
{
	int *digit[] = { &c->success, &c->failed, &c->upstream_failed, &c->skipped };

	for (int i = 0; i < 4; i++) {
		if (++*digit[i] <= n)
			return true;
		*digit[i] = 0;
	}
	return false;
}

static unsigned states_in(const struct trigger_counts *c)
{
	return (c->success ? BIT(TASK_SUCCESS) : 0) | (c->failed ? BIT(TASK_FAILED) : 0) |
	       (c->upstream_failed ? BIT(TASK_UPSTREAM_FAILED) : 0) |
	       (c->skipped ? BIT(TASK_SKIPPED) : 0);
}

/* What a rule may do, of all mixes of up to three needs that may come to `may`. */
static unsigned verdicts_of(enum trigger_rule rule, unsigned may)
{
	unsigned found = 0;

	for (int n = 1; n <= 3; n++) {
		struct trigger_counts c = { .needs = n };
		while (next_mix(&c, n))
			if (trigger_waiting(&c) == 0 && !(states_in(&c) & ~may))
				found |= BIT(trigger_judge(rule, &c));
	}
	return found;
}

static void test_may(void **state)
{
	static const unsigned sets[] = {
		BIT(TASK_SUCCESS) | BIT(TASK_FAILED),
		BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_SKIPPED),
		BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_UPSTREAM_FAILED),
		BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_UPSTREAM_FAILED) |
			BIT(TASK_SKIPPED),
	};

	(void)state;
	for (int i = 0; i < TRIGGER_MAX; i++)
		for (size_t k = 0; k < sizeof sets / sizeof *sets; k++) {
			enum trigger_rule rule = (enum trigger_rule)i;
			unsigned found = verdicts_of(rule, sets[k]);
			bool skip = found & (BIT(VERDICT_SKIP) | BIT(VERDICT_UNMET));
			bool failed = found & BIT(VERDICT_UPSTREAM_FAILED);
			unsigned may = trigger_may(rule, sets[k]);
			/* More than may be is said of one_done only: it need not count. */
			if (skip && !(may & BIT(TASK_SKIPPED)))
				fail_msg("%s, set %zu: it skips", trigger_name(rule), k);
			if (!skip && may & BIT(TASK_SKIPPED) && rule != TRIGGER_ONE_DONE)
				fail_msg("%s, set %zu: it never skips", trigger_name(rule), k);
			if (failed != !!(may & BIT(TASK_UPSTREAM_FAILED)))
				fail_msg("%s, set %zu: upstream_failed", trigger_name(rule), k);
			if (trigger_can_run(rule, sets[k]) != !!(found & BIT(VERDICT_RUN)))
				fail_msg("%s, set %zu: runs", trigger_name(rule), k);
			const struct trigger_words *w = trigger_words(rule);
			if (k == 3 && (!w->skipped == skip || !w->failed == failed))
				fail_msg("%s: its words", w->name);
		}
}

/* ---- the shared cases ----------------------------------------------------------------- */

static int count_of(const json_t *row, const char *name)
{
	return (int)json_integer_value(json_object_get(json_object_get(row, "counts"), name));
}

static const char *text_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "";
}

/* False where the case is of what Weir has not, or no graph can come to it. */
static bool check_case(const json_t *row)
{
	int rule = trigger_by_name(text_of(row, "rule"));
	const char *why = text_of(row, "reason_contains");
	const struct trigger_counts c = {
		/* Removed: of a mapping that shrank. Such a need is none. */
		.needs = (int)json_integer_value(json_object_get(row, "upstream_total")) -
			 count_of(row, "removed"),
		.success = count_of(row, "success"),
		.skipped = count_of(row, "skipped"),
		.failed = count_of(row, "failed"),
		.upstream_failed = count_of(row, "upstream_failed"),
	};

	if (rule < 0 || !json_is_true(json_object_get(row, "consistent_counts")) ||
		strstr(why, "past depends"))
		return false;
	enum verdict v = trigger_judge((enum trigger_rule)rule, &c);
	if ((v == VERDICT_RUN) != json_is_true(json_object_get(row, "ready")))
		fail_msg("%s: %d", text_of(row, "id"), v);
	/* Without the flag Airflow only looks, and sets nothing. */
	enum task_state state = trigger_state(v);
	if (json_is_true(json_object_get(row, "flag_upstream_failed")) &&
		strcmp(text_of(row, "set_state"), state == TASK_NONE ? "" : task_state_name(state)))
		fail_msg("%s: %s", text_of(row, "id"), task_state_name(state));
	return true;
}

static void test_shared_cases(void **state)
{
	FILE *f = cases_open("trigger-rules/trigger_rules.jsonl");
	char line[8192];
	int checked = 0, passed_over = 0;

	(void)state;
	if (!f)
		skip();
	while (fgets(line, sizeof line, f)) {
		json_t *row = json_loads(line, 0, NULL);
		assert_non_null(row);
		if (check_case(row))
			checked++;
		else
			passed_over++;
		json_decref(row);
	}
	fclose(f);
	printf("# %d cases, %d of mocks, of rules or of states that are not ours\n", checked,
		passed_over);
	assert_true(checked >= 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_may),
		cmocka_unit_test(test_shared_cases),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
