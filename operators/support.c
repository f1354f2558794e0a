#include "operators/support.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/near.h"
#include "base/node.h"
#include "base/utf8.h"
#include "conf/diag.h"
#include "data/conn.h"
#include "data/sql.h"
#include "data/sqlscript.h"
#include "operators/operators.h"

#define CELL_CHARS 60
#define TABLE_MAX_BYTES (4u << 20)

/* ---- parameters and connections ------------------------------------------------------ */

const char *support_string(const json_t *with, const char *key)
{
	return json_string_value(json_object_get(with, key));
}

bool support_bool(const json_t *with, const char *key, bool def)
{
	const json_t *v = json_object_get(with, key);

	return v ? json_is_true(v) : def;
}

int support_index(const json_t *with, const char *key, const char *const *names, int def)
{
	const char *text = support_string(with, key);

	for (int i = 0; text && names[i]; i++)
		if (strcmp(names[i], text) == 0)
			return i;
	return def;
}

int support_names(const json_t *list, const char ***ret, struct err *err)
{
	size_t n = json_array_size(list);
	const char **names = calloc(n + 1, sizeof *names);

	*ret = NULL;
	if (!names)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		names[i] = json_string_value(json_array_get(list, i));
	*ret = names;
	return 0;
}

const json_t *support_conn(const struct operator_job *job, const char *name, struct err *err)
{
	const json_t *conn = json_object_get(job->connections, name);

	if (!conn)
		err_set(err, ERR_NOT_FOUND, "there is no connection %s in weir.yaml", name);
	return conn;
}

int support_table(const struct operator_job *job, const char *name, const json_t **ret_conn,
	const char **ret_table, struct err *err)
{
	const char *table = name ? sql_table_of(name) : NULL;
	char conn_name[160];

	if (!table || !*table || (size_t)(table - name) > sizeof conn_name)
		return err_set(err, ERR_INVALID, "%s: a table is written CONNECTION.TABLE",
			name ? name : "(nothing)");
	snprintf(conn_name, sizeof conn_name, "%.*s", (int)(table - name) - 1, name);
	*ret_conn = support_conn(job, conn_name, err);
	*ret_table = table;
	return *ret_conn ? 0 : -1;
}

int support_open_existing(const json_t *conn, sqlite3 **ret, struct err *err)
{
	const char *path = support_string(conn, "path");

	*ret = NULL;
	if (path && !io_exists(path))
		return err_set(err, ERR_NOT_FOUND,
			"the database %s does not exist; is the task that fills it among this "
			"one's needs?",
			path);
	return conn_open_sqlite(conn, ret, err);
}

static int prepare_table(sqlite3 *db, const char *table, sqlite3_stmt **ret, struct err *err)
{
	struct sql_table have;
	int rc = sql_table_read(db, table, &have, err);

	if (rc == 0 && have.n == 0)
		rc = sql_no_table(db, table, err);
	sql_table_release(&have);
	return rc < 0 ? -1 : sql_prepare(db, ret, err, "SELECT * FROM \"%w\"", table);
}

int support_open_source(const struct operator_job *job, const char *table_key, sqlite3 **ret_db,
	sqlite3_stmt **ret, const json_t **ret_conn, struct err *err)
{
	const char *name = support_string(job->with, table_key), *table = NULL;
	const json_t *conn = NULL;
	struct sqlscript query;
	int rc = 0;

	*ret_db = NULL;
	*ret = NULL;
	if (name)
		rc = support_table(job, name, &conn, &table, err);
	else if (!(name = support_string(job->with, "connection")))
		rc = err_set(err, ERR_INVALID, "either %s, or connection and query, is needed",
			table_key);
	else
		conn = support_conn(job, name, err);
	if (rc < 0 || !conn || support_open_existing(conn, ret_db, err) < 0)
		return -1;
	if (table)
		rc = prepare_table(*ret_db, table, ret, err);
	else {
		rc = sqlscript_of(json_object_get(job->with, "query"), &query, err);
		if (rc == 0)
			rc = sqlscript_query(*ret_db, &query, ret, err);
	}
	if (rc < 0) {
		sqlite3_close(*ret_db);
		*ret_db = NULL;
		return -1;
	}
	if (ret_conn)
		*ret_conn = conn;
	return 0;
}

