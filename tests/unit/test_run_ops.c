/* Operations: what --date means, what a backfill decides about an interval, and what is planned,
 * recorded and refused on a store. The clock stands at 2026-11-20 12:00 UTC. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/civil.h"
#include "base/err.h"
#include "base/units.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/timetable.h"
#include "core/zone.h"
#include "run/ops.h"
#include "run/ops_call.h"
#include "store/store.h"
#include "tests/lib/dagops.h"
#include "tests/lib/times.h"

/* ---- DAGs ------------------------------------------------------------------------------------ */

#define TASKS "tasks: { load: { run: 'true' }, publish: { needs: [load], run: 'true' } }\n"

static const char *const dag_texts[] = {
	"dag: nightly\nschedule: { cron: '0 2 * * *', timezone: Europe/Berlin }\n"
	"params: { country: { default: FR }, limit: { type: integer, default: 5 } }\n" TASKS,
	"dag: hourly\nschedule: { cron: '0 * * * *', timezone: Europe/Berlin }\n" TASKS,
	"dag: daily\nschedule: { cron: '0 0 * * *' }\n" TASKS,
	"dag: weekly\nschedule: { cron: '0 6 * * 1', timezone: America/New_York }\n" TASKS,
	"dag: young\nschedule: { cron: '0 0 1 * *', start: 2026-11-01 }\n" TASKS,
	"dag: points\nschedule: { at: ['2026-12-31T22:00', '2027-01-01T22:00'] }\n" TASKS,
	"dag: manual\n" TASKS,
};
enum { NDAGS = sizeof dag_texts / sizeof *dag_texts };

static struct dag *dags[NDAGS];

static void load_dags(void)
{
	const struct dagfile_env env = { .operators = &dagops_none };

	for (size_t i = 0; i < NDAGS; i++) {
		struct diags diags;
		diags_init(&diags);
		dags[i] = dagfile_load_text("d.yaml", "/tmp", dag_texts[i], &env, &diags);
		if (!dags[i])
			printf("# %s: %s\n", dag_texts[i], diags.list[0].message);
		diags_release(&diags);
		if (!dags[i])
			exit(99);
	}
}

static struct dag *dag_of(const char *name)
{
	for (size_t i = 0; i < NDAGS; i++)
		if (strcmp(dags[i]->name, name) == 0)
			return dags[i];
	return NULL;
}

/* ---- the world ------------------------------------------------------------------------------- */

struct world {
	struct store *store;
	struct ops ops;
	struct err err;
	json_t *got;
	enum ops_event event; /* the last one that was told */
	char dag[64];
	int64_t id;
	int ntold;
};

static struct dag *find_dag(void *arg, const char *name, struct err *err)
{
	struct dag *dag = dag_of(name);

	(void)arg;
	if (strcmp(name, "broken") == 0)
		err_set(err, ERR_INVALID, "broken.yaml cannot be used: 1 error");
	else if (!dag)
		err_set(err, ERR_NOT_FOUND, "no DAG \"%s\"", name);
	return dag ? dag_ref(dag) : NULL;
}

static void changed(void *arg, enum ops_event what, const char *dag, int64_t id)
{
	struct world *w = arg;

	w->event = what;
	snprintf(w->dag, sizeof w->dag, "%s", dag);
	w->id = id;
	w->ntold++;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	if (!w || store_open_memory(&w->store, NULL) < 0)
		return -1;
	w->ops = (struct ops){ .store = w->store,
		.find_dag = find_dag,
		.arg = w,
		.changed = changed,
		.by = "ann@host" };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	json_decref(w->got);
	store_close(w->store);
	free(w);
	return 0;
}

static void ok(struct world *w, int rc)
{
	if (rc < 0)
		fail_msg("%s: %s", err_info(w->err.code)->name, w->err.msg);
}

static void refused(struct world *w, int rc, enum err_code code, const char *text)
{
	assert_int_equal(rc, -1);
	assert_string_equal(err_info(w->err.code)->name, err_info(code)->name);
	if (!strstr(w->err.msg, text))
		fail_msg("wanted \"%s\" in: %s", text, w->err.msg);
}

/* The place for the next answer. */
static json_t **answer(struct world *w)
{
	json_decref(w->got);
	w->got = NULL;
	err_clear(&w->err);
	return &w->got;
}

static long long number(const json_t *o, const char *key)
{
	if (!json_is_integer(json_object_get(o, key)))
		fail_msg("%s is no number", key);
	return json_integer_value(json_object_get(o, key));
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "(none)";
}

static bool is_set(const json_t *o, const char *key)
{
	if (!json_is_boolean(json_object_get(o, key)))
		fail_msg("%s is no boolean", key);
	return json_is_true(json_object_get(o, key));
}

static int64_t now(void)
{
	return times_us("2026-11-20T12:00:00Z");
}

/* Carry a run on to a state; RUN_RUNNING leaves it to its owner. */
static void move_run(struct world *w, int64_t id, int64_t epoch, enum run_state to)
{
	const struct store_lease lease = { id, epoch };
	struct change changes[] = {
		{ .kind = CHANGE_RUN,
			.reason = REASON_STARTED,
			.at_us = now() - US_PER_HOUR,
			.run_id = id,
			.task_index = -1,
			.map_index = -1,
			.run = { RUN_QUEUED, RUN_RUNNING } },
		{ .kind = CHANGE_RUN,
			.reason = to == RUN_SUCCESS ? REASON_ALL_DONE : REASON_SOME_FAILED,
			.at_us = now() - US_PER_HOUR + 10 * US_PER_MINUTE,
			.run_id = id,
			.task_index = -1,
			.map_index = -1,
			.run = { RUN_RUNNING, to } },
	};
	const struct store_batch batch = { .leases = &lease,
		.nleases = 1,
		.changes = changes,
		.nchanges = to == RUN_RUNNING ? 1 : 2 };

	ok(w, store_commit(w->store, &batch, &w->err));
	if (to != RUN_RUNNING)
		ok(w, store_run_close(w->store, id, epoch, &w->err));
}

