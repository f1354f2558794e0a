#include "data/aside.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/io.h"
#include "data/ledger.h"
#include "data/mark.h"
#include "data/table.h"

enum { BUFFER = 1 << 16, ID_HEX = 16, SHOWN_NAME = 100, ZSTD_LEVEL = 3, STRINGS_MAX = 1 << 16 };

const char *const aside_compression_names[] = {
	[ASIDE_PLAIN] = "none",
	[ASIDE_GZIP] = "gzip",
	[ASIDE_ZSTD] = "zstd",
	[ASIDE_COMPRESSION_MAX] = NULL,
};
static_assert(sizeof aside_compression_names / sizeof *aside_compression_names ==
		      ASIDE_COMPRESSION_MAX + 1,
	"a name for each compression");

struct aside {
	char *path, *dir, *part; /* part: full path */
	char *prefix;            /* of the parts of this task: name up to the token */
	struct table_key key;    /* dag NULL: only the token is known */
	const char *digest;      /* of what is asked for, in `strings`; NULL: not known */
	struct arena strings;    /* of key and digest */
	struct mark found;       /* of the file in place, when this attempt began */
	int64_t token, rows;
	int fd, dir_fd;
	enum aside_compression compression;
	struct digest *digest_of_file;
	z_stream gzip;
	bool gzip_open;
	ZSTD_CCtx *zstd;
	size_t used;
	int64_t bytes;
	void (*note)(const char *text);
	unsigned char buffer[BUFFER], packed[BUFFER];
};

/* ---- names ---------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *extension)
{
	size_t len = strlen(path), n = strlen(extension);

	return len > n && strcmp(path + len - n, extension) == 0;
}

enum aside_compression aside_compression_of(const char *path)
{
	if (ends_in(path, ".gz"))
		return ASIDE_GZIP;
	return ends_in(path, ".zst") ? ASIDE_ZSTD : ASIDE_PLAIN;
}

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

static const char *keep(struct aside *a, const char *text)
{
	return text ? arena_strdup(&a->strings, text) : NULL;
}

static int set_key(struct aside *a, const struct aside_target *t, struct err *err)
{
	const struct table_key *k = t->key;

	a->token = k->token < 0 ? 0 : k->token;
	a->key = *k;
	a->key.dag = keep(a, k->dag);
	a->key.task = keep(a, k->task);
	a->key.interval_start = keep(a, k->interval_start);
	a->key.interval_end = keep(a, k->interval_end);
	a->digest = keep(a, t->digest);
	return a->strings.failed ? err_nomem(err) : 0;
}

static int set_names(struct aside *a, const struct aside_target *t, struct err *err)
{
	const struct table_key *k = t->key;
	const char *base = io_path_base(t->path);
	char id[DIGEST_HEX];

	if (!*base)
		return err_set(err, ERR_INVALID, "%s: a path of a file is needed, not of a folder",
			t->path);
	if (set_key(a, t, err) < 0 ||
		digest_text(id, err, k->dag, k->task, k->map_index, t->path) < 0)
		return -1;
	a->path = strdup(t->path);
	a->dir = io_path_dir(t->path);
	if (asprintf(&a->prefix, ".%.*s.weir-%.*s-", SHOWN_NAME, base, ID_HEX, id) < 0)
		a->prefix = NULL;
	if (!a->path || !a->dir || !a->prefix ||
		asprintf(&a->part, "%s/%s%" PRId64 ".part", a->dir, a->prefix, a->token) < 0)
		return err_nomem(err);
	return 0;
}

/* ---- other attempts ------------------------------------------------------------------ */

/* The token in the name of a part of this task, or -1. */
static int64_t part_token(const struct aside *a, const char *name)
{
	size_t len = strlen(a->prefix);
	char *end;

	if (strncmp(name, a->prefix, len) != 0)
		return -1;
	errno = 0;
	long long token = strtoll(name + len, &end, 10);
	return errno || end == name + len || strcmp(end, ".part") != 0 ? -1 : token;
}

