# file: src/run/control_wait.c
# what: what counts as said when nobody decides is the opposite
/^static int decide_by_time/,/^}/s/bool approved = says(k, "default", "approve");/bool approved = !says(k, "default", "approve");/
