#include "store/store.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/backend.h"

static const size_t result_max = (size_t)4 << 30;

void store_close(struct store *s)
{
	if (s)
		s->ops->free(s);
}

int store_in_place(struct store *s, struct err *err)
{
	return s->ops->in_place ? s->ops->in_place(s, err) : 0;
}

void store_set_patience(struct store *s, int timeout_ms)
{
	if (s->ops->set_patience)
		s->ops->set_patience(s, timeout_ms);
}

int backend_list(
	struct store *s, const struct list_query *q, struct store_result *ret, struct err *err)
{
	store_result_init(ret);
	if (s->ops->list(s, q, ret, err) == 0)
		return 0;
	store_result_release(ret);
	return -1;
}

/* ---- writing ------------------------------------------------------------------------- */

int store_run_open(struct store *s, const struct run_open *open, int64_t *ret_run_id,
	int64_t *ret_epoch, bool *ret_created, struct err *err)
{
	struct run_opened opened;

	if (backend_check_open(open, err) < 0 || s->ops->run_open(s, open, &opened, err) < 0)
		return -1;
	*ret_run_id = opened.run_id;
	*ret_epoch = opened.epoch;
	if (ret_created)
		*ret_created = opened.created;
	return 0;
}

int store_run_renew(
	struct store *s, int64_t run_id, int64_t epoch, int64_t lease_until_us, struct err *err)
{
	return s->ops->run_renew(s, run_id, epoch, lease_until_us, err);
}

int store_run_close(struct store *s, int64_t run_id, int64_t epoch, struct err *err)
{
	return s->ops->run_close(s, run_id, epoch, err);
}

int store_reserve_tokens(struct store *s, int64_t n, int64_t *ret_first, struct err *err)
{
	if (n <= 0 || n > INT32_MAX)
		return err_set(err, ERR_INTERNAL, "cannot reserve %" PRId64 " tokens", n);
	return s->ops->reserve_tokens(s, n, ret_first, err);
}

static int check_run_change(const struct change *c, struct err *err)
{
	if ((unsigned)c->run.from >= RUN_STATE_MAX || (unsigned)c->run.to >= RUN_STATE_MAX)
		return err_set(err, ERR_INTERNAL, "run %" PRId64 ": no such state", c->run_id);
	if (!state_run_may(c->run.from, c->run.to))
		return err_set(err, ERR_INTERNAL, "run %" PRId64 " may not go from %s to %s",
			c->run_id, run_state_name(c->run.from), run_state_name(c->run.to));
	return 0;
}

static int check_task_change(const struct change *c, struct err *err)
{
	if ((unsigned)c->state.from >= TASK_STATE_MAX || (unsigned)c->state.to >= TASK_STATE_MAX)
		return err_set(err, ERR_INTERNAL, "task %s: no such state", c->task);
	if (!state_task_may(c->state.from, c->state.to, c->reason))
		return err_set(err, ERR_INTERNAL, "task %s may not go from %s to %s because of %s",
			c->task, task_state_name(c->state.from), task_state_name(c->state.to),
			reason_name(c->reason));
	return 0;
}

static int check_attempt_change(const struct change *c, struct err *err)
{
	if (c->attempt.token <= 0)
		return err_set(err, ERR_INTERNAL, "task %s: an attempt without a token", c->task);
	if (c->kind == CHANGE_START && c->attempt.try < 1)
		return err_set(err, ERR_INTERNAL, "task %s: try %d", c->task, c->attempt.try);
	if (c->kind == CHANGE_END &&
		((unsigned)c->attempt.outcome >= OUTCOME_MAX || c->attempt.outcome == OUTCOME_NONE))
		return err_set(err, ERR_INTERNAL,
			"task %s: attempt %" PRId64 " ends without outcome", c->task,
			c->attempt.token);
	return 0;
}

static int check_breaker(const struct breaker_put *b, struct err *err)
{
	if (!b->name || !*b->name || !b->text)
		return err_set(err, ERR_INTERNAL, "a breaker without name or text");
	if ((unsigned)b->from >= BREAKER_STATE_MAX || (unsigned)b->to >= BREAKER_STATE_MAX)
		return err_set(err, ERR_INTERNAL, "breaker %s: no such state", b->name);
	return 0;
}

static int check_looked_change(const struct change *c, struct err *err)
{
	if (!c->detail)
		return err_set(
			err, ERR_INTERNAL, "run %" PRId64 ": a look that found nothing", c->run_id);
	return 0;
}

static int check_breaker_change(const struct change *c, struct err *err)
{
	const struct breaker_put b = backend_breaker_of(c);

	return check_breaker(&b, err);
}

