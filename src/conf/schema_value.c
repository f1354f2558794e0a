#include "conf/schema_value.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/near.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/schema.h"
#include "conf/yaml_scalar.h"

enum { NAME_MAX_LEN = 128 };

/* "at least 1s": a bound as one would write it. */
static const char *format_bound(const struct field *f, double bound, char *buf, size_t size)
{
	if (f->type == FIELD_DURATION)
		return units_format_duration((int64_t)bound, buf, size);
	if (f->type == FIELD_SIZE)
		return units_format_size((int64_t)bound, buf, size);
	if (f->type == FIELD_PERCENT)
		snprintf(buf, size, "%g%%", bound * 100);
	else
		snprintf(buf, size, "%.15g", bound);
	return buf;
}

int schema_value_range(const struct field *f, double value, struct err *err)
{
	char min[64], max[64];
	bool below = f->has_min && value < f->min, above = f->has_max && value > f->max;

	if (!below && !above)
		return 0;
	format_bound(f, f->min, min, sizeof min);
	format_bound(f, f->max, max, sizeof max);
	if (f->has_min && f->has_max)
		return err_set(err, ERR_INVALID, "must be from %s to %s", min, max);
	return err_set(err, ERR_INVALID, "must be %s %s", below ? "at least" : "at most",
		below ? min : max);
}

bool schema_value_is_name(const char *text, size_t len)
{
	if (len == 0 || len > NAME_MAX_LEN || isdigit((unsigned char)*text) || *text == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '_' && text[i] != '-')
			return false;
	return true;
}

static int expected(const char *what, const char *text, struct err *err)
{
	return err_set(err, ERR_INVALID, "expected %s, found \"%.200s\"", what, text);
}

static int parse_text(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	(void)f, (void)text, (void)err;
	ret->kind = VALUE_TEXT;
	return 0;
}

static int parse_nonempty(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	(void)f;
	ret->kind = VALUE_TEXT;
	return *text ? 0 : err_set(err, ERR_INVALID, "must not be empty");
}

static int parse_name(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	(void)f;
	ret->kind = VALUE_TEXT;
	if (schema_value_is_name(text, strlen(text)))
		return 0;
	return err_set(err, ERR_INVALID,
		"\"%.200s\" is not a name: letters, digits, _ and -, from a letter or _ on, at "
		"most %d",
		text, NAME_MAX_LEN);
}

static int parse_bool(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	struct node n = { .text = text, .len = strlen(text) };

	(void)f;
	yaml_scalar_resolve(&n);
	ret->kind = VALUE_BOOL;
	ret->b = n.b;
	return n.type == NODE_BOOL ? 0 : expected("true or false", text, err);
}

static int parse_int(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	char *end;

	/* Decimal, zeros in front allowed: "08" is what strftime makes of August. */
	errno = 0;
	ret->kind = VALUE_INT;
	ret->i = strtoll(text, &end, 10);
	if (isspace((unsigned char)*text) || end == text || *end || errno)
		return expected("an integer", text, err);
	return schema_value_range(f, (double)ret->i, err);
}

static int parse_float(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	struct node n = { .text = text, .len = strlen(text) };

	yaml_scalar_resolve(&n);
	ret->kind = VALUE_REAL;
	ret->f = n.f;
	if ((n.type != NODE_INT && n.type != NODE_FLOAT) || !isfinite(n.f))
		return expected("a number", text, err);
	return schema_value_range(f, n.f, err);
}

static int parse_duration(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	ret->kind = VALUE_INT;
	if (units_parse_duration(text, &ret->i, err) < 0)
		return -1;
	return schema_value_range(f, (double)ret->i, err);
}

static int parse_size(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	ret->kind = VALUE_INT;
	if (units_parse_size(text, &ret->i, err) < 0)
		return -1;
	return schema_value_range(f, (double)ret->i, err);
}

static int parse_percent(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	bool share = f->has_max && f->max > 1;

	ret->kind = VALUE_REAL;
	if ((share ? units_parse_share : units_parse_percent)(text, &ret->f, err) < 0)
		return -1;
	return schema_value_range(f, ret->f, err);
}

