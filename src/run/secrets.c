#include "run/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/node.h"
#include "conf/config.h"
#include "core/model.h"
#include "exec/mask.h"
#include "operators/operators.h"
#include "run/job.h"
#include "run/result.h"

enum { MASKED_MAX = 16 << 20 };

/* May the value be a reference to a secret? */
static bool is_reference(const struct field *f)
{
	return f->flags & (FIELD_SECRET | FIELD_MAY_REFER);
}

/* ---- which values --------------------------------------------------------------------- */

/* One that its own file or variable has; `ret_missing` otherwise. */
static void add_value(const struct node *n, const char *dir, json_t *values, bool *ret_missing)
{
	char *value = config_secret(n, dir, NULL);

	if (value)
		json_array_append_new(values, json_string(value));
	else
		*ret_missing = true;
	free(value);
}

struct with_secrets {
	const char *dir;
	json_t *values;
	bool *missing;
};

static void add_with_value(
	const struct with_secrets *s, const struct field *f, const struct node *n)
{
	if (n->type != NODE_MAP)
		return;
	if (is_reference(f))
		add_value(n, s->dir, s->values, s->missing);
	for (size_t i = 0; f->type == FIELD_MAP && f->item && i < n->n; i++)
		add_with_value(s, f->item, n->items[i]);
}

/* `ret_missing`: a secret of the task itself cannot be had. */
static json_t *values_of(const struct job_context *c, const struct task *t, bool *ret_missing)
{
	const struct node *env = t->env;
	json_t *values = json_array();

	for (size_t i = 0; env && env->type == NODE_MAP && i < env->n; i++) {
		if (env->items[i]->type == NODE_MAP)
			add_value(env->items[i], c->dag->dir, values, ret_missing);
	}
	const struct operator* op = t->op ? operator_find(t->kind, t->op) : NULL;
	const struct with_secrets own = { c->dag->dir, values, ret_missing };
	for (const struct field *f = op ? op->params : NULL; f && f->key; f++) {
		const struct node *value = node_get(t->with, f->key);
		if (value)
			add_with_value(&own, f, value);
	}
	const char *const *name =
		t->kind != TASK_RUN && c->config ? config_connections(c->config) : NULL;
	for (; name && *name; name++)
		json_decref(config_connection(c->config, *name, values, NULL));
	return values;
}

/* NULL without err: there is nothing to mask. */
static struct mask *mask_of(
	const struct job_context *c, const struct task *t, bool *ret_missing, struct err *err)
{
	json_t *values = values_of(c, t, ret_missing);
	size_t n = json_array_size(values);
	const char **list = calloc(n + 1, sizeof *list);
	struct mask *m = NULL;

	for (size_t i = 0; list && i < n; i++)
		list[i] = json_string_value(json_array_get(values, i));
	if (n > 0 && list)
		m = mask_new(list);
	if (!values || !list || (n > 0 && !m))
		err_nomem(err);
	free(list);
	json_decref(values);
	return m;
}

/* ---- their references ----------------------------------------------------------------- */

/* The value of one, also a new member of `secrets`; a new reference. */
static json_t *value_of(const json_t *ref, const char *dir, json_t *secrets, struct err *err)
{
	char *text = config_secret_of(json_string_value(json_object_get(ref, "env")),
		json_string_value(json_object_get(ref, "file")), dir, err);
	json_t *value = text ? json_string(text) : NULL;

	if (text && !value)
		err_set(err, ERR_INVALID, "the secret is not valid UTF-8");
	if (value)
		json_array_append(secrets, value);
	free(text);
	return value;
}

static int resolve(
	json_t *object, const char *key, const char *dir, json_t *secrets, struct err *err)
{
	const json_t *ref = json_object_get(object, key);
	json_t *value = json_is_object(ref) ? value_of(ref, dir, secrets, err) : NULL;

	if (!json_is_object(ref))
		return 0;
	if (!value)
		return err_context(err, "%s", key);
	return json_object_set_new(object, key, value) < 0 ? err_nomem(err) : 0;
}

int secrets_resolve(
	json_t *with, const struct field *fields, const char *dir, json_t *secrets, struct err *err)
{
	json_t *map, *item;
	const char *key;
	void *next;

	for (const struct field *f = fields; f && f->key; f++) {
		if (is_reference(f) && resolve(with, f->key, dir, secrets, err) < 0)
			return -1;
		if (f->type != FIELD_MAP || !f->item || !is_reference(f->item))
			continue;
		map = json_object_get(with, f->key);
		json_object_foreach_safe(map, next, key,
			item) if (resolve(map, key, dir, secrets, err) < 0) return -1;
	}
	return 0;
}

