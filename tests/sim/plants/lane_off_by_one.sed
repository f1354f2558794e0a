# file: src/core/gate.c
# what: a lane, a DAG or a pool runs one more than its limit
s/return g->used < g->max;/return g->used <= g->max;/
