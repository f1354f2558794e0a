/* DAGs whose schedule waits for datasets: what is updated is collected, and becomes runs.
 *
 * The store has what waits for each (store_dataset_follow); here it is counted. An update is told
 * by the engine, when it commits one, or found by its number in the store, when somebody else did:
 * that is looked at now and then, and when a person says so. A run and what it takes are one
 * transaction; a daemon that is started again counts what was not taken.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "core/model.h"
#include "run/daemon_impl.h"

enum { NEWS_AT_ONCE = 1000, RUNS_AT_ONCE = 64 };

struct consumer {
	char *name;
	struct dataset_rule rule; /* its own */
	struct dataset_pending pending;
	bool load; /* what waits is to be read from the store */
	bool due;  /* it is to be judged, and in that list */
	struct consumer *next_due;
	/* A run of the same interval is active, or another's, since so many runs were in hand. */
	bool refused;
	int refused_at;
	UT_hash_handle hh;
};

/* Who waits for a dataset. */
struct topic {
	char *name;
	struct consumer **list;
	size_t n, cap;
	UT_hash_handle hh;
};

struct daemon_datasets {
	struct consumer *consumers, *due;
	struct topic *topics;
	struct store_result followed; /* cursors, as the store had them at the start */
	size_t nload;                 /* consumers to be loaded */
	int64_t seen_id;              /* updates up to it were looked at */
	bool look, more;
};

/* ---- the DAGs ------------------------------------------------------------------------- */

static void free_rule(struct dataset_rule *r)
{
	for (size_t i = 0; i < r->n; i++)
		free((char *)r->refs[i].name);
	free((void *)r->refs);
	*r = (struct dataset_rule){ .n = 0 };
}

static int copy_rule(struct dataset_rule *to, const struct dataset_rule *from)
{
	struct dataset_ref *refs = calloc(from->n + 1, sizeof *refs);

	*to = (struct dataset_rule){ from->when, refs, 0 };
	for (; refs && to->n < from->n; to->n++)
		if (!(refs[to->n].name = strdup(from->refs[to->n].name)))
			return -1;
	return refs ? 0 : -1;
}

static bool same_rule(const struct dataset_rule *a, const struct dataset_rule *b)
{
	bool same = a->when == b->when && a->n == b->n;

	for (size_t i = 0; same && i < a->n; i++)
		same = strcmp(a->refs[i].name, b->refs[i].name) == 0;
	return same;
}

static struct consumer *find(const struct daemon *d, const char *name)
{
	struct consumer *c;

	HASH_FIND_STR(d->datasets->consumers, name, c);
	return c;
}

static void make_due(struct daemon_datasets *ds, struct consumer *c)
{
	if (c->due)
		return;
	c->due = true;
	c->next_due = ds->due;
	ds->due = c;
}

static struct topic *find_topic(const struct daemon_datasets *ds, const char *dataset)
{
	struct topic *t;

	HASH_FIND_STR(ds->topics, dataset, t);
	return t;
}

static void free_topic(struct daemon_datasets *ds, struct topic *t)
{
	HASH_DEL(ds->topics, t);
	free(t->name);
	free(t->list);
	free(t);
}

static struct topic *need_topic(struct daemon_datasets *ds, const char *dataset)
{
	struct topic *t = find_topic(ds, dataset);

	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (!t || !(t->name = strdup(dataset))) {
		free(t);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, ds->topics, t->name, strlen(t->name), t);
	return t;
}

static int listen_to(struct daemon_datasets *ds, const char *dataset, struct consumer *c)
{
	struct topic *t = need_topic(ds, dataset);

	if (t && t->n == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 4;
		struct consumer **grown = reallocarray(t->list, cap, sizeof(struct consumer *));
		if (!grown)
			return -1;
		t->list = grown;
		t->cap = cap;
	}
	if (!t)
		return -1;
	t->list[t->n++] = c;
	return 0;
}

