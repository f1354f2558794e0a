/* The supervisor's inside, shared by its files: supervisor.c, its beginning and its loop, and
 * supervisor_talk.c, its connections. */
#ifndef WEIR_EXEC_SUPERVISOR_IMPL_H
#define WEIR_EXEC_SUPERVISOR_IMPL_H

#include "base/buf.h"
#include "exec/attempt.h"
#include "exec/endpoint.h"
#include "exec/frame.h"
#include "exec/held.h"
#include "exec/journal.h"
#include "exec/kept.h"
#include "exec/limits.h"

#define SUPERVISOR_NAME "weir-supervisor"
#define PEERS_MAX 65 /* the driver, and those who connect */
#define RETRY_MS 1000

/* A connection. The first is the driver's, HOLDER_MAIN. */
struct peer {
	int fd;            /* -1: none */
	bool readable;     /* says epoll */
	bool more_input;   /* whole frames are left in `in` */
	bool watches_room; /* the socket is full, EPOLLOUT is asked for */
	bool mute;         /* nothing can be sent any more; what it sent is still read */
	bool bad;          /* it talked nonsense, or does not listen: to be closed */
	struct buf in, out;
};

struct supervisor {
	int epoll_fd, signal_fd;
	int listen_fd; /* -1: none, it can only be talked to by its driver */
	void *listen_mark;
	bool deaf; /* it does not listen for the moment */
	int64_t listen_again_ms;
	bool said_bye, stopping, stopping_hard;
	bool journal_fails; /* that is said, once */
	char socket_name[ENDPOINT_NAME];
	char *dir; /* of the journal and the socket */
	struct peer peers[PEERS_MAX];
	int npeers;               /* none is behind this */
	struct frame_start start; /* kept for its memory */
	struct held_set held;
	struct journal journal;
	int64_t compact_at; /* bytes of the journal that are of no more use */
	struct attempts attempts;
	struct kept_set kept;
	struct limits_system limits;
};

void supervisor_step(void); /* a test's point of interruption */

/* Room in `in` and `out`, not in the loop yet. */
void talk_init(struct supervisor *s, int socket);
int talk_watch(struct supervisor *s, int fd, void *mark);
bool talk_is_peer(const struct supervisor *s, const void *mark);
int talk_hello(struct peer *p, const struct err *why_not);
void talk_tell(void *supervisor, int holder, const struct exec_end *end);
void talk_accept(struct supervisor *s);
void talk_listen_again(struct supervisor *s); /* when it is time */
/* Receive where something is, and act on it, up to a number of starts. */
void talk_receive(struct supervisor *s);
void talk_send(struct supervisor *s);
bool talk_has_input(const struct supervisor *s);
bool talk_has_output(const struct supervisor *s);
bool talk_is_alone(const struct supervisor *s); /* none but the driver is connected */

#endif
