# file: src/core/sched_run.c
# what: after a restart what had failed is done again
s/if (failed \&\& !resume)/if (failed)/
