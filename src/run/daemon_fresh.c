/* SLAs of datasets: whether the next update comes in time (fresh_within).
 *
 * For each dataset of such an SLA there is a timer at the end of its time. What then is not updated
 * is a miss, whose key holds when it was updated last (or became known): it is found once, also by
 * a later daemon, and is over when that has changed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "core/model.h"
#include "run/daemon_sla.h"

struct fresh_watch {
	char *key; /* DAG, task and dataset */
	char *dag, *task, *dataset;
	struct sla sla;
	int64_t base_us; /* it has to be updated so long after this; 0: not looked up yet */
	bool load;       /* it is to be looked up */
	bool armed;      /* a timer points here: it is freed when that goes */
	bool gone;
	UT_hash_handle hh;
};

/* ---- which ---------------------------------------------------------------------------- */

static void free_watch(struct fresh_watch *w)
{
	free(w->key);
	free(w->dag);
	free(w->task);
	free(w->dataset);
	free(w);
}

static void drop(struct daemon_sla *sla, struct fresh_watch *w)
{
	HASH_DEL(sla->fresh, w);
	sla->fresh_loads -= w->load;
	w->gone = true;
	if (!w->armed)
		free_watch(w);
}

static void want_load(struct daemon_sla *sla, struct fresh_watch *w)
{
	sla->fresh_loads += !w->load;
	w->load = true;
}

static struct fresh_watch *new_watch(const char *key, const char *dag, const struct dataset_link *l)
{
	struct fresh_watch *w = calloc(1, sizeof *w);

	if (!w)
		return NULL;
	w->key = strdup(key);
	w->dag = strdup(dag);
	w->task = strdup(l->task);
	w->dataset = strdup(l->dataset);
	if (w->key && w->dag && w->task && w->dataset)
		return w;
	free_watch(w);
	return NULL;
}

static void add(
	struct daemon *d, const char *dag, const struct dataset_link *l, const struct sla *sla)
{
	struct fresh_watch *w = NULL;
	char *key;

	if (asprintf(&key, "%s %s %s", dag, l->task, l->dataset) < 0)
		return;
	HASH_FIND_STR(d->sla->fresh, key, w);
	if (!w && (w = new_watch(key, dag, l)))
		HASH_ADD_KEYPTR(hh, d->sla->fresh, w->key, strlen(w->key), w);
	if (w) {
		w->sla = *sla;
		want_load(d->sla, w);
	}
	free(key);
}

/* Those of a task; of the DAG those its schedule waits for, or those it produces. */
static bool concerns(
	const struct catalog_dag *c, const struct sla_of *of, const struct dataset_link *l)
{
	if (of->task)
		return l->role == DATASET_PRODUCES && strcmp(l->task, of->task) == 0;
	return l->role == (c->datasets.n ? DATASET_SCHEDULES : DATASET_PRODUCES);
}

void daemon_fresh_remove(struct daemon *d, const char *dag)
{
	struct fresh_watch *w, *next;

	HASH_ITER (hh, d->sla->fresh, w, next)
		if (strcmp(w->dag, dag) == 0)
			drop(d->sla, w);
}

void daemon_fresh_set(struct daemon *d, const struct catalog_dag *c)
{
	if (d->sla->fresh)
		daemon_fresh_remove(d, c->name);
	for (size_t i = 0; i < c->nslas; i++) {
		const struct sla_of *of = &c->slas[i];
		for (size_t k = 0; sla_has(&of->sla, SLA_FRESH_WITHIN) && k < c->nlinks; k++) {
			struct dataset_link l = c->links[k];
			if (!concerns(c, of, &l))
				continue;
			l.task = of->task ? of->task : "";
			add(d, c->name, &l, &of->sla);
		}
	}
	d->sla->fresh_settle = true;
}

void daemon_fresh_updated(struct daemon *d, const char *dataset)
{
	struct fresh_watch *w, *next;

	HASH_ITER (hh, d->sla->fresh, w, next)
		if (strcmp(w->dataset, dataset) == 0)
			want_load(d->sla, w);
}

/* ---- when ----------------------------------------------------------------------------- */

static int64_t deadline_of(const struct fresh_watch *w)
{
	int64_t within = w->sla.fresh_within_us;

	return w->base_us > INT64_MAX - within ? INT64_MAX : w->base_us + within;
}

static int arm(struct daemon *d, struct fresh_watch *w, struct err *err)
{
	if (w->armed || deadline_of(w) == INT64_MAX)
		return 0;
	if (heap_push(&d->sla->fresh_timers, deadline_of(w), (uintptr_t)w) < 0)
		return err_nomem(err);
	w->armed = true;
	return 0;
}

static int load(struct daemon *d, struct fresh_watch *w, struct err *err)
{
	int64_t before = w->base_us;
	struct store_result rows;

	if (store_datasets(d->engine.store, w->dataset, &rows, err) < 0)
		return -1;
	w->base_us = clock_now_us();
	if (rows.n)
		w->base_us = rows.datasets[0].fresh_us ? rows.datasets[0].fresh_us
						       : rows.datasets[0].since_us;
	store_result_release(&rows);
	w->load = false;
	d->sla->fresh_loads--;
	d->sla->fresh_settle = d->sla->fresh_settle || w->base_us != before;
	return arm(d, w, err);
}

