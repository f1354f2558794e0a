/* An engine with a store and a WEIR_HOME of its own, and what it said; cmocka comes before it. */
#ifndef WEIR_TESTS_LIB_ENGINE_WORLD_H
#define WEIR_TESTS_LIB_ENGINE_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/config.h"
#include "conf/diag.h"
#include "core/model.h"
#include "exec/executor.h"
#include "operators/operators.h"
#include "run/engine.h"
#include "run/paths.h"
#include "tests/lib/dagops.h"

#define WORLD_DAY_US INT64_C(86400000000)

struct world {
	char home[64];
	struct exec_local_provider provider;
	struct exec_provider executors;
	int nengines; /* begun */
	struct config *config;
	struct engine e;
	struct err err;
	int nidle, nlost, ntroubles, nreplaced;
};

static inline void world_idle(void *arg, struct active_run *run)
{
	struct world *w = arg;

	w->nidle++;
	engine_drop(&w->e, run, true);
}

static inline void world_lost(void *arg, struct active_run *run)
{
	struct world *w = arg;

	(void)run;
	w->nlost++;
}

static inline void world_trouble(void *arg, const struct err *err)
{
	struct world *w = arg;

	w->ntroubles += err != NULL;
}

static inline void world_replaced(void *arg, const struct err *why)
{
	struct world *w = arg;

	(void)why;
	w->nreplaced++;
}

static inline void world_broken(void *arg, const struct err *err)
{
	(void)arg;
	fail_msg("broken: %s", err->msg);
}

/* A path in WEIR_HOME; good for four calls. */
static inline const char *world_path(const struct world *w, const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *to = path[turn++ % 4];

	snprintf(to, sizeof path[0], "%s/%s", w->home, name);
	return to;
}

/* The journal of the supervisor that was begun last. */
static inline const char *world_journal(const struct world *w)
{
	return w->provider.own;
}

/* Begin an engine, as a process of its own would: its supervisor has a journal of its own. */
static inline int world_begin(struct world *w)
{
	char file[32];
	const struct exec_local_provider_config local = { .home = w->home,
		.dir = world_path(w, "supervisor"),
		.file = file,
		.run_operator = operator_main };

	snprintf(file, sizeof file, "own%d", ++w->nengines);
	exec_local_provider_release(&w->provider);
	if (exec_local_provider_init(&w->provider, &local, &w->executors, &w->err) < 0)
		return -1;
	const struct engine_config config = { .home = w->home,
		.executors = &w->executors,
		.max_running = 4,
		.listener = { .arg = w,
			.idle = world_idle,
			.lost = world_lost,
			.store_trouble = world_trouble,
			.broken = world_broken,
			.replaced = world_replaced } };
	return engine_init(&w->e, &config, &w->err);
}

static inline int world_setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	*state = w;
	snprintf(w->home, sizeof w->home, "/tmp/weir-test-engine.XXXXXX");
	if (!mkdtemp(w->home) || paths_make_home(w->home, &w->err) < 0)
		return -1;
	w->config = config_empty();
	return w->config ? world_begin(w) : -1;
}

static inline int world_teardown(void **state)
{
	struct world *w = *state;
	char command[128];

	config_free(w->config);
	exec_local_provider_release(&w->provider);
	snprintf(command, sizeof command, "rm -rf %s", w->home);
	int rc = system(command);
	free(w);
	return rc;
}

/* The DAG of a text, written to NAME.yaml. */
static inline struct dag *world_dag(struct world *w, const char *name, const char *text)
{
	const struct dagfile_env env = { .operators = &dagops_known };
	struct diags diags;
	char file[64];

	snprintf(file, sizeof file, "%s.yaml", name);
	assert_int_equal(io_write_file(world_path(w, file), text, strlen(text), NULL), 0);
	diags_init(&diags);
	struct dag *dag = dagfile_load(world_path(w, file), &env, &diags);
	diags_release(&diags);
	assert_non_null(dag);
	return dag;
}

/* A run of it that the store has and the engine took, under the DAG's name; not started. */
static inline struct active_run *world_take(struct world *w, struct dag *dag)
{
	const char *tasks[8];
	int64_t id, epoch;
	bool created;

	for (int i = 0; i < dag->ntasks && i < 8; i++)
		tasks[i] = dag->tasks[i].name;
	const struct run_open open = { .key = { dag->name, 0, WORLD_DAY_US },
		.name = dag->name,
		.long_name = dag->name,
		.ds = "1970-01-01",
		.zone = "UTC",
		.params = "{}",
		.trigger = "manual",
		.dag_path = "d.yaml",
		.dag_dir = w->home,
		.version = dag->hash,
		.text = dag->text,
		.tasks = tasks,
		.ntasks = dag->ntasks,
		.owner = w->e.self,
		.lease_until_us = clock_now_us() + ENGINE_LEASE_US,
		.now_us = clock_now_us() };
	assert_int_equal(store_run_open(w->e.store, &open, &id, &epoch, &created, &w->err), 0);
	struct store_result row = { 0 };
	assert_int_equal(store_run_by_key(w->e.store, &open.key, &row, &w->err), 0);
	json_t *params = json_object();
	const struct engine_take take = { .run_id = id,
		.epoch = epoch,
		.name = dag->name,
		.ds = "1970-01-01",
		.state = row.runs[0].state,
		.dag = dag,
		.config = w->config,
		.params = params,
		.interval_end_us = WORLD_DAY_US };
	struct active_run *r = engine_take(&w->e, &take, &w->err);
	assert_non_null(r);
	json_decref(params);
	store_result_release(&row);
	return r;
}

#endif