struct made {
	const char *dag, *date;
	enum run_state state;
	const char *version, *params;
};

static void make_run(struct world *w, const struct made *m)
{
	const struct dag *dag = dag_of(m->dag);
	const char *const tasks[] = { "load", "publish" };
	struct tick t;
	int64_t id, epoch;
	bool created;
	char name[64];

	ok(w, ops_interval(dag, m->date, now(), &t, &w->err));
	snprintf(name, sizeof name, "%s@%s", m->dag, m->date);
	struct run_open open = { .key = { m->dag, t.start_us, t.end_us },
		.name = name,
		.ds = m->date,
		.zone = dag->schedule && dag->schedule->zone ? zone_name(dag->schedule->zone)
							     : "UTC",
		.params = m->params ? m->params : "{}",
		.trigger = "manual",
		.dag_path = "d.yaml",
		.dag_dir = "/tmp",
		.version = m->version ? m->version : dag->hash,
		.text = "",
		.tasks = tasks,
		.ntasks = 2,
		.lease_until_us = now() + US_PER_HOUR,
		.now_us = now() - US_PER_HOUR };
	ok(w, owner_self(&open.owner, &w->err));
	ok(w, store_run_open(w->store, &open, &id, &epoch, &created, &w->err));
	move_run(w, id, epoch, m->state);
}

/* ---- --date ---------------------------------------------------------------------------------- */

static const struct {
	const char *dag, *date, *from, *until, *ds;
} intervals[] = {
	{ "daily", "2026-11-19", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-19" },
	{ "daily", NULL, "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-19" },
	{ "daily", "2026-11-19T17:00", "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z",
		"2026-11-19" },
	{ "nightly", "2026-11-19", "2026-11-19T01:00:00Z", "2026-11-20T01:00:00Z", "2026-11-19" },
	{ "nightly", NULL, "2026-11-19T01:00:00Z", "2026-11-20T01:00:00Z", "2026-11-19" },
	/* 02:00 does not exist: the first instant after the gap stands for it. */
	{ "nightly", "2026-03-29", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-29" },
	{ "nightly", "2026-03-28", "2026-03-28T01:00:00Z", "2026-03-29T01:00:00Z", "2026-03-28" },
	/* It comes twice: the first time counts. */
	{ "nightly", "2026-10-25", "2026-10-25T00:00:00Z", "2026-10-26T01:00:00Z", "2026-10-25" },
	{ "hourly", "2026-10-25T02:10", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z",
		"2026-10-25" },
	{ "hourly", "2026-10-25T02:10+01:00", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z",
		"2026-10-25" },
	{ "hourly", "2026-11-19T23:30Z", "2026-11-19T23:00:00Z", "2026-11-20T00:00:00Z",
		"2026-11-20" },
	{ "weekly", "2026-11-09", "2026-11-09T11:00:00Z", "2026-11-16T11:00:00Z", "2026-11-09" },
	{ "weekly", "2026-11-12T00:00", "2026-11-09T11:00:00Z", "2026-11-16T11:00:00Z",
		"2026-11-09" },
	{ "manual", "2024-02-29", "2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z", "2024-02-29" },
	{ "manual", NULL, "2026-11-19T00:00:00Z", "2026-11-20T00:00:00Z", "2026-11-19" },
	{ "points", "2026-12-31T22:00", "2026-12-31T22:00:00Z", "2026-12-31T22:00:00Z",
		"2026-12-31" },
};

static void test_interval(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
		const struct dag *dag = dag_of(intervals[i].dag);
		struct err err = { 0 };
		struct tick t;
		char ds[32];
		if (ops_interval(dag, intervals[i].date, now(), &t, &err) < 0)
			fail_msg("row %zu: %s", i, err.msg);
		ops_ds(dag, t.start_us, ds);
		if (t.start_us != times_us(intervals[i].from) ||
			t.end_us != times_us(intervals[i].until) ||
			strcmp(ds, intervals[i].ds) != 0)
			fail_msg("row %zu (%s %s): %s, %lld to %lld", i, intervals[i].dag,
				intervals[i].date, ds, (long long)t.start_us, (long long)t.end_us);
	}
}

static const struct {
	const char *dag, *date, *says;
} no_intervals[] = {
	{ "hourly", "2026-11-19", "24 intervals start on that day" },
	{ "hourly", "2026-10-25", "25 intervals start on that day" },
	{ "hourly", "2026-03-29", "23 intervals start on that day" },
	{ "young", NULL, "no complete interval yet" },
	{ "points", NULL, "no complete interval yet" },
	{ "points", "2026-12-31T21:00", "no interval there" },
	{ "daily", "", "--date" },
	{ "daily", "yesterday", "--date" },
	{ "daily", "2026-02-30", "--date" },
	{ "daily", "2026-11-19T24:00", "--date" },
	{ "daily", "2026-11-19 junk", "--date" },
};

static void test_interval_errors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof no_intervals / sizeof *no_intervals; i++) {
		struct err err = { 0 };
		struct tick t;
		if (ops_interval(dag_of(no_intervals[i].dag), no_intervals[i].date, now(), &t,
			    &err) == 0)
			fail_msg("row %zu was taken", i);
		assert_int_equal(err.code, ERR_USAGE);
		if (!strstr(err.msg, no_intervals[i].says))
			fail_msg("row %zu: %s", i, err.msg);
	}
}

/* ---- the decision ---------------------------------------------------------------------------- */

