/* Alerts: who is told of an incident, and when. `alerts:` of weir.yaml, as conf/alerts.h loads it.
 *
 * A route names what it is for (tags, owners, DAGs, kinds, severity, hours) and the channels that
 * tell of it: the first of them does, and where it fails, the next. Quiet hours hold back what is
 * not critical until they end. What happens within the group window is told in one message.
 *
 * Pure: no clock, no file. Immutable once loaded.
 */
#ifndef WEIR_CORE_ALERT_H
#define WEIR_CORE_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/incident.h"

struct node;
struct zone;

enum alert_channel_type {
	ALERT_SLACK,
	ALERT_PAGERDUTY,
	ALERT_EMAIL,
	ALERT_WEBHOOK,
	ALERT_COMMAND,
	ALERT_CHANNEL_TYPE_MAX
};
const char *alert_channel_type_name(enum alert_channel_type t); /* "slack" */
int alert_channel_type_by_name(const char *name);               /* -1: none */

struct alert_channel {
	const char *name;
	enum alert_channel_type type;
	const struct node *node; /* its keys in weir.yaml */
};

/* Of the day, in minutes, [from, to); over midnight where `to` is smaller. */
struct alert_hours {
	bool given;
	int from_min, to_min;
};

struct alert_route {
	const char *name;
	/* What it is for; NULL-ended, NULL: all. `dags` are patterns as of the shell. */
	const char *const *tags, *const *owners, *const *dags, *const *kinds;
	enum severity least;
	struct alert_hours hours;
	const int *to; /* indices of channels */
	int nto;
	const int *escalate_to; /* nescalate_to 0: as `to` */
	int nescalate_to;
	int64_t escalate_after_us; /* 0: never */
};

struct alerts {
	const struct alert_channel *channels;
	int nchannels;
	const struct alert_route *routes;
	int nroutes;
	struct alert_hours quiet;
	const struct zone *zone; /* of hours; never NULL */
	int64_t group_window_us;
	int tries;                    /* of a channel, until the next one is to tell */
	int64_t retry_us;             /* before the second try; twice that before the third, ... */
	const struct node *heartbeat; /* its url; NULL: none */
	int64_t heartbeat_us;
	const char *dir; /* that files of secrets are relative to */
};

/* What an incident belongs to. */
struct alert_subject {
	const char *dag, *owner; /* NULL: none */
	const char *const *tags; /* NULL-ended; NULL: none */
	enum incident_kind kind;
};
/* Whether a route is for it. */
bool alert_route_takes(const struct alert_route *r, const struct alert_subject *s);
bool alert_is_within(const struct alert_hours *h, const struct zone *zone, int64_t at_us);
/* When something that happens now is to be told: when quiet hours end, or at the end of the group
 * window. */
int64_t alert_due_us(const struct alerts *a, enum severity severity, int64_t now_us);
/* A name with `*` and `?`. */
bool alert_glob(const char *pattern, const char *text);
const struct alert_route *alert_find_route(const struct alerts *a, const char *name, size_t len);
const struct alert_channel *alert_find_channel(const struct alerts *a, const char *name);

/* When try `tries` + 1 is due after `tries` failed ones; `after_us`: what the server asked for
 * (Retry-After), 0: nothing. At most ALERT_RETRY_MAX_US later. */
#define ALERT_RETRY_MAX_US INT64_C(900000000)
int64_t alert_retry_us(const struct alerts *a, int tries, int64_t after_us, int64_t now_us);

/* Acts for the channels of an escalation have the route's name with this behind it. */
#define ALERT_ESCALATION "/escalation"

#endif
