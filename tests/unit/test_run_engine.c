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
#include <sqlite3.h>
#include <sys/file.h>
#include <unistd.h>

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
	int fd = exec_journal_wait_fd(w->journal, NULL);
	if (fd >= 0)
		close(fd);
	assert_int_equal(exec_journal_read(w->journal, &j, &w->err), 0);
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
	assert_false(io_exists(w->journal));
}

static int no_wait(void *arg, int fd, const char *journal, struct err *err)
{
	(void)arg;
	(void)fd;
	(void)journal;
	return err_set(err, ERR_INTERNAL, "nobody is to be waited for");
}

/* The supervisor lives, as its lock tells, and cannot be found by its number. */
static void test_unseen_supervisor(void **state)
{
	struct world *w = *state;
	struct task_init init[1] = { 0 };
	char path[160], head[128], boot_id[PROC_BOOT_ID];
	char *journals[] = { path, NULL };

	proc_boot_id(boot_id);
	snprintf(path, sizeof path, "%s/supervisor/other.journal", w->home);
	int n = snprintf(head, sizeof head, "weir-journal 1 4194304 12345 %s\n", boot_id);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, head, (size_t)n), n);
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	struct active_run *r = begin(w, "a", "# settled only");
	assert_int_equal(engine_settle(&w->e, r, init, journals, NULL, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_REFUSED);
	w->err = (struct err){ 0 };
	assert_int_equal(engine_settle(&w->e, r, init, journals, no_wait, NULL, &w->err), -1);
	assert_int_equal(w->err.code, ERR_REFUSED);
	/* It leaves. */
	close(fd);
	assert_int_equal(engine_settle(&w->e, r, init, journals, NULL, NULL, &w->err), 0);
	/* What is no journal says nothing. */
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(engine_settle(&w->e, r, init, journals, NULL, NULL, &w->err), 0);
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(engine_settle(&w->e, r, init, journals, no_wait, NULL, &w->err), 0);
	engine_drop(&w->e, r, true);
	engine_release(&w->e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_fenced_end_stays_in_journal, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_journal_goes, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(
			test_unseen_supervisor, world_setup, world_teardown),
	};

	alarm(60); /* a hang fails */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
