#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "store/sqlite.h"

/* ---- runs ---------------------------------------------------------------------------- */

static void copy_text(char *to, size_t size, const char *from)
{
	size_t len = strnlen(from, size - 1);

	memcpy(to, from, len);
	to[len] = '\0';
}

/* 1: there is one; 0: none */
static int find_present(struct sqlite_store *s, const struct run_key *key, struct arena *a,
	struct backend_present *ret, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUN_OWNER, "look for the run");

	sqlite_bind_text(&q, key->dag);
	sqlite_bind_int(&q, key->interval_start_us);
	sqlite_bind_int(&q, key->interval_end_us);
	int r = sqlite_step(&q, err);
	if (r <= 0)
		return r;
	*ret = (struct backend_present){ .id = sqlite3_column_int64(q.stmt, 0) };
	ret->name = arena_strdup(a, sqlite_text(&q, 1));
	copy_text(ret->owner.host, sizeof ret->owner.host, sqlite_text(&q, 2));
	copy_text(ret->owner.boot_id, sizeof ret->owner.boot_id, sqlite_text(&q, 3));
	ret->owner.pid = sqlite3_column_int64(q.stmt, 4);
	ret->owner.start_ticks = sqlite3_column_int64(q.stmt, 5);
	ret->lease_until_us = sqlite3_column_int64(q.stmt, 6);
	ret->epoch = sqlite3_column_int64(q.stmt, 7);
	ret->wanted = sqlite3_column_int(q.stmt, 8) != 0;
	ret->running = sqlite3_column_int(q.stmt, 9) != 0;
	ret->ended = sqlite3_column_int(q.stmt, 10) != 0;
	sqlite_done(&q);
	return ret->name ? 1 : err_nomem(err);
}

static int put_version(struct sqlite_store *s, const struct run_open *o, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_VERSION_PUT, "record the DAG's version");

	sqlite_bind_text(&q, o->version);
	sqlite_bind_text(&q, o->key.dag);
	sqlite_bind_text(&q, o->dag_path ? o->dag_path : "");
	sqlite_bind_text(&q, o->dag_dir ? o->dag_dir : "");
	sqlite_bind_text(&q, o->text ? o->text : "");
	sqlite_bind_int(&q, o->now_us);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static void bind_owner(struct sqlite_query *q, const struct run_open *o)
{
	if (o->owner.pid == 0) {
		for (int i = 0; i < 5; i++)
			sqlite_bind_text(q, NULL);
		return;
	}
	sqlite_bind_text(q, o->owner.host);
	sqlite_bind_text(q, o->owner.boot_id);
	sqlite_bind_int(q, o->owner.pid);
	sqlite_bind_int(q, o->owner.start_ticks);
	sqlite_bind_int(q, o->lease_until_us);
}

static int name_is_taken(struct sqlite_store *s, const char *name, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUN_NAME_TAKEN, "look for a free name");

	sqlite_bind_text(&q, name);
	int r = sqlite_step(&q, err);
	sqlite_done(&q);
	return r;
}

static int free_name(struct sqlite_store *s, const struct run_open *o, struct arena *a,
	const char **ret, struct err *err)
{
	for (int n = 0;; n++) {
		const char *name = backend_run_name(o, n, a);
		if (!name)
			return err_nomem(err);
		int taken = name_is_taken(s, name, err);
		if (taken < 0)
			return -1;
		if (!taken) {
			*ret = name;
			return 0;
		}
	}
}

static int insert_event(struct sqlite_store *s, const struct change *c, const char *from,
	const char *to, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_EVENT_INSERT, "record an event");

	sqlite_bind_int(&q, c->at_us);
	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->kind == CHANGE_RUN ? NULL : c->task);
	sqlite_bind_int(&q, c->kind == CHANGE_RUN ? -1 : c->map_index);
	sqlite_bind_text(&q, from);
	sqlite_bind_text(&q, to);
	sqlite_bind_text(&q, reason_name(c->reason));
	sqlite_bind_text(&q, c->detail);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int insert_run(struct sqlite_store *s, const struct run_open *o, struct arena *a,
	struct run_opened *ret, struct err *err)
{
	const char *name = NULL;

