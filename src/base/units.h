/* Quantities with a unit, as people write them, and back.
 *
 * Durations: "90s", "1h30m", "250ms", "1d", "2w", "0"; parts descend, each at most once;
 * a bare number other than 0 is an error that names a unit. Sizes: "512", "10KiB",
 * "10MiB", "2GiB", "1TiB" (powers of 1024) and "10kB", "10MB", "1GB" (of 1000), a
 * fraction allowed ("1.5GiB"). Percentages: "1%", "99.5%", and a bare fraction "0.01"
 * (0 to 1); the result is a fraction. A share of something there may be many of can be more than
 * 100%: "250%" is 2.5.
 */
#ifndef WEIR_BASE_UNITS_H
#define WEIR_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

struct err;

#define US_PER_MS 1000LL
#define US_PER_SECOND 1000000LL
#define US_PER_MINUTE (60 * US_PER_SECOND)
#define US_PER_HOUR (60 * US_PER_MINUTE)
#define US_PER_DAY (24 * US_PER_HOUR)

int units_parse_duration(const char *text, int64_t *ret_us, struct err *err);
int units_parse_size(const char *text, int64_t *ret_bytes, struct err *err);
int units_parse_percent(const char *text, double *ret_fraction, struct err *err);
int units_parse_share(const char *text, double *ret_share, struct err *err);

/* All write into buf and return it. */
const char *units_format_duration(int64_t us, char *buf, size_t size); /* exact: "1h30m" */
const char *units_format_elapsed(int64_t us, char *buf, size_t size); /* to read: "1.2s", "3m05s" */
const char *units_format_size(int64_t bytes, char *buf, size_t size); /* "1.5 GiB" */
const char *units_format_count(int64_t n, char *buf, size_t size);    /* "1,234,567" */

#endif
