# file: src/run/alerting.c
# what: the first channel tells again instead of the next
/^static int dispatch_group(/,/^}/s/to\[group\[0\]->step\]/to[0]/
