/* Filters of lists, such as the outputs of a mapped task. */
#include "base/err.h"
#include "conf/template_filters.h"

TEMPLATE_FILTER_FN(compact)
{
	json_t *list = json_array(), *item;
	size_t i;

	(void)args, (void)nargs;
	json_array_foreach(v->json, i, item)
	{
		if (json_is_null(item) || !list || json_array_append(list, item) == 0)
			continue;
		json_decref(list);
		list = NULL;
	}
	return template_value_keep(e, list, v, err);
}

static int add_item(struct eval *e, struct value *sum, json_t *json, struct err *err)
{
	struct value item, text;
	int rc = template_value_from_json(e, json, &item, err);

	if (rc == 0 && item.type == VALUE_NULL)
		return 0;
	text = item;
	if (rc == 0 && item.type == VALUE_STRING &&
		template_filter_int(e, &item, NULL, 0, NULL) < 0) {
		item = text;
		rc = template_filter_float(e, &item, NULL, 0, err);
	} else if (rc == 0 && !(TYPE_SET(item.type) & TYPES_NUMBER)) {
		char got[100];
		rc = err_set(err, ERR_INVALID, "a sum needs numbers, got %s",
			template_value_describe(&item, got, sizeof got));
	}
	return rc < 0 ? rc : template_filter_add(e, sum, &item, 1, err);
}

TEMPLATE_FILTER_FN(sum)
{
	struct value sum = template_value_int(0);
	json_t *item;
	size_t i;

	(void)args, (void)nargs;
	json_array_foreach(v->json, i, item)
	{
		if (add_item(e, &sum, item, err) < 0)
			return err_context(err, "item %zu of the list", i + 1);
	}
	*v = sum;
	return 0;
}
