/* Incidents: what the backends share. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "store/backend.h"

int backend_check_incident(const struct incident_put *p, struct err *err)
{
	if ((unsigned)p->what >= INCIDENT_WHAT_MAX || (unsigned)p->kind >= INCIDENT_KIND_MAX ||
		(unsigned)p->severity >= SEVERITY_MAX)
		return err_set(err, ERR_INTERNAL, "an incident of an unknown kind or severity");
	for (size_t i = 0; i < p->nroutes; i++)
		if (!p->routes[i].name || !*p->routes[i].name)
			return err_set(err, ERR_INTERNAL, "an incident is told through no route");
	return 0;
}

int backend_bad_incident(
	const struct incident_put *p, const struct incident *present, struct err *err)
{
	if (!p->id)
		return 0;
	if (!present)
		return err_set(err, ERR_NOT_FOUND,
			"there is no incident %" PRId64 ": `weir incidents --all` lists them",
			p->id);
	return err_set(err, ERR_REFUSED, "incident %" PRId64 " is %s already", p->id,
		incident_state_name(present->state));
}

int backend_incident_act(const struct incident *i, const struct incident_put *p,
	const struct incident_route *route, struct incident_act *ret, struct err *err)
{
	json_t *o = json_pack("{s:I, s:s, s:I, s:s, s:s, s:s, s:s, s:s}", "incident",
		(json_int_t)i->id, "what", incident_what_name(p->what), "n", (json_int_t)i->told,
		"route", route->name, "dag", i->dag, "task", i->task, "kind",
		incident_kind_name(i->kind), "severity", severity_name(i->severity));

	*ret = (struct incident_act){ .payload = o ? json_dumps(o, JSON_COMPACT) : NULL };
	json_decref(o);
	if (!ret->payload || asprintf(&ret->key, "incident/%" PRId64 "/%" PRId64 "/%s", i->id,
				     i->told, route->name) < 0) {
		free(ret->payload);
		return err_nomem(err);
	}
	ret->act = (struct outbox_act){ .key = ret->key,
		.kind = "alert",
		.payload = ret->payload,
		.at_us = p->at_us,
		.due_us = route->due_us };
	return 0;
}

void backend_incident_act_release(struct incident_act *a)
{
	free(a->key);
	free(a->payload);
}

/* ---- reading --------------------------------------------------------------------------- */

int store_incidents(
	struct store *s, const struct incident_filter *f, struct store_result *ret, struct err *err)
{
	const struct list_query q = { .kind = f->due_us ? LIST_INCIDENTS_DUE : LIST_INCIDENTS,
		.id = f->id,
		.dag = f->dag,
		.state = f->all || f->id,
		.due_us = f->due_us,
		.limit = f->limit };

	return backend_list(s, &q, ret, err);
}

int store_incidents_next(struct store *s, int64_t *ret_due_us, struct err *err)
{
	const struct incident_filter f = { .due_us = INT64_MAX, .limit = 1 };
	struct store_result r;

	if (store_incidents(s, &f, &r, err) < 0)
		return -1;
	*ret_due_us = r.n ? r.incidents[0].until_us + r.incidents[0].escalate_us : 0;
	store_result_release(&r);
	return 0;
}

int store_incidents_prune(struct store *s, int64_t before_us, int max, int *ret_n, struct err *err)
{
	if (max <= 0)
		return err_set(err, ERR_INTERNAL, "cannot forget %d incidents", max);
	return s->ops->incidents_prune(s, before_us, max, ret_n, err);
}
