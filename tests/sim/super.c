/* Supervisors as objects. Their rules are those of exec/exec.h. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/io.h"
#include "run/paths.h"
#include "tests/sim/super_impl.h"

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
		s->refused =
			super_grown(s->refused, s->nrefused, &s->refused_cap, sizeof *s->refused);
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
	s->journal = super_grown(s->journal, s->njournal, &s->journal_cap, sizeof *s->journal);
	e = &s->journal[s->njournal++];
	*e = (struct exec_journal_entry){ .token = token, .pid = 1 + (int64_t)s->njournal };
	return e;
}

static bool has_channel(const struct super *s)
{
	for (size_t i = 0; i < s->w->nchannels; i++)
		if (s->w->channels[i]->super == s && !s->w->channels[i]->cut)
			return true;
	return false;
}

/* It leaves when nothing is left of which anyone could ask. */
static void leave_if_idle(struct super *s)
{
	if (!s->alive || s->n > 0 || has_channel(s))
		return;
	s->alive = false;
	s->removed = true;
	say(s->w, s->name, "leaves");
}

static void tell_end(struct super *s, const struct held_by *h)
{
	const struct msg m = { .kind = MSG_END, .token = h->token, .end = h->end };

	if (h->holder && !h->holder->cut)
		queue_send(s->w, &h->holder->to_driver, m);
}

const char *super_label(const struct attempt *a)
{
	static char text[96];

	snprintf(text, sizeof text, a->task < SIM_TASKS ? "%s %s try %d" : "%s %s try %d of [%d]",
		a->run->name, row_def(a->run, a->task)->name, a->try, row_map_index(a->task));
	return text;
}

/* What the attempt leaves for the engine to read. */
static void write_output(struct sim *w, const struct attempt *a)
{
	char *path = paths_output(world_home(), a->run->name, row_def(a->run, a->task)->name,
		row_map_index(a->task), a->try);
	char *dir = paths_work_dir(world_home(), a->run->name);
	char text[192];

	if (row_def(a->run, a->task)->quality_breaker)
		snprintf(text, sizeof text,
			"{\"outputs\": {\"token\": %lld, \"score\": %.2f}, "
			"\"checks\": [{\"name\": \"c\", \"severity\": \"warn\", "
			"\"status\": \"pass\"}, {\"name\": \"spoilt\"}]}",
			(long long)a->token, a->score);
	else
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
	a->reported = a->score >= 0 && (a->real == OUTCOME_SUCCESS || a->real == OUTCOME_FAILED);
	if (a->reported || (a->writes && a->real == OUTCOME_SUCCESS))
		write_output(w, a);
	e->ended = true;
	e->end = h->end;
	say(w, s->name, "%s ends: %s", super_label(a), outcome_name(h->end.outcome));
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
	bool checks = row_def(a->run, a->task)->quality_breaker;

	h->end = (struct exec_end){
		.token = h->token, .outcome = OUTCOME_SUCCESS, .started_us = world_wall(w)
	};
	if (kind >= 22 && kind < 29) {
		h->end.outcome = OUTCOME_FAILED;
		/* 1 of an operator is for good. */
		h->end.exit_status = kind < 25 && !checks ? 1 : kind < 27 ? 2 : 3;
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
	must(w, a->body == BODY_NONE, "%s is started twice", super_label(a));
	say(w, s->name, "starts %s", super_label(a));
	decide(w, h, a);
	a->score = fuses_score(w, a);
	a->writes = row_def(a->run, a->task)->quality_breaker
			    ? a->score >= 0
			    : world_draw(w, 7, (uint64_t)a->task, (uint64_t)a->try) % 3 == 0;
	h->hand = HAND_RUNS;
	note(s, h->token)->started = h->end.outcome != OUTCOME_LOST;
	w->starts++;
	truth_started(w, a, h->epoch);
	a->body = BODY_RUNS;
	if (h->end.outcome == OUTCOME_LOST)
		end_now(s, h);
}

static void stop(struct super *s, struct held_by *h, unsigned how)
{
	bool hard = how & EXEC_STOP_HARD;
	struct sim *w = s->w;
	int64_t by = w->now_us + (hard ? SIM_MS : world_between(w, SIM_MS, h->grace_us + SIM_S));

	if (h->hand == HAND_HELD) {
		take_out(s, h);
		return;
	}
	if (h->hand != HAND_RUNS)
		return;
	struct attempt *a = truth_attempt(w, h->token);
	say(w, s->name, "stops %s", super_label(a));
	must(w, a->run->cancelling || a->run->halted || a->run->tasks[a->task].cancelling,
		"%s is stopped, and nobody has asked for it", super_label(a));
	must(w,
		!row_def(a->run, a->task)->teardown || a->run->killing || a->run->halted ||
			a->run->tasks[a->task].cancelling,
		"%s is stopped, and takes down", super_label(a));
	a->stopped = h->stopping = true;
	if (h->due_us <= by)
		return;
	h->due_us = by;
	/* The first who stops it says what it was. */
	if (h->end.outcome != OUTCOME_CANCELLED && h->end.outcome != OUTCOME_LOST)
		h->end.outcome = how & EXEC_STOP_LOST ? OUTCOME_LOST : OUTCOME_CANCELLED;
	h->end.exit_status = -1;
	h->end.signal = hard ? 9 : 15;
	h->end.error[0] = '\0';
}

static void acknowledge(struct super *s, struct held_by *h, const struct channel *c)
{
	struct attempt *a = truth_attempt(s->w, h->token);

	must(s->w, h->hand == HAND_ENDED, "%s is acknowledged before it has ended", super_label(a));
	must(s->w, a->recorded != OUTCOME_NONE,
		"the end of %s is acknowledged before it is committed", super_label(a));
	if (h->holder == c)
		take_out(s, h);
}

/* A driver is gone: what it had prepared is forgotten, what runs goes on. */
static void forget_channel(struct super *s, struct channel *c)
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

static void prepare(struct super *s, struct channel *c, const struct msg *m)
{
	const struct refused *r = find_refused(s, m->token);

	if (find(s, m->token) || (r && m->epoch <= r->epoch))
		return;
	s->list = super_grown(s->list, s->n, &s->cap, sizeof *s->list);
	s->list[s->n++] = (struct held_by){ .token = m->token,
		.epoch = m->epoch,
		.holder = c,
		.due_us = m->timeout_us,
		.grace_us = m->grace_us };
}

void super_receive(struct super *s, struct channel *c, const struct msg *m)
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
			stop(s, h, m->how);
		break;
	case MSG_ACK:
		if (h)
			acknowledge(s, h, c);
		break;
	case MSG_BYE:
		forget_channel(s, c);
		break;
	default:
		break;
	}
	leave_if_idle(s);
}

