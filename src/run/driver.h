/* The driver: carries out what the scheduler decides.
 *
 * One run of one DAG in the foreground. It opens the store, takes the run, settles what a former,
 * killed invocation left in flight, and then: event -> scheduler -> commit -> act -> sleep. It
 * holds no decision of its own.
 */
#ifndef WEIR_RUN_DRIVER_H
#define WEIR_RUN_DRIVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/state.h"

struct catalog_env;
struct config;
struct dag;
struct err;
struct observer;
struct zone;

struct run_request {
	struct dag *dag;
	const struct config *config;
	const char *home; /* WEIR_HOME, absolute */
	int64_t interval_start_us, interval_end_us;
	const char *ds;          /* the interval's start date in `zone` */
	const struct zone *zone; /* the schedule's */
	json_t *params;          /* values of all params, typed */
	bool params_given;       /* the user set some; else a former run's are taken up */
	const char *const *from; /* --from: these and all that depends on them are done again.
				    NULL-ended; NULL: none */
	const char *const *only; /* --only: nothing but these */
	bool force;              /* all of it is done again */
	int jobs;
	struct observer *observer;
	/* How the DAGs in the folder of this one are loaded, for tasks that run another
	 * (`control: dag`); NULL: they cannot be. */
	const struct catalog_env *dags;
};

struct run_outcome {
	/* Of what was asked for; RUN_SUCCESS also when it is a part of the run. */
	enum run_state state;
	bool interrupted;
};

/* Run it to its end. 0 when it came to one (success or not, see *ret); -1 with err when it could
 * not be run: ERR_REFUSED (owned by another, other params), ERR_STORE, ... Must be called before
 * the program has threads; forks the supervisor. */
int driver_run(const struct run_request *req, struct run_outcome *ret, struct err *err);

/* What driver_run would do, told to nobody and changing nothing: one row per task, in topological
 * order. */
/* PLAN_SKIP: its `if` is false, by what is known already. */
enum plan_action { PLAN_RUN, PLAN_KEEP, PLAN_SKIP, PLAN_LEAVE_OUT, PLAN_ACTION_MAX };
const char *plan_action_name(enum plan_action a); /* "run", "keep", "skip", "leave_out" */
struct plan_task {
	int task; /* index */
	enum plan_action action;
	enum task_state state; /* as it stands now */
	int tries;
	bool stale;    /* kept, though its definition changed since it was done */
	int items;     /* of a mapped task: how long its list is; -1: not mapped, or not known yet.
			  What follows is then of its first item */
	char *command; /* commands: as it would be run; NULL where it depends on outputs not there
			  yet */
	json_t *with;  /* operators: rendered parameters; NULL likewise */
	char *unknown; /* why it cannot be rendered yet; NULL: it could */
};
struct plan {
	struct plan_task *tasks;
	int n;
	bool exists; /* the run is in the store */
	char *run;   /* its name, or the one it would get */
};
/* On success the plan is to be released. ERR_NOMEM, or what the store says. */
int driver_plan(const struct run_request *req, struct plan *ret, struct err *err);
void plan_release(struct plan *p);

#endif
