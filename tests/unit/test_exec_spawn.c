/* Starting a process, without a supervisor. */
#include <errno.h>
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

#include "base/io.h"
#include "exec/proc.h"
#include "exec/spawn.h"

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static char folder[] = "/tmp/test_exec_spawn.XXXXXX";

static struct exec_job job_of(const char *const *argv, const char *const *env)
{
	return (struct exec_job){ .token = 1, .argv = argv, .env = env, .cwd = folder };
}

static int status_of(pid_t pid)
{
	int wstatus;

	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : -WTERMSIG(wstatus);
}

static void make_file(const char *name, const char *text, mode_t mode)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(io_mkdirs_for(path, 0755, NULL), 0);
	assert_int_equal(io_write_file(path, text, strlen(text), NULL), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* valgrind makes a fork of vfork, so that the child cannot tell of its failure. */
static bool have_vfork(void)
{
	const char *preload = getenv("LD_PRELOAD");
	bool have = !preload || !strstr(preload, "vgpreload");

	if (!have)
		printf("# the next test is skipped: no vfork under valgrind\n");
	return have;
}

static char long_path[8192];

/* How PATH is searched: the cases of execvp(3). a/ holds a file that is not executable, b/ the
 * program, c/ one without "#!". */
static const struct path_case {
	const char *path; /* %s is the folder; NULL: no PATH */
	const char *program;
	int status; /* 0: `error` */
	int error;
} path_cases[] = {
	{ "PATH=%s/b", "prog", 11, 0 },
	{ "PATH=%s/a:%s/b", "prog", 11, 0 },
	{ "PATH=/no/such:/etc/passwd:%s/b", "prog", 11, 0 },
	{ "PATH=%s/a", "prog", 0, EACCES },
	{ "PATH=%s/a:/no/such", "prog", 0, EACCES },
	{ "PATH=/no/such:/nor/this", "prog", 0, ENOENT },
	{ "PATH=", "b/prog", 11, 0 },    /* has a slash: from the folder */
	{ "PATH=", "only_here", 12, 0 }, /* an empty entry is the current folder */
	{ "PATH=/no/such:", "only_here", 12, 0 },
	{ "PATH=:/no/such", "only_here", 12, 0 },
	{ "PATH=/no/such::/nor/this", "only_here", 12, 0 },
	{ "PATH=b", "prog", 11, 0 }, /* relative, from the job's folder */
	{ "PATH=%s/c", "prog", 13, 0 },
	{ "PATH=%s/d:%s/b", "prog", 11, 0 }, /* d/prog is a folder */
	{ NULL, "true", -1, 0 },
	{ NULL, "prog", 0, ENOENT },
	{ "PATH=%s/b", "", 0, ENOENT },
	{ "PATH=%s/b", ".", 0, EACCES },
};

static void test_path(void **state)
{
	(void)state;
	if (!have_vfork())
		return;
	char sub[256];

	make_file("a/prog", "#!/bin/sh\nexit 10\n", 0644);
	make_file("b/prog", "#!/bin/sh\nexit 11\n", 0755);
	make_file("only_here", "#!/bin/sh\nexit 12\n", 0755);
	make_file("c/prog", "exit 13\n", 0755);
	snprintf(sub, sizeof sub, "%s/d/prog", folder);
	assert_int_equal(io_mkdirs(sub, 0755, NULL), 0);
	for (size_t i = 0; i < COUNT(path_cases); i++) {
		const struct path_case *c = &path_cases[i];
		char path[1024] = "";
		const char *argv[] = { c->program, NULL };
		const char *env[] = { "PATHOLOGICAL=1", path, NULL };
		for (const char *p = c->path; p && *p; p++)
			if (strncmp(p, "%s", 2) == 0) {
				strcat(path, folder);
				p++;
			} else {
				strncat(path, p, 1);
			}
		if (!c->path)
			env[1] = NULL;
		struct exec_job job = job_of(argv, env);
		struct spawn s;
		spawn_command(&job, STDERR_FILENO, &s);
		if (s.fault != (c->status ? SPAWN_OK : SPAWN_EXEC) || s.error != c->error)
			fail_msg("case %zu: fault %d, %s", i, s.fault, strerror(s.error));
		if (c->status)
			assert_int_equal(status_of(s.pid), c->status > 0 ? c->status : 0);
		else
			assert_int_equal(s.pid, -1);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left of a failure */
}

static void test_long_path(void **state)
{
	(void)state;
	if (!have_vfork())
		return;
	static char name[5000];
	const char *argv[] = { "true", NULL }, *env[] = { long_path, NULL };
	struct exec_job job = job_of(argv, env);
	struct spawn s;

	/* An entry too long to be one is passed over. */
	strcpy(long_path, "PATH=/");
	memset(long_path + 6, 'x', 5000);
	strcpy(long_path + 5006, ":/bin");
	spawn_command(&job, STDERR_FILENO, &s);
	assert_int_equal(s.fault, SPAWN_OK);
	assert_int_equal(status_of(s.pid), 0);
	memset(name, 'y', sizeof name - 1);
	argv[0] = name;
	spawn_command(&job, STDERR_FILENO, &s);
	assert_int_equal(s.fault, SPAWN_EXEC);
}

static void test_times_and_group(void **state)
{
	(void)state;
	if (!have_vfork())
		return;
	const char *argv[] = { "sleep", "1000", NULL }, *env[] = { "PATH=/bin", NULL };
	struct exec_job job = job_of(argv, env);
	struct proc_stat st;
	struct spawn s;

	spawn_command(&job, STDERR_FILENO, &s);
	assert_int_equal(s.fault, SPAWN_OK);
	assert_int_equal(getpgid(s.pid), s.pid);
	assert_int_equal(proc_stat(s.pid, &st), 0);
	assert_int_equal(st.pgrp, s.pid);
	/* The start that /proc tells is the one that was noted. */
	int64_t first = s.start_boot_us / proc_tick_us();
	assert_true(st.start_ticks >= first);
	assert_true(st.start_ticks <= proc_boottime_us() / proc_tick_us());
	int fd = proc_pidfd(s.pid, st.start_ticks);
	assert_true(fd >= 0);
	assert_int_equal(proc_pidfd(s.pid, st.start_ticks + 1), -1);
	assert_int_equal(proc_signal(fd, SIGTERM), 0);
	close(fd);
	assert_int_equal(status_of(s.pid), -SIGTERM);
	assert_int_equal(proc_stat(s.pid, &st), -1);
}

/* When its parent dies, so does the task. */
static void test_dies_with_parent(void **state)
{
	(void)state;
	const char *argv[] = { "sleep", "1000", NULL }, *env[] = { "PATH=/bin", NULL };
	int fds[2];
	char c;

	/* The read end sees the end of file when the last holder of the write end is dead. */
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct exec_job job = job_of(argv, env);
		struct spawn s;
		spawn_command(&job, fds[1], &s);
		_exit(s.fault != SPAWN_OK);
	}
	assert_int_equal(status_of(pid), 0);
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 0);
	close(fds[0]);
}

