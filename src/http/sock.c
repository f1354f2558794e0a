#include "http/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"

enum { BACKLOG = 64 };

/* An address, and the folder's descriptor that it goes through (-1: none). */
struct address {
	struct sockaddr_un un;
	int dir;
};

static void address_release(struct address *a)
{
	if (a->dir >= 0)
		close(a->dir);
	a->dir = -1;
}

static int open_dir_of(const char *path, int flags, struct err *err)
{
	char *dir = io_path_dir(path);

	if (!dir)
		return err_nomem(err);
	int fd = open(dir, flags | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		err_errno(err, "%s", dir);
	int saved = errno;
	free(dir);
	errno = saved;
	return fd;
}

static int address_init(struct address *a, const char *path, struct err *err)
{
	const char *name = io_path_base(path);

	*a = (struct address){ .un.sun_family = AF_UNIX, .dir = -1 };
	if (strlen(path) < sizeof a->un.sun_path) {
		memcpy(a->un.sun_path, path, strlen(path) + 1);
		return 0;
	}
	a->dir = open_dir_of(path, O_PATH, err);
	if (a->dir < 0)
		return -1;
	int n = snprintf(
		a->un.sun_path, sizeof a->un.sun_path, "/proc/self/fd/%d/%s", a->dir, name);
	if (n < 0 || (size_t)n >= sizeof a->un.sun_path) {
		address_release(a);
		errno = ENAMETOOLONG;
		return err_set(err, ERR_INVALID,
			"the name of the socket is too long (%zu bytes): choose a shorter one: %s",
			strlen(name), path);
	}
	return 0;
}

static int new_socket(int flags, struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	if (fd < 0)
		err_errno(err, "cannot make a socket");
	return fd;
}

static int close_with_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return -1;
}

static int connect_to(const char *path, int fd, struct err *err)
{
	struct address a;
	int r;

	if (address_init(&a, path, err) < 0)
		return -1;
	do
		r = connect(fd, (struct sockaddr *)&a.un, sizeof a.un);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		err_errno(err, "cannot connect to %s", path);
	int saved = errno;
	address_release(&a);
	errno = saved;
	return r;
}

int http_sock_connect(const char *path, int timeout_ms, struct err *err)
{
	struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	int fd = new_socket(0, err);

	if (fd < 0)
		return -1;
	/* It also bounds connect(2) on a full queue; zero would be for ever. */
	if (timeout_ms <= 0)
		tv.tv_usec = 1;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	return connect_to(path, fd, err) < 0 ? close_with_errno(fd) : fd;
}

static int no_socket(const char *path, struct err *err)
{
	return err_set(err, ERR_REFUSED,
		"%s is there and is no socket; move it away, or choose another place", path);
}

int http_sock_probe(const char *path, enum http_sock_state *ret, struct err *err)
{
	struct err why = { 0 };
	struct stat st;

	*ret = HTTP_SOCK_ABSENT;
	if (lstat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_errno(err, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return no_socket(path, err);
	int fd = new_socket(SOCK_NONBLOCK, err);
	if (fd < 0)
		return -1;
	int r = connect_to(path, fd, &why);
	close_with_errno(fd);
	if (r == 0 || errno == EAGAIN)
		*ret = HTTP_SOCK_LISTENS;
	else if (errno == ECONNREFUSED)
		*ret = HTTP_SOCK_STALE;
	else if (errno != ENOENT)
		return err_set(err, why.code, "%s", why.msg);
	return 0;
}

static int clear_way(const char *path, struct err *err)
{
	enum http_sock_state state;

	if (http_sock_probe(path, &state, err) < 0)
		return -1;
	if (state == HTTP_SOCK_LISTENS)
		return err_set(err, ERR_REFUSED, "another daemon listens on %s", path);
	if (state == HTTP_SOCK_STALE && unlink(path) < 0 && errno != ENOENT)
		return err_errno(err, "cannot remove the stale socket %s", path);
	return 0;
}

/* The socket's file is born with its mode: there is no moment in which others can connect. */
static int bind_private(int fd, const struct address *a)
{
	mode_t mask = umask(0177);
	int r = bind(fd, (const struct sockaddr *)&a->un, sizeof a->un);
	int saved = errno;

	umask(mask);
	errno = saved;
	return r;
}

static int bind_to(const char *path, struct stat *st, struct err *err)
{
	struct address a;
	int fd = new_socket(SOCK_NONBLOCK, err);

	if (fd < 0)
		return -1;
	if (address_init(&a, path, err) < 0)
		return close_with_errno(fd);
	int r = bind_private(fd, &a);
	int saved = errno;
	address_release(&a);
	errno = saved;
	if (r < 0) {
		err_errno(err, "cannot make the socket %s", path);
		return close_with_errno(fd);
	}
	if (listen(fd, BACKLOG) < 0 || lstat(path, st) < 0) {
		err_errno(err, "cannot listen on %s", path);
		unlink(path);
		return close_with_errno(fd);
	}
	return fd;
}

int http_sock_listen(const char *path, struct stat *st, struct err *err)
{
	int fd = -1, dir = open_dir_of(path, O_RDONLY, err);

	if (dir < 0)
		return err_context(err, "the socket's folder");
	if (flock(dir, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		err_set(err, ERR_BUSY, "another daemon is about to listen on %s", path);
	else if (clear_way(path, err) == 0)
		fd = bind_to(path, st, err);
	close(dir);
	return fd;
}

void http_sock_unlink(const char *path, const struct stat *st)
{
	struct stat now;

	if (lstat(path, &now) == 0 && now.st_dev == st->st_dev && now.st_ino == st->st_ino)
		unlink(path);
}
