# file: src/run/daemon_sla.c
# what: nobody wakes for the limit of what runs
/^int64_t daemon_sla_wake_us/,/^}/s/return e && .*;/return e ? wake : wake;/
