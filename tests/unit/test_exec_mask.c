/* The masker: every case whole, byte by byte, and cut in two at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/rng.h"
#include "exec/mask.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static const struct mask_case {
	const char *secrets[5];
	const char *in, *out;
} cases[] = {
	{ { NULL }, "nothing secret", "nothing secret" },
	{ { "hunter2" }, "", "" },
	{ { "hunter2" }, "hunter2", "***" },
	{ { "hunter2" }, "a hunter2 b", "a *** b" },
	{ { "hunter2" }, "hunter2hunter2", "******" },
	{ { "hunter2" }, "hunter", "hunter" },
	{ { "hunter2" }, "hunterhunter2", "hunter***" },
	{ { "hunter2" }, "hhunter2", "h***" },
	{ { "abc" }, "abc", "abc" }, /* too short */
	{ { "" }, "abc", "abc" },
	{ { "abcd" }, "abcd", "***" },
	{ { "abcd", "abcdef" }, "abcdef abcde abcd", "*** ***e ***" }, /* the longest */
	{ { "abcdef", "abcd" }, "abcdef abcde abcd", "*** ***e ***" },
	{ { "abcdX", "bcde" }, "abcde abcdX", "a*** ***" },
	{ { "aaaa" }, "aaaaaaaaaaa", "******aaa" },
	{ { "aaab" }, "aaaaaab", "aaa***" },
	{ { "abab", "ababababX" }, "abababab", "******" },
	{ { "line1\nline2" }, "x line1\nline2 y", "x *** y" },
	{ { "\xff\xfe\xfd\xfc" }, "\xff\xff\xfe\xfd\xfc\xff", "\xff***\xff" },
	{ { "***!" }, "***!", "***" },
	{ { "pass", "word", "password", "swor" }, "password pass word swor", "*** *** *** ***" },
};

/* Feed in[0..len) in pieces of `step` bytes, the first of `first`. */
static void mask_in_pieces(
	struct mask *m, const char *in, size_t first, size_t step, struct buf *out)
{
	size_t len = strlen(in), n = first;

	for (size_t at = 0; at < len; at += n, n = step) {
		n = n < len - at ? n : len - at;
		assert_int_equal(mask_feed(m, in + at, n, out), 0);
	}
	assert_int_equal(mask_end(m, out), 0);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct mask_case *c = &cases[i];
		struct mask *m = mask_new(c->secrets);
		size_t len = strlen(c->in);
		assert_non_null(m);
		for (size_t cut = 0; cut <= len + 1; cut++) {
			struct buf out;
			buf_init(&out, 4096);
			/* cut == len + 1: byte by byte */
			mask_in_pieces(
				m, c->in, cut > len ? 1 : cut, cut > len ? 1 : len + 1, &out);
			assert_string_equal(out.data, c->out);
			buf_release(&out);
		}
		mask_free(m);
	}
	mask_free(NULL);
}

static void test_none(void **state)
{
	(void)state;
	struct mask *m = mask_new(NULL);
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(mask_feed(m, "as it is", 8, &out), 0);
	assert_string_equal(out.data, "as it is"); /* at once */
	buf_release(&out);
	mask_free(m);
}

/* Only what may begin a value is held back. */
static void test_promptness(void **state)
{
	(void)state;
	const char *secrets[] = { "hunter2", NULL };
	struct mask *m = mask_new(secrets);
	struct buf out;

	buf_init(&out, 4096);
	mask_feed(m, "prompt> hun", 11, &out);
	assert_string_equal(out.data, "prompt> ");
	mask_feed(m, "dred\n", 5, &out);
	assert_string_equal(out.data, "prompt> hundred\n");
	buf_release(&out);
	mask_free(m);
}

/* A value longer than a piece, of every length about the bounds, is wholly masked. */
static void test_long(void **state)
{
	(void)state;
	static const size_t lens[] = { MASK_PIECE - 1, MASK_PIECE, MASK_PIECE + 1, MASK_PIECE + 3,
		MASK_PIECE + 4, 2 * MASK_PIECE, 2 * MASK_PIECE + 2, 10 * MASK_PIECE + 7 };

	for (size_t i = 0; i < COUNT(lens); i++) {
		char *value = malloc(lens[i] + 1);
		struct rng rng;
		rng_init(&rng, 7);
		for (size_t k = 0; k < lens[i]; k++)
			value[k] = (char)('a' + rng_below(&rng, 26));
		value[lens[i]] = '\0';
		const char *secrets[] = { value, NULL };
		static const size_t steps[] = { 1, 7, 4096, 1000000 };
		for (size_t s = 0; s < COUNT(steps); s++) {
			struct mask *m = mask_new(secrets);
			struct buf out;
			buf_init(&out, 1 << 20);
			mask_feed(m, "[", 1, &out);
			mask_in_pieces(m, value, steps[s], steps[s], &out);
			mask_feed(m, "]", 1, &out);
			assert_int_equal(out.data[0], '[');
			assert_int_equal(strspn(out.data + 1, "*"), out.len - 2);
			buf_release(&out);
			mask_free(m);
		}
		/* No piece is so short that it turns up in ordinary text. */
		struct mask *m = mask_new(secrets);
		struct buf out;
		buf_init(&out, 64);
		const char *tail = value + lens[i] - (MASK_MIN - 1);
		mask_feed(m, tail, MASK_MIN - 1, &out);
		mask_end(m, &out);
		assert_string_equal(out.data, tail);
		buf_release(&out);
		mask_free(m);
		free(value);
	}
}

/* What masking means, the slow way. */
static void mask_slowly(const char *const *secrets, const char *in, struct buf *out)
{
	while (*in) {
		size_t best = 0;
		for (size_t i = 0; secrets[i]; i++) {
			size_t len = strlen(secrets[i]);
			if (len >= MASK_MIN && len > best && strncmp(in, secrets[i], len) == 0)
				best = len;
		}
		if (best)
			buf_addstr(out, "***");
		else
			buf_addc(out, *in);
		in += best ? best : 1;
	}
}

static void random_text(struct rng *rng, char *to, size_t max)
{
	size_t len = rng_below(rng, max);

	for (size_t i = 0; i < len; i++)
		to[i] = (char)('a' + rng_below(rng, 2));
	to[len] = '\0';
}

static void test_against_slow(void **state)
{
	(void)state;
	struct rng rng;

	rng_init(&rng, 20261119);
	for (int round = 0; round < 20000; round++) {
		char values[4][12], in[80];
		const char *secrets[5] = { values[0], values[1], values[2], values[3], NULL };
		struct buf slow, fast;
		for (int i = 0; i < 4; i++)
			random_text(&rng, values[i], sizeof values[i]);
		random_text(&rng, in, sizeof in);
		buf_init(&slow, 4096);
		buf_init(&fast, 4096);
		mask_slowly(secrets, in, &slow);
		struct mask *m = mask_new(secrets);
		mask_in_pieces(m, in, 1 + rng_below(&rng, 9), 1 + rng_below(&rng, 9), &fast);
		assert_string_equal(fast.data, slow.data);
		mask_free(m);
		buf_release(&slow);
		buf_release(&fast);
	}
}

static void test_full(void **state)
{
	(void)state;
	const char *secrets[] = { "hunter2", NULL };
	struct mask *m = mask_new(secrets);
	struct buf out;

	buf_init(&out, 10);
	assert_int_equal(mask_feed(m, "more than ten bytes", 19, &out), -1);
	buf_release(&out);
	mask_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_promptness),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_against_slow),
		cmocka_unit_test(test_full),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
