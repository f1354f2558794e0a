#include "operators/publish/format.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"

const char *const format_names[] = {
	[FORMAT_CSV] = "csv",
	[FORMAT_NDJSON] = "ndjson",
	[FORMAT_JSON] = "json",
	[FORMAT_MAX] = NULL,
};
static_assert(
	sizeof format_names / sizeof *format_names == FORMAT_MAX + 1, "a name for each format");

/* ---- cells --------------------------------------------------------------------------- */

/* The shortest text that reads back as the same number, always with a point or an exponent.
 * Infinity is written as a number too large for a double, as SQLite does. */
static void add_real(struct buf *out, double f)
{
	char text[40];

	if (isinf(f)) {
		buf_addstr(out, f > 0 ? "9e999" : "-9e999");
		return;
	}
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, f);
		if (strtod(text, NULL) == f)
			break;
	}
	buf_addstr(out, text);
	if (!strpbrk(text, ".e"))
		buf_addstr(out, ".0");
}

static void add_hex(struct buf *out, const unsigned char *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		buf_addc(out, digits[data[i] >> 4]);
		buf_addc(out, digits[data[i] & 15]);
	}
}

static bool needs_quotes(const struct format_options *o, const char *s, size_t len)
{
	if (len == strlen(o->null) && memcmp(s, o->null, len) == 0)
		return true;
	for (size_t i = 0; i < len; i++)
		if (s[i] == o->delimiter || s[i] == '"' || s[i] == '\n' || s[i] == '\r')
			return true;
	return false;
}

static void add_csv_text(const struct format_options *o, const char *s, size_t len, struct buf *out)
{
	if (!needs_quotes(o, s, len)) {
		buf_add(out, s, len);
		return;
	}
	buf_addc(out, '"');
	for (const char *end = s + len, *q; s < end; s = q) {
		q = memchr(s, '"', (size_t)(end - s));
		q = q ? q + 1 : end;
		buf_add(out, s, (size_t)(q - s));
		if (q[-1] == '"')
			buf_addc(out, '"');
	}
	buf_addc(out, '"');
}

static void add_json_text(const char *s, size_t len, struct buf *out)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < len;) {
		unsigned char c = (unsigned char)s[i];
		size_t n = c < 0x80 ? 1 : utf8_char(s + i, len - i, NULL);
		if (n == 0)
			buf_addstr(out, "\xef\xbf\xbd"); /* U+FFFD: JSON is UTF-8 */
		else if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c == '\n')
			buf_addstr(out, "\\n");
		else if (c < 0x20)
			buf_addf(out, "\\u%04x", c);
		else
			buf_add(out, s + i, n);
		i += n ? n : 1;
	}
	buf_addc(out, '"');
}

static void add_number(sqlite3_stmt *stmt, int i, struct buf *out)
{
	if (sqlite3_column_type(stmt, i) == SQLITE_FLOAT)
		add_real(out, sqlite3_column_double(stmt, i));
	else
		buf_addf(out, "%" PRId64, (int64_t)sqlite3_column_int64(stmt, i));
}

static void add_csv_cell(const struct format_options *o, sqlite3_stmt *stmt, int i, struct buf *out)
{
	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_INTEGER:
	case SQLITE_FLOAT:
		add_number(stmt, i, out);
		break;
	case SQLITE_TEXT:
		add_csv_text(o, (const char *)sqlite3_column_text(stmt, i),
			(size_t)sqlite3_column_bytes(stmt, i), out);
		break;
	case SQLITE_BLOB:
		add_hex(out, sqlite3_column_blob(stmt, i), (size_t)sqlite3_column_bytes(stmt, i));
		break;
	default:
		buf_addstr(out, o->null);
	}
}

static void add_json_cell(sqlite3_stmt *stmt, int i, struct buf *out)
{
	switch (sqlite3_column_type(stmt, i)) {
	case SQLITE_INTEGER:
	case SQLITE_FLOAT:
		add_number(stmt, i, out);
		break;
	case SQLITE_TEXT:
		add_json_text((const char *)sqlite3_column_text(stmt, i),
			(size_t)sqlite3_column_bytes(stmt, i), out);
		break;
	case SQLITE_BLOB:
		buf_addc(out, '"');
		add_hex(out, sqlite3_column_blob(stmt, i), (size_t)sqlite3_column_bytes(stmt, i));
		buf_addc(out, '"');
		break;
	default:
		buf_addstr(out, "null");
	}
}

/* ---- rows ---------------------------------------------------------------------------- */

static int check_names(sqlite3_stmt *stmt, struct err *err)
{
	int n = sqlite3_column_count(stmt);

	for (int i = 0; i < n; i++)
		for (int k = 0; k < i; k++)
			if (strcmp(sqlite3_column_name(stmt, i), sqlite3_column_name(stmt, k)) == 0)
				return err_set(err, ERR_SQL,
					"two columns of the query are named %s; give one another "
					"name with AS",
					sqlite3_column_name(stmt, i));
	return 0;
}

int format_begin(
	const struct format_options *o, sqlite3_stmt *stmt, struct buf *out, struct err *err)
{
	int n = sqlite3_column_count(stmt);

	if (o->format != FORMAT_CSV)
		return check_names(stmt, err);
	if (!o->header)
		return 0;
	for (int i = 0; i < n; i++) {
		const char *name = sqlite3_column_name(stmt, i);
		if (i)
			buf_addc(out, o->delimiter);
		add_csv_text(o, name, strlen(name), out);
	}
	buf_addc(out, '\n');
	return 0;
}

static void csv_row(const struct format_options *o, sqlite3_stmt *stmt, struct buf *out)
{
	int n = sqlite3_column_count(stmt);

	for (int i = 0; i < n; i++) {
		if (i)
			buf_addc(out, o->delimiter);
		add_csv_cell(o, stmt, i, out);
	}
	buf_addc(out, '\n');
}

static void json_row(sqlite3_stmt *stmt, struct buf *out)
{
	int n = sqlite3_column_count(stmt);

	for (int i = 0; i < n; i++) {
		const char *name = sqlite3_column_name(stmt, i);
		buf_addstr(out, i ? ", " : "{");
		add_json_text(name, strlen(name), out);
		buf_addstr(out, ": ");
		add_json_cell(stmt, i, out);
	}
	buf_addc(out, '}');
}

void format_row(const struct format_options *o, sqlite3_stmt *stmt, int64_t number, struct buf *out)
{
	if (o->format == FORMAT_CSV) {
		csv_row(o, stmt, out);
		return;
	}
	if (o->format == FORMAT_JSON)
		buf_addstr(out, number == 1 ? "[\n" : ",\n");
	json_row(stmt, out);
	if (o->format == FORMAT_NDJSON)
		buf_addc(out, '\n');
}

void format_end(const struct format_options *o, int64_t rows, struct buf *out)
{
	if (o->format == FORMAT_JSON)
		buf_addstr(out, rows ? "\n]\n" : "[]\n");
}
