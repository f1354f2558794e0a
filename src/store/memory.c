/* The store in memory: for tests and simulations. The same rules as SQLite's, nothing kept. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "store/memory.h"

static const size_t arena_size_max = (size_t)4 << 30;

/* ---- small things -------------------------------------------------------------------- */

int memory_list_add(struct mem_list *l, void *item, struct err *err)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 8;
		void **items = reallocarray(l->items, cap, sizeof *items);
		if (!items)
			return err_nomem(err);
		l->items = items;
		l->cap = cap;
	}
	l->items[l->n++] = item;
	return 0;
}

/* Room for one more of `size` bytes in an array of *cap. */
static int grow(void **array, size_t n, size_t *cap, size_t size, struct err *err)
{
	if (n < *cap)
		return 0;
	size_t more = *cap ? 2 * *cap : 64;
	void *p = reallocarray(*array, more, size);
	if (!p)
		return err_nomem(err);
	*array = p;
	*cap = more;
	return 0;
}

const char *memory_keep(struct memory_store *m, const char *text)
{
	return text ? arena_strdup(&m->arena, text) : NULL;
}

static const char *keep_or(struct memory_store *m, const char *text, const char *otherwise)
{
	return memory_keep(m, text ? text : otherwise);
}

struct mem_run *memory_find_run(struct memory_store *m, int64_t id)
{
	return id > 0 && (uint64_t)id <= m->runs.n ? m->runs.items[id - 1] : NULL;
}

struct mem_task *memory_find_task(
	struct memory_store *m, struct mem_run *run, const char *name, int map_index)
{
	size_t len = sizeof map_index + strlen(name);
	char small[128], *key = len <= sizeof small ? small : malloc(len);
	struct mem_task *task = NULL;

	if (!key) {
		m->arena.failed = true;
		return NULL;
	}
	memcpy(key, &map_index, sizeof map_index);
	memcpy(key + sizeof map_index, name, strlen(name));
	HASH_FIND(hh, run->tasks, key, len, task);
	if (key != small)
		free(key);
	return task;
}

struct mem_attempt *memory_find_attempt(struct memory_store *m, int64_t token)
{
	struct mem_attempt *a = NULL;

	HASH_FIND(hh, m->attempts, &token, sizeof token, a);
	return a;
}

/* ---- transactions -------------------------------------------------------------------- */

void memory_begin(struct memory_store *m)
{
	m->nundo = m->nadded = 0;
	m->next_plan_at_begin = m->next_plan;
	m->next_act_at_begin = m->next_act;
	m->next_incident_at_begin = m->next_incident;
	m->next_update_at_begin = m->next_update;
}

int memory_save(struct memory_store *m, void *row, size_t size, struct err *err)
{
	if (grow((void **)&m->undo, m->nundo, &m->undo_cap, sizeof *m->undo, err) < 0)
		return -1;
	struct undo *u = &m->undo[m->nundo++];
	u->row = row;
	u->size = size;
	memcpy(&u->was, row, size);
	return 0;
}

int memory_add(struct memory_store *m, struct mem_list *l, void *row, struct mem_attempt *a,
	struct err *err)
{
	if (grow((void **)&m->added, m->nadded, &m->added_cap, sizeof *m->added, err) < 0 ||
		memory_list_add(l, row, err) < 0)
		return -1;
	m->added[m->nadded++] = (struct added){ .list = l, .attempt = a };
	return 0;
}

static void release_run(struct mem_run *run)
{
	HASH_CLEAR(hh, run->tasks);
	free(run->attempts.items);
	free(run->events.items);
	free(run->checks.items);
	free(run->audits.items);
}

/* Out of the tables; its attempts are not in one. */
static void forget_run(struct memory_store *m, struct mem_run *run)
{
	HASH_DELETE(by_key, m->by_key, run);
	HASH_DELETE(by_name, m->by_name, run);
	release_run(run);
}

void memory_remove_run(struct memory_store *m, struct mem_run *run)
{
	for (size_t i = 0; i < run->attempts.n; i++) {
		struct mem_attempt *a = run->attempts.items[i];
		HASH_DEL(m->attempts, a);
	}
	memory_dataset_forget_run(m, run->row.id);
	m->runs.items[run->row.id - 1] = NULL;
	forget_run(m, run);
}

