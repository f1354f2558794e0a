#include "core/retry.h"

#include "base/rng.h"

int64_t retry_delay_us(const struct retry_policy *p, int n, struct rng *rng)
{
	double delay = (double)p->initial_us;

	for (int i = 1; i < n && delay < (double)p->max_us; i++)
		delay *= p->factor;
	if (delay > (double)p->max_us)
		delay = (double)p->max_us;
	switch (p->jitter) {
	case JITTER_FULL:
		return (int64_t)(delay * rng_unit(rng));
	case JITTER_EQUAL:
		return (int64_t)(delay / 2 + delay / 2 * rng_unit(rng));
	default:
		return (int64_t)delay;
	}
}

bool retry_is_permanent(const struct retry_policy *p, const struct retry_question *q)
{
	bool by_status = q->outcome == OUTCOME_FAILED && q->exit_status >= 0;

	if (q->permanent || exit_set_has(&p->fail_on, q->exit_status))
		return true;
	return p->retry_on.given && by_status && !exit_set_has(&p->retry_on, q->exit_status);
}

enum reason retry_decide(const struct retry_policy *p, const struct retry_question *q)
{
	/* What the system lost is not the task's fault: counted apart. */
	if (q->outcome == OUTCOME_LOST)
		return q->lost > p->lost_retries ? REASON_LOST_TOO_OFTEN : REASON_RETRY_WAIT;
	if (retry_is_permanent(p, q))
		return REASON_NOT_RETRYABLE;
	return q->failures > p->retries ? REASON_RETRIES_SPENT : REASON_RETRY_WAIT;
}
