#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/template_impl.h"
#include "conf/template_sqllex.h"

/* One statement text being made. */
struct sql {
	const struct template *t;
	struct sqllex lex;
	struct buf *out; /* NULL: only checked */
	json_t *binds;
	bool bound; /* a value was */
};

static void emit(struct sql *s, const char *text, size_t len)
{
	sqllex_feed(&s->lex, text, len);
	if (s->out)
		buf_add(s->out, text, len);
}

/* The place of the next expression, where both dialects agree on one that takes values. */
static int find_place(
	const struct sql *s, enum value_mark mark, enum sqllex_place *ret, struct err *err)
{
	enum sqllex_place sqlite, postgres;

	sqllex_places(&s->lex, &sqlite, &postgres);
	*ret = sqlite;
	if (mark == MARK_RAW)
		return 0;
	if (sqlite != postgres)
		return err_set(err, ERR_INVALID,
			"SQLite reads this place as %s, PostgreSQL as %s, so "
			"no value can be put there safely; write what is before it in a way both "
			"read alike",
			sqllex_place_name(sqlite), sqllex_place_name(postgres));
	if (sqlite != SQLLEX_PLAIN && sqlite != SQLLEX_STRING && sqlite != SQLLEX_IDENT)
		return err_set(err, ERR_INVALID,
			"this is %s, where no value can be put safely; "
			"write a '...' literal, or the expression alone",
			sqllex_place_name(sqlite));
	if (sqlite != SQLLEX_PLAIN && (mark == MARK_SQL || mark == MARK_IDENT))
		return err_set(err, ERR_INVALID,
			"this is %s, and the filter %s adds quotes of its "
			"own; drop the quotes or the filter",
			sqllex_place_name(sqlite), mark == MARK_SQL ? "sql" : "ident");
	return 0;
}

/* Bytes that would run together with a parameter, a literal or an identifier. */
static bool sticks(char c, enum value_mark mark)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (c & 0x80) || c == '$' || c == '\'' || c == '"' || c == '`' ||
	       c == '?' || (c == '.' && mark != MARK_IDENT);
}

static int check_alone(
	const struct sql *s, const struct part *p, enum value_mark mark, struct err *err)
{
	const struct part *next = p->next;
	const struct sqllex *lex = &s->lex;
	bool before = sticks(lex->last, mark) || lex->sqlite.sigil || lex->postgres.u_amp ||
		      lex->postgres.after_escaped;
	bool behind = next && (next->expr || sticks(s->t->text[next->text.off], mark));

	if (!before && !behind)
		return 0;
	return err_set(err, ERR_INVALID,
		"the text right %s it belongs to the same word, and a value "
		"cannot be part of one; use | ident on a whole name, '...{{ }}...' for text, "
		"or | raw",
		before ? "before" : "behind");
}

static int bind_json(struct sql *s, json_t *json, struct err *err)
{
	char number[32];
	bool variable = s->lex.sqlite.variable;

	if (json_is_boolean(json)) {
		bool yes = json_is_true(json);
		json_decref(json);
		json = json_integer(yes);
	}
	if (!json || json_array_append_new(s->binds, json) < 0)
		return err_nomem(err);
	int len = snprintf(number, sizeof number, "?%zu", json_array_size(s->binds));
	emit(s, number, (size_t)len);
	s->lex.sqlite.variable = variable;
	s->bound = true;
	return 0;
}

static int bind_list(struct sql *s, json_t *list, struct err *err)
{
	size_t i;
	json_t *item;

	if (json_array_size(list) == 0)
		return err_set(err, ERR_INVALID, "the list is empty, which SQL cannot write");
	json_array_foreach(list, i, item)
	{
		if (json_is_array(item) || json_is_object(item))
			return err_set(err, ERR_INVALID,
				"item %zu of the list is no single value; "
				"use | json",
				i + 1);
		if (i > 0)
			emit(s, ", ", 2);
		if (bind_json(s, json_incref(item), err) < 0)
			return -1;
	}
	return 0;
}

static int bind(struct sql *s, const struct value *v, struct err *err)
{
	if (v->type == VALUE_LIST)
		return bind_list(s, v->json, err);
	if (v->type == VALUE_OBJECT)
		return err_set(err, ERR_INVALID,
			"it is a mapping, which SQL has no values for; "
			"use | json");
	json_t *json = template_value_to_json(v, err);
	return json ? bind_json(s, json, err) : -1;
}

