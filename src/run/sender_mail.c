/* Mail: SMTP (RFC 5321) by libcurl, messages as of RFC 5322. */
#include <stdio.h>
#include <string.h>

#include "run/alert_message.h"
#include "run/sender_impl.h"

enum { URL_MAX = 512 };

struct upload {
	const char *at;
	size_t left;
};

static size_t give(char *to, size_t size, size_t n, void *arg)
{
	struct upload *u = arg;
	size_t len = size * n < u->left ? size * n : u->left;

	memcpy(to, u->at, len);
	u->at += len;
	u->left -= len;
	return len;
}

static struct curl_slist *recipients(const struct curl_lib *lib, const json_t *to)
{
	struct curl_slist *list = NULL;
	const json_t *one;
	size_t i;

	if (json_is_string(to))
		return lib->slist_append(NULL, json_string_value(to));
	json_array_foreach(to, i, one) list = lib->slist_append(list, json_string_value(one));
	return list;
}

static void set_security(struct curl_call *c, struct delivery *d, char *url)
{
	const char *tls = delivery_text(d, "tls"), *user = delivery_text(d, "user");
	const char *password = user ? delivery_secret(d, "password") : NULL;
	bool at_once = tls && strcmp(tls, "tls") == 0, none = tls && strcmp(tls, "none") == 0;

	snprintf(url, URL_MAX, "%s://%s", at_once ? "smtps" : "smtp", delivery_text(d, "server"));
	c->lib->easy_setopt(c->curl, CURLOPT_URL, url);
	c->lib->easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	c->lib->easy_setopt(
		c->curl, CURLOPT_USE_SSL, (long)(none ? CURLUSESSL_NONE : CURLUSESSL_ALL));
	if (password) {
		c->lib->easy_setopt(c->curl, CURLOPT_USERNAME, user);
		c->lib->easy_setopt(c->curl, CURLOPT_PASSWORD, password);
	}
}

void sender_email(struct delivery *d)
{
	const json_t *to = json_object_get(d->settings, "to");
	const char *from = delivery_text(d, "from");
	struct curl_slist *rcpt = recipients(d->curl, to);
	struct curl_call c;
	struct buf mail;
	char url[URL_MAX];

	if (!from || curl_call_init(&c, d) < 0) {
		d->curl->slist_free_all(rcpt);
		return;
	}
	buf_init(&mail, 2 * SENDER_MAX);
	alert_message_mail(d->doc, from, to, &mail);
	struct upload u = { mail.data, mail.len };
	set_security(&c, d, url);
	c.lib->easy_setopt(c.curl, CURLOPT_MAIL_FROM, from);
	c.lib->easy_setopt(c.curl, CURLOPT_MAIL_RCPT, rcpt);
	c.lib->easy_setopt(c.curl, CURLOPT_UPLOAD, 1L);
	c.lib->easy_setopt(c.curl, CURLOPT_READFUNCTION, give);
	c.lib->easy_setopt(c.curl, CURLOPT_READDATA, &u);
	if (!d->failed)
		curl_call_perform(&c, d);
	curl_call_release(&c);
	d->curl->slist_free_all(rcpt);
	buf_release(&mail);
}
