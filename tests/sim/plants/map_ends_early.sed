# file: src/core/sched_map.c
# what: a mapped task has failed while other instances are on their way
/^static enum task_state state_of/,/^}/s/if (open > 0)/if (open > 0 \&\& !m->states[TASK_FAILED])/
