#include "data/ledger.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

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
	"at TEXT NOT NULL, work INTEGER, outputs TEXT, "
	"PRIMARY KEY (dag, task, map_index, interval_start, interval_end, target)"
	") STRICT, WITHOUT ROWID";

/* Those that ledgers of the first version do not have. */
static const char *const later_columns[] = { "work INTEGER", "outputs TEXT" };

static const char ledger_select[] = "SELECT token, rows, work, digest, outputs FROM weir_ledger "
				    "WHERE dag = ?1 AND task = ?2 AND map_index = ?3 AND "
				    "interval_start = ?4 AND interval_end = ?5 AND target = ?6";

static const char ledger_upsert[] =
	"INSERT INTO weir_ledger (dag, task, map_index, interval_start, interval_end, target, "
	"token, mode, rows, at, work, digest, outputs) "
	"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) "
	"ON CONFLICT DO UPDATE SET token = excluded.token, mode = excluded.mode, "
	"rows = excluded.rows, at = excluded.at, work = excluded.work, "
	"digest = excluded.digest, outputs = excluded.outputs";

/* Parameters 1 to 6 of both statements. */
static void bind_key(sqlite3_stmt *stmt, const struct ledger_work *w)
{
	const struct table_key *key = w->key;
	const char *start = key->interval_start ? key->interval_start : "";
	const char *end = key->interval_end ? key->interval_end : "";

	sqlite3_bind_text(stmt, 1, key->dag, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, key->task, -1, SQLITE_STATIC);
	sqlite3_bind_int(stmt, 3, key->map_index);
	sqlite3_bind_text(stmt, 4, start, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 5, end, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 6, w->target, -1, SQLITE_STATIC);
}

/* ---- making -------------------------------------------------------------------------- */

static int make_table(sqlite3 *db, struct err *err)
{
	int64_t there = 0;

	if (sql_exec(db, err, "%s", ledger_table) < 0 ||
		sql_int(db, &there, err,
			"SELECT count(*) FROM pragma_table_info('weir_ledger') WHERE name = "
			"'work'") < 0)
		return -1;
	for (size_t i = 0; !there && i < sizeof later_columns / sizeof *later_columns; i++)
		if (sql_exec(db, err, "ALTER TABLE weir_ledger ADD COLUMN %s", later_columns[i]) <
			0)
			return -1;
	return 0;
}

/* ---- looking up ------------------------------------------------------------------------ */

static bool is_same(sqlite3_stmt *stmt, const struct ledger_work *w)
{
	const char *digest = (const char *)sqlite3_column_text(stmt, 3);

	return w->key->work > 0 && sqlite3_column_int64(stmt, 2) == w->key->work && digest &&
	       w->digest && strcmp(digest, w->digest) == 0;
}

static int look_up(
	sqlite3 *db, const struct ledger_work *w, struct ledger_entry *ret, struct err *err)
{
	sqlite3_stmt *stmt;

	if (sql_prepare(db, &stmt, err, "%s", ledger_select) < 0)
		return -1;
	bind_key(stmt, w);
	int rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW) {
		const char *outputs = (const char *)sqlite3_column_text(stmt, 4);
		ret->found = true;
		ret->token = sqlite3_column_int64(stmt, 0);
		ret->rows = sqlite3_column_int64(stmt, 1);
		ret->same = is_same(stmt, w);
		if (ret->same && outputs)
			ret->outputs = json_loads(outputs, 0, NULL);
	} else if (rc != SQLITE_DONE) {
		conn_sqlite_error(db, err, "reading weir_ledger");
	}
	sqlite3_finalize(stmt);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : -1;
}

static int check_token(const struct ledger_work *w, const struct ledger_entry *e, struct err *err)
{
	if (!e->found || e->token <= w->key->token)
		return 0;
	return err_set(err, ERR_FENCED,
		"%s was already written by a newer attempt of this task (token %lld, this "
		"one has %lld); nothing is written" LEDGER_LOST_STATE,
		w->target, (long long)e->token, (long long)w->key->token);
}

int ledger_begin(
	sqlite3 *db, const struct ledger_work *w, struct ledger_entry *ret, struct err *err)
{
	*ret = (struct ledger_entry){ 0 };
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK)
		return conn_sqlite_error(db, err, "waiting to write to the database");
	int rc = make_table(db, err);
	if (rc == 0)
		rc = look_up(db, w, ret, err);
	if (rc == 0)
		rc = check_token(w, ret, err);
	if (rc < 0) {
		json_decref(ret->outputs);
		ret->outputs = NULL;
		ledger_rollback(db);
	}
	return rc;
}

/* ---- writing ---------------------------------------------------------------------------- */

static void bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	if (text)
		sqlite3_bind_text(stmt, at, text, -1, SQLITE_TRANSIENT);
}

static int record(sqlite3 *db, const struct ledger_work *w, const struct ledger_done *done,
	const char *at, struct err *err)
{
	char *outputs = done->outputs ? json_dumps(done->outputs, JSON_COMPACT) : NULL;
	sqlite3_stmt *stmt;

	if (done->outputs && !outputs)
		return err_nomem(err);
	int rc = sql_prepare(db, &stmt, err, "%s", ledger_upsert);
	if (rc == 0) {
		bind_key(stmt, w);
		sqlite3_bind_int64(stmt, 7, w->key->token);
		bind_text(stmt, 8, done->mode);
		sqlite3_bind_int64(stmt, 9, done->rows);
		bind_text(stmt, 10, at);
		if (w->key->work > 0)
			sqlite3_bind_int64(stmt, 11, w->key->work);
		bind_text(stmt, 12, w->digest);
		bind_text(stmt, 13, outputs);
		rc = sql_step_done(db, stmt, err, "writing weir_ledger");
		sqlite3_finalize(stmt);
	}
	free(outputs);
	return rc;
}

int ledger_commit(
	sqlite3 *db, const struct ledger_work *w, const struct ledger_done *done, struct err *err)
{
	struct civil now;
	struct buf at;

	buf_init(&at, 64);
	civil_from_us(clock_now_us(), &now);
	civil_add_rfc3339(&at, &now, 0);
	int rc = buf_ok(&at, "a timestamp", err);
	if (rc == 0)
		rc = record(db, w, done, at.data, err);
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
