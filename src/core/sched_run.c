#include "core/sched_impl.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"

void sched_free_run(struct live_run *r)
{
	if (!r)
		return;
	dag_unref(r->dag);
	free(r->tasks);
	free(r->breakers);
	free(r);
}

static int take_slot(struct sched *s, struct live_run *r)
{
	for (size_t i = 0; i < s->nslots; i++)
		if (!s->slots[i]) {
			r->slot = i;
			s->slots[i] = r;
			return 0;
		}
	struct live_run **grown = reallocarray(s->slots, s->nslots + 1, sizeof *grown);
	if (!grown)
		return -1;
	s->slots = grown;
	r->slot = s->nslots;
	s->slots[s->nslots++] = r;
	return 0;
}

/* Was the verdict on this final task one on what is to be done again? Where all had to succeed,
 * and did, none of them is; and what was asked for stays. */
static bool takes_along(const struct task *def, const struct task_init *init)
{
	if (reason_is_asked(init->reason))
		return false;
	return init->state == TASK_SKIPPED || init->state == TASK_UPSTREAM_FAILED ||
	       (init->state == TASK_SUCCESS && (def->when || def->trigger != TRIGGER_ALL_SUCCESS));
}

/* Is the choice made again by which a task was skipped? It was made by one it needs, or further
 * up: then those between were skipped by it, too. */
static bool chosen_again(const struct dag *dag, const struct task_init *tasks,
	const enum reason *again, const struct task *def)
{
	for (int j = 0; j < def->nneeds; j++) {
		int need = def->needs[j];
		if (again[need] != REASON_NONE &&
			(dag->tasks[need].chooses || tasks[need].unchosen))
			return true;
	}
	return false;
}

/* Why a task is to be done again; REASON_NONE: it is not. `again`: of those before it. */
static enum reason why_again(
	const struct task *def, const struct task_init *init, const enum reason *again, bool resume)
{
	bool failed = init->state == TASK_FAILED || init->state == TASK_UPSTREAM_FAILED ||
		      init->state == TASK_CANCELLED;

	if (!init->selected || init->state == TASK_NONE || init->state == TASK_RUNNING)
		return REASON_NONE;
	if (init->clear)
		return REASON_CLEARED;
	if (failed && !resume)
		return REASON_RERUN_FAILED;
	for (int j = 0; j < def->nneeds && takes_along(def, init); j++)
		if (again[def->needs[j]] != REASON_NONE)
			return REASON_NEEDS_AGAIN;
	return REASON_NONE;
}

/* What was taken down is set up again before a teardown is done again. Returns whether there is
 * such a setup that was not marked yet. */
static bool set_up_again(const struct dag *dag, const struct task_init *tasks, enum reason *again)
{
	bool more = false;

	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		for (int j = 0; j < t->nsetups && again[i] != REASON_NONE && tasks[i].tries; j++) {
			const struct task_init *setup = &tasks[t->setups[j]];
			if (!setup->selected || setup->state != TASK_SUCCESS ||
				again[t->setups[j]] != REASON_NONE)
				continue;
			again[t->setups[j]] = REASON_SET_UP_AGAIN;
			more = true;
		}
	}
	return more;
}

static void mark_again(
	const struct dag *dag, const struct task_init *tasks, bool resume, enum reason *ret)
{
	for (int i = 0; i < dag->ntasks; i++) {
		int at = dag->order[i];
		const struct task *def = &dag->tasks[at];
		bool stays = tasks[at].unchosen && tasks[at].state == TASK_SKIPPED &&
			     !chosen_again(dag, tasks, ret, def);
		if (ret[at] == REASON_NONE && !stays)
			ret[at] = why_again(def, &tasks[at], ret, resume);
	}
}

void sched_again(
	const struct dag *dag, const struct task_init *tasks, bool resume, enum reason *ret)
{
	for (int i = 0; i < dag->ntasks; i++)
		ret[i] = REASON_NONE;
	do
		mark_again(dag, tasks, resume, ret);
	while (set_up_again(dag, tasks, ret));
}

/* Clear what is to be done again. */
static int clear_tasks(
	struct sched *s, struct live_run *r, const struct run_init *init, int64_t now_us)
{
	enum reason *again = init->tasks ? calloc((size_t)r->dag->ntasks + 1, sizeof *again) : NULL;

