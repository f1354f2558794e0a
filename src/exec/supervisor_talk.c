/* The supervisor's connections: its driver's, and those of drivers that come to claim attempts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "exec/supervisor_impl.h"

#define RECV_SIZE (256u << 10)
#define IN_KEPT (1u << 20) /* after a large job its memory is given back */
#define STARTS_PER_TURN 16 /* then ends and timers have their turn */
#define OUT_MAX (64u << 20)

static const char stopping_text[] = "the supervisor was told to stop";

/* ---- beginning and end ---- */

static void peer_init(struct peer *p, int fd)
{
	*p = (struct peer){ .fd = fd };
	buf_init(&p->in, FRAME_MAX + RECV_SIZE);
	buf_init(&p->out, OUT_MAX);
}

void talk_init(struct supervisor *s, int socket)
{
	for (int i = 0; i < PEERS_MAX; i++)
		s->peers[i].fd = -1;
	peer_init(&s->peers[HOLDER_MAIN], socket);
	s->npeers = 1;
}

int talk_watch(struct supervisor *s, int fd, void *mark)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = mark };

	return epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &ev);
}

bool talk_is_peer(const struct supervisor *s, const void *mark)
{
	uintptr_t at = (uintptr_t)mark, first = (uintptr_t)s->peers;

	return at >= first && at < first + sizeof s->peers;
}

int talk_hello(struct peer *p, const struct err *why_not)
{
	struct frame_hello hello = { .pid = getpid(), .msg = "" };

	if (why_not) {
		hello.error = (int)why_not->code;
		hello.msg = why_not->msg;
	}
	int rc = frame_put_hello(&p->out, &hello, NULL);
	if (rc == 0 && send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL) < 0)
		rc = -1;
	buf_clear(&p->out);
	return rc;
}

static int number_of(const struct supervisor *s, const struct peer *p)
{
	return (int)(p - s->peers);
}

/* A terminal or pipe that stderr was belongs to the driver. */
static void leave_stderr(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
}

/* It is gone, or talks nonsense: what it holds is brought to its end, and kept for others. */
static void hang_up(struct supervisor *s, struct peer *p)
{
	int number = number_of(s, p);

	close(p->fd);
	buf_release(&p->in);
	buf_release(&p->out);
	*p = (struct peer){ .fd = -1 };
	attempts_leave(&s->attempts, number);
	kept_leave(&s->kept, number);
	if (number == HOLDER_MAIN) {
		held_drop_all(&s->held);
		leave_stderr();
	}
	while (s->npeers > 1 && s->peers[s->npeers - 1].fd < 0)
		s->npeers--;
}

static struct peer *free_place(struct supervisor *s)
{
	for (int i = HOLDER_MAIN + 1; i < PEERS_MAX; i++)
		if (s->peers[i].fd < 0)
			return &s->peers[i];
	return NULL;
}

static int64_t mono_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void listen_for(struct supervisor *s, unsigned events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s->listen_mark };

	s->deaf = !events;
	s->listen_again_ms = mono_ms() + RETRY_MS;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, s->listen_fd, &ev);
}

void talk_accept(struct supervisor *s)
{
	struct peer *p = free_place(s);
	int fd = p ? accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC) : -1;

	if (fd < 0 && p && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
		return;
	/* All places taken, or no descriptors: those who call wait, and we do not spin. */
	if (fd < 0) {
		listen_for(s, 0);
		return;
	}
	peer_init(p, fd);
	if (s->npeers <= number_of(s, p))
		s->npeers = number_of(s, p) + 1;
	if (talk_watch(s, fd, p) < 0 || talk_hello(p, NULL) < 0)
		hang_up(s, p);
}

void talk_listen_again(struct supervisor *s)
{
	if (mono_ms() >= s->listen_again_ms)
		listen_for(s, EPOLLIN);
}

/* ---- what they say ---- */

static int take_start(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	const struct exec_job *job = &s->start.job;

	(void)p;
	if (frame_get_start(f, &s->start, err) < 0)
		return -1;
	if (s->start.now_us)
		clock_warp(s->start.now_us);
	if (attempts_has(&s->attempts, job->token) || kept_has(&s->kept, job->token) ||
		kept_is_buried(&s->kept, job->token, job->epoch))
		return 0;
	if (s->stopping)
		attempts_refuse(&s->attempts, job, OUTCOME_LOST, stopping_text);
	else
		attempts_start(&s->attempts, job, NULL);
	return 0;
}

