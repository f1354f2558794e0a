#include "store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "store/migrations.h"
#include "store/testpoint.h"

enum { BUSY_TIMEOUT_MS = 5000, BUSY_STEP_MS = 10 };

/* ---- errors -------------------------------------------------------------------------- */

static const struct fault {
	int rc; /* primary result code, https://www.sqlite.org/rescode.html */
	enum err_code code;
	const char *why, *help;
} faults[] = {
	{ SQLITE_BUSY, ERR_BUSY, "another process holds it locked", "try again" },
	{ SQLITE_LOCKED, ERR_BUSY, "another process holds it locked", "try again" },
	{ SQLITE_NOMEM, ERR_NOMEM, "out of memory", "nothing of this step was recorded" },
	{ SQLITE_FULL, ERR_STORE, "the disk is full",
		"free some space; nothing of this step was recorded" },
	{ SQLITE_IOERR, ERR_STORE, "reading or writing the disk failed",
		"look at the disk and its free space; nothing of this step was recorded" },
	{ SQLITE_READONLY, ERR_STORE, "it cannot be written",
		"give this user write permission on the file and its folder, "
		"or point WEIR_HOME elsewhere" },
	{ SQLITE_PERM, ERR_STORE, "it may not be used by this user",
		"correct its permissions, or point WEIR_HOME elsewhere" },
	{ SQLITE_AUTH, ERR_STORE, "it may not be used by this user",
		"correct its permissions, or point WEIR_HOME elsewhere" },
	{ SQLITE_CANTOPEN, ERR_STORE, "it cannot be opened",
		"look at the permissions of the file and its folder, or point WEIR_HOME "
		"elsewhere" },
	{ SQLITE_CORRUPT, ERR_STORE, "it is damaged",
		"restore it from a backup, save what is left with sqlite3's .recover, "
		"or move it away to begin anew" },
	{ SQLITE_NOTADB, ERR_STORE, "it is not a database",
		"it is damaged, or belongs to something else: restore it, move it away, "
		"or point WEIR_HOME elsewhere" },
	{ SQLITE_PROTOCOL, ERR_BUSY, "its locks are contended", "try again" },
	{ SQLITE_NOLFS, ERR_STORE, "it is too large for this file system", "move it to another" },
	{ SQLITE_TOOBIG, ERR_STORE, "a value is too large", "make the task's outputs smaller" },
	{ SQLITE_INTERRUPT, ERR_BUSY, "it was interrupted", "try again" },
};

int sqlite_error(sqlite3 *db, const char *path, const char *doing, struct err *err)
{
	int rc = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
	const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
		if (faults[i].rc == (rc & 0xff))
			return err_set(err, faults[i].code,
				"state database %s: cannot %s: %s (%s, %d): %s", path, doing,
				faults[i].why, text, rc, faults[i].help);
	return err_set(
		err, ERR_INTERNAL, "state database %s: cannot %s: %s (%d)", path, doing, text, rc);
}

int sqlite_read_pragma(sqlite3 *db, const char *path, const char *sql, int *ret, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = sqlite3_column_int(stmt, 0);
	int r = rc == SQLITE_ROW ? 0 : sqlite_error(db, path, "read it", err);
	sqlite3_finalize(stmt);
	return r;
}

/* ---- statements ---------------------------------------------------------------------- */

struct sqlite_query sqlite_query(struct sqlite_store *s, enum sqlite_sql id, const char *doing)
{
	struct sqlite_query q = { .s = s, .doing = doing };

	if (!s->stmts[id])
		q.rc = sqlite3_prepare_v3(s->db, sqlite_sql_text(id), -1, SQLITE_PREPARE_PERSISTENT,
			&s->stmts[id], NULL);
	q.stmt = s->stmts[id];
	return q;
}

/* The first failure ends the binding, so that the database's error is still its own. */
void sqlite_bind_int(struct sqlite_query *q, int64_t v)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_int64(q->stmt, ++q->n, v);
}

void sqlite_bind_time(struct sqlite_query *q, int64_t us)
{
	if (us)
		sqlite_bind_int(q, us);
	else if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_null(q->stmt, ++q->n);
}

void sqlite_bind_text(struct sqlite_query *q, const char *text)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_bind_text(q->stmt, ++q->n, text, -1, SQLITE_STATIC);
}

void sqlite_done(struct sqlite_query *q)
{
	sqlite3_reset(q->stmt);
}

