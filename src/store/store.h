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
#include "core/incident.h"

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
/* How long a call waits for a lock of another process before it fails with ERR_BUSY: 5 s unless
 * said. A loop that has signals to hear waits less, and tries again. */
void store_set_patience(struct store *s, int timeout_ms);
int store_schema_version(void); /* what this program writes */
/* Whether the state is still where it was opened. ERR_STORE: it was moved, removed or replaced;
 * what was written now would be lost with it, or found by nobody. Each writing call looks, too. */
int store_in_place(struct store *s, struct err *err);

/* Identity of a process that owns runs: dead owners are recognised by it. */
struct owner {
	char host[64];
	/* /proc/sys/kernel/random/boot_id, "/", and the number of the PID namespace: elsewhere
	 * `pid` is another's, or nobody's */
	char boot_id[80];
	int64_t pid;
	int64_t start_ticks; /* /proc/PID/stat field 22 */
};
int owner_self(struct owner *ret, struct err *err);
/* True when it surely no longer runs: same host, and another boot; or the same PID namespace, and
 * no such pid, or a pid with another start time. Of another namespace (a container) nothing is
 * sure: its lease decides. */
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
	const char *trigger; /* "manual", "schedule", "backfill"; of a wanted run the last one */
	const char *dag_path, *dag_dir, *version,
		*text; /* the DAG version this use of the run has */
	const char *const
		*tasks; /* names; those the run does not have yet are added in state none */
	size_t ntasks;
	struct owner owner; /* pid 0: nobody yet; the run waits for a daemon (`wanted`) */
	int64_t lease_until_us, now_us;
	const char *only; /* JSON array text of the tasks that are to be done; NULL: all. Of the
			     last one who opened it */
	bool wanted;      /* a daemon is to carry it on until it is final: also after a restart */
	bool only_new;    /* ERR_REFUSED when there is one already, whoever owns it */
	bool only_ended;  /* ERR_REFUSED when there is one that has not ended */
	/* ERR_REFUSED unless a daemon is to carry it on: for whoever read that a moment ago, since
	 * when another may have carried it to its end. */
	bool if_wanted;
	int64_t backfill_id; /* 0: none; else it belongs to that backfill from now on */
	bool anew; /* asked for by a person: a cancel that has not come to its end is forgotten */
};

/* Create the run, or take it up again. *ret_created tells which. ERR_REFUSED, naming the
 * owner, when it is owned by a live process or an unexpired lease of another host. */
int store_run_open(struct store *s, const struct run_open *open, int64_t *ret_run_id,
	int64_t *ret_epoch, bool *ret_created, struct err *err);
int store_run_renew(
	struct store *s, int64_t run_id, int64_t epoch, int64_t lease_until_us, struct err *err);
/* Renew all runs of that owner at once. */
int store_renew_owned(
	struct store *s, const struct owner *owner, int64_t lease_until_us, struct err *err);
/* Give the run up: it has no owner afterwards. */
int store_run_close(struct store *s, int64_t run_id, int64_t epoch, struct err *err);

/* ---- what a daemon decides ------------------------------------------------------------ */

/* A decision of the planner (core/planner.h), kept: `weir next` and `weir why` tell it, and the
 * newest one of a DAG is where planning goes on after a restart. */
struct plan_row {
	int64_t id, at_us; /* id: set by the store */
	const char *dag;
	const char *action, *why; /* "create", "skip"; planner_why_name() */
	int64_t start_us, end_us, run_after_us;
	int64_t count;
};
struct run_opened {
	int64_t run_id, epoch; /* run_id 0: refused, it is another's */
	bool created;
};
struct store_plan {
	const struct plan_row *rows;
	size_t nrows;
	/* How far the schedules of DAGs are decided (planner_state_add). */
	const struct plan_state {
		const char *dag, *text;
	} * states;
	size_t nstates;
	const struct run_open *opens;
	size_t nopens;
	/* Backfills that moved on, with the runs of this plan: where the next run is looked for. */
	const struct backfill_cursor {
		int64_t id, cursor_us;
		bool exhausted; /* no interval is left: it ends when its runs have ended */
	} * cursors;
	size_t ncursors;
	/* What the runs of this plan take of the updates of datasets: all up to `upto` that wait
	 * for the DAG (store_dataset_follow). A run that is refused takes none. */
	const struct dataset_take {
		size_t open; /* index in opens */
		int64_t upto;
	} * takes;
	size_t ntakes;
};
/* One transaction for all. `ret`: nopens results. A run that is another's is refused, the others
 * are not. */
