/* Which keys were seen before, of any number of keys, in bounded memory.
 *
 * A key is remembered as a 128 bit digest (SipHash-2-4, Aumasson and Bernstein 2012, with a random
 * key): two of a billion different keys share one with a probability of 10^-21. New digests
 * go into a hash table; when it is full it is sorted and written to an unlinked temporary file, and
 * files of one size are merged eight at a time (a log-structured merge tree, O'Neil 1996). A
 * Bloom filter in blocks of a cache line keeps nearly all look-ups away from the files.
 */
#ifndef WEIR_DATA_UNIQUE_H
#define WEIR_DATA_UNIQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cell;
struct err;
struct unique_set;

struct unique_key {
	uint64_t hi, lo;
};

/* `memory`: bytes it may use, at least 1 MiB is taken; the table takes a third of it, the filter
 * (once there are files) the rest. Files are made in `tmp_dir`; NULL: $TMPDIR, else /var/tmp. */
int unique_new(struct unique_set **ret, size_t memory, const char *tmp_dir, struct err *err);
void unique_free(struct unique_set *u); /* NULL is fine */

/* The digest of a cell. Texts and numbers never share one. */
struct unique_key unique_key_of(const struct unique_set *u, const struct cell *c);
/* 1: seen, 0: not, -1 with err (a temporary file cannot be read). */
int unique_has(struct unique_set *u, struct unique_key key, struct err *err);
/* Remember a key that unique_has does not know. */
int unique_add(struct unique_set *u, struct unique_key key, struct err *err);
int64_t unique_spilled(const struct unique_set *u); /* keys in files */

#endif
