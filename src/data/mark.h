/* What a published file says of itself: which attempt wrote it, and as which piece of work.
 *
 * The mark is an extended attribute of the file (user.weir.mark), so that the rename that puts the
 * file in its place brings it along: both are there, or neither. Where the file system has no
 * attributes it is a sidecar, ".NAME.weir" beside the file, written and synced before the rename.
 * Then a crash can leave a sidecar whose file did not arrive; so a mark names its file by inode,
 * size and time, too, and what differs is not the file it means. Its token counts all the same: the
 * attempt got as far as that.
 *
 * The text of both is JSON: dag, task, map_index, interval_start, interval_end, token, work,
 * digest, sha256, bytes, rows, inode, mtime_ns.
 */
#ifndef WEIR_DATA_MARK_H
#define WEIR_DATA_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"

struct err;
struct table_key;

#define MARK_ATTRIBUTE "user.weir.mark"

struct mark {
	int64_t token, work; /* token 0: there is no mark of that task and interval */
	char digest[DIGEST_HEX], sha256[DIGEST_HEX]; /* "": none */
	int64_t bytes, rows;
	bool in_place; /* the file that it means is the one at the path */
};

/* The mark at `path`, of the key's task and interval: others' are passed over. With both an
 * attribute and a sidecar, the newer one. What cannot be read is no mark. */
void mark_read(const char *path, const struct table_key *key, struct mark *ret);
/* Mark the open, whole file by its attribute, durable with the fsync that is to follow; false: that
 * cannot be done here. */
bool mark_attach(int fd, const struct table_key *key, const struct mark *m);
/* Write the sidecar of the file that is to be renamed to `path`; durable on return. */
int mark_write_beside(int fd, const char *path, const struct table_key *key, const struct mark *m,
	struct err *err);
void mark_remove_beside(const char *path);

#endif
