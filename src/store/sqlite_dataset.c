/* Datasets: their updates, who waits for them, and who takes them. */
#include <string.h>

#include "base/err.h"
#include "store/sqlite.h"

static struct sqlite_store *cast(struct store *s)
{
	return (struct sqlite_store *)s;
}

/* ---- updates ------------------------------------------------------------------------- */

static int is_backfill(struct sqlite_store *s, int64_t run_id, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_UPDATE_IS_BACKFILL, "look for the run");

	sqlite_bind_int(&q, run_id);
	int r = sqlite_step(&q, err);
	sqlite_done(&q);
	return r;
}

/* 1: it is recorded; 0: it was before. */
static int insert_update(
	struct sqlite_store *s, const struct dataset_put *p, bool wakes, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_UPDATE_PUT, "record a dataset's update");

	sqlite_bind_text(&q, p->dataset);
	sqlite_bind_int(&q, p->at_us);
	sqlite_bind_int(&q, p->start_us);
	sqlite_bind_int(&q, p->end_us);
	sqlite_bind_text(&q, p->dag);
	sqlite_bind_text(&q, p->task);
	sqlite_bind_int(&q, p->map_index);
	sqlite_bind_time(&q, p->run_id);
	sqlite_bind_time(&q, p->work);
	sqlite_bind_int(&q, wakes);
	sqlite_bind_text(&q, p->by);
	sqlite_bind_text(&q, p->reason);
	return sqlite_run(&q, err);
}

static int put_dataset(struct sqlite_store *s, const struct dataset_put *p, int64_t id, bool wakes,
	struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_DATASET_PUT, "record how fresh a dataset is");

	sqlite_bind_text(&q, p->dataset);
	sqlite_bind_int(&q, p->at_us);
	sqlite_bind_int(&q, id);
	sqlite_bind_time(&q, wakes ? p->at_us : 0);
	if (wakes)
		sqlite_bind_int(&q, p->end_us);
	else
		sqlite_bind_text(&q, NULL);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_dataset_put(struct sqlite_store *s, const struct dataset_put *p, struct err *err)
{
	int backfill = p->run_id ? is_backfill(s, p->run_id, err) : 0;
	int n = backfill < 0 ? -1 : insert_update(s, p, !backfill, err);

	if (n <= 0)
		return n;
	return put_dataset(s, p, sqlite3_last_insert_rowid(s->db), !backfill, err);
}

static int touch(struct sqlite_store *s, const struct dataset_put *p, int64_t *ret, struct err *err)
{
	if (insert_update(s, p, true, err) < 0)
		return -1;
	*ret = sqlite3_last_insert_rowid(s->db);
	if (put_dataset(s, p, *ret, true, err) < 0)
		return -1;
	struct sqlite_query q = sqlite_query(s, SQL_AUDIT_INSERT, "record who did it");
	sqlite_bind_int(&q, p->at_us);
	sqlite_bind_text(&q, p->by);
	sqlite_bind_text(&q, "touch");
	sqlite_bind_text(&q, p->dataset);
	sqlite_bind_text(&q, p->reason);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_dataset_touch(
	struct store *base, const struct dataset_put *put, int64_t *ret_id, struct err *err)
{
	struct sqlite_store *s = cast(base);

	if (sqlite_begin(s, err) < 0)
		return -1;
	return sqlite_end(s, touch(s, put, ret_id, err), "record a dataset's update", err);
}

/* ---- who waits, and who takes ---------------------------------------------------------- */

static int take(
	struct sqlite_store *s, const char *dag, int64_t run_id, int64_t upto, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_UPDATES_TAKE, "record which updates a run has");

	sqlite_bind_int(&q, run_id);
	sqlite_bind_text(&q, dag);
	sqlite_bind_int(&q, upto);
	if (sqlite_run(&q, err) < 0)
		return -1;
	q = sqlite_query(s, SQL_CURSOR_MOVE, "record which updates were taken");
	sqlite_bind_text(&q, dag);
	sqlite_bind_int(&q, upto);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_dataset_take(struct sqlite_store *s, const struct store_plan *plan,
	const struct run_opened *opened, struct err *err)
{
	for (size_t i = 0; i < plan->ntakes; i++) {
		const struct dataset_take *t = &plan->takes[i];
		if (opened[t->open].run_id && take(s, plan->opens[t->open].key.dag,
						      opened[t->open].run_id, t->upto, err) < 0)
			return -1;
	}
	return 0;
}

static int delete_cursor(
	struct sqlite_store *s, const struct dataset_cursor_row *c, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_CURSOR_DELETE, "record who waits for datasets");

	sqlite_bind_text(&q, c->dag);
	sqlite_bind_text(&q, c->dataset);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int follow(struct sqlite_store *s, const struct dataset_follow *f,
	const struct store_result *present, struct err *err)
{
	for (size_t i = 0; i < present->n; i++)
		if (!backend_follows(f, present->cursors[i].dataset) &&
			delete_cursor(s, &present->cursors[i], err) < 0)
			return -1;
	for (size_t i = 0; i < f->n; i++) {
		struct sqlite_query q =
			sqlite_query(s, SQL_CURSOR_PUT, "record who waits for datasets");
		sqlite_bind_text(&q, f->dag);
		sqlite_bind_text(&q, f->names[i]);
		sqlite_bind_int(&q, f->now_us);
		if (sqlite_run(&q, err) < 0)
			return -1;
	}
	return 0;
}

int sqlite_dataset_follow(struct store *base, const struct dataset_follow *f, struct err *err)
{
	const struct list_query q = { .kind = LIST_DATASET_CURSORS, .dag = f->dag };
	struct sqlite_store *s = cast(base);
	struct store_result present;

	if (sqlite_begin(s, err) < 0)
		return -1;
	store_result_init(&present);
	int r = sqlite_list(base, &q, &present, err);
	if (r == 0)
		r = follow(s, f, &present, err);
	store_result_release(&present);
	return sqlite_end(s, r, "record who waits for datasets", err);
}

static int know(struct sqlite_store *s, const char *dataset, int64_t now_us, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_DATASET_KNOW, "record a dataset");

	sqlite_bind_text(&q, dataset);
	sqlite_bind_int(&q, now_us);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_dataset_links(
	struct sqlite_store *s, const struct dag_put *dag, int64_t now_us, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_LINKS_DELETE, "record who uses datasets");

	sqlite_bind_text(&q, dag->name);
	if (sqlite_run(&q, err) < 0)
		return -1;
	for (size_t i = 0; dag->present && i < dag->nlinks; i++) {
		const struct dataset_link *l = &dag->links[i];
		q = sqlite_query(s, SQL_LINK_PUT, "record who uses datasets");
		sqlite_bind_text(&q, dag->name);
		sqlite_bind_text(&q, l->dataset);
		sqlite_bind_text(&q, dataset_role_name(l->role));
		sqlite_bind_text(&q, l->task);
		sqlite_bind_time(&q, l->fresh_within_us);
		if (sqlite_run(&q, err) < 0 || know(s, l->dataset, now_us, err) < 0)
			return -1;
	}
	return 0;
}

