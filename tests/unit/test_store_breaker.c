/* Circuit breakers: one suite over every backend of the store. */
#include "tests/lib/store_fixture.h"

static struct breaker_put said(const char *name, enum breaker_state from, enum breaker_state to)
{
	return (struct breaker_put){ .name = name,
		.text = "text",
		.from = from,
		.to = to,
		.why = REASON_BREAKER_FORCED,
		.since_us = 100,
		.at_us = 100,
		.by = "ops@host",
		.reason = "vendor is down" };
}

static struct change counted(const char *name, enum reason why, enum breaker_state to)
{
	return (struct change){ .kind = CHANGE_BREAKER,
		.reason = why,
		.at_us = 200,
		.task_index = -1,
		.map_index = -1,
		.breaker = { .name = name,
			.text = "counts",
			.to = to,
			.since_us = 200,
			.run_id = 1,
			.task = "orders" } };
}

/* "name:text:state:why:by:reason " of each */
static void check_breakers(struct fixture *f, const char *name, const char *want)
{
	struct store_result r;
	char got[512] = "";

	OK(f, store_breakers(f->s, name, &r, &f->err));
	for (size_t i = 0; i < r.n; i++) {
		const struct breaker_row *b = &r.breakers[i];
		size_t used = strlen(got);
		snprintf(got + used, sizeof got - used, "%s:%s:%s:%s:%s:%s ", b->name, b->text,
			breaker_state_name(b->state), reason_name(b->why), b->by ? b->by : "-",
			b->reason ? b->reason : "-");
	}
	store_result_release(&r);
	assert_string_equal(got, want);
}

/* "from-to:why:run:task " of each */
static void check_events(struct fixture *f, const char *name, int limit, const char *want)
{
	struct store_result r;
	char got[512] = "";

	OK(f, store_breaker_events(f->s, name, limit, &r, &f->err));
	for (size_t i = 0; i < r.n; i++) {
		const struct breaker_event_row *e = &r.breaker_events[i];
		size_t used = strlen(got);
		snprintf(got + used, sizeof got - used, "%s-%s:%s:%s:%s ",
			breaker_state_name(e->from), breaker_state_name(e->to), reason_name(e->why),
			e->run ? e->run : "-", e->task ? e->task : "-");
	}
	store_result_release(&r);
	assert_string_equal(got, want);
}

static int commit_one(struct fixture *f, struct change c)
{
	const struct store_batch b = { .changes = &c, .nchanges = 1 };

	return store_commit(f->s, &b, &f->err);
}

static void test_breaker(void **state)
{
	struct fixture *f = *state;
	struct breaker_put p = said("api", BREAKER_CLOSED, BREAKER_OPEN);

	check_breakers(f, NULL, "");
	check_events(f, "api", 0, "");
	OK(f, store_breaker_put(f->s, &p, &f->err));
	check_breakers(f, "api", "api:text:open:breaker_forced:ops@host:vendor is down ");
	check_breakers(f, "db", "");
	/* Counts alone leave the word of the person, and are no event. */
	struct change c = counted("api", REASON_NONE, BREAKER_OPEN);
	c.breaker.since_us = p.since_us;
	OK(f, commit_one(f, c));
	/* Those of a process that does not know yet that it was opened leave it as it is. */
	c.breaker.text = "stale";
	c.breaker.since_us = 0;
	c.breaker.from = c.breaker.to = BREAKER_CLOSED;
	OK(f, commit_one(f, c));
	OK(f, commit_one(f, counted("ants", REASON_NONE, BREAKER_CLOSED)));
	check_breakers(f, NULL,
		"ants:counts:closed:none:-:- api:counts:open:breaker_forced:ops@host:vendor is "
		"down ");
	/* A change of its state replaces it; its run is not known here. */
	OK(f, commit_one(f, counted("api", REASON_BREAKER_TRIPPED, BREAKER_OPEN)));
	check_breakers(f, "api", "api:counts:open:breaker_tripped:-:- ");
	check_events(f, "api", 0,
		"closed-open:breaker_tripped:-:orders closed-open:breaker_forced:-:- ");
	check_events(f, NULL, 1, "closed-open:breaker_tripped:-:orders ");
}

static void test_run_of_event(void **state)
{
	struct fixture *f = *state;
	const struct run_open o = opening(f, "sales", 1);
	struct store_result r;
	char want[128];
	int64_t id, epoch;

	open_run(f, &o, &id, &epoch);
	struct change c = counted("api", REASON_BREAKER_TRIPPED, BREAKER_OPEN);
	c.breaker.run_id = id;
	OK(f, commit_one(f, c));
	snprintf(want, sizeof want, "closed-open:breaker_tripped:%s:orders ", o.name);
	check_events(f, "api", 0, want);
	/* Its history goes with that of the runs. */
	finish(f, id, epoch);
	OK(f, store_prune(f->s, 200, 10, &r, &f->err));
	store_result_release(&r);
	check_events(f, "api", 0, "closed-open:breaker_tripped:-:orders ");
	OK(f, store_prune(f->s, 201, 10, &r, &f->err));
	store_result_release(&r);
	check_events(f, "api", 0, "");
	check_breakers(f, "api", "api:counts:open:breaker_tripped:-:- ");
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct breaker_put p = said("", BREAKER_CLOSED, BREAKER_OPEN);

	assert_int_equal(store_breaker_put(f->s, &p, &f->err), -1);
	p = said("api", BREAKER_CLOSED, BREAKER_STATE_MAX);
	assert_int_equal(store_breaker_put(f->s, &p, &f->err), -1);
	assert_int_equal(commit_one(f, counted(NULL, REASON_NONE, BREAKER_OPEN)), -1);
	check_breakers(f, NULL, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_breaker),
		BOTH(test_run_of_event),
		BOTH(test_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
