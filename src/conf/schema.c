#include "conf/schema.h"

#include <assert.h>
#include <dirent.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/near.h"
#include "base/node.h"
#include "conf/diag.h"
#include "conf/schema_value.h"

enum {
	KEYS_MAX =
		256 /* of one table, or names of one folder, that are looked at for suggestions */
};

static const struct {
	const char *name, *expected;
} types[] = {
	[FIELD_STRING] = { "string", "a string" },
	[FIELD_NAME] = { "name", "a name such as daily_sales" },
	[FIELD_BOOL] = { "boolean", "true or false" },
	[FIELD_INT] = { "integer", "an integer" },
	[FIELD_FLOAT] = { "number", "a number" },
	[FIELD_DURATION] = { "duration", "a duration such as 30m" },
	[FIELD_SIZE] = { "size", "a size such as 10MiB" },
	[FIELD_PERCENT] = { "percentage", "a percentage such as 1%" },
	[FIELD_ENUM] = { "choice", "one of" },
	[FIELD_DATE] = { "date", "a date such as 2026-11-19" },
	[FIELD_PATH] = { "path", "a path" },
	[FIELD_FILE] = { "file", "the path of a file" },
	[FIELD_SQL] = { "SQL", "SQL text" },
	[FIELD_SQL_FILE] = { "SQL file", "the path of a file with SQL" },
	[FIELD_CONNECTION] = { "connection", "the name of a connection" },
	[FIELD_TABLE] = { "table", "connection.table, such as warehouse.orders" },
	[FIELD_REGEX] = { "regular expression", "a regular expression" },
	[FIELD_VALUE] = { "value", "a single value" },
	[FIELD_LIST] = { "list", "a list" },
	[FIELD_MAP] = { "mapping", "a mapping" },
	[FIELD_OBJECT] = { "mapping", "a mapping" },
	[FIELD_ANY] = { "anything", "anything" },
};
static_assert(sizeof types / sizeof *types == FIELD_TYPE_MAX, "a name for each type");

struct check {
	const struct schema_env *env;
	struct diags *diags;
	const char *label; /* the key whose value is checked; NULL: none */
};

static void check_value(const struct check *c, const struct node *n, const struct field *f);

const char *schema_type_name(enum field_type type)
{
	return (unsigned)type < FIELD_TYPE_MAX ? types[type].name : "unknown";
}

const struct field *schema_find(const struct field *fields, const char *key)
{
	for (; fields && fields->key; fields++)
		if (strcmp(fields->key, key) == 0)
			return fields;
	return NULL;
}

