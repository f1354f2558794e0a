/* libcurl, and what its results mean. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/units.h"
#include "run/sender_impl.h"

enum { ANSWER_MAX = 2048, CONNECT_PART = 2 };

static size_t keep_answer(char *data, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;
	size_t len = size * n, room = ANSWER_MAX - (b->len < ANSWER_MAX ? b->len : ANSWER_MAX);

	buf_add(b, data, len < room ? len : room);
	return len;
}

int curl_call_init(struct curl_call *c, struct delivery *d)
{
	const char *ca = delivery_text(d, "ca");
	long ms = (long)(d->timeout_us / US_PER_MS);

	memset(c, 0, sizeof *c);
	buf_init(&c->answer, ANSWER_MAX + 1);
	c->lib = d->curl;
	CURL *curl = c->curl = c->lib->easy_init();
	if (!curl) {
		delivery_fail(d, SENDER_SETTINGS, "libcurl: out of memory");
		return -1;
	}
	c->lib->easy_setopt(curl, CURLOPT_ERRORBUFFER, c->why);
	c->lib->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	c->lib->easy_setopt(curl, CURLOPT_TIMEOUT_MS, ms);
	c->lib->easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, ms / CONNECT_PART + 1);
	c->lib->easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_answer);
	c->lib->easy_setopt(curl, CURLOPT_WRITEDATA, &c->answer);
	c->lib->easy_setopt(curl, CURLOPT_USERAGENT, "weir");
	if (!ca)
		return 0;
	char *path = io_path_join(d->dir ? d->dir : ".", ca);
	c->lib->easy_setopt(curl, CURLOPT_CAINFO, path ? path : ca);
	free(path);
	return 0;
}

void curl_call_release(struct curl_call *c)
{
	c->lib->easy_cleanup(c->curl);
	buf_release(&c->answer);
}

/* What kept the two from talking. */
static const struct {
	CURLcode code;
	enum sender_class class;
} codes[] = {
	{ CURLE_OPERATION_TIMEDOUT, SENDER_TIMEOUT },
	{ CURLE_LOGIN_DENIED, SENDER_LOGIN },
	{ CURLE_AUTH_ERROR, SENDER_LOGIN },
	{ CURLE_PEER_FAILED_VERIFICATION, SENDER_CERTIFICATE },
	{ CURLE_SSL_CACERT_BADFILE, SENDER_SETTINGS },
	{ CURLE_SSL_ISSUER_ERROR, SENDER_CERTIFICATE },
	{ CURLE_USE_SSL_FAILED, SENDER_ENCRYPTION },
	{ CURLE_SSL_CONNECT_ERROR, SENDER_ENCRYPTION },
	{ CURLE_URL_MALFORMAT, SENDER_SETTINGS },
	{ CURLE_UNSUPPORTED_PROTOCOL, SENDER_SETTINGS },
};

static enum sender_class class_of(CURLcode code)
{
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].code == code)
			return codes[i].class;
	return SENDER_UNREACHABLE;
}

static void judge_http(struct curl_call *c, struct delivery *d, long status)
{
	curl_off_t after = 0;
	const char *said = c->answer.len ? c->answer.data : "";
	int shown = (int)strcspn(said, "\r\n");

	if (status >= 200 && status < 300)
		return;
	if (shown > 200)
		shown = 200;
	c->lib->easy_getinfo(c->curl, CURLINFO_RETRY_AFTER, &after);
	d->retry_after_us = after > 0 && after < 86400 ? after * US_PER_SECOND : 0;
	bool busy = status == 429 || status == 408 || status >= 500;
	bool login = status == 401 || status == 403;
	delivery_fail(d,
		busy    ? SENDER_BUSY
		: login ? SENDER_LOGIN
			: SENDER_REJECTED,
		"the server answers HTTP %ld%s%.*s", status, shown ? ": " : "", shown, said);
}

void curl_call_perform(struct curl_call *c, struct delivery *d)
{
	const char *scheme = NULL;
	long status = 0;
	CURLcode code = c->lib->easy_perform(c->curl);

	c->lib->easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	c->lib->easy_getinfo(c->curl, CURLINFO_SCHEME, &scheme);
	if (code == CURLE_OK && scheme && (scheme[0] == 'h' || scheme[0] == 'H')) {
		judge_http(c, d, status);
		return;
	}
	if (code == CURLE_OK)
		return;
	enum sender_class class = class_of(code);
	/* SMTP: what is answered to a sender, a recipient or a message. */
	if (class == SENDER_UNREACHABLE && status >= 400)
		class = status == 530 || status == 535 ? SENDER_LOGIN
			: status >= 500                ? SENDER_REJECTED
						       : SENDER_BUSY;
	delivery_fail(d, class, "%s", c->why[0] ? c->why : c->lib->easy_strerror(code));
}
