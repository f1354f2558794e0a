/* The table writer: modes, ledger, fencing, shapes, each on a real database file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "data/conn.h"
#include "data/row.h"
#include "data/table.h"

static char dir[64], db_path[128];
static json_t *conn;
static struct err err;

static int setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/weir-table-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(db_path, sizeof db_path, "%s/warehouse.db", dir);
	conn = json_pack("{s:s, s:s, s:i}", "type", "sqlite", "path", db_path, "busy_timeout", 0);
	err_clear(&err);
	return conn ? 0 : -1;
}

static int teardown(void **state)
{
	char path[160];

	(void)state;
	json_decref(conn);
	unlink(db_path);
	snprintf(path, sizeof path, "%s-journal", db_path);
	unlink(path);
	return rmdir(dir);
}

static sqlite3 *open_db(void)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(db_path, &db), SQLITE_OK);
	return db;
}

static void exec(const char *sql)
{
	sqlite3 *db = open_db();

	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_close(db);
}

/* The first column of all rows, joined by blanks. */
static const char *query(const char *sql)
{
	static char text[4096];
	sqlite3 *db = open_db();
	sqlite3_stmt *stmt;
	size_t used = 0;

	text[0] = '\0';
	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		const char *s = (const char *)sqlite3_column_text(stmt, 0);
		used += (size_t)snprintf(
			text + used, sizeof text - used, "%s%s", used ? " " : "", s ? s : "NULL");
	}
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return text;
}

static struct cell text_cell(const char *s)
{
	return s ? (struct cell){ .type = CELL_TEXT, .len = (uint32_t)strlen(s), .text = s }
		 : (struct cell){ .type = CELL_NULL };
}

static const struct table_column two[] = { { "id", COLUMN_INTEGER }, { "name", COLUMN_TEXT } };
static const char *const id_key[] = { "id", NULL };

static struct table_target target(enum table_mode mode, int64_t token)
{
	return (struct table_target){
		.conn = conn,
		.table = "t",
		.mode = mode,
		.keys = id_key,
		.columns = two,
		.ncolumns = 2,
		.key = { "d", "load", -1, "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z", token,
			0 },
	};
}

/* Write rows given as "1=a 2=b"; "=x" has no id, "3=" no name. */
static int write_rows(const struct table_target *t, const char *rows, int64_t *ret_rows)
{
	struct table_writer *w;
	char copy[256];

	if (table_open(&w, t, &err) < 0)
		return -1;
	snprintf(copy, sizeof copy, "%s", rows);
	for (char *save = NULL, *p = strtok_r(copy, " ", &save); p;
		p = strtok_r(NULL, " ", &save)) {
		char *value = strchr(p, '=');
		*value++ = '\0';
		struct cell cells[] = { text_cell(*p ? p : NULL),
			text_cell(*value ? value : NULL) };
		if (*p)
			cells[0] = (struct cell){ .type = CELL_INT, .i = atoll(p) };
		if (table_write(w, cells, &err) < 0)
			break;
	}
	return table_commit(w, ret_rows, &err);
}

#define ROWS "SELECT coalesce(id, '') || '=' || coalesce(name, '') FROM t ORDER BY rowid"