static void roll_back(struct memory_store *m)
{
	while (m->nundo) {
		struct undo *u = &m->undo[--m->nundo];
		memcpy(u->row, &u->was, u->size);
	}
	while (m->nadded) {
		struct added *a = &m->added[--m->nadded];
		if (a->task) {
			HASH_DEL(a->run->tasks, a->task);
			continue;
		}
		if (a->list == &m->acts) {
			memory_act_remove_last(m);
			continue;
		}
		a->list->n--;
		if (a->list == &m->runs)
			forget_run(m, m->runs.items[m->runs.n]);
		if (a->attempt)
			HASH_DEL(m->attempts, a->attempt);
	}
	m->next_plan = m->next_plan_at_begin;
	m->next_act = m->next_act_at_begin;
	m->next_incident = m->next_incident_at_begin;
	m->next_update = m->next_update_at_begin;
}

int memory_end(struct memory_store *m, int r, struct err *err)
{
	if (r == 0 && m->arena.failed)
		r = err_nomem(err);
	if (r < 0)
		roll_back(m);
	m->arena.failed = false;
	return r;
}

/* ---- runs ---------------------------------------------------------------------------- */

static char *make_key(struct arena *a, const struct run_key *key, size_t *ret_len)
{
	size_t len = strlen(key->dag), times = 2 * sizeof(int64_t);
	char *k = arena_alloc(a, times + len + 1);

	if (!k)
		return NULL;
	memcpy(k, &key->interval_start_us, sizeof(int64_t));
	memcpy(k + sizeof(int64_t), &key->interval_end_us, sizeof(int64_t));
	memcpy(k + times, key->dag, len);
	*ret_len = times + len;
	return k;
}

struct mem_run *memory_find_key(struct memory_store *m, const struct run_key *key)
{
	struct arena scratch;
	struct mem_run *run = NULL;
	size_t len;

	arena_init(&scratch, 1 << 20);
	char *k = make_key(&scratch, key, &len);
	if (k)
		HASH_FIND(by_key, m->by_key, k, len, run);
	else
		m->arena.failed = true;
	arena_release(&scratch);
	return run;
}

static struct mem_run *find_name(struct memory_store *m, const char *name)
{
	struct mem_run *run = NULL;

	HASH_FIND(by_name, m->by_name, name, strlen(name), run);
	return run;
}

struct mem_version *memory_find_version(struct memory_store *m, const char *hash)
{
	struct mem_version *v = m->versions;

	while (v && strcmp(v->hash, hash) != 0)
		v = v->next;
	return v;
}

static struct mem_version *put_version(struct memory_store *m, const struct run_open *o)
{
	struct mem_version *v = memory_find_version(m, o->version);
	const char *path = keep_or(m, o->dag_path, ""), *dir = keep_or(m, o->dag_dir, "");

	if (!v) {
		v = arena_alloc(&m->arena, sizeof *v);
		const char *hash = memory_keep(m, o->version), *text = keep_or(m, o->text, "");
		const char *dag = memory_keep(m, o->key.dag);
		if (m->arena.failed)
			return NULL;
		*v = (struct mem_version){
			.hash = hash, .dag = dag, .text = text, .next = m->versions
		};
		m->versions = v;
	}
	if (m->arena.failed)
		return NULL;
	v->path = path;
	v->dir = dir;
	return v;
}

static struct mem_task *new_task(struct memory_store *m, struct mem_run *run, const char *name,
	int map_index, struct err *err)
{
	size_t len = strlen(name);
	struct mem_task *t = arena_alloc(&m->arena, sizeof *t);
	char *key = arena_alloc(&m->arena, sizeof map_index + len + 1);

	if (!t || !key) {
		err_nomem(err);
		return NULL;
	}
	memcpy(key, &map_index, sizeof map_index);
	memcpy(key + sizeof map_index, name, len);
	t->key = key;
	t->row = (struct task_row){
		.run_id = run->row.id, .name = key + sizeof map_index, .map_index = map_index
	};
	HASH_ADD_KEYPTR(hh, run->tasks, key, sizeof map_index + len, t);
	if (t->hh.tbl)
		return t;
	err_nomem(err);
	return NULL;
}

