/* Types of contract columns: text of a file to the value that a table keeps.
 *
 * The same conversion serves the rows and the contract's own `enum` and `range` values, so that
 * both compare in one form.
 */
#ifndef WEIR_DATA_CONVERT_H
#define WEIR_DATA_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "data/table.h"

struct buf;
struct cell;
struct err;

enum convert_type {
	CONVERT_STRING,
	CONVERT_INTEGER, /* 64 bit; [+-]digits, nothing else */
	CONVERT_NUMBER,  /* a double; digits, fraction, exponent; not inf, nan, hex */
	CONVERT_DECIMAL, /* digits and fraction, at most 15 significant digits: a double keeps them
			    all */
	CONVERT_BOOLEAN, /* true false t f yes no y n on off 1 0, any case; kept as 1 and 0 */
	CONVERT_DATE,    /* 2026-11-19, kept as this text */
	CONVERT_TIMESTAMP, /* kept as RFC 3339: in UTC ("...Z") when an offset was given, else
			      without */
	CONVERT_JSON,      /* any JSON value; its text is kept */
	CONVERT_TYPE_MAX
};
/* NULL-ended: string, integer, number, decimal, boolean, date, timestamp, json. */
extern const char *const convert_type_names[];

/* The type of table column that holds it. */
enum column_type convert_column_type(enum convert_type type);
bool convert_is_numeric(enum convert_type type); /* integer, number, decimal */
bool convert_is_time(enum convert_type type);    /* date, timestamp */

enum { CONVERT_SCRATCH = 48 };

struct convert {
	enum convert_type type;
	bool trim; /* cut blanks around a text first; an empty rest is NULL, but for strings */
	const char *format; /* date, timestamp: as strptime(3), NULL: ISO 8601 */
};

/* Convert `in`, a text or number that is not NULL, to `out`. Text that is made is put in `scratch`;
 * else it stays where it was. NULL on success, else why not: "is not an integer". */
const char *convert_cell(const struct convert *c, const struct cell *in, struct cell *out,
	char scratch[CONVERT_SCRATCH]);
/* The instant of a converted date or timestamp, in microseconds (without an offset: as if UTC). */
int64_t convert_time_us(const struct cell *c);
/* A format may hold only conversions that say something about a date or time; ERR_INVALID. */
int convert_check_format(const char *format, enum convert_type type, struct err *err);
/* Append a cell's text as files hold it; NULL appends nothing. */
int convert_add_text(struct buf *out, const struct cell *c);

#endif
