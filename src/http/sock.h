/* Unix stream sockets by their path: what the server and the client of one path share.
 *
 * A path that does not fit into sun_path (108 bytes, unix(7)) is reached through its folder's
 * descriptor, /proc/self/fd/N/name; only the file's own name must be short. */
#ifndef WEIR_HTTP_SOCK_H
#define WEIR_HTTP_SOCK_H

#include <sys/stat.h>

struct err;

enum http_sock_state {
	HTTP_SOCK_ABSENT, /* no such file, or no such folder */
	HTTP_SOCK_STALE,  /* a socket nobody listens on */
	HTTP_SOCK_LISTENS,
	HTTP_SOCK_STATE_MAX
};

/* Connect, waiting at most timeout_ms for a listener whose queue is full. Returns a blocking
 * descriptor, close-on-exec; or -1 with err, errno kept: ENOENT and ECONNREFUSED say that nobody
 * listens, EAGAIN that the queue stayed full. */
int http_sock_connect(const char *path, int timeout_ms, struct err *err);
/* What is at `path`; never waits. -1 with err when it is no socket or cannot be asked. */
int http_sock_probe(const char *path, enum http_sock_state *ret, struct err *err);
/* Bind and listen, mode 0600, non-blocking, close-on-exec; a stale socket is replaced, one that is
 * listened on is ERR_REFUSED. The folder is locked meanwhile (flock), so that of two that start at
 * once one wins. `st` is what identifies the socket's file. The descriptor, or -1 with err. The
 * process's umask is changed for a moment: one thread only. */
int http_sock_listen(const char *path, struct stat *st, struct err *err);
/* Remove the file at `path` when it is still the one `st` tells of. */
void http_sock_unlink(const char *path, const struct stat *st);

#endif
