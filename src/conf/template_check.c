#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/near.h"
#include "base/node.h"
#include "conf/diag.h"
#include "conf/template_filters.h"
#include "core/model.h"
#include "core/zone.h"

struct checker {
	const struct template *t;
	const struct template_scope *scope;
	const struct node *n;
	const char *file;
	const char *text;
	size_t len;
	struct diags *diags;
	size_t errors;
};

static void report(struct checker *c, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void report(struct checker *c, struct span at, const char *fmt, ...)
{
	struct source source = { c->file, c->text, c->len };
	char msg[1040];
	va_list ap;
	int line, col;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof msg, fmt, ap);
	va_end(ap);
	/* Beyond DIAG_MAX none is kept, and places cost a walk through the text. */
	bool kept = ++c->errors <= DIAG_MAX;
	if (!c->file && kept) {
		diag_inside(c->diags, c->n, at.off, at.len, "%s", msg);
	} else if (!c->file) {
		diag_node(c->diags, DIAG_ERROR, c->n, "%s", msg);
	} else {
		template_place(c->text, kept ? at.off : 0, &line, &col);
		diag_place(c->diags, &source, line, col, "%s", msg);
	}
}

static size_t count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

static bool holds(const char *const *list, const char *word)
{
	for (; list && *list; list++)
		if (strcmp(*list, word) == 0)
			return true;
	return false;
}

/* `"; did you mean "x"?"`, or a list of what there is, or nothing. */
static void suggest(char *buf, size_t size, const char *word, const char *const *list)
{
	size_t n = count(list), used;
	const char *near = near_find(word, list, n);

	*buf = '\0';
	if (near) {
		snprintf(buf, size, "; did you mean \"%s\"?", near);
		return;
	}
	for (size_t i = 0; i < n && i < 10; i++) {
		used = strlen(buf);
		snprintf(buf + used, size - used, "%s%s", i ? ", " : "; there are: ", list[i]);
	}
	used = strlen(buf);
	if (n > 10)
		snprintf(buf + used, size - used, ", ...");
}

static void unknown_name(struct checker *c, const struct primary *x)
{
	const char *known[64] = { NULL }; /* NULL-ended */
	char word[80], hint[400];
	size_t n;
	const struct template_name *names = template_names(&n);

	snprintf(word, sizeof word, "%.*s", (int)x->span.len, c->t->text + x->span.off);
	for (size_t i = 0; i < n && i + 1 < sizeof known / sizeof *known; i++) {
		size_t len = strlen(names[i].name), have = strcspn(word, ".");
		known[i] = names[i].shown ? names[i].shown : names[i].name;
		/* A prefix misspelt, "param.region": all but it may be right. */
		if (names[i].shown && word[have] && near_distance(word, known[i]) > 2) {
			char head[80];
			snprintf(head, sizeof head, "%.*s.", (int)have, word);
			if (near_distance(head, names[i].name) <= 2 && have + 2 >= len) {
				report(c, x->span, "unknown name \"%s\"; did you mean \"%s\"?",
					word, known[i]);
				return;
			}
		}
		if (names[i].shown && strlen(word) + 1 == len &&
			strncmp(word, names[i].name, len - 1) == 0) {
			report(c, x->span, "\"%s\" alone is no value; write %s", word, known[i]);
			return;
		}
	}
	suggest(hint, sizeof hint, word, known);
	report(c, x->span, "unknown name \"%s\"%s", word, hint);
}

static void check_param(struct checker *c, const struct primary *x)
{
	char word[160], hint[400];

	snprintf(word, sizeof word, "%.*s", (int)strcspn(x->rest, "."), x->rest);
	if (holds(c->scope->params, word))
		return;
	if (count(c->scope->params) == 0) {
		report(c, x->span, "unknown param \"%s\": this DAG has no params", word);
		return;
	}
	suggest(hint, sizeof hint, word, c->scope->params);
	report(c, x->span, "unknown param \"%s\"%s", word, hint);
}

static bool is_task(const void *arg, const char *name)
{
	const struct template_scope *scope = arg;

	return holds(scope->upstream, name) || holds(scope->all_tasks, name);
}

