# file: src/core/sched_run.c
# what: a token is smaller than the one another owner gave
s/^\toutgrow_tokens(s, r);/\t(void)outgrow_tokens;/
