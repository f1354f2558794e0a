#include "run/dataset_waits.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "core/model.h"
#include "store/store.h"

static int read_last(struct store *s, struct dataset_wait *w, struct err *err)
{
	struct store_result rows;

	if (store_datasets(s, w->name, &rows, err) < 0)
		return -1;
	if (rows.n && rows.datasets[0].last)
		w->last_us = rows.datasets[0].last->at_us;
	store_result_release(&rows);
	return 0;
}

static int read_cursors(
	struct store *s, const struct dag *dag, struct dataset_wait *waits, struct err *err)
{
	struct store_result rows;

	if (store_dataset_cursors(s, dag->name, &rows, err) < 0)
		return -1;
	for (size_t i = 0; i < rows.n; i++)
		for (size_t k = 0; k < dag->datasets->n; k++)
			if (strcmp(waits[k].name, rows.cursors[i].dataset) == 0)
				waits[k].since_us = rows.cursors[i].since_us;
	store_result_release(&rows);
	return 0;
}

static int read_updates(
	struct store *s, const struct dag *dag, struct dataset_wait *waits, struct err *err)
{
	const struct update_filter f = { .which = UPDATES_WAITING, .dag = dag->name };
	struct dataset_pending p;
	struct store_result rows;

	if (dataset_pending_init(&p, dag->datasets, err) < 0)
		return -1;
	int rc = store_dataset_updates(s, &f, &rows, err);
	for (size_t i = 0; rc == 0 && i < rows.n; i++) {
		const struct dataset_update_row *u = &rows.updates[i];
		dataset_pending_add(&p, dag->datasets,
			&(struct dataset_update){
				u->id, u->dataset, u->start_us, u->end_us, u->at_us });
	}
	for (size_t k = 0; k < p.n; k++) {
		waits[k].count = p.news[k].count;
		waits[k].first_us = p.news[k].first_us;
		waits[k].start_us = p.news[k].start_us;
		waits[k].end_us = p.news[k].end_us;
	}
	if (rc == 0)
		store_result_release(&rows);
	dataset_pending_release(&p);
	return rc;
}

struct dataset_wait *dataset_waits(struct store *s, const struct dag *dag, struct err *err)
{
	struct dataset_wait *waits = calloc(dag->datasets->n + 1, sizeof *waits);
	int rc = waits ? 0 : err_nomem(err);

	for (size_t i = 0; rc == 0 && i < dag->datasets->n; i++) {
		waits[i].name = dag->datasets->refs[i].name;
		rc = read_last(s, &waits[i], err);
	}
	if (rc == 0 &&
		(read_cursors(s, dag, waits, err) < 0 || read_updates(s, dag, waits, err) < 0))
		rc = -1;
	if (rc == 0)
		return waits;
	free(waits);
	return NULL;
}