static int put_task(
	struct memory_store *m, struct mem_run *run, const char *name, size_t seq, struct err *err)
{
	struct mem_task *t = memory_find_task(m, run, name, -1);

	if (!t)
		t = new_task(m, run, name, -1, err);
	if (!t)
		return -1;
	t->seq = seq;
	return 0;
}

int memory_add_event(
	struct memory_store *m, struct mem_run *run, const struct event_row *from, struct err *err)
{
	struct event_row *e = arena_alloc(&m->arena, sizeof *e);

	if (!e)
		return err_nomem(err);
	*e = *from;
	const struct event_row *last = run->events.n ? run->events.items[run->events.n - 1] : NULL;
	e->id = last ? last->id + 1 : 1;
	e->run_id = run->row.id;
	return memory_add(m, &run->events, e, NULL, err);
}

static int add_event(struct memory_store *m, struct mem_run *run, const struct change *c,
	const char *from, const char *to, struct err *err)
{
	const struct event_row e = { .at_us = c->at_us,
		.task = c->kind == CHANGE_RUN ? NULL : memory_keep(m, c->task),
		.map_index = c->kind == CHANGE_RUN ? -1 : c->map_index,
		.from = from,
		.to = to,
		.reason = reason_name(c->reason),
		.detail = memory_keep(m, c->detail) };

	return memory_add_event(m, run, &e, err);
}

static int index_run(
	struct memory_store *m, struct mem_run *run, const struct run_key *key, struct err *err)
{
	size_t len;

	run->key = make_key(&m->arena, key, &len);
	if (!run->key)
		return err_nomem(err);
	HASH_ADD_KEYPTR(by_key, m->by_key, run->key, len, run);
	if (!run->by_key.tbl)
		return err_nomem(err);
	HASH_ADD_KEYPTR(by_name, m->by_name, run->row.name, strlen(run->row.name), run);
	if (run->by_name.tbl)
		return 0;
	HASH_DELETE(by_key, m->by_key, run);
	return err_nomem(err);
}

static struct mem_run *new_run(struct memory_store *m, const struct run_open *o, struct err *err)
{
	const char *name = NULL;

	for (int n = 0; !name || find_name(m, name); n++) {
		name = backend_run_name(o, n, &m->arena);
		if (!name)
			break;
	}
	struct mem_run *run = arena_alloc(&m->arena, sizeof *run);
	if (!name || !run) {
		err_nomem(err);
		return NULL;
	}
	run->row = (struct run_row){ .id = (int64_t)m->runs.n + 1,
		.name = memory_keep(m, name),
		.dag = memory_keep(m, o->key.dag),
		.ds = keep_or(m, o->ds, ""),
		.zone = keep_or(m, o->zone, "UTC"),
		.params = keep_or(m, o->params, "{}"),
		.trigger = keep_or(m, o->trigger, "manual"),
		.only = memory_keep(m, o->only),
		.interval_start_us = o->key.interval_start_us,
		.interval_end_us = o->key.interval_end_us,
		.state = RUN_QUEUED,
		.reason = REASON_CREATED,
		.created_us = o->now_us };
	struct change created = {
		.kind = CHANGE_RUN, .reason = REASON_CREATED, .at_us = o->now_us
	};
	if (m->arena.failed ||
		add_event(m, run, &created, "", run_state_name(RUN_QUEUED), err) < 0 ||
		index_run(m, run, &o->key, err) < 0)
		return NULL;
	if (memory_add(m, &m->runs, run, NULL, err) == 0)
		return run;
	forget_run(m, run);
	return NULL;
}

static int take_run(
	struct memory_store *m, struct mem_run *run, const struct run_open *o, struct err *err)
{
	struct mem_version *version = put_version(m, o);

	if (!version || memory_save(m, &run->row, sizeof run->row, err) < 0)
		return err_nomem(err);
	if (o->params)
		run->row.params = memory_keep(m, o->params);
	run->row.version = version->hash;
	run->row.owner = o->owner.pid ? o->owner : (struct owner){ .pid = 0 };
	run->row.lease_until_us = o->owner.pid ? o->lease_until_us : 0;
	run->row.wanted |= o->wanted;
	if (o->wanted && o->trigger)
		run->row.trigger = memory_keep(m, o->trigger);
	if (o->backfill_id)
		run->row.backfill_id = o->backfill_id;
	run->row.only = memory_keep(m, o->only);
	if (o->anew)
		run->row.cancelling = 0;
	run->row.epoch++;
	for (size_t i = 0; i < o->ntasks; i++)
		if (put_task(m, run, o->tasks[i], i, err) < 0)
			return -1;
	run->version = version;
	return 0;
}

