#include "http/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "http/route.h"
#include "http/sock.h"

enum {
	CONNECTIONS = 64,
	CONNECTIONS_MAX = 1024,
	REQUEST_MS = 30 * 1000,
	HEADERS_MAX = 16 * 1024,
	FULL_MS = 20, /* between looks for room when all connections are in use */
	TICKS = 4     /* looks at the connections within the limit of time */
};

/* A connection. Of evhttp's own only the bufferevent is within reach from its first moment on; a
 * reference to it is held here, and that its callbacks are gone says that evhttp let go of it. */
struct peer {
	struct bufferevent *bev;
	int ticks; /* since it was accepted, or brought its last request */
};

struct http_server {
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener; /* owned by http, once bound */
	struct event *tick, *reap;
	const struct http_route *routes;
	void *arg;
	char *path;
	struct stat file;
	struct http_limits limits;
	struct peer *peers;
	int npeers;
	uid_t uid;
	char user[64], root[64];
};

static const struct {
	enum evhttp_cmd_type type;
	const char *name;
} methods[] = {
	{ EVHTTP_REQ_GET, "GET" },
	{ EVHTTP_REQ_POST, "POST" },
	{ EVHTTP_REQ_HEAD, "HEAD" },
	{ EVHTTP_REQ_PUT, "PUT" },
	{ EVHTTP_REQ_DELETE, "DELETE" },
	{ EVHTTP_REQ_OPTIONS, "OPTIONS" },
	{ EVHTTP_REQ_TRACE, "TRACE" },
	{ EVHTTP_REQ_CONNECT, "CONNECT" },
	{ EVHTTP_REQ_PATCH, "PATCH" },
};

static const char *method_name(enum evhttp_cmd_type type)
{
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (methods[i].type == type)
			return methods[i].name;
	return "UNKNOWN";
}

/* Names are looked up once, at the start: a name service may be slow. */
static void name_user(uid_t uid, char *buf, size_t size)
{
	const struct passwd *pw = getpwuid(uid);

	if (pw && pw->pw_name[0])
		snprintf(buf, size, "%s", pw->pw_name);
	else
		snprintf(buf, size, "uid %lu", (unsigned long)uid);
}

static bool is_gone(const struct peer *p)
{
	void *arg;

	bufferevent_getcb(p->bev, NULL, NULL, NULL, &arg);
	return !arg;
}

static struct peer *find_peer(struct http_server *s, const struct bufferevent *bev)
{
	for (int i = 0; i < s->npeers; i++)
		if (s->peers[i].bev == bev)
			return &s->peers[i];
	return NULL;
}

/* Accept, or leave clients in the socket's queue, and look soon whether there is room: nobody says
 * so when a client that has not asked anything goes away. */
static void set_listening(struct http_server *s)
{
	struct timeval soon = { 0, FULL_MS * 1000 };

	if (s->npeers < s->limits.connections) {
		evconnlistener_enable(s->listener);
	} else {
		evconnlistener_disable(s->listener);
		event_add(s->reap, &soon);
	}
}

static void set_tick(struct http_server *s)
{
	int ms = s->limits.request_ms / TICKS;
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (s->npeers == 0)
		event_del(s->tick);
	else if (!event_pending(s->tick, EV_TIMEOUT, NULL))
		event_add(s->tick, &tv);
}

static void drop_gone(struct http_server *s)
{
	int kept = 0;

	for (int i = 0; i < s->npeers; i++) {
		if (is_gone(&s->peers[i]))
			bufferevent_decref(s->peers[i].bev);
		else
			s->peers[kept++] = s->peers[i];
	}
	s->npeers = kept;
	set_listening(s);
	set_tick(s);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drop_gone(arg);
}

