# file: src/run/alerting.c
# what: no other channel tells what one has given up
/^static int fail_job(/,/^}/s/rc = pass_on(a, j, error, now_us, err);/rc = 0;/
