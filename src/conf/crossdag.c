#include "conf/crossdag.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/buf.h"
#include "base/near.h"
#include "base/node.h"
#include "conf/diag.h"
#include "core/model.h"

enum { CYCLE_SHOWN = 20, NAMES_SHOWN = 20, NAMES_LOOKED_AT = 4096 };

struct edge {
	int task; /* -1: the beginning */
	char *to_dag, *to_task;
	char *key;
	struct diag mark;
};

/* A DAG. Its points are numbered from `base` on while there is a search: beginning, end, tasks. */
struct member {
	char *name;
	char **tasks; /* names, behind them in one block */
	int ntasks;   /* -1: nothing is known of them */
	int *first;   /* of each task: where its needs begin in `needs` */
	int *needs;
	struct edge *edges;
	size_t nedges;
	int base;
	UT_hash_handle hh;
};

struct crossdag {
	struct member *members; /* by name */
	bool sound; /* there was no circle when it was looked at last, and nothing was added since
		     */
};

struct crossdag *crossdag_new(void)
{
	return calloc(1, sizeof(struct crossdag));
}

static void free_edge(struct edge *e)
{
	free(e->to_dag);
	free(e->to_task);
	free(e->key);
	diag_mark_release(&e->mark);
}

static void free_member(struct member *m)
{
	for (size_t i = 0; i < m->nedges; i++)
		free_edge(&m->edges[i]);
	free(m->edges);
	free(m->first);
	free(m->needs);
	free(m->tasks);
	free(m->name);
	free(m);
}

void crossdag_free(struct crossdag *x)
{
	struct member *m, *next;

	if (!x)
		return;
	HASH_ITER (hh, x->members, m, next) {
		HASH_DEL(x->members, m);
		free_member(m);
	}
	free(x);
}

static struct member *find(const struct crossdag *x, const char *name)
{
	struct member *m;

	HASH_FIND_STR(x->members, name, m);
	return m;
}

static int find_task(const struct member *m, const char *name)
{
	for (int i = 0; i < m->ntasks; i++)
		if (strcmp(m->tasks[i], name) == 0)
			return i;
	return -1;
}

/* ---- taking in ------------------------------------------------------------------------ */

/* The DAG that a `control: dag` runs; NULL: the task is none, or a template says it. */
static const struct node *runs(const struct task *t)
{
	const struct node *dag = t->kind == TASK_CONTROL && t->op && strcmp(t->op, "dag") == 0
					 ? node_get(t->with, "dag")
					 : NULL;

	return node_text(dag) ? dag : NULL;
}

bool crossdag_says(const struct dag *dag)
{
	for (int i = 0; i < dag->ntasks; i++)
		if (dag->tasks[i].ncross || runs(&dag->tasks[i]))
			return true;
	return false;
}

static int copy_names(struct member *m, const struct dag *dag)
{
	size_t size = (size_t)dag->ntasks * sizeof *m->tasks + 1;

	for (int i = 0; i < dag->ntasks; i++)
		size += strlen(dag->tasks[i].name) + 1;
	m->tasks = malloc(size);
	if (!m->tasks)
		return -1;
	char *at = (char *)(m->tasks + dag->ntasks);
	for (int i = 0; i < dag->ntasks; i++) {
		m->tasks[i] = at;
		at = stpcpy(at, dag->tasks[i].name) + 1;
	}
	m->ntasks = dag->ntasks;
	return 0;
}

/* Of any DAG: edges may be added to it. */
static int copy_needs(struct member *m, const struct dag *dag)
{
	size_t n = 0;

	for (int i = 0; i < dag->ntasks; i++)
		n += (size_t)dag->tasks[i].nneeds;
	m->first = calloc((size_t)dag->ntasks + 1, sizeof *m->first);
	m->needs = calloc(n + 1, sizeof *m->needs);
	if (!m->first || !m->needs)
		return -1;
	n = 0;
	for (int i = 0; i < dag->ntasks; i++) {
		m->first[i] = (int)n;
		for (int j = 0; j < dag->tasks[i].nneeds; j++)
			m->needs[n++] = dag->tasks[i].needs[j];
	}
	m->first[dag->ntasks] = (int)n;
	return 0;
}

