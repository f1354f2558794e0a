# file: src/run/engine_step.c
# what: a start does not say under which epoch it is
s/job.exec.epoch = run->epoch;/job.exec.epoch = 0;/
