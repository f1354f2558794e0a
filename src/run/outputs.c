#include "run/outputs.h"

/* All lists are as long as the task has instances. */
static void pad(json_t *list, int n)
{
	while (json_array_size(list) < (size_t)n)
		json_array_append_new(list, json_null());
}

static json_t *list_of(json_t *whole, const char *key, int n)
{
	json_t *list = json_object_get(whole, key);

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(whole, key, list);
	}
	pad(list, n);
	return list;
}

static json_t *whole_of(json_t *all, const char *task)
{
	json_t *whole = json_object_get(all, task);

	if (whole)
		return whole;
	whole = json_object();
	json_object_set_new(all, task, whole);
	return whole;
}

static void clear_instance(json_t *whole, int map_index)
{
	const char *key;
	json_t *list;

	json_object_foreach(whole, key, list) if (json_array_size(list) > (size_t)map_index)
		json_array_set_new(list, (size_t)map_index, json_null());
}

void outputs_set(json_t *all, const struct outputs_of *of, json_t *outputs)
{
	const char *key;
	json_t *value;

	if (of->map_index < 0) {
		if (outputs)
			json_object_set(all, of->task, outputs);
		else
			json_object_del(all, of->task);
		return;
	}
	clear_instance(json_object_get(all, of->task), of->map_index);
	json_object_foreach(outputs, key, value)
		json_array_set(list_of(whole_of(all, of->task), key, of->ninstances),
			(size_t)of->map_index, value);
}
