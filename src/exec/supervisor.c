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

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "exec/attempt.h"
#include "exec/frame.h"
#include "exec/held.h"
#include "exec/journal.h"
#include "exec/spawn.h"

#define NAME "weir-supervisor"
#define SOCKET_FD 3
#define EVENTS 64
#define RECV_SIZE (256u << 10)
#define IN_KEPT (1u << 20) /* after a large job its memory is given back */
#define STARTS_PER_TURN 16 /* then ends and timers have their turn */
#define OUT_MAX (64u << 20)
#define JOURNAL_RETRY_MS 1000

struct supervisor {
	int socket, epoll_fd, signal_fd;
	bool watches_room; /* the socket is full, EPOLLOUT is asked for */
	bool more_input;   /* whole frames are left in `in` */
	bool said_bye, stopping, stopping_hard;
	struct buf in, out;
	struct frame_start start; /* kept for its memory */
	struct held_set held;
	struct journal journal;
	struct attempts attempts;
};

/* What epoll says is ready; a pipe is named by its attempt. */
static char socket_mark, signal_mark;

static long steps_left;

static void step(void)
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

static int watch(struct supervisor *s, int fd, void *mark)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = mark };

	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
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
	if (s->epoll_fd < 0 || s->signal_fd < 0 || watch(s, s->socket, &socket_mark) < 0 ||
		watch(s, s->signal_fd, &signal_mark) < 0)
		return err_errno(err, "supervisor: cannot make its loop");
	return 0;
}

static int begin(struct supervisor *s, const struct exec_local_config *config, struct err *err)
{
	const char *kill_at = getenv("WEIR_TEST_KILL_SUPERVISOR_AT");

	steps_left = kill_at ? strtol(kill_at, NULL, 10) : 0;
	prctl(PR_SET_NAME, NAME);
	reset_signals();
	__fpurge(stdout);
	if (setsid() < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return err_errno(err, "supervisor: cannot make its session");
	if (settle_fds(s->socket, err) < 0)
		return -1;
	s->socket = SOCKET_FD;
	if (make_loop(s, err) < 0 || journal_create(&s->journal, config->journal_path, err) < 0)
		return -1;
	if (chdir("/") < 0)
		return err_errno(err, "/");
	malloc_trim(0);
	spawn_raise_limits();
	attempts_init(&s->attempts);
	s->attempts.epoll_fd = s->epoll_fd;
	s->attempts.run_operator = config->run_operator;
	s->attempts.journal = &s->journal;
	s->attempts.out = &s->out;
	s->attempts.step = step;
	return 0;
}

/* ---- the driver ---- */

/* It is gone, or talks nonsense: what is in hand is brought to its end. A terminal or pipe that
 * stderr was belongs to it. */
static void lose_driver(struct supervisor *s)
{
	if (s->socket < 0)
		return;
	close(s->socket);
	s->socket = -1;
	s->more_input = false;
	held_drop_all(&s->held);
	buf_release(&s->in);
	buf_release(&s->out);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
}

static void complain(struct supervisor *s, const struct err *err)
{
	dprintf(STDERR_FILENO, NAME ": %s\n", err->msg);
	lose_driver(s);
}

static void ask_for_room(struct supervisor *s, bool ask)
{
	struct epoll_event ev = { .events = EPOLLIN | (ask ? EPOLLOUT : 0),
		.data.ptr = &socket_mark };

	if (ask == s->watches_room)
		return;
	s->watches_room = ask;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, s->socket, &ev);
}

/* Ends go into the journal before the driver hears of them. A disk that is full delays the journal,
 * not the driver. */
static void flush(struct supervisor *s)
{
	if (s->journal.pending.len) {
		step();
		journal_flush(&s->journal);
		step();
	}
	if (s->socket < 0) {
		buf_clear(&s->out);
		return;
	}
	if (!s->out.len)
		return;
	step();
	ssize_t n = send(s->socket, s->out.data, s->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		lose_driver(s);
		return;
	}
	buf_consume(&s->out, n > 0 ? (size_t)n : 0);
	ask_for_room(s, s->out.len > 0);
}

static int take_start(struct supervisor *s, const struct frame *f, struct err *err)
{
	if (frame_get_start(f, &s->start, err) < 0)
		return -1;
	if (s->start.now_us)
		clock_warp(s->start.now_us);
	if (s->stopping)
		attempts_refuse(&s->attempts, s->start.job.token, OUTCOME_CANCELLED,
			"the supervisor was told to stop");
	else
		attempts_start(&s->attempts, &s->start.job, NULL);
	return 0;
}

static int take_prepare(struct supervisor *s, const struct frame *f, struct err *err)
{
	if (s->stopping || held_add(&s->held, f, err) == 0)
		return 0;
	return err->code == ERR_NOMEM ? 0 : -1; /* its GO will tell */
}

static int take_go(struct supervisor *s, const struct frame *f, struct err *err)
{
	struct frame_go go;

	if (frame_get_go(f, &go, err) < 0)
		return -1;
	if (go.now_us)
		clock_warp(go.now_us);
	struct held *h = held_take(&s->held, go.token);
	if (h)
		attempts_start(&s->attempts, held_job(h), held_log(h));
	else if (s->stopping)
		attempts_refuse(&s->attempts, go.token, OUTCOME_CANCELLED,
			"the supervisor was told to stop");
	else if (!attempts_has(&s->attempts, go.token))
		attempts_refuse(&s->attempts, go.token, OUTCOME_LOST,
			"the supervisor does not have it prepared: dropped, or out of memory");
	held_free(h);
	return 0;
}

