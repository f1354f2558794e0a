# file: src/core/sched_attempt.c
# what: on a cancel a teardown is left out, though what it takes down was begun
/^static bool outlives_cancel/,/^}/s/if (need->tries > 0 || /if (/
