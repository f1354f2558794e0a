/* Channels between processes and supervisors, and the driver's end of them: an executor.
 *
 * A channel keeps the order of its messages, as a stream socket does; each takes its time, and what
 * is on its way when one end dies is lost with it.
 */
#include <stdlib.h>

#include "base/err.h"
#include "tests/sim/super_impl.h"

/* ---- queues --------------------------------------------------------------------------- */

void *super_grown(void *array, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return array;
	*cap = *cap ? 2 * *cap : 8;
	void *p = reallocarray(array, *cap, size);
	if (!p)
		abort();
	return p;
}

void queue_push(struct queue *q, const struct msg *m)
{
	if (q->head > 0 && q->n == 0)
		q->head = 0;
	q->m = super_grown(q->m, q->head + q->n, &q->cap, sizeof *q->m);
	q->m[q->head + q->n++] = *m;
}

struct msg *queue_first(const struct queue *q)
{
	return q->n ? &q->m[q->head] : NULL;
}

void queue_pop(struct queue *q)
{
	q->head++;
	q->n--;
}

/* Put on the way, behind what was sent before. */
void queue_send(struct sim *w, struct queue *q, struct msg m)
{
	int64_t delay = world_between(w, 100, 5 * SIM_MS);

	if (w->now_us < w->slow_us && world_one_in(w, 3))
		delay = world_between(w, SIM_MS, 50 * SIM_S);
	m.at_us = w->now_us + delay;
	if (m.at_us < q->last_us)
		m.at_us = q->last_us;
	q->last_us = m.at_us;
	queue_push(q, &m);
}

/* ---- the driver's end ----------------------------------------------------------------- */

static struct channel *channel_of(struct exec *x)
{
	return (struct channel *)x;
}

static int channel_queue(struct channel *c, const struct msg *m)
{
	queue_push(&c->unsent, m);
	return 0;
}

static int do_prepare(struct exec *x, const struct exec_job *job, struct err *err)
{
	struct channel *c = channel_of(x);

	(void)err;
	must(c->w, (job->argv || job->payload) && job->env && job->cwd && job->log_path,
		"a job without command, environment, folder or log");
	return channel_queue(c, &(struct msg){ .kind = MSG_PREPARE,
					.token = job->token,
					.epoch = job->epoch,
					.timeout_us = job->timeout_us,
					.grace_us = job->grace_us });
}

static int do_go(struct exec *x, int64_t token, struct err *err)
{
	(void)err;
	actor_point(channel_of(x)->actor, "before it lets an attempt go");
	return channel_queue(channel_of(x), &(struct msg){ .kind = MSG_GO, .token = token });
}

static int do_drop(struct exec *x, int64_t token, struct err *err)
{
	(void)err;
	return channel_queue(channel_of(x), &(struct msg){ .kind = MSG_DROP, .token = token });
}

static int do_start(struct exec *x, const struct exec_job *job, struct err *err)
{
	return do_prepare(x, job, err) < 0 ? -1 : do_go(x, job->token, err);
}

static int do_stop(struct exec *x, int64_t token, unsigned how, struct err *err)
{
	(void)err;
	return channel_queue(
		channel_of(x), &(struct msg){ .kind = MSG_STOP, .token = token, .how = how });
}

static int do_ack(struct exec *x, const int64_t *tokens, size_t n, struct err *err)
{
	struct channel *c = channel_of(x);

	(void)err;
	for (size_t i = 0; i < n; i++) {
		const struct attempt *a = truth_attempt(c->w, tokens[i]);
		must(c->w, a && a->recorded != OUTCOME_NONE,
			"an end is acknowledged before it is committed");
		channel_queue(c, &(struct msg){ .kind = MSG_ACK, .token = tokens[i] });
	}
	return 0;
}

static int gone(const struct channel *c, struct err *err)
{
	return err_set(err, ERR_IO, "simulated: %s is gone", c->super->name);
}