int support_digest(const json_t *with, char ret[DIGEST_HEX], struct err *err)
{
	char *text = json_dumps(with, JSON_COMPACT | JSON_SORT_KEYS);
	int rc = text ? digest_of(text, strlen(text), ret) : -1;

	free(text);
	return rc < 0 ? err_nomem(err) : 0;
}

int support_copy_query(sqlite3 *db, const json_t *query, struct err *err)
{
	struct sqlscript script;
	sqlite3_stmt *stmt;

	if (sqlscript_of(query, &script, err) < 0 ||
		sql_prepare(db, &stmt, err, "CREATE TABLE " SUPPORT_COPY " AS %s", script.text) < 0)
		return -1;
	int rc = sqlscript_bind(stmt, script.binds, err);
	if (rc == 0)
		rc = sql_step_done(db, stmt, err, "running the query");
	sqlite3_finalize(stmt);
	return rc;
}

/* ---- validation ---------------------------------------------------------------------- */

void support_check_either(const struct operator_check *c, const char *a, const char *b)
{
	const struct node *ka = node_key(c->with, a), *kb = node_key(c->with, b);

	if (ka && kb) {
		diag_node(c->diags, DIAG_ERROR, kb, "\"%s\" and \"%s\" exclude each other", a, b);
		diag_hint(c->diags, "keep one of them");
	} else if (!ka && !kb) {
		diag_node(c->diags, DIAG_ERROR, c->with, "either \"%s\" or \"%s\" is needed", a, b);
	}
}

static void need_beside(const struct operator_check *c, const char *key, const char *needs)
{
	const struct node *k = node_key(c->with, key);

	if (k && !node_get(c->with, needs))
		diag_node(c->diags, DIAG_ERROR, k, "\"%s\" needs \"%s\" beside it", key, needs);
}

void support_check_source(const struct operator_check *c, const char *table_key)
{
	support_check_either(c, table_key, "query");
	need_beside(c, "query", "connection");
	need_beside(c, "connection", "query");
}

void support_note(const char *text)
{
	printf("%s\n", text);
}

/* ---- values -------------------------------------------------------------------------- */

static json_t *blob_json(const unsigned char *data, size_t len)
{
	struct buf hex;

	buf_init(&hex, BUF_MAX_TEXT);
	for (size_t i = 0; i < len; i++)
		buf_addf(&hex, "%02x", data[i]);
	json_t *v = hex.failed ? NULL : json_stringn(hex.data, hex.len);
	buf_release(&hex);
	return v;
}

/* JSON must be UTF-8; what is not becomes U+FFFD. */
static json_t *text_json(const char *s, size_t len)
{
	json_t *v = json_stringn(s, len);
	struct buf clean;

	if (v)
		return v;
	buf_init(&clean, BUF_MAX_TEXT);
	for (size_t at = 0; at < len;) {
		size_t n = utf8_char(s + at, len - at, NULL);
		if (n)
			buf_add(&clean, s + at, n);
		else
			buf_addstr(&clean, "\xef\xbf\xbd");
		at += n ? n : 1;
	}
	v = clean.failed ? NULL : json_stringn(clean.data, clean.len);
	buf_release(&clean);
	return v;
}

json_t *support_column_json(sqlite3_stmt *stmt, int column)
{
	double f;

	switch (sqlite3_column_type(stmt, column)) {
	case SQLITE_INTEGER:
		return json_integer(sqlite3_column_int64(stmt, column));
	case SQLITE_FLOAT:
		f = sqlite3_column_double(stmt, column);
		return isfinite(f) ? json_real(f) : json_string(f > 0 ? "Infinity" : "-Infinity");
	case SQLITE_TEXT:
		return text_json((const char *)sqlite3_column_text(stmt, column),
			(size_t)sqlite3_column_bytes(stmt, column));
	case SQLITE_BLOB:
		return blob_json(sqlite3_column_blob(stmt, column),
			(size_t)sqlite3_column_bytes(stmt, column));
	default:
		return json_null();
	}
}

