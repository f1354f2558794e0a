/* Markdown in the terminal: headings, paragraphs, lists, quotes, code, rules; emphasis, code and
 * links within lines. What it does not know (tables, HTML) is printed as it stands. Nothing of the
 * text can command the terminal.
 */
#ifndef WEIR_CLI_MARKDOWN_H
#define WEIR_CLI_MARKDOWN_H

#include <stdbool.h>

struct buf;

/* Append it, wrapped at `width` columns. */
void markdown_add(struct buf *out, const char *text, int width, bool colour);

#endif
