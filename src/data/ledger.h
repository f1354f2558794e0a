/* The ledger: what a task's attempt wrote into a database, kept in that very database.
 *
 * Table weir_ledger, one row per (dag, task, map index, data interval, target). It is read and
 * written in the transaction of the data, so that it is true whatever happens to the task.
 */
#ifndef WEIR_DATA_LEDGER_H
#define WEIR_DATA_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct sqlite3;
struct table_key;

/* What ERR_FENCED also can mean: tokens are those of one state, and it was lost, or is another. */
#define LEDGER_LOST_STATE                                                                     \
	"; if WEIR_HOME was restored from a copy, or another WEIR_HOME wrote this, see LOST " \
	"STATE in weir(1)"

struct ledger_entry {
	bool found;
	int64_t token, rows;
};

/* Begin the write transaction (waiting for other writers: ERR_BUSY), make the ledger when it is
 * missing, and look up the row of (key, target). ERR_FENCED when a newer attempt wrote it. On
 * error the transaction is rolled back. */
int ledger_begin(struct sqlite3 *db, const struct table_key *key, const char *target,
	struct ledger_entry *ret, struct err *err);
/* Write the row and commit. On error all is rolled back. */
int ledger_commit(struct sqlite3 *db, const struct table_key *key, const char *target,
	const char *mode, int64_t rows, struct err *err);
void ledger_rollback(struct sqlite3 *db);

#endif
