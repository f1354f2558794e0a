#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "conf/schema.h"
#include "conf/template_impl.h"

struct render {
	const struct template_context *ctx;
	const char *dir;
	struct err *err; /* never NULL */
};

static json_t *value(const struct render *r, const struct node *n, const struct field *f);

/* An error at a value, unless something deeper has placed it. Returns NULL. */
static json_t *at_node(const struct render *r, const struct node *n)
{
	if (!r->err->file[0] && n->source)
		err_where(r->err, n->source->path, n->line, n->col);
	return NULL;
}

static json_t *nomem(const struct render *r)
{
	err_nomem(r->err);
	return NULL;
}

static json_t *or_nomem(const struct render *r, json_t *json)
{
	return json ? json : nomem(r);
}

static json_t *string(const struct render *r, const char *text, size_t len)
{
	json_t *json = json_stringn(text, len);

	if (!json)
		err_set(r->err, ERR_INVALID, "the text is not valid UTF-8");
	return json;
}

/* A scalar as it is written, its type kept. */
static json_t *plain_scalar(const struct render *r, const struct node *n)
{
	switch (n->type) {
	case NODE_NULL:
		return json_null();
	case NODE_BOOL:
		return json_boolean(n->b);
	case NODE_INT:
		return or_nomem(r, json_integer(n->i));
	case NODE_FLOAT: {
		/* JSON has neither infinity nor NaN. */
		json_t *real = json_real(n->f);
		return real ? real : string(r, n->text, n->len);
	}
	default:
		return string(r, n->text, n->len);
	}
}

/* The text of a template. */
static int render_text(const struct render *r, const char *text, struct buf *out)
{
	buf_init(out, BUF_MAX_TEXT);
	return template_text(text, r->ctx, out, r->err);
}

/* A string whose type may change: one that is a single expression is that expression's value. */
static json_t *typed_text(const struct render *r, const char *text)
{
	struct template *t = template_parse(text, NULL, NULL, r->err);
	struct buf out;
	json_t *json;

	if (!t)
		return NULL;
	buf_init(&out, BUF_MAX_TEXT);
	json = template_single_value(t, r->ctx, r->err);
	if (!json && r->err->code == ERR_NONE && template_render(t, r->ctx, &out, r->err) == 0)
		json = string(r, out.data, out.len);
	buf_release(&out);
	template_free(t);
	return json;
}

static bool has_template(const struct node *n)
{
	return n->type == NODE_STRING && !template_is_literal(n->text);
}

static json_t *any(const struct render *r, const struct node *n, bool templates);

static json_t *any_list(const struct render *r, const struct node *n, bool templates)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < n->n; i++) {
		json_t *item = any(r, n->items[i], templates);
		if (!item || json_array_append_new(list, item) < 0) {
			json_decref(list);
			return item ? nomem(r) : NULL;
		}
	}
	return or_nomem(r, list);
}

/* Set a key; the value is taken. Returns -1 when value is NULL, too. */
static int set(const struct render *r, json_t *map, const char *key, json_t *json)
{
	if (!json)
		return -1;
	if (json_object_set_new(map, key, json) == 0)
		return 0;
	return err_set(r->err, ERR_INVALID, "\"%s\" cannot be a key: not valid UTF-8", key);
}

static json_t *any_map(const struct render *r, const struct node *n, bool templates)
{
	json_t *map = json_object();

	for (size_t i = 0; map && i < n->n; i++) {
		const char *key = n->keys[i]->text;
		if (set(r, map, key, any(r, n->items[i], templates)) < 0) {
			err_context(r->err, "%s", key);
			json_decref(map);
			return NULL;
		}
	}
	return or_nomem(r, map);
}

static json_t *any(const struct render *r, const struct node *n, bool templates)
{
	json_t *json;

	if (n->type == NODE_SEQ)
		json = any_list(r, n, templates);
	else if (n->type == NODE_MAP)
		json = any_map(r, n, templates);
	else if (templates && has_template(n))
		json = typed_text(r, n->text);
	else
		json = plain_scalar(r, n);
	return json ? json : at_node(r, n);
}

