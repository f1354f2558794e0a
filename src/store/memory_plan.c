/* What a daemon decides, and what people tell it, in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

struct mem_dag *memory_find_dag(struct memory_store *m, const char *name)
{
	struct mem_dag *d = NULL;

	HASH_FIND_STR(m->dags, name, d);
	return d;
}

/* One that nothing is kept for yet is not seen by anyone: it needs no undoing. */
static struct mem_dag *need_dag(struct memory_store *m, const char *name, struct err *err)
{
	struct mem_dag *d = memory_find_dag(m, name);

	if (d)
		return d;
	d = arena_alloc(&m->arena, sizeof *d);
	const char *copy = memory_keep(m, name);
	if (!d || !copy) {
		err_nomem(err);
		return NULL;
	}
	d->name = copy;
	HASH_ADD_KEYPTR(hh, m->dags, d->name, strlen(d->name), d);
	if (d->hh.tbl)
		return d;
	err_nomem(err);
	return NULL;
}

void memory_release_dags(struct memory_store *m)
{
	struct mem_dag *d, *next;

	HASH_ITER (hh, m->dags, d, next) {
		free(d->frozen.items);
		free(d->plans.items);
	}
	HASH_CLEAR(hh, m->dags);
}

/* ---- plans --------------------------------------------------------------------------- */

static int add_plan(struct memory_store *m, const struct plan_row *p, struct err *err)
{
	struct mem_dag *d = need_dag(m, p->dag, err);
	struct plan_row *row = d ? arena_alloc(&m->arena, sizeof *row) : NULL;

	if (!row)
		return err_nomem(err);
	*row = *p;
	row->id = m->next_plan++;
	row->dag = d->name;
	row->action = memory_keep(m, p->action);
	row->why = memory_keep(m, p->why);
	return memory_add(m, &d->plans, row, NULL, err);
}

static int put_state(struct memory_store *m, const struct plan_state *p, struct err *err)
{
	struct mem_dag *d = need_dag(m, p->dag, err);

	if (!d || memory_save(m, &d->row, sizeof d->row, err) < 0)
		return -1;
	d->row.plan_state = memory_keep(m, p->text);
	return 0;
}

static struct backfill_row *find_backfill(struct memory_store *m, int64_t id, struct err *err)
{
	if (id > 0 && (uint64_t)id <= m->backfills.n)
		return m->backfills.items[id - 1];
	backend_no_backfill(id, err);
	return NULL;
}

static int move_backfill(struct memory_store *m, const struct backfill_cursor *c, struct err *err)
{
	struct backfill_row *b = find_backfill(m, c->id, err);

	if (!b || memory_save(m, b, sizeof *b, err) < 0)
		return -1;
	b->cursor_us = c->cursor_us;
	b->exhausted = c->exhausted;
	return 0;
}

static int open_run(
	struct memory_store *m, const struct run_open *o, struct run_opened *ret, struct err *err)
{
	struct err why = { .code = ERR_NONE };

	if (memory_open_in(m, o, ret, &why) == 0)
		return 0;
	*ret = (struct run_opened){ .run_id = 0 };
	if (why.code == ERR_REFUSED)
		return 0;
	if (err)
		*err = why;
	return -1;
}

int memory_plan_commit(
	struct store *s, const struct store_plan *plan, struct run_opened *ret, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	int r = 0;

	memory_begin(m);
	for (size_t i = 0; r == 0 && i < plan->ncursors; i++)
		r = move_backfill(m, &plan->cursors[i], err);
	for (size_t i = 0; r == 0 && i < plan->nrows; i++)
		r = add_plan(m, &plan->rows[i], err);
	for (size_t i = 0; r == 0 && i < plan->nstates; i++)
		r = put_state(m, &plan->states[i], err);
	for (size_t i = 0; r == 0 && i < plan->nopens; i++)
		r = open_run(m, &plan->opens[i], &ret[i], err);
	if (r == 0)
		r = memory_dataset_take(m, plan, ret, err);
	return memory_end(m, r, err);
}

/* ---- DAGs and switches --------------------------------------------------------------- */

static int put_dag(
	struct memory_store *m, const struct dag_put *put, int64_t now_us, struct err *err)
{
	struct mem_dag *d = need_dag(m, put->name, err);

