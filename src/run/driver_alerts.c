/* A run in the foreground tells people: run/alerting.h in its loop, as long as there is something
 * to tell. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "core/alert.h"
#include "core/model.h"
#include "run/alerting.h"
#include "run/breakers.h"
#include "run/driver_impl.h"

/* LOOK_US: for answers. FAR_US: what is due later waits for the end of the run, or for a daemon. */
#define LOOK_US (250 * US_PER_MS)
#define FAR_US US_PER_MINUTE
enum { FINISH_MS = 10000 };

static void on_note(void *arg, const struct alerting_note *n)
{
	char text[1024];

	if (!n->bad)
		return;
	snprintf(text, sizeof text, "alert: %s%s%s", n->what, n->error ? ": " : "",
		n->error ? n->error : "");
	driver_tell(arg, EVENT_NOTE, -1, text);
}

static struct dag *find_dag(void *arg, const char *name)
{
	struct driver *d = arg;

	return strcmp(name, d->req->dag->name) == 0 ? dag_ref(d->req->dag) : NULL;
}

static json_t *stopped(void *arg, const char *breaker)
{
	const struct driver *d = arg;

	return breakers_stopped(d->engine.sched, d->engine.runs, breaker);
}

/* NULL afterwards: another process does it, or nobody can. */
static void begin(struct driver *d)
{
	const struct alerting_config config = { .home = d->req->home,
		.store = d->engine.store,
		.alerts = d->engine.config.alerts,
		.note = on_note,
		.find_dag = find_dag,
		.stopped = stopped,
		.arg = d };
	struct err err = { 0 };

	if (!d->alerting && alerting_new(&d->alerting, &config, &err) < 0 &&
		err.code != ERR_REFUSED)
		driver_tell(d, EVENT_NOTE, -1, err.msg);
}

static void arm(struct driver *d, int64_t in_us)
{
	const struct timeval tv = { .tv_sec = in_us / US_PER_SECOND,
		.tv_usec = in_us % US_PER_SECOND };

	event_add(d->on_alerts, &tv);
}

static void on_alerts(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;

	(void)fd;
	(void)what;
	begin(d);
	if (!d->alerting)
		return;
	int64_t now = clock_now_us();
	alerting_turn(d->alerting, now);
	int64_t wake = alerting_wake_us(d->alerting);
	if (alerting_is_busy(d->alerting)) {
		arm(d, LOOK_US);
	} else if (wake != INT64_MAX && wake - now < FAR_US) {
		arm(d, wake > now + LOOK_US ? wake - now : LOOK_US);
	} else {
		alerting_free(d->alerting);
		d->alerting = NULL;
		d->engine.told = false;
	}
}

/* By the test's clock a run is over before a real second has passed. */
void driver_alerts_told(struct driver *d)
{
	const struct alerts *alerts = d->engine.config.alerts;

	if (!alerts || !d->engine.told || clock_is_fake() || d->engine.settling)
		return;
	if (!d->on_alerts)
		d->on_alerts = event_new(d->engine.base, -1, 0, on_alerts, d);
	if (d->on_alerts && !event_pending(d->on_alerts, EV_TIMEOUT, NULL))
		arm(d, alerts->group_window_us);
}

void driver_alerts_finish(struct driver *d)
{
	if (!d->engine.config.alerts || (!d->engine.told && !d->alerting))
		return;
	begin(d);
	if (d->alerting)
		alerting_flush(d->alerting, FINISH_MS);
	driver_alerts_release(d);
}

void driver_alerts_release(struct driver *d)
{
	engine_free_event(d->on_alerts);
	d->on_alerts = NULL;
	alerting_free(d->alerting);
	d->alerting = NULL;
}
