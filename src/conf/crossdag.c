#include "conf/crossdag.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/buf.h"
#include "base/near.h"
#include "base/node.h"
#include "conf/crossdag_search.h"
#include "conf/diag.h"
#include "core/dataset.h"
#include "core/model.h"

enum { CYCLE_SHOWN = 20, NAMES_SHOWN = 20, NAMES_LOOKED_AT = 4096 };

enum edge_kind {
	EDGE_NEEDS,
	EDGE_RUNS,     /* control: dag */
	EDGE_WAITS,    /* control: wait for a run */
	EDGE_DATASET,  /* or for a dataset */
	EDGE_SCHEDULE, /* of the beginning */
	EDGE_PRODUCES, /* the other way round: the dataset comes behind the task */
	EDGE_KIND_MAX
};

static const char *const edge_keys[] = {
	[EDGE_NEEDS] = "needs",
	[EDGE_RUNS] = "dag",
	[EDGE_WAITS] = "run",
	[EDGE_DATASET] = "dataset",
	[EDGE_SCHEDULE] = "schedule",
	[EDGE_PRODUCES] = "produces",
};
static_assert(sizeof edge_keys / sizeof *edge_keys == EDGE_KIND_MAX, "a key for each kind");

/* A dataset, as long as an edge names it. */
struct topic {
	char *name;
	size_t nedges, nproducers;
	int point; /* while there is a search */
	UT_hash_handle hh;
};

struct edge {
	enum edge_kind kind;
	int task;      /* -1: the beginning */
	bool free;     /* it makes nothing wait */
	char *to_dag;  /* NULL: it is of a dataset */
	char *to_task; /* NULL: the end */
	struct topic *topic;
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
	bool any; /* of the datasets of its schedule one is enough */
	bool run; /* by a control: dag; while there is a search */
	int base;
	UT_hash_handle hh;
};

enum question { STARTS, WAITS, QUESTION_MAX };

struct crossdag {
	struct member *members; /* by name */
	struct topic *topics;   /* by name */
	bool asked;             /* nothing has changed since the questions were asked */
	struct crossdag_search of[QUESTION_MAX];
	struct member **owner; /* of a point; NULL: it is a dataset */
	struct topic **topic;
};

struct crossdag *crossdag_new(void)
{
	return calloc(1, sizeof(struct crossdag));
}

static void forget_answers(struct crossdag *x)
{
	for (int i = 0; i < QUESTION_MAX; i++)
		crossdag_search_release(&x->of[i]);
	free(x->owner);
	free(x->topic);
	x->owner = NULL;
	x->topic = NULL;
	x->asked = false;
}

static struct topic *take_topic(struct crossdag *x, const char *name, bool produced)
{
	struct topic *t;

	HASH_FIND_STR(x->topics, name, t);
	if (!t) {
		t = calloc(1, sizeof *t);
		if (!t || !(t->name = strdup(name))) {
			free(t);
			return NULL;
		}
		HASH_ADD_KEYPTR(hh, x->topics, t->name, strlen(t->name), t);
		if (!t->hh.tbl) {
			free(t->name);
			free(t);
			return NULL;
		}
	}
	t->nedges++;
	t->nproducers += produced;
	return t;
}

static void drop_topic(struct crossdag *x, struct topic *t, bool produced)
{
	t->nproducers -= produced;
	if (--t->nedges > 0)
		return;
	HASH_DEL(x->topics, t);
	free(t->name);
	free(t);
}

static void free_member(struct crossdag *x, struct member *m)
{
	for (size_t i = 0; i < m->nedges; i++) {
		struct edge *e = &m->edges[i];
		if (e->topic)
			drop_topic(x, e->topic, e->kind == EDGE_PRODUCES);
		free(e->to_dag);
		free(e->to_task);
		diag_mark_release(&e->mark);
	}
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
		free_member(x, m);
	}
	forget_answers(x);
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

