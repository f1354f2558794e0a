# file: src/run/daemon_sla.c
# what: a run that starts is taken for one that has finished
/^static void has_come/,/^}/s/(!started || m->key.kind == start_kind)/(!started || start_kind)/
