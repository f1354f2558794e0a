/* Invariants: after each step, where a process has come to rest, and at the end. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "core/sched.h"
#include "tests/sim/sim.h"

#define STUCK_US (10 * 3600 * SIM_S) /* a lease ends later when the clock is set back, by hours */
#define QUIET_US (4 * 60 * SIM_S)    /* longer than anything takes but leases and retries */
#define NOTICE_US (25 * SIM_S)

static const char *name_of(const struct trun *r, int task)
{
	static char text[96];

	snprintf(text, sizeof text, task < SIM_TASKS ? "%s %s" : "%s %s[%d]", r->name,
		row_def(r, task)->name, row_map_index(task));
	return text;
}

/* ---- what a scheduler knows, and what it should --------------------------------------- */

static void check_view(struct sim *w, const struct actor *n, const struct trun *r, int task)
{
	const struct ttask *t = &r->tasks[task];
	struct task_view v;
	int live = sched_find_task(
		n->engine->sched, r->id, row_def(r, task)->index, row_map_index(task));

	must(w, sched_task_view(n->engine->sched, r->id, live, &v), "%s has forgotten %s", n->name,
		r->name);
	must(w, v.state == t->state, "%s takes %s for %s, and it is %s", n->name, name_of(r, task),
		task_state_name(v.state), task_state_name(t->state));
	must(w, v.tries == t->tries && v.failures == t->failures && v.lost == t->lost,
		"%s counts the tries of %s otherwise", n->name, name_of(r, task));
	must(w, t->state != TASK_RUNNING || v.token == t->token,
		"%s takes another attempt of %s for the one in flight", n->name, name_of(r, task));
}

/* With some patience: looking at the clock moves it on. */
static int64_t later(int64_t a, int64_t b)
{
	return (a > b ? a : b) + SIM_MS;
}

/* Something that waits waits for something. */
static void check_wait(struct sim *w, const struct actor *n, const struct trun *r, int task)
{
	const struct ttask *t = &r->tasks[task];
	int64_t wake = engine_wake_us(n->engine), now = world_wall(w);

	if (t->state == TASK_NONE)
		must(w, truth_verdict(r, task) == TASK_NONE, "%s is ready, and %s has not heard",
			name_of(r, task), n->name);
	if (t->state == TASK_UP_FOR_RETRY)
		must(w, wake <= later(t->due_us, now),
			"%s is to be tried again, and %s sleeps longer", name_of(r, task), n->name);
	/* Of an instant it is known when to look; for all else it is looked at now and then. What
	 * the store refused when it was due is tried again by a clock that may be set back then. */
	const struct sim_task *part = dags_task(r, task);
	int64_t again =
		part->part == PART_TIME ? part->there_us : later(now, w->latest_us) + 22 * SIM_S;
	wake = task_state_waits(t->state) ? sched_wake_us(n->engine->sched) : wake;
	if (task_state_waits(t->state) && !r->held && !t->held && task != r->dag->mapped)
		must(w,
			wake <= later(again, now) + SIM_S &&
				(!t->due_us ||
					wake <= later(later(t->due_us, w->latest_us), now) + SIM_S),
			"%s waits, and %s sleeps longer", name_of(r, task), n->name);
	if (t->state == TASK_HELD && !row_held(r, task))
		fuses_check_held(w, n, r, task);
}

/* Is a task that needs more slots of the same pool waiting, for which places are kept free? */
static bool stands_behind(const struct sim *w, const struct actor *n, const struct task *t)
{
	for (int i = 0; t->pool && i < w->nruns; i++) {
		const struct trun *r = &w->runs[i];
		for (int k = 0; r->owner == n && k < row_end(r); k = row_next(r, k)) {
			const struct task *other = row_def(r, k);
			if (r->tasks[k].state == TASK_QUEUED && other->pool &&
				strcmp(other->pool, t->pool) == 0 && other->slots > t->slots)
				return true;
		}
	}
	return false;
}

