#include "run/restore.h"

#include "core/model.h"
#include "core/sched.h"
#include "store/store.h"

void restore_task(const struct task_row *row, struct task_init *ret)
{
	ret->state = row->state;
	ret->tries = row->tries;
	ret->failures = row->failures;
	ret->lost = row->lost;
	ret->due_us = row->due_us;
	ret->token = row->token;
}

void restore_rows(const struct store_result *rows, const struct dag *dag, struct task_init *ret)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct task *t = dag_find(dag, rows->tasks[i].name);
		if (t)
			restore_task(&rows->tasks[i], &ret[t->index]);
	}
}

int restore_tasks(struct store *s, int64_t run_id, const struct dag *dag, struct task_init *ret,
	struct err *err)
{
	struct store_result rows = { 0 };
	int rc = store_tasks(s, run_id, &rows, err);

	if (rc == 0)
		restore_rows(&rows, dag, ret);
	store_result_release(&rows);
	return rc;
}
