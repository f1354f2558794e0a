#include "operators/publish/sink.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/err.h"
#include "base/io.h"
#include "data/table.h"

enum { BUFFER = 1 << 16, ID_HEX = 16, SHOWN_NAME = 100, ZSTD_LEVEL = 3 };
#define ATTRIBUTE "user.weir.token"

const char *const compression_names[] = {
	[COMPRESSION_NONE] = "none",
	[COMPRESSION_GZIP] = "gzip",
	[COMPRESSION_ZSTD] = "zstd",
	[COMPRESSION_MAX] = NULL,
};
static_assert(sizeof compression_names / sizeof *compression_names == COMPRESSION_MAX + 1,
	"a name for each compression");

struct sink {
	char *path, *dir, *aside; /* aside: full path */
	char *prefix;             /* of the aside files of this task: name up to the token */
	char owner[DIGEST_HEX];   /* the task and interval the published file belongs to */
	int64_t token;
	int fd, dir_fd;
	enum compression compression;
	struct digest *digest;
	z_stream gzip;
	bool gzip_open;
	ZSTD_CCtx *zstd;
	size_t used;
	int64_t bytes;
	unsigned char buffer[BUFFER], packed[BUFFER];
};

/* ---- names --------------------------------------------------------------------------- */

static int digest_text(
	char ret[DIGEST_HEX], struct err *err, const char *a, const char *b, int n, const char *c)
{
	char *text = NULL;

	if (asprintf(&text, "%s\n%s\n%d\n%s", a ? a : "", b ? b : "", n, c ? c : "") < 0)
		return err_nomem(err);
	int rc = digest_of(text, strlen(text), ret);
	free(text);
	return rc < 0 ? err_nomem(err) : 0;
}

static int set_names(struct sink *s, const struct sink_target *t, struct err *err)
{
	const struct table_key *k = t->key;
	const char *base = io_path_base(t->path);
	char id[DIGEST_HEX];

	if (!*base)
		return err_set(err, ERR_INVALID, "%s: a path of a file is needed, not of a folder",
			t->path);
	if (digest_text(id, err, k->dag, k->task, k->map_index, t->path) < 0 ||
		digest_text(s->owner, err, k->dag, k->task, k->map_index, k->interval_start) < 0)
		return -1;
	s->path = strdup(t->path);
	s->dir = io_path_dir(t->path);
	if (asprintf(&s->prefix, ".%.*s.weir-%.*s-", SHOWN_NAME, base, ID_HEX, id) < 0)
		s->prefix = NULL;
	if (!s->path || !s->dir || !s->prefix ||
		asprintf(&s->aside, "%s/%s%" PRId64 ".part", s->dir, s->prefix, s->token) < 0)
		return err_nomem(err);
	return 0;
}

/* ---- other attempts ------------------------------------------------------------------ */

/* The token of an aside file of this task, or -1. */
static int64_t aside_token(const struct sink *s, const char *name)
{
	size_t len = strlen(s->prefix);
	char *end;

	if (strncmp(name, s->prefix, len) != 0)
		return -1;
	errno = 0;
	long long token = strtoll(name + len, &end, 10);
	return errno || end == name + len || strcmp(end, ".part") != 0 ? -1 : token;
}

static int fenced(const struct sink *s, struct err *err, int64_t newer)
{
	return err_set(err, ERR_FENCED,
		"%s: a newer attempt of this task (token %" PRId64 ", this one has %" PRId64
		") has taken over; nothing is published",
		s->path, newer, s->token);
}

static int remove_leftovers(struct sink *s, struct err *err)
{
	DIR *dir = opendir(s->dir);
	int rc = 0;

	if (!dir)
		return err_errno(err, "%s", s->dir);
	for (struct dirent *e; rc == 0 && (e = readdir(dir));) {
		int64_t token = aside_token(s, e->d_name);
		if (token > s->token)
			rc = fenced(s, err, token);
		else if (token >= 0 && unlinkat(dirfd(dir), e->d_name, 0) == 0)
			printf("removed %s, which an earlier attempt left\n", e->d_name);
	}
	closedir(dir);
	return rc;
}

/* Is the published file by a newer attempt of the same task and interval? */
static int check_published(struct sink *s, struct err *err)
{
	char value[DIGEST_HEX + 32];
	ssize_t n = getxattr(s->path, ATTRIBUTE, value, sizeof value - 1);

	if (n < DIGEST_HEX)
		return 0;
	value[n] = '\0';
	if (strncmp(value, s->owner, DIGEST_HEX - 1) != 0)
		return 0;
	int64_t token = strtoll(value + DIGEST_HEX, NULL, 10);
	return token > s->token ? fenced(s, err, token) : 0;
}

/* Best effort: not every file system has attributes. */
static void mark(struct sink *s)
{
	char value[DIGEST_HEX + 32];

	int n = snprintf(value, sizeof value, "%s %" PRId64, s->owner, s->token);
	if (fsetxattr(s->fd, ATTRIBUTE, value, (size_t)n, 0) < 0)
		return;
}

/* ---- writing ------------------------------------------------------------------------- */

static int put(struct sink *s, const void *data, size_t len, struct err *err)
{
	if (len == 0)
		return 0;
	if (io_write_all(s->fd, data, len, err) < 0)
		return err_context(err, "%s", s->aside);
	if (digest_add(s->digest, data, len) < 0)
		return err_set(err, ERR_INTERNAL, "the digest failed");
	s->bytes += (int64_t)len;
	return 0;
}

