#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/template_impl.h"
#include "core/zone.h"

static const char *const type_names[] = {
	[VALUE_NULL] = "null",
	[VALUE_BOOL] = "a boolean",
	[VALUE_INT] = "an integer",
	[VALUE_REAL] = "a number",
	[VALUE_STRING] = "a string",
	[VALUE_DATE] = "a date",
	[VALUE_INSTANT] = "an instant",
	[VALUE_LIST] = "a list",
	[VALUE_OBJECT] = "a mapping",
};
static_assert(sizeof type_names / sizeof *type_names == VALUE_TYPE_MAX, "a name for each type");

/* Sets that have a name of their own in messages, the widest first. */
static const struct {
	unsigned types;
	const char *name;
} set_names[] = {
	{ TYPES_ANY, "a value" },
	{ TYPES_SCALAR, "a single value" },
	{ TYPES_TEXT, "a single value" },
	{ TYPES_DATE, "a date" },
	{ TYPES_NUMBER, "a number" },
};

void template_eval_init(struct eval *e, const struct template_context *ctx)
{
	*e = (struct eval){ .ctx = ctx };
	arena_init(&e->arena, TEMPLATE_MEMORY_MAX);
}

void template_eval_release(struct eval *e)
{
	for (size_t i = 0; i < e->nzones; i++)
		zone_free(e->zones[i]);
	json_decref(e->keep);
	arena_release(&e->arena);
	*e = (struct eval){ .ctx = e->ctx };
}

int template_value_keep(struct eval *e, json_t *list, struct value *ret, struct err *err)
{
	if (!e->keep)
		e->keep = json_array();
	if (!list || json_array_append_new(e->keep, list) < 0)
		return err_nomem(err);
	*ret = (struct value){ .type = VALUE_LIST, .json = list };
	return 0;
}

struct value template_value_null(bool missing)
{
	return (struct value){ .type = VALUE_NULL, .missing = missing };
}

struct value template_value_int(int64_t i)
{
	return (struct value){ .type = VALUE_INT, .i = i };
}

struct value template_value_string(const char *s, size_t len)
{
	return (struct value){ .type = VALUE_STRING, .s = s, .len = len };
}

struct value template_value_date(int64_t day)
{
	return (struct value){ .type = VALUE_DATE, .i = day };
}

struct value template_value_instant(int64_t us, const struct zone *zone)
{
	return (struct value){ .type = VALUE_INSTANT, .i = us, .zone = zone };
}

static int check_nul(const char *s, size_t len, struct err *err)
{
	if (memchr(s, '\0', len))
		return err_set(err, ERR_INVALID,
			"the text holds a NUL byte, which neither a command "
			"nor SQL can take");
	return 0;
}

int template_value_copy(
	struct eval *e, const char *s, size_t len, struct value *ret, struct err *err)
{
	if (check_nul(s, len, err) < 0)
		return -1;
	const char *copy = arena_strndup(&e->arena, s, len);
	if (!copy)
		return err_set(err, ERR_NOMEM, "out of memory, or the text is larger than %u MiB",
			TEMPLATE_MEMORY_MAX >> 20);
	*ret = template_value_string(copy, len);
	return 0;
}

int template_value_from_json(struct eval *e, json_t *json, struct value *ret, struct err *err)
{
	(void)e;
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		*ret = (struct value){ .type = VALUE_OBJECT, .json = json };
		return 0;
	case JSON_ARRAY:
		*ret = (struct value){ .type = VALUE_LIST, .json = json };
		return 0;
	case JSON_STRING:
		*ret = template_value_string(json_string_value(json), json_string_length(json));
		return check_nul(ret->s, ret->len, err);
	case JSON_INTEGER:
		*ret = template_value_int(json_integer_value(json));
		return 0;
	case JSON_REAL:
		*ret = (struct value){ .type = VALUE_REAL, .f = json_real_value(json) };
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		*ret = (struct value){ .type = VALUE_BOOL, .b = json_is_true(json) };
		return 0;
	case JSON_NULL:
		break;
	}
	*ret = template_value_null(false);
	return 0;
}

/* The shortest text that reads back as the same number, and as a real one. */
static int put_real(double f, struct buf *out)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, f);
		if (strtod(text, NULL) == f)
			break;
	}
	buf_addstr(out, text);
	return strpbrk(text, ".eni") ? (out->failed ? -1 : 0) : buf_addstr(out, ".0");
}

static int put_instant(const struct value *v, struct buf *out)
{
	struct zone_info info;
	struct civil c;

	zone_to_civil(v->zone, v->i, &c, &info);
	return civil_add_rfc3339(out, &c, info.offset_s);
}

