#include "data/table.h"

#include <assert.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "data/conn.h"
#include "data/ledger.h"
#include "data/row.h"
#include "data/sql.h"

#define PARTITION_COLUMN "weir_partition"
#define WRITER_MAX_BYTES (8u << 20)

const char *const table_mode_names[] = {
	[TABLE_APPEND] = "append",
	[TABLE_REPLACE] = "replace",
	[TABLE_REPLACE_PARTITION] = "replace_partition",
	[TABLE_MERGE] = "merge",
	[TABLE_MODE_MAX] = NULL,
};
static_assert(sizeof table_mode_names / sizeof *table_mode_names == TABLE_MODE_MAX + 1,
	"a name for each mode");

/* What a column of each type is declared as, and the affinities of an existing column that keep
 * its values as they are. Text in a numeric column would lose leading zeros; numbers in a text
 * column would sort as text. */
static const struct {
	const char *name, *declared;
	unsigned fits; /* bit set of enum sql_affinity */
} column_types[] = {
	[COLUMN_ANY] = { "any", "", ~0u },
	[COLUMN_TEXT] = { "text", "TEXT", 1 << SQL_TEXT | 1 << SQL_NONE },
	[COLUMN_INTEGER] = { "integer", "INTEGER",
		1 << SQL_INTEGER | 1 << SQL_NUMERIC | 1 << SQL_REAL | 1 << SQL_NONE },
	[COLUMN_REAL] = { "real", "REAL",
		1 << SQL_REAL | 1 << SQL_NUMERIC | 1 << SQL_INTEGER | 1 << SQL_NONE },
};
static_assert(sizeof column_types / sizeof *column_types == COLUMN_TYPE_MAX,
	"a row for each column type");

struct table_writer {
	struct arena arena;
	sqlite3 *db;
	sqlite3_stmt *insert;
	struct table_key key; /* strings in the arena, as all below */
	const char *table;
	enum table_mode mode;
	const char **names; /* of the data's columns */
	size_t ncolumns;
	size_t *key_at; /* merge: where the key columns stand in the data */
	size_t nkeys;
	const char *partition_value; /* NULL: mode is not replace_partition */
	size_t partition_len;
	const char *partition_column;
	size_t partition_at;     /* its place in the data; ncolumns: it is not among them */
	struct ledger_work work; /* of key, table and digest */
	int64_t rows;
	const char *why; /* already: in words */
	bool already, failed;
	bool made; /* the table is new: its partition index is built at the end, by sorting */
	struct err first; /* the error that made it fail */
};

/* ---- copying the target -------------------------------------------------------------- */

static const char *keep(struct table_writer *w, const char *s)
{
	return arena_strdup(&w->arena, s ? s : "");
}

static size_t column_at(const struct table_writer *w, const char *name)
{
	for (size_t i = 0; i < w->ncolumns; i++)
		if (sqlite3_stricmp(w->names[i], name) == 0)
			return i;
	return w->ncolumns;
}

static int copy_columns(struct table_writer *w, const struct table_target *t, struct err *err)
{
	w->names = arena_array(&w->arena, t->ncolumns + 1, sizeof *w->names);
	if (!w->names)
		return err_nomem(err);
	for (size_t i = 0; i < t->ncolumns; i++) {
		const char *name = t->columns[i].name;
		if (!*name)
			return err_set(err, ERR_DATA, "column %zu has no name", i + 1);
		if (column_at(w, name) < w->ncolumns)
			return err_set(err, ERR_DATA,
				"two columns are named %s (upper and lower case are the same in a "
				"table)",
				name);
		w->names[w->ncolumns++] = keep(w, name);
		if (w->arena.failed)
			return err_nomem(err);
	}
	if (w->ncolumns == 0)
		return err_set(err, ERR_DATA, "%s: the rows have no columns", t->table);
	return 0;
}

static int copy_keys(struct table_writer *w, const struct table_target *t, struct err *err)
{
	size_t n = 0;

	while (t->keys && t->keys[n])
		n++;
	if (w->mode != TABLE_MERGE)
		return 0;
	if (n == 0)
		return err_set(err, ERR_INVALID, "%s: mode merge needs key columns", t->table);
	w->key_at = arena_array(&w->arena, n, sizeof *w->key_at);
	if (!w->key_at)
		return err_nomem(err);
	for (w->nkeys = 0; w->nkeys < n; w->nkeys++) {
		size_t at = column_at(w, t->keys[w->nkeys]);
		if (at == w->ncolumns)
			return err_set(err, ERR_DATA, "%s: the key column %s is not in the data",
				t->table, t->keys[w->nkeys]);
		w->key_at[w->nkeys] = at;
	}
	return 0;
}

