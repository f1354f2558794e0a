# file: src/core/sched_state.c
# what: a task is not told that one of its needs is done
/^void sched_spread_news/,/^}/s/^\t\t\t\ttrigger_count(/\t\t\t\tif (j % 3 != 2) trigger_count(/
