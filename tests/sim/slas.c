/* SLAs of the schedule's DAG: the daemon's own code judges, and what must come of it.
 *
 * A deadline is judged by the clock: when no run was made, when nothing runs, and behind times in
 * which no process was up. What was missed is found once, and ends when it comes at last.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "core/incident.h"
#include "run/daemon_sla.h"

#undef say /* the daemon's log; ours is the story */
#include "tests/sim/sim.h"

/* ---- made ----------------------------------------------------------------------------- */

#define DAY_US (INT64_C(86400) * SIM_S)

enum { STARTS = 1, RISK = 3 }; /* the others are of finishing */
static const enum sla_kind kinds[SIM_SLAS] = { SLA_FINISH_WITHIN, SLA_START_WITHIN, SLA_FINISH_BY,
	SLA_AT_RISK };

void slas_make(struct sim *w)
{
	struct rng r;

	rng_init(&r, world_draw(w, 13, 0, 0));
	if (!w->planned || rng_below(&r, 4) == 0)
		return;
	w->slas.on = true;
	for (int i = 0; i < SIM_OWNERS; i++)
		w->slas.of[i].sla = (struct sla){
			.kinds = 1u << SLA_FINISH_WITHIN | 1u << SLA_START_WITHIN |
				 1u << SLA_FINISH_BY | 1u << SLA_AT_RISK,
			.on_miss = 1u << SLA_ALERT,
			.finish_by_s = 10 + (int)rng_below(&r, 180),
			.finish_within_us = (int64_t)rng_below(&r, 60) * SIM_S,
			.start_within_us = (int64_t)rng_below(&r, 30) * SIM_S,
			.warn_ahead_us = (int64_t)(1 + rng_below(&r, 40)) * SIM_S,
		};
	limits_make(w, &r);
}

/* ---- the process's side --------------------------------------------------------------- */

static struct event_base *base; /* its loop never runs */
static struct event *turn_event;
static struct catalog *nothing;

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

/* What a daemon has beside its engine. */
void slas_init(struct actor *n)
{
	static struct daemon daemons[SIM_ACTORS + 1];
	static const struct catalog_env env;

	if (!base) {
		base = event_base_new();
		turn_event = event_new(base, -1, 0, on_turn, NULL);
		must(n->w, turn_event && catalog_new(&nothing, world_home(), &env, NULL) == 0,
			"no memory");
	}
	n->daemon = &daemons[n->index];
	*n->daemon = (struct daemon){ .catalog = nothing, .on_turn = turn_event };
	n->engine = &n->daemon->engine;
}

static int load(struct actor *n, struct err *err)
{
	struct sim *w = n->w;
	struct daemon *d = n->daemon;
	static struct catalog_dag dag; /* the clock borrows of it */

	if (daemon_sla_init(d, err) < 0) {
		daemon_sla_release(d);
		return -1;
	}
	dag = (struct catalog_dag){
		.name = w->planned->name, .spec = w->spec, .slas = w->slas.of, .nslas = SIM_OWNERS
	};
	daemon_sla_set(d, &dag);
	return 0;
}

bool slas_ready(struct actor *n)
{
	struct err err = { 0 };

	return !n->w->slas.on || n->daemon->sla || load(n, &err) == 0;
}

struct run_data *slas_run_data(struct actor *n, const struct trun *r)
{
	static struct run_data data[SIM_ACTORS + 1][SIM_RUNS];
	struct run_data *d = &data[n->index][r - n->w->runs];

	*d = (struct run_data){ 0 };
	return d;
}

void slas_taken(struct actor *n, struct active_run *r, const struct run_row *row)
{
	if (!n->daemon->sla)
		return;
	limits_began(n->w, truth_run(n->w, row->id));
	daemon_sla_taken(n->daemon, r, row);
}

