#include "exec/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "exec/journal.h"
#include "exec/kept.h"
#include "exec/limits.h"
#include "exec/mask.h"
#include "exec/proc.h"
#include "exec/spawn.h"

#define STATUS_SKIPPED 99
#define NEVER INT64_MAX
#define KILL_WAIT_US 1000000 /* a killed group that is not gone after this is given up */
#define READ_SIZE 65536
#define READS_PER_EVENT 4
#define GROUP_LOOK 64

enum phase { PHASE_RUN, PHASE_TERM, PHASE_KILL };

struct attempt {
	int64_t token, epoch;
	int holder;
	pid_t pid; /* and its group; the pid is ours until it is reaped */
	int64_t start_boot_us;
	enum phase phase;
	bool reaped, done;
	enum outcome cause; /* why it was stopped; OUTCOME_NONE: it was not */
	int64_t deadline_us, grace_us;
	int pipe_fd, log_fd; /* with secrets, else -1 */
	struct mask *mask;
	struct limits limits;
	struct exec_end end;
	UT_hash_handle by_token, by_pid;
	struct attempt *prev, *next; /* in lingering or ended */
};

void attempts_init(struct attempts *a)
{
	*a = (struct attempts){ .epoll_fd = -1, .sid = getsid(0) };
	heap_init(&a->timers);
}

static void close_output(struct attempts *a, struct attempt *t)
{
	if (t->pipe_fd >= 0) {
		/* Closing alone would not do: an operator's child may still hold a copy. */
		epoll_ctl(a->epoll_fd, EPOLL_CTL_DEL, t->pipe_fd, NULL);
		close(t->pipe_fd);
	}
	if (t->log_fd >= 0)
		close(t->log_fd);
	t->pipe_fd = t->log_fd = -1;
	mask_free(t->mask);
	t->mask = NULL;
}

static void attempt_free(struct attempts *a, struct attempt *t)
{
	close_output(a, t);
	limits_release(&t->limits);
	free(t);
}

void attempts_sweep(struct attempts *a)
{
	struct attempt *t, *next;

	DL_FOREACH_SAFE(a->ended, t, next)
	attempt_free(a, t);
	a->ended = NULL;
}

void attempts_release(struct attempts *a)
{
	struct attempt *t, *next;

	attempts_sweep(a);
	HASH_CLEAR(by_pid, a->by_pid);
	HASH_ITER (by_token, a->by_token, t, next) {
		HASH_DELETE(by_token, a->by_token, t);
		attempt_free(a, t);
	}
	heap_release(&a->timers);
}

