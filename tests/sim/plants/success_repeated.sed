# file: src/core/sched_run.c
# what: a rerun does what had succeeded once more
s/bool failed = t->state == TASK_FAILED/bool failed = t->state == TASK_SUCCESS || t->state == TASK_FAILED/
