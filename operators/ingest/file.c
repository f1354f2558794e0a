/* ingest: file */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/io.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/schema.h"
#include "data/contract.h"
#include "data/input.h"
#include "data/intake.h"
#include "data/quarantine.h"
#include "operators/ingest/file_sink.h"
#include "operators/operators.h"
#include "operators/support.h"

extern const struct operator operator_ingest_file;

/* ---- parameters ------------------------------------------------------------------------ */

enum on_missing { MISSING_FAIL, MISSING_SKIP, MISSING_EMPTY };
static const char *const missing_names[] = { "fail", "skip", "empty", NULL };
static const char *const encoding_names[] = { "utf-8", NULL };
static const struct field text_item = { .type = FIELD_STRING };
static const struct field key_item = { .type = FIELD_STRING };

static const struct field quarantine_fields[] = {
	{ .key = "file",
		.type = FIELD_PATH,
		.flags = FIELD_TEMPLATE,
		.help = "A CSV file, replaced by each attempt.",
		.example = "\"quarantine/orders-{{ ds }}.csv\"" },
	{ .key = "table",
		.type = FIELD_TABLE,
		.flags = FIELD_TEMPLATE,
		.help = "A table; the rows of this data interval are replaced.",
		.example = "warehouse.rejected_orders" },
	{ 0 },
};

static const struct field params[] = {
	{ .key = "path",
		.type = FIELD_PATH,
		.flags = FIELD_REQUIRED | FIELD_TEMPLATE,
		.help = "The file, or several by a pattern of glob(7), taken in sorted order.",
		.example = "\"sample/{{ ds }}/orders*.csv\"" },
	{ .key = "format",
		.type = FIELD_ENUM,
		.values = source_format_names,
		.help = "Default: by the name's end; .ndjson, .jsonl and .json (also before .gz "
			"and "
			".zst) are ndjson, all others csv." },
	{ .key = "compression",
		.type = FIELD_ENUM,
		.values = input_compression_names,
		.def = "auto",
		.help = "auto: by the file's first bytes." },
	{ .key = "contract",
		.type = FIELD_FILE,
		.flags = FIELD_TEMPLATE,
		.help = "What rows must be like; see weir-contract(5). Without one, columns are "
			"those of "
			"the first file, and values are kept as they stand.",
		.example = "contracts/orders.yaml" },
	{ .key = "into",
		.type = FIELD_TABLE,
		.flags = FIELD_TEMPLATE,
		.help = "The table the good rows go to.",
		.example = "warehouse.raw_orders" },
	{ .key = "to_file",
		.type = FIELD_PATH,
		.flags = FIELD_TEMPLATE,
		.help = "A file the good rows go to, in place of into: by its name, NDJSON or CSV, "
			"and "
			"compressed (.gz, .zst). Written aside, renamed.",
		.example = "\"clean/{{ ds }}/orders.csv\"" },
	{ .key = "mode",
		.type = FIELD_ENUM,
		.values = table_mode_names,
		.def = "replace_partition",
		.help = "append: add, once per data interval. replace: the whole table. "
			"replace_partition: the rows of this data interval. merge: by key." },
	{ .key = "key",
		.type = FIELD_LIST,
		.item = &key_item,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.help = "For merge: the columns that tell rows apart.",
		.example = "[order_id]" },
	{ .key = "partition_column",
		.type = FIELD_STRING,
		.def = "weir_partition",
		.help = "For replace_partition: the column that holds the partition." },
	{ .key = "partition_value",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "For replace_partition: its value. Default: the start of the data "
			"interval.",
		.example = "\"{{ ds }}\"" },
	{ .key = "delimiter",
		.type = FIELD_STRING,
		.def = ",",
		.help = "CSV: one character, or tab, comma, semicolon, pipe." },
	{ .key = "header",
		.type = FIELD_BOOL,
		.def = "true",
		.help = "CSV: whether the first record names the columns. Without one they are "
			"those of "
			"the contract, in its order." },
	{ .key = "null",
		.type = FIELD_LIST,
		.item = &text_item,
		.flags = FIELD_OR_ONE,
		.help = "CSV: unquoted texts that mean NULL. Default: the empty one.",
		.example = "[\"\", NA]" },
	{ .key = "ragged",
		.type = FIELD_ENUM,
		.values = source_ragged_names,
		.def = "reject",
		.help = "CSV: a record with fewer or more fields than the header. reject: into "
			"quarantine. fail: the task. null: missing fields are NULL, surplus ones "
			"are dropped when they are empty." },
	{ .key = "encoding",
		.type = FIELD_ENUM,
		.values = encoding_names,
		.def = "utf-8",
		.help = "Rows that are not valid in it are rejected." },
	{ .key = "quarantine",
		.type = FIELD_OBJECT,
		.fields = quarantine_fields,
		.flags = FIELD_ONE_KEY,
		.help = "Where rejected rows go. Default: the file quarantine/DAG/TASK-DS.csv." },
	{ .key = "on_missing_file",
		.type = FIELD_ENUM,
		.values = missing_names,
		.def = "fail",
		.help = "fail: tried again as retries allow, as late files arrive. skip: succeed "
			"and leave the target alone. empty: as a file without rows (needs a "
			"contract)." },
	{ .key = "max_rejected",
		.type = FIELD_STRING,
		.help = "Overrides the contract's: a share (1%) or a count of rows.",
		.example = "1%" },
	{ 0 },
};

