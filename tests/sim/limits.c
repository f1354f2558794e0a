/* Limits of what runs: how long a run of the schedule's DAG, or an attempt of a task, may take.
 *
 * They hold for what was begun, however often processes came and went since: what runs on beyond
 * its limit while a daemon is up and the store is well is found, once in a run.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/incident.h"
#include "core/sched.h"
#include "run/daemon_sla.h"

#undef say /* the daemon's log; ours is the story */
#include "tests/sim/sim.h"

enum { MOST, SLOW }; /* the second is of the DAG only */
static const enum sla_kind kinds[SIM_LIMITS] = { SLA_RUNS_AT_MOST, SLA_SLOWER_THAN };
static const enum incident_kind incidents[] = { INCIDENT_SLA_DURATION, INCIDENT_SLA_SLOW };

enum { LEAST = 3, MANY = 20 }; /* runs in a history; of more, the last */

void limits_make(struct sim *w, struct rng *r)
{
	struct dag *dag = w->planned->dag;
	struct sla *sla = &w->slas.of[0].sla, *of_task = &w->slas.of[1].sla;

	w->slas.task = (int)rng_below(r, (uint64_t)dag->ntasks);
	sla->kinds |= 1u << SLA_RUNS_AT_MOST | 1u << SLA_SLOWER_THAN;
	sla->runs_at_most_us = (1 + (int64_t)rng_below(r, 60)) * SIM_S;
	sla->slower_than = (1 + (double)rng_below(r, 5)) / 2;
	of_task->kinds |= 1u << SLA_RUNS_AT_MOST;
	of_task->runs_at_most_us = (1 + (int64_t)rng_below(r, 20)) * SIM_S;
	w->slas.of[1].task = dag->tasks[w->slas.task].name;
	dag->schedule = &w->spec;
	dag->sla = sla;
	dag->tasks[w->slas.task].sla = of_task;
}

/* ---- what is slow --------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The run begins, or is taken in hand: it is compared with those that succeeded before. */
void limits_began(struct sim *w, const struct trun *r)
{
	int64_t took[SIM_RUNS], half = (int64_t)(2 * w->slas.of[0].sla.slower_than);
	int n = 0, at = (int)(r - w->runs);

	for (int i = 0; i < w->nruns; i++)
		if (w->runs[i].dag == r->dag && w->runs[i].state == RUN_SUCCESS &&
			w->runs[i].running_us)
			took[n++] = w->runs[i].ended_us - w->runs[i].running_us;
	qsort(took, (size_t)n, sizeof *took, by_size);
	int64_t middle = n < LEAST ? 0 : took[(n - 1) / 2] + (took[n / 2] - took[(n - 1) / 2]) / 2;
	w->slas.slow_us[at] = middle > 0 ? (middle * half + 1) / 2 : 0;
	w->slas.slow_sure[at] = n <= MANY && w->store_down_us <= w->now_us &&
				w->flaky_us <= w->now_us && !slas_is_asked(w, r);
}

/* How long; 0: for ever. */
static int64_t limit_of(const struct sim *w, const struct trun *r, int owner, int kind)
{
	return kind == MOST ? w->slas.of[owner].sla.runs_at_most_us
	       : owner == 0 ? w->slas.slow_us[r - w->runs]
			    : 0;
}

static bool is_sure(const struct sim *w, const struct trun *r, int kind)
{
	return kind == MOST || w->slas.slow_sure[r - w->runs];
}

/* ---- committed ------------------------------------------------------------------------ */

static struct sim_miss *limit_of_key(
	struct sim *w, const struct sla_key *key, struct trun **ret, int *ret_owner, int *ret_kind)
{
	*ret_kind = strcmp(key->kind, sla_kind_name(kinds[MOST])) == 0   ? MOST
		    : strcmp(key->kind, sla_kind_name(kinds[SLOW])) == 0 ? SLOW
									 : -1;
	if (*ret_kind < 0)
		return NULL;
	*ret_owner = *key->task != 0;
	must(w, !*key->task || strcmp(key->task, w->slas.of[1].task) == 0, "a limit of no task");
	for (int i = 0; i < w->nruns; i++) {
		struct trun *r = *ret = &w->runs[i];
		if (strcmp(r->dag->name, key->dag) == 0 && r->start_us == key->start_us &&
			r->end_us == key->end_us)
			return &w->slas.limits[i][*ret_owner][*ret_kind];
	}
	world_fail(w, "a limit of no run");
}

/* Did the attempt, or the run, that began then go on when it was found? The store may have been
 * away since. */
static bool went_on(
	const struct sim *w, const struct trun *r, int owner, const struct sla_miss *row)
{
	int64_t since_us = row->deadline_us - w->slas.of[1].sla.runs_at_most_us;

	if (owner == 0)
		return r->state == RUN_RUNNING || r->ended_us >= row->deadline_us;
	for (const struct attempt *a = w->attempts; a; a = a->hh.next)
		if (a->run == r && row_def(r, a->task)->index == w->slas.task &&
			a->began_us == since_us &&
			(a->recorded == OUTCOME_NONE || a->ended_us >= row->deadline_us))
			return true;
	return false;
}

