# file: src/run/daemon_sla.c
# what: a task that is done is missed until its run is
/^void daemon_sla_changed/,/^}/s/has_come(d, r, c->task, false);/has_come(d, r, NULL, true);/
