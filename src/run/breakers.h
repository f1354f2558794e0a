/* Circuit breakers of weir.yaml and of the store, as the scheduler gets them.
 *
 * A breaker is shared by all DAGs, and by all processes on one store: the daemon, and foreground
 * runs beside it. Each commits what becomes of it with the ends of attempts (CHANGE_BREAKER), and
 * reads what others made of it when it takes in a run that has one, and when it renews its leases;
 * who writes last is right. What a person says to the daemon it knows at once.
 */
#ifndef WEIR_RUN_BREAKERS_H
#define WEIR_RUN_BREAKERS_H

#include <jansson.h>

#include "core/state.h"

struct active_run;
struct arena;
struct breaker_policy;
struct catalog;
struct config;
struct dag;
struct engine;
struct err;
struct incident_put;
struct sched;
struct store;

/* The breakers of one weir.yaml; NULL is one without any. */
int breakers_apply(struct sched *s, const struct config *config, struct err *err);
/* Those of all weir.yaml that hold for DAGs of the catalog, as they are now. Where two have a
 * breaker of one name, it is one breaker, by the settings that open it sooner. One that none has
 * any more holds nothing, and is closed where it was not. */
int breakers_apply_all(struct sched *s, const struct catalog *c, struct err *err);

/* What the store knows of the DAG's breakers, where that is not what is known here. */
int breakers_load(struct sched *s, struct store *store, const struct dag *dag, struct err *err);
/* The same of all that the runs in hand have, where another process has changed them since. */
int breakers_follow(struct engine *e, struct err *err);

/* [{"run", "task"}...]: tasks that the breaker holds; at most BREAKERS_HELD_MAX. */
enum { BREAKERS_HELD_MAX = 20 };
json_t *breakers_held_by(const struct sched *s, const struct active_run *runs, const char *name);
/* For a message, {"held": [{"run", "task", "state"}...], "count": n}: tasks of the runs that it
 * holds, skipped or failed, or that use it and wait for a try. */
json_t *breakers_stopped(const struct sched *s, const struct active_run *runs, const char *name);

/* ---- incidents of breakers (core/incident.h) ---- */

/* What is known when one opens, as JSON object text in `a`: breaker, why, text (the same in words),
 * error, run, task_of, try (whose attempt did it), next_probe_us (0: when a person closes it). */
struct breaker_facts {
	const char *name, *text; /* text: breaker_add */
	enum reason why;
	const char *error, *run, *task; /* NULL: none */
	int try;                        /* of the task; 0: none */
	int map_index;                  /* likewise; -1: not mapped */
};
const char *breakers_facts(const struct breaker_facts *f, struct arena *a);
/* To whom it is told: routes that are for a DAG in hand which has it, and those that are for all.
 */
void breakers_route(struct engine *e, const char *name, struct arena *a, struct incident_put *put);

#endif
