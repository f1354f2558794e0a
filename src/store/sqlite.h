/* What the files of the SQLite backend share. Not for other rooms.
 *
 * sqlite.c opens and closes and translates errors, sqlite_sql.c holds the statements.
 * sqlite_write.c (runs and their changes), sqlite_plan.c (what a daemon decides), sqlite_outbox.c
 * (acts, late ends), sqlite_incident.c, sqlite_sla.c, sqlite_approval.c and sqlite_breaker.c write,
 * sqlite_read.c (runs) and sqlite_list.c (the rest) read.
 */
#ifndef WEIR_STORE_SQLITE_H
#define WEIR_STORE_SQLITE_H

#include <sqlite3.h>

#include "store/backend.h"

enum sqlite_sql {
	/* writing */
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_RUN_EPOCH,
	SQL_RUN_OWNER,
	SQL_RUN_NAME_TAKEN,
	SQL_RUN_INSERT,
	SQL_RUN_TAKE,
	SQL_RUN_RENEW,
	SQL_RUN_CLOSE,
	SQL_RUN_STATE,
	SQL_RUN_CHANGE,
	SQL_RUN_CANCEL,
	SQL_VERSION_PUT,
	SQL_TASK_PUT,
	SQL_ITEM_PUT,
	SQL_TASK_STATE,
	SQL_TASK_CHANGE,
	SQL_TASK_LOOKED,
	SQL_TASK_TOKEN,
	SQL_EVENT_INSERT,
	SQL_ATTEMPT_INSERT,
	SQL_ATTEMPT_END,
	SQL_ATTEMPT_OUTCOME,
	SQL_CHECK_INSERT,
	SQL_REQUEST_INSERT,
	SQL_RUN_WANT,
	SQL_TOKENS_RESERVE,
	SQL_TOKENS_NEXT,
	SQL_RENEW_OWNED,
	SQL_PLAN_INSERT,
	SQL_PLAN_STATE_PUT,
	SQL_DAG_PUT,
	SQL_SWITCH_ON,
	SQL_SWITCH_OFF,
	SQL_AUDIT_INSERT,
	SQL_BACKFILL_INSERT,
	SQL_BACKFILL_MOVE,
	SQL_BACKFILL_STATE,
	SQL_BACKFILL_SET,
	SQL_RUN_DELETE,
	SQL_VERSIONS_DELETE,
	SQL_PLANS_DELETE,
	SQL_LATE_LOOK,
	SQL_LATE_EVENT,
	SQL_ACT_PUT,
	SQL_ACT_STATE,
	SQL_ACT_SET,
	SQL_ACTS_DELETE,
	SQL_INCIDENT_BY_ID,
	SQL_INCIDENT_OPEN,
	SQL_INCIDENT_PUT,
	SQL_INCIDENTS_DELETE,
	SQL_SLA_PUT,
	SQL_SLA_END,
	SQL_SLA_ACTED,
	SQL_SLA_MARK,
	SQL_SLA_DELETE,
	SQL_BREAKER_PUT,
	SQL_BREAKER_COUNT,
	SQL_BREAKER_EVENT_PUT,
	SQL_BREAKER_EVENTS_DELETE,
	SQL_UPDATE_IS_BACKFILL,
	SQL_UPDATE_PUT,
	SQL_DATASET_PUT,
	SQL_DATASET_KNOW,
	SQL_UPDATES_TAKE,
	SQL_CURSOR_MOVE,
	SQL_CURSOR_DELETE,
	SQL_CURSOR_PUT,
	SQL_LINKS_DELETE,
	SQL_LINK_PUT,
	SQL_UPDATES_DELETE,
	/* reading */
	SQL_RUNS_OLD,
	SQL_RUNS_BY_ID,
	SQL_RUNS_BY_NAME,
	SQL_RUNS_BY_PREFIX,
	SQL_RUNS_BY_KEY,
	SQL_TASK_COUNTS,
	SQL_TASKS,
	SQL_ATTEMPTS,
	SQL_IN_FLIGHT,
	SQL_APPROVALS,
	SQL_APPROVAL,
	SQL_DECIDE,
	SQL_DECIDE_EVENT,
	SQL_EVENTS,
	SQL_CHECKS,
	SQL_ATTEMPT_OPEN,
	SQL_AUDITS,
	SQL_VERSION_TEXT,
	SQL_DAGS,
	SQL_FROZEN,
	SQL_PLANS,
	SQL_BACKFILLS,
	SQL_DURATIONS,
	SQL_OUTBOX_DUE,
	SQL_OUTBOX,
	SQL_TOKEN,
	SQL_INCIDENTS,
	SQL_INCIDENTS_OPEN,
	SQL_INCIDENTS_DUE,
	SQL_SLA_MISSES,
	SQL_SLA_OPEN,
	SQL_SLA_MARKS,
	SQL_TASK_TIMES,
	SQL_BREAKERS,
	SQL_BREAKER_EVENTS,
	SQL_DATASETS,
	SQL_DATASET_LINKS,
	SQL_DATASET_CURSORS,
	SQL_UPDATES_OF, /* one for each update_query, in their order */
	SQL_UPDATES_AFTER,
	SQL_UPDATES_WAITING,
	SQL_UPDATES_BY,
	SQL_UPDATES_TAKEN,
	SQL_UPDATES_DURING,
	SQL_MAX
};
const char *sqlite_sql_text(enum sqlite_sql id);

