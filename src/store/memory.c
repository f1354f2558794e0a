/* The store in memory: for tests and simulations. The same rules as SQLite's, nothing kept.
 *
 * Strings live in one arena until the store is closed. A batch that fails is undone from
 * copies of the rows it changed, newest first; rows it added are dropped from the ends of
 * their lists. */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Out of memory is an error here, not an exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/err.h"
#include "store/backend.h"

static const size_t arena_size_max = (size_t)4 << 30;

struct mem_task {
	struct task_row row;
	size_t seq;
	char *key; /* map index (4 bytes) and name */
	UT_hash_handle hh;
};

struct mem_attempt {
	struct attempt_row row;
	int64_t token_before; /* of the same task; 0: none */
	UT_hash_handle hh;    /* by token */
};

struct mem_version {
	const char *hash, *text, *path, *dir;
	struct mem_version *next;
};

struct list {
	void **items;
	size_t n, cap;
};

struct mem_run {
	struct run_row row;
	struct mem_version *version;
	struct mem_task *tasks;
	struct list attempts, events, checks;
};

struct undo {
	void *row;
	size_t size;
	union {
		struct run_row run;
		struct task_row task;
		struct attempt_row attempt;
	} was;
};

/* A row that the batch added to the end of a list. */
struct added {
	struct list *list;
	struct mem_attempt *attempt; /* or NULL */
};

struct memory_store {
	struct store base;
	struct arena arena;
	struct list runs; /* struct mem_run, by id from 1 */
	struct mem_version *versions;
	struct mem_attempt *attempts;
	int64_t next_token, next_event, next_event_at_begin;
	struct undo *undo;
	size_t nundo, undo_cap;
	struct added *added;
	size_t nadded, added_cap;
};

static struct memory_store *cast(struct store *s)
{
	return (struct memory_store *)s;
}

/* ---- small things -------------------------------------------------------------------- */

static int list_add(struct list *l, void *item, struct err *err)
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

/* A copy that lives as long as the store; NULL for NULL. An arena that failed is found when
 * the batch ends. */
static const char *keep(struct memory_store *m, const char *text)
{
	return text ? arena_strdup(&m->arena, text) : NULL;
}

static const char *keep_or(struct memory_store *m, const char *text, const char *otherwise)
{
	return keep(m, text ? text : otherwise);
}

static struct mem_run *find_run(struct memory_store *m, int64_t id)
{
	return id > 0 && (uint64_t)id <= m->runs.n ? m->runs.items[id - 1] : NULL;
}

