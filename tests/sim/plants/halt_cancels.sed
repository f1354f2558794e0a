# file: src/run/engine.c
# what: what a halt stops counts as cancelled
s/const unsigned how = EXEC_STOP_LOST |/const unsigned how = 0 |/