int sqlite_dataset_prune(struct sqlite_store *s, int64_t before_us, int max, struct err *err)
{
	struct sqlite_query q =
		sqlite_query(s, SQL_UPDATES_DELETE, "forget old updates of datasets");

	sqlite_bind_int(&q, before_us);
	sqlite_bind_int(&q, max);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

/* ---- reading --------------------------------------------------------------------------- */

void sqlite_read_update(struct sqlite_cursor *c, void *row)
{
	struct dataset_update_row *r = row;

	r->id = sqlite_get_int(c);
	r->at_us = sqlite_get_int(c);
	r->dataset = sqlite_get_text_or_empty(c);
	r->start_us = sqlite_get_int(c);
	r->end_us = sqlite_get_int(c);
	r->dag = sqlite_get_text(c);
	r->task = sqlite_get_text(c);
	r->map_index = (int)sqlite_get_int(c);
	r->run_id = sqlite_get_int(c);
	r->run = sqlite_get_text(c);
	r->work = sqlite_get_int(c);
	r->wakes = sqlite_get_int(c);
	r->by = sqlite_get_text(c);
	r->reason = sqlite_get_text(c);
}

void sqlite_read_dataset(struct sqlite_cursor *c, void *row)
{
	struct dataset_row *r = row;
	struct dataset_update_row *last;

	r->name = sqlite_get_text_or_empty(c);
	r->since_us = sqlite_get_int(c);
	r->fresh_us = sqlite_get_int(c);
	r->end_us = sqlite_get_int(c);
	if (sqlite3_column_type(c->q->stmt, c->col) == SQLITE_NULL ||
		!(last = arena_alloc(c->arena, sizeof *last)))
		return;
	sqlite_read_update(c, last);
	r->last = last;
}

void sqlite_read_link(struct sqlite_cursor *c, void *row)
{
	struct dataset_link *r = row;

	r->dag = sqlite_get_text_or_empty(c);
	r->dataset = sqlite_get_text_or_empty(c);
	r->task = sqlite_get_text_or_empty(c);
	r->role = (enum dataset_role)sqlite_get_name(c, dataset_role_by_name, DATASET_CONSUMES);
	r->fresh_within_us = sqlite_get_int(c);
}

void sqlite_read_dataset_cursor(struct sqlite_cursor *c, void *row)
{
	struct dataset_cursor_row *r = row;

	r->dag = sqlite_get_text_or_empty(c);
	r->dataset = sqlite_get_text_or_empty(c);
	r->seen_id = sqlite_get_int(c);
	r->since_us = sqlite_get_int(c);
}
