/* Acts towards the world, and ends that come too late, in memory. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

static const char *lend(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

/* ---- late ends ------------------------------------------------------------------------- */

static bool is_told(const struct mem_run *run, const char *detail)
{
	for (size_t i = 0; i < run->events.n; i++) {
		const struct event_row *e = run->events.items[i];
		if (e->detail && strcmp(e->detail, detail) == 0)
			return true;
	}
	return false;
}

static int tell_late(struct memory_store *m, const struct mem_attempt *a, const struct late_end *e,
	bool *ret_recorded, struct err *err)
{
	const struct recorded_end recorded = { a->row.outcome, a->row.ended_us, a->row.try };
	struct mem_run *run = memory_find_run(m, a->row.run_id);
	struct mem_task *task = memory_find_task(m, run, a->row.task, a->row.map_index);

	if (!task || !backend_is_late(e, &recorded))
		return 0;
	const char *state = task_state_name(task->row.state);
	const char *detail = backend_late_text(e, &recorded, &m->arena);
	const struct event_row row = { .at_us = e->now_us,
		.task = task->row.name,
		.map_index = a->row.map_index,
		.from = state,
		.to = state,
		.reason = reason_name(REASON_LATE_RESULT),
		.detail = detail };
	if (!detail || is_told(run, detail))
		return 0;
	*ret_recorded = true;
	return memory_add_event(m, run, &row, err);
}

int memory_late_end(struct store *s, const struct late_end *e, bool *ret_recorded, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	const struct mem_attempt *a = memory_find_attempt(m, e->token);

	if (!a)
		return 0;
	memory_begin(m);
	return memory_end(m, tell_late(m, a, e, ret_recorded, err), err);
}

/* ---- acts ------------------------------------------------------------------------------ */

static struct mem_act *find_key(struct memory_store *m, const char *key)
{
	struct mem_act *act = NULL;

	HASH_FIND(hh, m->acts_by_key, key, strlen(key), act);
	return act;
}

int memory_act_put(struct memory_store *m, const struct outbox_act *o, struct err *err)
{
	if (find_key(m, o->key))
		return 0;
	struct mem_act *act = arena_alloc(&m->arena, sizeof *act);
	if (!act)
		return err_nomem(err);
	act->row = (struct outbox_row){ .id = m->next_act,
		.key = memory_keep(m, o->key),
		.kind = memory_keep(m, o->kind),
		.payload = memory_keep(m, o->payload),
		.created_us = o->at_us,
		.due_us = o->due_us ? o->due_us : o->at_us };
	if (!act->row.key)
		return err_nomem(err);
	HASH_ADD_KEYPTR(hh, m->acts_by_key, act->row.key, strlen(act->row.key), act);
	if (!act->hh.tbl)
		return err_nomem(err);
	if (memory_add(m, &m->acts, act, NULL, err) == 0) {
		m->next_act++;
		return 0;
	}
	HASH_DEL(m->acts_by_key, act);
	return -1;
}

void memory_act_remove_last(struct memory_store *m)
{
	struct mem_act *act = m->acts.items[--m->acts.n];

	HASH_DEL(m->acts_by_key, act);
}

static int set_in(struct memory_store *m, const struct outbox_set *set, int64_t id, struct err *err)
{
	struct outbox_row *row = NULL;
	bool same;

	for (size_t i = 0; i < m->acts.n && !row; i++) {
		struct mem_act *act = m->acts.items[i];
		row = act->row.id == id ? &act->row : NULL;
	}
	if (!row)
		return backend_no_act(id, err);
	if (backend_may_set_act(set, id, row->state, &same, err) < 0)
		return -1;
	if (same)
		return 0;
	if (memory_save(m, row, sizeof *row, err) < 0)
		return -1;
	row->state = set->to;
	row->tries++;
	if (set->to == OUTBOX_PENDING)
		row->due_us = set->at_us;
	else
		row->ended_us = set->at_us;
	row->error = memory_keep(m, set->error);
	return 0;
}

int memory_outbox_set(struct store *s, const struct outbox_set *set, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	int r = 0;

	memory_begin(m);
	for (size_t i = 0; r == 0 && i < set->n; i++)
		r = set_in(m, set, set->ids[i], err);
	return memory_end(m, r, err);
}

