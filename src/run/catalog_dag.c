#include "run/catalog_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/node.h"
#include "conf/crossdag.h"
#include "conf/diag.h"
#include "core/model.h"
#include "core/zone.h"
#include "store/store.h"

void catalog_free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static char **copy_list(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	char **copy = calloc(n + 1, sizeof *copy);
	for (size_t i = 0; copy && i < n; i++)
		copy[i] = strdup(list[i]);
	return copy;
}

static void *copy_array(char **at, const void *from, size_t n, size_t size)
{
	void *copy = *at;

	if (n == 0)
		return NULL;
	memcpy(copy, from, n * size);
	*at += n * size;
	return copy;
}

/* The timetable without the DAG it came from. Its arrays, all of numbers, go into one block that is
 * no larger than they are: there may be ten thousand. */
static bool copy_spec(struct catalog_dag *d, const struct dag *dag)
{
	struct schedule_spec *spec = &d->spec;
	struct timetable_days *days[] = { &spec->calendar.only, &spec->calendar.exclude };

	free(d->numbers);
	d->numbers = NULL;
	*spec = (struct schedule_spec){ .zone = zone_utc() };
	if (!dag->schedule)
		return true;
	*spec = *dag->schedule;
	size_t size = spec->n_crons * sizeof *spec->crons + spec->n_at * sizeof *spec->at_us;
	for (size_t i = 0; i < sizeof days / sizeof *days; i++)
		size += days[i]->n_days * sizeof *days[i]->days;
	char *at = d->numbers = malloc(size + 1);
	if (!at)
		return false;
	spec->crons = copy_array(&at, spec->crons, spec->n_crons, sizeof *spec->crons);
	spec->at_us = copy_array(&at, spec->at_us, spec->n_at, sizeof *spec->at_us);
	for (size_t i = 0; i < sizeof days / sizeof *days; i++)
		days[i]->days =
			copy_array(&at, days[i]->days, days[i]->n_days, sizeof *days[i]->days);
	return true;
}

static void take_spec(struct catalog *c, struct catalog_dag *d, const struct dag *dag)
{
	if (!copy_spec(d, dag)) {
		d->spec = (struct schedule_spec){ .kind = TIMETABLE_MANUAL, .zone = zone_utc() };
		return;
	}
	const struct zone *own = d->spec.zone;
	d->spec.zone = zone_utc();
	if (own && own != zone_utc())
		d->spec.zone = catalog_share_zone(c, zone_name(own));
	/* The zone was there a moment ago; without it the DAG must not run at wrong times. */
	if (!d->spec.zone)
		d->spec.kind = TIMETABLE_MANUAL;
}

void catalog_set_error(struct catalog_dag *d, struct diags *diags)
{
	struct buf text;

	free(d->error);
	d->error = NULL;
	if (!diags)
		return;
	buf_init(&text, CATALOG_ERROR_MAX);
	diags_print(diags, &text, false);
	/* A text that is cut at its maximum still tells the first errors. */
	d->error = strdup(text.len ? text.data : "cannot be loaded");
	buf_release(&text);
}

void catalog_rename(struct catalog *c, struct catalog_dag *d, const char *name)
{
	if (d->name && strcmp(d->name, name) == 0)
		return;
	if (d->name) {
		crossdag_remove(c->cross, d->name);
		HASH_DELETE(by_name, c->by_name, d);
		char **grown = reallocarray(c->removed, c->nremoved + 1, sizeof *grown);
		if (grown) {
			c->removed = grown;
			c->removed[c->nremoved++] = d->name;
		} else {
			free(d->name);
		}
	}
	d->name = strdup(name);
	if (d->name)
		HASH_ADD_KEYPTR(by_name, c->by_name, d->name, strlen(d->name), d);
}

static void copy_params(struct catalog_dag *d, const struct dag *dag)
{
	struct err err = { 0 };
	json_t *params = dagfile_params(dag, NULL, &err);

	free(d->params);
	free(d->params_error);
	d->params = params ? json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	d->params_error = params ? NULL : strdup(err.msg);
	json_decref(params);
}

static void copy_slas(struct catalog_dag *d, const struct dag *dag)
{
	size_t n = dag->sla != NULL;

	free(d->slas);
	d->slas = NULL;
	d->nslas = 0;
	for (int i = 0; i < dag->ntasks; i++)
		n += dag->tasks[i].sla != NULL;
	if (n == 0 || !d->tasks || !(d->slas = calloc(n, sizeof *d->slas)))
		return;
	if (dag->sla)
		d->slas[d->nslas++].sla = *dag->sla;
	for (int i = 0; i < dag->ntasks; i++)
		if (dag->tasks[i].sla && d->tasks[i])
			d->slas[d->nslas++] = (struct sla_of){ d->tasks[i], *dag->tasks[i].sla };
}

