#include "data/ledger.h"

#include <sqlite3.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "base/err.h"
#include "data/conn.h"
#include "data/sql.h"
#include "data/table.h"

static const char ledger_table[] =
	"CREATE TABLE IF NOT EXISTS weir_ledger ("
	"dag TEXT NOT NULL, task TEXT NOT NULL, map_index INTEGER NOT NULL, "
	"interval_start TEXT NOT NULL, interval_end TEXT NOT NULL, target TEXT NOT NULL, "
	"token INTEGER NOT NULL, mode TEXT NOT NULL, rows INTEGER NOT NULL, digest TEXT, "
	"at TEXT NOT NULL, "
	"PRIMARY KEY (dag, task, map_index, interval_start, interval_end, target)"
	") STRICT, WITHOUT ROWID";

static const char ledger_select[] =
	"SELECT token, rows FROM weir_ledger WHERE dag = ?1 AND task = ?2 AND map_index = ?3 "
	"AND interval_start = ?4 AND interval_end = ?5 AND target = ?6";

static const char ledger_upsert[] =
	"INSERT INTO weir_ledger (dag, task, map_index, interval_start, interval_end, target, "
	"token, mode, rows, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
	"ON CONFLICT DO UPDATE SET token = excluded.token, mode = excluded.mode, "
	"rows = excluded.rows, digest = excluded.digest, at = excluded.at";

/* Parameters 1 to 6 of both statements. */
static void bind_key(sqlite3_stmt *stmt, const struct table_key *key, const char *target)
{
	const char *start = key->interval_start ? key->interval_start : "";
	const char *end = key->interval_end ? key->interval_end : "";

	sqlite3_bind_text(stmt, 1, key->dag, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, key->task, -1, SQLITE_STATIC);
	sqlite3_bind_int(stmt, 3, key->map_index);
	sqlite3_bind_text(stmt, 4, start, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 5, end, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 6, target, -1, SQLITE_STATIC);
}

static int look_up(sqlite3 *db, const struct table_key *key, const char *target,
	struct ledger_entry *ret, struct err *err)
{
	sqlite3_stmt *stmt;

	if (sql_prepare(db, &stmt, err, "%s", ledger_select) < 0)
		return -1;
	bind_key(stmt, key, target);
	int rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		ret->found = true;
		ret->token = sqlite3_column_int64(stmt, 0);
		ret->rows = sqlite3_column_int64(stmt, 1);
	} else if (rc != SQLITE_DONE) {
		conn_sqlite_error(db, err, "reading weir_ledger");
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

int ledger_begin(sqlite3 *db, const struct table_key *key, const char *target,
	struct ledger_entry *ret, struct err *err)
{
	*ret = (struct ledger_entry){ 0 };
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return conn_sqlite_error(db, err, "waiting to write to the database");
	int rc = sql_exec(db, err, "%s", ledger_table);
	if (rc == 0)
		rc = look_up(db, key, target, ret, err);
	if (rc == 0 && ret->found && ret->token > key->token)
		rc = err_set(err, ERR_FENCED,
			"%s was already written by a newer attempt of this task (token %lld, this "
			"one has %lld); nothing is written" LEDGER_LOST_STATE,
			target, (long long)ret->token, (long long)key->token);
	if (rc < 0)
		ledger_rollback(db);
	return rc;
}

static int record(sqlite3 *db, const struct table_key *key, const char *target, const char *mode,
	int64_t rows, const char *at, struct err *err)
{
	sqlite3_stmt *stmt;

	if (sql_prepare(db, &stmt, err, "%s", ledger_upsert) < 0)
		return -1;
	bind_key(stmt, key, target);
	sqlite3_bind_int64(stmt, 7, key->token);
	sqlite3_bind_text(stmt, 8, mode, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 9, rows);
	sqlite3_bind_text(stmt, 10, at, -1, SQLITE_STATIC);
	int rc = sql_step_done(db, stmt, err, "writing weir_ledger");
	sqlite3_finalize(stmt);
	return rc;
}

int ledger_commit(sqlite3 *db, const struct table_key *key, const char *target, const char *mode,
	int64_t rows, struct err *err)
{
	struct civil now;
	struct buf at;

	buf_init(&at, 64);
	civil_from_us(clock_now_us(), &now);
	civil_add_rfc3339(&at, &now, 0);
	int rc = buf_ok(&at, "a timestamp", err);
	if (rc == 0)
		rc = record(db, key, target, mode, rows, at.data, err);
	buf_release(&at);
	if (rc == 0 && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		rc = conn_sqlite_error(db, err, "commit");
	if (rc < 0)
		ledger_rollback(db);
	return rc;
}

void ledger_rollback(sqlite3 *db)
{
	if (!sqlite3_get_autocommit(db))
		sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}
