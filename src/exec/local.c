/* The driver's side of the supervisor on this machine. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/io.h"
#include "exec/endpoint.h"
#include "exec/exec.h"
#include "exec/executor.h"
#include "exec/frame.h"
#include "exec/journal.h"
#include "exec/supervisor.h"

#define OUT_MAX (64u << 20)
#define OUT_HIGH (32u << 20) /* so much is not kept for the next flush */
#define READ_SIZE 65536
#define HELLO_WAIT_MS 10000
#define LEAVE_WAIT_MS 5000
#define ATTACH_WAIT_MS 2000
#define GONE_WAIT_MS 200 /* one that does not listen any more is about to be gone */

struct local {
	struct exec exec;
	pid_t pid; /* -1: another driver's */
	int socket;
	size_t in_flight; /* started and not ended */
	uint32_t serial;  /* of the last claim */
	struct buf out;
	size_t sent; /* of out */
	struct buf in;
	struct buf early; /* ENDs that came while a claim waited for its answer */
};

static _Noreturn void become_supervisor(int mine, int drivers, const struct exec_local_config *c)
{
	close(drivers);
	supervisor_main(mine, c);
}

/* All signals are blocked around the fork: no handler of the driver's runs in the child. */
static int fork_supervisor(struct local *x, const struct exec_local_config *config, struct err *err)
{
	sigset_t all, before;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return err_errno(err, "supervisor: socketpair");
	fflush(stdout); /* else it would be written twice, once into a task's log */
	fflush(stderr);
	clock_now_us(); /* a test's clock begins once, for both */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	x->pid = fork();
	if (x->pid == 0)
		become_supervisor(fds[1], fds[0], config);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(fds[1]);
	x->socket = fds[0];
	return x->pid < 0 ? err_errno(err, "supervisor: fork") : 0;
}

static int receive(struct local *x, size_t max, struct err *err)
{
	if (buf_reserve(&x->in, max) < 0)
		return buf_ok(&x->in, "supervisor", err);
	ssize_t n = recv(x->socket, x->in.data + x->in.len, max, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0 && errno != ECONNRESET)
		return err_errno(err, "supervisor: receive");
	if (n <= 0)
		return err_set(err, ERR_IO, "the supervisor is gone, and its tasks with it");
	x->in.len += (size_t)n;
	x->in.data[x->in.len] = '\0';
	return 1;
}

static int check_hello(const struct frame *f, int64_t *ret_pid, struct err *err)
{
	struct frame_hello hello;

	if (f->type != FRAME_HELLO)
		return err_set(err, ERR_DATA, "the supervisor began with a %s message",
			frame_type_name(f->type));
	if (frame_get_hello(f, &hello, err) < 0)
		return -1;
	*ret_pid = hello.pid;
	return hello.error == ERR_NONE ? 0
				       : err_set(err, (enum err_code)hello.error, "%s", hello.msg);
}

static int await_hello(struct local *x, int wait_ms, int64_t *ret_pid, struct err *err)
{
	struct pollfd p = { .fd = x->socket, .events = POLLIN };
	struct frame f;

	for (;;) {
		int rc = frame_next(x->in.data, x->in.len, &f, err);
		if (rc < 0)
			return -1;
		if (rc > 0)
			break;
		rc = poll(&p, 1, wait_ms);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return err_set(err, ERR_TIMEOUT, "the supervisor does not answer");
		if (receive(x, READ_SIZE, err) < 0)
			return -1;
	}
	int rc = check_hello(&f, ret_pid, err);
	buf_consume(&x->in, f.size);
	return rc;
}

/* It was told to leave and has nothing to do. */
static void await_leave(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int rc = 1;

	if (fd >= 0) {
		while ((rc = poll(&p, 1, LEAVE_WAIT_MS)) < 0 && errno == EINTR)
			;
		close(fd);
	}
	/* It may be held up by others who claimed of it. */
	while (waitpid(pid, NULL, rc == 0 ? WNOHANG : 0) < 0 && errno == EINTR)
		;
}

static int local_flush(struct exec *exec, struct err *err);

