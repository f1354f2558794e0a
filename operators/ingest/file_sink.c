#include "operators/ingest/file_sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "data/aside.h"
#include "data/convert.h"
#include "data/csv.h"
#include "data/row.h"
#include "data/source.h"
#include "operators/operators.h"
#include "operators/support.h"

enum { CHUNK = 64 << 10, PENDING_MAX = 256 << 20 };

int file_sink_init(struct file_sink *s, struct operator_job *job, struct err *err)
{
	const char *into = support_string(job->with, "into");
	const char *to_file = support_string(job->with, "to_file");

	*s = (struct file_sink){ .job = job };
	buf_init(&s->pending, PENDING_MAX);
	if (!into && !to_file)
		return err_set(err, ERR_INVALID, "either into or to_file is needed");
	if (!into) {
		s->path = io_path_join(job->dir, to_file);
		s->ndjson = source_format_of(to_file) == SOURCE_NDJSON;
		return s->path ? 0 : err_nomem(err);
	}
	s->target.key = job->key;
	s->target.mode = (enum table_mode)support_index(
		job->with, "mode", table_mode_names, TABLE_REPLACE_PARTITION);
	s->target.partition_column = support_string(job->with, "partition_column");
	s->target.partition_value = support_string(job->with, "partition_value");
	if (support_names(json_object_get(job->with, "key"), &s->keys, err) < 0)
		return -1;
	s->target.keys = s->keys;
	return support_table(job, into, &s->target.conn, &s->target.table, err);
}

/* ---- file ------------------------------------------------------------------------------ */

static int name_columns(
	struct file_sink *s, const struct table_column *columns, size_t n, struct err *err)
{
	s->names = calloc(n + 1, sizeof *s->names);
	if (!s->names)
		return err_nomem(err);
	for (s->ncolumns = 0; s->ncolumns < n; s->ncolumns++) {
		json_t *name = json_string(columns[s->ncolumns].name);
		s->names[s->ncolumns] = s->ndjson ? json_dumps(name, JSON_ENCODE_ANY)
						  : strdup(columns[s->ncolumns].name);
		json_decref(name);
		if (!s->names[s->ncolumns])
			return err_nomem(err);
	}
	return 0;
}

static int open_file(
	struct file_sink *s, const struct table_column *columns, size_t n, struct err *err)
{
	const struct aside_target t = { .path = s->path,
		.compression = aside_compression_of(s->path),
		.key = &s->job->key,
		.note = support_note };

	if (name_columns(s, columns, n, err) < 0 || aside_open(&s->file, &t, err) < 0)
		return -1;
	struct buf *out = &s->pending;
	for (size_t i = 0; !s->ndjson && i < n; i++) {
		buf_addstr(out, i ? "," : "");
		csv_add_field(out, s->names[i], strlen(s->names[i]), ',');
	}
	if (!s->ndjson)
		buf_addc(out, '\n');
	return 0;
}

static void add_csv(struct buf *out, const struct cell *cells, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_addstr(out, i ? "," : "");
		if (cells[i].type == CELL_TEXT)
			csv_add_field(out, cells[i].text ? cells[i].text : "", cells[i].len, ',');
		else
			convert_add_text(out, &cells[i]);
	}
	/* A lone NULL would be a blank line, which is no record. */
	if (n == 1 && cells[0].type == CELL_NULL)
		buf_addstr(out, "\"\"");
	buf_addc(out, '\n');
}

static int dump(const char *text, size_t len, void *arg)
{
	return buf_add(arg, text, len);
}

static void add_json_text(struct buf *out, const struct cell *c)
{
	json_t *v = json_stringn(c->text ? c->text : "", c->len);

	if (!v || json_dump_callback(v, dump, out, JSON_ENCODE_ANY) < 0)
		out->failed = true;
	json_decref(v);
}

static void add_ndjson(struct file_sink *s, struct buf *out, const struct cell *cells)
{
	for (size_t i = 0; i < s->ncolumns; i++) {
		buf_addf(out, "%s%s:", i ? "," : "{", s->names[i]);
		if (cells[i].type == CELL_TEXT)
			add_json_text(out, &cells[i]);
		else if (cells[i].type == CELL_NULL)
			buf_addstr(out, "null");
		else
			convert_add_text(out, &cells[i]);
	}
	buf_addstr(out, "}\n");
}

static int flush(struct file_sink *s, struct err *err)
{
	if (buf_ok(&s->pending, s->path, err) < 0 ||
		aside_write(s->file, s->pending.data, s->pending.len, err) < 0)
		return -1;
	buf_clear(&s->pending);
	return 0;
}

/* ---- both ------------------------------------------------------------------------------ */

int file_sink_open(void *arg, const struct table_column *columns, size_t n, struct err *err)
{
	struct file_sink *s = arg;

	if (s->path)
		return open_file(s, columns, n, err);
	s->target.columns = columns;
	s->target.ncolumns = n;
	if (table_open(&s->table, &s->target, err) < 0)
		return -1;
	s->already = table_already(s->table);
	if (s->already)
		snprintf(s->why, sizeof s->why, "%s", table_why(s->table));
	return 0;
}

int file_sink_row(void *arg, const struct cell *cells, struct err *err)
{
	struct file_sink *s = arg;

	if (s->table)
		return table_write(s->table, cells, err);
	if (s->ndjson)
		add_ndjson(s, &s->pending, cells);
	else
		add_csv(&s->pending, cells, s->ncolumns);
	s->rows++;
	return s->pending.len < CHUNK ? 0 : flush(s, err);
}

/* A table is ours for as long as its transaction is open. */
int file_sink_check(struct file_sink *s, struct err *err)
{
	return s->file ? aside_check(s->file, err) : 0;
}

int file_sink_commit(struct file_sink *s, struct err *err)
{
	struct table_writer *table = s->table;

	s->table = NULL;
	if (table)
		return table_commit(table, &s->rows, err);
	if (flush(s, err) < 0)
		return -1;
	struct aside *file = s->file;
	s->file = NULL;
	return aside_commit(file, NULL, err);
}

void file_sink_abort(struct file_sink *s)
{
	if (s->table || s->file)
		s->rows = 0;
	table_abort(s->table);
	aside_abort(s->file);
	buf_release(&s->pending);
	for (size_t i = 0; i < s->ncolumns; i++)
		free(s->names[i]);
	free(s->names);
	free(s->keys);
	free(s->path);
	s->table = NULL;
	s->file = NULL;
	s->names = NULL;
	s->keys = NULL;
	s->path = NULL;
	s->ncolumns = 0;
}
