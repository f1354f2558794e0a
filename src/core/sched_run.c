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

/* Clear what is to be done again. */
static void clear_task(
	struct sched *s, const struct ref *at, const struct run_init *run, int64_t now_us)
{
	const struct task_init *init = run->tasks ? &run->tasks[at->task] : NULL;
	bool resume = run->resume;
	struct live_task *t = live(at);
	bool failed = t->state == TASK_FAILED || t->state == TASK_UPSTREAM_FAILED ||
		      t->state == TASK_CANCELLED;
	bool clear = init && init->clear && t->state != TASK_NONE && t->state != TASK_RUNNING;

	if (!t->selected || (!clear && (!failed || resume)))
		return;
	t->failures = t->lost = 0;
	sched_set_task(s, at, TASK_NONE, clear ? REASON_CLEARED : REASON_RERUN_FAILED, now_us);
}

static void count_needs(const struct ref *at, bool ignore_needs)
{
	const struct task *def = &at->run->dag->tasks[at->task];
	struct trigger_counts *c = &live(at)->counts;

	c->needs = def->nneeds;
	for (int j = 0; j < def->nneeds; j++) {
		const struct live_task *need = &at->run->tasks[def->needs[j]];
		if (ignore_needs && !need->selected)
			trigger_count(c, TASK_SUCCESS);
		else if (task_state_is_final(need->state))
			trigger_count(c, need->state);
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
	case TASK_DEFERRED:
		if (t->selected)
			sched_push_ready(s, at);
		break;
	case TASK_UP_FOR_RETRY:
		if (t->selected)
			sched_arm_retry(s, at);
		break;
	case TASK_RUNNING:
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
	r->tasks = tasks;
	for (int i = 0; i < r->dag->ntasks; i++) {
		const struct task_init *from = init->tasks ? &init->tasks[i] : NULL;
		struct live_task *t = &tasks[i];
		t->selected = true;
		if (from)
			*t = (struct live_task){ .state = from->state,
				.tries = from->tries,
				.failures = from->failures,
				.lost = from->lost,
				.due_us = from->due_us,
				.token = from->token,
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
	if (!r->hh.tbl || sched_make_shelves(s, r) < 0) {
		if (r->hh.tbl)
			HASH_DEL(s->runs, r);
		sched_drop_shelves(s, r);
		s->slots[r->slot] = NULL;
		sched_free_run(r);
		return err_nomem(err);
	}
	outgrow_tokens(s, r);
	sched_set_now(s, now_us);
	for (int i = 0; i < r->dag->ntasks; i++)
		clear_task(s, &(struct ref){ r, i }, init, now_us);
	for (int i = 0; i < r->dag->ntasks; i++)
		count_needs(&(struct ref){ r, i }, init->ignore_needs);
	/* A final run stays as it is when there is nothing to do. */
	if (r->nopen > 0)
		sched_set_run(s, r, RUN_RUNNING, REASON_STARTED, now_us);
	for (int i = 0; i < r->dag->ntasks; i++)
		take_up(s, &(struct ref){ r, r->dag->order[i] }, now_us);
	sched_spread_news(s, now_us);
	if (r->nopen == 0 && r->nflight == 0 && !run_state_is_final(r->state))
		sched_finish_run(s, r, now_us);
	return s->failed ? err_nomem(err) : 0;
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
		HASH_DEL(s->flights, f);
		free(f);
	}
	sched_drop_shelves(s, r);
	s->slots[r->slot] = NULL;
	HASH_DEL(s->runs, r);
	sched_free_run(r);
}
