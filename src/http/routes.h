/* The routes of the daemon's API: the operations of run/ops_call.h, and what only a daemon can
 * answer. */
#ifndef WEIR_HTTP_ROUTES_H
#define WEIR_HTTP_ROUTES_H

#include <jansson.h>

#include "run/ops.h"

struct daemon;
struct err;
struct http_route;

/* What the routes' handlers are given as `arg`. */
struct http_api {
	struct ops ops; /* its `by` is set for each request: the peer's user */
	struct daemon *daemon;
	/* Read the DAG folder anew: {"dags": n, "changed": n, "errors": n}, or what the daemon
	 * wants to say. */
	int (*reload)(struct daemon *d, json_t **ret, struct err *err);
	/* How the daemon and its DAGs stand: a new reference, or NULL without memory. */
	json_t *(*status)(struct daemon *d);
	/* What it knows of a DAG, a run and a task of it, each may be NULL: likewise. */
	json_t *(*live)(struct daemon *d, const char *dag, const char *run, const char *task);
};

/* The table; its last row's method is NULL. It lives as long as the process. */
const struct http_route *http_routes(void);

#endif
