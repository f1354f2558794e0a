/* Limits of attempts: what is written into a cgroup (a folder plays it), what the processes get,
 * and what is said of it. Where a real cgroup can be made, that too. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/io.h"
#include "exec/limits.h"
#include "exec/proc.h"
#include "exec/spawn.h"

#define MIB (1LL << 20)
#define WAIT_MS 60000
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

static char folder[] = "/tmp/test_exec_limits.XXXXXX";
static int serial;

/* ---- help ---- */

static const char *path_of(const char *a, const char *b)
{
	static char path[2][512];
	static int turn;
	char joined[512]; /* `a` may be one of ours */

	turn = !turn;
	snprintf(joined, sizeof joined, "%s%s%s", a, b[0] ? "/" : "", b);
	memcpy(path[turn], joined, sizeof joined);
	return path[turn];
}

static void put(const char *dir, const char *file, const char *text)
{
	assert_int_equal(io_write_file(path_of(dir, file), text, strlen(text), NULL), 0);
}

/* The text of a file, "" when there is none. */
static const char *get(const char *dir, const char *file)
{
	static struct buf text;

	buf_release(&text);
	buf_init(&text, BUF_MAX_TEXT);
	io_read_file(path_of(dir, file), &text, NULL);
	buf_addstr(&text, "");
	return text.data ? text.data : "";
}

/* A folder that plays the cgroup to begin from. */
static const char *fake_base(const char *controllers, const char *enabled)
{
	static char base[256];

	snprintf(base, sizeof base, "%s/base%d", folder, ++serial);
	assert_int_equal(mkdir(base, 0755), 0);
	put(base, "cgroup.controllers", controllers);
	put(base, "cgroup.subtree_control", enabled);
	return base;
}

static struct exec_job job_with(struct exec_limits want)
{
	return (struct exec_job){ .token = 23, .limits = want, .cwd = "/" };
}

static const char *said(const struct limits *l, const struct limits_system *sys)
{
	static struct buf line;

	buf_release(&line);
	buf_init(&line, BUF_MAX_TEXT);
	limits_describe(l, sys, &line);
	buf_addstr(&line, "");
	return line.data ? line.data : "";
}

static void assert_says(const struct limits *l, const struct limits_system *sys, const char *part)
{
	if (!strstr(said(l, sys), part))
		fail_msg("\"%s\" is not in: %s", part, said(l, sys));
}

static const struct exec_limits all = {
	.memory_bytes = 1536 * MIB, .cpu_permille = 1250, .pids = 100, .files = 64
};

/* ---- a cgroup that is a folder ---- */

static void test_cgroup_files(void **state)
{
	(void)state;
	const char *base = fake_base("cpuset cpu io memory pids\n", "memory cpu\n");
	struct limits_system sys;
	struct limits l;
	struct exec_job job = job_with(all);

	limits_system_init_at(&sys, base);
	limits_begin(&l, &sys, &job);
	assert_non_null(l.cgroup.path);
	assert_string_equal(get(l.cgroup.path, "memory.max"), "1610612736");
	assert_string_equal(get(l.cgroup.path, "memory.swap.max"), "0");
	assert_string_equal(get(l.cgroup.path, "memory.oom.group"), "1");
	assert_string_equal(get(l.cgroup.path, "cpu.max"), "125000 100000");
	assert_string_equal(get(l.cgroup.path, "pids.max"), "100");
	/* What was enabled is left alone, what was not is. */
	assert_string_equal(get(base, "cgroup.subtree_control"), "+pids");
	assert_true(l.by_rlimit[LIMIT_FILES] && !l.by_rlimit[LIMIT_MEMORY]);
	assert_says(&l, &sys,
		"weir: limits: memory 1536MiB: cgroup memory.max; cpu 125%: cgroup "
		"cpu.max; pids 100: cgroup pids.max; files 64: RLIMIT_NOFILE; all in "
		"the cgroup /");

	pid_t pid = fork();
	if (pid == 0) {
		l.by_rlimit[LIMIT_FILES] = false; /* not under valgrind */
		_exit(limits_enter(&l) == 0 ? 0 : 1);
	}
	int wstatus;
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_int_equal(wstatus, 0);
	assert_string_equal(get(l.cgroup.path, "cgroup.procs"), "0");
	limits_entered(&l);
	assert_int_equal(l.cgroup.procs_fd, -1);

	char path[512];
	snprintf(path, sizeof path, "%s", l.cgroup.path);
	limits_kill(&l);
	assert_string_equal(get(path, "cgroup.kill"), "1");
	limits_end(&l, NULL);
	assert_null(l.cgroup.path);
	limits_end(&l, NULL);
	limits_kill(&l);
	limits_system_release(&sys);
}

