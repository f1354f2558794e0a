#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/template_impl.h"
#include "core/model.h"
#include "core/zone.h"

enum { TASK_NAME_SIZE = 320 };

static int from_text(const char *s, struct value *ret)
{
	*ret = s ? template_value_string(s, strlen(s)) : template_value_null(true);
	return 0;
}

static int get_ds(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	*ret = template_value_date(zone_day_at(e->ctx->zone, e->ctx->interval_start_us));
	return 0;
}

static int get_ds_nodash(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	struct civil c;
	const char *text;

	(void)rest;
	zone_to_civil(e->ctx->zone, e->ctx->interval_start_us, &c, NULL);
	text = arena_printf(&e->arena, "%04d%02d%02d", c.year, c.month, c.day);
	if (!text)
		return err_nomem(err);
	return from_text(text, ret);
}

static int get_start(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	*ret = template_value_instant(e->ctx->interval_start_us, e->ctx->zone);
	return 0;
}

static int get_end(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	*ret = template_value_instant(e->ctx->interval_end_us, e->ctx->zone);
	return 0;
}

static int get_now(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	*ret = template_value_instant(e->ctx->now_us, e->ctx->zone);
	return 0;
}

/* Walk "a.b.c" through nested objects; NULL when a step is missing. */
static json_t *walk(json_t *json, const char *path)
{
	while (json && *path) {
		size_t len = strcspn(path, ".");
		json = json_object_getn(json, path, len);
		path += len + (path[len] == '.');
	}
	return json;
}

static int from_walk(struct eval *e, json_t *json, struct value *ret, struct err *err)
{
	if (json)
		return template_value_from_json(e, json, ret, err);
	*ret = template_value_null(true);
	return 0;
}

static int get_param(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	return from_walk(e, walk(e->ctx->params, rest), ret, err);
}

/* The first of the names that `name` can mean, from the innermost group outwards. */
static bool find_task(const struct template_tasks *tasks, const char *name, size_t len,
	char *ret_task, size_t size)
{
	const char *from = tasks->from ? tasks->from : "";

	for (size_t p = dag_name_scope(from, strlen(from));; p = dag_name_scope(from, p - 1)) {
		int n = snprintf(ret_task, size, "%.*s%.*s", (int)p, from, (int)len, name);
		if (n > 0 && (size_t)n < size && tasks->is_task(tasks->arg, ret_task))
			return true;
		if (p == 0)
			return false;
	}
}

const char *template_output_of(
	const struct template_tasks *tasks, const char *rest, char *ret_task, size_t size)
{
	static const char middle[] = ".outputs.";
	const char *first = strstr(rest, middle);

	/* A task may be named "outputs", too. */
	for (const char *at = first; at; at = strstr(at + 1, middle))
		if (find_task(tasks, rest, (size_t)(at - rest), ret_task, size))
			return at + sizeof middle - 1;
	snprintf(ret_task, size, "%.*s", (int)(first ? first - rest : 0), rest);
	return first ? first + sizeof middle - 1 : NULL;
}

static bool is_task(const void *arg, const char *name)
{
	return arg && dag_find(arg, name);
}

/* The run keeps outputs by full names, without that middle word. */
static int get_output(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	const struct template_tasks tasks = { e->ctx->task, is_task, e->ctx->model };
	char task[TASK_NAME_SIZE];
	const char *path = template_output_of(&tasks, rest, task, sizeof task);

	if (!path)
		return err_set(err, ERR_INVALID, "write tasks.TASK.outputs.NAME");
	return from_walk(e, walk(json_object_get(e->ctx->outputs, task), path), ret, err);
}

static int get_env(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)err;
	return from_text(e->ctx->getenv ? e->ctx->getenv(rest) : getenv(rest), ret);
}

static int get_run_id(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	return from_text(e->ctx->run_id, ret);
}

static int get_dag_name(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	return from_text(e->ctx->dag, ret);
}

static int get_task_name(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	return from_text(e->ctx->task, ret);
}

static int get_try(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	*ret = template_value_int(e->ctx->task_try);
	return 0;
}

static int get_token(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	*ret = template_value_int(e->ctx->token);
	return 0;
}

static int get_map_index(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	(void)rest, (void)err;
	bool mapped = e->ctx->map_index >= 0;
	*ret = mapped ? template_value_int(e->ctx->map_index) : template_value_null(true);
	return 0;
}

/* The item, or what is inside it. */
static int get_item(struct eval *e, const char *rest, struct value *ret, struct err *err)
{
	return from_walk(e, walk(e->ctx->item, rest ? rest : ""), ret, err);
}

#define STRING TYPE_SET(VALUE_STRING)
#define INT TYPE_SET(VALUE_INT)
#define INSTANT TYPE_SET(VALUE_INSTANT)

static const struct template_name names[] = {
	{ "ds", NULL, TYPE_SET(VALUE_DATE), false, true, get_ds,
		"The date on which the data interval starts, in the schedule's time zone: "
		"2026-11-19." },
	{ "ds_nodash", NULL, STRING, false, true, get_ds_nodash, "The same as 20261119." },
	{ "data_interval_start", NULL, INSTANT, false, true, get_start,
		"The instant the data interval starts, with the zone's offset: "
		"2026-11-19T00:00:00+01:00." },
	{ "data_interval_end", NULL, INSTANT, false, true, get_end,
		"The instant the data interval ends; it does not belong to it." },
	{ "logical_date", NULL, INSTANT, false, true, get_start,
		"The same as data_interval_start." },
	{ "params.", "params.NAME", TYPES_ANY, false, false, get_param,
		"A param of the run. Of a param that is a mapping, params.NAME.KEY." },
	{ "env.", "env.NAME", STRING, false, false, get_env,
		"A variable of the environment weir runs in; null when it is not set." },
	{ "run.id", NULL, STRING, false, true, get_run_id, "The id of the run." },
	{ "dag.name", NULL, STRING, false, false, get_dag_name, "The name of the DAG." },
	{ "task.name", NULL, STRING, true, false, get_task_name, "The name of the task." },
	{ "task.try", NULL, INT, true, false, get_try, "The number of this try, from 1." },
	{ "task.token", NULL, INT, true, false, get_token,
		"The fencing token of this try: larger than that of any try before it." },
	{ "task.map_index", NULL, INT, true, false, get_map_index,
		"The place of the item in the list of foreach, from 0; null for other tasks." },
	{ "item", NULL, TYPES_ANY, true, false, get_item,
		"Of a task with foreach, the item of the list that it is done for." },
	{ "item.", "item.KEY", TYPES_ANY, true, false, get_item,
		"Of an item that is a mapping, what it has under that key." },
	{ "tasks.", "tasks.TASK.outputs.NAME", TYPES_ANY, true, false, get_output,
		"What a task upstream reported, for example rows; null when it did not. Of a task "
		"with foreach, a list with what was reported for each item." },
	{ "now", NULL, INSTANT, false, false, get_now,
		"The time of rendering. Results that depend on it differ when run again; prefer "
		"ds." },
};

const struct template_name *template_names(size_t *ret_n)
{
	*ret_n = sizeof names / sizeof *names;
	return names;
}

const struct template_name *template_name_find(const char *name, size_t len, const char **ret_rest)
{
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t have = strlen(names[i].name);
		bool prefix = names[i].name[have - 1] == '.';
		if ((prefix ? len <= have : len != have) || memcmp(name, names[i].name, have) != 0)
			continue;
		*ret_rest = prefix ? name + have : NULL;
		return &names[i];
	}
	return NULL;
}