static struct mem_task *find_task(
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

static struct mem_attempt *find_attempt(struct memory_store *m, int64_t token)
{
	struct mem_attempt *a = NULL;

	HASH_FIND(hh, m->attempts, &token, sizeof token, a);
	return a;
}

/* ---- transactions -------------------------------------------------------------------- */

static void begin(struct memory_store *m)
{
	m->nundo = m->nadded = 0;
	m->next_event_at_begin = m->next_event;
}

/* To be called before a row is changed. */
static int save(struct memory_store *m, void *row, size_t size, struct err *err)
{
	if (grow((void **)&m->undo, m->nundo, &m->undo_cap, sizeof *m->undo, err) < 0)
		return -1;
	struct undo *u = &m->undo[m->nundo++];
	u->row = row;
	u->size = size;
	memcpy(&u->was, row, size);
	return 0;
}

static int add(
	struct memory_store *m, struct list *l, void *row, struct mem_attempt *a, struct err *err)
{
	if (grow((void **)&m->added, m->nadded, &m->added_cap, sizeof *m->added, err) < 0 ||
		list_add(l, row, err) < 0)
		return -1;
	m->added[m->nadded++] = (struct added){ l, a };
	return 0;
}

static void release_run(struct mem_run *run)
{
	HASH_CLEAR(hh, run->tasks);
	free(run->attempts.items);
	free(run->events.items);
	free(run->checks.items);
}

static void roll_back(struct memory_store *m)
{
	while (m->nundo) {
		struct undo *u = &m->undo[--m->nundo];
		memcpy(u->row, &u->was, u->size);
	}
	while (m->nadded) {
		struct added *a = &m->added[--m->nadded];
		a->list->n--;
		if (a->list == &m->runs)
			release_run(m->runs.items[m->runs.n]);
		if (a->attempt)
			HASH_DEL(m->attempts, a->attempt);
	}
	m->next_event = m->next_event_at_begin;
}

static int end(struct memory_store *m, int r, struct err *err)
{
	if (r == 0 && m->arena.failed)
		r = err_nomem(err);
	if (r < 0)
		roll_back(m);
	m->arena.failed = false;
	return r;
}

/* ---- runs ---------------------------------------------------------------------------- */

static struct mem_run *find_key(struct memory_store *m, const struct run_key *key)
{
	for (size_t i = 0; i < m->runs.n; i++) {
		struct mem_run *run = m->runs.items[i];
		if (run->row.interval_start_us == key->interval_start_us &&
			run->row.interval_end_us == key->interval_end_us &&
			strcmp(run->row.dag, key->dag) == 0)
			return run;
	}
	return NULL;
}

static struct mem_run *find_name(struct memory_store *m, const char *name)
{
	for (size_t i = 0; i < m->runs.n; i++) {
		struct mem_run *run = m->runs.items[i];
		if (strcmp(run->row.name, name) == 0)
			return run;
	}
	return NULL;
}

static struct mem_version *find_version(struct memory_store *m, const char *hash)
{
	struct mem_version *v = m->versions;

	while (v && strcmp(v->hash, hash) != 0)
		v = v->next;
	return v;
}

static struct mem_version *put_version(struct memory_store *m, const struct run_open *o)
{
	struct mem_version *v = find_version(m, o->version);
	const char *path = keep_or(m, o->dag_path, ""), *dir = keep_or(m, o->dag_dir, "");

	if (!v) {
		v = arena_alloc(&m->arena, sizeof *v);
		const char *hash = keep(m, o->version), *text = keep_or(m, o->text, "");
		if (m->arena.failed)
			return NULL;
		*v = (struct mem_version){ .hash = hash, .text = text, .next = m->versions };
		m->versions = v;
	}
	if (m->arena.failed)
		return NULL;
	v->path = path;
	v->dir = dir;
	return v;
}

static int put_task(
	struct memory_store *m, struct mem_run *run, const char *name, size_t seq, struct err *err)
{
	struct mem_task *t = find_task(m, run, name, -1);
	size_t len = strlen(name);
	int map_index = -1;

	if (t) {
		t->seq = seq;
		return 0;
	}
	t = arena_alloc(&m->arena, sizeof *t);
	char *key = arena_alloc(&m->arena, sizeof map_index + len + 1);
	if (!t || !key)
		return err_nomem(err);
	memcpy(key, &map_index, sizeof map_index);
	memcpy(key + sizeof map_index, name, len);
	t->key = key;
	t->seq = seq;
	t->row = (struct task_row){
		.run_id = run->row.id, .name = key + sizeof map_index, .map_index = map_index
	};
	HASH_ADD_KEYPTR(hh, run->tasks, key, sizeof map_index + len, t);
	return t->hh.tbl ? 0 : err_nomem(err);
}

static int add_event(struct memory_store *m, struct mem_run *run, const struct change *c,
	const char *from, const char *to, struct err *err)
{
	struct event_row *e = arena_alloc(&m->arena, sizeof *e);

	if (!e)
		return err_nomem(err);
	*e = (struct event_row){ .id = m->next_event++,
		.at_us = c->at_us,
		.run_id = run->row.id,
		.task = c->kind == CHANGE_RUN ? NULL : keep(m, c->task),
		.map_index = c->kind == CHANGE_RUN ? -1 : c->map_index,
		.from = from,
		.to = to,
		.reason = reason_name(c->reason) };
	return add(m, &run->events, e, NULL, err);
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
		.name = keep(m, name),
		.dag = keep(m, o->key.dag),
		.ds = keep_or(m, o->ds, ""),
		.zone = keep_or(m, o->zone, "UTC"),
		.params = keep_or(m, o->params, "{}"),
		.trigger = keep_or(m, o->trigger, "manual"),
		.interval_start_us = o->key.interval_start_us,
		.interval_end_us = o->key.interval_end_us,
		.state = RUN_QUEUED,
		.reason = REASON_CREATED,
		.created_us = o->now_us };
	struct change created = {
		.kind = CHANGE_RUN, .reason = REASON_CREATED, .at_us = o->now_us
	};
	if (add_event(m, run, &created, "", run_state_name(RUN_QUEUED), err) < 0 ||
		add(m, &m->runs, run, NULL, err) < 0)
		return NULL;
	return run;
}

