#include "cli/grid.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { GAP = 2, FLEX_LEAST = 12 };

struct grid_cell {
	const char *text;
	enum style style;
	int width;
};

void grid_init(struct grid *g, const struct grid_column *columns, int ncolumns)
{
	*g = (struct grid){ .columns = columns, .ncolumns = ncolumns };
	arena_init(&g->arena, 256u << 20);
}

void grid_release(struct grid *g)
{
	arena_release(&g->arena);
	free(g->cells);
	*g = (struct grid){ 0 };
}

void grid_add(struct grid *g, enum style style, const char *text)
{
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 64;
		struct grid_cell *cells = reallocarray(g->cells, cap, sizeof *cells);
		if (!cells) {
			g->failed = true;
			return;
		}
		g->cells = cells;
		g->cap = cap;
	}
	const char *copy = arena_strdup(&g->arena, text ? text : "");
	if (!copy) {
		g->failed = true;
		return;
	}
	g->cells[g->n++] = (struct grid_cell){ copy, style, text_width(copy) };
}

void grid_addf(struct grid *g, enum style style, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	grid_add(g, style, text);
}

/* Shrink the flexible columns, the widest first, until the line fits. */
static void fit(const struct grid *g, int *widths, int room)
{
	int total = 0;

	for (int c = 0; c < g->ncolumns; c++)
		total += widths[c] ? widths[c] + GAP : 0;
	while (total - GAP > room) {
		int widest = -1;
		for (int c = 0; c < g->ncolumns; c++)
			if ((g->columns[c].flags & GRID_FLEX) && widths[c] > FLEX_LEAST &&
				(widest < 0 || widths[c] > widths[widest]))
				widest = c;
		if (widest < 0)
			return;
		widths[widest]--;
		total--;
	}
}

static void measure(const struct grid *g, int *widths)
{
	for (int c = 0; c < g->ncolumns; c++) {
		widths[c] = 0;
		for (size_t i = (size_t)c; i < g->n; i += (size_t)g->ncolumns)
			if (g->cells[i].width > widths[c])
				widths[c] = g->cells[i].width;
		int title = g->columns[c].title ? text_width(g->columns[c].title) : 0;
		if (widths[c] && title > widths[c])
			widths[c] = title;
	}
}

struct line {
	const struct term *term;
	struct buf *out;
	int room; /* columns left on the line; -1: no end */
	int pad;  /* spaces owed before the next cell: none are left at a line's end */
};

static void put(struct line *l, const struct grid_cell *cell, int width, bool right)
{
	int before = right && cell->width < width ? width - cell->width : 0;
	int lead = l->pad + before;

	l->pad += width;
	if (cell->width == 0)
		return;
	if (l->room >= 0 && lead >= l->room)
		return;
	buf_addpad(l->out, ' ', (size_t)lead);
	int most = l->room < 0              ? (l->term->width ? width : -1)
		   : l->room - lead < width ? l->room - lead
					    : width;
	buf_addstr(l->out, style_on(cell->style, l->term->colour));
	int used = text_add(l->out, cell->text, most);
	buf_addstr(l->out, style_off(cell->style, l->term->colour));
	if (l->room >= 0)
		l->room -= lead + used;
	l->pad = width - before - used > 0 ? width - before - used : 0;
}

static void print_row(
	const struct grid *g, const struct grid_cell *cells, const int *widths, struct line *l)
{
	for (int c = 0; c < g->ncolumns; c++) {
		if (!widths[c])
			continue;
		put(l, &cells[c], widths[c], g->columns[c].flags & GRID_RIGHT);
		l->pad += GAP;
	}
	buf_addc(l->out, '\n');
}

static bool has_titles(const struct grid *g)
{
	for (int c = 0; c < g->ncolumns; c++)
		if (g->columns[c].title)
			return true;
	return false;
}

void grid_print(struct grid *g, const struct term *t, int indent, struct buf *out)
{
	int widths[GRID_COLUMNS_MAX];
	struct grid_cell titles[GRID_COLUMNS_MAX];
	size_t nrows = g->n / (size_t)g->ncolumns;

	measure(g, widths);
	if (t->width)
		fit(g, widths, t->width - indent);
	for (int c = 0; c < g->ncolumns; c++) {
		const char *title = g->columns[c].title ? g->columns[c].title : "";
		titles[c] = (struct grid_cell){ title, STYLE_DIM, text_width(title) };
	}
	for (size_t r = has_titles(g) ? 0 : 1; r <= nrows; r++) {
		struct line l = {
			.term = t, .out = out, .room = t->width ? t->width : -1, .pad = indent
		};
		const struct grid_cell *cells =
			r ? &g->cells[(r - 1) * (size_t)g->ncolumns] : titles;
		print_row(g, cells, widths, &l);
	}
}
