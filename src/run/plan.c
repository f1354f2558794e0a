/* Which tasks of a run are to be done, and --dry-run. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/near.h"
#include "conf/config.h"
#include "core/model.h"
#include "operators/operators.h"
#include "run/control.h"
#include "run/driver_impl.h"
#include "run/mapping.h"
#include "run/paths.h"
#include "run/restore.h"

static const char *const action_names[] = {
	[PLAN_RUN] = "run",
	[PLAN_KEEP] = "keep",
	[PLAN_SKIP] = "skip",
	[PLAN_LEAVE_OUT] = "leave_out",
};
_Static_assert(sizeof action_names / sizeof *action_names == PLAN_ACTION_MAX, "a name for each");

const char *plan_action_name(enum plan_action a)
{
	return action_names[a];
}

/* ---- selection ------------------------------------------------------------------------ */

static int say_unknown(const struct dag *dag, const char *option, const char *name, struct err *err)
{
	size_t n = 0;
	if (strchr(name, '['))
		return err_set(err, ERR_USAGE,
			"%s takes whole tasks, not \"%s\"; weir retry does an instance again",
			option, name);
	const char **names = calloc((size_t)(dag->ntasks + dag->ngroups) + 1, sizeof *names);

	for (int i = 0; names && i < dag->ntasks; i++)
		names[n++] = dag->tasks[i].name;
	for (int i = 0; names && i < dag->ngroups; i++)
		names[n++] = dag->groups[i].name;
	const char *near = names ? near_find(name, names, n) : NULL;
	err_set(err, ERR_USAGE, "%s: DAG %s has no task \"%s\"%s%s%s", option, dag->name, name,
		near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	free(names);
	return -1;
}

/* Tasks one behind the other. */
struct span {
	int first, end;
};

/* What a name stands for: a task, or all of a group. */
static int find_tasks(const struct dag *dag, const char *option, const char *name, struct span *ret,
	struct err *err)
{
	const struct task *t = dag_find(dag, name);
	const struct task_group *g = t ? NULL : dag_find_group(dag, name);

	if (!t && !g)
		return say_unknown(dag, option, name, err);
	ret->first = t ? t->index : g->first;
	ret->end = ret->first + (t ? 1 : g->ntasks);
	return 0;
}

/* The named tasks are done again, and all that depends on them. */
static int clear_from(const struct run_request *req, struct task_init *tasks, struct err *err)
{
	const struct dag *dag = req->dag;

	for (size_t i = 0; req->from[i]; i++) {
		struct span span;
		if (find_tasks(dag, "--from", req->from[i], &span, err) < 0)
			return -1;
		for (int k = span.first; k < span.end; k++)
			/* Whoever names it wants it. */
			tasks[k].clear = true, tasks[k].unchosen = false;
	}
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[dag->order[i]];
		for (int j = 0; j < t->nneeds; j++)
			if (tasks[t->needs[j]].clear)
				tasks[t->index].clear = true;
	}
	return 0;
}

static int select_only(const struct run_request *req, struct task_init *tasks, struct err *err)
{
	for (int i = 0; i < req->dag->ntasks; i++)
		tasks[i].selected = false;
	for (size_t i = 0; req->only[i]; i++) {
		struct span span;
		if (find_tasks(req->dag, "--only", req->only[i], &span, err) < 0)
			return -1;
		for (int k = span.first; k < span.end; k++)
			tasks[k].selected = tasks[k].clear = true, tasks[k].unchosen = false;
	}
	return 0;
}

/* Of a mapped task its instances tell. */
static bool is_stale(const struct task *t, const struct task_row *row)
{
	return row->hash && strcmp(row->hash, t->hash) != 0;
}

static void restore(const struct task *t, const struct task_row *row, struct task_init *init,
	struct task_progress *p)
{
	restore_task(row, init);
	p->state = row->state;
	p->reason = row->reason;
	p->try = row->tries;
	p->ended_us = task_state_is_final(row->state) ? row->changed_us : 0;
	p->due_us = row->due_us;
	p->waits_for = row->waits_for ? strdup(row->waits_for) : NULL;
	p->stale = is_stale(t, row);
	if (row->outputs)
		p->outputs = json_loads(row->outputs, 0, NULL);
}

