/* One suite over every backend of the store. */
#include "tests/lib/store_fixture.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"

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

	/* In another PID namespace the number is another's; of another boot it is dead all the
	 * same. */
	o = f->self;
	char *ns = strchr(o.boot_id, '/');
	if (ns && ns > o.boot_id) {
		snprintf(ns, 8, "/12345");
		o.start_ticks++;
		assert_false(owner_is_dead(&o));
		o.boot_id[0] = o.boot_id[0] == '0' ? '1' : '0';
		assert_true(owner_is_dead(&o));
	}

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
	assert_true(token > 0);
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
		{ id, 5, "daily", "not_null(day)", "error", "pass", "0", "0", NULL, -1 },
		{ id, 5, "daily", "unique(day)", "warn", "fail", "2 rows", "0 rows", "[[\"x\"]]",
			3 },
		{ id, 6, "orders", "row_count", "error", "error", NULL, NULL, NULL, -1 },
	};
	struct store_lease lease = { id, epoch };
	struct store_batch b = { .leases = &lease, .nleases = 1, .checks = rows, .nchecks = 3 };
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
	assert_int_equal(r.checks[1].map_index, 3);
	assert_int_equal(r.checks[2].map_index, -1);
	store_result_release(&r);
	OK(f, store_checks(f->s, id, "daily", &r, &f->err));
	assert_int_equal(r.n, 2);
	store_result_release(&r);
	rows[0].run_id = 77;
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	SAYS(f, "a check of run 77, whose lease is not checked");
	b.nleases = 0;
	FAILS(f, ERR_NOT_FOUND, store_commit(f->s, &b, &f->err));
	rows[0].name = NULL;
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	OK(f, store_checks(f->s, id, NULL, &r, &f->err));
	assert_int_equal(r.n, 3);
	store_result_release(&r);
}

