/* One step: the scheduler decides, the store commits, and only then something happens. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/model.h"
#include "run/driver_impl.h"
#include "run/paths.h"
#include "run/result.h"

enum { TOKENS_PER_BLOCK = 1024 };

int64_t driver_now_us(void)
{
	return clock_now_us();
}

/* ---- ends of attempts ----------------------------------------------------------------- */

static const char *json_text(struct arena *a, json_t *value)
{
	const char *text = json_string_value(value);

	if (text)
		return arena_strdup(a, text);
	if (!value || json_is_null(value))
		return NULL;
	char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	const char *copy = dump ? arena_strdup(a, dump) : NULL;
	free(dump);
	return copy;
}

static void keep_checks(struct driver *d, const struct task *t, int64_t token, json_t *checks)
{
	size_t i;
	json_t *c;

	json_array_foreach(checks, i, c)
	{
		if (d->nchecks == d->checks_cap) {
			size_t cap = d->checks_cap ? d->checks_cap * 2 : 16;
			struct check_row *grown = reallocarray(d->checks, cap, sizeof *grown);
			if (!grown)
				return;
			d->checks = grown;
			d->checks_cap = cap;
		}
		struct arena *a = &d->scratch;
		d->checks[d->nchecks++] = (struct check_row){ .run_id = d->run_id,
			.token = token,
			.task = t->name,
			.name = json_text(a, json_object_get(c, "name")),
			.severity = json_text(a, json_object_get(c, "severity")),
			.status = json_text(a, json_object_get(c, "status")),
			.observed = json_text(a, json_object_get(c, "observed")),
			.expected = json_text(a, json_object_get(c, "expected")),
			.sample = json_text(a, json_object_get(c, "sample")) };
	}
}

/* What of the result is kept with the attempt; owned, NULL when there is nothing to keep. */
static char *result_text(const struct result *r, const struct exec_end *end)
{
	json_t *all = json_object();

	if (json_object_size(r->outputs))
		json_object_set(all, "outputs", r->outputs);
	if (r->checks)
		json_object_set(all, "checks", r->checks);
	if (end->max_rss_bytes)
		json_object_set_new(all, "max_rss_bytes", json_integer(end->max_rss_bytes));
	if (end->cpu_us)
		json_object_set_new(all, "cpu_us", json_integer(end->cpu_us));
	char *text = json_object_size(all) ? json_dumps(all, JSON_COMPACT) : NULL;
	json_decref(all);
	return text;
}

static void feed(
	struct driver *d, const struct task *t, const struct exec_end *end, const struct result *r)
{
	char *result = result_text(r, end), *outputs = NULL;
	struct attempt_end e = { .token = end->token,
		.outcome = r->bad_output ? OUTCOME_FAILED : end->outcome,
		.exit_status = end->exit_status,
		.signal = end->signal,
		.permanent = r->permanent,
		.started_us = end->started_us,
		.ended_us = end->ended_us,
		.error = r->error,
		.result = result };

	if (e.outcome == OUTCOME_SUCCESS && json_object_size(r->outputs)) {
		outputs = json_dumps(r->outputs, JSON_COMPACT);
		e.outputs = outputs;
		json_object_set(d->job.outputs, t->name, r->outputs);
	}
	keep_checks(d, t, end->token, r->checks);
	sched_attempt_ended(d->sched, &e, driver_now_us());
	free(result);
	free(outputs);
}

/* Keep the path until the next commit; NULL, or the path when there is no memory to do so. */
static char *spend(struct driver *d, char *path)
{
	char **grown = reallocarray(d->spent, d->nspent + 1, sizeof *grown);

	if (!grown)
		return path;
	d->spent = grown;
	d->spent[d->nspent++] = path;
	return NULL;
}

void driver_ended(struct driver *d, const struct exec_end *end)
{
	struct task_view view;
	struct result r = { 0 };
	int64_t run_id;
	int task;

	/* A token that is not in flight is an old attempt's: it changes nothing. */
	if (!sched_flight(d->sched, end->token, &run_id, &task) ||
		!sched_task_view(d->sched, run_id, task, &view))
		return;
	const struct task *t = &d->req->dag->tasks[task];
	char *output = paths_output(d->req->home, d->run, t->name, view.tries);
	char *log = paths_log(d->req->home, d->run, t->name, view.tries);
	const struct result_source from = {
		.output_path = output, .log_path = log, .is_operator = t->kind != TASK_RUN
	};
	if (!output || !log || result_read(&from, end, &r, &d->err) < 0) {
		d->failed = true;
		err_nomem(&d->err);
	} else {
		feed(d, t, end, &r);
		if (r.found_output)
			output = spend(d, output);
	}
	result_release(&r);
	free(output);
	free(log);
}

