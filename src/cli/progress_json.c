/* One JSON object per line and event. Times are RFC 3339 in UTC, durations microseconds. */
#include <assert.h>
#include <stdlib.h>

#include "cli/json.h"
#include "cli/progress_impl.h"
#include "cli/when.h"

struct json_lines {
	struct observer base;
	FILE *out;
};

static const char *const event_names[] = {
	[EVENT_RUN_STARTED] = "run_started",
	[EVENT_RUN_SETTLING] = "run_settling",
	[EVENT_TASK_STARTED] = "task_started",
	[EVENT_TASK_RETRY] = "task_retry",
	[EVENT_TASK_WAITING] = "task_waiting",
	[EVENT_TASK_MAPPED] = "task_mapped",
	[EVENT_TASK_FINISHED] = "task_finished",
	[EVENT_RUN_STOPPING] = "run_stopping",
	[EVENT_NOTE] = "note",
	[EVENT_TICK] = NULL,
	[EVENT_RUN_FINISHED] = "run_finished",
};
static_assert(sizeof event_names / sizeof *event_names == EVENT_KIND_MAX, "a name for each event");

static void set(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value);
}

static void set_borrowed(json_t *o, const char *key, json_t *value)
{
	json_object_set_new(o, key, value ? json_incref(value) : json_null());
}

static void set_attempt(json_t *o, const struct run_progress *p, const struct task_progress *t)
{
	cli_json_set_outcome(o, t->outcome, t->exit_status, t->signal);
	set(o, "started", cli_json_time(t->started_us));
	set(o, "ended", cli_json_time(t->ended_us));
	set(o, "duration_us",
		t->started_us && t->ended_us ? json_integer(progress_elapsed_us(p, t))
					     : json_null());
	set(o, "error", cli_json_text(t->error));
	set(o, "log", cli_json_text(t->log_path));
}

/* What it works on is told when it starts. */
static void set_instance(json_t *o, const struct task_progress *t, enum run_event_kind kind)
{
	set(o, "map_index", json_integer(t->map_index));
	if (kind == EVENT_TASK_STARTED)
		set(o, "item", cli_json_of_text(t->item));
}

static json_t *counts_of(const struct task_progress *t)
{
	json_t *o = json_pack("{s:i}", "total", t->ninstances);

	for (int s = 0; s < TASK_STATE_MAX; s++)
		if (t->nin[s])
			set(o, task_state_name((enum task_state)s), json_integer(t->nin[s]));
	return o;
}

static void set_task(json_t *o, const struct run_progress *p, int i, enum run_event_kind kind)
{
	const struct task_progress *t = &p->tasks[i];

	set(o, "task", cli_json_text(progress_def(p, i)->name));
	if (i >= p->dag->ntasks)
		set_instance(o, t, kind);
	else if (t->ninstances && kind == EVENT_TASK_MAPPED)
		set(o, "items", json_integer(t->ninstances));
	else if (t->ninstances)
		set(o, "instances", counts_of(t));
	set(o, "state", json_string(task_state_name(t->state)));
	set(o, "reason", json_string(reason_name(t->reason)));
	if (t->breaker)
		set(o, "breaker", json_string(t->breaker));
	set(o, "try", json_integer(t->try));
	if (kind == EVENT_TASK_STARTED || kind == EVENT_RUN_STARTED) {
		set(o, "tries", json_integer(t->retries + 1));
		set(o, "log", cli_json_text(t->log_path));
		return;
	}
	if (kind == EVENT_TASK_MAPPED)
		return;
	if (kind == EVENT_TASK_WAITING) {
		set(o, "for", cli_json_text(t->waits_for));
		set(o, "due", cli_json_time(t->due_us));
		return;
	}
	set_attempt(o, p, t);
	if (kind == EVENT_TASK_RETRY) {
		set(o, "due", cli_json_time(t->due_us));
		return;
	}
	if (t->outputs)
		set_borrowed(o, "outputs", t->outputs);
	else
		set(o, "outputs", json_object());
	set_borrowed(o, "checks", t->checks);
}

static json_t *tasks(const struct run_progress *p, enum run_event_kind kind)
{
	json_t *list = json_array();

	for (int i = 0; i < p->dag->ntasks; i++) {
		json_t *o = json_object();
		set_task(o, p, i, kind);
		set(o, "selected", json_boolean(p->tasks[i].selected));
		set(o, "kept", json_boolean(p->tasks[i].kept));
		set(o, "stale", json_boolean(p->tasks[i].stale));
		json_array_append_new(list, o);
	}
	return list;
}

static void set_run(json_t *o, const struct run_progress *p)
{
	set(o, "run_id", json_integer(p->run_id));
	set(o, "dag", cli_json_text(p->dag->name));
	set(o, "ds", cli_json_text(p->ds));
	set(o, "interval_start", cli_json_instant(p->interval_start_us));
	set(o, "interval_end", cli_json_instant(p->interval_end_us));
	set(o, "version", cli_json_text(p->version));
	set(o, "created", json_boolean(p->created));
	set(o, "partial", json_boolean(p->partial));
	set(o, "jobs", json_integer(p->jobs));
}

static void set_end(json_t *o, const struct run_progress *p)
{
	int64_t took = p->now_us > p->started_us ? p->now_us - p->started_us : 0;
	int total, done;

	progress_count(p, &total, &done);
	set(o, "state", json_string(run_state_name(p->state)));
	set(o, "nothing_to_do", json_boolean(progress_nothing_done(p)));
	set(o, "duration_us", json_integer(took));
	set(o, "counts",
		json_pack("{s:i, s:i, s:i, s:i}", "total", total, "done", done, "failed",
			p->nfailed, "kept", p->nkept));
}

static void write_line(struct json_lines *o, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	if (text)
		fprintf(o->out, "%s\n", text);
	fflush(o->out);
	free(text);
}

static void json_event(
	struct observer *base, const struct run_progress *p, const struct run_event *e)
{
	const char *name = event_names[e->kind];

	if (!name)
		return;
	json_t *o = json_object();
	set(o, "event", json_string(name));
	set(o, "at", cli_json_time(e->at_us));
	set(o, "run", cli_json_text(p->run));
	if (e->text)
		set(o, "text", cli_json_text(e->text));
	if (e->task >= 0 && (e->kind == EVENT_TASK_STARTED || e->kind == EVENT_TASK_RETRY ||
				    e->kind == EVENT_TASK_WAITING || e->kind == EVENT_TASK_MAPPED ||
				    e->kind == EVENT_TASK_FINISHED))
		set_task(o, p, e->task, e->kind);
	if (e->kind == EVENT_RUN_STARTED || e->kind == EVENT_RUN_FINISHED)
		set_run(o, p);
	if (e->kind == EVENT_RUN_FINISHED)
		set_end(o, p);
	if (e->kind == EVENT_RUN_STARTED || e->kind == EVENT_RUN_FINISHED)
		set(o, "tasks", tasks(p, e->kind));
	write_line((struct json_lines *)base, o);
	json_decref(o);
}

static void json_free(struct observer *base)
{
	free(base);
}

struct observer *progress_json_new(FILE *out)
{
	struct json_lines *o = calloc(1, sizeof *o);

	if (!o)
		return NULL;
	o->base = (struct observer){ .event = json_event, .free = json_free };
	o->out = out;
	return &o->base;
}