/* Changes that people asked for: who and why, and that a daemon is to go on. */
static void test_requests(void **state)
{
	struct fixture *f = *state;
	struct run_open o = opening(f, "sales", 19);
	int64_t id, epoch;
	struct store_result r;

	open_run(f, &o, &id, &epoch);
	struct change c =
		task_change(id, "daily", TASK_NONE, TASK_SKIPPED, REASON_SKIPPED_BY_REQUEST);
	c.detail = "by ann: no data";
	struct audit_row rows[] = {
		{ id, 7, "ann", "skip", "sales@19", "daily", "no data" },
		{ id, 8, "bob", "retry", "sales@19", NULL, NULL },
	};
	struct store_lease lease = { id, epoch };
	struct store_batch b = { .leases = &lease,
		.nleases = 1,
		.changes = &c,
		.nchanges = 1,
		.audits = rows,
		.naudits = 2,
		.wants = &id,
		.nwants = 1 };
	OK(f, store_commit(f->s, &b, &f->err));
	OK(f, store_audits(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.audits[0].at_us, 7);
	assert_int_equal(r.audits[0].run_id, id);
	assert_string_equal(r.audits[0].who, "ann");
	assert_string_equal(r.audits[0].what, "skip");
	assert_string_equal(r.audits[0].detail, "daily");
	assert_string_equal(r.audits[0].reason, "no data");
	assert_null(r.audits[1].detail);
	assert_null(r.audits[1].reason);
	store_result_release(&r);
	OK(f, store_events(f->s, id, "daily", &r, &f->err));
	assert_string_equal(r.events[r.n - 1].reason, "skipped_by_request");
	assert_string_equal(r.events[r.n - 1].detail, "by ann: no data");
	store_result_release(&r);
	OK(f, store_runs(f->s, &(struct run_filter){ .state = -1, .wanted = true }, &r, &f->err));
	assert_int_equal(r.n, 1);
	store_result_release(&r);

	/* All or nothing; and a run that is final is wanted no more. */
	b.changes = &(struct change){ .kind = CHANGE_RUN,
		.run_id = id,
		.task_index = -1,
		.map_index = -1,
		.run = { RUN_QUEUED, RUN_SUCCESS } };
	b.naudits = 1;
	OK(f, store_commit(f->s, &b, &f->err));
	OK(f, store_runs(f->s, &(struct run_filter){ .state = -1, .wanted = true }, &r, &f->err));
	assert_int_equal(r.n, 0);
	store_result_release(&r);
	b.changes = &c; /* it is skipped already */
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	OK(f, store_audits(f->s, id, &r, &f->err));
	assert_int_equal(r.n, 3);
	store_result_release(&r);
	b.nchanges = 0;
	rows[0].what = NULL;
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	rows[0].what = "skip";
	rows[0].run_id = 77;
	FAILS(f, ERR_INTERNAL, store_commit(f->s, &b, &f->err));
	SAYS(f, "a request of run 77, whose lease is not checked");
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
	const int64_t at = token - 1; /* they are at + 1 to at + 100 */
	struct change first[] = {
		task_change(id, "payments", TASK_NONE, TASK_RUNNING, REASON_STARTED),
		start(id, "payments", 1, at + 50),
		ended(id, "payments", at + 50, OUTCOME_SUCCESS),
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
		{ run_change(id + 1, RUN_QUEUED, RUN_RUNNING, 1), "whose lease is not checked" },
		{ start(id, "orders", 2, at + 101), "was never reserved" },
		{ start(id, "orders", 2, 0), "without a token" },
		{ start(id, "orders", 0, at + 60), "try 0" },
		{ start(id, "orders", 1, at + 60), "is used already" },
		{ start(id, "orders", 2, at + 50), "is used already" },
		{ start(id, "payments", 2, at + 49), "is not larger than " },
		{ start(id, "nowhere", 1, at + 60), "no task" },
		{ ended(id, "payments", at + 50, OUTCOME_FAILED), "cannot end again as failed" },
		{ ended(id, "orders", at + 50, OUTCOME_FAILED), "has no attempt " },
		{ ended(id, "orders", at + 70, OUTCOME_FAILED), "has no attempt " },
		{ ended(id, "orders", at + 40, OUTCOME_NONE), "ends without outcome" },
		{ { .kind = (enum change_kind)99 }, "unknown kind" },
	};
	size_t events = count_events(f, id);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct change c[] = {
			run_change(id, RUN_QUEUED, RUN_RUNNING, 1),
			run_change(id, RUN_RUNNING, RUN_QUEUED, 1),
			task_change(id, "orders", TASK_NONE, TASK_RUNNING, REASON_STARTED),
			start(id, "orders", 1, at + 40),
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
		start(id, "orders", 1, at + 40),
	};
	OK(f, commit(f, id, epoch, good, 2)); /* a token may be smaller than another task's */
}

/* ---- queries ------------------------------------------------------------------------- */

static void fill(struct fixture *f)
{
	static const struct {
		const char *dag;
		int day;
		bool done, wanted;
		int64_t backfill_id;
	} runs[] = { { "sales", 19, true, true, 7 }, { "sales", 21, false, true, 0 },
		{ "sales", 20, true, false, 0 }, { "stock", 3, true, true, 7 },
		{ "stock", 2, false, false, 0 }, { "ads", 28, false, true, 7 } };
	int64_t id, epoch;

	for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
		struct run_open o = opening(f, runs[i].dag, runs[i].day);
		o.wanted = runs[i].wanted;
		o.backfill_id = runs[i].backfill_id;
		open_run(f, &o, &id, &epoch);
		if (runs[i].done)
			finish(f, id, epoch);
	}
}

#define RANGE(from, to) \
	.in_range = true, .from_us = (from)*86400000000LL, .to_us = (to)*86400000000LL

#define ENDED_BY(day) .ended_by_us = (day)*86400000000LL

