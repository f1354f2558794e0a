/* From acts of the outbox to the document of a message (run/alert_message.h). */
#ifndef WEIR_RUN_ALERT_COMPOSE_H
#define WEIR_RUN_ALERT_COMPOSE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct alerts;
struct err;
struct outbox_row;
struct store;

struct alert_group {
	struct store *store;
	const char *home;
	const struct alerts *alerts;
	const char *route, *channel;
	const struct outbox_row *const *acts; /* in the order they came; at least one */
	size_t nacts;
	const json_t *failed; /* a list of texts: channels that should have told; or NULL */
	int64_t now_us;
	/* breakers_stopped(); NULL: not known */
	json_t *(*stopped)(void *arg, const char *breaker);
	void *arg;
};
/* A new reference; NULL with err. It fits into a request of the sender. */
json_t *alert_compose(const struct alert_group *g, struct err *err);
/* A message that only says that it came. New reference. */
json_t *alert_compose_test(const struct alerts *alerts, const char *home, const char *channel);

#endif
