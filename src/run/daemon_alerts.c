/* The daemon tells people: run/alerting.h in its loop. */
#include <stdio.h>

#include "base/clock.h"
#include "base/units.h"
#include "core/alert.h"
#include "core/model.h"
#include "run/breakers.h"
#include "run/daemon_impl.h"

static void on_note(void *arg, const struct alerting_note *n)
{
	struct daemon *d = arg;
	char count[32];

	snprintf(count, sizeof count, "%d", n->count);
	say(d, n->bad ? LEVEL_WARN : LEVEL_INFO, "alert", { "what", n->what },
		{ "route", n->route }, { "channel", n->channel },
		{ "incidents", n->count ? count : NULL }, { "error", n->error });
}

static struct dag *find_dag(void *arg, const char *name)
{
	struct daemon *d = arg;
	const struct catalog_dag *c = catalog_find(d->catalog, name);
	const struct config *config;

	return c ? catalog_load(d->catalog, c, &config, NULL) : NULL;
}

static json_t *stopped(void *arg, const char *breaker)
{
	const struct daemon *d = arg;

	return breakers_stopped(d->engine.sched, d->engine.runs, breaker);
}

/* Another process, a weir run at its end, may do it just now: tried again later. */
int daemon_alerts_init(struct daemon *d, struct err *err)
{
	const struct alerts *alerts = d->engine.config.alerts;
	const struct alerting_config config = { .home = d->config->home,
		.store = d->engine.store,
		.alerts = alerts,
		.note = on_note,
		.find_dag = find_dag,
		.stopped = stopped,
		.arg = d,
		.heartbeat = true };
	struct err why = { 0 };

	d->alerts_due = true;
	if (!alerts || alerting_new(&d->alerting, &config, &why) == 0)
		return 0;
	if (why.code == ERR_REFUSED)
		return 0;
	*err = why;
	return -1;
}

void daemon_alerts_set(struct daemon *d, const struct alerts *alerts)
{
	d->engine.config.alerts = alerts;
	d->alerts_due = true;
	if (d->alerting && alerts) {
		alerting_set(d->alerting, alerts);
	} else {
		alerting_free(d->alerting);
		d->alerting = NULL;
	}
}

static void on_answer(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *d = arg;

	(void)fd;
	(void)what;
	d->alerts_due = true;
	daemon_turn(d);
}

int daemon_alerts_watch(struct daemon *d, struct err *err)
{
	d->alert_fd = -1;
	d->on_alert_timer = event_new(d->engine.base, -1, 0, on_answer, d);
	return d->on_alert_timer ? 0 : err_nomem(err);
}

/* The sender is another one after it has died. */
static void watch_sender(struct daemon *d)
{
	int fd = alerting_fd(d->alerting);

	if (fd == d->alert_fd && d->on_alert)
		return;
	engine_free_event(d->on_alert);
	d->on_alert = NULL;
	d->alert_fd = fd;
	if (fd < 0)
		return;
	d->on_alert = event_new(d->engine.base, fd, EV_READ | EV_PERSIST, on_answer, d);
	if (d->on_alert)
		event_add(d->on_alert, NULL);
}

static void arm(struct daemon *d)
{
	int64_t wake = alerting_wake_us(d->alerting), left = wake - clock_now_us();

	/* The test's clock is moved on to it; but an answer comes in real time. */
	if (wake == INT64_MAX || clock_is_fake()) {
		event_del(d->on_alert_timer);
		return;
	}
	/* The clock on the wall may be set: looked at again in time. */
	if (left > US_PER_MINUTE)
		left = US_PER_MINUTE;
	if (left < 0)
		left = 0;
	const struct timeval tv = { .tv_sec = left / US_PER_SECOND,
		.tv_usec = left % US_PER_SECOND };
	event_add(d->on_alert_timer, &tv);
}

void daemon_alerts_turn(struct daemon *d)
{
	int64_t now = clock_now_us();

	if (!d->alerting && d->alerts_due)
		daemon_alerts_init(d, &(struct err){ 0 });
	if (!d->alerting)
		return;
	if (d->engine.told) {
		d->engine.told = false;
		alerting_told(d->alerting, now);
		arm(d);
	}
	if (!d->alerts_due && now < alerting_wake_us(d->alerting))
		return;
	d->alerts_due = false;
	alerting_turn(d->alerting, now);
	watch_sender(d);
	arm(d);
}

int64_t daemon_alerts_wake_us(const struct daemon *d)
{
	return d->alerting ? alerting_wake_us(d->alerting) : INT64_MAX;
}

void daemon_alerts_release(struct daemon *d)
{
	engine_free_event(d->on_alert);
	engine_free_event(d->on_alert_timer);
	alerting_free(d->alerting);
}
