#include "data/aside.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"

enum { CHUNK = 64 << 10, PENDING_MAX = 256 << 20 };

struct aside {
	char *path, *part;
	int64_t token;
	int fd;
	struct buf pending;
};

/* The token in the name of a part of `base`, or -1. */
static int64_t part_token(const char *name, const char *base)
{
	size_t len = strlen(base);
	char *end;

	if (name[0] != '.' || strncmp(name + 1, base, len) != 0 || name[len + 1] != '.')
		return -1;
	errno = 0;
	long long token = strtoll(name + len + 2, &end, 10);
	return errno == 0 && token >= 0 && strcmp(end, ".part") == 0 ? token : -1;
}

/* Look at the parts of other attempts: remove older ones, stop at newer ones. */
static int settle(const struct aside *a, struct err *err)
{
	char *dir = io_path_dir(a->path);
	DIR *d = dir ? opendir(dir) : NULL;
	int rc = 0;

	if (!d) {
		rc = dir ? err_errno(err, "%s", dir) : err_nomem(err);
		free(dir);
		return rc;
	}
	for (struct dirent *e; rc == 0 && (e = readdir(d));) {
		int64_t token = part_token(e->d_name, io_path_base(a->path));
		if (token > a->token)
			rc = err_set(err, ERR_FENCED,
				"%s: attempt %" PRId64 " writes it already, this is %" PRId64,
				a->path, token, a->token);
		else if (token >= 0 && token < a->token)
			unlinkat(dirfd(d), e->d_name, 0);
	}
	closedir(d);
	free(dir);
	return rc;
}

static int open_part(struct aside *a, struct err *err)
{
	char *dir = io_path_dir(a->path);

	if (!dir || asprintf(&a->part, "%s/.%s.%" PRId64 ".part", dir, io_path_base(a->path),
			    a->token) < 0) {
		a->part = NULL;
		free(dir);
		return err_nomem(err);
	}
	free(dir);
	if (settle(a, err) < 0)
		return -1;
	a->fd = open(a->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return a->fd < 0 ? err_errno(err, "%s", a->part) : 0;
}

int aside_open(struct aside **ret, const char *path, int64_t token, struct err *err)
{
	struct aside *a = calloc(1, sizeof *a);

	*ret = NULL;
	if (!a)
		return err_nomem(err);
	a->fd = -1;
	a->token = token < 0 ? 0 : token;
	buf_init(&a->pending, PENDING_MAX);
	a->path = strdup(path);
	if (!a->path) {
		aside_abort(a);
		return err_nomem(err);
	}
	if (io_mkdirs_for(path, 0777, err) < 0 || open_part(a, err) < 0) {
		aside_abort(a);
		return -1;
	}
	*ret = a;
	return 0;
}

struct buf *aside_buf(struct aside *a)
{
	return &a->pending;
}

const char *aside_part(const struct aside *a)
{
	return a->part;
}

int aside_flush(struct aside *a, bool all, struct err *err)
{
	if (buf_ok(&a->pending, a->path, err) < 0)
		return -1;
	if (!all && a->pending.len < CHUNK)
		return 0;
	if (io_write_all(a->fd, a->pending.data, a->pending.len, err) < 0)
		return err_context(err, "%s", a->part);
	buf_clear(&a->pending);
	return 0;
}

int aside_commit(struct aside *a, struct err *err)
{
	int rc = aside_flush(a, true, err);

	if (rc == 0)
		rc = settle(a, err);
	if (rc == 0 && fsync(a->fd) < 0)
		rc = err_errno(err, "%s: fsync", a->part);
	if (rc == 0 && rename(a->part, a->path) < 0)
		rc = err_errno(err, "%s: rename to %s", a->part, a->path);
	if (rc == 0) {
		free(a->part);
		a->part = NULL;
		rc = io_fsync_dir_of(a->path, err);
	}
	aside_abort(a);
	return rc;
}

void aside_abort(struct aside *a)
{
	if (!a)
		return;
	if (a->fd >= 0) {
		close(a->fd);
		if (a->part)
			unlink(a->part);
	}
	buf_release(&a->pending);
	free(a->part);
	free(a->path);
	free(a);
}
