/* Acts, late ends and tokens: one suite over every backend of the store. */
#include "tests/lib/store_fixture.h"

static int put(struct fixture *f, const struct outbox_act *acts, size_t n)
{
	const struct store_batch b = { .acts = acts, .nacts = n };

	return store_commit(f->s, &b, &f->err);
}

/* "id:key:state:tries:due " of each */
static void add_acts(struct store_result *r, char *got, size_t size)
{
	got[0] = '\0';
	for (size_t i = 0; i < r->n; i++) {
		const struct outbox_row *o = &r->outbox[i];
		size_t used = strlen(got);
		snprintf(got + used, size - used, "%" PRId64 ":%s:%s:%d:%" PRId64 " ", o->id,
			o->key, outbox_state_name(o->state), o->tries, o->due_us);
	}
	store_result_release(r);
}

static void check_due(struct fixture *f, int64_t now, int limit, const char *want)
{
	struct store_result r;
	char got[512];

	OK(f, store_outbox_due(f->s, now, limit, &r, &f->err));
	add_acts(&r, got, sizeof got);
	assert_string_equal(got, want);
}

static void check_all(struct fixture *f, int state, const char *want)
{
	struct store_result r;
	char got[512];

	OK(f, store_outbox_list(f->s, state, 0, &r, &f->err));
	add_acts(&r, got, sizeof got);
	assert_string_equal(got, want);
}

/* ---- the outbox ------------------------------------------------------------------------ */

static void test_act(void **state)
{
	struct fixture *f = *state;
	const struct outbox_act acts[] = {
		{ "run.7.failed", "alert", "{\"a\":1}", 100, 0 },
		{ "late", "alert", "{}", 100, 500 },
		{ "run.7.failed", "other", "{\"b\":2}", 101, 0 }, /* the same act */
	};
	struct store_result r;
	int64_t next;

	OK(f, store_outbox_next(f->s, &next, &f->err));
	assert_int_equal(next, 0);
	OK(f, put(f, acts, 3));
	OK(f, put(f, acts, 3));
	check_due(f, 99, 0, "");
	check_due(f, 100, 0, "1:run.7.failed:pending:0:100 ");
	check_due(f, 500, 0, "1:run.7.failed:pending:0:100 2:late:pending:0:500 ");
	check_due(f, 500, 1, "1:run.7.failed:pending:0:100 ");
	OK(f, store_outbox_due(f->s, 500, 1, &r, &f->err));
	assert_string_equal(r.outbox[0].kind, "alert");
	assert_string_equal(r.outbox[0].payload, "{\"a\":1}");
	assert_null(r.outbox[0].error);
	assert_int_equal(r.outbox[0].created_us, 100);
	assert_int_equal(r.outbox[0].ended_us, 0);
	store_result_release(&r);
	OK(f, store_outbox_next(f->s, &next, &f->err));
	assert_int_equal(next, 100);
}

static void test_act_ends(void **state)
{
	struct fixture *f = *state;
	const struct outbox_act acts[] = {
		{ "a", "alert", "{}", 100, 0 },
		{ "b", "alert", "{}", 101, 0 },
		{ "c", "alert", "{}", 102, 0 },
	};
	struct store_result r;
	int64_t next;

	OK(f, put(f, acts, 3));
	OK(f, store_outbox_retry(f->s, 1, 900, "connection refused", &f->err));
	check_due(f, 500, 0, "2:b:pending:0:101 3:c:pending:0:102 ");
	OK(f, store_outbox_done(f->s, 2, 600, &f->err));
	OK(f, store_outbox_done(f->s, 2, 601, &f->err)); /* said twice, done once */
	OK(f, store_outbox_give_up(f->s, 3, 700, "no such channel", &f->err));
	OK(f, store_outbox_next(f->s, &next, &f->err));
	assert_int_equal(next, 900);
	check_all(f, -1, "3:c:given_up:1:102 2:b:done:1:101 1:a:pending:1:900 ");
	check_all(f, OUTBOX_DONE, "2:b:done:1:101 ");
	OK(f, store_outbox_list(f->s, OUTBOX_GIVEN_UP, 1, &r, &f->err));
	assert_string_equal(r.outbox[0].error, "no such channel");
	assert_int_equal(r.outbox[0].ended_us, 700);
	store_result_release(&r);

	FAILS(f, ERR_REFUSED, store_outbox_retry(f->s, 2, 1000, "x", &f->err));
	SAYS(f, "it is done");
	FAILS(f, ERR_REFUSED, store_outbox_done(f->s, 3, 1000, &f->err));
	FAILS(f, ERR_REFUSED, store_outbox_give_up(f->s, 2, 1000, "x", &f->err));
	FAILS(f, ERR_NOT_FOUND, store_outbox_done(f->s, 99, 1000, &f->err));
	FAILS(f, ERR_INTERNAL, store_outbox_list(f->s, OUTBOX_STATE_MAX, 0, &r, &f->err));

	/* What is over stays known by its key, until it is forgotten. */
	OK(f, put(f, acts, 3));
	check_all(f, OUTBOX_PENDING, "1:a:pending:1:900 ");
}

