/* Operations: what a person or program asks of Weir, beside running a DAG in the foreground.
 *
 * The same functions serve the API (within the daemon, on its store and its DAGs) and the command
 * line where no daemon runs (on the store itself). They read or record intent; the daemon carries
 * it out. Each answers with a JSON object that is shown to the user as it is with --json. Every
 * intervention is kept with who and why.
 */
#ifndef WEIR_RUN_OPS_H
#define WEIR_RUN_OPS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/request.h"

struct arena;
struct audit_row;
struct alerts;
struct config;
struct dag;
struct dataset_update_row;
struct err;
struct incident_put;
struct run_row;
struct sched;
struct sched_breaker; /* core/sched.h */
struct store;
struct tick;

/* A DAG as the caller has it loaded: a reference, to be given back by dag_unref. */
typedef struct dag *ops_find_dag_fn(void *arg, const char *name, struct err *err);

enum ops_event {
	OPS_SWITCHED,  /* pause, resume, drain, freeze: look at the switches of `dag` ("*": all) */
	OPS_TRIGGERED, /* a wanted run waits in the store */
	OPS_BACKFILL,  /* backfill `id` was made or changed */
	OPS_INCIDENT,  /* incident `id` was changed */
	OPS_DATASET,   /* a person updated the dataset of the name `dag` */
	OPS_EVENT_MAX
};

/* Runs in the hands of whoever serves the operations. */
struct ops_hand {
	/* 1: the run is in motion in *ret; 0: it is not in hand; -1 with err. */
	int (*find)(void *arg, int64_t run_id, struct sched **ret, struct err *err);
	/* That scheduler was asked for something: record it with the request itself, and carry it
	 * out. -1: it is not recorded. */
	int (*carry_out)(void *arg, const struct audit_row *request, struct err *err);
	/* Something came in that a task waits for. */
	void (*look)(void *arg, int64_t run_id, const char *task);
};

/* What was done, for a log; what is not of it is NULL. */
struct ops_note {
	const char *what; /* "pause", "resume", "drain", "freeze", "unfreeze", "trigger",
			     "backfill" and what becomes of one, request_name(), "open breaker",
			     "close breaker", "touch" */
	const char *dag, *task, *run, *by, *reason;
	const char *breaker, *dataset;
	int64_t backfill; /* 0: none */
	int64_t incident; /* likewise */
};

struct ops {
	struct store *store;
	ops_find_dag_fn
		*find_dag; /* ERR_NOT_FOUND with near names; ERR_INVALID when its file is broken */
	/* The DAG as the run began with it, likewise. */
	struct dag *(*load_version)(void *arg, const struct run_row *run, struct err *err);
	const struct ops_hand *hand; /* NULL: nothing is in hand */
	void *arg;
	/* Told after the store has it; NULL: nobody listens. */
	void (*changed)(void *arg, enum ops_event what, const char *dag, int64_t id);
	void (*note)(void *arg, const struct ops_note *n); /* likewise */
	/* The breakers that weir.yaml has, as they stand; NULL: none. */
	void (*each_breaker)(
		void *arg, void (*fn)(void *ctx, const struct sched_breaker *b), void *ctx);
	/* A person opened or closed one: what the store has of it now (breaker_add). NULL: nobody
	 * uses it here. */
	void (*breaker_set)(void *arg, const char *name, const char *text);
	json_t *(*held_by)(void *arg, const char *breaker); /* breakers_held_by; NULL: unknown */
	const char *by;                                     /* who asks: "user@host" */
	/* Who is told of what is done to incidents and breakers; NULL: nobody. */
	const struct alerts *(*alerts)(void *arg);
	/* Routes of a breaker's incident (breakers_route); NULL: those that are for all. */
	void (*route_breaker)(
		void *arg, const char *name, struct arena *a, struct incident_put *put);
};

/* dag NULL or "*": all DAGs. `reason` may be NULL. Result: {"dag": ..., "paused": bool,
 * "all_paused": bool, "draining": bool, "by":, "reason":, "changed": bool}. A DAG that was resumed
 * stays paused while all are: "paused" tells how it stands. A DAG that neither the store nor
 * find_dag knows is ERR_NOT_FOUND; one whose file is broken can be paused. */
int ops_pause(const struct ops *o, const char *dag, bool on, const char *reason, json_t **ret,
	struct err *err);
