/* What was missed of SLAs, before it reaches a backend. */
#include <string.h>

#include "base/err.h"
#include "core/sla.h"
#include "store/backend.h"

static const char *const ends[] = { SLA_END_DONE, SLA_END_PASSED_OVER };

static int check_key(const struct sla_key *k, struct err *err)
{
	if (!k->dag || !k->task || !k->kind || sla_kind_by_name(k->kind) < 0)
		return err_set(err, ERR_INTERNAL,
			"an SLA was missed without DAG, task or kind, or of an unknown kind");
	if (k->end_us < k->start_us)
		return err_set(err, ERR_INTERNAL,
			"DAG %s: an SLA of an interval that ends before it starts", k->dag);
	return 0;
}

static bool is_end(const char *why)
{
	for (size_t i = 0; why && i < sizeof ends / sizeof *ends; i++)
		if (strcmp(why, ends[i]) == 0)
			return true;
	return false;
}

int backend_check_slas(const struct store_slas *slas, struct err *err)
{
	for (size_t i = 0; i < slas->nmisses; i++)
		if (check_key(&slas->misses[i].key, err) < 0)
			return -1;
	for (size_t i = 0; i < slas->nends; i++)
		if (slas->ends[i].id <= 0 || !is_end(slas->ends[i].why))
			return err_set(err, ERR_INTERNAL, "an SLA that is met at last: which?");
	for (size_t i = 0; i < slas->nmarks; i++)
		if (!slas->marks[i].dag)
			return err_set(err, ERR_INTERNAL, "SLAs of no DAG are judged");
	return 0;
}

int store_sla_misses(
	struct store *s, const struct sla_filter *f, struct store_result *ret, struct err *err)
{
	const struct list_query q = {
		.kind = f->open ? LIST_SLA_OPEN : LIST_SLA_MISSES, .dag = f->dag, .limit = f->limit
	};

	return backend_list(s, &q, ret, err);
}

int store_sla_marks(struct store *s, const char *dag, struct store_result *ret, struct err *err)
{
	return backend_list(
		s, &(struct list_query){ .kind = LIST_SLA_MARKS, .dag = dag }, ret, err);
}

int store_task_times(
	struct store *s, const char *dag, int nruns, struct store_result *ret, struct err *err)
{
	if (!dag || nruns <= 0)
		return err_set(err, ERR_INTERNAL, "durations of no DAG, or of no runs");
	return backend_list(s,
		&(struct list_query){ .kind = LIST_TASK_TIMES, .dag = dag, .limit = nruns }, ret,
		err);
}