static void unlisten(struct daemon_datasets *ds, const char *dataset, const struct consumer *c)
{
	struct topic *t = find_topic(ds, dataset);
	size_t i = 0;

	while (t && i < t->n && t->list[i] != c)
		i++;
	if (t && i < t->n)
		t->list[i] = t->list[--t->n];
	if (t && t->n == 0)
		free_topic(ds, t);
}

static void free_consumer(struct daemon_datasets *ds, struct consumer *c)
{
	struct consumer **at = &ds->due;

	while (*at && *at != c)
		at = &(*at)->next_due;
	if (*at)
		*at = c->next_due;
	ds->nload -= c->load;
	for (size_t i = 0; i < c->rule.n; i++)
		unlisten(ds, c->rule.refs[i].name, c);
	free_rule(&c->rule);
	dataset_pending_release(&c->pending);
	free(c->name);
	free(c);
}

static struct consumer *add(struct daemon_datasets *ds, const struct catalog_dag *dag)
{
	struct consumer *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->name = strdup(dag->name);
	bool good = c->name && copy_rule(&c->rule, &dag->datasets) == 0 &&
		    dataset_pending_init(&c->pending, &c->rule, NULL) == 0;
	for (size_t i = 0; good && i < c->rule.n; i++)
		good = listen_to(ds, c->rule.refs[i].name, c) == 0;
	if (!good) {
		free_consumer(ds, c);
		return NULL;
	}
	c->load = true;
	ds->nload++;
	HASH_ADD_KEYPTR(hh, ds->consumers, c->name, strlen(c->name), c);
	return c;
}

void daemon_datasets_remove(struct daemon *d, const char *name)
{
	struct consumer *c = find(d, name);

	if (!c)
		return;
	HASH_DEL(d->datasets->consumers, c);
	free_consumer(d->datasets, c);
}

/* One without datasets may have had some, with this daemon or before: the store forgets them. */
static void unfollow(struct daemon *d, const char *name, bool had)
{
	const struct dataset_follow f = { .dag = name, .now_us = clock_now_us() };
	const struct store_result *rows = &d->datasets->followed;
	struct err err = { 0 };
	bool any = had;

	for (size_t i = 0; i < rows->n && !any; i++)
		any = strcmp(rows->cursors[i].dag, name) == 0;
	if (any && store_dataset_follow(d->engine.store, &f, &err) < 0)
		say(d, LEVEL_ERROR, "cannot record who waits for datasets", { "dag", name },
			{ "error", err.msg });
}

void daemon_datasets_set(struct daemon *d, const struct catalog_dag *dag)
{
	struct consumer *c = find(d, dag->name);
	bool had = c != NULL;

	if (c && same_rule(&c->rule, &dag->datasets)) {
		make_due(d->datasets, c);
		return;
	}
	daemon_datasets_remove(d, dag->name);
	if (!dag->datasets.n)
		unfollow(d, dag->name, had);
	else if (!add(d->datasets, dag))
		say(d, LEVEL_ERROR, "no memory to wait for datasets", { "dag", dag->name });
}

/* ---- what is updated ------------------------------------------------------------------ */

void daemon_datasets_changed(struct daemon *d, const struct active_run *r, const struct change *c)
{
	if (c->kind != CHANGE_TASK || c->state.to != TASK_SUCCESS ||
		!r->dag->tasks[c->task_index].nproduces)
		return;
	d->datasets->look = true;
	event_active(d->on_turn, 0, 0);
}

void daemon_datasets_look(struct daemon *d)
{
	struct consumer *c, *next;

	d->datasets->look = true;
	HASH_ITER (hh, d->datasets->consumers, c, next)
		c->refused = false;
}

static struct dataset_update update_of(const struct dataset_update_row *row)
{
	return (struct dataset_update){ row->id, row->dataset, row->start_us, row->end_us,
		row->at_us };
}

static void feed(struct daemon *d, const struct dataset_update_row *row)
{
	const struct dataset_update u = update_of(row);
	const struct topic *t = find_topic(d->datasets, row->dataset);

	engine_dataset_updated(&d->engine, row->dataset);
	if (!row->wakes)
		return;
	daemon_fresh_updated(d, row->dataset);
	for (size_t i = 0; t && i < t->n; i++)
		if (dataset_pending_add(&t->list[i]->pending, &t->list[i]->rule, &u))
			make_due(d->datasets, t->list[i]);
}