static int mark_kept(const struct dag *dag, const struct run_init *run,
	struct task_progress *ret_progress, struct err *err)
{
	size_t n = (size_t)(dag->ntasks + run->ninstances);
	enum reason *again = calloc(n + 1, sizeof *again);

	if (!again || sched_again(run, again) < 0) {
		free(again);
		return err_nomem(err);
	}
	for (int i = 0; i < dag->ntasks; i++) {
		enum task_state state = run->tasks[i].state;
		bool done = state == TASK_SUCCESS || state == TASK_SKIPPED;
		ret_progress[i].selected = run->tasks[i].selected;
		ret_progress[i].kept = done && again[i] == REASON_NONE;
	}
	free(again);
	return 0;
}

int plan_select(const struct run_request *req, const struct store_result *rows,
	struct task_init *ret, struct task_progress *ret_progress, struct err *err)
{
	const struct dag *dag = req->dag;

	for (int i = 0; i < dag->ntasks; i++) {
		ret[i] = (struct task_init){ .selected = true, .clear = req->force };
		ret_progress[i].retries = dag->tasks[i].retry.retries;
	}
	for (size_t i = 0; i < rows->n; i++) {
		const struct task_row *row = &rows->tasks[i];
		const struct task *t = dag_find(dag, row->name);
		/* A task that this version of the DAG no longer has is history. */
		if (t && row->map_index < 0)
			restore(t, row, &ret[t->index], &ret_progress[t->index]);
		else if (t)
			ret_progress[t->index].stale |= is_stale(t, row);
	}
	if (req->from && clear_from(req, ret, err) < 0)
		return -1;
	if (req->only && select_only(req, ret, err) < 0)
		return -1;
	struct run_init run = { .dag = (struct dag *)dag, .tasks = ret };
	struct err why = { 0 };
	struct instance_init *instances = restore_instances(rows, dag, ret, &run.ninstances, &why);
	run.instances = instances;
	int rc = why.code == ERR_NONE ? mark_kept(dag, &run, ret_progress, &why) : -1;
	if (rc < 0 && err)
		*err = why;
	free(instances);
	return rc;
}

/* ---- dry run -------------------------------------------------------------------------- */

struct dry {
	const struct run_request *req;
	struct task_init *init;
	struct task_progress *progress;
	struct job_context job;
};

static int load_rows(const struct run_request *req, struct store_result *rows, struct plan *ret,
	json_t **ret_params, struct err *err)
{
	char *path = paths_store(req->home);
	const struct run_key key = { req->dag->name, req->interval_start_us, req->interval_end_us };
	struct store_result found = { 0 };
	struct store *store = NULL;
	struct err why = { 0 };
	int rc = -1;

	if (!path) {
		err_nomem(err);
	} else if (store_open_sqlite(&store, path, STORE_READ_ONLY, &why) < 0) {
		/* No store yet: nothing was ever run. */
		rc = why.code == ERR_NOT_FOUND ? 0 : -1;
		if (rc < 0 && err)
			*err = why;
	} else if (store_run_by_key(store, &key, &found, err) == 0) {
		rc = 0;
		ret->exists = found.n > 0;
		if (ret->exists) {
			ret->run = strdup(found.runs[0].name);
			*ret_params = run_params(req, found.runs[0].params);
			rc = store_tasks(store, found.runs[0].id, rows, err);
		}
	}
	store_result_release(&found);
	store_close(store);
	free(path);
	return rc;
}

static enum plan_action action_of(const struct task_init *init, const struct task_progress *p)
{
	if (p->kept)
		return PLAN_KEEP;
	return init->selected ? PLAN_RUN : PLAN_LEAVE_OUT;
}

/* The list of a mapped task, as far as it can be known, and its first item (new reference). */
static int plan_list(struct dry *dry, struct job_attempt *a, struct plan_task *ret, struct err *err)
{
	struct mapping list;

	if (mapping_list(&dry->job, a, &list, err) < 0)
		return -1;
	int rc = 0;
	if (list.n > 0)
		a->item = json_loads(list.items[0], JSON_DECODE_ANY, NULL);
	else if (a->task->nneeds)
		rc = err_set(err, ERR_INVALID, "its list is empty so far");
	else
		ret->action = PLAN_SKIP;
	ret->items = rc < 0 ? -1 : list.n;
	mapping_release(&list);
	return rc;
}