/* Cut off whoever is over the limit: evhttp then sees the end of the connection and frees it. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *s = arg;

	(void)fd;
	(void)what;
	drop_gone(s);
	for (int i = 0; i < s->npeers; i++)
		if (++s->peers[i].ticks > TICKS)
			shutdown(bufferevent_getfd(s->peers[i].bev), SHUT_RDWR);
}

/* No descriptor is left, or the like: try again at the next tick, without spinning until then. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	struct http_server *s = arg;
	struct timeval second = { 1, 0 };

	evconnlistener_disable(listener);
	event_add(s->reap, &second);
}

static struct bufferevent *on_connection(struct event_base *base, void *arg)
{
	struct http_server *s = arg;
	struct bufferevent *bev = NULL;

	drop_gone(s);
	if (s->npeers < CONNECTIONS_MAX)
		bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (!bev)
		return NULL;
	bufferevent_incref(bev);
	s->peers[s->npeers++] = (struct peer){ .bev = bev };
	set_listening(s);
	set_tick(s);
	return bev;
}

/* The answer went out; the connection may end right behind it. */
static void on_answered(struct evhttp_request *ev, void *arg)
{
	struct http_server *s = arg;

	(void)ev;
	event_active(s->reap, EV_TIMEOUT, 0);
}

static void add_header(struct evhttp_request *ev, const char *name, const char *value)
{
	evhttp_add_header(evhttp_request_get_output_headers(ev), name, value);
}

static void send_json(
	struct http_server *s, struct evhttp_request *ev, int status, const json_t *body)
{
	struct evbuffer *out = evbuffer_new();
	char *text = body ? json_dumps(body, JSON_COMPACT) : strdup("{}");
	bool whole = out && text && evbuffer_add_printf(out, "%s\n", text) >= 0;

	free(text);
	if (evhttp_request_get_command(ev) == EVHTTP_REQ_HEAD && out)
		evbuffer_drain(out, evbuffer_get_length(out));
	add_header(ev, "Content-Type", "application/json");
	add_header(ev, "Cache-Control", "no-store");
	evhttp_request_set_on_complete_cb(ev, on_answered, s);
	evhttp_send_reply(ev, whole ? status : 500, NULL, whole ? out : NULL);
	if (out)
		evbuffer_free(out);
}

static void send_error(
	struct http_server *s, struct evhttp_request *ev, int status, const struct err *err)
{
	json_t *body = http_error_json(err);

	send_json(s, ev, body ? status : 500, body);
	json_decref(body);
}

/* Who asks, by the kernel's word. */
static int check_peer(
	struct http_server *s, struct bufferevent *bev, struct http_request *req, struct err *err)
{
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof cred;

	if (getsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return err_errno(err, "cannot tell who asks");
	req->uid = cred.uid;
	if (cred.uid == s->uid || cred.uid == 0) {
		snprintf(req->user, sizeof req->user, "%s", cred.uid == s->uid ? s->user : s->root);
		return 0;
	}
	req->status = 403;
	return err_set(err, ERR_REFUSED, "this daemon belongs to %s; uid %lu may not ask it",
		s->user, (unsigned long)cred.uid);
}

static int read_request(
	struct http_server *s, struct evhttp_request *ev, struct http_request *req, struct err *err)
{
	struct bufferevent *bev =
		evhttp_connection_get_bufferevent(evhttp_request_get_connection(ev));
	struct evbuffer *in = evhttp_request_get_input_buffer(ev);
	struct peer *peer = find_peer(s, bev);