static int may_take(const struct mem_run *run, const struct run_open *o, struct err *err)
{
	const struct backend_present present = { .name = run->row.name,
		.owner = run->row.owner,
		.lease_until_us = run->row.lease_until_us,
		.wanted = run->row.wanted,
		.running = run->row.state == RUN_RUNNING,
		.ended = run_state_is_final(run->row.state) };

	return backend_may_take(&present, o, err);
}

int memory_open_in(
	struct memory_store *m, const struct run_open *o, struct run_opened *ret, struct err *err)
{
	struct mem_run *run = memory_find_key(m, &o->key);
	bool created = !run;

	if (run && may_take(run, o, err) < 0)
		return -1;
	if (!run)
		run = new_run(m, o, err);
	if (!run || take_run(m, run, o, err) < 0)
		return -1;
	*ret = (struct run_opened){ run->row.id, run->row.epoch, created };
	return 0;
}

static int memory_run_open(
	struct store *s, const struct run_open *o, struct run_opened *ret, struct err *err)
{
	struct memory_store *m = memory_cast(s);

	memory_begin(m);
	return memory_end(m, memory_open_in(m, o, ret, err), err);
}

static struct mem_run *owned_run(
	struct memory_store *m, int64_t run_id, int64_t epoch, struct err *err)
{
	struct mem_run *run = memory_find_run(m, run_id);

	if (!run)
		backend_no_run(run_id, err);
	else if (run->row.epoch != epoch)
		backend_fenced(run_id, epoch, run->row.epoch, err);
	else
		return run;
	return NULL;
}

static int memory_run_renew(
	struct store *s, int64_t run_id, int64_t epoch, int64_t lease_until_us, struct err *err)
{
	struct mem_run *run = owned_run(memory_cast(s), run_id, epoch, err);

	if (!run)
		return -1;
	run->row.lease_until_us = lease_until_us;
	return 0;
}

static bool is_owner(const struct owner *a, const struct owner *b)
{
	return a->pid == b->pid && a->start_ticks == b->start_ticks &&
	       strcmp(a->host, b->host) == 0 && strcmp(a->boot_id, b->boot_id) == 0;
}

static int memory_renew_owned(
	struct store *s, const struct owner *owner, int64_t lease_until_us, struct err *err)
{
	struct memory_store *m = memory_cast(s);

	(void)err;
	for (size_t i = 0; i < m->runs.n; i++) {
		struct mem_run *run = m->runs.items[i];
		if (run && is_owner(&run->row.owner, owner))
			run->row.lease_until_us = lease_until_us;
	}
	return 0;
}

static int memory_run_close(struct store *s, int64_t run_id, int64_t epoch, struct err *err)
{
	struct mem_run *run = owned_run(memory_cast(s), run_id, epoch, err);

	if (!run)
		return -1;
	run->row.owner = (struct owner){ .pid = 0 };
	run->row.lease_until_us = 0;
	return 0;
}

static int memory_reserve_tokens(struct store *s, int64_t n, int64_t *ret_first, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	int64_t least = backend_least_token();

	(void)err;
	*ret_first = m->next_token > least ? m->next_token : least;
	m->next_token = *ret_first + n;
	return 0;
}

/* ---- changes ------------------------------------------------------------------------- */

static int change_run(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct run_row *r = &run->row;

	if (r->state != c->run.from)
		return backend_wrong_state(c, run_state_name(r->state), err);
	if (memory_save(m, r, sizeof *r, err) < 0)
		return -1;
	r->state = c->run.to;
	r->reason = c->reason;
	if (r->state == RUN_RUNNING && !r->started_us)
		r->started_us = c->at_us;
	r->ended_us = run_state_is_final(r->state) ? c->at_us : 0;
	r->wanted = r->wanted && !run_state_is_final(r->state);
	if (run_state_is_final(r->state)) {
		r->cancelling = 0;
		r->owner = (struct owner){ .pid = 0 };
		r->lease_until_us = 0;
	}
	return add_event(m, run, c, run_state_name(c->run.from), run_state_name(c->run.to), err);
}

