# file: src/run/daemon_sla_watch.c
# what: people are warned of what is done
/^static int run_risk/,/^}/s/if (look.facts.done || look.facts.passed_over)/if (look.facts.passed_over)/
