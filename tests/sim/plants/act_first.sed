# file: src/run/engine_step.c
# what: attempts are started before their start is committed
/^int engine_step_once/,/^}/s/if (commit(e, changes, \*ret_n, err) < 0)/act(e, changes, *ret_n);\
	engine_flush(e);\
	if (commit(e, changes, *ret_n, err) < 0)/