static int take_drop(struct supervisor *s, const struct frame *f, struct err *err)
{
	int64_t token;

	if (frame_get_drop(f, &token, err) < 0)
		return -1;
	held_free(held_take(&s->held, token));
	return 0;
}

static int take_stop(struct supervisor *s, const struct frame *f, struct err *err)
{
	struct frame_stop stop;

	if (frame_get_stop(f, &stop, err) < 0)
		return -1;
	held_free(held_take(&s->held, stop.token));
	attempts_stop(&s->attempts, stop.token, stop.hard);
	return 0;
}

static int take_bye(struct supervisor *s, const struct frame *f, struct err *err)
{
	(void)f;
	(void)err;
	s->said_bye = true;
	return 0;
}

static int (*const takers[FRAME_TYPE_MAX])(
	struct supervisor *s, const struct frame *f, struct err *err) = {
	[FRAME_START] = take_start,
	[FRAME_PREPARE] = take_prepare,
	[FRAME_GO] = take_go,
	[FRAME_DROP] = take_drop,
	[FRAME_STOP] = take_stop,
	[FRAME_BYE] = take_bye,
};

static int take_frame(struct supervisor *s, const struct frame *f, struct err *err)
{
	if (!takers[f->type])
		return err_set(
			err, ERR_DATA, "a %s message from the driver", frame_type_name(f->type));
	return takers[f->type](s, f, err);
}

/* Act on what was received, up to a number of starts. */
static void take_frames(struct supervisor *s)
{
	size_t used = 0;
	int rc = 1, starts = 0;
	struct frame f;
	struct err err;

	while (starts < STARTS_PER_TURN) {
		rc = frame_next(s->in.data + used, s->in.len - used, &f, &err);
		if (rc <= 0)
			break;
		rc = take_frame(s, &f, &err);
		if (rc < 0)
			break;
		starts += f.type == FRAME_START || f.type == FRAME_GO;
		used += f.size;
		rc = 1;
	}
	if (rc < 0) {
		complain(s, &err);
		return;
	}
	buf_consume(&s->in, used);
	s->more_input = rc > 0;
	if (!s->in.len && s->in.cap > IN_KEPT)
		buf_release(&s->in);
}

static void receive(struct supervisor *s)
{
	struct err err;

	if (buf_reserve(&s->in, RECV_SIZE) < 0) {
		buf_ok(&s->in, "supervisor", &err);
		complain(s, &err);
		return;
	}
	ssize_t n = recv(s->socket, s->in.data + s->in.len, RECV_SIZE, MSG_DONTWAIT);
	if (n > 0) {
		s->in.len += (size_t)n;
		s->in.data[s->in.len] = '\0';
		s->more_input = true;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		lose_driver(s);
	}
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

	if (s->more_input)
		return 0;
	if (s->journal.pending.len && (ms < 0 || ms > JOURNAL_RETRY_MS))
		return JOURNAL_RETRY_MS;
	return ms;
}

static void turn(struct supervisor *s)
{
	struct epoll_event events[EVENTS];
	bool readable = false, signalled = false;
	int n = epoll_wait(s->epoll_fd, events, EVENTS, wait_ms(s));

	for (int i = 0; i < n; i++) {
		void *mark = events[i].data.ptr;
		if (mark == &socket_mark)
			readable = events[i].events & ~(unsigned)EPOLLOUT;
		else if (mark == &signal_mark)
			signalled = true;
		else
			attempts_drain(&s->attempts, mark);
	}
	if (signalled)
		read_signals(s);
	attempts_expire(&s->attempts);
	flush(s); /* the driver decides what is next while we start what it asked for */
	if (readable && s->socket >= 0 && !s->more_input)
		receive(s);
	if (s->more_input)
		take_frames(s);
	flush(s);
	attempts_sweep(&s->attempts);
}

static bool is_done(const struct supervisor *s)
{
	if (s->attempts.n || s->more_input)
		return false;
	/* Ends that the disk does not take yet would be lost with us. */
	if (s->journal.pending.len && !s->said_bye && !s->stopping_hard)
		return false;
	if (s->socket < 0)
		return true;
	return (s->said_bye || s->stopping) && !s->out.len;
}

static int say_hello(struct supervisor *s, const struct err *why_not)
{
	struct frame_hello hello = { .pid = getpid(), .msg = "" };

	if (why_not) {
		hello.error = (int)why_not->code;
		hello.msg = why_not->msg;
	}
	int rc = frame_put_hello(&s->out, &hello, NULL);
	if (rc == 0 && send(s->socket, s->out.data, s->out.len, MSG_NOSIGNAL) < 0)
		rc = -1;
	buf_clear(&s->out);
	return rc;
}

_Noreturn void supervisor_main(int socket, const struct exec_local_config *config)
{
	struct supervisor s = { .socket = socket, .epoll_fd = -1, .signal_fd = -1 };
	struct err err;

	buf_init(&s.in, FRAME_MAX + RECV_SIZE);
	buf_init(&s.out, OUT_MAX);
	if (begin(&s, config, &err) < 0) {
		say_hello(&s, &err);
		_exit(1);
	}
	if (say_hello(&s, NULL) < 0) {
		journal_remove(&s.journal);
		_exit(1);
	}
	while (!is_done(&s)) {
		turn(&s);
		if (s.attempts.broken) {
			dprintf(STDERR_FILENO, NAME ": out of memory; its tasks end with it\n");
			_exit(1);
		}
	}
	held_drop_all(&s.held);
	if (s.said_bye && !s.stopping)
		journal_remove(&s.journal);
	_exit(0);
}
