#include "data/contract.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/node.h"
#include "base/units.h"
#include "conf/diag.h"
#include "conf/schema.h"
#include "conf/yaml.h"
#include "data/contract_rules.h"

static const char *const extra_names[] = { "ignore", "warn", "fail", NULL };
static const char *const missing_names[] = { "fail", "null", NULL };
static const struct field scalar_item = { .type = FIELD_VALUE };
static const struct field text_item = { .type = FIELD_STRING };

static const struct field range_fields[] = {
	{ .key = "min", .type = FIELD_VALUE, .help = "The smallest value allowed." },
	{ .key = "max", .type = FIELD_VALUE, .help = "The largest value allowed." },
	{ 0 },
};

static const struct field length_fields[] = {
	{ .key = "min",
		.type = FIELD_INT,
		.has_min = true,
		.min = 0,
		.help = "The least number of characters." },
	{ .key = "max",
		.type = FIELD_INT,
		.has_min = true,
		.min = 0,
		.help = "The largest number of characters." },
	{ 0 },
};

static const struct field column_fields[] = {
	{ .key = "type",
		.type = FIELD_ENUM,
		.values = convert_type_names,
		.def = "string",
		.help = "What a value must be, and what the table keeps. integer: 64 bit, digits "
			"only. number: a double. decimal: digits and a fraction, at most 15 "
			"significant digits, kept as a double, which holds them all. boolean: "
			"true, "
			"false, yes, no, on, off, t, f, y, n, 1, 0, kept as 1 and 0. date: "
			"2026-11-19. timestamp: RFC 3339, kept in UTC when it has an offset. json: "
			"any JSON, kept as text." },
	{ .key = "nullable",
		.type = FIELD_BOOL,
		.def = "true",
		.help = "Whether the value may be absent (an empty field that is not quoted)." },
	{ .key = "unique",
		.type = FIELD_BOOL,
		.def = "false",
		.help = "The second row with the same value is rejected. NULLs are not compared." },
	{ .key = "range",
		.type = FIELD_OBJECT,
		.fields = range_fields,
		.help = "Bounds of an integer, number, decimal, date or timestamp, both included.",
		.example = "{ min: 0, max: 100000 }" },
	{ .key = "enum",
		.type = FIELD_LIST,
		.item = &scalar_item,
		.has_min = true,
		.min = 1,
		.help = "The values allowed.",
		.example = "[paid, open]" },
	{ .key = "length",
		.type = FIELD_OBJECT,
		.fields = length_fields,
		.help = "Bounds of a string's length in characters.",
		.example = "{ min: 1, max: 20 }" },
	{ .key = "pattern",
		.type = FIELD_REGEX,
		.help = "A pcre2 pattern that a string must match somewhere; ^ and $ tie it to the "
			"whole.",
		.example = "\"^[a-z]+$\"" },
	{ .key = "rename_from",
		.type = FIELD_LIST,
		.item = &text_item,
		.flags = FIELD_OR_ONE,
		.help = "Former names of the column, which files may still use.",
		.example = "[e_mail]" },
	{ .key = "trim",
		.type = FIELD_BOOL,
		.help = "Cut blanks around the value before all else. Default: false for strings "
			"and json, true for the others." },
	{ .key = "format",
		.type = FIELD_STRING,
		.help = "How a date or timestamp is written, as for strptime(3).",
		.example = "\"%d.%m.%Y\"" },
	{ .key = "description", .type = FIELD_STRING, .help = "For people." },
	{ 0 },
};

static const struct field column_item = { .type = FIELD_OBJECT, .fields = column_fields };

const struct field contract_fields[] = {
	{ .key = "contract",
		.type = FIELD_NAME,
		.flags = FIELD_REQUIRED,
		.help = "The contract's name.",
		.example = "orders" },
	{ .key = "description", .type = FIELD_STRING, .help = "For people." },
	{ .key = "owner", .type = FIELD_STRING, .help = "Who answers for the data." },
	{ .key = "columns",
		.type = FIELD_MAP,
		.item = &column_item,
		.flags = FIELD_REQUIRED,
		.has_min = true,
		.min = 1,
		.help = "The columns, in the order the table has them." },
	{ .key = "on_extra_column",
		.type = FIELD_ENUM,
		.values = extra_names,
		.def = "warn",
		.help = "What a column that the contract does not know means. Unless it is fail, "
			"the "
			"column is left out." },
	{ .key = "on_missing_column",
		.type = FIELD_ENUM,
		.values = missing_names,
		.def = "fail",
		.help = "What it means when a file has no such column; null: it is NULL in every "
			"row." },
	{ .key = "max_rejected",
		.type = FIELD_STRING,
		.help = "How many rows may be rejected, as a share (1%) or a count; beyond it the "
			"task "
			"fails and the target stays as it was. Default: all but every row.",
		.example = "1%" },
	{ 0 },
};

