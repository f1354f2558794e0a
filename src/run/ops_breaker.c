/* Circuit breakers: how they stand, and a person's word. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/near.h"
#include "core/breaker.h"
#include "core/incident.h"
#include "core/sched.h"
#include "run/alerts.h"
#include "run/breakers.h"
#include "run/ops_impl.h"

enum { TEXT_MAX = 4096, NAMED_MAX = 512 };

/* ---- what is answered -------------------------------------------------------------------- */

static json_t *policy_json(const struct breaker_policy *p)
{
	json_t *counts = json_array();

	for (int i = 0; i < BREAKER_CLASS_MAX; i++)
		if (p->counts & 1u << i)
			json_array_append_new(
				counts, json_string(breaker_class_name((enum breaker_class)i)));
	return json_pack("{s:i, s:f, s:i, s:I, s:I, s:I, s:f, s:i, s:i, s:o}", "failures",
		p->failures, "rate", p->rate, "at_least", p->at_least, "within_us",
		(json_int_t)p->window_us, "open_us", (json_int_t)p->open_us, "max_open_us",
		(json_int_t)p->max_open_us, "factor", p->factor, "probes", p->probes, "ramp",
		p->ramp, "counts", counts);
}

static const char *known_reason(const struct breaker_row *row)
{
	return row && row->why != REASON_NONE ? reason_name(row->why) : NULL;
}

/* How one stands: as the scheduler has it, else by the store's row; either may be NULL. */
static json_t *breaker_json(const struct sched_breaker *live, const struct breaker_row *row)
{
	struct breaker b = { 0 };
	int failures = 0, ended = 0;

	if (live && live->breaker)
		b = *live->breaker;
	else if (row)
		breaker_parse(row->text, &b);
	const struct breaker_policy *p = live ? live->policy : NULL;
	if (p)
		failures = breaker_failures(&b, p, clock_now_us(), &ended);
	bool waits = b.state == BREAKER_OPEN && b.until_us < INT64_MAX;
	json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "breaker",
		live ? live->name : row->name, "state", breaker_state_name(b.state), "since",
		ops_json_time(zone_utc(), b.since_us), "until",
		ops_json_time(zone_utc(), waits ? b.until_us : 0), "why",
		ops_json_text(known_reason(row)), "by", ops_json_text(row ? row->by : NULL),
		"reason", ops_json_text(row ? row->reason : NULL));
	json_t *more = json_pack("{s:i, s:i, s:i, s:o, s:o}", "failures", failures, "ended", ended,
		"probing", b.probing, "held",
		live && live->breaker ? json_integer(live->held) : json_null(), "policy",
		p ? policy_json(p) : json_null());
	if (o && more)
		json_object_update_new(o, more);
	return o;
}

struct listing {
	const struct store_result *rows;
	const char *only; /* NULL: all */
	json_t *by_name;
	const char *names[NAMED_MAX];
	size_t n;
};

static const struct breaker_row *row_of(const struct store_result *rows, const char *name)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->breakers[i].name, name) == 0)
			return &rows->breakers[i];
	return NULL;
}

static void add_live(void *ctx, const struct sched_breaker *b)
{
	struct listing *l = ctx;

	if (l->n < NAMED_MAX)
		l->names[l->n++] = b->name;
	if (!l->only || strcmp(l->only, b->name) == 0)
		json_object_set_new(l->by_name, b->name, breaker_json(b, row_of(l->rows, b->name)));
}

