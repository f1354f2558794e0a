/* Executors: where attempts run. This header is the interface; exec/local is the supervisor
 * on this machine (later: Slurm), and tests bring a simulated one (exec/executor.h).
 *
 * The local executor forks a small supervisor, which starts, reaps and times out tasks, each in a
 * process group of its own, and knows nothing of DAGs. Driver and supervisor talk over a unix
 * stream socket in length-prefixed, versioned frames.
 *
 * The supervisor keeps a journal, a small append-only file: a line when an attempt was started
 * (token, pid, start time) and one when it ended (token, outcome, status, times). When the driver
 * dies, tasks go on. Whoever carries their runs on finds the supervisor by its journal, connects to
 * its socket (exec_provider.open) and claims the attempts: their ends then come to the claimer. An
 * end is kept until it is acknowledged (exec_ack); the supervisor leaves when nothing is left of
 * which anyone could ask. It holds a lock on the journal while it lives. When the supervisor dies
 * its tasks die with it (PR_SET_PDEATHSIG), and the journal tells what became of them until then.
 */
#ifndef WEIR_EXEC_EXEC_H
#define WEIR_EXEC_EXEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/state.h"

struct err;
struct exec;

/* Runs a built-in operator in the supervisor's forked child: `payload` is the job's. Its stdout and
 * stderr are the attempt's log; its result is its exit status. Implemented by operators/. */
typedef int exec_operator_fn(const char *payload, size_t len);

struct exec_local_config {
	const char *journal_path; /* created, 0600; its folder exists */
	exec_operator_fn *run_operator;
};

/* Fork the supervisor. It keeps nothing of this process but stderr: descriptors are closed, signals
 * reset. The earlier, the less memory it shares. */
int exec_local_new(struct exec **ret, const struct exec_local_config *config, struct err *err);
/* Connect to the supervisor of another, or former, driver, to claim attempts of it: the executor
 * starts nothing, but claims, stops, reads and acknowledges. ERR_NOT_FOUND: that supervisor is
 * gone, its journal is final. ERR_REFUSED: it lives, but cannot be talked to (no socket, or a
 * protocol too old); ERR_TIMEOUT: it lives and does not answer. */
int exec_local_attach(struct exec **ret, const char *journal_path, struct err *err);
/* Of the own supervisor: tell it that no more work comes (it leaves when idle; with nothing in
 * flight: at once, and its journal file is removed when every end was acknowledged), reap it, and
 * free. Of another's: hang up. What is queued is sent, if it can be at once. */
void exec_free(struct exec *x);
/* Leave the supervisor as if this process had died: nothing that is queued is sent. What was not
 * acknowledged can be claimed, or read in its journal. */
void exec_abandon(struct exec *x);
/* Readable when exec_read has something; but see exec_claim. */
int exec_fd(const struct exec *x);

/* What an attempt may have at most; 0: no limit. Enforced as far as the system can, and the log
 * says how (exec/limits.h). */
struct exec_limits {
	int64_t memory_bytes;
	int64_t cpu_permille; /* of one processor: 500 is half of one, 2000 two */
	int64_t pids;         /* processes and threads */
	int64_t files;        /* open ones of a process */
};

struct exec_job {
	int64_t token;
	int64_t epoch; /* of the lease its run is held under: see exec_claim */
	/* A command: argv (NULL-ended) is started. A built-in operator: argv NULL, payload set. */
	const char *const *argv;
	const char *payload;
	size_t payload_len;
	const char *const *env; /* "NAME=value", NULL-ended: the whole environment */
	const char *cwd;        /* absolute */
	const char *log_path;   /* absolute; appended to; its folder is made when missing */
	/* NULL-ended values that are masked as *** in the log; NULL: none. With secrets the output
	 * goes through a pipe, without straight to the file. */
	const char *const *secrets;
	int64_t timeout_us; /* 0: none; from the start of the process */
	int64_t grace_us;   /* from TERM to KILL; and for output that outlives the process */
	struct exec_limits limits;
};

/* Hold and go: what a start needs is made ready while its decision is still being persisted.
 * Nothing of a held attempt runs, is timed or is journaled; only its log may be open, for which its
 * folder and an empty file are made. It is forgotten without an end, and that empty file removed,
 * when it is dropped or stopped, when exec_free lets the supervisor go and when this process dies.
 */

/* Queue a start that is held. Sent by exec_flush. Never blocks. A job too large for a frame
 * (16 MiB) is an error. */
int exec_prepare(struct exec *x, const struct exec_job *job, struct err *err);
/* Queue the release of a held start; from here on it is in flight and has an end. What stands in
 * its way, known since it was prepared or not, becomes that end. */
