#include "conf/foreach.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/template.h"
#include "core/model.h"

/* clang-format off */
static const struct field dates_fields[] = {
	{ .key = "from", .type = FIELD_STRING, .flags = FIELD_REQUIRED | FIELD_TEMPLATE,
		.help = "The first: a date, or a time with or without offset, which is one of the "
			"schedule's zone then.",
		.example = "\"{{ ds | start_of_month }}\"" },
	{ .key = "to", .type = FIELD_STRING, .flags = FIELD_TEMPLATE,
		.help = "The last that may be part of it. Of a date, all of that day is.",
		.example = "\"{{ ds }}\"" },
	{ .key = "until", .type = FIELD_STRING, .flags = FIELD_TEMPLATE,
		.help = "Instead of to: where it ends, itself left out.",
		.example = "\"{{ data_interval_end }}\"" },
	{ .key = "step", .type = FIELD_STRING, .flags = FIELD_TEMPLATE, .def = "1d",
		.help = "From one to the next. Days, weeks (w) and months (mo) give dates, "
			"2026-11-19; hours and minutes give times with offset, "
			"2026-11-19T06:00:00+01:00.",
		.example = "6h" },
	{ 0 },
};

const struct field foreach_fields[] = {
	{ .key = "items", .type = FIELD_ANY, .flags = FIELD_TEMPLATE,
		.help = "A list of texts, numbers or mappings, which may hold templates; or a "
			"template whose value is a list.",
		.example = "[eu, us, apac]" },
	{ .key = "dates", .type = FIELD_OBJECT, .fields = dates_fields,
		.help = "A range of dates or times." },
	{ .key = "glob", .type = FIELD_STRING, .flags = FIELD_TEMPLATE,
		.help = "The paths that match, sorted, as the shell would find them from the DAG's "
			"folder. None is an empty list.",
		.example = "\"in/{{ ds }}/*.csv\"" },
	{ .key = "max_active", .type = FIELD_INT, .has_min = true, .min = 1,
		.has_max = true, .max = FOREACH_ITEMS_MAX,
		.help = "How many of its items are worked on at once in a run. Default: as many as "
			"can be." },
	{ .key = "max_items", .type = FIELD_INT, .def = "10000", .has_min = true, .min = 1,
		.has_max = true, .max = FOREACH_ITEMS_MAX,
		.help = "A longer list fails the task." },
	{ 0 },
};
/* clang-format on */

/* ---- steps ---------------------------------------------------------------------------- */

enum { MONTHS_MAX = 1200 };

static bool parse_months(const char *text, int *ret)
{
	char *end;
	long n = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : 0;

	if (n < 1 || n > MONTHS_MAX || strcmp(end, "mo") != 0)
		return false;
	*ret = (int)n;
	return true;
}

int foreach_parse_step(const char *text, struct foreach_step *ret, struct err *err)
{
	struct foreach_step step = { 0 };

	if (!parse_months(text, &step.months)) {
		if (units_parse_duration(text, &step.us, err) < 0)
			return err_context(err, "step");
		if (step.us < US_PER_SECOND)
			return err_set(err, ERR_INVALID,
				"step: must be a second or more, such as 1d, 6h, 1w or 1mo");
	}
	*ret = step;
	return 0;
}

bool foreach_step_is_days(const struct foreach_step *step)
{
	return step->months || step->us % US_PER_DAY == 0;
}

/* ---- loading -------------------------------------------------------------------------- */

static void say_no_list(struct diags *diags, const struct node *n)
{
	if (n->type == NODE_STRING && !template_is_literal(n->text))
		diag_node(diags, DIAG_ERROR, n,
			"foreach: expected one expression, with nothing beside its braces: this "
			"is a text, never a list");
	else
		diag_node(diags, DIAG_ERROR, n, "foreach: expected a list, found %s",
			n->type == NODE_STRING ? n->text
			: n->type == NODE_NULL ? "nothing"
					       : node_type_name(n->type));
	diag_hint(diags, "a list, such as [eu, us], a template whose value is one, or dates: or "
			 "glob:; see weir-mapping(7)");
}

