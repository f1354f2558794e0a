#include "conf/diag.h"

#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/utf8.h"
#include "conf/diag_text.h"

enum { MESSAGE_MAX = 1000, HINT_MAX = 2000 };

static const struct {
	const char *name, *sgr;
} levels[] = {
	[DIAG_ERROR] = { "error", "\033[1;31m" },
	[DIAG_WARNING] = { "warning", "\033[1;35m" },
};
static_assert(sizeof levels / sizeof *levels == DIAG_LEVEL_MAX, "a name for each level");

void diags_init(struct diags *d)
{
	*d = (struct diags){ 0 };
}

static void release_one(struct diag *one)
{
	free(one->file);
	free(one->excerpt);
	free(one->message);
	free(one->hint);
	free(one->included);
}

void diags_release(struct diags *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->n; i++)
		release_one(&d->list[i]);
	free(d->list);
	diags_init(d);
}

static size_t count_in_file(const struct diags *d, const char *file)
{
	size_t count = 0;

	for (size_t i = 0; i < d->n; i++)
		count += strcmp(d->list[i].file, file) == 0;
	return count;
}

/* Room for one more of `file`, or NULL. */
static struct diag *make_room(struct diags *d, const char *file)
{
	if (d->n == 0 || strcmp(d->list[d->n - 1].file, file) != 0)
		d->in_file = count_in_file(d, file);
	if (d->in_file >= DIAG_MAX)
		return NULL;
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 8;
		struct diag *grown = reallocarray(d->list, cap, sizeof *grown);
		if (!grown)
			return NULL;
		d->list = grown;
		d->cap = cap;
	}
	return &d->list[d->n];
}

/* Takes what `one` owns. */
static struct diag *add(struct diags *d, struct diag *one)
{
	bool whole = one->file && one->message;
	struct diag *to = whole ? make_room(d, one->file) : NULL;

	one->order = d->nerrors + d->nwarnings;
	if (one->level == DIAG_ERROR)
		d->nerrors++;
	else
		d->nwarnings++;
	d->dropped = !to;
	if (!to) {
		release_one(one);
		return NULL;
	}
	*to = *one;
	d->n++;
	d->in_file++;
	return to;
}

/* The formatted text, clean and cut to `max` bytes; owned by the caller. */
__attribute__((format(printf, 2, 0))) static char *format(size_t max, const char *fmt, va_list ap)
{
	char text[HINT_MAX + 1];
	int n = vsnprintf(text, max + 1, fmt, ap);

	if (n < 0)
		return NULL;
	size_t len = strlen(text);
	if ((size_t)n > max) {
		while (len > max - 3 || (len && ((unsigned char)text[len] & 0xc0) == 0x80))
			len--;
		memcpy(text + len, "...", 4);
		len += 3;
	}
	utf8_clean(text, len);
	return strdup(text);
}

__attribute__((format(printf, 5, 0))) static void add_at(struct diags *d, enum diag_level level,
	const struct source *src, const struct diag_place *at, const char *fmt, va_list ap)
{
	struct diag one = {
		.level = level,
		.file = strdup(src && src->path ? src->path : ""),
		.line = at->line,
		.col = at->col,
		.width = at->width > 0 ? at->width : 1,
		.source = src,
		.message = format(MESSAGE_MAX, fmt, ap),
	};
	struct diag *kept = add(d, &one);

	/* Of those that are not kept no excerpt is looked up. */
	if (kept && src && src->text && at->line > 0)
		kept->excerpt = diag_text_excerpt(src, at, &kept->mark, &kept->mark_width);
}

void diag_node(struct diags *d, enum diag_level level, const struct node *at, const char *fmt, ...)
{
	struct diag_place place = { 0 };
	va_list ap;

	if (at)
		place = (struct diag_place){ at->line, at->col, diag_text_width(at) };
	va_start(ap, fmt);
	add_at(d, level, at ? at->source : NULL, &place, fmt, ap);
	va_end(ap);
}

void diag_mark(struct diag *ret, const struct node *at)
{
	struct diags d;

	diags_init(&d);
	*ret = (struct diag){ 0 };
	diag_node(&d, DIAG_ERROR, at, "%s", "");
	if (d.n == 1) {
		*ret = d.list[0];
		d.n = 0;
	}
	diags_release(&d);
}

void diag_mark_release(struct diag *mark)
{
	release_one(mark);
	*mark = (struct diag){ 0 };
}

void diag_at_mark(
	struct diags *d, enum diag_level level, const struct diag *mark, const char *fmt, ...)
{
	struct diag one = *mark;
	va_list ap;

	va_start(ap, fmt);
	one.level = level;
	one.file = strdup(mark->file ? mark->file : "");
	one.excerpt = mark->excerpt ? strdup(mark->excerpt) : NULL;
	one.message = format(MESSAGE_MAX, fmt, ap);
	one.hint = one.included = NULL;
	va_end(ap);
	add(d, &one);
}

void diag_inside(
	struct diags *d, const struct node *at, size_t offset, size_t width, const char *fmt, ...)
{
	struct diag_place place = diag_text_inside(at, offset, width);
	va_list ap;

	va_start(ap, fmt);
	add_at(d, DIAG_ERROR, at->source, &place, fmt, ap);
	va_end(ap);
}

void diag_place(struct diags *d, const struct source *src, int line, int col, const char *fmt, ...)
{
	struct diag_place place = { line, col, 1 };
	va_list ap;

	va_start(ap, fmt);
	add_at(d, DIAG_ERROR, src, &place, fmt, ap);
	va_end(ap);
}

