/* The local executor with real processes. */
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
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "exec/exec.h"
#include "exec/proc.h"

#define WAIT_MS 60000 /* far more than anything takes: a hang fails instead of hanging */
#define MS 1000LL
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static char folder[] = "/tmp/test_exec_local.XXXXXX";
static char journal_path[256], log_path[256];
static int serial;

static const char *const test_env[] = { "PATH=/usr/bin:/bin", "WEIR_TOKEN=1", "GREETING=hello",
	NULL };

/* ---- a built-in operator for tests: the payload says what to do ---- */

static int run_operator(const char *payload, size_t len)
{
	char word[64];

	snprintf(word, sizeof word, "%.*s", (int)len, payload);
	if (strncmp(word, "status ", 7) == 0)
		return atoi(word + 7);
	if (strcmp(word, "abort") == 0)
		abort();
	if (strcmp(word, "env") == 0)
		printf("%s %s\n", getenv("GREETING"), getenv("HOME") ? "leak" : "clean");
	if (strcmp(word, "fds") == 0)
		for (int fd = 0; fd < 256; fd++)
			if (fcntl(fd, F_GETFD) >= 0)
				printf("%d ", fd);
	if (strcmp(word, "hang") == 0)
		for (;;)
			pause();
	fprintf(stderr, "last words");
	return 0;
}

/* ---- help ---- */

static struct exec *open_exec(void)
{
	struct err err = { 0 };
	struct exec *x = NULL;
	struct exec_local_config config = { .journal_path = journal_path,
		.run_operator = run_operator };

	serial++;
	snprintf(journal_path, sizeof journal_path, "%s/journal.%d", folder, serial);
	if (exec_local_new(&x, &config, &err) < 0)
		fail_msg("exec_local_new: %s", err.msg);
	return x;
}

static struct exec_job job_of(int64_t token, const char *const *argv)
{
	snprintf(log_path, sizeof log_path, "%s/logs/%d/%" PRId64 ".log", folder, serial, token);
	return (struct exec_job){
		.token = token,
		.argv = argv,
		.env = test_env,
		.cwd = folder,
		.log_path = log_path,
		.grace_us = 100 * MS,
	};
}

static void start(struct exec *x, const struct exec_job *job)
{
	struct err err = { 0 };

	if (exec_start(x, job, &err) < 0 || exec_flush(x, &err) < 0)
		fail_msg("exec_start: %s", err.msg);
}

static void acknowledge(struct exec *x, int64_t token)
{
	struct err err = { 0 };

	if (exec_ack(x, &token, 1, &err) < 0)
		fail_msg("exec_ack: %s", err.msg);
	exec_flush(x, NULL); /* it may be gone by now */
}

static struct exec_end await_end(struct exec *x)
{
	struct exec_end end;
	struct err err = { 0 };

	for (;;) {
		struct pollfd p = { .fd = exec_fd(x), .events = POLLIN };
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		int n = exec_read(x, &end, 1, &err);
		if (n < 0)
			fail_msg("exec_read: %s", err.msg);
		if (n == 1) {
			acknowledge(x, end.token);
			return end;
		}
	}
}

static struct exec_end run_job(struct exec *x, const struct exec_job *job)
{
	start(x, job);
	struct exec_end end = await_end(x);
	assert_int_equal(end.token, job->token);
	return end;
}

static struct exec_end run_shell(struct exec *x, int64_t token, const char *script)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	struct exec_job job = job_of(token, argv);

	return run_job(x, &job);
}

static const char *log_text(void)
{
	static struct buf text;

	buf_release(&text);
	buf_init(&text, 64u << 20);
	io_read_file(log_path, &text, NULL);
	return text.data;
}

/* Wait until the file is there and ends in a newline: what a task tells of itself. */
static int64_t await_number(const char *path)
{
	for (int i = 0; i < WAIT_MS; i++) {
		struct buf text;
		buf_init(&text, 4096);
		io_read_file(path, &text, NULL);
		bool whole = text.len && text.data[text.len - 1] == '\n';
		int64_t n = atoll(text.data);
		buf_release(&text);
		if (whole)
			return n;
		poll(NULL, 0, 1);
	}
	fail_msg("%s: was not written", path);
	return 0;
}

/* The process is gone within the time. */
static void await_gone(int64_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return;
	int rc = poll(&p, 1, WAIT_MS);
	close(fd);
	assert_int_equal(rc, 1);
}

/* A zombie is not: who inherits it may be slow to reap. */
static bool is_alive(int64_t pid)
{
	struct proc_stat st;

	return proc_stat(pid, &st) == 0 && !proc_is_dead(&st);
}

