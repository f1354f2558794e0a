#include "exec/proc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/prctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"

/* Read a small file of /proc whole; the number of bytes, or -1. */
static ssize_t slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	if (fd < 0)
		return -1;
	while (len < size - 1) {
		ssize_t n = read(fd, buf + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	close(fd);
	buf[len] = '\0';
	return (ssize_t)len;
}

int proc_stat(int64_t pid, struct proc_stat *ret)
{
	char path[64], text[2048];
	struct proc_stat st;

	if (pid <= 0)
		return -1;
	snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
	if (slurp(path, text, sizeof text) <= 0)
		return -1;
	/* The second field, the name in parentheses, may hold anything. */
	const char *p = strrchr(text, ')');
	if (!p || sscanf(p + 1,
			  " %c %*d %" SCNd64 " %" SCNd64
			  " %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d"
			  " %*d %*d %*d %*d %" SCNd64,
			  &st.state, &st.pgrp, &st.session, &st.start_ticks) != 4)
		return -1;
	*ret = st;
	return 0;
}

bool proc_is_dead(const struct proc_stat *st)
{
	return st->state == 'Z' || st->state == 'X';
}

int64_t proc_tick_us(void)
{
	long hz = sysconf(_SC_CLK_TCK);

	return 1000000 / (hz > 0 ? hz : 100);
}

void proc_boot_id(char ret[PROC_BOOT_ID])
{
	char text[64];
	ssize_t n = slurp("/proc/sys/kernel/random/boot_id", text, sizeof text);

	if (n < PROC_BOOT_ID - 1) {
		memcpy(ret, "-", 2);
		return;
	}
	memcpy(ret, text, PROC_BOOT_ID - 1);
	ret[PROC_BOOT_ID - 1] = '\0';
}

int64_t proc_boottime_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t pid_of(const char *name)
{
	char *end;
	long long pid = strtoll(name, &end, 10);

	return *end || pid <= 0 ? 0 : pid;
}

int proc_group(int64_t pgrp, int64_t *ret_pids, int max)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	int n = 0;

	if (!dir)
		return 0;
	while (n < max && (d = readdir(dir))) {
		struct proc_stat st;
		int64_t pid = pid_of(d->d_name);
		if (pid && proc_stat(pid, &st) == 0 && st.pgrp == pgrp && !proc_is_dead(&st))
			ret_pids[n++] = pid;
	}
	closedir(dir);
	return n;
}

bool proc_has_env(int64_t pid, const char *entry)
{
	char path[64];
	struct buf env;
	bool found = false;

	buf_init(&env, BUF_MAX_TEXT);
	snprintf(path, sizeof path, "/proc/%" PRId64 "/environ", pid);
	if (io_read_file(path, &env, NULL) == 0) {
		const char *end = env.data + env.len;
		for (const char *p = env.data; p < end && !found; p += strlen(p) + 1)
			found = strcmp(p, entry) == 0;
	}
	buf_release(&env);
	return found;
}

/* The map the kernel has of this process: what is not to be changed must be said again. */
static int read_map(struct prctl_mm_map *ret)
{
	char text[2048];

	*ret = (struct prctl_mm_map){ .exe_fd = (__u32)-1 };
	if (slurp("/proc/self/stat", text, sizeof text) <= 0)
		return -1;
	const char *p = strrchr(text, ')');
	/* Fields 26 to 28, and 45 to 51. */
	int n = !p ? 0
		   : sscanf(p + 1,
			     " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d"
			     " %*d %*d %*d %*u %*u %*d %*u %llu %llu %llu %*u %*u %*u %*u %*u"
			     " %*u %*u %*u %*u %*d %*d %*u %*u %*u %*u %*d %llu %llu %llu %llu"
			     " %llu %llu %llu",
			     &ret->start_code, &ret->end_code, &ret->start_stack, &ret->start_data,
			     &ret->end_data, &ret->start_brk, &ret->arg_start, &ret->arg_end,
			     &ret->env_start, &ret->env_end);
	ret->brk = (__u64)syscall(SYS_brk, 0);
	return n == 10 && ret->brk >= ret->start_brk ? 0 : -1;
}

void proc_set_title(const char *title)
{
	static char text[PROC_TITLE];
	static size_t shown; /* bytes of text, with its NUL */
	struct prctl_mm_map map;

	if (shown) {
		memset(text, 0, sizeof text);
		snprintf(text, shown, "%s", title);
		return;
	}
	snprintf(text, sizeof text, "%s", title);
	if (read_map(&map) < 0)
		return;
	map.arg_start = (__u64)(uintptr_t)text;
	map.arg_end = map.arg_start + strlen(text) + 1;
	if (prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0)
		shown = strlen(text) + 1;
}

int proc_pidfd(int64_t pid, int64_t start_ticks)
{
	struct proc_stat st;

	if (pid <= 0 || pid > INT32_MAX) {
		errno = ESRCH;
		return -1;
	}
	/* Opened first and looked at then: what is looked at is what was opened, or it is gone. */
	int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (fd < 0)
		return -1;
	if (proc_stat(pid, &st) == 0 && st.start_ticks == start_ticks)
		return fd;
	close(fd);
	errno = ESRCH;
	return -1;
}

int proc_signal(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}
