# file: src/core/sched_queue.c
# what: a paused run starts its tasks
s/if (!is_held(at))/if (!live(at)->held)/
