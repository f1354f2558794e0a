/* The HTTP of the daemon: routes, bodies, the server on its socket and the client, together. The
 * server runs in a forked child, which must end clean when it is told to. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/schema.h"
#include "http/answer.h"
#include "http/body.h"
#include "http/client.h"
#include "http/route.h"
#include "http/server.h"
#include "http/sock.h"

enum { BIG = 3 << 20, GUARD_S = 120 };

static bool stop; /* in the server's process */

/* Handlers. */

static int get_status(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	(void)err;
	res->body = json_pack("{s:s, s:s, s:i}", "arg", (const char *)arg, "user", req->user, "uid",
		(int)req->uid);
	return 0;
}

static int get_dag(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	const char *dag = http_param(req, "dag");

	(void)arg;
	if (strcmp(dag, "missing") == 0) {
		err_set(err, ERR_NOT_FOUND, "no DAG %s", dag);
		return err_where(err, "dags/x.yaml", 3, 9);
	}
	if (strcmp(dag, "latin1") == 0)
		return err_set(err, ERR_INVALID, "bytes \xff here");
	if (strcmp(dag, "silent") == 0)
		return -1;
	res->body = json_pack("{s:s}", "dag", dag);
	return 0;
}

static int get_nothing(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	(void)arg;
	(void)req;
	(void)err;
	res->status = 202;
	return 0;
}

static int echo(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	(void)arg;
	(void)err;
	res->body = json_pack("{s:O, s:O}", "body", req->body, "query", req->query);
	return 0;
}

static int get_big(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	char *text = malloc(BIG + 1);

	(void)arg;
	(void)req;
	if (!text)
		return err_nomem(err);
	memset(text, 'x', BIG);
	text[BIG] = '\0';
	res->body = json_pack("{s:s}", "text", text);
	free(text);
	return 0;
}

static int post_stop(
	void *arg, const struct http_request *req, struct http_response *res, struct err *err)
{
	(void)arg;
	(void)req;
	(void)res;
	(void)err;
	stop = true;
	return 0;
}

static const struct field tag = { .type = FIELD_NAME };
static const struct field any = { .type = FIELD_VALUE };
static const char *const states[] = { "success", "failed", NULL };

static const struct field deep[] = {
	{ .key = "wait", .type = FIELD_DURATION, .def = "1s" },
	{ 0 },
};

static const struct field pause_body[] = {
	{ .key = "reason", .type = FIELD_STRING, .flags = FIELD_REQUIRED, .help = "Why." },
	{ .key = "for", .type = FIELD_DURATION },
	{ .key = "jobs", .type = FIELD_INT, .has_min = true, .min = 1, .def = "4" },
	{ .key = "force", .type = FIELD_BOOL },
	{ .key = "tags", .type = FIELD_LIST, .flags = FIELD_OR_ONE, .item = &tag },
	{ .key = "params", .type = FIELD_MAP, .item = &any },
	{ .key = "deep", .type = FIELD_OBJECT, .fields = deep },
	{ .key = "date", .type = FIELD_DATE },
	{ 0 },
};

static const struct field runs_query[] = {
	{ .key = "limit", .type = FIELD_INT, .has_min = true, .min = 1, .def = "10" },
	{ .key = "state", .type = FIELD_ENUM, .values = states, .help = "Only these." },
	{ .key = "name", .type = FIELD_STRING },
	{ 0 },
};

static const struct field need_query[] = {
	{ .key = "from", .type = FIELD_DATE, .flags = FIELD_REQUIRED },
	{ 0 },
};

static const struct http_route routes[] = {
	{ "GET", "/v1/status", "Status", "All of it.", NULL, NULL, get_status },
	{ "GET", "/v1/dags/all", "All", NULL, NULL, NULL, get_nothing },
	{ "GET", "/v1/dags/{dag}", "One DAG", NULL, NULL, NULL, get_dag },
	{ "DELETE", "/v1/dags/{dag}", "Forget", NULL, NULL, NULL, get_dag },
	{ "POST", "/v1/dags/{dag}/pause", "Pause", NULL, pause_body, NULL, echo },
	{ "GET", "/v1/runs", "Runs", NULL, NULL, runs_query, echo },
	{ "GET", "/v1/need", "Runs", NULL, NULL, need_query, echo },
	{ "GET", "/v1/big", "Much", NULL, NULL, NULL, get_big },
	{ "POST", "/v1/stop", "Stop", NULL, NULL, NULL, post_stop },
	{ 0 },
};

/* The match of a request, without a socket. */

