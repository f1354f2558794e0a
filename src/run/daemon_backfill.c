/* Backfills: runs of a range of intervals, made one after the other, in a lane of their own. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "core/zone.h"
#include "run/daemon_impl.h"
#include "run/name.h"

enum { INTERVALS_MAX = 200000 };

struct live_backfill *daemon_backfill(struct daemon *d, int64_t id)
{
	struct live_backfill *b = NULL;

	if (id)
		HASH_FIND(hh, d->backfills, &id, sizeof id, b);
	return b;
}

/* ---- which intervals ------------------------------------------------------------------ */

static int list_intervals(struct live_backfill *b, const struct schedule_spec *spec)
{
	struct timetable_range range;
	struct tick t;
	size_t cap = 0;

	timetable_range_init(&range, spec, b->row.from_us, b->row.to_us);
	while (timetable_range_next(&range, &t) && b->nspans < INTERVALS_MAX) {
		if (b->nspans == cap) {
			cap = cap ? cap * 2 : 64;
			struct planner_span *grown = reallocarray(b->spans, cap, sizeof *grown);
			if (!grown)
				return -1;
			b->spans = grown;
		}
		b->spans[b->nspans++] = (struct planner_span){ t.start_us, t.end_us };
	}
	return 0;
}

static const struct planner_span *span_at(const struct live_backfill *b)
{
	return &b->spans[b->row.newest_first ? b->nspans - 1 - b->next : b->next];
}

/* Behind what is done already. The cursor is where the next interval is looked for: the earliest
 * start (newest first: the latest) that has not been looked at. */
static void find_place(struct live_backfill *b)
{
	for (b->next = 0; b->next < b->nspans; b->next++) {
		int64_t start = span_at(b)->start_us;
		if (b->row.newest_first ? start <= b->row.cursor_us : start >= b->row.cursor_us)
			return;
	}
}

/* ---- which backfills ------------------------------------------------------------------ */

static int free_lane(const struct daemon *d)
{
	const struct live_backfill *b;

	for (int lane = 1;; lane++) {
		bool taken = false;
		for (b = d->backfills; b; b = b->hh.next)
			taken = taken || b->lane == lane;
		if (!taken)
			return lane;
	}
}

static void forget(struct daemon *d, struct live_backfill *b)
{
	HASH_DEL(d->backfills, b);
	store_result_release(&b->kept);
	free(b->spans);
	free(b);
}

static int add(struct daemon *d, int64_t id, struct err *err)
{
	struct live_backfill *b = calloc(1, sizeof *b);

	if (!b)
		return err_nomem(err);
	if (store_backfills(d->engine.store, id, &b->kept, err) < 0 || b->kept.n == 0)
		goto fail;
	b->row = b->kept.backfills[0];
	b->id = id;
	b->lane = free_lane(d);
	const struct catalog_dag *c = catalog_find(d->catalog, b->row.dag);
	if (!c) {
		err_set(err, ERR_NOT_FOUND, "backfill %lld: there is no DAG %s in the folder",
			(long long)id, b->row.dag);
		goto fail;
	}
	if (list_intervals(b, &c->spec) < 0 ||
		sched_set_lane(d->engine.sched, b->lane, b->row.jobs) < 0) {
		err_nomem(err);
		goto fail;
	}
	find_place(b);
	HASH_ADD(hh, d->backfills, id, sizeof b->id, b);
	return 0;
fail:
	store_result_release(&b->kept);
	free(b->spans);
	free(b);
	return -1;
}

