/* Slack, PagerDuty, webhooks, heartbeats. */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/units.h"
#include "run/alert_message.h"
#include "run/sender_impl.h"

/* An event each up to so many incidents; beyond, one for all. */
enum { EVENTS_MAX = 20, SUMMARY_MAX = 1024 };

static const char pagerduty_url[] = "https://events.pagerduty.com/v2/enqueue";

static void post(struct delivery *d, const char *url, const char *body, struct curl_slist *headers)
{
	struct curl_call c;

	if (curl_call_init(&c, d) < 0)
		return;
	c.lib->easy_setopt(c.curl, CURLOPT_URL, url);
	c.lib->easy_setopt(c.curl, CURLOPT_PROTOCOLS_STR, "http,https");
	if (body) {
		c.lib->easy_setopt(c.curl, CURLOPT_POSTFIELDS, body);
		c.lib->easy_setopt(c.curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		c.lib->easy_setopt(c.curl, CURLOPT_HTTPHEADER, headers);
	}
	curl_call_perform(&c, d);
	curl_call_release(&c);
}

static void post_json(struct delivery *d, const char *url, json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct curl_slist *headers = d->curl->slist_append(NULL, "Content-Type: application/json");

	if (text && headers && url)
		post(d, url, text, headers);
	else
		delivery_fail(d, SENDER_SETTINGS, "out of memory, or no URL");
	d->curl->slist_free_all(headers);
	free(text);
	json_decref(body);
}

/* A URL that is written out is no secret; one that is referred to is, and known already. */
static const char *url_of(struct delivery *d)
{
	const char *plain = delivery_text(d, "url");

	return plain ? plain : delivery_secret(d, "url");
}

void sender_slack(struct delivery *d)
{
	struct buf text;

	buf_init(&text, SENDER_MAX);
	alert_message_slack(d->doc, &text);
	post_json(d, url_of(d), json_pack("{s:s}", "text", text.len ? text.data : "?"));
	buf_release(&text);
}

/* ---- PagerDuty: Events API v2 ---------------------------------------------------------- */

static const char *event_action(const char *what)
{
	if (strcmp(what, "resolved") == 0)
		return "resolve";
	return strcmp(what, "acknowledged") == 0 ? "acknowledge" : "trigger";
}

struct event {
	const char *routing_key, *action, *summary, *severity, *dag, *kind, *at;
	char dedup[160];
	const json_t *details;
};

static json_t *event_json(const struct event *e, const json_t *doc)
{
	const char *host = alert_message_text(doc, "host");
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "routing_key", e->routing_key, "event_action",
		e->action, "dedup_key", e->dedup, "client", "weir");

	if (strcmp(e->action, "trigger") == 0)
		json_object_set_new(o, "payload",
			json_pack("{s:s%, s:s, s:s, s:s*, s:s*, s:s*, s:O}", "summary", e->summary,
				alert_message_cut(e->summary, SUMMARY_MAX), "source",
				*host ? host : "weir", "severity", e->severity, "timestamp", e->at,
				"component", e->dag, "class", e->kind, "custom_details",
				e->details));
	return o;
}

static void send_event(struct delivery *d, const struct event *e)
{
	const char *url = delivery_text(d, "url");

	if (!d->failed)
		post_json(d, url ? url : pagerduty_url, event_json(e, d->doc));
}

static void send_each(struct delivery *d, struct event *e, const json_t *incidents)
{
	const json_t *i;
	size_t n;
	struct buf title;

	json_array_foreach(incidents, n, i)
	{
		const char *what = alert_message_text(i, "what");
		buf_init(&title, SENDER_MAX);
		alert_message_title(i, &title);
		/* What is over already is not begun by news that come late. */
		bool over = strcmp(alert_message_text(i, "state"), "resolved") == 0;
		e->action = over ? "resolve" : event_action(what);
		e->summary = title.len ? title.data : "?";
		e->severity = alert_message_text(i, "severity");
		e->dag = alert_message_text(i, "dag");
		e->kind = alert_message_text(i, "kind");
		e->at = alert_message_text(i, "last_at");
		e->details = i;
		snprintf(e->dedup, sizeof e->dedup, "weir/%.64s/incident/%lld",
			alert_message_text(d->doc, "instance"),
			(long long)json_integer_value(json_object_get(i, "id")));
		send_event(d, e);
		buf_release(&title);
	}
}

