/* The HTTP of the daemon without its sockets: any target, body and answer is taken or refused with
 * an error. The input is a method, a target and a body, each behind a line break of the one before;
 * all of it is read as an answer as well. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "conf/schema.h"
#include "http/answer.h"
#include "http/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct field name = { .type = FIELD_NAME };
static const struct field value = { .type = FIELD_VALUE };
static const char *const words[] = { "one", "two", NULL };

static const struct field inner[] = {
	{ .key = "wait", .type = FIELD_DURATION, .def = "1s" },
	{ .key = "share", .type = FIELD_PERCENT },
	{ .key = "match", .type = FIELD_REGEX },
	{ .key = "token", .type = FIELD_STRING, .flags = FIELD_SECRET },
	{ 0 },
};

static const struct field body[] = {
	{ .key = "reason", .type = FIELD_STRING, .flags = FIELD_REQUIRED },
	{ .key = "jobs", .type = FIELD_INT, .has_min = true, .min = 1, .def = "4" },
	{ .key = "size", .type = FIELD_SIZE, .flags = FIELD_TEMPLATE },
	{ .key = "ratio", .type = FIELD_FLOAT },
	{ .key = "force", .type = FIELD_BOOL },
	{ .key = "date", .type = FIELD_DATE },
	{ .key = "word", .type = FIELD_ENUM, .values = words },
	{ .key = "tags", .type = FIELD_LIST, .flags = FIELD_OR_ONE, .item = &name },
	{ .key = "params", .type = FIELD_MAP, .item = &value },
	{ .key = "deep", .type = FIELD_OBJECT, .fields = inner },
	{ .key = "one", .type = FIELD_OBJECT, .flags = FIELD_ONE_KEY, .fields = inner },
	{ .key = "any", .type = FIELD_ANY },
	{ 0 },
};

static const struct field query[] = {
	{ .key = "limit", .type = FIELD_INT, .has_min = true, .min = 1, .def = "10" },
	{ .key = "word", .type = FIELD_ENUM, .values = words },
	{ .key = "tags", .type = FIELD_LIST, .flags = FIELD_OR_ONE, .item = &name },
	{ .key = "any", .type = FIELD_ANY },
	{ 0 },
};

static const struct http_route routes[] = {
	{ .method = "GET", .path = "/v1/dags/all", .query = query },
	{ .method = "GET", .path = "/v1/dags/{dag}", .query = query },
	{ .method = "POST", .path = "/v1/dags/{dag}/tasks/{task}/freeze", .body = body },
	{ .method = "POST", .path = "/v1/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", .body = body },
	{ .method = "POST", .path = "/", .body = body },
	{ 0 },
};

static void check_error(const struct err *err)
{
	json_t *j = http_error_json(err);

	if (!j || err->code == ERR_NONE || !err->msg[0] || http_error_status(err) < 400)
		abort();
	json_decref(j);
}

/* What was decoded is encoded and decoded to itself. */
static void check_params(const struct http_request *req)
{
	static const struct http_route one[] = { { .method = "GET", .path = "/{x}" }, { 0 } };
	struct http_request again;
	struct buf b;

	for (size_t i = 0; i < req->nparams; i++) {
		buf_init(&b, 1 << 20);
		buf_addc(&b, '/');
		http_add_encoded(&b, req->params[i].value);
		http_request_init(&again);
		bool fits = b.len <= HTTP_TARGET_MAX;
		if (fits && (http_request_match(&again, one, "GET", b.data, NULL) < 0 ||
				    strcmp(http_param(&again, "x"), req->params[i].value) != 0))
			abort();
		http_request_release(&again);
		buf_release(&b);
	}
}

static void ask(const char *method, const char *target, const char *text, size_t len)
{
	struct http_request req;
	struct err err = { 0 };

	http_request_init(&req);
	if (http_request_match(&req, routes, method, target, &err) < 0) {
		check_error(&err);
	} else {
		check_params(&req);
		if (http_request_read_body(&req, text, len, &err) < 0)
			check_error(&err);
		else if (req.route->body && !http_body_text(&req, "reason"))
			abort();
	}
	http_request_release(&req);
}

/* An answer that is whole stays so with what comes behind it. */
static void answer(const char *text, size_t len)
{
	struct http_answer a, b;
	struct err err = { 0 };
	int early = http_answer_read(text, len / 2, false, &a, &err);
	int end = http_answer_read(text, len, true, &b, &err);

	if (end == HTTP_ANSWER_MORE || (end == HTTP_ANSWER_WHOLE && b.body_at + b.body_len > len))
		abort();
	if (early == HTTP_ANSWER_WHOLE && (end != HTTP_ANSWER_WHOLE || a.body_len != b.body_len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data, *end = p + size;
	char *part[2] = { NULL, NULL };

	answer(p, size);
	for (int i = 0; i < 2; i++) {
		const char *nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
		size_t len = nl ? (size_t)(nl - p) : (size_t)(end - p);
		part[i] = strndup(len ? p : "", len);
		p += len + (nl ? 1 : 0);
	}
	if (part[0] && part[1])
		ask(part[0], part[1], p, (size_t)(end - p));
	free(part[0]);
	free(part[1]);
	return 0;
}