	if (free_name(s, o, a, &name, err) < 0)
		return -1;
	struct sqlite_query q = sqlite_query(s, SQL_RUN_INSERT, "record the run");
	sqlite_bind_text(&q, name);
	sqlite_bind_text(&q, o->key.dag);
	sqlite_bind_int(&q, o->key.interval_start_us);
	sqlite_bind_int(&q, o->key.interval_end_us);
	sqlite_bind_text(&q, o->ds ? o->ds : "");
	sqlite_bind_text(&q, o->zone ? o->zone : "UTC");
	sqlite_bind_text(&q, o->params ? o->params : "{}");
	sqlite_bind_text(&q, o->trigger ? o->trigger : "manual");
	sqlite_bind_text(&q, o->version);
	sqlite_bind_int(&q, o->now_us);
	bind_owner(&q, o);
	sqlite_bind_int(&q, o->wanted);
	sqlite_bind_time(&q, o->backfill_id);
	sqlite_bind_text(&q, o->only);
	if (sqlite_run(&q, err) < 0)
		return -1;
	*ret = (struct run_opened){ sqlite3_last_insert_rowid(s->db), 1, true };
	struct change created = { .kind = CHANGE_RUN,
		.reason = REASON_CREATED,
		.at_us = o->now_us,
		.run_id = ret->run_id };
	return insert_event(s, &created, NULL, run_state_name(RUN_QUEUED), err);
}

static int take_run(struct sqlite_store *s, const struct run_open *o,
	const struct backend_present *p, struct run_opened *ret, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUN_TAKE, "take the run over");

	sqlite_bind_int(&q, p->id);
	sqlite_bind_text(&q, o->params);
	sqlite_bind_text(&q, o->version);
	bind_owner(&q, o);
	sqlite_bind_int(&q, o->wanted);
	sqlite_bind_time(&q, o->backfill_id);
	sqlite_bind_text(&q, o->trigger);
	sqlite_bind_text(&q, o->only);
	sqlite_bind_int(&q, o->anew);
	*ret = (struct run_opened){ p->id, p->epoch + 1, false };
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int put_tasks(
	struct sqlite_store *s, const struct run_open *o, int64_t run_id, struct err *err)
{
	for (size_t i = 0; i < o->ntasks; i++) {
		struct sqlite_query q = sqlite_query(s, SQL_TASK_PUT, "record the run's tasks");
		sqlite_bind_int(&q, run_id);
		sqlite_bind_text(&q, o->tasks[i]);
		sqlite_bind_int(&q, (int64_t)i);
		if (sqlite_run(&q, err) < 0)
			return -1;
	}
	return 0;
}

int sqlite_open_in(struct sqlite_store *s, const struct run_open *o, struct arena *a,
	struct run_opened *ret, struct err *err)
{
	struct backend_present present;
	int there = find_present(s, &o->key, a, &present, err);

	/* Nothing is written before it is known not to be refused. */
	if (there > 0 && backend_may_take(&present, o, err) < 0)
		return -1;
	if (there < 0 || put_version(s, o, err) < 0)
		return -1;
	int r = there ? take_run(s, o, &present, ret, err) : insert_run(s, o, a, ret, err);
	return r < 0 ? -1 : put_tasks(s, o, ret->run_id, err);
}

int sqlite_run_open(
	struct store *base, const struct run_open *open, struct run_opened *ret, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	struct arena a;

	if (sqlite_begin(s, err) < 0)
		return -1;
	arena_init(&a, 1 << 20);
	int r = sqlite_end(s, sqlite_open_in(s, open, &a, ret, err), "record the run", err);
	arena_release(&a);
	return r;
}

