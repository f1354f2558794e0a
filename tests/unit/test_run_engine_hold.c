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
#include "tests/lib/engine_world.h"

#define WAIT_MS 60000

/* Three tasks that leave their tokens in a file; the last needs both others. */
static struct active_run *begin(struct world *w)
{
	static const char text[] = "dag: d\ntasks:\n"
				   "  a: { run: 'echo $WEIR_TOKEN >>started' }\n"
				   "  b: { run: 'echo $WEIR_TOKEN >>started' }\n"
				   "  c: { run: 'echo $WEIR_TOKEN >>started', needs: [a, b] }\n";
	struct run_init init = { 0 };
	struct dag *dag = world_dag(w, "d", text);
	struct active_run *r = world_take(w, dag);

	dag_unref(dag);
	assert_int_equal(engine_start(&w->e, r, &init, &w->err), 0);
	return r;
}

static void run_sql(const struct world *w, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(world_path(w, "weir.db"), &db), SQLITE_OK);
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
	char *path = paths_log(w->home, "d", task, -1, 1);
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
	io_read_file(world_path(w, "started"), &text, NULL);
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
	assert_false(io_exists(world_journal(w)));
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
		cmocka_unit_test_setup_teardown(test_refused_commit, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(
			test_fenced_before_commit, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(
			test_released_before_commit, world_setup, world_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
