/* What is the SQLite store's alone: files, migrations, other processes, faults, kills. */
#include "tests/lib/store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "store/migrations.h"

static void test_reopen(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, first, second;
	struct stat st;
	struct store_result r;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(pragma(f, "PRAGMA user_version"), store_schema_version());
	assert_int_equal(pragma(f, "PRAGMA foreign_keys"), 1);
	assert_int_equal(pragma(f, "PRAGMA synchronous"), 2);
	assert_int_equal(pragma(f, "PRAGMA trusted_schema"), 0);
	assert_int_equal(pragma(f, "SELECT count(*) FROM migration"), store_schema_version());
	assert_int_equal(pragma(f, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
	assert_int_equal(pragma(f, "SELECT count(*) FROM pragma_table_list WHERE type = 'table'"
				   " AND NOT strict AND name NOT LIKE 'sqlite_%'"),
		0);
	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 5, &first, &f->err));
	reopen(f, STORE_CREATE);
	check_state(f, id, "orders", TASK_NONE);
	OK(f, store_reserve_tokens(f->s, 5, &second, &f->err));
	assert_true(second >= first + 5);
	assert_int_equal(pragma(f, "SELECT count(*) FROM migration"), store_schema_version());
	reopen(f, 0);
	check_state(f, id, "orders", TASK_NONE);

	reopen(f, STORE_READ_ONLY);
	check_state(f, id, "orders", TASK_NONE);
	FAILS(f, ERR_INTERNAL, store_reserve_tokens(f->s, 5, &second, &f->err));
	SAYS(f, "for reading only");
	OK(f, store_run_find(f->s, "sales", &r, &f->err));
	store_result_release(&r);
}

/* An open file can be written wherever it went, where nobody else would find it. */
static void test_moved(void **state)
{
	struct fixture *f = *state;
	char away[160];
	int64_t first;

	OK(f, store_in_place(f->s, &f->err));
	snprintf(away, sizeof away, "%s/away.db", f->dir);
	assert_int_equal(rename(f->path, away), 0);
	FAILS(f, ERR_STORE, store_in_place(f->s, &f->err));
	FAILS(f, ERR_STORE, store_reserve_tokens(f->s, 5, &first, &f->err));
	SAYS(f, f->path);
	SAYS(f, "put it back");
	assert_int_equal(rename(away, f->path), 0);
	OK(f, store_in_place(f->s, &f->err));
	OK(f, store_reserve_tokens(f->s, 5, &first, &f->err));
}

static void test_not_there(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	char path[160];

	snprintf(path, sizeof path, "%s/none.db", f->dir);
	FAILS(f, ERR_NOT_FOUND, store_open_sqlite(&s, path, STORE_READ_ONLY, &f->err));
	FAILS(f, ERR_NOT_FOUND,
		store_open_sqlite(&s, path, STORE_READ_ONLY | STORE_CREATE, &f->err));
	FAILS(f, ERR_NOT_FOUND, store_open_sqlite(&s, path, 0, &f->err));
	SAYS(f, path);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof path, "%s/no/folder.db", f->dir);
	FAILS(f, ERR_STORE, store_open_sqlite(&s, path, STORE_CREATE, &f->err));
	SAYS(f, "WEIR_HOME");
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->dir, STORE_CREATE, &f->err));
	assert_null(s);
}

static void write_file(const char *path, const char *data, size_t len)
{
	FILE *fp = fopen(path, "we");

	assert_non_null(fp);
	assert_int_equal(fwrite(data, 1, len, fp), len);
	assert_int_equal(fclose(fp), 0);
}

