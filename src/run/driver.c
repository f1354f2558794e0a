#include "run/driver.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "conf/config.h"
#include "core/model.h"
#include "operators/operators.h"
#include "run/breakers.h"
#include "run/driver_impl.h"
#include "run/engine_impl.h"
#include "run/paths.h"
#include "run/pools.h"

#define TICK_US (100 * US_PER_MS)

enum { TROUBLE_AGAIN_S = 60 };

/* ---- what the engine tells ------------------------------------------------------------ */

/* What became of an attempt that a former invocation had started. */
static void tell_settled(struct driver *d, const struct change *c)
{
	enum outcome o = c->attempt.outcome;
	const char *why = o != OUTCOME_SUCCESS && c->attempt.error ? c->attempt.error : NULL;
	char text[512];

	snprintf(text, sizeof text, "%s: try %d of the earlier invocation: %s%s%s", c->task,
		c->attempt.try, outcome_name(o), why ? ": " : "", why ? why : "");
	driver_tell(d, EVENT_NOTE, c->task_index, text);
}

static void on_change(void *arg, struct active_run *run, const struct change *c)
{
	struct driver *d = arg;

	if (run != d->run) {
		driver_child_changed(d, run, c);
		return;
	}
	driver_sla_change(d, c);
	if (!d->engine.settling)
		driver_tell_change(d, c);
	else if (c->kind == CHANGE_END)
		tell_settled(d, c);
	else if (c->kind == CHANGE_RUN)
		d->progress.state = c->run.to;
	driver_alerts_told(d);
}

static void on_breaker(void *arg, const struct change *c)
{
	char text[512];

	struct driver *d = arg;

	if (c->breaker.from == c->breaker.to)
		return;
	d->told_breaker = NULL;
	snprintf(text, sizeof text, "circuit breaker %s is %s: %s", c->breaker.name,
		c->breaker.to == BREAKER_HALF_OPEN ? "half-open"
						   : breaker_state_name(c->breaker.to),
		reason_text(c->reason));
	driver_tell(d, EVENT_NOTE, -1, text);
	driver_alerts_told(d);
}

static void on_idle(void *arg, struct active_run *run)
{
	struct driver *d = arg;

	if (run != d->run)
		engine_drop(&d->engine, run, true);
	else
		d->idle = true;
	event_base_loopbreak(d->engine.base);
}

static void on_store_trouble(void *arg, const struct err *err)
{
	const struct timeval again = { .tv_sec = TROUBLE_AGAIN_S };
	struct driver *d = arg;

	if (!err) {
		event_del(d->on_again);
		driver_tell(d, EVENT_NOTE, -1, "the store can be written again; going on");
		return;
	}
	snprintf(d->trouble, sizeof d->trouble,
		"%.500s; waiting, tried again until it can be written (Ctrl-C ends)", err->msg);
	driver_tell(d, EVENT_NOTE, -1, d->trouble);
	event_add(d->on_again, &again);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;

	(void)fd;
	(void)what;
	driver_tell(d, EVENT_NOTE, -1, d->trouble);
}

static void on_broken(void *arg, const struct err *err)
{
	struct driver *d = arg;

	if (!d->failed) {
		d->err = *err;
		if (err->code == ERR_IO)
			err_context(&d->err, "run the same command again to go on");
	}
	d->failed = true;
	event_base_loopbreak(d->engine.base);
}

static void on_lost(void *arg, struct active_run *run)
{
	struct driver *d = arg;
	struct err err = { 0 };

	/* Whoever has it now brings it to its end, which its task waits for. */
	if (run != d->run)
		return;
	err_set(&err, ERR_FENCED,
		"run %s has passed on to another owner, because this process did not renew its "
		"lease for too long; its tasks were stopped here",
		run->name);
	d->run = NULL;
	on_broken(d, &err);
}

static void on_replaced(void *arg, const struct err *why)
{
	char text[640];

	snprintf(text, sizeof text, "%.500s: another one was started; lost tasks are tried again",
		why->msg);
	driver_tell(arg, EVENT_NOTE, -1, text);
}

/* ---- signals and ticks ---------------------------------------------------------------- */

/* The store is out of reach, and who waits for it has waited enough. */
static void leave(struct driver *d)
{
	err_set(&d->err, ERR_INTERRUPTED,
		"left before the store could be written: what became of the tasks is in the "
		"supervisor's journal; run the same command again to go on");
	d->failed = true;
	event_base_loopbreak(d->engine.base);
}

