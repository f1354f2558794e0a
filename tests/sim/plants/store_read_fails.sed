# file: src/run/engine_step.c
# what: a task fails when the store cannot be read
s/^\tif (work_of(e->store, e->sched, c, &a.work, ret_err) < 0)/\tif (work_of(e->store, e->sched, c, \&a.work, ret_err) < 0) {\
		keep_unstarted(e, c->attempt.token, ret_err);\
		return 0;\
	}\
	if (!e)/
