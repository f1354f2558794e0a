/* publish: table */
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/schema.h"
#include "data/conn.h"
#include "data/row.h"
#include "data/sql.h"
#include "data/table.h"
#include "operators/operators.h"
#include "operators/support.h"

extern const struct operator operator_publish_table;

enum { KEYS_MAX = 64, SCRATCH_BYTES = 4 << 20 };

static const struct field column_item = { .type = FIELD_STRING, .help = "A column." };

static const struct field params[] = {
	{ .key = "from",
		.type = FIELD_TABLE,
		.flags = FIELD_TEMPLATE,
		.help = "The table to read, all of its rows.",
		.example = "warehouse.daily_sales" },
	{ .key = "connection",
		.type = FIELD_CONNECTION,
		.help = "In place of from, with query: the database to read from." },
	{ .key = "query",
		.type = FIELD_SQL,
		.help = "In place of from, with connection: the rows to publish.",
		.example = "\"SELECT * FROM daily_sales WHERE day = {{ ds }}\"" },
	{ .key = "to",
		.type = FIELD_TABLE,
		.flags = FIELD_REQUIRED | FIELD_TEMPLATE,
		.help = "The table to write. It is made when missing, and so are missing columns.",
		.example = "mart.daily_sales" },
	{ .key = "mode",
		.type = FIELD_ENUM,
		.values = table_mode_names,
		.def = "replace",
		.help = "append: add the rows, once per data interval. replace: the table holds "
			"these "
			"rows and no others. replace_partition: they replace those of the same "
			"partition. merge: rows are inserted, or updated where their key exists." },
	{ .key = "key",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.has_max = true,
		.max = KEYS_MAX,
		.item = &column_item,
		.help = "Mode merge: the columns that identify a row. NULL in one of them is an "
			"error.",
		.example = "[day, product]" },
	{ .key = "partition_column",
		.type = FIELD_STRING,
		.def = "weir_partition",
		.help = "Mode replace_partition: the column that tells a row's partition. When the "
			"rows do "
			"not have it, it is added to them." },
	{ .key = "partition_value",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "Mode replace_partition: the partition; by default the data interval's "
			"start.",
		.example = "\"{{ ds }}\"" },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "rows_out",
		"Rows written (by this attempt, or by the earlier one when already is true)." },
	{ "already", "Whether it found itself done before, and wrote nothing: see below." },
	{ "table", "The table the rows went to, as written in to." },
	{ NULL, NULL },
};

static void check(const struct operator_check *c)
{
	const char *mode = node_text(node_get(c->with, "mode"));
	bool merge = mode && strcmp(mode, "merge") == 0;
	const struct node *key = node_key(c->with, "key");

	support_check_source(c, "from");
	if (merge && !key)
		diag_node(c->diags, DIAG_ERROR, node_get(c->with, "mode"),
			"mode merge needs \"key\", the columns that identify a row");
	if (!merge && key)
		diag_node(c->diags, DIAG_ERROR, key, "\"key\" is for mode merge");
}

/* ---- the target ---------------------------------------------------------------------- */

static enum table_mode mode_of(const json_t *with)
{
	return (enum table_mode)support_index(with, "mode", table_mode_names, TABLE_REPLACE);
}

/* Values of one column need not have one type in SQLite; what the source declares is kept. */
static enum column_type type_of(const char *declared)
{
	switch (sql_affinity_of(declared)) {
	case SQL_TEXT:
		return COLUMN_TEXT;
	case SQL_INTEGER:
		return COLUMN_INTEGER;
	case SQL_REAL:
		return COLUMN_REAL;
	default:
		return COLUMN_ANY;
	}
}

static int read_columns(
	sqlite3_stmt *stmt, struct table_target *t, struct arena *arena, struct err *err)
{
	int n = sqlite3_column_count(stmt);
	struct table_column *columns = arena_array(arena, (size_t)n + 1, sizeof *columns);

	for (int i = 0; columns && i < n; i++)
		columns[i] = (struct table_column){
			.name = arena_strdup(arena, sqlite3_column_name(stmt, i)),
			.type = type_of(sqlite3_column_decltype(stmt, i)),
		};
	t->columns = columns;
	t->ncolumns = (size_t)n;
	return arena->failed ? err_nomem(err) : 0;
}

