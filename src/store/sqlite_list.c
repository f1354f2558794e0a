/* Rows that belong to no run. */
#include <assert.h>

#include "base/err.h"
#include "store/sqlite.h"

static void read_plan(struct sqlite_cursor *c, void *row)
{
	struct plan_row *r = row;

	r->id = sqlite_get_int(c);
	r->at_us = sqlite_get_int(c);
	r->dag = sqlite_get_text_or_empty(c);
	r->action = sqlite_get_text_or_empty(c);
	r->why = sqlite_get_text_or_empty(c);
	r->start_us = sqlite_get_int(c);
	r->end_us = sqlite_get_int(c);
	r->run_after_us = sqlite_get_int(c);
	r->count = sqlite_get_int(c);
}

struct setting {
	bool on;
	const char *by, *reason;
	int64_t at_us;
};

/* A switch is there when its time, which is never NULL in the table, is. */
static struct setting read_setting(struct sqlite_cursor *c)
{
	struct setting s = { .on = false };

	s.by = sqlite_get_text(c);
	s.reason = sqlite_get_text(c);
	s.on = sqlite3_column_type(c->q->stmt, c->col) != SQLITE_NULL;
	s.at_us = sqlite_get_int(c);
	return s;
}

static const struct plan_row *read_last(struct sqlite_cursor *c)
{
	if (sqlite3_column_type(c->q->stmt, c->col) == SQLITE_NULL)
		return NULL;
	struct plan_row *last = arena_alloc(c->arena, sizeof *last);
	if (last)
		read_plan(c, last);
	return last;
}

static void read_dag(struct sqlite_cursor *c, void *row)
{
	struct dag_row *r = row;

	r->name = sqlite_get_text_or_empty(c);
	r->path = sqlite_get_text(c);
	r->dir = sqlite_get_text(c);
	r->version = sqlite_get_text(c);
	r->error = sqlite_get_text(c);
	r->present = sqlite_get_int(c);
	struct setting paused = read_setting(c);
	struct setting all_paused = read_setting(c);
	struct setting draining = read_setting(c);
	struct setting all_draining = read_setting(c);
	r->all_paused = all_paused.on;
	if (all_paused.on)
		paused = all_paused;
	if (!draining.on)
		draining = all_draining;
	r->paused = paused.on;
	r->paused_by = paused.by;
	r->paused_reason = paused.reason;
	r->paused_us = paused.at_us;
	r->draining = draining.on;
	r->draining_by = draining.by;
	r->draining_reason = draining.reason;
	r->draining_us = draining.at_us;
	r->plan_state = sqlite_get_text(c);
	r->last = read_last(c);
}

static void read_frozen(struct sqlite_cursor *c, void *row)
{
	struct frozen_row *r = row;

	r->dag = sqlite_get_text_or_empty(c);
	r->task = sqlite_get_text_or_empty(c);
	r->by = sqlite_get_text(c);
	r->reason = sqlite_get_text(c);
	r->at_us = sqlite_get_int(c);
}

static void read_backfill(struct sqlite_cursor *c, void *row)
{
	struct backfill_row *r = row;

	r->id = sqlite_get_int(c);
	r->dag = sqlite_get_text_or_empty(c);
	r->mode = sqlite_get_text_or_empty(c);
	r->params = sqlite_get_text_or_empty(c);
	r->by = sqlite_get_text(c);
	r->reason = sqlite_get_text(c);
	r->from_us = sqlite_get_int(c);
	r->to_us = sqlite_get_int(c);
	r->created_us = sqlite_get_int(c);
	r->ended_us = sqlite_get_int(c);
	r->cursor_us = sqlite_get_int(c);
	r->newest_first = sqlite_get_int(c);
	r->exhausted = sqlite_get_int(c);
	r->jobs = (int)sqlite_get_int(c);
	r->state = (enum backfill_state)sqlite_get_name(c, backfill_state_by_name, BACKFILL_DONE);
	r->state_by = sqlite_get_text(c);
	r->state_reason = sqlite_get_text(c);
	r->ntotal = sqlite_get_int(c);
	r->nsuccess = sqlite_get_int(c);
	r->nfailed = sqlite_get_int(c);
	r->nactive = sqlite_get_int(c);
}

static void read_act(struct sqlite_cursor *c, void *row)
{
	struct outbox_row *r = row;

	r->id = sqlite_get_int(c);
	r->key = sqlite_get_text_or_empty(c);
	r->kind = sqlite_get_text_or_empty(c);
	r->payload = sqlite_get_text_or_empty(c);
	r->error = sqlite_get_text(c);
	r->state = (enum outbox_state)sqlite_get_name(c, outbox_state_by_name, OUTBOX_GIVEN_UP);
	r->tries = (int)sqlite_get_int(c);
	r->created_us = sqlite_get_int(c);
	r->due_us = sqlite_get_int(c);
	r->ended_us = sqlite_get_int(c);
}

