/* Which piece of work an attempt belongs to, and what becomes of results that come late. */
#include "tests/lib/store_fixture.h"

#include "core/model.h"
#include "core/sched.h"
#include "exec/exec.h"

struct world {
	struct fixture *f;
	struct sched *s;
	struct dag *dag;
	int64_t run, epoch, work; /* work: of the last start */
	int64_t now_us;
};

/* One task that may be retried often. */
static struct dag *new_dag(void)
{
	struct dag *dag = dag_new();
	static int cycle[2];
	int len;

	dag->ntasks = 1;
	dag->tasks = arena_array(&dag->arena, 1, sizeof *dag->tasks);
	dag->tasks[0].name = "orders";
	dag->tasks[0].retry = (struct retry_policy){ .retries = 9, .lost_retries = 9 };
	assert_int_equal(dag_seal(dag, cycle, &len, NULL), 0);
	return dag;
}

/* Commit what the scheduler decided; before that, as the engine does, ask for the work. */
static void step(struct world *w)
{
	size_t n;

	w->now_us += 3600 * 1000000LL; /* whatever a retry waits for */
	assert_int_equal(sched_tick(w->s, w->now_us, NULL), 0);
	const struct change *c = sched_changes(w->s, &n);
	for (size_t i = 0; i < n; i++)
		if (c[i].kind == CHANGE_START)
			w->work = c[i].attempt.work;
	OK(w->f, commit(w->f, w->run, w->epoch, c, n));
	sched_clear_changes(w->s);
}

static int64_t newest(struct world *w)
{
	struct task_view v;

	assert_true(sched_task_view(w->s, w->run, 0, &v));
	return v.token;
}

static void end_as(struct world *w, enum outcome outcome, bool refused)
{
	const struct attempt_end e = { .token = newest(w),
		.outcome = outcome,
		.refused = refused,
		.exit_status = outcome == OUTCOME_SUCCESS ? 0 : 1,
		.started_us = 1,
		.ended_us = 2 };

	assert_true(sched_attempt_ended(w->s, &e, w->now_us));
	step(w);
}

static void end(struct world *w, enum outcome outcome)
{
	end_as(w, outcome, false);
}

/* The run as another process takes it up; `clear`: its task is to be done again. */
static void take_up(struct world *w, bool clear)
{
	const struct sched_config config = { .max_running = 4, .seed = 1 };
	const struct run_open o = opening(w->f, "one", 19);
	struct store_result r;
	int64_t first;

	open_run(w->f, &o, &w->run, &w->epoch);
	OK(w->f, store_tasks(w->f->s, w->run, &r, &w->f->err));
	struct task_init init = { .selected = true, .clear = clear };
	for (size_t i = 0; i < r.n; i++) {
		const struct task_row *t = &r.tasks[i];
		if (strcmp(t->name, "orders") != 0)
			continue;
		init.state = t->state;
		init.tries = t->tries;
		init.failures = t->failures;
		init.lost = t->lost;
		init.due_us = t->due_us;
		init.token = t->token;
		init.work = t->work;
	}
	store_result_release(&r);
	OK(w->f, store_runs(w->f->s, &(struct run_filter){ .state = -1 }, &r, &w->f->err));
	const struct run_init run = {
		.run_id = w->run, .dag = w->dag, .tasks = &init, .state = r.runs[0].state
	};
	store_result_release(&r);
	sched_free(w->s);
	w->s = sched_new(&config);
	assert_int_equal(sched_add_run(w->s, &run, w->now_us, NULL), 0);
	OK(w->f, store_reserve_tokens(w->f->s, 50, &first, &w->f->err));
	sched_set_tokens(w->s, first, first + 50);
	step(w);
}

static void test_work(void **state)
{
	struct world w = { .f = *state, .dag = new_dag() };

	take_up(&w, false);
	int64_t first = newest(&w);
	assert_int_equal(w.work, first);
	end(&w, OUTCOME_LOST);
	assert_int_not_equal(newest(&w), first);
	assert_int_equal(w.work, first);
	end(&w, OUTCOME_FAILED);
	assert_int_equal(w.work, first);
	/* What the machine refused is counted nowhere, and belongs to it all the same. */
	end_as(&w, OUTCOME_LOST, true);
	assert_int_equal(w.work, first);

	/* Another process goes on with it. */
	end(&w, OUTCOME_LOST);
	take_up(&w, false);
	assert_int_equal(w.work, first);
	end(&w, OUTCOME_SUCCESS);

	/* On purpose: another piece of work, and its own retries. */
	take_up(&w, true);
	int64_t second = newest(&w);
	assert_int_equal(w.work, second);
	end(&w, OUTCOME_LOST);
	assert_int_equal(w.work, second);
	/* Cancelled, and then wanted again. */
	end(&w, OUTCOME_CANCELLED);
	take_up(&w, false);
	assert_int_equal(w.work, newest(&w));
	sched_free(w.s);
	dag_unref(w.dag);
}

static void say_late(struct world *w, const struct exec_end *end)
{
	const struct late_end late = { .token = end->token,
		.outcome = end->outcome,
		.exit_status = end->exit_status,
		.ended_us = end->ended_us,
		.now_us = w->now_us };
	bool recorded;

	OK(w->f, store_late_end(w->f->s, &late, &recorded, &w->f->err));
}

static void test_late(void **state)
{
	struct world w = { .f = *state, .dag = new_dag() };
	struct exec_end late = { .outcome = OUTCOME_SUCCESS, .ended_us = 77 };
	struct store_result r;

	take_up(&w, false);
	late.token = newest(&w);
	say_late(&w, &late); /* in flight: no news */
	size_t before = count_events(w.f, w.run);
	end(&w, OUTCOME_LOST);
	size_t between = count_events(w.f, w.run);
	assert_true(between > before);
	say_late(&w, &late);
	say_late(&w, &late);
	OK(w.f, store_events(w.f->s, w.run, NULL, &r, &w.f->err));
	assert_int_equal(r.n, between + 1);
	assert_string_equal(r.events[r.n - 1].reason, "late_result");
	store_result_release(&r);
	check_state(w.f, w.run, "orders", TASK_RUNNING);
	sched_free(w.s);
	dag_unref(w.dag);
}

int main(void)
{
	const struct CMUnitTest tests[] = { BOTH(test_work), BOTH(test_late) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
