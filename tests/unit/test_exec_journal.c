/* Journals: written and read back, torn, damaged, of another boot, of a newer weir. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/io.h"
#include "exec/journal.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])
#define BOOT "01234567-89ab-cdef-0123-456789abcdef"
#define HEAD "weir-journal 1 77 12345 " BOOT "\n"

static char folder[] = "/tmp/test_exec_journal.XXXXXX";
static char path[256];

static int parse(const char *text, struct exec_journal *ret, struct err *err)
{
	struct journal_head head;

	return journal_parse(text, strlen(text), BOOT, &head, ret, err);
}

static void test_round_trip(void **state)
{
	(void)state;
	struct exec_end end = {
		.token = 2,
		.outcome = OUTCOME_TIMEOUT,
		.exit_status = -1,
		.signal = SIGKILL,
		.started_us = 1795160135000000,
		.ended_us = 1795160136000000,
		.max_rss_bytes = 1 << 20,
		.cpu_us = 33,
		.error = "two\nlines, a back\\slash, \x01 and \xc3\xa9",
	};
	struct exec_journal r;
	struct journal_head head;
	struct journal j;
	struct err err;
	struct stat st;
	bool live;

	assert_int_equal(journal_create(&j, path, JOURNAL_NO_SOCKET, &err), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(journal_add_start(&j, 1, 100, 5000, 1795160134000000), 0);
	assert_int_equal(journal_add_start(&j, 2, 101, 6000, 1795160135000000), 0);
	assert_int_equal(journal_add_end(&j, &end), 0);
	assert_int_equal(journal_flush(&j), 0);
	assert_int_equal(exec_journal_read(path, &r, &err), 0);
	assert_true(r.live); /* the lock is of the open file, also for ourselves */
	assert_int_equal(r.n, 2);
	assert_true(r.entries[0].started && !r.entries[0].ended);
	assert_int_equal(r.entries[0].token, 1);
	assert_int_equal(r.entries[0].pid, 100);
	assert_int_equal(r.entries[0].start_boot_us, 5000);
	assert_int_equal(r.entries[0].end.started_us, 1795160134000000);
	assert_true(r.entries[1].started && r.entries[1].ended);
	assert_memory_equal(&r.entries[1].end.token, &end.token, sizeof end.token);
	assert_int_equal(r.entries[1].end.outcome, OUTCOME_TIMEOUT);
	assert_int_equal(r.entries[1].end.signal, SIGKILL);
	assert_int_equal(r.entries[1].end.exit_status, -1);
	assert_int_equal(r.entries[1].end.ended_us, end.ended_us);
	assert_int_equal(r.entries[1].end.max_rss_bytes, end.max_rss_bytes);
	assert_int_equal(r.entries[1].end.cpu_us, 33);
	assert_string_equal(r.entries[1].end.error, end.error);
	exec_journal_release(&r);
	assert_int_equal(journal_read_head(path, &head, &live, &err), 0);
	assert_true(live);
	assert_int_equal(head.pid, getpid());

	/* The name is taken, by the living and by the dead. */
	struct journal second;
	assert_int_equal(journal_create(&second, path, JOURNAL_NO_SOCKET, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.msg, "alive"));
	journal_release(&j);
	assert_int_equal(journal_create(&second, path, JOURNAL_NO_SOCKET, &err), -1);
	assert_non_null(strstr(err.msg, "settle"));
	assert_int_equal(exec_journal_read(path, &r, &err), 0);
	assert_false(r.live);
	assert_int_equal(r.n, 2);
	exec_journal_release(&r);
	assert_int_equal(exec_journal_stop(path, false, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(exec_journal_wait_fd(path, &err), -1);
	unlink(path);
}

static const struct text_case {
	const char *text;
	enum err_code code;
	size_t n, n_ended;
} text_cases[] = {
	{ "", ERR_DATA, 0, 0 },
	{ "weir-journal 1 77 12345 " BOOT, ERR_DATA, 0, 0 }, /* torn */
	{ "\n", ERR_DATA, 0, 0 },
	{ "something else\n", ERR_DATA, 0, 0 },
	{ "weir-journal \n", ERR_DATA, 0, 0 },
	{ "weir-journal 3 77 12345 " BOOT " -\n", ERR_REFUSED, 0, 0 },
	{ "weir-journal 2 77 12345 " BOOT "\n", ERR_DATA, 0, 0 },
	{ "weir-journal 2 77 12345 " BOOT " \n", ERR_DATA, 0, 0 },
	{ "weir-journal 2 77 12345 " BOOT " ../../0123456789.sock\n", ERR_DATA, 0, 0 },
	{ "weir-journal 2 77 12345 " BOOT " 0123456789abcdef.sockx\n", ERR_DATA, 0, 0 },
	{ "weir-journal 2 77 12345 " BOOT " 0123456789abcdef.sock x\n", ERR_DATA, 0, 0 },
	{ "weir-journal 2 77 12345 " BOOT " 0123456789abcdef.sock\nS 1 100 5000 6000\n", ERR_NONE,
		1, 0 },
	{ "weir-journal 2 77 12345 " BOOT " -\nS 1 100 5000 6000\n", ERR_NONE, 1, 0 },
	{ "weir-journal 99999999999999999999 77 12345 " BOOT "\n", ERR_DATA, 0, 0 },
	{ "weir-journal 1 0 12345 " BOOT "\n", ERR_DATA, 0, 0 },
	{ "weir-journal 1 77 12345 " BOOT BOOT "\n", ERR_DATA, 0, 0 },
	{ HEAD, ERR_NONE, 0, 0 },
	{ HEAD "S 1 100 5000 6000\n", ERR_NONE, 1, 0 },
	{ HEAD "S 1 100 5000 6000", ERR_NONE, 0, 0 }, /* torn */
	{ HEAD "S 1 100 5000\n", ERR_NONE, 0, 0 },
	{ HEAD "S 1 100 5000 6000 7000\n", ERR_NONE, 0, 0 },
	{ HEAD "S 1 -100 5000 6000\n", ERR_NONE, 0, 0 },
	{ HEAD "S 1 99999999999 5000 6000\n", ERR_NONE, 0, 0 },
	{ HEAD "S x 100 5000 6000\n", ERR_NONE, 0, 0 },
	{ HEAD "S 1  5000 6000\n", ERR_NONE, 0, 0 },
	{ HEAD "S -5 100 5000 6000\n", ERR_NONE, 1, 0 },
	{ HEAD "S 1 100 5000 6000\nE 1 success 0 0 1 2 3 4 \n", ERR_NONE, 1, 1 },
	{ HEAD "E 1 success 0 0 1 2 3 4 \n", ERR_NONE, 1, 1 }, /* it was never started */
	{ HEAD "E 1 success 0 0 1 2 3 4\n", ERR_NONE, 1, 1 },
	{ HEAD "E 1 none 0 0 1 2 3 4 \n", ERR_NONE, 0, 0 },
	{ HEAD "E 1 great 0 0 1 2 3 4 \n", ERR_NONE, 0, 0 },
	{ HEAD "E 1 success 256 0 1 2 3 4 \n", ERR_NONE, 0, 0 },
	{ HEAD "E 1 success 0 65 1 2 3 4 \n", ERR_NONE, 0, 0 },
	{ HEAD "E 1 success 0 0 1 2 3 4 bad \\ escape\n", ERR_NONE, 0, 0 },
	{ HEAD "E 1 success 0 0 1 2 3 4 \\x00\n", ERR_NONE, 0, 0 },
	{ HEAD "E 1 success 0 0 1 2 3 4 \\x4\n", ERR_NONE, 0, 0 },
	{ HEAD "Z what a later version says\nS 1 100 5000 6000\n", ERR_NONE, 1, 0 },
	{ HEAD "\n\n \nS\nE\nS \nE \n\x80\xff\n", ERR_NONE, 0, 0 },
	{ HEAD "E 1 success 0 0 1 2 3 4 \nE 1 failed 0 0 1 2 3 4 \n", ERR_NONE, 1, 1 },
	{ HEAD "E 1 success 0 0 1 2 3 4 \nS 1 100 5000 6000\n", ERR_NONE, 1, 1 },
};

static void test_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(text_cases); i++) {
		const struct text_case *c = &text_cases[i];
		struct exec_journal j = { 0 };
		struct err err = { 0 };
		size_t ended = 0;
		int rc = parse(c->text, &j, &err);
		if (rc != (c->code ? -1 : 0) || err.code != c->code || j.n != c->n)
			fail_msg(
				"case %zu: rc %d code %d n %zu: %s", i, rc, err.code, j.n, err.msg);
		for (size_t k = 0; k < j.n; k++)
			ended += j.entries[k].ended;
		assert_int_equal(ended, c->n_ended);
		if (ended)
			assert_int_equal(j.entries[0].end.outcome, OUTCOME_SUCCESS);
		exec_journal_release(&j);
	}
}

