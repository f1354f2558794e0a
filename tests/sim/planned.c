/* A schedule: the real planner, driven as run/daemon_runs.c does it, and what must come of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "core/planner.h"
#include "tests/sim/sim.h"

enum { DECISIONS_MAX = 64, STATE_TEXT_MAX = 8192 };

void planned_make(struct sim *w)
{
	static const int64_t periods[] = { 5, 20, 45, 90 };
	struct rng r;

	rng_init(&r, world_draw(w, 8, 0, 0));
	/* One process plans: as long as a WEIR_HOME has one daemon. */
	if (w->nactors != 1 || rng_below(&r, 3))
		return;
	int64_t period_us = periods[rng_below(&r, 4)] * SIM_S, start_us = world_wall(w);
	w->planned = &w->dags[rng_below(&r, (uint64_t)w->ndags)];
	w->spec = (struct schedule_spec){ .kind = TIMETABLE_EVERY,
		.period_us = period_us,
		.start_us = start_us,
		.end_us = start_us + (int64_t)rng_below(&r, 8) * period_us,
		.interval = rng_below(&r, 3) ? TIMETABLE_DATA : TIMETABLE_POINT,
		.catchup = (enum timetable_catchup)rng_below(&r, TIMETABLE_CATCHUP_MAX) };
	w->overlap = rng_below(&r, 3) ? OVERLAP_QUEUE : OVERLAP_SKIP;
	w->max_active = 1 + (int)rng_below(&r, 2);
	const struct dag_put put = { .name = w->planned->name,
		.path = "sim.yaml",
		.dir = "/",
		.version = w->planned->dag->hash,
		.present = true };
	must(w, store_dags_put(w->base, &put, 1, start_us, NULL) == 0, "no memory");
}

/* ---- the process's side --------------------------------------------------------------- */

static int count_active(struct sim *w)
{
	int n = 0;

	for (int i = 0; i < w->nruns; i++) {
		struct trun *r = &w->runs[i];
		r->counted = r->scheduled && !run_state_is_final(r->state);
		n += r->counted;
	}
	return n;
}

/* From what the store has: at the beginning, or when it can be read. */
static int load(struct actor *n, struct err *err)
{
	struct sim *w = n->w;
	struct store_result rows = { 0 };
	struct planner_state state;

	if (store_dags(w->base, w->planned->name, &rows, err) < 0)
		return -1;
	const char *text = rows.n ? rows.dags[0].plan_state : NULL;
	bool has_state = text && planner_state_parse(text, &state, NULL) == 0;
	store_result_release(&rows);
	planner_free(n->planner);
	n->planner = planner_new();
	must(w, n->planner, "no memory");
	const struct planner_dag dag = { .name = w->planned->name,
		.spec = &w->spec,
		.max_active_runs = w->max_active,
		.overlap = w->overlap,
		.state = has_state ? &state : NULL,
		.active = count_active(w) };
	return planner_set_dag(n->planner, &dag, clock_now_us(), err);
}

/* What a commit of the planner's decisions is made of. */
struct portion {
	struct plan_row rows[DECISIONS_MAX];
	struct run_open opens[DECISIONS_MAX];
	struct run_opened opened[DECISIONS_MAX];
	char names[DECISIONS_MAX][64];
	size_t nrows, nopens;
};

static void add_open(struct actor *n, struct portion *p, const struct planner_decision *d)
{
	static const char *tasks[SIM_TASKS];
	struct sim *w = n->w;
	const struct dag *dag = w->planned->dag;
	char *name = p->names[p->nopens];

	for (int i = 0; i < dag->ntasks; i++)
		tasks[i] = dag->tasks[i].name;
	snprintf(name, sizeof p->names[0], "%s@s%" PRId64, d->dag,
		(d->tick.start_us - w->spec.start_us) / w->spec.period_us);
	p->opens[p->nopens++] =
		(struct run_open){ .key = { d->dag, d->tick.start_us, d->tick.end_us },
			.name = name,
			.ds = "2026-11-20",
			.zone = "UTC",
			.params = "{}",
			.trigger = "schedule",
			.dag_path = dag->path,
			.dag_dir = dag->dir,
			.version = dag->hash,
			.text = "",
			.tasks = tasks,
			.ntasks = (size_t)dag->ntasks,
			.owner = n->engine->self,
			.lease_until_us = clock_now_us() + ENGINE_LEASE_US,
			.now_us = clock_now_us(),
			.wanted = true,
			.only_new = true };
}

static void fill(
	struct actor *n, struct portion *p, const struct planner_decision *list, size_t count)
{
	must(n->w, count <= DECISIONS_MAX, "the planner decides %zu times at once", count);
	for (size_t i = 0; i < count; i++) {
		const struct planner_decision *d = &list[i];
		if (d->action == PLANNER_CREATE)
			add_open(n, p, d);
		if (d->action != PLANNER_KEEP)
			p->rows[p->nrows++] = (struct plan_row){ .at_us = clock_now_us(),
				.dag = d->dag,
				.action = planner_action_name(d->action),
				.why = planner_why_name(d->why),
				.start_us = d->tick.start_us,
				.end_us = d->tick.end_us,
				.run_after_us = d->tick.run_after_us,
				.count = d->count };
	}
}

