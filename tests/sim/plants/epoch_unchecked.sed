# file: src/store/memory.c
# what: the store does not compare epochs
s/run->row.epoch != epoch/run->row.epoch < epoch/
