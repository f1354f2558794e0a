/* Incidents and what is told of them. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/alert.h"
#include "core/incident.h"
#include "run/alerts.h"
#include "run/ops_impl.h"

enum { LISTED_MAX = 1000 };

static json_t *time_of(int64_t at_us)
{
	return ops_json_time(zone_utc(), at_us);
}

static json_t *undone_json(const struct incident *i)
{
	const char *at = i->undone;
	json_t *list = json_array();
	int64_t start_us, end_us;

	while (incident_next_undone(&at, &start_us, &end_us))
		json_array_append_new(
			list, json_pack("{s:o, s:o}", "interval_start", time_of(start_us),
				      "interval_end", time_of(end_us)));
	return list;
}

static json_t *incident_json(const struct incident *i)
{
	json_t *facts = i->facts ? json_loads(i->facts, 0, NULL) : NULL;
	bool of_breaker = i->kind == INCIDENT_BREAKER_OPEN;

	json_t *o = json_pack(
		"{s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:I, s:o, s:o, s:o, "
		"s:o, s:o, s:o, s:o, s:I, s:I}",
		"incident", (json_int_t)i->id, "kind", incident_kind_name(i->kind), "text",
		incident_kind_text(i->kind), "dag", i->dag, "task", of_breaker ? "" : i->task,
		"severity", severity_name(i->severity), "state", incident_state_name(i->state),
		"opened", time_of(i->opened_us), "last", time_of(i->last_us), "resolved",
		time_of(i->ended_us), "count", (json_int_t)i->count, "run_id",
		i->run_id ? json_integer(i->run_id) : json_null(), "facts",
		facts ? facts : json_object(), "by", ops_json_text(i->by), "reason",
		ops_json_text(i->reason), "acted", time_of(i->acted_us), "snoozed_until",
		time_of(i->until_us), "escalates", time_of(i->escalate_us), "escalations",
		(json_int_t)i->escalations, "told", (json_int_t)i->told);
	if (o && of_breaker)
		json_object_set_new(o, "breaker", json_string(i->task));
	if (o)
		json_object_set_new(o, "undone", undone_json(i));
	return o;
}

int ops_incidents(const struct ops *o, bool all, json_t **ret, struct err *err)
{
	const struct incident_filter f = { .all = all, .limit = LISTED_MAX + 1 };
	json_t *list = json_array();
	struct store_result r;

	if (store_incidents(o->store, &f, &r, err) < 0) {
		json_decref(list);
		return -1;
	}
	for (size_t i = 0; i < r.n && i < LISTED_MAX; i++)
		json_array_append_new(list, incident_json(&r.incidents[i]));
	bool more = r.n > LISTED_MAX;
	store_result_release(&r);
	return ops_answer(json_pack("{s:o, s:b}", "incidents", list, "more", more), ret, err);
}

static int no_incident(int64_t id, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND,
		"there is no incident %lld; weir incidents --all lists them", (long long)id);
}

int ops_incident(const struct ops *o, int64_t id, json_t **ret, struct err *err)
{
	const struct incident_filter f = { .id = id };
	struct store_result r;

	if (store_incidents(o->store, &f, &r, err) < 0)
		return -1;
	int rc = r.n ? ops_answer(incident_json(&r.incidents[0]), ret, err) : no_incident(id, err);
	store_result_release(&r);
	return rc;
}

/* Whose it is, for the routes; NULL where it is not known. */
static struct dag *dag_of(const struct ops *o, const char *name)
{
	return o->find_dag && *name ? o->find_dag(o->arg, name, NULL) : NULL;
}

/* Those who were told of it, at once; but what is not critical waits for the end of quiet hours. */
static void route_told(const struct alerts *alerts, const struct incident *i, struct arena *a,
	struct incident_put *put)
{
	char *names = arena_strdup(a, i->told_to), *at;
	struct incident_route *list = arena_array(a, strlen(i->told_to) + 1, sizeof *list);

	while (names && list && (at = strsep(&names, " ")) != NULL)
		if (*at)
			list[put->nroutes++] = (struct incident_route){ at,
				alerts ? alert_due_us(alerts, i->severity, put->at_us) : 0 };
	put->routes = list;
}

void ops_route_incident(
	const struct ops *o, const struct incident *i, struct arena *a, struct incident_put *put)
{
	const struct alerts *alerts = o->alerts ? o->alerts(o->arg) : NULL;

	if (i->told_to) {
		route_told(alerts, i, a, put);
		return;
	}
	struct dag *dag = alerts ? dag_of(o, i->dag) : NULL;
	alerts_route(alerts, dag, a, put);
	dag_unref(dag);
}

/* ---- what requests mean ------------------------------------------------------------------ */

