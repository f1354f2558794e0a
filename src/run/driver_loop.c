/* The driver's loop: sleeps until an attempt ends, a signal comes or a timer is due. */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/units.h"
#include "run/driver_impl.h"

#define RENEW_EVERY_US (10 * US_PER_SECOND)
#define LEASE_US (30 * US_PER_SECOND)
#define TICK_US (100 * US_PER_MS)
#define COMMIT_AGAIN_US (500 * US_PER_MS)
enum { ENDS_AT_ONCE = 64 };

static void fail(struct driver *d, const struct err *err)
{
	if (!d->failed)
		d->err = *err;
	d->failed = true;
	event_base_loopbreak(d->base);
}

/* A fault of the disk or a locked database may pass: nothing was done that is not recorded, so
 * trying the same commit again is safe. That another owner has taken over does not pass. */
static bool may_pass(const struct err *err)
{
	return err->code == ERR_BUSY || err->code == ERR_STORE || err->code == ERR_IO;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Microseconds until something is due. */
static int64_t next_timer(const struct driver *d)
{
	int64_t now = clock_now_us(), mono = clock_mono_us();
	int64_t wake = sched_wake_us(d->sched);
	int64_t delay = d->renew_us - mono;

	if (d->req->observer && d->req->observer->wants_ticks)
		delay = earlier(delay, d->tick_us - mono);
	if (d->retry_us)
		return earlier(delay, d->retry_us - mono);
	return wake == INT64_MAX ? delay : earlier(delay, wake - now);
}

static void arm_timer(struct driver *d)
{
	int64_t delay = next_timer(d);

	if (delay < 0)
		delay = 0;
	const struct timeval tv = { .tv_sec = delay / US_PER_SECOND,
		.tv_usec = delay % US_PER_SECOND };
	event_add(d->on_timer, &tv);
}

/* With the test's clock, time passes only where nothing else could happen. */
static bool warp(struct driver *d)
{
	int64_t wake = sched_wake_us(d->sched);

	if (!clock_is_fake() || sched_running(d->sched) > 0 || wake == INT64_MAX)
		return false;
	clock_warp(wake);
	return true;
}

static void run_step(struct driver *d)
{
	struct err err = { 0 };

	do {
		if (driver_step(d, &err) < 0) {
			if (!may_pass(&err)) {
				fail(d, &err);
				return;
			}
			if (!d->retry_us)
				driver_tell(d, EVENT_NOTE, -1, err.msg);
			d->retry_us = clock_mono_us() + COMMIT_AGAIN_US;
			arm_timer(d);
			return;
		}
		if (d->retry_us)
			driver_tell(d, EVENT_NOTE, -1, "the store can be written again; going on");
		d->retry_us = 0;
	} while (!d->failed && !sched_run_idle(d->sched, d->run_id) && warp(d));
	if (d->failed) {
		fail(d, &d->err);
		return;
	}
	int left = exec_flush(d->exec, &err);
	if (left < 0)
		fail(d, &err);
	else if (left > 0)
		event_add(d->on_write, NULL);
	if (sched_run_idle(d->sched, d->run_id))
		event_base_loopbreak(d->base);
	arm_timer(d);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;
	struct exec_end ends[ENDS_AT_ONCE];
	struct err err = { 0 };
	int n;

	(void)fd;
	(void)what;
	do {
		n = exec_read(d->exec, ends, ENDS_AT_ONCE, &err);
		for (int i = 0; i < n; i++)
			driver_ended(d, &ends[i]);
	} while (n == ENDS_AT_ONCE);
	if (n < 0) {
		/* Its tasks died with it; the next invocation settles them as lost. */
		err_context(&err, "the supervisor is gone; run the same command again to go on");
		fail(d, &err);
		return;
	}
	run_step(d);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;
	struct err err = { 0 };

	(void)fd;
	(void)what;
	int left = exec_flush(d->exec, &err);
	if (left < 0)
		fail(d, &err);
	else if (left > 0)
		event_add(d->on_write, NULL);
}

static void on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct driver *d = arg;

	(void)sig;
	(void)what;
	d->nsignals++;
	d->progress.stopping = true;
	driver_tell(d, EVENT_RUN_STOPPING, -1,
		d->nsignals == 1 ? "stopping: tasks are asked to end; once more to kill them"
				 : "killing what still runs");
	if (d->settling)
		return;
	sched_cancel_run(d->sched, d->run_id, d->nsignals > 1, clock_now_us());
	run_step(d);
}