static void test_decide(void **state)
{
	enum { M = BACKFILL_ONLY_MISSING, F = BACKFILL_ONLY_FAILED, A = BACKFILL_ALL };
	struct owner self, dead;
	const struct owner nobody = { .pid = 0 };

	(void)state;
	assert_int_equal(owner_self(&self, NULL), 0);
	dead = self;
	dead.start_ticks++;
	const struct owner far = { .host = "elsewhere", .boot_id = "x", .pid = 1 };
	const int64_t soon = now() + US_PER_DAY;
	const struct {
		bool there;
		struct run_row run;
		enum backfill_action want[BACKFILL_MODE_MAX];
	} rows[] = {
		{ false, { 0 }, { BACKFILL_RUN, BACKFILL_SKIP, BACKFILL_RUN } },
		{ true, { .state = RUN_SUCCESS },
			{ BACKFILL_SKIP, BACKFILL_SKIP, BACKFILL_OVERWRITE } },
		{ true, { .state = RUN_FAILED },
			{ BACKFILL_RUN, BACKFILL_RUN, BACKFILL_OVERWRITE } },
		{ true, { .state = RUN_CANCELLED },
			{ BACKFILL_RUN, BACKFILL_RUN, BACKFILL_OVERWRITE } },
		{ true, { .state = RUN_QUEUED, .wanted = true },
			{ BACKFILL_SKIP, BACKFILL_SKIP, BACKFILL_SKIP } },
		/* It was asked for again. */
		{ true, { .state = RUN_SUCCESS, .wanted = true },
			{ BACKFILL_SKIP, BACKFILL_SKIP, BACKFILL_SKIP } },
		{ true, { .state = RUN_RUNNING, .owner = self, .lease_until_us = soon },
			{ BACKFILL_SKIP, BACKFILL_SKIP, BACKFILL_SKIP } },
		{ true, { .state = RUN_RUNNING, .owner = far, .lease_until_us = soon },
			{ BACKFILL_SKIP, BACKFILL_SKIP, BACKFILL_SKIP } },
		{ true, { .state = RUN_RUNNING, .owner = far, .lease_until_us = 1 },
			{ BACKFILL_RUN, BACKFILL_RUN, BACKFILL_OVERWRITE } },
		{ true, { .state = RUN_RUNNING, .owner = dead, .lease_until_us = soon },
			{ BACKFILL_RUN, BACKFILL_RUN, BACKFILL_OVERWRITE } },
		{ true, { .state = RUN_RUNNING, .owner = nobody },
			{ BACKFILL_RUN, BACKFILL_RUN, BACKFILL_OVERWRITE } },
		{ true, { .state = RUN_QUEUED, .owner = nobody },
			{ BACKFILL_RUN, BACKFILL_RUN, BACKFILL_OVERWRITE } },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		for (int mode = M; mode <= A; mode++) {
			const char *why = NULL;
			enum backfill_action got = ops_backfill_decide((enum backfill_mode)mode,
				rows[i].there ? &rows[i].run : NULL, &why);
			if (got != rows[i].want[mode])
				fail_msg("row %zu, mode %d: %d", i, mode, (int)got);
			assert_non_null(why);
		}
	}
	assert_string_equal(backfill_mode_names[F], "failed");
}

static void test_params(void **state)
{
	const struct run_row run = { .params = "{\"a\":1}" };

	(void)state;
	assert_string_equal(ops_backfill_params("{\"a\":2}", &run, "{\"a\":3}"), "{\"a\":2}");
	assert_string_equal(ops_backfill_params("{}", &run, "{\"a\":3}"), "{\"a\":1}");
	assert_string_equal(ops_backfill_params("{}", NULL, "{\"a\":3}"), "{\"a\":3}");
	assert_string_equal(ops_backfill_params(NULL, NULL, "{\"a\":3}"), "{\"a\":3}");
}

/* ---- plans ----------------------------------------------------------------------------------- */

/* Ten days of nightly: a success, one of another version, a failure, a cancelled, a running one. */
static void make_ten_days(struct world *w)
{
	static const struct made runs[] = {
		{ "nightly", "2026-11-01", RUN_SUCCESS, NULL, NULL },
		{ "nightly", "2026-11-02", RUN_SUCCESS, "older", NULL },
		{ "nightly", "2026-11-03", RUN_FAILED, NULL, NULL },
		{ "nightly", "2026-11-04", RUN_CANCELLED, NULL, NULL },
		{ "nightly", "2026-11-05", RUN_RUNNING, NULL, NULL },
		/* Neighbours that play no part: before, behind, of another DAG, of another
		   interval. */
		{ "nightly", "2026-10-31", RUN_SUCCESS, NULL, NULL },
		{ "nightly", "2026-11-11", RUN_FAILED, NULL, NULL },
		{ "daily", "2026-11-07", RUN_SUCCESS, NULL, NULL },
	};

	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
		make_run(w, &runs[i]);
}

static const struct {
	enum backfill_mode mode;
	const char *actions; /* of each day: r, o or a dot for skip */
	int run, overwrite, skip;
} modes[] = {
	{ BACKFILL_ONLY_MISSING, "..rr.rrrrr", 7, 0, 3 },
	{ BACKFILL_ONLY_FAILED, "..rr......", 2, 0, 8 },
	{ BACKFILL_ALL, "oooo.rrrrr", 5, 4, 1 },
};

static const char *const ten_exist[] = { "success", "success", "failed", "cancelled", "running",
	"missing", "missing", "missing", "missing", "missing" };

static void check_day(const json_t *i, size_t day, const char *actions)
{
	static const char letters[] = { 'r', 'o', '.' };
	const char *action = text(i, "action");
	char letter = *action == 's' ? letters[2] : *action;

	if (letter != actions[day] || strcmp(text(i, "exists"), ten_exist[day]) != 0)
		fail_msg("day %zu: %s, %s", day + 1, text(i, "exists"), action);
	assert_int_equal(is_set(i, "other_version"), day == 1);
	assert_int_equal(json_is_string(json_object_get(i, "run")), day < 5);
}