static int take_prepare(
	struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	(void)p;
	if (s->stopping || held_add(&s->held, f, &s->kept, err) == 0)
		return 0;
	return err->code == ERR_NOMEM ? 0 : -1; /* its GO will tell */
}

/* It is not held. Known otherwise: a repeated GO, or one that came too late. */
static void refuse_go(struct supervisor *s, int64_t token)
{
	const struct exec_job job = { .token = token };

	if (attempts_has(&s->attempts, token) || kept_has(&s->kept, token) ||
		kept_is_buried(&s->kept, token, INT64_MIN))
		return;
	if (s->stopping)
		attempts_refuse(&s->attempts, &job, OUTCOME_LOST, stopping_text);
	else
		attempts_refuse(&s->attempts, &job, OUTCOME_LOST,
			"the supervisor does not have it prepared: dropped, or out of memory");
}

static int take_go(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	struct frame_go go;

	(void)p;
	if (frame_get_go(f, &go, err) < 0)
		return -1;
	if (go.now_us)
		clock_warp(go.now_us);
	struct held *h = held_take(&s->held, go.token);
	if (h && !kept_has(&s->kept, go.token))
		attempts_start(&s->attempts, held_job(h), held_log(h));
	else if (!h)
		refuse_go(s, go.token);
	held_free(h);
	return 0;
}

static int take_drop(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	int64_t token;

	(void)p;
	if (frame_get_drop(f, &token, err) < 0)
		return -1;
	held_free(held_take(&s->held, token));
	return 0;
}

static int take_stop(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	struct frame_stop stop;
	int number = number_of(s, p);

	if (frame_get_stop(f, &stop, err) < 0)
		return -1;
	if (number == HOLDER_MAIN)
		held_free(held_take(&s->held, stop.token));
	attempts_stop(&s->attempts, stop.token, stop.how, number);
	return 0;
}

static int take_bye(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	(void)p;
	(void)f;
	(void)err;
	s->said_bye = true;
	return 0;
}

static int take_ack(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	struct frame_list list;
	int64_t token;
	int rc;

	if (frame_get_list(f, &list, err) < 0)
		return -1;
	while ((rc = frame_next_ack(&list, &token, err)) > 0)
		kept_ack(&s->kept, token, number_of(s, p));
	return rc;
}

/* What is held was never started, and never will be, but by someone with a larger epoch. */
static int claim_held(struct supervisor *s, const struct exec_claim *c)
{
	struct held *h = held_find(&s->held, c->token);

	if (h && c->epoch < held_job(h)->epoch)
		return EXEC_CLAIM_FENCED;
	int answer = kept_bury(&s->kept, c->token, c->epoch);
	if (answer == EXEC_CLAIM_UNKNOWN)
		held_free(held_take(&s->held, c->token));
	return answer;
}

static int claim(struct supervisor *s, struct exec_claim *c, int holder)
{
	int answer = attempts_claim(&s->attempts, c->token, c->epoch, holder);

	if (answer == EXEC_CLAIM_UNKNOWN)
		answer = kept_claim(&s->kept, c, holder, &c->end);
	if (answer == EXEC_CLAIM_UNKNOWN)
		answer = claim_held(s, c);
	if (answer >= 0)
		c->answer = (enum exec_claim_answer)answer;
	return answer;
}

static int take_claim(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	struct frame_list list;
	size_t n = 0;
	int rc;

	if (frame_get_list(f, &list, err) < 0)
		return -1;
	struct exec_claim *claims = calloc(list.n + 1, sizeof *claims);
	if (!claims)
		return err_nomem(err);
	while ((rc = frame_next_claim(&list, &claims[n], err)) > 0)
		if (claim(s, &claims[n++], number_of(s, p)) < 0) {
			rc = err_nomem(
				err); /* it must not take one for never started that may be */
			break;
		}
	if (rc == 0)
		rc = frame_put_claimed(&p->out, list.serial, claims, n, err);
	free(claims);
	return rc;
}

static const struct taker {
	int (*take)(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err);
	bool driver_only;
	bool starts;
} takers[FRAME_TYPE_MAX] = {
	[FRAME_START] = { .take = take_start, .driver_only = true, .starts = true },
	[FRAME_PREPARE] = { .take = take_prepare, .driver_only = true },
	[FRAME_GO] = { .take = take_go, .driver_only = true, .starts = true },
	[FRAME_DROP] = { .take = take_drop, .driver_only = true },
	[FRAME_STOP] = { .take = take_stop },
	[FRAME_BYE] = { .take = take_bye, .driver_only = true },
	[FRAME_CLAIM] = { .take = take_claim },
	[FRAME_ACK] = { .take = take_ack },
};

