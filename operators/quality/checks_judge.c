#include "operators/quality/checks_impl.h"

#include <math.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/units.h"
#include "data/conn.h"
#include "data/sqlscript.h"
#include "operators/support.h"

/* ---- asking the database ------------------------------------------------------------ */

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

/* ---- judging ------------------------------------------------------------------------ */

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

int checks_judge_rows(struct plan *p, struct finding *f, struct err *err)
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

int checks_judge_unique(struct plan *p, struct finding *f, struct err *err)
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
		rc = checks_need_column(p->subject, json_string_value(v), err);
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

int checks_judge_row_count(struct plan *p, struct finding *f, struct err *err)
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

int checks_judge_sql(struct plan *p, struct finding *f, struct err *err)
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