static const struct operator_output outputs[] = {
	{ "rows_in", "Rows read from the files." },
	{ "rows_out", "Rows that went to the target." },
	{ "rows_rejected", "Rows that went into quarantine." },
	{ "files", "Number of files read." },
	{ "bytes", "Their size, before decompression." },
	{ "already",
		"True when mode append had added this data interval before: nothing was added." },
	{ "quarantine", "The file or table of the rejected rows; absent when there are none." },
	{ NULL, NULL },
};

/* ---- validation ------------------------------------------------------------------------ */

static bool is_template(const char *text)
{
	return text && strstr(text, "{{");
}

/* The one character that `text` means, or 0. */
static char delimiter_of(const char *text)
{
	static const struct {
		const char *name;
		char c;
	} names[] = { { "tab", '\t' }, { "\\t", '\t' }, { "comma", ',' }, { "semicolon", ';' },
		{ "pipe", '|' } };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i].name, text) == 0)
			return names[i].c;
	bool one = text[0] && !text[1];
	return one && !(text[0] & 0x80) && !strchr("\"\r\n", text[0]) ? text[0] : '\0';
}

static void check_keys(const struct operator_check *c, const struct contract *contract)
{
	const struct node *key = node_get(c->with, "key");
	bool renamed;

	for (size_t i = 0; key && i < (key->type == NODE_SEQ ? key->n : 1); i++) {
		const struct node *k = key->type == NODE_SEQ ? key->items[i] : key;
		int at = contract_find_column(contract, k->text, &renamed);
		if (at < 0 || renamed)
			diag_node(c->diags, DIAG_ERROR, k, "contract %s has no column \"%s\"",
				contract_name(contract), k->text);
	}
}

static void check_contract(const struct operator_check *c)
{
	const char *rel = node_text(node_get(c->with, "contract"));
	struct contract *contract = NULL;

	if (!rel || !c->dir || is_template(rel))
		return;
	char *path = io_path_join(c->dir, rel);
	/* A missing file is reported by the field's own check. */
	if (path && io_exists(path) && contract_load(&contract, path, c->diags) == 0) {
		check_keys(c, contract);
		contract_free(contract);
	}
	free(path);
}