int ops_drain(const struct ops *o, const char *dag, bool on, const char *reason, json_t **ret,
	struct err *err);
/* End pause and drain, both. Result as of ops_pause. */
int ops_resume(
	const struct ops *o, const char *dag, const char *reason, json_t **ret, struct err *err);
/* {"dag", "task", "frozen": bool, "by", "reason", "changed"}; task of the DAG; an unknown task is
 * ERR_NOT_FOUND with the nearest. */
int ops_freeze(const struct ops *o, const char *dag, const char *task, bool on, const char *reason,
	json_t **ret, struct err *err);

/* A run of one interval, carried out by a daemon as soon as it can. `date`: as --date of weir run,
 * NULL: the last whole interval; `params`: NULL-ended "name=value". A run that is active already is
 * ERR_REFUSED; one that succeeded is, too, unless `force`. What is recorded is a wanted run without
 * owner, whose trigger is OPS_TRIGGER or, with `force`, OPS_TRIGGER_FORCE: whoever takes it up then
 * does all its tasks again.
 * Result: {"run": name, "run_id": n, "dag", "ds", "created": bool, "force": bool, "interval_start",
 * "interval_end", "params", "dag_paused": bool} */
#define OPS_TRIGGER "manual"
#define OPS_TRIGGER_FORCE "manual_force"
struct ops_trigger {
	const char *dag, *date;
	const char *const *params;
	bool force;
};
int ops_trigger(const struct ops *o, const struct ops_trigger *t, json_t **ret, struct err *err);
/* The run that a task wants (run/control_dag.h): recorded as one that is triggered, by
 * CONTROL_DAG_TRIGGER, unless it waits for a daemon or is at work already. A final one is to be
 * done again as far as it did not succeed. */
struct child_run;
int ops_child(const struct ops *o, const struct child_run *c, int64_t *ret_run_id, struct err *err);

/* Backfills. A plan says, for each interval of the range: what exists (missing, success, failed,
 * running, or made by another DAG version), and what would be done: run, skip (why) or overwrite;
 * how long it should take, from history; how wide. Result of the plan:
 *
 *     {"dag", "from", "to", "zone", "mode", "jobs", "newest_first",
 *      "counts": {"run": n, "skip": n, "overwrite": n},
 *      "exists": {"missing": n, "success": n, "other_version": n (of the successes), "failed": n,
 *                 "cancelled": n, "running": n, "abandoned": n},
 *      "incomplete": n      intervals that are not over yet: skipped
 *      "elsewhere": n       runs in the range that are of no interval of today's schedule: left
 * alone "typical_us": n | null, "expected_us": n | null, "overlaps": {"backfill": id, "state",
 * "from", "to"} | null     an active one of the same DAG "intervals": [{"start", "end", "ds",
 * "run": name | null, "exists", "other_version", "action", "why"}...]}
 *
 * Instants are RFC 3339 in the schedule's zone, intervals ascending. ERR_USAGE: an end before the
 * start, no interval in the range, more than OPS_BACKFILL_MAX of them. */
#define OPS_BACKFILL_MAX 100000
enum backfill_mode { BACKFILL_ONLY_MISSING, BACKFILL_ONLY_FAILED, BACKFILL_ALL, BACKFILL_MODE_MAX };
extern const char *const backfill_mode_names[]; /* "missing", "failed", "all"; NULL-ended. missing
						   includes failed: what has no success */
struct ops_backfill {
	const char *dag;
	const char *from, *to; /* dates or instants, as --date; both ends included */
	enum backfill_mode mode;
	int jobs; /* less than 1: 1 */
	bool newest_first;
	const char *const *params;
	const char *reason;
};
int ops_backfill_plan(
	const struct ops *o, const struct ops_backfill *b, json_t **ret, struct err *err);
/* Plan, and make it: {"backfill": id, ... the plan without its intervals}. With nothing to do
 * nothing is made ("backfill": null). What is kept ends with the last interval that was complete,
 * so that whoever carries it out need not look at the clock; params are kept as "{}" when none were
 * given, else all of them, with defaults. ERR_REFUSED names an active backfill of the DAG that
 * overlaps. */
int ops_backfill_create(
	const struct ops *o, const struct ops_backfill *b, json_t **ret, struct err *err);
