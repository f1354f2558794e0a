/* The trigger rules once more, slow and obvious: questions about a list of states. TASK_NONE stands
 * for a need that is not final. */
#ifndef WEIR_TESTS_LIB_TRIGGER_MODEL_H
#define WEIR_TESTS_LIB_TRIGGER_MODEL_H

#include "core/trigger.h"

struct model_needs {
	const enum task_state *states;
	int n;
};

static inline int model_count(const struct model_needs *m, enum task_state state)
{
	int n = 0;

	for (int i = 0; i < m->n; i++)
		n += m->states[i] == state;
	return n;
}

static inline bool model_any(const struct model_needs *m, enum task_state state)
{
	return model_count(m, state) > 0;
}

/* A cancelled task counts as failed. */
static inline bool model_any_failed(const struct model_needs *m)
{
	return model_any(m, TASK_FAILED) || model_any(m, TASK_CANCELLED);
}

static inline bool model_any_bad(const struct model_needs *m)
{
	return model_any_failed(m) || model_any(m, TASK_UPSTREAM_FAILED);
}

static inline bool model_done(const struct model_needs *m)
{
	return !model_any(m, TASK_NONE);
}

/* What becomes of the task: TASK_NONE it waits, TASK_RUNNING it runs, or skipped,
 * upstream_failed. */
static inline enum task_state model_verdict(enum trigger_rule rule, const struct model_needs *m)
{
	const enum task_state run = TASK_RUNNING, wait = TASK_NONE, skip = TASK_SKIPPED,
			      failed = TASK_UPSTREAM_FAILED;
	bool success = model_any(m, TASK_SUCCESS), skipped = model_any(m, TASK_SKIPPED);
	bool bad = model_any_bad(m), done = model_done(m);

	if (m->n == 0)
		return run;
	switch (rule) {
	case TRIGGER_ALL_SUCCESS:
		return bad ? failed : skipped ? skip : done ? run : wait;
	case TRIGGER_ALL_FAILED:
		return success || skipped ? skip : done ? run : wait;
	case TRIGGER_ALL_DONE:
		return done ? run : wait;
	case TRIGGER_ALL_DONE_MIN_ONE_SUCCESS:
		return skipped ? skip : !done ? wait : success ? run : failed;
	case TRIGGER_ALL_SKIPPED:
		return success || bad ? skip : done ? run : wait;
	case TRIGGER_ONE_SUCCESS:
		return success ? run : !done ? wait : bad ? failed : skip;
	case TRIGGER_ONE_FAILED:
		return bad ? run : done ? skip : wait;
	case TRIGGER_ONE_DONE:
		return success || model_any_failed(m) ? run : done ? skip : wait;
	case TRIGGER_NONE_FAILED:
		return bad ? failed : done ? run : wait;
	case TRIGGER_NONE_FAILED_MIN_ONE_SUCCESS:
		return bad ? failed : !done ? wait : success ? run : skip;
	case TRIGGER_NONE_SKIPPED:
		return skipped ? skip : done ? run : wait;
	default:
		return run;
	}
}

#endif