void diag_span(struct diags *d, const struct source *src, const struct diag_place *place,
	const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_at(d, DIAG_ERROR, src, place, fmt, ap);
	va_end(ap);
}

__attribute__((format(printf, 4, 5))) static void add_text(struct diags *d,
	const struct source *src, const struct diag_place *place, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_at(d, DIAG_ERROR, src, place, fmt, ap);
	va_end(ap);
}

void diag_err(struct diags *d, const char *file, const struct err *err)
{
	struct source src = { .path = err->file[0] ? err->file : file };
	struct diag_place place = { err->line, err->col, 1 };
	struct stat st;
	struct buf text;

	/* Whoever reported the error has let go of the text. */
	buf_init(&text, BUF_MAX_TEXT);
	bool readable = err->line > 0 && src.path && stat(src.path, &st) == 0 &&
			S_ISREG(st.st_mode) && io_read_file(src.path, &text, NULL) == 0;
	if (readable) {
		src.text = text.data;
		src.len = text.len;
	}
	add_text(d, &src, &place, "%s", err->msg);
	buf_release(&text);
}

void diag_hint(struct diags *d, const char *fmt, ...)
{
	va_list ap;

	if (d->n == 0 || d->dropped)
		return;
	struct diag *last = &d->list[d->n - 1];
	va_start(ap, fmt);
	char *hint = format(HINT_MAX, fmt, ap);
	va_end(ap);
	free(last->hint);
	last->hint = hint;
}

void diags_included(struct diags *d, size_t first, const char *file, const char *where)
{
	for (size_t i = first; i < d->n; i++)
		if (!d->list[i].included && strcmp(d->list[i].file, file) == 0)
			d->list[i].included = strdup(where);
}

void diags_included_in(
	struct diags *d, size_t first, const struct source *source, const char *where)
{
	for (size_t i = first; i < d->n; i++)
		if (!d->list[i].included && d->list[i].source == source &&
			strcmp(d->list[i].file, source->path) == 0)
			d->list[i].included = strdup(where);
}

void diags_move(struct diags *to, struct diags *from)
{
	size_t nerrors = from->nerrors, nwarnings = from->nwarnings;

	for (size_t i = 0; i < from->n; i++) {
		if (from->list[i].level == DIAG_ERROR)
			nerrors--;
		else
			nwarnings--;
		add(to, &from->list[i]);
	}
	to->nerrors += nerrors;
	to->nwarnings += nwarnings;
	from->n = 0;
	diags_release(from);
}

static int compare(const void *a, const void *b)
{
	const struct diag *x = a, *y = b;
	int by_file = strcmp(x->file, y->file);

	if (by_file)
		return by_file;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	if (x->col != y->col)
		return x->col < y->col ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void print_excerpt(const struct diag *one, struct buf *out, bool colour)
{
	int width = snprintf(NULL, 0, "%5d", one->line);

	buf_addf(out, "%5d | %s\n%*s | %*s", one->line, one->excerpt, width, "", one->mark, "");
	buf_addstr(out, colour ? "\033[1;32m" : "");
	buf_addc(out, '^');
	buf_addpad(out, '~', (size_t)(one->mark_width - 1));
	buf_addstr(out, colour ? "\033[0m\n" : "\n");
}

static void print_one(const struct diag *one, struct buf *out, bool colour)
{
	const char *end = colour ? "\033[0m" : "";

	if (one->file[0]) {
		buf_addf(out, "%s%s", colour ? "\033[1m" : "", one->file);
		if (one->line > 0)
			buf_addf(out, ":%d:%d", one->line, one->col);
		buf_addf(out, ":%s ", end);
	}
	buf_addf(out, "%s%s:%s %s\n", colour ? levels[one->level].sgr : "", levels[one->level].name,
		end, one->message);
	if (one->excerpt)
		print_excerpt(one, out, colour);
	if (one->hint)
		buf_addf(out, "   %s\n", one->hint);
	if (one->included)
		buf_addf(out, "   included at %s\n", one->included);
}

static void sort(struct diags *d)
{
	if (d->n == 0)
		return;
	qsort(d->list, d->n, sizeof *d->list, compare);
	d->in_file = count_in_file(d, d->list[d->n - 1].file);
}

void diags_print(struct diags *d, struct buf *out, bool colour)
{
	size_t hidden = d->nerrors + d->nwarnings - d->n;

	sort(d);
	for (size_t i = 0; i < d->n; i++)
		print_one(&d->list[i], out, colour);
	if (hidden)
		buf_addf(out, "and %zu more\n", hidden);
}

static json_t *json_of_text(const char *text)
{
	json_t *json = text ? json_string(text) : json_null();

	if (json)
		return json;
	/* A file's name need not be UTF-8. */
	char *copy = strdup(text);
	if (copy) {
		utf8_clean(copy, strlen(copy));
		json = json_string(copy);
		free(copy);
	}
	return json;
}

struct json_t *diags_json(struct diags *d)
{
	json_t *list = json_array();

	sort(d);
	for (size_t i = 0; list && i < d->n; i++) {
		const struct diag *one = &d->list[i];
		json_t *row = json_pack("{s:o, s:i, s:i, s:s, s:s, s:o}", "file",
			json_of_text(one->file), "line", one->line, "column", one->col, "level",
			levels[one->level].name, "message", one->message, "hint",
			json_of_text(one->hint));
		if (row && one->included)
			json_object_set_new(row, "included_at", json_of_text(one->included));
		if (json_array_append_new(list, row) < 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}
