/* `sla:` of a DAG file to a struct sla (core/sla.h). */
#ifndef WEIR_CONF_SLA_H
#define WEIR_CONF_SLA_H

#include <stdbool.h>

#include "conf/schema.h"

struct arena;
struct diags;
struct node;
struct sla;

/* Load `n`, a mapping that was checked by sla_fields; NULL: none is given. `what` names it in
 * messages ("task load: sla"). `has_ticks`: the DAG has a schedule. NULL also when there are errors
 * (in diags). It lives in `arena`. */
const struct sla *sla_load(const struct node *n, const char *what, bool has_ticks,
	struct arena *arena, struct diags *diags);

extern const struct field sla_fields[];

#endif