static int put_gzip(struct sink *s, const void *data, size_t len, bool end, struct err *err)
{
	int rc = Z_OK;

	s->gzip.next_in = (Bytef *)data;
	s->gzip.avail_in = (uInt)len;
	do {
		s->gzip.next_out = s->packed;
		s->gzip.avail_out = BUFFER;
		rc = deflate(&s->gzip, end ? Z_FINISH : Z_NO_FLUSH);
		if (rc == Z_STREAM_ERROR)
			return err_set(err, ERR_INTERNAL, "gzip failed");
		if (put(s, s->packed, BUFFER - s->gzip.avail_out, err) < 0)
			return -1;
	} while (s->gzip.avail_out == 0 || (end && rc != Z_STREAM_END));
	return 0;
}

static int put_zstd(struct sink *s, const void *data, size_t len, bool end, struct err *err)
{
	ZSTD_inBuffer in = { .src = data, .size = len };
	size_t left;

	do {
		ZSTD_outBuffer out = { .dst = s->packed, .size = BUFFER };
		left = ZSTD_compressStream2(s->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return err_set(err, ERR_IO, "zstd: %s", ZSTD_getErrorName(left));
		if (put(s, s->packed, out.pos, err) < 0)
			return -1;
	} while (end ? left != 0 : in.pos < in.size);
	return 0;
}

static int drain(struct sink *s, bool end, struct err *err)
{
	size_t len = s->used;

	s->used = 0;
	switch (s->compression) {
	case COMPRESSION_GZIP:
		return put_gzip(s, s->buffer, len, end, err);
	case COMPRESSION_ZSTD:
		return put_zstd(s, s->buffer, len, end, err);
	default:
		return put(s, s->buffer, len, err);
	}
}

int sink_write(struct sink *s, const void *data, size_t len, struct err *err)
{
	const unsigned char *p = data;

	while (len) {
		size_t room = BUFFER - s->used, n = len < room ? len : room;
		memcpy(s->buffer + s->used, p, n);
		s->used += n;
		p += n;
		len -= n;
		if (s->used == BUFFER && drain(s, false, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- opening and ending -------------------------------------------------------------- */

static int open_compression(struct sink *s, struct err *err)
{
	if (s->compression == COMPRESSION_GZIP) {
		/* 15 + 16: a gzip header (RFC 1952), which zlib leaves without time and name. */
		if (deflateInit2(&s->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
			    Z_DEFAULT_STRATEGY) != Z_OK)
			return err_nomem(err);
		s->gzip_open = true;
	}
	if (s->compression == COMPRESSION_ZSTD) {
		s->zstd = ZSTD_createCCtx();
		if (!s->zstd)
			return err_nomem(err);
		ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
		ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_checksumFlag, 1);
	}
	return 0;
}

static int open_files(struct sink *s, struct err *err)
{
	struct stat st;

	if (stat(s->path, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, ERR_INVALID, "%s is a folder", s->path);
	if (io_mkdirs_for(s->path, 0777, err) < 0)
		return -1;
	s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0)
		return err_errno(err, "%s", s->dir);
	if (remove_leftovers(s, err) < 0 || check_published(s, err) < 0)
		return -1;
	s->fd = open(s->aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return s->fd < 0 ? err_errno(err, "%s", s->aside) : 0;
}

int sink_open(struct sink **ret, const struct sink_target *t, struct err *err)
{
	struct sink *s = calloc(1, sizeof *s);

	*ret = NULL;
	if (!s)
		return err_nomem(err);
	s->fd = s->dir_fd = -1;
	s->token = t->key->token;
	s->compression = t->compression;
	s->digest = digest_new();
	int rc = s->digest ? set_names(s, t, err) : err_nomem(err);
	if (rc == 0)
		rc = open_files(s, err);
	if (rc == 0)
		rc = open_compression(s, err);
	if (rc < 0) {
		sink_abort(s);
		return -1;
	}
	*ret = s;
	return 0;
}

/* Under a lock on the folder, so that no other attempt gets between the check and the rename. */
static int publish(struct sink *s, struct err *err)
{
	struct stat ours, named;

	while (flock(s->dir_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(err, "%s: lock", s->dir);
	if (check_published(s, err) < 0)
		return -1;
	if (fstat(s->fd, &ours) < 0 || stat(s->aside, &named) < 0 || ours.st_ino != named.st_ino)
		return err_set(err, ERR_FENCED,
			"%s: a newer attempt of this task has taken over; nothing is published",
			s->path);
	if (rename(s->aside, s->path) < 0)
		return err_errno(err, "%s: rename to %s", s->aside, s->path);
	if (fsync(s->dir_fd) < 0)
		return err_errno(err, "%s: fsync", s->dir);
	return 0;
}

int sink_commit(struct sink *s, struct sink_result *ret, struct err *err)
{
	int rc = drain(s, true, err);

	if (rc == 0 && digest_hex(s->digest, ret->sha256) < 0)
		rc = err_set(err, ERR_INTERNAL, "the digest failed");
	if (rc == 0) {
		ret->bytes = s->bytes;
		mark(s);
		if (fsync(s->fd) < 0)
			rc = err_errno(err, "%s: fsync", s->aside);
	}
	if (rc == 0)
		rc = publish(s, err);
	sink_abort(s);
	return rc;
}

void sink_abort(struct sink *s)
{
	if (!s)
		return;
	if (s->fd >= 0) {
		close(s->fd);
		unlink(s->aside); /* after the rename there is nothing of that name */
	}
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	if (s->gzip_open)
		deflateEnd(&s->gzip);
	ZSTD_freeCCtx(s->zstd);
	digest_free(s->digest);
	free(s->path);
	free(s->dir);
	free(s->aside);
	free(s->prefix);
	free(s);
}
