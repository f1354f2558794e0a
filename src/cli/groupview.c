#include "cli/groupview.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"

/* The first of them that is there speaks for the group. */
static const enum task_state telling[] = { TASK_FAILED, TASK_RUNNING, TASK_UP_FOR_RETRY,
	TASK_AWAITING_INPUT, TASK_HELD, TASK_DEFERRED, TASK_QUEUED, TASK_SCHEDULED, TASK_CANCELLED,
	TASK_UPSTREAM_FAILED, TASK_NONE, TASK_SUCCESS, TASK_SKIPPED };
static_assert(sizeof telling / sizeof *telling == TASK_STATE_MAX, "each state speaks once");

size_t groupview_prefix(const char *task)
{
	size_t n = strcspn(task, ".[");

	return task[n] ? n : 0;
}

bool groupview_same(const char *task, const char *other)
{
	size_t n = groupview_prefix(task);

	return n > 0 && groupview_prefix(other) == n && memcmp(task, other, n) == 0;
}

void groupview_count(struct group_tally *g, enum task_state s)
{
	g->by_state[s]++;
	g->n++;
}

enum task_state groupview_state(const struct group_tally *g)
{
	for (size_t i = 0; i < sizeof telling / sizeof *telling; i++)
		if (g->by_state[telling[i]])
			return telling[i];
	return TASK_NONE;
}

bool groupview_is_mapping(enum task_state s, enum reason r)
{
	switch (r) {
	case REASON_MAPPED:
	case REASON_INSTANCES_DONE:
	case REASON_INSTANCES_FAILED:
	case REASON_INSTANCES_SKIPPED:
		return true;
	default:
		return s == TASK_CANCELLED;
	}
}

void groupview_add_counts(struct buf *out, const struct group_tally *g)
{
	bool first = true;

	for (int s = 0; s < TASK_STATE_MAX; s++) {
		if (!g->by_state[s])
			continue;
		buf_addf(out, "%s%d %s", first ? "" : ", ", g->by_state[s],
			s == TASK_NONE ? "waiting" : task_state_name((enum task_state)s));
		first = false;
	}
}
