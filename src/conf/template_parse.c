#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/template_impl.h"
#include "conf/template_sqllex.h"

struct parser {
	struct template *t;
	size_t pos;
	int depth;
	size_t begin, end; /* the expression: its "{{", and where it must have ended */
	size_t fail_off, fail_width;
	struct err *err;
};

static int fail(struct parser *p, size_t off, size_t width, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(struct parser *p, size_t off, size_t width, const char *fmt, ...)
{
	char msg[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	p->fail_off = off;
	p->fail_width = width ? width : 1;
	return err_set(p->err, ERR_INVALID, "%s", msg);
}

static int fail_nomem(struct parser *p)
{
	p->fail_off = p->begin;
	p->fail_width = 2;
	return err_set(p->err, ERR_NOMEM, "out of memory, or the template is too large");
}

static char peek(const struct parser *p)
{
	return p->pos < p->end ? p->t->text[p->pos] : '\0';
}

static void skip_space(struct parser *p)
{
	while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\n' || peek(p) == '\r')
		p->pos++;
}

static bool at_close(const struct parser *p)
{
	return p->end - p->pos >= 2 && memcmp(p->t->text + p->pos, "}}", 2) == 0;
}

static bool is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_word_start(c) || is_digit(c) || c == '-';
}

/* What stands at pos, for a message: a word, or one character. */
static struct span found(const struct parser *p)
{
	size_t n = p->pos;

	while (n < p->end && n - p->pos < 40 && is_word(p->t->text[n]))
		n++;
	if (n == p->pos && n < p->end)
		for (n++; n < p->end && ((unsigned char)p->t->text[n] & 0xc0) == 0x80; n++)
			;
	return (struct span){ p->pos, n - p->pos };
}

static int fail_unclosed(struct parser *p)
{
	bool cut = p->end < p->t->len;

	if (cut)
		return fail(p, p->begin, 2, "an expression may have at most %d bytes",
			TEMPLATE_EXPR_MAX);
	return fail(p, p->begin, 2,
		"no \"}}\" closes this \"{{\"; a literal \"{{\" is written "
		"{{ \"{{\" }}");
}

static int fail_expected(struct parser *p, const char *what)
{
	struct span f = found(p);
	const char *hint = "";

	if (p->pos >= p->end || (p->end < p->t->len && p->end - p->pos < 2))
		return fail_unclosed(p);
	if (peek(p) == '[')
		hint = "; parts of a name are joined with a dot: params.region";
	else if (peek(p) == '+' || peek(p) == '-')
		hint = "; sums are made with a filter: | add(1), | add_days(-1)";
	else if (peek(p) == '=')
		hint = "; what is the same is asked for with ==";
	else if (peek(p) == '&' || peek(p) == '|' || peek(p) == '!')
		hint = "; there are the words and, or, not";
	return fail(p, f.off, f.len, "expected %s, found \"%.*s\"%s", what, (int)f.len,
		p->t->text + f.off, hint);
}

/* Strings. Escapes as in YAML's double-quoted scalars, as far as anybody needs them. */
static int escape(struct parser *p, char *ret)
{
	static const char from[] = "\\\"'ntr", to[] = "\\\"'\n\t\r";
	char c = peek(p);
	const char *at = c ? strchr(from, c) : NULL;

	if (!at) {
		struct span f = found(p);
		return fail(p, p->pos - 1, 1 + f.len,
			"unknown escape \"\\%.*s\" in a string; "
			"there are \\\\ \\\" \\' \\n \\t \\r",
			f.len ? 1 : 0, p->t->text + f.off);
	}
	*ret = to[at - from];
	p->pos++;
	return 0;
}

static int parse_string(struct parser *p, struct value *ret)
{
	size_t start = p->pos;
	char quote = p->t->text[p->pos++];
	size_t close = p->pos;

	while (close < p->end && p->t->text[close] != quote)
		close += p->t->text[close] == '\\' ? 2 : 1;
	if (close >= p->end)
		return p->end < p->t->len ? fail_unclosed(p)
					  : fail(p, start, 1, "no %c closes this string", quote);
	char *s = arena_alloc(&p->t->arena, close - p->pos + 1);
	size_t n = 0;
	if (!s)
		return fail_nomem(p);
	while (p->pos < close) {
		char c = p->t->text[p->pos++];
		if (c == '\\' && escape(p, &c) < 0)
			return -1;
		s[n++] = c;
	}
	p->pos = close + 1;
	*ret = template_value_string(s, n);
	return 0;
}

static int parse_number(struct parser *p, struct value *ret)
{
	size_t start = p->pos, digits;
	bool real = false;
	char text[64], *rest;

	if (peek(p) == '-')
		p->pos++;
	digits = p->pos;
	for (; is_digit(peek(p)) || peek(p) == '.' || peek(p) == 'e' || peek(p) == 'E' ||
		((peek(p) == '-' || peek(p) == '+') && (p->t->text[p->pos - 1] | 32) == 'e');
		p->pos++)
		real = real || !is_digit(peek(p));
	size_t len = p->pos - start;
	const char *at = p->t->text + start;
	if (len >= sizeof text)
		return fail(p, start, len, "this number is too long");
	memcpy(text, at, len);
	text[len] = '\0';
	if (p->pos - digits > 1 && p->t->text[digits] == '0' && is_digit(p->t->text[digits + 1]))
		return fail(p, start, len,
			"a number has no leading zero; write \"%s\" in quotes if "
			"it is text",
			text);
	errno = 0;
	if (real) {
		*ret = (struct value){ .type = VALUE_REAL, .f = strtod(text, &rest) };
	} else {
		*ret = template_value_int(strtoll(text, &rest, 10));
	}
	if (*rest || rest == text || !is_digit(p->t->text[p->pos - 1]) || is_word(peek(p))) {
		size_t more = is_word(peek(p)) ? found(p).len : 0;
		return fail(p, start, len + more, "\"%.*s\" is no number", (int)(len + more), at);
	}
	if (errno == ERANGE)
		return fail(p, start, len, "the number %s is too large or too small", text);
	return 0;
}

static int parse_name(struct parser *p, struct primary *x)
{
	const char *text = p->t->text, *rest = NULL;
	size_t start = p->pos;

	for (;;) {
		while (is_word(peek(p)))
			p->pos++;
		if (peek(p) != '.')
			break;
		p->pos++;
		if (!is_word_start(peek(p)))
			return fail_expected(p, "a name behind the dot");
	}
	x->is_name = true;
	x->span = (struct span){ start, p->pos - start };
	x->name = template_name_find(text + start, p->pos - start, &rest);
	if (!x->name)
		return 0;
	x->rest = rest ? arena_strndup(&p->t->arena, rest, (size_t)(text + p->pos - rest)) : "";
	return x->rest ? 0 : fail_nomem(p);
}

/* true, false, null */
static bool keyword(struct primary *x, const char *word, size_t len)
{
	if (len == 4 && memcmp(word, "null", 4) == 0)
		x->literal = template_value_null(false);
	else if (len == 4 && memcmp(word, "true", 4) == 0)
		x->literal = (struct value){ .type = VALUE_BOOL, .b = true };
	else if (len == 5 && memcmp(word, "false", 5) == 0)
		x->literal = (struct value){ .type = VALUE_BOOL, .b = false };
	else
		return false;
	return true;
}

static int parse_primary(struct parser *p, struct primary *x, const char *what)
{
	size_t start = p->pos;
	char c = peek(p);
	int rc;

	*x = (struct primary){ 0 };
	if (c == '"' || c == '\'')
		rc = parse_string(p, &x->literal);
	else if (is_digit(c) ||
		 (c == '-' && p->pos + 1 < p->end && is_digit(p->t->text[p->pos + 1])))
		rc = parse_number(p, &x->literal);
	else if (is_word_start(c))
		rc = parse_name(p, x);
	else
		return fail_expected(p, what);
	x->span = (struct span){ start, p->pos - start };
	if (rc == 0 && x->is_name && keyword(x, p->t->text + start, x->span.len))
		x->is_name = false;
	return rc;
}

static int parse_args(struct parser *p, struct call *call)
{
	struct primary **tail = &call->args;

	p->pos++; /* "(" */
	skip_space(p);
	if (peek(p) == ')') {
		p->pos++;
		return 0;
	}
	for (;; p->pos++) {
		skip_space(p);
		if (call->nargs == TEMPLATE_ARGS_MAX)
			return fail(p, p->pos, 1, "no filter takes more than %d arguments",
				TEMPLATE_ARGS_MAX);
		struct primary *arg = arena_alloc(&p->t->arena, sizeof *arg);
		if (!arg)
			return fail_nomem(p);
		if (parse_primary(p, arg, "an argument: a string, a number or a name") < 0)
			return -1;
		*tail = arg;
		tail = &arg->next;
		call->nargs++;
		skip_space(p);
		if (peek(p) == ')')
			break;
		if (peek(p) != ',')
			return fail_expected(p, "\",\" or \")\"");
	}
	p->pos++;
	return 0;
}

static struct call *parse_call(struct parser *p)
{
	struct call *call = arena_alloc(&p->t->arena, sizeof *call);

	if (!call) {
		fail_nomem(p);
		return NULL;
	}
	skip_space(p);
	if (!is_word_start(peek(p))) {
		fail_expected(p, "the name of a filter");
		return NULL;
	}
	call->name.off = p->pos;
	while (is_word(peek(p)))
		p->pos++;
	call->name.len = p->pos - call->name.off;
	call->filter = template_filter_find(p->t->text + call->name.off, call->name.len);
	skip_space(p);
	if (peek(p) == '(' && parse_args(p, call) < 0)
		return NULL;
	return call;
}

static struct expr *new_expr(struct parser *p, enum expr_op op, struct expr *left)
{
	struct expr *x = arena_alloc(&p->t->arena, sizeof *x);

	if (!x) {
		fail_nomem(p);
		return NULL;
	}
	x->op = op;
	x->left = left;
	x->span.off = left ? left->span.off : p->pos;
	return x;
}

/* `x` ends here. */
static struct expr *close_expr(const struct parser *p, struct expr *x)
{
	x->span.len = p->pos - x->span.off;
	return x;
}

/* `x` ends where its last part does; NULL when that is missing. */
static struct expr *end_with(struct expr *x, const struct expr *last)
{
	if (!last)
		return NULL;
	x->span.len = last->span.off + last->span.len - x->span.off;
	return x;
}

/* Is this word next? Then go behind it. */
static bool take_word(struct parser *p, const char *word)
{
	size_t len = strlen(word);

	skip_space(p);
	if (p->end - p->pos < len || memcmp(p->t->text + p->pos, word, len) != 0)
		return false;
	if (p->pos + len < p->end &&
		(is_word(p->t->text[p->pos + len]) || p->t->text[p->pos + len] == '.'))
		return false;
	p->pos += len;
	return true;
}

static struct expr *parse_or(struct parser *p);

static struct expr *parse_group(struct parser *p)
{
	size_t open = p->pos;

	if (++p->depth > TEMPLATE_DEPTH_MAX) {
		fail(p, open, 1, "parentheses may be at most %d deep", TEMPLATE_DEPTH_MAX);
		return NULL;
	}
	p->pos++;
	skip_space(p);
	struct expr *inner = parse_or(p), *x = inner ? new_expr(p, EXPR_GROUP, inner) : NULL;
	if (!x)
		return NULL;
	x->span.off = open;
	if (peek(p) != ')') {
		fail_expected(p, "\"|\", a comparison or \")\"");
		return NULL;
	}
	p->pos++;
	p->depth--;
	return x;
}

static struct expr *parse_value(struct parser *p)
{
	struct expr *x;

	skip_space(p);
	if (peek(p) == '(') {
		x = parse_group(p);
	} else {
		x = new_expr(p, EXPR_HEAD, NULL);
		if (x && parse_primary(p, &x->head, "a name or a literal") < 0)
			return NULL;
	}
	if (!x)
		return NULL;
	close_expr(p, x);
	for (struct call **tail = &x->calls; skip_space(p), peek(p) == '|'; tail = &(*tail)->next) {
		p->pos++;
		*tail = parse_call(p);
		if (!*tail)
			return NULL;
		close_expr(p, x);
	}
	return x;
}

static enum expr_op take_sign(struct parser *p)
{
	static const struct {
		const char *text;
		enum expr_op op;
	} signs[] = { { "==", EXPR_EQ }, { "!=", EXPR_NE }, { "<=", EXPR_LE }, { ">=", EXPR_GE },
		{ "<", EXPR_LT }, { ">", EXPR_GT } };

	skip_space(p);
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
		size_t len = strlen(signs[i].text);
		if (p->end - p->pos < len || memcmp(p->t->text + p->pos, signs[i].text, len) != 0)
			continue;
		p->pos += len;
		return signs[i].op;
	}
	return EXPR_HEAD;
}

