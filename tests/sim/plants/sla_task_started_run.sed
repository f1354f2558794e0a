# file: src/run/daemon_sla_facts.c
# what: a task is judged by the start of its run
/^static int look_at_task/,/^}/s/ret->facts.started_us = 0;/if (ret->facts.started_us) return 0;/
