#include "run/breakers.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "conf/config.h"
#include "core/breaker.h"
#include "core/model.h"
#include "core/sched.h"
#include "run/catalog.h"
#include "run/engine.h"
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

int breakers_apply_all(struct sched *s, const struct catalog *c, struct err *err)
{
	struct policies all = { 0 };

	catalog_each_config(c, add_config, &all);
	for (size_t i = 0; i < all.n; i++)
		all.failed |= sched_set_breaker(s, all.list[i].name, &all.list[i].policy) < 0;
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

int breakers_reload(struct sched *s, struct store *store, const char *name, struct err *err)
{
	struct store_result rows;
	int rc = 0;

	if (store_breakers(store, name, &rows, err) < 0)
		return -1;
	if (rows.n && sched_load_breaker(s, name, rows.breakers[0].text, clock_now_us()) < 0)
		rc = err_nomem(err);
	store_result_release(&rows);
	return rc;
}

/* ---- what is told --------------------------------------------------------------------- */

json_t *breakers_held_by(const struct sched *s, const struct active_run *runs, const char *name)
{
	json_t *list = json_array();

	for (const struct active_run *r = runs; r; r = r->hh.next)
		for (int i = 0; i < r->dag->ntasks; i++) {
			struct task_view view;
			if (json_array_size(list) == BREAKERS_HELD_MAX)
				return list;
			if (r->dag->tasks[i].breakers && sched_task_view(s, r->id, i, &view) &&
				view.breaker && strcmp(view.breaker, name) == 0)
				json_array_append_new(list, json_pack("{s:s, s:s}", "run", r->name,
								    "task", r->dag->tasks[i].name));
		}
	return list;
}
