#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/sqlite.h"

int64_t sqlite_get_int(struct sqlite_cursor *c)
{
	return sqlite3_column_int64(c->q->stmt, c->col++);
}

static int get_int_or(struct sqlite_cursor *c, int null)
{
	int col = c->col++;

	return sqlite3_column_type(c->q->stmt, col) == SQLITE_NULL
		       ? null
		       : sqlite3_column_int(c->q->stmt, col);
}

const char *sqlite_get_text(struct sqlite_cursor *c)
{
	int col = c->col++;
	const char *text = (const char *)sqlite3_column_text(c->q->stmt, col);

	if (!text)
		return NULL;
	return arena_strndup(c->arena, text, (size_t)sqlite3_column_bytes(c->q->stmt, col));
}

const char *sqlite_get_text_or_empty(struct sqlite_cursor *c)
{
	const char *text = sqlite_get_text(c);

	return text ? text : "";
}

int sqlite_get_name(struct sqlite_cursor *c, int (*by_name)(const char *), int unknown)
{
	int v = by_name(sqlite_text(c->q, c->col++));

	return v < 0 ? unknown : v;
}

static void get_fixed(struct sqlite_cursor *c, char *to, size_t size)
{
	const char *from = sqlite_text(c->q, c->col++);
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}

static void read_run(struct sqlite_cursor *c, void *row)
{
	struct run_row *r = row;

	r->id = sqlite_get_int(c);
	r->name = sqlite_get_text_or_empty(c);
	r->dag = sqlite_get_text_or_empty(c);
	r->ds = sqlite_get_text_or_empty(c);
	r->zone = sqlite_get_text_or_empty(c);
	r->params = sqlite_get_text_or_empty(c);
	r->trigger = sqlite_get_text_or_empty(c);
	r->version = sqlite_get_text_or_empty(c);
	r->dag_path = sqlite_get_text_or_empty(c);
	r->dag_dir = sqlite_get_text_or_empty(c);
	r->interval_start_us = sqlite_get_int(c);
	r->interval_end_us = sqlite_get_int(c);
	r->state = (enum run_state)sqlite_get_name(c, run_state_by_name, RUN_FAILED);
	r->reason = (enum reason)sqlite_get_name(c, reason_by_name, REASON_NONE);
	r->created_us = sqlite_get_int(c);
	r->started_us = sqlite_get_int(c);
	r->ended_us = sqlite_get_int(c);
	get_fixed(c, r->owner.host, sizeof r->owner.host);
	get_fixed(c, r->owner.boot_id, sizeof r->owner.boot_id);
	r->owner.pid = sqlite_get_int(c);
	r->owner.start_ticks = sqlite_get_int(c);
	r->lease_until_us = sqlite_get_int(c);
	r->epoch = sqlite_get_int(c);
	r->wanted = sqlite_get_int(c);
	r->backfill_id = sqlite_get_int(c);
	r->only = sqlite_get_text(c);
	r->cancelling = (int)sqlite_get_int(c);
}

static void read_task(struct sqlite_cursor *c, void *row)
{
	struct task_row *r = row;

	r->name = sqlite_get_text_or_empty(c);
	r->map_index = (int)sqlite_get_int(c);
	r->state = (enum task_state)sqlite_get_name(c, task_state_by_name, TASK_FAILED);
	r->reason = (enum reason)sqlite_get_name(c, reason_by_name, REASON_NONE);
	r->tries = (int)sqlite_get_int(c);
	r->failures = (int)sqlite_get_int(c);
	r->lost = (int)sqlite_get_int(c);
	r->changed_us = sqlite_get_int(c);
	r->due_us = sqlite_get_int(c);
	r->token = sqlite_get_int(c);
	r->hash = sqlite_get_text(c);
	r->outputs = sqlite_get_text(c);
	r->work = sqlite_get_int(c);
	r->waits_for = sqlite_get_text(c);
	r->item = sqlite_get_text(c);
	r->looked = sqlite_get_text(c);
	r->looked_us = sqlite_get_int(c);
}

static void read_attempt(struct sqlite_cursor *c, void *row)
{
	struct attempt_row *r = row;

	r->token = sqlite_get_int(c);
	r->task = sqlite_get_text_or_empty(c);
	r->map_index = (int)sqlite_get_int(c);
	r->try = (int)sqlite_get_int(c);
	r->outcome = (enum outcome)sqlite_get_name(c, outcome_by_name, OUTCOME_LOST);
	r->exit_status = get_int_or(c, -1);
	r->signal = (int)sqlite_get_int(c);
	r->queued_us = sqlite_get_int(c);
	r->started_us = sqlite_get_int(c);
	r->ended_us = sqlite_get_int(c);
	r->error = sqlite_get_text(c);
	r->result = sqlite_get_text(c);
}

