/* Incidents: one suite over every backend of the store. */
#include "tests/lib/store_fixture.h"

static const struct incident_route two_routes[] = { { "day", 0 }, { "night", 700 } };

static struct incident_put putting(enum incident_what what, int64_t at_us)
{
	return (struct incident_put){ .what = what,
		.kind = INCIDENT_TASK_FAILED,
		.dag = "sales",
		.task = "load",
		.severity = SEVERITY_ERROR,
		.at_us = at_us,
		.run_id = 7,
		.facts = "{\"run\":\"sales@1\"}",
		.routes = two_routes,
		.nroutes = 2 };
}

static int put_all(struct fixture *f, const struct incident_put *puts, size_t n)
{
	const struct store_batch b = { .incidents = puts, .nincidents = n };

	return store_commit(f->s, &b, &f->err);
}

static int put(struct fixture *f, struct incident_put p)
{
	return put_all(f, &p, 1);
}

/* "id:dag.task:kind:severity:state:count:told " of each */
static void check_incidents(
	struct fixture *f, const struct incident_filter *filter, const char *want)
{
	struct store_result r;
	char got[1024] = "";

	OK(f, store_incidents(f->s, filter, &r, &f->err));
	for (size_t i = 0; i < r.n; i++) {
		const struct incident *in = &r.incidents[i];
		size_t used = strlen(got);
		snprintf(got + used, sizeof got - used,
			"%" PRId64 ":%s.%s:%s:%s:%s:%" PRId64 ":%" PRId64 " ", in->id, in->dag,
			in->task, incident_kind_name(in->kind), severity_name(in->severity),
			incident_state_name(in->state), in->count, in->told);
	}
	store_result_release(&r);
	assert_string_equal(got, want);
}

static void check_open(struct fixture *f, const char *want)
{
	check_incidents(f, &(struct incident_filter){ 0 }, want);
}

/* Keys and times of what is to be told. */
static void check_acts(struct fixture *f, const char *want)
{
	struct store_result r;
	char got[1024] = "";

	OK(f, store_outbox_due(f->s, INT64_MAX, 0, &r, &f->err));
	for (size_t i = 0; i < r.n; i++) {
		size_t used = strlen(got);
		snprintf(got + used, sizeof got - used, "%s@%" PRId64 " ", r.outbox[i].key,
			r.outbox[i].due_us);
	}
	store_result_release(&r);
	assert_string_equal(got, want);
}

static void test_life(void **state)
{
	struct fixture *f = *state;
	struct store_result r;

	/* What is not there cannot resolve. */
	OK(f, put(f, putting(INCIDENT_RESOLVES, 90)));
	check_open(f, "");
	check_acts(f, "");
	OK(f, put(f, putting(INCIDENT_OPENS, 100)));
	check_open(f, "1:sales.load:task_failed:error:open:1:1 ");
	check_acts(f, "incident/1/1/day@100 incident/1/1/night@700 ");
	/* It goes wrong again: counted, and nobody is told. */
	OK(f, put(f, putting(INCIDENT_OPENS, 200)));
	check_open(f, "1:sales.load:task_failed:error:open:2:1 ");
	check_acts(f, "incident/1/1/day@100 incident/1/1/night@700 ");
	OK(f, put(f, putting(INCIDENT_RESOLVES, 300)));
	check_open(f, "");
	check_incidents(f, &(struct incident_filter){ .all = true },
		"1:sales.load:task_failed:error:resolved:2:2 ");
	check_acts(f, "incident/1/1/day@100 incident/1/2/day@300 incident/1/1/night@700 "
		      "incident/1/2/night@700 ");
	OK(f, store_incidents(f->s, &(struct incident_filter){ .id = 1 }, &r, &f->err));
	assert_int_equal(r.n, 1);
	assert_int_equal(r.incidents[0].opened_us, 100);
	assert_int_equal(r.incidents[0].last_us, 200);
	assert_int_equal(r.incidents[0].ended_us, 300);
	assert_int_equal(r.incidents[0].run_id, 7);
	assert_string_equal(r.incidents[0].facts, "{\"run\":\"sales@1\"}");
	store_result_release(&r);
	/* The next time it is another incident. */
	OK(f, put(f, putting(INCIDENT_OPENS, 400)));
	check_open(f, "2:sales.load:task_failed:error:open:1:1 ");
}

static void test_keys(void **state)
{
	struct fixture *f = *state;
	struct incident_put p[4] = { putting(INCIDENT_OPENS, 1), putting(INCIDENT_OPENS, 2),
		putting(INCIDENT_OPENS, 3), putting(INCIDENT_OPENS, 4) };

	p[1].task = NULL;
	p[2].dag = "stock";
	p[3].kind = INCIDENT_CHECK_FAILED;
	for (int i = 0; i < 4; i++)
		p[i].nroutes = 0;
	OK(f, put_all(f, p, 4));
	check_open(f, "4:sales.load:check_failed:error:open:1:0 "
		      "3:stock.load:task_failed:error:open:1:0 "
		      "2:sales.:task_failed:error:open:1:0 "
		      "1:sales.load:task_failed:error:open:1:0 ");
	check_incidents(f, &(struct incident_filter){ .dag = "stock" },
		"3:stock.load:task_failed:error:open:1:0 ");
	check_incidents(f, &(struct incident_filter){ .limit = 1 },
		"4:sales.load:check_failed:error:open:1:0 ");
}

