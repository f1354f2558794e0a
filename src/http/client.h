/* Ask the daemon of a WEIR_HOME: one HTTP request over its unix socket, and wait for the answer. */
#ifndef WEIR_HTTP_CLIENT_H
#define WEIR_HTTP_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

struct err;

struct http_call {
	const char *socket_path;
	const char *method; /* "POST" */
	const char *path;   /* "/v1/dags/nightly/pause"; values in it encoded (http_add_encoded) */
	json_t *body;       /* borrowed; NULL: none */
	int timeout_ms;     /* for all of it; 0: 30 s */
};

/* 0 with the answer's status (below 400) and body, a new reference; both may be NULL.
 * -1 with err: ERR_NOT_FOUND when nobody listens (no status then: 0), ERR_TIMEOUT, ERR_BUSY when
 * the daemon takes no more connections or goes away in the middle, and what the daemon itself
 * answers, with its code. *ret_status is then the status of the error's answer, or 0 when none
 * came. */
int http_call(const struct http_call *c, int *ret_status, json_t **ret_body, struct err *err);
/* Does somebody listen? Never waits. */
bool http_daemon_listens(const char *socket_path);

#endif