static int fenced(const struct aside *a, struct err *err, int64_t newer)
{
	return err_set(err, ERR_FENCED,
		"%s: a newer attempt of this task (token %" PRId64 ", this one has %" PRId64
		") has taken over; nothing is published" LEDGER_LOST_STATE,
		a->path, newer, a->token);
}

static void note_removed(const struct aside *a, const char *name)
{
	char text[NAME_MAX + 64];

	if (!a->note)
		return;
	snprintf(text, sizeof text, "removed %s, which an earlier attempt left", name);
	a->note(text);
}

static int remove_leftovers(struct aside *a, struct err *err)
{
	DIR *dir = opendir(a->dir);
	int rc = 0;

	if (!dir)
		return err_errno(err, "%s", a->dir);
	for (struct dirent *e; rc == 0 && (e = readdir(dir));) {
		int64_t token = part_token(a, e->d_name);
		if (token > a->token)
			rc = fenced(a, err, token);
		else if (token >= 0 && unlinkat(dirfd(dir), e->d_name, 0) == 0)
			note_removed(a, e->d_name);
	}
	closedir(dir);
	return rc;
}

/* Is the published file by a newer attempt of the same task and interval? */
static int check_published(struct aside *a, struct mark *ret, struct err *err)
{
	*ret = (struct mark){ 0 };
	if (a->key.dag)
		mark_read(a->path, &a->key, ret);
	return ret->token > a->token ? fenced(a, err, ret->token) : 0;
}

/* Is the part still ours, and not one of a newer attempt, or gone? */
static int check_part(struct aside *a, struct err *err)
{
	struct stat ours, named;

	if (fstat(a->fd, &ours) == 0 && stat(a->part, &named) == 0 && ours.st_ino == named.st_ino)
		return 0;
	return err_set(err, ERR_FENCED,
		"%s: a newer attempt of this task has taken over; nothing is published", a->path);
}

/* ---- writing ------------------------------------------------------------------------- */

static int put(struct aside *a, const void *data, size_t len, struct err *err)
{
	if (len == 0)
		return 0;
	if (io_write_all(a->fd, data, len, err) < 0)
		return err_context(err, "%s", a->part);
	if (digest_add(a->digest_of_file, data, len) < 0)
		return err_set(err, ERR_INTERNAL, "the digest failed");
	a->bytes += (int64_t)len;
	return 0;
}

static int put_gzip(struct aside *a, const void *data, size_t len, bool end, struct err *err)
{
	int rc = Z_OK;

	a->gzip.next_in = (Bytef *)data;
	a->gzip.avail_in = (uInt)len;
	do {
		a->gzip.next_out = a->packed;
		a->gzip.avail_out = BUFFER;
		rc = deflate(&a->gzip, end ? Z_FINISH : Z_NO_FLUSH);
		if (rc == Z_STREAM_ERROR)
			return err_set(err, ERR_INTERNAL, "gzip failed");
		if (put(a, a->packed, BUFFER - a->gzip.avail_out, err) < 0)
			return -1;
	} while (a->gzip.avail_out == 0 || (end && rc != Z_STREAM_END));
	return 0;
}

