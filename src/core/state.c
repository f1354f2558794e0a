#include "core/state.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static const char *const task_names[] = {
	[TASK_NONE] = "none",
	[TASK_SCHEDULED] = "scheduled",
	[TASK_QUEUED] = "queued",
	[TASK_RUNNING] = "running",
	[TASK_DEFERRED] = "deferred",
	[TASK_AWAITING_INPUT] = "awaiting_input",
	[TASK_UP_FOR_RETRY] = "up_for_retry",
	[TASK_HELD] = "held",
	[TASK_SUCCESS] = "success",
	[TASK_FAILED] = "failed",
	[TASK_SKIPPED] = "skipped",
	[TASK_UPSTREAM_FAILED] = "upstream_failed",
	[TASK_CANCELLED] = "cancelled",
};
static_assert(sizeof task_names / sizeof *task_names == TASK_STATE_MAX, "a name for each state");

static const char *const run_names[] = {
	[RUN_QUEUED] = "queued",
	[RUN_RUNNING] = "running",
	[RUN_SUCCESS] = "success",
	[RUN_FAILED] = "failed",
	[RUN_CANCELLED] = "cancelled",
};
static_assert(sizeof run_names / sizeof *run_names == RUN_STATE_MAX, "a name for each state");

static const char *const outcome_names[] = {
	[OUTCOME_NONE] = "none",
	[OUTCOME_SUCCESS] = "success",
	[OUTCOME_FAILED] = "failed",
	[OUTCOME_TIMEOUT] = "timeout",
	[OUTCOME_SKIPPED] = "skipped",
	[OUTCOME_CANCELLED] = "cancelled",
	[OUTCOME_LOST] = "lost",
};
static_assert(sizeof outcome_names / sizeof *outcome_names == OUTCOME_MAX, "a name for each");

