#include "data/mark.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "data/table.h"

enum { MARK_MAX = 4096 };

static char *sidecar_path(const char *path)
{
	char *dir = io_path_dir(path), *side = NULL;

	if (dir && asprintf(&side, "%s/.%s.weir", dir, io_path_base(path)) < 0)
		side = NULL;
	free(dir);
	return side;
}

static int64_t mtime_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec;
}

/* ---- reading ----------------------------------------------------------------------------- */

static int64_t integer(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static bool is_text(const json_t *o, const char *name, const char *want)
{
	const char *text = json_string_value(json_object_get(o, name));

	return strcmp(text ? text : "", want ? want : "") == 0;
}

static void copy(char ret[DIGEST_HEX], const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	snprintf(ret, DIGEST_HEX, "%s", text ? text : "");
}

static bool is_of(const json_t *o, const struct table_key *k)
{
	return is_text(o, "dag", k->dag) && is_text(o, "task", k->task) &&
	       integer(o, "map_index") == k->map_index &&
	       is_text(o, "interval_start", k->interval_start) &&
	       is_text(o, "interval_end", k->interval_end);
}

/* Take what the text says, unless it is another's or older than what *ret has. */
static void take(const char *text, size_t len, const char *path, const struct table_key *key,
	struct mark *ret)
{
	json_t *o = json_loadb(text, len, 0, NULL);
	int64_t token = integer(o, "token");
	struct stat st;

	if (o && is_of(o, key) && token > ret->token) {
		*ret = (struct mark){ .token = token,
			.work = integer(o, "work"),
			.bytes = integer(o, "bytes"),
			.rows = integer(o, "rows") };
		copy(ret->digest, o, "digest");
		copy(ret->sha256, o, "sha256");
		ret->in_place = stat(path, &st) == 0 && st.st_size == ret->bytes &&
				(int64_t)st.st_ino == integer(o, "inode") &&
				mtime_ns(&st) == integer(o, "mtime_ns");
	}
	json_decref(o);
}

void mark_read(const char *path, const struct table_key *key, struct mark *ret)
{
	char attribute[MARK_MAX], *side = sidecar_path(path);
	struct buf text;

	*ret = (struct mark){ 0 };
	ssize_t n = getxattr(path, MARK_ATTRIBUTE, attribute, sizeof attribute);
	if (n > 0)
		take(attribute, (size_t)n, path, key, ret);
	buf_init(&text, MARK_MAX);
	if (side && io_read_regular(side, &text, NULL) == 0 && text.len)
		take(text.data, text.len, path, key, ret);
	buf_release(&text);
	free(side);
}

/* ---- writing ----------------------------------------------------------------------------- */

static char *mark_text(const struct stat *st, const struct table_key *k, const struct mark *m)
{
	json_t *o = json_pack("{s:s*, s:s*, s:i, s:s*, s:s*, s:I, s:I}", "dag", k->dag, "task",
		k->task, "map_index", k->map_index, "interval_start", k->interval_start,
		"interval_end", k->interval_end, "token", (json_int_t)m->token, "work",
		(json_int_t)m->work);
	json_t *file = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "digest", m->digest, "sha256",
		m->sha256, "bytes", (json_int_t)m->bytes, "rows", (json_int_t)m->rows, "inode",
		(json_int_t)st->st_ino, "mtime_ns", (json_int_t)mtime_ns(st));
	char *text =
		o && file && json_object_update(o, file) == 0 ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	json_decref(file);
	return text;
}

static char *text_of(int fd, const struct table_key *key, const struct mark *m)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? mark_text(&st, key, m) : NULL;
}

bool mark_attach(int fd, const struct table_key *key, const struct mark *m)
{
	char *text = text_of(fd, key, m);
	bool done = text && strlen(text) <= MARK_MAX &&
		    fsetxattr(fd, MARK_ATTRIBUTE, text, strlen(text), 0) == 0;

	free(text);
	return done;
}

int mark_write_beside(int fd, const char *path, const struct table_key *key, const struct mark *m,
	struct err *err)
{
	char *text = text_of(fd, key, m), *side = sidecar_path(path);
	int rc = text && side ? io_write_file(side, text, strlen(text), err) : err_nomem(err);

	free(text);
	free(side);
	return rc;
}

void mark_remove_beside(const char *path)
{
	char *side = sidecar_path(path);

	if (side)
		unlink(side);
	free(side);
}
