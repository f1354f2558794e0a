# file: src/core/sla.c
# what: people are warned twice as early
/^int64_t sla_judged_at_us/,/^}/s/at -= s->warn_ahead_us/at -= 2 * s->warn_ahead_us/
