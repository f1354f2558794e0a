#include "core/incident.h"

#include <assert.h>
#include <string.h>

static const struct kind_row {
	const char *name, *text;
} kinds[] = {
	[INCIDENT_TASK_FAILED] = { "task_failed", "task failed" },
	[INCIDENT_RUN_FAILED] = { "run_failed", "run failed" },
	[INCIDENT_LOST_TOO_OFTEN] = { "lost_too_often", "task was lost too often" },
	[INCIDENT_CHECK_FAILED] = { "check_failed", "quality check failed" },
	[INCIDENT_SLA_FINISH] = { "sla_finish", "not done in time" },
	[INCIDENT_SLA_START] = { "sla_start", "not started in time" },
	[INCIDENT_SLA_DURATION] = { "sla_duration", "takes too long" },
	[INCIDENT_SLA_SLOW] = { "sla_slow", "slower than usual" },
	[INCIDENT_SLA_AT_RISK] = { "sla_at_risk", "will probably be late" },
};
static_assert(sizeof kinds / sizeof *kinds == INCIDENT_KIND_MAX, "a row for each kind");

const char *const severity_names[] = {
	[SEVERITY_INFO] = "info",
	[SEVERITY_WARNING] = "warning",
	[SEVERITY_ERROR] = "error",
	[SEVERITY_CRITICAL] = "critical",
	[SEVERITY_MAX] = NULL,
};
static_assert(
	sizeof severity_names / sizeof *severity_names == SEVERITY_MAX + 1, "a name for each");

static const char *const states[] = {
	[INCIDENT_OPEN] = "open",
	[INCIDENT_ACKED] = "acked",
	[INCIDENT_SNOOZED] = "snoozed",
	[INCIDENT_RESOLVED] = "resolved",
};
static_assert(sizeof states / sizeof *states == INCIDENT_STATE_MAX, "a name for each state");

static const char *const whats[] = {
	[INCIDENT_OPENS] = "opened",
	[INCIDENT_RESOLVES] = "resolved",
	[INCIDENT_ESCALATES] = "escalated",
	[INCIDENT_ACKS] = "acknowledged",
	[INCIDENT_SNOOZES] = "snoozed",
	[INCIDENT_WAKES] = "woken",
};
static_assert(sizeof whats / sizeof *whats == INCIDENT_WHAT_MAX, "a name for each");

