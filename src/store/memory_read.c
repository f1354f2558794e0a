/* What the store in memory answers. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

static const char *lend(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

static void count_tasks(const struct mem_run *run, struct run_row *row)
{
	struct mem_task *t, *next;

	HASH_ITER (hh, run->tasks, t, next) {
		if (t->row.map_index >= 0)
			continue;
		row->ntasks++;
		row->nsuccess += t->row.state == TASK_SUCCESS;
		row->nfailed += t->row.state == TASK_FAILED;
		row->nrunning += t->row.state == TASK_RUNNING;
	}
}

void memory_put_run(struct rows *rows, const struct mem_run *run)
{
	struct run_row *r = rows_add(rows);
	struct arena *a = rows->arena;

	if (!r)
		return;
	*r = run->row;
	r->name = lend(a, r->name);
	r->dag = lend(a, r->dag);
	r->ds = lend(a, r->ds);
	r->zone = lend(a, r->zone);
	r->params = lend(a, r->params);
	r->trigger = lend(a, r->trigger);
	r->only = lend(a, r->only);
	r->version = lend(a, r->version);
	r->dag_path = lend(a, run->version->path);
	r->dag_dir = lend(a, run->version->dir);
	count_tasks(run, r);
}

static int by_id(const void *a, const void *b)
{
	const struct mem_run *x = *(struct mem_run *const *)a, *y = *(struct mem_run *const *)b;

	return x->row.id < y->row.id ? 1 : -1;
}

static int by_interval(const void *a, const void *b)
{
	const struct run_row *x = &(*(struct mem_run *const *)a)->row;
	const struct run_row *y = &(*(struct mem_run *const *)b)->row;

	if (x->interval_start_us != y->interval_start_us)
		return x->interval_start_us < y->interval_start_us ? 1 : -1;
	if (x->interval_end_us != y->interval_end_us)
		return x->interval_end_us < y->interval_end_us ? 1 : -1;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	int r = by_interval(b, a);

	return r ? r : by_id(b, a);
}

static int by_start_down(const void *a, const void *b)
{
	return by_start(b, a);
}

static int by_run_name(const void *a, const void *b)
{
	return strcmp(
		(*(struct mem_run *const *)a)->row.name, (*(struct mem_run *const *)b)->row.name);
}

/* Is there no run of this DAG with a newer interval, where one that ended in time is newer than one
 * that did not? */
static bool is_latest(struct memory_store *m, struct mem_run *run, int64_t ended_by_us)
{
	int64_t by = ended_by_us ? ended_by_us : INT64_MAX;
	bool ended = run->row.interval_end_us <= by;

	for (size_t i = 0; i < m->runs.n; i++) {
		struct mem_run *other = m->runs.items[i];
		if (!other || strcmp(other->row.dag, run->row.dag) != 0)
			continue;
		bool other_ended = other->row.interval_end_us <= by;
		if (ended != other_ended ? other_ended : by_interval(&run, &other) > 0)
			return false;
	}
	return true;
}

static bool is_of_other(const struct run_row *r, const struct owner *self)
{
	return r->state == RUN_RUNNING && r->owner.pid &&
	       (r->owner.pid != self->pid || r->owner.start_ticks != self->start_ticks);
}

static bool run_matches(struct memory_store *m, struct mem_run *run, const struct run_query *q)
{
	const struct run_filter *f = q->filter;
	const struct run_row *r = &run->row;

	switch (q->kind) {
	case RUN_QUERY_FILTER:
		return (!f->dag || strcmp(f->dag, r->dag) == 0) &&
		       (f->state < 0 || f->state == (int)r->state) && (!f->wanted || r->wanted) &&
		       (!f->not_of || is_of_other(r, f->not_of)) &&
		       (!f->backfill_id || f->backfill_id == r->backfill_id) &&
		       (!f->in_range || (r->interval_start_us >= f->from_us &&
						r->interval_start_us <= f->to_us)) &&
		       (!f->latest_per_dag || is_latest(m, run, f->ended_by_us));
	case RUN_QUERY_ID:
		return r->id == q->id;
	case RUN_QUERY_NAME:
		return strcmp(r->name, q->text) == 0;
	case RUN_QUERY_PREFIX:
		return strncmp(r->name, q->text, strlen(q->text)) == 0;
	case RUN_QUERY_KEY:
		return memory_find_key(m, q->key) == run;
	default:
		return false;
	}
}