static int copy_target(struct table_writer *w, const struct table_target *t, struct err *err)
{
	const char *value = t->partition_value ? t->partition_value : t->key.interval_start;

	w->mode = t->mode;
	w->table = keep(w, t->table);
	w->key = t->key;
	w->key.dag = keep(w, t->key.dag);
	w->key.task = keep(w, t->key.task);
	w->key.interval_start = keep(w, t->key.interval_start);
	w->key.interval_end = keep(w, t->key.interval_end);
	w->partition_column = keep(w, t->partition_column ? t->partition_column : PARTITION_COLUMN);
	w->work = (struct ledger_work){
		.key = &w->key, .target = w->table, .digest = t->digest ? keep(w, t->digest) : NULL
	};
	if (w->mode == TABLE_REPLACE_PARTITION) {
		w->partition_value = keep(w, value);
		w->partition_len = value ? strlen(value) : 0;
	}
	if (w->arena.failed)
		return err_nomem(err);
	if (copy_columns(w, t, err) < 0 || copy_keys(w, t, err) < 0)
		return -1;
	w->partition_at = w->partition_value ? column_at(w, w->partition_column) : w->ncolumns;
	return 0;
}

/* Does the writer add the partition column to each row? */
static bool adds_partition(const struct table_writer *w)
{
	return w->partition_value && w->partition_at == w->ncolumns;
}

/* ---- the table's shape --------------------------------------------------------------- */

static int create_table(struct table_writer *w, const struct table_target *t, struct err *err)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_TEXT);
	buf_addstr(&sql, "CREATE TABLE ");
	sql_add_ident(&sql, w->table);
	buf_addstr(&sql, " (");
	for (size_t i = 0; i < w->ncolumns; i++) {
		buf_addstr(&sql, i ? ", " : "");
		sql_add_ident(&sql, w->names[i]);
		buf_addf(&sql, " %s", column_types[t->columns[i].type].declared);
	}
	if (adds_partition(w)) {
		buf_addstr(&sql, ", ");
		sql_add_ident(&sql, w->partition_column);
		buf_addstr(&sql, " TEXT");
	}
	buf_addstr(&sql, ")");
	int rc = buf_ok(&sql, "a CREATE TABLE", err);
	if (rc == 0)
		rc = sql_exec(w->db, err, "%s", sql.data);
	buf_release(&sql);
	return rc;
}

static int index_partition(struct table_writer *w, struct err *err)
{
	if (!w->partition_value)
		return 0;
	return sql_exec(w->db, err,
		"CREATE INDEX IF NOT EXISTS \"weir_%w_by_%w\" ON \"%w\" (\"%w\")", w->table,
		w->partition_column, w->table, w->partition_column);
}

static int fit_column(struct table_writer *w, const struct sql_table *have,
	const struct table_column *want, struct err *err)
{
	const struct sql_column *c = sql_table_find(have, want->name);

	if (!c)
		return sql_exec(w->db, err, "ALTER TABLE \"%w\" ADD COLUMN \"%w\" %s", w->table,
			want->name, column_types[want->type].declared);
	if (c->generated)
		return err_set(err, ERR_DATA,
			"table %s computes its column %s itself; the data has a column of that "
			"name",
			w->table, c->name);
	if (!(column_types[want->type].fits & 1u << c->affinity))
		return err_set(err, ERR_DATA,
			"table %s has column %s as %s, and the data has it as %s: values would be "
			"changed; change the type in the contract, or migrate or drop the table",
			w->table, c->name, *c->type ? c->type : "(no type)",
			column_types[want->type].name);
	return 0;
}

static int add_partition(struct table_writer *w, const struct sql_table *have, struct err *err)
{
	int64_t any = 0;

	if (!adds_partition(w) || sql_table_find(have, w->partition_column))
		return 0;
	if (sql_int(w->db, &any, err, "SELECT 1 FROM \"%w\" LIMIT 1", w->table) < 0)
		return -1;
	if (any)
		return err_set(err, ERR_DATA,
			"table %s holds rows and has no column %s, so nothing tells which of them "
			"belong to this interval; add the column and fill it, or drop the table",
			w->table, w->partition_column);
	if (sql_exec(w->db, err, "ALTER TABLE \"%w\" ADD COLUMN \"%w\" TEXT", w->table,
		    w->partition_column) < 0)
		return -1;
	return index_partition(w, err);
}

