/* Files: reads, writes that appear at once, folders, and paths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

static char folder[] = "/tmp/weir-io-XXXXXX";

static int enter(void **state)
{
	(void)state;
	return !mkdtemp(folder) || chdir(folder) < 0;
}

static int leave(void **state)
{
	(void)state;
	unlink("a");
	rmdir("d/e/f");
	rmdir("d/e");
	rmdir("d");
	return chdir("/") < 0 || rmdir(folder) < 0;
}

static size_t entries(const char *path)
{
	size_t n = 0;
	DIR *d = opendir(path);

	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void test_write_and_read(void **state)
{
	struct buf b;
	struct err err = { 0 };

	(void)state;
	buf_init(&b, 200000);
	buf_addpad(&b, 'x', 150000);
	assert_int_equal(io_write_file("a", b.data, b.len, &err), 0);
	assert_int_equal(io_write_file("a", "two", 3, &err), 0);
	buf_clear(&b);
	assert_int_equal(io_read_file("a", &b, &err), 0);
	assert_string_equal(b.data, "two");
	assert_int_equal(entries("."), 1);
	/* Nothing of a failed write is left. */
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(io_write_file("d", "x", 1, &err), -1);
	assert_int_equal(entries("."), 2);
	rmdir("d");
	assert_int_equal(io_write_file("none/a", "x", 1, &err), -1);
	assert_int_equal(err.code, ERR_IO);
	assert_int_equal(io_write_file("a", "", 0, &err), 0);
	buf_clear(&b);
	assert_int_equal(io_read_file("a", &b, &err), 0);
	assert_int_equal(b.len, 0);
	buf_release(&b);
}

static void test_read_errors(void **state)
{
	struct buf b;
	struct err err = { 0 };

	(void)state;
	buf_init(&b, 100);
	assert_int_equal(io_read_file("none", &b, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(io_read_file(".", &b, &err), -1);
	assert_int_equal(err.code, ERR_IO);
	assert_int_equal(io_read_file("/dev/zero", &b, &err), -1);
	assert_int_equal(io_read_regular("/dev/zero", &b, &err), -1);
	assert_int_equal(io_read_regular("none", &b, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(mkfifo("fifo", 0600), 0);
	alarm(60); /* nobody writes to it */
	assert_int_equal(io_read_regular("fifo", &b, &err), -1);
	assert_int_equal(err.code, ERR_IO);
	alarm(0);
	unlink("fifo");
	assert_int_equal(err.code, ERR_IO);
	assert_int_equal(b.len, 0);
	buf_clear(&b);
	assert_int_equal(io_read_file("none", &b, NULL), -1);
	buf_release(&b);
}

static void test_maximum(void **state)
{
	struct buf b;
	struct err err = { 0 };

	(void)state;
	buf_init(&b, 10);
	assert_int_equal(io_write_file("a", "0123456789", 10, &err), 0);
	assert_int_equal(io_read_file("a", &b, &err), 0);
	buf_clear(&b);
	assert_int_equal(io_write_file("a", "0123456789x", 11, &err), 0);
	assert_int_equal(io_read_file("a", &b, &err), -1);
	assert_int_equal(err.code, ERR_NOMEM);
	buf_release(&b);
}

static void test_mkdirs(void **state)
{
	struct err err = { 0 };

	(void)state;
	assert_int_equal(io_mkdirs("d/e//f/", 0755, &err), 0);
	assert_int_equal(io_mkdirs("d/e/f", 0755, &err), 0);
	assert_int_equal(io_mkdirs("/", 0755, &err), 0);
	assert_int_equal(io_mkdirs(".", 0755, &err), 0);
	assert_true(io_exists("d/e/f"));
	assert_int_equal(io_mkdirs_for("d/e/f/file", 0755, &err), 0);
	assert_int_equal(io_mkdirs_for("file", 0755, &err), 0);
	assert_int_equal(io_write_file("a", "x", 1, &err), 0);
	assert_int_equal(io_mkdirs("a/b", 0755, &err), -1);
}

static void test_write_all(void **state)
{
	int ends[2];
	char got[4] = "";

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(io_write_all(ends[1], "abc", 3, NULL), 0);
	assert_int_equal(read(ends[0], got, 3), 3);
	assert_string_equal(got, "abc");
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(io_write_all(ends[1], "abc", 3, NULL), -1);
}

static void test_join(void **state)
{
	static const char *const cases[][3] = {
		{ "a", "b", "a/b" },
		{ "a/", "b", "a/b" },
		{ ".", "b", "b" },
		{ ".", ".", "." },
		{ "a", ".", "a" },
		{ "a", "./b//c/./d/", "a/b/c/d" },
		{ "a", "../b", "a/../b" },
		{ "a", "/b", "/b" },
		{ "/", "b", "/b" },
		{ "/", "/", "/" },
		{ "a", "", "a" },
		{ "a", ".b", "a/.b" },
		{ "a", "..", "a/.." },
		{ "a", "b.", "a/b." },
		{ "./a", "b", "a/b" },
		{ "/", ".", "/" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *path = io_path_join(cases[i][0], cases[i][1]);
		if (strcmp(path, cases[i][2]) != 0)
			fail_msg(
				"%s + %s: %s, not %s", cases[i][0], cases[i][1], path, cases[i][2]);
		free(path);
	}
}

static void test_parts(void **state)
{
	static const char *const cases[][3] = {
		{ "a/b.c", "a", "b.c" },
		{ "b.c", ".", "b.c" },
		{ "/b", "/", "b" },
		{ "/a/b", "/a", "b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *dir = io_path_dir(cases[i][0]);
		assert_string_equal(dir, cases[i][1]);
		assert_string_equal(io_path_base(cases[i][0]), cases[i][2]);
		free(dir);
	}
	struct err err = { 0 };
	assert_null(io_realpath("none", &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	char *real = io_realpath(".", &err);
	assert_non_null(real);
	free(real);
	assert_int_equal(io_fsync_dir_of("a", &err), 0);
	assert_int_equal(io_fsync_dir_of("none/a", &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write_and_read),
		cmocka_unit_test(test_read_errors),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_mkdirs),
		cmocka_unit_test(test_write_all),
		cmocka_unit_test(test_join),
		cmocka_unit_test(test_parts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, enter, leave);
}
