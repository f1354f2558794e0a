#include "http/body.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/near.h"
#include "base/node.h"
#include "conf/diag.h"
#include "conf/schema.h"

enum {
	ARENA_MAX = 32 << 20, /* for the nodes of one body */
	KEYS_MAX = 1000,      /* of one object: suggestions for unknown ones cost time */
	TOLD_MAX = 5,         /* errors that a message lists */
	MESSAGE_MAX = 1000
};

static const struct node *node_of(struct arena *a, json_t *j, struct err *err);
static json_t *typed(const struct field *f, json_t *j, struct err *err);
static json_t *typed_object(const struct field *fields, json_t *j, struct err *err);

static void fill_text(struct node *n, const char *text, size_t len)
{
	n->text = text;
	n->len = len;
}

static int fill_scalar(struct arena *a, struct node *n, json_t *j)
{
	char text[64];

	switch (json_typeof(j)) {
	case JSON_STRING:
		n->type = NODE_STRING;
		n->quoted = true;
		fill_text(n, json_string_value(j), json_string_length(j));
		return 0;
	case JSON_INTEGER:
		n->type = NODE_INT;
		n->i = json_integer_value(j);
		n->f = (double)n->i;
		snprintf(text, sizeof text, "%" PRId64, n->i);
		break;
	case JSON_REAL:
		n->type = NODE_FLOAT;
		n->f = json_real_value(j);
		snprintf(text, sizeof text, "%.17g", n->f);
		break;
	case JSON_NULL:
		n->type = NODE_NULL;
		snprintf(text, sizeof text, "null");
		break;
	default:
		n->type = NODE_BOOL;
		n->b = json_is_true(j);
		snprintf(text, sizeof text, "%s", n->b ? "true" : "false");
	}
	fill_text(n, arena_strdup(a, text), strlen(text));
	return n->text ? 0 : -1;
}

static int fill_seq(struct arena *a, struct node *n, json_t *j, struct err *err)
{
	n->type = NODE_SEQ;
	n->n = json_array_size(j);
	n->items = arena_array(a, n->n, sizeof *n->items);
	for (size_t i = 0; n->items && i < n->n; i++)
		if (!(n->items[i] = node_of(a, json_array_get(j, i), err)))
			return -1;
	return n->items || n->n == 0 ? 0 : -1;
}

static int fill_map(struct arena *a, struct node *n, json_t *j, struct err *err)
{
	const char *key;
	json_t *value;

	if (json_object_size(j) > KEYS_MAX)
		return err_set(
			err, ERR_INVALID, "an object of the body has more than %d keys", KEYS_MAX);
	n->type = NODE_MAP;
	n->items = arena_array(a, json_object_size(j), sizeof *n->items);
	n->keys = arena_array(a, json_object_size(j), sizeof *n->keys);
	json_object_foreach(j, key, value)
	{
		struct node *k = arena_alloc(a, sizeof *k);
		if (!n->items || !n->keys || !k)
			return -1;
		k->type = NODE_STRING;
		k->quoted = true;
		fill_text(k, key, strlen(key));
		n->keys[n->n] = k;
		if (!(n->items[n->n] = node_of(a, value, err)))
			return -1;
		n->n++;
	}
	return 0;
}

/* The JSON as the tree that schema_check reads; its texts are borrowed. NULL: err is set, or the
 * arena is exhausted. */
static const struct node *node_of(struct arena *a, json_t *j, struct err *err)
{
	struct node *n = arena_alloc(a, sizeof *n);
	int r;

	if (!n)
		return NULL;
	if (json_is_object(j))
		r = fill_map(a, n, j, err);
	else if (json_is_array(j))
		r = fill_seq(a, n, j, err);
	else
		r = fill_scalar(a, n, j);
	return r < 0 ? NULL : n;
}

static int tell(const struct diags *d, struct err *err)
{
	struct buf b;
	size_t told = 0;

	buf_init(&b, MESSAGE_MAX);
	for (size_t i = 0; i < d->n; i++) {
		const struct diag *one = &d->list[i];
		if (one->level != DIAG_ERROR || told == TOLD_MAX)
			continue;
		buf_addf(&b, "%s%s", told++ ? "; " : "", one->message);
		if (one->hint)
			buf_addf(&b, " (%s)", one->hint);
	}
	if (d->nerrors > told)
		buf_addf(&b, "; and %zu more", d->nerrors - told);
	err_set(err, ERR_INVALID, "%s", b.len ? b.data : "the body does not fit");
	buf_release(&b);
	return -1;
}

static int check(const struct field *fields, json_t *j, struct err *err)
{
	struct diags diags;
	struct arena arena;
	struct err inner = { 0 };
	int r = -1;

	diags_init(&diags);
	arena_init(&arena, ARENA_MAX);
	const struct node *n = node_of(&arena, j, &inner);
	if (!n && inner.code == ERR_NONE)
		err_set(&inner, ERR_INVALID, "the body is too large to be checked");
	if (!n)
		err_set(err, inner.code, "%s", inner.msg);
	else if (schema_check(n, fields, "the body", NULL, &diags) > 0)
		tell(&diags, err);
	else
		r = 0;
	arena_release(&arena);
	diags_release(&diags);
	return r;
}

