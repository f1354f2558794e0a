/* Runs of the daemon: made by the planner, by people and by backfills; taken in hand, and let go.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/civil.h"
#include "base/clock.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/daemon_impl.h"
#include "run/name.h"
#include "run/restore.h"

/* Decisions are committed in portions, so that the first runs of a busy second do not wait for the
 * last; runs in hand are limited, so that ten thousand queued ones cost little memory. */
enum {
	FIRST_PORTION = 32,
	PORTION = 256,
	BRING_UP_AT_ONCE = 64,
	IN_HAND_MAX = 1000,
	STATE_TEXT_MAX = 8192
};

/* ---- the queue of opened runs --------------------------------------------------------- */

int daemon_add_pending(struct daemon *d, const struct pending_run *p)
{
	if (d->pending_head > 0 && d->npending == 0)
		d->pending_head = 0;
	size_t end = d->pending_head + d->npending;
	if (end == d->pending_cap && d->pending_head > d->pending_cap / 2) {
		memmove(d->pending, d->pending + d->pending_head, d->npending * sizeof *d->pending);
		d->pending_head = 0;
		end = d->npending;
	}
	if (end == d->pending_cap) {
		size_t cap = d->pending_cap ? d->pending_cap * 2 : 64;
		struct pending_run *grown = reallocarray(d->pending, cap, sizeof *grown);
		if (!grown)
			return -1;
		d->pending = grown;
		d->pending_cap = cap;
	}
	d->pending[end] = *p;
	d->npending++;
	return 0;
}

/* ---- taking a run in hand ------------------------------------------------------------- */

/* It counts for max_active_runs. */
static bool is_scheduled(const struct run_row *row)
{
	bool final = run_state_is_final(row->state);

	/* One that is to be done again is final, and wanted. */
	if (strcmp(row->trigger, DAEMON_TRIGGER_DATASET) == 0)
		return !final || row->wanted;
	return strcmp(row->trigger, "schedule") == 0 && !final;
}

/* The backfill in whose places it runs, and which waits for its end: not one that updates of
 * datasets have done again since, whatever it was made by. */
static int64_t backfill_of(const struct run_row *row)
{
	return strcmp(row->trigger, DAEMON_TRIGGER_DATASET) == 0 ? 0 : row->backfill_id;
}

struct dag *daemon_load_version(void *arg, const struct run_row *row, struct err *err)
{
	struct daemon *d = arg;
	const struct config *config;

	return catalog_load_run(d->catalog, d->engine.store, row, &config, err);
}

static struct active_run *take(struct daemon *d, const struct run_row *row,
	const struct pending_run *p, struct dag *dag, const struct config *config, struct err *err)
{
	struct run_data *data = calloc(1, sizeof *data);
	json_t *params = json_loads(row->params, 0, NULL);
	struct active_run *r = NULL;

	if (data && params && (data->dag = daemon_steer(d, row->dag))) {
		data->scheduled = is_scheduled(row);
		data->backfill_id = backfill_of(row);
		data->created_us = row->created_us;
		const struct engine_take t = { .run_id = row->id,
			.epoch = p->epoch,
			.name = row->name,
			.ds = row->ds,
			.state = row->state,
			.dag = dag,
			.config = config,
			.params = params,
			.interval_start_us = row->interval_start_us,
			.interval_end_us = row->interval_end_us,
			.cancelling = row->cancelling,
			.data = data };
		r = engine_take(&d->engine, &t, err);
	} else {
		err_nomem(err);
	}
	json_decref(params);
	if (!r)
		free(data);
	return r;
}

/* The tasks that are to be done: all, or those that whoever began the run had asked for. True: some
 * are left out. */
static bool choose(const struct dag *dag, const char *only, bool again, struct task_init *ret)
{
	json_t *names = only ? json_loads(only, 0, NULL) : NULL, *name;
	bool partial = names != NULL;
	size_t i;

	for (int t = 0; t < dag->ntasks; t++) {
		ret[t].selected = !partial;
		ret[t].clear = again;
	}
	json_array_foreach(names, i, name)
	{
		const struct task *t = dag_find(dag, json_string_value(name));
		if (t)
			ret[t->index].selected = true;
	}
	json_decref(names);
	return partial;
}

static void say_adopted(struct daemon *d, const struct active_run *r, int n)
{
	char number[16];

	snprintf(number, sizeof number, "%d", n);
	say(d, LEVEL_INFO, "tasks of an earlier process still run; they are adopted",
		{ "run", r->name }, { "tasks", number });
}