/* It, and the runs that its tasks have made. */
static void cancel_all(struct driver *d)
{
	for (const struct active_run *r = d->engine.runs; r; r = r->hh.next)
		sched_cancel_run(d->engine.sched, r->id, d->nsignals > 1, clock_now_us());
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct driver *d = arg;

	(void)sig;
	(void)what;
	d->nsignals++;
	d->progress.stopping = true;
	driver_tell(d, EVENT_RUN_STOPPING, -1,
		d->nsignals == 1 ? "tasks are asked to end; once more to kill them"
		: d->engine.retry_us
			? "killing what still runs; once more to leave without the store"
			: "killing what still runs");
	if (d->engine.settling || !d->run)
		return;
	if (d->nsignals > 1 && d->engine.retry_us)
		engine_kill_now(&d->engine, d->run);
	if (d->nsignals > 2 && d->engine.retry_us) {
		leave(d);
		return;
	}
	cancel_all(d);
	engine_step(&d->engine);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	driver_tell(arg, EVENT_TICK, -1, NULL);
}

static int watch_signals(struct driver *d, struct err *err)
{
	const struct timeval tick = { .tv_usec = TICK_US };

	d->on_int = evsignal_new(d->engine.base, SIGINT, on_signal, d);
	d->on_term = evsignal_new(d->engine.base, SIGTERM, on_signal, d);
	d->on_tick = event_new(d->engine.base, -1, EV_PERSIST, on_tick, d);
	d->on_again = event_new(d->engine.base, -1, EV_PERSIST, on_again, d);
	d->on_child = event_new(d->engine.base, -1, 0, driver_take_children, d);
	if (!d->on_int || !d->on_term || !d->on_tick || !d->on_again || !d->on_child)
		return err_nomem(err);
	if (event_add(d->on_int, NULL) < 0 || event_add(d->on_term, NULL) < 0)
		return err_set(err, ERR_IO, "cannot watch for signals");
	if (d->req->observer && d->req->observer->wants_ticks)
		event_add(d->on_tick, &tick);
	return 0;
}

/* ---- settling ------------------------------------------------------------------------- */

/* A moment in which signals are heard. */
static int wait_a_moment(struct driver *d, struct err *err)
{
	const struct timeval moment = { .tv_sec = 1 };

	if (event_base_loopexit(d->engine.base, &moment) < 0 ||
		event_base_dispatch(d->engine.base) < 0)
		return err_set(err, ERR_IO, "the event loop failed");
	if (d->nsignals > 0)
		return err_set(err, ERR_INTERRUPTED,
			"left before it was known what became of the tasks of an earlier "
			"invocation; run the same command again to go on");
	if (d->failed)
		*err = d->err;
	return d->failed ? -1 : 0;
}

static void tell_running(struct driver *d, int running)
{
	char text[160];

	if (running == 0)
		return;
	snprintf(text, sizeof text,
		"%d task%s of an earlier invocation, which was killed or lost its lease, still "
		"run%s: carrying on with %s",
		running, running > 1 ? "s" : "", running > 1 ? "" : "s",
		running > 1 ? "them" : "it");
	driver_tell(d, EVENT_RUN_SETTLING, -1, text);
}

/* What an earlier, killed invocation left in flight: it goes on, or is settled. */
static int settle(struct driver *d, struct err *err)
{
	struct err why = { 0 };
	bool told = false;
	int running;

	while ((running = engine_settle(&d->engine, d->run, &why)) < 0 && why.code == ERR_TIMEOUT) {
		if (!told)
			driver_tell(d, EVENT_RUN_SETTLING, -1, why.msg);
		told = true;
		if (wait_a_moment(d, err) < 0)
			return -1;
		err_clear(&why);
	}
	if (running < 0) {
		*err = why;
		return -1;
	}
	tell_running(d, running);
	former_tidy(&d->engine, false);
	return 0;
}

/* ---- the run -------------------------------------------------------------------------- */

/* The supervisor's journals: named after the run. In a container the pid alone may be the same
 * every time. */
static int init_executors(struct driver *d, struct err *err)
{
	const struct run_request *req = d->req;
	char *dir = paths_journal_dir(req->home), *file = NULL;
	char *prefix =
		paths_journal_prefix(req->dag->name, req->interval_start_us, req->interval_end_us);
	int rc = -1;

	if (!dir || !prefix ||
		asprintf(&file, "%s%d-%" PRId64, prefix, (int)getpid(), clock_now_us()) < 0) {
		file = NULL;
		err_nomem(err);
	} else {
		const struct exec_local_provider_config config = {
			.home = req->home, .dir = dir, .file = file, .run_operator = operator_main
		};
		rc = exec_local_provider_init(&d->provider, &config, &d->executors, err);
	}
	free(dir);
	free(prefix);
	free(file);
	return rc;
}