/* All that are known, or one, by name. */
static void list_all(const struct ops *o, struct listing *l)
{
	if (o->each_breaker)
		o->each_breaker(o->arg, add_live, l);
	for (size_t i = 0; i < l->rows->n; i++) {
		const struct breaker_row *row = &l->rows->breakers[i];
		if (l->n < NAMED_MAX)
			l->names[l->n++] = row->name;
		if ((!l->only || strcmp(l->only, row->name) == 0) &&
			!json_object_get(l->by_name, row->name))
			json_object_set_new(l->by_name, row->name, breaker_json(NULL, row));
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int answer_all(struct listing *l, json_t **ret, struct err *err)
{
	json_t *list = json_array();

	qsort(l->names, l->n, sizeof *l->names, by_name);
	for (size_t i = 0; i < l->n; i++)
		if (i == 0 || strcmp(l->names[i], l->names[i - 1]) != 0)
			json_array_append(list, json_object_get(l->by_name, l->names[i]));
	return ops_answer(json_pack("{s:o}", "breakers", list), ret, err);
}

static json_t *history_json(const struct store_result *rows)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rows->n; i++) {
		const struct breaker_event_row *e = &rows->breaker_events[i];
		json_array_append_new(
			list, json_pack("{s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "at",
				      ops_json_time(zone_utc(), e->at_us), "from",
				      breaker_state_name(e->from), "to", breaker_state_name(e->to),
				      "why", reason_name(e->why), "by", ops_json_text(e->by),
				      "reason", ops_json_text(e->reason), "run",
				      ops_json_text(e->run), "task", ops_json_text(e->task)));
	}
	return list;
}

static int not_found(const struct listing *l, struct err *err)
{
	const char *near = near_find(l->only, l->names, l->n);

	if (near)
		return err_set(err, ERR_NOT_FOUND,
			"there is no circuit breaker \"%.128s\"; did you mean \"%s\"?", l->only,
			near);
	return err_set(err, ERR_NOT_FOUND,
		"there is no circuit breaker \"%.128s\"; weir.yaml has them: breakers: { NAME: { "
		"failures: 5 } }",
		l->only);
}

static int answer_one(const struct ops *o, struct listing *l, json_t **ret, struct err *err)
{
	json_t *one = json_object_get(l->by_name, l->only);
	struct store_result events;

	if (!one)
		return not_found(l, err);
	if (store_breaker_events(o->store, l->only, OPS_BREAKER_HISTORY, &events, err) < 0)
		return -1;
	json_object_set_new(one, "held_by", o->held_by ? o->held_by(o->arg, l->only) : json_null());
	json_object_set_new(one, "history", history_json(&events));
	store_result_release(&events);
	return ops_answer(json_incref(one), ret, err);
}

int ops_breakers(const struct ops *o, const char *name, json_t **ret, struct err *err)
{
	struct store_result rows;
	int rc;

	if (store_breakers(o->store, NULL, &rows, err) < 0)
		return -1;
	struct listing l = { .rows = &rows, .only = name, .by_name = json_object() };
	list_all(o, &l);
	rc = name ? answer_one(o, &l, ret, err) : answer_all(&l, ret, err);
	json_decref(l.by_name);
	store_result_release(&rows);
	return rc;
}

/* ---- a person's word --------------------------------------------------------------------- */

/* What the store has, or one that never changed. */
static int read_breaker(const struct ops *o, const char *name, struct breaker *ret, struct err *err)
{
	struct store_result rows;

	*ret = (struct breaker){ 0 };
	if (store_breakers(o->store, name, &rows, err) < 0)
		return -1;
	if (rows.n)
		breaker_parse(rows.breakers[0].text, ret);
	store_result_release(&rows);
	return 0;
}

/* By a person, and until a person says otherwise. */
static bool is_forced(const struct breaker *b, bool open)
{
	return open ? b->state == BREAKER_OPEN && b->until_us == INT64_MAX
		    : b->state == BREAKER_CLOSED;
}

/* That it opens is told to those whom it concerns, that it closes to those who were told. */
static int route(const struct ops *o, const struct breaker_put *p, struct arena *a,
	struct incident_put *put, struct err *err)
{
	const struct incident_filter f = { .dag = "" };
	struct store_result r;

	if (put->what == INCIDENT_OPENS && o->route_breaker) {
		o->route_breaker(o->arg, p->name, a, put);
		return 0;
	}
	if (put->what == INCIDENT_OPENS) {
		alerts_route(o->alerts ? o->alerts(o->arg) : NULL, NULL, a, put);
		return 0;
	}
	if (store_incidents(o->store, &f, &r, err) < 0)
		return -1;
	for (size_t i = 0; i < r.n; i++)
		if (r.incidents[i].kind == put->kind && strcmp(r.incidents[i].task, p->name) == 0)
			ops_route_incident(o, &r.incidents[i], a, put);
	store_result_release(&r);
	return 0;
}