/* A column the table insists on and the data does not have would refuse each row; say it once,
 * and before anything is deleted. */
static int needs_more(struct table_writer *w, const struct sql_table *have, struct err *err)
{
	for (size_t i = 0; i < have->n; i++) {
		const struct sql_column *c = &have->columns[i];
		bool given =
			column_at(w, c->name) < w->ncolumns ||
			(adds_partition(w) && sqlite3_stricmp(c->name, w->partition_column) == 0);
		if (c->not_null && !c->has_default && !c->generated && !c->pk && !given)
			return err_set(err, ERR_DATA,
				"table %s needs a value in column %s (NOT NULL, no default), and "
				"the data has no such column",
				w->table, c->name);
	}
	return 0;
}

static int fit_table(struct table_writer *w, const struct table_target *t,
	const struct sql_table *have, struct err *err)
{
	if (have->is_view)
		return err_set(err, ERR_DATA, "%s is a view; rows go into tables", w->table);
	if (needs_more(w, have, err) < 0)
		return -1;
	for (size_t i = 0; i < t->ncolumns; i++)
		if (fit_column(w, have, &t->columns[i], err) < 0)
			return -1;
	return add_partition(w, have, err);
}

static int shape_table(struct table_writer *w, const struct table_target *t, struct err *err)
{
	struct sql_table have;

	int rc = sql_table_read(w->db, w->table, &have, err);
	if (rc == 0 && have.n)
		rc = fit_table(w, t, &have, err);
	else if (rc == 0) {
		rc = create_table(w, t, err);
		w->made = true;
	}
	sql_table_release(&have);
	return rc;
}

/* ---- statements ---------------------------------------------------------------------- */

static void add_conflict(const struct table_writer *w, struct buf *sql)
{
	size_t nset = 0;

	buf_addstr(sql, " ON CONFLICT (");
	for (size_t i = 0; i < w->nkeys; i++) {
		buf_addstr(sql, i ? ", " : "");
		sql_add_ident(sql, w->names[w->key_at[i]]);
	}
	buf_addstr(sql, ") DO ");
	for (size_t i = 0; i < w->ncolumns; i++) {
		bool is_key = false;
		for (size_t k = 0; k < w->nkeys; k++)
			is_key |= w->key_at[k] == i;
		if (is_key)
			continue;
		buf_addstr(sql, nset++ ? ", " : "UPDATE SET ");
		sql_add_ident(sql, w->names[i]);
		buf_addstr(sql, " = excluded.");
		sql_add_ident(sql, w->names[i]);
	}
	if (nset == 0)
		buf_addstr(sql, "NOTHING");
}

static void add_insert(const struct table_writer *w, struct buf *sql)
{
	size_t nvalues = w->ncolumns + adds_partition(w);

	buf_addstr(sql, "INSERT INTO ");
	sql_add_ident(sql, w->table);
	buf_addstr(sql, " (");
	for (size_t i = 0; i < nvalues; i++) {
		buf_addstr(sql, i ? ", " : "");
		sql_add_ident(sql, i < w->ncolumns ? w->names[i] : w->partition_column);
	}
	buf_addstr(sql, ") VALUES (");
	for (size_t i = 0; i < nvalues; i++)
		buf_addstr(sql, i ? ", ?" : "?");
	buf_addstr(sql, ")");
	if (w->mode == TABLE_MERGE)
		add_conflict(w, sql);
}

static int make_key_index(struct table_writer *w, struct err *err)
{
	struct buf sql;

	buf_init(&sql, BUF_MAX_TEXT);
	buf_addstr(&sql, "CREATE UNIQUE INDEX \"weir_");
	sql_add_quoted(&sql, w->table);
	buf_addstr(&sql, "_key");
	for (size_t i = 0; i < w->nkeys; i++) {
		buf_addc(&sql, '_');
		sql_add_quoted(&sql, w->names[w->key_at[i]]);
	}
	buf_addstr(&sql, "\" ON ");
	sql_add_ident(&sql, w->table);
	for (size_t i = 0; i < w->nkeys; i++) {
		buf_addstr(&sql, i ? ", " : " (");
		sql_add_ident(&sql, w->names[w->key_at[i]]);
	}
	buf_addstr(&sql, ")");
	int rc = buf_ok(&sql, "a CREATE INDEX", err);
	if (rc == 0 && sqlite3_exec(w->db, sql.data, NULL, NULL, NULL) != SQLITE_OK) {
		rc = conn_sqlite_error(w->db, err, "making the key's unique index");
		if (err && err->code == ERR_DATA)
			err_set(err, ERR_DATA,
				"table %s holds rows with equal keys already; mode merge needs the "
				"key to be unique",
				w->table);
	}
	buf_release(&sql);
	return rc;
}