static int64_t mono_us(void)
{
	struct timespec ts;

	/* Not clock_mono_us: real processes live in real time, also under a test's clock. */
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- timers ---- */

/* Most timers never fire; those of attempts that ended are dropped when they are the most. */
static void compact_timers(struct attempts *a)
{
	struct attempt *t, *next;

	if (a->timers.n < 1024 || a->timers.n / 4 < a->n)
		return;
	a->timers.n = 0; /* keeps its memory, which is enough for all that are pushed here */
	HASH_ITER (by_token, a->by_token, t, next)
		if (t->deadline_us != NEVER)
			heap_push(&a->timers, t->deadline_us, (uint64_t)t->token);
}

static int set_deadline(struct attempts *a, struct attempt *t, int64_t after_us)
{
	int64_t now = mono_us();

	t->deadline_us = after_us < NEVER - now ? now + (after_us > 0 ? after_us : 0) : NEVER - 1;
	compact_timers(a);
	return heap_push(&a->timers, t->deadline_us, (uint64_t)t->token);
}

int attempts_wait_ms(const struct attempts *a)
{
	const struct heap_entry *e = heap_peek(&a->timers);

	if (!e)
		return -1;
	int64_t left = e->key - mono_us();
	if (left <= 0)
		return 0;
	return left > (int64_t)INT_MAX * 1000 - 999 ? INT_MAX : (int)((left + 999) / 1000);
}

/* ---- ends ---- */

static void report(struct attempts *a, const struct exec_end *end, const struct kept_note *note)
{
	if (journal_add_end(a->journal, end) < 0 || kept_add(a->kept, end, note) < 0)
		a->broken = true;
	else if (note->holder != HOLDER_NONE)
		a->tell(a->arg, note->holder, end);
}

static void report_end(struct attempts *a, const struct attempt *t)
{
	const struct kept_note note = { .epoch = t->epoch,
		.holder = t->holder,
		.pid = t->pid,
		.start_boot_us = t->start_boot_us };

	report(a, &t->end, &note);
}

void attempts_refuse(
	struct attempts *a, const struct exec_job *job, enum outcome outcome, const char *error)
{
	const struct kept_note note = { .epoch = job->epoch, .holder = HOLDER_MAIN };
	struct exec_end end = { .token = job->token, .outcome = outcome, .exit_status = -1 };

	end.started_us = end.ended_us = clock_now_us();
	snprintf(end.error, sizeof end.error, "%s", error);
	report(a, &end, &note);
}

static void forget(struct attempts *a, struct attempt *t)
{
	if (t->by_token.tbl) {
		HASH_DELETE(by_token, a->by_token, t);
		a->n--;
	}
	if (t->by_pid.tbl)
		HASH_DELETE(by_pid, a->by_pid, t);
	t->by_token.tbl = t->by_pid.tbl = NULL;
	close_output(a, t);
	t->done = true;
	DL_APPEND(a->ended, t);
}

static void flush_mask(struct attempt *t);

static void finish(struct attempts *a, struct attempt *t)
{
	flush_mask(t);
	DL_DELETE(a->lingering, t);
	limits_end(&t->limits, &t->end);
	report_end(a, t);
	forget(a, t);
}

/* ---- output of jobs with secrets ---- */

static void write_log(struct attempt *t, const char *data, size_t len)
{
	struct err err;

	if (io_write_all(t->log_fd, data, len, &err) < 0 && !t->end.error[0])
		snprintf(
			t->end.error, sizeof t->end.error, "its log is not whole: %.200s", err.msg);
}

static void pass_on(struct attempt *t, const char *data, size_t len)
{
	struct buf out;

	buf_init(&out, 8 * READ_SIZE);
	int rc = data ? mask_feed(t->mask, data, len, &out) : mask_end(t->mask, &out);
	write_log(t, out.data, out.len);
	if (rc < 0 && !t->end.error[0])
		snprintf(t->end.error, sizeof t->end.error, "its log is not whole: out of memory");
	if (out.cap)
		explicit_bzero(out.data, out.len);
	buf_release(&out);
}

static void flush_mask(struct attempt *t)
{
	if (t->mask)
		pass_on(t, NULL, 0);
}

/* 1: there may be more, 0: nothing now, -1: the end. */
static int read_pipe(struct attempt *t)
{
	static char chunk[READ_SIZE];
	ssize_t n = read(t->pipe_fd, chunk, sizeof chunk);

	if (n > 0) {
		pass_on(t, chunk, (size_t)n);
		return (size_t)n == sizeof chunk;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	return -1;
}

static void close_pipe(struct attempts *a, struct attempt *t)
{
	flush_mask(t);
	close_output(a, t);
}

static bool group_exists(const struct attempt *t)
{
	return kill(-t->pid, 0) == 0 || errno != ESRCH;
}

static void settle(struct attempts *a, struct attempt *t)
{
	if (t->reaped && t->pipe_fd < 0 && !group_exists(t))
		finish(a, t);
}

void attempts_drain(struct attempts *a, struct attempt *t)
{
	int more = 1;

	if (t->done || t->pipe_fd < 0)
		return;
	for (int i = 0; i < READS_PER_EVENT && more > 0; i++)
		more = read_pipe(t);
	if (more < 0) {
		close_pipe(a, t);
		settle(a, t);
	}
}

/* What is in the pipe now, and no more: someone else holds its other end. At most what a pipe can
 * hold, so that one who writes on and on is not waited for. */
static void drain_rest(struct attempts *a, struct attempt *t)
{
	for (int i = 0; t->pipe_fd >= 0 && i < 16; i++)
		if (read_pipe(t) <= 0)
			break;
	close_pipe(a, t);
}

/* ---- signals ---- */

/* While the process is not reaped its number is its own. Later only members of the group keep it;
 * all have our session, and a group that took the number after them has not, or is a task's. */
static bool group_is_ours(struct attempts *a, const struct attempt *t)
{
	struct attempt *other;
	int64_t pids[GROUP_LOOK];
	struct proc_stat st;

	if (!t->reaped)
		return true;
	HASH_FIND(by_pid, a->by_pid, &t->pid, sizeof t->pid, other);
	if (other)
		return false;
	int n = proc_group(t->pid, pids, GROUP_LOOK);
	for (int i = 0; i < n; i++)
		if (proc_stat(pids[i], &st) == 0 && st.pgrp == t->pid)
			return st.session == a->sid;
	return false;
}

static void signal_group(struct attempts *a, struct attempt *t, int sig)
{
	if (!group_is_ours(a, t))
		return;
	kill(-t->pid, sig);
	if (sig == SIGTERM)
		kill(-t->pid, SIGCONT); /* one that is stopped hears it, too */
}

static void enter_kill(struct attempts *a, struct attempt *t)
{
	t->phase = PHASE_KILL;
	signal_group(a, t, SIGKILL);
	limits_kill(&t->limits);
	t->deadline_us = NEVER;
	if (t->reaped)
		set_deadline(a, t, KILL_WAIT_US);
}

static void enter_term(struct attempts *a, struct attempt *t)
{
	if (t->grace_us <= 0) {
		enter_kill(a, t);
		return;
	}
	t->phase = PHASE_TERM;
	signal_group(a, t, SIGTERM);
	if (set_deadline(a, t, t->grace_us) < 0)
		enter_kill(a, t);
}

static void stop(struct attempts *a, struct attempt *t, enum outcome cause, bool hard)
{
	if (!t->reaped && t->cause == OUTCOME_NONE)
		t->cause = cause;
	if (t->phase == PHASE_KILL)
		return;
	if (hard)
		enter_kill(a, t);
	else if (t->phase == PHASE_RUN)
		enter_term(a, t);
}

static struct attempt *find(struct attempts *a, int64_t token)
{
	struct attempt *t;

	HASH_FIND(by_token, a->by_token, &token, sizeof token, t);
	return t;
}

void attempts_stop(struct attempts *a, int64_t token, unsigned how, int holder)
{
	struct attempt *t = find(a, token);
	enum outcome cause = how & EXEC_STOP_LOST ? OUTCOME_LOST : OUTCOME_CANCELLED;

	if (t && t->holder == holder)
		stop(a, t, cause, how & EXEC_STOP_HARD);
}

void attempts_stop_all(struct attempts *a, bool hard)
{
	struct attempt *t, *next;

	HASH_ITER (by_token, a->by_token, t, next)
		stop(a, t, OUTCOME_LOST, hard);
}

/* ---- claims ---- */

enum exec_claim_answer attempts_claim(struct attempts *a, int64_t token, int64_t epoch, int holder)
{
	struct attempt *t = find(a, token);

	if (!t)
		return EXEC_CLAIM_UNKNOWN;
	if (epoch < t->epoch)
		return EXEC_CLAIM_FENCED;
	t->epoch = epoch;
	t->holder = holder;
	return EXEC_CLAIM_RUNNING;
}

void attempts_leave(struct attempts *a, int holder)
{
	struct attempt *t, *next;

	HASH_ITER (by_token, a->by_token, t, next)
		if (t->holder == holder)
			t->holder = HOLDER_NONE;
}

int attempts_record(struct attempts *a, struct journal *to)
{
	struct attempt *t, *next;
	int rc = 0;

	HASH_ITER (by_token, a->by_token, t, next)
		rc |= journal_add_start(to, t->token, t->pid, t->start_boot_us, t->end.started_us);
	return rc;
}

/* ---- timers that are due ---- */

/* The process has left, others or its output have not, and their time is up. */
static void expire_lingering(struct attempts *a, struct attempt *t)
{
	if (t->phase == PHASE_KILL || !group_exists(t)) {
		drain_rest(a, t);
		finish(a, t);
	} else if (t->phase == PHASE_RUN) {
		enter_term(a, t);
	} else {
		enter_kill(a, t);
	}
}

static void expire(struct attempts *a, struct attempt *t)
{
	t->deadline_us = NEVER;
	if (t->reaped)
		expire_lingering(a, t);
	else if (t->phase == PHASE_RUN)
		stop(a, t, OUTCOME_TIMEOUT, false);
	else if (t->phase == PHASE_TERM)
		enter_kill(a, t);
}

void attempts_expire(struct attempts *a)
{
	const struct heap_entry *e = heap_peek(&a->timers);

	if (!e)
		return;
	int64_t now = mono_us();
	for (; e && e->key <= now; e = heap_peek(&a->timers)) {
		struct heap_entry due = *e;
		heap_pop(&a->timers, &due);
		struct attempt *t = find(a, (int64_t)due.id);
		if (t && t->deadline_us == due.key)
			expire(a, t);
	}
}

/* ---- reaping ---- */

static int64_t timeval_us(struct timeval tv)
{
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

static void note_exit(struct attempt *t, int wstatus, const struct rusage *usage)
{
	struct exec_end *e = &t->end;

	e->ended_us = clock_now_us();
	e->exit_status = WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : -1;
	e->signal = WIFSIGNALED(wstatus) ? WTERMSIG(wstatus) : 0;
	e->max_rss_bytes = (int64_t)usage->ru_maxrss * 1024;
	e->cpu_us = timeval_us(usage->ru_utime) + timeval_us(usage->ru_stime);
	if (t->cause != OUTCOME_NONE)
		e->outcome = t->cause;
	else if (e->exit_status == 0)
		e->outcome = OUTCOME_SUCCESS;
	else
		e->outcome = e->exit_status == STATUS_SKIPPED ? OUTCOME_SKIPPED : OUTCOME_FAILED;
}

static void reaped(struct attempts *a, struct attempt *t, int wstatus, const struct rusage *usage)
{
	note_exit(t, wstatus, usage);
	HASH_DELETE(by_pid, a->by_pid, t);
	t->by_pid.tbl = NULL;
	t->reaped = true;
	DL_APPEND(a->lingering, t);
	/* The usual case: nobody is left and the pipe has its end. */
	attempts_drain(a, t);
	if (!t->done)
		settle(a, t);
	if (t->done)
		return;
	int64_t wait_us = t->phase == PHASE_KILL ? KILL_WAIT_US : t->grace_us;
	if (set_deadline(a, t, wait_us) < 0)
		expire_lingering(a, t);
}

void attempts_reap(struct attempts *a)
{
	struct attempt *t, *next;
	struct rusage usage;
	int wstatus;
	pid_t pid;

	while ((pid = wait4(-1, &wstatus, WNOHANG, &usage)) > 0) {
		HASH_FIND(by_pid, a->by_pid, &pid, sizeof pid, t);
		if (t)
			reaped(a, t, wstatus, &usage);
	}
	/* An orphan that was reaped may have been the last of its group. */
	DL_FOREACH_SAFE(a->lingering, t, next)
	settle(a, t);
}

/* ---- starting ---- */

/* A task whose output has no room would fail by it, or be silent: better not to begin. */
static bool is_full(int fd)
{
	struct statvfs fs;

	/* Some file systems do not count. */
	if (fstatvfs(fd, &fs) < 0 || fs.f_blocks == 0)
		return false;
	return (geteuid() == 0 ? fs.f_bfree : fs.f_bavail) == 0;
}

void attempt_log_open(struct attempt_log *log, const char *path)
{
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY;
	struct err err;

	err_clear(&err);
	*log = (struct attempt_log){ .fd = open(path, flags | O_EXCL, 0640) };
	if (log->fd < 0 && errno == ENOENT && io_mkdirs_for(path, 0750, &err) == 0)
		log->fd = open(path, flags | O_EXCL, 0640);
	log->created = log->fd >= 0;
	if (log->fd < 0 && errno == EEXIST)
		log->fd = open(path, flags, 0640);
	if (log->fd >= 0 && !is_full(log->fd))
		return;
	log->error = errno;
	if (log->fd >= 0) {
		log->error = ENOSPC;
		close(log->fd);
		log->fd = -1;
		if (log->created)
			unlink(path);
	}
	if (err.code != ERR_NONE)
		snprintf(log->why, sizeof log->why, "%.255s", err.msg);
}

static int open_pipe(struct attempts *a, struct attempt *t, const struct exec_job *job, int *ret_fd)
{
	int fds[2];

	t->mask = mask_new(job->secrets);
	if (!t->mask) {
		errno = ENOMEM;
		return -1;
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	t->pipe_fd = fds[0];
	*ret_fd = fds[1];
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = t };
	if (fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0 &&
		epoll_ctl(a->epoll_fd, EPOLL_CTL_ADD, fds[0], &ev) == 0)
		return 0;
	int error = errno;
	close(fds[1]);
	*ret_fd = -1;
	errno = error;
	return -1;
}

/* Where the task writes: its log, or the pipe to the masker. -1: the end says why. */
static int open_output(
	struct attempts *a, struct attempt *t, const struct exec_job *job, struct attempt_log *log)
{
	int out_fd = -1, log_fd;

	if (log->fd < 0 && !log->error)
		attempt_log_open(log, job->log_path);
	log_fd = log->fd;
	log->fd = -1;
	if (log_fd >= 0 && !(job->secrets && job->secrets[0]))
		return log_fd;
	t->log_fd = log_fd;
	if (log_fd >= 0 && open_pipe(a, t, job, &out_fd) == 0)
		return out_fd;
	int error = log_fd < 0 ? log->error : errno;
	/* The log is ours, not the task's: what is wrong with it passes, or a person mends it. */
	t->end.outcome = error == ENAMETOOLONG ? OUTCOME_FAILED : OUTCOME_LOST;
	if (log->why[0])
		snprintf(t->end.error, sizeof t->end.error, "its log: %.240s", log->why);
	else
		snprintf(t->end.error, sizeof t->end.error, "its log %.180s: %s", job->log_path,
			strerror(error));
	return -1;
}

static void spawn(struct attempts *a, struct attempt *t, const struct exec_job *job, int out_fd)
{
	struct spawn s;

	if (a->step)
		a->step();
	spawn_tell(journal_child_fd(a->journal));
	limits_begin_told(&t->limits, a->limits, job, out_fd);
	spawn_limit(&t->limits);
	if (job->argv)
		spawn_command(job, out_fd, &s);
	else
		spawn_operator(job, out_fd, a->run_operator, &s);
	limits_entered(&t->limits);
	t->end.started_us = s.started_us;
	a->journal->garbage = a->journal->garbage || s.torn;
	if (s.fault != SPAWN_OK) {
		spawn_explain(&s, job, &t->end);
		return;
	}
	t->pid = s.pid;
	t->start_boot_us = s.start_boot_us;
	if (!s.told)
		journal_add_start(a->journal, t->token, s.pid, s.start_boot_us, s.started_us);
}

/* It did not come to a process: the end says why. */
static void never_started(struct attempts *a, struct attempt *t)
{
	limits_end(&t->limits, NULL);
	t->end.ended_us = clock_now_us();
	if (!t->end.started_us)
		t->end.started_us = t->end.ended_us;
	report_end(a, t);
	forget(a, t);
}

/* A process whose end could not be noticed must not run on. */
static void unwatchable(struct attempts *a, struct attempt *t)
{
	kill(-t->pid, SIGKILL);
	while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
		;
	t->end.outcome = OUTCOME_LOST;
	snprintf(t->end.error, sizeof t->end.error, "the supervisor is out of memory");
	never_started(a, t);
}

static struct attempt *new_attempt(struct attempts *a, const struct exec_job *job)
{
	struct attempt *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->token = t->end.token = job->token;
	t->epoch = job->epoch;
	t->holder = HOLDER_MAIN;
	t->grace_us = job->grace_us;
	t->deadline_us = NEVER;
	t->pipe_fd = t->log_fd = -1;
	t->end.exit_status = -1;
	HASH_ADD(by_token, a->by_token, token, sizeof t->token, t);
	if (!t->by_token.tbl) {
		free(t);
		return NULL;
	}
	a->n++;
	return t;
}

bool attempts_has(struct attempts *a, int64_t token)
{
	return find(a, token) != NULL;
}

void attempts_start(struct attempts *a, const struct exec_job *job, struct attempt_log *log)
{
	struct attempt_log not_yet = { .fd = -1 };

	if (find(a, job->token))
		return;
	struct attempt *t = new_attempt(a, job);
	if (!t) {
		attempts_refuse(a, job, OUTCOME_LOST, "the supervisor is out of memory");
		return;
	}
	int out_fd = open_output(a, t, job, log ? log : &not_yet);
	if (out_fd >= 0) {
		spawn(a, t, job, out_fd);
		close(out_fd);
	}
	if (!t->pid) {
		never_started(a, t);
		return;
	}
	HASH_ADD(by_pid, a->by_pid, pid, sizeof t->pid, t);
	if (!t->by_pid.tbl || (job->timeout_us > 0 && set_deadline(a, t, job->timeout_us) < 0))
		unwatchable(a, t);
}
