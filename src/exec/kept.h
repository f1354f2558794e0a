/* What a supervisor keeps of attempts that are not in hand.
 *
 * Ends, until their holder says that they are recorded: whoever claims the attempt before that is
 * told its end. And tombstones, of tokens that were claimed and not known here: to the claimer they
 * were never started, and so they must not be started later, by a driver that wakes up with an
 * older epoch. Tombstones are few, and stay.
 */
#ifndef WEIR_EXEC_KEPT_H
#define WEIR_EXEC_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/exec.h"

struct journal;
struct kept;
struct tomb;

struct kept_set { /* zero it before the first use */
	struct kept *ends;
	size_t n;     /* of them */
	size_t acked; /* since the caller set it to 0 */
	struct tomb *tombs;
	size_t ntombs;
};
void kept_release(struct kept_set *set);

struct kept_note {
	int64_t epoch;
	int holder;
	int64_t pid, start_boot_us; /* pid 0: it was not started */
};
/* A second end of a token is passed over. -1: out of memory. */
int kept_add(struct kept_set *set, const struct exec_end *end, const struct kept_note *note);
bool kept_has(const struct kept_set *set, int64_t token);
/* EXEC_CLAIM_ENDED, FENCED, or UNKNOWN: no end of it is kept. */
enum exec_claim_answer kept_claim(
	struct kept_set *set, const struct exec_claim *claim, int holder, struct exec_end *ret);
/* Forget an end; of a token not kept, or not of this holder, false. */
bool kept_ack(struct kept_set *set, int64_t token, int holder);
void kept_leave(struct kept_set *set, int holder); /* it hung up */

int kept_record(const struct kept_set *set, struct journal *to); /* all; -1: out of memory */

/* Claim a token that is not known otherwise: EXEC_CLAIM_UNKNOWN, or FENCED. -1: out of memory. */
int kept_bury(struct kept_set *set, int64_t token, int64_t epoch);
/* A start under this epoch comes too late. */
bool kept_is_buried(const struct kept_set *set, int64_t token, int64_t epoch);

#endif