static int change_task(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct mem_task *t = memory_find_task(m, run, c->task, c->map_index);

	if (!t)
		return backend_no_task(c, err);
	struct task_row *r = &t->row;
	if (r->state != c->state.from)
		return backend_wrong_state(c, task_state_name(r->state), err);
	if (memory_save(m, r, sizeof *r, err) < 0)
		return -1;
	r->state = c->state.to;
	r->reason = c->reason;
	r->tries = c->state.tries;
	r->failures = c->state.failures;
	r->lost = c->state.lost;
	r->work = c->state.work;
	r->changed_us = c->at_us;
	r->due_us = c->state.due_us;
	if (backend_records_hash(c, r->hash))
		r->hash = memory_keep(m, c->state.hash);
	r->outputs = memory_keep(m, c->state.outputs);
	r->waits_for = memory_keep(m, c->state.waits_for);
	if (r->state == TASK_NONE || r->state == TASK_AWAITING_INPUT)
		r->decision = NULL;
	if (r->state != TASK_FAILED && r->state != TASK_SKIPPED && r->state != TASK_CANCELLED) {
		r->looked = NULL;
		r->looked_us = 0;
	}
	return add_event(
		m, run, c, task_state_name(c->state.from), task_state_name(c->state.to), err);
}

/* An instance, which is found in the order of its task. */
static int add_instance(struct memory_store *m, struct mem_run *run, const struct change *c,
	const struct mem_task *whole, struct err *err)
{
	if (grow((void **)&m->added, m->nadded, &m->added_cap, sizeof *m->added, err) < 0)
		return -1;
	struct mem_task *t = new_task(m, run, c->task, c->map_index, err);
	if (!t)
		return -1;
	t->seq = whole->seq;
	t->row.item = memory_keep(m, c->item);
	m->added[m->nadded++] = (struct added){ .run = run, .task = t };
	return 0;
}

static int change_item(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	const struct mem_task *whole = memory_find_task(m, run, c->task, -1);
	struct mem_task *t = memory_find_task(m, run, c->task, c->map_index);

	if (!whole)
		return backend_no_task(c, err);
	if (!t)
		return add_instance(m, run, c, whole, err);
	if (t->row.state != TASK_NONE)
		return backend_has_begun(c, task_state_name(t->row.state), err);
	if (memory_save(m, &t->row, sizeof t->row, err) < 0)
		return -1;
	t->row.item = memory_keep(m, c->item);
	return 0;
}

static bool has_try(struct memory_store *m, const struct mem_task *t, int try)
{
	int64_t token = t->row.token;

	for (struct mem_attempt *a; (a = memory_find_attempt(m, token)) != NULL;
		token = a->token_before)
		if (a->row.try == try)
			return true;
	return false;
}

static int change_start(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct mem_task *t = memory_find_task(m, run, c->task, c->map_index);
	int64_t token = c->attempt.token;

	if (!t)
		return backend_no_task(c, err);
	if (token <= t->row.token)
		return backend_bad_token(c, INT64_MAX, t->row.token, err);
	if (memory_find_attempt(m, token) || has_try(m, t, c->attempt.try))
		return backend_token_used(c, err);
	if (memory_save(m, &t->row, sizeof t->row, err) < 0)
		return -1;
	struct mem_attempt *a = arena_alloc(&m->arena, sizeof *a);
	if (!a)
		return err_nomem(err);
	a->token_before = t->row.token;
	t->row.token = token;
	a->row = (struct attempt_row){ .token = token,
		.run_id = c->run_id,
		.task = t->row.name,
		.map_index = c->map_index,
		.try = c->attempt.try,
		.exit_status = -1,
		.queued_us = c->at_us };
	HASH_ADD(hh, m->attempts, row.token, sizeof a->row.token, a);
	if (!a->hh.tbl)
		return err_nomem(err);
	if (memory_add(m, &run->attempts, a, a, err) == 0)
		return 0;
	HASH_DEL(m->attempts, a);
	return -1;
}

