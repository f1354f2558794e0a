# file: src/run/engine_step.c
# what: what was asked for while the store could not be written is done without its record
/^static int commit(/,/^}/s/if (store_commit(e->store, &batch, err) < 0)/if (store_commit(e->store, \&batch, err) < 0 \&\& (e->nrequests = 0, 1))/
