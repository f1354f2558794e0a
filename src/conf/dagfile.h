/* DAG files: YAML to the model (core/model.h), all errors at once. */
#ifndef WEIR_CONF_DAGFILE_H
#define WEIR_CONF_DAGFILE_H

#include <jansson.h>
#include <stdbool.h>

#include "conf/schema.h"
#include "core/model.h"

struct config;
struct diags;
struct err;

/* The operators as the loader sees them; implemented over operators/ by whoever calls. */
struct dagfile_operators {
	/* Parameter rows of an operator; NULL: unknown. */
	const struct field *(*params)(enum task_kind kind, const char *name);
	/* Names of a kind's operators, NULL-ended, for errors. */
	const char *const *(*names)(enum task_kind kind);
	/* The operator's own check of a task whose `with` passed its table; may be NULL. */
	void (*check)(const struct task *task, const struct node *with, const char *dir,
		struct diags *diags);
};

struct dagfile_env {
	const struct dagfile_operators *operators;
	const struct config *config; /* connections; NULL: not checked */
	bool check_files;            /* look at the files that tasks name (contracts, SQL) */
	bool was_good; /* a version that was loaded before: it goes on with pools as they are now,
			* and with conditions that can never be true */
};

/* Load and check. NULL when there are errors (in diags); warnings alone still give a DAG. */
struct dag *dagfile_load(const char *path, const struct dagfile_env *env, struct diags *diags);

/* The same of a text that was read before (dag->text of then), as if it stood in the file `path` of
 * the folder `dir` (absolute). For versions that a run began with and whose file has changed since.
 */
struct dag *dagfile_load_text(const char *path, const char *dir, const char *text,
	const struct dagfile_env *env, struct diags *diags);
/* A fragment by itself: its syntax and its own keys. The rest is checked with what includes it. */
void dagfile_check_fragment(const char *path, struct diags *diags);
/* Does this text look like a DAG: has it a key `dag` or `tasks` at its top level, and none
 * `fragment`? Cheap; for
 * folders in which contracts and other YAML files stand, too. */
bool dagfile_looks_like_dag(const char *text);
/* The name that a text gives its DAG, as far as that can be told of one that may be broken; owned,
 * NULL: none. */
char *dagfile_name_of(const char *text);

extern const struct field dagfile_fields[];      /* the top level */
extern const struct field dagfile_task_fields[]; /* a task */
extern const struct field dagfile_group_fields[];
extern const struct field dagfile_fragment_fields[]; /* the top level of an included file */
/* JSON Schema of the whole format, operators included. New reference. */
json_t *dagfile_json_schema(const struct dagfile_operators *operators);

/* A form that a person fills in: fields written as params are. Its errors; and its values, typed,
 * from an object of texts, with defaults. NULL with ERR_USAGE. `fields`: a mapping, or NULL. */
void dagfile_check_form(const struct node *fields, struct diags *diags);
json_t *dagfile_form(const struct node *fields, const json_t *given, struct err *err);
/* What its fields are, in their order: a list of objects with name, type, default (as text; null:
 * it must be given), description, values, min, max. NULL: no memory. */
json_t *dagfile_form_fields(const struct node *fields);

/* Values of the params of a run: defaults, then what the user gave as "name=value". Typed JSON
 * object (a new reference), or NULL with err naming the param, what is allowed, and the nearest
 * known name. */
json_t *dagfile_params(const struct dag *dag, const char *const *given, struct err *err);

#endif
