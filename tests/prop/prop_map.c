/* Mapped tasks in the scheduler: random DAGs, lists, ends of attempts, requests, cancels and
 * crashes, against a mirror that stands for the store and a slow look at it.
 *
 * The mirror is built from the committed changes and from nothing else. After each step what the
 * scheduler says of every task and instance is compared with it; what a mapped task is, is judged
 * anew from all its instances. A crash throws the scheduler away: the next one is made from the
 * mirror, and has the same lists.
 *
 * WEIR_SEED in the environment repeats a series, WEIR_ROUNDS prolongs it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/node.h"
#include "base/rng.h"
#include "base/units.h"
#include "core/model.h"
#include "core/request.h"
#include "core/sched.h"
#include "tests/lib/trigger_model.h"

enum { TASKS_MAX = 7, ITEMS_MAX = 9, LIVE_MAX = TASKS_MAX * (ITEMS_MAX + 1), ROUNDS = 3000 };
enum { RUN = 5, STEPS_MAX = 3000 };

/* A task or an instance, as the store has it. */
struct mtask {
	bool there;
	enum task_state state;
	enum reason reason;
	int tries, failures, lost;
	int64_t due_us, token;
	int64_t flight; /* 0: none */
	bool selected;  /* or it ran when the run was taken in */
	char item[16];
};

struct mirror {
	struct mtask whole, items[ITEMS_MAX];
	int n; /* instances there ever were */
	bool selected;
};

struct world {
	struct rng rng;
	uint64_t seed;
	int round;
	struct dag *dag;
	struct foreach foreach[TASKS_MAX];
	struct sched *s;
	struct mirror tasks[TASKS_MAX];
	enum run_state state;
	bool cancelling, ignore_needs;
	int max_running;
	int64_t now_us, next_token;
	int nlists, serial; /* lists given; of the items */
	bool calm;          /* nothing was asked for in this step */
	int crashes, starts, asked, refused, lists;
};

