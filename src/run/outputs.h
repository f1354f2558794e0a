/* What the tasks of a run put out, as those behind them see it: an object, task -> its outputs. Of
 * a mapped task each output is a list by map index, with null where an instance has none of that
 * name. */
#ifndef WEIR_RUN_OUTPUTS_H
#define WEIR_RUN_OUTPUTS_H

#include <jansson.h>

/* Whose outputs: of a task, or of the instance `map_index` of `ninstances`. */
struct outputs_of {
	const char *task;
	int map_index, ninstances; /* map_index -1: not an instance */
};
/* `outputs` is an object, and borrowed; NULL: nothing any more. */
void outputs_set(json_t *all, const struct outputs_of *of, json_t *outputs);

#endif
