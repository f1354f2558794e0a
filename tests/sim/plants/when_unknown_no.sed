# file: src/core/sched_state.c
# what: a condition that is not decided yet is taken as met
/^static enum verdict judge_condition/,/^}/s/return trigger_waiting(&live(at)->counts) ? VERDICT_WAIT : VERDICT_RUN;/return VERDICT_RUN;/
