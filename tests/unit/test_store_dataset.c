/* Datasets: updates, who waits for them and who takes them: one suite over every backend of the
 * store. */
#include "tests/lib/store_fixture.h"

#define DAY INT64_C(86400000000)

static struct dataset_put putting(int64_t run, const char *dataset, int64_t work, int day)
{
	return (struct dataset_put){ .dataset = dataset,
		.start_us = day * DAY,
		.end_us = (day + 1) * DAY,
		.at_us = 1000 + work,
		.dag = "sales",
		.task = "load",
		.map_index = -1,
		.run_id = run,
		.work = work };
}

struct run {
	int64_t id, epoch;
};

static struct run make_run(struct fixture *f, const char *dag, int day, const char *trigger)
{
	struct run_open o = opening(f, dag, day);
	struct run r;

	o.trigger = trigger;
	open_run(f, &o, &r.id, &r.epoch);
	return r;
}

static int put(struct fixture *f, const struct run *r, const struct dataset_put *p, size_t n)
{
	struct store_lease lease = { r->id, r->epoch };
	struct store_batch b = { .leases = &lease, .nleases = 1, .datasets = p, .ndatasets = n };

	return store_commit(f->s, &b, &f->err);
}

static void update(struct fixture *f, const struct run *r, const char *dataset, int64_t work)
{
	const struct dataset_put p = putting(r->id, dataset, work, (int)(work % 28));

	OK(f, put(f, r, &p, 1));
}

static void follow(struct fixture *f, const char *dag, const char *a, const char *b)
{
	const char *names[] = { a, b };
	const struct dataset_follow fo = { dag, names, b ? 2 : a ? 1 : 0, 77 };

	OK(f, store_dataset_follow(f->s, &fo, &f->err));
}

/* "id:dataset " of each */
static void check(struct fixture *f, const struct update_filter *filter, const char *want)
{
	struct store_result r;
	char got[512] = "";

	OK(f, store_dataset_updates(f->s, filter, &r, &f->err));
	for (size_t i = 0; i < r.n; i++) {
		size_t used = strlen(got);
		snprintf(got + used, sizeof got - used, "%" PRId64 ":%s ", r.updates[i].id,
			r.updates[i].dataset);
	}
	store_result_release(&r);
	assert_string_equal(got, want);
}

static void check_waiting(struct fixture *f, const char *dag, const char *want)
{
	check(f, &(struct update_filter){ .which = UPDATES_WAITING, .dag = dag }, want);
}

static void test_once(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule");
	struct dataset_put p[] = { putting(r.id, "a", 500, 3), putting(r.id, "b", 500, 3),
		putting(r.id, "a", 500, 3) };
	struct store_result rows;

	/* one piece of work is one update of each, however often it is put */
	OK(f, put(f, &r, p, 3));
	OK(f, put(f, &r, p, 2));
	check(f, &(struct update_filter){ .which = UPDATES_OF }, "2:b 1:a ");
	/* another piece is another */
	p[0].work = 501;
	p[0].map_index = 4;
	OK(f, put(f, &r, p, 2));
	check(f, &(struct update_filter){ .which = UPDATES_OF, .dataset = "a" }, "3:a 1:a ");
	check(f, &(struct update_filter){ .which = UPDATES_OF, .limit = 1 }, "3:a ");
	check(f, &(struct update_filter){ .which = UPDATES_AFTER, .id = 1 }, "2:b 3:a ");
	check(f, &(struct update_filter){ .which = UPDATES_AFTER, .id = 1, .limit = 1 }, "2:b ");
	check(f, &(struct update_filter){ .which = UPDATES_BY, .id = r.id }, "1:a 2:b 3:a ");
	check(f, &(struct update_filter){ .which = UPDATES_BY, .id = r.id + 1 }, "");
	OK(f, store_dataset_updates(
		      f->s, &(struct update_filter){ .which = UPDATES_OF }, &rows, &f->err));
	const struct dataset_update_row *u = &rows.updates[0];
	assert_int_equal(u->at_us, 1500);
	assert_int_equal(u->start_us, 3 * DAY);
	assert_int_equal(u->end_us, 4 * DAY);
	assert_string_equal(u->dag, "sales");
	assert_string_equal(u->task, "load");
	assert_string_equal(u->run, "sales@2026-11-03");
	assert_int_equal(u->map_index, 4);
	assert_int_equal(u->run_id, r.id);
	assert_int_equal(u->work, 501);
	assert_true(u->wakes);
	assert_null(u->by);
	assert_null(u->reason);
	store_result_release(&rows);
}

