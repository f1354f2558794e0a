/* A run carried on: what became of the attempts that a former process left in flight. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/model.h"
#include "run/engine_impl.h"
#include "run/paths.h"
#include "run/restore.h"
#include "run/result.h"

struct settling {
	struct engine *engine;
	struct active_run *run;
	struct store_result attempts; /* in flight, as the store knows them */
	struct store_result tasks;
	struct former_question *questions; /* one per attempt */
	int running;
};

/* ---- attempts whose task is no longer in the DAG --------------------------------------- */

static const struct task_row *orphaned_task(const struct settling *s, const struct attempt_row *a)
{
	const struct task *t = dag_find(s->run->dag, a->task);

	/* One that is mapped now, or no more, is another. */
	if (t && !t->foreach == (a->map_index < 0))
		return NULL;
	for (size_t i = 0; i < s->tasks.n; i++) {
		const struct task_row *row = &s->tasks.tasks[i];
		if (row->map_index == a->map_index && row->state == TASK_RUNNING &&
			strcmp(row->name, a->task) == 0)
			return row;
	}
	return NULL;
}

/* Its outputs are nobody's any more. */
static int end_orphan(struct settling *s, const struct attempt_row *a, const struct task_row *t,
	const struct exec_end *end, struct err *err)
{
	const struct engine *e = s->engine;
	const struct sched_orphan orphan = { .run_id = s->run->id,
		.task = t->name,
		.map_index = t->map_index,
		.hash = t->hash,
		.tries = a->try,
		.failures = t->failures,
		.lost = t->lost };
	char *output = paths_output(e->config.home, s->run->name, t->name, a->map_index, a->try);
	char *error = output ? result_error(end, 0, NULL) : NULL;
	struct attempt_end ae = { .token = end->token,
		.outcome = end->outcome,
		.exit_status = end->exit_status,
		.signal = end->signal,
		.started_us = end->started_us,
		.ended_us = end->ended_us,
		.error = end->outcome == OUTCOME_SUCCESS ? NULL : error };
	int rc = 0;

	if (error) {
		sched_orphan_ended(e->sched, &orphan, &ae, clock_now_us());
		unlink(output);
	} else {
		rc = err_nomem(err);
	}
	free(output);
	free(error);
	return rc;
}

/* It runs still, for nobody. */
static void stop_orphan(struct settling *s, struct former_question *q)
{
	exec_stop(former_exec_of(s->engine, q->token), q->token, EXEC_STOP_HARD, NULL);
	q->verdict = FORMER_ENDED;
	q->end = (struct exec_end){ .token = q->token,
		.outcome = OUTCOME_CANCELLED,
		.exit_status = -1,
		.error = "its task is no longer in the DAG" };
}

/* ---- settling -------------------------------------------------------------------------- */

/* Give the scheduler a run in which nothing but the attempts in flight is to be done. */
static int add_in_flight(struct settling *s, struct err *err)
{
	const struct dag *dag = s->run->dag;
	struct task_init *init = calloc((size_t)dag->ntasks + 1, sizeof *init);

	if (!init)
		return err_nomem(err);
	restore_rows(&s->tasks, dag, init);
	for (size_t i = 0; i < s->attempts.n; i++) {
		const struct attempt_row *a = &s->attempts.attempts[i];
		const struct task *t = a->map_index < 0 ? dag_find(dag, a->task) : NULL;
		if (t)
			init[t->index].token = a->token;
	}
	struct run_init run = { .tasks = init, .settling = true };
	int rc = engine_start(s->engine, s->run, &run, err);
	free(init);
	return rc;
}

static int ask(struct settling *s, struct err *err)
{
	size_t n = s->attempts.n;

	s->questions = calloc(n, sizeof *s->questions);
	if (!s->questions)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		s->questions[i] = (struct former_question){ .token = s->attempts.attempts[i].token,
			.epoch = s->run->epoch,
			.since_us = s->attempts.attempts[i].queued_us };
	return former_ask(s->engine, s->questions, n, err);
}

/* What is said of one attempt goes to the scheduler. */
static int take_verdict(struct settling *s, size_t i, struct err *err)
{
	struct former_question *q = &s->questions[i];
	const struct attempt_row *a = &s->attempts.attempts[i];
	const struct task_row *orphan = orphaned_task(s, a);

	if (q->verdict == FORMER_FENCED)
		return err_set(
			err, ERR_FENCED, "run %s has passed on to another owner", s->run->name);
	if (orphan && q->verdict == FORMER_RUNNING)
		stop_orphan(s, q);
	if (q->verdict == FORMER_RUNNING) {
		s->running++;
		return 0;
	}
	if (orphan)
		return end_orphan(s, a, orphan, &q->end, err);
	engine_ended(s->engine, &q->end);
	return 0;
}

static int settle(struct settling *s, struct err *err)
{
	struct engine *e = s->engine;
	size_t late = e->nlate;

	if (add_in_flight(s, err) < 0 || ask(s, err) < 0)
		return -1;
	for (size_t i = 0; i < s->attempts.n; i++)
		if (take_verdict(s, i, err) < 0)
			return -1;
	if (e->failed || e->nlate > late) {
		*err = e->failed ? e->err : e->late_why;
		e->nlate = late; /* asked again when the run is settled again */
		return -1;
	}
	return engine_commit_settled(e, s->run, err);
}

/* Starts that were decided and could not be committed are committed, and released, by a step. */
static int refuse_before_starts(const struct engine *e, struct err *err)
{
	size_t n;
	const struct change *changes = sched_changes(e->sched, &n);

	for (size_t i = 0; i < n; i++)
		if (changes[i].kind == CHANGE_START)
			return err_set(err, ERR_BUSY, "earlier decisions wait for the store");
	return 0;
}

int engine_settle(struct engine *e, struct active_run *r, struct err *err)
{
	struct settling s = { .engine = e, .run = r };
	int rc = store_attempts_in_flight(e->store, r->id, &s.attempts, err);

	if (rc == 0 && s.attempts.n > 0) {
		e->settling = true;
		rc = refuse_before_starts(e, err);
		if (rc == 0)
			rc = store_tasks(e->store, r->id, &s.tasks, err);
		if (rc == 0)
			rc = settle(&s, err);
		e->settling = false;
		/* They borrow from what is released here. */
		for (size_t i = 0; rc < 0 && s.questions && i < s.attempts.n; i++)
			former_forget(e, s.attempts.attempts[i].token);
		if (rc < 0)
			engine_unsay(e, r->id);
		sched_drop_run(e->sched, r->id);
	}
	store_result_release(&s.attempts);
	store_result_release(&s.tasks);
	free(s.questions);
	return rc < 0 ? -1 : s.running;
}

int engine_resume(struct engine *e, struct active_run *r, struct run_init *init,
	struct task_init *tasks, struct err *err)
{
	int running = engine_settle(e, r, err);

	if (running < 0 || restore_tasks(e->store, r->id, r->dag, tasks, err) < 0)
		return -1;
	init->tasks = tasks;
	return engine_start(e, r, init, err) < 0 ? -1 : running;
}
