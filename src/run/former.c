#include "run/former.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/units.h"
#include "core/model.h"
#include "exec/proc.h"
#include "run/engine_impl.h"

#define AGAIN_US (10 * US_PER_SECOND)
#define BOOT_SLACK_US US_PER_MINUTE

struct former_entry {
	int64_t token;
	struct exec_journal_entry *entry;
	UT_hash_handle hh;
};

struct former {
	char *name;
	struct engine *engine;
	struct exec *live; /* NULL: dead, or out of reach */
	int64_t again_us;  /* monotonic: when to try again; 0: it can be asked */
	int64_t settle_us; /* monotonic: it was opened anew, and what we hold of it is to be asked
			    * for again; when. 0: nothing is */
	struct err why;    /* again_us: why it cannot be asked */
	struct exec_journal journal; /* of a dead one */
	struct former_entry *entries, *by_token;
	struct event *on_read;
	struct former *next;
};

struct held_attempt {
	int64_t token;
	struct former *of;
	UT_hash_handle hh;
};

/* ---- one former ----------------------------------------------------------------------- */

static void hang_up(struct former *f)
{
	engine_free_event(f->on_read);
	f->on_read = NULL;
	exec_abandon(f->live);
	f->live = NULL;
}

static void former_free(struct former *f)
{
	if (!f)
		return;
	hang_up(f);
	HASH_CLEAR(hh, f->by_token);
	free(f->entries);
	exec_journal_release(&f->journal);
	free(f->name);
	free(f);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
	const struct former *f = arg;

	(void)fd;
	(void)what;
	engine_poll(f->engine);
}

static int watch(struct former *f, struct err *err)
{
	if (f->engine->config.no_loop)
		return 0;
	f->on_read = event_new(f->engine->base, exec_fd(f->live), EV_READ | EV_PERSIST, on_read, f);
	if (!f->on_read || event_add(f->on_read, NULL) < 0)
		return err_nomem(err);
	return 0;
}

static int index_journal(struct former *f, struct err *err)
{
	f->engine->formers.untidy = true;
	f->entries = calloc(f->journal.n + 1, sizeof *f->entries);
	if (!f->entries)
		return err_nomem(err);
	for (size_t i = 0; i < f->journal.n; i++) {
		struct former_entry *e = &f->entries[i];
		*e = (struct former_entry){ .token = f->journal.entries[i].token,
			.entry = &f->journal.entries[i] };
		HASH_ADD(hh, f->by_token, token, sizeof e->token, e);
		if (!e->hh.tbl)
			return err_nomem(err);
	}
	return 0;
}

/* One of whose attempts we know nothing now. Of others it is enough to find them when they are
 * needed. */
static bool has_attempts(const struct former *f)
{
	for (const struct held_attempt *h = f->engine->formers.held; h; h = h->hh.next)
		if (h->of == f)
			return true;
	return false;
}

/* Attach to it, or read what it left. 1: done, 0: nothing is there any more, -1: it cannot be
 * asked now, which may have cost some time: `again_us` is set. */
