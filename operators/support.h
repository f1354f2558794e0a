/* What several operators share: finding connections, and the tables printed to the log. */
#ifndef WEIR_OPERATORS_SUPPORT_H
#define WEIR_OPERATORS_SUPPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/digest.h"
#include "base/err.h"

struct operator_check;
struct operator_job;
struct sqlite3;
struct sqlite3_stmt;

const char *support_string(const json_t *with, const char *key); /* NULL: absent */
bool support_bool(const json_t *with, const char *key, bool def);
/* The index of the parameter's text in a NULL-ended list; `def` when it is absent or not there. */
int support_index(const json_t *with, const char *key, const char *const *names, int def);
/* The texts of a list, NULL-ended, borrowed from it; the array is the caller's to free. */
int support_names(const json_t *list, const char ***ret, struct err *err);

/* The connection of that name, borrowed; NULL with err. */
const json_t *support_conn(const struct operator_job *job, const char *name, struct err *err);
/* "connection.table" to both, borrowed. */
int support_table(const struct operator_job *job, const char *name, const json_t **ret_conn,
	const char **ret_table, struct err *err);
/* Open a database to read from it: unlike conn_open_sqlite, one that does not exist is an error. */
int support_open_existing(const json_t *conn, struct sqlite3 **ret, struct err *err);
/* The query that an operator reads from, prepared: `table` ("connection.table") or `connection` and
 * `query` of its parameters. ret_conn may be NULL. */
int support_open_source(const struct operator_job *job, const char *table_key,
	struct sqlite3 **ret_db, struct sqlite3_stmt **ret, const json_t **ret_conn,
	struct err *err);

/* SHA-256 of the rendered parameters: what a task is asked to do. */
int support_digest(const json_t *with, char ret[DIGEST_HEX], struct err *err);

/* Copy the rows of a FIELD_SQL query, which support_open_source found good, to the temporary table
 * SUPPORT_COPY. */
#define SUPPORT_COPY "temp.weir_rows"
int support_copy_query(struct sqlite3 *db, const json_t *query, struct err *err);

/* At validation: exactly one of the two keys. */
void support_check_either(const struct operator_check *c, const char *a, const char *b);
/* At validation: what support_open_source takes, exactly one of `table_key` and `query`, the latter
 * with `connection`. */
void support_check_source(const struct operator_check *c, const char *table_key);

/* Print a line to the log. */
void support_note(const char *text);

/* A new JSON value of a column of the current row; a BLOB as hex. NULL: out of memory. */
json_t *support_column_json(struct sqlite3_stmt *stmt, int column);
/* Text of a JSON value for people: strings bare, null as NULL; into buf, cut with "..." */
const char *support_json_text(const json_t *v, char *buf, size_t size);

/* A table of text, printed with aligned columns. */
struct text_table {
	struct arena arena;
	size_t ncolumns, n, cap;
	const char **cells; /* n rows of ncolumns */
	const char *const *heads;
	bool *is_number; /* columns set to the right */
};
void text_table_init(struct text_table *t, const char *const *heads, size_t ncolumns);
void text_table_release(struct text_table *t);
/* Append a row of ncolumns cells (copied, made harmless, cut at 60 characters); NULL is blank. */
void text_table_add(struct text_table *t, const char *const *cells);
void text_table_right(struct text_table *t, size_t column);
/* Print to stdout, each line after `indent` blanks. */
void text_table_print(const struct text_table *t, int indent);

#endif
