#include "run/breakers.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "conf/config.h"
#include "core/breaker.h"
#include "core/incident.h"
#include "core/model.h"
#include "core/sched.h"
#include "run/alerts.h"
#include "run/catalog.h"
#include "run/engine.h"
#include "run/name.h"
#include "store/store.h"

int breakers_apply(struct sched *s, const struct config *config, struct err *err)
{
	const char *const *names = config ? config_breakers(config) : NULL;
	struct breaker_policy p;

	for (; names && *names; names++)
		if (config_breaker(config, *names, &p) && sched_set_breaker(s, *names, &p) < 0)
			return err_nomem(err);
	return 0;
}

/* ---- of a folder ---------------------------------------------------------------------- */

struct named_policy {
	const char *name; /* of a configuration */
	struct breaker_policy policy;
};

struct policies {
	struct named_policy *list;
	size_t n;
	bool failed;
};

static bool opens_sooner(const struct breaker_policy *a, const struct breaker_policy *b)
{
	if (a->failures != b->failures)
		return a->failures && (!b->failures || a->failures < b->failures);
	if (a->rate < b->rate || a->rate > b->rate)
		return a->rate > 0 && (b->rate <= 0 || a->rate < b->rate);
	return a->open_us > b->open_us;
}

static void add_policy(struct policies *all, const struct named_policy *add)
{
	for (size_t i = 0; i < all->n; i++)
		if (strcmp(all->list[i].name, add->name) == 0) {
			if (opens_sooner(&add->policy, &all->list[i].policy))
				all->list[i] = *add;
			return;
		}
	struct named_policy *grown = reallocarray(all->list, all->n + 1, sizeof *grown);
	if (!grown) {
		all->failed = true;
		return;
	}
	all->list = grown;
	all->list[all->n++] = *add;
}

static void add_config(void *arg, const struct config *config)
{
	for (const char *const *name = config_breakers(config); name && *name; name++) {
		struct named_policy add = { .name = *name };
		if (config_breaker(config, *name, &add.policy))
			add_policy(arg, &add);
	}
}

/* Names that the scheduler knows, and no weir.yaml has. */
struct gone {
	const struct policies *all;
	const char **names;
	size_t n;
	bool failed;
};

static void add_gone(void *arg, const struct sched_breaker *b)
{
	struct gone *g = arg;

	if (!b->policy || strncmp(b->name, QUALITY_BREAKER, strlen(QUALITY_BREAKER)) == 0)
		return;
	for (size_t i = 0; i < g->all->n; i++)
		if (strcmp(g->all->list[i].name, b->name) == 0)
			return;
	const char **grown = reallocarray(g->names, g->n + 1, sizeof *grown);
	if (!grown) {
		g->failed = true;
		return;
	}
	g->names = grown;
	g->names[g->n++] = b->name;
}

static bool remove_others(struct sched *s, const struct policies *all)
{
	struct gone g = { .all = all };

	sched_each_breaker(s, add_gone, &g);
	for (size_t i = 0; i < g.n; i++)
		g.failed |= sched_remove_breaker(s, g.names[i], clock_now_us()) < 0;
	free(g.names);
	return !g.failed;
}

int breakers_apply_all(struct sched *s, const struct catalog *c, struct err *err)
{
	struct policies all = { 0 };

	catalog_each_config(c, add_config, &all);
	for (size_t i = 0; i < all.n; i++)
		all.failed |= sched_set_breaker(s, all.list[i].name, &all.list[i].policy) < 0;
	if (!all.failed)
		all.failed = !remove_others(s, &all);
	free(all.list);
	return all.failed ? err_nomem(err) : 0;
}

/* ---- of the store --------------------------------------------------------------------- */

static bool has_breakers(const struct dag *dag)
{
	int i = 0;

	while (i < dag->ntasks && !dag->tasks[i].breakers && !dag->tasks[i].quality_breaker)
		i++;
	return i < dag->ntasks;
}

int breakers_load(struct sched *s, struct store *store, const struct dag *dag, struct err *err)
{
	struct store_result rows;
	int rc = 0;

	if (!has_breakers(dag))
		return 0;
	if (store_breakers(store, NULL, &rows, err) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < rows.n; i++) {
		const struct breaker_row *b = &rows.breakers[i];
		if (!sched_has_breaker(s, b->name, b->text) &&
			sched_load_breaker(s, b->name, b->text, clock_now_us()) < 0)
			rc = err_nomem(err);
	}
	store_result_release(&rows);
	return rc;
}

