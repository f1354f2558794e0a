/* Supervisors as objects, and the channels between them and processes.
 *
 * A channel keeps the order of its messages, as a stream socket does; each takes its time, and what
 * is on its way when one end dies is lost with it. The rules are those of exec/exec.h.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "exec/executor.h"
#include "run/paths.h"
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
	bool hard;
	struct exec_end end;
};

struct queue {
	struct msg *m;
	size_t head, n, cap;
	int64_t last_us; /* when the last one arrives */
};

/* The driver's end of a channel. */
struct conn {
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
	struct conn *holder;
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

/* ---- arrays --------------------------------------------------------------------------- */

static void *grown(void *array, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return array;
	*cap = *cap ? 2 * *cap : 8;
	void *p = reallocarray(array, *cap, size);
	if (!p)
		abort();
	return p;
}

static void push(struct queue *q, const struct msg *m)
{
	if (q->head > 0 && q->n == 0)
		q->head = 0;
	q->m = grown(q->m, q->head + q->n, &q->cap, sizeof *q->m);
	q->m[q->head + q->n++] = *m;
}

static struct msg *first(const struct queue *q)
{
	return q->n ? &q->m[q->head] : NULL;
}

static void pop(struct queue *q)
{
	q->head++;
	q->n--;
}

/* Put on the way, behind what was sent before. */
static void send(struct sim *w, struct queue *q, struct msg m)
{
	int64_t delay = world_between(w, 100, 5 * SIM_MS);

	if (w->now_us < w->slow_us && world_one_in(w, 3))
		delay = world_between(w, SIM_MS, 50 * SIM_S);
	m.at_us = w->now_us + delay;
	if (m.at_us < q->last_us)
		m.at_us = q->last_us;
	q->last_us = m.at_us;
	push(q, &m);
}

/* ---- the supervisor ------------------------------------------------------------------- */

static struct held_by *find(const struct super *s, int64_t token)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->list[i].token == token)
			return &s->list[i];
	return NULL;
}

static void take_out(struct super *s, struct held_by *h)
{
	*h = s->list[--s->n];
}

static struct refused *find_refused(const struct super *s, int64_t token)
{
	for (size_t i = 0; i < s->nrefused; i++)
		if (s->refused[i].token == token)
			return &s->refused[i];
	return NULL;
}

static void refuse(struct super *s, const struct exec_claim *claim)
{
	struct refused *r = find_refused(s, claim->token);

	if (!r) {
		s->refused = grown(s->refused, s->nrefused, &s->refused_cap, sizeof *s->refused);
		r = &s->refused[s->nrefused++];
	}
	*r = (struct refused){ claim->token, claim->epoch };
}

static struct exec_journal_entry *entry_of(const struct super *s, int64_t token)
{
	for (size_t i = 0; i < s->njournal; i++)
		if (s->journal[i].token == token)
			return &s->journal[i];
	return NULL;
}

static struct exec_journal_entry *note(struct super *s, int64_t token)
{
	struct exec_journal_entry *e = entry_of(s, token);

	if (e)
		return e;
	s->journal = grown(s->journal, s->njournal, &s->journal_cap, sizeof *s->journal);
	e = &s->journal[s->njournal++];
	*e = (struct exec_journal_entry){ .token = token, .pid = 1 + (int64_t)s->njournal };
	return e;
}

static bool has_conn(const struct super *s)
{
	for (size_t i = 0; i < s->w->nconns; i++)
		if (s->w->conns[i]->super == s && !s->w->conns[i]->cut)
			return true;
	return false;
}

/* It leaves when nothing is left of which anyone could ask. */
static void leave_if_idle(struct super *s)
{
	if (!s->alive || s->n > 0 || has_conn(s))
		return;
	s->alive = false;
	s->removed = true;
	say(s->w, s->name, "leaves");
}

static void tell_end(struct super *s, const struct held_by *h)
{
	const struct msg m = { .kind = MSG_END, .token = h->token, .end = h->end };

	if (h->holder && !h->holder->cut)
		send(s->w, &h->holder->to_driver, m);
}

static const char *label(const struct attempt *a)
{
	static char text[96];

	snprintf(text, sizeof text, "%s %s try %d", a->run->name,
		a->run->dag->dag->tasks[a->task].name, a->try);
	return text;
}

