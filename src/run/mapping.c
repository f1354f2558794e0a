#include "run/mapping.h"

#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "base/utf8.h"
#include "conf/foreach.h"
#include "conf/template.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/job.h"

enum { ARENA_MAX = 256 << 20 };

struct maker {
	const struct foreach *f;
	const struct template_context *tc;
	const char *dir;
	struct mapping *list;
	struct err *err; /* never NULL */
};

/* ---- the list ------------------------------------------------------------------------- */

static int too_many(const struct maker *m)
{
	return err_set(m->err, ERR_INVALID,
		"foreach: the list has more than max_items, %d; make it shorter, or raise "
		"max_items, up to %d",
		m->f->max_items, FOREACH_ITEMS_MAX);
}

static int keep(const struct maker *m, const char *text)
{
	struct mapping *list = m->list;
	const char *copy = arena_strdup(&list->arena, text);

	if (list->n == list->cap) {
		int cap = list->cap ? list->cap * 2 : 16;
		const char **grown = arena_array(&list->arena, (size_t)cap, sizeof *grown);
		if (grown && list->n)
			memcpy(grown, list->items, (size_t)list->n * sizeof *grown);
		list->items = grown;
		list->cap = grown ? cap : 0;
	}
	if (!copy || !list->items)
		return err_nomem(m->err);
	list->items[list->n++] = copy;
	return 0;
}

/* Takes the text. */
static int add_text(const struct maker *m, char *text)
{
	struct mapping *list = m->list;
	size_t len = text ? strlen(text) : 0;
	int rc = 0;

	if (!text)
		return err_nomem(m->err);
	if (list->n >= m->f->max_items)
		rc = too_many(m);
	else if (len > MAPPING_ITEM_MAX)
		rc = err_set(m->err, ERR_INVALID,
			"foreach: item %d is %zu bytes long, and at most %d are allowed; hand over "
			"the path of a file instead",
			list->n, len, MAPPING_ITEM_MAX);
	else if (list->bytes + len > MAPPING_BYTES_MAX)
		rc = err_set(m->err, ERR_INVALID,
			"foreach: the items are more than %d MiB together; hand over the paths of "
			"files instead",
			MAPPING_BYTES_MAX >> 20);
	if (rc == 0)
		rc = keep(m, text);
	list->bytes += len;
	free(text);
	return rc;
}

static int add_json(const struct maker *m, const json_t *item)
{
	const char *text = json_string_value(item);

	if (text && strlen(text) != json_string_length(item))
		return err_set(
			m->err, ERR_INVALID, "foreach: item %d holds a NUL byte", m->list->n);
	return add_text(m, json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT));
}

static int add_string(const struct maker *m, const char *text)
{
	json_t *item = json_string(text);
	char shown[200];
	int rc;

	if (item) {
		rc = add_json(m, item);
		json_decref(item);
		return rc;
	}
	snprintf(shown, sizeof shown, "%s", text);
	utf8_clean(shown, strlen(shown));
	return err_set(m->err, ERR_INVALID, "foreach: not valid UTF-8: \"%s\"; rename it", shown);
}

/* ---- items ---------------------------------------------------------------------------- */

static const char *type_of(const json_t *json)
{
	static const char *const names[] = { [JSON_OBJECT] = "a mapping",
		[JSON_ARRAY] = "a list",
		[JSON_STRING] = "the text",
		[JSON_INTEGER] = "the number",
		[JSON_REAL] = "the number",
		[JSON_TRUE] = "true",
		[JSON_FALSE] = "false",
		[JSON_NULL] = "null" };

	return names[json_typeof(json)];
}

static int refuse(const struct maker *m, const json_t *value)
{
	bool shown = json_is_string(value) || json_is_number(value);
	char *text = shown ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

	err_set(m->err, ERR_INVALID,
		"foreach: %.100s is no list: it is %s%s%.80s%s; it has to be a JSON list, such as "
		"[\"a\",\"b\"]",
		m->f->items->text, type_of(value), text ? " " : "", text ? text : "",
		text && strlen(text) > 80 ? "..." : "");
	free(text);
	return -1;
}

