/* A file that appears at once: written aside in the same folder, compressed and digested on the
 * way, renamed into place.
 *
 * Beside "sales.csv" stands the part, ".sales.csv.weir-<id>-<token>.part", while it is written;
 * <id> is of the task, its map index and the path, <token> the fencing token of the attempt. An
 * attempt removes the parts of older attempts of its task, which also stops one of them that still
 * runs: its rename finds nothing. A file in place carries a mark (data/mark.h) with the token, and
 * is not replaced by an older attempt of the same task and interval. By the mark a retry also sees
 * that an earlier attempt of the same work has put the file there.
 *
 * Parts are removed, and a mark is checked and the file renamed, under a lock on the folder: of two
 * attempts one comes wholly before the other.
 */
#ifndef WEIR_DATA_ASIDE_H
#define WEIR_DATA_ASIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct aside;
struct err;
struct table_key;

enum aside_compression { ASIDE_PLAIN, ASIDE_GZIP, ASIDE_ZSTD, ASIDE_COMPRESSION_MAX };
extern const char *const aside_compression_names[]; /* NULL-ended: none, gzip, zstd */
/* By the name's end: .gz is gzip, .zst is zstd, all else is plain. */
enum aside_compression aside_compression_of(const char *path);

struct aside_target {
	const char *path; /* its folders are made when missing */
	enum aside_compression compression;
	/* Whose writing it is. With dag NULL only the token is known: attempts on one path are told
	 * apart by it, whatever their task, and the file is not marked with it. */
	const struct table_key *key;
	const char *digest; /* of what is to be written; NULL: never found done by the same work */
	/* Told that an earlier attempt's part was removed; may be NULL. */
	void (*note)(const char *text);
};

/* The target is copied. ERR_FENCED when a newer attempt is at work on it or was, ERR_INVALID when
 * the path is a folder's, ERR_IO for what the system refuses; *ret is NULL then. */
int aside_open(struct aside **ret, const struct aside_target *t, struct err *err);
int aside_write(struct aside *a, const void *data, size_t len, struct err *err);
/* Hand what was written to the system: a plain file's part then holds all of it. */
int aside_flush(struct aside *a, struct err *err);
const char *aside_part(const struct aside *a); /* path of the part; borrowed */

struct aside_result {
	int64_t bytes; /* of the file, compressed */
	char sha256[DIGEST_HEX];
	int64_t rows;  /* as aside_set_rows said */
	int64_t token; /* of the attempt that wrote it */
};
/* True: an earlier attempt of the same work has put the file in place, and only its end was not
 * recorded. There is nothing to write then; aside_abort. `ret` is what it had. */
bool aside_already(const struct aside *a, struct aside_result *ret);
void aside_set_rows(struct aside *a, int64_t rows); /* kept in the mark */
/* ERR_FENCED when a newer attempt has taken over by now. */
int aside_check(struct aside *a, struct err *err);
/* Flush, fsync, rename, fsync of the folder. Frees it in both cases; on error (ERR_FENCED: a newer
 * attempt has taken over) the old file stays and nothing is left aside. `ret` may be NULL. */
int aside_commit(struct aside *a, struct aside_result *ret, struct err *err);
void aside_abort(struct aside *a); /* remove the part and free; NULL is fine */
/* Have no file there, nor parts of older attempts; ERR_FENCED likewise. */
int aside_remove(const struct aside_target *t, struct err *err);

#endif