/* A limit whose controller is missing is one of processes, or none. */
static void test_some_controllers(void **state)
{
	(void)state;
	const char *base = fake_base("pids\n", "pids\n");
	struct limits_system sys;
	struct limits l;
	struct exec_job job = job_with(all);

	limits_system_init_at(&sys, base);
	limits_begin(&l, &sys, &job);
	assert_true(l.by_cgroup[LIMIT_PIDS] && !l.by_rlimit[LIMIT_PIDS]);
	assert_true(l.by_rlimit[LIMIT_MEMORY] && !l.by_cgroup[LIMIT_MEMORY]);
	assert_true(!l.by_rlimit[LIMIT_CPU] && !l.by_cgroup[LIMIT_CPU]);
	assert_says(&l, &sys,
		"memory 1536MiB: RLIMIT_DATA, for each process by itself; cpu 125%: "
		"not enforced, there is no cpu controller; pids 100: cgroup");
	limits_end(&l, NULL);
	limits_system_release(&sys);
}

static void test_no_cgroup(void **state)
{
	(void)state;
	struct limits_system sys;
	struct limits l;
	struct exec_job job = job_with((struct exec_limits){ .cpu_permille = 5, .files = 1 << 30 });

	limits_system_init_at(&sys, NULL);
	limits_begin(&l, &sys, &job);
	assert_null(l.cgroup.path);
	assert_says(&l, &sys, "weir: limits: cpu 0.5%: not enforced, there is no cpu controller; ");
	assert_says(&l, &sys, "; no cgroup: none is looked for\n");
	/* The system's own limit is lower. */
	assert_says(&l, &sys, "files 1073741824: RLIMIT_NOFILE, at most ");
	limits_end(&l, NULL);
	limits_system_release(&sys);

	/* A base that cannot be used is as none, and says why. */
	limits_system_init_at(&sys, "/nonexistent/base");
	limits_begin(&l, &sys, &job);
	assert_null(l.cgroup.path);
	assert_says(&l, &sys, "; no cgroup: /nonexistent/base: no cgroup can be made: No such");
	limits_release(&l);
	limits_system_release(&sys);
}

/* Without limits: not a word, no cgroup, nothing looked at. */
static void test_none(void **state)
{
	(void)state;
	const char *base = fake_base("memory", "memory");
	struct limits_system sys;
	struct limits l;
	struct exec_job job = job_with((struct exec_limits){ 0 });
	struct stat st;

	limits_system_init_at(&sys, base);
	assert_int_equal(stat(base, &st), 0);
	limits_begin_told(&l, &sys, &job, -1);
	assert_false(sys.tried);
	assert_null(l.cgroup.path);
	assert_string_equal(said(&l, &sys), "");
	assert_int_equal(limits_enter(&l), 0);
	assert_int_equal(limits_enter(NULL), 0);
	limits_end(&l, NULL);
	limits_system_release(&sys);
}

static void test_oom_is_told(void **state)
{
	(void)state;
	static const struct {
		const char *events;
		enum outcome outcome;
		const char *error, *told;
	} cases[] = {
		{ "low 0\noom 1\noom_kill 3\n", OUTCOME_FAILED, "",
			"was killed because it used more than its memory limit of 1536MiB" },
		{ "oom 1\noom_kill 0\n", OUTCOME_FAILED, "", "" },
		{ "oom_kill_group 1\n", OUTCOME_FAILED, "", "" },
		{ "oom_kill 1\n", OUTCOME_SUCCESS, "", "" },
		{ "oom_kill 1\n", OUTCOME_TIMEOUT, "", "" },
		{ "oom_kill 1\n", OUTCOME_FAILED, "its log is gone", "its log is gone" },
		{ NULL, OUTCOME_FAILED, "", "" },
	};
	const char *base = fake_base("memory", "memory");
	struct limits_system sys;

	limits_system_init_at(&sys, base);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct exec_end end = { .outcome = cases[i].outcome };
		struct exec_job job = job_with(all);
		struct limits l;
		job.token = (int64_t)i;
		strcpy(end.error, cases[i].error);
		limits_begin(&l, &sys, &job);
		if (cases[i].events)
			put(l.cgroup.path, "memory.events", cases[i].events);
		limits_end(&l, &end);
		assert_string_equal(end.error, cases[i].told);
	}
	limits_system_release(&sys);
}

