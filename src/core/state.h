/* States of tasks and runs, and which change is legal.
 *
 * The scheduler's one mutator (core/sched.c) asks state_task_may and state_run_may
 * before each change; a change that is not in the table is a bug and aborts.
 */
#ifndef WEIR_CORE_STATE_H
#define WEIR_CORE_STATE_H

#include <stdbool.h>

enum task_state {
	TASK_NONE,      /* waits for its needs */
	TASK_SCHEDULED, /* its needs are met; not yet admitted to a queue */
	TASK_QUEUED,    /* waits for a slot */
	TASK_RUNNING,
	TASK_DEFERRED,
	TASK_AWAITING_INPUT,
	TASK_UP_FOR_RETRY,
	TASK_HELD,
	TASK_SUCCESS,
	TASK_FAILED,
	TASK_SKIPPED,
	TASK_UPSTREAM_FAILED,
	TASK_CANCELLED,
	TASK_STATE_MAX
};

enum run_state { RUN_QUEUED, RUN_RUNNING, RUN_SUCCESS, RUN_FAILED, RUN_CANCELLED, RUN_STATE_MAX };

/* What became of one attempt. */
enum outcome {
	OUTCOME_NONE, /* still in flight */
	OUTCOME_SUCCESS,
	OUTCOME_FAILED, /* exit status or signal, or an operator's error */
	OUTCOME_TIMEOUT,
	OUTCOME_SKIPPED, /* exit status 99 */
	OUTCOME_CANCELLED,
	OUTCOME_LOST, /* its supervisor died, or it never started */
	OUTCOME_MAX
};

/* Why something changed, or does not run. */
enum reason {
	REASON_NONE,
	REASON_CREATED,
	REASON_NEEDS_MET,
	REASON_SLOT_WAIT, /* all job slots are taken */
	REASON_STARTED,
	REASON_SUCCEEDED,
	REASON_EXIT_STATUS,    /* ended with a failing status */
	REASON_SIGNALLED,      /* was ended by a signal */
	REASON_OPERATOR_ERROR, /* an operator reported an error */
	REASON_TIMED_OUT,
	REASON_RETRY_WAIT, /* waits for its next try */
	REASON_RETRY_DUE,
	REASON_RETRIES_SPENT,
	REASON_NOT_RETRYABLE, /* permanent error, or fail_on / retry_on */
	REASON_LOST,
	REASON_LOST_TOO_OFTEN,
	REASON_SKIP_STATUS, /* exit status 99 */
	REASON_UPSTREAM_FAILED,
	REASON_UPSTREAM_SKIPPED,
	REASON_CANCELLED,    /* by a person or a signal */
	REASON_CLEARED,      /* to be done again, by request */
	REASON_RERUN_FAILED, /* failed before; this run tries again */
	REASON_NOT_SELECTED, /* outside --only */
	REASON_ALL_DONE,
	REASON_SOME_FAILED,
	REASON_PAUSED,             /* its DAG is paused */
	REASON_FROZEN,             /* the task is frozen */
	REASON_PARTIAL,            /* selected tasks are done; others were not run */
	REASON_LATE_RESULT,        /* an attempt that was given up has ended; nothing changes */
	REASON_POOL_FULL,          /* its pool has not enough free slots */
	REASON_DAG_LIMIT,          /* max_active_tasks of its DAG are running */
	REASON_RULE_UNMET,         /* skipped: its trigger rule cannot be met any more */
	REASON_WHEN_FALSE,         /* skipped: its `when` is false */
	REASON_CONDITION_FALSE,    /* skipped: its `if` is false */
	REASON_NOT_CHOSEN,         /* skipped: a task it needs chose another way */
	REASON_SET_UP_AGAIN,       /* to be done again: its teardown has run */
	REASON_NEEDS_AGAIN,        /* to be judged again: a task it needs is done again */
	REASON_MARKED,             /* its state was set, by request */
	REASON_SKIPPED_BY_REQUEST, /* left out, by request */
	REASON_RETRIES_ENDED,      /* no further tries, by request */
	REASON_OUTPUTS_SET,        /* success stays; its outputs were set, by request */
	REASON_NEEDS_CHANGED,      /* a state that came of its needs alone, which changed */
	REASON_BREAKER_OPEN,       /* a circuit breaker of it lets nothing start */
	/* Why a breaker changed. */
	REASON_BREAKER_TRIPPED, /* too many failures */
	REASON_BREAKER_DUE,     /* it was open long enough */
	REASON_PROBE_FAILED,
	REASON_PROBES_PASSED,
	REASON_BREAKER_FORCED, /* by a person */
	REASON_QUALITY_LOW,    /* checks of its dataset scored too low */
	REASON_QUALITY_GOOD,
	REASON_BREAKER_REMOVED, /* no weir.yaml has it any more */
	REASON_WAITING,         /* deferred: what its wait asks for is not there yet */
	REASON_AWAITING_INPUT,  /* waits for a decision of a person */
	REASON_WAIT_TIMED_OUT,  /* waited as long as its timeout allows */
	REASON_APPROVED,        /* a person approved it */
	REASON_REJECTED,        /* a person rejected it */
	/* Of mapped tasks. */
	REASON_MAPPED,            /* deferred: its instances are done */
	REASON_MAP_LIMIT,         /* max_active instances of it are running */
	REASON_LIST_EMPTY,        /* skipped: its list has nothing in it */
	REASON_LIST_FAILED,       /* failed: its list could not be made */
	REASON_ITEM_GONE,         /* skipped: an instance whose item is in the list no more */
	REASON_INSTANCES_DONE,    /* success: no instance failed */
	REASON_INSTANCES_FAILED,  /* failed: at least one instance did */
	REASON_INSTANCES_SKIPPED, /* skipped: all instances were */
	REASON_OTHER_RUN,         /* deferred: waits for runs of other DAGs */
	REASON_PAST_RUN,          /* deferred: waits for the run before */
	REASON_MAX
};

const char *task_state_name(enum task_state s); /* "up_for_retry" */
const char *run_state_name(enum run_state s);
const char *outcome_name(enum outcome o);
const char *reason_name(enum reason r);   /* "retries_spent" */
const char *reason_text(enum reason r);   /* "all retries are spent" */
int task_state_by_name(const char *name); /* -1: none */
int run_state_by_name(const char *name);
int outcome_by_name(const char *name);
int reason_by_name(const char *name);

bool task_state_is_final(enum task_state s);
/* Deferred or awaiting input: asked again when it is time, without a slot. */
bool task_state_waits(enum task_state s);
bool run_state_is_final(enum run_state s);
/* The state came of the states of the task's needs, not of an attempt or a request. */
bool reason_is_derived(enum reason r);
/* A deferred task that waits for other runs before its turn, not for what its attempt tells. */
bool reason_is_outside(enum reason r);
/* The state was asked for: it is what a person wants, whatever its needs say. */
bool reason_is_asked(enum reason r);
/* A final state is left only to TASK_NONE (REASON_CLEARED, REASON_RERUN_FAILED,
 * REASON_NEEDS_AGAIN, REASON_SET_UP_AGAIN, REASON_NEEDS_CHANGED), to another that is asked for
 * (REASON_MARKED), and by a mapped task to TASK_DEFERRED, when instances of it are done again
 * (REASON_MAPPED). */
bool state_task_may(enum task_state from, enum task_state to, enum reason why);
bool state_run_may(enum run_state from, enum run_state to);

#endif