int exec_go(struct exec *x, int64_t token, struct err *err);
/* Queue that a held start is forgotten. */
int exec_drop(struct exec *x, int64_t token, struct err *err);
/* Both in one: queue a start. */
int exec_start(struct exec *x, const struct exec_job *job, struct err *err);
/* Queue a stop: TERM to the group, grace, KILL. */
enum exec_stop_how {
	EXEC_STOP_HARD = 1 << 0, /* KILL now */
	EXEC_STOP_LOST = 1 << 1, /* to be done again: its end is lost, not cancelled, for whoever
				    comes to hear of it */
};
int exec_stop(struct exec *x, int64_t token, unsigned how, struct err *err);
int exec_flush(
	struct exec *x, struct err *err); /* 0: all sent; 1: some is left (wait for writability) */

/* Queue: the ends of these attempts are recorded, and need not be kept any more. Those this
 * executor does not hold are passed over. */
int exec_ack(struct exec *x, const int64_t *tokens, size_t n, struct err *err);

struct exec_end {
	int64_t token;
	enum outcome outcome; /* success, failed, timeout, skipped (status 99), cancelled (stopped),
				 lost (could not be started for a reason of the system: fork, pipe
				 or log refused) */
	int exit_status;      /* -1: none */
	int signal;
	int64_t started_us, ended_us;
	int64_t max_rss_bytes, cpu_us; /* of the process, as getrusage saw it; 0: unknown */
	char error[256]; /* why it could not be started ("./x.sh: no such file"), else empty; a
			    command not found or not executable ends as failed with status 127 or
			    126 */
};

/* Read what there is, without blocking. Returns the number of ends written to ret (at most max), 0
 * for none now, -1 when the supervisor is gone (ERR_IO): its journal is final then. */
int exec_read(struct exec *x, struct exec_end *ret, size_t max, struct err *err);

/* ---- attempts change hands ------------------------------------------------------------ */

enum exec_claim_answer {
	EXEC_CLAIM_RUNNING, /* its end will come to this executor, until another claims it */
	EXEC_CLAIM_ENDED,   /* `end` is its end; to be acknowledged when recorded */
	EXEC_CLAIM_UNKNOWN, /* it was never started here, and never will be: a start that is still
			       on its way, or held, is refused */
	EXEC_CLAIM_FENCED,  /* somebody claimed it with a larger epoch */
	EXEC_CLAIM_MAX
};
struct exec_claim {
	int64_t token, epoch; /* of the lease the run is held under now */
	enum exec_claim_answer answer;
	struct exec_end end;
};
/* Become the one who hears of these attempts and who may stop them. From the answer on, a former
 * holder that wakes up late (SIGSTOP, a full lease ago) can neither start, stop nor hear of them:
 * an attempt goes to the largest epoch, that of its start included. Waits for the answers, at most
 * EXEC_CLAIM_WAIT_MS: ERR_TIMEOUT, and who has them is not known. ERR_IO: the supervisor is gone;
 * its journal is final.
 *
 * Ends that arrive while it waits are kept for exec_read, and exec_fd is not readable for them:
 * always call exec_read behind it, until it returns 0. An end may so come twice, here and there. */
#define EXEC_CLAIM_WAIT_MS 2000
int exec_claim(struct exec *x, struct exec_claim *claims, size_t n, struct err *err);

/* ---- after a crash -------------------------------------------------------------------- */

/* What a journal says of the attempts of a former supervisor. */
struct exec_journal_entry {
	int64_t token;
	bool started, ended;
	int64_t pid, start_boot_us; /* start: CLOCK_BOOTTIME just before it was started */
	int64_t session;            /* of its supervisor, whose pid it was; 0: not known */
	const char *home;           /* for exec_reap_stray, set by the caller: the WEIR_HOME the
				       attempt had. NULL: not compared */
	struct exec_end end;        /* when ended */
};
struct exec_journal {
	struct exec_journal_entry *entries; /* in the order of tokens' first mention */
	size_t n;
	bool live; /* its supervisor is alive: entries are not final */
};
/* Read a journal; a torn last line (crash while writing) is passed over. ERR_NOT_FOUND when there
 * is none. */
int exec_journal_read(const char *path, struct exec_journal *ret, struct err *err);
void exec_journal_release(struct exec_journal *j);
/* Ask the live supervisor behind a journal to stop all its tasks (TERM; hard: KILL). Its pid is in
 * the journal. For one that cannot be talked to otherwise. */
int exec_journal_stop(const char *path, bool hard, struct err *err);
/* A pollable descriptor that becomes readable when that supervisor has left (pidfd), or -1 when it
 * is gone already. */
int exec_journal_wait_fd(const char *path, struct err *err);
/* After a supervisor's death: make sure that nothing of the attempt's process group is left (the
 * group's members are recognised by WEIR_TOKEN and WEIR_HOME in their environment, or by pid and
 * start time; a recycled pid is never touched), nor of what it had in a cgroup (exec/cgroup.h). */
int exec_reap_stray(const struct exec_journal_entry *e, struct err *err);

#endif
