# file: src/run/former.c
# what: a supervisor that left is asked for ever
/^static int open_former/,/^}/{
/^\t\tf->again_us = 0;/d
}
