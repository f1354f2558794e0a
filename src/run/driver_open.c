/* The beginning of a run: its place in the store, and what a former invocation left behind. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/units.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/driver_impl.h"
#include "run/paths.h"

#define LEASE_US (30 * US_PER_SECOND)

/* ---- opening -------------------------------------------------------------------------- */

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
	} else if (store_tasks(d->store, row->id, &tasks, err) == 0) {
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

/* The params the run has: those given, or the former ones. */
static int settle_params(struct driver *d, struct err *err)
{
	const struct run_key key = { d->req->dag->name, d->req->interval_start_us,
		d->req->interval_end_us };
	struct store_result found = { 0 };

	if (store_run_by_key(d->store, &key, &found, err) < 0)
		return -1;
	int rc = 0;
	d->job.params = json_incref(d->req->params);
	if (found.n && d->req->params_given) {
		rc = check_params(d, &found.runs[0], err);
	} else if (found.n) {
		/* Params that the DAG got since then have their defaults. */
		json_t *former = json_loads(found.runs[0].params, 0, NULL);
		json_decref(d->job.params);
		d->job.params = json_deep_copy(d->req->params);
		if (former)
			json_object_update_existing(d->job.params, former);
		json_decref(former);
	}
	store_result_release(&found);
	return rc;
}

static int open_run(struct driver *d, struct err *err)
{
	const struct run_request *req = d->req;
	const struct dag *dag = req->dag;
	char *short_name = run_name(req, false), *long_name = run_name(req, true);
	char *params = json_dumps(d->job.params, JSON_COMPACT | JSON_SORT_KEYS);
	const char **tasks = calloc((size_t)dag->ntasks + 1, sizeof *tasks);
	struct run_open open = { .key = { dag->name, req->interval_start_us, req->interval_end_us },
		.name = short_name,
		.long_name = long_name,
		.ds = req->ds,
		.zone = zone_name(req->zone),
		.params = params,
		.trigger = "manual",
		.dag_path = dag->path,
		.dag_dir = dag->dir,
		.version = dag->hash,
		.text = dag->text,
		.tasks = tasks,
		.ntasks = (size_t)dag->ntasks,
		.now_us = clock_now_us() };
	int rc = -1;

	open.lease_until_us = open.now_us + LEASE_US;
	for (int i = 0; tasks && i < dag->ntasks; i++)
		tasks[i] = dag->tasks[i].name;
	if (!short_name || !long_name || !params || !tasks)
		err_nomem(err);
	else if (owner_self(&open.owner, err) == 0)
		rc = store_run_open(
			d->store, &open, &d->run_id, &d->epoch, &d->progress.created, err);
	free(short_name);
	free(long_name);
	free(params);
	free(tasks);
	return rc;
}

static int read_run(struct driver *d, struct err *err)
{
	const struct run_key key = { d->req->dag->name, d->req->interval_start_us,
		d->req->interval_end_us };
	struct store_result found = { 0 };

	if (store_run_by_key(d->store, &key, &found, err) < 0)
		return -1;
	if (found.n) {
		d->run = strdup(found.runs[0].name);
		d->progress.state = found.runs[0].state;
	}
	store_result_release(&found);
	return d->run ? 0 : err_nomem(err);
}

static int make_work_dir(struct driver *d, struct err *err)
{
	char *dir = paths_work_dir(d->req->home, d->run);
	int rc = dir ? io_mkdirs(dir, 0700, err) : err_nomem(err);

	free(dir);
	return rc;
}

int driver_open(struct driver *d, struct err *err)
{
	const struct run_request *req = d->req;
	char *path = paths_store(req->home);
	int rc = path ? store_open_sqlite(&d->store, path, STORE_CREATE, err) : err_nomem(err);

	free(path);
	if (rc < 0 || settle_params(d, err) < 0 || open_run(d, err) < 0 || read_run(d, err) < 0 ||
		make_work_dir(d, err) < 0)
		return -1;
	json_t *params = d->job.params;
	d->job = (struct job_context){ .dag = req->dag,
		.config = req->config,
		.home = req->home,
		.run = d->run,
		.ds = req->ds,
		.interval_start_us = req->interval_start_us,
		.interval_end_us = req->interval_end_us,
		.zone = req->zone,
		.params = params,
		.outputs = json_object() };
	d->progress.run = d->run;
	d->progress.run_id = d->run_id;
	d->job.prepared = &d->prepared;
	if (!d->job.outputs)
		return err_nomem(err);
	return job_prepare(&d->job, &d->prepared, err);
}

/* ---- settling ------------------------------------------------------------------------- */

/* Journals of this run's former supervisors, NULL-ended paths; the caller frees all. */
static char **find_journals(struct driver *d, struct err *err)
{
	char *dir_path = paths_journal_dir(d->req->home);
	char *prefix = paths_journal_prefix(
		d->req->dag->name, d->req->interval_start_us, d->req->interval_end_us);
	DIR *dir = dir_path ? opendir(dir_path) : NULL;
	char **list = calloc(1, sizeof *list);
	size_t n = 0;

	for (struct dirent *e; dir && prefix && list && (e = readdir(dir));) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		char *path = io_path_join(dir_path, e->d_name);
		char **grown = path ? reallocarray(list, n + 2, sizeof *list) : NULL;
		if (!grown || strcmp(path, d->journal_path) == 0) {
			free(path);
			list = grown ? grown : list;
			continue;
		}
		list = grown;
		list[n++] = path;
		list[n] = NULL;
	}
	if (dir)
		closedir(dir);
	free(dir_path);
	free(prefix);
	if (!list)
		err_nomem(err);
	return list;
}

