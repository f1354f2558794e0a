/* What was committed, and nothing else; each change is judged on its way in. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/node.h"
#include "core/sched.h"
#include "tests/lib/trigger_model.h"
#include "tests/sim/sim.h"

struct trun *truth_run(struct sim *w, int64_t id)
{
	for (int i = 0; i < w->nruns; i++)
		if (w->runs[i].id == id)
			return &w->runs[i];
	world_fail(w, "there is no run %" PRId64, id);
}

struct attempt *truth_attempt(struct sim *w, int64_t token)
{
	struct attempt *a;

	HASH_FIND(hh, w->attempts, &token, sizeof token, a);
	return a;
}

static const char *name_of(const struct trun *r, int task)
{
	static char text[96];

	snprintf(text, sizeof text, task < SIM_TASKS ? "%s %s" : "%s %s[%d]", r->name,
		row_def(r, task)->name, row_map_index(task));
	return text;
}

/* ---- runs change hands ---------------------------------------------------------------- */

void truth_opened(
	struct sim *w, struct actor *n, const struct run_open *o, const struct run_opened *opened)
{
	struct trun *r = NULL;

	for (int i = 0; i < w->nruns; i++)
		if (w->runs[i].id == opened->run_id)
			r = &w->runs[i];
	must(w, opened->created == !r, "run %s is %s", o->name, r ? "made twice" : "not made");
	if (!r) {
		must(w, w->nruns < SIM_RUNS, "too many runs");
		r = &w->runs[w->nruns++];
		*r = (struct trun){ .id = opened->run_id,
			.dag = dags_find(w, o->key.dag),
			.start_us = o->key.interval_start_us,
			.end_us = o->key.interval_end_us };
		snprintf(r->name, sizeof r->name, "%s", o->name);
	}
	must(w, opened->epoch > r->epoch, "the epoch of %s does not grow", r->name);
	r->epoch = opened->epoch;
	r->owner = n;
	r->incarnation = n ? n->incarnation : 0;
	r->opened_us = w->now_us;
	if (opened->created)
		w->progress_us = w->now_us;
	r->stopping = o->anew ? 0 : r->stopping;
	r->frozen = false;
	for (int i = 0; i < SIM_ROWS; i++)
		r->tasks[i].frozen = false;
	if (opened->created && strcmp(o->trigger, "schedule") == 0)
		planned_opened(w, r);
	if (n)
		say(w, n->name, "opens %s, epoch %" PRId64, r->name, r->epoch);
}

void truth_closed(struct sim *w, int64_t run_id)
{
	truth_run(w, run_id)->owner = NULL;
}

/* ---- what must follow ----------------------------------------------------------------- */

bool truth_is_failed(enum task_state s)
{
	return s == TASK_FAILED || s == TASK_UPSTREAM_FAILED || s == TASK_CANCELLED;
}

enum task_state truth_verdict(const struct trun *r, int task)
{
	const struct task *t = row_def(r, task);
	enum task_state states[SIM_TASKS];
	const struct model_needs needs = { states, t->nneeds };

	/* Once there is a list its instances are ready; but one done again waits for what the whole
	 * needs, as that is done again. */
	if (task >= SIM_TASKS)
		return r->tasks[r->dag->mapped].state == TASK_DEFERRED
			       ? truth_verdict(r, r->dag->mapped)
			       : TASK_NONE;

	if (t->when)
		return parts_when(r, &dags_task(r, task)->when);
	for (int i = 0; i < t->nneeds; i++) {
		enum task_state s = r->tasks[t->needs[i]].state;
		states[i] = task_state_is_final(s) ? s : TASK_NONE;
	}
	return model_verdict(t->trigger, &needs);
}

/* Once more, in other words than core/retry.c. */
static enum task_state after_failure(const struct retry_policy *p, const struct ttask *t)
{
	int status = t->last->recorded == OUTCOME_FAILED ? t->last->exit_status : -1;