static void test_plan_modes(void **state)
{
	struct world *w = *state;

	make_ten_days(w);
	for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
		const struct ops_backfill b = { .dag = "nightly",
			.from = "2026-11-01",
			.to = "2026-11-10",
			.mode = modes[m].mode,
			.jobs = 2 };
		ok(w, ops_backfill_plan(&w->ops, &b, answer(w), &w->err));
		const json_t *list = json_object_get(w->got, "intervals");
		const json_t *counts = json_object_get(w->got, "counts");
		const json_t *exists = json_object_get(w->got, "exists");
		assert_int_equal(json_array_size(list), 10);
		for (size_t i = 0; i < 10; i++)
			check_day(json_array_get(list, i), i, modes[m].actions);
		assert_int_equal(number(counts, "run"), modes[m].run);
		assert_int_equal(number(counts, "overwrite"), modes[m].overwrite);
		assert_int_equal(number(counts, "skip"), modes[m].skip);
		assert_int_equal(number(exists, "success"), 2);
		assert_int_equal(number(exists, "other_version"), 1);
		assert_int_equal(number(exists, "missing"), 5);
		assert_string_equal(text(w->got, "mode"), backfill_mode_names[modes[m].mode]);
		/* Each took ten minutes; two at once. */
		int todo = modes[m].run + modes[m].overwrite;
		assert_int_equal(number(w->got, "typical_us"), 10 * US_PER_MINUTE);
		assert_int_equal(
			number(w->got, "expected_us"), (todo + 1) / 2 * 10 * US_PER_MINUTE);
	}
	assert_int_equal(w->ntold, 0);
}

static void test_plan_text(void **state)
{
	struct world *w = *state;
	const struct ops_backfill b = { .dag = "nightly",
		.from = "2026-10-24",
		.to = "2026-10-25T12:00",
		.newest_first = true };

	ok(w, ops_backfill_plan(&w->ops, &b, answer(w), &w->err));
	const json_t *list = json_object_get(w->got, "intervals");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text(json_array_get(list, 1), "start"), "2026-10-25T02:00:00+02:00");
	assert_string_equal(text(json_array_get(list, 1), "end"), "2026-10-26T02:00:00+01:00");
	assert_string_equal(text(json_array_get(list, 1), "ds"), "2026-10-25");
	assert_string_equal(text(w->got, "from"), "2026-10-24");
	assert_string_equal(text(w->got, "to"), "2026-10-25T12:00:00+01:00");
	assert_string_equal(text(w->got, "zone"), "Europe/Berlin");
	assert_int_equal(number(w->got, "jobs"), 1);
	assert_true(is_set(w->got, "newest_first"));
	assert_true(json_is_null(json_object_get(w->got, "expected_us")));
	assert_true(json_is_null(json_object_get(w->got, "overlaps")));
}

/* Runs of intervals that today's schedule does not have are told and left alone. */
static void test_plan_elsewhere(void **state)
{
	struct world *w = *state;

	make_run(w, &(struct made){ "daily", "2026-11-02", RUN_SUCCESS, NULL, NULL });
	/* The same DAG had another schedule once: a run of half a day. */
	struct run_open open = { .key = { "daily", times_us("2026-11-03T00:00:00Z"),
					 times_us("2026-11-03T12:00:00Z") },
		.name = "half",
		.ds = "2026-11-03",
		.version = "older",
		.now_us = now(),
		.wanted = true };
	int64_t id, epoch;
	bool created;
	ok(w, store_run_open(w->store, &open, &id, &epoch, &created, &w->err));
	const struct ops_backfill b = { .dag = "daily", .from = "2026-11-01", .to = "2026-11-04" };
	ok(w, ops_backfill_plan(&w->ops, &b, answer(w), &w->err));
	assert_int_equal(number(w->got, "elsewhere"), 1);
	assert_int_equal(number(json_object_get(w->got, "counts"), "run"), 3);
}

static void test_plan_future(void **state)
{
	struct world *w = *state;
	struct ops_backfill b = { .dag = "daily", .from = "2026-11-18", .to = "2026-11-25" };
	struct store_result rows;

	ok(w, ops_backfill_plan(&w->ops, &b, answer(w), &w->err));
	assert_int_equal(number(w->got, "incomplete"), 6);
	assert_int_equal(number(json_object_get(w->got, "counts"), "run"), 2);
	const json_t *list = json_object_get(w->got, "intervals");
	assert_string_equal(text(json_array_get(list, 2), "why"), "is not over yet");
	/* What is kept ends before: it is not to be run once it is over. */
	ok(w, ops_backfill_create(&w->ops, &b, answer(w), &w->err));
	ok(w, store_backfills(w->store, number(w->got, "backfill"), &rows, &w->err));
	assert_int_equal(rows.backfills[0].to_us, times_us("2026-11-19T00:00:00Z"));
	assert_int_equal(rows.backfills[0].ntotal, 2);
	store_result_release(&rows);
	b.from = "2026-12-01";
	b.to = "2026-12-02";
	ok(w, ops_backfill_create(&w->ops, &b, answer(w), &w->err));
	assert_true(json_is_null(json_object_get(w->got, "backfill")));
}

/* Ten thousand days, a run on every third. */
static void test_plan_long(void **state)
{
	struct world *w = *state;
	const struct ops_backfill b = { .dag = "manual", .from = "1999-06-01", .to = "2026-10-16" };
	struct err err;

	for (int64_t day = civil_day(1999, 6, 1); day <= civil_day(2026, 10, 16); day += 333) {
		char date[32];
		struct civil c;
		civil_from_day(day, &c);
		snprintf(date, sizeof date, "%04d-%02d-%02d", c.year, c.month, c.day);
		make_run(w, &(struct made){ "manual", date, RUN_SUCCESS, NULL, NULL });
	}
	ok(w, ops_backfill_plan(&w->ops, &b, answer(w), &err));
	assert_int_equal(json_array_size(json_object_get(w->got, "intervals")), 10000);
	assert_int_equal(number(json_object_get(w->got, "counts"), "skip"), 31);
	assert_int_equal(number(json_object_get(w->got, "counts"), "run"), 9969);
}

