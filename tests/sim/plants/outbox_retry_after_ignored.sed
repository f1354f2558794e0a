# file: src/run/alerting.c
# what: the time a server asked for is not waited for
/^static int fail_job(/,/^}/s/j->tries + 1, after, now_us/j->tries + 1, 0, now_us/
