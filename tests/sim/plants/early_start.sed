# file: src/core/trigger.c
# what: a task starts when all its needs but one are done
s/c->success == c->needs/c->success + 1 >= c->needs/