/* What the attempt leaves for the engine to read. */
static void write_output(struct sim *w, const struct attempt *a)
{
	char *path = paths_output(
		world_home(), a->run->name, a->run->dag->dag->tasks[a->task].name, a->try);
	char *dir = paths_work_dir(world_home(), a->run->name);
	char text[64];

	snprintf(text, sizeof text, "token=%lld\n", (long long)a->token);
	must(w,
		path && dir && io_mkdirs(dir, 0700, NULL) == 0 &&
			io_write_file(path, text, strlen(text), NULL) == 0,
		"cannot write into %s", world_home());
	free(path);
	free(dir);
}

static void end_now(struct super *s, struct held_by *h)
{
	struct sim *w = s->w;
	struct attempt *a = truth_attempt(w, h->token);
	struct exec_journal_entry *e = note(s, h->token);

	h->hand = HAND_ENDED;
	h->end.ended_us = world_wall(w);
	a->body = BODY_ENDED;
	a->since_us = w->now_us;
	a->real = h->end.outcome;
	a->exit_status = h->end.exit_status;
	if (a->writes && a->real == OUTCOME_SUCCESS)
		write_output(w, a);
	e->ended = true;
	e->end = h->end;
	say(w, s->name, "%s ends: %s", label(a), outcome_name(h->end.outcome));
	tell_end(s, h);
}

/* How an attempt will end, and when, were it left alone. */
static void decide(struct sim *w, struct held_by *h, const struct attempt *a)
{
	static const int64_t lengths_ms[] = { 1, 10, 200, 1000, 3000, 8000, 20000, 45000 };
	uint64_t draw = world_draw(
		w, 100 + (uint64_t)(a->run - w->runs), (uint64_t)a->task, (uint64_t)a->try);
	int64_t takes = lengths_ms[draw % 8] * SIM_MS + (int64_t)(draw >> 8) % SIM_S;
	int kind = (int)((draw >> 40) % 32);

	h->end = (struct exec_end){
		.token = h->token, .outcome = OUTCOME_SUCCESS, .started_us = world_wall(w)
	};
	if (kind >= 22 && kind < 29) {
		h->end.outcome = OUTCOME_FAILED;
		h->end.exit_status = kind < 25 ? 1 : kind < 27 ? 2 : 3;
	} else if (kind == 29) {
		h->end.outcome = OUTCOME_FAILED;
		h->end.exit_status = -1;
		h->end.signal = 11;
	} else if (kind == 30) {
		h->end.outcome = OUTCOME_SKIPPED;
		h->end.exit_status = 99;
	} else if (kind == 31) {
		h->end.outcome = OUTCOME_LOST;
		h->end.exit_status = -1;
		h->end.started_us = 0;
		snprintf(h->end.error, sizeof h->end.error, "fork: resource unavailable");
		takes = 0;
	}
	if (h->due_us && takes > h->due_us) {
		takes = h->due_us;
		h->end.outcome = OUTCOME_TIMEOUT;
		h->end.exit_status = -1;
		h->end.signal = 15;
	}
	h->due_us = w->now_us + takes;
}

static void start(struct super *s, struct held_by *h)
{
	struct sim *w = s->w;
	struct attempt *a = truth_attempt(w, h->token);

	must(w, a, "attempt %lld is started, and nothing of it was committed", (long long)h->token);
	must(w, a->body == BODY_NONE, "%s is started twice", label(a));
	say(w, s->name, "starts %s", label(a));
	decide(w, h, a);
	a->writes = world_draw(w, 7, (uint64_t)a->task, (uint64_t)a->try) % 8 == 0;
	h->hand = HAND_RUNS;
	note(s, h->token)->started = h->end.outcome != OUTCOME_LOST;
	w->starts++;
	truth_started(w, a, h->epoch);
	a->body = BODY_RUNS;
	if (h->end.outcome == OUTCOME_LOST)
		end_now(s, h);
}

