/* After a crash: what became of the attempts that a former process left in flight. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/model.h"
#include "run/engine_impl.h"
#include "run/paths.h"
#include "run/result.h"

/* A dead supervisor's last child may hold its journal's lock for a moment. */
enum { LOOK_AGAIN = 50, LOOK_AGAIN_MS = 10 };

struct settling {
	struct engine *engine;
	struct active_run *run;
	struct store_result attempts; /* in flight, as the store knows them */
	struct store_result tasks;
	bool *over; /* by attempt: of those whose task is no longer in the DAG, which have ended */
	engine_wait_fn *wait;
	void *arg;
};

static bool in_flight(const struct settling *s, int64_t token)
{
	for (size_t i = 0; i < s->attempts.n; i++)
		if (s->attempts.attempts[i].token == token)
			return true;
	return false;
}

static int wait_until_gone(struct settling *s, const char *path, struct err *err)
{
	struct err gone = { 0 };
	int fd = s->wait ? exec_journal_wait_fd(path, &gone) : -1;

	if (fd < 0)
		return 0;
	int rc = s->wait(s->arg, fd, path, err);
	close(fd);
	return rc;
}

/* ---- attempts whose task is no longer in the DAG --------------------------------------- */

static const struct task_row *orphaned_task(const struct settling *s, const char *name)
{
	if (dag_find(s->run->dag, name))
		return NULL;
	for (size_t i = 0; i < s->tasks.n; i++)
		if (strcmp(s->tasks.tasks[i].name, name) == 0 &&
			s->tasks.tasks[i].state == TASK_RUNNING)
			return &s->tasks.tasks[i];
	return NULL;
}

/* Its outputs are nobody's any more. */
static int end_orphan(struct settling *s, size_t at, const struct task_row *t,
	const struct exec_end *end, struct err *err)
{
	const struct attempt_row *a = &s->attempts.attempts[at];
	const struct engine *e = s->engine;
	const struct sched_orphan orphan = { .run_id = s->run->id,
		.task = t->name,
		.hash = t->hash,
		.tries = a->try,
		.failures = t->failures,
		.lost = t->lost };
	char *output = paths_output(e->config.home, s->run->name, t->name, a->try);
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
	s->over[at] = true;
	free(output);
	free(error);
	return rc;
}

/* ---- journals -------------------------------------------------------------------------- */

/* The end of one attempt, from wherever it is known. */
static int take_end(struct settling *s, const struct exec_end *end, struct err *err)
{
	for (size_t i = 0; i < s->attempts.n; i++) {
		const struct attempt_row *a = &s->attempts.attempts[i];
		const struct task_row *t =
			a->token == end->token ? orphaned_task(s, a->task) : NULL;
		if (t)
			return s->over[i] ? 0 : end_orphan(s, i, t, end, err);
	}
	engine_ended(s->engine, end);
	return 0;
}

/* 1: read, 0: it knows nothing, -1. */
static int read_final(struct settling *s, const char *path, struct exec_journal *j, struct err *err)
{
	for (int looks = 0;; looks++) {
		struct err why = { 0 };
		if (wait_until_gone(s, path, err) < 0)
			return -1;
		if (exec_journal_read(path, j, &why) < 0) {
			/* It is not synced: after a power loss not even its first line may be
			 * there. Its tasks are gone then, too. */
			if (why.code == ERR_NOT_FOUND || why.code == ERR_DATA)
				return 0;
			*err = why;
			return -1;
		}
		if (!j->live)
			return 1;
		exec_journal_release(j);
		if (!s->wait || looks == LOOK_AGAIN)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = LOOK_AGAIN_MS * 1000000L }, NULL);
	}
	return err_set(err, ERR_REFUSED,
		"%s: its supervisor lives, but not where this process could see it (another "
		"container?): let its tasks end, or stop them there",
		path);
}

/* What one journal knows of the attempts in flight. */
static int read_journal(struct settling *s, const char *path, struct err *err)
{
	struct exec_journal j = { 0 };
	int rc = read_final(s, path, &j, err);

	for (size_t i = 0; rc > 0 && i < j.n; i++) {
		struct exec_journal_entry *entry = &j.entries[i];
		if (!in_flight(s, entry->token))
			continue;
		entry->home = s->engine->config.home;
		if (!entry->ended && entry->started)
			exec_reap_stray(entry, NULL);
		if (entry->ended && take_end(s, &entry->end, err) < 0)
			rc = -1;
	}
	exec_journal_release(&j);
	return rc < 0 ? -1 : 0;
}

/* Give the scheduler a run in which nothing but the attempts in flight is to be done. */
static int add_in_flight(struct settling *s, const struct task_init *from, struct err *err)
{
	const struct dag *dag = s->run->dag;
	struct task_init *init = calloc((size_t)dag->ntasks + 1, sizeof *init);

	if (!init)
		return err_nomem(err);
	for (int i = 0; i < dag->ntasks; i++) {
		init[i] = from[i];
		init[i].selected = init[i].clear = false;
	}
	for (size_t i = 0; i < s->attempts.n; i++) {
		const struct task *t = dag_find(dag, s->attempts.attempts[i].task);
		if (t)
			init[t->index].token = s->attempts.attempts[i].token;
	}
	struct run_init run = { .tasks = init };
	int rc = engine_start(s->engine, s->run, &run, err);
	free(init);
	return rc;
}

static int settle(
	struct settling *s, const struct task_init *init, char *const *journals, struct err *err)
{
	if (add_in_flight(s, init, err) < 0)
		return -1;
	for (size_t i = 0; journals[i]; i++)
		if (read_journal(s, journals[i], err) < 0)
			return -1;
	/* Nobody knows of the others: never started, or gone with their supervisor. */
	for (size_t i = 0; i < s->attempts.n; i++) {
		const struct exec_end lost = { .token = s->attempts.attempts[i].token,
			.outcome = OUTCOME_LOST,
			.exit_status = -1 };
		if (take_end(s, &lost, err) < 0)
			return -1;
	}
	if (s->engine->failed) {
		*err = s->engine->err;
		return -1;
	}
	return engine_commit_only(s->engine, err);
}

int engine_settle(struct engine *e, struct active_run *r, const struct task_init *init,
	char *const *journals, engine_wait_fn *wait, void *arg, struct err *err)
{
	struct settling s = { .engine = e, .run = r, .wait = wait, .arg = arg };
	int rc = store_attempts_in_flight(e->store, r->id, &s.attempts, err);

	if (rc == 0 && s.attempts.n > 0) {
		s.over = calloc(s.attempts.n, sizeof *s.over);
		rc = s.over ? store_tasks(e->store, r->id, &s.tasks, err) : err_nomem(err);
	}
	e->settling = true;
	if (rc == 0 && (s.attempts.n > 0 || journals[0]))
		rc = settle(&s, init, journals, err);
	e->settling = false;
	/* They borrow from what is released here. */
	if (rc < 0)
		sched_forget_changes(e->sched, r->id);
	sched_drop_run(e->sched, r->id);
	store_result_release(&s.attempts);
	store_result_release(&s.tasks);
	free(s.over);
	return rc;
}
