/* Tasks of a run as the store knows them, for the scheduler. */
#ifndef WEIR_RUN_RESTORE_H
#define WEIR_RUN_RESTORE_H

#include <jansson.h>
#include <stdint.h>

struct dag;
struct err;
struct instance_init;
struct run_init;
struct store;
struct store_result;
struct task_init;
struct task_row;

/* One task, or instance: its state and counts; ret->selected and ret->clear stay as they are. */
void restore_task(const struct task_row *row, struct task_init *ret);
/* ret: dag->ntasks rows, zeroed but for what the caller chose; tasks the store does not know stay
 * as they are: new. Rows of tasks the DAG does not have are history. */
void restore_rows(const struct store_result *rows, const struct dag *dag, struct task_init *ret);
/* The instances of its mapped tasks, which are chosen as these are (`tasks`: of their tasks; NULL:
 * all are). The array is the caller's to free; items are borrowed from `rows`. NULL: there are
 * none, or no memory (err). */
struct instance_init *restore_instances(const struct store_result *rows, const struct dag *dag,
	const struct task_init *tasks, int *ret_n, struct err *err);
/* What the tasks of the run put out that are done and not to be done again: task -> outputs, added
 * to the object. */
void restore_outputs(const struct store_result *rows, const struct dag *dag,
	const struct run_init *init, json_t *outputs);
int restore_tasks(struct store *s, int64_t run_id, const struct dag *dag, struct task_init *ret,
	struct err *err);

#endif
