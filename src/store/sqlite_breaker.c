/* Circuit breakers, and how they changed. */
#include "base/err.h"
#include "store/sqlite.h"

static int put_event(struct sqlite_store *s, const struct breaker_put *b, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_BREAKER_EVENT_PUT, "record a breaker's change");

	sqlite_bind_int(&q, b->at_us);
	sqlite_bind_text(&q, b->name);
	sqlite_bind_text(&q, breaker_state_name(b->from));
	sqlite_bind_text(&q, breaker_state_name(b->to));
	sqlite_bind_text(&q, reason_name(b->why));
	sqlite_bind_text(&q, b->by);
	sqlite_bind_text(&q, b->reason);
	sqlite_bind_time(&q, b->run_id);
	sqlite_bind_text(&q, b->task);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_breaker_put_in(struct sqlite_store *s, const struct breaker_put *b, struct err *err)
{
	bool counts = b->why == REASON_NONE;
	struct sqlite_query q = sqlite_query(
		s, counts ? SQL_BREAKER_COUNT : SQL_BREAKER_PUT, "record a breaker's state");

	sqlite_bind_text(&q, b->name);
	sqlite_bind_text(&q, b->text);
	sqlite_bind_text(&q, breaker_state_name(b->to));
	sqlite_bind_int(&q, b->since_us);
	sqlite_bind_text(&q, reason_name(b->why));
	if (!counts) {
		sqlite_bind_text(&q, b->by);
		sqlite_bind_text(&q, b->reason);
	}
	if (sqlite_run(&q, err) < 0)
		return -1;
	return counts ? 0 : put_event(s, b, err);
}

int sqlite_breaker_prune_in(struct sqlite_store *s, int64_t before_us, int max, struct err *err)
{
	const struct sqlite_old old = { SQL_BREAKER_EVENTS_DELETE, before_us, max,
		"forget how breakers changed" };

	return sqlite_forget_in(s, &old, err) < 0 ? -1 : 0;
}

/* ---- reading --------------------------------------------------------------------------- */

static enum breaker_state read_state(struct sqlite_cursor *c)
{
	return (enum breaker_state)sqlite_get_name(c, breaker_state_by_name, BREAKER_CLOSED);
}

static enum reason read_reason(struct sqlite_cursor *c)
{
	return (enum reason)sqlite_get_name(c, reason_by_name, REASON_NONE);
}

void sqlite_read_breaker(struct sqlite_cursor *c, void *row)
{
	struct breaker_row *r = row;

	r->name = sqlite_get_text_or_empty(c);
	r->text = sqlite_get_text_or_empty(c);
	r->state = read_state(c);
	r->since_us = sqlite_get_int(c);
	r->why = read_reason(c);
	r->by = sqlite_get_text(c);
	r->reason = sqlite_get_text(c);
}

void sqlite_read_breaker_event(struct sqlite_cursor *c, void *row)
{
	struct breaker_event_row *r = row;

	r->id = sqlite_get_int(c);
	r->at_us = sqlite_get_int(c);
	r->name = sqlite_get_text_or_empty(c);
	r->from = read_state(c);
	r->to = read_state(c);
	r->why = read_reason(c);
	r->by = sqlite_get_text(c);
	r->reason = sqlite_get_text(c);
	r->run = sqlite_get_text(c);
	r->task = sqlite_get_text(c);
}