__attribute__((format(printf, 3, 4))) static void complain(
	const struct check *c, const struct node *n, const char *fmt, ...)
{
	char text[1200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	diag_node(c->diags, DIAG_ERROR, n, "%s%s%s", c->label ? c->label : "", c->label ? ": " : "",
		text);
}

static size_t keys_of(const struct field *fields, const char **ret, size_t max)
{
	size_t n = 0;

	for (; fields && fields->key && n < max; fields++)
		ret[n++] = fields->key;
	return n;
}

static void add_names(struct buf *out, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s", i ? ", " : "", names[i]);
}

static void hint_names(struct diags *diags, const char *intro, const char *const *names, size_t n)
{
	struct buf list;

	buf_init(&list, 4000);
	add_names(&list, names, n);
	diag_hint(diags, "%s: %s", intro, list.data);
	buf_release(&list);
}

/* `found` of "expected ..., found ...". */
static const char *found_text(const struct node *n, char *buf, size_t size)
{
	if (n->type == NODE_NULL && n->len == 0)
		return "nothing";
	if (!node_is_scalar(n) || n->type == NODE_NULL)
		return node_type_name(n->type);
	snprintf(buf, size, "%s\"%.200s\"",
		n->quoted && n->type == NODE_STRING ? "the string " : "", n->text);
	return buf;
}

static void wrong_type(const struct check *c, const struct node *n, const struct field *f)
{
	char found[256];
	struct buf list;
	size_t count = 0;

	buf_init(&list, 600);
	if (f->type == FIELD_ENUM) {
		buf_addc(&list, ' ');
		while (f->values[count])
			count++;
		add_names(&list, f->values, count);
	}
	complain(c, n, "expected %s%s, found %s", types[f->type].expected, list.data,
		found_text(n, found, sizeof found));
	buf_release(&list);
	if (f->example)
		diag_hint(c->diags, "example: %s: %s", c->label ? c->label : f->key, f->example);
}

static bool is_template(const struct node *n)
{
	return node_is_scalar(n) && n->text && strstr(n->text, "{{");
}

static void check_template(const struct check *c, const struct schema_template *t)
{
	if (c->env && c->env->check_template)
		c->env->check_template(c->env->arg, t, c->diags);
}

static size_t count_names(const char *const *names)
{
	size_t n = 0;

	while (names && names[n])
		n++;
	return n;
}

static void check_connection(const struct check *c, const struct node *n, const char *name)
{
	const char *const *names = c->env ? c->env->connections : NULL;
	size_t count = count_names(names);

	if (!names)
		return;
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return;
	const char *near = near_find(name, names, count);
	complain(c, n, "no connection \"%s\"%s%s%s", name, near ? "; did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
	if (count)
		hint_names(c->diags, "connections of weir.yaml", names, count);
	else if (c->env->config_path || !c->env->config_dir)
		diag_hint(c->diags,
			"%s has none; add \"connections: { %s: { type: sqlite, path: %s.db } }\"",
			c->env->config_path ? c->env->config_path : "weir.yaml", name, name);
	else
		diag_hint(c->diags,
			"there is no weir.yaml in %s or above; make %s/weir.yaml with: "
			"connections: { %s: { type: sqlite, path: %s.db } }",
			c->env->config_dir, c->env->config_dir, name, name);
}

static void check_table(const struct check *c, const struct node *n)
{
	char name[160];

	snprintf(name, sizeof name, "%.*s", (int)strcspn(n->text, "."), n->text);
	check_connection(c, n, name);
}

/* Suggest the file of the folder whose name is nearest. */
static void hint_near_file(const struct check *c, const char *path)
{
	char *names[KEYS_MAX], *dir = io_path_dir(path);
	size_t n = 0;
	DIR *d = dir ? opendir(dir) : NULL;

	for (struct dirent *e; d && n < KEYS_MAX && (e = readdir(d));)
		if (e->d_name[0] != '.' && (names[n] = strdup(e->d_name)))
			n++;
	const char *near = near_find(io_path_base(path), (const char *const *)names, n);
	if (dir && !d)
		diag_hint(c->diags, "there is no folder %s", dir);
	else if (near)
		diag_hint(c->diags, "did you mean \"%s\"?", near);
	while (n)
		free(names[--n]);
	if (d)
		closedir(d);
	free(dir);
}

/* The file's path, owned, when it exists. */
static char *check_file(const struct check *c, const struct node *n)
{
	struct stat st;

	if (!c->env || !c->env->dir)
		return NULL;
	char *path = io_path_join(c->env->dir, n->text);
	if (path && stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return path;
	if (path && io_exists(path)) {
		complain(c, n, "%s is a folder, not a file", n->text);
	} else if (path) {
		complain(c, n, "no such file: %s (looked in %s/)", n->text, c->env->dir);
		hint_near_file(c, path);
	}
	free(path);
	return NULL;
}

static void check_sql_file(const struct check *c, const struct node *n)
{
	char *path = check_file(c, n);
	struct err err = { 0 };
	struct buf text;

	if (!path)
		return;
	buf_init(&text, BUF_MAX_TEXT);
	if (io_read_file(path, &text, &err) < 0)
		complain(c, n, "%s", err.msg);
	else if (strstr(text.data, "{{"))
		check_template(c, &(struct schema_template){ n, text.data, path, true, false });
	buf_release(&text);
	free(path);
}

static void check_regex(const struct check *c, const struct node *n)
{
	char message[200];
	long offset = schema_value_regex_error(n->text, message, sizeof message);

	if (offset >= 0)
		diag_inside(c->diags, n, (size_t)offset, 1, "%s%snot a regular expression: %s",
			c->label ? c->label : "", c->label ? ": " : "", message);
}

/* A number's type is that of the node: "3" in quotes is a text. */
static bool check_number(const struct check *c, const struct node *n, const struct field *f)
{
	struct err err = { 0 };
	bool fits = f->type == FIELD_INT ? n->type == NODE_INT
		    : f->type == FIELD_BOOL
			    ? n->type == NODE_BOOL
			    : n->type == NODE_INT || (n->type == NODE_FLOAT && isfinite(n->f));

	if (!fits) {
		wrong_type(c, n, f);
		if (f->type == FIELD_BOOL)
			diag_hint(c->diags, "write true or false, without quotes");
		else if (n->quoted && !is_template(n))
			diag_hint(c->diags, "write it without quotes");
		return false;
	}
	if (f->type != FIELD_BOOL && schema_value_range(f, n->f, &err) < 0) {
		complain(c, n, "%s", err.msg);
		return false;
	}
	return true;
}

static void check_text(const struct check *c, const struct node *n, const struct field *f)
{
	struct schema_value v;
	struct err err = { 0 };

	if (f->type == FIELD_REGEX) {
		check_regex(c, n);
		return;
	}
	if (schema_value_parse(f, n->text, &v, &err) < 0) {
		complain(c, n, "%s", err.msg);
		return;
	}
	if (f->type == FIELD_CONNECTION)
		check_connection(c, n, n->text);
	else if (f->type == FIELD_TABLE)
		check_table(c, n);
	else if (f->type == FIELD_FILE)
		free(check_file(c, n));
	else if (f->type == FIELD_SQL_FILE)
		check_sql_file(c, n);
}

static void check_scalar(const struct check *c, const struct node *n, const struct field *f)
{
	bool takes_template = (f->flags & FIELD_TEMPLATE) || f->type == FIELD_SQL;
	bool template = is_template(n);

	if (f->type == FIELD_VALUE && n->type == NODE_NULL)
		return;
	if (!node_is_scalar(n) || n->type == NODE_NULL) {
		wrong_type(c, n, f);
		return;
	}
	if (template && takes_template) {
		check_template(c, &(struct schema_template){ n, n->text, NULL, f->type == FIELD_SQL,
					  (f->flags & FIELD_TRUTH) != 0 });
		return;
	}
	if ((f->flags & FIELD_TRUTH) && n->type != NODE_BOOL) {
		complain(c, n, "expected a template, true or false, found \"%s\"", n->text);
		return;
	}
	size_t errors = c->diags->nerrors;
	if (f->type == FIELD_BOOL || f->type == FIELD_INT || f->type == FIELD_FLOAT)
		check_number(c, n, f);
	else
		check_text(c, n, f);
	if (template && c->diags->nerrors > errors) {
		diag_hint(c->diags, "templates are not rendered here");
	} else if (template && f->type != FIELD_SQL_FILE) {
		diag_node(c->diags, DIAG_WARNING, n, "%s: templates are not rendered here",
			c->label ? c->label : schema_type_name(f->type));
		diag_hint(c->diags, "the text stays as it is");
	}
}

static void check_secret(const struct check *c, const struct node *n, const struct field *f)
{
	static const struct field from[] = {
		{ .key = "env", .type = FIELD_STRING },
		{ .key = "file", .type = FIELD_PATH },
		{ 0 },
	};
	static const struct field reference = {
		.type = FIELD_OBJECT, .flags = FIELD_ONE_KEY, .fields = from
	};

	if (n->type == NODE_MAP) {
		check_value(c, n, &reference);
		return;
	}
	check_scalar(c, n, f);
	if (f->flags & FIELD_SECRET && node_text(n) && !is_template(n)) {
		diag_node(c->diags, DIAG_WARNING, n, "%s written in the file",
			c->label ? c->label : "a secret is");
		diag_hint(c->diags, "use {env: NAME} or {file: PATH}");
	}
}

static void check_length(
	const struct check *c, const struct node *n, const struct field *f, size_t length)
{
	struct err err = { 0 };

	if (schema_value_range(f, (double)length, &err) < 0)
		complain(c, n, "the number of items %s", err.msg);
}

static void check_list(const struct check *c, const struct node *n, const struct field *f)
{
	bool one = (f->flags & FIELD_OR_ONE) && n->type != NODE_SEQ && n->type != NODE_NULL;

	if (n->type != NODE_SEQ && !one) {
		wrong_type(c, n, f);
		return;
	}
	check_length(c, n, f, one ? 1 : n->n);
	if (one && f->item)
		check_value(c, n, f->item);
	for (size_t i = 0; !one && f->item && i < n->n; i++)
		check_value(c, n->items[i], f->item);
}

static void check_map(const struct check *c, const struct node *n, const struct field *f)
{
	if (n->type != NODE_MAP) {
		wrong_type(c, n, f);
		return;
	}
	check_length(c, n, f, n->n);
	for (size_t i = 0; i < n->n; i++) {
		struct check inner = { c->env, c->diags, n->keys[i]->text };
		if (n->keys[i]->len == 0)
			complain(c, n->keys[i], "a name is empty");
		if (f->item)
			check_value(&inner, n->items[i], f->item);
	}
}

/* What other tools call it. */
static const struct {
	const char *theirs, *ours;
} aliases[] = {
	{ "depends_on", "needs" },
	{ "dependencies", "needs" },
	{ "upstream", "needs" },
	{ "command", "run" },
	{ "cmd", "run" },
	{ "script", "run" },
	{ "steps", "tasks" },
	{ "jobs", "tasks" },
	{ "tasks", "group" },
	{ "includes", "include" },
};

static const char *meant_key(const char *key, const char *const *known, size_t n)
{
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		for (size_t k = 0; strcmp(aliases[i].theirs, key) == 0 && k < n; k++)
			if (strcmp(known[k], aliases[i].ours) == 0)
				return known[k];
	return near_find(key, known, n);
}

static void unknown_key(
	const struct check *c, const struct node *key, const struct field *fields, const char *what)
{
	const char *known[KEYS_MAX];
	size_t n = keys_of(fields, known, KEYS_MAX);
	const char *near = meant_key(key->text, known, n);
	char intro[200];

	snprintf(intro, sizeof intro, "allowed %s%s", what ? "in " : "here", what ? what : "");
	diag_node(c->diags, DIAG_ERROR, key, "unknown key \"%s\"%s%s%s", key->text,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	hint_names(c->diags, intro, known, n);
}

/* Does a misspelt key stand for this missing one? Then one error is enough. */
static bool is_misspelt(const struct node *map, const struct field *fields, const char *missing)
{
	const char *known[KEYS_MAX];
	size_t n = keys_of(fields, known, KEYS_MAX);

	for (size_t i = 0; i < map->n; i++) {
		const char *key = map->keys[i]->text;
		const char *near = schema_find(fields, key) ? NULL : meant_key(key, known, n);
		if (near && strcmp(near, missing) == 0)
			return true;
	}
	return false;
}

static void check_required(
	const struct check *c, const struct node *n, const struct field *fields, const char *what)
{
	for (const struct field *f = fields; f && f->key; f++) {
		if (!(f->flags & FIELD_REQUIRED) || node_get(n, f->key) ||
			is_misspelt(n, fields, f->key))
			continue;
		diag_node(c->diags, DIAG_ERROR, n, "%s%s\"%s\" is missing", what ? what : "",
			what ? ": " : "", f->key);
		if (f->example)
			diag_hint(c->diags, "add, for example, %s: %s", f->key, f->example);
		else if (f->help)
			diag_hint(c->diags, "%s: %s", f->key, f->help);
	}
}

static void check_one_key(const struct check *c, const struct node *n, const struct field *fields)
{
	const char *known[KEYS_MAX];
	size_t count = keys_of(fields, known, KEYS_MAX);

	if (n->type == NODE_MAP && n->n == 1)
		return;
	if (n->type == NODE_MAP)
		complain(c, n, "expected exactly one key, found %zu", n->n);
	else
		complain(c, n, "expected a mapping with one key, found %s",
			n->type == NODE_STRING ? n->text : node_type_name(n->type));
	hint_names(c->diags, "one of", known, count);
}

/* `fields` of a mapping; null stands for the empty one. */
static void check_fields(
	const struct check *c, const struct node *n, const struct field *fields, const char *what)
{
	for (size_t i = 0; i < n->n; i++) {
		const struct field *f = schema_find(fields, n->keys[i]->text);
		struct check inner = { c->env, c->diags, n->keys[i]->text };
		if (f)
			check_value(&inner, n->items[i], f);
		else
			unknown_key(c, n->keys[i], fields, what);
	}
	check_required(c, n, fields, what);
}

static void check_object(const struct check *c, const struct node *n, const struct field *f)
{
	bool one_key = f->flags & FIELD_ONE_KEY;
	size_t errors = c->diags->nerrors;

	if (one_key)
		check_one_key(c, n, f->fields);
	else if ((f->flags & FIELD_OR_TEXT) && node_text(n))
		return;
	else if ((f->flags & FIELD_OR_TEXT) && n->type != NODE_MAP)
		complain(c, n, "expected text or a mapping, found %s", node_type_name(n->type));
	else if (n->type != NODE_MAP && n->type != NODE_NULL)
		wrong_type(c, n, f);
	if (n->type == NODE_MAP || (n->type == NODE_NULL && c->diags->nerrors == errors))
		check_fields(c, n, f->fields, c->label);
}

static void check_value(const struct check *c, const struct node *n, const struct field *f)
{
	switch (f->type) {
	case FIELD_LIST:
		check_list(c, n, f);
		break;
	case FIELD_MAP:
		check_map(c, n, f);
		break;
	case FIELD_OBJECT:
		check_object(c, n, f);
		break;
	case FIELD_ANY:
		break;
	default:
		if (f->flags & (FIELD_SECRET | FIELD_MAY_REFER))
			check_secret(c, n, f);
		else
			check_scalar(c, n, f);
	}
}

size_t schema_check(const struct node *n, const struct field *fields, const char *what,
	const struct schema_env *env, struct diags *diags)
{
	static const struct node nothing = { .type = NODE_NULL, .text = "" };
	struct check c = { env, diags, NULL };
	size_t errors = diags->nerrors;

	if (!n)
		n = &nothing;
	if (n->type == NODE_MAP || n->type == NODE_NULL)
		check_fields(&c, n, fields, what);
	else
		diag_node(diags, DIAG_ERROR, n, "%s%sexpected a mapping, found %s",
			what ? what : "", what ? ": " : "", node_type_name(n->type));
	return diags->nerrors - errors;
}

size_t schema_check_value(const struct node *n, const struct field *f, const struct schema_env *env,
	struct diags *diags)
{
	struct check c = { env, diags, f->key };
	size_t errors = diags->nerrors;

	check_value(&c, n, f);
	return diags->nerrors - errors;
}
