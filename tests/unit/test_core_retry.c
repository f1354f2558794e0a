/* Retries: the delay before each, and which failures are worth one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/units.h"
#include "core/retry.h"

#define S US_PER_SECOND

static const struct {
	int64_t initial_us, max_us;
	double factor;
	int n;
	int64_t delay_us;
} delays[] = {
	{ 30 * S, 600 * S, 2, 1, 30 * S },
	{ 30 * S, 600 * S, 2, 2, 60 * S },
	{ 30 * S, 600 * S, 2, 3, 120 * S },
	{ 30 * S, 600 * S, 2, 4, 240 * S },
	{ 30 * S, 600 * S, 2, 5, 480 * S },
	{ 30 * S, 600 * S, 2, 6, 600 * S }, /* 960 s, capped */
	{ 30 * S, 600 * S, 2, 1000, 600 * S },
	{ 30 * S, 600 * S, 2, 2147483647, 600 * S },
	{ 10 * S, 600 * S, 1, 1, 10 * S }, /* constant */
	{ 10 * S, 600 * S, 1, 50, 10 * S },
	{ 10 * S, 600 * S, 1.5, 2, 15 * S },
	{ 10 * S, 600 * S, 1.5, 3, 22500000 },
	{ 60 * S, 5 * S, 2, 1, 5 * S }, /* the cap below the first delay */
	{ 0, 600 * S, 2, 9, 0 },
	{ 1, 600 * S, 100, 2, 100 },
	{ 10 * S, 0, 2, 1, 0 },
	/* 290,000 years: no overflow on the way to the cap */
	{ INT64_C(9000000000000000000), INT64_C(9000000000000000000), 100, 500,
		INT64_C(9000000000000000000) },
};

static struct retry_policy policy_of(size_t i)
{
	return (struct retry_policy){ .retries = 3,
		.initial_us = delays[i].initial_us,
		.max_us = delays[i].max_us,
		.factor = delays[i].factor };
}

static void test_delays(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng, 1);
	for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
		const struct retry_policy p = policy_of(i);
		int64_t got = retry_delay_us(&p, delays[i].n, &rng);
		if (got != delays[i].delay_us)
			fail_msg("case %zu: %lld", i, (long long)got);
	}
}

/* full: anything in [0, delay]; equal: in [delay/2, delay]; and it does spread. */
static void test_jitter(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng, 7);
	for (size_t i = 0; i < sizeof delays / sizeof *delays; i++)
		for (enum jitter j = JITTER_FULL; j < JITTER_MAX; j++) {
			struct retry_policy p = policy_of(i);
			int64_t most = delays[i].delay_us, least = j == JITTER_EQUAL ? most / 2 : 0;
			int64_t low = INT64_MAX, high = 0;
			p.jitter = j;
			for (int k = 0; k < 1000; k++) {
				int64_t got = retry_delay_us(&p, delays[i].n, &rng);
				if (got < least || got > most)
					fail_msg("case %zu, %s: %lld", i, jitter_name(j),
						(long long)got);
				low = got < low ? got : low;
				high = got > high ? got : high;
			}
			if (most < S)
				continue;
			assert_true(low < least + (most - least) / 50);
			assert_true(high > most - (most - least) / 50);
		}
}

/* One seed, one sequence: a simulation can be repeated. */
static void test_jitter_repeats(void **state)
{
	const struct retry_policy p = {
		.initial_us = 10 * S, .max_us = 600 * S, .factor = 2, .jitter = JITTER_FULL
	};
	struct rng a, b;

	(void)state;
	rng_init(&a, 42);
	rng_init(&b, 42);
	for (int n = 1; n < 50; n++)
		assert_int_equal(retry_delay_us(&p, n, &a), retry_delay_us(&p, n, &b));
}

enum { ANY = -2 };

