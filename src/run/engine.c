#include "run/engine.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/units.h"
#include "core/model.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "run/breakers.h"
#include "run/engine_impl.h"
#include "run/paths.h"
#include "run/restore.h"

enum { SCRATCH_MAX = 64 << 20, STORE_PATIENCE_MS = 500 };

/* ---- beginning and end ---------------------------------------------------------------- */

static int open_store(struct engine *e, struct err *err)
{
	if (e->config.store) {
		e->store = e->config.store;
		return 0;
	}
	char *path = paths_store(e->config.home);
	int rc = path ? store_open_sqlite(&e->store, path, STORE_CREATE, err) : err_nomem(err);

	free(path);
	return rc;
}

static int set_self(struct engine *e, struct err *err)
{
	if (!e->config.self)
		return owner_self(&e->self, err);
	e->self = *e->config.self;
	return 0;
}

int engine_init(struct engine *e, const struct engine_config *config, struct err *err)
{
	const struct exec_provider *p = config->executors;
	const struct sched_config sched = { .max_running = config->max_running,
		.max_looks = config->max_looks,
		.seed = (uint64_t)clock_now_us() ^ (uint64_t)getpid() << 40 };

	*e = (struct engine){ .config = *config };
	arena_init(&e->scratch, SCRATCH_MAX);
	arena_init(&e->incident_arena, SCRATCH_MAX);
	/* The supervisor first: it shares little memory, and neither a database nor a loop. */
	if (p->begin(p->arg, &e->exec, err) < 0 || open_store(e, err) < 0 || set_self(e, err) < 0)
		return -1;
	e->sched = sched_new(&sched);
	if (!e->sched)
		return err_nomem(err);
	return engine_loop_init(e, err);
}

static void free_run(struct active_run *r)
{
	json_decref(r->job.params);
	json_decref(r->job.outputs);
	job_prepared_release(&r->prepared);
	dag_unref(r->dag);
	free(r->name);
	free(r->ds);
	free(r);
}

void engine_forget_unstarted(struct engine *e)
{
	for (size_t i = 0; i < e->nunstarted; i++)
		control_end_release(&e->unstarted[i].end);
	e->nunstarted = 0;
}

static void free_all(struct engine *e)
{
	former_release(e);
	engine_outside_release(e);
	free(e->doomed);
	sched_free(e->sched);
	engine_loop_release(e);
	if (e->base)
		event_base_free(e->base);
	arena_release(&e->scratch);
	arena_release(&e->incident_arena);
	free(e->incidents);
	engine_release_datasets(e);
	for (size_t i = 0; i < e->nspent; i++)
		free(e->spent[i].path);
	free(e->spent);
	free(e->checks);
	free(e->late);
	engine_forget_unstarted(e);
	engine_forget_looks(e, NULL);
	free(e->found);
	free(e->requests);
	free(e->unstarted);
	free(e->acks);
	free(e->leases);
	free(e->idle);
	*e = (struct engine){ 0 };
}

void engine_release(struct engine *e)
{
	struct active_run *r, *next;

	engine_end_looks(e);
	HASH_ITER (hh, e->runs, r, next)
		engine_drop(e, r, true);
	if (!e->config.store)
		store_close(e->store);
	/* Ends that were not recorded are not acknowledged: the supervisor's journal keeps them. */
	exec_free(e->exec);
	free_all(e);
}

void engine_crash(struct engine *e)
{
	struct active_run *r, *next;

	HASH_ITER (hh, e->runs, r, next) {
		HASH_DEL(e->runs, r);
		free_run(r);
	}
	exec_abandon(e->exec);
	if (!e->config.store)
		store_close(e->store);
	free_all(e);
}

/* ---- runs ----------------------------------------------------------------------------- */

int engine_make_work_dir(const struct engine *e, const char *name, struct err *err)
{
	char *dir = paths_work_dir(e->config.home, name);
	int rc = 0;

	if (!dir)
		rc = err_nomem(err);
	else if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		rc = io_mkdirs(dir, 0700, err);

	free(dir);
	return rc;
}

static const struct zone *zone_of(const struct engine_take *t)
{
	if (t->zone)
		return t->zone;
	if (t->dag->schedule && t->dag->schedule->zone)
		return t->dag->schedule->zone;
	return zone_utc();
}

int engine_open_wanted(struct engine *e, const struct run_row *row, const char *text,
	int64_t *ret_epoch, struct err *err)
{
	int64_t now = clock_now_us(), run_id;
	const struct run_open open = { .key = { row->dag, row->interval_start_us,
					       row->interval_end_us },
		.name = row->name,
		.long_name = row->name,
		.ds = row->ds,
		.zone = row->zone,
		.trigger = row->trigger,
		.dag_path = row->dag_path,
		.dag_dir = row->dag_dir,
		.version = row->version,
		.text = text,
		.owner = e->self,
		.lease_until_us = now + ENGINE_LEASE_US,
		.now_us = now,
		.wanted = true,
		.if_wanted = true,
		.only = row->only,
		.backfill_id = row->backfill_id };
	bool created;

	return store_run_open(e->store, &open, &run_id, ret_epoch, &created, err);
}

