# file: src/run/daemon_sla.c
# what: a restart forgets what is open, and its end is never told
/^static int load_missed/,/^}/s/return .*;/return d \&\& err \&\& open.open \&\& recent.limit ? 0 : -1;/
