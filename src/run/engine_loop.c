/* The engine's part of the loop: ends of attempts, timers, and what to do about faults. */
#include <event2/event.h>

#include "base/clock.h"
#include "base/units.h"
#include "run/breakers.h"
#include "run/engine_impl.h"

#define RENEW_EVERY_US (10 * US_PER_SECOND)
#define COMMIT_AGAIN_US (500 * US_PER_MS)
#define DEATHS_APART_US US_PER_MINUTE
enum { ENDS_AT_ONCE = 64, DEATHS_MAX = 20, WARPS_AT_ONCE = 16 };

void engine_break(struct engine *e, const struct err *err)
{
	const struct engine_listener *l = &e->config.listener;

	if (e->failed && e->err.code == ERR_NONE)
		e->err = *err;
	else if (!e->failed)
		e->err = *err;
	e->failed = true;
	if (l->broken)
		l->broken(l->arg, &e->err);
}

/* A fault of the disk or a locked database may pass: nothing was done that is not recorded, so
 * trying the same commit again is safe. Fenced still: it was the store that could not say which run
 * has passed on. */
static bool may_pass(const struct err *err)
{
	return err->code == ERR_BUSY || err->code == ERR_STORE || err->code == ERR_IO ||
	       err->code == ERR_FENCED;
}

/* ---- stopping ahead of the store ------------------------------------------------------ */

bool engine_is_uncommitted(const struct engine *e, int64_t token)
{
	size_t n;
	const struct change *changes = sched_changes(e->sched, &n);

	for (size_t i = 0; i < n; i++)
		if ((changes[i].kind == CHANGE_START || changes[i].kind == CHANGE_LOOK) &&
			changes[i].attempt.token == token)
			return true;
	return false;
}

void engine_kill_now(struct engine *e, const struct active_run *r)
{
	size_t n;

	sched_cancel_run(e->sched, r->id, true, clock_now_us());
	const struct change *changes = sched_changes(e->sched, &n);
	for (size_t i = 0; i < n; i++) {
		int64_t token = changes[i].attempt.token;
		if (changes[i].kind == CHANGE_STOP && changes[i].run_id == r->id &&
			!engine_is_uncommitted(e, token)) /* else its stop comes behind its start */
			exec_stop(former_exec_of(e, token), token, EXEC_STOP_HARD, NULL);
	}
	engine_flush(e);
	engine_loop_arm(e);
}

/* ---- another owner -------------------------------------------------------------------- */

/* What was held for a commit that never comes. */
static void drop_held(struct engine *e, int64_t run_id)
{
	size_t n;
	const struct change *changes = sched_changes(e->sched, &n);

	for (size_t i = 0; i < n; i++)
		if ((changes[i].kind == CHANGE_START || changes[i].kind == CHANGE_LOOK) &&
			changes[i].run_id == run_id)
			exec_drop(e->exec, changes[i].attempt.token, NULL);
}

/* Find the runs that are no longer ours, and forget them. Their attempts go on: they are the new
 * owner's, which claims them, or has done so. */
static void drop_lost_runs(struct engine *e)
{
	const struct engine_listener *l = &e->config.listener;
	struct active_run *r, *next;

	HASH_ITER (hh, e->runs, r, next) {
		struct err err = { 0 };
		int64_t until = clock_now_us() + ENGINE_LEASE_US;
		if (store_run_renew(e->store, r->id, r->epoch, until, &err) == 0 ||
			err.code != ERR_FENCED)
			continue;
		/* Its ends, read or still to come, are the new owner's to record. */
		drop_held(e, r->id);
		engine_unsay(e, r->id);
		if (l->lost)
			l->lost(l->arg, r);
		engine_drop(e, r, false);
	}
}

static void store_trouble(struct engine *e, const struct err *err)
{
	const struct engine_listener *l = &e->config.listener;
	bool had = e->retry_us != 0;

	e->retry_us = err ? clock_mono_us() + COMMIT_AGAIN_US : 0;
	if (had != (err != NULL) && l->store_trouble)
		l->store_trouble(l->arg, err);
}

/* ---- executors -------------------------------------------------------------------------- */