static void check_mode(const struct operator_check *c)
{
	const struct node *mode = node_get(c->with, "mode"), *key = node_key(c->with, "key");
	const char *name = mode ? node_text(mode) : NULL;
	bool merge = name && strcmp(name, "merge") == 0;

	if (merge && !key)
		diag_node(c->diags, DIAG_ERROR, mode, "mode merge needs \"key\"");
	if (!merge && key)
		diag_node(c->diags, DIAG_ERROR, key, "\"key\" is for mode merge only");
	if (node_get(c->with, "into"))
		return;
	const char *const table_only[] = { "mode", "key", "partition_column", "partition_value" };
	for (size_t i = 0; i < sizeof table_only / sizeof *table_only; i++)
		if (node_get(c->with, table_only[i]))
			diag_node(c->diags, DIAG_ERROR, node_key(c->with, table_only[i]),
				"\"%s\" is for tables (into), not for files", table_only[i]);
}

static void check_csv(const struct operator_check *c)
{
	const struct node *header = node_get(c->with, "header");
	const struct node *delimiter = node_get(c->with, "delimiter");
	const struct node *limit = node_get(c->with, "max_rejected");
	const struct node *missing = node_get(c->with, "on_missing_file");
	struct contract_limit parsed;
	struct err err = { 0 };

	if (delimiter && !delimiter_of(delimiter->text))
		diag_node(c->diags, DIAG_ERROR, delimiter,
			"a delimiter is one ASCII character, or tab, comma, semicolon, pipe");
	if (limit && contract_parse_limit(limit->text, &parsed, &err) < 0)
		diag_node(c->diags, DIAG_ERROR, limit, "%s", err.msg);
	if (node_get(c->with, "contract"))
		return;
	if (header && header->type == NODE_BOOL && !header->b)
		diag_node(c->diags, DIAG_ERROR, header,
			"without a header a contract must say what the columns are");
	if (missing && strcmp(missing->text ? missing->text : "", "empty") == 0)
		diag_node(c->diags, DIAG_ERROR, missing,
			"empty needs a contract, which says what the columns are");
}

static void check(const struct operator_check *c)
{
	support_check_either(c, "into", "to_file");
	check_mode(c);
	check_csv(c);
	check_contract(c);
}

/* ---- the run --------------------------------------------------------------------------- */

struct ingest {
	struct operator_job *job;
	struct contract *contract; /* NULL: none */
	struct source_files files;
	const char **nulls, **columns;
	struct contract_limit limit;
	struct file_sink sink;
	struct quarantine *quarantine;
	char *quarantine_path;        /* of its file or spool */
	const char *quarantine_table; /* NULL: it is a file */
	struct intake_result result;
};

static int load_contract(struct ingest *in, struct err *err)
{
	const char *rel = support_string(in->job->with, "contract");
	struct diags diags;
	struct buf text;

	if (!rel)
		return 0;
	char *path = io_path_join(in->job->dir, rel);
	if (!path)
		return err_nomem(err);
	diags_init(&diags);
	int rc = contract_load(&in->contract, path, &diags);
	if (rc < 0) {
		buf_init(&text, BUF_MAX_TEXT);
		diags_print(&diags, &text, false);
		err_set(err, ERR_INVALID, "the contract is not valid:\n%s", text.data);
		buf_release(&text);
	}
	diags_release(&diags);
	free(path);
	return rc;
}

static int find_limit(struct ingest *in, struct err *err)
{
	const char *own = support_string(in->job->with, "max_rejected");

	if (own)
		return contract_parse_limit(own, &in->limit, err);
	if (in->contract)
		in->limit = *contract_max_rejected(in->contract);
	return 0;
}

