# file: src/core/sched_attempt.c
# what: a cancel leaves instances waiting that have not run
s/for (int i = r->dag->ntasks; i < r->nlive; i++)/for (int i = r->nlive; i < r->nlive; i++)/
