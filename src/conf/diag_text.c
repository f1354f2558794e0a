#include "conf/diag_text.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/node.h"
#include "base/utf8.h"
#include "conf/diag.h"

enum { TAB = 8, SHOWN = 100, BEFORE_MARK = 60 };

size_t diag_text_break(const char *p, const char *end)
{
	if (p >= end || (*p != '\n' && *p != '\r'))
		return 0;
	return *p == '\r' && p + 1 < end && p[1] == '\n' ? 2 : 1;
}

static const char *line_end(const char *p, const char *end)
{
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

/* The start of a line, or the text's end. */
static const char *line_start(const struct source *src, int line)
{
	const char *p = src->text, *end = src->text + src->len;

	for (; line > 1 && p < end; line--) {
		p = line_end(p, end);
		p += diag_text_break(p, end);
	}
	return p;
}

static const char *next_char(const char *p, const char *end)
{
	size_t n = utf8_char(p, (size_t)(end - p), NULL);

	return p + (n ? n : 1);
}

/* The byte of a place. */
static const char *find(const struct source *src, int line, int col)
{
	const char *p = line_start(src, line), *end = line_end(p, src->text + src->len);

	for (; col > 1 && p < end; col--)
		p = next_char(p, end);
	return p;
}

static int columns_of(const char *p, int column)
{
	return *p == '\t' ? TAB - column % TAB : 1;
}

static void add_char(struct buf *out, const char *p, size_t n, int columns)
{
	char shown[4];

	if (*p == '\t') {
		buf_addpad(out, ' ', (size_t)columns);
		return;
	}
	memcpy(shown, p, n);
	utf8_clean(shown, n);
	buf_add(out, shown, n);
}

/* The line from column `from` on. */
static void add_window(struct buf *out, const char *p, const char *end, int from)
{
	int column = 0;

	if (from > 0)
		buf_addstr(out, "...");
	while (p < end && column < from + SHOWN) {
		int columns = columns_of(p, column);
		const char *next = next_char(p, end);
		if (column >= from)
			add_char(out, p, (size_t)(next - p), columns);
		column += columns;
		p = next;
	}
	if (p < end)
		buf_addstr(out, "...");
}

char *diag_text_excerpt(
	const struct source *src, const struct diag_place *at, int *ret_mark, int *ret_width)
{
	const char *start = line_start(src, at->line), *end = line_end(start, src->text + src->len);
	int column = 0, mark = 0, from = 0, stop = at->col + at->width;
	const char *p = start;
	struct buf out;

	for (int i = 1; i < stop && p < end; i++, p = next_char(p, end)) {
		if (i == at->col)
			mark = column;
		column += columns_of(p, column);
	}
	if (mark == 0 && at->col > 1)
		mark = column;
	if (mark > SHOWN - 20)
		from = mark - BEFORE_MARK;
	/* A tab cut in two would shift the mark. */
	from -= from % TAB;
	int width = column - mark;
	if (width > SHOWN - (mark - from))
		width = SHOWN - (mark - from);
	buf_init(&out, SHOWN * 8);
	add_window(&out, start, end, from);
	*ret_mark = mark - from + (from > 0 ? 3 : 0);
	*ret_width = width > 0 ? width : 1;
	char *text = buf_take(&out);
	buf_release(&out);
	return text;
}

/* The end of a quoted scalar that begins at p, on its first line. */
static const char *quoted_end(const char *p, const char *end)
{
	char quote = *p++;

	for (; p < end; p++) {
		if (*p == '\\' && quote == '"' && p + 1 < end)
			p++;
		else if (*p == quote && quote == '\'' && p + 1 < end && p[1] == '\'')
			p++;
		else if (*p == quote)
			return p + 1;
	}
	return end;
}

int diag_text_width(const struct node *n)
{
	if (!node_is_scalar(n) || !n->source || !n->source->text)
		return 1;
	const char *p = find(n->source, n->line, n->col);
	const char *end = line_end(p, n->source->text + n->source->len), *stop = p;
	if (n->quoted && p < end && (*p == '"' || *p == '\''))
		stop = quoted_end(p, end);
	else if (!n->quoted)
		for (size_t i = 0; stop < end && i < n->len && n->text[i] == *stop; i++)
			stop++;
	size_t width = utf8_count(p, (size_t)(stop - p));
	return width > 0 ? (int)width : 1;
}

/* Source and text of a scalar, gone through side by side. */
struct walk {
	const char *p, *end; /* the source */
	const struct node *n;
	size_t i; /* into n->text */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* White space that holds line breaks folds to one space, or to the breaks after the first.
 * False: there is no line break in it. */
static bool fold(struct walk *w)
{
	const char *p = w->p;
	size_t breaks = 0;

	while (p < w->end && (is_space(*p) || diag_text_break(p, w->end))) {
		size_t n = diag_text_break(p, w->end);
		breaks += n > 0;
		p += n ? n : 1;
	}
	if (breaks == 0)
		return false;
	w->p = p;
	w->i += breaks == 1 ? 1 : breaks - 1;
	return true;
}

static void skip_escaped_break(struct walk *w)
{
	w->p += 1 + diag_text_break(w->p + 1, w->end);
	while (w->p < w->end && is_space(*w->p))
		w->p++;
}

static void skip_escape(struct walk *w)
{
	const char *digits = w->p + 1 < w->end ? strchr("x2u4U8", w->p[1]) : NULL;

	if (w->p + 1 < w->end && diag_text_break(w->p + 1, w->end)) {
		skip_escaped_break(w);
		return;
	}
	w->p += 2 + (digits && isalpha((unsigned char)*digits) ? digits[1] - '0' : 0);
	size_t n = utf8_char(w->n->text + w->i, w->n->len - w->i, NULL);
	w->i += n ? n : 1;
}

/* Plain and quoted scalars; `quote` is NUL, ' or ". */
static bool walk_flow(struct walk *w, size_t offset, char quote)
{
	while (w->i < offset) {
		if (w->p >= w->end)
			return false;
		if ((is_space(*w->p) || diag_text_break(w->p, w->end)) && fold(w))
			continue;
		if (quote == '"' && *w->p == '\\') {
			skip_escape(w);
			continue;
		}
		if (*w->p != w->n->text[w->i])
			return false;
		w->p += quote == '\'' && *w->p == '\'' ? 2 : 1;
		w->i++;
	}
	return true;
}

static size_t leading_spaces(const char *p, const char *end)
{
	size_t n = 0;

	while (p + n < end && p[n] == ' ')
		n++;
	return n;
}

/* How far the lines of a block scalar are indented: what its first line with text has more
 * of than the text itself. */
static size_t block_indent(const struct walk *w)
{
	const char *p = w->p, *t = w->n->text, *t_end = t + w->n->len;

	while (p < w->end) {
		size_t spaces = leading_spaces(p, w->end),
		       brk = diag_text_break(p + spaces, w->end);
		if (!brk) {
			t += strspn(t, "\n");
			size_t of_text = leading_spaces(t, t_end);
			return spaces > of_text ? spaces - of_text : 0;
		}
		p += spaces + brk;
	}
	return 0;
}

static bool walk_block(struct walk *w, size_t offset)
{
	w->p = line_end(w->p, w->end);
	w->p += diag_text_break(w->p, w->end);
	size_t indent = block_indent(w);
	for (bool at_start = true; at_start || w->i < offset;) {
		if (at_start) {
			size_t spaces = leading_spaces(w->p, w->end);
			w->p += spaces < indent ? spaces : indent;
			at_start = false;
			continue;
		}
		size_t brk = diag_text_break(w->p, w->end);
		char c = w->n->text[w->i];
		if (w->p >= w->end || (!brk && c != *w->p))
			return false;
		/* In a folded scalar, the break that ends a paragraph leaves no trace. */
		w->i += !brk || c == '\n' || c == ' ';
		w->p += brk ? brk : 1;
		at_start = brk > 0;
	}
	return true;
}

static bool walk_to(struct walk *w, size_t offset)
{
	char first = w->p < w->end ? *w->p : '\0';

	if (!w->n->quoted)
		return walk_flow(w, offset, '\0');
	if (first == '|' || first == '>')
		return walk_block(w, offset);
	if (first != '"' && first != '\'')
		return false;
	w->p++;
	return walk_flow(w, offset, first);
}

struct diag_place diag_text_inside(const struct node *n, size_t offset, size_t width)
{
	struct diag_place place = { n->line, n->col, diag_text_width(n) };

	if (!n->source || !n->source->text || offset > n->len)
		return place;
	const char *end = n->source->text + n->source->len;
	const char *start = find(n->source, n->line, n->col), *line = start;
	struct walk w = { .p = start, .end = end, .n = n };
	if (!walk_to(&w, offset))
		return place;
	for (const char *p = start; p < w.p;) {
		size_t brk = diag_text_break(p, w.p);
		p += brk ? brk : 1;
		if (brk) {
			place.line++;
			place.col = 1;
			line = p;
		}
	}
	place.col += (int)utf8_count(line, (size_t)(w.p - line));
	size_t rest = utf8_count(w.p, (size_t)(line_end(w.p, end) - w.p));
	place.width = (int)(width < rest ? width : rest);
	return place;
}
