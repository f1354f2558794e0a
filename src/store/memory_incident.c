/* Incidents in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static bool is_key(const struct incident *i, const struct incident_put *p)
{
	return i->state != INCIDENT_RESOLVED && i->kind == p->kind &&
	       strcmp(i->dag, or_empty(p->dag)) == 0 && strcmp(i->task, or_empty(p->task)) == 0;
}

static struct incident *find(struct memory_store *m, const struct incident_put *p)
{
	for (size_t n = m->incidents.n; n-- > 0;) {
		struct incident *i = m->incidents.items[n];
		if (p->id ? i->id == p->id : is_key(i, p))
			return i;
	}
	return NULL;
}

static int write(
	struct memory_store *m, struct incident *row, const struct incident *next, struct err *err)
{
	bool fresh = !row;

	if (fresh)
		row = arena_alloc(&m->arena, sizeof *row);
	if (!row || (!fresh && memory_save(m, row, sizeof *row, err) < 0))
		return err_nomem(err);
	*row = *next;
	row->dag = memory_keep(m, next->dag);
	row->task = memory_keep(m, next->task);
	row->facts = memory_keep(m, next->facts);
	row->by = memory_keep(m, next->by);
	row->reason = memory_keep(m, next->reason);
	row->told_to = memory_keep(m, next->told_to);
	row->undone = memory_keep(m, next->undone);
	if (!fresh)
		return 0;
	row->id = m->next_incident;
	if (memory_add(m, &m->incidents, row, NULL, err) < 0)
		return -1;
	m->next_incident++;
	return 0;
}

static int tell_routes(struct memory_store *m, const struct incident *i,
	const struct incident_put *p, struct err *err)
{
	struct incident_act act;

	for (size_t k = 0; k < p->nroutes; k++) {
		if (!incident_tells(i, p, &p->routes[k]))
			continue;
		if (backend_incident_act(i, p, &p->routes[k], &act, err) < 0)
			return -1;
		int r = memory_act_put(m, &act.act, err);
		backend_incident_act_release(&act);
		if (r < 0)
			return -1;
	}
	return 0;
}

int memory_incident_put(struct memory_store *m, const struct incident_put *p, struct err *err)
{
	struct incident *present = find(m, p), next;
	struct arena a;
	bool tell;
	int rc;

	arena_init(&a, 1 << 20);
	if (!incident_apply(present, p, &a, &next, &tell)) {
		rc = backend_bad_incident(p, present, err);
	} else {
		if (!present)
			next.id = m->next_incident;
		rc = a.failed ? err_nomem(err) : write(m, present, &next, err);
		if (rc == 0 && tell)
			rc = tell_routes(m, &next, p, err);
	}
	arena_release(&a);
	return rc;
}

static int by_end(const void *a, const void *b)
{
	const struct incident *x = *(struct incident *const *)a, *y = *(struct incident *const *)b;

	if (x->ended_us != y->ended_us)
		return x->ended_us < y->ended_us ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

static void forget(struct mem_list *l, const void *item)
{
	size_t i = 0;

	while (l->items[i] != item)
		i++;
	memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof *l->items);
	l->n--;
}

int memory_incidents_prune(struct store *s, int64_t before_us, int max, int *ret_n, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	struct mem_list old = { .n = 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->incidents.n; i++) {
		struct incident *row = m->incidents.items[i];
		if (row->ended_us && row->ended_us < before_us)
			r = memory_list_add(&old, row, err);
	}
	if (r == 0 && old.n)
		qsort(old.items, old.n, sizeof *old.items, by_end);
	for (*ret_n = 0; r == 0 && (size_t)*ret_n < old.n && *ret_n < max; ++*ret_n)
		forget(&m->incidents, old.items[*ret_n]);
	free(old.items);
	return r;
}

/* ---- reading --------------------------------------------------------------------------- */

static void put(struct rows *rows, const struct incident *i)
{
	struct incident *row = rows_add(rows);
	struct arena *a = rows->arena;

	if (!row)
		return;
	*row = *i;
	row->dag = arena_strdup(a, i->dag);
	row->task = arena_strdup(a, i->task);
	row->facts = i->facts ? arena_strdup(a, i->facts) : NULL;
	row->by = i->by ? arena_strdup(a, i->by) : NULL;
	row->reason = i->reason ? arena_strdup(a, i->reason) : NULL;
	row->told_to = i->told_to ? arena_strdup(a, i->told_to) : NULL;
	row->undone = i->undone ? arena_strdup(a, i->undone) : NULL;
}

static int64_t due(const struct incident *i)
{
	return i->until_us ? i->until_us : i->escalate_us;
}

static int by_due(const void *a, const void *b)
{
	const struct incident *x = *(struct incident *const *)a, *y = *(struct incident *const *)b;

	if (due(x) != due(y))
		return due(x) < due(y) ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

static bool is_full(const struct rows *rows, const struct list_query *q)
{
	return q->limit > 0 && rows->n == (size_t)q->limit;
}

static bool matches(const struct incident *i, const struct list_query *q)
{
	return (!q->id || i->id == q->id) && (!q->dag || strcmp(i->dag, q->dag) == 0);
}

int memory_put_incidents(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t n = m->incidents.n; n-- > 0 && !is_full(rows, q);) {
		const struct incident *i = m->incidents.items[n];
		if (matches(i, q) && (q->state || !i->ended_us))
			put(rows, i);
	}
	return 0;
}

int memory_put_incidents_due(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	struct mem_list list = { .n = 0 };
	int r = 0;

	for (size_t n = 0; r == 0 && n < m->incidents.n; n++) {
		struct incident *i = m->incidents.items[n];
		if (matches(i, q) && due(i) && due(i) <= q->due_us)
			r = memory_list_add(&list, i, err);
	}
	if (list.n)
		qsort(list.items, list.n, sizeof *list.items, by_due);
	for (size_t n = 0; r == 0 && n < list.n && !is_full(rows, q); n++)
		put(rows, list.items[n]);
	free(list.items);
	return r;
}
