/* Limits of an attempt: how much memory, processor time, processes and open files it may have, and
 * by what means.
 *
 *     memory   memory.max of the attempt's cgroup; else RLIMIT_DATA of each process
 *     cpu      cpu.max of the cgroup; else nothing
 *     pids     pids.max of the cgroup; else RLIMIT_NPROC, which counts all of the user's and does
 *              not bind root
 *     files    RLIMIT_NOFILE of each process
 *
 * An attempt without limits costs nothing of this. One with limits gets a cgroup (exec/cgroup.h)
 * where there can be one, also when none of its controllers is there: it knows every process of the
 * attempt. The first line of the attempt's log says which means was used for each limit and
 * which limit cannot be enforced.
 */
#ifndef WEIR_EXEC_LIMITS_H
#define WEIR_EXEC_LIMITS_H

#include <stdbool.h>
#include <sys/resource.h>

#include "base/err.h"
#include "exec/cgroup.h"
#include "exec/exec.h"

struct buf;

#define LIMITS_LINE "weir: limits: " /* how the first line of the log begins */

enum limit { LIMIT_MEMORY, LIMIT_CPU, LIMIT_PIDS, LIMIT_FILES, LIMIT_MAX };

/* What this system offers to the attempts of one supervisor. */
struct limits_system {
	char *base; /* where cgroups may be; NULL: nowhere, see why_not */
	bool tried; /* to open `place`: with the first attempt that has limits */
	struct cgroup_place place;
	struct err why_not;
};

/* Look for it, and end what dead supervisors left there. Cannot fail: without a cgroup there are
 * the limits of processes. */
void limits_system_init(struct limits_system *sys);
/* The same with that base; NULL: none. For tests. */
void limits_system_init_at(struct limits_system *sys, const char *base);
void limits_system_release(struct limits_system *sys);

/* What one attempt is put under. */
struct limits {
	struct exec_limits want;
	struct cgroup cgroup;
	bool by_cgroup[LIMIT_MAX];
	bool by_rlimit[LIMIT_MAX];
	struct rlimit rlimits[LIMIT_MAX];
};

/* Choose the means, make the cgroup and set its limits. Cannot fail: what is not possible is not
 * enforced, and said. */
void limits_begin(struct limits *l, struct limits_system *sys, const struct exec_job *job);
/* LIMITS_LINE with a newline; nothing for an attempt without limits. */
void limits_describe(const struct limits *l, const struct limits_system *sys, struct buf *out);
/* Both, and the line is written to out_fd. */
void limits_begin_told(
	struct limits *l, struct limits_system *sys, const struct exec_job *job, int out_fd);
/* In the child, before its program begins; -1: errno. Async-signal-safe. NULL: no limits. */
int limits_enter(const struct limits *l);
/* The child is in, or there is none. */
void limits_entered(struct limits *l);

/* KILL for all processes of the attempt that its cgroup knows; without one: nothing. */
void limits_kill(struct limits *l);
/* The attempt is over: kill what is left in its cgroup, and remove that. When it failed because the
 * kernel had to kill for memory, `end` gets that for its error; NULL: no matter. */
void limits_end(struct limits *l, struct exec_end *end);
/* Free; the cgroup stays. */
void limits_release(struct limits *l);

#endif
