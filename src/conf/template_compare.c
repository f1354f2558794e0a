/* Comparisons in templates, and what counts as true. */
#include <string.h>

#include "base/err.h"
#include "conf/template_filters.h"

#define BIT(type) TYPE_SET(type)

/* Types that have an order in common. A string beside a date is read as one. */
static const unsigned kinds[] = { TYPES_NUMBER, BIT(VALUE_STRING) | BIT(VALUE_DATE),
	BIT(VALUE_STRING) | BIT(VALUE_INSTANT), BIT(VALUE_BOOL) };
enum { KINDS = sizeof kinds / sizeof *kinds };

bool template_comparable(enum expr_op op, unsigned a, unsigned b)
{
	/* With null only equality is asked for. */
	if ((op == EXPR_EQ || op == EXPR_NE) && ((a | b) & BIT(VALUE_NULL)))
		return true;
	for (int i = 0; i < KINDS; i++)
		if ((a & kinds[i]) && (b & kinds[i]))
			return i < KINDS - 1 || op == EXPR_EQ || op == EXPR_NE;
	return false;
}

static int sign_of(double a, double b)
{
	return a < b ? -1 : a > b;
}

static int sign_of_int(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static double number(const struct value *v)
{
	return v->type == VALUE_INT ? (double)v->i : v->f;
}

/* Of values of one kind: below, at or above 0. */
static int order(const struct value *a, const struct value *b)
{
	if (a->type == VALUE_STRING)
		return strcmp(a->s, b->s);
	if (a->type == VALUE_BOOL)
		return a->b - b->b;
	if (a->type == VALUE_REAL || b->type == VALUE_REAL)
		return sign_of(number(a), number(b));
	return sign_of_int(a->i, b->i);
}

static int refuse(const struct value *a, const struct value *b, struct err *err)
{
	char one[100], other[100];

	return err_set(err, ERR_INVALID, "%s cannot be compared with %s",
		template_value_describe(a, one, sizeof one),
		template_value_describe(b, other, sizeof other));
}

/* Is the answer the one the sign asks for? */
static bool answer(enum expr_op op, int order)
{
	switch (op) {
	case EXPR_EQ:
		return order == 0;
	case EXPR_NE:
		return order != 0;
	case EXPR_LT:
		return order < 0;
	case EXPR_LE:
		return order <= 0;
	case EXPR_GT:
		return order > 0;
	default:
		return order >= 0;
	}
}

/* A date that is written as text, beside one that is none. */
static int read_dates(struct eval *e, struct value *a, struct value *b, struct err *err)
{
	if ((BIT(b->type) & TYPES_TIME) && template_filter_read_date(e, a, err) < 0)
		return -1;
	if ((BIT(a->type) & TYPES_TIME) && template_filter_read_date(e, b, err) < 0)
		return -1;
	return 0;
}

int template_compare(struct eval *e, enum expr_op op, const struct value *left,
	const struct value *right, bool *ret, struct err *err)
{
	struct value a = *left, b = *right;

	/* What is missing is missed, unless null is asked for. */
	bool missed = (a.missing && b.type != VALUE_NULL) || (b.missing && a.type != VALUE_NULL);
	if (missed || !template_comparable(op, BIT(a.type), BIT(b.type)))
		return refuse(left, right, err);
	if (a.type == VALUE_NULL || b.type == VALUE_NULL) {
		*ret = (a.type == b.type) == (op == EXPR_EQ);
		return 0;
	}
	if (read_dates(e, &a, &b, err) < 0)
		return -1;
	if ((BIT(a.type) | BIT(b.type)) == TYPES_TIME)
		return refuse(&a, &b, err);
	*ret = answer(op, order(&a, &b));
	return 0;
}

/* ---- truth ---------------------------------------------------------------------------- */

int template_value_truth(const struct value *v, bool *ret, struct err *err)
{
	char got[100];
	bool yes =
		v->type == VALUE_BOOL ? v->b : v->type == VALUE_STRING && strcmp(v->s, "true") == 0;

	*ret = yes;
	if (v->type == VALUE_NULL && v->missing)
		return err_set(err, ERR_INVALID,
			"it has no value here; where that may be, add | default(false)");
	if (v->type == VALUE_BOOL || v->type == VALUE_NULL || yes ||
		(v->type == VALUE_STRING && strcmp(v->s, "false") == 0))
		return 0;
	return err_set(err, ERR_INVALID,
		"neither true nor false, but %s; compare it, as in {{ params.mode == \"full\" }}",
		template_value_describe(v, got, sizeof got));
}

int template_truth(const json_t *json, bool *ret, struct err *err)
{
	struct value v;

	if (template_value_from_json(NULL, (json_t *)json, &v, err) < 0)
		return -1;
	return template_value_truth(&v, ret, err);
}
