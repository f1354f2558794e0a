/* Incidents: opened once, counted, and made good: a slow model of what the store has to have. */
#include <string.h>

#include "base/err.h"
#include "core/incident.h"
#include "tests/sim/sim.h"

/* Of a DAG, a task of it and a kind of failure: the runs whose intervals went wrong in it, and how
 * often since it opened. */
static struct wrong *wrong_of(struct sim *w, const struct trun *r, int task, bool lost)
{
	return &w->wrong[r->dag - w->dags][task][lost];
}

static void open_one(struct sim *w, const struct trun *r, int task, bool lost)
{
	struct wrong *g = wrong_of(w, r, task, lost);

	if (!g->runs)
		outbox_expect(w, r->dag, task, lost, false);
	g->count++;
	g->runs |= UINT32_C(1) << (r - w->runs);
}

/* Success of an interval makes good what went wrong in it, and before; where the schedule makes up
 * for every interval, only in it. */
static void make_good(struct sim *w, const struct trun *r, int task, bool lost)
{
	const struct schedule_spec *schedule = r->dag->dag->schedule;
	bool alone = schedule && schedule->catchup == TIMETABLE_CATCHUP_ALL;
	struct wrong *g = wrong_of(w, r, task, lost);
	bool was = g->runs;

	for (int i = 0; i < w->nruns; i++)
		if (&w->runs[i] == r || (!alone && w->runs[i].end_us <= r->end_us))
			g->runs &= ~(UINT32_C(1) << i);
	if (!g->runs)
		g->count = 0;
	if (was && !g->runs)
		outbox_expect(w, r->dag, task, lost, true);
}

void incidents_note(struct sim *w, const struct trun *r, int row, const struct change *c)
{
	int task = row_def(r, row)->index;
	bool instance = row >= SIM_TASKS;

	if (c->state.to == TASK_FAILED && c->reason != REASON_MARKED &&
		c->reason != REASON_INSTANCES_FAILED)
		open_one(w, r, task, c->reason == REASON_LOST_TOO_OFTEN);
	if (!instance && (c->state.to == TASK_SUCCESS || c->reason == REASON_SKIPPED_BY_REQUEST)) {
		make_good(w, r, task, false);
		make_good(w, r, task, true);
	}
}

static const struct incident *find(
	const struct store_result *rows, const struct sim_dag *d, int task, bool lost)
{
	const struct incident *found = NULL;

	for (size_t i = 0; i < rows->n; i++) {
		const struct incident *it = &rows->incidents[i];
		if (strcmp(it->dag, d->name) == 0 &&
			strcmp(it->task, d->dag->tasks[task].name) == 0 &&
			it->kind == (lost ? INCIDENT_LOST_TOO_OFTEN : INCIDENT_TASK_FAILED))
			found = it;
	}
	return found;
}

static size_t check_dag(struct sim *w, const struct store_result *rows, int dag)
{
	const struct sim_dag *d = &w->dags[dag];
	size_t n = 0;

	for (int task = 0; task < d->dag->ntasks; task++)
		for (int lost = 0; lost < 2; lost++) {
			const struct wrong *g = &w->wrong[dag][task][lost];
			const struct incident *it = find(rows, d, task, lost);
			const char *name = d->dag->tasks[task].name;
			must(w, !g->runs || it, "%s %s went wrong, and there is no incident",
				d->name, name);
			must(w, g->runs || !it, "%s %s is well, and its incident is open", d->name,
				name);
			must(w, !it || it->count == g->count,
				"%s %s went wrong %d times, and its incident says %d", d->name,
				name, g->count, (int)it->count);
			n += it != NULL;
		}
	return n;
}

void incidents_check_end(struct sim *w)
{
	const struct incident_filter open = { 0 };
	struct store_result rows = { 0 };
	struct err err = { 0 };
	size_t n = 0;

	must(w, store_incidents(w->base, &open, &rows, &err) == 0, "%s", err.msg);
	for (int i = 0; i < w->ndags; i++)
		n += check_dag(w, &rows, i);
	for (size_t i = 0; i < rows.n; i++) {
		const struct incident *it = &rows.incidents[i];
		if (it->kind >= INCIDENT_SLA_FINISH && it->kind <= INCIDENT_SLA_AT_RISK) {
			n++;
			must(w, slas_is_open(w, it), "nothing is late, and its incident is open");
		}
		if (it->kind != INCIDENT_BREAKER_OPEN)
			continue;
		n++;
		must(w, fuses_find(w, it->task)->state != BREAKER_CLOSED,
			"breaker %s is closed, and its incident is open", it->task);
	}
	must(w, n == rows.n, "there are %zu incidents, not %zu", rows.n, n);
	store_result_release(&rows);
}
