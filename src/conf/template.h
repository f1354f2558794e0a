/* Templates: `{{ ds | add_days(-7) | strftime("%Y/%m") }}` inside text.
 *
 * Grammar:   text ( "{{" expr "}}" text )*
 *            expr   = all ( "or" all )*
 *            all    = one ( "and" one )*
 *            one    = "not" one | value [ ( "==" | "!=" | "<" | "<=" | ">" | ">=" ) value ]
 *            value  = ( primary | "(" expr ")" ) ( "|" filter )*
 *            primary= name ( "." name )* | string | integer | number | true | false | null
 *            filter = name [ "(" literal-or-primary ( "," ... )* ")" ]
 * A literal "{{" is written `{{ "{{" }}`. There are no statements and no loops: what needs them is
 * a task. Values are typed (string, integer, real, boolean, instant, list, null), so that SQL can
 * bind them. Parsing is separate from rendering: all names and filters are checked when
 * the DAG is validated, against a scope that says which names will exist.
 */
#ifndef WEIR_CONF_TEMPLATE_H
#define WEIR_CONF_TEMPLATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct dag;
struct diags;
struct err;
struct field;
struct node;
struct param;
struct zone;

struct template; /* parsed; immutable */

/* Parse. On error: NULL, and *ret_offset, *ret_width say where in `text` (may be NULL). */
struct template *template_parse(
	const char *text, size_t *ret_offset, size_t *ret_width, struct err *err);
void template_free(struct template *t);
bool template_is_literal(const char *text);        /* holds no "{{" */
bool template_is_single(const struct template *t); /* one expression, nothing beside it */
/* May the value of a single one be a list? */
bool template_can_be_list(const struct template *t);

/* Which names exist, for validation. All arrays NULL-ended; NULL: none. */
struct template_scope {
	const char *const *params;   /* names of the DAG's params */
	const char *const *upstream; /* tasks this task needs, directly or not: tasks.T.outputs.* */
	const char *const *all_tasks; /* to say "T is not upstream; add it to needs" */
	bool has_task;                /* task.* and tasks.* exist (not in DAG-level values) */
	bool has_interval;            /* ds, data_interval_* and run.* exist */
	bool sql;                     /* the text is SQL: a value must stand where SQL takes one */
	const char *task; /* the task it stands in: names are seen from there; NULL: full names */
	bool has_item;    /* item exists: the task is mapped, and its list is made */
	const struct node *items;       /* the list, where it stands in the file; else NULL */
	bool truth;                     /* it must be true or false, and be able to be true */
	const struct param *param_defs; /* of `params`, in their order; NULL: not known */
	int nparam_defs;
};

/* Check every name, filter and argument count and literal type. Errors to diags at their
 * exact place inside `n` (diag_inside) or, when `file` is not NULL, in that file at the right
 * line:col. Unknown names come with the nearest known one. Returns the number of errors. */
size_t template_check(const char *text, const struct template_scope *scope, const struct node *n,
	const char *file, struct diags *diags);

/* Values at run time. Borrowed for the call. Times are instants in `zone`. */
struct template_context {
	const char *dag, *task, *run_id;
	int64_t interval_start_us, interval_end_us;
	const struct zone *zone; /* the schedule's; never NULL */
	const struct dag *model; /* names of tasks are seen from `task`; NULL: full names only */
	json_t *params;          /* object */
	json_t *outputs;         /* object: task name -> object of its outputs */
	int task_try, map_index; /* try from 1; map_index -1: not mapped */
	json_t *item;            /* of a mapped task; NULL: none */
	int64_t token, now_us;
	const char *(*getenv)(const char *name); /* NULL: getenv(3) */
};

/* Is a rendered value true? true and "true" are, false, "false" and null are not; anything else is
 * an error that says to compare it. */
int template_truth(const json_t *value, bool *ret, struct err *err);

/* Append the rendered text. Null renders as an error that names the expression, unless
 * `default(...)` caught it. env.X that is not set is null, and so is an output that was not
 * written. */
int template_render(const struct template *t, const struct template_context *ctx, struct buf *out,
	struct err *err);
/* One call for text: parse, render; for text without "{{" a copy. */
int template_text(
	const char *text, const struct template_context *ctx, struct buf *out, struct err *err);

/* SQL: an expression in a value's place becomes `?N` and a value in `binds` (a JSON array
 * that is appended to: string, integer, real, true/false as 1/0, null); inside a 'string literal'
 * it is inserted with quotes doubled; with the filter `ident` as a quoted identifier ("a""b"); with
 * `raw` as it is. Comments (-- and slash-star) are left alone: no template is evaluated in them.
 * Parameters are numbered on from json_array_size(binds)+1. */
int template_render_sql(const struct template *t, const struct template_context *ctx,
	struct buf *out, json_t *binds, struct err *err);

/* A whole `with:` mapping to typed JSON by its table (see conf/schema.h for each type's JSON form):
 * templates rendered, text converted, defaults filled in; absent values without a default are left
 * out. `dir` is where FIELD_SQL_FILE files are read from. Errors carry the place of the value in
 * the DAG file (err_where), and name the key. New reference or NULL. */
json_t *render_with(const struct node *with, const struct field *fields,
	const struct template_context *ctx, const char *dir, struct err *err);
/* One scalar, list or map without a table: strings are rendered, other scalars kept. */
json_t *render_any(const struct node *n, const struct template_context *ctx, struct err *err);

/* Reference of names and filters, from their tables, for weir-dag(5) and `weir help templates`. */
void template_print_mdoc(struct buf *out);
void template_print_text(struct buf *out);

#endif