static int start(struct daemon *d, struct active_run *r, const struct pending_run *p,
	const struct run_row *row, struct err *err)
{
	struct task_init *tasks = calloc((size_t)r->dag->ntasks + 1, sizeof *tasks);
	const struct run_data *data = r->data;
	struct live_backfill *b = daemon_backfill(d, data->backfill_id);
	/* In one that waits what is to be done again is cleared already. */
	struct run_init run = { .lane = b ? b->lane : 0,
		.resume = !run_state_is_final(row->state) };

	if (!tasks)
		return err_nomem(err);
	run.ignore_needs = choose(r->dag, row->only, p->again, tasks);
	int rc = engine_resume(&d->engine, r, &run, tasks, err);
	free(tasks);
	if (rc < 0)
		return -1;
	if (rc > 0)
		say_adopted(d, r, rc);
	daemon_hold_run(d, r);
	return 0;
}

/* A run that did not come into motion holds no slot of its DAG or backfill. */
static void free_slots(struct daemon *d, const struct run_row *row)
{
	struct live_backfill *b = daemon_backfill(d, backfill_of(row));
	struct steered *s = daemon_steer(d, row->dag);

	if (b)
		b->active--;
	if (s && is_scheduled(row)) {
		s->active--;
		planner_run_ended(d->planner, row->dag);
	}
}

/* It did not come into motion. A full disk or a locked database passes: then it is tried again. A
 * supervisor that does not answer keeps nobody else waiting: the next look at the store finds the
 * run again. */
static int put_off(struct daemon *d, const struct run_row *row, const struct pending_run *p,
	struct active_run *r, struct err *err)
{
	bool later = err->code == ERR_TIMEOUT;
	bool passes = !later && (err_info(err->code)->transient || err->code == ERR_STORE);

	if (r) {
		struct run_data *data = r->data;
		data->dag->live--;
		free(data);
		r->data = NULL;
		engine_drop(&d->engine, r, false);
	}
	if (passes)
		return -1;
	d->put_off = true;
	say(d, later ? LEVEL_WARN : LEVEL_ERROR,
		later ? "the run cannot go on yet; tried again"
		      : "the run cannot go on; tried again",
		{ "run", row->name }, { "error", err->msg });
	store_run_close(d->engine.store, p->run_id, p->epoch, NULL);
	free_slots(d, row);
	return 0;
}

/* Bring one opened run into motion. A run that cannot be (its version no longer loads) is let go;
 * it stays wanted. -1: try again later. */
static int bring_up(struct daemon *d, const struct pending_run *p, struct err *err)
{
	struct store_result found = { 0 };
	char ref[32];

	snprintf(ref, sizeof ref, "%lld", (long long)p->run_id);
	if (store_run_find(d->engine.store, ref, &found, err) < 0)
		return -1;
	const struct run_row *row = &found.runs[0];
	const struct config *config;
	struct dag *dag = catalog_load_run(d->catalog, d->engine.store, row, &config, err);
	struct active_run *r = dag ? take(d, row, p, dag, config, err) : NULL;
	int rc = 0;
	if (r) {
		struct run_data *data = r->data;
		data->dag->live++;
		rc = start(d, r, p, row, err);
		if (rc == 0)
			daemon_sla_taken(d, r, row);
	}
	if (r && rc == 0 && p->cancel)
		sched_cancel_run(d->engine.sched, r->id, false, clock_now_us());
	if (!r || rc < 0)
		rc = put_off(d, row, p, r, err);
	else if (run_state_is_final(r->state) && engine_is_idle(&d->engine, r))
		/* Its last task had ended meanwhile: no step will tell. */
		daemon_run_idle(d, r);
	dag_unref(dag);
	store_result_release(&found);
	return rc;
}

static bool can_promote(const struct daemon *d)
{
	return d->npending > 0 && HASH_CNT(hh, d->engine.runs) < IN_HAND_MAX;
}

int daemon_promote_first(struct daemon *d, struct err *err)
{
	if (bring_up(d, &d->pending[d->pending_head], err) < 0)
		return -1;
	d->pending_head++;
	d->npending--;
	return 0;
}

int daemon_promote(struct daemon *d, struct err *err)
{
	for (int n = 0; n < BRING_UP_AT_ONCE && can_promote(d) && !d->stopping; n++)
		if (daemon_promote_first(d, err) < 0)
			return -1;
	return 0;
}

/* ---- letting go ----------------------------------------------------------------------- */

void daemon_forget_run(struct daemon *d, struct active_run *r)
{
	struct run_data *data = r->data;
	struct live_backfill *b = daemon_backfill(d, data->backfill_id);

	data->dag->live--;
	if (b)
		b->active--;
	free(data);
	r->data = NULL;
	engine_drop(&d->engine, r, true);
}

