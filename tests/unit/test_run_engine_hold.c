/* The engine prepares starts before their commit: a commit that is refused starts nothing, and one
 * that comes through after that starts each once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/config.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "operators/operators.h"
#include "run/engine.h"
#include "run/paths.h"

#define DAY INT64_C(86400000000)
#define WAIT_MS 20000

static const struct field *params_of(enum task_kind kind, const char *name)
{
	const struct operator* op = operator_find(kind, name);

	return op ? op->params : NULL;
}

static const char *const *names_of(enum task_kind kind)
{
	static const char *const none[] = { NULL };

	(void)kind;
	return none;
}

static const struct dagfile_operators known = { .params = params_of, .names = names_of };

struct world {
	char home[64], journal[128];
	struct config *config;
	struct engine e;
	struct err err;
	int nidle, nlost, ntroubles;
};

static void on_idle(void *arg, struct active_run *run)
{
	struct world *w = arg;

	w->nidle++;
	engine_drop(&w->e, run, true);
}

static void on_lost(void *arg, struct active_run *run)
{
	struct world *w = arg;

	(void)run;
	w->nlost++;
}

static void on_trouble(void *arg, const struct err *err)
{
	struct world *w = arg;

	w->ntroubles += err != NULL;
}

static void on_broken(void *arg, const struct err *err)
{
	(void)arg;
	fail_msg("broken: %s", err->msg);
}

static const char *in_home(const struct world *w, const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *to = path[turn++ % 4];

	snprintf(to, sizeof path[0], "%s/%s", w->home, name);
	return to;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	*state = w;
	snprintf(w->home, sizeof w->home, "/tmp/test_run_engine_hold.XXXXXX");
	if (!mkdtemp(w->home) || paths_make_home(w->home, &w->err) < 0)
		return -1;
	snprintf(w->journal, sizeof w->journal, "%s/supervisor/own.journal", w->home);
	w->config = config_empty();
	const struct engine_config config = { .home = w->home,
		.journal = w->journal,
		.max_running = 4,
		.listener = { .arg = w,
			.idle = on_idle,
			.lost = on_lost,
			.store_trouble = on_trouble,
			.broken = on_broken } };
	return w->config ? engine_init(&w->e, &config, &w->err) : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char command[128];

	config_free(w->config);
	snprintf(command, sizeof command, "rm -rf %s", w->home);
	int rc = system(command);
	free(w);
	return rc;
}

/* Three tasks that leave their tokens in a file; the last needs both others. */
static struct active_run *begin(struct world *w)
{
	static const char text[] = "dag: d\ntasks:\n"
				   "  a: { run: 'echo $WEIR_TOKEN >>started' }\n"
				   "  b: { run: 'echo $WEIR_TOKEN >>started' }\n"
				   "  c: { run: 'echo $WEIR_TOKEN >>started', needs: [a, b] }\n";
	const char *const tasks[] = { "a", "b", "c" };
	const struct dagfile_env env = { .operators = &known };
	struct run_init init = { 0 };
	struct diags diags;
	int64_t id, epoch;
	bool created;

	assert_int_equal(io_write_file(in_home(w, "d.yaml"), text, strlen(text), NULL), 0);
	diags_init(&diags);
	struct dag *dag = dagfile_load(in_home(w, "d.yaml"), &env, &diags);
	diags_release(&diags);
	assert_non_null(dag);
	const struct run_open open = { .key = { "d", 0, DAY },
		.name = "d@1",
		.long_name = "d@1",
		.ds = "1970-01-01",
		.zone = "UTC",
		.params = "{}",
		.trigger = "manual",
		.dag_path = "d.yaml",
		.dag_dir = w->home,
		.version = dag->hash,
		.text = dag->text,
		.tasks = tasks,
		.ntasks = 3,
		.owner = w->e.self,
		.lease_until_us = clock_now_us() + ENGINE_LEASE_US,
		.now_us = clock_now_us() };
	assert_int_equal(store_run_open(w->e.store, &open, &id, &epoch, &created, &w->err), 0);
	json_t *params = json_object();
	const struct engine_take take = { .run_id = id,
		.epoch = epoch,
		.name = "d@1",
		.ds = "1970-01-01",
		.dag = dag,
		.config = w->config,
		.params = params,
		.interval_end_us = DAY };
	struct active_run *r = engine_take(&w->e, &take, &w->err);
	assert_non_null(r);
	json_decref(params);
	dag_unref(dag);
	assert_int_equal(engine_start(&w->e, r, &init, &w->err), 0);
	return r;
}

static void run_sql(const struct world *w, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(in_home(w, "weir.db"), &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* No file of this process grows: as on a full disk. The supervisor is another process. */
static void refuse_commits(bool refuse)
{
	struct rlimit limit;

	signal(SIGXFSZ, refuse ? SIG_IGN : SIG_DFL);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = refuse ? 1 : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static bool has_log(const struct world *w, const char *task)
{
	char *path = paths_log(w->home, "d@1", task, 1);
	bool has = path && io_exists(path);

	free(path);
	return has;
}

static void await_log(const struct world *w, const char *task, bool there)
{
	for (int i = 0; i < WAIT_MS && has_log(w, task) != there; i++)
		poll(NULL, 0, 1);
	assert_int_equal(has_log(w, task), there);
}

static size_t count_started(const struct world *w)
{
	struct buf text;
	size_t n = 0;

	buf_init(&text, 1 << 16);
	io_read_file(in_home(w, "started"), &text, NULL);
	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\n';
	buf_release(&text);
	return n;
}

static void test_refused_commit(void **state)
{
	struct world *w = *state;

	engine_step(&w->e); /* it has tokens now */
	begin(w);
	refuse_commits(true);
	engine_step(&w->e);
	assert_int_equal(w->ntroubles, 1);
	event_base_loop(w->e.base, EVLOOP_ONCE); /* the same commit again, in vain */
	await_log(w, "a", true);                 /* held */
	await_log(w, "b", true);
	assert_int_equal(count_started(w), 0);
	refuse_commits(false);
	engine_step(&w->e);
	while (w->nidle == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
	assert_int_equal(count_started(w), 3);
	engine_release(&w->e);
	assert_int_equal(count_started(w), 3);
	assert_false(io_exists(w->journal));
}

/* It passes on to another owner before its starts were committed: they never come to be. */
static void test_fenced_before_commit(void **state)
{
	struct world *w = *state;

	engine_step(&w->e); /* it has tokens now */
	begin(w);
	refuse_commits(true);
	engine_step(&w->e);
	await_log(w, "a", true);
	refuse_commits(false);
	run_sql(w, "UPDATE run SET epoch = epoch + 1");
	while (w->nlost == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
	await_log(w, "a", false);
	await_log(w, "b", false);
	engine_release(&w->e);
	assert_int_equal(count_started(w), 0);
}

/* Nor when the engine is released with the commit still refused. */
static void test_released_before_commit(void **state)
{
	struct world *w = *state;

	engine_step(&w->e); /* it has tokens now */
	begin(w);
	refuse_commits(true);
	engine_step(&w->e);
	await_log(w, "b", true);
	engine_release(&w->e);
	refuse_commits(false);
	await_log(w, "a", false);
	await_log(w, "b", false);
	assert_int_equal(count_started(w), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_refused_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fenced_before_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_released_before_commit, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
