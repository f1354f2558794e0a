/* The daemon's DAGs: from the folder to the planner, with the switches people set. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "core/model.h"
#include "run/breakers.h"
#include "run/daemon_impl.h"
#include "run/pools.h"

#define FOLDER_AGAIN_US (2 * US_PER_SECOND)

struct steered *daemon_steer(struct daemon *d, const char *name)
{
	struct steered *s;

	HASH_FIND_STR(d->steered, name, s);
	if (s)
		return s;
	s = calloc(1, sizeof *s);
	if (!s || !(s->name = strdup(name))) {
		free(s);
		return NULL;
	}
	HASH_ADD_KEYPTR(hh, d->steered, s->name, strlen(s->name), s);
	return s;
}

/* ---- what the store knows ------------------------------------------------------------- */

static void read_row(struct steered *s, const struct dag_row *row)
{
	s->paused = row->paused || row->all_paused;
	s->draining = row->draining;
	if (row->plan_state && !s->has_state)
		s->has_state = planner_state_parse(row->plan_state, &s->state, NULL) == 0;
}

/* So that a file that broke while no daemon ran goes on as it was. */
static int tell_catalog(struct daemon *d, struct err *err)
{
	struct store_result rows = { 0 };
	int rc = 0;

	if (store_dags(d->engine.store, NULL, &rows, err) < 0)
		return -1;
	for (size_t i = 0; rc == 0 && i < rows.n; i++) {
		const struct dag_row *row = &rows.dags[i];
		const struct catalog_former f = { row->name, row->path, row->version };
		if (row->present && row->path)
			rc = catalog_know(d->catalog, &f, err);
	}
	store_result_release(&rows);
	return rc;
}

static char *version_text(void *arg, const char *version)
{
	const struct daemon *d = arg;
	char *text = NULL;

	return store_version_text(d->engine.store, version, &text, NULL) == 0 ? text : NULL;
}

static int read_switches(struct daemon *d, const char *dag, struct err *err)
{
	struct store_result rows = { 0 };

	if (store_dags(d->engine.store, dag, &rows, err) < 0)
		return err->code == ERR_NOT_FOUND ? 0 : -1;
	for (size_t i = 0; i < rows.n; i++) {
		struct steered *s = daemon_steer(d, rows.dags[i].name);
		if (s)
			read_row(s, &rows.dags[i]);
	}
	store_result_release(&rows);
	return 0;
}

/* ---- the planner's view --------------------------------------------------------------- */

/* Should it come back, its schedule goes on from here. */
static void forget_plan(struct daemon *d, const char *name)
{
	struct steered *s = daemon_steer(d, name);

	if (s && planner_state(d->planner, name, &s->state))
		s->has_state = true;
	planner_remove_dag(d->planner, name);
}

static void plan_dag(struct daemon *d, const struct catalog_dag *c, struct steered *s)
{
	struct err err = { 0 };
	const struct planner_dag dag = { .name = c->name,
		.spec = &c->spec,
		.max_active_runs = c->max_active_runs,
		.overlap = (enum planner_overlap)c->overlap,
		.paused = s->paused || s->draining,
		.state = s->has_state ? &s->state : NULL,
		.active = s->active };

	daemon_sla_set(d, c);
	daemon_datasets_set(d, c);
	if (c->params_error && (c->spec.kind != TIMETABLE_MANUAL || c->datasets.n)) {
		say(d, LEVEL_ERROR, "the DAG cannot be scheduled", { "dag", c->name },
			{ "error", c->params_error });
		forget_plan(d, c->name);
	} else if (planner_set_dag(d->planner, &dag, clock_now_us(), &err) < 0) {
		say(d, LEVEL_ERROR, "the DAG cannot be scheduled", { "dag", c->name },
			{ "error", err.msg });
	}
}

/* Held tasks of a run wait until the switch is off. */
void daemon_hold_run(struct daemon *d, struct active_run *r)
{
	const struct run_data *data = r->data;
	struct store_result frozen = { 0 };
	struct sched_hold h = { r->id, -1, data->dag->paused, REASON_PAUSED };

	sched_hold(d->engine.sched, &h);
	if (store_frozen(d->engine.store, r->dag->name, &frozen, NULL) < 0)
		return;
	for (int i = 0; i < r->dag->ntasks; i++) {
		bool held = false;
		for (size_t k = 0; k < frozen.n; k++)
			held = held || strcmp(frozen.frozen[k].task, r->dag->tasks[i].name) == 0;
		h = (struct sched_hold){ r->id, i, held, REASON_FROZEN };
		sched_hold(d->engine.sched, &h);
	}
	store_result_release(&frozen);
}

static void apply_switches(struct daemon *d, const char *name)
{
	struct catalog_dag *c = catalog_find(d->catalog, name);
	struct steered *s = daemon_steer(d, name);
	struct active_run *r, *next;

	if (s && c)
		plan_dag(d, c, s);
	HASH_ITER (hh, d->engine.runs, r, next)
		if (strcmp(r->dag->name, name) == 0)
			daemon_hold_run(d, r);
}