static bool group_is_gone(int64_t pgrp)
{
	for (int i = 0; i < WAIT_MS; i++) {
		if (kill((pid_t)-pgrp, 0) < 0 && errno == ESRCH)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* valgrind makes a fork of vfork, so that the child cannot tell of its failure, and (3.19) has no
 * pidfd_open. */
static bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

static bool have_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		printf("# the next test is skipped: no pidfd_open here\n");
	else
		close(fd);
	return fd >= 0;
}

/* ---- how things end ---- */

static const struct end_case {
	const char *script; /* NULL: argv */
	const char *argv[3];
	const char *cwd;
	enum outcome outcome;
	int status, signal;
	const char *error; /* a part of it */
} end_cases[] = {
	{ .argv = { "true" }, .outcome = OUTCOME_SUCCESS },
	{ .argv = { "/bin/true" }, .outcome = OUTCOME_SUCCESS },
	{ .argv = { "./script" }, .outcome = OUTCOME_SUCCESS },
	{ .argv = { "./no_shebang", "7" }, .outcome = OUTCOME_FAILED, .status = 7 },
	{ .argv = { "false" }, .outcome = OUTCOME_FAILED, .status = 1 },
	{ .script = "exit 99", .outcome = OUTCOME_SKIPPED, .status = 99 },
	{ .script = "exit 255", .outcome = OUTCOME_FAILED, .status = 255 },
	{ .script = "kill -9 $$", .outcome = OUTCOME_FAILED, .status = -1, .signal = SIGKILL },
	{ .script = "kill -TERM $$", .outcome = OUTCOME_FAILED, .status = -1, .signal = SIGTERM },
	{ .script = "kill -PIPE $$", .outcome = OUTCOME_FAILED, .status = -1, .signal = SIGPIPE },
	{ .script = "kill -HUP $$", .outcome = OUTCOME_FAILED, .status = -1, .signal = SIGHUP },
	{ .argv = { "no-such-program" },
		.outcome = OUTCOME_FAILED,
		.status = 127,
		.error = "no-such-program: not found in PATH" },
	{ .argv = { "./no-such-program" },
		.outcome = OUTCOME_FAILED,
		.status = 127,
		.error = "No such file" },
	{ .argv = { "./bad_interpreter" },
		.outcome = OUTCOME_FAILED,
		.status = 127,
		.error = "interpreter" },
	{ .argv = { "./not_executable" },
		.outcome = OUTCOME_FAILED,
		.status = 126,
		.error = "Permission denied" },
	{ .argv = { "/tmp" }, .outcome = OUTCOME_FAILED, .status = 126, .error = "denied" },
	{ .argv = { "/etc/passwd/x" },
		.outcome = OUTCOME_FAILED,
		.status = 127,
		.error = "passwd" },
	{ .argv = { "" }, .outcome = OUTCOME_FAILED, .status = 127, .error = "is empty" },
	{ .argv = { "true" },
		.cwd = "/no/such/folder",
		.outcome = OUTCOME_FAILED,
		.status = 126,
		.error = "/no/such/folder" },
};

static void make_file(const char *name, const char *text, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(io_write_file(path, text, strlen(text), NULL), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void test_ends(void **state)
{
	(void)state;
	struct exec *x = open_exec();

	make_file("script", "#!/bin/sh\nexit 0\n", 0755);
	make_file("no_shebang", "exit $1\n", 0755);
	make_file("bad_interpreter", "#!/no/such/interpreter\n", 0755);
	make_file("not_executable", "#!/bin/sh\n", 0644);
	for (size_t i = 0; i < COUNT(end_cases); i++) {
		const struct end_case *c = &end_cases[i];
		const char *const sh[] = { "/bin/sh", "-c", c->script, NULL };
		if (under_valgrind() && (c->error || strstr(c->argv[0] ? c->argv[0] : "", "no_")))
			continue;
		struct exec_job job = job_of((int64_t)i + 1, c->script ? sh : c->argv);
		job.cwd = c->cwd ? c->cwd : folder;
		struct exec_end e = run_job(x, &job);
		if (e.outcome != c->outcome || e.exit_status != c->status || e.signal != c->signal)
			fail_msg("case %zu: outcome %d status %d signal %d (%s)", i, e.outcome,
				e.exit_status, e.signal, e.error);
		if (c->error ? !strstr(e.error, c->error) : e.error[0])
			fail_msg("case %zu: error \"%s\"", i, e.error);
		assert_true(e.started_us > 0 && e.ended_us >= e.started_us);
	}
	exec_free(x);
}

static void test_setting(void **state)
{
	(void)state;
	struct exec *x = open_exec();

	/* Environment, folder, stdin, group, descriptors, signal mask. */
	run_shell(x, 1, "echo $GREETING ${HOME-clean}; pwd; cat; echo eof");
	assert_non_null(strstr(log_text(), "hello clean\n"));
	assert_non_null(strstr(log_text(), folder));
	assert_non_null(strstr(log_text(), "eof\n"));
	run_shell(x, 2, "set -- $(cat /proc/$$/stat); [ $1 = $5 ] && echo leader");
	assert_string_equal(log_text(), "leader\n");
	const char *ls[] = { "ls", "/proc/self/fd", NULL };
	struct exec_job job = job_of(3, ls);
	run_job(x, &job);
	assert_string_equal(log_text(), "0\n1\n2\n3\n"); /* 3: the folder ls reads */
	const char *grep[] = { "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status", NULL };
	job = job_of(4, grep);
	run_job(x, &job);
	const char *blocked = strstr(log_text(), "SigBlk:"),
		   *ignored = strstr(log_text(), "SigIgn:");
	assert_true(blocked && strtoull(blocked + 7, NULL, 16) == 0);
	/* Bits 31 and 32 are the C library's own signals, which it lets nobody set. */
	assert_true(ignored && (strtoull(ignored + 7, NULL, 16) & ~UINT64_C(0x180000000)) == 0);
	exec_free(x);
}

static void test_log_appends(void **state)
{
	(void)state;
	struct exec *x = open_exec();

	run_shell(x, 1, "echo one; echo two >&2");
	run_shell(x, 1, "echo three"); /* the same token: the same file */
	assert_string_equal(log_text(), "one\ntwo\nthree\n");
	exec_free(x);
}

static void test_log_refused(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "true", NULL };
	const char *const paths[] = { "/proc/no/such/log", "/dev/null/log", folder };

	for (size_t i = 0; i < COUNT(paths); i++) {
		struct exec_job job = job_of(1, argv);
		job.log_path = paths[i];
		struct exec_end e = run_job(x, &job);
		assert_int_equal(e.outcome, OUTCOME_LOST);
		assert_int_equal(e.exit_status, -1);
		assert_non_null(strstr(e.error, "log"));
	}
	exec_free(x);
}

static void test_big_output(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "head", "-c", "20000000", "/dev/zero", NULL };
	const char *secrets[] = { "never-there", NULL };
	struct stat st;

	for (int masked = 0; masked <= 1; masked++) {
		struct exec_job job = job_of(1 + masked, argv);
		job.secrets = masked ? secrets : NULL;
		assert_int_equal(run_job(x, &job).outcome, OUTCOME_SUCCESS);
		assert_int_equal(stat(log_path, &st), 0);
		assert_int_equal(st.st_size, 20000000);
	}
	exec_free(x);
}

static void test_secrets(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "sh", "-c",
		"printf 'pass=hunt'; printf 'er22 and hunter2 '; echo abc >&2; printf hunter",
		NULL };
	const char *secrets[] = { "hunter2", "hunter22", "abc", NULL };
	struct exec_job job = job_of(1, argv);

	job.secrets = secrets;
	assert_int_equal(run_job(x, &job).outcome, OUTCOME_SUCCESS);
	assert_string_equal(log_text(), "pass=*** and *** abc\nhunter");
	exec_free(x);
}