/* The text of a value, with each `quote` in it doubled (0: none). */
static int insert(struct sql *s, const struct value *v, char quote, struct err *err)
{
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	int rc = template_value_text(v, &text, err);
	for (const char *at = text.data, *end = at + text.len; rc == 0 && at < end;) {
		const char *hit = quote ? memchr(at, quote, (size_t)(end - at)) : NULL;
		size_t len = (size_t)((hit ? hit + 1 : end) - at);
		emit(s, at, len);
		if (hit)
			emit(s, &quote, 1);
		at += len;
	}
	buf_release(&text);
	return rc;
}

static bool in_comment(const struct sql *s)
{
	enum sqllex_place sqlite, postgres;

	sqllex_places(&s->lex, &sqlite, &postgres);
	return sqlite == SQLLEX_COMMENT && postgres == SQLLEX_COMMENT;
}

static void emit_span(struct sql *s, struct span span)
{
	emit(s, s->t->text + span.off, span.len);
}

static int put_expr(struct sql *s, struct eval *e, const struct part *p, struct err *err)
{
	enum sqllex_place place;
	struct value v;

	if (in_comment(s)) {
		emit_span(s, p->expr->span);
		return 0;
	}
	if (template_eval_expr(e, s->t, p->expr, &v, err) < 0)
		return -1;
	int rc = find_place(s, v.mark, &place, err);
	if (rc == 0 && v.mark == MARK_RAW)
		rc = insert(s, &v, 0, err);
	else if (rc == 0 && place == SQLLEX_STRING)
		rc = insert(s, &v, '\'', err);
	else if (rc == 0 && place == SQLLEX_IDENT)
		rc = insert(s, &v, '"', err);
	else if (rc == 0 && (rc = check_alone(s, p, v.mark, err)) == 0)
		rc = v.mark == MARK_NONE ? bind(s, &v, err) : insert(s, &v, 0, err);
	return rc < 0 ? template_blame(s->t, p->expr, err) : 0;
}

static int check_parameters(const struct sql *s, struct err *err)
{
	if (!s->bound || !s->lex.sqlite.variable)
		return 0;
	return err_set(err, ERR_INVALID,
		"the SQL has a parameter of its own (?, :name, @name or $name), "
		"which would take the place of a template's value; write a template instead");
}

int template_render_sql_at(const struct template *t, const struct template_context *ctx,
	struct buf *out, json_t *binds, size_t *ret_offset, struct err *err)
{
	struct sql s = { .t = t, .out = out, .binds = binds };
	struct eval e;
	int rc = 0;

	sqllex_init(&s.lex);
	template_eval_init(&e, ctx);
	*ret_offset = 0;
	for (const struct part *p = t->parts; p && rc == 0; p = p->next) {
		if (!p->expr) {
			/* With nothing to insert there is no need to know places. */
			if (t->nexprs)
				emit_span(&s, p->text);
			else
				buf_add(out, t->text + p->text.off, p->text.len);
			continue;
		}
		*ret_offset = p->expr->span.off;
		rc = put_expr(&s, &e, p, err);
	}
	template_eval_release(&e);
	if (rc == 0)
		rc = check_parameters(&s, err);
	return rc == 0 ? buf_ok(out, "the rendered SQL", err) : rc;
}

int template_render_sql(const struct template *t, const struct template_context *ctx,
	struct buf *out, json_t *binds, struct err *err)
{
	size_t offset;

	return template_render_sql_at(t, ctx, out, binds, &offset, err);
}

/* What the expression's last filter will say. */
static enum value_mark mark_of(const struct template *t, const struct expr *x)
{
	const struct call *last = x->calls;

	while (last && last->next)
		last = last->next;
	if (!last)
		return MARK_NONE;
	const char *name = t->text + last->name.off;
	size_t len = last->name.len;
	if (len == 3 && memcmp(name, "sql", 3) == 0)
		return MARK_SQL;
	if (len == 3 && memcmp(name, "raw", 3) == 0)
		return MARK_RAW;
	return len == 5 && memcmp(name, "ident", 5) == 0 ? MARK_IDENT : MARK_NONE;
}

void template_sql_check(const struct template *t, template_report_fn *report, void *arg)
{
	struct sql s = { .t = t };
	enum sqllex_place place;
	struct err err;

	sqllex_init(&s.lex);
	for (const struct part *p = t->parts; p; p = p->next) {
		if (!p->expr || in_comment(&s)) {
			emit_span(&s, p->expr ? p->expr->span : p->text);
			continue;
		}
		enum value_mark mark = mark_of(t, p->expr);
		if (mark == MARK_RAW)
			return; /* what follows depends on the value */
		int rc = find_place(&s, mark, &place, &err);
		if (rc == 0 && place == SQLLEX_PLAIN)
			rc = check_alone(&s, p, mark, &err);
		if (rc < 0)
			report(arg, p->expr, &err);
		/* Any value: a digit is one in a literal as well as alone. */
		emit(&s, "1", 1);
	}
}