static void test_with_the_success(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule");
	const struct dataset_put p = putting(r.id, "a", 500, 3);
	struct store_lease lease = { r.id, r.epoch };
	struct change wrong =
		task_change(r.id, "no_such_task", TASK_NONE, TASK_SKIPPED, REASON_UPSTREAM_SKIPPED);
	struct store_batch b = { .leases = &lease,
		.nleases = 1,
		.changes = &wrong,
		.nchanges = 1,
		.datasets = &p,
		.ndatasets = 1 };

	/* all or nothing */
	assert_int_equal(store_commit(f->s, &b, &f->err), -1);
	check(f, &(struct update_filter){ .which = UPDATES_OF }, "");
	/* of a run that is another's */
	lease.epoch++;
	b.nchanges = 0;
	FAILS(f, ERR_FENCED, store_commit(f->s, &b, &f->err));
	check(f, &(struct update_filter){ .which = UPDATES_OF }, "");
	OK(f, put(f, &r, &p, 1));
	check(f, &(struct update_filter){ .which = UPDATES_OF }, "1:a ");
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule");
	struct dataset_put p = putting(r.id, "a b", 500, 3);
	struct store_plan plan = { .takes = &(struct dataset_take){ 0, 5 }, .ntakes = 1 };
	struct store_result rows;
	int64_t id;

	FAILS(f, ERR_INTERNAL, put(f, &r, &p, 1));
	p = putting(r.id, "a", 500, 3);
	p.end_us = 0;
	FAILS(f, ERR_INTERNAL, put(f, &r, &p, 1));
	p = putting(r.id + 1, "a", 500, 3);
	FAILS(f, ERR_INTERNAL, put(f, &r, &p, 1));
	FAILS(f, ERR_INTERNAL, store_dataset_touch(f->s, &p, &id, &f->err));
	FAILS(f, ERR_INTERNAL, store_plan_commit(f->s, &plan, NULL, &f->err));
	FAILS(f, ERR_INTERNAL,
		store_dataset_updates(
			f->s, &(struct update_filter){ .which = UPDATES_WAITING }, &rows, &f->err));
	FAILS(f, ERR_INTERNAL,
		store_dataset_follow(f->s, &(struct dataset_follow){ .dag = "" }, &f->err));
}

static void check_fresh(
	struct fixture *f, const char *name, int64_t fresh_us, int64_t end_us, int64_t last)
{
	struct store_result r;

	OK(f, store_datasets(f->s, name, &r, &f->err));
	assert_int_equal(r.n, 1);
	assert_int_equal(r.datasets[0].fresh_us, fresh_us);
	assert_int_equal(r.datasets[0].end_us, end_us);
	assert_int_equal(r.datasets[0].last ? r.datasets[0].last->id : 0, last);
	store_result_release(&r);
}

static void test_fresh(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule"), old = make_run(f, "sales", 1, "manual"),
		   filled = make_run(f, "sales", 9, "backfill");
	struct dataset_put p = putting(r.id, "a", 500, 3);

	OK(f, put(f, &r, &p, 1));
	check_fresh(f, "a", 1500, 4 * DAY, 1);
	/* older data make nothing fresher, nor does a backfill */
	p = putting(old.id, "a", 501, 1);
	OK(f, put(f, &old, &p, 1));
	check_fresh(f, "a", 1500, 4 * DAY, 2);
	p = putting(filled.id, "a", 502, 9);
	OK(f, put(f, &filled, &p, 1));
	check_fresh(f, "a", 1500, 4 * DAY, 3);
	p = putting(r.id, "a", 503, 3);
	OK(f, put(f, &r, &p, 1));
	check_fresh(f, "a", 1503, 4 * DAY, 4);
	p = putting(filled.id, "b", 504, 9);
	OK(f, put(f, &filled, &p, 1));
	check_fresh(f, "b", 0, 0, 5);
}

