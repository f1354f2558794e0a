/* Control groups (cgroups(7), version 2): one per attempt that has limits.
 *
 * They are made below a base: the folder of the cgroup this process is in, or what WEIR_CGROUP
 * names. A supervisor has a folder of its own there (weir-PID), locked while it lives, and in it
 * one per attempt:
 *
 *     BASE/weir-4711/23
 *
 * The core of version 2 is enough to know and to kill all processes of an attempt, also those that
 * left its process group. Its controllers (memory, cpu, pids) are used where they are enabled below
 * the base, or can be: a cgroup that holds processes cannot enable any (the "no internal processes"
 * rule), and nothing that runs is moved about for it. This is why a process in a cgroup named
 * `weir` (systemd: Delegate=yes, DelegateSubgroup=weir) takes the one above for its base.
 *
 * The folder of a supervisor that died is recognised by its lock; the next supervisor with the same
 * base kills what is in it and removes it.
 */
#ifndef WEIR_EXEC_CGROUP_H
#define WEIR_EXEC_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct err;

enum cgroup_controller { CGROUP_MEMORY, CGROUP_CPU, CGROUP_PIDS, CGROUP_CONTROLLER_MAX };

/* The base of this process, owned. NULL: there is none, and err says why (ERR_NOT_FOUND: no cgroup
 * v2 here; ERR_REFUSED: it may not be written to). */
char *cgroup_base(struct err *err);
/* Of the texts of /proc/self/cgroup and /proc/self/mountinfo (proc_pid_mountinfo(5)); NULL as
 * above. */
char *cgroup_base_of(const char *own, const char *mountinfo, struct err *err);

/* Kill what is left of supervisors that are dead, and remove their folders. NULL: below the base of
 * this process, if there is one. */
void cgroup_sweep(const char *base);

struct cgroup_place {
	char *path; /* of the supervisor's folder; NULL: not open */
	int lock_fd;
	bool controls[CGROUP_CONTROLLER_MAX];
};

/* Make this process's folder below `base`, enable the controllers that can be, and see that a
 * process can enter it. On error nothing is left of it. */
int cgroup_place_open(struct cgroup_place *p, const char *base, struct err *err);
/* Remove it, and what is in it. One that is not open is fine. */
void cgroup_place_close(struct cgroup_place *p);

struct cgroup {
	char *path;   /* NULL: none */
	int procs_fd; /* to enter by; -1: closed */
};

/* `name` is new in this place. ERR_IO. */
int cgroup_new(struct cgroup *c, const struct cgroup_place *p, const char *name, struct err *err);
/* Write one of its files; -1: errno. */
int cgroup_write(const struct cgroup *c, const char *file, const char *text);
/* The calling process enters; -1: errno. Async-signal-safe: a vforked child may call it. */
int cgroup_enter(const struct cgroup *c);
void cgroup_close_entry(struct cgroup *c);
/* The number behind `key` in one of its files ("memory.events", "oom_kill"); 0: none. */
int64_t cgroup_count(const struct cgroup *c, const char *file, const char *key);
/* KILL for all that is in it or below. */
void cgroup_kill(const struct cgroup *c);
/* Kill, wait a moment until it is empty, remove, and free. What does not die in that moment is left
 * for cgroup_place_close, or the sweep of a later supervisor. */
void cgroup_remove(struct cgroup *c);
/* Free and close; the cgroup stays. */
void cgroup_release(struct cgroup *c);

#endif