static void stop(struct super *s, struct held_by *h, bool hard)
{
	struct sim *w = s->w;
	int64_t by = w->now_us + (hard ? SIM_MS : world_between(w, SIM_MS, h->grace_us + SIM_S));

	if (h->hand == HAND_HELD) {
		take_out(s, h);
		return;
	}
	if (h->hand != HAND_RUNS)
		return;
	struct attempt *a = truth_attempt(w, h->token);
	say(w, s->name, "stops %s", label(a));
	must(w, a->run->cancelling || a->run->halted, "%s is stopped, and nobody has asked for it",
		label(a));
	a->stopped = h->stopping = true;
	if (h->due_us <= by)
		return;
	h->due_us = by;
	h->end.outcome = OUTCOME_CANCELLED;
	h->end.exit_status = -1;
	h->end.signal = hard ? 9 : 15;
	h->end.error[0] = '\0';
}

static void acknowledge(struct super *s, struct held_by *h, const struct conn *c)
{
	struct attempt *a = truth_attempt(s->w, h->token);

	must(s->w, h->hand == HAND_ENDED, "%s is acknowledged before it has ended", label(a));
	must(s->w, a->recorded != OUTCOME_NONE,
		"the end of %s is acknowledged before it is committed", label(a));
	if (h->holder == c)
		take_out(s, h);
}

/* A driver is gone: what it had prepared is forgotten, what runs goes on. */
static void forget_conn(struct super *s, struct conn *c)
{
	c->cut = true;
	for (size_t i = 0; i < s->n;) {
		struct held_by *h = &s->list[i];
		if (h->holder != c) {
			i++;
		} else if (h->hand == HAND_HELD) {
			take_out(s, h);
		} else {
			h->holder = NULL;
			i++;
		}
	}
}

static void prepare(struct super *s, struct conn *c, const struct msg *m)
{
	const struct refused *r = find_refused(s, m->token);

	if (find(s, m->token) || (r && m->epoch <= r->epoch))
		return;
	s->list = grown(s->list, s->n, &s->cap, sizeof *s->list);
	s->list[s->n++] = (struct held_by){ .token = m->token,
		.epoch = m->epoch,
		.holder = c,
		.due_us = m->timeout_us,
		.grace_us = m->grace_us };
}

static void receive(struct super *s, struct conn *c, const struct msg *m)
{
	struct held_by *h = m->kind == MSG_PREPARE || m->kind == MSG_BYE ? NULL : find(s, m->token);

	s->w->effects++;
	switch (m->kind) {
	case MSG_PREPARE:
		prepare(s, c, m);
		break;
	case MSG_GO:
		if (h && h->hand == HAND_HELD && h->holder == c)
			start(s, h);
		else if (!h)
			say(s->w, s->name, "refuses a start that is too late");
		break;
	case MSG_DROP:
		if (h && h->hand == HAND_HELD && h->holder == c)
			take_out(s, h);
		break;
	case MSG_STOP:
		if (h && h->holder == c)
			stop(s, h, m->hard);
		break;
	case MSG_ACK:
		if (h)
			acknowledge(s, h, c);
		break;
	case MSG_BYE:
		forget_conn(s, c);
		break;
	default:
		break;
	}
	leave_if_idle(s);
}

/* ---- the driver's end ----------------------------------------------------------------- */

static struct conn *conn_of(struct exec *x)
{
	return (struct conn *)x;
}

static int conn_queue(struct conn *c, const struct msg *m)
{
	push(&c->unsent, m);
	return 0;
}

static int sim_prepare(struct exec *x, const struct exec_job *job, struct err *err)
{
	struct conn *c = conn_of(x);

	(void)err;
	must(c->w, job->argv && job->env && job->cwd && job->log_path,
		"a job without command, environment, folder or log");
	return conn_queue(c, &(struct msg){ .kind = MSG_PREPARE,
				     .token = job->token,
				     .epoch = job->epoch,
				     .timeout_us = job->timeout_us,
				     .grace_us = job->grace_us });
}

static int sim_go(struct exec *x, int64_t token, struct err *err)
{
	(void)err;
	actor_point(conn_of(x)->actor, "before it lets an attempt go");
	return conn_queue(conn_of(x), &(struct msg){ .kind = MSG_GO, .token = token });
}

static int sim_drop(struct exec *x, int64_t token, struct err *err)
{
	(void)err;
	return conn_queue(conn_of(x), &(struct msg){ .kind = MSG_DROP, .token = token });
}