int sqlite_step(struct sqlite_query *q, struct err *err)
{
	if (q->rc == SQLITE_OK)
		q->rc = sqlite3_step(q->stmt);
	if (q->rc == SQLITE_ROW) {
		q->rc = SQLITE_OK;
		return 1;
	}
	int r = q->rc == SQLITE_DONE ? 0 : sqlite_error(q->s->db, q->s->path, q->doing, err);
	sqlite3_reset(q->stmt);
	return r;
}

int sqlite_run(struct sqlite_query *q, struct err *err)
{
	int r;

	while ((r = sqlite_step(q, err)) == 1)
		;
	return r < 0 ? -1 : sqlite3_changes(q->s->db);
}

const char *sqlite_text(struct sqlite_query *q, int col)
{
	const unsigned char *text = sqlite3_column_text(q->stmt, col);

	return text ? (const char *)text : "";
}

/* ---- transactions -------------------------------------------------------------------- */

static int run_simple(
	struct sqlite_store *s, enum sqlite_sql id, const char *doing, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, id, doing);

	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_begin(struct sqlite_store *s, struct err *err)
{
	if (s->read_only)
		return err_set(err, ERR_INTERNAL, "state database %s was opened for reading only",
			s->path);
	if (store_in_place(&s->base, err) < 0)
		return -1;
	store_test_point();
	return run_simple(s, SQL_BEGIN, "begin to write", err);
}

int sqlite_end(struct sqlite_store *s, int r, const char *doing, struct err *err)
{
	if (r == 0) {
		store_test_point();
		r = run_simple(s, SQL_COMMIT, doing, err);
	}
	/* SQLite itself rolls back after some errors, but not after all of them. */
	if (!sqlite3_get_autocommit(s->db))
		run_simple(s, SQL_ROLLBACK, "roll back", NULL);
	if (r == 0)
		store_test_point();
	return r;
}

int sqlite_forget_in(struct sqlite_store *s, const struct sqlite_old *old, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, old->id, old->doing);

	sqlite_bind_int(&q, old->before_us);
	sqlite_bind_int(&q, old->max);
	return sqlite_run(&q, err);
}

int sqlite_forget(struct store *base, const struct sqlite_old *old, int *ret_n, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;

	if (sqlite_begin(s, err) < 0)
		return -1;
	int n = sqlite_forget_in(s, old, err);
	if (sqlite_end(s, n < 0 ? -1 : 0, old->doing, err) < 0)
		return -1;
	*ret_n = n;
	return 0;
}

/* ---- opening and closing ------------------------------------------------------------- */

static void sqlite_set_patience(struct store *base, int timeout_ms)
{
	struct sqlite_store *s = (struct sqlite_store *)base;

	sqlite3_busy_timeout(s->db, timeout_ms);
}