static void read_approval(struct sqlite_cursor *c, void *row)
{
	struct approval_row *r = row;

	r->run_id = sqlite_get_int(c);
	r->run = sqlite_get_text_or_empty(c);
	r->dag = sqlite_get_text_or_empty(c);
	r->task = sqlite_get_text_or_empty(c);
	r->map_index = (int)sqlite_get_int(c);
	r->state = (enum task_state)sqlite_get_name(c, task_state_by_name, TASK_FAILED);
	r->since_us = sqlite_get_int(c);
	r->due_us = sqlite_get_int(c);
	r->waits_for = sqlite_get_text(c);
	r->decision = sqlite_get_text(c);
}

static void read_token(struct sqlite_cursor *c, void *row)
{
	struct token_row *r = row;

	r->token = sqlite_get_int(c);
	r->run_id = sqlite_get_int(c);
	r->run = sqlite_get_text_or_empty(c);
	r->task = sqlite_get_text_or_empty(c);
	r->map_index = (int)sqlite_get_int(c);
	r->try = (int)sqlite_get_int(c);
	r->outcome = (enum outcome)sqlite_get_name(c, outcome_by_name, OUTCOME_LOST);
	r->ended_us = sqlite_get_int(c);
	r->run_state = (enum run_state)sqlite_get_name(c, run_state_by_name, RUN_FAILED);
	r->newest = sqlite_get_int(c);
	r->newest_queued_us = sqlite_get_int(c);
	r->newest_try = (int)sqlite_get_int(c);
}

/* ---- queries ------------------------------------------------------------------------- */

static void bind_dag(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_text(q, lq->dag);
}

static void bind_limit(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_text(q, lq->dag);
	sqlite_bind_int(q, lq->limit > 0 ? lq->limit : -1);
}

static void bind_id(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_time(q, lq->id); /* NULL: all */
}

static void bind_due(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_int(q, lq->due_us);
	sqlite_bind_int(q, lq->limit > 0 ? lq->limit : -1);
}

static void bind_state(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_text(q, lq->state < 0 ? NULL : outbox_state_name((enum outbox_state)lq->state));
	sqlite_bind_int(q, lq->limit > 0 ? lq->limit : -1);
}

static void bind_nothing(struct sqlite_query *q, const struct list_query *lq)
{
	(void)q;
	(void)lq;
}

static void bind_approval(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_int(q, lq->id);
	sqlite_bind_text(q, lq->dag);
	sqlite_bind_int(q, -1);
}

static void bind_token(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_int(q, lq->id);
}

static void bind_incidents(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_time(q, lq->id);
	sqlite_bind_text(q, lq->dag);
	sqlite_bind_int(q, lq->limit > 0 ? lq->limit : -1);
}

static void bind_incidents_due(struct sqlite_query *q, const struct list_query *lq)
{
	bind_incidents(q, lq);
	sqlite_bind_int(q, lq->due_us);
}

static void bind_dataset(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_text(q, lq->dataset);
}

static void bind_updates(struct sqlite_query *q, const struct list_query *lq)
{
	sqlite_bind_text(q, lq->dataset);
	sqlite_bind_int(q, lq->limit > 0 ? lq->limit : -1);
}

static void bind_updates_id(struct sqlite_query *q, const struct list_query *lq)
{
	bind_updates(q, lq);
	sqlite_bind_int(q, lq->id);
}

static void bind_updates_dag(struct sqlite_query *q, const struct list_query *lq)
{
	bind_updates(q, lq);
	sqlite_bind_text(q, lq->dag);
}

static void bind_updates_during(struct sqlite_query *q, const struct list_query *lq)
{
	bind_updates(q, lq);
	sqlite_bind_int(q, lq->from_us);
	sqlite_bind_int(q, lq->to_us);
}

#define UPDATES_READER(which, bind)                                            \
	[LIST_UPDATES + UPDATES_##which] = { SQL_UPDATES_##which, bind,        \
		sizeof(struct dataset_update_row), "list updates of datasets", \
		sqlite_read_update }

