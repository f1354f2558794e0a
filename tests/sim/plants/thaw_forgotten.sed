# file: src/core/sched.c
# what: what is no longer held is not queued again
/^void sched_hold/,/^}/s/sched_push_ready(s, &at);/(void)at;/
