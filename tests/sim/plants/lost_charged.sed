# file: src/core/sched_attempt.c
# what: a lost attempt counts as a failure of the task
s/t->failures += !lost;/t->failures++;/