/* An open file can be written wherever it went; but no other process looks for it there. */
static int sqlite_in_place(struct store *base, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	int moved = 0;

	if (sqlite3_file_control(s->db, NULL, SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK ||
		!moved)
		return 0;
	return err_set(err, ERR_STORE,
		"state database %s: it was moved, removed or replaced while weir runs: put it back "
		"(nothing of this step was recorded), or stop weir and start it anew",
		s->path);
}

static void sqlite_free(struct store *base)
{
	struct sqlite_store *s = (struct sqlite_store *)base;

	for (int i = 0; i < SQL_MAX; i++)
		sqlite3_finalize(s->stmts[i]);
	for (int i = 0; i < SQLITE_RUNS_MAX; i++)
		sqlite3_finalize(s->run_lists[i]);
	sqlite3_close_v2(s->db);
	free(s->path);
	free(s);
}

static const struct store_ops ops = {
	.name = "sqlite",
	.free = sqlite_free,
	.set_patience = sqlite_set_patience,
	.in_place = sqlite_in_place,
	.run_open = sqlite_run_open,
	.run_renew = sqlite_run_renew,
	.run_close = sqlite_run_close,
	.reserve_tokens = sqlite_reserve_tokens,
	.commit = sqlite_commit,
	.late_end = sqlite_late_end,
	.decide = sqlite_decide,
	.dataset_touch = sqlite_dataset_touch,
	.dataset_follow = sqlite_dataset_follow,
	.outbox_set = sqlite_outbox_set,
	.outbox_prune = sqlite_outbox_prune,
	.incidents_prune = sqlite_incidents_prune,
	.runs = sqlite_runs,
	.rows = sqlite_rows,
	.attempt_open = sqlite_attempt_open,
	.version_text = sqlite_version_text,
	.renew_owned = sqlite_renew_owned,
	.plan_commit = sqlite_plan_commit,
	.dags_put = sqlite_dags_put,
	.switch_set = sqlite_switch_set,
	.backfill_create = sqlite_backfill_create,
	.backfill_set = sqlite_backfill_set,
	.prune = sqlite_prune,
	.vacuum = sqlite_vacuum,
	.list = sqlite_list,
	.durations = sqlite_durations,
};

int store_schema_version(void)
{
	size_t n;
	const struct migration *rows = migrations_all(&n);

	return rows[n - 1].version;
}

/* SQLite makes files for everyone to read; ours may hold what tasks print. Its -wal and
 * -shm take over the mode. Only for a file that is not there: closing a descriptor of one that is
 * open drops the locks of this process on it (POSIX fcntl). */
static int make_file(const char *path, unsigned flags, struct err *err)
{
	if (access(path, F_OK) == 0)
		return 0;
	if (errno == ENOENT && !(flags & STORE_CREATE))
		return err_set(err, ERR_NOT_FOUND,
			"there is no state database %s yet: "
			"the first `weir run` makes it",
			path);
	int fd = errno == ENOENT ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	if (fd < 0 && errno != EEXIST)
		return err_set(err, ERR_STORE,
			"cannot make the state database %s: %s: look at the permissions of its "
			"folder, "
			"or point WEIR_HOME elsewhere",
			path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return 0;
}

static int open_db(struct sqlite_store *s, const char *name, int flags, struct err *err)
{
	sqlite3_close_v2(s->db);
	s->db = NULL;
	if (sqlite3_open_v2(name, &s->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		    NULL) != SQLITE_OK)
		return sqlite_error(s->db, s->path, "open it", err);
	sqlite3_busy_timeout(s->db, BUSY_TIMEOUT_MS);
	/* What follows refuses tricks of a file that someone else prepared. */
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
	return 0;
}

static bool wal_is_empty(const char *path)
{
	struct stat st;
	char *wal = NULL;

	if (asprintf(&wal, "%s-wal", path) < 0)
		return false;
	bool empty = stat(wal, &st) < 0 ? errno == ENOENT : st.st_size == 0;
	free(wal);
	return empty;
}

/* A folder that cannot be written has no room for WAL's shared memory. When nothing is in
 * the log, the file itself is complete, and nobody can change it. */
static int open_immutable(struct sqlite_store *s, struct err *err)
{
	struct buf uri;

	buf_init(&uri, BUF_MAX_TEXT);
	buf_addstr(&uri, "file:");
	for (const char *p = s->path; *p; p++)
		buf_addf(&uri, strchr("%?#", *p) ? "%%%02X" : "%c", (unsigned char)*p);
	buf_addstr(&uri, "?immutable=1");
	int r = buf_ok(&uri, "the path of the state database", err);
	if (r == 0)
		r = open_db(s, uri.data, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, err);
	buf_release(&uri);
	return r;
}

struct identity {
	int application_id, version, ntables;
};

/* In one statement: another process may be setting the file up, and half of what it was before
 * beside half of what it is then would look like a stranger's. */
static int read_identity(struct sqlite_store *s, struct identity *ret, struct err *err)
{
	static const char sql[] = "SELECT a.application_id, v.user_version,"
				  " (SELECT count(*) FROM sqlite_master)"
				  " FROM pragma_application_id a, pragma_user_version v";
	sqlite3_stmt *stmt = NULL;
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(stmt);
	if (rc == SQLITE_ROW)
		*ret = (struct identity){
			.application_id = sqlite3_column_int(stmt, 0),
			.version = sqlite3_column_int(stmt, 1),
			.ntables = sqlite3_column_int(stmt, 2),
		};
	int r = rc == SQLITE_ROW ? 0 : sqlite_error(s->db, s->path, "read it", err);
	sqlite3_finalize(stmt);
	return r;
}

static int open_and_identify(struct sqlite_store *s, struct identity *ret, struct err *err)
{
	int flags = s->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;

	if (open_db(s, s->path, flags, err) < 0)
		return -1;
	if (read_identity(s, ret, err) == 0)
		return 0;
	int rc = sqlite3_errcode(s->db) & 0xff;
	if (!s->read_only || (rc != SQLITE_CANTOPEN && rc != SQLITE_READONLY) ||
		!wal_is_empty(s->path))
		return -1;
	if (open_immutable(s, err) < 0)
		return -1;
	return read_identity(s, ret, err);
}

static int check_identity(
	struct sqlite_store *s, const struct identity *id, unsigned flags, struct err *err)
{
	int known = store_schema_version();
	bool fresh = id->application_id == 0 && id->version == 0 && id->ntables == 0;

	if (fresh && ((flags & STORE_READ_ONLY) || !(flags & STORE_CREATE)))
		return err_set(err, ERR_NOT_FOUND, "the state database %s is empty yet", s->path);
	if (fresh)
		return 0;
	if (id->application_id != MIGRATIONS_APPLICATION_ID)
		return err_set(err, ERR_STORE,
			"%s is a database of another program (application_id %#x), which weir "
			"leaves "
			"alone: point WEIR_HOME elsewhere",
			s->path, (unsigned)id->application_id);
	if (id->version > known)
		return err_set(err, ERR_STORE,
			"the state database %s was made by a newer weir (schema %d, this one knows "
			"%d): "
			"upgrade weir, or point WEIR_HOME elsewhere",
			s->path, id->version, known);
	return 0;
}

static const char settings[] = "PRAGMA foreign_keys = ON;"
			       "PRAGMA synchronous = FULL;"
			       "PRAGMA temp_store = MEMORY;"
			       "PRAGMA cell_size_check = ON;"
			       "PRAGMA cache_size = -8192;"
			       "PRAGMA journal_size_limit = 67108864;";

/* Turning WAL on needs the file for itself, and does not always wait for it. */
static int turn_wal_on(struct sqlite_store *s, struct err *err)
{
	for (int waited_ms = 0;; waited_ms += BUSY_STEP_MS) {
		int rc = sqlite3_exec(s->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
		if (rc == SQLITE_OK)
			return 0;
		if ((rc & 0xff) != SQLITE_BUSY || waited_ms >= BUSY_TIMEOUT_MS)
			return sqlite_error(s->db, s->path, "turn its write-ahead log on", err);
		nanosleep(&(struct timespec){ .tv_nsec = BUSY_STEP_MS * 1000000L }, NULL);
	}
}

static int prepare_to_write(struct sqlite_store *s, struct err *err)
{
	size_t n;
	const struct migration *rows = migrations_all(&n);

	/* Only before anything is written to the file, and without effect afterwards: how
	 * store_vacuum can give pages back. */
	if (sqlite3_exec(s->db, "PRAGMA auto_vacuum = INCREMENTAL", NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_error(s->db, s->path, "set it up", err);
	if (turn_wal_on(s, err) < 0)
		return -1;
	return migrations_apply(s->db, s->path, rows, n, err);
}

/* Reading needs the present schema: let a writer bring it up to date. */
static int upgrade_for_reading(struct sqlite_store *s, struct err *err)
{
	struct store *writer;

	if (store_open_sqlite(&writer, s->path, 0, err) < 0)
		return err_context(err, "made by an older weir");
	store_close(writer);
	return 0;
}

static int open_store(struct sqlite_store *s, unsigned flags, struct err *err)
{
	struct identity id;

	if (make_file(s->path, flags, err) < 0 || open_and_identify(s, &id, err) < 0 ||
		check_identity(s, &id, flags, err) < 0)
		return -1;
	if (sqlite3_exec(s->db, settings, NULL, NULL, NULL) != SQLITE_OK)
		return sqlite_error(s->db, s->path, "set it up", err);
	if (!s->read_only)
		return prepare_to_write(s, err);
	return id.version < store_schema_version() ? upgrade_for_reading(s, err) : 0;
}

int store_open_sqlite(struct store **ret, const char *path, unsigned flags, struct err *err)
{
	struct sqlite_store *s = calloc(1, sizeof *s);

	if (!s)
		return err_nomem(err);
	s->base.ops = &ops;
	s->read_only = flags & STORE_READ_ONLY;
	/* SQLite gives a meaning of its own to ":memory:" and "file:...". */
	s->path = NULL;
	if (asprintf(&s->path, "%s%s", path[0] == '/' ? "" : "./", path) < 0) {
		s->path = NULL;
		sqlite_free(&s->base);
		return err_nomem(err);
	}
	if (s->read_only)
		flags &= ~(unsigned)STORE_CREATE;
	if (open_store(s, flags, err) < 0) {
		sqlite_free(&s->base);
		return -1;
	}
	*ret = &s->base;
	return 0;
}
