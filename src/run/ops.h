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

struct config;
struct dag;
struct err;
struct store;
struct tick;

/* A DAG as the caller has it loaded: a reference, to be given back by dag_unref. */
typedef struct dag *ops_find_dag_fn(void *arg, const char *name, struct err *err);

enum ops_event {
	OPS_SWITCHED,  /* pause, resume, drain, freeze: look at the switches of `dag` ("*": all) */
	OPS_TRIGGERED, /* a wanted run waits in the store */
	OPS_BACKFILL,  /* backfill `id` was made or changed */
	OPS_EVENT_MAX
};

struct ops {
	struct store *store;
	ops_find_dag_fn
		*find_dag; /* ERR_NOT_FOUND with near names; ERR_INVALID when its file is broken */
	void *arg;
	/* Told after the store has it; NULL: nobody listens. */
	void (*changed)(void *arg, enum ops_event what, const char *dag, int64_t id);
	const char *by; /* who asks: "user@host" */
};

/* dag NULL or "*": all DAGs. `reason` may be NULL. Result: {"dag": ..., "paused": bool, "by":,
 * "reason":, "changed": bool} */
int ops_pause(const struct ops *o, const char *dag, bool on, const char *reason, json_t **ret,
	struct err *err);
int ops_drain(const struct ops *o, const char *dag, bool on, const char *reason, json_t **ret,
	struct err *err);
/* task of the DAG; an unknown task is ERR_NOT_FOUND with the nearest. */
int ops_freeze(const struct ops *o, const char *dag, const char *task, bool on, const char *reason,
	json_t **ret, struct err *err);

/* A run of one interval, carried out by a daemon as soon as it can. `date`: as --date of weir run,
 * NULL: the last whole interval; `params`: NULL-ended "name=value". A run that is active already is
 * ERR_REFUSED; one that succeeded is, too, unless `force` (then all its tasks are done again).
 * Result: {"run": name, "run_id": n, "created": bool, "interval_start", ...} */
struct ops_trigger {
	const char *dag, *date;
	const char *const *params;
	bool force;
};
int ops_trigger(const struct ops *o, const struct ops_trigger *t, json_t **ret, struct err *err);

/* Backfills. A plan says, for each interval of the range: what exists (missing, success, failed,
 * running, or made by another DAG version), and what would be done: run, skip (why) or overwrite;
 * how long it should take, from history; how wide. Result of the plan:
 * {"dag","from","to","mode","jobs","counts":{"run":n,"skip":n,"overwrite":n}, "expected_us": n |
 * null, "intervals": [{"start","end","ds","exists","action","why"}...]} */
enum backfill_mode { BACKFILL_ONLY_MISSING, BACKFILL_ONLY_FAILED, BACKFILL_ALL, BACKFILL_MODE_MAX };
extern const char *const backfill_mode_names[]; /* "missing", "failed", "all"; NULL-ended. missing
						   includes failed: what has no success */
struct ops_backfill {
	const char *dag;
	const char *from, *to; /* dates or instants, as --date; both ends included */
	enum backfill_mode mode;
	int jobs;
	bool newest_first;
	const char *const *params;
	const char *reason;
};
int ops_backfill_plan(
	const struct ops *o, const struct ops_backfill *b, json_t **ret, struct err *err);
/* Plan, and make it: {"backfill": id, ... the plan's counts}. With nothing to do nothing is made
 * ("backfill": null). */
int ops_backfill_create(
	const struct ops *o, const struct ops_backfill *b, json_t **ret, struct err *err);
/* to: "running" (resume), "paused", "cancelled". */
int ops_backfill_set(const struct ops *o, int64_t id, const char *to, const char *reason,
	json_t **ret, struct err *err);
/* One, with its progress and ETA and its failed runs, or all (id 0). */
int ops_backfills(const struct ops *o, int64_t id, json_t **ret, struct err *err);

/* The decision of a backfill about one interval; also used by the daemon when it creates runs one
 * after the other. */
enum backfill_action { BACKFILL_RUN, BACKFILL_OVERWRITE, BACKFILL_SKIP };
struct run_row;
enum backfill_action ops_backfill_decide(enum backfill_mode mode,
	const struct run_row *existing /* NULL: none */, const char **ret_why);

/* --date of a DAG's schedule: a date, an instant, or NULL (the last whole interval at now_us).
 * ERR_USAGE. */
int ops_interval(
	const struct dag *dag, const char *date, int64_t now_us, struct tick *ret, struct err *err);
/* The local date of an interval's start in the schedule's zone, "2026-11-19". */
void ops_ds(const struct dag *dag, int64_t start_us, char ret[32]);

#endif
