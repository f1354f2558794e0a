# file: src/run/engine_step.c
# what: a full disk fails a task that waits
/^static bool passes/,/^}/s/ || err->code == ERR_STORE//
