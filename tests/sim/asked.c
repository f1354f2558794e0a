/* What must come of what people ask: a slow model of core/request.h.
 *
 * A request is applied whole, in one commit that records it, or not at all and says why; what was
 * planned is what is done; what follows from it is what the rules of the tasks say.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "tests/sim/sim.h"

static const char *name_of(const struct trun *r, int task)
{
	static char text[96];

	snprintf(text, sizeof text, "%s %s", r->name, r->dag->dag->tasks[task].name);
	return text;
}

static bool is_again(const struct ask *q)
{
	return q->verb == REQUEST_RETRY || q->verb == REQUEST_CLEAR;
}

static bool cancels_run(const struct ask *q)
{
	return q->verb == REQUEST_CANCEL && q->ntasks == 0;
}

/* ---- what may be asked ---------------------------------------------------------------- */

bool asked_may(const struct ask *q, int task)
{
	const struct ttask *t = &q->run->tasks[task];
	bool final = task_state_is_final(t->state), runs = t->state == TASK_RUNNING;

	switch (q->verb) {
	case REQUEST_RETRY:
	case REQUEST_CLEAR:
		return final || t->state == TASK_UP_FOR_RETRY;
	case REQUEST_MARK:
		return !runs && t->state != q->mark;
	case REQUEST_SKIP:
		return !final && !runs;
	case REQUEST_CANCEL:
		return !final;
	case REQUEST_END_RETRIES:
		return t->state == TASK_UP_FOR_RETRY ||
		       (t->state == TASK_HELD && t->failures + t->lost > 0);
	default:
		return t->state == TASK_SUCCESS;
	}
}

static bool depends(const struct dag *dag, int task, int on)
{
	const struct task *t = &dag->tasks[task];

	for (int i = 0; i < t->nneeds; i++)
		if (t->needs[i] == on || depends(dag, t->needs[i], on))
			return true;
	return false;
}

static bool is_named(const struct ask *q, int task)
{
	for (int i = 0; i < q->ntasks; i++)
		if (q->tasks[i] == task)
			return true;
	return false;
}

/* Is it among those the request is about, whatever its state? */
static bool is_meant(const struct ask *q, int task)
{
	if (q->ntasks == 0 || is_named(q, task))
		return true;
	for (int i = 0; q->downstream && i < q->ntasks; i++)
		if (depends(q->run->dag->dag, task, q->tasks[i]))
			return true;
	return false;
}

/* Does something that ran use its outputs? */
static bool is_used(const struct ask *q, int task)
{
	const struct dag *dag = q->run->dag->dag;

	for (int i = 0; i < dag->ntasks; i++) {
		const struct ttask *t = &q->run->tasks[i];
		bool begun = t->state == TASK_RUNNING || t->state == TASK_UP_FOR_RETRY ||
			     task_state_waits(t->state) ||
			     (task_state_is_final(t->state) && t->tries > 0 &&
				     !reason_is_derived(t->reason) && t->reason != REASON_MARKED);
		if (begun && depends(dag, i, task))
			return true;
	}
	return false;
}

/* What a choice left out is done again when it is named, or chosen anew. */
static bool is_maybe(const struct ask *q, int task)
{
	const struct ttask *t = &q->run->tasks[task];

	return is_again(q) && is_meant(q, task) && !is_named(q, task) && t->state == TASK_SKIPPED &&
	       t->reason == REASON_NOT_CHOSEN;
}

static bool is_target(const struct ask *q, int task)
{
	const struct trun *r = q->run;
	enum task_state state = r->tasks[task].state;

	if (cancels_run(q)) {
		bool stays = r->dag->dag->tasks[task].teardown && !q->hard &&
			     (state == TASK_RUNNING ||
				     (r->stopping < RUN_KILLED && parts_outlives(r, task)));
		return !task_state_is_final(state) && !stays;
	}
	if (!is_meant(q, task) || q->maybe[task])
		return false;
	if (is_again(q) && (q->failed || q->ntasks == 0))
		return truth_is_failed(state);
	return asked_may(q, task);
}

