#include "data/convert.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "data/row.h"

enum { NUMBER_LEN_MAX = 400, TIME_LEN_MAX = 64, DECIMAL_DIGITS = 15 };

const char *const convert_type_names[] = {
	[CONVERT_STRING] = "string",
	[CONVERT_INTEGER] = "integer",
	[CONVERT_NUMBER] = "number",
	[CONVERT_DECIMAL] = "decimal",
	[CONVERT_BOOLEAN] = "boolean",
	[CONVERT_DATE] = "date",
	[CONVERT_TIMESTAMP] = "timestamp",
	[CONVERT_JSON] = "json",
	[CONVERT_TYPE_MAX] = NULL,
};
static_assert(sizeof convert_type_names / sizeof *convert_type_names == CONVERT_TYPE_MAX + 1,
	"a name for each type");

/* ---- numbers ------------------------------------------------------------------------- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void set_int(struct cell *out, int64_t i)
{
	*out = (struct cell){ .type = CELL_INT, .i = i };
}

static void set_real(struct cell *out, double f)
{
	*out = (struct cell){ .type = CELL_REAL, .f = f };
}

static const char *to_integer(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch)
{
	(void)c, (void)scratch;
	if (in->type == CELL_INT) {
		*out = *in;
		return NULL;
	}
	if (in->type == CELL_REAL) {
		if (in->f != trunc(in->f) || fabs(in->f) > 9007199254740992.0)
			return "is not an integer";
		set_int(out, (int64_t)in->f);
		return NULL;
	}
	const char *p = in->text, *end = p + in->len;
	bool minus = p < end && *p == '-';
	uint64_t v = 0, limit = (uint64_t)INT64_MAX + (minus ? 1 : 0);
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	if (p == end)
		return "is not an integer";
	for (; p < end; p++) {
		if (!is_digit(*p))
			return "is not an integer";
		unsigned d = (unsigned)(*p - '0');
		if (v > (limit - d) / 10)
			return "is too large for an integer of 64 bits";
		v = v * 10 + d;
	}
	set_int(out, minus ? (int64_t)(0 - v) : (int64_t)v);
	return NULL;
}

/* A number's parts: mantissa * 10^exponent, while the mantissa is exact. */
struct decimal {
	bool minus, has_exponent;
	uint64_t mantissa;
	int digits; /* significant ones */
	int exponent;
};

/* [+-] digits [. digits] [e [+-] digits], with a digit before or behind the point. */
static bool scan_decimal(const char *p, size_t len, struct decimal *d)
{
	const char *end = p + len;
	int seen = 0;
	bool point = false;

	*d = (struct decimal){ .minus = len && *p == '-' };
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	for (; p < end && (is_digit(*p) || (*p == '.' && !point)); p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		seen++;
		if (d->mantissa || *p != '0')
			d->digits++;
		if (d->digits <= 18) {
			d->mantissa = d->mantissa * 10 + (uint64_t)(*p - '0');
			d->exponent -= point;
		}
	}
	if (!seen)
		return false;
	if (p == end)
		return true;
	if (*p != 'e' && *p != 'E')
		return false;
	d->has_exponent = true;
	p++;
	if (p < end && (*p == '-' || *p == '+'))
		p++;
	const char *from = p;
	while (p < end && is_digit(*p))
		p++;
	return p == end && p > from;
}

static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
	1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };

/* Clinger 1990: both parts are exact doubles, so that the quotient is rounded once. */
static bool exact(const struct decimal *d, double *ret)
{
	if (d->has_exponent || d->digits > DECIMAL_DIGITS || d->exponent < -22)
		return false;
	double v = (double)d->mantissa / powers[-d->exponent];
	*ret = d->minus && v != 0 ? -v : v;
	return true;
}

