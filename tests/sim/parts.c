/* Tasks that wait, choose, take down or are not to run: what may become of them. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "tests/sim/sim.h"

static const char *name_of(const struct trun *r, int task)
{
	static char text[96];

	snprintf(text, sizeof text, task < SIM_TASKS ? "%s %s" : "%s %s[%d]", r->name,
		row_def(r, task)->name, row_map_index(task));
	return text;
}

static bool is_in(enum task_state state, const enum task_state *list, int n)
{
	while (n > 0 && list[n - 1] != state)
		n--;
	return n > 0;
}

/* ---- `when` --------------------------------------------------------------------------- */

/* 1, 0, or -1: not known yet. */
static int judge_term(const struct trun *r, const struct sim_term *term)
{
	enum task_state state = r->tasks[term->task].state;

	if (!task_state_is_final(state))
		return -1;
	return (term->state == TASK_NONE || state == term->state) != term->not ;
}

static int both(int a, int b)
{
	return a == 0 || b == 0 ? 0 : a == 1 && b == 1 ? 1 : -1;
}

enum task_state parts_when(const struct trun *r, const struct sim_when *when)
{
	int v[3];

	for (int i = 0; i < 3; i++)
		v[i] = i < when->n ? judge_term(r, &when->terms[i]) : -2;
	int said = when->n > 1 ? both(v[0], v[1]) : v[0];
	if (when->n > 2) /* not (not a and not b) */
		said = both(said < 0 ? -1 : !said, v[2] < 0 ? -1 : !v[2]);
	if (when->n > 2 && said >= 0)
		said = !said;
	return said < 0 ? TASK_NONE : said ? TASK_RUNNING : TASK_SKIPPED;
}

/* ---- waiting -------------------------------------------------------------------------- */

void truth_decided(struct sim *w, const struct approval_put *put)
{
	struct trun *r = truth_run(w, put->run_id);
	int task = dag_find(r->dag->dag, put->task)->index, number;
	const struct sim_task *part = dags_task(r, task);
	struct ttask *t = &r->tasks[task];
	const char *ask = strstr(put->decision, "ask ");

	say(w, "store", "has it that %s is %s", name_of(r, task),
		put->approved ? "approved" : "rejected");
	must(w, part->part == PART_APPROVAL && t->state == TASK_AWAITING_INPUT,
		"%s is decided, and is %s", name_of(r, task), task_state_name(t->state));
	must(w, t->decision == DECISION_NONE, "%s is decided twice", name_of(r, task));
	t->decision = put->approved ? DECISION_YES : DECISION_NO;
	if (ask && sscanf(ask, "ask %d.", &number) == 1) {
		struct ask *q = &w->asks[number - 1];
		must(w,
			!q->applied && !q->answered && q->tasks[0] == task &&
				q->approves == put->approved,
			"request %d is another decision", number);
		q->applied = true;
		return;
	}
	must(w, t->due_us && put->now_us >= t->due_us, "%s is decided by the time too early",
		name_of(r, task));
	must(w, put->approved == part->default_approves, "%s is decided by the time, and wrongly",
		name_of(r, task));
}

static void begin_wait(struct sim *w, struct trun *r, int task, const struct change *c)
{
	const struct sim_task *part = dags_task(r, task);
	struct ttask *t = &r->tasks[task];
	bool input = part->part == PART_APPROVAL;

	must(w,
		c->state.to == (input ? TASK_AWAITING_INPUT : TASK_DEFERRED) &&
			row_def(r, task)->waits,
		"%s is %s, and does not wait", name_of(r, task), task_state_name(c->state.to));
	must(w, truth_verdict(r, task) == TASK_RUNNING && !part->never,
		"%s waits, and is not to run", name_of(r, task));
	/* A little passes between the look and the answer. */
	int64_t due = part->timeout_us ? c->at_us + part->timeout_us : 0;
	must(w, c->state.due_us == due, "%s waits until %" PRId64 ", not %" PRId64,
		name_of(r, task), c->state.due_us, due);
	t->decision = DECISION_NONE;
}

static void end_wait(struct sim *w, struct trun *r, int task, const struct change *c)
{
	const struct sim_task *part = dags_task(r, task);
	const struct ttask *t = &r->tasks[task];

	must(w, t->due_us && c->at_us >= t->due_us, "%s has waited too long too early",
		name_of(r, task));
	must(w, task_state_waits(t->state) && part->part != PART_APPROVAL,
		"%s was %s, and has waited too long", name_of(r, task), task_state_name(t->state));
	must(w, c->state.to == (part->late_skips ? TASK_SKIPPED : TASK_FAILED),
		"%s has waited too long, and is %s", name_of(r, task),
		task_state_name(c->state.to));
}

/* ---- changes -------------------------------------------------------------------------- */

static void judge_left_out(struct sim *w, struct trun *r, int task)
{
	struct ttask *t = &r->tasks[task];

	must(w, t->left_out, "%s is skipped, and no choice leaves it out", name_of(r, task));
}