static void test_large_job(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	size_t len = 15u << 20;
	char *payload = calloc(1, 17u << 20);
	struct exec_job job = job_of(1, NULL);
	struct err err;

	memset(payload, 'x', len);
	job.payload = payload;
	job.payload_len = len;
	assert_int_equal(exec_start(x, &job, &err), 0);
	struct exec_job small = job_of(2, (const char *[]){ "true", NULL });
	assert_int_equal(exec_start(x, &small, &err), 0);
	while (exec_flush(x, &err) == 1) {
		struct pollfd p = { .fd = exec_fd(x), .events = POLLOUT };
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	}
	assert_int_equal(await_end(x).token + await_end(x).token, 3);
	job.payload_len = 17u << 20;
	assert_int_equal(exec_start(x, &job, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	job.payload = NULL;
	assert_int_equal(exec_start(x, &job, &err), -1); /* nothing to run */
	small.log_path = "relative";
	assert_int_equal(exec_start(x, &small, &err), -1);
	free(payload);
	exec_free(x);
}

static void test_operators(void **state)
{
	(void)state;
	static const struct {
		const char *payload, *log;
		enum outcome outcome;
		int status, signal;
	} cases[] = {
		{ "status 0", "", OUTCOME_SUCCESS, 0, 0 },
		{ "status 3", "", OUTCOME_FAILED, 3, 0 },
		{ "status 99", "", OUTCOME_SKIPPED, 99, 0 },
		{ "abort", "", OUTCOME_FAILED, -1, SIGABRT },
		{ "env", "hello clean\nlast words", OUTCOME_SUCCESS, 0, 0 },
		{ "fds", "last words0 1 2 ", OUTCOME_SUCCESS, 0, 0 },
		{ "", "last words", OUTCOME_SUCCESS, 0, 0 },
	};
	printf("# unwritten text of the driver"); /* must not turn up in a log */
	struct exec *x = open_exec();

	printf("\n");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct exec_job job = job_of((int64_t)i + 1, NULL);
		job.payload = cases[i].payload;
		job.payload_len = strlen(job.payload);
		struct exec_end e = run_job(x, &job);
		assert_int_equal(e.outcome, cases[i].outcome);
		assert_int_equal(e.exit_status, cases[i].status);
		assert_int_equal(e.signal, cases[i].signal);
		if (cases[i].signal == 0) /* sanitizers comment on an abort */
			assert_string_equal(log_text(), cases[i].log);
		assert_null(strstr(log_text(), "unwritten"));
	}
	struct exec_job job = job_of(50, NULL);
	job.payload = "status 0";
	job.payload_len = 8;
	job.cwd = "/no/such/folder";
	assert_int_equal(run_job(x, &job).exit_status, 126);
	assert_non_null(strstr(log_text(), "/no/such/folder"));
	exec_free(x);
}

static void test_usage(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	struct exec_end e = run_shell(x, 1, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");

	assert_true(e.max_rss_bytes > 100000);
	assert_true(e.cpu_us > 0);
	exec_free(x);
}

/* ---- groups that outlive their leader ---- */

static void test_background_is_awaited(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "sh", "-c",
		"echo $$ > first; echo early; (read x < fifo; echo late) &", NULL };
	struct exec_job job = job_of(1, argv);
	char fifo[256], first[256];

	snprintf(fifo, sizeof fifo, "%s/fifo", folder);
	snprintf(first, sizeof first, "%s/first", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	job.grace_us = WAIT_MS * MS;
	start(x, &job);
	int fd = open(fifo, O_WRONLY); /* returns when the background process has it open */
	await_gone(await_number(first));
	assert_int_equal(write(fd, "x\n", 2), 2);
	close(fd);
	assert_int_equal(await_end(x).outcome, OUTCOME_SUCCESS);
	assert_string_equal(log_text(), "early\nlate\n");
	exec_free(x);
}

static void test_background_is_ended(void **state)
{
	(void)state;
	struct exec *x = open_exec();

	for (int masked = 0; masked <= 1; masked++) {
		const char *argv[] = { "sh", "-c", "trap '' TERM; sleep 1000 & echo $!; exit 5",
			NULL };
		const char *secrets[] = { "secret", NULL };
		struct exec_job job = job_of(1 + masked, argv);
		job.secrets = masked ? secrets : NULL;
		job.grace_us = 30 * MS;
		struct exec_end e = run_job(x, &job);
		assert_int_equal(e.outcome, OUTCOME_FAILED);
		assert_int_equal(e.exit_status, 5);
		pid_t pid = atoi(log_text());
		assert_true(pid > 1);
		assert_int_equal(kill(pid, 0), -1); /* it is gone, and reaped by the supervisor */
	}
	exec_free(x);
}

/* With secrets, one in another session that holds the output is not waited for beyond the grace,
 * and not killed. */
static void test_output_held_elsewhere(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "sh", "-c",
		"setsid sh -c 'echo $$ > held; exec sleep 1000' & "
		"while ! [ -s held ]; do :; done; echo done",
		NULL };
	const char *secrets[] = { "secret", NULL };
	struct exec_job job = job_of(1, argv);
	char held[256];

	job.secrets = secrets;
	job.grace_us = 30 * MS;
	assert_int_equal(run_job(x, &job).outcome, OUTCOME_SUCCESS);
	assert_string_equal(log_text(), "done\n");
	snprintf(held, sizeof held, "%s/held", folder);
	pid_t pid = (pid_t)await_number(held);
	assert_int_equal(kill(pid, SIGKILL), 0);
	exec_free(x);
}

/* ---- timeouts and stops ---- */

/* Until it ran into its timeout after it printed something, and not on its way there: how long that
 * takes, a busy machine alone knows. */
static struct exec_end run_too_long(struct exec *x, struct exec_job *job)
{
	struct exec_end e;

	job->timeout_us = 50 * MS;
	do {
		unlink(log_path);
		e = run_job(x, job);
		job->timeout_us *= 2;
	} while (e.outcome == OUTCOME_TIMEOUT && !log_text()[0] && job->timeout_us < WAIT_MS * MS);
	return e;
}

static void test_timeout(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		int64_t grace_ms;
		int status, signal;
	} cases[] = {
		{ "echo ready; exec sleep 1000", WAIT_MS, -1, SIGTERM },
		{ "trap '' TERM; echo ready; while :; do sleep 1000; done", 30, -1, SIGKILL },
		{ "trap 'exit 0' TERM; echo ready; while :; do read x < /proc/version; done",
			WAIT_MS, 0, 0 },
		{ "echo ready; exec sleep 1000", 0, -1, SIGKILL },
		{ "echo ready; kill -STOP $$", WAIT_MS, -1, SIGTERM },
	};
	struct exec *x = open_exec();

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *argv[] = { "sh", "-c", cases[i].script, NULL };
		struct exec_job job = job_of((int64_t)i + 1, argv);
		job.grace_us = cases[i].grace_ms * MS;
		struct exec_end e = run_too_long(x, &job);
		assert_int_equal(e.outcome, OUTCOME_TIMEOUT);
		assert_int_equal(e.exit_status, cases[i].status);
		assert_int_equal(e.signal, cases[i].signal);
		assert_true(e.ended_us - e.started_us >= 45 * MS);
	}
	exec_free(x);
}

