/* Runs of other DAGs that tasks of a run in the foreground want (`control: dag`): this process
 * carries them on, too, with the DAGs of the file's folder. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/model.h"
#include "run/catalog.h"
#include "run/driver_impl.h"
#include "run/ops.h"

static int open_folder(struct driver *d, struct err *err)
{
	const struct run_request *req = d->req;

	if (d->dags)
		return 0;
	if (!req->dags)
		return err_set(err, ERR_REFUSED, "the DAGs beside this one are not known");
	if (catalog_new(&d->dags, req->dag->dir, req->dags, err) < 0)
		return -1;
	return catalog_scan(d->dags, err) < 0 ? -1 : 0;
}

static struct dag *find_dag(void *arg, const char *name, struct err *err)
{
	const struct driver *d = arg;
	const struct catalog_dag *c = catalog_find(d->dags, name), *broken;
	const struct config *config;

	if (c)
		return catalog_load(d->dags, c, &config, err);
	broken = catalog_find_broken(d->dags, name);
	if (broken)
		err_set(err, ERR_INVALID, "%s cannot be loaded; weir validate tells why",
			broken->path);
	else
		err_set(err, ERR_NOT_FOUND, "there is no DAG \"%.128s\" in %s", name,
			catalog_folder(d->dags));
	return NULL;
}

/* The engine is in the middle of a step: the run is taken behind it. */
static void want(void *arg, enum ops_event what, const char *dag, int64_t run_id)
{
	struct driver *d = arg;
	int64_t *grown = reallocarray(d->wanted, d->nwanted + 1, sizeof *grown);

	(void)what;
	(void)dag;
	/* Without memory: the next look wants it again. */
	if (!grown)
		return;
	d->wanted = grown;
	d->wanted[d->nwanted++] = run_id;
	d->engine.wanted = true;
	event_active(d->on_child, 0, 0);
}

int driver_make_child(void *arg, const struct child_run *c, struct err *err)
{
	struct driver *d = arg;
	const struct ops ops = { .store = d->engine.store,
		.find_dag = find_dag,
		.arg = d,
		.changed = want,
		.by = c->by };
	int64_t run_id;

	return open_folder(d, err) < 0 ? -1 : ops_child(&ops, c, &run_id, err);
}

/* ---- taking it in hand ------------------------------------------------------------------ */

static struct active_run *take(struct driver *d, const struct run_row *row, struct dag *dag,
	const struct engine_take *how, struct err *err)
{
	struct engine_take t = *how;
	struct active_run *r = NULL;

	t.run_id = row->id;
	t.name = row->name;
	t.ds = row->ds;
	t.state = row->state;
	t.dag = dag;
	t.interval_start_us = row->interval_start_us;
	t.interval_end_us = row->interval_end_us;
	t.params = json_loads(row->params, 0, NULL);
	if (t.params)
		r = engine_take(&d->engine, &t, err);
	else
		err_nomem(err);
	json_decref(t.params);
	return r;
}

static int begin(struct driver *d, struct active_run *r, const struct run_row *row, struct err *err)
{
	struct task_init *tasks = calloc((size_t)r->dag->ntasks + 1, sizeof *tasks);
	struct run_init init = { .resume = !run_state_is_final(row->state) };
	char text[400];

	if (!tasks)
		return err_nomem(err);
	for (int i = 0; i < r->dag->ntasks; i++)
		tasks[i].selected = true;
	int rc = engine_resume(&d->engine, r, &init, tasks, err);
	free(tasks);
	if (rc < 0)
		return -1;
	snprintf(text, sizeof text, "run %s is at work, for a task of this one", r->name);
	driver_tell(d, EVENT_NOTE, -1, text);
	return 0;
}

/* It stays wanted, so that the next look of its task tries again. */
static int take_up(struct driver *d, const struct run_row *row, struct err *err)
{
	struct engine_take how = { 0 };
	struct dag *dag = catalog_load_run(d->dags, d->engine.store, row, &how.config, err);
	struct active_run *r = NULL;
	int rc = -1;

	if (dag && engine_open_wanted(&d->engine, row, dag->text, &how.epoch, err) == 0 &&
		!(r = take(d, row, dag, &how, err)))
		store_run_close(d->engine.store, row->id, how.epoch, NULL);
	dag_unref(dag);
	if (r && (rc = begin(d, r, row, err)) < 0)
		engine_drop(&d->engine, r, true);
	return rc;
}

static int take_wanted(struct driver *d, int64_t run_id, struct err *err)
{
	struct store_result found;
	char ref[32];
	int rc = 0;

	if (engine_find(&d->engine, run_id))
		return 0;
	snprintf(ref, sizeof ref, "%lld", (long long)run_id);
	if (store_run_find(d->engine.store, ref, &found, err) < 0)
		return -1;
	/* Another process may have been faster. */
	if (found.runs[0].wanted &&
		(found.runs[0].owner.pid == 0 || owner_is_dead(&found.runs[0].owner)))
		rc = take_up(d, &found.runs[0], err);
	store_result_release(&found);
	return rc;
}

void driver_take_children(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;

	(void)fd;
	(void)what;
	d->engine.wanted = false;
	while (d->nwanted > 0 && !d->progress.stopping) {
		struct err err = { 0 };
		if (take_wanted(d, d->wanted[--d->nwanted], &err) < 0)
			driver_tell(d, EVENT_NOTE, -1, err.msg);
	}
	engine_step(&d->engine);
}

void driver_child_changed(struct driver *d, const struct active_run *r, const struct change *c)
{
	char text[400];

	if (c->kind == CHANGE_RUN && run_state_is_final(c->run.to)) {
		snprintf(text, sizeof text, "run %s: %s", r->name, run_state_name(c->run.to));
		driver_tell(d, EVENT_NOTE, -1, text);
	} else if (c->kind == CHANGE_TASK && c->state.to == TASK_FAILED) {
		snprintf(text, sizeof text, "run %s: task %s failed; weir logs %s %s", r->name,
			c->task, r->name, c->task);
		driver_tell(d, EVENT_NOTE, -1, text);
	}
}

void driver_children_release(struct driver *d)
{
	free(d->wanted);
	catalog_free(d->dags);
}
