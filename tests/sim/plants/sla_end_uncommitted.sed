# file: src/run/daemon_sla.c
# what: a miss that was late when it was found keeps its end to itself
/^static void take_kept/,/^}/s/m->keep_end = m->keep_end && m->fresh && m->id > 0;/m->keep_end = false;/
