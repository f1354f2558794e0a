# file: src/run/former.c
# what: who does not answer is taken for dead
s/if (!reached \&\& !all_answered(q, n))/if (!reached \&\& !q)/
