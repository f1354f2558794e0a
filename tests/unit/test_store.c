/* One suite over every backend of the store, and what is SQLite's alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "store/migrations.h"
#include "store/sqlite.h"
#include "store/store.h"

enum { BACKEND_SQLITE, BACKEND_MEMORY, BACKEND_MAX };

struct fixture {
	int backend;
	char dir[64], path[96];
	struct store *s;
	struct owner self;
	struct err err;
};

static int setup(void **state)
{
	int backend = *(const int *)*state;
	struct fixture *f = calloc(1, sizeof *f);

	*state = f;
	f->backend = backend;
	snprintf(f->dir, sizeof f->dir, "/tmp/weir-test-store-XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof f->path, "%s/weir.db", f->dir);
	int r = backend == BACKEND_SQLITE ? store_open_sqlite(&f->s, f->path, STORE_CREATE, &f->err)
					  : store_open_memory(&f->s, &f->err);
	if (r < 0)
		print_error("%s\n", f->err.msg);
	return r < 0 ? r : owner_self(&f->self, &f->err);
}

static int teardown(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal", "-copy" };
	struct fixture *f = *state;
	char name[128];

	store_close(f->s);
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
		unlink(name);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

/* ---- helpers ------------------------------------------------------------------------- */

#define OK(f, call)                                              \
	do {                                                     \
		if ((call) < 0)                                  \
			fail_msg("%s: %s", #call, (f)->err.msg); \
	} while (0)

#define FAILS(f, want, call)                                                                       \
	do {                                                                                       \
		err_clear(&(f)->err);                                                              \
		assert_int_equal((call), -1);                                                      \
		if ((f)->err.code != (want))                                                       \
			fail_msg(                                                                  \
				"%s: %s, %s", #call, err_info((f)->err.code)->name, (f)->err.msg); \
	} while (0)

#define SAYS(f, text)                                                         \
	do {                                                                  \
		if (!strstr((f)->err.msg, (text)))                            \
			fail_msg("'%s' is not in: %s", (text), (f)->err.msg); \
	} while (0)

static const char *const three[] = { "orders", "payments", "daily" };

static struct run_open opening(const struct fixture *f, const char *dag, int day)
{
	static char name[8][80], longer[8][80];
	static int at;

	at = (at + 1) % 8;
	snprintf(name[at], sizeof name[at], "%s@2026-11-%02d", dag, day);
	snprintf(longer[at], sizeof longer[at], "%s@2026-11-%02dT00:00", dag, day);
	return (struct run_open){
		.key = { dag, day * 86400000000LL, (day + 1) * 86400000000LL },
		.name = name[at],
		.long_name = longer[at],
		.ds = "2026-11-19",
		.zone = "Europe/Berlin",
		.params = "{\"region\":\"eu\"}",
		.trigger = "manual",
		.dag_path = "dags/x.yaml",
		.dag_dir = "/srv/dags",
		.version = "abc123",
		.text = "dag: x\n",
		.tasks = three,
		.ntasks = 3,
		.owner = f->self,
		.lease_until_us = 2000000,
		.now_us = 1000000,
	};
}

static void open_run(struct fixture *f, const struct run_open *o, int64_t *id, int64_t *epoch)
{
	bool created;

	OK(f, store_run_open(f->s, o, id, epoch, &created, &f->err));
}

static struct change task_change(
	int64_t run, const char *task, enum task_state from, enum task_state to, enum reason why)
{
	struct change c = { .kind = CHANGE_TASK,
		.reason = why,
		.at_us = 5000000,
		.run_id = run,
		.task = task,
		.map_index = -1 };

	c.state.from = from;
	c.state.to = to;
	return c;
}

static struct change run_change(int64_t run, enum run_state from, enum run_state to, int64_t at_us)
{
	struct change c = { .kind = CHANGE_RUN,
		.reason = REASON_ALL_DONE,
		.at_us = at_us,
		.run_id = run,
		.task_index = -1,
		.map_index = -1 };

	c.run.from = from;
	c.run.to = to;
	return c;
}

static struct change start(int64_t run, const char *task, int try, int64_t token)
{
	struct change c = {
		.kind = CHANGE_START, .at_us = 5000001, .run_id = run, .task = task, .map_index = -1
	};

	c.attempt.try = try;
	c.attempt.token = token;
	return c;
}

static struct change ended(int64_t run, const char *task, int64_t token, enum outcome outcome)
{
	struct change c = {
		.kind = CHANGE_END, .at_us = 5000002, .run_id = run, .task = task, .map_index = -1
	};

	c.attempt.token = token;
	c.attempt.outcome = outcome;
	c.attempt.exit_status = 3;
	c.attempt.started_us = 11;
	c.attempt.ended_us = 22;
	c.attempt.error = "no such table";
	c.attempt.result = "{\"rows\":1}";
	return c;
}

static int commit(struct fixture *f, int64_t run, int64_t epoch, const struct change *c, size_t n)
{
	struct store_batch b = { .run_id = run, .epoch = epoch, .changes = c, .nchanges = n };

	return store_commit(f->s, &b, &f->err);
}

static void check_state(struct fixture *f, int64_t run, const char *task, enum task_state want)
{
	struct store_result r;

	OK(f, store_tasks(f->s, run, &r, &f->err));
	for (size_t i = 0; i < r.n; i++)
		if (strcmp(r.tasks[i].name, task) == 0) {
			assert_string_equal(
				task_state_name(r.tasks[i].state), task_state_name(want));
			store_result_release(&r);
			return;
		}
	fail_msg("no task %s", task);
}

static size_t count_events(struct fixture *f, int64_t run)
{
	struct store_result r;

	OK(f, store_events(f->s, run, NULL, &r, &f->err));
	size_t n = r.n;
	store_result_release(&r);
	return n;
}

static int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static struct owner of_other_host(void)
{
	struct owner o = { .pid = 4711, .start_ticks = 9 };

	snprintf(o.host, sizeof o.host, "another-host.example");
	snprintf(o.boot_id, sizeof o.boot_id, "00000000-0000-0000-0000-000000000000");
	return o;
}

/* ---- owners -------------------------------------------------------------------------- */

static void test_owner(void **state)
{
	struct fixture *f = *state;
	struct owner o = f->self;

	assert_int_equal(o.pid, getpid());
	assert_true(o.start_ticks > 0);
	assert_false(owner_is_dead(&o));
	o.start_ticks++; /* the pid was used again */
	assert_true(owner_is_dead(&o));
	o = f->self;
	snprintf(o.boot_id, sizeof o.boot_id, "00000000-0000-0000-0000-000000000000");
	if (f->self.boot_id[0])
		assert_true(owner_is_dead(&o));
	o = of_other_host();
	assert_false(owner_is_dead(&o));

	/* a process that ended, before and after it is reaped */
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct owner self;
		if (owner_self(&self, NULL) < 0 || write(fds[1], &self, sizeof self) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(fds[0], &o, sizeof o), sizeof o);
	assert_int_equal(o.pid, pid);
	siginfo_t info;
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
	assert_true(owner_is_dead(&o));
	waitpid(pid, NULL, 0);
	assert_true(owner_is_dead(&o));
	close(fds[0]);
	close(fds[1]);
}

/* ---- runs ---------------------------------------------------------------------------- */

static void test_open_and_again(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, id2, epoch2;
	bool created;
	struct store_result r;
	char *text;

	OK(f, store_run_open(f->s, &o, &id, &epoch, &created, &f->err));
	assert_true(created);
	assert_int_equal(epoch, 1);
	OK(f, store_run_by_key(f->s, &o.key, &r, &f->err));
	assert_int_equal(r.n, 1);
	const struct run_row *row = &r.runs[0];
	assert_int_equal(row->id, id);
	assert_string_equal(row->name, "sales@2026-11-19");
	assert_string_equal(row->dag, "sales");
	assert_string_equal(row->ds, "2026-11-19");
	assert_string_equal(row->zone, "Europe/Berlin");
	assert_string_equal(row->params, "{\"region\":\"eu\"}");
	assert_string_equal(row->trigger, "manual");
	assert_string_equal(row->version, "abc123");
	assert_string_equal(row->dag_path, "dags/x.yaml");
	assert_string_equal(row->dag_dir, "/srv/dags");
	assert_int_equal(row->state, RUN_QUEUED);
	assert_int_equal(row->reason, REASON_CREATED);
	assert_int_equal(row->created_us, 1000000);
	assert_int_equal(row->started_us, 0);
	assert_int_equal(row->ended_us, 0);
	assert_int_equal(row->owner.pid, getpid());
	assert_string_equal(row->owner.host, f->self.host);
	assert_int_equal(row->lease_until_us, 2000000);
	assert_int_equal(row->ntasks, 3);
	assert_int_equal(row->nsuccess, 0);
	store_result_release(&r);

	OK(f, store_version_text(f->s, "abc123", &text, &f->err));
	assert_string_equal(text, "dag: x\n");
	free(text);
	FAILS(f, ERR_NOT_FOUND, store_version_text(f->s, "abc", &text, &f->err));

	/* again, by the same process, with another version that has other tasks */
	static const char *const other[] = { "new", "daily", "orders" };
	o.version = "def";
	o.text = "dag: y\n";
	o.tasks = other;
	o.params = NULL;
	OK(f, store_run_open(f->s, &o, &id2, &epoch2, &created, &f->err));
	assert_false(created);
	assert_int_equal(id2, id);
	assert_int_equal(epoch2, 2);
	OK(f, store_run_find(f->s, "sales", &r, &f->err));
	assert_string_equal(r.runs[0].version, "def");
	assert_string_equal(r.runs[0].params, "{\"region\":\"eu\"}");
	assert_int_equal(r.runs[0].ntasks, 4);
	store_result_release(&r);

	/* in the order of the newest version; what it no longer has is kept */
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 4);
	assert_string_equal(r.tasks[0].name, "new");
	assert_string_equal(r.tasks[3].name, "orders");
	assert_int_equal(r.tasks[0].state, TASK_NONE);
	assert_int_equal(r.tasks[0].map_index, -1);
	assert_int_equal(r.tasks[0].run_id, id);
	assert_null(r.tasks[0].hash);
	assert_null(r.tasks[0].outputs);
	store_result_release(&r);
	OK(f, store_events(f->s, id, NULL, &r, &f->err));
	assert_int_equal(r.n, 1);
	assert_null(r.events[0].task);
	assert_string_equal(r.events[0].from, "");
	assert_string_equal(r.events[0].to, "queued");
	assert_string_equal(r.events[0].reason, "created");
	store_result_release(&r);
}

static void test_owner_refused(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, id2, epoch2;
	bool created;
	struct store_result r;

	/* a live process of this host: our parent */
	struct owner live = f->self;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	live.pid = pid;
	char stat[64], text[512] = "";
	snprintf(stat, sizeof stat, "/proc/%d/stat", (int)pid);
	FILE *fp = fopen(stat, "re");
	assert_non_null(fp);
	assert_true(fread(text, 1, sizeof text - 1, fp) > 0);
	fclose(fp);
	char *p = strrchr(text, ')');
	for (int i = 0; i < 20; i++)
		p = strchr(p + 1, ' ');
	live.start_ticks = strtoll(p, NULL, 10);
	assert_false(owner_is_dead(&live));

	struct run_open theirs = o;
	theirs.owner = live;
	open_run(f, &theirs, &id, &epoch);
	FAILS(f, ERR_REFUSED, store_run_open(f->s, &o, &id2, &epoch2, &created, &f->err));
	SAYS(f, "sales@2026-11-19");
	SAYS(f, f->self.host);
	char number[32];
	snprintf(number, sizeof number, "process %d", (int)pid);
	SAYS(f, number);

	/* its lease ends */
	o.now_us = 2000000;
	o.lease_until_us = 9000000;
	open_run(f, &o, &id2, &epoch2);
	assert_int_equal(id2, id);
	assert_int_equal(epoch2, epoch + 1);
	FAILS(f, ERR_FENCED, store_run_renew(f->s, id, epoch, 99, &f->err));
	FAILS(f, ERR_FENCED, store_run_close(f->s, id, epoch, &f->err));
	SAYS(f, "epoch 2");

	/* theirs again, renewed beyond now, then dead */
	OK(f, store_run_close(f->s, id, epoch2, &f->err));
	OK(f, store_run_find(f->s, "sales", &r, &f->err));
	assert_int_equal(r.runs[0].owner.pid, 0);
	assert_int_equal(r.runs[0].lease_until_us, 0);
	store_result_release(&r);
	theirs.now_us = o.now_us;
	theirs.lease_until_us = 2000001;
	open_run(f, &theirs, &id, &epoch);
	assert_int_equal(epoch, 3);
	OK(f, store_run_renew(f->s, id, epoch, 7000000, &f->err));
	o.now_us = 6999999;
	FAILS(f, ERR_REFUSED, store_run_open(f->s, &o, &id2, &epoch2, &created, &f->err));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	open_run(f, &o, &id2, &epoch2);
	assert_int_equal(epoch2, 4);

	/* another host: nothing is known but the lease */
	OK(f, store_run_close(f->s, id, epoch2, &f->err));
	theirs.owner = of_other_host();
	theirs.lease_until_us = 8000000;
	open_run(f, &theirs, &id, &epoch);
	FAILS(f, ERR_REFUSED, store_run_open(f->s, &o, &id2, &epoch2, &created, &f->err));
	SAYS(f, "another-host.example");
	o.now_us = 8000000;
	open_run(f, &o, &id2, &epoch2);

	FAILS(f, ERR_NOT_FOUND, store_run_renew(f->s, 999, 1, 99, &f->err));
	FAILS(f, ERR_NOT_FOUND, store_run_close(f->s, 999, 1, &f->err));
}

static void test_names(void **state)
{
	struct fixture *f = *state;
	static const char *const want[] = { "sales@2026-11-19", "sales@2026-11-19T00:00",
		"sales@2026-11-19T00:00.2", "sales@2026-11-19T00:00.3" };
	struct store_result r;
	int64_t id, epoch;

	for (int i = 0; i < 4; i++) {
		struct run_open o = opening(f, "sales", 19);
		o.key.interval_end_us += i;
		open_run(f, &o, &id, &epoch);
		assert_int_equal(id, i + 1);
		OK(f, store_run_by_key(f->s, &o.key, &r, &f->err));
		assert_string_equal(r.runs[0].name, want[i]);
		store_result_release(&r);
	}
	struct run_key none = { "sales", 0, 0 };
	OK(f, store_run_by_key(f->s, &none, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);

	struct run_open bad = opening(f, "sales", 20);
	bad.key.interval_end_us = bad.key.interval_start_us - 1;
	FAILS(f, ERR_INTERNAL, store_run_open(f->s, &bad, &id, &epoch, NULL, &f->err));
}

/* ---- changes ------------------------------------------------------------------------- */

static void test_life_of_a_task(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, token;
	struct store_result r;

	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 10, &token, &f->err));
	assert_int_equal(token, 1);
	struct change c[] = {
		run_change(id, RUN_QUEUED, RUN_RUNNING, 4000000),
		task_change(id, "orders", TASK_NONE, TASK_QUEUED, REASON_NEEDS_MET),
		task_change(id, "orders", TASK_QUEUED, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 1, token),
		{ .kind = CHANGE_STOP, .run_id = id },
	};
	c[2].state.tries = 1;
	c[2].state.hash = "hash1";
	OK(f, commit(f, id, epoch, c, 5));

	OK(f, store_attempts_in_flight(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 1);
	assert_int_equal(r.attempts[0].token, token);
	assert_int_equal(r.attempts[0].run_id, id);
	assert_int_equal(r.attempts[0].try, 1);
	assert_int_equal(r.attempts[0].outcome, OUTCOME_NONE);
	assert_int_equal(r.attempts[0].exit_status, -1);
	assert_int_equal(r.attempts[0].queued_us, 5000001);
	assert_int_equal(r.attempts[0].started_us, 0);
	assert_null(r.attempts[0].error);
	store_result_release(&r);

	struct change fails[] = {
		ended(id, "orders", token, OUTCOME_FAILED),
		task_change(id, "orders", TASK_RUNNING, TASK_UP_FOR_RETRY, REASON_RETRY_WAIT),
	};
	fails[1].state.due_us = 6000000;
	fails[1].state.tries = 1;
	fails[1].state.failures = 1;
	fails[1].state.hash = "hash2"; /* the DAG was edited meanwhile */
	OK(f, commit(f, id, epoch, fails, 2));
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_string_equal(r.tasks[0].name, "orders");
	assert_int_equal(r.tasks[0].state, TASK_UP_FOR_RETRY);
	assert_int_equal(r.tasks[0].reason, REASON_RETRY_WAIT);
	assert_int_equal(r.tasks[0].tries, 1);
	assert_int_equal(r.tasks[0].failures, 1);
	assert_int_equal(r.tasks[0].lost, 0);
	assert_int_equal(r.tasks[0].changed_us, 5000000);
	assert_int_equal(r.tasks[0].due_us, 6000000);
	assert_int_equal(r.tasks[0].token, token);
	assert_string_equal(r.tasks[0].hash, "hash1");
	assert_null(r.tasks[0].outputs);
	store_result_release(&r);

	struct change again[] = {
		task_change(id, "orders", TASK_UP_FOR_RETRY, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 2, token + 1),
		ended(id, "orders", token + 1, OUTCOME_SUCCESS),
		task_change(id, "orders", TASK_RUNNING, TASK_SUCCESS, REASON_SUCCEEDED),
		run_change(id, RUN_RUNNING, RUN_SUCCESS, 7000000),
	};
	again[0].state.hash = "hash2";
	again[3].state.outputs = "{\"rows\":7}";
	OK(f, commit(f, id, epoch, again, 5));
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_string_equal(r.tasks[0].hash, "hash2");
	assert_string_equal(r.tasks[0].outputs, "{\"rows\":7}");
	assert_int_equal(r.tasks[0].due_us, 0);
	assert_int_equal(r.tasks[0].token, token + 1);
	store_result_release(&r);
	OK(f, store_attempts(f->s, id, "orders", &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.attempts[0].outcome, OUTCOME_FAILED);
	assert_int_equal(r.attempts[0].exit_status, 3);
	assert_int_equal(r.attempts[0].started_us, 11);
	assert_int_equal(r.attempts[0].ended_us, 22);
	assert_string_equal(r.attempts[0].error, "no such table");
	assert_string_equal(r.attempts[0].result, "{\"rows\":1}");
	assert_int_equal(r.attempts[1].outcome, OUTCOME_SUCCESS);
	store_result_release(&r);
	OK(f, store_attempts(f->s, id, "payments", &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	OK(f, store_attempts_in_flight(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	OK(f, store_run_find(f->s, "1", &r, &f->err));
	assert_int_equal(r.runs[0].state, RUN_SUCCESS);
	assert_int_equal(r.runs[0].reason, REASON_ALL_DONE);
	assert_int_equal(r.runs[0].started_us, 4000000);
	assert_int_equal(r.runs[0].ended_us, 7000000);
	assert_int_equal(r.runs[0].nsuccess, 1);
	assert_int_equal(r.runs[0].nfailed, 0);
	store_result_release(&r);

	/* cleared, the run lives again */
	struct change clear[] = {
		run_change(id, RUN_SUCCESS, RUN_RUNNING, 8000000),
		task_change(id, "orders", TASK_SUCCESS, TASK_NONE, REASON_CLEARED),
	};
	OK(f, commit(f, id, epoch, clear, 2));
	OK(f, store_run_find(f->s, "sales@2026-11-19", &r, &f->err));
	assert_int_equal(r.runs[0].started_us, 4000000);
	assert_int_equal(r.runs[0].ended_us, 0);
	store_result_release(&r);

	OK(f, store_events(f->s, id, NULL, &r, &f->err));
	assert_int_equal(r.n, 10);
	for (size_t i = 1; i < r.n; i++)
		assert_true(r.events[i].id > r.events[i - 1].id);
	assert_string_equal(r.events[4].task, "orders");
	assert_string_equal(r.events[4].from, "running");
	assert_string_equal(r.events[4].to, "up_for_retry");
	assert_string_equal(r.events[4].reason, "retry_wait");
	assert_int_equal(r.events[4].at_us, 5000000);
	assert_int_equal(r.events[4].map_index, -1);
	assert_null(r.events[4].detail);
	assert_null(r.events[1].task);
	store_result_release(&r);
	OK(f, store_events(f->s, id, "orders", &r, &f->err));
	assert_int_equal(r.n, 6);
	store_result_release(&r);
}

static void test_checks(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;
	struct store_result r;

	open_run(f, &o, &id, &epoch);
	struct check_row rows[] = {
		{ id, 5, "daily", "not_null(day)", "error", "pass", "0", "0", NULL },
		{ id, 5, "daily", "unique(day)", "warn", "fail", "2 rows", "0 rows", "[[\"x\"]]" },
		{ id, 6, "orders", "row_count", "error", "error", NULL, NULL, NULL },
	};
	struct store_batch b = { .run_id = id, .epoch = epoch, .checks = rows, .nchecks = 3 };
	OK(f, store_commit(f->s, &b, &f->err));
	OK(f, store_checks(f->s, id, NULL, &r, &f->err));
	assert_int_equal(r.n, 3);
	assert_string_equal(r.checks[0].name, "not_null(day)");
	assert_null(r.checks[0].sample);
	assert_string_equal(r.checks[1].sample, "[[\"x\"]]");
	assert_string_equal(r.checks[1].observed, "2 rows");
	assert_string_equal(r.checks[1].severity, "warn");
	assert_string_equal(r.checks[2].status, "error");
	assert_int_equal(r.checks[2].token, 6);
	assert_int_equal(r.checks[2].run_id, id);
	store_result_release(&r);
	OK(f, store_checks(f->s, id, "daily", &r, &f->err));
	assert_int_equal(r.n, 2);
	store_result_release(&r);
	b.run_id = 0;
	rows[0].run_id = 77;
	FAILS(f, ERR_NOT_FOUND, store_commit(f->s, &b, &f->err));
	rows[0].name = NULL;
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	OK(f, store_checks(f->s, id, NULL, &r, &f->err));
	assert_int_equal(r.n, 3);
	store_result_release(&r);
}

static void test_fencing(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, old, epoch;

	open_run(f, &o, &id, &old);
	open_run(f, &o, &id, &epoch);
	struct change c = task_change(id, "orders", TASK_NONE, TASK_QUEUED, REASON_NEEDS_MET);
	FAILS(f, ERR_FENCED, commit(f, id, old, &c, 1));
	FAILS(f, ERR_FENCED, commit(f, id, epoch + 1, &c, 1));
	check_state(f, id, "orders", TASK_NONE);
	OK(f, commit(f, id, epoch, &c, 1));
	c.run_id = 99;
	FAILS(f, ERR_NOT_FOUND, commit(f, 99, 1, &c, 1));
	FAILS(f, ERR_INTERNAL, commit(f, id, epoch, &c, 1)); /* of another run */
	check_state(f, id, "orders", TASK_QUEUED);
}

/* Each of these, in the middle of good changes, takes all of them back. */
static void test_bad_change_undoes_all(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, token;
	struct store_result r;

	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 100, &token, &f->err));
	struct change first[] = {
		task_change(id, "payments", TASK_NONE, TASK_RUNNING, REASON_STARTED),
		start(id, "payments", 1, 50),
		ended(id, "payments", 50, OUTCOME_SUCCESS),
		task_change(id, "payments", TASK_RUNNING, TASK_SUCCESS, REASON_SUCCEEDED),
	};
	OK(f, commit(f, id, epoch, first, 4));

	struct {
		struct change c;
		const char *says;
	} bad[] = {
		{ task_change(id, "daily", TASK_QUEUED, TASK_RUNNING, REASON_STARTED),
			"is none, and cannot go from queued to running" },
		{ task_change(id, "daily", TASK_NONE, TASK_SUCCESS, REASON_SUCCEEDED),
			"may not go from none to success" },
		{ task_change(id, "payments", TASK_SUCCESS, TASK_NONE, REASON_STARTED),
			"may not go from success to none" },
		{ task_change(id, "payments", TASK_RUNNING, TASK_FAILED, REASON_EXIT_STATUS),
			"is success, and cannot go from running to failed" },
		{ task_change(id, "nowhere", TASK_NONE, TASK_QUEUED, REASON_NEEDS_MET), "no task" },
		{ task_change(id, NULL, TASK_NONE, TASK_QUEUED, REASON_NEEDS_MET),
			"without its task" },
		{ task_change(id, "daily", TASK_NONE, (enum task_state)77, REASON_NONE),
			"no such state" },
		{ task_change(id, "daily", TASK_NONE, TASK_QUEUED, (enum reason)777), "unknown" },
		{ run_change(id, RUN_RUNNING, RUN_SUCCESS, 1),
			"is queued, and cannot go from running" },
		{ run_change(id, RUN_SUCCESS, RUN_FAILED, 1), "may not go from success to failed" },
		{ run_change(id, RUN_QUEUED, (enum run_state) - 1, 1), "no such state" },
		{ run_change(id + 1, RUN_QUEUED, RUN_RUNNING, 1), "hold one of run" },
		{ start(id, "orders", 2, 101), "was never reserved" },
		{ start(id, "orders", 2, 0), "without a token" },
		{ start(id, "orders", 0, 60), "try 0" },
		{ start(id, "orders", 1, 60), "is used already" },
		{ start(id, "orders", 2, 50), "is used already" },
		{ start(id, "payments", 2, 49), "is not larger than 50" },
		{ start(id, "nowhere", 1, 60), "no task" },
		{ ended(id, "payments", 50, OUTCOME_FAILED), "cannot end again as failed" },
		{ ended(id, "orders", 50, OUTCOME_FAILED), "has no attempt 50" },
		{ ended(id, "orders", 70, OUTCOME_FAILED), "has no attempt 70" },
		{ ended(id, "orders", 40, OUTCOME_NONE), "ends without outcome" },
		{ { .kind = (enum change_kind)99 }, "unknown kind" },
	};
	size_t events = count_events(f, id);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct change c[] = {
			run_change(id, RUN_QUEUED, RUN_RUNNING, 1),
			run_change(id, RUN_RUNNING, RUN_QUEUED, 1),
			task_change(id, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
			start(id, "orders", 1, 40),
			bad[i].c,
			task_change(id, "orders", TASK_RUNNING, TASK_CANCELLED, REASON_CANCELLED),
		};
		FAILS(f, ERR_INTERNAL, commit(f, id, epoch, c, 6));
		SAYS(f, bad[i].says);
		check_state(f, id, "orders", TASK_NONE);
		assert_int_equal(count_events(f, id), events);
		OK(f, store_attempts(f->s, id, NULL, &r, &f->err));
		assert_int_equal(r.n, 1);
		assert_int_equal(r.attempts[0].outcome, OUTCOME_SUCCESS);
		store_result_release(&r);
	}
	struct change good[] = {
		task_change(id, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 1, 40),
	};
	OK(f, commit(f, id, epoch, good, 2)); /* a token may be smaller than another task's */
}

/* ---- queries ------------------------------------------------------------------------- */

static void finish(struct fixture *f, int64_t id, int64_t epoch)
{
	struct change c[] = {
		run_change(id, RUN_QUEUED, RUN_RUNNING, 1),
		run_change(id, RUN_RUNNING, RUN_SUCCESS, 2),
	};

	OK(f, commit(f, id, epoch, c, 2));
}

static void fill(struct fixture *f)
{
	static const struct {
		const char *dag;
		int day;
		bool done;
	} runs[] = { { "sales", 19, true }, { "sales", 21, false }, { "sales", 20, true },
		{ "stock", 3, true }, { "stock", 2, false }, { "ads", 28, false } };
	int64_t id, epoch;

	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct run_open o = opening(f, runs[i].dag, runs[i].day);
		open_run(f, &o, &id, &epoch);
		if (runs[i].done)
			finish(f, id, epoch);
	}
}

static void test_run_lists(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct run_filter filter;
		const char *want;
	} cases[] = {
		{ { NULL, -1, 0, false }, "6 5 4 3 2 1 " },
		{ { NULL, -1, 2, false }, "6 5 " },
		{ { "sales", -1, 0, false }, "2 3 1 " },
		{ { "sales", -1, 1, false }, "2 " },
		{ { "sal", -1, 0, false }, "" },
		{ { NULL, RUN_SUCCESS, 0, false }, "4 3 1 " },
		{ { NULL, RUN_QUEUED, 1, false }, "6 " },
		{ { NULL, RUN_FAILED, 0, false }, "" },
		{ { "sales", RUN_SUCCESS, 0, false }, "3 1 " },
		{ { "sales", RUN_SUCCESS, 1, false }, "3 " },
		{ { NULL, -1, 0, true }, "6 4 2 " },
		{ { NULL, -1, 2, true }, "6 4 " },
		{ { "stock", -1, 0, true }, "4 " },
		{ { "st", -1, 0, true }, "" },
		{ { NULL, RUN_SUCCESS, 0, true }, "4 " },
	};
	struct store_result r;

	OK(f, store_runs(f->s, &(struct run_filter){ .state = -1, .latest_per_dag = true }, &r,
		      &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	fill(f);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char got[64] = "";
		OK(f, store_runs(f->s, &cases[i].filter, &r, &f->err));
		for (size_t k = 0; k < r.n; k++)
			snprintf(got + strlen(got), sizeof got - strlen(got), "%" PRId64 " ",
				r.runs[k].id);
		store_result_release(&r);
		assert_string_equal(got, cases[i].want);
	}
	FAILS(f, ERR_INTERNAL, store_runs(f->s, &(struct run_filter){ .state = 99 }, &r, &f->err));
}

static void test_find(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *ref;
		int64_t want;     /* 0: not found */
		const char *says; /* when not found */
	} cases[] = {
		{ "3", 3, NULL },
		{ "0003", 3, NULL },
		{ "7", 0, "no run 7; the newest is 6 (ads@2026-11-28)" },
		{ "99999999999999999999999", 0, "no run 99999999999999999999999; the newest is 6" },
		{ "sales", 2, NULL },
		{ "sales@2026-11-19", 1, NULL },
		{ "sales@2026-11-1", 1, NULL },
		{ "stock@2026-11-03", 4, NULL },
		{ "sales@2026-11-2", 0, "can mean sales@2026-11-20, sales@2026-11-21" },
		{ "sales@2027", 0, "no run sales@2027; the newest of sales: sales@2026-11-21, " },
		{ "sales@", 0, "no run sales@; the newest of sales" },
		{ "@", 0, "no runs of a DAG ;" },
		{ "", 0, "no runs of a DAG ;" },
		{ "sale", 0, "did you mean sales?" },
		{ "slaes@2026-11-19", 0, "did you mean sales?" },
		{ "nothing_like_it", 0, "there are runs of ads, stock, ..." },
		{ "-1", 0, "no runs of a DAG -1" },
		{ "'; DROP TABLE run; --", 0, "no runs of a DAG" },
		{ "\xff\xfe@\xff", 0, "no runs of a DAG" },
	};
	static const char *const empty[] = { "1", "sales", "sales@2026-11-19" };
	struct store_result r;

	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		FAILS(f, ERR_NOT_FOUND, store_run_find(f->s, empty[i], &r, &f->err));
		SAYS(f, "no runs yet");
	}
	fill(f);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (!cases[i].want) {
			FAILS(f, ERR_NOT_FOUND, store_run_find(f->s, cases[i].ref, &r, &f->err));
			SAYS(f, cases[i].says);
			continue;
		}
		OK(f, store_run_find(f->s, cases[i].ref, &r, &f->err));
		assert_int_equal(r.n, 1);
		assert_int_equal(r.runs[0].id, cases[i].want);
		store_result_release(&r);
	}
}

