/* What the daemon says of itself: only what it has in memory, so that asking never holds up the
 * loop. What the store has beside (who paused what and why, backfills) is asked by ops_dags and
 * ops_backfills. */
#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/daemon_impl.h"
#include "run/name.h"
#include "run/pools.h"

enum { WAITS_MAX = 1000 };

/* RFC 3339, with the zone's offset. */
static json_t *instant(const struct zone *zone, int64_t at_us)
{
	struct civil c;
	struct zone_info info;
	struct buf out;

	zone_to_civil(zone, at_us, &c, &info);
	buf_init(&out, 64);
	civil_add_rfc3339(&out, &c, info.offset_s);
	json_t *text = json_string(out.data);
	buf_release(&out);
	return text;
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* ---- DAGs ----------------------------------------------------------------------------- */

static json_t *next_run(const struct zone *zone, const struct planner_view *view)
{
	if (!view->has_next)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "run_after", instant(zone, view->next.run_after_us),
		"interval_start", instant(zone, view->next.start_us), "interval_end",
		instant(zone, view->next.end_us));
}

static json_t *dag_status(const struct daemon *d, const struct catalog_dag *c)
{
	const struct zone *zone = c->spec.zone ? c->spec.zone : zone_utc();
	struct planner_view view = { 0 };
	struct steered *s = NULL;

	if (c->name) {
		planner_view(d->planner, c->name, &view);
		HASH_FIND_STR(d->steered, c->name, s);
	}
	json_t *o = json_pack("{s:o, s:s, s:o, s:o, s:b, s:b, s:i, s:i, s:i}", "dag",
		text_or_null(c->name), "path", c->path, "error", text_or_null(c->error),
		"params_error", text_or_null(c->params_error), "paused", s && s->paused, "draining",
		s && s->draining, "active", s ? s->active : 0, "live", s ? s->live : 0, "waiting",
		view.waiting);
	json_object_set_new(o, "schedule",
		c->name ? json_string(
				  c->datasets.n ? "datasets" : timetable_kind_name(c->spec.kind))
			: json_null());
	json_object_set_new(o, "zone", json_string(zone_name(zone)));
	json_object_set_new(o, "next", next_run(zone, &view));
	return o;
}

static json_t *dags_status(const struct daemon *d)
{
	json_t *list = json_array();

	for (struct catalog_dag *c = NULL; (c = catalog_next_file(d->catalog, c));)
		json_array_append_new(list, dag_status(d, c));
	return list;
}

/* ---- runs ----------------------------------------------------------------------------- */

static json_t *runs_status(struct daemon *d)
{
	json_t *list = json_array();
	struct active_run *r, *next;

	HASH_ITER (hh, d->engine.runs, r, next)
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:s}", "run", r->name, "dag", r->dag->name,
				      "state", run_state_name(r->state)));
	return list;
}

/* ---- breakers that hold something ----------------------------------------------------- */

static void add_breaker(void *arg, const struct sched_breaker *b)
{
	int64_t until_us = b->breaker->state == BREAKER_OPEN ? b->breaker->until_us : INT64_MAX;

	if (b->breaker->state == BREAKER_CLOSED && b->held == 0)
		return;
	json_array_append_new(
		arg, json_pack("{s:s, s:s, s:o, s:o, s:i}", "breaker", b->name, "state",
			     breaker_state_name(b->breaker->state), "since",
			     instant(zone_utc(), b->breaker->since_us), "until",
			     until_us < INT64_MAX ? instant(zone_utc(), until_us) : json_null(),
			     "held", b->held));
}

static json_t *breakers_status(struct daemon *d)
{
	json_t *list = json_array();

	sched_each_breaker(d->engine.sched, add_breaker, list);
	return list;
}

/* ---- all of it ------------------------------------------------------------------------ */

json_t *daemon_status(struct daemon *d)
{
	const char *trouble = d->trouble.code != ERR_NONE ? d->trouble.msg : NULL;
	json_t *o = json_pack("{s:i, s:o, s:s, s:s, s:o, s:o}", "pid", (int)getpid(), "started",
		instant(zone_utc(), d->started_us), "folder", catalog_folder(d->catalog), "home",
		d->config->home, "folder_error", text_or_null(d->folder_error), "store_error",
		text_or_null(trouble));
	json_t *more = json_pack("{s:i, s:i, s:i, s:b, s:b}", "running",
		sched_running(d->engine.sched), "jobs", d->config->jobs, "queued_runs",
		(int)d->npending, "stopping", d->stopping, "taking_over", !d->taken_over);

	json_object_update_new(o, more);
	json_object_set_new(o, "settings", text_or_null(d->settings_path));
	json_object_set_new(o, "settings_error", text_or_null(d->settings_error));
	json_object_set_new(o, "dags", dags_status(d));
	json_object_set_new(o, "runs", runs_status(d));
	json_object_set_new(o, "pools", pools_status(d->engine.sched, d->engine.runs));
	json_object_set_new(o, "breakers", breakers_status(d));
	return o;
}