static void read_event(struct sqlite_cursor *c, void *row)
{
	struct event_row *r = row;

	r->id = sqlite_get_int(c);
	r->at_us = sqlite_get_int(c);
	r->task = sqlite_get_text(c);
	r->map_index = (int)sqlite_get_int(c);
	r->from = sqlite_get_text_or_empty(c);
	r->to = sqlite_get_text_or_empty(c);
	r->reason = sqlite_get_text_or_empty(c);
	r->detail = sqlite_get_text(c);
}

static void read_check(struct sqlite_cursor *c, void *row)
{
	struct check_row *r = row;

	r->token = sqlite_get_int(c);
	r->task = sqlite_get_text_or_empty(c);
	r->name = sqlite_get_text_or_empty(c);
	r->severity = sqlite_get_text_or_empty(c);
	r->status = sqlite_get_text_or_empty(c);
	r->observed = sqlite_get_text(c);
	r->expected = sqlite_get_text(c);
	r->sample = sqlite_get_text(c);
	r->map_index = (int)sqlite_get_int(c);
}

static void read_audit(struct sqlite_cursor *c, void *row)
{
	struct audit_row *r = row;

	r->at_us = sqlite_get_int(c);
	r->who = sqlite_get_text(c);
	r->what = sqlite_get_text_or_empty(c);
	r->detail = sqlite_get_text(c);
	r->reason = sqlite_get_text(c);
}

/* ---- runs ---------------------------------------------------------------------------- */

static unsigned state_condition(int state)
{
	if (state < 0)
		return 0;
	return run_state_is_final((enum run_state)state) ? SQLITE_RUNS_ENDED : SQLITE_RUNS_ACTIVE;
}

static unsigned conditions_of(const struct run_filter *f)
{
	return (f->dag ? SQLITE_RUNS_OF_DAG : 0u) | state_condition(f->state) |
	       (f->backfill_id ? SQLITE_RUNS_OF_BACKFILL : 0u) |
	       (f->wanted ? SQLITE_RUNS_WANTED : 0u) | (f->not_of ? SQLITE_RUNS_OTHERS : 0u) |
	       (f->in_range ? SQLITE_RUNS_IN_RANGE : 0u) |
	       (f->in_range && f->newest_first ? SQLITE_RUNS_DOWN : 0u) |
	       (f->latest_per_dag ? SQLITE_RUNS_LATEST : 0u);
}

static struct sqlite_query filter_query(struct sqlite_store *s, const struct run_filter *f)
{
	unsigned conditions = conditions_of(f);
	sqlite3_stmt **stmt = &s->run_lists[conditions];
	struct sqlite_query q = { .s = s, .doing = "list runs" };
	struct buf text;

	if (!*stmt) {
		buf_init(&text, BUF_MAX_TEXT);
		sqlite_runs_text(&text, conditions);
		q.rc = text.failed ? SQLITE_NOMEM
				   : sqlite3_prepare_v3(s->db, text.data, -1,
					     SQLITE_PREPARE_PERSISTENT, stmt, NULL);
		buf_release(&text);
	}
	q.stmt = *stmt;
	sqlite_bind_text(&q, f->dag);
	sqlite_bind_text(&q, f->state >= 0 ? run_state_name((enum run_state)f->state) : NULL);
	sqlite_bind_int(&q, f->backfill_id);
	sqlite_bind_int(&q, f->from_us);
	sqlite_bind_int(&q, f->to_us);
	sqlite_bind_int(&q, f->limit > 0 ? f->limit : -1);
	if (f->latest_per_dag)
		sqlite_bind_int(&q, f->ended_by_us ? f->ended_by_us : INT64_MAX);
	if (f->not_of) {
		if (!f->latest_per_dag)
			sqlite_bind_int(&q, 0);
		sqlite_bind_int(&q, f->not_of->pid);
		sqlite_bind_int(&q, f->not_of->start_ticks);
	}
	return q;
}

static struct sqlite_query prefix_query(
	struct sqlite_store *s, const struct run_query *rq, struct arena *a)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUNS_BY_PREFIX, "look for a run");

	sqlite_bind_text(&q, rq->text);
	/* No byte of UTF-8 is as large. */
	sqlite_bind_text(&q, arena_printf(a, "%s\xff", rq->text));
	sqlite_bind_int(&q, rq->limit);
	return q;
}

static struct sqlite_query run_query(
	struct sqlite_store *s, const struct run_query *rq, struct arena *a)
{
	struct sqlite_query q;

	if (rq->kind == RUN_QUERY_FILTER)
		return filter_query(s, rq->filter);
	if (rq->kind == RUN_QUERY_PREFIX)
		return prefix_query(s, rq, a);
	if (rq->kind == RUN_QUERY_ID) {
		q = sqlite_query(s, SQL_RUNS_BY_ID, "look for a run");
		sqlite_bind_int(&q, rq->id);
	} else if (rq->kind == RUN_QUERY_NAME) {
		q = sqlite_query(s, SQL_RUNS_BY_NAME, "look for a run");
		sqlite_bind_text(&q, rq->text);
	} else {
		q = sqlite_query(s, SQL_RUNS_BY_KEY, "look for a run");
		sqlite_bind_text(&q, rq->key->dag);
		sqlite_bind_int(&q, rq->key->interval_start_us);
		sqlite_bind_int(&q, rq->key->interval_end_us);
	}
	return q;
}

