/* Rows of a file, whatever its format: CSV or NDJSON behind one interface.
 *
 * A source has columns, by position: those of the CSV header (or, without a header, those it is
 * given), those of the NDJSON objects' keys in the order they first occur. The latter can grow
 * while rows are read; a row then has as many cells as there are columns.
 *
 * Cells of CSV are text or NULL. Of NDJSON: text, 64 bit integers, reals; true and false are the
 * texts "true" and "false"; a nested value is its compact JSON text; an absent key is NULL.
 */
#ifndef WEIR_DATA_SOURCE_H
#define WEIR_DATA_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/contract.h"
#include "data/input.h"
#include "data/row.h"

struct err;
struct source_reader;

enum source_format { SOURCE_CSV, SOURCE_NDJSON, SOURCE_FORMAT_MAX };
extern const char *const source_format_names[]; /* NULL-ended: csv, ndjson */
/* By the name's end, before .gz and .zst: .ndjson, .jsonl and .json are NDJSON, others CSV. */
enum source_format source_format_of(const char *path);

/* What to do with a CSV record whose number of fields is not the header's. */
enum source_ragged {
	SOURCE_RAGGED_REJECT,
	SOURCE_RAGGED_FAIL, /* the file is refused: ERR_DATA */
	/* missing ones are NULL, empty surplus ones are dropped; else rejected */
	SOURCE_RAGGED_NULL,
	SOURCE_RAGGED_MAX
};
extern const char *const source_ragged_names[]; /* NULL-ended: reject, fail, null */

struct source_config {
	const char *path;
	enum source_format format;
	enum input_compression compression;
	/* CSV */
	char delimiter; /* 0: ',' */
	bool no_header;
	const char *const *columns; /* no_header: their names; borrowed */
	size_t ncolumns;
	/* unquoted texts that are NULL, NULL-ended; NULL: the empty one */
	const char *const *nulls;
	enum source_ragged ragged;
	size_t max_record; /* 0: 16 MiB */
};

/* The config is copied, what it points to is borrowed. Reads the CSV header: a missing, doubled or
 * unreadable one is ERR_DATA. */
int source_open(struct source_reader **ret, const struct source_config *config, struct err *err);
/* Their names, *ret_n of them; borrowed until the next row is read. */
const char *const *source_columns(const struct source_reader *s, size_t *ret_n);

enum source_result { SOURCE_ERROR = -1, SOURCE_END, SOURCE_ROW, SOURCE_BAD_ROW };
/* The next row. A bad one has its number and raw text, and *v says what is wrong with it. */
enum source_result source_next(
	struct source_reader *s, struct row *ret, struct contract_violation *v, struct err *err);
int64_t source_bytes(const struct source_reader *s); /* read so far, before decompression */
void source_close(struct source_reader *s);          /* NULL is fine */

struct source_files {
	char **paths;
	size_t n;
};
/* The files that `pattern` means, sorted by bytes: itself where a file has that name, else by
 * glob(7), without folders. None is no error: n is 0. */
int source_glob(const char *pattern, struct source_files *ret, struct err *err);
void source_files_release(struct source_files *f);

#endif
