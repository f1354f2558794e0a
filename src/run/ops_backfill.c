/* Backfills: planned, made, steered, shown. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/zonefile.h"
#include "run/ops_impl.h"

enum { TYPICAL_RUNS = 20, FAILED_NAMED = 100 };

const char *const backfill_mode_names[] = {
	[BACKFILL_ONLY_MISSING] = "missing",
	[BACKFILL_ONLY_FAILED] = "failed",
	[BACKFILL_ALL] = "all",
	[BACKFILL_MODE_MAX] = NULL,
};
_Static_assert(sizeof backfill_mode_names / sizeof *backfill_mode_names == BACKFILL_MODE_MAX + 1,
	"a name for each");

/* ---- the decision ------------------------------------------------------------------------ */

/* What stands at an interval. */
enum exists {
	EXISTS_MISSING,
	EXISTS_SUCCESS,
	EXISTS_FAILED,
	EXISTS_CANCELLED,
	EXISTS_RUNNING,   /* somebody works on it, or is going to */
	EXISTS_ABANDONED, /* it was begun, and nobody works on it any more */
	EXISTS_MAX
};

static const char *const exists_names[] = {
	[EXISTS_MISSING] = "missing",
	[EXISTS_SUCCESS] = "success",
	[EXISTS_FAILED] = "failed",
	[EXISTS_CANCELLED] = "cancelled",
	[EXISTS_RUNNING] = "running",
	[EXISTS_ABANDONED] = "abandoned",
};
_Static_assert(sizeof exists_names / sizeof *exists_names == EXISTS_MAX, "a name for each");

static enum exists what_exists(const struct run_row *run)
{
	if (!run)
		return EXISTS_MISSING;
	if (ops_run_is_active(run, clock_now_us()))
		return EXISTS_RUNNING;
	switch (run->state) {
	case RUN_SUCCESS:
		return EXISTS_SUCCESS;
	case RUN_FAILED:
		return EXISTS_FAILED;
	case RUN_CANCELLED:
		return EXISTS_CANCELLED;
	default:
		return EXISTS_ABANDONED;
	}
}

struct decision {
	enum backfill_action action;
	const char *why;
};

static const struct decision decisions[EXISTS_MAX][BACKFILL_MODE_MAX] = {
	[EXISTS_MISSING] = { { BACKFILL_RUN, "never ran" },
		{ BACKFILL_SKIP, "never ran, so it did not fail" }, { BACKFILL_RUN, "never ran" } },
	[EXISTS_SUCCESS] = { { BACKFILL_SKIP, "succeeded" }, { BACKFILL_SKIP, "succeeded" },
		{ BACKFILL_OVERWRITE, "succeeded; all of it is done again" } },
	[EXISTS_FAILED] = { { BACKFILL_RUN, "failed; goes on where it stopped" },
		{ BACKFILL_RUN, "failed; goes on where it stopped" },
		{ BACKFILL_OVERWRITE, "failed; all of it is done again" } },
	[EXISTS_CANCELLED] = { { BACKFILL_RUN, "was cancelled; goes on where it stopped" },
		{ BACKFILL_RUN, "was cancelled; goes on where it stopped" },
		{ BACKFILL_OVERWRITE, "was cancelled; all of it is done again" } },
	[EXISTS_RUNNING] = { { BACKFILL_SKIP, "is active now" }, { BACKFILL_SKIP, "is active now" },
		{ BACKFILL_SKIP, "is active now" } },
	[EXISTS_ABANDONED] = { { BACKFILL_RUN, "was abandoned; goes on where it stopped" },
		{ BACKFILL_RUN, "was abandoned; goes on where it stopped" },
		{ BACKFILL_OVERWRITE, "was abandoned; all of it is done again" } },
};

enum backfill_action ops_backfill_decide(
	enum backfill_mode mode, const struct run_row *existing, const char **ret_why)
{
	const struct decision *d = &decisions[what_exists(existing)][mode];

	*ret_why = d->why;
	return d->action;
}

