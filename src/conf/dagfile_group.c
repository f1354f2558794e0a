/* Groups: the tasks of a file, its groups and its fragments in one list, each with its full name.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "base/near.h"
#include "conf/dagfile_impl.h"

enum { TASKS_MAX = 1000000, NAME_MAX_BYTES = 128 };

struct name_index {
	const char *name;
	int index; /* of a task, or the complement of a group's */
	const struct node *key;
	UT_hash_handle hh;
};

/* Room for one more in an array of the arena; NULL without memory. */
static void *grow(struct dag_loader *l, void *list, const size_t n[2], size_t size)
{
	if (n[0] < n[1])
		return list;
	void *grown = arena_array(&l->dag->arena, n[1] ? n[1] * 2 : 16, size);
	if (grown && n[0])
		memcpy(grown, list, n[0] * size);
	return grown;
}

#define GROW(l, list, n, cap)                                                                  \
	({                                                                                     \
		void *grown_ =                                                                 \
			grow(l, (l)->list, (size_t[]){ (l)->n, (l)->cap }, sizeof *(l)->list); \
		if (grown_ && (l)->n == (l)->cap)                                              \
			(l)->cap = (l)->cap ? (l)->cap * 2 : 16;                               \
		if (grown_)                                                                    \
			(l)->list = grown_;                                                    \
		grown_ != NULL;                                                                \
	})

const struct node *dagfile_merge(
	struct dag_loader *l, const struct node *own, const struct node *base)
{
	struct arena *arena = &l->dag->arena;

	if (!own || !base || own->type != NODE_MAP || base->type != NODE_MAP)
		return own ? own : base;
	struct node *all = arena_alloc(arena, sizeof *all);
	const struct node **keys = arena_array(arena, own->n + base->n + 1, sizeof *keys);
	const struct node **items = arena_array(arena, own->n + base->n + 1, sizeof *items);
	if (!all || !keys || !items)
		return NULL;
	*all = *own;
	memcpy(keys, own->keys, own->n * sizeof *keys);
	memcpy(items, own->items, own->n * sizeof *items);
	for (size_t i = 0; i < base->n; i++) {
		if (node_get(own, base->keys[i]->text))
			continue;
		keys[all->n] = base->keys[i];
		items[all->n++] = base->items[i];
	}
	all->keys = keys;
	all->items = items;
	return all;
}

/* Defaults over defaults: those that are maps themselves key by key. */
static const struct node *merge_defaults(
	struct dag_loader *l, const struct node *own, const struct node *base)
{
	static const char *const deep[] = { "backoff", "env", "limits" };
	const struct node *all = dagfile_merge(l, own, base);

	if (!all || all == own || all == base)
		return all;
	for (size_t i = 0; i < all->n; i++)
		for (size_t k = 0; k < sizeof deep / sizeof *deep; k++)
			if (strcmp(all->keys[i]->text, deep[k]) == 0)
				((const struct node **)all->items)[i] = dagfile_merge(
					l, node_get(own, deep[k]), node_get(base, deep[k]));
	return all;
}

/* ---- names ---------------------------------------------------------------------------- */

static bool is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return s[n] == '\0' && n > 0 && n <= NAME_MAX_BYTES && !strchr("0123456789-", s[0]);
}

/* The full name, entered for tasks and groups alike; NULL: it cannot be one. */
static const char *enter_name(
	struct dag_loader *l, const struct dag_scope *in, const struct node *key, int index)
{
	struct arena *arena = &l->dag->arena;
	struct name_index *row = arena_alloc(arena, sizeof *row), *other;
	const char *name = key->text;

	if (!is_name(key->text)) {
		diag_node(l->diags, DIAG_ERROR, key, "\"%s\" cannot be a task's name", key->text);
		diag_hint(l->diags,
			"a letter or _ first, then letters, digits, _ and -, at most 128");
	}
	if (in->group >= 0)
		name = arena_printf(arena, "%s.%s", l->groups[in->group].name, key->text);
	if (!row || !name)
		return NULL;
	HASH_FIND_STR(l->index, name, other);
	if (other) {
		diag_node(l->diags, DIAG_ERROR, key, "\"%s\" is there twice", name);
		diag_hint(l->diags, "the other one stands at %s:%d:%d", other->key->source->path,
			other->key->line, other->key->col);
		return NULL;
	}
	if (in->group >= 0 && strlen(name) > NAME_MAX_BYTES) {
		diag_node(l->diags, DIAG_ERROR, key,
			"\"%s\": with its groups a name has at most %d characters", name,
			NAME_MAX_BYTES);
		return NULL;
	}
	*row = (struct name_index){ .name = name, .index = index, .key = key };
	HASH_ADD_KEYPTR(hh, l->index, row->name, strlen(row->name), row);
	return name;
}

