/* What the files of the driver share; nobody else includes it. */
#ifndef WEIR_RUN_DRIVER_IMPL_H
#define WEIR_RUN_DRIVER_IMPL_H

#include <event2/event.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"
#include "core/sched.h"
#include "exec/exec.h"
#include "run/driver.h"
#include "run/job.h"
#include "run/observer.h"
#include "store/store.h"

/* An attempt that was committed but could not be given to the executor. */
struct unstarted {
	int64_t token;
	struct err why;
};

struct driver {
	const struct run_request *req;
	struct store *store;
	struct exec *exec;
	struct sched *sched;
	int64_t run_id, epoch;
	char *run; /* its name */
	char *journal_path;
	struct job_prepared prepared;
	struct job_context job; /* what tasks see of the run */
	struct task_init *init; /* by task index */
	struct run_progress progress;
	/* Checks of attempts that ended, to be committed with their ends. */
	struct check_row *checks;
	size_t nchecks, checks_cap;
	struct arena scratch; /* what they refer to */
	char **spent; /* output files that were read: removed when their content is committed */
	size_t nspent;
	struct unstarted *unstarted;
	size_t nunstarted;
	/* The loop. */
	struct event_base *base;
	struct event *on_read, *on_write, *on_int, *on_term, *on_timer;
	int64_t renew_us, tick_us; /* monotonic: when the lease is renewed, when a tick is told */
	int64_t retry_us;          /* monotonic: a commit failed and is tried again then; 0: none */
	int nsignals;              /* INT and TERM so far */
	bool settling;             /* nothing is started yet */
	bool failed;               /* the loop ended with err */
	struct err err;
};

/* run/plan.c: which tasks, and how they stand. `rows` of the store by name; may be empty. */
int plan_select(const struct run_request *req, const struct store_result *rows,
	struct task_init *ret, struct task_progress *ret_progress, struct err *err);

/* run/name.c */
char *run_name(const struct run_request *req, bool long_form);

/* run/driver_open.c */
int driver_open(struct driver *d, struct err *err);
/* Settle the attempts that a former invocation left in flight, and commit what became of them. */
int driver_settle(struct driver *d, struct err *err);

/* run/driver_tell.c */
void driver_tell(struct driver *d, enum run_event_kind kind, int task, const char *text);
void driver_tell_change(struct driver *d, const struct change *c);
int driver_progress_init(struct driver *d, const struct store_result *rows, struct err *err);
void driver_progress_release(struct driver *d);

/* run/driver_step.c: decide, commit, act. */
int driver_step(struct driver *d, struct err *err);
/* Commit what the scheduler said so far; start nothing. */
int driver_commit_only(struct driver *d, struct err *err);
/* Feed an attempt's end, as the executor saw it, to the scheduler. */
void driver_ended(struct driver *d, const struct exec_end *end);
int64_t driver_now_us(void);

/* run/driver_loop.c */
int driver_loop_init(struct driver *d, struct err *err);
void driver_loop_release(struct driver *d);
int driver_loop(struct driver *d, struct err *err);
/* Wait until `fd` is readable; signals stop what is behind `journal_path`. */
int driver_loop_wait(struct driver *d, int fd, const char *journal_path, struct err *err);

#endif