/* Where the base is, from what /proc says. */
static void test_base_of(void **state)
{
	(void)state;
#define V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
#define HYBRID                                                              \
	"31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" \
	"30 23 0:26 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw\n"
#define BOUND "30 23 0:26 /docker/abc /sys/fs/my\\040cgroup ro - cgroup2 cgroup rw\n"
	static const struct {
		const char *own, *mounts, *base, *why;
	} cases[] = {
		{ "0::/\n", V2, "/sys/fs/cgroup", NULL },
		{ "0::/user.slice/s\n", V2, "/sys/fs/cgroup/user.slice/s", NULL },
		{ "5:memory:/m\n0::/a b\n", HYBRID, "/sys/fs/cgroup/unified/a b", NULL },
		{ "0::/docker/abc\n", BOUND, "/sys/fs/my cgroup", NULL },
		{ "0::/docker/abc/x\n", BOUND, "/sys/fs/my cgroup/x", NULL },
		{ "0::/docker/abcd\n", BOUND, NULL, "not below" },
		{ "0::/docker\n", BOUND, NULL, "not below" },
		{ "0::/../other\n", V2, NULL, "not below" },
		{ "0::/system.slice/weir.service/weir\n", V2,
			"/sys/fs/cgroup/system.slice/weir.service", NULL },
		{ "0::/weir\n", V2, "/sys/fs/cgroup", NULL },
		{ "0::/myweir\n", V2, "/sys/fs/cgroup/myweir", NULL },
		{ "5:memory:/m\n", HYBRID, NULL, "no cgroup v2" },
		{ "0::/\n", "31 23 0:27 / /m rw - cgroup cgroup rw\n", NULL, "no cgroup v2" },
		{ "", "", NULL, "no cgroup v2" },
		{ "0::/\n", "nonsense - cgroup2 x\n\n - cgroup2 \n", NULL, "no cgroup v2" },
		{ "0::/\n", "1 2 3 / /bad\\ - cgroup2 x\n", "/bad\\", NULL },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = { 0 };
		char *base = cgroup_base_of(cases[i].own, cases[i].mounts, &err);
		if (cases[i].base ? !base || strcmp(base, cases[i].base) != 0
				  : base || !strstr(err.msg, cases[i].why))
			fail_msg("case %zu: %s %s", i, base ? base : "none", err.msg);
		free(base);
	}
}

static void test_named_base(void **state)
{
	(void)state;
	struct err err = { 0 };

	setenv("WEIR_CGROUP", folder, 1);
	assert_null(cgroup_base(&err));
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.msg, "WEIR_CGROUP="));
	setenv("WEIR_CGROUP", "relative", 1);
	assert_null(cgroup_base(&err));
	unsetenv("WEIR_CGROUP");
}

/* The folder of one that lives is locked. That of a dead one is killed; nobody else's is touched.
 */
static void test_sweep(void **state)
{
	(void)state;
	const char *base = fake_base("", "");
	struct cgroup_place p;
	struct err err;
	char own[512];

	assert_int_equal(cgroup_place_open(&p, base, &err), 0);
	snprintf(own, sizeof own, "%s", p.path);
	assert_int_equal(mkdir(path_of(base, "weir-1"), 0755), 0);
	assert_int_equal(mkdir(path_of(base, "weir-2"), 0755), 0);
	assert_int_equal(mkdir(path_of(base, "weir-2/7"), 0755), 0);
	assert_int_equal(mkdir(path_of(base, "other"), 0755), 0);
	put(path_of(base, "weir-2"), "cgroup.events", "populated 1\nfrozen 0\n");
	cgroup_sweep(base);
	assert_true(io_exists(own));
	assert_true(io_exists(path_of(base, "other")));
	assert_false(io_exists(path_of(base, "weir-1")));
	assert_false(io_exists(path_of(base, "weir-2/7")));
	assert_string_equal(get(path_of(base, "weir-2"), "cgroup.kill"), "1");
	assert_string_equal(get(own, "cgroup.kill"), "");

	/* A second one of the same number takes another name. */
	struct cgroup_place q;
	assert_int_equal(cgroup_place_open(&q, base, &err), 0);
	assert_string_not_equal(q.path, own);
	cgroup_place_close(&q);
	cgroup_place_close(&p);
	cgroup_place_close(&p);
	cgroup_sweep("/nonexistent");
}

