/* publish: file */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/schema.h"
#include "data/aside.h"
#include "data/conn.h"
#include "operators/operators.h"
#include "operators/publish/format.h"
#include "operators/support.h"

extern const struct operator operator_publish_file;

#define ROW_MAX (256u << 20)

static const struct field params[] = {
	{ .key = "table",
		.type = FIELD_TABLE,
		.flags = FIELD_TEMPLATE,
		.help = "The table to publish, all of its rows.",
		.example = "warehouse.daily_sales" },
	{ .key = "connection",
		.type = FIELD_CONNECTION,
		.help = "In place of table, with query: the database." },
	{ .key = "query",
		.type = FIELD_SQL,
		.help = "In place of table, with connection: the rows to publish, in the order the "
			"query "
			"gives them. Write ORDER BY for a file that is the same each time.",
		.example = "\"SELECT * FROM daily_sales WHERE day = {{ ds }} ORDER BY product\"" },
	{ .key = "path",
		.type = FIELD_PATH,
		.flags = FIELD_REQUIRED | FIELD_TEMPLATE,
		.help = "The file, relative to the DAG's folder. Missing folders are made.",
		.example = "\"out/{{ ds }}/sales.csv\"" },
	{ .key = "format",
		.type = FIELD_ENUM,
		.values = format_names,
		.help = "csv (RFC 4180, lines end in LF), ndjson (an object a line) or json (an "
			"array of "
			"objects). By default what the path's extension says (before .gz or .zst), "
			"else csv." },
	{ .key = "header",
		.type = FIELD_BOOL,
		.def = "true",
		.help = "CSV: a first line with the names of the columns." },
	{ .key = "delimiter",
		.type = FIELD_STRING,
		.def = ",",
		.help = "CSV: the character between two values; tab for a tabulator.",
		.example = "\";\"" },
	{ .key = "null",
		.type = FIELD_STRING,
		.def = "",
		.help = "CSV: what stands for NULL. A text that reads the same is put in quotes." },
	{ .key = "compression",
		.type = FIELD_ENUM,
		.values = aside_compression_names,
		.help = "By default what the path's extension says: .gz is gzip, .zst is zstd, "
			"else "
			"none." },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "rows_out", "Rows written." },
	{ "already", "Whether it found the file published by an earlier attempt: see below." },
	{ "bytes", "Size of the file." },
	{ "path", "Its absolute path." },
	{ "sha256", "Its SHA-256, in hexadecimal." },
	{ NULL, NULL },
};

/* A delimiter's character, 0 when the text is none. */
static char delimiter_of(const char *text)
{
	if (strcmp(text, "tab") == 0 || strcmp(text, "\\t") == 0)
		return '\t';
	bool usable = strlen(text) == 1 && !strchr("\"\r\n", *text) && (unsigned char)*text < 0x80;
	return usable ? *text : '\0';
}

static void check(const struct operator_check *c)
{
	const struct node *delimiter = node_get(c->with, "delimiter");
	const char *text = node_text(delimiter);

	support_check_source(c, "table");
	if (text && !delimiter_of(text))
		diag_node(c->diags, DIAG_ERROR, delimiter,
			"a delimiter is one ASCII character, not a quote or a line break");
}

/* ---- options ------------------------------------------------------------------------- */

static bool has_extension(const char *path, size_t len, const char *ext)
{
	size_t n = strlen(ext);

	return len > n && strncmp(path + len - n, ext, n) == 0;
}

static enum aside_compression compression_of(const json_t *with, const char *path)
{
	int named = support_index(with, "compression", aside_compression_names, -1);

	return named >= 0 ? (enum aside_compression)named : aside_compression_of(path);
}

static enum format format_of(const json_t *with, const char *path)
{
	int named = support_index(with, "format", format_names, -1);
	size_t len = strlen(path);

	if (named >= 0)
		return (enum format)named;
	len -= has_extension(path, len, ".gz") ? 3 : has_extension(path, len, ".zst") ? 4 : 0;
	if (has_extension(path, len, ".ndjson") || has_extension(path, len, ".jsonl"))
		return FORMAT_NDJSON;
	return has_extension(path, len, ".json") ? FORMAT_JSON : FORMAT_CSV;
}

static int read_options(
	const json_t *with, const char *path, struct format_options *ret, struct err *err)
{
	const char *delimiter = support_string(with, "delimiter");
	const char *null = support_string(with, "null");

	*ret = (struct format_options){
		.format = format_of(with, path),
		.header = support_bool(with, "header", true),
		.delimiter = delimiter ? delimiter_of(delimiter) : ',',
		.null = null ? null : "",
	};
	if (!ret->delimiter)
		return err_set(err, ERR_INVALID, "\"%s\" is no delimiter", delimiter);
	for (const char *p = ret->null; *p; p++)
		if (*p == ret->delimiter || strchr("\"\r\n", *p))
			return err_set(err, ERR_INVALID,
				"null: the text must not hold quotes, line breaks or the "
				"delimiter");
	return 0;
}

/* ---- writing ------------------------------------------------------------------------- */

static int flush(struct aside *file, struct buf *out, struct err *err)
{
	if (buf_ok(out, "a row", err) < 0 || aside_write(file, out->data, out->len, err) < 0)
		return -1;
	buf_clear(out);
	return 0;
}