	if (t->last->refused)
		return TASK_UP_FOR_RETRY;
	if (t->last->permanent)
		return TASK_FAILED;
	if (t->last->recorded == OUTCOME_LOST)
		return t->lost <= p->lost_retries ? TASK_UP_FOR_RETRY : TASK_FAILED;
	if (status >= 0 && p->fail_on.bits[0] >> status & 1)
		return TASK_FAILED;
	if (status >= 0 && p->retry_on.given && !(p->retry_on.bits[0] >> status & 1))
		return TASK_FAILED;
	return t->failures <= p->retries ? TASK_UP_FOR_RETRY : TASK_FAILED;
}

/* Behind the end of its attempt. */
static enum task_state after_end(const struct trun *r, int task)
{
	const struct ttask *t = &r->tasks[task];

	switch (t->last->recorded) {
	case OUTCOME_SUCCESS:
		return TASK_SUCCESS;
	case OUTCOME_SKIPPED:
		return TASK_SKIPPED;
	case OUTCOME_CANCELLED:
		return TASK_CANCELLED;
	default:
		return after_failure(&row_def(r, task)->retry, t);
	}
}

/* ---- changes -------------------------------------------------------------------------- */

static void change_run(struct sim *w, struct actor *n, struct trun *r, const struct change *c)
{
	int nopen = 0, nfailed = 0, ncancelled = 0;

	say(w, n->name, "commits: %s is %s (%s)", r->name, run_state_name(c->run.to),
		reason_name(c->reason));
	must(w, c->run.from == r->state, "%s is %s, and goes on from %s", r->name,
		run_state_name(r->state), run_state_name(c->run.from));
	for (int i = 0; i < r->dag->dag->ntasks; i++) {
		bool counts = !r->dag->dag->tasks[i].forgiven;
		nopen += !task_state_is_final(r->tasks[i].state);
		nfailed += counts && truth_is_failed(r->tasks[i].state);
		ncancelled += counts && r->tasks[i].state == TASK_CANCELLED;
	}
	bool asked = w->asking && w->asking->run == r;
	if (run_state_is_final(r->state)) {
		must(w, asked || (r->rerun && c->run.to == RUN_RUNNING), "%s was final", r->name);
		r->cancelling = r->killing = false;
	}
	must(w, asked || c->run.to != RUN_QUEUED, "%s is queued again", r->name);
	must(w, !run_state_is_final(c->run.to) || nopen == 0,
		"%s is %s, and %d of its tasks are not final", r->name, run_state_name(c->run.to),
		nopen);
	must(w, c->run.to != RUN_SUCCESS || nfailed == 0, "%s is a success, and a task failed",
		r->name);
	must(w, c->run.to != RUN_FAILED || nfailed > 0, "%s failed, and none of its tasks did",
		r->name);
	must(w, c->run.to != RUN_CANCELLED || (ncancelled > 0 && r->cancelling),
		"%s is cancelled, and nobody has asked for it", r->name);
	r->state = c->run.to;
	if (r->state == RUN_RUNNING)
		r->since_us = c->at_us;
	if (run_state_is_final(r->state))
		r->ended_us = c->at_us;
	if (r->state == RUN_RUNNING && !r->running_us)
		r->running_us = c->at_us;
	if (r->state == RUN_SUCCESS && !r->done_us)
		r->done_us = c->at_us;
	if (r->state != RUN_QUEUED)
		r->rerun = false;
	if (!run_state_is_final(r->state))
		return;
	must(w, !r->stopping || !ncancelled || r->state == RUN_CANCELLED,
		"%s was being cancelled, and is %s", r->name, run_state_name(r->state));
	r->stopping = 0;
	r->owner = NULL;
	if (asked) /* where nobody had it in hand nobody else tells of it */
		planned_ended(&w->actors[0], r->id);
	parts_check_final(w, r);
}

