#include "core/incident.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"

enum { UNDONE_TEXT_MAX = 8192, ROUTE_MAX = 256 };

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
	[INCIDENT_BREAKER_OPEN] = { "breaker_open", "circuit breaker is open" },
	[INCIDENT_SLA_FRESH] = { "sla_fresh", "data out of date" },
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
		.escalate_us = put->escalate_us,
		.told_to = "" };
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

/* True: to be told. It is when it got worse, and when it had gone well in between. */
static bool repeat(const struct incident_put *put, struct incident *i)
{
	bool worse = put->severity > i->severity && i->state == INCIDENT_OPEN;
	bool anew = i->eased_us && i->state != INCIDENT_SNOOZED;

	i->count++;
	i->last_us = put->at_us;
	i->run_id = put->run_id ? put->run_id : i->run_id;
	i->facts = put->facts ? put->facts : i->facts;
	i->eased_us = 0;
	if (put->severity > i->severity)
		i->severity = put->severity;
	if (!anew && !snooze_is_over(i, put->at_us))
		return worse;
	wake(i, put->escalate_us);
	return true;
}

static void resolve(const struct incident_put *put, struct incident *i)
{
	i->state = INCIDENT_RESOLVED;
	i->ended_us = put->at_us;
	i->escalate_us = i->until_us = i->eased_us = 0;
	i->undone = NULL;
}

static void sign(const struct incident_put *put, struct incident *i)
{
	if (!put->by)
		return;
	i->by = put->by;
	i->reason = put->reason;
	i->acted_us = put->at_us;
}

/* ---- intervals -------------------------------------------------------------------------- */

bool incident_next_undone(const char **at, int64_t *ret_start_us, int64_t *ret_end_us)
{
	char *end;

	if (!*at || !**at)
		return false;
	*ret_start_us = strtoll(*at, &end, 10);
	if (*end != '-')
		return false;
	*ret_end_us = strtoll(end + 1, &end, 10);
	*at = *end == ' ' ? end + 1 : end;
	return true;
}

static bool has_interval(const struct incident_put *put)
{
	return put->start_us || put->end_us;
}

static bool same_interval(const struct incident_put *put, int64_t start_us, int64_t end_us)
{
	return start_us == put->start_us && end_us == put->end_us;
}

static bool makes_good(const struct incident_put *put, int64_t start_us, int64_t end_us)
{
	return same_interval(put, start_us, end_us) || (!put->alone && end_us <= put->end_us);
}

/* The intervals without those that are made good, or, where it goes wrong, with this one behind the
 * others. NULL: none is left. */
static const char *count_undone(
	const struct incident *i, const struct incident_put *put, struct arena *a)
{
	bool opens = put->what == INCIDENT_OPENS;
	int64_t start_us, end_us;
	const char *at = i->undone;
	struct buf left;
	int skip = 1 - INCIDENT_UNDONE_MAX;

	if (!has_interval(put))
		return opens ? i->undone : NULL;
	while (incident_next_undone(&at, &start_us, &end_us))
		skip++;
	buf_init(&left, UNDONE_TEXT_MAX);
	for (at = i->undone; incident_next_undone(&at, &start_us, &end_us);)
		if ((!opens || skip-- <= 0) && !(opens ? same_interval(put, start_us, end_us)
						       : makes_good(put, start_us, end_us)))
			buf_addf(&left, "%" PRId64 "-%" PRId64 " ", start_us, end_us);
	if (opens)
		buf_addf(&left, "%" PRId64 "-%" PRId64 " ", put->start_us, put->end_us);
	const char *text = left.len ? arena_strdup(a, left.data) : NULL;
	a->failed = a->failed || left.failed;
	buf_release(&left);
	return text;
}

/* ---- whom it is told -------------------------------------------------------------------- */

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)) != NULL; at += len)
		if ((at == words || at[-1] == ' ') && at[len] == ' ')
			return true;
	return false;
}

/* It is over, or seen to. */
static bool is_good(enum incident_what what)
{
	return what == INCIDENT_RESOLVES || what == INCIDENT_ACKS;
}

bool incident_tells(
	const struct incident *i, const struct incident_put *put, const struct incident_route *r)
{
	char base[ROUTE_MAX];
	size_t len = strcspn(r->name, "/");

	if (put->what == INCIDENT_OPENS || !i->told_to)
		return true;
	if (is_good(put->what) || len >= sizeof base)
		return has_word(i->told_to, r->name);
	/* It escalates to others than were told so far. */
	memcpy(base, r->name, len);
	base[len] = '\0';
	return has_word(i->told_to, base);
}

