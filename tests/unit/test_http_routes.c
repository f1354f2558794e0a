/* The API's routes on operations: what a request becomes, who asks, and what is answered; without a
 * socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/err.h"
#include "core/model.h"
#include "http/route.h"
#include "http/routes.h"
#include "run/ops_call.h"
#include "store/store.h"

struct world {
	struct http_api api;
	struct dag *dag; /* "nightly", without a schedule and tasks */
	struct err err;
	int status;
	json_t *got;
	int nreloads;
};

static struct dag *find_dag(void *arg, const char *name, struct err *err)
{
	struct world *w = arg;

	if (strcmp(name, "nightly") == 0)
		return dag_ref(w->dag);
	err_set(err, ERR_NOT_FOUND, "no DAG \"%s\"", name);
	return NULL;
}

/* The daemon is the world itself here. */
static int reload(struct daemon *d, json_t **ret, struct err *err)
{
	struct world *w = (struct world *)(void *)d;

	if (w->nreloads++)
		return err_set(err, ERR_IO, "cannot read the folder");
	*ret = json_pack("{s:i}", "changed", 3);
	return 0;
}

static json_t *status(struct daemon *d)
{
	return d ? json_pack("{s:s}", "state", "running") : NULL;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof *w);
	int cycle[1], len;

	if (!w || store_open_memory(&w->api.ops.store, NULL) < 0 || !(w->dag = dag_new()))
		return -1;
	w->dag->name = "nightly";
	w->dag->path = w->dag->dir = w->dag->text = "x";
	strcpy(w->dag->hash, "v1");
	if (dag_seal(w->dag, cycle, &len, NULL) < 0)
		return -1;
	w->api.ops.find_dag = find_dag;
	w->api.ops.arg = w;
	w->api.daemon = (struct daemon *)(void *)w;
	w->api.reload = reload;
	w->api.status = status;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	json_decref(w->got);
	store_close(w->api.ops.store);
	dag_unref(w->dag);
	free(w);
	return 0;
}

static int ask(struct world *w, const char *method, const char *target, const char *body)
{
	struct http_request req;
	struct http_response res = { 0 };
	int rc;

	json_decref(w->got);
	w->got = NULL;
	err_clear(&w->err);
	http_request_init(&req);
	strcpy(req.user, "ann");
	rc = http_request_match(&req, http_routes(), method, target, &w->err);
	if (rc == 0)
		rc = http_request_read_body(&req, body, strlen(body), &w->err);
	if (rc == 0)
		rc = req.route->handle(&w->api, &req, &res, &w->err);
	w->status = rc == 0 ? 200 : req.status ? req.status : http_error_status(&w->err);
	w->got = res.body;
	http_request_release(&req);
	return rc;
}

static const char *text(const struct world *w, const char *key)
{
	const char *s = json_string_value(json_object_get(w->got, key));

	return s ? s : "(none)";
}

