/* Acts towards the world, and ends that come too late. */
#include <inttypes.h>

#include "base/err.h"
#include "store/sqlite.h"

/* ---- late ends ------------------------------------------------------------------------- */

static int put_late_event(struct sqlite_store *s, const struct late_end *e,
	struct sqlite_query *found, const char *detail, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_LATE_EVENT, "record a late result");

	sqlite_bind_int(&q, e->now_us);
	sqlite_bind_int(&q, sqlite3_column_int64(found->stmt, 0));
	sqlite_bind_text(&q, sqlite_text(found, 1));
	sqlite_bind_int(&q, sqlite3_column_int64(found->stmt, 2));
	sqlite_bind_text(&q, sqlite_text(found, 3));
	sqlite_bind_text(&q, reason_name(REASON_LATE_RESULT));
	sqlite_bind_text(&q, detail);
	return sqlite_run(&q, err);
}

static int late_end_in(struct sqlite_store *s, const struct late_end *e, struct arena *a,
	bool *ret_recorded, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_LATE_LOOK, "look for an attempt");

	sqlite_bind_int(&q, e->token);
	int r = sqlite_step(&q, err);
	if (r <= 0)
		return r;
	int outcome = outcome_by_name(sqlite_text(&q, 4));
	const struct recorded_end recorded = { .outcome = outcome < 0 ? OUTCOME_LOST
								      : (enum outcome)outcome,
		.ended_us = sqlite3_column_int64(q.stmt, 5),
		.try = sqlite3_column_int(q.stmt, 6) };
	if (backend_is_late(e, &recorded)) {
		const char *detail = backend_late_text(e, &recorded, a);
		r = detail ? put_late_event(s, e, &q, detail, err) : err_nomem(err);
		*ret_recorded = r > 0;
	}
	sqlite_done(&q);
	return r < 0 ? -1 : 0;
}

int sqlite_late_end(
	struct store *base, const struct late_end *e, bool *ret_recorded, struct err *err)
{
	static const char doing[] = "record a late result";
	struct sqlite_store *s = (struct sqlite_store *)base;
	struct arena a;

	if (sqlite_begin(s, err) < 0)
		return -1;
	arena_init(&a, 1 << 16);
	int r = sqlite_end(s, late_end_in(s, e, &a, ret_recorded, err), doing, err);
	arena_release(&a);
	return r;
}

/* ---- acts ------------------------------------------------------------------------------ */

int sqlite_act_put(struct sqlite_store *s, const struct outbox_act *act, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_ACT_PUT, "record an act");

	sqlite_bind_text(&q, act->key);
	sqlite_bind_text(&q, act->kind);
	sqlite_bind_text(&q, act->payload);
	sqlite_bind_int(&q, act->at_us);
	sqlite_bind_int(&q, act->due_us ? act->due_us : act->at_us);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int set_in(struct sqlite_store *s, const struct outbox_set *set, int64_t id, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_ACT_STATE, "look for an act");
	bool same;

	sqlite_bind_int(&q, id);
	int r = sqlite_step(&q, err);
	if (r == 0)
		return backend_no_act(id, err);
	if (r < 0)
		return -1;
	int present = outbox_state_by_name(sqlite_text(&q, 0));
	sqlite_done(&q);
	if (backend_may_set_act(set, id, (enum outbox_state)present, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	q = sqlite_query(s, SQL_ACT_SET, "record what became of an act");
	sqlite_bind_int(&q, id);
	sqlite_bind_text(&q, outbox_state_name(set->to));
	sqlite_bind_int(&q, set->at_us);
	sqlite_bind_text(&q, set->error);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_outbox_set(struct store *base, const struct outbox_set *set, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	int r = 0;

	if (sqlite_begin(s, err) < 0)
		return -1;
	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = set_in(s, set, set->ids[i], err);
	return sqlite_end(s, r, "record what became of an act", err);
}

int sqlite_outbox_prune(struct store *base, int64_t before_us, int max, int *ret_n, struct err *err)
{
	const struct sqlite_old old = { SQL_ACTS_DELETE, before_us, max, "forget old acts" };

	return sqlite_forget(base, &old, ret_n, err);
}