static void test_act_forgotten(void **state)
{
	struct fixture *f = *state;
	struct outbox_act act = { "a", "alert", "{}", 100, 0 };
	int n;

	OK(f, put(f, &act, 1));
	act.key = "b";
	OK(f, put(f, &act, 1));
	act.key = "c";
	OK(f, put(f, &act, 1));
	act.key = "d";
	OK(f, put(f, &act, 1));
	OK(f, store_outbox_done(f->s, 3, 600, &f->err));
	OK(f, store_outbox_done(f->s, 1, 700, &f->err));
	OK(f, store_outbox_give_up(f->s, 4, 800, NULL, &f->err));
	FAILS(f, ERR_INTERNAL, store_outbox_prune(f->s, 900, 0, &n, &f->err));
	OK(f, store_outbox_prune(f->s, 600, 10, &n, &f->err));
	assert_int_equal(n, 0);
	OK(f, store_outbox_prune(f->s, 750, 1, &n, &f->err));
	assert_int_equal(n, 1);
	check_all(f, -1, "4:d:given_up:1:100 2:b:pending:0:100 1:a:done:1:100 ");
	OK(f, store_outbox_prune(f->s, INT64_MAX, 10, &n, &f->err));
	assert_int_equal(n, 2);
	check_all(f, -1, "2:b:pending:0:100 ");
	/* numbers are not given out again */
	OK(f, put(f, &act, 1));
	check_all(f, -1, "5:d:pending:0:100 2:b:pending:0:100 ");
}

/* With the decision, or not at all. */
static void test_act_with_decision(void **state)
{
	struct fixture *f = *state;
	const struct run_open o = opening(f, "sales", 19);
	const struct outbox_act act = { "a", "alert", "{}", 100, 0 },
				bad = { "", "alert", "{}", 1, 0 };
	int64_t id, epoch;

	open_run(f, &o, &id, &epoch);
	struct change c = run_change(id, RUN_QUEUED, RUN_RUNNING, 1);
	struct store_lease lease = { id, epoch - 1 };
	struct store_batch b = { .leases = &lease,
		.nleases = 1,
		.changes = &c,
		.nchanges = 1,
		.acts = &act,
		.nacts = 1 };
	FAILS(f, ERR_FENCED, store_commit(f->s, &b, &f->err));
	lease.epoch = epoch;
	c.run.from = RUN_SUCCESS;
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	check_all(f, -1, "");
	c.run.from = RUN_QUEUED;
	b.acts = &bad;
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	b.acts = &act;
	OK(f, store_commit(f->s, &b, &f->err));
	check_all(f, -1, "1:a:pending:0:100 ");
}

/* ---- tokens and late ends ---------------------------------------------------------------- */

static int64_t first_token(struct fixture *f)
{
	int64_t first;

	OK(f, store_reserve_tokens(f->s, 10, &first, &f->err));
	return first;
}

static int64_t begin_orders(struct fixture *f, int64_t token, int64_t *ret_epoch)
{
	const struct run_open o = opening(f, "sales", 19);
	int64_t id;

	open_run(f, &o, &id, ret_epoch);
	const struct change c[] = { run_change(id, RUN_QUEUED, RUN_RUNNING, 1),
		task_change(id, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 1, token) };
	OK(f, commit(f, id, *ret_epoch, c, 3));
	return id;
}

static void lose_and_retry(struct fixture *f, int64_t id, int64_t epoch, int64_t token)
{
	struct change c[] = { ended(id, "orders", token, OUTCOME_LOST),
		task_change(id, "orders", TASK_RUNNING, TASK_UP_FOR_RETRY, REASON_RETRY_WAIT),
		task_change(id, "orders", TASK_UP_FOR_RETRY, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 2, token + 1) };

	c[0].attempt.ended_us = 0;
	OK(f, commit(f, id, epoch, c, 4));
}

