/* What DAGs need of each other: is it there, and does nothing wait for itself?
 *
 *     struct crossdag *x = crossdag_new();
 *     crossdag_put(x, dag), crossdag_add(x, &edge)    all that there are
 *     crossdag_check(x, "orders", &diags)             what is wrong with what that one says
 *     crossdag_free(x)
 *
 * A graph over the tasks of many DAGs, and the beginning and the end of each one's run. Within a
 * DAG it is as `needs:` say: each task comes behind the beginning, the end behind all tasks. Edges
 * between DAGs say that one point comes behind another: a task that needs a task or a run
 * (`needs:`), a task that runs a DAG (`control: dag`: behind the end of that); others may be added,
 * such as the beginning of a DAG behind a task that updates a dataset. What comes behind itself
 * would wait for ever.
 *
 * Little is kept of a DAG: the names of its tasks, what they need, and its edges. Nothing refers to
 * the DAG or its document afterwards.
 */
#ifndef WEIR_CONF_CROSSDAG_H
#define WEIR_CONF_CROSSDAG_H

#include <stdbool.h>
#include <stddef.h>

struct crossdag;
struct dag;
struct diags;
struct node;

struct crossdag *crossdag_new(void); /* NULL: out of memory */
void crossdag_free(struct crossdag *x);

/* Take a DAG in, with the edges it says, in place of the one of its name. -1: out of memory; it is
 * then not there. */
int crossdag_put(struct crossdag *x, const struct dag *dag);
/* A DAG whose file is broken: it is there, and may have any task. */
int crossdag_put_unknown(struct crossdag *x, const char *name);
void crossdag_remove(struct crossdag *x, const char *name);
/* Does the DAG say anything of others? */
bool crossdag_says(const struct dag *dag);
bool crossdag_has_edges(const struct crossdag *x, const char *name);

struct crossdag_edge {
	const char *dag, *task;       /* which DAG says it; task NULL: of its beginning */
	const char *to_dag, *to_task; /* it comes behind that; to_task NULL: its end */
	const char *key;              /* of messages: "needs" */
	const struct node *at;        /* where it is written */
};
/* One more edge of a DAG that was put. -1: out of memory, or there is no such DAG or task. */
int crossdag_add(struct crossdag *x, const struct crossdag_edge *e);

/* The errors of what one DAG says of others, each at its place: a DAG or task that does not exist,
 * and a circle, which is told once. `where`: the folder that was looked at, for a hint; NULL.
 * Returns how many. */
size_t crossdag_check(struct crossdag *x, const char *dag, const char *where, struct diags *diags);
/* The same but for circles: cheap. */
size_t crossdag_check_ends(
	const struct crossdag *x, const char *dag, const char *where, struct diags *diags);

#endif
