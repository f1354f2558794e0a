/* Acts and late ends, before they reach a backend; and what the backends say of them. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "store/backend.h"

static const char *const states[] = {
	[OUTBOX_PENDING] = "pending",
	[OUTBOX_DONE] = "done",
	[OUTBOX_GIVEN_UP] = "given_up",
};
static_assert(sizeof states / sizeof *states == OUTBOX_STATE_MAX, "a name for each state");

const char *outbox_state_name(enum outbox_state o)
{
	return (unsigned)o < OUTBOX_STATE_MAX ? states[o] : "?";
}

int outbox_state_by_name(const char *name)
{
	for (int i = 0; i < OUTBOX_STATE_MAX; i++)
		if (strcmp(states[i], name) == 0)
			return i;
	return -1;
}

/* ---- late ends ------------------------------------------------------------------------- */

bool backend_is_late(const struct late_end *e, const struct recorded_end *r)
{
	bool repeated = r->outcome == e->outcome || (r->ended_us && r->ended_us == e->ended_us);

	return r->outcome != OUTCOME_NONE && !repeated;
}

const char *backend_late_text(
	const struct late_end *e, const struct recorded_end *r, struct arena *a)
{
	char how[64] = "";

	if (e->signal)
		snprintf(how, sizeof how, " (signal %d)", e->signal);
	else if (e->outcome != OUTCOME_SUCCESS && e->exit_status >= 0)
		snprintf(how, sizeof how, " (exit status %d)", e->exit_status);
	return arena_printf(a,
		"try %d (token %" PRId64 ") ended late: %s%s; it counts as %s, and nothing changes",
		r->try, e->token, outcome_name(e->outcome), how, outcome_name(r->outcome));
}

int store_late_end(struct store *s, const struct late_end *e, bool *ret_recorded, struct err *err)
{
	*ret_recorded = false;
	if ((unsigned)e->outcome >= OUTCOME_MAX)
		return err_set(
			err, ERR_INTERNAL, "attempt %" PRId64 " ends without outcome", e->token);
	if (e->outcome == OUTCOME_NONE || e->outcome == OUTCOME_LOST)
		return 0;
	return s->ops->late_end(s, e, ret_recorded, err);
}

/* ---- acts ------------------------------------------------------------------------------ */

int backend_may_set_act(const struct outbox_set *set, int64_t id, enum outbox_state present,
	bool *ret_same, struct err *err)
{
	*ret_same = present == OUTBOX_DONE && set->to == OUTBOX_DONE;
	if (*ret_same || present == OUTBOX_PENDING)
		return 0;
	return err_set(err, ERR_REFUSED, "act %" PRId64 " of the outbox is over: it is %s", id,
		outbox_state_name(present));
}

int backend_no_act(int64_t id, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "there is no act %" PRId64 " in the outbox", id);
}

int store_outbox_done(struct store *s, int64_t id, int64_t now_us, struct err *err)
{
	return s->ops->outbox_set(
		s, &(struct outbox_set){ &id, 1, OUTBOX_DONE, now_us, NULL }, err);
}

int store_outbox_retry(
	struct store *s, int64_t id, int64_t due_us, const char *error, struct err *err)
{
	const struct outbox_set set = {
		.ids = &id, .n = 1, .to = OUTBOX_PENDING, .at_us = due_us, .error = error
	};

	return s->ops->outbox_set(s, &set, err);
}

int store_outbox_give_up(
	struct store *s, int64_t id, int64_t now_us, const char *error, struct err *err)
{
	const struct outbox_set set = {
		.ids = &id, .n = 1, .to = OUTBOX_GIVEN_UP, .at_us = now_us, .error = error
	};

	return s->ops->outbox_set(s, &set, err);
}

int store_outbox_end(struct store *s, const int64_t *ids, size_t n, const struct outbox_end *end,
	struct err *err)
{
	const struct outbox_set set = { ids, n, end->to, end->at_us, end->error };

	if ((unsigned)end->to >= OUTBOX_STATE_MAX)
		return err_set(err, ERR_INTERNAL, "no such state of an act: %d", (int)end->to);
	return s->ops->outbox_set(s, &set, err);
}

int store_outbox_prune(struct store *s, int64_t before_us, int max, int *ret_n, struct err *err)
{
	if (max <= 0)
		return err_set(err, ERR_INTERNAL, "cannot forget %d acts", max);
	return s->ops->outbox_prune(s, before_us, max, ret_n, err);
}

/* ---- reading --------------------------------------------------------------------------- */

int store_outbox_due(
	struct store *s, int64_t now_us, int limit, struct store_result *ret, struct err *err)
{
	const struct list_query q = { .kind = LIST_OUTBOX_DUE, .due_us = now_us, .limit = limit };

	return backend_list(s, &q, ret, err);
}

int store_outbox_next(struct store *s, int64_t *ret_due_us, struct err *err)
{
	struct store_result r;

	if (store_outbox_due(s, INT64_MAX, 1, &r, err) < 0)
		return -1;
	*ret_due_us = r.n ? r.outbox[0].due_us : 0;
	store_result_release(&r);
	return 0;
}

int store_outbox_list(
	struct store *s, int state, int limit, struct store_result *ret, struct err *err)
{
	const struct list_query q = { .kind = LIST_OUTBOX, .state = state, .limit = limit };

	if (state < -1 || state >= OUTBOX_STATE_MAX)
		return err_set(err, ERR_INTERNAL, "no such state of an act: %d", state);
	return backend_list(s, &q, ret, err);
}

int store_token(struct store *s, int64_t token, struct store_result *ret, struct err *err)
{
	return backend_list(s, &(struct list_query){ .kind = LIST_TOKEN, .id = token }, ret, err);
}