/* 1: there are files, or none and that is taken as no rows; 0: skip; -1 with err. */
static int find_files(struct ingest *in, struct err *err)
{
	const char *rel = support_string(in->job->with, "path");
	char *path = rel ? io_path_join(in->job->dir, rel) : NULL;

	if (!path)
		return rel ? err_nomem(err) : err_set(err, ERR_INVALID, "path is missing");
	int rc = source_glob(path, &in->files, err);
	if (rc < 0 || in->files.n) {
		free(path);
		return rc < 0 ? -1 : 1;
	}
	switch ((enum on_missing)support_index(
		in->job->with, "on_missing_file", missing_names, MISSING_FAIL)) {
	case MISSING_SKIP:
		printf("%s: no such file; the target stays as it is (on_missing_file: skip)\n",
			path);
		rc = 0;
		break;
	case MISSING_EMPTY:
		printf("%s: no such file; taken as empty (on_missing_file: empty)\n", path);
		rc = 1;
		break;
	case MISSING_FAIL:
		/* Not ERR_NOT_FOUND: a file that comes late is worth a retry. */
		rc = err_set(err, ERR_IO, "%s: no such file, yet (see on_missing_file)", path);
		break;
	}
	free(path);
	return rc;
}

static int columns_of_contract(struct ingest *in, struct err *err)
{
	size_t n = in->contract ? contract_ncolumns(in->contract) : 0;

	in->columns = calloc(n + 1, sizeof *in->columns);
	if (!in->columns)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		in->columns[i] = contract_column_name(in->contract, i);
	return 0;
}

static int fill_config(struct ingest *in, struct intake_config *c, struct err *err)
{
	const json_t *with = in->job->with;
	const json_t *nulls = json_object_get(with, "null");
	const char *delimiter = support_string(with, "delimiter");
	struct source_config *s = &c->source;

	if ((nulls && support_names(nulls, &in->nulls, err) < 0) ||
		columns_of_contract(in, err) < 0)
		return -1;
	s->delimiter = delimiter ? delimiter_of(delimiter) : ',';
	if (!s->delimiter)
		return err_set(err, ERR_INVALID, "\"%s\" is no delimiter", delimiter);
	c->format_given = support_string(with, "format") != NULL;
	s->format =
		(enum source_format)support_index(with, "format", source_format_names, SOURCE_CSV);
	s->compression = (enum input_compression)support_index(
		with, "compression", input_compression_names, INPUT_AUTO);
	s->ragged = (enum source_ragged)support_index(
		with, "ragged", source_ragged_names, SOURCE_RAGGED_REJECT);
	s->no_header = !support_bool(with, "header", true);
	s->nulls = in->nulls;
	s->columns = in->columns;
	s->ncolumns = in->contract ? contract_ncolumns(in->contract) : 0;
	c->files = &in->files;
	c->dir = in->job->dir;
	c->contract = in->contract;
	c->threads = true;
	return 0;
}

/* ---- quarantine ------------------------------------------------------------------------ */

/* quarantine/DAG/TASK-DS.csv. Intervals shorter than a day share a ds: their start is added, in
 * UTC. A mapped task's index is added, too. */
static char *default_quarantine(const struct operator_job *job)
{
	const struct table_key *k = &job->key;
	struct civil_text start = { 0 }, end = { 0 };
	char at[32] = "", map[16] = "", *rel = NULL, *path = NULL;

	if (k->interval_start && k->interval_end &&
		civil_parse(k->interval_start, &start, NULL) == 0 &&
		civil_parse(k->interval_end, &end, NULL) == 0 &&
		civil_text_us(&end) - civil_text_us(&start) < 22 * US_PER_HOUR)
		snprintf(at, sizeof at, "T%02d%02d%02dZ", start.civil.hour, start.civil.min,
			start.civil.sec);
	if (k->map_index >= 0)
		snprintf(map, sizeof map, "-%d", k->map_index);
	if (asprintf(&rel, "quarantine/%s/%s-%s%s%s.csv", k->dag, k->task, job->ds, at, map) < 0)
		return NULL;
	path = io_path_join(job->dir, rel);
	free(rel);
	return path;
}

