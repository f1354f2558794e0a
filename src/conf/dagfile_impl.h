/* What the files that load a DAG share; nobody else includes it. */
#ifndef WEIR_CONF_DAGFILE_IMPL_H
#define WEIR_CONF_DAGFILE_IMPL_H

#include <limits.h>

#include "base/node.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "conf/yaml.h"
#include "core/model.h"

struct name_index;
struct zone;

enum { DAGFILE_DEPTH_MAX = 8 };

/* A file that is included. */
struct dag_fragment {
	const char *name; /* as the include says it */
	const char *path; /* as messages say it */
	struct yaml_doc doc;
	bool good;         /* it can be used: what is wrong with it was said */
	const char *where; /* it is included first: "dags/x.yaml:3:10" */
	struct dag_fragment *next;
};

/* An include of one that takes something: a source of its own tells what is wrong in it apart. */
struct dag_include {
	const struct source *source;
	const char *where;
	struct dag_include *next;
};

/* What lives as long as the DAG, beside its arena. */
struct dag_kept {
	struct yaml_doc doc;
	struct dag_fragment *fragments; /* in the order of their first include */
	struct zone *zone;
};

/* What has tasks: the DAG itself, then its groups. */
struct dag_scope {
	const struct node *key, *node; /* the group's; NULL: of the DAG */
	const struct node *own;        /* its `defaults:`, with those it includes */
	const struct node *defaults;   /* these over the ones of the scopes around it */
	int group;                     /* -1: the DAG itself */
	int first;                     /* index of its first task */
};

/* Where a task is written. */
struct dag_source {
	const struct node *key, *node;
	const char *name;
	int scope;
};

struct dag_loader {
	struct dag *dag;
	const struct dagfile_env *env;
	const char *path;
	const char *bundle; /* the text that holds what is included (conf/bundle.h); NULL: files */
	struct dag_kept *kept;
	const struct node *root, *params; /* params: the mapping, or NULL */
	struct dag_scope *scopes;
	size_t nscopes, scopes_cap;
	struct dag_source *sources; /* by task index */
	size_t nsources, sources_cap;
	struct task_group *groups;
	size_t ngroups, groups_cap;
	size_t nincludes, included_bytes;
	size_t nfilled;               /* nodes of fragments that take something */
	struct dag_include *includes; /* of these */
	const struct dag_fragment *open[DAGFILE_DEPTH_MAX]; /* files in files that are being read */
	int depth;
	const char *const *param_names; /* NULL-ended */
	const char *const *task_names;  /* NULL-ended, by task index */
	const char *const *all_names;   /* and of the groups behind them */
	struct name_index *index;       /* names of tasks and groups */
	const char **files; /* that tasks and calendars name, absolute, in the order found */
	size_t nfiles, files_cap;
	const struct node *told_pool;         /* what was said to be wrong last */
	const struct node *told_breakers[16]; /* names that were said to be wrong */
	size_t ntold_breakers;
	int *stamps; /* by task index: 1 + the task whose needs named it last */
	struct diags *diags;
};

extern const struct field dagfile_param_fields[];
extern const struct field dagfile_include_field;

/* conf/dagfile_group.c */

/* Fill scopes, sources and groups: what the file and those it includes hold, in order. */
void dagfile_collect(struct dag_loader *l);
/* The definition of a task. */
static inline const struct dag_scope *dagfile_scope(
	const struct dag_loader *l, const struct task *t)
{
	return &l->scopes[l->sources[t->index].scope];
}
/* The index of what `name` means inside the task or group `from`: of a task, or less than 0 of a
 * group (the complement of its index); DAGFILE_UNKNOWN. */
enum { DAGFILE_UNKNOWN = INT_MAX };
int dagfile_find_name(const struct dag_loader *l, const char *from, const char *name);
/* The nearest known name to one that is not; NULL. */
const char *dagfile_near_name(const struct dag_loader *l, const char *from, const char *name);
void dagfile_forget_names(struct dag_loader *l);
/* A map with what both have; `own` wins. Either may be NULL. NULL without memory. */
const struct node *dagfile_merge(
	struct dag_loader *l, const struct node *own, const struct node *base);

