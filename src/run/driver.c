#include "run/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/model.h"
#include "operators/operators.h"
#include "run/driver_impl.h"
#include "run/paths.h"

enum { SCRATCH_MAX = 64 << 20 };

static int fork_supervisor(struct driver *d, struct err *err)
{
	const struct run_request *req = d->req;
	char *dir = paths_journal_dir(req->home);
	char *prefix =
		paths_journal_prefix(req->dag->name, req->interval_start_us, req->interval_end_us);
	int n = -1;

	if (dir && prefix)
		n = asprintf(&d->journal_path, "%s/%s%d.journal", dir, prefix, (int)getpid());
	free(dir);
	free(prefix);
	if (n < 0) {
		d->journal_path = NULL;
		return err_nomem(err);
	}
	const struct exec_local_config config = { .journal_path = d->journal_path,
		.run_operator = operator_main };
	return exec_local_new(&d->exec, &config, err);
}

static int load_tasks(struct driver *d, struct err *err)
{
	struct store_result rows = { 0 };
	int rc = store_tasks(d->store, d->run_id, &rows, err);

	if (rc == 0)
		rc = driver_progress_init(d, &rows, err);
	store_result_release(&rows);
	return rc;
}

/* The run as it is now, the former invocation's attempts settled, goes to the scheduler. */
static int start_run(struct driver *d, struct err *err)
{
	if (load_tasks(d, err) < 0)
		return -1;
	driver_tell(d, EVENT_RUN_STARTED, -1, NULL);
	const struct run_init init = { .run_id = d->run_id,
		.dag = d->req->dag,
		.state = d->progress.state,
		.tasks = d->init,
		.ignore_needs = d->req->only != NULL };
	return sched_add_run(d->sched, &init, driver_now_us(), err);
}

static void say_unmet_needs(struct driver *d)
{
	const struct dag *dag = d->req->dag;
	char text[512];

	for (int i = 0; d->req->only && i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		for (int j = 0; d->init[i].selected && j < t->nneeds; j++) {
			const struct task_init *need = &d->init[t->needs[j]];
			if (need->selected || need->state == TASK_SUCCESS)
				continue;
			snprintf(text, sizeof text,
				"%s needs %s, which is %s for this interval; it runs all the same, "
				"because of --only",
				t->name, dag->tasks[t->needs[j]].name,
				task_state_name(need->state));
			driver_tell(d, EVENT_NOTE, i, text);
		}
	}
}

static int carry_out(struct driver *d, struct err *err)
{
	const struct sched_config config = { .max_running = d->req->jobs,
		.seed = (uint64_t)clock_now_us() ^ (uint64_t)getpid() << 40 };

	if (fork_supervisor(d, err) < 0 || driver_open(d, err) < 0 || driver_loop_init(d, err) < 0)
		return -1;
	d->sched = sched_new(&config);
	if (!d->sched)
		return err_nomem(err);
	d->settling = true;
	if (load_tasks(d, err) < 0 || driver_settle(d, err) < 0 || start_run(d, err) < 0)
		return -1;
	d->settling = false;
	say_unmet_needs(d);
	if (d->nsignals > 0)
		sched_cancel_run(d->sched, d->run_id, d->nsignals > 1, driver_now_us());
	return driver_loop(d, err);
}

/* With --only, what was asked for is judged, and not the rest of the run. */
static enum run_state verdict(const struct driver *d)
{
	enum run_state state = sched_run_state(d->sched, d->run_id);
	bool failed = false;

	if (!d->req->only || state == RUN_CANCELLED)
		return state;
	for (int i = 0; i < d->req->dag->ntasks; i++) {
		enum task_state t = d->progress.tasks[i].state;
		bool good = t == TASK_SUCCESS || t == TASK_SKIPPED;
		failed = failed || (d->progress.tasks[i].selected && !good);
	}
	return failed ? RUN_FAILED : RUN_SUCCESS;
}

static void finish(struct driver *d, struct run_outcome *ret)
{
	ret->state = verdict(d);
	ret->interrupted = d->nsignals > 0;
	d->progress.state = ret->state;
	driver_tell(d, EVENT_RUN_FINISHED, -1, NULL);
	char *work = paths_work_dir(d->req->home, d->run);
	if (work)
		rmdir(work); /* empty, unless a task left something */
	free(work);
}

static void release(struct driver *d)
{
	driver_loop_release(d);
	if (d->store && d->run_id)
		store_run_close(d->store, d->run_id, d->epoch, NULL);
	store_close(d->store);
	exec_free(d->exec);
	sched_free(d->sched);
	driver_progress_release(d);
	json_decref(d->job.params);
	json_decref(d->job.outputs);
	job_prepared_release(&d->prepared);
	arena_release(&d->scratch);
	free(d->checks);
	for (size_t i = 0; i < d->nspent; i++)
		free(d->spent[i]);
	free(d->spent);
	free(d->unstarted);
	free(d->init);
	free(d->run);
	free(d->journal_path);
}

int driver_run(const struct run_request *req, struct run_outcome *ret, struct err *err)
{
	struct driver d = { .req = req };

	arena_init(&d.scratch, SCRATCH_MAX);
	d.progress = (struct run_progress){ .dag = req->dag,
		.ds = req->ds,
		.interval_start_us = req->interval_start_us,
		.interval_end_us = req->interval_end_us,
		.version = req->dag->hash,
		.partial = req->only != NULL,
		.jobs = req->jobs,
		.started_us = clock_now_us() };
	int rc = paths_make_home(req->home, err);
	if (rc == 0)
		rc = carry_out(&d, err);
	if (rc == 0)
		finish(&d, ret);
	release(&d);
	return rc;
}