static void test_refused_files(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	char text[8192];

	store_close(f->s);
	f->s = NULL;
	sql(f, "PRAGMA user_version = 99");
	for (unsigned flags = 0; flags < 4; flags++) {
		FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, flags, &f->err));
		SAYS(f, "made by a newer weir (schema 99, this one knows ");
		SAYS(f, f->path);
	}

	/* of another program: refused, and left as it was */
	unlink(f->path);
	sql(f, "CREATE TABLE x(a); INSERT INTO x VALUES (1)");
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, STORE_CREATE, &f->err));
	SAYS(f, "another program");
	sql(f, "PRAGMA application_id = 7; DROP TABLE x");
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, STORE_CREATE, &f->err));
	SAYS(f, "another program");
	sqlite3 *db;
	sqlite3_open(f->path, &db);
	int wal = -1;
	sqlite_read_pragma(
		db, "", "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &wal, NULL);
	sqlite3_close(db);
	assert_int_equal(wal, 0);

	/* no database at all */
	memset(text, 'x', sizeof text);
	write_file(f->path, text, sizeof text);
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, STORE_CREATE, &f->err));
	SAYS(f, "not a database");
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, STORE_READ_ONLY, &f->err));

	/* an empty file, as a crash between its making and its first write leaves it */
	write_file(f->path, "", 0);
	FAILS(f, ERR_NOT_FOUND, store_open_sqlite(&s, f->path, STORE_READ_ONLY, &f->err));
	FAILS(f, ERR_NOT_FOUND, store_open_sqlite(&s, f->path, 0, &f->err));
	OK(f, store_open_sqlite(&f->s, f->path, STORE_CREATE, &f->err));
	assert_null(s);
}

/* Every page overwritten in turn: an error that says so, or the right answer; never a crash. */
static void test_damaged(void **state)
{
	enum { PAGE = 4096 };
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;
	struct stat st;
	int refused = 0;

	open_run(f, &o, &id, &epoch);
	store_close(f->s);
	f->s = NULL;
	assert_int_equal(stat(f->path, &st), 0);
	char *whole = malloc((size_t)st.st_size);
	FILE *fp = fopen(f->path, "re");
	assert_int_equal(fread(whole, 1, (size_t)st.st_size, fp), st.st_size);
	fclose(fp);
	for (long at = 0; at < st.st_size; at += PAGE) {
		char *copy = malloc((size_t)st.st_size);
		memcpy(copy, whole, (size_t)st.st_size);
		memset(copy + at + (at ? 0 : 200), 0xa5, at ? PAGE : PAGE - 200);
		write_file(f->path, copy, (size_t)st.st_size);
		free(copy);
		struct store *s = NULL;
		struct store_result r;
		err_clear(&f->err);
		if (store_open_sqlite(&s, f->path, 0, &f->err) == 0) {
			if (store_run_open(s, &o, &id, &epoch, NULL, &f->err) == 0 &&
				store_run_find(s, "sales", &r, &f->err) == 0)
				store_result_release(&r);
			store_close(s);
		}
		if (f->err.code) {
			assert_int_equal(f->err.code, ERR_STORE);
			SAYS(f, "damaged");
			refused++;
		}
	}
	free(whole);
	assert_true(refused > 3);
	unlink(f->path);
}

