#include "cli/term.h"

#include <assert.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "cli/command.h"

bool term_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static int env_number(const char *name)
{
	const char *text = getenv(name);
	long n = text ? strtol(text, NULL, 10) : 0;

	return n > 0 && n < 10000 ? (int)n : 0;
}

bool term_size(FILE *out, int *ret_columns, int *ret_lines)
{
	struct winsize ws = { 0 };
	int fd = fileno(out);

	*ret_columns = env_number("COLUMNS");
	*ret_lines = env_number("LINES");
	bool tty = fd >= 0 && isatty(fd);
	if (tty && ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col && ws.ws_row) {
		*ret_columns = ws.ws_col;
		*ret_lines = ws.ws_row;
	}
	if (!*ret_columns)
		*ret_columns = 80;
	if (!*ret_lines)
		*ret_lines = 24;
	return tty;
}

static bool colour_wanted(const char *when, bool tty)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when && strcmp(when, "always") == 0)
		return true;
	if (when && strcmp(when, "never") == 0)
		return false;
	return tty && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

void term_init(struct term *t, FILE *out, const struct args *args)
{
	int lines;

	t->out = out;
	t->tty = term_size(out, &t->width, &lines);
	if (!t->tty)
		t->width = 0;
	t->colour = colour_wanted(args ? args_text(args, "color") : NULL, t->tty);
	t->utf8 = term_is_utf8();
}

void term_write(const struct term *t, struct buf *b)
{
	fwrite(b->data, 1, b->len, t->out);
	buf_clear(b);
}

static const char *const styles[] = {
	[STYLE_NONE] = "",
	[STYLE_BOLD] = "\033[1m",
	[STYLE_DIM] = "\033[2m",
	[STYLE_GOOD] = "\033[32m",
	[STYLE_BAD] = "\033[31m",
	[STYLE_WARN] = "\033[33m",
	[STYLE_BUSY] = "\033[36m",
};
static_assert(sizeof styles / sizeof *styles == STYLE_MAX, "a sequence for each style");

const char *style_on(enum style s, bool colour)
{
	return colour ? styles[s] : "";
}

const char *style_off(enum style s, bool colour)
{
	return colour && s != STYLE_NONE ? "\033[0m" : "";
}

/* ---- text ---------------------------------------------------------------------------- */

/* One character as it is printed. */
struct glyph {
	size_t len; /* bytes of the input */
	int width;
	const char *instead; /* printed in its place; NULL: itself */
};

/* The length of an escape sequence (ECMA-48: CSI, OSC, or two bytes) that starts at s. */
static size_t escape_len(const char *s)
{
	size_t i = 2;

	if (!s[1])
		return 1;
	if (s[1] == '[') {
		while (s[i] && (unsigned char)s[i] < 0x40)
			i++;
		return s[i] ? i + 1 : i;
	}
	if (s[1] == ']') {
		while (s[i] && s[i] != '\a' && s[i] != '\033')
			i++;
		return s[i] == '\a' ? i + 1 : s[i] && s[i + 1] == '\\' ? i + 2 : i;
	}
	return 2;
}

static struct glyph next_glyph(const char *s)
{
	uint32_t c = 0;
	size_t n = utf8_char(s, strnlen(s, 4), &c);

	if (*s == '\033')
		return (struct glyph){ escape_len(s), 0, "" };
	if (*s == '\t' || *s == '\n')
		return (struct glyph){ 1, 1, " " };
	if (*s == '\r')
		return (struct glyph){ 1, 0, "" };
	if (n == 0)
		return (struct glyph){ 1, 1, "?" };
	if (n == 1)
		return c < 0x20 || c == 0x7f ? (struct glyph){ 1, 1, "?" }
					     : (struct glyph){ 1, 1, NULL };
	int width = wcwidth((wchar_t)c);
	/* C1 controls, and what the locale cannot show. */
	if (width < 0)
		return (struct glyph){ n, 1, "?" };
	return (struct glyph){ n, width, NULL };
}

int text_width(const char *s)
{
	int width = 0;

	while (*s) {
		struct glyph g = next_glyph(s);
		width += g.width;
		s += g.len;
	}
	return width;
}

static void add_glyph(struct buf *out, const char *s, const struct glyph *g)
{
	if (g->instead)
		buf_addstr(out, g->instead);
	else
		buf_add(out, s, g->len);
}

int text_add(struct buf *out, const char *s, int width)
{
	bool cut = width >= 0 && text_width(s) > width;
	const char *dots = width < 3 ? "" : term_is_utf8() ? "\xe2\x80\xa6" : "...";
	int room = width - (cut ? (*dots == '.' ? 3 : *dots ? 1 : 0) : 0);
	int used = 0;

	while (*s) {
		struct glyph g = next_glyph(s);
		if (cut && used + g.width > room)
			break;
		add_glyph(out, s, &g);
		used += g.width;
		s += g.len;
	}
	if (!cut)
		return used;
	buf_addstr(out, dots);
	return used + (width - room);
}

void text_add_padded(struct buf *out, const char *s, int width, bool right)
{
	int w = text_width(s);

	if (right && w < width)
		buf_addpad(out, ' ', (size_t)(width - w));
	int used = text_add(out, s, width);
	if (!right && used < width)
		buf_addpad(out, ' ', (size_t)(width - used));
}

/* ---- prose --------------------------------------------------------------------------- */

static void indent_to(struct buf *out, int *col, int indent)
{
	if (*col < indent)
		buf_addpad(out, ' ', (size_t)(indent - *col));
	*col = indent > *col ? indent : *col;
}

/* One paragraph's line: words, wrapped. Returns where the line ended. */
static const char *wrap_line(struct buf *out, const char *s, int *col, int indent, int width)
{
	bool first = *col <= indent;

	while (*s && *s != '\n') {
		size_t len = strcspn(s, " \n");
		if (!first && *col + 1 + (int)len > width) {
			buf_addc(out, '\n');
			*col = 0;
			first = true;
		}
		indent_to(out, col, indent);
		if (!first) {
			buf_addc(out, ' ');
			++*col;
		}
		buf_add(out, s, len);
		*col += (int)len;
		first = false;
		s += len;
		s += strspn(s, " ");
	}
	return s;
}

void text_wrap(struct buf *out, const char *prose, int from, int indent, int width)
{
	int col = from;

	while (*prose) {
		size_t len = strcspn(prose, "\n");
		bool empty = len == 0, verbatim = prose[0] == ' ' || prose[0] == '\t';
		if ((empty || verbatim) && col > 0) {
			buf_addc(out, '\n');
			col = 0;
		}
		if (empty) {
			buf_addc(out, '\n');
		} else if (verbatim) {
			indent_to(out, &col, indent);
			buf_add(out, prose, len);
			buf_addc(out, '\n');
			col = 0;
		} else {
			wrap_line(out, prose, &col, indent, width);
		}
		prose += len;
		prose += *prose == '\n';
	}
	if (col > 0)
		buf_addc(out, '\n');
}

const char *text_first_line(const char *s, char *buf, size_t size)
{
	s += strspn(s, " \t\r\n");
	size_t len = strcspn(s, "\r\n");

	snprintf(buf, size, "%.*s", (int)(len < size ? len : size - 1), s);
	return buf;
}
