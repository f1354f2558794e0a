#include "http/route.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/near.h"
#include "base/utf8.h"
#include "http/body.h"

enum {
	ARENA_MAX = 64 << 20,
	SEGMENTS_MAX = 32, /* of a path */
	SHOWN_MAX = 200,   /* bytes of a request that a message repeats */
	NEAR_MAX = 256     /* routes that are looked at for suggestions */
};

/* A path cut at its slashes, the segments still encoded. */
struct segments {
	const char *at[SEGMENTS_MAX];
	size_t len[SEGMENTS_MAX];
	size_t n;
};

void http_request_init(struct http_request *req)
{
	*req = (struct http_request){ .method = "", .path = "" };
	arena_init(&req->arena, ARENA_MAX);
}

void http_request_release(struct http_request *req)
{
	if (!req)
		return;
	json_decref(req->query);
	json_decref(req->body);
	arena_release(&req->arena);
	http_request_init(req);
}

static int fail(struct http_request *req, int status)
{
	req->status = status;
	return -1;
}

/* -1 when the path is longer than any route. */
static int split(const char *path, size_t len, struct segments *ret)
{
	const char *end = path + len;

	ret->n = 0;
	for (const char *p = path + 1; p <= end; p++) {
		const char *slash = memchr(p, '/', (size_t)(end - p));
		if (!slash)
			slash = end;
		if (ret->n == SEGMENTS_MAX)
			return -1;
		ret->at[ret->n] = p;
		ret->len[ret->n++] = (size_t)(slash - p);
		p = slash;
	}
	return 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_clean(const char *s, size_t len)
{
	uint32_t c;

	for (size_t i = 0, n; i < len; i += n) {
		n = utf8_char(s + i, len - i, &c);
		if (n == 0 || c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

/* Decode into the request's arena; NULL with err. In a query "+" is a space (HTML, form data). */
static const char *decode(
	struct http_request *req, const char *s, size_t len, bool form, struct err *err)
{
	char *out = arena_alloc(&req->arena, len + 1);
	size_t n = 0;

	if (!out) {
		err_nomem(err);
		return NULL;
	}
	for (size_t i = 0; i < len; i++) {
		char c = form && s[i] == '+' ? ' ' : s[i];
		if (c == '%') {
			int hi = i + 2 < len ? hex(s[i + 1]) : -1;
			int lo = hi >= 0 ? hex(s[i + 2]) : -1;
			if (lo < 0)
				goto bad;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		out[n++] = c;
	}
	if (is_clean(out, n))
		return out;
bad:
	err_set(err, ERR_USAGE, "\"%.*s\" is not percent-encoded UTF-8 without control characters",
		(int)(len < SHOWN_MAX ? len : SHOWN_MAX), s);
	req->status = 400;
	return NULL;
}

static bool is_param(const char *s, size_t len)
{
	return len > 2 && s[0] == '{' && s[len - 1] == '}';
}

static bool fits(const struct segments *pattern, const struct segments *path)
{
	if (pattern->n != path->n)
		return false;
	for (size_t i = 0; i < path->n; i++) {
		bool same = pattern->len[i] == path->len[i] &&
			    memcmp(pattern->at[i], path->at[i], path->len[i]) == 0;
		if (!same && !is_param(pattern->at[i], pattern->len[i]))
			return false;
		if (path->len[i] == 0 && pattern->len[i] != 0)
			return false;
	}
	return true;
}

/* The pattern with the path's own values where it has names, for the eye and for distances. */
static const char *instance(
	struct http_request *req, const struct segments *pattern, const struct segments *path)
{
	struct buf b;

	buf_init(&b, HTTP_TARGET_MAX);
	for (size_t i = 0; i < pattern->n; i++) {
		bool own = is_param(pattern->at[i], pattern->len[i]) && i < path->n && path->len[i];
		const struct segments *from = own ? path : pattern;
		buf_addc(&b, '/');
		buf_add(&b, from->at[i], from->len[i]);
	}
	const char *text = b.failed ? NULL : arena_strdup(&req->arena, b.data);
	buf_release(&b);
	return text;
}

static int no_route(struct http_request *req, const struct http_route *routes,
	const struct segments *path, struct err *err)
{
	const char *known[NEAR_MAX];
	struct segments pattern;
	size_t n = 0;

	for (const struct http_route *r = routes; r->method && n < NEAR_MAX; r++)
		if (split(r->path, strlen(r->path), &pattern) == 0)
			known[n++] = instance(req, &pattern, path);
	const char *near = near_find(req->path, known, n);
	err_set(err, ERR_NOT_FOUND, "there is no %.*s%s%s%s", SHOWN_MAX, req->path,
		near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return fail(req, 404);
}

static int wrong_method(struct http_request *req, struct err *err)
{
	err_set(err, ERR_USAGE, "%.*s takes no %.32s; it takes %s", SHOWN_MAX, req->path,
		req->method, req->allow);
	return fail(req, 405);
}

/* "GET" to "GET, POST" */
static void allow(struct http_request *req, const char *method)
{
	size_t used = strlen(req->allow);

	snprintf(req->allow + used, sizeof req->allow - used, "%s%s", used ? ", " : "", method);
}

static int read_params(struct http_request *req, const struct segments *pattern,
	const struct segments *path, struct err *err)
{
	for (size_t i = 0; i < path->n && req->nparams < HTTP_PARAMS_MAX; i++) {
		if (!is_param(pattern->at[i], pattern->len[i]))
			continue;
		struct http_param *p = &req->params[req->nparams];
		p->name = arena_strndup(&req->arena, pattern->at[i] + 1, pattern->len[i] - 2);
		p->value = decode(req, path->at[i], path->len[i], false, err);
		if (!p->value)
			return -1;
		if (!p->name)
			return err_nomem(err);
		req->nparams++;
	}
	return 0;
}

/* "a=1&b=2" to {"a": "1", "b": "2"}. */
static int read_query(struct http_request *req, const char *s, struct err *err)
{
	json_t *raw = json_object();
	int r = -1;

	while (raw && *s) {
		size_t len = strcspn(s, "&"), key_len = strcspn(s, "=&");
		const char *from = s + key_len + (key_len < len);
		const char *key = decode(req, s, key_len, true, err);
		const char *value =
			key ? decode(req, from, (size_t)(s + len - from), true, err) : NULL;
		if (!value)
			goto out;
		s += len + (s[len] == '&');
		if (len == 0)
			continue;
		if (json_object_get(raw, key)) {
			err_set(err, ERR_USAGE, "query: %.*s is given twice", SHOWN_MAX, key);
			goto out;
		}
		if (json_object_set_new(raw, key, json_string(value)) < 0) {
			err_nomem(err);
			goto out;
		}
	}
	req->query = raw ? http_body_query(req->route->query, raw, err) : NULL;
	if (!raw)
		err_nomem(err);
	r = req->query ? 0 : -1;
out:
	json_decref(raw);
	return r;
}

/* The path as text for messages: as sent, without what a terminal must not see. */
static const char *shown(struct http_request *req, const char *path, size_t len)
{
	char *text = arena_strndup(&req->arena, path, len);

	if (text)
		utf8_clean(text, len);
	return text ? text : "";
}

int http_request_match(struct http_request *req, const struct http_route *routes,
	const char *method, const char *target, struct err *err)
{
	size_t len = strcspn(target, "?#"), total = strnlen(target, HTTP_TARGET_MAX + 1);
	struct segments path, pattern;

	if (total > HTTP_TARGET_MAX || target[0] != '/') {
		err_set(err, ERR_USAGE, "the request's path %s",
			target[0] == '/' ? "is too long" : "does not begin with /");
		return fail(req, target[0] == '/' ? 414 : 400);
	}
	req->method = arena_strdup(&req->arena, method);
	req->path = shown(req, target, len);
	if (!req->method) {
		req->method = "";
		return err_nomem(err);
	}
	if (split(target, len, &path) < 0) {
		path.n = 0;
		return no_route(req, routes, &path, err);
	}
	for (const struct http_route *r = routes; r->method; r++) {
		if (split(r->path, strlen(r->path), &pattern) < 0 || !fits(&pattern, &path))
			continue;
		allow(req, r->method);
		if (strcmp(r->method, method) != 0)
			continue;
		req->route = r;
		if (read_params(req, &pattern, &path, err) < 0)
			return -1;
		const char *query = target[len] == '?' ? target + len + 1 : "";
		return read_query(req, query, err);
	}
	return req->allow[0] ? wrong_method(req, err) : no_route(req, routes, &path, err);
}

int http_request_read_body(struct http_request *req, const char *text, size_t len, struct err *err)
{
	if (len > HTTP_BODY_MAX) {
		err_set(err, ERR_USAGE, "the body is larger than %d bytes", HTTP_BODY_MAX);
		return fail(req, 413);
	}
	req->body = http_body_read(req->route->body, text, len, err);
	return req->body ? 0 : -1;
}

const char *http_param(const struct http_request *req, const char *name)
{
	for (size_t i = 0; i < req->nparams; i++)
		if (strcmp(req->params[i].name, name) == 0)
			return req->params[i].value;
	return NULL;
}

const char *http_query_text(const struct http_request *req, const char *name)
{
	return json_string_value(json_object_get(req->query, name));
}

const char *http_body_text(const struct http_request *req, const char *name)
{
	return json_string_value(json_object_get(req->body, name));
}

int http_error_status(const struct err *err)
{
	int status = err_info(err->code)->http_status;

	/* A handler that failed without saying how is a bug, never a success. */
	return status >= 400 ? status : 500;
}

/* Text that jansson takes whatever it holds. */
static json_t *text_json(const char *text)
{
	char clean[sizeof((struct err *)0)->msg];
	json_t *j = json_string(text);

	if (j)
		return j;
	snprintf(clean, sizeof clean, "%s", text);
	utf8_clean(clean, strlen(clean));
	return json_string(clean);
}

json_t *http_error_json(const struct err *err)
{
	enum err_code code = err->code == ERR_NONE ? ERR_INTERNAL : err->code;
	json_t *e = json_pack("{s:s, s:o}", "code", err_info(code)->name, "message",
		text_json(err->msg[0] ? err->msg : err_info(code)->help));

	if (err->file[0])
		json_object_set_new(e, "file", text_json(err->file));
	if (err->line > 0)
		json_object_set_new(e, "line", json_integer(err->line));
	if (err->col > 0)
		json_object_set_new(e, "column", json_integer(err->col));
	return e ? json_pack("{s:o}", "error", e) : NULL;
}

int http_add_encoded(struct buf *out, const char *text)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~"; /* RFC 3986, unreserved */

	for (; *text; text++) {
		int r = strchr(plain, *text) ? buf_addc(out, *text)
					     : buf_addf(out, "%%%02X", (unsigned char)*text);
		if (r < 0)
			return -1;
	}
	return 0;
}
