#include "core/alert.h"

#include <assert.h>
#include <string.h>

#include "base/units.h"
#include "core/zone.h"

static const char *const types[] = {
	[ALERT_SLACK] = "slack",
	[ALERT_PAGERDUTY] = "pagerduty",
	[ALERT_EMAIL] = "email",
	[ALERT_WEBHOOK] = "webhook",
	[ALERT_COMMAND] = "command",
};
static_assert(sizeof types / sizeof *types == ALERT_CHANNEL_TYPE_MAX, "a name for each type");

const char *alert_channel_type_name(enum alert_channel_type t)
{
	return (unsigned)t < ALERT_CHANNEL_TYPE_MAX ? types[t] : "?";
}

int alert_channel_type_by_name(const char *name)
{
	for (int i = 0; i < ALERT_CHANNEL_TYPE_MAX; i++)
		if (strcmp(types[i], name) == 0)
			return i;
	return -1;
}

/* One star is tried again at a time, the last one: no pattern takes longer than the product of
 * both lengths. */
bool alert_glob(const char *pattern, const char *text)
{
	const char *star = NULL, *from = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			from = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool has(const char *const *list, const char *text)
{
	for (; text && *list; list++)
		if (strcmp(*list, text) == 0)
			return true;
	return false;
}

static bool has_any(const char *const *list, const char *const *texts)
{
	for (; texts && *texts; texts++)
		if (has(list, *texts))
			return true;
	return false;
}

static bool has_glob(const char *const *patterns, const char *text)
{
	for (; text && *patterns; patterns++)
		if (alert_glob(*patterns, text))
			return true;
	return false;
}

bool alert_route_takes(const struct alert_route *r, const struct alert_subject *s)
{
	return (!r->tags || has_any(r->tags, s->tags)) &&
	       (!r->owners || has(r->owners, s->owner)) &&
	       (!r->dags || has_glob(r->dags, s->dag)) &&
	       (!r->kinds || has(r->kinds, incident_kind_name(s->kind)));
}

static int minute_of(const struct zone *zone, int64_t at_us)
{
	struct civil c;

	zone_to_civil(zone, at_us, &c, NULL);
	return c.hour * 60 + c.min;
}

bool alert_is_within(const struct alert_hours *h, const struct zone *zone, int64_t at_us)
{
	if (!h->given)
		return true;
	int now = minute_of(zone, at_us);
	if (h->from_min < h->to_min)
		return h->from_min <= now && now < h->to_min;
	return now >= h->from_min || now < h->to_min;
}

/* The next time that the clock on the wall shows their end. */
static int64_t end_of(const struct alert_hours *h, const struct zone *zone, int64_t now_us)
{
	struct zone_local local;
	struct civil c;

	for (int64_t day = zone_day_at(zone, now_us);; day++) {
		civil_from_day(day, &c);
		c.hour = h->to_min / 60;
		c.min = h->to_min % 60;
		zone_local_to_utc(zone, &c, &local);
		if (local.first_us > now_us)
			return local.first_us;
		if (local.second_us > now_us)
			return local.second_us;
	}
}

int64_t alert_due_us(const struct alerts *a, enum severity severity, int64_t now_us)
{
	if (a->quiet.given && severity < SEVERITY_CRITICAL &&
		alert_is_within(&a->quiet, a->zone, now_us))
		return end_of(&a->quiet, a->zone, now_us);
	return now_us + a->group_window_us;
}

const struct alert_route *alert_find_route(const struct alerts *a, const char *name, size_t len)
{
	for (int i = 0; i < a->nroutes; i++)
		if (strncmp(a->routes[i].name, name, len) == 0 && !a->routes[i].name[len])
			return &a->routes[i];
	return NULL;
}

const struct alert_channel *alert_find_channel(const struct alerts *a, const char *name)
{
	for (int i = 0; i < a->nchannels; i++)
		if (strcmp(a->channels[i].name, name) == 0)
			return &a->channels[i];
	return NULL;
}

int64_t alert_retry_us(const struct alerts *a, int tries, int64_t after_us, int64_t now_us)
{
	int64_t delay = a->retry_us;

	for (int i = 1; i < tries && delay < ALERT_RETRY_MAX_US; i++)
		delay *= 2;
	if (delay < after_us)
		delay = after_us;
	return now_us + (delay < ALERT_RETRY_MAX_US ? delay : ALERT_RETRY_MAX_US);
}
