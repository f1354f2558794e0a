/* Params: their definitions, and the values of a run. */
#include <stdlib.h>
#include <string.h>

#include "base/civil.h"
#include "base/err.h"
#include "base/near.h"
#include "conf/dagfile_impl.h"
#include "conf/schema_value.h"

static json_t *value_as(const char *word, const struct param *p, const char *text, struct err *err)
{
	static const enum field_type types[PARAM_TYPE_MAX] = {
		[PARAM_STRING] = FIELD_STRING,
		[PARAM_INT] = FIELD_INT,
		[PARAM_FLOAT] = FIELD_FLOAT,
		[PARAM_BOOL] = FIELD_BOOL,
		[PARAM_DATE] = FIELD_DATE,
	};
	const struct field row = { .key = p->name,
		.type = types[p->type],
		.has_min = p->has_min,
		.min = p->min,
		.has_max = p->has_max,
		.max = p->max };

	json_t *v = schema_value_of_text(&row, text, err);
	if (!v)
		err_context(err, "%s %s", word, p->name);
	if (!v || !p->values)
		return v;
	for (size_t i = 0; p->values[i]; i++)
		if (strcmp(p->values[i], text) == 0)
			return v;
	json_decref(v);
	char list[512] = "";
	for (size_t i = 0; p->values[i]; i++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", p->values[i]);
	}
	err_set(err, ERR_INVALID, "%s %s: \"%s\" is not allowed; it can be %s", word, p->name, text,
		list);
	return NULL;
}

static json_t *value_of(const struct param *p, const char *text, struct err *err)
{
	return value_as("param", p, text, err);
}

static void check_default(struct dag_loader *l, const struct param *p, const struct node *at)
{
	struct err err = { 0 };
	json_t *v = value_of(p, p->def, &err);

	if (!v)
		diag_node(l->diags, DIAG_ERROR, at, "%s", err.msg);
	json_decref(v);
}

/* The limits must be some, and each choice a value of the type. */
static void check_limits(struct dag_loader *l, const struct param *p, const struct node *n)
{
	const struct node *values = node_get(n, "enum"), *max = node_get(n, "max");
	const struct node *limit = p->has_min ? node_get(n, "min") : max;
	struct param one = *p;

	if (limit && p->type != PARAM_INT && p->type != PARAM_FLOAT)
		diag_node(l->diags, DIAG_ERROR, limit,
			"param %s: min and max are for integers and numbers, and this is a %s",
			p->name, param_type_name(p->type));
	if (p->has_min && p->has_max && p->max < p->min)
		diag_node(l->diags, DIAG_ERROR, max, "param %s: max is below min", p->name);
	if (values && values->n == 0)
		diag_node(l->diags, DIAG_ERROR, values,
			"param %s: enum: no value is allowed, so none can be given", p->name);
	one.values = NULL;
	for (size_t i = 0; values && i < values->n; i++) {
		struct err err = { 0 };
		json_t *v = p->values ? value_of(&one, p->values[i], &err) : NULL;
		if (!v)
			diag_node(l->diags, DIAG_ERROR, values->items[i], "%s", err.msg);
		json_decref(v);
	}
}

/* A type is easily taken for what the short form gives, the default. */
static void check_short(struct dag_loader *l, const struct param *p, const struct node *n)
{
	for (int i = 0; p->def && n->type == NODE_STRING && i < PARAM_TYPE_MAX; i++)
		if (strcmp(p->def, param_type_names[i]) == 0) {
			diag_node(l->diags, DIAG_WARNING, n,
				"param %s: the text \"%s\" is its default, not its type", p->name,
				p->def);
			diag_hint(l->diags, "%s: { type: %s }", p->name, p->def);
		}
}

static void load_param(
	struct dag_loader *l, struct param *p, const struct node *key, const struct node *n)
{
	const struct schema_env env = { 0 };
	char what[160];

