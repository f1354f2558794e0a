# file: src/core/sched_request.c
# what: a held task that waits for its next try is named, and passed over
/^static bool still_fits/,/^}/s/fits(live(at), q->verb);/request_may(q->verb, live(at)->state);/