static int take_run(
	struct memory_store *m, struct mem_run *run, const struct run_open *o, struct err *err)
{
	struct mem_version *version = put_version(m, o);

	if (!version || save(m, &run->row, sizeof run->row, err) < 0)
		return err_nomem(err);
	if (o->params)
		run->row.params = keep(m, o->params);
	run->row.version = version->hash;
	run->row.owner = o->owner;
	run->row.lease_until_us = o->lease_until_us;
	run->row.epoch++;
	for (size_t i = 0; i < o->ntasks; i++)
		if (put_task(m, run, o->tasks[i], i, err) < 0)
			return -1;
	run->version = version;
	return 0;
}

static int memory_run_open(
	struct store *s, const struct run_open *o, struct run_opened *ret, struct err *err)
{
	struct memory_store *m = cast(s);
	struct mem_run *run = find_key(m, &o->key);
	bool created = !run;

	if (run && backend_may_take(
			   run->row.name, &run->row.owner, run->row.lease_until_us, o, err) < 0)
		return -1;
	begin(m);
	if (!run)
		run = new_run(m, o, err);
	if (end(m, run ? take_run(m, run, o, err) : -1, err) < 0)
		return -1;
	*ret = (struct run_opened){ run->row.id, run->row.epoch, created };
	return 0;
}

static struct mem_run *owned_run(
	struct memory_store *m, int64_t run_id, int64_t epoch, struct err *err)
{
	struct mem_run *run = find_run(m, run_id);

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
	struct mem_run *run = owned_run(cast(s), run_id, epoch, err);

	if (!run)
		return -1;
	run->row.lease_until_us = lease_until_us;
	return 0;
}

static int memory_run_close(struct store *s, int64_t run_id, int64_t epoch, struct err *err)
{
	struct mem_run *run = owned_run(cast(s), run_id, epoch, err);

	if (!run)
		return -1;
	run->row.owner = (struct owner){ .pid = 0 };
	run->row.lease_until_us = 0;
	return 0;
}

static int memory_reserve_tokens(struct store *s, int64_t n, int64_t *ret_first, struct err *err)
{
	(void)err;
	*ret_first = cast(s)->next_token;
	cast(s)->next_token += n;
	return 0;
}

/* ---- changes ------------------------------------------------------------------------- */

static int change_run(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct run_row *r = &run->row;

	if (r->state != c->run.from)
		return backend_wrong_state(c, run_state_name(r->state), err);
	if (save(m, r, sizeof *r, err) < 0)
		return -1;
	r->state = c->run.to;
	r->reason = c->reason;
	if (r->state == RUN_RUNNING && !r->started_us)
		r->started_us = c->at_us;
	r->ended_us = run_state_is_final(r->state) ? c->at_us : 0;
	return add_event(m, run, c, run_state_name(c->run.from), run_state_name(c->run.to), err);
}

static int change_task(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct mem_task *t = find_task(m, run, c->task, c->map_index);

	if (!t)
		return backend_no_task(c, err);
	struct task_row *r = &t->row;
	if (r->state != c->state.from)
		return backend_wrong_state(c, task_state_name(r->state), err);
	if (save(m, r, sizeof *r, err) < 0)
		return -1;
	r->state = c->state.to;
	r->reason = c->reason;
	r->tries = c->state.tries;
	r->failures = c->state.failures;
	r->lost = c->state.lost;
	r->changed_us = c->at_us;
	r->due_us = c->state.due_us;
	if (backend_records_hash(c, r->hash))
		r->hash = keep(m, c->state.hash);
	r->outputs = keep(m, c->state.outputs);
	return add_event(
		m, run, c, task_state_name(c->state.from), task_state_name(c->state.to), err);
}

static bool has_try(struct memory_store *m, const struct mem_task *t, int try)
{
	int64_t token = t->row.token;

	for (struct mem_attempt *a; (a = find_attempt(m, token)) != NULL; token = a->token_before)
		if (a->row.try == try)
			return true;
	return false;
}

static int change_start(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct mem_task *t = find_task(m, run, c->task, c->map_index);
	int64_t token = c->attempt.token;

	if (!t)
		return backend_no_task(c, err);
	if (token <= t->row.token)
		return backend_bad_token(c, INT64_MAX, t->row.token, err);
	if (find_attempt(m, token) || has_try(m, t, c->attempt.try))
		return backend_token_used(c, err);
	if (save(m, &t->row, sizeof t->row, err) < 0)
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
	if (add(m, &run->attempts, a, a, err) == 0)
		return 0;
	HASH_DEL(m->attempts, a);
	return -1;
}

