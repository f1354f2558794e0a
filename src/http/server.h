/* The daemon's HTTP server on a unix socket (libevent's evhttp).
 *
 * Only the user the daemon runs as, and root, may ask: the socket's file is 0600, and each
 * request's peer is asked for its credentials (SO_PEERCRED, unix(7)); others get 403. Handlers run
 * in the event loop and must be short. Slow, silent and broken clients cost a connection for a
 * bounded time, never the loop: one that has not brought a whole request and taken its answer
 * within the limit is cut off; when all connections are in use, further clients wait in the
 * socket's queue.
 *
 * What HTTP itself refuses (garbage, headers above 16 KiB, an unknown method) is answered by
 * libevent: the status is right, the body is not JSON.
 */
#ifndef WEIR_HTTP_SERVER_H
#define WEIR_HTTP_SERVER_H

#include <stdbool.h>

struct err;
struct event_base;
struct http_route;
struct http_server;

struct http_limits {
	int connections; /* at once, 1 to 1024 */
	int request_ms;  /* for a request to arrive and its answer to be taken, at least 20 */
};

/* Listen on socket_path and serve `routes`, whose handlers get `arg`; both are borrowed until
 * http_server_free. A stale socket is replaced; ERR_REFUSED when somebody listens on it or it is no
 * socket. The process must ignore SIGPIPE. */
int http_server_new(struct http_server **ret, struct event_base *base, const char *socket_path,
	const struct http_route *routes, void *arg, struct err *err);
/* Close everything and remove the socket's file if it still is this server's. Not from a
 * handler. */
void http_server_free(struct http_server *s);
/* Other limits than 64 connections and 30 s. */
void http_server_limit(struct http_server *s, const struct http_limits *limits);
/* Has every client taken the answer it was given? To be asked before http_server_free. */
bool http_server_quiet(const struct http_server *s);
#endif