/* ---- acting --------------------------------------------------------------------------- */

/* An attempt that cannot even be described to the executor ends at once; the scheduler hears of
 * it when the present changes are dealt with. */
static void keep_unstarted(struct driver *d, int64_t token, const struct err *why)
{
	struct unstarted *grown = reallocarray(d->unstarted, d->nunstarted + 1, sizeof *grown);

	if (!grown) {
		d->failed = true;
		err_nomem(&d->err);
		return;
	}
	d->unstarted = grown;
	d->unstarted[d->nunstarted++] = (struct unstarted){ token, *why };
}

static void feed_unstarted(struct driver *d)
{
	char text[sizeof(struct err)];

	for (size_t i = 0; i < d->nunstarted; i++) {
		const struct unstarted *u = &d->unstarted[i];
		struct attempt_end e = { .token = u->token,
			.outcome = OUTCOME_FAILED,
			.exit_status = -1,
			.permanent = !err_info(u->why.code)->transient };
		e.started_us = e.ended_us = driver_now_us();
		e.error = err_format(&u->why, text, sizeof text);
		sched_attempt_ended(d->sched, &e, e.ended_us);
	}
	d->nunstarted = 0;
}

static void act_start(struct driver *d, const struct change *c)
{
	const struct job_attempt a = { .task = &d->req->dag->tasks[c->task_index],
		.try = c->attempt.try,
		.token = c->attempt.token,
		.now_us = c->at_us };
	struct err err = { 0 };
	struct job job;

	if (job_build(&d->job, &a, &job, &err) < 0) {
		keep_unstarted(d, c->attempt.token, &err);
		return;
	}
	if (exec_start(d->exec, &job.exec, &err) < 0)
		keep_unstarted(d, c->attempt.token, &err);
	job_release(&job);
}

static void act(struct driver *d, const struct change *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct change *c = &changes[i];
		if (c->kind == CHANGE_START)
			act_start(d, c);
		else if (c->kind == CHANGE_STOP)
			exec_stop(d->exec, c->attempt.token, c->attempt.hard, &d->err);
	}
}

/* ---- the step ------------------------------------------------------------------------- */

static int commit(struct driver *d, const struct change *changes, size_t n, struct err *err)
{
	const struct store_batch batch = { .run_id = d->run_id,
		.epoch = d->epoch,
		.changes = changes,
		.nchanges = n,
		.checks = d->checks,
		.nchecks = d->nchecks };

	if (store_commit(d->store, &batch, err) < 0)
		return -1;
	d->nchecks = 0;
	arena_release(&d->scratch);
	while (d->nspent > 0) {
		unlink(d->spent[--d->nspent]);
		free(d->spent[d->nspent]);
	}
	return 0;
}

static int top_up_tokens(struct driver *d, struct err *err)
{
	int64_t first, want = TOKENS_PER_BLOCK + d->req->jobs;

	if (sched_tokens_left(d->sched) > d->req->jobs)
		return 0;
	if (store_reserve_tokens(d->store, want, &first, err) < 0)
		return -1;
	sched_set_tokens(d->sched, first, first + want);
	return 0;
}

int driver_commit_only(struct driver *d, struct err *err)
{
	size_t n;
	const struct change *changes = sched_changes(d->sched, &n);

	if (n > 0 && commit(d, changes, n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (changes[i].kind == CHANGE_RUN)
			d->progress.state = changes[i].run.to;
	sched_clear_changes(d->sched);
	return 0;
}

/* Decide, commit, act, tell. *ret_n: how many changes there were. */
static int step_once(struct driver *d, size_t *ret_n, struct err *err)
{
	*ret_n = 0;
	if (top_up_tokens(d, err) < 0 || sched_tick(d->sched, driver_now_us(), err) < 0)
		return -1;
	const struct change *changes = sched_changes(d->sched, ret_n);
	if (*ret_n == 0)
		return 0;
	if (commit(d, changes, *ret_n, err) < 0)
		return -1;
	act(d, changes, *ret_n);
	int rc = exec_flush(d->exec, err);
	for (size_t i = 0; i < *ret_n; i++)
		driver_tell_change(d, &changes[i]);
	sched_clear_changes(d->sched);
	feed_unstarted(d);
	return rc < 0 ? -1 : 0;
}

int driver_step(struct driver *d, struct err *err)
{
	size_t n;

	do
		if (step_once(d, &n, err) < 0)
			return -1;
	while (n > 0);
	return 0;
}
