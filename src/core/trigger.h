/* Trigger rules: what the states of the tasks it needs mean for a task. Pure.
 *
 * Only all_success exists today; a rule is a function over these counts. */
#ifndef WEIR_CORE_TRIGGER_H
#define WEIR_CORE_TRIGGER_H

#include "core/state.h"

/* How many of the needs are in which final state. */
struct trigger_counts {
	int needs;                    /* all of them */
	int success, failed, skipped; /* failed: with upstream_failed and cancelled */
};

enum verdict { VERDICT_WAIT, VERDICT_RUN, VERDICT_SKIP, VERDICT_UPSTREAM_FAILED };

/* Count a need that became final. */
void trigger_count(struct trigger_counts *c, enum task_state final_state);
/* As soon as one need failed the task is upstream_failed; one skipped: skipped; all
 * succeeded: it runs. */
enum verdict trigger_all_success(const struct trigger_counts *c);

#endif