void catalog_free_links(struct catalog_dag *d)
{
	for (size_t i = 0; i < d->nlinks; i++)
		free((char *)d->links[i].dataset);
	free(d->links);
	free((void *)d->datasets.refs);
	d->links = NULL;
	d->nlinks = 0;
	d->datasets = (struct dataset_rule){ .n = 0 };
}

static void add_link(struct catalog_dag *d, const struct dataset_link *link)
{
	char *name = strdup(link->dataset);

	if (!name)
		return;
	d->links[d->nlinks] = *link;
	d->links[d->nlinks++].dataset = name;
}

/* The shorter of what the task and its DAG ask for; either may ask for nothing. */
static int64_t fresh_within(const struct sla *task, const struct sla *dag)
{
	int64_t a = task ? task->fresh_within_us : 0, b = dag ? dag->fresh_within_us : 0;

	return !a || (b && b < a) ? b : a;
}

/* "quality:NAME" among its breakers: it consumes NAME. */
static const char *consumed(const char *breaker)
{
	size_t len = strlen(QUALITY_BREAKER);

	return strncmp(breaker, QUALITY_BREAKER, len) == 0 ? breaker + len : NULL;
}

/* The dataset that a task waits for (control: wait); NULL: none, or not known yet. */
static const char *waited_for(const struct task *t)
{
	const char *name = t->waits ? node_text(node_get(t->with, "dataset")) : NULL;

	return name && dataset_is_name(name) ? name : NULL;
}

static size_t count_links(const struct dag *dag)
{
	size_t n = dag->datasets ? dag->datasets->n : 0;

	for (int i = 0; i < dag->ntasks; i++) {
		n += (size_t)dag->tasks[i].nproduces + (waited_for(&dag->tasks[i]) != NULL);
		for (size_t k = 0; dag->tasks[i].breakers && dag->tasks[i].breakers[k]; k++)
			n += consumed(dag->tasks[i].breakers[k]) != NULL;
	}
	return n;
}

static void copy_rule(struct catalog_dag *d, const struct dataset_rule *rule)
{
	struct dataset_ref *refs = calloc(d->nlinks + 1, sizeof *refs);

	if (!refs)
		return;
	d->datasets = (struct dataset_rule){ rule->when, refs, 0 };
	for (; d->datasets.n < d->nlinks; d->datasets.n++)
		refs[d->datasets.n].name = d->links[d->datasets.n].dataset;
}

static void add_links_of(struct catalog_dag *d, const struct dag *dag, const struct task *t)
{
	struct dataset_link link = { .task = d->tasks[t->index], .role = DATASET_PRODUCES };

	link.fresh_within_us = fresh_within(t->sla, dag->datasets ? NULL : dag->sla);
	for (int k = 0; k < t->nproduces; k++) {
		link.dataset = t->produces[k].name;
		add_link(d, &link);
	}
	link.role = DATASET_CONSUMES;
	link.fresh_within_us = 0;
	for (size_t k = 0; t->breakers && t->breakers[k]; k++)
		if ((link.dataset = consumed(t->breakers[k])))
			add_link(d, &link);
	if ((link.dataset = waited_for(t)))
		add_link(d, &link);
}

static void copy_links(struct catalog_dag *d, const struct dag *dag)
{
	size_t n = count_links(dag);

	catalog_free_links(d);
	if (n == 0 || !d->tasks || !(d->links = calloc(n, sizeof *d->links)))
		return;
	for (size_t i = 0; dag->datasets && i < dag->datasets->n; i++)
		add_link(d, &(struct dataset_link){ .dataset = dag->datasets->refs[i].name,
				    .task = "",
				    .role = DATASET_SCHEDULES,
				    .fresh_within_us = fresh_within(NULL, dag->sla) });
	if (dag->datasets)
		copy_rule(d, dag->datasets);
	for (int i = 0; i < dag->ntasks && d->tasks[i]; i++)
		add_links_of(d, dag, &dag->tasks[i]);
}

void catalog_accept(struct catalog *c, struct catalog_dag *d, const struct dag *dag)
{
	catalog_rename(c, d, dag->name);
	crossdag_put(c->cross, dag);
	free(d->text);
	free(d->dir);
	catalog_free_list(d->files);
	catalog_free_list(d->tasks);
	d->tasks = calloc((size_t)dag->ntasks + 1, sizeof *d->tasks);
	for (int i = 0; d->tasks && i < dag->ntasks; i++)
		d->tasks[i] = strdup(dag->tasks[i].name);
	d->text = strdup(dag->text);
	d->dir = strdup(dag->dir);
	d->files = copy_list(dag->files);
	memcpy(d->version, dag->hash, sizeof d->version);
	d->max_active_runs = dag->max_active_runs;
	d->overlap = dag->overlap;
	copy_slas(d, dag);
	copy_links(d, dag);
	take_spec(c, d, dag);
	copy_params(d, dag);
	catalog_set_error(d, NULL);
}
