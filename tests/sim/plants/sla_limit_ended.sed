# file: src/run/daemon_sla_watch.c
# what: a limit is held against what has ended
/^static int run_limit/,/^}/s/if (!still_runs(d, w))/if (!still_runs(d, w) \&\& !d)/
