/* Random DAGs. What else a task can be given (trigger rules, pools) is drawn in random_task. */
#include <string.h>

#include "base/err.h"
#include "base/node.h"
#include "tests/sim/sim.h"

enum shape { SHAPE_CHAIN, SHAPE_LAYERS, SHAPE_FAN, SHAPE_DIAMONDS, SHAPE_RANDOM, SHAPE_MAX };

static bool has_edge(struct rng *r, enum shape shape, int from, int to)
{
	switch (shape) {
	case SHAPE_CHAIN:
		return from == to - 1;
	case SHAPE_LAYERS:
		return from / 4 == to / 4 - 1 && rng_below(r, 3) > 0;
	case SHAPE_FAN: /* one root, many leaves, an end now and then */
		return from == 0 || (to % 7 == 6 && from > to - 6);
	case SHAPE_DIAMONDS:
		return to % 3 == 0 ? from == to - 1 || from == to - 2 : from == to - to % 3;
	default:
		return rng_below(r, 5) == 0;
	}
}

static void random_task(struct rng *r, struct task *t)
{
	static const char *const pools[SIM_POOLS] = { "p0", "p1" };
	static const int64_t timeouts[] = { 0, 0, 0, 5, 20, 40 };

	t->kind = TASK_RUN;
	t->trigger = rng_below(r, 3) ? TRIGGER_ALL_SUCCESS
				     : (enum trigger_rule)rng_below(r, TRIGGER_MAX);
	t->priority = (int)rng_below(r, 3);
	if (rng_below(r, 3) == 0) {
		t->pool = pools[rng_below(r, SIM_POOLS)];
		t->slots = (int)rng_below(r, 3);
	}
	t->op = "command";
	t->timeout_us = timeouts[rng_below(r, 6)] * SIM_S;
	t->grace_us = (int64_t)rng_below(r, 3) * SIM_S;
	t->retry = (struct retry_policy){ .retries = (int)rng_below(r, 4),
		.lost_retries = rng_below(r, 4) ? 3 : (int)rng_below(r, 3),
		.initial_us = (int64_t)rng_below(r, 20) * SIM_S,
		.max_us = 40 * SIM_S,
		.factor = 1 + (double)rng_below(r, 3),
		.jitter = (enum jitter)rng_below(r, JITTER_MAX) };
	if (rng_below(r, 6) == 0)
		exit_set_add(&t->retry.fail_on, 3);
	if (rng_below(r, 6) == 0) {
		exit_set_add(&t->retry.retry_on, 1);
		t->retry.retry_on.given = true;
	}
}

static const struct node *command(struct arena *a)
{
	struct source *source = arena_alloc(a, sizeof *source);
	struct node *n = arena_alloc(a, sizeof *n);

	*source = (struct source){ "sim.yaml", "", 0 };
	*n = (struct node){
		.type = NODE_STRING, .source = source, .line = 1, .col = 1, .text = "true", .len = 4
	};
	return n;
}

/* File order is a random one, so that an index says nothing about an order. */
static struct dag *random_dag(struct rng *r, const char *name, int most)
{
	struct dag *dag = dag_new();
	struct arena *a = &dag->arena;
	enum shape shape = (enum shape)rng_below(r, SHAPE_MAX);
	int n = 1 + (int)rng_below(r, rng_below(r, 4) ? 10 : SIM_TASKS);
	int place[SIM_TASKS], cycle[SIM_TASKS + 1], len;

	if (most && n > most)
		n = most;
	dag->name = arena_strdup(a, name);
	dag->path = "sim.yaml";
	dag->dir = "/";
	dag->text = "";
	dag->max_active_runs = 1;
	dag->max_active_tasks = rng_below(r, 3) ? 0 : 1 + (int)rng_below(r, 4);
	snprintf(dag->hash, sizeof dag->hash, "v-%s", name);
	dag->ntasks = n;
	dag->tasks = arena_array(a, (size_t)n, sizeof *dag->tasks);
	for (int i = 0; i < n; i++) {
		int j = (int)rng_below(r, (uint64_t)i + 1);
		place[i] = place[j];
		place[j] = i;
	}
	for (int to = 0; to < n; to++) {
		struct task *t = &dag->tasks[place[to]];
		int *needs = arena_array(a, SIM_TASKS, sizeof *needs);
		random_task(r, t);
		t->name = arena_printf(a, "t%d", place[to]);
		t->index = place[to];
		t->run = command(a);
		snprintf(t->hash, sizeof t->hash, "h%d", place[to]);
		t->needs = needs;
		for (int from = 0; from < to; from++)
			if (has_edge(r, shape, from, to))
				needs[t->nneeds++] = place[from];
	}
	if (dag_seal(dag, cycle, &len, NULL) < 0) {
		dag_unref(dag);
		return NULL;
	}
	return dag;
}

void dags_make(struct sim *w)
{
	struct rng r;

	rng_init(&r, world_draw(w, 4, 0, 0));
	w->ndags = 1 + (int)rng_below(&r, 3);
	for (int i = 0; i < w->ndags; i++) {
		struct sim_dag *d = &w->dags[i];
		struct rng own;
		rng_init(&own, world_draw(w, 5, (uint64_t)i, 0));
		snprintf(d->name, sizeof d->name, "d%d", i);
		d->lane = rng_below(&own, 3) == 0;
		d->dag = random_dag(&own, d->name, w->cut.tasks);
		must(w, d->dag, "a DAG has a cycle");
	}
}

void dags_release(struct sim *w)
{
	for (int i = 0; i < w->ndags; i++)
		dag_unref(w->dags[i].dag);
}

struct sim_dag *dags_find(struct sim *w, const char *name)
{
	for (int i = 0; i < w->ndags; i++)
		if (strcmp(w->dags[i].name, name) == 0)
			return &w->dags[i];
	return NULL;
}