int store_plan_commit(
	struct store *s, const struct store_plan *plan, struct run_opened *ret, struct err *err);

enum dataset_role { DATASET_PRODUCES, DATASET_SCHEDULES, DATASET_CONSUMES, DATASET_ROLE_MAX };
const char *dataset_role_name(enum dataset_role r); /* "produces", "schedules", "consumes" */
int dataset_role_by_name(const char *name);         /* -1: none */
struct dataset_link {
	const char *dag;            /* not read by store_dags_put */
	const char *dataset, *task; /* task "": the DAG's schedule */
	enum dataset_role role;
	int64_t fresh_within_us; /* an SLA of it, there; 0: none */
};

/* DAGs as a daemon knows them, and the switches people set. Rows live as long as the store. */
struct dag_put {
	const char *name, *path, *dir,
		*version;  /* version NULL: unchanged (the file is broken now) */
	const char *error; /* why its file cannot be loaded; NULL: it can */
	bool present;      /* false: its file is gone */
	/* What it has to do with datasets; read when `version` is there. */
	const struct dataset_link *links;
	size_t nlinks;
};
int store_dags_put(
	struct store *s, const struct dag_put *dags, size_t n, int64_t now_us, struct err *err);
enum dag_switch { DAG_PAUSED, DAG_DRAINING, DAG_SWITCH_MAX };
const char *dag_switch_name(enum dag_switch w); /* "paused", "draining" */
struct switch_put {
	const char *dag;       /* "*": all DAGs, those to come included */
	const char *task;      /* freezing a task; NULL: of the DAG */
	enum dag_switch which; /* for task NULL */
	bool on;
	const char *by, *reason; /* who and why: kept and shown */
	int64_t now_us;
};
/* Set or clear a switch. It need not be a DAG the store knows. */
int store_switch(struct store *s, const struct switch_put *put, struct err *err);

enum backfill_state {
	BACKFILL_RUNNING,
	BACKFILL_PAUSED,
	BACKFILL_CANCELLED,
	BACKFILL_DONE, /* all its runs are final; some may have failed */
	BACKFILL_STATE_MAX
};
const char *backfill_state_name(enum backfill_state b);
int backfill_state_by_name(const char *name);
struct backfill_new {
	const char *dag, *mode; /* "missing", "failed", "all" */
	int64_t from_us, to_us; /* intervals that start in it, both ends included */
	bool newest_first;
	int jobs;
	const char *params, *by, *reason; /* params: JSON object text */
	int64_t ntotal;                   /* planned runs */
	int64_t now_us;
};
/* Recorded as running; *ret_id is its number. */
int store_backfill_create(
	struct store *s, const struct backfill_new *b, int64_t *ret_id, struct err *err);
/* running <-> paused; either -> cancelled; running -> done. Else ERR_REFUSED, naming its state. */
int store_backfill_set(struct store *s, int64_t id, enum backfill_state to, const char *by,
	const char *reason, int64_t now_us, struct err *err);

/* Forget at most `max` final runs that ended before an instant, oldest first, with all that hangs
 * on them; versions no run refers to, and as many SLAs that were missed before it, too. The names
 * of the forgotten runs are the result (for their logs). */
struct store_result;
int store_prune(
	struct store *s, int64_t before_us, int max, struct store_result *ret, struct err *err);
/* Give at most `pages` free pages of the database back to the file system. */
int store_vacuum(struct store *s, int pages, struct err *err);

/* Tokens [*ret_first, *ret_first + n) belong to the caller alone, and are larger than all before,
 * and than the time in microseconds: also than those of a state that was lost. */
int store_reserve_tokens(struct store *s, int64_t n, int64_t *ret_first, struct err *err);