static const struct {
	const char *name;
	int retries, lost_retries, retry_on, fail_on; /* one status, or ANY: none given */
	struct retry_question q;
	enum reason want;
} decisions[] = {
	{ "first failure", 3, 3, ANY, ANY, { OUTCOME_FAILED, 1, 0, false, 1, 0 },
		REASON_RETRY_WAIT },
	{ "last retry", 3, 3, ANY, ANY, { OUTCOME_FAILED, 1, 0, false, 3, 0 }, REASON_RETRY_WAIT },
	{ "retries spent", 3, 3, ANY, ANY, { OUTCOME_FAILED, 1, 0, false, 4, 0 },
		REASON_RETRIES_SPENT },
	{ "no retries", 0, 3, ANY, ANY, { OUTCOME_FAILED, 1, 0, false, 1, 0 },
		REASON_RETRIES_SPENT },
	{ "permanent", 3, 3, ANY, ANY, { OUTCOME_FAILED, 1, 0, true, 1, 0 }, REASON_NOT_RETRYABLE },
	{ "permanent says why, not that retries are spent", 0, 3, ANY, ANY,
		{ OUTCOME_FAILED, 1, 0, true, 1, 0 }, REASON_NOT_RETRYABLE },
	{ "timeout", 3, 3, ANY, ANY, { OUTCOME_TIMEOUT, -1, 15, false, 1, 0 }, REASON_RETRY_WAIT },
	{ "timeout, spent", 1, 3, ANY, ANY, { OUTCOME_TIMEOUT, -1, 15, false, 2, 0 },
		REASON_RETRIES_SPENT },
	{ "signal", 3, 3, ANY, ANY, { OUTCOME_FAILED, -1, 11, false, 1, 0 }, REASON_RETRY_WAIT },
	{ "retry_on, another", 3, 3, 75, ANY, { OUTCOME_FAILED, 1, 0, false, 1, 0 },
		REASON_NOT_RETRYABLE },
	{ "retry_on, this one", 3, 3, 75, ANY, { OUTCOME_FAILED, 75, 0, false, 1, 0 },
		REASON_RETRY_WAIT },
	{ "retry_on, spent", 3, 3, 75, ANY, { OUTCOME_FAILED, 75, 0, false, 4, 0 },
		REASON_RETRIES_SPENT },
	{ "retry_on speaks of statuses, not of signals", 3, 3, 75, ANY,
		{ OUTCOME_FAILED, -1, 9, false, 1, 0 }, REASON_RETRY_WAIT },
	{ "retry_on and a timeout", 3, 3, 75, ANY, { OUTCOME_TIMEOUT, -1, 15, false, 1, 0 },
		REASON_RETRY_WAIT },
	{ "retry_on 0 is not everything", 3, 3, 0, ANY, { OUTCOME_FAILED, 1, 0, false, 1, 0 },
		REASON_NOT_RETRYABLE },
	{ "fail_on, this one", 3, 3, ANY, 2, { OUTCOME_FAILED, 2, 0, false, 1, 0 },
		REASON_NOT_RETRYABLE },
	{ "fail_on, another", 3, 3, ANY, 2, { OUTCOME_FAILED, 1, 0, false, 1, 0 },
		REASON_RETRY_WAIT },
	{ "fail_on weighs more than retry_on", 3, 3, 2, 2, { OUTCOME_FAILED, 2, 0, false, 1, 0 },
		REASON_NOT_RETRYABLE },
	{ "fail_on 255", 3, 3, ANY, 255, { OUTCOME_FAILED, 255, 0, false, 1, 0 },
		REASON_NOT_RETRYABLE },
	{ "lost", 0, 3, ANY, ANY, { OUTCOME_LOST, -1, 0, false, 0, 1 }, REASON_RETRY_WAIT },
	{ "lost, last", 0, 3, ANY, ANY, { OUTCOME_LOST, -1, 0, false, 0, 3 }, REASON_RETRY_WAIT },
	{ "lost too often", 9, 3, ANY, ANY, { OUTCOME_LOST, -1, 0, false, 0, 4 },
		REASON_LOST_TOO_OFTEN },
	{ "never lost twice", 9, 0, ANY, ANY, { OUTCOME_LOST, -1, 0, false, 0, 1 },
		REASON_LOST_TOO_OFTEN },
	{ "lost, the retries spent", 1, 3, ANY, ANY, { OUTCOME_LOST, -1, 0, false, 2, 1 },
		REASON_RETRY_WAIT },
	{ "failed, often lost", 3, 1, ANY, ANY, { OUTCOME_FAILED, 1, 0, false, 1, 9 },
		REASON_RETRY_WAIT },
	{ "lost, with retry_on", 3, 3, 75, ANY, { OUTCOME_LOST, -1, 0, false, 0, 1 },
		REASON_RETRY_WAIT },
};

static void test_decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof decisions / sizeof *decisions; i++) {
		struct retry_policy p = { .retries = decisions[i].retries,
			.lost_retries = decisions[i].lost_retries };
		if (decisions[i].retry_on != ANY) {
			p.retry_on.given = true;
			exit_set_add(&p.retry_on, decisions[i].retry_on);
		}
		if (decisions[i].fail_on != ANY) {
			p.fail_on.given = true;
			exit_set_add(&p.fail_on, decisions[i].fail_on);
		}
		enum reason got = retry_decide(&p, &decisions[i].q);
		if (got != decisions[i].want)
			fail_msg("%s: %s", decisions[i].name, reason_name(got));
	}
}

static void test_exit_set(void **state)
{
	struct exit_set s = { 0 };

	(void)state;
	for (int i = -300; i < 600; i += 3)
		exit_set_add(&s, i);
	for (int i = -300; i < 600; i++)
		assert_int_equal(exit_set_has(&s, i), i >= 0 && i < 256 && i % 3 == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delays),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_jitter_repeats),
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_exit_set),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
