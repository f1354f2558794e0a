#include "operators/quality/checks.h"

#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/near.h"
#include "base/units.h"
#include "conf/schema.h"
#include "data/conn.h"
#include "data/sqlscript.h"
#include "operators/quality/regex.h"
#include "operators/support.h"

/* ---- parameters ---------------------------------------------------------------------- */

#define COLUMN_ROW                                                              \
	{                                                                       \
		.key = "column", .type = FIELD_STRING, .flags = FIELD_REQUIRED, \
		.help = "The column."                                           \
	}

static const struct field column_item = { .type = FIELD_STRING, .help = "A column." };
static const struct field value_item = {
	.type = FIELD_VALUE, .flags = FIELD_TEMPLATE, .help = "A value."
};

static const struct field accepted_fields[] = {
	COLUMN_ROW,
	{ .key = "values",
		.type = FIELD_LIST,
		.flags = FIELD_REQUIRED | FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.item = &value_item,
		.help = "What the column may hold. A number also matches text that reads the "
			"same." },
	{ .key = NULL },
};

static const struct field range_fields[] = {
	COLUMN_ROW,
	{ .key = "min",
		.type = FIELD_VALUE,
		.flags = FIELD_TEMPLATE,
		.help = "The least value allowed. A number compares as a number, and a value that "
			"is no "
			"number fails; a text compares as text, which suits dates like "
			"2026-11-19." },
	{ .key = "max",
		.type = FIELD_VALUE,
		.flags = FIELD_TEMPLATE,
		.help = "The greatest value allowed; as min." },
	{ .key = "min_exclusive",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Values must be greater than min, not equal." },
	{ .key = "max_exclusive",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "Values must be less than max, not equal." },
	{ .key = NULL },
};

static const struct field pattern_fields[] = {
	COLUMN_ROW,
	{ .key = "regex",
		.type = FIELD_REGEX,
		.flags = FIELD_REQUIRED,
		.help = "A Perl-compatible pattern that is searched in the value; ^ and $ tie it "
			"to the "
			"value's ends.",
		.example = "^[A-Z]{2}[0-9]+$" },
	{ .key = NULL },
};

#define COUNT_ROW(name, text)                                                           \
	{                                                                               \
		.key = name, .type = FIELD_INT, .has_min = true, .min = 0, .help = text \
	}

static const struct field length_fields[] = {
	COLUMN_ROW,
	COUNT_ROW("min", "The least number of characters."),
	COUNT_ROW("max", "The greatest number of characters."),
	{ .key = NULL },
};

static const struct field row_count_fields[] = {
	COUNT_ROW("min", "The least number of rows."),
	COUNT_ROW("max", "The greatest number of rows."),
	COUNT_ROW("equals", "The exact number of rows."),
	{ .key = NULL },
};

static const struct field sql_fields[] = {
	{ .key = "query",
		.type = FIELD_SQL,
		.flags = FIELD_REQUIRED,
		.help = "A query. Without expect, the rows it returns are the failing ones.",
		.example = "SELECT * FROM daily_sales WHERE revenue < cost" },
	{ .key = "expect",
		.type = FIELD_VALUE,
		.flags = FIELD_TEMPLATE,
		.help = "The query must return one row, whose first column is this value." },
	{ .key = NULL },
};

static const struct field relationships_fields[] = {
	COLUMN_ROW,
	{ .key = "to",
		.type = FIELD_STRING,
		.flags = FIELD_REQUIRED,
		.help = "The table, of the same connection, that must hold each value." },
	{ .key = "to_column",
		.type = FIELD_STRING,
		.help = "Its column; by default one of the same name." },
	{ .key = NULL },
};

static const char *const severities[] = { "error", "warn", NULL };

const struct field check_fields[] = {
	{ .key = "not_null",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.item = &column_item,
		.help = "Columns that hold no NULL, each judged on its own. An empty text is no "
			"NULL.",
		.example = "[day, revenue]" },
	{ .key = "unique",
		.type = FIELD_LIST,
		.flags = FIELD_OR_ONE,
		.has_min = true,
		.min = 1,
		.item = &column_item,
		.help = "Columns whose combination occurs once. All rows of a combination that "
			"occurs "
			"twice fail. Rows with a NULL in one of the columns are passed over.",
		.example = "[day, product]" },
	{ .key = "accepted_values",
		.type = FIELD_OBJECT,
		.fields = accepted_fields,
		.help = "The values a column may hold. NULLs are passed over.",
		.example = "{ column: status, values: [placed, shipped] }" },
	{ .key = "range",
		.type = FIELD_OBJECT,
		.fields = range_fields,
		.help = "Between which values a column lies. NULLs are passed over.",
		.example = "{ column: revenue, min: 0 }" },
	{ .key = "pattern",
		.type = FIELD_OBJECT,
		.fields = pattern_fields,
		.help = "What a column's text looks like. NULLs are passed over.",
		.example = "{ column: email, regex: \"@\" }" },
	{ .key = "length",
		.type = FIELD_OBJECT,
		.fields = length_fields,
		.help = "How many characters a column's text has. NULLs are passed over.",
		.example = "{ column: country, min: 2, max: 2 }" },
	{ .key = "row_count",
		.type = FIELD_OBJECT,
		.fields = row_count_fields,
		.help = "How many rows there are.",
		.example = "{ min: 1 }" },
	{ .key = "sql",
		.type = FIELD_OBJECT,
		.fields = sql_fields,
		.help = "A query of one's own.",
		.example = "{ query: \"SELECT sum(share) FROM t\", expect: 1 }" },
	{ .key = "relationships",
		.type = FIELD_OBJECT,
		.fields = relationships_fields,
		.help = "A column's values exist in another table. NULLs are passed over.",
		.example = "{ column: user_id, to: raw_customers, to_column: id }" },
	{ .key = "severity",
		.type = FIELD_ENUM,
		.values = severities,
		.def = "error",
		.help = "error: a failure fails the task. warn: it is shown and counted." },
	{ .key = "at_least",
		.type = FIELD_PERCENT,
		.help = "The share of rows that must pass; by default all. Rows passed over "
			"(NULLs) are "
			"not counted. Not for row_count and sql.",
		.example = "99%" },
	{ .key = "where",
		.type = FIELD_SQL,
		.help = "Only rows for which this SQL condition is true.",
		.example = "status <> 'cancelled'" },
	{ .key = "name",
		.type = FIELD_STRING,
		.help = "A name for the result; by default made from the check." },
	{ .key = "weight",
		.type = FIELD_FLOAT,
		.has_min = true,
		.min = 0,
		.def = "1",
		.help = "The check's weight in the output score." },
	{ .key = NULL },
};

/* ---- SQL being built ----------------------------------------------------------------- */

struct plan {
	const struct subject *subject;
	const json_t *item, *arg; /* the check; the value of its kind's key */
	const char *column;       /* the one it is about; NULL: none or several */
	json_t *binds;            /* of `where` first, so that its ?N stay right */
	struct buf scope;         /* condition: the rows that are judged */
	struct buf fail;          /* condition: those of them that fail */
	struct buf detail;        /* what is expected of a row, for people */
	struct regex *regex;
};

static int no_column(const struct subject *s, const char *name, struct err *err)
{
	const char *names[512], *near;
	size_t n = s->table.n < 512 ? s->table.n : 512;
	struct buf list;

	for (size_t i = 0; i < n; i++)
		names[i] = s->table.columns[i].name;
	near = near_find(name, names, n);
	buf_init(&list, 600);
	sql_table_names(&s->table, &list);
	err_set(err, ERR_SQL, "%s has no column %s%s%s%s; its columns: %s", s->shown, name,
		near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", list.data);
	buf_release(&list);
	return -1;
}

static int need_column(const struct subject *s, const char *name, struct err *err)
{
	if (!name)
		return err_set(err, ERR_INVALID, "the check names no column");
	return sql_table_find(&s->table, name) ? 0 : no_column(s, name, err);
}

/* Add ?N for a value that is taken over. */
static void add_bind_new(struct plan *p, struct buf *to, json_t *value)
{
	json_array_append_new(p->binds, value);
	buf_addf(to, "?%zu", json_array_size(p->binds));
}

static void add_bind(struct plan *p, struct buf *to, const json_t *value)
{
	add_bind_new(p, to, json_deep_copy(value));
}

static void add_value_text(struct buf *to, const json_t *value)
{
	char text[64];

	buf_addstr(to, support_json_text(value, text, sizeof text));
}

static int start_scope(struct plan *p, struct err *err)
{
	const json_t *where = json_object_get(p->item, "where");
	struct sqlscript cond;

	buf_addstr(&p->scope, "1");
	if (where) {
		if (sqlscript_of(where, &cond, err) < 0)
			return -1;
		json_array_extend(p->binds, json_object_get(where, "binds"));
		/* The line break ends a comment that the condition may end in. */
		buf_addf(&p->scope, " AND (%s\n)", cond.text);
	}
	if (p->subject->partition_column) {
		buf_addstr(&p->scope, " AND ");
		sql_add_ident(&p->scope, p->subject->partition_column);
		buf_addstr(&p->scope, " = ");
		add_bind_new(p, &p->scope, json_string(p->subject->partition_value));
	}
	return 0;
}

static void plan_release(struct plan *p)
{
	json_decref(p->binds);
	buf_release(&p->scope);
	buf_release(&p->fail);
	buf_release(&p->detail);
	regex_free(p->regex);
}

/* ---- kinds that judge rows ----------------------------------------------------------- */

static int plan_not_null(struct plan *p, struct err *err)
{
	(void)err;
	sql_add_ident(&p->fail, p->column);
	buf_addstr(&p->fail, " IS NULL");
	buf_addstr(&p->detail, "not NULL");
	return 0;
}

static int plan_accepted(struct plan *p, struct err *err)
{
	const json_t *values = json_object_get(p->arg, "values"), *v;
	char text[1024];
	size_t i;

	(void)err;
	buf_addstr(&p->fail, "NOT (");
	sql_add_ident(&p->fail, p->column);
	buf_addstr(&p->fail, " IN (");
	buf_addstr(&p->detail, "one of ");
	json_array_foreach(values, i, v)
	{
		buf_addstr(&p->fail, i ? ", " : "");
		add_bind(p, &p->fail, v);
		buf_addstr(&p->detail, i ? ", " : "");
		add_value_text(&p->detail, v);
	}
	buf_addstr(&p->fail, ") OR CAST(");
	sql_add_ident(&p->fail, p->column);
	buf_addstr(&p->fail, " AS TEXT) IN (");
	json_array_foreach(values, i, v)
	{
		buf_addstr(&p->fail, i ? ", " : "");
		support_json_text(v, text, sizeof text);
		add_bind_new(
			p, &p->fail, json_is_string(v) ? json_deep_copy(v) : json_string(text));
	}
	buf_addstr(&p->fail, "))");
	return 0;
}

/* One side of a range: the column as a number or as text, `op` (when it fails), the bound. */
static void add_bound(struct plan *p, const char *key, const char *exclusive, const char *op)
{
	const json_t *bound = json_object_get(p->arg, key);
	bool strict = support_bool(p->arg, exclusive, false);

	if (!bound || json_is_null(bound))
		return;
	buf_addstr(&p->fail, p->fail.len ? " OR " : "");
	if (json_is_number(bound)) {
		buf_addstr(&p->fail, "weir_number(");
		sql_add_ident(&p->fail, p->column);
		buf_addstr(&p->fail, ") IS NULL OR weir_number(");
		sql_add_ident(&p->fail, p->column);
		buf_addf(&p->fail, ") %s%s ", op, strict ? "=" : "");
	} else {
		buf_addstr(&p->fail, "CAST(");
		sql_add_ident(&p->fail, p->column);
		buf_addf(&p->fail, " AS TEXT) %s%s ", op, strict ? "=" : "");
	}
	add_bind(p, &p->fail, bound);
	buf_addf(&p->detail, "%s%c%s ", p->detail.len ? " and " : "", *op == '<' ? '>' : '<',
		strict ? "" : "=");
	add_value_text(&p->detail, bound);
}

static int plan_range(struct plan *p, struct err *err)
{
	add_bound(p, "min", "min_exclusive", "<");
	add_bound(p, "max", "max_exclusive", ">");
	if (p->fail.len == 0)
		return err_set(err, ERR_INVALID, "range needs min or max");
	return 0;
}

static int plan_pattern(struct plan *p, struct err *err)
{
	const char *pattern = support_string(p->arg, "regex");

	p->regex = pattern ? regex_new(pattern, err) : NULL;
	if (!p->regex || regex_register(p->regex, p->subject->db, "weir_matches", err) < 0)
		return -1;
	buf_addstr(&p->fail, "NOT weir_matches(CAST(");
	sql_add_ident(&p->fail, p->column);
	buf_addstr(&p->fail, " AS TEXT))");
	buf_addf(&p->detail, "matches %s", pattern);
	return 0;
}

static int plan_length(struct plan *p, struct err *err)
{
	const json_t *min = json_object_get(p->arg, "min"), *max = json_object_get(p->arg, "max");

	if (!min && !max)
		return err_set(err, ERR_INVALID, "length needs min or max");
	buf_addstr(&p->fail, "length(CAST(");
	sql_add_ident(&p->fail, p->column);
	buf_addf(&p->fail,
		" AS TEXT)) NOT BETWEEN %" JSON_INTEGER_FORMAT " AND %" JSON_INTEGER_FORMAT,
		json_integer_value(min), max ? json_integer_value(max) : INT64_MAX);
	if (min && max && json_equal((json_t *)min, (json_t *)max))
		buf_addf(
			&p->detail, "%" JSON_INTEGER_FORMAT " characters", json_integer_value(min));
	else if (min && max)
		buf_addf(&p->detail,
			"%" JSON_INTEGER_FORMAT " to %" JSON_INTEGER_FORMAT " characters",
			json_integer_value(min), json_integer_value(max));
	else
		buf_addf(&p->detail, "at %s %" JSON_INTEGER_FORMAT " characters",
			min ? "least" : "most", json_integer_value(min ? min : max));
	return 0;
}

static int plan_relationships(struct plan *p, struct err *err)
{
	const char *to = support_string(p->arg, "to"),
		   *column = support_string(p->arg, "to_column");
	struct subject parent = { .db = p->subject->db, .shown = to };

	if (!to)
		return err_set(err, ERR_INVALID, "relationships names no table");
	if (!column)
		column = p->column;
	int rc = sql_table_read(parent.db, to, &parent.table, err);
	if (rc == 0 && parent.table.n == 0)
		rc = sql_no_table(parent.db, to, err);
	else if (rc == 0)
		rc = need_column(&parent, column, err);
	sql_table_release(&parent.table);
	if (rc < 0)
		return -1;
	sql_add_ident(&p->fail, p->column);
	buf_addstr(&p->fail, " NOT IN (SELECT ");
	sql_add_ident(&p->fail, column);
	buf_addstr(&p->fail, " FROM ");
	sql_add_ident(&p->fail, to);
	buf_addstr(&p->fail, " WHERE ");
	sql_add_ident(&p->fail, column);
	buf_addstr(&p->fail, " IS NOT NULL)");
	buf_addf(&p->detail, "exists in %s.%s", to, column);
	return 0;
}

/* ---- asking the database ------------------------------------------------------------- */

static int query_failed(const struct subject *s, struct err *err)
{
	struct buf list;

	conn_sqlite_error(s->db, err, "SQL");
	if (err_info(err->code)->transient || s->table.n == 0)
		return -1;
	buf_init(&list, 600);
	sql_table_names(&s->table, &list);
	size_t used = strlen(err->msg);
	snprintf(err->msg + used, sizeof err->msg - used, "; the columns of %s: %s", s->shown,
		list.data);
	buf_release(&list);
	return -1;
}

static int ask(struct plan *p, struct buf *sql, sqlite3_stmt **ret, struct err *err)
{
	*ret = NULL;
	if (buf_ok(sql, "the check's SQL", err) < 0)
		return -1;
	if (sqlite3_prepare_v2(p->subject->db, sql->data, -1, ret, NULL) != SQLITE_OK)
		return query_failed(p->subject, err);
	if (sqlscript_bind(*ret, p->binds, err) == 0)
		return 0;
	sqlite3_finalize(*ret);
	*ret = NULL;
	return -1;
}

/* Two numbers of one row. */
static int ask_counts(
	struct plan *p, struct buf *sql, int64_t *ret_a, int64_t *ret_b, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = 0;

	if (ask(p, sql, &stmt, err) < 0)
		return -1;
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		*ret_a = sqlite3_column_int64(stmt, 0);
		*ret_b = sqlite3_column_int64(stmt, 1);
	} else {
		rc = query_failed(p->subject, err);
	}
	sqlite3_finalize(stmt);
	return rc;
}

static void add_sample(json_t *sample, sqlite3_stmt *stmt)
{
	json_t *row = json_object();
	int n = sqlite3_column_count(stmt);

	for (int i = 0; i < n && i < CHECKS_SAMPLE_COLUMNS; i++) {
		const char *name = sqlite3_column_name(stmt, i);
		if (!json_object_get(row, name))
			json_object_set_new(row, name, support_column_json(stmt, i));
	}
	json_array_append_new(sample, row);
}

static int ask_sample(struct plan *p, struct buf *sql, struct finding *f, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc;

	if (ask(p, sql, &stmt, err) < 0)
		return -1;
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		add_sample(f->sample, stmt);
	rc = rc == SQLITE_DONE ? 0 : query_failed(p->subject, err);
	sqlite3_finalize(stmt);
	return rc;
}

/* ---- judging ------------------------------------------------------------------------- */

/* Cut, never rounded up: 99.999% must not read as 100%. */
static const char *percent_text(double fraction, char *buf, size_t size)
{
	double cut = floor(fraction * 10000 + 1e-7) / 100;

	snprintf(buf, size, "%.4g%%", cut);
	return buf;
}

static void judge_ratio(struct plan *p, int64_t total, int64_t failed, struct finding *f)
{
	const json_t *at_least = json_object_get(p->item, "at_least");
	double want = at_least ? json_number_value(at_least) : 1.0;
	double share = total ? (double)(total - failed) / (double)total : 1.0;
	char percent[32], of[32], pass[32];

	/* The slack is for fractions that are no binary numbers: 7 of 100 is 7%. */
	f->passed = want >= 1.0 ? failed == 0
				: (double)(total - failed) + 1e-9 * (double)total >=
					  want * (double)total;
	units_format_count(total - failed, pass, sizeof pass);
	units_format_count(total, of, sizeof of);
	if (total == 0)
		snprintf(f->observed, sizeof f->observed, "no rows to judge (100%%)");
	else
		snprintf(f->observed, sizeof f->observed, "%s of %s rows (%s)", pass, of,
			percent_text(share, percent, sizeof percent));
	if (at_least && want < 1.0)
		snprintf(f->expected, sizeof f->expected, "%.200s, at least %s of rows",
			p->detail.data, percent_text(want, percent, sizeof percent));
	else
		snprintf(f->expected, sizeof f->expected, "%.200s, all rows", p->detail.data);
}

static void add_sample_columns(struct plan *p, struct buf *sql)
{
	const struct sql_table *t = &p->subject->table;

	sql_add_ident(sql, p->column);
	for (size_t i = 0, n = 1; i < t->n && n < CHECKS_SAMPLE_COLUMNS; i++) {
		if (sqlite3_stricmp(t->columns[i].name, p->column) == 0)
			continue;
		buf_addstr(sql, ", ");
		sql_add_ident(sql, t->columns[i].name);
		n++;
	}
}

static int judge_rows(struct plan *p, struct finding *f, struct err *err)
{
	int64_t total = 0, failed = 0;
	struct buf sql;

	buf_init(&sql, BUF_MAX_TEXT);
	buf_addf(&sql, "SELECT count(*), count(CASE WHEN %s THEN 1 END) FROM %s WHERE %s",
		p->fail.data, p->subject->relation, p->scope.data);
	int rc = ask_counts(p, &sql, &total, &failed, err);
	if (rc == 0 && failed) {
		buf_clear(&sql);
		buf_addstr(&sql, "SELECT ");
		add_sample_columns(p, &sql);
		buf_addf(&sql, " FROM %s WHERE (%s) AND (%s) LIMIT %d", p->subject->relation,
			p->scope.data, p->fail.data, CHECKS_SAMPLE);
		rc = ask_sample(p, &sql, f, err);
	}
	buf_release(&sql);
	if (rc == 0)
		judge_ratio(p, total, failed, f);
	return rc;
}

static int judge_unique(struct plan *p, struct finding *f, struct err *err)
{
	int64_t total = 0, failed = 0;
	struct buf keys, sql;
	const json_t *v;
	size_t i;
	int rc = 0;

	buf_init(&keys, BUF_MAX_TEXT);
	buf_init(&sql, BUF_MAX_TEXT);
	json_array_foreach(p->arg, i, v)
	{
		rc = need_column(p->subject, json_string_value(v), err);
		if (rc < 0)
			goto out;
		buf_addstr(&keys, i ? ", " : "");
		sql_add_ident(&keys, json_string_value(v));
		buf_addstr(&p->scope, " AND ");
		sql_add_ident(&p->scope, json_string_value(v));
		buf_addstr(&p->scope, " IS NOT NULL");
	}
	buf_addstr(&p->detail, "unique");
	buf_addf(&sql,
		"SELECT coalesce(sum(n), 0), coalesce(sum(CASE WHEN n > 1 THEN n END), 0) FROM "
		"(SELECT count(*) AS n FROM %s WHERE %s GROUP BY %s)",
		p->subject->relation, p->scope.data, keys.data);
	rc = ask_counts(p, &sql, &total, &failed, err);
	if (rc == 0 && failed) {
		buf_clear(&sql);
		buf_addf(&sql,
			"SELECT %s, count(*) AS \"count(*)\" FROM %s WHERE %s GROUP BY %s HAVING "
			"count(*) > 1 ORDER BY count(*) DESC LIMIT %d",
			keys.data, p->subject->relation, p->scope.data, keys.data, CHECKS_SAMPLE);
		rc = ask_sample(p, &sql, f, err);
	}
	if (rc == 0)
		judge_ratio(p, total, failed, f);
out:
	buf_release(&keys);
	buf_release(&sql);
	return rc;
}

static int judge_row_count(struct plan *p, struct finding *f, struct err *err)
{
	const json_t *min = json_object_get(p->arg, "min"), *max = json_object_get(p->arg, "max"),
		     *equals = json_object_get(p->arg, "equals");
	int64_t lo = json_integer_value(equals ? equals : min), n = 0, unused;
	int64_t hi = equals || max ? json_integer_value(equals ? equals : max) : INT64_MAX;
	char a[32], b[32];
	struct buf sql;

	if (!min && !max && !equals)
		return err_set(err, ERR_INVALID, "row_count needs min, max or equals");
	buf_init(&sql, BUF_MAX_TEXT);
	buf_addf(&sql, "SELECT count(*), 0 FROM %s WHERE %s", p->subject->relation, p->scope.data);
	int rc = ask_counts(p, &sql, &n, &unused, err);
	buf_release(&sql);
	if (rc < 0)
		return -1;
	f->passed = n >= lo && n <= hi;
	units_format_count(lo, a, sizeof a);
	units_format_count(hi, b, sizeof b);
	if (equals)
		snprintf(f->expected, sizeof f->expected, "exactly %s rows", a);
	else if (max && min)
		snprintf(f->expected, sizeof f->expected, "%s to %s rows", a, b);
	else
		snprintf(f->expected, sizeof f->expected, "at %s %s rows", min ? "least" : "most",
			min ? a : b);
	snprintf(f->observed, sizeof f->observed, "%s rows", units_format_count(n, a, sizeof a));
	return 0;
}

static bool same_value(const json_t *a, const json_t *b)
{
	char ta[1024], tb[1024];

	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b);
	if (json_is_boolean(b) && json_is_integer(a))
		return json_integer_value(a) == json_is_true(b);
	support_json_text(a, ta, sizeof ta);
	support_json_text(b, tb, sizeof tb);
	return strcmp(ta, tb) == 0;
}