/* strtod(3) with a point whatever the locale: the text is known to be a number. */
static double parse_double(const char *text, size_t len)
{
	char copy[NUMBER_LEN_MAX + 1];
	json_error_t e;
	double v = 0;

	/* jansson knows how to do it in any locale, but wants JSON's stricter form. */
	bool minus = len && *text == '-';
	if (len && (*text == '-' || *text == '+')) {
		text++;
		len--;
	}
	while (len > 1 && text[0] == '0' && is_digit(text[1])) {
		text++;
		len--;
	}
	const char *point = memchr(text, '.', len);
	bool before = point != text;
	bool behind = point && point + 1 < text + len && is_digit(point[1]);
	size_t head = point ? (size_t)(point - text) : len;
	int n = snprintf(copy, sizeof copy, "%s%.*s%s%.*s", before ? "" : "0", (int)head, text,
		point && behind ? "." : "", point ? (int)(len - head - 1) : 0,
		point ? point + 1 : "");
	if (n < 0 || (size_t)n >= sizeof copy)
		return HUGE_VAL;
	json_t *j = json_loadb(copy, (size_t)n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &e);
	v = j ? json_real_value(j) : HUGE_VAL;
	json_decref(j);
	return minus && v != 0 ? -v : v;
}

static const char *to_number(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch)
{
	struct decimal d;
	double v;

	(void)c, (void)scratch;
	if (in->type != CELL_TEXT) {
		set_real(out, in->type == CELL_INT ? (double)in->i : in->f);
		return NULL;
	}
	if (in->len > NUMBER_LEN_MAX - 2 || !scan_decimal(in->text, in->len, &d))
		return "is not a number";
	if (!exact(&d, &v))
		v = parse_double(in->text, in->len);
	if (!isfinite(v))
		return "is too large for a number";
	set_real(out, v);
	return NULL;
}

static const char *to_decimal(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch)
{
	struct decimal d;
	double v;

	if (in->type == CELL_INT && (in->i >= 1000000000000000 || in->i <= -1000000000000000))
		return "has more than 15 significant digits";
	if (in->type != CELL_TEXT)
		return to_number(c, in, out, scratch);
	if (in->len > NUMBER_LEN_MAX - 2 || !scan_decimal(in->text, in->len, &d) || d.has_exponent)
		return "is not a decimal";
	/* Zeros at the end add nothing: 1.500000000000000000. */
	while (d.digits > DECIMAL_DIGITS && d.digits <= 18 && d.mantissa % 10 == 0 &&
		d.exponent < 0) {
		d.mantissa /= 10;
		d.digits--;
		d.exponent++;
	}
	if (d.digits > DECIMAL_DIGITS)
		return "has more than 15 significant digits";
	if (!exact(&d, &v))
		v = parse_double(in->text, in->len);
	set_real(out, v);
	return NULL;
}

static const char *to_boolean(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = { { "true", true }, { "false", false }, { "1", true }, { "0", false },
		{ "yes", true }, { "no", false }, { "t", true }, { "f", false }, { "y", true },
		{ "n", false }, { "on", true }, { "off", false } };

	(void)c, (void)scratch;
	if (in->type == CELL_INT && (in->i == 0 || in->i == 1)) {
		*out = *in;
		return NULL;
	}
	for (size_t i = 0; in->type == CELL_TEXT && i < sizeof words / sizeof *words; i++)
		if (strlen(words[i].word) == in->len &&
			strncasecmp(words[i].word, in->text, in->len) == 0) {
			set_int(out, words[i].value);
			return NULL;
		}
	return "is not a boolean (true, false, yes, no, on, off, 1, 0)";
}

/* ---- times --------------------------------------------------------------------------- */

