/* What tasks wait for, and what people decide, over every backend of the store. */
#include "tests/lib/store_fixture.h"

/* "task:state:decision " of what is listed. */
static void check_list(struct fixture *f, const char *want)
{
	char got[200] = "";
	struct store_result r;

	OK(f, store_approvals(f->s, &r, &f->err));
	for (size_t i = 0; i < r.n; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s %s:%s ",
			r.approvals[i].run, r.approvals[i].task, r.approvals[i].waits_for);
	assert_string_equal(got, want);
	store_result_release(&r);
}

static void check_decision(struct fixture *f, int64_t id, const char *task, const char *want)
{
	struct store_result r;

	OK(f, store_approval(f->s, id, task, &r, &f->err));
	assert_int_equal(r.n, 1);
	if (want)
		assert_string_equal(r.approvals[0].decision, want);
	else
		assert_null(r.approvals[0].decision);
	store_result_release(&r);
}

static void ask(struct fixture *f, int64_t id, int64_t epoch, const char *task, int64_t at_us)
{
	struct change c =
		task_change(id, task, TASK_NONE, TASK_AWAITING_INPUT, REASON_AWAITING_INPUT);

	c.at_us = at_us;
	c.state.due_us = 9000000;
	c.state.waits_for = "ok?";
	OK(f, commit(f, id, epoch, &c, 1));
}

static void move(
	struct fixture *f, int64_t id, int64_t epoch, enum task_state from, enum task_state to)
{
	struct change c = task_change(id, "orders", from, to, REASON_CLEARED);

	OK(f, commit(f, id, epoch, &c, 1));
}

static void test_decide(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	struct store_result r;
	int64_t id, epoch;

	open_run(f, &o, &id, &epoch);
	struct approval_put put = { .run_id = id,
		.task = "orders",
		.map_index = -1,
		.approved = true,
		.decision = "{\"by\":\"ann\"}",
		.now_us = 77 };
	FAILS(f, ERR_REFUSED, store_decide(f->s, &put, &f->err));
	SAYS(f, "task orders is none");
	check_list(f, "");
	ask(f, id, epoch, "payments", 6000000);
	ask(f, id, epoch, "orders", 5000000);
	check_list(f, "sales@2026-11-19 orders:ok? sales@2026-11-19 payments:ok? ");
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_string_equal(r.tasks[0].waits_for, "ok?");
	assert_int_equal(r.tasks[0].due_us, 9000000);
	assert_null(r.tasks[2].waits_for);
	store_result_release(&r);

	OK(f, store_decide(f->s, &put, &f->err));
	check_decision(f, id, "orders", "{\"by\":\"ann\"}");
	check_decision(f, id, "payments", NULL);
	check_list(f, "sales@2026-11-19 payments:ok? ");
	OK(f, store_events(f->s, id, "orders", &r, &f->err));
	assert_string_equal(r.events[r.n - 1].reason, "approved");
	assert_string_equal(r.events[r.n - 1].detail, "{\"by\":\"ann\"}");
	assert_int_equal(r.events[r.n - 1].at_us, 77);
	size_t nevents = r.n;
	store_result_release(&r);

	/* It can be said once, and of what is there. */
	put.approved = false;
	FAILS(f, ERR_REFUSED, store_decide(f->s, &put, &f->err));
	SAYS(f, "was decided already");
	put.task = "gone";
	FAILS(f, ERR_NOT_FOUND, store_decide(f->s, &put, &f->err));
	put.run_id = 4711;
	FAILS(f, ERR_NOT_FOUND, store_decide(f->s, &put, &f->err));
	OK(f, store_events(f->s, id, "orders", &r, &f->err));
	assert_int_equal(r.n, nevents);
	store_result_release(&r);
	OK(f, store_approval(f->s, id, "gone", &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
}

/* What was decided holds for the attempt that takes it, lost ones included, and no longer. */
static void test_decision_ends(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	struct store_result r;
	int64_t id, epoch;

	open_run(f, &o, &id, &epoch);
	ask(f, id, epoch, "orders", 5000000);
	const struct approval_put put = {
		.run_id = id, .task = "orders", .map_index = -1, .decision = "{}", .now_us = 77
	};
	OK(f, store_decide(f->s, &put, &f->err));
	OK(f, store_events(f->s, id, "orders", &r, &f->err));
	assert_string_equal(r.events[r.n - 1].reason, "rejected");
	store_result_release(&r);
	move(f, id, epoch, TASK_AWAITING_INPUT, TASK_RUNNING);
	check_decision(f, id, "orders", "{}");
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_null(r.tasks[0].waits_for);
	store_result_release(&r);
	move(f, id, epoch, TASK_RUNNING, TASK_UP_FOR_RETRY);
	check_decision(f, id, "orders", "{}");
	move(f, id, epoch, TASK_UP_FOR_RETRY, TASK_AWAITING_INPUT);
	check_decision(f, id, "orders", NULL);
	OK(f, store_decide(f->s, &put, &f->err));
	move(f, id, epoch, TASK_AWAITING_INPUT, TASK_NONE);
	check_decision(f, id, "orders", NULL);
}

static void check_looked(struct fixture *f, int64_t id, const char *want, int64_t want_us)
{
	struct store_result r;

	OK(f, store_tasks(f->s, id, &r, &f->err));
	if (want)
		assert_string_equal(r.tasks[0].looked, want);
	else
		assert_null(r.tasks[0].looked);
	assert_int_equal(r.tasks[0].looked_us, want_us);
	store_result_release(&r);
}

/* What looks find is kept while it is waited for, and with a wait that came to nothing. */
static void test_looked(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;
	size_t nevents;
	struct store_result r;

	open_run(f, &o, &id, &epoch);
	struct change c = { .kind = CHANGE_LOOKED,
		.reason = REASON_WAITING,
		.run_id = id,
		.task = "orders",
		.map_index = -1,
		.at_us = 7000000,
		.detail = "HTTP 404" };
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c, 1));
	SAYS(f, "is none, and nothing is looked for");
	move(f, id, epoch, TASK_NONE, TASK_DEFERRED);
	OK(f, store_events(f->s, id, "orders", &r, &f->err));
	nevents = r.n;
	store_result_release(&r);
	check_looked(f, id, NULL, 0);
	OK(f, commit(f, id, epoch, &c, 1));
	check_looked(f, id, "HTTP 404", 7000000);
	c.detail = "HTTP 503";
	c.at_us++;
	OK(f, commit(f, id, epoch, &c, 1));
	check_looked(f, id, "HTTP 503", 7000001);
	OK(f, store_events(f->s, id, "orders", &r, &f->err));
	assert_int_equal(r.n, nevents);
	store_result_release(&r);
	c.task = "gone";
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c, 1));
	c.detail = NULL;
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c, 1));
	move(f, id, epoch, TASK_DEFERRED, TASK_FAILED);
	check_looked(f, id, "HTTP 503", 7000001);
	move(f, id, epoch, TASK_FAILED, TASK_NONE);
	check_looked(f, id, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_decide),
		BOTH(test_decision_ends),
		BOTH(test_looked),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
