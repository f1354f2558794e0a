/* Attempts that change hands: a driver dies or stands still, and others claim what it had started.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "exec/endpoint.h"
#include "exec/executor.h"
#include "exec/frame.h"
#include "exec/journal.h"
#include "exec/kept.h"
#include "exec/proc.h"

#define WAIT_MS 20000 /* far more than anything takes: a hang fails instead of hanging */
#define MS 1000LL
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static char folder[] = "/tmp/test_exec_claim.XXXXXX";
static char home[320]; /* of one test: long, for an address holds 108 bytes */
static struct exec_local_provider local;
static struct exec_provider provider;
static int serial;

static const char *const test_env[] = { "PATH=/usr/bin:/bin", NULL };

/* ---- help ---- */

static int set_up(void **state)
{
	struct exec_local_provider_config config = { .home = home, .dir = home, .file = "own" };
	char deep[128];

	(void)state;
	memset(deep, 'd', sizeof deep - 1);
	deep[sizeof deep - 1] = '\0';
	snprintf(home, sizeof home, "%s/%s/%d", folder, deep, ++serial);
	if (io_mkdirs(home, 0700, NULL) < 0)
		return -1;
	return exec_local_provider_init(&local, &config, &provider, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	exec_local_provider_release(&local);
	return 0;
}

static const char *in_home(const char *name)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/%s", home, name);
	return path;
}

static struct exec *begin(void)
{
	struct err err = { 0 };
	struct exec *x;

	if (provider.begin(provider.arg, &x, &err) < 0)
		fail_msg("begin: %s", err.msg);
	return x;
}

/* A shell that tells its number in the file TOKEN, and ends with status TOKEN % 100 when there is a
 * file `go`. */
static struct exec_job job_of(int64_t token, int64_t epoch)
{
	static char script[1024], log[512];
	static const char *argv[] = { "sh", "-c", script, NULL };

	snprintf(script, sizeof script,
		"echo $$ > %" PRId64 "; until [ -e go ]; do sleep 0.01; done; exit %d", token,
		(int)(token % 100));
	snprintf(log, sizeof log, "%s/%" PRId64 ".log", home, token);
	return (struct exec_job){ .token = token,
		.epoch = epoch,
		.argv = argv,
		.env = test_env,
		.cwd = home,
		.log_path = log,
		.grace_us = 100 * MS };
}

static void flush(struct exec *x)
{
	struct err err = { 0 };

	if (exec_flush(x, &err) < 0)
		fail_msg("exec_flush: %s", err.msg);
}

static void start(struct exec *x, int64_t token, int64_t epoch)
{
	struct exec_job job = job_of(token, epoch);

	assert_int_equal(exec_start(x, &job, NULL), 0);
	flush(x);
}

static int64_t await_started(int64_t token)
{
	char name[32];

	snprintf(name, sizeof name, "%" PRId64, token);
	for (int i = 0; i < WAIT_MS; i++) {
		struct buf text;
		buf_init(&text, 4096);
		io_read_file(in_home(name), &text, NULL);
		int64_t n = text.len && text.data[text.len - 1] == '\n' ? atoll(text.data) : 0;
		buf_release(&text);
		if (n)
			return n;
		poll(NULL, 0, 1);
	}
	fail_msg("attempt %" PRId64 " was not started", token);
	return 0;
}

static void say_go(void)
{
	assert_int_equal(io_write_file(in_home("go"), "", 0, NULL), 0);
}

/* The next end, or token 0 when the supervisor is gone. */
static struct exec_end await_end(struct exec *x)
{
	struct exec_end end = { 0 };
	struct err err = { 0 };

	for (;;) {
		int n = exec_read(x, &end, 1, &err);
		if (n > 0)
			return end;
		if (n < 0)
			return (struct exec_end){ 0 };
		struct pollfd p = { .fd = exec_fd(x), .events = POLLIN };
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	}
}

static void acknowledge(struct exec *x, int64_t token)
{
	assert_int_equal(exec_ack(x, &token, 1, NULL), 0);
	flush(x);
}