/* Cut anywhere, a journal gives the records whose lines are whole. */
static void test_torn_anywhere(void **state)
{
	(void)state;
	const char *text =
		HEAD "S 1 100 5000 6000\nE 1 failed 3 0 1 2 3 4 why\nS 2 101 5001 6001\n";

	for (size_t len = strlen(HEAD); len <= strlen(text); len++) {
		struct exec_journal j;
		struct journal_head head;
		size_t lines = 0;
		for (size_t i = 0; i < len; i++)
			lines += text[i] == '\n';
		assert_int_equal(journal_parse(text, len, BOOT, &head, &j, NULL), 0);
		assert_int_equal(j.n, lines == 4 ? 2 : lines > 1);
		assert_int_equal(j.n && j.entries[0].ended, lines >= 3);
		exec_journal_release(&j);
	}
}

static void test_other_boot(void **state)
{
	(void)state;
	const char *text = HEAD "S 1 100 5000 6000\n";
	struct exec_journal j;
	struct journal_head head;

	assert_int_equal(journal_parse(text, strlen(text), "another", &head, &j, NULL), 0);
	assert_true(j.entries[0].started);
	assert_int_equal(j.entries[0].pid, 0); /* names no process of this boot */
	assert_int_equal(exec_reap_stray(&j.entries[0], NULL), 0);
	exec_journal_release(&j);
}