static void check_retry(struct sim *w, const struct trun *r, int task, const struct change *c)
{
	const struct retry_policy *p = &row_def(r, task)->retry;
	int64_t delay = c->state.due_us - c->at_us;
	int64_t most = r->tasks[task].last->recorded == OUTCOME_LOST ? 60 * SIM_S : p->max_us;

	must(w, delay >= 0 && delay <= most, "%s is tried again in %" PRId64 " us",
		name_of(r, task), delay);
}

static void check_outputs(struct sim *w, const struct trun *r, int task, const struct change *c)
{
	const struct attempt *a = r->tasks[task].last;
	char token[32];

	snprintf(token, sizeof token, "%" PRId64, a->token);
	must(w, !a->writes || (c->state.outputs && strstr(c->state.outputs, token)),
		"the outputs of %s are not kept", name_of(r, task));
}

/* A running task: its attempt has ended, and what comes now follows from that alone. */
static void judge_end(struct sim *w, struct trun *r, int task, const struct change *c)
{
	struct ttask *t = &r->tasks[task];
	enum outcome o = t->last ? t->last->recorded : OUTCOME_NONE;
	bool failure = o == OUTCOME_FAILED || o == OUTCOME_TIMEOUT;

	must(w, t->ended, "%s is %s, and its attempt has not ended", name_of(r, task),
		task_state_name(c->state.to));
	bool cancelled = c->state.to == TASK_CANCELLED && (r->cancelling || t->cancelling) &&
			 o != OUTCOME_SUCCESS && o != OUTCOME_SKIPPED;
	must(w, c->state.to != TASK_UP_FOR_RETRY || !r->stopping || row_def(r, task)->teardown,
		"%s is tried again, and its run is being cancelled", name_of(r, task));
	if (!cancelled) {
		t->lost += o == OUTCOME_LOST && !t->last->refused;
		t->failures += failure;
		must(w, c->state.to == after_end(r, task),
			"%s is %s after an attempt that was %s (%d failures, %d lost), not %s",
			name_of(r, task), task_state_name(c->state.to), outcome_name(o),
			t->failures, t->lost, task_state_name(after_end(r, task)));
	}
	if (c->state.to == TASK_UP_FOR_RETRY)
		check_retry(w, r, task, c);
	if (c->state.to == TASK_SUCCESS) {
		if (task < SIM_TASKS)
			parts_succeeded(r, task);
		check_outputs(w, r, task, c);
		must(w, ++t->nsuccess == 1, "%s succeeds twice", name_of(r, task));
	}
	t->ended = false;
}

static void judge_clear(struct sim *w, struct trun *r, int task, const struct change *c)
{
	struct ttask *t = &r->tasks[task];

	/* What its rule had made of a task that failed is judged anew with it; what ran because all
	 * it needs had succeeded is not. */
	bool judged =
		c->reason == REASON_NEEDS_AGAIN &&
		(t->state != TASK_SUCCESS || row_def(r, task)->trigger != TRIGGER_ALL_SUCCESS ||
			row_def(r, task)->when);
	judged |= c->reason == REASON_SET_UP_AGAIN && t->state == TASK_SUCCESS;
	/* With the whole. */
	bool along = task >= SIM_TASKS && r->tasks[r->dag->mapped].state == TASK_NONE;
	must(w, !along || t->state != TASK_SUCCESS || c->reason != REASON_RERUN_FAILED,
		"%s was done, and is done again with those that failed", name_of(r, task));
	if (task_state_is_final(t->state) && !along)
		must(w,
			r->rerun && (judged || (truth_is_failed(t->state) &&
						       c->reason == REASON_RERUN_FAILED)),
			"%s was %s, and is cleared (%s)", name_of(r, task),
			task_state_name(t->state), reason_name(c->reason));
	t->failures = t->lost = t->nsuccess = 0;
}