static void test_payload(void **state)
{
	struct fixture *f = *state;
	struct incident_put p = putting(INCIDENT_OPENS, 1);
	struct store_result r;

	p.dag = "a\"b";
	OK(f, put(f, p));
	OK(f, store_outbox_due(f->s, 1, 1, &r, &f->err));
	assert_string_equal(r.outbox[0].kind, "alert");
	assert_string_equal(r.outbox[0].payload,
		"{\"incident\":1,\"what\":\"opened\",\"n\":1,\"route\":\"day\",\"dag\":\"a\\\"b\","
		"\"task\":\"load\",\"kind\":\"task_failed\",\"severity\":\"error\"}");
	store_result_release(&r);
}

static void test_people(void **state)
{
	struct fixture *f = *state;
	struct incident_put p = putting(INCIDENT_ACKS, 50);
	struct store_result r;

	p.id = 1;
	p.by = "anna@host";
	p.reason = "on it";
	FAILS(f, ERR_NOT_FOUND, put(f, p));
	SAYS(f, "there is no incident 1");
	OK(f, put(f, putting(INCIDENT_OPENS, 40)));
	OK(f, put(f, p));
	check_open(f, "1:sales.load:task_failed:error:acked:1:2 ");
	FAILS(f, ERR_REFUSED, put(f, p));
	SAYS(f, "incident 1 is acked already");
	p.what = INCIDENT_SNOOZES;
	p.until_us = 500;
	OK(f, put(f, p));
	check_open(f, "1:sales.load:task_failed:error:snoozed:1:2 ");
	OK(f, store_incidents(f->s, &(struct incident_filter){ .id = 1 }, &r, &f->err));
	assert_string_equal(r.incidents[0].by, "anna@host");
	assert_string_equal(r.incidents[0].reason, "on it");
	assert_int_equal(r.incidents[0].acted_us, 50);
	assert_int_equal(r.incidents[0].until_us, 500);
	store_result_release(&r);
	/* Within the snooze nobody hears of it; behind it, they do. */
	OK(f, put(f, putting(INCIDENT_OPENS, 499)));
	check_open(f, "1:sales.load:task_failed:error:snoozed:2:2 ");
	OK(f, put(f, putting(INCIDENT_OPENS, 500)));
	check_open(f, "1:sales.load:task_failed:error:open:3:3 ");
	p.what = INCIDENT_RESOLVES;
	OK(f, put(f, p));
	FAILS(f, ERR_REFUSED, put(f, p));
	SAYS(f, "resolved already");
}

static void test_due(void **state)
{
	struct fixture *f = *state;
	struct incident_put a = putting(INCIDENT_OPENS, 10), b = putting(INCIDENT_OPENS, 20);
	const struct incident_filter until_99 = { .due_us = 99 }, until_100 = { .due_us = 100 };
	int64_t next;

	OK(f, store_incidents_next(f->s, &next, &f->err));
	assert_int_equal(next, 0);
	a.escalate_us = 200;
	b.task = "publish";
	b.escalate_us = 100;
	OK(f, put(f, a));
	OK(f, put(f, b));
	OK(f, store_incidents_next(f->s, &next, &f->err));
	assert_int_equal(next, 100);
	check_incidents(f, &until_99, "");
	check_incidents(f, &until_100, "2:sales.publish:task_failed:error:open:1:1 ");
	/* Too early: nothing changes. */
	b.what = INCIDENT_ESCALATES;
	b.at_us = 99;
	b.escalate_us = 300;
	OK(f, put(f, b));
	check_incidents(f, &until_100, "2:sales.publish:task_failed:error:open:1:1 ");
	b.at_us = 100;
	OK(f, put(f, b));
	check_incidents(f, &until_100, "");
	OK(f, store_incidents_next(f->s, &next, &f->err));
	assert_int_equal(next, 200);
	check_open(f, "2:sales.publish:task_failed:error:open:1:2 "
		      "1:sales.load:task_failed:error:open:1:1 ");
	/* Who is seen to, does not escalate. */
	a.what = INCIDENT_ACKS;
	a.id = 1;
	OK(f, put(f, a));
	OK(f, store_incidents_next(f->s, &next, &f->err));
	assert_int_equal(next, 300);
}

