/* SLAs that were missed, how far they are judged, and durations of tasks, in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

static const char *lend(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

/* ---- writing ---------------------------------------------------------------------------- */

static bool is_same(const struct sla_key *a, const struct sla_key *b)
{
	return a->start_us == b->start_us && a->end_us == b->end_us &&
	       strcmp(a->kind, b->kind) == 0 && strcmp(a->dag, b->dag) == 0 &&
	       strcmp(a->task, b->task) == 0;
}

static int put_miss(struct memory_store *m, struct sla_miss *miss, struct err *err)
{
	struct mem_list *l = &m->misses;

	miss->id = 0;
	for (size_t i = 0; i < l->n; i++)
		if (is_same(&((const struct sla_miss *)l->items[i])->key, &miss->key))
			return 0;
	struct sla_miss *row = arena_alloc(&m->arena, sizeof *row);
	if (!row)
		return err_nomem(err);
	*row = *miss;
	row->id = l->n ? ((const struct sla_miss *)l->items[l->n - 1])->id + 1 : 1;
	miss->id = row->id;
	row->key.dag = memory_keep(m, miss->key.dag);
	row->key.task = memory_keep(m, miss->key.task);
	row->key.kind = memory_keep(m, miss->key.kind);
	row->detail = memory_keep(m, miss->detail);
	row->acts = memory_keep(m, miss->acts);
	row->ended = NULL;
	row->ended_us = 0;
	row->acted = false;
	return memory_add(m, l, row, NULL, err);
}

/* To be changed; NULL without an error: there is none. */
static struct sla_miss *take_miss(struct memory_store *m, int64_t id, struct err *err, int *ret)
{
	for (size_t i = 0; i < m->misses.n; i++) {
		struct sla_miss *row = m->misses.items[i];
		if (row->id != id)
			continue;
		*ret = memory_save(m, row, sizeof *row, err);
		return *ret == 0 ? row : NULL;
	}
	return NULL;
}

static int put_end(struct memory_store *m, const struct sla_end *e, struct err *err)
{
	int r = 0;
	struct sla_miss *row = take_miss(m, e->id, err, &r);

	if (row && !row->ended_us) {
		row->ended_us = e->at_us;
		row->ended = memory_keep(m, e->why);
	}
	return r;
}

static int put_acted(struct memory_store *m, int64_t id, struct err *err)
{
	int r = 0;
	struct sla_miss *row = take_miss(m, id, err, &r);

	if (row)
		row->acted = true;
	return r;
}

static int put_mark(struct memory_store *m, const struct sla_mark_row *mark, struct err *err)
{
	struct sla_mark_row *row = NULL;

	for (size_t i = 0; i < m->marks.n && !row; i++) {
		row = m->marks.items[i];
		row = strcmp(row->dag, mark->dag) == 0 ? row : NULL;
	}
	if (row && memory_save(m, row, sizeof *row, err) < 0)
		return -1;
	bool known = row != NULL;
	if (!known && !(row = arena_alloc(&m->arena, sizeof *row)))
		return err_nomem(err);
	*row = (struct sla_mark_row){ known ? row->dag : memory_keep(m, mark->dag), mark->judged_us,
		mark->digest };
	return known ? 0 : memory_add(m, &m->marks, row, NULL, err);
}

int memory_slas_put(struct memory_store *m, const struct store_slas *slas, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < slas->nmisses; i++)
		r = put_miss(m, &slas->misses[i], err);
	for (size_t i = 0; r == 0 && i < slas->nends; i++)
		r = put_end(m, &slas->ends[i], err);
	for (size_t i = 0; r == 0 && i < slas->nacted; i++)
		r = put_acted(m, slas->acted[i], err);
	for (size_t i = 0; r == 0 && i < slas->nmarks; i++)
		r = put_mark(m, &slas->marks[i], err);
	return r;
}

