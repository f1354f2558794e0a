/* Rows of a query as text: CSV (RFC 4180), NDJSON, JSON. */
#ifndef WEIR_OPERATORS_PUBLISH_FORMAT_H
#define WEIR_OPERATORS_PUBLISH_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct err;
struct sqlite3_stmt;

enum format { FORMAT_CSV, FORMAT_NDJSON, FORMAT_JSON, FORMAT_MAX };
extern const char *const format_names[]; /* NULL-ended */

struct format_options {
	enum format format;
	bool header;      /* CSV */
	char delimiter;   /* CSV */
	const char *null; /* CSV: what stands for NULL; a text that reads so is quoted */
};

/* Append what stands before the first row; after it; and the current row. Two columns of one name
 * are an error in JSON. */
int format_begin(const struct format_options *o, struct sqlite3_stmt *stmt, struct buf *out,
	struct err *err);
void format_row(
	const struct format_options *o, struct sqlite3_stmt *stmt, int64_t number, struct buf *out);
void format_end(const struct format_options *o, int64_t rows, struct buf *out);

#endif