static const struct {
	struct ops_backfill b;
	enum err_code code;
	const char *says;
} bad_plans[] = {
	{ { .dag = "daily", .from = "2026-11-05", .to = "2026-11-04" }, ERR_USAGE,
		"--from 2026-11-05 is after --to 2026-11-04" },
	{ { .dag = "daily", .from = "2026-11-05" }, ERR_USAGE, "needs a range" },
	{ { .dag = "daily", .to = "2026-11-05" }, ERR_USAGE, "needs a range" },
	{ { .dag = "daily", .from = "2026-13-05", .to = "2026-11-04" }, ERR_USAGE, "--from" },
	{ { .dag = "daily", .from = "2026-11-05", .to = "soon" }, ERR_USAGE, "--to" },
	{ { .dag = "weekly", .from = "2026-11-10", .to = "2026-11-15" }, ERR_USAGE,
		"no interval of DAG weekly starts between" },
	{ { .dag = "points", .from = "2028-01-01", .to = "2028-01-02" }, ERR_USAGE,
		"has no interval" },
	{ { .dag = "hourly", .from = "2000-01-01", .to = "2026-01-01" }, ERR_USAGE,
		"more than 100000 intervals" },
	{ { .dag = "manual", .from = "0000-01-01", .to = "9999-12-31" }, ERR_USAGE,
		"more than 100000 intervals" },
	{ { .dag = "nigthly", .from = "2026-11-01", .to = "2026-11-04" }, ERR_NOT_FOUND,
		"nigthly" },
	{ { .dag = "broken", .from = "2026-11-01", .to = "2026-11-04" }, ERR_INVALID,
		"broken.yaml" },
	{ { .dag = "daily", .from = "2026-11-01", .to = "2026-11-04", .reason = "a\nb" }, ERR_USAGE,
		"one line" },
	{ { .dag = "daily", .from = "2026-11-01", .to = "2026-11-04", .reason = "\xff" }, ERR_USAGE,
		"UTF-8" },
	{ { .dag = "nightly",
		  .from = "2026-11-01",
		  .to = "2026-11-04",
		  .params = (const char *const[]){ "contry=DE", NULL } },
		ERR_USAGE, "contry" },
};

static void test_plan_errors(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof bad_plans / sizeof *bad_plans; i++) {
		int rc = ops_backfill_create(&w->ops, &bad_plans[i].b, answer(w), &w->err);
		if (rc == 0 || w->err.code != bad_plans[i].code ||
			!strstr(w->err.msg, bad_plans[i].says))
			fail_msg("row %zu: %s: %s", i, err_info(w->err.code)->name, w->err.msg);
	}
	ok(w, ops_backfills(&w->ops, 0, answer(w), &w->err));
	assert_int_equal(json_array_size(json_object_get(w->got, "backfills")), 0);
}

/* ---- backfills ------------------------------------------------------------------------------- */

static int64_t make_backfill(struct world *w, const char *from, const char *to)
{
	const struct ops_backfill b = {
		.dag = "nightly", .from = from, .to = to, .jobs = 3, .reason = "prices were wrong"
	};

	ok(w, ops_backfill_create(&w->ops, &b, answer(w), &w->err));
	assert_null(json_object_get(w->got, "intervals"));
	return number(w->got, "backfill");
}

static void test_backfill_create(void **state)
{
	struct world *w = *state;

	make_ten_days(w);
	int64_t id = make_backfill(w, "2026-11-01", "2026-11-10");
	assert_int_equal(w->event, OPS_BACKFILL);
	assert_string_equal(w->dag, "nightly");
	assert_int_equal(w->id, id);
	ok(w, ops_backfills(&w->ops, id, answer(w), &w->err));
	assert_string_equal(text(w->got, "dag"), "nightly");
	assert_string_equal(text(w->got, "state"), "running");
	assert_string_equal(text(w->got, "mode"), "missing");
	assert_string_equal(text(w->got, "from"), "2026-11-01");
	assert_string_equal(text(w->got, "to"), "2026-11-10");
	assert_string_equal(text(w->got, "zone"), "Europe/Berlin");
	assert_string_equal(text(w->got, "by"), "ann@host");
	assert_string_equal(text(w->got, "reason"), "prices were wrong");
	assert_int_equal(number(w->got, "total"), 7);
	assert_int_equal(number(w->got, "waiting"), 7);
	assert_int_equal(number(w->got, "eta_us"), 3 * 10 * US_PER_MINUTE);
	assert_int_equal(json_array_size(json_object_get(w->got, "failed_runs")), 0);
	assert_int_equal(json_object_size(json_object_get(w->got, "params")), 0);
}

static void test_backfill_params(void **state)
{
	struct world *w = *state;
	const struct ops_backfill b = { .dag = "nightly",
		.from = "2026-11-01",
		.to = "2026-11-02",
		.params = (const char *const[]){ "country=DE", NULL } };

	ok(w, ops_backfill_create(&w->ops, &b, answer(w), &w->err));
	ok(w, ops_backfills(&w->ops, w->id, answer(w), &w->err));
	const json_t *params = json_object_get(w->got, "params");
	assert_string_equal(text(params, "country"), "DE");
	assert_int_equal(number(params, "limit"), 5);
}

