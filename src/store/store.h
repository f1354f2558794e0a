/* The store: every decision of Weir, kept.
 *
 * One interface, several backends: SQLite (the default), memory (tests; the same rules).
 * Writing is one function, store_commit: a batch of the scheduler's changes in one
 * transaction, durable when it returns (SQLite: WAL, synchronous=FULL). Reading is by
 * small record types whose strings live in a `struct store_result` the caller releases.
 *
 * A run has one owner at a time. store_run_open makes the caller the owner, with an epoch
 * larger than any before; every commit names the epoch and fails with ERR_FENCED when the run
 * has passed on to another.
 */
#ifndef WEIR_STORE_STORE_H
#define WEIR_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/change.h"

struct err;
struct store;

enum store_open_flag {
	STORE_READ_ONLY = 1 << 0, /* fails with ERR_NOT_FOUND when there is none yet */
	STORE_CREATE = 1 << 1,
};

/* Open WEIR_HOME/weir.db (made when STORE_CREATE), migrating it to this version. A database of a
 * newer Weir is refused: ERR_STORE, with both versions and what to do. A damaged or foreign one
 * likewise. */
int store_open_sqlite(struct store **ret, const char *path, unsigned flags, struct err *err);
int store_open_memory(struct store **ret, struct err *err);
void store_close(struct store *s);
int store_schema_version(void); /* what this program writes */

/* Identity of a process that owns runs: dead owners are recognised by it. */
struct owner {
	char host[64];
	char boot_id[40]; /* /proc/sys/kernel/random/boot_id */
	int64_t pid;
	int64_t start_ticks; /* /proc/PID/stat field 22 */
};
int owner_self(struct owner *ret, struct err *err);
/* True when it surely no longer runs: same host, and another boot, no such pid, or a pid
 * with another start time. */
bool owner_is_dead(const struct owner *o);

/* ---- a run is opened, renewed, closed ------------------------------------------------ */

struct run_key {
	const char *dag;
	int64_t interval_start_us, interval_end_us;
};

struct run_open {
	struct run_key key;
	const char *name;      /* wanted name, "nightly_sales@2026-11-19"; made unique when taken */
	const char *long_name; /* used when `name` belongs to another interval */
	const char *ds;
	const char *zone;    /* name of the schedule's zone */
	const char *params;  /* JSON object text */
	const char *trigger; /* "manual", later "schedule", "backfill" */
	const char *dag_path, *dag_dir, *version,
		*text; /* the DAG version this use of the run has */
	const char *const
		*tasks; /* names; those the run does not have yet are added in state none */
	size_t ntasks;
	struct owner owner;
	int64_t lease_until_us, now_us;
};

/* Create the run, or take it up again. *ret_created tells which. ERR_REFUSED, naming the
 * owner, when it is owned by a live process or an unexpired lease of another host. */
int store_run_open(struct store *s, const struct run_open *open, int64_t *ret_run_id,
	int64_t *ret_epoch, bool *ret_created, struct err *err);
int store_run_renew(
	struct store *s, int64_t run_id, int64_t epoch, int64_t lease_until_us, struct err *err);
/* Give the run up: it has no owner afterwards. */
int store_run_close(struct store *s, int64_t run_id, int64_t epoch, struct err *err);

/* Tokens [*ret_first, *ret_first + n) belong to the caller alone, and are larger than all before.
 */
int store_reserve_tokens(struct store *s, int64_t n, int64_t *ret_first, struct err *err);

/* A check's result, from an attempt's result JSON, kept for queries. */
struct check_row {
	int64_t run_id, token;
	const char *task;
	const char *name, *severity,
		*status; /* "not_null(day)", "error", "pass" | "fail" | "warn" | "error" */
	const char *observed, *expected, *sample; /* text; sample: JSON array text */
};

struct store_batch {
	int64_t run_id, epoch;        /* the lease that is checked; 0: no run is checked */
	const struct change *changes; /* CHANGE_STOP rows are passed over */
	size_t nchanges;
	const struct check_row *checks;
	size_t nchecks;
};
/* All or nothing; durable on return. */
int store_commit(struct store *s, const struct store_batch *batch, struct err *err);

/* ---- reading ------------------------------------------------------------------------- */

struct run_row {
	int64_t id;
	const char *name, *dag, *ds, *zone, *params, *trigger, *version, *dag_path, *dag_dir;
	int64_t interval_start_us, interval_end_us;
	enum run_state state;
	enum reason reason;
	int64_t created_us, started_us, ended_us; /* 0: not yet */
	struct owner owner;                       /* pid 0: none */
	int64_t lease_until_us, epoch;
	int ntasks, nsuccess, nfailed, nrunning; /* counts by state, for lists */
};

struct task_row {
	int64_t run_id;
	const char *name;
	int map_index;
	enum task_state state;
	enum reason reason;
	int tries, failures, lost;
	int64_t changed_us, due_us, token; /* token of the last attempt, 0: none */
	const char *hash;                  /* definition of the last attempt, or NULL */
	const char *outputs;               /* JSON object text or NULL */
};

struct attempt_row {
	int64_t token, run_id;
	const char *task;
	int map_index, try;
	enum outcome outcome;
	int exit_status, signal;
	int64_t queued_us, started_us, ended_us; /* committed as started; as measured */
	const char *error, *result;
};

struct event_row {
	int64_t id, at_us, run_id;
	const char *task; /* NULL: of the run */
	int map_index;
	const char *from, *to, *reason, *detail;
};

/* Rows of a query: an array and the arena its strings live in. */
struct store_result {
	struct arena arena;
	size_t n;
	union {
		const struct run_row *runs;
		const struct task_row *tasks;
		const struct attempt_row *attempts;
		const struct event_row *events;
		const struct check_row *checks;
	};
};
void store_result_release(struct store_result *r);

struct run_filter {
	const char *dag;     /* NULL: all */
	int state;           /* enum run_state, or -1: all */
	int limit;           /* newest first; 0: all */
	bool latest_per_dag; /* one row a DAG, its newest interval */
};
int store_runs(
	struct store *s, const struct run_filter *f, struct store_result *ret, struct err *err);
/* One run by its number, its name, "DAG" (latest) or "DAG@DATE". ERR_NOT_FOUND names near ones. */
int store_run_find(struct store *s, const char *ref, struct store_result *ret, struct err *err);
int store_run_by_key(struct store *s, const struct run_key *key, struct store_result *ret,
	struct err *err); /* n is 0 or 1 */
int store_tasks(struct store *s, int64_t run_id, struct store_result *ret, struct err *err);
/* task NULL: of all tasks. In the order of tokens. */
int store_attempts(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err);
/* Attempts of the run without an outcome. */
int store_attempts_in_flight(
	struct store *s, int64_t run_id, struct store_result *ret, struct err *err);
int store_events(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err);
int store_checks(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err);
/* The text of a DAG version; the caller frees it. */
int store_version_text(struct store *s, const char *version, char **ret_text, struct err *err);

#endif
