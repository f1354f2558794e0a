# file: src/run/alerting.c
# what: the next channel tells under a key that is known
/^static int pass_on(/,/^}/s,"%s/%d"\, j->keys\[i\]\, j->step + 1,"%s"\, j->keys[i],
