/* What the daemon says of itself. */
#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/daemon_impl.h"

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

/* The DAGs as the store has them, by name: who switched what, and why. A store that is in trouble
 * has nothing to say; what the daemon itself knows is shown all the same. */
static json_t *rows_by_name(const struct daemon *d)
{
	json_t *answer = NULL, *row, *rows = json_object();
	size_t i;

	if (ops_dags(&d->ops, NULL, &answer, &(struct err){ 0 }) < 0)
		return rows;
	json_array_foreach(json_object_get(answer, "dags"), i, row)
	{
		const char *name = json_string_value(json_object_get(row, "dag"));
		if (name)
			json_object_set(rows, name, row);
	}
	json_decref(answer);
	return rows;
}

static json_t *unknown_row(void)
{
	static const char *const nulls[] = { "version", "paused_by", "paused_reason", "paused_at",
		"draining_by", "draining_reason", "draining_at", "last" };
	json_t *o = json_pack("{s:b, s:b, s:[]}", "present", 1, "all_paused", 0, "frozen");

	for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
		json_object_set_new(o, nulls[i], json_null());
	return o;
}

static json_t *next_run(const struct zone *zone, const struct planner_view *view)
{
	if (!view->has_next)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", "run_after", instant(zone, view->next.run_after_us),
		"interval_start", instant(zone, view->next.start_us), "interval_end",
		instant(zone, view->next.end_us));
}

static json_t *dag_status(const struct daemon *d, const struct catalog_dag *c, json_t *row)
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
		c->name ? json_string(timetable_kind_name(c->spec.kind)) : json_null());
	json_object_set_new(o, "zone", json_string(zone_name(zone)));
	json_object_set_new(o, "next", next_run(zone, &view));
	if (row)
		json_object_update_missing(o, row);
	else
		json_object_update_missing_new(o, unknown_row());
	return o;
}

static json_t *dags_status(const struct daemon *d)
{
	json_t *list = json_array(), *rows = rows_by_name(d);

	for (struct catalog_dag *c = NULL; (c = catalog_next_file(d->catalog, c));)
		json_array_append_new(
			list, dag_status(d, c, c->name ? json_object_get(rows, c->name) : NULL));
	json_decref(rows);
	return list;
}

/* ---- runs and backfills --------------------------------------------------------------- */

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

/* Those that are not over: also one that cannot go on, since its DAG is gone. */
static json_t *backfills_status(const struct daemon *d)
{
	json_t *answer = NULL, *list = json_array(), *b;
	size_t i;

	if (ops_backfills(&d->ops, 0, &answer, &(struct err){ 0 }) < 0)
		return list;
	json_array_foreach(json_object_get(answer, "backfills"), i, b)
	{
		int state = backfill_state_by_name(json_string_value(json_object_get(b, "state")));
		if (state == BACKFILL_RUNNING || state == BACKFILL_PAUSED)
			json_array_append(list, b);
	}
	json_decref(answer);
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
	json_object_set_new(o, "dags", dags_status(d));
	json_object_set_new(o, "runs", runs_status(d));
	json_object_set_new(o, "backfills", backfills_status(d));
	return o;
}