static void test_no_timeout_after_end(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "sh", "-c", "sleep 1000 & exit 0", NULL };
	struct exec_job job = job_of(1, argv);
	enum outcome outcome = OUTCOME_NONE;

	/* A busy machine may take longer to run it. */
	for (int64_t ms = 30; ms < WAIT_MS; ms *= 4) {
		job.timeout_us = ms * MS;
		job.grace_us = 3 * ms * MS;
		outcome = run_job(x, &job).outcome;
		if (outcome != OUTCOME_TIMEOUT)
			break;
	}
	assert_int_equal(outcome, OUTCOME_SUCCESS);
	exec_free(x);
}

static void stop_case(struct exec *x, const char *script, unsigned how, int expected_signal)
{
	char ready[256];
	const char *argv[] = { "sh", "-c", script, NULL };
	struct exec_job job = job_of(7, argv);

	snprintf(ready, sizeof ready, "%s/ready", folder);
	unlink(ready);
	/* What ends by itself may take its time to. */
	job.grace_us =
		expected_signal == SIGKILL && !(how & EXEC_STOP_HARD) ? 50 * MS : WAIT_MS * MS;
	start(x, &job);
	await_number(ready);
	assert_int_equal(exec_stop(x, 7, how, NULL), 0);
	assert_int_equal(exec_stop(x, 12345, how, NULL), 0); /* unknown: passed over */
	assert_int_equal(exec_flush(x, NULL), 0);
	struct exec_end e = await_end(x);
	assert_int_equal(e.outcome, how & EXEC_STOP_LOST ? OUTCOME_LOST : OUTCOME_CANCELLED);
	assert_int_equal(e.signal, expected_signal);
}

static void test_stop(void **state)
{
	(void)state;
	struct exec *x = open_exec();

	stop_case(x, "echo 1 > ready; exec sleep 1000", 0, SIGTERM);
	stop_case(x, "echo 1 > ready; exec sleep 1000", EXEC_STOP_LOST, SIGTERM);
	stop_case(x, "trap 'exit 0' TERM; echo 1 > ready; while :; do :; done", 0, 0);
	stop_case(x, "trap '' TERM; echo 1 > ready; while :; do sleep 1000; done", 0, SIGKILL);
	stop_case(x, "trap '' TERM; echo 1 > ready; while :; do sleep 1000; done", EXEC_STOP_HARD,
		SIGKILL);
	struct exec_job job = job_of(8, NULL);
	job.payload = "hang";
	job.payload_len = 4;
	start(x, &job);
	exec_stop(x, 8, 0, NULL);
	exec_flush(x, NULL);
	assert_int_equal(await_end(x).outcome, OUTCOME_CANCELLED);
	exec_free(x);
}

/* ---- hold and go ---- */

static void hold(struct exec *x, const struct exec_job *job)
{
	struct err err = { 0 };

	if (exec_prepare(x, job, &err) < 0 || exec_flush(x, &err) < 0)
		fail_msg("exec_prepare: %s", err.msg);
}

static void go(struct exec *x, int64_t token)
{
	struct err err = { 0 };

	if (exec_go(x, token, &err) < 0 || exec_flush(x, &err) < 0)
		fail_msg("exec_go: %s", err.msg);
}

/* The supervisor acts in order: what was sent before has been dealt with. */
static void fence(struct exec *x)
{
	const char *argv[] = { "true", NULL };
	struct exec_job job = job_of(999, argv);

	assert_int_equal(run_job(x, &job).outcome, OUTCOME_SUCCESS);
}

static const char *log_of(int64_t token)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/logs/%d/%" PRId64 ".log", folder, serial, token);
	return path;
}

static struct exec_job marking_job(int64_t token)
{
	static const char *const argv[] = { "sh", "-c", "echo $GREETING; echo 1 > marked", NULL };
	struct exec_job job = job_of(token, argv);
	char marked[256];

	snprintf(marked, sizeof marked, "%s/marked", folder);
	unlink(marked);
	return job;
}

static bool is_marked(void)
{
	char marked[256];

	snprintf(marked, sizeof marked, "%s/marked", folder);
	return io_exists(marked);
}

static void test_prepare_starts_nothing(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	struct exec_job job = marking_job(1);
	struct exec_journal j;

	job.timeout_us = 1; /* of the process, not of the wait for its go */
	hold(x, &job);
	hold(x, &job); /* the same again: passed over */
	fence(x);
	assert_true(io_exists(log_of(1)));
	assert_false(is_marked());
	assert_int_equal(exec_journal_read(journal_path, &j, NULL), 0);
	for (size_t i = 0; i < j.n; i++)
		assert_int_not_equal(j.entries[i].token, 1);
	exec_journal_release(&j);
	poll(NULL, 0, 5);
	exec_free(x);
	assert_false(is_marked());
	assert_false(io_exists(log_of(1)));
	assert_false(io_exists(journal_path)); /* nothing was in flight */
}

