/* What the files of supervisors share: super.c, channel.c, provider.c. */
#ifndef WEIR_TESTS_SIM_SUPER_IMPL_H
#define WEIR_TESTS_SIM_SUPER_IMPL_H

#include "exec/executor.h"
#include "tests/sim/sim.h"

enum msg_kind {
	MSG_PREPARE,
	MSG_GO,
	MSG_DROP,
	MSG_STOP,
	MSG_ACK,
	MSG_BYE, /* the other end is gone: killed, or it has hung up */
	MSG_END,
	MSG_KIND_MAX
};
struct msg {
	int64_t at_us;
	enum msg_kind kind;
	int64_t token, epoch, timeout_us, grace_us;
	unsigned how;
	struct exec_end end;
};

struct queue {
	struct msg *m;
	size_t head, n, cap;
	int64_t last_us; /* when the last one arrives */
};

/* The driver's end of a channel. */
struct channel {
	struct exec exec; /* first */
	struct sim *w;
	struct super *super;
	struct actor *actor;
	struct queue unsent, to_super, to_driver;
	bool open;           /* the driver holds it */
	bool cut;            /* its other end is gone */
	int64_t writable_us; /* flush said that some is left; 0: no */
};

enum hand { HAND_HELD, HAND_RUNS, HAND_ENDED };
struct held_by {
	int64_t token, epoch, due_us, grace_us;
	struct channel *holder;
	enum hand hand;
	bool stopping;
	struct exec_end end; /* what it is to be, or was */
};

struct super {
	struct sim *w;
	char name[24];
	bool alive, removed, forgot; /* forgot: a reboot took its journal */
	int64_t deaf_us;
	struct held_by *list;
	size_t n, cap;
	/* Claimed and not known here: not started any more, under that epoch or an older one. */
	struct refused {
		int64_t token, epoch;
	} * refused;
	size_t nrefused, refused_cap;
	struct exec_journal_entry *journal;
	size_t njournal, journal_cap;
};

/* ---- channel.c ---- */

/* Room for one more in an array; aborts without memory. */
void *super_grown(void *array, size_t n, size_t *cap, size_t size);
void queue_push(struct queue *q, const struct msg *m);
struct msg *queue_first(const struct queue *q); /* NULL: none */
void queue_pop(struct queue *q);
/* Put on the way, behind what was sent before. */
void queue_send(struct sim *w, struct queue *q, struct msg m);

struct channel *channel_new(struct actor *n, struct super *s);
void channel_hang_up(struct channel *c);
void channel_drop(struct sim *w, size_t i); /* w->channels[i]; its last one takes the place */
/* When the next message to the supervisor is heard; INT64_MAX: none is on its way. */
int64_t channel_arrives_us(const struct channel *c);

/* ---- super.c ---- */

struct super *super_by_name(const struct sim *w, const char *name); /* or NULL */
const char *super_label(const struct attempt *a); /* "d0@1 t3 try 2"; good until the next call */
void super_receive(struct super *s, struct channel *c, const struct msg *m);
void super_answer(struct super *s, struct channel *c, struct exec_claim *claim);

#endif