static void judge_wait(struct sim *w, struct trun *r, int task, const struct change *c)
{
	enum task_state v = truth_verdict(r, task);

	switch (c->state.to) {
	case TASK_RUNNING:
	case TASK_QUEUED:
	case TASK_HELD:
		must(w, v == TASK_RUNNING, "%s is %s, and its needs are not met", name_of(r, task),
			task_state_name(c->state.to));
		must(w,
			r->tasks[task].state != TASK_UP_FOR_RETRY ||
				c->at_us >= r->tasks[task].due_us,
			"%s is tried again before its time", name_of(r, task));
		break;
	case TASK_SKIPPED:
	case TASK_UPSTREAM_FAILED:
		must(w, v == TASK_SKIPPED || v == TASK_UPSTREAM_FAILED,
			"%s is %s, and its rule says %s", name_of(r, task),
			task_state_name(c->state.to), task_state_name(v));
		break;
	case TASK_CANCELLED:
		must(w, r->cancelling, "%s is cancelled, and nobody has asked for it",
			name_of(r, task));
		break;
	default:
		world_fail(w, "%s goes from %s to %s", name_of(r, task),
			task_state_name(c->state.from), task_state_name(c->state.to));
	}
}

static enum task_state slow_whole(const struct trun *r)
{
	int n[TASK_STATE_MAX] = { 0 };

	for (int i = 0; i < r->nitems; i++) {
		enum task_state s = r->tasks[SIM_TASKS + i].state;
		if (!task_state_is_final(s))
			return TASK_DEFERRED;
		n[s]++;
	}
	return n[TASK_CANCELLED]              ? TASK_CANCELLED
	       : n[TASK_FAILED]               ? TASK_FAILED
	       : n[TASK_SKIPPED] == r->nitems ? TASK_SKIPPED
					      : TASK_SUCCESS;
}

/* A mapped task as a whole: it waits for its needs, and then for its instances. False: it is judged
 * as any other. */
static bool judge_whole(struct sim *w, struct trun *r, int task, const struct change *c)
{
	struct ttask *t = &r->tasks[task];

	if (task != r->dag->mapped || (t->state != TASK_DEFERRED && c->state.to != TASK_DEFERRED))
		return false;
	if (c->state.to == TASK_DEFERRED && task_state_is_final(t->state))
		must(w, r->rerun && truth_is_failed(t->state), "%s goes on, and was %s",
			name_of(r, task), task_state_name(t->state));
	else if (c->state.to == TASK_DEFERRED)
		must(w,
			truth_verdict(r, task) == TASK_RUNNING &&
				(size_t)r->nitems == r->dag->foreach.items->n,
			"%s has a list, and its needs are not met", name_of(r, task));
	else
		must(w, c->state.to == slow_whole(r), "%s is %s, and its instances say %s",
			name_of(r, task), task_state_name(c->state.to),
			task_state_name(slow_whole(r)));
	t->nsuccess = c->state.to == TASK_SUCCESS;
	return true;
}

static void change_item(struct sim *w, struct actor *n, struct trun *r, const struct change *c)
{
	char want[16];

	snprintf(want, sizeof want, "\"i%d\"", c->map_index);
	must(w, c->map_index <= r->nitems && c->map_index < SIM_ITEMS && strcmp(c->item, want) == 0,
		"%s has item %d, %s", r->name, c->map_index, c->item);
	must(w, r->tasks[SIM_TASKS + c->map_index].state == TASK_NONE, "%s has begun",
		name_of(r, SIM_TASKS + c->map_index));
	r->nitems += c->map_index == r->nitems;
	say(w, n->name, "commits: there is %s", name_of(r, SIM_TASKS + c->map_index));
}

static void change_task(
	struct sim *w, struct actor *n, struct trun *r, int task, const struct change *c)
{
	struct ttask *t = &r->tasks[task];

