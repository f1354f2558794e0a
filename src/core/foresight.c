#include "core/foresight.h"

#include <stdlib.h>

#include "core/model.h"

/* Where the longest way to the end of a task leads through. */
struct way {
	int64_t own_us, left_us;
	int before; /* the task before it on the way; -1: none */
};

static int64_t own_us(const struct foresight_task *t, int64_t now_us)
{
	int64_t left = t->typical_us;

	if (task_state_is_final(t->state))
		return 0;
	if (t->state == TASK_RUNNING && t->since_us)
		left -= now_us - t->since_us;
	else if (t->state == TASK_UP_FOR_RETRY && t->due_us > now_us)
		left += t->due_us - now_us;
	return left > 0 ? left : 0;
}

static int64_t over_us(const struct foresight_task *t, int64_t now_us)
{
	int64_t over = now_us - t->since_us - t->typical_us;

	return t->state == TASK_RUNNING && t->since_us && t->typical_us && over > 0 ? over : 0;
}

static void find_ways(
	const struct dag *dag, const struct foresight_task *tasks, int64_t now_us, struct way *ways)
{
	for (int k = 0; k < dag->ntasks; k++) {
		int i = dag->order[k];
		const struct task *t = &dag->tasks[i];
		struct way *w = &ways[i];
		bool open = !task_state_is_final(tasks[i].state);
		*w = (struct way){ .own_us = own_us(&tasks[i], now_us), .before = -1 };
		for (int n = 0; open && n < t->nneeds; n++) {
			const struct way *b = &ways[t->needs[n]];
			bool open_need = !task_state_is_final(tasks[t->needs[n]].state);
			if (open_need && (w->before < 0 || b->left_us > w->left_us)) {
				w->before = t->needs[n];
				w->left_us = b->left_us;
			}
		}
		w->left_us += w->own_us;
	}
}

/* The task whose end is the last. */
static int find_last(
	const struct dag *dag, const struct foresight_task *tasks, const struct way *ways)
{
	int last = -1;

	for (int i = 0; i < dag->ntasks; i++)
		if (!task_state_is_final(tasks[i].state) &&
			(last < 0 || ways[i].left_us > ways[last].left_us))
			last = i;
	return last;
}

/* Along the way: who runs longer than ever, or else has most before it. */
static void blame(const struct foresight_task *tasks, const struct way *ways, int last,
	int64_t now_us, struct foresight *ret)
{
	for (int i = last; i >= 0; i = ways[i].before) {
		int64_t over = over_us(&tasks[i], now_us);
		bool more = ret->task < 0 || over > ret->over_us ||
			    (over == ret->over_us && ways[i].own_us > ways[ret->task].own_us);
		ret->known = ret->known || tasks[i].typical_us > 0;
		if (!more)
			continue;
		ret->task = i;
		ret->over_us = over;
	}
}

int foresight_of(const struct dag *dag, const struct foresight_task *tasks, int target,
	int64_t now_us, struct foresight *ret)
{
	struct way *ways = calloc((size_t)dag->ntasks + 1, sizeof *ways);

	*ret = (struct foresight){ .task = -1 };
	if (!ways)
		return -1;
	find_ways(dag, tasks, now_us, ways);
	int last = target < 0                                 ? find_last(dag, tasks, ways)
		   : task_state_is_final(tasks[target].state) ? -1
							      : target;
	if (last >= 0) {
		ret->left_us = ways[last].left_us;
		blame(tasks, ways, last, now_us, ret);
	}
	free(ways);
	return 0;
}