bool limits_found(struct sim *w, const struct actor *n, const struct sla_miss *row)
{
	struct trun *r;
	int owner, kind;
	struct sim_miss *m = limit_of_key(w, &row->key, &r, &owner, &kind);

	if (!m)
		return false;
	if (row->id == 0) {
		must(w, m->id, "a limit is known, and was not found");
		return true;
	}
	say(w, n->name, "commits: %s %s goes beyond %s", r->name, row->key.task, row->key.kind);
	must(w, !m->id, "%s goes beyond %s twice", r->name, row->key.kind);
	must(w, row->found_us >= row->deadline_us, "%s is beyond %s too early", r->name,
		row->key.kind);
	m->id = row->id;
	if (slas_is_asked(w, r) || !is_sure(w, r, kind))
		return true;
	int64_t limit = limit_of(w, r, owner, kind);
	must(w, limit > 0, "%s is slow, and nothing is known of its like", r->name);
	must(w, owner != 0 || r->since_us + limit == row->deadline_us, "%s has another limit of %s",
		r->name, row->key.kind);
	must(w, went_on(w, r, owner, row) || w->latest_us != 0, "%s is beyond %s, and did not run",
		r->name, row->key.kind);
	return true;
}

enum { ALL = SIM_RUNS * SIM_OWNERS * SIM_LIMITS };

static struct sim_miss *limit_by_number(struct sim *w, int i, const struct trun **ret_run)
{
	int run = i / (SIM_OWNERS * SIM_LIMITS);

	*ret_run = &w->runs[run];
	return &w->slas.limits[run][i / SIM_LIMITS % SIM_OWNERS][i % SIM_LIMITS];
}

bool limits_ended(struct sim *w, const struct actor *n, const struct sla_end *end)
{
	for (int i = 0; i < ALL; i++) {
		const struct trun *r;
		struct sim_miss *m = limit_by_number(w, i, &r);
		if (m->id != end->id)
			continue;
		say(w, n->name, "commits: a limit of %s: %s", r->name, end->why);
		must(w, !m->ended, "a limit ends twice");
		m->ended = true;
		return true;
	}
	return false;
}

bool limits_is_open(const struct sim *w, const struct incident *it)
{
	for (int i = 0; i < w->nruns; i++)
		for (int k = 0; k < SIM_LIMITS; k++) {
			const struct sim_miss *m = &w->slas.limits[i][*it->task != 0][k];
			if (it->kind == incidents[k] && m->id && !m->ended)
				return true;
		}
	return false;
}

/* ---- what must come of it ------------------------------------------------------------- */

static void check_run(struct sim *w, const struct trun *r)
{
	int64_t late_us = world_wall(w) - SIM_S;

	for (int k = 0; k < SIM_LIMITS; k++) {
		int64_t limit = limit_of(w, r, 0, k);
		must(w,
			!limit || !is_sure(w, r, k) || r->since_us + limit > late_us ||
				w->slas.limits[r - w->runs][0][k].id,
			"%s goes beyond %s, and nobody has found it", r->name,
			sla_kind_name(kinds[k]));
	}
}

static void check_attempt(struct sim *w, const struct attempt *a)
{
	const struct sim_miss *m = &w->slas.limits[a->run - w->runs][1][MOST];

	must(w, m->id || a->began_us + limit_of(w, a->run, 1, MOST) > world_wall(w) - SIM_S,
		"%s of %s goes beyond its limit, and nobody has found it", w->slas.of[1].task,
		a->run->name);
}

void limits_check(struct sim *w, const struct actor *n)
{
	int64_t run_id;
	int task;

	for (int i = 0; i < w->nruns; i++) {
		const struct trun *r = &w->runs[i];
		const struct active_run *a = engine_find(n->engine, r->id);
		if (r->dag == w->planned && a && r->state == RUN_RUNNING &&
			a->state == RUN_RUNNING && !slas_is_asked(w, r))
			check_run(w, r);
	}
	for (const struct attempt *a = w->attempts; a; a = a->hh.next)
		if (a->run->dag == w->planned && a->recorded == OUTCOME_NONE &&
			row_def(a->run, a->task)->index == w->slas.task &&
			!slas_is_asked(w, a->run) &&
			sched_flight(n->engine->sched, a->token, &run_id, &task))
			check_attempt(w, a);
}

/* What was too slow is good when it is done at last. */
void limits_check_end(struct sim *w)
{
	for (int i = 0; i < ALL; i++) {
		const struct trun *r;
		const struct sim_miss *m = limit_by_number(w, i, &r);
		if (!m->id || slas_is_asked(w, r))
			continue;
		enum task_state of_task = r->tasks[w->slas.task].state;
		bool done = i / SIM_LIMITS % SIM_OWNERS == 0
				    ? r->state == RUN_SUCCESS
				    : of_task == TASK_SUCCESS || of_task == TASK_SKIPPED;
		must(w, done == m->ended, "%s was slow: it is %s, and that is %s", r->name,
			done ? "done" : "not done", m->ended ? "over" : "open");
	}
}