static struct expr *parse_one(struct parser *p)
{
	size_t start;
	bool negated = false;

	skip_space(p);
	for (start = p->pos; take_word(p, "not");)
		negated = !negated;
	struct expr *x = parse_value(p);
	size_t at = p->pos;
	enum expr_op op = x ? take_sign(p) : EXPR_HEAD;
	if (op != EXPR_HEAD) {
		struct expr *both = new_expr(p, op, x);
		if (!both)
			return NULL;
		both->sign = (struct span){ at, p->pos - at };
		both->right = parse_value(p);
		x = end_with(both, both->right);
	}
	if (x && negated) {
		x = new_expr(p, EXPR_NOT, x);
		if (x) {
			x->span.off = start;
			end_with(x, x->left);
		}
	}
	return x;
}

static struct expr *parse_and(struct parser *p)
{
	struct expr *x = parse_one(p);

	while (x && take_word(p, "and")) {
		struct expr *both = new_expr(p, EXPR_AND, x);
		if (both)
			both->right = parse_one(p);
		x = both ? end_with(both, both->right) : NULL;
	}
	return x;
}

static struct expr *parse_or(struct parser *p)
{
	struct expr *x = parse_and(p);

	while (x && take_word(p, "or")) {
		struct expr *both = new_expr(p, EXPR_OR, x);
		if (both)
			both->right = parse_and(p);
		x = both ? end_with(both, both->right) : NULL;
	}
	return x;
}

