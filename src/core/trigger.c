#include "core/trigger.h"

void trigger_count(struct trigger_counts *c, enum task_state final_state)
{
	switch (final_state) {
	case TASK_SUCCESS:
		c->success++;
		break;
	case TASK_SKIPPED:
		c->skipped++;
		break;
	default:
		c->failed++;
		break;
	}
}

enum verdict trigger_all_success(const struct trigger_counts *c)
{
	if (c->failed)
		return VERDICT_UPSTREAM_FAILED;
	if (c->skipped)
		return VERDICT_SKIP;
	return c->success == c->needs ? VERDICT_RUN : VERDICT_WAIT;
}
