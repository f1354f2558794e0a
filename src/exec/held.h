/* Starts that were prepared and wait for their GO; see exec_prepare in exec/exec.h.
 *
 * A held start is decoded, on its own copy of its frame, and its log is open: what is left to do at
 * GO is to make the process. Only so many logs are open ahead of their time that descriptors stay
 * for what runs; the others are opened at GO.
 */
#ifndef WEIR_EXEC_HELD_H
#define WEIR_EXEC_HELD_H

#include <stdint.h>

#include "exec/attempt.h"
#include "exec/frame.h"

struct err;
struct held;
struct kept_set;

#define HELD_LOGS_MAX 16

struct held_set { /* zero it before the first use */
	struct held *by_token;
	int open; /* logs */
};

/* Hold the job of a PREPARE. A token that is held already, or was claimed by someone with at least
 * its epoch, is passed over. ERR_DATA: the frame is damaged; ERR_NOMEM: it is not held. A log that
 * cannot be opened is no error now, but the attempt's end at its GO. */
int held_add(
	struct held_set *set, const struct frame *f, const struct kept_set *kept, struct err *err);
struct held *held_find(const struct held_set *set, int64_t token); /* or NULL */
/* Take one out, or NULL. The caller starts it, then held_free. */
struct held *held_take(struct held_set *set, int64_t token);
const struct exec_job *held_job(const struct held *h);
struct attempt_log *held_log(struct held *h);
/* NULL is passed over. A log that is still open was not used: it is closed, and removed when there
 * was none before. */
void held_free(struct held *h);
void held_drop_all(struct held_set *set);

#endif
