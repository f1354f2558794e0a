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
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "exec/exec.h"
#include "exec/executor.h"
#include "exec/frame.h"
#include "exec/supervisor.h"

#define OUT_MAX (64u << 20)
#define OUT_HIGH (32u << 20) /* so much is not kept for the next flush */
#define READ_SIZE 65536
#define HELLO_WAIT_MS 10000
#define LEAVE_WAIT_MS 5000

struct local {
	struct exec exec;
	pid_t pid;
	int socket;
	size_t in_flight; /* started and not ended */
	struct buf out;
	size_t sent; /* of out */
	struct buf in;
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

static int check_hello(const struct frame *f, struct err *err)
{
	struct frame_hello hello;

	if (f->type != FRAME_HELLO)
		return err_set(err, ERR_DATA, "the supervisor began with a %s message",
			frame_type_name(f->type));
	if (frame_get_hello(f, &hello, err) < 0)
		return -1;
	return hello.error == ERR_NONE ? 0
				       : err_set(err, (enum err_code)hello.error, "%s", hello.msg);
}

static int await_hello(struct local *x, struct err *err)
{
	struct pollfd p = { .fd = x->socket, .events = POLLIN };
	struct frame f;

	for (;;) {
		int rc = frame_next(x->in.data, x->in.len, &f, err);
		if (rc < 0)
			return -1;
		if (rc > 0)
			break;
		rc = poll(&p, 1, HELLO_WAIT_MS);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return err_set(err, ERR_TIMEOUT, "the supervisor does not answer");
		if (receive(x, READ_SIZE, err) < 0)
			return -1;
	}
	int rc = check_hello(&f, err);
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
	if (rc == 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int local_flush(struct exec *exec, struct err *err);

static void let_go(struct local *x, bool bye)
{
	if (bye && x->socket >= 0 && frame_put_bye(&x->out, NULL) == 0)
		local_flush(&x->exec, NULL);
	if (x->socket >= 0)
		close(x->socket);
	if (x->pid > 0 && bye)
		await_leave(x->pid);
	else if (x->pid > 0)
		waitpid(x->pid, NULL, WNOHANG);
	buf_release(&x->out);
	buf_release(&x->in);
	free(x);
}

static void local_release(struct exec *exec, bool abandon)
{
	struct local *x = (struct local *)exec;

	let_go(x, !abandon && x->in_flight == 0);
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

static int local_start(struct exec *exec, const struct exec_job *job, struct err *err)
{
	struct local *x = (struct local *)exec;
	make_way(x);
	if (frame_put_start(&x->out, job, fake_now_us(), err) < 0)
		return -1;
	x->in_flight++;
	return 0;
}

static int local_prepare(struct exec *exec, const struct exec_job *job, struct err *err)
{
	struct local *x = (struct local *)exec;
	make_way(x);
	return frame_put_prepare(&x->out, job, err);
}

static int local_go(struct exec *exec, int64_t token, struct err *err)
{
	struct local *x = (struct local *)exec;
	const struct frame_go go = { .token = token, .now_us = fake_now_us() };

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
	if (x->sent)
		make_room(x);
	return frame_put_drop(&x->out, token, err);
}

static int local_stop(struct exec *exec, int64_t token, bool hard, struct err *err)
{
	struct local *x = (struct local *)exec;
	struct frame_stop stop = { .token = token, .hard = hard };

	if (x->sent)
		make_room(x);
	return frame_put_stop(&x->out, &stop, err);
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

/* Decode what is whole in `in`. */
static int take_ends(struct local *x, struct exec_end *ret, size_t max, struct err *err)
{
	size_t used = 0, n = 0;
	struct frame f;
	int rc = 0;

	while (n < max && (rc = frame_next(x->in.data + used, x->in.len - used, &f, err)) > 0) {
		if (f.type == FRAME_END) {
			rc = frame_get_end(&f, &ret[n], err);
			if (rc < 0)
				break;
			n++;
		}
		used += f.size;
	}
	buf_consume(&x->in, used);
	x->in_flight -= n < x->in_flight ? n : x->in_flight;
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
	int rc = receive(x, want, err);
	if (rc <= 0)
		return rc;
	int n = take_ends(x, ret, max, err);
	for (int i = 0; clock_is_fake() && i < n; i++)
		clock_warp(ret[i].ended_us);
	return n;
}

static const struct exec_ops ops = {
	.prepare = local_prepare,
	.go = local_go,
	.drop = local_drop,
	.start = local_start,
	.stop = local_stop,
	.flush = local_flush,
	.read = local_read,
	.fd = local_fd,
	.release = local_release,
};

int exec_local_new(struct exec **ret, const struct exec_local_config *config, struct err *err)
{
	struct local *x = calloc(1, sizeof *x);

	if (!x)
		return err_nomem(err);
	x->exec.ops = &ops;
	x->pid = -1;
	x->socket = -1;
	buf_init(&x->out, OUT_MAX);
	buf_init(&x->in, FRAME_MAX + READ_SIZE);
	if (fork_supervisor(x, config, err) < 0 || await_hello(x, err) < 0) {
		let_go(x, false);
		return -1;
	}
	*ret = &x->exec;
	return 0;
}
