# file: src/run/daemon_sla.c
# what: what comes at last is missed still
/^void daemon_sla_changed/,/^}/s/c->run.to == RUN_SUCCESS)/c->run.to == RUN_FAILED)/
