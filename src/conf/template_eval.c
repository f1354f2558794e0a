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

int template_eval_expr(struct eval *e, const struct template *t, const struct expr *x,
	struct value *ret, struct err *err)
{
	if (value_of(e, t, &x->head, ret, err) < 0)
		return template_blame(t, x, err);
	for (const struct call *call = x->calls; call; call = call->next) {
		if (apply(e, t, call, ret, err) < 0) {
			err_context(err, "%.*s", (int)call->name.len, t->text + call->name.off);
			return template_blame(t, x, err);
		}
	}
	return 0;
}