const char *ops_backfill_params(
	const char *given, const struct run_row *existing, const char *defaults)
{
	if (given && *given && strcmp(given, "{}") != 0)
		return given;
	return existing && existing->params ? existing->params : defaults;
}

/* ---- the plan ---------------------------------------------------------------------------- */

static const char *const action_names[] = {
	[BACKFILL_RUN] = "run",
	[BACKFILL_OVERWRITE] = "overwrite",
	[BACKFILL_SKIP] = "skip",
};
enum { NACTIONS = sizeof action_names / sizeof *action_names };

struct planned {
	const struct ops *ops;
	const struct ops_backfill *asked;
	struct dag *dag;
	const struct zone *zone;
	int64_t from_us, to_us, now_us, typical_us;
	int jobs;
	json_t *intervals; /* NULL: they are counted only */
	int64_t nactions[NACTIONS], nexists[EXISTS_MAX];
	int64_t nintervals, nother_version, nincomplete, nelsewhere;
	int64_t last_start_us; /* of the last interval that is complete */
	struct {
		int64_t id, from_us, to_us;
		enum backfill_state state;
	} overlaps;   /* id 0: none */
	char *params; /* of the runs; NULL: none were given */
};

static void planned_release(struct planned *p)
{
	json_decref(p->intervals);
	free(p->params);
	dag_unref(p->dag);
}

static int read_range(struct planned *p, struct err *err)
{
	const struct ops_backfill *b = p->asked;

	if (!b->from || !b->to)
		return err_set(err, ERR_USAGE,
			"a backfill needs a range: --from and --to, dates or instants");
	if (ops_range_end(p->zone, "--from", b->from, false, &p->from_us, err) < 0 ||
		ops_range_end(p->zone, "--to", b->to, true, &p->to_us, err) < 0)
		return -1;
	if (p->from_us <= p->to_us)
		return 0;
	return err_set(err, ERR_USAGE, "--from %.64s is after --to %.64s", b->from, b->to);
}

static bool is_other(const struct planned *p, const struct run_row *run, enum exists exists)
{
	return exists == EXISTS_SUCCESS && strcmp(run->version, p->dag->hash) != 0;
}

static json_t *interval_json(const struct planned *p, const struct tick *t,
	const struct run_row *run, const struct decision *d)
{
	char ds[32];
	enum exists exists = what_exists(run);

	ops_ds(p->dag, t->start_us, ds);
	return json_pack("{s:o, s:o, s:s, s:o, s:s, s:b, s:s, s:s}", "start",
		ops_json_instant(p->zone, t->start_us), "end", ops_json_instant(p->zone, t->end_us),
		"ds", ds, "run", ops_json_text(run ? run->name : NULL), "exists",
		exists_names[exists], "other_version", is_other(p, run, exists), "action",
		action_names[d->action], "why", d->why);
}

static int add_interval(
	struct planned *p, const struct tick *t, const struct run_row *run, struct err *err)
{
	struct decision d = { BACKFILL_SKIP, "is not over yet" };
	enum exists exists = what_exists(run);
	bool other = is_other(p, run, exists);

	if (++p->nintervals > OPS_BACKFILL_MAX)
		return err_set(err, ERR_USAGE,
			"more than %d intervals lie between %.64s and %.64s; take a shorter range",
			OPS_BACKFILL_MAX, p->asked->from, p->asked->to);
	if (t->run_after_us > p->now_us) {
		p->nincomplete++;
	} else {
		d.action = ops_backfill_decide(p->asked->mode, run, &d.why);
		p->last_start_us = t->start_us;
	}
	if (other && d.action == BACKFILL_SKIP)
		d.why = "succeeded, with another version of the DAG";
	p->nactions[d.action]++;
	p->nexists[exists]++;
	p->nother_version += other;
	if (p->intervals && json_array_append_new(p->intervals, interval_json(p, t, run, &d)) < 0)
		return err_nomem(err);
	return 0;
}

/* The run of an interval among those that start with it or later; those before are passed. */
static const struct run_row *run_of(
	struct planned *p, const struct store_result *runs, size_t *at, const struct tick *t)
{
	const struct run_row *found = NULL;