static void read_keys(const json_t *with, const char *keys[KEYS_MAX + 1])
{
	const json_t *list = json_object_get(with, "key"), *v;
	size_t i, n = 0;

	json_array_foreach(list, i, v) if (n < KEYS_MAX) keys[n++] = json_string_value(v);
	keys[n] = NULL;
}

/* ---- copying ------------------------------------------------------------------------- */

static int read_cells(sqlite3_stmt *stmt, struct cell *cells, struct err *err)
{
	int n = sqlite3_column_count(stmt);

	for (int i = 0; i < n; i++) {
		struct cell *c = &cells[i];
		switch (sqlite3_column_type(stmt, i)) {
		case SQLITE_INTEGER:
			*c = (struct cell){ .type = CELL_INT, .i = sqlite3_column_int64(stmt, i) };
			break;
		case SQLITE_FLOAT:
			*c = (struct cell){ .type = CELL_REAL,
				.f = sqlite3_column_double(stmt, i) };
			break;
		case SQLITE_TEXT:
			*c = (struct cell){ .type = CELL_TEXT,
				.text = (const char *)sqlite3_column_text(stmt, i),
				.len = (uint32_t)sqlite3_column_bytes(stmt, i) };
			break;
		case SQLITE_NULL:
			*c = (struct cell){ .type = CELL_NULL };
			break;
		default:
			return err_set(err, ERR_DATA,
				"column %s holds a BLOB; publish: table copies text and numbers",
				sqlite3_column_name(stmt, i));
		}
	}
	return 0;
}

static int copy_rows(
	sqlite3_stmt *stmt, struct table_writer *w, struct cell *cells, struct err *err)
{
	int step;

	while ((step = sqlite3_step(stmt)) == SQLITE_ROW)
		if (read_cells(stmt, cells, err) < 0 || table_write(w, cells, err) < 0)
			return -1;
	if (step != SQLITE_DONE)
		return conn_sqlite_error(sqlite3_db_handle(stmt), err, "reading the rows");
	return 0;
}

static void report(struct operator_job *job, int64_t rows, const char *why, int64_t took_us)
{
	char count[32], took[32];

	units_format_count(rows, count, sizeof count);
	units_format_elapsed(took_us, took, sizeof took);
	if (why)
		printf("%s, %s rows: nothing is written\n", why, count);
	else
		printf("%s rows into %s (%s), in %s\n", count, support_string(job->with, "to"),
			table_mode_names[mode_of(job->with)], took);
	json_object_set_new(job->outputs, "rows_out", json_integer(rows));
	json_object_set_new(job->outputs, "already", json_boolean(why != NULL));
	json_object_set(job->outputs, "table", json_object_get(job->with, "to"));
}

static int publish(struct operator_job *job, const json_t *conn, sqlite3_stmt *stmt,
	const char *table, struct err *err)
{
	const char *keys[KEYS_MAX + 1];
	char digest[DIGEST_HEX], why[160] = "";
	struct table_target t = { .conn = conn,
		.table = table,
		.mode = mode_of(job->with),
		.keys = keys,
		.partition_column = support_string(job->with, "partition_column"),
		.partition_value = support_string(job->with, "partition_value"),
		.key = job->key,
		.digest = digest };
	int64_t rows = 0, start = clock_mono_us();
	struct table_writer *w = NULL;
	struct arena arena;

	arena_init(&arena, SCRATCH_BYTES);
	read_keys(job->with, keys);
	int rc = support_digest(job->with, digest, err);
	if (rc == 0)
		rc = read_columns(stmt, &t, &arena, err);
	struct cell *cells = arena_array(&arena, t.ncolumns + 1, sizeof *cells);
	if (rc == 0)
		rc = cells ? table_open(&w, &t, err) : err_nomem(err);
	bool already = rc == 0 && table_already(w);
	if (already)
		snprintf(why, sizeof why, "%s", table_why(w));
	if (rc == 0 && !already)
		rc = copy_rows(stmt, w, cells, err);
	if (rc == 0)
		rc = table_commit(w, &rows, err);
	else
		table_abort(w);
	arena_release(&arena);
	if (rc == 0)
		report(job, rows, already ? why : NULL, clock_mono_us() - start);
	return rc;
}

