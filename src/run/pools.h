/* Pools of weir.yaml, as the scheduler gets them. */
#ifndef WEIR_RUN_POOLS_H
#define WEIR_RUN_POOLS_H

#include <jansson.h>

struct active_run;
struct catalog;
struct config;
struct err;
struct sched;

/* The pools of one weir.yaml; NULL is one without any. */
int pools_apply(struct sched *s, const struct config *config, struct err *err);
/* Those of all weir.yaml that hold for DAGs of the catalog, as they are now. Where two have a pool
 * of one name, it is one pool, with the fewer slots. */
int pools_apply_all(struct sched *s, const struct catalog *c, struct err *err);
/* [{"pool", "slots", "used", "running", "waiting", "held_by": [{"run", "task", "slots"}...]}...] by
 * name; held_by has at most POOLS_HOLDERS_MAX. `runs`: those in hand. */
enum { POOLS_HOLDERS_MAX = 20 };
json_t *pools_status(struct sched *s, const struct active_run *runs);

#endif
