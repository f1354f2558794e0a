/* Starting one task: a process in a group of its own.
 *
 * The child of either kind leads a new process group, is killed when its parent dies
 * (PR_SET_PDEATHSIG), has no signal blocked, /dev/null for stdin and `out_fd` for stdout and
 * stderr. The caller is a process of one thread which
 *   - has /dev/null for stdin, and O_CLOEXEC on all else;
 *   - has every signal blocked and none caught or ignored.
 * This is what spares each child the work of setting it right.
 */
#ifndef WEIR_EXEC_SPAWN_H
#define WEIR_EXEC_SPAWN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "exec/exec.h"

enum spawn_fault {
	SPAWN_OK,
	SPAWN_FORK,   /* the system refused a process */
	SPAWN_SYSTEM, /* it could not be set up */
	SPAWN_CWD,    /* its folder */
	SPAWN_EXEC,   /* its program */
	SPAWN_FAULT_MAX
};

struct limits;

struct spawn {
	pid_t pid;             /* when SPAWN_OK */
	int64_t started_us;    /* clock_now_us just before */
	int64_t start_boot_us; /* CLOCK_BOOTTIME just before */
	enum spawn_fault fault;
	int error; /* errno of the fault */
	bool told; /* it wrote its line into the journal (of a command; an operator's child is not
		      waited for) */
	bool torn; /* it wrote a part of it */
};

/* From here on each child says that it was started, in a line of the journal (exec/journal.h) that
 * it writes itself before its program begins: whatever it starts is then known by its group, also
 * when the supervisor dies at once. -1, as in the beginning: the children write nothing. */
void spawn_tell(int journal_fd);

/* From here on each child is put under these limits before its program begins; borrowed. NULL, as
 * in the beginning: none. A limit that cannot be entered is SPAWN_SYSTEM. */
void spawn_limit(const struct limits *limits);

/* Let this process have as many descriptors as the system permits; its children have the former
 * limit. */
void spawn_raise_limits(void);

/* vfork and exec. A program without a slash is looked for in the PATH of job->env (default
 * /usr/local/bin:/bin:/usr/bin), one with a slash from job->cwd; a text without "#!" is run by
 * /bin/sh, both as execvp(3) does. When it returns the program runs, or `fault` says what went
 * wrong and no child is left. */
void spawn_command(const struct exec_job *job, int out_fd, struct spawn *ret);
/* fork; the child calls `run` with job->payload in job->cwd, with job->env for its environment, and
 * leaves with its result. A folder that cannot be entered is told in the log, with status 126. */
void spawn_operator(
	const struct exec_job *job, int out_fd, exec_operator_fn *run, struct spawn *ret);

/* The end of an attempt that could not be started: outcome, status and error text. The system's
 * refusals (EAGAIN, ENOMEM, EMFILE, ENFILE) are `lost`; a missing program is failed, status 127;
 * one that cannot be executed, or a missing folder, failed, status 126. */
void spawn_explain(const struct spawn *s, const struct exec_job *job, struct exec_end *ret);
/* An errno that tells of the system's state and not of the job. */
bool spawn_is_system_error(int error);

#endif
