/* What the files of the template room share; nobody else includes it.
 *
 * A template is parsed to parts: pieces of text and expressions, in order. An expression is a tree;
 * its leaves are a head (a name or a literal) and a chain of filter calls. Names and filters are
 * bound to their table rows when parsed; one that is not in its table stays NULL until the check
 * names it.
 */
#ifndef WEIR_CONF_TEMPLATE_IMPL_H
#define WEIR_CONF_TEMPLATE_IMPL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "conf/template.h"

enum {
	TEMPLATE_EXPR_MAX = 4096, /* bytes from "{{" to "}}" */
	TEMPLATE_ARGS_MAX = 4,    /* kept; more are a syntax error */
	TEMPLATE_ZONES_MAX = 8,   /* zones loaded by one rendering */
	TEMPLATE_DEPTH_MAX = 16,  /* parentheses in parentheses */
};
#define TEMPLATE_MEMORY_MAX (64u << 20)

/* A run of bytes of the template's text. */
struct span {
	size_t off, len;
};

enum value_type {
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INT,
	VALUE_REAL,
	VALUE_STRING,
	VALUE_DATE,    /* a day of the calendar, without zone */
	VALUE_INSTANT, /* a point in time, shown on the clock of its zone */
	VALUE_LIST,
	VALUE_OBJECT,
	VALUE_TYPE_MAX
};

/* Sets of types, for the tables. */
#define TYPE_SET(type) (1u << (type))
#define TYPES_ANY (TYPE_SET(VALUE_TYPE_MAX) - 1)
#define TYPES_TIME (TYPE_SET(VALUE_DATE) | TYPE_SET(VALUE_INSTANT))
#define TYPES_DATE (TYPES_TIME | TYPE_SET(VALUE_STRING)) /* what can be read as a date */
#define TYPES_NUMBER (TYPE_SET(VALUE_INT) | TYPE_SET(VALUE_REAL))
#define TYPES_SCALAR (TYPES_ANY & ~(TYPE_SET(VALUE_LIST) | TYPE_SET(VALUE_OBJECT)))
#define TYPES_TEXT (TYPES_SCALAR & ~TYPE_SET(VALUE_NULL)) /* what has one text */

/* What the filter applied last says about use in SQL; any other filter takes it back. */
enum value_mark {
	MARK_NONE,
	MARK_SQL,   /* already a literal of SQL, or several */
	MARK_IDENT, /* already a quoted identifier */
	MARK_RAW,   /* inserted as it is, at the author's risk */
};

struct value {
	enum value_type type;
	enum value_mark mark;
	bool missing; /* null because nobody set it: env, outputs, params */
	bool b;
	int64_t i; /* VALUE_INT; VALUE_DATE: day number; VALUE_INSTANT: microseconds, UTC */
	double f;
	const char *s; /* VALUE_STRING: NUL-terminated, holds no NUL */
	size_t len;
	json_t *json;            /* VALUE_LIST, VALUE_OBJECT; borrowed */
	const struct zone *zone; /* VALUE_INSTANT */
};

/* One rendering: what values made on the way live in. */
struct eval {
	const struct template_context *ctx;
	struct arena arena;
	json_t *keep; /* lists that filters made */
	struct zone *zones[TEMPLATE_ZONES_MAX];
	size_t nzones;
};

struct template_name;
struct template_filter;

/* A name or a literal: the head of an expression, or an argument. */
struct primary {
	struct primary *next; /* argument */
	struct span span;
	bool is_name;
	const struct template_name *name; /* NULL: unknown */
	const char *rest;                 /* copy of what follows the row's prefix: "region" */
	struct value literal;
};

struct call {
	struct call *next;
	struct span name;
	const struct template_filter *filter; /* NULL: unknown */
	struct primary *args;
	int nargs;
};

enum expr_op {
	EXPR_HEAD,  /* a name or a literal */
	EXPR_GROUP, /* of left, in parentheses */
	EXPR_NOT,   /* of left */
	EXPR_AND,
	EXPR_OR,
	EXPR_EQ,
	EXPR_NE,
	EXPR_LT,
	EXPR_LE,
	EXPR_GT,
	EXPR_GE,
	EXPR_OP_MAX
};

struct expr {
	struct span span; /* of the whole: braces included */
	enum expr_op op;
	struct primary head; /* EXPR_HEAD */
	struct expr *left, *right;
	struct span sign;   /* where the operator stands */
	struct call *calls; /* EXPR_HEAD, EXPR_GROUP */
};

struct part {
	struct part *next;
	struct span text; /* literal text, when expr is NULL */
	struct expr *expr;
};

struct template
{
	struct arena arena;
	const char *text;
	size_t len;
	struct part *parts;
	size_t nexprs;
};

/* A row per name. One whose `name` ends in "." is a prefix of what the user named. */
struct template_name {
	const char *name;
	const char *shown; /* "params.NAME"; NULL: as name */
	unsigned gives;    /* set of types */
	bool needs_task, needs_interval;
	int (*get)(struct eval *e, const char *rest, struct value *ret, struct err *err);
	const char *help;
};

