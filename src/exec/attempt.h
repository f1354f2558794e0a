/* The attempts a supervisor has in hand, from start to end.
 *
 * An attempt ends when its process was reaped, its group is empty and its output drained. When the
 * process leaves others of its group behind, or (with secrets) someone who holds its output, they
 * are waited for up to the job's grace; then the group gets TERM, and after the grace again KILL.
 * The outcome is that of the process all the same.
 *
 * A timeout or a stop sends TERM to the group and KILL after the grace; whichever came first
 * decides the outcome, also when the process then leaves with status 0. What comes after the
 * process has left changes nothing.
 *
 * Each attempt has a holder, the connection that hears of its end and may stop it, and the epoch
 * under which it holds it. Each end is put into the journal, kept (exec/kept.h) and then told to
 * the holder; the caller writes the journal before it sends what is told.
 */
#ifndef WEIR_EXEC_ATTEMPT_H
#define WEIR_EXEC_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/heap.h"
#include "exec/exec.h"

struct attempt;
struct journal;
struct kept_set;
struct limits_system;

/* Holders are numbers of connections. What is started is held by the driver's. */
enum { HOLDER_NONE = -1, HOLDER_MAIN = 0 };

/* A log that is opened ahead of the start. All zero but fd -1: it is not yet. */
struct attempt_log {
	int fd;        /* -1: it could not be opened, see error */
	int error;     /* errno */
	char why[256]; /* more of it, or empty */
	bool created;  /* there was none before */
};
void attempt_log_open(struct attempt_log *log, const char *path);

struct attempts {
	struct attempt *by_token, *by_pid;
	struct attempt *lingering; /* their process is reaped, their group or output not done */
	struct attempt *ended;     /* freed by attempts_sweep: events may still name them */
	size_t n;                  /* in hand */
	struct heap timers;        /* by CLOCK_MONOTONIC, of tokens */
	int epoll_fd;              /* for the pipes: data.ptr is the attempt */
	pid_t sid;
	exec_operator_fn *run_operator;
	struct journal *journal;
	struct kept_set *kept;
	struct limits_system *limits; /* what the attempts that have limits are put under */
	void (*tell)(void *arg, int holder, const struct exec_end *end);
	void *arg;
	bool broken; /* an end could not be kept: the supervisor must not go on as if it were */
	void (*step)(void); /* a test's point of interruption: before each start */
};

/* The caller sets epoll_fd, run_operator, journal, kept, limits, tell, arg and step behind it. */
void attempts_init(struct attempts *a);
void attempts_release(struct attempts *a);

/* Whatever stands in the way of a start becomes the attempt's end. A token in hand already is
 * passed over. `log` is taken over, and its fd then -1; NULL: not opened yet. */
void attempts_start(struct attempts *a, const struct exec_job *job, struct attempt_log *log);
bool attempts_has(struct attempts *a, int64_t token);
/* An end without a start. */
void attempts_refuse(
	struct attempts *a, const struct exec_job *job, enum outcome outcome, const char *error);
/* EXEC_CLAIM_UNKNOWN: it is not in hand. */
enum exec_claim_answer attempts_claim(struct attempts *a, int64_t token, int64_t epoch, int holder);
void attempts_leave(struct attempts *a, int holder);         /* it hung up */
int attempts_record(struct attempts *a, struct journal *to); /* all; -1: out of memory */
/* A token not in hand (any more), or not of this holder, is passed over. */
void attempts_stop(struct attempts *a, int64_t token, unsigned how, int holder);
/* Not by anybody who knows of their runs: the ends are lost, to be done again. */
void attempts_stop_all(struct attempts *a, bool hard);

void attempts_reap(struct attempts *a);                       /* after a SIGCHLD */
void attempts_drain(struct attempts *a, struct attempt *one); /* its pipe has an event */
void attempts_expire(struct attempts *a);                     /* timers that are due */
int attempts_wait_ms(const struct attempts *a);               /* to the next timer; -1: none */
void attempts_sweep(struct attempts *a);                      /* free those that ended */

#endif
