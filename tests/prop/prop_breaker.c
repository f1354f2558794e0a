/* Circuit breakers in the scheduler under random runs, ends, cancels, pauses, crashes and people.
 * Whatever happens: nothing starts while a breaker of it is open, no more probes are in flight than
 * allowed, those that were held start no faster than the ramp, no try of them is spent, and in the
 * end all of them are through.
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

#include "base/buf.h"
#include "base/rng.h"
#include "base/units.h"
#include "core/model.h"
#include "core/sched.h"

enum { RUNS = 4, TASKS = 12, BREAKERS = 2, TEXT = 1024, STEPS = 120, ROUNDS = 1500 };

static const char *const names[] = { "api", "warehouse", NULL };
static const char *const *const lists[] = { NULL, (const char *const[]){ "api", NULL },
	(const char *const[]){ "warehouse", NULL }, names,
	(const char *const[]){ "warehouse", "api", NULL } };

struct mtask {
	enum task_state state;
	int tries, failures, lost;
	int64_t due_us, token;
	unsigned probe; /* bits of the breakers it is a probe of, by era */
	int era[BREAKERS];
};

struct mrun {
	struct dag *dag; /* NULL: none */
	enum run_state state;
	bool paused, cancelled;
	struct mtask tasks[TASKS];
};

struct mbreaker {
	struct breaker_policy policy;
	enum breaker_state state; /* as changes told */
	int era;                  /* how often it changed */
	char text[TEXT];          /* as it would be stored; "": never */
	bool forced;
	int held;
	int64_t last_us; /* the last start of one of its tasks */
};

struct world {
	struct rng rng;
	uint64_t seed;
	struct sched *s;
	struct mrun runs[RUNS];
	struct mbreaker breakers[BREAKERS];
	int64_t now_us, next_token;
	bool peace; /* nothing fails any more */
	int starts, probes, held, skipped, failed, restarts, ramped;
};

static int below(struct world *w, int n)
{
	return (int)rng_below(&w->rng, (uint64_t)n);
}

#define CHECK(w, condition)                                                    \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "WEIR_SEED=%" PRIu64 "\n", (w)->seed); \
			fail_msg("%s", #condition);                            \
		}                                                              \
	} while (0)

static bool has_breaker(const struct mrun *r, int task, int k)
{
	const char *const *list = r->dag->tasks[task].breakers;

	while (list && *list && strcmp(*list, names[k]) != 0)
		list++;
	return list && *list;
}

static int find(const char *name)
{
	int k = 0;

	while (strcmp(names[k], name) != 0)
		k++;
	return k;
}

/* ---- what the scheduler says ----------------------------------------------------------- */

static int probes_in_flight(const struct world *w, int k)
{
	int n = 0;

	for (int i = 0; i < RUNS; i++)
		for (int t = 0; w->runs[i].dag && t < w->runs[i].dag->ntasks; t++) {
			const struct mtask *m = &w->runs[i].tasks[t];
			n += m->state == TASK_RUNNING && (m->probe & 1u << k) &&
			     m->era[k] == w->breakers[k].era;
		}
	return n;
}

static void hear_start(struct world *w, struct mrun *r, const struct change *c)
{
	struct mtask *t = &r->tasks[c->task_index];

	t->token = c->attempt.token;
	t->probe = 0;
	w->starts++;
	for (int k = 0; k < BREAKERS; k++) {
		struct mbreaker *b = &w->breakers[k];
		if (!has_breaker(r, c->task_index, k))
			continue;
		CHECK(w, b->state != BREAKER_OPEN);
		t->era[k] = b->era;
		if (b->state == BREAKER_HALF_OPEN) {
			t->probe |= 1u << k;
			CHECK(w, probes_in_flight(w, k) <= b->policy.probes);
			w->probes++;
		}
	}
}

static void hear_task(struct world *w, struct mrun *r, const struct change *c)
{
	struct mtask *t = &r->tasks[c->task_index];

	CHECK(w, t->state == c->state.from);
	if (c->state.to == TASK_HELD && c->reason == REASON_BREAKER_OPEN) {
		/* Nothing of it is spent. */
		CHECK(w, c->state.tries == t->tries && c->state.failures == t->failures &&
				 c->state.lost == t->lost);
		w->held++;
	}
	if (c->reason == REASON_BREAKER_OPEN) {
		enum on_open on_open = r->dag->tasks[c->task_index].on_open;
		CHECK(w, c->detail && has_breaker(r, c->task_index, find(c->detail)));
		CHECK(w, c->state.to != TASK_SKIPPED || on_open == ON_OPEN_SKIP);
		CHECK(w, c->state.to != TASK_FAILED || on_open == ON_OPEN_FAIL);
		CHECK(w, c->state.to == TASK_HELD ||
				 w->breakers[find(c->detail)].state != BREAKER_CLOSED);
		w->skipped += c->state.to == TASK_SKIPPED;
		w->failed += c->state.to == TASK_FAILED;
	}
	t->state = c->state.to;
	t->tries = c->state.tries;
	t->failures = c->state.failures;
	t->lost = c->state.lost;
	t->due_us = c->state.due_us;
}

