/* What people ask for: done again, marked, skipped, cancelled. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "core/request.h"
#include "core/sched_impl.h"

#define BIT(state) (1u << (state))

enum { NAME_ROOM = 512 };

enum {
	FAILED = BIT(TASK_FAILED) | BIT(TASK_UPSTREAM_FAILED) | BIT(TASK_CANCELLED),
	FINAL = FAILED | BIT(TASK_SUCCESS) | BIT(TASK_SKIPPED),
	RUNNING = BIT(TASK_RUNNING),
	ALL = BIT(TASK_STATE_MAX) - 1,
	AGAIN = FINAL | BIT(TASK_UP_FOR_RETRY)
};

static const struct verb_row {
	const char *name;
	unsigned states; /* of the tasks it is for */
	const char *whom;
} verbs[] = {
	[REQUEST_RETRY] = { "retry", AGAIN, "has ended or waits for its next try" },
	[REQUEST_CLEAR] = { "clear", AGAIN, "has ended or waits for its next try" },
	[REQUEST_MARK] = { "mark", ALL & ~RUNNING, "does not run" },
	[REQUEST_SKIP] = { "skip", ALL & ~FINAL & ~RUNNING, "has not ended and does not run" },
	[REQUEST_CANCEL] = { "cancel", ALL & ~FINAL, "has not ended" },
	[REQUEST_END_RETRIES] = { "end-retries", BIT(TASK_UP_FOR_RETRY), "waits for its next try" },
	[REQUEST_SET_OUTPUT] = { "set-output", BIT(TASK_SUCCESS), "succeeded" },
};
static_assert(sizeof verbs / sizeof *verbs == REQUEST_MAX, "a row for each verb");

const char *request_name(enum request_verb v)
{
	return verbs[v].name;
}

bool request_may(enum request_verb v, enum task_state state)
{
	return verbs[v].states & BIT(state);
}

/* ---- what is refused --------------------------------------------------------------------- */

/* "retry, clear, mark" */
static const char *possible(enum task_state state, char *buf, size_t size)
{
	size_t used = 0;

	*buf = '\0';
	for (int v = 0; v < REQUEST_MAX && used < size; v++)
		if (request_may((enum request_verb)v, state))
			used += (size_t)snprintf(
				buf + used, size - used, "%s%s", used ? ", " : "", verbs[v].name);
	return buf;
}

/* "fetch", "fetch[3]" */
static const char *name_of(const struct ref *at, char *buf, size_t size)
{
	snprintf(buf, size, is_instance(at) ? "%s[%d]" : "%s", def_of(at)->name,
		live(at)->map_index);
	return buf;
}

static int refuse(const struct ref *at, const struct request *q, struct err *err)
{
	enum task_state state = live(at)->state;
	char list[128], name[NAME_ROOM];

	return err_set(err, ERR_REFUSED,
		"task %s is %s: %s is for a task that %s; possible with this one: %s",
		name_of(at, name, sizeof name), task_state_name(state), verbs[q->verb].name,
		verbs[q->verb].whom, possible(state, list, sizeof list));
}

/* Tasks that had an attempt since `at` succeeded, whose outputs they may have used. */
static int find_user(const struct ref *at)
{
	const struct dag *dag = at->run->dag;
	bool *below = calloc((size_t)dag->ntasks + 1, sizeof *below);
	int found = -1;

	for (int i = 0; below && found < 0 && i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[dag->order[i]];
		const struct live_task *l = &at->run->tasks[t->index];
		for (int j = 0; j < t->nneeds; j++)
			below[t->index] |= t->needs[j] == live(at)->def || below[t->needs[j]];
		bool began = l->state == TASK_RUNNING || l->state == TASK_UP_FOR_RETRY ||
			     (l->state == TASK_DEFERRED && !reason_is_outside(l->reason)) ||
			     l->state == TASK_AWAITING_INPUT ||
			     (task_state_is_final(l->state) && l->tries > 0 &&
				     !reason_is_derived(l->reason) && l->reason != REASON_MARKED);
		if (below[t->index] && began)
			found = t->index;
	}
	free(below);
	return found;
}

