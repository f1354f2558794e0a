# file: src/core/sched_state.c
# what: what followed from the state of a task is not judged anew when that is changed
/^void sched_review_run/,/^}/s/if (todo\[at.task\] & REVIEW)/if (0)/
