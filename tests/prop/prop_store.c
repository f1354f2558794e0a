/* Random histories, legal and illegal, on both backends at once: the same answers, the same
 * kinds of error, and after each refused batch nothing changed. PROP_SEED and PROP_STEPS in the
 * environment repeat or prolong one; the seed is printed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/rng.h"
#include "store/store.h"

enum { NDAGS = 3, NTASKS = 5, NRUNS = 12, BATCH = 8, MAX_ID = 8192, NBACKFILLS = 4 };

static const char *const dags[] = { "a", "b", "sales" };
static const char *const tasks[] = { "t0", "t1", "t2", "t3", "t4" };
static const char *const breakers[] = { "api", "warehouse" };
enum { NBREAKERS = 2 };
static const char *const texts[] = { NULL, "", "x", "{\"rows\":1}",
	"Gr\xc3\xb6\xc3\x9f"
	"e\n2nd" };

struct world {
	struct store *s[2];
	struct err err[2];
	struct rng rng;
	int64_t now_us, token, last_id; /* last_id: the newest run */
	int64_t epoch[MAX_ID];
	struct owner owners[2];
	int refused, accepted, commits, forgotten; /* commits: the accepted ones */
	int late;                                  /* results recorded as such */
};

static int below(struct world *w, int n)
{
	return (int)rng_below(&w->rng, (uint64_t)n);
}

static bool one_in(struct world *w, int n)
{
	return below(w, n) == 0;
}

/* ---- what a store holds, as text ----------------------------------------------------- */

static void add_text(struct buf *b, const char *text)
{
	buf_addf(b, " %s", text ? text : "(null)");
}

static void add_run(struct buf *b, const struct run_row *r)
{
	buf_addf(b, "run %" PRId64 " %s %s %s %s %s %s %s %s %s", r->id, r->name, r->dag, r->ds,
		r->zone, r->params, r->trigger, r->version, r->dag_path, r->dag_dir);
	buf_addf(b, " %" PRId64 " %" PRId64 " %d %d %" PRId64 " %" PRId64 " %" PRId64,
		r->interval_start_us, r->interval_end_us, r->state, r->reason, r->created_us,
		r->started_us, r->ended_us);
	buf_addf(b, " %s %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d %d %d %d",
		r->owner.host, r->owner.boot_id, r->owner.pid, r->owner.start_ticks,
		r->lease_until_us, r->epoch, r->ntasks, r->nsuccess, r->nfailed, r->nrunning);
	buf_addf(b, " wanted %d cancelling %d backfill %" PRId64 "\n", r->wanted, r->cancelling,
		r->backfill_id);
}

static void add_runs(struct buf *b, struct store *s, struct run_filter f)
{
	struct store_result r;
	struct err err;

	assert_int_equal(store_runs(s, &f, &r, &err), 0);
	for (size_t i = 0; i < r.n; i++)
		add_run(b, &r.runs[i]);
	store_result_release(&r);
}

static void add_tasks(struct buf *b, struct store *s, int64_t id)
{
	struct store_result r;

	assert_int_equal(store_tasks(s, id, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++) {
		const struct task_row *t = &r.tasks[i];
		buf_addf(b,
			"task %" PRId64 " %s %d %d %d %d %d %d %" PRId64 " %" PRId64 " %" PRId64,
			t->run_id, t->name, t->map_index, t->state, t->reason, t->tries,
			t->failures, t->lost, t->changed_us, t->due_us, t->token);
		add_text(b, t->hash);
		add_text(b, t->outputs);
		add_text(b, t->item);
		buf_addc(b, '\n');
	}
	store_result_release(&r);
}

static void add_attempts(struct buf *b, const struct store_result *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct attempt_row *a = &r->attempts[i];
		buf_addf(b, "attempt %" PRId64 " %" PRId64 " %s %d %d %d %d %d", a->token,
			a->run_id, a->task, a->map_index, a->try, a->outcome, a->exit_status,
			a->signal);
		buf_addf(b, " %" PRId64 " %" PRId64 " %" PRId64, a->queued_us, a->started_us,
			a->ended_us);
		add_text(b, a->error);
		add_text(b, a->result);
		buf_addc(b, '\n');
	}
}