static int check_outputs(const struct ref *at, struct err *err)
{
	const struct dag *dag = at->run->dag;
	int user = find_user(at);

	if (user < 0)
		return 0;
	return err_set(err, ERR_REFUSED,
		"task %s depends on %s and has begun (%s): with other outputs it would not have "
		"done the same; cancel it or let it end, and clear it first",
		dag->tasks[user].name, def_of(at)->name,
		task_state_name(at->run->tasks[user].state));
}

static bool fits(const struct live_task *t, enum request_verb v)
{
	/* What waited for its next try when it was held still does. */
	bool held_retry =
		v == REQUEST_END_RETRIES && t->state == TASK_HELD && t->failures + t->lost > 0;

	return request_may(v, t->state) || held_retry;
}

/* What is asked of an instance, or of all of them, and not by its state alone. */
static int check_mapping(const struct ref *at, const struct request *q, struct err *err)
{
	const struct live_task *t = live(at);
	const struct live_mapping *m = at->run->mappings ? mapping_of(at) : NULL;
	const char *name = def_of(at)->name;

	if (is_instance(at) && t->state == TASK_NONE && !sched_is_listed(at))
		return err_set(err, ERR_REFUSED,
			"task %s[%d] waits for a new list of %s: ask this of %s", name,
			t->map_index, name, name);
	if (is_instance(at) && t->reason == REASON_ITEM_GONE)
		return err_set(err, ERR_REFUSED,
			"task %s[%d] has no item any more: the list of %s is shorter now", name,
			t->map_index, name);
	if (is_mapped(at) && q->verb == REQUEST_MARK && m->states[TASK_RUNNING] > 0)
		return err_set(err, ERR_REFUSED,
			"instances of task %s are running (%d): cancel it first, then it can be "
			"marked",
			name, m->states[TASK_RUNNING]);
	return 0;
}

static int check_task(const struct ref *at, const struct request *q, struct err *err)
{
	const struct live_task *t = live(at);
	char name[NAME_ROOM], list[128];

	name_of(at, name, sizeof name);
	if (!t->selected)
		return err_set(err, ERR_REFUSED,
			"task %s is not among those that the process of this run does", name);
	if (q->verb == REQUEST_MARK && t->state == q->mark)
		return err_set(err, ERR_REFUSED, "task %s is %s already; possible with it: %s",
			name, task_state_name(t->state), possible(t->state, list, sizeof list));
	if ((q->verb == REQUEST_RETRY || q->verb == REQUEST_CLEAR) && t->state == TASK_RUNNING)
		return err_set(err, ERR_REFUSED,
			"task %s is running: cancel it first, then it can be done again", name);
	if (!fits(t, q->verb))
		return refuse(at, q, err);
	if (check_mapping(at, q, err) < 0)
		return -1;
	return q->verb == REQUEST_SET_OUTPUT ? check_outputs(at, err) : 0;
}

/* ---- which tasks ------------------------------------------------------------------------- */

/* All that depends on those that are chosen, directly or not. */
static int add_downstream(const struct live_run *r, bool *chosen, struct err *err)
{
	const struct dag *dag = r->dag;
	bool *below = calloc((size_t)dag->ntasks + 1, sizeof *below);

	if (!below)
		return err_nomem(err);
	for (int i = 0; i < r->nlive; i++)
		below[r->tasks[i].def] |= chosen[i];
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[dag->order[i]];
		for (int j = 0; j < t->nneeds; j++)
			if (below[t->needs[j]])
				below[t->index] = chosen[t->index] = true;
	}
	free(below);
	return 0;
}

/* What is asked of a mapped task is for those of its instances that it fits, where it has them: of
 * those that failed, or that have not ended. */
