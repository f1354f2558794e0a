# file: src/core/sched_map.c
# what: where instances failed, all of them are done again
/^void sched_do_again/,/^}/s/if (why != REASON_MAPPED)/if (!is_instance(at) \&\& task_state_is_final(t->state) \&\& sched_is_listed(at))\
		sched_set_task(s, at, TASK_NONE, REASON_RERUN_FAILED, now_us);\
	else &/