static void test_backfill_overlap(void **state)
{
	struct world *w = *state;
	int64_t id = make_backfill(w, "2026-11-01", "2026-11-10");
	struct ops_backfill b = { .dag = "nightly", .from = "2026-11-10", .to = "2026-11-12" };

	refused(w, ops_backfill_create(&w->ops, &b, answer(w), &w->err), ERR_REFUSED,
		"backfill 1 of DAG nightly is running");
	ok(w, ops_backfill_plan(&w->ops, &b, answer(w), &w->err));
	const json_t *overlaps = json_object_get(w->got, "overlaps");
	assert_int_equal(number(overlaps, "backfill"), id);
	assert_string_equal(text(overlaps, "to"), "2026-11-10");
	/* Not the same range, not the same DAG, or not active any more. */
	make_backfill(w, "2026-11-11", "2026-11-12");
	b.dag = "daily";
	ok(w, ops_backfill_create(&w->ops, &b, answer(w), &w->err));
	ok(w, ops_backfill_set(&w->ops, id, "paused", NULL, answer(w), &w->err));
	b = (struct ops_backfill){ .dag = "nightly", .from = "2026-10-01", .to = "2026-11-01" };
	refused(w, ops_backfill_create(&w->ops, &b, answer(w), &w->err), ERR_REFUSED, "is paused");
	ok(w, ops_backfill_set(&w->ops, id, "cancelled", NULL, answer(w), &w->err));
	ok(w, ops_backfill_create(&w->ops, &b, answer(w), &w->err));
}

static void test_backfill_set(void **state)
{
	struct world *w = *state;
	int64_t id = make_backfill(w, "2026-11-01", "2026-11-10");

	ok(w, ops_backfill_set(&w->ops, id, "paused", "slow source", answer(w), &w->err));
	assert_string_equal(text(w->got, "state"), "paused");
	assert_string_equal(text(w->got, "state_by"), "ann@host");
	assert_string_equal(text(w->got, "state_reason"), "slow source");
	assert_int_equal(w->event, OPS_BACKFILL);
	assert_int_equal(w->ntold, 2);
	refused(w, ops_backfill_set(&w->ops, id, "paused", NULL, answer(w), &w->err), ERR_REFUSED,
		"paused");
	ok(w, ops_backfill_set(&w->ops, id, "running", NULL, answer(w), &w->err));
	ok(w, ops_backfill_set(&w->ops, id, "cancelled", NULL, answer(w), &w->err));
	assert_true(json_is_string(json_object_get(w->got, "ended")));
	refused(w, ops_backfill_set(&w->ops, id, "running", NULL, answer(w), &w->err), ERR_REFUSED,
		"cancelled");
	refused(w, ops_backfill_set(&w->ops, id, "done", NULL, answer(w), &w->err), ERR_USAGE,
		"done");
	refused(w, ops_backfill_set(&w->ops, id, "", NULL, answer(w), &w->err), ERR_USAGE,
		"can be");
	refused(w, ops_backfill_set(&w->ops, 99, "paused", NULL, answer(w), &w->err), ERR_NOT_FOUND,
		"backfill 99");
	refused(w, ops_backfill_set(&w->ops, 0, "paused", NULL, answer(w), &w->err), ERR_NOT_FOUND,
		"backfill 0");
	refused(w, ops_backfills(&w->ops, 99, answer(w), &w->err), ERR_NOT_FOUND, "backfill 99");
	assert_int_equal(w->ntold, 4);
}

/* ---- switches -------------------------------------------------------------------------------- */

static void test_pause(void **state)
{
	struct world *w = *state;

	ok(w, ops_pause(&w->ops, "nightly", true, "migration", answer(w), &w->err));
	assert_true(is_set(w->got, "paused"));
	assert_true(is_set(w->got, "changed"));
	assert_string_equal(text(w->got, "by"), "ann@host");
	assert_string_equal(text(w->got, "reason"), "migration");
	assert_int_equal(w->event, OPS_SWITCHED);
	assert_string_equal(w->dag, "nightly");
	ok(w, ops_pause(&w->ops, "nightly", true, NULL, answer(w), &w->err));
	assert_false(is_set(w->got, "changed"));
	ok(w, ops_drain(&w->ops, "nightly", true, NULL, answer(w), &w->err));
	assert_true(is_set(w->got, "draining"));
	assert_true(is_set(w->got, "paused"));
	ok(w, ops_resume(&w->ops, "nightly", NULL, answer(w), &w->err));
	assert_false(is_set(w->got, "paused"));
	assert_false(is_set(w->got, "draining"));
	assert_true(is_set(w->got, "changed"));
}

static void test_pause_all(void **state)
{
	struct world *w = *state;
	const struct dag_put known = {
		.name = "daily", .path = "d.yaml", .dir = "/tmp", .present = true
	};

	ok(w, store_dags_put(w->store, &known, 1, now(), &w->err));
	ok(w, ops_pause(&w->ops, NULL, true, "power", answer(w), &w->err));
	assert_string_equal(text(w->got, "dag"), "*");
	assert_true(is_set(w->got, "all_paused"));
	assert_true(is_set(w->got, "changed"));
	assert_string_equal(w->dag, "*");
	ok(w, ops_resume(&w->ops, "daily", NULL, answer(w), &w->err));
	assert_true(is_set(w->got, "paused"));
	assert_true(is_set(w->got, "all_paused"));
	ok(w, ops_resume(&w->ops, "*", NULL, answer(w), &w->err));
	assert_false(is_set(w->got, "paused"));
	assert_true(is_set(w->got, "changed"));
	ok(w, ops_drain(&w->ops, "*", true, NULL, answer(w), &w->err));
	assert_true(is_set(w->got, "draining"));
	assert_true(is_set(w->got, "changed"));
	ok(w, ops_drain(&w->ops, "*", true, NULL, answer(w), &w->err));
	assert_false(is_set(w->got, "changed"));
	ok(w, ops_resume(&w->ops, "*", NULL, answer(w), &w->err));
	assert_false(is_set(w->got, "draining"));
	assert_true(is_set(w->got, "changed"));
	ok(w, ops_dags(&w->ops, NULL, answer(w), &w->err));
	const json_t *row = json_array_get(json_object_get(w->got, "dags"), 0);
	assert_string_equal(text(row, "dag"), "daily");
	assert_false(is_set(row, "paused"));
}