/* All rows of the user's query: how many, the first as a sample, the first value. */
static int read_query(
	sqlite3 *db, sqlite3_stmt *stmt, struct finding *f, int64_t *ret_rows, json_t **ret_first)
{
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (++*ret_rows == 1)
			*ret_first = support_column_json(stmt, 0);
		if (*ret_rows <= CHECKS_SAMPLE)
			add_sample(f->sample, stmt);
	}
	(void)db;
	return rc == SQLITE_DONE ? 0 : -1;
}

static int judge_sql(struct plan *p, struct finding *f, struct err *err)
{
	const json_t *expect = json_object_get(p->arg, "expect");
	struct sqlscript query;
	sqlite3_stmt *stmt;
	json_t *first = NULL;
	int64_t n = 0;
	char text[160];

	if (sqlscript_of(json_object_get(p->arg, "query"), &query, err) < 0 ||
		sqlscript_query(p->subject->db, &query, &stmt, err) < 0)
		return -1;
	int rc = read_query(p->subject->db, stmt, f, &n, &first);
	if (rc < 0)
		conn_sqlite_error(p->subject->db, err, "SQL");
	sqlite3_finalize(stmt);
	if (expect && n == 1) {
		f->passed = same_value(first, expect);
		snprintf(f->observed, sizeof f->observed, "%s",
			support_json_text(first, text, sizeof text));
	} else {
		f->passed = !expect && n == 0;
		snprintf(f->observed, sizeof f->observed, "%s rows",
			units_format_count(n, text, sizeof text));
	}
	snprintf(f->expected, sizeof f->expected, "%s",
		expect ? support_json_text(expect, text, sizeof text) : "no rows");
	if (f->passed)
		json_array_clear(f->sample);
	json_decref(first);
	return rc;
}