struct active_run *engine_take(struct engine *e, const struct engine_take *t, struct err *err)
{
	struct active_run *r = calloc(1, sizeof *r);

	if (!r) {
		err_nomem(err);
		return NULL;
	}
	r->id = t->run_id;
	r->epoch = t->epoch;
	r->state = t->state;
	r->cancelling = t->cancelling;
	r->data = t->data;
	r->dag = dag_ref(t->dag);
	r->name = strdup(t->name);
	r->ds = strdup(t->ds);
	r->job = (struct job_context){ .dag = r->dag,
		.config = t->config,
		.home = e->config.home,
		.run = r->name,
		.ds = r->ds,
		.interval_start_us = t->interval_start_us,
		.interval_end_us = t->interval_end_us,
		.zone = zone_of(t),
		.params = json_incref(t->params),
		.outputs = json_object(),
		.prepared = &r->prepared };
	if (!r->name || !r->ds || !r->job.outputs) {
		err_nomem(err);
		goto fail;
	}
	if (engine_make_work_dir(e, r->name, err) < 0 ||
		job_prepare(&r->job, &r->prepared, err) < 0)
		goto fail;
	HASH_ADD(hh, e->runs, id, sizeof r->id, r);
	return r;
fail:
	free_run(r);
	return NULL;
}

struct active_run *engine_find(const struct engine *e, int64_t run_id)
{
	struct active_run *r;

	HASH_FIND(hh, e->runs, &run_id, sizeof run_id, r);
	return r;
}

/* Whether something of the run is in the store beside the states of its tasks: outputs, or
 * instances, which may wait for a new list. */
static bool has_done_work(const struct run_init *init)
{
	for (int i = 0; init->tasks && i < init->dag->ntasks; i++) {
		const struct task_init *t = &init->tasks[i];
		if (init->dag->tasks[i].foreach || (t->state == TASK_SUCCESS && !t->clear))
			return true;
	}
	return false;
}

/* Its outputs, and the instances of mapped tasks. */
static int start_from_store(
	struct engine *e, struct active_run *r, const struct run_init *init, struct err *err)
{
	struct store_result rows = { 0 };
	struct run_init run = *init;
	struct err why = { 0 };

	if (store_tasks(e->store, r->id, &rows, err) < 0)
		return -1;
	restore_outputs(&rows, r->dag, init, r->job.outputs);
	struct instance_init *instances =
		restore_instances(&rows, r->dag, init->tasks, &run.ninstances, &why);
	run.instances = instances;
	int rc = why.code == ERR_NONE ? sched_add_run(e->sched, &run, clock_now_us(), &why) : -1;
	if (rc < 0 && err)
		*err = why;
	free(instances);
	store_result_release(&rows);
	return rc;
}

int engine_start(struct engine *e, struct active_run *r, struct run_init *init, struct err *err)
{
	/* From here on there are tasks to be stopped, and people who may ask for it. */
	store_set_patience(e->store, STORE_PATIENCE_MS);
	init->run_id = r->id;
	init->dag = r->dag;
	init->state = r->state;
	if (breakers_load(e->sched, e->store, r->dag, err) < 0)
		return -1;
	init->cancelling = r->cancelling != 0;
	init->killing = r->cancelling == RUN_KILLED;
	int rc = has_done_work(init) ? start_from_store(e, r, init, err)
				     : sched_add_run(e->sched, init, clock_now_us(), err);
	/* A former owner was killed while it did so. */
	if (rc == 0 && r->cancelling && !init->settling)
		sched_cancel_run(e->sched, r->id, init->killing, clock_now_us());
	return rc;
}

static void forget_idle(struct engine *e, const struct active_run *r)
{
	for (size_t i = 0; i < e->nidle; i++)
		if (e->idle[i] == r)
			e->idle[i] = NULL;
}

void engine_drop(struct engine *e, struct active_run *r, bool close)
{
	former_forget_run(e, r);
	engine_forget_looks(e, r);
	sched_drop_run(e->sched, r->id);
	engine_outside_forget(e, r->id);
	forget_idle(e, r);
	engine_forget_requests(e, r->id);
	engine_forget_waits(e, r->id);
	/* A store that cannot be written is not waited for: a dead owner is recognised. */
	if (close && !r->given_up && e->store && !e->retry_us)
		store_run_close(e->store, r->id, r->epoch, NULL);
	char *work = paths_work_dir(e->config.home, r->name);
	if (work)
		rmdir(work); /* empty, unless a task left something or is in flight */
	free(work);
	HASH_DEL(e->runs, r);
	free_run(r);
}

void engine_halt(struct engine *e, bool hard)
{
	const unsigned how = EXEC_STOP_LOST | (hard ? EXEC_STOP_HARD : 0);
	struct active_run *r, *next;
	struct task_view view;

	e->halting = true;
	sched_halt(e->sched);
	HASH_ITER (hh, e->runs, r, next)
		for (int i = 0; sched_task_view(e->sched, r->id, i, &view); i++)
			if (view.state == TASK_RUNNING)
				exec_stop(former_exec_of(e, view.token), view.token, how, NULL);
	engine_stop_looks(e);
	engine_flush(e);
}