/* Lists of runs: a statement for each set of conditions. Their parameters, whichever of them
 * are used: ?1 DAG, ?2 state, ?3 backfill, ?4 from, ?5 to, ?6 limit, ?7 (LATEST) ended by. */
enum sqlite_runs {
	SQLITE_RUNS_OF_DAG = 1 << 0,
	SQLITE_RUNS_ENDED = 1 << 1, /* of a final state */
	SQLITE_RUNS_OF_BACKFILL = 1 << 2,
	SQLITE_RUNS_WANTED = 1 << 3,
	SQLITE_RUNS_IN_RANGE = 1 << 4,
	SQLITE_RUNS_LATEST = 1 << 5, /* of each DAG */
	SQLITE_RUNS_ACTIVE = 1 << 6, /* of a state that is not final */
	SQLITE_RUNS_OTHERS = 1 << 7,
	SQLITE_RUNS_DOWN = 1 << 8, /* of a range: the newest first */
	SQLITE_RUNS_MAX = 1 << 9
};
struct buf;
void sqlite_runs_text(struct buf *b, unsigned conditions);

struct sqlite_store {
	struct store base;
	sqlite3 *db;
	char *path;
	bool read_only;
	int64_t tokens_end; /* tokens below it were reserved, as far as this process knows */
	sqlite3_stmt *stmts[SQL_MAX]; /* prepared when first used, kept */
	sqlite3_stmt *run_lists[SQLITE_RUNS_MAX];
};

/* The error of `db`'s last call as an err: path, what could not be done, why, and what helps. -1.
 */
int sqlite_error(sqlite3 *db, const char *path, const char *doing, struct err *err);
int sqlite_read_pragma(sqlite3 *db, const char *path, const char *sql, int *ret, struct err *err);

/* A statement being bound, column by column from the first. Bindings are borrowed until it
 * is stepped for the last time. A failure is kept, and reported by the first step. */
struct sqlite_query {
	struct sqlite_store *s;
	sqlite3_stmt *stmt;
	int n, rc;
	const char *doing; /* "record the change of a task" */
};
/* NULL statements are never seen by the caller: a failure to prepare is kept in `rc`. */
struct sqlite_query sqlite_query(struct sqlite_store *s, enum sqlite_sql id, const char *doing);
void sqlite_bind_int(struct sqlite_query *q, int64_t v);
void sqlite_bind_time(struct sqlite_query *q, int64_t us);       /* 0 becomes NULL */
void sqlite_bind_text(struct sqlite_query *q, const char *text); /* NULL becomes NULL */
/* 1: a row; 0: no more; -1. After 0 and -1 the statement is reset. */
int sqlite_step(struct sqlite_query *q, struct err *err);
void sqlite_done(struct sqlite_query *q); /* when rows may be left */
/* To the end, rows passed over: how many rows were changed, or -1. */
int sqlite_run(struct sqlite_query *q, struct err *err);

/* "" for NULL; borrowed until the next step */
const char *sqlite_text(struct sqlite_query *q, int col);

/* Transactions for writing, with the test points. sqlite_end commits when `r` is 0, else
 * rolls back, and returns -1 unless all is committed. */
int sqlite_begin(struct sqlite_store *s, struct err *err);
int sqlite_end(struct sqlite_store *s, int r, const char *doing, struct err *err);

/* Delete what is old by a statement that takes an instant and a limit. */
struct sqlite_old {
	enum sqlite_sql id;
	int64_t before_us;
	int max;
	const char *doing;
};
int sqlite_forget_in(struct sqlite_store *s, const struct sqlite_old *old, struct err *err);
int sqlite_forget(struct store *s, const struct sqlite_old *old, int *ret_n, struct err *err);

/* sqlite_write.c */
int sqlite_run_open(
	struct store *s, const struct run_open *open, struct run_opened *ret, struct err *err);
int sqlite_run_renew(
	struct store *s, int64_t run_id, int64_t epoch, int64_t lease_until_us, struct err *err);
int sqlite_run_close(struct store *s, int64_t run_id, int64_t epoch, struct err *err);
int sqlite_reserve_tokens(struct store *s, int64_t n, int64_t *ret_first, struct err *err);
int sqlite_commit(struct store *s, const struct store_batch *batch, struct err *err);
int sqlite_renew_owned(
	struct store *s, const struct owner *owner, int64_t lease_until_us, struct err *err);
/* Within a transaction. Strings it needs live in `a`. */
int sqlite_open_in(struct sqlite_store *s, const struct run_open *o, struct arena *a,
	struct run_opened *ret, struct err *err);

/* sqlite_plan.c */
int sqlite_plan_commit(
	struct store *s, const struct store_plan *plan, struct run_opened *ret, struct err *err);
int sqlite_dags_put(
	struct store *s, const struct dag_put *dags, size_t n, int64_t now_us, struct err *err);
