# file: src/core/sla.c
# what: a time of day is that of the day after
/^static int64_t clock_after/,/^}/s/zone_day_at(zone_of(spec), after_us) - 1/zone_day_at(zone_of(spec), after_us) + 1/