static int say(const char *payload, size_t len)
{
	printf("%.*s", (int)len, payload);
	return 42;
}

static void test_operator(void **state)
{
	(void)state;
	const char *env[] = { "A=1", NULL };
	struct exec_job job = job_of(NULL, env);
	char text[64] = "";
	struct spawn s;
	int fds[2];

	job.payload = "said";
	job.payload_len = 4;
	assert_int_equal(pipe(fds), 0);
	fflush(stdout);
	spawn_operator(&job, fds[1], say, &s);
	close(fds[1]);
	assert_int_equal(s.fault, SPAWN_OK);
	assert_int_equal(getpgid(s.pid), s.pid);
	assert_int_equal(read(fds[0], text, sizeof text - 1), 4);
	assert_string_equal(text, "said");
	assert_int_equal(status_of(s.pid), 42);
	close(fds[0]);
}

/* The child itself tells of its start, before its program begins. */
static void test_tells(void **state)
{
	(void)state;
	if (!have_vfork())
		return;
	const char *argv[] = { "true", NULL }, *env[] = { "PATH=/bin:/usr/bin", NULL };
	const char *missing[] = { "./no-such-program", NULL };
	char name[256], text[512] = "", want[512];
	struct spawn s, o;

	snprintf(name, sizeof name, "%s/notes", folder);
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	struct exec_job job = job_of(argv, env);
	job.token = INT64_MAX;
	spawn_tell(fd);
	spawn_command(&job, STDERR_FILENO, &s);
	assert_true(s.told);
	assert_int_equal(status_of(s.pid), 0);
	job.token = 7;
	job.argv = NULL;
	job.payload = "";
	spawn_operator(&job, STDERR_FILENO, say, &o);
	assert_int_equal(status_of(o.pid), 42);
	spawn_tell(-1);
	job = job_of(argv, env);
	struct spawn t;
	spawn_command(&job, STDERR_FILENO, &t);
	assert_false(t.told);
	assert_int_equal(status_of(t.pid), 0);
	snprintf(want, sizeof want, "S %lld %d %lld %lld\nS 7 %d %lld %lld\n", (long long)INT64_MAX,
		(int)s.pid, (long long)s.start_boot_us, (long long)s.started_us, (int)o.pid,
		(long long)o.start_boot_us, (long long)o.started_us);
	assert_true(pread(fd, text, sizeof text - 1, 0) > 0);
	assert_string_equal(text, want);
	/* One that cannot be written does not hold the task up. */
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	spawn_tell(full);
	spawn_command(&job, STDERR_FILENO, &t);
	assert_false(t.told);
	assert_int_equal(status_of(t.pid), 0);
	spawn_tell(-1);
	job = job_of(missing, env);
	spawn_command(&job, STDERR_FILENO, &t);
	assert_int_equal(t.fault, SPAWN_EXEC);
	close(full);
	close(fd);
}