static void add_events(struct buf *b, struct store *s, int64_t id, const char *task)
{
	struct store_result r;

	assert_int_equal(store_events(s, id, task, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++) {
		const struct event_row *e = &r.events[i];
		buf_addf(b, "event %" PRId64 " %" PRId64 " %" PRId64 " %d %s %s %s", e->id,
			e->at_us, e->run_id, e->map_index, e->from, e->to, e->reason);
		add_text(b, e->task);
		add_text(b, e->detail);
		buf_addc(b, '\n');
	}
	store_result_release(&r);
}

static void add_checks(struct buf *b, struct store *s, int64_t id)
{
	struct store_result r;

	assert_int_equal(store_checks(s, id, NULL, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++) {
		const struct check_row *c = &r.checks[i];
		buf_addf(b, "check %" PRId64 " %" PRId64 " %s %d %s %s %s", c->run_id, c->token,
			c->task, c->map_index, c->name, c->severity, c->status);
		add_text(b, c->observed);
		add_text(b, c->expected);
		add_text(b, c->sample);
		buf_addc(b, '\n');
	}
	store_result_release(&r);
}

static void add_plan(struct buf *b, const struct plan_row *p)
{
	if (!p) {
		buf_addstr(b, "no plan\n");
		return;
	}
	buf_addf(b, "plan %" PRId64 " %" PRId64 " %s %s %s", p->id, p->at_us, p->dag, p->action,
		p->why);
	buf_addf(b, " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", p->start_us, p->end_us,
		p->run_after_us, p->count);
}

static void add_dags(struct buf *b, struct store *s, const char *name)
{
	struct store_result r;

	assert_int_equal(store_dags(s, name, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++) {
		const struct dag_row *d = &r.dags[i];
		buf_addf(b, "dag %s %d %d %d %d %" PRId64 " %" PRId64, d->name, d->present,
			d->paused, d->draining, d->all_paused, d->paused_us, d->draining_us);
		add_text(b, d->path);
		add_text(b, d->dir);
		add_text(b, d->version);
		add_text(b, d->error);
		add_text(b, d->paused_by);
		add_text(b, d->paused_reason);
		add_text(b, d->draining_by);
		add_text(b, d->draining_reason);
		add_text(b, d->plan_state);
		buf_addc(b, ' ');
		add_plan(b, d->last);
	}
	store_result_release(&r);
}

static void add_plans(struct buf *b, struct store *s, const char *dag)
{
	struct store_result r;
	int64_t typical = -1;

	for (int limit = 0; limit < 4; limit += 3) {
		assert_int_equal(store_plans(s, dag, limit, &r, NULL), 0);
		for (size_t i = 0; i < r.n; i++)
			add_plan(b, &r.plans[i]);
		store_result_release(&r);
	}
	for (int n = 0; n < 6; n++) {
		assert_int_equal(store_typical_us(s, dag, n, &typical, NULL), 0);
		buf_addf(b, "typical %" PRId64 "\n", typical);
	}
}

static void add_frozen(struct buf *b, struct store *s, const char *dag)
{
	struct store_result r;

	assert_int_equal(store_frozen(s, dag, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++) {
		const struct frozen_row *z = &r.frozen[i];
		buf_addf(b, "frozen %s %s %" PRId64, z->dag, z->task, z->at_us);
		add_text(b, z->by);
		add_text(b, z->reason);
		buf_addc(b, '\n');
	}
	store_result_release(&r);
}

static void add_backfills(struct buf *b, struct store *s, int64_t id)
{
	struct store_result r;

	assert_int_equal(store_backfills(s, id, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++) {
		const struct backfill_row *z = &r.backfills[i];
		buf_addf(b, "backfill %" PRId64 " %s %s %s %d %d %d %s", z->id, z->dag, z->mode,
			z->params, z->newest_first, z->exhausted, z->jobs,
			backfill_state_name(z->state));
		buf_addf(b, " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, z->from_us,
			z->to_us, z->created_us, z->ended_us, z->cursor_us);
		buf_addf(b, " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, z->ntotal, z->nsuccess,
			z->nfailed, z->nactive);
		add_text(b, z->by);
		add_text(b, z->reason);
		add_text(b, z->state_by);
		add_text(b, z->state_reason);
		buf_addc(b, '\n');
	}
	store_result_release(&r);
}

/* Every set of conditions, with every value that they have. */
static void add_filters(struct buf *b, struct store *s)
{
	for (int set = 0; set < 1 << 7; set++) {
		struct run_filter f = { .state = set & 2 ? set % RUN_STATE_MAX : -1,
			.dag = set & 1 ? dags[set / 2 % NDAGS] : NULL,
			.latest_per_dag = set & 4,
			.wanted = set & 8,
			.backfill_id = set & 16 ? 1 + set % 3 : 0,
			.in_range = set & 32,
			.newest_first = set & 64,
			.from_us = set % 3,
			.to_us = 1 + set % 4,
			.limit = set % 5 };
		buf_addf(b, "conditions %d\n", set);
		add_runs(b, s, f);
	}
	for (int i = 0; i < NDAGS; i++)
		add_runs(b, s, (struct run_filter){ .dag = dags[i], .state = -1 });
	for (int state = 0; state < RUN_STATE_MAX; state++)
		add_runs(b, s, (struct run_filter){ .state = state, .limit = 3 });
	for (int64_t id = 1; id < NBACKFILLS; id++)
		add_runs(b, s, (struct run_filter){ .state = -1, .backfill_id = id });
	add_runs(b, s, (struct run_filter){ .state = -1, .wanted = true });
}

static void add_acts(struct buf *b, const struct store_result *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct outbox_row *o = &r->outbox[i];
		buf_addf(b, "act %" PRId64 " %s %s %s %s %d %" PRId64 " %" PRId64 " %" PRId64,
			o->id, o->key, o->kind, o->payload, outbox_state_name(o->state), o->tries,
			o->created_us, o->due_us, o->ended_us);
		add_text(b, o->error);
		buf_addc(b, '\n');
	}
}

static void add_outbox(struct buf *b, struct store *s)
{
	struct store_result r;
	int64_t next;

	for (int state = -1; state < OUTBOX_STATE_MAX; state++) {
		assert_int_equal(store_outbox_list(s, state, state + 1, &r, NULL), 0);
		add_acts(b, &r);
		store_result_release(&r);
	}
	assert_int_equal(store_outbox_next(s, &next, NULL), 0);
	assert_int_equal(store_outbox_due(s, next + 20, 2, &r, NULL), 0);
	add_acts(b, &r);
	store_result_release(&r);
	buf_addf(b, "next act %" PRId64 "\n", next);
}

static void add_breakers(struct buf *b, struct store *s)
{
	struct store_result r;

	for (int i = -1; i < NBREAKERS; i++) {
		const char *name = i < 0 ? NULL : breakers[i];
		assert_int_equal(store_breakers(s, name, &r, NULL), 0);
		for (size_t k = 0; k < r.n; k++) {
			const struct breaker_row *row = &r.breakers[k];
			buf_addf(b, "breaker %s %s %d %" PRId64 " %d", row->name, row->text,
				row->state, row->since_us, row->why);
			add_text(b, row->by);
			add_text(b, row->reason);
		}
		store_result_release(&r);
		assert_int_equal(store_breaker_events(s, name, i + 1, &r, NULL), 0);
		for (size_t k = 0; k < r.n; k++) {
			const struct breaker_event_row *e = &r.breaker_events[k];
			buf_addf(b, "breaker event %" PRId64 " %" PRId64 " %s %d %d %d", e->id,
				e->at_us, e->name, e->from, e->to, e->why);
			add_text(b, e->by);
			add_text(b, e->reason);
			add_text(b, e->run);
			add_text(b, e->task);
		}
		store_result_release(&r);
	}
}

static void add_updates(struct buf *b, struct store *s, struct update_filter f)
{
	struct store_result r;

	assert_int_equal(store_dataset_updates(s, &f, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++) {
		const struct dataset_update_row *u = &r.updates[i];
		buf_addf(b,
			"update %d %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %d %" PRId64
			" %" PRId64 " %d",
			(int)f.which, u->id, u->at_us, u->start_us, u->end_us, u->map_index,
			u->run_id, u->work, u->wakes);
		add_text(b, u->dataset);
		add_text(b, u->dag);
		add_text(b, u->task);
		add_text(b, u->run);
		add_text(b, u->by);
		add_text(b, u->reason);
		buf_addc(b, '\n');
	}
	store_result_release(&r);
}

static void add_datasets(struct buf *b, struct store *s)
{
	struct store_result r;

	assert_int_equal(store_datasets(s, NULL, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++)
		buf_addf(b, "dataset %s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n",
			r.datasets[i].name, r.datasets[i].since_us, r.datasets[i].fresh_us,
			r.datasets[i].end_us, r.datasets[i].last ? r.datasets[i].last->id : 0);
	store_result_release(&r);
	assert_int_equal(store_dataset_links(s, NULL, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++)
		buf_addf(b, "link %s %s %s %d %" PRId64 "\n", r.links[i].dag, r.links[i].dataset,
			r.links[i].task, (int)r.links[i].role, r.links[i].fresh_within_us);
	store_result_release(&r);
	assert_int_equal(store_dataset_cursors(s, NULL, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++)
		buf_addf(b, "cursor %s %s %" PRId64 " %" PRId64 "\n", r.cursors[i].dag,
			r.cursors[i].dataset, r.cursors[i].seen_id, r.cursors[i].since_us);
	store_result_release(&r);
	add_updates(b, s, (struct update_filter){ .which = UPDATES_OF });
	add_updates(
		b, s, (struct update_filter){ .which = UPDATES_OF, .dataset = "d1", .limit = 3 });
	add_updates(b, s, (struct update_filter){ .which = UPDATES_AFTER, .id = 5, .limit = 2 });
	for (int i = 0; i < NDAGS; i++)
		add_updates(
			b, s, (struct update_filter){ .which = UPDATES_WAITING, .dag = dags[i] });
	add_updates(b, s,
		(struct update_filter){
			.which = UPDATES_DURING, .dataset = "d0", .from_us = 2, .to_us = 3 });
}

static void add_tokens(struct buf *b, struct store *s, const struct store_result *attempts)
{
	struct store_result r;

	for (size_t i = 0; i < attempts->n; i++) {
		assert_int_equal(store_token(s, attempts->attempts[i].token, &r, NULL), 0);
		assert_int_equal(r.n, 1);
		const struct token_row *t = &r.tokens[0];
		buf_addf(b, "token %" PRId64 " %" PRId64 " %s %s %d %d %d", t->token, t->run_id,
			t->run, t->task, t->map_index, t->try, t->outcome);
		buf_addf(b, " %" PRId64 " %d %" PRId64 " %" PRId64 " %d\n", t->ended_us,
			t->run_state, t->newest, t->newest_queued_us, t->newest_try);
		store_result_release(&r);
	}
}

static void add_run_rows(struct buf *b, struct store *s, int64_t id)
{
	struct store_result r;

	add_tasks(b, s, id);
	add_events(b, s, id, NULL);
	add_events(b, s, id, tasks[id % NTASKS]);
	add_checks(b, s, id);
	add_updates(b, s, (struct update_filter){ .which = UPDATES_BY, .id = id });
	add_updates(b, s, (struct update_filter){ .which = UPDATES_TAKEN, .id = id });
	assert_int_equal(store_attempts(s, id, NULL, &r, NULL), 0);
	add_attempts(b, &r);
	add_tokens(b, s, &r);
	store_result_release(&r);
	assert_int_equal(store_attempts_in_flight(s, id, &r, NULL), 0);
	add_attempts(b, &r);
	store_result_release(&r);
}

/* All of it, by every query. */
static char *dump(struct store *s)
{
	static const char *const versions[] = { "v1", "v2", "v3" };
	struct buf b;
	struct store_result r;

	buf_init(&b, BUF_MAX_TEXT);
	add_filters(&b, s);
	add_dags(&b, s, NULL);
	add_frozen(&b, s, NULL);
	add_backfills(&b, s, 0);
	add_backfills(&b, s, 2);
	add_outbox(&b, s);
	add_breakers(&b, s);
	add_datasets(&b, s);
	for (int i = 0; i < NDAGS; i++) {
		add_dags(&b, s, dags[i]);
		add_frozen(&b, s, dags[i]);
		add_plans(&b, s, dags[i]);
	}
	for (int i = 0; i < 3; i++) {
		char *text = NULL;
		store_version_text(s, versions[i], &text, NULL);
		add_text(&b, text);
		free(text);
	}
	assert_int_equal(store_runs(s, &(struct run_filter){ .state = -1 }, &r, NULL), 0);
	for (size_t i = 0; i < r.n; i++)
		add_run_rows(&b, s, r.runs[i].id);
	store_result_release(&r);
	assert_false(b.failed);
	return buf_take(&b);
}

/* Both texts are long; the first line in which they differ tells enough. */
static void check_equal_text(const char *a, const char *b)
{
	size_t at = 0, line = 0;

	while (a[at] && a[at] == b[at])
		if (a[at++] == '\n')
			line = at;
	if (a[at] || b[at])
		fail_msg("sqlite: %.*s; memory: %.*s", (int)strcspn(a + line, "\n"), a + line,
			(int)strcspn(b + line, "\n"), b + line);
}

static void check_equal(struct world *w)
{
	char *a = dump(w->s[0]), *b = dump(w->s[1]);

	check_equal_text(a, b);
	free(a);
	free(b);
}

/* ---- steps --------------------------------------------------------------------------- */

static void check_results(struct world *w, const int r[2])
{
	if (r[0] != r[1] || (r[0] < 0 && strcmp(w->err[0].msg, w->err[1].msg) != 0))
		fail_msg("sqlite: %d %s; memory: %d %s", r[0], r[0] ? w->err[0].msg : "", r[1],
			r[1] ? w->err[1].msg : "");
	*(r[0] < 0 ? &w->refused : &w->accepted) += 1;
}

static struct run_open some_open(struct world *w, int n)
{
	static char name[BATCH][64], longer[BATCH][64];
	static const char *const versions[] = { "v1", "v2", "v3" };
	const char *dag = dags[below(w, NDAGS)];
	int day = below(w, 4);

	/* names collide on purpose */
	snprintf(name[n], sizeof name[n], "%s@%d", dag, day / 3);
	snprintf(longer[n], sizeof longer[n], "%s@%d.0", dag, day / 2);
	struct run_open o = {
		.key = { dag, day, day + 1 },
		.name = name[n],
		.long_name = one_in(w, 3) ? NULL : longer[n],
		.params = texts[below(w, 5)],
		.version = versions[below(w, 3)],
		.dag_path = texts[below(w, 5)],
		.text = "dag",
		.tasks = tasks + below(w, 2),
		.ntasks = (size_t)(1 + below(w, NTASKS - 1)),
		.owner = w->owners[below(w, 2)],
		.lease_until_us = w->now_us + below(w, 50),
		.now_us = w->now_us,
		.wanted = one_in(w, 2),
		.anew = one_in(w, 3),
		.only_new = one_in(w, 6),
		.only_ended = one_in(w, 6),
		.trigger = texts[below(w, 3)],
		.backfill_id = one_in(w, 2) ? below(w, NBACKFILLS) : 0,
	};
	if (one_in(w, 3))
		o.owner = (struct owner){ .pid = 0 };
	return o;
}

static void note_open(struct world *w, struct run_opened o)
{
	assert_in_range(o.run_id, 1, MAX_ID - 1);
	assert_int_equal(o.epoch, w->epoch[o.run_id] + 1);
	w->epoch[o.run_id] = o.epoch;
	if (o.run_id > w->last_id)
		w->last_id = o.run_id;
}

static void check_same_opened(const struct run_opened *a, const struct run_opened *b)
{
	assert_int_equal(a->run_id, b->run_id);
	assert_int_equal(a->epoch, b->epoch);
	assert_int_equal(a->created, b->created);
}

static void step_open(struct world *w)
{
	struct run_opened o[2] = { { .run_id = 0 } };
	struct run_open open = some_open(w, 0);
	int r[2];

	for (int i = 0; i < 2; i++)
		r[i] = store_run_open(
			w->s[i], &open, &o[i].run_id, &o[i].epoch, &o[i].created, &w->err[i]);
	check_results(w, r);
	check_same_opened(&o[0], &o[1]);
	if (r[0] == 0)
		note_open(w, o[0]);
}

/* A run that may be there. */
static int64_t some_run(struct world *w)
{
	int64_t id = w->last_id + 1 - below(w, NRUNS + 2);

	return id > 0 ? id : 1;
}

static int64_t some_epoch(struct world *w, int64_t id)
{
	return w->epoch[id] - one_in(w, 8);
}

static void step_lease(struct world *w)
{
	int64_t id = some_run(w), epoch = some_epoch(w, id);
	bool close = one_in(w, 2);
	int r[2];

	for (int i = 0; i < 2; i++)
		r[i] = close ? store_run_close(w->s[i], id, epoch, &w->err[i])
			     : store_run_renew(w->s[i], id, epoch, w->now_us + 20, &w->err[i]);
	check_results(w, r);
}

static void step_tokens(struct world *w)
{
	int64_t first[2], n = below(w, 6);
	int r[2];

	for (int i = 0; i < 2; i++)
		r[i] = store_reserve_tokens(w->s[i], n, &first[i], &w->err[i]);
	check_results(w, r);
	if (r[0] < 0)
		return;
	assert_int_equal(first[0], first[1]);
	assert_true(first[0] >= w->token);
	w->token = first[0] + n;
}

static struct change some_change(struct world *w, int64_t id)
{
	struct change c = { .kind = (enum change_kind)below(w, CHANGE_KIND_MAX),
		.reason = (enum reason)below(w, REASON_MAX),
		.at_us = w->now_us,
		.run_id = id,
		.task = tasks[below(w, NTASKS)],
		.map_index = one_in(w, 3) ? below(w, 3) : -1 };

	if (c.kind == CHANGE_RUN) {
		c.run.from = (enum run_state)below(w, RUN_STATE_MAX);
		c.run.to = (enum run_state)below(w, RUN_STATE_MAX);
	} else if (c.kind == CHANGE_TASK) {
		c.state.from = (enum task_state)below(w, TASK_STATE_MAX);
		c.state.to = (enum task_state)below(w, TASK_STATE_MAX);
		c.state.tries = below(w, 9);
		c.state.due_us = below(w, 2) * w->now_us;
		c.state.hash = texts[below(w, 5)];
		c.state.outputs = texts[below(w, 5)];
		c.detail = texts[below(w, 5)];
	} else if (c.kind == CHANGE_ITEM) {
		c.item = texts[below(w, 5)];
	} else if (c.kind == CHANGE_BREAKER) {
		c.reason = one_in(w, 2) ? REASON_NONE : REASON_BREAKER_TRIPPED;
		c.breaker.name = breakers[below(w, NBREAKERS)];
		c.breaker.text = texts[below(w, 5)];
		c.breaker.from = (enum breaker_state)below(w, BREAKER_STATE_MAX);
		c.breaker.to = (enum breaker_state)below(w, BREAKER_STATE_MAX);
		c.breaker.since_us = w->now_us - below(w, 5);
		c.breaker.run_id = id;
		c.breaker.task = texts[below(w, 5)];
	} else if (c.kind == CHANGE_CANCEL) {
		c.attempt.hard = one_in(w, 2);
	} else {
		c.attempt.token = w->token + 1 - below(w, 12);
		c.attempt.try = below(w, 4);
		c.attempt.outcome = (enum outcome)below(w, OUTCOME_MAX);
		c.attempt.exit_status = below(w, 4) - 1;
		c.attempt.signal = below(w, 3);
		c.attempt.ended_us = below(w, 3);
		c.attempt.error = texts[below(w, 5)];
		c.attempt.result = texts[below(w, 5)];
	}
	return c;
}

static bool is_of(const struct change *c, const char *task, int map_index)
{
	return c->map_index == map_index && strcmp(c->task, task) == 0;
}

/* An instance that is not there is made first. */
static void make_instance_fit(struct world *w, struct change *c)
{
	struct store_result r;
	bool there = c->map_index < 0;

	if (c->kind == CHANGE_RUN || c->kind == CHANGE_BREAKER || c->kind == CHANGE_STOP ||
		store_tasks(w->s[1], c->run_id, &r, NULL) < 0)
		return;
	for (size_t k = 0; k < r.n; k++)
		there = there || is_of(c, r.tasks[k].name, r.tasks[k].map_index);
	store_result_release(&r);
	if (c->kind == CHANGE_ITEM && c->map_index < 0)
		c->map_index = below(w, 3);
	if (there && c->kind != CHANGE_ITEM)
		return;
	c->kind = CHANGE_ITEM;
	c->item = "[1]";
}

/* Make most changes fit what is stored and what the batch did before, so that whole
 * batches often pass. */
static void make_fit(struct world *w, struct change *c, size_t i)
{
	struct store_result r;

	if (one_in(w, 10))
		return;
	make_instance_fit(w, &c[i]);
	if (c[i].kind == CHANGE_RUN &&
		store_runs(w->s[1], &(struct run_filter){ .state = -1 }, &r, NULL) == 0) {
		for (size_t k = 0; k < r.n; k++)
			if (r.runs[k].id == c[i].run_id)
				c[i].run.from = r.runs[k].state;
		store_result_release(&r);
		for (size_t k = 0; k < i; k++)
			if (c[k].kind == CHANGE_RUN && c[k].run_id == c[i].run_id)
				c[i].run.from = c[k].run.to;
		while (!state_run_may(c[i].run.from, c[i].run.to))
			c[i].run.to = (enum run_state)below(w, RUN_STATE_MAX);
	}
	if (c[i].kind == CHANGE_TASK && store_tasks(w->s[1], c[i].run_id, &r, NULL) == 0) {
		for (size_t k = 0; k < r.n; k++)
			if (is_of(&c[i], r.tasks[k].name, r.tasks[k].map_index))
				c[i].state.from = r.tasks[k].state;
		store_result_release(&r);
		for (size_t k = 0; k < i; k++)
			if (c[k].kind == CHANGE_TASK && c[k].run_id == c[i].run_id &&
				is_of(&c[i], c[k].task, c[k].map_index))
				c[i].state.from = c[k].state.to;
		while (!state_task_may(c[i].state.from, c[i].state.to, c[i].reason)) {
			c[i].state.to = (enum task_state)below(w, TASK_STATE_MAX);
			c[i].reason = (enum reason)below(w, REASON_MAX);
		}
	}
	if (c[i].kind == CHANGE_START) {
		c[i].attempt.token = w->token ? w->token - 1 : 0;
		c[i].attempt.try = 1 + below(w, 1000);
	}
	if (c[i].kind == CHANGE_END &&
		store_attempts_in_flight(w->s[1], c[i].run_id, &r, NULL) == 0) {
		for (size_t k = 0; k < r.n; k++)
			if (is_of(&c[i], r.attempts[k].task, r.attempts[k].map_index))
				c[i].attempt.token = r.attempts[k].token;
		store_result_release(&r);
		c[i].attempt.outcome = (enum outcome)(1 + below(w, OUTCOME_MAX - 1));
	}
}

static const char *const datasets[] = { "d0", "d1", "d2", "no name" };

static struct dataset_put some_update(struct world *w, int64_t id)
{
	int64_t start = below(w, 4);

	return (struct dataset_put){ .dataset = datasets[below(w, one_in(w, 40) ? 4 : 3)],
		.start_us = start,
		.end_us = start + below(w, 4),
		.at_us = w->now_us,
		.dag = dags[below(w, NDAGS)],
		.task = texts[below(w, 5)],
		.map_index = below(w, 2) - 1,
		.run_id = id,
		.work = below(w, 30) };
}

static void step_commit(struct world *w)
{
	struct dataset_put updates[2];
	struct change c[BATCH];
	struct check_row checks[2];
	int64_t id = some_run(w), other = one_in(w, 2) ? id : some_run(w);
	size_t n = (size_t)(1 + below(w, BATCH));
	int r[2];

	for (size_t i = 0; i < n; i++) {
		c[i] = some_change(w, one_in(w, 60) ? some_run(w) : one_in(w, 3) ? other : id);
		make_fit(w, c, i);
	}
	for (int i = 0; i < 2; i++)
		checks[i] = (struct check_row){ .run_id = id,
			.token = below(w, 9),
			.task = tasks[below(w, NTASKS)],
			.name = "unique",
			.severity = "warn",
			.status = one_in(w, 50) ? NULL : "pass",
			.observed = texts[below(w, 5)],
			.sample = texts[below(w, 5)],
			.map_index = below(w, 3) - 1 };
	for (int i = 0; i < 2; i++)
		updates[i] = some_update(w, one_in(w, 40) ? some_run(w) : id);
	struct store_lease leases[] = { { id, some_epoch(w, id) },
		{ other, some_epoch(w, other) } };
	struct store_batch b = { .leases = leases,
		.nleases = one_in(w, 6)                  ? 0
			   : other == id && one_in(w, 2) ? 1
							 : 2,
		.changes = c,
		.nchanges = n,
		.checks = checks,
		.nchecks = (size_t)below(w, 3),
		.datasets = updates,
		.ndatasets = (size_t)below(w, 3) };
	char *before = dump(w->s[0]);
	for (int i = 0; i < 2; i++)
		r[i] = store_commit(w->s[i], &b, &w->err[i]);
	check_results(w, r);
	char *after = dump(w->s[0]);
	if (r[0] < 0)
		assert_string_equal(before, after);
	else
		w->commits++;
	free(before);
	free(after);
}

static void step_find(struct world *w)
{
	static const char *const refs[] = { "1", "12", "99", "a", "b@", "a@0", "b@1", "sales@1.0",
		"sales@1.0.2", "sals", "x", "", "@1", "a@" };
	const char *ref = refs[below(w, (int)(sizeof refs / sizeof *refs))];
	struct store_result found[2];
	int r[2];

	for (int i = 0; i < 2; i++)
		r[i] = store_run_find(w->s[i], ref, &found[i], &w->err[i]);
	check_results(w, r);
	if (r[0] < 0)
		return;
	assert_int_equal(found[0].n, 1);
	assert_int_equal(found[0].runs[0].id, found[1].runs[0].id);
	store_result_release(&found[0]);
	store_result_release(&found[1]);
}

/* ---- what a daemon does -------------------------------------------------------------- */

static void step_plan(struct world *w)
{
	static const char *const actions[] = { "create", "skip", "cancel" };
	struct plan_row rows[BATCH];
	struct run_open opens[BATCH];
	struct run_opened opened[2][BATCH];
	struct backfill_cursor cursor = { 1 + below(w, NBACKFILLS), below(w, 99), one_in(w, 2) };
	struct store_plan p = { .rows = rows,
		.nrows = (size_t)below(w, 4),
		.opens = opens,
		.nopens = (size_t)below(w, 4),
		.cursors = &cursor,
		.ncursors = one_in(w, 4) };
	struct dataset_take takes[2];
	struct plan_state states[] = { { dags[below(w, NDAGS)], texts[1 + below(w, 4)] },
		{ dags[below(w, NDAGS)], texts[1 + below(w, 4)] } };
	int r[2];

	p.states = states;
	p.nstates = (size_t)below(w, 3);

	for (size_t i = 0; i < p.nrows; i++)
		rows[i] = (struct plan_row){ .at_us = w->now_us,
			.dag = dags[below(w, NDAGS)],
			.action = actions[below(w, 3)],
			.why = "due",
			.start_us = below(w, 4),
			.end_us = 4 + below(w, 4),
			.run_after_us = below(w, 9),
			.count = 1 + below(w, 3) };
	for (size_t i = 0; i < p.nopens; i++)
		opens[i] = some_open(w, (int)i);
	p.takes = takes;
	p.ntakes = p.nopens ? (size_t)below(w, 3) : one_in(w, 40);
	for (size_t i = 0; i < 2; i++)
		takes[i] = (struct dataset_take){ p.nopens ? (size_t)below(w, (int)p.nopens) : 0,
			below(w, 60) };
	char *before = dump(w->s[0]);
	for (int i = 0; i < 2; i++)
		r[i] = store_plan_commit(w->s[i], &p, opened[i], &w->err[i]);
	check_results(w, r);
	char *after = dump(w->s[0]);
	if (r[0] < 0)
		assert_string_equal(before, after);
	for (size_t i = 0; r[0] == 0 && i < p.nopens; i++) {
		check_same_opened(&opened[0][i], &opened[1][i]);
		if (opened[0][i].run_id)
			note_open(w, opened[0][i]);
	}
	free(before);
	free(after);
}

static void step_dags(struct world *w)
{
	struct dataset_link links[3];
	struct dag_put put[3];
	int n = 1 + below(w, 3), r[2];

	for (int i = 0; i < 3; i++)
		links[i] = (struct dataset_link){ .dataset = datasets[below(w, 3)],
			.task = one_in(w, 2) ? "" : tasks[below(w, 2)],
			.role = (enum dataset_role)below(w, DATASET_ROLE_MAX),
			.fresh_within_us = below(w, 3) };
	for (int i = 0; i < n; i++)
		put[i] = (struct dag_put){ .name = one_in(w, 40) ? "" : dags[below(w, NDAGS)],
			.path = texts[below(w, 5)],
			.dir = texts[below(w, 5)],
			.version = texts[below(w, 5)],
			.error = texts[below(w, 5)],
			.present = one_in(w, 2),
			.links = links,
			.nlinks = (size_t)below(w, 4) };
	for (int i = 0; i < 2; i++)
		r[i] = store_dags_put(w->s[i], put, (size_t)n, w->now_us, &w->err[i]);
	check_results(w, r);
}

static void step_follow(struct world *w)
{
	const struct dataset_follow f = { one_in(w, 40) ? "" : dags[below(w, NDAGS)],
		datasets + below(w, 2), (size_t)below(w, 3), w->now_us };
	int r[2];

	for (int i = 0; i < 2; i++)
		r[i] = store_dataset_follow(w->s[i], &f, &w->err[i]);
	check_results(w, r);
}

static void step_touch(struct world *w)
{
	struct dataset_put p = some_update(w, 0);
	int64_t id[2] = { 0 };
	int r[2];

	p.dag = p.task = NULL;
	p.work = one_in(w, 40);
	p.by = one_in(w, 40) ? NULL : "ann";
	p.reason = texts[below(w, 5)];
	for (int i = 0; i < 2; i++)
		r[i] = store_dataset_touch(w->s[i], &p, &id[i], &w->err[i]);
	check_results(w, r);
	assert_int_equal(id[0], id[1]);
}

static void step_switch(struct world *w)
{
	struct switch_put p = { .dag = one_in(w, 4) ? "*" : dags[below(w, NDAGS)],
		.task = one_in(w, 2) ? NULL : tasks[below(w, NTASKS)],
		.which = (enum dag_switch)below(w, one_in(w, 20) ? 3 : 2),
		.on = one_in(w, 2),
		.by = texts[below(w, 5)],
		.reason = texts[below(w, 5)],
		.now_us = w->now_us };
	int r[2];

	for (int times = 1 + below(w, 2); times > 0; times--) {
		for (int i = 0; i < 2; i++)
			r[i] = store_switch(w->s[i], &p, &w->err[i]);
		check_results(w, r);
	}
}

static void step_backfill(struct world *w)
{
	static const char *const modes[] = { "missing", "failed", "all", "some" };
	struct backfill_new b = { .dag = dags[below(w, NDAGS)],
		.mode = modes[below(w, one_in(w, 9) ? 4 : 3)],
		.from_us = below(w, 4),
		.to_us = 2 + below(w, 4),
		.newest_first = one_in(w, 2),
		.jobs = 1 + below(w, 3),
		.params = texts[below(w, 5)],
		.by = texts[below(w, 5)],
		.reason = texts[below(w, 5)],
		.ntotal = below(w, 9),
		.now_us = w->now_us };
	enum backfill_state to = (enum backfill_state)below(w, BACKFILL_STATE_MAX);
	int64_t id[2] = { 1 + below(w, NBACKFILLS * 2) };
	bool create = one_in(w, 6);
	int r[2];

	id[1] = id[0];
	for (int i = 0; i < 2; i++)
		r[i] = create ? store_backfill_create(w->s[i], &b, &id[i], &w->err[i])
			      : store_backfill_set(
					w->s[i], id[i], to, b.by, b.reason, w->now_us, &w->err[i]);
	check_results(w, r);
	assert_int_equal(id[0], id[1]);
}

static void step_prune(struct world *w)
{
	int64_t before_us = w->now_us - below(w, 400);
	int max = below(w, 4), r[2];
	struct store_result forgotten[2];

	for (int i = 0; i < 2; i++)
		r[i] = store_prune(w->s[i], before_us, max, &forgotten[i], &w->err[i]);
	check_results(w, r);
	if (r[0] < 0)
		return;
	assert_int_equal(forgotten[0].n, forgotten[1].n);
	assert_true(forgotten[0].n <= (size_t)max);
	for (size_t i = 0; i < forgotten[0].n; i++) {
		const struct run_row *a = &forgotten[0].runs[i], *b = &forgotten[1].runs[i];
		assert_int_equal(a->id, b->id);
		assert_string_equal(a->name, b->name);
		assert_true(run_state_is_final(a->state) && a->ended_us < before_us);
		w->forgotten++;
	}
	store_result_release(&forgotten[0]);
	store_result_release(&forgotten[1]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(store_vacuum(w->s[i], 1 + below(w, 9), NULL), 0);
}

/* Straight to its end, so that there is something to forget. */
static void step_finish(struct world *w)
{
	static const enum run_state ends[] = { RUN_SUCCESS, RUN_FAILED, RUN_CANCELLED };
	enum run_state to = ends[below(w, 3)];
	struct store_result r;
	int64_t id = 0;
	int done[2];

	assert_int_equal(store_runs(w->s[1], &(struct run_filter){ .state = -1 }, &r, NULL), 0);
	struct change c[2] = { { .kind = CHANGE_RUN, .at_us = w->now_us } };
	if (r.n) {
		const struct run_row *row = &r.runs[below(w, (int)r.n)];
		id = row->id;
		c[0].run.from = row->state;
	}
	store_result_release(&r);
	if (!id)
		return;
	c[0].run_id = id;
	c[0].run.to = c[0].run.from == RUN_RUNNING ? RUN_QUEUED : RUN_RUNNING;
	c[1] = c[0];
	c[1].run.from = c[0].run.to;
	c[1].run.to = to;
	for (int i = 0; i < 2; i++) {
		done[i] = store_commit(
			w->s[i], &(struct store_batch){ .changes = c, .nchanges = 2 }, &w->err[i]);
		if (done[i] == 0 && c[0].run.to == RUN_RUNNING)
			store_run_close(w->s[i], id, w->epoch[id], NULL);
	}
	check_results(w, done);
}

static void step_renew(struct world *w)
{
	const struct owner *o = &w->owners[below(w, 2)];

	for (int i = 0; i < 2; i++)
		assert_int_equal(store_renew_owned(w->s[i], o, w->now_us + 30, NULL), 0);
}

/* ---- acts and late ends ------------------------------------------------------------------ */

static void step_acts(struct world *w)
{
	static const char *const keys[] = { "k0", "k1", "k2", "k3", "" };
	struct outbox_act acts[3];
	struct store_batch b = { .acts = acts, .nacts = (size_t)below(w, 4) };
	int r[2];

	for (size_t i = 0; i < b.nacts; i++)
		acts[i] = (struct outbox_act){ .key = keys[below(w, one_in(w, 9) ? 5 : 4)],
			.kind = "alert",
			.payload = "{}",
			.at_us = w->now_us,
			.due_us = one_in(w, 2) ? w->now_us + below(w, 50) : 0 };
	for (int i = 0; i < 2; i++)
		r[i] = store_commit(w->s[i], &b, &w->err[i]);
	check_results(w, r);
}

static int64_t last_act(struct world *w)
{
	struct store_result r;

	assert_int_equal(store_outbox_list(w->s[1], -1, 1, &r, NULL), 0);
	int64_t id = r.n ? r.outbox[0].id : 0;
	store_result_release(&r);
	return id;
}

static void step_breaker(struct world *w)
{
	const struct breaker_put b = { .name = breakers[below(w, NBREAKERS)],
		.text = texts[below(w, 5)],
		.from = (enum breaker_state)below(w, BREAKER_STATE_MAX),
		.to = (enum breaker_state)below(w, BREAKER_STATE_MAX + 1),
		.why = REASON_BREAKER_FORCED,
		.since_us = w->now_us,
		.at_us = w->now_us,
		.by = texts[below(w, 5)],
		.reason = texts[below(w, 5)] };
	int r[2];

	for (int i = 0; i < 2; i++)
		r[i] = store_breaker_put(w->s[i], &b, &w->err[i]);
	check_results(w, r);
}

static void step_sender(struct world *w)
{
	int64_t id = last_act(w) - 5 + below(w, 7);
	const char *error = texts[below(w, 5)];
	int what = below(w, 4), max = 1 + below(w, 3), n[2] = { 0 }, r[2];

	for (int i = 0; i < 2; i++) {
		struct store *s = w->s[i];
		struct err *err = &w->err[i];
		if (what == 0)
			r[i] = store_outbox_done(s, id, w->now_us, err);
		else if (what == 1)
			r[i] = store_outbox_retry(s, id, w->now_us + 20, error, err);
		else if (what == 2)
			r[i] = store_outbox_give_up(s, id, w->now_us, error, err);
		else
			r[i] = store_outbox_prune(s, w->now_us - 30, max, &n[i], err);
	}
	check_results(w, r);
	assert_int_equal(n[0], n[1]);
}

/* Of an attempt there is, as a rule. */
static int64_t some_token(struct world *w)
{
	struct store_result runs, r;
	int64_t token = w->token - below(w, 12);

	assert_int_equal(store_runs(w->s[1], &(struct run_filter){ .state = -1 }, &runs, NULL), 0);
	for (size_t i = 0; i < runs.n; i++) {
		assert_int_equal(store_attempts(w->s[1], runs.runs[i].id, NULL, &r, NULL), 0);
		if (r.n && one_in(w, 2))
			token = r.attempts[below(w, (int)r.n)].token;
		store_result_release(&r);
	}
	store_result_release(&runs);
	return token;
}

static void step_late(struct world *w)
{
	struct late_end e = { .token = some_token(w),
		.outcome = (enum outcome)below(w, OUTCOME_MAX),
		.exit_status = below(w, 3) - 1,
		.signal = below(w, 2) * 9,
		.ended_us = below(w, 3),
		.now_us = w->now_us };
	bool recorded[2];
	int r[2];

	for (int i = 0; i < 2; i++)
		r[i] = store_late_end(w->s[i], &e, &recorded[i], &w->err[i]);
	check_results(w, r);
	assert_int_equal(recorded[0], recorded[1]);
	w->late += recorded[0];
}

static void (*const steps[])(struct world *) = { step_open, step_open, step_lease, step_tokens,
	step_find, step_commit, step_commit, step_commit, step_commit, step_commit, step_plan,
	step_dags, step_switch, step_backfill, step_prune, step_finish, step_finish, step_renew,
	step_acts, step_sender, step_sender, step_late, step_breaker, step_follow, step_touch };

static void test_same_answers(void **state)
{
	const char *seed_text = getenv("PROP_SEED"), *steps_text = getenv("PROP_STEPS");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : (uint64_t)time(NULL);
	long nsteps = steps_text ? atol(steps_text) : 1500;
	char dir[] = "/tmp/weir-prop-store-XXXXXX", path[64];
	static struct world w;

	(void)state;
	w.now_us = 1000;
	w.token = 1;
	print_message("# PROP_SEED=%" PRIu64 "\n", seed);
	rng_init(&w.rng, seed);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof path, "%s/weir.db", dir);
	assert_int_equal(store_open_sqlite(&w.s[0], path, STORE_CREATE, &w.err[0]), 0);
	assert_int_equal(store_open_memory(&w.s[1], &w.err[1]), 0);
	assert_int_equal(owner_self(&w.owners[0], &w.err[0]), 0);
	w.owners[1] = (struct owner){ .host = "elsewhere.example", .pid = 7 };
	for (long i = 0; i < nsteps; i++) {
		w.now_us += below(&w, 10);
		steps[below(&w, (int)(sizeof steps / sizeof *steps))](&w);
		if (i % 10 == 0 || i == nsteps - 1)
			check_equal(&w);
	}
	print_message("# %d steps accepted (%d commits), %d refused, %d runs forgotten, %d late\n",
		w.accepted, w.commits, w.refused, w.forgotten, w.late);
	assert_true(nsteps < 500 ||
		    (w.commits > nsteps / 100 && w.refused > nsteps / 8 && w.forgotten > 3));
	store_close(w.s[0]);
	store_close(w.s[1]);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_same_answers) };

	/* Tokens follow the clock where that is ahead of them; before 1970 it never is, and both
	 * backends hand out the same ones. */
	setenv("WEIR_TEST_CLOCK", "1969-01-01T00:00:00Z", 1);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