static int open_quarantine(struct ingest *in, struct err *err)
{
	const json_t *q = json_object_get(in->job->with, "quarantine");
	const char *file = support_string(q, "file");

	in->quarantine_table = support_string(q, "table");
	in->quarantine_path = file ? io_path_join(in->job->dir, file) : default_quarantine(in->job);
	if (!in->quarantine_path)
		return err_nomem(err);
	return quarantine_new(&in->quarantine, in->quarantine_path, &in->job->key, err);
}

static int copy_spool(struct source_reader *from, struct table_writer *to, struct err *err)
{
	struct contract_violation v;
	struct row row;
	struct cell cells[6];
	enum source_result got;

	while ((got = source_next(from, &row, &v, err)) > SOURCE_END) {
		if (got == SOURCE_BAD_ROW || row.n != 6)
			return err_set(err, ERR_INTERNAL, "quarantine: %s", v.why);
		memcpy(cells, row.cells, sizeof cells);
		static const struct convert integer = { .type = CONVERT_INTEGER };
		char scratch[CONVERT_SCRATCH];
		convert_cell(&integer, &row.cells[1], &cells[1], scratch);
		if (table_write(to, cells, err) < 0)
			return -1;
	}
	return got == SOURCE_END ? 0 : -1;
}

/* The table has the columns of the file. It is written in a transaction of its own, because a
 * database has one writer at a time. */
static int fill_quarantine_table(struct ingest *in, struct err *err)
{
	static const struct table_column columns[] = { { "file", COLUMN_TEXT },
		{ "row", COLUMN_INTEGER }, { "column", COLUMN_TEXT }, { "rule", COLUMN_TEXT },
		{ "value", COLUMN_TEXT }, { "raw", COLUMN_TEXT } };
	struct table_target t = { .mode = TABLE_REPLACE_PARTITION,
		.columns = columns,
		.ncolumns = 6,
		.key = in->job->key };
	struct source_config sc = { .format = SOURCE_CSV, .max_record = 256u << 20 };
	struct source_reader *from = NULL;
	struct table_writer *to = NULL;
	bool any = quarantine_rows(in->quarantine) > 0;

	if (support_table(in->job, in->quarantine_table, &t.conn, &t.table, err) < 0)
		return -1;
	if (any && !(sc.path = quarantine_spool(in->quarantine, err)))
		return -1;
	if (any && source_open(&from, &sc, err) < 0)
		return err_context(err, "quarantine");
	int rc = table_open(&to, &t, err);
	if (rc == 0 && any)
		rc = copy_spool(from, to, err);
	source_close(from);
	if (rc == 0)
		return table_commit(to, NULL, err);
	table_abort(to);
	return -1;
}

static int keep_quarantine(struct ingest *in, struct err *err)
{
	struct quarantine *q = in->quarantine;

	if (in->quarantine_table) {
		int rc = fill_quarantine_table(in, err);
		quarantine_abort(q);
		in->quarantine = NULL;
		return rc < 0 ? err_context(err, "quarantine %s", in->quarantine_table) : 0;
	}
	in->quarantine = NULL;
	return quarantine_commit(q, err);
}

/* ---- what people read ------------------------------------------------------------------ */

static void print_note(void *arg, const char *text)
{
	(void)arg;
	printf("%s\n", text);
}

static void print_counts(const struct ingest *in)
{
	static const char *const heads[] = { "column", "rule", "rows" };
	const struct intake_result *r = &in->result;
	struct text_table t;
	char count[32];

	text_table_init(&t, heads, 3);
	text_table_right(&t, 2);
	for (size_t i = 0; i < r->ncounts; i++)
		for (int rule = 0; rule < RULE_MAX; rule++) {
			if (!r->counts[i].by_rule[rule])
				continue;
			units_format_count(r->counts[i].by_rule[rule], count, sizeof count);
			const char *column = i + 1 < r->ncounts
						     ? contract_column_name(in->contract, i)
						     : "(row)";
			text_table_add(
				&t, (const char *[]){ column, contract_rule_names[rule], count });
		}
	text_table_print(&t, 2);
	text_table_release(&t);
}