/* Its tasks died with it. */
static int replace_own(struct engine *e, struct err *why)
{
	const struct engine_listener *l = &e->config.listener;
	struct err died = *why;

	engine_loop_unwatch(e);
	e->no_exec = true;
	err_clear(why);
	if (former_replace_own(e, why) < 0 || engine_loop_watch(e, why) < 0)
		return err_context(why, "the supervisor died, and no other can be started");
	e->no_exec = false;
	if (l->replaced)
		l->replaced(l->arg, &died);
	return 0;
}

/* A full disk, or a machine without room for a process: it may pass. Nothing starts meanwhile. */
static void cannot_replace(struct engine *e, const struct err *why)
{
	if (may_pass(why))
		store_trouble(e, why);
	else
		engine_break(e, why);
}

static void own_died(struct engine *e, struct err *why)
{
	int64_t now = clock_mono_us();

	e->deaths = now - e->died_us < DEATHS_APART_US ? e->deaths + 1 : 1;
	e->died_us = now;
	if (e->deaths > DEATHS_MAX) {
		err_context(why, "it died %d times in a row", e->deaths);
		engine_break(e, why);
	} else if (replace_own(e, why) < 0) {
		cannot_replace(e, why);
	}
}

static bool begin_again(struct engine *e)
{
	struct err err = { 0 };

	if (!e->no_exec || replace_own(e, &err) == 0)
		return true;
	cannot_replace(e, &err);
	return false;
}

int engine_read(struct engine *e, struct exec *x, struct err *err)
{
	struct exec_end ends[ENDS_AT_ONCE];
	int n;

	do {
		n = exec_read(x, ends, ENDS_AT_ONCE, err);
		for (int i = 0; i < n; i++)
			engine_ended(e, &ends[i]);
	} while (n == ENDS_AT_ONCE);
	return n < 0 ? -1 : 0;
}

static void read_own(struct engine *e)
{
	struct err err = { 0 };

	if (!e->no_exec && engine_read(e, e->exec, &err) < 0)
		own_died(e, &err);
}

static void read_all(struct engine *e)
{
	e->heard = false;
	read_own(e);
	former_read(e);
}

/* ---- stepping ------------------------------------------------------------------------- */

/* With the test's clock, time passes only where nothing else could happen. */
static bool warp(struct engine *e)
{
	int64_t wake = sched_wake_us(e->sched);

	if (!clock_is_fake() || sched_running(e->sched) > 0 || sched_looking(e->sched) > 0 ||
		wake == INT64_MAX || e->wanted || (e->limit_us && wake > e->limit_us))
		return false;
	clock_warp(wake);
	return true;
}

static int step_all(struct engine *e, struct err *err)
{
	size_t n;

	if (engine_take_late(e, err) < 0)
		return -1;
	do {
		if (engine_step_once(e, &n, err) < 0)
			return -1;
	} while (n > 0 && !e->failed);
	return 0;
}

/* Each try may wait for a lock: there is time for signals between two. */
static bool waits_for_store(const struct engine *e)
{
	return e->retry_us && (e->config.no_loop || !clock_is_fake()) &&
	       clock_mono_us() < e->retry_us;
}

void engine_step(struct engine *e)
{
	struct err err = { 0 };
	int rc, warps = 0;

	if (e->settling || e->failed)
		return;
	if (e->heard)
		read_all(e);
	if (waits_for_store(e) || !begin_again(e)) {
		engine_loop_arm(e);
		return;
	}
	do {
		rc = step_all(e, &err);
		if (rc < 0 && err.code == ERR_FENCED) {
			drop_lost_runs(e);
			rc = step_all(e, &err);
		}
		/* What waits without end warps without end: the loop hears signals in between. */
	} while (
		rc == 0 && !e->failed && warp(e) && (e->config.no_loop || ++warps < WARPS_AT_ONCE));
	if (e->failed)
		engine_break(e, &e->err);
	else if (rc < 0 && may_pass(&err))
		store_trouble(e, &err);
	else if (rc < 0)
		engine_break(e, &err);
	else
		store_trouble(e, NULL);
	engine_loop_arm(e);
}