bool asked_may_all(const struct ask *q)
{
	const struct trun *r = q->run;
	bool by_state = is_again(q) && (q->failed || q->ntasks == 0);
	int n = 0;

	if (cancels_run(q)) {
		for (int i = 0; i < r->dag->dag->ntasks && !run_state_is_final(r->state); i++)
			n += is_target(q, i);
		return !run_state_is_final(r->state) &&
		       (n > 0 || r->stopping < (q->hard ? RUN_KILLED : RUN_STOPPED));
	}
	if (r->stopping && !run_state_is_final(r->state))
		return false;
	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		enum task_state state = r->tasks[i].state;
		if (!is_meant(q, i))
			continue;
		if (by_state) {
			n += truth_is_failed(state);
			continue;
		}
		if (is_named(q, i) && !asked_may(q, i))
			return false;
		if (is_again(q) && state == TASK_RUNNING)
			return false;
		if (q->verb == REQUEST_SET_OUTPUT && is_used(q, i))
			return false;
		n++;
	}
	return n > 0;
}

/* ---- the commit ----------------------------------------------------------------------- */

static struct ask *find(struct sim *w, const struct audit_row *a)
{
	int number = 0;

	must(w,
		a->reason && sscanf(a->reason, "ask %d.", &number) == 1 && number > 0 &&
			number <= w->nasks,
		"a request is recorded that nobody has made");
	return &w->asks[number - 1];
}

static void apply(struct sim *w, struct ask *q, const struct audit_row *a)
{
	struct trun *r = q->run;

	say(w, "store", "records request %d", q->number);
	must(w, !q->applied, "request %d is applied twice", q->number);
	must(w, !q->answered || q->later, "request %d is applied, and was refused", q->number);
	must(w, a->run_id == r->id && strcmp(a->what, request_name(q->verb)) == 0,
		"request %d is recorded as another", q->number);
	must(w, !w->asking, "two requests are recorded at once");
	q->applied = true;
	w->asking = q;
	r->again |= run_state_is_final(r->state);
	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		q->before[i] = r->tasks[i].state;
		q->maybe[i] = is_maybe(q, i);
		q->targets[i] = is_target(q, i);
		q->met[i] = q->planned_met[i] = false;
	}
	if (cancels_run(q)) {
		r->cancelling = true;
		r->killing |= q->hard;
	}
}

void asked_begin(struct sim *w, const struct store_batch *b)
{
	w->asking = NULL;
	for (size_t i = 0; i < b->naudits; i++)
		apply(w, find(w, &b->audits[i]), &b->audits[i]);
}

/* By name of the request, not only because of it? */
static bool is_direct(const struct ask *q, const struct change *c)
{
	char text[24];

	snprintf(text, sizeof text, "ask %d.", q->number);
	return c->detail && strstr(c->detail, text);
}