static int check_nothing(const struct change *c, struct err *err)
{
	(void)c;
	(void)err;
	return 0;
}

static int check_item_change(const struct change *c, struct err *err)
{
	if (c->map_index >= 0 && c->item)
		return 0;
	return err_set(err, ERR_INTERNAL, "run %" PRId64 ", task %s: an instance without its item",
		c->run_id, c->task);
}

static const struct change_check {
	int (*check)(const struct change *c, struct err *err); /* NULL: not stored */
	bool of_task;
} change_checks[] = {
	[CHANGE_RUN] = { check_run_change, false },
	[CHANGE_TASK] = { check_task_change, true },
	[CHANGE_START] = { check_attempt_change, true },
	[CHANGE_END] = { check_attempt_change, true },
	[CHANGE_STOP] = { NULL, true },
	[CHANGE_LOOK] = { NULL, true },
	[CHANGE_LOOKED] = { check_looked_change, true },
	[CHANGE_BREAKER] = { check_breaker_change, false },
	[CHANGE_CANCEL] = { check_nothing, false },
	[CHANGE_ITEM] = { check_item_change, true },
};
static_assert(sizeof change_checks / sizeof *change_checks == CHANGE_KIND_MAX, "one for each kind");

static int check_change(const struct change *c, struct err *err)
{
	if ((unsigned)c->kind >= CHANGE_KIND_MAX || (unsigned)c->reason >= REASON_MAX)
		return err_set(err, ERR_INTERNAL, "a change of an unknown kind or reason");
	const struct change_check *row = &change_checks[c->kind];
	if (!row->check)
		return 0;
	if (row->of_task && (!c->task || c->map_index < -1))
		return err_set(
			err, ERR_INTERNAL, "run %" PRId64 ": a change without its task", c->run_id);
	return row->check(c, err);
}

static int check_check(const struct check_row *c, struct err *err)
{
	if (!c->task || !c->name || !c->severity || !c->status)
		return err_set(err, ERR_INTERNAL, "a check without task, name, severity or status");
	return 0;
}

static int check_act(const struct outbox_act *a, struct err *err)
{
	if (!a->key || !*a->key || !a->kind || !*a->kind || !a->payload)
		return err_set(err, ERR_INTERNAL, "an act without key, kind or payload");
	return 0;
}

/* The ids of the leases, for looking up. Changes come run by run, so the last one found is as a
 * rule the next one wanted. No leases: nothing is checked. */
struct leased {
	int64_t *sorted;
	size_t n;
	int64_t last; /* found before; 0: none */
};

