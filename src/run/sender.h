/* The sender: a process of its own that tells people, so that nobody else waits for a network.
 *
 * It is forked, and reads requests from a socket; each is carried out by another process of its
 * own, which answers on the same socket: one that hangs or crashes holds up nothing else. All of
 * them end with the process that began the sender.
 *
 * A request is a JSON object, at most SENDER_MAX bytes:
 *
 *     {"job": n, "channel": name, "type": "slack", "settings": {...}, "dir": folder, "doc": {...}}
 *
 * `settings` are the channel's keys as weir.yaml has them: secrets are resolved by the process that
 * uses them and by no other, and are taken out of what it sends and says. `doc` is the message
 * (run/alert_message.h). {"job", "heartbeat": url, "dir"} asks a URL. The answer:
 *
 *     {"job": n, "ok": true} or
 *     {"job": n, "ok": false, "class": "login", "error": text, "retry_after_us": n}
 */
#ifndef WEIR_RUN_SENDER_H
#define WEIR_RUN_SENDER_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

struct err;
struct node;

enum { SENDER_MAX = 128 << 10 };

/* What went wrong with a try. */
enum sender_class {
	SENDER_UNREACHABLE,
	SENDER_TIMEOUT,
	SENDER_BUSY,        /* 429, or a temporary answer */
	SENDER_LOGIN,       /* refused */
	SENDER_CERTIFICATE, /* not trusted, or of another host */
	SENDER_ENCRYPTION,  /* the server has none */
	SENDER_REJECTED,    /* the message, the address or the URL is not taken */
	SENDER_SETTINGS,    /* a secret cannot be had, a URL is none */
	SENDER_COMMAND,     /* exit status, signal */
	SENDER_CLASS_MAX
};
const char *sender_class_name(enum sender_class c); /* "certificate" */
int sender_class_by_name(const char *name);         /* -1: none */
/* Whether the same channel may do better soon. */
bool sender_class_is_transient(enum sender_class c);

struct sender {
	pid_t pid; /* 0: none runs */
	int fd;    /* readable when there is an answer */
};
int sender_start(struct sender *s, struct err *err);
void sender_stop(struct sender *s);
/* ERR_BUSY: it takes no more now; ERR_IO: it is gone. */
int sender_send(struct sender *s, const json_t *request, struct err *err);
/* 1: an answer, a new reference; 0: none now; -1: the sender is gone. */
int sender_receive(struct sender *s, json_t **ret);

/* Carry a request out in this process, and wait for it: the answer, a new reference. */
json_t *sender_perform(const json_t *request);

/* Settings for a request, of a channel's mapping: {"key": text, list of texts, or a secret's form}.
 * New reference. */
json_t *sender_settings(const struct node *channel);

#endif
