/* What runs, and whether it is in time: limits, and runs at risk. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "core/model.h"
#include "run/daemon_sla.h"

/* Who may be at risk is looked at when the estimate can first be over the deadline, but now and
 * then: failures cost time at once. */
#define LOOK_LEAST_US US_PER_SECOND
#define LOOK_MOST_US US_PER_MINUTE
enum { FORMER_RUNS_MAX = 100 };

/* ---- the list ------------------------------------------------------------------------- */

void daemon_sla_watch_free(struct daemon_sla *sla, struct sla_watch *w)
{
	HASH_DEL(sla->watches, w);
	free(w->key);
	free(w->dag);
	free(w->task);
	free(w);
}

static char *watch_key(const struct sla_watch *w)
{
	char *key;

	if (asprintf(&key, "%s %s %s %lld %lld %lld %lld %lld", sla_kind_name(w->kind), w->dag,
		    w->task ? w->task : "", (long long)w->tick.start_us, (long long)w->tick.end_us,
		    (long long)w->run_id, (long long)w->token, (long long)w->since_us) < 0)
		return NULL;
	return key;
}

/* NULL: no memory, or it is there already (*ret_known). */
static struct sla_watch *copy_watch(
	const struct daemon_sla *sla, const struct sla_watch *w, bool *ret_known)
{
	char *key = watch_key(w);
	struct sla_watch *copy = NULL;

	if (key)
		HASH_FIND_STR(sla->watches, key, copy);
	*ret_known = copy != NULL;
	copy = key && !copy ? malloc(sizeof *copy) : NULL;
	if (!copy) {
		free(key);
		return NULL;
	}
	*copy = *w;
	copy->key = key;
	copy->dag = strdup(w->dag);
	copy->task = w->task ? strdup(w->task) : NULL;
	return copy;
}

int daemon_sla_watch(struct daemon *d, const struct sla_watch *w, int64_t at_us)
{
	struct daemon_sla *sla = d->sla;
	bool known = false;
	struct sla_watch *copy = at_us == INT64_MAX ? NULL : copy_watch(sla, w, &known);

	if (!copy)
		return known || at_us == INT64_MAX ? 0 : -1;
	HASH_ADD_KEYPTR(hh, sla->watches, copy->key, strlen(copy->key), copy);
	if (copy->dag && (!w->task || copy->task) &&
		heap_push(&sla->timers, at_us, (uintptr_t)copy) == 0) {
		/* A step of the engine sets no timer of ours. */
		if (heap_peek(&sla->timers)->id == (uintptr_t)copy)
			event_active(d->on_turn, 0, 0);
		return 0;
	}
	daemon_sla_watch_free(sla, copy);
	return -1;
}

/* ---- limits of what runs -------------------------------------------------------------- */

static void watch_limits(struct daemon *d, struct active_run *r, const struct task *t,
	int64_t token, int64_t since_us)
{
	static const enum sla_kind limits[] = { SLA_RUNS_AT_MOST, SLA_SLOWER_THAN };
	const struct sla *s = t ? t->sla : r->dag->sla;
	struct sla_watch w = { .dag = (char *)r->dag->name,
		.task = t ? (char *)t->name : NULL,
		.run_id = r->id,
		.token = token,
		.since_us = since_us,
		.tick = {
			.start_us = r->job.interval_start_us, .end_us = r->job.interval_end_us } };

	for (size_t i = 0; s && i < sizeof limits / sizeof *limits; i++) {
		if (!sla_has(s, limits[i]))
			continue;
		int64_t typical = limits[i] == SLA_SLOWER_THAN
					  ? daemon_sla_typical_us(d, r->dag, t ? t->index : -1)
					  : 0;
		int64_t limit = sla_limit_us(s, limits[i], typical);
		if (limit > INT64_MAX - since_us)
			continue;
		w.sla = *s;
		w.kind = limits[i];
		w.deadline_us = since_us + limit;
		daemon_sla_watch(d, &w, w.deadline_us);
	}
}

/* Of a DAG without a schedule: deadlines count from when the run was asked for. Those that come
 * after an instant. */
struct asked_for {
	const struct dag *dag;
	int64_t at_us, start_us, end_us;
	int64_t after_us;
};

static void watch_deadlines(struct daemon *d, const struct asked_for *run, const struct task *t)
{
	static const enum sla_kind kinds[] = { SLA_FINISH_WITHIN, SLA_START_WITHIN, SLA_AT_RISK };
	const struct sla *s = t ? t->sla : run->dag->sla;
	int64_t asked = run->at_us;
	struct sla_watch w = { .dag = (char *)run->dag->name,
		.task = t ? (char *)t->name : NULL,
		.tick = {
			.run_after_us = asked, .start_us = run->start_us, .end_us = run->end_us } };
	const struct tick from_asked = {
		.run_after_us = asked, .start_us = asked, .end_us = asked
	};
	const struct schedule_spec none = { .kind = TIMETABLE_MANUAL };

	for (size_t i = 0; s && i < sizeof kinds / sizeof *kinds; i++) {
		if (!sla_has(s, kinds[i]))
			continue;
		w.sla = *s;
		w.kind = kinds[i];
		w.deadline_us = sla_deadline_us(s, kinds[i], &none, &from_asked);
		if (w.deadline_us > run->after_us)
			daemon_sla_watch(d, &w, sla_judged_at_us(s, kinds[i], &none, &from_asked));
	}
}