/* pos is at "{{"; afterwards behind "}}". */
static struct expr *parse_expr(struct parser *p)
{
	size_t left = p->t->len - p->pos;

	p->begin = p->pos;
	p->end = p->pos + (left < TEMPLATE_EXPR_MAX ? left : TEMPLATE_EXPR_MAX);
	p->pos += 2;
	p->depth = 0;
	skip_space(p);
	if (at_close(p)) {
		fail(p, p->begin, p->pos + 2 - p->begin, "this expression is empty");
		return NULL;
	}
	struct expr *x = parse_or(p);
	if (!x)
		return NULL;
	skip_space(p);
	if (!at_close(p)) {
		fail_expected(p, "\"|\" or \"}}\"");
		return NULL;
	}
	p->pos += 2;
	x->span = (struct span){ p->begin, p->pos - p->begin };
	return x;
}

/* The next "{{" at or behind `from` that begins an expression, or len. */
static size_t next_open(const struct template *t, size_t from, struct sqllex *lex)
{
	for (;;) {
		enum sqllex_place a, b;
		const char *at = memmem(t->text + from, t->len - from, "{{", 2);
		if (!at)
			return t->len;
		size_t open = (size_t)(at - t->text);
		if (!lex)
			return open;
		sqllex_feed(lex, t->text + from, open - from);
		sqllex_places(lex, &a, &b);
		if (a != SQLLEX_COMMENT || b != SQLLEX_COMMENT)
			return open;
		sqllex_feed(lex, "{{", 2);
		from = open + 2;
	}
}