static const struct reason_row {
	const char *name, *text;
} reasons[] = {
	[REASON_NONE] = { "none", "" },
	[REASON_CREATED] = { "created", "the run was created" },
	[REASON_NEEDS_MET] = { "needs_met", "all it needs is done" },
	[REASON_SLOT_WAIT] = { "slot_wait", "waits for a free job slot" },
	[REASON_STARTED] = { "started", "an attempt was started" },
	[REASON_SUCCEEDED] = { "succeeded", "the attempt succeeded" },
	[REASON_EXIT_STATUS] = { "exit_status", "ended with a failing exit status" },
	[REASON_SIGNALLED] = { "signalled", "was ended by a signal" },
	[REASON_OPERATOR_ERROR] = { "operator_error", "the operator reported an error" },
	[REASON_TIMED_OUT] = { "timed_out", "ran longer than its timeout" },
	[REASON_RETRY_WAIT] = { "retry_wait", "waits for its next try" },
	[REASON_RETRY_DUE] = { "retry_due", "the next try is due" },
	[REASON_RETRIES_SPENT] = { "retries_spent", "all retries are spent" },
	[REASON_NOT_RETRYABLE] = { "not_retryable", "the error is one that no retry mends" },
	[REASON_LOST] = { "lost", "the attempt was lost with its supervisor" },
	[REASON_LOST_TOO_OFTEN] = { "lost_too_often", "attempts were lost too often" },
	[REASON_SKIP_STATUS] = { "skip_status", "asked to be skipped (exit status 99)" },
	[REASON_UPSTREAM_FAILED] = { "upstream_failed", "a task it needs failed" },
	[REASON_UPSTREAM_SKIPPED] = { "upstream_skipped", "a task it needs was skipped" },
	[REASON_CANCELLED] = { "cancelled", "was cancelled" },
	[REASON_CLEARED] = { "cleared", "is to be done again, by request" },
	[REASON_RERUN_FAILED] = { "rerun_failed", "had failed and is tried again" },
	[REASON_NOT_SELECTED] = { "not_selected", "was not selected" },
	[REASON_ALL_DONE] = { "all_done", "all tasks are done" },
	[REASON_SOME_FAILED] = { "some_failed", "at least one task failed" },
	[REASON_PAUSED] = { "paused", "its DAG is paused" },
	[REASON_FROZEN] = { "frozen", "the task is frozen" },
	[REASON_PARTIAL] = { "partial", "only selected tasks were run" },
	[REASON_LATE_RESULT] = { "late_result", "an attempt that was given up ended; ignored" },
	[REASON_POOL_FULL] = { "pool_full", "waits for slots of its pool" },
	[REASON_DAG_LIMIT] = { "dag_limit",
		"as many tasks of its DAG run as max_active_tasks allows" },
	[REASON_RULE_UNMET] = { "rule_unmet", "its trigger rule can no longer be met" },
	[REASON_WHEN_FALSE] = { "when_false", "what its `when` asks for did not come true" },
	[REASON_CONDITION_FALSE] = { "condition_false", "its `if` is false" },
	[REASON_NOT_CHOSEN] = { "not_chosen", "was left out by a branch or short circuit" },
	[REASON_SET_UP_AGAIN] = { "set_up_again", "its teardown has run; it is set up again" },
	[REASON_NEEDS_AGAIN] = { "needs_again", "a task it needs is done again" },
	[REASON_MARKED] = { "marked", "was marked so, by request" },
	[REASON_SKIPPED_BY_REQUEST] = { "skipped_by_request", "was skipped, by request" },
	[REASON_RETRIES_ENDED] = { "retries_ended", "its retries were ended, by request" },
	[REASON_OUTPUTS_SET] = { "outputs_set", "its outputs were set, by request" },
	[REASON_NEEDS_CHANGED] = { "needs_changed", "the tasks it needs have changed" },
	[REASON_BREAKER_OPEN] = { "breaker_open", "stopped by its circuit breaker" },
	[REASON_BREAKER_TRIPPED] = { "breaker_tripped", "too many attempts failed" },
	[REASON_BREAKER_DUE] = { "breaker_due", "its time is over; probes may start" },
	[REASON_PROBE_FAILED] = { "probe_failed", "a probe failed" },
	[REASON_PROBES_PASSED] = { "probes_passed", "all probes succeeded" },
	[REASON_BREAKER_FORCED] = { "breaker_forced", "by a person" },
	[REASON_QUALITY_LOW] = { "quality_low", "the checks of the dataset scored too low" },
	[REASON_QUALITY_GOOD] = { "quality_good", "the checks of the dataset passed" },
	[REASON_BREAKER_REMOVED] = { "breaker_removed", "weir.yaml does not have it any more" },
	[REASON_WAITING] = { "waiting", "what it waits for is not there yet" },
	[REASON_AWAITING_INPUT] = { "awaiting_input", "waits for a decision (weir approvals)" },
	[REASON_WAIT_TIMED_OUT] = { "wait_timed_out", "waited as long as its timeout allows" },
	[REASON_APPROVED] = { "approved", "was approved" },
	[REASON_REJECTED] = { "rejected", "was rejected" },
	[REASON_MAPPED] = { "mapped", "its instances are being done" },
	[REASON_MAP_LIMIT] = { "map_limit",
		"as many instances of its task run as max_active allows" },
	[REASON_LIST_EMPTY] = { "list_empty", "the list of its foreach is empty" },
	[REASON_LIST_FAILED] = { "list_failed", "the list of its foreach could not be made" },
	[REASON_ITEM_GONE] = { "item_gone", "its item is no longer in the list" },
	[REASON_INSTANCES_DONE] = { "instances_done", "all its instances are done" },
	[REASON_INSTANCES_FAILED] = { "instances_failed", "at least one of its instances failed" },
	[REASON_INSTANCES_SKIPPED] = { "instances_skipped", "all its instances were skipped" },
	[REASON_OTHER_RUN] = { "other_run", "waits for runs of other DAGs" },
	[REASON_PAST_RUN] = { "past_run", "waits for the run before" },
};
static_assert(sizeof reasons / sizeof *reasons == REASON_MAX, "a row for each reason");