typedef int comparison(const void *a, const void *b);

static comparison *order_of(const struct run_query *q)
{
	if (q->kind == RUN_QUERY_PREFIX)
		return by_run_name;
	if (q->kind != RUN_QUERY_FILTER)
		return by_id;
	if (q->filter->in_range)
		return q->filter->newest_first ? by_start_down : by_start;
	return q->filter->dag && !q->filter->latest_per_dag ? by_interval : by_id;
}

int memory_runs(
	struct store *s, const struct run_query *q, struct store_result *ret, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	struct rows rows = { .arena = &ret->arena, .size = sizeof(struct run_row) };
	struct mem_list found = { .n = 0 };
	int limit = q->kind == RUN_QUERY_FILTER ? q->filter->limit : q->limit;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->runs.n; i++)
		if (m->runs.items[i] && run_matches(m, m->runs.items[i], q))
			r = memory_list_add(&found, m->runs.items[i], err);
	if (found.n)
		qsort(found.items, found.n, sizeof *found.items, order_of(q));
	for (size_t i = 0; i < found.n && (limit <= 0 || i < (size_t)limit); i++)
		memory_put_run(&rows, found.items[i]);
	free(found.items);
	return r < 0 ? -1 : rows_end(&rows, ret, err);
}

static int by_seq(const void *a, const void *b)
{
	const struct mem_task *x = *(struct mem_task *const *)a, *y = *(struct mem_task *const *)b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	int r = strcmp(x->row.name, y->row.name);
	return r ? r : x->row.map_index - y->row.map_index;
}

static int put_tasks(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	struct mem_list sorted = { .n = 0 };
	struct mem_task *t, *next;
	int r = 0;

	(void)q;
	HASH_ITER (hh, run->tasks, t, next)
		if (r == 0)
			r = memory_list_add(&sorted, t, err);
	if (sorted.n)
		qsort(sorted.items, sorted.n, sizeof *sorted.items, by_seq);
	for (size_t i = 0; r == 0 && i < sorted.n; i++) {
		struct task_row *row = rows_add(rows);
		if (!row)
			break;
		*row = ((struct mem_task *)sorted.items[i])->row;
		row->name = lend(rows->arena, row->name);
		row->hash = lend(rows->arena, row->hash);
		row->outputs = lend(rows->arena, row->outputs);
		row->waits_for = lend(rows->arena, row->waits_for);
		row->item = lend(rows->arena, row->item);
		row->looked = lend(rows->arena, row->looked);
		row->decision = NULL;
	}
	free(sorted.items);
	return r;
}

static int by_token(const void *a, const void *b)
{
	const struct attempt_row *x = a, *y = b;

	return (x->token > y->token) - (x->token < y->token);
}

static int put_attempts(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < run->attempts.n; i++) {
		const struct attempt_row *a = &((struct mem_attempt *)run->attempts.items[i])->row;
		if ((q->task && strcmp(q->task, a->task) != 0) ||
			(q->kind == ROWS_IN_FLIGHT && a->outcome != OUTCOME_NONE))
			continue;
		struct attempt_row *row = rows_add(rows);
		if (!row)
			break;
		*row = *a;
		row->task = lend(rows->arena, a->task);
		row->error = lend(rows->arena, a->error);
		row->result = lend(rows->arena, a->result);
	}
	if (rows->n)
		qsort(rows->data, rows->n, rows->size, by_token);
	return 0;
}

static int put_events(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < run->events.n; i++) {
		const struct event_row *e = run->events.items[i];
		if (q->task && (!e->task || strcmp(q->task, e->task) != 0))
			continue;
		struct event_row *row = rows_add(rows);
		if (!row)
			break;
		*row = *e;
		row->task = lend(rows->arena, e->task);
		row->detail = lend(rows->arena, e->detail);
	}
	return 0;
}

