# file: src/core/sched_ask.c
# what: a wait is over at its time, though nobody could look
/^static void wait_more/,/^}/s/ && !w->unseen) {/) {/
