/* Tables on the terminal: aligned columns, cut to the terminal's width and nowhere else. */
#ifndef WEIR_CLI_GRID_H
#define WEIR_CLI_GRID_H

#include <stdbool.h>

#include "base/arena.h"
#include "cli/term.h"

struct buf;

enum { GRID_COLUMNS_MAX = 16 };

enum grid_flag {
	GRID_RIGHT = 1 << 0, /* numbers */
	GRID_FLEX = 1 << 1,  /* gives way when the terminal is too narrow */
};

struct grid_column {
	const char *title; /* NULL: no heading */
	unsigned flags;
};

struct grid {
	struct arena arena;
	const struct grid_column *columns;
	int ncolumns;
	struct grid_cell *cells;
	size_t n, cap;
	bool failed;
};

/* `columns` is borrowed. */
void grid_init(struct grid *g, const struct grid_column *columns, int ncolumns);
void grid_release(struct grid *g);
/* The next cell, row by row. The text is copied. */
void grid_add(struct grid *g, enum style style, const char *text);
void grid_addf(struct grid *g, enum style style, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Append the table, each line behind `indent` spaces; columns without any text are left out. */
void grid_print(struct grid *g, const struct term *t, int indent, struct buf *out);

#endif