	if (!d || memory_save(m, &d->row, sizeof d->row, err) < 0)
		return -1;
	d->row.name = d->name;
	if (put->path)
		d->row.path = memory_keep(m, put->path);
	if (put->dir)
		d->row.dir = memory_keep(m, put->dir);
	if (put->version)
		d->row.version = memory_keep(m, put->version);
	d->row.error = memory_keep(m, put->error);
	d->row.present = put->present;
	return put->version || !put->present ? memory_dataset_links(m, put, now_us, err) : 0;
}

int memory_dags_put(
	struct store *s, const struct dag_put *dags, size_t n, int64_t now_us, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	int r = 0;

	memory_begin(m);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = put_dag(m, &dags[i], now_us, err);
	return memory_end(m, r, err);
}

static int set_frozen(struct memory_store *m, struct mem_dag *d, const struct switch_put *p,
	const struct mem_switch *to, struct err *err)
{
	size_t i = 0;

	while (i < d->frozen.n &&
		strcmp(((struct frozen_row *)d->frozen.items[i])->task, p->task) != 0)
		i++;
	if (!to->on) {
		if (i < d->frozen.n)
			d->frozen.items[i] = d->frozen.items[--d->frozen.n];
		return 0;
	}
	struct frozen_row *f =
		i < d->frozen.n ? d->frozen.items[i] : arena_alloc(&m->arena, sizeof *f);
	const char *task = memory_keep(m, p->task);
	if (!f || !task)
		return err_nomem(err);
	*f = (struct frozen_row){ d->name, task, to->by, to->reason, to->at_us };
	return i < d->frozen.n ? 0 : memory_list_add(&d->frozen, f, err);
}

int memory_switch_set(struct store *s, const struct switch_put *p, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	struct mem_dag *d = need_dag(m, p->dag, err);
	struct mem_switch to = { .on = p->on };

	if (!d)
		return -1;
	if (p->on) {
		to.by = memory_keep(m, p->by);
		to.reason = memory_keep(m, p->reason);
		to.at_us = p->now_us;
	}
	if (m->arena.failed) {
		m->arena.failed = false;
		return err_nomem(err);
	}
	if (p->task)
		return set_frozen(m, d, p, &to, err);
	d->switches[p->which] = to;
	return 0;
}

/* ---- backfills ----------------------------------------------------------------------- */

int memory_backfill_create(
	struct store *s, const struct backfill_new *b, int64_t *ret_id, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	struct backfill_row *row = arena_alloc(&m->arena, sizeof *row);

	if (!row)
		return err_nomem(err);
	*row = (struct backfill_row){ .id = (int64_t)m->backfills.n + 1,
		.dag = memory_keep(m, b->dag),
		.mode = memory_keep(m, b->mode),
		.params = memory_keep(m, b->params ? b->params : "{}"),
		.by = memory_keep(m, b->by),
		.reason = memory_keep(m, b->reason),
		.from_us = b->from_us,
		.to_us = b->to_us,
		.created_us = b->now_us,
		.cursor_us = b->newest_first ? b->to_us : b->from_us,
		.newest_first = b->newest_first,
		.jobs = b->jobs,
		.ntotal = b->ntotal };
	memory_begin(m);
	if (memory_end(m, memory_add(m, &m->backfills, row, NULL, err), err) < 0)
		return -1;
	*ret_id = row->id;
	return 0;
}

int memory_backfill_set(struct store *s, const struct backfill_set *set, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	struct backfill_row *b = find_backfill(m, set->id, err);

	if (!b || backend_may_set(set, b->state, err) < 0)
		return -1;
	memory_begin(m);
	if (memory_save(m, b, sizeof *b, err) < 0)
		return -1;
	b->state = set->to;
	/* Later backfills may take its runs over; what it did stays told. */
	if (set->to == BACKFILL_DONE)
		memory_count_runs(m, b);
	b->ended_us = backend_backfill_is_final(set->to) ? set->now_us : 0;
	if (set->by) {
		b->state_by = memory_keep(m, set->by);
		b->state_reason = memory_keep(m, set->reason);
	}
	return memory_end(m, 0, err);
}

/* ---- forgetting ---------------------------------------------------------------------- */

