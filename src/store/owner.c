#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/err.h"
#include "store/store.h"

/* A small file of /proc, cut at `size` - 1 bytes and NUL-terminated. */
static int read_small(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n;
	do
		n = read(fd, buf, size - 1);
	while (n < 0 && errno == EINTR);
	int saved = errno;
	close(fd);
	errno = saved;
	if (n < 0)
		return -1;
	buf[n] = '\0';
	return 0;
}

/* State and start time of a process: fields 3 and 22 of /proc/PID/stat, proc(5). The second
 * field, the program's name in brackets, may hold anything, brackets too. */
static int read_stat(int64_t pid, char *ret_state, int64_t *ret_start_ticks)
{
	char path[64], text[1024];

	snprintf(path, sizeof path, "/proc/%" PRId64 "/stat", pid);
	if (read_small(path, text, sizeof text) < 0)
		return -1;
	char *p = strrchr(text, ')');
	if (!p || p[1] != ' ' || !p[2])
		return -1;
	*ret_state = p[2];
	p += 2;
	for (int field = 3; field < 22; field++) {
		p = strchr(p, ' ');
		if (!p)
			return -1;
		p++;
	}
	*ret_start_ticks = strtoll(p, NULL, 10);
	return 0;
}

/* "BOOT/NAMESPACE"; of what the kernel does not tell, nothing. */
static void read_boot_id(char *ret, size_t size)
{
	char link[64];

	if (read_small("/proc/sys/kernel/random/boot_id", ret, size) < 0)
		ret[0] = '\0';
	size_t len = strcspn(ret, "\n");
	ret[len] = '\0';
	ssize_t n = readlink("/proc/self/ns/pid", link, sizeof link - 1); /* pid:[4026531836] */
	link[n > 0 ? n : 0] = '\0';
	const char *number = strchr(link, '[');
	if (number)
		snprintf(ret + len, size - len, "/%.*s", (int)strcspn(number + 1, "]"), number + 1);
}

/* The same boot; unknown ones count as the same. */
static bool same_boot(const char *a, const char *b)
{
	size_t la = strcspn(a, "/"), lb = strcspn(b, "/");

	return !la || !lb || (la == lb && memcmp(a, b, la) == 0);
}

static bool same_namespace(const char *a, const char *b)
{
	return strcmp(a + strcspn(a, "/"), b + strcspn(b, "/")) == 0;
}

int owner_self(struct owner *ret, struct err *err)
{
	struct owner o = { .pid = getpid() };
	char state;

	if (gethostname(o.host, sizeof o.host - 1) < 0)
		return err_errno(err, "cannot read the name of this host");
	read_boot_id(o.boot_id, sizeof o.boot_id);
	if (read_stat(o.pid, &state, &o.start_ticks) < 0)
		return err_set(err, ERR_IO, "cannot read /proc/%" PRId64 "/stat: is /proc mounted?",
			o.pid);
	*ret = o;
	return 0;
}

static bool is_gone(const struct owner *o)
{
	int64_t start_ticks;
	char state;

	if (kill((pid_t)o->pid, 0) < 0 && errno == ESRCH)
		return true;
	if (read_stat(o->pid, &state, &start_ticks) < 0)
		return false;
	/* A zombie runs no more; in a container nobody may ever reap it. */
	return start_ticks != o->start_ticks || state == 'Z' || state == 'X';
}

bool owner_is_dead(const struct owner *o)
{
	char host[sizeof o->host] = "", boot_id[sizeof o->boot_id];

	if (gethostname(host, sizeof host - 1) < 0 || strcmp(host, o->host) != 0)
		return false;
	read_boot_id(boot_id, sizeof boot_id);
	if (!same_boot(boot_id, o->boot_id))
		return true;
	return o->pid > 0 && same_namespace(boot_id, o->boot_id) && is_gone(o);
}