void dagfile_forget_names(struct dag_loader *l)
{
	HASH_CLEAR(hh, l->index);
}

/* `name` in the scope that the first `prefix` bytes of `from` say. */
static struct name_index *find_in(
	const struct dag_loader *l, const char *from, size_t prefix, const char *name)
{
	char full[2 * NAME_MAX_BYTES + 2];
	struct name_index *found = NULL;
	int len = snprintf(full, sizeof full, "%.*s%s", (int)prefix, from, name);

	if (len > 0 && (size_t)len < sizeof full)
		HASH_FIND(hh, l->index, full, (size_t)len, found);
	return found;
}

int dagfile_find_name(const struct dag_loader *l, const char *from, const char *name)
{
	for (size_t p = dag_name_scope(from, strlen(from));; p = dag_name_scope(from, p - 1)) {
		const struct name_index *found = find_in(l, from, p, name);
		if (found)
			return found->index;
		if (p == 0)
			return DAGFILE_UNKNOWN;
	}
}

const char *dagfile_near_name(const struct dag_loader *l, const char *from, const char *name)
{
	size_t n = l->nsources + l->ngroups;

	for (size_t p = dag_name_scope(from, strlen(from));; p = dag_name_scope(from, p - 1)) {
		char full[2 * NAME_MAX_BYTES + 2];
		snprintf(full, sizeof full, "%.*s%s", (int)p, from, name);
		const char *near = near_find(full, l->all_names, n);
		/* The prefix alone is no likeness. */
		bool here = near && strncmp(near, from, p) == 0;
		if (here && (p == 0 || near_find(name, &(const char *){ near + p }, 1)))
			return near;
		if (p == 0)
			return NULL;
	}
}

/* ---- collecting ----------------------------------------------------------------------- */

static void read_body(struct dag_loader *l, size_t scope, const struct node *body, const char *key);

static bool is_group(const struct node *n)
{
	return node_get(n, "group") || node_get(n, "include");
}

static void add_group(
	struct dag_loader *l, size_t scope, const struct node *key, const struct node *node)
{
	const struct schema_env env = { 0 };
	const struct dag_scope *in = &l->scopes[scope];
	const char *name = enter_name(l, in, key, ~(int)l->ngroups);
	size_t at = l->ngroups;
	char what[160];

	if (!name || !GROW(l, groups, ngroups, groups_cap) || !GROW(l, scopes, nscopes, scopes_cap))
		return;
	snprintf(what, sizeof what, "group %.128s", name);
	schema_check(node, dagfile_group_fields, what, &env, l->diags);
	in = &l->scopes[scope];
	l->groups[l->ngroups++] = (struct task_group){ .name = name,
		.description = node_text(node_get(node, "description")),
		.parent = in->group,
		.depth = in->group >= 0 ? l->groups[in->group].depth + 1 : 1,
		.first = (int)l->nsources,
		.line = key->line,
		.col = key->col };
	l->scopes[l->nscopes++] = (struct dag_scope){
		.key = key, .node = node, .group = (int)at, .first = (int)l->nsources
	};
	size_t errors = l->diags->nerrors;
	read_body(l, l->nscopes - 1, node, "group");
	l->groups[at].ntasks = (int)l->nsources - l->groups[at].first;
	if (l->groups[at].ntasks == 0 && l->diags->nerrors == errors)
		diag_node(l->diags, DIAG_ERROR, key, "group \"%s\" has no tasks", name);
}

static void add_task(
	struct dag_loader *l, size_t scope, const struct node *key, const struct node *node)
{
	const char *name = enter_name(l, &l->scopes[scope], key, (int)l->nsources);

	if (l->nsources == TASKS_MAX) {
		diag_node(l->diags, DIAG_ERROR, key, "tasks: more than %d", TASKS_MAX);
		l->nsources++;
	}
	if (!name || l->nsources > TASKS_MAX || !GROW(l, sources, nsources, sources_cap))
		return;
	l->sources[l->nsources++] = (struct dag_source){ key, node, name, (int)scope };
}

