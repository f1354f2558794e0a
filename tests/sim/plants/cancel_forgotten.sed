# file: src/core/sched_attempt.c
# what: a cancelled run's failed attempt is tried again
/^bool sched_attempt_ended/,/^}/s/ || starts_no_more(&at)) {/) {/
