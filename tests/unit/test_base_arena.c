/* Arenas: alignment, zeroes, the maximum, and the failure that stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdalign.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_alloc(void **state)
{
	struct arena a;
	char *last = NULL;

	(void)state;
	arena_init(&a, 8 << 20);
	for (size_t size = 0; size < 3000; size += 7) {
		char *p = arena_alloc(&a, size);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, size);
		/* What was there before is left alone. */
		if (last && size > 7)
			assert_int_equal((unsigned char)last[size - 8], 0xff);
		last = p;
	}
	/* Larger than any block. */
	char *large = arena_alloc(&a, 3 << 20);
	assert_non_null(large);
	memset(large, 1, 3 << 20);
	assert_false(a.failed);
	arena_release(&a);
	arena_release(&a);
	arena_release(NULL);
}

static void test_strings(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 1000);
	assert_string_equal(arena_strdup(&a, "abc"), "abc");
	assert_string_equal(arena_strndup(&a, "abc", 2), "ab");
	assert_string_equal(arena_strndup(&a, "abc", 0), "");
	assert_string_equal(arena_printf(&a, "%s-%d", "x", 5), "x-5");
	assert_string_equal(arena_printf(&a, "%s", ""), "");
	arena_release(&a);
}

static void test_maximum(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 100);
	assert_non_null(arena_alloc(&a, 60));
	assert_non_null(arena_alloc(&a, 40));
	assert_false(a.failed);
	assert_null(arena_alloc(&a, 1));
	assert_true(a.failed);
	assert_null(arena_strdup(&a, ""));
	assert_null(arena_alloc(&a, 0));
	arena_release(&a);
	assert_false(a.failed);
	assert_non_null(arena_alloc(&a, 100));
	assert_null(arena_array(&a, SIZE_MAX / 2, 3));
	assert_true(a.failed);
	arena_release(&a);
	assert_null(arena_alloc(&a, SIZE_MAX));
	arena_release(&a);
	arena_init(&a, SIZE_MAX);
	assert_null(arena_alloc(&a, SIZE_MAX - 8));
	arena_release(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_maximum),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
