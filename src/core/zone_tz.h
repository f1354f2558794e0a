/* POSIX TZ rules, the text in a TZif file's footer: CET-1CEST,M3.5.0,M10.5.0/3
 *
 * POSIX.1-2024 8.3, with the extensions of RFC 9636 3.3.1: hours of a change from -167 to 167.
 * For core/zone.c; nothing else needs it.
 */
#ifndef WEIR_CORE_ZONE_TZ_H
#define WEIR_CORE_ZONE_TZ_H

#include <stdbool.h>
#include <stdint.h>

struct arena;

enum zone_tz_kind {
	ZONE_TZ_MONTH_WEEK,  /* Mm.w.d: weekday d of week w of month m, week 5 is the last */
	ZONE_TZ_JULIAN,      /* Jn: day 1 to 365, 29 February never counted */
	ZONE_TZ_DAY_OF_YEAR, /* n: day 0 to 365, 29 February counted */
	ZONE_TZ_KIND_MAX
};

struct zone_tz_change {
	enum zone_tz_kind kind;
	int month, week, day;
	int time_s; /* of the local clock before the change */
};

struct zone_tz_name {
	const char *abbrev; /* in the arena */
	int offset_s;       /* east is positive, the other way round than in the text */
};

struct zone_tz {
	struct zone_tz_name std, dst;
	bool has_dst;
	struct zone_tz_change begin, end; /* of daylight saving time */
};

/* -1 when the text is no rule (or the arena has failed). */
int zone_tz_parse(const char *text, struct arena *arena, struct zone_tz *ret);
/* The instants (seconds since the epoch) at which daylight saving time begins and ends in
 * a local year. Only for rules that have it. */
void zone_tz_year(const struct zone_tz *tz, int year, int64_t *ret_begin_s, int64_t *ret_end_s);

#endif
