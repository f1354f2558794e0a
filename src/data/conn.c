#include "data/conn.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "base/units.h"
#include "conf/schema.h"

/* Long enough for the bulk load of a neighbour in the same warehouse; a task's own timeout
 * cuts it short. */
#define BUSY_TIMEOUT_DEFAULT "10m"
#define BUSY_TIMEOUT_DEFAULT_US (10 * US_PER_MINUTE)
#define CACHE_KIB 16384

static const struct field sqlite_fields[] = {
	{ .key = "path",
		.type = FIELD_PATH,
		.flags = FIELD_REQUIRED,
		.help = "The database file, relative to the folder of weir.yaml. It is made, with "
			"its folder, when it does not exist.",
		.example = "warehouse.db" },
	{ .key = "busy_timeout",
		.type = FIELD_DURATION,
		.has_min = true,
		.min = 0,
		.has_max = true,
		.max = (double)US_PER_DAY,
		.def = BUSY_TIMEOUT_DEFAULT,
		.help = "How long a task waits for another one that writes to the same database. "
			"Afterwards the attempt fails as transient: it is tried again." },
	{ .key = NULL },
};

static const struct conn_type sqlite_type = {
	.name = "sqlite",
	.summary = "A SQLite database file",
	.fields = sqlite_fields,
};

const struct conn_type *const conn_types[] = { &sqlite_type, NULL };

const struct conn_type *conn_type_find(const char *name)
{
	for (size_t i = 0; conn_types[i]; i++)
		if (strcmp(conn_types[i]->name, name) == 0)
			return conn_types[i];
	return NULL;
}

static enum err_code code_of(int rc)
{
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_BUSY;
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		return ERR_IO;
	case SQLITE_NOMEM:
		return ERR_NOMEM;
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return ERR_DATA;
	case SQLITE_INTERRUPT:
		return ERR_INTERRUPTED;
	default:
		return ERR_SQL;
	}
}

int conn_sqlite_error(sqlite3 *db, struct err *err, const char *what)
{
	int rc = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
	const char *msg = db ? sqlite3_errmsg(db) : "out of memory";

	return err_set(err, code_of(rc), "%s: %s", what, msg);
}

static int configure(sqlite3 *db, const char *path, int64_t busy_us, struct err *err)
{
	int64_t busy_ms = busy_us / US_PER_MS;
	char pragmas[128];

	sqlite3_extended_result_codes(db, 1);
	sqlite3_busy_timeout(db, busy_ms > INT_MAX ? INT_MAX : (int)busy_ms);
	/* "x" that is no column must be an error, not a text; and SQL must not be able to rewrite
	 * the schema behind our back. */
	sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, (int *)NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, (int *)NULL);
	sqlite3_snprintf(sizeof pragmas, pragmas,
		"PRAGMA foreign_keys=ON; PRAGMA cache_size=-%d; PRAGMA schema_version", CACHE_KIB);
	/* The last one reads the file, so that a file that is no database is found here. */
	if (sqlite3_exec(db, pragmas, NULL, NULL, NULL) != SQLITE_OK)
		return conn_sqlite_error(db, err, path);
	return 0;
}

int conn_open_sqlite(const json_t *conn, sqlite3 **ret, struct err *err)
{
	const char *type = json_string_value(json_object_get(conn, "type"));
	const char *path = json_string_value(json_object_get(conn, "path"));
	const json_t *busy = json_object_get(conn, "busy_timeout");
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	sqlite3 *db = NULL;

	*ret = NULL;
	if (!type || strcmp(type, "sqlite") != 0)
		return err_set(err, ERR_INVALID,
			"a connection of type sqlite is needed here, and this one is of type %s",
			type ? type : "(none)");
	if (!path || !*path)
		return err_set(err, ERR_INVALID, "the connection has no path");
	if (io_mkdirs_for(path, 0777, err) < 0)
		return -1;
	if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
		conn_sqlite_error(db, err, path);
		sqlite3_close(db);
		return -1;
	}
	int64_t busy_us = busy ? json_integer_value(busy) : BUSY_TIMEOUT_DEFAULT_US;
	if (configure(db, path, busy_us, err) < 0) {
		sqlite3_close(db);
		return -1;
	}
	*ret = db;
	return 0;
}
