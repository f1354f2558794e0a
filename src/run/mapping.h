/* The list of a mapped task: made of its `foreach` (core/model.h) when it could start. */
#ifndef WEIR_RUN_MAPPING_H
#define WEIR_RUN_MAPPING_H

#include "base/arena.h"

struct err;
struct job_attempt;
struct job_context;

struct mapping {
	struct arena arena; /* the texts live in it */
	const char **items; /* JSON texts */
	int n;
};

/* a->task is mapped; a->item is not looked at. On error nothing is kept: it is no list, longer than
 * max_items, or an item is too large; or a template or a file says why not. */
int mapping_list(const struct job_context *c, const struct job_attempt *a, struct mapping *ret,
	struct err *err);
void mapping_release(struct mapping *m);

#endif
