/* What a daemon decides, and what people tell it, written. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "store/sqlite.h"

static struct sqlite_store *cast(struct store *s)
{
	return (struct sqlite_store *)s;
}

/* ---- plans --------------------------------------------------------------------------- */

static int insert_plan(struct sqlite_store *s, const struct plan_row *p, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_PLAN_INSERT, "record a decision");

	sqlite_bind_int(&q, p->at_us);
	sqlite_bind_text(&q, p->dag);
	sqlite_bind_text(&q, p->action);
	sqlite_bind_text(&q, p->why);
	sqlite_bind_int(&q, p->start_us);
	sqlite_bind_int(&q, p->end_us);
	sqlite_bind_int(&q, p->run_after_us);
	sqlite_bind_int(&q, p->count);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int put_state(struct sqlite_store *s, const struct plan_state *p, struct err *err)
{
	struct sqlite_query q =
		sqlite_query(s, SQL_PLAN_STATE_PUT, "record how far a schedule is decided");

	sqlite_bind_text(&q, p->dag);
	sqlite_bind_text(&q, p->text);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int move_backfill(struct sqlite_store *s, const struct backfill_cursor *c, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_BACKFILL_MOVE, "record a backfill's progress");

	sqlite_bind_int(&q, c->id);
	sqlite_bind_int(&q, c->cursor_us);
	sqlite_bind_int(&q, c->exhausted);
	int n = sqlite_run(&q, err);
	return n == 0 ? backend_no_backfill(c->id, err) : n < 0 ? -1 : 0;
}

static int open_run(struct sqlite_store *s, const struct run_open *o, struct arena *a,
	struct run_opened *ret, struct err *err)
{
	struct err why = { .code = ERR_NONE };

	if (sqlite_open_in(s, o, a, ret, &why) == 0)
		return 0;
	*ret = (struct run_opened){ .run_id = 0 };
	if (why.code == ERR_REFUSED)
		return 0;
	if (err)
		*err = why;
	return -1;
}

static int write_plan(struct sqlite_store *s, const struct store_plan *p, struct arena *a,
	struct run_opened *ret, struct err *err)
{
	for (size_t i = 0; i < p->ncursors; i++)
		if (move_backfill(s, &p->cursors[i], err) < 0)
			return -1;
	for (size_t i = 0; i < p->nrows; i++)
		if (insert_plan(s, &p->rows[i], err) < 0)
			return -1;
	for (size_t i = 0; i < p->nstates; i++)
		if (put_state(s, &p->states[i], err) < 0)
			return -1;
	for (size_t i = 0; i < p->nopens; i++)
		if (open_run(s, &p->opens[i], a, &ret[i], err) < 0)
			return -1;
	return sqlite_dataset_take(s, p, ret, err);
}

int sqlite_plan_commit(
	struct store *base, const struct store_plan *plan, struct run_opened *ret, struct err *err)
{
	struct sqlite_store *s = cast(base);
	struct arena a;

	if (sqlite_begin(s, err) < 0)
		return -1;
	arena_init(&a, (size_t)1 << 30);
	int r = sqlite_end(s, write_plan(s, plan, &a, ret, err), "record the decisions", err);
	arena_release(&a);
	return r;
}

/* ---- DAGs and switches --------------------------------------------------------------- */

static int put_dag(struct sqlite_store *s, const struct dag_put *d, int64_t now_us, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_DAG_PUT, "record a DAG");

	sqlite_bind_text(&q, d->name);
	sqlite_bind_text(&q, d->path);
	sqlite_bind_text(&q, d->dir);
	sqlite_bind_text(&q, d->version);
	sqlite_bind_text(&q, d->error);
	sqlite_bind_int(&q, d->present);
	sqlite_bind_int(&q, now_us);
	if (sqlite_run(&q, err) < 0)
		return -1;
	return d->version || !d->present ? sqlite_dataset_links(s, d, now_us, err) : 0;
}

int sqlite_dags_put(
	struct store *base, const struct dag_put *dags, size_t n, int64_t now_us, struct err *err)
{
	struct sqlite_store *s = cast(base);
	int r = 0;