static bool has_ticks(const struct dag *dag)
{
	return dag->schedule && dag->schedule->kind != TIMETABLE_MANUAL;
}

static bool has_slas(const struct dag *dag)
{
	bool any = dag->sla != NULL;

	for (int i = 0; i < dag->ntasks && !any; i++)
		any = dag->tasks[i].sla != NULL;
	return any;
}

/* Attempts that go on after a restart. */
static void watch_flights(struct daemon *d, struct active_run *r)
{
	struct store_result flights;

	if (store_attempts_in_flight(d->engine.store, r->id, &flights, NULL) < 0)
		return;
	for (size_t i = 0; i < flights.n; i++) {
		const struct attempt_row *a = &flights.attempts[i];
		const struct task *t = dag_find(r->dag, a->task);
		if (t && t->sla)
			watch_limits(d, r, t, a->token, a->queued_us);
	}
	store_result_release(&flights);
}

/* When the run began to run: again, if it was done once before. */
static int64_t began_us(struct daemon *d, const struct run_row *row)
{
	struct store_result events;
	int64_t at = row->started_us;

	if (store_events(d->engine.store, row->id, NULL, &events, NULL) < 0)
		return at;
	for (size_t i = 0; i < events.n; i++)
		if (!events.events[i].task && strcmp(events.events[i].to, "running") == 0)
			at = events.events[i].at_us;
	store_result_release(&events);
	return at;
}

static void watch_all(
	struct daemon *d, const struct dag *dag, const struct run_row *row, int64_t after_us)
{
	const struct asked_for run = { dag, row->created_us, row->interval_start_us,
		row->interval_end_us, after_us };

	for (int i = -1; i < dag->ntasks; i++)
		watch_deadlines(d, &run, i < 0 ? NULL : &dag->tasks[i]);
}

/* Of runs that failed before this daemon began: their deadlines may still come, or have come while
 * none ran. */
static int watch_former(struct daemon *d, const struct catalog_dag *c, struct err *err)
{
	const struct run_filter f = { .dag = c->name, .state = -1, .limit = FORMER_RUNS_MAX };
	struct sla_dag *s = daemon_sla_dag(d, c->name);
	int64_t after = s && s->has_mark ? s->mark.judged_us : clock_now_us();
	const struct config *config;
	struct store_result runs;

	if (store_runs(d->engine.store, &f, &runs, err) < 0)
		return -1;
	struct dag *dag = runs.n ? catalog_load(d->catalog, c, &config, NULL) : NULL;
	for (size_t i = 0; dag && i < runs.n; i++)
		if (runs.runs[i].state == RUN_FAILED || runs.runs[i].state == RUN_CANCELLED)
			watch_all(d, dag, &runs.runs[i], after);
	dag_unref(dag);
	store_result_release(&runs);
	return 0;
}

int daemon_sla_watch_former(struct daemon *d, struct err *err)
{
	for (struct catalog_dag *c = NULL; (c = catalog_next(d->catalog, c));)
		if (c->nslas && c->spec.kind == TIMETABLE_MANUAL && watch_former(d, c, err) < 0)
			return -1;
	return 0;
}

void daemon_sla_taken(struct daemon *d, struct active_run *r, const struct run_row *row)
{
	struct run_data *data = r->data;

	if (!has_slas(r->dag))
		return;
	daemon_sla_made(d, r);
	if (!has_ticks(r->dag))
		watch_all(d, r->dag, row, 0);
	if (row->state != RUN_RUNNING)
		return;
	data->since_us = began_us(d, row);
	watch_limits(d, r, NULL, 0, data->since_us);
	watch_flights(d, r);
}

void daemon_sla_began(struct daemon *d, struct active_run *r, const struct change *c)
{
	struct run_data *data = r->data;

	if (c->kind == CHANGE_RUN && c->run.to == RUN_RUNNING && data) {
		struct sla_dag *s = has_slas(r->dag) ? daemon_sla_dag(d, r->dag->name) : NULL;
		if (s) {
			free(s->typical);
			s->typical = NULL;
		}
		data->since_us = c->at_us;
		watch_limits(d, r, NULL, 0, c->at_us);
	} else if (c->kind == CHANGE_START && c->task_index >= 0) {
		watch_limits(d, r, &r->dag->tasks[c->task_index], c->attempt.token, c->at_us);
	}
}

/* ---- when a time has come ------------------------------------------------------------- */

static bool still_runs(struct daemon *d, const struct sla_watch *w)
{
	const struct active_run *r = engine_find(&d->engine, w->run_id);
	const struct run_data *data = r ? r->data : NULL;
	int64_t run_id;
	int task;

	if (w->token)
		return sched_flight(d->engine.sched, w->token, &run_id, &task);
	return data && r->state == RUN_RUNNING && data->since_us == w->since_us;
}

