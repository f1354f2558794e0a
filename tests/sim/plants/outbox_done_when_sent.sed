# file: src/run/alerting.c
# what: an act is done when it is sent, not when it was told
/^static int send_group(/,/^}/s/^\t\trc = 0;/\t\trc = end_acts(a, a->jobs, OUTBOX_DONE, now_us, NULL, err);/