static void test_token(void **state)
{
	struct fixture *f = *state;
	struct store_result r;
	int64_t token = first_token(f), epoch;
	int64_t id = begin_orders(f, token, &epoch);

	OK(f, store_token(f->s, token + 1, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	OK(f, store_token(f->s, token, &r, &f->err));
	assert_int_equal(r.n, 1);
	assert_string_equal(r.tokens[0].run, "sales@2026-11-19");
	assert_string_equal(r.tokens[0].task, "orders");
	assert_int_equal(r.tokens[0].run_id, id);
	assert_int_equal(r.tokens[0].map_index, -1);
	assert_int_equal(r.tokens[0].try, 1);
	assert_int_equal(r.tokens[0].outcome, OUTCOME_NONE);
	assert_int_equal(r.tokens[0].run_state, RUN_RUNNING);
	assert_int_equal(r.tokens[0].newest, token);
	store_result_release(&r);

	lose_and_retry(f, id, epoch, token);
	OK(f, store_token(f->s, token, &r, &f->err));
	assert_int_equal(r.tokens[0].outcome, OUTCOME_LOST);
	assert_int_equal(r.tokens[0].newest, token + 1);
	assert_int_equal(r.tokens[0].newest_try, 2);
	assert_int_equal(r.tokens[0].newest_queued_us, 5000001);
	store_result_release(&r);
}

static bool late(struct fixture *f, int64_t token, enum outcome outcome)
{
	const struct late_end e = { .token = token,
		.outcome = outcome,
		.exit_status = outcome == OUTCOME_SUCCESS ? 0 : 3,
		.ended_us = 4711,
		.now_us = 9000000 };
	bool recorded;

	OK(f, store_late_end(f->s, &e, &recorded, &f->err));
	return recorded;
}

/* Everything but the events. */
static void check_unchanged(struct fixture *f, int64_t id, int64_t token)
{
	struct store_result r;

	check_state(f, id, "orders", TASK_RUNNING);
	OK(f, store_attempts(f->s, id, NULL, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.attempts[0].outcome, OUTCOME_LOST);
	assert_int_equal(r.attempts[0].ended_us, 0);
	assert_int_equal(r.attempts[1].token, token + 1);
	assert_int_equal(r.attempts[1].outcome, OUTCOME_NONE);
	store_result_release(&r);
}

static void test_late_end(void **state)
{
	struct fixture *f = *state;
	struct store_result r;
	int64_t token = first_token(f), epoch;
	int64_t id = begin_orders(f, token, &epoch);

	assert_false(late(f, token, OUTCOME_SUCCESS)); /* in flight: not for us to say */
	lose_and_retry(f, id, epoch, token);
	size_t before = count_events(f, id);
	assert_false(late(f, token, OUTCOME_LOST));
	assert_false(late(f, token + 1, OUTCOME_SUCCESS));
	assert_false(late(f, token + 7, OUTCOME_SUCCESS));
	assert_int_equal(count_events(f, id), before);

	assert_true(late(f, token, OUTCOME_SUCCESS));
	assert_false(late(f, token, OUTCOME_SUCCESS)); /* a repeated message */
	assert_int_equal(count_events(f, id), before + 1);
	OK(f, store_events(f->s, id, "orders", &r, &f->err));
	const struct event_row *e = &r.events[r.n - 1];
	char want[160];
	snprintf(want, sizeof want,
		"try 1 (token %" PRId64
		") ended late: success; it counts as lost, and nothing changes",
		token);
	assert_string_equal(e->detail, want);
	assert_string_equal(e->reason, "late_result");
	assert_string_equal(e->from, "running");
	assert_string_equal(e->to, "running");
	assert_int_equal(e->at_us, 9000000);
	store_result_release(&r);
	check_unchanged(f, id, token);

	/* Its failure would be another result. */
	assert_true(late(f, token, OUTCOME_FAILED));
	check_unchanged(f, id, token);
}

/* The very end that is recorded, told again after a crash under another name: a halted attempt
 * counts as lost though it was stopped. */
static void test_end_again(void **state)
{
	struct fixture *f = *state;
	int64_t token = first_token(f), epoch;
	int64_t id = begin_orders(f, token, &epoch);
	struct change c[] = { ended(id, "orders", token, OUTCOME_LOST),
		task_change(id, "orders", TASK_RUNNING, TASK_UP_FOR_RETRY, REASON_RETRY_WAIT) };

	c[0].attempt.ended_us = 4711;
	OK(f, commit(f, id, epoch, c, 2));
	size_t before = count_events(f, id);
	assert_false(late(f, token, OUTCOME_CANCELLED));
	assert_int_equal(count_events(f, id), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_act),
		BOTH(test_act_ends),
		BOTH(test_act_forgotten),
		BOTH(test_act_with_decision),
		BOTH(test_token),
		BOTH(test_late_end),
		BOTH(test_end_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
