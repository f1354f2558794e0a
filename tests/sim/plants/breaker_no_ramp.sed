# file: src/core/breaker.c
# what: what a breaker held starts at once when it is closed
/^int64_t breaker_ramp_step_us/,/^}/s/return .*;/return p->ramp;/