/* A check's result, from an attempt's result JSON, kept for queries. */
struct check_row {
	int64_t run_id, token;
	const char *task;
	const char *name, *severity,
		*status; /* "not_null(day)", "error", "pass" | "fail" | "warn" | "error" */
	const char *observed, *expected, *sample; /* text; sample: JSON array text */
	int map_index;                            /* of an instance; -1: not mapped */
};

/* Something to be done to the world because of a decision: an alert, a call. It is committed with
 * the decision, and a sender does it afterwards; see the outbox below. */
struct outbox_act {
	const char *key;  /* idempotency key: an act whose key is known is that act, not another */
	const char *kind; /* who knows how to do it: "alert" */
	const char *payload;   /* JSON text */
	int64_t at_us, due_us; /* due_us 0: at once */
};

/* What a person asked of a run (core/request.h), kept with who and why. */
struct audit_row {
	int64_t run_id, at_us;
	const char *who, *what, *run; /* "ann@host", "retry", the run's name */
	const char *detail;           /* which tasks, to what; NULL: the run */
	const char *reason;           /* NULL: none was given */
};

/* ---- SLAs (core/sla.h): what was missed --------------------------------------------------- */

/* Of each thing that was missed there is one, however often it is found. */
struct sla_key {
	const char *dag, *task; /* task "": of the DAG */
	const char *kind;       /* sla_kind_name() */
	int64_t start_us, end_us;
};
struct sla_miss {
	int64_t id; /* set by the store */
	struct sla_key key;
	int64_t deadline_us, found_us;
	int64_t ended_us;   /* 0: it is open still */
	const char *ended;  /* SLA_END_*; NULL: open */
	const char *detail; /* for people: "no run was made: the DAG is paused"; or NULL */
	const char *acts;   /* what is to be done: "cancel", "skip", "cancel,skip"; NULL: nothing */
	bool acted;         /* and that is done */
};
#define SLA_END_DONE "done"               /* it has succeeded at last */
#define SLA_END_PASSED_OVER "passed_over" /* it will never run */
struct sla_end {
	int64_t id, at_us;
	const char *why;
};
/* How far the SLAs of a DAG are judged (core/sla_clock.h). */
struct sla_mark_row {
	const char *dag;
	int64_t judged_us, digest;
};
struct store_slas {
	struct sla_miss *misses; /* those that are known stay as they are; `id` becomes theirs, 0 of
				    known ones */
	size_t nmisses;
	const struct sla_end *ends; /* those that have ended stay as they are */
	size_t nends;
	const int64_t *acted; /* ids */
	size_t nacted;
	const struct sla_mark_row *marks;
	size_t nmarks;
};

/* What a circuit breaker knows, by a person's word; what the scheduler says of it comes as
 * CHANGE_BREAKER of a batch. Who writes last is right: of several processes each reads it when it
 * takes a run in, and now and then (run/breakers.h). */
struct breaker_put {
	const char *name, *text;     /* text: breaker_add (core/breaker.h) */
	enum breaker_state from, to; /* kept as an event, but for REASON_NONE */
	/* REASON_NONE: only its counts changed; nothing is kept where another process has changed
	 * its state since. */
	enum reason why;
	int64_t since_us, at_us;
	const char *by, *reason; /* of a person; by NULL: what the scheduler says of `why` */
	int64_t run_id;          /* of the attempt that made it so; 0: none */
	const char *task;        /* likewise; NULL */
};

/* ---- datasets (core/dataset.h) ----------------------------------------------------------- */

/* A dataset was updated. The same piece of work is one update, however often it is put. */
struct dataset_put {
	const char *dataset;
	int64_t start_us, end_us, at_us;
	const char *dag, *task; /* who did it; NULL: a person */
	int map_index;
	int64_t run_id, work; /* work 0: it is known by its commit alone */
	const char *by, *reason;
};
/* By a person, who is kept with it. *ret_id: its number. */
int store_dataset_touch(
	struct store *s, const struct dataset_put *put, int64_t *ret_id, struct err *err);
/* A DAG waits for these datasets, and for no others, from now on: updates since then wait for it
 * until a run takes them (struct dataset_take). Of those it waits for already nothing changes.
 * Updates by a backfill wait for nobody. */
struct dataset_follow {
	const char *dag;
	const char *const *names;
	size_t n;
	int64_t now_us;
};
int store_dataset_follow(struct store *s, const struct dataset_follow *f, struct err *err);

