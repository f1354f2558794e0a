/* The engine with a real store and real tasks: what is kept when a run passes on to another owner,
 * and what journals of former supervisors are worth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "conf/config.h"
#include "conf/dagfile.h"
#include "conf/diag.h"
#include "core/model.h"
#include "exec/journal.h"
#include "exec/proc.h"
#include "operators/operators.h"
#include "run/engine.h"
#include "run/paths.h"
#include "tests/lib/engine_world.h"

/* A run of a DAG of one task. */
static struct active_run *begin(struct world *w, const char *name, const char *command)
{
	struct run_init init = { 0 };
	char text[256];

	snprintf(text, sizeof text, "dag: %s\ntasks:\n  one: { run: '%s' }\n", name, command);
	struct dag *dag = world_dag(w, name, text);
	struct active_run *r = world_take(w, dag);
	dag_unref(dag);
	if (command[0] != '#')
		assert_int_equal(engine_start(&w->e, r, &init, &w->err), 0);
	return r;
}

static void steal(const struct world *w, int64_t run_id)
{
	char sql[128];
	sqlite3 *db;

	assert_int_equal(sqlite3_open(world_path(w, "weir.db"), &db), SQLITE_OK);
	sqlite3_busy_timeout(db, 5000);
	snprintf(sql, sizeof sql, "UPDATE run SET epoch = epoch + 1 WHERE id = %lld",
		(long long)run_id);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* A run passes on to another owner with an end read but not recorded; then a commit of another run
 * succeeds. The journal is the only record of that end. */
static void test_fenced_end_stays_in_journal(void **state)
{
	struct world *w = *state;
	struct exec_journal j = { 0 };
	bool known_end = false;

	struct active_run *a = begin(w, "a", "while test ! -e go; do sleep 0.01; done");
	begin(w, "b", "while test ! -e go-on; do sleep 0.01; done");
	engine_step(&w->e);
	steal(w, a->id);
	assert_int_equal(io_write_file(world_path(w, "go"), "", 0, NULL), 0);
	while (w->nlost == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
	assert_int_equal(io_write_file(world_path(w, "go-on"), "", 0, NULL), 0);
	while (w->nidle == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
	assert_false(w->e.dirty);
	engine_release(&w->e);
	int fd = exec_journal_wait_fd(world_journal(w), NULL);
	if (fd >= 0)
		close(fd);
	assert_int_equal(exec_journal_read(world_journal(w), &j, &w->err), 0);
	for (size_t i = 0; i < j.n; i++)
		known_end |= j.entries[i].ended && j.entries[i].end.outcome == OUTCOME_SUCCESS;
	exec_journal_release(&j);
	assert_true(known_end);
}

/* Without a fenced run the journal goes. */
static void test_journal_goes(void **state)
{
	struct world *w = *state;

	begin(w, "a", "true");
	engine_step(&w->e);
	while (w->nidle == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
	engine_release(&w->e);
	assert_false(io_exists(world_journal(w)));
}

/* ---- another engine comes ---------------------------------------------------------------- */

#define WAITING "echo $WEIR_TOKEN >>started; while test ! -e go; do sleep 0.01; done"

static size_t count_lines(const struct world *w, const char *name)
{
	struct buf text;
	size_t n = 0;

	buf_init(&text, 1 << 16);
	io_read_file(world_path(w, name), &text, NULL);
	for (size_t i = 0; i < text.len; i++)
		n += text.data[i] == '\n';
	buf_release(&text);
	return n;
}

static void await_lines(const struct world *w, const char *name, size_t n)
{
	while (count_lines(w, name) < n)
		poll(NULL, 0, 1);
}

static void await_idle(struct world *w)
{
	while (w->nidle == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
}

/* The next engine has the run in hand, as `weir run` again would. */
static struct active_run *take_again(struct world *w, struct dag *dag)
{
	assert_int_equal(world_begin(w), 0);
	return world_take(w, dag);
}

static int resume(struct world *w, struct active_run *r)
{
	struct task_init tasks[1] = { { .selected = true } };
	struct run_init init = { .resume = true };

	w->err = (struct err){ 0 };
	return engine_resume(&w->e, r, &init, tasks, &w->err);
}

static void kill_supervisor(const char *journal)
{
	struct journal_head head;
	bool live;

	assert_int_equal(journal_read_head(journal, &head, &live, NULL), 0);
	assert_true(live);
	kill((pid_t)head.pid, SIGKILL);
}

static void check_attempts(struct world *w, int64_t run_id, const enum outcome *outcomes, size_t n)
{
	struct store_result r = { 0 };

	assert_int_equal(store_attempts(w->e.store, run_id, NULL, &r, &w->err), 0);
	assert_int_equal(r.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(r.attempts[i].outcome, outcomes[i]);
	store_result_release(&r);
}

/* Killed with a task in flight: the next engine adopts it, and it is done once. */
static void test_adopts(void **state)
{
	static const enum outcome once[] = { OUTCOME_SUCCESS };
	struct world *w = *state;
	struct active_run *r = begin(w, "a", WAITING);
	struct dag *dag = dag_ref(r->dag);
	char former[160];

	engine_step(&w->e);
	await_lines(w, "started", 1);
	snprintf(former, sizeof former, "%s", world_journal(w));
	engine_crash(&w->e);
	r = take_again(w, dag);
	int64_t id = r->id;
	assert_true(resume(w, r) >= 0);
	engine_step(&w->e);
	assert_int_equal(sched_running(w->e.sched), 1);
	assert_int_equal(io_write_file(world_path(w, "go"), "", 0, NULL), 0);
	await_idle(w);
	check_attempts(w, id, once, 1);
	assert_int_equal(count_lines(w, "started"), 1);
	/* All is acknowledged: that supervisor has nothing to wait for. */
	while (io_exists(former))
		poll(NULL, 0, 1);
	engine_release(&w->e);
	dag_unref(dag);
}

/* It ended while nobody was there. */
static void test_adopts_ended(void **state)
{
	static const enum outcome once[] = { OUTCOME_SUCCESS };
	struct world *w = *state;
	struct active_run *r = begin(w, "a", "echo $WEIR_TOKEN >>started");
	struct dag *dag = dag_ref(r->dag);

	engine_step(&w->e);
	await_lines(w, "started", 1);
	engine_crash(&w->e);
	r = take_again(w, dag);
	int64_t id = r->id;
	assert_true(resume(w, r) >= 0);
	/* The run was through with it: no step has anything to tell. */
	if (r->state == RUN_SUCCESS)
		world_idle(w, r);
	engine_step(&w->e);
	await_idle(w);
	check_attempts(w, id, once, 1);
	assert_int_equal(count_lines(w, "started"), 1);
	former_tidy(&w->e, false);
	engine_release(&w->e);
	dag_unref(dag);
}

/* The supervisor dies under a living engine: its task is lost, and tried again under another. */
static void test_replaces(void **state)
{
	static const enum outcome twice[] = { OUTCOME_LOST, OUTCOME_SUCCESS };
	struct world *w = *state;
	struct active_run *r = begin(w, "a", WAITING);
	int64_t id = r->id;
	struct store_result rows = { 0 };

	engine_step(&w->e);
	await_lines(w, "started", 1);
	kill_supervisor(world_journal(w));
	while (w->nreplaced == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
	await_lines(w, "started", 2);
	assert_int_equal(io_write_file(world_path(w, "go"), "", 0, NULL), 0);
	await_idle(w);
	check_attempts(w, id, twice, 2);
	assert_int_equal(store_tasks(w->e.store, id, &rows, &w->err), 0);
	assert_int_equal(rows.tasks[0].lost, 1);
	assert_int_equal(rows.tasks[0].failures, 0);
	store_result_release(&rows);
	former_tidy(&w->e, false);
	assert_null(w->e.formers.list);
	engine_release(&w->e);
}

/* A supervisor that lives, as its lock tells, but cannot be asked: nothing is decided without it.
 */
static void test_unreachable(void **state)
{
	static const enum outcome twice[] = { OUTCOME_LOST, OUTCOME_SUCCESS };
	struct world *w = *state;
	struct active_run *r = begin(w, "a", WAITING);
	struct dag *dag = dag_ref(r->dag);
	char path[160], head[128], boot_id[PROC_BOOT_ID];

	engine_step(&w->e);
	await_lines(w, "started", 1);
	kill_supervisor(world_journal(w));
	assert_int_equal(unlink(world_journal(w)), 0);
	engine_crash(&w->e);
	proc_boot_id(boot_id);
	snprintf(path, sizeof path, "%s/supervisor/other.journal", w->home);
	int n = snprintf(head, sizeof head, "weir-journal 1 4194304 12345 %s\n", boot_id);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, head, (size_t)n), n);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	r = take_again(w, dag);
	int64_t id = r->id;
	assert_int_equal(resume(w, r), -1);
	assert_int_equal(w->err.code, ERR_TIMEOUT);
	/* It leaves; another engine finds it gone. */
	close(fd);
	engine_release(&w->e);
	r = take_again(w, dag);
	assert_int_equal(io_write_file(world_path(w, "go"), "", 0, NULL), 0);
	assert_true(resume(w, r) >= 0);
	engine_step(&w->e);
	await_idle(w);
	check_attempts(w, id, twice, 2);
	former_tidy(&w->e, false);
	assert_false(io_exists(path));
	engine_release(&w->e);
	dag_unref(dag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_fenced_end_stays_in_journal, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_journal_goes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_adopts, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_adopts_ended, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_replaces, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_unreachable, world_setup, world_teardown),
	};

	alarm(300); /* a hang fails */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
