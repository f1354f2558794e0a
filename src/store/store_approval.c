#include <inttypes.h>

#include "base/err.h"
#include "store/backend.h"

enum reason backend_decide_reason(const struct approval_put *put)
{
	return put->approved ? REASON_APPROVED : REASON_REJECTED;
}

int backend_not_awaited(
	const struct approval_put *put, enum task_state present, bool decided, struct err *err)
{
	if (present == TASK_STATE_MAX)
		return err_set(err, ERR_NOT_FOUND, "run %" PRId64 " has no task %s", put->run_id,
			put->task);
	if (present == TASK_AWAITING_INPUT && decided)
		return err_set(err, ERR_REFUSED,
			"task %s was decided already, and goes on in a moment", put->task);
	return err_set(err, ERR_REFUSED,
		"task %s is %s: only one that is awaiting_input can be approved or rejected "
		"(weir approvals lists them)",
		put->task, task_state_name(present));
}

int store_decide(struct store *s, const struct approval_put *put, struct err *err)
{
	return s->ops->decide(s, put, err);
}

int store_approvals(struct store *s, struct store_result *ret, struct err *err)
{
	return backend_list(s, &(struct list_query){ .kind = LIST_APPROVALS }, ret, err);
}

int store_approval(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err)
{
	return backend_list(s,
		&(struct list_query){ .kind = LIST_APPROVAL, .id = run_id, .dag = task }, ret, err);
}
