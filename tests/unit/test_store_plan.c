/* What a daemon decides and people tell it: one suite over every backend of the store. */
#include "tests/lib/store_fixture.h"

#include "base/buf.h"

#define DAY_US 86400000000LL

static void commit_plan(struct fixture *f, const struct store_plan *p, struct run_opened *ret)
{
	OK(f, store_plan_commit(f->s, p, ret, &f->err));
}

/* The ids of the runs, "3 1 ". */
static void check_runs(struct fixture *f, struct run_filter filter, const char *want)
{
	struct store_result r;
	char got[256] = "";

	OK(f, store_runs(f->s, &filter, &r, &f->err));
	for (size_t i = 0; i < r.n; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%" PRId64 " ", r.runs[i].id);
	store_result_release(&r);
	assert_string_equal(got, want);
}

static struct run_open waiting(const struct fixture *f, const char *dag, int day)
{
	struct run_open o = opening(f, dag, day);

	o.owner = (struct owner){ .pid = 0 };
	o.wanted = true;
	return o;
}

/* ---- wanted runs --------------------------------------------------------------------- */

static void test_wanted(void **state)
{
	struct fixture *f = *state;
	struct run_open o = waiting(f, "sales", 19);
	struct run_filter wanted = { .state = -1, .wanted = true };
	int64_t id, epoch;
	struct store_result r;

	open_run(f, &o, &id, &epoch);
	OK(f, store_run_find(f->s, "sales", &r, &f->err));
	assert_true(r.runs[0].wanted);
	assert_int_equal(r.runs[0].owner.pid, 0);
	assert_string_equal(r.runs[0].owner.host, "");
	assert_int_equal(r.runs[0].lease_until_us, 0);
	assert_int_equal(r.runs[0].epoch, epoch);
	assert_int_equal(r.runs[0].backfill_id, 0);
	store_result_release(&r);
	check_runs(f, wanted, "1 ");

	/* a daemon takes it, and another process asks for it again */
	struct run_open taken = opening(f, "sales", 19);
	taken.owner = of_other_host();
	taken.backfill_id = 5;
	open_run(f, &taken, &id, &epoch);
	assert_int_equal(epoch, 2);
	FAILS(f, ERR_REFUSED, store_run_open(f->s, &o, &id, &epoch, NULL, &f->err));
	SAYS(f, "another-host.example");
	check_runs(f, wanted, "1 ");
	check_runs(f, (struct run_filter){ .state = -1, .backfill_id = 5 }, "1 ");

	/* until it is final; what belongs to a backfill goes on to do so */
	taken.if_wanted = true;
	open_run(f, &taken, &id, &epoch);
	finish(f, id, epoch);
	check_runs(f, wanted, "");
	FAILS(f, ERR_REFUSED, store_run_open(f->s, &taken, &id, &epoch, NULL, &f->err));
	SAYS(f, "come to its end");
	OK(f, store_run_close(f->s, id, epoch, &f->err));
	struct change again = run_change(id, RUN_SUCCESS, RUN_RUNNING, 9);
	OK(f, commit(f, id, epoch, &again, 1));
	check_runs(f, wanted, "");
	open_run(f, &o, &id, &epoch);
	check_runs(f, wanted, "1 ");
	check_runs(f, (struct run_filter){ .state = -1, .backfill_id = 5 }, "1 ");

	/* a final run that is wanted once more is so before anything of it changes */
	struct change end = run_change(id, RUN_RUNNING, RUN_FAILED, 10);
	OK(f, commit(f, id, epoch, &end, 1));
	check_runs(f, wanted, "");
	o.trigger = "backfill";
	open_run(f, &o, &id, &epoch);
	check_runs(f, wanted, "1 ");
	OK(f, store_run_find(f->s, "sales", &r, &f->err));
	assert_int_equal(r.runs[0].state, RUN_FAILED);
	assert_string_equal(r.runs[0].trigger, "backfill");
	store_result_release(&r);

	o.only_new = true;
	FAILS(f, ERR_REFUSED, store_run_open(f->s, &o, &id, &epoch, NULL, &f->err));
	SAYS(f, "exists already");
	struct run_open fresh = waiting(f, "sales", 20);
	fresh.only_new = true;
	open_run(f, &fresh, &id, &epoch);
	assert_int_equal(id, 2);

	o.wanted = false;
	FAILS(f, ERR_INTERNAL, store_run_open(f->s, &o, &id, &epoch, NULL, &f->err));
	SAYS(f, "by nobody");
	o.owner.pid = -1;
	o.wanted = true;
	FAILS(f, ERR_INTERNAL, store_run_open(f->s, &o, &id, &epoch, NULL, &f->err));
}

static void test_renew_owned(void **state)
{
	struct fixture *f = *state;
	static const int64_t want[] = { 7000000, 2000000, 7000000, 0, 2000000 };
	struct run_open o[] = { opening(f, "a", 1), opening(f, "b", 1), opening(f, "c", 1),
		waiting(f, "d", 1), opening(f, "e", 1) };
	struct store_result r;
	int64_t id, epoch;

	o[1].owner = of_other_host();
	o[4].owner.start_ticks++; /* the same pid, but before */
	for (size_t i = 0; i < 5; i++)
		open_run(f, &o[i], &id, &epoch);
	OK(f, store_renew_owned(f->s, &f->self, 7000000, &f->err));
	for (size_t i = 0; i < 5; i++) {
		OK(f, store_run_by_key(f->s, &o[i].key, &r, &f->err));
		assert_int_equal(r.runs[0].lease_until_us, want[i]);
		store_result_release(&r);
	}
	struct owner nobody = { .pid = 0 };
	FAILS(f, ERR_INTERNAL, store_renew_owned(f->s, &nobody, 7000000, &f->err));
}

/* A batch of several runs: all of their leases, or nothing. */
static void test_leases(void **state)
{
	struct fixture *f = *state;
	struct run_open o[] = { opening(f, "a", 1), opening(f, "b", 1), opening(f, "c", 1) };
	struct store_lease l[3];
	struct change c[3];

	for (size_t i = 0; i < 3; i++) {
		open_run(f, &o[i], &l[i].run_id, &l[i].epoch);
		c[i] = task_change(l[i].run_id, "orders", TASK_NONE, TASK_QUEUED, REASON_NEEDS_MET);
	}
	struct store_batch b = { .leases = l, .nleases = 3, .changes = c, .nchanges = 3 };
	for (size_t i = 0; i < 3; i++) {
		char says[32];
		l[i].epoch--;
		snprintf(says, sizeof says, "run %" PRId64 " has passed on", l[i].run_id);
		FAILS(f, ERR_FENCED, store_commit(f->s, &b, &f->err));
		SAYS(f, says);
		l[i].epoch++;
		for (size_t k = 0; k < 3; k++)
			check_state(f, l[k].run_id, "orders", TASK_NONE);
	}
	b.nleases = 2;
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	SAYS(f, "a change of run 3, whose lease is not checked");
	c[2].kind = CHANGE_STOP; /* passed over */
	OK(f, store_commit(f->s, &b, &f->err));
	check_state(f, 1, "orders", TASK_QUEUED);
	check_state(f, 2, "orders", TASK_QUEUED);
	check_state(f, 3, "orders", TASK_NONE);
	struct store_lease backward[] = { l[2], l[1], l[0] };
	c[2].kind = CHANGE_TASK;
	b = (struct store_batch){
		.leases = backward, .nleases = 3, .changes = &c[2], .nchanges = 1
	};
	OK(f, store_commit(f->s, &b, &f->err));
	check_state(f, 3, "orders", TASK_QUEUED);
}

/* ---- plans --------------------------------------------------------------------------- */

static struct plan_row decision(const char *dag, const char *action, int day)
{
	return (struct plan_row){ .id = 77,
		.at_us = day * DAY_US + 5,
		.dag = dag,
		.action = action,
		.why = "due",
		.start_us = day * DAY_US,
		.end_us = (day + 1) * DAY_US,
		.run_after_us = (day + 1) * DAY_US,
		.count = day };
}

static int64_t new_backfill(struct fixture *f, const char *dag, bool newest_first)
{
	struct backfill_new b = { .dag = dag,
		.mode = "missing",
		.from_us = 1 * DAY_US,
		.to_us = 9 * DAY_US,
		.newest_first = newest_first,
		.jobs = 4,
		.by = "ann",
		.reason = "history",
		.ntotal = 9,
		.now_us = 42 };
	int64_t id;

	OK(f, store_backfill_create(f->s, &b, &id, &f->err));
	return id;
}

static void test_plan(void **state)
{
	struct fixture *f = *state;
	struct plan_row rows[] = { decision("sales", "create", 1), decision("stock", "skip", 2),
		decision("sales", "skip", 3), decision("sales", BACKEND_PLAN_CANCEL, 4) };
	struct run_open opens[] = { waiting(f, "sales", 1), opening(f, "theirs", 1),
		opening(f, "sales", 2), opening(f, "sales", 1) };
	struct run_opened got[4];
	int64_t id, epoch, backfill = new_backfill(f, "sales", false);
	struct backfill_cursor cursor = { backfill, 3 * DAY_US, true };
	struct plan_state states[] = { { "sales", "to 5" }, { "stock", "to 6" } };
	struct store_plan p = { .rows = rows,
		.nrows = 4,
		.states = states,
		.nstates = 2,
		.opens = opens,
		.nopens = 4,
		.cursors = &cursor,
		.ncursors = 1 };
	struct store_result r;

	struct run_open theirs = opens[1];
	theirs.owner = of_other_host();
	open_run(f, &theirs, &id, &epoch);
	opens[2].backfill_id = backfill;
	commit_plan(f, &p, got);
	assert_int_equal(got[0].run_id, 2);
	assert_true(got[0].created);
	assert_int_equal(got[1].run_id, 0);
	assert_false(got[1].created);
	assert_int_equal(got[2].run_id, 3);
	assert_int_equal(got[2].epoch, 1);
	assert_int_equal(got[3].run_id, 2); /* the first, taken by us */
	assert_int_equal(got[3].epoch, 2);
	assert_false(got[3].created);
	check_runs(f, (struct run_filter){ .state = -1, .wanted = true }, "2 ");
	check_state(f, 3, "daily", TASK_NONE);

	OK(f, store_plans(f->s, "sales", 0, &r, &f->err));
	assert_int_equal(r.n, 3);
	assert_int_equal(r.plans[0].id, 4);
	assert_string_equal(r.plans[1].action, "skip");
	assert_int_equal(r.plans[2].id, 1);
	assert_int_equal(r.plans[2].at_us, DAY_US + 5);
	assert_string_equal(r.plans[2].dag, "sales");
	assert_string_equal(r.plans[2].action, "create");
	assert_string_equal(r.plans[2].why, "due");
	assert_int_equal(r.plans[2].start_us, DAY_US);
	assert_int_equal(r.plans[2].end_us, 2 * DAY_US);
	assert_int_equal(r.plans[2].run_after_us, 2 * DAY_US);
	assert_int_equal(r.plans[2].count, 1);
	store_result_release(&r);
	OK(f, store_plans(f->s, "sales", 2, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.plans[1].id, 3);
	store_result_release(&r);
	OK(f, store_plans(f->s, "none", 0, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);

	/* one that cannot be takes all of it back */
	cursor.id = 99;
	opens[0] = opening(f, "sales", 8);
	FAILS(f, ERR_NOT_FOUND, store_plan_commit(f->s, &p, got, &f->err));
	SAYS(f, "no backfill 99");
	cursor.id = backfill;
	cursor.cursor_us = 7;
	opens[3].key.interval_end_us = 0;
	FAILS(f, ERR_INTERNAL, store_plan_commit(f->s, &p, got, &f->err));
	rows[3].why = NULL;
	FAILS(f, ERR_INTERNAL, store_plan_commit(f->s, &p, got, &f->err));
	check_runs(f, (struct run_filter){ .state = -1 }, "3 2 1 ");
	OK(f, store_plans(f->s, "sales", 0, &r, &f->err));
	assert_int_equal(r.n, 3);
	store_result_release(&r);
	OK(f, store_backfills(f->s, backfill, &r, &f->err));
	assert_int_equal(r.backfills[0].cursor_us, 3 * DAY_US);
	assert_true(r.backfills[0].exhausted);
	assert_int_equal(r.backfills[0].nactive, 1);
	store_result_release(&r);
}

/* ---- DAGs and switches --------------------------------------------------------------- */

static void check_dag(struct fixture *f, const char *name, const char *want)
{
	struct store_result r;
	char got[256] = "not there";

	OK(f, store_dags(f->s, name, &r, &f->err));
	assert_in_range(r.n, 0, 1);
	if (r.n) {
		const struct dag_row *d = &r.dags[0];
		assert_string_equal(d->name, name);
		snprintf(got, sizeof got,
			"%s %s %s %s%s%s by %s: %s %" PRId64 "%s by %s: %s %" PRId64, d->path,
			d->version, d->error, d->present ? "present" : "gone",
			d->paused ? " paused" : "", d->all_paused ? " all" : "", d->paused_by,
			d->paused_reason, d->paused_us, d->draining ? " draining" : "",
			d->draining_by, d->draining_reason, d->draining_us);
	}
	store_result_release(&r);
	if (strncmp(got, want, strlen(want)) != 0)
		fail_msg("%s: %s, not %s", name, got, want);
}

static void put_dags(struct fixture *f, const struct dag_put *dags, size_t n)
{
	OK(f, store_dags_put(f->s, dags, n, 1, &f->err));
}

static void test_dags(void **state)
{
	struct fixture *f = *state;
	struct dag_put two[] = { { "sales", "s.yaml", "/d", "v1", NULL, true, NULL, 0 },
		{ "ads", "a.yaml", "/d", NULL, "a.yaml:3: no such key", true, NULL, 0 } };
	struct store_result r;

	OK(f, store_dags(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	put_dags(f, two, 2);
	put_dags(f, two, 2);
	check_dag(f, "sales", "s.yaml v1 (null) present by (null): (null) 0 by (null): (null) 0");
	check_dag(f, "ads", "a.yaml (null) a.yaml:3: no such key present");
	two[0].version = NULL; /* broken now */
	two[0].error = "bad";
	put_dags(f, two, 1);
	check_dag(f, "sales", "s.yaml v1 bad present");
	two[0] = (struct dag_put){ "sales", "t.yaml", "/d", "v2", NULL, true, NULL, 0 };
	put_dags(f, two, 1);
	check_dag(f, "sales", "t.yaml v2 (null) present");
	two[0].present = false;
	put_dags(f, two, 1);
	check_dag(f, "sales", "t.yaml v2 (null) gone");

	OK(f, store_dags(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_string_equal(r.dags[0].name, "ads");
	assert_string_equal(r.dags[1].dir, "/d");
	assert_null(r.dags[1].last);
	store_result_release(&r);

	struct plan_row rows[] = { decision("sales", "create", 1), decision("sales", "skip", 2),
		decision("sales", BACKEND_PLAN_CANCEL, 2), decision("stock", "create", 9) };
	struct plan_state states[] = { { "sales", "to 1" }, { "stock", "to 6" },
		{ "sales", "to 2" } };
	commit_plan(f,
		&(struct store_plan){ .rows = rows, .nrows = 4, .states = states, .nstates = 3 },
		NULL);
	OK(f, store_dags(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_null(r.dags[0].last);
	assert_int_equal(r.dags[1].last->id, 2);
	assert_string_equal(r.dags[1].last->action, "skip");
	assert_int_equal(r.dags[1].last->start_us, 2 * DAY_US);
	assert_null(r.dags[0].plan_state);
	assert_string_equal(r.dags[1].plan_state, "to 2");
	store_result_release(&r);
	two[1].name = "stock"; /* was planned before it was known */
	put_dags(f, two, 2);
	OK(f, store_dags(f->s, "stock", &r, &f->err));
	assert_string_equal(r.dags[0].plan_state, "to 6");
	assert_int_equal(r.dags[0].last->id, 4);
	store_result_release(&r);
	states[0].text = NULL;
	FAILS(f, ERR_INTERNAL,
		store_plan_commit(f->s, &(struct store_plan){ .states = states, .nstates = 1 },
			NULL, &f->err));
	two[1].name = "";
	FAILS(f, ERR_INTERNAL, store_dags_put(f->s, two, 2, 1, &f->err));
}

static void set(struct fixture *f, const char *dag, enum dag_switch which, const char *by,
	const char *why, int64_t at_us)
{
	struct switch_put p = { .dag = dag,
		.which = which,
		.on = why != NULL,
		.by = by,
		.reason = why,
		.now_us = at_us };

	for (int i = 0; i < 2; i++) /* twice is once */
		OK(f, store_switch(f->s, &p, &f->err));
}

static void test_switches(void **state)
{
	struct fixture *f = *state;
	struct dag_put one = { "sales", "s", "/d", "v", NULL, true, NULL, 0 };

	put_dags(f, &one, 1);
	set(f, "sales", DAG_PAUSED, "ann", "too slow", 5);
	set(f, "new", DAG_DRAINING, "bob", "soon gone", 6);
	check_dag(f, "sales", "s v (null) present paused by ann: too slow 5 by (null): (null) 0");
	check_dag(f, "new",
		"(null) (null) (null) gone by (null): (null) 0 draining by bob: soon gone 6");
	set(f, "sales", DAG_PAUSED, "cid", "still", 7);
	check_dag(f, "sales", "s v (null) present paused by cid: still 7 by");
	set(f, "*", DAG_PAUSED, "eve", "move", 8);
	set(f, "*", DAG_DRAINING, "eve", "all", 9);
	check_dag(
		f, "sales", "s v (null) present paused all by eve: move 8 draining by eve: all 9");
	check_dag(f, "new",
		"(null) (null) (null) gone paused all by eve: move 8 draining by bob: soon gone 6");
	check_dag(f, "*", "not there");
	set(f, "*", DAG_PAUSED, "eve", NULL, 10);
	set(f, "*", DAG_DRAINING, "eve", NULL, 10);
	check_dag(f, "sales", "s v (null) present paused by cid: still 7 by (null)");
	set(f, "sales", DAG_PAUSED, "cid", NULL, 11);
	check_dag(f, "sales", "s v (null) present by (null): (null) 0 by");
	set(f, "new", DAG_DRAINING, "bob", NULL, 12);
	check_dag(f, "new", "not there");

	struct switch_put bad = { .dag = NULL };
	FAILS(f, ERR_INTERNAL, store_switch(f->s, &bad, &f->err));
	bad = (struct switch_put){ .dag = "sales", .which = DAG_SWITCH_MAX };
	FAILS(f, ERR_INTERNAL, store_switch(f->s, &bad, &f->err));
	assert_string_equal(dag_switch_name(DAG_PAUSED), "paused");
	assert_string_equal(dag_switch_name(DAG_DRAINING), "draining");
	assert_string_equal(dag_switch_name(DAG_SWITCH_MAX), "?");
}

static void freeze(struct fixture *f, const char *dag, const char *task, bool on, int64_t at_us)
{
	struct switch_put p = { .dag = dag,
		.task = task,
		.which = DAG_SWITCH_MAX, /* not looked at */
		.on = on,
		.by = "ann",
		.reason = "broken source",
		.now_us = at_us };

	for (int i = 0; i < 2; i++)
		OK(f, store_switch(f->s, &p, &f->err));
}

static void check_frozen(struct fixture *f, const char *dag, const char *want)
{
	struct store_result r;
	char got[256] = "";

	OK(f, store_frozen(f->s, dag, &r, &f->err));
	for (size_t i = 0; i < r.n; i++) {
		assert_string_equal(r.frozen[i].by, "ann");
		assert_string_equal(r.frozen[i].reason, "broken source");
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s.%s %" PRId64 ", ",
			r.frozen[i].dag, r.frozen[i].task, r.frozen[i].at_us);
	}
	store_result_release(&r);
	assert_string_equal(got, want);
}

static void test_frozen(void **state)
{
	struct fixture *f = *state;

	check_frozen(f, NULL, "");
	freeze(f, "sales", "orders", true, 1);
	freeze(f, "ads", "z", true, 2);
	freeze(f, "sales", "daily", true, 3);
	freeze(f, "sales", "nothing", false, 3);
	check_frozen(f, NULL, "ads.z 2, sales.daily 3, sales.orders 1, ");
	check_frozen(f, "sales", "sales.daily 3, sales.orders 1, ");
	check_frozen(f, "s", "");
	check_dag(f, "ads", "(null) (null) (null) gone by (null)");
	freeze(f, "sales", "orders", true, 9);
	freeze(f, "sales", "daily", false, 9);
	check_frozen(f, "sales", "sales.orders 9, ");
	freeze(f, "sales", "orders", false, 9);
	freeze(f, "ads", "z", false, 9);
	check_frozen(f, NULL, "");
}

/* ---- backfills ----------------------------------------------------------------------- */

static void test_backfill(void **state)
{
	struct fixture *f = *state;
	static const char *const ends[] = { "success", "failed", "cancelled", "running", "queued" };
	int64_t id, epoch, first = new_backfill(f, "sales", false);
	int64_t second = new_backfill(f, "stock", true);
	struct store_result r;

	for (int i = 0; i < 5; i++) {
		struct run_open o = opening(f, "sales", i + 1);
		o.backfill_id = first;
		open_run(f, &o, &id, &epoch);
		int to = run_state_by_name(ends[i]);
		struct change c[] = { run_change(id, RUN_QUEUED, RUN_RUNNING, 3),
			run_change(id, RUN_RUNNING, (enum run_state)to, 4) };
		OK(f, commit(f, id, epoch, c, i == 4 ? 0 : i == 3 ? 1 : 2));
	}
	OK(f, store_backfills(f->s, 0, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.backfills[0].id, second);
	assert_int_equal(r.backfills[0].cursor_us, 9 * DAY_US);
	assert_true(r.backfills[0].newest_first);
	assert_int_equal(r.backfills[0].nactive, 0);
	const struct backfill_row *b = &r.backfills[1];
	assert_int_equal(b->id, first);
	assert_string_equal(b->dag, "sales");
	assert_string_equal(b->mode, "missing");
	assert_string_equal(b->params, "{}");
	assert_string_equal(b->by, "ann");
	assert_string_equal(b->reason, "history");
	assert_int_equal(b->from_us, DAY_US);
	assert_int_equal(b->to_us, 9 * DAY_US);
	assert_int_equal(b->created_us, 42);
	assert_int_equal(b->ended_us, 0);
	assert_int_equal(b->cursor_us, DAY_US);
	assert_false(b->newest_first || b->exhausted);
	assert_int_equal(b->jobs, 4);
	assert_int_equal(b->state, BACKFILL_RUNNING);
	assert_null(b->state_by);
	assert_int_equal(b->ntotal, 9);
	assert_int_equal(b->nsuccess, 1);
	assert_int_equal(b->nfailed, 2);
	assert_int_equal(b->nactive, 2);
	store_result_release(&r);
	OK(f, store_backfills(f->s, 99, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);

	struct backfill_new bad = {
		.dag = "x", .mode = "missing", .from_us = 2, .to_us = 1, .jobs = 1
	};
	FAILS(f, ERR_INTERNAL, store_backfill_create(f->s, &bad, &id, &f->err));
	bad.to_us = 2;
	bad.jobs = 0;
	FAILS(f, ERR_INTERNAL, store_backfill_create(f->s, &bad, &id, &f->err));
	bad.jobs = 1;
	bad.mode = "most";
	FAILS(f, ERR_INTERNAL, store_backfill_create(f->s, &bad, &id, &f->err));
}

/* Every pair of states: the way to the first, then whether it may become the second. */
static void test_backfill_states(void **state)
{
	struct fixture *f = *state;
	static const char *const may = "running>paused running>cancelled running>done "
				       "paused>running paused>cancelled ";
	struct store_result r;

	for (int from = 0; from < BACKFILL_STATE_MAX; from++)
		for (int to = 0; to < BACKFILL_STATE_MAX; to++) {
			const char *a = backfill_state_name((enum backfill_state)from);
			const char *b = backfill_state_name((enum backfill_state)to);
			int64_t id = new_backfill(f, "sales", false);
			char pair[48], says[64];
			if (from)
				OK(f, store_backfill_set(f->s, id, (enum backfill_state)from, "ann",
					      "why", 50, &f->err));
			snprintf(pair, sizeof pair, "%s>%s ", a, b);
			snprintf(says, sizeof says, "is %s, and cannot become %s", a, b);
			if (strstr(may, pair)) {
				OK(f, store_backfill_set(f->s, id, (enum backfill_state)to, NULL,
					      NULL, 60, &f->err));
			} else {
				FAILS(f, ERR_REFUSED,
					store_backfill_set(f->s, id, (enum backfill_state)to, "bob",
						"no", 60, &f->err));
				SAYS(f, says);
			}
			OK(f, store_backfills(f->s, id, &r, &f->err));
			const struct backfill_row *row = &r.backfills[0];
			assert_int_equal(row->state, strstr(may, pair) ? to : from);
			bool final =
				row->state == BACKFILL_CANCELLED || row->state == BACKFILL_DONE;
			assert_int_equal(row->ended_us, !final ? 0 : strstr(may, pair) ? 60 : 50);
			if (from) {
				assert_string_equal(row->state_by, "ann");
				assert_string_equal(row->state_reason, "why");
			}
			store_result_release(&r);
			assert_int_equal(backfill_state_by_name(b), to);
		}
	assert_int_equal(backfill_state_by_name("x"), -1);
	FAILS(f, ERR_NOT_FOUND,
		store_backfill_set(f->s, 999, BACKFILL_PAUSED, NULL, NULL, 1, &f->err));
	FAILS(f, ERR_INTERNAL,
		store_backfill_set(f->s, 1, BACKFILL_STATE_MAX, NULL, NULL, 1, &f->err));
}

/* ---- forgetting ---------------------------------------------------------------------- */

static void finish_at(
	struct fixture *f, int64_t id, int64_t epoch, int64_t start_us, int64_t end_us)
{
	struct change c[] = {
		run_change(id, RUN_QUEUED, RUN_RUNNING, start_us),
		run_change(id, RUN_RUNNING, RUN_SUCCESS, end_us),
	};
	struct store_result r;

	OK(f, commit(f, id, epoch, c, 1));
	OK(f, store_runs(f->s, &(struct run_filter){ .state = -1, .limit = 1 }, &r, &f->err));
	assert_int_equal(r.runs[0].owner.pid, f->self.pid);
	store_result_release(&r);
	OK(f, commit(f, id, epoch, c + 1, 1));
	OK(f, store_runs(f->s, &(struct run_filter){ .state = -1, .limit = 1 }, &r, &f->err));
	assert_int_equal(r.runs[0].id, id);
	assert_int_equal(r.runs[0].owner.pid, 0);
	assert_int_equal(r.runs[0].lease_until_us, 0);
	store_result_release(&r);
}

static void prune(struct fixture *f, int64_t before_us, int max, const char *want)
{
	struct store_result r;
	char got[256] = "";

	OK(f, store_prune(f->s, before_us, max, &r, &f->err));
	for (size_t i = 0; i < r.n; i++)
		snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", r.runs[i].name);
	store_result_release(&r);
	assert_string_equal(got, want);
}

static bool has_version(struct fixture *f, const char *version)
{
	char *text = NULL;
	bool has = store_version_text(f->s, version, &text, NULL) == 0;

	free(text);
	return has;
}

static void test_prune(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *dag, *version;
		int64_t end_us; /* 0: not final */
		bool open, wanted;
	} runs[] = { { "a", "v1", 300, false, false }, { "a", "v1", 100, false, false },
		{ "b", "w1", 200, false, false }, { "b", "w1", 0, false, false },
		{ "c", "x1", 150, true, false }, { "c", "x1", 160, false, true },
		{ "a", "v2", 400, false, false } };
	int64_t id, epoch, token;
	struct store_result r;

	OK(f, store_reserve_tokens(f->s, 50, &token, &f->err));
	for (int i = 0; i < 7; i++) {
		struct run_open o = opening(f, runs[i].dag, i + 1);
		o.version = runs[i].version;
		open_run(f, &o, &id, &epoch);
		struct change c[] = {
			task_change(id, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
			start(id, "orders", 1, token + i),
		};
		struct check_row check = { id, 1, "orders", "unique", "warn", "pass", NULL, NULL,
			NULL, -1 };
		struct store_batch b = {
			.changes = c, .nchanges = 2, .checks = &check, .nchecks = 1
		};
		OK(f, store_commit(f->s, &b, &f->err));
		if (runs[i].end_us)
			finish_at(f, id, epoch, 50, runs[i].end_us);
		/* A final run is given up; who works on it has opened it again. */
		if (!runs[i].end_us)
			OK(f, store_run_close(f->s, id, epoch, &f->err));
		if (runs[i].open)
			open_run(f, &o, &id, &epoch);
		if (runs[i].wanted) {
			struct run_open again = waiting(f, runs[i].dag, i + 1);
			again.version = runs[i].version;
			open_run(f, &again, &id, &epoch);
		}
	}
	prune(f, 100, 10, "");
	prune(f, 101, 10, "a@2026-11-02 ");
	assert_true(has_version(f, "v1"));
	prune(f, 1000, 1, "b@2026-11-03 ");
	assert_true(has_version(f, "w1"));
	prune(f, 400, 10, "a@2026-11-01 ");
	assert_false(has_version(f, "v1"));
	assert_true(has_version(f, "v2"));
	check_runs(f, (struct run_filter){ .state = -1 }, "7 6 5 4 ");
	check_runs(f, (struct run_filter){ .dag = "a", .state = -1 }, "7 ");
	for (id = 1; id <= 3; id++) {
		assert_int_equal(count_events(f, id), 0);
		OK(f, store_tasks(f->s, id, &r, &f->err));
		assert_int_equal(r.n, 0);
		store_result_release(&r);
		OK(f, store_attempts(f->s, id, NULL, &r, &f->err));
		assert_int_equal(r.n, 0);
		store_result_release(&r);
		OK(f, store_checks(f->s, id, NULL, &r, &f->err));
		assert_int_equal(r.n, 0);
		store_result_release(&r);
	}
	FAILS(f, ERR_NOT_FOUND, store_run_close(f->s, 1, 1, &f->err));
	FAILS(f, ERR_NOT_FOUND, store_run_find(f->s, "a@2026-11-01", &r, &f->err));
	/* its key and name are free again; its number is not */
	struct run_open again = opening(f, "a", 1);
	open_run(f, &again, &id, &epoch);
	assert_int_equal(id, 8);
	assert_int_equal(epoch, 1);
	/* an owner whose lease ended that long ago is none */
	prune(f, 2000001, 10, "c@2026-11-05 a@2026-11-07 ");
	FAILS(f, ERR_INTERNAL, store_prune(f->s, 1, 0, &r, &f->err));
	FAILS(f, ERR_INTERNAL, store_vacuum(f->s, 0, &f->err));
	OK(f, store_vacuum(f->s, 10, &f->err));
}

/* Old decisions go, but for the newest of each DAG. */
static void test_prune_plans(void **state)
{
	struct fixture *f = *state;
	struct plan_row rows[20];
	struct store_result r;

	for (int i = 0; i < 20; i++)
		rows[i] = decision(i % 2 ? "a" : "b", i == 19 ? BACKEND_PLAN_CANCEL : "skip", i);
	commit_plan(f, &(struct store_plan){ .rows = rows, .nrows = 20 }, NULL);
	static const struct {
		int day, max;
		size_t a, b;
	} steps[] = { { 0, 10, 10, 10 }, { 1, 10, 10, 9 }, { 10, 1, 8, 7 }, { 10, 10, 5, 5 },
		{ 99, 10, 2, 1 } };
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		prune(f, steps[i].day * DAY_US, steps[i].max, "");
		OK(f, store_plans(f->s, "a", 0, &r, &f->err));
		assert_int_equal(r.n, steps[i].a);
		store_result_release(&r);
		OK(f, store_plans(f->s, "b", 0, &r, &f->err));
		assert_int_equal(r.n, steps[i].b);
		assert_int_equal(r.plans[0].id, 19);
		store_result_release(&r);
	}
	OK(f, store_plans(f->s, "a", 0, &r, &f->err));
	assert_int_equal(r.plans[0].id, 20);
	assert_int_equal(r.plans[1].id, 18);
	store_result_release(&r);
}

/* ---- how long it takes --------------------------------------------------------------- */

static void test_typical(void **state)
{
	struct fixture *f = *state;
	static const int64_t took[] = { 900, 10, 50, 20, 40 }; /* by day; the newest is last */
	static const int64_t want[] = { 0, 40, 30, 40, 30, 40, 40 };
	int64_t id, epoch, us = -1;

	OK(f, store_typical_us(f->s, "sales", 5, &us, &f->err));
	assert_int_equal(us, 0);
	for (int i = 0; i < 5; i++) {
		struct run_open o = opening(f, "sales", i + 1);
		open_run(f, &o, &id, &epoch);
		finish_at(f, id, epoch, 1000, 1000 + took[i]);
	}
	struct run_open failed = opening(f, "sales", 9), other = opening(f, "stock", 9);
	open_run(f, &failed, &id, &epoch);
	open_run(f, &other, &id, &epoch);
	finish_at(f, id, epoch, 1, 99999);
	for (int n = 0; n < 7; n++) {
		OK(f, store_typical_us(f->s, "sales", n, &us, &f->err));
		assert_int_equal(us, want[n]);
	}
	OK(f, store_typical_us(f->s, "sales", INT32_MAX, &us, &f->err));
	assert_int_equal(us, 40);
	OK(f, store_typical_us(f->s, "sales", -1, &us, &f->err));
	assert_int_equal(us, 0);
}

/* ---- many ---------------------------------------------------------------------------- */

static void test_many_runs(void **state)
{
	enum { N = 10000 };
	struct fixture *f = *state;
	static const char *const task[] = { "load" };
	static char dags[N][16], names[N][32], versions[N][16];
	struct run_open *opens = calloc(N, sizeof *opens);
	struct plan_row *rows = calloc(N, sizeof *rows);
	struct run_opened *got = calloc(N, sizeof *got);
	struct plan_state *states = calloc(N, sizeof *states);
	struct store_result r;

	for (int i = 0; i < N; i++) {
		snprintf(dags[i], sizeof dags[i], "dag_%d", i);
		snprintf(names[i], sizeof names[i], "dag_%d@2026-11-19", i);
		snprintf(versions[i], sizeof versions[i], "%08x", (unsigned)i * 2654435761u);
		opens[i] = opening(f, dags[i], 19);
		opens[i].name = opens[i].long_name = names[i];
		opens[i].version = versions[i];
		opens[i].tasks = task;
		opens[i].ntasks = 1;
		opens[i].wanted = true;
		rows[i] = decision(dags[i], "create", 19);
		states[i] = (struct plan_state){ dags[i], "1 2 3 4 5 6 7 8 9 0 1 2 3 4" };
	}
	struct store_plan p = { .rows = rows,
		.nrows = N,
		.states = states,
		.nstates = N,
		.opens = opens,
		.nopens = N };
	int64_t began_us = now_us();
	commit_plan(f, &p, got);
	int64_t took_us = now_us() - began_us;
	print_message("# 10,000 runs planned and opened in %" PRId64 " us\n", took_us);
	assert_int_equal(got[N - 1].run_id, N);
	began_us = now_us();
	OK(f, store_runs(f->s, &(struct run_filter){ .state = -1, .wanted = true }, &r, &f->err));
	print_message("# and listed in %" PRId64 " us\n", now_us() - began_us);
	assert_int_equal(r.n, N);
	assert_int_equal(r.runs[0].id, N);
	store_result_release(&r);
	OK(f, store_renew_owned(f->s, &f->self, 3000000, &f->err));
	free(opens);
	free(rows);
	free(got);
	free(states);
	/* a figure for `make bench`; here only what would be quadratic is caught */
	assert_true(took_us < 5000000);
}

/* ---- SQLite alone -------------------------------------------------------------------- */

/* How SQLite finds the rows: each line of its plan. */
static void explain(struct fixture *f, const char *text, char *ret, size_t size)
{
	sqlite3_stmt *stmt;
	char *sql = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", text);

	assert_int_equal(sqlite3_prepare_v2(handle(f), sql, -1, &stmt, NULL), SQLITE_OK);
	ret[0] = '\0';
	while (sqlite3_step(stmt) == SQLITE_ROW)
		snprintf(ret + strlen(ret), size - strlen(ret), "%s; ",
			(const char *)sqlite3_column_text(stmt, 3));
	sqlite3_finalize(stmt);
	sqlite3_free(sql);
}

/* Nothing that a daemon asks for often may look at all runs. */
static void test_indices(void **state)
{
	struct fixture *f = *state;
	char got[1024];
	struct buf b;

	for (unsigned set = 1; set < SQLITE_RUNS_MAX; set++) {
		const char *want =
			set & SQLITE_RUNS_LATEST        ? "r USING INTEGER PRIMARY KEY"
			: set & SQLITE_RUNS_WANTED      ? "r USING INDEX run_wanted"
			: set & SQLITE_RUNS_OF_BACKFILL ? "r USING INDEX run_by_backfill"
			: set & SQLITE_RUNS_OTHERS      ? "o USING INDEX run_owned"
			: set & SQLITE_RUNS_ACTIVE      ? "r USING INDEX run_by_state"
			: set == (SQLITE_RUNS_ENDED | SQLITE_RUNS_OF_DAG)
				? "r USING INDEX run_ended_by_dag (dag=? AND state=?)"
			: set & SQLITE_RUNS_OF_DAG ? "r USING INDEX sqlite_autoindex_run_2 (dag=?"
			: set & SQLITE_RUNS_ENDED  ? "r USING INDEX run_by_state (state=?)"
						   : "SCAN r";
		buf_init(&b, 1 << 16);
		sqlite_runs_text(&b, set);
		explain(f, b.data, got, sizeof got);
		if (!strstr(got, want))
			fail_msg("%s: %s, not %s", b.data, got, want);
		buf_release(&b);
	}
	static const struct {
		enum sqlite_sql id;
		const char *want;
	} cases[] = {
		{ SQL_RENEW_OWNED, "SEARCH run USING INDEX run_owned" },
		{ SQL_RUNS_OLD, "SEARCH r USING INDEX run_ended (ended_us<?)" },
		{ SQL_VERSIONS_DELETE, "SEARCH dag_version USING INDEX" },
		{ SQL_VERSIONS_DELETE, "INDEX dag_version_by_dag" },
		{ SQL_VERSIONS_DELETE, "INDEX run_by_version" },
		{ SQL_PLANS_DELETE, "SEARCH plan USING INTEGER PRIMARY KEY" },
		{ SQL_PLANS_DELETE, "SEARCH n USING INDEX plan_by_dag" },
		{ SQL_DAGS, "SEARCH n USING INDEX plan_by_dag" },
		{ SQL_PLANS, "SEARCH plan USING INDEX plan_by_dag" },
		{ SQL_BACKFILLS, "SEARCH run USING COVERING INDEX run_by_backfill" },
		{ SQL_DURATIONS, "SEARCH run USING INDEX run_ended_by_dag" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		explain(f, sqlite_sql_text(cases[i].id), got, sizeof got);
		if (!strstr(got, cases[i].want) || strstr(got, "SCAN run"))
			fail_msg("%s: not %s", got, cases[i].want);
	}
	explain(f, sqlite_sql_text(SQL_RUNS_OLD), got, sizeof got);
	assert_null(strstr(got, "TEMP B-TREE"));
}

/* What is forgotten makes room, which is given back, page by page. */
static void test_vacuum(void **state)
{
	enum { N = 200, SIZE = 20000 };
	struct fixture *f = *state;
	char *large = malloc(SIZE);
	int64_t id, epoch;
	struct store_result r;

	assert_int_equal(pragma(f, "PRAGMA auto_vacuum"), 2);
	memset(large, 'x', SIZE - 1);
	large[SIZE - 1] = '\0';
	for (int i = 0; i < N; i++) {
		struct run_open o = opening(f, "sales", i);
		o.params = large;
		open_run(f, &o, &id, &epoch);
		finish_at(f, id, epoch, 1, 2);
		OK(f, store_run_close(f->s, id, epoch, &f->err));
	}
	int before = pragma(f, "PRAGMA page_count");
	OK(f, store_prune(f->s, 10, N, &r, &f->err));
	assert_int_equal(r.n, N);
	store_result_release(&r);
	int unused = pragma(f, "PRAGMA freelist_count");
	assert_true(unused > N);
	OK(f, store_vacuum(f->s, 100, &f->err));
	assert_int_equal(pragma(f, "PRAGMA freelist_count"), unused - 100);
	OK(f, store_vacuum(f->s, 1000000, &f->err));
	assert_int_equal(pragma(f, "PRAGMA freelist_count"), 0);
	assert_true(pragma(f, "PRAGMA page_count") <= before - unused);
	assert_int_equal(pragma(f, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
	assert_int_equal(pragma(f, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
	free(large);
}

/* Who did what stays, after a switch is off and a state has passed. */
static void test_audit(void **state)
{
	struct fixture *f = *state;
	int64_t id = new_backfill(f, "sales", false);

	set(f, "sales", DAG_PAUSED, "ann", "slow", 5);
	set(f, "sales", DAG_PAUSED, "bob", NULL, 6);
	freeze(f, "sales", "orders", true, 7);
	OK(f, store_backfill_set(f->s, id, BACKFILL_PAUSED, "cid", "night", 8, &f->err));
	assert_int_equal(pragma(f, "SELECT count(*) FROM audit"), 8);
	assert_int_equal(pragma(f, "SELECT count(*) FROM audit WHERE (who, what, subject, reason)"
				   " = ('ann', 'paused', 'sales', 'slow')"),
		2);
	assert_int_equal(pragma(f, "SELECT count(*) FROM audit WHERE (at_us, who, what, subject)"
				   " = (6, 'bob', 'not paused', 'sales')"),
		2);
	assert_int_equal(pragma(f, "SELECT count(*) FROM audit WHERE (what, subject)"
				   " = ('frozen', 'sales.orders')"),
		2);
	assert_int_equal(pragma(f, "SELECT count(*) FROM audit WHERE (who, what, subject, reason)"
				   " = ('cid', 'paused', '1', 'night')"),
		1);
}

/* Locked or full: an error of its kind, nothing kept, and usable afterwards. */
static void test_plan_faults(void **state)
{
	struct fixture *f = *state;
	struct plan_row row = decision("sales", "create", 1);
	struct run_open open = waiting(f, "sales", 1);
	struct run_opened got;
	struct store_plan p = { .rows = &row, .nrows = 1, .opens = &open, .nopens = 1 };
	struct dag_put dag = { "sales", "s", "/d", "v", NULL, true, NULL, 0 };
	struct switch_put on = { .dag = "sales", .on = true, .by = "ann", .now_us = 1 };
	struct backfill_new b = { .dag = "x", .mode = "all", .from_us = 1, .to_us = 1, .jobs = 1 };
	struct store_result r;
	int64_t id = new_backfill(f, "sales", false);
	sqlite3 *other;

	sqlite3_busy_timeout(handle(f), 1);
	assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	FAILS(f, ERR_BUSY, store_plan_commit(f->s, &p, &got, &f->err));
	FAILS(f, ERR_BUSY, store_dags_put(f->s, &dag, 1, 1, &f->err));
	FAILS(f, ERR_BUSY, store_switch(f->s, &on, &f->err));
	FAILS(f, ERR_BUSY, store_backfill_create(f->s, &b, &id, &f->err));
	FAILS(f, ERR_BUSY, store_backfill_set(f->s, id, BACKFILL_PAUSED, "a", "b", 1, &f->err));
	FAILS(f, ERR_BUSY, store_prune(f->s, 1, 1, &r, &f->err));
	FAILS(f, ERR_BUSY, store_vacuum(f->s, 1, &f->err));
	FAILS(f, ERR_BUSY, store_renew_owned(f->s, &f->self, 1, &f->err));
	SAYS(f, "try again");
	sqlite3_close(other);

	char text[64], *large = malloc(1 << 20);
	memset(large, 'x', (1 << 20) - 1);
	large[(1 << 20) - 1] = '\0';
	snprintf(text, sizeof text, "PRAGMA max_page_count = %d", pragma(f, "PRAGMA page_count"));
	pragma(f, text);
	open.text = on.reason = dag.error = b.reason = large;
	FAILS(f, ERR_STORE, store_plan_commit(f->s, &p, &got, &f->err));
	SAYS(f, "the disk is full");
	FAILS(f, ERR_STORE, store_dags_put(f->s, &dag, 1, 1, &f->err));
	FAILS(f, ERR_STORE, store_switch(f->s, &on, &f->err));
	FAILS(f, ERR_STORE, store_backfill_create(f->s, &b, &id, &f->err));
	FAILS(f, ERR_STORE, store_backfill_set(f->s, id, BACKFILL_PAUSED, "a", large, 1, &f->err));
	pragma(f, "PRAGMA max_page_count = 1000000");
	free(large);
	assert_int_equal(pragma(f, "SELECT count(*) FROM run"), 0);
	assert_int_equal(pragma(f, "SELECT count(*) FROM plan"), 0);
	assert_int_equal(pragma(f, "SELECT count(*) FROM dag"), 0);
	assert_int_equal(pragma(f, "SELECT count(*) FROM switch"), 0);
	assert_int_equal(pragma(f, "SELECT count(*) FROM audit"), 1);
	open.text = "dag: x\n";
	commit_plan(f, &p, &got);
	assert_int_equal(got.run_id, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_wanted),
		BOTH(test_renew_owned),
		BOTH(test_leases),
		BOTH(test_plan),
		BOTH(test_dags),
		BOTH(test_switches),
		BOTH(test_frozen),
		BOTH(test_backfill),
		BOTH(test_backfill_states),
		BOTH(test_prune),
		BOTH(test_prune_plans),
		BOTH(test_typical),
		BOTH(test_many_runs),
		ONE(test_indices, SQLITE),
		ONE(test_vacuum, SQLITE),
		ONE(test_audit, SQLITE),
		ONE(test_plan_faults, SQLITE),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
