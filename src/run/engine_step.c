/* One step: the scheduler decides, the store commits, and only then something happens. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/model.h"
#include "run/control_wait.h"
#include "run/engine_impl.h"
#include "run/mapping.h"
#include "run/outputs.h"
#include "run/paths.h"
#include "run/result.h"
#include "run/secrets.h"

enum { TOKENS_PER_BLOCK = 1024 };

/* Room for one more element of *array; false without memory: the engine is then broken. */
static bool grow(struct engine *e, void *array, size_t n, size_t *cap, size_t size)
{
	void **p = array;

	if (n < *cap)
		return true;
	size_t more = *cap ? *cap * 2 : 16;
	void *grown = reallocarray(*p, more, size);
	if (!grown) {
		e->failed = true;
		err_nomem(&e->err);
		return false;
	}
	*p = grown;
	*cap = more;
	return true;
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

/* Whose attempt ended. */
struct ended {
	struct active_run *run;
	const struct task *task;
	int map_index, ninstances;
};

static void keep_checks(struct engine *e, const struct ended *of, int64_t token, json_t *checks)
{
	struct arena *a = &e->scratch;
	size_t i;
	json_t *c;

	json_array_foreach(checks, i, c)
	{
		if (!grow(e, &e->checks, e->nchecks, &e->checks_cap, sizeof *e->checks))
			return;
		e->checks[e->nchecks++] = (struct check_row){ .run_id = of->run->id,
			.token = token,
			.task = of->task->name,
			.map_index = of->map_index,
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

static enum outcome outcome_of(const struct exec_end *end, const struct result *r)
{
	return r->bad_output && end->outcome == OUTCOME_SUCCESS ? OUTCOME_FAILED : end->outcome;
}

static void feed(struct engine *e, const struct ended *of, const struct exec_end *end,
	const struct result *r)
{
	const struct outputs_of own = { of->task->name, of->map_index, of->ninstances };
	char *result = result_text(r, end), *outputs = NULL;
	/* The operator's own: checks by their weights. */
	const json_t *score =
		json_array_size(r->checks) ? json_object_get(r->outputs, "score") : NULL;
	struct attempt_end ae = { .token = end->token,
		.outcome = outcome_of(end, r),
		.exit_status = end->exit_status,
		.signal = end->signal,
		.permanent = r->permanent,
		/* The executor says why it could not start one; a crash says nothing. */
		.refused = end->outcome == OUTCOME_LOST && end->error[0],
		.started_us = end->started_us,
		.ended_us = end->ended_us,
		.has_score = json_is_number(score),
		.score = json_number_value(score),
		.error = r->error,
		.result = result };

	if (ae.outcome == OUTCOME_SUCCESS && json_object_size(r->outputs)) {
		outputs = json_dumps(r->outputs, JSON_COMPACT);
		ae.outputs = outputs;
		outputs_set(of->run->job.outputs, &own, r->outputs);
	}
	keep_checks(e, of, end->token, r->checks);
	sched_attempt_ended(e->sched, &ae, clock_now_us());
	free(result);
	free(outputs);
}

/* Keep the path until the next commit; NULL, or the path when there is no memory to do so. */
static char *spend(struct engine *e, int64_t run_id, char *path)
{
	struct spent *grown = reallocarray(e->spent, e->nspent + 1, sizeof *grown);

	if (!grown)
		return path;
	e->spent = grown;
	e->spent[e->nspent++] = (struct spent){ run_id, path };
	return NULL;
}

static void keep_late(struct engine *e, const struct exec_end *end, const struct err *why)
{
	if (!grow(e, &e->late, e->nlate, &e->late_cap, sizeof *e->late))
		return;
	e->late[e->nlate++] = *end;
	e->late_why = *why;
}

int engine_take_late(struct engine *e, struct err *err)
{
	size_t n = e->nlate;

	/* What fails again is put in front of those that are left. */
	e->nlate = 0;
	for (size_t i = 0; i < n; i++) {
		const struct exec_end end = e->late[i];
		engine_ended(e, &end);
	}
	if (e->nlate > 0)
		*err = e->late_why;
	return e->nlate > 0 ? -1 : 0;
}

/* 0: read; 1: not yet; -1: without memory. */
static int read_result(struct engine *e, const struct result_source *from,
	const struct exec_end *end, struct result *ret)
{
	struct err why = { 0 };

	/* A file that is missing because all of WEIR_HOME is says nothing. */
	if (store_in_place(e->store, &why) == 0 && result_read(from, end, ret, &why) == 0)
		return 0;
	if (why.code == ERR_NOMEM) {
		e->err = why;
		return -1;
	}
	keep_late(e, end, &why);
	return 1;
}

/* Whoever commits the ends reads the output files again. */
void engine_unsay(struct engine *e, int64_t run_id)
{
	size_t nchecks = 0, nspent = 0;

	sched_forget_changes(e->sched, run_id);
	for (size_t i = 0; i < e->nchecks; i++)
		if (e->checks[i].run_id != run_id)
			e->checks[nchecks++] = e->checks[i];
	for (size_t i = 0; i < e->nspent; i++)
		if (e->spent[i].run_id != run_id)
			e->spent[nspent++] = e->spent[i];
		else
			free(e->spent[i].path);
	e->nchecks = nchecks;
	e->nspent = nspent;
}

/* The end of an attempt that is not in flight: it changes nothing, and is kept in the history as
 * far as that can be written now. */
static void record_late_end(struct store *s, const struct exec_end *end)
{
	const struct late_end late = { .token = end->token,
		.outcome = end->outcome,
		.exit_status = end->exit_status,
		.signal = end->signal,
		.ended_us = end->ended_us,
		.now_us = clock_now_us() };
	bool recorded;

	store_late_end(s, &late, &recorded, NULL);
}

/* Of the task that an instance is of: those that have an item. */
static int ninstances(const struct engine *e, int64_t run_id, const struct task_view *of)
{
	struct task_view whole = { 0 };

	if (of->map_index >= 0)
		sched_task_view(e->sched, run_id, of->task_index, &whole);
	return whole.ninstances;
}

void engine_ended(struct engine *e, const struct exec_end *end)
{
	struct task_view view;
	struct result r = { 0 };
	int64_t run_id;
	int task;

	if (engine_look_ended(e, end))
		return;
	/* A token that is not in flight is an old attempt's: it changes nothing. */
	if (!sched_flight(e->sched, end->token, &run_id, &task) ||
		!sched_task_view(e->sched, run_id, task, &view)) {
		record_late_end(e->store, end);
		return;
	}
	struct active_run *run = engine_find(e, run_id);
	const struct task *t = &run->dag->tasks[view.task_index];
	const struct ended of = { run, t, view.map_index, ninstances(e, run_id, &view) };
	char *output = paths_output(e->config.home, run->name, t->name, view.map_index, view.tries);
	char *log = paths_log(e->config.home, run->name, t->name, view.map_index, view.tries);
	const struct result_source from = {
		.output_path = output,
		.log_path = log,
		.is_operator = t->kind != TASK_RUN,
		.timeout_us = t->timeout_us,
	};
	int rc = output && log ? read_result(e, &from, end, &r) : -1;
	e->dirty = true;
	if (rc < 0 || (rc == 0 && secrets_mask_result(&run->job, t, &r, &e->err) < 0)) {
		e->failed = true;
		err_nomem(&e->err);
	} else if (rc == 0) {
		feed(e, &of, end, &r);
		if (r.found_output)
			output = spend(e, run_id, output);
	}
	result_release(&r);
	free(output);
	free(log);
}

/* ---- acting --------------------------------------------------------------------------- */

/* An attempt that cannot even be described to the executor ends at once; the scheduler hears of
 * it when the present changes are dealt with. */
static void keep_unstarted(struct engine *e, int64_t token, const struct err *why)
{
	struct unstarted *grown = reallocarray(e->unstarted, e->nunstarted + 1, sizeof *grown);

	if (!grown) {
		e->failed = true;
		err_nomem(&e->err);
		return;
	}
	e->unstarted = grown;
	e->unstarted[e->nunstarted++] = (struct unstarted){ .token = token, .why = *why };
}

/* Control tasks are done when they are to start: their end is kept until that is committed. */
static void keep_control(
	struct engine *e, const struct active_run *run, const struct job_attempt *a)
{
	struct control_end end = { 0 };
	struct err err = { 0 };

	const struct control_look look = { .job = &run->job,
		.attempt = a,
		.store = e->store,
		.run_id = run->id,
		.asked = true,
		.deferred = true,
		.maker = &e->config.maker };
	if (!a->task->waits)
		control_run(&run->job, a, &end, &err);
	else if (engine_take_found(e, run, a, &end, &err) > 0)
		control_wait_run(&look, &end, &err);
	keep_unstarted(e, a->token, &err);
	if (e->failed)
		control_end_release(&end);
	else
		e->unstarted[e->nunstarted - 1].end = end;
}

static void feed_control(struct engine *e, const struct unstarted *u, struct attempt_end *ae)
{
	int64_t run_id;
	int task;
	char *outputs = json_dumps(u->end.outputs, JSON_COMPACT);
	char *result = outputs ? arena_printf(&e->scratch, "{\"outputs\":%s}", outputs) : NULL;

	if (sched_flight(e->sched, u->token, &run_id, &task)) {
		struct active_run *run = engine_find(e, run_id);
		json_object_set(run->job.outputs, run->dag->tasks[task].name, u->end.outputs);
	}
	ae->outcome = OUTCOME_SUCCESS;
	ae->outputs = outputs;
	ae->result = result;
	ae->skips = u->end.skips;
	ae->nskips = u->end.nskips;
	sched_attempt_ended(e->sched, ae, ae->ended_us);
	free(outputs);
}

/* A full disk is none of the task's doing. */
static bool passes(const struct err *err)
{
	return err_info(err->code)->transient || err->code == ERR_STORE;
}

static void feed_unstarted(struct engine *e)
{
	char text[sizeof(struct err)];

	for (size_t i = 0; i < e->nunstarted; i++) {
		struct unstarted *u = &e->unstarted[i];
		if (engine_look_refused(e, u->token, &u->why))
			continue;
		bool transient = passes(&u->why);
		struct attempt_end ae = { .token = u->token,
			.outcome = transient ? OUTCOME_LOST : OUTCOME_FAILED,
			.exit_status = -1,
			.permanent = !transient && !u->end.may_retry,
			.refused = transient };
		ae.started_us = ae.ended_us = clock_now_us();
		if (u->why.code == ERR_NONE) {
			feed_control(e, u, &ae);
		} else {
			ae.error = err_format(&u->why, text, sizeof text);
			sched_attempt_ended(e->sched, &ae, ae.ended_us);
		}
		control_end_release(&u->end);
	}
	e->nunstarted = 0;
}

/* The item of an instance, as a new reference; NULL of what is none. */
static json_t *item_of(const char *text)
{
	return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static void prepare_job(struct engine *e, const struct active_run *run, const struct job_attempt *a)
{
	struct err err = { 0 };
	struct job job;

	if ((a->look ? engine_look_build(e, run, a, &job, &err)
		     : job_build(&run->job, a, &job, &err)) < 0) {
		keep_unstarted(e, a->token, &err);
		return;
	}
	job.exec.epoch = run->epoch;
	/* Somebody may have tidied it up; a failure shows where the task writes there. */
	engine_make_work_dir(e, run->name, NULL);
	if (exec_prepare(e->exec, &job.exec, &err) < 0)
		keep_unstarted(e, a->token, &err);
	job_release(&job);
}

static void prepare_start(struct engine *e, const struct active_run *run, const struct change *c)
{
	struct task_view view = { 0 };
	struct job_attempt a = { .task = &run->dag->tasks[c->task_index],
		.try = c->attempt.try,
		.token = c->attempt.token,
		.work = c->attempt.work,
		.map_index = c->map_index,
		.look = c->kind == CHANGE_LOOK,
		.now_us = c->at_us };

	if (c->map_index >= 0)
		sched_task_view(e->sched, c->run_id, c->live, &view);
	a.item = item_of(view.item);
	if (!a.look && control_in_loop(a.task))
		keep_control(e, run, &a);
	else
		prepare_job(e, run, &a);
	json_decref(a.item);
}

int engine_flush(struct engine *e)
{
	former_flush(e);
	return exec_flush(e->exec, NULL) > 0;
}

/* Give the executor the starts to hold. The changes may come again, after a refused commit, with
 * more behind them: tokens rise in the order of starts, which tells what was here before. */
static void prepare(struct engine *e, const struct change *changes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct change *c = &changes[i];
		if ((c->kind != CHANGE_START && c->kind != CHANGE_LOOK) ||
			c->attempt.token <= e->prepared)
			continue;
		prepare_start(e, engine_find(e, c->run_id), c);
		e->prepared = c->attempt.token;
	}
	/* That the supervisor is gone is seen when it is read. */
	exec_flush(e->exec, NULL);
}

static void act_start(struct engine *e, int64_t token, size_t *at_unstarted)
{
	struct err err = { 0 };
	size_t i = *at_unstarted;

	while (i < e->nunstarted && e->unstarted[i].token < token)
		i++;
	*at_unstarted = i;
	if (i < e->nunstarted && e->unstarted[i].token == token)
		return;
	/* What was held when the halt came was stopped with the rest, or came behind it. */
	if (e->halting) {
		exec_drop(e->exec, token, NULL);
		err_set(&err, ERR_BUSY, "stopped before it began");
		keep_unstarted(e, token, &err);
		return;
	}
	if (exec_go(e->exec, token, &err) == 0)
		return;
	exec_drop(e->exec, token, NULL);
	keep_unstarted(e, token, &err);
}

static void act(struct engine *e, const struct change *changes, size_t n)
{
	size_t at_unstarted = 0;

	for (size_t i = 0; i < n; i++) {
		const struct change *c = &changes[i];
		if (c->kind == CHANGE_START || c->kind == CHANGE_LOOK)
			act_start(e, c->attempt.token, &at_unstarted);
		else if (c->kind == CHANGE_STOP)
			exec_stop(former_exec_of(e, c->attempt.token), c->attempt.token,
				c->attempt.hard ? EXEC_STOP_HARD : 0, NULL);
	}
}

/* ---- committing ----------------------------------------------------------------------- */

/* The leases of all runs that change, each once. Returns how many, or -1 without memory. */
static ssize_t collect_leases(struct engine *e, const struct change *changes, size_t n)
{
	size_t nleases = 0;

	e->step++;
	for (size_t i = 0; i < n; i++) {
		struct active_run *r = engine_find(e, changes[i].run_id);
		if (changes[i].kind == CHANGE_BREAKER || r->mark == e->step)
			continue;
		r->mark = e->step;
		if (!grow(e, &e->leases, nleases, &e->leases_cap, sizeof *e->leases))
			return -1;
		e->leases[nleases++] = (struct store_lease){ r->id, r->epoch };
	}
	return (ssize_t)nleases;
}

int engine_check_leases(struct engine *e, struct err *err)
{
	struct store_batch batch = { 0 };

	for (const struct active_run *r = e->runs; r; r = r->hh.next) {
		if (!grow(e, &e->leases, batch.nleases, &e->leases_cap, sizeof *e->leases))
			return err_nomem(err);
		e->leases[batch.nleases++] = (struct store_lease){ r->id, r->epoch };
	}
	batch.leases = e->leases;
	return store_commit(e->store, &batch, err);
}

static int commit(struct engine *e, const struct change *changes, size_t n, struct err *err)
{
	ssize_t nleases = collect_leases(e, changes, n);

	if (nleases < 0)
		return err_nomem(err);
	if (engine_collect_incidents(e, changes, n, err) < 0)
		return -1;
	if (engine_collect_updates(e, changes, n, err) < 0)
		return -1;
	const struct store_batch batch = { .leases = e->leases,
		.nleases = (size_t)nleases,
		.changes = changes,
		.nchanges = n,
		.checks = e->checks,
		.nchecks = e->nchecks,
		.audits = e->requests,
		.naudits = e->nrequests,
		.incidents = e->incidents,
		.nincidents = e->nincidents,
		.datasets = e->updates,
		.ndatasets = e->nupdates };
	if (store_commit(e->store, &batch, err) < 0)
		return -1;
	e->dirty = false;
	e->nchecks = 0;
	e->nrecorded += (int64_t)e->nrequests;
	e->nrequests = 0;
	for (size_t i = 0; i < e->nincidents; i++)
		e->told = e->told || e->incidents[i].nroutes;
	arena_release(&e->scratch);
	while (e->nspent > 0) {
		unlink(e->spent[--e->nspent].path);
		free(e->spent[e->nspent].path);
	}
	return 0;
}

/* Who has the ends need not keep them any more. */
static void ack(struct engine *e, const struct change *changes, size_t n)
{
	e->nacks = 0;
	for (size_t i = 0; i < n; i++)
		if (changes[i].kind == CHANGE_END &&
			grow(e, &e->acks, e->nacks, &e->acks_cap, sizeof *e->acks))
			e->acks[e->nacks++] = changes[i].attempt.token;
	if (e->nacks)
		former_ack(e, e->acks, e->nacks);
}

/* ---- telling -------------------------------------------------------------------------- */

static void tell(struct engine *e, const struct change *changes, size_t n)
{
	const struct engine_listener *l = &e->config.listener;

	for (size_t i = 0; i < n; i++) {
		struct active_run *r = engine_find(e, changes[i].run_id);
		if (changes[i].kind == CHANGE_BREAKER) {
			if (l->breaker)
				l->breaker(l->arg, &changes[i]);
			continue;
		}
		if (changes[i].kind == CHANGE_RUN) {
			r->state = changes[i].run.to;
			r->given_up = run_state_is_final(r->state);
		}
		if (l->change)
			l->change(l->arg, r, &changes[i]);
	}
}

/* Runs that this step touched and that have nothing left to do. */
static void collect_idle(struct engine *e, const struct change *changes, size_t n)
{
	e->step++;
	for (size_t i = 0; i < n; i++) {
		struct active_run *r = engine_find(e, changes[i].run_id);
		if (changes[i].kind == CHANGE_BREAKER || r->mark == e->step ||
			!sched_run_idle(e->sched, r->id))
			continue;
		r->mark = e->step;
		if (grow(e, &e->idle, e->nidle, &e->idle_cap, sizeof *e->idle))
			e->idle[e->nidle++] = r;
	}
}

bool engine_is_idle(const struct engine *e, const struct active_run *r)
{
	size_t n;
	const struct change *changes = sched_changes(e->sched, &n);

	for (size_t i = 0; i < n; i++)
		if (changes[i].run_id == r->id)
			return false;
	return sched_run_idle(e->sched, r->id);
}

static void tell_idle(struct engine *e)
{
	const struct engine_listener *l = &e->config.listener;

	for (size_t i = 0; i < e->nidle; i++)
		if (e->idle[i] && l->idle)
			l->idle(l->arg, e->idle[i]);
	e->nidle = 0;
}

/* ---- the step ------------------------------------------------------------------------- */

static int top_up_tokens(struct engine *e, struct err *err)
{
	int64_t first, want = TOKENS_PER_BLOCK + e->config.max_running;

	if (sched_tokens_left(e->sched) > e->config.max_running)
		return 0;
	if (store_reserve_tokens(e->store, want, &first, err) < 0)
		return -1;
	sched_set_tokens(e->sched, first, first + want);
	return 0;
}

int engine_commit_settled(struct engine *e, const struct active_run *settling, struct err *err)
{
	size_t n;
	const struct change *changes = sched_changes(e->sched, &n);

	if (n > 0 && commit(e, changes, n, err) < 0)
		return -1;
	ack(e, changes, n);
	engine_flush(e);
	tell(e, changes, n);
	engine_wake_waits(e);
	/* Runs that were begun just now may be through already; the next step tells. */
	collect_idle(e, changes, n);
	engine_wake_outside(e, changes, n);
	for (size_t i = 0; i < e->nidle; i++)
		if (e->idle[i] == settling)
			e->idle[i] = NULL;
	sched_clear_changes(e->sched);
	return 0;
}

/* What a task waits for: there, or not yet. Where an error that passes says neither it is asked
 * again, whatever its deadline; any other one its attempt tells. */
static void answer_wait(struct engine *e, const struct active_run *run,
	const struct control_look *look, const struct sched_question *q)
{
	struct control_found found;
	struct err err = { 0 };
	int64_t now_us = look->attempt->now_us;
	bool failed = control_wait_look(look, &found, &err) < 0;

	found.wait.unseen = failed;
	if (found.skip)
		sched_answer_skip(e->sched, q->run_id, q->task, REASON_REJECTED, now_us);
	else if (found.look)
		sched_answer_look(e->sched, &found.wait, now_us);
	else if (found.there || (failed && !passes(&err)))
		sched_answer(e->sched, q->run_id, q->task, true, now_us);
	else
		sched_answer_wait(e->sched, &found.wait, now_us);
	if (!found.there && found.dataset)
		engine_note_wait(e, q, found.dataset);
	if (found.watch && !found.there)
		engine_watch_run(e, run, q->task, found.watch);
	control_found_release(&found);
}

/* Its `if` was asked first, if there is one; a breaker may stop what comes next. */
static void answer_waiting(struct engine *e, const struct active_run *run,
	const struct job_attempt *a, const struct sched_question *q)
{
	const struct control_look look = { .job = &run->job,
		.attempt = a,
		.store = e->store,
		.run_id = run->id,
		.deadline_us = q->deadline_us,
		.asked = q->waits,
		.waits = q->waits,
		.stopped = q->stopped,
		.deferred = q->waits,
		.maker = &e->config.maker };

	if (a->task->only_if && !q->asked)
		sched_answer_if(e->sched, q->run_id, q->task, a->now_us);
	else
		answer_wait(e, run, &look, q);
}

static void answer_list(
	struct engine *e, const struct active_run *run, const struct job_attempt *a, int task)
{
	struct mapping m = { 0 };
	struct err err = { 0 };
	char text[sizeof(struct err)];

	if (mapping_list(&run->job, a, &m, &err) < 0) {
		sched_answer_no_list(
			e->sched, run->id, task, err_format(&err, text, sizeof text), a->now_us);
		return;
	}
	/* Those of a former list. */
	outputs_set(run->job.outputs, &(struct outputs_of){ a->task->name, -1, 0 }, NULL);
	const struct sched_list list = { run->id, task, m.items, m.n };
	sched_answer_list(e->sched, &list, a->now_us);
	mapping_release(&m);
}

/* What cannot be judged is begun, and says why. */
static void answer_one(struct engine *e, const struct sched_question *q, int64_t now_us)
{
	const struct active_run *run = engine_find(e, q->run_id);

	if (q->outside) {
		engine_answer_outside(e, run, q, now_us);
		return;
	}
	const struct job_attempt a = { .task = &run->dag->tasks[q->task_index],
		.try = q->tries + 1,
		.now_us = now_us,
		.item = item_of(q->item),
		.map_index = q->map_index };
	struct err err = { 0 };
	bool yes = true;

	if (q->list) {
		answer_list(e, run, &a, q->task);
		return;
	}
	if (!q->asked)
		control_only_if(&run->job, &a, &yes, &err);
	if (a.task->waits && yes && err.code == ERR_NONE)
		answer_waiting(e, run, &a, q);
	else
		sched_answer(e->sched, run->id, q->task, yes || err.code != ERR_NONE, now_us);
	json_decref(a.item);
}

/* Answer what the scheduler asks. */
static bool answer(struct engine *e)
{
	int64_t now_us = clock_now_us();
	size_t n;
	const struct sched_question *q = sched_questions(e->sched, &n);

	for (size_t i = 0; i < n; i++)
		answer_one(e, &q[i], now_us);
	return n > 0;
}

static int decide(struct engine *e, struct err *err)
{
	do {
		if (sched_tick(e->sched, clock_now_us(), err) < 0)
			return -1;
		/* What is there and finds no token is asked again in the next step. */
	} while (answer(e) && sched_tokens_left(e->sched) > 0);
	return 0;
}

int engine_step_once(struct engine *e, size_t *ret_n, struct err *err)
{
	*ret_n = 0;
	if (top_up_tokens(e, err) < 0 || decide(e, err) < 0)
		return -1;
	const struct change *changes = sched_changes(e->sched, ret_n);
	if (*ret_n == 0) {
		tell_idle(e);
		return 0;
	}
	/* What is made ready makes its folders, where a home that was moved shall come back. */
	if (store_in_place(e->store, err) < 0)
		return -1;
	prepare(e, changes, *ret_n);
	if (commit(e, changes, *ret_n, err) < 0)
		return -1;
	act(e, changes, *ret_n);
	ack(e, changes, *ret_n);
	engine_flush(e);
	tell(e, changes, *ret_n);
	collect_idle(e, changes, *ret_n);
	engine_wake_outside(e, changes, *ret_n);
	engine_find_doomed(e, changes, *ret_n);
	sched_clear_changes(e->sched);
	engine_wake_waits(e);
	engine_cancel_doomed(e);
	feed_unstarted(e);
	tell_idle(e);
	return 0;
}