static void test_run_lists(void **state)
{
	struct fixture *f = *state;
	static const struct {
		struct run_filter filter;
		const char *want;
	} cases[] = {
		{ { .state = -1 }, "6 5 4 3 2 1 " },
		{ { .state = -1, .limit = 2 }, "6 5 " },
		{ { .dag = "sales", .state = -1 }, "2 3 1 " },
		{ { .dag = "sales", .state = -1, .limit = 1 }, "2 " },
		{ { .dag = "sal", .state = -1 }, "" },
		{ { .state = RUN_SUCCESS }, "4 3 1 " },
		{ { .state = RUN_QUEUED, .limit = 1 }, "6 " },
		{ { .state = RUN_FAILED }, "" },
		{ { .dag = "sales", .state = RUN_SUCCESS }, "3 1 " },
		{ { .dag = "sales", .state = RUN_SUCCESS, .limit = 1 }, "3 " },
		{ { .state = -1, .latest_per_dag = true }, "6 4 2 " },
		{ { .state = -1, .limit = 2, .latest_per_dag = true }, "6 4 " },
		/* sales: the newest that ended; stock: none ended between; ads: only one to come */
		{ { .state = -1, .latest_per_dag = true, ENDED_BY(21) }, "6 4 3 " },
		{ { .state = -1, .latest_per_dag = true, ENDED_BY(2) }, "6 4 2 " },
		{ { .state = -1, .latest_per_dag = true, ENDED_BY(3) }, "6 5 2 " },
		{ { .dag = "sales", .state = -1, .latest_per_dag = true, ENDED_BY(20) }, "1 " },
		{ { .dag = "stock", .state = -1, .latest_per_dag = true }, "4 " },
		{ { .dag = "st", .state = -1, .latest_per_dag = true }, "" },
		{ { .state = RUN_SUCCESS, .latest_per_dag = true }, "4 " },
		{ { .state = -1, .wanted = true }, "6 2 " },
		{ { .state = -1, .wanted = true, .limit = 1 }, "6 " },
		{ { .dag = "sales", .state = -1, .wanted = true }, "2 " },
		{ { .state = RUN_SUCCESS, .wanted = true }, "" },
		{ { .state = RUN_QUEUED, .wanted = true, .latest_per_dag = true }, "6 2 " },
		{ { .state = -1, .backfill_id = 7 }, "6 4 1 " },
		{ { .state = -1, .backfill_id = 8 }, "" },
		{ { .dag = "sales", .state = -1, .backfill_id = 7 }, "1 " },
		{ { .state = RUN_QUEUED, .backfill_id = 7 }, "6 " },
		{ { .state = -1, .backfill_id = 7, .wanted = true }, "6 " },
		{ { .state = -1, .backfill_id = 7, .latest_per_dag = true }, "6 4 " },
		{ { .dag = "sales", .state = -1, RANGE(19, 20) }, "1 3 " },
		{ { .dag = "sales", .state = -1, RANGE(19, 20), .limit = 1 }, "1 " },
		{ { .dag = "sales", .state = -1, RANGE(19, 20), .newest_first = true }, "3 1 " },
		{ { .dag = "sales", .state = -1, RANGE(0, 20), .newest_first = true, .limit = 1 },
			"3 " },
		{ { .dag = "sales", .state = -1, RANGE(22, 30) }, "" },
		{ { .dag = "sales", .state = RUN_QUEUED, RANGE(19, 28) }, "2 " },
		{ { .state = -1, RANGE(0, 19) }, "5 4 1 " },
		{ { .state = -1, RANGE(0, 28), .backfill_id = 7 }, "4 1 6 " },
		{ { .state = -1, RANGE(0, 28), .latest_per_dag = true }, "4 2 6 " },
		{ { .state = -1, RANGE(0, 28), .wanted = true }, "2 6 " },
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
	int64_t first, second, before = clock_now_us();

	OK(f, store_reserve_tokens(f->s, 5, &first, &f->err));
	OK(f, store_reserve_tokens(f->s, 1, &second, &f->err));
	assert_true(first >= before); /* larger than those of a lost state */
	assert_true(second >= first + 5);
	/* The clock is behind: on from the last one. */
	OK(f, store_reserve_tokens(f->s, INT32_MAX, &first, &f->err));
	OK(f, store_reserve_tokens(f->s, 1, &second, &f->err));
	assert_int_equal(second, first + INT32_MAX);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(test_owner, MEMORY),
		BOTH(test_open_and_again),
		BOTH(test_owner_refused),
		BOTH(test_names),
		BOTH(test_life_of_a_task),
		BOTH(test_checks),
		BOTH(test_requests),
		BOTH(test_fencing),
		BOTH(test_bad_change_undoes_all),
		BOTH(test_run_lists),
		BOTH(test_find),
		BOTH(test_tokens),
		BOTH(test_all_names),
		BOTH(test_many_tasks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