int daemon_backfills_init(struct daemon *d, struct err *err)
{
	struct store_result rows = { 0 };

	if (store_backfills(d->engine.store, 0, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++) {
		const struct backfill_row *row = &rows.backfills[i];
		struct err why = { 0 };
		bool open = row->state == BACKFILL_RUNNING || row->state == BACKFILL_PAUSED;
		if (open && !daemon_backfill(d, row->id) && add(d, row->id, &why) < 0)
			say(d, LEVEL_ERROR, "the backfill cannot go on", { "error", why.msg });
	}
	store_result_release(&rows);
	return 0;
}

void daemon_backfills_release(struct daemon *d)
{
	struct live_backfill *b, *next;

	HASH_ITER (hh, d->backfills, b, next)
		forget(d, b);
}

static void cancel_runs(struct daemon *d, int64_t id)
{
	struct active_run *r, *next;

	HASH_ITER (hh, d->engine.runs, r, next) {
		const struct run_data *data = r->data;
		if (data && data->backfill_id == id)
			sched_cancel_run(d->engine.sched, r->id, false, clock_now_us());
	}
	for (size_t i = 0; i < d->npending; i++) {
		struct pending_run *p = &d->pending[d->pending_head + i];
		p->cancel = p->cancel || p->backfill_id == id;
	}
}

void daemon_backfill_changed(struct daemon *d, int64_t id)
{
	struct live_backfill *b = daemon_backfill(d, id);
	struct store_result rows = { 0 };
	struct err err = { 0 };

	if (!b && add(d, id, &err) < 0) {
		say(d, LEVEL_ERROR, "the backfill cannot go on", { "error", err.msg });
		return;
	}
	b = daemon_backfill(d, id);
	if (store_backfills(d->engine.store, id, &rows, &err) == 0 && rows.n == 1) {
		b->row.state = rows.backfills[0].state;
		char number[32];
		snprintf(number, sizeof number, "%lld", (long long)id);
		say(d, LEVEL_INFO, "backfill", { "backfill", number }, { "dag", b->row.dag },
			{ "state", backfill_state_name(b->row.state) });
		if (b->row.state == BACKFILL_CANCELLED)
			cancel_runs(d, id);
	}
	store_result_release(&rows);
}

/* ---- feeding -------------------------------------------------------------------------- */

struct opening {
	const struct catalog_dag *dag;
	struct run_key key;
	const struct run_row *existing; /* NULL: none */
	bool again;
};

static int open_run(
	struct daemon *d, struct live_backfill *b, const struct opening *o, struct err *err)
{
	int64_t now = clock_now_us();
	char ds[32];
	size_t ntasks = 0;
	struct run_opened opened = { 0 };

	run_ds(o->dag->spec.zone, o->key.interval_start_us, ds, sizeof ds);
	while (o->dag->tasks[ntasks])
		ntasks++;
	char *name = run_name(&o->key, ds, false), *long_name = run_name(&o->key, ds, true);
	const struct run_open open = { .key = o->key,
		.name = name,
		.long_name = long_name,
		.ds = ds,
		.zone = zone_name(o->dag->spec.zone ? o->dag->spec.zone : zone_utc()),
		.params = ops_backfill_params(b->row.params, o->existing, o->dag->params),
		.trigger = "backfill",
		.dag_path = o->dag->path,
		.dag_dir = o->dag->dir,
		.version = o->dag->version,
		.text = o->dag->text,
		.tasks = (const char *const *)o->dag->tasks,
		.ntasks = ntasks,
		.owner = d->engine.self,
		.lease_until_us = now + ENGINE_LEASE_US,
		.now_us = now,
		.wanted = true,
		.backfill_id = b->id };
	const struct backfill_cursor cursor = { .id = b->id,
		.cursor_us = o->key.interval_start_us + (b->row.newest_first ? -1 : 1) };
	const struct store_plan plan = {
		.opens = &open, .nopens = 1, .cursors = &cursor, .ncursors = 1
	};
	int rc = name && long_name ? store_plan_commit(d->engine.store, &plan, &opened, err)
				   : err_nomem(err);
	if (rc == 0 && opened.run_id) {
		const struct pending_run p = { .run_id = opened.run_id,
			.epoch = opened.epoch,
			.backfill_id = b->id,
			.again = o->again };
		b->active++;
		rc = daemon_add_pending(d, &p);
	}
	free(name);
	free(long_name);
	return rc;
}

static int feed_one(
	struct daemon *d, struct live_backfill *b, const struct catalog_dag *c, struct err *err)
{
	const struct planner_span *span = span_at(b);
	struct opening o = { .dag = c, .key = { b->row.dag, span->start_us, span->end_us } };
	struct store_result found = { 0 };
	enum backfill_mode mode = BACKFILL_ONLY_MISSING;
	const char *why;

	for (int i = 0; backfill_mode_names[i]; i++)
		if (strcmp(backfill_mode_names[i], b->row.mode) == 0)
			mode = (enum backfill_mode)i;
	if (store_run_by_key(d->engine.store, &o.key, &found, err) < 0)
		return -1;
	const struct run_row *existing = found.n ? &found.runs[0] : NULL;
	enum backfill_action action = ops_backfill_decide(mode, existing, &why);
	o.existing = existing;
	o.again = action == BACKFILL_OVERWRITE;
	/* An interval that is not complete yet has no data. */
	bool complete = span->end_us <= clock_now_us();
	int rc = 0;
	if (action != BACKFILL_SKIP && complete)
		rc = open_run(d, b, &o, err);
	store_result_release(&found);
	if (rc == 0)
		b->next++;
	return rc;
}

static int finish(struct daemon *d, struct live_backfill *b, struct err *err)
{
	const struct backfill_cursor cursor = {
		.id = b->id, .cursor_us = b->row.to_us, .exhausted = true
	};
	const struct store_plan plan = { .cursors = &cursor, .ncursors = 1 };
	int64_t now = clock_now_us();

	if (b->row.state == BACKFILL_RUNNING &&
		(store_plan_commit(d->engine.store, &plan, NULL, err) < 0 ||
			store_backfill_set(
				d->engine.store, b->id, BACKFILL_DONE, NULL, NULL, now, err) < 0))
		return -1;
	char number[32];
	snprintf(number, sizeof number, "%lld", (long long)b->id);
	say(d, LEVEL_INFO, "backfill ended", { "backfill", number }, { "dag", b->row.dag },
		{ "state", b->row.state == BACKFILL_RUNNING ? "done" : "cancelled" });
	forget(d, b);
	return 0;
}

int daemon_backfills_feed(struct daemon *d, struct err *err)
{
	struct live_backfill *b, *next;

	HASH_ITER (hh, d->backfills, b, next) {
		const struct catalog_dag *c = catalog_find(d->catalog, b->row.dag);
		bool running = b->row.state == BACKFILL_RUNNING && c && !d->stopping;
		while (running && b->active < b->row.jobs && b->next < b->nspans)
			if (feed_one(d, b, c, err) < 0)
				return -1;
		bool over = b->row.state == BACKFILL_CANCELLED ||
			    (b->row.state == BACKFILL_RUNNING && b->next >= b->nspans);
		if (over && b->active == 0 && finish(d, b, err) < 0)
			return -1;
	}
	return 0;
}
