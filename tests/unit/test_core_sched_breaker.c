/* Tasks and their circuit breakers in the scheduler: who is held, by which, and what lets it go.
 * Random scenarios are in tests/prop/prop_breaker.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "core/breaker.h"
#include "core/model.h"
#include "core/sched.h"

#define S US_PER_SECOND

static const struct breaker_policy policy = { .failures = 2,
	.window_us = 60 * S,
	.open_us = 10 * S,
	.max_open_us = 60 * S,
	.factor = 2,
	.probes = 1,
	.ramp = 2,
	.counts = 1u << BREAKER_TRANSIENT | 1u << BREAKER_TIMEOUT };

static const char *const api[] = { "api", NULL }, *const both[] = { "api", "db", NULL },
			 *const nobody[] = { "nobody", NULL },
			 *const sales[] = { "quality:sales", NULL };

static struct dag *make(const char *name, const struct task *tasks, int n)
{
	struct dag *dag = dag_new();
	int cycle[16], len;

	dag->name = name;
	dag->ntasks = n;
	dag->tasks = arena_array(&dag->arena, (size_t)n, sizeof *dag->tasks);
	for (int i = 0; i < n; i++) {
		dag->tasks[i] = tasks[i];
		dag->tasks[i].index = i;
	}
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}
#define MAKE(name, ...)                                  \
	make(name, (const struct task[]){ __VA_ARGS__ }, \
		(int)(sizeof((const struct task[]){ __VA_ARGS__ }) / sizeof(struct task)))

static struct sched *make_sched(void)
{
	struct sched *s = sched_new(&(struct sched_config){ .max_running = 10, .seed = 1 });

	assert_non_null(s);
	sched_set_tokens(s, 1, 1000);
	assert_int_equal(sched_set_breaker(s, "api", &policy), 0);
	assert_int_equal(sched_set_breaker(s, "db", &policy), 0);
	return s;
}

static void add(struct sched *s, int64_t id, struct dag *dag, int64_t now_us)
{
	const struct run_init run = { .run_id = id, .dag = dag };

	assert_int_equal(sched_add_run(s, &run, now_us, NULL), 0);
	dag_unref(dag);
}

/* "start 1a; api open breaker_tripped": what a tick says of starts and breakers, and what came
 * before it. */
static const char *tick(struct sched *s, int64_t now_us)
{
	static char text[600];
	size_t n, len = 0;

	assert_int_equal(sched_tick(s, now_us, NULL), 0);
	const struct change *c = sched_changes(s, &n);
	text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		const char *between = len ? "; " : "";
		if (c[i].kind == CHANGE_START)
			len += (size_t)snprintf(text + len, sizeof text - len, "%sstart %d%s",
				between, (int)c[i].run_id, c[i].task);
		else if (c[i].kind == CHANGE_BREAKER && c[i].reason != REASON_NONE)
			len += (size_t)snprintf(text + len, sizeof text - len, "%s%s %s %s",
				between, c[i].breaker.name, breaker_state_name(c[i].breaker.to),
				reason_name(c[i].reason));
	}
	sched_clear_changes(s);
	return text;
}

static void end(struct sched *s, int64_t token, enum outcome outcome, int64_t now_us)
{
	const struct attempt_end e = { .token = token, .outcome = outcome, .exit_status = 1 };

	assert_true(sched_attempt_ended(s, &e, now_us));
}

/* "held api", "skipped -" */
static const char *state_of(struct sched *s, int64_t run, int task)
{
	static char text[100];
	struct task_view v;

	assert_true(sched_task_view(s, run, task, &v));
	assert_int_equal(v.breaker != NULL, v.state == TASK_HELD);
	snprintf(text, sizeof text, "%s %s", task_state_name(v.state), v.breaker ? v.breaker : "-");
	return text;
}

static void test_of_two(void **state)
{
	struct sched *s = make_sched();

	(void)state;
	add(s, 1, MAKE("d", { .name = "a", .breakers = both }, { .name = "b", .breakers = both }),
		1);
	assert_string_equal(tick(s, 1), "start 1a; start 1b");
	end(s, 1, OUTCOME_FAILED, 2);
	end(s, 2, OUTCOME_TIMEOUT, 2);
	assert_string_equal(tick(s, 2), "api open breaker_tripped; db open breaker_tripped");
	/* Of a person only one of the two. */
	sched_load_breaker(s, "api", "v1 closed 3 0 0 0", 3);
	add(s, 2, MAKE("d", { .name = "c", .breakers = both }), 3);
	assert_string_equal(tick(s, 3), "");
	assert_string_equal(state_of(s, 2, 0), "held db");
	assert_int_equal(sched_wake_us(s), 2 + 10 * S);
	assert_string_equal(tick(s, 2 + 10 * S), "db half_open breaker_due; start 2c");
	/* A probe that is cancelled leaves its place to the next. */
	add(s, 3, MAKE("d", { .name = "e", .breakers = both }), 3 + 10 * S);
	assert_string_equal(tick(s, 3 + 10 * S), "");
	assert_string_equal(state_of(s, 3, 0), "held db");
	sched_drop_run(s, 2);
	tick(s, 4 + 10 * S);
	assert_string_equal(tick(s, sched_wake_us(s)), "start 3e");
	end(s, 4, OUTCOME_SUCCESS, 20 * S);
	assert_string_equal(tick(s, 20 * S), "db closed probes_passed");
	sched_free(s);
}