/* ---- the limits of processes ---- */

static int allocate(const char *payload, size_t len)
{
	(void)len;
	size_t size = (size_t)strtoull(payload, NULL, 10);
	char *p = malloc(size);

	if (p)
		memset(p, 1, size);
	free(p);
	return p ? 0 : 3;
}

static int open_files(const char *payload, size_t len)
{
	int n = 0;

	(void)payload;
	(void)len;
	while (n < 1000 && open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		n++;
	return n > 250 ? 250 : n;
}

static int fork_some(const char *payload, size_t len)
{
	int n = 0;
	pid_t pid;

	(void)payload;
	(void)len;
	while (n < 50 && (pid = fork()) >= 0) {
		if (pid == 0) {
			pause();
			_exit(0);
		}
		n++;
	}
	/* They die with the group. */
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	return n;
}

/* How an operator ends under these limits, without a cgroup. */
static int status_under(struct exec_limits want, exec_operator_fn *run, const char *payload)
{
	struct exec_job job = job_with(want);
	struct limits_system sys;
	struct limits l;
	struct spawn s;
	int wstatus = 0;

	job.payload = payload;
	job.payload_len = strlen(payload);
	limits_system_init_at(&sys, NULL);
	limits_begin(&l, &sys, &job);
	spawn_limit(&l);
	spawn_operator(&job, STDERR_FILENO, run, &s);
	spawn_limit(NULL);
	assert_int_equal(s.fault, SPAWN_OK);
	assert_int_equal(waitpid(s.pid, &wstatus, 0), s.pid);
	limits_release(&l);
	limits_system_release(&sys);
	return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : -WTERMSIG(wstatus);
}

/* valgrind keeps the memory and some of the descriptors for itself. */
static bool under_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");
	bool valgrind = preload && strstr(preload, "vgpreload");

	if (valgrind)
		printf("# the next test is skipped: limits are not kept under valgrind\n");
	return valgrind;
}

static bool odd_memory(void)
{
#if defined(__SANITIZE_ADDRESS__)
	printf("# the next test is skipped: its memory is AddressSanitizer's\n");
	return true;
#else
	return under_valgrind();
#endif
}

static void test_memory_of_operator(void **state)
{
	(void)state;
	if (odd_memory())
		return;
	struct exec_limits want = { .memory_bytes = 32 * MIB };

	assert_int_equal(status_under(want, allocate, "8388608"), 0);
	assert_int_equal(status_under(want, allocate, "67108864"), 3);
	assert_int_equal(status_under((struct exec_limits){ 0 }, allocate, "67108864"), 0);
}

static void test_files_of_operator(void **state)
{
	(void)state;
	if (under_valgrind())
		return;
	/* stdin, stdout and stderr are three of them. */
	int n = status_under((struct exec_limits){ .files = 20 }, open_files, "");

	assert_true(n > 0 && n <= 17);
	assert_int_equal(status_under((struct exec_limits){ 0 }, open_files, ""), 250);
}

/* Root is not bound: so as nobody. */
static void test_pids_of_operator(void **state)
{
	(void)state;
	if (under_valgrind())
		return;
	if (geteuid() != 0) {
		printf("# the next test is skipped: it becomes another user, which only root "
		       "can\n");
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(99);
		_exit(status_under((struct exec_limits){ .pids = 10 }, fork_some, ""));
	}
	int wstatus;
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFEXITED(wstatus));
	int n = WEXITSTATUS(wstatus);
	if (n == 99) {
		printf("# the next test is skipped: another user cannot be become\n");
		return;
	}
	assert_true(n < 10);
	assert_int_equal(status_under((struct exec_limits){ .pids = 10 }, fork_some, ""), 50);
}