static int change_end(
	struct memory_store *m, struct mem_run *run, const struct change *c, struct err *err)
{
	struct mem_attempt *a = find_attempt(m, c->attempt.token);

	(void)run;
	if (!a || a->row.run_id != c->run_id || a->row.map_index != c->map_index ||
		strcmp(a->row.task, c->task) != 0)
		return backend_bad_end(c, NULL, err);
	if (a->row.outcome != OUTCOME_NONE)
		return backend_bad_end(c, outcome_name(a->row.outcome), err);
	if (save(m, &a->row, sizeof a->row, err) < 0)
		return -1;
	a->row.outcome = c->attempt.outcome;
	a->row.exit_status = c->attempt.exit_status;
	a->row.signal = c->attempt.signal;
	a->row.started_us = c->attempt.started_us;
	a->row.ended_us = c->attempt.ended_us;
	a->row.error = keep(m, c->attempt.error);
	a->row.result = keep(m, c->attempt.result);
	return 0;
}

static int (*const changers[])(
	struct memory_store *, struct mem_run *, const struct change *, struct err *) = {
	[CHANGE_RUN] = change_run,
	[CHANGE_TASK] = change_task,
	[CHANGE_START] = change_start,
	[CHANGE_END] = change_end,
	[CHANGE_STOP] = NULL, /* not stored */
};
static_assert(sizeof changers / sizeof *changers == CHANGE_KIND_MAX, "one for each kind");

static int change(struct memory_store *m, const struct change *c, struct err *err)
{
	struct mem_run *run = find_run(m, c->run_id);

	if (!changers[c->kind])
		return 0;
	if (c->kind == CHANGE_START && c->attempt.token >= m->next_token)
		return backend_bad_token(c, m->next_token, 0, err);
	if (run)
		return changers[c->kind](m, run, c, err);
	if (c->kind == CHANGE_RUN)
		return backend_no_run(c->run_id, err);
	return c->kind == CHANGE_END ? backend_bad_end(c, NULL, err) : backend_no_task(c, err);
}

static int add_check(struct memory_store *m, const struct check_row *c, struct err *err)
{
	struct mem_run *run = find_run(m, c->run_id);
	struct check_row *row;

	if (!run)
		return backend_no_run(c->run_id, err);
	row = arena_alloc(&m->arena, sizeof *row);
	if (!row)
		return err_nomem(err);
	*row = (struct check_row){ .run_id = c->run_id,
		.token = c->token,
		.task = keep(m, c->task),
		.name = keep(m, c->name),
		.severity = keep(m, c->severity),
		.status = keep(m, c->status),
		.observed = keep(m, c->observed),
		.expected = keep(m, c->expected),
		.sample = keep(m, c->sample) };
	return add(m, &run->checks, row, NULL, err);
}

static int memory_commit(struct store *s, const struct store_batch *b, struct err *err)
{
	struct memory_store *m = cast(s);
	int r = 0;

	for (size_t i = 0; i < b->nleases; i++)
		if (!owned_run(m, b->leases[i].run_id, b->leases[i].epoch, err))
			return -1;
	begin(m);
	for (size_t i = 0; r == 0 && i < b->nchanges; i++)
		r = change(m, &b->changes[i], err);
	for (size_t i = 0; r == 0 && i < b->nchecks; i++)
		r = add_check(m, &b->checks[i], err);
	return end(m, r, err);
}

/* ---- reading ------------------------------------------------------------------------- */

static const char *lend(struct arena *a, const char *text)
{
	return text ? arena_strdup(a, text) : NULL;
}

static void count_tasks(const struct mem_run *run, struct run_row *row)
{
	struct mem_task *t, *next;

	HASH_ITER (hh, run->tasks, t, next) {
		row->ntasks++;
		row->nsuccess += t->row.state == TASK_SUCCESS;
		row->nfailed += t->row.state == TASK_FAILED;
		row->nrunning += t->row.state == TASK_RUNNING;
	}
}

static void put_run(struct rows *rows, const struct mem_run *run)
{
	struct run_row *r = rows_add(rows);
	struct arena *a = rows->arena;

	if (!r)
		return;
	*r = run->row;
	r->name = lend(a, r->name);
	r->dag = lend(a, r->dag);
	r->ds = lend(a, r->ds);
	r->zone = lend(a, r->zone);
	r->params = lend(a, r->params);
	r->trigger = lend(a, r->trigger);
	r->version = lend(a, r->version);
	r->dag_path = lend(a, run->version->path);
	r->dag_dir = lend(a, run->version->dir);
	count_tasks(run, r);
}

