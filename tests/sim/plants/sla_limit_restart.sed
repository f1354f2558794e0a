# file: src/run/daemon_sla_watch.c
# what: after a restart what goes on has no limits
/^void daemon_sla_taken/,/^}/s/if (row->state != RUN_RUNNING)/if (row->state == RUN_RUNNING)/