/* conf/dagfile_needs.c: the needs of all tasks and groups. */
void dagfile_load_needs(struct dag_loader *l);

/* conf/dagfile_cross.c */
extern const struct field dagfile_need_fields[];
/* What an item of `needs:` means that names nothing of the file. 1: a need on another DAG, in *ret;
 * 0: it is none; -1: it is wrong, which was told. */
int dagfile_cross_need(
	struct dag_loader *l, const char *from, const struct node *item, struct cross_need *ret);
/* Behind its needs: what cannot go together. */
void dagfile_check_cross(struct dag_loader *l, const struct task *t);
void dagfile_load_past(const struct dag_loader *l, struct task *t);

/* conf/dagfile_include.c */

/* What an item of `include:` names, its parameters filled in; NULL: it cannot be used, or is open
 * already: that was said. Between the two its includes are read. */
const struct node *dagfile_open_fragment(struct dag_loader *l, const struct node *item);
void dagfile_close_fragment(struct dag_loader *l);
/* Say of what is wrong in included files where these are included. */
void dagfile_place_fragments(const struct dag_loader *l, size_t first_diag);
/* The text with all it includes; the text itself when it includes none. NULL without memory. */
const char *dagfile_whole_text(const struct dag_loader *l);
void dagfile_free_fragments(struct dag_fragment *list);
/* Say where what is wrong in this source is included. False without memory. */
bool dagfile_place_source(
	struct dag_loader *l, const struct source *source, const struct node *item);

/* conf/dagfile_fill.c */

/* Does it take something, or say so? */
bool dagfile_takes(const struct dag_fragment *fragment);
/* Its root as the include `item` gives it `with` (may be NULL); NULL: what is given is wrong, which
 * was said. */
const struct node *dagfile_fill(struct dag_loader *l, const struct dag_fragment *fragment,
	const struct node *item, const struct node *with);

/* conf/dagfile_params.c */
void dagfile_load_params(struct dag_loader *l, const struct node *n);

/* conf/dagfile_task.c: the definition of one task, its needs apart. */
void dagfile_load_task(struct dag_loader *l, struct task *t, const struct node *n);
void dagfile_check_defaults(struct dag_loader *l);
/* Remember a file that is part of it, by its absolute path: who watches the DAG watches it, too. */
void dagfile_keep_file(struct dag_loader *l, const char *path);
/* Once the DAG is sealed: templates and the operator's parameters. */
void dagfile_check_task(struct dag_loader *l, struct task *t, const struct node *n);

/* conf/dagfile_trigger.c: what lets a task run; before its needs, which its condition may name. */
void dagfile_load_trigger(struct dag_loader *l, struct task *t, const struct node *n);
/* Behind its needs: what names some of them. */
void dagfile_settle_trigger(struct dag_loader *l, struct task *t, const struct node *n);
/* Once the DAG is sealed: rules and conditions that can never be met. */
void dagfile_check_triggers(struct dag_loader *l);

/* Has its schedule ticks? A manual one has none. */
bool dagfile_has_ticks(const struct dag_loader *l);
/* conf/dagfile_breaker.c: the breakers of a task, those of its connections included. */
void dagfile_load_breakers(struct dag_loader *l, struct task *t);

/* conf/dagfile_dataset.c: what a task produces, and what the schedule waits for. */
void dagfile_load_produces(struct dag_loader *l, struct task *t, const struct node *n);
void dagfile_load_datasets(struct dag_loader *l, const struct node *schedule);
/* Once all tasks are loaded: a DAG that starts itself, freshness of nothing. */
void dagfile_check_datasets(struct dag_loader *l);
/* Is it a dataset's name? If not it is told; NULL is none, and not told. */
bool dagfile_check_dataset(const struct dag_loader *l, const char *key, const struct node *name);

/* A setting of a task: its own, or the one of the `defaults:` nearest to it. */
const struct node *dagfile_setting(
	const struct dag_loader *l, const struct task *t, const char *key);

#endif
