/* What the changes of a step mean to people: incidents, committed with them. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/err.h"
#include "core/model.h"
#include "core/sla.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "run/alerts.h"
#include "run/breakers.h"
#include "run/engine_impl.h"
#include "run/name.h"

enum { ERROR_MAX = 2000, CHECK_TEXT_MAX = 200, NAMES_MAX = 20, LOOK_BACK = 8 };

/* The end of the attempt that a change of a task follows from; NULL: it follows from none. */
static const struct change *end_of(const struct change *changes, size_t i)
{
	const struct change *c = &changes[i];

	for (size_t n = 0; n < LOOK_BACK && i > 0; n++) {
		const struct change *e = &changes[--i];
		if (e->run_id != c->run_id || e->task_index != c->task_index ||
			e->map_index != c->map_index)
			continue;
		if (e->kind == CHANGE_END)
			return e;
	}
	return NULL;
}

static bool is_warning(const struct check_row *c)
{
	return strcmp(c->status, "warn") == 0 ||
	       (strncmp(c->severity, "warn", 4) == 0 && strcmp(c->status, "pass") != 0);
}

static bool is_error(const struct check_row *c)
{
	return !is_warning(c) && strcmp(c->status, "pass") != 0;
}

static void set_text(json_t *o, const char *key, const char *text, size_t max)
{
	size_t len = text ? strlen(text) : 0;

	while (len > max && ((unsigned char)text[max] & 0xc0) == 0x80)
		max--;
	if (text)
		json_object_set_new(o, key, json_stringn(text, len < max ? len : max));
}

static json_t *check_json(const struct check_row *c)
{
	json_t *o = json_object();

	set_text(o, "name", c->name, CHECK_TEXT_MAX);
	set_text(o, "observed", c->observed, CHECK_TEXT_MAX);
	set_text(o, "expected", c->expected, CHECK_TEXT_MAX);
	return o;
}

static json_t *count_checks(
	const struct engine *e, int64_t token, bool failed, struct incident_checks *ret)
{
	json_t *names = json_array();

	*ret = (struct incident_checks){ 0 };
	for (size_t i = 0; i < e->nchecks; i++) {
		const struct check_row *c = &e->checks[i];
		if (c->token != token || !c->status || !c->severity || !c->name)
			continue;
		ret->warnings += is_warning(c);
		ret->errors += is_error(c);
		bool counts = is_error(c) || (!failed && is_warning(c));
		if (counts && json_array_size(names) < NAMES_MAX)
			json_array_append_new(names, check_json(c));
	}
	return names;
}

/* Names of all tasks that wait for this one, in file order. */
static json_t *dependents_of(const struct dag *dag, int task)
{
	bool *reached = calloc((size_t)dag->ntasks + 1, sizeof *reached);
	json_t *names = json_array();

	if (reached)
		reached[task] = true;
	for (int i = 0; reached && i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[dag->order[i]];
		for (int k = 0; k < t->nneeds; k++)
			reached[t->index] |= reached[t->needs[k]];
	}
	for (int i = 0; reached && i < dag->ntasks; i++)
		if (reached[i] && i != task && json_array_size(names) < NAMES_MAX)
			json_array_append_new(names, json_string(dag->tasks[i].name));
	free(reached);
	return names;
}

