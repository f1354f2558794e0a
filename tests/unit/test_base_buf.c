/* Buffers: growth, the maximum, and the failure that stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

static void test_append(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	assert_string_equal(b.data, "");
	buf_clear(&b);
	buf_truncate(&b, 0);
	buf_consume(&b, 3);
	assert_int_equal(buf_add(&b, "", 0), 0);
	assert_int_equal(buf_addstr(&b, "abc"), 0);
	assert_int_equal(buf_addc(&b, 'd'), 0);
	assert_int_equal(buf_addf(&b, "%d-%s", 12, "x"), 0);
	assert_int_equal(buf_addpad(&b, '.', 3), 0);
	assert_string_equal(b.data, "abcd12-x...");
	assert_int_equal(b.len, 11);
	buf_truncate(&b, 99);
	buf_truncate(&b, 8);
	buf_consume(&b, 3);
	assert_string_equal(b.data, "d12-x");
	buf_consume(&b, 99);
	assert_string_equal(b.data, "");
	assert_int_equal(b.len, 0);
	buf_release(&b);
	assert_string_equal(b.data, "");
	assert_int_equal(buf_addstr(&b, "again"), 0);
	buf_release(&b);
	buf_release(NULL);
	struct buf zeroed = { 0 };
	buf_release(&zeroed);
}

static void test_maximum(void **state)
{
	struct buf b;
	struct err err = { 0 };

	(void)state;
	buf_init(&b, 5);
	assert_int_equal(buf_addstr(&b, "12345"), 0);
	assert_int_equal(buf_ok(&b, "text", &err), 0);
	assert_int_equal(buf_addc(&b, '6'), -1);
	assert_string_equal(b.data, "12345");
	buf_truncate(&b, 0);
	/* The failure stays. */
	assert_int_equal(buf_addc(&b, '1'), -1);
	assert_int_equal(buf_addf(&b, "1"), -1);
	assert_int_equal(buf_addpad(&b, ' ', 1), -1);
	assert_int_equal(buf_ok(&b, "the text", &err), -1);
	assert_int_equal(err.code, ERR_NOMEM);
	assert_non_null(strstr(err.msg, "the text"));
	assert_null(buf_take(&b));
	buf_clear(&b);
	assert_int_equal(buf_addstr(&b, "1"), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -1);
	buf_release(&b);
}

static void test_take(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	char *text = buf_take(&b);
	assert_string_equal(text, "");
	free(text);
	buf_addstr(&b, "moved");
	text = buf_take(&b);
	assert_string_equal(text, "moved");
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_addstr(&b, "new");
	assert_string_equal(text, "moved");
	free(text);
	buf_release(&b);
}

static void test_bytes(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, BUF_MAX_TEXT);
	for (int i = 0; i < 100000; i++)
		buf_add(&b, "\0x", 2);
	assert_int_equal(b.len, 200000);
	assert_int_equal(b.data[199999], 'x');
	assert_int_equal(b.data[200000], '\0');
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