static int open_former(struct former *f, struct err *err)
{
	const struct exec_provider *p = f->engine->config.executors;
	struct exec_former found = { 0 };
	struct err why = { 0 };

	/* Its ends on their way to us were lost with the connection, and it may be dead by now. */
	f->settle_us = has_attempts(f) ? clock_mono_us() : 0;
	f->again_us = 0;
	if (p->open(p->arg, f->name, &found, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		f->again_us = clock_mono_us() + AGAIN_US;
		f->why = why;
		return err_set(err, ERR_TIMEOUT, "%.400s", why.msg);
	}
	f->live = found.live;
	f->journal = found.journal;
	int rc = f->live ? watch(f, err) : index_journal(f, err);
	return rc < 0 ? -1 : 1;
}

/* ---- all of them ---------------------------------------------------------------------- */

static struct former *find_former(const struct engine *e, const char *name)
{
	for (struct former *f = e->formers.list; f; f = f->next)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static struct former *new_former(struct engine *e, const char *name, struct err *err)
{
	struct former *f = calloc(1, sizeof *f);

	if (f)
		f->name = strdup(name);
	if (!f || !f->name) {
		free(f);
		err_nomem(err);
		return NULL;
	}
	f->engine = e;
	return f;
}

/* One that is not known yet. Out of reach it is kept as well, to be tried again. */
static int add_former(struct engine *e, const char *name, struct err *err)
{
	struct former *f = new_former(e, name, err);

	if (!f)
		return -1;
	int rc = open_former(f, err);
	if (rc == 0 || (rc < 0 && !f->again_us)) {
		former_free(f);
		return rc;
	}
	f->next = e->formers.list;
	e->formers.list = f;
	return 0;
}

/* Find those that came since; with `dead` only those whose supervisor is dead, so that nobody is
 * waited for. */
static int look_around(struct engine *e, bool dead, struct err *err)
{
	const struct exec_provider *p = e->config.executors;
	char **names = NULL;
	int rc = p->list(p->arg, &names, err);

	for (size_t i = 0; rc == 0 && names[i]; i++)
		if (!find_former(e, names[i]) && !(dead && p->lives(p->arg, names[i])))
			rc = add_former(e, names[i], err);
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
	return rc;
}

static void remove_former(struct engine *e, struct former *f)
{
	struct former **at = &e->formers.list;
	struct held_attempt *h, *next;

	HASH_ITER (hh, e->formers.held, h, next)
		if (h->of == f) {
			HASH_DEL(e->formers.held, h);
			free(h);
		}
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	former_free(f);
}

/* ---- attempts we claimed --------------------------------------------------------------- */

static struct held_attempt *find_held(const struct engine *e, int64_t token)
{
	struct held_attempt *h;

	HASH_FIND(hh, e->formers.held, &token, sizeof token, h);
	return h;
}

static int hold(struct engine *e, struct former *f, int64_t token, struct err *err)
{
	struct held_attempt *h = find_held(e, token);

	if (h) {
		h->of = f;
		return 0;
	}
	h = calloc(1, sizeof *h);
	if (!h)
		return err_nomem(err);
	*h = (struct held_attempt){ .token = token, .of = f };
	HASH_ADD(hh, e->formers.held, token, sizeof h->token, h);
	if (h->hh.tbl)
		return 0;
	free(h);
	return err_nomem(err);
}

void former_forget(struct engine *e, int64_t token)
{
	struct held_attempt *h = find_held(e, token);

	if (h)
		HASH_DEL(e->formers.held, h);
	free(h);
}

void former_forget_run(struct engine *e, const struct active_run *r)
{
	struct task_view view;

	for (int i = 0; e->formers.held && sched_task_view(e->sched, r->id, i, &view); i++)
		if (view.token)
			former_forget(e, view.token);
}

struct exec *former_exec_of(const struct engine *e, int64_t token)
{
	const struct held_attempt *h = e->formers.held ? find_held(e, token) : NULL;

	return h && h->of->live ? h->of->live : e->exec;
}

void former_ack(struct engine *e, const int64_t *tokens, size_t n)
{
	size_t first = 0;

	if (!e->formers.held) {
		exec_ack(e->exec, tokens, n, NULL);
		return;
	}
	for (size_t i = 0; i <= n; i++) {
		struct held_attempt *h = i < n ? find_held(e, tokens[i]) : NULL;
		if (i < n && !h)
			continue;
		if (i > first)
			exec_ack(e->exec, tokens + first, i - first, NULL);
		if (h && h->of->live)
			exec_ack(h->of->live, &tokens[i], 1, NULL);
		if (h)
			former_forget(e, tokens[i]);
		first = i + 1;
	}
}

/* ---- asking ---------------------------------------------------------------------------- */

/* Supervisors write down what they start before it begins. What was committed since this machine
 * came up, and nobody knows of, was never given to one. A journal of before may have lost its last
 * lines with the power. */
static bool never_began(const struct former_question *q)
{
	return q->since_us && !clock_is_fake() &&
	       q->since_us > clock_now_us() - proc_boottime_us() + BOOT_SLACK_US;
}

static void say_lost(struct former_question *q)
{
	q->verdict = FORMER_LOST;
	q->end = (struct exec_end){ .token = q->token, .outcome = OUTCOME_LOST, .exit_status = -1 };
}

/* Whatever is in the way, trying again later is what to do. */
static int not_now(struct err *err)
{
	err->code = ERR_TIMEOUT;
	return -1;
}

/* What a dead one knew. */
static int ask_dead(struct former *f, struct former_question *q, struct err *err)
{
	const struct exec_provider *p = f->engine->config.executors;
	struct former_entry *found;

	HASH_FIND(hh, f->by_token, &q->token, sizeof q->token, found);
	if (!found)
		return 0;
	if (found->entry->ended) {
		q->verdict = FORMER_ENDED;
		q->end = found->entry->end;
		return 0;
	}
	if (found->entry->started && p->reap(p->arg, found->entry, err) < 0)
		return not_now(err);
	say_lost(q);
	return 0;
}

static int take_answer(struct engine *e, struct former *f, const struct exec_claim *c,
	struct former_question *q, struct err *err)
{
	static const enum former_verdict verdicts[EXEC_CLAIM_MAX] = {
		[EXEC_CLAIM_RUNNING] = FORMER_RUNNING,
		[EXEC_CLAIM_ENDED] = FORMER_ENDED,
		[EXEC_CLAIM_UNKNOWN] = FORMER_NONE,
		[EXEC_CLAIM_FENCED] = FORMER_FENCED,
	};

	q->verdict = verdicts[c->answer];
	q->end = c->end;
	if (f && (q->verdict == FORMER_RUNNING || q->verdict == FORMER_ENDED))
		return hold(e, f, q->token, err);
	return 0;
}

/* Claim all that have no verdict yet; f NULL: of the engine's own executor. */
static int ask_live(
	struct engine *e, struct former *f, struct former_question *q, size_t n, struct err *err)
{
	struct exec_claim *claims = calloc(n + 1, sizeof *claims);
	size_t nclaims = 0, at = 0;

	if (!claims)
		return err_nomem(err);
	for (size_t i = 0; i < n; i++)
		if (q[i].verdict == FORMER_NONE)
			claims[nclaims++] =
				(struct exec_claim){ .token = q[i].token, .epoch = q[i].epoch };
	int rc = nclaims ? exec_claim(f ? f->live : e->exec, claims, nclaims, err) : 0;
	for (size_t i = 0; rc == 0 && i < n; i++)
		if (q[i].verdict == FORMER_NONE)
			rc = take_answer(e, f, &claims[at++], &q[i], err);
	free(claims);
	/* Ends that came between may be waiting, without the descriptor saying so. */
	e->heard = e->heard || nclaims > 0;
	return rc;
}

static int ask_if_dead(struct former *f, struct former_question *q, size_t n, struct err *err)
{
	for (size_t i = 0; f->by_token && i < n; i++)
		if (q[i].verdict == FORMER_NONE && ask_dead(f, &q[i], err) < 0)
			return -1;
	return 0;
}

static int ask_all_dead(
	const struct engine *e, struct former_question *q, size_t n, struct err *err)
{
	for (struct former *f = e->formers.list; f; f = f->next)
		if (ask_if_dead(f, q, n, err) < 0)
			return -1;
	return 0;
}

/* It answered with silence, or died while it was asked: whoever asks again finds its journal. */
static int no_answer(struct former *f, const struct err *why, struct err *err)
{
	hang_up(f);
	f->why = *why;
	f->again_us = clock_mono_us();
	if (why->code == ERR_TIMEOUT)
		f->again_us += AGAIN_US;
	return err_set(err, ERR_TIMEOUT, "%.400s", why->msg);
}

/* The own executor. While it does not answer, nobody else waits for that again. */
static int ask_own(struct engine *e, struct former_question *q, size_t n, struct err *err)
{
	struct err why = { 0 };

	if (clock_mono_us() < e->formers.own_ask_us)
		return err_set(err, ERR_TIMEOUT, "the supervisor does not answer");
	if (ask_live(e, NULL, q, n, &why) == 0)
		return 0;
	e->formers.own_ask_us = why.code == ERR_TIMEOUT ? clock_mono_us() + AGAIN_US : 0;
	return err_set(err, ERR_TIMEOUT, "%.400s", why.msg);
}

static bool all_answered(const struct former_question *q, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (q[i].verdict == FORMER_NONE)
			return false;
	return true;
}

int former_ask(struct engine *e, struct former_question *q, size_t n, struct err *err)
{
	struct err why = { 0 };
	bool reached = true;

	if (look_around(e, false, err) < 0 || ask_all_dead(e, q, n, err) < 0)
		return -1;
	if (ask_own(e, q, n, err) < 0)
		return -1;
	for (struct former *f = e->formers.list; f && !all_answered(q, n); f = f->next) {
		if (f->again_us && f->again_us <= clock_mono_us() && open_former(f, &why) > 0 &&
			ask_if_dead(f, q, n, err) < 0)
			return -1;
		if (f->live && ask_live(e, f, q, n, &why) < 0)
			return no_answer(f, &why, err);
		if (!f->again_us)
			continue;
		reached = false;
		err_set(err, ERR_TIMEOUT,
			"%.300s; it may have the tasks: tried again (when they are surely gone, "
			"remove %.150s)",
			f->why.msg, f->name);
	}
	if (!reached && !all_answered(q, n))
		return -1;
	for (size_t i = 0; i < n; i++)
		if (q[i].verdict == FORMER_NONE) {
			say_lost(&q[i]);
			if (never_began(&q[i]))
				snprintf(q[i].end.error, sizeof q[i].end.error,
					"never began: the process that decided it ended first");
		}
	return 0;
}

/* ---- deaths ---------------------------------------------------------------------------- */

/* Which attempts are to be settled after a death. */
struct orphans {
	struct engine *engine;
	const struct former *of; /* NULL: of the engine's own executors that died */
	struct former_question *q;
	size_t n, cap;
	bool failed;
};

static bool is_orphan(const struct orphans *o, int64_t token)
{
	const struct held_attempt *h = find_held(o->engine, token);

	if (o->of)
		return h && h->of == o->of;
	return !h && token <= o->engine->formers.died_at &&
	       !engine_is_uncommitted(o->engine, token);
}

static void add_orphan(void *arg, int64_t token, int64_t run_id, int task)
{
	struct orphans *o = arg;

	(void)task;
	if (!is_orphan(o, token))
		return;
	if (o->n == o->cap) {
		size_t cap = o->cap ? o->cap * 2 : 64;
		struct former_question *grown = reallocarray(o->q, cap, sizeof *grown);
		o->failed = o->failed || !grown;
		if (!grown)
			return;
		o->q = grown;
		o->cap = cap;
	}
	const struct active_run *r = engine_find(o->engine, run_id);
	o->q[o->n++] = (struct former_question){
		.token = token, .epoch = r ? r->epoch : 0, .since_us = clock_now_us()
	};
}

/* Settle what the dead had in flight. -1: to be tried again. */
static int settle_orphans(struct engine *e, const struct former *of, struct err *err)
{
	struct orphans o = { .engine = e, .of = of };

	sched_each_flight(e->sched, add_orphan, &o);
	int rc = o.failed ? err_nomem(err) : 0;
	if (rc == 0 && o.n > 0)
		rc = former_ask(e, o.q, o.n, err);
	for (size_t i = 0; rc == 0 && i < o.n; i++) {
		if (o.q[i].verdict == FORMER_ENDED || o.q[i].verdict == FORMER_LOST)
			engine_ended(e, &o.q[i].end);
	}
	free(o.q);
	return rc < 0 ? -1 : 0;
}

int former_replace_own(struct engine *e, struct err *err)
{
	const struct exec_provider *p = e->config.executors;
	struct exec *fresh;

	if (p->begin(p->arg, &fresh, err) < 0)
		return -1;
	exec_abandon(e->exec);
	e->exec = fresh;
	/* What is decided and not committed is described to the new one before it is. */
	if (e->prepared > e->formers.died_at)
		e->formers.died_at = e->prepared;
	e->prepared = 0;
	engine_forget_unstarted(e);
	e->formers.own_again_us = e->formers.own_ask_us = 0;
	engine_lose_looks(e);
	/* What the dead one left is found now, or when it is asked for. */
	look_around(e, false, NULL);
	return 0;
}

/* Its connection broke: it died, left because all was acknowledged, or only hung up. Or it did not
 * answer in time. Where not all is known yet, it is looked at again. */
static void reopen(struct engine *e, struct former *f)
{
	struct err err = { 0 };
	int rc = f->again_us ? open_former(f, &err) : 1;
	bool settled = rc >= 0 && settle_orphans(e, f, &err) == 0;

	if (!settled && rc == 0)
		f->again_us = clock_mono_us() + AGAIN_US;
	if (rc > 0)
		f->settle_us = settled ? 0 : clock_mono_us() + AGAIN_US;
	if (settled && rc == 0)
		remove_former(e, f);
}

void former_read(struct engine *e)
{
	for (struct former *f = e->formers.list; f; f = f->next) {
		struct err err = { 0 };
		if (!f->live || engine_read(e, f->live, &err) == 0)
			continue;
		hang_up(f);
		f->again_us = clock_mono_us();
	}
}

static void settle_own(struct engine *e)
{
	struct err err = { 0 };

	if (settle_orphans(e, NULL, &err) < 0)
		e->formers.own_again_us = clock_mono_us() + AGAIN_US;
	else
		e->formers.died_at = 0;
}

/* When it is to be looked at again; INT64_MAX: not before somebody asks. */
static int64_t due_us(const struct former *f)
{
	int64_t due = f->again_us ? f->again_us : f->settle_us;

	return due && has_attempts(f) ? due : INT64_MAX;
}

void former_look_again(struct engine *e)
{
	int64_t now = clock_mono_us();

	for (struct former *f = e->formers.list, *next; f; f = next) {
		next = f->next;
		if (due_us(f) <= now)
			reopen(e, f);
	}
	if (e->formers.died_at && e->formers.own_again_us <= now)
		settle_own(e);
}

int64_t former_wake_us(const struct engine *e)
{
	int64_t wake = e->formers.died_at ? e->formers.own_again_us : INT64_MAX;

	for (const struct former *f = e->formers.list; f; f = f->next)
		if (due_us(f) < wake)
			wake = due_us(f);
	return wake;
}

void former_flush(struct engine *e)
{
	for (struct former *f = e->formers.list; f; f = f->next)
		if (f->live)
			exec_flush(f->live, NULL);
}

/* ---- tidying --------------------------------------------------------------------------- */

/* Whether the store knows what became of all that it had in hand. */
static bool is_recorded(const struct engine *e, const struct former *f)
{
	for (size_t i = 0; i < f->journal.n; i++) {
		bool open = true;
		if (store_attempt_open(e->store, f->journal.entries[i].token, &open, NULL) < 0 ||
			open)
			return false;
	}
	return true;
}

void former_tidy(struct engine *e, bool look)
{
	const struct exec_provider *p = e->config.executors;

	/* What cannot be looked at now can be another time. */
	if (look)
		look_around(e, true, NULL);
	e->formers.untidy = false;
	for (struct former *f = e->formers.list, *next; f; f = next) {
		next = f->next;
		/* One that did not answer once, and of which nothing is wanted, is found anew. */
		if (f->again_us && f->again_us <= clock_mono_us() && !has_attempts(f)) {
			remove_former(e, f);
			continue;
		}
		if (f->again_us || (f->live && has_attempts(f)))
			continue;
		if (!f->live && !is_recorded(e, f))
			continue;
		if (!f->live)
			p->remove(p->arg, f->name);
		remove_former(e, f);
	}
}

void former_release(struct engine *e)
{
	struct held_attempt *h, *next;

	HASH_ITER (hh, e->formers.held, h, next) {
		HASH_DEL(e->formers.held, h);
		free(h);
	}
	while (e->formers.list) {
		struct former *f = e->formers.list;
		e->formers.list = f->next;
		former_free(f);
	}
	e->formers = (struct formers){ 0 };
}