void super_answer(struct super *s, struct channel *c, struct exec_claim *claim)
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
		say(s->w, s->name, "is asked for %s by %s", super_label(a), c->actor->name);
}

struct super *super_by_name(const struct sim *w, const char *name)
{
	for (size_t i = 0; i < w->nsupers; i++)
		if (strcmp(w->supers[i]->name, name) == 0)
			return w->supers[i];
	return NULL;
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
		say(w, s->name, "%s %s", super_label(a), stray ? "is left behind" : "dies with it");
	}
	s->n = 0;
	for (size_t i = 0; i < w->nchannels; i++) {
		struct channel *c = w->channels[i];
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
		for (size_t i = 0; i < w->nchannels; i++)
			if (w->channels[i]->open && !w->channels[i]->cut)
				queue_send(w, &w->channels[i]->to_driver, m);
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

int64_t super_due_us(struct sim *w)
{
	int64_t due = INT64_MAX;

	for (size_t i = w->nchannels; i-- > 0;) {
		if (!w->channels[i]->open && w->channels[i]->cut)
			channel_drop(w, i);
		else
			due = earlier(due, channel_arrives_us(w->channels[i]));
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
	for (size_t i = 0; i < w->nchannels; i++) {
		struct channel *c = w->channels[i];
		if (channel_arrives_us(c) > w->now_us)
			continue;
		struct msg m = *queue_first(&c->to_super);
		queue_pop(&c->to_super);
		super_receive(c->super, c, &m);
		return true;
	}
	return false;
}

int64_t super_news_us(const struct actor *n)
{
	int64_t due = INT64_MAX;

	for (size_t i = 0; i < n->w->nchannels; i++) {
		const struct channel *c = n->w->channels[i];
		const struct msg *m = queue_first(&c->to_driver);
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
	for (size_t i = 0; i < n->w->nchannels; i++) {
		struct channel *c = n->w->channels[i];
		if (c->actor != n)
			continue;
		channel_hang_up(c);
	}
}

void super_release(struct sim *w)
{
	while (w->nchannels > 0)
		channel_drop(w, w->nchannels - 1);
	free(w->channels);
	for (size_t i = 0; i < w->nsupers; i++) {
		free(w->supers[i]->list);
		free(w->supers[i]->refused);
		free(w->supers[i]->journal);
		free(w->supers[i]);
	}
	free(w->supers);
}