/* Until when the interval was to be done, by the SLA of the task or of the DAG. */
static void add_deadline(json_t *o, const struct active_run *r, const struct task *t)
{
	static const enum sla_kind kinds[] = { SLA_FINISH_BY, SLA_FINISH_WITHIN };
	const struct sla *const slas[] = { t->sla, r->dag->sla };
	int64_t first = INT64_MAX;
	struct zone_info info;
	struct tick tick;
	struct civil c;
	struct buf text;

	if (!r->dag->schedule || r->dag->schedule->kind == TIMETABLE_MANUAL ||
		timetable_interval_at(r->dag->schedule, r->job.interval_start_us, &tick) != 1)
		return;
	for (int i = 0; i < 4; i++) {
		const struct sla *s = slas[i / 2];
		int64_t at = s && sla_has(s, kinds[i % 2])
				     ? sla_deadline_us(s, kinds[i % 2], r->dag->schedule, &tick)
				     : INT64_MAX;
		first = at < first ? at : first;
	}
	if (first == INT64_MAX)
		return;
	buf_init(&text, 64);
	zone_to_civil(r->job.zone, first, &c, &info);
	civil_add_rfc3339(&text, &c, info.offset_s);
	set_text(o, "deadline", text.data, ERROR_MAX);
	buf_release(&text);
}

/* Of an instance it says which one it is. */
static void set_error(json_t *o, const struct change *c, const char *error)
{
	char label[RUN_LABEL_MAX];
	struct buf text;

	if (c->map_index < 0) {
		set_text(o, "error", error, ERROR_MAX);
		return;
	}
	buf_init(&text, BUF_MAX_TEXT);
	buf_addf(&text, "%s: %s", run_task_label(c->task, c->map_index, label),
		error ? error : "failed");
	set_text(o, "error", text.data, ERROR_MAX);
	json_object_set_new(o, "map_index", json_integer(c->map_index));
	buf_release(&text);
}

static void add_task_facts(
	json_t *o, const struct active_run *r, const struct change *c, const struct change *end)
{
	const struct task *t = &r->dag->tasks[c->task_index];

	const char *runbook = t->runbook ? t->runbook : r->dag->runbook;
	const char *owner = t->owner ? t->owner : r->dag->owner;

	json_object_set_new(o, "tries", json_integer(t->retry.retries + 1));
	set_text(o, "runbook", runbook, ERROR_MAX);
	set_text(o, "owner", owner, ERROR_MAX);
	set_text(o, "dir", r->dag->dir, ERROR_MAX);
	json_object_set_new(o, "dependents", dependents_of(r->dag, c->task_index));
	add_deadline(o, r, t);
	if (c->reason == REASON_LIST_FAILED)
		set_text(o, "error", c->detail, ERROR_MAX);
	if (!end)
		return;
	json_object_set_new(o, "try", json_integer(end->attempt.try));
	json_object_set_new(o, "outcome", json_string(outcome_name(end->attempt.outcome)));
	if (end->attempt.exit_status >= 0)
		json_object_set_new(o, "exit_status", json_integer(end->attempt.exit_status));
	if (end->attempt.signal)
		json_object_set_new(o, "signal", json_integer(end->attempt.signal));
	set_error(o, c, end->attempt.error);
}

static const char *facts_of(struct engine *e, const struct active_run *r, const struct change *c,
	const struct change *end, json_t *checks)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "run", r->name, "ds", r->ds ? r->ds : "", "reason",
		reason_name(c->reason));

	if (o && c->kind == CHANGE_TASK)
		add_task_facts(o, r, c, end);
	if (o && json_array_size(checks))
		json_object_set(o, "checks", checks);
	return alerts_facts(o, &e->incident_arena);
}

static int add_put(struct engine *e, const struct incident_put *put, struct err *err)
{
	if (e->nincidents == e->incidents_cap) {
		size_t cap = e->incidents_cap ? 2 * e->incidents_cap : 16;
		struct incident_put *grown = reallocarray(e->incidents, cap, sizeof *grown);
		if (!grown)
			return err_nomem(err);
		e->incidents = grown;
		e->incidents_cap = cap;
	}
	e->incidents[e->nincidents++] = *put;
	return 0;
}

/* Of a schedule that makes up for every interval none stands for another. */
static bool each_counts(const struct dag *dag)
{
	return dag->schedule && dag->schedule->catchup == TIMETABLE_CATCHUP_ALL;
}