/* SQL with its values apart: {"text", "binds"}. `file`: where the text came from, or NULL. */
static json_t *sql(const struct render *r, const char *text, const char *file)
{
	struct buf out;
	size_t offset = 0;
	json_t *binds = json_array(), *json = NULL;
	int line, col, rc = binds ? 0 : err_nomem(r->err);
	struct template *t = NULL;

	buf_init(&out, BUF_MAX_TEXT);
	if (rc == 0)
		t = template_parse_as(text, true, &offset, NULL, r->err);
	if (t)
		rc = template_render_sql_at(t, r->ctx, &out, binds, &offset, r->err);
	if (!t || rc < 0) {
		template_place(text, offset, &line, &col);
		if (file)
			err_where(r->err, file, line, col);
	} else {
		json_t *str = string(r, out.data, out.len);
		json = str ? or_nomem(r, json_pack("{s:o, s:O}", "text", str, "binds", binds))
			   : NULL;
	}
	template_free(t);
	buf_release(&out);
	json_decref(binds);
	return json;
}

static json_t *sql_file(const struct render *r, const char *path)
{
	char *full = io_path_join(r->dir ? r->dir : ".", path);
	struct buf text;
	json_t *json = NULL;
	int rc = full ? 0 : err_nomem(r->err);

	buf_init(&text, BUF_MAX_TEXT);
	if (rc == 0)
		rc = io_read_file(full, &text, r->err);
	if (rc == 0 && strlen(text.data) != text.len)
		rc = err_set(r->err, ERR_INVALID, "%s holds a NUL byte", full);
	if (rc == 0)
		json = sql(r, text.data, full);
	if (json && set(r, json, "file", string(r, full, strlen(full))) < 0) {
		json_decref(json);
		json = NULL;
	}
	buf_release(&text);
	free(full);
	return json;
}

/* Text that is ready, by its row. */
static json_t *of_text(const struct render *r, const struct field *f, const char *text, size_t len)
{
	if (strlen(text) != len) {
		err_set(r->err, ERR_INVALID, "the text holds a NUL byte");
		return NULL;
	}
	return schema_value_of_text(f, text, r->err);
}

static json_t *scalar_text(const struct render *r, const struct field *f, const char *text)
{
	bool templates = f->flags & FIELD_TEMPLATE;
	struct buf out;
	json_t *json = NULL;

	if (f->type == FIELD_SQL)
		return sql(r, text, NULL);
	if (!templates || template_is_literal(text))
		return f->type == FIELD_SQL_FILE ? sql_file(r, text)
						 : schema_value_of_text(f, text, r->err);
	if (render_text(r, text, &out) == 0)
		json = f->type == FIELD_SQL_FILE ? sql_file(r, out.data)
						 : of_text(r, f, out.data, out.len);
	buf_release(&out);
	return json;
}

/* An item of a list that an expression made. */
static json_t *of_item(const struct render *r, const struct field *f, json_t *item)
{
	if (f->type == FIELD_VALUE || f->type == FIELD_ANY)
		return json_incref(item);
	if (json_is_string(item))
		return of_text(r, f, json_string_value(item), json_string_length(item));
	char *text = json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
	json_t *json = text ? of_text(r, f, text, strlen(text)) : nomem(r);
	free(text);
	return json;
}

static json_t *list_of_items(const struct render *r, const struct field *f, json_t *items)
{
	json_t *list = json_array(), *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		json_t *made = list ? of_item(r, f, item) : NULL;
		if (made && json_array_append_new(list, made) == 0)
			continue;
		if (list && !made)
			err_context(r->err, "item %zu", i + 1);
		json_decref(list);
		return made || !list ? nomem(r) : NULL;
	}
	return or_nomem(r, list);
}

static int check_length(const struct render *r, const struct field *f, size_t n)
{
	if (f->has_min && (double)n < f->min)
		return err_set(r->err, ERR_INVALID, "%zu items, at least %g are needed", n, f->min);
	if (f->has_max && (double)n > f->max)
		return err_set(r->err, ERR_INVALID, "%zu items, at most %g are allowed", n, f->max);
	return 0;
}

/* A list written as its only item, or as one expression that is a list. */
static json_t *list_of_one(const struct render *r, const struct node *n, const struct field *f)
{
	json_t *whole = NULL, *list;

	if (((f->flags | f->item->flags) & FIELD_TEMPLATE) && has_template(n)) {
		whole = typed_text(r, n->text);
		if (!whole)
			return NULL;
	}
	if (json_is_array(whole)) {
		list = check_length(r, f, json_array_size(whole)) < 0
			       ? NULL
			       : list_of_items(r, f->item, whole);
	} else {
		json_t *item = value(r, n, f->item);
		list = item ? or_nomem(r, json_pack("[o]", item)) : NULL;
	}
	json_decref(whole);
	return list;
}

