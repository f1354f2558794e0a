# file: src/core/sched_attempt.c
# what: a cancelled run's failed attempt is tried again
s/ || at.run->cancelling) {/) {/