static int change_end(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct mem_attempt *a = memory_find_attempt(m, c->attempt.token);

	(void)run;
	if (!a || a->row.run_id != c->run_id || a->row.map_index != c->map_index ||
		strcmp(a->row.task, c->task) != 0)
		return backend_bad_end(c, NULL, err);
	if (a->row.outcome != OUTCOME_NONE)
		return backend_bad_end(c, outcome_name(a->row.outcome), err);
	if (memory_save(m, &a->row, sizeof a->row, err) < 0)
		return -1;
	a->row.outcome = c->attempt.outcome;
	a->row.exit_status = c->attempt.exit_status;
	a->row.signal = c->attempt.signal;
	a->row.started_us = c->attempt.started_us;
	a->row.ended_us = c->attempt.ended_us;
	a->row.error = memory_keep(m, c->attempt.error);
	a->row.result = memory_keep(m, c->attempt.result);
	return 0;
}

static int change_looked(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct mem_task *t = memory_find_task(m, run, c->task, c->map_index);

	if (!t)
		return backend_no_task(c, err);
	struct task_row *r = &t->row;
	if (!task_state_waits(r->state))
		return backend_wrong_state(c, task_state_name(r->state), err);
	if (memory_save(m, r, sizeof *r, err) < 0)
		return -1;
	r->looked = memory_keep(m, c->detail);
	r->looked_us = c->at_us;
	return 0;
}

static int change_breaker(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	const struct breaker_put b = backend_breaker_of(c);

	(void)run;
	return memory_breaker_put_in(m, &b, err);
}

static int change_cancel(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	int how = c->attempt.hard ? RUN_KILLED : RUN_STOPPED;

	if (memory_save(m, &run->row, sizeof run->row, err) < 0)
		return -1;
	if (run->row.cancelling < how)
		run->row.cancelling = how;
	return 0;
}