/* ---- what `why` asks ------------------------------------------------------------------- */

/* Attempts in flight: a few, and how many there are. */
struct flights {
	const struct daemon *d;
	const char *dag; /* only of this one; NULL: all */
	json_t *list;
	int n;
};

static void add_flight(void *arg, int64_t token, int64_t run_id, int task)
{
	struct flights *f = arg;
	struct task_view v;
	struct active_run *r;
	char label[RUN_LABEL_MAX];

	(void)token;
	HASH_FIND(hh, f->d->engine.runs, &run_id, sizeof run_id, r);
	if (!r || !sched_task_view(f->d->engine.sched, run_id, task, &v) ||
		(f->dag && strcmp(r->dag->name, f->dag) != 0) || f->n++ >= POOLS_HOLDERS_MAX)
		return;
	json_array_append_new(f->list,
		json_pack("{s:s, s:s}", "run", r->name, "task",
			run_task_label(r->dag->tasks[v.task_index].name, v.map_index, label)));
}

static struct flights flights(const struct daemon *d, const char *dag)
{
	struct flights f = { .d = d, .dag = dag, .list = json_array() };

	sched_each_flight(d->engine.sched, add_flight, &f);
	return f;
}

/* What stops the tasks of a run that wait, by name: a few of them. */
static json_t *waits(const struct daemon *d, const struct active_run *r)
{
	json_t *o = json_object();

	struct task_view v;
	char label[RUN_LABEL_MAX];

	for (int i = 0;
		json_object_size(o) < WAITS_MAX && sched_task_view(d->engine.sched, r->id, i, &v);
		i++) {
		enum reason why = sched_waits_for(d->engine.sched, r->id, i);
		if (why != REASON_NONE)
			json_object_set_new(o,
				run_task_label(
					r->dag->tasks[v.task_index].name, v.map_index, label),
				json_string(reason_name(why)));
	}
	return o;
}

/* Of "fetch" or "fetch[3]"; -1: the run has no such task. */
static int find_live(const struct daemon *d, const struct active_run *r, const char *label)
{
	size_t len;
	int map_index;

	if (!run_split_label(label, &len, &map_index))
		return -1;
	char *name = strndup(label, len);
	const struct task *t = name ? dag_find(r->dag, name) : NULL;
	free(name);
	return t ? sched_find_task(d->engine.sched, r->id, t->index, map_index) : -1;
}

static json_t *run_in_hand(const struct daemon *d, const char *name, const char *task)
{
	struct active_run *r, *next;

	HASH_ITER (hh, d->engine.runs, r, next) {
		if (strcmp(r->name, name) != 0)
			continue;
		int live = task ? find_live(d, r, task) : -1;
		int ahead = live >= 0 ? sched_ahead(d->engine.sched, r->id, live) : -1;
		return json_pack("{s:s, s:s, s:o, s:o, s:o}", "run", r->name, "state",
			run_state_name(r->state), "waits", waits(d, r), "task",
			text_or_null(live >= 0 ? task : NULL), "ahead",
			ahead >= 0 ? json_integer(ahead) : json_null());
	}
	return json_null();
}

json_t *daemon_live(struct daemon *d, const char *dag, const char *run, const char *task)
{
	const char *trouble = d->trouble.code != ERR_NONE ? d->trouble.msg : NULL;
	struct catalog_dag *c = dag ? catalog_find(d->catalog, dag) : NULL;
	struct flights all = flights(d, NULL), own = flights(d, dag ? dag : "");
	json_t *o = json_pack("{s:i, s:s, s:o, s:o, s:i, s:i, s:i, s:b, s:b}", "pid", (int)getpid(),
		"folder", catalog_folder(d->catalog), "folder_error", text_or_null(d->folder_error),
		"store_error", text_or_null(trouble), "jobs", d->config->jobs, "running",
		sched_running(d->engine.sched), "queued_runs", (int)d->npending, "stopping",
		d->stopping, "taking_over", !d->taken_over);

	json_object_set_new(o, "put_off", json_boolean(d->put_off));
	json_object_set_new(o, "tasks", all.list);
	json_object_set_new(o, "dag_tasks", own.list);
	json_object_set_new(o, "dag_running", json_integer(own.n));
	json_object_set_new(o, "dag", c ? dag_status(d, c) : json_null());
	json_object_set_new(o, "run", run ? run_in_hand(d, run, task) : json_null());
	json_object_set_new(o, "pools", pools_status(d->engine.sched, d->engine.runs));
	return o;
}