static int add_edge(struct member *m, int task, const struct crossdag_edge *e)
{
	struct edge *grown = reallocarray(m->edges, m->nedges + 1, sizeof *grown);

	if (!grown)
		return -1;
	m->edges = grown;
	struct edge *to = &grown[m->nedges];
	*to = (struct edge){ .task = task,
		.to_dag = strdup(e->to_dag),
		.to_task = e->to_task ? strdup(e->to_task) : NULL,
		.key = strdup(e->key) };
	if (!to->to_dag || !to->key || (e->to_task && !to->to_task)) {
		free_edge(to);
		return -1;
	}
	diag_mark(&to->mark, e->at);
	m->nedges++;
	return 0;
}

static int copy_edges(struct member *m, const struct dag *dag)
{
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		const struct node *run = runs(t);
		for (int k = 0; k < t->ncross; k++) {
			const struct crossdag_edge e = { .to_dag = t->cross[k].dag,
				.to_task = t->cross[k].task,
				.key = "needs",
				.at = t->cross[k].at };
			if (add_edge(m, i, &e) < 0)
				return -1;
		}
		const struct crossdag_edge e = {
			.to_dag = run ? run->text : NULL, .key = "dag", .at = run
		};
		if (run && add_edge(m, i, &e) < 0)
			return -1;
	}
	return 0;
}

static int enter(struct crossdag *x, struct member *m)
{
	crossdag_remove(x, m->name);
	x->sound = false;
	HASH_ADD_KEYPTR(hh, x->members, m->name, strlen(m->name), m);
	return m->hh.tbl ? 0 : -1;
}

int crossdag_put(struct crossdag *x, const struct dag *dag)
{
	struct member *m = calloc(1, sizeof *m);

	if (m && (m->name = strdup(dag->name)) && copy_names(m, dag) == 0 &&
		copy_needs(m, dag) == 0 && copy_edges(m, dag) == 0 && enter(x, m) == 0)
		return 0;
	if (m)
		free_member(m);
	return -1;
}

int crossdag_put_unknown(struct crossdag *x, const char *name)
{
	struct member *m = calloc(1, sizeof *m);

	if (m && (m->name = strdup(name))) {
		m->ntasks = -1;
		if (enter(x, m) == 0)
			return 0;
	}
	if (m)
		free_member(m);
	return -1;
}

void crossdag_remove(struct crossdag *x, const char *name)
{
	struct member *m = find(x, name);

	if (!m)
		return;
	HASH_DEL(x->members, m);
	free_member(m);
}

bool crossdag_has_edges(const struct crossdag *x, const char *name)
{
	const struct member *m = find(x, name);

	return m && m->nedges > 0;
}

int crossdag_add(struct crossdag *x, const struct crossdag_edge *e)
{
	struct member *m = find(x, e->dag);
	int task = m && e->task ? find_task(m, e->task) : -1;

	if (!m || (e->task && task < 0))
		return -1;
	x->sound = false;
	return add_edge(m, task, e);
}

/* ---- what is not there ------------------------------------------------------------------ */

static const char *near_dag(const struct crossdag *x, const char *name)
{
	const char *names[NAMES_LOOKED_AT];
	size_t n = 0;

	for (const struct member *m = x->members; m && n < NAMES_LOOKED_AT; m = m->hh.next)
		names[n++] = m->name;
	return near_find(name, names, n);
}

/* A name with a dot may have been meant for a task of the DAG itself. */
static const char *near_own(const struct member *m, const struct edge *e)
{
	char full[400];

	if (!e->to_task || m->ntasks <= 0)
		return NULL;
	snprintf(full, sizeof full, "%s.%s", e->to_dag, e->to_task);
	return near_find(full, (const char *const *)m->tasks, (size_t)m->ntasks);
}