static bool same_database(const json_t *a, const json_t *b)
{
	const char *pa = support_string(a, "path"), *pb = support_string(b, "path");
	struct stat sa, sb;

	return pa && pb && stat(pa, &sa) == 0 && stat(pb, &sb) == 0 && sa.st_dev == sb.st_dev &&
	       sa.st_ino == sb.st_ino;
}

/* Within one database the rows are set aside first: a reader would keep the writer from its lock,
 * and would see the target emptied when it reads from it, too. */
static int set_aside(struct operator_job *job, sqlite3 *db, sqlite3_stmt **stmt, struct err *err)
{
	const char *from = support_string(job->with, "from");
	int rc;

	sqlite3_finalize(*stmt);
	*stmt = NULL;
	if (from)
		rc = sql_exec(db, err, "CREATE TABLE " SUPPORT_COPY " AS SELECT * FROM \"%w\"",
			sql_table_of(from));
	else
		rc = support_copy_query(db, json_object_get(job->with, "query"), err);
	return rc < 0 ? -1 : sql_prepare(db, stmt, err, "SELECT * FROM " SUPPORT_COPY);
}

static int run(struct operator_job *job, struct err *err)
{
	const json_t *from = NULL, *to = NULL;
	sqlite3_stmt *stmt = NULL;
	const char *table;
	sqlite3 *db = NULL;
	int rc = 0;

	if (support_table(job, support_string(job->with, "to"), &to, &table, err) < 0 ||
		support_open_source(job, "from", &db, &stmt, &from, err) < 0)
		return -1;
	if (same_database(from, to))
		rc = set_aside(job, db, &stmt, err);
	if (rc == 0)
		rc = publish(job, to, stmt, table, err);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return rc;
}

const struct operator operator_publish_table = {
	.kind = TASK_PUBLISH,
	.name = "table",
	.summary = "Write the rows of a table or query to another table",
	.doc = "Reads from one connection and writes to another, or to the same, in one "
	       "transaction: readers of the target see its old rows or all the new ones.\n"
	       "\n"
	       "It is done exactly once. The table weir_ledger, which Weir keeps in the target "
	       "database, is written in the transaction of the rows: with the attempt's token, "
	       "its piece of work and a digest of the rendered parameters. When Weir crashes "
	       "before it has recorded the success, the retry finds the row and writes nothing. "
	       "The retries of a task are one piece of work; run again on purpose (weir run "
	       "--force, a failed task in a new weir run), or with other parameters, it "
	       "publishes again: replace and replace_partition replace what they wrote, merge "
	       "updates it, append adds an interval once and for all.\n"
	       "\n"
	       "An attempt that a newer one for the same interval has overtaken is refused. "
	       "One in mode replace that finds the table replaced since, for another interval "
	       "by a newer attempt, writes nothing, as if it had come first.\n"
	       "\n"
	       "Columns that the target does not have are added, with the type the source "
	       "declares; columns the rows do not have stay NULL. A target whose columns have "
	       "types that would change the values is an error. NULLs are copied; in a key "
	       "column of mode merge they are an error. BLOBs are not copied and are an error, "
	       "too.",
	.params = params,
	.outputs = outputs,
	.example = "mart:\n"
		   "  publish: table\n"
		   "  with:\n"
		   "    from: warehouse.daily_sales\n"
		   "    to: mart.daily_sales\n"
		   "    mode: merge\n"
		   "    key: [day, product]\n",
	.check = check,
	.run = run,
};