static int sim_start(struct exec *x, const struct exec_job *job, struct err *err)
{
	return sim_prepare(x, job, err) < 0 ? -1 : sim_go(x, job->token, err);
}

static int sim_stop(struct exec *x, int64_t token, bool hard, struct err *err)
{
	(void)err;
	return conn_queue(
		conn_of(x), &(struct msg){ .kind = MSG_STOP, .token = token, .hard = hard });
}

static int sim_ack(struct exec *x, const int64_t *tokens, size_t n, struct err *err)
{
	struct conn *c = conn_of(x);

	(void)err;
	for (size_t i = 0; i < n; i++) {
		const struct attempt *a = truth_attempt(c->w, tokens[i]);
		must(c->w, a && a->recorded != OUTCOME_NONE,
			"an end is acknowledged before it is committed");
		conn_queue(c, &(struct msg){ .kind = MSG_ACK, .token = tokens[i] });
	}
	return 0;
}

static int gone(const struct conn *c, struct err *err)
{
	return err_set(err, ERR_IO, "simulated: %s is gone", c->super->name);
}

static int sim_flush(struct exec *x, struct err *err)
{
	struct conn *c = conn_of(x);
	bool some = c->unsent.n > 0;

	if (some)
		actor_point(c->actor, "before it writes to a supervisor");
	c->writable_us = 0;
	if (!c->super->alive)
		return gone(c, err);
	for (; c->unsent.n > 0; pop(&c->unsent)) {
		/* The socket's buffer is full. */
		if (c->w->now_us < c->w->slow_us && world_one_in(c->w, 10)) {
			c->writable_us = c->w->now_us + world_between(c->w, SIM_MS, SIM_S);
			return 1;
		}
		send(c->w, &c->to_super, *first(&c->unsent));
	}
	if (some)
		actor_point(c->actor, "behind writing to a supervisor");
	return 0;
}

static int sim_read(struct exec *x, struct exec_end *ret, size_t max, struct err *err)
{
	struct conn *c = conn_of(x);
	size_t n = 0;

	for (struct msg *m; n < max && (m = first(&c->to_driver)) && m->at_us <= c->w->now_us;
		pop(&c->to_driver))
		ret[n++] = m->end;
	c->w->effects += (int64_t)n;
	if (n > 0)
		actor_point(c->actor, "behind reading ends");
	if (n == 0 && !c->super->alive && c->to_driver.n == 0)
		return gone(c, err);
	return (int)n;
}

static void answer(struct super *s, struct conn *c, struct exec_claim *claim)
{
	struct held_by *h = find(s, claim->token);
	const struct refused *r = find_refused(s, claim->token);
	struct attempt *a = truth_attempt(s->w, claim->token);

	if ((h && h->epoch > claim->epoch) || (r && r->epoch > claim->epoch)) {
		claim->answer = EXEC_CLAIM_FENCED;
	} else if (!h || h->hand == HAND_HELD) {
		claim->answer = EXEC_CLAIM_UNKNOWN;
		refuse(s, claim);
		if (h)
			take_out(s, h);
	} else {
		claim->answer = h->hand == HAND_RUNS ? EXEC_CLAIM_RUNNING : EXEC_CLAIM_ENDED;
		h->epoch = claim->epoch;
		h->holder = c;
		if (h->hand == HAND_ENDED)
			claim->end = h->end;
	}
	if (a && h)
		say(s->w, s->name, "is asked for %s by %s", label(a), c->actor->name);
}

static int sim_claim(struct exec *x, struct exec_claim *claims, size_t n, struct err *err)
{
	struct conn *c = conn_of(x);
	struct super *s = c->super;
	struct sim *w = c->w;
	bool deaf = w->now_us < s->deaf_us;

	actor_point(c->actor, "before a claim");
	if (!s->alive)
		return gone(c, err);
	w->claims++;
	for (size_t i = 0; i < n; i++) {
		const struct attempt *a = truth_attempt(w, claims[i].token);
		must(w, !a || claims[i].epoch <= a->run->epoch,
			"%s claims %s under an epoch that nobody was given", c->actor->name,
			label(a));
	}
	sim_flush(x, NULL);
	world_pass(w, deaf ? EXEC_CLAIM_WAIT_MS * SIM_MS : world_between(w, SIM_MS, 20 * SIM_MS));
	/* Deaf: it hears of it too late, or its answer is. */
	if (!deaf || world_one_in(w, 2)) {
		for (struct msg *m; (m = first(&c->to_super)); pop(&c->to_super))
			receive(s, c, m);
		for (size_t i = 0; i < n; i++)
			answer(s, c, &claims[i]);
	}
	w->effects++;
	actor_point(c->actor, "behind a claim");
	if (!deaf)
		return 0;
	return err_set(err, ERR_TIMEOUT, "simulated: %s does not answer", s->name);
}

