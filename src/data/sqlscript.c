#include "data/sqlscript.h"

#include <ctype.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "data/conn.h"

/* ---- reading over SQL ---------------------------------------------------------------- */

static const char *skip_comment(const char *p)
{
	if (p[0] == '-' && p[1] == '-')
		return p + strcspn(p, "\n");
	const char *end = strstr(p + 2, "*/");
	return end ? end + 2 : p + strlen(p);
}

static bool at_comment(const char *p)
{
	return (p[0] == '-' && p[1] == '-') || (p[0] == '/' && p[1] == '*');
}

/* Blanks, comments and empty statements. */
static const char *skip_blank(const char *p)
{
	for (;;) {
		if (isspace((unsigned char)*p) || *p == ';')
			p++;
		else if (at_comment(p))
			p = skip_comment(p);
		else
			return p;
	}
}

/* Behind the closing quote; a doubled quote is two quoted pieces, which comes to the same. */
static const char *skip_quoted(const char *p)
{
	char close = *p == '[' ? ']' : *p;
	const char *end = strchr(p + 1, close);

	return end ? end + 1 : p + strlen(p);
}

/* The first "?" without a number: it would silently be NULL. NULL: there is none. */
static const char *find_stray(const char *p, const char *end)
{
	while (p < end) {
		if (at_comment(p))
			p = skip_comment(p);
		else if (strchr("'\"`[", *p))
			p = skip_quoted(p);
		else if (*p == '?' && !isdigit((unsigned char)p[1]))
			return p;
		else
			p++;
	}
	return NULL;
}

/* Move line and col, the place of p, on to `to`. */
static void advance(const char *p, const char *to, int *line, int *col)
{
	for (; p < to && *p; p++) {
		if (*p == '\n') {
			++*line;
			*col = 1;
		} else if (((unsigned char)*p & 0xc0) != 0x80) {
			++*col;
		}
	}
}

/* ---- what a script may not do -------------------------------------------------------- */

struct guard {
	char refusal[200]; /* why the last statement was refused; "": it was not */
};

static int refuse(struct guard *g, const char *fmt, const char *what)
{
	if (!g->refusal[0]) {
		/* The formats are the literals below. */
		sqlite3_snprintf(sizeof g->refusal, g->refusal, fmt, what ? what : "");
	}
	return SQLITE_DENY;
}

/* Pragmas that only read, or that end with the transaction. */
static const char *const pragmas_read[] = { "table_info", "table_xinfo", "table_list", "index_list",
	"index_info", "index_xinfo", "foreign_key_list", "foreign_key_check", "integrity_check",
	"quick_check", "database_list", "collation_list", "function_list", "pragma_list",
	"compile_options", "user_version", "application_id", "schema_version", "encoding",
	"journal_mode", "foreign_keys", "page_size", "page_count", "freelist_count" };
static const char *const pragmas_with_value[] = { "table_info", "table_xinfo", "table_list",
	"index_list", "index_info", "index_xinfo", "foreign_key_list", "foreign_key_check",
	"integrity_check", "quick_check", "defer_foreign_keys", "user_version", "application_id" };

static bool pragma_allowed(const char *name, const char *value)
{
	const char *const *list = value ? pragmas_with_value : pragmas_read;
	size_t n = value ? sizeof pragmas_with_value / sizeof *list
			 : sizeof pragmas_read / sizeof *list;

	for (size_t i = 0; i < n; i++)
		if (sqlite3_stricmp(list[i], name) == 0)
			return true;
	return false;
}

static bool is_ledger(const char *table)
{
	return table && sqlite3_stricmp(table, "weir_ledger") == 0;
}

static int authorize(
	void *arg, int action, const char *a, const char *b, const char *database, const char *by)
{
	struct guard *g = arg;

	(void)database;
	(void)by;
	switch (action) {
	case SQLITE_TRANSACTION:
		return refuse(g,
			"%s: the whole script is one transaction already, which Weir begins and "
			"commits",
			a);
	case SQLITE_ATTACH:
	case SQLITE_DETACH:
		return refuse(g,
			"ATTACH, DETACH and VACUUM are not possible here: a task writes to one "
			"connection, in one transaction%s",
			NULL);
	case SQLITE_PRAGMA:
		return pragma_allowed(a, b) ? SQLITE_OK
					    : refuse(g, "PRAGMA %s is not allowed in a script", a);
	case SQLITE_INSERT:
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
	case SQLITE_DROP_TABLE:
		return is_ledger(a) ? refuse(g, "%s belongs to Weir: scripts may only read it", a)
				    : SQLITE_OK;
	case SQLITE_ALTER_TABLE:
		return is_ledger(b) ? refuse(g, "%s belongs to Weir: scripts may only read it", b)
				    : SQLITE_OK;
	default:
		return SQLITE_OK;
	}
}

/* ---- statements ---------------------------------------------------------------------- */

struct reader {
	sqlite3 *db;
	const struct sqlscript *script;
	struct guard guard;
};

/* Put the place of `at` to an error that has none. */
static int located(struct reader *r, const char *at, struct err *err)
{
	int line = 1, col = 1;

	if (!err || err->line)
		return -1;
	advance(r->script->text, at, &line, &col);
	if (r->script->file)
		return err_where(err, r->script->file, line, col);
	return err_context(err, "line %d:%d of the SQL", line, col);
}

static int prepare_failed(struct reader *r, const char *from, struct err *err)
{
	int offset = sqlite3_error_offset(r->db);
	const char *at = offset >= 0 ? from + offset : from;

	if (r->guard.refusal[0])
		err_set(err, ERR_SQL, "%s", r->guard.refusal);
	else
		conn_sqlite_error(r->db, err, r->script->file ? "SQL" : "error");
	return located(r, at, err);
}

