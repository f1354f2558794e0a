/* Pools, limits of DAGs, lanes and priorities under random runs, ends, cancels, crashes and changed
 * limits, beside a slow model: it looks at all that waits each time, and says which task is next.
 * The scheduler must start the same ones, in the same order, and name the same cause for those that
 * wait.
 *
 * WEIR_SEED in the environment repeats a series, WEIR_ROUNDS prolongs it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "base/units.h"
#include "core/model.h"
#include "core/sched.h"

enum { RUNS_MAX = 10, TASKS_MAX = 8, POOLS = 3, DAGS = 3, LANES = 3, STEPS = 60, ROUNDS = 3000 };

static const char *const pool_names[POOLS] = { "pg", "api", "disk" };
static const char *const dag_names[DAGS] = { "a", "b", "c" };

struct mtask {
	enum task_state state;
	enum reason reason;
	int64_t token, ready_us;
	uint64_t seq;
	int pool, slots; /* pool -1: none */
};

struct mrun {
	int64_t id;
	struct dag *dag; /* NULL: the place is free */
	int name, lane;
	struct mtask tasks[TASKS_MAX];
};

struct world {
	struct rng rng;
	uint64_t seed;
	int round;
	struct sched *s;
	struct mrun runs[RUNS_MAX];
	int pools[POOLS], lanes[LANES], limits[DAGS]; /* limits: 0 is none */
	int64_t now_us, next_id, next_token;
	uint64_t seq;
	int starts, crashes, waits[REASON_MAX];
};

static int below(struct world *w, int n)
{
	return (int)rng_below(&w->rng, (uint64_t)n);
}

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

/* ---- the slow model ------------------------------------------------------------------- */

struct place {
	struct mrun *run;
	int task;
};

static struct mtask *task_of(const struct place *p)
{
	return &p->run->tasks[p->task];
}

static int64_t key_of(const struct place *p)
{
	const struct task *t = &p->run->dag->tasks[p->task];

	return task_of(p)->ready_us - (t->weight - (p->run->lane ? 60 : 0)) * US_PER_MINUTE;
}

static bool is_before(const struct place *a, const struct place *b)
{
	int64_t x = key_of(a), y = key_of(b);

	return x != y ? x < y : task_of(a)->seq < task_of(b)->seq;
}

/* What is taken of a lane (kind 0), a DAG (1), a pool (2). */
static int taken(const struct world *w, int kind, int which)
{
	int n = 0;

	for (int k = 0; k < RUNS_MAX; k++) {
		const struct mrun *r = &w->runs[k];
		for (int i = 0; r->dag && i < r->dag->ntasks; i++) {
			const struct mtask *t = &r->tasks[i];
			if (t->state != TASK_RUNNING)
				continue;
			n += kind == 0 ? r->lane == which : kind == 1 ? r->name == which : 0;
			n += kind == 2 && t->pool == which ? t->slots : 0;
		}
	}
	return n;
}

static bool is_waiting(const struct mtask *t)
{
	return t->state == TASK_NONE || t->state == TASK_QUEUED;
}

/* The lane or the DAG that stops it; REASON_NONE. */
static enum reason outer_stop(const struct world *w, const struct mrun *r)
{
	if (taken(w, 0, r->lane) >= w->lanes[r->lane])
		return REASON_SLOT_WAIT;
	if (w->limits[r->name] && taken(w, 1, r->name) >= w->limits[r->name])
		return REASON_DAG_LIMIT;
	return REASON_NONE;
}

static bool fits(const struct world *w, const struct mtask *t)
{
	int used = t->pool < 0 ? 0 : taken(w, 2, t->pool);

	return t->pool < 0 ||
	       (used < w->pools[t->pool] && (used == 0 || used + t->slots <= w->pools[t->pool]));
}

/* Why it does not start now: itself, or because one before it keeps the places of the pool. */
static enum reason stop_of(struct world *w, const struct place *p)
{
	enum reason why = outer_stop(w, p->run);

