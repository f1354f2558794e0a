# file: src/core/sched_breaker.c
# what: a breaker of quality holds nobody
/^static struct live_breaker \*stopping/,/^}/s/!(\*g)->known/(!(*g)->known || strncmp((*g)->name, QUALITY_BREAKER, 8) == 0)/
