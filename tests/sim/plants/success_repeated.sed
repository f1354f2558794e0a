# file: src/core/sched_run.c
# what: a rerun does what had succeeded once more
s/bool failed = init->state == TASK_FAILED/bool failed = init->state == TASK_SUCCESS || init->state == TASK_FAILED/
