/* What the store has of the runs that SLAs are about. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/units.h"
#include "core/foresight.h"
#include "core/model.h"
#include "run/daemon_sla.h"
#include "run/name.h"

/* Of a DAG with many tasks fewer runs are looked at. */
enum { TIMES_MAX = 20000, NAMES_SHOWN = 3 };

/* ---- how it stands -------------------------------------------------------------------- */

static void say_no_run(struct daemon *d, const char *dag, struct sla_look *ret)
{
	const struct steered *s = daemon_steer(d, dag);
	struct planner_view v;

	planner_view(d->planner, dag, &v);
	if (s && s->paused)
		snprintf(ret->detail, sizeof ret->detail, "no run was made: the DAG is paused");
	else if (s && s->draining)
		snprintf(ret->detail, sizeof ret->detail, "no run was made: the DAG drains");
	else if (v.waiting > 0)
		snprintf(ret->detail, sizeof ret->detail,
			"no run was made yet: it waits for an earlier one to end");
	else
		snprintf(ret->detail, sizeof ret->detail, "no run was made");
}

/* Names of the tasks in a state, a few of them. */
static void add_names(
	struct buf *b, const struct store_result *tasks, enum task_state state, const char *before)
{
	int n = 0;

	for (size_t i = 0; i < tasks->n; i++) {
		const struct task_row *t = &tasks->tasks[i];
		char label[RUN_LABEL_MAX];
		if (t->state != state || t->reason == REASON_INSTANCES_FAILED)
			continue;
		if (n < NAMES_SHOWN)
			buf_addf(b, "%s%s", n ? ", " : before,
				run_task_label(t->name, t->map_index, label));
		n++;
	}
	if (n > NAMES_SHOWN)
		buf_addf(b, " and %d more", n - NAMES_SHOWN);
}

static void say_run(
	const struct run_row *row, const struct store_result *tasks, struct sla_look *ret)
{
	struct buf b;

	buf_init(&b, 4096);
	if (row->state == RUN_QUEUED)
		buf_addstr(&b, "the run has not started");
	else if (row->state == RUN_FAILED)
		add_names(&b, tasks, TASK_FAILED, "the run failed: ");
	else if (row->state == RUN_CANCELLED)
		buf_addstr(&b, "the run was cancelled");
	else if (row->state == RUN_RUNNING)
		add_names(&b, tasks, TASK_RUNNING, "it still runs: ");
	if (!b.len && row->state == RUN_RUNNING)
		add_names(&b, tasks, TASK_UP_FOR_RETRY, "it waits to try again: ");
	if (!b.len && row->state == RUN_RUNNING)
		add_names(&b, tasks, TASK_HELD, "it is held: ");
	if (!b.len)
		buf_addf(&b, "the run is %s", run_state_name(row->state));
	snprintf(ret->detail, sizeof ret->detail, "%s", b.data);
	buf_release(&b);
}

static int first_start(struct daemon *d, const struct sla_look *look, const char *task,
	int64_t *ret_us, struct err *err)
{
	struct store_result r;

	if (store_attempts(d->engine.store, look->run_id, task, &r, err) < 0)
		return -1;
	if (r.n)
		*ret_us = r.attempts[0].started_us ? r.attempts[0].started_us
						   : r.attempts[0].queued_us;
	store_result_release(&r);
	return 0;
}

static int look_at_task(struct daemon *d, const struct store_result *tasks, const char *name,
	struct sla_look *ret, struct err *err)
{
	const struct task_row *t = NULL;
	bool begun = false;

	/* The task as a whole comes first, its instances behind it. */
	for (size_t i = 0; i < tasks->n; i++) {
		if (strcmp(tasks->tasks[i].name, name) != 0)
			continue;
		t = t ? t : &tasks->tasks[i];
		begun = begun || tasks->tasks[i].tries > 0;
	}
	if (!t) {
		snprintf(ret->detail, sizeof ret->detail, "the run does not have the task");
		return 0;
	}
	ret->facts.done = t->state == TASK_SUCCESS || t->state == TASK_SKIPPED;
	ret->facts.ended_us = task_state_is_final(t->state) ? t->changed_us : 0;
	ret->facts.started_us = 0;
	if (begun && first_start(d, ret, name, &ret->facts.started_us, err) < 0)
		return -1;
	if (ret->facts.done && !ret->facts.started_us)
		ret->facts.started_us = t->changed_us;
	ret->final = task_state_is_final(t->state);
	snprintf(ret->detail, sizeof ret->detail, "the task is %s: %s",
		t->state == TASK_NONE ? "waiting" : task_state_name(t->state),
		t->state == TASK_NONE ? "what it needs is not done" : reason_text(t->reason));
	return 0;
}

