#include "run/restore.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "core/model.h"
#include "core/sched.h"
#include "run/outputs.h"
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

/* The task of a row, if it is what it was: whole, or of instances. */
static const struct task *task_of(const struct dag *dag, const struct task_row *row)
{
	const struct task *t = dag_find(dag, row->name);

	return row->map_index < 0 || (t && t->foreach) ? t : NULL;
}

/* How many items the list has that ends at this row: rows of one task stand together, and what has
 * no item any more behind the others. */
static int count_items(const struct store_result *rows, size_t first)
{
	size_t i = first;

	while (i < rows->n && rows->tasks[i].map_index >= 0 &&
		strcmp(rows->tasks[i].name, rows->tasks[first].name) == 0 &&
		rows->tasks[i].reason != REASON_ITEM_GONE)
		i++;
	return (int)(i - first);
}

void restore_outputs(const struct store_result *rows, const struct dag *dag,
	const struct run_init *init, json_t *outputs)
{
	bool set = false; /* those of the mapped task were, by request */
	int n = 0;

	for (size_t i = 0; i < rows->n; i++) {
		const struct task_row *row = &rows->tasks[i];
		const struct task *t = task_of(dag, row);
		if (row->map_index < 0)
			set = row->outputs != NULL;
		if (row->map_index == 0)
			n = count_items(rows, i);
		if (!t || !row->outputs || row->state != TASK_SUCCESS ||
			(row->map_index >= 0 && set) ||
			(init->tasks && init->tasks[t->index].clear))
			continue;
		const struct outputs_of of = { t->name, row->map_index, n };
		json_t *own = json_loads(row->outputs, 0, NULL);
		outputs_set(outputs, &of, own);
		json_decref(own);
	}
}

struct instance_init *restore_instances(const struct store_result *rows, const struct dag *dag,
	const struct task_init *tasks, int *ret_n, struct err *err)
{
	struct instance_init *list = NULL;
	const struct task *of = NULL;
	int n = 0, next = 0;

	*ret_n = 0;
	for (size_t i = 0; i < rows->n; i++) {
		const struct task_row *row = &rows->tasks[i];
		const struct task *t = row->map_index < 0 ? NULL : task_of(dag, row);
		next = t == of ? next : 0;
		of = t;
		/* What does not follow its neighbour was not written by us. */
		if (!t || row->map_index != next)
			continue;
		if (!list && !(list = calloc(rows->n - i, sizeof *list))) {
			err_nomem(err);
			return NULL;
		}
		struct instance_init *at = &list[n++];
		at->task = t->index;
		at->map_index = next++;
		at->item = row->item;
		at->init.selected = !tasks || tasks[t->index].selected;
		restore_task(row, &at->init);
	}
	*ret_n = n;
	return list;
}

void restore_rows(const struct store_result *rows, const struct dag *dag, struct task_init *ret)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct task *t =
			rows->tasks[i].map_index < 0 ? dag_find(dag, rows->tasks[i].name) : NULL;
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