static int wait_until_gone(struct driver *d, const char *path, struct err *err)
{
	struct err gone = { 0 };
	int fd = exec_journal_wait_fd(path, &gone);

	if (fd < 0)
		return 0;
	driver_tell(d, EVENT_RUN_SETTLING, -1,
		"an earlier invocation was killed, and its tasks still run: waiting for them "
		"(Ctrl-C stops them)");
	int rc = driver_loop_wait(d, fd, path, err);
	close(fd);
	return rc;
}

static bool in_flight(const struct store_result *attempts, int64_t token)
{
	for (size_t i = 0; i < attempts->n; i++)
		if (attempts->attempts[i].token == token)
			return true;
	return false;
}

/* What one journal knows of the attempts in flight. */
static int settle_journal(
	struct driver *d, const char *path, const struct store_result *attempts, struct err *err)
{
	struct exec_journal j = { 0 };
	struct err why = { 0 };

	if (wait_until_gone(d, path, err) < 0)
		return -1;
	if (exec_journal_read(path, &j, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		*err = why;
		return -1;
	}
	for (size_t i = 0; i < j.n; i++) {
		const struct exec_journal_entry *e = &j.entries[i];
		if (!e->ended && e->started)
			exec_reap_stray(e, NULL);
		if (e->ended && in_flight(attempts, e->token))
			driver_ended(d, &e->end);
	}
	exec_journal_release(&j);
	return 0;
}

/* A scheduler that knows of nothing but the attempts in flight. */
static int add_in_flight(struct driver *d, const struct store_result *attempts, struct err *err)
{
	const struct dag *dag = d->req->dag;
	struct task_init *init = calloc((size_t)dag->ntasks + 1, sizeof *init);

	if (!init)
		return err_nomem(err);
	for (int i = 0; i < dag->ntasks; i++) {
		init[i] = d->init[i];
		init[i].selected = init[i].clear = false;
	}
	for (size_t i = 0; i < attempts->n; i++) {
		const struct task *t = dag_find(dag, attempts->attempts[i].task);
		if (t)
			init[t->index].token = attempts->attempts[i].token;
	}
	const struct run_init run = {
		.run_id = d->run_id, .dag = d->req->dag, .state = d->progress.state, .tasks = init
	};
	int rc = sched_add_run(d->sched, &run, clock_now_us(), err);
	free(init);
	return rc;
}

static int settle(
	struct driver *d, const struct store_result *attempts, char **journals, struct err *err)
{
	if (add_in_flight(d, attempts, err) < 0)
		return -1;
	for (size_t i = 0; journals[i]; i++)
		if (settle_journal(d, journals[i], attempts, err) < 0)
			return -1;
	/* Nobody knows of the others: never started, or gone with their supervisor. */
	for (size_t i = 0; i < attempts->n; i++) {
		const struct exec_end lost = { .token = attempts->attempts[i].token,
			.outcome = OUTCOME_LOST,
			.exit_status = -1 };
		driver_ended(d, &lost);
	}
	if (d->failed) {
		*err = d->err;
		return -1;
	}
	return driver_commit_only(d, err);
}

int driver_settle(struct driver *d, struct err *err)
{
	struct store_result attempts = { 0 };
	char **journals = find_journals(d, err);
	int rc = journals ? store_attempts_in_flight(d->store, d->run_id, &attempts, err) : -1;

	if (rc == 0 && (attempts.n > 0 || journals[0]))
		rc = settle(d, &attempts, journals, err);
	sched_drop_run(d->sched, d->run_id);
	/* What they knew is in the store now. */
	for (size_t i = 0; journals && journals[i]; i++) {
		if (rc == 0)
			unlink(journals[i]);
		free(journals[i]);
	}
	free(journals);
	store_result_release(&attempts);
	return rc;
}