static int take_frame(struct supervisor *s, struct peer *p, const struct frame *f, struct err *err)
{
	const struct taker *t = &takers[f->type];

	if (!t->take || (t->driver_only && number_of(s, p) != HOLDER_MAIN))
		return err_set(
			err, ERR_DATA, "a %s message from a driver", frame_type_name(f->type));
	return t->take(s, p, f, err);
}

static void complain(struct peer *p, const struct err *err)
{
	dprintf(STDERR_FILENO, SUPERVISOR_NAME ": %s\n", err->msg);
	p->bad = true;
}

/* Act on what was received, up to a number of starts. */
static void take_frames(struct supervisor *s, struct peer *p)
{
	size_t used = 0;
	int rc = 1, starts = 0;
	struct frame f;
	struct err err;

	while (starts < STARTS_PER_TURN) {
		rc = frame_next(p->in.data + used, p->in.len - used, &f, &err);
		if (rc <= 0)
			break;
		rc = take_frame(s, p, &f, &err);
		if (rc < 0)
			break;
		starts += takers[f.type].starts;
		used += f.size;
		rc = 1;
	}
	if (rc < 0) {
		complain(p, &err);
		return;
	}
	buf_consume(&p->in, used);
	p->more_input = rc > 0;
	if (!p->in.len && (p->in.cap > IN_KEPT || number_of(s, p) != HOLDER_MAIN))
		buf_release(&p->in);
}

static void receive(struct supervisor *s, struct peer *p)
{
	struct err err;

	p->readable = false;
	if (buf_reserve(&p->in, RECV_SIZE) < 0) {
		buf_ok(&p->in, "supervisor", &err);
		complain(p, &err);
		return;
	}
	ssize_t n = recv(p->fd, p->in.data + p->in.len, RECV_SIZE, MSG_DONTWAIT);
	if (n > 0) {
		p->in.len += (size_t)n;
		p->in.data[p->in.len] = '\0';
		p->more_input = true;
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		hang_up(s, p);
	}
}

void talk_receive(struct supervisor *s)
{
	for (int i = 0; i < s->npeers; i++) {
		struct peer *p = &s->peers[i];
		if (p->readable && p->fd >= 0 && !p->more_input)
			receive(s, p);
		if (p->more_input)
			take_frames(s, p);
	}
	for (int i = 0; i < s->npeers; i++)
		if (s->peers[i].bad && s->peers[i].fd >= 0)
			hang_up(s, &s->peers[i]);
}

bool talk_has_input(const struct supervisor *s)
{
	for (int i = 0; i < s->npeers; i++)
		if (s->peers[i].more_input || s->peers[i].bad)
			return true;
	return false;
}

/* ---- what they are told ---- */

/* One that does not read for so long is not waited for: the end is kept for who claims it. */
void talk_tell(void *supervisor, int holder, const struct exec_end *end)
{
	struct supervisor *s = supervisor;
	struct peer *p = &s->peers[holder];

	if (p->fd >= 0 && !p->mute && frame_put_end(&p->out, end, NULL) < 0)
		p->bad = true;
}

static void ask_for_room(struct supervisor *s, struct peer *p, bool ask)
{
	struct epoll_event ev = { .events = EPOLLIN | (ask ? EPOLLOUT : 0), .data.ptr = p };

	if (ask == p->watches_room)
		return;
	p->watches_room = ask;
	epoll_ctl(s->epoll_fd, EPOLL_CTL_MOD, p->fd, &ev);
}

static void send_to(struct supervisor *s, struct peer *p)
{
	supervisor_step();
	ssize_t n = send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		p->mute = true; /* but its last words may be on their way */
		buf_release(&p->out);
	}
	buf_consume(&p->out, n > 0 ? (size_t)n : 0);
	ask_for_room(s, p, p->out.len > 0);
}

void talk_send(struct supervisor *s)
{
	for (int i = 0; i < s->npeers; i++)
		if (s->peers[i].out.len)
			send_to(s, &s->peers[i]);
}

bool talk_has_output(const struct supervisor *s)
{
	for (int i = 0; i < s->npeers; i++)
		if (s->peers[i].out.len)
			return true;
	return false;
}

bool talk_is_alone(const struct supervisor *s)
{
	return s->npeers <= 1;
}