/* ---- small values ---------------------------------------------------------------------- */

int contract_parse_limit(const char *text, struct contract_limit *ret, struct err *err)
{
	size_t n = strspn(text, "0123456789");

	*ret = (struct contract_limit){ .given = true, .fraction = -1 };
	if (n && !text[n] && n <= 18) {
		ret->count = strtoll(text, NULL, 10);
		return 0;
	}
	if (units_parse_percent(text, &ret->fraction, NULL) < 0)
		return err_set(err, ERR_INVALID,
			"\"%s\" is neither a percentage (1%%) nor a count (100)", text);
	return 0;
}

bool contract_limit_broken(const struct contract_limit *l, int64_t rejected, int64_t rows)
{
	if (!l->given)
		return rows > 0 && rejected == rows;
	return l->fraction < 0 ? rejected > l->count
			       : (double)rejected > l->fraction * (double)rows;
}

static int index_of(const char *const *names, const char *text, int def)
{
	for (int i = 0; text && names[i]; i++)
		if (strcmp(names[i], text) == 0)
			return i;
	return def;
}

static bool bool_of(const struct node *n, bool def)
{
	return n && n->type == NODE_BOOL ? n->b : def;
}

static char *copy_of(struct contract *c, const struct node *n)
{
	const char *text = node_text(n);

	return text ? arena_strndup(&c->arena, text, n->len) : NULL;
}

/* ---- rules of a column ----------------------------------------------------------------- */

/* A value of the contract in the form that rows are converted to. */
static int compile_value(const struct contract_column *col, struct contract *c,
	const struct node *n, struct cell *ret, struct diags *diags)
{
	char scratch[CONVERT_SCRATCH];
	struct convert how = col->convert;
	struct cell in = { .type = CELL_TEXT, .len = (uint32_t)n->len, .text = n->text };

	/* Bounds are written in the standard form, whatever the file's is. */
	how.format = NULL;
	const char *why = n->type == NODE_NULL ? "is null" : convert_cell(&how, &in, ret, scratch);
	if (why) {
		diag_node(diags, DIAG_ERROR, n, "\"%s\" %s", n->text ? n->text : "", why);
		return -1;
	}
	if (ret->type == CELL_TEXT) {
		ret->text = arena_strndup(&c->arena, ret->text, ret->len);
		if (!ret->text)
			return -1;
	}
	return 0;
}

static void wrong_type(const struct contract_column *col, const struct node *key, const char *what,
	struct diags *diags)
{
	diag_node(diags, DIAG_ERROR, key, "%s is for %s, but the column is of type %s", key->text,
		what, convert_type_names[col->convert.type]);
}

static void compile_range(
	struct contract_column *col, struct contract *c, const struct node *n, struct diags *diags)
{
	const struct node *range = node_get(n, "range");
	const struct node *min = node_get(range, "min"), *max = node_get(range, "max");
	enum convert_type type = col->convert.type;

	if (!range)
		return;
	if (!convert_is_numeric(type) && !convert_is_time(type)) {
		wrong_type(col, node_key(n, "range"), "numbers, dates and timestamps", diags);
		return;
	}
	if (!min && !max)
		diag_node(diags, DIAG_ERROR, range, "a range has min, max or both");
	col->has_min = min && compile_value(col, c, min, &col->min, diags) == 0;
	col->has_max = max && compile_value(col, c, max, &col->max, diags) == 0;
	if (col->has_min && col->has_max && contract_compare(&col->min, &col->max, type) > 0)
		diag_node(diags, DIAG_ERROR, min, "min is above max");
}

