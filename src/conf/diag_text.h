/* Where in a file's text a node or a part of it stands, and how that line is shown. */
#ifndef WEIR_CONF_DIAG_TEXT_H
#define WEIR_CONF_DIAG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct diag_place;
struct node;
struct source;

/* Lines end in LF, CR LF or CR (YAML 1.2, 5.4). The length of the line break at p, 0: none. */
size_t diag_text_break(const char *p, const char *end);
/* The line of a place, cut to about 100 columns around it, tabs expanded, control characters
 * replaced. *ret_mark, *ret_width: the columns of it to underline. Owned; NULL without memory. */
char *diag_text_excerpt(
	const struct source *src, const struct diag_place *at, int *ret_mark, int *ret_width);
/* How many characters of its first line a node takes in the source; lists and mappings: 1. */
int diag_text_width(const struct node *n);
/* The place of `offset` bytes into a scalar's text, found by going through source and text side by
 * side; the scalar's start where they do not match. */
struct diag_place diag_text_inside(const struct node *n, size_t offset, size_t width);

#endif