/* A batch that fails has neither incident nor act. */
static void test_all_or_nothing(void **state)
{
	struct fixture *f = *state;
	struct incident_put p[2] = { putting(INCIDENT_OPENS, 1), putting(INCIDENT_ACKS, 1) };

	p[1].id = 99;
	FAILS(f, ERR_NOT_FOUND, put_all(f, p, 2));
	check_incidents(f, &(struct incident_filter){ .all = true }, "");
	check_acts(f, "");
	OK(f, put(f, putting(INCIDENT_OPENS, 5)));
	FAILS(f, ERR_NOT_FOUND,
		put_all(f, (struct incident_put[]){ putting(INCIDENT_RESOLVES, 6), p[1] }, 2));
	check_open(f, "1:sales.load:task_failed:error:open:1:1 ");
	check_acts(f, "incident/1/1/day@5 incident/1/1/night@700 ");
}

static void test_forgotten(void **state)
{
	struct fixture *f = *state;
	int n;

	for (int64_t i = 0; i < 4; i++) {
		OK(f, put(f, putting(INCIDENT_OPENS, 10 * i + 1)));
		if (i < 3)
			OK(f, put(f, putting(INCIDENT_RESOLVES, 10 * i + 5)));
	}
	OK(f, store_incidents_prune(f->s, 25, 1, &n, &f->err));
	assert_int_equal(n, 1);
	OK(f, store_incidents_prune(f->s, 25, 10, &n, &f->err));
	assert_int_equal(n, 1);
	check_incidents(f, &(struct incident_filter){ .all = true },
		"4:sales.load:task_failed:error:open:1:1 "
		"3:sales.load:task_failed:error:resolved:1:2 ");
}

static void test_kept(void **state)
{
	struct fixture *f = *state;
	struct incident_put p = putting(INCIDENT_OPENS, 10), good = putting(INCIDENT_RESOLVES, 30);
	struct store_result r;

	p.start_us = 1000;
	p.end_us = 2000;
	p.nroutes = 1;
	OK(f, put(f, p));
	p.start_us = 2000;
	p.end_us = 3000;
	OK(f, put(f, p));
	good.start_us = 1000;
	good.end_us = 2000;
	OK(f, put(f, good));
	OK(f, store_incidents(f->s, &(struct incident_filter){ .id = 1 }, &r, &f->err));
	assert_string_equal(r.incidents[0].told_to, "day ");
	assert_string_equal(r.incidents[0].undone, "2000-3000 ");
	assert_int_equal(r.incidents[0].eased_us, 30);
	store_result_release(&r);
	good.start_us = 2000;
	good.end_us = 3000;
	OK(f, put(f, good));
	/* Only who was told of it: nothing for the night. */
	check_acts(f, "incident/1/1/day@10 incident/1/2/day@30 ");
	OK(f, store_incidents(f->s, &(struct incident_filter){ .id = 1 }, &r, &f->err));
	assert_int_equal(r.incidents[0].state, INCIDENT_RESOLVED);
	assert_null(r.incidents[0].undone);
	store_result_release(&r);
}

static void test_with_breaker(void **state)
{
	struct fixture *f = *state;
	struct incident_put p = putting(INCIDENT_ACKS, 10);
	const struct breaker_put b = { .name = "api",
		.text = "v1",
		.to = BREAKER_OPEN,
		.why = REASON_BREAKER_FORCED,
		.at_us = 5,
		.by = "ann" };
	struct store_batch batch = {
		.breakers = &b, .nbreakers = 1, .incidents = &p, .nincidents = 1
	};
	struct store_result r;

	p.id = 9;
	FAILS(f, ERR_NOT_FOUND, store_commit(f->s, &batch, &f->err));
	OK(f, store_breakers(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	p = putting(INCIDENT_OPENS, 10);
	OK(f, store_commit(f->s, &batch, &f->err));
	OK(f, store_breakers(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 1);
	store_result_release(&r);
}

static void test_many_acts_end(void **state)
{
	struct fixture *f = *state;
	const int64_t both[] = { 1, 2 }, strange[] = { 1, 9 };

	OK(f, put(f, putting(INCIDENT_OPENS, 1)));
	FAILS(f, ERR_NOT_FOUND,
		store_outbox_end(
			f->s, strange, 2, &(struct outbox_end){ OUTBOX_DONE, 9, NULL }, &f->err));
	check_acts(f, "incident/1/1/day@1 incident/1/1/night@700 ");
	OK(f, store_outbox_end(
		      f->s, both, 2, &(struct outbox_end){ OUTBOX_PENDING, 800, "no" }, &f->err));
	check_acts(f, "incident/1/1/day@800 incident/1/1/night@800 ");
	OK(f, store_outbox_end(
		      f->s, both, 2, &(struct outbox_end){ OUTBOX_DONE, 900, NULL }, &f->err));
	check_acts(f, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_life),
		BOTH(test_keys),
		BOTH(test_payload),
		BOTH(test_people),
		BOTH(test_due),
		BOTH(test_all_or_nothing),
		BOTH(test_forgotten),
		BOTH(test_many_acts_end),
		BOTH(test_kept),
		BOTH(test_with_breaker),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