	if (sqlite_begin(s, err) < 0)
		return -1;
	for (size_t i = 0; r == 0 && i < n; i++)
		r = put_dag(s, &dags[i], now_us, err);
	return sqlite_end(s, r, "record the DAGs", err);
}

struct audit {
	int64_t at_us;
	const char *who, *what, *subject, *reason;
};

static int insert_audit(struct sqlite_store *s, const struct audit *a, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_AUDIT_INSERT, "record who did it");

	sqlite_bind_int(&q, a->at_us);
	sqlite_bind_text(&q, a->who);
	sqlite_bind_text(&q, a->what);
	sqlite_bind_text(&q, a->subject);
	sqlite_bind_text(&q, a->reason);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int write_switch(
	struct sqlite_store *s, const struct switch_put *p, struct arena *a, struct err *err)
{
	const char *task = p->task ? p->task : "";
	const char *which = p->task ? "frozen" : dag_switch_name(p->which);
	struct sqlite_query q =
		sqlite_query(s, p->on ? SQL_SWITCH_ON : SQL_SWITCH_OFF, "set the switch");

	sqlite_bind_text(&q, p->dag);
	sqlite_bind_text(&q, task);
	sqlite_bind_text(&q, which);
	if (p->on) {
		sqlite_bind_text(&q, p->by);
		sqlite_bind_text(&q, p->reason);
		sqlite_bind_int(&q, p->now_us);
	}
	if (sqlite_run(&q, err) < 0)
		return -1;
	struct audit audit = { .at_us = p->now_us, .who = p->by, .reason = p->reason };
	audit.what = arena_printf(a, "%s%s", p->on ? "" : "not ", which);
	audit.subject = arena_printf(a, "%s%s%s", p->dag, *task ? "." : "", task);
	return a->failed ? err_nomem(err) : insert_audit(s, &audit, err);
}

int sqlite_switch_set(struct store *base, const struct switch_put *put, struct err *err)
{
	struct sqlite_store *s = cast(base);
	struct arena a;

	if (sqlite_begin(s, err) < 0)
		return -1;
	arena_init(&a, 1 << 20);
	int r = sqlite_end(s, write_switch(s, put, &a, err), "set the switch", err);
	arena_release(&a);
	return r;
}

/* ---- backfills ----------------------------------------------------------------------- */

static int audit_backfill(struct sqlite_store *s, int64_t id, struct audit audit, struct err *err)
{
	char subject[32];

	snprintf(subject, sizeof subject, "%" PRId64, id);
	audit.subject = subject;
	return insert_audit(s, &audit, err);
}

static int insert_backfill(
	struct sqlite_store *s, const struct backfill_new *b, int64_t *ret_id, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_BACKFILL_INSERT, "record the backfill");

	sqlite_bind_text(&q, b->dag);
	sqlite_bind_text(&q, b->mode);
	sqlite_bind_text(&q, b->params ? b->params : "{}");
	sqlite_bind_text(&q, b->by);
	sqlite_bind_text(&q, b->reason);
	sqlite_bind_int(&q, b->from_us);
	sqlite_bind_int(&q, b->to_us);
	sqlite_bind_int(&q, b->now_us);
	sqlite_bind_int(&q, b->newest_first ? b->to_us : b->from_us);
	sqlite_bind_int(&q, b->newest_first);
	sqlite_bind_int(&q, b->jobs);
	sqlite_bind_int(&q, b->ntotal);
	if (sqlite_run(&q, err) < 0)
		return -1;
	*ret_id = sqlite3_last_insert_rowid(s->db);
	return audit_backfill(
		s, *ret_id, (struct audit){ b->now_us, b->by, "backfill", NULL, b->reason }, err);
}

int sqlite_backfill_create(
	struct store *base, const struct backfill_new *b, int64_t *ret_id, struct err *err)
{
	struct sqlite_store *s = cast(base);

	if (sqlite_begin(s, err) < 0)
		return -1;
	return sqlite_end(s, insert_backfill(s, b, ret_id, err), "record the backfill", err);
}

