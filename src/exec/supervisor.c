#include "exec/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "exec/spawn.h"
#include "exec/supervisor_impl.h"

#define SOCKET_FD 3
#define EVENTS 64
#define COMPACT_AT (1 << 20)
#define RECORD_SIZE 64 /* about */

/* What epoll says is ready: these, a connection, or else the pipe of an attempt. */
static char listen_mark, signal_mark;

static long steps_left;

void supervisor_step(void)
{
	if (steps_left > 0 && --steps_left == 0)
		kill(getpid(), SIGKILL);
}

/* ---- beginning ---- */

static void reset_signals(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t all;

	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &dfl, NULL);
	/* Blocked instead of ignored: tasks begin with default actions and need only unblock. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
}

static void close_from(int first)
{
	if (close_range((unsigned)first, ~0U, 0) == 0)
		return;
	long max = sysconf(_SC_OPEN_MAX);
	for (int fd = first; fd < (max > 0 && max < 65536 ? max : 65536); fd++)
		close(fd);
}

/* Keep the socket, and stderr for last words; stdin and stdout are /dev/null, of which the tasks
 * inherit stdin. */
static int settle_fds(int socket, struct err *err)
{
	if (socket != SOCKET_FD && dup3(socket, SOCKET_FD, O_CLOEXEC) < 0)
		return err_errno(err, "supervisor: dup");
	close_from(SOCKET_FD + 1);
	/* Not O_CLOEXEC: where the driver had closed its stdin, this is it already. */
	int null = open("/dev/null", O_RDWR);
	if (null < 0)
		return err_errno(err, "/dev/null");
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		(fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(null, STDERR_FILENO) < 0))
		return err_errno(err, "supervisor: dup");
	if (null > STDERR_FILENO)
		close(null);
	return 0;
}

static int make_loop(struct supervisor *s, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGQUIT);
	s->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->epoll_fd < 0 || s->signal_fd < 0 ||
		talk_watch(s, s->peers[HOLDER_MAIN].fd, &s->peers[HOLDER_MAIN]) < 0 ||
		talk_watch(s, s->signal_fd, &signal_mark) < 0)
		return err_errno(err, "supervisor: cannot make its loop");
	return 0;
}

static void set_title(const char *journal_path)
{
	char title[PROC_TITLE];

	snprintf(title, sizeof title, "weir supervisor %s", io_path_base(journal_path));
	proc_set_title(title);
}

/* Without a socket it supervises all the same: its attempts can then be waited for, not claimed. */
static void make_socket(struct supervisor *s)
{
	s->listen_mark = &listen_mark;
	if (s->dir)
		s->listen_fd = endpoint_listen(s->dir, s->socket_name, NULL);
	if (s->listen_fd >= 0 && talk_watch(s, s->listen_fd, &listen_mark) == 0)
		return;
	if (s->listen_fd >= 0) {
		close(s->listen_fd);
		endpoint_remove(s->dir, s->socket_name);
	}
	s->listen_fd = -1;
	memcpy(s->socket_name, JOURNAL_NO_SOCKET, sizeof JOURNAL_NO_SOCKET);
}

static void remove_socket(struct supervisor *s)
{
	if (s->listen_fd >= 0)
		endpoint_remove(s->dir, s->socket_name);
}

static int make_files(struct supervisor *s, const char *journal_path, struct err *err)
{
	s->dir = io_path_dir(journal_path);
	make_socket(s);
	if (journal_create(&s->journal, journal_path, s->socket_name, err) == 0)
		return 0;
	remove_socket(s);
	return -1;
}

static void init_attempts(struct supervisor *s, exec_operator_fn *run_operator)
{
	attempts_init(&s->attempts);
	s->attempts.epoll_fd = s->epoll_fd;
	s->attempts.run_operator = run_operator;
	s->attempts.journal = &s->journal;
	s->attempts.kept = &s->kept;
	limits_system_init(&s->limits);
	s->attempts.limits = &s->limits;
	s->attempts.tell = talk_tell;
	s->attempts.arg = s;
	s->attempts.step = supervisor_step;
}

static long number_from(const char *name, long otherwise)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 10) : otherwise;
}