static int put_checks(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < run->checks.n; i++) {
		const struct check_row *c = run->checks.items[i];
		if (q->task && strcmp(q->task, c->task) != 0)
			continue;
		struct check_row *row = rows_add(rows);
		if (!row)
			break;
		*row = (struct check_row){ .run_id = c->run_id,
			.token = c->token,
			.task = lend(rows->arena, c->task),
			.name = lend(rows->arena, c->name),
			.severity = lend(rows->arena, c->severity),
			.status = lend(rows->arena, c->status),
			.observed = lend(rows->arena, c->observed),
			.expected = lend(rows->arena, c->expected),
			.sample = lend(rows->arena, c->sample),
			.map_index = c->map_index };
	}
	return 0;
}

static int put_audits(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	(void)q;
	(void)err;
	for (size_t i = 0; i < run->audits.n; i++) {
		const struct audit_row *a = run->audits.items[i];
		struct audit_row *row = rows_add(rows);
		if (!row)
			break;
		*row = (struct audit_row){ .run_id = a->run_id,
			.at_us = a->at_us,
			.who = lend(rows->arena, a->who),
			.what = lend(rows->arena, a->what),
			.detail = lend(rows->arena, a->detail),
			.reason = lend(rows->arena, a->reason) };
	}
	return 0;
}

static const struct row_putter {
	size_t size;
	int (*put)(
		struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err);
} putters[] = {
	[ROWS_TASKS] = { sizeof(struct task_row), put_tasks },
	[ROWS_ATTEMPTS] = { sizeof(struct attempt_row), put_attempts },
	[ROWS_IN_FLIGHT] = { sizeof(struct attempt_row), put_attempts },
	[ROWS_EVENTS] = { sizeof(struct event_row), put_events },
	[ROWS_CHECKS] = { sizeof(struct check_row), put_checks },
	[ROWS_AUDITS] = { sizeof(struct audit_row), put_audits },
};
static_assert(sizeof putters / sizeof *putters == ROWS_MAX, "one for each kind");

int memory_rows(
	struct store *s, const struct row_query *q, struct store_result *ret, struct err *err)
{
	struct rows rows = { .arena = &ret->arena, .size = putters[q->kind].size };
	struct mem_run *run = memory_find_run(memory_cast(s), q->run_id);

	if (run && putters[q->kind].put(&rows, run, q, err) < 0)
		return -1;
	return rows_end(&rows, ret, err);
}

int memory_attempt_open(struct store *s, int64_t token, bool *ret, struct err *err)
{
	struct mem_attempt *a;

	(void)err;
	HASH_FIND(hh, memory_cast(s)->attempts, &token, sizeof token, a);
	*ret = a && a->row.outcome == OUTCOME_NONE;
	return 0;
}

int memory_version_text(struct store *s, const char *version, char **ret_text, struct err *err)
{
	struct mem_version *v = memory_find_version(memory_cast(s), version);

	if (!v)
		return err_set(err, ERR_NOT_FOUND, "there is no DAG version %s", version);
	char *text = strdup(v->text);
	if (!text)
		return err_nomem(err);
	*ret_text = text;
	return 0;
}

/* ---- rows that belong to no run ------------------------------------------------------ */

static struct plan_row lend_plan(struct arena *a, const struct plan_row *p)
{
	struct plan_row r = *p;

	r.dag = lend(a, p->dag);
	r.action = lend(a, p->action);
	r.why = lend(a, p->why);
	return r;
}

const struct plan_row *memory_last_plan(const struct mem_dag *d)
{
	for (size_t i = d->plans.n; i-- > 0;) {
		const struct plan_row *p = d->plans.items[i];
		if (strcmp(p->action, BACKEND_PLAN_CANCEL) != 0)
			return p;
	}
	return NULL;
}

static const struct mem_switch *switch_of(
	struct memory_store *m, const struct mem_dag *d, enum dag_switch which, bool *ret_by_all)
{
	const struct mem_dag *all = memory_find_dag(m, "*");
	bool own = d->switches[which].on, by_all = all && all->switches[which].on;

	*ret_by_all = by_all;
	return by_all && (which == DAG_PAUSED || !own) ? &all->switches[which]
						       : &d->switches[which];
}

