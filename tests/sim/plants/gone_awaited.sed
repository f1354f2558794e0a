# file: src/run/former.c
# what: a supervisor that left is asked for ever
/^static int open_former/,/^}/{
/^\tf->again_us = 0;/d
s/^\tf->live = found.live;/\tf->again_us = 0;\
&/
}
