#include "conf/template_sqllex.h"

#include <assert.h>
#include <string.h>

static const char *const place_names[] = {
	[SQLLEX_PLAIN] = "a value's place",
	[SQLLEX_STRING] = "the inside of a '...' literal",
	[SQLLEX_IDENT] = "the inside of a \"...\" identifier",
	[SQLLEX_COMMENT] = "a comment",
	[SQLLEX_ESCAPED] = "the inside of an E'...' literal",
	[SQLLEX_PREFIXED] = "the inside of an X'...', B'...' or U&'...' literal",
	[SQLLEX_DOLLAR] = "the inside of a $$...$$ literal",
	[SQLLEX_BRACKET] = "the inside of a [...] identifier",
	[SQLLEX_BACKTICK] = "the inside of a `...` identifier",
	[SQLLEX_PARAM] = "the inside of a $name(...) parameter",
};
static_assert(sizeof place_names / sizeof *place_names == SQLLEX_PLACE_MAX, "a name for each");

const char *sqllex_place_name(enum sqllex_place place)
{
	return place_names[place];
}

void sqllex_init(struct sqllex *l)
{
	*l = (struct sqllex){ .postgres.postgres = true };
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void open_literal(struct sqllex_side *s, enum sqllex_place place, char quote)
{
	s->place = place;
	s->quote = quote;
	s->held = s->backslash = false;
}

static void open_comment(struct sqllex_side *s, bool line)
{
	s->place = SQLLEX_COMMENT;
	s->line_comment = line;
	s->depth = 1;
	s->prev = 0;
}

/* A quote in plain text: what it opens depends on what stands before it. */
static void open_quote(struct sqllex_side *s, char c, char letter, bool u_amp, bool after_escaped)
{
	if (c == '"')
		open_literal(s, s->postgres && u_amp ? SQLLEX_PREFIXED : SQLLEX_IDENT, c);
	else if (letter == 'x' || (s->postgres && (letter == 'b' || u_amp)))
		open_literal(s, SQLLEX_PREFIXED, c);
	else if (s->postgres && (letter == 'e' || after_escaped))
		open_literal(s, SQLLEX_ESCAPED, c);
	else
		open_literal(s, SQLLEX_STRING, c);
}

/* PostgreSQL's $tag$. Returns true when c belongs to it. */
static bool dollar_tag(struct sqllex_side *s, char c)
{
	bool more = is_letter(c) || (is_digit(c) && s->tag_len > 1);

	if (s->tag_len == 0 || (!more && c != '$')) {
		s->tag_len = 0;
		return false;
	}
	if (s->tag_len < SQLLEX_TAG_MAX)
		s->tag[s->tag_len] = c;
	s->tag_len++;
	if (c == '$') {
		s->place = SQLLEX_DOLLAR;
		s->tag_seen = 0;
	}
	return true;
}

/* SQLite's parameters: ?, ?1, and one of : @ # $ before a name, where a double colon may be
 * within. `::name` is none: it is a cast to PostgreSQL and an error to SQLite. */
static bool parameter(struct sqllex_side *s, char c)
{
	if (s->sigil == 0)
		return false;
	if (is_letter(c) || is_digit(c) || c == '$' || (c == ':' && s->sigil > 1)) {
		s->sigil++;
		s->variable = true;
		return true;
	}
	if (c == '(' && s->sigil > 1) {
		s->place = SQLLEX_PARAM;
		s->sigil = 0;
		return true;
	}
	bool cast = c == ':' && s->sigil == 1;
	s->sigil = 0;
	return cast;
}

static void begin_special(struct sqllex_side *s, char c)
{
	if (s->postgres) {
		if (c == '$') {
			s->tag[0] = c;
			s->tag_len = 1;
		}
		return;
	}
	if (c == '[')
		s->place = SQLLEX_BRACKET;
	else if (c == '`')
		open_literal(s, SQLLEX_BACKTICK, c);
	else if (c == '?')
		s->variable = true;
	else if (c == ':' || c == '@' || c == '#' || c == '$')
		s->sigil = 1;
}

/* In a word, or beginning one? */
static bool word(struct sqllex_side *s, char c)
{
	bool begins = !s->word;

	if (!is_letter(c) && !is_digit(c) && !(c == '$' && s->word))
		return false;
	s->letter = begins && is_letter(c) ? (char)(c | 0x20) : 0;
	s->word = true;
	return true;
}

static void plain(struct sqllex_side *s, char c)
{
	char prev = s->prev, letter = s->letter;
	bool u_amp = s->u_amp, after_escaped = s->after_escaped && (prev != '-' || c == '-');

	if ((s->postgres && dollar_tag(s, c)) || (!s->postgres && parameter(s, c))) {
		s->word = s->u_amp = s->after_escaped = false;
		s->letter = s->prev = 0;
		return;
	}
	s->prev = 0;
	s->u_amp = false;
	s->after_escaped = after_escaped && (is_space(c) || c == '-');
	if (word(s, c))
		return;
	s->word = false;
	s->letter = 0;
	if (c == '\'' || c == '"')
		open_quote(s, c, letter, u_amp, after_escaped);
	else if (c == '-' && prev == '-')
		open_comment(s, true);
	else if (c == '*' && prev == '/')
		open_comment(s, false);
	else if (c == '-' || c == '/')
		s->prev = c;
	else if (c == '&')
		s->u_amp = letter == 'u';
	else
		begin_special(s, c);
}

static void comment(struct sqllex_side *s, char c)
{
	char prev = s->prev;

	s->prev = c == '*' || c == '/' ? c : 0;
	if (s->line_comment) {
		if (c == '\n' || (s->postgres && c == '\r'))
			s->place = SQLLEX_PLAIN;
	} else if (prev == '*' && c == '/') {
		s->prev = 0;
		if (--s->depth == 0)
			s->place = SQLLEX_PLAIN;
	} else if (s->postgres && prev == '/' && c == '*') {
		s->prev = 0;
		s->depth++;
	}
	if (s->place == SQLLEX_PLAIN)
		s->prev = 0;
}

static void literal(struct sqllex_side *s, char c)
{
	if (s->held && c != s->quote) {
		s->after_escaped = s->place == SQLLEX_ESCAPED;
		s->place = SQLLEX_PLAIN;
		s->held = false;
		plain(s, c);
	} else if (s->backslash) {
		s->backslash = false;
	} else if (s->place == SQLLEX_ESCAPED && c == '\\') {
		s->backslash = true;
	} else if (c == s->quote) {
		s->held = !s->held;
	}
}

/* The name of a tag that is too long was not kept: its literal is never seen to end. */
static void dollar(struct sqllex_side *s, char c)
{
	if (s->tag_len > SQLLEX_TAG_MAX)
		return;
	/* "$" stands only at the ends of a tag, so that a mismatch never hides a match. */
	if (c == s->tag[s->tag_seen])
		s->tag_seen++;
	else
		s->tag_seen = c == '$';
	if (s->tag_seen == s->tag_len) {
		s->place = SQLLEX_PLAIN;
		s->tag_len = 0;
	}
}

static void step(struct sqllex_side *s, char c)
{
	switch (s->place) {
	case SQLLEX_PLAIN:
		plain(s, c);
		break;
	case SQLLEX_COMMENT:
		comment(s, c);
		break;
	case SQLLEX_DOLLAR:
		dollar(s, c);
		break;
	case SQLLEX_BRACKET:
		if (c == ']')
			s->place = SQLLEX_PLAIN;
		break;
	case SQLLEX_PARAM:
		if (c == ')' || is_space(c))
			s->place = SQLLEX_PLAIN;
		break;
	default:
		literal(s, c);
		break;
	}
}

void sqllex_feed(struct sqllex *l, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		step(&l->sqlite, text[i]);
		step(&l->postgres, text[i]);
	}
	if (len)
		l->last = text[len - 1];
}

static enum sqllex_place place_of(const struct sqllex_side *s)
{
	return s->held ? SQLLEX_PLAIN : s->place;
}

void sqllex_places(
	const struct sqllex *l, enum sqllex_place *ret_sqlite, enum sqllex_place *ret_postgres)
{
	*ret_sqlite = place_of(&l->sqlite);
	*ret_postgres = place_of(&l->postgres);
}