/* Of "load.orders.rows", written by mistake: how much of it is a task, or its first word. */
static size_t task_length(struct checker *c, const char *rest)
{
	const struct template_tasks tasks = { c->scope->task, is_task, c->scope };
	char text[320], task[320];

	for (size_t n = strlen(rest); n > 0; n--) {
		snprintf(text, sizeof text, "%.*s.outputs.x", (int)n, rest);
		template_output_of(&tasks, text, task, sizeof task);
		if ((rest[n] == '.' || !rest[n]) && is_task(c->scope, task))
			return n;
	}
	return strcspn(rest, ".");
}

/* rest: "TASK.outputs.NAME" */
static void check_output(struct checker *c, const struct primary *x)
{
	const struct template_tasks tasks = { c->scope->task, is_task, c->scope };
	char task[320], hint[400];

	if (!template_output_of(&tasks, x->rest, task, sizeof task)) {
		const char *dot = strrchr(x->rest, '.');
		report(c, x->span,
			"of another task there are only its outputs: "
			"write tasks.%.*s.outputs.%s",
			(int)task_length(c, x->rest), x->rest, dot ? dot + 1 : "NAME");
		return;
	}
	if (holds(c->scope->upstream, task))
		return;
	if (holds(c->scope->all_tasks, task)) {
		report(c, x->span, "%s is not upstream of this task; add it to needs", task);
		return;
	}
	suggest(hint, sizeof hint, task,
		count(c->scope->all_tasks) ? c->scope->all_tasks : c->scope->upstream);
	report(c, x->span, "unknown task \"%s\"%s", task, hint);
}

/* Of a list that stands in the file, some item must have the key. */
static void check_item_key(struct checker *c, const struct primary *x)
{
	const struct node *list = c->scope->items, *first = NULL;
	char key[160], hint[400] = "";
	const char *known[64];
	size_t n = 0;

	snprintf(key, sizeof key, "%.*s", (int)strcspn(x->rest, "."), x->rest);
	for (size_t i = 0; list && i < list->n; i++) {
		const struct node *item = list->items[i];
		bool template = node_text(item) && !template_is_literal(item->text);
		if (template || node_get(item, key))
			return;
		if (!first && item->type == NODE_MAP)
			first = item;
	}
	if (!list || list->n == 0)
		return;
	while (first && n < first->n && n + 1 < sizeof known / sizeof *known) {
		known[n] = first->keys[n]->text;
		n++;
	}
	known[n] = NULL;
	suggest(hint, sizeof hint, key, known);
	report(c, x->span, "no item of foreach has the key \"%s\"%s", key, hint);
}

static bool is_item(const struct template_name *name)
{
	return strcmp(name->name, "item") == 0 || strcmp(name->name, "item.") == 0;
}

static void check_name(struct checker *c, const struct primary *x)
{
	if (!x->name)
		unknown_name(c, x);
	else if (x->name->needs_task && !c->scope->has_task)
		report(c, x->span, "%s exists only inside a task",
			x->name->shown ? x->name->shown : x->name->name);
	else if (is_item(x->name) && !c->scope->has_item)
		report(c, x->span,
			"item exists only in a task with foreach, once its list is made");
	else if (x->name->needs_interval && !c->scope->has_interval)
		report(c, x->span, "%s exists only in a run, not here", x->name->name);
	else if (strcmp(x->name->name, "params.") == 0)
		check_param(c, x);
	else if (strcmp(x->name->name, "tasks.") == 0)
		check_output(c, x);
	else if (strcmp(x->name->name, "item.") == 0)
		check_item_key(c, x);
}

/* The definition of the param that a head is, with nothing done to it; NULL: it is none. */
static const struct param *param_of(const struct checker *c, const struct primary *x)
{
	if (!x->is_name || !x->name || strcmp(x->name->name, "params.") != 0)
		return NULL;
	for (int i = 0; i < c->scope->nparam_defs; i++)
		if (strcmp(c->scope->param_defs[i].name, x->rest) == 0)
			return &c->scope->param_defs[i];
	return NULL;
}