static bool is_old(const struct run_row *r, int64_t before_us)
{
	return r->ended_us && r->ended_us < before_us && run_state_is_final(r->state) &&
	       !r->wanted && (r->owner.pid == 0 || r->lease_until_us < before_us);
}

static int by_end(const void *a, const void *b)
{
	const struct run_row *x = &(*(struct mem_run *const *)a)->row;
	const struct run_row *y = &(*(struct mem_run *const *)b)->row;

	if (x->ended_us != y->ended_us)
		return x->ended_us < y->ended_us ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

static int find_old(
	struct memory_store *m, int64_t before_us, struct mem_list *ret, struct err *err)
{
	for (size_t i = 0; i < m->runs.n; i++) {
		struct mem_run *run = m->runs.items[i];
		if (run && is_old(&run->row, before_us) && memory_list_add(ret, run, err) < 0)
			return -1;
	}
	if (ret->n)
		qsort(ret->items, ret->n, sizeof *ret->items, by_end);
	return 0;
}

static int by_plan_id(const void *a, const void *b)
{
	const struct plan_row *x = *(struct plan_row *const *)a, *y = *(struct plan_row *const *)b;

	return x->id < y->id ? -1 : 1;
}

/* Decisions that are old, and not the newest of their DAG. */
static int find_old_plans(
	struct memory_store *m, int64_t before_us, struct mem_list *ret, struct err *err)
{
	struct mem_dag *d, *next;

	HASH_ITER (hh, m->dags, d, next) {
		const struct plan_row *last = memory_last_plan(d);
		for (size_t i = 0; last && i < d->plans.n; i++) {
			struct plan_row *p = d->plans.items[i];
			if (p->id < last->id && p->at_us < before_us &&
				memory_list_add(ret, p, err) < 0)
				return -1;
		}
	}
	if (ret->n)
		qsort(ret->items, ret->n, sizeof *ret->items, by_plan_id);
	return 0;
}

static void remove_plan(struct memory_store *m, const struct plan_row *p)
{
	struct mem_list *l = &memory_find_dag(m, p->dag)->plans;
	size_t i = 0;

	while (l->items[i] != p)
		i++;
	memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof *l->items);
	l->n--;
}

static bool is_used(const struct memory_store *m, const struct mem_version *v)
{
	for (size_t i = 0; i < m->runs.n; i++) {
		const struct mem_run *run = m->runs.items[i];
		if (run && run->version == v)
			return true;
	}
	return false;
}

static void remove_versions(struct memory_store *m, const struct run_row *r)
{
	for (struct mem_version **at = &m->versions; *at;) {
		struct mem_version *v = *at;
		bool concerned = strcmp(v->dag, r->dag) == 0 || strcmp(v->hash, r->version) == 0;
		if (concerned && !is_used(m, v))
			*at = v->next;
		else
			at = &v->next;
	}
}

int memory_prune(
	struct store *s, int64_t before_us, int max, struct store_result *ret, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	struct rows rows = { .arena = &ret->arena, .size = sizeof(struct run_row) };
	struct mem_list runs = { .n = 0 }, plans = { .n = 0 };
	size_t max_plans = (size_t)max * BACKEND_PLANS_PER_RUN;
	int r = -1;

	if (find_old(m, before_us, &runs, err) < 0 || find_old_plans(m, before_us, &plans, err) < 0)
		goto out;
	for (size_t i = 0; i < runs.n && i < (size_t)max; i++)
		memory_put_run(&rows, runs.items[i]);
	if (rows_end(&rows, ret, err) < 0)
		goto out;
	/* from here on nothing fails */
	for (size_t i = 0; i < ret->n; i++)
		memory_remove_run(m, runs.items[i]);
	for (size_t i = 0; i < ret->n; i++)
		remove_versions(m, &ret->runs[i]);
	for (size_t i = 0; i < plans.n && i < max_plans; i++)
		remove_plan(m, plans.items[i]);
	memory_breaker_prune(m, before_us, max);
	memory_dataset_prune(m, before_us, max);
	memory_slas_prune(m, before_us, max);
	r = 0;
out:
	free(runs.items);
	free(plans.items);
	return r;
}

int memory_vacuum(struct store *s, int pages, struct err *err)
{
	(void)s;
	(void)pages;
	(void)err;
	return 0;
}
