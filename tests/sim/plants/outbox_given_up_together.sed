# file: src/run/alerting.c
# what: an act is given up for the tries of another
/^static int end_tried(/,/^}/s/j->tried\[i\] + 1/j->tries + 1/
