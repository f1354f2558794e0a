# file: src/core/sched_queue.c
# what: what waited takes no place, and gives one back
/^void sched_enter_gates/,/^}/s/k < GATE_KIND_MAX \&\& !waits(at); k++/k < GATE_KIND_MAX \&\& !waits(at); k++/
/^void sched_leave_gates/,/^}/s/k < GATE_KIND_MAX \&\& !waits(at); k++/k < GATE_KIND_MAX; k++/
