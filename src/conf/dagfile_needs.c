/* Needs: of tasks, and of groups, which stand for tasks.
 *
 * A group that is needed stands for its last tasks: those no other of its tasks needs. What a
 * group needs, its first tasks need: those that need none of its tasks. Both are asked of a task
 * and a group by two numbers per task and group, made once: how deep the innermost group lies that
 * has both ends of one of its needs in it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "conf/dagfile_impl.h"
#include "core/condition.h"

enum { TASKS_SHOWN = 20 };
#define EDGES_MAX 20000000u

/* What the needs of a task or group say: indices of tasks, complements of groups' indices. */
struct links {
	const int *refs;
	int nrefs;
	const struct cross_need *cross; /* on other DAGs */
	int ncross;
	int up; /* depth of the innermost group that holds it and something it needs; 0: the DAG */
	int down; /* the same of something that needs it */
};

/* The last tasks of a group. */
struct lasts {
	int *list; /* NULL: not asked for yet */
	int n;
};

struct needs {
	struct dag_loader *loader;
	struct lasts *lasts; /* by group */
	struct links *links; /* of the tasks, then of the groups */
	int *found;          /* the needs of the task at hand; room for all */
	int nfound;
	size_t nedges;
	struct cross_need *cross; /* those of the task at hand; room for all that are written */
	int ncross;
};

static struct links *links_of(const struct needs *n, int ref)
{
	return &n->links[ref >= 0 ? ref : n->loader->dag->ntasks + ~ref];
}

/* The group directly around it; -1: the DAG. */
static int around(const struct needs *n, int ref)
{
	const struct dag *dag = n->loader->dag;

	return ref >= 0 ? dag_group_of(dag, &dag->tasks[ref]) : dag->groups[~ref].parent;
}

static int depth_of(const struct dag *dag, int group)
{
	return group >= 0 ? dag->groups[group].depth : 0;
}

/* Is the task or group `ref` the group itself, or in it? */
static bool is_in(const struct needs *n, int ref, int group)
{
	for (int g = ref >= 0 ? around(n, ref) : ~ref; g >= 0; g = n->loader->dag->groups[g].parent)
		if (g == group)
			return true;
	return false;
}

/* How deep the innermost group lies that both are in. */
static int common_depth(const struct needs *n, int a, int b)
{
	const struct dag *dag = n->loader->dag;

	a = around(n, a);
	b = around(n, b);
	while (a != b) {
		bool first = depth_of(dag, a) >= depth_of(dag, b);
		int *deeper = first ? &a : &b;
		*deeper = dag->groups[*deeper].parent;
	}
	return depth_of(dag, a);
}

/* ---- what is written ------------------------------------------------------------------ */