static struct sla_found found_by(const struct sla_watch *w, const char *detail)
{
	return (struct sla_found){ .dag = w->dag,
		.task = w->task,
		.sla = &w->sla,
		.kind = w->kind,
		.tick = w->tick,
		.deadline_us = w->deadline_us,
		.detail = detail };
}

static int run_limit(struct daemon *d, const struct sla_watch *w, struct err *err)
{
	char ran[32], detail[120];

	if (!still_runs(d, w))
		return 0;
	units_format_elapsed(w->deadline_us - w->since_us, ran, sizeof ran);
	if (w->kind == SLA_RUNS_AT_MOST)
		snprintf(detail, sizeof detail, "it runs for more than %s", ran);
	else
		snprintf(detail, sizeof detail, "it runs for more than %s, %g times as usual", ran,
			w->sla.slower_than);
	const struct sla_found f = found_by(w, detail);
	return daemon_sla_found(d, &f, err);
}

static struct sla_key key_of(const struct sla_watch *w)
{
	return (struct sla_key){ .dag = w->dag,
		.task = w->task ? w->task : "",
		.kind = sla_kind_name(w->kind),
		.start_us = w->tick.start_us,
		.end_us = w->tick.end_us };
}

static int run_deadline(struct daemon *d, const struct sla_watch *w, struct err *err)
{
	const struct sla_key key = key_of(w);
	struct sla_look look;

	if (daemon_sla_look(d, &key, &look, err) < 0)
		return -1;
	if (sla_judge(w->kind, w->deadline_us, &look.facts, clock_now_us()) != SLA_MISSED)
		return 0;
	struct sla_found f = found_by(w, look.detail);
	f.reached_us = sla_reached_us(w->kind, &look.facts);
	return daemon_sla_found(d, &f, err);
}

/* When it is looked at again; INT64_MAX: never. */
static int run_risk(
	struct daemon *d, const struct sla_watch *w, int64_t *ret_again_us, struct err *err)
{
	const struct sla_key key = key_of(w);
	int64_t now = clock_now_us();
	struct sla_outlook outlook;
	struct sla_look look;

	*ret_again_us = INT64_MAX;
	if (now >= w->deadline_us)
		return 0;
	if (daemon_sla_look(d, &key, &look, err) < 0)
		return -1;
	if (look.facts.done || look.facts.passed_over)
		return 0;
	/* Of what does not go on by itself no estimate is worth anything. */
	const struct steered *s = daemon_steer(d, w->dag);
	bool paused = s && s->paused, stuck = !look.exists || look.final || paused;
	if (!stuck && daemon_sla_foresee(d, w, &outlook, err) < 0)
		return -1;
	if (!stuck && outlook.known && outlook.at_us <= w->deadline_us) {
		int64_t slack = w->deadline_us - outlook.at_us;
		*ret_again_us = now + (slack < LOOK_LEAST_US         ? LOOK_LEAST_US
					      : slack > LOOK_MOST_US ? LOOK_MOST_US
								     : slack);
		return 0;
	}
	if (paused && look.exists && !look.final)
		snprintf(look.detail, sizeof look.detail, "the DAG is paused");
	const struct sla_found f = found_by(w, stuck ? look.detail : outlook.detail);
	return daemon_sla_found(d, &f, err);
}

int daemon_sla_risk(struct daemon *d, const struct sla_due *due, struct err *err)
{
	const struct sla_watch w = { .dag = (char *)due->dag,
		.task = (char *)due->task,
		.sla = *due->sla,
		.kind = SLA_AT_RISK,
		.tick = due->tick,
		.deadline_us = due->deadline_us };
	const struct sla_key key = key_of(&w);
	struct sla_dag *s = daemon_sla_dag(d, due->dag);
	int64_t now = clock_now_us();

	if (!s)
		return err_nomem(err);
	if (due->deadline_us <= now || daemon_sla_is_known(s, &key))
		return 0;
	return daemon_sla_watch(d, &w, now) < 0 ? err_nomem(err) : 0;
}

static int run_watch(
	struct daemon *d, const struct sla_watch *w, int64_t *ret_again_us, struct err *err)
{
	*ret_again_us = INT64_MAX;
	if (w->kind == SLA_AT_RISK)
		return run_risk(d, w, ret_again_us, err);
	return w->run_id ? run_limit(d, w, err) : run_deadline(d, w, err);
}

int daemon_sla_run_watches(struct daemon *d, struct err *err)
{
	struct daemon_sla *sla = d->sla;
	const struct heap_entry *e;
	int64_t again;

	while ((e = heap_peek(&sla->timers)) && e->key <= clock_now_us()) {
		struct sla_watch *w = (struct sla_watch *)(uintptr_t)e->id;
		/* What cannot be looked at now stays the first. */
		if (run_watch(d, w, &again, err) < 0)
			return -1;
		heap_pop(&sla->timers, &(struct heap_entry){ 0 });
		if (again == INT64_MAX || heap_push(&sla->timers, again, (uintptr_t)w) < 0)
			daemon_sla_watch_free(sla, w);
	}
	return 0;
}
