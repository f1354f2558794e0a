#include "run/alerts.h"

#include "base/arena.h"
#include "core/alert.h"
#include "core/model.h"

static const char *owner_of(const struct dag *dag, const char *task)
{
	const struct task *t = dag && task ? dag_find(dag, task) : NULL;

	if (t && t->owner)
		return t->owner;
	return dag ? dag->owner : NULL;
}

enum severity alerts_severity(const struct dag *dag, const char *task, enum severity usual)
{
	const struct task *t = dag && task ? dag_find(dag, task) : NULL;
	const char *name = t && t->severity ? t->severity : dag ? dag->severity : NULL;
	int found = name ? severity_by_name(name) : -1;

	return found < 0 ? usual : (enum severity)found;
}

/* Who was told that it went wrong is told that it is over, or seen to, whatever the hour; how
 * severe it is, the incident itself knows. */
static bool is_news_of_old(enum incident_what what)
{
	return what == INCIDENT_RESOLVES || what == INCIDENT_ACKS || what == INCIDENT_SNOOZES ||
	       what == INCIDENT_ESCALATES || what == INCIDENT_WAKES;
}

static bool takes(const struct alerts *alerts, const struct alert_route *r,
	const struct alert_subject *s, const struct incident_put *put)
{
	if (!alert_route_takes(r, s))
		return false;
	if (is_news_of_old(put->what))
		return true;
	return put->severity >= r->least && alert_is_within(&r->hours, alerts->zone, put->at_us);
}

/* Of what concerns several DAGs it is enough that one of them is for the route. */
static bool takes_any(const struct alerts *alerts, const struct alert_route *r,
	const struct alerts_dags *of, const struct incident_put *put)
{
	struct alert_subject s = { .dag = put->dag, .kind = put->kind };
	bool any = takes(alerts, r, &s, put);

	/* Who was told of a breaker the store knows; which DAGs had it then is no matter. */
	if (put->kind == INCIDENT_BREAKER_OPEN && is_news_of_old(put->what))
		return alert_route_takes(
			&(struct alert_route){ .kinds = r->kinds, .least = r->least }, &s);
	for (size_t i = 0; i < of->n && !any; i++) {
		const struct dag *dag = of->dags[i];
		s.dag = dag->name;
		s.owner = owner_of(dag, put->dag ? put->task : NULL);
		s.tags = dag->tags;
		any = takes(alerts, r, &s, put);
	}
	return any;
}

static void sooner(int64_t *at_us, int64_t us)
{
	if (us && (!*at_us || us < *at_us))
		*at_us = us;
}

const char *alerts_facts(json_t *o, struct arena *a)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	const char *kept = text ? arena_strdup(a, text) : NULL;

	free(text);
	json_decref(o);
	return kept;
}

void alerts_route(const struct alerts *alerts, const struct dag *dag, struct arena *a,
	struct incident_put *put)
{
	alerts_route_dags(alerts, &(struct alerts_dags){ &dag, dag != NULL }, a, put);
}

void alerts_route_dags(const struct alerts *alerts, const struct alerts_dags *of, struct arena *a,
	struct incident_put *put)
{
	if (!alerts || alerts->nroutes == 0)
		return;
	struct incident_route *list = arena_array(a, 2 * (size_t)alerts->nroutes, sizeof *list);
	int64_t due = alert_due_us(alerts, put->severity, put->at_us), escalate = 0;
	size_t n = 0;

	for (int i = 0; list && i < alerts->nroutes; i++) {
		const struct alert_route *r = &alerts->routes[i];
		if (!takes_any(alerts, r, of, put))
			continue;
		bool apart = r->nescalate_to > 0;
		if (put->what != INCIDENT_ESCALATES || (!apart && r->escalate_after_us))
			list[n++] = (struct incident_route){ r->name, due };
		if (apart && put->what != INCIDENT_OPENS && put->what != INCIDENT_WAKES)
			list[n++] = (struct incident_route){
				arena_printf(a, "%s" ALERT_ESCALATION, r->name), due
			};
		if (r->escalate_after_us)
			sooner(&escalate, put->at_us + r->escalate_after_us);
	}
	put->routes = list;
	put->nroutes = n;
	if (put->what == INCIDENT_OPENS || put->what == INCIDENT_ESCALATES ||
		put->what == INCIDENT_WAKES)
		put->escalate_us = escalate;
}
