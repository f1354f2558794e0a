/* Datasets: what a step updates, committed with it, and the tasks that wait for updates. */
#include <stdlib.h>
#include <string.h>

#include "core/dataset.h"
#include "core/model.h"
#include "run/engine_impl.h"

/* ---- updates -------------------------------------------------------------------------- */

static int add_update(struct engine *e, const struct dataset_put *put, struct err *err)
{
	if (e->nupdates == e->updates_cap) {
		size_t cap = e->updates_cap ? 2 * e->updates_cap : 16;
		struct dataset_put *grown = reallocarray(e->updates, cap, sizeof *grown);
		if (!grown)
			return err_nomem(err);
		e->updates = grown;
		e->updates_cap = cap;
	}
	e->updates[e->nupdates++] = *put;
	return 0;
}

static int add_updates(struct engine *e, const struct change *c, struct err *err)
{
	const struct active_run *r = engine_find(e, c->run_id);
	const struct task *t = &r->dag->tasks[c->task_index];

	for (int i = 0; i < t->nproduces; i++) {
		const struct dataset_put put = { .dataset = t->produces[i].name,
			.start_us = r->job.interval_start_us,
			.end_us = r->job.interval_end_us,
			.at_us = c->at_us,
			.dag = r->dag->name,
			.task = t->name,
			.map_index = c->map_index,
			.run_id = r->id,
			.work = c->state.work };
		if (add_update(e, &put, err) < 0)
			return -1;
	}
	return 0;
}

/* Has the task done all of its work? A person who marks it as succeeded has written nothing; an
 * instance of a mapped task is a part of it. */
static bool has_written(const struct change *c)
{
	return c->kind == CHANGE_TASK && c->state.to == TASK_SUCCESS && c->map_index < 0 &&
	       (c->reason == REASON_SUCCEEDED || c->reason == REASON_INSTANCES_DONE);
}

int engine_collect_updates(
	struct engine *e, const struct change *changes, size_t n, struct err *err)
{
	e->nupdates = 0;
	for (size_t i = 0; i < n; i++) {
		if (has_written(&changes[i]) && add_updates(e, &changes[i], err) < 0)
			return -1;
	}
	return 0;
}

/* ---- waits ---------------------------------------------------------------------------- */

void engine_note_wait(struct engine *e, const struct sched_question *q, const char *dataset)
{
	const struct engine_wait_key key = { q->run_id, q->task };
	struct engine_wait *w;

	HASH_FIND(hh, e->waits, &key, sizeof key, w);
	/* Its poll finds what it is not told. */
	if (!w && (w = calloc(1, sizeof *w))) {
		w->key = key;
		HASH_ADD(hh, e->waits, key, sizeof w->key, w);
	}
	if (!w)
		return;
	free(w->dataset);
	w->dataset = strdup(dataset);
}

static void remove_wait(struct engine *e, struct engine_wait *w)
{
	HASH_DEL(e->waits, w);
	free(w->dataset);
	free(w);
}

void engine_forget_waits(struct engine *e, int64_t run_id)
{
	struct engine_wait *w, *next;

	HASH_ITER (hh, e->waits, w, next)
		if (w->key.run_id == run_id)
			remove_wait(e, w);
}

void engine_release_datasets(struct engine *e)
{
	struct engine_wait *w, *next;

	HASH_ITER (hh, e->waits, w, next)
		remove_wait(e, w);
	free(e->updates);
}

/* What still waits after the look is noted again. */
void engine_dataset_updated(struct engine *e, const char *dataset)
{
	struct engine_wait *w, *next;

	HASH_ITER (hh, e->waits, w, next) {
		if (w->dataset && strcmp(w->dataset, dataset) != 0)
			continue;
		sched_ask_again(e->sched, w->key.run_id, (int)w->key.task);
		remove_wait(e, w);
	}
}

void engine_wake_waits(struct engine *e)
{
	for (size_t i = 0; e->waits && i < e->nupdates; i++)
		engine_dataset_updated(e, e->updates[i].dataset);
	e->nupdates = 0;
}
