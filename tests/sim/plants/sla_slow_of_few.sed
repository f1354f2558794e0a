# file: src/core/sla.c
# what: one run is history enough to be slow by
/^int64_t sla_median_us/,/^}/s/n < SLA_HISTORY_LEAST/n < 1/