	say(w, n->name, "commits: %s is %s (%s)", name_of(r, task), task_state_name(c->state.to),
		reason_name(c->reason));
	must(w, c->state.from == t->state, "%s is %s, and goes on from %s", name_of(r, task),
		task_state_name(t->state), task_state_name(c->state.from));
	if (asked_change(w, r, task, c) || judge_whole(w, r, task, c))
		;
	else if (c->state.to == TASK_NONE)
		judge_clear(w, r, task, c);
	else if (task_state_is_final(t->state))
		world_fail(w, "%s was %s, and becomes %s", name_of(r, task),
			task_state_name(t->state), task_state_name(c->state.to));
	else if (t->state == TASK_RUNNING)
		judge_end(w, r, task, c);
	else if (!parts_change(w, r, task, c))
		judge_wait(w, r, task, c);
	must(w, c->state.failures == t->failures && c->state.lost == t->lost,
		"%s counts %d failures and %d lost, not %d and %d", name_of(r, task),
		c->state.failures, c->state.lost, t->failures, t->lost);
	t->let_go = t->state == TASK_HELD && t->reason == REASON_BREAKER_OPEN && !r->was_held;
	t->state = c->state.to;
	t->reason = c->reason;
	if ((t->state == TASK_SUCCESS || t->state == TASK_SKIPPED) && !t->done_us)
		t->done_us = c->at_us;
	t->left_out = false;
	t->cancelling |= t->state == TASK_CANCELLED && r->killing;
	t->due_us = c->state.due_us;
	if (t->state == TASK_RUNNING)
		t->tries++;
	must(w, c->state.tries == t->tries, "%s counts %d tries, not %d", name_of(r, task),
		c->state.tries, t->tries);
	incidents_note(w, r, task, c);
	asked_note(w, r, task, c);
}

static int slots_of(const struct task *t)
{
	return t->slots > 1 ? t->slots : 1;
}

static bool same_pool(const struct task *a, const struct task *b)
{
	return a->pool && b->pool && strcmp(a->pool, b->pool) == 0;
}

struct use truth_use(struct sim *w, const struct actor *n, const struct trun *r, int task)
{
	const struct task *mine = row_def(r, task);
	struct use use = { 0 };
	struct task_view view;

	for (int i = 0; i < w->nruns; i++) {
		const struct trun *o = &w->runs[i];
		if (o->owner != n || !sched_task_view(n->engine->sched, o->id, 0, &view))
			continue;
		for (int t = 0; t < row_end(o); t = row_next(o, t)) {
			const struct task *def = row_def(o, t);
			if (def->waits || !o->tasks[t].last ||
				o->tasks[t].last->recorded != OUTCOME_NONE)
				continue;
			use.lane += o->dag->lane == r->dag->lane;
			use.dag += o->dag == r->dag;
			use.pool += same_pool(def, mine) ? slots_of(def) : 0;
			use.mapping += o == r && t >= SIM_TASKS && task >= SIM_TASKS;
		}
	}
	return use;
}

const char *truth_limit(const struct sim *w, const struct trun *r, int task, struct use use)
{
	const struct dag *dag = r->dag->dag;
	const struct task *t = row_def(r, task);

	if (t->waits)
		return NULL;
	if (use.lane >= (r->dag->lane ? w->lane_max : w->max_running))
		return "its lane";
	if (dag->max_active_tasks && use.dag >= dag->max_active_tasks)
		return "max_active_tasks";
	if (t->pool && use.pool + slots_of(t) > w->pools[t->pool[1] - '0'])
		return "its pool";
	if (t->foreach && t->foreach->max_active && use.mapping >= t->foreach->max_active)
		return "its mapping";
	return NULL;
}

static void change_start(
	struct sim *w, struct actor *n, struct trun *r, int task, const struct change *c)
{
	struct ttask *t = &r->tasks[task];
	struct attempt *a = calloc(1, sizeof *a);
	const char *full = truth_limit(w, r, task, truth_use(w, n, r, task));

