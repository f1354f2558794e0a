/* Circuit breakers of weir.yaml and of the store, as the scheduler gets them.
 *
 * A breaker is shared by all DAGs, and by all processes on one store: the daemon, and foreground
 * runs beside it. Each commits what becomes of it with the ends of attempts (CHANGE_BREAKER), and
 * reads what others made of it when it takes in a run that has one; who writes last is right. What
 * a person says to the daemon it knows at once; a foreground run knows it with its next run.
 */
#ifndef WEIR_RUN_BREAKERS_H
#define WEIR_RUN_BREAKERS_H

#include <jansson.h>

struct active_run;
struct breaker_policy;
struct catalog;
struct config;
struct dag;
struct err;
struct sched;
struct store;

/* The breakers of one weir.yaml; NULL is one without any. */
int breakers_apply(struct sched *s, const struct config *config, struct err *err);
/* Those of all weir.yaml that hold for DAGs of the catalog, as they are now. Where two have a
 * breaker of one name, it is one breaker, by the settings that open it sooner. */
int breakers_apply_all(struct sched *s, const struct catalog *c, struct err *err);

/* What the store knows of the DAG's breakers, where that is not what is known here. */
int breakers_load(struct sched *s, struct store *store, const struct dag *dag, struct err *err);
/* The same of one breaker, whatever is known here: a person's word. */
int breakers_reload(struct sched *s, struct store *store, const char *name, struct err *err);

/* [{"run", "task"}...]: tasks that the breaker holds; at most BREAKERS_HELD_MAX. */
enum { BREAKERS_HELD_MAX = 20 };
json_t *breakers_held_by(const struct sched *s, const struct active_run *runs, const char *name);

#endif