/* A run has started when something of it has: not one that was cancelled before. */
static int64_t run_started_us(const struct run_row *row, const struct store_result *tasks)
{
	for (size_t i = 0; i < tasks->n; i++)
		if (tasks->tasks[i].tries > 0)
			return row->started_us;
	return row->state == RUN_SUCCESS ? row->started_us : 0;
}

/* Will the schedule never make a run of it? */
static bool is_passed_over(const struct daemon *d, const char *dag, int64_t start_us)
{
	struct planner_view v;

	planner_view(d->planner, dag, &v);
	return v.known && (!v.has_next || start_us < v.next.start_us);
}

static int look_at_run(struct daemon *d, const struct run_row *row, const char *task,
	struct sla_look *ret, struct err *err)
{
	struct store_result tasks;

	ret->exists = true;
	ret->run_id = row->id;
	ret->state = row->state;
	ret->final = run_state_is_final(row->state);
	ret->facts.ended_us = row->ended_us;
	ret->facts.done = row->state == RUN_SUCCESS;
	if (store_tasks(d->engine.store, row->id, &tasks, err) < 0)
		return -1;
	ret->facts.started_us = run_started_us(row, &tasks);
	int rc = 0;
	if (*task)
		rc = look_at_task(d, &tasks, task, ret, err);
	else
		say_run(row, &tasks, ret);
	store_result_release(&tasks);
	return rc;
}

int daemon_sla_look(
	struct daemon *d, const struct sla_key *key, struct sla_look *ret, struct err *err)
{
	const struct run_key run = { key->dag, key->start_us, key->end_us };
	struct store_result found;

	*ret = (struct sla_look){ 0 };
	if (store_run_by_key(d->engine.store, &run, &found, err) < 0)
		return -1;
	int rc = 0;
	if (found.n) {
		rc = look_at_run(d, &found.runs[0], key->task, ret, err);
	} else {
		ret->facts.passed_over = is_passed_over(d, key->dag, key->start_us);
		say_no_run(d, key->dag, ret);
	}
	store_result_release(&found);
	return rc;
}

/* ---- history -------------------------------------------------------------------------- */

/* Fill medians in from rows that are sorted by task and duration. */
static void take_medians(
	const struct dag *dag, const struct store_result *times, struct sla_typical *typical)
{
	for (size_t i = 0, n; i < times->n; i += n) {
		const struct task_time_row *first = &times->times[i];
		for (n = 1; i + n < times->n && strcmp(first[n].task, first->task) == 0;)
			n++;
		const struct task *t = dag_find(dag, first->task);
		if (!t)
			continue;
		int64_t low = first[(n - 1) / 2].took_us, high = first[n / 2].took_us;
		typical[t->index] = (struct sla_typical){ low + (high - low) / 2, (int)n };
	}
}

/* Medians of a DAG's tasks, read when a run of it starts (daemon_sla_changed forgets them). */
static const struct sla_typical *typical_of(struct daemon *d, const struct dag *dag)
{
	struct sla_dag *s = daemon_sla_dag(d, dag->name);
	struct store_result times;

	if (!s)
		return NULL;
	if (s->typical && strcmp(s->version, dag->hash) == 0)
		return s->typical;
	free(s->typical);
	s->typical = calloc((size_t)dag->ntasks + 1, sizeof *s->typical);
	memcpy(s->version, dag->hash, sizeof s->version);
	int n = SLA_HISTORY * dag->ntasks <= TIMES_MAX ? SLA_HISTORY
						       : 1 + TIMES_MAX / (dag->ntasks + 1);
	if (!s->typical || store_task_times(d->engine.store, dag->name, n, &times, NULL) < 0)
		return s->typical;
	take_medians(dag, &times, s->typical);
	store_result_release(&times);
	return s->typical;
}

static int64_t typical_run_us(struct daemon *d, const char *dag)
{
	const struct run_filter f = { .dag = dag, .state = RUN_SUCCESS, .limit = SLA_HISTORY };
	struct store_result runs;
	int64_t us[SLA_HISTORY];
	size_t n = 0;

	if (store_runs(d->engine.store, &f, &runs, NULL) < 0)
		return 0;
	for (size_t i = 0; i < runs.n && n < SLA_HISTORY; i++)
		if (runs.runs[i].started_us && runs.runs[i].ended_us)
			us[n++] = runs.runs[i].ended_us - runs.runs[i].started_us;
	store_result_release(&runs);
	return sla_median_us(us, n);
}