static const struct {
	const char *method, *target;
	int status;       /* 0: matched */
	const char *want; /* the row's path, or what the message says */
} matches[] = {
	{ "GET", "/v1/status", 0, "/v1/status" },
	{ "GET", "/v1/status?", 0, "/v1/status" },
	{ "GET", "/v1/status?&&", 0, "/v1/status" },
	{ "GET", "/v1/status#x", 0, "/v1/status" },
	{ "GET", "/v1/dags/all", 0, "/v1/dags/all" },
	{ "GET", "/v1/dags/alle", 0, "/v1/dags/{dag}" },
	{ "GET", "/v1/dags/a%2Fb", 0, "/v1/dags/{dag}" },
	{ "GET", "/v1/dags/%C3%A4", 0, "/v1/dags/{dag}" },
	{ "GET", "/v1/runs?limit=5&state=failed", 0, "/v1/runs" },
	{ "GET", "/v1/runs?name=a+b%26c", 0, "/v1/runs" },
	{ "POST", "/v1/dags/x/pause", 0, "/v1/dags/{dag}/pause" },
	{ "GET", "/v1/statu", 404, "did you mean /v1/status?" },
	{ "GET", "/v1/dags/nightly/paus", 404, "did you mean /v1/dags/nightly/pause?" },
	{ "GET", "/v1/status/", 404, "did you mean /v1/status?" },
	{ "GET", "/", 404, "there is no /" },
	{ "GET", "//", 404, "there is no //" },
	{ "GET", "/v1/dags/", 404, "there is no /v1/dags/" },
	{ "GET", "/v1/dags//pause", 404, "there is no" },
	{ "GET", "/v1/{dag}", 404, "there is no" },
	{ "GET", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/a/b/c/d/e/f/g/h", 404,
		"there is no" },
	{ "GET", "/v1/sta\x1btus\xff", 404, "/v1/sta?tus?" },
	{ "POST", "/v1/status", 405, "takes no POST; it takes GET" },
	{ "PUT", "/v1/dags/x", 405, "it takes GET, DELETE" },
	{ "get", "/v1/status", 405, "takes no get" },
	{ "HEAD", "/v1/status", 405, "takes no HEAD" },
	{ "GET", "v1/status", 400, "begin with /" },
	{ "GET", "", 400, "begin with /" },
	{ "GET", "http://weir/v1/status", 400, "begin with /" },
	{ "GET", "*", 400, "begin with /" },
	{ "GET", "/v1/dags/%", 400, "percent" },
	{ "GET", "/v1/dags/%4", 400, "percent" },
	{ "GET", "/v1/dags/%zz", 400, "percent" },
	{ "GET", "/v1/dags/a%00b", 400, "percent" },
	{ "GET", "/v1/dags/a%0Ab", 400, "percent" },
	{ "GET", "/v1/dags/%FF", 400, "percent" },
	{ "GET", "/v1/dags/%C0%80", 400, "percent" },
	{ "GET", "/v1/runs?na%ZZme=1", 400, "percent" },
	{ "GET", "/v1/runs?limit=1&limit=2", 400, "given twice" },
	{ "GET", "/v1/runs?limt=1", 422, "did you mean \"limit\"?" },
	{ "GET", "/v1/runs?limit=0", 422, "query: limit" },
	{ "GET", "/v1/runs?limit=ten", 422, "query: limit" },
	{ "GET", "/v1/runs?limit", 422, "query: limit" },
	{ "GET", "/v1/runs?state=fialed", 422, "did you mean \"failed\"" },
	{ "GET", "/v1/runs?=1", 422, "unknown key \"\"" },
	{ "GET", "/v1/status?x=1", 422, "unknown key \"x\"" },
	{ "GET", "/v1/need", 422, "\"from\" is missing" },
	{ "GET", "/v1/need?from=2026-02-30", 422, "query: from" },
};

static void match_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof matches / sizeof *matches; i++) {
		struct http_request req;
		struct err err = { 0 };
		http_request_init(&req);
		int r = http_request_match(
			&req, routes, matches[i].method, matches[i].target, &err);
		int status = r == 0 ? 0 : req.status ? req.status : http_error_status(&err);
		const char *text = r == 0 ? req.route->path : err.msg;
		if (status != matches[i].status || !strstr(text, matches[i].want))
			fail_msg(
				"%s %s: %d %s", matches[i].method, matches[i].target, status, text);
		http_request_release(&req);
	}
}

static void match_values(void **state)
{
	struct http_request req;

	(void)state;
	http_request_init(&req);
	assert_int_equal(http_request_match(&req, routes, "GET", "/v1/dags/a%2Fb+%C3%A4", NULL), 0);
	assert_string_equal(http_param(&req, "dag"), "a/b+\xc3\xa4");
	assert_null(http_param(&req, "dags"));
	http_request_release(&req);
	assert_int_equal(http_request_match(
				 &req, routes, "GET", "/v1/runs?name=a+b%26%3D&state=failed", NULL),
		0);
	assert_string_equal(http_query_text(&req, "name"), "a b&=");
	assert_string_equal(http_query_text(&req, "state"), "failed");
	assert_null(http_query_text(&req, "limit"));
	assert_int_equal(json_integer_value(json_object_get(req.query, "limit")), 10);
	http_request_release(&req);
}

static void match_long(void **state)
{
	char *target = malloc(HTTP_TARGET_MAX + 2);
	struct http_request req;
	struct err err = { 0 };

	(void)state;
	assert_non_null(target);
	for (int extra = 0; extra < 2; extra++) {
		memset(target, 'a', HTTP_TARGET_MAX + 1);
		memcpy(target, "/v1/dags/", 9);
		target[HTTP_TARGET_MAX + extra] = '\0';
		http_request_init(&req);
		int r = http_request_match(&req, routes, "GET", target, &err);
		assert_int_equal(r, extra ? -1 : 0);
		assert_int_equal(req.status, extra ? 414 : 0);
		http_request_release(&req);
	}
	free(target);
}

static void encode(void **state)
{
	struct http_request req;
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	buf_addstr(&b, "/v1/dags/");
	assert_int_equal(http_add_encoded(&b, "a/b c+%\xc3\xa4~.-_Z9"), 0);
	assert_string_equal(b.data, "/v1/dags/a%2Fb%20c%2B%25%C3%A4~.-_Z9");
	http_request_init(&req);
	assert_int_equal(http_request_match(&req, routes, "GET", b.data, NULL), 0);
	assert_string_equal(http_param(&req, "dag"), "a/b c+%\xc3\xa4~.-_Z9");
	http_request_release(&req);
	buf_release(&b);
}

/* Bodies by their rows. */

