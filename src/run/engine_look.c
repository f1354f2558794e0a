/* Looks: the processes that find out for tasks that wait, and what they found. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "core/model.h"
#include "operators/operators.h"
#include "run/control_wait.h"
#include "run/engine_impl.h"
#include "run/paths.h"
#include "run/result.h"
#include "run/secrets.h"

#define END_US (500 * US_PER_MS)

/* ---- beginning ------------------------------------------------------------------------ */

static char *log_of(
	const struct engine *e, const struct active_run *run, const struct job_attempt *a)
{
	return paths_look_log(e->config.home, run->name, a->task->name);
}

static char *output_of(
	const struct engine *e, const struct active_run *run, const struct job_attempt *a)
{
	return paths_look_output(e->config.home, run->name, a->task->name);
}

int engine_look_build(const struct engine *e, const struct active_run *run,
	const struct job_attempt *a, struct job *ret, struct err *err)
{
	char *log = log_of(e, run, a), *output = output_of(e, run, a);
	int rc = log && output ? job_build(&run->job, a, ret, err) : err_nomem(err);

	/* Of all looks the last one's is kept. What a former process began may still write. */
	if (rc == 0) {
		unlink(log);
		unlink(output);
	}
	free(log);
	free(output);
	return rc;
}

/* ---- what was found, until the attempt tells ------------------------------------------ */

static void remove_found(struct engine *e, size_t i)
{
	json_decref(e->found[i].outputs);
	e->found[i] = e->found[--e->nfound];
}

void engine_forget_looks(struct engine *e, const struct active_run *run)
{
	for (size_t i = e->nfound; i-- > 0;)
		if (!run || e->found[i].run_id == run->id)
			remove_found(e, i);
}

static int find_found(const struct engine *e, int64_t run_id, int task)
{
	for (size_t i = 0; i < e->nfound; i++)
		if (e->found[i].run_id == run_id && e->found[i].task == task)
			return (int)i;
	return -1;
}

static void keep_found(struct engine *e, const struct look_found *found)
{
	int old = find_found(e, found->run_id, found->task);
	struct look_found *grown = reallocarray(e->found, e->nfound + 1, sizeof *grown);

	if (!grown) {
		e->failed = true;
		err_nomem(&e->err);
		return;
	}
	e->found = grown;
	if (old >= 0)
		remove_found(e, (size_t)old);
	e->found[e->nfound] = *found;
	json_incref(e->found[e->nfound++].outputs);
}

static void take_log(
	const struct engine *e, const struct active_run *run, const struct job_attempt *a)
{
	char *from = log_of(e, run, a);
	char *to = paths_log(e->config.home, run->name, a->task->name, -1, a->try);

	/* Without it the attempt has none. */
	if (from && to)
		rename(from, to);
	free(from);
	free(to);
}

int engine_take_found(struct engine *e, const struct active_run *run, const struct job_attempt *a,
	struct control_end *ret, struct err *err)
{
	int i = find_found(e, run->id, a->task->index);

	if (i < 0)
		return 1;
	take_log(e, run, a);
	*ret = (struct control_end){ .outputs = json_incref(e->found[i].outputs) };
	*err = e->found[i].why;
	remove_found(e, (size_t)i);
	return 0;
}

/* ---- ends ----------------------------------------------------------------------------- */

struct ended {
	struct active_run *run;
	struct job_attempt attempt; /* whose look it was */
	struct sched_look_end end;
	struct look_found found;
};

/* Whose look ended; false: of none. Of a run that is gone: `run` is NULL. */
static bool find_ended(struct engine *e, struct ended *d)
{
	if (!sched_look(e->sched, d->end.token, &d->found.run_id, &d->found.task))
		return false;
	d->run = d->found.run_id ? engine_find(e, d->found.run_id) : NULL;
	/* Tasks that wait are not mapped: their number in the run is their index. */
	if (d->run)
		d->attempt = (struct job_attempt){ .task = &d->run->dag->tasks[d->found.task],
			.try = 1,
			.now_us = clock_now_us() };
	return true;
}

/* How it waits on. */
static void say_wait(struct engine *e, const struct ended *d, struct control_found *ret)
{
	const struct control_look look = { .job = &d->run->job,
		.attempt = &d->attempt,
		.store = e->store,
		.run_id = d->run->id,
		.asked = true,
		.stopped = true };

	/* What cannot be rendered any more is looked for again, which says so. */
	control_wait_look(&look, ret, NULL);
}

static void finish(struct engine *e, struct ended *d)
{
	struct control_found waits = { 0 };
	bool awaited = d->run && sched_look_awaited(e->sched, d->end.token);

	if (awaited && d->end.over)
		keep_found(e, &d->found);
	else if (awaited)
		say_wait(e, d, &waits);
	d->end.wait = waits.wait;
	/* What could not look says nothing of what is there. */
	d->end.wait.unseen = d->end.outcome == OUTCOME_LOST;
	sched_look_ended(e->sched, &d->end, clock_now_us());
	control_found_release(&waits);
}