#define CHECK(w, condition, ...)                                                       \
	do {                                                                           \
		if (!(condition)) {                                                    \
			fprintf(stderr, "WEIR_SEED=%" PRIu64 " round %d: ", (w)->seed, \
				(w)->round);                                           \
			fprintf(stderr, __VA_ARGS__);                                  \
			fprintf(stderr, "\n");                                         \
			fail_msg("%s", #condition);                                    \
		}                                                                      \
	} while (0)

static int below(struct world *w, int n)
{
	return (int)rng_below(&w->rng, (uint64_t)n);
}

static bool one_in(struct world *w, int n)
{
	return below(w, n) == 0;
}

/* ---- DAGs -------------------------------------------------------------------------------- */

static void random_task(struct world *w, struct task *t, int index)
{
	static const enum trigger_rule rules[] = { TRIGGER_ALL_SUCCESS, TRIGGER_ALL_DONE,
		TRIGGER_ONE_SUCCESS, TRIGGER_NONE_FAILED, TRIGGER_ONE_FAILED };
	static const struct node some_if = { .type = NODE_BOOL };
	int *needs = arena_array(&w->dag->arena, TASKS_MAX, sizeof *needs);

	*t = (struct task){ .name = arena_printf(&w->dag->arena, "t%d", index),
		.index = index,
		.needs = needs,
		.only_if = one_in(w, 4) ? &some_if : NULL,
		.pool = one_in(w, 3) ? "pg" : NULL,
		.trigger = one_in(w, 2) ? TRIGGER_ALL_SUCCESS : rules[below(w, 5)],
		.retry = { .retries = below(w, 3),
			.lost_retries = below(w, 2),
			.initial_us = below(w, 20) * US_PER_SECOND,
			.max_us = 40 * US_PER_SECOND,
			.factor = 1 } };
	for (int i = 0; i < index; i++)
		if (one_in(w, 3))
			needs[t->nneeds++] = i;
	w->foreach[index] = (struct foreach){ .max_active = one_in(w, 2) ? 1 + below(w, 3) : 0 };
	if (!one_in(w, 3))
		t->foreach = &w->foreach[index];
}

static void random_dag(struct world *w)
{
	int n = 1 + below(w, TASKS_MAX), cycle[TASKS_MAX + 1], len;

	w->dag = dag_new();
	w->dag->name = "d";
	w->dag->ntasks = n;
	w->dag->max_active_tasks = one_in(w, 3) ? 1 + below(w, 3) : 0;
	w->dag->tasks = arena_array(&w->dag->arena, (size_t)n, sizeof *w->dag->tasks);
	for (int i = 0; i < n; i++)
		random_task(w, &w->dag->tasks[i], i);
	CHECK(w, dag_seal(w->dag, cycle, &len, NULL) == 0, "a cycle");
}

/* ---- the mirror -------------------------------------------------------------------------- */

static struct mtask *row_of(struct world *w, const struct change *c)
{
	struct mirror *m = &w->tasks[c->task_index];

	CHECK(w, c->map_index < ITEMS_MAX, "map index %d", c->map_index);
	return c->map_index < 0 ? &m->whole : &m->items[c->map_index];
}

static bool is_listed(const struct mirror *m)
{
	return m->whole.state == TASK_DEFERRED;
}

static enum task_state verdict(const struct world *w, int task)
{
	const struct task *def = &w->dag->tasks[task];
	enum task_state needs[TASKS_MAX];
	int n = 0;

	for (int i = 0; i < def->nneeds; i++) {
		const struct mtask *need = &w->tasks[def->needs[i]].whole;
		if (w->ignore_needs && !need->selected)
			continue;
		needs[n++] = task_state_is_final(need->state) ? need->state : TASK_NONE;
	}
	return model_verdict(def->trigger, &(struct model_needs){ needs, n });
}

static void commit_item(struct world *w, const struct change *c)
{
	struct mirror *m = &w->tasks[c->task_index];
	struct mtask *t = row_of(w, c);

	CHECK(w, c->map_index <= m->n, "t%d[%d] comes before %d", c->task_index, c->map_index,
		m->n);
	CHECK(w, t->state == TASK_NONE, "t%d[%d] has begun", c->task_index, c->map_index);
	m->n += c->map_index == m->n;
	t->there = true;
	t->selected = m->selected;
	snprintf(t->item, sizeof t->item, "%s", c->item);
}

static void commit_task(struct world *w, const struct change *c)
{
	struct mtask *t = row_of(w, c);

	CHECK(w, t->there && t->state == c->state.from, "t%d[%d] is %s, and goes from %s to %s",
		c->task_index, c->map_index, task_state_name(t->state),
		task_state_name(c->state.from), task_state_name(c->state.to));
	if (w->calm && c->state.from == TASK_NONE &&
		(c->state.to == TASK_DEFERRED || c->state.to == TASK_RUNNING))
		CHECK(w, verdict(w, c->task_index) == TASK_RUNNING, "t%d starts", c->task_index);
	t->state = c->state.to;
	t->reason = c->reason;
	t->tries = c->state.tries;
	t->failures = c->state.failures;
	t->lost = c->state.lost;
	t->due_us = c->state.due_us;
}

static void commit_start(struct world *w, const struct change *c)
{
	struct mtask *t = row_of(w, c);
	bool mapped = w->dag->tasks[c->task_index].foreach;

	CHECK(w, mapped == (c->map_index >= 0), "t%d[%d] starts", c->task_index, c->map_index);
	CHECK(w, !mapped || is_listed(&w->tasks[c->task_index]), "t%d has no list", c->task_index);
	CHECK(w, t->selected, "t%d[%d] was not selected", c->task_index, c->map_index);
	CHECK(w, !t->flight && c->attempt.token > t->token, "token of t%d", c->task_index);
	CHECK(w, c->attempt.try == t->tries, "try of t%d", c->task_index);
	CHECK(w, !w->cancelling, "t%d starts in a cancelled run", c->task_index);
	t->token = t->flight = c->attempt.token;
	w->starts++;
}

static void commit(struct world *w)
{
	size_t n;
	const struct change *c = sched_changes(w->s, &n);

	for (size_t i = 0; i < n; i++, c++)
		switch (c->kind) {
		case CHANGE_RUN:
			w->state = c->run.to;
			break;
		case CHANGE_ITEM:
			commit_item(w, c);
			break;
		case CHANGE_TASK:
			commit_task(w, c);
			break;
		case CHANGE_START:
			commit_start(w, c);
			break;
		case CHANGE_END:
			CHECK(w, row_of(w, c)->flight == c->attempt.token, "an end of another");
			row_of(w, c)->flight = 0;
			break;
		default:
			break;
		}
	sched_clear_changes(w->s);
}

/* ---- the slow look ----------------------------------------------------------------------- */

static enum task_state slow_whole(const struct mirror *m)
{
	int n[TASK_STATE_MAX] = { 0 };

	for (int i = 0; i < m->n; i++)
		if (!task_state_is_final(m->items[i].state))
			return TASK_DEFERRED;
	for (int i = 0; i < m->n; i++)
		n[m->items[i].state]++;
	return n[TASK_CANCELLED]                          ? TASK_CANCELLED
	       : n[TASK_FAILED] + n[TASK_UPSTREAM_FAILED] ? TASK_FAILED
	       : n[TASK_SKIPPED] == m->n                  ? TASK_SKIPPED
							  : TASK_SUCCESS;
}

/* Its state came of its instances. */
static bool is_theirs(const struct mirror *m)
{
	enum reason why = m->whole.reason;

	return why == REASON_MAPPED || why == REASON_INSTANCES_DONE ||
	       why == REASON_INSTANCES_FAILED || why == REASON_INSTANCES_SKIPPED;
}

static void check_whole(struct world *w, int task)
{
	const struct mirror *m = &w->tasks[task];
	enum reason why = m->whole.reason;
	bool theirs = is_theirs(m);

	CHECK(w, !m->whole.flight && m->whole.tries == 0, "t%d runs as a whole", task);
	if (theirs)
		CHECK(w, m->n > 0 && m->whole.state == slow_whole(m), "t%d is %s, and is to be %s",
			task, task_state_name(m->whole.state), task_state_name(slow_whole(m)));
	for (int i = 0; i < m->n; i++)
		CHECK(w,
			theirs || m->items[i].state == TASK_NONE ||
				(task_state_is_final(m->whole.state) &&
					task_state_is_final(m->items[i].state)),
			"t%d is %s (%s), and t%d[%d] %s", task, task_state_name(m->whole.state),
			reason_name(why), task, i, task_state_name(m->items[i].state));
}

static void check_view(struct world *w, int task, int map_index, const struct mtask *t)
{
	struct task_view v;
	int number = sched_find_task(w->s, RUN, task, map_index);

	CHECK(w, sched_task_view(w->s, RUN, number, &v), "t%d[%d] is not there", task, map_index);
	CHECK(w, v.task_index == task && v.map_index == map_index, "number %d", number);
	CHECK(w, v.state == t->state && v.tries == t->tries, "t%d[%d]: %s, %d tries; %s, %d", task,
		map_index, task_state_name(v.state), v.tries, task_state_name(t->state), t->tries);
	CHECK(w, !t->flight || v.token == t->flight, "token of t%d[%d]", task, map_index);
	CHECK(w, !v.item || strcmp(v.item, t->item) == 0, "item of t%d[%d]", task, map_index);
}

struct counted {
	int running, all;
};

static struct counted count_running(const struct mirror *m)
{
	struct counted c = { .all = m->whole.flight != 0 };

	for (int i = 0; i < m->n; i++)
		c.running += m->items[i].flight != 0;
	c.all += c.running;
	return c;
}

static bool slow_idle(const struct world *w)
{
	for (int i = 0; i < w->dag->ntasks; i++)
		if ((w->tasks[i].whole.selected && !task_state_is_final(w->tasks[i].whole.state)) ||
			count_running(&w->tasks[i]).all > 0)
			return false;
	return true;
}

static void check(struct world *w)
{
	int running = 0;

	for (int i = 0; i < w->dag->ntasks; i++) {
		const struct mirror *m = &w->tasks[i];
		struct counted c = count_running(m);
		int most = w->foreach[i].max_active;
		check_view(w, i, -1, &m->whole);
		for (int k = 0; k < m->n; k++)
			check_view(w, i, k, &m->items[k]);
		if (w->dag->tasks[i].foreach)
			check_whole(w, i);
		CHECK(w, !most || c.running <= most, "t%d: %d run", i, c.running);
		running += c.all;
	}
	CHECK(w, running == sched_running(w->s), "%d run", running);
	CHECK(w, running <= w->max_running, "%d run", running);
	CHECK(w, sched_run_idle(w->s, RUN) == slow_idle(w), "idle");
}

/* Nothing waits for what is free. Without pool, and where the DAG lets more through. */
static void check_not_stuck(struct world *w)
{
	if (sched_running(w->s) >= w->max_running || w->dag->max_active_tasks ||
		sched_tokens_left(w->s) == 0)
		return;
	for (int i = 0; i < w->dag->ntasks; i++) {
		const struct mirror *m = &w->tasks[i];
		int most = w->foreach[i].max_active;
		bool room = !most || count_running(m).running < most;
		if (w->dag->tasks[i].pool || !room || w->cancelling || !m->selected)
			continue;
		/* Done again, one waits for the needs of the whole. */
		bool waits = verdict(w, i) == TASK_NONE;
		for (int k = 0; is_listed(m) && k < m->n; k++)
			CHECK(w,
				m->items[k].state != TASK_QUEUED &&
					(m->items[k].state != TASK_NONE || waits),
				"t%d[%d] is stuck", i, k);
	}
}

/* ---- steps ------------------------------------------------------------------------------- */

static void answer_list(struct world *w, const struct sched_question *q)
{
	char texts[ITEMS_MAX][16];
	const char *items[ITEMS_MAX];
	const struct sched_list list = { RUN, q->task, items, below(w, ITEMS_MAX + 1) };

	CHECK(w, !is_listed(&w->tasks[q->task]), "t%d has a list", q->task);
	if (one_in(w, 10)) {
		sched_answer_no_list(w->s, RUN, q->task, "no list", w->now_us);
		return;
	}
	for (int i = 0; i < list.n; i++) {
		snprintf(texts[i], sizeof texts[i], "%d", w->serial++);
		items[i] = texts[i];
	}
	sched_answer_list(w->s, &list, w->now_us);
	w->lists++;
}

static bool answer(struct world *w)
{
	size_t n;
	const struct sched_question *q = sched_questions(w->s, &n);

	for (size_t i = 0; i < n; i++)
		if (q[i].list)
			answer_list(w, &q[i]);
		else
			sched_answer(w->s, RUN, q[i].task, !one_in(w, 4), w->now_us);
	return n > 0;
}

static void step_tick(struct world *w)
{
	do
		CHECK(w, sched_tick(w->s, w->now_us, NULL) == 0, "tick");
	while (answer(w));
}

static void step_time(struct world *w)
{
	int64_t wake = sched_wake_us(w->s);

	w->now_us += below(w, 5) * US_PER_SECOND;
	if (wake != INT64_MAX && wake > w->now_us && one_in(w, 2))
		w->now_us = wake;
	step_tick(w);
}

static int64_t random_flight(struct world *w)
{
	int64_t found = 0;
	int n = 0;

	for (int i = 0; i < w->dag->ntasks; i++)
		for (int k = -1; k < w->tasks[i].n; k++) {
			const struct mtask *t = k < 0 ? &w->tasks[i].whole : &w->tasks[i].items[k];
			if (t->flight && one_in(w, ++n))
				found = t->flight;
		}
	return found;
}

static void step_end(struct world *w)
{
	static const enum outcome outcomes[] = { OUTCOME_SUCCESS, OUTCOME_SUCCESS, OUTCOME_SUCCESS,
		OUTCOME_FAILED, OUTCOME_SKIPPED, OUTCOME_LOST, OUTCOME_TIMEOUT };
	struct attempt_end e = { .token = random_flight(w), .exit_status = 1 };

	if (!e.token)
		return;
	e.outcome = outcomes[below(w, 7)];
	if (w->cancelling && one_in(w, 2))
		e.outcome = OUTCOME_CANCELLED;
	CHECK(w, sched_attempt_ended(w->s, &e, w->now_us), "an end");
	CHECK(w, !sched_attempt_ended(w->s, &e, w->now_us), "the same again");
}

static void step_cancel(struct world *w)
{
	sched_cancel_run(w->s, RUN, one_in(w, 2), w->now_us);
	w->cancelling |= !run_state_is_final(w->state);
}

static void step_hold(struct world *w)
{
	struct sched_hold h = { .run_id = RUN, .why = REASON_FROZEN };

	/* On, and off again later: what is held by the end is let go there. */
	h.task = below(w, w->dag->ntasks + sched_ninstances(w->s, RUN) + 1) - 1;
	h.on = one_in(w, 2);
	sched_hold(w->s, &h);
}

static void let_all_go(struct world *w)
{
	for (int i = -1; i < w->dag->ntasks + sched_ninstances(w->s, RUN); i++)
		sched_hold(w->s, &(struct sched_hold){ .run_id = RUN, .task = i });
}

/* ---- requests ---------------------------------------------------------------------------- */

/* The plan is made with a copy; the deed comes to the same. */
static void step_ask(struct world *w)
{
	static const enum task_state marks[] = { TASK_SUCCESS, TASK_FAILED, TASK_SKIPPED };
	struct task_init init[TASKS_MAX];
	struct instance_init instances[LIVE_MAX];
	int tasks[3], map_indices[3];
	struct request_plan plan;
	struct run_init run;
	struct err a = { 0 }, b = { 0 };
	size_t before, after;
	struct request q = { .verb = (enum request_verb)below(w, REQUEST_MAX),
		.tasks = tasks,
		.ntasks = 1 + below(w, one_in(w, 3) ? 3 : 1),
		.map_indices = one_in(w, 4) ? NULL : map_indices,
		.downstream = one_in(w, 3),
		.failed = one_in(w, 5),
		.mark = marks[below(w, 3)],
		.detail = "by ann" };

	if (run_state_is_final(w->state))
		return;
	for (int i = 0; i < q.ntasks; i++) {
		tasks[i] = below(w, w->dag->ntasks);
		map_indices[i] = one_in(w, 3) ? -1 : below(w, ITEMS_MAX);
	}
	if (q.verb == REQUEST_RETRY && one_in(w, 2))
		q.ntasks = 0;
	q.downstream &= q.verb == REQUEST_RETRY || q.verb == REQUEST_CLEAR;
	q.failed &= q.verb == REQUEST_RETRY;
	CHECK(w, sched_snapshot(w->s, RUN, &run, init, instances), "snapshot");
	int planned = request_plan(&plan, &run, &q, w->now_us, &a);
	sched_changes(w->s, &before);
	int done = sched_request(w->s, RUN, &q, w->now_us, &b);
	sched_changes(w->s, &after);
	CHECK(w, planned == done && strcmp(a.msg, b.msg) == 0, "%s: planned %s, done %s",
		request_name(q.verb), a.msg, b.msg);
	CHECK(w, done == 0 || before == after, "a refused request has changed something");
	w->asked++;
	w->refused += done < 0;
	if (done < 0)
		return;
	w->calm = false;
	for (int i = 0; i < plan.ntasks; i++) {
		struct task_view v;
		CHECK(w, sched_task_view(w->s, RUN, i, &v) && plan.tasks[i].to == v.state,
			"%s: t%d[%d] is %s, planned was %s", request_name(q.verb),
			plan.tasks[i].task, plan.tasks[i].map_index, task_state_name(v.state),
			task_state_name(plan.tasks[i].to));
		CHECK(w, plan.tasks[i].task == v.task_index, "its number");
	}
	request_plan_release(&plan);
}

/* ---- crashes ----------------------------------------------------------------------------- */

static struct task_init init_of(struct mtask *t, bool selected)
{
	t->selected = selected || t->flight;
	return (struct task_init){ .state = t->state,
		.reason = t->reason,
		.tries = t->tries,
		.failures = t->failures,
		.lost = t->lost,
		.due_us = t->due_us,
		.token = t->token,
		.selected = selected };
}

static void new_sched(struct world *w)
{
	const struct sched_config config = { .max_running = w->max_running,
		.seed = rng_next(&w->rng) };

	w->s = sched_new(&config);
	sched_set_pool(w->s, "pg", 2);
	sched_set_tokens(w->s, w->next_token, w->next_token + 5000);
	w->next_token += 5000;
}

/* What was done stays done, unless it is cleared, or a rule judges it anew. */
static void check_kept(struct world *w, const struct mirror *was)
{
	for (int i = 0; i < w->dag->ntasks; i++) {
		const struct mirror *m = &w->tasks[i];
		/* All of them wait for a new list, as it were. */
		bool anew = !is_theirs(m);
		for (int k = 0; !anew && k < m->n; k++) {
			CHECK(w,
				was[i].items[k].state != TASK_SUCCESS ||
					m->items[k].state == TASK_SUCCESS,
				"t%d[%d] was done", i, k);
			CHECK(w, strcmp(was[i].items[k].item, m->items[k].item) == 0, "its item");
		}
	}
}

static void take_in(struct world *w, bool all)
{
	struct task_init init[TASKS_MAX];
	struct instance_init instances[LIVE_MAX];
	struct mirror was[TASKS_MAX];
	struct run_init run = { .run_id = RUN,
		.dag = w->dag,
		.state = w->state,
		.tasks = init,
		.instances = instances,
		.resume = !one_in(w, 3) };

	memcpy(was, w->tasks, sizeof was);
	run.ignore_needs = w->ignore_needs = !all;
	for (int i = 0; i < w->dag->ntasks; i++) {
		w->tasks[i].selected = all || one_in(w, 2);
		init[i] = init_of(&w->tasks[i].whole, w->tasks[i].selected);
		init[i].clear = one_in(w, 20);
	}
	for (int k = 0; k < ITEMS_MAX; k++)
		for (int i = 0; i < w->dag->ntasks; i++)
			if (k < w->tasks[i].n)
				instances[run.ninstances++] = (struct instance_init){ i, k,
					w->tasks[i].items[k].item,
					init_of(&w->tasks[i].items[k], w->tasks[i].selected) };
	w->cancelling = false;
	w->calm = false;
	CHECK(w, sched_add_run(w->s, &run, w->now_us, NULL) == 0, "add");
	commit(w);
	check(w);
	check_kept(w, was);
}

static void crash(struct world *w, bool all)
{
	w->crashes++;
	sched_free(w->s);
	new_sched(w);
	take_in(w, all);
}

/* ---- rounds ------------------------------------------------------------------------------ */

static void one_step(struct world *w)
{
	static void (*const steps[])(struct world *) = { step_tick, step_tick, step_end, step_end,
		step_end, step_time, step_time, step_ask, step_hold };
	void (*step)(struct world *) = steps[below(w, sizeof steps / sizeof *steps)];

	w->calm = true;
	if (one_in(w, 100))
		step = step_cancel;
	step(w);
	/* What was decided and is not committed has not happened. */
	if (one_in(w, 60)) {
		crash(w, !one_in(w, 4));
		return;
	}
	commit(w);
	check(w);
}

/* No more trouble: it comes to its end, and soon. */
static void finish(struct world *w)
{
	int left = STEPS_MAX;

	crash(w, true);
	let_all_go(w);
	for (; !slow_idle(w) && left > 0; left--) {
		int64_t wake = sched_wake_us(w->s);
		if (wake != INT64_MAX && wake > w->now_us)
			w->now_us = wake;
		w->calm = true;
		step_tick(w);
		commit(w);
		check(w);
		check_not_stuck(w);
		step_end(w);
		commit(w);
		check(w);
	}
	CHECK(w, left > 0, "it never ends");
	CHECK(w, run_state_is_final(w->state), "the run is %s", run_state_name(w->state));
}

static void play(struct world *w)
{
	w->max_running = 1 + below(w, 8);
	w->now_us = US_PER_SECOND;
	w->next_token = 1;
	w->state = RUN_QUEUED;
	memset(w->tasks, 0, sizeof w->tasks);
	random_dag(w);
	for (int i = 0; i < w->dag->ntasks; i++)
		w->tasks[i].whole.there = true;
	new_sched(w);
	take_in(w, !one_in(w, 4));
	for (int n = below(w, 150); n > 0; n--)
		one_step(w);
	finish(w);
	sched_free(w->s);
	dag_unref(w->dag);
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static void test_mappings(void **state)
{
	static struct world w;

	(void)state;
	w.seed = number_of("WEIR_SEED", (uint64_t)time(NULL));
	int rounds = (int)number_of("WEIR_ROUNDS", ROUNDS);
	rng_init(&w.rng, w.seed);
	printf("# WEIR_SEED=%" PRIu64 "\n", w.seed);
	for (w.round = 1; w.round <= rounds; w.round++)
		play(&w);
	printf("# %d rounds, %d lists, %d attempts, %d crashes, %d requests, %d of them refused\n",
		rounds, w.lists, w.starts, w.crashes, w.asked, w.refused);
	assert_true(w.asked > w.refused);
	assert_true(w.lists > rounds);
	assert_true(w.starts > rounds);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_mappings) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
