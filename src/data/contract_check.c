#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "data/contract_rules.h"
#include "data/unique.h"

enum { MATCH_LIMIT = 1000000, VALUE_SHOWN = 40 };

const char *const contract_rule_names[] = {
	[RULE_FORMAT] = "format",
	[RULE_ENCODING] = "encoding",
	[RULE_RAGGED] = "ragged",
	[RULE_NULLABLE] = "nullable",
	[RULE_TYPE] = "type",
	[RULE_LENGTH] = "length",
	[RULE_PATTERN] = "pattern",
	[RULE_RANGE] = "range",
	[RULE_ENUM] = "enum",
	[RULE_UNIQUE] = "unique",
	[RULE_MAX] = NULL,
};
static_assert(sizeof contract_rule_names / sizeof *contract_rule_names == RULE_MAX + 1,
	"a name for each rule");

struct contract_check {
	const struct contract *contract;
	struct cell *cells;               /* converted, one a column */
	char (*scratch)[CONVERT_SCRATCH]; /* and their made text */
	struct unique_set **unique;       /* by column; NULL where it is not unique */
	struct unique_key *keys;
	bool any_unique;
	pcre2_match_data *match;
	pcre2_match_context *limits;
};

/* ---- comparing ------------------------------------------------------------------------- */

static int compare_int(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

int contract_compare(const struct cell *a, const struct cell *b, enum convert_type type)
{
	if (convert_is_time(type))
		return compare_int(convert_time_us(a), convert_time_us(b));
	if (a->type == CELL_INT && b->type == CELL_INT)
		return compare_int(a->i, b->i);
	double x = a->type == CELL_INT ? (double)a->i : a->f;
	double y = b->type == CELL_INT ? (double)b->i : b->f;
	return x < y ? -1 : x > y;
}

/* An order in which equal cells are neighbours; that of values does not matter. */
static int order(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	if (x->type == CELL_INT)
		return compare_int(x->i, y->i);
	if (x->type == CELL_REAL)
		return x->f < y->f ? -1 : x->f > y->f;
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return x->len ? memcmp(x->text, y->text, x->len) : 0;
}

void contract_sort_values(struct cell *values, size_t n)
{
	qsort(values, n, sizeof *values, order);
}

/* ---- rules ----------------------------------------------------------------------------- */

/* Where a row's check stands: what a rule needs to say no. */
struct verdict {
	struct contract_violation *v;
	const struct cell *in;  /* as it stood in the file */
	const struct cell *out; /* converted; NULL: it was not */
};

/* "VALUE because": the value cut to a length that fits a line of a log. */
__attribute__((format(printf, 3, 4))) static bool reject(
	const struct verdict *at, enum contract_rule rule, const char *fmt, ...)
{
	struct contract_violation *v = at->v;
	char text[CONVERT_SCRATCH];
	struct cell shown = *at->in;
	struct convert as_text = { .type = CONVERT_STRING };
	va_list ap;

	v->rule = rule;
	v->value = *at->in;
	if (shown.type != CELL_NULL)
		convert_cell(&as_text, at->in, &shown, text);
	size_t n = shown.type == CELL_NULL ? 0 : shown.len;
	bool cut = n > VALUE_SHOWN;
	if (cut)
		n = VALUE_SHOWN;
	/* Never within a UTF-8 sequence. */
	while (cut && n && ((unsigned char)shown.text[n] & 0xc0) == 0x80)
		n--;
	bool number = at->out && (at->out->type == CELL_INT || at->out->type == CELL_REAL);
	bool bare = at->in->type != CELL_TEXT || number;
	const char *quote = bare ? "" : "\"";
	int used = shown.type == CELL_NULL
			   ? 0
			   : snprintf(v->why, sizeof v->why, "%s%.*s%s%s ", quote, (int)n,
				     n ? shown.text : "", cut ? "..." : "", quote);
	va_start(ap, fmt);
	vsnprintf(v->why + used, sizeof v->why - (size_t)used, fmt, ap);
	va_end(ap);
	for (char *p = v->why; *p; p++)
		if ((unsigned char)*p < 0x20)
			*p = ' ';
	return false;
}

static int64_t count_characters(const struct cell *c)
{
	int64_t n = 0;

	for (uint32_t i = 0; i < c->len; i++)
		n += ((unsigned char)c->text[i] & 0xc0) != 0x80;
	return n;
}

static bool length_ok(
	const struct contract_column *col, const struct cell *c, const struct verdict *at)
{
	int64_t n = count_characters(c);

	if (n < col->length_min)
		return reject(at, RULE_LENGTH, "has %" PRId64 " characters, fewer than %" PRId64, n,
			col->length_min);
	if (n > col->length_max)
		return reject(at, RULE_LENGTH, "has %" PRId64 " characters, more than %" PRId64, n,
			col->length_max);
	return true;
}

static bool pattern_ok(const struct contract_check *k, const struct contract_column *col,
	const struct cell *c, const struct verdict *at)
{
	int rc = pcre2_match(col->pattern, (PCRE2_SPTR)(c->len ? c->text : ""), c->len, 0,
		PCRE2_NO_UTF_CHECK, k->match, k->limits);

	if (rc >= 0)
		return true;
	if (rc == PCRE2_ERROR_NOMATCH)
		return reject(at, RULE_PATTERN, "does not match %.60s", col->pattern_text);
	return reject(at, RULE_PATTERN, "takes too long to match against %.60s", col->pattern_text);
}

/* A bound as people read it. */
static const char *bound(const struct cell *c, char text[CONVERT_SCRATCH])
{
	struct cell shown;
	struct convert as_text = { .type = CONVERT_STRING };

	convert_cell(&as_text, c, &shown, text);
	if (shown.text != text) {
		size_t n = shown.len < CONVERT_SCRATCH ? shown.len : CONVERT_SCRATCH - 1;
		memcpy(text, shown.text, n);
		text[n] = '\0';
	}
	return text;
}

static bool range_ok(
	const struct contract_column *col, const struct cell *c, const struct verdict *at)
{
	char text[CONVERT_SCRATCH];

	if (col->has_min && contract_compare(c, &col->min, col->convert.type) < 0)
		return reject(at, RULE_RANGE, "is below %s", bound(&col->min, text));
	if (col->has_max && contract_compare(c, &col->max, col->convert.type) > 0)
		return reject(at, RULE_RANGE, "is above %s", bound(&col->max, text));
	return true;
}

static bool enum_ok(
	const struct contract_column *col, const struct cell *c, const struct verdict *at)
{
	if (bsearch(c, col->values, col->nvalues, sizeof *c, order))
		return true;
	return reject(at, RULE_ENUM, "is not one of the %zu values allowed", col->nvalues);
}

/* Convert and check one value, all but `unique`. */
static bool check_cell(
	struct contract_check *k, size_t i, const struct cell *in, struct contract_violation *v)
{
	const struct contract_column *col = &k->contract->columns[i];
	struct cell *out = &k->cells[i];
	struct verdict at = { v, in, NULL };

	v->column = (int)i;
	*out = (struct cell){ .type = CELL_NULL };
	if (in->type != CELL_NULL) {
		const char *why = convert_cell(&col->convert, in, out, k->scratch[i]);
		if (why)
			return reject(&at, RULE_TYPE, "%s", why);
	}
	at.out = out;
	if (out->type == CELL_NULL)
		return col->nullable || reject(&at, RULE_NULLABLE, "is empty");
	if (col->has_length && !length_ok(col, out, &at))
		return false;
	if (col->pattern && !pattern_ok(k, col, out, &at))
		return false;
	if ((col->has_min || col->has_max) && !range_ok(col, out, &at))
		return false;
	return !col->values || enum_ok(col, out, &at);
}

/* Have all unique columns new values? 1, 0 or -1. They are remembered only then. */
static int check_unique(struct contract_check *k, const struct row *row, const int *map,
	struct contract_violation *v, struct err *err)
{
	for (size_t i = 0; i < k->contract->ncolumns; i++) {
		if (!k->unique[i] || k->cells[i].type == CELL_NULL)
			continue;
		k->keys[i] = unique_key_of(k->unique[i], &k->cells[i]);
		int rc = unique_has(k->unique[i], k->keys[i], err);
		if (rc < 0)
			return -1;
		if (rc > 0) {
			v->column = (int)i;
			struct verdict at = { v, &row->cells[map[i]], &k->cells[i] };
			reject(&at, RULE_UNIQUE, "was in a row before");
			return 0;
		}
	}
	for (size_t i = 0; i < k->contract->ncolumns; i++)
		if (k->unique[i] && k->cells[i].type != CELL_NULL &&
			unique_add(k->unique[i], k->keys[i], err) < 0)
			return -1;
	return 1;
}

int contract_check_row(struct contract_check *k, const struct row *row, const int *map,
	const struct cell **ret_cells, struct contract_violation *v, struct err *err)
{
	static const struct cell absent = { .type = CELL_NULL };

	for (size_t i = 0; i < k->contract->ncolumns; i++) {
		const struct cell *in =
			map[i] < 0 || (size_t)map[i] >= row->n ? &absent : &row->cells[map[i]];
		if (!check_cell(k, i, in, v))
			return 0;
	}
	*ret_cells = k->cells;
	return k->any_unique ? check_unique(k, row, map, v, err) : 1;
}

/* ---- lifetime -------------------------------------------------------------------------- */

static int make_sets(struct contract_check *k, size_t memory, struct err *err)
{
	const struct contract *c = k->contract;
	size_t n = 0;

	for (size_t i = 0; i < c->ncolumns; i++)
		n += c->columns[i].unique;
	for (size_t i = 0; i < c->ncolumns; i++)
		if (c->columns[i].unique && unique_new(&k->unique[i], memory / n, NULL, err) < 0)
			return -1;
	k->any_unique = n > 0;
	return 0;
}

int contract_check_new(
	struct contract_check **ret, const struct contract *c, size_t memory, struct err *err)
{
	struct contract_check *k = calloc(1, sizeof *k);

	*ret = NULL;
	if (!k)
		return err_nomem(err);
	k->contract = c;
	k->cells = calloc(c->ncolumns, sizeof *k->cells);
	k->scratch = calloc(c->ncolumns, sizeof *k->scratch);
	k->unique = calloc(c->ncolumns, sizeof *k->unique);
	k->keys = calloc(c->ncolumns, sizeof *k->keys);
	k->match = pcre2_match_data_create(1, NULL);
	k->limits = pcre2_match_context_create(NULL);
	bool made = k->cells && k->scratch && k->unique && k->keys && k->match && k->limits;
	if (made)
		pcre2_set_match_limit(k->limits, MATCH_LIMIT);
	if (!made || make_sets(k, memory, err) < 0) {
		contract_check_free(k);
		return made ? -1 : err_nomem(err);
	}
	*ret = k;
	return 0;
}

void contract_check_free(struct contract_check *k)
{
	if (!k)
		return;
	for (size_t i = 0; k->unique && i < k->contract->ncolumns; i++)
		unique_free(k->unique[i]);
	pcre2_match_data_free(k->match);
	pcre2_match_context_free(k->limits);
	free(k->keys);
	free(k->unique);
	free(k->scratch);
	free(k->cells);
	free(k);
}