static void test_pause_errors(void **state)
{
	struct world *w = *state;
	char longer[1100];

	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	refused(w, ops_pause(&w->ops, "nigthly", true, NULL, answer(w), &w->err), ERR_NOT_FOUND,
		"nigthly");
	refused(w, ops_pause(&w->ops, "nightly", true, longer, answer(w), &w->err), ERR_USAGE,
		"1099 bytes");
	refused(w, ops_drain(&w->ops, "nightly", true, "\x1b[2J", answer(w), &w->err), ERR_USAGE,
		"one line");
	assert_int_equal(w->ntold, 0);
	/* Its file is broken: all the more reason to pause it. */
	ok(w, ops_pause(&w->ops, "broken", true, NULL, answer(w), &w->err));
	ok(w, ops_resume(&w->ops, "broken", NULL, answer(w), &w->err));
}

static void test_freeze(void **state)
{
	struct world *w = *state;

	ok(w, ops_freeze(&w->ops, "nightly", "publish", true, "look first", answer(w), &w->err));
	assert_true(is_set(w->got, "frozen"));
	assert_true(is_set(w->got, "changed"));
	ok(w, ops_freeze(&w->ops, "nightly", "publish", true, NULL, answer(w), &w->err));
	assert_false(is_set(w->got, "changed"));
	ok(w, ops_freeze(&w->ops, "nightly", "publish", false, NULL, answer(w), &w->err));
	assert_true(is_set(w->got, "changed"));
	ok(w, ops_freeze(&w->ops, "nightly", "publish", false, NULL, answer(w), &w->err));
	assert_false(is_set(w->got, "changed"));
	refused(w, ops_freeze(&w->ops, "nightly", "pubish", true, NULL, answer(w), &w->err),
		ERR_NOT_FOUND, "did you mean \"publish\"?");
	refused(w, ops_freeze(&w->ops, "nightli", "publish", true, NULL, answer(w), &w->err),
		ERR_NOT_FOUND, "nightli");
	/* A task that the DAG lost since can still be let go. */
	const struct switch_put lost = {
		.dag = "nightly", .task = "gone", .on = true, .by = "x", .now_us = now()
	};
	ok(w, store_switch(w->store, &lost, &w->err));
	ok(w, ops_freeze(&w->ops, "nightly", "gone", false, NULL, answer(w), &w->err));
	assert_true(is_set(w->got, "changed"));
}

/* ---- triggers -------------------------------------------------------------------------------- */

static void test_trigger(void **state)
{
	struct world *w = *state;
	const struct ops_trigger t = { .dag = "nightly",
		.date = "2026-11-05",
		.params = (const char *const[]){ "limit=7", NULL } };
	struct store_result found;

	ok(w, ops_trigger(&w->ops, &t, answer(w), &w->err));
	assert_string_equal(text(w->got, "run"), "nightly@2026-11-05");
	assert_string_equal(text(w->got, "interval_start"), "2026-11-05T02:00:00+01:00");
	assert_true(is_set(w->got, "created"));
	assert_int_equal(w->event, OPS_TRIGGERED);
	assert_int_equal(w->id, number(w->got, "run_id"));
	ok(w, store_run_find(w->store, "nightly@2026-11-05", &found, &w->err));
	assert_true(found.runs[0].wanted);
	assert_int_equal(found.runs[0].owner.pid, 0);
	assert_string_equal(found.runs[0].trigger, OPS_TRIGGER);
	assert_string_equal(found.runs[0].params, "{\"country\":\"FR\",\"limit\":7}");
	assert_int_equal(found.runs[0].ntasks, 2);
	store_result_release(&found);
	refused(w, ops_trigger(&w->ops, &t, answer(w), &w->err), ERR_REFUSED,
		"waiting for a daemon");
}

static void test_trigger_existing(void **state)
{
	static const char given[] = "{\"country\":\"DE\",\"gone\":1,\"limit\":5}";
	struct world *w = *state;
	struct ops_trigger t = { .dag = "nightly" };
	struct store_result found;

	make_run(w, &(struct made){ "nightly", "2026-11-01", RUN_SUCCESS, NULL, NULL });
	make_run(w, &(struct made){ "nightly", "2026-11-02", RUN_FAILED, NULL, given });
	make_run(w, &(struct made){ "nightly", "2026-11-03", RUN_RUNNING, NULL, NULL });
	t.date = "2026-11-01";
	refused(w, ops_trigger(&w->ops, &t, answer(w), &w->err), ERR_REFUSED, "--force");
	t.force = true;
	ok(w, ops_trigger(&w->ops, &t, answer(w), &w->err));
	assert_false(is_set(w->got, "created"));
	assert_true(is_set(w->got, "force"));
	t.date = "2026-11-03";
	refused(w, ops_trigger(&w->ops, &t, answer(w), &w->err), ERR_REFUSED, "active");
	/* One that failed goes on with the params it has. */
	t = (struct ops_trigger){ .dag = "nightly", .date = "2026-11-02" };
	ok(w, ops_trigger(&w->ops, &t, answer(w), &w->err));
	assert_string_equal(text(json_object_get(w->got, "params"), "country"), "DE");
	ok(w, store_run_find(w->store, "nightly@2026-11-02", &found, &w->err));
	assert_true(found.runs[0].wanted);
	assert_string_equal(found.runs[0].params, "{\"country\":\"DE\",\"limit\":5}");
	store_result_release(&found);
}