/* Text that is no template, or NULL. */
static const char *literal_of(const struct node *n)
{
	return node_text(n) && template_is_literal(n->text) ? n->text : NULL;
}

static bool check_date(const struct node *n, const char *key, struct diags *diags)
{
	struct civil_text t;
	struct err err;

	if (!literal_of(n) || civil_parse(n->text, &t, &err) == 0)
		return true;
	diag_node(diags, DIAG_ERROR, n, "%s: %s", key, err.msg);
	return false;
}

static bool is_reversed(const struct node *from, const struct node *end)
{
	struct civil_text a, b;

	if (!literal_of(from) || !literal_of(end) || civil_parse(from->text, &a, NULL) < 0 ||
		civil_parse(end->text, &b, NULL) < 0)
		return false;
	return civil_to_us(&a.civil) > civil_to_us(&b.civil) && a.utc_offset_s == b.utc_offset_s;
}

static bool load_dates(struct foreach *f, const struct node *n, struct diags *diags)
{
	struct foreach_step step;
	struct err err;

	f->kind = FOREACH_DATES;
	f->from = node_get(n, "from");
	f->to = node_get(n, "to");
	f->until = node_get(n, "until");
	f->step = node_get(n, "step");
	if (!f->to == !f->until) {
		diag_node(diags, DIAG_ERROR, f->until ? node_key(n, "until") : n,
			f->until ? "dates: both `to` and `until` are given"
				 : "dates: it has no end");
		diag_hint(diags, "to: the last of them; until: where they end, itself left out");
		return false;
	}
	if (!check_date(f->from, "from", diags) || !check_date(f->to, "to", diags) ||
		!check_date(f->until, "until", diags))
		return false;
	if (is_reversed(f->from, f->to ? f->to : f->until)) {
		diag_node(diags, DIAG_ERROR, f->to ? f->to : f->until,
			"dates: it ends before it begins: this list is always empty");
		return false;
	}
	if (literal_of(f->step) && foreach_parse_step(f->step->text, &step, &err) < 0) {
		diag_node(diags, DIAG_ERROR, f->step, "%s", err.msg);
		diag_hint(diags,
			"days, weeks (w) and months (mo) give dates; hours and minutes, times");
		return false;
	}
	return true;
}

static bool load_glob(struct foreach *f, const struct node *n, struct diags *diags)
{
	const char *deep = literal_of(n) ? strstr(n->text, "**") : NULL;

	f->kind = FOREACH_GLOB;
	f->glob = n;
	if (deep) {
		diag_inside(diags, n, (size_t)(deep - n->text), 2,
			"glob: ** finds no more than *: the files of one folder");
		diag_hint(diags, "name each level: in/*/*.csv");
	} else if (literal_of(n) && !*n->text) {
		diag_node(diags, DIAG_ERROR, n, "glob: the pattern is empty");
	}
	return !deep;
}

static bool load_items(struct foreach *f, const struct node *n, struct diags *diags)
{
	f->kind = FOREACH_ITEMS;
	f->items = n;
	if (n->type == NODE_SEQ && n->n == 0)
		diag_node(diags, DIAG_WARNING, n,
			"foreach: the list is empty: the task is always skipped");
	if (n->type == NODE_SEQ && n->n > (size_t)f->max_items) {
		diag_node(diags, DIAG_ERROR, n, "foreach: %zu items, and max_items is %d", n->n,
			f->max_items);
		diag_hint(diags,
			"raise max_items, up to %d, in the long form: { items: ..., "
			"max_items: ... }",
			FOREACH_ITEMS_MAX);
		return false;
	}
	if (n->type == NODE_SEQ || (n->type == NODE_STRING && !template_is_literal(n->text)))
		return true;
	say_no_list(diags, n);
	return false;
}

