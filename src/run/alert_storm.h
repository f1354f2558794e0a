/* Storms: when much goes wrong at once, it is told once.
 *
 * A group of messages of a route is a storm when there are ALERT_STORM_LEAST of them. While it
 * still grows it waits for the rest, for some seconds at the most: the first message of a storm
 * comes soon. What follows within a minute is the rest of that storm, which may wait longer. It is
 * over when nothing has come for a while.
 *
 * Pure.
 */
#ifndef WEIR_RUN_ALERT_STORM_H
#define WEIR_RUN_ALERT_STORM_H

#include <stddef.h>
#include <stdint.h>

enum { ALERT_STORM_LEAST = 20 };
#define ALERT_STORM_FIRST_US INT64_C(4000000)
#define ALERT_STORM_REST_US INT64_C(30000000)
#define ALERT_STORM_AFTER_US INT64_C(60000000)

/* Zeroed: none. */
struct alert_storms {
	struct alert_stormy *list; /* routes that were told of one */
};
void alert_storms_release(struct alert_storms *s);

/* A group whose time has come. */
struct alert_storm {
	const char *route;
	size_t n;
	int64_t first_us, last_us; /* when the first and the last of it went wrong */
	int64_t quiet_us;          /* without news for so long it is over */
};
/* Until when it waits for more; 0: it is told now. */
int64_t alert_storms_wait_us(
	const struct alert_storms *s, const struct alert_storm *group, int64_t now_us);
/* So many are told of now. What cannot be kept for want of memory is no storm. */
void alert_storms_note(struct alert_storms *s, const char *route, size_t n, int64_t now_us);

#endif
