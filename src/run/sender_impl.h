/* What the files of the sender share; nobody else includes it. */
#ifndef WEIR_RUN_SENDER_IMPL_H
#define WEIR_RUN_SENDER_IMPL_H

#include "base/buf.h"
#include "data/curl_lib.h"
#include "run/sender.h"

enum { SECRETS_MAX = 32, FAULT_MAX = 600 };

/* A request being carried out. */
struct delivery {
	const json_t *request, *settings;
	json_t *doc; /* without the channel's secrets */
	const char *dir;
	const struct curl_lib *curl;    /* NULL for a command */
	char *secrets[SECRETS_MAX + 1]; /* resolved; NULL-ended */
	size_t nsecrets;
	int64_t timeout_us;
	bool failed;
	enum sender_class class;
	char error[FAULT_MAX];
	int64_t retry_after_us;
};

void delivery_fail(struct delivery *d, enum sender_class c, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A key's text; NULL: not given. A secret is resolved, and kept until the end. */
const char *delivery_text(struct delivery *d, const char *key);
const char *delivery_secret(struct delivery *d, const char *key); /* NULL: not given, or failed */

/* run/sender_http.c */
void sender_slack(struct delivery *d);
void sender_pagerduty(struct delivery *d);
void sender_webhook(struct delivery *d);
void sender_heartbeat(struct delivery *d);
/* run/sender_mail.c */
void sender_email(struct delivery *d);
/* run/sender_command.c */
void sender_command(struct delivery *d);

/* run/sender_curl.c: a handle with what all have in common; NULL: failed. */
struct curl_call {
	const struct curl_lib *lib; /* borrowed from the delivery */
	CURL *curl;
	char why[256];
	struct buf answer;
};
int curl_call_init(struct curl_call *c, struct delivery *d);
/* Do it: judge how it went. */
void curl_call_perform(struct curl_call *c, struct delivery *d);
void curl_call_release(struct curl_call *c);

#endif
