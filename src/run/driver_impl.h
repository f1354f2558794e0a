/* What the files of the driver share; nobody else includes it. */
#ifndef WEIR_RUN_DRIVER_IMPL_H
#define WEIR_RUN_DRIVER_IMPL_H

#include <event2/event.h>
#include <stdbool.h>

#include "run/driver.h"
#include "run/engine.h"
#include "run/name.h"
#include "run/observer.h"

struct alerting;
struct catalog;
struct driver_limit;

struct driver {
	const struct run_request *req;
	struct engine engine;
	struct active_run *run;
	char *name; /* the run's; outlives `run` */
	struct exec_local_provider provider;
	struct exec_provider executors;
	struct task_init *init; /* by task index */
	struct run_progress progress;
	int progress_cap; /* of progress.tasks */
	struct event *on_int, *on_term, *on_tick, *on_again, *on_limit;
	struct event *on_alerts;
	struct alerting *alerting;   /* while there is something to tell */
	struct driver_limit *limits; /* by task index, then of the run; NULL: there are none */
	const char *told_breaker;    /* of which it was said that it holds tasks; NULL: of none */
	char trouble[600];           /* the store cannot be written: what is said about it */
	int nsignals;                /* INT and TERM so far */
	struct catalog *dags;        /* those in the DAG's folder; NULL: not looked at yet */
	int64_t *wanted;             /* runs that tasks want and that are to be taken in hand */
	size_t nwanted;
	struct event *on_child;
	bool idle;   /* the run is done */
	bool failed; /* it cannot go on: err */
	struct err err;
};

/* run/plan.c: which tasks, and how they stand. `rows` of the store by name; may be empty. */
int plan_select(const struct run_request *req, const struct store_result *rows,
	struct task_init *ret, struct task_progress *ret_progress, struct err *err);

/* run/params.c: the params of a run: those the user gave, or those of the former run (JSON text;
 * NULL: there was none), with defaults for what it had not. A new reference; NULL without memory.
 */
json_t *run_params(const struct run_request *req, const char *former);

/* run/driver_open.c: the run's place in the store; d->run is set. */
int driver_open(struct driver *d, struct err *err);

/* run/driver_alerts.c: people are told, while the run goes on and at its end. Where a daemon runs,
 * it tells. */
void driver_alerts_told(struct driver *d); /* after a commit: something may be to be told */
/* The rest, in a bounded time; what is left waits for a daemon or the next run. */
void driver_alerts_finish(struct driver *d);
void driver_alerts_release(struct driver *d);

/* run/driver_sla.c: what runs for too long */
int driver_sla_init(struct driver *d, struct err *err);
void driver_sla_release(struct driver *d);
void driver_sla_change(struct driver *d, const struct change *c);

/* run/driver_child.c: runs that its tasks want */
int driver_make_child(void *arg, const struct child_run *c, struct err *err);
void driver_take_children(evutil_socket_t fd, short what, void *arg);
void driver_child_changed(struct driver *d, const struct active_run *r, const struct change *c);
void driver_children_release(struct driver *d); /* after the engine */

/* run/driver_tell.c */
void driver_tell(struct driver *d, enum run_event_kind kind, int task, const char *text);
void driver_tell_change(struct driver *d, const struct change *c);
int driver_progress_init(struct driver *d, const struct store_result *rows, struct err *err);
/* Those that the run has already, once it is in the scheduler. */
void driver_progress_instances(struct driver *d);
void driver_progress_release(struct driver *d);

#endif
