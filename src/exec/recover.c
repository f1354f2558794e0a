/* After a crash: what is left of a supervisor, or of what it had started. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "exec/cgroup.h"
#include "exec/exec.h"
#include "exec/journal.h"
#include "exec/proc.h"

/* A process is made within this time after its supervisor read the clock. Far shorter than the
 * numbers of processes take to come round. */
#define START_SLACK_US 1000000
#define REAP_ROUNDS 50
#define REAP_ROUND_MS 100

static int open_supervisor(const char *path, struct err *err)
{
	struct journal_head head;
	bool live;

	if (journal_read_head(path, &head, &live, err) < 0)
		return -1;
	int fd = live ? proc_pidfd(head.pid, head.start_ticks) : -1;
	if (fd < 0 && live && errno != ESRCH)
		return err_errno(err, "%s: its supervisor: pidfd_open", path);
	if (fd < 0)
		return err_set(err, ERR_NOT_FOUND, "%s: its supervisor is gone", path);
	return fd;
}

int exec_journal_wait_fd(const char *path, struct err *err)
{
	return open_supervisor(path, err);
}

int exec_journal_stop(const char *path, bool hard, struct err *err)
{
	int rc = 0, fd = open_supervisor(path, err);

	if (fd < 0)
		return -1;
	if (proc_signal(fd, hard ? SIGQUIT : SIGTERM) < 0)
		rc = errno == ESRCH
			     ? err_set(err, ERR_NOT_FOUND, "%s: its supervisor is gone", path)
			     : err_errno(err, "%s: cannot signal its supervisor", path);
	close(fd);
	return rc;
}

/* ---- strays ---- */

/* Tokens are numbered anew in every home. */
static bool is_at_home(const struct exec_journal_entry *e, int64_t pid)
{
	char *entry = NULL;

	if (!e->home)
		return true;
	bool same = asprintf(&entry, "WEIR_HOME=%s", e->home) >= 0 && proc_has_env(pid, entry);
	free(entry);
	return same;
}

/* Its session is that of the dead supervisor: whatever it did to its environment, it came of a
 * task. The kernel gives the number of a session to no process while there are members of it. */
static bool is_in_session(const struct exec_journal_entry *e, const struct proc_stat *st)
{
	struct proc_stat leader;

	return e->session > 1 && st->session == e->session && proc_stat(e->session, &leader) < 0;
}

/* Whether this member of the group proves that the group is the attempt's. */
static bool proves(const struct exec_journal_entry *e, int64_t pid, const struct proc_stat *st)
{
	int64_t first = e->start_boot_us / proc_tick_us();
	char entry[48];

	if (st->start_ticks < first)
		return false;
	if (pid == e->pid && st->start_ticks <= first + START_SLACK_US / proc_tick_us())
		return true;
	if (is_in_session(e, st))
		return true;
	snprintf(entry, sizeof entry, "WEIR_TOKEN=%" PRId64, e->token);
	return proc_has_env(pid, entry) && is_at_home(e, pid);
}

static bool group_is_ours(const struct exec_journal_entry *e, const int64_t *pids, int n)
{
	for (int i = 0; i < n; i++) {
		struct proc_stat st;
		if (proc_stat(pids[i], &st) == 0 && st.pgrp == e->pid && proves(e, pids[i], &st))
			return true;
	}
	return false;
}

/* Kill one member of the group, and wait a moment for its death. */
static void kill_member(int64_t pgrp, int64_t pid)
{
	struct proc_stat st;

	if (proc_stat(pid, &st) < 0 || st.pgrp != pgrp)
		return;
	int fd = proc_pidfd(pid, st.start_ticks);
	if (fd < 0 && errno == ENOSYS) { /* an old kernel: next best */
		kill((pid_t)pid, SIGKILL);
		poll(NULL, 0, 1);
	}
	if (fd < 0)
		return;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	if (proc_signal(fd, SIGKILL) == 0)
		poll(&p, 1, REAP_ROUND_MS);
	close(fd);
}

int exec_reap_stray(const struct exec_journal_entry *e, struct err *err)
{
	int64_t *pids = NULL;
	bool ours = false;
	int n = 0;

	if (e->pid <= 1)
		return 0;
	cgroup_sweep(NULL);
	pids = calloc(PROC_PIDS_MAX, sizeof *pids);
	if (!pids)
		return err_nomem(err);
	for (int round = 0; round < REAP_ROUNDS; round++) {
		n = proc_group(e->pid, pids, PROC_PIDS_MAX);
		ours = ours || group_is_ours(e, pids, n);
		if (n == 0 || !ours)
			break;
		for (int i = 0; i < n; i++)
			kill_member(e->pid, pids[i]);
	}
	int64_t left = n && ours ? pids[0] : 0;
	free(pids);
	if (left)
		return err_set(err, ERR_BUSY,
			"attempt %" PRId64 ": process %" PRId64 " of its group %" PRId64
			" does not die",
			e->token, left, e->pid);
	return 0;
}
