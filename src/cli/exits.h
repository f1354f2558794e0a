/* The exit statuses of weir, from the rows of base/err.h. */
#ifndef WEIR_CLI_EXITS_H
#define WEIR_CLI_EXITS_H

struct buf;

/* As a table of text for a terminal, and as items of an mdoc(7) list; each status once. */
void exits_print_text(struct buf *out);
void exits_print_mdoc(struct buf *out);

#endif