static void renew(struct driver *d)
{
	struct err err = { 0 };

	d->renew_us = clock_mono_us() + RENEW_EVERY_US;
	if (store_run_renew(d->store, d->run_id, d->epoch, clock_now_us() + LEASE_US, &err) == 0)
		return;
	if (!may_pass(&err))
		fail(d, &err);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;
	int64_t mono = clock_mono_us();

	(void)fd;
	(void)what;
	if (mono >= d->renew_us)
		renew(d);
	if (mono >= d->tick_us) {
		d->tick_us = mono + TICK_US;
		if (d->req->observer && d->req->observer->wants_ticks)
			driver_tell(d, EVENT_TICK, -1, NULL);
	}
	if (!d->failed && !d->settling)
		run_step(d);
}

int driver_loop_init(struct driver *d, struct err *err)
{
	d->base = event_base_new();
	if (!d->base)
		return err_set(err, ERR_IO, "cannot make an event loop");
	d->on_read = event_new(d->base, exec_fd(d->exec), EV_READ | EV_PERSIST, on_read, d);
	d->on_write = event_new(d->base, exec_fd(d->exec), EV_WRITE, on_write, d);
	d->on_int = evsignal_new(d->base, SIGINT, on_signal, d);
	d->on_term = evsignal_new(d->base, SIGTERM, on_signal, d);
	d->on_timer = evtimer_new(d->base, on_timer, d);
	if (!d->on_read || !d->on_write || !d->on_int || !d->on_term || !d->on_timer)
		return err_nomem(err);
	if (event_add(d->on_int, NULL) < 0 || event_add(d->on_term, NULL) < 0)
		return err_set(err, ERR_IO, "cannot watch for signals");
	d->renew_us = clock_mono_us() + RENEW_EVERY_US;
	return 0;
}

static void free_event(struct event *e)
{
	if (e)
		event_free(e);
}

void driver_loop_release(struct driver *d)
{
	free_event(d->on_read);
	free_event(d->on_write);
	free_event(d->on_int);
	free_event(d->on_term);
	free_event(d->on_timer);
	if (d->base)
		event_base_free(d->base);
	d->base = NULL;
}

int driver_loop(struct driver *d, struct err *err)
{
	if (event_add(d->on_read, NULL) < 0)
		return err_set(err, ERR_IO, "cannot watch the supervisor");
	run_step(d);
	while (!d->failed && !sched_run_idle(d->sched, d->run_id))
		if (event_base_loop(d->base, EVLOOP_ONCE) < 0)
			return err_set(err, ERR_IO, "the event loop failed");
	if (!d->failed)
		return 0;
	*err = d->err;
	return -1;
}

/* ---- waiting for a former supervisor -------------------------------------------------- */

static void on_gone(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

int driver_loop_wait(struct driver *d, int fd, const char *journal_path, struct err *err)
{
	bool gone = false;
	struct event *e = event_new(d->base, fd, EV_READ, on_gone, &gone);
	int stops = 0;

	if (!e || event_add(e, NULL) < 0) {
		free_event(e);
		return err_nomem(err);
	}
	while (!gone) {
		/* The lease is renewed while we wait, so a pass takes no longer than that. */
		const struct timeval tv = { .tv_sec = RENEW_EVERY_US / US_PER_SECOND };
		event_add(d->on_timer, &tv);
		event_base_loop(d->base, EVLOOP_ONCE);
		if (d->nsignals > stops) {
			stops = d->nsignals;
			exec_journal_stop(journal_path, stops > 1, NULL);
		}
		if (d->failed)
			break;
	}
	event_del(d->on_timer);
	free_event(e);
	if (d->failed) {
		*err = d->err;
		return -1;
	}
	return 0;
}
