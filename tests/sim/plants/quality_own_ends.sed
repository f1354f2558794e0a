# file: src/core/sched_breaker.c
# what: a breaker of quality closes by itself after a while
/^static void judge_quality/,/^}/s/breaker_force_open(&g->breaker, s->clock_us);/{ breaker_force_open(\&g->breaker, s->clock_us); g->breaker.until_us = s->clock_us + 5000000; }/
