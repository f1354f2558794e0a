/* What the driver tells its observer, and the picture of the run it keeps for that. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/model.h"
#include "run/driver_impl.h"
#include "run/paths.h"

void driver_tell(struct driver *d, enum run_event_kind kind, int task, const char *text)
{
	struct observer *o = d->req->observer;
	const struct run_event e = {
		.kind = kind, .at_us = clock_now_us(), .task = task, .text = text
	};

	d->progress.now_us = e.at_us;
	if (o)
		o->event(o, &d->progress, &e);
}

static void set_text(const char **slot, char *text)
{
	free((char *)*slot);
	*slot = text;
}

static void count_states(struct driver *d, enum task_state from, enum task_state to)
{
	struct run_progress *p = &d->progress;

	p->nrunning += (to == TASK_RUNNING) - (from == TASK_RUNNING);
	p->ndone += task_state_is_final(to) - task_state_is_final(from);
	p->nfailed += (to == TASK_FAILED || to == TASK_UPSTREAM_FAILED) -
		      (from == TASK_FAILED || from == TASK_UPSTREAM_FAILED);
}

/* Once, however many wait. */
static void tell_held(struct driver *d, const struct change *c)
{
	char text[512];

	if (c->reason != REASON_BREAKER_OPEN || d->told_breaker == c->detail)
		return;
	d->told_breaker = c->detail;
	snprintf(text, sizeof text,
		"tasks wait for circuit breaker %s; weir breaker show %s tells why", c->detail,
		c->detail);
	driver_tell(d, EVENT_NOTE, -1, text);
}

/* What is told of an instance is told of the whole, too: how many are how far, since when. */
static void count_instance(struct driver *d, const struct change *c, const struct task_progress *p)
{
	struct task_progress *whole = &d->progress.tasks[c->task_index];
	enum task_state from = p->state;

	/* Those of a former, longer list do not count. */
	whole->nin[from] -= p->reason != REASON_ITEM_GONE;
	whole->nin[c->state.to] += c->reason != REASON_ITEM_GONE;
	d->progress.nrunning += (c->state.to == TASK_RUNNING) - (from == TASK_RUNNING);
}

/* All that is needed later is what failed, and why. */
static void forget_instance(struct task_progress *p)
{
	json_decref(p->outputs);
	json_decref(p->checks);
	p->outputs = p->checks = NULL;
	set_text(&p->item, NULL);
	if (p->state != TASK_FAILED)
		set_text(&p->log_path, NULL);
}

/* Those of its instances, as tasks behind it see them. */
static void take_outputs(struct driver *d, const struct change *c)
{
	struct task_progress *p = &d->progress.tasks[c->live];

	json_decref(p->outputs);
	p->outputs = json_incref(json_object_get(d->run->job.outputs, c->task));
}

static void tell_mapped(struct driver *d, const struct change *c)
{
	struct task_progress *p = &d->progress.tasks[c->live];

	p->started_us = c->at_us;
	p->ended_us = 0;
	driver_tell(d, EVENT_TASK_MAPPED, c->live, NULL);
}

static void tell_state(struct driver *d, const struct change *c)
{
	struct task_progress *p = &d->progress.tasks[c->live];

	/* From the state that is shown, which can be ahead (driver_progress_init). */
	if (c->map_index < 0)
		count_states(d, p->state, c->state.to);
	else
		count_instance(d, c, p);
	p->state = c->state.to;
	p->reason = c->reason;
	p->breaker = c->reason == REASON_BREAKER_OPEN ? c->detail : NULL;
	p->due_us = c->state.due_us;
	p->kept = false;
	if (c->state.to == TASK_NONE) {
		p->stale = false;
		set_text(&p->error, NULL);
	} else if (c->state.to == TASK_HELD) {
		tell_held(d, c);
	} else if (c->state.to == TASK_UP_FOR_RETRY) {
		driver_tell(d, EVENT_TASK_RETRY, c->live, NULL);
	} else if (c->reason == REASON_MAPPED) {
		tell_mapped(d, c);
	} else if (task_state_waits(c->state.to)) {
		set_text(&p->waits_for, c->state.waits_for ? strdup(c->state.waits_for) : NULL);
		driver_tell(d, EVENT_TASK_WAITING, c->live, NULL);
	} else if (task_state_is_final(c->state.to)) {
		if (!p->ended_us)
			p->ended_us = c->at_us;
		if (p->ninstances)
			take_outputs(d, c);
		if (c->reason == REASON_LIST_FAILED && c->detail)
			set_text(&p->error, strdup(c->detail));
		driver_tell(d, EVENT_TASK_FINISHED, c->live, NULL);
		if (c->map_index >= 0)
			forget_instance(p);
	}
}

static void tell_start(struct driver *d, const struct change *c)
{
	struct task_progress *p = &d->progress.tasks[c->live];

	p->try = c->attempt.try;
	p->started_us = c->at_us;
	p->ended_us = 0;
	p->outcome = OUTCOME_NONE;
	p->exit_status = -1;
	p->signal = 0;
	set_text(&p->error, NULL);
	set_text(&p->log_path,
		paths_log(d->req->home, d->name, c->task, c->map_index, c->attempt.try));
	json_decref(p->outputs);
	json_decref(p->checks);
	p->outputs = p->checks = NULL;
	driver_tell(d, EVENT_TASK_STARTED, c->live, NULL);
}