/* What is new in the store, a portion of it. */
static int read_news(struct daemon *d, struct err *err)
{
	struct daemon_datasets *ds = d->datasets;
	const struct update_filter f = {
		.which = UPDATES_AFTER, .id = ds->seen_id, .limit = NEWS_AT_ONCE
	};
	struct store_result rows;

	if (store_dataset_updates(d->engine.store, &f, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++) {
		feed(d, &rows.updates[i]);
		ds->seen_id = rows.updates[i].id;
	}
	ds->more = rows.n == NEWS_AT_ONCE;
	ds->look = ds->more;
	store_result_release(&rows);
	return 0;
}

/* All that is in the store by now is looked at: what waits, and what was taken before. */
static int count_waiting(struct daemon *d, struct consumer *c, struct err *err)
{
	const struct update_filter waiting = { .which = UPDATES_WAITING, .dag = c->name };
	struct store_result rows, cursors;

	if (store_dataset_updates(d->engine.store, &waiting, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++) {
		const struct dataset_update u = update_of(&rows.updates[i]);
		dataset_pending_add(&c->pending, &c->rule, &u);
	}
	store_result_release(&rows);
	if (store_dataset_cursors(d->engine.store, c->name, &cursors, err) < 0)
		return -1;
	for (size_t i = 0; i < cursors.n; i++)
		if (cursors.cursors[i].seen_id > c->pending.upto)
			c->pending.upto = cursors.cursors[i].seen_id;
	store_result_release(&cursors);
	return 0;
}

/* What waits for a DAG that is new here. */
static int load(struct daemon *d, struct consumer *c, struct err *err)
{
	const char **names = calloc(c->rule.n + 1, sizeof *names);
	const struct dataset_follow f = { c->name, names, c->rule.n, clock_now_us() };

	if (!names)
		return err_nomem(err);
	for (size_t i = 0; i < c->rule.n; i++)
		names[i] = c->rule.refs[i].name;
	int rc = store_dataset_follow(d->engine.store, &f, err);
	free(names);
	if (rc < 0 || count_waiting(d, c, err) < 0)
		return -1;
	c->load = false;
	d->datasets->nload--;
	make_due(d->datasets, c);
	return 0;
}

static int load_new(struct daemon *d, struct err *err)
{
	struct consumer *c, *next;

	if (d->datasets->nload == 0)
		return 0;
	HASH_ITER (hh, d->datasets->consumers, c, next)
		if (c->load && load(d, c, err) < 0)
			return -1;
	return 0;
}

/* ---- what is due ---------------------------------------------------------------------- */

/* Runs on their way into the store. */
struct batch {
	struct arena arena;
	struct run_open opens[RUNS_AT_ONCE];
	struct run_opened opened[RUNS_AT_ONCE];
	struct dataset_take takes[RUNS_AT_ONCE];
	struct dataset_due dues[RUNS_AT_ONCE];
	struct consumer *of[RUNS_AT_ONCE];
	size_t n;
};

static void add_run(struct daemon *d, struct batch *b, struct consumer *c,
	const struct catalog_dag *dag, const struct dataset_due *due)
{
	const struct run_key key = { c->name, due->start_us, due->end_us };
	struct run_open open = daemon_new_run(d, dag, &key, &b->arena);

	open.trigger = DAEMON_TRIGGER_DATASET;
	open.only_ended = true;
	b->opens[b->n] = open;
	b->takes[b->n] = (struct dataset_take){ b->n, due->upto };
	b->dues[b->n] = *due;
	b->of[b->n++] = c;
}

/* False: nothing is due. What waits for the end of a pause or a run is judged again at each turn.
 */
static bool judge(struct daemon *d, struct batch *b, struct consumer *c)
{
	const struct catalog_dag *dag = catalog_find(d->catalog, c->name);
	const struct steered *s = daemon_steer(d, c->name);
	struct dataset_due due;

	if (!dag || dag->params_error || !s)
		return false;
	if (c->refused && c->refused_at == s->live)
		return true;
	const struct dataset_room room = { s->paused || s->draining, s->active,
		dag->max_active_runs };
	enum dataset_verdict v = dataset_decide(&c->rule, &c->pending, &room, &due);
	if (v == DATASET_DUE)
		add_run(d, b, c, dag, &due);
	return v != DATASET_WAITS;
}

static void take_run(struct daemon *d, const struct batch *b, size_t i)
{
	struct consumer *c = b->of[i];
	struct steered *s = daemon_steer(d, c->name);
	const struct run_opened *o = &b->opened[i];
	const struct pending_run run = {
		.run_id = o->run_id, .epoch = o->epoch, .again = !o->created
	};
	char number[32];

	if (!o->run_id) {
		c->refused = true;
		c->refused_at = s ? s->live : 0;
		return;
	}
	snprintf(number, sizeof number, "%lld", (long long)b->dues[i].count);
	say(d, LEVEL_INFO, "datasets", { "dag", c->name },
		{ "action", o->created ? "create" : "again" }, { "run", b->opens[i].name },
		{ "updates", number });
	c->refused = false;
	dataset_pending_clear(&c->pending);
	if (s)
		s->active++;
	planner_run_started(d->planner, c->name);
	daemon_add_pending(d, &run);
}

static int commit(struct daemon *d, struct batch *b, struct err *err)
{
	const struct store_plan plan = {
		.opens = b->opens, .nopens = b->n, .takes = b->takes, .ntakes = b->n
	};

	if (b->arena.failed)
		return err_nomem(err);
	if (store_plan_commit(d->engine.store, &plan, b->opened, err) < 0)
		return -1;
	for (size_t i = 0; i < b->n; i++)
		take_run(d, b, i);
	return 0;
}

static int make_runs(struct daemon *d, struct err *err)
{
	struct daemon_datasets *ds = d->datasets;
	struct batch *b = calloc(1, sizeof *b);
	struct consumer *list = ds->due;
	int rc = 0;

	if (!b)
		return err_nomem(err);
	arena_init(&b->arena, BUF_MAX_TEXT);
	ds->due = NULL;
	while (list) {
		struct consumer *c = list;
		list = c->next_due;
		c->due = false;
		if (b->n == RUNS_AT_ONCE || judge(d, b, c))
			make_due(ds, c);
	}
	ds->more = ds->more || b->n == RUNS_AT_ONCE;
	if (b->n > 0)
		rc = commit(d, b, err);
	arena_release(&b->arena);
	free(b);
	return rc;
}

int daemon_datasets_plan(struct daemon *d, struct err *err)
{
	d->datasets->more = false;
	if (load_new(d, err) < 0 || (d->datasets->look && read_news(d, err) < 0))
		return -1;
	return d->datasets->due ? make_runs(d, err) : 0;
}

bool daemon_datasets_has_more(const struct daemon *d)
{
	const struct daemon_datasets *ds = d->datasets;

	return !d->stopping && (ds->more || ds->look || ds->nload > 0);
}

/* ---- the whole ------------------------------------------------------------------------ */

int daemon_datasets_init(struct daemon *d, struct err *err)
{
	const struct update_filter newest = { .which = UPDATES_OF, .limit = 1 };
	struct store_result rows;

	d->datasets = calloc(1, sizeof *d->datasets);
	if (!d->datasets)
		return err_nomem(err);
	if (store_dataset_updates(d->engine.store, &newest, &rows, err) < 0)
		return -1;
	d->datasets->seen_id = rows.n ? rows.updates[0].id : 0;
	store_result_release(&rows);
	return store_dataset_cursors(d->engine.store, NULL, &d->datasets->followed, err);
}

void daemon_datasets_release(struct daemon *d)
{
	struct consumer *c, *next;

	if (!d->datasets)
		return;
	HASH_ITER (hh, d->datasets->consumers, c, next) {
		HASH_DEL(d->datasets->consumers, c);
		free_consumer(d->datasets, c);
	}
	store_result_release(&d->datasets->followed);
	free(d->datasets);
	d->datasets = NULL;
}