static void test_tokens(void **state)
{
	struct fixture *f = *state;
	int64_t first, second;

	OK(f, store_reserve_tokens(f->s, 5, &first, &f->err));
	OK(f, store_reserve_tokens(f->s, 1, &second, &f->err));
	assert_int_equal(second, first + 5);
	FAILS(f, ERR_INTERNAL, store_reserve_tokens(f->s, 0, &first, &f->err));
	FAILS(f, ERR_INTERNAL, store_reserve_tokens(f->s, -1, &first, &f->err));
	FAILS(f, ERR_INTERNAL, store_reserve_tokens(f->s, INT64_MAX, &first, &f->err));
}

/* Every state, outcome and run state is one that the schema takes. */
static void test_all_names(void **state)
{
	struct fixture *f = *state;
	static const enum task_state via[TASK_STATE_MAX] = { [TASK_DEFERRED] = TASK_RUNNING,
		[TASK_AWAITING_INPUT] = TASK_RUNNING,
		[TASK_UP_FOR_RETRY] = TASK_RUNNING,
		[TASK_HELD] = TASK_QUEUED,
		[TASK_SUCCESS] = TASK_RUNNING,
		[TASK_FAILED] = TASK_RUNNING };
	static const char *const names[] = { "t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8",
		"t9", "t10", "t11", "t12", "t13", "t14", "t15" };
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, token;

	o.tasks = names;
	o.ntasks = 16;
	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 100, &token, &f->err));
	for (int i = TASK_NONE + 1; i < TASK_STATE_MAX; i++) {
		struct change c[] = {
			task_change(id, names[i], TASK_NONE, via[i], REASON_STARTED),
			task_change(id, names[i], via[i], (enum task_state)i, REASON_NONE),
		};
		OK(f, commit(f, id, epoch, via[i] ? c : c + 1, via[i] ? 2 : 1));
		check_state(f, id, names[i], (enum task_state)i);
	}
	for (int i = OUTCOME_NONE + 1; i < OUTCOME_MAX; i++) {
		struct change c[] = { start(id, names[i], 1, token + i),
			ended(id, names[i], token + i, (enum outcome)i) };
		OK(f, commit(f, id, epoch, c, 2));
	}
	for (int i = RUN_SUCCESS; i < RUN_STATE_MAX; i++) {
		struct change c[] = {
			run_change(id, RUN_QUEUED, RUN_RUNNING, 1),
			run_change(id, RUN_RUNNING, (enum run_state)i, 1),
			run_change(id, (enum run_state)i, RUN_RUNNING, 1),
			run_change(id, RUN_RUNNING, RUN_QUEUED, 1),
		};
		OK(f, commit(f, id, epoch, c, 4));
	}
}

