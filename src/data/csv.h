/* A streaming reader of CSV: RFC 4180, and what real files make of it.
 *
 * Records end in LF or CRLF, the last one may end without; a byte order mark is passed over;
 * blank lines are no records. Fields in quotes may hold delimiters, line breaks and doubled
 * quotes. A quote inside an unquoted field is taken as it stands. All text is UTF-8.
 *
 * What is wrong with one record is told in the record (enum csv_problem), and reading goes on
 * behind it. What makes the rest of the file unreadable is an error: a quote that is
 * never closed, a record longer than the maximum, too many fields.
 *
 * Memory: one buffer, 256 KiB, which grows to the longest record and never beyond the maximum.
 */
#ifndef WEIR_DATA_CSV_H
#define WEIR_DATA_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/window.h"

struct csv_reader;
struct err;

#define CSV_RECORD_MAX (16u << 20) /* bytes, the default maximum */
enum { CSV_FIELDS_MAX = 32766 };   /* fields in a record: as many as SQLite binds */

enum csv_problem {
	CSV_OK,
	CSV_BAD_UTF8,       /* not UTF-8 */
	CSV_NUL,            /* holds a zero byte */
	CSV_TEXT_AFTER_END, /* text between a closing quote and the delimiter */
	CSV_PROBLEM_MAX
};
extern const char *const csv_problem_texts[]; /* for messages, in the order of the enum */

struct csv_field {
	/* Unescaped, not NUL-terminated; borrowed until the next record is read. */
	const char *text;
	uint32_t len;
	bool quoted;  /* "" is an empty text, an empty unquoted field is an absent one */
	bool escaped; /* internal: holds doubled quotes; false once the record is returned */
};

struct csv_record {
	const struct csv_field *fields;
	size_t n;
	const char *raw; /* without the line end */
	size_t raw_len;
	uint64_t line; /* 1-based line of the file it starts on */
	enum csv_problem problem;
};

struct csv_config {
	window_read_fn *read;
	void *arg;
	const char *name;  /* for messages; borrowed */
	char delimiter;    /* 0: ',' ; not a quote, CR or LF */
	size_t max_record; /* 0: CSV_RECORD_MAX */
};

int csv_new(struct csv_reader **ret, const struct csv_config *config, struct err *err);
/* 1 and a record, 0 at the end, -1 with err: ERR_DATA names the line. */
int csv_next(struct csv_reader *r, struct csv_record *ret, struct err *err);
void csv_free(struct csv_reader *r); /* NULL is fine */

/* True when all is valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without zero bytes;
 * else *ret_problem says which. */
bool csv_text_ok(const char *text, size_t len, enum csv_problem *ret_problem);

struct buf;
/* Append a field as CSV: quoted where RFC 4180 needs it, or where it is empty but not absent. */
int csv_add_field(struct buf *out, const char *text, size_t len, char delimiter);

#endif
