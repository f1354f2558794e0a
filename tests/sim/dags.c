/* Random DAGs. What else a task can be given (trigger rules, pools) is drawn in random_task; what
 * takes no process (waits, approvals, choices), conditions and teardowns in random_part, where the
 * model is told of it, too. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/civil.h"
#include "base/err.h"
#include "base/node.h"
#include "core/condition.h"
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

/* ---- nodes ---------------------------------------------------------------------------- */

static struct node *new_node(struct arena *a, enum node_type type)
{
	struct source *source = arena_alloc(a, sizeof *source);
	struct node *n = arena_alloc(a, sizeof *n);

	*source = (struct source){ "sim.yaml", "", 0 };
	*n = (struct node){ .type = type, .source = source, .line = 1, .col = 1, .text = "" };
	return n;
}

static const struct node *text_node(struct arena *a, const char *text)
{
	struct node *n = new_node(a, NODE_STRING);

	n->text = arena_strdup(a, text);
	n->len = strlen(text);
	return n;
}

static const struct node *bool_node(struct arena *a, bool b)
{
	struct node *n = new_node(a, NODE_BOOL);

	n->b = b;
	n->text = b ? "true" : "false";
	n->len = strlen(n->text);
	return n;
}

enum { KEYS_MAX = 4 };

static struct node *map_node(struct arena *a)
{
	struct node *n = new_node(a, NODE_MAP);

	n->keys = arena_array(a, KEYS_MAX, sizeof *n->keys);
	n->items = arena_array(a, KEYS_MAX, sizeof *n->items);
	return n;
}

static void put(struct arena *a, struct node *map, const char *key, const struct node *value)
{
	map->keys[map->n] = text_node(a, key);
	map->items[map->n++] = value;
}

/* ---- what takes no process ------------------------------------------------------------ */

/* What a DAG has beside commands. */
enum {
	HAS_WAITS = 1,
	HAS_APPROVALS = 2,
	HAS_CHOICES = 4,
	HAS_IFS = 8,
	HAS_WHENS = 16,
	HAS_TEARDOWNS = 32,
	HAS_FUSES = 64,
	HAS_CHECKS = 128
};

struct making {
	struct sim *w;
	struct sim_dag *d;
	struct dag *dag;
	struct rng *rng;
	unsigned has;
};

static void file_path(const struct making *m, const struct task *t, char *ret, size_t size)
{
	snprintf(ret, size, "%s/%s-%s", world_home(), m->d->name, t->name);
}

static void make_wait(struct making *m, struct task *t, struct sim_task *part)
{
	struct arena *a = &m->dag->arena;
	struct node *with = map_node(a);
	struct civil c;
	char text[128];

	part->there_us = (int64_t)rng_below(m->rng, (uint64_t)m->w->calm_us);
	if (part->part == PART_FILE) {
		file_path(m, t, text, sizeof text);
		unlink(text);
		put(a, with, "path", text_node(a, text));
	} else {
		part->there_us += world_wall(m->w);
		civil_from_us(part->there_us, &c);
		snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02dZ", c.year, c.month,
			c.day, c.hour, c.min, c.sec);
		part->there_us -= c.usec;
		put(a, with, "time", text_node(a, text));
	}
	snprintf(text, sizeof text, "%ds", 1 + (int)rng_below(m->rng, 20));
	put(a, with, "poll", text_node(a, text));
	if (part->timeout_us) {
		put(a, with, "timeout",
			text_node(a, arena_printf(a, "%ds", (int)(part->timeout_us / SIM_S))));
		put(a, with, "on_timeout", text_node(a, part->late_skips ? "skip" : "fail"));
	}
	t->op = "wait";
	t->with = with;
}

static void make_approval(struct making *m, struct task *t, const struct sim_task *part)
{
	struct arena *a = &m->dag->arena;
	struct node *with = map_node(a);

	put(a, with, "prompt", text_node(a, "go on?"));
	put(a, with, "on_reject", text_node(a, part->reject_skips ? "skip" : "fail"));
	if (part->timeout_us) {
		put(a, with, "timeout",
			text_node(a, arena_printf(a, "%ds", (int)(part->timeout_us / SIM_S))));
		put(a, with, "default",
			text_node(a, part->default_approves ? "approve" : "reject"));
	}
	t->op = "approval";
	t->with = with;
}