/* The one that was found first, of those found before an instant; the list's length: none. */
static size_t find_oldest(const struct mem_list *l, int64_t before_us)
{
	size_t oldest = l->n;

	for (size_t i = 0; i < l->n; i++) {
		const struct sla_miss *row = l->items[i];
		if (row->found_us < before_us &&
			(oldest == l->n ||
				row->found_us <
					((const struct sla_miss *)l->items[oldest])->found_us))
			oldest = i;
	}
	return oldest;
}

void memory_slas_prune(struct memory_store *m, int64_t before_us, int max)
{
	struct mem_list *l = &m->misses;

	for (int n = 0; n < max; n++) {
		size_t i = find_oldest(l, before_us);
		if (i == l->n)
			return;
		memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof *l->items);
		l->n--;
	}
}

/* ---- reading ---------------------------------------------------------------------------- */

int memory_put_misses(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t i = m->misses.n; i-- > 0;) {
		const struct sla_miss *miss = m->misses.items[i];
		if ((q->dag && strcmp(miss->key.dag, q->dag) != 0) ||
			(q->kind == LIST_SLA_OPEN && miss->ended_us))
			continue;
		struct sla_miss *row =
			q->limit > 0 && rows->n == (size_t)q->limit ? NULL : rows_add(rows);
		if (!row)
			break;
		*row = *miss;
		row->key.dag = lend(rows->arena, miss->key.dag);
		row->key.task = lend(rows->arena, miss->key.task);
		row->key.kind = lend(rows->arena, miss->key.kind);
		row->ended = lend(rows->arena, miss->ended);
		row->detail = lend(rows->arena, miss->detail);
		row->acts = lend(rows->arena, miss->acts);
	}
	return 0;
}

static int by_dag(const void *a, const void *b)
{
	return strcmp(
		(*(struct sla_mark_row *const *)a)->dag, (*(struct sla_mark_row *const *)b)->dag);
}

int memory_put_marks(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	if (m->marks.n)
		qsort(m->marks.items, m->marks.n, sizeof *m->marks.items, by_dag);
	for (size_t i = 0; i < m->marks.n; i++) {
		const struct sla_mark_row *mark = m->marks.items[i];
		if (q->dag && strcmp(mark->dag, q->dag) != 0)
			continue;
		struct sla_mark_row *row = rows_add(rows);
		if (!row)
			break;
		*row = *mark;
		row->dag = lend(rows->arena, mark->dag);
	}
	return 0;
}

static int by_task(const void *a, const void *b)
{
	const struct task_time_row *x = a, *y = b;
	int d = strcmp(x->task, y->task);

	return d ? d : (x->took_us > y->took_us) - (x->took_us < y->took_us);
}

static void put_times(struct rows *rows, struct memory_store *m, struct mem_run *run)
{
	struct mem_task *t, *next;

	HASH_ITER (hh, run->tasks, t, next) {
		const struct mem_attempt *a = memory_find_attempt(m, t->row.token);
		if (!a || t->row.map_index >= 0 || t->row.state != TASK_SUCCESS ||
			!a->row.started_us || !a->row.ended_us)
			continue;
		struct task_time_row *row = rows_add(rows);
		if (!row)
			return;
		row->task = lend(rows->arena, t->row.name);
		row->took_us = a->row.ended_us - a->row.started_us;
	}
}

int memory_put_times(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	const struct run_filter f = { .dag = q->dag, .state = RUN_SUCCESS, .limit = q->limit };
	struct store_result runs;

	store_result_init(&runs);
	int r = memory_runs(&m->base, &(struct run_query){ .kind = RUN_QUERY_FILTER, .filter = &f },
		&runs, err);
	for (size_t i = 0; r == 0 && i < runs.n; i++)
		put_times(rows, m, memory_find_run(m, runs.runs[i].id));
	store_result_release(&runs);
	if (rows->n && !rows->arena->failed)
		qsort(rows->data, rows->n, rows->size, by_task);
	return r;
}
