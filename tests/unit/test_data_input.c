/* Input bytes: plain, gzip, zstd, by their first bytes; damaged and cut off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/rng.h"
#include "data/input.h"

enum { PLAIN = 400000 };
static char plain[PLAIN]; /* digits at random: compresses, but not to nothing */

/* Bytes with a reader that takes `step` at a time; the text, or NULL with err. */
static char *read_all(
	struct buf *data, enum input_compression c, size_t step, size_t *ret_len, struct err *err)
{
	FILE *f = tmpfile();
	struct input *in;
	struct buf out;

	assert_non_null(f);
	assert_int_equal(fwrite(data->data, 1, data->len, f), data->len);
	fflush(f);
	rewind(f);
	int fd = dup(fileno(f));
	lseek(fd, 0, SEEK_SET);
	fclose(f);
	err_clear(err);
	if (input_open_fd(&in, fd, "x", c, err) < 0)
		return NULL;
	buf_init(&out, 64u << 20);
	ssize_t n;
	char *chunk = malloc(step);
	while ((n = input_read(in, chunk, step, err)) > 0)
		buf_add(&out, chunk, (size_t)n);
	free(chunk);
	if (n == 0)
		assert_int_equal(input_bytes(in), data->len);
	input_close(in);
	if (n < 0) {
		buf_release(&out);
		return NULL;
	}
	*ret_len = out.len;
	return buf_take(&out);
}

static void add_gzip(struct buf *to, const char *data, size_t len)
{
	z_stream z = { 0 };
	size_t bound = compressBound(len) + 64;
	unsigned char *out = malloc(bound);

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (unsigned char *)(uintptr_t)data;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = (uInt)bound;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	buf_add(to, out, bound - z.avail_out);
	deflateEnd(&z);
	free(out);
}

static void add_zstd(struct buf *to, const char *data, size_t len)
{
	size_t bound = ZSTD_compressBound(len);
	char *out = malloc(bound);
	size_t n = ZSTD_compress(out, bound, data, len, 3);

	assert_false(ZSTD_isError(n));
	buf_add(to, out, n);
	free(out);
}

static void expect(struct buf *data, enum input_compression c, const char *text, size_t len)
{
	static const size_t steps[] = { 1000, 65536, 1 << 20 };
	struct err err;
	size_t got_len = 0;

	for (size_t i = 0; i < 3; i++) {
		char *got = read_all(data, c, steps[i], &got_len, &err);
		if (!got)
			fail_msg("%s", err.msg);
		assert_int_equal(got_len, len);
		assert_memory_equal(got, text, len);
		free(got);
	}
}

static void expect_error(struct buf *data, enum input_compression c, const char *message)
{
	struct err err;
	size_t len;

	assert_null(read_all(data, c, 65536, &len, &err));
	assert_int_equal(err.code, ERR_DATA);
	if (!strstr(err.msg, message))
		fail_msg("\"%s\" lacks \"%s\"", err.msg, message);
}

static void test_plain(void **state)
{
	static const char *const texts[] = { "", "a", "ab", "abc", "a,b\n1,2\n", "\x1f",
		"\x28\xb5" };
	struct buf b;

	(void)state;
	buf_init(&b, 64u << 20);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		buf_clear(&b);
		buf_addstr(&b, texts[i]);
		expect(&b, INPUT_AUTO, texts[i], strlen(texts[i]));
	}
	buf_clear(&b);
	buf_add(&b, plain, PLAIN);
	expect(&b, INPUT_AUTO, plain, PLAIN);
	expect(&b, INPUT_NONE, plain, PLAIN);
	buf_release(&b);
}

