/* The generator: the published sequence, ranges, and evenness. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"

/* First outputs of xoshiro256** from the state 1, 2, 3, 4, as the reference implementation gives
 * them. */
static void test_sequence(void **state)
{
	static const uint64_t want[] = { 11520, 0, 1509978240, 1215971899390074240 };
	struct rng r = { { 1, 2, 3, 4 } };

	(void)state;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		assert_int_equal(rng_next(&r), want[i]);
}

static void test_seed(void **state)
{
	struct rng a, b;

	(void)state;
	rng_init(&a, 0);
	/* splitmix64 from 0 */
	assert_int_equal(a.s[0], 0xe220a8397b1dcdafu);
	rng_init(&b, 0);
	assert_int_equal(rng_next(&a), rng_next(&b));
	rng_init(&b, 1);
	assert_int_not_equal(rng_next(&a), rng_next(&b));
}

static void test_ranges(void **state)
{
	struct rng r;
	int counts[7] = { 0 };
	double sum = 0;

	(void)state;
	rng_init(&r, 42);
	assert_int_equal(rng_below(&r, 0), 0);
	assert_int_equal(rng_below(&r, 1), 0);
	assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
	for (int i = 0; i < 70000; i++) {
		uint64_t v = rng_below(&r, 7);
		assert_true(v < 7);
		counts[v]++;
		double u = rng_unit(&r);
		assert_true(u >= 0 && u < 1);
		sum += u;
	}
	for (int i = 0; i < 7; i++)
		assert_in_range(counts[i], 9600, 10400);
	assert_true(sum > 34600 && sum < 35400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequence),
		cmocka_unit_test(test_seed),
		cmocka_unit_test(test_ranges),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
