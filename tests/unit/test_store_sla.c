/* SLAs that were missed, and durations of tasks: one suite over every backend of the store. */
#include "tests/lib/store_fixture.h"

static struct sla_miss missed[] = {
	{ .key = { "sales", "", "finish_by", 100, 200 },
		.deadline_us = 300,
		.found_us = 301,
		.detail = "still running",
		.acts = "cancel" },
	{ .key = { "sales", "load", "finish_by", 100, 200 }, .deadline_us = 310, .found_us = 311 },
	{ .key = { "stock", "", "at_risk", 100, 200 }, .deadline_us = 300, .found_us = 299 },
};

static int put(struct fixture *f, const struct store_slas *slas)
{
	return store_commit(f->s, &(struct store_batch){ .slas = slas }, &f->err);
}

static void put_missed(struct fixture *f)
{
	OK(f, put(f, &(struct store_slas){ .misses = missed, .nmisses = 3 }));
}

/* "id:dag.task:kind:ended " of each */
static void check(struct fixture *f, const struct sla_filter *filter, const char *want)
{
	struct store_result r;
	char got[512] = "";

	OK(f, store_sla_misses(f->s, filter, &r, &f->err));
	for (size_t i = 0; i < r.n; i++) {
		const struct sla_miss *m = &r.misses[i];
		size_t used = strlen(got);
		snprintf(got + used, sizeof got - used, "%" PRId64 ":%s.%s:%s:%s ", m->id,
			m->key.dag, m->key.task, m->key.kind, m->ended ? m->ended : "open");
	}
	store_result_release(&r);
	assert_string_equal(got, want);
}

static void test_once(void **state)
{
	struct fixture *f = *state;
	struct store_result r;

	put_missed(f);
	assert_int_equal(missed[2].id, 3);
	put_missed(f);
	assert_int_equal(missed[2].id, 0);
	check(f, &(struct sla_filter){ 0 },
		"3:stock.:at_risk:open 2:sales.load:finish_by:open 1:sales.:finish_by:open ");
	check(f, &(struct sla_filter){ .dag = "sales", .open = true },
		"2:sales.load:finish_by:open 1:sales.:finish_by:open ");
	check(f, &(struct sla_filter){ .limit = 1 }, "3:stock.:at_risk:open ");
	check(f, &(struct sla_filter){ .dag = "other" }, "");
	/* what was found first stays as it was found */
	struct sla_miss again = missed[0];
	again.found_us = 999;
	again.detail = "something else";
	OK(f, put(f, &(struct store_slas){ .misses = &again, .nmisses = 1 }));
	OK(f, store_sla_misses(f->s, &(struct sla_filter){ .dag = "sales" }, &r, &f->err));
	const struct sla_miss *m = &r.misses[1];
	assert_int_equal(m->found_us, 301);
	assert_int_equal(m->deadline_us, 300);
	assert_int_equal(m->key.start_us, 100);
	assert_int_equal(m->key.end_us, 200);
	assert_int_equal(m->ended_us, 0);
	assert_string_equal(m->detail, "still running");
	assert_string_equal(m->acts, "cancel");
	assert_false(m->acted);
	assert_null(r.misses[0].detail);
	assert_null(r.misses[0].acts);
	store_result_release(&r);
	/* another interval is another */
	again.key.end_us = 201;
	OK(f, put(f, &(struct store_slas){ .misses = &again, .nmisses = 1 }));
	check(f, &(struct sla_filter){ .limit = 1 }, "4:sales.:finish_by:open ");
}

static void test_ends(void **state)
{
	struct fixture *f = *state;
	const struct sla_end ends[] = { { 1, 400, SLA_END_DONE }, { 3, 401, SLA_END_PASSED_OVER },
		{ 77, 402, SLA_END_DONE } };
	const struct sla_end later = { 1, 500, SLA_END_PASSED_OVER };
	const int64_t acted[] = { 2, 99 };
	struct store_result r;

	put_missed(f);
	OK(f, put(f, &(struct store_slas){
			     .ends = ends, .nends = 3, .acted = acted, .nacted = 2 }));
	OK(f, put(f, &(struct store_slas){ .ends = &later, .nends = 1 }));
	put_missed(f); /* found once more: it has ended all the same */
	check(f, &(struct sla_filter){ 0 },
		"3:stock.:at_risk:passed_over 2:sales.load:finish_by:open "
		"1:sales.:finish_by:done ");
	check(f, &(struct sla_filter){ .open = true }, "2:sales.load:finish_by:open ");
	OK(f, store_sla_misses(f->s, &(struct sla_filter){ .dag = "sales" }, &r, &f->err));
	assert_true(r.misses[0].acted);
	assert_int_equal(r.misses[1].ended_us, 400);
	assert_false(r.misses[1].acted);
	store_result_release(&r);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct sla_miss bad[] = { missed[0], missed[1] };
	const struct sla_end end = { 1, 400, "forgotten" };
	const struct sla_mark_row mark = { NULL, 1, 1 };

	bad[1].key.kind = "finish";
	FAILS(f, ERR_INTERNAL, put(f, &(struct store_slas){ .misses = bad, .nmisses = 2 }));
	bad[1] = missed[1];
	bad[1].key.end_us = 99;
	FAILS(f, ERR_INTERNAL, put(f, &(struct store_slas){ .misses = bad, .nmisses = 2 }));
	FAILS(f, ERR_INTERNAL, put(f, &(struct store_slas){ .ends = &end, .nends = 1 }));
	FAILS(f, ERR_INTERNAL, put(f, &(struct store_slas){ .marks = &mark, .nmarks = 1 }));
	check(f, &(struct sla_filter){ 0 }, "");
}

