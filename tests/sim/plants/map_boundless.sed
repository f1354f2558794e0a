# file: src/core/sched_queue.c
# what: max_active of a mapped task is not looked at
/^static bool is_bounded/,/^}/s/max_active > 0/max_active > 9999/