static const struct {
	const char *text;
	enum err_code code;
	const char *want; /* the typed JSON, or what the message says */
} bodies[] = {
	{ "{\"reason\":\"x\"}", ERR_NONE, "{\"reason\":\"x\",\"jobs\":4}" },
	{ " {\"reason\":\"x\",\"for\":\"30m\"}\r\n", ERR_NONE,
		"{\"reason\":\"x\",\"for\":1800000000,\"jobs\":4}" },
	{ "{\"reason\":5,\"jobs\":2}", ERR_NONE, "{\"reason\":\"5\",\"jobs\":2}" },
	{ "{\"reason\":\"\",\"force\":true}", ERR_NONE,
		"{\"reason\":\"\",\"jobs\":4,\"force\":true}" },
	{ "{\"reason\":\"x\",\"tags\":\"a\"}", ERR_NONE,
		"{\"reason\":\"x\",\"jobs\":4,\"tags\":[\"a\"]}" },
	{ "{\"reason\":\"x\",\"tags\":[\"a\",\"b\"]}", ERR_NONE,
		"{\"reason\":\"x\",\"jobs\":4,\"tags\":[\"a\",\"b\"]}" },
	{ "{\"reason\":\"x\",\"params\":{\"a\":1,\"b\":\"1\",\"c\":null,\"d\":1.5}}", ERR_NONE,
		"{\"reason\":\"x\",\"jobs\":4,\"params\":{\"a\":1,\"b\":\"1\",\"c\":null,\"d\":1.5}"
		"}" },
	{ "{\"reason\":\"x\",\"deep\":{}}", ERR_NONE,
		"{\"reason\":\"x\",\"jobs\":4,\"deep\":{\"wait\":1000000}}" },
	{ "{\"reason\":\"{{ ds }}\"}", ERR_NONE, "{\"reason\":\"{{ ds }}\",\"jobs\":4}" },
	{ "", ERR_INVALID, "\"reason\" is missing" },
	{ "{}", ERR_INVALID, "\"reason\" is missing" },
	{ "{\"reson\":\"x\"}", ERR_INVALID, "did you mean \"reason\"?" },
	{ "{\"reason\":\"x\",\"a\":1,\"b\":1,\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1}", ERR_INVALID,
		"" },
	{ "{\"reason\":null}", ERR_INVALID, "reason: expected a string" },
	{ "{\"reason\":[]}", ERR_INVALID, "reason: expected a string" },
	{ "{\"reason\":\"x\",\"jobs\":0}", ERR_INVALID, "jobs: " },
	{ "{\"reason\":\"x\",\"jobs\":\"3\"}", ERR_INVALID, "jobs: expected an integer" },
	{ "{\"reason\":\"x\",\"jobs\":1.5}", ERR_INVALID, "jobs: expected an integer" },
	{ "{\"reason\":\"x\",\"force\":1}", ERR_INVALID, "force: expected true or false" },
	{ "{\"reason\":\"x\",\"for\":\"soon\"}", ERR_INVALID, "for: " },
	{ "{\"reason\":\"x\",\"tags\":[\"a b\"]}", ERR_INVALID, "is not a name" },
	{ "{\"reason\":\"x\",\"tags\":[[]]}", ERR_INVALID, "tags" },
	{ "{\"reason\":\"x\",\"deep\":{\"wiat\":1}}", ERR_INVALID, "did you mean \"wait\"?" },
	{ "{\"reason\":\"x\",\"date\":\"2026-13-01\"}", ERR_INVALID, "date: " },
	{ "[]", ERR_USAGE, "not a JSON object" },
	{ "null", ERR_USAGE, "not a JSON object" },
	{ "\"x\"", ERR_USAGE, "not a JSON object" },
	{ "{", ERR_USAGE, "not JSON: line 1, column 1" },
	{ "{\"reason\":\"x\"", ERR_USAGE, "not JSON" },
	{ "{\"reason\":\"x\"} {}", ERR_USAGE, "not JSON" },
	{ "{\"reason\":\"x\",\"reason\":\"y\"}", ERR_USAGE, "not JSON" },
	{ "{\"reason\":\"\xff\"}", ERR_USAGE, "not JSON" },
	{ "{\"reason\":\"\\u0000\"}", ERR_USAGE, "not JSON" },
	{ "{\"reason\":1e999}", ERR_USAGE, "not JSON" },
	{ "reason=x", ERR_USAGE, "not JSON" },
};

static void body_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		const char *text = bodies[i].text;
		struct err err = { 0 };
		/* The text is no string: nothing behind its end may be read. */
		char *copy = malloc(strlen(text) + !*text);
		assert_non_null(copy);
		memcpy(copy, text, strlen(text));
		json_t *j = http_body_read(pause_body, copy, strlen(text), &err);
		char *got = j ? json_dumps(j, JSON_COMPACT) : strdup(err.msg);
		assert_non_null(got);
		bool good = j ? bodies[i].code == ERR_NONE && strcmp(got, bodies[i].want) == 0
			      : err.code == bodies[i].code && strstr(got, bodies[i].want);
		if (!good)
			fail_msg("%s: %s %s", text, err_info(err.code)->name, got);
		free(got);
		free(copy);
		json_decref(j);
	}
}

static void body_none(void **state)
{
	struct err err = { 0 };
	json_t *j;

	(void)state;
	j = http_body_read(NULL, "", 0, &err);
	assert_non_null(j);
	json_decref(j);
	j = http_body_read(NULL, "{}", 2, &err);
	assert_non_null(j);
	json_decref(j);
	assert_null(http_body_read(NULL, "{\"a\":1}", 7, &err));
	assert_non_null(strstr(err.msg, "takes no body"));
	assert_null(http_body_read(NULL, "\0\0", 2, &err));
	assert_int_equal(err.code, ERR_USAGE);
}

static void body_many_keys(void **state)
{
	struct err err = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_addc(&b, '{');
	for (int i = 0; i < 50000; i++)
		buf_addf(&b, "%s\"k%d\":1", i ? "," : "", i);
	buf_addc(&b, '}');
	assert_null(http_body_read(pause_body, b.data, b.len, &err));
	assert_non_null(strstr(err.msg, "more than 1000 keys"));
	buf_clear(&b);
	buf_addstr(&b, "{\"reason\":\"x\",\"tags\":[");
	buf_addpad(&b, '[', 100000);
	assert_null(http_body_read(pause_body, b.data, b.len, &err));
	assert_int_equal(err.code, ERR_USAGE);
	buf_clear(&b);
	buf_addstr(&b, "{\"reason\":\"x\",\"tags\":[1");
	for (int i = 0; i < 400000; i++)
		buf_addstr(&b, ",1");
	buf_addstr(&b, "]}");
	assert_null(http_body_read(pause_body, b.data, b.len, &err));
	assert_int_equal(err.code, ERR_INVALID);
	buf_release(&b);
}

/* Answers, read as they come. */