	for (; *at < runs->n && runs->runs[*at].interval_start_us <= t->start_us; ++*at) {
		const struct run_row *run = &runs->runs[*at];
		if (run->interval_start_us == t->start_us && run->interval_end_us == t->end_us)
			found = run;
		else
			p->nelsewhere++;
	}
	return found;
}

static int no_intervals(const struct planned *p, struct err *err)
{
	const struct schedule_spec *spec = ops_schedule(p->dag);
	struct tick next;

	if (!timetable_interval_at(spec, p->from_us, &next) &&
		!timetable_next(spec, p->to_us, &next))
		return err_set(err, ERR_USAGE, "DAG %s has no interval between %.64s and %.64s",
			p->dag->name, p->asked->from, p->asked->to);
	char ds[32];
	ops_ds(p->dag, next.start_us, ds);
	return err_set(err, ERR_USAGE,
		"no interval of DAG %s starts between %.64s and %.64s; one starts on %s",
		p->dag->name, p->asked->from, p->asked->to, ds);
}

/* The schedule's intervals and the runs there are, both ascending, side by side. */
static int add_intervals(struct planned *p, struct err *err)
{
	const struct run_filter f = { .dag = p->dag->name,
		.state = -1,
		.in_range = true,
		.from_us = p->from_us,
		.to_us = p->to_us };
	struct timetable_range range;
	struct store_result runs;
	struct tick t;
	size_t at = 0;
	int rc = 0;

	if (store_runs(p->ops->store, &f, &runs, err) < 0)
		return -1;
	timetable_range_init(&range, ops_schedule(p->dag), p->from_us, p->to_us);
	while (rc == 0 && timetable_range_next(&range, &t))
		rc = add_interval(p, &t, run_of(p, &runs, &at, &t), err);
	p->nelsewhere += (int64_t)(runs.n - at);
	store_result_release(&runs);
	return rc == 0 && p->nintervals == 0 ? no_intervals(p, err) : rc;
}

static bool is_active(const struct backfill_row *b)
{
	return b->state == BACKFILL_RUNNING || b->state == BACKFILL_PAUSED;
}

