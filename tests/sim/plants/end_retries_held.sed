# file: src/core/sched_request.c
# what: a held task that waits for its next try is named, and passed over
/^static int choose/,/^}/s/fits(t, q->verb);/request_may(q->verb, t->state);/