static bool needs(const struct dag *dag, int task, int on)
{
	const struct task *t = &dag->tasks[task];

	for (int i = 0; i < t->nneeds; i++)
		if (t->needs[i] == on)
			return true;
	return false;
}

static void make_branch(struct making *m, struct task *t, struct sim_task *part)
{
	struct arena *a = &m->dag->arena;
	struct node *with = map_node(a), *list = new_node(a, NODE_SEQ);

	list->items = arena_array(a, SIM_TASKS, sizeof *list->items);
	for (int i = 0; i < m->dag->ntasks; i++) {
		if (!needs(m->dag, i, t->index) || rng_below(m->rng, 2))
			continue;
		part->chosen[i] = true;
		list->items[list->n++] = text_node(a, m->dag->tasks[i].name);
	}
	put(a, with, "choose", list);
	t->op = "branch";
	t->with = with;
	t->chooses = true;
}

static void make_circuit(struct making *m, struct task *t, struct sim_task *part)
{
	struct arena *a = &m->dag->arena;
	struct node *with = map_node(a);

	part->passes = rng_below(m->rng, 2);
	part->ignores = rng_below(m->rng, 2);
	put(a, with, "if", bool_node(a, part->passes));
	put(a, with, "ignore_rules", bool_node(a, part->ignores));
	t->op = "short_circuit";
	t->with = with;
	t->chooses = true;
}

static void make_control(struct making *m, struct task *t, struct sim_task *part)
{
	part->timeout_us = (int64_t)rng_below(m->rng, 3) * 20 * SIM_S;
	part->late_skips = rng_below(m->rng, 2);
	part->default_approves = rng_below(m->rng, 2);
	part->reject_skips = rng_below(m->rng, 2);
	t->kind = TASK_CONTROL;
	t->run = NULL;
	t->timeout_us = 0;
	t->waits =
		part->part == PART_FILE || part->part == PART_TIME || part->part == PART_APPROVAL;
	if (part->part == PART_BRANCH)
		make_branch(m, t, part);
	else if (part->part == PART_CIRCUIT)
		make_circuit(m, t, part);
	else if (part->part == PART_APPROVAL)
		make_approval(m, t, part);
	else
		make_wait(m, t, part);
}

/* ---- conditions ----------------------------------------------------------------------- */

static void make_when(struct making *m, struct task *t, struct sim_when *when)
{
	static const enum task_state states[] = { TASK_NONE, TASK_SUCCESS, TASK_SUCCESS,
		TASK_FAILED, TASK_SKIPPED, TASK_UPSTREAM_FAILED };
	static const char *const joins[] = { "", " and ", ") or " };
	struct condition_fault fault;
	char text[256] = "(";

	when->n = 1 + (int)rng_below(m->rng, 3);
	for (int i = 0; i < when->n; i++) {
		struct sim_term *term = &when->terms[i];
		*term = (struct sim_term){ .task = t->needs[rng_below(m->rng, (uint64_t)t->nneeds)],
			.state = states[rng_below(m->rng, 6)],
			.not = rng_below(m->rng, 3) == 0 };
		size_t len = strlen(text);
		snprintf(text + len, sizeof text - len, "%s%s%s.%s", joins[i],
			term->not ? "not " : "", m->dag->tasks[term->task].name,
			term->state == TASK_NONE ? "done" : task_state_name(term->state));
	}
	if (when->n < 3)
		strcat(text, ")");
	struct condition *c = condition_parse(&m->dag->arena, text, &fault);
	must(m->w, c, "%s: %s", text, fault.message);
	for (int i = 0; i < c->nterms; i++)
		c->terms[i].task = atoi(c->terms[i].name + 1);
	t->when = c;
	t->trigger = TRIGGER_ALL_SUCCESS;
}

static void make_teardown(struct making *m, struct task *t)
{
	int *setups = arena_array(&m->dag->arena, SIM_TASKS, sizeof *setups);

	for (int i = 0; i < t->nneeds; i++)
		if (rng_below(m->rng, 2))
			setups[t->nsetups++] = t->needs[i];
	t->setups = setups;
	t->teardown = true;
	t->forgiven = rng_below(m->rng, 4) > 0;
	t->trigger = TRIGGER_ALL_DONE;
}

