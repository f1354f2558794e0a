# file: src/run/alerting.c
# what: no other sender is begun when one died
/^static void begin_sender(/,/^}/s/if (a->sender.pid > 0 ||/if (a->sender.pid > 0 || a->next_job > 1 ||/
