/* What an expression may be, whatever the run: literals, and params with limits or choices, are
 * known before. All else may be anything. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "conf/template_filters.h"
#include "core/model.h"
#include "core/zone.h"

enum { MAY_BE_ANY = MAY_BE_TRUE | MAY_BE_FALSE };

static unsigned bits(bool may_be_true, bool may_be_false)
{
	return (may_be_true ? MAY_BE_TRUE : 0u) | (may_be_false ? MAY_BE_FALSE : 0u);
}

static bool is_literal(const struct expr *x)
{
	return x->op == EXPR_HEAD && !x->head.is_name && !x->calls;
}

static bool is_number(const struct value *v)
{
	return v->type == VALUE_INT || v->type == VALUE_REAL;
}

/* The definition of a param, with nothing done to it; NULL: it is none. */
static const struct param *param_of(const struct expr *x, const struct template_scope *scope)
{
	const struct primary *p = &x->head;

	if (x->op != EXPR_HEAD || x->calls || !p->is_name || !p->name ||
		strcmp(p->name->name, "params.") != 0)
		return NULL;
	for (int i = 0; i < scope->nparam_defs; i++)
		if (strcmp(scope->param_defs[i].name, p->rest) == 0)
			return &scope->param_defs[i];
	return NULL;
}

/* ---- comparisons ---------------------------------------------------------------------- */

static unsigned of_literals(const struct expr *x)
{
	struct template_context ctx = { .zone = zone_utc() };
	struct eval e;
	bool yes;

	template_eval_init(&e, &ctx);
	int rc = template_compare(
		&e, x->op, &x->left->head.literal, &x->right->head.literal, &yes, NULL);
	template_eval_release(&e);
	return rc < 0 ? MAY_BE_ANY : bits(yes, !yes);
}

/* One of some texts, and a text. */
static unsigned of_choice(enum expr_op op, const struct param *p, const char *text)
{
	bool in = false, others = false;

	for (size_t i = 0; p->values[i]; i++)
		*(strcmp(p->values[i], text) == 0 ? &in : &others) = true;
	/* Without a value it is none of them. */
	if (!p->def && !p->required)
		others = true;
	return op == EXPR_EQ ? bits(in, others) : bits(others, in);
}

/* A number from `low` to `high`, and a number. */
static unsigned of_range(enum expr_op op, double low, double high, double n)
{
	bool below = low<n, above = high> n, in = low <= n && n <= high;

	switch (op) {
	case EXPR_EQ:
		return bits(in, below || above);
	case EXPR_NE:
		return bits(below || above, in);
	case EXPR_LT:
		return bits(below, in || above);
	case EXPR_LE:
		return bits(in || below, above);
	case EXPR_GT:
		return bits(above, in || below);
	default:
		return bits(in || above, below);
	}
}

/* The sign when both sides change places. */
static enum expr_op turned(enum expr_op op)
{
	switch (op) {
	case EXPR_LT:
		return EXPR_GT;
	case EXPR_LE:
		return EXPR_GE;
	case EXPR_GT:
		return EXPR_LT;
	case EXPR_GE:
		return EXPR_LE;
	default:
		return op;
	}
}

static unsigned of_param(enum expr_op op, const struct param *p, const struct value *v)
{
	bool equality = op == EXPR_EQ || op == EXPR_NE;

	if (p->values && p->type == PARAM_STRING && equality && v->type == VALUE_STRING)
		return of_choice(op, p, v->s);
	if (!p->values && is_number(v) && (p->type == PARAM_INT || p->type == PARAM_FLOAT))
		return of_range(op, p->has_min ? p->min : -INFINITY, p->has_max ? p->max : INFINITY,
			v->type == VALUE_INT ? (double)v->i : v->f);
	return MAY_BE_ANY;
}

static unsigned of_comparison(const struct expr *x, const struct template_scope *scope)
{
	const struct param *left = param_of(x->left, scope), *right = param_of(x->right, scope);

	if (is_literal(x->left) && is_literal(x->right))
		return of_literals(x);
	if (left && is_literal(x->right))
		return of_param(x->op, left, &x->right->head.literal);
	if (right && is_literal(x->left))
		return of_param(turned(x->op), right, &x->left->head.literal);
	return MAY_BE_ANY;
}

/* ---- all ------------------------------------------------------------------------------ */

static unsigned of_head(const struct expr *x)
{
	bool yes;

	if (!is_literal(x) || template_value_truth(&x->head.literal, &yes, NULL) < 0)
		return MAY_BE_ANY;
	return bits(yes, !yes);
}

unsigned template_may_be(const struct expr *x, const struct template_scope *scope)
{
	if (x->op == EXPR_HEAD)
		return of_head(x);
	if (x->op == EXPR_GROUP)
		return x->calls ? MAY_BE_ANY : template_may_be(x->left, scope);
	if (x->op != EXPR_NOT && x->op != EXPR_AND && x->op != EXPR_OR)
		return of_comparison(x, scope);
	unsigned a = template_may_be(x->left, scope);
	if (x->op == EXPR_NOT)
		return bits(a & MAY_BE_FALSE, a & MAY_BE_TRUE);
	unsigned b = template_may_be(x->right, scope);
	if (x->op == EXPR_AND)
		return bits(a & b & MAY_BE_TRUE, (a | b) & MAY_BE_FALSE);
	return bits((a | b) & MAY_BE_TRUE, a & b & MAY_BE_FALSE);
}
