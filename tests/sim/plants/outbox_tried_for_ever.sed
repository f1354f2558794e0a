# file: src/run/alerting.c
# what: a channel is tried for ever
/^static int fail_job(/,/^}/s/j->tries + 1 < a->config.alerts->tries \&\& transient/transient/
