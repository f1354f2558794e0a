#include "conf/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/near.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/alerts.h"
#include "conf/breaker_conf.h"
#include "conf/diag.h"
#include "conf/schema_value.h"
#include "conf/yaml.h"

enum { SECRET_MAX = 64 << 10 };

struct connection {
	const struct node *node;
	const struct field *fields; /* of its type */
	const char *type;
	const char *breaker; /* NULL: none */
};

struct config {
	struct yaml_doc doc;
	char *path, *dir; /* NULL for an empty one */
	struct connection *connections;
	const char **names; /* NULL-ended, in the same order */
	size_t n;
	const char **pools;    /* NULL-ended */
	const char **breakers; /* likewise */
	struct alerts *alerts; /* NULL: none */
};

enum { POOL_SLOTS_MAX = 100000 };

static const struct field any_connection = { .type = FIELD_ANY };

static const struct field calendar_word = { .type = FIELD_STRING };
static const struct field calendar_words = {
	.type = FIELD_LIST, .item = &calendar_word, .flags = FIELD_OR_ONE
};

static const struct field keep_fields[] = {
	{ .key = "runs",
		.type = FIELD_DURATION,
		.help = "How long the daemon keeps finished runs and their history. Default: for "
			"ever.",
		.example = "90d" },
	{ .key = "logs",
		.type = FIELD_DURATION,
		.help = "How long it keeps their logs. Default: as long as the runs.",
		.example = "30d" },
	{ 0 },
};

static const struct field pool_slots = { .key = "slots",
	.type = FIELD_INT,
	.flags = FIELD_REQUIRED,
	.has_min = true,
	.min = 0,
	.has_max = true,
	.max = POOL_SLOTS_MAX };

static const struct field pool_fields[] = {
	{ .key = "slots",
		.type = FIELD_INT,
		.flags = FIELD_REQUIRED,
		.has_min = true,
		.min = 0,
		.has_max = true,
		.max = POOL_SLOTS_MAX,
		.help = "How many slots it has.",
		.example = "4" },
	{ .key = "description", .type = FIELD_STRING, .help = "For people." },
	{ 0 },
};

static const struct field any_pool = { .type = FIELD_ANY };

static const struct field any_breaker = { .type = FIELD_ANY };

const struct field config_fields[] = {
	{ .key = "connections",
		.type = FIELD_MAP,
		.item = &any_connection,
		.help = "Databases and services that tasks use by name. Each has a `type`; its "
			"other keys depend on that." },
	{ .key = "calendars",
		.type = FIELD_MAP,
		.item = &calendar_words,
		.help = "Days by name, for `calendar:` of schedules: dates, weekday names, "
			"business_days, weekends, or files with a date a line.",
		.example = "{ de_holidays: [holidays.txt, 2026-12-24] }" },
	{ .key = "pools",
		.type = FIELD_MAP,
		.item = &any_pool,
		.help = "What tasks share, with how many slots each has: a number, or a mapping "
			"with `slots` and `description`. No more slots than that are taken at "
			"once by the tasks that name it as their `pool`. With 0 none of them "
			"starts.",
		.example = "{ pg: 4 }" },
	{ .key = "breakers",
		.type = FIELD_MAP,
		.item = &any_breaker,
		.help = "Circuit breakers by name, for `breaker:` of tasks and connections: when "
			"what they protect fails too often, tasks that use it wait. See BREAKERS.",
		.example = "{ orders_api: { failures: 5, within: 10m, open: 2m } }" },
	{ .key = "keep",
		.type = FIELD_OBJECT,
		.fields = keep_fields,
		.help = "What the daemon removes when it is old." },
	{ .key = "alerts",
		.type = FIELD_OBJECT,
		.fields = alerts_fields,
		.help = "Who is told when something goes wrong; see weir-alerts(7)." },
	{ .key = "heartbeat",
		.type = FIELD_OBJECT,
		.fields = heartbeat_fields,
		.help = "A sign of life, so that the daemon's silence is noticed elsewhere." },
	{ 0 },
};

/* ---- loading -------------------------------------------------------------------------- */

