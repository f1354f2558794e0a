# file: src/core/sched_ask.c
# what: a wait ends a second before its time
/^static bool is_late/,/^}/s/now_us >= t->due_us/now_us + 1000000 >= t->due_us/
