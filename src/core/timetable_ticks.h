/* The ticks of a schedule: the instants from which core/timetable.c makes intervals.
 *
 * For core/timetable.c; nothing else needs it. Ticks know nothing of the schedule's start and end.
 */
#ifndef WEIR_CORE_TIMETABLE_TICKS_H
#define WEIR_CORE_TIMETABLE_TICKS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/cron.h"
#include "core/timetable.h"

struct mark {
	struct cron_fire fire;
	bool moved; /* by the calendar */
};

const struct zone *timetable_ticks_zone(const struct schedule_spec *spec); /* never NULL */
/* The first tick strictly after, the last strictly before an instant. False: there is none. */
bool timetable_ticks_next(const struct schedule_spec *spec, int64_t after_us, struct mark *ret);
bool timetable_ticks_prev(const struct schedule_spec *spec, int64_t before_us, struct mark *ret);
/* The nearest allowed day at or after, at or before a day. False: there is none. */
bool timetable_ticks_day_from(
	const struct timetable_calendar *calendar, int64_t day, int64_t *ret_day);
bool timetable_ticks_day_until(
	const struct timetable_calendar *calendar, int64_t day, int64_t *ret_day);

#endif