static int commit(
	struct actor *n, const struct planner_decision *list, size_t count, struct err *err)
{
	struct sim *w = n->w;
	struct planner_state state;
	struct portion p = { 0 };
	struct buf text;

	fill(n, &p, list, count);
	buf_init(&text, STATE_TEXT_MAX);
	bool has_state = planner_state(n->planner, w->planned->name, &state);
	if (has_state)
		planner_state_add(&text, &state);
	const struct plan_state kept = { w->planned->name, text.data };
	const struct store_plan plan = { .rows = p.rows,
		.nrows = p.nrows,
		.states = &kept,
		.nstates = has_state,
		.opens = p.opens,
		.nopens = p.nopens };
	int rc = store_plan_commit(w->base, &plan, p.opened, err);
	buf_release(&text);
	for (size_t i = 0; rc == 0 && i < p.nopens; i++) {
		if (p.opened[i].run_id)
			truth_run(w, p.opened[i].run_id)->counted = true;
		else
			planner_run_ended(n->planner, w->planned->name);
	}
	for (size_t i = 0; rc == 0 && i < count; i++)
		slas_passed(n, &list[i]);
	if (rc == 0)
		planner_clear_decisions(n->planner);
	return rc;
}

void planned_turn(struct actor *n)
{
	struct sim *w = n->w;
	struct err err = { 0 };
	size_t count;

	if (!w->planned)
		return;
	n->plan_again_us = w->now_us + SIM_S;
	if (!n->planner && load(n, &err) < 0)
		return;
	must(w, planner_tick(n->planner, clock_now_us(), &err) == 0, "%s", err.msg);
	const struct planner_decision *list = planner_decisions(n->planner, &count);
	if (count > 0 && commit(n, list, count, &err) < 0)
		return;
	/* They are wanted, and ours. */
	if (count > 0)
		n->scan_us = w->now_us;
	n->plan_again_us = INT64_MAX;
}

int64_t planned_due_us(const struct actor *n)
{
	if (!n->w->planned || n->leaving)
		return INT64_MAX;
	int64_t wake = n->planner ? planner_wake_us(n->planner) : INT64_MAX;
	if (wake != INT64_MAX)
		wake -= n->w->wall_us;
	if (n->plan_again_us != INT64_MAX)
		return n->plan_again_us;
	return wake < n->w->now_us ? n->w->now_us : wake;
}

void planned_ended(struct actor *n, int64_t run_id)
{
	struct trun *r = truth_run(n->w, run_id);

	if (!r->counted || !n->planner)
		return;
	r->counted = false;
	planner_run_ended(n->planner, n->w->planned->name);
	n->plan_again_us = n->w->now_us;
}

void planned_release(struct actor *n)
{
	planner_free(n->planner);
	n->planner = NULL;
	n->plan_again_us = 0;
}

/* ---- what must come of it ------------------------------------------------------------- */

void planned_opened(struct sim *w, struct trun *r)
{
	int active = 0;

	r->scheduled = true;
	for (int i = 0; i < w->nruns; i++)
		active += w->runs[i].scheduled && !w->runs[i].again &&
			  !run_state_is_final(w->runs[i].state);
	must(w, active <= w->max_active,
		"%s is made, and %d runs of the schedule are active, of %d", r->name, active,
		w->max_active);
}

static bool is_made(const struct sim *w, const struct tick *t)
{
	for (int i = 0; i < w->nruns; i++)
		if (w->runs[i].dag == w->planned && w->runs[i].start_us == t->start_us &&
			w->runs[i].end_us == t->end_us)
			return true;
	return false;
}

static bool is_passed_over(const struct store_result *rows, const struct sim *w, int64_t start_us)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct plan_row *p = &rows->plans[i];
		if (strcmp(p->action, planner_action_name(PLANNER_SKIP)) == 0 &&
			start_us >= p->start_us &&
			start_us < p->start_us + p->count * w->spec.period_us)
			return true;
	}
	return false;
}

bool planned_done(const struct sim *w)
{
	const struct actor *n = &w->actors[0];

	return !w->planned ||
	       (n->status == ACTOR_IDLE && n->planner && planned_due_us(n) == INT64_MAX);
}

void planned_check_end(struct sim *w)
{
	struct store_result rows = { 0 };
	struct timetable_range range;
	struct err err = { 0 };
	struct tick t;

	if (!w->planned)
		return;
	must(w, store_plans(w->base, w->planned->name, 0, &rows, &err) == 0, "%s", err.msg);
	timetable_range_init(&range, &w->spec, w->spec.start_us, w->spec.end_us);
	bool begun = false; /* the first is the one that the planner met when it saw the schedule */
	while (timetable_range_next(&range, &t)) {
		bool made = is_made(w, &t), passed = is_passed_over(&rows, w, t.start_us);
		long long at = (t.start_us - w->spec.start_us) / w->spec.period_us;
		begun = begun || made || passed;
		must(w, made || passed || !begun, "interval %lld of the schedule is forgotten", at);
		must(w, !begun || made != passed,
			"interval %lld of the schedule is made and passed over", at);
	}
	store_result_release(&rows);
}
