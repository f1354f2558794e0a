/* The heap gives back what was put in, smallest first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "base/rng.h"

static void test_empty(void **state)
{
	struct heap h;
	struct heap_entry e;

	(void)state;
	heap_init(&h);
	assert_null(heap_peek(&h));
	assert_false(heap_pop(&h, &e));
	heap_release(&h);
	heap_release(&h);
	heap_release(NULL);
}

static void test_order(void **state)
{
	struct heap h;
	struct rng r;

	(void)state;
	heap_init(&h);
	for (uint64_t seed = 1; seed <= 50; seed++) {
		struct heap_entry e, last = { INT64_MIN, 0 };
		uint64_t sum = 0, n = seed * 7;
		rng_init(&r, seed);
		for (uint64_t i = 0; i < n; i++) {
			/* Few keys, so that many are equal, and the extremes. */
			int64_t key = (int64_t)rng_below(&r, 10) - 5;
			key = key == -5 ? INT64_MIN : key == 4 ? INT64_MAX : key;
			assert_int_equal(heap_push(&h, key, i), 0);
			sum += i;
			/* Pop some in between. */
			if (rng_below(&r, 4) == 0) {
				const struct heap_entry top = *heap_peek(&h);
				assert_true(heap_pop(&h, &e));
				assert_int_equal(e.id, top.id);
				sum -= e.id;
			}
		}
		while (heap_pop(&h, &e)) {
			assert_true(e.key > last.key || (e.key == last.key && e.id >= last.id));
			last = e;
			sum -= e.id;
		}
		assert_int_equal(sum, 0);
	}
	heap_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