static void test_at_once(void **state)
{
	static const int needs[] = { 0 };
	struct sched *s = make_sched();

	(void)state;
	sched_load_breaker(s, "api", "v1 open 1 9223372036854775807 0 0", 1);
	add(s, 1,
		MAKE("d", { .name = "skip", .breakers = api, .on_open = ON_OPEN_SKIP },
			{ .name = "after", .needs = needs, .nneeds = 1 },
			{ .name = "fail",
				.breakers = api,
				.on_open = ON_OPEN_FAIL,
				.retry = { .retries = 9 } },
			{ .name = "hold", .breakers = api }, { .name = "free" },
			{ .name = "unset", .breakers = nobody }),
		1);
	assert_string_equal(tick(s, 1), "start 1free; start 1unset");
	assert_string_equal(state_of(s, 1, 0), "skipped -");
	assert_string_equal(state_of(s, 1, 1), "skipped -");
	assert_string_equal(state_of(s, 1, 2), "failed -");
	assert_string_equal(state_of(s, 1, 3), "held api");
	/* It waits for a person, not for a timer. */
	assert_int_equal(sched_wake_us(s), INT64_MAX);
	/* What is paused meanwhile is not started by its breaker. */
	sched_hold(s, &(struct sched_hold){ 1, -1, true, REASON_PAUSED });
	sched_load_breaker(s, "api", "v1 closed 5 0 0 5", 5);
	assert_string_equal(tick(s, 5), "");
	sched_hold(s, &(struct sched_hold){ 1, -1, false, REASON_PAUSED });
	assert_string_equal(tick(s, 6), "start 1hold");
	sched_free(s);
}

static void test_cancelled(void **state)
{
	struct sched *s = make_sched();

	(void)state;
	sched_load_breaker(s, "api", "v1 open 1 9223372036854775807 0 0", 1);
	add(s, 1, MAKE("d", { .name = "a", .breakers = api }), 1);
	tick(s, 1);
	assert_string_equal(state_of(s, 1, 0), "held api");
	sched_cancel_run(s, 1, false, 2);
	tick(s, 2);
	assert_string_equal(state_of(s, 1, 0), "cancelled -");
	assert_true(sched_run_idle(s, 1));
	sched_load_breaker(s, "api", "v1 closed 5 0 0 5", 5);
	assert_string_equal(tick(s, 5), "");
	sched_free(s);
}

static void judge(struct sched *s, int64_t token, double score, int64_t now_us)
{
	const struct attempt_end e = { .token = token,
		.outcome = score < 0.5 ? OUTCOME_FAILED : OUTCOME_SUCCESS,
		.permanent = true,
		.has_score = true,
		.score = score };

	assert_true(sched_attempt_ended(s, &e, now_us));
}

static void add_check(struct sched *s, int64_t id, int64_t now_us)
{
	add(s, id,
		MAKE("check",
			{ .name = "q", .quality_breaker = "quality:sales", .score_below = 0.95 }),
		now_us);
}

/* A restart in the middle of a ramp: what was held goes on one after the other. */
static void test_ramp_goes_on(void **state)
{
	struct sched *s = make_sched();
	struct dag *dag = MAKE("d", { .name = "a", .breakers = api },
		{ .name = "b", .breakers = api }, { .name = "c", .breakers = api });
	struct task_init init[3];
	const struct run_init run = {
		.run_id = 1, .dag = dag, .state = RUN_RUNNING, .tasks = init, .resume = true
	};

	(void)state;
	for (int i = 0; i < 3; i++)
		init[i] = (struct task_init){
			.state = TASK_HELD, .reason = REASON_BREAKER_OPEN, .selected = true
		};
	assert_int_equal(sched_load_breaker(s, "api", "v1 closed 5000000 0 0 5000000", 9 * S), 0);
	assert_int_equal(sched_add_run(s, &run, 9 * S, NULL), 0);
	assert_string_equal(tick(s, 9 * S), "start 1a");
	assert_int_equal(sched_wake_us(s), 9 * S + S / 2);
	assert_string_equal(tick(s, 9 * S + S / 2), "start 1b");
	assert_string_equal(tick(s, 10 * S), "start 1c");
	sched_free(s);
	dag_unref(dag);
}

