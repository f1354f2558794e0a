/* Files written aside: attempts that overtake each other where only the path tells whose they are,
 * and what others see meanwhile. With tasks known, see test_op_publish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "data/aside.h"
#include "data/table.h"

static char dir[] = "/tmp/weir-aside-XXXXXX";
static char path[64];
static int nnotes;

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/out.csv", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir); /* fails when anything is left aside */
}

static void note(const char *text)
{
	assert_non_null(strstr(text, "removed .out.csv.weir-"));
	nnotes++;
}

static int open_as(struct aside **ret, int64_t token, struct err *err)
{
	const struct table_key key = { .token = token };
	const struct aside_target t = { .path = path, .key = &key, .note = note };

	return aside_open(ret, &t, err);
}

static const char *content(const char *of)
{
	static char text[64];
	struct buf b;

	buf_init(&b, 1 << 20);
	snprintf(text, sizeof text, "%s", io_read_file(of, &b, NULL) < 0 ? "(none)" : b.data);
	buf_release(&b);
	return text;
}

static void test_overtaken(void **state)
{
	struct aside *old, *new, *late;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(open_as(&old, 5, &err), 0);
	assert_int_equal(aside_write(old, "old", 3, &err), 0);
	assert_int_equal(open_as(&new, 7, &err), 0);
	assert_int_equal(nnotes, 1);
	assert_int_equal(open_as(&late, 6, &err), -1);
	assert_int_equal(err.code, ERR_FENCED);
	assert_null(late);
	assert_int_equal(aside_commit(old, NULL, &err), -1);
	assert_int_equal(err.code, ERR_FENCED);
	assert_string_equal(content(path), "(none)");
	assert_int_equal(aside_write(new, "new", 3, &err), 0);
	assert_int_equal(aside_commit(new, NULL, &err), 0);
	assert_string_equal(content(path), "new");
}

/* It is not known whose the file is: once it is there, anyone may replace it. */
static void test_unmarked(void **state)
{
	struct aside_result result;
	struct err err = { 0 };
	struct aside *a;

	(void)state;
	assert_int_equal(open_as(&a, 9, &err), 0);
	assert_int_equal(aside_commit(a, &result, &err), 0);
	assert_int_equal(result.bytes, 0);
	assert_true(getxattr(path, "user.weir.mark", NULL, 0) < 0);
	assert_int_equal(open_as(&a, 2, &err), 0);
	assert_int_equal(aside_write(a, "again", 5, &err), 0);
	assert_int_equal(aside_commit(a, &result, &err), 0);
	assert_int_equal(result.bytes, 5);
	assert_string_equal(content(path), "again");
}

static void test_flush(void **state)
{
	struct err err = { 0 };
	struct aside *a;

	(void)state;
	unlink(path);
	assert_int_equal(open_as(&a, 1, &err), 0);
	assert_int_equal(aside_write(a, "abc", 3, &err), 0);
	assert_string_equal(content(aside_part(a)), "");
	assert_int_equal(aside_flush(a, &err), 0);
	assert_string_equal(content(aside_part(a)), "abc");
	assert_string_equal(content(path), "(none)");
	aside_abort(a);
	assert_string_equal(content(path), "(none)");
}

static void test_compression_of(void **state)
{
	static const struct {
		const char *path;
		enum aside_compression compression;
	} cases[] = {
		{ "a.csv", ASIDE_PLAIN },
		{ "a.csv.gz", ASIDE_GZIP },
		{ "a.zst", ASIDE_ZSTD },
		{ "gz", ASIDE_PLAIN },
		{ ".gz", ASIDE_PLAIN },
		{ "a.gz.csv", ASIDE_PLAIN },
		{ "", ASIDE_PLAIN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (aside_compression_of(cases[i].path) != cases[i].compression)
			fail_msg("%s", cases[i].path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_overtaken),
		cmocka_unit_test(test_unmarked),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_compression_of),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