static int check_epoch(struct sqlite_store *s, int64_t run_id, int64_t epoch, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUN_EPOCH, "look for the run");

	sqlite_bind_int(&q, run_id);
	int r = sqlite_step(&q, err);
	if (r == 0)
		return backend_no_run(run_id, err);
	if (r < 0)
		return -1;
	int64_t present = sqlite3_column_int64(q.stmt, 0);
	sqlite_done(&q);
	return present == epoch ? 0 : backend_fenced(run_id, epoch, present, err);
}

int sqlite_run_renew(
	struct store *base, int64_t run_id, int64_t epoch, int64_t lease_until_us, struct err *err)
{
	static const char doing[] = "renew the lease of the run";
	struct sqlite_store *s = (struct sqlite_store *)base;

	if (sqlite_begin(s, err) < 0)
		return -1;
	int r = check_epoch(s, run_id, epoch, err);
	if (r == 0) {
		struct sqlite_query q = sqlite_query(s, SQL_RUN_RENEW, doing);
		sqlite_bind_int(&q, run_id);
		sqlite_bind_int(&q, epoch);
		sqlite_bind_int(&q, lease_until_us);
		r = sqlite_run(&q, err) < 0 ? -1 : 0;
	}
	return sqlite_end(s, r, doing, err);
}

int sqlite_run_close(struct store *base, int64_t run_id, int64_t epoch, struct err *err)
{
	static const char doing[] = "give the run up";
	struct sqlite_store *s = (struct sqlite_store *)base;

	if (sqlite_begin(s, err) < 0)
		return -1;
	int r = check_epoch(s, run_id, epoch, err);
	if (r == 0) {
		struct sqlite_query q = sqlite_query(s, SQL_RUN_CLOSE, doing);
		sqlite_bind_int(&q, run_id);
		sqlite_bind_int(&q, epoch);
		r = sqlite_run(&q, err) < 0 ? -1 : 0;
	}
	return sqlite_end(s, r, doing, err);
}

int sqlite_renew_owned(
	struct store *base, const struct owner *owner, int64_t lease_until_us, struct err *err)
{
	static const char doing[] = "renew the leases of this process";
	struct sqlite_store *s = (struct sqlite_store *)base;

	if (sqlite_begin(s, err) < 0)
		return -1;
	struct sqlite_query q = sqlite_query(s, SQL_RENEW_OWNED, doing);
	sqlite_bind_int(&q, owner->pid);
	sqlite_bind_int(&q, owner->start_ticks);
	sqlite_bind_text(&q, owner->host);
	sqlite_bind_text(&q, owner->boot_id);
	sqlite_bind_int(&q, lease_until_us);
	return sqlite_end(s, sqlite_run(&q, err) < 0 ? -1 : 0, doing, err);
}

/* ---- tokens -------------------------------------------------------------------------- */