void slas_turn(struct actor *n)
{
	struct sim *w = n->w;
	struct daemon *d = n->daemon;
	struct err err = { 0 };

	if (!w->slas.on || !n->planner)
		return;
	n->sla_again_us = w->now_us + SIM_S;
	/* What the planner passes over is no miss. */
	if (planned_due_us(n) <= w->now_us)
		planned_turn(n);
	if (!d->sla && load(n, &err) < 0)
		return;
	d->planner = n->planner;
	planner_decisions(n->planner, &d->portion);
	if (d->portion > 0 || daemon_sla_judge(d, &err) < 0)
		return;
	n->sla_again_us = INT64_MAX;
}

int64_t slas_due_us(const struct actor *n)
{
	struct daemon *d = n->daemon;

	if (!n->w->slas.on || !n->begun || n->leaving || !n->planner)
		return INT64_MAX;
	if (n->sla_again_us != INT64_MAX)
		return n->sla_again_us;
	if (!d->sla || daemon_sla_has_more(d))
		return n->w->now_us;
	int64_t wake = daemon_sla_wake_us(d);
	if (wake == INT64_MAX)
		return wake;
	wake -= n->w->wall_us;
	return wake < n->w->now_us ? n->w->now_us : wake;
}

void slas_changed(struct actor *n, struct active_run *r, const struct change *c)
{
	if (!n->daemon->sla)
		return;
	if (c->kind == CHANGE_RUN && c->run.to == RUN_RUNNING)
		limits_began(n->w, truth_run(n->w, r->id));
	daemon_sla_changed(n->daemon, r, c);
}

void slas_passed(struct actor *n, const struct planner_decision *d)
{
	if (n->daemon->sla)
		daemon_sla_passed(n->daemon, d);
}

void slas_release(struct actor *n)
{
	struct daemon *d = n->daemon;
	struct steered *s, *next;

	daemon_sla_release(d);
	HASH_ITER (hh, d->steered, s, next) {
		HASH_DEL(d->steered, s);
		free(s->name);
		free(s);
	}
	n->sla_again_us = 0;
}

/* ---- what must come of it ------------------------------------------------------------- */

static int64_t deadline(const struct sim *w, int owner, int kind, const struct tick *t)
{
	const struct sla *sla = &w->slas.of[owner].sla;
	int64_t by = t->run_after_us / DAY_US * DAY_US + sla->finish_by_s * SIM_S;

	if (kinds[kind] == SLA_FINISH_WITHIN)
		return t->end_us + sla->finish_within_us;
	if (kind == STARTS)
		return t->run_after_us + sla->start_within_us;
	by = by > t->run_after_us ? by : by + DAY_US;
	/* A warning is of what comes first. */
	int64_t within = t->end_us + sla->finish_within_us;
	return kind == RISK && within < by ? within : by;
}

/* From when on people are warned. */
static int64_t warned_at(const struct sim *w, int owner, const struct tick *t)
{
	int64_t at = deadline(w, owner, RISK, t) - w->slas.of[owner].sla.warn_ahead_us;

	return at > t->run_after_us ? at : t->run_after_us;
}

static bool find_tick(const struct sim *w, int64_t start_us, struct tick *ret)
{
	struct timetable_range range;

	timetable_range_init(&range, &w->spec, w->spec.start_us, w->spec.end_us);
	while (timetable_range_next(&range, ret))
		if (ret->start_us == start_us)
			return true;
	return false;
}

static struct trun *run_of(struct sim *w, const struct tick *t)
{
	for (int i = 0; i < w->nruns; i++)
		if (w->runs[i].dag == w->planned && w->runs[i].start_us == t->start_us &&
			w->runs[i].end_us == t->end_us)
			return &w->runs[i];
	return NULL;
}

bool slas_is_asked(const struct sim *w, const struct trun *r)
{
	bool asked = r->again;

	for (int i = 0; i < w->nasks; i++)
		asked |= w->asks[i].run == r && !w->asks[i].fuse;
	return asked;
}

static struct sim_miss *miss_of(
	struct sim *w, const struct sla_key *key, int *ret_owner, int *ret_kind)
{
	int64_t n = (key->start_us - w->spec.start_us) / w->spec.period_us;