static int find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

const char *task_state_name(enum task_state s)
{
	return task_names[s];
}

const char *run_state_name(enum run_state s)
{
	return run_names[s];
}

const char *outcome_name(enum outcome o)
{
	return outcome_names[o];
}

const char *reason_name(enum reason r)
{
	return reasons[r].name;
}

const char *reason_text(enum reason r)
{
	return reasons[r].text;
}

int task_state_by_name(const char *name)
{
	return find(task_names, TASK_STATE_MAX, name);
}

int run_state_by_name(const char *name)
{
	return find(run_names, RUN_STATE_MAX, name);
}

int outcome_by_name(const char *name)
{
	return find(outcome_names, OUTCOME_MAX, name);
}

int reason_by_name(const char *name)
{
	for (int i = 0; i < REASON_MAX; i++)
		if (strcmp(reasons[i].name, name) == 0)
			return i;
	return -1;
}

#define BIT(state) (1u << (state))
#define WAITS (BIT(TASK_DEFERRED) | BIT(TASK_AWAITING_INPUT))

/* For each state, the set of states that may follow it. Final states have no successor here:
 * state_task_may lets them go only by request. */
static const unsigned task_next[TASK_STATE_MAX] = {
	[TASK_NONE] = BIT(TASK_SCHEDULED) | BIT(TASK_QUEUED) | BIT(TASK_RUNNING) | BIT(TASK_HELD) |
		      BIT(TASK_SKIPPED) | BIT(TASK_UPSTREAM_FAILED) | BIT(TASK_CANCELLED) |
		      BIT(TASK_FAILED) | WAITS,
	[TASK_SCHEDULED] = BIT(TASK_QUEUED) | BIT(TASK_RUNNING) | BIT(TASK_HELD) |
			   BIT(TASK_SKIPPED) | BIT(TASK_UPSTREAM_FAILED) | BIT(TASK_CANCELLED) |
			   BIT(TASK_FAILED) | WAITS,
	[TASK_QUEUED] = BIT(TASK_RUNNING) | BIT(TASK_HELD) | BIT(TASK_SKIPPED) |
			BIT(TASK_UPSTREAM_FAILED) | BIT(TASK_CANCELLED) | BIT(TASK_FAILED) | WAITS,
	[TASK_RUNNING] = BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_SKIPPED) |
			 BIT(TASK_CANCELLED) | BIT(TASK_UP_FOR_RETRY) | BIT(TASK_DEFERRED) |
			 BIT(TASK_AWAITING_INPUT),
	/* SCHEDULED, UPSTREAM_FAILED: what it needs of other runs says so. */
	[TASK_DEFERRED] = BIT(TASK_QUEUED) | BIT(TASK_RUNNING) | BIT(TASK_SUCCESS) |
			  BIT(TASK_FAILED) | BIT(TASK_SKIPPED) | BIT(TASK_CANCELLED) |
			  BIT(TASK_SCHEDULED) | BIT(TASK_UPSTREAM_FAILED),
	[TASK_AWAITING_INPUT] = BIT(TASK_QUEUED) | BIT(TASK_RUNNING) | BIT(TASK_SUCCESS) |
				BIT(TASK_FAILED) | BIT(TASK_SKIPPED) | BIT(TASK_CANCELLED),
	[TASK_UP_FOR_RETRY] = BIT(TASK_QUEUED) | BIT(TASK_RUNNING) | BIT(TASK_FAILED) |
			      BIT(TASK_HELD) | BIT(TASK_SKIPPED) | BIT(TASK_CANCELLED) | WAITS,
	[TASK_HELD] = BIT(TASK_SCHEDULED) | BIT(TASK_QUEUED) | BIT(TASK_RUNNING) |
		      BIT(TASK_FAILED) | BIT(TASK_SKIPPED) | BIT(TASK_CANCELLED) | WAITS,
};

