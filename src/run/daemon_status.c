/* What the daemon says of itself. */
#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "core/model.h"
#include "run/daemon_impl.h"

static json_t *instant(int64_t at_us)
{
	struct civil c;
	struct buf out;

	civil_from_us(at_us, &c);
	buf_init(&out, 64);
	civil_add_rfc3339(&out, &c, 0);
	json_t *text = json_string(out.data);
	buf_release(&out);
	return text;
}

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *dag_status(const struct daemon *d, const struct catalog_dag *c)
{
	struct planner_view view = { 0 };
	struct steered *s = NULL;

	if (c->name) {
		planner_view(d->planner, c->name, &view);
		HASH_FIND_STR(d->steered, c->name, s);
	}
	json_t *o = json_pack("{s:o, s:s, s:o, s:b, s:b, s:i, s:i, s:i}", "dag",
		text_or_null(c->name), "path", c->path, "error", text_or_null(c->error), "paused",
		s && s->paused, "draining", s && s->draining, "active", s ? s->active : 0, "live",
		s ? s->live : 0, "waiting", view.waiting);
	json_object_set_new(
		o, "next", view.has_next ? instant(view.next.run_after_us) : json_null());
	if (c->params_error)
		json_object_set_new(o, "params_error", json_string(c->params_error));
	return o;
}

json_t *daemon_status(struct daemon *d)
{
	json_t *dags = json_array(), *runs = json_array();
	struct active_run *r, *next;

	for (struct catalog_dag *c = NULL; (c = catalog_next_file(d->catalog, c));)
		json_array_append_new(dags, dag_status(d, c));
	HASH_ITER (hh, d->engine.runs, r, next)
		json_array_append_new(runs,
			json_pack("{s:s, s:s}", "run", r->name, "state", run_state_name(r->state)));
	return json_pack("{s:i, s:o, s:s, s:s, s:o, s:o, s:i, s:i, s:b, s:o, s:o}", "pid",
		(int)getpid(), "started", instant(d->started_us), "folder",
		catalog_folder(d->catalog), "home", d->config->home, "folder_error",
		text_or_null(d->folder_error), "store_error",
		text_or_null(d->trouble.code != ERR_NONE ? d->trouble.msg : NULL), "running",
		sched_running(d->engine.sched), "queued_runs", (int)d->npending, "stopping",
		d->stopping, "dags", dags, "runs", runs);
}
