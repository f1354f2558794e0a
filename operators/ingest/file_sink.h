/* Where `ingest: file` puts its good rows: a table, or a file written aside. */
#ifndef WEIR_OPERATORS_INGEST_FILE_SINK_H
#define WEIR_OPERATORS_INGEST_FILE_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "data/table.h"

struct aside;
struct cell;
struct err;
struct operator_job;

struct file_sink {
	struct operator_job *job;
	struct table_target target; /* conn NULL: a file */
	const char **keys;
	struct table_writer *table;
	char *path; /* of the file */
	bool ndjson;
	struct aside *file;
	struct buf pending; /* of the file */
	char **names;       /* of the file's columns; NDJSON: as JSON texts */
	size_t ncolumns;
	int64_t rows;  /* committed */
	bool already;  /* they were there before, or have been replaced since */
	char why[160]; /* already: in words */
};

int file_sink_init(struct file_sink *s, struct operator_job *job, struct err *err);
/* For struct intake_sink. */
int file_sink_open(void *arg, const struct table_column *columns, size_t n, struct err *err);
int file_sink_row(void *arg, const struct cell *cells, struct err *err);
/* ERR_FENCED when a newer attempt has taken over. */
int file_sink_check(struct file_sink *s, struct err *err);
/* Either ends it; abort is fine at any time, and again. */
int file_sink_commit(struct file_sink *s, struct err *err);
void file_sink_abort(struct file_sink *s);

#endif
