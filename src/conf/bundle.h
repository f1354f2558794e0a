/* A text and the texts it includes, as one: what the store keeps of a DAG's version, so that a run
 * goes on with the text it began with whatever became of the files.
 *
 *     #weir:dag 120
 *     (120 bytes: the DAG file)
 *     #weir:include 80 shared/load.yaml
 *     (80 bytes: the file, under the name its include gives it)
 *
 * A line break stands behind each part. A text without the first line is a DAG file without
 * includes: it is its own only part.
 */
#ifndef WEIR_CONF_BUNDLE_H
#define WEIR_CONF_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

struct bundle_part {
	const char *name; /* NULL: the DAG file */
	size_t name_len;
	const char *text; /* borrowed; not NUL-terminated */
	size_t len;
};

bool bundle_is(const char *text);
/* The next part; *at is 0 at first. False at the end, and where the text is damaged. */
bool bundle_next(const char *text, size_t *at, struct bundle_part *ret);
/* The part of an included file; false: there is none. */
bool bundle_find(const char *text, const char *name, struct bundle_part *ret);
/* Append a part: the DAG file first (name NULL). */
void bundle_add(struct buf *out, const struct bundle_part *part);

#endif