/* ---- what is missed ------------------------------------------------------------------- */

static bool is_missed_still(
	const struct daemon *d, const struct sla_key *key, const struct fresh_watch **ret)
{
	*ret = NULL;
	for (const struct fresh_watch *w = d->sla->fresh; w; w = w->hh.next) {
		if (strcmp(w->dag, key->dag) != 0 || strcmp(w->task, key->task) != 0)
			continue;
		*ret = w;
		if (w->base_us == key->start_us)
			return true;
	}
	return false;
}

/* What is updated since, or is no SLA any more, is over. */
static void settle(struct daemon *d)
{
	const struct fresh_watch *w;
	struct sla_dag *s, *next;

	HASH_ITER (hh, d->sla->dags, s, next)
		for (struct missed *m = s->missed; m; m = m->next)
			if (!m->ended && daemon_sla_is_fresh(m) &&
				catalog_find(d->catalog, s->name) &&
				!is_missed_still(d, &m->key, &w))
				daemon_sla_end(d, s, m, w ? SLA_END_DONE : SLA_END_PASSED_OVER);
	d->sla->fresh_settle = false;
}

/* "sales.daily was last updated 2026-11-19T02:10:00+00:00, by nightly@2026-11-18" */
static void describe(struct daemon *d, const struct fresh_watch *w, struct buf *out)
{
	const struct update_filter f = { .which = UPDATES_OF, .dataset = w->dataset, .limit = 1 };
	struct store_result rows;
	bool found = store_dataset_updates(d->engine.store, &f, &rows, NULL) == 0;
	const struct dataset_update_row *u = found && rows.n ? &rows.updates[0] : NULL;

	buf_addf(out, "%s %s ", w->dataset, u ? "was last updated" : "was not updated since");
	daemon_sla_add_time(d, w->dag, w->base_us, out);
	if (u && u->at_us == w->base_us && (u->run || u->by))
		buf_addf(out, ", by %s", u->run ? u->run : u->by);
	if (found)
		store_result_release(&rows);
}

static int miss(struct daemon *d, const struct fresh_watch *w, struct err *err)
{
	struct buf detail;

	buf_init(&detail, 1024);
	describe(d, w, &detail);
	const struct sla_found f = { .dag = w->dag,
		.task = *w->task ? w->task : NULL,
		.sla = &w->sla,
		.kind = SLA_FRESH_WITHIN,
		.tick = { .start_us = w->base_us, .end_us = deadline_of(w) },
		.deadline_us = deadline_of(w),
		.detail = detail.data };
	int rc = daemon_sla_found(d, &f, err);
	buf_release(&detail);
	return rc;
}

static int load_all(struct daemon *d, struct err *err)
{
	struct fresh_watch *w, *next;

	if (d->sla->fresh_loads == 0)
		return 0;
	HASH_ITER (hh, d->sla->fresh, w, next)
		if (w->load && load(d, w, err) < 0)
			return -1;
	return 0;
}

/* One whose time has come. What was updated meanwhile has more of it. */
static int judge(struct daemon *d, struct fresh_watch *w, int64_t now_us, struct err *err)
{
	if (deadline_of(w) <= now_us && miss(d, w, err) < 0)
		return -1;
	heap_pop(&d->sla->fresh_timers, &(struct heap_entry){ 0 });
	w->armed = false;
	return deadline_of(w) > now_us ? arm(d, w, err) : 0;
}

int daemon_fresh_judge(struct daemon *d, struct err *err)
{
	struct heap *timers = &d->sla->fresh_timers;
	int64_t now = clock_now_us();
	const struct heap_entry *e;

	if (load_all(d, err) < 0)
		return -1;
	while ((e = heap_peek(timers)) && e->key <= now) {
		struct fresh_watch *w = (struct fresh_watch *)(uintptr_t)e->id;
		if (w->gone) {
			heap_pop(timers, &(struct heap_entry){ 0 });
			free_watch(w);
		} else if (judge(d, w, now, err) < 0) {
			return -1;
		}
	}
	if (d->sla->fresh_settle)
		settle(d);
	return 0;
}

int64_t daemon_fresh_wake_us(const struct daemon *d)
{
	const struct heap_entry *e = heap_peek(&d->sla->fresh_timers);

	return e ? e->key : INT64_MAX;
}

void daemon_fresh_release(struct daemon_sla *sla)
{
	struct fresh_watch *w, *next;
	struct heap_entry e;

	HASH_ITER (hh, sla->fresh, w, next)
		drop(sla, w);
	while (heap_peek(&sla->fresh_timers)) {
		heap_pop(&sla->fresh_timers, &e);
		free_watch((struct fresh_watch *)(uintptr_t)e.id);
	}
	heap_release(&sla->fresh_timers);
}