static unsigned types_of_param(const struct param *p)
{
	static const unsigned types[PARAM_TYPE_MAX] = {
		[PARAM_STRING] = TYPE_SET(VALUE_STRING),
		[PARAM_INT] = TYPES_NUMBER,
		[PARAM_FLOAT] = TYPES_NUMBER,
		[PARAM_BOOL] = TYPE_SET(VALUE_BOOL),
		[PARAM_DATE] = TYPES_DATE,
	};

	return types[p->type] | (p->def || p->required ? 0 : TYPE_SET(VALUE_NULL));
}

static unsigned types_of(const struct checker *c, const struct primary *x)
{
	const struct param *p = param_of(c, x);

	if (!x->is_name)
		return TYPE_SET(x->literal.type);
	if (p)
		return types_of_param(p);
	return x->name ? x->name->gives : TYPES_ANY;
}

/* Literal arguments of the filters that can refuse them, tried on a date. */
static void try_call(struct checker *c, const struct call *call)
{
	struct template_context ctx = { .zone = zone_utc() };
	struct value v = template_value_instant(0, zone_utc()), args[TEMPLATE_ARGS_MAX];
	struct eval e;
	struct err err;
	int n = 0;

	for (const struct primary *arg = call->args; arg; arg = arg->next) {
		if (arg->is_name)
			return;
		args[n++] = arg->literal;
	}
	template_eval_init(&e, &ctx);
	if (call->filter->fn(&e, &v, args, n, &err) < 0)
		report(c, call->args->span, "%s: %s", call->filter->name, err.msg);
	template_eval_release(&e);
}

static void check_args(struct checker *c, const struct call *call)
{
	const struct template_filter *f = call->filter;
	char need[100], got[100];
	size_t before = c->errors;
	int n = 0;

	for (const struct primary *arg = call->args; arg; arg = arg->next, n++) {
		if (arg->is_name)
			check_name(c, arg);
		if (types_of(c, arg) & f->args[n])
			continue;
		template_types_describe(f->args[n], need, sizeof need);
		if (arg->is_name)
			template_types_describe(types_of(c, arg), got, sizeof got);
		else
			template_value_describe(&arg->literal, got, sizeof got);
		report(c, arg->span, "%s: argument %d must be %s, got %s", f->name, n + 1, need,
			got);
	}
	if (c->errors == before && (f->flags & FILTER_TRY))
		try_call(c, call);
}

static void unknown_filter(struct checker *c, const struct call *call)
{
	const char *known[80] = { NULL };
	char word[80], hint[1000];
	size_t n;
	const struct template_filter *filters = template_filters(&n);

	for (size_t i = 0; i < n && i + 1 < sizeof known / sizeof *known; i++)
		known[i] = filters[i].name;
	snprintf(word, sizeof word, "%.*s", (int)call->name.len, c->t->text + call->name.off);
	suggest(hint, sizeof hint, word, known);
	report(c, call->name, "unknown filter \"%s\"%s", word, hint);
}

/* `types`: what may come in. Returns what may come out. */
static unsigned check_call(struct checker *c, const struct call *call, unsigned types)
{
	const struct template_filter *f = call->filter;
	char need[100], got[100];

	if (!f) {
		unknown_filter(c, call);
		return TYPES_ANY;
	}
	if (call->nargs < f->min_args || call->nargs > f->max_args) {
		report(c, call->name, "%s takes %d argument%s, not %d; it is used as %s", f->name,
			f->max_args, f->max_args == 1 ? "" : "s", call->nargs, f->usage);
		return f->gives;
	}
	check_args(c, call);
	if (!(types & (f->takes | TYPE_SET(VALUE_NULL))))
		report(c, call->name, "%s: needs %s, got %s", f->name,
			template_types_describe(
				f->takes & ~TYPE_SET(VALUE_NULL), need, sizeof need),
			template_types_describe(types, got, sizeof got));
	return f->gives;
}

static unsigned check_expr(struct checker *c, const struct expr *x);

static bool is_literal(const struct expr *x)
{
	return x->op == EXPR_HEAD && !x->head.is_name && !x->calls;
}

/* What stands beside `and`, `or` and `not` must be able to be true or false. */
static void check_truth(struct checker *c, const struct expr *x)
{
	const unsigned truths =
		TYPE_SET(VALUE_BOOL) | TYPE_SET(VALUE_STRING) | TYPE_SET(VALUE_NULL);
	unsigned types = check_expr(c, x);
	char got[100];

	if (!(types & truths))
		report(c, x->span, "%s is neither true nor false; compare it",
			template_types_describe(types, got, sizeof got));
}

