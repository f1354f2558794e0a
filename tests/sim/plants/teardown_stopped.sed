# file: src/core/sched_attempt.c
# what: a cancel stops teardowns that run
/^void sched_cancel_run/,/^}/s/ && (hard || !def_of(&at)->teardown))/)/
