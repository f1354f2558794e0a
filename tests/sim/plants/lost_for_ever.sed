# file: src/core/retry.c
# what: lost attempts are tried again without end
s/q->lost > p->lost_retries/q->lost > p->lost_retries + 1/