/* The unique index is made only where SQLite finds no constraint that fits the key: a primary key
 * or the user's own index will do. */
static int prepare_insert(struct table_writer *w, struct err *err)
{
	struct buf sql;
	int rc;

	buf_init(&sql, BUF_MAX_TEXT);
	add_insert(w, &sql);
	rc = buf_ok(&sql, "an INSERT", err);
	if (rc == 0)
		rc = sql_prepare(w->db, &w->insert, err, "%s", sql.data);
	if (rc < 0 && w->mode == TABLE_MERGE && strstr(sqlite3_errmsg(w->db), "ON CONFLICT")) {
		rc = make_key_index(w, err);
		if (rc == 0)
			rc = sql_prepare(w->db, &w->insert, err, "%s", sql.data);
	}
	buf_release(&sql);
	if (rc == 0 && adds_partition(w))
		sqlite3_bind_text(w->insert, (int)w->ncolumns + 1, w->partition_value,
			(int)w->partition_len, SQLITE_STATIC);
	return rc;
}

/* Remove what this interval wrote before. A column without affinity may hold the value as a
 * number; then only its text compares. */
static int clear_old(struct table_writer *w, const struct table_target *t, struct err *err)
{
	sqlite3_stmt *stmt;
	bool untyped =
		w->partition_at < w->ncolumns && t->columns[w->partition_at].type == COLUMN_ANY;
	const char *fmt = untyped ? "DELETE FROM \"%w\" WHERE CAST(\"%w\" AS TEXT) = ?1"
				  : "DELETE FROM \"%w\" WHERE \"%w\" = ?1";

	if (w->mode == TABLE_REPLACE)
		return sql_exec(w->db, err, "DELETE FROM \"%w\"", w->table);
	if (!w->partition_value)
		return 0;
	if (sql_prepare(w->db, &stmt, err, fmt, w->table, w->partition_column) < 0)
		return -1;
	sqlite3_bind_text(stmt, 1, w->partition_value, (int)w->partition_len, SQLITE_STATIC);
	int rc = sql_step_done(w->db, stmt, err, "removing the partition's old rows");
	sqlite3_finalize(stmt);
	return rc;
}

/* ---- the writer ---------------------------------------------------------------------- */

/* A table that somebody dropped since is to be written again. */
static int is_there(struct table_writer *w, bool *ret, struct err *err)
{
	struct sql_table have;
	int rc = sql_table_read(w->db, w->table, &have, err);

	*ret = rc == 0 && have.n > 0;
	sql_table_release(&have);
	return rc;
}

/* Whether there is nothing to be written, and why. */
static int judge(struct table_writer *w, const struct ledger_entry *e, struct err *err)
{
	bool appended = e->found && w->mode == TABLE_APPEND, there;

	if (!e->same && !appended)
		return 0;
	if (is_there(w, &there, err) < 0)
		return -1;
	if (!there)
		return 0;
	w->already = true;
	w->rows = e->rows;
	if (e->same)
		w->why = arena_printf(&w->arena,
			"already written by an earlier attempt of the same work (token %" PRId64
			"), whose end was not recorded",
			e->token);
	else
		w->why = arena_printf(
			&w->arena, "already added for this interval (token %" PRId64 ")", e->token);
	return w->why ? 0 : err_nomem(err);
}

static int start(struct table_writer *w, const struct table_target *t, struct err *err)
{
	struct ledger_entry entry;

	if (copy_target(w, t, err) < 0 || conn_open_sqlite(t->conn, &w->db, err) < 0 ||
		ledger_begin(w->db, &w->work, &entry, err) < 0)
		return -1;
	json_decref(entry.outputs);
	if (judge(w, &entry, err) < 0)
		return -1;
	if (w->already)
		return 0;
	if (shape_table(w, t, err) < 0 || clear_old(w, t, err) < 0)
		return -1;
	return prepare_insert(w, err);
}

int table_open(struct table_writer **ret, const struct table_target *t, struct err *err)
{
	struct table_writer *w = calloc(1, sizeof *w);

	*ret = NULL;
	if (!w)
		return err_nomem(err);
	arena_init(&w->arena, WRITER_MAX_BYTES);
	if (start(w, t, err) < 0) {
		table_abort(w);
		return -1;
	}
	*ret = w;
	return 0;
}

bool table_already(const struct table_writer *w)
{
	return w->already;
}