int64_t daemon_sla_typical_us(struct daemon *d, const struct dag *dag, int index)
{
	if (index < 0)
		return typical_run_us(d, dag->name);
	const struct sla_typical *typical = typical_of(d, dag);
	return typical && typical[index].n >= SLA_HISTORY_LEAST ? typical[index].us : 0;
}

/* ---- what is to be expected ----------------------------------------------------------- */

static void fill_tasks(struct daemon *d, const struct dag *dag, const struct store_result *rows,
	struct foresight_task *ret)
{
	const struct sla_typical *typical = typical_of(d, dag);

	for (int i = 0; typical && i < dag->ntasks; i++)
		ret[i].typical_us = typical[i].us;
	for (size_t i = 0; i < rows->n; i++) {
		const struct task_row *row = &rows->tasks[i];
		const struct task *t = row->map_index < 0 ? dag_find(dag, row->name) : NULL;
		if (!t)
			continue;
		ret[t->index].state = row->state;
		ret[t->index].since_us = row->state == TASK_RUNNING ? row->changed_us : 0;
		ret[t->index].due_us = row->due_us;
	}
}

static void say_outlook(const struct dag *dag, const struct foresight_task *tasks,
	const struct foresight *f, const struct sla_watch *w, struct sla_outlook *ret)
{
	const char *task = f->task >= 0 ? dag->tasks[f->task].name : NULL;
	char by[32], of[32];

	if (!f->known) {
		snprintf(ret->detail, sizeof ret->detail,
			"it is not known how long the rest takes%s%s", task ? "; next is " : "",
			task ? task : "");
		return;
	}
	units_format_elapsed(ret->at_us - w->deadline_us, by, sizeof by);
	if (f->over_us)
		snprintf(ret->detail, sizeof ret->detail,
			"about %s late: %s runs %s longer than usual", by, task,
			units_format_elapsed(f->over_us, of, sizeof of));
	else
		snprintf(ret->detail, sizeof ret->detail, "about %s late: %s usually takes %s", by,
			task, units_format_elapsed(tasks[f->task].typical_us, of, sizeof of));
}

static int foresee(struct daemon *d, const struct dag *dag, const struct sla_watch *w,
	const struct store_result *rows, struct sla_outlook *ret)
{
	struct foresight_task *tasks = calloc((size_t)dag->ntasks + 1, sizeof *tasks);
	const struct task *target = w->task ? dag_find(dag, w->task) : NULL;
	int64_t now = clock_now_us();
	struct foresight f;

	if (!tasks)
		return -1;
	fill_tasks(d, dag, rows, tasks);
	int rc = foresight_of(dag, tasks, target ? target->index : -1, now, &f);
	if (rc == 0) {
		ret->known = f.known || f.task < 0; /* nothing is left */
		ret->at_us = now + f.left_us;
		say_outlook(dag, tasks, &f, w, ret);
	}
	free(tasks);
	return rc;
}

int daemon_sla_foresee(
	struct daemon *d, const struct sla_watch *w, struct sla_outlook *ret, struct err *err)
{
	const struct run_key key = { w->dag, w->tick.start_us, w->tick.end_us };
	const struct catalog_dag *c = catalog_find(d->catalog, w->dag);
	struct store_result run, tasks = { 0 };
	const struct config *config;

	*ret = (struct sla_outlook){ .at_us = INT64_MAX };
	if (store_run_by_key(d->engine.store, &key, &run, err) < 0)
		return -1;
	const struct active_run *r = run.n ? engine_find(&d->engine, run.runs[0].id) : NULL;
	struct dag *dag = r   ? dag_ref(r->dag)
			  : c ? catalog_load(d->catalog, c, &config, NULL)
			      : NULL;
	int rc = run.n ? store_tasks(d->engine.store, run.runs[0].id, &tasks, err) : 0;
	if (rc == 0 && dag && foresee(d, dag, w, &tasks, ret) < 0)
		rc = err_nomem(err);
	if (rc == 0 && !dag)
		snprintf(ret->detail, sizeof ret->detail, "its DAG file cannot be loaded");
	dag_unref(dag);
	store_result_release(&tasks);
	store_result_release(&run);
	return rc;
}
