# file: src/run/alerting.c
# what: what failed is tried again at once
/^static int fail_job(/,/^}/s/alert_retry_us(a->config.alerts, j->tries + 1, after, now_us)/now_us/