/* With a decision that fails nothing is kept. */
static void test_rolled_back(void **state)
{
	struct fixture *f = *state;
	const struct run_open o = opening(f, "sales", 1);
	const struct sla_end end = { 1, 400, SLA_END_DONE };
	const struct sla_mark_row marks[] = { { "sales", 500, -7 }, { "stock", 501, 8 } };
	const struct store_slas slas = { .misses = missed,
		.nmisses = 3,
		.ends = &end,
		.nends = 1,
		.marks = marks,
		.nmarks = 2 };
	int64_t id, epoch;

	open_run(f, &o, &id, &epoch);
	OK(f, put(f, &(struct store_slas){
			     .misses = missed, .nmisses = 1, .marks = marks, .nmarks = 1 }));
	struct store_lease lease = { id, epoch };
	struct change c = run_change(id, RUN_RUNNING, RUN_SUCCESS, 2); /* it is queued */
	struct store_batch b = {
		.leases = &lease, .nleases = 1, .changes = &c, .nchanges = 1, .slas = &slas
	};
	assert_int_equal(store_commit(f->s, &b, &f->err), -1);
	lease.epoch++;
	b.nchanges = 0;
	FAILS(f, ERR_FENCED, store_commit(f->s, &b, &f->err));
	check(f, &(struct sla_filter){ 0 }, "1:sales.:finish_by:open ");
}

static void test_marks(void **state)
{
	struct fixture *f = *state;
	const struct sla_mark_row marks[] = { { "stock", 501, 8 }, { "sales", 500, -7 },
		{ "stock", 502, INT64_MIN } };
	struct store_result r;

	OK(f, put(f, &(struct store_slas){ .marks = marks, .nmarks = 3 }));
	OK(f, store_sla_marks(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_string_equal(r.marks[0].dag, "sales");
	assert_int_equal(r.marks[0].digest, -7);
	assert_int_equal(r.marks[1].judged_us, 502);
	assert_true(r.marks[1].digest == INT64_MIN);
	store_result_release(&r);
	OK(f, store_sla_marks(f->s, "sales", &r, &f->err));
	assert_int_equal(r.n, 1);
	store_result_release(&r);
}

static void test_forgotten(void **state)
{
	struct fixture *f = *state;
	struct store_result r;

	put_missed(f);
	OK(f, store_prune(f->s, 302, 1, &r, &f->err));
	store_result_release(&r);
	check(f, &(struct sla_filter){ 0 }, "2:sales.load:finish_by:open 1:sales.:finish_by:open ");
	OK(f, store_prune(f->s, 302, 10, &r, &f->err));
	store_result_release(&r);
	check(f, &(struct sla_filter){ 0 }, "2:sales.load:finish_by:open ");
}

/* A run whose task "orders" takes `took_us` at its second try. */
static void run_once(struct fixture *f, int day, int64_t took_us, enum run_state end)
{
	const struct run_open o = opening(f, "sales", day);
	int64_t id, epoch, token;

	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 2, &token, &f->err));
	struct change c[] = {
		run_change(id, RUN_QUEUED, RUN_RUNNING, 1),
		task_change(id, "orders", TASK_NONE, TASK_QUEUED, REASON_NEEDS_MET),
		task_change(id, "orders", TASK_QUEUED, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 1, token),
		ended(id, "orders", token, OUTCOME_FAILED),
		task_change(id, "orders", TASK_RUNNING, TASK_UP_FOR_RETRY, REASON_RETRY_WAIT),
		task_change(id, "orders", TASK_UP_FOR_RETRY, TASK_QUEUED, REASON_RETRY_DUE),
		task_change(id, "orders", TASK_QUEUED, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 2, token + 1),
		ended(id, "orders", token + 1, OUTCOME_SUCCESS),
		task_change(id, "orders", TASK_RUNNING, TASK_SUCCESS, REASON_SUCCEEDED),
		run_change(id, RUN_RUNNING, end, 2),
	};
	c[9].attempt.started_us = 1000;
	c[9].attempt.ended_us = 1000 + took_us;
	OK(f, commit(f, id, epoch, c, sizeof c / sizeof *c));
}

static void test_times(void **state)
{
	struct fixture *f = *state;
	struct store_result r;

	OK(f, store_task_times(f->s, "sales", 20, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	run_once(f, 1, 500, RUN_SUCCESS);
	run_once(f, 2, 300, RUN_SUCCESS);
	run_once(f, 3, 900, RUN_FAILED);
	run_once(f, 4, 400, RUN_SUCCESS);
	OK(f, store_task_times(f->s, "sales", 20, &r, &f->err));
	assert_int_equal(r.n, 3);
	assert_string_equal(r.times[0].task, "orders");
	assert_int_equal(r.times[0].took_us, 300);
	assert_int_equal(r.times[2].took_us, 500);
	store_result_release(&r);
	/* the newest two */
	OK(f, store_task_times(f->s, "sales", 2, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.times[0].took_us, 300);
	assert_int_equal(r.times[1].took_us, 400);
	store_result_release(&r);
	OK(f, store_task_times(f->s, "stock", 2, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	FAILS(f, ERR_INTERNAL, store_task_times(f->s, "sales", 0, &r, &f->err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_once),
		BOTH(test_ends),
		BOTH(test_refused),
		BOTH(test_rolled_back),
		BOTH(test_marks),
		BOTH(test_forgotten),
		BOTH(test_times),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
