/* Writing rows into a table of a connection, once per data interval.
 *
 * All writing of one task attempt is one transaction at the target, which also holds a row of the
 * ledger (data/ledger.h). It makes a repeated attempt harmless:
 *   - a ledger row with a larger token: ERR_FENCED, nothing is written;
 *   - one of the same piece of work, with the same digest: an earlier attempt did it, and only its
 *     end was not recorded; nothing is written, `already` is set;
 *   - mode append and a ledger row of this interval: likewise;
 *   - else: the modes but append replace their own data, so that doing it twice equals doing it
 *     once.
 */
#ifndef WEIR_DATA_TABLE_H
#define WEIR_DATA_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cell;
struct err;
struct table_writer;

enum table_mode {
	TABLE_APPEND,
	TABLE_REPLACE,
	TABLE_REPLACE_PARTITION,
	TABLE_MERGE,
	TABLE_MODE_MAX
};
/* NULL-ended: append, replace, replace_partition, merge. */
extern const char *const table_mode_names[];

enum column_type { COLUMN_ANY, COLUMN_TEXT, COLUMN_INTEGER, COLUMN_REAL, COLUMN_TYPE_MAX };

struct table_column {
	const char *name;
	enum column_type type;
};

/* Whose writing it is. */
struct table_key {
	const char *dag, *task;
	int map_index;
	const char *interval_start, *interval_end; /* RFC 3339 in UTC, "2026-11-19T01:00:00Z" */
	int64_t token;
	/* The piece of work that the attempt belongs to: the token of its first attempt. Retries of
	 * whatever reason have the same, doing it again on purpose has another. 0: not known. */
	int64_t work;
};

struct table_target {
	const json_t *conn;
	const char *table; /* identifier; it and its columns are made when missing */
	enum table_mode mode;
	/* merge: key columns, NULL-ended (a unique index is made for them) */
	const char *const *keys;
	/* replace_partition: default "weir_partition", added to each row */
	const char *partition_column;
	const char *partition_value; /* default: interval_start */
	const struct table_column *columns;
	size_t ncolumns;
	struct table_key key;
	const char *digest; /* of what is to be written; NULL: never found done by the same work */
};

/* Open the connection, begin, fence, prepare (replace: empties the table; replace_partition:
 * deletes the partition's rows). */
int table_open(struct table_writer **ret, const struct table_target *t, struct err *err);
/* It was done before: write nothing, commit. */
bool table_already(const struct table_writer *w);
const char *table_why(const struct table_writer *w); /* in words, for the log; NULL: not already */
/* One row: ncolumns cells in the order of the columns. */
int table_write(struct table_writer *w, const struct cell *cells, struct err *err);
/* Ledger row and commit. After an error all is rolled back. Frees the writer in both cases. */
int table_commit(struct table_writer *w, int64_t *ret_rows, struct err *err);
void table_abort(struct table_writer *w); /* roll back and free; NULL is fine */

#endif