void daemon_switched(struct daemon *d, const char *dag)
{
	bool all = strcmp(dag, "*") == 0;
	struct steered *s, *next;
	struct err err = { 0 };

	if (read_switches(d, all ? NULL : dag, &err) < 0)
		say(d, LEVEL_ERROR, "cannot read the switches", { "error", err.msg });
	HASH_ITER (hh, d->steered, s, next)
		if (all || strcmp(s->name, dag) == 0)
			apply_switches(d, s->name);
}

/* ---- the folder ----------------------------------------------------------------------- */

struct puts {
	struct daemon *daemon;
	struct dag_put *list;
	size_t n, cap;
};

static void add_put(struct puts *p, const struct dag_put *put)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		struct dag_put *grown = reallocarray(p->list, cap, sizeof *grown);
		if (!grown)
			return;
		p->list = grown;
		p->cap = cap;
	}
	p->list[p->n++] = *put;
}

static void take_changed(void *arg, struct catalog_dag *c)
{
	struct puts *p = arg;
	struct daemon *d = p->daemon;

	if (c->error)
		say(d, LEVEL_ERROR,
			c->name ? "the file cannot be loaded"
				: "the file cannot be loaded: NOT scheduled until it is mended",
			{ "file", c->path }, { "dag", c->name },
			{ "kept", c->name ? "its last good version" : NULL },
			{ "error", c->error });
	if (!c->name)
		return;
	add_put(p, &(struct dag_put){ .name = c->name,
			   .path = c->path,
			   .dir = c->dir,
			   .version = c->error ? NULL : c->version,
			   .error = c->error,
			   .present = true,
			   .links = c->links,
			   .nlinks = c->nlinks });
	struct steered *s = daemon_steer(d, c->name);
	if (!s)
		return;
	if (!c->error)
		say(d, LEVEL_INFO, "DAG loaded", { "dag", c->name }, { "file", c->path },
			{ "version", c->version });
	plan_dag(d, c, s);
}

static int tell_store(struct daemon *d, struct puts *p, struct err *err)
{
	int rc = p->n ? store_dags_put(d->engine.store, p->list, p->n, clock_now_us(), err) : 0;

	if (rc < 0)
		say(d, LEVEL_ERROR, "cannot record the DAGs", { "error", err->msg });
	return rc;
}

/* Nobody tells when a folder that was gone is back: it is looked at again. */
static void set_folder_error(struct daemon *d, const struct err *err)
{
	const struct timeval again = { .tv_sec = FOLDER_AGAIN_US / US_PER_SECOND };

	if (err && !d->folder_error)
		say(d, LEVEL_ERROR, "cannot read the folder of the DAGs", { "error", err->msg });
	else if (!err && d->folder_error)
		say(d, LEVEL_INFO, "the folder of the DAGs is back", { "error", NULL });
	free(d->folder_error);
	d->folder_error = err ? strdup(err->msg) : NULL;
	if (err)
		event_add(d->on_settled, &again);
}

int daemon_scan(struct daemon *d, struct err *err)
{
	struct puts p = { .daemon = d };
	char *removed[64];
	size_t n = 0;

	daemon_settings_look(d);
	int changed = catalog_scan(d->catalog, err);
	set_folder_error(d, changed < 0 ? err : NULL);
	if (changed < 0)
		return -1;
	while (n < 64 && (removed[n] = catalog_next_removed(d->catalog))) {
		/* A name that moved to another file is not gone. */
		if (!catalog_find(d->catalog, removed[n])) {
			say(d, LEVEL_INFO, "DAG removed; its runs finish", { "dag", removed[n] });
			forget_plan(d, removed[n]);
			daemon_sla_remove(d, removed[n]);
			daemon_datasets_remove(d, removed[n]);
			add_put(&p, &(struct dag_put){ .name = removed[n] });
		}
		n++;
	}
	catalog_each_changed(d->catalog, take_changed, &p);
	daemon_watch_folders(d);
	if (d->engine.sched && pools_apply_all(d->engine.sched, d->catalog, err) < 0)
		say(d, LEVEL_ERROR, "cannot set the pools", { "error", err->msg });
	if (d->engine.sched && breakers_apply_all(d->engine.sched, d->catalog, err) < 0)
		say(d, LEVEL_ERROR, "cannot set the breakers", { "error", err->msg });
	int rc = tell_store(d, &p, err);
	for (size_t i = 0; i < n; i++)
		free(removed[i]);
	free(p.list);
	/* More than that were removed at once: the rest in another pass. */
	return rc < 0 ? -1 : n == 64 ? daemon_scan(d, err) : changed;
}

int daemon_dags_init(struct daemon *d, struct err *err)
{
	d->planner = planner_new();
	if (!d->planner)
		return err_nomem(err);
	struct catalog_env env = d->config->catalog;
	env.text_of = version_text;
	env.arg = d;
	if (catalog_new(&d->catalog, d->config->folder, &env, err) < 0 || tell_catalog(d, err) < 0)
		return -1;
	if (read_switches(d, NULL, err) < 0 || daemon_datasets_init(d, err) < 0)
		return -1;
	return daemon_sla_init(d, err);
}

void daemon_dags_release(struct daemon *d)
{
	struct steered *s, *next;

	daemon_sla_release(d);
	daemon_datasets_release(d);
	planner_free(d->planner);
	catalog_free(d->catalog);
	HASH_ITER (hh, d->steered, s, next) {
		HASH_DEL(d->steered, s);
		free(s->name);
		free(s);
	}
	free(d->folder_error);
}