	must(w, a, "no memory");
	must(w, !full, "%s starts, and %s is full", name_of(r, task), full);
	must(w, t->state == TASK_RUNNING && c->attempt.try == t->tries, "%s starts as try %d",
		name_of(r, task), c->attempt.try);
	must(w, c->attempt.token > t->token && !truth_attempt(w, c->attempt.token),
		"%s starts with a token that is not new", name_of(r, task));
	must(w, !t->last || t->last->recorded != OUTCOME_NONE,
		"%s starts while an attempt is in flight", name_of(r, task));
	parts_start(w, r, task);
	must(w, task >= SIM_TASKS || !row_def(r, task)->foreach, "%s starts as a whole",
		name_of(r, task));
	must(w, !r->frozen && !t->frozen && (task < SIM_TASKS || !r->tasks[r->dag->mapped].frozen),
		"%s starts while it is held", name_of(r, task));
	*a = (struct attempt){ .token = c->attempt.token,
		.epoch = r->epoch,
		.run = r,
		.task = task,
		.try = c->attempt.try,
		.began_us = c->at_us,
		.since_us = w->now_us };
	HASH_ADD(hh, w->attempts, token, sizeof a->token, a);
	a->incarnation = n->incarnation;
	fuses_start(w, a, c);
	struct ttask *whole = &r->tasks[row_def(r, task)->index];
	whole->first_us = whole->first_us ? whole->first_us : c->at_us;
	whole->first = whole->first ? whole->first : a;
	r->first_us = r->first_us ? r->first_us : c->at_us;
	t->token = a->token;
	t->last = a;
	t->cancelling = false;
}

static void judge_outcome(struct sim *w, struct attempt *a, const struct change *c)
{
	const struct trun *r = a->run;
	enum outcome o = c->attempt.outcome;

	if (dags_task(r, a->task)->part != PART_COMMAND) {
		parts_outcome(w, a, c);
		return;
	}
	if (o == OUTCOME_LOST) {
		must(w, a->body != BODY_RUNS && a->body != BODY_STRAY,
			"%s is taken for lost, and runs", name_of(r, a->task));
		must(w, a->body != BODY_ENDED || a->forgotten || a->real == OUTCOME_LOST,
			"the end of %s (%s) is lost", name_of(r, a->task), outcome_name(a->real));
		return;
	}
	must(w, a->body == BODY_ENDED && a->real == o, "%s is recorded as %s, and %s",
		name_of(r, a->task), outcome_name(o),
		a->body == BODY_ENDED ? outcome_name(a->real) : "has not ended");
	must(w, c->attempt.exit_status == a->exit_status,
		"%s is recorded with status %d, and ended with %d", name_of(r, a->task),
		c->attempt.exit_status, a->exit_status);
	must(w, o != OUTCOME_CANCELLED || r->cancelling || r->tasks[a->task].cancelling,
		"%s is recorded as cancelled, and nobody has asked for that", name_of(r, a->task));
}

/* It never began, and somebody says why. */
static bool is_refusal(const char *error)
{
	return error && (strstr(error, "resource unavailable") ||
				strstr(error, "before it began") || strstr(error, "simulated: "));
}

static void change_end(
	struct sim *w, struct actor *n, struct trun *r, int task, const struct change *c)
{
	struct attempt *a = truth_attempt(w, c->attempt.token);

	must(w, a && a->run == r && a->task == task, "%s ends with a token of another",
		name_of(r, task));
	say(w, n->name, "commits: try %d of %s was %s%s%s", a->try, name_of(r, task),
		outcome_name(c->attempt.outcome), c->attempt.error ? ": " : "",
		c->attempt.error ? c->attempt.error : "");
	must(w, a->recorded == OUTCOME_NONE, "%s ends twice", name_of(r, task));
	judge_outcome(w, a, c);
	a->recorded = c->attempt.outcome;
	a->ended_us = c->at_us;
	if (r->tasks[row_def(r, task)->index].first == a)
		r->tasks[row_def(r, task)->index].real_us = c->attempt.started_us;
	a->refused = a->recorded == OUTCOME_LOST && is_refusal(c->attempt.error);
	r->tasks[task].ended = true;
	fuses_end(w, a, c);
}