/* What a control task is told by `key`; NULL: it is another task, or a template says it. */
static const struct node *told(const struct task *t, const char *op, const char *key)
{
	bool is = t->kind == TASK_CONTROL && t->op && strcmp(t->op, op) == 0;
	const struct node *n = is ? node_get(t->with, key) : NULL;

	return node_text(n) && !strstr(n->text, "{{") && !strstr(n->text, "{%") ? n : NULL;
}

bool crossdag_says(const struct dag *dag)
{
	bool says = dag->datasets != NULL;

	for (int i = 0; i < dag->ntasks && !says; i++) {
		const struct task *t = &dag->tasks[i];
		says = t->ncross || t->nproduces || told(t, "dag", "dag") ||
		       told(t, "wait", "run") || told(t, "wait", "dataset");
	}
	return says;
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

/* The texts of `e` are borrowed, and copied. */
static int add_edge(struct crossdag *x, struct member *m, const struct edge *e, const char *dataset,
	const struct node *at)
{
	struct edge *grown = reallocarray(m->edges, m->nedges + 1, sizeof *grown);

	if (!grown)
		return -1;
	m->edges = grown;
	struct edge *to = &grown[m->nedges++];
	*to = *e;
	to->to_dag = e->to_dag ? strdup(e->to_dag) : NULL;
	to->to_task = e->to_task ? strdup(e->to_task) : NULL;
	to->topic = dataset ? take_topic(x, dataset, e->kind == EDGE_PRODUCES) : NULL;
	diag_mark(&to->mark, at);
	return (e->to_dag && !to->to_dag) || (e->to_task && !to->to_task) || (dataset && !to->topic)
		       ? -1
		       : 0;
}

static int add_refs(struct crossdag *x, struct member *m, const struct edge *e,
	const struct dataset_ref *refs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (add_edge(x, m, e, refs[i].name, refs[i].at) < 0)
			return -1;
	return 0;
}

static int add_control(struct crossdag *x, struct member *m, const struct task *t)
{
	const struct node *dag = told(t, "dag", "dag"), *run = told(t, "wait", "run"),
			  *task = told(t, "wait", "task"), *set = told(t, "wait", "dataset");
	struct edge e = { .task = t->index };

	/* A template names the task: it is one of that run. */
	e.free = run && !task && node_get(t->with, "task");
	e.kind = dag ? EDGE_RUNS : EDGE_WAITS;
	e.to_dag = dag ? (char *)dag->text : run ? (char *)run->text : NULL;
	e.to_task = run && task ? (char *)task->text : NULL;
	if (e.to_dag && add_edge(x, m, &e, NULL, dag ? dag : run) < 0)
		return -1;
	e = (struct edge){ .kind = EDGE_DATASET,
		.task = t->index,
		.free = node_get(t->with, "newer_than") != NULL };
	return set && dataset_is_name(set->text) ? add_edge(x, m, &e, set->text, set) : 0;
}

static int add_edges_of(struct crossdag *x, struct member *m, const struct task *t)
{
	struct edge e = { .kind = EDGE_NEEDS, .task = t->index };

	for (int k = 0; k < t->ncross; k++) {
		e.to_dag = (char *)t->cross[k].dag;
		e.to_task = (char *)t->cross[k].task;
		if (add_edge(x, m, &e, NULL, t->cross[k].at) < 0)
			return -1;
	}
	return add_control(x, m, t);
}

/* First what the circle is told at. */
static int copy_edges(struct crossdag *x, struct member *m, const struct dag *dag)
{
	const struct edge schedule = { .kind = EDGE_SCHEDULE, .task = -1 };

	m->any = dag->datasets && dag->datasets->when == DATASET_ANY;
	if (dag->datasets && add_refs(x, m, &schedule, dag->datasets->refs, dag->datasets->n) < 0)
		return -1;
	for (int i = 0; i < dag->ntasks; i++)
		if (add_edges_of(x, m, &dag->tasks[i]) < 0)
			return -1;
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		const struct edge e = { .kind = EDGE_PRODUCES, .task = i };
		if (add_refs(x, m, &e, t->produces, (size_t)t->nproduces) < 0)
			return -1;
	}
	return 0;
}

