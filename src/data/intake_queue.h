/* Two threads with rows between them: one reads and checks, the other keeps.
 *
 * Rows are copied into batches, of which there are a few; who is faster waits. All of the
 * producer's work (files, contract, quarantine) happens in a thread of its own, the consumer is the
 * caller's thread, which holds the database connection.
 */
#ifndef WEIR_DATA_INTAKE_QUEUE_H
#define WEIR_DATA_INTAKE_QUEUE_H

#include <stddef.h>

struct cell;
struct err;
struct intake_queue;

struct intake_queue_work {
	int (*produce)(void *arg, struct err *err); /* calls intake_queue_put */
	int (*take)(void *arg, const struct cell *cells, struct err *err);
	void *arg;
};

/* Run both to the end; *ret_queue is set while they run. The consumer's error goes before the
 * producer's. When a thread cannot be had, all is done in the caller's, with *ret_queue NULL. */
int intake_queue_run(
	const struct intake_queue_work *work, struct intake_queue **ret_queue, struct err *err);
/* Add a row of n cells, all rows the same n; waits for room. -1 when the consumer has failed
 * (ERR_INTERRUPTED). */
int intake_queue_put(struct intake_queue *q, const struct cell *cells, size_t n, struct err *err);

#endif