static int do_flush(struct exec *x, struct err *err)
{
	struct channel *c = channel_of(x);
	bool some = c->unsent.n > 0;

	if (some)
		actor_point(c->actor, "before it writes to a supervisor");
	c->writable_us = 0;
	if (!c->super->alive)
		return gone(c, err);
	for (; c->unsent.n > 0; queue_pop(&c->unsent)) {
		/* The socket's buffer is full. */
		if (c->w->now_us < c->w->slow_us && world_one_in(c->w, 10)) {
			c->writable_us = c->w->now_us + world_between(c->w, SIM_MS, SIM_S);
			return 1;
		}
		queue_send(c->w, &c->to_super, *queue_first(&c->unsent));
	}
	if (some)
		actor_point(c->actor, "behind writing to a supervisor");
	return 0;
}

static int do_read(struct exec *x, struct exec_end *ret, size_t max, struct err *err)
{
	struct channel *c = channel_of(x);
	size_t n = 0;

	for (struct msg *m; n < max && (m = queue_first(&c->to_driver)) && m->at_us <= c->w->now_us;
		queue_pop(&c->to_driver))
		ret[n++] = m->end;
	c->w->effects += (int64_t)n;
	if (n > 0)
		actor_point(c->actor, "behind reading ends");
	if (n == 0 && !c->super->alive && c->to_driver.n == 0)
		return gone(c, err);
	return (int)n;
}

static int do_claim(struct exec *x, struct exec_claim *claims, size_t n, struct err *err)
{
	struct channel *c = channel_of(x);
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
			super_label(a));
	}
	do_flush(x, NULL);
	world_pass(w, deaf ? EXEC_CLAIM_WAIT_MS * SIM_MS : world_between(w, SIM_MS, 20 * SIM_MS));
	/* Deaf: it hears of it too late, or its answer is. */
	if (!deaf || world_one_in(w, 2)) {
		for (struct msg *m; (m = queue_first(&c->to_super)); queue_pop(&c->to_super))
			super_receive(s, c, m);
		for (size_t i = 0; i < n; i++)
			super_answer(s, c, &claims[i]);
	}
	w->effects++;
	actor_point(c->actor, "behind a claim");
	if (!deaf)
		return 0;
	return err_set(err, ERR_TIMEOUT, "simulated: %s does not answer", s->name);
}

static int do_fd(const struct exec *x)
{
	(void)x;
	return -1;
}

void channel_hang_up(struct channel *c)
{
	if (!c->open)
		return;
	c->open = false;
	queue_send(c->w, &c->to_super, (struct msg){ .kind = MSG_BYE });
}

static void do_release(struct exec *x, bool abandon)
{
	(void)abandon;
	channel_hang_up(channel_of(x));
}

static const struct exec_ops ops = {
	.prepare = do_prepare,
	.go = do_go,
	.drop = do_drop,
	.start = do_start,
	.stop = do_stop,
	.ack = do_ack,
	.flush = do_flush,
	.read = do_read,
	.claim = do_claim,
	.fd = do_fd,
	.release = do_release,
};

struct channel *channel_new(struct actor *n, struct super *s)
{
	struct sim *w = n->w;
	struct channel *c = calloc(1, sizeof *c);

	must(w, c, "no memory");
	*c = (struct channel){ .exec = { &ops }, .w = w, .super = s, .actor = n, .open = true };
	w->channels = super_grown(w->channels, w->nchannels, &w->channels_cap, sizeof *w->channels);
	w->channels[w->nchannels++] = c;
	return c;
}

/* A dead or paused reader's messages wait. */
int64_t channel_arrives_us(const struct channel *c)
{
	const struct msg *m = queue_first(&c->to_super);

	if (!m || c->cut)
		return INT64_MAX;
	return m->at_us > c->super->deaf_us ? m->at_us : c->super->deaf_us;
}

void channel_drop(struct sim *w, size_t i)
{
	struct channel *c = w->channels[i];

	free(c->unsent.m);
	free(c->to_super.m);
	free(c->to_driver.m);
	free(c);
	w->channels[i] = w->channels[--w->nchannels];
}
