# file: src/run/alerting.c
# what: what is to be told together is told one by one
/^static bool same_group(/,/^}/s/return x->step/return x == y \&\& x->step/
