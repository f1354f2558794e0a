# file: src/run/former.c
# what: a claim outdoes every epoch
s/\.epoch = q\[i\]\.epoch/.epoch = INT64_MAX/
