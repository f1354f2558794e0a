/* SQL scripts: many statements, with bound values, run one after the other.
 *
 * Values come from templates: the text holds ?1 ... ?N, numbered through the whole script, and
 * `binds` their values. Each statement gets those it names.
 *
 * A script runs inside a transaction that its caller began, so it may not begin, commit or roll
 * back, attach databases, change settings by PRAGMA, or write the ledger. SAVEPOINTs are fine.
 */
#ifndef WEIR_DATA_SQLSCRIPT_H
#define WEIR_DATA_SQLSCRIPT_H

#include <jansson.h>
#include <stddef.h>

struct err;
struct sqlite3;
struct sqlite3_stmt;

struct sqlscript {
	const char *text;
	const json_t *binds; /* array; NULL: none */
	const char *file;    /* for messages; NULL: the SQL stands in the DAG file */
};

/* From the JSON of a FIELD_SQL or FIELD_SQL_FILE value, which must outlive it. */
int sqlscript_of(const json_t *value, struct sqlscript *ret, struct err *err);

struct sqlscript_statement {
	struct sqlite3_stmt *stmt; /* prepared and bound, not stepped */
	size_t number;             /* from 1 */
	const char *text;          /* from its first word; not NUL-terminated */
	size_t len;                /* without the blanks and the semicolon behind it */
	int line, col;             /* in the script, 1-based */
};

/* Called for each statement, which is finalized afterwards. An error without a place gets that of
 * the statement. */
typedef int sqlscript_fn(void *arg, const struct sqlscript_statement *s, struct err *err);

/* Prepare, bind and hand over each statement in turn. Errors are ERR_SQL (or as
 * conn_sqlite_error), at the line and column in the script (err_where with a file, else in the
 * message). Returns the number of statements, or -1. A script without any is an error. */
int sqlscript_each(struct sqlite3 *db, const struct sqlscript *s, sqlscript_fn *fn, void *arg,
	struct err *err);

/* Bind the values that a statement names, borrowed until it is finalized. */
int sqlscript_bind(struct sqlite3_stmt *stmt, const json_t *binds, struct err *err);

/* A query: exactly one statement, which reads and returns columns. The caller finalizes it. */
int sqlscript_query(
	struct sqlite3 *db, const struct sqlscript *s, struct sqlite3_stmt **ret, struct err *err);

#endif
