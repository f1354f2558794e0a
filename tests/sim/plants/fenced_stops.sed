# file: src/run/engine_loop.c
# what: who has lost a run stops its attempts
/^static void drop_lost_runs/,/^}/s/drop_held(e, r->id);/drop_held(e, r->id); engine_kill_now(e, r);/