static int make_items(const struct maker *m)
{
	json_t *value = render_any(m->f->items, m->tc, m->err), *item;
	int rc = value ? 0 : err_context(m->err, "foreach");
	size_t i;

	if (rc == 0 && !json_is_array(value))
		rc = refuse(m, value);
	/* How many there are is said, where it is known. */
	if (rc == 0 && json_array_size(value) > (size_t)m->f->max_items)
		rc = err_set(m->err, ERR_INVALID,
			"foreach: the list has %zu items, more than max_items, %d; make it "
			"shorter, or raise max_items, up to %d",
			json_array_size(value), m->f->max_items, FOREACH_ITEMS_MAX);
	for (i = 0; rc == 0 && i < json_array_size(value); i++) {
		item = json_array_get(value, i);
		rc = add_json(m, item);
	}
	json_decref(value);
	return rc;
}

/* ---- dates ---------------------------------------------------------------------------- */

struct moment {
	int64_t us; /* of a date: its first instant in the zone */
	int64_t day;
	bool is_date;
};

static int render(const struct maker *m, const struct node *n, struct buf *out)
{
	buf_init(out, 4096);
	return template_text(n->text, m->tc, out, m->err);
}

static int moment_of(
	const struct maker *m, const struct node *n, const char *key, struct moment *ret)
{
	struct civil_text t;
	struct zone_local local;
	struct buf text;
	int rc = render(m, n, &text);

	if (rc == 0)
		rc = civil_parse(text.data, &t, m->err);
	buf_release(&text);
	if (rc < 0)
		return err_context(m->err, "foreach: %s", key);
	ret->is_date = !(t.parts & CIVIL_HAS_TIME);
	ret->day = civil_day(t.civil.year, t.civil.month, t.civil.day);
	if (ret->is_date) {
		ret->us = zone_day_start_us(m->tc->zone, ret->day);
	} else if (t.parts & CIVIL_HAS_OFFSET) {
		ret->us = civil_text_us(&t);
		ret->day = zone_day_at(m->tc->zone, ret->us);
	} else {
		zone_local_to_utc(m->tc->zone, &t.civil, &local);
		ret->us = local.first_us;
	}
	return 0;
}

static int step_of(const struct maker *m, struct foreach_step *ret)
{
	struct buf text;
	int rc;

	if (!m->f->step) {
		*ret = (struct foreach_step){ .us = US_PER_DAY };
		return 0;
	}
	rc = render(m, m->f->step, &text);
	if (rc == 0)
		rc = foreach_parse_step(text.data, ret, m->err);
	buf_release(&text);
	return rc < 0 ? err_context(m->err, "foreach") : 0;
}

/* The first instant that is no longer part of it. */
static int end_of(const struct maker *m, int64_t *ret)
{
	struct moment at;

	if (m->f->until) {
		if (moment_of(m, m->f->until, "until", &at) < 0)
			return -1;
		*ret = at.us;
		return 0;
	}
	if (moment_of(m, m->f->to, "to", &at) < 0)
		return -1;
	*ret = at.is_date ? zone_day_start_us(m->tc->zone, at.day + 1) : at.us + 1;
	return 0;
}

static int make_days(
	const struct maker *m, int64_t first, const struct foreach_step *step, int64_t end_us)
{
	int64_t days = step->us / US_PER_DAY, day = first;
	struct civil c;

	for (int k = 1; zone_day_start_us(m->tc->zone, day) < end_us; k++) {
		char text[40];
		civil_from_day(day, &c);
		snprintf(text, sizeof text, "%04d-%02d-%02d", c.year, c.month, c.day);
		if (add_string(m, text) < 0)
			return -1;
		/* Months are counted from the first: 31 January is not lost on its way. */
		civil_from_day(first, &c);
		if (step->months)
			civil_add_months(&c, k * step->months);
		day = step->months ? civil_day(c.year, c.month, c.day) : first + k * days;
	}
	return 0;
}

static int make_times(const struct maker *m, int64_t from_us, int64_t step_us, int64_t end_us)
{
	for (int64_t at = from_us; at < end_us; at += step_us) {
		struct zone_info info;
		struct civil c;
		struct buf text;
		buf_init(&text, 64);
		zone_to_civil(m->tc->zone, at, &c, &info);
		civil_add_rfc3339(&text, &c, info.offset_s);
		int rc = add_string(m, text.data);
		buf_release(&text);
		if (rc < 0)
			return -1;
		if (step_us >= end_us - at)
			break;
	}
	return 0;
}

