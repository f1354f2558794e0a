# file: src/run/engine_step.c
# what: what the store refused is not tried again
/^int engine_step_once/,/^}/s/if (commit(e, changes, \*ret_n, err) < 0)/if (commit(e, changes, *ret_n, err) < 0 \&\& (sched_clear_changes(e->sched), true))/
