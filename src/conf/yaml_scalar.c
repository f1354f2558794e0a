#include "conf/yaml_scalar.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/node.h"

#define CORE "tag:yaml.org,2002:"

static bool in_list(const char *text, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(text, *list) == 0)
			return true;
	return false;
}

static bool resolve_null(struct node *n)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL", NULL };

	if (!in_list(n->text, words))
		return false;
	n->type = NODE_NULL;
	return true;
}

static bool resolve_bool(struct node *n)
{
	static const char *const yes[] = { "true", "True", "TRUE", NULL };
	static const char *const no[] = { "false", "False", "FALSE", NULL };

	n->b = in_list(n->text, yes);
	if (!n->b && !in_list(n->text, no))
		return false;
	n->type = NODE_BOOL;
	return true;
}

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* 007 and 08.15 look like ids. */
static bool leading_zero(const char *unsigned_text)
{
	return unsigned_text[0] == '0' && isdigit((unsigned char)unsigned_text[1]);
}

static bool resolve_int(struct node *n)
{
	const char *s = n->text, *unsigned_text = s + (*s == '-' || *s == '+');
	int base = 10;

	if (s[0] == '0' && (s[1] == 'o' || s[1] == 'x')) {
		base = s[1] == 'o' ? 8 : 16;
		s += 2;
		unsigned_text = s;
	}
	size_t len = base == 10  ? digits(unsigned_text)
		     : base == 8 ? strspn(s, "01234567")
				 : strspn(s, "0123456789abcdefABCDEF");
	if (len == 0 || unsigned_text[len] || (base == 10 && leading_zero(unsigned_text)))
		return false;
	errno = 0;
	long long v = strtoll(s, NULL, base);
	if (errno)
		return false;
	n->type = NODE_INT;
	n->i = v;
	n->f = (double)v;
	return true;
}

static bool is_decimal(const char *s)
{
	if (*s == '-' || *s == '+')
		s++;
	if (leading_zero(s))
		return false;
	size_t whole = digits(s), part = 0;
	s += whole;
	if (*s == '.') {
		part = digits(s + 1);
		s += 1 + part;
	}
	if (whole + part == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s += s[1] == '-' || s[1] == '+' ? 2 : 1;
		size_t exponent = digits(s);
		s += exponent;
		if (exponent == 0)
			return false;
	}
	return *s == '\0';
}

static bool resolve_float(struct node *n)
{
	static const char *const infinite[] = { ".inf", ".Inf", ".INF", NULL };
	static const char *const nan_words[] = { ".nan", ".NaN", ".NAN", NULL };
	const char *s = n->text;

	if (is_decimal(s))
		n->f = strtod(s, NULL);
	else if (in_list(s, nan_words))
		n->f = NAN;
	else if (in_list(s + (*s == '-' || *s == '+'), infinite))
		n->f = *s == '-' ? -INFINITY : INFINITY;
	else
		return false;
	/* 1e999 is no number that a double holds. */
	if (isinf(n->f) && !strchr("iI", s[strlen(s) - 3]))
		return false;
	n->type = NODE_FLOAT;
	return true;
}

void yaml_scalar_resolve(struct node *n)
{
	/* Most scalars are words; none of the typed ones begins with most letters. */
	bool maybe = *n->text == '\0' || strchr("~nNtTfF+-.0123456789", *n->text);

	n->f = 0;
	if (maybe && (resolve_null(n) || resolve_bool(n) || resolve_int(n) || resolve_float(n)))
		return;
	n->f = 0;
	n->type = NODE_STRING;
}

static bool resolve_number(struct node *n)
{
	if (resolve_float(n))
		return true;
	if (!resolve_int(n))
		return false;
	n->type = NODE_FLOAT;
	return true;
}

static bool resolve_string(struct node *n)
{
	n->type = NODE_STRING;
	return true;
}

static const struct {
	const char *tag;
	bool (*resolve)(struct node *n);
	const char *complaint;
} tags[] = {
	{ "!", resolve_string, NULL },
	{ CORE "str", resolve_string, NULL },
	{ CORE "int", resolve_int, "the value is not an integer" },
	{ CORE "float", resolve_number, "the value is not a number" },
	{ CORE "bool", resolve_bool, "the value is not true or false" },
	{ CORE "null", resolve_null, "the value is not null" },
	{ CORE "seq", NULL, "the value is not a list" },
	{ CORE "map", NULL, "the value is not a mapping" },
};

const char *yaml_scalar_resolve_tag(struct node *n, const char *tag)
{
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
		if (strcmp(tags[i].tag, tag) != 0)
			continue;
		n->type = NODE_STRING;
		return tags[i].resolve && tags[i].resolve(n) ? NULL : tags[i].complaint;
	}
	n->type = NODE_STRING;
	return "no tag that Weir knows";
}

const char *yaml_tag_short(const char *tag, char *buf, size_t size)
{
	bool core = strncmp(tag, CORE, strlen(CORE)) == 0;

	snprintf(buf, size, "%s%s", core ? "!!" : "", core ? tag + strlen(CORE) : tag);
	return buf;
}