/* n digits at p, or -1. */
static int digits(const char *p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (!is_digit(p[i]))
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

static char *put(char *p, int v, int n)
{
	for (int i = n - 1; i >= 0; i--, v /= 10)
		p[i] = (char)('0' + v % 10);
	return p + n;
}

static bool read_date(const char *p, struct civil *ret)
{
	int y = digits(p, 4), m = digits(p + 5, 2), d = digits(p + 8, 2);

	if (y < 0 || m < 1 || m > 12 || d < 1 || p[4] != '-' || p[7] != '-' ||
		(d > 28 && d > civil_days_in_month(y, m)))
		return false;
	*ret = (struct civil){ .year = y, .month = m, .day = d };
	return true;
}

/* The forms nearly all files have, without a copy: 2026-11-19[T| ]02:00:00[Z]. */
static bool read_common(const char *p, size_t len, struct civil_text *ret)
{
	*ret = (struct civil_text){ 0 };
	if (len < 10 || !read_date(p, &ret->civil))
		return false;
	if (len == 10)
		return true;
	if ((len != 19 && !(len == 20 && p[19] == 'Z')) || (p[10] != ' ' && p[10] != 'T') ||
		p[13] != ':' || p[16] != ':')
		return false;
	int h = digits(p + 11, 2), m = digits(p + 14, 2), s = digits(p + 17, 2);
	if (h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59)
		return false;
	ret->civil.hour = h;
	ret->civil.min = m;
	ret->civil.sec = s;
	ret->parts = CIVIL_HAS_TIME | CIVIL_HAS_SECONDS | (len == 20 ? CIVIL_HAS_OFFSET : 0);
	return true;
}

static bool read_format(const char *text, const char *format, struct civil_text *ret)
{
	struct tm tm = { .tm_mday = 1 };
	bool zone = strstr(format, "%z") != NULL;
	const char *end = strptime(text, format, &tm);

	if (!end || *end || tm.tm_sec > 59)
		return false;
	*ret = (struct civil_text){
		.civil = { tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
			tm.tm_sec, 0 },
		.parts = CIVIL_HAS_TIME | (zone ? CIVIL_HAS_OFFSET : 0),
		.utc_offset_s = zone ? (int)tm.tm_gmtoff : 0,
	};
	return ret->civil.year >= 0 && ret->civil.year <= 9999 &&
	       tm.tm_mday <= civil_days_in_month(ret->civil.year, ret->civil.month);
}

static bool read_time(const struct convert *c, const struct cell *in, struct civil_text *ret)
{
	char copy[TIME_LEN_MAX];

	if (in->type != CELL_TEXT || in->len >= sizeof copy)
		return false;
	if (!c->format && read_common(in->text, in->len, ret))
		return true;
	memcpy(copy, in->text, in->len);
	copy[in->len] = '\0';
	return c->format ? read_format(copy, c->format, ret) : civil_parse(copy, ret, NULL) == 0;
}

static const char *to_date(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch)
{
	struct civil_text t;

	if (!read_time(c, in, &t) || (!c->format && t.parts))
		return c->format ? "is not a date of the column's format"
				 : "is not a date (like 2026-11-19)";
	char *p = put(scratch, t.civil.year, 4);
	*p++ = '-';
	p = put(p, t.civil.month, 2);
	*p++ = '-';
	p = put(p, t.civil.day, 2);
	*out = (struct cell){ .type = CELL_TEXT, .text = scratch, .len = 10 };
	return NULL;
}

static const char *to_timestamp(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch)
{
	struct civil_text t;

	if (!read_time(c, in, &t))
		return c->format ? "is not a timestamp of the column's format"
				 : "is not a timestamp (like 2026-11-19T02:00:00Z)";
	if (t.utc_offset_s)
		civil_from_us(civil_text_us(&t), &t.civil);
	if (t.civil.year < 0 || t.civil.year > 9999)
		return "is not a timestamp of the years 0000 to 9999";
	char *p = put(scratch, t.civil.year, 4);
	*p++ = '-';
	p = put(p, t.civil.month, 2);
	*p++ = '-';
	p = put(p, t.civil.day, 2);
	*p++ = 'T';
	p = put(p, t.civil.hour, 2);
	*p++ = ':';
	p = put(p, t.civil.min, 2);
	*p++ = ':';
	p = put(p, t.civil.sec, 2);
	if (t.civil.usec) {
		*p++ = '.';
		p = put(p, t.civil.usec, 6);
	}
	if (t.parts & CIVIL_HAS_OFFSET)
		*p++ = 'Z';
	*out = (struct cell){ .type = CELL_TEXT, .text = scratch, .len = (uint32_t)(p - scratch) };
	return NULL;
}

int64_t convert_time_us(const struct cell *c)
{
	struct civil_text t;
	char copy[TIME_LEN_MAX];

	if (c->type != CELL_TEXT || c->len >= sizeof copy)
		return 0;
	if (!read_common(c->text, c->len, &t)) {
		memcpy(copy, c->text, c->len);
		copy[c->len] = '\0';
		if (civil_parse(copy, &t, NULL) < 0)
			return 0;
	}
	return civil_to_us(&t.civil);
}

int convert_check_format(const char *format, enum convert_type type, struct err *err)
{
	static const char date[] = "YymdbBhejDF%nt", time_of_day[] = "HMSTRIpz";

	for (const char *p = strchr(format, '%'); p; p = strchr(p + 2, '%')) {
		if (p[1] && strchr(date, p[1]))
			continue;
		if (p[1] && type == CONVERT_TIMESTAMP && strchr(time_of_day, p[1]))
			continue;
		return err_set(err, ERR_INVALID,
			"unknown conversion \"%%%.1s\" in the format of a %s", p + 1,
			convert_type_names[type]);
	}
	return 0;
}

/* ---- text ---------------------------------------------------------------------------- */

static const char *to_string(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch)
{
	int n = 0;

	(void)c;
	if (in->type == CELL_TEXT) {
		*out = *in;
		return NULL;
	}
	if (in->type == CELL_INT) {
		n = snprintf(scratch, CONVERT_SCRATCH, "%lld", (long long)in->i);
	} else {
		n = snprintf(scratch, CONVERT_SCRATCH, "%.15g", in->f);
		if (strtod(scratch, NULL) != in->f)
			n = snprintf(scratch, CONVERT_SCRATCH, "%.17g", in->f);
	}
	*out = (struct cell){ .type = CELL_TEXT, .text = scratch, .len = (uint32_t)n };
	return NULL;
}

static const char *to_json(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch)
{
	if (in->type != CELL_TEXT)
		return to_string(c, in, out, scratch);
	json_t *j = json_loadb(in->text, in->len, JSON_DECODE_ANY, NULL);
	if (!j)
		return "is not JSON";
	json_decref(j);
	*out = *in;
	return NULL;
}

typedef const char *convert_fn(
	const struct convert *c, const struct cell *in, struct cell *out, char *scratch);

static const struct {
	convert_fn *fn;
	enum column_type column;
	bool numeric, time;
} types[] = {
	[CONVERT_STRING] = { to_string, COLUMN_TEXT, false, false },
	[CONVERT_INTEGER] = { to_integer, COLUMN_INTEGER, true, false },
	[CONVERT_NUMBER] = { to_number, COLUMN_REAL, true, false },
	[CONVERT_DECIMAL] = { to_decimal, COLUMN_REAL, true, false },
	[CONVERT_BOOLEAN] = { to_boolean, COLUMN_INTEGER, false, false },
	[CONVERT_DATE] = { to_date, COLUMN_TEXT, false, true },
	[CONVERT_TIMESTAMP] = { to_timestamp, COLUMN_TEXT, false, true },
	[CONVERT_JSON] = { to_json, COLUMN_TEXT, false, false },
};
static_assert(sizeof types / sizeof *types == CONVERT_TYPE_MAX, "a row for each type");

enum column_type convert_column_type(enum convert_type type)
{
	return types[type].column;
}

bool convert_is_numeric(enum convert_type type)
{
	return types[type].numeric;
}

bool convert_is_time(enum convert_type type)
{
	return types[type].time;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct cell trimmed(const struct cell *in)
{
	struct cell c = *in;

	while (c.len && is_blank(c.text[0])) {
		c.text++;
		c.len--;
	}
	while (c.len && is_blank(c.text[c.len - 1]))
		c.len--;
	return c;
}

const char *convert_cell(const struct convert *c, const struct cell *in, struct cell *out,
	char scratch[CONVERT_SCRATCH])
{
	struct cell cut;

	if (c->trim && in->type == CELL_TEXT) {
		cut = trimmed(in);
		in = &cut;
		if (cut.len == 0 && c->type != CONVERT_STRING) {
			*out = (struct cell){ .type = CELL_NULL };
			return NULL;
		}
	}
	return types[c->type].fn(c, in, out, scratch);
}

int convert_add_text(struct buf *out, const struct cell *c)
{
	char scratch[CONVERT_SCRATCH];
	struct cell text;

	if (c->type == CELL_NULL)
		return 0;
	to_string(NULL, c, &text, scratch);
	return buf_add(out, text.text, text.len);
}
