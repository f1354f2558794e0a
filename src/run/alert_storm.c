#include "run/alert_storm.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct alert_stormy {
	char *route;
	int64_t at_us;
	struct alert_stormy *next;
};

static struct alert_stormy *find(const struct alert_storms *s, const char *route)
{
	struct alert_stormy *r = s->list;

	while (r && strcmp(r->route, route) != 0)
		r = r->next;
	return r;
}

void alert_storms_release(struct alert_storms *s)
{
	for (struct alert_stormy *r = s->list, *next; r; r = next) {
		next = r->next;
		free(r->route);
		free(r);
	}
	s->list = NULL;
}

/* A clock that was set back makes nothing wait. */
static bool follows(const struct alert_storms *s, const char *route, int64_t now_us)
{
	const struct alert_stormy *r = find(s, route);

	return r && now_us >= r->at_us && now_us - r->at_us < ALERT_STORM_AFTER_US;
}

int64_t alert_storms_wait_us(
	const struct alert_storms *s, const struct alert_storm *group, int64_t now_us)
{
	bool rest = follows(s, group->route, now_us);

	if ((group->n < ALERT_STORM_LEAST && !rest) || group->first_us > now_us)
		return 0;
	int64_t most = group->first_us + (rest ? ALERT_STORM_REST_US : ALERT_STORM_FIRST_US);
	int64_t quiet = group->last_us + group->quiet_us;
	int64_t until = quiet < most ? quiet : most;
	return until > now_us ? until : 0;
}

void alert_storms_note(struct alert_storms *s, const char *route, size_t n, int64_t now_us)
{
	struct alert_stormy *r = n < ALERT_STORM_LEAST ? NULL : find(s, route);

	if (n < ALERT_STORM_LEAST)
		return;
	if (!r) {
		r = calloc(1, sizeof *r);
		if (!r || !(r->route = strdup(route))) {
			free(r);
			return;
		}
		r->next = s->list;
		s->list = r;
	}
	r->at_us = now_us;
}
