/* What supervision costs per task: N x /bin/true through the local executor at width 8 and 1,
 * against a bare posix_spawn loop, in turns in the same run.
 *
 *     bench_spawn [N [ROUNDS]]
 *
 * Logs go to a new folder in $TMPDIR (default: the current folder), and are removed at the very end
 * only: ext4 passes over inodes that were deleted in the last half minute one by one, which makes a
 * file in a folder where many were just removed cost a hundred times its price.
 */
#include <ftw.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "exec/exec.h"

static const char *const argv_true[] = { "/bin/true", NULL };
static const char *folder;
static int n_logs; /* folders of logs */

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of this process and all it has reaped. */
static double cpu_s(void)
{
	struct rusage u[2];
	double sum = 0;

	getrusage(RUSAGE_SELF, &u[0]);
	getrusage(RUSAGE_CHILDREN, &u[1]);
	for (int i = 0; i < 2; i++)
		sum += (double)(u[i].ru_utime.tv_sec + u[i].ru_stime.tv_sec) +
		       (double)(u[i].ru_utime.tv_usec + u[i].ru_stime.tv_usec) / 1e6;
	return sum;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_spawn: %s\n", what);
	exit(1);
}

static double bare(int n, int width)
{
	double begin = now_s();
	int live = 0, status;

	for (int started = 0; started < n || live;) {
		pid_t pid;
		if (started < n && live < width) {
			if (posix_spawn(&pid, argv_true[0], NULL, NULL,
				    (char *const *)(uintptr_t)argv_true, environ) != 0)
				die("posix_spawn");
			started++;
			live++;
			continue;
		}
		if (waitpid(-1, &status, 0) < 0 || status != 0)
			die("waitpid");
		live--;
	}
	return now_s() - begin;
}

static void start(struct exec *x, int64_t token)
{
	char log[4096];
	struct exec_job job = {
		.token = token,
		.argv = argv_true,
		.env = (const char *const *)environ,
		.cwd = "/",
		.log_path = log,
		.timeout_us = 1800000000,
		.grace_us = 5000000,
	};

	snprintf(log, sizeof log, "%s/logs%d/%lld.log", folder, n_logs, (long long)token);
	if (exec_start(x, &job, NULL) < 0)
		die("exec_start");
}

static double supervised(int n, int width)
{
	char journal[4096];
	struct exec_end ends[64];
	struct exec *x;
	struct err err;
	int started = 0, ended = 0;

	snprintf(journal, sizeof journal, "%s/journal", folder);
	if (exec_local_new(&x, &(struct exec_local_config){ .journal_path = journal }, &err) < 0)
		die(err.msg);
	double begin = now_s();
	while (ended < n) {
		for (; started < n && started - ended < width; started++)
			start(x, started + 1);
		if (exec_flush(x, &err) < 0)
			die(err.msg);
		struct pollfd p = { .fd = exec_fd(x), .events = POLLIN };
		poll(&p, 1, -1);
		int got = exec_read(x, ends, 64, &err);
		if (got < 0)
			die(err.msg);
		for (int i = 0; i < got; i++)
			if (ends[i].outcome != OUTCOME_SUCCESS)
				die(ends[i].error);
			else if (exec_ack(x, &ends[i].token, 1, &err) < 0)
				die(err.msg);
		ended += got;
	}
	double took = now_s() - begin;
	exec_free(x);
	return took;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static double least(double a, double b)
{
	return a == 0 || b < a ? b : a;
}

static void compare(int n, int width, int rounds)
{
	double raw = 0, ours = 0, raw_cpu = 0, ours_cpu = 0;

	for (int i = 0; i < rounds; i++) {
		double cpu = cpu_s();
		raw = least(raw, bare(n, width));
		raw_cpu = least(raw_cpu, cpu_s() - cpu);
		cpu = cpu_s();
		ours = least(ours, supervised(n, width));
		ours_cpu = least(ours_cpu, cpu_s() - cpu);
		n_logs++;
	}
	printf("width %d: posix_spawn %6.0f/s  supervised %6.0f/s  ratio of time %.2f, of CPU %.2f"
	       "  (best of %d)\n",
		width, n / raw, n / ours, ours / raw, ours_cpu / raw_cpu, rounds);
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR");
	char path[2048];
	int n = argc > 1 ? atoi(argv[1]) : 1000, rounds = argc > 2 ? atoi(argv[2]) : 5;
	char *cwd = getcwd(NULL, 0);

	snprintf(path, sizeof path, "%s/bench_spawn.XXXXXX", tmp ? tmp : cwd ? cwd : "/tmp");
	free(cwd);
	folder = mkdtemp(path);
	if (!folder || n < 1 || rounds < 1)
		die("usage: bench_spawn [N [ROUNDS]]");
	compare(n, 8, rounds);
	compare(n, 1, rounds);
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return 0;
}