static void make_check(struct making *m, struct task *t)
{
	t->kind = TASK_QUALITY;
	t->op = "table";
	t->run = NULL;
	t->with = map_node(&m->dag->arena);
	t->quality_breaker = m->w->fuses[SIM_SERVICES].name;
	t->score_below = 0.95;
}

static void give_fuses(struct making *m, struct task *t)
{
	const char **names = arena_array(&m->dag->arena, SIM_FUSES + 1, sizeof *names);
	int first = (int)rng_below(m->rng, SIM_SERVICES), n = 1 + (rng_below(m->rng, 4) == 0);
	int consumes = (int)rng_below(m->rng, 8);

	n = consumes == 0 ? 0 : n;
	for (int i = 0; i < n; i++)
		names[i] = m->w->fuses[(first + i) % SIM_SERVICES].name;
	if (consumes < 2)
		names[n] = m->w->fuses[SIM_SERVICES].name;
	t->breakers = names;
	t->on_open =
		rng_below(m->rng, 2) ? ON_OPEN_HOLD : (enum on_open)rng_below(m->rng, ON_OPEN_MAX);
}

static bool draw(struct making *m, unsigned what, int n)
{
	return rng_below(m->rng, (uint64_t)n) == 0 && m->has & what;
}

static void random_part(struct making *m, struct task *t)
{
	struct sim_task *part = &m->d->tasks[t->index];

	if (draw(m, HAS_TEARDOWNS, 4) && t->nneeds > 0) {
		make_teardown(m, t);
		return;
	}
	if (draw(m, HAS_WAITS, 4))
		part->part = rng_below(m->rng, 2) ? PART_FILE : PART_TIME;
	else if (draw(m, HAS_APPROVALS, 4))
		part->part = PART_APPROVAL;
	else if (draw(m, HAS_CHOICES, 4))
		part->part = rng_below(m->rng, 2) ? PART_BRANCH : PART_CIRCUIT;
	if (part->part != PART_COMMAND)
		make_control(m, t, part);
	if (draw(m, HAS_CHECKS, m->has & HAS_FUSES ? 8 : 2) && part->part == PART_COMMAND)
		make_check(m, t);
	else if (draw(m, HAS_FUSES, 2) && !t->waits)
		give_fuses(m, t);
	if (draw(m, HAS_IFS, 3)) {
		part->never = rng_below(m->rng, 3) == 0;
		t->only_if = bool_node(&m->dag->arena, !part->never);
	}
	if (draw(m, HAS_WHENS, 3) && t->nneeds > 0)
		make_when(m, t, &part->when);
}

/* ---- the model ------------------------------------------------------------------------ */

const struct sim_task *dags_task(const struct trun *r, int task)
{
	return &r->dag->tasks[row_def(r, task)->index];
}

bool dags_is_there(const struct sim *w, const struct sim_task *t)
{
	if (t->part == PART_FILE)
		return t->there;
	return world_wall(w) >= t->there_us || w->latest_us >= t->there_us;
}

static bool is_behind(const struct dag *dag, int task, int on)
{
	const struct task *t = &dag->tasks[task];

	for (int i = 0; i < t->nneeds; i++)
		if (t->needs[i] == on || is_behind(dag, t->needs[i], on))
			return true;
	return false;
}

bool dags_leaves_out(const struct sim_dag *d, int by, int task)
{
	const struct sim_task *t = &d->tasks[by];

	if (d->dag->tasks[task].teardown)
		return false;
	if (t->part == PART_BRANCH)
		return needs(d->dag, task, by) && !t->chosen[task];
	if (t->part != PART_CIRCUIT || t->passes)
		return false;
	return t->ignores ? is_behind(d->dag, task, by) : needs(d->dag, task, by);
}

/* ---- files ---------------------------------------------------------------------------- */

static bool is_to_come(const struct sim_task *t)
{
	return t->part == PART_FILE && !t->there;
}

int64_t dags_due_us(const struct sim *w)
{
	int64_t due = INT64_MAX;

	for (int i = 0; i < w->ndags; i++)
		for (int k = 0; k < w->dags[i].dag->ntasks; k++) {
			const struct sim_task *t = &w->dags[i].tasks[k];
			if (is_to_come(t) && t->there_us < due)
				due = t->there_us;
		}
	return due;
}