	must(w, strcmp(key->dag, w->planned->name) == 0 && n >= 0 && n < SIM_TICKS,
		"a miss of nothing");
	must(w, !*key->task || strcmp(key->task, w->slas.of[1].task) == 0, "a miss of no task");
	*ret_owner = *key->task != 0;
	for (int k = 0; k < SIM_SLAS; k++)
		if (strcmp(sla_kind_name(kinds[k]), key->kind) == 0) {
			*ret_kind = k;
			return &w->slas.misses[*ret_owner][n][k];
		}
	world_fail(w, "a miss of %s", key->kind);
}

/* On the wall, 0: not yet. */
struct facts {
	int64_t first_us, began_us, done_us;
};

static struct facts facts_of(const struct sim *w, const struct trun *r, int owner)
{
	const struct ttask *t = r ? &r->tasks[w->slas.task] : NULL;

	if (!r)
		return (struct facts){ 0 };
	if (owner == 1)
		return (struct facts){ t->real_us > t->first_us ? t->real_us : t->first_us,
			t->first_us, t->done_us };
	return (struct facts){ r->first_us, r->first_us ? r->running_us : 0, r->done_us };
}

static void found(struct sim *w, const struct actor *n, const struct sla_miss *row)
{
	if (limits_found(w, n, row))
		return;
	int owner, kind;
	struct sim_miss *m = miss_of(w, &row->key, &owner, &kind);
	struct tick t;

	if (row->id == 0) {
		must(w, m->id, "a miss is known, and was not found");
		return;
	}
	say(w, n->name, "commits: %s of interval %" PRId64 " %s is missed", row->key.kind,
		(row->key.start_us - w->spec.start_us) / w->spec.period_us, row->key.task);
	must(w, !m->id, "%s is missed twice", row->key.kind);
	must(w, find_tick(w, row->key.start_us, &t) && t.end_us == row->key.end_us,
		"a miss of no interval");
	must(w, row->deadline_us == deadline(w, owner, kind, &t), "%s has another deadline",
		row->key.kind);
	/* It may fall asleep, or be slow, while it looks. */
	bool over = row->found_us >= row->deadline_us + 60 * SIM_S &&
		    n->awake_us + w->wall_us < row->deadline_us;
	if (kind == RISK)
		must(w, row->found_us >= warned_at(w, owner, &t) && !over,
			"%s is warned of at the wrong time", row->key.task);
	else
		must(w, row->found_us >= row->deadline_us, "%s is missed too early", row->key.kind);
	const struct trun *r = run_of(w, &t);
	struct facts f = facts_of(w, r, owner);
	int64_t came = kind != STARTS ? f.done_us : f.first_us;
	/* It was said to run, by a clock that was set back then, before a task of it started. */
	if (came && kind == STARTS && w->latest_us && f.began_us > came)
		came = f.began_us;
	must(w,
		!r || slas_is_asked(w, r) || !came ||
			came > (kind == RISK ? row->found_us : row->deadline_us),
		"%s of %s is missed, and was in time", row->key.kind, r ? r->name : "");
	m->id = row->id;
}

static void ended(struct sim *w, const struct actor *n, const struct sla_end *end)
{
	if (limits_ended(w, n, end))
		return;
	for (int i = 0; i < SIM_OWNERS * SIM_TICKS * SIM_SLAS; i++) {
		int owner = i / SIM_SLAS / SIM_TICKS, tick = i / SIM_SLAS % SIM_TICKS;
		struct sim_miss *m = &w->slas.misses[owner][tick][i % SIM_SLAS];
		if (m->id != end->id)
			continue;
		say(w, n->name, "commits: %s of interval %d %s: %s",
			sla_kind_name(kinds[i % SIM_SLAS]), tick,
			owner ? w->slas.of[owner].task : "", end->why);
		must(w, !m->ended, "a miss ends twice");
		m->ended = true;
		return;
	}
	world_fail(w, "a miss ends that never was");
}

void slas_commit(struct sim *w, const struct actor *n, const struct store_slas *s)
{
	for (size_t i = 0; i < s->nmisses; i++)
		found(w, n, &s->misses[i]);
	for (size_t i = 0; i < s->nends; i++)
		ended(w, n, &s->ends[i]);
	if (s->nmarks && !w->slas.seen_us)
		w->slas.seen_us = s->marks[0].judged_us;
}

