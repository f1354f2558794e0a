#include "core/model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { DAG_ARENA_MAX = 512 << 20 };

static const char *const kind_names[] = {
	[TASK_INGEST] = "ingest",
	[TASK_TRANSFORM] = "transform",
	[TASK_QUALITY] = "quality",
	[TASK_PUBLISH] = "publish",
	[TASK_CONTROL] = "control",
	[TASK_RUN] = "run",
};
static_assert(sizeof kind_names / sizeof *kind_names == TASK_KIND_MAX, "a name for each kind");

const char *const jitter_names[] = {
	[JITTER_NONE] = "none",
	[JITTER_FULL] = "full",
	[JITTER_EQUAL] = "equal",
	[JITTER_MAX] = NULL,
};

const char *const on_open_names[] = {
	[ON_OPEN_HOLD] = "hold", [ON_OPEN_SKIP] = "skip", [ON_OPEN_FAIL] = "fail", NULL
};
static_assert(sizeof on_open_names / sizeof *on_open_names == ON_OPEN_MAX + 1, "a name for each");

const char *const priority_weight_names[] = {
	[WEIGHT_OWN] = "own",
	[WEIGHT_DOWNSTREAM] = "downstream",
	[WEIGHT_MAX] = NULL,
};

const char *const param_type_names[] = {
	[PARAM_STRING] = "string",
	[PARAM_INT] = "integer",
	[PARAM_FLOAT] = "number",
	[PARAM_BOOL] = "boolean",
	[PARAM_DATE] = "date",
	[PARAM_TYPE_MAX] = NULL,
};

const char *task_kind_name(enum task_kind kind)
{
	return kind_names[kind];
}

int task_kind_by_name(const char *name)
{
	for (int i = 0; i < TASK_KIND_MAX; i++)
		if (strcmp(kind_names[i], name) == 0)
			return i;
	return -1;
}

const char *jitter_name(enum jitter j)
{
	return jitter_names[j];
}

const char *param_type_name(enum param_type type)
{
	return param_type_names[type];
}

bool exit_set_has(const struct exit_set *s, int status)
{
	return status >= 0 && status < 256 && (s->bits[status / 64] >> (status % 64) & 1);
}

void exit_set_add(struct exit_set *s, int status)
{
	if (status >= 0 && status < 256)
		s->bits[status / 64] |= UINT64_C(1) << (status % 64);
}

struct dag *dag_new(void)
{
	struct dag *dag = calloc(1, sizeof *dag);

	if (!dag)
		return NULL;
	dag->refs = 1;
	arena_init(&dag->arena, DAG_ARENA_MAX);
	return dag;
}

struct dag *dag_ref(struct dag *dag)
{
	dag->refs++;
	return dag;
}

void dag_unref(struct dag *dag)
{
	if (!dag || --dag->refs > 0)
		return;
	if (dag->on_free)
		dag->on_free(dag->on_free_arg);
	arena_release(&dag->arena);
	free(dag);
}

/* All dependents in one array, cut into a slice per task. */
static int link_dependents(struct dag *dag)
{
	size_t nedges = 0;

	for (int i = 0; i < dag->ntasks; i++) {
		nedges += (size_t)dag->tasks[i].nneeds;
		for (int j = 0; j < dag->tasks[i].nneeds; j++)
			dag->tasks[dag->tasks[i].needs[j]].ndependents++;
	}
	int *edges = arena_array(&dag->arena, nedges + 1, sizeof *edges);
	if (!edges)
		return -1;
	for (int i = 0; i < dag->ntasks; i++) {
		dag->tasks[i].dependents = edges;
		edges += dag->tasks[i].ndependents;
		dag->tasks[i].ndependents = 0;
	}
	for (int i = 0; i < dag->ntasks; i++)
		for (int j = 0; j < dag->tasks[i].nneeds; j++) {
			struct task *need = &dag->tasks[dag->tasks[i].needs[j]];
			((int *)need->dependents)[need->ndependents++] = i;
		}
	return 0;
}

/* Kahn's algorithm (1962). Returns how many tasks found a place; fewer than all: a cycle. */
static int sort_tasks(struct dag *dag, int *order, int *missing)
{
	int placed = 0;

	for (int i = 0; i < dag->ntasks; i++) {
		missing[i] = dag->tasks[i].nneeds;
		if (missing[i] == 0)
			order[placed++] = i;
	}
	for (int next = 0; next < placed; next++) {
		const struct task *t = &dag->tasks[order[next]];
		for (int j = 0; j < t->ndependents; j++) {
			struct task *d = &dag->tasks[t->dependents[j]];
			if (d->level < t->level + 1)
				d->level = t->level + 1;
			if (--missing[d->index] == 0)
				order[placed++] = d->index;
		}
	}
	return placed;
}

