# file: src/run/breakers.c
# what: who judges a dataset does not know how its breaker stood before a restart
/^static bool has_breakers/,/^}/s/ && !dag->tasks\[i\].quality_breaker//
