# file: src/core/sched_run.c
# what: a run that is let go keeps its slots
/^void sched_drop_run/,/^}/s/sched_leave_gates(s, &(struct ref){ r, f->task });/(void)0;/
