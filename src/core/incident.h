/* Incidents: what is wrong and has to be seen to, from when it went wrong until it is well again.
 *
 * An incident has a key: DAG, task and kind. While one is unresolved, whatever goes wrong under
 * its key again is counted there; when it goes well, it resolves. It knows the data intervals that
 * went wrong in it: success of an interval makes good that one and the earlier ones, or (`alone`,
 * for DAGs in which each interval has to be made up for) that one only, and never a later one. As
 * long as one is left it stays open; but it has eased: the next failure is told as if it were the
 * first. Of a breaker, the key is no DAG, and its name for the task. What happens to an incident is
 * data (struct incident_put) that is committed with the decision which causes it (struct
 * store_batch); incident_apply says what becomes of the row, for all backends of the store alike.
 *
 * A new kind is a row in the table of incident.c, and a put wherever that is decided:
 *
 *     struct incident_put put = { .what = INCIDENT_OPENS, .kind = INCIDENT_SLA_MISSED,
 *             .dag = "sales", .task = NULL, .severity = SEVERITY_ERROR, .at_us = now,
 *             .facts = "{\"deadline\":\"06:30\"}" };
 *     alerts_route(alerts, dag, arena, &put);    (run/alerts.h: to whom it is told)
 *     batch.incidents = &put; batch.nincidents = 1;
 *
 * Pure: no clock, no store.
 */
#ifndef WEIR_CORE_INCIDENT_H
#define WEIR_CORE_INCIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/change.h"

struct arena;

enum incident_kind {
	INCIDENT_TASK_FAILED,
	INCIDENT_RUN_FAILED, /* without a failed task */
	INCIDENT_LOST_TOO_OFTEN,
	INCIDENT_CHECK_FAILED,
	INCIDENT_SLA_FINISH, /* core/sla.h */
	INCIDENT_SLA_START,
	INCIDENT_SLA_DURATION,
	INCIDENT_SLA_SLOW,
	INCIDENT_SLA_AT_RISK,
	INCIDENT_BREAKER_OPEN, /* core/breaker.h */
	INCIDENT_SLA_FRESH,
	INCIDENT_KIND_MAX
};
enum severity {
	SEVERITY_INFO,
	SEVERITY_WARNING,
	SEVERITY_ERROR,
	SEVERITY_CRITICAL, /* not held back in quiet hours */
	SEVERITY_MAX
};
enum incident_state {
	INCIDENT_OPEN,
	INCIDENT_ACKED,   /* somebody sees to it: it does not escalate */
	INCIDENT_SNOOZED, /* nobody is told of it until a time */
	INCIDENT_RESOLVED,
	INCIDENT_STATE_MAX
};
/* What happens to an incident. */
enum incident_what {
	INCIDENT_OPENS, /* or is repeated */
	INCIDENT_RESOLVES,
	INCIDENT_ESCALATES, /* nobody acknowledged it in time */
	INCIDENT_ACKS,
	INCIDENT_SNOOZES,
	INCIDENT_WAKES, /* its snooze is over */
	INCIDENT_WHAT_MAX
};

const char *incident_kind_name(enum incident_kind k); /* "task_failed": stored, shown, matched */
const char *incident_kind_text(enum incident_kind k); /* "task failed" */
int incident_kind_by_name(const char *name);          /* -1: none */
const char *severity_name(enum severity s);
int severity_by_name(const char *name);
extern const char *const severity_names[]; /* NULL-ended, in the order of the enum */
const char *incident_state_name(enum incident_state s);
int incident_state_by_name(const char *name);
const char *incident_what_name(enum incident_what w); /* "opened", "resolved", ... */

struct incident {
	int64_t id;
	enum incident_kind kind;
	const char *dag, *task; /* "": none */
	enum severity severity; /* the worst so far */
	enum incident_state state;
	int64_t opened_us, last_us, ended_us; /* ended_us 0: unresolved */
	int64_t count;                        /* how often it went wrong */
	int64_t run_id;                       /* of the last time; 0: none */
	const char *facts;                    /* JSON object text, of the last time */
	const char *by, *reason;              /* of the last change by a person; NULL: none */
	int64_t acted_us, until_us;           /* when that was; the end of the snooze; 0: none */
	int64_t escalate_us;                  /* when it escalates next; 0: never */
	int64_t escalations;
	int64_t told; /* how often anybody was to be told */
	/* Routes that were told that it is wrong, each with a space behind; NULL: not known. */
	const char *told_to;
	/* Intervals that went wrong and were not made good, "START-END " each, in microseconds: the
	 * last INCIDENT_UNDONE_MAX of them; NULL: none is known. */
	const char *undone;
	int64_t eased_us; /* it went well since then, for other intervals; 0: it did not */
};
enum { INCIDENT_UNDONE_MAX = 64 };
/* The next of `undone`; start with *at at its beginning. False: no more. */
bool incident_next_undone(const char **at, int64_t *ret_start_us, int64_t *ret_end_us);

/* A route that is to tell of it: an act of the outbox, committed with it. */
struct incident_route {
	const char *name;
	int64_t due_us; /* 0: at once */
};

struct incident_put {
	enum incident_what what;
	int64_t id; /* 0: the unresolved one of the key */
	enum incident_kind kind;
	const char *dag, *task; /* NULL: none */
	enum severity severity;
	int64_t at_us;
	int64_t run_id; /* 0: none */
	/* The data interval it is about; both 0: of none, or of all. */
	int64_t start_us, end_us;
	bool alone;        /* resolves: only what this interval did wrong */
	const char *facts; /* JSON object text; NULL: none */
	/* Opens, escalates: when it escalates (next); 0: never. Snoozes: until when. */
	int64_t escalate_us, until_us;
	const char *by, *reason; /* a person's doing */
	const struct incident_route *routes;
	size_t nroutes;
	/* Resolves: but for what is a warning of this very run. */
	bool keeps_warning;
};

/* What becomes of an incident: `present` is the unresolved one of the key, or the one of the id;
 * NULL: there is none. False: nothing changes (what is not there cannot resolve). *next shares the
 * strings of both, and has its own in `a`; *ret_tell: routes are to be told, those of the put that
 * incident_tells says yes to. */
bool incident_apply(const struct incident *present, const struct incident_put *put, struct arena *a,
	struct incident *next, bool *ret_tell);
/* That it is over, or seen to, or seen to by nobody, is told to those only who were told that it is
 * wrong (or those it escalates to from there). `i`: after incident_apply. */
bool incident_tells(
	const struct incident *i, const struct incident_put *put, const struct incident_route *r);

/* ---- from changes of the scheduler ------------------------------------------------------ */

/* Checks of the attempt that a change is about, in numbers. */
struct incident_checks {
	int errors, warnings; /* that failed, by severity */
};
enum { INCIDENTS_PER_CHANGE = 4 };
/* What a change means: a final failure opens, success resolves; a breaker, as its name says.
 * Instances that fail open that of their task, or are counted there, and what becomes of the whole
 * resolves it. Fills kind, what, severity and time of at most INCIDENTS_PER_CHANGE puts; returns
 * how many. DAG, facts and routes are the caller's to add. */
size_t incident_of_change(const struct change *c, const struct incident_checks *checks,
	struct incident_put put[INCIDENTS_PER_CHANGE]);

#endif
