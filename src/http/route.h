/* HTTP routes: tables that say what can be asked, and how a request is held against them.
 *
 * One row per method and path. From the same rows come the match of a request, the check of its
 * query and body, its errors, and the API's description. Nothing here talks to a socket.
 *
 * A request's target is "/v1/dags/nightly/runs?limit=10": its path is matched segment by segment,
 * each percent-decoded on its own (RFC 3986), so that a value may hold "/" as %2F. The first row
 * that matches wins. A handler sees only requests that fit their row.
 *
 * Errors are answered as {"error": {"code": "not_found", "message": "..."}} with the status of the
 * code's row (base/err.h), or with the status a rule here names.
 */
#ifndef WEIR_HTTP_ROUTE_H
#define WEIR_HTTP_ROUTE_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/arena.h"

struct buf;
struct err;
struct field;
struct http_request;
struct http_response;

enum {
	HTTP_PARAMS_MAX = 8,        /* of one path */
	HTTP_TARGET_MAX = 8192,     /* bytes of path and query */
	HTTP_BODY_MAX = 1024 * 1024 /* bytes of a request's body */
};

/* What can be asked. Tables end with a row whose method is NULL. */
struct http_route {
	const char *method;        /* "GET" */
	const char *path;          /* "/v1/dags/{dag}/pause" */
	const char *summary;       /* a line */
	const char *help;          /* sentences; may be NULL */
	const struct field *body;  /* rows of the JSON object sent; NULL: it takes no body */
	const struct field *query; /* rows of scalars behind "?"; NULL: none */
	/* 0 with `res` filled, or -1 with `err`, which is then the answer. */
	int (*handle)(void *arg, const struct http_request *req, struct http_response *res,
		struct err *err);
};

struct http_param {
	const char *name, *value; /* decoded, UTF-8, not empty, without control characters */
};

struct http_request {
	const struct http_route *route; /* NULL until matched */
	const char *method, *path;      /* path: decoded for reading, not for matching */
	struct http_param params[HTTP_PARAMS_MAX];
	size_t nparams;
	json_t *query;  /* an object: values typed by their rows, defaults filled in */
	json_t *body;   /* the same of the body; an empty object where there is none */
	uid_t uid;      /* of the peer */
	char user[64];  /* its name, or "uid 1000" */
	int status;     /* of the error that http_request_* gave, when not that of its code */
	char allow[64]; /* with status 405: "GET, POST" */
	struct arena arena;
};

struct http_response {
	int status;   /* 0: 200 */
	json_t *body; /* a new reference, which is taken; NULL: an empty object */
};

void http_request_init(struct http_request *req);
void http_request_release(struct http_request *req);
/* Find the row of a request and read its path and query. -1 with err: 404 with the nearest path,
 * 405 with `allow`, 400 for a target that is malformed, 422 for a query against its row. */
int http_request_match(struct http_request *req, const struct http_route *routes,
	const char *method, const char *target, struct err *err);
/* Read the body by the row that matched. -1 with err: 413 over HTTP_BODY_MAX, 400 for what is no
 * JSON object, 422 for what its rows do not allow. Empty stands for {}. */
int http_request_read_body(struct http_request *req, const char *text, size_t len, struct err *err);
/* A value of the path: "dag" of "/v1/dags/{dag}". NULL when the row has no such name. */
const char *http_param(const struct http_request *req, const char *name);
/* A text of the query or body; NULL when absent or no text. Borrowed from the request. */
const char *http_query_text(const struct http_request *req, const char *name);
const char *http_body_text(const struct http_request *req, const char *name);

/* The status and JSON of an error as it is answered. */
int http_error_status(const struct err *err);
json_t *http_error_json(const struct err *err);
/* Append `text` as one segment or query value, percent-encoded. */
int http_add_encoded(struct buf *out, const char *text);

/* OpenAPI 3.1 of the routes: a new reference, or NULL without memory. */
json_t *http_openapi(const struct http_route *routes);

#endif
