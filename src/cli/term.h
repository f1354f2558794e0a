/* The terminal: what may be drawn on it, and text that fits.
 *
 * Colours follow --color, NO_COLOR (no-color.org) and TERM=dumb. Drawing characters are UTF-8 where
 * the locale's character set is (main sets LC_CTYPE), else ASCII. Text from files and tasks is
 * printed without its control characters: it cannot command the terminal.
 */
#ifndef WEIR_CLI_TERM_H
#define WEIR_CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct args;
struct buf;

struct term {
	FILE *out;
	bool tty, colour, utf8;
	int width; /* columns; 0: not a terminal, nothing is cut */
};

/* `args` may be NULL: as --color auto. */
void term_init(struct term *t, FILE *out, const struct args *args);
bool term_is_utf8(void);
/* Size of the terminal behind `out` ($COLUMNS and $LINES where it does not say). False: none. */
bool term_size(FILE *out, int *ret_columns, int *ret_lines);
/* Print and clear the buffer. */
void term_write(const struct term *t, struct buf *b);

enum style {
	STYLE_NONE,
	STYLE_BOLD,
	STYLE_DIM,
	STYLE_GOOD,
	STYLE_BAD,
	STYLE_WARN,
	STYLE_BUSY,
	STYLE_MAX
};
const char *style_on(enum style s, bool colour);  /* the sequence, or "" */
const char *style_off(enum style s, bool colour); /* likewise */

/* Columns that `s` takes as text_add prints it. */
int text_width(const char *s);
/* Append `s`: control characters and broken UTF-8 replaced by `?` (tabs and line breaks by a
 * space), escape sequences left out, at most `width` columns (-1: all), with "..." at the end when
 * cut. Returns the columns used. */
int text_add(struct buf *out, const char *s, int width);
/* The same, padded with spaces up to `width`; to the right: spaces first. */
void text_add_padded(struct buf *out, const char *s, int width, bool right);
/* Append prose, wrapped at `width` columns, each line behind `indent` spaces; the first one starts
 * at column `from` (already printed). Paragraphs are separated by empty lines; a line that begins
 * with a space is kept as it is. Ends with a line break. */
void text_wrap(struct buf *out, const char *prose, int from, int indent, int width);
/* The first line of a text, cut to `size`; returns buf. */
const char *text_first_line(const char *s, char *buf, size_t size);

#endif
