# file: src/core/sched_run.c
# what: a run that is let go keeps its slots
/^void sched_drop_run/,/^}/s/lane_of(s, r)->running--;/(void)0;/