static const char *quarantine_name(const struct ingest *in)
{
	size_t len = strlen(in->job->dir);
	const char *path = in->quarantine_path;

	if (in->quarantine_table)
		return in->quarantine_table;
	return strncmp(path, in->job->dir, len) == 0 && path[len] == '/' ? path + len + 1 : path;
}

/* For who reads an error, and stands elsewhere: the whole path. */
static const char *quarantine_place(const struct ingest *in)
{
	return in->quarantine_table ? in->quarantine_table : in->quarantine_path;
}

static void print_summary(const struct ingest *in)
{
	const struct intake_result *r = &in->result;
	char rows_in[32], rows_out[32], rejected[32], size[32];

	units_format_count(r->rows_in, rows_in, sizeof rows_in);
	units_format_count(r->rows_out, rows_out, sizeof rows_out);
	units_format_count(r->rows_rejected, rejected, sizeof rejected);
	units_format_size(r->bytes, size, sizeof size);
	printf("%" PRId64 " file%s, %s: %s rows in, %s good, %s rejected\n", r->files,
		r->files == 1 ? "" : "s", size, rows_in, rows_out, rejected);
	if (!r->rows_rejected)
		return;
	print_counts(in);
	printf("rejected rows are in %s\n", quarantine_name(in));
}

static int set_outputs(const struct ingest *in, struct err *err)
{
	const struct intake_result *r = &in->result;
	json_t *o = in->job->outputs;
	int rc = 0;

	rc |= json_object_set_new(o, "rows_in", json_integer(r->rows_in));
	rc |= json_object_set_new(o, "rows_out", json_integer(in->sink.rows));
	rc |= json_object_set_new(o, "rows_rejected", json_integer(r->rows_rejected));
	rc |= json_object_set_new(o, "files", json_integer(r->files));
	rc |= json_object_set_new(o, "bytes", json_integer(r->bytes));
	rc |= json_object_set_new(o, "already", json_boolean(in->sink.already));
	if (r->rows_rejected && in->quarantine_path)
		rc |= json_object_set_new(o, "quarantine", json_string(quarantine_name(in)));
	return rc ? err_nomem(err) : 0;
}

/* ---- putting it together --------------------------------------------------------------- */

static int too_many_rejected(const struct ingest *in, struct err *err)
{
	const struct intake_result *r = &in->result;
	const struct contract_limit *l = &in->limit;

	if (!l->given)
		return err_set(err, ERR_DATA,
			"all %" PRId64
			" rows were rejected; the target is unchanged, the rows are in "
			"%s",
			r->rows_in, quarantine_place(in));
	char allowed[48];
	if (l->fraction < 0)
		snprintf(allowed, sizeof allowed, "%" PRId64, l->count);
	else
		snprintf(allowed, sizeof allowed, "%.10g%%", l->fraction * 100);
	return err_set(err, ERR_DATA,
		"%" PRId64 " of %" PRId64
		" rows (%.3g%%) were rejected, more than max_rejected: %s; "
		"the target is unchanged, the rows are in %s",
		r->rows_rejected, r->rows_in, 100.0 * (double)r->rows_rejected / (double)r->rows_in,
		allowed, quarantine_place(in));
}

/* The quarantine is kept before the rows are: a rerun replaces it in any case, while rows that are
 * in need not be read again. The sink stays open meanwhile, and with it what keeps newer attempts
 * out; but a table of the same database has to wait for its turn. */
static int settle(struct ingest *in, struct err *err)
{
	bool broken =
		contract_limit_broken(&in->limit, in->result.rows_rejected, in->result.rows_in);

	if (broken && in->quarantine_table)
		file_sink_abort(&in->sink);
	else if (file_sink_check(&in->sink, err) < 0)
		return -1;
	if ((broken || !in->quarantine_table) && keep_quarantine(in, err) < 0)
		return -1;
	if (broken)
		return too_many_rejected(in, err);
	if (file_sink_commit(&in->sink, err) < 0)
		return -1;
	return in->quarantine_table ? keep_quarantine(in, err) : 0;
}