static void writes_and_types(void **state)
{
	static const struct table_column all[] = { { "a", COLUMN_ANY }, { "b", COLUMN_TEXT },
		{ "c", COLUMN_INTEGER }, { "d", COLUMN_REAL }, { "e \"x\"", COLUMN_TEXT } };
	struct table_target t = target(TABLE_APPEND, 1);
	struct table_writer *w;
	int64_t n = 0;

	(void)state;
	t.columns = all;
	t.ncolumns = 5;
	assert_int_equal(table_open(&w, &t, &err), 0);
	struct cell cells[] = { text_cell("007"), text_cell("007"),
		{ .type = CELL_INT, .i = INT64_MIN }, { .type = CELL_REAL, .f = 0.5 },
		{ .type = CELL_TEXT, .len = 0, .text = NULL } };
	assert_int_equal(table_write(w, cells, &err), 0);
	for (size_t i = 0; i < 5; i++)
		cells[i].type = CELL_NULL;
	assert_int_equal(table_write(w, cells, &err), 0);
	assert_int_equal(table_commit(w, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(
		query("SELECT typeof(a) || a || ',' || typeof(b) || b || ',' || typeof(c) "
		      "|| c || ',' || typeof(d) || d || ',' || typeof(\"e \"\"x\"\"\") "
		      "FROM t"),
		"text007,text007,integer-9223372036854775808,real0.5,text NULL");
	assert_string_equal(query("SELECT count(*) FROM pragma_table_info('t')"), "5");
}

static void mode_append(void **state)
{
	struct table_target t = target(TABLE_APPEND, 1);
	struct table_writer *w;
	int64_t n;

	(void)state;
	assert_int_equal(write_rows(&t, "1=a 2=b", &n), 0);
	/* The same interval again, by a newer attempt: nothing is written. */
	t.key.token = 2;
	assert_int_equal(table_open(&w, &t, &err), 0);
	assert_true(table_already(w));
	struct cell cells[] = { text_cell("9"), text_cell("z") };
	assert_int_equal(table_write(w, cells, &err), 0);
	assert_int_equal(table_commit(w, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(query(ROWS), "1=a 2=b");
	assert_string_equal(query("SELECT token FROM weir_ledger"), "2");
	/* Another interval and another map index are other work. */
	t.key.interval_start = "2026-11-20T00:00:00Z";
	assert_int_equal(write_rows(&t, "3=c", &n), 0);
	t.key.map_index = 0;
	assert_int_equal(write_rows(&t, "4=d", &n), 0);
	assert_string_equal(query(ROWS), "1=a 2=b 3=c 4=d");
}

static void mode_replace(void **state)
{
	struct table_target t = target(TABLE_REPLACE, 1);
	int64_t n;

	(void)state;
	assert_int_equal(write_rows(&t, "1=a 2=b", &n), 0);
	assert_int_equal(write_rows(&t, "3=c", &n), 0);
	assert_int_equal(n, 1);
	assert_string_equal(query(ROWS), "3=c");
	assert_int_equal(write_rows(&t, "", &n), 0);
	assert_string_equal(query(ROWS), "");
}

static void mode_replace_partition(void **state)
{
	struct table_target t = target(TABLE_REPLACE_PARTITION, 1);
	int64_t n;

	(void)state;
	assert_int_equal(write_rows(&t, "1=a 2=b", &n), 0);
	t.key.interval_start = "2026-11-20T00:00:00Z";
	assert_int_equal(write_rows(&t, "3=c", &n), 0);
	t.key.interval_start = "2026-11-19T00:00:00Z";
	assert_int_equal(write_rows(&t, "4=d", &n), 0);
	assert_string_equal(query("SELECT id || weir_partition FROM t ORDER BY id"),
		"32026-11-20T00:00:00Z 42026-11-19T00:00:00Z");
	assert_string_equal(query("SELECT count(*) FROM pragma_index_list('t')"), "1");
	t.partition_value = "x' OR 1=1 --";
	assert_int_equal(write_rows(&t, "5=e", &n), 0);
	assert_string_equal(query("SELECT id FROM t ORDER BY id"), "3 4 5");
}

/* The partition column is one of the data's: rows of another partition are refused. */
static void partition_in_the_data(void **state)
{
	struct table_target t = target(TABLE_REPLACE_PARTITION, 1);
	int64_t n;

	(void)state;
	t.partition_column = "ID";
	t.partition_value = "7";
	assert_int_equal(write_rows(&t, "7=a 7=b", &n), 0);
	assert_int_equal(write_rows(&t, "7=c", &n), 0);
	assert_string_equal(query(ROWS), "7=c");
	assert_int_equal(write_rows(&t, "7=d 8=e", &n), -1);
	assert_int_equal(err.code, ERR_DATA);
	assert_non_null(strstr(err.msg, "row 2"));
	assert_string_equal(query(ROWS), "7=c");
	t.partition_column = "name";
	t.partition_value = "x";
	assert_int_equal(write_rows(&t, "1=y", &n), -1);
	assert_non_null(strstr(err.msg, "name y"));
	assert_int_equal(write_rows(&t, "1=", &n), -1);
}

/* Without types the partition's value may be stored as a number. */
static void partition_without_type(void **state)
{
	static const struct table_column any[] = { { "id", COLUMN_ANY }, { "name", COLUMN_ANY } };
	struct table_target t = target(TABLE_REPLACE_PARTITION, 1);
	int64_t n;

	(void)state;
	t.columns = any;
	t.partition_column = "id";
	t.partition_value = "7";
	assert_int_equal(write_rows(&t, "7=a", &n), 0);
	assert_int_equal(write_rows(&t, "7=b", &n), 0);
	assert_string_equal(query(ROWS), "7=b");
}

static void mode_merge(void **state)
{
	struct table_target t = target(TABLE_MERGE, 1);
	int64_t n;

	(void)state;
	assert_int_equal(write_rows(&t, "1=a 2=b 2=B", &n), 0);
	assert_int_equal(write_rows(&t, "2=c 3=", &n), 0);
	assert_string_equal(query(ROWS), "1=a 2=c 3=");
	assert_int_equal(write_rows(&t, "4=d =x", &n), -1);
	assert_int_equal(err.code, ERR_DATA);
	assert_non_null(strstr(err.msg, "row 2 has no value in the key column id"));
	assert_string_equal(query(ROWS), "1=a 2=c 3=");
	t.keys = (const char *const[]){ "id", "name", NULL };
	t.table = "u";
	assert_int_equal(write_rows(&t, "1=a 1=b 1=a", &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(query("SELECT name FROM u ORDER BY name"), "a b");
}

static void merge_uses_what_is_there(void **state)
{
	struct table_target t = target(TABLE_MERGE, 1);
	int64_t n;

	(void)state;
	exec("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'old')");
	assert_int_equal(write_rows(&t, "1=new", &n), 0);
	assert_string_equal(query(ROWS), "1=new");
	assert_string_equal(query("SELECT count(*) FROM pragma_index_list('t')"), "0");
	exec("DROP TABLE t; CREATE TABLE t (id INTEGER, name TEXT);"
	     "INSERT INTO t VALUES (1, 'x'), (1, 'y')");
	assert_int_equal(write_rows(&t, "1=new", &n), -1);
	assert_int_equal(err.code, ERR_DATA);
	assert_non_null(strstr(err.msg, "equal keys already"));
	t.keys = NULL;
	assert_int_equal(write_rows(&t, "1=new", &n), -1);
	assert_int_equal(err.code, ERR_INVALID);
	t.keys = (const char *const[]){ "nope", NULL };
	assert_int_equal(write_rows(&t, "1=new", &n), -1);
	assert_non_null(strstr(err.msg, "nope is not in the data"));
}

static void fencing(void **state)
{
	struct table_target t = target(TABLE_REPLACE, 5);
	int64_t n;

	(void)state;
	assert_int_equal(write_rows(&t, "1=a", &n), 0);
	for (int mode = 0; mode < TABLE_MODE_MAX; mode++) {
		t.mode = (enum table_mode)mode;
		t.key.token = 4;
		assert_int_equal(write_rows(&t, "2=b", &n), -1);
		assert_int_equal(err.code, ERR_FENCED);
	}
	assert_string_equal(query(ROWS), "1=a");
	assert_string_equal(query("SELECT token || mode || rows FROM weir_ledger"), "5replace1");
	t.mode = TABLE_REPLACE;
	t.key.token = 5;
	assert_int_equal(write_rows(&t, "2=b", &n), 0);
	t.key.task = "other";
	t.key.token = 1;
	assert_int_equal(write_rows(&t, "3=c", &n), 0);
}

static void all_or_nothing(void **state)
{
	struct table_target t = target(TABLE_REPLACE, 1);
	struct cell cells[] = { { .type = CELL_INT, .i = 1 }, text_cell("x") };
	struct table_writer *w;
	int64_t n;

	(void)state;
	assert_int_equal(write_rows(&t, "1=a", &n), 0);
	assert_int_equal(table_open(&w, &t, &err), 0);
	assert_int_equal(table_write(w, cells, &err), 0);
	table_abort(w);
	table_abort(NULL);
	assert_string_equal(query(ROWS), "1=a");
	/* After an error each further call fails with it, and nothing stays. */
	exec("CREATE TABLE u (id INTEGER CHECK (id < 5), name TEXT)");
	t.table = "u";
	assert_int_equal(table_open(&w, &t, &err), 0);
	assert_int_equal(table_write(w, cells, &err), 0);
	cells[0].i = 9;
	assert_int_equal(table_write(w, cells, &err), -1);
	assert_int_equal(err.code, ERR_DATA);
	assert_non_null(strstr(err.msg, "row 2"));
	cells[0].i = 2;
	err_clear(&err);
	assert_int_equal(table_write(w, cells, &err), -1);
	assert_int_equal(table_commit(w, &n, NULL), -1);
	assert_string_equal(query("SELECT count(*) FROM u"), "0");
}

/* An existing table of another shape. */
static const struct shape_case {
	const char *make;
	enum table_mode mode;
	const char *wrong; /* NULL: it is taken */
	const char *columns_after;
} shape_cases[] = {
	{ "CREATE TABLE t (id INTEGER)", TABLE_APPEND, NULL, "id name" },
	{ "CREATE TABLE t (extra TEXT, ID INTEGER)", TABLE_REPLACE, NULL, "extra ID name" },
	{ "CREATE TABLE t (id INTEGER, name VARCHAR(20))", TABLE_APPEND, NULL, "id name" },
	{ "CREATE TABLE t (id, name)", TABLE_APPEND, NULL, "id name" },
	{ "CREATE TABLE t (id INT, name TEXT) STRICT", TABLE_APPEND, NULL, "id name" },
	{ "CREATE TABLE t (id INTEGER, name INTEGER)", TABLE_APPEND,
		"column name as INTEGER, and the data has it as text", NULL },
	{ "CREATE TABLE t (id TEXT, name TEXT)", TABLE_REPLACE,
		"column id as TEXT, and the data has it as integer", NULL },
	{ "CREATE TABLE t (id INTEGER, need TEXT NOT NULL)", TABLE_APPEND,
		"needs a value in column need", NULL },
	{ "CREATE TABLE t (id INTEGER, d TEXT NOT NULL DEFAULT 'x')", TABLE_APPEND, NULL,
		"id d name" },
	{ "CREATE TABLE t (id INTEGER, name AS (id + 1))", TABLE_APPEND, "computes its column name",
		NULL },
	{ "CREATE VIEW t AS SELECT 1 AS id, 'x' AS name", TABLE_APPEND, "is a view", NULL },
	{ "CREATE TABLE t (id INTEGER, name TEXT)", TABLE_REPLACE_PARTITION, NULL,
		"id name weir_partition" },
	{ "CREATE TABLE t (id INTEGER, name TEXT); INSERT INTO t VALUES (1, 'x')",
		TABLE_REPLACE_PARTITION, "has no column weir_partition", NULL },
	{ "CREATE TABLE t (id INTEGER, weir_partition TEXT); INSERT INTO t VALUES (1, 'x')",
		TABLE_REPLACE_PARTITION, NULL, "id weir_partition name" },
	{ "CREATE TABLE t (id INTEGER, name TEXT, CHECK (id < 0))", TABLE_APPEND, "CHECK", NULL },
};

static void shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof shape_cases / sizeof *shape_cases; i++) {
		const struct shape_case *c = &shape_cases[i];
		struct table_target t = target(c->mode, 1);
		sqlite3 *db = open_db();
		assert_int_equal(sqlite3_exec(db, c->make, NULL, NULL, NULL), SQLITE_OK);
		sqlite3_close(db);
		int rc = write_rows(&t, "1=a", NULL);
		if (c->wrong) {
			assert_int_equal(rc, -1);
			if (err.code != ERR_DATA || !strstr(err.msg, c->wrong))
				fail_msg("case %zu: %s", i, err.msg);
		} else {
			if (rc < 0)
				fail_msg("case %zu: %s", i, err.msg);
			assert_string_equal(
				query("SELECT name FROM pragma_table_info('t')"), c->columns_after);
		}
		unlink(db_path);
	}
}

static void bad_columns(void **state)
{
	static const struct table_column twice[] = { { "a", COLUMN_ANY }, { "A", COLUMN_ANY } };
	static const struct table_column empty[] = { { "a", COLUMN_ANY }, { "", COLUMN_ANY } };
	struct table_target t = target(TABLE_APPEND, 1);

	(void)state;
	t.columns = twice;
	assert_int_equal(write_rows(&t, "", NULL), -1);
	assert_int_equal(err.code, ERR_DATA);
	t.columns = empty;
	assert_int_equal(write_rows(&t, "", NULL), -1);
	assert_non_null(strstr(err.msg, "column 2 has no name"));
	t.ncolumns = 0;
	assert_int_equal(write_rows(&t, "", NULL), -1);
	assert_false(access(db_path, F_OK) == 0);
}

static void odd_names(void **state)
{
	static const struct table_column odd[] = { { "select", COLUMN_ANY },
		{ "a\"b; --", COLUMN_ANY } };
	struct table_target t = target(TABLE_REPLACE_PARTITION, 1);

	(void)state;
	t.columns = odd;
	t.table = "we\"ird 'table' %s";
	assert_int_equal(write_rows(&t, "1=a", NULL), 0);
	t.mode = TABLE_MERGE;
	t.keys = (const char *const[]){ "a\"b; --", NULL };
	assert_int_equal(write_rows(&t, "2=a", NULL), 0);
	assert_string_equal(query("SELECT \"select\" FROM \"we\"\"ird 'table' %s\""), "2");
}

static void a_second_writer_is_busy(void **state)
{
	struct table_target t = target(TABLE_APPEND, 1);
	struct table_writer *w, *other;

	(void)state;
	assert_int_equal(table_open(&w, &t, &err), 0);
	assert_int_equal(table_open(&other, &t, &err), -1);
	assert_null(other);
	assert_int_equal(err.code, ERR_BUSY);
	assert_true(err_info(err.code)->transient);
	assert_int_equal(table_commit(w, NULL, &err), 0);
	assert_int_equal(table_open(&other, &t, &err), 0);
	assert_true(table_already(other));
	table_abort(other);
}

static void keeps_the_journal_mode(void **state)
{
	struct table_target t = target(TABLE_APPEND, 1);

	(void)state;
	exec("PRAGMA journal_mode = WAL; CREATE TABLE x (a)");
	assert_int_equal(write_rows(&t, "1=a", NULL), 0);
	assert_string_equal(query("PRAGMA journal_mode"), "wal");
	exec("PRAGMA journal_mode = DELETE");
}

static void connections(void **state)
{
	char path[160];
	sqlite3 *db;
	json_t *c;

	(void)state;
	assert_non_null(conn_type_find("sqlite"));
	assert_null(conn_type_find("oracle"));
	c = json_pack("{s:s}", "type", "sqlite");
	assert_int_equal(conn_open_sqlite(c, &db, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	json_decref(c);
	c = json_pack("{s:s, s:s}", "type", "ftp", "path", "x");
	assert_int_equal(conn_open_sqlite(c, &db, &err), -1);
	assert_non_null(strstr(err.msg, "ftp"));
	json_decref(c);
	assert_int_equal(conn_open_sqlite(NULL, &db, &err), -1);
	/* A file that is no database. */
	int fd = open(db_path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "this is no database, and long enough to see it so", 48), 48);
	close(fd);
	assert_int_equal(conn_open_sqlite(conn, &db, &err), -1);
	assert_int_equal(err.code, ERR_SQL);
	assert_null(db);
	/* A folder in the way. */
	snprintf(path, sizeof path, "%s/x", db_path);
	c = json_pack("{s:s, s:s}", "type", "sqlite", "path", path);
	assert_int_equal(conn_open_sqlite(c, &db, &err), -1);
	json_decref(c);
	/* Double quotes never make a text. */
	unlink(db_path);
	assert_int_equal(conn_open_sqlite(conn, &db, &err), 0);
	assert_int_not_equal(sqlite3_exec(db, "SELECT \"nope\"", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(writes_and_types),
		CASE(mode_append),
		CASE(mode_replace),
		CASE(mode_replace_partition),
		CASE(partition_in_the_data),
		CASE(partition_without_type),
		CASE(mode_merge),
		CASE(merge_uses_what_is_there),
		CASE(fencing),
		CASE(all_or_nothing),
		CASE(shapes),
		CASE(bad_columns),
		CASE(odd_names),
		CASE(a_second_writer_is_busy),
		CASE(keeps_the_journal_mode),
		CASE(connections),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