/* ---- under a supervisor ---- */

static char log_path[256];

static int run_operator(const char *payload, size_t len)
{
	return allocate(payload, len);
}

static struct exec *open_exec(void)
{
	struct exec_local_config config = { .run_operator = run_operator };
	struct err err = { 0 };
	struct exec *x;
	char journal[256];

	snprintf(journal, sizeof journal, "%s/journal%d", folder, ++serial);
	config.journal_path = journal;
	if (exec_local_new(&x, &config, &err) < 0)
		fail_msg("%s", err.msg);
	return x;
}

static struct exec_end run_on(struct exec *x, const struct exec_job *job)
{
	struct err err = { 0 };
	struct exec_end end = { 0 };

	if (exec_start(x, job, &err) < 0 || exec_flush(x, &err) < 0)
		fail_msg("%s", err.msg);
	for (int n = 0; n == 0;) {
		struct pollfd p = { .fd = exec_fd(x), .events = POLLIN };
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		n = exec_read(x, &end, 1, &err);
		assert_true(n >= 0);
	}
	return end;
}

static struct exec_end run_job(const struct exec_job *job)
{
	struct exec *x = open_exec();
	struct exec_end end = run_on(x, job);

	exec_free(x);
	return end;
}

static struct exec_job shell_job(const char *const *argv, struct exec_limits want)
{
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };

	snprintf(log_path, sizeof log_path, "%s/log%d", folder, ++serial);
	return (struct exec_job){ .token = 7,
		.argv = argv,
		.env = env,
		.cwd = folder,
		.log_path = log_path,
		.grace_us = 10000000,
		.limits = want };
}

static void test_log_tells_first(void **state)
{
	(void)state;
	if (under_valgrind())
		return;
	static const char *const secrets[] = { "hunter2", NULL };
	const char *argv[] = { "sh", "-c", "ulimit -n; echo hunter2", NULL };
	struct exec_job job = shell_job(argv, (struct exec_limits){ .files = 77 });

	setenv("WEIR_CGROUP", "/nowhere", 1);
	assert_int_equal(run_job(&job).outcome, OUTCOME_SUCCESS);
	const char *line = "weir: limits: files 77: RLIMIT_NOFILE; no cgroup: WEIR_CGROUP=/nowhere";
	assert_int_equal(strncmp(get(log_path, ""), line, strlen(line)), 0);
	assert_non_null(strstr(get(log_path, ""), "\n77\nhunter2\n"));
	job = shell_job(argv, job.limits);
	job.secrets = secrets;
	assert_int_equal(run_job(&job).outcome, OUTCOME_SUCCESS);
	assert_int_equal(strncmp(get(log_path, ""), line, strlen(line)), 0);
	assert_non_null(strstr(get(log_path, ""), "\n77\n***\n"));
	/* Nothing is said where there are none. */
	job = shell_job(argv, (struct exec_limits){ 0 });
	run_job(&job);
	assert_null(strstr(get(log_path, ""), "limits"));
	/* An operator's, too. */
	job = shell_job(NULL, (struct exec_limits){ .memory_bytes = 32 * MIB });
	job.payload = "67108864";
	job.payload_len = strlen(job.payload);
	if (!odd_memory())
		assert_int_equal(run_job(&job).exit_status, 3);
	unsetenv("WEIR_CGROUP");
}

/* ---- a real cgroup ---- */

/* NULL, and said: there can be none. */
static const char *real_base(struct cgroup_place *p)
{
	static char base[512];
	struct err err = { 0 };
	char *found = cgroup_base(&err);

	if (!found || cgroup_place_open(p, found, &err) < 0) {
		printf("# the next test is skipped: %s\n", err.msg);
		free(found);
		return NULL;
	}
	snprintf(base, sizeof base, "%s", found);
	free(found);
	return base;
}

static bool is_gone(int64_t pid)
{
	struct proc_stat st;

	return proc_stat(pid, &st) < 0 || proc_is_dead(&st);
}

