#include "http/routes.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"
#include "conf/schema.h"
#include "http/route.h"
#include "run/ops_call.h"

enum { BY_MAX = 256 };

/* Who asks: the user at the other end of the socket, whom the kernel vouches for; and for whom,
 * when the request says so. A request of the user's own command line names the host as well. */
static void who_asks(const struct http_request *req, char *buf, size_t size)
{
	const char *by = http_body_text(req, "by");
	size_t n = strlen(req->user);

	if (!by)
		snprintf(buf, size, "%s@socket", req->user);
	else if (strncmp(by, req->user, n) == 0 && by[n] == '@')
		snprintf(buf, size, "%s", by);
	else
		snprintf(buf, size, "%s@socket for %s", req->user, by);
	/* It is kept and shown for ever: one line, and UTF-8 also where it was cut. */
	utf8_clean(buf, strlen(buf));
}

static int handle_call(const struct ops_call *call, const struct http_api *api,
	const struct http_request *req, struct http_response *res, struct err *err)
{
	struct ops_target target = { .dag = http_param(req, "dag"),
		.task = http_param(req, "task"),
		.run = http_param(req, "run"),
		.breaker = http_param(req, "breaker"),
		.dataset = http_param(req, "dataset") };
	const char *id = http_param(req, "id");
	struct ops ops = api->ops;
	char by[BY_MAX];

	if (id && ops_call_id(id, &target.id, err) < 0)
		return -1;
	who_asks(req, by, sizeof by);
	ops.by = by;
	return call->call(&ops, &target, req->body, &res->body, err);
}

static int handle_status(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	const struct http_api *api = arg;

	(void)req;
	res->body = api->status(api->daemon);
	return res->body ? 0 : err_nomem(err);
}

static int handle_live(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	const struct http_api *api = arg;

	res->body = api->live(api->daemon, http_query_text(req, "dag"), http_query_text(req, "run"),
		http_query_text(req, "task"));
	return res->body ? 0 : err_nomem(err);
}

static int handle_reload(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	const struct http_api *api = arg;

	(void)req;
	return api->reload(api->daemon, &res->body, err);
}

static int handle_openapi(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	(void)arg;
	(void)req;
	res->body = http_openapi(http_routes());
	return res->body ? 0 : err_nomem(err);
}

static const struct field live_query[] = {
	{ .key = "dag", .type = FIELD_STRING, .help = "The name of a DAG.", .example = "sales" },
	{ .key = "run",
		.type = FIELD_STRING,
		.help = "The name of a run.",
		.example = "sales@2026-11-19" },
	{ .key = "task", .type = FIELD_STRING, .help = "A task of the run.", .example = "load" },
	{ 0 },
};

static const struct http_route own[] = {
	{ .method = "GET",
		.path = "/v1/status",
		.summary = "How the daemon and its DAGs stand",
		.handle = handle_status },
	{ .method = "GET",
		.path = "/v1/live",
		.summary = "What the daemon alone knows of a DAG and a run",
		.help = "Its own troubles, the slots that are taken and by what, whether the run "
			"is "
			"in hand, and what the planner says of the DAG. Quick also with ten "
			"thousand DAGs.",
		.query = live_query,
		.handle = handle_live },
	{ .method = "POST",
		.path = "/v1/reload",
		.summary = "Read the DAG folder anew",
		.help = "The daemon sees changes of its folder by itself; this waits until they "
			"are "
			"read.",
		.handle = handle_reload },
	{ .method = "GET",
		.path = "/v1/openapi.json",
		.summary = "This API, described by OpenAPI 3.1",
		.handle = handle_openapi },
};
enum { NOWN = sizeof own / sizeof *own };

/* The rows of the operations come behind the daemon's own, in the order of ops_calls. */
static struct http_route table[NOWN + OPS_CALL_MAX + 1];

static int handle_op(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	return handle_call(&ops_calls[req->route - table - NOWN], arg, req, res, err);
}

const struct http_route *http_routes(void)
{
	if (table[0].method)
		return table;
	memcpy(table, own, sizeof own);
	for (int i = 0; i < OPS_CALL_MAX; i++)
		table[NOWN + i] = (struct http_route){ .method = ops_calls[i].method,
			.path = ops_calls[i].path,
			.summary = ops_calls[i].summary,
			.help = ops_calls[i].help,
			.body = ops_calls[i].body,
			.handle = handle_op };
	return table;
}