static void render(struct dry *dry, struct job_attempt *a, struct plan_task *ret)
{
	struct err err = { 0 };
	bool known = !a->task->foreach || plan_list(dry, a, ret, &err) == 0;

	if (known && ret->action == PLAN_RUN && a->task->kind == TASK_RUN)
		ret->command = job_command_text(&dry->job, a, &err);
	else if (known && ret->action == PLAN_RUN)
		ret->with = job_with(&dry->job, a, &err);
	if (!ret->command && !ret->with && err.code != ERR_NONE)
		ret->unknown = strdup(err.msg);
	json_decref(a->item);
}

static void plan_one(struct dry *dry, const struct task *t, struct plan_task *ret)
{
	const struct task_progress *p = &dry->progress[t->index];
	struct job_attempt a = { .task = t, .try = p->try + 1 };

	*ret = (struct plan_task){ .task = t->index,
		.action = action_of(&dry->init[t->index], p),
		.state = p->state,
		.tries = p->try,
		.stale = p->stale,
		.items = -1 };
	bool yes, run = ret->action == PLAN_RUN;
	/* Of a mapped task it is judged for each item. */
	if (run && !t->foreach && control_only_if(&dry->job, &a, &yes, NULL) == 0 && !yes)
		ret->action = PLAN_SKIP;
	else if (run)
		render(dry, &a, ret);
}

int driver_plan(const struct run_request *req, struct plan *ret, struct err *err)
{
	const struct run_key key = { req->dag->name, req->interval_start_us, req->interval_end_us };
	size_t n = (size_t)req->dag->ntasks;
	struct store_result rows = { 0 };
	struct dry dry = { .req = req };
	int rc = -1;

	*ret = (struct plan){ 0 };
	dry.init = calloc(n + 1, sizeof *dry.init);
	dry.progress = calloc(n + 1, sizeof *dry.progress);
	ret->tasks = calloc(n + 1, sizeof *ret->tasks);
	json_t *outputs = json_object(), *params = NULL;
	if (!dry.init || !dry.progress || !ret->tasks || !outputs) {
		err_nomem(err);
		goto out;
	}
	if (load_rows(req, &rows, ret, &params, err) < 0 ||
		plan_select(req, &rows, dry.init, dry.progress, err) < 0)
		goto out;
	if (!ret->run)
		ret->run = run_name(&key, req->ds, false);
	restore_outputs(&rows, req->dag, &(struct run_init){ .tasks = dry.init }, outputs);
	for (size_t i = 0; i < n; i++)
		if (!dry.progress[i].kept)
			json_object_del(outputs, req->dag->tasks[i].name);
	dry.job = (struct job_context){ .dag = req->dag,
		.config = req->config,
		.home = req->home,
		.run = ret->run,
		.ds = req->ds,
		.interval_start_us = req->interval_start_us,
		.interval_end_us = req->interval_end_us,
		.zone = req->zone,
		.params = params ? params : req->params,
		.outputs = outputs };
	for (ret->n = 0; ret->n < req->dag->ntasks; ret->n++)
		plan_one(&dry, &req->dag->tasks[req->dag->order[ret->n]], &ret->tasks[ret->n]);
	rc = 0;
out:
	for (size_t i = 0; dry.progress && i < n; i++) {
		free((char *)dry.progress[i].waits_for);
		json_decref(dry.progress[i].outputs);
	}
	store_result_release(&rows);
	json_decref(outputs);
	json_decref(params);
	free(dry.init);
	free(dry.progress);
	if (rc < 0)
		plan_release(ret);
	return rc;
}

void plan_release(struct plan *p)
{
	if (!p)
		return;
	for (int i = 0; i < p->n; i++) {
		free(p->tasks[i].command);
		free(p->tasks[i].unknown);
		json_decref(p->tasks[i].with);
	}
	free(p->tasks);
	free(p->run);
	*p = (struct plan){ 0 };
}
