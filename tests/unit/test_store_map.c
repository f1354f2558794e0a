/* Instances of mapped tasks in the store: both backends by the same rules. */
#include "tests/lib/store_fixture.h"

static struct change item(int64_t run, const char *task, int map_index, const char *text)
{
	return (struct change){ .kind = CHANGE_ITEM,
		.reason = REASON_MAPPED,
		.at_us = 4000000,
		.run_id = run,
		.task = task,
		.map_index = map_index,
		.item = text };
}

static struct change of(struct change c, int map_index)
{
	c.map_index = map_index;
	return c;
}

static void check_row(const struct task_row *t, const char *name, int map_index, const char *text)
{
	assert_string_equal(t->name, name);
	assert_int_equal(t->map_index, map_index);
	if (text)
		assert_string_equal(t->item, text);
	else
		assert_null(t->item);
}

/* They stand behind their task, in their order, and have states, attempts and events of their own;
 * a run counts its tasks without them. */
static void test_instances(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	struct store_result r;
	int64_t id, epoch, first;

	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 10, &first, &f->err));
	const struct change c[] = {
		item(id, "payments", 0, "\"eu\""),
		item(id, "payments", 1, "{\"a\":1}"),
		item(id, "orders", 0, "7"),
		task_change(id, "payments", TASK_NONE, TASK_DEFERRED, REASON_MAPPED),
		of(task_change(id, "payments", TASK_NONE, TASK_RUNNING, REASON_STARTED), 1),
		of(start(id, "payments", 1, first), 1),
		of(ended(id, "payments", first, OUTCOME_FAILED), 1),
		of(task_change(id, "payments", TASK_RUNNING, TASK_FAILED, REASON_EXIT_STATUS), 1),
	};
	OK(f, commit(f, id, epoch, c, sizeof c / sizeof *c));
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 6);
	check_row(&r.tasks[0], "orders", -1, NULL);
	check_row(&r.tasks[1], "orders", 0, "7");
	check_row(&r.tasks[2], "payments", -1, NULL);
	check_row(&r.tasks[3], "payments", 0, "\"eu\"");
	check_row(&r.tasks[4], "payments", 1, "{\"a\":1}");
	assert_int_equal(r.tasks[2].state, TASK_DEFERRED);
	assert_int_equal(r.tasks[3].state, TASK_NONE);
	assert_int_equal(r.tasks[4].state, TASK_FAILED);
	assert_int_equal(r.tasks[4].token, first);
	store_result_release(&r);
	OK(f, store_attempts(f->s, id, "payments", &r, &f->err));
	assert_int_equal(r.n, 1);
	assert_int_equal(r.attempts[0].map_index, 1);
	store_result_release(&r);
	OK(f, store_events(f->s, id, "payments", &r, &f->err));
	assert_int_equal(r.n, 3);
	assert_int_equal(r.events[0].map_index, -1);
	assert_int_equal(r.events[1].map_index, 1);
	store_result_release(&r);
	OK(f, store_runs(f->s, &(struct run_filter){ .state = -1 }, &r, &f->err));
	assert_int_equal(r.runs[0].ntasks, 3);
	assert_int_equal(r.runs[0].nfailed, 0);
	store_result_release(&r);
}

static void check_hash(struct fixture *f, int64_t id, const char *want)
{
	struct store_result r;

	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_string_equal(r.tasks[2].name, "daily");
	assert_string_equal(r.tasks[2].hash, want);
	store_result_release(&r);
}