enum filter_flag {
	FILTER_TAKES_NULL = 1 << 0, /* others pass null on untouched */
	FILTER_TRY = 1 << 1,        /* literal arguments are tried on a date when checked */
};

/* A row per filter. `fn` changes *v; its errors do not name the filter, the caller does. */
struct template_filter {
	const char *name, *usage; /* "add_days(n)" */
	int min_args, max_args;
	unsigned args[2]; /* set of types for each */
	unsigned takes;   /* set of types */
	unsigned gives;   /* set of types */
	unsigned flags;   /* enum filter_flag */
	int (*fn)(struct eval *e, struct value *v, const struct value *args, int nargs,
		struct err *err);
	const char *help, *example, *result; /* `{{ example }}` renders as result, see the tests */
};

/* template_parse.c. `sql`: "{{" in a comment of SQL is text. */
struct template *template_parse_as(
	const char *text, bool sql, size_t *ret_offset, size_t *ret_width, struct err *err);

/* template_names.c */
const struct template_name *template_names(size_t *ret_n);
/* The row of a dotted name; *ret_rest is what follows its prefix. */
const struct template_name *template_name_find(const char *name, size_t len, const char **ret_rest);

/* "T.outputs.K": whose outputs they are. T is seen from the task `from` (NULL: a full name), and
 * may hold dots. *ret_task, of `size` bytes, gets the full name of the task, or T as it is when
 * `is_task` knows no such task. Returns K; NULL: that is not what it looks like. */
struct template_tasks {
	const char *from;
	bool (*is_task)(const void *arg, const char *name);
	const void *arg;
};
const char *template_output_of(
	const struct template_tasks *tasks, const char *rest, char *ret_task, size_t size);

/* template_filters.c */
const struct template_filter *template_filters(size_t *ret_n);
const struct template_filter *template_filter_find(const char *name, size_t len);

/* template_value.c */
void template_eval_init(struct eval *e, const struct template_context *ctx);
void template_eval_release(struct eval *e);
struct value template_value_null(bool missing);
struct value template_value_int(int64_t i);
struct value template_value_string(const char *s, size_t len);
struct value template_value_date(int64_t day);
struct value template_value_instant(int64_t us, const struct zone *zone);
/* Copies text into the evaluation; a NUL inside is an error. */
int template_value_copy(
	struct eval *e, const char *s, size_t len, struct value *ret, struct err *err);
/* Borrows json, which outlives the evaluation. */
int template_value_from_json(struct eval *e, json_t *json, struct value *ret, struct err *err);
/* Takes a list, or NULL where there was no memory for it. */
int template_value_keep(struct eval *e, json_t *list, struct value *ret, struct err *err);
/* A value as JSON: times as text. New reference, or NULL with err. */
json_t *template_value_to_json(const struct value *v, struct err *err);
/* Append the text. A null, a list or an object is an error that says what to do. */
int template_value_text(const struct value *v, struct buf *out, struct err *err);
/* "the string \"abc\"", "the integer 5", "a list": what errors say they got. */
const char *template_value_describe(const struct value *v, char *buf, size_t size);
/* "a date", "a string or a list": what errors say they need. */
const char *template_types_describe(unsigned types, char *buf, size_t size);
/* Whether a value counts as true; -1 for what is neither true nor false. */
int template_value_truth(const struct value *v, bool *ret, struct err *err);
/* template_compare.c: `==`, `<` and the like. */
int template_compare(struct eval *e, enum expr_op op, const struct value *a, const struct value *b,
	bool *ret, struct err *err);
/* May values of these types ever be compared? */
bool template_comparable(enum expr_op op, unsigned a, unsigned b);
/* template_may.c. Which truths an expression whose names were checked may have, of any run: bits.
 */
enum { MAY_BE_TRUE = 1, MAY_BE_FALSE = 2 };
struct template_scope;
unsigned template_may_be(const struct expr *x, const struct template_scope *scope);
/* Evaluate an expression; errors begin with it. */
int template_eval_expr(struct eval *e, const struct template *t, const struct expr *x,
	struct value *ret, struct err *err);
/* Put the expression before an error: "{{ env.X }}: ...". Returns -1. */
int template_blame(const struct template *t, const struct expr *x, struct err *err);

/* template.c. The value of a template that is one expression and nothing else, as JSON; NULL
 * without error (err->code ERR_NONE) when it is not. */
json_t *template_single_value(
	const struct template *t, const struct template_context *ctx, struct err *err);
/* Line and column (1-based; columns count characters) of an offset. */
void template_place(const char *text, size_t offset, int *ret_line, int *ret_col);

/* template_sql.c. As template_render_sql; *ret_offset is where an error lies. */
int template_render_sql_at(const struct template *t, const struct template_context *ctx,
	struct buf *out, json_t *binds, size_t *ret_offset, struct err *err);
/* Report each expression that stands where SQL cannot take a value. */
typedef void template_report_fn(void *arg, const struct expr *x, const struct err *err);
void template_sql_check(const struct template *t, template_report_fn *report, void *arg);

#endif