static void test_many_tasks(void **state)
{
	enum { N = 10000 };
	struct fixture *f = *state;
	char(*text)[16] = calloc(N, sizeof *text);
	const char **names = calloc(N, sizeof *names);
	struct run_open o = opening(f, "big", 19);
	struct store_result r;
	int64_t id, epoch;

	for (int i = 0; i < N; i++) {
		snprintf(text[i], sizeof text[i], "task_%d", i);
		names[i] = text[i];
	}
	o.tasks = names;
	o.ntasks = N;
	int64_t began_us = now_us();
	open_run(f, &o, &id, &epoch);
	int64_t took_us = now_us() - began_us;
	print_message("# 10,000 tasks opened in %" PRId64 " us\n", took_us);
	OK(f, store_tasks(f->s, id, &r, &f->err));
	assert_int_equal(r.n, N);
	for (int i = 0; i < N; i++)
		assert_string_equal(r.tasks[i].name, names[i]);
	store_result_release(&r);
	OK(f, store_run_find(f->s, "big", &r, &f->err));
	assert_int_equal(r.runs[0].ntasks, N);
	store_result_release(&r);
	free(names);
	free(text);
	/* a figure for `make bench`; here only what would be quadratic is caught */
	assert_true(took_us < 5000000);
}

/* ---- SQLite alone -------------------------------------------------------------------- */

