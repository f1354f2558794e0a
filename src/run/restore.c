#include "run/restore.h"

#include "core/model.h"
#include "core/sched.h"
#include "store/store.h"

void restore_task(const struct task_row *row, struct task_init *ret)
{
	ret->state = row->state;
	ret->reason = row->reason;
	ret->tries = row->tries;
	ret->failures = row->failures;
	ret->lost = row->lost;
	ret->work = row->work;
	ret->due_us = row->due_us;
	ret->token = row->token;
	ret->unchosen = row->reason == REASON_NOT_CHOSEN;
}

static bool has_done_work(const struct dag *dag, const struct run_init *init)
{
	for (int i = 0; init->tasks && i < dag->ntasks; i++)
		if (init->tasks[i].state == TASK_SUCCESS && !init->tasks[i].clear)
			return true;
	return false;
}

int restore_outputs(struct store *s, const struct dag *dag, const struct run_init *init,
	json_t *outputs, struct err *err)
{
	struct store_result rows = { 0 };

	if (!has_done_work(dag, init))
		return 0;
	if (store_tasks(s, init->run_id, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++) {
		const struct task_row *row = &rows.tasks[i];
		const struct task *t = row->outputs ? dag_find(dag, row->name) : NULL;
		if (t && row->state == TASK_SUCCESS && !init->tasks[t->index].clear)
			json_object_set_new(outputs, t->name, json_loads(row->outputs, 0, NULL));
	}
	store_result_release(&rows);
	return 0;
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
