/* What /proc says of processes (proc(5)): the identity of a process is its pid and its start time.
 * Nothing of this is on the way of a task that runs; it is for finding out after a crash, and for
 * groups that outlive their leader. */
#ifndef WEIR_EXEC_PROC_H
#define WEIR_EXEC_PROC_H

#include <stdbool.h>
#include <stdint.h>

#define PROC_BOOT_ID 37 /* 36 characters and a NUL */
#define PROC_PIDS_MAX 4096

struct proc_stat {
	char state; /* R, S, D, Z, ... */
	int64_t pgrp, session;
	int64_t start_ticks; /* since boot, CLOCK_BOOTTIME in units of proc_tick_us */
};

int proc_stat(int64_t pid, struct proc_stat *ret); /* -1: no such process */
bool proc_is_dead(const struct proc_stat *st);     /* a zombie, or about to be one */
int64_t proc_tick_us(void);                /* the unit of start_ticks: sysconf(_SC_CLK_TCK) */
void proc_boot_id(char ret[PROC_BOOT_ID]); /* "-" where the system has none */
int64_t proc_boottime_us(void);            /* CLOCK_BOOTTIME */

/* The processes that have `pgrp` for a group and are not dead, at most max: their number. */
int proc_group(int64_t pgrp, int64_t *ret_pids, int max);
/* The environment a process was started with has NAME=value `entry`. False when it cannot be
 * read. */
bool proc_has_env(int64_t pid, const char *entry);

/* What ps shows as this process's command line, as far as the kernel lets it: prctl(2),
 * PR_SET_MM_MAP. The first title of a process is its longest; a fork's child may have one of its
 * own. Of the arguments and the environment nothing is overwritten. */
#define PROC_TITLE 128
void proc_set_title(const char *title);

/* A descriptor for the process `pid` that was started at start_ticks, or -1 when it is gone or
 * another has its number now (errno ESRCH), or the system refuses (another errno). */
int proc_pidfd(int64_t pid, int64_t start_ticks);
/* pidfd_send_signal(2). */
int proc_signal(int pidfd, int sig);

#endif
