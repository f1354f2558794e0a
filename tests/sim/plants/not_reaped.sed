# file: src/run/former.c
# what: attempts of a dead supervisor are lost without being reaped
s/if (found->entry->started \&\& p->reap(/if (!p \&\& p->reap(/