static void test_order(void **state)
{
	(void)state;
	struct journal j = { .fd = -1 };
	struct journal_head head;
	struct exec_journal r;

	buf_init(&j.pending, JOURNAL_MAX);
	buf_addstr(&j.pending, HEAD);
	for (int i = 0; i < 5000; i++)
		journal_add_start(&j, (int64_t)i * 7919 % 5003, 100 + i, i, i);
	for (int i = 4999; i >= 0; i--) {
		struct exec_end e = { .token = (int64_t)i * 7919 % 5003,
			.outcome = OUTCOME_SUCCESS };
		journal_add_end(&j, &e);
	}
	assert_int_equal(journal_parse(j.pending.data, j.pending.len, BOOT, &head, &r, NULL), 0);
	assert_int_equal(r.n, 5000);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(r.entries[i].token, (int64_t)i * 7919 % 5003);
		assert_int_equal(r.entries[i].pid, 100 + i);
		assert_true(r.entries[i].ended);
	}
	exec_journal_release(&r);
	journal_release(&j);
}

/* A disk that is full: what was not written is kept, and written when there is room. */
static void test_disk_full(void **state)
{
	(void)state;
	pid_t pid = fork();

	if (pid == 0) {
		struct journal j;
		struct exec_journal r;
		struct rlimit limit;
		struct stat st;
		signal(SIGXFSZ, SIG_IGN);
		if (journal_create(&j, path, JOURNAL_NO_SOCKET, NULL) < 0 || fstat(j.fd, &st) < 0)
			_exit(1);
		getrlimit(RLIMIT_FSIZE, &limit);
		rlim_t soft = limit.rlim_cur;
		limit.rlim_cur = (rlim_t)st.st_size + 10; /* in the middle of the line */
		setrlimit(RLIMIT_FSIZE, &limit);
		journal_add_start(&j, 1, 100, 5000, 6000);
		if (journal_flush(&j) == 0 || exec_journal_read(path, &r, NULL) < 0 || r.n != 0)
			_exit(2);
		exec_journal_release(&r);
		limit.rlim_cur = soft;
		setrlimit(RLIMIT_FSIZE, &limit);
		journal_add_start(&j, 2, 101, 5000, 6000);
		if (journal_flush(&j) < 0 || exec_journal_read(path, &r, NULL) < 0 || r.n != 2)
			_exit(3);
		exec_journal_release(&r);
		journal_release(&j);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	unlink(path);
}

static bool same_text(int fd, const char *want)
{
	char text[256] = "";
	ssize_t n = pread(fd, text, sizeof text - 1, 0);

	return n >= 0 && strcmp(strchr(text, '\n') + 1, want) == 0;
}

/* Children write their own lines, but never into the middle of another. */
static void test_child_lines(void **state)
{
	(void)state;
	struct journal j;

	assert_int_equal(journal_create(&j, path, JOURNAL_NO_SOCKET, NULL), 0);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(journal_child_fd(&j), j.fd);
	/* A child's line was cut off: what follows begins anew. */
	assert_int_equal(write(j.fd, "S 1 10", 6), 6);
	j.garbage = true;
	assert_int_equal(journal_child_fd(&j), -1);
	journal_add_start(&j, 2, 101, 5000, 6000);
	assert_int_equal(journal_flush(&j), 0);
	assert_true(same_text(fd, "S 1 10\nS 2 101 5000 6000\n"));
	assert_int_equal(journal_child_fd(&j), j.fd);
	/* A line of our own is cut off, by a full disk. */
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit limit;
		struct stat st;
		signal(SIGXFSZ, SIG_IGN);
		fstat(j.fd, &st);
		getrlimit(RLIMIT_FSIZE, &limit);
		limit.rlim_cur = (rlim_t)st.st_size + 5;
		setrlimit(RLIMIT_FSIZE, &limit);
		journal_add_start(&j, 3, 102, 5000, 6000);
		bool ok = journal_flush(&j) < 0 && journal_child_fd(&j) < 0;
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_FSIZE, &limit);
		ok = ok && journal_flush(&j) == 0 && journal_child_fd(&j) == j.fd;
		_exit(!ok);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	journal_remove(&j);
	journal_release(&j);
}

static void test_no_journal(void **state)
{
	(void)state;
	struct exec_journal r;
	struct err err;

	assert_int_equal(exec_journal_read("/no/such/journal", &r, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_int_equal(exec_journal_read(folder, &r, &err), -1);
	assert_int_equal(exec_journal_read("/dev/null", &r, &err), -1);
	assert_int_equal(err.code, ERR_DATA);
	assert_int_equal(exec_journal_stop("/no/such/journal", true, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/journal", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(folder); /* nothing is left */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_torn_anywhere),
		cmocka_unit_test(test_other_boot),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_child_lines),
		cmocka_unit_test(test_no_journal),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