const char *table_why(const struct table_writer *w)
{
	return w->why;
}

static int fail(struct table_writer *w, struct err *err, const struct err *why)
{
	w->failed = true;
	w->first = *why;
	if (err)
		*err = *why;
	return -1;
}

/* The text a cell has in the partition column, to be compared with the partition's value. */
static bool cell_is(const struct cell *c, const char *text, size_t len)
{
	char number[32];

	switch (c->type) {
	case CELL_TEXT:
		return c->len == len && memcmp(c->text, text, len) == 0;
	case CELL_INT:
		snprintf(number, sizeof number, "%" PRId64, c->i);
		return strcmp(number, text) == 0;
	case CELL_REAL:
		snprintf(number, sizeof number, "%.15g", c->f);
		return strcmp(number, text) == 0;
	default:
		return false;
	}
}

static int check_keys(struct table_writer *w, const struct cell *cells, struct err *err)
{
	struct err why;

	for (size_t i = 0; i < w->nkeys; i++) {
		if (cells[w->key_at[i]].type != CELL_NULL)
			continue;
		err_set(&why, ERR_DATA, "row %" PRId64 " has no value in the key column %s",
			w->rows + 1, w->names[w->key_at[i]]);
		return fail(w, err, &why);
	}
	return 0;
}

/* A row of another partition would not be replaced when this interval is written again. */
static int check_partition(struct table_writer *w, const struct cell *cells, struct err *err)
{
	const struct cell *c = &cells[w->partition_at];
	struct err why;

	if (cell_is(c, w->partition_value, w->partition_len))
		return 0;
	if (c->type == CELL_TEXT)
		err_set(&why, ERR_DATA,
			"row %" PRId64 " has %s %.*s, and the partition being replaced is %s",
			w->rows + 1, w->partition_column, c->len < 100 ? (int)c->len : 100, c->text,
			w->partition_value);
	else
		err_set(&why, ERR_DATA,
			"row %" PRId64 " has another value in %s than the partition being "
			"replaced, %s",
			w->rows + 1, w->partition_column, w->partition_value);
	return fail(w, err, &why);
}

static int bind_cell(sqlite3_stmt *stmt, int at, const struct cell *c)
{
	switch (c->type) {
	case CELL_TEXT:
		return sqlite3_bind_text64(
			stmt, at, c->text ? c->text : "", c->len, SQLITE_STATIC, SQLITE_UTF8);
	case CELL_INT:
		return sqlite3_bind_int64(stmt, at, c->i);
	case CELL_REAL:
		return sqlite3_bind_double(stmt, at, c->f);
	default:
		return sqlite3_bind_null(stmt, at);
	}
}

static int refused(struct table_writer *w, struct err *err)
{
	struct err why;
	char what[160];

	snprintf(what, sizeof what, "table %.80s, row %" PRId64, w->table, w->rows + 1);
	conn_sqlite_error(w->db, &why, what);
	return fail(w, err, &why);
}

int table_write(struct table_writer *w, const struct cell *cells, struct err *err)
{
	if (w->failed)
		return fail(w, err, &w->first);
	if (w->already)
		return 0;
	if (w->nkeys && check_keys(w, cells, err) < 0)
		return -1;
	if (w->partition_at < w->ncolumns && check_partition(w, cells, err) < 0)
		return -1;
	for (size_t i = 0; i < w->ncolumns; i++)
		if (bind_cell(w->insert, (int)i + 1, &cells[i]) != SQLITE_OK)
			return refused(w, err);
	if (sqlite3_step(w->insert) != SQLITE_DONE)
		return refused(w, err);
	sqlite3_reset(w->insert);
	w->rows++;
	return 0;
}

int table_commit(struct table_writer *w, int64_t *ret_rows, struct err *err)
{
	if (w->failed) {
		if (err)
			*err = w->first;
		table_abort(w);
		return -1;
	}
	sqlite3_finalize(w->insert);
	w->insert = NULL;
	int rc = w->made ? index_partition(w, err) : 0;
	const struct ledger_done done = { .mode = table_mode_names[w->mode], .rows = w->rows };
	if (rc == 0)
		rc = ledger_commit(w->db, &w->work, &done, err);
	if (rc == 0 && ret_rows)
		*ret_rows = w->rows;
	table_abort(w);
	return rc;
}

void table_abort(struct table_writer *w)
{
	if (!w)
		return;
	sqlite3_finalize(w->insert);
	if (w->db)
		ledger_rollback(w->db);
	sqlite3_close(w->db);
	arena_release(&w->arena);
	free(w);
}