/* What waits for a slot finds none. */
static void check_queued(struct sim *w, const struct actor *n, const struct trun *r, int task)
{
	if (r->tasks[task].state != TASK_QUEUED || row_held(r, task) ||
		stands_behind(w, n, row_def(r, task)))
		return;
	must(w, truth_limit(w, r, task, truth_use(w, n, r, task)),
		"%s waits for a slot, and there is one", name_of(r, task));
}

/* It has done all that could be done: what is here is what its scheduler wants. */
static bool at_rest(const struct actor *n)
{
	size_t nchanges;

	if (n->status != ACTOR_IDLE || !n->begun || n->leaving || n->work ||
		n->engine->retry_us != 0 || n->engine->failed)
		return false;
	sched_changes(n->engine->sched, &nchanges);
	return nchanges == 0;
}

/* A run has passed on to another: it finds out when it renews its leases, if not before. */
static void check_lost(struct sim *w, const struct actor *n, const struct trun *r)
{
	int64_t long_ago = w->now_us - NOTICE_US;

	must(w,
		n->awake_us > long_ago || r->opened_us > long_ago || w->store_down_us > long_ago ||
			w->flaky_us > long_ago || w->stall_us > long_ago,
		"%s has not noticed that %s is not its own any more", n->name, r->name);
}

static void check_actor(struct sim *w, const struct actor *n)
{
	const struct active_run *a;

	for (a = n->engine->runs; a; a = a->hh.next) {
		const struct trun *r = truth_run(w, a->id);
		if (a->epoch == r->epoch)
			continue;
		check_lost(w, n, r);
		return;
	}
	for (a = n->engine->runs; a; a = a->hh.next) {
		const struct trun *r = truth_run(w, a->id);
		for (int t = 0; t < row_end(r); t = row_next(r, t)) {
			check_view(w, n, r, t);
			if (r->cancelling)
				continue;
			check_queued(w, n, r, t);
			check_wait(w, n, r, t);
		}
	}
}

/* Something is on its way: a task runs, a retry is due at a time to come, a lease is waited for. */
static bool is_under_way(const struct sim *w)
{
	const struct attempt *a;

	if (!outbox_done(w))
		return true;
	for (a = w->attempts; a; a = a->hh.next)
		if (a->body == BODY_RUNS || a->since_us > w->now_us - QUIET_US)
			return true;
	for (int i = 0; i < w->nactors; i++)
		if (w->actors[i].status != ACTOR_IDLE || planned_due_us(&w->actors[i]) != INT64_MAX)
			return true;
	for (int i = 0; i < w->nruns; i++) {
		const struct trun *r = &w->runs[i];
		if (r->owner && (r->owner->incarnation != r->incarnation || r->owner->is_person))
			return true;
		for (int t = 0; t < row_end(r); t = row_next(r, t))
			if (r->tasks[t].due_us > world_wall(w) - SIM_S ||
				(r->tasks[t].state == TASK_DEFERRED &&
					dags_task(r, t)->there_us > world_wall(w) - 60 * SIM_S))
				return true;
	}
	return false;
}

static void check_progress(struct sim *w)
{
	int64_t quiet_us = w->now_us - w->progress_us;

	if (!w->calmed || w->now_us - w->calm_us < QUIET_US || quiet_us < QUIET_US)
		return;
	if (quiet_us > STUCK_US || (!is_under_way(w) && !check_done(w)))
		check_stuck(w);
}

void check_step(struct sim *w)
{
	for (int i = 0; i < w->nactors; i++)
		if (at_rest(&w->actors[i]))
			check_actor(w, &w->actors[i]);
	if (at_rest(&w->actors[0]))
		slas_check(w, &w->actors[0]);
	check_progress(w);
}

/* ---- the end -------------------------------------------------------------------------- */