/* A text that stands beside a date is read as one. */
static void check_date(struct checker *c, const struct expr *x, unsigned beside)
{
	struct template_context ctx = { .zone = zone_utc() };
	struct value v = x->head.literal;
	struct eval e;
	struct err err;

	if (!is_literal(x) || v.type != VALUE_STRING || (beside & ~TYPES_TIME))
		return;
	template_eval_init(&e, &ctx);
	if (template_filter_read_date(&e, &v, &err) < 0)
		report(c, x->span, "what is compared with a date is read as one: %s", err.msg);
	template_eval_release(&e);
}

static unsigned check_operator(struct checker *c, const struct expr *x)
{
	char one[100], other[100];

	if (x->op == EXPR_NOT || x->op == EXPR_AND || x->op == EXPR_OR) {
		check_truth(c, x->left);
		if (x->right)
			check_truth(c, x->right);
	} else {
		unsigned a = check_expr(c, x->left), b = check_expr(c, x->right);
		if (!template_comparable(x->op, a, b))
			report(c, x->sign, "%s cannot be compared with %s",
				template_types_describe(a, one, sizeof one),
				template_types_describe(b, other, sizeof other));
		check_date(c, x->left, b);
		check_date(c, x->right, a);
	}
	return TYPE_SET(VALUE_BOOL);
}

/* What the expression may be. */
static unsigned check_expr(struct checker *c, const struct expr *x)
{
	unsigned types;

	if (x->op == EXPR_HEAD)
		types = types_of(c, &x->head);
	else if (x->op == EXPR_GROUP)
		types = check_expr(c, x->left);
	else
		return check_operator(c, x);
	if (x->op == EXPR_HEAD && x->head.is_name)
		check_name(c, &x->head);
	for (const struct call *call = x->calls; call; call = call->next)
		types = check_call(c, call, types);
	return types;
}

/* What an expression whose names and filters were checked may be. */
static unsigned gives_of(const struct expr *x)
{
	const struct call *last = x->calls;

	while (last && last->next)
		last = last->next;
	if (last)
		return last->filter ? last->filter->gives : TYPES_ANY;
	if (x->op == EXPR_GROUP)
		return gives_of(x->left);
	if (x->op != EXPR_HEAD)
		return TYPE_SET(VALUE_BOOL);
	/* The types of params are all scalars. */
	if (!x->head.is_name)
		return TYPE_SET(x->head.literal.type);
	bool param = x->head.name && strcmp(x->head.name->name, "params.") == 0;
	return param ? TYPES_SCALAR : x->head.name ? x->head.name->gives : TYPES_ANY;
}

bool template_can_be_list(const struct template *t)
{
	return template_is_single(t) && (gives_of(t->parts->expr) & TYPE_SET(VALUE_LIST));
}

static void misplaced(void *arg, const struct expr *x, const struct err *err)
{
	report(arg, x->span, "%s", err->msg);
}

size_t template_check(const char *text, const struct template_scope *scope, const struct node *n,
	const char *file, struct diags *diags)
{
	struct checker c = { NULL, scope, n, file, text, strlen(text), diags, 0 };
	struct span at = { 0, 0 };
	struct err err;

	if (template_is_literal(text))
		return 0;
	struct template *t = template_parse_as(text, scope->sql, &at.off, &at.len, &err);
	if (!t) {
		report(&c, at, "%s", err.msg);
		return c.errors;
	}
	c.t = t;
	if (scope->truth && template_is_single(t)) {
		check_truth(&c, t->parts->expr);
		if (c.errors == 0 && !(template_may_be(t->parts->expr, scope) & MAY_BE_TRUE))
			report(&c, t->parts->expr->span, "this can never be true");
	} else {
		for (const struct part *p = t->parts; p; p = p->next)
			if (p->expr)
				check_expr(&c, p->expr);
	}
	if (scope->sql)
		template_sql_check(t, misplaced, &c);
	template_free(t);
	return c.errors;
}