/* to: "running" (resume), "paused", "cancelled". The result is that of ops_backfills. */
int ops_backfill_set(const struct ops *o, int64_t id, const char *to, const char *reason,
	json_t **ret, struct err *err);
/* One, with its progress and ETA and its failed runs, or all (id 0: {"backfills": [...]}):
 * {"backfill": id, "dag", "mode", "from", "to", "zone", "state", "jobs", "newest_first", "params",
 * "by", "reason", "state_by", "state_reason", "created", "ended", "total", "success", "failed",
 * "active", "waiting", "eta_us": n | null, "failed_runs": [name...] (one only)} */
int ops_backfills(const struct ops *o, int64_t id, json_t **ret, struct err *err);

/* What a person asks of a run (core/request.h). A run that is in hand is changed where it runs; one
 * that nobody has in hand is opened, changed in the store and given up again: what is then to be
 * done waits for a daemon, or for weir run. One that is in the hands of another process is refused,
 * naming it.
 *
 * Result: {"run", "run_id", "dag", "ds", "request": "retry", "dry_run", "in_motion": bool, "by",
 * "reason", "version", "former_version", "state": {"from", "to"}, "waits": bool (for a daemon, or
 * weir run), "dag_paused": bool, "dag_path", "tasks": [{"task", "from", "to", "effect":
 * request_effect_name(), "why"}...]}: the tasks that something becomes of, in the order of the DAG.
 */
enum ops_version { OPS_VERSION_ANY, OPS_VERSION_NEW, OPS_VERSION_SAME, OPS_VERSION_MAX };
extern const char *const ops_version_names[]; /* "any" (the newest, where there is one), "new",
						 "same"; NULL-ended */
struct ops_request {
	enum request_verb verb;
	const char *run;          /* as weir show takes it */
	const char *const *tasks; /* NULL-ended; NULL: none */
	bool downstream, failed, hard, dry_run;
	enum task_state mark;
	const json_t *outputs;    /* an object, merged into what the task has; NULL: none */
	enum ops_version version; /* retry, clear */
	const char *reason;
};
int ops_request(const struct ops *o, const struct ops_request *q, json_t **ret, struct err *err);

/* The decision of a backfill about one interval; also used by the daemon when it creates runs one
 * after the other. OVERWRITE: all tasks of the run are done again. A run that a process works on,
 * or that waits for a daemon, is left to it whatever the mode. *ret_why is never NULL. */
enum backfill_action { BACKFILL_RUN, BACKFILL_OVERWRITE, BACKFILL_SKIP };
enum backfill_action ops_backfill_decide(enum backfill_mode mode,
	const struct run_row *existing /* NULL: none */, const char **ret_why);

/* Circuit breakers, by name, or one with its history: {"breakers": [{"breaker", "state", "since",
 * "until" (when probes may start; null), "why", "by", "reason", "failures" and "ended" (in the
 * window), "probing", "held": n | null, "policy": {"failures", "rate", "at_least", "within_us",
 * "open_us", "max_open_us", "factor", "probes", "ramp", "counts"} | null}...]}; one: the object
 * itself, with "held_by" (as of breakers_held_by; null) and "history": [{"at", "from", "to", "why",
 * "by", "reason", "run", "task"}...], newest first, at most OPS_BREAKER_HISTORY. Those that
 * weir.yaml has, and those the store remembers (policy null). ERR_NOT_FOUND with the nearest. */
enum { OPS_BREAKER_HISTORY = 50 };
int ops_breakers(const struct ops *o, const char *name, json_t **ret, struct err *err);
/* Open it until it is closed, or close it. The result is that of ops_breakers for one,,
 * "changed", and "let_go": how many tasks it held that may start now. */
int ops_breaker_set(const struct ops *o, const char *name, bool open, const char *reason,
	json_t **ret, struct err *err);

/* Incidents (core/incident.h): {"incidents": [...], "more": bool} (a thousand at most), unresolved
 * ones or `all`, newest first, or one
 * by its number; each {"incident": id, "kind", "text", "dag", "task", "severity", "state",
 * "opened", "last", "resolved", "count", "run_id", "facts": {...}, "by", "reason", "acted",
 * "snoozed_until", "escalates", "escalations", "told"}. */
