#include "run/pools.h"

#include <string.h>

#include "base/err.h"
#include "conf/config.h"
#include "core/model.h"
#include "core/sched.h"
#include "run/catalog.h"
#include "run/engine.h"
#include "run/name.h"

int pools_apply(struct sched *s, const struct config *config, struct err *err)
{
	const char *const *names = config ? config_pools(config) : NULL;

	for (; names && *names; names++)
		if (sched_set_pool(s, *names, config_pool_slots(config, *names)) < 0)
			return err_nomem(err);
	return 0;
}

/* ---- of a folder ---------------------------------------------------------------------- */

static void add_config(void *arg, const struct config *config)
{
	json_t *all = arg;

	for (const char *const *name = config_pools(config); name && *name; name++) {
		const json_t *other = json_object_get(all, *name);
		int slots = config_pool_slots(config, *name);
		if (!other || json_integer_value(other) > slots)
			json_object_set_new(all, *name, json_integer(slots));
	}
}

int pools_apply_all(struct sched *s, const struct catalog *c, struct err *err)
{
	json_t *all = json_object(), *slots;
	const char *name;
	int rc = all ? 0 : -1;

	if (all)
		catalog_each_config(c, add_config, all);
	json_object_foreach(all, name, slots)
	{
		if (sched_set_pool(s, name, (int)json_integer_value(slots)) < 0)
			rc = -1;
	}
	json_decref(all);
	return rc < 0 ? err_nomem(err) : 0;
}

/* ---- what is told --------------------------------------------------------------------- */

static void add_pool(void *arg, const struct sched_pool *p)
{
	json_array_append_new(arg,
		json_pack("{s:s, s:i, s:i, s:i, s:i, s:[]}", "pool", p->name, "slots", p->slots,
			"used", p->used, "running", p->running, "waiting", p->waiting, "held_by"));
}

static void add_holder(json_t *list, const struct active_run *r, const struct task_view *v)
{
	const struct task *t = &r->dag->tasks[v->task_index];
	char label[RUN_LABEL_MAX];
	json_t *pool;
	size_t i;

	json_array_foreach(list, i, pool)
	{
		json_t *held_by = json_object_get(pool, "held_by");
		if (strcmp(json_string_value(json_object_get(pool, "pool")), t->pool) == 0 &&
			json_array_size(held_by) < POOLS_HOLDERS_MAX)
			json_array_append_new(
				held_by, json_pack("{s:s, s:s, s:i}", "run", r->name, "task",
						 run_task_label(t->name, v->map_index, label),
						 "slots", t->slots));
	}
}

json_t *pools_status(struct sched *s, const struct active_run *runs)
{
	json_t *list = json_array();

	sched_each_pool(s, add_pool, list);
	for (const struct active_run *r = runs; r && json_array_size(list); r = r->hh.next) {
		struct task_view view;
		for (int i = 0; sched_task_view(s, r->id, i, &view); i++)
			if (view.state == TASK_RUNNING && r->dag->tasks[view.task_index].pool)
				add_holder(list, r, &view);
	}
	return list;
}