static int refuse_text(const struct value *v, struct err *err)
{
	if (v->missing)
		return err_set(err, ERR_INVALID,
			"it has no value here; set it, or give a value for "
			"that case with | default(...)");
	if (v->type == VALUE_NULL)
		return err_set(err, ERR_INVALID,
			"it is null, which has no text; "
			"give a value for that case with | default(...)");
	return err_set(err, ERR_INVALID, "it is %s; choose one value, or use | %sjson",
		type_names[v->type], v->type == VALUE_LIST ? "join(\",\") or | " : "");
}

int template_value_text(const struct value *v, struct buf *out, struct err *err)
{
	struct civil c;
	int rc = 0;

	switch (v->type) {
	case VALUE_BOOL:
		rc = buf_addstr(out, v->b ? "true" : "false");
		break;
	case VALUE_INT:
		rc = buf_addf(out, "%lld", (long long)v->i);
		break;
	case VALUE_REAL:
		rc = put_real(v->f, out);
		break;
	case VALUE_STRING:
		rc = buf_add(out, v->s, v->len);
		break;
	case VALUE_DATE:
		civil_from_day(v->i, &c);
		rc = civil_add_date(out, &c);
		break;
	case VALUE_INSTANT:
		rc = put_instant(v, out);
		break;
	default:
		return refuse_text(v, err);
	}
	return rc < 0 ? buf_ok(out, "the rendered text", err) : 0;
}

static json_t *text_to_json(const struct value *v, struct err *err)
{
	struct buf text;
	json_t *json = NULL;

	buf_init(&text, BUF_MAX_TEXT);
	if (template_value_text(v, &text, err) == 0) {
		json = json_stringn(text.data, text.len);
		if (!json)
			err_set(err, ERR_INVALID, "the text is not valid UTF-8");
	}
	buf_release(&text);
	return json;
}

json_t *template_value_to_json(const struct value *v, struct err *err)
{
	json_t *json;

	switch (v->type) {
	case VALUE_NULL:
		if (v->missing) {
			refuse_text(v, err);
			return NULL;
		}
		json = json_null();
		break;
	case VALUE_BOOL:
		json = json_boolean(v->b);
		break;
	case VALUE_INT:
		json = json_integer(v->i);
		break;
	case VALUE_REAL:
		json = json_real(v->f);
		break;
	case VALUE_LIST:
	case VALUE_OBJECT:
		json = json_incref(v->json);
		break;
	default:
		return text_to_json(v, err);
	}
	if (!json)
		err_nomem(err);
	return json;
}

static const char *describe_text(const struct value *v, const char *what, char *buf, size_t size)
{
	struct buf text;

	buf_init(&text, BUF_MAX_TEXT);
	template_value_text(v, &text, NULL);
	size_t len = text.len, most = 40;
	if (len > most) {
		for (len = most; len > 0 && ((unsigned char)text.data[len] & 0xc0) == 0x80; len--)
			;
	}
	bool quote = v->type == VALUE_STRING;
	snprintf(buf, size, "%s%s%.*s%s%s", what, quote ? "\"" : "", (int)len, text.data,
		len < text.len ? "..." : "", quote ? "\"" : "");
	buf_release(&text);
	return buf;
}

const char *template_value_describe(const struct value *v, char *buf, size_t size)
{
	static const char *const with_text[VALUE_TYPE_MAX] = {
		[VALUE_BOOL] = "the boolean ",
		[VALUE_INT] = "the integer ",
		[VALUE_REAL] = "the number ",
		[VALUE_STRING] = "the string ",
		[VALUE_DATE] = "the date ",
		[VALUE_INSTANT] = "the instant ",
	};

	if (with_text[v->type])
		return describe_text(v, with_text[v->type], buf, size);
	if (v->missing)
		snprintf(buf, size, "nothing (it has no value here)");
	else
		snprintf(buf, size, "%s", type_names[v->type]);
	return buf;
}

const char *template_types_describe(unsigned types, char *buf, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < sizeof set_names / sizeof *set_names; i++) {
		if (set_names[i].types == types) {
			snprintf(buf, size, "%s", set_names[i].name);
			return buf;
		}
	}
	buf[0] = '\0';
	for (int i = 0; i < VALUE_TYPE_MAX; i++) {
		if (!(types & TYPE_SET(i)) || used >= size)
			continue;
		int n = snprintf(
			buf + used, size - used, "%s%s", used ? " or " : "", type_names[i]);
		used += n > 0 ? (size_t)n : 0;
	}
	return buf;
}