static void let_go(struct local *x, bool flush, bool bye)
{
	if (bye && x->socket >= 0)
		frame_put_bye(&x->out, NULL);
	if (flush && x->socket >= 0)
		local_flush(&x->exec, NULL);
	if (x->socket >= 0)
		close(x->socket);
	if (x->pid > 0 && bye)
		await_leave(x->pid);
	else if (x->pid > 0)
		waitpid(x->pid, NULL, WNOHANG);
	buf_release(&x->out);
	buf_release(&x->in);
	buf_release(&x->early);
	free(x);
}

static void local_release(struct exec *exec, bool abandon)
{
	struct local *x = (struct local *)exec;

	let_go(x, !abandon, !abandon && x->pid > 0 && x->in_flight == 0);
}

static int local_fd(const struct exec *exec)
{
	return ((const struct local *)exec)->socket;
}

/* Drop what was sent before something is put behind it. */
static void make_room(struct local *x)
{
	if (x->sent == x->out.len)
		buf_clear(&x->out);
	else
		buf_consume(&x->out, x->sent);
	x->sent = 0;
}

/* Before something large: what is much already is not kept for the next flush, where a failure will
 * show. */
static void make_way(struct local *x)
{
	if (x->out.len - x->sent > OUT_HIGH)
		local_flush(&x->exec, NULL);
	if (x->sent)
		make_room(x);
}

static int64_t fake_now_us(void)
{
	return clock_is_fake() ? clock_now_us() : 0;
}

/* Others start nothing where they are attached; their supervisor would hang up. */
static int check_own(const struct local *x, struct err *err)
{
	return x->pid > 0 ? 0
			  : err_set(err, ERR_INTERNAL,
				    "nothing can be started with another driver's supervisor");
}

static int local_start(struct exec *exec, const struct exec_job *job, struct err *err)
{
	struct local *x = (struct local *)exec;

	if (check_own(x, err) < 0)
		return -1;
	make_way(x);
	if (frame_put_start(&x->out, job, fake_now_us(), err) < 0)
		return -1;
	x->in_flight++;
	return 0;
}

static int local_prepare(struct exec *exec, const struct exec_job *job, struct err *err)
{
	struct local *x = (struct local *)exec;

	if (check_own(x, err) < 0)
		return -1;
	make_way(x);
	return frame_put_prepare(&x->out, job, err);
}

static int local_go(struct exec *exec, int64_t token, struct err *err)
{
	struct local *x = (struct local *)exec;
	const struct frame_go go = { .token = token, .now_us = fake_now_us() };

	if (check_own(x, err) < 0)
		return -1;
	if (x->sent)
		make_room(x);
	if (frame_put_go(&x->out, &go, err) < 0)
		return -1;
	x->in_flight++;
	return 0;
}

static int local_drop(struct exec *exec, int64_t token, struct err *err)
{
	struct local *x = (struct local *)exec;

	if (check_own(x, err) < 0)
		return -1;
	if (x->sent)
		make_room(x);
	return frame_put_drop(&x->out, token, err);
}

static int local_stop(struct exec *exec, int64_t token, unsigned how, struct err *err)
{
	struct local *x = (struct local *)exec;
	struct frame_stop stop = { .token = token, .how = how };

	if (x->sent)
		make_room(x);
	return frame_put_stop(&x->out, &stop, err);
}

static int local_ack(struct exec *exec, const int64_t *tokens, size_t n, struct err *err)
{
	struct local *x = (struct local *)exec;

	if (x->sent)
		make_room(x);
	for (size_t i = 0; i < n; i += FRAME_TOKENS_MAX) {
		size_t some = n - i < FRAME_TOKENS_MAX ? n - i : FRAME_TOKENS_MAX;
		if (frame_put_ack(&x->out, tokens + i, some, err) < 0)
			return -1;
	}
	return 0;
}

static int local_flush(struct exec *exec, struct err *err)
{
	struct local *x = (struct local *)exec;

	while (x->sent < x->out.len) {
		ssize_t n = send(x->socket, x->out.data + x->sent, x->out.len - x->sent,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n < 0)
			return err_set(err, ERR_IO, "the supervisor is gone: %s", strerror(errno));
		x->sent += (size_t)n;
	}
	make_room(x);
	return 0;
}

/* Decode what is whole in `from`. */
static int take_ends(
	struct local *x, struct buf *from, struct exec_end *ret, size_t max, struct err *err)
{
	size_t used = 0, n = 0;
	struct frame f;
	int rc = 0;