int sqlite_switch_set(struct store *s, const struct switch_put *put, struct err *err);
int sqlite_backfill_create(
	struct store *s, const struct backfill_new *b, int64_t *ret_id, struct err *err);
int sqlite_backfill_set(struct store *s, const struct backfill_set *set, struct err *err);
int sqlite_prune(
	struct store *s, int64_t before_us, int max, struct store_result *ret, struct err *err);
int sqlite_vacuum(struct store *s, int pages, struct err *err);

/* sqlite_outbox.c */
/* sqlite_approval.c */
int sqlite_decide(struct store *s, const struct approval_put *put, struct err *err);
int sqlite_late_end(struct store *s, const struct late_end *e, bool *ret_recorded, struct err *err);
/* sqlite_write.c */
int sqlite_audit_put(struct sqlite_store *s, const struct audit_row *a, struct err *err);
int sqlite_act_put(struct sqlite_store *s, const struct outbox_act *act, struct err *err);
int sqlite_outbox_set(struct store *s, const struct outbox_set *set, struct err *err);
int sqlite_outbox_prune(struct store *s, int64_t before_us, int max, int *ret_n, struct err *err);

/* sqlite_incident.c */
struct sqlite_cursor;
/* Within a transaction. */
int sqlite_incident_put(struct sqlite_store *s, const struct incident_put *p, struct err *err);
int sqlite_incidents_prune(
	struct store *s, int64_t before_us, int max, int *ret_n, struct err *err);
void sqlite_read_incident(struct sqlite_cursor *c, void *row);

/* sqlite_sla.c: within a transaction; and rows of sqlite_list.c */
int sqlite_slas_put(struct sqlite_store *s, const struct store_slas *slas, struct err *err);
int sqlite_slas_prune(struct sqlite_store *s, int64_t before_us, int max, struct err *err);
void sqlite_read_miss(struct sqlite_cursor *c, void *row);
void sqlite_read_mark(struct sqlite_cursor *c, void *row);
void sqlite_read_time(struct sqlite_cursor *c, void *row);
/* sqlite_breaker.c */
/* Within a transaction. */
int sqlite_breaker_put_in(struct sqlite_store *s, const struct breaker_put *b, struct err *err);
int sqlite_breaker_prune_in(struct sqlite_store *s, int64_t before_us, int max, struct err *err);

/* sqlite_dataset.c */
int sqlite_dataset_touch(
	struct store *s, const struct dataset_put *put, int64_t *ret_id, struct err *err);
int sqlite_dataset_follow(struct store *s, const struct dataset_follow *f, struct err *err);
/* Within a transaction. */
int sqlite_dataset_put(struct sqlite_store *s, const struct dataset_put *put, struct err *err);
int sqlite_dataset_take(struct sqlite_store *s, const struct store_plan *plan,
	const struct run_opened *opened, struct err *err);
int sqlite_dataset_links(
	struct sqlite_store *s, const struct dag_put *dag, int64_t now_us, struct err *err);
int sqlite_dataset_prune(struct sqlite_store *s, int64_t before_us, int max, struct err *err);

/* sqlite_read.c */
int sqlite_runs(
	struct store *s, const struct run_query *q, struct store_result *ret, struct err *err);
int sqlite_rows(
	struct store *s, const struct row_query *q, struct store_result *ret, struct err *err);
int sqlite_attempt_open(struct store *s, int64_t token, bool *ret, struct err *err);
int sqlite_version_text(struct store *s, const char *version, char **ret_text, struct err *err);
/* The rows of a bound statement that selects runs. */
int sqlite_collect_runs(struct sqlite_query *q, struct store_result *ret, struct err *err);

/* Columns of a row, read from the first on, into the arena of a result. */
struct sqlite_cursor {
	struct sqlite_query *q;
	struct arena *arena;
	int col;
};
int64_t sqlite_get_int(struct sqlite_cursor *c);
const char *sqlite_get_text(struct sqlite_cursor *c); /* NULL stays NULL */
const char *sqlite_get_text_or_empty(struct sqlite_cursor *c);
/* A name of an enum; or `unknown`, for one that a later weir added, and removed again. */
int sqlite_get_name(struct sqlite_cursor *c, int (*by_name)(const char *), int unknown);

/* sqlite_breaker.c: rows of SQL_BREAKERS and SQL_BREAKER_EVENTS. */
void sqlite_read_breaker(struct sqlite_cursor *c, void *row);
void sqlite_read_breaker_event(struct sqlite_cursor *c, void *row);

/* sqlite_dataset.c: rows of sqlite_list.c */
void sqlite_read_dataset(struct sqlite_cursor *c, void *row);
void sqlite_read_update(struct sqlite_cursor *c, void *row);
void sqlite_read_link(struct sqlite_cursor *c, void *row);
void sqlite_read_dataset_cursor(struct sqlite_cursor *c, void *row);

/* sqlite_list.c */
int sqlite_list(
	struct store *s, const struct list_query *q, struct store_result *ret, struct err *err);
int sqlite_durations(
	struct store *s, const char *dag, int n, struct durations *ret, struct err *err);

#endif