static void test_trigger_errors(void **state)
{
	const struct {
		struct ops_trigger t;
		const char *says;
	} rows[] = {
		{ { .dag = "nigthly" }, "nigthly" },
		{ { .dag = "broken" }, "broken.yaml" },
		{ { .dag = "hourly", .date = "2026-11-19" }, "24 intervals" },
		{ { .dag = "daily", .date = "never" }, "--date" },
		{ { .dag = "young" }, "no complete interval yet" },
		{ { .dag = "nightly", .params = (const char *const[]){ "limit=many", NULL } },
			"limit" },
		{ { .dag = "daily", .params = (const char *const[]){ "x=1", NULL } }, "x" },
	};
	struct world *w = *state;
	struct store_result runs;
	const struct run_filter all = { .state = -1 };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		if (ops_trigger(&w->ops, &rows[i].t, answer(w), &w->err) == 0 ||
			!strstr(w->err.msg, rows[i].says))
			fail_msg("row %zu: %s", i, w->err.msg);
	}
	ok(w, store_runs(w->store, &all, &runs, &w->err));
	assert_int_equal(runs.n, 0);
	store_result_release(&runs);
	assert_int_equal(w->ntold, 0);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static int call(struct world *w, enum ops_call_id id, const struct ops_target *t, const char *body)
{
	json_t *j = json_loads(body, 0, NULL);
	int rc = ops_calls[id].call(&w->ops, t, j, answer(w), &w->err);

	json_decref(j);
	return rc;
}

static void test_calls(void **state)
{
	struct world *w = *state;
	const struct ops_target nightly = { .dag = "nightly", .task = "load" }, one = { .id = 1 };

	ok(w, call(w, OPS_CALL_PAUSE, &nightly, "{\"reason\": \"r\"}"));
	assert_string_equal(text(w->got, "reason"), "r");
	ok(w, call(w, OPS_CALL_FREEZE, &nightly, "{}"));
	ok(w, call(w, OPS_CALL_DAG, &nightly, "{}"));
	assert_true(is_set(w->got, "paused"));
	assert_int_equal(json_array_size(json_object_get(w->got, "frozen")), 1);
	ok(w, call(w, OPS_CALL_UNFREEZE, &nightly, "{}"));
	ok(w, call(w, OPS_CALL_DRAIN, &nightly, "{}"));
	ok(w, call(w, OPS_CALL_RESUME, &nightly, "{}"));
	assert_false(is_set(w->got, "draining"));
	ok(w, call(w, OPS_CALL_TRIGGER, &nightly,
		      "{\"date\": \"2026-11-01\", \"params\": {\"limit\": 3, \"country\": "
		      "\"x=y\"}}"));
	assert_int_equal(number(json_object_get(w->got, "params"), "limit"), 3);
	assert_string_equal(text(json_object_get(w->got, "params"), "country"), "x=y");
	ok(w, call(w, OPS_CALL_BACKFILL, &nightly,
		      "{\"from\": \"2026-11-01\", \"to\": \"2026-11-03\", \"mode\": \"all\","
		      " \"jobs\": 2, \"dry_run\": true}"));
	assert_int_equal(json_array_size(json_object_get(w->got, "intervals")), 3);
	ok(w, call(w, OPS_CALL_BACKFILL, &nightly,
		      "{\"from\": \"2026-11-01\", \"to\": \"2026-11-03\", \"jobs\": 2}"));
	assert_int_equal(number(json_object_get(w->got, "counts"), "run"), 2);
	ok(w, call(w, OPS_CALL_BACKFILL_PAUSE, &one, "{}"));
	ok(w, call(w, OPS_CALL_BACKFILL_RESUME, &one, "{}"));
	ok(w, call(w, OPS_CALL_BACKFILL_CANCEL, &one, "{}"));
	ok(w, call(w, OPS_CALL_BACKFILL_SHOW, &one, "{}"));
	assert_string_equal(text(w->got, "state"), "cancelled");
	ok(w, call(w, OPS_CALL_BACKFILLS, &(struct ops_target){ 0 }, "{}"));
	assert_int_equal(json_array_size(json_object_get(w->got, "backfills")), 1);
	ok(w, call(w, OPS_CALL_DAGS, &(struct ops_target){ 0 }, "{}"));
	refused(w, call(w, OPS_CALL_DAG, &(struct ops_target){ .dag = "no" }, "{}"), ERR_NOT_FOUND,
		"\"no\"");
	for (int i = 0; i < OPS_CALL_MAX; i++)
		assert_non_null(ops_calls[i].call);
}

static void test_call_id(void **state)
{
	static const char *const bad[] = { "", "0", "-1", "x", "1x", "99999999999999999999" };
	int64_t id;

	(void)state;
	assert_int_equal(ops_call_id("17", &id, NULL), 0);
	assert_int_equal(id, 17);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(ops_call_id(bad[i], &id, NULL), -1);
}

#define ON_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_interval_errors),
		cmocka_unit_test(test_decide),
		cmocka_unit_test(test_params),
		ON_STORE(test_plan_modes),
		ON_STORE(test_plan_text),
		ON_STORE(test_plan_elsewhere),
		ON_STORE(test_plan_future),
		ON_STORE(test_plan_long),
		ON_STORE(test_plan_errors),
		ON_STORE(test_backfill_create),
		ON_STORE(test_backfill_params),
		ON_STORE(test_backfill_overlap),
		ON_STORE(test_backfill_set),
		ON_STORE(test_pause),
		ON_STORE(test_pause_all),
		ON_STORE(test_pause_errors),
		ON_STORE(test_freeze),
		ON_STORE(test_trigger),
		ON_STORE(test_trigger_existing),
		ON_STORE(test_trigger_errors),
		ON_STORE(test_calls),
		cmocka_unit_test(test_call_id),
	};

	setenv("WEIR_TEST_CLOCK", "2026-11-20T12:00:00Z", 1);
	load_dags();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	int rc = cmocka_run_group_tests(tests, NULL, NULL);
	for (size_t i = 0; i < NDAGS; i++)
		dag_unref(dags[i]);
	return rc;
}