static json_t *list(const struct render *r, const struct node *n, const struct field *f)
{
	json_t *made;

	if (!f->item)
		return any(r, n, f->flags & FIELD_TEMPLATE);
	if (n->type != NODE_SEQ)
		return list_of_one(r, n, f);
	made = json_array();
	for (size_t i = 0; made && i < n->n; i++) {
		json_t *item = value(r, n->items[i], f->item);
		if (!item || json_array_append_new(made, item) < 0) {
			json_decref(made);
			if (!item)
				err_context(r->err, "item %zu", i + 1);
			return item ? nomem(r) : NULL;
		}
	}
	return or_nomem(r, made);
}

static json_t *map(const struct render *r, const struct node *n, const struct field *f)
{
	json_t *made;

	if (!f->item)
		return any(r, n, f->flags & FIELD_TEMPLATE);
	made = json_object();
	for (size_t i = 0; made && i < n->n; i++) {
		if (set(r, made, n->keys[i]->text, value(r, n->items[i], f->item)) < 0) {
			err_context(r->err, "%s", n->keys[i]->text);
			json_decref(made);
			return NULL;
		}
	}
	return or_nomem(r, made);
}

/* A key's value, or its default; *ret is NULL when there is neither. */
static int key(const struct render *r, const struct node *n, const struct field *f, bool defaults,
	json_t **ret)
{
	const struct node *given = node_get(n, f->key);
	bool absent = !given || (given->type == NODE_NULL && f->type != FIELD_VALUE &&
					f->type != FIELD_ANY && f->type != FIELD_OBJECT);

	*ret = NULL;
	if (!absent)
		*ret = value(r, given, f);
	else if (f->def && defaults && f->type == FIELD_LIST)
		*ret = schema_value_of_text(f, f->def, r->err);
	else if (f->def && defaults)
		*ret = scalar_text(r, f, f->def);
	else
		return 0;
	return *ret ? 0 : err_context(r->err, "%s", f->key);
}

/* `defaults`: fill in what is absent. `n` may be NULL or null. */
static json_t *object(
	const struct render *r, const struct node *n, const struct field *fields, bool defaults)
{
	json_t *made = json_object(), *json;

	for (const struct field *f = fields; made && f && f->key; f++) {
		if (key(r, n, f, defaults, &json) == 0 &&
			(!json || set(r, made, f->key, json) == 0))
			continue;
		json_decref(made);
		return NULL;
	}
	return or_nomem(r, made);
}

static json_t *scalar(const struct render *r, const struct node *n, const struct field *f)
{
	bool templates = f->flags & FIELD_TEMPLATE;

	if (f->type == FIELD_VALUE || f->type == FIELD_ANY || !node_is_scalar(n))
		return any(r, n, templates);
	return scalar_text(r, f, n->text);
}

static json_t *value(const struct render *r, const struct node *n, const struct field *f)
{
	json_t *json;

	if (f->flags & FIELD_SECRET || (f->flags & FIELD_MAY_REFER && n->type == NODE_MAP))
		json = any(r, n, false);
	else if (f->type == FIELD_LIST)
		json = list(r, n, f);
	else if (f->type == FIELD_MAP && n->type == NODE_MAP)
		json = map(r, n, f);
	else if (f->type == FIELD_OBJECT && (n->type == NODE_MAP || n->type == NODE_NULL))
		json = object(r, n, f->fields, !(f->flags & FIELD_ONE_KEY));
	else
		json = scalar(r, n, f);
	return json ? json : at_node(r, n);
}

/* Errors need a home even when the caller wants none: the code tells failures apart. */
json_t *render_with(const struct node *with, const struct field *fields,
	const struct template_context *ctx, const char *dir, struct err *err)
{
	struct err own;
	struct render r = { ctx, dir, err ? err : &own };

	err_clear(r.err);
	return object(&r, with, fields, true);
}

json_t *render_any(const struct node *n, const struct template_context *ctx, struct err *err)
{
	struct err own;
	struct render r = { ctx, NULL, err ? err : &own };

	err_clear(r.err);
	return any(&r, n, true);
}
