# file: src/core/sched.c
# what: a lane runs one more than its limit
s/lane->running < lane->max/lane->running <= lane->max/
