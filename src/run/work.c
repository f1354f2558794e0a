#include "run/work.h"

#include "base/clock.h"
#include "core/change.h"
#include "core/sched.h"
#include "exec/exec.h"
#include "store/store.h"

int work_of(struct store *s, const struct sched *sched, const struct change *start, int64_t *ret,
	struct err *err)
{
	struct task_view view = { 0 };
	struct store_result r;

	sched_task_view(sched, start->run_id, start->task_index, &view);
	/* Tries count all attempts of the task, the others those of this piece. */
	int first = start->attempt.try - view.failures - view.lost;
	*ret = start->attempt.token;
	if (first >= start->attempt.try)
		return 0;
	const struct try_key key = { start->run_id, start->task, start->map_index, first };
	if (store_attempt_try(s, &key, &r, err) < 0)
		return -1;
	if (r.n)
		*ret = r.attempts[0].token;
	store_result_release(&r);
	return 0;
}

void work_late_end(struct store *s, const struct exec_end *end)
{
	const struct late_end late = { .token = end->token,
		.outcome = end->outcome,
		.exit_status = end->exit_status,
		.signal = end->signal,
		.ended_us = end->ended_us,
		.now_us = clock_now_us() };
	bool recorded;

	store_late_end(s, &late, &recorded, NULL);
}
