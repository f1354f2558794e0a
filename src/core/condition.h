/* Conditions: `when: "(a.success or a.skipped) and not b.failed"`. Pure.
 *
 * Grammar:   condition = all ( "or" all )*
 *            all       = one ( "and" one )*
 *            one       = "not" one | "(" condition ")" | TASK "." STATE
 *            STATE     = done | success | failed | skipped | upstream_failed | cancelled
 *
 * `failed` is the task's own failure; what a failure further up made of it is upstream_failed.
 * What stands before the last dot is the task's name. A condition is judged with what is known so
 * far, by the three-valued logic of Kleene (1938): a task that is not final is unknown, `or` is
 * true once one side is, `and` false once one side is. So the verdict comes as soon as it is
 * decided, and no later knowledge changes it.
 */
#ifndef WEIR_CORE_CONDITION_H
#define WEIR_CORE_CONDITION_H

#include <stddef.h>

#include "core/state.h"

struct arena;

enum {
	CONDITION_TEXT_MAX = 4096, /* bytes */
	CONDITION_DEPTH_MAX = 32,  /* parentheses in parentheses */
	CONDITION_TERMS_MAX = 256,
	CONDITION_LOOKS_MAX = 1 << 16, /* judgements spent on finding out whether it can be true */
};

/* TASK.STATE */
struct condition_term {
	const char *name;      /* the task's */
	size_t offset, length; /* of the name, in the text */
	unsigned states;       /* bits 1 << state: it is true in these */
	int task;              /* index in the DAG; set by whoever knows it, -1 before */
};

struct condition_step; /* one of its steps, in postfix order */

struct condition {
	const char *text;
	struct condition_term *terms;
	int nterms;
	const struct condition_step *steps;
	int nsteps;
};

/* Where in the text, and what is wrong there. */
struct condition_fault {
	size_t offset, width;
	char message[300];
};

/* Parse into the arena; NULL with *ret_fault. A condition is immutable but for terms[].task. */
struct condition *condition_parse(
	struct arena *arena, const char *text, struct condition_fault *ret_fault);

enum truth { TRUTH_NO, TRUTH_YES, TRUTH_UNKNOWN };

/* The state of a task: final or not. What is not final is unknown. */
typedef enum task_state condition_state_fn(void *arg, int task);
enum truth condition_judge(const struct condition *c, condition_state_fn *state, void *arg);

/* Can it ever be true, when each task may come to the states (bits) that `may` says? UNKNOWN: not
 * found out within CONDITION_LOOKS_MAX judgements. Needs no recursion deeper than the number of
 * different tasks in it. */
typedef unsigned condition_may_fn(void *arg, int task);
enum truth condition_possible(const struct condition *c, condition_may_fn *may, void *arg);

#endif
