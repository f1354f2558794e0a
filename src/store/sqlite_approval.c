/* What people decide about tasks that await input. */
#include "base/err.h"
#include "store/sqlite.h"

static int explain(struct sqlite_store *s, const struct approval_put *put, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_APPROVAL, "look for the task");

	sqlite_bind_int(&q, put->run_id);
	sqlite_bind_text(&q, put->task);
	sqlite_bind_int(&q, put->map_index);
	int r = sqlite_step(&q, err);
	if (r < 0)
		return -1;
	if (r == 0)
		return backend_not_awaited(put, TASK_STATE_MAX, false, err);
	int state = task_state_by_name(sqlite_text(&q, 5));
	backend_not_awaited(put, state < 0 ? TASK_FAILED : (enum task_state)state,
		sqlite3_column_type(q.stmt, 9) != SQLITE_NULL, err);
	sqlite_done(&q);
	return -1;
}

static int decide_in(struct sqlite_store *s, const struct approval_put *put, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_DECIDE, "record a decision");

	sqlite_bind_int(&q, put->run_id);
	sqlite_bind_text(&q, put->task);
	sqlite_bind_int(&q, put->map_index);
	sqlite_bind_text(&q, put->decision);
	int n = sqlite_run(&q, err);
	if (n <= 0)
		return n < 0 ? -1 : explain(s, put, err);
	q = sqlite_query(s, SQL_DECIDE_EVENT, "record a decision");
	sqlite_bind_int(&q, put->now_us);
	sqlite_bind_int(&q, put->run_id);
	sqlite_bind_text(&q, put->task);
	sqlite_bind_int(&q, put->map_index);
	sqlite_bind_text(&q, reason_name(backend_decide_reason(put)));
	sqlite_bind_text(&q, put->decision);
	if (sqlite_run(&q, err) < 0)
		return -1;
	return put->audit ? sqlite_audit_put(s, put->audit, err) : 0;
}

int sqlite_decide(struct store *base, const struct approval_put *put, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;

	if (sqlite_begin(s, err) < 0)
		return -1;
	return sqlite_end(s, decide_in(s, put, err), "record a decision", err);
}