static void put_dag(struct rows *rows, struct memory_store *m, const struct mem_dag *d)
{
	struct dag_row *r = rows_add(rows);
	struct arena *a = rows->arena;
	bool all_draining;

	if (!r)
		return;
	*r = (struct dag_row){ .name = lend(a, d->name),
		.path = lend(a, d->row.path),
		.dir = lend(a, d->row.dir),
		.version = lend(a, d->row.version),
		.error = lend(a, d->row.error),
		.present = d->row.present,
		.plan_state = lend(a, d->row.plan_state) };
	const struct mem_switch *s = switch_of(m, d, DAG_PAUSED, &r->all_paused);
	r->paused = s->on;
	r->paused_by = lend(a, s->by);
	r->paused_reason = lend(a, s->reason);
	r->paused_us = s->at_us;
	s = switch_of(m, d, DAG_DRAINING, &all_draining);
	r->draining = s->on;
	r->draining_by = lend(a, s->by);
	r->draining_reason = lend(a, s->reason);
	r->draining_us = s->at_us;
	const struct plan_row *last = memory_last_plan(d);
	struct plan_row *copy = last ? arena_alloc(a, sizeof *copy) : NULL;
	if (copy)
		*copy = lend_plan(a, last);
	r->last = copy;
}

static bool is_shown(const struct mem_dag *d)
{
	return d->row.name ||
	       (strcmp(d->name, "*") != 0 &&
		       (d->switches[DAG_PAUSED].on || d->switches[DAG_DRAINING].on || d->frozen.n));
}

static int by_dag_name(const void *a, const void *b)
{
	return strcmp((*(struct mem_dag *const *)a)->name, (*(struct mem_dag *const *)b)->name);
}

/* All, or one, by name. */
static int sorted_dags(
	struct memory_store *m, const char *name, struct mem_list *ret, struct err *err)
{
	struct mem_dag *d, *next;
	int r = 0;

	HASH_ITER (hh, m->dags, d, next)
		if (r == 0 && (!name || strcmp(d->name, name) == 0))
			r = memory_list_add(ret, d, err);
	if (ret->n)
		qsort(ret->items, ret->n, sizeof *ret->items, by_dag_name);
	return r;
}

static int put_dags(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	struct mem_list dags = { .n = 0 };
	int r = sorted_dags(m, q->dag, &dags, err);

	for (size_t i = 0; i < dags.n; i++)
		if (is_shown(dags.items[i]))
			put_dag(rows, m, dags.items[i]);
	free(dags.items);
	return r;
}

static int by_task(const void *a, const void *b)
{
	return strcmp(
		(*(struct frozen_row *const *)a)->task, (*(struct frozen_row *const *)b)->task);
}

static int put_frozen(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	struct mem_list dags = { .n = 0 };
	int r = sorted_dags(m, q->dag, &dags, err);

	for (size_t i = 0; i < dags.n; i++) {
		struct mem_list *frozen = &((struct mem_dag *)dags.items[i])->frozen;
		if (frozen->n)
			qsort(frozen->items, frozen->n, sizeof *frozen->items, by_task);
		for (size_t k = 0; k < frozen->n; k++) {
			const struct frozen_row *f = frozen->items[k];
			struct frozen_row *row = rows_add(rows);
			if (!row)
				break;
			*row = (struct frozen_row){ lend(rows->arena, f->dag),
				lend(rows->arena, f->task), lend(rows->arena, f->by),
				lend(rows->arena, f->reason), f->at_us };
		}
	}
	free(dags.items);
	return r;
}

static int put_plans(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	const struct mem_dag *d = memory_find_dag(m, q->dag);

	(void)err;
	for (size_t i = d ? d->plans.n : 0; i-- > 0;) {
		if (q->limit > 0 && rows->n == (size_t)q->limit)
			break;
		struct plan_row *row = rows_add(rows);
		if (!row)
			break;
		*row = lend_plan(rows->arena, d->plans.items[i]);
	}
	return 0;
}

void memory_count_runs(struct memory_store *m, struct backfill_row *b)
{
	for (size_t i = 0; i < m->runs.n; i++) {
		const struct mem_run *run = m->runs.items[i];
		if (!run || run->row.backfill_id != b->id)
			continue;
		bool final = run_state_is_final(run->row.state);
		b->nsuccess += run->row.state == RUN_SUCCESS;
		b->nfailed += final && run->row.state != RUN_SUCCESS;
		b->nactive += b->state != BACKFILL_DONE && !final;
	}
}

