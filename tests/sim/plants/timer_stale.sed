# file: src/core/sched.c
# what: a timer fires for a retry that is due later
s/live(ret)->due_us == e->key;/e->key > 0;/
s/first->key <= now_us/first->key - 3000000 <= now_us/