static int find_overlap(struct planned *p, struct err *err)
{
	struct store_result all;

	if (store_backfills(p->ops->store, 0, &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++) {
		const struct backfill_row *b = &all.backfills[i];
		if (!is_active(b) || strcmp(b->dag, p->dag->name) != 0 || b->from_us > p->to_us ||
			b->to_us < p->from_us)
			continue;
		p->overlaps.id = b->id;
		p->overlaps.state = b->state;
		p->overlaps.from_us = b->from_us;
		p->overlaps.to_us = b->to_us;
	}
	store_result_release(&all);
	return 0;
}

/* `list`: each interval is told, not counted only. */
/* Each would wait for one that comes only after it; or go on by one that is older still. */
static int check_direction(const struct dag *dag, const struct ops_backfill *b, struct err *err)
{
	for (int i = 0; b->newest_first && i < dag->ntasks; i++)
		if (dag->tasks[i].depends_on_past)
			return err_set(err, ERR_USAGE,
				"task %s depends on the run before (depends_on_past), so the "
				"oldest comes first: leave --newest-first out",
				dag->tasks[i].name);
	return 0;
}

static int make_plan(struct planned *p, const struct ops *o, const struct ops_backfill *b,
	bool list, struct err *err)
{
	*p = (struct planned){ .ops = o,
		.asked = b,
		.now_us = clock_now_us(),
		.jobs = b->jobs < 1 ? 1 : b->jobs,
		.intervals = list ? json_array() : NULL };
	if (list && !p->intervals)
		return err_nomem(err);
	if ((unsigned)b->mode >= BACKFILL_MODE_MAX)
		return err_set(err, ERR_INTERNAL, "a backfill has no mode %d", (int)b->mode);
	if (ops_check_reason(b->reason, err) < 0 || !(p->dag = o->find_dag(o->arg, b->dag, err)))
		return -1;
	p->zone = ops_zone(p->dag);
	if (check_direction(p->dag, b, err) < 0)
		return -1;
	if (b->params && b->params[0] && !(p->params = ops_params(p->dag, b->params, err)))
		return -1;
	if (read_range(p, err) < 0 || add_intervals(p, err) < 0 || find_overlap(p, err) < 0)
		return -1;
	return store_typical_us(o->store, p->dag->name, TYPICAL_RUNS, &p->typical_us, err);
}

/* ---- as JSON ----------------------------------------------------------------------------- */

static json_t *us_or_null(int64_t us)
{
	return us > 0 ? json_integer(us) : json_null();
}

/* How long so many runs take, side by side. */
static int64_t expected_us(int64_t typical_us, int64_t runs, int jobs)
{
	int64_t rounds = (runs + jobs - 1) / jobs, us;

	return __builtin_mul_overflow(typical_us, rounds, &us) ? INT64_MAX : us;
}

static int64_t to_do(const struct planned *p)
{
	return p->nactions[BACKFILL_RUN] + p->nactions[BACKFILL_OVERWRITE];
}

static json_t *overlaps_json(const struct planned *p)
{
	if (p->overlaps.id == 0)
		return json_null();
	return json_pack("{s:I, s:s, s:o, s:o}", "backfill", (json_int_t)p->overlaps.id, "state",
		backfill_state_name(p->overlaps.state), "from",
		ops_json_range_end(p->zone, p->overlaps.from_us, false), "to",
		ops_json_range_end(p->zone, p->overlaps.to_us, true));
}

static json_t *counts_json(const char *const *names, const int64_t *counts, size_t n)
{
	json_t *o = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(o, names[i], json_integer(counts[i]));
	return o;
}

static json_t *plan_json(const struct planned *p)
{
	const struct ops_backfill *b = p->asked;
	json_t *exists = counts_json(exists_names, p->nexists, EXISTS_MAX);
	json_t *o = json_pack("{s:s, s:o, s:o, s:s, s:s, s:i, s:b}", "dag", p->dag->name, "from",
		ops_json_range_end(p->zone, p->from_us, false), "to",
		ops_json_range_end(p->zone, p->to_us, true), "zone", zone_name(p->zone), "mode",
		backfill_mode_names[b->mode], "jobs", p->jobs, "newest_first", b->newest_first);

	json_object_set_new(exists, "other_version", json_integer(p->nother_version));
	json_object_set_new(o, "counts", counts_json(action_names, p->nactions, NACTIONS));
	json_object_set_new(o, "exists", exists);
	json_object_set_new(o, "incomplete", json_integer(p->nincomplete));
	json_object_set_new(o, "elsewhere", json_integer(p->nelsewhere));
	json_object_set_new(o, "typical_us", us_or_null(p->typical_us));
	json_object_set_new(o, "expected_us",
		p->typical_us ? json_integer(expected_us(p->typical_us, to_do(p), p->jobs))
			      : json_null());
	json_object_set_new(o, "overlaps", overlaps_json(p));
	return o;
}

int ops_backfill_plan(
	const struct ops *o, const struct ops_backfill *b, json_t **ret, struct err *err)
{
	struct planned p;
	int rc = make_plan(&p, o, b, true, err);

	if (rc == 0) {
		json_t *plan = plan_json(&p);
		json_object_set(plan, "intervals", p.intervals);
		rc = ops_answer(plan, ret, err);
	}
	planned_release(&p);
	return rc;
}

/* ---- making one -------------------------------------------------------------------------- */

static int refuse_overlap(const struct planned *p, struct err *err)
{
	if (p->overlaps.id == 0)
		return 0;
	return err_set(err, ERR_REFUSED,
		"backfill %" PRId64 " of DAG %s is %s and covers a part of this range; let it end, "
		"or: weir backfill cancel %" PRId64,
		p->overlaps.id, p->dag->name, backfill_state_name(p->overlaps.state),
		p->overlaps.id);
}

static int create(const struct planned *p, int64_t *ret_id, struct err *err)
{
	const struct backfill_new made = { .dag = p->dag->name,
		.mode = backfill_mode_names[p->asked->mode],
		.from_us = p->from_us,
		.to_us = p->nincomplete ? p->last_start_us : p->to_us,
		.newest_first = p->asked->newest_first,
		.jobs = p->jobs,
		.params = p->params ? p->params : "{}",
		.by = ops_by(p->ops),
		.reason = p->asked->reason,
		.ntotal = to_do(p),
		.now_us = p->now_us };

	*ret_id = 0;
	if (to_do(p) == 0)
		return 0;
	if (refuse_overlap(p, err) < 0 ||
		store_backfill_create(p->ops->store, &made, ret_id, err) < 0)
		return -1;
	ops_note(p->ops, (struct ops_note){ .what = "backfill",
				 .dag = made.dag,
				 .backfill = *ret_id,
				 .reason = made.reason });
	ops_tell(p->ops, OPS_BACKFILL, p->dag->name, *ret_id);
	return 0;
}

int ops_backfill_create(
	const struct ops *o, const struct ops_backfill *b, json_t **ret, struct err *err)
{
	struct planned p;
	int64_t id;
	int rc = make_plan(&p, o, b, false, err);

	if (rc == 0)
		rc = create(&p, &id, err);
	if (rc == 0) {
		json_t *plan = plan_json(&p);
		json_object_set_new(plan, "backfill", id ? json_integer(id) : json_null());
		rc = ops_answer(plan, ret, err);
	}
	planned_release(&p);
	return rc;
}

/* ---- looking ----------------------------------------------------------------------------- */

/* The zone of a DAG's schedule, as the last run knew it, else as its file says; to be freed by
 * zone_free when *ret_own. */
static const struct zone *find_zone(const struct ops *o, const char *dag, struct zone **ret_own)
{
	const struct run_filter f = { .dag = dag, .state = -1, .limit = 1 };
	struct store_result runs;
	struct err ignored;

	*ret_own = NULL;
	if (store_runs(o->store, &f, &runs, &ignored) < 0)
		return zone_utc();
	if (runs.n)
		zone_open(runs.runs[0].zone, zonefile_read, ret_own, &ignored);
	store_result_release(&runs);
	if (*ret_own)
		return *ret_own;
	struct dag *found = o->find_dag(o->arg, dag, &ignored);
	if (found)
		zone_open(zone_name(ops_zone(found)), zonefile_read, ret_own, &ignored);
	dag_unref(found);
	return *ret_own ? *ret_own : zone_utc();
}

static json_t *eta_json(const struct ops *o, const struct backfill_row *b)
{
	int64_t typical_us, left = b->ntotal - b->nsuccess - b->nfailed;

	if (!is_active(b) ||
		store_typical_us(o->store, b->dag, TYPICAL_RUNS, &typical_us, NULL) < 0)
		return json_null();
	if (typical_us == 0)
		return json_null();
	return json_integer(left > 0 ? expected_us(typical_us, left, b->jobs) : 0);
}

static json_t *params_json(const char *text)
{
	json_t *params = text ? json_loads(text, 0, NULL) : NULL;

	return params ? params : json_object();
}

static json_t *backfill_json(const struct ops *o, const struct backfill_row *b)
{
	struct zone *own;
	const struct zone *zone = find_zone(o, b->dag, &own);
	int64_t waiting = b->ntotal - b->nsuccess - b->nfailed - b->nactive;
	json_t *j = json_pack("{s:I, s:s, s:s, s:o, s:o, s:s, s:s, s:i, s:b, s:o}", "backfill",
		(json_int_t)b->id, "dag", b->dag, "mode", b->mode, "from",
		ops_json_range_end(zone, b->from_us, false), "to",
		ops_json_range_end(zone, b->to_us, true), "zone", zone_name(zone), "state",
		backfill_state_name(b->state), "jobs", b->jobs, "newest_first", b->newest_first,
		"params", params_json(b->params));

	json_object_set_new(j, "by", ops_json_text(b->by));
	json_object_set_new(j, "reason", ops_json_text(b->reason));
	json_object_set_new(j, "state_by", ops_json_text(b->state_by));
	json_object_set_new(j, "state_reason", ops_json_text(b->state_reason));
	json_object_set_new(j, "created", ops_json_time(zone, b->created_us));
	json_object_set_new(j, "ended", ops_json_time(zone, b->ended_us));
	json_object_set_new(j, "total", json_integer(b->ntotal));
	json_object_set_new(j, "success", json_integer(b->nsuccess));
	json_object_set_new(j, "failed", json_integer(b->nfailed));
	json_object_set_new(j, "active", json_integer(b->nactive));
	json_object_set_new(j, "waiting", json_integer(waiting > 0 ? waiting : 0));
	json_object_set_new(j, "eta_us", eta_json(o, b));
	zone_free(own);
	return j;
}

/* Names of its runs that failed, the newest intervals first. */
static json_t *failed_runs(const struct ops *o, int64_t id, struct err *err)
{
	const struct run_filter f = {
		.state = RUN_FAILED, .backfill_id = id, .limit = FAILED_NAMED
	};
	struct store_result runs;

	if (store_runs(o->store, &f, &runs, err) < 0)
		return NULL;
	json_t *names = json_array();
	for (size_t i = 0; i < runs.n; i++)
		json_array_append_new(names, json_string(runs.runs[i].name));
	store_result_release(&runs);
	return names;
}

static int answer_one(
	const struct ops *o, const struct store_result *rows, json_t **ret, struct err *err)
{
	json_t *failed = failed_runs(o, rows->backfills[0].id, err);

	if (!failed)
		return -1;
	json_t *j = backfill_json(o, &rows->backfills[0]);
	json_object_set_new(j, "failed_runs", failed);
	return ops_answer(j, ret, err);
}

static int answer_all(
	const struct ops *o, const struct store_result *rows, json_t **ret, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < rows->n; i++)
		json_array_append_new(list, backfill_json(o, &rows->backfills[i]));
	return ops_answer(json_pack("{s:o}", "backfills", list), ret, err);
}