static void come(struct sim *w, struct sim_dag *d, int task)
{
	const struct timespec old[2] = { { .tv_sec = 1577836800 }, { .tv_sec = 1577836800 } };
	const struct making m = { .d = d };
	char path[128];

	file_path(&m, &d->dag->tasks[task], path, sizeof path);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	must(w, fd >= 0 && futimens(fd, old) == 0, "cannot write %s", path);
	close(fd);
	d->tasks[task].there = true;
	say(w, "world", "the file of %s %s comes", d->name, d->dag->tasks[task].name);
}

void dags_happen(struct sim *w)
{
	for (int i = 0; i < w->ndags; i++)
		for (int k = 0; k < w->dags[i].dag->ntasks; k++)
			if (is_to_come(&w->dags[i].tasks[k]) &&
				w->dags[i].tasks[k].there_us <= w->now_us)
				come(w, &w->dags[i], k);
}

/* ---- DAGs ----------------------------------------------------------------------------- */

/* File order is a random one, so that an index says nothing about an order. */
static struct dag *random_dag(struct making *m, const char *name, int most)
{
	struct rng *r = m->rng;
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
		t->run = text_node(a, "true");
		snprintf(t->hash, sizeof t->hash, "h%d", place[to]);
		t->needs = needs;
		for (int from = 0; from < to; from++)
			if (has_edge(r, shape, from, to))
				needs[t->nneeds++] = place[from];
	}
	m->dag = dag;
	for (int i = 0; i < n && m->has; i++)
		random_part(m, &dag->tasks[i]);
	if (dag_seal(dag, cycle, &len, NULL) < 0) {
		dag_unref(dag);
		return NULL;
	}
	return dag;
}

/* Of every other DAG one task is done for each item of a list. */
static void map_one(struct rng *r, struct sim_dag *d)
{
	struct arena *a = &d->dag->arena;
	struct source *source = arena_alloc(a, sizeof *source);
	struct node *list = arena_alloc(a, sizeof *list);
	const struct node **items = arena_array(a, SIM_ITEMS, sizeof *items);
	size_t n = 1 + (size_t)rng_below(r, SIM_ITEMS);

	int task = (int)rng_below(r, (uint64_t)d->dag->ntasks);
	d->mapped = -1;
	if (rng_below(r, 2) || d->tasks[task].part != PART_COMMAND || d->dag->tasks[task].teardown)
		return;
	d->mapped = task;
	*source = (struct source){ "sim.yaml", "", 0 };
	for (size_t i = 0; i < n; i++) {
		struct node *item = arena_alloc(a, sizeof *item);
		*item = (struct node){ .type = NODE_STRING, .source = source, .line = 1, .col = 1 };
		item->text = arena_printf(a, "i%zu", i);
		item->len = strlen(item->text);
		items[i] = item;
	}
	*list = (struct node){
		.type = NODE_SEQ, .source = source, .line = 1, .col = 1, .n = n, .items = items
	};
	d->foreach = (struct foreach){ .items = list,
		.max_items = FOREACH_ITEMS_DEFAULT,
		.max_active = (int)rng_below(r, 3) };
	d->dag->tasks[d->mapped].foreach = &d->foreach;
}

void dags_make(struct sim *w)
{
	struct rng r;

	rng_init(&r, world_draw(w, 4, 0, 0));
	w->ndags = 1 + (int)rng_below(&r, 3);
	bool uses = rng_below(&r, 5) > 0; /* else data is judged, and nobody needs it */
	for (int i = 0; i < w->ndags; i++) {
		struct sim_dag *d = &w->dags[i];
		struct rng own;
		rng_init(&own, world_draw(w, 5, (uint64_t)i, 0));
		snprintf(d->name, sizeof d->name, "d%d", i);
		d->lane = rng_below(&own, 3) == 0;
		struct making m = { .w = w, .d = d, .rng = &own };
		if (rng_below(&own, 2))
			m.has = (unsigned)rng_below(&own, 2 * HAS_TEARDOWNS);
		if (w->nfuses)
			m.has |= uses ? HAS_FUSES | HAS_CHECKS : HAS_CHECKS;
		d->dag = random_dag(&m, d->name, w->cut.tasks);
		must(w, d->dag, "a DAG has a cycle");
		rng_init(&own, world_draw(w, 6, (uint64_t)i, 0));
		map_one(&own, d);
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