static void include(struct dag_loader *l, size_t scope, const struct node *item)
{
	const struct node *root = dagfile_open_fragment(l, item);

	if (!root)
		return;
	read_body(l, scope, root, "tasks");
	dagfile_close_fragment(l);
}

/* What a file, a fragment or a group says: what it includes first, so that its own goes over it. */
static void read_body(struct dag_loader *l, size_t scope, const struct node *body, const char *key)
{
	const struct node *list = node_get(body, "include"), *tasks = node_get(body, key);

	for (size_t i = 0; list && list->type == NODE_SEQ && i < list->n; i++)
		include(l, scope, list->items[i]);
	if (list && list->type != NODE_SEQ)
		include(l, scope, list);
	/* Params are the DAG's: what a group includes does not go over what is there. */
	const struct node *params = node_get(body, "params");
	l->params =
		scope ? dagfile_merge(l, l->params, params) : dagfile_merge(l, params, l->params);
	l->scopes[scope].own = merge_defaults(l, node_get(body, "defaults"), l->scopes[scope].own);
	if (tasks && (tasks->type != NODE_MAP || tasks->n == 0))
		diag_node(l->diags, DIAG_ERROR, tasks,
			"%s: expected a mapping of tasks by name, found %s", key,
			tasks->type == NODE_MAP ? "an empty one" : node_type_name(tasks->type));
	for (size_t i = 0; tasks && tasks->type == NODE_MAP && i < tasks->n; i++)
		if (is_group(tasks->items[i]))
			add_group(l, scope, tasks->keys[i], tasks->items[i]);
		else
			add_task(l, scope, tasks->keys[i], tasks->items[i]);
}

/* All names in one list: of tasks by their index, then of groups. */
static int list_names(struct dag_loader *l)
{
	struct arena *arena = &l->dag->arena;
	const char **all = arena_array(arena, l->nsources + l->ngroups + 1, sizeof *all);
	const char **tasks = l->ngroups ? arena_array(arena, l->nsources + 1, sizeof *tasks) : all;

	if (!all || !tasks)
		return -1;
	for (size_t i = 0; i < l->nsources; i++)
		all[i] = tasks[i] = l->sources[i].name;
	for (size_t i = 0; i < l->ngroups; i++)
		all[l->nsources + i] = l->groups[i].name;
	l->task_names = tasks;
	l->all_names = all;
	return 0;
}

/* The parents come before their groups. */
static void settle_defaults(struct dag_loader *l)
{
	l->scopes[0].defaults = l->scopes[0].own;
	for (size_t i = 1; i < l->nscopes; i++) {
		const int parent = l->groups[l->scopes[i].group].parent;
		/* The scope of group g is the one behind that of the DAG and those of the groups
		 * before it. */
		l->scopes[i].defaults =
			merge_defaults(l, l->scopes[i].own, l->scopes[parent + 1].defaults);
	}
}

static int make_tasks(struct dag_loader *l)
{
	struct dag *dag = l->dag;
	struct arena *arena = &dag->arena;

	dag->tasks = arena_array(arena, l->nsources + 1, sizeof *dag->tasks);
	l->stamps = arena_array(arena, l->nsources + l->ngroups + 1, sizeof *l->stamps);
	if (!dag->tasks || !l->stamps)
		return -1;
	for (size_t i = 0; i < l->nsources; i++) {
		dag->tasks[i].name = l->sources[i].name;
		dag->tasks[i].index = (int)i;
		int group = l->scopes[l->sources[i].scope].group;
		dag->tasks[i].group = group >= 0 ? &l->groups[group] : NULL;
	}
	dag->ntasks = (int)l->nsources;
	dag->groups = l->groups;
	dag->ngroups = (int)l->ngroups;
	return 0;
}

void dagfile_collect(struct dag_loader *l)
{
	if (!GROW(l, scopes, nscopes, scopes_cap))
		return;
	l->scopes[l->nscopes++] = (struct dag_scope){ .group = -1 };
	read_body(l, 0, l->root, "tasks");
	if (l->nsources > TASKS_MAX)
		l->nsources = TASKS_MAX;
	settle_defaults(l);
	if (list_names(l) < 0 || make_tasks(l) < 0)
		l->dag->arena.failed = true;
}