bool check_done(const struct sim *w)
{
	for (int i = 0; i < w->norders; i++)
		if (!w->orders[i].done)
			return false;
	for (int i = 0; i < w->nruns; i++)
		if (!run_state_is_final(w->runs[i].state) || w->runs[i].rerun)
			return false;
	return planned_done(w) && slas_done(w) && outbox_done(w);
}

void check_stuck(struct sim *w)
{
	for (int i = 0; i < w->nruns; i++) {
		const struct trun *r = &w->runs[i];
		if (run_state_is_final(r->state))
			continue;
		for (int t = 0; t < r->dag->dag->ntasks; t++)
			if (!task_state_is_final(r->tasks[t].state) &&
				truth_verdict(r, t) != TASK_NONE)
				world_fail(w, "%s is stuck: %s is %s, its owner is %s", r->name,
					r->dag->dag->tasks[t].name,
					task_state_name(r->tasks[t].state),
					r->owner ? r->owner->name : "nobody");
		world_fail(w, "%s is stuck: it is %s", r->name, run_state_name(r->state));
	}
	world_fail(w, "it does not come to an end");
}

static void compare_tasks(struct sim *w, const struct trun *r)
{
	struct store_result rows = { 0 };
	struct err err = { 0 };

	must(w, store_tasks(w->base, r->id, &rows, &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < rows.n; i++) {
		const struct task_row *row = &rows.tasks[i];
		int task = row->map_index < 0 ? dag_find(r->dag->dag, row->name)->index
					      : SIM_TASKS + row->map_index;
		const struct ttask *t = &r->tasks[task];
		must(w,
			row->state == t->state && row->tries == t->tries && row->lost == t->lost &&
				row->failures == t->failures && row->token == t->token,
			"the store has another state of %s than was committed", name_of(r, task));
		must(w, t->state != TASK_SUCCESS || t->nsuccess == 1, "%s is a success without one",
			name_of(r, task));
	}
	store_result_release(&rows);
}

static void compare_attempts(struct sim *w, const struct trun *r)
{
	struct store_result rows = { 0 };
	struct err err = { 0 };

	must(w, store_attempts(w->base, r->id, NULL, &rows, &err) == 0, "%s", err.msg);
	for (size_t i = 0; i < rows.n; i++) {
		const struct attempt *a = truth_attempt(w, rows.attempts[i].token);
		must(w, a && a->recorded == rows.attempts[i].outcome && a->recorded != OUTCOME_NONE,
			"the store has another outcome of %s than was committed",
			rows.attempts[i].task);
	}
	store_result_release(&rows);
}

/* One record of each request that was applied. */
static void compare_audits(struct sim *w, const struct trun *r)
{
	struct store_result rows = { 0 };
	struct err err = { 0 };
	size_t n = 0;

	must(w, store_audits(w->base, r->id, &rows, &err) == 0, "%s", err.msg);
	for (int i = 0; i < w->nasks; i++)
		n += w->asks[i].run == r && w->asks[i].applied && !w->asks[i].fuse;
	must(w, rows.n == n, "the store has records of %zu requests to %s, not %zu", rows.n,
		r->name, n);
	for (size_t i = 0; i < rows.n; i++)
		must(w, rows.audits[i].who && strcmp(rows.audits[i].who, "somebody@sim") == 0,
			"a request to %s is recorded as nobody's", r->name);
	store_result_release(&rows);
}

void check_end(struct sim *w)
{
	const struct attempt *a;

	for (int i = 0; i < w->nruns; i++) {
		compare_tasks(w, &w->runs[i]);
		compare_attempts(w, &w->runs[i]);
		compare_audits(w, &w->runs[i]);
	}
	planned_check_end(w);
	slas_check_end(w);
	incidents_check_end(w);
	outbox_check_end(w);
	for (a = w->attempts; a; a = a->hh.next)
		must(w, a->body != BODY_RUNS && a->body != BODY_STRAY,
			"all is done, and an attempt of %s still runs", name_of(a->run, a->task));
}
