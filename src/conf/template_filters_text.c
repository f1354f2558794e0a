#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/template_filters.h"

#define UNUSED_ARGS (void)e, (void)args, (void)nargs, (void)err

/* The text of *v as a string of the evaluation. */
static int to_string(struct eval *e, struct value *v, struct err *err)
{
	struct buf text;

	if (v->type == VALUE_STRING)
		return 0;
	buf_init(&text, BUF_MAX_TEXT);
	int rc = template_value_text(v, &text, err);
	if (rc == 0)
		rc = template_value_copy(e, text.data, text.len, v, err);
	buf_release(&text);
	return rc;
}

/* Make what was built in `out` the value, and release it. */
static int take(struct eval *e, struct buf *out, struct value *v, struct err *err)
{
	int rc = buf_ok(out, "the text", err);

	if (rc == 0)
		rc = template_value_copy(e, out->data, out->len, v, err);
	buf_release(out);
	return rc;
}

TEMPLATE_FILTER_FN(default)
{
	UNUSED_ARGS;
	if (v->type == VALUE_NULL)
		*v = args[0];
	return 0;
}

/* Letters of ASCII only: the others' cases depend on the language. */
static int map_case(struct eval *e, struct value *v, char first, struct err *err)
{
	if (to_string(e, v, err) < 0)
		return -1;
	char *copy = arena_strndup(&e->arena, v->s, v->len);
	if (!copy)
		return err_nomem(err);
	for (size_t i = 0; i < v->len; i++)
		if (copy[i] >= first && copy[i] < first + 26)
			copy[i] ^= 'a' ^ 'A';
	v->s = copy;
	return 0;
}

TEMPLATE_FILTER_FN(upper)
{
	UNUSED_ARGS;
	return map_case(e, v, 'a', err);
}

TEMPLATE_FILTER_FN(lower)
{
	UNUSED_ARGS;
	return map_case(e, v, 'A', err);
}

TEMPLATE_FILTER_FN(trim)
{
	static const char space[] = " \t\r\n\v\f";

	UNUSED_ARGS;
	if (to_string(e, v, err) < 0)
		return -1;
	while (v->len && strchr(space, v->s[0]))
		v->s++, v->len--;
	while (v->len && strchr(space, v->s[v->len - 1]))
		v->len--;
	return template_value_copy(e, v->s, v->len, v, err);
}

TEMPLATE_FILTER_FN(replace)
{
	const struct value *what = &args[0], *by = &args[1];
	struct buf out;

	UNUSED_ARGS;
	if (what->len == 0)
		return err_set(err, ERR_INVALID, "the text to replace is empty");
	if (to_string(e, v, err) < 0)
		return -1;
	buf_init(&out, BUF_MAX_TEXT);
	for (const char *at = v->s, *end = v->s + v->len; at < end && !out.failed;) {
		const char *hit = memmem(at, (size_t)(end - at), what->s, what->len);
		buf_add(&out, at, (size_t)((hit ? hit : end) - at));
		if (!hit)
			break;
		buf_add(&out, by->s, by->len);
		at = hit + what->len;
	}
	return take(e, &out, v, err);
}

static int append_text(json_t *list, const char *s, size_t len, struct err *err)
{
	json_t *item = json_stringn(s, len);

	if (!item)
		return err_set(err, ERR_INVALID, "the text is not valid UTF-8");
	return json_array_append_new(list, item) < 0 ? err_nomem(err) : 0;
}

TEMPLATE_FILTER_FN(split)
{
	const char *at, *end;
	json_t *list = json_array();
	int rc = list ? 0 : err_nomem(err);

	UNUSED_ARGS;
	if (rc == 0 && args[0].len == 0)
		rc = err_set(err, ERR_INVALID, "the separator is empty");
	if (rc == 0)
		rc = to_string(e, v, err);
	for (at = v->s, end = v->s + v->len; rc == 0;) {
		const char *hit = memmem(at, (size_t)(end - at), args[0].s, args[0].len);
		rc = append_text(list, at, (size_t)((hit ? hit : end) - at), err);
		if (!hit)
			break;
		at = hit + args[0].len;
	}
	if (rc == 0)
		return template_value_keep(e, list, v, err);
	json_decref(list);
	return rc;
}

TEMPLATE_FILTER_FN(join)
{
	struct value item;
	struct buf out;
	int rc = 0;

	UNUSED_ARGS;
	buf_init(&out, BUF_MAX_TEXT);
	for (size_t i = 0; i < json_array_size(v->json) && rc == 0; i++) {
		if (i > 0)
			buf_add(&out, args[0].s, args[0].len);
		rc = template_value_from_json(e, json_array_get(v->json, i), &item, err);
		if (rc == 0)
			rc = template_value_text(&item, &out, err);
		if (rc < 0)
			err_context(err, "item %zu of the list", i + 1);
	}
	if (rc == 0)
		return take(e, &out, v, err);
	buf_release(&out);
	return rc;
}

