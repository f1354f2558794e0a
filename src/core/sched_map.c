/* Mapped tasks: their lists, their instances, and what these make of them. */
#include "core/sched_impl.h"

#include <stdlib.h>
#include <string.h>

enum { ITEMS_MAX = 1 << 30 };

/* ---- room ------------------------------------------------------------------------------ */

/* Number `live` is the instance of that map index. */
static int put_instance(struct live_mapping *m, int map_index, int live_number)
{
	if (map_index >= m->cap) {
		int cap = map_index < 8 ? 16 : map_index * 2;
		int *grown = reallocarray(m->list, (size_t)cap, sizeof *grown);
		if (!grown)
			return -1;
		m->list = grown;
		m->cap = cap;
	}
	m->list[map_index] = live_number;
	m->n = map_index >= m->n ? map_index + 1 : m->n;
	return 0;
}

static int add_instance(struct live_run *r, const struct instance_init *init)
{
	struct live_mapping *m = &r->mappings[init->task];
	struct live_task *t = &r->tasks[r->nlive];

	*t = sched_live_task(&init->init);
	t->def = init->task;
	t->map_index = init->map_index;
	t->item = init->item ? arena_strdup(&m->items, init->item) : NULL;
	m->states[t->state]++;
	m->nitems += t->reason != REASON_ITEM_GONE;
	return m->items.failed ? -1 : put_instance(m, init->map_index, r->nlive++);
}

int sched_make_mappings(struct live_run *r, const struct run_init *init)
{
	bool any = false;

	for (int i = 0; i < r->dag->ntasks; i++)
		any = any || r->dag->tasks[i].foreach;
	if (!any)
		return 0;
	r->mappings = calloc((size_t)r->dag->ntasks, sizeof *r->mappings);
	if (!r->mappings)
		return -1;
	for (int i = 0; i < r->dag->ntasks; i++)
		arena_init(&r->mappings[i].items, ITEMS_MAX);
	for (int i = 0; i < init->ninstances; i++)
		if (add_instance(r, &init->instances[i]) < 0)
			return -1;
	return 0;
}

void sched_free_mappings(struct live_run *r)
{
	for (int i = 0; r->mappings && i < r->dag->ntasks; i++) {
		free(r->mappings[i].list);
		arena_release(&r->mappings[i].items);
		gate_release(&r->mappings[i].gate);
	}
	free(r->mappings);
}

static int make_room(struct live_run *r, int n)
{
	int cap = r->nlive + n;

	if (cap <= r->tasks_cap)
		return 0;
	struct live_task *grown = reallocarray(r->tasks, (size_t)cap, sizeof *grown);
	if (!grown)
		return -1;
	r->tasks = grown;
	r->tasks_cap = cap;
	return 0;
}

/* ---- what instances make of the whole --------------------------------------------------- */

bool sched_is_listed(const struct ref *at)
{
	const struct live_task *whole = &at->run->tasks[live(at)->def];
	const struct live_mapping *m = at->run->mappings ? mapping_of(at) : NULL;

	if (!m || m->n == 0)
		return false;
	if (whole->state == TASK_DEFERRED)
		return whole->reason == REASON_MAPPED;
	/* Without a list all of them wait for it. */
	return task_state_is_final(whole->state) && m->states[TASK_NONE] < m->n;
}

void sched_count_instance(const struct ref *at, enum task_state from, enum task_state to)
{
	struct live_mapping *m = mapping_of(at);

	m->states[from]--;
	m->states[to]++;
}

/* Whether its state came of its instances, or is to. */
static bool is_theirs(const struct ref *at)
{
	switch (live(at)->reason) {
	case REASON_MAPPED:
	case REASON_INSTANCES_DONE:
	case REASON_INSTANCES_FAILED:
	case REASON_INSTANCES_SKIPPED:
	case REASON_CANCELLED:
		return sched_is_listed(at);
	default:
		return false;
	}
}

static enum task_state state_of(const struct live_mapping *m, enum reason *why)
{
	int open = 0;

	for (int i = 0; i < TASK_STATE_MAX; i++)
		open += task_state_is_final((enum task_state)i) ? 0 : m->states[i];
	*why = REASON_MAPPED;
	if (open > 0)
		return TASK_DEFERRED;
	*why = REASON_CANCELLED;
	if (m->states[TASK_CANCELLED] > 0)
		return TASK_CANCELLED;
	*why = REASON_INSTANCES_FAILED;
	if (m->states[TASK_FAILED] + m->states[TASK_UPSTREAM_FAILED] > 0)
		return TASK_FAILED;
	*why = REASON_INSTANCES_SKIPPED;
	if (m->states[TASK_SKIPPED] == m->n)
		return TASK_SKIPPED;
	*why = REASON_INSTANCES_DONE;
	return TASK_SUCCESS;
}

void sched_settle_mapping(struct sched *s, const struct ref *at, int64_t now_us)
{
	enum reason why;

	if (!is_theirs(at))
		return;
	enum task_state to = state_of(mapping_of(at), &why);
	if (to == live(at)->state)
		return;
	if (task_state_is_final(live(at)->state))
		sched_set_task(s, at, TASK_DEFERRED, REASON_MAPPED, now_us);
	if (to != TASK_DEFERRED)
		sched_set_task(s, at, to, why, now_us);
}

