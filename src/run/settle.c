/* After a crash: what became of the attempts that a former process left in flight. */
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "core/model.h"
#include "run/engine_impl.h"

struct settling {
	struct engine *engine;
	struct active_run *run;
	struct store_result attempts; /* in flight, as the store knows them */
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

/* What one journal knows of the attempts in flight. */
static int read_journal(struct settling *s, const char *path, struct err *err)
{
	struct exec_journal j = { 0 };
	struct err why = { 0 };

	if (wait_until_gone(s, path, err) < 0)
		return -1;
	if (exec_journal_read(path, &j, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		*err = why;
		return -1;
	}
	for (size_t i = 0; i < j.n; i++) {
		const struct exec_journal_entry *entry = &j.entries[i];
		if (!in_flight(s, entry->token))
			continue;
		if (!entry->ended && entry->started)
			exec_reap_stray(entry, NULL);
		if (entry->ended)
			engine_ended(s->engine, &entry->end);
	}
	exec_journal_release(&j);
	return 0;
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
		engine_ended(s->engine, &lost);
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

	e->settling = true;
	if (rc == 0 && (s.attempts.n > 0 || journals[0]))
		rc = settle(&s, init, journals, err);
	e->settling = false;
	sched_drop_run(e->sched, r->id);
	store_result_release(&s.attempts);
	return rc;
}