static int choose_instances(const struct ref *at, const struct request *q, bool *chosen)
{
	bool retry = q->verb == REQUEST_RETRY;
	bool goes = retry || q->verb == REQUEST_SKIP || q->verb == REQUEST_CANCEL ||
		    q->verb == REQUEST_END_RETRIES;
	const struct live_mapping *m = goes && sched_is_listed(at) ? mapping_of(at) : NULL;
	int n = 0;

	for (int i = 0; m && i < m->n; i++) {
		const struct live_task *t = &at->run->tasks[m->list[i]];
		bool fit = retry ? (BIT(t->state) & FAILED) != 0 : fits(t, q->verb);
		if (!t->selected || !fit)
			continue;
		chosen[m->list[i]] = true;
		n++;
	}
	return n;
}

/* A task that is named: it must fit, or instances of it. */
static int choose_named(
	const struct live_run *r, const struct request *q, int i, bool *chosen, struct err *err)
{
	const struct live_mapping *m = r->mappings ? &r->mappings[q->tasks[i]] : NULL;
	int map_index = q->map_indices ? q->map_indices[i] : -1;
	struct ref at = { (struct live_run *)r, q->tasks[i] };

	if (map_index >= 0 && (!m || map_index >= m->n))
		return err_set(err, ERR_NOT_FOUND, "task %s has no instance %d; it has %d",
			def_of(&at)->name, map_index, m ? m->n : 0);
	if (map_index >= 0)
		at.task = m->list[map_index];
	else if (is_mapped(&at) && choose_instances(&at, q, chosen) > 0)
		return 0;
	else if (is_mapped(&at) && q->verb == REQUEST_SKIP && live(&at)->state == TASK_DEFERRED)
		return err_set(err, ERR_REFUSED,
			"all instances of task %s run or have ended: there is nothing to skip",
			def_of(&at)->name);
	if (!q->failed && check_task(&at, q, err) < 0)
		return -1;
	chosen[at.task] = true;
	return 0;
}

static bool has_failed(const struct ref *at)
{
	const int *states = mapping_of(at)->states;

	return states[TASK_FAILED] + states[TASK_UPSTREAM_FAILED] + states[TASK_CANCELLED] > 0;
}

/* Of those that only depend on what is named, what has not run is not in the way. */
static bool still_fits(const struct ref *at, const struct request *q)
{
	unsigned state = BIT(live(at)->state);

	if (!live(at)->selected)
		return false;
	if (!q->failed && q->ntasks > 0)
		return live(at)->state == TASK_RUNNING || fits(live(at), q->verb);
	/* Where it was marked as done, what failed of it is. */
	if (is_instance(at) && q->ntasks == 0 &&
		(BIT(at->run->tasks[live(at)->def].state) &
			(BIT(TASK_SUCCESS) | BIT(TASK_SKIPPED))))
		return false;
	/* Of a mapped task that failed, its instances that did. */
	return (state & FAILED) != 0 && !(is_mapped(at) && sched_is_listed(at) && has_failed(at));
}

static int choose(const struct live_run *r, const struct request *q, bool *chosen, struct err *err)
{
	int n = 0;

	for (int i = 0; q->ntasks == 0 && i < r->nlive; i++)
		chosen[i] = true;
	for (int i = 0; i < q->ntasks; i++)
		if (choose_named(r, q, i, chosen, err) < 0)
			return -1;
	if (q->downstream && add_downstream(r, chosen, err) < 0)
		return -1;
	for (int i = 0; i < r->nlive; i++) {
		struct ref at = { (struct live_run *)r, i };
		chosen[i] = chosen[i] && still_fits(&at, q);
		if (chosen[i] && check_task(&at, q, err) < 0)
			return -1;
		n += chosen[i];
	}
	if (n > 0)
		return 0;
	return err_set(err, ERR_REFUSED,
		"there is nothing to %s: none of %s is failed, upstream_failed or cancelled",
		verbs[q->verb].name, q->ntasks ? "these tasks" : "its tasks");
}

