/* What the files of the SQLite backend share. Not for other rooms.
 *
 * sqlite.c opens and closes and translates errors, sqlite_sql.c holds the statements,
 * sqlite_write.c and sqlite_read.c use them.
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
	SQL_VERSION_PUT,
	SQL_TASK_PUT,
	SQL_TASK_STATE,
	SQL_TASK_CHANGE,
	SQL_TASK_TOKEN,
	SQL_EVENT_INSERT,
	SQL_ATTEMPT_INSERT,
	SQL_ATTEMPT_END,
	SQL_ATTEMPT_OUTCOME,
	SQL_CHECK_INSERT,
	SQL_TOKENS_RESERVE,
	SQL_TOKENS_NEXT,
	/* reading */
	SQL_RUNS_ALL,
	SQL_RUNS_OF_DAG,
	SQL_RUNS_OF_STATE,
	SQL_RUNS_OF_DAG_STATE,
	SQL_RUNS_LATEST,
	SQL_RUNS_BY_ID,
	SQL_RUNS_BY_NAME,
	SQL_RUNS_BY_PREFIX,
	SQL_RUNS_BY_KEY,
	SQL_TASK_COUNTS,
	SQL_TASKS,
	SQL_ATTEMPTS,
	SQL_IN_FLIGHT,
	SQL_EVENTS,
	SQL_CHECKS,
	SQL_VERSION_TEXT,
	SQL_MAX
};
const char *sqlite_sql_text(enum sqlite_sql id);

struct sqlite_store {
	struct store base;
	sqlite3 *db;
	char *path;
	bool read_only;
	int64_t tokens_end; /* tokens below it were reserved, as far as this process knows */
	sqlite3_stmt *stmts[SQL_MAX]; /* prepared when first used, kept */
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

/* sqlite_write.c */
int sqlite_run_open(
	struct store *s, const struct run_open *open, struct run_opened *ret, struct err *err);
int sqlite_run_renew(
	struct store *s, int64_t run_id, int64_t epoch, int64_t lease_until_us, struct err *err);
int sqlite_run_close(struct store *s, int64_t run_id, int64_t epoch, struct err *err);
int sqlite_reserve_tokens(struct store *s, int64_t n, int64_t *ret_first, struct err *err);
int sqlite_commit(struct store *s, const struct store_batch *batch, struct err *err);

/* sqlite_read.c */
int sqlite_runs(
	struct store *s, const struct run_query *q, struct store_result *ret, struct err *err);
int sqlite_rows(
	struct store *s, const struct row_query *q, struct store_result *ret, struct err *err);
int sqlite_version_text(struct store *s, const char *version, char **ret_text, struct err *err);

#endif
