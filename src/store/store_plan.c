/* What a daemon decides, before it reaches a backend; and the names of its states. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/backend.h"

enum { TYPICAL_MAX = 1000 }; /* runs whose durations are looked at, at most */

static const char *const switch_names[] = {
	[DAG_PAUSED] = "paused",
	[DAG_DRAINING] = "draining",
};
static_assert(sizeof switch_names / sizeof *switch_names == DAG_SWITCH_MAX, "a name for each");

static const char *const backfill_states[] = {
	[BACKFILL_RUNNING] = "running",
	[BACKFILL_PAUSED] = "paused",
	[BACKFILL_CANCELLED] = "cancelled",
	[BACKFILL_DONE] = "done",
};
static_assert(
	sizeof backfill_states / sizeof *backfill_states == BACKFILL_STATE_MAX, "a name for each");

static const char *const modes[] = { "missing", "failed", "all" };

static int find_name(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -1;
}

const char *dag_switch_name(enum dag_switch w)
{
	return (unsigned)w < DAG_SWITCH_MAX ? switch_names[w] : "?";
}

const char *backfill_state_name(enum backfill_state b)
{
	return (unsigned)b < BACKFILL_STATE_MAX ? backfill_states[b] : "?";
}

int backfill_state_by_name(const char *name)
{
	return find_name(backfill_states, BACKFILL_STATE_MAX, name);
}

/* ---- writing ------------------------------------------------------------------------- */

int store_renew_owned(
	struct store *s, const struct owner *owner, int64_t lease_until_us, struct err *err)
{
	if (owner->pid <= 0)
		return err_set(err, ERR_INTERNAL, "the leases of nobody are to be renewed");
	return s->ops->renew_owned(s, owner, lease_until_us, err);
}

int store_plan_commit(
	struct store *s, const struct store_plan *plan, struct run_opened *ret, struct err *err)
{
	for (size_t i = 0; i < plan->nrows; i++) {
		const struct plan_row *r = &plan->rows[i];
		if (!r->dag || !r->action || !r->why)
			return err_set(err, ERR_INTERNAL, "a decision without DAG, action or why");
	}
	for (size_t i = 0; i < plan->nstates; i++)
		if (!plan->states[i].dag || !plan->states[i].text)
			return err_set(err, ERR_INTERNAL, "a state of no schedule");
	for (size_t i = 0; i < plan->nopens; i++)
		if (backend_check_open(&plan->opens[i], err) < 0)
			return -1;
	if (backend_check_takes(plan, err) < 0)
		return -1;
	return s->ops->plan_commit(s, plan, ret, err);
}

int store_dags_put(
	struct store *s, const struct dag_put *dags, size_t n, int64_t now_us, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (!dags[i].name || !dags[i].name[0])
			return err_set(err, ERR_INTERNAL, "a DAG without a name");
	return s->ops->dags_put(s, dags, n, now_us, err);
}

int store_switch(struct store *s, const struct switch_put *put, struct err *err)
{
	if (!put->dag || !put->dag[0] || (put->task && !put->task[0]))
		return err_set(err, ERR_INTERNAL, "a switch without the DAG or task it is for");
	if (!put->task && (unsigned)put->which >= DAG_SWITCH_MAX)
		return err_set(err, ERR_INTERNAL, "DAG %s: no such switch", put->dag);
	return s->ops->switch_set(s, put, err);
}

int store_backfill_create(
	struct store *s, const struct backfill_new *b, int64_t *ret_id, struct err *err)
{
	if (!b->dag || !b->mode || find_name(modes, sizeof modes / sizeof *modes, b->mode) < 0)
		return err_set(err, ERR_INTERNAL, "a backfill without DAG or with an unknown mode");
	if (b->to_us < b->from_us || b->jobs < 1 || b->ntotal < 0)
		return err_set(err, ERR_INTERNAL,
			"backfill of %s: it ends before it starts, or has no width", b->dag);
	return s->ops->backfill_create(s, b, ret_id, err);
}

int store_backfill_set(struct store *s, int64_t id, enum backfill_state to, const char *by,
	const char *reason, int64_t now_us, struct err *err)
{
	struct backfill_set set = {
		.id = id, .now_us = now_us, .to = to, .by = by, .reason = reason
	};

	if ((unsigned)to >= BACKFILL_STATE_MAX)
		return err_set(err, ERR_INTERNAL, "backfill %" PRId64 ": no such state", id);
	return s->ops->backfill_set(s, &set, err);
}

int store_prune(
	struct store *s, int64_t before_us, int max, struct store_result *ret, struct err *err)
{
	if (max <= 0)
		return err_set(err, ERR_INTERNAL, "cannot forget %d runs", max);
	store_result_init(ret);
	if (s->ops->prune(s, before_us, max, ret, err) == 0)
		return 0;
	store_result_release(ret);
	return -1;
}

int store_vacuum(struct store *s, int pages, struct err *err)
{
	if (pages <= 0)
		return err_set(err, ERR_INTERNAL, "cannot give %d pages back", pages);
	return s->ops->vacuum(s, pages, err);
}

/* ---- reading ------------------------------------------------------------------------- */

int store_dags(struct store *s, const char *name, struct store_result *ret, struct err *err)
{
	return backend_list(s, &(struct list_query){ .kind = LIST_DAGS, .dag = name }, ret, err);
}

int store_frozen(struct store *s, const char *dag, struct store_result *ret, struct err *err)
{
	return backend_list(s, &(struct list_query){ .kind = LIST_FROZEN, .dag = dag }, ret, err);
}

int store_plans(
	struct store *s, const char *dag, int limit, struct store_result *ret, struct err *err)
{
	return backend_list(s,
		&(struct list_query){ .kind = LIST_PLANS, .dag = dag, .limit = limit }, ret, err);
}

int store_backfills(struct store *s, int64_t id, struct store_result *ret, struct err *err)
{
	return backend_list(s, &(struct list_query){ .kind = LIST_BACKFILLS, .id = id }, ret, err);
}

int store_breakers(struct store *s, const char *name, struct store_result *ret, struct err *err)
{
	return backend_list(
		s, &(struct list_query){ .kind = LIST_BREAKERS, .dag = name }, ret, err);
}

int store_breaker_events(
	struct store *s, const char *name, int limit, struct store_result *ret, struct err *err)
{
	return backend_list(s,
		&(struct list_query){ .kind = LIST_BREAKER_EVENTS, .dag = name, .limit = limit },
		ret, err);
}

static int by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int store_typical_us(struct store *s, const char *dag, int n, int64_t *ret_us, struct err *err)
{
	int64_t us[TYPICAL_MAX];
	struct durations d = { .us = us };

	if (n > 0 && s->ops->durations(s, dag, n < TYPICAL_MAX ? n : TYPICAL_MAX, &d, err) < 0)
		return -1;
	if (d.n == 0) {
		*ret_us = 0;
		return 0;
	}
	qsort(us, d.n, sizeof *us, by_size);
	int64_t low = us[(d.n - 1) / 2], high = us[d.n / 2];
	*ret_us = low + (high - low) / 2;
	return 0;
}