static int (*const changers[])(
	struct memory_store *, struct mem_run *, const struct change *, struct err *) = {
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
static_assert(sizeof changers / sizeof *changers == CHANGE_KIND_MAX, "one for each kind");

static int change(struct memory_store *m, const struct change *c, struct err *err)
{
	struct mem_run *run = memory_find_run(m, c->run_id);

	if (!changers[c->kind])
		return 0;
	if (c->kind == CHANGE_START && c->attempt.token >= m->next_token)
		return backend_bad_token(c, m->next_token, 0, err);
	if (run || c->kind == CHANGE_BREAKER)
		return changers[c->kind](m, run, c, err);
	if (c->kind == CHANGE_RUN || c->kind == CHANGE_CANCEL)
		return backend_no_run(c->run_id, err);
	return c->kind == CHANGE_END ? backend_bad_end(c, NULL, err) : backend_no_task(c, err);
}

static int add_check(struct memory_store *m, const struct check_row *c, struct err *err)
{
	struct mem_run *run = memory_find_run(m, c->run_id);
	struct check_row *row;

	if (!run)
		return backend_no_run(c->run_id, err);
	row = arena_alloc(&m->arena, sizeof *row);
	if (!row)
		return err_nomem(err);
	*row = (struct check_row){ .run_id = c->run_id,
		.token = c->token,
		.task = memory_keep(m, c->task),
		.name = memory_keep(m, c->name),
		.severity = memory_keep(m, c->severity),
		.status = memory_keep(m, c->status),
		.observed = memory_keep(m, c->observed),
		.expected = memory_keep(m, c->expected),
		.sample = memory_keep(m, c->sample),
		.map_index = c->map_index };
	return memory_add(m, &run->checks, row, NULL, err);
}

int memory_add_audit(struct memory_store *m, const struct audit_row *a, struct err *err)
{
	struct mem_run *run = memory_find_run(m, a->run_id);
	struct audit_row *row;

	if (!run)
		return backend_no_run(a->run_id, err);
	row = arena_alloc(&m->arena, sizeof *row);
	if (!row)
		return err_nomem(err);
	*row = (struct audit_row){ .run_id = a->run_id,
		.at_us = a->at_us,
		.who = memory_keep(m, a->who),
		.what = memory_keep(m, a->what),
		.detail = memory_keep(m, a->detail),
		.reason = memory_keep(m, a->reason) };
	return memory_add(m, &run->audits, row, NULL, err);
}

static int want_run(struct memory_store *m, int64_t run_id, struct err *err)
{
	struct mem_run *run = memory_find_run(m, run_id);

	if (!run || run_state_is_final(run->row.state))
		return 0;
	if (memory_save(m, &run->row, sizeof run->row, err) < 0)
		return -1;
	run->row.wanted = true;
	return 0;
}

static int memory_commit(struct store *s, const struct store_batch *b, struct err *err)
{
	struct memory_store *m = memory_cast(s);
	int r = 0;

	for (size_t i = 0; i < b->nleases; i++)
		if (!owned_run(m, b->leases[i].run_id, b->leases[i].epoch, err))
			return -1;
	memory_begin(m);
	for (size_t i = 0; r == 0 && i < b->nchanges; i++)
		r = change(m, &b->changes[i], err);
	for (size_t i = 0; r == 0 && i < b->nchecks; i++)
		r = add_check(m, &b->checks[i], err);
	for (size_t i = 0; r == 0 && i < b->nacts; i++)
		r = memory_act_put(m, &b->acts[i], err);
	for (size_t i = 0; r == 0 && i < b->naudits; i++)
		r = memory_add_audit(m, &b->audits[i], err);
	for (size_t i = 0; r == 0 && i < b->nwants; i++)
		r = want_run(m, b->wants[i], err);
	for (size_t i = 0; r == 0 && i < b->nincidents; i++)
		r = memory_incident_put(m, &b->incidents[i], err);
	for (size_t i = 0; r == 0 && i < b->nbreakers; i++)
		r = memory_breaker_put_in(m, &b->breakers[i], err);
	if (r == 0 && b->slas)
		r = memory_slas_put(m, b->slas, err);
	for (size_t i = 0; r == 0 && i < b->ndatasets; i++)
		r = memory_dataset_put(m, &b->datasets[i], err);
	return memory_end(m, r, err);
}

/* ---- opening and closing ------------------------------------------------------------- */

static void memory_free(struct store *s)
{
	struct memory_store *m = memory_cast(s);

	HASH_CLEAR(by_key, m->by_key);
	HASH_CLEAR(by_name, m->by_name);
	for (size_t i = 0; i < m->runs.n; i++)
		if (m->runs.items[i])
			release_run(m->runs.items[i]);
	HASH_CLEAR(hh, m->attempts);
	memory_release_dags(m);
	memory_release_acts(m);
	memory_release_datasets(m);
	free(m->runs.items);
	free(m->backfills.items);
	free(m->incidents.items);
	free(m->misses.items);
	free(m->marks.items);
	free(m->breakers.items);
	free(m->breaker_events.items);
	free(m->undo);
	free(m->added);
	arena_release(&m->arena);
	free(m);
}

static const struct store_ops ops = {
	.name = "memory",
	.free = memory_free,
	.run_open = memory_run_open,
	.run_renew = memory_run_renew,
	.run_close = memory_run_close,
	.reserve_tokens = memory_reserve_tokens,
	.commit = memory_commit,
	.late_end = memory_late_end,
	.decide = memory_decide,
	.dataset_touch = memory_dataset_touch,
	.dataset_follow = memory_dataset_follow,
	.outbox_set = memory_outbox_set,
	.outbox_prune = memory_outbox_prune,
	.incidents_prune = memory_incidents_prune,
	.runs = memory_runs,
	.rows = memory_rows,
	.attempt_open = memory_attempt_open,
	.version_text = memory_version_text,
	.renew_owned = memory_renew_owned,
	.plan_commit = memory_plan_commit,
	.dags_put = memory_dags_put,
	.switch_set = memory_switch_set,
	.backfill_create = memory_backfill_create,
	.backfill_set = memory_backfill_set,
	.prune = memory_prune,
	.vacuum = memory_vacuum,
	.list = memory_list,
	.durations = memory_durations,
};

int store_open_memory(struct store **ret, struct err *err)
{
	struct memory_store *m = calloc(1, sizeof *m);

	if (!m)
		return err_nomem(err);
	m->base.ops = &ops;
	arena_init(&m->arena, arena_size_max);
	m->next_token = m->next_plan = m->next_act = 1;
	m->next_incident = m->next_update = 1;
	*ret = &m->base;
	return 0;
}