struct store_lease {
	int64_t run_id, epoch;
};
struct store_batch {
	const struct store_lease *leases; /* of every run that changes: all must still be ours */
	size_t nleases;
	const struct change *changes; /* CHANGE_STOP and CHANGE_LOOK rows are passed over */
	size_t nchanges;
	const struct check_row *checks;
	size_t nchecks;
	const struct outbox_act *acts;
	size_t nacts;
	const struct audit_row *audits;
	size_t naudits;
	/* These runs, which the changes leave unfinished, are wanted from now on. */
	const int64_t *wants;
	size_t nwants;
	/* In order; what does not apply (incident_apply) is passed over. One that names an id by
	 * which there is none is ERR_NOT_FOUND, one that does not apply to it ERR_REFUSED. Whom it
	 * is told becomes acts of kind "alert", with the payload {"incident", "what", "n", "route",
	 * "dag", "task", "kind", "severity"} and the key "incident/ID/N/ROUTE". */
	const struct incident_put *incidents;
	size_t nincidents;
	const struct store_slas *slas; /* NULL: none */
	const struct breaker_put *breakers;
	size_t nbreakers;
	const struct dataset_put *datasets;
	size_t ndatasets;
};
/* All or nothing; durable on return. ERR_FENCED names the first run that passed on to another
 * owner. A run that becomes final has no owner afterwards, as after store_run_close. */
int store_commit(struct store *s, const struct store_batch *batch, struct err *err);
/* A batch of one breaker. */
int store_breaker_put(struct store *s, const struct breaker_put *b, struct err *err);

/* The end of an attempt that is no longer in flight: it was counted as lost, say, and then ended
 * all the same. It changes nothing, and is kept as an event of the run (REASON_LATE_RESULT), once.
 * *ret_recorded: false for what is no news: a token that is not known or still in flight, the
 * outcome that is recorded already, and `lost`, which is a guess and no result. */
struct late_end {
	int64_t token;
	enum outcome outcome;
	int exit_status, signal;  /* -1, 0: none */
	int64_t ended_us, now_us; /* as measured (0: unknown); of the event */
};
int store_late_end(struct store *s, const struct late_end *e, bool *ret_recorded, struct err *err);

/* What a person decided about a task that awaits input: kept with it until it waits anew, and as an
 * event of the run. ERR_NOT_FOUND for no such task, ERR_REFUSED for one that awaits nothing, or was
 * decided before. Whoever has the run in hand takes it up from there. */
struct approval_put {
	int64_t run_id;
	const char *task;
	int map_index;
	bool approved;
	const char *decision; /* JSON object text */
	int64_t now_us;
	const struct audit_row *audit; /* of the person; NULL: nobody decided, its time was over */
};
int store_decide(struct store *s, const struct approval_put *put, struct err *err);

/* ---- the outbox ------------------------------------------------------------------------
 *
 * Acts wait here until a sender has done them: it takes what is due, does it, and says how it went.
 * A sender that dies in between does it again, under the same key. Acts come in by store_commit;
 * those that are over are kept for a while, so that their keys stay known. */

enum outbox_state { OUTBOX_PENDING, OUTBOX_DONE, OUTBOX_GIVEN_UP, OUTBOX_STATE_MAX };
const char *outbox_state_name(enum outbox_state o); /* "given_up" */
int outbox_state_by_name(const char *name);         /* -1: none */

/* Each is for a pending act, and counts a try: ERR_REFUSED for one that is over (but done may be
 * said again), ERR_NOT_FOUND for none. */
int store_outbox_done(struct store *s, int64_t id, int64_t now_us, struct err *err);
int store_outbox_retry(
	struct store *s, int64_t id, int64_t due_us, const char *error, struct err *err);
int store_outbox_give_up(
	struct store *s, int64_t id, int64_t now_us, const char *error, struct err *err);
/* The same for many, in one transaction. */
struct outbox_end {
	enum outbox_state to; /* OUTBOX_PENDING: to be tried again */
	int64_t at_us;        /* when it was over, or is due again */
	const char *error;
};
int store_outbox_end(struct store *s, const int64_t *ids, size_t n, const struct outbox_end *end,
	struct err *err);
