/* quality: table */
#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/schema.h"
#include "data/conn.h"
#include "data/sqlscript.h"
#include "operators/operators.h"
#include "operators/quality/checks.h"
#include "operators/support.h"

extern const struct operator operator_quality_table;

#define PARTITION_COLUMN "weir_partition"

static const struct field check_item = { .type = FIELD_OBJECT,
	.fields = check_fields,
	.help = "A check: one key that says what is checked, and severity, at_least, where, name, "
		"weight beside it." };

static const struct field params[] = {
	{ .key = "table",
		.type = FIELD_TABLE,
		.flags = FIELD_TEMPLATE,
		.help = "The table to check.",
		.example = "warehouse.daily_sales" },
	{ .key = "connection",
		.type = FIELD_CONNECTION,
		.help = "In place of table, with query: the database." },
	{ .key = "query",
		.type = FIELD_SQL,
		.help = "In place of table, with connection: the rows to check.",
		.example = "\"SELECT * FROM daily_sales WHERE day = {{ ds }}\"" },
	{ .key = "checks",
		.type = FIELD_LIST,
		.flags = FIELD_REQUIRED,
		.has_min = true,
		.min = 1,
		.item = &check_item,
		.help = "What must hold.",
		.example = "[{ not_null: [day, revenue] }, { row_count: { min: 1 } }]" },
	{ .key = "only_interval",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Look only at the rows of this run's data interval, as mode "
			"replace_partition "
			"wrote them; without it, at all rows." },
	{ .key = "partition_column",
		.type = FIELD_STRING,
		.def = PARTITION_COLUMN,
		.help = "With only_interval: the column that tells a row's interval." },
	{ .key = "partition_value",
		.type = FIELD_STRING,
		.flags = FIELD_TEMPLATE,
		.help = "With only_interval: the column's value; by default the interval's "
			"start." },
	{ .key = NULL },
};

static const struct operator_output outputs[] = {
	{ "checks", "Number of checks." },
	{ "passed", "How many of them passed." },
	{ "warned", "How many with severity warn did not pass." },
	{ "failed", "How many with severity error did not pass, or could not be judged." },
	{ "rows", "Rows looked at." },
	{ "score", "Weight of the passed checks divided by the weight of all, 0 to 1." },
	{ NULL, NULL },
};

/* ---- validation ---------------------------------------------------------------------- */

static void hint_kinds(struct diags *diags)
{
	const char *const *keys = check_kind_keys();
	struct buf list;

	buf_init(&list, 400);
	for (size_t i = 0; keys[i]; i++)
		buf_addf(&list, "%s%s", i ? ", " : "", keys[i]);
	diag_hint(diags, "checks: %s", list.data);
	buf_release(&list);
}

static const char *check_one_kind(const struct operator_check *c, const struct node *item)
{
	const char *const *keys = check_kind_keys(), *found = NULL;

	for (size_t i = 0; keys[i]; i++) {
		const struct node *key = node_key(item, keys[i]);
		if (key && found) {
			diag_node(c->diags, DIAG_ERROR, key,
				"\"%s\" and \"%s\" are two checks; write them as two items", found,
				keys[i]);
			return NULL;
		}
		if (key)
			found = keys[i];
	}
	if (found)
		return found;
	diag_node(c->diags, DIAG_ERROR, item, "the item does not say what is checked");
	hint_kinds(c->diags);
	return NULL;
}

/* Keys of which a kind needs at least one. */
static const struct {
	const char *kind, *keys[4];
} one_of[] = {
	{ "range", { "min", "max" } },
	{ "length", { "min", "max" } },
	{ "row_count", { "min", "max", "equals" } },
};

static void check_bounds(const struct operator_check *c, const struct node *item, const char *kind)
{
	const struct node *arg = node_get(item, kind);

	for (size_t i = 0; i < sizeof one_of / sizeof *one_of; i++) {
		bool any = false;
		if (strcmp(one_of[i].kind, kind) != 0)
			continue;
		for (size_t k = 0; one_of[i].keys[k]; k++)
			any |= node_get(arg, one_of[i].keys[k]) != NULL;
		if (!any)
			diag_node(c->diags, DIAG_ERROR, arg, "\"%s\" needs min%s", kind,
				one_of[i].keys[2] ? ", max or equals" : " or max");
	}
}