static const struct {
	const char *method, *target, *body, *says;
	int status;
} requests[] = {
	{ "GET", "/v1/status", "", "running", 200 },
	{ "POST", "/v1/reload", "", "changed", 200 },
	{ "POST", "/v1/reload", "", "cannot read the folder", 500 },
	{ "GET", "/v1/openapi.json", "", "/v1/dags/{dag}/tasks/{task}/freeze", 200 },
	{ "GET", "/v1/dags", "", "dags", 200 },
	{ "GET", "/v1/dags/nightly", "", "no DAG", 404 },
	{ "POST", "/v1/dags/nightly/pause", "{\"reason\": \"x\"}", "\"paused\": true", 200 },
	{ "GET", "/v1/dags/nightly", "", "\"paused\": true", 200 },
	{ "POST", "/v1/dags/*/pause", "", "\"all_paused\": true", 200 },
	{ "POST", "/v1/dags/%2A/resume", "{}", "\"all_paused\": false", 200 },
	{ "POST", "/v1/dags/nightly/resume", "{}", "\"paused\": false", 200 },
	{ "POST", "/v1/dags/nightly/drain", "{}", "\"draining\": true", 200 },
	{ "POST", "/v1/dags/nigthly/pause", "{}", "nigthly", 404 },
	{ "POST", "/v1/dags/nightly/pause", "{\"reson\": \"x\"}", "reason", 422 },
	{ "POST", "/v1/dags/nightly/pause", "{\"reason\": \"a\\nb\"}", "one line", 400 },
	{ "POST", "/v1/dags/nightly/pause", "[]", "", 400 },
	{ "POST", "/v1/dags/nightly/tasks/load/freeze", "{}", "no task", 404 },
	{ "POST", "/v1/dags/nightly/tasks/load/unfreeze", "{}", "no task", 404 },
	{ "POST", "/v1/dags/nightly/trigger", "{\"date\": \"2026-11-01\"}", "nightly@2026-11-01",
		200 },
	{ "POST", "/v1/dags/nightly/trigger", "{\"date\": \"2026-11-01\"}", "waiting", 409 },
	{ "POST", "/v1/dags/nightly/trigger", "{\"force\": 3}", "force", 422 },
	{ "POST", "/v1/dags/nightly/backfills", "{\"from\": \"2026-11-01\"}", "to", 422 },
	{ "POST", "/v1/dags/nightly/backfills",
		"{\"from\": \"2026-11-01\", \"to\": \"2026-11-03\", \"jobs\": 0}", "jobs", 422 },
	{ "POST", "/v1/dags/nightly/backfills",
		"{\"from\": \"2026-11-01\", \"to\": \"2026-11-03\", \"mode\": \"some\"}", "mode",
		422 },
	{ "POST", "/v1/dags/nightly/backfills",
		"{\"from\": \"2026-11-01\", \"to\": \"2026-11-03\", \"dry_run\": true}",
		"\"intervals\": [", 200 },
	{ "GET", "/v1/backfills", "", "\"backfills\": []", 200 },
	{ "POST", "/v1/dags/nightly/backfills",
		"{\"from\": \"2026-11-01\", \"to\": \"2026-11-03\"}", "\"backfill\": 1", 200 },
	{ "POST", "/v1/dags/nightly/backfills",
		"{\"from\": \"2026-11-03\", \"to\": \"2026-11-04\"}", "backfill 1", 409 },
	{ "POST", "/v1/backfills/1/pause", "", "\"state\": \"paused\"", 200 },
	{ "POST", "/v1/backfills/1/resume", "", "\"state\": \"running\"", 200 },
	{ "POST", "/v1/backfills/1/cancel", "", "\"state\": \"cancelled\"", 200 },
	{ "POST", "/v1/backfills/1/resume", "", "cancelled", 409 },
	{ "GET", "/v1/backfills/1", "", "failed_runs", 200 },
	{ "GET", "/v1/backfills/2", "", "no backfill 2", 404 },
	{ "GET", "/v1/backfills/x", "", "not the number", 400 },
	{ "GET", "/v1/backfills/99999999999999999999", "", "not the number", 400 },
	{ "DELETE", "/v1/backfills/1", "", "", 405 },
	{ "GET", "/v1/backfils", "", "/v1/backfills", 404 },
};

static void test_requests(void **state)
{
	struct world *w = *state;

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		ask(w, requests[i].method, requests[i].target, requests[i].body);
		char *json = w->got ? json_dumps(w->got, 0) : NULL;
		const char *said = json ? json : w->err.msg;
		if (w->status != requests[i].status || !strstr(said, requests[i].says))
			fail_msg("%s %s %s: %d: %s", requests[i].method, requests[i].target,
				requests[i].body, w->status, said);
		free(json);
	}
}

static const struct {
	const char *body, *by;
} askers[] = {
	{ "{}", "ann@socket" },
	{ "{\"by\": \"ann@laptop\"}", "ann@laptop" },
	{ "{\"by\": \"root@laptop\"}", "ann@socket for root@laptop" },
	{ "{\"by\": \"anna@laptop\"}", "ann@socket for anna@laptop" },
	{ "{\"by\": \"\"}", "ann@socket for " },
	{ "{\"by\": \"a\\nb\"}", "ann@socket for a b" },
};

static void test_who_asks(void **state)
{
	struct world *w = *state;
	char longer[1024] = "{\"by\": \"";

	for (size_t i = 0; i < sizeof askers / sizeof *askers; i++) {
		assert_int_equal(ask(w, "POST", "/v1/dags/*/pause", askers[i].body), 0);
		assert_string_equal(text(w, "by"), askers[i].by);
	}
	/* It is cut in the middle of a character, and still is UTF-8. */
	for (int i = 0; i < 200; i++)
		strcat(longer, "\xe2\x82\xac");
	strcat(longer, "\"}");
	assert_int_equal(ask(w, "POST", "/v1/dags/*/pause", longer), 0);
	assert_int_equal(strlen(text(w, "by")), 255);
}

/* One row for each method and path; each says what it is for. */
static void test_rows(void **state)
{
	const struct http_route *rows = http_routes();
	size_t n = 0;

	(void)state;
	for (; rows[n].method; n++) {
		assert_non_null(rows[n].summary);
		assert_non_null(rows[n].handle);
		for (size_t i = 0; i < n; i++)
			assert_false(strcmp(rows[i].method, rows[n].method) == 0 &&
				     strcmp(rows[i].path, rows[n].path) == 0);
	}
	assert_int_equal(n, OPS_CALL_MAX + 4);
	assert_ptr_equal(rows, http_routes());
}

#define ON_STORE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_STORE(test_requests),
		ON_STORE(test_who_asks),
		cmocka_unit_test(test_rows),
	};

	setenv("WEIR_TEST_CLOCK", "2026-11-20T12:00:00Z", 1);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