bool slas_is_open(const struct sim *w, const struct incident *it)
{
	static const enum incident_kind of[SIM_SLAS] = { INCIDENT_SLA_FINISH, INCIDENT_SLA_START,
		INCIDENT_SLA_FINISH, INCIDENT_SLA_AT_RISK };

	if (limits_is_open(w, it))
		return true;
	for (int i = 0; i < SIM_TICKS; i++)
		for (int k = 0; k < SIM_SLAS; k++) {
			const struct sim_miss *m = &w->slas.misses[*it->task != 0][i][k];
			if (it->kind == of[k] && m->id && !m->ended)
				return true;
		}
	return false;
}

/* Nothing is left to be judged now. */
bool slas_done(const struct sim *w)
{
	return !w->slas.on || slas_due_us(&w->actors[0]) > w->now_us;
}

static void check_one(struct sim *w, const struct tick *t, int owner, int kind)
{
	int64_t n = (t->start_us - w->spec.start_us) / w->spec.period_us;
	const struct sim_miss *m = &w->slas.misses[owner][n][kind];
	int64_t at = deadline(w, owner, kind, t);
	const struct trun *r = run_of(w, t);
	const char *name = sla_kind_name(kinds[kind]);

	struct facts f = facts_of(w, r, owner);

	/* One of which nothing had to start is as good as started. */
	if (!r || slas_is_asked(w, r) || (f.done_us && !f.first_us))
		return;
	/* When it was there at last, or began to run; 0: never. */
	int64_t came = kind != STARTS ? f.done_us : f.began_us;
	bool late = !came || came > at;
	bool due = at > w->slas.seen_us && at < world_wall(w) - SIM_S;
	must(w, !late || !due || m->id || kind == RISK,
		"%s of %s was missed, and nobody has found it", name, r->name);
	must(w, !m->id || !came || m->ended, "%s of %s has come at last, and is missed still", name,
		r->name);
	must(w, !m->ended || came, "%s of %s has not come, and is missed no more", name, r->name);
}

/* What has failed for good when its time of warning comes will not be done in time. */
static void check_warned(struct sim *w, const struct tick *t, int owner)
{
	int64_t n = (t->start_us - w->spec.start_us) / w->spec.period_us;
	int64_t from = warned_at(w, owner, t), now = world_wall(w);
	const struct trun *r = run_of(w, t);

	if (!r || !run_state_is_final(r->state) || r->ended_us >= from || slas_is_asked(w, r) ||
		facts_of(w, r, owner).done_us || from <= w->slas.seen_us || now < from + SIM_S ||
		now >= deadline(w, owner, RISK, t))
		return;
	must(w, w->slas.misses[owner][n][RISK].id, "%s will be late, and nobody is warned",
		r->name);
}

/* It sleeps until something comes due: nothing is. */
void slas_check(struct sim *w, const struct actor *n)
{
	struct timetable_range range;
	struct tick t;

	if (!w->slas.on || !n->daemon->sla || n->sla_again_us != INT64_MAX ||
		slas_due_us(n) <= w->now_us)
		return;
	limits_check(w, n);
	if (w->latest_us != 0 || !w->slas.seen_us)
		return;
	timetable_range_init(&range, &w->spec, w->spec.start_us, w->spec.end_us);
	while (timetable_range_next(&range, &t))
		for (int i = 0; i < SIM_OWNERS; i++)
			check_warned(w, &t, i);
}

void slas_check_end(struct sim *w)
{
	struct timetable_range range;
	struct tick t;

	if (!w->slas.on || w->latest_us != 0 || !w->slas.seen_us)
		return;
	timetable_range_init(&range, &w->spec, w->spec.start_us, w->spec.end_us);
	while (timetable_range_next(&range, &t))
		for (int k = 0; k < SIM_OWNERS * SIM_SLAS; k++)
			check_one(w, &t, k / SIM_SLAS, k % SIM_SLAS);
	limits_check_end(w);
}
