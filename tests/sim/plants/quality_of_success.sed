# file: src/core/sched_breaker.c
# what: checks of an attempt that failed open nothing
/^void sched_tell_breakers/,/^}/s/!end.void_ && e->has_score/success \&\& e->has_score/
