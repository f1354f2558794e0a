/* The daemon's log: one line per event, key=value or JSON, with a level.
 *
 *     2026-11-20T02:00:01.250Z info msg="task finished" run=nightly_sales@2026-11-19 task=orders
 * state=success
 */
#ifndef WEIR_RUN_DAEMON_LOG_H
#define WEIR_RUN_DAEMON_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum log_level { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR, LEVEL_MAX };

struct daemon_log {
	FILE *out;
	bool json;
	enum log_level least;
};

struct log_pair {
	const char *key, *value; /* value NULL: the pair is left out */
};
/* `pairs` end with a NULL key; NULL: there are none. Values are text, quoted where they must be;
 * line breaks in them do not break the line. */
void daemon_log(const struct daemon_log *log, enum log_level level, const char *msg,
	const struct log_pair *pairs);
#define LOG_PAIRS(...) ((const struct log_pair[]){ __VA_ARGS__, { NULL, NULL } })

#endif