static int by_id(const void *a, const void *b)
{
	const struct mem_run *x = *(struct mem_run *const *)a, *y = *(struct mem_run *const *)b;

	return x->row.id < y->row.id ? 1 : -1;
}

static int by_interval(const void *a, const void *b)
{
	const struct run_row *x = &(*(struct mem_run *const *)a)->row;
	const struct run_row *y = &(*(struct mem_run *const *)b)->row;

	if (x->interval_start_us != y->interval_start_us)
		return x->interval_start_us < y->interval_start_us ? 1 : -1;
	if (x->interval_end_us != y->interval_end_us)
		return x->interval_end_us < y->interval_end_us ? 1 : -1;
	return 0;
}

static int by_run_name(const void *a, const void *b)
{
	return strcmp(
		(*(struct mem_run *const *)a)->row.name, (*(struct mem_run *const *)b)->row.name);
}

/* Is there no run of this DAG with a newer interval? */
static bool is_latest(struct memory_store *m, struct mem_run *run)
{
	for (size_t i = 0; i < m->runs.n; i++) {
		struct mem_run *other = m->runs.items[i];
		if (strcmp(other->row.dag, run->row.dag) == 0 && by_interval(&run, &other) > 0)
			return false;
	}
	return true;
}

static bool run_matches(struct memory_store *m, struct mem_run *run, const struct run_query *q)
{
	const struct run_filter *f = q->filter;
	const struct run_row *r = &run->row;

	switch (q->kind) {
	case RUN_QUERY_FILTER:
		return (!f->dag || strcmp(f->dag, r->dag) == 0) &&
		       (f->state < 0 || f->state == (int)r->state) &&
		       (!f->latest_per_dag || is_latest(m, run));
	case RUN_QUERY_ID:
		return r->id == q->id;
	case RUN_QUERY_NAME:
		return strcmp(r->name, q->text) == 0;
	case RUN_QUERY_PREFIX:
		return strncmp(r->name, q->text, strlen(q->text)) == 0;
	case RUN_QUERY_KEY:
		return find_key(m, q->key) == run;
	default:
		return false;
	}
}

static int memory_runs(
	struct store *s, const struct run_query *q, struct store_result *ret, struct err *err)
{
	struct memory_store *m = cast(s);
	struct rows rows = { .arena = &ret->arena, .size = sizeof(struct run_row) };
	struct list found = { .n = 0 };
	int limit = q->kind == RUN_QUERY_FILTER ? q->filter->limit : q->limit;
	int (*order)(const void *, const void *) = by_id;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->runs.n; i++)
		if (run_matches(m, m->runs.items[i], q))
			r = list_add(&found, m->runs.items[i], err);
	if (q->kind == RUN_QUERY_PREFIX)
		order = by_run_name;
	else if (q->kind == RUN_QUERY_FILTER && q->filter->dag && !q->filter->latest_per_dag)
		order = by_interval;
	if (found.n)
		qsort(found.items, found.n, sizeof *found.items, order);
	for (size_t i = 0; i < found.n && (limit <= 0 || i < (size_t)limit); i++)
		put_run(&rows, found.items[i]);
	free(found.items);
	return r < 0 ? -1 : rows_end(&rows, ret, err);
}

static int by_seq(const void *a, const void *b)
{
	const struct mem_task *x = *(struct mem_task *const *)a, *y = *(struct mem_task *const *)b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	int r = strcmp(x->row.name, y->row.name);
	return r ? r : x->row.map_index - y->row.map_index;
}

static int put_tasks(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	struct list sorted = { .n = 0 };
	struct mem_task *t, *next;
	int r = 0;

	(void)q;
	HASH_ITER (hh, run->tasks, t, next)
		if (r == 0)
			r = list_add(&sorted, t, err);
	if (sorted.n)
		qsort(sorted.items, sorted.n, sizeof *sorted.items, by_seq);
	for (size_t i = 0; r == 0 && i < sorted.n; i++) {
		struct task_row *row = rows_add(rows);
		if (!row)
			break;
		*row = ((struct mem_task *)sorted.items[i])->row;
		row->name = lend(rows->arena, row->name);
		row->hash = lend(rows->arena, row->hash);
		row->outputs = lend(rows->arena, row->outputs);
	}
	free(sorted.items);
	return r;
}