static void test_gzip(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64u << 20);
	add_gzip(&b, plain, PLAIN);
	expect(&b, INPUT_AUTO, plain, PLAIN);
	expect(&b, INPUT_GZIP, plain, PLAIN);
	buf_clear(&b);
	add_gzip(&b, "", 0);
	expect(&b, INPUT_AUTO, "", 0);
	/* Members one after another, an empty one among them, zeros behind. */
	buf_clear(&b);
	add_gzip(&b, plain, 100);
	add_gzip(&b, "", 0);
	add_gzip(&b, plain + 100, PLAIN - 100);
	expect(&b, INPUT_AUTO, plain, PLAIN);
	buf_addpad(&b, '\0', 300000);
	expect(&b, INPUT_AUTO, plain, PLAIN);
	buf_release(&b);
}

static void test_zstd(void **state)
{
	static const char skippable[] = "\x50\x2a\x4d\x18\x04\0\0\0abcd";
	struct buf b;

	(void)state;
	buf_init(&b, 64u << 20);
	add_zstd(&b, plain, PLAIN);
	expect(&b, INPUT_AUTO, plain, PLAIN);
	expect(&b, INPUT_ZSTD, plain, PLAIN);
	buf_clear(&b);
	add_zstd(&b, "", 0);
	expect(&b, INPUT_AUTO, "", 0);
	buf_clear(&b);
	buf_add(&b, skippable, 12);
	add_zstd(&b, plain, 100);
	add_zstd(&b, "", 0);
	add_zstd(&b, plain + 100, PLAIN - 100);
	expect(&b, INPUT_AUTO, plain, PLAIN);
	buf_release(&b);
}

static void test_compresses_well(void **state)
{
	char *zeros = calloc(1, 8 << 20);
	struct buf b;

	(void)state;
	buf_init(&b, 64u << 20);
	add_gzip(&b, zeros, 8 << 20);
	expect(&b, INPUT_AUTO, zeros, 8 << 20);
	buf_clear(&b);
	add_zstd(&b, zeros, 8 << 20);
	expect(&b, INPUT_AUTO, zeros, 8 << 20);
	buf_release(&b);
	free(zeros);
}

static void test_damaged(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 64u << 20);
	for (int zstd = 0; zstd < 2; zstd++) {
		const char *cut = zstd ? "zstd data is cut off" : "gzip data is cut off";
		buf_clear(&b);
		(zstd ? add_zstd : add_gzip)(&b, plain, PLAIN);
		size_t full = b.len;
		buf_truncate(&b, full - 1);
		expect_error(&b, INPUT_AUTO, cut);
		buf_truncate(&b, full / 2);
		expect_error(&b, INPUT_AUTO, cut);
		buf_truncate(&b, 6);
		expect_error(&b, INPUT_AUTO, cut);
		buf_clear(&b);
		expect_error(&b, zstd ? INPUT_ZSTD : INPUT_GZIP, cut);
		(zstd ? add_zstd : add_gzip)(&b, plain, PLAIN);
		memset(b.data + full / 2, 0x55, 64);
		expect_error(&b, INPUT_AUTO, "damaged");
		buf_clear(&b);
		(zstd ? add_zstd : add_gzip)(&b, plain, 1000);
		buf_addstr(&b, "and more");
		expect_error(&b, INPUT_AUTO, zstd ? "damaged" : "other data follows");
	}
	buf_clear(&b);
	buf_addstr(&b, "a,b\n1,2\n");
	expect_error(&b, INPUT_GZIP, "damaged");
	expect_error(&b, INPUT_ZSTD, "damaged");
	buf_release(&b);
}

static void test_open(void **state)
{
	struct input *in;
	struct err err;

	(void)state;
	assert_int_equal(input_open(&in, "/nonexistent/x.csv", INPUT_AUTO, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(input_open(&in, "/tmp", INPUT_AUTO, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	assert_null(in);
	input_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_gzip),
		cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_compresses_well),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_open),
	};
	struct rng rng;

	rng_init(&rng, 1);
	for (size_t i = 0; i < PLAIN; i++)
		plain[i] = (char)('0' + rng_below(&rng, 10));
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