/* With its incident. */
static int commit(const struct ops *o, const struct breaker_put *p, struct err *err)
{
	const struct breaker_facts facts = { .name = p->name, .text = p->text, .why = p->why };
	bool open = p->to == BREAKER_OPEN;
	struct incident_put put = { .what = open ? INCIDENT_OPENS : INCIDENT_RESOLVES,
		.kind = INCIDENT_BREAKER_OPEN,
		.task = p->name,
		.severity = SEVERITY_WARNING, /* somebody knows */
		.at_us = p->at_us,
		.by = p->by,
		.reason = p->reason };
	const struct store_batch batch = {
		.breakers = p, .nbreakers = 1, .incidents = &put, .nincidents = 1
	};
	struct arena a;

	arena_init(&a, 1 << 20);
	if (open)
		put.facts = breakers_facts(&facts, &a);
	int rc = route(o, p, &a, &put, err);
	if (rc == 0)
		rc = a.failed ? err_nomem(err) : store_commit(o->store, &batch, err);
	arena_release(&a);
	return rc;
}

static int put(const struct ops *o, struct breaker_put *p, struct breaker *b, struct err *err)
{
	bool open = p->to == BREAKER_OPEN;
	struct buf text;

	buf_init(&text, TEXT_MAX);
	p->from = b->state;
	p->at_us = p->since_us = clock_now_us();
	if (open)
		breaker_force_open(b, p->at_us);
	else
		breaker_force_closed(b, p->at_us);
	breaker_add(&text, b);
	p->text = text.data;
	int rc = buf_ok(&text, "the breaker", err) < 0 ? -1 : commit(o, p, err);
	/* Not by way of the store, which may be out of order now: a failure that is counted
	 * meanwhile would be written over what was said. */
	if (rc == 0 && o->breaker_set)
		o->breaker_set(o->arg, p->name, p->text);
	buf_release(&text);
	return rc;
}

/* How it stands now. It is set: a store that cannot be read any more makes no fault of that, and
 * what was seen before is told with what was said. */
static json_t *look_again(const struct ops *o, const struct breaker_put *p, json_t *before)
{
	struct err err = { 0 };
	json_t *now;

	if (ops_breakers(o, p->name, &now, &err) == 0) {
		json_decref(before);
		return now;
	}
	if (p->at_us)
		json_object_update_new(before, json_pack("{s:s, s:o, s:n, s:s, s:s, s:o}", "state",
						       breaker_state_name(p->to), "since",
						       ops_json_time(zone_utc(), p->since_us),
						       "until", "why", reason_name(p->why), "by",
						       p->by, "reason", ops_json_text(p->reason)));
	return before;
}

int ops_breaker_set(const struct ops *o, const char *name, bool open, const char *reason,
	json_t **ret, struct err *err)
{
	struct breaker_put p = { .name = name,
		.to = open ? BREAKER_OPEN : BREAKER_CLOSED,
		.why = REASON_BREAKER_FORCED,
		.by = ops_by(o),
		.reason = reason };
	struct breaker b;

	if (ops_check_reason(reason, err) < 0 || ops_breakers(o, name, ret, err) < 0)
		return -1;
	json_t *before = *ret;
	json_int_t held = json_integer_value(json_object_get(before, "held"));
	*ret = NULL;
	bool known = read_breaker(o, name, &b, err) == 0;
	bool changed = known && !is_forced(&b, open);
	/* Who opened it and why stays, until another reason is given. */
	if (!known || ((changed || (open && reason)) && put(o, &p, &b, err) < 0)) {
		json_decref(before);
		return -1;
	}
	ops_note(o, (struct ops_note){ .what = open ? "open breaker" : "close breaker",
			    .breaker = name,
			    .reason = reason });
	*ret = look_again(o, &p, before);
	json_object_set_new(*ret, "changed", json_boolean(changed));
	json_object_set_new(*ret, "let_go", json_integer(open ? 0 : held));
	return 0;
}