static int put_zstd(struct aside *a, const void *data, size_t len, bool end, struct err *err)
{
	ZSTD_inBuffer in = { .src = data, .size = len };
	size_t left;

	do {
		ZSTD_outBuffer out = { .dst = a->packed, .size = BUFFER };
		left = ZSTD_compressStream2(a->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return err_set(err, ERR_IO, "zstd: %s", ZSTD_getErrorName(left));
		if (put(a, a->packed, out.pos, err) < 0)
			return -1;
	} while (end ? left != 0 : in.pos < in.size);
	return 0;
}

static int drain(struct aside *a, bool end, struct err *err)
{
	size_t len = a->used;

	a->used = 0;
	switch (a->compression) {
	case ASIDE_GZIP:
		return put_gzip(a, a->buffer, len, end, err);
	case ASIDE_ZSTD:
		return put_zstd(a, a->buffer, len, end, err);
	default:
		return put(a, a->buffer, len, err);
	}
}

int aside_write(struct aside *a, const void *data, size_t len, struct err *err)
{
	const unsigned char *p = data;

	while (len) {
		size_t room = BUFFER - a->used, n = len < room ? len : room;
		memcpy(a->buffer + a->used, p, n);
		a->used += n;
		p += n;
		len -= n;
		if (a->used == BUFFER && drain(a, false, err) < 0)
			return -1;
	}
	return 0;
}

int aside_flush(struct aside *a, struct err *err)
{
	return drain(a, false, err);
}

const char *aside_part(const struct aside *a)
{
	return a->part;
}

/* ---- opening and ending -------------------------------------------------------------- */

static int open_compression(struct aside *a, struct err *err)
{
	if (a->compression == ASIDE_GZIP) {
		/* 15 + 16: a gzip header (RFC 1952), which zlib leaves without time and name. */
		if (deflateInit2(&a->gzip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
			    Z_DEFAULT_STRATEGY) != Z_OK)
			return err_nomem(err);
		a->gzip_open = true;
	}
	if (a->compression == ASIDE_ZSTD) {
		a->zstd = ZSTD_createCCtx();
		if (!a->zstd)
			return err_nomem(err);
		ZSTD_CCtx_setParameter(a->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
		ZSTD_CCtx_setParameter(a->zstd, ZSTD_c_checksumFlag, 1);
	}
	return 0;
}

/* While it is held, no other attempt removes parts, or puts its own in place. */
static int lock_folder(struct aside *a, struct err *err)
{
	while (flock(a->dir_fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_errno(err, "%s: lock", a->dir);
	return 0;
}

/* Make the file's folders, those above it that are new synced as well: a file is as durable as the
 * way to it. */
static int make_folders(const struct aside *a, struct err *err)
{
	char *existing = strdup(a->dir), *at = strdup(a->dir);
	int rc = existing && at ? 0 : err_nomem(err);

	while (rc == 0 && !io_exists(existing) && strcmp(existing, "/") && strcmp(existing, ".")) {
		char *up = io_path_dir(existing);
		free(existing);
		existing = up;
		rc = up ? 0 : err_nomem(err);
	}
	if (rc == 0)
		rc = io_mkdirs_for(a->path, 0777, err);
	while (rc == 0 && strlen(at) > strlen(existing)) {
		rc = io_fsync_dir_of(at, err);
		char *up = io_path_dir(at);
		free(at);
		at = up;
		if (rc == 0 && !up)
			rc = err_nomem(err);
	}
	free(existing);
	free(at);
	return rc;
}

static int open_files(struct aside *a, struct err *err)
{
	struct stat st;

	if (stat(a->path, &st) == 0 && S_ISDIR(st.st_mode))
		return err_set(err, ERR_INVALID, "%s is a folder", a->path);
	if (make_folders(a, err) < 0)
		return -1;
	a->dir_fd = open(a->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (a->dir_fd < 0)
		return err_errno(err, "%s", a->dir);
	int rc = lock_folder(a, err);
	if (rc == 0)
		rc = remove_leftovers(a, err);
	if (rc == 0)
		rc = check_published(a, &a->found, err);
	flock(a->dir_fd, LOCK_UN);
	if (rc < 0)
		return -1;
	if (aside_already(a, NULL))
		return 0;
	a->fd = open(a->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	return a->fd < 0 ? err_errno(err, "%s", a->part) : 0;
}

int aside_open(struct aside **ret, const struct aside_target *t, struct err *err)
{
	struct aside *a = calloc(1, sizeof *a);

	*ret = NULL;
	if (!a)
		return err_nomem(err);
	a->fd = a->dir_fd = -1;
	arena_init(&a->strings, STRINGS_MAX);
	a->note = t->note;
	a->compression = t->compression;
	a->digest_of_file = digest_new();
	int rc = a->digest_of_file ? set_names(a, t, err) : err_nomem(err);
	if (rc == 0)
		rc = open_files(a, err);
	if (rc == 0)
		rc = open_compression(a, err);
	if (rc < 0) {
		aside_abort(a);
		return -1;
	}
	*ret = a;
	return 0;
}

bool aside_already(const struct aside *a, struct aside_result *ret)
{
	const struct mark *m = &a->found;

	if (!m->in_place || !a->digest || a->key.work <= 0 || m->work != a->key.work ||
		strcmp(m->digest, a->digest) != 0)
		return false;
	if (ret) {
		*ret = (struct aside_result){
			.bytes = m->bytes, .rows = m->rows, .token = m->token
		};
		memcpy(ret->sha256, m->sha256, sizeof ret->sha256);
	}
	return true;
}

void aside_set_rows(struct aside *a, int64_t rows)
{
	a->rows = rows;
}

int aside_check(struct aside *a, struct err *err)
{
	struct mark m;

	return check_published(a, &m, err) < 0 || check_part(a, err) < 0 ? -1 : 0;
}

/* The lock lets no other attempt get between the check and the rename. A sidecar comes before the
 * file: an older attempt is refused from then on, whatever happens to this one. */
static int publish(struct aside *a, const struct mark *m, bool attached, struct err *err)
{
	if (lock_folder(a, err) < 0 || aside_check(a, err) < 0)
		return -1;
	if (a->key.dag && !attached && mark_write_beside(a->fd, a->path, &a->key, m, err) < 0)
		return -1;
	if (rename(a->part, a->path) < 0)
		return err_errno(err, "%s: rename to %s", a->part, a->path);
	if (attached)
		mark_remove_beside(a->path);
	if (fsync(a->dir_fd) < 0)
		return err_errno(err, "%s: fsync", a->dir);
	return 0;
}

static int finish(struct aside *a, struct mark *m, struct err *err)
{
	*m = (struct mark){
		.token = a->token, .work = a->key.work, .bytes = a->bytes, .rows = a->rows
	};
	snprintf(m->digest, sizeof m->digest, "%s", a->digest ? a->digest : "");
	if (digest_hex(a->digest_of_file, m->sha256) < 0)
		return err_set(err, ERR_INTERNAL, "the digest failed");
	bool attached = a->key.dag && mark_attach(a->fd, &a->key, m);
	if (fsync(a->fd) < 0)
		return err_errno(err, "%s: fsync", a->part);
	return publish(a, m, attached, err);
}

int aside_commit(struct aside *a, struct aside_result *ret, struct err *err)
{
	struct mark m;
	int rc = drain(a, true, err);

	if (rc == 0)
		rc = finish(a, &m, err);
	if (rc == 0 && ret) {
		*ret = (struct aside_result){ .bytes = m.bytes, .rows = m.rows, .token = m.token };
		memcpy(ret->sha256, m.sha256, sizeof ret->sha256);
	}
	aside_abort(a);
	return rc;
}

int aside_remove(const struct aside_target *t, struct err *err)
{
	struct aside *a = calloc(1, sizeof *a);
	struct mark m;
	int rc = 0;

	if (!a)
		return err_nomem(err);
	a->fd = -1;
	arena_init(&a->strings, STRINGS_MAX);
	rc = set_names(a, t, err);
	a->dir_fd = rc == 0 ? open(a->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (rc == 0 && a->dir_fd < 0 && errno != ENOENT && errno != ENOTDIR)
		rc = err_errno(err, "%s", a->dir);
	if (rc == 0 && a->dir_fd >= 0) {
		rc = lock_folder(a, err) < 0 || remove_leftovers(a, err) < 0 ||
				     check_published(a, &m, err) < 0
			     ? -1
			     : 0;
		if (rc == 0 && unlink(a->path) < 0 && errno != ENOENT)
			rc = err_errno(err, "%s: cannot remove it", a->path);
		if (rc == 0)
			mark_remove_beside(a->path);
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
		unlink(a->part); /* after the rename there is nothing of that name */
	}
	if (a->dir_fd >= 0)
		close(a->dir_fd);
	if (a->gzip_open)
		deflateEnd(&a->gzip);
	ZSTD_freeCCtx(a->zstd);
	digest_free(a->digest_of_file);
	arena_release(&a->strings);
	free(a->path);
	free(a->dir);
	free(a->part);
	free(a->prefix);
	free(a);
}