static void send_storm(struct delivery *d, struct event *e, const char *action)
{
	e->action = action;
	e->summary = alert_message_text(d->doc, "title");
	e->severity = alert_message_text(d->doc, "severity");
	e->at = alert_message_text(d->doc, "sent_at");
	e->dag = e->kind = NULL;
	e->details = d->doc;
	snprintf(e->dedup, sizeof e->dedup, "weir/%.40s/storm/%.64s",
		alert_message_text(d->doc, "instance"), alert_message_text(d->doc, "route"));
	send_event(d, e);
}

void sender_pagerduty(struct delivery *d)
{
	const json_t *incidents = json_object_get(d->doc, "incidents");
	long long count = json_integer_value(json_object_get(d->doc, "count"));
	const char *what = alert_message_text(d->doc, "what");
	struct event e = { .routing_key = delivery_secret(d, "key") };

	if (!e.routing_key)
		return;
	if (count <= EVENTS_MAX && (size_t)count == json_array_size(incidents))
		send_each(d, &e, incidents);
	/* A part of a storm that is over does not end it: that nothing is open does. */
	else if (strcmp(what, "resolved") != 0)
		send_storm(d, &e, event_action(what));
	if (json_is_true(json_object_get(d->doc, "all_clear")))
		send_storm(d, &e, "resolve");
}

/* ---- webhooks -------------------------------------------------------------------------- */

/* "X-Weir-Signature: v1=HEX" of "TIMESTAMP.BODY", as HMAC-SHA256 (RFC 2104). */
static struct curl_slist *sign(const struct curl_lib *lib, struct curl_slist *headers,
	const char *secret, const char *at, const char *body)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	char header[64 + 2 * EVP_MAX_MD_SIZE] = "X-Weir-Signature: v1=";
	unsigned len = 0;
	struct buf signed_text;

	buf_init(&signed_text, 2 * SENDER_MAX);
	buf_addf(&signed_text, "%s.%s", at, body);
	if (!HMAC(EVP_sha256(), secret, (int)strlen(secret),
		    (const unsigned char *)signed_text.data, signed_text.len, mac, &len))
		len = 0;
	buf_release(&signed_text);
	for (unsigned i = 0; i < len; i++)
		snprintf(header + strlen(header), 3, "%02x", mac[i]);
	return len ? lib->slist_append(headers, header) : headers;
}

void sender_webhook(struct delivery *d)
{
	const char *url = url_of(d), *secret = delivery_secret(d, "secret");
	char *body = json_dumps(d->doc, JSON_COMPACT);
	struct curl_slist *headers = d->curl->slist_append(NULL, "Content-Type: application/json");
	char at[32], header[256];

	snprintf(at, sizeof at, "%lld", (long long)(clock_now_us() / US_PER_SECOND));
	snprintf(header, sizeof header, "X-Weir-Timestamp: %s", at);
	headers = d->curl->slist_append(headers, header);
	snprintf(header, sizeof header, "X-Weir-Id: %.160s", alert_message_text(d->doc, "id"));
	headers = d->curl->slist_append(headers, header);
	if (secret && body)
		headers = sign(d->curl, headers, secret, at, body);
	if (!d->failed && body && url)
		post(d, url, body, headers);
	d->curl->slist_free_all(headers);
	free(body);
}

void sender_heartbeat(struct delivery *d)
{
	const char *url = url_of(d);

	if (url)
		post(d, url, NULL, NULL);
}