static int sim_fd(const struct exec *x)
{
	(void)x;
	return -1;
}

static void hang_up(struct conn *c)
{
	if (!c->open)
		return;
	c->open = false;
	send(c->w, &c->to_super, (struct msg){ .kind = MSG_BYE });
}

static void sim_release(struct exec *x, bool abandon)
{
	(void)abandon;
	hang_up(conn_of(x));
}

static const struct exec_ops ops = {
	.prepare = sim_prepare,
	.go = sim_go,
	.drop = sim_drop,
	.start = sim_start,
	.stop = sim_stop,
	.ack = sim_ack,
	.flush = sim_flush,
	.read = sim_read,
	.claim = sim_claim,
	.fd = sim_fd,
	.release = sim_release,
};

static struct conn *connect_to(struct actor *n, struct super *s)
{
	struct sim *w = n->w;
	struct conn *c = calloc(1, sizeof *c);

	must(w, c, "no memory");
	*c = (struct conn){ .exec = { &ops }, .w = w, .super = s, .actor = n, .open = true };
	w->conns = grown(w->conns, w->nconns, &w->conns_cap, sizeof *w->conns);
	w->conns[w->nconns++] = c;
	return c;
}

/* ---- the provider --------------------------------------------------------------------- */

static int provider_begin(void *arg, struct exec **ret, struct err *err)
{
	struct actor *n = arg;
	struct sim *w = n->w;
	struct super *s = calloc(1, sizeof *s);

	(void)err;
	must(w, s, "no memory");
	s->w = w;
	s->alive = true;
	snprintf(s->name, sizeof s->name, "super %d", ++w->nnames);
	w->supers = grown(w->supers, w->nsupers, &w->supers_cap, sizeof *w->supers);
	w->supers[w->nsupers++] = s;
	say(w, n->name, "begins %s", s->name);
	n->own = s;
	*ret = &connect_to(n, s)->exec;
	actor_point(n, "behind the beginning of a supervisor");
	return 0;
}

static int provider_list(void *arg, char ***ret, struct err *err)
{
	struct actor *n = arg;
	struct sim *w = n->w;
	size_t count = 0;

	actor_point(n, "before it looks for supervisors");
	char **list = calloc(w->nsupers + 1, sizeof *list);
	if (!list)
		return err_nomem(err);
	for (size_t i = 0; i < w->nsupers; i++)
		if (!w->supers[i]->removed && w->supers[i] != n->own)
			list[count++] = strdup(w->supers[i]->name);
	*ret = list;
	return 0;
}

static struct super *by_name(const struct sim *w, const char *name)
{
	for (size_t i = 0; i < w->nsupers; i++)
		if (strcmp(w->supers[i]->name, name) == 0)
			return w->supers[i];
	return NULL;
}

static int provider_open(void *arg, const char *name, struct exec_former *ret, struct err *err)
{
	struct actor *n = arg;
	struct super *s = by_name(n->w, name);

	actor_point(n, "before it opens a former supervisor");
	must(n->w, s, "%s opens a supervisor that never was", n->name);
	*ret = (struct exec_former){ 0 };
	if (s->removed)
		return err_set(err, ERR_NOT_FOUND, "simulated: %s is gone", name);
	if (s->alive && n->w->now_us < s->deaf_us) {
		world_pass(n->w, EXEC_CLAIM_WAIT_MS * SIM_MS);
		return err_set(err, ERR_TIMEOUT, "simulated: %s does not answer", name);
	}
	if (s->alive) {
		ret->live = &connect_to(n, s)->exec;
		return 0;
	}
	ret->journal.n = s->njournal;
	ret->journal.entries = calloc(s->njournal + 1, sizeof *ret->journal.entries);
	if (!ret->journal.entries)
		return err_nomem(err);
	if (s->njournal)
		memcpy(ret->journal.entries, s->journal, s->njournal * sizeof *s->journal);
	return 0;
}