bool parts_change(struct sim *w, struct trun *r, int task, const struct change *c)
{
	const struct sim_task *part = dags_task(r, task);

	switch (c->reason) {
	case REASON_WAITING:
	case REASON_AWAITING_INPUT:
		begin_wait(w, r, task, c);
		return true;
	case REASON_WAIT_TIMED_OUT:
		end_wait(w, r, task, c);
		return true;
	case REASON_REJECTED:
		must(w,
			c->state.to == TASK_SKIPPED && part->reject_skips &&
				r->tasks[task].decision == DECISION_NO,
			"%s is rejected by nobody", name_of(r, task));
		return true;
	case REASON_CONDITION_FALSE:
		must(w,
			c->state.to == TASK_SKIPPED && part->never &&
				truth_verdict(r, task) == TASK_RUNNING,
			"%s is skipped for its condition", name_of(r, task));
		return true;
	case REASON_BREAKER_OPEN:
		fuses_stop(w, r, task, c);
		return true;
	case REASON_NOT_CHOSEN:
		judge_left_out(w, r, task);
		return true;
	default:
		must(w, !task_state_waits(c->state.to), "%s waits (%s)", name_of(r, task),
			reason_name(c->reason));
		return false;
	}
}

void parts_start(struct sim *w, const struct trun *r, int task)
{
	const struct sim_task *part = dags_task(r, task);
	const struct task *def = row_def(r, task);

	must(w, !part->never, "%s starts, and its condition is false", name_of(r, task));
	must(w, part->part != PART_APPROVAL || r->tasks[task].decision != DECISION_NONE,
		"%s goes on, and nobody has decided", name_of(r, task));
	must(w, (part->part != PART_FILE && part->part != PART_TIME) || dags_is_there(w, part),
		"%s goes on, and what it waits for is not there", name_of(r, task));
	must(w, !r->stopping || (def->teardown && r->stopping < RUN_KILLED),
		"%s starts, and its run is being cancelled", name_of(r, task));
}

/* A choice is made: who is left out is skipped with it, unless it began before. */
void parts_succeeded(const struct trun *r, int task)
{
	static const enum task_state before[] = { TASK_NONE, TASK_SCHEDULED, TASK_QUEUED,
		TASK_HELD };

	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		struct ttask *t = (struct ttask *)&r->tasks[i];
		if (dags_leaves_out(r->dag, task, i) && is_in(t->state, before, 4))
			t->left_out = true;
	}
}

void parts_end(struct sim *w, struct trun *r)
{
	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		must(w, !r->tasks[i].left_out, "%s is not chosen, and is not skipped",
			name_of(r, i));
		r->tasks[i].left_out = false;
	}
}

/* ---- attempts of tasks that take no process ------------------------------------------- */

void parts_outcome(struct sim *w, struct attempt *a, const struct change *c)
{
	const struct trun *r = a->run;
	const struct sim_task *part = dags_task(r, a->task);
	bool no = part->part == PART_APPROVAL && r->tasks[a->task].decision == DECISION_NO;

	switch (c->attempt.outcome) {
	case OUTCOME_SUCCESS:
		must(w, !no, "%s is rejected, and succeeds", name_of(r, a->task));
		break;
	case OUTCOME_FAILED:
		must(w, no && !part->reject_skips && strstr(c->attempt.error, "rejected by"),
			"%s fails: %s", name_of(r, a->task), c->attempt.error);
		a->permanent = true;
		break;
	case OUTCOME_CANCELLED:
		must(w, r->cancelling || r->tasks[a->task].cancelling, "%s is cancelled by nobody",
			name_of(r, a->task));
		break;
	default:
		must(w, c->attempt.outcome == OUTCOME_LOST, "%s is %s", name_of(r, a->task),
			outcome_name(c->attempt.outcome));
	}
	a->body = BODY_ENDED;
	a->real = c->attempt.outcome;
	a->exit_status = c->attempt.exit_status;
	a->since_us = w->now_us;
}

/* ---- teardowns ------------------------------------------------------------------------ */

/* One that is mapped begins with its list. */
static bool has_begun(const struct trun *r, int task)
{
	const struct ttask *t = &r->tasks[task];

	if (task != r->dag->mapped)
		return t->tries > 0;
	for (int i = 0; task_state_is_final(t->state) && i < r->nitems; i++)
		if (r->tasks[SIM_TASKS + i].state != TASK_NONE)
			return true;
	return t->state == TASK_DEFERRED;
}

bool parts_outlives(const struct trun *r, int task)
{
	const struct task *def = &r->dag->dag->tasks[task];
	const int *setups = def->nsetups ? def->setups : def->needs;
	int n = def->nsetups ? def->nsetups : def->nneeds;

	for (int i = 0; def->teardown && i < n; i++) {
		const struct ttask *t = &r->tasks[setups[i]];
		if (has_begun(r, setups[i]) ||
			(!task_state_is_final(t->state) && parts_outlives(r, setups[i])))
			return true;
	}
	return false;
}

/* What was set up is taken down before the run ends, unless it was told not to be. */
void parts_check_final(struct sim *w, const struct trun *r)
{
	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		const struct ttask *t = &r->tasks[i];
		if (!r->dag->dag->tasks[i].teardown || r->killing || t->cancelling)
			continue;
		must(w, t->state != TASK_CANCELLED || !parts_outlives(r, i),
			"%s is cancelled, and takes down what was begun", name_of(r, i));
		must(w, !reason_is_derived(t->reason), "%s is %s (%s), and takes down",
			name_of(r, i), task_state_name(t->state), reason_name(t->reason));
	}
}
