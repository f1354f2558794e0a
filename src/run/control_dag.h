/* `control: dag`: another DAG's run for the same interval, made, and waited for.
 *
 * Nothing is kept of what was asked but the run itself: it has one key. A task that is not deferred
 * yet has the run made, or what failed in it done again; one that is deferred has done so, and
 * takes the run's end for its own. What is killed between the two asks once more: the run that is
 * at work then is waited for.
 */
#ifndef WEIR_RUN_CONTROL_DAG_H
#define WEIR_RUN_CONTROL_DAG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct control_found;
struct control_look;
struct dag;
struct engine;
struct err;
struct task;

/* Of runs that such tasks have made: run_open.trigger. */
#define CONTROL_DAG_TRIGGER "dag"

/* The run that is wanted. */
struct child_run {
	const char *dag;
	int64_t interval_start_us, interval_end_us;
	const json_t *params; /* an object; NULL: none are given */
	const char *by;       /* the task that wants it: "nightly@2026-11-19 stores" */
};

/* Who can have runs made: a daemon, a run in the foreground. */
struct child_maker {
	void *arg;
	/* Record that it is wanted, unless that is so, and have it carried on; what of a final run
	 * failed is done again. Called in the middle of a step: nothing else happens to the engine
	 * in it. */
	int (*make)(void *arg, const struct child_run *c, struct err *err);
};

/* The look of such a task (run/control_wait.h). `with`: rendered. */
int control_dag_look(const struct control_look *l, const json_t *with, struct control_found *ret,
	struct err *err);
bool control_dag_is(const struct task *t);
/* The run that a task has made is to end with it (on_cancel). */
bool control_dag_cancels(const struct task *t);

#endif
