/* Incidents in SQLite. */
#include "base/err.h"
#include "store/sqlite.h"

void sqlite_read_incident(struct sqlite_cursor *c, void *row)
{
	struct incident *r = row;

	r->id = sqlite_get_int(c);
	r->kind = (enum incident_kind)sqlite_get_name(c, incident_kind_by_name, INCIDENT_KIND_MAX);
	r->dag = sqlite_get_text_or_empty(c);
	r->task = sqlite_get_text_or_empty(c);
	r->severity = (enum severity)sqlite_get_name(c, severity_by_name, SEVERITY_ERROR);
	r->state =
		(enum incident_state)sqlite_get_name(c, incident_state_by_name, INCIDENT_RESOLVED);
	r->opened_us = sqlite_get_int(c);
	r->last_us = sqlite_get_int(c);
	r->ended_us = sqlite_get_int(c);
	r->count = sqlite_get_int(c);
	r->run_id = sqlite_get_int(c);
	r->facts = sqlite_get_text(c);
	r->by = sqlite_get_text(c);
	r->reason = sqlite_get_text(c);
	r->acted_us = sqlite_get_int(c);
	r->until_us = sqlite_get_int(c);
	r->escalate_us = sqlite_get_int(c);
	r->escalations = sqlite_get_int(c);
	r->told = sqlite_get_int(c);
	r->told_to = sqlite_get_text(c);
	r->undone = sqlite_get_text(c);
	r->eased_us = sqlite_get_int(c);
}

/* The row that a put is about: 1, or 0 when there is none. */
static int find(struct sqlite_store *s, const struct incident_put *p, struct arena *a,
	struct incident *ret, struct err *err)
{
	static const char doing[] = "look for an incident";
	struct sqlite_query q =
		sqlite_query(s, p->id ? SQL_INCIDENT_BY_ID : SQL_INCIDENT_OPEN, doing);

	if (p->id) {
		sqlite_bind_int(&q, p->id);
	} else {
		sqlite_bind_text(&q, p->dag ? p->dag : "");
		sqlite_bind_text(&q, p->task ? p->task : "");
		sqlite_bind_text(&q, incident_kind_name(p->kind));
	}
	int r = sqlite_step(&q, err);
	if (r == 1)
		sqlite_read_incident(&(struct sqlite_cursor){ &q, a, 0 }, ret);
	sqlite_done(&q);
	return r == 1 && a->failed ? err_nomem(err) : r;
}

static int write(struct sqlite_store *s, struct incident *i, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_INCIDENT_PUT, "record an incident");

	sqlite_bind_time(&q, i->id);
	sqlite_bind_text(&q, incident_kind_name(i->kind));
	sqlite_bind_text(&q, i->dag);
	sqlite_bind_text(&q, i->task);
	sqlite_bind_text(&q, severity_name(i->severity));
	sqlite_bind_text(&q, incident_state_name(i->state));
	sqlite_bind_int(&q, i->opened_us);
	sqlite_bind_int(&q, i->last_us);
	sqlite_bind_time(&q, i->ended_us);
	sqlite_bind_int(&q, i->count);
	sqlite_bind_time(&q, i->run_id);
	sqlite_bind_text(&q, i->facts);
	sqlite_bind_text(&q, i->by);
	sqlite_bind_text(&q, i->reason);
	sqlite_bind_time(&q, i->acted_us);
	sqlite_bind_time(&q, i->until_us);
	sqlite_bind_time(&q, i->escalate_us);
	sqlite_bind_int(&q, i->escalations);
	sqlite_bind_int(&q, i->told);
	sqlite_bind_text(&q, i->told_to);
	sqlite_bind_text(&q, i->undone);
	sqlite_bind_time(&q, i->eased_us);
	if (sqlite_run(&q, err) < 0)
		return -1;
	if (!i->id)
		i->id = sqlite3_last_insert_rowid(s->db);
	return 0;
}

static int put_in(
	struct sqlite_store *s, const struct incident_put *p, struct arena *a, struct err *err)
{
	struct incident present, next;
	struct incident_act act;
	bool tell;
	int r = find(s, p, a, &present, err);

	if (r < 0)
		return -1;
	/* A kind of a later weir is left alone. */
	if ((r && present.kind == INCIDENT_KIND_MAX) ||
		!incident_apply(r ? &present : NULL, p, a, &next, &tell))
		return backend_bad_incident(p, r ? &present : NULL, err);
	if (a->failed)
		return err_nomem(err);
	if (write(s, &next, err) < 0)
		return -1;
	for (size_t i = 0; tell && i < p->nroutes; i++) {
		if (!incident_tells(&next, p, &p->routes[i]))
			continue;
		if (backend_incident_act(&next, p, &p->routes[i], &act, err) < 0)
			return -1;
		r = sqlite_act_put(s, &act.act, err);
		backend_incident_act_release(&act);
		if (r < 0)
			return -1;
	}
	return 0;
}

int sqlite_incident_put(struct sqlite_store *s, const struct incident_put *p, struct err *err)
{
	struct arena a;

	arena_init(&a, 1 << 20);
	int r = put_in(s, p, &a, err);
	arena_release(&a);
	return r;
}

int sqlite_incidents_prune(
	struct store *base, int64_t before_us, int max, int *ret_n, struct err *err)
{
	const struct sqlite_old old = { SQL_INCIDENTS_DELETE, before_us, max,
		"forget old incidents" };

	return sqlite_forget(base, &old, ret_n, err);
}
