/* The ledger: what a task's attempt wrote into a database, kept in that very database.
 *
 * Table weir_ledger, one row per (dag, task, map index, data interval, target): the token of the
 * last attempt that wrote, its piece of work (table_key.work), a digest of what it was asked to
 * write, mode, rows, outputs, and when. It is read and written in the transaction of the data, so
 * that it is true whatever happens to the task.
 *
 * The transaction takes the database's write lock before it reads the row, and holds it to the end:
 * of two attempts one comes wholly before the other. When the older one comes second it is refused;
 * when it comes first, the newer one sees what it did. Tokens are compared within a row only: those
 * of other intervals may come from another process, which reserved them earlier.
 */
#ifndef WEIR_DATA_LEDGER_H
#define WEIR_DATA_LEDGER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;
struct sqlite3;
struct table_key;

/* What ERR_FENCED also can mean: tokens are those of one state, and it was lost, or is another. */
#define LEDGER_LOST_STATE                                                                     \
	"; if WEIR_HOME was restored from a copy, or another WEIR_HOME wrote this, see LOST " \
	"STATE in weir(1)"

/* What is to be written. Borrowed. */
struct ledger_work {
	const struct table_key *key;
	const char *target;
	const char *digest; /* NULL: nothing is ever the same */
};

struct ledger_entry {
	bool found;
	bool same; /* by an earlier attempt of the same work, with the same digest: it is done */
	int64_t token, rows;
	json_t *outputs; /* of the attempt that wrote; NULL: none; the caller's */
};

/* What was written. */
struct ledger_done {
	const char *mode;
	int64_t rows;
	const json_t *outputs; /* to be kept; NULL: none */
};

/* Begin the write transaction (waiting for other writers: ERR_BUSY), make the ledger when it is
 * missing, and look up the row. ERR_FENCED when a newer attempt wrote it. On error the transaction
 * is rolled back. */
int ledger_begin(
	struct sqlite3 *db, const struct ledger_work *w, struct ledger_entry *ret, struct err *err);
/* Write the row and commit. On error all is rolled back. */
int ledger_commit(struct sqlite3 *db, const struct ledger_work *w, const struct ledger_done *done,
	struct err *err);
void ledger_rollback(struct sqlite3 *db);

#endif