static struct part *add_part(struct template *t, struct part ***tail)
{
	struct part *part = arena_alloc(&t->arena, sizeof *part);

	if (!part)
		return NULL;
	**tail = part;
	*tail = &part->next;
	return part;
}

static int parse_all(struct parser *p, struct sqllex *lex)
{
	struct template *t = p->t;
	struct part **tail = &t->parts, *part;

	while (p->pos < t->len) {
		size_t open = next_open(t, p->pos, lex);
		p->begin = open;
		if (open > p->pos) {
			part = add_part(t, &tail);
			if (!part)
				return fail_nomem(p);
			part->text = (struct span){ p->pos, open - p->pos };
		}
		p->pos = open;
		if (open == t->len)
			break;
		part = add_part(t, &tail);
		if (!part)
			return fail_nomem(p);
		part->expr = parse_expr(p);
		if (!part->expr)
			return -1;
		if (lex)
			sqllex_feed(lex, "1", 1); /* any value, for what follows it */
		t->nexprs++;
	}
	return 0;
}

struct template *template_parse_as(
	const char *text, bool sql, size_t *ret_offset, size_t *ret_width, struct err *err)
{
	struct template *t = malloc(sizeof *t);
	struct parser p = { .t = t, .err = err };
	struct sqllex lex;
	int rc = -1;

	if (!t) {
		err_nomem(err);
	} else {
		*t = (struct template){ .len = strlen(text) };
		arena_init(&t->arena, TEMPLATE_MEMORY_MAX);
		t->text = arena_strndup(&t->arena, text, t->len);
		sqllex_init(&lex);
		rc = t->text ? parse_all(&p, sql ? &lex : NULL) : fail_nomem(&p);
	}
	if (rc == 0)
		return t;
	if (ret_offset)
		*ret_offset = p.fail_off;
	if (ret_width)
		*ret_width = p.fail_width;
	template_free(t);
	return NULL;
}

struct template *template_parse(
	const char *text, size_t *ret_offset, size_t *ret_width, struct err *err)
{
	return template_parse_as(text, false, ret_offset, ret_width, err);
}

void template_free(struct template *t)
{
	if (!t)
		return;
	arena_release(&t->arena);
	free(t);
}

bool template_is_literal(const char *text)
{
	return !strstr(text, "{{");
}
