/* The walk over the tasks of a run, for run/why_task.c and run/why_text.c; nobody else includes it.
 */
#ifndef WEIR_RUN_WHY_WALK_H
#define WEIR_RUN_WHY_WALK_H

#include "run/why_impl.h"

struct buf;
struct task;

struct why_walk {
	struct why *w;
	const struct why_facts *f;
	int *index;             /* of a row: its task in the DAG; -1: the DAG has none */
	size_t *instances;      /* of the row of a mapped task: how many rows of instances follow */
	size_t *row;            /* of a task in the DAG: its row, or f->ntasks */
	struct why_node **node; /* of a row: where it stands in the tree */
	size_t *queue, *parent; /* of the search for roots; by row */
	int *mark;              /* the search that met it */
	int search;
};

/* A task that is told of. */
struct telling {
	struct why_walk *k;
	const struct task_row *row;
	const struct task *def; /* NULL: unknown */
	const struct attempt_row *attempts;
	size_t nattempts;
};

/* The definition of a row; NULL: unknown. */
const struct task *why_def(const struct why_walk *k, size_t row);
/* "fetch", "fetch[3]" */
const char *why_label(struct why *w, const struct task_row *t);
/* The row of the i-th need; NULL: the run has none of it. */
const struct task_row *why_need(const struct why_walk *k, const struct task *def, int i);
/* Why a task is in its state: what the daemon says of one that waits now, else what is recorded. */
enum reason why_reason(const struct why_walk *k, const struct task_row *t);
/* The last attempt that has an outcome; NULL: none. */
const struct attempt_row *why_last_ended(const struct telling *t);
/* How an attempt ended: "exit status 1"; NULL is fine. */
void why_add_end(const struct attempt_row *a, struct buf *out);
/* ---- run/why_other.c ------------------------------------------------------------------- */

/* What it needs of other runs; how many. */
size_t why_others(const struct telling *t, const struct why_other **ret);
/* The causes in those that it waits for, or (`failed`) that failed. */
void why_follow_others(const struct telling *t, struct why_node *under, bool failed);
/* The run before; NULL: it is not asked. */
const struct why_other *why_past(const struct telling *t);

/* ---- run/why_text.c -------------------------------------------------------------------- */

/* The row of the task that left it out by its choice; the number of rows: none is known. */
size_t why_chooser(const struct telling *t);

/* A template with its {names} filled in. */
const char *why_text(const struct telling *t, const char *template);

#endif