static int limit_of(const struct node *n, const char *key, int def)
{
	const struct node *limit = node_get(n, key);

	return limit && limit->type == NODE_INT && limit->i > 0 && limit->i <= FOREACH_ITEMS_MAX
		       ? (int)limit->i
		       : def;
}

/* Exactly one of its keys says what the list is made of. */
static bool load_long(struct foreach *f, const struct node *n, struct diags *diags)
{
	const struct node *const ways[] = { node_get(n, "items"), node_get(n, "dates"),
		node_get(n, "glob") };
	const struct schema_env env = { 0 };
	int count = (ways[0] != NULL) + (ways[1] != NULL) + (ways[2] != NULL);

	if (schema_check(n, foreach_fields, "foreach", &env, diags) > 0)
		return false;
	if (count != 1) {
		diag_node(diags, DIAG_ERROR, n, "foreach: %s of items, dates and glob",
			count ? "only one can be given" : "it needs one");
		diag_hint(diags, "for example: { glob: \"in/*.csv\", max_active: 4 }");
		return false;
	}
	f->max_items = limit_of(n, "max_items", FOREACH_ITEMS_DEFAULT);
	f->max_active = limit_of(n, "max_active", 0);
	if (ways[0])
		return load_items(f, ways[0], diags);
	return ways[1] ? load_dates(f, ways[1], diags) : load_glob(f, ways[2], diags);
}

const struct foreach *foreach_load(const struct node *n, struct arena *arena, struct diags *diags)
{
	struct foreach *f = n ? arena_array(arena, 1, sizeof *f) : NULL;

	if (!f)
		return NULL;
	f->max_items = FOREACH_ITEMS_DEFAULT;
	bool good = n->type == NODE_MAP ? load_long(f, n, diags) : load_items(f, n, diags);
	return good ? f : NULL;
}

/* ---- templates ------------------------------------------------------------------------ */

static void check_text(const struct node *n, const struct schema_env *env, struct diags *diags)
{
	if (node_text(n) && !template_is_literal(n->text))
		env->check_template(
			env->arg, &(struct schema_template){ .node = n, .text = n->text }, diags);
}

static void check_deep(const struct node *n, const struct schema_env *env, struct diags *diags)
{
	if (node_is_scalar(n))
		check_text(n, env, diags);
	else
		for (size_t i = 0; i < n->n; i++)
			check_deep(n->items[i], env, diags);
}

static void check_list(const struct node *n, struct diags *diags)
{
	struct template *t = template_parse(n->text, NULL, NULL, NULL);

	if (t && !template_is_single(t)) {
		say_no_list(diags, n);
	} else if (t && !template_can_be_list(t)) {
		diag_node(diags, DIAG_ERROR, n, "foreach: the value of this is never a list");
		diag_hint(diags, "a text can be cut into one: | split(\",\")");
	}
	template_free(t);
}

void foreach_check(const struct foreach *f, const struct schema_env *env, struct diags *diags)
{
	const struct node *const texts[] = { f->from, f->to, f->until, f->step, f->glob };
	size_t errors = diags->nerrors;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		check_text(texts[i], env, diags);
	if (f->kind != FOREACH_ITEMS)
		return;
	check_deep(f->items, env, diags);
	if (f->items->type == NODE_STRING && diags->nerrors == errors)
		check_list(f->items, diags);
}

json_t *foreach_json_schema(void)
{
	json_t *object = schema_json_part(foreach_fields, NULL);
	json_t *items = json_object_get(json_object_get(object, "properties"), "items");

	/* A list, or the template of one. */
	json_object_set_new(items, "type", json_pack("[s, s]", "array", "string"));
	return json_pack("{s:[{s:s}, {s:s, s:s}, o]}", "oneOf", "type", "array", "type", "string",
		"pattern", "\\{\\{", object);
}
