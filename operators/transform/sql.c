/* transform: sql */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/units.h"
#include "conf/schema.h"
#include "data/conn.h"
#include "data/ledger.h"
#include "data/sqlscript.h"
#include "operators/operators.h"
#include "operators/support.h"

extern const struct operator operator_transform_sql;

enum { ROWS_PRINTED = 20, LINE_SHOWN = 64, COLUMNS_PRINTED = 64 };

static const struct field params[] = {
	{ .key = "connection",
		.type = FIELD_CONNECTION,
		.flags = FIELD_REQUIRED,
		.help = "The database in which the script runs.",
		.example = "warehouse" },
	{ .key = "file",
		.type = FIELD_SQL_FILE,
		.help = "The script, a file relative to the DAG's folder. Templates in it become "
			"bound values.",
		.example = "sql/daily_sales.sql" },
	{ .key = "sql",
		.type = FIELD_SQL,
		.help = "The script itself, in place of file.",
		.example = "\"DELETE FROM daily_sales WHERE day = {{ ds }}\"" },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "statements", "Number of statements run." },
	{ "rows_changed", "Rows inserted, updated and deleted by all of them, triggers included." },
	{ "COLUMN",
		"When the last statement is a SELECT that returns one row: each of its columns, by "
		"name." },
	{ NULL, NULL },
};

static void check(const struct operator_check *c)
{
	support_check_either(c, "file", "sql");
}

struct script_run {
	struct operator_job *job;
	sqlite3 *db;
	json_t *columns; /* of the last statement, when it returned one row; else NULL */
};

/* ---- the log ------------------------------------------------------------------------- */

static void print_statement(const struct sqlscript_statement *s, int64_t changed, int64_t took_us)
{
	size_t len = 0;
	char rows[32], took[32];

	while (len < s->len && len < LINE_SHOWN && s->text[len] != '\n')
		len++;
	units_format_count(changed, rows, sizeof rows);
	units_format_elapsed(took_us, took, sizeof took);
	printf("%3zu  line %-4d %-*.*s %9s rows  %7s\n", s->number, s->line, LINE_SHOWN, (int)len,
		s->text, rows, took);
}

static json_t *row_json(sqlite3_stmt *stmt)
{
	json_t *row = json_object();

	for (int i = 0; i < sqlite3_column_count(stmt); i++)
		json_object_set_new(
			row, sqlite3_column_name(stmt, i), support_column_json(stmt, i));
	return row;
}

static void add_printed_row(struct text_table *t, sqlite3_stmt *stmt)
{
	char texts[COLUMNS_PRINTED][128];
	const char *cells[COLUMNS_PRINTED];

	for (size_t i = 0; i < t->ncolumns; i++) {
		json_t *v = support_column_json(stmt, (int)i);
		cells[i] = support_json_text(v, texts[i], sizeof texts[i]);
		json_decref(v);
	}
	text_table_add(t, cells);
}

/* Step a statement to its end. The first rows go into the table; `ret_first` is the first one. */
static int step_all(sqlite3_stmt *stmt, struct text_table *t, int64_t *ret_rows, json_t **ret_first)
{
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (++*ret_rows == 1)
			*ret_first = row_json(stmt);
		if (*ret_rows <= ROWS_PRINTED)
			add_printed_row(t, stmt);
	}
	return rc == SQLITE_DONE ? 0 : -1;
}

static void print_rows(const struct text_table *t, int64_t rows)
{
	if (rows == 0) {
		printf("     (no rows)\n");
		return;
	}
	text_table_print(t, 5);
	if (rows > ROWS_PRINTED)
		printf("     ... %" PRId64 " rows in all\n", rows);
}

/* ---- statements ---------------------------------------------------------------------- */

static int run_statement(void *arg, const struct sqlscript_statement *s, struct err *err)
{
	struct script_run *run = arg;
	int ncolumns = sqlite3_column_count(s->stmt);
	int shown = ncolumns < COLUMNS_PRINTED ? ncolumns : COLUMNS_PRINTED;
	int64_t before = sqlite3_total_changes64(run->db), start = clock_mono_us(), rows = 0;
	const char *heads[COLUMNS_PRINTED];
	struct text_table table;
	json_t *first = NULL;

	text_table_init(&table, heads, (size_t)shown);
	json_decref(run->columns);
	run->columns = NULL;
	int rc = step_all(s->stmt, &table, &rows, &first);
	/* Only now: a step may have prepared the statement anew. */
	for (int i = 0; i < shown; i++)
		heads[i] = sqlite3_column_name(s->stmt, i);
	if (rc < 0) {
		char what[48];
		snprintf(what, sizeof what, "statement %zu", s->number);
		conn_sqlite_error(run->db, err, what);
	} else {
		print_statement(
			s, sqlite3_total_changes64(run->db) - before, clock_mono_us() - start);
		if (ncolumns)
			print_rows(&table, rows);
	}
	if (rc == 0 && rows == 1) {
		run->columns = first;
		first = NULL;
	}
	json_decref(first);
	text_table_release(&table);
	return rc;
}