	if (!init->tasks)
		return 0;
	if (!again)
		return -1;
	sched_again(r->dag, init->tasks, init->resume, again);
	for (int i = 0; i < r->dag->ntasks; i++) {
		if (again[i] == REASON_NONE)
			continue;
		sched_set_task(s, &(struct ref){ r, i }, TASK_NONE, again[i], now_us);
	}
	free(again);
	return 0;
}

static void count_needs(const struct ref *at)
{
	const struct task *def = &at->run->dag->tasks[at->task];
	struct trigger_counts *c = &live(at)->counts;

	for (int j = 0; j < def->nneeds; j++) {
		const struct live_task *need = &at->run->tasks[def->needs[j]];
		if (at->run->ignore_needs && !need->selected)
			continue;
		c->needs++;
		if (need->told != TASK_NONE)
			trigger_count(c, need->told);
	}
}

/* Count the needs of all tasks. */
static void count_all(struct live_run *r)
{
	for (int i = 0; i < r->dag->ntasks; i++) {
		struct live_task *t = &r->tasks[i];
		t->told = task_state_is_final(t->state) ? t->state : TASK_NONE;
	}
	for (int i = 0; i < r->dag->ntasks; i++)
		count_needs(&(struct ref){ r, i });
}

/* One that is set aside starts and ends nothing, but what runs where it is in hand counts. */
static void count_running(struct live_run *r)
{
	for (int i = 0; i < r->dag->ntasks; i++) {
		bool runs = r->tasks[i].state == TASK_RUNNING;
		r->nflight += runs;
		r->nwork += runs && !r->dag->tasks[i].teardown;
	}
}

/* Bring a task of a new or restored run into motion. */
static void take_up(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	sched_hold_back(s, at, now_us);
	switch (t->state) {
	case TASK_NONE:
		sched_judge(s, at, now_us);
		break;
	case TASK_SCHEDULED:
	case TASK_QUEUED:
	case TASK_HELD:
		if (t->selected)
			sched_push_ready(s, at);
		break;
	case TASK_DEFERRED:
	case TASK_AWAITING_INPUT:
		t->asked = true; /* else it would not wait */
		if (t->selected)
			sched_push_ready(s, at);
		break;
	case TASK_UP_FOR_RETRY:
		t->asked = true; /* it would not have been tried */
		if (t->selected)
			sched_arm(s, at);
		break;
	case TASK_RUNNING:
		t->asked = true;
		sched_add_flight(s, at, t->token);
		break;
	default:
		break;
	}
}

static struct live_run *new_run(const struct run_init *init)
{
	struct live_run *r = calloc(1, sizeof *r);
	struct live_task *tasks = calloc((size_t)init->dag->ntasks + 1, sizeof *tasks);

	if (!r || !tasks) {
		free(r);
		free(tasks);
		return NULL;
	}
	r->id = init->run_id;
	r->dag = dag_ref(init->dag);
	r->state = init->state;
	r->lane = init->lane;
	r->ignore_needs = init->ignore_needs;
	r->settling = init->settling;
	r->aside = init->aside;
	r->cancelling = init->cancelling;
	r->killing = init->killing;
	r->tasks = tasks;
	for (int i = 0; i < r->dag->ntasks; i++) {
		const struct task_init *from = init->tasks ? &init->tasks[i] : NULL;
		struct live_task *t = &tasks[i];
		t->selected = true;
		if (from)
			*t = (struct live_task){ .state = from->state,
				.reason = from->reason,
				.tries = from->tries,
				.failures = from->failures,
				.lost = from->lost,
				.due_us = from->due_us,
				.token = from->token,
				.work = from->work,
				.selected = from->selected || from->state == TASK_RUNNING };
		r->nopen += t->selected && !task_state_is_final(t->state);
	}
	return r;
}

/* Another process may have had the run meanwhile, with tokens of a block that it reserved later
 * than we did ours: what is left of ours would be smaller than those, and is thrown away. */
