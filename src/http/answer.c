#include "http/answer.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"

enum { HEAD_MAX = 64 * 1024, LEN_DIGITS = 15 };

/* A line of the head, without its CR LF. */
struct line {
	const char *at;
	size_t len;
};

static int not_http(struct err *err, const char *what)
{
	return err_set(
		err, ERR_IO, "what listens there does not speak HTTP as weir does: %s", what);
}

/* The next line from *p on; false when it is not whole yet. */
static bool next_line(const char **p, const char *end, struct line *ret)
{
	const char *nl = memchr(*p, '\n', (size_t)(end - *p));

	if (!nl)
		return false;
	*ret = (struct line){ *p, (size_t)(nl - *p) };
	if (ret->len && ret->at[ret->len - 1] == '\r')
		ret->len--;
	*p = nl + 1;
	return true;
}

/* "HTTP/1.1 200 OK" */
static int read_status(const struct line *l, struct http_answer *ret, struct err *err)
{
	static const char shape[] = "HTTP/1.d ddd";

	if (l->len < sizeof shape - 1)
		return not_http(err, "no status line");
	for (size_t i = 0; shape[i]; i++) {
		bool digit = isdigit((unsigned char)l->at[i]);
		if (shape[i] == 'd' ? !digit : l->at[i] != shape[i])
			return not_http(err, "no status line");
	}
	ret->status = (int)strtol(l->at + 9, NULL, 10);
	size_t from = l->len > 13 ? 13 : l->len;
	snprintf(ret->reason, sizeof ret->reason, "%.*s", (int)(l->len - from), l->at + from);
	return 0;
}

/* The value of a header when the line is it. */
static bool is_header(const struct line *l, const char *name, struct line *value)
{
	size_t n = strlen(name);

	if (l->len <= n || strncasecmp(l->at, name, n) != 0 || l->at[n] != ':')
		return false;
	*value = (struct line){ l->at + n + 1, l->len - n - 1 };
	while (value->len && (*value->at == ' ' || *value->at == '\t')) {
		value->at++;
		value->len--;
	}
	while (value->len && isspace((unsigned char)value->at[value->len - 1]))
		value->len--;
	return true;
}

static int read_header(const struct line *l, struct http_answer *ret, struct err *err)
{
	struct line v;

	if (is_header(l, "Transfer-Encoding", &v))
		return not_http(err, "a transfer encoding");
	if (!is_header(l, "Content-Length", &v))
		return 0;
	if (v.len == 0 || v.len > LEN_DIGITS)
		return not_http(err, "a bad Content-Length");
	ret->body_len = 0;
	for (size_t i = 0; i < v.len; i++) {
		if (!isdigit((unsigned char)v.at[i]))
			return not_http(err, "a bad Content-Length");
		ret->body_len = ret->body_len * 10 + (size_t)(v.at[i] - '0');
	}
	ret->has_len = true;
	return 0;
}

/* 1: a whole head, *p behind it; 0: more must come. */
static int read_head(const char **p, const char *end, struct http_answer *ret, struct err *err)
{
	struct line l;

	*ret = (struct http_answer){ 0 };
	if (!next_line(p, end, &l))
		return 0;
	if (read_status(&l, ret, err) < 0)
		return -1;
	while (next_line(p, end, &l)) {
		if (l.len == 0)
			return 1;
		if (read_header(&l, ret, err) < 0)
			return -1;
	}
	return 0;
}

static bool has_no_body(int status)
{
	return status < 200 || status == 204 || status == 304;
}

int http_answer_read(
	const char *text, size_t len, bool eof, struct http_answer *ret, struct err *err)
{
	const char *p = text, *end = text + len;
	int r;

	do {
		r = read_head(&p, end, ret, err);
		if (r < 0)
			return -1;
		if ((size_t)(p - text) > HEAD_MAX || (r == 0 && len > HEAD_MAX))
			return not_http(err, "headers without end");
	} while (r > 0 && ret->status < 200);
	if (r == 0 && !eof)
		return HTTP_ANSWER_MORE;
	if (r == 0)
		return err_set(err, ERR_BUSY, "the daemon went away before it answered");
	ret->body_at = (size_t)(p - text);
	size_t have = len - ret->body_at;
	if (has_no_body(ret->status)) {
		ret->body_len = 0;
	} else if (!ret->has_len) {
		ret->body_len = have;
		return eof ? HTTP_ANSWER_WHOLE : HTTP_ANSWER_MORE;
	} else if (have < ret->body_len) {
		return eof ? err_set(err, ERR_BUSY, "the daemon went away in its answer")
			   : HTTP_ANSWER_MORE;
	}
	return HTTP_ANSWER_WHOLE;
}