/* ---- doing it ---------------------------------------------------------------------------- */

/* What was not chosen comes back when it is named; otherwise when the choice is made again. */
static void fill_again(const struct live_run *r, const struct request *q, const bool *chosen,
	struct task_init *tasks, struct instance_init *instances)
{
	for (int i = 0; i < r->dag->ntasks; i++)
		tasks[i].clear = chosen[i];
	for (int i = r->dag->ntasks; i < r->nlive; i++)
		instances[i - r->dag->ntasks].init.clear = chosen[i];
	for (int i = 0; i < q->ntasks; i++)
		tasks[q->tasks[i]].unchosen = false;
}

/* One of those. What came of its needs alone is left to the review: it may hold. */
static void do_one_again(struct sched *s, const struct ref *at, enum reason why,
	const struct request *q, int64_t now_us)
{
	size_t before = s->nchanges;

	sched_do_again(s, at, why, now_us);
	for (size_t i = before; why == REASON_CLEARED && i < s->nchanges; i++)
		if (s->changes[i].live == at->task)
			s->changes[i].detail = sched_keep(s, q->detail);
}

/* Those that were chosen, and what has to be done or judged again with them, which is added to
 * them. */
static int do_again(
	struct sched *s, struct live_run *r, const struct request *q, bool *chosen, int64_t now_us)
{
	const int ntasks = r->dag->ntasks;
	struct task_init *init = calloc((size_t)ntasks + 1, sizeof *init);
	struct instance_init *instances =
		calloc((size_t)(r->nlive - ntasks) + 1, sizeof *instances);
	enum reason *again = calloc((size_t)r->nlive + 1, sizeof *again);
	struct run_init run;
	bool ok = init && instances && again && sched_snapshot(s, r->id, &run, init, instances);

	if (ok) {
		fill_again(r, q, chosen, init, instances);
		run.resume = true;
		ok = sched_again(&run, again) == 0;
	}
	for (int i = 0; ok && i < r->nlive; i++) {
		struct ref at = { r, i < ntasks ? r->dag->order[i] : i };
		enum reason why = again[at.task];
		if (why == REASON_NONE ||
			(why != REASON_CLEARED && reason_is_derived(live(&at)->reason)))
			continue;
		chosen[at.task] = true;
		do_one_again(s, &at, why, q, now_us);
	}
	free(init);
	free(instances);
	free(again);
	return ok ? 0 : -1;
}

/* Of a mapped task that is marked, what has not run does not. */
static void leave_out_rest(
	struct sched *s, const struct ref *at, const char *detail, int64_t now_us)
{
	const struct live_mapping *m = mapping_of(at);

	for (int i = 0; i < m->n; i++) {
		const struct ref one = { at->run, m->list[i] };
		if (task_state_is_final(live(&one)->state))
			continue;
		struct change *c =
			sched_set_task(s, &one, TASK_SKIPPED, REASON_SKIPPED_BY_REQUEST, now_us);
		if (c)
			c->detail = detail;
	}
}

static void set_state(
	struct sched *s, const struct ref *at, const struct request *q, int64_t now_us)
{
	static const struct {
		enum task_state to;
		enum reason why;
	} rows[] = {
		[REQUEST_SKIP] = { TASK_SKIPPED, REASON_SKIPPED_BY_REQUEST },
		[REQUEST_CANCEL] = { TASK_CANCELLED, REASON_CANCELLED },
		[REQUEST_END_RETRIES] = { TASK_FAILED, REASON_RETRIES_ENDED },
		[REQUEST_SET_OUTPUT] = { TASK_SUCCESS, REASON_OUTPUTS_SET },
	};
	bool mark = q->verb == REQUEST_MARK;
	bool rest = mark && is_mapped(at) && sched_is_listed(at);

