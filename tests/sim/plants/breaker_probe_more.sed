# file: src/core/breaker.c
# what: a breaker that is half open lets one probe more through
/^bool breaker_ask/,/^}/s/b->probing + b->passed < p->probes/b->probing + b->passed <= p->probes/
