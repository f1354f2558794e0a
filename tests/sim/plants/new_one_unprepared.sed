# file: src/run/former.c
# what: a new supervisor is not told what the dead one held
/^int former_replace_own/,/^}/s/e->prepared = 0;/(void)0;/