static const char *facts_of(const struct run_row *run, const struct change *c, struct arena *a)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "run", run->name, "ds", run->ds, "reason",
		reason_name(c->reason));
	const char *kept = alerts_facts(o, a);

	a->failed = a->failed || !kept;
	return kept;
}

int ops_collect_incidents(const struct ops *o, const struct run_row *run, const struct dag *dag,
	struct arena *a, struct store_batch *batch)
{
	const struct alerts *alerts = o->alerts ? o->alerts(o->arg) : NULL;
	const struct incident_checks none = { 0 };
	struct incident_put *list =
		arena_array(a, batch->nchanges * INCIDENTS_PER_CHANGE + 1, sizeof *list);
	size_t n = 0;

	for (size_t i = 0; list && i < batch->nchanges; i++)
		for (size_t end = n + incident_of_change(&batch->changes[i], &none, &list[n]);
			n < end; n++) {
			list[n].dag = dag->name;
			list[n].start_us = run->interval_start_us;
			list[n].end_us = run->interval_end_us;
			list[n].alone = ops_schedule(dag)->catchup == TIMETABLE_CATCHUP_ALL;
			if (list[n].what == INCIDENT_OPENS)
				list[n].facts = facts_of(run, &batch->changes[i], a);
			alerts_route(alerts, dag, a, &list[n]);
		}
	batch->incidents = list;
	batch->nincidents = n;
	return list && !a->failed ? 0 : -1;
}

/* *ret_told: somebody is to hear of it. */
static int put(const struct ops *o, const struct ops_incident_set *set, const struct incident *i,
	bool *ret_told, struct err *err)
{
	struct incident_put p = { .what = (enum incident_what)set->what,
		.id = i->id,
		.kind = i->kind,
		.dag = i->dag,
		.task = i->task,
		.severity = i->severity,
		.at_us = clock_now_us(),
		.until_us = set->until_us,
		.by = ops_by(o),
		.reason = set->reason };
	const struct store_batch batch = { .incidents = &p, .nincidents = 1 };
	struct arena arena;

	arena_init(&arena, 1 << 20);
	ops_route_incident(o, i, &arena, &p);
	int rc = store_commit(o->store, &batch, err);
	*ret_told = p.nroutes > 0 && p.what != INCIDENT_SNOOZES;
	arena_release(&arena);
	return rc;
}

int ops_incident_set(
	const struct ops *o, const struct ops_incident_set *set, json_t **ret, struct err *err)
{
	static const char *const names[] = { [INCIDENT_ACKS] = "ack",
		[INCIDENT_SNOOZES] = "snooze",
		[INCIDENT_RESOLVES] = "resolve" };
	const struct incident_filter f = { .id = set->id };
	struct store_result r;
	bool told = false;

	if (ops_check_reason(set->reason, err) < 0 || store_incidents(o->store, &f, &r, err) < 0)
		return -1;
	int rc = r.n ? put(o, set, &r.incidents[0], &told, err) : no_incident(set->id, err);
	if (rc == 0)
		ops_note(o, (struct ops_note){ .what = names[set->what],
				    .incident = set->id,
				    .dag = *r.incidents[0].dag ? r.incidents[0].dag : NULL,
				    .task = *r.incidents[0].task ? r.incidents[0].task : NULL,
				    .reason = set->reason });
	store_result_release(&r);
	if (rc < 0)
		return -1;
	ops_tell(o, OPS_INCIDENT, NULL, set->id);
	if (ops_incident(o, set->id, ret, err) < 0)
		return -1;
	json_object_set_new(*ret, "is_told", json_boolean(told));
	return 0;
}

/* ---- what is told ---------------------------------------------------------------------- */

static json_t *act_json(const struct outbox_row *a)
{
	json_t *payload = json_loads(a->payload, 0, NULL);

	return json_pack("{s:I, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "act", (json_int_t)a->id,
		"key", a->key, "state", outbox_state_name(a->state), "tries", a->tries, "created",
		time_of(a->created_us), "due", time_of(a->due_us), "ended", time_of(a->ended_us),
		"error", ops_json_text(a->error), "alert", payload ? payload : json_object());
}

int ops_alerts(const struct ops *o, bool all, json_t **ret, struct err *err)
{
	json_t *list = json_array();
	struct store_result r;

	if (store_outbox_list(o->store, -1, 0, &r, err) < 0) {
		json_decref(list);
		return -1;
	}
	for (size_t i = 0; i < r.n && json_array_size(list) < LISTED_MAX; i++) {
		const struct outbox_row *a = &r.outbox[i];
		if (strcmp(a->kind, "alert") == 0 && (all || a->state != OUTBOX_DONE))
			json_array_append_new(list, act_json(a));
	}
	store_result_release(&r);
	return ops_answer(json_pack("{s:o}", "alerts", list), ret, err);
}
