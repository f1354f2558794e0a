/* Datasets: their updates, who waits for them, and who takes them, in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

static const char *lend(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

/* ---- updates ------------------------------------------------------------------------- */

static struct mem_dataset *find_dataset(struct memory_store *m, const char *name)
{
	for (size_t i = 0; i < m->datasets.n; i++) {
		struct mem_dataset *d = m->datasets.items[i];
		if (strcmp(d->row.name, name) == 0)
			return d;
	}
	return NULL;
}

/* The one that is known, or a new one. */
static struct mem_dataset *know(
	struct memory_store *m, const char *name, int64_t now_us, struct err *err)
{
	struct mem_dataset *d = find_dataset(m, name);

	if (d)
		return d;
	d = arena_alloc(&m->arena, sizeof *d);
	if (!d) {
		err_nomem(err);
		return NULL;
	}
	d->row.name = memory_keep(m, name);
	d->row.since_us = now_us;
	return d->row.name && memory_add(m, &m->datasets, d, NULL, err) == 0 ? d : NULL;
}

static int put_dataset(struct memory_store *m, const struct dataset_update_row *u, struct err *err)
{
	struct mem_dataset *d = know(m, u->dataset, u->at_us, err);

	if (!d || memory_save(m, d, sizeof *d, err) < 0)
		return -1;
	d->last_id = u->id;
	if (u->wakes && (!d->row.fresh_us || u->end_us >= d->row.end_us)) {
		d->row.fresh_us = u->at_us;
		d->row.end_us = u->end_us;
	}
	return 0;
}

static bool is_known(const struct memory_store *m, const struct dataset_put *p)
{
	for (size_t i = 0; p->work && i < m->updates.n; i++) {
		const struct dataset_update_row *u = m->updates.items[i];
		if (u->work == p->work && strcmp(u->dataset, p->dataset) == 0)
			return true;
	}
	return false;
}

int memory_dataset_put(struct memory_store *m, const struct dataset_put *p, struct err *err)
{
	const struct mem_run *run = p->run_id ? memory_find_run(m, p->run_id) : NULL;
	bool backfill = run && strcmp(run->row.trigger, BACKEND_TRIGGER_BACKFILL) == 0;

	if (is_known(m, p))
		return 0;
	struct dataset_update_row *u = arena_alloc(&m->arena, sizeof *u);
	if (!u)
		return err_nomem(err);
	*u = (struct dataset_update_row){ .id = m->next_update,
		.at_us = p->at_us,
		.start_us = p->start_us,
		.end_us = p->end_us,
		.dataset = memory_keep(m, p->dataset),
		.dag = memory_keep(m, p->dag),
		.task = memory_keep(m, p->task),
		.map_index = p->map_index,
		.run_id = p->run_id,
		.work = p->work,
		.wakes = !backfill,
		.by = memory_keep(m, p->by),
		.reason = memory_keep(m, p->reason) };
	if (!u->dataset || memory_add(m, &m->updates, u, NULL, err) < 0)
		return err_nomem(err);
	m->next_update++;
	return put_dataset(m, u, err);
}

int memory_dataset_touch(
	struct store *s, const struct dataset_put *put, int64_t *ret_id, struct err *err)
{
	struct memory_store *m = memory_cast(s);

	memory_begin(m);
	*ret_id = m->next_update;
	return memory_end(m, memory_dataset_put(m, put, err), err);
}

/* ---- who waits, and who takes ---------------------------------------------------------- */

static struct mem_cursor *find_cursor(
	const struct memory_store *m, const char *dag, const char *dataset)
{
	for (size_t i = 0; i < m->cursors.n; i++) {
		struct mem_cursor *c = m->cursors.items[i];
		if (strcmp(c->row.dag, dag) == 0 && strcmp(c->row.dataset, dataset) == 0)
			return c;
	}
	return NULL;
}

static bool waits(const struct memory_store *m, const char *dag, const struct dataset_update_row *u)
{
	const struct mem_cursor *c = find_cursor(m, dag, u->dataset);

	return c && !c->gone && u->wakes && u->id > c->row.seen_id;
}

