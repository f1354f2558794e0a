#include "core/sched_impl.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"

void sched_free_run(struct live_run *r)
{
	if (!r)
		return;
	sched_free_mappings(r);
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
 * and did, none of them is; and what was asked for stays. What is set up again is taken down again,
 * whatever became of that before. */
static bool takes_along(const struct task *def, const struct task_init *init)
{
	if (reason_is_asked(init->reason))
		return false;
	return init->state == TASK_SKIPPED || init->state == TASK_UPSTREAM_FAILED ||
	       (def->teardown && task_state_is_final(init->state)) ||
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

/* What the instances of a mapped task say to that. */
struct instances {
	int running, again;
};

/* Those that are named, and those that failed; but not where the whole is done all the same: it was
 * marked so, or it was not mapped then. */
static void mark_instances(const struct run_init *init, struct instances *of, enum reason *ret)
{
	const int ntasks = init->dag->ntasks;

	for (int i = 0; i < init->ninstances; i++) {
		const struct instance_init *at = &init->instances[i];
		enum task_state state = at->init.state;
		enum task_state whole = init->tasks[at->task].state;
		bool failed = (state == TASK_FAILED || state == TASK_UPSTREAM_FAILED ||
				      state == TASK_CANCELLED) &&
			      whole != TASK_SUCCESS && whole != TASK_SKIPPED;
		enum reason *why = &ret[ntasks + i];
		of[at->task].running += state == TASK_RUNNING;
		if (!at->init.selected || state == TASK_NONE || state == TASK_RUNNING)
			continue;
		if (at->init.clear)
			*why = REASON_CLEARED;
		else if (failed && !init->resume)
			*why = REASON_RERUN_FAILED;
		of[at->task].again += *why != REASON_NONE;
	}
}

/* Only instances of it, with the list it has, unless all of it is asked for. While instances run
 * there is no new list. */
static enum reason again_by_instances(enum reason why, const struct instances *of)
{
	bool whole = why != REASON_NONE && why != REASON_RERUN_FAILED;

	if (of->again > 0 && (!whole || of->running > 0))
		return REASON_MAPPED;
	return of->running > 0 ? REASON_NONE : why;
}

static void mark_again(const struct run_init *init, const struct instances *of, enum reason *ret)
{
	const struct dag *dag = init->dag;

	for (int i = 0; i < dag->ntasks; i++) {
		int at = dag->order[i];
		const struct task *def = &dag->tasks[at];
		bool stays = init->tasks[at].unchosen && init->tasks[at].state == TASK_SKIPPED &&
			     !chosen_again(dag, init->tasks, ret, def);
		if (ret[at] != REASON_NONE || stays)
			continue;
		ret[at] = why_again(def, &init->tasks[at], ret, init->resume);
		if (def->foreach)
			ret[at] = again_by_instances(ret[at], &of[at]);
	}
}

int sched_again(const struct run_init *init, enum reason *ret)
{
	const struct dag *dag = init->dag;
	struct instances *of = calloc((size_t)dag->ntasks + 1, sizeof *of);

	if (!of)
		return -1;
	for (int i = 0; i < dag->ntasks + init->ninstances; i++)
		ret[i] = REASON_NONE;
	mark_instances(init, of, ret);
	do
		mark_again(init, of, ret);
	while (set_up_again(dag, init->tasks, ret));
	free(of);
	return 0;
}

/* Clear what is to be done again. */
static int clear_tasks(
	struct sched *s, struct live_run *r, const struct run_init *init, int64_t now_us)
{
	enum reason *again = init->tasks ? calloc((size_t)r->nlive + 1, sizeof *again) : NULL;

	if (!init->tasks)
		return 0;
	if (!again || sched_again(init, again) < 0) {
		free(again);
		return -1;
	}
	for (int i = 0; i < r->nlive; i++)
		sched_do_again(s, &(struct ref){ r, i }, again[i], now_us);
	for (int i = 0; r->mappings && i < r->dag->ntasks; i++)
		if (r->tasks[i].selected)
			sched_settle_mapping(s, &(struct ref){ r, i }, now_us);
	free(again);
	return 0;
}

static void count_needs(const struct ref *at)
{
	const struct task *def = def_of(at);
	struct trigger_counts *c = &live(at)->counts;

	for (int j = 0; j < def->nneeds; j++) {
		const struct live_task *need = &at->run->tasks[def->needs[j]];
		if (at->run->ignore_needs && !need->selected)
			continue;
		c->needs++;
		if (need->told != TASK_NONE)
			trigger_count(c, need->told);
	}
	if (sched_counts_cross(at))
		c->needs += def->ncross;
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
	for (int i = 0; i < r->nlive; i++) {
		bool runs = r->tasks[i].state == TASK_RUNNING;
		r->nflight += runs;
		r->nwork += runs && !def_of(&(struct ref){ r, i })->teardown;
	}
}

void sched_take_up(struct sched *s, const struct ref *at, int64_t now_us)
{
	struct live_task *t = live(at);

	sched_hold_back(s, at, now_us);
	/* It was not mapped when it began to wait. */
	if (is_mapped(at) && t->selected && !sched_is_listed(at) &&
		(task_state_waits(t->state) || t->state == TASK_UP_FOR_RETRY))
		sched_set_task(s, at, TASK_NONE, REASON_CLEARED, now_us);
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
		t->asked = !waits_outside(at); /* else it would not wait */
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

struct live_task sched_live_task(const struct task_init *from)
{
	return (struct live_task){ .map_index = -1,
		.state = from->state,
		.reason = from->reason,
		.tries = from->tries,
		.failures = from->failures,
		.lost = from->lost,
		.due_us = from->due_us,
		.token = from->token,
		.work = from->work,
		.selected = from->selected || from->state == TASK_RUNNING };
}

struct task_init sched_task_init(const struct live_task *t)
{
	return (struct task_init){ .state = t->state,
		.reason = t->reason,
		.tries = t->tries,
		.failures = t->failures,
		.lost = t->lost,
		.due_us = t->due_us,
		.token = t->token,
		.work = t->work,
		.selected = t->selected,
		.unchosen = t->reason == REASON_NOT_CHOSEN };
}

static struct live_run *new_run(const struct run_init *init)
{
	static const struct task_init fresh = { .selected = true };
	struct live_run *r = calloc(1, sizeof *r);
	int room = init->dag->ntasks + init->ninstances;
	struct live_task *tasks = calloc((size_t)room + 1, sizeof *tasks);

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
	r->tasks_cap = room;
	r->nlive = r->dag->ntasks;
	for (int i = 0; i < r->dag->ntasks; i++) {
		tasks[i] = sched_live_task(init->tasks ? &init->tasks[i] : &fresh);
		tasks[i].def = i;
		r->nopen += tasks[i].selected && !task_state_is_final(tasks[i].state);
	}
	if (sched_make_mappings(r, init) == 0)
		return r;
	sched_free_run(r);
	return NULL;
}

/* Another process may have had the run meanwhile, with tokens of a block that it reserved later
 * than we did ours: what is left of ours would be smaller than those, and is thrown away. */
static void outgrow_tokens(struct sched *s, const struct live_run *r)
{
	for (int i = 0; i < r->nlive; i++)
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
	for (int i = 0; i < r->nlive; i++)
		if (r->tasks[i].state == TASK_RUNNING)
			sched_take_up(s, &(struct ref){ r, i }, now_us);
	for (int i = 0; i < r->dag->ntasks; i++)
		if (r->tasks[r->dag->order[i]].state != TASK_RUNNING)
			sched_take_up(s, &(struct ref){ r, r->dag->order[i] }, now_us);
	sched_take_up_instances(s, r, now_us);
	sched_spread_news(s, now_us);
	if (r->nopen == 0 && r->nflight == 0 && !run_state_is_final(r->state))
		sched_finish_run(s, r, now_us);
	return s->failed ? err_nomem(err) : 0;
}

bool sched_snapshot(const struct sched *s, int64_t run_id, struct run_init *ret,
	struct task_init *tasks, struct instance_init *instances)
{
	const struct live_run *r = find_run(s, run_id);

	if (!r)
		return false;
	*ret = (struct run_init){ .run_id = r->id,
		.dag = r->dag,
		.state = r->state,
		.tasks = tasks,
		.instances = instances,
		.ninstances = r->nlive - r->dag->ntasks,
		.lane = r->lane,
		.ignore_needs = r->ignore_needs,
		.cancelling = r->cancelling,
		.killing = r->killing };
	for (int i = 0; i < r->dag->ntasks; i++)
		tasks[i] = sched_task_init(&r->tasks[i]);
	for (int i = 0; i < ret->ninstances; i++) {
		const struct live_task *t = &r->tasks[r->dag->ntasks + i];
		instances[i] =
			(struct instance_init){ t->def, t->map_index, t->item, sched_task_init(t) };
	}
	return true;
}

int sched_ninstances(const struct sched *s, int64_t run_id)
{
	const struct live_run *r = find_run(s, run_id);

	return r ? r->nlive - r->dag->ntasks : 0;
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
		sched_tell_breakers(s, f, NULL, s->clock_us);
		HASH_DEL(s->flights, f);
		free(f);
	}
	sched_forget_looks(s, r);
	for (int i = 0; i < r->nlive; i++)
		sched_leave_breaker(s, &r->tasks[i]);
	sched_drop_shelves(s, r);
	for (size_t i = 0; i < s->nasking; i++)
		if (s->asking[i].at.run == r)
			s->asking[i].at.run = NULL;
	s->slots[r->slot] = NULL;
	HASH_DEL(s->runs, r);
	sched_free_run(r);
}