const char *support_json_text(const json_t *v, char *buf, size_t size)
{
	switch (v ? json_typeof(v) : JSON_NULL) {
	case JSON_STRING:
		snprintf(buf, size, "%s", json_string_value(v));
		break;
	case JSON_INTEGER:
		snprintf(buf, size, "%lld", (long long)json_integer_value(v));
		break;
	case JSON_REAL:
		snprintf(buf, size, "%.15g", json_real_value(v));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		snprintf(buf, size, "%s", json_is_true(v) ? "true" : "false");
		break;
	default:
		snprintf(buf, size, "NULL");
	}
	if (strlen(buf) == size - 1 && size > 4)
		memcpy(buf + size - 4, "...", 4);
	utf8_clean(buf, strlen(buf));
	return buf;
}

/* ---- tables of text ------------------------------------------------------------------ */

void text_table_init(struct text_table *t, const char *const *heads, size_t ncolumns)
{
	*t = (struct text_table){ .ncolumns = ncolumns, .heads = heads };
	arena_init(&t->arena, TABLE_MAX_BYTES);
	t->is_number = arena_array(&t->arena, ncolumns ? ncolumns : 1, sizeof *t->is_number);
}

void text_table_release(struct text_table *t)
{
	arena_release(&t->arena);
}

void text_table_right(struct text_table *t, size_t column)
{
	if (t->is_number)
		t->is_number[column] = true;
}

/* The bytes of the first n characters of s. */
static size_t bytes_of_chars(const char *s, size_t len, size_t n)
{
	size_t at = 0;

	while (n-- && at < len) {
		size_t step = utf8_char(s + at, len - at, NULL);
		at += step ? step : 1;
	}
	return at;
}

static const char *make_cell(struct text_table *t, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (utf8_count(text ? text : "", len) <= CELL_CHARS) {
		char *cell = arena_strndup(&t->arena, text ? text : "", len);
		if (cell)
			utf8_clean(cell, len);
		return cell;
	}
	size_t cut = bytes_of_chars(text, len, CELL_CHARS - 3);
	char *cell = arena_printf(&t->arena, "%.*s...", (int)cut, text);
	if (cell)
		utf8_clean(cell, strlen(cell));
	return cell;
}

void text_table_add(struct text_table *t, const char *const *cells)
{
	if (t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 16;
		const char **grown = arena_array(&t->arena, cap * t->ncolumns, sizeof *grown);
		if (!grown)
			return;
		if (t->n)
			memcpy(grown, t->cells, t->n * t->ncolumns * sizeof *grown);
		t->cells = grown;
		t->cap = cap;
	}
	for (size_t i = 0; i < t->ncolumns; i++)
		t->cells[t->n * t->ncolumns + i] = make_cell(t, cells[i]);
	t->n++;
}

static size_t width_of(const char *s)
{
	return s ? utf8_count(s, strlen(s)) : 0;
}

static void print_cell(const char *s, size_t width, bool right, bool last)
{
	size_t w = width_of(s);
	int pad = w < width ? (int)(width - w) : 0;

	if (right)
		printf("%*s%s", pad, "", s ? s : "");
	else
		printf("%s%*s", s ? s : "", last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", stdout);
}

static void print_row(
	const struct text_table *t, const char *const *cells, const size_t *widths, int indent)
{
	printf("%*s", indent, "");
	for (size_t i = 0; i < t->ncolumns; i++)
		print_cell(
			cells[i], widths[i], t->is_number && t->is_number[i], i + 1 == t->ncolumns);
}

void text_table_print(const struct text_table *t, int indent)
{
	size_t *widths = calloc(t->ncolumns + 1, sizeof *widths);

	if (!widths)
		return;
	for (size_t i = 0; i < t->ncolumns; i++) {
		widths[i] = width_of(t->heads[i]);
		for (size_t r = 0; r < t->n; r++) {
			size_t w = width_of(t->cells[r * t->ncolumns + i]);
			widths[i] = w > widths[i] ? w : widths[i];
		}
	}
	print_row(t, t->heads, widths, indent);
	for (size_t r = 0; r < t->n; r++)
		print_row(t, &t->cells[r * t->ncolumns], widths, indent);
	free(widths);
}