/* How many are told; those who are told that it is wrong are kept. */
static int count_told(struct incident *i, const struct incident_put *put, struct arena *a)
{
	int n = 0;

	for (size_t k = 0; k < put->nroutes; k++) {
		const struct incident_route *r = &put->routes[k];
		if (!incident_tells(i, put, r))
			continue;
		n++;
		if (!is_good(put->what) && i->told_to && !has_word(i->told_to, r->name))
			i->told_to = arena_printf(a, "%s%s ", i->told_to, r->name);
	}
	return n;
}

/* ---- all of it -------------------------------------------------------------------------- */

/* Of what is there and unresolved. False: it changes nothing. */
static bool change(
	const struct incident_put *put, struct arena *a, struct incident *next, bool *ret_tell)
{
	switch (put->what) {
	case INCIDENT_OPENS:
		*ret_tell = repeat(put, next);
		next->undone = count_undone(next, put, a);
		return true;
	case INCIDENT_RESOLVES:
		if (put->keeps_warning && next->severity <= SEVERITY_WARNING &&
			next->run_id == put->run_id)
			return false;
		next->undone = put->id ? NULL : count_undone(next, put, a);
		*ret_tell = !next->undone;
		if (next->undone)
			next->eased_us = put->at_us;
		else
			resolve(put, next);
		return true;
	case INCIDENT_ACKS:
		if (next->state == INCIDENT_ACKED)
			return false;
		next->state = INCIDENT_ACKED;
		next->until_us = next->escalate_us = 0;
		return true;
	case INCIDENT_SNOOZES:
		next->state = INCIDENT_SNOOZED;
		next->until_us = put->until_us;
		next->escalate_us = 0;
		*ret_tell = false;
		return true;
	case INCIDENT_WAKES:
		if (!snooze_is_over(next, put->at_us))
			return false;
		wake(next, put->escalate_us);
		return true;
	default:
		next->escalations++;
		bool due = next->escalate_us && next->escalate_us <= put->at_us;
		next->escalate_us = put->escalate_us;
		return next->state == INCIDENT_OPEN && due;
	}
}

bool incident_apply(const struct incident *present, const struct incident_put *put, struct arena *a,
	struct incident *next, bool *ret_tell)
{
	bool tell = true;

	*ret_tell = false;
	if (!present && put->what == INCIDENT_OPENS) {
		begin(put, next);
		next->undone = count_undone(next, put, a);
	} else if (!present || present->state == INCIDENT_RESOLVED) {
		return false;
	} else {
		*next = *present;
		if (!change(put, a, next, &tell))
			return false;
	}
	sign(put, next);
	*ret_tell = tell && count_told(next, put, a) > 0;
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
	n = put_one(put, n, c, checks->warnings ? INCIDENT_OPENS : INCIDENT_RESOLVES,
		INCIDENT_CHECK_FAILED, checks->warnings ? SEVERITY_WARNING : SEVERITY_INFO);
	/* Its instances have succeeded, and may have warned. */
	put[n - 1].keeps_warning = c->reason == REASON_INSTANCES_DONE;
	return n;
}

/* It says nothing of the others: all that it can do is to go wrong. */
static size_t of_instance(
	const struct change *c, const struct incident_checks *checks, struct incident_put *put)
{
	if (c->state.to == TASK_FAILED && c->reason != REASON_MARKED)
		return of_failure(c, checks, put);
	if (c->state.to != TASK_SUCCESS || !checks->warnings)
		return 0;
	return put_one(put, 0, c, INCIDENT_OPENS, INCIDENT_CHECK_FAILED, SEVERITY_WARNING);
}

/* Half-open it is neither well nor worse. */
static size_t of_breaker(const struct change *c, struct incident_put *put)
{
	bool opens = c->breaker.to == BREAKER_OPEN;

	if (c->breaker.from == c->breaker.to || c->breaker.to == BREAKER_HALF_OPEN)
		return 0;
	put_one(put, 0, c, opens ? INCIDENT_OPENS : INCIDENT_RESOLVES, INCIDENT_BREAKER_OPEN,
		SEVERITY_ERROR);
	put->task = c->breaker.name;
	put->run_id = c->breaker.run_id;
	return 1;
}

size_t incident_of_change(const struct change *c, const struct incident_checks *checks,
	struct incident_put put[INCIDENTS_PER_CHANGE])
{
	if (c->kind == CHANGE_TASK && c->map_index >= 0)
		return of_instance(c, checks, put);
	/* It was told of with the first instance. */
	if (c->kind == CHANGE_TASK && c->reason == REASON_INSTANCES_FAILED)
		return 0;
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
	return c->kind == CHANGE_BREAKER ? of_breaker(c, put) : 0;
}
