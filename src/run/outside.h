/* What a task needs of other runs, and how these stand, by the store.
 *
 * A need on another DAG is final when what it names is: a task of a run, in its final state; a run,
 * as success, failed or cancelled. A run that is to be done once more is not final, nor is what of
 * it did not succeed. Of several runs (interval: covers) it is failed as soon as one failed or was
 * cancelled; else it is final when the runs cover the interval without a gap and all are final:
 * upstream_failed when one is, skipped when all were, else success. A run or task that does not
 * exist is not final.
 *
 * The run before is the one of the same DAG with the latest interval of those that begin earlier,
 * whoever made it. It lets a task start when there is none, when it has no such task, and when the
 * task has succeeded in it or was skipped; with wait_for_downstream also those that need the task
 * directly, each of them. This is the rule of Apache Airflow 3 (depends_on_past,
 * wait_for_downstream), but for a task that is new: there an earlier run without it lets it start
 * when none before had it.
 *
 * A look is short: a few rows of the store, by their keys.
 */
#ifndef WEIR_RUN_OUTSIDE_H
#define WEIR_RUN_OUTSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/sched.h"
#include "store/store.h"

struct buf;
struct cross_need;
struct err;
struct task;
struct zone;

/* The run that asks. */
struct outside_from {
	struct store *store;
	const struct dag *dag;
	int64_t interval_start_us, interval_end_us;
};

/* How a need stands. The run is the one that decides, or that is waited for: of several the first
 * that failed, else the first that is not final. */
struct outside_state {
	enum task_state state; /* final, or none: it is not */
	bool has_run;          /* there is such a run */
	struct run_row run;    /* its strings in `kept` */
	bool has_task;         /* it has the task (needs on tasks) */
	enum task_state task_state;
	bool gap; /* of several: there is none for [gap_start_us, gap_end_us) */
	int64_t gap_start_us, gap_end_us;
	struct store_result kept;
};
void outside_state_release(struct outside_state *s);
/* `ret` is to be released after an error, too. */
int outside_cross(const struct outside_from *from, const struct cross_need *need,
	struct outside_state *ret, struct err *err);

/* The run before. `task`: of what is waited for in it, the task itself or one that needs it. */
struct outside_past {
	bool lets;
	bool has_run;
	struct run_row run; /* its strings in `kept` */
	const char *task;   /* borrowed of the DAG; NULL: nothing is waited for */
	enum task_state task_state;
	struct store_result kept;
};
void outside_past_release(struct outside_past *p);
int outside_past(const struct outside_from *from, const struct task *t, struct outside_past *ret,
	struct err *err);

/* "orders.load", "the run of orders" */
void outside_add_name(const struct cross_need *need, struct buf *out);

/* What the scheduler asks: all of a task's needs outside its run. `watch` (may be NULL) is told of
 * each run that is waited for: of which DAG, and of which intervals. `ret->what` is to be freed. An
 * error leaves an answer that asks again soon. */
typedef void outside_watch_fn(void *arg, const struct run_key *span);
struct outside_watch {
	outside_watch_fn *fn;
	void *arg;
};
#define OUTSIDE_POLL_US INT64_C(10000000)
int outside_look(const struct outside_from *from, const struct task *t,
	const struct outside_watch *watch, struct sched_outside *ret, struct err *err);

#endif