static void reopen(struct fixture *f, unsigned flags)
{
	store_close(f->s);
	f->s = NULL;
	OK(f, store_open_sqlite(&f->s, f->path, flags, &f->err));
}

static void sql(struct fixture *f, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static sqlite3 *handle(struct fixture *f)
{
	return ((struct sqlite_store *)f->s)->db;
}

static int pragma(struct fixture *f, const char *text)
{
	int v = -1;

	OK(f, sqlite_read_pragma(handle(f), f->path, text, &v, &f->err));
	return v;
}

static void test_reopen(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, first, second;
	struct stat st;
	struct store_result r;

	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(pragma(f, "PRAGMA user_version"), store_schema_version());
	assert_int_equal(pragma(f, "PRAGMA foreign_keys"), 1);
	assert_int_equal(pragma(f, "PRAGMA synchronous"), 2);
	assert_int_equal(pragma(f, "PRAGMA trusted_schema"), 0);
	assert_int_equal(pragma(f, "SELECT count(*) FROM migration"), store_schema_version());
	assert_int_equal(pragma(f, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
	assert_int_equal(pragma(f, "SELECT count(*) FROM pragma_table_list WHERE type = 'table'"
				   " AND NOT strict AND name NOT LIKE 'sqlite_%'"),
		0);
	open_run(f, &o, &id, &epoch);
	OK(f, store_reserve_tokens(f->s, 5, &first, &f->err));
	reopen(f, STORE_CREATE);
	check_state(f, id, "orders", TASK_NONE);
	OK(f, store_reserve_tokens(f->s, 5, &second, &f->err));
	assert_int_equal(second, first + 5);
	assert_int_equal(pragma(f, "SELECT count(*) FROM migration"), store_schema_version());
	reopen(f, 0);
	check_state(f, id, "orders", TASK_NONE);

	reopen(f, STORE_READ_ONLY);
	check_state(f, id, "orders", TASK_NONE);
	FAILS(f, ERR_INTERNAL, store_reserve_tokens(f->s, 5, &second, &f->err));
	SAYS(f, "for reading only");
	OK(f, store_run_find(f->s, "sales", &r, &f->err));
	store_result_release(&r);
}

static void test_not_there(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	char path[160];

	snprintf(path, sizeof path, "%s/none.db", f->dir);
	FAILS(f, ERR_NOT_FOUND, store_open_sqlite(&s, path, STORE_READ_ONLY, &f->err));
	FAILS(f, ERR_NOT_FOUND,
		store_open_sqlite(&s, path, STORE_READ_ONLY | STORE_CREATE, &f->err));
	FAILS(f, ERR_NOT_FOUND, store_open_sqlite(&s, path, 0, &f->err));
	SAYS(f, path);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof path, "%s/no/folder.db", f->dir);
	FAILS(f, ERR_STORE, store_open_sqlite(&s, path, STORE_CREATE, &f->err));
	SAYS(f, "WEIR_HOME");
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->dir, STORE_CREATE, &f->err));
	assert_null(s);
}

