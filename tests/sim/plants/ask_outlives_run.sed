# file: src/run/engine_request.c
# what: what was asked of a run is recorded though the run has passed on
/^void engine_forget_requests/,/^}/s/if (e->requests\[i\].run_id != run_id)/if (e->requests[i].run_id != -run_id)/