static void test_touch(void **state)
{
	struct fixture *f = *state;
	struct dataset_put p = { .dataset = "bank",
		.start_us = 0,
		.end_us = DAY,
		.at_us = 2 * DAY,
		.map_index = -1,
		.by = "ann@host",
		.reason = "they sent it" };
	struct store_result r;
	int64_t id;

	follow(f, "report", "bank", NULL);
	OK(f, store_dataset_touch(f->s, &p, &id, &f->err));
	assert_int_equal(id, 1);
	/* each time is an update of its own */
	OK(f, store_dataset_touch(f->s, &p, &id, &f->err));
	assert_int_equal(id, 2);
	check_waiting(f, "report", "1:bank 2:bank ");
	OK(f, store_datasets(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 1);
	const struct dataset_update_row *u = r.datasets[0].last;
	assert_string_equal(u->by, "ann@host");
	assert_string_equal(u->reason, "they sent it");
	assert_null(u->dag);
	assert_null(u->run);
	assert_int_equal(u->run_id, 0);
	assert_int_equal(r.datasets[0].fresh_us, 2 * DAY);
	store_result_release(&r);
}

static void test_follow(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule"),
		   filled = make_run(f, "sales", 9, "backfill");
	struct store_result rows;

	update(f, &r, "a", 500);
	/* from now on; of other datasets nothing waits */
	follow(f, "report", "a", "b");
	check_waiting(f, "report", "");
	update(f, &r, "a", 501);
	update(f, &r, "c", 502);
	update(f, &r, "b", 503);
	/* those by a backfill wait for nobody */
	update(f, &filled, "a", 504);
	check_waiting(f, "report", "2:a 4:b ");
	check_waiting(f, "other", "");
	/* again: nothing changes */
	follow(f, "report", "b", "a");
	check_waiting(f, "report", "2:a 4:b ");
	/* one goes, one comes, and the first comes back: each from then on */
	follow(f, "report", "b", "c");
	check_waiting(f, "report", "4:b ");
	follow(f, "report", "a", "b");
	check_waiting(f, "report", "4:b ");
	update(f, &r, "a", 505);
	check_waiting(f, "report", "4:b 6:a ");
	OK(f, store_dataset_cursors(f->s, "report", &rows, &f->err));
	assert_int_equal(rows.n, 2);
	assert_string_equal(rows.cursors[0].dataset, "a");
	assert_int_equal(rows.cursors[0].seen_id, 5);
	assert_int_equal(rows.cursors[0].since_us, 77);
	assert_int_equal(rows.cursors[1].seen_id, 1);
	store_result_release(&rows);
	follow(f, "report", NULL, NULL);
	check_waiting(f, "report", "");
	OK(f, store_dataset_cursors(f->s, NULL, &rows, &f->err));
	assert_int_equal(rows.n, 0);
	store_result_release(&rows);
}

static struct run_opened take(struct fixture *f, int day, int64_t upto)
{
	struct run_open o = opening(f, "report", day);
	struct dataset_take t = { 0, upto };
	struct store_plan plan = { .opens = &o, .nopens = 1, .takes = &t, .ntakes = 1 };
	struct run_opened opened;

	o.trigger = "dataset";
	o.only_ended = true;
	o.wanted = true;
	OK(f, store_plan_commit(f->s, &plan, &opened, &f->err));
	return opened;
}

static void test_take(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule"),
		   filled = make_run(f, "sales", 9, "backfill");

	follow(f, "report", "a", "b");
	follow(f, "other", "a", NULL);
	update(f, &r, "a", 501);
	update(f, &r, "b", 502);
	update(f, &filled, "b", 503);
	update(f, &r, "a", 504);
	update(f, &r, "a", 505);
	struct run_opened one = take(f, 5, 4);
	assert_true(one.created);
	check_waiting(f, "report", "5:a ");
	check_waiting(f, "other", "1:a 4:a 5:a ");
	check(f, &(struct update_filter){ .which = UPDATES_TAKEN, .id = one.run_id },
		"1:a 2:b 4:a ");
	/* while it has not ended it is refused, and nothing is taken */
	struct run_opened two = take(f, 5, 5);
	assert_int_equal(two.run_id, 0);
	check_waiting(f, "report", "5:a ");
	finish(f, one.run_id, one.epoch);
	two = take(f, 5, 5);
	assert_int_equal(two.run_id, one.run_id);
	assert_false(two.created);
	check_waiting(f, "report", "");
	check(f, &(struct update_filter){ .which = UPDATES_TAKEN, .id = one.run_id },
		"1:a 2:b 4:a 5:a ");
}

static void test_take_is_one(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule");
	struct run_open o = opening(f, "report", 5);
	struct dataset_take t = { 0, 1 };
	struct backfill_cursor lost = { 99, 0, false };
	struct store_plan plan = {
		.opens = &o, .nopens = 1, .takes = &t, .ntakes = 1, .cursors = &lost, .ncursors = 1
	};
	struct run_opened opened;
	struct store_result rows;

	follow(f, "report", "a", NULL);
	update(f, &r, "a", 501);
	FAILS(f, ERR_NOT_FOUND, store_plan_commit(f->s, &plan, &opened, &f->err));
	check_waiting(f, "report", "1:a ");
	OK(f, store_run_by_key(f->s, &o.key, &rows, &f->err));
	assert_int_equal(rows.n, 0);
	store_result_release(&rows);
}

static void test_during(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule");
	struct update_filter q = { .which = UPDATES_DURING, .dataset = "a" };

	for (int day = 1; day <= 4; day++) {
		struct dataset_put p = putting(r.id, "a", 500 + day, day);
		OK(f, put(f, &r, &p, 1));
	}
	q.from_us = 2 * DAY + 1;
	q.to_us = 3 * DAY - 1;
	check(f, &q, "2:a ");
	q.from_us = 2 * DAY;
	q.to_us = 3 * DAY;
	check(f, &q, "1:a 2:a 3:a ");
	q.dataset = "b";
	check(f, &q, "");
}

static void test_links(void **state)
{
	struct fixture *f = *state;
	struct dataset_link links[] = {
		{ .dataset = "b", .task = "load", .role = DATASET_PRODUCES, .fresh_within_us = 9 },
		{ .dataset = "a", .task = "", .role = DATASET_SCHEDULES },
		{ .dataset = "b", .task = "check", .role = DATASET_CONSUMES },
	};
	struct dag_put dag = { .name = "sales",
		.path = "s",
		.dir = "/d",
		.version = "v",
		.present = true,
		.links = links,
		.nlinks = 3 };
	struct store_result r;

	OK(f, store_dags_put(f->s, &dag, 1, 55, &f->err));
	OK(f, store_dataset_links(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 3);
	assert_string_equal(r.links[0].dataset, "a");
	assert_int_equal(r.links[1].role, DATASET_CONSUMES);
	assert_int_equal(r.links[2].role, DATASET_PRODUCES);
	assert_string_equal(r.links[2].dag, "sales");
	assert_string_equal(r.links[2].task, "load");
	assert_int_equal(r.links[2].fresh_within_us, 9);
	store_result_release(&r);
	OK(f, store_datasets(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.datasets[0].since_us, 55);
	assert_null(r.datasets[0].last);
	store_result_release(&r);
	/* a file that is broken now is as it was; one that is gone has none */
	struct dag_put broken = { .name = "sales", .error = "x", .present = true };
	OK(f, store_dags_put(f->s, &broken, 1, 56, &f->err));
	OK(f, store_dataset_links(f->s, "b", &r, &f->err));
	assert_int_equal(r.n, 2);
	store_result_release(&r);
	dag.nlinks = 1;
	OK(f, store_dags_put(f->s, &dag, 1, 57, &f->err));
	OK(f, store_dataset_links(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 1);
	store_result_release(&r);
	OK(f, store_dags_put(f->s, &(struct dag_put){ .name = "sales" }, 1, 58, &f->err));
	OK(f, store_dataset_links(f->s, NULL, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
}

static void forget(struct fixture *f, int64_t before_us)
{
	struct store_result r;

	OK(f, store_prune(f->s, before_us, 100, &r, &f->err));
	store_result_release(&r);
}

static void test_forgotten(void **state)
{
	struct fixture *f = *state;
	struct run r = make_run(f, "sales", 3, "schedule");
	const struct dag_put dag = { .name = "report", .version = "v", .present = true };

	OK(f, store_dags_put(f->s, &dag, 1, 1, &f->err));
	update(f, &r, "a", 1);
	update(f, &r, "b", 2);
	follow(f, "report", "a", NULL);
	update(f, &r, "a", 3);
	struct run_opened one = take(f, 5, 3);
	update(f, &r, "a", 4);
	update(f, &r, "a", 5);
	update(f, &r, "b", 6);
	/* not what a run has, what is waited for, nor the last of each */
	forget(f, 1 << 20);
	check(f, &(struct update_filter){ .which = UPDATES_OF }, "6:b 5:a 4:a 3:a ");
	/* the run is forgotten, and who waits is gone */
	finish(f, one.run_id, one.epoch);
	forget(f, 1 << 20);
	OK(f, store_dags_put(f->s, &(struct dag_put){ .name = "report" }, 1, 2, &f->err));
	forget(f, 1005);
	check(f, &(struct update_filter){ .which = UPDATES_OF }, "6:b 5:a ");
	/* numbers are not used again */
	update(f, &r, "c", 7);
	check(f, &(struct update_filter){ .which = UPDATES_AFTER, .id = 6 }, "7:c ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_once),
		BOTH(test_with_the_success),
		BOTH(test_refused),
		BOTH(test_fresh),
		BOTH(test_touch),
		BOTH(test_follow),
		BOTH(test_take),
		BOTH(test_take_is_one),
		BOTH(test_during),
		BOTH(test_links),
		BOTH(test_forgotten),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