static void hear_breaker(struct world *w, const struct change *c)
{
	struct mbreaker *b = &w->breakers[find(c->breaker.name)];

	CHECK(w, c->breaker.from == b->state);
	CHECK(w, (c->reason == REASON_NONE) == (c->breaker.from == c->breaker.to));
	b->era += c->breaker.from != c->breaker.to;
	b->state = c->breaker.to;
	snprintf(b->text, TEXT, "%s", c->breaker.text);
}

static void hear(struct world *w)
{
	size_t n;
	const struct change *list = sched_changes(w->s, &n);

	for (size_t i = 0; i < n; i++) {
		const struct change *c = &list[i];
		struct mrun *r = c->run_id ? &w->runs[c->run_id - 1] : NULL;
		if (c->kind == CHANGE_BREAKER)
			hear_breaker(w, c);
		else if (c->kind == CHANGE_TASK)
			hear_task(w, r, c);
		else if (c->kind == CHANGE_START)
			hear_start(w, r, c);
		else if (c->kind == CHANGE_RUN)
			r->state = c->run.to;
	}
}

static void count_held(void *arg, const struct sched_breaker *b)
{
	int *held = arg;

	held[find(b->name)] = b->held;
}

static int starts_of(struct world *w, int k)
{
	size_t n;
	const struct change *list = sched_changes(w->s, &n);
	int starts = 0;

	for (size_t i = 0; i < n; i++)
		starts += list[i].kind == CHANGE_START &&
			  has_breaker(&w->runs[list[i].run_id - 1], list[i].task_index, k);
	return starts;
}

/* As long as some are held by one that is closed, starts are apart. */
static void check_ramp(struct world *w, int k, const int *before, const int *after)
{
	struct mbreaker *b = &w->breakers[k];
	int n = starts_of(w, k);

	if (n == 0)
		return;
	if (b->state == BREAKER_CLOSED && before[k] > 0 && after[k] > 0) {
		CHECK(w, n == 1);
		CHECK(w, b->last_us == 0 ||
				 w->now_us - b->last_us >= US_PER_SECOND / b->policy.ramp);
		w->ramped++;
		b->last_us = w->now_us;
	} else {
		b->last_us = 0; /* of before: the probes, and those that came at the close */
	}
}

static void tick(struct world *w)
{
	int before[BREAKERS] = { 0 }, after[BREAKERS] = { 0 };

	hear(w);
	sched_clear_changes(w->s);
	sched_each_breaker(w->s, count_held, before);
	assert_int_equal(sched_tick(w->s, w->now_us, NULL), 0);
	sched_each_breaker(w->s, count_held, after);
	hear(w);
	for (int k = 0; k < BREAKERS; k++)
		check_ramp(w, k, before, after);
	sched_clear_changes(w->s);
}

/* Let time pass, with all that becomes due meanwhile. */
static void pass(struct world *w, int64_t us)
{
	int64_t until_us = w->now_us + us, wake_us;

	for (int i = 0; (wake_us = sched_wake_us(w->s)) <= until_us; i++) {
		CHECK(w, i < 100000);
		w->now_us = wake_us > w->now_us ? wake_us : w->now_us;
		tick(w);
	}
	w->now_us = until_us;
	tick(w);
}

/* ---- what happens ---------------------------------------------------------------------- */

static struct dag *make_dag(struct world *w)
{
	struct dag *dag = dag_new();
	int cycle[TASKS + 1], len;

