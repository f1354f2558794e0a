# file: src/core/breaker.c
# what: a breaker opens one failure too late
/^static bool is_too_much/,/^}/s/failed >= p->failures/failed > p->failures/
