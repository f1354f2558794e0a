# file: src/core/sched_attempt.c
# what: the last of those that a choice leaves out is not skipped
/^static void skip_unchosen/,/^}/s/i < e->nskips; i++/i + 1 < e->nskips; i++/