/* ---- the kinds ----------------------------------------------------------------------- */

struct check_kind {
	const char *key;
	bool skips_null; /* rows with NULL in the column are passed over */
	bool each_part;  /* the key's list is judged item by item */
	int (*plan)(struct plan *p, struct err *err); /* judges rows by a condition */
	int (*judge)(struct plan *p, struct finding *f, struct err *err); /* or by itself */
};

static const struct check_kind kinds[] = {
	{ "not_null", .each_part = true, .plan = plan_not_null },
	{ "unique", .judge = judge_unique },
	{ "accepted_values", .skips_null = true, .plan = plan_accepted },
	{ "range", .skips_null = true, .plan = plan_range },
	{ "pattern", .skips_null = true, .plan = plan_pattern },
	{ "length", .skips_null = true, .plan = plan_length },
	{ "row_count", .judge = judge_row_count },
	{ "sql", .judge = judge_sql },
	{ "relationships", .skips_null = true, .plan = plan_relationships },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const struct check_kind *check_kind_of(const json_t *item)
{
	for (size_t i = 0; i < KINDS; i++)
		if (json_object_get(item, kinds[i].key))
			return &kinds[i];
	return NULL;
}

const char *check_kind_key(const struct check_kind *kind)
{
	return kind->key;
}

const char *const *check_kind_keys(void)
{
	static const char *keys[KINDS + 1];

	for (size_t i = 0; i < KINDS; i++)
		keys[i] = kinds[i].key;
	return keys;
}

bool check_kind_has_ratio(const char *key)
{
	return strcmp(key, "row_count") != 0 && strcmp(key, "sql") != 0;
}

size_t check_parts(const struct check_kind *kind, const json_t *item)
{
	return kind->each_part ? json_array_size(json_object_get(item, kind->key)) : 1;
}

static const char *column_of(const struct check_kind *kind, const json_t *arg, size_t part)
{
	return kind->each_part ? json_string_value(json_array_get(arg, part))
			       : support_string(arg, "column");
}

void check_name(
	const struct check_kind *kind, const json_t *item, size_t part, char *buf, size_t size)
{
	const json_t *arg = json_object_get(item, kind->key), *v;
	const char *name = support_string(item, "name"), *column = column_of(kind, arg, part);
	struct buf text;
	size_t i;

	buf_init(&text, size - 1);
	buf_addstr(&text, name ? name : kind->key);
	if (json_is_array(arg) && !kind->each_part && !name) {
		json_array_foreach(arg, i, v)
			buf_addf(&text, "%s%s", i ? ", " : "(", json_string_value(v));
		buf_addc(&text, ')');
	} else if (column && (!name || check_parts(kind, item) > 1)) {
		buf_addf(&text, "(%s)", column);
	}
	snprintf(buf, size, "%s", text.data);
	buf_release(&text);
}

static int run_plan(const struct check_kind *kind, struct plan *p, size_t part, struct finding *f,
	struct err *err)
{
	if (start_scope(p, err) < 0)
		return -1;
	if (kind->judge)
		return kind->judge(p, f, err);
	p->column = column_of(kind, p->arg, part);
	if (need_column(p->subject, p->column, err) < 0)
		return -1;
	if (kind->skips_null) {
		buf_addstr(&p->scope, " AND ");
		sql_add_ident(&p->scope, p->column);
		buf_addstr(&p->scope, " IS NOT NULL");
	}
	return kind->plan(p, err) < 0 ? -1 : judge_rows(p, f, err);
}

int check_run(const struct check_kind *kind, const struct subject *s, const json_t *item,
	size_t part, struct finding *ret, struct err *err)
{
	struct plan p = { .subject = s, .item = item, .arg = json_object_get(item, kind->key) };

	*ret = (struct finding){ .sample = json_array() };
	p.binds = json_array();
	buf_init(&p.scope, BUF_MAX_TEXT);
	buf_init(&p.fail, BUF_MAX_TEXT);
	buf_init(&p.detail, BUF_MAX_TEXT);
	int rc = p.binds && ret->sample ? run_plan(kind, &p, part, ret, err) : err_nomem(err);
	plan_release(&p);
	if (rc < 0) {
		json_decref(ret->sample);
		ret->sample = NULL;
	}
	return rc;
}

/* ---- SQL functions ------------------------------------------------------------------- */

static void number_of(sqlite3_context *ctx, int argc, sqlite3_value **argv)
{
	(void)argc;
	/* numeric_type applies NUMERIC affinity to text: it stays text unless all of it is one. */
	int type = sqlite3_value_numeric_type(argv[0]);
	if (type == SQLITE_INTEGER || type == SQLITE_FLOAT)
		sqlite3_result_value(ctx, argv[0]);
}

int check_functions(sqlite3 *db, struct err *err)
{
	int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;

	if (sqlite3_create_function(db, "weir_number", 1, flags, NULL, number_of, NULL, NULL) !=
		SQLITE_OK)
		return conn_sqlite_error(db, err, "weir_number");
	return 0;
}