static void tell_end(struct driver *d, const struct change *c)
{
	struct task_progress *p = &d->progress.tasks[c->live];
	json_t *result = c->attempt.result ? json_loads(c->attempt.result, 0, NULL) : NULL;

	p->outcome = c->attempt.outcome;
	p->exit_status = c->attempt.exit_status;
	p->signal = c->attempt.signal;
	if (c->attempt.started_us)
		p->started_us = c->attempt.started_us;
	p->ended_us = c->attempt.ended_us ? c->attempt.ended_us : c->at_us;
	set_text(&p->error, c->attempt.error ? strdup(c->attempt.error) : NULL);
	json_decref(p->outputs);
	json_decref(p->checks);
	p->outputs = json_incref(json_object_get(result, "outputs"));
	p->checks = json_incref(json_object_get(result, "checks"));
	json_decref(result);
}

/* ---- instances ------------------------------------------------------------------------ */

static int make_room(struct driver *d, int n)
{
	struct run_progress *p = &d->progress;

	if (n > d->progress_cap) {
		int cap = n > 2 * d->progress_cap ? n : 2 * d->progress_cap;
		struct task_progress *grown = reallocarray(p->tasks, (size_t)cap, sizeof *grown);
		if (!grown)
			return -1;
		p->tasks = grown;
		d->progress_cap = cap;
	}
	while (p->ntasks < n)
		p->tasks[p->ntasks++] = (struct task_progress){ .def = -1 };
	return 0;
}

static struct task_progress *add_instance(struct driver *d, int live, int task, int map_index)
{
	struct task_progress *p = &d->progress.tasks[live], *whole = &d->progress.tasks[task];

	*p = (struct task_progress){ .def = task,
		.map_index = map_index,
		.retries = whole->retries,
		.selected = whole->selected };
	return p;
}

/* An instance of that item; it may have been there with another one. */
static void put_instance(struct driver *d, const struct change *c)
{
	struct task_progress *p = &d->progress.tasks[c->live],
			     *whole = &d->progress.tasks[c->task_index];

	if (p->def < 0) {
		p = add_instance(d, c->live, c->task_index, c->map_index);
		whole->nin[TASK_NONE]++;
	}
	/* The items of a list come in their order. */
	whole->ninstances = c->map_index + 1;
	set_text(&p->item, strdup(c->item));
}

void driver_progress_instances(struct driver *d)
{
	struct task_view v;

	for (int i = d->req->dag->ntasks; sched_task_view(d->engine.sched, d->run->id, i, &v);
		i++) {
		if (make_room(d, i + 1) < 0)
			return;
		struct task_progress *p = add_instance(d, i, v.task_index, v.map_index);
		bool counts = v.reason != REASON_ITEM_GONE;
		d->progress.tasks[v.task_index].ninstances += counts;
		d->progress.tasks[v.task_index].nin[v.state] += counts;
		p->state = v.state;
		p->reason = v.reason;
		p->try = v.tries;
		p->due_us = v.due_us;
		set_text(&p->item, v.item ? strdup(v.item) : NULL);
		d->progress.nrunning += v.state == TASK_RUNNING;
	}
}

void driver_tell_change(struct driver *d, const struct change *c)
{
	/* Without memory for it nothing is told of an instance. */
	if (c->kind == CHANGE_ITEM && make_room(d, c->live + 1) == 0)
		put_instance(d, c);
	if (c->live >= d->progress.ntasks)
		return;
	switch (c->kind) {
	case CHANGE_RUN:
		d->progress.state = c->run.to;
		break;
	case CHANGE_TASK:
		tell_state(d, c);
		break;
	case CHANGE_START:
		tell_start(d, c);
		break;
	case CHANGE_END:
		tell_end(d, c);
		break;
	default:
		break;
	}
}

int driver_progress_init(struct driver *d, const struct store_result *rows, struct err *err)
{
	const struct run_request *req = d->req;
	struct run_progress *p = &d->progress;

	driver_progress_release(d);
	p->tasks = calloc((size_t)req->dag->ntasks + 1, sizeof *p->tasks);
	p->ntasks = d->progress_cap = p->tasks ? req->dag->ntasks : 0;
	free(d->init);
	d->init = calloc((size_t)req->dag->ntasks + 1, sizeof *d->init);
	if (!p->tasks || !d->init)
		return err_nomem(err);
	if (plan_select(req, rows, d->init, p->tasks, err) < 0)
		return -1;
	p->ndone = p->nrunning = p->nfailed = p->nkept = 0;
	for (int i = 0; i < req->dag->ntasks; i++) {
		struct task_progress *t = &p->tasks[i];
		/* What is about to be done again is shown as waiting from the start. */
		if (t->selected && !t->kept && task_state_is_final(t->state))
			t->state = TASK_NONE;
		count_states(d, TASK_NONE, t->state);
		p->nkept += t->kept;
		if (t->try > 0)
			t->log_path =
				paths_log(req->home, d->name, req->dag->tasks[i].name, -1, t->try);
		if (t->kept && t->outputs)
			json_object_set(d->run->job.outputs, req->dag->tasks[i].name, t->outputs);
	}
	return 0;
}

void driver_progress_release(struct driver *d)
{
	for (int i = 0; i < d->progress.ntasks; i++) {
		struct task_progress *t = &d->progress.tasks[i];
		free((char *)t->item);
		free((char *)t->error);
		free((char *)t->waits_for);
		free((char *)t->log_path);
		json_decref(t->outputs);
		json_decref(t->checks);
	}
	free(d->progress.tasks);
	d->progress.tasks = NULL;
	d->progress.ntasks = 0;
}