static void check_items(const struct operator_check *c)
{
	const struct node *checks = node_get(c->with, "checks");

	for (size_t i = 0; checks && checks->type == NODE_SEQ && i < checks->n; i++) {
		const struct node *item = checks->items[i];
		const char *kind = check_one_kind(c, item);
		const struct node *at_least = node_key(item, "at_least");
		if (!kind)
			continue;
		check_bounds(c, item, kind);
		if (at_least && !check_kind_has_ratio(kind))
			diag_node(c->diags, DIAG_ERROR, at_least,
				"\"at_least\" is a share of rows, and \"%s\" does not judge rows "
				"one by one",
				kind);
	}
}

static void check(const struct operator_check *c)
{
	support_check_source(c, "table");
	check_items(c);
}

/* ---- results ------------------------------------------------------------------------- */

enum status { STATUS_PASS, STATUS_WARN, STATUS_FAIL, STATUS_ERROR, STATUS_MAX };
static const char *const status_names[] = {
	[STATUS_PASS] = "pass",
	[STATUS_WARN] = "warn",
	[STATUS_FAIL] = "fail",
	[STATUS_ERROR] = "error",
};
static_assert(sizeof status_names / sizeof *status_names == STATUS_MAX, "a name for each status");
static const char *const status_shown[] = {
	[STATUS_PASS] = "ok",
	[STATUS_WARN] = "WARN",
	[STATUS_FAIL] = "FAIL",
	[STATUS_ERROR] = "ERROR",
};
static_assert(sizeof status_shown / sizeof *status_shown == STATUS_MAX, "as shown in the log");

struct quality {
	struct operator_job *job;
	struct subject subject;
	char relation[300];
	int64_t rows;
	size_t counts[STATUS_MAX];
	double weight, weight_passed;
};

static const char *get(const json_t *result, const char *key)
{
	const char *s = support_string(result, key);

	return s ? s : "";
}

static bool name_taken(const json_t *results, const char *name)
{
	const json_t *r;
	size_t i;

	json_array_foreach(results, i, r) if (strcmp(get(r, "name"), name) == 0) return true;
	return false;
}

/* Two checks of one kind on one column would have one name: the later gets a number. */
static void unique_name(const json_t *results, char *name, size_t size)
{
	size_t len = strlen(name);

	for (int n = 2; name_taken(results, name) && n < 1000; n++)
		snprintf(name + (len < size - 16 ? len : size - 16), 16, " #%d", n);
}

static void add_result(struct quality *q, const json_t *item, const char *name, enum status status,
	const struct finding *f)
{
	const char *severity = support_string(item, "severity");
	const json_t *weight = json_object_get(item, "weight");
	double w = weight ? json_number_value(weight) : 1.0;
	json_t *r = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "name", name, "severity",
		severity ? severity : "error", "status", status_names[status], "observed",
		f->observed, "expected", f->expected, "sample",
		f->sample ? f->sample : json_array());

	json_array_append_new(q->job->checks, r);
	q->counts[status]++;
	q->weight += w;
	if (status == STATUS_PASS)
		q->weight_passed += w;
}

static enum status status_of(const json_t *item, bool passed)
{
	const char *severity = support_string(item, "severity");

	if (passed)
		return STATUS_PASS;
	return severity && strcmp(severity, "warn") == 0 ? STATUS_WARN : STATUS_FAIL;
}

/* One result. -1 only for an error that concerns all checks: the database is busy or broken. */
static int run_part(struct quality *q, const struct check_kind *kind, const json_t *item,
	size_t part, struct err *err)
{
	struct finding f;
	char name[160];

	check_name(kind, item, part, name, sizeof name - 8);
	unique_name(q->job->checks, name, sizeof name);
	err_clear(err);
	if (check_run(kind, &q->subject, item, part, &f, err) == 0) {
		add_result(q, item, name, status_of(item, f.passed), &f);
		return 0;
	}
	if (err_info(err->code)->transient)
		return -1;
	f = (struct finding){ .expected = "a check that can be judged" };
	snprintf(f.observed, sizeof f.observed, "%.199s", err->msg);
	add_result(q, item, name, STATUS_ERROR, &f);
	return 0;
}

static int run_checks(struct quality *q, struct err *err)
{
	const json_t *checks = json_object_get(q->job->with, "checks"), *item;
	size_t i;

	json_array_foreach(checks, i, item)
	{
		const struct check_kind *kind = check_kind_of(item);
		if (!kind)
			return err_set(
				err, ERR_INVALID, "check %zu does not say what is checked", i + 1);
		for (size_t part = 0; part < check_parts(kind, item); part++)
			if (run_part(q, kind, item, part, err) < 0)
				return -1;
	}
	return 0;
}

/* ---- the log ------------------------------------------------------------------------- */