/* Forget at most `max` acts that were over before an instant, oldest first. *ret_n: how many. */
int store_outbox_prune(struct store *s, int64_t before_us, int max, int *ret_n, struct err *err);

/* ---- reading ------------------------------------------------------------------------- */

enum { RUN_STOPPED = 1, RUN_KILLED };
struct run_row {
	int64_t id;
	const char *name, *dag, *ds, *zone, *params, *trigger, *version, *dag_path, *dag_dir;
	int64_t interval_start_us, interval_end_us;
	enum run_state state;
	enum reason reason;
	int64_t created_us, started_us, ended_us; /* 0: not yet */
	struct owner owner;                       /* pid 0: none */
	int64_t lease_until_us, epoch;
	bool wanted;
	const char *only; /* as in run_open */
	int64_t backfill_id;
	/* RUN_STOPPED, RUN_KILLED: it is being cancelled, by TERM or KILL, until it is final; 0: it
	 * is not. Whoever takes it over cancels it, too. */
	int cancelling;
	/* Counts by state, for lists; a mapped task counts as a whole. */
	int ntasks, nsuccess, nfailed, nrunning;
};

struct task_row {
	int64_t run_id;
	const char *name;
	int map_index;
	enum task_state state;
	enum reason reason;
	int tries, failures, lost;
	int64_t changed_us, due_us, token; /* token of the last attempt, 0: none */
	int64_t work;        /* token of the first attempt of its present piece of work, 0: none */
	const char *hash;    /* definition of the last attempt, or NULL */
	const char *outputs; /* JSON object text or NULL */
	const char *waits_for; /* deferred, awaiting_input: what it waits for; else NULL */
	const char *item;      /* of an instance: JSON text; NULL for a task as a whole */
	const char *looked;    /* deferred, or no longer: what looks for it found last; else NULL */
	int64_t looked_us;     /* since when they find that; 0: nothing yet */
	const char *decision;  /* the store's own: see approval_row */
};

/* A task that awaits input, or did. */
struct approval_row {
	int64_t run_id;
	const char *run, *dag, *task;
	int map_index;
	enum task_state state;
	int64_t since_us, due_us; /* in that state; its deadline, 0: none */
	const char *waits_for;    /* what is asked */
	const char *decision;     /* JSON object text; NULL: nobody has decided */
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
	int64_t id, at_us, run_id; /* numbered within its run */
	const char *task;          /* NULL: of the run */
	int map_index;
	const char *from, *to, *reason;
	const char *detail; /* the breaker, of REASON_BREAKER_OPEN; or text; NULL: none */
};

struct dag_row {
	const char *name, *path, *dir, *version, *error; /* NULL where unknown */
	bool present, paused, draining;
	const char *paused_by, *paused_reason, *draining_by, *draining_reason;
	int64_t paused_us, draining_us;
	bool all_paused; /* by a switch on "*" (paused_* then tell of it) */
	const char *
		plan_state; /* how far its schedule is decided (planner_state_add); NULL: not yet */
	const struct plan_row *last; /* newest decision about an interval; NULL: none yet */
};

struct frozen_row {
	const char *dag, *task, *by, *reason;
	int64_t at_us;
};

struct backfill_row {
	int64_t id;
	const char *dag, *mode, *params, *by, *reason;
	int64_t from_us, to_us, created_us, ended_us, cursor_us;
	bool newest_first, exhausted;
	int jobs;
	enum backfill_state state;
	const char *state_by, *state_reason;        /* of the last change by a person; NULL: none */
	int64_t ntotal, nsuccess, nfailed, nactive; /* runs by state; cancelled count as failed */
};

struct outbox_row {
	int64_t id;
	const char *key, *kind, *payload, *error; /* error: of the last try; NULL: none */
	enum outbox_state state;
	int tries;
	int64_t created_us, due_us, ended_us; /* ended_us 0: pending */
};

/* An attempt, by its token, and what has come after it. */
struct token_row {
	int64_t token, run_id;
	const char *run, *task; /* the run's name */
	int map_index, try;
	enum outcome outcome; /* OUTCOME_NONE: it is in flight */
	int64_t ended_us;
	enum run_state run_state;
	int64_t newest, newest_queued_us; /* the last attempt of the task; may be this one */
	int newest_try;
};