/* The counter's next value; `n` more than before. */
static int next_token(struct sqlite_store *s, int64_t n, int64_t *ret, struct err *err)
{
	struct sqlite_query q =
		sqlite_query(s, n ? SQL_TOKENS_RESERVE : SQL_TOKENS_NEXT, "reserve tokens");

	if (n) {
		sqlite_bind_int(&q, n);
		sqlite_bind_int(&q, backend_least_token());
	}
	int r = sqlite_step(&q, err);
	if (r < 0)
		return -1;
	if (r == 0)
		return err_set(err, ERR_STORE,
			"state database %s is damaged: it has no token counter", s->path);
	*ret = sqlite3_column_int64(q.stmt, 0);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

int sqlite_reserve_tokens(struct store *base, int64_t n, int64_t *ret_first, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;
	int64_t next = 0;

	if (sqlite_begin(s, err) < 0)
		return -1;
	if (sqlite_end(s, next_token(s, n, &next, err), "reserve tokens", err) < 0)
		return -1;
	s->tokens_end = next;
	*ret_first = next - n;
	return 0;
}

/* ---- changes ------------------------------------------------------------------------- */

static int change_run(struct sqlite_store *s, const struct change *c, struct err *err)
{
	const char *from = run_state_name(c->run.from), *to = run_state_name(c->run.to);
	struct sqlite_query q = sqlite_query(s, SQL_RUN_CHANGE, "record the run's state");

	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, from);
	sqlite_bind_text(&q, to);
	sqlite_bind_text(&q, reason_name(c->reason));
	sqlite_bind_time(&q, c->run.to == RUN_RUNNING ? c->at_us : 0);
	sqlite_bind_time(&q, run_state_is_final(c->run.to) ? c->at_us : 0);
	sqlite_bind_int(
		&q, !run_state_is_final(c->run.to)); /* nobody wants more of it, nor owns it */
	int n = sqlite_run(&q, err);
	if (n < 0)
		return -1;
	if (n > 0)
		return insert_event(s, c, from, to, err);

	q = sqlite_query(s, SQL_RUN_STATE, "look for the run");
	sqlite_bind_int(&q, c->run_id);
	int r = sqlite_step(&q, err);
	if (r > 0)
		backend_wrong_state(c, sqlite_text(&q, 0), err);
	else if (r == 0)
		backend_no_run(c->run_id, err);
	sqlite_done(&q);
	return -1;
}

/* Why an update of the task found no row. */
static int explain_task(struct sqlite_store *s, const struct change *c, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_TASK_STATE, "look for the task");

	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_int(&q, c->map_index);
	int r = sqlite_step(&q, err);
	if (r == 0)
		backend_no_task(c, err);
	else if (r > 0 && (c->kind == CHANGE_TASK || c->kind == CHANGE_LOOKED))
		backend_wrong_state(c, sqlite_text(&q, 0), err);
	else if (r > 0 && c->kind == CHANGE_ITEM)
		backend_has_begun(c, sqlite_text(&q, 0), err);
	else if (r > 0)
		backend_bad_token(c, INT64_MAX, sqlite3_column_int64(q.stmt, 1), err);
	sqlite_done(&q);
	return -1;
}

static int change_task(struct sqlite_store *s, const struct change *c, struct err *err)
{
	const char *from = task_state_name(c->state.from), *to = task_state_name(c->state.to);
	struct sqlite_query q = sqlite_query(s, SQL_TASK_CHANGE, "record a task's state");

	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_int(&q, c->map_index);
	sqlite_bind_text(&q, from);
	sqlite_bind_text(&q, to);
	sqlite_bind_text(&q, reason_name(c->reason));
	sqlite_bind_int(&q, c->state.tries);
	sqlite_bind_int(&q, c->state.failures);
	sqlite_bind_int(&q, c->state.lost);
	sqlite_bind_int(&q, c->at_us);
	sqlite_bind_time(&q, c->state.due_us);
	sqlite_bind_text(&q, backend_records_hash(c, "") ? c->state.hash : NULL);
	sqlite_bind_text(&q, c->state.hash);
	sqlite_bind_text(&q, c->state.outputs);
	sqlite_bind_int(&q, c->state.work);
	sqlite_bind_text(&q, c->state.waits_for);
	int n = sqlite_run(&q, err);
	if (n < 0)
		return -1;
	return n ? insert_event(s, c, from, to, err) : explain_task(s, c, err);
}

static int change_item(struct sqlite_store *s, const struct change *c, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_ITEM_PUT, "record an instance of a task");

	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_int(&q, c->map_index);
	sqlite_bind_text(&q, c->item);
	int n = sqlite_run(&q, err);
	if (n < 0)
		return -1;
	return n ? 0 : explain_task(s, c, err);
}

/* Tokens come from store_reserve_tokens: one that was never handed out could be handed out
 * to another later. */