static enum status status_by_name(const char *name)
{
	for (int i = 0; i < STATUS_MAX; i++)
		if (strcmp(status_names[i], name) == 0)
			return (enum status)i;
	return STATUS_ERROR;
}

static void print_results(const json_t *results)
{
	static const char *const heads[] = { "result", "check", "observed", "expected" };
	struct text_table t;
	const json_t *r;
	size_t i;

	text_table_init(&t, heads, 4);
	json_array_foreach(results, i, r) text_table_add(
		&t, (const char *const[]){ status_shown[status_by_name(get(r, "status"))],
			    get(r, "name"), get(r, "observed"), get(r, "expected") });
	text_table_print(&t, 0);
	text_table_release(&t);
}

static void print_sample_row(const json_t *row)
{
	const char *key;
	json_t *v;
	char text[80];

	printf("   ");
	json_object_foreach((json_t *)row, key, v)
		printf(" %s=%s", key, support_json_text(v, text, sizeof text));
	printf("\n");
}

static void print_details(const json_t *results)
{
	const json_t *r, *row;
	size_t i, k;

	json_array_foreach(results, i, r)
	{
		enum status status = status_by_name(get(r, "status"));
		const json_t *sample = json_object_get(r, "sample");
		if (status == STATUS_PASS)
			continue;
		printf("\n%s %s\n    observed: %s\n    expected: %s\n", status_shown[status],
			get(r, "name"), get(r, "observed"), get(r, "expected"));
		if (json_array_size(sample))
			printf("  failing, at most %d shown:\n", CHECKS_SAMPLE);
		json_array_foreach(sample, k, row) print_sample_row(row);
	}
}

/* ---- running ------------------------------------------------------------------------- */

static int open_relation(struct quality *q, struct err *err)
{
	const char *name = support_string(q->job->with, "table");

	if (name) {
		q->subject.shown = sql_table_of(name);
		sqlite3_snprintf(sizeof q->relation, q->relation, "\"%w\"", q->subject.shown);
	} else {
		/* A copy of the query's rows: all checks see the same, and it is run once. */
		q->subject.shown = "the query";
		snprintf(q->relation, sizeof q->relation, "%s", SUPPORT_COPY);
		if (support_copy_query(q->subject.db, json_object_get(q->job->with, "query"), err) <
			0)
			return -1;
	}
	q->subject.relation = q->relation;
	return sql_table_read(
		q->subject.db, name ? q->subject.shown : "weir_rows", &q->subject.table, err);
}

static int set_interval(struct quality *q, struct err *err)
{
	const char *column = support_string(q->job->with, "partition_column");
	const char *value = support_string(q->job->with, "partition_value");
	struct buf names;

	if (!support_bool(q->job->with, "only_interval", false))
		return 0;
	q->subject.partition_column = column ? column : PARTITION_COLUMN;
	q->subject.partition_value = value ? value : q->job->key.interval_start;
	if (sql_table_find(&q->subject.table, q->subject.partition_column))
		return 0;
	buf_init(&names, 600);
	sql_table_names(&q->subject.table, &names);
	err_set(err, ERR_SQL,
		"only_interval: %s has no column %s; set partition_column to the one that tells a "
		"row's interval (its columns: %s)",
		q->subject.shown, q->subject.partition_column, names.data);
	buf_release(&names);
	return -1;
}

static int count_rows(struct quality *q, struct err *err)
{
	if (!q->subject.partition_column)
		return sql_int(
			q->subject.db, &q->rows, err, "SELECT count(*) FROM %s", q->relation);
	return sql_int(q->subject.db, &q->rows, err, "SELECT count(*) FROM %s WHERE \"%w\" = %Q",
		q->relation, q->subject.partition_column, q->subject.partition_value);
}

static void put_outputs(struct quality *q)
{
	size_t failed = q->counts[STATUS_FAIL] + q->counts[STATUS_ERROR];
	json_t *out = q->job->outputs;
	double score = q->weight > 0 ? q->weight_passed / q->weight : 1.0;

	json_object_set_new(
		out, "checks", json_integer((json_int_t)json_array_size(q->job->checks)));
	json_object_set_new(out, "passed", json_integer((json_int_t)q->counts[STATUS_PASS]));
	json_object_set_new(out, "warned", json_integer((json_int_t)q->counts[STATUS_WARN]));
	json_object_set_new(out, "failed", json_integer((json_int_t)failed));
	json_object_set_new(out, "rows", json_integer(q->rows));
	json_object_set_new(out, "score", json_real(score));
}