/* How long a task took, when it succeeded. */
struct task_time_row {
	const char *task;
	int64_t took_us;
};

struct breaker_row {
	const char *name, *text;
	enum breaker_state state;
	int64_t since_us;
	enum reason why;
	const char *by, *reason; /* of the person who made it so; NULL: none did */
};

struct breaker_event_row {
	int64_t id, at_us;
	const char *name;
	enum breaker_state from, to;
	enum reason why;
	const char *by, *reason;
	const char *run, *task; /* whose attempt made it so; NULL: none, or forgotten */
};

/* An update of a dataset. Strings are NULL where there is none. */
struct dataset_update_row {
	int64_t id, at_us, start_us, end_us;
	const char *dataset, *dag, *task, *run; /* run: its name; NULL: forgotten, or of none */
	int map_index;
	int64_t run_id, work;
	bool wakes; /* not by a backfill */
	const char *by, *reason;
};

struct dataset_row {
	const char *name;
	int64_t since_us; /* it is known since */
	/* The last update that made it fresher: one of an interval that ends before that of an
	 * earlier one, or by a backfill, does not. 0: none. */
	int64_t fresh_us;
	int64_t end_us;                        /* until when its data reach; 0: not known */
	const struct dataset_update_row *last; /* NULL: none yet */
};

/* Since when a DAG waits for a dataset, and up to which update it was taken. */
struct dataset_cursor_row {
	const char *dag, *dataset;
	int64_t seen_id, since_us;
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
		const struct audit_row *audits;
		const struct plan_row *plans;
		const struct dag_row *dags;
		const struct frozen_row *frozen;
		const struct backfill_row *backfills;
		const struct outbox_row *outbox;
		const struct token_row *tokens;
		const struct incident *incidents;
		const struct sla_miss *misses;
		const struct sla_mark_row *marks;
		const struct task_time_row *times;
		const struct breaker_row *breakers;
		const struct breaker_event_row *breaker_events;
		const struct approval_row *approvals;
		const struct dataset_row *datasets;
		const struct dataset_update_row *updates;
		const struct dataset_link *links;
		const struct dataset_cursor_row *cursors;
	};
};
void store_result_release(struct store_result *r);

struct run_filter {
	const char *dag;     /* NULL: all */
	int state;           /* enum run_state, or -1: all */
	int limit;           /* newest first; 0: all */
	bool latest_per_dag; /* one row a DAG, its newest interval */
	/* For latest_per_dag: the newest of those that ended by then; only where there is none, the
	 * newest of all. 0: the newest of all. */
	int64_t ended_by_us;
	bool wanted; /* only runs that a daemon is to carry on, or to do once more */
	const struct owner
		*not_of;     /* only runs that run and are owned by somebody else; NULL: all */
	int64_t backfill_id; /* 0: all */
	bool in_range;       /* only intervals that start in [from_us, to_us], ascending by start */
	int64_t from_us, to_us;
	bool newest_first; /* of in_range: descending */
};
/* Rows in ret, which the caller releases. */
int store_runs(
	struct store *s, const struct run_filter *f, struct store_result *ret, struct err *err);
/* One run by its number, its name, "DAG" (its newest interval that has ended,
 * or else its newest) or "DAG@DATE". ERR_NOT_FOUND names near ones. */
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
/* Whether an attempt is known and has no outcome yet. */
int store_attempt_open(struct store *s, int64_t token, bool *ret, struct err *err);
int store_events(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err);
int store_checks(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err);
/* What people asked of the run, in its order; `run` is not filled in. */
int store_audits(struct store *s, int64_t run_id, struct store_result *ret, struct err *err);
/* The text of a DAG version; the caller frees it. */
int store_version_text(struct store *s, const char *version, char **ret_text, struct err *err);

/* All DAGs by name, or one. */
int store_dags(struct store *s, const char *name, struct store_result *ret, struct err *err);
int store_frozen(struct store *s, const char *dag, struct store_result *ret,
	struct err *err); /* NULL: all */