static const struct mem_use *find_use(
	const struct memory_store *m, int64_t run_id, int64_t update_id)
{
	for (size_t i = 0; i < m->uses.n; i++) {
		const struct mem_use *u = m->uses.items[i];
		if ((!run_id || u->run_id == run_id) && u->update_id == update_id)
			return u;
	}
	return NULL;
}

static int add_use(struct memory_store *m, int64_t run_id, int64_t update_id, struct err *err)
{
	struct mem_use *u =
		find_use(m, run_id, update_id) ? NULL : arena_alloc(&m->arena, sizeof *u);

	if (!u)
		return m->arena.failed ? err_nomem(err) : 0;
	*u = (struct mem_use){ run_id, update_id };
	return memory_add(m, &m->uses, u, NULL, err);
}

static int take(
	struct memory_store *m, const char *dag, int64_t run_id, int64_t upto, struct err *err)
{
	for (size_t i = 0; i < m->updates.n; i++) {
		const struct dataset_update_row *u = m->updates.items[i];
		if (u->id <= upto && waits(m, dag, u) && add_use(m, run_id, u->id, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < m->cursors.n; i++) {
		struct mem_cursor *c = m->cursors.items[i];
		if (strcmp(c->row.dag, dag) != 0 || c->row.seen_id >= upto)
			continue;
		if (memory_save(m, c, sizeof *c, err) < 0)
			return -1;
		c->row.seen_id = upto;
	}
	return 0;
}

int memory_dataset_take(struct memory_store *m, const struct store_plan *plan,
	const struct run_opened *opened, struct err *err)
{
	for (size_t i = 0; i < plan->ntakes; i++) {
		const struct dataset_take *t = &plan->takes[i];
		if (opened[t->open].run_id && take(m, plan->opens[t->open].key.dag,
						      opened[t->open].run_id, t->upto, err) < 0)
			return -1;
	}
	return 0;
}

static int64_t newest_update(const struct memory_store *m)
{
	int64_t newest = 0;

	for (size_t i = 0; i < m->datasets.n; i++) {
		const struct mem_dataset *d = m->datasets.items[i];
		newest = d->last_id > newest ? d->last_id : newest;
	}
	return newest;
}

static int put_cursor(
	struct memory_store *m, const struct dataset_follow *f, const char *name, struct err *err)
{
	struct mem_cursor *c = find_cursor(m, f->dag, name);

	if (c && !c->gone)
		return 0;
	bool fresh = !c;
	if (fresh)
		c = arena_alloc(&m->arena, sizeof *c);
	if (!c || (!fresh && memory_save(m, c, sizeof *c, err) < 0))
		return err_nomem(err);
	c->gone = false;
	c->row = (struct dataset_cursor_row){ memory_keep(m, f->dag), memory_keep(m, name),
		newest_update(m), f->now_us };
	return fresh ? memory_add(m, &m->cursors, c, NULL, err) : 0;
}

static int follow(struct memory_store *m, const struct dataset_follow *f, struct err *err)
{
	for (size_t i = 0; i < m->cursors.n; i++) {
		struct mem_cursor *c = m->cursors.items[i];
		if (c->gone || strcmp(c->row.dag, f->dag) != 0 ||
			backend_follows(f, c->row.dataset))
			continue;
		if (memory_save(m, c, sizeof *c, err) < 0)
			return -1;
		c->gone = true;
	}
	for (size_t i = 0; i < f->n; i++)
		if (put_cursor(m, f, f->names[i], err) < 0)
			return -1;
	return 0;
}

int memory_dataset_follow(struct store *s, const struct dataset_follow *f, struct err *err)
{
	struct memory_store *m = memory_cast(s);

	memory_begin(m);
	return memory_end(m, follow(m, f, err), err);
}

static struct mem_link *find_link(
	const struct memory_store *m, const char *dag, const struct dataset_link *link)
{
	for (size_t i = 0; i < m->links.n; i++) {
		struct mem_link *l = m->links.items[i];
		if (l->row.role == link->role && strcmp(l->row.dag, dag) == 0 &&
			strcmp(l->row.dataset, link->dataset) == 0 &&
			strcmp(l->row.task, link->task) == 0)
			return l;
	}
	return NULL;
}

static int put_link(struct memory_store *m, const struct dag_put *dag,
	const struct dataset_link *link, int64_t now_us, struct err *err)
{
	struct mem_link *l = find_link(m, dag->name, link);
	bool fresh = !l;

	if (!know(m, link->dataset, now_us, err))
		return -1;
	if (fresh)
		l = arena_alloc(&m->arena, sizeof *l);
	if (!l || (!fresh && memory_save(m, l, sizeof *l, err) < 0))
		return err_nomem(err);
	/* Of two rows in one put the first counts. */
	if (!fresh && !l->gone)
		return 0;
	l->gone = false;
	l->row.fresh_within_us = link->fresh_within_us;
	if (!fresh)
		return 0;
	l->row = (struct dataset_link){ memory_keep(m, dag->name), memory_keep(m, link->dataset),
		memory_keep(m, link->task), link->role, link->fresh_within_us };
	return memory_add(m, &m->links, l, NULL, err);
}

int memory_dataset_links(
	struct memory_store *m, const struct dag_put *dag, int64_t now_us, struct err *err)
{
	for (size_t i = 0; i < m->links.n; i++) {
		struct mem_link *l = m->links.items[i];
		if (l->gone || strcmp(l->row.dag, dag->name) != 0)
			continue;
		if (memory_save(m, l, sizeof *l, err) < 0)
			return -1;
		l->gone = true;
	}
	for (size_t i = 0; dag->present && i < dag->nlinks; i++)
		if (put_link(m, dag, &dag->links[i], now_us, err) < 0)
			return -1;
	return 0;
}

/* ---- forgetting ------------------------------------------------------------------------ */

void memory_dataset_forget_run(struct memory_store *m, int64_t run_id)
{
	size_t kept = 0;

	for (size_t i = 0; i < m->uses.n; i++)
		if (((const struct mem_use *)m->uses.items[i])->run_id != run_id)
			m->uses.items[kept++] = m->uses.items[i];
	m->uses.n = kept;
}

static bool is_needed(struct memory_store *m, const struct dataset_update_row *u)
{
	const struct mem_dataset *d = find_dataset(m, u->dataset);

	if ((d && d->last_id == u->id) || find_use(m, 0, u->id))
		return true;
	for (size_t i = 0; i < m->cursors.n; i++) {
		const struct mem_cursor *c = m->cursors.items[i];
		const struct mem_dag *dag = memory_find_dag(m, c->row.dag);
		if (!c->gone && c->row.seen_id < u->id && dag && dag->row.present &&
			strcmp(c->row.dataset, u->dataset) == 0)
			return true;
	}
	return false;
}

static size_t find_oldest(struct memory_store *m, int64_t before_us)
{
	const struct mem_list *l = &m->updates;
	size_t oldest = l->n;

	for (size_t i = 0; i < l->n; i++) {
		const struct dataset_update_row *u = l->items[i];
		const struct dataset_update_row *best = oldest < l->n ? l->items[oldest] : NULL;
		if (u->at_us < before_us && (!best || u->at_us < best->at_us) && !is_needed(m, u))
			oldest = i;
	}
	return oldest;
}

void memory_dataset_prune(struct memory_store *m, int64_t before_us, int max)
{
	struct mem_list *l = &m->updates;

	for (size_t i; max > 0 && (i = find_oldest(m, before_us)) < l->n; max--) {
		memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof *l->items);
		l->n--;
	}
}

/* ---- reading --------------------------------------------------------------------------- */

static void copy_update(
	struct arena *a, struct memory_store *m, const struct dataset_update_row *from, void *to)
{
	struct dataset_update_row *row = to;
	const struct mem_run *run = from->run_id ? memory_find_run(m, from->run_id) : NULL;

