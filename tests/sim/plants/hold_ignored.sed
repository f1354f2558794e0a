# file: src/core/sched_queue.c
# what: a paused run starts its tasks
s/if (!t->held \&\& !at->run->held)/if (!t->held)/