	while (n < max && (rc = frame_next(from->data + used, from->len - used, &f, err)) > 0) {
		if (f.type == FRAME_END) {
			rc = frame_get_end(&f, &ret[n], err);
			if (rc < 0)
				break;
			n++;
		}
		used += f.size;
	}
	buf_consume(from, used);
	x->in_flight -= n < x->in_flight ? n : x->in_flight;
	for (size_t i = 0; clock_is_fake() && i < n; i++)
		clock_warp(ret[i].ended_us);
	return rc < 0 && n == 0 ? -1 : (int)n;
}

static int local_read(struct exec *exec, struct exec_end *ret, size_t max, struct err *err)
{
	struct local *x = (struct local *)exec;
	/* No more is received than can be returned (no end is shorter), so that the socket stays
	 * readable for the rest. */
	size_t want = max < READ_SIZE / FRAME_END_MIN ? max * FRAME_END_MIN : READ_SIZE;

	if (max == 0)
		return 0;
	if (x->early.len)
		return take_ends(x, &x->early, ret, max, err);
	int rc = receive(x, want, err);
	return rc <= 0 ? rc : take_ends(x, &x->in, ret, max, err);
}

/* ---- claims ---- */

/* The answers are in the order of the claims. */
static int take_answers(const struct frame *f, struct exec_claim *claims, size_t n, struct err *err)
{
	struct exec_claim answer;
	struct frame_list list;
	int rc;

	if (frame_get_list(f, &list, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		rc = frame_next_claimed(&list, &answer, err);
		if (rc < 0)
			return -1;
		if (rc == 0 || answer.token != claims[i].token)
			return err_set(err, ERR_DATA, "the supervisor answers what was not asked");
		claims[i].answer = answer.answer;
		claims[i].end = answer.end;
	}
	return 0;
}

static bool answers(const struct frame *f, uint32_t serial)
{
	struct frame_list list;

	return f->type == FRAME_CLAIMED && frame_get_list(f, &list, NULL) == 0 &&
	       list.serial == serial;
}

/* Go through what was received; ends are put aside for exec_read. 1: the answers are there. */
static int look_for_answers(struct local *x, struct exec_claim *claims, size_t n, struct err *err)
{
	struct frame f;
	int rc, found = 0;

	while ((rc = frame_next(x->in.data, x->in.len, &f, err)) > 0) {
		if (f.type == FRAME_END && buf_add(&x->early, x->in.data, f.size) < 0)
			return buf_ok(&x->early, "supervisor", err);
		if (answers(&f, x->serial)) {
			if (take_answers(&f, claims, n, err) < 0)
				return -1;
			found = 1;
		}
		buf_consume(&x->in, f.size);
	}
	return rc < 0 ? -1 : found;
}

/* Not clock_mono_us: the other side lives in real time, also under a test's clock. */
static int64_t real_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int await_answers(
	struct local *x, struct exec_claim *claims, size_t n, int64_t until_ms, struct err *err)
{
	for (;;) {
		int left = local_flush(&x->exec, err);
		if (left < 0)
			return -1;
		struct pollfd p = { .fd = x->socket, .events = POLLIN | (left ? POLLOUT : 0) };
		int64_t wait = until_ms - real_ms();
		int rc = poll(&p, 1, wait > 0 ? (int)wait : 0);
		if (rc == 0)
			return err_set(err, ERR_TIMEOUT, "the supervisor does not answer a claim");
		if (rc < 0 && errno == EINTR)
			continue;
		if (p.revents & ~POLLOUT && receive(x, READ_SIZE, err) < 0)
			return -1;
		rc = look_for_answers(x, claims, n, err);
		if (rc != 0)
			return rc < 0 ? -1 : 0;
	}
}

static int local_claim(struct exec *exec, struct exec_claim *claims, size_t n, struct err *err)
{
	struct local *x = (struct local *)exec;
	int64_t until_ms = real_ms() + EXEC_CLAIM_WAIT_MS;

	for (size_t i = 0; i < n; i += FRAME_TOKENS_MAX) {
		size_t some = n - i < FRAME_TOKENS_MAX ? n - i : FRAME_TOKENS_MAX;
		if (x->sent)
			make_room(x);
		if (frame_put_claim(&x->out, ++x->serial, claims + i, some, err) < 0 ||
			await_answers(x, claims + i, some, until_ms, err) < 0)
			return -1;
	}
	return 0;
}

static const struct exec_ops ops = {
	.prepare = local_prepare,
	.go = local_go,
	.drop = local_drop,
	.start = local_start,
	.stop = local_stop,
	.ack = local_ack,
	.claim = local_claim,
	.flush = local_flush,
	.read = local_read,
	.fd = local_fd,
	.release = local_release,
};

static struct local *local_new(struct err *err)
{
	struct local *x = calloc(1, sizeof *x);

	if (!x) {
		err_nomem(err);
		return NULL;
	}
	x->exec.ops = &ops;
	x->pid = -1;
	x->socket = -1;
	buf_init(&x->out, OUT_MAX);
	buf_init(&x->in, FRAME_MAX + READ_SIZE);
	buf_init(&x->early, OUT_MAX);
	return x;
}

int exec_local_new(struct exec **ret, const struct exec_local_config *config, struct err *err)
{
	struct local *x = local_new(err);
	int64_t pid;

	if (!x)
		return -1;
	if (fork_supervisor(x, config, err) < 0 || await_hello(x, HELLO_WAIT_MS, &pid, err) < 0) {
		let_go(x, false, false);
		return -1;
	}
	*ret = &x->exec;
	return 0;
}

/* ---- another's supervisor ---- */

/* Whoever listens there is the process that wrote the journal, as far as this can be seen: in
 * another container its number is another. */
static int check_identity(
	const struct local *x, const struct journal_head *head, int64_t hello_pid, struct err *err)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof peer;
	struct proc_stat st;
	bool visible = proc_stat(head->pid, &st) == 0 && st.start_ticks == head->start_ticks;

	if (getsockopt(x->socket, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return err_errno(err, "SO_PEERCRED");
	if (hello_pid == head->pid && (!visible || peer.pid == head->pid))
		return 0;
	return err_set(err, ERR_REFUSED,
		"process %lld answers in place of the supervisor, which is process %lld",
		(long long)hello_pid, (long long)head->pid);
}

static int connect_to(
	struct local *x, const char *path, const struct journal_head *head, struct err *err)
{
	int64_t pid;
	char *dir = io_path_dir(path);

	if (!dir)
		return err_nomem(err);
	x->socket = endpoint_connect(dir, head->socket_name, ATTACH_WAIT_MS, err);
	free(dir);
	if (x->socket < 0 || await_hello(x, ATTACH_WAIT_MS, &pid, err) < 0)
		return -1;
	return check_identity(x, head, pid, err);
}

static bool is_gone(const struct journal_head *head)
{
	int fd = proc_pidfd(head->pid, head->start_ticks);
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0)
		return errno == ESRCH;
	bool gone = poll(&p, 1, GONE_WAIT_MS) == 1;
	close(fd);
	return gone;
}

/* What a failed attempt to attach means. */
static int explain(const char *path, const struct journal_head *head, struct err *err)
{
	struct err why = *err;

	if ((why.code == ERR_NOT_FOUND || why.code == ERR_IO) && is_gone(head))
		return err_set(err, ERR_NOT_FOUND, "%s: its supervisor is gone", path);
	if (why.code != ERR_TIMEOUT)
		why.code = ERR_REFUSED;
	return err_set(err, why.code, "%s: its supervisor lives, but cannot be talked to: %s", path,
		why.msg);
}

int exec_local_attach(struct exec **ret, const char *journal_path, struct err *err)
{
	struct journal_head head;
	struct err why = { 0 };
	bool live;

	if (journal_read_head(journal_path, &head, &live, err) < 0)
		return -1;
	if (!live)
		return err_set(err, ERR_NOT_FOUND, "%s: its supervisor is gone", journal_path);
	if (strcmp(head.socket_name, JOURNAL_NO_SOCKET) == 0)
		return err_set(err, ERR_REFUSED,
			"%s: its supervisor has no socket to talk to it (it is of an older weir, "
			"or could not make one): wait for its tasks to end",
			journal_path);
	struct local *x = local_new(err);
	if (!x)
		return -1;
	if (connect_to(x, journal_path, &head, &why) < 0) {
		let_go(x, false, false);
		if (err)
			*err = why;
		return explain(journal_path, &head, err ? err : &why);
	}
	*ret = &x->exec;
	return 0;
}