void engine_poll(struct engine *e)
{
	if (e->failed)
		return;
	read_all(e);
	former_look_again(e);
	engine_step(e);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	engine_poll(arg);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct engine *e = arg;

	(void)fd;
	(void)what;
	if (engine_flush(e) > 0)
		event_add(e->on_write, NULL);
}

static void renew(struct engine *e)
{
	struct err err = { 0 };

	e->renew_us = clock_mono_us() + RENEW_EVERY_US;
	if (!e->runs)
		return;
	/* A run may have passed on of which nothing is to be committed: its attempts, which are
	 * another's now, would be waited for and hold their slots. */
	if (store_renew_owned(e->store, &e->self, clock_now_us() + ENGINE_LEASE_US, &err) == 0 &&
		engine_check_leases(e, &err) == 0 && breakers_follow(e, &err) == 0)
		return;
	if (err.code == ERR_FENCED) {
		drop_lost_runs(e);
		return;
	}
	store_trouble(e, &err);
	e->renew_us = e->retry_us;
}

void engine_tick(struct engine *e)
{
	if (!waits_for_store(e) && clock_mono_us() >= e->renew_us)
		renew(e);
	former_look_again(e);
	engine_step(e);
	engine_loop_arm(e);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	engine_tick(arg);
}

/* ---- arming --------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* How long until engine_tick is due; INT64_MAX: it is not. */
static int64_t delay_us(const struct engine *e)
{
	int64_t mono = clock_mono_us(), wake = sched_wake_us(e->sched);
	/* Without a run there is no lease to renew: an idle engine sleeps. */
	int64_t delay = e->runs ? e->renew_us - mono : INT64_MAX;

	if (e->retry_us)
		delay = e->retry_us - mono;
	else if (wake != INT64_MAX)
		delay = earlier(delay, wake - clock_now_us());
	if (former_wake_us(e) != INT64_MAX)
		delay = earlier(delay, former_wake_us(e) - mono);
	return delay < 0 ? 0 : delay;
}

int64_t engine_wake_us(const struct engine *e)
{
	int64_t delay = e->failed ? INT64_MAX : delay_us(e);

	return delay == INT64_MAX ? INT64_MAX : clock_now_us() + delay;
}

void engine_loop_arm(struct engine *e)
{
	if (e->failed)
		return;
	int64_t delay = delay_us(e);
	bool left = engine_flush(e) > 0;
	if (e->config.no_loop)
		return;
	if (left)
		event_add(e->on_write, NULL);
	if (delay == INT64_MAX) {
		event_del(e->on_timer);
		return;
	}
	const struct timeval tv = { .tv_sec = delay / US_PER_SECOND,
		.tv_usec = delay % US_PER_SECOND };
	event_add(e->on_timer, &tv);
}

int engine_loop_watch(struct engine *e, struct err *err)
{
	if (e->config.no_loop)
		return 0;
	e->on_read = event_new(e->base, exec_fd(e->exec), EV_READ | EV_PERSIST, on_read, e);
	e->on_write = event_new(e->base, exec_fd(e->exec), EV_WRITE, on_write, e);
	if (!e->on_read || !e->on_write)
		return err_nomem(err);
	if (event_add(e->on_read, NULL) < 0)
		return err_set(err, ERR_IO, "cannot watch the supervisor");
	return 0;
}

void engine_loop_unwatch(struct engine *e)
{
	engine_free_event(e->on_read);
	engine_free_event(e->on_write);
	e->on_read = e->on_write = NULL;
}

int engine_loop_init(struct engine *e, struct err *err)
{
	e->renew_us = clock_mono_us() + RENEW_EVERY_US;
	if (e->config.no_loop)
		return 0;
	e->base = event_base_new();
	if (!e->base)
		return err_set(err, ERR_IO, "cannot make an event loop");
	e->on_timer = evtimer_new(e->base, on_timer, e);
	if (!e->on_timer)
		return err_nomem(err);
	return engine_loop_watch(e, err);
}

void engine_free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void engine_loop_release(struct engine *e)
{
	engine_loop_unwatch(e);
	engine_free_event(e->on_timer);
	e->on_timer = NULL;
}
