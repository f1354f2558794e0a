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
	struct fresh_topic *topic;
	struct sla_dag *dag;
	char *task; /* "": of the DAG */
	struct sla sla;
	int64_t base_us; /* it has to be updated so long after this; 0: not looked up yet */
	bool load;       /* it is to be looked up, and in that list */
	bool armed;      /* a timer points here */
	bool gone;       /* it is freed when neither does */
	struct fresh_watch *next_of_dag, *next_of_topic, *next_load;
};

/* The watches of a dataset. */
struct fresh_topic {
	char *dataset;
	struct fresh_watch *list;
	UT_hash_handle hh;
};

/* ---- which ---------------------------------------------------------------------------- */

static void free_if_done(struct fresh_watch *w)
{
	if (!w->gone || w->load || w->armed)
		return;
	free(w->task);
	free(w);
}

static void leave_topic(struct daemon_sla *sla, struct fresh_watch *w)
{
	struct fresh_topic *t = w->topic;
	struct fresh_watch **at = &t->list;

	while (*at != w)
		at = &(*at)->next_of_topic;
	*at = w->next_of_topic;
	w->topic = NULL;
	if (t->list)
		return;
	HASH_DEL(sla->fresh, t);
	free(t->dataset);
	free(t);
}

static void drop_all(struct daemon_sla *sla, struct sla_dag *s)
{
	while (s->fresh) {
		struct fresh_watch *w = s->fresh;
		s->fresh = w->next_of_dag;
		leave_topic(sla, w);
		w->gone = true;
		free_if_done(w);
	}
}

static void want_load(struct daemon_sla *sla, struct fresh_watch *w)
{
	if (w->load)
		return;
	w->load = true;
	w->next_load = sla->fresh_loads;
	sla->fresh_loads = w;
}

static struct fresh_topic *need_topic(struct daemon_sla *sla, const char *dataset)
{
	struct fresh_topic *t;

	HASH_FIND_STR(sla->fresh, dataset, t);
	if (t)
		return t;
	t = calloc(1, sizeof *t);
	if (!t || !(t->dataset = strdup(dataset))) {
		free(t);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, sla->fresh, t->dataset, strlen(t->dataset), t);
	return t;
}

/* Several tasks of a DAG may produce one dataset: that is one of the DAG. */
static bool is_watched(const struct sla_dag *s, const struct dataset_link *l)
{
	for (const struct fresh_watch *w = s->fresh; w; w = w->next_of_dag)
		if (strcmp(w->task, l->task) == 0 && strcmp(w->topic->dataset, l->dataset) == 0)
			return true;
	return false;
}

static void add(
	struct daemon *d, struct sla_dag *s, const struct dataset_link *l, const struct sla *sla)
{
	struct fresh_watch *w = is_watched(s, l) ? NULL : calloc(1, sizeof *w);
	char *task = w ? strdup(l->task) : NULL;
	struct fresh_topic *t = task ? need_topic(d->sla, l->dataset) : NULL;

	if (!t) {
		free(task);
		free(w);
		return;
	}
	*w = (struct fresh_watch){ .topic = t,
		.dag = s,
		.task = task,
		.sla = *sla,
		.next_of_dag = s->fresh,
		.next_of_topic = t->list };
	s->fresh = t->list = w;
	want_load(d->sla, w);
}

/* Those of a task; of the DAG those its schedule waits for, or those it produces. */
static bool concerns(
	const struct catalog_dag *c, const struct sla_of *of, const struct dataset_link *l)
{
	if (of->task)
		return l->role == DATASET_PRODUCES && strcmp(l->task, of->task) == 0;
	return l->role == (c->datasets.n ? DATASET_SCHEDULES : DATASET_PRODUCES);
}

void daemon_fresh_remove(struct daemon *d, struct sla_dag *s)
{
	drop_all(d->sla, s);
	d->sla->fresh_settle = true;
}

void daemon_fresh_set(struct daemon *d, struct sla_dag *s, const struct catalog_dag *c)
{
	daemon_fresh_remove(d, s);
	for (size_t i = 0; i < c->nslas; i++) {
		const struct sla_of *of = &c->slas[i];
		for (size_t k = 0; sla_has(&of->sla, SLA_FRESH_WITHIN) && k < c->nlinks; k++) {
			struct dataset_link l = c->links[k];
			if (!concerns(c, of, &l))
				continue;
			l.task = of->task ? of->task : "";
			add(d, s, &l, &of->sla);
		}
	}
}

void daemon_fresh_updated(struct daemon *d, const char *dataset)
{
	struct fresh_topic *t;

	HASH_FIND_STR(d->sla->fresh, dataset, t);
	for (struct fresh_watch *w = t ? t->list : NULL; w; w = w->next_of_topic)
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

	if (store_datasets(d->engine.store, w->topic->dataset, &rows, err) < 0)
		return -1;
	w->base_us = clock_now_us();
	if (rows.n)
		w->base_us = rows.datasets[0].fresh_us ? rows.datasets[0].fresh_us
						       : rows.datasets[0].since_us;
	store_result_release(&rows);
	d->sla->fresh_settle = d->sla->fresh_settle || w->base_us != before;
	return arm(d, w, err);
}

/* ---- what is missed ------------------------------------------------------------------- */

/* *ret: one of its task; NULL: there is none. */
static bool is_missed_still(
	const struct sla_dag *s, const struct sla_key *key, const struct fresh_watch **ret)
{
	*ret = NULL;
	for (const struct fresh_watch *w = s->fresh; w; w = w->next_of_dag) {
		if (strcmp(w->task, key->task) != 0)
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
				!is_missed_still(s, &m->key, &w))
				daemon_sla_end(d, s, m, w ? SLA_END_DONE : SLA_END_PASSED_OVER);
	d->sla->fresh_settle = false;
}

/* "sales.daily was last updated 2026-11-19T02:10:00+00:00, by nightly@2026-11-18" */
static void describe(struct daemon *d, const struct fresh_watch *w, struct buf *out)
{
	const struct update_filter f = {
		.which = UPDATES_OF, .dataset = w->topic->dataset, .limit = 1
	};
	struct store_result rows;
	bool found = store_dataset_updates(d->engine.store, &f, &rows, NULL) == 0;
	const struct dataset_update_row *u = found && rows.n ? &rows.updates[0] : NULL;

	buf_addf(
		out, "%s %s ", w->topic->dataset, u ? "was last updated" : "was not updated since");
	daemon_sla_add_time(d, w->dag->name, w->base_us, out);
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
	const struct sla_found f = { .dag = w->dag->name,
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
	while (d->sla->fresh_loads) {
		struct fresh_watch *w = d->sla->fresh_loads;
		if (!w->gone && load(d, w, err) < 0)
			return -1;
		d->sla->fresh_loads = w->next_load;
		w->load = false;
		free_if_done(w);
	}
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
			w->armed = false;
			free_if_done(w);
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
	struct sla_dag *s, *next;
	struct heap_entry e;

	HASH_ITER (hh, sla->dags, s, next)
		drop_all(sla, s);
	while (sla->fresh_loads) {
		struct fresh_watch *w = sla->fresh_loads;
		sla->fresh_loads = w->next_load;
		w->load = false;
		free_if_done(w);
	}
	while (heap_peek(&sla->fresh_timers)) {
		heap_pop(&sla->fresh_timers, &e);
		struct fresh_watch *w = (struct fresh_watch *)(uintptr_t)e.id;
		w->armed = false;
		free_if_done(w);
	}
	heap_release(&sla->fresh_timers);
}