	p->name = key->text;
	if (node_is_scalar(n)) {
		/* `region: eu` is short for a string with a default. */
		p->def = node_text(n);
		check_short(l, p, n);
		return;
	}
	snprintf(what, sizeof what, "param %.128s", key->text);
	if (n->type != NODE_MAP) {
		diag_node(l->diags, DIAG_ERROR, n, "%s: expected a default or a mapping", what);
		return;
	}
	if (schema_check(n, dagfile_param_fields, what, &env, l->diags) > 0)
		return;
	const char *type = node_text(node_get(n, "type"));
	for (int i = 0; type && i < PARAM_TYPE_MAX; i++)
		if (strcmp(type, param_type_names[i]) == 0)
			p->type = (enum param_type)i;
	const struct node *min = node_get(n, "min"), *max = node_get(n, "max");
	const struct node *values = node_get(n, "enum"), *def = node_get(n, "default");
	p->description = node_text(node_get(n, "description"));
	p->has_min = min != NULL;
	p->min = min ? min->f : 0;
	p->has_max = max != NULL;
	p->max = max ? max->f : 0;
	if (values) {
		const char **list = arena_array(&l->dag->arena, values->n + 1, sizeof *list);
		for (size_t i = 0; list && i < values->n; i++)
			list[i] = node_text(values->items[i]) ? values->items[i]->text : "";
		p->values = list;
	}
	p->def = node_text(def);
	p->required = p->def == NULL;
	check_limits(l, p, n);
	if (p->def)
		check_default(l, p, def);
}

void dagfile_load_params(struct dag_loader *l, const struct node *n)
{
	size_t count = n && n->type == NODE_MAP ? n->n : 0;
	struct param *params = arena_array(&l->dag->arena, count + 1, sizeof *params);
	const char **names = arena_array(&l->dag->arena, count + 1, sizeof *names);

	if (!params || !names)
		return;
	for (size_t i = 0; i < count; i++) {
		if (!schema_value_is_name(n->keys[i]->text, n->keys[i]->len)) {
			diag_node(l->diags, DIAG_ERROR, n->keys[i],
				"\"%s\" cannot be a param's name", n->keys[i]->text);
			diag_hint(l->diags,
				"a letter or _ first, then letters, digits, _ and -, at most 128");
		}
		load_param(l, &params[i], n->keys[i], n->items[i]);
		names[i] = n->keys[i]->text;
	}
	l->dag->params = params;
	l->dag->nparams = (int)count;
	l->param_names = names;
}

/* ---- values of a run ------------------------------------------------------------------ */

static const struct param *find_param(
	const struct dag *dag, const char *name, size_t len, struct err *err)
{
	const char *names[256];
	int n = 0;

	for (int i = 0; i < dag->nparams; i++) {
		const struct param *p = &dag->params[i];
		if (strlen(p->name) == len && memcmp(p->name, name, len) == 0)
			return p;
		if (n < 256)
			names[n++] = p->name;
	}
	char word[128];
	snprintf(word, sizeof word, "%.*s", (int)len, name);
	const char *near = near_find(word, names, (size_t)n);
	if (near)
		err_set(err, ERR_USAGE, "DAG %s has no param \"%s\"; did you mean \"%s\"?",
			dag->name, word, near);
	else if (n == 0)
		err_set(err, ERR_USAGE, "DAG %s has no params, so \"%s\" cannot be set", dag->name,
			word);
	else
		err_set(err, ERR_USAGE, "DAG %s has no param \"%s\"", dag->name, word);
	return NULL;
}

static int set_given(const struct dag *dag, json_t *values, const char *assignment, struct err *err)
{
	const char *eq = strchr(assignment, '=');

	if (!eq)
		return err_set(err, ERR_USAGE,
			"--param %s: expected NAME=VALUE, such as --param region=eu", assignment);
	const struct param *p = find_param(dag, assignment, (size_t)(eq - assignment), err);
	json_t *v = p ? value_of(p, eq + 1, err) : NULL;
	if (!v) {
		if (err)
			err->code = ERR_USAGE;
		return -1;
	}
	return json_object_set_new(values, p->name, v) < 0 ? err_nomem(err) : 0;
}

