# file: src/core/sched_run.c
# what: a token is smaller than the one another owner gave
s/^\tpass_over_tokens(s, r);/\t(void)pass_over_tokens;/
