/* Trigger rules: what the states of the tasks it needs mean for a task. Pure.
 *
 * A rule is a function over counts, and a row in a table with its words for the manual. The rules
 * and their verdicts are those of Apache Airflow 3 (its page "Trigger Rules"), where a verdict
 * does not wait for needs that cannot change it any more. What Airflow does not say:
 *
 *   A cancelled task counts as failed.
 *   A task that needs nothing runs, whatever its rule.
 *   Needs outside a selection (--only) are not counted; with none left the task runs. Nor is a task
 *   counted that the DAG no longer has: it is no need.
 */
#ifndef WEIR_CORE_TRIGGER_H
#define WEIR_CORE_TRIGGER_H

#include "core/state.h"

enum trigger_rule {
	TRIGGER_ALL_SUCCESS, /* the default */
	TRIGGER_ALL_FAILED,
	TRIGGER_ALL_DONE,
	TRIGGER_ALL_DONE_MIN_ONE_SUCCESS,
	TRIGGER_ALL_SKIPPED,
	TRIGGER_ONE_SUCCESS,
	TRIGGER_ONE_FAILED,
	TRIGGER_ONE_DONE,
	TRIGGER_NONE_FAILED,
	TRIGGER_NONE_FAILED_MIN_ONE_SUCCESS,
	TRIGGER_NONE_SKIPPED,
	TRIGGER_ALWAYS,
	TRIGGER_MAX
};

/* How many of the needs are in which final state. */
struct trigger_counts {
	int needs;                                     /* that count */
	int success, failed, skipped, upstream_failed; /* failed: with cancelled */
};

enum verdict {
	VERDICT_WAIT,
	VERDICT_RUN,
	VERDICT_SKIP,  /* since needs were skipped */
	VERDICT_UNMET, /* skip: the rule cannot be met any more */
	VERDICT_UPSTREAM_FAILED,
	VERDICT_MAX
};

/* What a rule says, in words for the manual; NULL: it never does. */
struct trigger_words {
	const char *name, *runs, *skipped, *failed;
};

extern const char *const trigger_names[]; /* NULL-ended, in the order of the enum */
const char *trigger_name(enum trigger_rule rule);
int trigger_by_name(const char *name); /* -1: none */
const struct trigger_words *trigger_words(enum trigger_rule rule);

/* Count a need that became final. */
void trigger_count(struct trigger_counts *c, enum task_state final_state);
/* It is that no more: it is done again, or another state was asked for. */
void trigger_uncount(struct trigger_counts *c, enum task_state final_state);
/* How many needs are not final yet. */
int trigger_waiting(const struct trigger_counts *c);
/* RUN is never taken back by needs that become final later. */
enum verdict trigger_judge(enum trigger_rule rule, const struct trigger_counts *c);

/* What a verdict makes of a task that waits: TASK_NONE where it waits on or runs. */
enum task_state trigger_state(enum verdict v);
enum reason trigger_reason(enum verdict v);

/* The final states that a task by this rule may come to before it ran, as bits 1 << state:
 * skipped, upstream_failed or neither. `needs_may` is the union of what its needs may come to. */
unsigned trigger_may(enum trigger_rule rule, unsigned needs_may);
/* Can a task by this rule ever run? `each_may`: the states that each of its needs may come to. */
bool trigger_can_run(enum trigger_rule rule, unsigned each_may);

#endif