static void write_file(const char *path, const char *data, size_t len)
{
	FILE *fp = fopen(path, "we");

	assert_non_null(fp);
	assert_int_equal(fwrite(data, 1, len, fp), len);
	assert_int_equal(fclose(fp), 0);
}

static void test_refused_files(void **state)
{
	struct fixture *f = *state;
	struct store *s = NULL;
	char text[8192];

	store_close(f->s);
	f->s = NULL;
	sql(f, "PRAGMA user_version = 99");
	for (unsigned flags = 0; flags < 4; flags++) {
		FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, flags, &f->err));
		SAYS(f, "made by a newer weir (schema 99, this one knows 1)");
		SAYS(f, f->path);
	}

	/* of another program: refused, and left as it was */
	unlink(f->path);
	sql(f, "CREATE TABLE x(a); INSERT INTO x VALUES (1)");
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, STORE_CREATE, &f->err));
	SAYS(f, "another program");
	sql(f, "PRAGMA application_id = 7; DROP TABLE x");
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, STORE_CREATE, &f->err));
	SAYS(f, "another program");
	sqlite3 *db;
	sqlite3_open(f->path, &db);
	int wal = -1;
	sqlite_read_pragma(
		db, "", "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &wal, NULL);
	sqlite3_close(db);
	assert_int_equal(wal, 0);

	/* no database at all */
	memset(text, 'x', sizeof text);
	write_file(f->path, text, sizeof text);
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, STORE_CREATE, &f->err));
	SAYS(f, "not a database");
	FAILS(f, ERR_STORE, store_open_sqlite(&s, f->path, STORE_READ_ONLY, &f->err));

	/* an empty file, as a crash between its making and its first write leaves it */
	write_file(f->path, "", 0);
	FAILS(f, ERR_NOT_FOUND, store_open_sqlite(&s, f->path, STORE_READ_ONLY, &f->err));
	FAILS(f, ERR_NOT_FOUND, store_open_sqlite(&s, f->path, 0, &f->err));
	OK(f, store_open_sqlite(&f->s, f->path, STORE_CREATE, &f->err));
	assert_null(s);
}