static struct exec_claim claim(struct exec *x, int64_t token, int64_t epoch)
{
	struct exec_claim c = { .token = token, .epoch = epoch };
	struct err err = { 0 };

	if (exec_claim(x, &c, 1, &err) < 0)
		fail_msg("exec_claim: %s", err.msg);
	return c;
}

static struct exec *attach(const char *path)
{
	struct err err = { 0 };
	struct exec *x;

	if (exec_local_attach(&x, path, &err) < 0)
		fail_msg("attach: %s", err.msg);
	return x;
}

/* The journals of others: their number, and the first one's name. */
static size_t former(char **ret)
{
	char **names;
	size_t n = 0;

	assert_int_equal(provider.list(provider.arg, &names, NULL), 0);
	if (ret)
		*ret = names[0] ? strdup(names[0]) : NULL;
	for (; names[n]; n++)
		free(names[n]);
	free(names);
	return n;
}

static struct journal_head head_of(const char *path)
{
	struct journal_head head;
	bool live;

	assert_int_equal(journal_read_head(path, &head, &live, NULL), 0);
	return head;
}

static void await_gone(const char *path)
{
	int fd = exec_journal_wait_fd(path, NULL);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return;
	int rc = poll(&p, 1, WAIT_MS);
	close(fd);
	assert_int_equal(rc, 1);
}

/* A driver in a process of its own, which starts 1..n with epoch 5 and is killed. Returns the path
 * of its journal. */
static char *leave_running(int64_t n)
{
	char *path = NULL;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		struct exec *x = begin();
		for (int64_t token = 1; token <= n; token++) {
			start(x, token, 5);
			await_started(token);
		}
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	assert_int_equal(former(&path), 1);
	return path;
}

/* ---- a driver is killed ---- */

static void test_claim(void **state)
{
	(void)state;
	char *path = leave_running(2);
	struct exec_former f;
	struct err err = { 0 };
	struct stat st;

	if (provider.open(provider.arg, path, &f, &err) < 0)
		fail_msg("open: %s", err.msg);
	assert_non_null(f.live);
	assert_int_equal(f.journal.n, 0);
	assert_int_equal(stat(in_home(head_of(path).socket_name), &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);

	struct exec_claim claims[] = { { .token = 1, .epoch = 6 }, { .token = 2, .epoch = 5 },
		{ .token = 3, .epoch = 6 }, { .token = 1, .epoch = 5 },
		{ .token = 3, .epoch = 5 } };
	assert_int_equal(exec_claim(f.live, claims, COUNT(claims), &err), 0);
	assert_int_equal(claims[0].answer, EXEC_CLAIM_RUNNING);
	assert_int_equal(claims[1].answer, EXEC_CLAIM_RUNNING);
	assert_int_equal(claims[2].answer, EXEC_CLAIM_UNKNOWN);
	assert_int_equal(claims[3].answer, EXEC_CLAIM_FENCED);
	assert_int_equal(claims[4].answer, EXEC_CLAIM_FENCED);

	say_go();
	struct exec_end first = await_end(f.live), second = await_end(f.live);
	assert_int_equal(first.token + second.token, 3);
	assert_int_equal(first.outcome, OUTCOME_FAILED);
	assert_int_equal(first.exit_status, (int)first.token);
	/* It stays for the one whose end is not recorded yet. */
	acknowledge(f.live, first.token);
	struct exec_claim c = claim(f.live, second.token, 6);
	assert_int_equal(c.answer, EXEC_CLAIM_ENDED);
	assert_int_equal(c.end.exit_status, (int)second.token);
	assert_int_equal(c.end.ended_us, second.ended_us);
	acknowledge(f.live, second.token);
	assert_int_equal(await_end(f.live).token, 0);
	exec_free(f.live);
	await_gone(path);
	assert_false(io_exists(path));
	assert_int_equal(former(NULL), 0);
	free(path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_claim, set_up, tear_down),
	};
	if (!mkdtemp(folder))
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return rc;
}
