# file: src/core/breaker.c
# what: a breaker counts failures of which it was told not to
/^bool breaker_ended/,/^}/s/ && (p->counts & 1u << e->class)//