	/* With all of its mapped task it was left out. */
	if (mark && live(at)->state == q->mark)
		return;
	struct change *c = sched_set_task(s, at, mark ? q->mark : rows[q->verb].to,
		mark ? REASON_MARKED : rows[q->verb].why, now_us);

	if (!c)
		return;
	c->detail = sched_keep(s, q->detail);
	if (c->state.to == TASK_SUCCESS)
		c->state.outputs = sched_keep(s, q->outputs);
	if (rest)
		leave_out_rest(s, at, c->detail, now_us);
}

static void do_one(struct sched *s, const struct ref *at, const struct request *q, int64_t now_us)
{
	if (live(at)->state == TASK_RUNNING) {
		live(at)->cancelling = true;
		sched_stop(s, at, q->hard, sched_keep(s, q->detail), now_us);
	} else {
		set_state(s, at, q, now_us);
	}
}

/* The state of a run that nobody has in hand follows from its tasks. */
static void rest(struct sched *s, struct live_run *r, int64_t now_us)
{
	enum reason why;

	if (r->nopen > 0) {
		if (run_state_is_final(r->state))
			sched_set_run(s, r, RUN_QUEUED, REASON_CLEARED, now_us);
		return;
	}
	enum run_state to = sched_end_state(r, &why);
	if (to != r->state && run_state_is_final(r->state))
		sched_set_run(s, r, RUN_QUEUED, REASON_MARKED, now_us);
	sched_set_run(s, r, to, why, now_us);
}

static int cancel_run(struct sched *s, struct live_run *r, const struct request *q, int64_t now_us,
	struct err *err)
{
	size_t before = s->nchanges;

	if (run_state_is_final(r->state))
		return err_set(err, ERR_REFUSED,
			"it is %s already: there is nothing to cancel; possible with its tasks: "
			"retry, clear, mark",
			run_state_name(r->state));
	const char *detail = sched_keep(s, q->detail);
	sched_cancel_run(s, r->id, q->hard, now_us);
	if (r->aside && r->nopen == 0)
		sched_finish_run(s, r, now_us);
	for (size_t i = before; i < s->nchanges; i++)
		s->changes[i].detail = detail;
	if (s->nchanges > before)
		return 0;
	return err_set(err, ERR_REFUSED,
		"it is being cancelled already, and only teardowns are left in it; weir cancel "
		"--kill ends them, too");
}

int sched_request(
	struct sched *s, int64_t run_id, const struct request *q, int64_t now_us, struct err *err)
{
	struct live_run *r = find_run(s, run_id);

	if (!r)
		return err_set(err, ERR_NOT_FOUND, "run %" PRId64 " is not scheduled here", run_id);
	if (q->verb == REQUEST_CANCEL && q->ntasks == 0)
		return cancel_run(s, r, q, now_us, err);
	if (r->cancelling)
		return err_set(err, ERR_REFUSED,
			"it is being cancelled; when it has ended this can be asked again");
	bool *chosen = calloc((size_t)r->nlive + 1, sizeof *chosen);
	if (!chosen)
		return err_nomem(err);
	bool again = q->verb == REQUEST_RETRY || q->verb == REQUEST_CLEAR;
	int rc = choose(r, q, chosen, err);
	if (rc == 0 && again && do_again(s, r, q, chosen, now_us) < 0)
		rc = err_nomem(err);
	for (int i = 0; rc == 0 && !again && i < r->nlive; i++) {
		struct ref at = { r, i < r->dag->ntasks ? r->dag->order[i] : i };
		if (chosen[at.task])
			do_one(s, &at, q, now_us);
	}
	if (rc == 0)
		sched_review_run(s, r, chosen, now_us);
	free(chosen);
	if (rc < 0)
		return -1;
	if (r->aside)
		rest(s, r, now_us);
	else if (r->nopen > 0) /* it may have been through with a part of its tasks */
		sched_set_run(s, r, RUN_RUNNING, REASON_STARTED, now_us);
	return s->failed ? err_nomem(err) : 0;
}
