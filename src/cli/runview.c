#include "cli/runview.h"

#include <stdio.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "base/units.h"
#include "base/zonefile.h"
#include "cli/home.h"
#include "cli/when.h"
#include "core/state.h"
#include "core/zone.h"

bool runview_abandoned(const struct run_row *r)
{
	return r->state == RUN_RUNNING && (r->owner.pid == 0 || owner_is_dead(&r->owner));
}

const char *runview_state(const struct run_row *r)
{
	return runview_abandoned(r) ? "abandoned" : run_state_name(r->state);
}

enum style runview_style(const struct run_row *r)
{
	if (runview_abandoned(r) || r->state == RUN_FAILED)
		return STYLE_BAD;
	switch (r->state) {
	case RUN_SUCCESS:
		return STYLE_GOOD;
	case RUN_RUNNING:
		return STYLE_BUSY;
	case RUN_CANCELLED:
		return STYLE_WARN;
	default:
		return STYLE_DIM;
	}
}

enum style runview_task_style(enum task_state s)
{
	switch (s) {
	case TASK_SUCCESS:
		return STYLE_GOOD;
	case TASK_FAILED:
	case TASK_UPSTREAM_FAILED:
		return STYLE_BAD;
	case TASK_RUNNING:
		return STYLE_BUSY;
	case TASK_UP_FOR_RETRY:
	case TASK_HELD:
	case TASK_SKIPPED:
	case TASK_CANCELLED:
		return STYLE_WARN;
	default:
		return STYLE_DIM;
	}
}

int64_t runview_took_us(const struct run_row *r, int64_t now_us)
{
	/* Taken up in part, it waits to be taken up again. */
	if (!r->started_us || r->state == RUN_QUEUED)
		return -1;
	int64_t end = r->ended_us ? r->ended_us : runview_abandoned(r) ? 0 : now_us;
	return end > r->started_us ? end - r->started_us : -1;
}

const char *runview_took(int64_t us, char *buf, size_t size)
{
	if (us >= 0)
		return units_format_elapsed(us, buf, size);
	buf[0] = '\0';
	return buf;
}

void runview_add_zoned(struct buf *out, const char *zone, int64_t at_us)
{
	struct zone *z = NULL;
	struct zone_info info;
	struct civil c;
	struct err ignored = { 0 };

	if (zone && *zone && zone_open(zone, zonefile_read, &z, &ignored) < 0)
		z = NULL;
	zone_to_civil(z ? z : zone_utc(), at_us, &c, &info);
	civil_add_rfc3339(out, &c, info.offset_s);
	zone_free(z);
}

const char *runview_unended(
	const char *zone, int64_t interval_end_us, int64_t now_us, char *buf, size_t size)
{
	struct buf at;

	buf[0] = '\0';
	if (interval_end_us <= now_us)
		return buf;
	buf_init(&at, BUF_MAX_TEXT);
	runview_add_zoned(&at, zone, interval_end_us);
	snprintf(buf, size, "this interval ends only on %s; its data may be incomplete",
		at.data ? at.data : "a later day");
	buf_release(&at);
	return buf;
}

static json_t *duration(int64_t from_us, int64_t until_us)
{
	return from_us && until_us >= from_us ? json_integer(until_us - from_us) : json_null();
}

static json_t *owner_json(const struct run_row *r)
{
	if (r->owner.pid == 0)
		return json_null();
	return json_pack("{s:o, s:I, s:b}", "host", cli_json_text(r->owner.host), "pid",
		(json_int_t)r->owner.pid, "alive", !owner_is_dead(&r->owner));
}

