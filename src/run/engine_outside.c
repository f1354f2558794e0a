/* What tasks need of other runs: looked up where the scheduler asks, and looked up again when such
 * a run, which this engine has in hand, has moved on. Of runs of other processes it is asked by the
 * time. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/node.h"
#include "base/units.h"
#include "core/model.h"
#include "run/engine_impl.h"
#include "run/outside.h"

/* A task that waits for runs of a DAG whose intervals lie in [from_us, to_us]. */
struct watching {
	struct {
		int64_t run_id;
		int64_t task;
	} key;
	int64_t from_us, to_us;
	UT_hash_handle hh;
};

struct engine_watched {
	char *dag;
	struct watching *tasks;
	UT_hash_handle hh;
};

static struct engine_watched *find_watched(struct engine *e, const char *dag)
{
	struct engine_watched *w;

	HASH_FIND_STR(e->watched, dag, w);
	return w;
}

static struct engine_watched *add_watched(struct engine *e, const char *dag)
{
	struct engine_watched *w = find_watched(e, dag);

	if (w)
		return w;
	w = calloc(1, sizeof *w);
	if (!w || !(w->dag = strdup(dag))) {
		free(w);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, e->watched, w->dag, strlen(w->dag), w);
	return w;
}

static void unwatch(struct engine_watched *w, struct watching *t)
{
	HASH_DEL(w->tasks, t);
	free(t);
}

static void free_watched(struct engine *e, struct engine_watched *w)
{
	struct watching *t, *next;

	HASH_ITER (hh, w->tasks, t, next)
		unwatch(w, t);
	HASH_DEL(e->watched, w);
	free(w->dag);
	free(w);
}

void engine_outside_release(struct engine *e)
{
	struct engine_watched *w, *next;

	HASH_ITER (hh, e->watched, w, next)
		free_watched(e, w);
}

void engine_outside_forget(struct engine *e, int64_t run_id)
{
	struct engine_watched *w, *next_watched;
	struct watching *t, *next;

	HASH_ITER (hh, e->watched, w, next_watched) {
		HASH_ITER (hh, w->tasks, t, next)
			if (t->key.run_id == run_id)
				unwatch(w, t);
		if (!w->tasks)
			free_watched(e, w);
	}
}

struct asker {
	struct engine *e;
	int64_t run_id;
	int task;
};

/* Without memory it is found by the time. Of two spans of one task the wider one holds. */
static void watch(void *arg, const struct run_key *span)
{
	const struct asker *a = arg;
	struct engine_watched *w = add_watched(a->e, span->dag);
	struct watching key = { .key = { a->run_id, a->task } }, *t;

	if (!w)
		return;
	HASH_FIND(hh, w->tasks, &key.key, sizeof key.key, t);
	if (!t) {
		t = calloc(1, sizeof *t);
		if (!t)
			return;
		t->key = key.key;
		t->from_us = span->interval_start_us;
		t->to_us = span->interval_end_us;
		HASH_ADD(hh, w->tasks, key, sizeof t->key, t);
	}
	if (span->interval_start_us < t->from_us)
		t->from_us = span->interval_start_us;
	if (span->interval_end_us > t->to_us)
		t->to_us = span->interval_end_us;
}

void engine_answer_outside(struct engine *e, const struct active_run *run,
	const struct sched_question *q, int64_t now_us)
{
	const struct outside_from from = { e->store, run->dag, run->job.interval_start_us,
		run->job.interval_end_us };
	struct asker asker = { e, run->id, q->task };
	const struct outside_watch told = { watch, &asker };
	struct sched_outside answer = { .run_id = run->id, .task = q->task };
	struct err err = { 0 };
	int rc = outside_look(&from, &run->dag->tasks[q->task_index], &told, &answer, &err);

	answer.again_us = now_us + (rc < 0 ? US_PER_SECOND : OUTSIDE_POLL_US);
	sched_answer_outside(e->sched, &answer, now_us);
	free((char *)answer.what);
}

void engine_watch_run(struct engine *e, const struct active_run *run, int task, const char *dag)
{
	struct asker asker = { e, run->id, task };
	const struct run_key span = { dag, run->job.interval_start_us, run->job.interval_end_us };

	watch(&asker, &span);
}

/* Those that wait for this run, or for a task of it. */
static void wake(struct engine *e, const struct active_run *r)
{
	struct engine_watched *w = find_watched(e, r->dag->name);
	struct watching *t, *next;

	if (!w)
		return;
	HASH_ITER (hh, w->tasks, t, next) {
		if (r->job.interval_start_us < t->from_us || r->job.interval_end_us > t->to_us ||
			r->id == t->key.run_id)
			continue;
		sched_ask_again(e->sched, t->key.run_id, (int)t->key.task);
		unwatch(w, t);
	}
	if (!w->tasks)
		free_watched(e, w);
}

void engine_wake_outside(struct engine *e, const struct change *changes, size_t n)
{
	for (size_t i = 0; i < n && e->watched; i++) {
		const struct change *c = &changes[i];
		bool ended = c->kind == CHANGE_RUN
				     ? run_state_is_final(c->run.to)
				     : c->kind == CHANGE_TASK && task_state_is_final(c->state.to);
		const struct active_run *r = ended ? engine_find(e, c->run_id) : NULL;
		if (r)
			wake(e, r);
	}
}

/* ---- runs that tasks have made ---------------------------------------------------------- */

/* The run of that DAG for the same interval, if it is in hand; NULL. */
static const struct active_run *find_child(
	const struct engine *e, const struct active_run *parent, const char *dag)
{
	for (const struct active_run *r = e->runs; r; r = r->hh.next)
		if (strcmp(r->dag->name, dag) == 0 &&
			r->job.interval_start_us == parent->job.interval_start_us &&
			r->job.interval_end_us == parent->job.interval_end_us)
			return r;
	return NULL;
}

/* Not begun by its schedule, nor by a person. */
static bool is_made(struct engine *e, const struct active_run *r)
{
	const struct run_key key = { r->dag->name, r->job.interval_start_us,
		r->job.interval_end_us };
	struct store_result found;
	bool made;

	if (store_run_by_key(e->store, &key, &found, NULL) < 0)
		return false;
	made = found.n > 0 && strcmp(found.runs[0].trigger, CONTROL_DAG_TRIGGER) == 0;
	store_result_release(&found);
	return made;
}

static void doom(struct engine *e, int64_t run_id)
{
	if (e->ndoomed == e->doomed_cap) {
		size_t cap = e->doomed_cap ? e->doomed_cap * 2 : 8;
		int64_t *grown = reallocarray(e->doomed, cap, sizeof *grown);
		if (!grown)
			return;
		e->doomed = grown;
		e->doomed_cap = cap;
	}
	e->doomed[e->ndoomed++] = run_id;
}

void engine_find_doomed(struct engine *e, const struct change *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct change *c = &changes[i];
		if (c->kind != CHANGE_TASK || c->state.to != TASK_CANCELLED ||
			c->state.from != TASK_DEFERRED)
			continue;
		const struct active_run *r = engine_find(e, c->run_id), *child;
		const struct task *t =
			r && c->task_index >= 0 ? &r->dag->tasks[c->task_index] : NULL;
		if (!t || !control_dag_cancels(t))
			continue;
		child = find_child(e, r, node_text(node_get(t->with, "dag")));
		if (child && is_made(e, child))
			doom(e, child->id);
	}
}

void engine_cancel_doomed(struct engine *e)
{
	while (e->ndoomed > 0)
		sched_cancel_run(e->sched, e->doomed[--e->ndoomed], false, clock_now_us());
}
