# file: src/run/engine_step.c
# what: what a halt stops counts as cancelled
s/if (e->halting \&\& end->outcome == OUTCOME_CANCELLED)/if (!e \&\& end->outcome == OUTCOME_CANCELLED)/