json_t *runview_json(const struct run_row *r)
{
	json_t *o = json_object();

	json_object_set_new(o, "run", cli_json_text(r->name));
	json_object_set_new(o, "run_id", json_integer(r->id));
	json_object_set_new(o, "dag", cli_json_text(r->dag));
	json_object_set_new(o, "ds", cli_json_text(r->ds));
	json_object_set_new(o, "state", json_string(run_state_name(r->state)));
	json_object_set_new(o, "abandoned", json_boolean(runview_abandoned(r)));
	json_object_set_new(o, "reason", json_string(reason_name(r->reason)));
	json_object_set_new(o, "trigger", cli_json_text(r->trigger));
	json_object_set_new(o, "params", cli_json_of_text(r->params));
	json_object_set_new(o, "interval_start", cli_json_instant(r->interval_start_us));
	json_object_set_new(o, "interval_end", cli_json_instant(r->interval_end_us));
	json_object_set_new(o, "zone", cli_json_text(r->zone));
	json_object_set_new(o, "created", cli_json_time(r->created_us));
	json_object_set_new(o, "started", cli_json_time(r->started_us));
	json_object_set_new(o, "ended", cli_json_time(r->ended_us));
	json_object_set_new(o, "duration_us", duration(r->started_us, r->ended_us));
	json_object_set_new(o, "version", cli_json_text(r->version));
	json_object_set_new(o, "dag_path", cli_json_text(r->dag_path));
	json_object_set_new(o, "dag_dir", cli_json_text(r->dag_dir));
	json_object_set_new(o, "owner", owner_json(r));
	json_object_set_new(o, "counts",
		json_pack("{s:i, s:i, s:i, s:i}", "total", r->ntasks, "success", r->nsuccess,
			"failed", r->nfailed, "running", r->nrunning));
	return o;
}

static void set_map_index(json_t *o, int map_index)
{
	json_object_set_new(o, "map_index", map_index >= 0 ? json_integer(map_index) : json_null());
}

json_t *runview_task_json(const struct task_row *t)
{
	json_t *o = json_object();

	json_object_set_new(o, "task", cli_json_text(t->name));
	set_map_index(o, t->map_index);
	if (t->map_index >= 0)
		json_object_set_new(o, "item", cli_json_of_text(t->item));
	json_object_set_new(o, "state", json_string(task_state_name(t->state)));
	json_object_set_new(o, "reason", json_string(reason_name(t->reason)));
	json_object_set_new(o, "try", json_integer(t->tries));
	json_object_set_new(o, "failures", json_integer(t->failures));
	json_object_set_new(o, "lost", json_integer(t->lost));
	json_object_set_new(o, "changed", cli_json_time(t->changed_us));
	json_object_set_new(o, "due", cli_json_time(t->due_us));
	json_object_set_new(o, "waits_for", cli_json_text(t->waits_for));
	json_object_set_new(o, "looked", cli_json_text(t->looked));
	json_object_set_new(o, "looked_since", cli_json_time(t->looked_us));
	json_object_set_new(o, "token", t->token ? json_integer(t->token) : json_null());
	json_object_set_new(o, "outputs", cli_json_of_text(t->outputs));
	return o;
}

json_t *runview_attempt_json(const struct attempt_row *a)
{
	json_t *o = json_object();

	json_object_set_new(o, "task", cli_json_text(a->task));
	set_map_index(o, a->map_index);
	json_object_set_new(o, "try", json_integer(a->try));
	json_object_set_new(o, "token", json_integer(a->token));
	cli_json_set_outcome(o, a->outcome, a->exit_status, a->signal);
	json_object_set_new(o, "started", cli_json_time(a->started_us));
	json_object_set_new(o, "ended", cli_json_time(a->ended_us));
	json_object_set_new(o, "duration_us", duration(a->started_us, a->ended_us));
	json_object_set_new(o, "error", cli_json_text(a->error));
	return o;
}

json_t *runview_check_json(const struct check_row *c)
{
	json_t *o = json_object();

	json_object_set_new(o, "task", cli_json_text(c->task));
	set_map_index(o, c->map_index);
	json_object_set_new(o, "name", cli_json_text(c->name));
	json_object_set_new(o, "severity", cli_json_text(c->severity));
	json_object_set_new(o, "status", cli_json_text(c->status));
	json_object_set_new(o, "observed", cli_json_text(c->observed));
	json_object_set_new(o, "expected", cli_json_text(c->expected));
	json_object_set_new(o, "sample", cli_json_of_text(c->sample));
	return o;
}

json_t *runview_event_json(const struct event_row *e)
{
	json_t *o = json_object();

	json_object_set_new(o, "at", cli_json_time(e->at_us));
	json_object_set_new(o, "task", cli_json_text(e->task));
	set_map_index(o, e->task ? e->map_index : -1);
	json_object_set_new(o, "from", cli_json_text(e->from));
	json_object_set_new(o, "to", cli_json_text(e->to));
	json_object_set_new(o, "reason", cli_json_text(e->reason));
	json_object_set_new(o, "detail", cli_json_text(e->detail));
	return o;
}

json_t *runview_audit_json(const struct audit_row *a)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "at", cli_json_time(a->at_us), "by",
		cli_json_text(a->who), "request", cli_json_text(a->what), "of",
		cli_json_text(a->detail), "reason", cli_json_text(a->reason));
}