static void outgrow_tokens(struct sched *s, const struct live_run *r)
{
	for (int i = 0; i < r->dag->ntasks; i++)
		if (r->tasks[i].token >= s->next_token)
			s->next_token = s->end_token;
}

int sched_add_run(struct sched *s, const struct run_init *init, int64_t now_us, struct err *err)
{
	if (init->lane < 0 || init->lane >= s->nlanes)
		return err_set(err, ERR_INTERNAL, "there is no lane %d", init->lane);
	if (find_run(s, init->run_id))
		return err_set(
			err, ERR_INTERNAL, "run %" PRId64 " is scheduled already", init->run_id);
	struct live_run *r = new_run(init);
	if (!r || take_slot(s, r) < 0) {
		sched_free_run(r);
		return err_nomem(err);
	}
	HASH_ADD(hh, s->runs, id, sizeof r->id, r);
	if (!r->hh.tbl || sched_make_shelves(s, r) < 0 || sched_find_breakers(s, r) < 0) {
		if (r->hh.tbl)
			HASH_DEL(s->runs, r);
		sched_drop_shelves(s, r);
		s->slots[r->slot] = NULL;
		sched_free_run(r);
		return err_nomem(err);
	}
	outgrow_tokens(s, r);
	sched_set_now(s, now_us);
	if (!init->aside && clear_tasks(s, r, init, now_us) < 0)
		s->failed = true;
	count_all(r);
	if (init->aside) {
		count_running(r);
		return s->failed ? err_nomem(err) : 0;
	}
	/* A final run stays as it is when there is nothing to do. */
	if (r->nopen > 0)
		sched_set_run(s, r, RUN_RUNNING, REASON_STARTED, now_us);
	/* What runs first: the teardowns of a run that is being cancelled wait for it. */
	for (int i = 0; i < r->dag->ntasks; i++)
		if (r->tasks[i].state == TASK_RUNNING)
			take_up(s, &(struct ref){ r, i }, now_us);
	for (int i = 0; i < r->dag->ntasks; i++)
		if (r->tasks[r->dag->order[i]].state != TASK_RUNNING)
			take_up(s, &(struct ref){ r, r->dag->order[i] }, now_us);
	sched_spread_news(s, now_us);
	if (r->nopen == 0 && r->nflight == 0 && !run_state_is_final(r->state))
		sched_finish_run(s, r, now_us);
	return s->failed ? err_nomem(err) : 0;
}

bool sched_snapshot(
	const struct sched *s, int64_t run_id, struct run_init *ret, struct task_init *tasks)
{
	const struct live_run *r = find_run(s, run_id);

	if (!r)
		return false;
	*ret = (struct run_init){ .run_id = r->id,
		.dag = r->dag,
		.state = r->state,
		.tasks = tasks,
		.lane = r->lane,
		.ignore_needs = r->ignore_needs,
		.cancelling = r->cancelling,
		.killing = r->killing };
	for (int i = 0; i < r->dag->ntasks; i++) {
		const struct live_task *t = &r->tasks[i];
		tasks[i] = (struct task_init){ .state = t->state,
			.reason = t->reason,
			.tries = t->tries,
			.failures = t->failures,
			.lost = t->lost,
			.due_us = t->due_us,
			.token = t->token,
			.selected = t->selected,
			.unchosen = t->reason == REASON_NOT_CHOSEN };
	}
	return true;
}

void sched_drop_run(struct sched *s, int64_t run_id)
{
	struct live_run *r = find_run(s, run_id);
	struct flight *f, *next;

	if (!r)
		return;
	HASH_ITER (hh, s->flights, f, next) {
		if (f->run != r)
			continue;
		s->running--;
		sched_leave_gates(s, &(struct ref){ r, f->task });
		sched_tell_breakers(s, f, NULL, s->now_us);
		HASH_DEL(s->flights, f);
		free(f);
	}
	for (int i = 0; i < r->dag->ntasks; i++)
		sched_leave_breaker(s, &r->tasks[i]);
	sched_drop_shelves(s, r);
	for (size_t i = 0; i < s->nasking; i++)
		if (s->asking[i].at.run == r)
			s->asking[i].at.run = NULL;
	s->slots[r->slot] = NULL;
	HASH_DEL(s->runs, r);
	sched_free_run(r);
}
