/* Circuit breakers of weir.yaml: their keys, and what these mean (core/breaker.h). */
#ifndef WEIR_CONF_BREAKER_CONF_H
#define WEIR_CONF_BREAKER_CONF_H

#include <stdbool.h>

#include "conf/schema.h"

struct breaker_policy;
struct diags;
struct node;

extern const struct field breaker_conf_fields[];

/* Add what is wrong with a breaker. */
void breaker_conf_check(const struct node *name, const struct node *value, struct diags *diags);
/* One that was checked. False: it is no breaker. */
bool breaker_conf_read(const struct node *value, struct breaker_policy *ret);

#endif
