/* Alerting: the acts of kind "alert" that wait in the outbox, sent.
 *
 * What is due for one route is one message (run/alert_compose.h). It is handed to the sender
 * (run/sender.h), a process of its own; this one never waits for a network. When the sender
 * answers, the acts are done; or they are due again later; or, when their channel has failed too
 * often or for good, they are given up, and others in their place are for the next channel of the
 * route. A group that is a storm, and still grows, waits some seconds for the rest of it. At least
 * once: what was sent but not recorded is sent again, under the same id.
 *
 * It also tells the store which incidents escalate and whose snooze is over, and keeps the
 * heartbeat going. One process of a WEIR_HOME does this at a time, the one that holds alerts.lock;
 * others leave it to that one.
 */
#ifndef WEIR_RUN_ALERTING_H
#define WEIR_RUN_ALERTING_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct alerts;
struct alerting;
struct dag;
struct err;
struct sender;
struct store;

/* What happened, for a log. */
struct alerting_note {
	const char *what; /* "told", "cannot tell now", "given up", "the sender died" */
	const char *route, *channel, *error; /* NULL: none */
	int count;                           /* of incidents */
	bool bad;
};

/* What is done with a sender, as run/sender.h has it: pid 0 is one that does not run. */
struct alerting_sender {
	int (*start)(struct sender *s, struct err *err);
	void (*stop)(struct sender *s);
	int (*send)(struct sender *s, const json_t *request, struct err *err);
	int (*receive)(struct sender *s, json_t **ret);
};

struct alerting_config {
	const char *home; /* borrowed, as all here */
	struct store *store;
	const struct alerts *alerts;                            /* never NULL */
	void (*note)(void *arg, const struct alerting_note *n); /* NULL: nobody listens */
	/* The DAG of that name, a reference; NULL: it is not known. */
	struct dag *(*find_dag)(void *arg, const char *name);
	/* What a breaker stops (breakers_stopped); NULL: not known. */
	json_t *(*stopped)(void *arg, const char *breaker);
	void *arg;
	bool heartbeat;
	const struct alerting_sender *sender; /* NULL: a process */
};

/* Forks the sender. ERR_REFUSED: another process does it already. */
int alerting_new(struct alerting **ret, const struct alerting_config *config, struct err *err);
void alerting_free(struct alerting *a);
/* They are others from now on; those of before are not referred to any more. */
void alerting_set(struct alerting *a, const struct alerts *alerts);
/* Readable when the sender has answered; another one after it has died. -1: none runs. */
int alerting_fd(const struct alerting *a);
/* Hear answers, send what is due. Also to be called when `alerting_wake_us` has come. Faults of the
 * store are tried again later. */
void alerting_turn(struct alerting *a, int64_t now_us);
/* Something was put into the outbox that waits for its group: looked at in time, not at once. */
void alerting_told(struct alerting *a, int64_t now_us);
/* On the clock on the wall; INT64_MAX: never. */
int64_t alerting_wake_us(const struct alerting *a);
bool alerting_is_busy(const struct alerting *a); /* the sender has not answered yet */
/* Send what is due within the group window, now, and wait for it; at most so long. Returns how many
 * acts are left for later. */
int alerting_flush(struct alerting *a, int timeout_ms);

#endif