static int item(struct eval *e, struct value *v, size_t at, struct err *err)
{
	json_t *json = json_array_get(v->json, at);

	if (json)
		return template_value_from_json(e, json, v, err);
	*v = template_value_null(true);
	return 0;
}

TEMPLATE_FILTER_FN(first)
{
	UNUSED_ARGS;
	return item(e, v, 0, err);
}

TEMPLATE_FILTER_FN(last)
{
	UNUSED_ARGS;
	return item(e, v, json_array_size(v->json) - 1, err);
}

TEMPLATE_FILTER_FN(length)
{
	size_t n = 0;

	UNUSED_ARGS;
	if (v->type == VALUE_LIST) {
		n = json_array_size(v->json);
	} else if (v->type == VALUE_OBJECT) {
		n = json_object_size(v->json);
	} else {
		for (size_t i = 0; i < v->len; i++)
			n += ((unsigned char)v->s[i] & 0xc0) != 0x80;
	}
	*v = template_value_int((int64_t)n);
	return 0;
}

/* Only what is written as a decimal number: strtod knows more than anybody means. */
static bool is_decimal(const char *s, bool real)
{
	size_t n = strspn(s, real ? "+-0123456789.eE" : "+-0123456789");

	return n > 0 && s[n] == '\0';
}

static int refuse_number(const struct value *v, const char *what, struct err *err)
{
	char got[80];

	return err_set(err, ERR_INVALID, "%s is not %s that fits",
		template_value_describe(v, got, sizeof got), what);
}

TEMPLATE_FILTER_FN(int)
{
	int64_t i = v->i;
	char *end = "";

	UNUSED_ARGS;
	errno = 0;
	if (v->type == VALUE_BOOL) {
		i = v->b;
	} else if (v->type == VALUE_REAL) {
		if (!(v->f > -0x1p63 && v->f < 0x1p63))
			return refuse_number(v, "an integer", err);
		i = (int64_t)v->f;
	} else if (v->type == VALUE_STRING) {
		i = strtoll(v->s, &end, 10);
		if (!is_decimal(v->s, false) || *end || errno)
			return refuse_number(v, "an integer", err);
	}
	*v = template_value_int(i);
	return 0;
}

TEMPLATE_FILTER_FN(float)
{
	double f = v->f;
	char *end = "";

	UNUSED_ARGS;
	if (v->type == VALUE_INT) {
		f = (double)v->i;
	} else if (v->type == VALUE_STRING) {
		f = strtod(v->s, &end);
		if (!is_decimal(v->s, true) || *end || !isfinite(f))
			return refuse_number(v, "a number", err);
	}
	*v = (struct value){ .type = VALUE_REAL, .f = f };
	return 0;
}

TEMPLATE_FILTER_FN(string)
{
	UNUSED_ARGS;
	return to_string(e, v, err);
}

static double as_real(const struct value *v)
{
	return v->type == VALUE_INT ? (double)v->i : v->f;
}

TEMPLATE_FILTER_FN(add)
{
	UNUSED_ARGS;
	if (v->type == VALUE_INT && args[0].type == VALUE_INT) {
		if (__builtin_add_overflow(v->i, args[0].i, &v->i))
			return err_set(err, ERR_INVALID, "the sum is too large");
		return 0;
	}
	double sum = as_real(v) + as_real(&args[0]);
	if (!isfinite(sum))
		return err_set(err, ERR_INVALID, "the sum is too large");
	*v = (struct value){ .type = VALUE_REAL, .f = sum };
	return 0;
}

/* As basename(1) and dirname(1), POSIX. Returns the length without slashes at the end. */
static size_t without_slashes(const char *s, size_t len)
{
	while (len > 1 && s[len - 1] == '/')
		len--;
	return len;
}

TEMPLATE_FILTER_FN(basename)
{
	UNUSED_ARGS;
	if (to_string(e, v, err) < 0)
		return -1;
	size_t len = without_slashes(v->s, v->len), from = len;
	while (from > 0 && v->s[from - 1] != '/')
		from--;
	if (from == len)
		from = 0; /* "/" or "" */
	return template_value_copy(e, v->s + from, len - from, v, err);
}

TEMPLATE_FILTER_FN(dirname)
{
	UNUSED_ARGS;
	if (to_string(e, v, err) < 0)
		return -1;
	size_t len = without_slashes(v->s, v->len);
	while (len > 0 && v->s[len - 1] != '/')
		len--;
	if (len == 0)
		return template_value_copy(e, ".", 1, v, err);
	return template_value_copy(e, v->s, without_slashes(v->s, len), v, err);
}