static const unsigned task_finals = BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_SKIPPED) |
				    BIT(TASK_UPSTREAM_FAILED) | BIT(TASK_CANCELLED);

/* States that may be set by request (REASON_MARKED), from any but running. */
static const unsigned task_marks = BIT(TASK_SUCCESS) | BIT(TASK_FAILED) | BIT(TASK_SKIPPED);

/* A finished run may be taken up again: a rerun clears tasks of it. One that nobody has in hand
 * and that is changed by request is queued; then its tasks say what it is. */
static const unsigned run_next[RUN_STATE_MAX] = {
	[RUN_QUEUED] = BIT(RUN_RUNNING) | BIT(RUN_CANCELLED) | BIT(RUN_FAILED) | BIT(RUN_SUCCESS),
	[RUN_RUNNING] = BIT(RUN_SUCCESS) | BIT(RUN_FAILED) | BIT(RUN_CANCELLED) | BIT(RUN_QUEUED),
	[RUN_SUCCESS] = BIT(RUN_RUNNING) | BIT(RUN_QUEUED),
	[RUN_FAILED] = BIT(RUN_RUNNING) | BIT(RUN_QUEUED),
	[RUN_CANCELLED] = BIT(RUN_RUNNING) | BIT(RUN_QUEUED),
};

bool task_state_is_final(enum task_state s)
{
	return task_finals & BIT(s);
}

bool task_state_waits(enum task_state s)
{
	return WAITS & BIT(s);
}

bool run_state_is_final(enum run_state s)
{
	return s == RUN_SUCCESS || s == RUN_FAILED || s == RUN_CANCELLED;
}

bool reason_is_derived(enum reason r)
{
	return r == REASON_UPSTREAM_FAILED || r == REASON_UPSTREAM_SKIPPED ||
	       r == REASON_RULE_UNMET || r == REASON_WHEN_FALSE;
}

bool reason_is_outside(enum reason r)
{
	return r == REASON_OTHER_RUN || r == REASON_PAST_RUN;
}

bool reason_is_asked(enum reason r)
{
	return r == REASON_MARKED || r == REASON_SKIPPED_BY_REQUEST || r == REASON_OUTPUTS_SET;
}

/* What only a request brings about. */
static bool may_by_request(enum task_state from, enum task_state to, enum reason why)
{
	if (why == REASON_MARKED)
		return from != TASK_RUNNING && from != to && (task_marks & BIT(to));
	if (why == REASON_OUTPUTS_SET)
		return from == TASK_SUCCESS && to == TASK_SUCCESS;
	return from != TASK_RUNNING && !task_state_is_final(from) && to == TASK_SKIPPED;
}

bool state_task_may(enum task_state from, enum task_state to, enum reason why)
{
	if (why == REASON_MARKED || why == REASON_OUTPUTS_SET || why == REASON_SKIPPED_BY_REQUEST)
		return may_by_request(from, to, why);
	if (task_state_is_final(from) && to == TASK_DEFERRED)
		return why == REASON_MAPPED;
	if (task_state_is_final(from))
		return to == TASK_NONE &&
		       (why == REASON_CLEARED || why == REASON_RERUN_FAILED ||
			       why == REASON_NEEDS_AGAIN || why == REASON_SET_UP_AGAIN ||
			       why == REASON_NEEDS_CHANGED);
	/* A waiting task may be cleared, too: its counts start anew. */
	if (to == TASK_NONE && why == REASON_CLEARED)
		return from != TASK_RUNNING;
	return task_next[from] & BIT(to);
}

bool state_run_may(enum run_state from, enum run_state to)
{
	return run_next[from] & BIT(to);
}
