#include "run/mapping.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/node.h"
#include "conf/template.h"
#include "core/model.h"
#include "core/zone.h"
#include "run/job.h"

enum { TEXTS_MAX = 256 << 20 };

static int put_items(const struct foreach *f, json_t *list, struct mapping *ret, struct err *err)
{
	size_t n = json_array_size(list);

	if (!json_is_array(list))
		return err_set(err, ERR_INVALID, "foreach: this is no list");
	if (n > (size_t)f->max_items)
		return err_set(err, ERR_INVALID, "foreach: %zu items, and max_items is %d", n,
			f->max_items);
	ret->items = arena_array(&ret->arena, n + 1, sizeof *ret->items);
	for (size_t i = 0; ret->items && i < n; i++) {
		char *text = json_dumps(json_array_get(list, i), JSON_COMPACT | JSON_ENCODE_ANY);
		ret->items[i] = text ? arena_strdup(&ret->arena, text) : NULL;
		ret->arena.failed |= !text;
		free(text);
	}
	ret->n = (int)n;
	return ret->arena.failed ? err_nomem(err) : 0;
}

int mapping_list(const struct job_context *c, const struct job_attempt *a, struct mapping *ret,
	struct err *err)
{
	const struct foreach *f = a->task->foreach;
	const struct template_context tc = { .dag = c->dag->name,
		.model = c->dag,
		.task = a->task->name,
		.run_id = c->run,
		.interval_start_us = c->interval_start_us,
		.interval_end_us = c->interval_end_us,
		.zone = c->zone,
		.params = c->params,
		.outputs = c->outputs,
		.task_try = a->try,
		.map_index = -1,
		.now_us = a->now_us };

	*ret = (struct mapping){ 0 };
	arena_init(&ret->arena, TEXTS_MAX);
	json_t *list = render_any(f->items, &tc, err);
	int rc = list ? put_items(f, list, ret, err) : -1;
	json_decref(list);
	if (rc < 0)
		mapping_release(ret);
	return rc;
}

void mapping_release(struct mapping *m)
{
	arena_release(&m->arena);
	*m = (struct mapping){ 0 };
}