static void say_no_dag(const struct crossdag *x, const struct member *m, const struct edge *e,
	const char *where, struct diags *diags)
{
	const char *near = near_own(m, e);

	near = near ? near : near_dag(x, e->to_dag);
	diag_at_mark(diags, &e->mark, "%s: there is no DAG \"%s\"%s%s%s", e->key, e->to_dag,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (!near && where)
		diag_hint(diags, "looked for in %s and the folders in it", where);
}

static void say_no_task(const struct member *to, const struct edge *e, struct diags *diags)
{
	const char *near =
		near_find(e->to_task, (const char *const *)to->tasks, (size_t)to->ntasks);
	struct buf list;

	diag_at_mark(diags, &e->mark, "%s: DAG %s has no task \"%s\"%s%s%s", e->key, e->to_dag,
		e->to_task, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	if (near)
		return;
	buf_init(&list, 64 << 10);
	for (int i = 0; i < to->ntasks && i < NAMES_SHOWN; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", to->tasks[i]);
	diag_hint(diags, "its tasks: %s%s", list.data, to->ntasks > NAMES_SHOWN ? ", ..." : "");
	buf_release(&list);
}

static void check_ends(const struct crossdag *x, const struct member *m, const struct edge *e,
	const char *where, struct diags *diags)
{
	const struct member *to = find(x, e->to_dag);

	if (!to)
		say_no_dag(x, m, e, where, diags);
	else if (e->to_task && to->ntasks >= 0 && find_task(to, e->to_task) < 0)
		say_no_task(to, e, diags);
}

/* ---- circles ---------------------------------------------------------------------------- */

enum { BEGIN, END, TASKS }; /* of the points of a DAG */

/* A walk through the graph: from a point to what it comes behind. */
struct search {
	const struct crossdag *x;
	struct member **of; /* of a point: its DAG */
	int *parent;        /* -1: not met; or how many points come behind it */
	int *queue;
	int npoints, tail;
};

static int count_points(struct crossdag *x)
{
	int n = 0;

	for (struct member *m = x->members; m; m = m->hh.next) {
		m->base = n;
		n += TASKS + (m->ntasks > 0 ? m->ntasks : 0);
	}
	return n;
}

static int search_init(struct search *s, struct crossdag *x)
{
	size_t n;

	s->x = x;
	s->npoints = count_points(x);
	n = (size_t)s->npoints + 1;
	s->of = calloc(n, sizeof(struct member *));
	s->parent = calloc(n, sizeof *s->parent);
	s->queue = calloc(n, sizeof *s->queue);
	if (!s->of || !s->parent || !s->queue)
		return -1;
	for (struct member *m = x->members; m; m = m->hh.next)
		for (int i = 0; i < TASKS + (m->ntasks > 0 ? m->ntasks : 0); i++)
			s->of[m->base + i] = m;
	return 0;
}

static void search_release(struct search *s)
{
	free(s->of);
	free(s->parent);
	free(s->queue);
}

/* The point an edge leads to; -1: it is not there. */
static int target(const struct search *s, const struct edge *e)
{
	const struct member *to = find(s->x, e->to_dag);
	int task = to && e->to_task ? find_task(to, e->to_task) : -1;

	if (!to || (e->to_task && task < 0))
		return -1;
	return to->base + (e->to_task ? TASKS + task : END);
}

typedef void point_fn(struct search *s, int point, int from);

static void each_edge(struct search *s, int point, int task, point_fn *fn)
{
	const struct member *m = s->of[point];

	for (size_t i = 0; i < m->nedges; i++) {
		int to = m->edges[i].task == task ? target(s, &m->edges[i]) : -1;
		if (to >= 0)
			fn(s, to, point);
	}
}

/* All that a point comes behind directly. Of a DAG without edges none leads further. */
static void each_next(struct search *s, int point, point_fn *fn)
{
	const struct member *m = s->of[point];
	int i = point - m->base, t = i - TASKS;

	if (m->nedges == 0)
		return;
	if (i == BEGIN) {
		each_edge(s, point, -1, fn);
	} else if (i == END) {
		for (t = 0; t < m->ntasks; t++)
			fn(s, m->base + TASKS + t, point);
	} else {
		for (int k = m->first[t]; k < m->first[t + 1]; k++)
			fn(s, m->base + TASKS + m->needs[k], point);
		each_edge(s, point, t, fn);
		fn(s, m->base + BEGIN, point);
	}
}

static void count(struct search *s, int point, int from)
{
	(void)from;
	s->parent[point]++;
}

static void uncount(struct search *s, int point, int from)
{
	(void)from;
	if (--s->parent[point] == 0)
		s->queue[s->tail++] = point;
}

/* Kahn's way: what nothing comes behind is taken away, until nothing is left. */
static bool is_sound(struct search *s)
{
	memset(s->parent, 0, (size_t)s->npoints * sizeof *s->parent);
	s->tail = 0;
	for (int i = 0; i < s->npoints; i++)
		each_next(s, i, count);
	for (int i = 0; i < s->npoints; i++)
		if (s->parent[i] == 0)
			s->queue[s->tail++] = i;
	for (int head = 0; head < s->tail; head++)
		each_next(s, s->queue[head], uncount);
	return s->tail == s->npoints;
}

static void meet(struct search *s, int point, int from)
{
	if (s->parent[point] >= 0)
		return;
	s->parent[point] = from;
	s->queue[s->tail++] = point;
}

/* A way from one point to another; its points in reverse by `parent`. */
static bool find_way(struct search *s, int from, int to)
{
	for (int i = 0; i < s->npoints; i++)
		s->parent[i] = -1;
	s->tail = 0;
	if (from < 0)
		return false;
	meet(s, from, from);
	for (int head = 0; head < s->tail && s->parent[to] < 0; head++)
		each_next(s, s->queue[head], meet);
	return s->parent[to] >= 0;
}

static void add_point(const struct search *s, int point, struct buf *out)
{
	const struct member *m = s->of[point];
	int i = point - m->base;

	if (i >= TASKS)
		buf_addf(out, "%s.%s", m->name, m->tasks[i - TASKS]);
	else
		buf_addf(out, i == BEGIN ? "%s (its start)" : "dag:%s", m->name);
}

/* "from -> ... -> from": the edge, and the way back. */
static void say_circle(
	const struct search *s, const struct edge *e, int from, int to, struct diags *diags)
{
	int n = 0;
	struct buf path;

	for (int p = from; p != to; p = s->parent[p])
		s->queue[n++] = p; /* the search is over */
	buf_init(&path, 1 << 16);
	add_point(s, from, &path);
	buf_addstr(&path, " -> ");
	add_point(s, to, &path);
	for (int shown = 0; n-- > 0; shown++) {
		if (shown == CYCLE_SHOWN && n > 1) {
			buf_addf(&path, " -> (%d more)", n);
			n = 0;
		}
		buf_addstr(&path, " -> ");
		add_point(s, s->queue[n], &path);
	}
	diag_at_mark(
		diags, &e->mark, "%s: DAGs wait for each other in a circle: %s", e->key, path.data);
	diag_hint(diags, "\"a -> b\" says that a waits for b; take one of these away");
	buf_release(&path);
}

static void check_circles(struct search *s, const struct member *m, struct diags *diags)
{
	for (size_t i = 0; i < m->nedges; i++) {
		const struct edge *e = &m->edges[i];
		int from = m->base + (e->task < 0 ? BEGIN : TASKS + e->task), to = target(s, e);
		if (!find_way(s, to, from))
			continue;
		say_circle(s, e, from, to, diags);
		return;
	}
}

size_t crossdag_check_ends(
	const struct crossdag *x, const char *dag, const char *where, struct diags *diags)
{
	const struct member *m = find(x, dag);
	size_t before = diags->nerrors;

	for (size_t i = 0; m && i < m->nedges; i++)
		check_ends(x, m, &m->edges[i], where, diags);
	return diags->nerrors - before;
}

size_t crossdag_check(struct crossdag *x, const char *dag, const char *where, struct diags *diags)
{
	const struct member *m = find(x, dag);
	size_t before = diags->nerrors;
	struct search s = { 0 };

	crossdag_check_ends(x, dag, where, diags);
	if (!m || m->nedges == 0 || x->sound)
		return diags->nerrors - before;
	if (search_init(&s, x) == 0) {
		x->sound = is_sound(&s);
		if (!x->sound)
			check_circles(&s, m, diags);
	}
	search_release(&s);
	return diags->nerrors - before;
}