static void apply(struct sim *w, struct actor *n, const struct change *c)
{
	if (c->kind == CHANGE_BREAKER) {
		fuses_change(w, n, c);
		return;
	}
	struct trun *r = truth_run(w, c->run_id);
	const struct task *t = c->task ? dag_find(r->dag->dag, c->task) : NULL;
	int row = !t ? -1 : c->map_index < 0 ? t->index : SIM_TASKS + c->map_index;

	switch (c->kind) {
	case CHANGE_RUN:
		change_run(w, n, r, c);
		break;
	case CHANGE_TASK:
		change_task(w, n, r, row, c);
		break;
	case CHANGE_START:
		change_start(w, n, r, row, c);
		break;
	case CHANGE_END:
		change_end(w, n, r, row, c);
		break;
	case CHANGE_CANCEL:
		must(w, r->cancelling, "%s is being cancelled, and nobody has asked for it",
			r->name);
		say(w, n->name, "commits: %s is being cancelled", r->name);
		if (r->stopping < (c->attempt.hard ? RUN_KILLED : RUN_STOPPED))
			r->stopping = c->attempt.hard ? RUN_KILLED : RUN_STOPPED;
		break;
	case CHANGE_STOP:
		asked_note(w, r, row, c);
		break;
	case CHANGE_ITEM:
		change_item(w, n, r, c);
		break;
	default:
		break;
	}
}

void truth_commit(struct sim *w, struct actor *n, const struct store_batch *b)
{
	for (size_t i = 0; i < b->nleases; i++) {
		const struct trun *r = truth_run(w, b->leases[i].run_id);
		must(w, b->leases[i].epoch == r->epoch, "%s commits %s under an epoch that is over",
			n->name, r->name);
	}
	asked_begin(w, b);
	for (size_t i = 0; i < b->nbreakers; i++)
		fuses_put(w, &b->breakers[i]);
	for (size_t i = 0; i < b->nchanges; i++) {
		const struct change *c = &b->changes[i];
		struct trun *r = c->kind == CHANGE_BREAKER ? NULL : truth_run(w, c->run_id);
		must(w, !r || r->owner == n || run_state_is_final(r->state),
			"%s commits %s, which is not its own", n->name, r->name);
		apply(w, n, c);
	}
	asked_end(w);
	fuses_check(w);
	outbox_commit(w, b);
	if (b->slas)
		slas_commit(w, n, b->slas);
	for (size_t i = 0; i < b->nchanges; i++)
		if (b->changes[i].kind != CHANGE_BREAKER)
			truth_run(w, b->changes[i].run_id)->ncommits++;
	for (size_t i = 0; i < b->nleases; i++)
		parts_end(w, truth_run(w, b->leases[i].run_id));
	w->commits += b->nchanges > 0;
	if (b->nchanges > 0)
		w->progress_us = w->now_us;
}

/* ---- starts --------------------------------------------------------------------------- */

void truth_started(struct sim *w, const struct attempt *a, int64_t epoch)
{
	const struct ttask *t = &a->run->tasks[a->task];
	const struct attempt *other, *next;

	must(w, a->recorded == OUTCOME_NONE, "%s is started, and was settled as %s before",
		name_of(a->run, a->task), outcome_name(a->recorded));
	must(w, t->last == a && t->state == TASK_RUNNING, "%s is started, and is %s",
		name_of(a->run, a->task), task_state_name(t->state));
	must(w, epoch == a->epoch, "%s is started under another epoch than it was committed",
		name_of(a->run, a->task));
	for (other = w->attempts; other; other = next) {
		next = other->hh.next;
		must(w,
			other == a || other->run != a->run || other->task != a->task ||
				(other->body != BODY_RUNS && other->body != BODY_STRAY),
			"%s is started while try %d of it runs", name_of(a->run, a->task),
			other->try);
	}
}

void truth_release(struct sim *w)
{
	struct attempt *a, *next;

	HASH_ITER (hh, w->attempts, a, next) {
		HASH_DEL(w->attempts, a);
		free(a);
	}
}
