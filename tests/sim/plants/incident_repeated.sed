# file: src/run/engine_incident.c
# what: what went wrong in one commit is counted in the next, too
/^int engine_collect_incidents/,/^}/s/e->nincidents = 0;/(void)0;/
