#include "conf/dagfile.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/near.h"
#include "conf/dagfile_impl.h"
#include "conf/schedule.h"
#include "conf/yaml.h"
#include "core/planner.h"
#include "core/timetable.h"
#include "core/zone.h"

enum { TASKS_MAX = 1000000, CYCLE_SHOWN = 50, TASKS_SHOWN = 20 };

/* What lives as long as the DAG, beside its arena. */
struct kept {
	struct yaml_doc doc;
	struct zone *zone;
};

static void free_kept(void *arg)
{
	struct kept *k = arg;

	yaml_release(&k->doc);
	zone_free(k->zone);
	free(k);
}

/* ---- names ---------------------------------------------------------------------------- */

struct name_index {
	const char *name;
	int index;
	UT_hash_handle hh;
};

static int find_name(const struct dag_loader *l, const char *name)
{
	struct name_index *found;

	HASH_FIND_STR(l->index, name, found);
	return found ? found->index : -1;
}

static bool is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return s[n] == '\0' && n > 0 && n <= 128 && !strchr("0123456789-", s[0]);
}

/* Names first: needs may point forward. */
static int load_names(struct dag_loader *l)
{
	const struct node *map = l->tasks;
	struct arena *arena = &l->dag->arena;
	struct name_index *rows = arena_array(arena, map->n + 1, sizeof *rows);
	const char **names = arena_array(arena, map->n + 1, sizeof *names);

	l->dag->tasks = arena_array(arena, map->n + 1, sizeof *l->dag->tasks);
	l->stamps = arena_array(arena, map->n + 1, sizeof *l->stamps);
	if (!rows || !names || !l->dag->tasks || !l->stamps)
		return -1;
	for (size_t i = 0; i < map->n; i++) {
		const struct node *key = map->keys[i];
		if (!is_name(key->text)) {
			diag_node(l->diags, DIAG_ERROR, key, "\"%s\" cannot be a task's name",
				key->text);
			diag_hint(l->diags,
				"a letter or _ first, then letters, digits, _ and -, at "
				"most 128");
		}
		names[i] = key->text;
		l->dag->tasks[i].name = key->text;
		l->dag->tasks[i].index = (int)i;
		rows[i].name = key->text;
		rows[i].index = (int)i;
		HASH_ADD_KEYPTR(hh, l->index, rows[i].name, strlen(rows[i].name), &rows[i]);
	}
	l->dag->ntasks = (int)map->n;
	l->task_names = names;
	return 0;
}

/* ---- needs ---------------------------------------------------------------------------- */

