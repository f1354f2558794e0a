/* Small things around SQLite that all writers and readers of tables share.
 *
 * The formats are those of sqlite3_mprintf: %w inside double quotes for an identifier, %Q for a
 * text literal. Errors are classified by conn_sqlite_error.
 */
#ifndef WEIR_DATA_SQL_H
#define WEIR_DATA_SQL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct buf;
struct err;
struct sqlite3;
struct sqlite3_stmt;

/* Run statements that return no rows. */
int sql_exec(struct sqlite3 *db, struct err *err, const char *fmt, ...);
/* Prepare one statement; the caller finalizes it. */
int sql_prepare(
	struct sqlite3 *db, struct sqlite3_stmt **ret, struct err *err, const char *fmt, ...);
/* Step a statement that returns no rows, and reset it. */
int sql_step_done(struct sqlite3 *db, struct sqlite3_stmt *stmt, struct err *err, const char *what);
/* The first column of the first row of a query, 0 when there is none. */
int sql_int(struct sqlite3 *db, int64_t *ret, struct err *err, const char *fmt, ...);

int sql_add_ident(struct buf *out, const char *name);  /* name -> "name", quotes doubled */
int sql_add_quoted(struct buf *out, const char *name); /* the same without the outer quotes */

/* SQLite's type affinities (datatype3.html, 3.1). */
enum sql_affinity { SQL_NONE, SQL_TEXT, SQL_NUMERIC, SQL_INTEGER, SQL_REAL, SQL_AFFINITY_MAX };
enum sql_affinity sql_affinity_of(const char *declared_type);

struct sql_column {
	const char *name, *type; /* type as declared, "" for none */
	enum sql_affinity affinity;
	bool not_null, has_default, generated;
	int pk; /* 1-based place in the primary key, 0: not in it */
};

struct sql_table {
	struct arena arena;
	bool is_view; /* or anything else that rows cannot be written to */
	struct sql_column *columns;
	size_t n; /* 0: there is no such table */
};

/* What the database knows of a table or view. Release it in every case. */
int sql_table_read(struct sqlite3 *db, const char *name, struct sql_table *ret, struct err *err);
void sql_table_release(struct sql_table *t);
/* By name as SQLite compares names: ASCII case does not matter. NULL: none. */
const struct sql_column *sql_table_find(const struct sql_table *t, const char *column);
/* Append "a, b, c". */
void sql_table_names(const struct sql_table *t, struct buf *out);
/* ERR_NOT_FOUND naming the table nearest to it. Returns -1. */
int sql_no_table(struct sqlite3 *db, const char *name, struct err *err);

/* The part behind the dot of "connection.table"; NULL without a dot. Borrowed. */
const char *sql_table_of(const char *connection_table);

#endif