void daemon_run_idle(struct daemon *d, struct active_run *r)
{
	struct run_data *data = r->data;

	if (data->scheduled) {
		data->dag->active--;
		planner_run_ended(d->planner, r->dag->name);
	}
	daemon_forget_run(d, r);
}

/* ---- what the planner decided --------------------------------------------------------- */

/* One portion on its way into the store. */
struct portion {
	struct arena arena;
	struct plan_row rows[PORTION];
	struct run_open opens[PORTION];
	struct run_opened opened[PORTION];
	const struct planner_decision *of[PORTION]; /* which decision an open comes from */
	struct plan_state states[PORTION];
	size_t nrows, nopens, nstates;
};

static const char *keep_name(
	struct arena *a, const struct run_key *key, const char *ds, bool long_form)
{
	char *name = run_name(key, ds, long_form);
	const char *copy = name ? arena_strdup(a, name) : NULL;

	free(name);
	return copy;
}

static size_t count(char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

struct run_open daemon_new_run(
	struct daemon *d, const struct catalog_dag *c, const struct run_key *key, struct arena *a)
{
	int64_t now = clock_now_us();
	char ds[32];

	run_ds(c->spec.zone, key->interval_start_us, ds, sizeof ds);
	return (struct run_open){ .key = *key,
		.name = keep_name(a, key, ds, false),
		.long_name = keep_name(a, key, ds, true),
		.ds = arena_strdup(a, ds),
		.zone = zone_name(c->spec.zone ? c->spec.zone : zone_utc()),
		.params = c->params,
		.dag_path = c->path,
		.dag_dir = c->dir,
		.version = c->version,
		.text = c->text,
		.tasks = (const char *const *)c->tasks,
		.ntasks = count(c->tasks),
		.owner = d->engine.self,
		.lease_until_us = now + ENGINE_LEASE_US,
		.now_us = now,
		.wanted = true };
}

static void add_open(struct daemon *d, struct portion *p, const struct planner_decision *dec)
{
	const struct catalog_dag *c = catalog_find(d->catalog, dec->dag);
	const struct run_key key = { dec->dag, dec->tick.start_us, dec->tick.end_us };

	/* Its file is gone since: nothing to run. */
	if (!c)
		return;
	struct run_open open = daemon_new_run(d, c, &key, &p->arena);
	open.trigger = "schedule";
	open.only_new = true;
	p->of[p->nopens] = dec;
	p->opens[p->nopens++] = open;
}

static void add_row(struct portion *p, const struct planner_decision *dec)
{
	p->rows[p->nrows++] = (struct plan_row){ .at_us = clock_now_us(),
		.dag = dec->dag,
		.action = planner_action_name(dec->action),
		.why = planner_why_name(dec->why),
		.start_us = dec->tick.start_us,
		.end_us = dec->tick.end_us,
		.run_after_us = dec->tick.run_after_us,
		.count = dec->count };
}

/* The state of a DAG is that after all decisions made so far: it is kept with the last of them. */
static void find_last(struct daemon *d, const struct planner_decision *list, size_t n)
{
	for (size_t i = d->decided; i < n; i++) {
		struct steered *s = daemon_steer(d, list[i].dag);
		if (s)
			s->last_decision = i;
	}
}

static bool is_last(struct daemon *d, const struct planner_decision *list, size_t i)
{
	const struct steered *s = daemon_steer(d, list[i].dag);

	return s && s->last_decision == i;
}

static void add_state(struct daemon *d, struct portion *p, const char *dag)
{
	struct planner_state state;
	struct buf text;

	if (!planner_state(d->planner, dag, &state))
		return;
	buf_init(&text, STATE_TEXT_MAX);
	planner_state_add(&text, &state);
	p->states[p->nstates++] = (struct plan_state){ dag, arena_strdup(&p->arena, text.data) };
	buf_release(&text);
}

static void cancel_oldest(struct daemon *d, const char *dag)
{
	struct active_run *r, *next, *oldest = NULL;

	HASH_ITER (hh, d->engine.runs, r, next) {
		const struct run_data *data = r->data;
		if (data && data->scheduled && !data->cancelling &&
			strcmp(r->dag->name, dag) == 0 &&
			(!oldest || r->job.interval_start_us < oldest->job.interval_start_us))
			oldest = r;
	}
	if (!oldest)
		return;
	((struct run_data *)oldest->data)->cancelling = true;
	say(d, LEVEL_WARN, "cancelling the run to make room for the next", { "run", oldest->name });
	sched_cancel_run(d->engine.sched, oldest->id, false, clock_now_us());
}

static void say_decision(
	struct daemon *d, const struct portion *p, const struct planner_decision *dec)
{
	const char *run = NULL;
	struct civil c;
	struct buf start;

	if (dec->action == PLANNER_KEEP)
		return;
	civil_from_us(dec->tick.start_us, &c);
	buf_init(&start, 64);
	civil_add_rfc3339(&start, &c, 0);
	for (size_t i = 0; i < p->nopens && !run; i++)
		if (p->of[i] == dec)
			run = p->opens[i].name;
	say(d, dec->action == PLANNER_SKIP ? LEVEL_WARN : LEVEL_INFO, "schedule",
		{ "dag", dec->dag }, { "action", planner_action_name(dec->action) },
		{ "why", planner_why_name(dec->why) }, { "run", run },
		{ "interval_start", start.data });
	buf_release(&start);
}

/* Runs that are made go on; one that was there before, made by hand, is not ours to count. */
static void take_opened(struct daemon *d, const struct portion *p)
{
	for (size_t i = 0; i < p->nopens; i++) {
		const struct planner_decision *dec = p->of[i];
		struct steered *s = daemon_steer(d, dec->dag);
		const struct pending_run run = { .run_id = p->opened[i].run_id,
			.epoch = p->opened[i].epoch };
		if (!run.run_id || !s) {
			say(d, LEVEL_INFO, "the run is there already", { "run", p->opens[i].name });
			planner_run_ended(d->planner, dec->dag);
			continue;
		}
		s->active++;
		daemon_add_pending(d, &run);
	}
}

static int commit_portion(struct daemon *d, struct portion *p, struct err *err)
{
	const struct store_plan plan = { .rows = p->rows,
		.nrows = p->nrows,
		.states = p->states,
		.nstates = p->nstates,
		.opens = p->opens,
		.nopens = p->nopens };

	if (p->arena.failed)
		return err_nomem(err);
	return store_plan_commit(d->engine.store, &plan, p->opened, err);
}

static void fill_portion(struct daemon *d, struct portion *p, const struct planner_decision *list,
	size_t begin, size_t end)
{
	arena_init(&p->arena, BUF_MAX_TEXT);
	for (size_t i = begin; i < end; i++) {
		if (list[i].action == PLANNER_CREATE)
			add_open(d, p, &list[i]);
		if (list[i].action != PLANNER_KEEP)
			add_row(p, &list[i]);
		if (is_last(d, list, i))
			add_state(d, p, list[i].dag);
	}
}

int daemon_plan(struct daemon *d, struct err *err)
{
	/* The first portion is small: its runs are in motion before the next one is made. */
	size_t size = d->portion ? d->portion : FIRST_PORTION;
	size_t n, begin = d->decided, end = begin + size;

	planner_decisions(d->planner, &n);
	if (n < end && planner_tick_some(d->planner, clock_now_us(), end - n, err) < 0)
		return -1;
	const struct planner_decision *list = planner_decisions(d->planner, &n);
	d->portion = 0;
	if (n == begin)
		return 0;
	struct portion *p = calloc(1, sizeof *p);
	if (!p)
		return err_nomem(err);
	if (end > n)
		end = n;
	find_last(d, list, n);
	fill_portion(d, p, list, begin, end);
	int rc = commit_portion(d, p, err);
	for (size_t i = begin; rc == 0 && i < end; i++) {
		say_decision(d, p, &list[i]);
		daemon_sla_passed(d, &list[i]);
		if (list[i].action == PLANNER_CANCEL)
			cancel_oldest(d, list[i].dag);
	}
	if (rc == 0) {
		take_opened(d, p);
		/* What was committed is not committed again when the rest is. */
		d->decided = end < n ? end : 0;
		if (end == n)
			planner_clear_decisions(d->planner);
		if (end < n || planner_wake_us(d->planner) <= clock_now_us())
			d->portion = size * 2 < PORTION ? size * 2 : PORTION;
	}
	arena_release(&p->arena);
	free(p);
	return rc;
}

bool daemon_has_more(const struct daemon *d)
{
	return !d->stopping && (d->portion > 0 || can_promote(d));
}

/* ---- after a restart, and by request -------------------------------------------------- */

static int open_wanted(struct daemon *d, const struct run_row *row, struct err *err)
{
	char *text = NULL;
	/* What failed goes on where it stopped, unless all of it was asked for again. */
	const struct live_backfill *b = daemon_backfill(d, backfill_of(row));
	bool all = b && strcmp(row->trigger, "backfill") == 0 &&
		   strcmp(b->row.mode, backfill_mode_names[BACKFILL_ALL]) == 0;
	bool again = run_state_is_final(row->state) &&
		     (all || strcmp(row->trigger, OPS_TRIGGER_FORCE) == 0 ||
			     strcmp(row->trigger, DAEMON_TRIGGER_DATASET) == 0);

	if (engine_find(&d->engine, row->id))
		return 0;
	if (store_version_text(d->engine.store, row->version, &text, err) < 0)
		return -1;
	struct pending_run run = {
		.run_id = row->id, .backfill_id = backfill_of(row), .again = again
	};
	int rc = engine_open_wanted(&d->engine, row, text, &run.epoch, err);
	free(text);
	/* Another's: it is that one's to carry on. */
	if (rc < 0 && err->code == ERR_REFUSED)
		return 0;
	return rc < 0 ? -1 : daemon_add_pending(d, &run);
}

static bool is_pending(const struct daemon *d, int64_t run_id)
{
	for (size_t i = 0; i < d->npending; i++)
		if (d->pending[d->pending_head + i].run_id == run_id)
			return true;
	return false;
}

int daemon_count_wanted(struct daemon *d, struct err *err)
{
	const struct run_filter wanted = { .state = -1, .wanted = true };
	struct store_result rows = { 0 };

	if (store_runs(d->engine.store, &wanted, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++) {
		struct steered *s =
			is_scheduled(&rows.runs[i]) ? daemon_steer(d, rows.runs[i].dag) : NULL;
		if (s) {
			s->counted++;
			s->active++;
		}
	}
	store_result_release(&rows);
	return 0;
}

/* Runs that were counted, and that somebody else has carried on since. */
static void uncount_rest(struct daemon *d)
{
	struct steered *s, *next;

	HASH_ITER (hh, d->steered, s, next)
		for (; s->counted > 0; s->counted--) {
			s->active--;
			planner_run_ended(d->planner, s->name);
		}
}

static void count_taken(struct daemon *d, struct steered *s, const struct run_row *row)
{
	struct live_backfill *b = daemon_backfill(d, backfill_of(row));

	if (b)
		b->active++;
	if (!is_scheduled(row))
		return;
	if (s->counted > 0) {
		s->counted--;
		return;
	}
	s->active++;
	planner_run_started(d->planner, row->dag);
}

/* Carry a run of the store on, unless it is here already. True: it was taken; -1 in *rc: the store
 * refuses. */
static bool take_row(struct daemon *d, const struct run_row *row, int *rc, struct err *err)
{
	struct steered *s = daemon_steer(d, row->dag);
	size_t before = d->npending;

	if (!s || engine_find(&d->engine, row->id) || is_pending(d, row->id))
		return false;
	*rc = open_wanted(d, row, err);
	if (*rc < 0 || d->npending == before)
		return false;
	count_taken(d, s, row);
	return true;
}

int daemon_take_over(struct daemon *d, struct err *err)
{
	const struct run_filter wanted = { .state = -1, .wanted = true };
	struct store_result rows = { 0 };

	if (store_runs(d->engine.store, &wanted, &rows, err) < 0)
		return -1;
	int rc = 0;
	/* Oldest first: the rows are newest first. */
	for (size_t i = rows.n; rc == 0 && i-- > 0;) {
		const struct run_row *row = &rows.runs[i];
		if (!take_row(d, row, &rc, err))
			continue;
		say(d, LEVEL_INFO, d->taken_over ? "run asked for" : "run taken over",
			{ "run", row->name }, { "state", run_state_name(row->state) });
	}
	if (rc == 0)
		uncount_rest(d);
	store_result_release(&rows);
	return rc;
}

/* A run in the foreground that was killed, or a daemon elsewhere: who looks first carries it on. */
int daemon_take_left(struct daemon *d, struct err *err)
{
	const struct run_filter others = { .state = -1, .not_of = &d->engine.self };
	struct store_result rows = { 0 };
	int rc = store_runs(d->engine.store, &others, &rows, err);

	for (size_t i = rows.n; rc == 0 && i-- > 0;) {
		const struct run_row *row = &rows.runs[i];
		bool left = owner_is_dead(&row->owner) || row->lease_until_us < clock_now_us();
		if (!left || !take_row(d, row, &rc, err))
			continue;
		say(d, LEVEL_INFO, "its owner is gone: the run is carried on",
			{ "run", row->name });
	}
	store_result_release(&rows);
	return rc;
}