	if (why)
		return why;
	if (!fits(w, task_of(p)))
		return REASON_POOL_FULL;
	for (int k = 0; k < RUNS_MAX; k++)
		for (int i = 0; w->runs[k].dag && i < w->runs[k].dag->ntasks; i++) {
			const struct place o = { &w->runs[k], i };
			const struct mtask *t = task_of(&o);
			if (is_waiting(t) && t->pool >= 0 && t->pool == task_of(p)->pool &&
				is_before(&o, p) && !fits(w, t) && !outer_stop(w, o.run))
				return REASON_POOL_FULL;
		}
	return REASON_NONE;
}

static bool next_start(struct world *w, struct place *ret)
{
	bool found = false;

	for (int k = 0; k < RUNS_MAX; k++)
		for (int i = 0; w->runs[k].dag && i < w->runs[k].dag->ntasks; i++) {
			const struct place p = { &w->runs[k], i };
			if (!is_waiting(task_of(&p)) || (found && is_before(ret, &p)) ||
				stop_of(w, &p))
				continue;
			*ret = p;
			found = true;
		}
	return found;
}

/* ---- the world ------------------------------------------------------------------------ */

static struct dag *random_dag(struct world *w, int name)
{
	struct dag *dag = dag_new();
	int cycle[TASKS_MAX + 1], len;

