# file: src/core/sched_state.c
# what: a task is not told that one of its needs is done
/^static void recount/,/^}/s/^\t\tif (t->told != TASK_NONE)$/\t\tif (t->told != TASK_NONE \&\& j % 3 != 2)/
