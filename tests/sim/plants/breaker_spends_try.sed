# file: src/core/sched_breaker.c
# what: a breaker that holds a task spends a try of it
/^bool sched_stop_at_breaker/,/^}/s/t->ready = false;/t->ready = false; t->tries++;/
