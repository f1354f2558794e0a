/* A file that appears at once: written aside in the same folder, then renamed into place.
 *
 * The part is named `.NAME.TOKEN.part` by the fencing token of the attempt that writes it. Opening
 * one removes the parts of earlier attempts, which are dead; one of a later attempt
 * means that this attempt is: ERR_FENCED.
 */
#ifndef WEIR_DATA_ASIDE_H
#define WEIR_DATA_ASIDE_H

#include <stdint.h>

#include "base/buf.h"

struct aside;
struct err;

/* Makes the folder when it is missing. */
int aside_open(struct aside **ret, const char *path, int64_t token, struct err *err);
/* What is appended here is written by the next aside_flush or aside_commit. */
struct buf *aside_buf(struct aside *a);
/* Write the buffer out once it holds 64 KiB, or anything (`all`). */
int aside_flush(struct aside *a, bool all, struct err *err);
const char *aside_part(const struct aside *a); /* path of the part */
/* Flush, fsync, rename, fsync of the folder. Frees it, on error too; then nothing is left. */
int aside_commit(struct aside *a, struct err *err);
void aside_abort(struct aside *a); /* remove the part and free; NULL is fine */

#endif