static void test_go(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	struct exec_job job = marking_job(1);

	hold(x, &job);
	fence(x);
	go(x, 1);
	struct exec_end e = await_end(x);
	assert_int_equal(e.token, 1);
	assert_int_equal(e.outcome, OUTCOME_SUCCESS);
	assert_true(is_marked());
	marking_job(1); /* log_path is its */
	assert_string_equal(log_text(), "hello\n");
	/* Both at once, an operator, with secrets, and what a released one leaves of its timeout.
	 */
	const char *argv[] = { "sh", "-c", "echo secret; exec sleep 1000", NULL };
	const char *secrets[] = { "secret", NULL };
	job = job_of(2, NULL);
	job.payload = "status 5";
	job.payload_len = 8;
	hold(x, &job);
	go(x, 2);
	assert_int_equal(await_end(x).exit_status, 5);
	job = job_of(3, argv);
	job.secrets = secrets;
	job.timeout_us = 50 * MS;
	struct exec_end last;
	do { /* in a busy machine's time */
		hold(x, &job);
		go(x, 3);
		last = await_end(x);
		job.timeout_us *= 2;
	} while (!log_text()[0] && job.timeout_us < WAIT_MS * MS);
	assert_int_equal(last.outcome, OUTCOME_TIMEOUT);
	assert_string_equal(log_text(), "***\n");
	exec_free(x);
}

/* Ends come for all that got their go, in whichever order they were prepared; more are held than
 * logs are opened ahead. */
static void test_go_in_any_order(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "sh", "-c", "echo done", NULL };
	enum { N = 40 };
	bool seen[N + 1] = { false };
	struct err err;

	for (int i = 1; i <= N; i++) {
		struct exec_job job = job_of(i, argv);
		hold(x, &job);
	}
	fence(x);
	assert_true(io_exists(log_of(1)));
	assert_false(io_exists(log_of(N)));
	for (int i = N; i >= 1; i--)
		assert_int_equal(exec_go(x, i, &err), 0);
	assert_int_equal(exec_flush(x, &err), 0);
	for (int i = 1; i <= N; i++) {
		struct exec_end e = await_end(x);
		assert_int_equal(e.outcome, OUTCOME_SUCCESS);
		assert_true(e.token >= 1 && e.token <= N && !seen[e.token]);
		seen[e.token] = true;
		job_of(e.token, argv);
		assert_string_equal(log_text(), "done\n");
	}
	exec_free(x);
}

/* Dropped and stopped ones leave nothing behind; a log that was there before stays. */
static void test_drop_and_stop_of_held(void **state)
{
	(void)state;
	struct exec *x = open_exec();

	run_shell(x, 4, "true"); /* its log is empty, and not the held one's to remove */
	for (int64_t token = 1; token <= 4; token++) {
		struct exec_job job = marking_job(token);
		hold(x, &job);
	}
	assert_int_equal(exec_drop(x, 1, NULL), 0);
	assert_int_equal(exec_drop(x, 12345, NULL), 0);
	assert_int_equal(exec_stop(x, 2, 0, NULL), 0);
	assert_int_equal(exec_stop(x, 3, EXEC_STOP_HARD, NULL), 0);
	assert_int_equal(exec_drop(x, 4, NULL), 0);
	fence(x); /* the only end that comes */
	assert_false(is_marked());
	for (int64_t token = 1; token <= 3; token++)
		assert_false(io_exists(log_of(token)));
	assert_true(io_exists(log_of(4)));
	/* What is not held any more cannot go: an end says so, for its caller waits for one. */
	go(x, 1);
	struct exec_end e = await_end(x);
	assert_int_equal(e.token, 1);
	assert_int_equal(e.outcome, OUTCOME_LOST);
	assert_non_null(strstr(e.error, "prepared"));
	/* A second go of a task in hand is passed over. */
	struct exec_job job = marking_job(5);
	hold(x, &job);
	assert_int_equal(exec_go(x, 5, NULL), 0);
	go(x, 5);
	assert_int_equal(await_end(x).outcome, OUTCOME_SUCCESS);
	exec_free(x);
}

