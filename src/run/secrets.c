#include "run/secrets.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/node.h"
#include "conf/config.h"
#include "core/model.h"
#include "exec/mask.h"
#include "run/job.h"
#include "run/result.h"

enum { MASKED_MAX = 16 << 20 };

/* ---- which values --------------------------------------------------------------------- */

/* `ret_missing`: a secret of the task itself cannot be had. */
static json_t *values_of(const struct job_context *c, const struct task *t, bool *ret_missing)
{
	const struct node *env = t->env;
	json_t *values = json_array();

	for (size_t i = 0; env && env->type == NODE_MAP && i < env->n; i++) {
		if (env->items[i]->type != NODE_MAP)
			continue;
		char *value = config_secret(env->items[i], c->dag->dir, NULL);
		if (value)
			json_array_append_new(values, json_string(value));
		else
			*ret_missing = true;
		free(value);
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
