#include "cli/markdown.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/term.h"

enum { WORD_MAX = 4096, INDENT_MAX = 40, CODE_INDENT = 4 };

struct page {
	struct buf *out;
	int width;
	bool colour;
	int col;           /* of the line being written */
	int indent;        /* of the lines that follow in this block */
	enum style style;  /* what is on */
	bool in_paragraph; /* more of it may come */
	bool blank;        /* an empty line was the last */
};

/* ---- words and wrapping ---------------------------------------------------------------- */

static void set_style(struct page *p, enum style s)
{
	if (s == p->style)
		return;
	buf_addstr(p->out, style_off(p->style, p->colour));
	p->style = s;
	buf_addstr(p->out, style_on(s, p->colour));
}

static void end_line(struct page *p)
{
	set_style(p, STYLE_NONE);
	if (p->col > 0)
		buf_addc(p->out, '\n');
	p->blank = p->blank && p->col == 0;
	p->col = 0;
}

static void add_blank(struct page *p)
{
	end_line(p);
	p->in_paragraph = false;
	if (!p->blank && p->out->len)
		buf_addc(p->out, '\n');
	p->blank = true;
}

static void indent(struct page *p, int n)
{
	buf_addpad(p->out, ' ', (size_t)n);
	p->col = n;
	p->blank = false;
}

/* `glued`: it goes on the word before. */
static void add_word(struct page *p, const char *word, enum style s, bool glued)
{
	int width = text_width(word);

	if (p->col > p->indent && !glued) {
		if (p->col + 1 + width > p->width) {
			enum style was = p->style;
			end_line(p);
			indent(p, p->indent);
			set_style(p, was);
		} else {
			/* A space between two words of one style is of it, too. */
			if (p->style != s)
				set_style(p, STYLE_NONE);
			buf_addc(p->out, ' ');
			p->col++;
		}
	}
	if (p->col == 0)
		indent(p, p->indent);
	set_style(p, s);
	p->col += text_add(p->out, word, -1);
	p->blank = false;
}

/* ---- within lines ---------------------------------------------------------------------- */

struct inline_state {
	struct page *p;
	enum style base, style;
	char word[WORD_MAX];
	size_t len;
	bool glued; /* the next word goes on the last one */
};

static void flush(struct inline_state *s, bool space)
{
	if (s->len) {
		s->word[s->len] = '\0';
		add_word(s->p, s->word, s->style, s->glued);
		s->len = 0;
		s->glued = true;
	}
	if (space)
		s->glued = false;
}

static void put(struct inline_state *s, char c)
{
	if (s->len + 1 == sizeof s->word)
		flush(s, false);
	s->word[s->len++] = c;
}

static void add_inline(struct page *p, const char *text, size_t len, enum style base);

/* [text](url): the text, and the URL behind it. Returns the bytes used, 0: it is no link. */
static size_t add_link(struct inline_state *s, const char *at, size_t left)
{
	const char *close = memchr(at, ']', left);
	const char *end = close && close + 1 < at + left && close[1] == '('
				  ? memchr(close, ')', left - (size_t)(close - at))
				  : NULL;

	if (!end)
		return 0;
	for (const char *c = at + 1; c < close; c++) {
		if (*c == ' ')
			flush(s, true);
		else
			put(s, *c);
	}
	flush(s, true);
	put(s, '<');
	for (const char *c = close + 2; c < end; c++)
		put(s, *c);
	put(s, '>');
	return (size_t)(end - at) + 1;
}

static bool is_mark(const char *text, size_t i, size_t len, const char *mark)
{
	size_t n = strlen(mark);

	return i + n <= len && strncmp(text + i, mark, n) == 0;
}

/* `*` and `_` begin emphasis before a word, and end it behind one. */
static bool is_emphasis(const char *text, size_t i, size_t len, bool on)
{
	bool before = i > 0 && !isspace((unsigned char)text[i - 1]);
	bool after = i + 1 < len && !isspace((unsigned char)text[i + 1]);

	if (text[i] == '_' && before && after && isalnum((unsigned char)text[i - 1]) &&
		isalnum((unsigned char)text[i + 1]))
		return false;
	return on ? before : after;
}

static void toggle(struct inline_state *s, enum style style)
{
	flush(s, false);
	s->style = s->style == style ? s->base : style;
}

static void add_inline(struct page *p, const char *text, size_t len, enum style base)
{
	struct inline_state s = { .p = p, .base = base, .style = base };
	bool code = false, emphasis = false;
	size_t used;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];
		if (c == '`') {
			toggle(&s, STYLE_BUSY);
			code = !code;
		} else if (isspace((unsigned char)c)) {
			flush(&s, true);
		} else if (code) {
			put(&s, c);
		} else if (c == '\\' && i + 1 < len && ispunct((unsigned char)text[i + 1])) {
			put(&s, text[++i]);
		} else if (is_mark(text, i, len, "**") || is_mark(text, i, len, "__")) {
			toggle(&s, STYLE_BOLD);
			i++;
		} else if ((c == '*' || c == '_') && is_emphasis(text, i, len, emphasis)) {
			emphasis = !emphasis;
		} else if (c == '[' && (used = add_link(&s, text + i, len - i)) > 0) {
			i += used - 1;
		} else {
			put(&s, c);
		}
	}
	flush(&s, true);
}

