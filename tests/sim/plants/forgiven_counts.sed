# file: src/core/sched_state.c
# what: a teardown that fails fails its run, and is not to
/^enum run_state sched_end_state/,/^}/s/bool forgiven = r->dag->tasks\[i\].forgiven;/bool forgiven = false;/
