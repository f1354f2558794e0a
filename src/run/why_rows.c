/* The explanation of each state and reason. */
#include "run/why.h"

#define IN(state) (1u << TASK_##state)
#define WAITS (IN(NONE) | IN(SCHEDULED))

/* In the order of the reasons. {names}: see why_task.c. */
static const struct why_row rows[] = {
	{ REASON_NONE, WAITS, "waits for {waiting}", FOLLOW_OPEN_NEEDS },
	{ REASON_CREATED, WAITS, "waits for {waiting}", FOLLOW_OPEN_NEEDS },
	{ REASON_NEEDS_MET, IN(SCHEDULED), "all it needs is done; it takes its turn",
		FOLLOW_NOTHING },
	{ REASON_SLOT_WAIT, IN(QUEUED), "waits for a free job slot{ahead}", FOLLOW_SLOTS },
	{ REASON_STARTED, IN(RUNNING), "runs{host}, try {try} of at most {tries}",
		FOLLOW_ATTEMPTS },
	{ REASON_SUCCEEDED, IN(SUCCESS), "succeeded with try {try}", FOLLOW_ATTEMPTS },
	{ REASON_RETRY_WAIT, IN(UP_FOR_RETRY), "waits for {retry}, after {end}", FOLLOW_ATTEMPTS },
	{ REASON_RETRIES_SPENT, IN(FAILED), "{spent}: {end}", FOLLOW_ATTEMPTS },
	{ REASON_NOT_RETRYABLE, IN(FAILED), "{end}, which no retry mends", FOLLOW_ATTEMPTS },
	{ REASON_LOST_TOO_OFTEN, IN(FAILED),
		"{lost} attempts were lost with their supervisors, more than lost_retries allow",
		FOLLOW_ATTEMPTS },
	{ REASON_SKIP_STATUS, IN(SKIPPED), "asked to be skipped (exit status 99)",
		FOLLOW_ATTEMPTS },
	{ REASON_UPSTREAM_FAILED, IN(UPSTREAM_FAILED), "was not run: {failed}", FOLLOW_FAILED },
	{ REASON_UPSTREAM_SKIPPED, IN(SKIPPED), "was not run: {skipped}", FOLLOW_SKIPPED },
	{ REASON_CANCELLED, IN(CANCELLED), "was cancelled", FOLLOW_REQUESTS },
	{ REASON_CLEARED, WAITS, "is to be done again, by request; waits for {waiting}",
		FOLLOW_OPEN_NEEDS },
	{ REASON_RERUN_FAILED, WAITS, "had failed and is tried again; waits for {waiting}",
		FOLLOW_OPEN_NEEDS },
	{ REASON_PAUSED, IN(HELD), "is held: its DAG is paused", FOLLOW_SWITCH },
	{ REASON_FROZEN, IN(HELD), "is held: it is frozen", FOLLOW_SWITCH },
	{ REASON_POOL_FULL, IN(QUEUED), "waits for {slots} of pool {pool}{ahead}", FOLLOW_POOL },
	{ REASON_DAG_LIMIT, IN(QUEUED),
		"as many tasks of its DAG run as max_active_tasks allows ({limit}){ahead}",
		FOLLOW_LIMIT },
	{ REASON_RULE_UNMET, IN(SKIPPED),
		"was not run: its trigger rule {rule} cannot be met: {counts}", FOLLOW_NEEDS },
	{ REASON_WHEN_FALSE, IN(SKIPPED), "was not run: `when: {when}` is false", FOLLOW_NEEDS },
	{ REASON_CONDITION_FALSE, IN(SKIPPED), "was not run: its `if` is false", FOLLOW_NOTHING },
	{ REASON_NOT_CHOSEN, IN(SKIPPED), "was not run: {chosen}", FOLLOW_CHOICE },
	{ REASON_SET_UP_AGAIN, WAITS,
		"its teardown has run; it is set up again; waits for {waiting}",
		FOLLOW_OPEN_NEEDS },
	{ REASON_NEEDS_AGAIN, WAITS,
		"is judged again, since what it needs is done again; waits for {waiting}",
		FOLLOW_OPEN_NEEDS },
	{ REASON_MARKED, IN(SUCCESS) | IN(FAILED) | IN(SKIPPED), "was marked so, by request",
		FOLLOW_REQUESTS },
	{ REASON_SKIPPED_BY_REQUEST, IN(SKIPPED), "was left out, by request", FOLLOW_REQUESTS },
	{ REASON_RETRIES_ENDED, IN(FAILED), "{end}, and its retries were ended, by request",
		FOLLOW_REQUESTS },
	{ REASON_OUTPUTS_SET, IN(SUCCESS),
		"succeeded with try {try}; its outputs were set, by request", FOLLOW_REQUESTS },
	{ REASON_NEEDS_CHANGED, WAITS,
		"is judged anew, since what it needs has changed; waits for {waiting}",
		FOLLOW_OPEN_NEEDS },
	{ REASON_WAITING, IN(DEFERRED), "{looks}{looked}", FOLLOW_OTHERS },
	{ REASON_OTHER_RUN, IN(DEFERRED), "waits for {waits}", FOLLOW_OTHERS },
	{ REASON_PAST_RUN, IN(DEFERRED), "waits for {waits}{never}", FOLLOW_OTHERS },
	{ REASON_AWAITING_INPUT, IN(AWAITING_INPUT), "waits for a decision: {waits}",
		FOLLOW_NOTHING },
	{ REASON_WAIT_TIMED_OUT, IN(FAILED) | IN(SKIPPED),
		"waited{for} as long as its timeout allows{looked}", FOLLOW_ATTEMPTS },
	{ REASON_REJECTED, IN(FAILED) | IN(SKIPPED), "was rejected", FOLLOW_REQUESTS },
	{ REASON_BREAKER_OPEN, IN(HELD), "is held by its circuit breaker; no try of it is spent",
		FOLLOW_BREAKER },
	{ REASON_BREAKER_OPEN, IN(SKIPPED), "was not run: its circuit breaker was open",
		FOLLOW_BREAKER },
	{ REASON_BREAKER_OPEN, IN(FAILED), "failed: its circuit breaker was open", FOLLOW_BREAKER },
	{ REASON_MAPPED, IN(DEFERRED), "is being done for each of {total} items: {instances}",
		FOLLOW_INSTANCES },
	{ REASON_MAP_LIMIT, IN(QUEUED),
		"as many instances of it run as its max_active allows ({max_active}){ahead}",
		FOLLOW_SIBLINGS },
	{ REASON_LIST_EMPTY, IN(SKIPPED), "was not run: the list of its foreach is empty",
		FOLLOW_NOTHING },
	{ REASON_LIST_FAILED, IN(FAILED), "the list of its foreach could not be made",
		FOLLOW_NOTHING },
	{ REASON_ITEM_GONE, IN(SKIPPED), "was not run: a new list has no item for it",
		FOLLOW_NOTHING },
	{ REASON_INSTANCES_DONE, IN(SUCCESS), "was done for each of {total} items: {instances}",
		FOLLOW_NOTHING },
	{ REASON_INSTANCES_FAILED, IN(FAILED), "of its {total} instances: {instances}",
		FOLLOW_INSTANCES },
	{ REASON_INSTANCES_SKIPPED, IN(SKIPPED),
		"was not run: all of its {total} instances were "
		"skipped",
		FOLLOW_INSTANCES },
};

/* Of runs, of attempts, or said of what passes at once: no task stays in a state for one. */
static const enum reason passing[] = { REASON_EXIT_STATUS, REASON_SIGNALLED, REASON_OPERATOR_ERROR,
	REASON_TIMED_OUT, REASON_RETRY_DUE, REASON_LOST, REASON_NOT_SELECTED, REASON_ALL_DONE,
	REASON_SOME_FAILED, REASON_PARTIAL, REASON_LATE_RESULT, REASON_BREAKER_TRIPPED,
	REASON_BREAKER_DUE, REASON_PROBE_FAILED, REASON_PROBES_PASSED, REASON_BREAKER_FORCED,
	REASON_QUALITY_LOW, REASON_QUALITY_GOOD, REASON_BREAKER_REMOVED, REASON_APPROVED };

const struct why_row *why_row(enum task_state state, enum reason reason)
{
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].reason == reason && rows[i].states & 1u << state)
			return &rows[i];
	return NULL;
}

bool why_is_passing(enum reason reason)
{
	for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
		if (passing[i] == reason)
			return true;
	return false;
}
