# file: src/core/sched_state.c
# what: a task is not told that one of its needs is done
s/^\t\t\ttrigger_count(&live(&d)->counts, live(&at)->state);/\t\t\tif (j % 3 != 2) trigger_count(\&live(\&d)->counts, live(\&at)->state);/