static int check_backfill(struct sqlite_store *s, const struct backfill_set *set, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_BACKFILL_STATE, "look for the backfill");

	sqlite_bind_int(&q, set->id);
	int r = sqlite_step(&q, err);
	if (r < 0)
		return -1;
	if (r == 0)
		return backend_no_backfill(set->id, err);
	int state = backfill_state_by_name(sqlite_text(&q, 0));
	sqlite_done(&q);
	return backend_may_set(set, state < 0 ? BACKFILL_DONE : (enum backfill_state)state, err);
}

static int write_backfill(struct sqlite_store *s, const struct backfill_set *set, struct err *err)
{
	const char *to = backfill_state_name(set->to);

	if (check_backfill(s, set, err) < 0)
		return -1;
	struct sqlite_query q = sqlite_query(s, SQL_BACKFILL_SET, "record the backfill's state");
	sqlite_bind_int(&q, set->id);
	sqlite_bind_text(&q, to);
	sqlite_bind_time(&q, backend_backfill_is_final(set->to) ? set->now_us : 0);
	sqlite_bind_text(&q, set->by);
	sqlite_bind_text(&q, set->reason);
	if (sqlite_run(&q, err) < 0)
		return -1;
	return audit_backfill(
		s, set->id, (struct audit){ set->now_us, set->by, to, NULL, set->reason }, err);
}

int sqlite_backfill_set(struct store *base, const struct backfill_set *set, struct err *err)
{
	struct sqlite_store *s = cast(base);

	if (sqlite_begin(s, err) < 0)
		return -1;
	return sqlite_end(s, write_backfill(s, set, err), "record the backfill's state", err);
}

/* ---- forgetting ---------------------------------------------------------------------- */

static int delete_run(struct sqlite_store *s, int64_t id, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUN_DELETE, "forget an old run");

	sqlite_bind_int(&q, id);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int delete_versions(
	struct sqlite_store *s, const char *dag, const char *version, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_VERSIONS_DELETE, "forget old DAG versions");

	sqlite_bind_text(&q, dag);
	sqlite_bind_text(&q, version);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int delete_plans(struct sqlite_store *s, int64_t before_us, int max, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_PLANS_DELETE, "forget old decisions");

	sqlite_bind_int(&q, before_us);
	sqlite_bind_int(&q, (int64_t)max * BACKEND_PLANS_PER_RUN);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int prune(struct sqlite_store *s, int64_t before_us, int max, struct store_result *ret,
	struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUNS_OLD, "look for old runs");

	sqlite_bind_int(&q, before_us);
	sqlite_bind_int(&q, max);
	if (sqlite_collect_runs(&q, ret, err) < 0)
		return -1;
	for (size_t i = 0; i < ret->n; i++)
		if (delete_run(s, ret->runs[i].id, err) < 0)
			return -1;
	for (size_t i = 0; i < ret->n; i++) {
		const struct run_row *r = &ret->runs[i];
		if (i && strcmp(r->dag, r[-1].dag) == 0 && strcmp(r->version, r[-1].version) == 0)
			continue;
		if (delete_versions(s, r->dag, r->version, err) < 0)
			return -1;
	}
	if (delete_plans(s, before_us, max, err) < 0 ||
		sqlite_breaker_prune_in(s, before_us, max, err) < 0 ||
		sqlite_dataset_prune(s, before_us, max, err) < 0)
		return -1;
	return sqlite_slas_prune(s, before_us, max, err);
}

int sqlite_prune(
	struct store *base, int64_t before_us, int max, struct store_result *ret, struct err *err)
{
	struct sqlite_store *s = cast(base);

	if (sqlite_begin(s, err) < 0)
		return -1;
	return sqlite_end(s, prune(s, before_us, max, ret, err), "forget old runs", err);
}

int sqlite_vacuum(struct store *base, int pages, struct err *err)
{
	static const char doing[] = "give free pages back";
	struct sqlite_store *s = cast(base);
	char sql[64];
	int r = 0;

	snprintf(sql, sizeof sql, "PRAGMA incremental_vacuum(%d)", pages);
	if (sqlite_begin(s, err) < 0)
		return -1;
	if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		r = sqlite_error(s->db, s->path, doing, err);
	return sqlite_end(s, r, doing, err);
}