static void judge_direct(struct sim *w, struct ask *q, int task, const struct change *c)
{
	static const enum reason reasons[REQUEST_MAX] = { REASON_CLEARED, REASON_CLEARED,
		REASON_MARKED, REASON_SKIPPED_BY_REQUEST, REASON_CANCELLED, REASON_RETRIES_ENDED,
		REASON_OUTPUTS_SET };
	static const enum task_state states[REQUEST_MAX] = { TASK_NONE, TASK_NONE, TASK_NONE,
		TASK_SKIPPED, TASK_CANCELLED, TASK_FAILED, TASK_SUCCESS };
	struct ttask *t = &q->run->tasks[task];
	enum task_state to = q->verb == REQUEST_MARK ? q->mark : states[q->verb];
	char text[32];

	must(w, q->targets[task] || q->maybe[task], "%s is %s by request %d, which is not about it",
		name_of(q->run, task), task_state_name(c->state.to), q->number);
	must(w, c->reason == reasons[q->verb] && c->state.to == to,
		"%s is %s (%s) by request %d, not %s", name_of(q->run, task),
		task_state_name(c->state.to), reason_name(c->reason), q->number,
		task_state_name(to));
	must(w, t->state != TASK_RUNNING, "%s runs, and is %s by request %d", name_of(q->run, task),
		task_state_name(c->state.to), q->number);
	snprintf(text, sizeof text, "\"asked\":%d}", q->number);
	must(w, !q->outputs || (c->state.outputs && strstr(c->state.outputs, text)),
		"the outputs of request %d are not kept", q->number);
	q->met[task] = true;
	t->cancelling |= to == TASK_CANCELLED;
	if (to == TASK_NONE)
		t->failures = t->lost = 0;
	if (q->verb != REQUEST_SET_OUTPUT)
		t->nsuccess = to == TASK_SUCCESS;
}

/* What a rule had decided of such a need is not known before the review. */
static bool has_need_again(const struct trun *r, int task, const struct ask *q)
{
	const struct task *t = &r->dag->dag->tasks[task];

	for (int i = 0; i < t->nneeds; i++) {
		int need = t->needs[i];
		const struct ttask *n = &r->tasks[need];
		if (q->targets[need] || (q->maybe[need] && q->met[need]) ||
			(task_state_is_final(q->before[need]) && !task_state_is_final(n->state)) ||
			(reason_is_derived(n->reason) && has_need_again(r, need, q)))
			return true;
	}
	return false;
}

/* Something takes down what it set up; that it is done again is told behind it. */
static bool is_set_up(const struct trun *r, int task)
{
	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		const struct task *t = &r->dag->dag->tasks[i];
		for (int j = 0; j < t->nsetups; j++)
			if (t->setups[j] == task)
				return true;
	}
	return false;
}

/* It is judged anew, and was judged by what its needs were. */
static void judge_again(struct sim *w, struct trun *r, int task, const struct change *c)
{
	struct ttask *t = &r->tasks[task];
	const struct ask *q = w->asking;

	must(w, c->state.to == TASK_NONE && task_state_is_final(t->state), "%s becomes %s (%s)",
		name_of(r, task), task_state_name(c->state.to), reason_name(c->reason));
	if (c->reason == REASON_NEEDS_CHANGED)
		must(w, reason_is_derived(t->reason) && truth_verdict(r, task) != t->state,
			"%s was %s (%s) and is judged anew, and its rule says %s", name_of(r, task),
			task_state_name(t->state), reason_name(t->reason),
			task_state_name(truth_verdict(r, task)));
	else if (c->reason == REASON_SET_UP_AGAIN)
		must(w, is_again(q) && t->state == TASK_SUCCESS && is_set_up(r, task),
			"%s is set up again by request %d, for nothing", name_of(r, task),
			q->number);
	else
		must(w, is_again(q) && has_need_again(r, task, q) && !reason_is_asked(t->reason),
			"%s was %s (%s) and is judged again by request %d, for nothing",
			name_of(r, task), task_state_name(t->state), reason_name(t->reason),
			q->number);
	t->failures = t->lost = t->nsuccess = 0;
}

bool asked_change(struct sim *w, struct trun *r, int task, const struct change *c)
{
	struct ask *q = w->asking && w->asking->run == r ? w->asking : NULL;

	if (q && is_direct(q, c)) {
		judge_direct(w, q, task, c);
		return true;
	}
	must(w, !reason_is_asked(c->reason) && c->reason != REASON_RETRIES_ENDED,
		"%s is %s (%s), and nobody has asked for it", name_of(r, task),
		task_state_name(c->state.to), reason_name(c->reason));
	if (c->reason == REASON_NEEDS_CHANGED)
		must(w, q, "%s is judged anew, and nobody has asked for anything",
			name_of(r, task));
	if (!q || (c->reason != REASON_NEEDS_CHANGED && c->reason != REASON_NEEDS_AGAIN &&
			  c->reason != REASON_SET_UP_AGAIN))
		return false;
	judge_again(w, r, task, c);
	return true;
}

