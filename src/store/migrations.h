/* The schema of the state database, as steps that are only ever added.
 *
 * Each row takes a database from version `version - 1` to `version`, in one transaction
 * with PRAGMA user_version and its line in table `migration`. A row that was released is never
 * changed.
 */
#ifndef WEIR_STORE_MIGRATIONS_H
#define WEIR_STORE_MIGRATIONS_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct sqlite3;

/* "Weir" in ASCII, PRAGMA application_id: what tells our file from another's. */
#define MIGRATIONS_APPLICATION_ID 0x57656972

struct migration {
	int version; /* 1, 2, ... without gaps */
	const char *sql;
};

/* Those of the store, ascending. */
const struct migration *migrations_all(size_t *ret_n);

/* Bring the database from whatever version it has to that of the last row. Versions above it
 * are not looked at. Safe against others doing the same at once. */
int migrations_apply(struct sqlite3 *db, const char *path, const struct migration *rows, size_t n,
	struct err *err);

#endif