int ops_backfills(const struct ops *o, int64_t id, json_t **ret, struct err *err)
{
	struct store_result rows;
	int rc;

	if (store_backfills(o->store, id, &rows, err) < 0)
		return -1;
	if (id && rows.n == 0)
		rc = err_set(err, ERR_NOT_FOUND,
			"there is no backfill %" PRId64 "; weir backfills lists them", id);
	else
		rc = id ? answer_one(o, &rows, ret, err) : answer_all(o, &rows, ret, err);
	store_result_release(&rows);
	return rc;
}

/* ---- steering ---------------------------------------------------------------------------- */

/* Of which DAG it is: owned; NULL with err. */
static char *dag_of(const struct ops *o, int64_t id, struct err *err)
{
	struct store_result rows;
	char *dag = NULL;

	if (store_backfills(o->store, id, &rows, err) < 0)
		return NULL;
	if (id < 1 || rows.n == 0)
		err_set(err, ERR_NOT_FOUND,
			"there is no backfill %" PRId64 "; weir backfills lists them", id);
	else if (!(dag = strdup(rows.backfills[0].dag)))
		err_nomem(err);
	store_result_release(&rows);
	return dag;
}

int ops_backfill_set(const struct ops *o, int64_t id, const char *to, const char *reason,
	json_t **ret, struct err *err)
{
	int state = backfill_state_by_name(to);

	if (state < 0 || state == BACKFILL_DONE)
		return err_set(err, ERR_USAGE,
			"a backfill can be made running, paused or cancelled, not \"%.64s\"", to);
	if (ops_check_reason(reason, err) < 0)
		return -1;
	char *dag = dag_of(o, id, err);
	if (!dag)
		return -1;
	int rc = store_backfill_set(
		o->store, id, (enum backfill_state)state, ops_by(o), reason, clock_now_us(), err);
	if (rc == 0) {
		ops_note(o,
			(struct ops_note){
				.what = "backfill", .dag = dag, .backfill = id, .reason = reason });
		ops_tell(o, OPS_BACKFILL, dag, id);
		rc = ops_backfills(o, id, ret, err);
	}
	free(dag);
	return rc;
}
