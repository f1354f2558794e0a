/* What DAGs say of each other: is it there, and does nothing wait for itself, or start itself?
 *
 *     struct crossdag *x = crossdag_new();
 *     crossdag_put(x, dag)                            all that there are
 *     crossdag_check(x, "orders", where, &diags)      what is wrong with what that one says
 *     crossdag_free(x)
 *
 * One graph, of the tasks of many DAGs, the beginning and the end of each one's run, and the
 * datasets they name. It is asked two questions.
 *
 * Which can never come to pass? A task comes behind what it needs and behind the beginning of its
 * run; the end behind all tasks. It also comes behind
 *
 *     needs: [orders.load]         that task, or the end of that run
 *     control: dag                 the end of that run
 *     control: wait, run           that task, or the end of that run
 *     control: wait, dataset       any one of the tasks that produce it. With newer_than it is
 *                                  free: an earlier run's update may do
 *     schedule: datasets           (the beginning) each of the datasets, with `when: any` one of
 *                                  them. It is free where a control: dag runs the DAG
 *
 * A dataset that nobody here produces comes from elsewhere, and a run without a schedule by hand.
 * What waits for itself in a circle, and has no other way, is an error.
 *
 * Which would start each other for ever? A DAG starts those whose schedules wait for what it
 * produces, and those that it runs. A circle of these is an error, too.
 *
 * Little is kept of a DAG: the names of its tasks, what they need, and what it says of others.
 * Nothing refers to the DAG or its document afterwards.
 */
#ifndef WEIR_CONF_CROSSDAG_H
#define WEIR_CONF_CROSSDAG_H

#include <stdbool.h>
#include <stddef.h>

struct crossdag;
struct dag;
struct diags;

struct crossdag *crossdag_new(void); /* NULL: out of memory */
void crossdag_free(struct crossdag *x);

/* Take a DAG in, with what it says, in place of the one of its name. -1: out of memory; it is then
 * not there. */
int crossdag_put(struct crossdag *x, const struct dag *dag);
/* A DAG whose file is broken: it is there, and may have any task. */
int crossdag_put_unknown(struct crossdag *x, const char *name);
void crossdag_remove(struct crossdag *x, const char *name);
/* Does the DAG say anything of others, or of datasets? */
bool crossdag_says(const struct dag *dag);
bool crossdag_has_edges(const struct crossdag *x, const char *name);

/* The errors of what one DAG says, each at its place: a DAG or task that does not exist, and a
 * circle, which is told once. `where`: the folder that was looked at, for a hint; NULL. Returns how
 * many. */
size_t crossdag_check(struct crossdag *x, const char *dag, const char *where, struct diags *diags);
/* Only what does not exist: cheap. */
size_t crossdag_check_ends(
	const struct crossdag *x, const char *dag, const char *where, struct diags *diags);
/* Warns of datasets that it waits for and that no DAG here produces. */
void crossdag_check_produced(const struct crossdag *x, const char *dag, struct diags *diags);

#endif