/* What leaves the process group does not leave the cgroup: it ends with the attempt. */
static void test_nothing_is_left(void **state)
{
	(void)state;
	if (under_valgrind())
		return;
	const char *argv[] = { "sh", "-c",
		"setsid sh -c 'echo $$ >left; exec sleep 1000' & "
		"while ! test -s left; do :; done; grep ^0: /proc/self/cgroup",
		NULL };
	struct exec_job job = shell_job(argv, (struct exec_limits){ .files = 64 });
	struct cgroup_place p;
	const char *base = real_base(&p);

	if (!base)
		return;
	cgroup_place_close(&p);
	struct exec *x = open_exec();
	assert_int_equal(run_on(x, &job).outcome, OUTCOME_SUCCESS);
	int64_t pid = strtoll(get(folder, "left"), NULL, 10);
	assert_true(pid > 1);
	assert_true(is_gone(pid));
	/* It was in a folder of the supervisor's, by its token, and both are removed. */
	const char *where = strstr(get(log_path, ""), "all in the cgroup ");
	assert_non_null(where);
	char path[512];
	snprintf(path, sizeof path, "%.*s", (int)strcspn(where + 18, "\n"), where + 18);
	assert_non_null(strstr(path, "/weir-"));
	assert_string_equal(path + strlen(path) - 2, "/7");
	assert_non_null(strstr(get(log_path, ""), path + strlen(base)));
	assert_false(io_exists(path));
	exec_free(x);
	*strrchr(path, '/') = '\0';
	assert_false(io_exists(path));
}

/* One of a dead supervisor is found by the next. */
static void test_strays_are_killed(void **state)
{
	(void)state;
	struct cgroup_place p;
	struct cgroup c;
	const char *base = real_base(&p);
	char path[512];
	int fds[2];

	if (!base)
		return;
	assert_int_equal(cgroup_new(&c, &p, "9", NULL), 0);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		if (setsid() < 0 || cgroup_enter(&c) < 0 || write(fds[1], "x", 1) != 1)
			_exit(1);
		close(p.lock_fd); /* as exec does */
		if (write(fds[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	char x;
	assert_int_equal(read(fds[0], &x, 1), 1);
	assert_int_equal(read(fds[0], &x, 1), 1);
	cgroup_sweep(base); /* alive: locked */
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	snprintf(path, sizeof path, "%s", p.path);
	close(p.lock_fd); /* as death does */
	free(p.path);
	cgroup_release(&c);
	/* Its group proves nothing: it began long before. */
	const struct exec_journal_entry e = {
		.token = 9, .pid = pid, .start_boot_us = INT64_MAX / 2
	};
	assert_int_equal(exec_reap_stray(&e, NULL), 0);
	assert_true(is_gone(pid)); /* at once: the sweep waits for it */
	int wstatus;
	assert_int_equal(waitpid(pid, &wstatus, 0), pid);
	assert_true(WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGKILL);
	assert_false(io_exists(path));
	close(fds[0]);
	close(fds[1]);
}

/* The kernel's part, where there are controllers. */
static void test_controllers(void **state)
{
	(void)state;
	const char *argv[] = { "sh", "-c", "x=$(head -c 100000000 /dev/zero | tr '\\0' x)", NULL };
	struct exec_job job = shell_job(argv, (struct exec_limits){ .memory_bytes = 16 * MIB });
	struct cgroup_place p;

	if (!real_base(&p))
		return;
	bool have = p.controls[CGROUP_MEMORY];
	cgroup_place_close(&p);
	if (!have) {
		printf("# the next test is skipped: cgroup v2 has no memory controller here\n");
		return;
	}
	struct exec_end end = run_job(&job);
	assert_int_equal(end.outcome, OUTCOME_FAILED);
	assert_string_equal(
		end.error, "was killed because it used more than its memory limit of 16MiB");
}

/* ---- */

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int remove_folder(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cgroup_files),
		cmocka_unit_test(test_some_controllers),
		cmocka_unit_test(test_no_cgroup),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_oom_is_told),
		cmocka_unit_test(test_base_of),
		cmocka_unit_test(test_named_base),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_memory_of_operator),
		cmocka_unit_test(test_files_of_operator),
		cmocka_unit_test(test_pids_of_operator),
		cmocka_unit_test(test_log_tells_first),
		cmocka_unit_test(test_nothing_is_left),
		cmocka_unit_test(test_strays_are_killed),
		cmocka_unit_test(test_controllers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