static int make_dates(const struct maker *m)
{
	struct foreach_step step;
	struct moment from;
	int64_t end_us;

	if (moment_of(m, m->f->from, "from", &from) < 0 || end_of(m, &end_us) < 0 ||
		step_of(m, &step) < 0)
		return -1;
	if (foreach_step_is_days(&step))
		return make_days(m, from.day, &step, end_us);
	return make_times(m, from.us, step.us, end_us);
}

/* ---- glob ----------------------------------------------------------------------------- */

/* The pattern from the DAG's folder, whose own name is no pattern. *ret_skip: how much of what
 * is found is that folder. NULL: no memory. */
static char *full_pattern(const char *dir, const char *pattern, size_t *ret_skip)
{
	struct buf full;

	*ret_skip = 0;
	buf_init(&full, BUF_MAX_TEXT);
	if (*pattern != '/') {
		for (const char *p = dir; *p; p++) {
			if (strchr("*?[]\\", *p))
				buf_addc(&full, '\\');
			buf_addc(&full, *p);
		}
		buf_addc(&full, '/');
		*ret_skip = strlen(dir) + 1;
	}
	buf_addstr(&full, pattern);
	char *ret = buf_take(&full);
	buf_release(&full);
	return ret;
}

/* What is not there holds nothing. What cannot be read may hold much. */
static int refuse_folder(const char *path, int error)
{
	(void)path;
	errno = error;
	return error != ENOENT && error != ENOTDIR;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_paths(const struct maker *m, const glob_t *g, size_t skip)
{
	/* What glob(3) sorts, it sorts as the locale does. */
	qsort(g->gl_pathv, g->gl_pathc, sizeof *g->gl_pathv, by_bytes);
	for (size_t i = 0; i < g->gl_pathc; i++)
		if (add_string(m, g->gl_pathv[i] + skip) < 0)
			return -1;
	return 0;
}

static int find_paths(const struct maker *m, const char *pattern)
{
	size_t skip;
	char *full = full_pattern(m->dir, pattern, &skip);
	glob_t g = { 0 };
	int rc;

	if (!full)
		return err_nomem(m->err);
	errno = 0;
	switch (glob(full, GLOB_NOSORT, refuse_folder, &g)) {
	case 0:
		rc = add_paths(m, &g, skip);
		break;
	case GLOB_NOMATCH:
		rc = 0;
		break;
	case GLOB_ABORTED:
		rc = err_errno(m->err, "foreach: glob: a folder of %.300s cannot be read", pattern);
		break;
	default:
		rc = err_nomem(m->err);
	}
	globfree(&g);
	free(full);
	return rc;
}

static int make_glob(const struct maker *m)
{
	struct buf pattern;
	int rc = render(m, m->f->glob, &pattern);

	if (rc < 0)
		err_context(m->err, "foreach: glob");
	else if (pattern.len == 0)
		rc = err_set(m->err, ERR_INVALID, "foreach: glob: the pattern is empty");
	else
		rc = find_paths(m, pattern.data);
	buf_release(&pattern);
	return rc;
}

/* ---- all ------------------------------------------------------------------------------ */

static int (*const makers[FOREACH_KIND_MAX])(const struct maker *) = {
	[FOREACH_ITEMS] = make_items,
	[FOREACH_DATES] = make_dates,
	[FOREACH_GLOB] = make_glob,
};

int mapping_make(const struct foreach *f, const struct template_context *tc, const char *dir,
	struct mapping *ret, struct err *err)
{
	const struct node *at = f->items ? f->items : f->glob ? f->glob : f->from;
	struct err own;
	struct maker m = { f, tc, dir, ret, err ? err : &own };

	*ret = (struct mapping){ 0 };
	arena_init(&ret->arena, ARENA_MAX);
	err_clear(m.err);
	if (makers[f->kind](&m) == 0)
		return 0;
	if (!m.err->file[0])
		err_where(m.err, at->source->path, at->line, at->col);
	mapping_release(ret);
	return -1;
}

void mapping_release(struct mapping *m)
{
	if (!m)
		return;
	arena_release(&m->arena);
	*m = (struct mapping){ 0 };
}

int mapping_list(const struct job_context *c, const struct job_attempt *a, struct mapping *ret,
	struct err *err)
{
	/* The list is made before there is an attempt. */
	const struct job_attempt none = { .task = a->task, .map_index = -1, .now_us = a->now_us };
	const struct template_context tc = job_template_context(c, &none);

	return mapping_make(a->task->foreach, &tc, c->dag->dir, ret, err);
}
