/* A run in the foreground says when it, or a task of it, runs for too long. The rest of the SLAs,
 * which somebody has to watch who is always there, are the daemon's. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/units.h"
#include "core/request.h"
#include "core/sla.h"
#include "run/driver_impl.h"

struct driver_limit {
	int64_t at_us; /* INT64_MAX: it does not run, or has no limit, or that was said */
};

static const struct sla *sla_of(const struct driver *d, int i)
{
	const struct dag *dag = d->req->dag;

	return i < dag->ntasks ? dag->tasks[i].sla : dag->sla;
}

static void say_limit(struct driver *d, int i)
{
	const struct dag *dag = d->req->dag;
	const struct sla *s = sla_of(d, i);
	bool of_run = i == dag->ntasks, cancel = sla_does(s, SLA_CANCEL);
	char most[32], text[400];

	units_format_duration(s->runs_at_most_us, most, sizeof most);
	snprintf(text, sizeof text, "SLA missed: %s%.128s runs for more than %s%s",
		of_run ? "the run" : "task ", of_run ? "" : dag->tasks[i].name, most,
		cancel ? "; it is cancelled" : "");
	driver_tell(d, EVENT_NOTE, of_run ? -1 : i, text);
	const struct request q = { .verb = REQUEST_CANCEL,
		.tasks = &i,
		.ntasks = !of_run,
		.detail = "its SLA was missed: runs_at_most" };
	if (cancel && of_run)
		sched_cancel_run(d->engine.sched, d->run->id, false, clock_now_us());
	else if (cancel)
		sched_request(d->engine.sched, d->run->id, &q, clock_now_us(), NULL);
}

static void arm(struct driver *d)
{
	int64_t now = clock_now_us(), first = INT64_MAX;

	for (int i = 0; i <= d->req->dag->ntasks; i++)
		first = d->limits[i].at_us < first ? d->limits[i].at_us : first;
	event_del(d->on_limit);
	if (first == INT64_MAX)
		return;
	int64_t wait = first > now ? first - now : 0;
	event_add(d->on_limit, &(struct timeval){ .tv_sec = wait / US_PER_SECOND,
				       .tv_usec = wait % US_PER_SECOND });
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;

	(void)fd;
	(void)what;
	for (int i = 0; d->run && i <= d->req->dag->ntasks; i++) {
		if (d->limits[i].at_us > clock_now_us())
			continue;
		d->limits[i].at_us = INT64_MAX;
		say_limit(d, i);
	}
	if (d->run)
		engine_step(&d->engine);
	arm(d);
}

static void set(struct driver *d, int i, int64_t since_us)
{
	const struct sla *s = sla_of(d, i);

	if (s && sla_has(s, SLA_RUNS_AT_MOST) && s->runs_at_most_us < INT64_MAX - since_us)
		d->limits[i].at_us = since_us + s->runs_at_most_us;
}

int driver_sla_init(struct driver *d, struct err *err)
{
	const struct dag *dag = d->req->dag;
	bool any = false;

	for (int i = 0; i <= dag->ntasks; i++)
		any = any || (sla_of(d, i) && sla_has(sla_of(d, i), SLA_RUNS_AT_MOST));
	if (!any)
		return 0;
	d->limits = calloc((size_t)dag->ntasks + 1, sizeof *d->limits);
	d->on_limit = event_new(d->engine.base, -1, 0, on_limit, d);
	if (!d->limits || !d->on_limit)
		return err_nomem(err);
	for (int i = 0; i <= dag->ntasks; i++)
		d->limits[i].at_us = INT64_MAX;
	return 0;
}

void driver_sla_release(struct driver *d)
{
	engine_free_event(d->on_limit);
	free(d->limits);
}

void driver_sla_change(struct driver *d, const struct change *c)
{
	int run = d->req->dag->ntasks;

	if (!d->on_limit)
		return;
	if (c->kind == CHANGE_RUN && c->run.to == RUN_RUNNING)
		set(d, run, c->at_us);
	else if (c->kind == CHANGE_RUN)
		d->limits[run].at_us = INT64_MAX;
	else if (c->kind == CHANGE_START && c->task_index >= 0 && c->map_index < 0)
		set(d, c->task_index, c->at_us);
	else if (c->kind == CHANGE_END && c->task_index >= 0 && c->map_index < 0)
		d->limits[c->task_index].at_us = INT64_MAX;
	else
		return;
	arm(d);
}
