/* Whom a missed SLA concerns: incidents, committed with what is missed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "core/incident.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/alerts.h"
#include "run/daemon_sla.h"

static const struct {
	enum incident_kind kind;
	enum severity severity;
} incidents[] = {
	[SLA_FINISH_BY] = { INCIDENT_SLA_FINISH, SEVERITY_ERROR },
	[SLA_FINISH_WITHIN] = { INCIDENT_SLA_FINISH, SEVERITY_ERROR },
	[SLA_START_WITHIN] = { INCIDENT_SLA_START, SEVERITY_ERROR },
	[SLA_RUNS_AT_MOST] = { INCIDENT_SLA_DURATION, SEVERITY_ERROR },
	[SLA_SLOWER_THAN] = { INCIDENT_SLA_SLOW, SEVERITY_WARNING },
	[SLA_AT_RISK] = { INCIDENT_SLA_AT_RISK, SEVERITY_WARNING },
	[SLA_FRESH_WITHIN] = { INCIDENT_SLA_FRESH, SEVERITY_ERROR },
};
static_assert(sizeof incidents / sizeof *incidents == SLA_KIND_MAX, "an incident for each kind");

void daemon_sla_add_time(struct daemon *d, const char *dag, int64_t at_us, struct buf *out)
{
	const struct catalog_dag *c = catalog_find(d->catalog, dag);
	const struct zone *zone = c && c->spec.zone ? c->spec.zone : zone_utc();
	struct zone_info info;
	struct civil t;

	zone_to_civil(zone, at_us / CIVIL_US_PER_S * CIVIL_US_PER_S, &t, &info);
	civil_add_rfc3339(out, &t, info.offset_s);
}

static void set_text(json_t *o, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(o, key, json_string(text));
}

static void add_run_facts(json_t *o, const struct run_row *run)
{
	set_text(o, "run", run->name);
	set_text(o, "ds", run->ds);
}

static void add_dag_facts(json_t *o, const struct dag *dag, const char *task)
{
	const struct task *t = *task ? dag_find(dag, task) : NULL;

	set_text(o, "owner", t && t->owner ? t->owner : dag->owner);
	set_text(o, "runbook", t && t->runbook ? t->runbook : dag->runbook);
	set_text(o, "dir", dag->dir);
}

static const char *facts_of(struct daemon *d, const struct missed *m, const struct dag *dag,
	const struct run_row *run, struct arena *a)
{
	json_t *o = json_object();
	struct buf deadline;

	buf_init(&deadline, 64);
	daemon_sla_add_time(d, m->key.dag, m->deadline_us, &deadline);
	set_text(o, "deadline", deadline.data);
	set_text(o, "error", m->detail);
	set_text(o, "sla", m->key.kind);
	if (run)
		add_run_facts(o, run);
	if (dag)
		add_dag_facts(o, dag, m->key.task);
	buf_release(&deadline);
	return alerts_facts(o, a);
}

static struct incident_put put_of(const struct missed *m)
{
	int kind = sla_kind_by_name(m->key.kind);

	return (struct incident_put){ .kind = incidents[kind].kind,
		.severity = incidents[kind].severity,
		.dag = m->key.dag,
		.task = *m->key.task ? m->key.task : NULL };
}

struct incident_put daemon_sla_opens(struct daemon *d, const struct missed *m, struct arena *a)
{
	const struct run_key key = { m->key.dag, m->key.start_us, m->key.end_us };
	const struct catalog_dag *c = catalog_find(d->catalog, m->key.dag);
	struct incident_put put = put_of(m);
	struct store_result found;
	const struct config *config;
	struct dag *dag = c ? catalog_load(d->catalog, c, &config, NULL) : NULL;
	bool asked = store_run_by_key(d->engine.store, &key, &found, NULL) == 0;
	const struct run_row *run = asked && found.n ? &found.runs[0] : NULL;

	put.what = INCIDENT_OPENS;
	if (put.severity == SEVERITY_ERROR)
		put.severity = alerts_severity(dag, put.task, SEVERITY_ERROR);
	put.at_us = m->found_us;
	put.run_id = run ? run->id : 0;
	put.facts = facts_of(d, m, dag, run, a);
	alerts_route(d->engine.config.alerts, dag, a, &put);
	if (asked)
		store_result_release(&found);
	dag_unref(dag);
	return put;
}

bool daemon_sla_resolves(struct daemon *d, const struct sla_dag *s, const struct missed *m,
	struct arena *a, struct incident_put *ret)
{
	const struct catalog_dag *c = catalog_find(d->catalog, m->key.dag);
	const struct config *config;

	*ret = put_of(m);
	for (const struct missed *o = s->missed; o; o = o->next)
		if (!o->ended && strcmp(o->key.task, m->key.task) == 0 &&
			put_of(o).kind == ret->kind)
			return false;
	struct dag *dag = c ? catalog_load(d->catalog, c, &config, NULL) : NULL;
	ret->what = INCIDENT_RESOLVES;
	ret->at_us = m->ended_us;
	alerts_route(d->engine.config.alerts, dag, a, ret);
	dag_unref(dag);
	return true;
}