static void test_prepare_log_refused(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "true", NULL };
	const char *const paths[] = { "/proc/no/such/log", "/dev/null/log", folder };
	struct err err;

	for (size_t i = 0; i < COUNT(paths); i++) {
		struct exec_job job = job_of(1, argv);
		job.log_path = paths[i];
		hold(x, &job);
		fence(x); /* no end of it: nobody knows yet that it shall be */
		go(x, 1);
		struct exec_end e = await_end(x);
		assert_int_equal(e.token, 1);
		assert_int_equal(e.outcome, OUTCOME_LOST);
		assert_int_equal(e.exit_status, -1);
		assert_non_null(strstr(e.error, "log"));
		assert_null(strstr(e.error, "Success"));
	}
	struct exec_job job = job_of(1, argv);
	job.cwd = "relative";
	assert_int_equal(exec_prepare(x, &job, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	exec_free(x);
}

/* A supervisor that is told to stop forgets what it holds. */
static void test_held_supervisor_stops(void **state)
{
	(void)state;
	if (!have_pidfd())
		return;
	struct exec *x = open_exec();
	struct exec_job job = marking_job(1);

	const char *argv[] = { "sh", "-c",
		"trap '' TERM; echo 1 > ready; while :; do sleep 1000; done", NULL };
	struct exec_job other = job_of(2, argv);
	char ready[256];
	snprintf(ready, sizeof ready, "%s/ready", folder);
	unlink(ready);
	job.log_path = log_of(1);
	hold(x, &job);
	other.log_path = log_path;
	start(x, &other);
	await_number(ready);
	assert_int_equal(exec_journal_stop(journal_path, false, NULL), 0);
	go(x, 1); /* the driver may not know */
	for (int64_t token = 1; token <= 2; token++) {
		struct exec_end e = await_end(x);
		assert_int_equal(e.token, token);
		assert_int_equal(e.outcome, OUTCOME_LOST);
	}
	exec_free(x);
	assert_false(is_marked());
	assert_false(io_exists(log_of(1)));
}

/* ---- many ---- */

static void test_many(void **state)
{
	(void)state;
	struct exec *x = open_exec();
	const char *argv[] = { "true", NULL };
	enum { N = 1200 }; /* enough to make it drop old timers */
	bool seen[N + 1] = { false };
	struct exec_end ends[16];
	struct err err;
	int n = 0;

	for (int i = 1; i <= N; i++) {
		struct exec_job job = job_of(i, argv);
		job.timeout_us = 3600 * 1000 * MS;
		assert_int_equal(exec_start(x, &job, &err), 0);
	}
	while (n < N) {
		bool all = exec_flush(x, &err) == 0;
		struct pollfd p = { exec_fd(x), (short)(all ? POLLIN : POLLIN | POLLOUT), 0 };
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		int got = exec_read(x, ends, COUNT(ends), &err);
		assert_true(got >= 0);
		for (int i = 0; i < got; i++) {
			assert_int_equal(ends[i].outcome, OUTCOME_SUCCESS);
			assert_false(seen[ends[i].token]);
			seen[ends[i].token] = true;
			assert_int_equal(exec_ack(x, &ends[i].token, 1, &err), 0);
		}
		n += got;
	}
	exec_free(x);
	assert_false(io_exists(journal_path));
}

/* ---- the end of a driver ---- */

static void read_journal(struct exec_journal *ret)
{
	struct err err = { 0 };

	if (exec_journal_read(journal_path, ret, &err) < 0)
		fail_msg("exec_journal_read: %s", err.msg);
}

/* The task may tell of itself before its supervisor has written that it was started. */
static void await_started(void)
{
	size_t n = 0;

	for (int i = 0; i < WAIT_MS && n == 0; i++) {
		struct exec_journal j;
		if (exec_journal_read(journal_path, &j, NULL) == 0) {
			n = j.n;
			exec_journal_release(&j);
		}
		poll(NULL, 0, 1);
	}
	assert_true(n > 0);
}

/* A driver that starts the job and is killed. Returns when it is dead, the job has told its
 * number in `path` (NULL: it does not), and the journal knows of it. */
static int64_t start_and_die(const struct exec_job *job, const char *path)
{
	pid_t pid;

	serial++;
	snprintf(journal_path, sizeof journal_path, "%s/journal.%d", folder, serial);
	pid = fork();
	if (pid == 0) {
		struct exec *x;
		struct exec_local_config config = { .journal_path = journal_path,
			.run_operator = run_operator };
		if (exec_local_new(&x, &config, NULL) == 0 && exec_start(x, job, NULL) == 0 &&
			exec_flush(x, NULL) == 0)
			for (;;)
				pause();
		_exit(1);
	}
	int64_t n = path ? await_number(path) : 0;
	await_started();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return n;
}

static void await_supervisor(void)
{
	int fd = exec_journal_wait_fd(journal_path, NULL);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return;
	int rc = poll(&p, 1, WAIT_MS);
	close(fd);
	assert_int_equal(rc, 1);
}

static int64_t supervisor_pid(void)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	assert_int_equal(io_read_file(journal_path, &text, NULL), 0);
	int64_t pid = atoll(text.data + strlen("weir-journal 1 "));
	buf_release(&text);
	return pid;
}

static char told[256];

static struct exec_job telling_job(const char *const *argv)
{
	struct exec_job job = job_of(42, argv);

	snprintf(told, sizeof told, "%s/told", folder);
	unlink(told);
	return job;
}