static void say_unknown_need(struct dag_loader *l, const struct node *item)
{
	const char *near = near_find(item->text, l->task_names, (size_t)l->dag->ntasks);
	struct buf list;

	diag_node(l->diags, DIAG_ERROR, item, "needs: there is no task \"%s\"%s%s%s", item->text,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (near)
		return;
	buf_init(&list, 64 << 10);
	for (int i = 0; i < l->dag->ntasks && i < TASKS_SHOWN; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", l->task_names[i]);
	diag_hint(l->diags, "tasks: %s%s", list.data, l->dag->ntasks > TASKS_SHOWN ? ", ..." : "");
	buf_release(&list);
}

static void load_needs(struct dag_loader *l, struct task *t, const struct node *n)
{
	size_t count = !n || n->type == NODE_MAP ? 0 : n->type == NODE_SEQ ? n->n : 1;
	int *needs = arena_array(&l->dag->arena, count + 1, sizeof *needs);
	t->needs = needs;
	for (size_t i = 0; needs && i < count; i++) {
		const struct node *item = n->type == NODE_SEQ ? n->items[i] : n;
		int index = node_text(item) ? find_name(l, item->text) : -1;
		if (!node_text(item))
			continue;
		if (index < 0) {
			say_unknown_need(l, item);
			continue;
		}
		bool again = l->stamps[index] == t->index + 1;
		l->stamps[index] = t->index + 1;
		if (again)
			diag_node(l->diags, DIAG_WARNING, item, "needs: \"%s\" is named twice",
				item->text);
		else
			needs[t->nneeds++] = index;
	}
}

static void say_cycle(struct dag_loader *l, const int *cycle, int len)
{
	const struct task *tasks = l->dag->tasks;
	struct buf path;

	buf_init(&path, 1 << 20);
	for (int i = 0; i < len; i++) {
		if (i == CYCLE_SHOWN && len > CYCLE_SHOWN + 2) {
			buf_addf(&path, " -> (%d more)", len - 1 - i);
			i = len - 1;
		}
		buf_addf(&path, "%s%s", i ? " -> " : "", tasks[cycle[i]].name);
	}
	const struct node *map = l->tasks->items[cycle[0]];
	const struct node *at = node_key(map, "needs");
	if (len == 2)
		diag_node(l->diags, DIAG_ERROR, at ? at : map, "needs: task \"%s\" needs itself",
			tasks[cycle[0]].name);
	else
		diag_node(l->diags, DIAG_ERROR, at ? at : map,
			"needs: the tasks need each other in a circle: %s", path.data);
	if (len > 2)
		diag_hint(l->diags, "\"a -> b\" says that a needs b; take one of these needs away");
	buf_release(&path);
}

static void seal(struct dag_loader *l)
{
	int *cycle = calloc((size_t)l->dag->ntasks + 1, sizeof *cycle), len = 0;
	struct err err = { 0 };

	int rc = cycle ? dag_seal(l->dag, cycle, &len, &err) : err_nomem(&err);
	if (rc < 0 && len > 0)
		say_cycle(l, cycle, len);
	else if (rc < 0)
		diag_err(l->diags, l->path, &err);
	free(cycle);
}

static void load_tasks(struct dag_loader *l)
{
	const struct node *map = l->tasks;

	if (map->type != NODE_MAP || map->n == 0) {
		diag_node(l->diags, DIAG_ERROR, map,
			"tasks: expected a mapping of tasks by name, found %s",
			map->type == NODE_MAP ? "an empty one" : node_type_name(map->type));
		return;
	}
	if (map->n > TASKS_MAX || load_names(l) < 0) {
		diag_node(l->diags, DIAG_ERROR, map, "tasks: too many tasks (%zu)", map->n);
		return;
	}
	for (size_t i = 0; i < map->n; i++) {
		struct task *t = &l->dag->tasks[i];
		dagfile_load_task(l, t, map->items[i]);
		load_needs(l, t, node_get(map->items[i], "needs"));
	}
	/* A circle is one error; what else is wrong is told all the same. */
	seal(l);
	dagfile_check_defaults(l);
	for (size_t i = 0; i < map->n; i++)
		dagfile_check_task(l, &l->dag->tasks[i], map->items[i]);
}

/* ---- the top level -------------------------------------------------------------------- */

static void load_tags(struct dag_loader *l, const struct node *n)
{
	size_t count = !n ? 0 : n->type == NODE_SEQ ? n->n : 1;
	const char **tags = arena_array(&l->dag->arena, count + 1, sizeof *tags);

	for (size_t i = 0; tags && i < count; i++) {
		const struct node *item = n->type == NODE_SEQ ? n->items[i] : n;
		tags[i] = node_text(item) ? item->text : "";
	}
	l->dag->tags = tags;
}

/* The version: of the text, and of all files that are part of a definition. */
static void hash_dag(struct dag *dag, const struct source *source)
{
	struct digest *d = digest_new();

	if (!d)
		return;
	digest_add(d, source->text, source->len);
	for (int i = 0; i < dag->ntasks; i++)
		digest_add(d, dag->tasks[i].hash, strlen(dag->tasks[i].hash));
	digest_hex(d, dag->hash);
	digest_free(d);
}

static void keep_calendar(void *arg, const char *path)
{
	dagfile_keep_file(arg, path);
}

static void load_schedule(struct dag_loader *l, const struct node *n, struct kept *kept)
{
	const struct node *active = node_get(n, "max_active_runs");
	const char *overlap = node_text(node_get(n, "overlap"));
	struct dag *dag = l->dag;
	const struct schedule_env env = {
		.dir = dag->dir, .config = l->env->config, .file = keep_calendar, .arg = l
	};

	if (n)
		dag->schedule = schedule_load(n, &env, &dag->arena, &kept->zone, l->diags);
	dag->max_active_runs = active && active->i > 0 ? (int)active->i : 1;
	for (int i = 0; overlap && planner_overlap_names[i]; i++)
		if (strcmp(overlap, planner_overlap_names[i]) == 0)
			dag->overlap = i;
}

static void load_top(struct dag_loader *l, struct kept *kept)
{
	const struct node *root = l->root;
	const struct schema_env env = { 0 };
	struct dag *dag = l->dag;

	schema_check(root, dagfile_fields, "DAG", &env, l->diags);
	if (root->type != NODE_MAP)
		return;
	dag->name = node_text(node_get(root, "dag"));
	dag->description = node_text(node_get(root, "description"));
	dag->owner = node_text(node_get(root, "owner"));
	dag->runbook = node_text(node_get(root, "runbook"));
	load_tags(l, node_get(root, "tags"));
	load_schedule(l, node_get(root, "schedule"), kept);
	dagfile_load_params(l, node_get(root, "params"));
	l->defaults = node_get(root, "defaults");
	l->tasks = node_get(root, "tasks");
	if (l->tasks)
		load_tasks(l);
}

/* `dir` NULL: the folder of the file. */
static int set_paths(struct dag *dag, const char *path, const char *dir, struct err *err)
{
	char *real = dir ? NULL : io_realpath(path, err);
	char *own = real ? io_path_dir(real) : NULL;
	int rc = -1;

	if (dir || own) {
		dag->path = arena_strdup(&dag->arena, path);
		dag->dir = arena_strdup(&dag->arena, dir ? dir : own);
		rc = dag->path && dag->dir ? 0 : err_nomem(err);
	}
	free(real);
	free(own);
	return rc;
}

struct origin {
	const char *path, *dir, *text; /* text NULL: read the file */
};

static int read_doc(struct yaml_doc *doc, const struct origin *from, struct diags *diags)
{
	if (from->text)
		return yaml_parse(doc, from->path, from->text, strlen(from->text), diags);
	return yaml_read(doc, from->path, diags);
}

static struct dag *load(
	const struct origin *from, const struct dagfile_env *env, struct diags *diags)
{
	const char *path = from->path;
	size_t errors_before = diags->nerrors;
	struct kept *kept = calloc(1, sizeof *kept);
	struct dag *dag = dag_new();
	struct err err = { 0 };

	if (!kept || !dag) {
		free(kept);
		dag_unref(dag);
		err_nomem(&err);
		diag_err(diags, path, &err);
		return NULL;
	}
	dag->on_free = free_kept;
	dag->on_free_arg = kept;
	if (read_doc(&kept->doc, from, diags) < 0)
		goto fail;
	struct dag_loader l = {
		.dag = dag, .env = env, .path = path, .root = kept->doc.root, .diags = diags
	};
	if (set_paths(dag, path, from->dir, &err) < 0) {
		diag_err(diags, path, &err);
	} else if (!l.root) {
		err_set(&err, ERR_INVALID,
			"the file is empty; a DAG has at least `dag:` and `tasks:`");
		diag_err(diags, path, &err);
	} else {
		dag->text = kept->doc.source->text;
		load_top(&l, kept);
	}
	HASH_CLEAR(hh, l.index);
	if (dag->arena.failed) {
		err_nomem(&err);
		diag_err(diags, path, &err);
	}
	if (diags->nerrors == errors_before) {
		hash_dag(dag, kept->doc.source);
		return dag;
	}
fail:
	dag_unref(dag);
	return NULL;
}

struct dag *dagfile_load(const char *path, const struct dagfile_env *env, struct diags *diags)
{
	return load(&(struct origin){ .path = path }, env, diags);
}

struct dag *dagfile_load_text(const char *path, const char *dir, const char *text,
	const struct dagfile_env *env, struct diags *diags)
{
	return load(&(struct origin){ path, dir, text }, env, diags);
}

/* Does a line begin with this key, in quotes or not, and a colon? */
static bool has_key(const char *line, const char *key)
{
	size_t len = strlen(key);

	line += *line == '"' || *line == '\'';
	if (strncmp(line, key, len) != 0)
		return false;
	line += len;
	line += *line == '"' || *line == '\'';
	return line[strspn(line, " \t")] == ':';
}

bool dagfile_looks_like_dag(const char *text)
{
	/* A flow mapping is rare enough to be looked at by the loader. */
	if (text[strspn(text, " \t\r\n")] == '{')
		return true;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (has_key(line, "dag") || has_key(line, "tasks"))
			return true;
	}
	return false;
}