static int run_intake(struct ingest *in, struct err *err)
{
	struct intake_config config = { .note = print_note };

	if (fill_config(in, &config, err) < 0 || open_quarantine(in, err) < 0 ||
		file_sink_init(&in->sink, in->job, err) < 0)
		return -1;
	config.quarantine = in->quarantine;
	config.sink = (struct intake_sink){ file_sink_open, file_sink_row, &in->sink };
	if (intake_run(&config, &in->result, err) < 0)
		return -1;
	int rc = settle(in, err);
	print_summary(in);
	if (in->sink.already)
		printf("%s: nothing is written\n", in->sink.why);
	return rc;
}

static void release(struct ingest *in)
{
	file_sink_abort(&in->sink);
	quarantine_abort(in->quarantine);
	intake_result_release(&in->result);
	source_files_release(&in->files);
	contract_free(in->contract);
	free(in->quarantine_path);
	free(in->nulls);
	free(in->columns);
}

static int run(struct operator_job *job, struct err *err)
{
	struct ingest in = { .job = job };
	int rc = load_contract(&in, err);

	if (rc == 0)
		rc = find_limit(&in, err);
	if (rc == 0)
		rc = find_files(&in, err);
	bool skip = rc == 0;
	if (rc > 0)
		rc = run_intake(&in, err);
	if (rc == 0 || in.result.rows_in || skip)
		rc = set_outputs(&in, rc == 0 ? err : NULL) < 0 ? -1 : rc;
	release(&in);
	return rc;
}

const struct operator operator_ingest_file = {
	.kind = TASK_INGEST,
	.name = "file",
	.summary = "Rows of CSV and NDJSON files, checked by a contract, into a table or a file.",
	.doc = "Reads one file, or all that match a pattern, as a stream: memory does not grow "
	       "with "
	       "their size. gzip and Zstandard are unpacked on the way.\n"
	       "\n"
	       "With a contract each row is converted and checked. Good rows go to the target; "
	       "others go into quarantine, with the file, row number, column, rule, value and raw "
	       "text, and are counted by column and rule. A row is rejected for the first rule "
	       "it breaks, in the order of the contract's columns; `unique` comes last, and the "
	       "second good row of a value is the one rejected. When more are rejected than "
	       "max_rejected allows (without it: when all are), the task fails, the target stays "
	       "as it was, and the quarantine is kept.\n"
	       "\n"
	       "NULL: an empty field without quotes is NULL, \"\" in quotes is an empty string; "
	       "parameter `null` names other texts. In NDJSON null and an absent key are NULL. "
	       "NULL breaks only `nullable: false`.\n"
	       "\n"
	       "CSV follows RFC 4180 and is UTF-8, with or without a byte order mark; blank lines "
	       "are passed over. A record that is not UTF-8, holds a zero byte, has text behind a "
	       "closing quote or the wrong number of fields is rejected. A quote that is never "
	       "closed or a record of more than 16 MiB fails the task. A nested NDJSON value is "
	       "kept as its JSON text.\n"
	       "\n"
	       "Idempotence: all is written in one transaction, keyed by the data interval. "
	       "A rerun replaces what it wrote (replace, replace_partition, merge), or adds "
	       "nothing "
	       "(append). A file is written aside and renamed. The quarantine is replaced, "
	       "and removed when there is nothing to keep.",
	.params = params,
	.outputs = outputs,
	.example = "orders:\n"
		   "  ingest: file\n"
		   "  with:\n"
		   "    path: \"sample/{{ ds }}/orders.csv\"\n"
		   "    contract: contracts/orders.yaml\n"
		   "    into: warehouse.raw_orders\n"
		   "    mode: replace_partition\n",
	.check = check,
	.run = run,
};
