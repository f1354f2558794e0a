# file: src/run/alerting.c
# what: what is due later is forgotten
/^static int plan_wake(/,/^}/s/sooner(&a->wake_us, act);/;/
