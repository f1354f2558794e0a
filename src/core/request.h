/* Requests: what a person may ask of a run and its tasks. Pure.
 *
 * A request changes a run through the scheduler. One that is in motion is changed where it runs:
 * sched_request() on that scheduler. One that nobody has in hand is taken into a scheduler of its
 * own, aside, where nothing comes into motion; what it says is then committed as it is. To know
 * beforehand what a request would do, the same is done with a copy: a plan and the deed are one
 * function.
 *
 *     struct request_plan plan;
 *     request_plan(&plan, &run, &request, now, err)     run: sched_snapshot(), or out of the store
 *     plan.effects[i]                                    what becomes of each task
 *     sched_changes(plan.sched, &n)                      the changes that bring it about
 *     request_plan_release(&plan)
 *
 * A mapped task as a whole: retry does its failed instances again, with the list it has; where
 * none failed, and with clear, all of it is done again, with a new list. Cancel, skip and
 * end-retries go to the instances they are for. Mark sets the whole, and leaves out instances that
 * have not run.
 *
 * What follows from a request is decided by the scheduler: a task that is skipped, or
 * upstream_failed for what it needs alone is judged anew when that changes; one that had an attempt
 * of its own keeps its state.
 */
#ifndef WEIR_CORE_REQUEST_H
#define WEIR_CORE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

struct dag;
struct err;
struct run_init;
struct sched;

enum request_verb {
	REQUEST_RETRY, /* do again; without tasks: all that failed */
	REQUEST_CLEAR, /* do again */
	REQUEST_MARK,  /* set a state */
	REQUEST_SKIP,  /* leave out what has not run yet */
	REQUEST_CANCEL,
	REQUEST_END_RETRIES, /* what waits for its next try has failed */
	REQUEST_SET_OUTPUT,
	REQUEST_MAX
};
const char *request_name(enum request_verb v); /* "end-retries" */
/* Whether it may be asked of a task in that state. */
bool request_may(enum request_verb v, enum task_state state);

struct request {
	enum request_verb verb;
	const int *tasks; /* indices in the DAG; none: retry: what failed; cancel: the run */
	int ntasks;
	const int *map_indices; /* for each: -1 the task as a whole, or this instance of it; NULL:
				   all as a whole */
	bool downstream;        /* retry, clear: with all that depends on them */
	bool failed; /* retry: of these, only what failed, could not run or was cancelled */
	bool hard;   /* cancel: KILL at once */
	enum task_state mark;
	const char *outputs; /* set_output, and mark success: JSON object text; NULL: none */
	const char *detail;  /* kept with each change that was asked for; NULL: nothing */
};

/* All of it or nothing. ERR_REFUSED says which task is in which state and what can be done with it;
 * ERR_NOT_FOUND: the run is not here. */
int sched_request(
	struct sched *s, int64_t run_id, const struct request *q, int64_t now_us, struct err *err);

enum request_effect {
	EFFECT_NONE,
	EFFECT_STARTS,  /* it runs as soon as it finds a slot */
	EFFECT_WAITS,   /* it runs when what it needs is done */
	EFFECT_STOPS,   /* its attempt is stopped; then it is cancelled */
	EFFECT_BECOMES, /* it has another state at once */
	EFFECT_OUTPUTS, /* its outputs are others */
	EFFECT_STALE,   /* it stays as it is, though it depends on what is done again */
	EFFECT_MAX
};
const char *request_effect_name(enum request_effect e); /* "starts" */

struct request_plan {
	struct sched *sched;
	struct request_task {
		int task, map_index; /* index in the DAG; -1: not an instance */
		enum request_effect effect;
		enum task_state from, to;
		enum reason why; /* of `to` */
	} * tasks;               /* by live number */
	int ntasks;
	enum run_state from, to; /* of the run. In motion it goes on by itself: running */
	bool open;               /* something is still to be done in it */
	bool stops;              /* an attempt in flight is to be stopped */
};
/* `run` is copied; its flags `aside` and `lane` are set here. */
int request_plan(struct request_plan *ret, const struct run_init *run, const struct request *q,
	int64_t now_us, struct err *err);
/* Something comes of it. ERR_REFUSED: what was to be done again would come to the end it had at
 * once, since what it needs has not changed; with what is in its way. The deed itself does not ask.
 */
int request_check_use(const struct request_plan *p, const struct dag *dag, const struct request *q,
	struct err *err);
void request_plan_release(struct request_plan *p);

#endif
