# file: src/run/daemon_sla_watch.c
# what: of what has failed nobody is warned
/^static int run_risk/,/^}/s/if (look.facts.done || look.facts.passed_over)/if (look.final || look.facts.passed_over)/
