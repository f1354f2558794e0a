# file: src/core/sched_breaker.c
# what: checks that pass do not close the breaker of their dataset
/^static void judge_quality/,/^}/s/if (low == (why.from == BREAKER_OPEN))/if (!low || why.from == BREAKER_OPEN)/