static int check_reserved(struct sqlite_store *s, const struct change *c, struct err *err)
{
	if (c->attempt.token < s->tokens_end)
		return 0;
	if (next_token(s, 0, &s->tokens_end, err) < 0)
		return -1;
	return c->attempt.token < s->tokens_end ? 0 : backend_bad_token(c, s->tokens_end, 0, err);
}

static int change_start(struct sqlite_store *s, const struct change *c, struct err *err)
{
	if (check_reserved(s, c, err) < 0)
		return -1;
	struct sqlite_query q = sqlite_query(s, SQL_TASK_TOKEN, "record an attempt's token");
	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_int(&q, c->map_index);
	sqlite_bind_int(&q, c->attempt.token);
	int n = sqlite_run(&q, err);
	if (n <= 0)
		return n < 0 ? -1 : explain_task(s, c, err);

	q = sqlite_query(s, SQL_ATTEMPT_INSERT, "record an attempt");
	sqlite_bind_int(&q, c->attempt.token);
	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_int(&q, c->map_index);
	sqlite_bind_int(&q, c->attempt.try);
	sqlite_bind_time(&q, c->at_us);
	if (sqlite_run(&q, err) >= 0)
		return 0;
	int rc = sqlite3_extended_errcode(s->db);
	if (rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ||
		rc == SQLITE_CONSTRAINT_ROWID)
		backend_token_used(c, err);
	return -1;
}

static int change_end(struct sqlite_store *s, const struct change *c, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_ATTEMPT_END, "record an attempt's outcome");

	sqlite_bind_int(&q, c->attempt.token);
	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_int(&q, c->map_index);
	sqlite_bind_text(&q, outcome_name(c->attempt.outcome));
	sqlite_bind_int(&q, c->attempt.exit_status);
	sqlite_bind_int(&q, c->attempt.signal);
	sqlite_bind_time(&q, c->attempt.started_us);
	sqlite_bind_time(&q, c->attempt.ended_us);
	sqlite_bind_text(&q, c->attempt.error);
	sqlite_bind_text(&q, c->attempt.result);
	int n = sqlite_run(&q, err);
	if (n != 0)
		return n < 0 ? -1 : 0;

	q = sqlite_query(s, SQL_ATTEMPT_OUTCOME, "look for an attempt");
	sqlite_bind_int(&q, c->attempt.token);
	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_int(&q, c->map_index);
	int r = sqlite_step(&q, err);
	if (r >= 0)
		backend_bad_end(c, r ? sqlite_text(&q, 0) : NULL, err);
	sqlite_done(&q);
	return -1;
}

static int change_looked(struct sqlite_store *s, const struct change *c, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_TASK_LOOKED, "record what was looked for");

	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_int(&q, c->map_index);
	sqlite_bind_text(&q, c->detail);
	sqlite_bind_int(&q, c->at_us);
	int n = sqlite_run(&q, err);
	if (n < 0)
		return -1;
	return n ? 0 : explain_task(s, c, err);
}

static int change_breaker(struct sqlite_store *s, const struct change *c, struct err *err)
{
	const struct breaker_put b = backend_breaker_of(c);

	return sqlite_breaker_put_in(s, &b, err);
}

static int change_cancel(struct sqlite_store *s, const struct change *c, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUN_CANCEL, "record that the run is cancelled");

	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_int(&q, c->attempt.hard ? RUN_KILLED : RUN_STOPPED);
	int n = sqlite_run(&q, err);
	if (n < 0)
		return -1;
	return n ? 0 : backend_no_run(c->run_id, err);
}

