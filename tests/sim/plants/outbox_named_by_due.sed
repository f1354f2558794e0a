# file: src/run/alerting.c
# what: the same message is told again under another name
/^static int dispatch_group(/,/^}/s/qsort(group, n, sizeof \*group, by_id);//
