#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

static int open_for_read(const char *path, bool regular, struct err *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (regular ? O_NONBLOCK : 0));

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s: no such file", path);
	if (fd < 0)
		return err_errno(err, "%s", path);
	if (fstat(fd, &st) < 0) {
		err_errno(err, "%s", path);
		close(fd);
		return -1;
	}
	if (S_ISDIR(st.st_mode)) {
		close(fd);
		return err_set(err, ERR_IO, "%s: is a folder, not a file", path);
	}
	if (!S_ISREG(st.st_mode) && (regular || !S_ISFIFO(st.st_mode))) {
		close(fd);
		return err_set(err, ERR_IO, "%s: is not a file", path);
	}
	return fd;
}

static int read_file(const char *path, bool regular, struct buf *out, struct err *err)
{
	int rc = -1, fd = open_for_read(path, regular, err);

	if (fd < 0)
		return -1;
	for (;;) {
		char chunk[65536];
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(err, "%s: read", path);
			break;
		}
		if (n == 0) {
			rc = buf_ok(out, path, err);
			break;
		}
		if (buf_add(out, chunk, (size_t)n) < 0) {
			rc = buf_ok(out, path, err);
			break;
		}
	}
	close(fd);
	return rc;
}

int io_read_file(const char *path, struct buf *out, struct err *err)
{
	return read_file(path, false, out, err);
}

int io_read_regular(const char *path, struct buf *out, struct err *err)
{
	return read_file(path, true, out, err);
}

int io_write_all(int fd, const void *data, size_t len, struct err *err)
{
	for (const char *p = data; len;) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, "write");
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_fsync_dir_of(const char *path, struct err *err)
{
	char *dir = io_path_dir(path);
	int rc = 0;

	if (!dir)
		return err_nomem(err);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		rc = err_errno(err, "%s: fsync", dir);
	if (fd >= 0)
		close(fd);
	free(dir);
	return rc;
}

int io_write_file(const char *path, const void *data, size_t len, struct err *err)
{
	char *aside = NULL;
	int fd = -1, rc = -1;

	if (asprintf(&aside, "%s.XXXXXX", path) < 0)
		return err_nomem(err);
	fd = mkostemp(aside, O_CLOEXEC);
	if (fd < 0) {
		err_errno(err, "%s", aside);
		free(aside);
		return -1;
	}
	if (io_write_all(fd, data, len, err) < 0)
		err_context(err, "%s", aside);
	else if (fchmod(fd, 0644) < 0 || fsync(fd) < 0)
		err_errno(err, "%s", aside);
	else if (rename(aside, path) < 0)
		err_errno(err, "%s: rename to %s", aside, path);
	else
		rc = io_fsync_dir_of(path, err);
	if (close(fd) < 0 && rc == 0)
		rc = err_errno(err, "%s: close", path);
	if (rc < 0)
		unlink(aside);
	free(aside);
	return rc;
}

int io_mkdirs(const char *path, mode_t mode, struct err *err)
{
	char *p = strdup(path);
	int rc = 0;

	if (!p)
		return err_nomem(err);
	for (char *slash = p; rc == 0 && slash;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		struct stat st;
		bool there = mkdir(p, mode) == 0;
		int error = errno;
		there = there || (stat(p, &st) == 0 && S_ISDIR(st.st_mode));
		errno = error;
		if (!there)
			rc = err_errno(err, "%s: cannot make the folder", p);
		if (slash)
			*slash = '/';
	}
	free(p);
	return rc;
}

int io_mkdirs_for(const char *file_path, mode_t mode, struct err *err)
{
	char *dir = io_path_dir(file_path);
	int rc = dir ? io_mkdirs(dir, mode, err) : err_nomem(err);

	free(dir);
	return rc;
}

/* Drop "/./", "//" and a leading "./"; ".." stays, because a link may stand before it. */
static void clean(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		bool at_start = to == path || to[-1] == '/';
		if (at_start && from[0] == '.' && (from[1] == '/' || (!from[1] && to > path)))
			from += from[1] ? 2 : 1;
		else if (to > path && to[-1] == '/' && from[0] == '/')
			from++;
		else
			*to++ = *from++;
	}
	if (to > path + 1 && to[-1] == '/')
		to--;
	*to = '\0';
}

char *io_path_join(const char *base, const char *rel)
{
	char *path = NULL;

	if (rel[0] == '/')
		path = strdup(rel);
	else if (asprintf(&path, "%s/%s", base, rel) < 0)
		path = NULL;
	if (path)
		clean(path);
	return path;
}

char *io_path_dir(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

const char *io_path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

bool io_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

char *io_realpath(const char *path, struct err *err)
{
	char *real = realpath(path, NULL);

	if (!real && errno == ENOENT)
		err_set(err, ERR_NOT_FOUND, "%s: no such file or folder", path);
	else if (!real)
		err_errno(err, "%s", path);
	return real;
}