/* Every page overwritten in turn: an error that says so, or the right answer; never a crash. */
static void test_damaged(void **state)
{
	enum { PAGE = 4096 };
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;
	struct stat st;
	int refused = 0;

	open_run(f, &o, &id, &epoch);
	store_close(f->s);
	f->s = NULL;
	assert_int_equal(stat(f->path, &st), 0);
	char *whole = malloc((size_t)st.st_size);
	FILE *fp = fopen(f->path, "re");
	assert_int_equal(fread(whole, 1, (size_t)st.st_size, fp), st.st_size);
	fclose(fp);
	for (long at = 0; at < st.st_size; at += PAGE) {
		char *copy = malloc((size_t)st.st_size);
		memcpy(copy, whole, (size_t)st.st_size);
		memset(copy + at + (at ? 0 : 200), 0xa5, at ? PAGE : PAGE - 200);
		write_file(f->path, copy, (size_t)st.st_size);
		free(copy);
		struct store *s = NULL;
		struct store_result r;
		err_clear(&f->err);
		if (store_open_sqlite(&s, f->path, 0, &f->err) == 0) {
			if (store_run_open(s, &o, &id, &epoch, NULL, &f->err) == 0 &&
				store_run_find(s, "sales", &r, &f->err) == 0)
				store_result_release(&r);
			store_close(s);
		}
		if (f->err.code) {
			assert_int_equal(f->err.code, ERR_STORE);
			SAYS(f, "damaged");
			refused++;
		}
	}
	free(whole);
	assert_true(refused > 3);
	unlink(f->path);
}

