/* Foresight: when a run, or one of its tasks, will probably be done.
 *
 * What is left is the longest way through the tasks that are not done yet, each with its typical
 * duration: the median of the last successful attempts. A task that runs has the rest of it left,
 * and nothing once it runs longer; one that waits for its next try has that wait before it. Slots
 * and pools are not looked at: it can take longer, hardly shorter.
 *
 * Pure.
 */
#ifndef WEIR_CORE_FORESIGHT_H
#define WEIR_CORE_FORESIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

struct dag;

struct foresight_task {
	enum task_state state;
	int64_t typical_us;       /* 0: not known; it counts as nothing */
	int64_t since_us, due_us; /* running: since when. Up for retry: when the next try is due */
};

struct foresight {
	int64_t left_us; /* until all of it is done, from now; 0: it is done, or nothing is known */
	int task;        /* that costs most of it, of those on the longest way; -1: none is left */
	int64_t over_us; /* how much longer than typical that task runs already; 0: it does not */
	bool known;      /* false: of no task that is left a duration is known */
};

/* `tasks`: one for each of the DAG, by index. `target`: the task that is asked for; -1: all.
 * ERR_NOMEM: -1. */
int foresight_of(const struct dag *dag, const struct foresight_task *tasks, int target,
	int64_t now_us, struct foresight *ret);

#endif
