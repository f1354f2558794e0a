/* The list of a mapped task: made of its `foreach` (core/model.h) when it could start.
 *
 * It is made once, and kept with the instances: a restart finds the same one. Its items are JSON
 * texts, each of at most MAPPING_ITEM_MAX bytes, all of them together of MAPPING_BYTES_MAX.
 *
 *     items   templates in it are rendered; a template must be a list then
 *     dates   days, weeks and months give dates, in the zone of the schedule; hours and minutes
 *             give times with their offset, elapsed time apart whatever the clock does
 *     glob    paths in the order of their bytes; relative ones as the pattern says them, from the
 *             DAG's folder
 */
#ifndef WEIR_RUN_MAPPING_H
#define WEIR_RUN_MAPPING_H

#include <stddef.h>

#include "base/arena.h"

struct err;
struct foreach;
struct job_attempt;
struct job_context;
struct template_context;

enum { MAPPING_ITEM_MAX = 64 << 10, MAPPING_BYTES_MAX = 64 << 20 };

struct mapping {
	struct arena arena; /* the texts live in it */
	const char **items; /* JSON texts */
	int n, cap;
	size_t bytes;
};

/* Make the list. `dir`: the DAG's folder. ERR_INVALID with what is wrong and what to do, and with
 * the place in the DAG file; ERR_IO for a folder that cannot be read. On error nothing is kept. */
int mapping_make(const struct foreach *f, const struct template_context *tc, const char *dir,
	struct mapping *ret, struct err *err);
void mapping_release(struct mapping *m);

/* The list of a->task, which is mapped. */
int mapping_list(const struct job_context *c, const struct job_attempt *a, struct mapping *ret,
	struct err *err);

#endif