static const struct config_conn_type *find_type(
	const struct config_conn_type *types, const struct node *type, struct diags *diags)
{
	const char *names[64];
	size_t n = 0;

	for (; types[n].name && n < 64; n++) {
		if (strcmp(types[n].name, node_text(type)) == 0)
			return &types[n];
		names[n] = types[n].name;
	}
	const char *near = near_find(node_text(type), names, n);
	diag_node(diags, DIAG_ERROR, type, "unknown type of connection \"%s\"%s%s%s",
		node_text(type), near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
	struct buf list;
	buf_init(&list, 1024);
	for (size_t i = 0; i < n; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", names[i]);
	diag_hint(diags, "types: %s", list.data);
	buf_release(&list);
	return NULL;
}

/* The rows of a type with those that all have in front. */
static const struct field *rows_of(struct arena *arena, const struct field *fields)
{
	size_t n = 0;

	while (fields[n].key)
		n++;
	struct field *rows = arena_array(arena, n + 3, sizeof *rows);
	if (!rows)
		return NULL;
	rows[0] = (struct field){ .key = "type",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "What it is: sqlite, ..." };
	rows[1] = (struct field){ .key = "breaker",
		.type = FIELD_NAME,
		.help = "A circuit breaker of all tasks that use it." };
	memcpy(rows + 2, fields, n * sizeof *rows);
	return rows;
}

static void load_connection(struct config *c, const struct config_conn_type *types,
	const struct node *key, const struct node *node, struct diags *diags)
{
	const struct node *type = node_get(node, "type");

	if (node->type != NODE_MAP || !node_text(type)) {
		diag_node(diags, DIAG_ERROR, node->type == NODE_MAP ? key : node,
			"connection \"%s\" needs a type", key->text);
		diag_hint(diags, "for example: %s: { type: sqlite, path: %s.db }", key->text,
			key->text);
		return;
	}
	const struct config_conn_type *t = find_type(types, type, diags);
	if (!t)
		return;
	char what[128];
	snprintf(what, sizeof what, "connection of type %s", t->name);
	const struct schema_env env = { .dir = c->dir };
	const struct field *rows = rows_of(&c->doc.arena, t->fields);
	if (!rows || schema_check(node, rows, what, &env, diags) > 0)
		return;
	const struct node *breaker = node_get(node, "breaker");
	if (breaker && config_breaker_check(c, breaker, diags) < 0)
		return;
	c->names[c->n] = key->text;
	c->connections[c->n++] = (struct connection){
		.node = node, .fields = t->fields, .type = t->name, .breaker = node_text(breaker)
	};
}

static void load_connections(
	struct config *c, const struct config_conn_type *types, struct diags *diags)
{
	const struct node *map = node_get(c->doc.root, "connections");
	size_t n = map && map->type == NODE_MAP ? map->n : 0;

	c->connections = arena_array(&c->doc.arena, n + 1, sizeof *c->connections);
	c->names = arena_array(&c->doc.arena, n + 1, sizeof *c->names);
	if (!c->connections || !c->names)
		return;
	for (size_t i = 0; i < n; i++)
		load_connection(c, types, map->keys[i], map->items[i], diags);
}

static void load_pools(struct config *c, struct diags *diags)
{
	const struct node *map = node_get(c->doc.root, "pools");
	size_t n = map && map->type == NODE_MAP ? map->n : 0;
	const struct schema_env env = { 0 };
	char what[160];

	c->pools = arena_array(&c->doc.arena, n + 1, sizeof *c->pools);
	for (size_t i = 0; c->pools && i < n; i++) {
		const struct node *key = map->keys[i], *value = map->items[i];
		snprintf(what, sizeof what, "pool %.128s", key->text);
		if (!schema_value_is_name(key->text, key->len))
			diag_node(diags, DIAG_ERROR, key, "\"%s\" cannot be a pool's name",
				key->text);
		if (value->type == NODE_MAP)
			schema_check(value, pool_fields, what, &env, diags);
		else
			schema_check_value(value, &pool_slots, &env, diags);
		c->pools[i] = key->text;
	}
}

static void load_breakers(struct config *c, struct diags *diags)
{
	const struct node *map = node_get(c->doc.root, "breakers");
	size_t n = map && map->type == NODE_MAP ? map->n : 0;

	c->breakers = arena_array(&c->doc.arena, n + 1, sizeof *c->breakers);
	for (size_t i = 0; c->breakers && i < n; i++) {
		breaker_conf_check(map->keys[i], map->items[i], diags);
		c->breakers[i] = map->keys[i]->text;
	}
}

struct config *config_load(
	const char *path, const struct config_conn_type *types, struct diags *diags)
{
	struct config *c = calloc(1, sizeof *c);
	size_t errors_before = diags->nerrors;
	struct err err = { 0 };

	if (!c || yaml_read(&c->doc, path, diags) < 0)
		goto fail;
	c->path = io_realpath(path, &err);
	c->dir = c->path ? io_path_dir(c->path) : NULL;
	if (!c->dir) {
		diag_err(diags, path, &err);
		goto fail;
	}
	const struct schema_env env = { .dir = c->dir };
	bool fits = c->doc.root &&
		    schema_check(c->doc.root, config_fields, "weir.yaml", &env, diags) == 0;
	load_breakers(c, diags);
	if (fits)
		c->alerts = alerts_load(&c->doc.arena, c->doc.root, c->dir, diags);
	load_connections(c, types, diags);
	load_pools(c, diags);
	if (c->doc.arena.failed) {
		err_nomem(&err);
		diag_err(diags, path, &err);
	}
	if (diags->nerrors == errors_before)
		return c;
fail:
	config_free(c);
	return NULL;
}

struct config *config_empty(void)
{
	static const char *no_names[] = { NULL };
	struct config *c = calloc(1, sizeof *c);

	if (c)
		c->names = c->pools = c->breakers = no_names;
	return c;
}

void config_free(struct config *c)
{
	if (!c)
		return;
	alerts_release(c->alerts);
	yaml_release(&c->doc);
	free(c->path);
	free(c->dir);
	free(c);
}

const char *config_path(const struct config *c)
{
	return c->path;
}

const char *const *config_connections(const struct config *c)
{
	return c->names;
}

/* ---- finding -------------------------------------------------------------------------- */

/* weir.yaml in dir, or the nearest folder above it. */
static char *find_upwards(const char *dir, struct err *err)
{
	char *at = io_realpath(dir, err);

	while (at) {
		char *candidate = io_path_join(at, "weir.yaml");
		if (!candidate || io_exists(candidate)) {
			free(at);
			return candidate;
		}
		free(candidate);
		char *up = strcmp(at, "/") == 0 ? NULL : io_path_dir(at);
		free(at);
		at = up;
	}
	return NULL;
}

static char *find_in_home(void)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char *path = NULL;

	if (xdg && *xdg)
		path = io_path_join(xdg, "weir/weir.yaml");
	else if (home && *home)
		path = io_path_join(home, ".config/weir/weir.yaml");
	if (path && io_exists(path))
		return path;
	free(path);
	return NULL;
}

char *config_find(const char *explicit_path, const char *dir, struct err *err)
{
	const char *env = getenv("WEIR_CONFIG");

	if (!explicit_path && env && *env)
		explicit_path = env;
	if (explicit_path) {
		if (io_exists(explicit_path))
			return strdup(explicit_path);
		err_set(err, ERR_NOT_FOUND, "%s: no such configuration file", explicit_path);
		return NULL;
	}
	char *path = find_upwards(dir, err);
	return path ? path : find_in_home();
}

/* ---- connections and secrets ---------------------------------------------------------- */

static char *secret_from_file(const char *name, const char *dir, struct err *err)
{
	char *path = io_path_join(dir, name);
	struct buf text;

	buf_init(&text, SECRET_MAX);
	if (!path || io_read_file(path, &text, err) < 0) {
		if (!path)
			err_nomem(err);
		free(path);
		buf_release(&text);
		return NULL;
	}
	free(path);
	if (text.len && text.data[text.len - 1] == '\n')
		buf_truncate(&text, text.len - 1);
	return buf_take(&text);
}

char *config_secret_of(const char *env, const char *file, const char *dir, struct err *err)
{
	const char *value = env ? getenv(env) : NULL;

	if (file)
		return secret_from_file(file, dir, err);
	if (!env)
		err_set(err, ERR_INVALID, "a secret is {env: NAME} or {file: PATH}");
	else if (!value)
		err_set(err, ERR_NOT_FOUND, "the environment variable %s (a secret) is not set",
			env);
	return value ? strdup(value) : NULL;
}

char *config_secret(const struct node *n, const char *dir, struct err *err)
{
	if (node_text(n))
		return strdup(node_text(n));
	return config_secret_of(
		node_text(node_get(n, "env")), node_text(node_get(n, "file")), dir, err);
}

static json_t *connection_value(const struct config *c, const struct field *f,
	const struct node *value, json_t *secrets, struct err *err)
{
	json_t *v = NULL;

	if (f->flags & FIELD_SECRET) {
		char *secret = config_secret(value, c->dir, err);
		v = secret ? json_string(secret) : NULL;
		if (v)
			json_array_append(secrets, v);
		else if (secret)
			err_set(err, ERR_INVALID, "%s: the secret is not valid UTF-8", f->key);
		free(secret);
	} else if (f->type == FIELD_PATH || f->type == FIELD_FILE) {
		char *path = io_path_join(c->dir, value ? value->text : f->def);
		v = path ? json_string(path) : NULL;
		free(path);
	} else {
		v = schema_value_of_text(f, value ? value->text : f->def, err);
	}
	if (!v && err && err->code == ERR_NONE)
		err_nomem(err);
	if (!v && value)
		err_where(err, c->doc.source->path, value->line, value->col);
	return v;
}

json_t *config_connection(
	const struct config *c, const char *name, json_t *secrets, struct err *err)
{
	size_t at = 0;

	while (at < c->n && strcmp(c->names[at], name) != 0)
		at++;
	if (at == c->n) {
		err_set(err, ERR_NOT_FOUND, "no connection \"%s\" in %s", name,
			c->path ? c->path : "weir.yaml (there is none)");
		return NULL;
	}
	const struct connection *conn = &c->connections[at];
	json_t *ret = json_pack("{s:s, s:s}", "name", name, "type", conn->type);
	for (const struct field *f = conn->fields; ret && f->key; f++) {
		const struct node *value = node_get(conn->node, f->key);
		if (!value && !f->def)
			continue;
		err_clear(err);
		json_t *v = connection_value(c, f, value, secrets, err);
		if (!v || json_object_set_new(ret, f->key, v) < 0) {
			json_decref(ret);
			return NULL;
		}
	}
	return ret;
}

static int64_t keep_us(const struct config *c, const char *key)
{
	const char *text = node_text(node_get(node_get(c->doc.root, "keep"), key));
	int64_t us;

	return text && units_parse_duration(text, &us, NULL) == 0 ? us : 0;
}

const struct alerts *config_alerts(const struct config *c)
{
	return c->alerts;
}

int64_t config_keep_runs_us(const struct config *c)
{
	return keep_us(c, "runs");
}

int64_t config_keep_logs_us(const struct config *c)
{
	return keep_us(c, "logs");
}

const char *const *config_pools(const struct config *c)
{
	return c->pools;
}

int config_pool_slots(const struct config *c, const char *name)
{
	const struct node *pool = node_get(node_get(c->doc.root, "pools"), name);
	const struct node *slots = pool && pool->type == NODE_MAP ? node_get(pool, "slots") : pool;

	return slots && slots->type == NODE_INT ? (int)slots->i : -1;
}

const char *const *config_breakers(const struct config *c)
{
	return c->breakers;
}

bool config_breaker(const struct config *c, const char *name, struct breaker_policy *ret)
{
	const struct node *n = node_get(node_get(c->doc.root, "breakers"), name);

	return n && breaker_conf_read(n, ret);
}

int config_breaker_check(const struct config *c, const struct node *name, struct diags *diags)
{
	size_t n = 0;

	while (c->breakers && c->breakers[n]) {
		if (strcmp(c->breakers[n], name->text) == 0)
			return 0;
		n++;
	}
	const char *near = near_find(name->text, c->breakers, n);
	diag_node(diags, DIAG_ERROR, name, "breaker: there is no breaker \"%s\"%s%s%s", name->text,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (!near)
		diag_hint(diags, "breakers are in weir.yaml: breakers: { %s: { failures: 5 } }",
			name->text);
	return -1;
}

const char *config_connection_breaker(const struct config *c, const char *connection)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->names[i], connection) == 0)
			return c->connections[i].breaker;
	return NULL;
}

const struct node *config_calendar(const struct config *c, const char *name, const char **ret_dir)
{
	*ret_dir = c->dir;
	return node_get(node_get(c->doc.root, "calendars"), name);
}