static void compile_enum(
	struct contract_column *col, struct contract *c, const struct node *n, struct diags *diags)
{
	const struct node *list = node_get(n, "enum");

	if (!list)
		return;
	col->values = arena_array(&c->arena, list->n, sizeof *col->values);
	for (size_t i = 0; col->values && i < list->n; i++)
		if (compile_value(col, c, list->items[i], &col->values[col->nvalues], diags) == 0)
			col->nvalues++;
	if (col->values)
		contract_sort_values(col->values, col->nvalues);
}

static void compile_length(struct contract_column *col, const struct node *n, struct diags *diags)
{
	const struct node *length = node_get(n, "length");
	const struct node *min = node_get(length, "min"), *max = node_get(length, "max");

	col->length_max = INT64_MAX;
	if (!length)
		return;
	if (col->convert.type != CONVERT_STRING) {
		wrong_type(col, node_key(n, "length"), "strings", diags);
		return;
	}
	if (!min && !max)
		diag_node(diags, DIAG_ERROR, length, "a length has min, max or both");
	if (min)
		col->length_min = min->i;
	if (max)
		col->length_max = max->i;
	col->has_length = true;
	if (col->length_min > col->length_max)
		diag_node(diags, DIAG_ERROR, min, "min is above max");
}

static void compile_pattern(
	struct contract_column *col, struct contract *c, const struct node *n, struct diags *diags)
{
	const struct node *pattern = node_get(n, "pattern");
	int number;
	PCRE2_SIZE offset;

	if (!pattern)
		return;
	if (col->convert.type != CONVERT_STRING) {
		wrong_type(col, node_key(n, "pattern"), "strings", diags);
		return;
	}
	col->pattern_text = copy_of(c, pattern);
	col->pattern = pcre2_compile((PCRE2_SPTR)pattern->text, pattern->len,
		PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &number, &offset, NULL);
	if (!col->pattern) {
		PCRE2_UCHAR text[160] = "";
		pcre2_get_error_message(number, text, sizeof text);
		diag_inside(diags, pattern, offset, 1, "%s", (const char *)text);
		return;
	}
	/* Without JIT (a hardened kernel may refuse it) the interpreter does it. */
	(void)pcre2_jit_compile(col->pattern, PCRE2_JIT_COMPLETE);
}

static void compile_format(
	struct contract_column *col, struct contract *c, const struct node *n, struct diags *diags)
{
	const struct node *format = node_get(n, "format");
	struct err err = { 0 };

	if (!format)
		return;
	if (!convert_is_time(col->convert.type))
		wrong_type(col, node_key(n, "format"), "dates and timestamps", diags);
	else if (convert_check_format(format->text, col->convert.type, &err) < 0)
		diag_node(diags, DIAG_ERROR, format, "%s", err.msg);
	else
		col->convert.format = copy_of(c, format);
}

static void compile_column(struct contract_column *col, struct contract *c, const struct node *name,
	const struct node *n, struct diags *diags)
{
	col->name = copy_of(c, name);
	col->convert.type = (enum convert_type)index_of(
		convert_type_names, node_text(node_get(n, "type")), CONVERT_STRING);
	bool trims = col->convert.type != CONVERT_STRING && col->convert.type != CONVERT_JSON;
	col->convert.trim = bool_of(node_get(n, "trim"), trims);
	col->nullable = bool_of(node_get(n, "nullable"), true);
	col->unique = bool_of(node_get(n, "unique"), false);
	compile_format(col, c, n, diags);
	compile_range(col, c, n, diags);
	compile_enum(col, c, n, diags);
	compile_length(col, n, diags);
	compile_pattern(col, c, n, diags);
	const struct node *from = node_get(n, "rename_from");
	if (!from)
		return;
	size_t count = from->type == NODE_SEQ ? from->n : 1;
	col->former = arena_array(&c->arena, count, sizeof *col->former);
	for (size_t i = 0; col->former && i < count; i++)
		col->former[col->nformer++] =
			copy_of(c, from->type == NODE_SEQ ? from->items[i] : from);
}