static int load_tasks(struct driver *d, struct err *err)
{
	struct store_result rows = { 0 };
	int rc = store_tasks(d->engine.store, d->run->id, &rows, err);

	if (rc == 0)
		rc = driver_progress_init(d, &rows, err);
	store_result_release(&rows);
	return rc;
}

static void say_unmet_needs(struct driver *d)
{
	const struct dag *dag = d->req->dag;
	char text[512], state[32];

	for (int i = 0; d->req->only && i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		for (int j = 0; d->init[i].selected && j < t->nneeds; j++) {
			const struct task_init *need = &d->init[t->needs[j]];
			if (need->selected || need->state == TASK_SUCCESS)
				continue;
			snprintf(state, sizeof state, "is %s", task_state_name(need->state));
			snprintf(text, sizeof text,
				"%s needs %s, which %s for this interval; it runs all the same, "
				"because of --only",
				t->name, dag->tasks[t->needs[j]].name,
				need->state == TASK_NONE ? "has not run" : state);
			driver_tell(d, EVENT_NOTE, i, text);
		}
	}
}

static int begin(struct driver *d, struct err *err)
{
	const struct engine_config config = { .home = d->req->home,
		.executors = &d->executors,
		.max_running = d->req->jobs,
		.alerts = config_alerts(d->req->config),
		.maker = { d, driver_make_child },
		.listener = { .arg = d,
			.change = on_change,
			.breaker = on_breaker,
			.idle = on_idle,
			.store_trouble = on_store_trouble,
			.broken = on_broken,
			.lost = on_lost,
			.replaced = on_replaced } };

	if (init_executors(d, err) < 0 || engine_init(&d->engine, &config, err) < 0 ||
		pools_apply(d->engine.sched, d->req->config, err) < 0 ||
		breakers_apply(d->engine.sched, d->req->config, err) < 0 ||
		watch_signals(d, err) < 0 || driver_open(d, err) < 0 || load_tasks(d, err) < 0 ||
		settle(d, err) < 0)
		return -1;
	/* What was settled has changed the tasks. */
	return load_tasks(d, err) < 0 ? -1 : driver_sla_init(d, err);
}

/* What it began is seen through, also where its task waits no longer. */
static bool has_children(const struct driver *d)
{
	return HASH_COUNT(d->engine.runs) > 1 || (d->nwanted > 0 && !d->progress.stopping);
}

static int carry_out(struct driver *d, struct err *err)
{
	struct engine *e = &d->engine;
	struct run_init init = { .tasks = d->init, .ignore_needs = d->req->only != NULL };

	driver_tell(d, EVENT_RUN_STARTED, -1, NULL);
	say_unmet_needs(d);
	if (engine_start(e, d->run, &init, err) < 0)
		return -1;
	driver_progress_instances(d);
	if (d->nsignals > 0)
		sched_cancel_run(e->sched, d->run->id, d->nsignals > 1, clock_now_us());
	engine_step(e);
	/* A run in which nothing is to be done never becomes idle: it is. What the store has
	 * refused so far is to be done. */
	while (!d->failed &&
		(has_children(d) || (!d->idle && (e->dirty || e->retry_us ||
							 !sched_run_idle(e->sched, d->run->id)))))
		if (event_base_loop(e->base, EVLOOP_ONCE) < 0)
			return err_set(err, ERR_IO, "the event loop failed");
	if (d->failed)
		*err = d->err;
	return d->failed ? -1 : 0;
}

/* With --only, what was asked for is judged, and not the rest of the run. */
static enum run_state verdict(const struct driver *d)
{
	enum run_state state = d->run->state;
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
	/* A run that was there before may have been killed: what its supervisors left. */
	former_tidy(&d->engine, !d->progress.created);
	ret->state = verdict(d);
	ret->interrupted = d->nsignals > 0;
	d->progress.state = ret->state;
	driver_tell(d, EVENT_RUN_FINISHED, -1, NULL);
	driver_alerts_finish(d);
}

static void release(struct driver *d)
{
	engine_free_event(d->on_int);
	engine_free_event(d->on_term);
	engine_free_event(d->on_tick);
	engine_free_event(d->on_again);
	driver_sla_release(d);
	engine_free_event(d->on_child);
	d->on_child = NULL;
	driver_alerts_release(d);
	engine_release(&d->engine);
	driver_children_release(d);
	driver_progress_release(d);
	free(d->init);
	free(d->name);
	exec_local_provider_release(&d->provider);
}

int driver_run(const struct run_request *req, struct run_outcome *ret, struct err *err)
{
	struct driver d = { .req = req };

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
		rc = begin(&d, err);
	if (rc == 0)
		rc = carry_out(&d, err);
	if (rc == 0)
		finish(&d, ret);
	release(&d);
	return rc;
}