static const struct list_reader {
	enum sqlite_sql sql;
	void (*bind)(struct sqlite_query *q, const struct list_query *lq);
	size_t size;
	const char *doing;
	void (*read)(struct sqlite_cursor *c, void *row);
} readers[] = {
	[LIST_DAGS] = { SQL_DAGS, bind_dag, sizeof(struct dag_row), "list DAGs", read_dag },
	[LIST_FROZEN] = { SQL_FROZEN, bind_dag, sizeof(struct frozen_row), "list frozen tasks",
		read_frozen },
	[LIST_PLANS] = { SQL_PLANS, bind_limit, sizeof(struct plan_row), "list decisions",
		read_plan },
	[LIST_BACKFILLS] = { SQL_BACKFILLS, bind_id, sizeof(struct backfill_row), "list backfills",
		read_backfill },
	[LIST_OUTBOX_DUE] = { SQL_OUTBOX_DUE, bind_due, sizeof(struct outbox_row), "list acts",
		read_act },
	[LIST_OUTBOX] = { SQL_OUTBOX, bind_state, sizeof(struct outbox_row), "list acts",
		read_act },
	[LIST_SLA_MISSES] = { SQL_SLA_MISSES, bind_limit, sizeof(struct sla_miss),
		"list SLAs that were missed", sqlite_read_miss },
	[LIST_SLA_OPEN] = { SQL_SLA_OPEN, bind_limit, sizeof(struct sla_miss),
		"list SLAs that are missed", sqlite_read_miss },
	[LIST_SLA_MARKS] = { SQL_SLA_MARKS, bind_dag, sizeof(struct sla_mark_row),
		"list how far SLAs are judged", sqlite_read_mark },
	[LIST_TASK_TIMES] = { SQL_TASK_TIMES, bind_limit, sizeof(struct task_time_row),
		"look for durations of tasks", sqlite_read_time },
	[LIST_TOKEN] = { SQL_TOKEN, bind_token, sizeof(struct token_row), "look for a token",
		read_token },
	[LIST_BREAKERS] = { SQL_BREAKERS, bind_dag, sizeof(struct breaker_row), "list breakers",
		sqlite_read_breaker },
	[LIST_BREAKER_EVENTS] = { SQL_BREAKER_EVENTS, bind_limit, sizeof(struct breaker_event_row),
		"list how a breaker changed", sqlite_read_breaker_event },
	[LIST_APPROVALS] = { SQL_APPROVALS, bind_nothing, sizeof(struct approval_row),
		"list approvals", read_approval },
	[LIST_APPROVAL] = { SQL_APPROVAL, bind_approval, sizeof(struct approval_row),
		"look for an approval", read_approval },
	[LIST_INCIDENTS] = { SQL_INCIDENTS, bind_incidents, sizeof(struct incident),
		"list incidents", sqlite_read_incident },
	[LIST_INCIDENTS_DUE] = { SQL_INCIDENTS_DUE, bind_incidents_due, sizeof(struct incident),
		"list incidents", sqlite_read_incident },
	[LIST_DATASETS] = { SQL_DATASETS, bind_dataset, sizeof(struct dataset_row), "list datasets",
		sqlite_read_dataset },
	[LIST_DATASET_LINKS] = { SQL_DATASET_LINKS, bind_dataset, sizeof(struct dataset_link),
		"list who uses datasets", sqlite_read_link },
	[LIST_DATASET_CURSORS] = { SQL_DATASET_CURSORS, bind_dag, sizeof(struct dataset_cursor_row),
		"list who waits for datasets", sqlite_read_dataset_cursor },
	UPDATES_READER(OF, bind_updates),
	UPDATES_READER(AFTER, bind_updates_id),
	UPDATES_READER(WAITING, bind_updates_dag),
	UPDATES_READER(BY, bind_updates_id),
	UPDATES_READER(TAKEN, bind_updates_id),
	UPDATES_READER(DURING, bind_updates_during),
};
static_assert(sizeof readers / sizeof *readers == LIST_MAX, "a reader for each kind");

int sqlite_list(
	struct store *base, const struct list_query *lq, struct store_result *ret, struct err *err)
{
	const struct list_reader *reader = &readers[lq->kind];
	bool unresolved = lq->kind == LIST_INCIDENTS && !lq->state;
	struct rows rows = { .arena = &ret->arena, .size = reader->size };
	struct sqlite_query q = sqlite_query((struct sqlite_store *)base,
		unresolved ? SQL_INCIDENTS_OPEN : reader->sql, reader->doing);
	int r;

	reader->bind(&q, lq);
	while ((r = sqlite_step(&q, err)) == 1) {
		void *row = rows_add(&rows);
		if (!row)
			break;
		reader->read(&(struct sqlite_cursor){ &q, &ret->arena, 0 }, row);
	}
	sqlite_done(&q);
	return r < 0 ? -1 : rows_end(&rows, ret, err);
}

int sqlite_durations(
	struct store *base, const char *dag, int n, struct durations *ret, struct err *err)
{
	struct sqlite_query q = sqlite_query(
		(struct sqlite_store *)base, SQL_DURATIONS, "look for durations of runs");
	int r;

	sqlite_bind_text(&q, dag);
	sqlite_bind_int(&q, n);
	while ((r = sqlite_step(&q, err)) == 1)
		ret->us[ret->n++] = sqlite3_column_int64(q.stmt, 0);
	return r;
}