	*row = *from;
	row->dataset = lend(a, from->dataset);
	row->dag = lend(a, from->dag);
	row->task = lend(a, from->task);
	row->run = run ? lend(a, run->row.name) : NULL;
	row->by = lend(a, from->by);
	row->reason = lend(a, from->reason);
}

static bool is_wanted(
	struct memory_store *m, const struct list_query *q, const struct dataset_update_row *u)
{
	if (q->dataset && strcmp(q->dataset, u->dataset) != 0)
		return false;
	switch ((enum update_query)(q->kind - LIST_UPDATES)) {
	case UPDATES_AFTER:
		return u->id > q->id;
	case UPDATES_WAITING:
		return waits(m, q->dag, u);
	case UPDATES_BY:
		return u->run_id == q->id;
	case UPDATES_TAKEN:
		return find_use(m, q->id, u->id);
	case UPDATES_DURING:
		return u->end_us >= q->from_us && u->start_us <= q->to_us;
	default:
		return true;
	}
}

int memory_put_updates(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	const struct mem_list *l = &m->updates;
	bool newest_first = q->kind == LIST_UPDATES + UPDATES_OF;

	(void)err;
	for (size_t i = 0; i < l->n && (q->limit <= 0 || rows->n < (size_t)q->limit); i++) {
		const struct dataset_update_row *u = l->items[newest_first ? l->n - 1 - i : i];
		void *row = is_wanted(m, q, u) ? rows_add(rows) : NULL;
		if (row)
			copy_update(rows->arena, m, u, row);
	}
	return 0;
}

static const struct dataset_update_row *find_update(const struct memory_store *m, int64_t id)
{
	for (size_t i = m->updates.n; i-- > 0;) {
		const struct dataset_update_row *u = m->updates.items[i];
		if (u->id == id)
			return u;
	}
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	const struct dataset_row *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int memory_put_datasets(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < m->datasets.n; i++) {
		const struct mem_dataset *d = m->datasets.items[i];
		const struct dataset_update_row *last = find_update(m, d->last_id);
		if (q->dataset && strcmp(q->dataset, d->row.name) != 0)
			continue;
		struct dataset_row *row = rows_add(rows);
		void *copy = row && last ? arena_alloc(rows->arena, sizeof *last) : NULL;
		if (!row)
			return 0;
		*row = d->row;
		row->name = lend(rows->arena, d->row.name);
		if (copy)
			copy_update(rows->arena, m, last, copy);
		row->last = copy;
	}
	if (rows->n && !rows->arena->failed)
		qsort(rows->data, rows->n, rows->size, by_name);
	return 0;
}

static int by_link(const void *a, const void *b)
{
	const struct dataset_link *x = a, *y = b;
	int d = strcmp(x->dataset, y->dataset);

	d = d ? d : strcmp(dataset_role_name(x->role), dataset_role_name(y->role));
	d = d ? d : strcmp(x->dag, y->dag);
	return d ? d : strcmp(x->task, y->task);
}

int memory_put_links(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < m->links.n; i++) {
		const struct mem_link *l = m->links.items[i];
		if (l->gone || (q->dataset && strcmp(q->dataset, l->row.dataset) != 0))
			continue;
		struct dataset_link *row = rows_add(rows);
		if (!row)
			return 0;
		*row = (struct dataset_link){ lend(rows->arena, l->row.dag),
			lend(rows->arena, l->row.dataset), lend(rows->arena, l->row.task),
			l->row.role, l->row.fresh_within_us };
	}
	if (rows->n && !rows->arena->failed)
		qsort(rows->data, rows->n, rows->size, by_link);
	return 0;
}

static int by_dag(const void *a, const void *b)
{
	const struct dataset_cursor_row *x = a, *y = b;
	int d = strcmp(x->dag, y->dag);

	return d ? d : strcmp(x->dataset, y->dataset);
}

int memory_put_cursors(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < m->cursors.n; i++) {
		const struct mem_cursor *c = m->cursors.items[i];
		if (c->gone || (q->dag && strcmp(q->dag, c->row.dag) != 0))
			continue;
		struct dataset_cursor_row *row = rows_add(rows);
		if (!row)
			return 0;
		*row = c->row;
		row->dag = lend(rows->arena, c->row.dag);
		row->dataset = lend(rows->arena, c->row.dataset);
	}
	if (rows->n && !rows->arena->failed)
		qsort(rows->data, rows->n, rows->size, by_dag);
	return 0;
}

void memory_release_datasets(struct memory_store *m)
{
	free(m->datasets.items);
	free(m->updates.items);
	free(m->uses.items);
	free(m->cursors.items);
	free(m->links.items);
}
