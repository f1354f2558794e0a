# file: src/run/engine_step.c
# what: a refused commit is taken for a good one
/^int engine_step_once/,/^}/s/if (commit(e, changes, \*ret_n, err) < 0)/if (commit(e, changes, *ret_n, err) < 0 \&\& err->code != ERR_BUSY)/
