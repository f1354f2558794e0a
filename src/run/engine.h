/* The engine: carries out what the scheduler decides, for one run or for thousands.
 *
 * Event -> scheduler -> commit -> act -> sleep. All that changed in one step is one transaction;
 * nothing is started, stopped or told before it is committed. What is to start is described to the
 * executor before, which makes it ready and holds it: that takes place while the disk commits. It
 * holds no decision of its own. The foreground run (run/driver.h) and the daemon (run/daemon.h) are
 * two callers of it; the simulation (tests/sim) is a third, with a store, executors and a clock of
 * its own.
 *
 * Attempts outlive the engine that started them. When a run is carried on (engine_resume), what the
 * store knows as in flight is claimed from the supervisors that former engines left: it goes on, or
 * has ended, or is lost (run/former.h). A supervisor of its own that dies is replaced.
 */
#ifndef WEIR_RUN_ENGINE_H
#define WEIR_RUN_ENGINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/sched.h"
#include "exec/exec.h"
#include "run/control.h"
#include "run/control_dag.h"
#include "run/former.h"
#include "run/job.h"
#include "store/store.h"

struct alerts;
struct config;
struct event;
struct event_base;
struct zone;

struct engine_watched; /* run/engine_outside.c */
struct exec_provider;

/* An attempt that was committed but not given to the executor: it could not be, or it was a control
 * task, which needs none. */
struct unstarted {
	int64_t token;
	struct err why;         /* ERR_NONE: it succeeded */
	struct control_end end; /* then */
};

/* What a look has found, until the attempt tells it. */
struct look_found {
	int64_t run_id;
	int task;
	struct err why;  /* ERR_NONE: it is there */
	json_t *outputs; /* then */
};

/* An output file, of an attempt of a run. */
struct spent {
	int64_t run_id;
	char *path;
};

/* A task that waits for a dataset (run/engine_dataset.c). */
struct engine_wait {
	struct engine_wait_key {
		int64_t run_id, task;
	} key;
	char *dataset;
	UT_hash_handle hh;
};

/* A run the engine has in hand. Members are for reading. */
struct active_run {
	int64_t id, epoch;
	struct dag *dag; /* a reference */
	char *name, *ds;
	struct job_context job;
	struct job_prepared prepared;
	enum run_state state; /* as committed */
	int cancelling;       /* as it was when it was taken in hand */
	bool given_up;        /* it became final: the store has it without an owner */
	int64_t mark;         /* of the step that touched it last */
	void *data;           /* the caller's */
	UT_hash_handle hh;
};

/* Told after the commit; any may be NULL. */
struct engine_listener {
	void *arg;
	/* One change of a run. */
	void (*change)(void *arg, struct active_run *run, const struct change *c);
	/* A breaker changed, or what it counts (CHANGE_BREAKER). */
	void (*breaker)(void *arg, const struct change *c);
	/* Nothing of the run is open or in flight any more. It may be dropped from here
	 * (engine_drop). */
	void (*idle)(void *arg, struct active_run *run);
	/* The store cannot be written now, or can again (err NULL). Nothing starts meanwhile; the
	 * engine tries again by itself. */
	void (*store_trouble)(void *arg, const struct err *err);
	/* The engine cannot go on: the supervisor cannot be replaced, memory is exhausted, a bug.
	 */
	void (*broken)(void *arg, const struct err *err);
	/* A run has passed on to another owner: forget it. */
	void (*lost)(void *arg, struct active_run *run);
	/* The supervisor died, and another one has begun; its tasks are lost and tried again. */
	void (*replaced)(void *arg, const struct err *why);
};

struct engine_config {
	const char *home;                      /* WEIR_HOME; made by the caller */
	const struct exec_provider *executors; /* borrowed (exec/executor.h) */
	struct store *store;         /* borrowed; NULL: that of WEIR_HOME, opened and closed here */
	const struct owner *self;    /* copied; NULL: this process */
	const struct alerts *alerts; /* who is told of incidents; borrowed; NULL: nobody */
	struct child_maker maker; /* of the runs that `control: dag` wants; `make` NULL: nobody */
	bool no_loop;             /* the caller polls (below), there is no event loop */
	int max_running;          /* attempts in flight at most */
	int max_looks;            /* looks at once; 0: SCHED_LOOKS */
	struct engine_listener listener;
};

