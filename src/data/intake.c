#include "data/intake.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/utf8.h"
#include "data/intake_queue.h"
#include "data/quarantine.h"

enum { UNIQUE_MEMORY = 24 << 20, REJECTIONS_SHOWN = 5 };

struct intake {
	const struct intake_config *config;
	struct intake_result *result;
	struct contract_check *check; /* NULL without a contract */
	/* The columns of the rows that come out. */
	struct table_column *columns;
	size_t ncolumns;
	char **names;       /* without a contract: owned, what columns[i].name points to */
	int *map;           /* where each stands in the present file; -1: nowhere */
	struct cell *cells; /* without a contract: the row in that order */
	/* The present file. */
	struct source_reader *source;
	const char *label;
	size_t seen;                /* columns of the source that are mapped */
	int64_t shown;              /* rejections told so far */
	struct intake_queue *queue; /* NULL: rows go straight to the sink */
	bool opened;
};

__attribute__((format(printf, 2, 3))) static void note(struct intake *in, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!in->config->note)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	utf8_clean(text, strlen(text));
	in->config->note(in->config->note_arg, text);
}

/* The path as people wrote it: within the DAG's folder, without that. */
static const char *label_of(const struct intake_config *c, const char *path)
{
	size_t len = c->dir ? strlen(c->dir) : 0;

	return len && strncmp(path, c->dir, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

/* ---- columns --------------------------------------------------------------------------- */

static int make_columns(struct intake *in, size_t n, struct err *err)
{
	in->columns = calloc(n ? n : 1, sizeof *in->columns);
	in->names = calloc(n ? n : 1, sizeof *in->names);
	in->map = calloc(n ? n : 1, sizeof *in->map);
	in->cells = calloc(n ? n : 1, sizeof *in->cells);
	if (!in->columns || !in->names || !in->map || !in->cells)
		return err_nomem(err);
	in->ncolumns = n;
	return 0;
}

static int columns_of_contract(struct intake *in, struct err *err)
{
	const struct contract *c = in->config->contract;

	if (make_columns(in, contract_ncolumns(c), err) < 0)
		return -1;
	for (size_t i = 0; i < in->ncolumns; i++)
		in->columns[i] = (struct table_column){ contract_column_name(c, i),
			convert_column_type(contract_column_type(c, i)) };
	return 0;
}

/* Without a contract the first file that has columns says what they are. */
static int columns_of_source(struct intake *in, struct err *err)
{
	size_t n;
	const char *const *names = source_columns(in->source, &n);

	if (make_columns(in, n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		in->names[i] = strdup(names[i]);
		if (!in->names[i])
			return err_nomem(err);
		in->columns[i] = (struct table_column){ in->names[i], COLUMN_ANY };
	}
	return 0;
}

static int find_column(const struct intake *in, const char *name, bool *ret_renamed)
{
	*ret_renamed = false;
	if (in->config->contract)
		return contract_find_column(in->config->contract, name, ret_renamed);
	for (size_t i = 0; i < in->ncolumns; i++)
		if (strcmp(in->columns[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* Map column `at` of the file; true when it is taken, false when it is an extra one. */
static bool map_column(struct intake *in, const char *name, size_t at)
{
	bool renamed;
	int to = find_column(in, name, &renamed);

	if (to < 0)
		return false;
	bool taken = in->map[to] >= 0;
	/* A column by its present name goes before one by a former name. */
	if (taken && renamed)
		return false;
	in->map[to] = (int)at;
	if (renamed)
		note(in, "%s: column %s is taken as %s, its new name", in->label, name,
			in->columns[to].name);
	return true;
}

static int tell_extra(struct intake *in, const struct buf *extra, struct err *err)
{
	enum contract_policy policy =
		in->config->contract ? contract_on_extra(in->config->contract) : CONTRACT_WARN;

	if (!extra->len || policy == CONTRACT_IGNORE)
		return 0;
	const char *who =
		in->config->contract ? "the contract does not know" : "the first rows did not have";
	if (policy == CONTRACT_FAIL)
		return err_set(
			err, ERR_DATA, "%s: columns %s: %.600s", in->label, who, extra->data);
	note(in, "%s: columns %s are left out: %s", in->label, who, extra->data);
	return 0;
}

/* In CSV the header must have the columns; in NDJSON each object may leave keys out. */
static int check_missing(struct intake *in, const struct source_config *sc, struct err *err)
{
	bool null =
		in->config->contract && contract_on_missing(in->config->contract) == CONTRACT_NULL;
	struct buf missing;
	int rc = 0;

	if (sc->format != SOURCE_CSV)
		return 0;
	buf_init(&missing, BUF_MAX_TEXT);
	for (size_t i = 0; i < in->ncolumns; i++)
		if (in->map[i] < 0)
			buf_addf(&missing, "%s%s", missing.len ? ", " : "", in->columns[i].name);
	if (missing.len && null)
		note(in, "%s: missing columns are NULL: %s", in->label, missing.data);
	else if (missing.len)
		rc = err_set(err, ERR_DATA, "%s: missing columns: %.600s", in->label, missing.data);
	buf_release(&missing);
	return rc;
}

/* Map the columns of the source that are new since the last call. */
static int map_columns(struct intake *in, struct err *err)
{
	size_t n;
	const char *const *names = source_columns(in->source, &n);
	struct buf extra;

	if (!in->columns && n && columns_of_source(in, err) < 0)
		return -1;
	if (in->seen == 0)
		for (size_t i = 0; i < in->ncolumns; i++)
			in->map[i] = -1;
	buf_init(&extra, BUF_MAX_TEXT);
	for (size_t i = in->seen; i < n; i++)
		if (!map_column(in, names[i], i))
			buf_addf(&extra, "%s%s", extra.len ? ", " : "", names[i]);
	in->seen = n;
	int rc = tell_extra(in, &extra, err);
	buf_release(&extra);
	return rc;
}

/* ---- rows ------------------------------------------------------------------------------ */

static int reject(struct intake *in, const struct row *row, const struct contract_violation *v,
	struct err *err)
{
	const char *column = v->column >= 0 ? in->columns[v->column].name : NULL;
	struct intake_result *r = in->result;

	r->rows_rejected++;
	r->counts[column ? (size_t)v->column : r->ncounts - 1].by_rule[v->rule]++;
	if (in->shown++ < REJECTIONS_SHOWN)
		note(in, "%s row %" PRIu64 "%s%s: %s: %s", in->label, row->number,
			column ? ", column " : "", column ? column : "",
			contract_rule_names[v->rule], v->why);
	return quarantine_add(in->config->quarantine, in->label, row, column, v, err);
}

static int open_sink(struct intake *in, struct err *err)
{
	const struct intake_sink *s = &in->config->sink;

	if (in->opened)
		return 0;
	in->opened = true;
	return s->open(s->arg, in->columns, in->ncolumns, err);
}

static int pass(struct intake *in, const struct cell *cells, struct err *err)
{
	const struct intake_sink *s = &in->config->sink;

	in->result->rows_out++;
	if (in->queue)
		return intake_queue_put(in->queue, cells, in->ncolumns, err);
	if (!in->opened && open_sink(in, err) < 0)
		return -1;
	return s->row(s->arg, cells, err);
}

/* The row in the order of the columns. */
static const struct cell *arranged(struct intake *in, const struct row *row)
{
	for (size_t i = 0; i < in->ncolumns; i++)
		in->cells[i] = in->map[i] >= 0 && (size_t)in->map[i] < row->n
				       ? row->cells[in->map[i]]
				       : (struct cell){ .type = CELL_NULL };
	return in->cells;
}

static int take_row(struct intake *in, enum source_result got, const struct row *row,
	struct contract_violation *v, struct err *err)
{
	const struct cell *cells;

	in->result->rows_in++;
	if (got == SOURCE_BAD_ROW)
		return reject(in, row, v, err);
	if (row->n != in->seen && map_columns(in, err) < 0)
		return -1;
	if (!in->check)
		return pass(in, arranged(in, row), err);
	int rc = contract_check_row(in->check, row, in->map, &cells, v, err);
	if (rc < 0)
		return -1;
	return rc ? pass(in, cells, err) : reject(in, row, v, err);
}

static int read_rows(struct intake *in, struct err *err)
{
	struct contract_violation v;
	enum source_result got;
	struct row row;

	while ((got = source_next(in->source, &row, &v, err)) > SOURCE_END)
		if (take_row(in, got, &row, &v, err) < 0)
			return -1;
	return got == SOURCE_END ? 0 : -1;
}

/* ---- files ----------------------------------------------------------------------------- */

static int read_file(struct intake *in, const char *path, struct err *err)
{
	struct source_config sc = in->config->source;

	sc.path = path;
	if (!in->config->format_given)
		sc.format = source_format_of(path);
	in->label = label_of(in->config, path);
	in->seen = 0;
	if (source_open(&in->source, &sc, err) < 0)
		return -1;
	int rc = map_columns(in, err);
	if (rc == 0)
		rc = check_missing(in, &sc, err);
	if (rc == 0)
		rc = read_rows(in, err);
	in->result->bytes += source_bytes(in->source);
	source_close(in->source);
	in->source = NULL;
	return rc;
}

static int read_files(void *arg, struct err *err)
{
	struct intake *in = arg;
	const struct source_files *files = in->config->files;

	for (size_t i = 0; i < files->n; i++) {
		if (read_file(in, files->paths[i], err) < 0)
			return -1;
		in->result->files++;
	}
	return 0;
}

/* ---- the run --------------------------------------------------------------------------- */

static int take_queued(void *arg, const struct cell *cells, struct err *err)
{
	struct intake *in = arg;
	const struct intake_sink *s = &in->config->sink;

	if (!in->opened && open_sink(in, err) < 0)
		return -1;
	return s->row(s->arg, cells, err);
}

static int prepare(struct intake *in, struct err *err)
{
	const struct intake_config *c = in->config;
	size_t n = c->contract ? contract_ncolumns(c->contract) : 0;

	in->result->ncounts = n + 1;
	in->result->counts = calloc(n + 1, sizeof *in->result->counts);
	if (!in->result->counts)
		return err_nomem(err);
	if (!c->contract)
		return 0;
	return contract_check_new(&in->check, c->contract,
		       c->unique_memory ? c->unique_memory : UNIQUE_MEMORY, err) < 0
		       ? -1
		       : columns_of_contract(in, err);
}

static int finish(struct intake *in, struct err *err)
{
	if (!in->opened && !in->columns)
		return err_set(err, ERR_DATA,
			"there are no rows, and without a contract nothing says what the columns "
			"are");
	return open_sink(in, err);
}

int intake_run(const struct intake_config *config, struct intake_result *ret, struct err *err)
{
	struct intake in = { .config = config, .result = ret };
	struct intake_queue_work work = { read_files, take_queued, &in };

	*ret = (struct intake_result){ 0 };
	int rc = prepare(&in, err);
	if (rc == 0 && config->threads)
		rc = intake_queue_run(&work, &in.queue, err);
	else if (rc == 0)
		rc = read_files(&in, err);
	if (rc == 0)
		rc = finish(&in, err);
	contract_check_free(in.check);
	for (size_t i = 0; in.names && i < in.ncolumns; i++)
		free(in.names[i]);
	free(in.names);
	free(in.columns);
	free(in.map);
	free(in.cells);
	return rc;
}

void intake_result_release(struct intake_result *r)
{
	free(r->counts);
	*r = (struct intake_result){ 0 };
}
