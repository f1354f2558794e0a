/* The stopwatch of bench.sh, which a shell's own is too coarse for:
 *
 *     probe time COMMAND...        seconds, CPU seconds, largest resident KiB
 *     probe start N COMMAND...     median milliseconds of N starts
 *     probe sync FILE N            median milliseconds of N appends of 4 KiB and fdatasync
 *     probe create FOLDER N        median microseconds of N files made in it, which must not be
 * there
 *
 * COMMAND's stdout goes to /dev/null. The CPU is that of COMMAND and all it waited for; time and
 * start fail when it does. */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "probe: %s\n", what);
	exit(2);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double timeval_s(struct timeval tv)
{
	return (double)tv.tv_sec + (double)tv.tv_usec / 1e6;
}

static double run(char **argv, struct rusage *ret)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	double begin = now_s();
	if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0)
		die(argv[0]);
	if (wait4(pid, &status, 0, ret) < 0)
		die("wait4");
	double took = now_s() - begin;
	posix_spawn_file_actions_destroy(&actions);
	if (status != 0) {
		fprintf(stderr, "probe: %s: status %#x\n", argv[0], (unsigned)status);
		exit(1);
	}
	return took;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof *values, compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static double *room(int n)
{
	double *values = n > 0 ? calloc((size_t)n, sizeof *values) : NULL;

	if (!values)
		die("how many times?");
	return values;
}

static void time_it(char **argv)
{
	struct rusage usage;
	double took = run(argv, &usage);

	printf("%.6f %.6f %ld\n", took, timeval_s(usage.ru_utime) + timeval_s(usage.ru_stime),
		usage.ru_maxrss);
}

static void start(int n, char **argv)
{
	double *values = room(n);
	struct rusage usage;

	for (int i = 0; i < n; i++)
		values[i] = run(argv, &usage);
	printf("%.6f\n", median(values, n) * 1000);
	free(values);
}

static void sync_it(const char *path, int n)
{
	static char page[PAGE];
	double *values = room(n);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	memset(page, 'w', sizeof page);
	for (int i = 0; i < n; i++) {
		double begin = now_s();
		if (write(fd, page, sizeof page) != PAGE || fdatasync(fd) < 0)
			die(path);
		values[i] = now_s() - begin;
	}
	printf("%.6f\n", median(values, n) * 1000);
	close(fd);
	unlink(path);
	free(values);
}

static void create_it(const char *folder, int n)
{
	double *values = room(n);
	char path[4096];

	if (mkdir(folder, 0700) < 0)
		die(folder);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%d", folder, i);
		double begin = now_s();
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		values[i] = now_s() - begin;
		if (fd < 0)
			die(path);
		close(fd);
	}
	printf("%.3f\n", median(values, n) * 1e6);
	free(values);
}

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "time") == 0)
		time_it(argv + 2);
	else if (argc > 3 && strcmp(argv[1], "start") == 0)
		start(atoi(argv[2]), argv + 3);
	else if (argc == 4 && strcmp(argv[1], "sync") == 0)
		sync_it(argv[2], atoi(argv[3]));
	else if (argc == 4 && strcmp(argv[1], "create") == 0)
		create_it(argv[2], atoi(argv[3]));
	else
		die("usage: probe time COMMAND... | start N COMMAND... | sync FILE N | "
		    "create FOLDER N");
	return 0;
}
