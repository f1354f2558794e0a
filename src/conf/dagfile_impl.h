/* What the files that load a DAG share; nobody else includes it. */
#ifndef WEIR_CONF_DAGFILE_IMPL_H
#define WEIR_CONF_DAGFILE_IMPL_H

#include "base/node.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"

struct name_index;

struct dag_loader {
	struct dag *dag;
	const struct dagfile_env *env;
	const char *path;
	const struct node *root, *defaults, *tasks; /* tasks: the mapping, or NULL */
	const char *const *param_names;             /* NULL-ended */
	const char *const *task_names;              /* NULL-ended, by task index */
	struct name_index *index;                   /* task names to indices */
	const char **files; /* that tasks and calendars name, absolute, in the order found */
	size_t nfiles, files_cap;
	int *stamps; /* by task index: 1 + the task whose needs named it last */
	struct diags *diags;
};

extern const struct field dagfile_param_fields[];

/* conf/dagfile_params.c */
void dagfile_load_params(struct dag_loader *l, const struct node *n);

/* conf/dagfile_task.c: the definition of one task, its needs apart. */
void dagfile_load_task(struct dag_loader *l, struct task *t, const struct node *n);
void dagfile_check_defaults(struct dag_loader *l);
/* Remember a file that is part of it, by its absolute path: who watches the DAG watches it, too. */
void dagfile_keep_file(struct dag_loader *l, const char *path);
/* Once the DAG is sealed: templates and the operator's parameters. */
void dagfile_check_task(struct dag_loader *l, struct task *t, const struct node *n);

/* A setting of a task: its own, or the one of `defaults:`. */
const struct node *dagfile_setting(
	const struct dag_loader *l, const struct node *task, const char *key);

#endif
