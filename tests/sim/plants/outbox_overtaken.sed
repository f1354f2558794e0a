# file: src/run/alerting.c
# what: what is over is told before the answer to what went wrong
/^static bool is_on_its_way(/,/^}/s/return true;/return false;/