/* The soft limit is raised for this process, and is as it was for its children. */
static void test_limits(void **state)
{
	(void)state;
	const char *argv[] = { "/bin/sh", "-c", "exit $(ulimit -n)", NULL };
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit now = { 77, 200 };
		struct exec_job job = job_of(argv, NULL);
		struct spawn s;
		setrlimit(RLIMIT_NOFILE, &now);
		spawn_raise_limits();
		getrlimit(RLIMIT_NOFILE, &now);
		spawn_command(&job, STDERR_FILENO, &s);
		_exit(now.rlim_cur == 200 ? status_of(s.pid) : 1);
	}
	assert_int_equal(status_of(pid), 77);
}

/* Tokens are numbered anew in every home: that of another is no proof. */
static void test_stray_of_another_home(void **state)
{
	(void)state;
	const char *argv[] = { "sleep", "1000", NULL };
	const char *env[] = { "PATH=/bin:/usr/bin", "WEIR_TOKEN=5", "WEIR_HOME=/home/a", NULL };
	struct exec_job job = job_of(argv, env);
	struct spawn s;
	int wstatus;

	spawn_command(&job, STDERR_FILENO, &s);
	assert_int_equal(s.fault, SPAWN_OK);
	/* Started so long before that the number may be another's now. */
	struct exec_journal_entry e = { .token = 5,
		.started = true,
		.pid = s.pid,
		.start_boot_us = s.start_boot_us > 5000000 ? s.start_boot_us - 5000000 : 0,
		.home = "/home/b" };
	assert_int_equal(exec_reap_stray(&e, NULL), 0);
	assert_int_equal(waitpid(s.pid, &wstatus, WNOHANG), 0);
	e.home = "/home/a";
	exec_reap_stray(&e, NULL);
	assert_int_equal(status_of(s.pid), -SIGKILL);
}

/* The system refuses a process: that is no fault of the job. */
static void test_fork_refused(void **state)
{
	(void)state;
	if (geteuid() == 0) {
		/* root is not bound by RLIMIT_NPROC: what it makes of the refusal is tested */
		struct spawn s = { .pid = -1, .fault = SPAWN_FORK, .error = EAGAIN };
		const char *argv[] = { "true", NULL };
		struct exec_job job = job_of(argv, NULL);
		struct exec_end e = { 0 };
		spawn_explain(&s, &job, &e);
		assert_int_equal(e.outcome, OUTCOME_LOST);
		assert_int_equal(e.exit_status, -1);
		assert_non_null(strstr(e.error, strerror(EAGAIN)));
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct rlimit none = { 0, 0 };
		const char *argv[] = { "true", NULL };
		struct exec_job job = job_of(argv, NULL);
		struct spawn s;
		setrlimit(RLIMIT_NPROC, &none);
		spawn_command(&job, STDERR_FILENO, &s);
		_exit(!(s.fault == SPAWN_FORK && s.error == EAGAIN));
	}
	assert_int_equal(status_of(pid), 0);
}

static void test_explain(void **state)
{
	(void)state;
	static const struct {
		enum spawn_fault fault;
		int error;
		enum outcome outcome;
		int status;
	} cases[] = {
		{ SPAWN_EXEC, ENOENT, OUTCOME_FAILED, 127 },
		{ SPAWN_EXEC, EACCES, OUTCOME_FAILED, 126 },
		{ SPAWN_EXEC, E2BIG, OUTCOME_FAILED, 126 },
		{ SPAWN_EXEC, ETXTBSY, OUTCOME_FAILED, 126 },
		{ SPAWN_EXEC, ENOMEM, OUTCOME_LOST, -1 },
		{ SPAWN_EXEC, EAGAIN, OUTCOME_LOST, -1 },
		{ SPAWN_CWD, ENOENT, OUTCOME_FAILED, 126 },
		{ SPAWN_FORK, ENOMEM, OUTCOME_LOST, -1 },
		{ SPAWN_SYSTEM, EPERM, OUTCOME_LOST, -1 },
	};
	const char *argv[] = { "a-program", NULL };
	struct exec_job job = job_of(argv, NULL);

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct spawn s = { .fault = cases[i].fault, .error = cases[i].error };
		struct exec_end e = { 0 };
		spawn_explain(&s, &job, &e);
		assert_int_equal(e.outcome, cases[i].outcome);
		assert_int_equal(e.exit_status, cases[i].status);
		assert_true(e.error[0] != '\0');
	}
}

static int setup(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	char command[300];

	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_long_path),
		cmocka_unit_test(test_times_and_group),
		cmocka_unit_test(test_dies_with_parent),
		cmocka_unit_test(test_operator),
		cmocka_unit_test(test_tells),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_stray_of_another_home),
		cmocka_unit_test(test_fork_refused),
		cmocka_unit_test(test_explain),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
