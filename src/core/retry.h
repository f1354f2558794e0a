/* Retries: is a failed attempt tried again, and when. Pure. */
#ifndef WEIR_CORE_RETRY_H
#define WEIR_CORE_RETRY_H

#include <stdint.h>

#include "core/model.h"
#include "core/state.h"

struct rng;

/* The delay before retry number `n` (from 1): initial * factor^(n-1), at most max; then jitter as
 * in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): full = uniform in
 * [0, delay], equal = delay/2 + uniform in [0, delay/2]. */
int64_t retry_delay_us(const struct retry_policy *p, int n, struct rng *rng);

struct retry_question {
	enum outcome outcome;
	int exit_status, signal; /* -1 and 0: none */
	bool permanent;
	int failures; /* of this task so far, this one included */
	int lost;     /* likewise, lost attempts */
};

/* Is the failure one of the user's own: by the operator's word, or by fail_on or retry_on? */
bool retry_is_permanent(const struct retry_policy *p, const struct retry_question *q);

/* REASON_RETRY_WAIT: try again. Else why not: REASON_NOT_RETRYABLE, REASON_RETRIES_SPENT,
 * REASON_LOST_TOO_OFTEN. */
enum reason retry_decide(const struct retry_policy *p, const struct retry_question *q);

#endif