static void test_migrations(void **state)
{
	static const struct migration rows[] = {
		{ 1, "CREATE TABLE migration(version INTEGER PRIMARY KEY, applied_us INTEGER NOT "
		     "NULL);" },
		{ 2, "CREATE TABLE a(x); INSERT INTO a VALUES (1);" },
		{ 3, "UPDATE a SET x = x + 1;" },
		{ 4, "UPDATE a SET x = 100; CREATE TABLE a(x);" },
	};
	struct fixture *f = *state;
	sqlite3 *db;
	int v;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	OK(f, migrations_apply(db, "test", rows, 1, &f->err));
	OK(f, migrations_apply(db, "test", rows, 3, &f->err));
	OK(f, migrations_apply(db, "test", rows, 3, &f->err));
	OK(f, migrations_apply(db, "test", rows, 1, &f->err));
	OK(f, sqlite_read_pragma(db, "test", "PRAGMA user_version", &v, &f->err));
	assert_int_equal(v, 3);
	/* one that fails leaves nothing */
	FAILS(f, ERR_INTERNAL, migrations_apply(db, "test", rows, 4, &f->err));
	OK(f, sqlite_read_pragma(db, "test", "PRAGMA user_version", &v, &f->err));
	assert_int_equal(v, 3);
	OK(f, sqlite_read_pragma(db, "test", "SELECT x FROM a", &v, &f->err));
	assert_int_equal(v, 2);
	OK(f, sqlite_read_pragma(db, "test", "SELECT count(*) FROM migration", &v, &f->err));
	assert_int_equal(v, 3);
	sqlite3_close(db);

	size_t n;
	const struct migration *all = migrations_all(&n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(all[i].version, i + 1);
}

/* Several processes make the store, reserve tokens and open runs at once. */
static void test_processes(void **state)
{
	enum { PROCESSES = 4, TIMES = 25, N = 7 };
	struct fixture *f = *state;
	int fds[2];
	pid_t pids[PROCESSES];

	store_close(f->s);
	f->s = NULL;
	unlink(f->path);
	assert_int_equal(pipe(fds), 0);
	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = fork();
		if (pids[p])
			continue;
		struct store *s;
		int64_t first, last = 0, id, epoch;
		struct run_open o = opening(f, "sales", 19);
		if (owner_self(&o.owner, NULL) < 0 ||
			store_open_sqlite(&s, f->path, STORE_CREATE, &f->err) < 0)
			_exit(2);
		for (int i = 0; i < TIMES; i++) {
			if (store_reserve_tokens(s, N, &first, &f->err) < 0 || first <= last)
				_exit(3);
			last = first;
			if (write(fds[1], &first, sizeof first) != sizeof first)
				_exit(4);
		}
		int r = store_run_open(s, &o, &id, &epoch, NULL, &f->err);
		if (r < 0 && f->err.code != ERR_REFUSED)
			_exit(5);
		store_close(s);
		_exit(0);
	}
	close(fds[1]);
	bool seen[PROCESSES * TIMES] = { false };
	int64_t first;
	int n = 0;
	while (read(fds[0], &first, sizeof first) == sizeof first) {
		assert_int_equal((first - 1) % N, 0);
		assert_in_range((first - 1) / N, 0, PROCESSES * TIMES - 1);
		assert_false(seen[(first - 1) / N]);
		seen[(first - 1) / N] = true;
		n++;
	}
	close(fds[0]);
	for (int p = 0; p < PROCESSES; p++) {
		int status;
		waitpid(pids[p], &status, 0);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	assert_int_equal(n, PROCESSES * TIMES);
	OK(f, store_open_sqlite(&f->s, f->path, 0, &f->err));
	assert_int_equal(pragma(f, "SELECT count(*) FROM run"), 1);
}

/* Locked, full, not writable: an error of its kind, nothing kept, and usable afterwards. */
static void test_faults(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch, token;
	sqlite3 *other;

	open_run(f, &o, &id, &epoch);
	struct change c[] = {
		task_change(id, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
		task_change(id, "orders", TASK_RUNNING, TASK_SUCCESS, REASON_SUCCEEDED),
	};
	char *large = malloc(1 << 20);
	memset(large, 'x', (1 << 20) - 1);
	large[(1 << 20) - 1] = '\0';
	c[1].state.outputs = large;

	sqlite3_busy_timeout(handle(f), 1);
	assert_int_equal(sqlite3_open(f->path, &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	FAILS(f, ERR_BUSY, commit(f, id, epoch, c, 2));
	SAYS(f, "try again");
	FAILS(f, ERR_BUSY, store_reserve_tokens(f->s, 1, &token, &f->err));
	FAILS(f, ERR_BUSY, store_run_renew(f->s, id, epoch, 1, &f->err));
	FAILS(f, ERR_BUSY, store_run_open(f->s, &o, &id, &epoch, NULL, &f->err));
	check_state(f, id, "orders", TASK_NONE); /* readers go on */
	sqlite3_close(other);

	int pages = pragma(f, "PRAGMA page_count");
	char text[64];
	snprintf(text, sizeof text, "PRAGMA max_page_count = %d", pages + 1);
	pragma(f, text);
	FAILS(f, ERR_STORE, commit(f, id, epoch, c, 2));
	SAYS(f, "the disk is full");
	SAYS(f, f->path);
	check_state(f, id, "orders", TASK_NONE);
	pragma(f, "PRAGMA max_page_count = 1000000");

	assert_int_equal(
		sqlite3_exec(handle(f), "PRAGMA query_only = 1", NULL, NULL, NULL), SQLITE_OK);
	FAILS(f, ERR_STORE, commit(f, id, epoch, c, 2));
	SAYS(f, "cannot be written");
	assert_int_equal(
		sqlite3_exec(handle(f), "PRAGMA query_only = 0", NULL, NULL, NULL), SQLITE_OK);

	/* the kernel refuses to let the log grow */
	struct rlimit was, small = { 200000, 200000 };
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small.rlim_max = was.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	int r = commit(f, id, epoch, c, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(r, -1);
	assert_int_equal(f->err.code, ERR_STORE);
	check_state(f, id, "orders", TASK_NONE);

	OK(f, commit(f, id, epoch, c, 2));
	check_state(f, id, "orders", TASK_SUCCESS);
	assert_int_equal(count_events(f, id), 3);
	reopen(f, 0);
	check_state(f, id, "orders", TASK_SUCCESS);
	assert_int_equal(pragma(f, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
	free(large);
}

static const char *program; /* this file; /proc/self/exe is another one under valgrind */

/* The program that is killed: this one, started anew with the argument "steps" and a path.
 * It prints a byte for each step that the store reported as done. */
static int steps(const char *path)
{
	struct fixture f = { .backend = BACKEND_SQLITE };
	int64_t id, epoch, token;

	if (owner_self(&f.self, NULL) < 0)
		return 1;
	struct run_open o = opening(&f, "sales", 19);
	if (store_open_sqlite(&f.s, path, STORE_CREATE, &f.err) < 0 ||
		store_run_open(f.s, &o, &id, &epoch, NULL, &f.err) < 0 || write(1, "x", 1) != 1 ||
		store_reserve_tokens(f.s, 1, &token, &f.err) < 0 || write(1, "x", 1) != 1)
		return 1;
	struct change c[] = {
		task_change(id, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
		start(id, "orders", 1, token),
	};
	if (commit(&f, id, epoch, c, 2) < 0 || write(1, "x", 1) != 1 ||
		store_run_close(f.s, id, epoch, &f.err) < 0)
		return 1;
	store_close(f.s);
	return 0;
}

/* Run the steps, killed at write `n`: how many bytes it printed. */
static int run_steps(const char *path, int n, int *ret_status)
{
	int fds[2], done = 0;
	char number[16], x;

	snprintf(number, sizeof number, "%d", n);
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		setenv("WEIR_TEST_KILL_AT_WRITE", number, 1);
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execl(program, program, "steps", path, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	while (read(fds[0], &x, 1) == 1)
		done++;
	close(fds[0]);
	waitpid(pid, ret_status, 0);
	return done;
}

static void check_after_kill(struct fixture *f, int done)
{
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;
	bool created;

	OK(f, store_open_sqlite(&f->s, f->path, STORE_CREATE, &f->err));
	OK(f, store_run_open(f->s, &o, &id, &epoch, &created, &f->err));
	assert_false(created && done >= 1);
	int running = pragma(f, "SELECT count(*) FROM task WHERE state = 'running'");
	assert_int_equal(pragma(f, "SELECT count(*) FROM attempt"), running);
	assert_int_equal(pragma(f, "SELECT count(*) FROM event"), 1 + running);
	assert_int_equal(pragma(f, "SELECT count(*) FROM task"), 3);
	if (done >= 2)
		assert_int_equal(pragma(f, "SELECT next FROM counter"), 2);
	if (done >= 3)
		assert_int_equal(running, 1);
	store_close(f->s);
	f->s = NULL;
}

/* Killed at each write step: what a step reported as done is there, what it did not may be
 * absent, and nothing is half there. */
static void test_killed_at_writes(void **state)
{
	struct fixture *f = *state;
	char wal[128];
	int n, status;

	store_close(f->s);
	f->s = NULL;
	snprintf(wal, sizeof wal, "%s-wal", f->path);
	for (n = 1; n < 100; n++) {
		unlink(f->path);
		unlink(wal);
		int done = run_steps(f->path, n, &status);
		if (WIFEXITED(status))
			break;
		assert_int_equal(WTERMSIG(status), SIGKILL);
		check_after_kill(f, done);
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	print_message("# killed at %d write steps\n", n - 1);
	assert_int_equal(n - 1, 3 * (store_schema_version() + 4));
}

/* A folder without write permission: what is closed cleanly can still be read. */
static void test_read_only_folder(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;

	if (geteuid() == 0 && seteuid(65534) < 0)
		skip();
	seteuid(0);
	open_run(f, &o, &id, &epoch);
	store_close(f->s);
	f->s = NULL;
	bool root = geteuid() == 0;
	if (root)
		assert_int_equal(chown(f->path, 65534, (gid_t)-1), 0);
	assert_int_equal(chmod(f->dir, 0555), 0);
	if (root)
		assert_int_equal(seteuid(65534), 0);
	struct store *s = NULL;
	int r = store_open_sqlite(&s, f->path, STORE_READ_ONLY, &f->err);
	struct store *writer = NULL;
	struct err refused = { .code = ERR_NONE };
	int w = store_open_sqlite(&writer, f->path, STORE_CREATE, &refused);
	if (root)
		assert_int_equal(seteuid(0), 0);
	chmod(f->dir, 0755);
	OK(f, r);
	f->s = s;
	check_state(f, id, "orders", TASK_NONE);
	assert_int_equal(w, -1);
	assert_int_equal(refused.code, ERR_STORE);
	assert_non_null(strstr(refused.msg, "permission"));
}

static int backends[] = { BACKEND_SQLITE, BACKEND_MEMORY };

#define ONE(test, backend)                                                                   \
	{                                                                                    \
#test " (" #backend ")", test, setup, teardown, &backends[BACKEND_##backend] \
	}
#define BOTH(test) ONE(test, SQLITE), ONE(test, MEMORY)

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc == 3 && strcmp(argv[1], "steps") == 0)
		return steps(argv[2]);

	const struct CMUnitTest tests[] = {
		ONE(test_owner, MEMORY),
		BOTH(test_open_and_again),
		BOTH(test_owner_refused),
		BOTH(test_names),
		BOTH(test_life_of_a_task),
		BOTH(test_checks),
		BOTH(test_fencing),
		BOTH(test_bad_change_undoes_all),
		BOTH(test_run_lists),
		BOTH(test_find),
		BOTH(test_tokens),
		BOTH(test_all_names),
		BOTH(test_many_tasks),
		ONE(test_reopen, SQLITE),
		ONE(test_not_there, SQLITE),
		ONE(test_refused_files, SQLITE),
		ONE(test_damaged, SQLITE),
		ONE(test_migrations, SQLITE),
		ONE(test_processes, SQLITE),
		ONE(test_faults, SQLITE),
		ONE(test_killed_at_writes, SQLITE),
		ONE(test_read_only_folder, SQLITE),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