int ops_incidents(const struct ops *o, bool all, json_t **ret, struct err *err);
int ops_incident(const struct ops *o, int64_t id, json_t **ret, struct err *err);
/* Acknowledge, snooze, resolve; `until_us`: of a snooze. The answer is that of ops_incident, with
 * "is_told": those who were told of it are to hear this, from the daemon or the next one.
 * ERR_REFUSED for one that is resolved. */
struct ops_incident_set {
	int64_t id, until_us;
	int what; /* enum incident_what: INCIDENT_ACKS, _SNOOZES, _RESOLVES */
	const char *reason;
};
int ops_incident_set(
	const struct ops *o, const struct ops_incident_set *set, json_t **ret, struct err *err);
/* What the outbox holds to be told: {"alerts": [{"act": id, "key", "state", "tries", "created",
 * "due", "ended", "error", "alert": {...}}...]}, newest first; without `all` only what is pending
 * or was given up. */
int ops_alerts(const struct ops *o, bool all, json_t **ret, struct err *err);

/* The DAGs the store knows, with their switches: {"dags": [{"dag", "path", "version", "present",
 * "error", "paused", "paused_by", "paused_reason", "paused_at", "all_paused", "draining",
 * "draining_by", "draining_reason", "draining_at", "frozen": [{"task", "by", "reason", "at"}...],
 * "last": {"interval_start", "interval_end", "action", "why"} | null}...]}. `dag` NULL: all. */
int ops_dags(const struct ops *o, const char *dag, json_t **ret, struct err *err);

/* The params of a run that a backfill opens, as JSON text: those that were given for the backfill
 * (backfill_row.params), else those the run has, else `defaults`. Borrowed from these. */
const char *ops_backfill_params(
	const char *given, const struct run_row *existing, const char *defaults);

/* What waits for a decision, the longest waiting first: {"approvals": [{"run", "dag", "task",
 * "prompt", "since", "until": time | null}...]} */
int ops_approvals(const struct ops *o, json_t **ret, struct err *err);
/* Approve or reject a task that awaits input. `fields`: an object of texts, or NULL; typed as the
 * version of the DAG has it that the run has. ERR_USAGE for fields that do not fit, ERR_REFUSED
 * names the state of a task that awaits nothing. Result: {"run", "task", "approved": bool, "by",
 * "reason", "fields": object | null} */
struct ops_decision {
	const char *run, *task, *reason;
	bool approved;
	const json_t *fields;
};
int ops_decide(const struct ops *o, const struct ops_decision *d, json_t **ret, struct err *err);

/* Datasets (core/dataset.h) by name: {"datasets": [{"dataset", "fresh": bool | null (no SLA says),
 * "updated" (the last update that made it fresher), "until" (its data reach), "fresh_until",
 * "last": update | null, "producers" and "consumers": [{"dag", "task" | null}...]}...]}; or one,
 * with "history": [update...], newest first, at most OPS_DATASET_HISTORY, and "waiting": [{"dag",
 * "since", "updates": n}...], the DAGs whose schedule waits for it. An update: {"update": id, "at",
 * "dataset", "interval_start", "interval_end", "dag", "task", "map_index", "run", "by", "reason",
 * "backfill": bool}. ERR_NOT_FOUND with the nearest. */
enum { OPS_DATASET_HISTORY = 50 };
int ops_datasets(const struct ops *o, const char *name, json_t **ret, struct err *err);
/* A dataset was updated from elsewhere. `date`: of that day; `from` and `to`: dates, or instants,
 * the end not included; UTC where they have no offset. None of them: the last whole day. The result
 * is the update, and "waiting": names of the DAGs that wait for it. ERR_USAGE: data of the future.
 */
struct ops_touch {
	const char *dataset, *date, *from, *to, *reason;
};
int ops_dataset_touch(
	const struct ops *o, const struct ops_touch *t, json_t **ret, struct err *err);
json_t *ops_update_json(const struct dataset_update_row *u);

/* --date of a DAG's schedule: a date, an instant, or NULL (the last whole interval at now_us).
 * ERR_USAGE. */
int ops_interval(
	const struct dag *dag, const char *date, int64_t now_us, struct tick *ret, struct err *err);
/* The local date of an interval's start in the schedule's zone, "2026-11-19". */
void ops_ds(const struct dag *dag, int64_t start_us, char ret[32]);

#endif