static void put_outputs(struct script_run *run, int statements, int64_t changed)
{
	json_t *out = run->job->outputs;

	if (run->columns)
		json_object_update(out, run->columns);
	json_object_set_new(out, "statements", json_integer(statements));
	json_object_set_new(out, "rows_changed", json_integer(changed));
}

/* An earlier attempt of the same work has committed: its outputs are those of the task. */
static int take_over(struct script_run *run, struct ledger_entry *e, struct err *err)
{
	char rows[32];

	ledger_rollback(run->db);
	if (e->outputs && json_object_update(run->job->outputs, e->outputs) < 0)
		return err_nomem(err);
	printf("already committed by an earlier attempt of the same work (token %" PRId64
	       "), whose end was not recorded: %s rows changed; nothing is done\n",
		e->token, units_format_count(e->rows, rows, sizeof rows));
	return 0;
}

static int run_script(struct script_run *run, const struct sqlscript *script, struct err *err)
{
	char digest[DIGEST_HEX];
	const struct ledger_work work = {
		.key = &run->job->key, .target = "transform: sql", .digest = digest
	};
	struct ledger_entry entry;

	if (support_digest(run->job->with, digest, err) < 0 ||
		ledger_begin(run->db, &work, &entry, err) < 0)
		return -1;
	int same = entry.same ? take_over(run, &entry, err) : 0;
	json_decref(entry.outputs);
	if (entry.same)
		return same;
	int64_t before = sqlite3_total_changes64(run->db);
	int n = sqlscript_each(run->db, script, run_statement, run, err);
	if (n < 0) {
		ledger_rollback(run->db);
		printf("rolled back: nothing of the script is kept\n");
		return -1;
	}
	int64_t changed = sqlite3_total_changes64(run->db) - before;
	put_outputs(run, n, changed);
	const struct ledger_done done = {
		.mode = "script", .rows = changed, .outputs = run->job->outputs
	};
	if (ledger_commit(run->db, &work, &done, err) < 0)
		return -1;
	char rows[32];
	printf("committed: %d statements, %s rows changed\n", n,
		units_format_count(changed, rows, sizeof rows));
	return 0;
}

static int run(struct operator_job *job, struct err *err)
{
	struct script_run r = { .job = job };
	const json_t *value = json_object_get(job->with, "file");
	const char *name = support_string(job->with, "connection");
	struct sqlscript script;

	if (!value)
		value = json_object_get(job->with, "sql");
	if (!name || !value)
		return err_set(err, ERR_INVALID, "connection, and file or sql, are needed");
	const json_t *conn = support_conn(job, name, err);
	if (!conn || sqlscript_of(value, &script, err) < 0 ||
		conn_open_sqlite(conn, &r.db, err) < 0)
		return -1;
	printf("%s in %s, one transaction\n", script.file ? script.file : "SQL", name);
	int rc = run_script(&r, &script, err);
	json_decref(r.columns);
	sqlite3_close(r.db);
	return rc;
}

const struct operator operator_transform_sql = {
	.kind = TASK_TRANSFORM,
	.name = "sql",
	.summary = "Run a SQL script in a database, in one transaction",
	.doc = "Runs all statements of the script in order, in one transaction: either all of "
	       "them take effect or none. A template in a value's place, such as {{ ds }}, "
	       "becomes a bound parameter, so that its text can never become SQL.\n"
	       "\n"
	       "The script must not begin, commit or roll back a transaction, attach a "
	       "database, or change settings by PRAGMA: these are errors that say so. "
	       "Savepoints, PRAGMAs that only read, PRAGMA defer_foreign_keys and user_version "
	       "are allowed. Text stands in 'single quotes'; \"double quotes\" always name "
	       "columns and tables.\n"
	       "\n"
	       "A script that committed is not run again by a retry: the table weir_ledger, which "
	       "Weir keeps in the database, is written in the same transaction, and a retry of "
	       "the same work that finds its row there takes over the outputs and does nothing. "
	       "On purpose (weir run --force) it may run more than once for the same interval, "
	       "so write it to replace what it wrote: DELETE the interval's rows, then INSERT "
	       "them; or INSERT ... ON CONFLICT DO UPDATE. An attempt that was overtaken by a "
	       "newer one of the same task and interval is refused before its first "
	       "statement.\n"
	       "\n"
	       "The log holds each statement's first line, the rows it changed and its time; "
	       "the rows of a SELECT are printed, at most 20. When the last statement is a "
	       "SELECT that returns exactly one row, its columns are outputs of the task.",
	.params = params,
	.outputs = outputs,
	.example = "daily_sales:\n"
		   "  transform: sql\n"
		   "  with:\n"
		   "    connection: warehouse\n"
		   "    sql: |\n"
		   "      DELETE FROM daily_sales WHERE day = {{ ds }};\n"
		   "      INSERT INTO daily_sales\n"
		   "      SELECT day, product, sum(amount) FROM raw_orders\n"
		   "      WHERE day = {{ ds }} GROUP BY day, product;\n"
		   "      SELECT count(*) AS products FROM daily_sales WHERE day = {{ ds }};\n",
	.check = check,
	.run = run,
};