int breakers_follow(struct engine *e, struct err *err)
{
	const struct active_run *r = e->runs;

	while (r && !has_breakers(r->dag))
		r = r->hh.next;
	return r ? breakers_load(e->sched, e->store, r->dag, err) : 0;
}

/* ---- incidents ------------------------------------------------------------------------ */

static void set_text(json_t *o, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(o, key, json_string(text));
}

const char *breakers_facts(const struct breaker_facts *f, struct arena *a)
{
	json_t *o = json_pack("{s:s, s:s}", "breaker", f->name, "why", reason_name(f->why));
	struct breaker b;

	set_text(o, "text", reason_text(f->why));
	set_text(o, "error", f->error);
	set_text(o, "run", f->run);
	set_text(o, "task_of", f->task);
	if (f->try)
		json_object_set_new(o, "try", json_integer(f->try));
	if (f->try && f->map_index >= 0)
		json_object_set_new(o, "map_index", json_integer(f->map_index));
	if (breaker_parse(f->text, &b) && b.until_us < INT64_MAX)
		json_object_set_new(o, "next_probe_us", json_integer(b.until_us));
	const char *kept = alerts_facts(o, a);
	a->failed = a->failed || !kept;
	return kept;
}

static bool uses(const struct task *t, const char *name)
{
	const char *const *b = t->breakers;

	while (b && *b && strcmp(*b, name) != 0)
		b++;
	return b && *b;
}

static bool has_breaker(const struct dag *dag, const char *name)
{
	for (int i = 0; i < dag->ntasks; i++) {
		const struct task *t = &dag->tasks[i];
		bool judges = t->quality_breaker && strcmp(t->quality_breaker, name) == 0;
		if (judges || uses(t, name))
			return true;
	}
	return false;
}

void breakers_route(struct engine *e, const char *name, struct arena *a, struct incident_put *put)
{
	const struct dag **dags = calloc(HASH_COUNT(e->runs) + 1, sizeof *dags);
	struct active_run *r, *next;
	size_t n = 0;

	HASH_ITER (hh, e->runs, r, next)
		if (dags && (n == 0 || dags[n - 1] != r->dag) && has_breaker(r->dag, name))
			dags[n++] = r->dag;
	alerts_route_dags(e->config.alerts, &(struct alerts_dags){ dags, n }, a, put);
	free(dags);
}

/* ---- what is told --------------------------------------------------------------------- */

json_t *breakers_held_by(const struct sched *s, const struct active_run *runs, const char *name)
{
	json_t *list = json_array();

	for (const struct active_run *r = runs; r; r = r->hh.next) {
		struct task_view v;
		char label[RUN_LABEL_MAX];
		for (int i = 0; sched_task_view(s, r->id, i, &v); i++) {
			if (json_array_size(list) == BREAKERS_HELD_MAX)
				return list;
			if (v.breaker && strcmp(v.breaker, name) == 0)
				json_array_append_new(list,
					json_pack("{s:s, s:s}", "run", r->name, "task",
						run_task_label(r->dag->tasks[v.task_index].name,
							v.map_index, label)));
		}
	}
	return list;
}

/* It is held, was skipped or failed by it, or waits for a try with it. */
static bool is_stopped(const struct active_run *r, const struct task_view *v, const char *name)
{
	if (!uses(&r->dag->tasks[v->task_index], name))
		return false;
	return (v->breaker && strcmp(v->breaker, name) == 0) || v->state == TASK_UP_FOR_RETRY ||
	       v->state == TASK_QUEUED;
}

json_t *breakers_stopped(const struct sched *s, const struct active_run *runs, const char *name)
{
	json_t *list = json_array();
	json_int_t n = 0;

	for (const struct active_run *r = runs; r; r = r->hh.next) {
		struct task_view v;
		char label[RUN_LABEL_MAX];
		for (int i = 0; sched_task_view(s, r->id, i, &v); i++) {
			if (!is_stopped(r, &v, name) || ++n > BREAKERS_HELD_MAX)
				continue;
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:s}", "run", r->name, "task",
					      run_task_label(r->dag->tasks[v.task_index].name,
						      v.map_index, label),
					      "state", task_state_name(v.state)));
		}
	}
	return json_pack("{s:o, s:I}", "held", list, "count", n);
}