static int parse_enum(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	struct buf list;
	size_t n = 0;

	ret->kind = VALUE_TEXT;
	buf_init(&list, 600);
	for (; f->values[n]; n++) {
		if (strcmp(f->values[n], text) == 0) {
			buf_release(&list);
			return 0;
		}
		buf_addf(&list, "%s%s", n ? ", " : "", f->values[n]);
	}
	const char *near = near_find(text, f->values, n);
	err_set(err, ERR_INVALID, "\"%.200s\" is not one of %s%s%s%s", text, list.data,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	buf_release(&list);
	return -1;
}

static bool is_date(const char *text)
{
	static const char shape[] = "dddd-dd-dd";

	if (strlen(text) != strlen(shape))
		return false;
	for (int i = 0; shape[i]; i++)
		if (shape[i] == '-' ? text[i] != '-' : !isdigit((unsigned char)text[i]))
			return false;
	int year = (int)strtol(text, NULL, 10), month = (int)strtol(text + 5, NULL, 10);
	int day = (int)strtol(text + 8, NULL, 10);
	return year > 0 && month >= 1 && month <= 12 && day >= 1 &&
	       day <= civil_days_in_month(year, month);
}

static int parse_date(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	(void)f;
	ret->kind = VALUE_TEXT;
	return is_date(text) ? 0 : expected("a date such as 2026-11-19", text, err);
}

static bool is_identifier(const char *s)
{
	return schema_value_is_name(s, strlen(s)) && !strchr(s, '-');
}

static int parse_table(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	const char *dot = strchr(text, '.');

	(void)f;
	ret->kind = VALUE_TEXT;
	if (!dot || !schema_value_is_name(text, (size_t)(dot - text)))
		return expected("connection.table, such as warehouse.orders", text, err);
	if (!is_identifier(dot + 1))
		return err_set(err, ERR_INVALID,
			"\"%.200s\" is not a table's name: letters, digits and _, from a letter or "
			"_ on",
			dot + 1);
	return 0;
}

long schema_value_regex_error(const char *pattern, char *message, size_t size)
{
	int code;
	PCRE2_SIZE offset;
	pcre2_code *re = pcre2_compile(
		(PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &code, &offset, NULL);

	if (!re) {
		pcre2_get_error_message(code, (PCRE2_UCHAR *)message, size);
		return (long)offset;
	}
	pcre2_code_free(re);
	return -1;
}

static int parse_regex(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	char message[200];
	long offset = schema_value_regex_error(text, message, sizeof message);

	(void)f;
	ret->kind = VALUE_TEXT;
	if (offset < 0)
		return 0;
	return err_set(
		err, ERR_INVALID, "not a regular expression: %s, at offset %ld", message, offset);
}

static int parse_none(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	(void)ret;
	return expected(schema_type_name(f->type), text, err);
}

typedef int parse_fn(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err);

static parse_fn *const parsers[] = {
	[FIELD_STRING] = parse_text,
	[FIELD_NAME] = parse_name,
	[FIELD_BOOL] = parse_bool,
	[FIELD_INT] = parse_int,
	[FIELD_FLOAT] = parse_float,
	[FIELD_DURATION] = parse_duration,
	[FIELD_SIZE] = parse_size,
	[FIELD_PERCENT] = parse_percent,
	[FIELD_ENUM] = parse_enum,
	[FIELD_DATE] = parse_date,
	[FIELD_PATH] = parse_nonempty,
	[FIELD_FILE] = parse_nonempty,
	[FIELD_SQL] = parse_nonempty,
	[FIELD_SQL_FILE] = parse_nonempty,
	[FIELD_CONNECTION] = parse_name,
	[FIELD_TABLE] = parse_table,
	[FIELD_REGEX] = parse_regex,
	[FIELD_VALUE] = parse_text,
	[FIELD_LIST] = parse_none,
	[FIELD_MAP] = parse_none,
	[FIELD_OBJECT] = parse_none,
	[FIELD_ANY] = parse_text,
};
static_assert(sizeof parsers / sizeof *parsers == FIELD_TYPE_MAX, "a parser for each type");

int schema_value_parse(
	const struct field *f, const char *text, struct schema_value *ret, struct err *err)
{
	return parsers[f->type](f, text, ret, err);
}

/* Typed by YAML's core schema. */
static json_t *json_of_any(const char *text)
{
	struct node n = { .text = text, .len = strlen(text) };

	yaml_scalar_resolve(&n);
	switch (n.type) {
	case NODE_NULL:
		return json_null();
	case NODE_BOOL:
		return json_boolean(n.b);
	case NODE_INT:
		return json_integer(n.i);
	case NODE_FLOAT:
		return isfinite(n.f) ? json_real(n.f) : json_string(text);
	default:
		return json_string(text);
	}
}

static json_t *json_of_value(const struct field *f, const char *text, const struct schema_value *v)
{
	if (f->type == FIELD_VALUE || f->type == FIELD_ANY)
		return json_of_any(text);
	if (f->type == FIELD_SQL)
		return json_pack("{s:s, s:[]}", "text", text, "binds");
	if (f->type == FIELD_SQL_FILE)
		return json_pack("{s:s}", "file", text);
	switch (v->kind) {
	case VALUE_BOOL:
		return json_boolean(v->b);
	case VALUE_INT:
		return json_integer(v->i);
	case VALUE_REAL:
		return json_real(v->f);
	default:
		return json_string(text);
	}
}

json_t *schema_value_of_text(const struct field *f, const char *text, struct err *err)
{
	struct schema_value v;
	bool only = f->type == FIELD_LIST && (f->flags & FIELD_OR_ONE) && f->item;

	if (only) {
		json_t *item = schema_value_of_text(f->item, text, err);
		json_t *list = item ? json_pack("[o]", item) : NULL;
		if (item && !list)
			err_nomem(err);
		return list;
	}
	if (schema_value_parse(f, text, &v, err) < 0)
		return NULL;
	json_t *json = json_of_value(f, text, &v);
	/* jansson takes no text that is not UTF-8. */
	if (!json)
		err_set(err, ERR_INVALID, "out of memory, or the text is not UTF-8");
	return json;
}