static void test_driver_dies(void **state)
{
	(void)state;
	if (!have_pidfd())
		return;
	const char *argv[] = { "sh", "-c", "echo $$ > told; read x < fifo2; echo $x; exit 3",
		NULL };
	struct exec_job job = telling_job(argv);
	struct exec_journal j;
	char fifo[256];

	snprintf(fifo, sizeof fifo, "%s/fifo2", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	int64_t pid = start_and_die(&job, told);
	read_journal(&j);
	assert_true(j.live);
	assert_int_equal(j.n, 1);
	assert_true(j.entries[0].started && !j.entries[0].ended);
	assert_int_equal(j.entries[0].pid, pid);
	exec_journal_release(&j);
	int fd = open(fifo, O_WRONLY);
	assert_int_equal(write(fd, "still here\n", 11), 11);
	close(fd);
	await_supervisor();
	read_journal(&j);
	assert_false(j.live);
	assert_int_equal(j.n, 1);
	assert_true(j.entries[0].ended);
	assert_int_equal(j.entries[0].end.outcome, OUTCOME_FAILED);
	assert_int_equal(j.entries[0].end.exit_status, 3);
	assert_string_equal(log_text(), "still here\n");
	exec_journal_release(&j);
	/* A journal that was not settled is not written over. */
	struct err err;
	struct exec *x;
	struct exec_local_config config = { .journal_path = journal_path };
	assert_int_equal(exec_local_new(&x, &config, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
}

/* The disk takes no more when the task ends: the supervisor stays until the end is written. */
/* A driver that prepares and dies before it could commit: no trace is left, also while another task
 * goes on. */
static void test_driver_dies_before_go(void **state)
{
	(void)state;
	if (!have_pidfd())
		return;
	struct exec_journal j;

	serial++;
	snprintf(journal_path, sizeof journal_path, "%s/journal.%d", folder, serial);
	struct exec_job job = marking_job(1);
	const char *argv[] = { "sh", "-c", "echo $$ > told; read x < fifo5", NULL };
	char path[256], fifo[256];
	snprintf(path, sizeof path, "%s", log_path);
	job.log_path = path;
	struct exec_job other = telling_job(argv);
	snprintf(fifo, sizeof fifo, "%s/fifo5", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct exec *x;
		struct exec_local_config config = { .journal_path = journal_path,
			.run_operator = run_operator };
		if (exec_local_new(&x, &config, NULL) == 0 && exec_prepare(x, &job, NULL) == 0 &&
			exec_start(x, &other, NULL) == 0 && exec_flush(x, NULL) == 0)
			for (;;)
				pause();
		_exit(1);
	}
	await_number(told);
	assert_true(io_exists(path));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < WAIT_MS && io_exists(path); i++)
		poll(NULL, 0, 1);
	assert_false(io_exists(path));
	int fd = open(fifo, O_WRONLY);
	assert_int_equal(write(fd, "x\n", 2), 2);
	close(fd);
	await_supervisor();
	assert_false(is_marked());
	read_journal(&j);
	assert_int_equal(j.n, 1);
	assert_int_equal(j.entries[0].token, other.token);
	exec_journal_release(&j);
}

static void test_driver_dies_on_full_disk(void **state)
{
	(void)state;
	if (!have_pidfd())
		return;
	const char *argv[] = { "sh", "-c", "echo $$ > told; read x < fifo4; exit 4", NULL };
	struct exec_job job = telling_job(argv);
	struct exec_journal j;
	struct stat st;
	char fifo[256];

	snprintf(fifo, sizeof fifo, "%s/fifo4", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	int64_t task = start_and_die(&job, told);
	pid_t supervisor = (pid_t)supervisor_pid();
	assert_int_equal(stat(journal_path, &st), 0);
	struct rlimit before, full = { (rlim_t)st.st_size + 3, RLIM_INFINITY };
	assert_int_equal(prlimit(supervisor, RLIMIT_FSIZE, &full, &before), 0);
	int fd = open(fifo, O_WRONLY);
	assert_int_equal(write(fd, "x\n", 2), 2);
	close(fd);
	assert_true(group_is_gone(task));
	read_journal(&j);
	assert_true(j.live);
	assert_false(j.entries[0].ended);
	exec_journal_release(&j);
	assert_int_equal(prlimit(supervisor, RLIMIT_FSIZE, &before, NULL), 0);
	await_supervisor();
	read_journal(&j);
	assert_true(j.entries[0].ended);
	assert_int_equal(j.entries[0].end.exit_status, 4);
	exec_journal_release(&j);
}

static void test_driver_dies_timeout_applies(void **state)
{
	(void)state;
	if (!have_pidfd())
		return;
	const char *argv[] = { "sleep", "1000", NULL };
	struct exec_job job = job_of(42, argv);
	struct exec_journal j;

	job.timeout_us = 300 * MS;
	start_and_die(&job, NULL);
	await_supervisor();
	read_journal(&j);
	assert_true(!j.live && j.n == 1);
	assert_int_equal(j.entries[0].end.outcome, OUTCOME_TIMEOUT);
	exec_journal_release(&j);
}

static void test_journal_stop(void **state)
{
	(void)state;
	if (!have_pidfd())
		return;
	for (int hard = 0; hard <= 1; hard++) {
		const char *argv[] = { "sh", "-c",
			"trap 'echo asked; exit 0' TERM; echo $$ > told; while :; do :; done",
			NULL };
		struct exec_job job = telling_job(argv);
		struct exec_journal j;
		job.token += hard;
		job.grace_us = WAIT_MS * MS;
		start_and_die(&job, told);
		assert_int_equal(exec_journal_stop(journal_path, hard, NULL), 0);
		await_supervisor();
		read_journal(&j);
		assert_int_equal(j.entries[0].end.outcome, OUTCOME_LOST);
		assert_int_equal(j.entries[0].end.signal, hard ? SIGKILL : 0);
		assert_int_equal(exec_reap_stray(&j.entries[0], NULL), 0);
		exec_journal_release(&j);
		struct err err;
		assert_int_equal(exec_journal_stop(journal_path, hard, &err), -1);
		assert_int_equal(err.code, ERR_NOT_FOUND);
	}
}

/* ---- the end of a supervisor ---- */

static void test_supervisor_is_told_to_stop(void **state)
{
	(void)state;
	const char *argv[] = { "sh", "-c",
		"trap 'echo 1 > asked' TERM; echo $$ > told; until [ -e leave ]; do sleep 0.01; "
		"done",
		NULL };
	struct exec *x = open_exec();
	struct exec_job job = telling_job(argv);
	struct exec_journal j;
	struct exec_end end;
	struct err err;
	char asked[256];

	snprintf(asked, sizeof asked, "%s/asked", folder);
	job.grace_us = WAIT_MS * MS;
	start(x, &job);
	start(x, &job); /* the same token again: passed over */
	await_number(told);
	assert_int_equal(kill((pid_t)supervisor_pid(), SIGTERM), 0);
	await_number(asked);
	start(x, &job); /* also while it stops */
	make_file("leave", "", 0600);
	struct exec_job late = job_of(43, argv);
	end = await_end(x);
	assert_int_equal(end.token, 42);
	assert_int_equal(end.outcome, OUTCOME_LOST);
	/* It leaves; what is started now meets nobody, or is refused. */
	exec_start(x, &late, &err);
	exec_flush(x, &err);
	int n;
	do {
		struct pollfd p = { .fd = exec_fd(x), .events = POLLIN };
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		n = exec_read(x, &end, 1, &err);
		if (n == 1) {
			assert_int_equal(end.outcome, OUTCOME_LOST);
			assert_int_equal(end.token, 43); /* 42 has ended once */
		}
	} while (n >= 0);
	read_journal(&j);
	assert_int_equal(j.entries[0].end.outcome, OUTCOME_LOST);
	exec_journal_release(&j);
	exec_free(x);
}

static void test_supervisor_dies(void **state)
{
	(void)state;
	if (!have_pidfd())
		return;
	const char *argv[] = { "sh", "-c",
		"(trap '' TERM; sh -c 'while :; do sleep 1000; done' & echo $! > told; wait) & "
		"wait",
		NULL };
	struct exec *x = open_exec();
	struct exec_job job = telling_job(argv);
	struct exec_journal j;
	struct exec_end end;
	struct err err;

	const char *env[] = { "PATH=/usr/bin:/bin", "WEIR_TOKEN=42", NULL };
	job.env = env;
	job.grace_us = WAIT_MS * MS;
	start(x, &job);
	int64_t grandchild = await_number(told), supervisor = supervisor_pid();
	await_started();
	read_journal(&j);
	int64_t leader = j.entries[0].pid;
	exec_journal_release(&j);
	kill((pid_t)supervisor, SIGKILL);
	struct pollfd p = { .fd = exec_fd(x), .events = POLLIN };
	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_int_equal(exec_read(x, &end, 1, &err), -1);
	assert_int_equal(err.code, ERR_IO);
	waitpid((pid_t)supervisor, NULL, 0);
	await_gone(leader); /* by PDEATHSIG */
	assert_true(is_alive(grandchild));
	read_journal(&j);
	assert_false(j.live);
	assert_true(j.entries[0].started && !j.entries[0].ended);
	/* Another's group with the same number: a token that is not in its environment. */
	struct exec_journal_entry other = j.entries[0];
	other.token = 43;
	other.session = 0;
	assert_int_equal(exec_reap_stray(&other, &err), 0);
	assert_true(is_alive(grandchild));
	other = j.entries[0];
	other.start_boot_us += 3600 * 1000 * MS; /* they are older than the attempt */
	assert_int_equal(exec_reap_stray(&other, &err), 0);
	assert_true(is_alive(grandchild));
	/* Whatever became of its environment, it is in the dead supervisor's session. */
	other = j.entries[0];
	other.token = 43;
	assert_int_equal(exec_reap_stray(&other, &err), 0);
	await_gone(grandchild);
	assert_true(group_is_gone(leader));
	exec_journal_release(&j);
	assert_int_equal(exec_start(x, &job, &err), 0);
	assert_int_equal(exec_flush(x, &err), -1);
	exec_free(x);
}

/* It kills itself at each of its steps in turn: the journal is readable, nothing runs on, and what
 * the driver heard of is in the journal. */
static void test_supervisor_dies_at_each_step(void **state)
{
	(void)state;
	const char *argv[] = { "true", NULL };
	bool came_through = false;

	for (int at = 1; at < 40 && !came_through; at++) {
		char text[16];
		struct exec_end end;
		struct exec_journal j;
		int heard = 0, n = 0;
		snprintf(text, sizeof text, "%d", at);
		setenv("WEIR_TEST_KILL_SUPERVISOR_AT", text, 1);
		struct exec *x = open_exec();
		unsetenv("WEIR_TEST_KILL_SUPERVISOR_AT");
		for (int i = 1; i <= 3 && n >= 0; i++) {
			struct exec_job job = job_of(i, argv);
			assert_int_equal(exec_start(x, &job, NULL), 0);
			if (exec_flush(x, NULL) < 0)
				break;
			struct pollfd p = { .fd = exec_fd(x), .events = POLLIN };
			assert_int_equal(poll(&p, 1, WAIT_MS), 1);
			n = exec_read(x, &end, 1, NULL);
			heard += n > 0;
		}
		came_through = heard == 3;
		read_journal(&j);
		int ended = 0;
		for (size_t i = 0; i < j.n; i++) {
			assert_true(j.entries[i].started);
			ended += j.entries[i].ended;
			assert_int_equal(exec_reap_stray(&j.entries[i], NULL), 0);
		}
		assert_true(ended >= heard);
		exec_journal_release(&j);
		exec_free(x);
		unlink(journal_path);
	}
	assert_true(came_through);
}

static void test_free_in_flight(void **state)
{
	(void)state;
	if (!have_pidfd())
		return;
	struct exec *x = open_exec();
	const char *argv[] = { "sh", "-c", "echo $$ > told; read x < fifo3", NULL };
	struct exec_job job = telling_job(argv);
	struct exec_journal j;
	char fifo[256];

	snprintf(fifo, sizeof fifo, "%s/fifo3", folder);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	start(x, &job);
	await_number(told);
	exec_free(x); /* does not wait; the task goes on */
	int fd = open(fifo, O_WRONLY);
	assert_int_equal(write(fd, "x\n", 2), 2);
	close(fd);
	await_supervisor();
	read_journal(&j);
	assert_int_equal(j.entries[0].end.outcome, OUTCOME_SUCCESS);
	exec_journal_release(&j);
	exec_free(NULL);
}

static void test_no_folder_for_journal(void **state)
{
	(void)state;
	struct exec_local_config config = { .journal_path = "/no/such/folder/journal" };
	struct exec *x;
	struct err err;

	assert_int_equal(exec_local_new(&x, &config, &err), -1);
	assert_non_null(strstr(err.msg, "/no/such/folder/journal"));
	assert_int_equal(
		exec_journal_read(config.journal_path, &(struct exec_journal){ 0 }, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int make_folder(void **state)
{
	(void)state;
	/* Strays of a killed supervisor come to us, and go when they are reaped. */
	signal(SIGPIPE, SIG_IGN);
	setenv("HOME", "/root", 1);
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	log_path[0] = '\0';
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_setting),
		cmocka_unit_test(test_log_appends),
		cmocka_unit_test(test_log_refused),
		cmocka_unit_test(test_big_output),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_large_job),
		cmocka_unit_test(test_operators),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_background_is_awaited),
		cmocka_unit_test(test_background_is_ended),
		cmocka_unit_test(test_output_held_elsewhere),
		cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_no_timeout_after_end),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_prepare_starts_nothing),
		cmocka_unit_test(test_go),
		cmocka_unit_test(test_go_in_any_order),
		cmocka_unit_test(test_drop_and_stop_of_held),
		cmocka_unit_test(test_prepare_log_refused),
		cmocka_unit_test(test_held_supervisor_stops),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_driver_dies),
		cmocka_unit_test(test_driver_dies_before_go),
		cmocka_unit_test(test_driver_dies_on_full_disk),
		cmocka_unit_test(test_driver_dies_timeout_applies),
		cmocka_unit_test(test_journal_stop),
		cmocka_unit_test(test_supervisor_is_told_to_stop),
		cmocka_unit_test(test_supervisor_dies),
		cmocka_unit_test(test_supervisor_dies_at_each_step),
		cmocka_unit_test(test_free_in_flight),
		cmocka_unit_test(test_no_folder_for_journal),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