static int enter(struct crossdag *x, struct member *m)
{
	crossdag_remove(x, m->name);
	forget_answers(x);
	HASH_ADD_KEYPTR(hh, x->members, m->name, strlen(m->name), m);
	return m->hh.tbl ? 0 : -1;
}

int crossdag_put(struct crossdag *x, const struct dag *dag)
{
	struct member *m = calloc(1, sizeof *m);

	if (m && (m->name = strdup(dag->name)) && copy_names(m, dag) == 0 &&
		copy_needs(m, dag) == 0 && copy_edges(x, m, dag) == 0 && enter(x, m) == 0)
		return 0;
	if (m)
		free_member(x, m);
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
		free_member(x, m);
	return -1;
}

void crossdag_remove(struct crossdag *x, const char *name)
{
	struct member *m = find(x, name);

	if (!m)
		return;
	forget_answers(x);
	HASH_DEL(x->members, m);
	free_member(x, m);
}

bool crossdag_has_edges(const struct crossdag *x, const char *name)
{
	const struct member *m = find(x, name);

	return m && m->nedges > 0;
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
	diag_at_mark(diags, DIAG_ERROR, &e->mark, "%s: there is no DAG \"%s\"%s%s%s",
		edge_keys[e->kind], e->to_dag, near ? "; did you mean \"" : "", near ? near : "",
		near ? "\"?" : "");
	if (!near && where)
		diag_hint(diags, "looked for in %s and the folders in it", where);
}

