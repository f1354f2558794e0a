/* Circuit breakers, and how they changed, in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

static const char *lend(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

static struct breaker_row *find(struct memory_store *m, const char *name)
{
	for (size_t i = 0; i < m->breakers.n; i++) {
		struct breaker_row *row = m->breakers.items[i];
		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}

static int add_event(struct memory_store *m, const struct breaker_put *b, struct err *err)
{
	struct mem_list *l = &m->breaker_events;
	const struct mem_breaker_event *last = l->n ? l->items[l->n - 1] : NULL;
	struct mem_breaker_event *e = arena_alloc(&m->arena, sizeof *e);

	if (!e)
		return err_nomem(err);
	e->run_id = b->run_id;
	e->row = (struct breaker_event_row){ .id = last ? last->row.id + 1 : 1,
		.at_us = b->at_us,
		.name = memory_keep(m, b->name),
		.from = b->from,
		.to = b->to,
		.why = b->why,
		.by = memory_keep(m, b->by),
		.reason = memory_keep(m, b->reason),
		.task = memory_keep(m, b->task) };
	return memory_add(m, l, e, NULL, err);
}

static struct breaker_row *add_breaker(struct memory_store *m, const char *name, struct err *err)
{
	struct breaker_row *row = arena_alloc(&m->arena, sizeof *row);

	if (!row) {
		err_nomem(err);
		return NULL;
	}
	*row = (struct breaker_row){ .name = memory_keep(m, name) };
	return row->name && memory_add(m, &m->breakers, row, NULL, err) == 0 ? row : NULL;
}

int memory_breaker_put_in(struct memory_store *m, const struct breaker_put *b, struct err *err)
{
	struct breaker_row *row = find(m, b->name);
	bool counts = b->why == REASON_NONE;

	/* Another process has changed it since. */
	if (row && counts && (row->state != b->to || row->since_us != b->since_us))
		return 0;
	if (!row && !(row = add_breaker(m, b->name, err)))
		return -1;
	if (memory_save(m, row, sizeof *row, err) < 0)
		return -1;
	row->text = memory_keep(m, b->text);
	row->state = b->to;
	row->since_us = b->since_us;
	if (counts)
		return 0;
	row->why = b->why;
	row->by = memory_keep(m, b->by);
	row->reason = memory_keep(m, b->reason);
	return add_event(m, b, err);
}

/* Of what is old the oldest; equals by their numbers. */
static size_t oldest(const struct mem_list *l, int64_t before_us)
{
	size_t found = l->n;

	for (size_t i = 0; i < l->n; i++) {
		const struct mem_breaker_event *e = l->items[i];
		const struct mem_breaker_event *best = found < l->n ? l->items[found] : NULL;
		if (e->row.at_us < before_us && (!best || e->row.at_us < best->row.at_us))
			found = i;
	}
	return found;
}

void memory_breaker_prune(struct memory_store *m, int64_t before_us, int max)
{
	struct mem_list *l = &m->breaker_events;

	for (size_t i; max > 0 && (i = oldest(l, before_us)) < l->n; max--) {
		memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof *l->items);
		l->n--;
	}
}

/* ---- reading --------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct breaker_row *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int memory_put_breakers(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < m->breakers.n; i++) {
		const struct breaker_row *from = m->breakers.items[i];
		if (q->dag && strcmp(q->dag, from->name) != 0)
			continue;
		struct breaker_row *row = rows_add(rows);
		if (!row)
			return 0;
		*row = *from;
		row->name = lend(rows->arena, from->name);
		row->text = lend(rows->arena, from->text);
		row->by = lend(rows->arena, from->by);
		row->reason = lend(rows->arena, from->reason);
	}
	if (rows->n && !rows->arena->failed)
		qsort(rows->data, rows->n, rows->size, by_name);
	return 0;
}

int memory_put_breaker_events(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t i = m->breaker_events.n; i-- > 0;) {
		const struct mem_breaker_event *from = m->breaker_events.items[i];
		if (q->limit > 0 && rows->n == (size_t)q->limit)
			break;
		if (q->dag && strcmp(q->dag, from->row.name) != 0)
			continue;
		struct breaker_event_row *row = rows_add(rows);
		if (!row)
			break;
		const struct mem_run *run = memory_find_run(m, from->run_id);
		*row = from->row;
		row->name = lend(rows->arena, from->row.name);
		row->by = lend(rows->arena, from->row.by);
		row->reason = lend(rows->arena, from->row.reason);
		row->run = run ? lend(rows->arena, run->row.name) : NULL;
		row->task = lend(rows->arena, from->row.task);
	}
	return 0;
}
