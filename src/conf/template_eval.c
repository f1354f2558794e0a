#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "conf/template_filters.h"

static int value_of(struct eval *e, const struct template *t, const struct primary *x,
	struct value *ret, struct err *err)
{
	if (!x->is_name) {
		*ret = x->literal;
		return 0;
	}
	if (!x->name)
		return err_set(err, ERR_INVALID, "unknown name \"%.*s\"", (int)x->span.len,
			t->text + x->span.off);
	return x->name->get(e, x->rest, ret, err);
}

static int check_arg(
	const struct template_filter *f, int at, const struct value *arg, struct err *err)
{
	char need[100], got[100];

	if (f->args[at] & TYPE_SET(arg->type))
		return 0;
	return err_set(err, ERR_INVALID, "argument %d must be %s, got %s", at + 1,
		template_types_describe(f->args[at], need, sizeof need),
		template_value_describe(arg, got, sizeof got));
}

/* A date may come as a string; whoever wants one takes what can be read as one. */
static int check_input(
	struct eval *e, const struct template_filter *f, struct value *v, struct err *err)
{
	char need[100], got[100];
	struct value was = *v;

	if ((f->takes & TYPE_SET(v->type)) &&
		(f->takes != TYPES_DATE || template_filter_read_date(e, v, NULL) == 0))
		return 0;
	return err_set(err, ERR_INVALID, "needs %s, got %s",
		template_types_describe(f->takes & ~TYPE_SET(VALUE_NULL), need, sizeof need),
		template_value_describe(&was, got, sizeof got));
}

static int apply(struct eval *e, const struct template *t, const struct call *call, struct value *v,
	struct err *err)
{
	const struct template_filter *f = call->filter;
	struct value args[TEMPLATE_ARGS_MAX];
	int n = 0;

	if (!f)
		return err_set(err, ERR_INVALID, "unknown filter");
	if (call->nargs < f->min_args || call->nargs > f->max_args)
		return err_set(err, ERR_INVALID, "%d arguments given; it is used as %s",
			call->nargs, f->usage);
	for (const struct primary *arg = call->args; arg; arg = arg->next, n++)
		if (value_of(e, t, arg, &args[n], err) < 0 || check_arg(f, n, &args[n], err) < 0)
			return -1;
	if (v->type == VALUE_NULL && !(f->flags & FILTER_TAKES_NULL))
		return 0;
	if (check_input(e, f, v, err) < 0)
		return -1;
	v->mark = MARK_NONE;
	return f->fn(e, v, args, n, err);
}

int template_blame(const struct template *t, const struct expr *x, struct err *err)
{
	int len = x->span.len < 120 ? (int)x->span.len : 120;

	return err_context(
		err, "%.*s%s", len, t->text + x->span.off, (size_t)len < x->span.len ? "..." : "");
}

static int eval(struct eval *e, const struct template *t, const struct expr *x, struct value *ret,
	struct err *err);

static int eval_truth(
	struct eval *e, const struct template *t, const struct expr *x, bool *ret, struct err *err)
{
	struct value v;

	if (eval(e, t, x, &v, err) < 0)
		return -1;
	if (template_value_truth(&v, ret, err) == 0)
		return 0;
	return err_context(err, "%.*s", (int)x->span.len, t->text + x->span.off);
}

/* `and` and `or` look at the right side only where the left one does not decide. */
static int eval_logic(
	struct eval *e, const struct template *t, const struct expr *x, bool *ret, struct err *err)
{
	if (eval_truth(e, t, x->left, ret, err) < 0)
		return -1;
	if (x->op == EXPR_NOT)
		*ret = !*ret;
	else if (*ret == (x->op == EXPR_AND))
		return eval_truth(e, t, x->right, ret, err);
	return 0;
}

static int eval_operator(struct eval *e, const struct template *t, const struct expr *x,
	struct value *ret, struct err *err)
{
	struct value a, b;
	bool truth;
	int rc;

	if (x->op == EXPR_NOT || x->op == EXPR_AND || x->op == EXPR_OR) {
		rc = eval_logic(e, t, x, &truth, err);
	} else {
		rc = eval(e, t, x->left, &a, err);
		if (rc == 0)
			rc = eval(e, t, x->right, &b, err);
		if (rc == 0)
			rc = template_compare(e, x->op, &a, &b, &truth, err);
	}
	if (rc == 0)
		*ret = (struct value){ .type = VALUE_BOOL, .b = truth };
	return rc;
}

static int eval(struct eval *e, const struct template *t, const struct expr *x, struct value *ret,
	struct err *err)
{
	int rc;

	if (x->op == EXPR_HEAD)
		rc = value_of(e, t, &x->head, ret, err);
	else if (x->op == EXPR_GROUP)
		rc = eval(e, t, x->left, ret, err);
	else
		rc = eval_operator(e, t, x, ret, err);
	if (rc < 0)
		return -1;
	for (const struct call *call = x->calls; call; call = call->next) {
		if (apply(e, t, call, ret, err) < 0) {
			return err_context(
				err, "%.*s", (int)call->name.len, t->text + call->name.off);
		}
	}
	return 0;
}

int template_eval_expr(struct eval *e, const struct template *t, const struct expr *x,
	struct value *ret, struct err *err)
{
	return eval(e, t, x, ret, err) < 0 ? template_blame(t, x, err) : 0;
}
