/* `alerts:` and `heartbeat:` of weir.yaml to core/alert.h. */
#ifndef WEIR_CONF_ALERTS_H
#define WEIR_CONF_ALERTS_H

#include "conf/schema.h"
#include "core/alert.h"

struct arena;
struct diags;

extern const struct field alerts_fields[];    /* of `alerts:` */
extern const struct field heartbeat_fields[]; /* of `heartbeat:` */
/* The keys of a type of channel. */
const struct field *alerts_channel_fields(enum alert_channel_type type);

/* From the root of weir.yaml, checked by its rows already; what is wrong beyond that goes to
 * `diags`. Lives in `arena`, with the document. NULL: there are neither alerts nor a heartbeat, or
 * errors. `dir` is borrowed. */
struct alerts *alerts_load(
	struct arena *arena, const struct node *root, const char *dir, struct diags *diags);
/* What the arena does not hold; NULL is fine. */
void alerts_release(struct alerts *a);

#endif
