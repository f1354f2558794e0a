#include "conf/dataset_graph.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/diag.h"
#include "core/dataset.h"
#include "core/model.h"

enum { CIRCLE_SHOWN = 20 };

void dataset_graph_init(struct dataset_graph *g)
{
	*g = (struct dataset_graph){ 0 };
}

void dataset_graph_release(struct dataset_graph *g)
{
	for (size_t i = 0; i < g->n; i++)
		dag_unref(g->dags[i]);
	free(g->dags);
	dataset_graph_init(g);
}

static bool produces_any(const struct dag *dag)
{
	for (int i = 0; i < dag->ntasks; i++)
		if (dag->tasks[i].nproduces)
			return true;
	return false;
}

int dataset_graph_add(struct dataset_graph *g, struct dag *dag, struct err *err)
{
	if (!dag->datasets && !produces_any(dag))
		return 0;
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 32;
		struct dag **grown = reallocarray(g->dags, cap, sizeof(struct dag *));
		if (!grown)
			return err_nomem(err);
		g->dags = grown;
		g->cap = cap;
	}
	g->dags[g->n++] = dag_ref(dag);
	return 0;
}

/* ---- who produces what ---------------------------------------------------------------- */

struct producer {
	size_t dag;
	struct producer *next;
};

struct topic {
	const char *name;
	struct producer *producers;
	UT_hash_handle hh;
};

struct walk {
	const struct dataset_graph *g;
	struct topic *topics;
	struct frame *stack; /* from a DAG to those that start it */
	size_t depth;
	char *colour; /* by DAG: 0: not seen, 1: on the stack, 2: done */
	struct diags *diags;
};

struct frame {
	size_t dag;
	size_t ref;               /* of its datasets: the one that is looked at */
	const struct producer *p; /* of that: the next one */
};

static void free_topics(struct topic *topics)
{
	struct topic *t, *next;

	HASH_ITER (hh, topics, t, next) {
		HASH_DEL(topics, t);
		while (t->producers) {
			struct producer *p = t->producers;
			t->producers = p->next;
			free(p);
		}
		free(t);
	}
}

static int add_producer(struct walk *w, const char *name, size_t dag)
{
	struct topic *t;
	struct producer *p = calloc(1, sizeof *p);

	HASH_FIND_STR(w->topics, name, t);
	if (p && !t && (t = calloc(1, sizeof *t))) {
		t->name = name;
		HASH_ADD_KEYPTR(hh, w->topics, t->name, strlen(t->name), t);
	}
	if (!p || !t) {
		free(p);
		return -1;
	}
	*p = (struct producer){ dag, t->producers };
	t->producers = p;
	return 0;
}

static int add_topics(struct walk *w)
{
	for (size_t i = 0; i < w->g->n; i++) {
		const struct dag *dag = w->g->dags[i];
		for (int k = 0; k < dag->ntasks; k++)
			for (int j = 0; j < dag->tasks[k].nproduces; j++)
				if (add_producer(w, dag->tasks[k].produces[j].name, i) < 0)
					return -1;
	}
	return 0;
}

static const struct producer *producers_of(const struct walk *w, const char *name)
{
	struct topic *t;

	HASH_FIND_STR(w->topics, name, t);
	return t ? t->producers : NULL;
}

/* ---- circles -------------------------------------------------------------------------- */

/* The stack holds it from where `dag` stands to its top, each started by the one above it. */
static void say_circle(const struct walk *w, size_t dag)
{
	const struct frame *top = &w->stack[w->depth - 1];
	size_t from = 0;
	struct buf path;

	while (w->stack[from].dag != dag)
		from++;
	buf_init(&path, 1 << 16);
	buf_addf(&path, "%s", w->g->dags[dag]->name);
	for (size_t i = w->depth; i-- > from;) {
		if (w->depth - i == CIRCLE_SHOWN && i > from) {
			buf_addf(&path, " -> (%zu more)", i - from);
			i = from;
		}
		buf_addf(&path, " -> %s", w->g->dags[w->stack[i].dag]->name);
	}
	const struct dataset_ref *ref = &w->g->dags[top->dag]->datasets->refs[top->ref];
	diag_node(w->diags, DIAG_ERROR, ref->at,
		"schedule: the DAGs would start each other in a circle: %s", path.data);
	diag_hint(w->diags,
		"\"a -> b\" says that the schedule of b waits for a dataset that a produces");
	buf_release(&path);
}

static void push(struct walk *w, size_t dag)
{
	const struct dataset_rule *rule = w->g->dags[dag]->datasets;

	w->colour[dag] = 1;
	w->stack[w->depth++] = (struct frame){ dag, 0,
		rule && rule->n ? producers_of(w, rule->refs[0].name) : NULL };
}

/* The next DAG that starts the one on the top; false: there is no further. */
static bool next_starter(const struct walk *w, struct frame *f, size_t *ret)
{
	const struct dataset_rule *rule = w->g->dags[f->dag]->datasets;

	while (!f->p) {
		if (!rule || f->ref + 1 >= rule->n)
			return false;
		f->p = producers_of(w, rule->refs[++f->ref].name);
	}
	*ret = f->p->dag;
	return true;
}

static void visit(struct walk *w, size_t first)
{
	size_t dag;

	push(w, first);
	while (w->depth > 0) {
		struct frame *f = &w->stack[w->depth - 1];
		if (!next_starter(w, f, &dag)) {
			w->colour[f->dag] = 2;
			w->depth--;
			continue;
		}
		/* One that starts itself is told when it is loaded. */
		if (w->colour[dag] == 1 && dag != f->dag)
			say_circle(w, dag);
		f->p = f->p->next;
		if (w->colour[dag] == 0)
			push(w, dag);
	}
}

/* ---- the whole ------------------------------------------------------------------------ */

static void check_produced(const struct walk *w, const struct dag *dag)
{
	for (size_t i = 0; dag->datasets && i < dag->datasets->n; i++) {
		const struct dataset_ref *ref = &dag->datasets->refs[i];
		if (producers_of(w, ref->name))
			continue;
		diag_node(w->diags, DIAG_WARNING, ref->at, "schedule: no DAG here produces \"%s\"",
			ref->name);
		diag_hint(w->diags,
			"should it come from elsewhere: weir datasets touch %s, each time",
			ref->name);
	}
}

int dataset_graph_check(const struct dataset_graph *g, struct diags *diags, struct err *err)
{
	struct walk w = { .g = g, .diags = diags };
	int rc = -1;

	w.stack = calloc(g->n + 1, sizeof *w.stack);
	w.colour = calloc(g->n + 1, 1);
	if (!w.stack || !w.colour || add_topics(&w) < 0) {
		err_nomem(err);
		goto out;
	}
	for (size_t i = 0; i < g->n; i++) {
		check_produced(&w, g->dags[i]);
		if (w.colour[i] == 0)
			visit(&w, i);
	}
	rc = 0;
out:
	free_topics(w.topics);
	free(w.stack);
	free(w.colour);
	return rc;
}