	dag->name = "d";
	dag->tasks = arena_array(&dag->arena, TASKS, sizeof *dag->tasks);
	dag->ntasks = 1 + below(w, TASKS);
	for (int i = 0; i < dag->ntasks; i++) {
		int *needs = arena_array(&dag->arena, 1, sizeof *needs);
		bool has_need = i > 0 && below(w, 4) == 0;
		needs[0] = i > 0 ? below(w, i) : 0;
		dag->tasks[i] = (struct task){ .name = arena_printf(&dag->arena, "t%d", i),
			.index = i,
			.needs = needs,
			.nneeds = has_need,
			.pool = below(w, 4) ? NULL : "p",
			.slots = 1 + below(w, 2),
			.breakers = lists[below(w, 5)],
			.on_open = below(w, 5) ? ON_OPEN_HOLD : (enum on_open)below(w, ON_OPEN_MAX),
			.retry = { .retries = below(w, 4),
				.initial_us = below(w, 3) * US_PER_SECOND,
				.max_us = 5 * US_PER_SECOND,
				.factor = 2,
				.lost_retries = 3 } };
	}
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

static void set_up(struct world *w)
{
	w->s = sched_new(&(struct sched_config){ .max_running = 4, .seed = w->seed });
	assert_non_null(w->s);
	sched_set_tokens(w->s, w->next_token, w->next_token + 1000000);
	sched_set_pool(w->s, "p", 2);
	for (int k = 0; k < BREAKERS; k++) {
		const struct mbreaker *b = &w->breakers[k];
		assert_int_equal(sched_set_breaker(w->s, names[k], &b->policy), 0);
		if (b->text[0])
			assert_int_equal(sched_load_breaker(w->s, names[k], b->text, w->now_us), 0);
	}
}

static void pause_run(struct world *w, int i)
{
	sched_hold(w->s, &(struct sched_hold){ i + 1, -1, w->runs[i].paused, REASON_PAUSED });
}

static void add_run(struct world *w, int i, bool resume)
{
	struct task_init init[TASKS] = { 0 };
	struct mrun *r = &w->runs[i];

	for (int t = 0; t < r->dag->ntasks; t++) {
		const struct mtask *m = &r->tasks[t];
		init[t] = (struct task_init){ .state = m->state,
			.tries = m->tries,
			.failures = m->failures,
			.lost = m->lost,
			.due_us = m->due_us,
			.token = m->state == TASK_RUNNING ? m->token : 0,
			.selected = true };
	}
	const struct run_init run = {
		.run_id = i + 1, .dag = r->dag, .state = r->state, .tasks = init, .resume = resume
	};
	assert_int_equal(sched_add_run(w->s, &run, w->now_us, NULL), 0);
	pause_run(w, i);
}

static void step_run(struct world *w)
{
	int i = below(w, RUNS);
	struct mrun *r = &w->runs[i];

	if (r->dag && !sched_run_idle(w->s, i + 1))
		return;
	tick(w);
	if (r->dag) {
		sched_drop_run(w->s, i + 1);
		dag_unref(r->dag);
	}
	*r = (struct mrun){ .dag = make_dag(w) };
	add_run(w, i, false);
}

static void end_one(struct world *w, int i, int t)
{
	static const enum outcome bad[] = { OUTCOME_FAILED, OUTCOME_FAILED, OUTCOME_FAILED,
		OUTCOME_TIMEOUT, OUTCOME_LOST, OUTCOME_SKIPPED };
	struct attempt_end e = { .token = w->runs[i].tasks[t].token,
		.outcome = w->peace || below(w, 3) == 0 ? OUTCOME_SUCCESS : bad[below(w, 6)],
		.exit_status = 1 };

	e.permanent = e.outcome == OUTCOME_FAILED && below(w, 6) == 0;
	assert_true(sched_attempt_ended(w->s, &e, w->now_us));
	hear(w);
	sched_clear_changes(w->s);
}

static void step_end(struct world *w)
{
	for (int i = 0; i < RUNS; i++)
		for (int t = 0; w->runs[i].dag && t < w->runs[i].dag->ntasks; t++)
			if (w->runs[i].tasks[t].state == TASK_RUNNING && below(w, 3) == 0)
				end_one(w, i, t);
	tick(w);
}

static void step_time(struct world *w)
{
	pass(w, below(w, 3) ? below(w, 400) * US_PER_MS : below(w, 9000) * US_PER_MS);
}

static void step_pause(struct world *w)
{
	int i = below(w, RUNS);

	if (!w->runs[i].dag || below(w, 3))
		return;
	w->runs[i].paused = !w->runs[i].paused;
	pause_run(w, i);
	tick(w);
}

static void step_cancel(struct world *w)
{
	int i = below(w, RUNS);

	if (!w->runs[i].dag || below(w, 6))
		return;
	sched_cancel_run(w->s, i + 1, false, w->now_us);
	tick(w);
}

static void force(struct world *w, int k, bool open)
{
	struct mbreaker *m = &w->breakers[k];
	struct breaker b;
	struct buf text;

	breaker_parse(m->text, &b);
	if (open)
		breaker_force_open(&b, w->now_us);
	else
		breaker_force_closed(&b, w->now_us);
	buf_init(&text, TEXT);
	breaker_add(&text, &b);
	snprintf(m->text, TEXT, "%s", text.data);
	buf_release(&text);
	m->state = b.state;
	m->era++;
	m->forced = open;
	m->last_us = 0;
	assert_int_equal(sched_load_breaker(w->s, names[k], m->text, w->now_us), 0);
	tick(w);
}

static void step_person(struct world *w)
{
	if (below(w, 8) == 0)
		force(w, below(w, BREAKERS), below(w, 2));
}

static void step_crash(struct world *w)
{
	if (below(w, 8))
		return;
	tick(w);
	for (int i = 0; i < RUNS; i++)
		for (int t = 0; w->runs[i].dag && t < w->runs[i].dag->ntasks; t++) {
			struct mtask *m = &w->runs[i].tasks[t];
			m->probe = 0;
			if (m->token >= w->next_token)
				w->next_token = m->token + 1;
		}
	sched_free(w->s);
	set_up(w);
	for (int k = 0; k < BREAKERS; k++)
		w->breakers[k].last_us = 0;
	for (int i = 0; i < RUNS; i++)
		if (w->runs[i].dag)
			add_run(w, i, true);
	w->restarts++;
	tick(w);
}

/* Nothing fails any more, nobody holds anything: all come through. */
static void end_all(struct world *w)
{
	int held[BREAKERS] = { 0 };
	bool idle = false;

	w->peace = true;
	for (int k = 0; k < BREAKERS; k++)
		if (w->breakers[k].forced)
			force(w, k, false);
	for (int i = 0; i < RUNS; i++) {
		w->runs[i].paused = false;
		if (w->runs[i].dag)
			pause_run(w, i);
	}
	for (int round = 0; !idle; round++) {
		CHECK(w, round < 2000);
		pass(w, US_PER_SECOND);
		step_end(w);
		idle = true;
		for (int i = 0; i < RUNS; i++)
			idle &= !w->runs[i].dag || sched_run_idle(w->s, i + 1);
	}
	sched_each_breaker(w->s, count_held, held);
	for (int k = 0; k < BREAKERS; k++)
		CHECK(w, held[k] == 0);
}

static void play(struct world *w)
{
	static void (*const steps[])(struct world *) = { step_run, step_run, step_end, step_end,
		step_end, step_time, step_time, step_time, step_pause, step_cancel, step_person,
		step_crash };

	memset(w->runs, 0, sizeof w->runs);
	memset(w->breakers, 0, sizeof w->breakers);
	w->peace = false;
	w->now_us = INT64_C(1800000000000000);
	w->next_token = 1;
	for (int k = 0; k < BREAKERS; k++)
		w->breakers[k].policy = (struct breaker_policy){ .failures = 1 + below(w, 3),
			.rate = below(w, 3) ? 0 : 0.5,
			.at_least = 3,
			.window_us = 60 * US_PER_SECOND,
			.open_us = (1 + below(w, 8)) * US_PER_SECOND,
			.max_open_us = 20 * US_PER_SECOND,
			.factor = 2,
			.probes = 1 + below(w, 3),
			.ramp = 1 + below(w, 5),
			.counts = 1u << BREAKER_TRANSIENT | 1u << BREAKER_TIMEOUT };
	set_up(w);
	for (int i = 0; i < STEPS; i++)
		steps[below(w, sizeof steps / sizeof *steps)](w);
	end_all(w);
	sched_free(w->s);
	for (int i = 0; i < RUNS; i++)
		dag_unref(w->runs[i].dag);
}

static void test_breakers(void **state)
{
	const char *seed = getenv("WEIR_SEED"), *rounds = getenv("WEIR_ROUNDS");
	uint64_t first = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
	int n = rounds ? atoi(rounds) : seed ? 1 : ROUNDS;
	struct world w = { 0 };

	(void)state;
	for (int i = 0; i < n; i++) {
		w.seed = first + (uint64_t)i;
		rng_init(&w.rng, w.seed);
		play(&w);
	}
	printf("# %d starts, %d held, %d probes, %d in a ramp, %d skipped, %d failed, %d "
	       "restarts\n",
		w.starts, w.held, w.probes, w.ramped, w.skipped, w.failed, w.restarts);
	assert_true(n < 100 || (w.held > n && w.probes > n && w.ramped > n && w.skipped > n / 10 &&
				       w.failed > n / 10 && w.restarts > n / 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_breakers) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
