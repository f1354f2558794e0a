/* What the schedule of a DAG waits for: its datasets, and which of them were updated since its last
 * run took some. As the store has it: for those who are shown it. */
#ifndef WEIR_RUN_DATASET_WAITS_H
#define WEIR_RUN_DATASET_WAITS_H

#include <stddef.h>
#include <stdint.h>

#include "core/dataset.h"

struct dag;
struct err;
struct store;

struct dataset_wait {
	const char *name;         /* borrowed from the DAG */
	int64_t last_us;          /* its last update; 0: none yet */
	int64_t since_us;         /* the DAG waits for it since; 0: no daemon knows of that */
	int64_t first_us;         /* of the updates that wait for a run: the first; 0: none do */
	int64_t count;            /* how many wait */
	int64_t start_us, end_us; /* from where to where their data reach */
};

/* One for each dataset of dag->datasets, in its order; the caller's to free. NULL with err. */
struct dataset_wait *dataset_waits(struct store *s, const struct dag *dag, struct err *err);

#endif
