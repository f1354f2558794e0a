#include "operators/quality/checks_impl.h"

#include <sqlite3.h>
#include <stdint.h>

#include "base/err.h"
#include "base/near.h"
#include "data/sqlscript.h"
#include "operators/quality/regex.h"
#include "operators/support.h"

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

int checks_need_column(const struct subject *s, const char *name, struct err *err)
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

int checks_start_scope(struct plan *p, struct err *err)
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

void checks_plan_release(struct plan *p)
{
	json_decref(p->binds);
	buf_release(&p->scope);
	buf_release(&p->fail);
	buf_release(&p->detail);
	regex_free(p->regex);
}

/* ---- kinds that judge rows ---------------------------------------------------------- */

int checks_plan_not_null(struct plan *p, struct err *err)
{
	(void)err;
	sql_add_ident(&p->fail, p->column);
	buf_addstr(&p->fail, " IS NULL");
	buf_addstr(&p->detail, "not NULL");
	return 0;
}

int checks_plan_accepted(struct plan *p, struct err *err)
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

int checks_plan_range(struct plan *p, struct err *err)
{
	add_bound(p, "min", "min_exclusive", "<");
	add_bound(p, "max", "max_exclusive", ">");
	if (p->fail.len == 0)
		return err_set(err, ERR_INVALID, "range needs min or max");
	return 0;
}

int checks_plan_pattern(struct plan *p, struct err *err)
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

int checks_plan_length(struct plan *p, struct err *err)
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

int checks_plan_relationships(struct plan *p, struct err *err)
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
		rc = checks_need_column(&parent, column, err);
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
