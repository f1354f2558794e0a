# file: src/run/control.c
# what: a task runs whatever its condition
/^int control_only_if/,/^}/s/return a->task->only_if ?.*/(void)c; (void)err; return 0 * a->try;/