/* The definition of a mapped task is the one it had when its list was made. */
static void test_hash(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;

	open_run(f, &o, &id, &epoch);
	struct change c = task_change(id, "daily", TASK_NONE, TASK_DEFERRED, REASON_MAPPED);
	c.state.hash = "one";
	OK(f, commit(f, id, epoch, &c, 1));
	c = task_change(id, "daily", TASK_DEFERRED, TASK_FAILED, REASON_INSTANCES_FAILED);
	c.state.hash = "two";
	OK(f, commit(f, id, epoch, &c, 1));
	c = task_change(id, "daily", TASK_FAILED, TASK_DEFERRED, REASON_MAPPED);
	c.state.hash = "two";
	OK(f, commit(f, id, epoch, &c, 1));
	check_hash(f, id, "one"); /* what is kept of it is of that one */
	c = task_change(id, "daily", TASK_DEFERRED, TASK_NONE, REASON_CLEARED);
	c.state.hash = "two";
	OK(f, commit(f, id, epoch, &c, 1));
	c = task_change(id, "daily", TASK_NONE, TASK_DEFERRED, REASON_MAPPED);
	c.state.hash = "two";
	OK(f, commit(f, id, epoch, &c, 1));
	check_hash(f, id, "two");
}

/* A new list: what waits has another item; what has begun has not. */
static void test_new_items(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	struct store_result r;
	int64_t id, epoch;

	open_run(f, &o, &id, &epoch);
	struct change c[] = { item(id, "daily", 0, "1"), item(id, "daily", 1, "2"),
		of(task_change(id, "daily", TASK_NONE, TASK_SKIPPED, REASON_ITEM_GONE), 1) };
	OK(f, commit(f, id, epoch, c, 3));
	c[0].item = "10";
	OK(f, commit(f, id, epoch, c, 1));
	OK(f, store_tasks(f->s, id, &r, &f->err));
	check_row(&r.tasks[3], "daily", 0, "10");
	store_result_release(&r);
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c[1], 1));
	SAYS(f, "task daily[1] of run 1 is skipped, and cannot have another item");
	/* All or nothing: what was added goes with it. */
	struct change more[] = { item(id, "daily", 2, "3"), c[0], c[1] };
	more[1].item = "11";
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, more, 3));
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 5);
	check_row(&r.tasks[3], "daily", 0, "10");
	store_result_release(&r);
	OK(f, commit(f, id, epoch, more, 2));
	/* The run is taken up again with its tasks: instances stay. */
	OK(f, store_run_close(f->s, id, epoch, &f->err));
	open_run(f, &o, &id, &epoch);
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 6);
	check_row(&r.tasks[5], "daily", 2, "3");
	store_result_release(&r);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;

	open_run(f, &o, &id, &epoch);
	struct change c = item(id, "nothing", 0, "1");
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c, 1));
	SAYS(f, "has no task nothing");
	c = item(id, "daily", -1, "1");
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c, 1));
	SAYS(f, "an instance without its item");
	c = item(id, "daily", 0, NULL);
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c, 1));
	c = of(task_change(id, "daily", TASK_NONE, TASK_QUEUED, REASON_SLOT_WAIT), 0);
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c, 1));
	SAYS(f, "has no task daily (map index 0)");
}

/* How long the tasks took is not told by instances. */
static void test_times(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	struct store_result r;
	int64_t id, epoch, first;

	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 10, &first, &f->err));
	const struct change c[] = {
		item(id, "daily", 0, "1"),
		of(task_change(id, "daily", TASK_NONE, TASK_RUNNING, REASON_STARTED), 0),
		of(start(id, "daily", 1, first), 0),
		of(ended(id, "daily", first, OUTCOME_SUCCESS), 0),
		of(task_change(id, "daily", TASK_RUNNING, TASK_SUCCESS, REASON_SUCCEEDED), 0),
		run_change(id, RUN_QUEUED, RUN_SUCCESS, 9000000),
	};
	OK(f, commit(f, id, epoch, c, sizeof c / sizeof *c));
	OK(f, store_task_times(f->s, "sales", 5, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	/* They go with their run. */
	OK(f, store_prune(f->s, 10000000, 5, &r, &f->err));
	assert_int_equal(r.n, 1);
	store_result_release(&r);
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_instances),
		BOTH(test_hash),
		BOTH(test_new_items),
		BOTH(test_refused),
		BOTH(test_times),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
