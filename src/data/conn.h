/* Connections of weir.yaml, as a task sees them: JSON with secrets resolved.
 *
 * One row per type of connection: its name, the fields weir.yaml may hold (for its check and the
 * reference), and what it can do. Today: sqlite.
 */
#ifndef WEIR_DATA_CONN_H
#define WEIR_DATA_CONN_H

#include <jansson.h>

struct err;
struct field;
struct sqlite3;

struct conn_type {
	const char *name;
	const char *summary;
	const struct field *fields; /* conf/schema.h rows; "type" itself excluded */
};
extern const struct conn_type *const conn_types[]; /* NULL-ended */
const struct conn_type *conn_type_find(const char *name);

/* Open a SQLite connection: {"type": "sqlite", "path": "/abs/warehouse.db", "busy_timeout": us}.
 * The database's own journal mode is kept; foreign keys on; extensions off. ERR_BUSY when it stays
 * locked. */
int conn_open_sqlite(const json_t *conn, struct sqlite3 **ret, struct err *err);
/* The classified error of a failed SQLite call: BUSY and LOCKED are ERR_BUSY (transient), FULL and
 * IOERR ERR_IO, constraint ERR_DATA, else ERR_SQL. Returns -1. */
int conn_sqlite_error(struct sqlite3 *db, struct err *err, const char *what);

#endif
