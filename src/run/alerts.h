/* Alerts: to whom an incident is told.
 *
 * Decisions come with incidents (core/incident.h). alerts_route adds, from `alerts:` of weir.yaml
 * (core/alert.h), which routes are to tell of one, when, and when it escalates; the store then
 * commits the incident, and an act of the outbox for each route, together. run/alerting.h sends
 * those acts.
 */
#ifndef WEIR_RUN_ALERTS_H
#define WEIR_RUN_ALERTS_H

#include <jansson.h>

#include "core/incident.h"

struct alerts;
struct arena;
struct dag;

/* How bad a failure is by what the DAG file says; `task` NULL: of the run. `usual` where it says
 * nothing. */
enum severity alerts_severity(const struct dag *dag, const char *task, enum severity usual);

/* The facts of a put, as the text that is kept in `a`; `o` is given up. NULL: without memory. */
const char *alerts_facts(json_t *o, struct arena *a);

/* Fill in routes and escalation of a put. `dag`: whose it is, for its tags and owner; NULL: of
 * none, and routes for tags and owners are not for it. What is filled in lives in `a`. `alerts`
 * NULL: nobody is told. */
void alerts_route(const struct alerts *alerts, const struct dag *dag, struct arena *a,
	struct incident_put *put);

/* The same of what belongs to no DAG and concerns several: a breaker. */
struct alerts_dags {
	const struct dag *const *dags;
	size_t n;
};
void alerts_route_dags(const struct alerts *alerts, const struct alerts_dags *of, struct arena *a,
	struct incident_put *put);

#endif
