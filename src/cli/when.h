/* Times as people read them. The zone is the user's (TZ). */
#ifndef WEIR_CLI_WHEN_H
#define WEIR_CLI_WHEN_H

#include <stddef.h>
#include <stdint.h>

enum { WHEN_SIZE = 48 };

/* All write into buf, of WHEN_SIZE, and return it; an instant of 0 (not yet) gives "-", but for
 * the UTC ones, where it is 1970. */
const char *when_local(int64_t at_us, char *buf);               /* 2026-11-19 02:00:07 */
const char *when_utc(int64_t at_us, char *buf);                 /* 2026-11-19T01:00:07.25Z */
const char *when_utc_seconds(int64_t at_us, char *buf);         /* 2026-11-19T01:00:07Z */
const char *when_ago(int64_t at_us, int64_t now_us, char *buf); /* 3m ago, in 20s, just now */
/* What --date takes to name a run's interval again: its date where the run is named by it, else the
 * interval's start, since several may begin on one day. */
const char *when_interval(const char *run, const char *ds, int64_t start_us, char *buf);
/* The time of day when it is today, else with its date: "02:00:07", "Nov 18 02:00". */
const char *when_short(int64_t at_us, int64_t now_us, char *buf);

#endif