/* A stop, or a change behind its judgement: is it what was planned? */
void asked_note(struct sim *w, const struct trun *r, int task, const struct change *c)
{
	struct ask *q = w->asking;

	if (!q || q->run != r)
		return;
	const struct ask_effect *p = &q->plan[task];
	if (c->kind == CHANGE_STOP) {
		must(w, r->cancelling || (q->targets[task] && is_direct(q, c)),
			"%s is stopped by request %d", name_of(r, task), q->number);
		q->met[task] = true;
		q->planned_met[task] |= p->effect == EFFECT_STOPS;
		((struct ttask *)&r->tasks[task])->cancelling = true;
		return;
	}
	q->planned_met[task] |= c->state.to == p->to;
}

/* What came of it is what was planned, if nothing came between. */
static void check_plan(struct sim *w, const struct ask *q)
{
	const struct trun *r = q->run;

	if (!q->planned || q->planned_at != r->ncommits)
		return;
	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		enum request_effect e = q->plan[i].effect;
		bool done = e != EFFECT_NONE && e != EFFECT_STALE;
		bool none = q->plan[i].to == TASK_NONE && q->before[i] == TASK_NONE;
		must(w, !done || none || q->planned_met[i],
			"the plan of request %d says that %s is %s, and nothing comes of it",
			q->number, name_of(r, i), task_state_name(q->plan[i].to));
		must(w, done || !q->met[i] || q->before[i] == r->tasks[i].state,
			"the plan of request %d says nothing of %s", q->number, name_of(r, i));
	}
}

/* What was decided by a rule is not run by it. Which of the two it is was decided by the first of
 * its needs that decided. */
static void check_rules(struct sim *w, const struct trun *r)
{
	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		const struct ttask *t = &r->tasks[i];
		if (!task_state_is_final(t->state) || !reason_is_derived(t->reason))
			continue;
		enum task_state says = truth_verdict(r, i);
		must(w, says == TASK_SKIPPED || says == TASK_UPSTREAM_FAILED,
			"%s is %s (%s), and its rule says %s", name_of(r, i),
			task_state_name(t->state), reason_name(t->reason), task_state_name(says));
	}
}

void asked_end(struct sim *w)
{
	const struct ask *q = w->asking;

	if (!q)
		return;
	for (int i = 0; i < q->run->dag->dag->ntasks; i++)
		must(w, !q->targets[i] || q->met[i], "request %d leaves %s out, which is %s",
			q->number, name_of(q->run, i), task_state_name(q->run->tasks[i].state));
	must(w,
		!cancels_run(q) || run_state_is_final(q->run->state) ||
			q->run->stopping >= (q->hard ? RUN_KILLED : RUN_STOPPED),
		"request %d cancels %s until its process ends", q->number, q->run->name);
	check_plan(w, q);
	check_rules(w, q->run);
	w->asking = NULL;
}

/* ---- the answer ----------------------------------------------------------------------- */

void asked_answer(struct sim *w, struct ask *q, int rc, const struct err *err)
{
	say(w, "somebody", "is answered (%d): %s", q->number, rc >= 0 ? "done" : err->msg);
	q->answered = true;
	if (rc == 0 && q->fuse)
		return; /* it was so already */
	if (rc >= 0) {
		must(w, q->applied, "request %d is answered as done, and was not recorded",
			q->number);
		return;
	}
	must(w, err->msg[0], "request %d is refused without a reason", q->number);
	must(w, !q->applied, "request %d is answered as refused, and was applied: %s", q->number,
		err->msg);
	q->later = err->code == ERR_BUSY;
}