static int by_number(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static bool is_leased(struct leased *l, int64_t run_id)
{
	if (l->n == 0 || run_id == l->last)
		return true;
	if (!bsearch(&run_id, l->sorted, l->n, sizeof *l->sorted, by_number))
		return false;
	l->last = run_id;
	return true;
}

static int check_audit(const struct audit_row *a, struct err *err)
{
	if (!a->what || !a->run)
		return err_set(err, ERR_INTERNAL, "a request without its name or its run");
	return 0;
}

static int check_requests(const struct store_batch *b, struct leased *l, struct err *err)
{
	for (size_t i = 0; i < b->naudits; i++) {
		if (check_audit(&b->audits[i], err) < 0)
			return -1;
		if (!is_leased(l, b->audits[i].run_id))
			return err_set(err, ERR_INTERNAL,
				"a request of run %" PRId64 ", whose lease is not checked",
				b->audits[i].run_id);
	}
	for (size_t i = 0; i < b->nwants; i++)
		if (!is_leased(l, b->wants[i]))
			return err_set(err, ERR_INTERNAL,
				"run %" PRId64 " is wanted, and its lease is not checked",
				b->wants[i]);
	return 0;
}

static int check_batch(const struct store_batch *b, struct leased *l, struct err *err)
{
	for (size_t i = 0; i < b->nchanges; i++) {
		const struct change *c = &b->changes[i];
		if (check_change(c, err) < 0)
			return -1;
		if (change_checks[c->kind].check && c->kind != CHANGE_BREAKER &&
			!is_leased(l, c->run_id))
			return err_set(err, ERR_INTERNAL,
				"a change of run %" PRId64 ", whose lease is not checked",
				c->run_id);
	}
	for (size_t i = 0; i < b->nchecks; i++) {
		if (check_check(&b->checks[i], err) < 0)
			return -1;
		if (!is_leased(l, b->checks[i].run_id))
			return err_set(err, ERR_INTERNAL,
				"a check of run %" PRId64 ", whose lease is not checked",
				b->checks[i].run_id);
	}
	for (size_t i = 0; i < b->nacts; i++)
		if (check_act(&b->acts[i], err) < 0)
			return -1;
	for (size_t i = 0; i < b->nincidents; i++)
		if (backend_check_incident(&b->incidents[i], err) < 0)
			return -1;
	for (size_t i = 0; i < b->nbreakers; i++)
		if (check_breaker(&b->breakers[i], err) < 0)
			return -1;
	if (b->slas && backend_check_slas(b->slas, err) < 0)
		return -1;
	for (size_t i = 0; i < b->ndatasets; i++) {
		if (backend_check_dataset(&b->datasets[i], err) < 0)
			return -1;
		if (!is_leased(l, b->datasets[i].run_id))
			return err_set(err, ERR_INTERNAL,
				"an update by run %" PRId64 ", whose lease is not checked",
				b->datasets[i].run_id);
	}
	return check_requests(b, l, err);
}

int store_commit(struct store *s, const struct store_batch *batch, struct err *err)
{
	struct leased l = { .n = batch->nleases };

	if (l.n) {
		l.sorted = calloc(l.n, sizeof *l.sorted);
		if (!l.sorted)
			return err_nomem(err);
		for (size_t i = 0; i < l.n; i++)
			l.sorted[i] = batch->leases[i].run_id;
		qsort(l.sorted, l.n, sizeof *l.sorted, by_number);
	}
	int r = check_batch(batch, &l, err);
	free(l.sorted);
	return r < 0 ? -1 : s->ops->commit(s, batch, err);
}

int store_breaker_put(struct store *s, const struct breaker_put *b, struct err *err)
{
	const struct store_batch batch = { .breakers = b, .nbreakers = 1 };

	return store_commit(s, &batch, err);
}

/* ---- reading ------------------------------------------------------------------------- */

void store_result_init(struct store_result *r)
{
	memset(r, 0, sizeof *r);
	arena_init(&r->arena, result_max);
}

void store_result_release(struct store_result *r)
{
	if (!r)
		return;
	arena_release(&r->arena);
	store_result_init(r);
}

static int query_runs(
	struct store *s, const struct run_query *q, struct store_result *ret, struct err *err)
{
	store_result_init(ret);
	if (s->ops->runs(s, q, ret, err) == 0)
		return 0;
	store_result_release(ret);
	return -1;
}

static int query_rows(
	struct store *s, const struct row_query *q, struct store_result *ret, struct err *err)
{
	store_result_init(ret);
	if (s->ops->rows(s, q, ret, err) == 0)
		return 0;
	store_result_release(ret);
	return -1;
}

int store_runs(
	struct store *s, const struct run_filter *f, struct store_result *ret, struct err *err)
{
	if (f->state < -1 || f->state >= RUN_STATE_MAX)
		return err_set(err, ERR_INTERNAL, "no such state of a run: %d", f->state);
	return query_runs(
		s, &(struct run_query){ .kind = RUN_QUERY_FILTER, .filter = f }, ret, err);
}

int store_run_by_key(
	struct store *s, const struct run_key *key, struct store_result *ret, struct err *err)
{
	return query_runs(s, &(struct run_query){ .kind = RUN_QUERY_KEY, .key = key }, ret, err);
}

int store_tasks(struct store *s, int64_t run_id, struct store_result *ret, struct err *err)
{
	return query_rows(s, &(struct row_query){ .kind = ROWS_TASKS, .run_id = run_id }, ret, err);
}

int store_attempts(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err)
{
	return query_rows(s,
		&(struct row_query){ .kind = ROWS_ATTEMPTS, .run_id = run_id, .task = task }, ret,
		err);
}

int store_attempts_in_flight(
	struct store *s, int64_t run_id, struct store_result *ret, struct err *err)
{
	return query_rows(
		s, &(struct row_query){ .kind = ROWS_IN_FLIGHT, .run_id = run_id }, ret, err);
}

int store_attempt_open(struct store *s, int64_t token, bool *ret, struct err *err)
{
	return s->ops->attempt_open(s, token, ret, err);
}

int store_events(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err)
{
	return query_rows(s,
		&(struct row_query){ .kind = ROWS_EVENTS, .run_id = run_id, .task = task }, ret,
		err);
}

int store_checks(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err)
{
	return query_rows(s,
		&(struct row_query){ .kind = ROWS_CHECKS, .run_id = run_id, .task = task }, ret,
		err);
}

int store_audits(struct store *s, int64_t run_id, struct store_result *ret, struct err *err)
{
	return query_rows(
		s, &(struct row_query){ .kind = ROWS_AUDITS, .run_id = run_id }, ret, err);
}

int store_version_text(struct store *s, const char *version, char **ret_text, struct err *err)
{
	return s->ops->version_text(s, version, ret_text, err);
}
