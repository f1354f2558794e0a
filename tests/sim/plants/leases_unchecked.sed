# file: src/run/engine_step.c
# what: a commit does not name its leases
/^static ssize_t collect_leases/,/^}/s/return (ssize_t)nleases;/return 0;/