static int bind_one(sqlite3_stmt *stmt, int at, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return sqlite3_bind_text(
			stmt, at, json_string_value(v), (int)json_string_length(v), SQLITE_STATIC);
	case JSON_INTEGER:
		return sqlite3_bind_int64(stmt, at, json_integer_value(v));
	case JSON_REAL:
		return sqlite3_bind_double(stmt, at, json_real_value(v));
	case JSON_TRUE:
	case JSON_FALSE:
		return sqlite3_bind_int(stmt, at, json_is_true(v));
	case JSON_NULL:
		return sqlite3_bind_null(stmt, at);
	default:
		return SQLITE_MISMATCH;
	}
}

/* Gaps in the numbering have no name; they stay unbound and unused. */
int sqlscript_bind(sqlite3_stmt *stmt, const json_t *binds, struct err *err)
{
	int n = sqlite3_bind_parameter_count(stmt);

	for (int i = 1; i <= n; i++) {
		const char *name = sqlite3_bind_parameter_name(stmt, i);
		if (!name)
			continue;
		const json_t *v = *name == '?' ? json_array_get(binds, (size_t)i - 1) : NULL;
		if (!v)
			return err_set(err, ERR_SQL,
				"the parameter %s has no value; write values as {{ ... }}", name);
		if (bind_one(stmt, i, v) != SQLITE_OK)
			return err_set(err, ERR_SQL, "the value of %s cannot be bound", name);
	}
	return 0;
}

static int prepare_next(struct reader *r, const char *from, const char **ret_tail,
	sqlite3_stmt **ret, struct err *err)
{
	r->guard.refusal[0] = '\0';
	if (sqlite3_prepare_v2(r->db, from, -1, ret, ret_tail) != SQLITE_OK)
		return prepare_failed(r, from, err);
	const char *stray = find_stray(from, *ret_tail);
	if (stray) {
		err_set(err, ERR_SQL, "a ? without a value; write values as {{ ... }}");
		located(r, stray, err);
	} else if (sqlscript_bind(*ret, r->script->binds, err) == 0) {
		return 0;
	} else {
		located(r, from, err);
	}
	sqlite3_finalize(*ret);
	*ret = NULL;
	return -1;
}

static size_t trimmed(const char *from, const char *tail)
{
	while (tail > from && (isspace((unsigned char)tail[-1]) || tail[-1] == ';'))
		tail--;
	return (size_t)(tail - from);
}

static int run_all(struct reader *r, sqlscript_fn *fn, void *arg, struct err *err)
{
	const char *from = skip_blank(r->script->text), *tail, *placed = r->script->text;
	struct sqlscript_statement s = { .line = 1, .col = 1 };

	for (; *from; from = skip_blank(tail)) {
		if (prepare_next(r, from, &tail, &s.stmt, err) < 0)
			return -1;
		s.number++;
		s.text = from;
		s.len = trimmed(from, tail);
		advance(placed, from, &s.line, &s.col);
		placed = from;
		int rc = fn(arg, &s, err);
		sqlite3_finalize(s.stmt);
		if (rc < 0)
			return located(r, from, err);
	}
	if (s.number == 0) {
		err_set(err, ERR_SQL, "there is no statement in it");
		return located(r, r->script->text, err);
	}
	return (int)s.number;
}

int sqlscript_each(
	sqlite3 *db, const struct sqlscript *s, sqlscript_fn *fn, void *arg, struct err *err)
{
	struct reader r = { .db = db, .script = s };

	sqlite3_set_authorizer(db, authorize, &r.guard);
	int rc = run_all(&r, fn, arg, err);
	sqlite3_set_authorizer(db, NULL, NULL);
	return rc;
}

static int prepare_query(struct reader *r, sqlite3_stmt **ret, struct err *err)
{
	const char *from = skip_blank(r->script->text), *tail;
	const char *wrong = NULL, *at = from;

	if (!*from) {
		err_set(err, ERR_SQL, "the query is empty");
		return located(r, from, err);
	}
	if (prepare_next(r, from, &tail, ret, err) < 0)
		return -1;
	tail = skip_blank(tail);
	if (sqlite3_column_count(*ret) == 0 || !sqlite3_stmt_readonly(*ret))
		wrong = "a query is needed here (SELECT ...), which reads and changes nothing";
	else if (*tail) {
		wrong = "one query is needed here, and a second statement follows";
		at = tail;
	}
	if (!wrong)
		return 0;
	err_set(err, ERR_SQL, "%s", wrong);
	sqlite3_finalize(*ret);
	*ret = NULL;
	return located(r, at, err);
}

int sqlscript_query(sqlite3 *db, const struct sqlscript *s, sqlite3_stmt **ret, struct err *err)
{
	struct reader r = { .db = db, .script = s };

	*ret = NULL;
	sqlite3_set_authorizer(db, authorize, &r.guard);
	int rc = prepare_query(&r, ret, err);
	sqlite3_set_authorizer(db, NULL, NULL);
	return rc;
}

int sqlscript_of(const json_t *value, struct sqlscript *ret, struct err *err)
{
	*ret = (struct sqlscript){
		.text = json_string_value(json_object_get(value, "text")),
		.binds = json_object_get(value, "binds"),
		.file = json_string_value(json_object_get(value, "file")),
	};
	if (!ret->text)
		return err_set(err, ERR_INTERNAL, "the SQL has no text");
	return 0;
}