void sched_unlist(struct sched *s, const struct ref *at, enum reason why, int64_t now_us)
{
	const struct live_mapping *m = mapping_of(at);

	for (int i = 0; i < m->n; i++) {
		const struct ref one = { at->run, m->list[i] };
		enum task_state state = live(&one)->state;
		if (state != TASK_NONE && state != TASK_RUNNING)
			sched_set_task(s, &one, TASK_NONE,
				task_state_is_final(state) ? why : REASON_CLEARED, now_us);
	}
}

void sched_do_again(struct sched *s, const struct ref *at, enum reason why, int64_t now_us)
{
	const struct live_task *t = live(at);

	/* An instance may wait for a new list already. */
	if (why == REASON_NONE || t->state == TASK_NONE)
		return;
	if (why != REASON_MAPPED)
		sched_set_task(s, at, TASK_NONE, why, now_us);
	else if (task_state_is_final(t->state))
		sched_set_task(s, at, TASK_DEFERRED, why, now_us);
}

/* ---- the list --------------------------------------------------------------------------- */

/* An instance of that item; one that was there before has a new item. */
static bool put_item(
	struct sched *s, const struct ref *whole, int map_index, const char *item, int64_t now_us)
{
	struct live_run *r = whole->run;
	struct live_mapping *m = mapping_of(whole);
	const struct live_task *w = live(whole);
	const struct task_init fresh = { .selected = w->selected };

	if (map_index < m->n) {
		live(&(struct ref){ r, m->list[map_index] })->item = arena_strdup(&m->items, item);
	} else {
		const struct instance_init init = { w->def, map_index, item, fresh };
		struct live_task *t = &r->tasks[r->nlive];
		if (add_instance(r, &init) < 0)
			return false;
		t->shelf = w->shelf;
		t->breakers = w->breakers;
	}
	const struct ref at = { r, m->list[map_index] };
	struct change *c = sched_add_task_change(s, CHANGE_ITEM, REASON_MAPPED, &at, now_us);
	if (c)
		c->item = sched_keep(s, item);
	return c && c->item && !m->items.failed;
}

/* Those whose item is in the list no more. */
static void leave_out(struct sched *s, const struct ref *whole, int n, int64_t now_us)
{
	struct live_mapping *m = mapping_of(whole);

	for (int i = n; i < m->n; i++) {
		const struct ref at = { whole->run, m->list[i] };
		live(&at)->item = NULL;
		sched_set_task(s, &at, TASK_SKIPPED, REASON_ITEM_GONE, now_us);
	}
}

static bool put_list(
	struct sched *s, const struct ref *whole, const struct sched_list *list, int64_t now_us)
{
	struct live_mapping *m = mapping_of(whole);
	int more = list->n > m->n ? list->n - m->n : 0;

	if (make_room(whole->run, more) < 0)
		return false;
	arena_release(&m->items);
	arena_init(&m->items, ITEMS_MAX);
	for (int i = 0; i < list->n; i++)
		if (!put_item(s, whole, i, list->items[i], now_us))
			return false;
	m->nitems = list->n;
	return true;
}

static bool find_mapped(struct sched *s, int64_t run_id, int task, struct ref *ret)
{
	return sched_find_asking(s, run_id, task, ret) && is_mapped(ret);
}

void sched_answer_list(struct sched *s, const struct sched_list *list, int64_t now_us)
{
	struct ref at;

	if (!find_mapped(s, list->run_id, list->task, &at))
		return;
	sched_set_now(s, now_us);
	if (!put_list(s, &at, list, now_us)) {
		s->failed = true;
		return;
	}
	bool empty = list->n == 0;
	sched_set_task(s, &at, empty ? TASK_SKIPPED : TASK_DEFERRED,
		empty ? REASON_LIST_EMPTY : REASON_MAPPED, now_us);
	leave_out(s, &at, list->n, now_us);
	for (int i = 0; i < list->n; i++)
		sched_push_ready(s, &(struct ref){ at.run, mapping_of(&at)->list[i] });
	sched_spread_news(s, now_us);
}

void sched_answer_no_list(
	struct sched *s, int64_t run_id, int task, const char *error, int64_t now_us)
{
	struct ref at;

	if (!find_mapped(s, run_id, task, &at))
		return;
	sched_set_now(s, now_us);
	struct change *c = sched_set_task(s, &at, TASK_FAILED, REASON_LIST_FAILED, now_us);
	if (c)
		c->detail = sched_keep(s, error);
	sched_spread_news(s, now_us);
}

/* ---- runs taken in ---------------------------------------------------------------------- */

void sched_take_up_instances(struct sched *s, struct live_run *r, int64_t now_us)
{
	for (int i = r->dag->ntasks; i < r->nlive; i++) {
		const struct ref at = { r, i };
		bool listed = r->tasks[live(&at)->def].state == TASK_DEFERRED;
		if (listed && live(&at)->state != TASK_RUNNING)
			sched_take_up(s, &at, now_us);
	}
}

int sched_find_task(const struct sched *s, int64_t run_id, int task_index, int map_index)
{
	const struct live_run *r = find_run(s, run_id);

	if (!r || task_index < 0 || task_index >= r->dag->ntasks)
		return -1;
	if (map_index < 0)
		return task_index;
	const struct live_mapping *m = r->mappings ? &r->mappings[task_index] : NULL;
	return m && map_index < m->n ? m->list[map_index] : -1;
}
