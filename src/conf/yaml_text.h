/* The text of a YAML file: whether it is text at all, and places in it.
 *
 * libyaml counts characters from the start (yaml_mark_t.index) rightly, but its lines also end
 * at U+0085, U+2028 and U+2029, where no editor ends them: Weir counts its own.
 */
#ifndef WEIR_CONF_YAML_TEXT_H
#define WEIR_CONF_YAML_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct diags;
struct source;

struct yaml_cursor {
	const char *p, *end;
	size_t index;  /* characters before p */
	int line, col; /* 1-based */
};

/* UTF-8, with no NUL and no control characters (YAML 1.2, 5.1). One error to diags, and -1. */
int yaml_text_check(const struct source *src, struct diags *diags);

void yaml_cursor_init(struct yaml_cursor *c, const struct source *src);
void yaml_cursor_next(struct yaml_cursor *c); /* by one character; stays at the end */
/* To character `index`; goes back to the start of the source for an earlier one. */
void yaml_cursor_seek(struct yaml_cursor *c, const struct source *src, size_t index);
/* To the byte p, which is not before c->p. */
void yaml_cursor_to(struct yaml_cursor *c, const char *p);

/* A piece of text on one line. */
struct yaml_piece {
	const char *start, *end;
};

/* Where the line that p is in begins, and where it ends: at its LF or CR, or at `end`. */
const char *yaml_line_start(const struct source *src, const char *p);
const char *yaml_line_end(const char *p, const char *end);
/* From p, where a value begins, to where whoever forgot the quotes wanted it to end: the end of the
 * line without a comment, or, in a flow collection, before its next "," "]" or "}". */
struct yaml_piece yaml_unquoted_value(const char *p, const char *end, bool flow);
/* The value in quotes, as an example. Returns buf. */
const char *yaml_quote_example(struct yaml_piece value, char *buf, size_t size);

#endif