static void say_unknown(struct needs *n, const char *from, const struct node *item)
{
	const struct dag_loader *l = n->loader;
	const char *near = dagfile_near_name(l, from, item->text);
	struct buf list;

	diag_node(l->diags, DIAG_ERROR, item, "needs: there is no task \"%s\"%s%s%s", item->text,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (near)
		return;
	if (strchr(item->text, '[')) {
		diag_hint(l->diags, "a mapped task is needed as a whole: needs: %.*s",
			(int)strcspn(item->text, "["), item->text);
		return;
	}
	buf_init(&list, 64 << 10);
	for (int i = 0; i < l->dag->ntasks && i < TASKS_SHOWN; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", l->task_names[i]);
	/* What a task or group of this file is called no longer stands for a DAG. */
	bool other = strchr(item->text, '.') && !strchr(item->text, ':');
	diag_hint(l->diags, "tasks: %s%s%s%s", list.data,
		l->dag->ntasks > TASKS_SHOWN ? ", ..." : "", other ? "; of another DAG: dag:" : "",
		other ? item->text : "");
	buf_release(&list);
}

/* A group cannot wait for what is in it, nor what is in it for the group. */
static bool is_tangled(struct needs *n, int from, int to, const struct node *item)
{
	const struct dag *dag = n->loader->dag;
	struct diags *diags = n->loader->diags;

	if (from < 0 && from == to)
		diag_node(diags, DIAG_ERROR, item, "needs: group \"%s\" needs itself",
			dag->groups[~from].name);
	else if (to < 0 && is_in(n, from, ~to))
		diag_node(diags, DIAG_ERROR, item, "needs: \"%s\" is inside the group \"%s\"",
			from >= 0 ? dag->tasks[from].name : dag->groups[~from].name,
			dag->groups[~to].name);
	else if (from < 0 && is_in(n, to, ~from))
		diag_node(diags, DIAG_ERROR, item, "needs: \"%s\" is inside the group \"%s\"",
			to >= 0 ? dag->tasks[to].name : dag->groups[~to].name,
			dag->groups[~from].name);
	else
		return false;
	return true;
}

static void link_up(struct needs *n, int from, int to)
{
	int depth = common_depth(n, from, to);
	struct links *f = links_of(n, from), *t = links_of(n, to);

	if (f->up < depth)
		f->up = depth;
	if (t->down < depth)
		t->down = depth;
}

static bool same_cross(const struct cross_need *a, const struct cross_need *b)
{
	return strcmp(a->dag, b->dag) == 0 && a->covers == b->covers &&
	       (a->task && b->task ? strcmp(a->task, b->task) == 0 : a->task == b->task);
}

/* What names nothing of this file. `list`: room for all of them. */
static void read_cross(struct needs *n, struct links *own, struct cross_need *list,
	const char *name, const struct node *item)
{
	struct cross_need *c = &list[own->ncross];
	int r = dagfile_cross_need(n->loader, name, item, c);

	own->cross = list;
	if (r == 0)
		say_unknown(n, name, item);
	for (int i = 0; r > 0 && i < own->ncross; i++)
		if (same_cross(&list[i], c)) {
			diag_node(n->loader->diags, DIAG_WARNING, item,
				"needs: %s%s%s is named twice", c->dag, c->task ? "." : "",
				c->task ? c->task : "");
			return;
		}
	own->ncross += r > 0;
	n->ncross += r > 0;
}

static void read_needs(struct needs *n, int from, const char *name, const struct node *node)
{
	struct dag_loader *l = n->loader;
	size_t count = !node ? 0 : node->type == NODE_SEQ ? node->n : 1;
	int *refs = arena_array(&l->dag->arena, count + 1, sizeof *refs);
	struct cross_need *cross = NULL;
	struct links *own = links_of(n, from);
	int stamp = (int)(own - n->links) + 1;

	own->refs = refs;
	for (size_t i = 0; refs && i < count; i++) {
		const struct node *item = node->type == NODE_SEQ ? node->items[i] : node;
		int to = node_text(item) ? dagfile_find_name(l, name, item->text) : DAGFILE_UNKNOWN;
		if (to == DAGFILE_UNKNOWN) {
			if (!cross)
				cross = arena_array(&l->dag->arena, count, sizeof *cross);
			if (cross && (node_text(item) || item->type == NODE_MAP))
				read_cross(n, own, cross, name, item);
			continue;
		}
		if (is_tangled(n, from, to, item))
			continue;
		int *last = &l->stamps[links_of(n, to) - n->links];
		bool again = *last == stamp;
		*last = stamp;
		if (again) {
			diag_node(l->diags, DIAG_WARNING, item, "needs: \"%s\" is named twice",
				item->text);
			continue;
		}
		refs[own->nrefs++] = to;
		link_up(n, from, to);
	}
}

/* Without `needs:` a task needs those that its condition names. */
static void read_condition(struct needs *n, const struct task *t)
{
	const struct condition *c = t->when;
	int *refs = arena_array(&n->loader->dag->arena, (size_t)c->nterms + 1, sizeof *refs);
	struct links *own = links_of(n, t->index);
	int stamp = t->index + 1;

	own->refs = refs;
	for (int i = 0; refs && i < c->nterms; i++) {
		int to = c->terms[i].task, *last = &n->loader->stamps[to];
		if (*last == stamp)
			continue;
		*last = stamp;
		refs[own->nrefs++] = to;
		link_up(n, t->index, to);
	}
}

/* ---- what it comes to ----------------------------------------------------------------- */

/* Does a task of the group need the task? */
static bool is_last(const struct needs *n, int task, int group)
{
	const struct dag *dag = n->loader->dag;
	int depth = dag->groups[group].depth;

	for (int ref = task; ref != ~group; ref = ~around(n, ref))
		if (links_of(n, ref)->down >= depth)
			return false;
	return true;
}

static const struct lasts *lasts_of(struct needs *n, int group)
{
	const struct task_group *g = &n->loader->dag->groups[group];
	struct lasts *ret = &n->lasts[group];

	if (ret->list)
		return ret;
	ret->list = arena_array(&n->loader->dag->arena, (size_t)g->ntasks + 1, sizeof *ret->list);
	for (int k = g->first; ret->list && k < g->first + g->ntasks; k++)
		if (is_last(n, k, group))
			ret->list[ret->n++] = k;
	return ret;
}

static void add_need(struct needs *n, int task, int need)
{
	int *last = &n->loader->stamps[need];

	if (*last == task + 1)
		return;
	*last = task + 1;
	n->found[n->nfound++] = need;
}

static void add_refs(struct needs *n, int task, const struct links *from)
{
	for (int i = 0; i < from->nrefs; i++) {
		int ref = from->refs[i];
		if (ref >= 0) {
			add_need(n, task, ref);
			continue;
		}
		const struct lasts *lasts = lasts_of(n, ~ref);
		for (int k = 0; k < lasts->n; k++)
			add_need(n, task, lasts->list[k]);
	}
}

static void add_cross(struct needs *n, const struct links *from)
{
	for (int i = 0; i < from->ncross; i++) {
		int k = 0;
		while (k < n->ncross && !same_cross(&n->cross[k], &from->cross[i]))
			k++;
		if (k == n->ncross)
			n->cross[n->ncross++] = from->cross[i];
	}
}

static void settle_cross(struct needs *n, struct task *t)
{
	size_t size = (size_t)n->ncross * sizeof *t->cross;
	struct cross_need *cross =
		n->ncross ? arena_array(&n->loader->dag->arena, (size_t)n->ncross, sizeof *cross)
			  : NULL;

	if (!cross)
		return;
	memcpy(cross, n->cross, size);
	t->cross = cross;
	t->ncross = n->ncross;
}

/* Its own, and those of the groups it is one of the first of. */
static void settle_task(struct needs *n, struct task *t)
{
	const struct dag *dag = n->loader->dag;
	int up = 0; /* the deepest of it and of the groups around it so far */

	n->nfound = n->ncross = 0;
	for (int ref = t->index;; ref = ~around(n, ref)) {
		const struct links *k = links_of(n, ref);
		int group = around(n, ref);
		add_refs(n, t->index, k);
		add_cross(n, k);
		up = k->up > up ? k->up : up;
		if (group < 0 || up >= dag->groups[group].depth)
			break;
	}
	n->nedges += (size_t)n->nfound;
	int *needs = arena_array(&n->loader->dag->arena, (size_t)n->nfound + 1, sizeof *needs);
	if (!needs)
		return;
	memcpy(needs, n->found, (size_t)n->nfound * sizeof *needs);
	t->needs = needs;
	t->nneeds = n->nfound;
	settle_cross(n, t);
}

static void settle(struct needs *n)
{
	struct dag_loader *l = n->loader;

	memset(l->stamps, 0, (size_t)(l->dag->ntasks + l->dag->ngroups) * sizeof *l->stamps);
	for (int i = 0; i < l->dag->ntasks; i++) {
		settle_task(n, &l->dag->tasks[i]);
		if (n->nedges <= EDGES_MAX)
			continue;
		diag_node(l->diags, DIAG_ERROR, l->sources[i].key,
			"needs: more than %u needs between tasks in all", EDGES_MAX);
		diag_hint(l->diags, "where a large group needs another, put one task between them");
		return;
	}
}

void dagfile_load_needs(struct dag_loader *l)
{
	const struct dag *dag = l->dag;
	size_t count = (size_t)(dag->ntasks + dag->ngroups) + 1;
	struct needs n = { .loader = l,
		.links = calloc(count, sizeof *n.links),
		.lasts = calloc(count, sizeof *n.lasts),
		.found = calloc(count, sizeof *n.found) };

	if (n.links && n.lasts && n.found) {
		for (int i = 0; i < dag->ntasks; i++) {
			const struct node *needs = node_get(l->sources[i].node, "needs");
			if (dag->tasks[i].when && !needs)
				read_condition(&n, &dag->tasks[i]);
			else
				read_needs(&n, i, dag->tasks[i].name, needs);
		}
		for (int g = 0; g < dag->ngroups; g++)
			read_needs(&n, ~g, dag->groups[g].name,
				node_get(l->scopes[g + 1].node, "needs"));
		n.cross = arena_array(&l->dag->arena, (size_t)n.ncross + 1, sizeof *n.cross);
		if (n.cross)
			settle(&n);
	} else {
		l->dag->arena.failed = true;
	}
	free(n.links);
	free(n.lasts);
	free(n.found);
}