static int add_change(struct engine *e, const struct change *changes, size_t i, struct err *err)
{
	const struct change *c = &changes[i], *end = end_of(changes, i);
	const struct active_run *r = engine_find(e, c->run_id);
	bool failed = c->kind == CHANGE_TASK && c->state.to == TASK_FAILED;
	struct incident_put puts[INCIDENTS_PER_CHANGE];
	struct incident_checks counts;
	json_t *checks = count_checks(e, end ? end->attempt.token : 0, failed, &counts);
	size_t n = incident_of_change(c, &counts, puts);
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < n; k++) {
		puts[k].dag = r->dag->name;
		puts[k].start_us = r->job.interval_start_us;
		puts[k].end_us = r->job.interval_end_us;
		puts[k].alone = each_counts(r->dag);
		if (puts[k].what == INCIDENT_OPENS && puts[k].severity == SEVERITY_ERROR)
			puts[k].severity = alerts_severity(r->dag, c->task, SEVERITY_ERROR);
		if (puts[k].what == INCIDENT_OPENS)
			puts[k].facts = facts_of(e, r, c, end, checks);
		alerts_route(e->config.alerts, r->dag, &e->incident_arena, &puts[k]);
		rc = add_put(e, &puts[k], err);
	}
	json_decref(checks);
	return rc;
}

/* ---- breakers -------------------------------------------------------------------------- */

/* The attempt whose end made it so. */
static const struct change *end_of_breaker(const struct change *changes, size_t i)
{
	const struct change *c = &changes[i];

	while (c->breaker.task && i > 0) {
		const struct change *e = &changes[--i];
		if (e->kind == CHANGE_END && e->run_id == c->breaker.run_id &&
			strcmp(e->task, c->breaker.task) == 0)
			return e;
	}
	return NULL;
}

static const char *facts_of_breaker(struct engine *e, const struct change *changes, size_t i)
{
	const struct change *c = &changes[i], *end = end_of_breaker(changes, i);
	const struct active_run *r = c->breaker.task ? engine_find(e, c->breaker.run_id) : NULL;
	const struct breaker_facts facts = {
		.name = c->breaker.name,
		.text = c->breaker.text,
		.why = c->reason,
		.error = end && end->attempt.error ? end->attempt.error : c->detail,
		.run = r ? r->name : NULL,
		.task = r ? c->breaker.task : NULL,
		.try = r && end ? end->attempt.try : 0,
		.map_index = end ? end->map_index : -1,
	};

	return breakers_facts(&facts, &e->incident_arena);
}

/* Whom it concerns: the DAGs in hand that have it. */
static int add_breaker(struct engine *e, const struct change *changes, size_t i, struct err *err)
{
	struct incident_put put[INCIDENTS_PER_CHANGE];

	if (incident_of_change(&changes[i], &(struct incident_checks){ 0 }, put) == 0)
		return 0;
	if (put->what == INCIDENT_OPENS)
		put->facts = facts_of_breaker(e, changes, i);
	breakers_route(e, put->task, &e->incident_arena, put);
	return add_put(e, put, err);
}

/* ---- all of them ----------------------------------------------------------------------- */

static bool may_mean_something(const struct change *c)
{
	if (c->kind == CHANGE_TASK)
		return c->state.to == TASK_FAILED || c->state.to == TASK_SUCCESS ||
		       c->state.to == TASK_SKIPPED;
	return c->kind == CHANGE_RUN && run_state_is_final(c->run.to);
}

int engine_collect_incidents(
	struct engine *e, const struct change *changes, size_t n, struct err *err)
{
	arena_release(&e->incident_arena);
	e->nincidents = 0;
	for (size_t i = 0; i < n; i++) {
		if (changes[i].kind == CHANGE_BREAKER && add_breaker(e, changes, i, err) < 0)
			return -1;
		if (may_mean_something(&changes[i]) && add_change(e, changes, i, err) < 0)
			return -1;
	}
	return e->incident_arena.failed ? err_nomem(err) : 0;
}
