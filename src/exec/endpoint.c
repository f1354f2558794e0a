#include "exec/endpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"

#define BACKLOG 64

static int open_dir(const char *dir, struct err *err)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_errno(err, "%s", dir) : fd;
}

static struct sockaddr_un address(int dir_fd, const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
	return a;
}

static int bind_private(int fd, const struct sockaddr_un *a)
{
	mode_t before = umask(0177);
	int rc = bind(fd, (const struct sockaddr *)a, sizeof *a);

	umask(before);
	return rc;
}

int endpoint_listen(const char *dir, char ret_name[ENDPOINT_NAME], struct err *err)
{
	uint64_t number;
	int rc = -1, fd = -1, dir_fd = open_dir(dir, err);

	if (dir_fd < 0)
		return -1;
	if (getrandom(&number, sizeof number, 0) != sizeof number) {
		err_errno(err, "getrandom");
		goto out;
	}
	snprintf(ret_name, ENDPOINT_NAME, "%016" PRIx64 ENDPOINT_SUFFIX, number);
	struct sockaddr_un a = address(dir_fd, ret_name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind_private(fd, &a) < 0) {
		err_errno(err, "%s/%s", dir, ret_name);
		goto out;
	}
	rc = listen(fd, BACKLOG);
	if (rc < 0) {
		err_errno(err, "%s/%s", dir, ret_name);
		unlinkat(dir_fd, ret_name, 0);
	}
out:
	close(dir_fd);
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc < 0 ? -1 : fd;
}

static int explain(const char *dir, const char *name, struct err *err)
{
	int error = errno;

	if (error == ECONNREFUSED || error == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s/%s: nobody listens", dir, name);
	if (error == EAGAIN)
		return err_set(err, ERR_TIMEOUT, "%s/%s: nobody answers", dir, name);
	errno = error;
	return err_errno(err, "%s/%s", dir, name);
}

int endpoint_connect(const char *dir, const char *name, int wait_ms, struct err *err)
{
	/* For connect(2), too: it waits while the queue of those who wait is full. */
	const struct timeval wait = { wait_ms / 1000, wait_ms % 1000 * 1000 };
	int rc = -1, dir_fd = open_dir(dir, err);

	if (dir_fd < 0)
		return -1;
	struct sockaddr_un a = address(dir_fd, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0)
		rc = connect(fd, (const struct sockaddr *)&a, sizeof a);
	if (rc < 0)
		explain(dir, name, err);
	close(dir_fd);
	if (rc < 0 && fd >= 0)
		close(fd);
	return rc < 0 ? -1 : fd;
}

void endpoint_remove(const char *dir, const char *name)
{
	int dir_fd = open_dir(dir, NULL);

	if (dir_fd < 0)
		return;
	unlinkat(dir_fd, name, 0);
	close(dir_fd);
}
