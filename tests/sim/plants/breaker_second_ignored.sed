# file: src/core/sched_breaker.c
# what: of several breakers only the first holds a task
/^static struct live_breaker \*stopping/,/^}/s/while (g && \*g &&/if (g \&\& *g \&\&/
