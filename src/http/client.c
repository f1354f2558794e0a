#include "http/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "http/answer.h"
#include "http/sock.h"

enum {
	TIMEOUT_MS = 30 * 1000,
	ANSWER_MAX = 256 << 20,
	CHUNK = 64 * 1024,
};

/* One call under way. */
struct call {
	const struct http_call *ask;
	int fd;
	int64_t deadline_ms;
	struct buf out, in;
	bool eof;
	struct http_answer answer;
};

/* The kernel's clock, never the tests': the daemon at the other end lives in real time. */
static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int limit_ms(const struct http_call *ask)
{
	return ask->timeout_ms > 0 ? ask->timeout_ms : TIMEOUT_MS;
}

static int write_request(struct call *c, struct err *err)
{
	const struct http_call *ask = c->ask;
	char *body = ask->body ? json_dumps(ask->body, JSON_COMPACT) : NULL;

	if (ask->body && !body)
		return err_nomem(err);
	if (strpbrk(ask->path, " \r\n") || ask->path[0] != '/') {
		free(body);
		return err_set(err, ERR_INTERNAL, "not a path to ask for: %.200s", ask->path);
	}
	buf_addf(&c->out, "%s %s HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n", ask->method,
		ask->path);
	if (body)
		buf_addf(&c->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
			strlen(body));
	else if (strcmp(ask->method, "GET") != 0)
		buf_addstr(&c->out, "Content-Length: 0\r\n");
	buf_addstr(&c->out, "\r\n");
	if (body)
		buf_addstr(&c->out, body);
	free(body);
	return buf_ok(&c->out, "the request", err);
}

static int open_connection(struct call *c, struct err *err)
{
	const char *path = c->ask->socket_path;
	struct err why = { 0 };

	c->fd = http_sock_connect(path, limit_ms(c->ask), &why);
	if (c->fd >= 0) {
		fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
		return 0;
	}
	if (errno == ENOENT || errno == ECONNREFUSED || errno == ENOTDIR)
		return err_set(
			err, ERR_NOT_FOUND, "no daemon is running (no one listens on %s)", path);
	if (errno == EAGAIN)
		return err_set(err, ERR_BUSY,
			"the daemon is too busy to take another connection (%s)", path);
	return err_set(err, why.code, "%s", why.msg);
}

/* Send what the socket takes. A daemon that refuses closes its end early: its answer is read all
 * the same. */
static int send_some(struct call *c, struct err *err)
{
	ssize_t n = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);

	if (n >= 0)
		buf_consume(&c->out, (size_t)n);
	else if (errno == EPIPE || errno == ECONNRESET)
		buf_clear(&c->out);
	else if (errno != EAGAIN && errno != EINTR)
		return err_errno(err, "cannot write to the daemon");
	return 0;
}

static int receive_some(struct call *c, struct err *err)
{
	if (buf_reserve(&c->in, CHUNK) < 0)
		return buf_ok(&c->in, "the daemon's answer", err);
	ssize_t n = recv(c->fd, c->in.data + c->in.len, CHUNK, 0);
	if (n > 0) {
		c->in.len += (size_t)n;
		c->in.data[c->in.len] = '\0';
	} else if (n == 0 || errno == ECONNRESET) {
		c->eof = true;
	} else if (errno != EAGAIN && errno != EINTR) {
		return err_errno(err, "cannot read from the daemon");
	}
	return 0;
}

static int wait_for(struct call *c, struct err *err)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	int64_t left = c->deadline_ms - now_ms();

	if (c->out.len)
		p.events |= POLLOUT;
	int n = left > 0 ? poll(&p, 1, (int)left) : 0;
	if (n < 0 && errno != EINTR)
		return err_errno(err, "poll");
	if (n == 0)
		return err_set(err, ERR_TIMEOUT, "the daemon did not answer within %d ms (%s)",
			limit_ms(c->ask), c->ask->socket_path);
	if (n > 0 && (p.revents & POLLOUT) && send_some(c, err) < 0)
		return -1;
	if (n > 0 && (p.revents & (POLLIN | POLLHUP | POLLERR)))
		return receive_some(c, err);
	return 0;
}

static int exchange(struct call *c, struct err *err)
{
	size_t seen = 0;

	for (;;) {
		/* A body whose length is known is not looked at again before it is here. */
		bool enough =
			c->in.len > seen &&
			(!c->answer.has_len || c->in.len - c->answer.body_at >= c->answer.body_len);
		if (enough || c->eof) {
			int r = http_answer_read(c->in.data, c->in.len, c->eof, &c->answer, err);
			if (r != HTTP_ANSWER_MORE)
				return r < 0 ? -1 : 0;
			seen = c->in.len;
		}
		if (wait_for(c, err) < 0)
			return -1;
	}
}

/* An answer above 399 as an error. */
static int error_of(const struct http_answer *a, json_t *body, struct err *err)
{
	json_t *e = json_object_get(body, "error");
	const char *name = json_string_value(json_object_get(e, "code"));
	const char *message = json_string_value(json_object_get(e, "message"));
	const char *file = json_string_value(json_object_get(e, "file"));
	enum err_code code = name ? err_code_by_name(name) : ERR_NONE;

	if (code == ERR_NONE)
		code = a->status == 404 ? ERR_NOT_FOUND : a->status >= 500 ? ERR_BUSY : ERR_USAGE;
	if (message)
		err_set(err, code, "%s", message);
	else
		err_set(err, code, "the daemon answered %d %s", a->status, a->reason);
	if (file)
		err_where(err, file, (int)json_integer_value(json_object_get(e, "line")),
			(int)json_integer_value(json_object_get(e, "column")));
	return -1;
}

static int finish(struct call *c, int *ret_status, json_t **ret_body, struct err *err)
{
	const struct http_answer *a = &c->answer;
	json_t *body = json_loadb(c->in.data + a->body_at, a->body_len, JSON_DECODE_ANY, NULL);

	if (ret_status)
		*ret_status = a->status;
	if (a->status >= 400) {
		error_of(a, body, err);
		json_decref(body);
		return -1;
	}
	if (!body && a->body_len)
		return err_set(
			err, ERR_IO, "the daemon's answer is not JSON (%s)", c->ask->socket_path);
	if (!body && !(body = json_object()))
		return err_nomem(err);
	if (ret_body)
		*ret_body = body;
	else
		json_decref(body);
	return 0;
}

int http_call(const struct http_call *ask, int *ret_status, json_t **ret_body, struct err *err)
{
	struct call c = { .ask = ask, .fd = -1, .deadline_ms = now_ms() + limit_ms(ask) };
	int r = -1;

	if (ret_status)
		*ret_status = 0;
	buf_init(&c.out, BUF_MAX_TEXT);
	buf_init(&c.in, ANSWER_MAX);
	if (write_request(&c, err) == 0 && open_connection(&c, err) == 0 && exchange(&c, err) == 0)
		r = finish(&c, ret_status, ret_body, err);
	if (c.fd >= 0)
		close(c.fd);
	buf_release(&c.out);
	buf_release(&c.in);
	return r;
}

bool http_daemon_listens(const char *socket_path)
{
	enum http_sock_state state;

	return http_sock_probe(socket_path, &state, NULL) == 0 && state == HTTP_SOCK_LISTENS;
}