/* A name that two columns claim would depend on their order. */
static void check_names(const struct contract *c, const struct node *columns, struct diags *diags)
{
	for (size_t i = 0; i < c->ncolumns; i++)
		for (size_t f = 0; f < c->columns[i].nformer; f++) {
			const char *former = c->columns[i].former[f];
			for (size_t k = 0; former && k < c->ncolumns; k++)
				if (strcmp(c->columns[k].name, former) == 0)
					diag_node(diags, DIAG_ERROR, columns->keys[i],
						"rename_from: \"%s\" is a column of its own",
						former);
		}
}

static void compile(struct contract *c, const struct node *root, struct diags *diags)
{
	const struct node *columns = node_get(root, "columns"), *limit;
	struct err err = { 0 };

	c->name = copy_of(c, node_get(root, "contract"));
	c->on_extra = (enum contract_policy)index_of(
		extra_names, node_text(node_get(root, "on_extra_column")), CONTRACT_WARN);
	c->on_missing = index_of(missing_names, node_text(node_get(root, "on_missing_column")), 0)
				? CONTRACT_NULL
				: CONTRACT_FAIL;
	limit = node_get(root, "max_rejected");
	if (limit && contract_parse_limit(limit->text, &c->max_rejected, &err) < 0)
		diag_node(diags, DIAG_ERROR, limit, "%s", err.msg);
	c->columns = arena_array(&c->arena, columns->n, sizeof *c->columns);
	for (size_t i = 0; c->columns && i < columns->n; i++) {
		compile_column(&c->columns[i], c, columns->keys[i], columns->items[i], diags);
		c->ncolumns++;
	}
	if (!c->arena.failed)
		check_names(c, columns, diags);
}

/* ---- loading --------------------------------------------------------------------------- */

int contract_load(struct contract **ret, const char *path, struct diags *diags)
{
	static const struct schema_env env = { 0 };
	size_t before = diags->nerrors;
	struct yaml_doc doc;

	*ret = NULL;
	if (yaml_read(&doc, path, diags) < 0)
		return -1;
	struct contract *c = calloc(1, sizeof *c);
	if (!c) {
		yaml_release(&doc);
		diag_err(diags, path, &(struct err){ .code = ERR_NOMEM, .msg = "out of memory" });
		return -1;
	}
	arena_init(&c->arena, 64u << 20);
	if (!doc.root)
		diag_place(diags, doc.source, 1, 1,
			"the contract is empty; it needs `contract:` and `columns:`");
	else if (schema_check(doc.root, contract_fields, "contract", &env, diags) == 0)
		compile(c, doc.root, diags);
	yaml_release(&doc);
	if (c->arena.failed)
		diag_err(diags, path, &(struct err){ .code = ERR_NOMEM, .msg = "out of memory" });
	if (diags->nerrors > before) {
		contract_free(c);
		return -1;
	}
	*ret = c;
	return 0;
}

size_t contract_check_file(const char *path, struct diags *diags)
{
	size_t before = diags->nerrors;
	struct contract *c = NULL;

	if (contract_load(&c, path, diags) == 0)
		contract_free(c);
	return diags->nerrors - before;
}

void contract_free(struct contract *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->ncolumns; i++)
		pcre2_code_free(c->columns[i].pattern);
	arena_release(&c->arena);
	free(c);
}

const char *contract_name(const struct contract *c)
{
	return c->name;
}

size_t contract_ncolumns(const struct contract *c)
{
	return c->ncolumns;
}

const char *contract_column_name(const struct contract *c, size_t i)
{
	return c->columns[i].name;
}

enum convert_type contract_column_type(const struct contract *c, size_t i)
{
	return c->columns[i].convert.type;
}

int contract_find_column(const struct contract *c, const char *name, bool *ret_renamed)
{
	*ret_renamed = false;
	for (size_t i = 0; i < c->ncolumns; i++)
		if (strcmp(c->columns[i].name, name) == 0)
			return (int)i;
	*ret_renamed = true;
	for (size_t i = 0; i < c->ncolumns; i++)
		for (size_t f = 0; f < c->columns[i].nformer; f++)
			if (strcmp(c->columns[i].former[f], name) == 0)
				return (int)i;
	return -1;
}

enum contract_policy contract_on_extra(const struct contract *c)
{
	return c->on_extra;
}

enum contract_policy contract_on_missing(const struct contract *c)
{
	return c->on_missing;
}

const struct contract_limit *contract_max_rejected(const struct contract *c)
{
	return &c->max_rejected;
}
