#include "conf/dagfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/bundle.h"
#include "conf/dagfile_impl.h"
#include "conf/schedule.h"
#include "conf/sla.h"
#include "core/planner.h"
#include "core/timetable.h"
#include "core/zone.h"

enum { CYCLE_SHOWN = 50, DAG_KEYS_MAX = 64, WEIGHED_MAX = 100000 };

static void free_kept(void *arg)
{
	struct dag_kept *k = arg;

	dagfile_free_fragments(k->fragments);
	yaml_release(&k->doc);
	zone_free(k->zone);
	free(k);
}

/* ---- tasks ---------------------------------------------------------------------------- */

/* Where the needs of a task are written: its own, or those of a group it is in. */
static const struct node *needs_of(const struct dag_loader *l, const struct task *t)
{
	const struct node *own = l->sources[t->index].node, *at = node_key(own, "needs");

	at = at ? at : node_key(own, "when");
	for (int g = dag_group_of(l->dag, t); g >= 0 && !at; g = l->dag->groups[g].parent)
		at = node_key(l->scopes[g + 1].node, "needs");
	return at ? at : l->sources[t->index].node;
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
	const struct node *at = needs_of(l, &tasks[cycle[0]]);
	if (len == 2)
		diag_node(l->diags, DIAG_ERROR, at, "needs: task \"%s\" needs itself",
			tasks[cycle[0]].name);
	else
		diag_node(l->diags, DIAG_ERROR, at,
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
	for (int i = 0; i < l->dag->ntasks; i++) {
		dagfile_load_task(l, &l->dag->tasks[i], l->sources[i].node);
		dagfile_load_trigger(l, &l->dag->tasks[i], l->sources[i].node);
	}
	dagfile_load_needs(l);
	for (int i = 0; i < l->dag->ntasks; i++)
		dagfile_settle_trigger(l, &l->dag->tasks[i], l->sources[i].node);
	for (int i = 0; i < l->dag->ntasks; i++)
		dagfile_check_cross(l, &l->dag->tasks[i]);
	if (l->dag->priority_weight == WEIGHT_DOWNSTREAM && l->dag->ntasks > WEIGHED_MAX)
		diag_node(l->diags, DIAG_ERROR, node_get(l->root, "priority_weight"),
			"priority_weight: downstream is for at most %d tasks", WEIGHED_MAX);
	/* A circle is one error; what else is wrong is told all the same. */
	seal(l);
	dagfile_check_triggers(l);
	dagfile_check_datasets(l);
	dagfile_check_defaults(l);
	for (int i = 0; i < l->dag->ntasks; i++)
		dagfile_check_task(l, &l->dag->tasks[i], l->sources[i].node);
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

/* The version: of the text with all it includes, and of the files that are part of a definition. */
static void hash_dag(struct dag *dag)
{
	struct digest *d = digest_new();

	if (!d)
		return;
	digest_add(d, dag->text, strlen(dag->text));
	for (int i = 0; i < dag->ntasks; i++)
		digest_add(d, dag->tasks[i].hash, strlen(dag->tasks[i].hash));
	digest_hex(d, dag->hash);
	digest_free(d);
}

static void keep_calendar(void *arg, const char *path)
{
	dagfile_keep_file(arg, path);
}

static void load_schedule(struct dag_loader *l, const struct node *n, struct dag_kept *kept)
{
	const struct node *active = node_get(n, "max_active_runs");
	const char *overlap = node_text(node_get(n, "overlap"));
	struct dag *dag = l->dag;
	const struct schedule_env env = {
		.dir = dag->dir, .config = l->env->config, .file = keep_calendar, .arg = l
	};

	if (n)
		dag->schedule = schedule_load(n, &env, &dag->arena, &kept->zone, l->diags);
	dagfile_load_datasets(l, n);
	dag->max_active_runs = active && active->i > 0 ? (int)active->i : 1;
	for (int i = 0; overlap && planner_overlap_names[i]; i++)
		if (strcmp(overlap, planner_overlap_names[i]) == 0)
			dag->overlap = i;
}

static void load_limits(struct dag_loader *l)
{
	const struct node *most = node_get(l->root, "max_active_tasks");
	const char *weight = node_text(node_get(l->root, "priority_weight"));

	if (most && most->type == NODE_INT && most->i > 0 && most->i <= INT_MAX)
		l->dag->max_active_tasks = (int)most->i;
	for (int i = 0; weight && i < WEIGHT_MAX; i++)
		if (strcmp(weight, priority_weight_names[i]) == 0)
			l->dag->priority_weight = (enum priority_weight)i;
}

/* The tasks may all come from elsewhere. */
static void check_keys(struct dag_loader *l)
{
	struct field rows[DAG_KEYS_MAX] = { 0 };
	const struct schema_env env = { 0 };
	bool includes = node_get(l->root, "include") != NULL;

	for (size_t i = 0; i + 1 < DAG_KEYS_MAX && dagfile_fields[i].key; i++) {
		rows[i] = dagfile_fields[i];
		if (includes && strcmp(rows[i].key, "tasks") == 0)
			rows[i].flags &= ~(unsigned)FIELD_REQUIRED;
	}
	schema_check(l->root, rows, "DAG", &env, l->diags);
}

/* Also when its schedule is broken: that is said already. */
bool dagfile_has_ticks(const struct dag_loader *l)
{
	const struct node *n = node_get(l->root, "schedule");
	const struct schedule_spec *spec = l->dag->schedule;

	return n && (!spec || spec->kind != TIMETABLE_MANUAL);
}

static void load_top(struct dag_loader *l, struct dag_kept *kept)
{
	const struct node *root = l->root;
	struct dag *dag = l->dag;
	size_t errors = l->diags->nerrors;
	if (node_key(root, "fragment") && !node_key(root, "dag")) {
		diag_node(l->diags, DIAG_ERROR, node_key(root, "fragment"),
			"this is a fragment: it is part of the DAGs that include it");
		return;
	}
	check_keys(l);
	if (root->type != NODE_MAP)
		return;
	dag->name = node_text(node_get(root, "dag"));
	dag->description = node_text(node_get(root, "description"));
	dag->owner = node_text(node_get(root, "owner"));
	dag->severity = node_text(node_get(root, "severity"));
	dag->runbook = node_text(node_get(root, "runbook"));
	load_tags(l, node_get(root, "tags"));
	load_schedule(l, node_get(root, "schedule"), kept);
	dag->sla =
		sla_load(node_get(root, "sla"), "sla", dagfile_has_ticks(l), &dag->arena, l->diags);
	load_limits(l);
	dagfile_collect(l);
	dagfile_load_params(l, l->params);
	if (dag->ntasks > 0)
		load_tasks(l);
	else if (l->diags->nerrors == errors)
		diag_node(l->diags, DIAG_ERROR, root,
			"DAG: neither it nor what it includes has tasks");
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
	struct bundle_part part;
	size_t at = 0;

	if (from->text && bundle_next(from->text, &at, &part))
		return yaml_parse(doc, from->path, part.text, part.len, diags);
	if (from->text)
		return yaml_parse(doc, from->path, from->text, strlen(from->text), diags);
	return yaml_read(doc, from->path, diags);
}

static struct dag *load(
	const struct origin *from, const struct dagfile_env *env, struct diags *diags)
{
	const char *path = from->path;
	size_t errors_before = diags->nerrors, first_diag = diags->n;
	struct dag_kept *kept = calloc(1, sizeof *kept);
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
	struct dag_loader l = { .dag = dag,
		.env = env,
		.path = path,
		.bundle = from->text && bundle_is(from->text) ? from->text : NULL,
		.kept = kept,
		.root = kept->doc.root,
		.diags = diags };
	if (set_paths(dag, path, from->dir, &err) < 0) {
		diag_err(diags, path, &err);
	} else if (!l.root) {
		err_set(&err, ERR_INVALID,
			"the file is empty; a DAG has at least `dag:` and `tasks:`");
		diag_err(diags, path, &err);
	} else {
		load_top(&l, kept);
		dagfile_place_fragments(&l, first_diag);
	}
	dagfile_forget_names(&l);
	dag->text = diags->nerrors == errors_before ? dagfile_whole_text(&l) : NULL;
	if (dag->arena.failed) {
		err_nomem(&err);
		diag_err(diags, path, &err);
	}
	if (diags->nerrors == errors_before) {
		hash_dag(dag);
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
	bool found = false;

	/* A flow mapping is rare enough to be looked at by the loader. */
	if (text[strspn(text, " \t\r\n")] == '{')
		return true;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		found = found || has_key(line, "dag") || has_key(line, "tasks");
		if (has_key(line, "fragment"))
			return false;
	}
	return found;
}

char *dagfile_name_of(const char *text)
{
	static const char *const name_chars =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!has_key(line, "dag"))
			continue;
		const char *name = strchr(line, ':') + 1;
		name += strspn(name, " \t\"'");
		size_t len = strspn(name, name_chars);
		return len ? strndup(name, len) : NULL;
	}
	return NULL;
}