static json_t *typed_list(const struct field *f, json_t *j, struct err *err)
{
	json_t *out = json_array();
	size_t n = json_is_array(j) ? json_array_size(j) : 1;

	for (size_t i = 0; out && i < n; i++) {
		json_t *v = typed(f->item, json_is_array(j) ? json_array_get(j, i) : j, err);
		if (!v || json_array_append_new(out, v) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static json_t *typed_map(const struct field *f, json_t *j, struct err *err)
{
	json_t *out = json_object(), *value;
	const char *key;

	json_object_foreach(j, key, value)
	{
		json_t *v = typed(f->item, value, err);
		if (!v || json_object_set_new(out, key, v) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* A scalar that was checked, as its row's type. */
static json_t *typed_scalar(const struct field *f, json_t *j, struct err *err)
{
	struct node n = { 0 };
	struct arena arena;
	json_t *out = NULL;

	arena_init(&arena, 4096);
	if (fill_scalar(&arena, &n, j) == 0)
		out = schema_value_of_text(f, n.text, err);
	arena_release(&arena);
	return out;
}

/* NULL: err is set, or there was no memory. */
static json_t *typed(const struct field *f, json_t *j, struct err *err)
{
	bool as_is = !f || f->type == FIELD_ANY || f->type == FIELD_VALUE ||
		     ((f->flags & FIELD_SECRET) && json_is_object(j));

	if (as_is)
		return json_incref(j);
	switch (f->type) {
	case FIELD_LIST:
		return typed_list(f, j, err);
	case FIELD_MAP:
		return typed_map(f, j, err);
	case FIELD_OBJECT:
		return typed_object(f->fields, j, err);
	default:
		return typed_scalar(f, j, err);
	}
}

static json_t *typed_object(const struct field *fields, json_t *j, struct err *err)
{
	json_t *out = json_object();

	for (const struct field *f = fields; out && f && f->key; f++) {
		json_t *given = json_object_get(j, f->key);
		if (!given && !f->def)
			continue;
		json_t *v = given ? typed(f, given, err) : schema_value_of_text(f, f->def, err);
		if (!v || json_object_set_new(out, f->key, v) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* As typed_object, and err is set whenever it gives NULL. */
static json_t *finish(const struct field *fields, json_t *j, struct err *err)
{
	struct err inner = { 0 };
	json_t *out = typed_object(fields, j, &inner);

	if (!out && inner.code == ERR_NONE)
		err_nomem(&inner);
	if (!out)
		err_set(err, inner.code, "%s", inner.msg);
	return out;
}

static bool is_blank(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr(" \t\r\n", text[i]) || !text[i])
			return false;
	return true;
}

static json_t *parse(const char *text, size_t len, struct err *err)
{
	json_error_t at;
	json_t *j;

	if (is_blank(text, len))
		j = json_object();
	else
		j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
	if (json_is_object(j))
		return j;
	if (j)
		err_set(err, ERR_USAGE, "the body is not a JSON object");
	else
		err_set(err, ERR_USAGE, "the body is not JSON: line %d, column %d: %s", at.line,
			at.column, at.text);
	json_decref(j);
	return NULL;
}

json_t *http_body_read(const struct field *fields, const char *text, size_t len, struct err *err)
{
	json_t *out = NULL, *j = parse(text, len, err);

	if (!j)
		return NULL;
	if (!fields && json_object_size(j) > 0)
		err_set(err, ERR_INVALID, "this request takes no body");
	else if (check(fields, j, err) == 0)
		out = finish(fields, j, err);
	json_decref(j);
	return out;
}

static int unknown(const struct field *fields, const char *key, struct err *err)
{
	const char *known[64];
	size_t n = 0;

	for (const struct field *f = fields; f && f->key && n < 64; f++)
		known[n++] = f->key;
	const char *near = near_find(key, known, n);
	return err_set(err, ERR_INVALID, "query: unknown key \"%.200s\"%s%s%s", key,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* Texts that stand alone are converted as they are: 5 needs no quotes in a query. */
json_t *http_body_query(const struct field *fields, json_t *raw, struct err *err)
{
	json_t *out = json_object(), *value;
	struct err inner = { 0 };
	const char *key;

	json_object_foreach(raw, key, value)
	{
		if (!schema_find(fields, key)) {
			unknown(fields, key, &inner);
			goto fail;
		}
	}
	for (const struct field *f = fields; f && f->key; f++) {
		const char *text = json_string_value(json_object_get(raw, f->key));
		if (!text && (f->flags & FIELD_REQUIRED)) {
			err_set(&inner, ERR_INVALID, "query: \"%s\" is missing", f->key);
			goto fail;
		}
		if (!text && !f->def)
			continue;
		json_t *v = schema_value_of_text(f, text ? text : f->def, &inner);
		if (!v)
			err_context(&inner, "query: %s", f->key);
		if (!v || json_object_set_new(out, f->key, v) < 0)
			goto fail;
	}
	if (out)
		return out;
fail:
	if (inner.code == ERR_NONE)
		err_nomem(&inner);
	err_set(err, inner.code, "%s", inner.msg);
	json_decref(out);
	return NULL;
}