/* ---- masking -------------------------------------------------------------------------- */

/* Owned; NULL: out of memory. */
static char *masked_text(struct mask *m, const char *text, size_t len)
{
	struct buf out;
	char *ret = NULL;

	buf_init(&out, MASKED_MAX);
	if (mask_feed(m, text, len, &out) == 0 && mask_end(m, &out) == 0)
		ret = buf_take(&out);
	buf_release(&out);
	return ret;
}

static json_t *masked(struct mask *m, json_t *value);

static json_t *masked_object(struct mask *m, json_t *object)
{
	json_t *ret = json_object(), *item;
	const char *key;

	json_object_foreach(object, key, item)
	{
		char *name = masked_text(m, key, strlen(key));
		if (!name || json_object_set_new(ret, name, masked(m, item)) < 0) {
			free(name);
			json_decref(ret);
			return NULL;
		}
		free(name);
	}
	return ret;
}

static json_t *masked_array(struct mask *m, json_t *array)
{
	json_t *ret = json_array(), *item;
	size_t i;

	json_array_foreach(array, i, item)
	{
		if (json_array_append_new(ret, masked(m, item)) < 0) {
			json_decref(ret);
			return NULL;
		}
	}
	return ret;
}

/* A value of digits alone was taken for a number. */
static json_t *masked_number(struct mask *m, json_t *number)
{
	char *plain = json_dumps(number, JSON_ENCODE_ANY);
	char *text = plain ? masked_text(m, plain, strlen(plain)) : NULL;
	json_t *ret = NULL;

	if (text)
		ret = strcmp(text, plain) == 0 ? json_incref(number) : json_string(text);
	free(plain);
	free(text);
	return ret;
}

/* A new value; NULL: out of memory. jansson bounds the depth of what it parsed. */
static json_t *masked(struct mask *m, json_t *value)
{
	if (json_is_object(value))
		return masked_object(m, value);
	if (json_is_array(value))
		return masked_array(m, value);
	if (json_is_number(value))
		return masked_number(m, value);
	if (!json_is_string(value))
		return json_incref(value);
	char *text = masked_text(m, json_string_value(value), json_string_length(value));
	json_t *ret = text ? json_string(text) : NULL;
	free(text);
	return ret;
}

static int replace(struct mask *m, json_t **slot)
{
	json_t *clean = *slot ? masked(m, *slot) : NULL;

	if (*slot && !clean)
		return -1;
	json_decref(*slot);
	*slot = clean;
	return 0;
}

/* An attempt of a former process, which had a secret that this one has not: what may hold it cannot
 * be masked. A further try would fail for want of the secret, too. */
static int withhold(const struct task *t, struct result *r)
{
	bool any = json_object_size(r->outputs) || json_array_size(r->checks);
	bool speaks = r->error && (t->kind != TASK_RUN || r->bad_output);

	if (!any && !speaks)
		return 0;
	char *error = strdup("what it reported may hold a secret of its env: that cannot be had "
			     "now, and is not kept; see its log");
	if (!error)
		return -1;
	free(r->error);
	r->error = error;
	r->bad_output = r->bad_output || any;
	r->permanent = r->permanent || any;
	json_object_clear(r->outputs);
	json_decref(r->checks);
	r->checks = NULL;
	return 0;
}

int secrets_mask_result(
	const struct job_context *c, const struct task *t, struct result *r, struct err *err)
{
	struct err none = { 0 };
	bool missing = false;
	struct mask *m = mask_of(c, t, &missing, &none);
	int rc = missing ? withhold(t, r) : 0;

	if (!m)
		return none.code == ERR_NONE && rc == 0 ? 0 : err_nomem(err);
	/* The line it quotes may end within a value. */
	char *quote = r->bad_output && r->error ? strstr(r->error, ": \"") : NULL;
	if (quote)
		*quote = '\0';
	char *error = r->error ? masked_text(m, r->error, strlen(r->error)) : NULL;
	if (r->error && !error)
		rc = -1;
	free(r->error);
	r->error = error;
	if (replace(m, &r->outputs) < 0 || replace(m, &r->checks) < 0)
		rc = -1;
	mask_free(m);
	return rc < 0 ? err_nomem(err) : 0;
}