/* The error names what failed, as far as it fits. */
static int verdict(struct quality *q, struct err *err)
{
	size_t failed = q->counts[STATUS_FAIL] + q->counts[STATUS_ERROR], i;
	const json_t *r;
	struct buf text;

	if (failed == 0)
		return 0;
	buf_init(&text, 900);
	json_array_foreach(q->job->checks, i, r)
	{
		enum status status = status_by_name(get(r, "status"));
		if (status == STATUS_FAIL || status == STATUS_ERROR)
			buf_addf(&text, "%s%s: %.120s", text.len ? "; " : "", get(r, "name"),
				get(r, "observed"));
	}
	err_set(err, ERR_CHECK, "%zu of %zu checks failed: %s%s", failed,
		json_array_size(q->job->checks), text.data, text.failed ? "; ..." : "");
	buf_release(&text);
	return -1;
}

static int check_subject(struct quality *q, struct err *err)
{
	char rows[32];

	if (check_functions(q->subject.db, err) < 0 || open_relation(q, err) < 0 ||
		set_interval(q, err) < 0)
		return -1;
	/* One snapshot for all checks, whoever writes meanwhile. */
	if (sql_exec(q->subject.db, err, "BEGIN") < 0 || count_rows(q, err) < 0)
		return -1;
	printf("%s: %s rows%s%s%s\n", q->subject.shown,
		units_format_count(q->rows, rows, sizeof rows),
		q->subject.partition_column ? " of the interval " : "",
		q->subject.partition_column ? q->subject.partition_value : "",
		q->rows ? "" : ". There is nothing to judge: shares of rows count as 100%");
	if (run_checks(q, err) < 0)
		return -1;
	print_results(q->job->checks);
	print_details(q->job->checks);
	printf("\n%zu passed, %zu warned, %zu failed, %zu could not be judged\n",
		q->counts[STATUS_PASS], q->counts[STATUS_WARN], q->counts[STATUS_FAIL],
		q->counts[STATUS_ERROR]);
	put_outputs(q);
	return verdict(q, err);
}

static int run(struct operator_job *job, struct err *err)
{
	struct quality q = { .job = job };
	sqlite3_stmt *source;

	if (support_open_source(job, "table", &q.subject.db, &source, NULL, err) < 0)
		return -1;
	sqlite3_finalize(source);
	int rc = check_subject(&q, err);
	sql_table_release(&q.subject.table);
	sqlite3_close(q.subject.db);
	return rc;
}

const struct operator operator_quality_table = {
	.kind = TASK_QUALITY,
	.name = "table",
	.summary = "Check the rows of a table or query",
	.doc = "Runs each check and prints a table of the results; for what did not pass, the "
	       "failing rows or keys follow, at most five. All checks are run, whatever fails. "
	       "They see one snapshot of the database and change nothing.\n"
	       "\n"
	       "A check passes when at least the share at_least of the rows it judges pass "
	       "(all, when it is not given). The share is compared exactly: 99 of 100 rows "
	       "satisfy 99%. With severity error, a check that does not pass fails the task, "
	       "and is not retried: the data would be the same. With severity warn it is shown "
	       "and counted. A check that cannot be judged, because a column or table does not "
	       "exist or its SQL is in error, fails the task with either severity.\n"
	       "\n"
	       "NULL: not_null counts NULLs as failing, and an empty text as a value. "
	       "accepted_values, range, pattern, length and relationships pass over rows with "
	       "NULL in their column: these are neither passed nor failed, and not part of the "
	       "share. unique passes over rows with NULL in any of its columns, as SQL's "
	       "UNIQUE does. row_count counts every row. A where condition that is NULL for a "
	       "row leaves the row out. Write not_null beside another check where NULLs are "
	       "wrong, too.\n"
	       "\n"
	       "An empty table passes all checks that judge rows; add row_count: { min: 1 } "
	       "where that is wrong.\n"
	       "\n"
	       "By default a check looks at all rows of the table. only_interval limits all "
	       "checks to the rows that belong to this run's data interval, by "
	       "partition_column; where limits one check. row_count and the other checks "
	       "honour both; the check sql does not: its query is its own.",
	.params = params,
	.outputs = outputs,
	.example = "check_sales:\n"
		   "  quality: table\n"
		   "  with:\n"
		   "    table: warehouse.daily_sales\n"
		   "    checks:\n"
		   "      - not_null: [day, revenue]\n"
		   "      - unique: [day, product]\n"
		   "      - range: { column: revenue, min: 0 }\n"
		   "      - pattern: { column: product, regex: \"^[A-Z]\" }\n"
		   "        at_least: 99%\n"
		   "        severity: warn\n"
		   "      - row_count: { min: 1 }\n",
	.check = check,
	.run = run,
};
