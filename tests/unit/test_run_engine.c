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

#define DAY INT64_C(86400000000)

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
	int nidle, nlost;
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

static void on_broken(void *arg, const struct err *err)
{
	(void)arg;
	fail_msg("broken: %s", err->msg);
}

static char *in_home(const struct world *w, const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", w->home, name);
	return path;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);

	*state = w;
	snprintf(w->home, sizeof w->home, "/tmp/test_run_engine.XXXXXX");
	if (!mkdtemp(w->home) || paths_make_home(w->home, &w->err) < 0)
		return -1;
	snprintf(w->journal, sizeof w->journal, "%s/supervisor/own.journal", w->home);
	w->config = config_empty();
	const struct engine_config config = { .home = w->home,
		.journal = w->journal,
		.max_running = 4,
		.listener = { .arg = w, .idle = on_idle, .lost = on_lost, .broken = on_broken } };
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

/* A run of a DAG of one task. */
static struct active_run *begin(struct world *w, const char *name, const char *command)
{
	const char *const tasks[] = { "one" };
	char text[256], file[64];
	struct run_init init = { 0 };
	const struct dagfile_env env = { .operators = &known };
	struct diags diags;
	int64_t id, epoch;
	bool created;

	snprintf(text, sizeof text, "dag: %s\ntasks:\n  one: { run: '%s' }\n", name, command);
	snprintf(file, sizeof file, "%s.yaml", name);
	assert_int_equal(io_write_file(in_home(w, file), text, strlen(text), NULL), 0);
	diags_init(&diags);
	struct dag *dag = dagfile_load(in_home(w, file), &env, &diags);
	diags_release(&diags);
	assert_non_null(dag);
	const struct run_open open = { .key = { name, 0, DAY },
		.name = name,
		.long_name = name,
		.ds = "1970-01-01",
		.zone = "UTC",
		.params = "{}",
		.trigger = "manual",
		.dag_path = file,
		.dag_dir = w->home,
		.version = dag->hash,
		.text = dag->text,
		.tasks = tasks,
		.ntasks = 1,
		.owner = w->e.self,
		.lease_until_us = clock_now_us() + ENGINE_LEASE_US,
		.now_us = clock_now_us() };
	assert_int_equal(store_run_open(w->e.store, &open, &id, &epoch, &created, &w->err), 0);
	json_t *params = json_object();
	const struct engine_take take = { .run_id = id,
		.epoch = epoch,
		.name = name,
		.ds = "1970-01-01",
		.dag = dag,
		.config = w->config,
		.params = params,
		.interval_end_us = DAY };
	struct active_run *r = engine_take(&w->e, &take, &w->err);
	assert_non_null(r);
	json_decref(params);
	dag_unref(dag);
	if (command[0] != '#')
		assert_int_equal(engine_start(&w->e, r, &init, &w->err), 0);
	return r;
}

static void steal(const struct world *w, int64_t run_id)
{
	char sql[128];
	sqlite3 *db;

	assert_int_equal(sqlite3_open(in_home(w, "weir.db"), &db), SQLITE_OK);
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
	assert_int_equal(io_write_file(in_home(w, "go"), "", 0, NULL), 0);
	while (w->nlost == 0)
		event_base_loop(w->e.base, EVLOOP_ONCE);
	assert_int_equal(io_write_file(in_home(w, "go-on"), "", 0, NULL), 0);
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
		cmocka_unit_test_setup_teardown(test_fenced_end_stays_in_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unseen_supervisor, setup, teardown),
	};

	alarm(60); /* a hang fails */
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