json_t *dagfile_params(const struct dag *dag, const char *const *given, struct err *err)
{
	json_t *values = json_object();

	if (!values) {
		err_nomem(err);
		return NULL;
	}
	for (int i = 0; i < dag->nparams; i++) {
		const struct param *p = &dag->params[i];
		json_t *v = p->def ? value_of(p, p->def, err) : NULL;
		if (p->def && (!v || json_object_set_new(values, p->name, v) < 0))
			goto fail;
	}
	for (; given && *given; given++)
		if (set_given(dag, values, *given, err) < 0)
			goto fail;
	for (int i = 0; i < dag->nparams; i++) {
		const struct param *p = &dag->params[i];
		if (json_object_get(values, p->name))
			continue;
		if (p->required) {
			err_set(err, ERR_USAGE,
				"param %s has no default: give it with --param %s=%s", p->name,
				p->name, param_type_name(p->type));
			goto fail;
		}
		json_object_set_new(values, p->name, json_null());
	}
	return values;
fail:
	json_decref(values);
	return NULL;
}

/* ---- fields of a form, written as params are ------------------------------------------ */

void dagfile_check_form(const struct node *fields, struct diags *diags)
{
	struct dag_loader l = { .dag = dag_new(), .diags = diags };

	if (l.dag)
		dagfile_load_params(&l, fields);
	dag_unref(l.dag);
}

static json_t *field_json(const struct param *p)
{
	json_t *values = p->values ? json_array() : json_null();

	for (size_t i = 0; p->values && p->values[i]; i++)
		json_array_append_new(values, json_string(p->values[i]));
	return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "name", p->name, "type",
		param_type_name(p->type), "default", p->def ? json_string(p->def) : json_null(),
		"description", p->description ? json_string(p->description) : json_null(), "values",
		values, "min", p->has_min ? json_real(p->min) : json_null(), "max",
		p->has_max ? json_real(p->max) : json_null());
}

json_t *dagfile_form_fields(const struct node *fields)
{
	struct diags diags;
	struct dag_loader l = { .dag = dag_new(), .diags = &diags };
	json_t *list = json_array();

	diags_init(&diags);
	if (l.dag && list)
		dagfile_load_params(&l, fields);
	for (int i = 0; l.dag && i < l.dag->nparams; i++)
		json_array_append_new(list, field_json(&l.dag->params[i]));
	diags_release(&diags);
	dag_unref(l.dag);
	return list;
}

static const struct param *find_field(const struct dag *form, const char *name, struct err *err)
{
	const char *names[64];
	size_t n = 0;

	for (int i = 0; i < form->nparams; i++) {
		if (strcmp(form->params[i].name, name) == 0)
			return &form->params[i];
		if (n < 64)
			names[n++] = form->params[i].name;
	}
	const char *near = near_find(name, names, n);
	err_set(err, ERR_USAGE, "there is no field \"%.100s\"%s%s%s", name,
		near ? "; did you mean \""
		: n  ? ""
		     : "; it has none",
		near ? near : "", near ? "\"?" : "");
	return NULL;
}

static int fill_in(const struct dag *form, json_t *values, struct err *err)
{
	for (int i = 0; i < form->nparams; i++) {
		const struct param *p = &form->params[i];
		if (json_object_get(values, p->name))
			continue;
		if (!p->def)
			return err_set(err, ERR_USAGE, "field %s must be given: --field %s=%s",
				p->name, p->name, param_type_name(p->type));
		if (json_object_set_new(values, p->name, value_as("field", p, p->def, err)) < 0)
			return -1;
	}
	return 0;
}

json_t *dagfile_form(const struct node *fields, const json_t *given, struct err *err)
{
	struct diags diags;
	json_t *values = json_object(), *text;
	struct dag_loader l = { .dag = dag_new(), .diags = &diags };
	const char *name;
	int rc = values && l.dag ? 0 : err_nomem(err);

	diags_init(&diags);
	if (rc == 0)
		dagfile_load_params(&l, fields);
	json_object_foreach((json_t *)given, name, text)
	{
		const struct param *p = rc == 0 ? find_field(l.dag, name, err) : NULL;
		json_t *v = p ? value_as("field", p, json_string_value(text), err) : NULL;
		if (rc == 0 && json_object_set_new(values, name, v) < 0)
			rc = -1;
	}
	if (rc == 0)
		rc = fill_in(l.dag, values, err);
	diags_release(&diags);
	dag_unref(l.dag);
	if (rc == 0)
		return values;
	if (err && err->code == ERR_INVALID)
		err->code = ERR_USAGE;
	json_decref(values);
	return NULL;
}
