# file: src/core/gate.c
# what: a wide task takes a slot that its pool does not have
s/slots <= g->max - g->used)/slots <= g->max - g->used + 1)/