struct engine {
	struct engine_config config;
	struct event_base *base;
	struct store *store;
	struct exec *exec;
	struct formers formers; /* what former engines left: run/former.h */
	struct sched *sched;
	struct owner self;
	struct active_run *runs; /* by id */
	/* Of attempts that ended, to be committed with their ends. */
	struct check_row *checks;
	size_t nchecks, checks_cap;
	/* What people asked for, to be committed with the changes it brought. */
	struct audit_row *requests;
	size_t nrequests, requests_cap;
	int64_t nrecorded; /* how many were committed */
	struct arena scratch;
	/* Ends whose results could not be read yet, and why. */
	struct exec_end *late;
	size_t nlate, late_cap;
	struct err late_why;
	struct spent *spent; /* output files that were read: removed when that is committed */
	/* What the changes at hand mean to people. */
	struct incident_put *incidents;
	size_t nincidents, incidents_cap;
	struct arena incident_arena;
	size_t nspent;
	/* Datasets that are updated by the changes at hand, and the tasks that wait for some. */
	struct dataset_put *updates;
	size_t nupdates, updates_cap;
	struct engine_wait *waits;
	int64_t prepared; /* starts up to this token were given to the executor, to be held */
	struct unstarted *unstarted; /* in the order of tokens */
	size_t nunstarted;
	struct look_found *found;
	size_t nfound;
	int64_t *acks; /* of ends that were just committed */
	size_t nacks, acks_cap;
	struct store_lease *leases;
	size_t leases_cap;
	int64_t *doomed; /* runs that are to be cancelled with the tasks that made them */
	size_t ndoomed, doomed_cap;
	struct engine_watched *watched; /* DAGs whose runs tasks of others wait for */
	struct active_run **idle;       /* runs to be told idle when the step is done */
	size_t nidle, idle_cap;
	struct event *on_read, *on_write, *on_timer;
	int64_t renew_us, retry_us; /* monotonic; retry_us 0: the store is well */
	int64_t limit_us; /* the test's clock is not moved past it by retries; 0: no limit */
	int64_t step;
	bool no_exec;    /* it died, and another could not be begun yet */
	int deaths;      /* of own supervisors in a row */
	int64_t died_us; /* monotonic: the last one */
	bool halting;    /* attempts are stopped for the next owner to do again (engine_halt) */
	bool settling;   /* nothing is started */
	bool heard;      /* executors may have ends that no descriptor tells of */
	bool told;       /* a commit had incidents to tell of; the caller clears it */
	bool wanted;     /* a run was made that the caller is to take; time does not pass before */
	bool dirty;      /* ends were read that are not committed yet */
	bool failed;
	struct err err;
};

#define ENGINE_LEASE_US INT64_C(30000000)

/* Begin an executor, open the store, make the loop. Call it before the program has threads. */
int engine_init(struct engine *e, const struct engine_config *config, struct err *err);
/* Give all runs up and let the supervisor go; tasks in flight go on under it. */
void engine_release(struct engine *e);
/* As if this process had been killed: memory is freed, nothing is told to anyone. For the
 * simulation. */
void engine_crash(struct engine *e);

/* Without a loop (config.no_loop): what the loop would do. */
void engine_poll(struct engine *e);             /* read what executors have to say, and step */
int64_t engine_wake_us(const struct engine *e); /* when engine_tick is due; INT64_MAX: never */
void engine_tick(struct engine *e);             /* leases, the store tried again, timers; steps */

/* Open a run of the store once more, to carry on what is wanted of it; `text`: of its version.
 * ERR_REFUSED: it is another's, or wanted no more. */
int engine_open_wanted(struct engine *e, const struct run_row *row, const char *text,
	int64_t *ret_epoch, struct err *err);

struct engine_take {
	int64_t run_id, epoch;
	const char *name, *ds;
	enum run_state state;
	struct dag *dag;
	const struct config *config; /* borrowed as long as the run is in hand */
	const struct zone *zone;     /* likewise; NULL: the schedule's, or UTC */
	json_t *params;
	int64_t interval_start_us, interval_end_us;
	int cancelling; /* as the store has it: it goes on being cancelled */
	void *data;
};
/* Take a run in hand that the store has opened for us. Nothing starts yet. NULL with err. */
struct active_run *engine_take(struct engine *e, const struct engine_take *take, struct err *err);
struct active_run *engine_find(const struct engine *e, int64_t run_id);
/* Nothing of it is open, in flight, or decided and not committed. The listener is told when a step
 * has made a run idle, not when it is so from the start. */
bool engine_is_idle(const struct engine *e, const struct active_run *r);
/* Hand it to the scheduler. `init->run_id` and `dag` are filled in. */
int engine_start(struct engine *e, struct active_run *r, struct run_init *init, struct err *err);
/* Let go of it; it has no owner afterwards when `close`. */
void engine_drop(struct engine *e, struct active_run *r, bool close);

/* Start nothing more, and stop what is in flight: TERM, or with `hard` KILL. What was stopped
 * counts as lost, so that the run's next owner does it again. */
void engine_halt(struct engine *e, bool hard);

/* An attempt's end, as the executor saw it. Where its result is out of reach for now (no
 * descriptor, WEIR_HOME was moved away) it is kept, and taken by a later step. */
void engine_ended(struct engine *e, const struct exec_end *end);
/* Decide, commit, act, tell, until nothing is left to decide. Faults of the store are told and
 * tried again. */
void engine_step(struct engine *e);
/* The scheduler was asked for changes of a run in hand (core/request.h): commit them with the
 * request itself, and carry them out (run/engine_request.c). -1: they are not committed; ERR_BUSY:
 * they will be as soon as the store can be written. */
int engine_request(struct engine *e, const struct audit_row *request, struct err *err);
/* What a former process left in flight of a run in hand is claimed, or settled and committed.
 * Returns how many attempts go on, which the store says are running. ERR_TIMEOUT:
 * the supervisor of one lives but cannot be asked, or something of a dead one does not die: try
 * again later. ERR_FENCED: the run is another's. */
int engine_settle(struct engine *e, struct active_run *r, struct err *err);
/* The whole way, with the same result: settle, fill the rows in from the store (`tasks`:
 * dag->ntasks of them, in which the caller has set `selected` and `clear`), and hand it to the
 * scheduler. On error the run is still in hand, and nothing of it is in the scheduler. */
int engine_resume(struct engine *e, struct active_run *r, struct run_init *init,
	struct task_init *tasks, struct err *err);

/* A dataset was updated elsewhere: what waits for it is asked at once. */
void engine_dataset_updated(struct engine *e, const char *dataset);

/* event_free(), which does not take NULL. */
void engine_free_event(struct event *event);

#endif