static int provider_reap(void *arg, const struct exec_journal_entry *entry, struct err *err)
{
	struct actor *n = arg;
	struct attempt *a = truth_attempt(n->w, entry->token);

	actor_point(n, "before it reaps");
	must(n->w, a, "an attempt is reaped that never was");
	if (a->body != BODY_STRAY)
		return 0;
	if (n->w->now_us < n->w->stubborn_us)
		return err_set(err, ERR_BUSY, "simulated: %s does not die", label(a));
	say(n->w, n->name, "reaps %s", label(a));
	a->body = BODY_DIED;
	n->w->effects++;
	return 0;
}

static void provider_remove(void *arg, const char *name)
{
	struct actor *n = arg;
	struct super *s = by_name(n->w, name);

	actor_point(n, "before it removes a journal");
	if (!s || s->removed)
		return;
	must(n->w, !s->alive, "%s removes the journal of %s, which lives", n->name, name);
	for (size_t i = 0; i < s->njournal; i++) {
		const struct attempt *a = truth_attempt(n->w, s->journal[i].token);
		must(n->w, a->recorded != OUTCOME_NONE,
			"%s forgets the journal of %s, and %s is not settled", n->name, name,
			label(a));
	}
	say(n->w, n->name, "forgets %s", name);
	s->removed = true;
}

void super_provider(struct actor *n, struct exec_provider *ret)
{
	*ret = (struct exec_provider){ .arg = n,
		.begin = provider_begin,
		.list = provider_list,
		.open = provider_open,
		.reap = provider_reap,
		.remove = provider_remove };
}

/* ---- faults --------------------------------------------------------------------------- */

/* Its tasks die with it, but for those whose group held more than it could see. */
static void die(struct super *s, bool power, uint64_t draw)
{
	struct sim *w = s->w;

	say(w, s->name, "dies%s", power ? " with the machine" : "");
	s->alive = false;
	for (size_t i = 0; i < s->n; i++) {
		struct held_by *h = &s->list[i];
		struct attempt *a = truth_attempt(w, h->token);
		if (h->hand != HAND_RUNS)
			continue;
		bool stray = !power && (draw >> (i % 32) & 3) == 0;
		a->body = stray ? BODY_STRAY : BODY_DIED;
		a->since_us = w->now_us;
		say(w, s->name, "%s %s", label(a), stray ? "is left behind" : "dies with it");
	}
	s->n = 0;
	for (size_t i = 0; i < w->nconns; i++) {
		struct conn *c = w->conns[i];
		if (c->super != s)
			continue;
		c->cut = true;
		c->to_super.n = c->to_super.head = 0;
		if (power)
			c->to_driver.n = c->to_driver.head = 0;
	}
	if (power && draw & 1) {
		for (size_t i = 0; i < s->njournal; i++)
			truth_attempt(w, s->journal[i].token)->forgotten = true;
		s->njournal = 0;
		s->removed = draw & 2;
	}
}

static struct super *any_alive(struct sim *w, uint64_t draw)
{
	size_t n = 0, at;

	for (size_t i = 0; i < w->nsupers; i++)
		n += w->supers[i]->alive;
	at = n ? draw % n : 0;
	for (size_t i = 0; i < w->nsupers; i++)
		if (w->supers[i]->alive && at-- == 0)
			return w->supers[i];
	return NULL;
}

static void tell_again(struct sim *w)
{
	struct attempt *a, *next;
	int left = 3;

	HASH_ITER (hh, w->attempts, a, next) {
		if (a->body != BODY_ENDED || left-- == 0)
			continue;
		const struct msg m = { .kind = MSG_END,
			.token = a->token,
			.end = { .token = a->token,
				.outcome = a->real,
				.exit_status = a->exit_status } };
		for (size_t i = 0; i < w->nconns; i++)
			if (w->conns[i]->open && !w->conns[i]->cut)
				send(w, &w->conns[i]->to_driver, m);
	}
}

