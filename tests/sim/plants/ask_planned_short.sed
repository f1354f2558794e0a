# file: src/core/request.c
# what: a plan does not tell of the last task
/^static void see_after/,/^}/s/i < p->ntasks; i++/i + 1 < p->ntasks; i++/