	if (peer)
		peer->ticks = 0;
	if (check_peer(s, bev, req, err) < 0)
		return -1;
	if (http_request_match(req, s->routes, method_name(evhttp_request_get_command(ev)),
		    evhttp_request_get_uri(ev), err) < 0)
		return -1;
	size_t len = evbuffer_get_length(in);
	const char *text = len ? (const char *)evbuffer_pullup(in, -1) : "";
	if (!text)
		return err_nomem(err);
	return http_request_read_body(req, text, len, err);
}

static void on_request(struct evhttp_request *ev, void *arg)
{
	struct http_server *s = arg;
	struct http_request req;
	struct http_response res = { 0 };
	struct err err = { 0 };

	http_request_init(&req);
	int r = read_request(s, ev, &req, &err);
	if (req.allow[0] && r < 0)
		add_header(ev, "Allow", req.allow);
	if (r < 0)
		send_error(s, ev, req.status ? req.status : http_error_status(&err), &err);
	else if (req.route->handle(s->arg, &req, &res, &err) < 0)
		send_error(s, ev, http_error_status(&err), &err);
	else
		send_json(s, ev, res.status ? res.status : 200, res.body);
	json_decref(res.body);
	http_request_release(&req);
}

static void set_up(struct http_server *s)
{
	ev_uint16_t all = 0;

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		all |= (ev_uint16_t)methods[i].type;
	evhttp_set_allowed_methods(s->http, all);
	evhttp_set_max_headers_size(s->http, HEADERS_MAX);
	evhttp_set_max_body_size(s->http, HTTP_BODY_MAX);
	evhttp_set_default_content_type(s->http, NULL);
	evhttp_set_bevcb(s->http, on_connection, s);
	evhttp_set_gencb(s->http, on_request, s);
	evconnlistener_set_error_cb(s->listener, on_accept_error);
}

static int open_listener(struct http_server *s, struct err *err)
{
	int fd = http_sock_listen(s->path, &s->file, err);

	if (fd < 0)
		return -1;
	/* A backlog of 0: it listens already. */
	s->listener = evconnlistener_new(
		s->base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!s->listener) {
		http_sock_unlink(s->path, &s->file);
		close(fd);
		return err_nomem(err);
	}
	/* From now on the listener goes down with http. */
	if (!evhttp_bind_listener(s->http, s->listener)) {
		http_sock_unlink(s->path, &s->file);
		evconnlistener_free(s->listener);
		s->listener = NULL;
		return err_nomem(err);
	}
	return 0;
}

int http_server_new(struct http_server **ret, struct event_base *base, const char *socket_path,
	const struct http_route *routes, void *arg, struct err *err)
{
	struct http_server *s = calloc(1, sizeof *s);

	if (!s)
		return err_nomem(err);
	s->base = base;
	s->routes = routes;
	s->arg = arg;
	s->uid = geteuid();
	s->limits = (struct http_limits){ CONNECTIONS, REQUEST_MS };
	name_user(s->uid, s->user, sizeof s->user);
	name_user(0, s->root, sizeof s->root);
	s->path = strdup(socket_path);
	s->peers = calloc(CONNECTIONS_MAX, sizeof *s->peers);
	s->http = evhttp_new(base);
	s->tick = event_new(base, -1, EV_PERSIST, on_tick, s);
	s->reap = event_new(base, -1, 0, on_reap, s);
	if (!s->path || !s->peers || !s->http || !s->tick || !s->reap) {
		err_nomem(err);
		http_server_free(s);
		return -1;
	}
	if (open_listener(s, err) < 0) {
		http_server_free(s);
		return -1;
	}
	set_up(s);
	http_server_limit(s, &s->limits);
	*ret = s;
	return 0;
}

void http_server_limit(struct http_server *s, const struct http_limits *limits)
{
	int n = limits->connections, ms = limits->request_ms < 20 ? 20 : limits->request_ms;
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	s->limits.connections = n < 1 ? 1 : n > CONNECTIONS_MAX ? CONNECTIONS_MAX : n;
	s->limits.request_ms = ms;
	evhttp_set_timeout_tv(s->http, &tv);
	event_del(s->tick);
	set_listening(s);
	set_tick(s);
}

bool http_server_quiet(const struct http_server *s)
{
	for (int i = 0; i < s->npeers; i++) {
		const struct peer *p = &s->peers[i];
		if (!is_gone(p) && evbuffer_get_length(bufferevent_get_output(p->bev)) > 0)
			return false;
	}
	return true;
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	/* While its descriptor is open, the file's inode number is not used again. */
	if (s->listener)
		http_sock_unlink(s->path, &s->file);
	if (s->http)
		evhttp_free(s->http);
	for (int i = 0; i < s->npeers; i++)
		bufferevent_decref(s->peers[i].bev);
	if (s->tick)
		event_free(s->tick);
	if (s->reap)
		event_free(s->reap);
	free(s->peers);
	free(s->path);
	free(s);
}