static int stream(sqlite3_stmt *stmt, const struct format_options *o, struct aside *file,
	int64_t *ret_rows, struct err *err)
{
	struct buf out;
	int rc, step;

	buf_init(&out, ROW_MAX);
	/* The first step comes before the names: it may prepare the statement anew. */
	step = sqlite3_step(stmt);
	rc = format_begin(o, stmt, &out, err);
	for (*ret_rows = 0; rc == 0 && step == SQLITE_ROW; step = sqlite3_step(stmt)) {
		format_row(o, stmt, ++*ret_rows, &out);
		rc = flush(file, &out, err);
	}
	if (rc == 0 && step != SQLITE_DONE)
		rc = conn_sqlite_error(sqlite3_db_handle(stmt), err, "reading the rows");
	if (rc == 0) {
		format_end(o, *ret_rows, &out);
		rc = flush(file, &out, err);
	}
	buf_release(&out);
	return rc;
}

static void report(
	struct operator_job *job, const char *path, const struct aside_result *r, int64_t took_us)
{
	char count[32], size[32], took[32];
	bool already = r->token != job->key.token;

	units_format_count(r->rows, count, sizeof count);
	units_format_size(r->bytes, size, sizeof size);
	if (already)
		printf("already published by an earlier attempt of the same work (token %" PRId64
		       "), whose end was not recorded: nothing is written\n%s rows, %s\n",
			r->token, count, size);
	else
		printf("%s rows, %s, in %s\n", count, size,
			units_format_elapsed(took_us, took, sizeof took));
	printf("%s\nsha256 %s\n", path, r->sha256);
	json_object_set_new(job->outputs, "rows_out", json_integer(r->rows));
	json_object_set_new(job->outputs, "already", json_boolean(already));
	json_object_set_new(job->outputs, "bytes", json_integer(r->bytes));
	json_object_set_new(job->outputs, "path", json_string(path));
	json_object_set_new(job->outputs, "sha256", json_string(r->sha256));
}

static int publish(struct operator_job *job, sqlite3_stmt *stmt, const char *path, struct err *err)
{
	char digest[DIGEST_HEX];
	struct aside_target target = {
		.path = path,
		.compression = compression_of(job->with, path),
		.key = &job->key,
		.digest = digest,
		.note = support_note,
	};
	int64_t rows = 0, start = clock_mono_us();
	struct format_options options;
	struct aside_result result;
	struct aside *file;

	if (support_digest(job->with, digest, err) < 0 ||
		read_options(job->with, path, &options, err) < 0 ||
		aside_open(&file, &target, err) < 0)
		return -1;
	if (aside_already(file, &result)) {
		aside_abort(file);
		report(job, path, &result, 0);
		return 0;
	}
	if (stream(stmt, &options, file, &rows, err) < 0) {
		aside_abort(file);
		return -1;
	}
	aside_set_rows(file, rows);
	if (aside_commit(file, &result, err) < 0)
		return -1;
	report(job, path, &result, clock_mono_us() - start);
	return 0;
}

static int run(struct operator_job *job, struct err *err)
{
	const char *rel = support_string(job->with, "path");
	sqlite3_stmt *stmt;
	sqlite3 *db;

	if (!rel)
		return err_set(err, ERR_INVALID, "path is needed");
	if (support_open_source(job, "table", &db, &stmt, NULL, err) < 0)
		return -1;
	char *path = io_path_join(job->dir ? job->dir : ".", rel);
	int rc = path ? publish(job, stmt, path, err) : err_nomem(err);
	free(path);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return rc;
}

const struct operator operator_publish_file = {
	.kind = TASK_PUBLISH,
	.name = "file",
	.summary = "Write the rows of a table or query to a file",
	.doc = "Streams the rows into a file beside the target, syncs it to disk and renames "
	       "it: readers see the old file or the whole new one, never a part. Whatever the "
	       "number of rows, memory stays small.\n"
	       "\n"
	       "Running it again writes the same file again: with the same rows in the same "
	       "order it is equal to the byte, compressed or not. What an earlier attempt of "
	       "the task left beside the target is removed; an attempt that a newer one has "
	       "overtaken publishes nothing.\n"
	       "\n"
	       "The file carries a mark: token, piece of work, digest of the rendered "
	       "parameters. It is the extended attribute user.weir.mark, or the file "
	       ".NAME.weir beside it where the file system has no attributes. When Weir "
	       "crashes before it has recorded the success, the retry finds the mark on the "
	       "file, as it was left, and publishes nothing. The retries of a task are one "
	       "piece of work; run again on purpose (weir run --force, a failed task in a new "
	       "weir run), or with other parameters, it publishes again.\n"
	       "\n"
	       "NULL is the text null in CSV (nothing by default; an empty text is written as "
	       "\"\", so that the two differ), and null in JSON. Numbers are written so that "
	       "they read back as the same number. A BLOB is written in hexadecimal.",
	.params = params,
	.outputs = outputs,
	.example = "report:\n"
		   "  publish: file\n"
		   "  with:\n"
		   "    connection: warehouse\n"
		   "    query: SELECT * FROM daily_sales WHERE day = {{ ds }} ORDER BY product\n"
		   "    path: \"out/{{ ds }}/sales.csv\"\n",
	.check = check,
	.run = run,
};