	dag->name = dag_names[name];
	dag->max_active_tasks = w->limits[name];
	dag->ntasks = 1 + below(w, TASKS_MAX);
	dag->tasks = arena_array(&dag->arena, (size_t)dag->ntasks, sizeof *dag->tasks);
	for (int i = 0; i < dag->ntasks; i++) {
		struct task *t = &dag->tasks[i];
		int pool = below(w, POOLS + 1);
		t->name = arena_printf(&dag->arena, "t%d", i);
		t->index = i;
		t->pool = pool < POOLS ? pool_names[pool] : NULL;
		t->slots = below(w, 3) ? 1 : 1 + below(w, 4);
		t->priority = below(w, 4) ? 1 : below(w, 200) - 20;
	}
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

/* Hand a run over as it stands; what waits gets its turn by its index. */
static void hand_over(struct world *w, struct mrun *r)
{
	struct task_init init[TASKS_MAX] = { 0 };

	for (int i = 0; i < r->dag->ntasks; i++) {
		struct mtask *t = &r->tasks[i];
		init[i] = (struct task_init){ .state = t->state,
			.tries = t->token > 0,
			.token = t->token,
			.selected = true };
		if (is_waiting(t)) {
			t->ready_us = w->now_us;
			t->seq = ++w->seq;
		}
	}
	const struct run_init run = { .run_id = r->id,
		.dag = r->dag,
		.state = RUN_RUNNING,
		.tasks = init,
		.lane = r->lane,
		.resume = true };
	assert_int_equal(sched_add_run(w->s, &run, w->now_us, NULL), 0);
}

static void add_run(struct world *w)
{
	for (int k = 0; k < RUNS_MAX; k++) {
		struct mrun *r = &w->runs[k];
		if (r->dag)
			continue;
		*r = (struct mrun){
			.id = ++w->next_id, .name = below(w, DAGS), .lane = below(w, LANES)
		};
		r->dag = random_dag(w, r->name);
		for (int i = 0; i < r->dag->ntasks; i++) {
			const char *pool = r->dag->tasks[i].pool;
			r->tasks[i].pool = -1;
			for (int p = 0; p < POOLS; p++)
				if (pool == pool_names[p])
					r->tasks[i].pool = p;
			r->tasks[i].slots = r->dag->tasks[i].slots;
		}
		hand_over(w, r);
		return;
	}
}

static void drop_run(struct world *w, struct mrun *r)
{
	sched_drop_run(w->s, r->id);
	sched_forget_changes(w->s, r->id);
	dag_unref(r->dag);
	r->dag = NULL;
}

static void new_sched(struct world *w)
{
	const struct sched_config config = { .max_running = w->lanes[0], .seed = 1 };

	w->s = sched_new(&config);
	assert_non_null(w->s);
	sched_set_tokens(w->s, w->next_token, w->next_token + 1000000);
	for (int k = 1; k < LANES; k++)
		assert_int_equal(sched_set_lane(w->s, k, w->lanes[k]), 0);
	for (int k = 0; k < POOLS; k++)
		assert_int_equal(sched_set_pool(w->s, pool_names[k], w->pools[k]), 0);
}

static void crash(struct world *w)
{
	sched_free(w->s);
	new_sched(w);
	w->crashes++;
	for (int k = 0; k < RUNS_MAX; k++)
		if (w->runs[k].dag)
			hand_over(w, &w->runs[k]);
	sched_clear_changes(w->s);
}

static struct mrun *find_run(struct world *w, int64_t id)
{
	for (int k = 0; k < RUNS_MAX; k++)
		if (w->runs[k].dag && w->runs[k].id == id)
			return &w->runs[k];
	return NULL;
}

/* The scheduler's starts against the model's, one by one. */
static void check_changes(struct world *w)
{
	size_t n;
	const struct change *list = sched_changes(w->s, &n);

	for (size_t i = 0; i < n; i++) {
		const struct change *c = &list[i];
		struct mrun *r = find_run(w, c->run_id);
		struct place next;
		if (!r || c->task_index < 0)
			continue;
		struct mtask *t = &r->tasks[c->task_index];
		if (c->kind == CHANGE_START) {
			bool any = next_start(w, &next);
			CHECK(w, any, "run %" PRId64 " t%d started, and nothing may", r->id,
				c->task_index);
			CHECK(w, next.run == r && next.task == c->task_index,
				"run %" PRId64 " t%d started before run %" PRId64 " t%d", r->id,
				c->task_index, next.run->id, next.task);
			t->state = TASK_RUNNING;
			t->token = c->attempt.token;
			w->next_token = t->token + 1;
			w->starts++;
		} else if (c->kind == CHANGE_TASK && c->state.to != TASK_RUNNING) {
			t->state = c->state.to;
			t->reason = c->reason;
		}
	}
	sched_clear_changes(w->s);
}

static void tick(struct world *w)
{
	struct place p;

	assert_int_equal(sched_tick(w->s, w->now_us, NULL), 0);
	check_changes(w);
	CHECK(w, !next_start(w, &p), "run %" PRId64 " t%d could start", p.run->id, p.task);
	for (int k = 0; k < RUNS_MAX; k++)
		for (int i = 0; w->runs[k].dag && i < w->runs[k].dag->ntasks; i++) {
			struct task_view view;
			p = (struct place){ &w->runs[k], i };
			if (!is_waiting(task_of(&p)))
				continue;
			assert_true(sched_task_view(w->s, p.run->id, i, &view));
			CHECK(w, view.state == TASK_QUEUED, "t%d is silent", i);
			CHECK(w,
				view.reason == REASON_SLOT_WAIT ||
					view.reason == REASON_DAG_LIMIT ||
					view.reason == REASON_POOL_FULL,
				"t%d waits because of %s", i, reason_name(view.reason));
			w->waits[view.reason]++;
		}
}

static void end_one(struct world *w)
{
	for (int k = 0, from = below(w, RUNS_MAX); k < RUNS_MAX; k++) {
		struct mrun *r = &w->runs[(from + k) % RUNS_MAX];
		for (int i = 0; r->dag && i < r->dag->ntasks; i++) {
			const struct attempt_end e = { .token = r->tasks[i].token,
				.outcome = OUTCOME_SUCCESS };
			if (r->tasks[i].state != TASK_RUNNING || below(w, 3) == 0)
				continue;
			assert_true(sched_attempt_ended(w->s, &e, w->now_us));
			check_changes(w);
			return;
		}
	}
}

static void change_limits(struct world *w)
{
	int pool = below(w, POOLS), lane = below(w, LANES);

	w->pools[pool] = below(w, 6);
	w->lanes[lane] = below(w, 7);
	assert_int_equal(sched_set_pool(w->s, pool_names[pool], w->pools[pool]), 0);
	assert_int_equal(sched_set_lane(w->s, lane, w->lanes[lane]), 0);
}

static void step(struct world *w)
{
	struct mrun *r = &w->runs[below(w, RUNS_MAX)];
	int what = below(w, 20);

	w->now_us += below(w, 3) ? below(w, 100) * US_PER_SECOND : 0;
	if (what < 7) {
		add_run(w);
	} else if (what < 14) {
		end_one(w);
	} else if (what < 15) {
		change_limits(w);
	} else if (what < 16 && r->dag) {
		sched_cancel_run(w->s, r->id, false, w->now_us);
		check_changes(w);
	} else if (what < 17 && r->dag) {
		drop_run(w, r);
	} else if (what < 18 && below(w, 4) == 0) {
		crash(w);
	}
	if (below(w, 4))
		tick(w);
}

/* With no new runs and all limits open all that waits starts, in the end. */
static void run_dry(struct world *w)
{
	for (int k = 0; k < POOLS; k++) {
		w->pools[k] = 1 + below(w, 3);
		assert_int_equal(sched_set_pool(w->s, pool_names[k], w->pools[k]), 0);
	}
	for (int k = 0; k < LANES; k++) {
		w->lanes[k] = 1 + below(w, 3);
		assert_int_equal(sched_set_lane(w->s, k, w->lanes[k]), 0);
	}
	for (int n = 0; n < 1000; n++) {
		bool open = false;
		tick(w);
		for (int k = 0; k < RUNS_MAX; k++)
			open |= w->runs[k].dag && !sched_run_idle(w->s, w->runs[k].id);
		if (!open)
			return;
		end_one(w);
	}
	CHECK(w, false, "something waits for ever");
}

static void play(struct world *w)
{
	w->now_us = US_PER_HOUR;
	for (int k = 0; k < POOLS; k++)
		w->pools[k] = 1 + below(w, 5);
	for (int k = 0; k < LANES; k++)
		w->lanes[k] = 1 + below(w, 8);
	for (int k = 0; k < DAGS; k++)
		w->limits[k] = below(w, 2) ? 0 : 1 + below(w, 4);
	w->next_token = 1;
	new_sched(w);
	for (int n = 0; n < STEPS; n++)
		step(w);
	run_dry(w);
	for (int k = 0; k < RUNS_MAX; k++)
		if (w->runs[k].dag)
			drop_run(w, &w->runs[k]);
	sched_free(w->s);
}

static void test_against_model(void **state)
{
	const char *seed = getenv("WEIR_SEED"), *rounds = getenv("WEIR_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	int n = rounds ? atoi(rounds) : ROUNDS, starts = 0, crashes = 0, waits[REASON_MAX] = { 0 };

	(void)state;
	printf("# WEIR_SEED=%" PRIu64 "\n", first);
	for (int i = 0; i < n; i++) {
		struct world w = { .seed = first, .round = i };
		rng_init(&w.rng, first + (uint64_t)i);
		play(&w);
		starts += w.starts;
		crashes += w.crashes;
		for (int k = 0; k < REASON_MAX; k++)
			waits[k] += w.waits[k];
	}
	printf("# %d rounds, %d starts, %d crashes; waits for a job %d, a DAG %d, a pool %d\n", n,
		starts, crashes, waits[REASON_SLOT_WAIT], waits[REASON_DAG_LIMIT],
		waits[REASON_POOL_FULL]);
	assert_true(waits[REASON_SLOT_WAIT] && waits[REASON_DAG_LIMIT] && waits[REASON_POOL_FULL]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