static int by_end(const void *a, const void *b)
{
	const struct outbox_row *x = &(*(struct mem_act *const *)a)->row;
	const struct outbox_row *y = &(*(struct mem_act *const *)b)->row;

	if (x->ended_us != y->ended_us)
		return x->ended_us < y->ended_us ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

static void forget(struct memory_store *m, struct mem_act *act)
{
	struct mem_list *l = &m->acts;
	size_t i = 0;

	while (l->items[i] != act)
		i++;
	memmove(&l->items[i], &l->items[i + 1], (l->n - i - 1) * sizeof *l->items);
	l->n--;
	HASH_DEL(m->acts_by_key, act);
}

int memory_outbox_prune(struct store *s, int64_t before_us, int max, int *ret_n, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	struct mem_list old = { .n = 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->acts.n; i++) {
		struct mem_act *act = m->acts.items[i];
		if (act->row.state != OUTBOX_PENDING && act->row.ended_us < before_us)
			r = memory_list_add(&old, act, err);
	}
	if (r == 0 && old.n)
		qsort(old.items, old.n, sizeof *old.items, by_end);
	for (*ret_n = 0; r == 0 && (size_t)*ret_n < old.n && *ret_n < max; ++*ret_n)
		forget(m, old.items[*ret_n]);
	free(old.items);
	return r;
}

void memory_release_acts(struct memory_store *m)
{
	HASH_CLEAR(hh, m->acts_by_key);
	free(m->acts.items);
}

/* ---- reading --------------------------------------------------------------------------- */

static void put_act(struct rows *rows, const struct outbox_row *o)
{
	struct outbox_row *row = rows_add(rows);

	if (!row)
		return;
	*row = *o;
	row->key = lend(rows->arena, o->key);
	row->kind = lend(rows->arena, o->kind);
	row->payload = lend(rows->arena, o->payload);
	row->error = lend(rows->arena, o->error);
}

static int by_due(const void *a, const void *b)
{
	const struct outbox_row *x = &(*(struct mem_act *const *)a)->row;
	const struct outbox_row *y = &(*(struct mem_act *const *)b)->row;

	if (x->due_us != y->due_us)
		return x->due_us < y->due_us ? -1 : 1;
	return x->id < y->id ? -1 : 1;
}

static bool is_full(const struct rows *rows, const struct list_query *q)
{
	return q->limit > 0 && rows->n == (size_t)q->limit;
}

int memory_put_due(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	struct mem_list due = { .n = 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->acts.n; i++) {
		struct mem_act *act = m->acts.items[i];
		if (act->row.state == OUTBOX_PENDING && act->row.due_us <= q->due_us)
			r = memory_list_add(&due, act, err);
	}
	if (due.n)
		qsort(due.items, due.n, sizeof *due.items, by_due);
	for (size_t i = 0; r == 0 && i < due.n && !is_full(rows, q); i++)
		put_act(rows, &((struct mem_act *)due.items[i])->row);
	free(due.items);
	return r;
}

int memory_put_outbox(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	(void)err;
	for (size_t i = m->acts.n; i-- > 0 && !is_full(rows, q);) {
		const struct mem_act *act = m->acts.items[i];
		if (q->state < 0 || act->row.state == (enum outbox_state)q->state)
			put_act(rows, &act->row);
	}
	return 0;
}

int memory_put_token(
	struct rows *rows, struct memory_store *m, const struct list_query *q, struct err *err)
{
	const struct mem_attempt *a = memory_find_attempt(m, q->id);
	struct mem_run *run = a ? memory_find_run(m, a->row.run_id) : NULL;
	const struct mem_task *t =
		run ? memory_find_task(m, run, a->row.task, a->row.map_index) : NULL;
	const struct mem_attempt *newest = t ? memory_find_attempt(m, t->row.token) : NULL;

	(void)err;
	if (!newest)
		return 0;
	struct token_row *row = rows_add(rows);
	if (!row)
		return 0;
	*row = (struct token_row){ .token = a->row.token,
		.run_id = a->row.run_id,
		.run = lend(rows->arena, run->row.name),
		.task = lend(rows->arena, a->row.task),
		.map_index = a->row.map_index,
		.try = a->row.try,
		.outcome = a->row.outcome,
		.ended_us = a->row.ended_us,
		.run_state = run->row.state,
		.newest = newest->row.token,
		.newest_queued_us = newest->row.queued_us,
		.newest_try = newest->row.try };
	return 0;
}
