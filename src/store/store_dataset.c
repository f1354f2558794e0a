/* Datasets, before they reach a backend; and the names of what DAGs have to do with them. */
#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "core/dataset.h"
#include "store/backend.h"

static const char *const role_names[] = {
	[DATASET_PRODUCES] = "produces",
	[DATASET_SCHEDULES] = "schedules",
	[DATASET_CONSUMES] = "consumes",
};
static_assert(sizeof role_names / sizeof *role_names == DATASET_ROLE_MAX, "a name for each");

const char *dataset_role_name(enum dataset_role r)
{
	return (unsigned)r < DATASET_ROLE_MAX ? role_names[r] : "?";
}

int dataset_role_by_name(const char *name)
{
	for (int i = 0; i < DATASET_ROLE_MAX; i++)
		if (strcmp(role_names[i], name) == 0)
			return i;
	return -1;
}

/* ---- writing ------------------------------------------------------------------------- */

int backend_check_dataset(const struct dataset_put *put, struct err *err)
{
	if (!put->dataset || !dataset_is_name(put->dataset))
		return err_set(err, ERR_INTERNAL, "an update of a dataset without a name");
	if (put->end_us < put->start_us)
		return err_set(err, ERR_INTERNAL,
			"dataset %s: an update of an interval that ends before it starts",
			put->dataset);
	return 0;
}

int backend_check_takes(const struct store_plan *plan, struct err *err)
{
	for (size_t i = 0; i < plan->ntakes; i++)
		if (plan->takes[i].open >= plan->nopens)
			return err_set(err, ERR_INTERNAL, "updates are taken by no run");
	return 0;
}

int store_dataset_touch(
	struct store *s, const struct dataset_put *put, int64_t *ret_id, struct err *err)
{
	if (backend_check_dataset(put, err) < 0)
		return -1;
	if (put->work || put->run_id || !put->by)
		return err_set(err, ERR_INTERNAL, "dataset %s: updated by nobody", put->dataset);
	return s->ops->dataset_touch(s, put, ret_id, err);
}

int store_dataset_follow(struct store *s, const struct dataset_follow *f, struct err *err)
{
	if (!f->dag || !*f->dag)
		return err_set(err, ERR_INTERNAL, "datasets are waited for by no DAG");
	return s->ops->dataset_follow(s, f, err);
}

bool backend_follows(const struct dataset_follow *f, const char *dataset)
{
	for (size_t i = 0; i < f->n; i++)
		if (strcmp(f->names[i], dataset) == 0)
			return true;
	return false;
}

/* ---- reading ------------------------------------------------------------------------- */

int store_datasets(struct store *s, const char *name, struct store_result *ret, struct err *err)
{
	return backend_list(
		s, &(struct list_query){ .kind = LIST_DATASETS, .dataset = name }, ret, err);
}

int store_dataset_updates(
	struct store *s, const struct update_filter *f, struct store_result *ret, struct err *err)
{
	bool lacks = (f->which == UPDATES_WAITING && !f->dag) ||
		     (f->which == UPDATES_DURING && !f->dataset);

	if ((unsigned)f->which >= UPDATE_QUERY_MAX || lacks)
		return err_set(err, ERR_INTERNAL, "updates of what?");
	const struct list_query q = { .kind = (enum list_kind)(LIST_UPDATES + (int)f->which),
		.dataset = f->dataset,
		.dag = f->dag,
		.id = f->id,
		.from_us = f->from_us,
		.to_us = f->to_us,
		.limit = f->limit };
	return backend_list(s, &q, ret, err);
}

int store_dataset_links(
	struct store *s, const char *dataset, struct store_result *ret, struct err *err)
{
	return backend_list(s,
		&(struct list_query){ .kind = LIST_DATASET_LINKS, .dataset = dataset }, ret, err);
}

int store_dataset_cursors(
	struct store *s, const char *dag, struct store_result *ret, struct err *err)
{
	return backend_list(
		s, &(struct list_query){ .kind = LIST_DATASET_CURSORS, .dag = dag }, ret, err);
}
