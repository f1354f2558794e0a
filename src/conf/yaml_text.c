#include "conf/yaml_text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/node.h"
#include "base/utf8.h"
#include "conf/diag.h"

static bool printable(uint32_t c)
{
	if (c < 0x20)
		return c == '\t' || c == '\n' || c == '\r';
	return c < 0x7f || c == 0x85 || (c >= 0xa0 && c != 0xfffe && c != 0xffff);
}

void yaml_cursor_init(struct yaml_cursor *c, const struct source *src)
{
	static const char bom[] = "\xef\xbb\xbf";
	size_t skip = strncmp(src->text, bom, 3) == 0 ? 3 : 0;

	*c = (struct yaml_cursor){ src->text + skip, src->text + src->len, 0, 1, 1 };
}

void yaml_cursor_next(struct yaml_cursor *c)
{
	if (c->p >= c->end)
		return;
	char was = *c->p++;
	while (c->p < c->end && ((unsigned char)*c->p & 0xc0) == 0x80)
		c->p++;
	c->index++;
	c->col++;
	bool in_crlf = was == '\r' && c->p < c->end && *c->p == '\n';
	if ((was == '\n' || was == '\r') && !in_crlf) {
		c->line++;
		c->col = 1;
	}
}

void yaml_cursor_seek(struct yaml_cursor *c, const struct source *src, size_t index)
{
	if (index < c->index)
		yaml_cursor_init(c, src);
	while (c->index < index && c->p < c->end)
		yaml_cursor_next(c);
}

void yaml_cursor_to(struct yaml_cursor *c, const char *p)
{
	while (c->p < p && c->p < c->end)
		yaml_cursor_next(c);
}

static void bad_char(const struct source *src, const char *at, uint32_t c, struct diags *diags)
{
	struct yaml_cursor cur;

	yaml_cursor_init(&cur, src);
	yaml_cursor_to(&cur, at);
	if (c) {
		diag_place(diags, src, cur.line, cur.col, "control character U+%04X", (unsigned)c);
		diag_hint(diags, "remove it, or write \\x%02x inside double quotes", (unsigned)c);
	} else if (*at == '\0') {
		diag_place(diags, src, cur.line, cur.col, "a NUL byte: this is not a text file");
	} else {
		diag_place(diags, src, cur.line, cur.col, "byte 0x%02x is not UTF-8",
			(unsigned char)*at);
		diag_hint(diags, "save the file as UTF-8");
	}
}

int yaml_text_check(const struct source *src, struct diags *diags)
{
	const char *p = src->text, *end = p + src->len;

	if (src->len >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0)) {
		diag_place(diags, src, 1, 1, "the file is UTF-16");
		diag_hint(diags, "save it as UTF-8");
		return -1;
	}
	while (p < end) {
		uint32_t c = (unsigned char)*p;
		size_t n = c >= 0x20 && c < 0x7f ? 1 : utf8_char(p, (size_t)(end - p), &c);
		if (n == 0 || !printable(c)) {
			bad_char(src, p, n ? c : 0, diags);
			return -1;
		}
		p += n;
	}
	return 0;
}

const char *yaml_line_start(const struct source *src, const char *p)
{
	while (p > src->text && p[-1] != '\n' && p[-1] != '\r')
		p--;
	return p;
}

const char *yaml_line_end(const char *p, const char *end)
{
	while (p < end && *p != '\n' && *p != '\r')
		p++;
	return p;
}

struct yaml_piece yaml_unquoted_value(const char *p, const char *end, bool flow)
{
	const char *start = p;
	int braces = 0;

	for (end = yaml_line_end(p, end); p < end; p++) {
		if (*p == '#' && p > start && (p[-1] == ' ' || p[-1] == '\t'))
			break;
		if (flow && braces == 0 && strchr(",]}", *p))
			break;
		if (p + 1 < end && p[0] == '{' && p[1] == '{') {
			braces++;
			p++;
		} else if (p + 1 < end && braces > 0 && p[0] == '}' && p[1] == '}') {
			braces--;
			p++;
		}
	}
	while (p > start && (p[-1] == ' ' || p[-1] == '\t'))
		p--;
	return (struct yaml_piece){ start, p };
}

const char *yaml_quote_example(struct yaml_piece value, char *buf, size_t size)
{
	size_t len = (size_t)(value.end - value.start);
	bool has_double = memchr(value.start, '"', len) || memchr(value.start, '\\', len);
	bool has_single = memchr(value.start, '\'', len);
	char quote = has_double ? '\'' : '"';

	/* With both kinds of quotes in it, or too long, it is no example. */
	if (len == 0 || len + 3 > size || len > 100 || (has_double && has_single))
		snprintf(buf, size, "\"...\"");
	else
		snprintf(buf, size, "%c%.*s%c", quote, (int)len, value.start, quote);
	return buf;
}
