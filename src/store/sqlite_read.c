#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "store/sqlite.h"

/* Reads columns from the first, into the arena of a result. */
struct cursor {
	struct sqlite_query *q;
	struct arena *arena;
	int col;
};

static int64_t get_int(struct cursor *c)
{
	return sqlite3_column_int64(c->q->stmt, c->col++);
}

static int get_int_or(struct cursor *c, int null)
{
	int col = c->col++;

	return sqlite3_column_type(c->q->stmt, col) == SQLITE_NULL
		       ? null
		       : sqlite3_column_int(c->q->stmt, col);
}

/* NULL stays NULL. */
static const char *get_text(struct cursor *c)
{
	int col = c->col++;
	const char *text = (const char *)sqlite3_column_text(c->q->stmt, col);

	if (!text)
		return NULL;
	return arena_strndup(c->arena, text, (size_t)sqlite3_column_bytes(c->q->stmt, col));
}

static const char *get_text_or_empty(struct cursor *c)
{
	const char *text = get_text(c);

	return text ? text : "";
}

/* A name of an enum, or `unknown`: a reason that a later weir added, and removed again. */
static int get_name(struct cursor *c, int (*by_name)(const char *), int unknown)
{
	int v = by_name(sqlite_text(c->q, c->col++));

	return v < 0 ? unknown : v;
}

static void get_fixed(struct cursor *c, char *to, size_t size)
{
	const char *from = sqlite_text(c->q, c->col++);
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}

static void read_run(struct cursor *c, void *row)
{
	struct run_row *r = row;

	r->id = get_int(c);
	r->name = get_text_or_empty(c);
	r->dag = get_text_or_empty(c);
	r->ds = get_text_or_empty(c);
	r->zone = get_text_or_empty(c);
	r->params = get_text_or_empty(c);
	r->trigger = get_text_or_empty(c);
	r->version = get_text_or_empty(c);
	r->dag_path = get_text_or_empty(c);
	r->dag_dir = get_text_or_empty(c);
	r->interval_start_us = get_int(c);
	r->interval_end_us = get_int(c);
	r->state = (enum run_state)get_name(c, run_state_by_name, RUN_FAILED);
	r->reason = (enum reason)get_name(c, reason_by_name, REASON_NONE);
	r->created_us = get_int(c);
	r->started_us = get_int(c);
	r->ended_us = get_int(c);
	get_fixed(c, r->owner.host, sizeof r->owner.host);
	get_fixed(c, r->owner.boot_id, sizeof r->owner.boot_id);
	r->owner.pid = get_int(c);
	r->owner.start_ticks = get_int(c);
	r->lease_until_us = get_int(c);
	r->epoch = get_int(c);
}

static void read_task(struct cursor *c, void *row)
{
	struct task_row *r = row;

	r->name = get_text_or_empty(c);
	r->map_index = (int)get_int(c);
	r->state = (enum task_state)get_name(c, task_state_by_name, TASK_FAILED);
	r->reason = (enum reason)get_name(c, reason_by_name, REASON_NONE);
	r->tries = (int)get_int(c);
	r->failures = (int)get_int(c);
	r->lost = (int)get_int(c);
	r->changed_us = get_int(c);
	r->due_us = get_int(c);
	r->token = get_int(c);
	r->hash = get_text(c);
	r->outputs = get_text(c);
}

static void read_attempt(struct cursor *c, void *row)
{
	struct attempt_row *r = row;

	r->token = get_int(c);
	r->task = get_text_or_empty(c);
	r->map_index = (int)get_int(c);
	r->try = (int)get_int(c);
	r->outcome = (enum outcome)get_name(c, outcome_by_name, OUTCOME_LOST);
	r->exit_status = get_int_or(c, -1);
	r->signal = (int)get_int(c);
	r->queued_us = get_int(c);
	r->started_us = get_int(c);
	r->ended_us = get_int(c);
	r->error = get_text(c);
	r->result = get_text(c);
}

static void read_event(struct cursor *c, void *row)
{
	struct event_row *r = row;

	r->id = get_int(c);
	r->at_us = get_int(c);
	r->task = get_text(c);
	r->map_index = (int)get_int(c);
	r->from = get_text_or_empty(c);
	r->to = get_text_or_empty(c);
	r->reason = get_text_or_empty(c);
	r->detail = get_text(c);
}

static void read_check(struct cursor *c, void *row)
{
	struct check_row *r = row;

	r->token = get_int(c);
	r->task = get_text_or_empty(c);
	r->name = get_text_or_empty(c);
	r->severity = get_text_or_empty(c);
	r->status = get_text_or_empty(c);
	r->observed = get_text(c);
	r->expected = get_text(c);
	r->sample = get_text(c);
}

/* ---- runs ---------------------------------------------------------------------------- */

static struct sqlite_query filter_query(struct sqlite_store *s, const struct run_filter *f)
{
	static const char doing[] = "list runs";
	static const enum sqlite_sql by[2][2] = {
		{ SQL_RUNS_ALL, SQL_RUNS_OF_STATE },
		{ SQL_RUNS_OF_DAG, SQL_RUNS_OF_DAG_STATE },
	};
	const char *state = f->state >= 0 ? run_state_name((enum run_state)f->state) : NULL;
	struct sqlite_query q;

	if (f->latest_per_dag) {
		q = sqlite_query(s, SQL_RUNS_LATEST, doing);
		sqlite_bind_text(&q, f->dag);
		sqlite_bind_text(&q, state);
	} else {
		q = sqlite_query(s, by[f->dag != NULL][state != NULL], doing);
		if (f->dag)
			sqlite_bind_text(&q, f->dag);
		if (state)
			sqlite_bind_text(&q, state);
	}
	sqlite_bind_int(&q, f->limit > 0 ? f->limit : -1);
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

int sqlite_runs(
	struct store *base, const struct run_query *rq, struct store_result *ret, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	struct rows rows = { .arena = &ret->arena, .size = sizeof(struct run_row) };
	struct sqlite_query q = run_query(s, rq, &ret->arena);
	int r;

	while ((r = sqlite_step(&q, err)) == 1) {
		struct run_row *row = rows_add(&rows);
		if (!row)
			break;
		read_run(&(struct cursor){ &q, &ret->arena, 0 }, row);
		if (count_tasks(s, row, err) < 0) {
			r = -1;
			break;
		}
	}
	sqlite_done(&q);
	return r < 0 ? -1 : rows_end(&rows, ret, err);
}

/* ---- rows of a run ------------------------------------------------------------------- */

static const struct row_reader {
	enum sqlite_sql sql;
	bool by_task; /* the statement has a second parameter, the task or NULL */
	size_t size, run_id_at;
	const char *doing;
	void (*read)(struct cursor *c, void *row);
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
		reader->read(&(struct cursor){ &q, &ret->arena, 0 }, row);
	}
	sqlite_done(&q);
	return r < 0 ? -1 : rows_end(&rows, ret, err);
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
