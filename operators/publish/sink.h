/* A file that appears at once: written aside, compressed and digested on the way, renamed.
 *
 * Beside "sales.csv" stands ".sales.csv.weir-<id>-<token>.part" while it is written; <id> is of
 * the task, its map index and the path. An attempt removes what older attempts of its task left,
 * which also stops one of them that still runs: its rename finds nothing. A published file carries
 * the token as an extended attribute (user.weir.token), where the file system has these, and is
 * not replaced by an older attempt of the same task and interval.
 */
#ifndef WEIR_OPERATORS_PUBLISH_SINK_H
#define WEIR_OPERATORS_PUBLISH_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct err;
struct sink;
struct table_key;

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_ZSTD, COMPRESSION_MAX };
extern const char *const compression_names[]; /* NULL-ended */

struct sink_target {
	const char *path; /* its folders are made when missing */
	enum compression compression;
	const struct table_key *key;
};

/* ERR_FENCED when a newer attempt is at work on it. */
int sink_open(struct sink **ret, const struct sink_target *t, struct err *err);
int sink_write(struct sink *s, const void *data, size_t len, struct err *err);

struct sink_result {
	int64_t bytes; /* of the file, compressed */
	char sha256[DIGEST_HEX];
};
/* Flush, fsync, rename, fsync of the folder. Frees the sink in both cases; on error the old file
 * stays and nothing is left aside. */
int sink_commit(struct sink *s, struct sink_result *ret, struct err *err);
void sink_abort(struct sink *s); /* NULL is fine */

#endif