void super_fault(struct sim *w, const struct fault *f)
{
	struct super *s = any_alive(w, f->draw >> 24);

	switch (f->kind) {
	case FAULT_SUPER_DIES:
		if (s)
			die(s, false, f->draw);
		break;
	case FAULT_SUPER_DEAF:
		if (!s)
			break;
		s->deaf_us = w->now_us + SIM_S + (int64_t)(f->draw >> 16) % (60 * SIM_S);
		say(w, s->name, "does not answer for %lld s",
			(long long)((s->deaf_us - w->now_us) / SIM_S));
		break;
	case FAULT_REBOOT:
		for (size_t i = 0; i < w->nsupers; i++)
			if (w->supers[i]->alive)
				die(w->supers[i], true, f->draw >> 5);
		break;
	case FAULT_REPEAT:
		tell_again(w);
		break;
	default:
		break;
	}
}

void super_calm(struct sim *w)
{
	for (size_t i = 0; i < w->nsupers; i++)
		w->supers[i]->deaf_us = 0;
}

/* ---- time ----------------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* A dead or paused reader's messages wait. */
static int64_t arrives_us(const struct conn *c)
{
	const struct msg *m = first(&c->to_super);

	if (!m || c->cut)
		return INT64_MAX;
	return m->at_us > c->super->deaf_us ? m->at_us : c->super->deaf_us;
}

static void drop_conn(struct sim *w, size_t i)
{
	struct conn *c = w->conns[i];

	free(c->unsent.m);
	free(c->to_super.m);
	free(c->to_driver.m);
	free(c);
	w->conns[i] = w->conns[--w->nconns];
}

int64_t super_due_us(struct sim *w)
{
	int64_t due = INT64_MAX;

	for (size_t i = w->nconns; i-- > 0;) {
		if (!w->conns[i]->open && w->conns[i]->cut)
			drop_conn(w, i);
		else
			due = earlier(due, arrives_us(w->conns[i]));
	}
	for (size_t i = 0; i < w->nsupers; i++) {
		const struct super *s = w->supers[i];
		for (size_t k = 0; s->alive && k < s->n; k++)
			if (s->list[k].hand == HAND_RUNS)
				due = earlier(due, s->list[k].due_us);
	}
	return due;
}

bool super_happen(struct sim *w)
{
	for (size_t i = 0; i < w->nsupers; i++) {
		struct super *s = w->supers[i];
		for (size_t k = 0; s->alive && k < s->n; k++) {
			struct held_by *h = &s->list[k];
			if (h->hand != HAND_RUNS || h->due_us > w->now_us)
				continue;
			end_now(s, h);
			return true;
		}
	}
	for (size_t i = 0; i < w->nconns; i++) {
		struct conn *c = w->conns[i];
		if (arrives_us(c) > w->now_us)
			continue;
		struct msg m = *first(&c->to_super);
		pop(&c->to_super);
		receive(c->super, c, &m);
		return true;
	}
	return false;
}

int64_t super_news_us(const struct actor *n)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < n->w->nconns; i++) {
		const struct conn *c = n->w->conns[i];
		const struct msg *m = first(&c->to_driver);
		if (c->actor != n || !c->open)
			continue;
		if (m)
			due = earlier(due, m->at_us);
		else if (c->cut)
			due = earlier(due, n->w->now_us);
		if (c->writable_us)
			due = earlier(due, c->writable_us);
	}
	return due;
}

void super_hang_up(struct actor *n)
{
	for (size_t i = 0; i < n->w->nconns; i++) {
		struct conn *c = n->w->conns[i];
		if (c->actor != n)
			continue;
		hang_up(c);
	}
}

bool super_knows(const struct sim *w, int64_t token)
{
	for (size_t i = 0; i < w->nsupers; i++)
		if (w->supers[i]->alive && find(w->supers[i], token))
			return true;
	return false;
}

void super_release(struct sim *w)
{
	while (w->nconns > 0)
		drop_conn(w, w->nconns - 1);
	free(w->conns);
	for (size_t i = 0; i < w->nsupers; i++) {
		free(w->supers[i]->list);
		free(w->supers[i]->refused);
		free(w->supers[i]->journal);
		free(w->supers[i]);
	}
	free(w->supers);
}