static void say_no_task(const struct member *to, const struct edge *e, struct diags *diags)
{
	const char *near =
		near_find(e->to_task, (const char *const *)to->tasks, (size_t)to->ntasks);
	struct buf list;

	diag_at_mark(diags, DIAG_ERROR, &e->mark, "%s: DAG %s has no task \"%s\"%s%s%s",
		edge_keys[e->kind], e->to_dag, e->to_task, near ? "; did you mean \"" : "",
		near ? near : "", near ? "\"?" : "");
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
	const struct member *to = e->to_dag ? find(x, e->to_dag) : NULL;

	if (!e->to_dag)
		return;
	if (!to)
		say_no_dag(x, m, e, where, diags);
	else if (e->to_task && to->ntasks >= 0 && find_task(to, e->to_task) < 0)
		say_no_task(to, e, diags);
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

void crossdag_check_produced(const struct crossdag *x, const char *dag, struct diags *diags)
{
	const struct member *m = find(x, dag);

	for (size_t i = 0; m && i < m->nedges; i++) {
		const struct edge *e = &m->edges[i];
		if (!e->topic || e->topic->nproducers)
			continue;
		diag_at_mark(diags, DIAG_WARNING, &e->mark, "%s: no DAG here produces \"%s\"",
			edge_keys[e->kind], e->topic->name);
		diag_hint(diags, "should it come from elsewhere: weir datasets touch %s, each time",
			e->topic->name);
	}
}

/* ---- circles ---------------------------------------------------------------------------- */

enum { BEGIN, END, TASKS }; /* of the points of a DAG */

static int count_points(struct crossdag *x)
{
	int n = 0;

	for (struct member *m = x->members; m; m = m->hh.next) {
		m->base = n;
		m->run = false;
		n += TASKS + (m->ntasks > 0 ? m->ntasks : 0);
	}
	for (struct topic *t = x->topics; t; t = t->hh.next)
		t->point = n++;
	return n;
}

/* The points an edge says something of: `from` comes behind `to`. -1: it is not there. */
struct ends {
	int from, to;
};

static struct ends ends_of(const struct crossdag *x, const struct member *m, const struct edge *e)
{
	const struct member *to = e->to_dag ? find(x, e->to_dag) : NULL;
	int task = to && e->to_task ? find_task(to, e->to_task) : -1;
	struct ends ends = { m->base + (e->task < 0 ? BEGIN : TASKS + e->task), -1 };

	if (e->kind == EDGE_PRODUCES)
		return (struct ends){ e->topic->point, ends.from };
	if (e->topic)
		ends.to = e->topic->point;
	else if (to && (!e->to_task || task >= 0))
		ends.to = to->base + (e->to_task ? TASKS + task : END);
	return ends;
}

/* Of the other question: the beginning of `from` comes behind that of `to`. */
static struct ends starts_of(const struct crossdag *x, const struct member *m, const struct edge *e)
{
	const struct member *to = e->kind == EDGE_RUNS ? find(x, e->to_dag) : NULL;

	if (e->kind == EDGE_SCHEDULE)
		return (struct ends){ m->base + BEGIN, e->topic->point };
	if (e->kind == EDGE_PRODUCES)
		return (struct ends){ e->topic->point, m->base + BEGIN };
	return (struct ends){ to ? to->base + BEGIN : -1, m->base + BEGIN };
}

static struct ends ends_for(
	enum question q, const struct crossdag *x, const struct member *m, const struct edge *e)
{
	const struct ends none = { -1, -1 };

	if (q == STARTS)
		return starts_of(x, m, e);
	return e->free || (e->kind == EDGE_SCHEDULE && m->run) ? none : ends_of(x, m, e);
}

static void link_tasks(struct crossdag_search *s, const struct member *m)
{
	for (int t = 0; t < m->ntasks; t++) {
		int point = m->base + TASKS + t;
		crossdag_search_link(s, m->base + END, point);
		for (int k = m->first[t]; k < m->first[t + 1]; k++)
			crossdag_search_link(s, point, m->base + TASKS + m->needs[k]);
		crossdag_search_link(s, point, m->base + BEGIN);
	}
}

/* Of a DAG that says nothing no way leads further. */
static void ask(struct crossdag *x, enum question q)
{
	struct crossdag_search *s = &x->of[q];

	for (const struct member *m = x->members; m; m = m->hh.next) {
		if (q == WAITS && m->nedges > 0)
			link_tasks(s, m);
		if (q == WAITS && m->any)
			s->any[m->base + BEGIN] = true;
		for (size_t i = 0; i < m->nedges; i++) {
			const struct ends e = ends_for(q, x, m, &m->edges[i]);
			if (e.from >= 0 && e.to >= 0)
				crossdag_search_link(s, e.from, e.to);
		}
	}
	for (const struct topic *t = x->topics; t; t = t->hh.next)
		s->any[t->point] = q == WAITS;
	crossdag_search_solve(s);
}

static void name_points(struct crossdag *x)
{
	for (struct member *m = x->members; m; m = m->hh.next) {
		for (int i = 0; i < TASKS + (m->ntasks > 0 ? m->ntasks : 0); i++)
			x->owner[m->base + i] = m;
		for (size_t i = 0; i < m->nedges; i++) {
			struct member *to =
				m->edges[i].kind == EDGE_RUNS ? find(x, m->edges[i].to_dag) : NULL;
			if (to)
				to->run = true;
		}
	}
	for (struct topic *t = x->topics; t; t = t->hh.next)
		x->topic[t->point] = t;
}

/* Without memory nothing is found. */
static void ask_all(struct crossdag *x)
{
	int n = count_points(x);

	if (x->asked)
		return;
	x->asked = true;
	x->owner = calloc((size_t)n + 1, sizeof(struct member *));
	x->topic = calloc((size_t)n + 1, sizeof(struct topic *));
	if (!x->owner || !x->topic)
		return;
	name_points(x);
	for (int q = 0; q < QUESTION_MAX; q++)
		if (crossdag_search_init(&x->of[q], n) == 0)
			ask(x, (enum question)q);
}

static void add_point(const struct crossdag *x, int point, enum question q, struct buf *out)
{
	const struct member *m = x->owner[point];
	int i = m ? point - m->base : 0;

	if (!m)
		buf_addf(out, "dataset %s", x->topic[point]->name);
	else if (i >= TASKS)
		buf_addf(out, "%s.%s", m->name, m->tasks[i - TASKS]);
	else
		buf_addf(out,
			q == STARTS  ? "%s"
			: i == BEGIN ? "%s (its start)"
				     : "dag:%s",
			m->name);
}

/* Of a circle of starts only the DAGs are told. */
static int keep_dags(const struct crossdag *x, int *ring, int n)
{
	int kept = 0;

	for (int i = 0; i < n; i++)
		if (x->owner[ring[i]])
			ring[kept++] = ring[i];
	return kept;
}

static void add_ring(
	const struct crossdag *x, const int *ring, int n, enum question q, struct buf *out)
{
	for (int i = 0; i < n; i++) {
		if (i == CYCLE_SHOWN && i < n - 1) {
			buf_addf(out, "(%d more) -> ", n - i);
			break;
		}
		add_point(x, ring[i], q, out);
		buf_addstr(out, " -> ");
	}
	add_point(x, ring[0], q, out);
}

static bool is_of_one(const struct crossdag *x, const int *ring, int n)
{
	const struct member *m = NULL;

	for (int i = 0; i < n; i++) {
		const struct member *owner = x->owner[ring[i]];
		if (owner && m && owner != m)
			return false;
		m = owner ? owner : m;
	}
	return true;
}

static void say_circle(
	const struct crossdag *x, const struct edge *e, enum question q, int n, struct diags *diags)
{
	const int *ring = x->of[q].ring;
	struct buf path;

	buf_init(&path, 1 << 16);
	add_ring(x, ring, n, q, &path);
	diag_at_mark(diags, DIAG_ERROR, &e->mark, "%s: %s in a circle: %s", edge_keys[e->kind],
		q == STARTS             ? "the DAGs would start each other"
		: is_of_one(x, ring, n) ? "the DAG waits for itself"
					: "DAGs wait for each other",
		path.data);
	diag_hint(diags, "\"a -> b\" says that %s",
		q == STARTS ? "b is run by a, or its schedule waits for what a produces"
			    : "a waits for b; take one of these away");
	buf_release(&path);
}

static bool check_circles(
	const struct crossdag *x, const struct member *m, enum question q, struct diags *diags)
{
	struct crossdag_search *s = (struct crossdag_search *)&x->of[q];

	for (size_t i = 0; s->nstuck > 0 && i < m->nedges; i++) {
		const struct ends e = ends_for(q, x, m, &m->edges[i]);
		int n = e.from >= 0 && e.to >= 0
				? crossdag_search_ring(s, e.from, e.to, q == STARTS)
				: 0;
		/* Those that only run each other wait for each other, which says more. */
		if (q == STARTS) {
			int kept = keep_dags(x, s->ring, n);
			n = kept < n ? kept : 0;
		}
		if (n == 0)
			continue;
		say_circle(x, &m->edges[i], q, n, diags);
		return true;
	}
	return false;
}

size_t crossdag_check(struct crossdag *x, const char *dag, const char *where, struct diags *diags)
{
	const struct member *m = find(x, dag);
	size_t before = diags->nerrors;

	crossdag_check_ends(x, dag, where, diags);
	if (!m || m->nedges == 0)
		return diags->nerrors - before;
	ask_all(x);
	/* What starts itself often waits for itself, too. */
	if (!check_circles(x, m, STARTS, diags))
		check_circles(x, m, WAITS, diags);
	return diags->nerrors - before;
}