static int put_backfills(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	struct arena *a = rows->arena;

	(void)err;
	for (size_t i = m->backfills.n; i-- > 0;) {
		const struct backfill_row *b = m->backfills.items[i];
		if (q->id && b->id != q->id)
			continue;
		struct backfill_row *row = rows_add(rows);
		if (!row)
			break;
		*row = *b;
		row->dag = lend(a, b->dag);
		row->mode = lend(a, b->mode);
		row->params = lend(a, b->params);
		row->by = lend(a, b->by);
		row->reason = lend(a, b->reason);
		row->state_by = lend(a, b->state_by);
		row->state_reason = lend(a, b->state_reason);
		if (row->state != BACKFILL_DONE)
			memory_count_runs(m, row);
	}
	return 0;
}

static const struct list_putter {
	size_t size;
	int (*put)(struct rows *rows, struct memory_store *m, const struct list_query *q,
		struct err *err);
} list_putters[] = {
	[LIST_DAGS] = { sizeof(struct dag_row), put_dags },
	[LIST_FROZEN] = { sizeof(struct frozen_row), put_frozen },
	[LIST_PLANS] = { sizeof(struct plan_row), put_plans },
	[LIST_BACKFILLS] = { sizeof(struct backfill_row), put_backfills },
	[LIST_OUTBOX_DUE] = { sizeof(struct outbox_row), memory_put_due },
	[LIST_OUTBOX] = { sizeof(struct outbox_row), memory_put_outbox },
	[LIST_TOKEN] = { sizeof(struct token_row), memory_put_token },
	[LIST_INCIDENTS] = { sizeof(struct incident), memory_put_incidents },
	[LIST_INCIDENTS_DUE] = { sizeof(struct incident), memory_put_incidents_due },
	[LIST_SLA_MISSES] = { sizeof(struct sla_miss), memory_put_misses },
	[LIST_SLA_OPEN] = { sizeof(struct sla_miss), memory_put_misses },
	[LIST_SLA_MARKS] = { sizeof(struct sla_mark_row), memory_put_marks },
	[LIST_TASK_TIMES] = { sizeof(struct task_time_row), memory_put_times },
	[LIST_BREAKERS] = { sizeof(struct breaker_row), memory_put_breakers },
	[LIST_BREAKER_EVENTS] = { sizeof(struct breaker_event_row), memory_put_breaker_events },
	[LIST_APPROVALS] = { sizeof(struct approval_row), memory_put_approvals },
	[LIST_APPROVAL] = { sizeof(struct approval_row), memory_put_approvals },
	[LIST_DATASETS] = { sizeof(struct dataset_row), memory_put_datasets },
	[LIST_DATASET_LINKS] = { sizeof(struct dataset_link), memory_put_links },
	[LIST_DATASET_CURSORS] = { sizeof(struct dataset_cursor_row), memory_put_cursors },
	[LIST_UPDATES...
		LIST_UPDATES_LAST] = { sizeof(struct dataset_update_row), memory_put_updates },
};
static_assert(sizeof list_putters / sizeof *list_putters == LIST_MAX, "one for each kind");

int memory_list(
	struct store *s, const struct list_query *q, struct store_result *ret, struct err *err)
{
	struct rows rows = { .arena = &ret->arena, .size = list_putters[q->kind].size };

	if (list_putters[q->kind].put(&rows, memory_cast(s), q, err) < 0)
		return -1;
	return rows_end(&rows, ret, err);
}

int memory_durations(
	struct store *s, const char *dag, int n, struct durations *ret, struct err *err)
{
	struct run_filter f = { .dag = dag, .state = RUN_SUCCESS };
	struct store_result runs;

	store_result_init(&runs);
	int r = memory_runs(
		s, &(struct run_query){ .kind = RUN_QUERY_FILTER, .filter = &f }, &runs, err);
	for (size_t i = 0; r == 0 && i < runs.n && ret->n < (size_t)n; i++)
		if (runs.runs[i].started_us && runs.runs[i].ended_us)
			ret->us[ret->n++] = runs.runs[i].ended_us - runs.runs[i].started_us;
	store_result_release(&runs);
	return r;
}