static int count_tasks(struct sqlite_store *s, struct run_row *row, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_TASK_COUNTS, "count tasks");

	sqlite_bind_int(&q, row->id);
	if (sqlite_step(&q, err) < 0)
		return -1;
	row->ntasks = sqlite3_column_int(q.stmt, 0);
	row->nsuccess = sqlite3_column_int(q.stmt, 1);
	row->nfailed = sqlite3_column_int(q.stmt, 2);
	row->nrunning = sqlite3_column_int(q.stmt, 3);
	sqlite_done(&q);
	return 0;
}

int sqlite_collect_runs(struct sqlite_query *q, struct store_result *ret, struct err *err)
{
	struct rows rows = { .arena = &ret->arena, .size = sizeof(struct run_row) };
	int r;

	while ((r = sqlite_step(q, err)) == 1) {
		struct run_row *row = rows_add(&rows);
		if (!row)
			break;
		read_run(&(struct sqlite_cursor){ q, &ret->arena, 0 }, row);
		if (count_tasks(q->s, row, err) < 0) {
			r = -1;
			break;
		}
	}
	sqlite_done(q);
	return r < 0 ? -1 : rows_end(&rows, ret, err);
}

int sqlite_runs(
	struct store *base, const struct run_query *rq, struct store_result *ret, struct err *err)
{
	struct sqlite_query q = run_query((struct sqlite_store *)base, rq, &ret->arena);

	return sqlite_collect_runs(&q, ret, err);
}

/* ---- rows of a run ------------------------------------------------------------------- */

static const struct row_reader {
	enum sqlite_sql sql;
	bool by_task; /* the statement has a second parameter, the task or NULL */
	size_t size, run_id_at;
	const char *doing;
	void (*read)(struct sqlite_cursor *c, void *row);
} readers[] = {
	[ROWS_TASKS] = { SQL_TASKS, false, sizeof(struct task_row),
		offsetof(struct task_row, run_id), "list tasks", read_task },
	[ROWS_ATTEMPTS] = { SQL_ATTEMPTS, true, sizeof(struct attempt_row),
		offsetof(struct attempt_row, run_id), "list attempts", read_attempt },
	[ROWS_IN_FLIGHT] = { SQL_IN_FLIGHT, false, sizeof(struct attempt_row),
		offsetof(struct attempt_row, run_id), "list attempts", read_attempt },
	[ROWS_EVENTS] = { SQL_EVENTS, true, sizeof(struct event_row),
		offsetof(struct event_row, run_id), "list events", read_event },
	[ROWS_CHECKS] = { SQL_CHECKS, true, sizeof(struct check_row),
		offsetof(struct check_row, run_id), "list checks", read_check },
	[ROWS_AUDITS] = { SQL_AUDITS, false, sizeof(struct audit_row),
		offsetof(struct audit_row, run_id), "list requests", read_audit },
};
static_assert(sizeof readers / sizeof *readers == ROWS_MAX, "a reader for each kind");

int sqlite_rows(
	struct store *base, const struct row_query *rq, struct store_result *ret, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	const struct row_reader *reader = &readers[rq->kind];
	struct rows rows = { .arena = &ret->arena, .size = reader->size };
	struct sqlite_query q = sqlite_query(s, reader->sql, reader->doing);
	int r;

	sqlite_bind_int(&q, rq->run_id);
	if (reader->by_task)
		sqlite_bind_text(&q, rq->task);
	while ((r = sqlite_step(&q, err)) == 1) {
		char *row = rows_add(&rows);
		if (!row)
			break;
		memcpy(row + reader->run_id_at, &rq->run_id, sizeof rq->run_id);
		reader->read(&(struct sqlite_cursor){ &q, &ret->arena, 0 }, row);
	}
	sqlite_done(&q);
	return r < 0 ? -1 : rows_end(&rows, ret, err);
}

int sqlite_attempt_open(struct store *base, int64_t token, bool *ret, struct err *err)
{
	struct sqlite_query q =
		sqlite_query((struct sqlite_store *)base, SQL_ATTEMPT_OPEN, "look for an attempt");

	sqlite_bind_int(&q, token);
	int r = sqlite_step(&q, err);
	sqlite_done(&q);
	*ret = r == 1;
	return r < 0 ? -1 : 0;
}

int sqlite_version_text(struct store *base, const char *version, char **ret_text, struct err *err)
{
	struct sqlite_query q =
		sqlite_query((struct sqlite_store *)base, SQL_VERSION_TEXT, "read a DAG's version");

	sqlite_bind_text(&q, version);
	int r = sqlite_step(&q, err);
	if (r < 0)
		return -1;
	if (r == 0)
		return err_set(err, ERR_NOT_FOUND, "there is no DAG version %s", version);
	char *text = strdup(sqlite_text(&q, 0));
	sqlite_done(&q);
	if (!text)
		return err_nomem(err);
	*ret_text = text;
	return 0;
}