/* What the process reports: {"there", "said", "found"} (operators/control/wait_look.h). */
static void judge(struct ended *d, const struct exec_end *end, const struct result *r)
{
	struct look_found *f = &d->found;

	d->end.outcome = end->outcome;
	d->end.said = r->error;
	if (end->outcome == OUTCOME_SUCCESS) {
		d->end.said = json_string_value(json_object_get(r->outputs, "said"));
		d->end.over = json_is_true(json_object_get(r->outputs, "there"));
		f->outputs = json_object_get(r->outputs, "found");
	} else if (r->permanent) {
		d->end.over = d->end.permanent = true;
		err_set(&f->why, ERR_DATA, "%s", r->error ? r->error : "the look failed");
	} else if (end->outcome == OUTCOME_SKIPPED) {
		d->end.outcome = OUTCOME_FAILED;
	} else if (end->outcome == OUTCOME_LOST || end->outcome == OUTCOME_CANCELLED) {
		d->end.said = end->error[0] ? end->error : NULL;
	}
}

/* -1: what was reported must not be used. */
static int read_look(
	struct engine *e, struct ended *d, const struct exec_end *end, struct result *ret)
{
	char *output = output_of(e, d->run, &d->attempt), *log = log_of(e, d->run, &d->attempt);
	const struct result_source from = {
		.output_path = output, .log_path = log, .is_operator = true
	};
	struct err err = { 0 };
	int rc = -1;

	if (output && log && result_read(&from, end, ret, &err) == 0)
		rc = secrets_mask_result(&d->run->job, d->attempt.task, ret, &err);
	if (rc == 0)
		unlink(output);
	free(output);
	free(log);
	return rc;
}

bool engine_look_ended(struct engine *e, const struct exec_end *end)
{
	struct ended d = { .end = { .token = end->token, .outcome = OUTCOME_LOST } };
	struct result r = { 0 };

	if (!find_ended(e, &d))
		return false;
	/* Nothing of it is recorded: whoever has the end need not keep it. */
	former_ack(e, &end->token, 1);
	if (d.run && read_look(e, &d, end, &r) == 0)
		judge(&d, end, &r);
	finish(e, &d);
	result_release(&r);
	return true;
}

bool engine_look_refused(struct engine *e, int64_t token, const struct err *why)
{
	struct ended d = { .end = { .token = token, .outcome = OUTCOME_LOST, .said = why->msg } };

	if (!find_ended(e, &d))
		return false;
	d.found.why = *why;
	d.end.over = d.end.permanent = !err_info(why->code)->transient;
	finish(e, &d);
	return true;
}

/* ---- all of them ---------------------------------------------------------------------- */

struct tokens {
	int64_t *list;
	size_t n;
};

static void add_token(void *arg, int64_t token, int64_t run_id, int task)
{
	struct tokens *t = arg;

	(void)run_id;
	(void)task;
	t->list[t->n++] = token;
}

static struct tokens all_looks(struct engine *e)
{
	struct tokens t = { .list = calloc((size_t)sched_looking(e->sched) + 1, sizeof *t.list) };

	if (t.list) {
		sched_each_look(e->sched, add_token, &t);
	} else {
		e->failed = true;
		err_nomem(&e->err);
	}
	return t;
}

void engine_stop_looks(struct engine *e)
{
	struct tokens t = all_looks(e);

	for (size_t i = 0; i < t.n; i++)
		if (!engine_is_uncommitted(e, t.list[i]))
			exec_stop(e->exec, t.list[i], EXEC_STOP_HARD | EXEC_STOP_LOST, NULL);
	free(t.list);
}

/* Nobody will want to know what they find. */
void engine_end_looks(struct engine *e)
{
	struct pollfd p = { .events = POLLIN };
	int64_t until_us = clock_mono_us() + END_US;
	struct err err = { 0 };

	if (!e->sched || e->failed || e->no_exec || e->config.no_loop ||
		sched_looking(e->sched) == 0)
		return;
	p.fd = exec_fd(e->exec);
	engine_stop_looks(e);
	for (int64_t left_us = END_US; sched_looking(e->sched) > 0 && left_us > 0;
		left_us = until_us - clock_mono_us()) {
		if (exec_flush(e->exec, NULL) < 0 || poll(&p, 1, (int)(left_us / US_PER_MS)) <= 0 ||
			engine_read(e, e->exec, &err) < 0)
			break;
	}
	exec_flush(e->exec, NULL);
}

void engine_lose_looks(struct engine *e)
{
	struct tokens t = all_looks(e);

	for (size_t i = 0; i < t.n; i++) {
		const struct exec_end end = {
			.token = t.list[i], .outcome = OUTCOME_LOST, .exit_status = -1
		};
		if (!engine_is_uncommitted(e, t.list[i]))
			engine_look_ended(e, &end);
	}
	free(t.list);
}
