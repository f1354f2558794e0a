#include "operators/quality/checks.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "data/conn.h"
#include "operators/quality/checks_impl.h"
#include "operators/support.h"

struct check_kind {
	const char *key;
	bool skips_null; /* rows with NULL in the column are passed over */
	bool each_part;  /* the key's list is judged item by item */
	int (*plan)(struct plan *p, struct err *err); /* judges rows by a condition */
	int (*judge)(struct plan *p, struct finding *f, struct err *err); /* or by itself */
};

static const struct check_kind kinds[] = {
	{ "not_null", .each_part = true, .plan = checks_plan_not_null },
	{ "unique", .judge = checks_judge_unique },
	{ "accepted_values", .skips_null = true, .plan = checks_plan_accepted },
	{ "range", .skips_null = true, .plan = checks_plan_range },
	{ "pattern", .skips_null = true, .plan = checks_plan_pattern },
	{ "length", .skips_null = true, .plan = checks_plan_length },
	{ "row_count", .judge = checks_judge_row_count },
	{ "sql", .judge = checks_judge_sql },
	{ "relationships", .skips_null = true, .plan = checks_plan_relationships },
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
	if (checks_start_scope(p, err) < 0)
		return -1;
	if (kind->judge)
		return kind->judge(p, f, err);
	p->column = column_of(kind, p->arg, part);
	if (checks_need_column(p->subject, p->column, err) < 0)
		return -1;
	if (kind->skips_null) {
		buf_addstr(&p->scope, " AND ");
		sql_add_ident(&p->scope, p->column);
		buf_addstr(&p->scope, " IS NOT NULL");
	}
	return kind->plan(p, err) < 0 ? -1 : checks_judge_rows(p, f, err);
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
	checks_plan_release(&p);
	if (rc < 0) {
		json_decref(ret->sample);
		ret->sample = NULL;
	}
	return rc;
}

/* ---- SQL functions ------------------------------------------------------------------ */

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
