# file: src/core/sched_ask.c
# what: what waits is not looked at again
/^static void ask_at/,/^}/s/sched_arm(s, at);/(void)s;/