/* ---- lines ----------------------------------------------------------------------------- */

static size_t spaces_of(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] == ' ')
		n++;
	return n;
}

/* The bytes of "- " or "12. ", or 0. */
static size_t bullet_of(const char *line, size_t len)
{
	size_t n = 0;

	if (len > 1 && strchr("-*+", line[0]) && line[1] == ' ')
		return 2;
	while (n < len && n < 9 && isdigit((unsigned char)line[n]))
		n++;
	return n && n + 1 < len && (line[n] == '.' || line[n] == ')') && line[n + 1] == ' ' ? n + 2
											    : 0;
}

static bool is_rule(const char *line, size_t len)
{
	size_t n = 0;

	if (len < 3 || !strchr("-*_", line[0]))
		return false;
	while (n < len && (line[n] == line[0] || line[n] == ' '))
		n++;
	return n == len;
}

static void add_heading(struct page *p, const char *line, size_t len)
{
	size_t level = 0;

	while (level < len && line[level] == '#')
		level++;
	while (len > level && (line[len - 1] == '#' || line[len - 1] == ' '))
		len--;
	add_blank(p);
	p->indent = 0;
	add_inline(p, line + level, len - level, STYLE_BOLD);
	end_line(p);
	if (level == 1) {
		buf_addpad(p->out, '=', 3);
		buf_addc(p->out, '\n');
	}
}

static void add_item(struct page *p, const char *line, size_t len, size_t spaces)
{
	size_t bullet = bullet_of(line, len);
	char mark[16] = "-";
	int at = (int)(spaces < INDENT_MAX ? spaces : INDENT_MAX);

	end_line(p);
	if (isdigit((unsigned char)line[0]))
		snprintf(mark, sizeof mark, "%.*s", (int)bullet - 1, line);
	indent(p, at + 2);
	p->col += text_add(p->out, mark, -1);
	buf_addc(p->out, ' ');
	p->col++;
	p->indent = p->col;
	add_inline(p, line + bullet, len - bullet, STYLE_NONE);
	p->in_paragraph = true;
}

/* As it stands. */
static void add_verbatim(struct page *p, const char *line, size_t len, enum style s)
{
	char *copy = strndup(line, len);

	end_line(p);
	indent(p, CODE_INDENT);
	set_style(p, s);
	text_add(p->out, copy ? copy : "", -1);
	p->col++;
	end_line(p);
	free(copy);
}

static void add_line(struct page *p, const char *line, size_t len)
{
	size_t spaces = spaces_of(line, len);
	const char *rest = line + spaces;
	size_t left = len - spaces;

	if (left == 0) {
		add_blank(p);
	} else if (rest[0] == '#' && spaces < 4) {
		add_heading(p, rest, left);
	} else if (is_rule(rest, left)) {
		add_blank(p);
		buf_addpad(p->out, '-', (size_t)(p->width < 40 ? p->width : 40));
		buf_addc(p->out, '\n');
		p->blank = false;
	} else if (bullet_of(rest, left)) {
		add_item(p, rest, left, spaces);
	} else if (rest[0] == '>') {
		end_line(p);
		p->indent = CODE_INDENT;
		add_inline(p, rest + 1, left - 1, STYLE_DIM);
	} else if (rest[0] == '|' || (spaces >= 4 && !p->in_paragraph)) {
		add_verbatim(p, rest, left, STYLE_NONE);
	} else {
		if (!p->in_paragraph)
			p->indent = 0;
		add_inline(p, rest, left, STYLE_NONE);
		p->in_paragraph = true;
	}
}

static bool is_fence(const char *line, size_t len)
{
	size_t n = spaces_of(line, len);

	return len - n >= 3 &&
	       (strncmp(line + n, "```", 3) == 0 || strncmp(line + n, "~~~", 3) == 0);
}

void markdown_add(struct buf *out, const char *text, int width, bool colour)
{
	struct page p = { .out = out, .width = width, .colour = colour, .blank = true };
	bool code = false;

	for (const char *next; *text; text = next) {
		size_t len = strcspn(text, "\n");
		next = text + len + (text[len] == '\n');
		if (len && text[len - 1] == '\r')
			len--;
		if (is_fence(text, len)) {
			end_line(&p);
			p.in_paragraph = false;
			code = !code;
		} else if (code) {
			add_verbatim(&p, text, len, STYLE_BUSY);
		} else {
			add_line(&p, text, len);
		}
	}
	end_line(&p);
}
