/* What people decide about tasks that await input, in memory. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

static int decide(struct memory_store *m, const struct approval_put *put, struct err *err)
{
	struct mem_run *run = memory_find_run(m, put->run_id);
	struct mem_task *t = run ? memory_find_task(m, run, put->task, put->map_index) : NULL;

	if (!t)
		return backend_not_awaited(put, TASK_STATE_MAX, false, err);
	if (t->row.state != TASK_AWAITING_INPUT || t->row.decision)
		return backend_not_awaited(put, t->row.state, t->row.decision != NULL, err);
	if (memory_save(m, &t->row, sizeof t->row, err) < 0)
		return -1;
	t->row.decision = memory_keep(m, put->decision);
	const char *state = task_state_name(t->row.state);
	const struct event_row row = { .at_us = put->now_us,
		.task = t->row.name,
		.map_index = put->map_index,
		.from = state,
		.to = state,
		.reason = reason_name(backend_decide_reason(put)),
		.detail = t->row.decision };
	if (memory_add_event(m, run, &row, err) < 0)
		return -1;
	return put->audit ? memory_add_audit(m, put->audit, err) : 0;
}

int memory_decide(struct store *s, const struct approval_put *put, struct err *err)
{
	struct memory_store *m = memory_cast(s);

	memory_begin(m);
	return memory_end(m, decide(m, put, err), err);
}

static const char *lend(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

static void put_one(struct rows *rows, const struct mem_run *run, const struct task_row *t)
{
	struct approval_row *row = rows_add(rows);

	if (row)
		*row = (struct approval_row){ .run_id = run->row.id,
			.run = lend(rows->arena, run->row.name),
			.dag = lend(rows->arena, run->row.dag),
			.task = lend(rows->arena, t->name),
			.map_index = t->map_index,
			.state = t->state,
			.since_us = t->changed_us,
			.due_us = t->due_us,
			.waits_for = lend(rows->arena, t->waits_for),
			.decision = lend(rows->arena, t->decision) };
}

static int by_age(const void *a, const void *b)
{
	const struct approval_row *x = a, *y = b;

	if (x->since_us != y->since_us)
		return x->since_us < y->since_us ? -1 : 1;
	if (x->run_id != y->run_id)
		return x->run_id < y->run_id ? -1 : 1;
	return strcmp(x->task, y->task);
}

int memory_put_approvals(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < m->runs.n; i++) {
		struct mem_run *run = m->runs.items[i];
		if (!run || (q->kind == LIST_APPROVAL && run->row.id != q->id))
			continue;
		for (struct mem_task *t = run->tasks; t; t = t->hh.next)
			if (q->kind == LIST_APPROVAL
					? strcmp(t->row.name, q->dag) == 0 && t->row.map_index < 0
					: t->row.state == TASK_AWAITING_INPUT && !t->row.decision)
				put_one(rows, run, &t->row);
	}
	if (rows->n)
		qsort(rows->data, rows->n, rows->size, by_age);
	return 0;
}