static void test_migrations(void **state)
{
	static const struct migration rows[] = {
		{ 1, "CREATE TABLE migration(version INTEGER PRIMARY KEY, applied_us INTEGER NOT "
		     "NULL);" },
		{ 2, "CREATE TABLE a(x); INSERT INTO a VALUES (1);" },
		{ 3, "UPDATE a SET x = x + 1;" },
		{ 4, "UPDATE a SET x = 100; CREATE TABLE a(x);" },
	};
	struct fixture *f = *state;
	sqlite3 *db;
	int v;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	OK(f, migrations_apply(db, "test", rows, 1, &f->err));
	OK(f, migrations_apply(db, "test", rows, 3, &f->err));
	OK(f, migrations_apply(db, "test", rows, 3, &f->err));
	OK(f, migrations_apply(db, "test", rows, 1, &f->err));
	OK(f, sqlite_read_pragma(db, "test", "PRAGMA user_version", &v, &f->err));
	assert_int_equal(v, 3);
	/* one that fails leaves nothing */
	FAILS(f, ERR_INTERNAL, migrations_apply(db, "test", rows, 4, &f->err));
	OK(f, sqlite_read_pragma(db, "test", "PRAGMA user_version", &v, &f->err));
	assert_int_equal(v, 3);
	OK(f, sqlite_read_pragma(db, "test", "SELECT x FROM a", &v, &f->err));
	assert_int_equal(v, 2);
	OK(f, sqlite_read_pragma(db, "test", "SELECT count(*) FROM migration", &v, &f->err));
	assert_int_equal(v, 3);
	sqlite3_close(db);

	size_t n;
	const struct migration *all = migrations_all(&n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(all[i].version, i + 1);
}

/* A database of an older weir, with runs in it: brought up to date by whoever opens it. */
static void test_older_database(void **state)
{
	struct fixture *f = *state;
	struct run_filter all = { .state = -1 };
	sqlite3 *db;
	size_t n;
	struct store_result r;
	const struct migration *rows = migrations_all(&n);

	assert_true(n >= 2);
	for (unsigned flags = 0; flags <= STORE_CREATE; flags++) {
		store_close(f->s);
		f->s = NULL;
		unlink(f->path);
		assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
		OK(f, migrations_apply(db, f->path, rows, 1, &f->err));
		sqlite3_close(db);
		sql(f, "INSERT INTO dag_version VALUES ('v1', 'sales', 's.yaml', '/d', 'x', 1);"
		       "INSERT INTO run(name, dag, interval_start_us, interval_end_us, ds, zone,"
		       " params, \"trigger\", version, state, created_us, started_us, ended_us)"
		       " VALUES ('sales@1', 'sales', 1, 2, 'd', 'UTC', '{}', 'manual', 'v1',"
		       " 'success', 3, 10, 40);"
		       "INSERT INTO run(name, dag, interval_start_us, interval_end_us, ds, zone,"
		       " params, \"trigger\", version, created_us)"
		       " VALUES ('sales@2', 'sales', 2, 3, 'd', 'UTC', '{}', 'manual', 'v1', 3);"
		       "INSERT INTO task(run_id, name, state) VALUES (1, 'load', 'success');"
		       "INSERT INTO event(at_us, run_id, to_state, reason)"
		       " VALUES (3, 1, 'queued', 'created')");
		OK(f, store_open_sqlite(&f->s, f->path, flags, &f->err));
		assert_int_equal(pragma(f, "PRAGMA user_version"), store_schema_version());
		OK(f, store_runs(f->s, &all, &r, &f->err));
		assert_int_equal(r.n, 2);
		assert_string_equal(r.runs[1].name, "sales@1");
		assert_int_equal(r.runs[1].nsuccess, 1);
		assert_false(r.runs[0].wanted || r.runs[1].wanted);
		assert_int_equal(r.runs[1].backfill_id, 0);
		store_result_release(&r);
		int64_t us;
		OK(f, store_typical_us(f->s, "sales", 5, &us, &f->err));
		assert_int_equal(us, 30);
		assert_int_equal(count_events(f, 1), 1);
		if (flags & STORE_READ_ONLY)
			continue;
		OK(f, store_prune(f->s, 100, 5, &r, &f->err));
		assert_int_equal(r.n, 1);
		store_result_release(&r);
		assert_int_equal(count_events(f, 1), 0);
		assert_int_equal(
			pragma(f, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
	}
}

/* While one makes the store, another makes it between any two of its statements. */
static struct between {
	struct fixture *f;
	int at, n; /* before which statement; how many there were */
	bool done;
} between;

static int make_between(unsigned event, void *data, void *stmt, void *text)
{
	struct between *b = data;
	struct store *other;

	(void)event;
	(void)text;
	/* Where the first reads or writes, the other has to wait, and this thread for itself. */
	if (b->done || sqlite3_txn_state(sqlite3_db_handle(stmt), NULL) != SQLITE_TXN_NONE ||
		++b->n < b->at)
		return 0;
	b->done = true;
	OK(b->f, store_open_sqlite(&other, b->f->path, STORE_CREATE, &b->f->err));
	store_close(other);
	return 0;
}

static int watch_statements(sqlite3 *db, const char **ret_error, const void *api)
{
	(void)ret_error;
	(void)api;
	return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, make_between, &between);
}

static void test_made_between(void **state)
{
	struct fixture *f = *state;
	int at = 1;

	between = (struct between){ .f = f };
	assert_int_equal(sqlite3_auto_extension((void (*)(void))watch_statements), SQLITE_OK);
	do {
		store_close(f->s);
		f->s = NULL;
		unlink(f->path);
		between.at = at++;
		between.n = 0;
		between.done = false;
		OK(f, store_open_sqlite(&f->s, f->path, STORE_CREATE, &f->err));
		between.done = true; /* only while it is opened */
		assert_int_equal(
			pragma(f, "SELECT count(*) FROM migration"), store_schema_version());
	} while (between.n == between.at);
	assert_true(between.at > 5);
	sqlite3_cancel_auto_extension((void (*)(void))watch_statements);
}

/* What is written for each task builds no table of its own: an IN of three values, or an INSERT of
 * a SELECT from the same table, costs more than all the rest of it. */
static void test_plain_statements(void **state)
{
	static const enum sqlite_sql often[] = { SQL_RUN_EPOCH, SQL_TASK_CHANGE, SQL_TASK_TOKEN,
		SQL_EVENT_INSERT, SQL_ATTEMPT_INSERT, SQL_ATTEMPT_END, SQL_TASK_LOOKED,
		SQL_TASK_PUT };
	struct fixture *f = *state;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	for (size_t i = 0; i < sizeof often / sizeof *often; i++) {
		char *explain = sqlite3_mprintf("EXPLAIN %s", sqlite_sql_text(often[i]));
		sqlite3_stmt *stmt = NULL;
		assert_int_equal(sqlite3_prepare_v2(db, explain, -1, &stmt, NULL), SQLITE_OK);
		while (sqlite3_step(stmt) == SQLITE_ROW)
			if (strcmp((const char *)sqlite3_column_text(stmt, 1), "OpenEphemeral") ==
				0)
				fail_msg("it builds a table: %s", explain);
		sqlite3_finalize(stmt);
		sqlite3_free(explain);
	}
	sqlite3_close(db);
}

/* Several processes make the store, reserve tokens and open runs at once. */
static void test_processes(void **state)
{
	enum { PROCESSES = 4, TIMES = 25, N = 7 };
	struct fixture *f = *state;
	int fds[2];
	pid_t pids[PROCESSES];

	store_close(f->s);
	f->s = NULL;
	unlink(f->path);
	assert_int_equal(pipe(fds), 0);
	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = fork();
		if (pids[p])
			continue;
		struct store *s;
		int64_t first, last = 0, id, epoch;
		struct run_open o = opening(f, "sales", 19);
		if (owner_self(&o.owner, NULL) < 0 ||
			store_open_sqlite(&s, f->path, STORE_CREATE, &f->err) < 0)
			_exit(2);
		for (int i = 0; i < TIMES; i++) {
			if (store_reserve_tokens(s, N, &first, &f->err) < 0 || first <= last)
				_exit(3);
			last = first;
			if (write(fds[1], &first, sizeof first) != sizeof first)
				_exit(4);
		}
		int r = store_run_open(s, &o, &id, &epoch, NULL, &f->err);
		if (r < 0 && f->err.code != ERR_REFUSED)
			_exit(5);
		store_close(s);
		_exit(0);
	}
	close(fds[1]);
	int64_t seen[PROCESSES * TIMES], first;
	int n = 0;
	while (read(fds[0], &first, sizeof first) == sizeof first) {
		for (int i = 0; i < n; i++)
			assert_true(first >= seen[i] + N || first + N <= seen[i]);
		assert_true(n < PROCESSES * TIMES);
		seen[n++] = first;
	}
	close(fds[0]);
	for (int p = 0; p < PROCESSES; p++) {
		int status;
		waitpid(pids[p], &status, 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(n, PROCESSES * TIMES);
	OK(f, store_open_sqlite(&f->s, f->path, 0, &f->err));
	assert_int_equal(pragma(f, "SELECT count(*) FROM run"), 1);
}

/* Locked, full, not writable: an error of its kind, nothing kept, and usable afterwards. */
static void test_faults(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, token;
	sqlite3 *other;

	open_run(f, &o, &id, &epoch);
	struct change c[] = {
		task_change(id, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
		task_change(id, "orders", TASK_RUNNING, TASK_SUCCESS, REASON_SUCCEEDED),
	};
	char *large = malloc(1 << 20);
	memset(large, 'x', (1 << 20) - 1);
	large[(1 << 20) - 1] = '\0';
	c[1].state.outputs = large;

	sqlite3_busy_timeout(handle(f), 1);
	assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	FAILS(f, ERR_BUSY, commit(f, id, epoch, c, 2));
	SAYS(f, "try again");
	FAILS(f, ERR_BUSY, store_reserve_tokens(f->s, 1, &token, &f->err));
	FAILS(f, ERR_BUSY, store_run_renew(f->s, id, epoch, 1, &f->err));
	FAILS(f, ERR_BUSY, store_run_open(f->s, &o, &id, &epoch, NULL, &f->err));
	check_state(f, id, "orders", TASK_NONE); /* readers go on */
	sqlite3_close(other);

	int pages = pragma(f, "PRAGMA page_count");
	char text[64];
	snprintf(text, sizeof text, "PRAGMA max_page_count = %d", pages + 1);
	pragma(f, text);
	FAILS(f, ERR_STORE, commit(f, id, epoch, c, 2));
	SAYS(f, "the disk is full");
	SAYS(f, f->path);
	check_state(f, id, "orders", TASK_NONE);
	pragma(f, "PRAGMA max_page_count = 1000000");

	assert_int_equal(
		sqlite3_exec(handle(f), "PRAGMA query_only = 1", NULL, NULL, NULL), SQLITE_OK);
	FAILS(f, ERR_STORE, commit(f, id, epoch, c, 2));
	SAYS(f, "cannot be written");
	assert_int_equal(
		sqlite3_exec(handle(f), "PRAGMA query_only = 0", NULL, NULL, NULL), SQLITE_OK);

	/* the kernel refuses to let the log grow */
	struct rlimit was, small = { 200000, 200000 };
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small.rlim_max = was.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = commit(f, id, epoch, c, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(r, -1);
	assert_int_equal(f->err.code, ERR_STORE);
	check_state(f, id, "orders", TASK_NONE);

	OK(f, commit(f, id, epoch, c, 2));
	check_state(f, id, "orders", TASK_SUCCESS);
	assert_int_equal(count_events(f, id), 3);
	reopen(f, 0);
	check_state(f, id, "orders", TASK_SUCCESS);
	assert_int_equal(pragma(f, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
	free(large);
}

static const char *program; /* this file; /proc/self/exe is another one under valgrind */

/* What the killed program does, one writing call a step. */
static int step_plan(struct fixture *f)
{
	struct run_open o = opening(f, "stock", 19);
	struct plan_row row = { .dag = "stock", .action = "create", .why = "due" };
	struct plan_state state = { "stock", "to 19" };
	struct backfill_cursor cursor = { 1, 77, true };
	struct dataset_take take = { 0, 1 };
	struct store_plan p = { &row, 1, &state, 1, &o, 1, &cursor, 1, &take, 1 };
	struct run_opened opened;

	o.owner.pid = 0;
	o.wanted = true;
	o.backfill_id = 1;
	return store_plan_commit(f->s, &p, &opened, &f->err);
}

static int step_run_open(struct fixture *f)
{
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;

	return store_run_open(f->s, &o, &id, &epoch, NULL, &f->err);
}

static int step_tokens(struct fixture *f)
{
	int64_t token;

	return store_reserve_tokens(f->s, 1, &token, &f->err);
}

static int step_commit(struct fixture *f)
{
	struct change c[] = {
		run_change(1, RUN_QUEUED, RUN_RUNNING, 1),
		task_change(1, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
		start(1, "orders", 1, 1),
		run_change(1, RUN_RUNNING, RUN_SUCCESS, 2),
	};

	return commit(f, 1, 1, c, 4);
}

static int step_renew(struct fixture *f)
{
	return store_renew_owned(f->s, &f->self, 9, &f->err);
}

static int step_close(struct fixture *f)
{
	return store_run_close(f->s, 1, 1, &f->err);
}

static int step_follow(struct fixture *f)
{
	const char *name = "orders";
	const struct dataset_follow fo = { "stock", &name, 1, 1 };

	return store_dataset_follow(f->s, &fo, &f->err);
}

static int step_update(struct fixture *f)
{
	const struct dataset_put put = {
		.dataset = "orders", .dag = "sales", .task = "orders", .run_id = 1, .work = 1
	};
	const struct store_lease lease = { 1, 1 };
	const struct store_batch b = {
		.leases = &lease, .nleases = 1, .datasets = &put, .ndatasets = 1
	};

	return store_commit(f->s, &b, &f->err);
}

static int step_backfill(struct fixture *f)
{
	struct backfill_new b = {
		.dag = "stock", .mode = "all", .jobs = 1, .ntotal = 1, .by = "ann"
	};
	int64_t id;

	return store_backfill_create(f->s, &b, &id, &f->err);
}

static int step_backfill_set(struct fixture *f)
{
	return store_backfill_set(f->s, 1, BACKFILL_PAUSED, "bob", "night", 5, &f->err);
}

static int step_dags(struct fixture *f)
{
	struct dataset_link link = { .dataset = "a", .task = "load", .role = DATASET_PRODUCES };
	struct dag_put dags[] = { { "sales", "s", "/d", "v", NULL, true, &link, 1 },
		{ "stock", "t", "/d", "v", NULL, true, NULL, 0 } };

	return store_dags_put(f->s, dags, 2, 1, &f->err);
}

static int step_switch(struct fixture *f)
{
	struct switch_put p = { .dag = "sales", .on = true, .by = "ann", .now_us = 1 };

	return store_switch(f->s, &p, &f->err);
}

static int step_prune(struct fixture *f)
{
	struct store_result r;

	if (store_prune(f->s, 100, 5, &r, &f->err) < 0)
		return -1;
	store_result_release(&r);
	return 0;
}

static int step_vacuum(struct fixture *f)
{
	return store_vacuum(f->s, 5, &f->err);
}

/* What holds after each: a number before it, and another after it, never a third. */
static const struct step {
	int (*run)(struct fixture *f);
	const char *shows;
	int before, after;
} all_steps[] = {
	{ step_run_open, "SELECT count(*) FROM run WHERE dag = 'sales'", 0, 1 },
	{ step_tokens, "SELECT min(next, 2) FROM counter", 1, 2 },
	{ step_commit,
		"SELECT (SELECT count(*) FROM event WHERE run_id = 1)"
		" + 10 * (SELECT count(*) FROM attempt)"
		" + 100 * (SELECT count(*) FROM task WHERE state = 'running')"
		" + 1000 * (SELECT count(*) FROM run WHERE state = 'success')",
		1, 1114 },
	{ step_renew, "SELECT coalesce(lease_until_us, 9) FROM run WHERE id = 1", 2000000, 9 },
	{ step_close, "SELECT count(owner_pid) FROM run", 1, 0 },
	{ step_follow, "SELECT count(*) FROM dataset_cursor", 0, 1 },
	{ step_update,
		"SELECT (SELECT count(*) FROM dataset_update)"
		" + (SELECT count(*) FROM dataset WHERE last_id = 1)",
		0, 2 },
	{ step_backfill, "SELECT (SELECT count(*) FROM backfill) + (SELECT count(*) FROM audit)", 0,
		2 },
	{ step_plan,
		"SELECT (SELECT count(*) FROM plan) + 10 * (SELECT count(*) FROM plan_state)"
		" + 100 * (SELECT count(*) FROM run WHERE wanted AND backfill_id = 1)"
		" + 1000 * (SELECT count(*) FROM backfill WHERE exhausted AND cursor_us = 77)"
		" + 10000 * (SELECT count(*) FROM task WHERE run_id = 2)"
		" + 100000 * (SELECT count(*) FROM dataset_use)"
		" + 200000 * (SELECT sum(seen_id) FROM dataset_cursor)",
		0, 331111 },
	{ step_backfill_set,
		"SELECT (SELECT count(*) FROM backfill WHERE state = 'paused')"
		" + (SELECT count(*) FROM audit WHERE who = 'bob')",
		0, 2 },
	{ step_dags, "SELECT (SELECT count(*) FROM dag) + 10 * (SELECT count(*) FROM dataset_link)",
		0, 12 },
	{ step_switch,
		"SELECT (SELECT count(*) FROM switch)"
		" + (SELECT count(*) FROM audit WHERE what = 'paused' AND subject = 'sales')",
		0, 2 },
	{ step_prune,
		"SELECT (SELECT count(*) FROM run WHERE id = 1)"
		" + 10 * (SELECT count(*) FROM task WHERE run_id = 1)"
		" + 100 * (SELECT count(*) FROM event WHERE run_id = 1)"
		" + 1000 * (SELECT count(*) FROM attempt)",
		1431, 0 },
	{ step_vacuum, "SELECT 1", 1, 1 },
};
enum { NSTEPS = sizeof all_steps / sizeof *all_steps };

/* The program that is killed: this one, started anew with the argument "steps" and a path.
 * It prints a byte for each step that the store reported as done. */
static int steps(const char *path)
{
	struct fixture f = { .backend = BACKEND_SQLITE };

	if (owner_self(&f.self, NULL) < 0 ||
		store_open_sqlite(&f.s, path, STORE_CREATE, &f.err) < 0 || write(1, "x", 1) != 1)
		return 1;
	for (int i = 0; i < NSTEPS; i++)
		if (all_steps[i].run(&f) < 0 || write(1, "x", 1) != 1)
			return 1;
	store_close(f.s);
	return 0;
}

/* Run the steps, killed at write `n`: how many bytes it printed. */
static int run_steps(const char *path, int n, int *ret_status)
{
	int fds[2], done = 0;
	char number[16], x;

	snprintf(number, sizeof number, "%d", n);
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		setenv("WEIR_TEST_KILL_AT_WRITE", number, 1);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execl(program, program, "steps", path, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while (read(fds[0], &x, 1) == 1)
		done++;
	close(fds[0]);
	waitpid(pid, ret_status, 0);
	return done;
}

/* `done`: steps reported, the opening being the first. The one after them may be there or not;
 * then it is done anew where it is not, and all others after it: a killed store goes on. */
static void check_after_kill(struct fixture *f, int done)
{
	OK(f, store_open_sqlite(&f->s, f->path, STORE_CREATE, &f->err));
	int next = done ? done - 1 : 0;
	if (done > 1)
		assert_int_equal(pragma(f, all_steps[done - 2].shows), all_steps[done - 2].after);
	if (next < NSTEPS) {
		int shown = pragma(f, all_steps[next].shows);
		if (shown != all_steps[next].before && shown != all_steps[next].after)
			fail_msg("step %d: %s: %d", next, all_steps[next].shows, shown);
		next += shown == all_steps[next].after && all_steps[next].before != shown;
	}
	owner_self(&f->self, NULL);
	for (; next < NSTEPS; next++) {
		if (all_steps[next].run == step_renew) /* the owner is another process now */
			continue;
		if (all_steps[next].run(f) < 0)
			fail_msg("step %d: %s", next, f->err.msg);
		assert_int_equal(pragma(f, all_steps[next].shows), all_steps[next].after);
	}
	assert_int_equal(pragma(f, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
	store_close(f->s);
	f->s = NULL;
}

/* Killed at each write step: what a step reported as done is there, what it did not may be
 * absent, and nothing is half there. */
static void test_killed_at_writes(void **state)
{
	struct fixture *f = *state;
	char wal[128];
	int n, status;

	store_close(f->s);
	f->s = NULL;
	snprintf(wal, sizeof wal, "%s-wal", f->path);
	for (n = 1; n < 100; n++) {
		unlink(f->path);
		unlink(wal);
		int done = run_steps(f->path, n, &status);
		if (WIFEXITED(status))
			break;
		assert_int_equal(WTERMSIG(status), SIGKILL);
		check_after_kill(f, done);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	print_message("# killed at %d write steps\n", n - 1);
	assert_int_equal(n - 1, 3 * (store_schema_version() + NSTEPS));
}

/* A folder without write permission: what is closed cleanly can still be read. */
static void test_read_only_folder(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;

	if (geteuid() == 0 && seteuid(65534) < 0)
		skip();
	assert_int_equal(seteuid(0), 0);
	open_run(f, &o, &id, &epoch);
	store_close(f->s);
	f->s = NULL;
	bool root = geteuid() == 0;
	if (root)
		assert_int_equal(chown(f->path, 65534, (gid_t)-1), 0);
	assert_int_equal(chmod(f->dir, 0555), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	struct store *s = NULL;
	int r = store_open_sqlite(&s, f->path, STORE_READ_ONLY, &f->err);
	struct store *writer = NULL;
	struct err refused = { .code = ERR_NONE };
	int w = store_open_sqlite(&writer, f->path, STORE_CREATE, &refused);
	if (root)
		assert_int_equal(seteuid(0), 0);
	chmod(f->dir, 0755);
	OK(f, r);
	f->s = s;
	check_state(f, id, "orders", TASK_NONE);
	assert_int_equal(w, -1);
	assert_int_equal(refused.code, ERR_STORE);
	assert_non_null(strstr(refused.msg, "permission"));
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 3 && strcmp(argv[1], "steps") == 0)
		return steps(argv[2]);

	const struct CMUnitTest tests[] = {
		ONE(test_reopen, SQLITE),
		ONE(test_moved, SQLITE),
		ONE(test_not_there, SQLITE),
		ONE(test_refused_files, SQLITE),
		ONE(test_damaged, SQLITE),
		ONE(test_migrations, SQLITE),
		ONE(test_older_database, SQLITE),
		ONE(test_made_between, SQLITE),
		ONE(test_plain_statements, SQLITE),
		ONE(test_processes, SQLITE),
		ONE(test_faults, SQLITE),
		ONE(test_killed_at_writes, SQLITE),
		ONE(test_read_only_folder, SQLITE),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