/* They come in one run after the other; what ends meanwhile does not end the ramp. */
static void test_ramp_of_two_runs(void **state)
{
	struct sched *s = make_sched();
	struct dag *dag = MAKE("d", { .name = "a", .breakers = api });
	struct task_init init = {
		.state = TASK_HELD, .reason = REASON_BREAKER_OPEN, .selected = true
	};
	struct run_init run = {
		.run_id = 1, .dag = dag, .state = RUN_RUNNING, .tasks = &init, .resume = true
	};

	(void)state;
	assert_int_equal(sched_load_breaker(s, "api", "v1 closed 5000000 0 0 5000000", 9 * S), 0);
	assert_int_equal(sched_add_run(s, &run, 9 * S, NULL), 0);
	assert_string_equal(tick(s, 9 * S), "start 1a");
	end(s, 1, OUTCOME_SUCCESS, 9 * S + 1);
	assert_string_equal(tick(s, 9 * S + 1), "");
	run.run_id = 2;
	assert_int_equal(sched_add_run(s, &run, 9 * S + 2, NULL), 0);
	assert_string_equal(tick(s, 9 * S + 2), "");
	assert_string_equal(tick(s, 9 * S + S / 2), "start 2a");
	sched_free(s);
	dag_unref(dag);
}

/* What is taken back before it is committed was not counted: whoever settles the run tells of it.
 */
static void test_taken_back(void **state)
{
	struct sched *s = make_sched();
	struct dag *dag = MAKE("d", { .name = "a", .breakers = api });
	struct task_init init = { .state = TASK_RUNNING, .token = 7, .tries = 1, .selected = true };
	const struct run_init run = {
		.run_id = 1, .dag = dag, .state = RUN_RUNNING, .tasks = &init, .settling = true
	};

	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(sched_add_run(s, &run, 1, NULL), 0);
		end(s, 7, OUTCOME_FAILED, 2);
		sched_forget_changes(s, 1);
		sched_drop_run(s, 1);
		assert_string_equal(tick(s, 3), "");
	}
	assert_int_equal(sched_add_run(s, &run, 4, NULL), 0);
	end(s, 7, OUTCOME_FAILED, 4);
	assert_string_equal(tick(s, 4), "");
	sched_drop_run(s, 1);
	/* That one counts. */
	sched_set_tokens(s, 8, 1000);
	add(s, 2, MAKE("d", { .name = "b", .breakers = api }), 5);
	assert_string_equal(tick(s, 5), "start 2b");
	end(s, 8, OUTCOME_FAILED, 6);
	assert_string_equal(tick(s, 6), "api open breaker_tripped");
	/* A probe that ended and is taken back leaves its place to another. */
	add(s, 3, MAKE("d", { .name = "c", .breakers = api }), 20 * S);
	assert_string_equal(tick(s, 20 * S), "api half_open breaker_due; start 3c");
	end(s, 9, OUTCOME_SUCCESS, 21 * S);
	sched_forget_changes(s, 3);
	sched_drop_run(s, 3);
	add(s, 4, MAKE("d", { .name = "e", .breakers = api }), 22 * S);
	assert_string_equal(tick(s, 22 * S), "start 4e");
	sched_free(s);
	dag_unref(dag);
}

/* The clock is set back: nothing is held for longer. */
static void test_clock_set_back(void **state)
{
	const int64_t late = 3600 * S;
	struct sched *s = make_sched();

	(void)state;
	add(s, 1, MAKE("d", { .name = "a", .breakers = api }, { .name = "b", .breakers = api }),
		late);
	assert_string_equal(tick(s, late), "start 1a; start 1b");
	end(s, 1, OUTCOME_FAILED, late);
	end(s, 2, OUTCOME_FAILED, late);
	assert_string_equal(tick(s, late), "api open breaker_tripped");
	add(s, 2, MAKE("d", { .name = "c", .breakers = api }, { .name = "d", .breakers = api }),
		late);
	assert_string_equal(tick(s, late), "");
	assert_string_equal(tick(s, 5 * S), "");
	assert_int_equal(sched_wake_us(s), 15 * S);
	assert_string_equal(tick(s, 15 * S), "api half_open breaker_due; start 2c");
	end(s, 3, OUTCOME_SUCCESS, 16 * S);
	assert_string_equal(tick(s, 16 * S), "api closed probes_passed; start 2d");
	sched_free(s);
	/* An end is the first to tell of it. */
	s = make_sched();
	sched_load_breaker(s, "api", "v1 open 1 10 10 0", late);
	add(s, 1, MAKE("d", { .name = "a", .breakers = api }, { .name = "b", .breakers = api }),
		late);
	assert_string_equal(tick(s, late), "api half_open breaker_due; start 1a");
	add(s, 2, MAKE("d", { .name = "c", .breakers = api }), late);
	assert_string_equal(tick(s, late), "");
	end(s, 1, OUTCOME_SUCCESS, 5 * S);
	assert_string_equal(tick(s, 5 * S), "api closed probes_passed; start 1b");
	assert_string_equal(tick(s, 5 * S + S / 2), "start 2c");
	sched_free(s);
}

