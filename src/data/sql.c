#include "data/sql.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/near.h"
#include "data/conn.h"

#define COLUMNS_MAX_BYTES (8u << 20)

int sql_exec(sqlite3 *db, struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = sqlite3_vmprintf(fmt, ap);
	va_end(ap);
	if (!text)
		return err_nomem(err);
	int rc = sqlite3_exec(db, text, NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		conn_sqlite_error(db, err, text);
	sqlite3_free(text);
	return rc == SQLITE_OK ? 0 : -1;
}

static int vprepare(sqlite3 *db, sqlite3_stmt **ret, struct err *err, const char *fmt, va_list ap)
{
	char *text = sqlite3_vmprintf(fmt, ap);

	*ret = NULL;
	if (!text)
		return err_nomem(err);
	int rc = sqlite3_prepare_v2(db, text, -1, ret, NULL);
	if (rc != SQLITE_OK)
		conn_sqlite_error(db, err, text);
	sqlite3_free(text);
	return rc == SQLITE_OK ? 0 : -1;
}

int sql_prepare(sqlite3 *db, sqlite3_stmt **ret, struct err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int rc = vprepare(db, ret, err, fmt, ap);
	va_end(ap);
	return rc;
}

int sql_step_done(sqlite3 *db, sqlite3_stmt *stmt, struct err *err, const char *what)
{
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		;
	if (rc != SQLITE_DONE)
		conn_sqlite_error(db, err, what);
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? 0 : -1;
}

int sql_int(sqlite3 *db, int64_t *ret, struct err *err, const char *fmt, ...)
{
	sqlite3_stmt *stmt;
	va_list ap;

	va_start(ap, fmt);
	int rc = vprepare(db, &stmt, err, fmt, ap);
	va_end(ap);
	if (rc < 0)
		return -1;
	int step = sqlite3_step(stmt);
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		rc = conn_sqlite_error(db, err, sqlite3_sql(stmt));
	else
		*ret = step == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : 0;
	sqlite3_finalize(stmt);
	return rc;
}

int sql_add_quoted(struct buf *out, const char *name)
{
	int rc = 0;

	for (const char *p = name; *p; p++) {
		if (*p == '"')
			buf_addc(out, '"');
		rc = buf_addc(out, *p);
	}
	return rc;
}

int sql_add_ident(struct buf *out, const char *name)
{
	buf_addc(out, '"');
	sql_add_quoted(out, name);
	return buf_addc(out, '"');
}

/* In the order in which SQLite applies its rules; the first that is contained decides. */
static const struct {
	const char *part;
	enum sql_affinity affinity;
} affinity_rules[] = {
	{ "INT", SQL_INTEGER },
	{ "CHAR", SQL_TEXT },
	{ "CLOB", SQL_TEXT },
	{ "TEXT", SQL_TEXT },
	{ "BLOB", SQL_NONE },
	{ "REAL", SQL_REAL },
	{ "FLOA", SQL_REAL },
	{ "DOUB", SQL_REAL },
};

enum sql_affinity sql_affinity_of(const char *declared_type)
{
	if (!declared_type || !*declared_type || strcasecmp(declared_type, "ANY") == 0)
		return SQL_NONE;
	for (size_t i = 0; i < sizeof affinity_rules / sizeof *affinity_rules; i++)
		if (strcasestr(declared_type, affinity_rules[i].part))
			return affinity_rules[i].affinity;
	return SQL_NUMERIC;
}

enum { XINFO_NAME = 1, XINFO_TYPE, XINFO_NOT_NULL, XINFO_DEFAULT, XINFO_PK, XINFO_HIDDEN };

static int read_columns(sqlite3 *db, sqlite3_stmt *stmt, struct sql_table *t, struct err *err)
{
	size_t cap = 0;
	int rc;

	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (t->n == cap) {
			size_t more = cap ? cap * 2 : 16;
			struct sql_column *list = arena_array(&t->arena, more, sizeof *list);
			if (!list)
				return err_nomem(err);
			if (t->n)
				memcpy(list, t->columns, t->n * sizeof *list);
			t->columns = list;
			cap = more;
		}
		const char *name = (const char *)sqlite3_column_text(stmt, XINFO_NAME);
		const char *type = (const char *)sqlite3_column_text(stmt, XINFO_TYPE);
		struct sql_column *c = &t->columns[t->n];
		c->name = arena_strdup(&t->arena, name ? name : "");
		c->type = arena_strdup(&t->arena, type ? type : "");
		if (!c->name || !c->type)
			return err_nomem(err);
		c->affinity = sql_affinity_of(c->type);
		c->not_null = sqlite3_column_int(stmt, XINFO_NOT_NULL);
		c->has_default = sqlite3_column_type(stmt, XINFO_DEFAULT) != SQLITE_NULL;
		c->pk = sqlite3_column_int(stmt, XINFO_PK);
		c->generated = sqlite3_column_int(stmt, XINFO_HIDDEN) != 0;
		t->n++;
	}
	return rc == SQLITE_DONE ? 0 : conn_sqlite_error(db, err, "reading the table's columns");
}

int sql_table_read(sqlite3 *db, const char *name, struct sql_table *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	int64_t views = 0;

	*ret = (struct sql_table){ 0 };
	arena_init(&ret->arena, COLUMNS_MAX_BYTES);
	if (sql_prepare(db, &stmt, err, "PRAGMA table_xinfo(\"%w\")", name) < 0)
		return -1;
	int rc = read_columns(db, stmt, ret, err);
	sqlite3_finalize(stmt);
	if (rc == 0)
		rc = sql_int(db, &views, err,
			"SELECT count(*) FROM sqlite_schema WHERE type = 'view' AND lower(name) = "
			"lower(%Q)",
			name);
	ret->is_view = views > 0;
	return rc;
}

void sql_table_release(struct sql_table *t)
{
	arena_release(&t->arena);
	t->columns = NULL;
	t->n = 0;
}

const struct sql_column *sql_table_find(const struct sql_table *t, const char *column)
{
	for (size_t i = 0; i < t->n; i++)
		if (sqlite3_stricmp(t->columns[i].name, column) == 0)
			return &t->columns[i];
	return NULL;
}

void sql_table_names(const struct sql_table *t, struct buf *out)
{
	for (size_t i = 0; i < t->n; i++)
		buf_addf(out, "%s%s", i ? ", " : "", t->columns[i].name);
}

int sql_no_table(sqlite3 *db, const char *name, struct err *err)
{
	static const char all[] = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') "
				  "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
	const char *names[256], *near;
	struct arena arena;
	sqlite3_stmt *stmt;
	size_t n = 0;

	if (sql_prepare(db, &stmt, err, "%s", all) < 0)
		return -1;
	arena_init(&arena, 1u << 20);
	while (n < sizeof names / sizeof *names && sqlite3_step(stmt) == SQLITE_ROW)
		names[n++] = arena_strdup(&arena, (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	near = near_find(name, names, n);
	if (near)
		err_set(err, ERR_NOT_FOUND, "there is no table %s; did you mean %s?", name, near);
	else
		err_set(err, ERR_NOT_FOUND,
			"there is no table %s; is the task that makes it among this one's needs?",
			name);
	arena_release(&arena);
	return -1;
}

const char *sql_table_of(const char *connection_table)
{
	const char *dot = strchr(connection_table, '.');

	return dot ? dot + 1 : NULL;
}
