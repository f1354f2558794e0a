/* What the tests of the store share: a store of either backend, and changes to put into it. */
#ifndef WEIR_TESTS_STORE_FIXTURE_H
#define WEIR_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline struct run_open opening(const struct fixture *f, const char *dag, int day)
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

static inline void open_run(
	struct fixture *f, const struct run_open *o, int64_t *id, int64_t *epoch)
{
	bool created;

	OK(f, store_run_open(f->s, o, id, epoch, &created, &f->err));
}

static inline struct change task_change(
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

static inline struct change run_change(
	int64_t run, enum run_state from, enum run_state to, int64_t at_us)
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

static inline struct change start(int64_t run, const char *task, int try, int64_t token)
{
	struct change c = {
		.kind = CHANGE_START, .at_us = 5000001, .run_id = run, .task = task, .map_index = -1
	};

	c.attempt.try = try;
	c.attempt.token = token;
	return c;
}

static inline struct change ended(
	int64_t run, const char *task, int64_t token, enum outcome outcome)
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

static inline int commit(
	struct fixture *f, int64_t run, int64_t epoch, const struct change *c, size_t n)
{
	struct store_lease lease = { run, epoch };
	struct store_batch b = { .leases = &lease, .nleases = 1, .changes = c, .nchanges = n };

	return store_commit(f->s, &b, &f->err);
}

static inline void check_state(
	struct fixture *f, int64_t run, const char *task, enum task_state want)
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

static inline size_t count_events(struct fixture *f, int64_t run)
{
	struct store_result r;

	OK(f, store_events(f->s, run, NULL, &r, &f->err));
	size_t n = r.n;
	store_result_release(&r);
	return n;
}

static inline int64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static inline struct owner of_other_host(void)
{
	struct owner o = { .pid = 4711, .start_ticks = 9 };

	snprintf(o.host, sizeof o.host, "another-host.example");
	snprintf(o.boot_id, sizeof o.boot_id, "00000000-0000-0000-0000-000000000000");
	return o;
}

static inline void finish(struct fixture *f, int64_t id, int64_t epoch)
{
	struct change c[] = {
		run_change(id, RUN_QUEUED, RUN_RUNNING, 1),
		run_change(id, RUN_RUNNING, RUN_SUCCESS, 2),
	};

	OK(f, commit(f, id, epoch, c, 2));
}

/* ---- SQLite alone -------------------------------------------------------------------- */

static inline void reopen(struct fixture *f, unsigned flags)
{
	store_close(f->s);
	f->s = NULL;
	OK(f, store_open_sqlite(&f->s, f->path, flags, &f->err));
}

static inline void sql(struct fixture *f, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", text, sqlite3_errmsg(db));
	sqlite3_close(db);
}

static inline sqlite3 *handle(struct fixture *f)
{
	return ((struct sqlite_store *)f->s)->db;
}

static inline int pragma(struct fixture *f, const char *text)
{
	int v = -1;

	OK(f, sqlite_read_pragma(handle(f), f->path, text, &v, &f->err));
	return v;
}

/* ---- tables of tests ------------------------------------------------------------------ */

static int backends[] = { BACKEND_SQLITE, BACKEND_MEMORY };

#define ONE(test, backend)                                                                   \
	{                                                                                    \
#test " (" #backend ")", test, setup, teardown, &backends[BACKEND_##backend] \
	}
#define BOTH(test) ONE(test, SQLITE), ONE(test, MEMORY)

#endif
