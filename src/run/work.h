/* Which piece of work an attempt belongs to; and results of attempts whose work is over.
 *
 * A task's attempts are one piece of work as long as they are retries: after a failure, a timeout,
 * a loss, in whichever process. Being done again on purpose (cleared, or a failed task in a new
 * `weir run`) is another piece: the scheduler then counts failures and losses anew. A piece is
 * named by the token of its first attempt, which no other state's attempt has. What publishes knows
 * by it whether what it finds at its target is its own (data/ledger.h).
 */
#ifndef WEIR_RUN_WORK_H
#define WEIR_RUN_WORK_H

#include <stdint.h>

struct change;
struct err;
struct exec_end;
struct sched;
struct store;

/* Of the attempt that a CHANGE_START starts, which the scheduler has in flight and the store need
 * not know yet. The store is asked only where it is not the first one. */
int work_of(struct store *s, const struct sched *sched, const struct change *start, int64_t *ret,
	struct err *err);
/* The end of an attempt that is not in flight: it changes nothing, and is kept in the history as
 * far as that can be written now. */
void work_late_end(struct store *s, const struct exec_end *end);

#endif
