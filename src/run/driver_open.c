/* The beginning of a run in the foreground: its place in the store. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/driver_impl.h"

static struct run_key key_of(const struct run_request *req)
{
	return (struct run_key){ req->dag->name, req->interval_start_us, req->interval_end_us };
}

/* ---- params --------------------------------------------------------------------------- */

static bool has_done_work(const struct store_result *tasks)
{
	for (size_t i = 0; i < tasks->n; i++)
		if (tasks->tasks[i].state == TASK_SUCCESS)
			return true;
	return false;
}

/* A run has one set of params. The work that was done with other values would not fit to what is
 * still to be done. */
static int check_params(struct driver *d, const struct run_row *row, struct err *err)
{
	json_t *former = json_loads(row->params, 0, NULL);
	struct store_result tasks = { 0 };
	int rc = -1;

	if (!former || json_equal(former, d->req->params) || d->req->force) {
		rc = 0;
	} else if (store_tasks(d->engine.store, row->id, &tasks, err) == 0) {
		rc = 0;
		if (has_done_work(&tasks))
			rc = err_set(err, ERR_REFUSED,
				"run %s was begun with params %s; leave --param out to go on with "
				"them, or do all of it again with --force",
				row->name, row->params);
	}
	store_result_release(&tasks);
	json_decref(former);
	return rc;
}

/* The params the run has: those given, or the former ones. A new reference, or NULL with err. */
static json_t *settle_params(struct driver *d, struct err *err)
{
	const struct run_key key = key_of(d->req);
	struct store_result found = { 0 };
	json_t *params = NULL;

	if (store_run_by_key(d->engine.store, &key, &found, err) < 0)
		return NULL;
	const char *former = found.n > 0 ? found.runs[0].params : NULL;
	if (!former || !d->req->params_given || check_params(d, &found.runs[0], err) == 0) {
		params = run_params(d->req, former);
		if (!params)
			err_nomem(err);
	}
	store_result_release(&found);
	return params;
}

/* ---- opening -------------------------------------------------------------------------- */

struct opened {
	int64_t run_id, epoch;
};

/* So that a daemon which carries the run on does no more than was asked for. */
static char *only_text(const struct run_request *req)
{
	json_t *names = json_array();

	for (size_t i = 0; req->only && req->only[i]; i++)
		json_array_append_new(names, json_string(req->only[i]));
	char *text = req->only ? json_dumps(names, JSON_COMPACT) : NULL;
	json_decref(names);
	return text;
}

static int open_run(struct driver *d, json_t *given, struct opened *ret, struct err *err)
{
	const struct run_request *req = d->req;
	const struct dag *dag = req->dag;
	const struct run_key key = key_of(req);
	char *short_name = run_name(&key, req->ds, false),
	     *long_name = run_name(&key, req->ds, true);
	char *params = json_dumps(given, JSON_COMPACT | JSON_SORT_KEYS);
	/* Absolute: whoever reads it later stands elsewhere. */
	const char *slash = strrchr(dag->path, '/');
	char *path = io_path_join(dag->dir, slash ? slash + 1 : dag->path);
	const char **tasks = calloc((size_t)dag->ntasks + 1, sizeof *tasks);
	char *only = only_text(req);
	struct run_open open = { .key = key,
		.name = short_name,
		.long_name = long_name,
		.ds = req->ds,
		.zone = zone_name(req->zone),
		.params = params,
		.trigger = "manual",
		.only = only,
		.dag_path = path,
		.dag_dir = dag->dir,
		.version = dag->hash,
		.text = dag->text,
		.tasks = tasks,
		.ntasks = (size_t)dag->ntasks,
		.owner = d->engine.self,
		.anew = true,
		.now_us = clock_now_us() };
	int rc = -1;

	open.lease_until_us = open.now_us + ENGINE_LEASE_US;
	for (int i = 0; tasks && i < dag->ntasks; i++)
		tasks[i] = dag->tasks[i].name;
	if (!short_name || !long_name || !params || !path || !tasks || (req->only && !only))
		err_nomem(err);
	else
		rc = store_run_open(d->engine.store, &open, &ret->run_id, &ret->epoch,
			&d->progress.created, err);
	free(short_name);
	free(long_name);
	free(params);
	free(path);
	free(only);
	free(tasks);
	return rc;
}

static int take_run(struct driver *d, json_t *params, const struct opened *opened, struct err *err)
{
	const struct run_key key = key_of(d->req);
	struct store_result found = { 0 };

	if (store_run_by_key(d->engine.store, &key, &found, err) < 0)
		return -1;
	if (found.n > 0) {
		const struct engine_take take = { .run_id = opened->run_id,
			.epoch = opened->epoch,
			.name = found.runs[0].name,
			.ds = d->req->ds,
			.state = found.runs[0].state,
			.dag = d->req->dag,
			.config = d->req->config,
			.zone = d->req->zone,
			.params = params,
			.interval_start_us = key.interval_start_us,
			.interval_end_us = key.interval_end_us };
		d->name = strdup(found.runs[0].name);
		d->progress.state = found.runs[0].state;
		d->run = d->name ? engine_take(&d->engine, &take, err) : NULL;
	}
	store_result_release(&found);
	return d->run ? 0 : -1;
}

int driver_open(struct driver *d, struct err *err)
{
	json_t *params = settle_params(d, err);
	struct opened opened;
	int rc = -1;

	if (params && open_run(d, params, &opened, err) == 0)
		rc = take_run(d, params, &opened, err);
	if (rc == 0) {
		d->progress.run = d->name;
		d->progress.run_id = opened.run_id;
	}
	json_decref(params);
	return rc;
}
