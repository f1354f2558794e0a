# file: src/core/sched_request.c
# what: the last task of a request is left out
/^int sched_request/,/^}/s/if (chosen\[at.task\])/if (chosen[at.task] \&\& q->ntasks < 2)/