/* A choice uses nothing of what is shared: it is no probe, and its success closes nothing. */
static void test_choice_is_no_probe(void **state)
{
	struct sched *s = make_sched();

	(void)state;
	sched_load_breaker(s, "api", "v1 open 1 10 10 0", 1);
	add(s, 1,
		MAKE("d", { .name = "pick", .breakers = api, .chooses = true, .priority = 9 },
			{ .name = "load", .breakers = api }),
		20);
	assert_string_equal(tick(s, 20), "api half_open breaker_due; start 1pick; start 1load");
	end(s, 1, OUTCOME_SUCCESS, 21);
	assert_string_equal(tick(s, 21), "");
	end(s, 2, OUTCOME_SUCCESS, 22);
	assert_string_equal(tick(s, 22), "api closed probes_passed");
	sched_free(s);
}

static void test_quality(void **state)
{
	struct sched *s = make_sched();
	struct task_view v;

	(void)state;
	add_check(s, 1, 1);
	assert_string_equal(tick(s, 1), "start 1q");
	judge(s, 1, 0.9, 2);
	assert_string_equal(tick(s, 2), "quality:sales open quality_low");
	add(s, 2, MAKE("read", { .name = "r", .breakers = sales }), 3);
	assert_string_equal(tick(s, 3), "");
	assert_string_equal(state_of(s, 2, 0), "held quality:sales");
	/* It stays open, also when it is as bad again, or worse. */
	add_check(s, 3, 4);
	assert_string_equal(tick(s, 1000000 * S), "start 3q");
	judge(s, 2, 0.1, 1000001 * S);
	assert_string_equal(tick(s, 1000001 * S), "");
	/* A check that says nothing changes nothing. */
	add_check(s, 4, 1000002 * S);
	assert_string_equal(tick(s, 1000002 * S), "start 4q");
	end(s, 3, OUTCOME_SUCCESS, 1000003 * S);
	assert_string_equal(tick(s, 1000003 * S), "");
	add_check(s, 5, 1000004 * S);
	tick(s, 1000004 * S);
	judge(s, 4, 0.95, 1000005 * S);
	assert_string_equal(tick(s, 1000005 * S), "quality:sales closed quality_good; start 2r");
	/* Its consumers' own failures do not open it. */
	for (int i = 0; i < 30; i++) {
		end(s, 5 + i, OUTCOME_FAILED, 1000006 * S);
		add(s, 10 + i, MAKE("read", { .name = "r", .breakers = sales }), 1000006 * S);
		tick(s, 1000006 * S);
	}
	assert_true(sched_task_view(s, 39, 0, &v));
	assert_int_equal(v.state, TASK_RUNNING);
	sched_free(s);
}

/* Out of weir.yaml: it holds nothing, and is closed; back in it, it begins anew. */
static void test_removed(void **state)
{
	struct sched *s = make_sched();

	(void)state;
	for (int i = 1; i <= 2; i++) {
		add(s, i, MAKE("a", { .name = "t", .breakers = api }), i);
		tick(s, i);
		end(s, i, OUTCOME_FAILED, i);
	}
	add(s, 3, MAKE("a", { .name = "t", .breakers = api }), 3);
	assert_string_equal(tick(s, 3), "api open breaker_tripped");
	assert_string_equal(state_of(s, 3, 0), "held api");
	assert_int_equal(sched_remove_breaker(s, "api", 4), 0);
	assert_string_equal(tick(s, 4), "api closed breaker_removed; start 3t");
	end(s, 3, OUTCOME_FAILED, 5);
	assert_string_equal(tick(s, 5), "");
	/* One that is closed is gone without a word. */
	assert_int_equal(sched_remove_breaker(s, "db", 6), 0);
	assert_string_equal(tick(s, 6), "");
	assert_int_equal(sched_set_breaker(s, "api", &policy), 0);
	add(s, 4, MAKE("a", { .name = "t", .breakers = api }), 7);
	assert_string_equal(tick(s, 7), "start 4t");
	sched_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_of_two),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_cancelled),
		cmocka_unit_test(test_ramp_goes_on),
		cmocka_unit_test(test_ramp_of_two_runs),
		cmocka_unit_test(test_taken_back),
		cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_choice_is_no_probe),
		cmocka_unit_test(test_quality),
		cmocka_unit_test(test_removed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