static const struct {
	const char *text;
	int want; /* state at the end of the connection, or -1 */
	int status;
	const char *body;
	bool early; /* whole before the connection ends */
} answers[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", HTTP_ANSWER_WHOLE, 200, "{}", true },
	{ "HTTP/1.1 200 OK\r\ncontent-length:\t2 \r\n\r\n{}", HTTP_ANSWER_WHOLE, 200, "{}", true },
	{ "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", HTTP_ANSWER_WHOLE, 200, "{}", true },
	{ "HTTP/1.0 200\r\n\r\n{}", HTTP_ANSWER_WHOLE, 200, "{}", false },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
		HTTP_ANSWER_WHOLE, 404, "", true },
	{ "HTTP/1.1 204 No Content\r\n\r\n", HTTP_ANSWER_WHOLE, 204, "", true },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", HTTP_ANSWER_WHOLE, 200, "{", true },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", -1, 0, NULL, false },
	{ "HTTP/1.1 200 OK\r\nContent-Le", -1, 0, NULL, false },
	{ "HTTP/1.1 100 Continue\r\n\r\n", -1, 0, NULL, false },
	{ "", -1, 0, NULL, false },
	{ "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -1, 0, NULL, true },
	{ "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n", -1, 0, NULL, true },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", -1, 0, NULL, true },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", -1, 0, NULL, true },
	{ "HTTP/2.0 200 OK\r\n\r\n", -1, 0, NULL, true },
	{ "SSH-2.0-OpenSSH_9.2\r\n", -1, 0, NULL, true },
	{ "\r\n", -1, 0, NULL, true },
};

static void answer_one(size_t i)
{
	const char *text = answers[i].text;
	size_t len = strlen(text);
	struct http_answer a;
	struct err err = { 0 };
	bool early = false;

	for (size_t n = 0; n < len + 1 && !early; n++) {
		char *copy = malloc(n ? n : 1);
		assert_non_null(copy);
		memcpy(copy, text, n);
		early = http_answer_read(copy, n, false, &a, &err) != HTTP_ANSWER_MORE;
		free(copy);
	}
	assert_int_equal(early, answers[i].early);
	assert_int_equal(http_answer_read(text, len, true, &a, &err), answers[i].want);
	if (answers[i].want < 0)
		return;
	assert_int_equal(a.status, answers[i].status);
	assert_int_equal(a.body_len, strlen(answers[i].body));
	assert_memory_equal(text + a.body_at, answers[i].body, a.body_len);
}

static void answer_table(void **state)
{
	struct http_answer a;
	struct err err = { 0 };
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		answer_one(i);
	buf_init(&b, 1 << 20);
	buf_addstr(&b, "HTTP/1.1 200 OK\r\n");
	buf_addpad(&b, 'a', 70000);
	assert_int_equal(http_answer_read(b.data, b.len, false, &a, &err), -1);
	buf_release(&b);
}

/* A place with a socket, and the server in its process. */
struct place {
	char dir[64];
	char path[128];
	pid_t pid;
};

static const struct http_limits usual = { 16, 20 * 1000 };