static int find(const char *const *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

const char *incident_kind_name(enum incident_kind k)
{
	return (unsigned)k < INCIDENT_KIND_MAX ? kinds[k].name : "?";
}

const char *incident_kind_text(enum incident_kind k)
{
	return (unsigned)k < INCIDENT_KIND_MAX ? kinds[k].text : "something is wrong";
}

int incident_kind_by_name(const char *name)
{
	for (int i = 0; i < INCIDENT_KIND_MAX; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return i;
	return -1;
}

const char *severity_name(enum severity s)
{
	return (unsigned)s < SEVERITY_MAX ? severity_names[s] : "?";
}

int severity_by_name(const char *name)
{
	return find(severity_names, SEVERITY_MAX, name);
}

const char *incident_state_name(enum incident_state s)
{
	return (unsigned)s < INCIDENT_STATE_MAX ? states[s] : "?";
}

int incident_state_by_name(const char *name)
{
	return find(states, INCIDENT_STATE_MAX, name);
}

const char *incident_what_name(enum incident_what w)
{
	return (unsigned)w < INCIDENT_WHAT_MAX ? whats[w] : "?";
}

/* ---- what becomes of one ---------------------------------------------------------------- */

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static void begin(const struct incident_put *put, struct incident *next)
{
	*next = (struct incident){ .kind = put->kind,
		.dag = or_empty(put->dag),
		.task = or_empty(put->task),
		.severity = put->severity,
		.opened_us = put->at_us,
		.last_us = put->at_us,
		.count = 1,
		.run_id = put->run_id,
		.facts = put->facts,
		.escalate_us = put->escalate_us };
}

static bool snooze_is_over(const struct incident *i, int64_t now_us)
{
	return i->state == INCIDENT_SNOOZED && i->until_us <= now_us;
}

static void wake(struct incident *i, int64_t escalate_us)
{
	i->state = INCIDENT_OPEN;
	i->until_us = 0;
	i->escalate_us = escalate_us;
}

/* True: to be told. It is when it got worse. */
static bool repeat(const struct incident_put *put, struct incident *i)
{
	bool worse = put->severity > i->severity && i->state == INCIDENT_OPEN;

	i->count++;
	i->last_us = put->at_us;
	i->run_id = put->run_id ? put->run_id : i->run_id;
	i->facts = put->facts ? put->facts : i->facts;
	if (put->severity > i->severity)
		i->severity = put->severity;
	if (!snooze_is_over(i, put->at_us))
		return worse;
	wake(i, put->escalate_us);
	return true;
}

static void resolve(const struct incident_put *put, struct incident *i)
{
	i->state = INCIDENT_RESOLVED;
	i->ended_us = put->at_us;
	i->escalate_us = i->until_us = 0;
}

static void sign(const struct incident_put *put, struct incident *i)
{
	if (!put->by)
		return;
	i->by = put->by;
	i->reason = put->reason;
	i->acted_us = put->at_us;
}

bool incident_apply(const struct incident *present, const struct incident_put *put,
	struct incident *next, bool *ret_tell)
{
	bool tell = true, applies = true;

	*ret_tell = false;
	if (present)
		*next = *present;
	if (!present && put->what == INCIDENT_OPENS)
		begin(put, next);
	else if (!present || present->state == INCIDENT_RESOLVED)
		return false;
	else if (put->what == INCIDENT_OPENS)
		tell = repeat(put, next);
	else if (put->what == INCIDENT_RESOLVES)
		resolve(put, next);
	else if (put->what == INCIDENT_ACKS) {
		applies = next->state != INCIDENT_ACKED;
		next->state = INCIDENT_ACKED;
		next->until_us = next->escalate_us = 0;
	} else if (put->what == INCIDENT_SNOOZES) {
		next->state = INCIDENT_SNOOZED;
		next->until_us = put->until_us;
		next->escalate_us = 0;
		tell = false;
	} else if (put->what == INCIDENT_WAKES) {
		applies = snooze_is_over(next, put->at_us);
		wake(next, put->escalate_us);
	} else {
		applies = next->state == INCIDENT_OPEN && next->escalate_us &&
			  next->escalate_us <= put->at_us;
		next->escalations++;
		next->escalate_us = put->escalate_us;
	}
	if (!applies)
		return false;
	sign(put, next);
	*ret_tell = tell && put->nroutes > 0;
	next->told += *ret_tell;
	return true;
}

/* ---- from changes of the scheduler ------------------------------------------------------ */

static size_t put_one(struct incident_put *put, size_t n, const struct change *c,
	enum incident_what what, enum incident_kind kind, enum severity severity)
{
	put[n] = (struct incident_put){ .what = what,
		.kind = kind,
		.task = c->task,
		.severity = severity,
		.at_us = c->at_us,
		.run_id = c->run_id };
	return n + 1;
}

static size_t of_failure(
	const struct change *c, const struct incident_checks *checks, struct incident_put *put)
{
	enum incident_kind kind = INCIDENT_TASK_FAILED;

	if (c->reason == REASON_LOST_TOO_OFTEN)
		kind = INCIDENT_LOST_TOO_OFTEN;
	else if (checks->errors)
		kind = INCIDENT_CHECK_FAILED;
	return put_one(put, 0, c, INCIDENT_OPENS, kind, SEVERITY_ERROR);
}

static size_t of_success(
	const struct change *c, const struct incident_checks *checks, struct incident_put *put)
{
	size_t n = put_one(put, 0, c, INCIDENT_RESOLVES, INCIDENT_TASK_FAILED, SEVERITY_INFO);

	n = put_one(put, n, c, INCIDENT_RESOLVES, INCIDENT_LOST_TOO_OFTEN, SEVERITY_INFO);
	return put_one(put, n, c, checks->warnings ? INCIDENT_OPENS : INCIDENT_RESOLVES,
		INCIDENT_CHECK_FAILED, checks->warnings ? SEVERITY_WARNING : SEVERITY_INFO);
}

size_t incident_of_change(const struct change *c, const struct incident_checks *checks,
	struct incident_put put[INCIDENTS_PER_CHANGE])
{
	/* Who marks a task as failed knows it. */
	if (c->kind == CHANGE_TASK && c->state.to == TASK_FAILED && c->reason != REASON_MARKED)
		return of_failure(c, checks, put);
	if (c->kind == CHANGE_TASK && c->reason == REASON_SKIPPED_BY_REQUEST)
		return of_success(c, &(struct incident_checks){ 0 }, put);
	if (c->kind == CHANGE_TASK && c->state.to == TASK_SUCCESS)
		return of_success(c, checks, put);
	/* A failed task was told of; a run that fails for another reason was not. */
	if (c->kind == CHANGE_RUN && c->run.to == RUN_FAILED && c->reason != REASON_SOME_FAILED)
		return put_one(put, 0, c, INCIDENT_OPENS, INCIDENT_RUN_FAILED, SEVERITY_ERROR);
	if (c->kind == CHANGE_RUN && c->run.to == RUN_SUCCESS)
		return put_one(put, 0, c, INCIDENT_RESOLVES, INCIDENT_RUN_FAILED, SEVERITY_INFO);
	return 0;
}
