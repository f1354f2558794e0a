/* The masker: replaces the values of secrets in a stream of output by "***", also where a value is
 * spread over several reads.
 *
 * Values are literal bytes. At each place the longest value that fits wins. A value shorter than
 * MASK_MIN bytes is not masked: it would turn up in ordinary text, and its absence would tell it. A
 * value longer than MASK_PIECE bytes is masked in pieces of that length (one "***" each), which
 * bounds the work per byte of output. An encoded value (base64, %-escapes) is another value: give
 * it as one.
 *
 * The masker holds back only what may be the beginning of a value: output without such a beginning
 * at its end is passed on at once.
 */
#ifndef WEIR_EXEC_MASK_H
#define WEIR_EXEC_MASK_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct mask;

#define MASK_MIN 4
#define MASK_PIECE 4096

/* `secrets` is NULL-ended (NULL: none) and copied. NULL: out of memory. */
struct mask *mask_new(const char *const *secrets);
void mask_free(struct mask *m); /* wipes the values */

/* Append to `out` what is certain after these bytes; the rest is held back. -1: out of memory, or
 * `out` is full (what was appended is right, what was not is lost). */
int mask_feed(struct mask *m, const void *data, size_t len, struct buf *out);
/* The stream ended: append what was held back. The masker is then as new. */
int mask_end(struct mask *m, struct buf *out);

#endif
