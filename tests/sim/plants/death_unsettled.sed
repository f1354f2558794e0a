# file: src/run/former.c
# what: attempts of an own supervisor that died are waited for
/^void former_look_again/,/^}/s/settle_own(e);/(void)settle_own;/
