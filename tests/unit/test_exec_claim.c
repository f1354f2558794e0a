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

#define WAIT_MS 60000 /* far more than anything takes: a hang fails instead of hanging */
#define MS 1000LL
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static char folder[] = "/tmp/test_exec_claim.XXXXXX";
static char home[320]; /* of one test: long, for an address holds 108 bytes */
static struct exec_local_provider local;
static struct exec_provider provider;
static int serial;

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
	static char script[1024], log[512], token_var[64], home_var[400];
	static const char *argv[] = { "sh", "-c", script, NULL };
	static const char *env[] = { "PATH=/usr/bin:/bin", token_var, home_var, NULL };

	snprintf(token_var, sizeof token_var, "WEIR_TOKEN=%" PRId64, token);
	snprintf(home_var, sizeof home_var, "WEIR_HOME=%s", home);

	snprintf(script, sizeof script,
		"echo $$ > %" PRId64 "; until [ -e go ]; do sleep 0.01; done; exit %d", token,
		(int)(token % 100));
	snprintf(log, sizeof log, "%s/%" PRId64 ".log", home, token);
	return (struct exec_job){ .token = token,
		.epoch = epoch,
		.argv = argv,
		.env = env,
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

/* ---- a driver stands still, and comes back ---- */

static void test_stopped_driver(void **state)
{
	(void)state;
	struct exec *x = begin();
	struct exec_job job = job_of(2, 5);

	start(x, 1, 5);
	int64_t pid = await_started(1);
	assert_int_equal(exec_prepare(x, &job, NULL), 0);
	start(x, 10, 5); /* and so it is prepared */
	await_started(10);
	struct exec *y = attach(local.own);
	assert_int_equal(claim(y, 2, 4).answer, EXEC_CLAIM_FENCED);
	assert_int_equal(claim(y, 1, 6).answer, EXEC_CLAIM_RUNNING);
	assert_int_equal(claim(y, 2, 6).answer, EXEC_CLAIM_UNKNOWN);
	assert_int_equal(claim(y, 3, 6).answer, EXEC_CLAIM_UNKNOWN);

	/* All of this comes too late, but for token 4, which nobody has claimed. */
	exec_go(x, 2, NULL);
	job = job_of(2, 5);
	exec_prepare(x, &job, NULL);
	exec_go(x, 2, NULL);
	exec_stop(x, 1, EXEC_STOP_HARD, NULL);
	start(x, 3, 5);
	start(x, 3, 6);
	start(x, 4, 5);
	await_started(4);
	assert_int_equal(kill((pid_t)pid, 0), 0);
	assert_false(io_exists(in_home("2")));
	assert_false(io_exists(in_home("2.log")));
	assert_false(io_exists(in_home("3")));
	/* A newer owner than the claimer may. */
	start(x, 3, 7);
	await_started(3);

	say_go();
	struct exec_end end = await_end(y);
	assert_int_equal(end.token, 1);
	assert_int_equal(end.outcome, OUTCOME_FAILED);
	assert_int_equal(end.exit_status, 1);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(await_end(x).token, 1);
	acknowledge(x, 1); /* not its own: passed over */
	assert_int_equal(claim(y, 1, 6).answer, EXEC_CLAIM_ENDED);
	exec_free(x);
	exec_free(y);
	await_gone(local.own);
}

static void test_two_claimers(void **state)
{
	(void)state;
	char *path = leave_running(1);
	struct exec *a = attach(path), *b = attach(path), *c = attach(path);
	struct exec_journal j;

	assert_int_equal(claim(a, 1, 6).answer, EXEC_CLAIM_RUNNING);
	assert_int_equal(claim(b, 1, 7).answer, EXEC_CLAIM_RUNNING);
	assert_int_equal(claim(a, 1, 6).answer, EXEC_CLAIM_FENCED);
	exec_stop(a, 1, EXEC_STOP_HARD, NULL);
	flush(a);
	assert_int_equal(claim(a, 9, 6).answer, EXEC_CLAIM_UNKNOWN); /* so the stop was read */
	say_go();
	assert_int_equal(await_end(b).outcome, OUTCOME_FAILED);
	acknowledge(a, 1);
	/* It is killed before it could record the end. */
	exec_abandon(b);
	struct exec_claim got = claim(c, 1, 8);
	assert_int_equal(got.answer, EXEC_CLAIM_ENDED);
	assert_int_equal(got.end.exit_status, 1);
	assert_int_equal(got.end.signal, 0);
	assert_int_equal(claim(a, 1, 7).answer, EXEC_CLAIM_FENCED);
	/* Nobody records it: it is in the journal. */
	exec_free(a);
	exec_free(c);
	await_gone(path);
	assert_int_equal(exec_journal_read(path, &j, NULL), 0);
	assert_int_equal(j.n, 1);
	assert_true(j.entries[0].ended);
	exec_journal_release(&j);
	free(path);
}

static void test_claimer_stops(void **state)
{
	(void)state;
	char *path = leave_running(1);
	struct exec *a = attach(path);

	assert_int_equal(claim(a, 1, 6).answer, EXEC_CLAIM_RUNNING);
	exec_stop(a, 1, 0, NULL);
	exec_stop(a, 77, 0, NULL);
	flush(a);
	assert_int_equal(await_end(a).outcome, OUTCOME_CANCELLED);
	acknowledge(a, 1);
	exec_free(a);
	await_gone(path);
	assert_false(io_exists(path));
	free(path);
}

/* More claims than one frame holds, and ends that arrive before the answer. */
static void test_own_claims(void **state)
{
	(void)state;
	enum { N = 2 * FRAME_TOKENS_MAX + 7 };
	struct exec *x = begin();
	struct exec_claim *claims = calloc(N, sizeof *claims);
	struct exec_end ends[4];

	assert_non_null(claims);
	start(x, 1, 5);
	start(x, N, 5);
	await_started(N);
	say_go();
	struct pollfd p = { .fd = exec_fd(x), .events = POLLIN };
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	for (int i = 0; i < N; i++)
		claims[i] = (struct exec_claim){ .token = i + 1, .epoch = 5 };
	assert_int_equal(exec_claim(x, claims, N, NULL), 0);
	assert_int_not_equal(claims[0].answer, EXEC_CLAIM_UNKNOWN);
	assert_int_not_equal(claims[N - 1].answer, EXEC_CLAIM_UNKNOWN);
	for (int i = 1; i < N - 1; i++)
		assert_int_equal(claims[i].answer, EXEC_CLAIM_UNKNOWN);
	assert_int_equal(exec_read(x, ends, 1, NULL), 1); /* one more may be kept */
	if (exec_read(x, ends + 1, 3, NULL) == 0)
		ends[1] = await_end(x);
	assert_int_equal(ends[0].token + ends[1].token, N + 1);
	int64_t tokens[] = { 1, 2, 3, N };
	assert_int_equal(exec_ack(x, tokens, COUNT(tokens), NULL), 0);
	exec_free(x);
	assert_false(io_exists(local.own));
	free(claims);
}

/* ---- what stays behind ---- */

static void test_kept_until_acknowledged(void **state)
{
	(void)state;
	struct exec *x = begin();
	struct exec_former f;
	char *path;

	say_go();
	start(x, 1, 5);
	start(x, 2, 5);
	acknowledge(x, await_end(x).token);
	struct exec_end end = await_end(x);
	struct journal_head head = head_of(local.own);
	exec_free(x);
	assert_false(io_exists(in_home(head.socket_name)));

	struct exec *y = begin(); /* and now that one is another's */
	assert_int_equal(former(&path), 1);
	assert_int_equal(provider.open(provider.arg, path, &f, NULL), 0);
	assert_null(f.live);
	assert_false(f.journal.live);
	assert_int_equal(f.journal.n, 2); /* acknowledged ones may still be there */
	for (size_t i = 0; i < f.journal.n; i++) {
		assert_true(f.journal.entries[i].ended);
		assert_string_equal(f.journal.entries[i].home, home);
		if (f.journal.entries[i].token == end.token)
			assert_int_equal(f.journal.entries[i].end.ended_us, end.ended_us);
	}
	exec_journal_release(&f.journal);
	provider.remove(provider.arg, path);
	assert_false(io_exists(path));
	assert_int_equal(former(NULL), 0);
	provider.remove(provider.arg, local.own); /* it lives: not removed */
	assert_true(io_exists(local.own));
	exec_free(y);
	assert_false(io_exists(local.own));
	free(path);
}

static void test_supervisor_killed(void **state)
{
	(void)state;
	char *path = leave_running(2);
	struct journal_head head = head_of(path);
	struct exec *y = attach(path);
	struct exec_former f = { 0 };
	struct exec_claim c = { .token = 1, .epoch = 9 };
	struct err err;

	kill((pid_t)head.pid, SIGKILL);
	while (exec_claim(y, &c, 1, &err) == 0)
		;
	assert_int_equal(err.code, ERR_IO);
	exec_free(y);
	await_gone(path);
	assert_int_equal(provider.open(provider.arg, path, &f, NULL), 0);
	assert_null(f.live);
	assert_int_equal(f.journal.n, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_true(f.journal.entries[i].started && !f.journal.entries[i].ended);
		assert_int_equal(provider.reap(provider.arg, &f.journal.entries[i], NULL), 0);
		int64_t left;
		assert_int_equal(proc_group(f.journal.entries[i].pid, &left, 1), 0);
	}
	exec_journal_release(&f.journal);
	assert_true(io_exists(in_home(head.socket_name)));
	provider.remove(provider.arg, path);
	assert_false(io_exists(in_home(head.socket_name)));
	assert_false(io_exists(path));
	assert_int_equal(provider.open(provider.arg, path, &f, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	free(path);
}

static void put_file(const char *name, const char *text, bool old)
{
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	assert_int_equal(io_write_file(in_home(name), text, strlen(text), NULL), 0);
	if (old)
		assert_int_equal(utimensat(AT_FDCWD, in_home(name), times, 0), 0);
}

/* What a power loss, or a death in the first moment, leaves. */
static void test_rubbish(void **state)
{
	(void)state;
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char dead[ENDPOINT_NAME], live[ENDPOINT_NAME];
	struct exec_former f;
	char *path;

	put_file("a.journal.1.new", "", true);
	put_file("b.journal.2.new", "", false);
	int fd = endpoint_listen(home, dead, NULL);
	assert_true(fd >= 0);
	close(fd);
	fd = endpoint_listen(home, live, NULL);
	assert_int_equal(utimensat(AT_FDCWD, in_home(dead), times, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, in_home(live), times, 0), 0);
	put_file("empty.journal", "", false);
	assert_int_equal(former(&path), 1);
	assert_false(io_exists(in_home("a.journal.1.new")));
	assert_true(io_exists(in_home("b.journal.2.new")));
	assert_false(io_exists(in_home(dead)));
	assert_true(io_exists(in_home(live)));
	close(fd);
	assert_int_equal(provider.open(provider.arg, path, &f, NULL), 0);
	assert_null(f.live);
	assert_int_equal(f.journal.n, 0);
	exec_journal_release(&f.journal);
	provider.remove(provider.arg, path);
	assert_int_equal(former(NULL), 0);
	free(path);
}

/* ---- the journal is written anew ---- */

static void run_and_acknowledge(struct exec *x, int64_t from, int64_t n)
{
	const char *argv[] = { "true", NULL };

	for (int64_t token = from; token < from + n; token++) {
		struct exec_job job = job_of(token, 5);
		struct exec_journal j = { 0 };
		job.argv = argv;
		assert_int_equal(exec_start(x, &job, NULL), 0);
		flush(x);
		assert_int_equal(await_end(x).token, token);
		acknowledge(x, token);
		/* Whoever reads it meanwhile sees one that is whole, and alive. */
		assert_int_equal(exec_journal_read(local.own, &j, NULL), 0);
		assert_true(j.live);
		assert_true(j.n >= 2 && j.entries[0].started);
		exec_journal_release(&j);
	}
}

static void test_journal_anew(void **state)
{
	(void)state;
	const char *argv[] = { "no-such-program", NULL };
	struct exec_job job = job_of(2, 5);
	struct exec_journal j;
	struct stat st;

	setenv("WEIR_TEST_COMPACT_JOURNAL_AT", "4096", 1);
	struct exec *x = begin();
	unsetenv("WEIR_TEST_COMPACT_JOURNAL_AT");
	start(x, 1, 5);
	int64_t pid = await_started(1);
	job.argv = argv;
	exec_start(x, &job, NULL);
	flush(x);
	struct exec_end unrecorded = await_end(x);
	assert_int_equal(unrecorded.token, 2);
	run_and_acknowledge(x, 100, 300);
	assert_int_equal(stat(local.own, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(st.st_size < 3 * 4096);

	assert_int_equal(kill((pid_t)head_of(local.own).pid, SIGKILL), 0);
	assert_int_equal(await_end(x).token, 0);
	exec_free(x);
	struct exec_former f;
	assert_int_equal(provider.open(provider.arg, local.own, &f, NULL), 0);
	assert_null(f.live);
	j = f.journal;
	size_t seen = 0;
	for (size_t i = 0; i < j.n; i++) {
		const struct exec_journal_entry *e = &j.entries[i];
		if (e->token == 1) {
			assert_true(e->started && !e->ended && e->start_boot_us > 0);
			assert_int_equal(e->pid, pid);
			seen++;
		} else if (e->token == 2) {
			assert_true(!e->started && e->ended);
			assert_string_equal(e->end.error, unrecorded.error);
			seen++;
		} else {
			assert_true(e->ended);
		}
	}
	assert_int_equal(seen, 2);
	exec_journal_release(&j);
}

/* Whoever opens the one that is just replaced looks again: its supervisor has not left. */
static void test_read_while_replaced(void **state)
{
	(void)state;
	char path[512];
	struct journal j;
	int status;

	snprintf(path, sizeof path, "%s", in_home("busy.journal"));
	pid_t pid = fork();
	if (pid == 0) {
		struct journal anew;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (journal_create(&j, path, JOURNAL_NO_SOCKET, NULL) < 0)
			_exit(1);
		for (;;)
			if (journal_begin_anew(&j, &anew, JOURNAL_NO_SOCKET, NULL) < 0 ||
				journal_replace(&j, &anew, NULL) < 0)
				_exit(1);
	}
	for (int i = 0; i < WAIT_MS && !io_exists(path); i++)
		poll(NULL, 0, 1);
	for (int i = 0; i < 5000; i++) {
		struct exec_journal read;
		struct journal_head head;
		bool live = false;
		assert_int_equal(exec_journal_read(path, &read, NULL), 0);
		assert_true(read.live);
		exec_journal_release(&read);
		assert_int_equal(journal_read_head(path, &head, &live, NULL), 0);
		assert_true(live);
		assert_int_equal(head.pid, pid);
	}
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

/* Killed at each step around it: what is in hand and not acknowledged is never missing. */
static void test_journal_anew_killed(void **state)
{
	(void)state;
	const char *argv[] = { "true", NULL };
	bool survived = false;

	setenv("WEIR_TEST_COMPACT_JOURNAL_AT", "1", 1);
	for (int at = 1; at < 100 && !survived; at++) {
		char text[16];
		snprintf(text, sizeof text, "%d", at);
		setenv("WEIR_TEST_KILL_SUPERVISOR_AT", text, 1);
		struct exec *x = begin();
		struct exec_former f;
		struct exec_end end = { .token = 1 };
		for (int64_t token = 1; token <= 3 && end.token; token++) {
			struct exec_job job = job_of(token, 5);
			job.argv = argv;
			exec_start(x, &job, NULL);
			exec_flush(x, NULL);
			end = await_end(x);
			if (end.token && end.token != 3) {
				exec_ack(x, &end.token, 1, NULL);
				exec_flush(x, NULL);
			}
		}
		survived = end.token == 3;
		exec_free(x);
		await_gone(local.own);
		/* A last child may hold the lock for a moment: open waits for it. */
		assert_int_equal(provider.open(provider.arg, local.own, &f, NULL), 0);
		assert_null(f.live);
		if (survived) {
			assert_true(
				f.journal.n >= 1 && f.journal.entries[f.journal.n - 1].token == 3);
			assert_true(f.journal.entries[f.journal.n - 1].ended);
		}
		exec_journal_release(&f.journal);
		provider.remove(provider.arg, local.own);
	}
	unsetenv("WEIR_TEST_KILL_SUPERVISOR_AT");
	unsetenv("WEIR_TEST_COMPACT_JOURNAL_AT");
	assert_true(survived);
}

/* ---- versions, and those who talk nonsense ---- */

static int connect_raw(const char *path)
{
	int fd = endpoint_connect(home, head_of(path).socket_name, WAIT_MS, NULL);

	assert_true(fd >= 0);
	return fd;
}

/* The next frame of the other side: its type, or -1 when it hangs up. */
static int next_type(int fd, struct buf *in, struct frame *ret)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (frame_next(in->data, in->len, ret, NULL) != 1) {
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		assert_int_equal(buf_reserve(in, 4096), 0);
		ssize_t n = recv(fd, in->data + in->len, 4096, 0);
		if (n <= 0)
			return -1;
		in->len += (size_t)n;
	}
	return (int)ret->type;
}

static void set_version(struct buf *b, size_t at, uint16_t version)
{
	b->data[at + 4] = (char)version;
}

/* Bytes that a later version has behind what this one knows. */
static void lengthen(struct buf *b, size_t at)
{
	buf_add(b, "later", 5);
	b->data[at] = (char)(b->data[at] + 5);
}

static void test_newer_claims(void **state)
{
	(void)state;
	char *path = leave_running(1);
	struct exec_claim c = { .token = 1, .epoch = 9 };
	struct frame_list list;
	struct frame f;
	struct buf out, in;
	int64_t token = 1;
	int fd = connect_raw(path);

	buf_init(&out, 4096);
	buf_init(&in, 1 << 20);
	assert_int_equal(next_type(fd, &in, &f), FRAME_HELLO);
	buf_consume(&in, f.size);
	assert_int_equal(frame_put_claim(&out, 7, &c, 1, NULL), 0);
	set_version(&out, 0, 3);
	lengthen(&out, 0);
	assert_int_equal(send(fd, out.data, out.len, 0), out.len);
	assert_int_equal(next_type(fd, &in, &f), FRAME_CLAIMED);
	assert_int_equal(frame_get_list(&f, &list, NULL), 0);
	assert_int_equal(list.serial, 7);
	assert_int_equal(frame_next_claimed(&list, &c, NULL), 1);
	assert_int_equal(c.answer, EXEC_CLAIM_RUNNING);
	buf_consume(&in, f.size);

	buf_clear(&out);
	assert_int_equal(frame_put_stop(&out,
				 &(struct frame_stop){ .token = 1, .how = EXEC_STOP_HARD }, NULL),
		0);
	set_version(&out, 0, 3);
	lengthen(&out, 0);
	assert_int_equal(send(fd, out.data, out.len, 0), out.len);
	assert_int_equal(next_type(fd, &in, &f), FRAME_END);
	buf_consume(&in, f.size);

	buf_clear(&out);
	assert_int_equal(frame_put_ack(&out, &token, 1, NULL), 0);
	set_version(&out, 0, 3);
	lengthen(&out, 0);
	assert_int_equal(send(fd, out.data, out.len, 0), out.len);
	assert_int_equal(next_type(fd, &in, &f), -1);
	close(fd);
	await_gone(path);
	assert_false(io_exists(path));
	buf_release(&out);
	buf_release(&in);
	free(path);
}

/* A supervisor of a later version, played by a child that has our socket. */
static void play_newer(int listen_fd, int64_t pid)
{
	struct exec_end end = { .token = 1, .outcome = OUTCOME_SUCCESS };
	struct exec_claim c = { .token = 2, .answer = EXEC_CLAIM_ENDED, .end = end };
	struct buf out;
	char in[4096];

	c.end.token = 2;
	buf_init(&out, 4096);
	frame_put_hello(&out, &(struct frame_hello){ .pid = pid, .msg = "" }, NULL);
	set_version(&out, 0, 3);
	lengthen(&out, 0);
	int flags = fcntl(listen_fd, F_GETFL);
	fcntl(listen_fd, F_SETFL, flags & ~O_NONBLOCK);
	int fd = accept(listen_fd, NULL, NULL);
	ssize_t n = send(fd, out.data, out.len, 0);
	n = n > 0 ? recv(fd, in, sizeof in, 0) : n;
	buf_clear(&out);
	frame_put_end(&out, &end, NULL);
	set_version(&out, 0, 3);
	lengthen(&out, 0);
	size_t at = out.len;
	frame_put_claimed(&out, 1, &c, 1, NULL);
	set_version(&out, at, 3);
	n = n > 0 ? send(fd, out.data, out.len, 0) : n;
	n = n > 0 ? recv(fd, in, sizeof in, 0) : n;
	_exit(n < 0);
}

static void test_newer_supervisor(void **state)
{
	(void)state;
	char name[ENDPOINT_NAME], path[512];
	struct journal j;
	int fd = endpoint_listen(home, name, NULL);

	assert_true(fd >= 0);
	snprintf(path, sizeof path, "%s", in_home("played.journal"));
	assert_int_equal(journal_create(&j, path, name, NULL), 0);
	int64_t self = getpid();
	pid_t pid = fork();
	if (pid == 0)
		play_newer(fd, self);
	struct exec *x = attach(path);
	struct exec_claim c = claim(x, 2, 5);
	assert_int_equal(c.answer, EXEC_CLAIM_ENDED);
	assert_int_equal(c.end.token, 2);
	assert_int_equal(await_end(x).token, 1);
	exec_free(x);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	journal_remove(&j);
	journal_release(&j);
}

static void test_nonsense(void **state)
{
	(void)state;
	struct exec *x = begin();
	struct exec_job job = job_of(1, 5);
	struct frame f;
	struct buf out, in;

	buf_init(&out, 1 << 20);
	buf_init(&in, 1 << 20);
	for (int i = 0; i < 4; i++) {
		int fd = connect_raw(local.own);
		assert_int_equal(next_type(fd, &in, &f), FRAME_HELLO);
		buf_clear(&in);
		buf_clear(&out);
		if (i == 0) /* only its driver may */
			frame_put_start(&out, &job, 0, NULL);
		else if (i == 1)
			frame_put_bye(&out, NULL);
		else if (i == 2)
			buf_addstr(&out, "GET / HTTP/1.1\r\n\r\n");
		else
			frame_put_claim(&out, 1, &(struct exec_claim){ .token = 1 }, 1, NULL);
		if (i == 3)
			out.data[FRAME_HEAD + 5] = 1; /* more claims than there are */
		assert_int_equal(send(fd, out.data, out.len, 0), out.len);
		assert_int_equal(next_type(fd, &in, &f), -1);
		close(fd);
	}
	assert_false(io_exists(in_home("1")));
	assert_int_equal(claim(x, 1, 5).answer, EXEC_CLAIM_UNKNOWN);
	exec_free(x);
	buf_release(&out);
	buf_release(&in);
}

/* More than it has places for: the others wait until one hangs up. */
static void test_many_connections(void **state)
{
	(void)state;
	enum { PLACES = 64 };
	struct exec *x = begin(), *others[PLACES];
	struct frame f;
	struct buf in;

	buf_init(&in, 4096);
	for (int i = 0; i < PLACES; i++)
		others[i] = attach(local.own);
	int fd = connect_raw(local.own);
	assert_int_equal(claim(others[PLACES - 1], 1, 5).answer, EXEC_CLAIM_UNKNOWN);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	assert_int_equal(poll(&p, 1, 10), 0);
	exec_free(others[3]);
	assert_int_equal(next_type(fd, &in, &f), FRAME_HELLO);
	close(fd);
	for (int i = 0; i < PLACES; i++)
		if (i != 3)
			exec_free(others[i]);
	exec_free(x);
	assert_false(io_exists(local.own));
	buf_release(&in);
}

static void test_cannot_be_talked_to(void **state)
{
	(void)state;
	char path[512];
	struct exec_former f;
	struct journal j;
	struct err err;
	struct exec *x;

	snprintf(path, sizeof path, "%s", in_home("mute.journal"));
	assert_int_equal(journal_create(&j, path, JOURNAL_NO_SOCKET, NULL), 0);
	assert_int_equal(exec_local_attach(&x, path, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(provider.open(provider.arg, path, &f, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	journal_remove(&j);
	journal_release(&j);
	assert_int_equal(exec_local_attach(&x, path, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	/* Its socket is there, and nobody listens; its process lives. */
	assert_int_equal(journal_create(&j, path, "0123456789abcdef.sock", NULL), 0);
	assert_int_equal(exec_local_attach(&x, path, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	journal_remove(&j);
	journal_release(&j);
}

/* ---- identity ---- */

/* In ps, where the kernel lets it. */
static void test_title(void **state)
{
	(void)state;
	struct exec *x = begin();
	struct buf text;
	char path[64];

	start(x, 1, 5);
	await_started(1); /* the arguments of a task are its own, and its environment is whole */
	snprintf(path, sizeof path, "/proc/%d/cmdline", (int)head_of(local.own).pid);
	buf_init(&text, 65536);
	assert_int_equal(io_read_file(path, &text, NULL), 0);
	if (strncmp(text.data, "weir supervisor", 15) == 0)
		assert_string_equal(text.data + 16, io_path_base(local.own));
	else
		printf("# the title is not tested: the kernel does not let us\n");
	buf_release(&text);
	say_go();
	acknowledge(x, await_end(x).token);
	exec_free(x);
}

/* A process that has the number of an attempt's, and is another. */
static void test_recycled_pid(void **state)
{
	(void)state;
	struct proc_stat st;
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	setpgid(pid, pid);
	assert_int_equal(proc_stat(pid, &st), 0);
	int64_t born_us = st.start_ticks * proc_tick_us();
	const int64_t others_us[] = { born_us - 3600 * 1000000LL, born_us - 2000000,
		born_us + 2 * proc_tick_us(), born_us + 3600 * 1000000LL };
	for (size_t i = 0; i < COUNT(others_us); i++) {
		struct exec_journal_entry e = { .token = 1,
			.started = true,
			.pid = pid,
			.start_boot_us = others_us[i] > 0 ? others_us[i] : 1 };
		assert_int_equal(exec_reap_stray(&e, NULL), 0);
		assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	}
	assert_int_equal(proc_pidfd(pid, st.start_ticks + 1), -1);
	assert_int_equal(errno, ESRCH);
	struct exec_journal_entry e = {
		.token = 1, .started = true, .pid = pid, .start_boot_us = born_us
	};
	assert_int_equal(exec_reap_stray(&e, NULL), 0);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
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
		cmocka_unit_test_setup_teardown(test_stopped_driver, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_claimers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_claimer_stops, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_own_claims, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kept_until_acknowledged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_supervisor_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rubbish, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_journal_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_while_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_journal_anew_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_newer_claims, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_newer_supervisor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_connections, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cannot_be_talked_to, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_title, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_recycled_pid, set_up, tear_down),
	};
	if (!mkdtemp(folder))
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return rc;
}