static void place_init(struct place *p)
{
	*p = (struct place){ 0 };
	snprintf(p->dir, sizeof p->dir, "/tmp/weir-http-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof p->path, "%s/sock", p->dir);
}

static void place_release(struct place *p)
{
	unlink(p->path);
	assert_int_equal(rmdir(p->dir), 0);
}

/* The child: 0 when all went well and nothing of the socket is left. */
static int serve(const char *path, const struct http_limits *limits, int ready)
{
	struct event_base *base = event_base_new();
	struct http_server *s;
	struct err err = { 0 };

	stop = false;
	if (!base || http_server_new(&s, base, path, routes, "hello", &err) < 0)
		return 3;
	http_server_limit(s, limits);
	if (write(ready, "x", 1) != 1)
		return 4;
	close(ready);
	while (!stop || !http_server_quiet(s))
		event_base_loop(base, EVLOOP_ONCE);
	http_server_free(s);
	event_base_free(base);
	return access(path, F_OK) == 0 ? 5 : 0;
}

static void place_start(struct place *p, const struct http_limits *limits)
{
	int ready[2];
	char c;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	fflush(NULL);
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		close(ready[0]);
		alarm(GUARD_S);
		int r = serve(p->path, limits, ready[1]);
		/* For the leak checker of a sanitizer, which traces its own process. */
		if (seteuid(getuid()) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
			exit(6);
		exit(r);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
}

static int ask(struct place *p, const char *method, const char *path, json_t **ret, struct err *err)
{
	struct http_call c = { p->path, method, path, NULL, GUARD_S * 1000 };

	return http_call(&c, NULL, ret, err);
}

static void place_stop(struct place *p)
{
	struct err err = { 0 };
	int status, r, tries = 0;

	/* With short limits, on a machine that is busy, even this may be cut off. */
	do
		r = ask(p, "POST", "/v1/stop", NULL, &err);
	while (r < 0 && err.code == ERR_BUSY && ++tries < 50);
	if (r < 0 && !(tries && err.code == ERR_NOT_FOUND))
		fail_msg("stop: %s", err.msg);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static int raw_connect(const struct place *p)
{
	struct timeval tv = { GUARD_S, 0 };
	struct err err = { 0 };
	int fd = http_sock_connect(p->path, GUARD_S * 1000, &err);

	if (fd < 0)
		fail_msg("%s", err.msg);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	return fd;
}

/* All that comes until the other side ends it. */
static void raw_read(int fd, struct buf *out)
{
	char chunk[4096];
	ssize_t n;

	while ((n = recv(fd, chunk, sizeof chunk, 0)) > 0)
		buf_add(out, chunk, (size_t)n);
	if (n < 0 && errno != ECONNRESET)
		fail_msg("the server keeps the connection: %s", strerror(errno));
}

/* Send, end the sending side unless the text asks the server to end, and take what comes. */
static void raw(const struct place *p, const void *text, size_t len, struct buf *out)
{
	int fd = raw_connect(p);

	buf_clear(out);
	for (size_t at = 0; at < len;) {
		ssize_t n = send(fd, (const char *)text + at, len - at, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	if (!memmem(text, len, "Connection: close", 17))
		shutdown(fd, SHUT_WR);
	raw_read(fd, out);
	close(fd);
}

static size_t count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

static const struct {
	const char *method, *path, *body;
	int status;
	enum err_code code;
	const char *want; /* the body, or the message's part */
} calls[] = {
	{ "GET", "/v1/dags/nightly", NULL, 200, ERR_NONE, "{\"dag\":\"nightly\"}" },
	{ "GET", "/v1/dags/a%2Fb", NULL, 200, ERR_NONE, "{\"dag\":\"a/b\"}" },
	{ "DELETE", "/v1/dags/nightly", NULL, 200, ERR_NONE, "{\"dag\":\"nightly\"}" },
	{ "GET", "/v1/dags/all", NULL, 202, ERR_NONE, "{}" },
	{ "GET", "/v1/runs?limit=3", NULL, 200, ERR_NONE, "{\"body\":{},\"query\":{\"limit\":3}}" },
	{ "POST", "/v1/dags/x/pause", "{\"reason\":\"y\",\"for\":\"1s\"}", 200, ERR_NONE,
		"{\"body\":{\"reason\":\"y\",\"for\":1000000,\"jobs\":4},\"query\":{}}" },
	{ "GET", "/v1/dags/missing", NULL, 404, ERR_NOT_FOUND, "no DAG missing" },
	{ "GET", "/v1/dags/latin1", NULL, 422, ERR_INVALID, "bytes ? here" },
	{ "GET", "/v1/dags/silent", NULL, 500, ERR_INTERNAL, "a bug in weir" },
	{ "GET", "/v1/statu", NULL, 404, ERR_NOT_FOUND, "did you mean /v1/status?" },
	{ "POST", "/v1/status", NULL, 405, ERR_USAGE, "it takes GET" },
	{ "HEAD", "/v1/status", NULL, 405, ERR_USAGE, "405 Method Not Allowed" },
	{ "PATCH", "/v1/status", NULL, 405, ERR_USAGE, "it takes GET" },
	{ "GET", "/v1/runs?limt=3", NULL, 422, ERR_INVALID, "did you mean \"limit\"?" },
	{ "POST", "/v1/dags/x/pause", "{\"reson\":\"y\"}", 422, ERR_INVALID, "\"reason\"?" },
	{ "POST", "/v1/dags/x/pause", NULL, 422, ERR_INVALID, "\"reason\" is missing" },
	{ "POST", "/v1/dags/x/pause", "[1]", 400, ERR_USAGE, "not a JSON object" },
	{ "POST", "/v1/stop", "{\"now\":true}", 422, ERR_INVALID, "takes no body" },
	{ "BREW", "/v1/status", NULL, 501, ERR_BUSY, "501" },
};

static void call_one(struct place *p, size_t i)
{
	json_t *body = calls[i].body ? json_loads(calls[i].body, 0, NULL) : NULL, *answer = NULL;
	struct http_call c = { p->path, calls[i].method, calls[i].path, body, 0 };
	struct err err = { 0 };
	int status = -1, r = http_call(&c, &status, &answer, &err);
	char *got = r == 0 ? json_dumps(answer, JSON_COMPACT) : strdup(err.msg);

	assert_non_null(got);
	bool good = r == 0 ? strcmp(got, calls[i].want) == 0 : strstr(got, calls[i].want) != NULL;
	if (!good || status != calls[i].status || err.code != calls[i].code)
		fail_msg(
			"%s %s: %d %s %s", c.method, c.path, status, err_info(err.code)->name, got);
	free(got);
	json_decref(body);
	json_decref(answer);
}

static void call_table(void **state)
{
	struct place p;
	struct err err = { 0 };
	json_t *j = NULL;

	(void)state;
	place_init(&p);
	place_start(&p, &usual);
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		call_one(&p, i);
	assert_int_equal(ask(&p, "GET", "/v1/status", &j, &err), 0);
	assert_string_equal(json_string_value(json_object_get(j, "arg")), "hello");
	assert_int_equal(json_integer_value(json_object_get(j, "uid")), geteuid());
	assert_true(json_string_length(json_object_get(j, "user")) > 0);
	json_decref(j);
	assert_int_equal(ask(&p, "GET", "/v1/dags/missing", &j, &err), -1);
	assert_string_equal(err.file, "dags/x.yaml");
	assert_int_equal(err.line, 3);
	assert_int_equal(err.col, 9);
	assert_int_equal(ask(&p, "GET", "/v1/big", &j, &err), 0);
	assert_int_equal(json_string_length(json_object_get(j, "text")), BIG);
	json_decref(j);
	assert_int_equal(ask(&p, "GET", "/v1/x y", NULL, &err), -1);
	assert_int_equal(err.code, ERR_INTERNAL);
	place_stop(&p);
	place_release(&p);
}

/* What no decent client sends. Each is answered or cut off, and the next one is served. */
static const struct {
	const char *text, *want; /* want: how the answer begins; NULL: nothing need come */
	size_t answers;          /* status lines in it; 0: not counted */
} rude[] = {
	{ "", NULL, 0 },
	{ "\r\n\r\n", NULL, 0 },
	{ "garbage\r\n\r\n", NULL, 0 },
	{ "\x16\x03\x01\x02\x01garbage\n\n", NULL, 0 },
	{ "GET", NULL, 0 },
	{ "GET /v1/status", NULL, 0 },
	{ "GET /v1/status HTTP/1.1\r\nHost: x\r\n", NULL, 0 },
	{ "GET /v1/status HTTP/9.9\r\n\r\n", NULL, 0 },
	{ "GET /v1/status HTTP/1.1\r\nno colon\r\n\r\n", "HTTP/1.1 400", 1 },
	{ "GET /v1/dags/%00 HTTP/1.0\r\n\r\n", "HTTP/1.0 400", 1 },
	{ "GET /v1/dags/a%zz HTTP/1.0\r\n\r\n", "HTTP/1.0 400", 1 },
	{ "GET /../../etc/passwd HTTP/1.0\r\n\r\n", "HTTP/1.0 404", 1 },
	{ "GET http://other/v1/status HTTP/1.0\r\n\r\n", "HTTP/1.0 400", 1 },
	{ "BREW /v1/status HTTP/1.1\r\n\r\n", "HTTP/1.1 501", 1 },
	{ "PUT /v1/status HTTP/1.0\r\n\r\n", "HTTP/1.0 405", 1 },
	{ "GET /v1/status HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK", 1 },
	{ "GET /v1/status HTTP/1.1\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK", 1 },
	{ "GET /v1/status HTTP/1.1\r\n\r\nGET /v1/dags/b HTTP/1.1\r\n\r\n"
	  "GET /v1/dags/c HTTP/1.1\r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK", 3 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nConnection: close\r\nContent-Length: 14\r\n\r\n"
	  "{\"reason\":\"y\"}",
		"HTTP/1.1 200", 1 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nConnection: close\r\nContent-Type: text/plain\r\n"
	  "Content-Length: 14\r\n\r\n{\"reason\":\"y\"}",
		"HTTP/1.1 200", 1 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: "
	  "chunked\r\n\r\n"
	  "7\r\n{\"reaso\r\n7\r\nn\":\"y\"}\r\n0\r\n\r\n",
		"HTTP/1.1 200", 1 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: "
	  "chunked\r\n\r\n"
	  "zz\r\n{}\r\n0\r\n\r\n",
		NULL, 0 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: "
	  "chunked\r\n\r\n"
	  "ffffffffffffffff\r\n{}\r\n0\r\n\r\n",
		NULL, 0 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nConnection: close\r\nContent-Length: 4\r\n\r\n{\"a}",
		"HTTP/1.1 400", 1 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"a}", NULL, 0 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nContent-Length: -5\r\n\r\n{}", NULL, 0 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}", NULL,
		0 },
	{ "POST /v1/dags/x/pause HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n{}", "HTTP/1.1 413",
		1 },
};

static void rude_one(struct place *p, size_t i, struct buf *out)
{
	struct err err = { 0 };

	raw(p, rude[i].text, strlen(rude[i].text), out);
	if (rude[i].want && strncmp(out->data, rude[i].want, strlen(rude[i].want)) != 0)
		fail_msg("%s: %s", rude[i].text, out->data);
	if (rude[i].answers && count(out->data, "HTTP/1.") != rude[i].answers)
		fail_msg("%s: %s", rude[i].text, out->data);
	if (ask(p, "GET", "/v1/status", NULL, &err) < 0)
		fail_msg("after %s: %s", rude[i].text, err.msg);
}

static void rude_table(void **state)
{
	struct place p;
	struct buf out;

	(void)state;
	place_init(&p);
	place_start(&p, &usual);
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < sizeof rude / sizeof *rude; i++)
		rude_one(&p, i, &out);
	raw(&p, "PUT /v1/dags/x HTTP/1.0\r\n\r\n", 28, &out);
	assert_non_null(strstr(out.data, "Allow: GET, DELETE\r\n"));
	raw(&p, "GET /v1/status\0 HTTP/1.0\r\n\r\n\0\0", 30, &out);
	buf_release(&out);
	place_stop(&p);
	place_release(&p);
}

static void huge(void **state)
{
	struct place p;
	struct buf in, out;
	struct err err = { 0 };

	(void)state;
	place_init(&p);
	place_start(&p, &usual);
	buf_init(&in, 8 << 20);
	buf_init(&out, 8 << 20);
	buf_addstr(&in, "GET /v1/status HTTP/1.1\r\nX: ");
	buf_addpad(&in, 'a', 1 << 20);
	buf_addstr(&in, "\r\n\r\n");
	raw(&p, in.data, in.len, &out);
	assert_null(strstr(out.data, " 200 "));
	buf_clear(&in);
	buf_addpad(&in, 'G', 1 << 20);
	raw(&p, in.data, in.len, &out);
	assert_null(strstr(out.data, " 200 "));
	buf_clear(&in);
	buf_addstr(&in, "GET /v1/dags/");
	buf_addpad(&in, 'a', HTTP_TARGET_MAX);
	buf_addstr(&in, " HTTP/1.0\r\n\r\n");
	raw(&p, in.data, in.len, &out);
	assert_int_equal(strncmp(out.data, "HTTP/1.0 414", 12), 0);
	buf_clear(&in);
	buf_addstr(&in, "POST /v1/dags/x/pause HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 40; i++) {
		buf_addstr(&in, "10000\r\n");
		buf_addpad(&in, ' ', 0x10000);
		buf_addstr(&in, "\r\n");
	}
	raw(&p, in.data, in.len, &out);
	assert_null(strstr(out.data, " 200 "));
	/* The same through the client, which reads the refusal although it could not send all. */
	buf_clear(&in);
	buf_addpad(&in, 'x', 4 << 20);
	json_t *body = json_pack("{s:s}", "reason", in.data);
	struct http_call c = { p.path, "POST", "/v1/dags/x/pause", body, GUARD_S * 1000 };
	int status = 0;
	assert_int_equal(http_call(&c, &status, NULL, &err), -1);
	assert_int_equal(status, 413);
	assert_int_equal(err.code, ERR_USAGE);
	json_decref(body);
	buf_release(&in);
	buf_release(&out);
	place_stop(&p);
	place_release(&p);
}

/* Clients that are too slow are cut off, however alive they look. */
static void slow(void **state)
{
	static const char *const halves[] = { "", "GET /v1/sta", "GET /v1/status HTTP/1.1\r\nX: ",
		"POST /v1/stop HTTP/1.1\r\nContent-Length: 9\r\n\r\n{" };
	static const struct http_limits short_ones = { 16, 60 };
	struct place p;
	struct buf out;

	(void)state;
	place_init(&p);
	place_start(&p, &short_ones);
	buf_init(&out, 8 << 20);
	for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
		int fd = raw_connect(&p);
		assert_int_equal(
			send(fd, halves[i], strlen(halves[i]), MSG_NOSIGNAL), strlen(halves[i]));
		raw_read(fd, &out);
		close(fd);
	}
	/* Byte by byte, each well within the limit. */
	int fd = raw_connect(&p), sent = 0;
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	assert_true(send(fd, "GET /v1/status HTTP/1.1\r\nX: ", 28, MSG_NOSIGNAL) == 28);
	while (poll(&poll_fd, 1, 5) == 0 && sent++ < 5000)
		if (send(fd, "a", 1, MSG_NOSIGNAL) < 0)
			break;
	assert_true(sent < 5000);
	close(fd);
	/* Asks for much and takes none of it, then all of it: it was cut off. */
	fd = raw_connect(&p);
	assert_true(send(fd, "GET /v1/big HTTP/1.1\r\n\r\n", 24, MSG_NOSIGNAL) == 24);
	poll_fd = (struct pollfd){ .fd = fd, .events = POLLRDHUP };
	assert_int_equal(poll(&poll_fd, 1, GUARD_S * 1000), 1);
	buf_clear(&out);
	raw_read(fd, &out);
	assert_true(out.len < BIG);
	close(fd);
	buf_release(&out);
	place_stop(&p);
	place_release(&p);
}

/* When all connections are in use, others wait; they are served once one is free. */
static void bounded(void **state)
{
	static const struct http_limits two = { 2, 20 * 1000 };
	struct place p;
	struct err err = { 0 };

	(void)state;
	place_init(&p);
	place_start(&p, &two);
	int a = raw_connect(&p), b = raw_connect(&p);
	struct http_call c = { p.path, "GET", "/v1/status", NULL, 100 };
	assert_int_equal(http_call(&c, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERR_TIMEOUT);
	close(a);
	assert_int_equal(ask(&p, "GET", "/v1/status", NULL, &err), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(ask(&p, "GET", "/v1/status", NULL, &err), 0);
	close(b);
	place_stop(&p);
	place_release(&p);
}

/* Sockets: stale ones, others' ones, long paths. */

static int listen_raw(const char *path, int backlog)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	snprintf(un.sun_path, sizeof un.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	if (backlog >= 0)
		assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static void nobody(void **state)
{
	struct place p;
	struct err err = { 0 };

	(void)state;
	place_init(&p);
	assert_false(http_daemon_listens(p.path));
	assert_int_equal(ask(&p, "GET", "/v1/status", NULL, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_non_null(strstr(err.msg, "no daemon is running (no one listens on /tmp/"));
	close(listen_raw(p.path, 1));
	assert_false(http_daemon_listens(p.path));
	assert_int_equal(ask(&p, "GET", "/v1/status", NULL, &err), -1);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_false(http_daemon_listens("/nowhere/at/all/sock"));
	assert_false(http_daemon_listens("/dev/null"));
	place_release(&p);
}

static void stale(void **state)
{
	struct place p;
	struct stat st;
	mode_t mask = umask(0);

	(void)state;
	place_init(&p);
	close(listen_raw(p.path, 1));
	assert_int_equal(access(p.path, F_OK), 0);
	place_start(&p, &usual);
	assert_true(http_daemon_listens(p.path));
	assert_int_equal(stat(p.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	place_stop(&p);
	place_release(&p);
	umask(mask);
}

static int try_server(const char *path, struct err *err)
{
	struct event_base *base = event_base_new();
	struct http_server *s = NULL;

	assert_non_null(base);
	int r = http_server_new(&s, base, path, routes, NULL, err);
	http_server_free(r == 0 ? s : NULL);
	event_base_free(base);
	return r;
}

static void refused(void **state)
{
	struct place p;
	struct err err = { 0 };

	(void)state;
	place_init(&p);
	place_start(&p, &usual);
	assert_int_equal(try_server(p.path, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_non_null(strstr(err.msg, "another daemon listens"));
	assert_int_equal(ask(&p, "GET", "/v1/status", NULL, &err), 0);
	place_stop(&p);
	/* A file of somebody's is never removed. */
	close(open(p.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(try_server(p.path, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	assert_int_equal(access(p.path, F_OK), 0);
	unlink(p.path);
	assert_int_equal(try_server("/nowhere/at/all/sock", &err), -1);
	assert_int_equal(err.code, ERR_IO);
	/* Success leaves no error behind. */
	close(listen_raw(p.path, 1));
	err_clear(&err);
	assert_int_equal(try_server(p.path, &err), 0);
	assert_int_equal(err.code, ERR_NONE);
	place_release(&p);
}

/* A server removes its own socket, not what has taken its place. */
static void own_socket(void **state)
{
	struct event_base *base = event_base_new();
	struct http_server *s;
	struct place p;

	(void)state;
	place_init(&p);
	assert_int_equal(http_server_new(&s, base, p.path, routes, NULL, NULL), 0);
	assert_int_equal(unlink(p.path), 0);
	int fd = listen_raw(p.path, 1);
	http_server_free(s);
	event_base_free(base);
	assert_true(http_daemon_listens(p.path));
	close(fd);
	place_release(&p);
}

static void long_path(void **state)
{
	struct place p, far;
	struct err err = { 0 };
	char dir[400], name[200];

	(void)state;
	place_init(&p);
	far = p;
	memset(name, 'd', 100);
	name[100] = '\0';
	snprintf(dir, sizeof dir, "%s/%s", p.dir, name);
	assert_int_equal(mkdir(dir, 0700), 0);
	/* The struct's own path is short; the call takes any. */
	char path[600];
	snprintf(path, sizeof path, "%s/weir.sock", dir);
	struct event_base *base = event_base_new();
	struct http_server *s;
	assert_int_equal(http_server_new(&s, base, path, routes, NULL, &err), 0);
	assert_true(http_daemon_listens(path));
	assert_int_equal(try_server(path, &err), -1);
	assert_int_equal(err.code, ERR_REFUSED);
	/* It answers in this very process: nobody turns its loop, so that the call ends in time. */
	struct http_call c = { path, "GET", "/v1/status", NULL, 20 };
	assert_int_equal(http_call(&c, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERR_TIMEOUT);
	http_server_free(s);
	event_base_free(base);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(try_server(path, &err), -1);
	assert_int_equal(err.code, ERR_INVALID);
	assert_non_null(strstr(err.msg, "too long"));
	assert_int_equal(rmdir(dir), 0);
	place_release(&far);
}

/* Other users are refused, whatever the file's mode has become. */
static void peer(void **state)
{
	struct place p;
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("# skipped: only root can become somebody else\n");
		skip();
	}
	place_init(&p);
	place_start(&p, &usual);
	assert_int_equal(chmod(p.dir, 0755), 0);
	assert_int_equal(chmod(p.path, 0666), 0);
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct http_call c = { p.path, "POST", "/v1/stop", NULL, GUARD_S * 1000 };
		struct err err = { 0 };
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		int r = http_call(&c, &status, NULL, &err);
		_exit(r == -1 && status == 403 && err.code == ERR_REFUSED ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	place_stop(&p);
	place_release(&p);
}

/* Root may ask another's daemon. */
static void peer_root(void **state)
{
	struct place p;
	struct err err = { 0 };
	json_t *j = NULL;

	(void)state;
	if (geteuid() != 0) {
		print_message("# skipped: only root can become somebody else\n");
		skip();
	}
	place_init(&p);
	assert_int_equal(chown(p.dir, 65534, 65534), 0);
	assert_int_equal(seteuid(65534), 0);
	place_start(&p, &usual);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(ask(&p, "GET", "/v1/status", &j, &err), 0);
	assert_string_equal(json_string_value(json_object_get(j, "user")), "root");
	json_decref(j);
	place_stop(&p);
	place_release(&p);
}

/* The client against servers that are none. */

static void silent(void **state)
{
	struct place p;
	struct err err = { 0 };
	int extra[64], n = 0;

	(void)state;
	place_init(&p);
	int fd = listen_raw(p.path, 1);
	struct http_call c = { p.path, "GET", "/v1/status", NULL, 50 };
	assert_int_equal(http_call(&c, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERR_TIMEOUT);
	/* Fill the queue: even connecting would wait. */
	while (n < 64 && (extra[n] = http_sock_connect(p.path, 1, &err)) >= 0)
		n++;
	assert_true(n < 64);
	assert_int_equal(http_call(&c, NULL, NULL, &err), -1);
	assert_int_equal(err.code, ERR_BUSY);
	assert_true(http_daemon_listens(p.path));
	while (n)
		close(extra[--n]);
	close(fd);
	place_release(&p);
}

static const struct {
	const char *answer;
	enum err_code code; /* ERR_NONE: the call succeeds */
	const char *want;
} fakes[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", ERR_NONE, NULL },
	{ "HTTP/1.1 204 No Content\r\n\r\n", ERR_NONE, NULL },
	{ "", ERR_BUSY, "went away before" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{}", ERR_BUSY, "went away in" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>", ERR_IO, "not JSON" },
	{ "220 mail.example.org ESMTP\r\n", ERR_IO, "does not speak HTTP" },
	{ "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\n<p>", ERR_NOT_FOUND,
		"404 Not Found" },
	{ "HTTP/1.1 400 Bad Request\r\n\r\n", ERR_USAGE, "400 Bad Request" },
	{ "HTTP/1.1 503 Busy\r\n\r\n[]", ERR_BUSY, "503 Busy" },
	{ "HTTP/1.1 409 X\r\n\r\n{\"error\":{\"code\":\"fenced\",\"message\":\"m\"}}", ERR_FENCED,
		"m" },
	{ "HTTP/1.1 409 X\r\n\r\n{\"error\":{\"code\":\"new\",\"message\":\"m\"}}", ERR_USAGE,
		"m" },
	{ "HTTP/1.1 409 X\r\n\r\n{\"error\":{\"code\":7,\"message\":{}}}", ERR_USAGE, "409 X" },
	{ "HTTP/1.1 409 X\r\n\r\n{\"error\":\"text\"}", ERR_USAGE, "409 X" },
};

static void fake_one(struct place *p, size_t i)
{
	int fd = listen_raw(p->path, 1), status;
	struct err err = { 0 };
	char head[4096];

	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const char *text = fakes[i].answer;
		int c = accept(fd, NULL, NULL);
		bool good = c >= 0 && recv(c, head, sizeof head, 0) > 0 &&
			    send(c, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text);
		_exit(good ? 0 : 1);
	}
	int r = ask(p, "GET", "/v1/status", NULL, &err);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	if (err.code != fakes[i].code || (r < 0) != (err.code != ERR_NONE) ||
		(r < 0 && !strstr(err.msg, fakes[i].want)))
		fail_msg("%s: %s %s", fakes[i].answer, err_info(err.code)->name, err.msg);
	close(fd);
	unlink(p->path);
}

static void fake_table(void **state)
{
	struct place p;

	(void)state;
	place_init(&p);
	for (size_t i = 0; i < sizeof fakes / sizeof *fakes; i++)
		fake_one(&p, i);
	place_release(&p);
}

static json_t *dig(json_t *j, const char *const *path)
{
	for (; *path && j; path++)
		j = json_object_get(j, *path);
	return j;
}

static void openapi(void **state)
{
	static const char *const summary[] = { "paths", "/v1/status", "get", "summary", NULL };
	static const char *const both[] = { "paths", "/v1/dags/{dag}", "delete", "parameters",
		NULL };
	static const char *const body[] = { "paths", "/v1/dags/{dag}/pause", "post", "requestBody",
		"content", "application/json", "schema", "properties", "reason", NULL };
	static const char *const query[] = { "paths", "/v1/runs", "get", "parameters", NULL };
	json_t *j = http_openapi(routes);

	(void)state;
	assert_non_null(j);
	assert_string_equal(json_string_value(dig(j, summary)), "Status");
	json_t *dag = json_array_get(dig(j, both), 0);
	assert_string_equal(json_string_value(json_object_get(dag, "name")), "dag");
	assert_string_equal(json_string_value(json_object_get(dag, "in")), "path");
	assert_non_null(dig(j, body));
	assert_int_equal(json_array_size(dig(j, query)), 3);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(match_table),
		cmocka_unit_test(match_values),
		cmocka_unit_test(match_long),
		cmocka_unit_test(encode),
		cmocka_unit_test(body_table),
		cmocka_unit_test(body_none),
		cmocka_unit_test(body_many_keys),
		cmocka_unit_test(answer_table),
		cmocka_unit_test(call_table),
		cmocka_unit_test(rude_table),
		cmocka_unit_test(huge),
		cmocka_unit_test(slow),
		cmocka_unit_test(bounded),
		cmocka_unit_test(nobody),
		cmocka_unit_test(stale),
		cmocka_unit_test(refused),
		cmocka_unit_test(own_socket),
		cmocka_unit_test(long_path),
		cmocka_unit_test(peer),
		cmocka_unit_test(peer_root),
		cmocka_unit_test(silent),
		cmocka_unit_test(fake_table),
		cmocka_unit_test(openapi),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
