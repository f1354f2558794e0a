# file: src/run/breakers.c
# what: a restart forgets that a breaker is open
/^int breakers_load/,/^}/s/if (!has_breakers(dag))/if (dag)/