static int (*const change_writers[])(struct sqlite_store *, const struct change *, struct err *) = {
	[CHANGE_RUN] = change_run,
	[CHANGE_TASK] = change_task,
	[CHANGE_START] = change_start,
	[CHANGE_END] = change_end,
	[CHANGE_STOP] = NULL, /* not stored */
	[CHANGE_LOOK] = NULL, /* likewise */
	[CHANGE_LOOKED] = change_looked,
	[CHANGE_BREAKER] = change_breaker,
	[CHANGE_CANCEL] = change_cancel,
	[CHANGE_ITEM] = change_item,
};
static_assert(sizeof change_writers / sizeof *change_writers == CHANGE_KIND_MAX, "one per kind");

static int insert_check(struct sqlite_store *s, const struct check_row *c, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_CHECK_INSERT, "record a check's result");

	sqlite_bind_int(&q, c->run_id);
	sqlite_bind_int(&q, c->token);
	sqlite_bind_text(&q, c->task);
	sqlite_bind_text(&q, c->name);
	sqlite_bind_text(&q, c->severity);
	sqlite_bind_text(&q, c->status);
	sqlite_bind_text(&q, c->observed);
	sqlite_bind_text(&q, c->expected);
	sqlite_bind_text(&q, c->sample);
	sqlite_bind_int(&q, c->map_index);
	if (sqlite_run(&q, err) >= 0)
		return 0;
	if (sqlite3_extended_errcode(s->db) == SQLITE_CONSTRAINT_FOREIGNKEY)
		backend_no_run(c->run_id, err);
	return -1;
}

int sqlite_audit_put(struct sqlite_store *s, const struct audit_row *a, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_REQUEST_INSERT, "record who asked for it");

	sqlite_bind_int(&q, a->at_us);
	sqlite_bind_text(&q, a->who);
	sqlite_bind_text(&q, a->what);
	sqlite_bind_text(&q, a->run);
	sqlite_bind_text(&q, a->reason);
	sqlite_bind_int(&q, a->run_id);
	sqlite_bind_text(&q, a->detail);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int want_run(struct sqlite_store *s, int64_t run_id, struct err *err)
{
	struct sqlite_query q = sqlite_query(s, SQL_RUN_WANT, "record that the run is wanted");

	sqlite_bind_int(&q, run_id);
	return sqlite_run(&q, err) < 0 ? -1 : 0;
}

static int write_batch(struct sqlite_store *s, const struct store_batch *b, struct err *err)
{
	for (size_t i = 0; i < b->nleases; i++)
		if (check_epoch(s, b->leases[i].run_id, b->leases[i].epoch, err) < 0)
			return -1;
	for (size_t i = 0; i < b->nchanges; i++) {
		const struct change *c = &b->changes[i];
		if (change_writers[c->kind] && change_writers[c->kind](s, c, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < b->nchecks; i++)
		if (insert_check(s, &b->checks[i], err) < 0)
			return -1;
	for (size_t i = 0; i < b->nacts; i++)
		if (sqlite_act_put(s, &b->acts[i], err) < 0)
			return -1;
	for (size_t i = 0; i < b->naudits; i++)
		if (sqlite_audit_put(s, &b->audits[i], err) < 0)
			return -1;
	for (size_t i = 0; i < b->nwants; i++)
		if (want_run(s, b->wants[i], err) < 0)
			return -1;
	for (size_t i = 0; i < b->nincidents; i++)
		if (sqlite_incident_put(s, &b->incidents[i], err) < 0)
			return -1;
	for (size_t i = 0; i < b->nbreakers; i++)
		if (sqlite_breaker_put_in(s, &b->breakers[i], err) < 0)
			return -1;
	for (size_t i = 0; i < b->ndatasets; i++)
		if (sqlite_dataset_put(s, &b->datasets[i], err) < 0)
			return -1;
	return b->slas ? sqlite_slas_put(s, b->slas, err) : 0;
}

int sqlite_commit(struct store *base, const struct store_batch *batch, struct err *err)
{
	struct sqlite_store *s = (struct sqlite_store *)base;

	if (sqlite_begin(s, err) < 0)
		return -1;
	return sqlite_end(s, write_batch(s, batch, err), "record the changes", err);
}