/* Every task left over by sort_tasks has a need that is left over, so following them must
 * come back to a task already seen: from there on it is a cycle. */
static void find_cycle(const struct dag *dag, int *missing, int *ret_cycle, int *ret_len)
{
	int at = 0, n = 0;

	while (missing[at] == 0)
		at++;
	while (missing[at] > 0) {
		missing[at] = -1; /* seen */
		ret_cycle[n++] = at;
		const struct task *t = &dag->tasks[at];
		int next = -1;
		for (int j = 0; j < t->nneeds && next < 0; j++)
			if (missing[t->needs[j]] != 0)
				next = t->needs[j];
		at = next;
	}
	int first = 0;
	while (ret_cycle[first] != at)
		first++;
	memmove(ret_cycle, ret_cycle + first, (size_t)(n - first) * sizeof *ret_cycle);
	n -= first;
	ret_cycle[n++] = at;
	*ret_len = n;
}

static int by_name(const void *a, const void *b, void *arg)
{
	const struct task *tasks = arg;

	return strcmp(tasks[*(const int *)a].name, tasks[*(const int *)b].name);
}

/* The priorities of a task and of all that waits for it, each counted once. For 64 tasks at a time
 * a bit says from which of them a task is reached: no memory, and one pass over the edges each. */
static void sum_downstream(struct dag *dag, uint64_t *reached)
{
	for (int first = 0; first < dag->ntasks; first += 64) {
		memset(reached, 0, (size_t)dag->ntasks * sizeof *reached);
		for (int k = 0; k < dag->ntasks; k++) {
			const struct task *t = &dag->tasks[dag->order[k]];
			if (t->index >= first && t->index < first + 64)
				reached[t->index] |= UINT64_C(1) << (t->index - first);
			uint64_t from = reached[t->index];
			for (int j = 0; from && j < t->ndependents; j++)
				reached[t->dependents[j]] |= from;
			for (; from; from &= from - 1)
				dag->tasks[first + __builtin_ctzll(from)].weight += t->priority;
		}
	}
}

static int weigh(struct dag *dag)
{
	uint64_t *reached = NULL;

	for (int i = 0; i < dag->ntasks; i++)
		dag->tasks[i].weight =
			dag->priority_weight == WEIGHT_OWN ? dag->tasks[i].priority : 0;
	if (dag->priority_weight == WEIGHT_OWN)
		return 0;
	reached = calloc((size_t)dag->ntasks + 1, sizeof *reached);
	if (reached)
		sum_downstream(dag, reached);
	free(reached);
	return reached ? 0 : -1;
}

int dag_seal(struct dag *dag, int *ret_cycle, int *ret_len, struct err *err)
{
	size_t n = (size_t)dag->ntasks;
	int *order = arena_array(&dag->arena, n + 1, sizeof *order);
	int *names = arena_array(&dag->arena, n + 1, sizeof *names);
	int *missing = calloc(n + 1, sizeof *missing);
	int rc = -1;

	*ret_len = 0;
	if (!order || !names || !missing || link_dependents(dag) < 0) {
		err_nomem(err);
		goto out;
	}
	for (int i = 0; i < dag->ntasks; i++)
		names[i] = i;
	qsort_r(names, n, sizeof *names, by_name, dag->tasks);
	dag->by_name = names;
	if (sort_tasks(dag, order, missing) < dag->ntasks) {
		find_cycle(dag, missing, ret_cycle, ret_len);
		err_set(err, ERR_INVALID, "the tasks need each other in a circle");
		goto out;
	}
	dag->order = order;
	rc = weigh(dag) < 0 ? err_nomem(err) : 0;
out:
	free(missing);
	return rc;
}

struct task *dag_find(const struct dag *dag, const char *name)
{
	int lo = 0, hi = dag->ntasks;

	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;
		int c = strcmp(dag->tasks[dag->by_name[mid]].name, name);
		if (c == 0)
			return &dag->tasks[dag->by_name[mid]];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct task_group *dag_find_group(const struct dag *dag, const char *name)
{
	for (int i = 0; i < dag->ngroups; i++)
		if (strcmp(dag->groups[i].name, name) == 0)
			return &dag->groups[i];
	return NULL;
}

int dag_group_of(const struct dag *dag, const struct task *t)
{
	return t->group ? (int)(t->group - dag->groups) : -1;
}

size_t dag_name_scope(const char *name, size_t len)
{
	while (len > 0 && name[len - 1] != '.')
		len--;
	return len;
}
