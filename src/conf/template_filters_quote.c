#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/template_filters.h"

#define UNUSED_ARGS (void)e, (void)args, (void)nargs, (void)err

/* Appends one value in the other language. */
typedef int put_fn(const struct value *v, struct buf *out, struct err *err);

/* Build the text with `put`; of a list, of each item, with `between` in between. */
static int quote(struct eval *e, struct value *v, put_fn *put, const char *between, struct err *err)
{
	size_t n = v->type == VALUE_LIST ? json_array_size(v->json) : 1;
	struct value item = *v;
	struct buf out;
	int rc = 0;

	buf_init(&out, BUF_MAX_TEXT);
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (i > 0)
			buf_addstr(&out, between);
		if (v->type == VALUE_LIST)
			rc = template_value_from_json(e, json_array_get(v->json, i), &item, err);
		if (rc == 0)
			rc = put(&item, &out, err);
		if (rc < 0 && v->type == VALUE_LIST)
			err_context(err, "item %zu of the list", i + 1);
	}
	if (rc == 0)
		rc = buf_ok(&out, "the text", err);
	if (rc == 0)
		rc = template_value_copy(e, out.data, out.len, v, err);
	buf_release(&out);
	return rc;
}

/* The text between two quotes, with each of them inside replaced by `instead`. */
static int put_quoted(
	const struct value *v, char mark, const char *instead, struct buf *out, struct err *err)
{
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	int rc = template_value_text(v, &text, err);
	buf_addc(out, mark);
	for (size_t i = 0; rc == 0 && i < text.len; i++) {
		if (text.data[i] == mark)
			buf_addstr(out, instead);
		else
			buf_addc(out, text.data[i]);
	}
	buf_addc(out, mark);
	buf_release(&text);
	return rc;
}

/* POSIX, Shell Command Language, 2.2.2: in single quotes every byte stands for itself. Always
 * quoted: a bare 2 before > would be a file descriptor, a bare if a key word. */
static int put_sh(const struct value *v, struct buf *out, struct err *err)
{
	return put_quoted(v, '\'', "'\\''", out, err);
}

/* A literal that SQLite and PostgreSQL (standard_conforming_strings) read alike. */
static int put_sql(const struct value *v, struct buf *out, struct err *err)
{
	bool negative = (v->type == VALUE_INT && v->i < 0) || (v->type == VALUE_REAL && v->f < 0);

	switch (v->type) {
	case VALUE_NULL:
		return v->missing ? template_value_text(v, out, err) : buf_addstr(out, "NULL");
	case VALUE_BOOL:
		return buf_addstr(out, v->b ? "TRUE" : "FALSE");
	case VALUE_INT:
	case VALUE_REAL:
		break;
	default:
		return put_quoted(v, '\'', "''", out, err);
	}
	/* A minus behind another would begin a comment. */
	buf_addstr(out, negative ? "(" : "");
	int rc = template_value_text(v, out, err);
	buf_addstr(out, negative ? ")" : "");
	return rc;
}

static int put_ident(const struct value *v, struct buf *out, struct err *err)
{
	return put_quoted(v, '"', "\"\"", out, err);
}

TEMPLATE_FILTER_FN(sh)
{
	UNUSED_ARGS;
	return quote(e, v, put_sh, " ", err);
}

TEMPLATE_FILTER_FN(sql)
{
	UNUSED_ARGS;
	if (v->type == VALUE_LIST && json_array_size(v->json) == 0)
		return err_set(err, ERR_INVALID, "the list is empty, which SQL cannot write");
	if (quote(e, v, put_sql, ", ", err) < 0)
		return -1;
	v->mark = MARK_SQL;
	return 0;
}

TEMPLATE_FILTER_FN(ident)
{
	UNUSED_ARGS;
	if ((v->type == VALUE_STRING && v->len == 0) ||
		(v->type == VALUE_LIST && json_array_size(v->json) == 0))
		return err_set(err, ERR_INVALID, "an empty name");
	if (quote(e, v, put_ident, ", ", err) < 0)
		return -1;
	v->mark = MARK_IDENT;
	return 0;
}

static int put_raw(const struct value *v, struct buf *out, struct err *err)
{
	return template_value_text(v, out, err);
}

TEMPLATE_FILTER_FN(raw)
{
	UNUSED_ARGS;
	if (quote(e, v, put_raw, ", ", err) < 0)
		return -1;
	v->mark = MARK_RAW;
	return 0;
}

TEMPLATE_FILTER_FN(json)
{
	json_t *json = template_value_to_json(v, err);

	UNUSED_ARGS;
	if (!json)
		return -1;
	char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(json);
	int rc = text ? template_value_copy(e, text, strlen(text), v, err) : err_nomem(err);
	free(text);
	return rc;
}

/* RFC 3986, 2.3: all but the unreserved characters become %XX. */
static int put_url(const struct value *v, struct buf *out, struct err *err)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					 "0123456789-._~";
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	int rc = template_value_text(v, &text, err);
	for (size_t i = 0; rc == 0 && i < text.len; i++) {
		if (strchr(unreserved, text.data[i]))
			buf_addc(out, text.data[i]);
		else
			buf_addf(out, "%%%02X", (unsigned char)text.data[i]);
	}
	buf_release(&text);
	return rc;
}

TEMPLATE_FILTER_FN(urlencode)
{
	UNUSED_ARGS;
	return quote(e, v, put_url, ",", err);
}