static int by_token(const void *a, const void *b)
{
	const struct attempt_row *x = a, *y = b;

	return (x->token > y->token) - (x->token < y->token);
}

static int put_attempts(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < run->attempts.n; i++) {
		const struct attempt_row *a = &((struct mem_attempt *)run->attempts.items[i])->row;
		if ((q->task && strcmp(q->task, a->task) != 0) ||
			(q->kind == ROWS_IN_FLIGHT && a->outcome != OUTCOME_NONE))
			continue;
		struct attempt_row *row = rows_add(rows);
		if (!row)
			break;
		*row = *a;
		row->task = lend(rows->arena, a->task);
		row->error = lend(rows->arena, a->error);
		row->result = lend(rows->arena, a->result);
	}
	if (rows->n)
		qsort(rows->data, rows->n, rows->size, by_token);
	return 0;
}

static int put_events(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < run->events.n; i++) {
		const struct event_row *e = run->events.items[i];
		if (q->task && (!e->task || strcmp(q->task, e->task) != 0))
			continue;
		struct event_row *row = rows_add(rows);
		if (!row)
			break;
		*row = *e;
		row->task = lend(rows->arena, e->task);
	}
	return 0;
}

static int put_checks(
	struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err)
{
	(void)err;
	for (size_t i = 0; i < run->checks.n; i++) {
		const struct check_row *c = run->checks.items[i];
		if (q->task && strcmp(q->task, c->task) != 0)
			continue;
		struct check_row *row = rows_add(rows);
		if (!row)
			break;
		*row = (struct check_row){ .run_id = c->run_id,
			.token = c->token,
			.task = lend(rows->arena, c->task),
			.name = lend(rows->arena, c->name),
			.severity = lend(rows->arena, c->severity),
			.status = lend(rows->arena, c->status),
			.observed = lend(rows->arena, c->observed),
			.expected = lend(rows->arena, c->expected),
			.sample = lend(rows->arena, c->sample) };
	}
	return 0;
}

static const struct row_putter {
	size_t size;
	int (*put)(
		struct rows *rows, struct mem_run *run, const struct row_query *q, struct err *err);
} putters[] = {
	[ROWS_TASKS] = { sizeof(struct task_row), put_tasks },
	[ROWS_ATTEMPTS] = { sizeof(struct attempt_row), put_attempts },
	[ROWS_IN_FLIGHT] = { sizeof(struct attempt_row), put_attempts },
	[ROWS_EVENTS] = { sizeof(struct event_row), put_events },
	[ROWS_CHECKS] = { sizeof(struct check_row), put_checks },
};
static_assert(sizeof putters / sizeof *putters == ROWS_MAX, "one for each kind");

static int memory_rows(
	struct store *s, const struct row_query *q, struct store_result *ret, struct err *err)
{
	struct rows rows = { .arena = &ret->arena, .size = putters[q->kind].size };
	struct mem_run *run = find_run(cast(s), q->run_id);

	if (run && putters[q->kind].put(&rows, run, q, err) < 0)
		return -1;
	return rows_end(&rows, ret, err);
}

static int memory_version_text(
	struct store *s, const char *version, char **ret_text, struct err *err)
{
	struct mem_version *v = find_version(cast(s), version);

	if (!v)
		return err_set(err, ERR_NOT_FOUND, "there is no DAG version %s", version);
	char *text = strdup(v->text);
	if (!text)
		return err_nomem(err);
	*ret_text = text;
	return 0;
}

/* ---- opening and closing ------------------------------------------------------------- */

static void memory_free(struct store *s)
{
	struct memory_store *m = cast(s);

	for (size_t i = 0; i < m->runs.n; i++)
		release_run(m->runs.items[i]);
	HASH_CLEAR(hh, m->attempts);
	free(m->runs.items);
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
	.runs = memory_runs,
	.rows = memory_rows,
	.version_text = memory_version_text,
};

int store_open_memory(struct store **ret, struct err *err)
{
	struct memory_store *m = calloc(1, sizeof *m);

	if (!m)
		return err_nomem(err);
	m->base.ops = &ops;
	arena_init(&m->arena, arena_size_max);
	m->next_token = m->next_event = 1;
	*ret = &m->base;
	return 0;
}
