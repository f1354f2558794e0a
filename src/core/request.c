#include "core/request.h"

#include <assert.h>
#include <stdlib.h>

#include "base/err.h"
#include "core/model.h"
#include "core/sched.h"

static const char *const effect_names[] = {
	[EFFECT_NONE] = "none",
	[EFFECT_STARTS] = "starts",
	[EFFECT_WAITS] = "waits",
	[EFFECT_STOPS] = "stops",
	[EFFECT_BECOMES] = "becomes",
	[EFFECT_OUTPUTS] = "outputs",
	[EFFECT_STALE] = "stale",
};
static_assert(sizeof effect_names / sizeof *effect_names == EFFECT_MAX, "a name for each");

const char *request_effect_name(enum request_effect e)
{
	return effect_names[e];
}

void request_plan_release(struct request_plan *p)
{
	sched_free(p->sched);
	free(p->tasks);
	*p = (struct request_plan){ 0 };
}

static void see_after(struct request_plan *p, int64_t run_id)
{
	for (int i = 0; i < p->ntasks; i++) {
		struct request_task *t = &p->tasks[i];
		struct task_view v = { 0 };
		sched_task_view(p->sched, run_id, i, &v);
		t->to = v.state;
		t->why = v.reason;
		bool again = v.reason == REASON_MAPPED && t->from != v.state;
		if ((v.state == TASK_NONE && v.ready) || again)
			t->effect = EFFECT_STARTS;
		else if (t->to != t->from)
			t->effect = t->to == TASK_NONE ? EFFECT_WAITS : EFFECT_BECOMES;
		p->open |= !task_state_is_final(v.state);
	}
}

/* A run that had ended is taken up again, with tasks that its DAG did not have then. */
static void see_new(struct request_plan *p)
{
	if (!run_state_is_final(p->from) || !p->open)
		return;
	for (int i = 0; i < p->ntasks; i++) {
		struct request_task *t = &p->tasks[i];
		if (t->from == TASK_NONE && t->to == TASK_NONE && t->effect == EFFECT_NONE)
			t->effect = EFFECT_WAITS;
	}
}

/* What the changes tell beyond the states. */
static void see_changes(struct request_plan *p)
{
	size_t n;
	const struct change *c = sched_changes(p->sched, &n);

	for (size_t i = 0; i < n; i++, c++) {
		if (c->kind == CHANGE_STOP)
			p->tasks[c->live].effect = EFFECT_STOPS;
		else if (c->kind == CHANGE_TASK && c->reason == REASON_OUTPUTS_SET)
			p->tasks[c->live].effect = EFFECT_OUTPUTS;
		p->stops |= c->kind == CHANGE_STOP;
	}
}

/* What is kept, though what it depends on is done again. What was skipped made nothing of it. */
static int see_stale(struct request_plan *p, const struct dag *dag, struct err *err)
{
	bool *below = calloc((size_t)dag->ntasks + 1, sizeof *below);

	if (!below)
		return err_nomem(err);
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *def = &dag->tasks[dag->order[i]];
		struct request_task *t = &p->tasks[def->index];
		for (int j = 0; j < def->nneeds; j++) {
			enum request_effect e = p->tasks[def->needs[j]].effect;
			below[def->index] |=
				below[def->needs[j]] || e == EFFECT_STARTS || e == EFFECT_WAITS;
		}
		bool begun = task_state_is_final(t->to) || t->to == TASK_RUNNING;
		if (below[def->index] && t->effect == EFFECT_NONE && begun &&
			t->to != TASK_SKIPPED && !reason_is_derived(t->why))
			t->effect = EFFECT_STALE;
	}
	free(below);
	return 0;
}

static int ask(struct request_plan *p, const struct run_init *run, const struct request *q,
	int64_t now_us, struct err *err)
{
	struct run_init init = *run;

	init.aside = true;
	init.lane = 0;
	int rc = sched_add_run(p->sched, &init, now_us, err);
	for (int i = 0; rc == 0 && i < p->ntasks; i++) {
		struct task_view v = { 0 };
		sched_task_view(p->sched, run->run_id, i, &v);
		p->tasks[i].from = v.state;
		p->tasks[i].task = v.task_index;
		p->tasks[i].map_index = v.map_index;
	}
	if (rc == 0)
		rc = sched_request(p->sched, run->run_id, q, now_us, err);
	if (rc == 0) {
		see_after(p, run->run_id);
		see_new(p);
		see_changes(p);
	}
	return rc;
}

static bool does_again(const struct request *q)
{
	return q->verb == REQUEST_RETRY || q->verb == REQUEST_CLEAR;
}

static bool does_nothing(const struct request_plan *p)
{
	for (int i = 0; i < p->ntasks; i++)
		if (p->tasks[i].effect != EFFECT_NONE && p->tasks[i].effect != EFFECT_STALE)
			return false;
	return true;
}

int request_check_use(const struct request_plan *p, const struct dag *dag, const struct request *q,
	struct err *err)
{
	if (!does_again(q) || q->ntasks == 0 || !does_nothing(p))
		return 0;
	const struct task *t = &dag->tasks[q->tasks[0]];
	const char *state = task_state_name(p->tasks[t->index].to);

	for (int i = 0; i < t->nneeds; i++) {
		const struct request_task *need = &p->tasks[t->needs[i]];
		if (need->to != TASK_SUCCESS)
			return err_set(err, ERR_REFUSED,
				"task %s would be %s again at once: it needs %s, which is %s; "
				"retry or mark that one",
				t->name, state, dag->tasks[need->task].name,
				task_state_name(need->to));
	}
	return err_set(err, ERR_REFUSED,
		"task %s would be %s again at once, since what it needs has not changed; weir why "
		"tells what that is",
		t->name, state);
}

int request_plan(struct request_plan *ret, const struct run_init *run, const struct request *q,
	int64_t now_us, struct err *err)
{
	const struct sched_config config = { .max_running = 1 };

	*ret = (struct request_plan){ .ntasks = run->dag->ntasks + run->ninstances,
		.from = run->state };
	ret->tasks = calloc((size_t)ret->ntasks + 1, sizeof *ret->tasks);
	ret->sched = sched_new(&config);
	int rc = ret->tasks && ret->sched ? 0 : err_nomem(err);
	if (rc == 0)
		rc = ask(ret, run, q, now_us, err);
	if (rc == 0 && does_again(q))
		rc = see_stale(ret, run->dag, err);
	if (rc == 0)
		ret->to = sched_run_state(ret->sched, run->run_id);
	else
		request_plan_release(ret);
	return rc;
}