/* Decisions about a DAG, newest first. */
int store_plans(
	struct store *s, const char *dag, int limit, struct store_result *ret, struct err *err);
/* id 0: all, newest first. */
int store_backfills(struct store *s, int64_t id, struct store_result *ret, struct err *err);
/* Pending acts that are due, the longest due first; limit 0: all. */
int store_outbox_due(
	struct store *s, int64_t now_us, int limit, struct store_result *ret, struct err *err);
/* When the next one is due, or was; 0: nothing is pending. */
int store_outbox_next(struct store *s, int64_t *ret_due_us, struct err *err);
/* Acts of a state, or all (-1), newest first. */
int store_outbox_list(
	struct store *s, int state, int limit, struct store_result *ret, struct err *err);
/* Tasks that await a decision, the longest waiting first. */
int store_approvals(struct store *s, struct store_result *ret, struct err *err);
/* One task, whatever its state; n is 0 or 1. */
int store_approval(struct store *s, int64_t run_id, const char *task, struct store_result *ret,
	struct err *err);
struct incident_filter {
	int64_t id;      /* 0: any */
	bool all;        /* resolved ones, too */
	const char *dag; /* NULL: any */
	int64_t due_us;  /* only those that escalate, or whose snooze ends, by then; 0: any */
	int limit;       /* 0: no limit */
};
/* Newest first; those that are due, the longest due first. */
int store_incidents(struct store *s, const struct incident_filter *f, struct store_result *ret,
	struct err *err);
/* When the next one escalates or its snooze ends; 0: none does. */
int store_incidents_next(struct store *s, int64_t *ret_due_us, struct err *err);
/* Forget at most `max` that resolved before an instant, oldest first. *ret_n: how many. */
int store_incidents_prune(struct store *s, int64_t before_us, int max, int *ret_n, struct err *err);
/* The attempt of that token; n is 0 or 1. */
int store_token(struct store *s, int64_t token, struct store_result *ret, struct err *err);
/* Breakers by name, or one; those that nothing was ever said of are not there. */
int store_breakers(struct store *s, const char *name, struct store_result *ret, struct err *err);
/* How one changed, newest first; limit 0: all. */
int store_breaker_events(
	struct store *s, const char *name, int limit, struct store_result *ret, struct err *err);
/* How long the last `n` successful runs of a DAG took, their median, in microseconds; 0: no
 * history. */
int store_typical_us(struct store *s, const char *dag, int n, int64_t *ret_us, struct err *err);
/* How long the tasks of its last `nruns` successful runs took, by task, ascending. */
int store_task_times(
	struct store *s, const char *dag, int nruns, struct store_result *ret, struct err *err);

struct sla_filter {
	const char *dag; /* NULL: all */
	bool open;       /* only those that have not ended */
	int limit;       /* newest first; 0: all */
};
int store_sla_misses(
	struct store *s, const struct sla_filter *f, struct store_result *ret, struct err *err);
/* By DAG; NULL: of all. */
int store_sla_marks(struct store *s, const char *dag, struct store_result *ret, struct err *err);

/* Datasets by name, or one. */
int store_datasets(struct store *s, const char *name, struct store_result *ret, struct err *err);
enum update_query {
	UPDATES_OF,      /* of a dataset, or of all: newest first */
	UPDATES_AFTER,   /* behind the number `id`, ascending, as are the following */
	UPDATES_WAITING, /* for the DAG `dag`: no run has taken them */
	UPDATES_BY,      /* made by the run `id` */
	UPDATES_TAKEN,   /* taken by the run `id` */
	UPDATES_DURING,  /* of a dataset, whose interval touches [from_us, to_us] */
	UPDATE_QUERY_MAX
};
struct update_filter {
	enum update_query which;
	const char *dataset, *dag;
	int64_t id, from_us, to_us;
	int limit; /* 0: all */
};
int store_dataset_updates(
	struct store *s, const struct update_filter *f, struct store_result *ret, struct err *err);
/* By dataset, or of all. */
int store_dataset_links(
	struct store *s, const char *dataset, struct store_result *ret, struct err *err);
/* By DAG, or of all. */
int store_dataset_cursors(
	struct store *s, const char *dag, struct store_result *ret, struct err *err);

#endif