static int begin(struct supervisor *s, const struct exec_local_config *config, struct err *err)
{
	char *path = NULL;
	int rc = -1;

	steps_left = number_from("WEIR_TEST_KILL_SUPERVISOR_AT", 0);
	s->compact_at = number_from("WEIR_TEST_COMPACT_JOURNAL_AT", COMPACT_AT);
	prctl(PR_SET_NAME, SUPERVISOR_NAME);
	reset_signals();
	__fpurge(stdout);
	if (setsid() < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_errno(err, "supervisor: cannot make its session");
	if (settle_fds(s->peers[HOLDER_MAIN].fd, err) < 0)
		return -1;
	s->peers[HOLDER_MAIN].fd = SOCKET_FD;
	path = journal_absolute(config->journal_path);
	if (!path)
		err_nomem(err);
	else if (make_loop(s, err) == 0 && make_files(s, path, err) == 0)
		rc = chdir("/") < 0 ? err_errno(err, "/") : 0;
	free(path);
	if (rc < 0)
		return -1;
	set_title(s->journal.path);
	malloc_trim(0);
	spawn_raise_limits();
	init_attempts(s, config->run_operator);
	return 0;
}

/* Leave out of the journal what is acknowledged, when that is most of it. */
static void compact_journal(struct supervisor *s)
{
	/* A start and an end for each. */
	int64_t acked = (int64_t)s->kept.acked * 2 * RECORD_SIZE;
	int64_t in_use = (int64_t)(s->attempts.n + 2 * s->kept.n) * RECORD_SIZE;
	struct journal anew;

	if (acked < s->compact_at || s->journal.pending.len ||
		journal_size(&s->journal) < in_use * 4)
		return;
	s->kept.acked = 0; /* and when it fails: not again at once */
	supervisor_step();
	if (journal_begin_anew(&s->journal, &anew, s->socket_name, NULL) < 0)
		return;
	if (attempts_record(&s->attempts, &anew) < 0 || kept_record(&s->kept, &anew) < 0) {
		journal_give_up(&anew);
		return;
	}
	supervisor_step();
	journal_replace(&s->journal, &anew, NULL);
	supervisor_step();
}

static void flush_journal(struct supervisor *s)
{
	bool failed = journal_flush(&s->journal) < 0;

	if (failed && !s->journal_fails)
		dprintf(STDERR_FILENO,
			SUPERVISOR_NAME
			": the journal %s cannot be written: %s: what becomes of tasks is kept "
			"in memory until it can; make room, or make it writable\n",
			s->journal.path, strerror(errno));
	else if (!failed && s->journal_fails)
		dprintf(STDERR_FILENO, SUPERVISOR_NAME ": the journal can be written again\n");
	s->journal_fails = failed;
}

/* Ends go into the journal before anyone hears of them. A disk that is full delays the journal, not
 * the driver. */
static void flush(struct supervisor *s)
{
	if (s->journal.pending.len) {
		supervisor_step();
		flush_journal(s);
		supervisor_step();
	}
	talk_send(s);
}

/* ---- the loop ---- */

static void read_signals(struct supervisor *s)
{
	struct signalfd_siginfo info[8];
	ssize_t n = read(s->signal_fd, info, sizeof info);

	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof info[0]; i++) {
		int sig = (int)info[i].ssi_signo;
		if (sig != SIGTERM && sig != SIGQUIT)
			continue;
		s->stopping = true;
		s->stopping_hard = s->stopping_hard || sig == SIGQUIT;
		held_drop_all(&s->held);
		attempts_stop_all(&s->attempts, sig == SIGQUIT);
	}
	attempts_reap(&s->attempts);
}

static int wait_ms(const struct supervisor *s)
{
	int ms = attempts_wait_ms(&s->attempts);

	if (talk_has_input(s))
		return 0;
	if ((s->journal.pending.len || s->deaf) && (ms < 0 || ms > RETRY_MS))
		return RETRY_MS;
	return ms;
}

static void turn(struct supervisor *s)
{
	struct epoll_event events[EVENTS];
	bool signalled = false, called = false;
	int n = epoll_wait(s->epoll_fd, events, EVENTS, wait_ms(s));

	for (int i = 0; i < n; i++) {
		void *mark = events[i].data.ptr;
		if (talk_is_peer(s, mark))
			((struct peer *)mark)->readable = events[i].events & ~(unsigned)EPOLLOUT;
		else if (mark == &signal_mark)
			signalled = true;
		else if (mark == &listen_mark)
			called = true;
		else
			attempts_drain(&s->attempts, mark);
	}
	if (signalled)
		read_signals(s);
	attempts_expire(&s->attempts);
	flush(s); /* the driver decides what is next while we start what it asked for */
	talk_receive(s);
	flush(s);
	if (s->kept.acked)
		compact_journal(s);
	if (called)
		talk_accept(s);
	if (s->deaf)
		talk_listen_again(s);
	attempts_sweep(&s->attempts);
}

static bool is_done(const struct supervisor *s)
{
	if (s->attempts.n || talk_has_input(s) || talk_has_output(s))
		return false;
	/* Ends that the disk does not take yet would be lost with us. */
	if (s->journal.pending.len && s->kept.n && !s->stopping_hard)
		return false;
	if (s->stopping)
		return true;
	if (s->peers[HOLDER_MAIN].fd >= 0 && !s->said_bye)
		return false;
	return s->kept.n == 0 || talk_is_alone(s);
}

_Noreturn void supervisor_main(int socket, const struct exec_local_config *config)
{
	static struct supervisor s; /* one per process */
	struct peer *driver = &s.peers[HOLDER_MAIN];
	struct err err;

	s = (struct supervisor){ .epoll_fd = -1, .signal_fd = -1, .listen_fd = -1 };
	talk_init(&s, socket);
	if (begin(&s, config, &err) < 0) {
		talk_hello(driver, &err);
		_exit(1);
	}
	if (talk_hello(driver, NULL) < 0) {
		remove_socket(&s);
		journal_remove(&s.journal);
		_exit(1);
	}
	while (!is_done(&s)) {
		turn(&s);
		if (s.attempts.broken) {
			dprintf(STDERR_FILENO,
				SUPERVISOR_NAME ": out of memory; its tasks end with it\n");
			_exit(1);
		}
	}
	held_drop_all(&s.held);
	limits_system_release(&s.limits);
	if (s.kept.n == 0)
		journal_remove(&s.journal);
	remove_socket(&s);
	_exit(0);
}
